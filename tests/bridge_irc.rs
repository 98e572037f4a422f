//! The connector for IRC against a simulated server, in virtual time.

#![cfg(feature = "irc")]

#[path = "support/irc_server.rs"]
mod irc_server;

use heapless::Vec as Few;
use irc_server::IrcServer;
use pcsd::base::random::Random;
use pcsd::base::text::Writer;
use pcsd::base::time::{Instant, earliest};
use pcsd::bridge::irc::Irc;
use pcsd::bridge::{Command, End, Env, Event, Link, OUT_BYTES, Outcome, SCRATCH_BYTES, Show, Step, Stop};
use pcsd::config::model::{Account, LineWay, Network, Password, Security};

/// A client on a connection.
struct Client {
    irc: Irc,
    account: Account,
    random: Random,
    conn: usize,
    waiting: Vec<u8>,
    events: Vec<String>,
    end: Option<End>,
}

impl Client {
    fn new(server: &mut IrcServer, now: Instant, nick: &str, password: &str) -> Self {
        let account = Account {
            id: nick.try_into().unwrap(),
            person: 0,
            network: Network::Irc,
            address: nick.try_into().unwrap(),
            login: Default::default(),
            password: Password(password.try_into().unwrap()),
            host: "irc.test".try_into().unwrap(),
            port: None,
            way: LineWay::Tcp,
            path: Default::default(),
            security: Security::Off,
            pins: Few::new(),
            ca: Default::default(),
        };
        let (conn, random) = (server.connect(), Random::new());
        let (waiting, events) = (Vec::new(), Vec::new());
        let mut client = Self { irc: Irc::new(), account, random, conn, waiting, events, end: None };
        client.call(server, now, |irc, env, _| {
            irc.begin(env);
            irc.connected(env, Link(0), false);
        });
        client
    }

    /// Lends the connector what it needs, and hands on what it sends.
    fn call<R>(
        &mut self,
        server: &mut IrcServer,
        now: Instant,
        call: impl FnOnce(&mut Irc, &mut Env<'_, '_>, &mut Vec<String>) -> R,
    ) -> R {
        let mut room = vec![0; OUT_BYTES];
        let mut out = Writer::new(&mut room);
        let mut env = Env { now, time: None, random: &mut self.random, account: &self.account, out: &mut out };
        let result = call(&mut self.irc, &mut env, &mut self.events);
        let len = out.finish().expect("it fits");
        server.input(self.conn, &room[..len]);
        result
    }

    fn command(&mut self, server: &mut IrcServer, now: Instant, command: Command<'_>) -> Outcome {
        self.call(server, now, |irc, env, _| irc.command(env, &command))
    }

    /// One thing that is to be done now; whether there was one.
    fn step(&mut self, server: &mut IrcServer, now: Instant) -> bool {
        self.waiting.extend(server.output(self.conn));
        let waiting = std::mem::take(&mut self.waiting);
        let is_due = self.irc.deadline().is_some_and(|at| at <= now);
        let (taken, end, is_more) = self.call(server, now, |irc, env, events| {
            let mut scratch = vec![0; SCRATCH_BYTES];
            let (taken, step) = match waiting.is_empty() {
                false => irc.received(env, Link(0), (&waiting, false), &mut scratch),
                true if is_due => (0, irc.due(env, &mut scratch)),
                true => (0, Step::Nothing),
            };
            let (end, is_more) = match step {
                Step::Event(event) => {
                    events.extend(short(&event));
                    (None, true)
                }
                Step::End(end) => (Some(end), false),
                Step::Nothing => (None, false),
                _ => (None, true),
            };
            (taken, end, is_more)
        });
        self.waiting = waiting[taken..].to_vec();
        self.end = self.end.or(end);
        is_more
    }

    fn take(&mut self) -> Vec<String> {
        std::mem::take(&mut self.events)
    }
}

fn short(event: &Event<'_>) -> Option<String> {
    match event {
        Event::Presence { who, show, text, .. } => Some(format!("{who} {show:?} {text}").trim_end().to_string()),
        Event::Message(message) => Some(format!("{}: {}", message.who, message.text)),
        Event::Sent { id } => Some(format!("sent {id}")),
        Event::Failed { id, .. } => Some(format!("failed {id}")),
        Event::Online { .. } => Some("online".to_string()),
        _ => None,
    }
}

