//! Every table full, each with its own answer (`base/limits.rs`). Meant for the `small` board; the same holds at any size
//! as far as one home's rate limits let a test go there.

use crate::message::Msg;
use crate::phone::{Manner, Phone};
use crate::world::{HOME, LAN, Link, World, seeds};
use pcsd::base::limits::{
    BINDINGS, BINDINGS_PER_PERSON, BLOCKS_2K, BLOCKS_8K, BLOCKS_64K, CLIENT_TRANSACTIONS, CONTEXTS, NONCES, PEOPLE,
    SERVER_TRANSACTIONS, SOURCES, STREAMS,
};

const ALICE: &str = "sip:alice@home.example";

/// A world where nobody is over the rate limit: here the tables are the limit.
fn unlimited() -> World {
    let mut world = World::new(1);
    let text = HOME.replace(
        "option domain",
        "list unlimited '198.51.100.9'\n    list unlimited '192.168.1.30'\n    option domain",
    );
    world.configure(0, &text);
    world
}

fn counters(world: &World) -> pcsd::sip::stack::Counters {
    world.home().status(world.instant()).counters
}

/// More calls at once than there is room for: some ring, the others are told to come back, and all end.
#[test]
fn contexts_and_transactions_full_of_unfinished_calls() {
    let mut world = unlimited();
    let alice = world.online("alice", 10, Manner::ringing());
    let eve = world.stranger(9);
    let wanted = SERVER_TRANSACTIONS + 4;
    let calls: Vec<_> = (0..wanted).map(|_| world.invite(eve, ALICE)).collect();
    world.run(2_000);
    let refused: Vec<_> = calls.iter().filter(|call| world.outcome(**call).is_some()).copied().collect();
    let ringing = wanted - refused.len();
    assert_eq!(ringing, world.count(alice, "INVITE"));
    assert!((1..=CONTEXTS).contains(&ringing), "{ringing} ring");
    for call in &refused {
        assert_eq!(world.outcome(*call), Some(503));
        assert!(!world.answer(*call).get("Retry-After").is_empty());
    }
    assert!(counters(&world).overloaded > 0);
    // Hanging up works with the tables as full as that.
    let open: Vec<_> = calls.iter().filter(|call| !refused.contains(call)).copied().collect();
    open.iter().for_each(|call| world.cancel(*call));
    world.run(5_000);
    for call in open {
        assert_eq!(world.outcome(call), Some(487));
    }
    // And there is room again at once: what is finished gives way.
    let again = world.message(eve, ALICE);
    assert_eq!(world.outcome_of(again), Some(200));
    world.finish();
}

/// Finished transactions give way: any number of requests one after the other, faster than they are forgotten.
#[test]
fn finished_transactions_give_way() {
    let mut world = unlimited();
    world.online("alice", 10, Manner::POLITE);
    let eve = world.stranger(9);
    for _ in 0..3 * SERVER_TRANSACTIONS.max(CLIENT_TRANSACTIONS) {
        let call = world.message(eve, ALICE);
        assert_eq!(world.outcome_of(call), Some(200));
    }
    assert_eq!(counters(&world).overloaded, 0);
    world.finish();
}

/// Messages to devices that do not answer take up the client transactions; whoever comes then is answered all the same.
#[test]
fn client_transactions_full_of_unfinished_branches() {
    let mut world = unlimited();
    let devices: Vec<usize> =
        (0..BINDINGS_PER_PERSON as u8).map(|i| world.online("alice", 10 + i, Manner::deaf())).collect();
    let eve = world.stranger(9);
    let wanted = CLIENT_TRANSACTIONS / devices.len() + 2;
    let calls: Vec<_> = (0..wanted).map(|_| world.message(eve, ALICE)).collect();
    world.run(26_000);
    for call in calls {
        let status = world.outcome(call);
        assert!(matches!(status, Some(480 | 500 | 503)), "{status:?}");
    }
    for device in devices {
        world.phones[device].manner = Manner::POLITE;
    }
    let call = world.message(eve, ALICE);
    assert_eq!(world.outcome_of(call), Some(200));
    world.finish();
}

