//! Conversations with servers: literal bytes, whole and byte by byte.

use std::path::Path;
use std::string::{String, ToString};
use std::vec::Vec;
use std::{format, fs, println};

use super::fuzzing::{account, text};
use super::*;
use crate::base::random::Random;
use crate::base::time::UnixTime;
use crate::bridge::{OUT_BYTES, SCRATCH_BYTES};
use crate::config::model::Password;

/// A connector and the account it is for; what it says is kept as text.
struct Driver {
    irc: Irc,
    account: Account,
    now: Instant,
    time: Option<UnixTime>,
    random: Random,
    /// What is received in one go at most.
    step_bytes: usize,
    waiting: Vec<u8>,
    events: Vec<String>,
    sent: String,
    end: Option<End>,
}

impl Driver {
    fn new(step_bytes: usize) -> Self {
        Self {
            irc: Irc::new(),
            account: account(),
            now: Instant::from_millis(5000),
            time: Some(UnixTime(1_795_333_920)),
            random: Random::new(),
            step_bytes,
            waiting: Vec::new(),
            events: Vec::new(),
            sent: String::new(),
            end: None,
        }
    }

    fn with<R>(&mut self, call: impl FnOnce(&mut Irc, &mut Env<'_, '_>, &mut Vec<String>) -> R) -> R {
        let mut room = [0; OUT_BYTES];
        let mut out = Writer::new(&mut room);
        let (now, time) = (self.now, self.time);
        let mut env = Env { now, time, random: &mut self.random, account: &self.account, out: &mut out };
        let result = call(&mut self.irc, &mut env, &mut self.events);
        let len = out.finish().expect("what is sent fits");
        self.sent.push_str(core::str::from_utf8(&room[..len]).expect("what is sent is UTF-8"));
        for line in self.sent.split_inclusive("\r\n") {
            assert!(line.len() <= irc::LINE_BYTES && line.ends_with("\r\n"), "{line}");
            assert!(!line.trim_end_matches("\r\n").contains(['\r', '\n', '\0']), "{line}");
        }
        result
    }

    fn connect(&mut self, is_tls: bool) {
        self.with(|irc, env, _| {
            irc.begin(env);
            irc.connected(env, Link(0), is_tls);
        });
    }

    /// The server says something.
    fn hear(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(self.step_bytes) {
            self.waiting.extend(chunk);
            loop {
                let waiting = core::mem::take(&mut self.waiting);
                let (taken, end, is_more) = self.with(|irc, env, events| {
                    let mut scratch = [0; SCRATCH_BYTES];
                    let (taken, step) = irc.received(env, Link(0), (&waiting, waiting.len() >= 2048), &mut scratch);
                    let (end, is_more) = note(step, events);
                    (taken, end, is_more)
                });
                self.waiting = waiting[taken..].to_vec();
                self.end = self.end.or(end);
                if !is_more {
                    break;
                }
            }
        }
    }

    /// Time passes.
    fn pass(&mut self, ms: u64) {
        let until = self.now.plus(ms);
        for _ in 0..1000 {
            match self.irc.deadline() {
                Some(at) if at <= until => self.now = self.now.max(at),
                _ => break,
            }
            let (end, _) = self.with(|irc, env, events| note(irc.due(env, &mut [0; SCRATCH_BYTES]), events));
            self.end = self.end.or(end);
            if end.is_some() {
                return;
            }
        }
        assert!(self.irc.deadline().is_none_or(|at| at > until), "due is done with");
        self.now = until;
    }

    fn told(&mut self, command: Command<'_>) -> Outcome {
        self.with(|irc, env, _| irc.command(env, &command))
    }

    fn say(&mut self, to: &str, text: &str, id: u32) -> Outcome {
        self.told(Command::Send { to, text, id, is_automatic: false })
    }

    fn take_sent(&mut self) -> String {
        core::mem::take(&mut self.sent)
    }

    fn take_events(&mut self) -> Vec<String> {
        core::mem::take(&mut self.events)
    }

