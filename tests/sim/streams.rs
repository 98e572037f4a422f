//! Streams (RFC 3261 §18.3; RFC 5626) in the simulated world.

use crate::message::Msg;
use crate::phone::{Manner, Phone};
use crate::world::{LAN, Link, World, seeds};
use pcsd::base::limits::{BINDINGS_PER_PERSON, CONTEXTS, STREAMS};

const ALICE: &str = "sip:alice@home.example";
const INSTANCE: &str = "+sip.instance=\"<urn:uuid:00000000-0000-1000-8000-000a95a0e128>\"";

fn tcp(user: &str, last: u8) -> Phone {
    Phone::new(user, crate::script::password(user), &format!("192.168.1.{last}:5060")).tcp()
}

/// A phone that asks for a flow of RFC 5626.
fn outbound(user: &str, last: u8, reg_id: u8) -> Phone {
    let mut phone = tcp(user, last).contact(&format!(";{INSTANCE};reg-id={reg_id}"));
    phone.register_fields.push(("Supported".into(), "path, outbound".into()));
    phone.listens = false;
    phone
}

fn streams(world: &World) -> usize {
    world.home().status(world.instant()).streams
}

/// The only connection of a phone, and which end of it the phone is.
fn conn_of(world: &World, phone: usize) -> usize {
    let conns = world.phones[phone].open_conns();
    assert_eq!(conns.len(), 1);
    conns[0]
}

#[test]
fn a_ping_is_answered_on_the_flow() {
    let mut world = World::new(1);
    let phone = world.join(outbound("alice", 10, 1));
    let registered = world.answer((phone, 0)).clone();
    assert!(registered.get("Require").contains("outbound") && !registered.get("Flow-Timer").is_empty());
    let conn = conn_of(&world, phone);
    for pings in 1..4 {
        world.send_bytes(conn, 0, b"\r\n\r\n");
        world.run(50_000);
        assert_eq!(world.phones[phone].pongs, pings);
    }
    world.finish();
}

#[test]
fn the_death_of_a_flow_ends_its_binding() {
    for is_reset in [false, true] {
        let mut world = World::new(1);
        let phone = world.join(outbound("alice", 10, 1));
        assert_eq!(world.bindings(), 1);
        let conn = conn_of(&world, phone);
        world.hang_up(conn, 0, is_reset);
        world.run(1_000);
        assert_eq!((world.bindings(), streams(&world)), (0, 0));
        let eve = world.stranger(9);
        let call = world.message(eve, ALICE);
        assert_eq!(world.outcome_of(call), Some(480));
        world.finish();
    }
}

#[test]
fn a_message_comes_once_though_there_are_two_flows() {
    let mut world = World::new(1);
    let phones = [world.join(outbound("alice", 10, 1)), world.join(outbound("alice", 10, 2))];
    assert_eq!(world.bindings(), 2);
    let eve = world.stranger(9);
    for method in ["MESSAGE", "OPTIONS"] {
        let request = world.phones[eve].request(method, ALICE, &format!("<{ALICE}>"));
        let call = world.send(eve, request);
        assert_eq!(world.outcome_of(call), Some(200));
        world.run(1_000);
        assert_eq!(phones.map(|phone| world.count_of_others(phone, method)).iter().sum::<usize>(), 1, "{method}");
    }
    world.finish();
}

#[test]
fn a_phone_that_closed_in_order_is_called_back() {
    let mut world = World::new(1);
    let phone = world.join(tcp("alice", 10));
    let conn = conn_of(&world, phone);
    world.hang_up(conn, 0, false);
    world.run(1_000);
    assert_eq!(world.bindings(), 1);
    let eve = world.stranger(9);
    let call = world.invite(eve, ALICE);
    assert_eq!(world.outcome_of(call), Some(200));
    assert_eq!(world.count(phone, "INVITE"), 1);
    let bye = world.in_dialog(eve, 0, "BYE");
    assert_eq!(world.outcome_of(bye), Some(200));
    // And when nobody listens there any more, the caller learns of it at once.
    let conn = *world.phones[phone].open_conns().last().unwrap();
    world.hang_up(conn, 1, false);
    world.phones[phone].listens = false;
    world.run(1_000);
    let called_at = world.now;
    let call = world.message(eve, ALICE);
    let status = world.outcome_of(call);
    assert!(matches!(status, Some(480 | 500)), "{status:?}");
    assert!(world.now - called_at < 5_000);
    world.finish();
}

#[test]
fn byte_by_byte() {
    let mut world = World::new(1);
    world.link.piece = 1;
    let alice = world.join(tcp("alice", 10));
    let bob = world.join(tcp("bob", 30));
    let call = world.invite(bob, ALICE);
    assert_eq!(world.outcome_of(call), Some(200));
    world.run(1_000);
    assert_eq!(world.count(alice, "ACK"), 1);
    let bye = world.in_dialog(alice, 0, "BYE");
    assert_eq!(world.outcome_of(bye), Some(200));
    world.finish();
}