#[test]
fn bindings_of_a_person_and_of_all() {
    let mut text = HOME.to_string();
    let extra = PEOPLE - 3;
    for person in 0..extra {
        text += &format!("config person 'p{person}'\n    option password 'x'\n");
    }
    let mut world = World::new(1);
    world.configure(0, &text);
    let people: Vec<(String, &str)> = [("alice", "wonderland"), ("bob", "builder"), ("carol", "singer")]
        .iter()
        .map(|(user, password)| (user.to_string(), *password))
        .chain((0..extra).map(|person| (format!("p{person}"), "x")))
        .collect();
    let (mut total, mut is_full) = (0, false);
    let mut refused = None;
    for (number, (user, password)) in people.iter().enumerate() {
        for device in 0..=BINDINGS_PER_PERSON {
            let phone = world.add(Phone::new(user, password, &format!("192.168.1.{}:{}", 10 + number, 5060 + device)));
            let call = world.register(phone, 3600);
            let status = world.outcome_of(call);
            let expected = match () {
                () if device == BINDINGS_PER_PERSON => 403,
                () if total == BINDINGS => 503,
                () => 200,
            };
            assert_eq!(status, Some(expected), "device {device} of {user}, {total} are there");
            total += usize::from(expected == 200);
            if expected == 503 {
                assert!(!world.answer(call).get("Retry-After").is_empty());
                is_full = true;
                refused = Some(phone);
                break;
            }
        }
    }
    assert_eq!(world.bindings(), total);
    assert!(is_full || BINDINGS >= PEOPLE * BINDINGS_PER_PERSON, "{total} of {BINDINGS}");
    if let Some(phone) = refused {
        // One goes, another may come.
        let gone = world.register(0, 0);
        assert_eq!(world.outcome_of(gone), Some(200));
        let call = world.register(phone, 3600);
        assert_eq!(world.outcome_of(call), Some(200));
    }
    // A refresh needs no room.
    let again = world.register(1, 3600);
    assert_eq!(world.outcome_of(again), Some(200));
    world.finish();
}

#[test]
fn streams_give_way_or_are_refused() {
    let mut world = unlimited();
    // Idle ones without a binding give way, oldest first. She has no limit of her own.
    let eve = world.add(Phone::new("eve", "", "192.168.1.30:5060").tcp().stranger("sip:eve@elsewhere.example"));
    let idle: Vec<usize> = (0..STREAMS + 2)
        .map(|_| {
            let conn = world.connect(eve, LAN.parse().unwrap());
            world.run(1_000);
            conn
        })
        .collect();
    assert!(!world.conns[idle[0]].is_open, "the one idle longest");
    assert!(world.conns[*idle.last().unwrap()].is_open);
    let alice = world.join(Phone::new("alice", "wonderland", "192.168.1.10:5060").tcp());
    for _ in 0..2 * STREAMS {
        world.connect(eve, LAN.parse().unwrap());
        world.run(1_000);
    }
    assert!(world.bindings() == 1 && !world.phones[alice].open_conns().is_empty(), "one with a binding stays");
    let stranger = world.stranger(9);
    let call = world.message(stranger, ALICE);
    assert_eq!(world.outcome_of(call), Some(200));
    world.finish();
}