    /// On, with what a server says of itself.
    fn online(step_bytes: usize, capabilities: &str, supported: &str) -> Self {
        let mut driver = Self::new(step_bytes);
        driver.account.password = Password::default();
        driver.connect(true);
        driver.hear(format!(":s CAP * LS :{capabilities}\r\n:s CAP alice ACK :{capabilities}\r\n").as_bytes());
        driver.hear(format!(":s 001 alice :Hi\r\n:s 005 alice {supported} :are\r\n:s 422 alice :none\r\n").as_bytes());
        assert_eq!(driver.take_events(), ["Online { is_resumed: false }"]);
        driver.take_sent();
        driver
    }
}

fn note(step: Step<'_>, events: &mut Vec<String>) -> (Option<End>, bool) {
    match step {
        Step::Nothing => (None, false),
        Step::End(end) => (Some(end), false),
        Step::Event(event) => {
            events.push(short(&event));
            (None, true)
        }
        _ => (None, true),
    }
}

fn short(event: &Event<'_>) -> String {
    match event {
        Event::Presence { who, show, text, place, .. } => {
            assert_eq!(*place == 0, *show == Show::Offline);
            format!("{who} {show:?} {text}").trim_end().to_string()
        }
        Event::Message(message) => {
            let sort = match (message.is_own, message.may_answer) {
                (true, _) => "->",
                (false, true) => "<-",
                (false, false) => "<=",
            };
            let at = message.at.map(|at| format!(" at {}", at.0)).unwrap_or_default();
            format!("{} {sort} {}{at}{}", message.who, message.text, if message.name == 0 { "" } else { " named" })
        }
        other => format!("{other:?}"),
    }
}

const WAYS: [usize; 3] = [usize::MAX, 1, 7];

#[test]
fn size() {
    let bytes = size_of::<Irc>();
    println!("Irc: {bytes} bytes");
    assert!(bytes <= 2560, "{bytes}");
}

#[test]
fn where_to() {
    let mut account = account();
    let target = |account: &Account| match Irc::new().target(account, Link(0)) {
        Some(Target::Host { port, is_tls, .. }) => Some((port, is_tls)),
        _ => None,
    };
    assert_eq!(target(&account), Some((6697, true)));
    account.security = Security::Off;
    assert_eq!(target(&account), Some((6667, false)));
    (account.security, account.port) = (Security::Usual, core::num::NonZeroU16::new(6667));
    assert_eq!(target(&account), Some((6667, false)));
    account.security = Security::Direct;
    assert_eq!(target(&account), Some((6667, true)));
    assert_eq!(Irc::new().target(&account, Link(1)), None);
    account.host = text("");
    assert_eq!(target(&account), None);
}

#[test]
fn login_with_sasl() {
    for way in WAYS {
        let mut driver = Driver::new(way);
        driver.connect(true);
        assert_eq!(driver.take_sent(), "CAP LS 302\r\n");
        driver
            .hear(b":s NOTICE * :*** Looking up your hostname\r\n:s CAP * LS * :multi-prefix sasl=EXTERNAL,PLAIN\r\n");
        assert_eq!(driver.take_sent(), "");
        driver.hear(b":s CAP * LS :server-time message-tags=x tls\r\n");
        let hello = "NICK alice\r\nUSER alice 0 * :alice\r\nCAP REQ :sasl server-time message-tags\r\n";
        assert_eq!(driver.take_sent(), hello);
        driver.hear(b"PING :cookie\r\n:s CAP alice ACK :sasl server-time message-tags \r\n");
        assert_eq!(driver.take_sent(), "PONG :cookie\r\nAUTHENTICATE PLAIN\r\n");
        driver.hear(b"AUTHENTICATE +\r\n");
        assert_eq!(driver.take_sent(), "AUTHENTICATE AGFsaWNlAHNlY3JldA==\r\n");
        driver.hear(b":s 900 alice alice!a@h alice :You are now logged in\r\n:s 903 alice :ok\r\n");
        assert_eq!(driver.take_sent(), "CAP END\r\n");
        driver.hear(b":s 001 alice :Hi\r\n:s 372 alice :- hi\r\n:s 376 alice :End\r\n");
        assert_eq!((driver.take_events(), driver.end), (["Online { is_resumed: false }".to_string()].to_vec(), None));
        assert_eq!(driver.take_sent(), "");
    }
}

