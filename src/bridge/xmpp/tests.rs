//! The connector talks to servers: conversations in literal bytes, and those of a real server.

use std::borrow::ToOwned;
use std::format;
use std::string::{String, ToString};
use std::vec::Vec;

use super::sasl::Mechanism;
use super::*;
use crate::base::random::Random;
use crate::base::text::Writer;
use crate::bridge::{Command, OUT_BYTES, Outcome, SCRATCH_BYTES, Stop};
use crate::config::model::{Network, Password};

mod hostile;
mod lists;
mod resumption;
mod talk;
mod transcript;

/// A connector with its link, as whoever drives it has them.
pub(super) struct Driver {
    pub xmpp: Xmpp,
    pub account: Account,
    pub random: Random,
    pub now: Instant,
    /// Bytes the window has room for, and how many come at once.
    pub room: usize,
    pub step: usize,
    window: Vec<u8>,
    /// What was sent since it was looked at, and all that was told.
    pub sent: String,
    pub told: Vec<String>,
    pub end: Option<End>,
    pub wants_tls: bool,
}

impl Driver {
    pub fn new() -> Self {
        let mut account = account();
        account.password = Password(heapless::String::try_from("pencil").unwrap());
        Self {
            xmpp: Xmpp::new(),
            account,
            random: Random::new(),
            now: Instant::from_millis(1000),
            room: 8192,
            step: usize::MAX,
            window: Vec::new(),
            sent: String::new(),
            told: Vec::new(),
            end: None,
            wants_tls: false,
        }
    }

    /// Lends the connector what it needs for a call, and takes what it sends and says.
    pub fn call<T>(&mut self, f: impl FnOnce(&mut Xmpp, &mut Env<'_, '_>, &[u8], &mut [u8]) -> T) -> T {
        let mut buffer = std::vec![0; OUT_BYTES];
        let mut scratch = std::vec![0; SCRATCH_BYTES];
        let mut out = Writer::new(&mut buffer);
        let mut env =
            Env { now: self.now, time: None, random: &mut self.random, account: &self.account, out: &mut out };
        let result = f(&mut self.xmpp, &mut env, &self.window, &mut scratch);
        self.sent.push_str(str::from_utf8(out.written()).expect("UTF-8 is sent"));
        out.finish().expect("what is sent fits");
        result
    }

    /// Takes what a step says: whether there may be more.
    fn step(&mut self, step: &str) -> bool {
        match step {
            "Nothing" => return false,
            "Quiet" => (),
            "StartTls" => {
                self.wants_tls = true;
                self.window.clear();
                return false;
            }
            step => match step.strip_prefix("Event(").and_then(|it| it.strip_suffix(')')) {
                Some(event) => self.told.push(event.to_owned()),
                None => return false,
            },
        }
        true
    }

    pub fn begin(&mut self, is_tls: bool) {
        self.end = None;
        self.window.clear();
        self.call(|xmpp, env, _, _| xmpp.begin(env));
        self.connected(is_tls);
    }

    pub fn connected(&mut self, is_tls: bool) {
        self.wants_tls = false;
        self.call(|xmpp, env, _, _| xmpp.connected(env, Link(0), is_tls));
    }

    /// The server sends something.
    pub fn server(&mut self, text: &str) {
        self.bytes(text.as_bytes());
    }

    pub fn bytes(&mut self, mut rest: &[u8]) {
        loop {
            self.read();
            let taken = rest.len().min(self.step).min(self.room - self.window.len());
            if taken == 0 || self.end.is_some() || self.wants_tls {
                return;
            }
            self.window.extend_from_slice(&rest[..taken]);
            rest = &rest[taken..];
        }
    }

    /// Has it read all it wants to.
    pub fn read(&mut self) {
        while self.end.is_none() {
            let is_full = self.window.len() >= self.room;
            let mut end = None;
            let (taken, step) = self.call(|xmpp, env, window, scratch| {
                let (taken, step) = xmpp.received(env, Link(0), (window, is_full), scratch);
                if let Step::End(why) = step {
                    end = Some(why);
                }
                (taken, format!("{step:?}"))
            });
            self.window.drain(..taken);
            self.end = end;
            if !self.step(&step) {
                return;
            }
        }
    }

    /// Lets time pass until nothing is due.
    pub fn due(&mut self) {
        for _ in 0..10_000 {
            let mut end = None;
            let step = self.call(|xmpp, env, _, scratch| {
                let step = xmpp.due(env, scratch);
                if let Step::End(why) = step {
                    end = Some(why);
                }
                format!("{step:?}")
            });
            self.end = end.or(self.end);
            if !self.step(&step) || self.end.is_some() {
                return;
            }
        }
        panic!("something is due for ever");
    }

    pub fn wait(&mut self, ms: u64) {
        self.now = self.now.plus(ms);
        self.due();
    }