#[test]
fn a_dropped_nonce_is_stale_and_never_good_for_a_replay() {
    let mut world = unlimited();
    let alice = world.phone("alice", 10);
    let first = world.register(alice, 3600);
    assert_eq!(world.outcome_of(first), Some(200));
    let used = world.phones[alice].clients[world.phones[alice].last_of(first.1)].request.clone();
    let bob = world.phone("bob", 30);
    for _ in 0..NONCES + 1 {
        world.phones[bob].forget_nonces();
        let call = world.register(bob, 3600);
        assert_eq!(world.outcome_of(call), Some(200));
        world.run(10);
    }
    world.phones[alice].manner.proves = false;
    let mut replay = used;
    replay.set("Via", "SIP/2.0/UDP 192.168.1.10:5060;branch=;rport");
    replay.set("CSeq", "900 REGISTER");
    replay.set("Contact", "<sip:thief@192.168.1.66:5060>");
    let now = world.now;
    let call = (alice, world.phones[alice].send_as_is(now, replay));
    assert_eq!(world.outcome_of(call), Some(401));
    assert!(world.answer(call).get("WWW-Authenticate").contains("stale=true"));
    assert_eq!(world.bindings(), 2);
    // Her own next use of it is stale, too, and then she is in.
    world.phones[alice].manner.proves = true;
    let call = world.register(alice, 3600);
    assert_eq!(world.outcome_of(call), Some(200));
    world.finish();
}

#[test]
fn a_flood_from_many_sources_does_not_lock_the_home_out() {
    let mut world = World::new(1);
    world.ledger.is_limited = true;
    let alice = world.online("alice", 10, Manner::POLITE);
    // One source floods, and as many others as the table holds and more say something.
    let request = |number: usize, from: &str| {
        let msg = Msg::request("OPTIONS", "sip:home.example")
            .with("Via", &format!("SIP/2.0/UDP {from};branch=z9hG4bKf{number};rport"))
            .with("Max-Forwards", "70")
            .with("From", "<sip:x@flood.example>;tag=1")
            .with("To", "<sip:home.example>")
            .with("Call-ID", &format!("flood{number}"))
            .with("CSeq", "1 OPTIONS");
        msg.bytes()
    };
    for number in 0..3_000 {
        world.inject("198.51.100.200:5060", crate::world::WAN, &request(number, "198.51.100.200"));
    }
    world.run(10);
    assert!(counters(&world).limited > 2_000, "{}", counters(&world).limited);
    for number in 0..4 * SOURCES {
        let from = format!("203.0.{}.{}:5060", 100 + number / 250, number % 250 + 1);
        world.inject(&from, crate::world::WAN, &request(10_000 + number, &from));
        world.run(1);
    }
    let bob = world.online("bob", 30, Manner::POLITE);
    let call = world.message(bob, ALICE);
    assert_eq!(world.outcome_of(call), Some(200));
    assert_eq!(world.count(alice, "MESSAGE"), 1);
    world.finish();
}

/// Messages so large that the store is full long before the tables are.
#[test]
fn message_blocks_full() {
    let mut world = unlimited();
    world.online("alice", 10, Manner::deaf());
    let eve = world.stranger(9);
    let wanted = (BLOCKS_8K + BLOCKS_64K + 3).min(CONTEXTS + 3);
    let calls: Vec<_> = (0..wanted)
        .map(|_| {
            let mut request = world.phones[eve].request("MESSAGE", ALICE, &format!("<{ALICE}>"));
            request.remove("Contact");
            request.body = vec![b'x'; 5_000];
            world.send(eve, request)
        })
        .collect();
    world.run(26_000);
    let statuses: Vec<_> = calls.iter().map(|call| world.outcome(*call)).collect();
    assert!(statuses.iter().all(|status| matches!(status, Some(480 | 500 | 503))), "{statuses:?}");
    assert!(statuses.contains(&Some(503)), "{statuses:?}");
    let small = world.message(eve, ALICE);
    world.phones[0].manner = Manner::POLITE;
    assert_eq!(world.outcome_of(small), Some(200));
    world.finish();
}

/// Everything at once on tables that are too small for it, over bad links: no panic, no silence, nothing left.
#[test]
fn storm() {
    for seed in seeds(25) {
        storm_of(seed);
    }
}

#[test]
fn a_seed_gives_the_same_run_again() {
    let runs = [storm_of(7), storm_of(7), storm_of(8)];
    assert!(runs[0] == runs[1] && runs[0] != runs[2], "{runs:?}");
}