#[test]
fn the_password_goes_nowhere_else() {
    // SASL without TLS is not used; without SASL the server's own password is.
    let mut driver = Driver::new(usize::MAX);
    driver.connect(false);
    driver.take_sent();
    driver.hear(b":s CAP * LS :sasl\r\n");
    assert_eq!(driver.take_sent(), "PASS :secret\r\nNICK alice\r\nUSER alice 0 * :alice\r\nCAP END\r\n");
    driver.hear(b"AUTHENTICATE +\r\n");
    assert_eq!(driver.take_sent(), "");
    // A server that knows nothing of capabilities, and one that says nothing.
    for is_silent in [true, false] {
        let mut driver = Driver::new(usize::MAX);
        driver.connect(true);
        driver.take_sent();
        if is_silent {
            driver.pass(5000);
        } else {
            driver.hear(b":s 421 * CAP :Unknown command\r\n");
        }
        assert_eq!(driver.take_sent(), "PASS :secret\r\nNICK alice\r\nUSER alice 0 * :alice\r\n");
        driver.pass(60_000);
        assert_eq!(driver.end, Some(End::Retry("the login takes too long")));
    }
    // It refuses all, then SASL.
    let mut driver = Driver::new(usize::MAX);
    driver.connect(true);
    driver.hear(b":s CAP * LS :sasl echo-message\r\n:s CAP * NAK :sasl echo-message\r\n:s CAP * NAK :sasl\r\n");
    assert!(driver.sent.ends_with("CAP REQ :sasl echo-message\r\nCAP REQ :sasl\r\nCAP END\r\n"), "{}", driver.sent);
}

#[test]
fn refusals() {
    use Stop::*;
    let refused = |text| Some(End::Stop(Refused(text)));
    for (said, end) in [
        (":s 464 * :Password incorrect", Some(End::Stop(Password))),
        (":s 904 * :SASL failed", Some(End::Stop(Password))),
        (":s 465 * :banned", refused("the server does not let us in")),
        (":s 432 * alice :Erroneous", refused("the server does not take the nick")),
        ("ERROR :Closing Link: alice (K-Lined)", refused("the server has banned us")),
        ("ERROR :Bad password", Some(End::Stop(Password))),
        ("ERROR :Closing Link: Ping timeout", Some(End::Retry("the server has ended the connection"))),
        (":s 001 alice :x\r\n:s 376 alice :x\r\n:op!o@h KILL alice :x", Some(End::Retry("the server has put us out"))),
        (":s 001 alice :x\r\n:s 376 alice :x\r\n:op!o@h KILL bob :x", None),
    ] {
        let mut driver = Driver::new(usize::MAX);
        driver.connect(true);
        driver.hear(b":s CAP * LS :\r\n");
        driver.hear(format!("{said}\r\n").as_bytes());
        assert_eq!(driver.end, end, "{said}");
    }
}

#[test]
fn the_nick_is_in_use() {
    let mut driver = Driver::new(usize::MAX);
    driver.account.address = text("alicealic");
    driver.connect(true);
    driver.hear(b":s CAP * LS :\r\n");
    driver.take_sent();
    let mut tried = Vec::new();
    for number in [433, 432, 433, 433] {
        driver.hear(format!(":s {number} * x :x\r\n").as_bytes());
        tried.push(driver.take_sent());
    }
    assert_eq!(tried, ["NICK alicealic_\r\n", "NICK aliceal__\r\n", "NICK alicea___\r\n", "NICK alice____\r\n"]);
    driver.hear(b":s 433 * x :x\r\n");
    assert_eq!(driver.end, Some(End::Retry("the nick is in use")));
}