    pub fn command(&mut self, command: Command<'_>) -> Outcome {
        let outcome = self.call(|xmpp, env, _, _| xmpp.command(env, &command));
        self.read();
        outcome
    }

    /// What was sent since the last look.
    pub fn sent(&mut self) -> String {
        core::mem::take(&mut self.sent)
    }

    /// What was told since the last look, one a line.
    pub fn told(&mut self) -> Vec<String> {
        core::mem::take(&mut self.told)
    }

    pub fn closed(&mut self) -> Option<End> {
        self.call(|xmpp, env, _, _| xmpp.closed(env, Link(0)))
    }

    /// Logs in by PLAIN, over TLS, to a server with what `features` says beside an address.
    pub fn log_in(&mut self, features: &str) {
        self.begin(true);
        self.server(HEADER);
        self.server(&offer("PLAIN"));
        self.server("<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>");
        self.server(HEADER);
        self.server(&format!(
            "<stream:features><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/>{features}</stream:features>"
        ));
    }

    /// The same, to the end; what was sent and told meanwhile is thrown away.
    pub fn online(features: &str) -> Self {
        let mut driver = Self::new();
        driver.log_in(features);
        driver.server(BOUND);
        if features == COUNTED {
            driver.server("<enabled xmlns='urn:xmpp:sm:3' id='s1' resume='true'/>");
        }
        assert_eq!(driver.told(), ["Online { is_resumed: false }"]);
        assert!(driver.end.is_none() && driver.sent().contains("jabber:iq:roster"));
        // As if the archive had been read.
        driver.xmpp.archive.release();
        driver.due();
        driver
    }
}

pub(super) const HEADER: &str = "<?xml version='1.0'?><stream:stream xmlns='jabber:client' \
    xmlns:stream='http://etherx.jabber.org/streams' from='example.org' id='x' version='1.0'>";
pub(super) const BOUND: &str = "<iq id='pcs-bind' type='result'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'>\
    <jid>alice@example.org/pcs-00000000</jid></bind></iq>";
/// The feature of stream management.
pub(super) const COUNTED: &str = "<sm xmlns='urn:xmpp:sm:3'/>";

pub(super) fn offer(mechanisms: &str) -> String {
    let list: String = mechanisms.split(' ').map(|it| format!("<mechanism>{it}</mechanism>")).collect();
    format!(
        "<stream:features><mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>{list}</mechanisms></stream:features>"
    )
}

fn account() -> Account {
    Account {
        id: heapless::String::try_from("home").unwrap(),
        person: 0,
        network: Network::Xmpp,
        address: heapless::String::try_from("alice@example.org").unwrap(),
        login: heapless::String::new(),
        password: Password::default(),
        host: heapless::String::new(),
        port: None,
        way: crate::config::model::LineWay::Tcp,
        path: heapless::String::new(),
        security: Security::Usual,
        pins: heapless::Vec::new(),
        ca: heapless::String::new(),
    }
}

#[test]
fn it_is_small() {
    let size = size_of::<Xmpp>();
    std::println!("an XMPP connector has {size} bytes");
    assert!(size <= 2662, "{size}");
}

#[test]
fn targets() {
    let mut driver = Driver::new();
    let target = |driver: &Driver| format!("{:?}", driver.xmpp.target(&driver.account, Link(0)));
    assert_eq!(target(&driver), "Some(Xmpp { domain: \"example.org\" })");
    assert_eq!(driver.xmpp.target(&driver.account, Link(1)), None);
    driver.account.port = core::num::NonZeroU16::new(5555);
    assert_eq!(
        target(&driver),
        "Some(Host { host: \"example.org\", port: 5555, is_tls: false, domain: \"example.org\" })"
    );
    driver.account.port = None;
    driver.account.host = heapless::String::try_from("192.0.2.1").unwrap();
    driver.account.security = Security::Direct;
    assert_eq!(
        target(&driver),
        "Some(Host { host: \"192.0.2.1\", port: 5223, is_tls: true, domain: \"example.org\" })"
    );
}

