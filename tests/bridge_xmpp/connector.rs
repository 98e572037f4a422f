//! The XMPP connector as a user of the simulated server: what a person does, cuts at any byte, and servers that are hostile.

use pcsd::bridge::{Command, End, Outcome, Show, Stop, Target};

use crate::driver::{Driver, Heard, State, account};
use crate::server;
use crate::xmpp_server::{Fault, Got, XmppServer};

const ALICE: &str = "alice@example.org";
const BOB: &str = "bob@example.org";
const CAROL: &str = "carol@example.org";
/// Cuts are made at every so many bytes; odd, so that each place in a conversation is met sooner or later.
const STRIDE: usize = 7;

/// Alice and bob know each other; he is there.
fn friends() -> XmppServer {
    let mut server = server();
    server.befriend("alice", "bob");
    server.user_presence("bob", "", "at home");
    server
}

fn alice() -> Driver {
    Driver::new(account("alice's secret"))
}

/// Alice, online after a second.
fn online(server: &mut XmppServer) -> Driver {
    let mut alice = alice();
    alice.run(server, 1000);
    assert_eq!(alice.state, State::Online);
    assert_eq!((alice.attempts, alice.logins), (1, 1));
    alice
}

fn bodies(got: &[Got]) -> Vec<&str> {
    let bodies = got.iter().filter_map(|got| match got {
        Got::Message { body, .. } => Some(body.as_str()),
        _ => None,
    });
    bodies.collect()
}

fn heard(who: &str, text: &str) -> Heard {
    Heard { who: who.into(), text: text.into(), is_own: false, is_kept: false }
}

#[test]
fn logs_in_by_whatever_is_offered() {
    for (sha_256, sha_1, plain) in [(true, true, true), (false, true, true), (false, false, true)] {
        for chunk in [usize::MAX, 1] {
            let mut server = friends();
            (server.options.scram_sha_256, server.options.scram_sha_1, server.options.plain) = (sha_256, sha_1, plain);
            server.options.wants_session = chunk == 1;
            let mut alice = alice();
            alice.chunk = chunk;
            alice.run(&mut server, 1000);
            assert_eq!(alice.state, State::Online, "{sha_256} {sha_1} {plain} {chunk}");
            assert!(alice.is_list_told);
            assert_eq!(alice.contacts.keys().collect::<Vec<_>>(), [BOB]);
            assert_eq!(alice.how_is(BOB), (Show::Available, "at home"));
            assert_eq!(server.unanswered("alice"), 0);
        }
    }
}

#[test]
fn a_wrong_password_stops_it() {
    let mut server = friends();
    let mut alice = Driver::new(account("guess"));
    alice.run(&mut server, 3_600_000);
    assert_eq!(alice.state, State::Stopped(Stop::Password));
    assert_eq!(alice.attempts, 1);
}

#[test]
fn a_server_that_does_not_know_the_password_is_left() {
    let mut server = friends();
    server.options.has_wrong_signature = true;
    let mut alice = alice();
    alice.run(&mut server, 10_000);
    assert_eq!((alice.logins, alice.contacts.len()), (0, 0));
    assert!(matches!(alice.ends[..], [End::Retry(_) | End::Stop(Stop::Refused(_)), ..]), "{:?}", alice.ends);
    assert!(server.sessions("alice").is_empty(), "it does not bind there");
}

#[test]
fn presence_both_ways() {
    let mut server = friends();
    let mut alice = online(&mut server);
    let shown = |got: Vec<Got>| {
        got.into_iter().rev().find_map(|got| match got {
            Got::Presence { from, show, status } if from.starts_with(ALICE) => Some((show, status)),
            _ => None,
        })
    };
    assert_eq!(shown(server.inbox("bob")), Some((String::new(), String::new())));
    for (show, word) in [(Show::Away, "away"), (Show::Busy, "dnd"), (Show::ExtendedAway, "xa"), (Show::Available, "")] {
        alice.show(show, "Über & <out>");
        server.user_presence("bob", word, "his \"own\" <word>");
        alice.run(&mut server, 2000);
        assert_eq!(shown(server.inbox("bob")), Some((word.into(), "Über & <out>".into())));
        assert_eq!(alice.how_is(BOB), (show, "his \"own\" <word>"));
    }
    server.user_presence("bob", "unavailable", "");
    alice.run(&mut server, 3000);
    assert_eq!(alice.how_is(BOB).0, Show::Offline);
    server.user_presence("bob", "", "");
    assert_eq!(alice.command(&Command::Quit), Outcome::Done);
    alice.run(&mut server, 4000);
    assert_eq!(alice.state, State::Done);
    assert_eq!(shown(server.inbox("bob")).unwrap().0, "unavailable");
    assert!(server.sessions("alice").is_empty());
}