#[test]
fn texts_come_in() {
    for way in WAYS {
        let mut driver = Driver::online(way, "server-time message-tags", "CASEMAPPING=ascii");
        driver.hear(b":Bob[m]!~b@h PRIVMSG ALICE :fine, \x02thanks\x02 \x034,1B\xf6b\r\n");
        driver.hear(b":bob!~b@h PRIVMSG alice :\x01ACTION waves\x01\r\n:nickserv!n@services NOTICE alice :Hello\r\n");
        driver.hear(
            b":s NOTICE alice :not for her\r\n:bob!~b@h PRIVMSG #family :hello all\r\n:bob!b@h PRIVMSG alice :\x02\r\n",
        );
        driver.hear(b"@time=2026-11-22T06:00:00.000Z;msgid=x1 :bob!~b@h PRIVMSG alice :old\r\n");
        driver.hear(b"@time=2026-11-22T07:52:00.000Z :bob!~b@h PRIVMSG alice :new\r\n");
        driver.hear(b"@+typing=active :bob!b@h TAGMSG alice\r\n@+typing=done :bob!b@h TAGMSG alice\r\n");
        let events = driver.take_events();
        let expected = [
            "bob{m} <- fine, thanks B\u{f6}b",
            "bob <- /me waves",
            "nickserv <= Hello",
            "bob <- old at 1795327200 named",
            "bob <- new",
            "Typing { who: \"bob\", is_on: true }",
            "Typing { who: \"bob\", is_on: false }",
        ];
        assert_eq!(events, expected);
        // One answer to VERSION each ten seconds, none to other requests or to replies.
        for (ms, answers) in [(0, 1), (9_999, 0), (1, 1)] {
            driver.pass(ms);
            driver.take_sent();
            driver.hear(b":bob!b@h PRIVMSG alice :\x01VERSION\x01\r\n:bob!b@h NOTICE alice :\x01VERSION x\x01\r\n");
            driver.hear(b":bob!b@h PRIVMSG alice :\x01PING 1\x01\r\n:bob!b@h PRIVMSG alice :\x01\r\n");
            assert_eq!(driver.take_sent().matches("NOTICE bob :\x01VERSION pcsd ").count(), answers);
        }
        assert_eq!(driver.take_events(), [""; 0]);
        // Our nick is followed.
        driver.hear(b":Alice!a@h NICK :alice2\r\n:bob!b@h PRIVMSG alice :x\r\n:bob!b@h PRIVMSG alice2 :y\r\n");
        assert_eq!(driver.take_events(), ["bob <- y"]);
    }
}

#[test]
fn texts_go_out() {
    let mut driver = Driver::online(usize::MAX, "", "");
    assert_eq!(driver.say("bob", "Hallo B\u{f6}b\r\n\r\n/me waves\nx\x01y", 7), Outcome::Done);
    let lines = "PRIVMSG bob :Hallo B\u{f6}b\r\nPRIVMSG bob :\x01ACTION waves\x01\r\nPRIVMSG bob :x y\r\n";
    assert_eq!(driver.take_sent(), lines);
    // He is not there; a second refusal is of nothing.
    driver.pass(2_999);
    assert_eq!(driver.take_events(), [""; 0]);
    driver.hear(b":s 401 alice Bob :No such nick\r\n:s 401 alice bob :No such nick\r\n");
    let failed = "Failed { id: 7, why: \"nobody has this nick now\", is_final: false }";
    assert_eq!(driver.take_events(), [failed]);
    let automatic = Command::Send { to: "bob", text: "busy", id: 8, is_automatic: true };
    assert_eq!(driver.told(automatic), Outcome::Done);
    assert_eq!(driver.take_sent(), "NOTICE bob :busy\r\n");
    driver.pass(3_000);
    assert_eq!(driver.take_events(), ["Sent { id: 8 }"]);
    driver.hear(b":s 401 alice bob :No such nick\r\n");
    assert_eq!(driver.take_events(), [""; 0], "never sent and refused");
    // One that is refused to a question of ours is not blamed on the text behind it.
    add(&mut driver, &["carl"]);
    driver.pass(300);
    driver.hear(b":s 303 alice :carl\r\n:s 302 alice :carl=-c@h\r\n");
    assert!(driver.take_sent().ends_with("WHOIS carl\r\n"));
    assert_eq!(driver.say("carl", "x", 9), Outcome::Done);
    driver.take_events();
    driver.hear(b":s 401 alice carl :No such nick\r\n:s 318 alice carl :End\r\n");
    driver.pass(3_000);
    assert_eq!(driver.take_events(), ["carl Offline", "Sent { id: 9 }"]);
    driver.take_sent();
    for bad in ["#family", "a b", "a,b", "bob\r\nQUIT", ""] {
        assert!(matches!(driver.say(bad, "x", 9), Outcome::Unable(_)), "{bad}");
    }
    assert!(matches!(driver.say("bob", " \n", 9), Outcome::Unable(_)));
    assert_eq!(driver.take_sent(), "");
}