/// Lets time pass until `until`; each client does what is due.
fn run(server: &mut IrcServer, clients: &mut [&mut Client], now: &mut Instant, ms: u64) {
    let until = now.plus(ms);
    for _ in 0..10_000 {
        let mut is_busy = false;
        for client in clients.iter_mut().filter(|client| client.end.is_none()) {
            is_busy |= client.step(server, *now);
        }
        if is_busy {
            continue;
        }
        let live = clients.iter().filter(|client| client.end.is_none());
        let next = live.fold(None, |next, client| earliest(next, client.irc.deadline()));
        match next {
            Some(at) if at <= until => *now = at.max(*now),
            _ => {
                *now = until;
                return;
            }
        }
    }
    panic!("it never comes to rest");
}

#[test]
fn two_people() {
    for (has_monitor, capabilities) in [(false, ""), (true, "message-tags echo-message")] {
        let mut server = IrcServer::new();
        (server.has_monitor, server.capabilities) = (has_monitor, capabilities.to_string());
        let mut now = Instant::from_millis(1000);
        let mut alice = Client::new(&mut server, now, "Alice", "");
        run(&mut server, &mut [&mut alice], &mut now, 1000);
        assert_eq!(alice.take(), ["online"]);
        let watch = Command::Add { who: "bob", name: "Bob" };
        assert_eq!(alice.command(&mut server, now, watch), Outcome::Done);
        run(&mut server, &mut [&mut alice], &mut now, 1000);
        assert_eq!(alice.take(), ["bob Offline"]);
        let text = |id, text| Command::Send { to: "bob", text, id, is_automatic: false };
        assert_eq!(alice.command(&mut server, now, text(1, "there?")), Outcome::Done);
        run(&mut server, &mut [&mut alice], &mut now, 1000);
        assert_eq!(alice.take().last().map(String::as_str), Some("failed 1"));
        // He comes, and is away.
        let mut bob = Client::new(&mut server, now, "bob", "");
        run(&mut server, &mut [&mut alice, &mut bob], &mut now, 61_000);
        assert_eq!((alice.take(), bob.take()), (vec!["bob Available".to_string()], vec!["online".to_string()]));
        let away = Command::Presence { show: Show::Away, text: "At Home (17:05)" };
        assert_eq!(bob.command(&mut server, now, away), Outcome::Done);
        assert_eq!(server.away("bob"), Some("At Home (17:05)"));
        run(&mut server, &mut [&mut alice, &mut bob], &mut now, 61_000);
        assert_eq!(alice.take(), ["bob Away At Home (17:05)"]);
        let long = "Gr\u{fc}\u{df}e ".repeat(100);
        assert_eq!(alice.command(&mut server, now, text(2, &long)), Outcome::Done);
        run(&mut server, &mut [&mut alice, &mut bob], &mut now, 4000);
        assert!(alice.take().contains(&"sent 2".to_string()));
        let heard: String =
            bob.take().iter().map(|line| line.strip_prefix("alice: ").expect("her words").to_string()).collect();
        assert_eq!(heard, long);
        // He goes.
        assert_eq!(bob.command(&mut server, now, Command::Quit), Outcome::Done);
        run(&mut server, &mut [&mut alice, &mut bob], &mut now, 61_000);
        assert_eq!((bob.end, server.nicks()), (Some(End::Done), vec!["Alice"]));
        assert_eq!(alice.take(), ["bob Offline"]);
    }
}

#[test]
fn nick_in_use_and_wrong_password() {
    let mut server = IrcServer::new();
    server.password = "secret".to_string();
    let mut now = Instant::from_millis(1000);
    let mut first = Client::new(&mut server, now, "alice", "secret");
    run(&mut server, &mut [&mut first], &mut now, 1000);
    let mut second = Client::new(&mut server, now, "alice", "secret");
    let mut third = Client::new(&mut server, now, "carol", "wrong");
    run(&mut server, &mut [&mut first, &mut second, &mut third], &mut now, 1000);
    assert_eq!(server.nicks(), ["alice", "alice_"]);
    assert_eq!((second.end, third.end), (None, Some(End::Stop(Stop::Password))));
    // A cut, and another login.
    server.close(first.conn);
    assert_eq!(server.nicks(), ["alice_"]);
}