#[test]
fn messages_both_ways() {
    let mut server = friends();
    let mut alice = online(&mut server);
    server.inbox("bob");
    let text = "Hallo Böb, 1 < 2 & \"so\"\n\tauf'm Weg ✓";
    alice.say(1, BOB, text);
    alice.run(&mut server, 2000);
    assert_eq!(bodies(&server.inbox("bob")), [text]);
    assert_eq!((alice.sent.as_slice(), alice.waiting()), ([1].as_slice(), 0));
    assert_eq!(alice.received, [(1, false)]);
    let id = server.user_says("bob", ALICE, text);
    alice.run(&mut server, 3000);
    assert_eq!(alice.heard, [heard(BOB, text)]);
    let got = server.inbox("bob");
    assert!(got.iter().any(|got| matches!(got, Got::Receipt { id: of, .. } if *of == id)), "{got:?}");
    alice.typing.clear();
    server.user_types("bob", ALICE, "composing");
    server.user_types("bob", ALICE, "paused");
    alice.run(&mut server, 4000);
    assert_eq!(alice.typing, [(BOB.to_owned(), true), (BOB.to_owned(), false)]);
    assert_eq!(alice.command(&Command::Typing { to: BOB, is_on: true }), Outcome::Done);
    alice.run(&mut server, 5000);
    let got = server.inbox("bob");
    assert!(got.iter().any(|got| matches!(got, Got::Typing { state, .. } if state == "composing")), "{got:?}");
    alice.say(2, "nobody@example.org", "anybody?");
    alice.run(&mut server, 6000);
    assert_eq!((alice.failed.len(), alice.failed[0].0), (1, 2));
}

#[test]
fn what_was_kept_and_what_she_says_elsewhere() {
    let mut server = friends();
    server.user_says("bob", ALICE, "are you there?");
    let mut alice = online(&mut server);
    assert_eq!(alice.heard.len(), 1, "once, though the archive has it too: {:?}", alice.heard);
    assert!(alice.heard[0].is_kept && alice.heard[0].text == "are you there?");
    server.user_says("alice", BOB, "from my laptop");
    alice.run(&mut server, 2000);
    let own = Heard { is_own: true, ..heard(BOB, "from my laptop") };
    assert_eq!(alice.heard[1..], [own]);
}

#[test]
fn buddies_come_and_go() {
    let mut server = friends();
    server.user_presence("carol", "", "");
    let mut alice = online(&mut server);
    server.user_subscription("carol", ALICE, "subscribe");
    alice.run(&mut server, 2000);
    assert_eq!(alice.requests, [(CAROL.to_owned(), String::new())]);
    assert_eq!(alice.command(&Command::Authorise { who: CAROL, is_allowed: true }), Outcome::Done);
    assert_eq!(alice.command(&Command::Add { who: CAROL, name: "Carol <c>" }), Outcome::Done);
    alice.run(&mut server, 3000);
    server.user_subscription("carol", ALICE, "subscribed");
    alice.run(&mut server, 4000);
    assert_eq!(server.roster_entry("alice", CAROL), Some(("Carol <c>".into(), "both".into())));
    assert_eq!(alice.contacts[CAROL], ("Carol <c>".to_owned(), true, false));
    assert_eq!(alice.how_is(CAROL).0, Show::Available);
    assert_eq!(alice.command(&Command::Remove { who: CAROL }), Outcome::Done);
    alice.run(&mut server, 5000);
    assert_eq!(server.roster_entry("alice", CAROL), None);
    assert!(!alice.contacts.contains_key(CAROL));
    server.user_subscription("carol", ALICE, "subscribe");
    alice.run(&mut server, 6000);
    assert_eq!(alice.command(&Command::Authorise { who: CAROL, is_allowed: false }), Outcome::Done);
    alice.run(&mut server, 7000);
    let no = Got::Subscription { from: ALICE.into(), kind: "unsubscribed".into() };
    assert!(server.inbox("carol").contains(&no));
    assert_eq!(server.unanswered("alice"), 0);
}