#[test]
fn spellings_that_the_server_tells_apart() {
    let mut driver = Driver::online(usize::MAX, "", "CASEMAPPING=ascii MONITOR=100");
    add(&mut driver, &["bob{m}"]);
    driver.pass(300);
    assert_eq!(driver.take_sent(), "MONITOR + bob{m}\r\n");
    driver.hear(b":s 731 alice :bob{m}\r\n:Bob[M]!b@h PRIVMSG alice :hi\r\n");
    assert_eq!(driver.take_events()[..2], ["bob{m} Offline", "bob{m} <- hi"]);
    driver.pass(300);
    assert_eq!(driver.take_sent(), "MONITOR + Bob[M]\r\n");
    driver.hear(b":s 730 alice :bob[m]!b@h\r\n:s 731 alice :bob{m}\r\n");
    driver.take_events();
    driver.hear(b":Bob[M]!b@h QUIT :x\r\n");
    assert_eq!(driver.take_events(), ["bob{m} Offline"]);
    assert_eq!(driver.say("bob{m}", "hello", 1), Outcome::Done);
    assert!(driver.take_sent().contains("PRIVMSG Bob[M] :hello\r\n"));
    assert_eq!(driver.told(Command::Remove { who: "bob{m}" }), Outcome::Done);
    assert_eq!(driver.take_sent(), "MONITOR - Bob[M]\r\n");
}

#[test]
fn texts_wait_for_their_turn() {
    let mut driver = Driver::online(usize::MAX, "", "");
    driver.pass(20_000);
    let (mut sent, mut id) = (Vec::new(), 1);
    let begin = driver.now;
    while sent.len() < 9 {
        match driver.say("bob", "hi", id) {
            Outcome::Done => {
                sent.push(driver.now.since(begin));
                id += 1;
            }
            Outcome::Later => {
                let at = driver.irc.deadline().expect("it says when");
                driver.pass(at.since(driver.now).max(1));
            }
            Outcome::Unable(why) => panic!("{why}"),
        }
    }
    assert_eq!(sent[..5], [0; 5]);
    let waits: Vec<u64> = sent[4..].windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(waits.iter().all(|ms| (2000..=2002).contains(ms)), "{waits:?}");
    // The longest text goes when a burst may, and holds up what follows.
    driver.pass(60_000);
    driver.take_sent();
    let long = "x\n".repeat(2048);
    assert_eq!(driver.say("bob", &long, 50), Outcome::Done);
    let lines = driver.take_sent().matches("PRIVMSG bob :").count();
    assert!((10..=15).contains(&lines), "{lines}");
    assert_eq!(driver.say("bob", "y", 51), Outcome::Later);
    driver.pass(2000 * (lines as u64 - 4));
    assert_eq!(driver.say("bob", "y", 51), Outcome::Done);
    assert_eq!(driver.events.iter().filter(|event| event.starts_with("Sent")).count(), 10);
}