#[test]
fn logging_in_over_tls() {
    let mut driver = Driver::new();
    driver.begin(false);
    assert_eq!(
        driver.sent(),
        "<?xml version='1.0'?><stream:stream to='example.org' version='1.0' xmlns='jabber:client' \
         xmlns:stream='http://etherx.jabber.org/streams'>"
    );
    driver.server(HEADER);
    let starttls = "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>";
    driver.server(&format!("<stream:features>{starttls}</stream:features>"));
    assert_eq!(driver.sent(), starttls);
    driver.server("<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>");
    assert!(driver.wants_tls);
    driver.connected(true);
    assert!(driver.sent().contains("from='alice@example.org'"));
    driver.server(HEADER);
    driver.server(&offer("X-OTHER PLAIN"));
    assert_eq!(
        driver.sent(),
        "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>AGFsaWNlAHBlbmNpbA==</auth>"
    );
    driver.server("<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>");
    assert!(driver.sent().starts_with("<?xml version='1.0'?><stream:stream"));
    driver.server(HEADER);
    driver.server(
        "<stream:features><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/>\
         <session xmlns='urn:ietf:params:xml:ns:xmpp-session'/><sm xmlns='urn:xmpp:sm:3'/></stream:features>",
    );
    assert!(driver.sent().starts_with("<iq type='set' id='pcs-bind'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'>"));
    driver.server(BOUND);
    assert!(driver.sent().contains("id='pcs-session'"));
    driver.server("<iq id='pcs-session' type='result'/>");
    assert_eq!(driver.sent(), "<enable xmlns='urn:xmpp:sm:3' resume='true'/>");
    driver.server("<enabled xmlns='urn:xmpp:sm:3' id='s' resume='true'/>");
    assert_eq!(
        driver.sent(),
        "<iq type='get' id='pcs-roster'><query xmlns='jabber:iq:roster'/></iq>\
         <iq type='get' id='pcs-server' to='example.org'><query xmlns='http://jabber.org/protocol/disco#info'/></iq>\
         <iq type='get' id='pcs-account' to='alice@example.org'>\
         <query xmlns='http://jabber.org/protocol/disco#info'/></iq>"
    );
    assert_eq!(driver.told(), ["Online { is_resumed: false }"]);
    assert_eq!(driver.xmpp.deadline(), Some(driver.now.plus(ANSWER_MS)), "texts wait for the archive so long");
}

#[test]
fn what_a_login_ends_in() {
    let failed = |condition: &str| {
        let mut driver = Driver::new();
        driver.begin(true);
        driver.server(HEADER);
        driver.server(&offer("SCRAM-SHA-1"));
        driver.server(&format!("<failure xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><{condition}/></failure>"));
        driver.end
    };
    assert_eq!(failed("not-authorized"), Some(End::Stop(Stop::Password)));
    assert!(matches!(failed("temporary-auth-failure"), Some(End::Retry(_))));
    assert!(matches!(failed("account-disabled"), Some(End::Stop(Stop::Refused(_)))));
    assert!(matches!(failed("invalid-mechanism"), Some(End::Stop(Stop::Refused(_)))));

    let error = |condition: &str| {
        let mut driver = Driver::new();
        driver.begin(true);
        driver.server(HEADER);
        driver.server(&format!(
            "<stream:error><{condition} xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>"
        ));
        driver.end
    };
    assert_eq!(error("conflict"), Some(End::Stop(Stop::Elsewhere)));
    assert!(matches!(error("host-unknown"), Some(End::Stop(Stop::Refused(_)))));
    assert!(matches!(error("system-shutdown"), Some(End::Retry(_))));
    assert!(matches!(error("something-new"), Some(End::Retry(_))));
}

#[test]
fn without_tls() {
    // It is wanted, and not there.
    let mut driver = Driver::new();
    driver.begin(false);
    driver.server(HEADER);
    driver.server(&offer("SCRAM-SHA-1"));
    assert_eq!(driver.end, Some(End::Stop(Stop::Refused("the server has no TLS"))));
    // It is not wanted: the password does not go out as it is.
    let mut driver = Driver::new();
    driver.account.security = Security::Off;
    driver.begin(false);
    driver.server(HEADER);
    driver.server(&offer("PLAIN"));
    assert_eq!(driver.end, Some(End::Stop(Stop::Refused("the server wants the password without TLS"))));
    driver.begin(false);
    driver.sent();
    driver.server(HEADER);
    driver.server(&offer("PLAIN SCRAM-SHA-1 SCRAM-SHA-256"));
    assert!(driver.sent().contains("mechanism='SCRAM-SHA-256'"));
    driver.server("<failure xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><invalid-mechanism/></failure>");
    assert!(driver.sent().contains("mechanism='SCRAM-SHA-1'"));
    driver.server("<failure xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><invalid-mechanism/></failure>");
    assert!(!driver.sent().contains("PLAIN") && driver.end.is_some());
}

#[test]
fn tls_that_does_not_begin() {
    for is_direct in [false, true] {
        let mut driver = Driver::new();
        if is_direct {
            driver.account.security = Security::Direct;
        } else {
            driver.begin(false);
            driver.server(HEADER);
            driver.server("<stream:features><starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/></stream:features>");
            driver.server("<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>");
            assert!(driver.wants_tls);
        }
        driver.sent();
        if is_direct {
            driver.begin(false);
        } else {
            driver.connected(false);
        }
        driver.due();
        assert_eq!((driver.end, driver.sent().as_str()), (Some(End::Retry("TLS did not begin")), ""));
    }
}