/// One storm; its fingerprint.
fn storm_of(seed: u64) -> u64 {
    let mut world = World::new(seed);
    let text = HOME.replace("option domain", "list unlimited '192.168.1.30'\n    option domain");
    world.configure(0, &text);
    let mut phones = Vec::new();
    for (user, last, is_tcp) in [("alice", 10, false), ("alice", 11, true), ("bob", 30, false), ("carol", 40, true)] {
        let phone = Phone::new(user, crate::script::password(user), &format!("192.168.1.{last}:5060"));
        let phone = world.add(if is_tcp { phone.tcp() } else { phone });
        // In the smallest tables what is finished is forgotten before its retransmissions have ended.
        world.phones[phone].may_get_twice = SERVER_TRANSACTIONS < 64;
        let now = world.now;
        world.phones[phone].stay_registered(now, 120);
        phones.push(phone);
    }
    phones.push(world.stranger(9));
    world.phones[phones[4]].may_get_twice = SERVER_TRANSACTIONS < 64;
    world.run(20_000);
    world.link = Link { piece: 200, ..Link::BAD };
    let mut calls = Vec::new();
    for _ in 0..60 {
        let from = phones[world.random.below(5) as usize];
        let to = ["alice", "bob", "carol", "nobody", "alice"][world.random.below(5) as usize];
        let uri = format!("sip:{to}@home.example");
        for phone in &phones {
            let after = world.random.below(4_000);
            world.phones[*phone].manner = match world.random.below(8) {
                0 => Manner::deaf(),
                1 => Manner::ringing(),
                2 => Manner::answering(after, 486),
                3 => Manner { races_cancel: true, ..Manner::ringing() },
                _ => Manner::answering(after, 200),
            };
        }
        match world.random.below(6) {
            0..=2 => calls.push(world.invite(from, &uri)),
            3 | 4 => {
                world.message(from, &uri);
            }
            _ => {
                if let Some(dialog) = world.phones[from].dialogs.iter().position(|dialog| !dialog.is_over) {
                    world.in_dialog(from, dialog, "BYE");
                }
            }
        }
        if world.random.chance(300)
            && let Some(call) = calls.last().copied()
            && world.outcome(call).is_none()
        {
            world.cancel(call);
        }
        if world.random.chance(50) {
            let victim = phones[1 + 2 * world.random.below(2) as usize];
            if let Some(conn) = world.phones[victim].open_conns().first().copied() {
                world.hang_up_of(victim, conn, true);
            }
        }
        let pause = world.random.below(1_500);
        world.run(pause);
    }
    for call in calls {
        if world.outcome(call).is_none() {
            world.cancel(call);
        }
    }
    let fingerprint = world.fingerprint();
    world.finish();
    fingerprint
}

/// Answers kept for repetition give way to a CANCEL too, else the phone would ring on.
#[test]
fn a_cancel_finds_room_among_finished_transactions() {
    let mut world = unlimited();
    let alice = world.online("alice", 10, Manner::ringing());
    let eve = world.stranger(9);
    let from = format!("\"{}\" <sip:eve@elsewhere.example>;tag=1", "x".repeat(500));
    for _ in 0..BLOCKS_2K + BLOCKS_8K + BLOCKS_64K {
        let mut message = world.phones[eve].request("MESSAGE", ALICE, &format!("<{ALICE}>"));
        message.set("From", &from);
        let call = world.send(eve, message);
        assert_eq!(world.outcome_of(call), Some(200));
    }
    let mut invite = world.phones[eve].request("INVITE", ALICE, &format!("<{ALICE}>"));
    invite.set("From", &from);
    let call = world.send(eve, invite);
    world.run(1_000);
    assert_eq!(world.count(alice, "INVITE"), 1);
    world.cancel(call);
    world.run(1_000);
    assert_eq!((world.count(alice, "CANCEL"), world.outcome(call)), (1, Some(487)));
    world.finish();
}