#[test]
fn repeated_texts() {
    let mut driver = Driver::online(1, "echo-message message-tags", "");
    assert_eq!(driver.say("bob", "one\ntwo", 3), Outcome::Done);
    assert_eq!(driver.say("carol", "three", 4), Outcome::Done);
    driver.hear(b":alice!a@h PRIVMSG bob :one\r\n");
    assert_eq!(driver.take_events(), [""; 0]);
    driver.hear(b":alice!a@h PRIVMSG bob :two\r\n");
    assert_eq!(driver.take_events(), ["Sent { id: 3 }"]);
    // Written with another client of hers.
    driver.hear(b":alice!a@h PRIVMSG Bob :hello\r\n:alice!a@h PRIVMSG #x :hello\r\n");
    assert_eq!(driver.take_events(), ["bob -> hello"]);
    // No echo, and a server that is alive.
    driver.pass(29_999);
    assert_eq!(driver.take_events(), [""; 0]);
    driver.pass(1);
    assert_eq!(driver.take_events(), ["Sent { id: 4 }"]);
    driver.take_sent();
    for (is_on, sent) in [(true, "@+typing=active TAGMSG bob\r\n"), (true, ""), (false, "@+typing=done TAGMSG bob\r\n")]
    {
        assert_eq!(driver.told(Command::Typing { to: "bob", is_on }), Outcome::Done);
        assert_eq!(driver.take_sent(), sent);
    }
}

fn add(driver: &mut Driver, nicks: &[&str]) {
    for who in nicks {
        assert_eq!(driver.told(Command::Add { who, name: "" }), Outcome::Done);
    }
}

#[test]
fn who_is_there_by_question() {
    for way in WAYS {
        let mut driver = Driver::online(way, "", "");
        add(&mut driver, &["bob", "carol"]);
        assert_eq!(driver.take_sent(), "");
        driver.pass(300);
        assert_eq!(driver.take_sent(), "ISON bob carol\r\n");
        driver.hear(b":s 303 alice :Bob \r\n");
        assert_eq!(driver.take_events(), ["bob Available", "carol Offline"]);
        driver.pass(15_000);
        assert_eq!(driver.take_sent(), "ISON bob carol\r\nUSERHOST bob\r\n");
        driver.hear(b":s 303 alice :bob\r\n:s 302 alice :bob*=-~b@h\r\n");
        assert_eq!(driver.take_sent(), "WHOIS bob\r\n");
        driver.hear(b":s 311 alice bob ~b h * :Bob\r\n:s 301 alice bob :gone fishing\r\n:s 318 alice bob :End\r\n");
        assert_eq!(driver.take_events(), ["bob Away gone fishing"]);
        driver.pass(60_000);
        driver.hear(b":s 303 alice :bob carol\r\n:s 302 alice :bob=-~b@h\r\n");
        assert_eq!(driver.take_events(), ["carol Available"]);
        driver.hear(b":s 302 alice :bob=+~b@h\r\n");
        assert_eq!(driver.take_events(), ["bob Available"]);
        assert_eq!(driver.told(Command::Remove { who: "carol" }), Outcome::Done);
        driver.hear(b":s 303 alice :\r\n");
        assert_eq!(driver.take_events(), [""; 0]);
        driver.pass(60_000);
        assert!(driver.take_sent().contains("ISON bob\r\n"));
        driver.hear(b":s 303 alice :\r\n:s 401 alice bob :x\r\n");
        assert_eq!(driver.take_events(), ["bob Offline"]);
    }
}