/// A conversation of three texts each way, with a cut after `fuel` bytes; how many bytes it takes.
fn conversation(fuel: Option<usize>, chunk: usize, has_management: bool) -> usize {
    let what = format!("cut at {fuel:?}, chunks of {chunk}, management {has_management}");
    let mut server = friends();
    server.options.has_management = has_management;
    // Without stream management the archive fills the gap, from the last message that was seen.
    server.user_says("bob", ALICE, "before");
    let mut alice = alice();
    alice.chunk = chunk;
    if !has_management {
        // The first time there is nothing to take up from.
        alice.run(&mut server, 3000);
    }
    (alice.fuel, alice.passed) = (fuel, 0);
    let mut got = Vec::new();
    for round in 1..=3 {
        let now_ms = u64::from(round) * 5000;
        alice.run(&mut server, now_ms);
        server.user_says("bob", ALICE, &format!("from bob {round}"));
        alice.say(round, BOB, &format!("from alice {round}"));
        alice.show(Show::Away, &format!("round {round}"));
        alice.run(&mut server, now_ms + 2500);
        got.extend(server.inbox("bob"));
    }
    alice.run(&mut server, 60_000);
    got.extend(server.inbox("bob"));
    assert_eq!(alice.state, State::Online, "{what}");
    assert!(alice.attempts <= 2, "{what}: {} attempts", alice.attempts);
    let texts: Vec<_> = alice.heard.iter().map(|heard| heard.text.as_str()).collect();
    assert_eq!(texts, ["before", "from bob 1", "from bob 2", "from bob 3"], "{what}");
    let mut said = bodies(&got);
    if !has_management {
        // Who can't know what arrived says it again; the id is the same, by which his client may tell.
        let ids = got.iter().filter_map(|got| if let Got::Message { id, .. } = got { Some(id) } else { None });
        let ids: Vec<_> = ids.collect();
        let mut n = 0;
        said.retain(|_| {
            n += 1;
            !ids[..n - 1].contains(&ids[n - 1])
        });
    }
    assert_eq!(said, ["from alice 1", "from alice 2", "from alice 3"], "{what}");
    assert_eq!(alice.waiting(), 0, "{what}");
    let last = got.iter().rev().find_map(|got| match got {
        Got::Presence { from, status, .. } if from.starts_with(ALICE) => Some(status.as_str()),
        _ => None,
    });
    assert_eq!(last, Some("round 3"), "{what}");
    assert_eq!((alice.how_is(BOB), alice.contacts.len()), ((Show::Available, "at home"), 1), "{what}");
    // An answer on its way may be lost with the connection: it is for the server to ask again.
    assert!(server.unanswered("alice") <= usize::from(fuel.is_some()), "{what}");
    alice.passed
}

#[test]
fn cut_anywhere_nothing_is_lost_or_doubled() {
    let total = conversation(None, usize::MAX, true);
    for at in (1..total).step_by(STRIDE) {
        conversation(Some(at), usize::MAX, true);
    }
    println!("a conversation of {total} bytes, cut at each {STRIDE}th");
    for at in (1..total).step_by(STRIDE * 13) {
        conversation(Some(at), 1, true);
    }
}

#[test]
fn cut_without_stream_management() {
    let total = conversation(None, usize::MAX, false);
    for at in (1..total).step_by(STRIDE * 3) {
        conversation(Some(at), usize::MAX, false);
    }
}

#[test]
fn a_session_is_resumed() {
    let mut server = friends();
    let mut alice = online(&mut server);
    server.cut(1000, alice.conn());
    alice.cut_by_peer();
    server.user_says("bob", ALICE, "while you were away");
    alice.run(&mut server, 5000);
    assert_eq!((alice.logins, alice.resumptions), (1, 1));
    assert_eq!(alice.heard.len(), 1);
    // And not after it has ended: then it begins anew, and the text is not lost.
    server.options.hibernation_ms = 500;
    server.cut(5000, alice.conn());
    alice.cut_by_peer();
    server.user_says("bob", ALICE, "and again");
    alice.run(&mut server, 20_000);
    assert_eq!((alice.logins, alice.resumptions, alice.heard.len()), (2, 1, 2), "{:?}", alice.heard);
}