#[test]
fn several_messages_in_one_piece() {
    let mut world = World::new(1);
    let alice = world.join(tcp("alice", 10));
    let eve = world.add(tcp("eve", 66).stranger("sip:eve@elsewhere.example"));
    let conn = world.connect(eve, LAN.parse().unwrap());
    let mut bytes = b"\r\n\r\n".to_vec();
    let wanted = CONTEXTS.min(5);
    for number in 0..wanted {
        let mut request = world.phones[eve].request("MESSAGE", ALICE, &format!("<{ALICE}>"));
        let via = request.get("Via").replace("branch=;", &format!("branch=z9hG4bKx{number};"));
        request.set("Via", &via);
        request.body = format!("number {number}").into_bytes();
        bytes.extend(request.bytes());
    }
    world.phones[eve].manner = Manner::deaf();
    world.phones[eve].is_sink = true;
    world.send_bytes(conn, 0, &bytes);
    world.run(5_000);
    assert_eq!(world.count(alice, "MESSAGE"), wanted);
    world.finish();
}

fn large(world: &mut World, phone: usize, len: usize) -> Msg {
    let mut request = world.phones[phone].request("MESSAGE", ALICE, &format!("<{ALICE}>"));
    request.remove("Contact");
    request.body = (0..len).map(|i| b'a' + (i % 26) as u8).collect();
    request
}

#[test]
fn a_large_message_passes_and_a_huge_one_is_refused() {
    let mut world = World::new(1);
    world.link.piece = 1_460;
    let alice = world.join(tcp("alice", 10));
    let bob = world.join(tcp("bob", 30));
    let request = large(&mut world, bob, 30_000);
    let call = world.send(bob, request.clone());
    assert_eq!(world.outcome_of(call), Some(200));
    assert_eq!(world.phones[alice].got("MESSAGE")[0].body, request.body);
    let request = large(&mut world, bob, 70_000);
    let call = world.send(bob, request);
    assert_eq!(world.outcome_of(call), Some(513));
    world.run(1_000);
    assert!(world.phones[bob].open_conns().is_empty(), "the connection is closed: what follows can't be framed");
    assert_eq!(world.count(alice, "MESSAGE"), 1);
    world.finish();
}

#[test]
fn a_slow_loris_costs_one_slot_for_a_while() {
    let mut world = World::new(1);
    let alice = world.join(tcp("alice", 10));
    let eve = world.add(tcp("eve", 66).stranger("sip:eve@elsewhere.example"));
    let conn = world.connect(eve, LAN.parse().unwrap());
    // A byte each two seconds never ends the head.
    let head = b"INVITE sip:alice@home.example SIP/2.0\r\nVia: SIP/2.0/TCP x\r\nSubject: aaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    for byte in head.iter().take(40) {
        world.send_bytes(conn, 0, std::slice::from_ref(byte));
        world.run(2_000);
    }
    assert!(!world.conns[conn].is_open, "timed out");
    assert_eq!(streams(&world), 1);
    let bob = world.online("bob", 30, Manner::POLITE);
    let call = world.message(bob, ALICE);
    assert_eq!(world.outcome_of(call), Some(200));
    assert_eq!(world.count(alice, "MESSAGE"), 1);
    world.finish();
}

#[test]
fn a_peer_that_takes_nothing_is_let_go() {
    let mut world = World::new(1);
    let alice = world.join(tcp("alice", 10));
    let conn = conn_of(&world, alice);
    world.conns[conn].stalled[0] = true;
    let bob = world.online("bob", 30, Manner::POLITE);
    let call = world.message(bob, ALICE);
    let status = world.outcome_of(call);
    assert!(matches!(status, Some(480 | 500)), "{status:?}");
    world.run(40_000);
    assert_eq!((streams(&world), world.bindings()), (0, 1), "her flow is gone, Bob is there");
    world.finish();
}

#[test]
fn a_silent_connection_is_let_go() {
    let mut world = World::new(1);
    let eve = world.add(tcp("eve", 66));
    let conn = world.connect(eve, LAN.parse().unwrap());
    world.run(60_000);
    assert_eq!(streams(&world), 1);
    world.run(600_000);
    assert_eq!((streams(&world), world.conns[conn].is_open), (0, false));
    // One with a binding is kept as long as that.
    world.join(tcp("alice", 10));
    world.run(1_000_000);
    assert_eq!(streams(&world), 1);
    world.finish();
}