#[test]
fn who_is_there_by_push() {
    for way in WAYS {
        let mut driver = Driver::online(way, "away-notify extended-monitor", "WATCH=128 MONITOR=100");
        add(&mut driver, &["bob", "carol"]);
        driver.pass(300);
        assert_eq!(driver.take_sent(), "MONITOR + bob,carol\r\n");
        driver.hear(b":s 730 alice :Bob!b@h,eve!e@h\r\n:s 731 alice :carol\r\n:bob!b@h AWAY :tea\r\n:bob!b@h AWAY\r\n");
        assert_eq!(driver.take_events(), ["bob Available", "carol Offline", "bob Away tea", "bob Available"]);
        assert_eq!(driver.told(Command::Remove { who: "bob" }), Outcome::Done);
        assert_eq!(driver.take_sent(), "MONITOR - bob\r\n");
        // It turns out to have no room.
        driver.hear(b":s 734 alice 100 carol :full\r\n");
        driver.pass(2000);
        assert_eq!(driver.take_sent(), "ISON carol\r\n");
        let mut driver = Driver::online(way, "", "WATCH=128");
        add(&mut driver, &["bob", "carol"]);
        driver.pass(300);
        assert_eq!(driver.take_sent(), "WATCH +bob +carol\r\n");
        driver.hear(b":s 604 alice bob b h 1 :is online\r\n:s 605 alice carol * * 0 :is offline\r\n:s 601 alice bob b h 1 :x\r\n");
        assert_eq!(driver.take_events(), ["bob Available", "carol Offline", "bob Offline"]);
    }
}

#[test]
fn many_are_asked_for_in_turn() {
    let mut driver = Driver::online(usize::MAX, "", "");
    let nicks: Vec<String> = (0..100).map(|i| format!("somebody{i:03}")).collect();
    add(&mut driver, &nicks.iter().map(String::as_str).collect::<Vec<_>>());
    let long = "x".repeat(64);
    assert!(matches!(driver.told(Command::Add { who: &long, name: "" }), Outcome::Unable(_)));
    driver.pass(30_000);
    let asked = driver.take_sent();
    for nick in &nicks {
        assert_eq!(asked.matches(&format!(" {nick}")).count(), 1, "{nick}");
    }
}

#[test]
fn her_presence() {
    let mut driver = Driver::online(usize::MAX, "", "AWAYLEN=8");
    for (show, text, sent) in [
        (Show::Available, "hi", ""),
        (Show::Away, "At Home (17:05)", "AWAY :At Home \r\n"),
        (Show::Away, "At Home (17:06)", ""),
        (Show::Busy, "", "AWAY :busy\r\n"),
        (Show::Offline, "", "AWAY :not here\r\n"),
        (Show::Away, "b\u{f6}\r\nQUIT", "AWAY :b\u{f6}  QUI\r\n"),
        (Show::Available, "", "AWAY\r\n"),
        (Show::Available, "", ""),
    ] {
        assert_eq!(driver.told(Command::Presence { show, text }), Outcome::Done);
        assert_eq!(driver.take_sent(), sent);
    }
}

#[test]
fn signs_of_life() {
    let mut driver = Driver::online(usize::MAX, "", "");
    driver.pass(90_000);
    assert_eq!(driver.take_sent(), "PING :pcsd\r\n");
    driver.hear(b":s PONG s :pcsd\r\n");
    driver.pass(90_000);
    assert_eq!((driver.take_sent().as_str(), driver.end), ("PING :pcsd\r\n", None));
    driver.pass(30_000);
    assert_eq!(driver.end, Some(End::Retry("the server does not answer")));
    let mut driver = Driver::online(usize::MAX, "", "");
    assert_eq!(driver.told(Command::Quit), Outcome::Done);
    assert_eq!(driver.take_sent(), "QUIT :bye\r\n");
    driver.hear(b"ERROR :\"bye\"\r\n");
    assert_eq!(driver.end, Some(End::Done));
}

#[test]
fn lines_that_are_too_long() {
    for way in WAYS {
        let mut driver = Driver::online(way, "", "");
        let mut bytes = b":bob!b@h PRIVMSG alice :".to_vec();
        bytes.extend(std::iter::repeat_n(b'x', 5000));
        bytes.extend(b"\r\n:bob!b@h PRIVMSG alice :short\r\n");
        driver.hear(&bytes);
        assert_eq!(driver.take_events(), ["bob <- short"]);
    }
}

