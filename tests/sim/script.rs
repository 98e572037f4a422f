//! Short words for what scenarios do again and again.

use crate::message::Msg;
use crate::phone::{Manner, Phone};
use crate::world::World;

/// A transaction of a phone's.
pub type Call = (usize, usize);

impl World {
    /// A phone of a person of the first home, at this last byte of the LAN.
    pub fn phone(&mut self, user: &str, last: u8) -> usize {
        self.add(Phone::new(user, password(user), &format!("192.168.1.{last}:5060")))
    }

    /// The same, with a manner, and registered.
    pub fn online(&mut self, user: &str, last: u8, manner: Manner) -> usize {
        let phone = Phone::new(user, password(user), &format!("192.168.1.{last}:5060")).with(manner);
        self.join(phone)
    }

    /// A phone, registered from now on.
    pub fn join(&mut self, phone: Phone) -> usize {
        let phone = self.add(phone);
        let registration = self.register(phone, 1800);
        assert!(self.settled(registration, 60_000), "no answer to REGISTER");
        assert_eq!(self.outcome(registration), Some(200), "registration of {}", self.phones[phone].name);
        phone
    }

    /// Somebody from outside.
    pub fn stranger(&mut self, last: u8) -> usize {
        let phone = Phone::new("eve", "", &format!("198.51.100.{last}:5060"));
        self.add(phone.stranger("sip:eve@elsewhere.example"))
    }

    /// Registers once.
    pub fn register(&mut self, phone: usize, expires_s: u32) -> Call {
        let now = self.now;
        (phone, self.phones[phone].register(now, expires_s))
    }

    /// Calls.
    pub fn invite(&mut self, phone: usize, uri: &str) -> Call {
        let now = self.now;
        (phone, self.phones[phone].invite(now, uri))
    }

    /// Writes.
    pub fn message(&mut self, phone: usize, uri: &str) -> Call {
        let now = self.now;
        (phone, self.phones[phone].message(now, uri, "hello"))
    }

    /// Sends a request of the test's own making.
    pub fn send(&mut self, phone: usize, request: Msg) -> Call {
        let now = self.now;
        (phone, self.phones[phone].send(now, request))
    }

    /// Sends one in a dialog.
    pub fn in_dialog(&mut self, phone: usize, dialog: usize, method: &str) -> Call {
        let now = self.now;
        (phone, self.phones[phone].in_dialog(now, dialog, method))
    }

    /// The caller hangs up before the answer.
    pub fn cancel(&mut self, (phone, client): Call) {
        let now = self.now;
        self.phones[phone].cancel(now, client);
    }

    /// Lets time pass until a request is finally answered or has timed out, at most `ms`; whether it has.
    pub fn settled(&mut self, (phone, client): Call, ms: u64) -> bool {
        self.run_until(ms, |world| {
            let phone = &world.phones[phone];
            phone.outcome(client).is_some() || phone.clients[phone.last_of(client)].timed_out
        })
    }

    /// The final status so far.
    pub fn outcome(&self, (phone, client): Call) -> Option<u16> {
        self.phones[phone].outcome(client)
    }

    /// Lets time pass until the final status.
    pub fn outcome_of(&mut self, call: Call) -> Option<u16> {
        self.settled(call, 400_000);
        self.outcome(call)
    }

    /// The final answer.
    pub fn answer(&self, (phone, client): Call) -> &Msg {
        self.phones[phone].answer(client)
    }

    /// Number of requests of a method that a phone got.
    pub fn count(&self, phone: usize, method: &str) -> usize {
        self.phones[phone].got(method).len()
    }

    /// The same without what the home asks and says of its own accord.
    pub fn count_of_others(&self, phone: usize, method: &str) -> usize {
        let got = self.phones[phone].got(method).into_iter();
        got.filter(|request| !request.get("From").starts_with("<sip:pcs@")).count()
    }
}

/// The passwords of the first home.
pub fn password(user: &str) -> &'static str {
    match user {
        "alice" => "wonderland",
        "bob" => "builder",
        "carol" => "singer",
        "tv" => "channel",
        _ => "",
    }
}