#[test]
fn streams_that_end_with_a_reason() {
    let cases = [
        (Fault::Conflict, End::Stop(Stop::Elsewhere)),
        (Fault::SeeOtherHost("other.example.org:5333".into()), End::Moved),
    ];
    for (fault, end) in cases {
        let mut server = friends();
        let mut alice = online(&mut server);
        server.inject(alice.conn(), &fault);
        alice.run(&mut server, 1500);
        assert_eq!(alice.ends, [end], "{fault:?}");
        match alice.target() {
            Some(Target::Host { host, port, domain, .. }) if end == End::Moved => {
                assert_eq!((host.as_str(), port, domain.as_str()), ("other.example.org", 5333, "example.org"));
            }
            other => assert_ne!(end, End::Moved, "{other:?}"),
        }
    }
    for (fault, until_ms) in [(Fault::SystemShutdown, 10_000), (Fault::Malformed, 600_000), (Fault::EntityBomb, 10_000)]
    {
        let mut server = friends();
        let mut alice = online(&mut server);
        server.inject(alice.conn(), &fault);
        alice.run(&mut server, until_ms);
        assert!(matches!(alice.ends[..], [End::Retry(_)]), "{fault:?}: {:?}", alice.ends);
        assert_eq!(alice.state, State::Online, "{fault:?}");
        assert!(alice.heard.is_empty());
    }
}

#[test]
fn what_is_forged_is_not_taken() {
    let mut server = friends();
    let mut alice = online(&mut server);
    let conn = alice.conn();
    for from in [BOB, "eve@example.org", "example.org", "alice@example.org.evil", "alice@example.orgx/pcs"] {
        server.inject(conn, &Fault::ForgedCarbon { from: from.into(), body: "pay me".into() });
        server.inject(conn, &Fault::StrangerPush { from: from.into(), jid: "eve@example.org".into() });
    }
    alice.run(&mut server, 2000);
    assert!(alice.heard.is_empty(), "{:?}", alice.heard);
    // Of the pushes only that of the server itself is its own.
    alice.contacts.remove("eve@example.org");
    assert_eq!(alice.contacts.keys().collect::<Vec<_>>(), [BOB]);
    server.user_says("bob", ALICE, "still here");
    alice.run(&mut server, 3000);
    assert_eq!(alice.heard, [heard(BOB, "still here")]);
    assert_eq!(alice.attempts, 1);
}

#[test]
fn what_is_too_large_is_passed_over() {
    for window_bytes in [2048, 8192] {
        for fault in [Fault::Oversized(60_000), Fault::Nested(400)] {
            let mut server = friends();
            let mut alice = alice();
            alice.window_bytes = window_bytes;
            alice.run(&mut server, 1000);
            server.inject(alice.conn(), &fault);
            server.user_says("bob", ALICE, "and this fits");
            alice.run(&mut server, 10_000);
            assert_eq!(alice.heard.last(), Some(&heard(BOB, "and this fits")), "{fault:?} {window_bytes}");
            // Counted all the same: else the server would send it again, and again.
            server.cut(10_000, alice.conn());
            alice.cut_by_peer();
            alice.run(&mut server, 20_000);
            assert_eq!(alice.state, State::Online, "{fault:?} {window_bytes}");
            assert_eq!(server.unacknowledged("alice"), 0, "{fault:?} {window_bytes}");
        }
    }
}

#[test]
fn a_huge_roster_is_read() {
    for window_bytes in [2048, 8192] {
        let mut server = friends();
        server.fill_roster("alice", 5000, 40);
        let mut alice = alice();
        alice.window_bytes = window_bytes;
        alice.run(&mut server, 5000);
        assert_eq!(alice.state, State::Online);
        assert!(alice.is_list_told);
        assert_eq!(alice.contacts.len(), 5001);
        assert_eq!(alice.attempts, 1);
    }
}