/// What a server said to one client in a transcript.
fn transcript(name: &str, who: &str) -> Option<Vec<u8>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/networks/transcripts").join(name);
    let Ok(text) = fs::read_to_string(&path) else {
        println!("skipped: there is no {}", path.display());
        return None;
    };
    let mut bytes = Vec::new();
    for line in text.lines() {
        let mut parts = line.trim_start().splitn(4, ' ').skip(1);
        let (whose, rest) = (parts.next().unwrap_or_default(), line.split_once("S< "));
        if let (true, Some((_, said))) = (whose == who, rest) {
            bytes.extend(said.replace("\\x01", "\x01").bytes().chain(*b"\r\n"));
        }
    }
    assert!(bytes.len() > 500, "{name} has little of {who}");
    Some(bytes)
}

#[test]
fn transcripts() {
    for way in WAYS {
        if let Some(bytes) = transcript("irc.txt", "alice") {
            let mut driver = Driver::new(way);
            driver.account.password = Password::default();
            driver.connect(false);
            driver.hear(&bytes);
            assert_eq!(driver.irc.mapping, CaseMapping::Ascii);
            let events = driver.take_events();
            assert_eq!(events[..2], ["Online { is_resumed: false }", "bob <- fine, thanks"]);
            assert!(events[2].contains("waves"), "{events:?}");
            assert_eq!(driver.end, Some(End::Retry("the server has ended the connection")));
        }
        if let Some(bytes) = transcript("bitlbee-irc.txt", "irc") {
            let mut driver = Driver::new(way);
            driver.connect(false);
            driver.hear(&bytes);
            assert_eq!(
                (driver.take_events(), driver.end),
                (["Online { is_resumed: false }".to_string()].to_vec(), None)
            );
            assert_eq!((driver.irc.watching, driver.irc.nick.as_str()), (Watching::Watch, "home"));
        }
    }
}

#[test]
fn mutated_conversations() {
    let mut seeds = [("irc.txt", "alice"), ("bitlbee-irc.txt", "irc")]
        .into_iter()
        .filter_map(|(name, who)| transcript(name, who))
        .collect::<Vec<_>>();
    seeds.push(
        b":s CAP * LS :sasl\r\n@time=2026-11-22T06:00:00Z;msgid=x :bob!b@h PRIVMSG alice :\x01ACTION \x0304,12x\x01\r\n\
          :s 730 alice :bob!b@h,carol!c@h\r\n:s 303 alice :bob\r\n:s 302 alice :bob*=-b@h carol=+c@h\r\n:s 301 alice bob :x\r\n\
          :s 401 alice bob :x\r\n:alice!a@h NICK :a\r\n:s 005 alice CASEMAPPING=ascii AWAYLEN=3 WATCH=1 MONITOR=1 :x\r\n"
            .to_vec(),
    );
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut below = |bound: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % bound as u64) as usize
    };
    for _ in 0..600 {
        let mut bytes = seeds[below(seeds.len())].clone();
        for _ in 0..=below(8) {
            let (at, other) = (below(bytes.len()), below(bytes.len()));
            match below(5) {
                0 => bytes[at] = below(256) as u8,
                1 => bytes[at] = b"\r\n :@!=,\x01\x03"[below(10)],
                2 => bytes.truncate(at.max(1)),
                3 => drop(bytes.drain(at.min(other)..at.max(other).max(at.min(other) + 1).min(bytes.len()))),
                _ => {
                    let piece = bytes[at..(at + 40).min(bytes.len())].to_vec();
                    drop(bytes.splice(other..other, piece));
                }
            }
            if bytes.is_empty() {
                bytes.push(b'\n');
            }
        }
        fuzz(&bytes);
    }
}
