//! Entry for fuzzing: whatever a server sends, and whenever, the connector reads on or ends.

use super::Xmpp;
use crate::base::random::Random;
use crate::base::text::Writer;
use crate::base::time::Instant;
use crate::bridge::{Command, Env, Event, Link, OUT_BYTES, SCRATCH_BYTES, Show, Step};
use crate::config::model::{Account, LineWay, Network, Password, Security};
use heapless::{String, Vec};

/// Bytes of the windows that are tried.
const WINDOWS: [usize; 2] = [256, 2048];
/// What the server says before: nothing; until the password; until the account is on, and the archive was asked.
const BEFORE: [&[&str]; 3] = [
    &[],
    &[
        HEADER,
        "<stream:features><mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><mechanism>SCRAM-SHA-1</mechanism></mechanisms></stream:features>",
    ],
    &[
        HEADER,
        "<stream:features><mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><mechanism>PLAIN</mechanism></mechanisms></stream:features>",
        "<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>",
        HEADER,
        "<stream:features><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/><sm xmlns='urn:xmpp:sm:3'/></stream:features>",
        "<iq id='pcs-bind' type='result'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><jid>alice@example.org/pcs</jid></bind></iq>",
        "<enabled xmlns='urn:xmpp:sm:3' id='iZz3x7N9X2RM' resume='true'/>",
        "<iq id='pcs-account' type='result'><query xmlns='http://jabber.org/protocol/disco#info'><feature var='urn:xmpp:mam:2'/></query></iq>",
    ],
];
const HEADER: &str =
    "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' version='1.0'>";

/// Feeds `bytes` to the connector as a server would, in several phases of a connection. It never panics, and each call
/// reads something or is the last for these bytes.
pub fn fuzz(bytes: &[u8]) {
    for before in BEFORE {
        for room in WINDOWS {
            let mut run =
                Run { xmpp: Xmpp::new(), random: Random::new(), account: account(), now: 1000, is_over: false };
            run.xmpp.restore("bookmark");
            run.call(|xmpp, env, _| {
                xmpp.begin(env);
                xmpp.connected(env, Link(0), true);
                Step::Nothing
            });
            before.iter().for_each(|text| run.feed(text.as_bytes(), 2048));
            run.feed(bytes, room);
            run.rest();
        }
    }
}

struct Run {
    xmpp: Xmpp,
    random: Random,
    account: Account,
    now: u64,
    is_over: bool,
}

/// What has to be done after a call.
#[derive(PartialEq)]
enum Then {
    Stop,
    GoOn,
    Settle(u32),
}

impl Run {
    fn call(&mut self, f: impl for<'s> FnOnce(&mut Xmpp, &mut Env<'_, '_>, &'s mut [u8]) -> Step<'s>) -> Then {
        let (mut buffer, mut scratch) = ([0; OUT_BYTES], [0; SCRATCH_BYTES]);
        let mut out = Writer::new(&mut buffer);
        let now = Instant::from_millis(self.now);
        let mut env = Env { now, time: None, random: &mut self.random, account: &self.account, out: &mut out };
        let then = match f(&mut self.xmpp, &mut env, &mut scratch) {
            Step::Nothing => Then::Stop,
            Step::Quiet => Then::GoOn,
            Step::Event(Event::Message(message)) => {
                assert!(!message.text.is_empty() && !message.who.is_empty(), "a message says something");
                Then::Settle(message.token)
            }
            Step::Event(_) => Then::GoOn,
            Step::StartTls | Step::End(_) => {
                self.is_over = true;
                Then::Stop
            }
        };
        assert!(out.finish().is_ok(), "what is sent fits");
        then
    }

    fn feed(&mut self, bytes: &[u8], room: usize) {
        let mut rest = bytes;
        while !self.is_over {
            let window = &rest[..rest.len().min(room)];
            let is_full = window.len() == room;
            let mut taken = 0;
            let then = self.call(|xmpp, env, scratch| {
                let (len, step) = xmpp.received(env, Link(0), (window, is_full), scratch);
                taken = len;
                step
            });
            rest = &rest[taken..];
            if let Then::Settle(token) = then {
                self.command(&Command::Settled { token, is_taken: token.is_multiple_of(2) });
            }
            if then == Then::Stop {
                assert!(taken > 0 || !is_full || self.is_over, "a full window is read");
                return;
            }
        }
    }

    fn command(&mut self, command: &Command<'_>) {
        self.call(|xmpp, env, _| {
            xmpp.command(env, command);
            Step::Nothing
        });
    }

    /// What a person may want then, and time.
    fn rest(&mut self) {
        self.command(&Command::Presence { show: Show::Offline, text: "x" });
        self.command(&Command::Send { to: "bob@example.org", text: "x", id: 1, is_automatic: false });
        for _ in 0..8 {
            while !self.is_over && self.call(|xmpp, env, scratch| xmpp.due(env, scratch)) != Then::Stop {}
            self.now += 30_000;
        }
    }
}

fn account() -> Account {
    Account {
        id: String::new(),
        person: 0,
        network: Network::Xmpp,
        address: String::try_from("alice@example.org").unwrap_or_default(),
        login: String::new(),
        password: Password::default(),
        host: String::new(),
        port: None,
        way: LineWay::Tcp,
        path: String::new(),
        security: Security::Usual,
        pins: Vec::new(),
        ca: String::new(),
    }
}