#[test]
fn what_never_ends_is_no_sign_of_life() {
    let mut driver = Driver::online(COUNTED);
    driver.server("<message from='b@x'><body>");
    driver.wait(SILENCE_MS - 1);
    driver.server("more of it");
    driver.wait(1);
    assert!(driver.sent().contains("<r xmlns='urn:xmpp:sm:3'/>"));
    driver.server("and more");
    driver.wait(ANSWER_MS);
    assert_eq!(driver.end, Some(End::Retry("the server does not answer")));
    assert!(driver.xmpp.acks.session().is_none(), "it would come again");
}

#[test]
fn going_elsewhere() {
    for (is_tls, moved) in [(true, true), (false, false)] {
        let mut driver = Driver::new();
        driver.begin(is_tls);
        driver.server(HEADER);
        driver.server(
            "<stream:error><see-other-host xmlns='urn:ietf:params:xml:ns:xmpp-streams'>other.example:5333\
             </see-other-host></stream:error>",
        );
        assert_eq!(driver.end == Some(End::Moved), moved);
        let target = format!("{:?}", driver.xmpp.target(&driver.account, Link(0)));
        assert_eq!(target.contains("other.example") && target.contains("domain: \"example.org\""), moved);
        driver.begin(is_tls);
        driver.closed();
        assert!(!format!("{:?}", driver.xmpp.target(&driver.account, Link(0))).contains("other.example"));
    }
}

#[test]
fn a_server_that_does_not_know_the_password() {
    let mut driver = Driver::new();
    driver.begin(true);
    driver.server(HEADER);
    driver.server(&offer("SCRAM-SHA-1"));
    driver.xmpp.sasl.nonce = heapless::String::try_from("fyko+d2lbbFgONRv9qkxdawL").unwrap();
    // RFC 5802 §5: the same but for the name, which is not in the salted password.
    driver.server(
        "<challenge xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>cj1meWtvK2QybGJiRmdPTlJ2OXFreGRhd0wzcmZjTkhZSlkxWlZ2V1Z\
         zN2oscz1RU1hDUitRNnNlazhiZjkyLGk9NDA5Ng==</challenge>",
    );
    assert_eq!(driver.xmpp.deadline(), Some(Instant::ZERO), "it works at once");
    driver.sent();
    driver.due();
    assert!(driver.sent().starts_with("<response"));
    driver
        .server("<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>dj1ybUY5cHFWOFM3c3VBb1pXamE0ZEpSa0ZzS1E9</success>");
    assert_eq!(driver.end, Some(End::Stop(Stop::Refused("it does not know the password"))));
    assert_eq!(Mechanism::ScramSha1.name(), "SCRAM-SHA-1");
}

#[test]
fn time_passes() {
    let mut driver = Driver::new();
    driver.begin(true);
    driver.wait(LOGIN_MS);
    assert_eq!(driver.end, Some(End::Retry("the login took too long")));

    for (features, question) in [("", "<ping xmlns='urn:xmpp:ping'/>"), (COUNTED, "<r xmlns='urn:xmpp:sm:3'/>")] {
        let mut driver = Driver::online(features);
        driver.wait(SILENCE_MS - 1);
        assert_eq!(driver.sent(), "");
        driver.wait(1);
        assert!(driver.sent().contains(question));
        driver.wait(ANSWER_MS - 1);
        driver.server(" ");
        driver.wait(ANSWER_MS);
        assert!(driver.end.is_none() && driver.sent().is_empty());
        driver.wait(SILENCE_MS);
        driver.wait(ANSWER_MS);
        assert_eq!(driver.end, Some(End::Retry("the server does not answer")));
    }
}

#[test]
fn saying_goodbye() {
    let mut driver = Driver::online(COUNTED);
    driver.command(Command::Quit);
    assert_eq!(driver.sent(), "<presence type='unavailable'/><a xmlns='urn:xmpp:sm:3' h='0'/></stream:stream>");
    driver.server("<presence from='alice@example.org/x' type='unavailable'/></stream:stream>");
    assert_eq!(driver.end, Some(End::Done));
    assert_eq!((driver.sent().as_str(), driver.told().len()), ("", 0));

    let mut driver = Driver::online("");
    driver.command(Command::Quit);
    driver.wait(GOODBYE_MS);
    assert_eq!(driver.end, Some(End::Done));
    let mut driver = Driver::online("");
    driver.command(Command::Quit);
    assert_eq!(driver.closed(), Some(End::Done));
    let mut driver = Driver::online("");
    assert_eq!(driver.closed(), Some(End::Retry("the connection was cut")));
    let mut driver = Driver::online("");
    driver.server("</stream:stream>");
    assert_eq!(driver.end, Some(End::Retry("the server closed the stream")));
    assert_eq!(driver.sent(), "</stream:stream>");
}