/// Two flows of one phone: (first, second), the second registered later.
fn two_flows(world: &mut World) -> (usize, usize) {
    const { assert!(BINDINGS_PER_PERSON >= 2 && STREAMS >= 2, "no board is smaller than this test") };
    let first = world.join(outbound("alice", 10, 1));
    world.run(1_000);
    (first, world.join(outbound("alice", 11, 2)))
}

#[test]
fn of_two_flows_one_rings() {
    let mut world = World::new(1);
    let (first, second) = two_flows(&mut world);
    assert_eq!(world.bindings(), 2);
    let eve = world.stranger(9);
    let call = world.invite(eve, ALICE);
    assert_eq!(world.outcome_of(call), Some(200));
    assert_eq!(world.count(first, "INVITE") + world.count(second, "INVITE"), 1);
    let message = world.message(eve, ALICE);
    assert_eq!(world.outcome_of(message), Some(200));
    assert_eq!(world.count(first, "MESSAGE") + world.count(second, "MESSAGE"), 1);
    // The device has refused: its other flow is not asked.
    for phone in [first, second] {
        world.phones[phone].manner = Manner::answering(100, 486);
    }
    let call = world.invite(eve, ALICE);
    assert_eq!(world.outcome_of(call), Some(486));
    assert_eq!(world.count(first, "INVITE") + world.count(second, "INVITE"), 2);
    world.finish();
}

#[test]
fn the_second_flow_is_tried_when_the_first_is_dead() {
    for death in ["430", "no answer", "reset before", "reset during"] {
        let mut world = World::new(1);
        let (first, second) = two_flows(&mut world);
        let eve = world.stranger(9);
        match death {
            "430" => world.phones[second].manner = Manner::answering(100, 430),
            _ => world.phones[second].manner = Manner::deaf(),
        }
        if death == "reset before" {
            let conn = conn_of(&world, second);
            world.hang_up(conn, 0, true);
            world.run(100);
            assert_eq!(world.bindings(), 1);
        }
        let call = world.invite(eve, ALICE);
        if death == "reset during" {
            world.run(1_000);
            let conn = conn_of(&world, second);
            world.hang_up(conn, 0, true);
        }
        assert_eq!(world.outcome_of(call), Some(200), "{death}");
        assert_eq!(world.count(first, "INVITE"), 1, "{death}");
        world.finish();
    }
}

#[test]
fn a_message_finds_the_living_flow_in_time() {
    let mut world = World::new(1);
    let (first, second) = two_flows(&mut world);
    world.phones[second].manner = Manner::deaf();
    let eve = world.stranger(9);
    let sent_at = world.now;
    let call = world.message(eve, ALICE);
    assert_eq!(world.outcome_of(call), Some(200));
    assert!(world.now - sent_at <= 25_000);
    assert_eq!(world.count(first, "MESSAGE"), 1);
    world.finish();
}

/// The caller's stream is gone when the call fails: there is nobody to tell, and nothing may wait for that.
#[test]
fn a_call_that_fails_after_its_caller_is_gone_leaves_nothing() {
    for manner in [Manner::answering(3_000, 486), Manner::answering(3_000, 200), Manner::ringing(), Manner::deaf()] {
        let mut world = World::new(1);
        world.online("alice", 10, manner);
        let bob = world.join(tcp("bob", 30));
        world.invite(bob, ALICE);
        world.message(bob, ALICE);
        world.run(1_000);
        let conn = conn_of(&world, bob);
        world.hang_up(conn, 0, true);
        world.finish();
    }
}

/// Streams cut anywhere and reset at any moment: everybody is told, nothing is left.
#[test]
fn resets_at_any_moment() {
    for seed in seeds(60) {
        let mut world = World::new(seed);
        world.link = Link { piece: 300, ..Link::BAD };
        let alice = world.add(tcp("alice", 10));
        let bob = world.add(tcp("bob", 30));
        for phone in [alice, bob] {
            let now = world.now;
            world.phones[phone].stay_registered(now, 120);
        }
        world.run(10_000);
        for _ in 0..10 {
            let from = if world.random.chance(500) { alice } else { bob };
            let call = if world.random.chance(500) {
                world.invite(from, if from == bob { ALICE } else { "sip:bob@home.example" })
            } else {
                world.message(from, if from == bob { ALICE } else { "sip:bob@home.example" })
            };
            let wait = world.random.below(4_000);
            world.run(wait);
            if world.random.chance(500) {
                let victim = if world.random.chance(500) { alice } else { bob };
                if let Some(conn) = world.phones[victim].open_conns().first().copied() {
                    let is_reset = world.random.chance(700);
                    world.hang_up_of(victim, conn, is_reset);
                }
            }
            if world.outcome(call).is_none() && world.random.chance(300) {
                world.cancel(call);
            }
            let rest = world.random.below(30_000);
            world.run(rest);
        }
        world.finish();
    }
}
