//! Messages (RFC 3428, RFC 4320) in the simulated world.

use crate::phone::Manner;
use crate::world::{Link, World, seeds};

const ALICE: &str = "sip:alice@home.example";

fn missed(world: &World, contact: &str) -> u32 {
    let device = world.home().devices(world.instant()).find(|device| device.contact.to_string().contains(contact));
    device.expect("the device is registered").missed
}

#[test]
fn every_device_gets_it_and_a_dead_one_is_remembered() {
    let mut world = World::new(1);
    let living = [world.online("alice", 10, Manner::POLITE), world.online("alice", 11, Manner::POLITE)];
    let dead = world.online("alice", 12, Manner::POLITE);
    world.phones[dead].is_off = true;
    let eve = world.stranger(9);
    let sent_at = world.now;
    let call = world.message(eve, ALICE);
    assert_eq!(world.outcome_of(call), Some(200));
    assert!(world.now - sent_at < 1_000, "nobody waits for the dead one");
    world.run(30_000);
    for phone in living {
        assert_eq!(world.count(phone, "MESSAGE"), 1);
        assert_eq!(world.phones[phone].got("MESSAGE")[0].body, b"hello");
        assert!(world.phones[phone].got("MESSAGE")[0].values("Record-Route").is_empty());
    }
    assert_eq!(missed(&world, "192.168.1.12"), 1);
    assert_eq!((missed(&world, "192.168.1.10"), missed(&world, "192.168.1.11")), (0, 0));
    assert_eq!(world.home().status(world.instant()).counters.missed_messages, 1);
    world.finish();
}

#[test]
fn all_dead_is_480_within_25_s() {
    let mut world = World::new(1);
    for last in 10..13 {
        let phone = world.online("alice", last, Manner::POLITE);
        world.phones[phone].is_off = true;
    }
    let eve = world.stranger(9);
    let sent_at = world.now;
    let call = world.message(eve, ALICE);
    assert_eq!(world.outcome_of(call), Some(480));
    assert!(world.now - sent_at <= 25_000);
    for contact in ["192.168.1.10", "192.168.1.11", "192.168.1.12"] {
        assert_eq!(missed(&world, contact), 1);
    }
    world.finish();
}

#[test]
fn other_requests_to_the_dead_are_answered_in_time_too() {
    let mut world = World::new(1);
    let phone = world.online("alice", 10, Manner::deaf());
    let eve = world.stranger(9);
    for method in ["OPTIONS", "INFO", "X-TEST"] {
        let request = world.phones[eve].request(method, ALICE, &format!("<{ALICE}>"));
        let sent_at = world.now;
        let call = world.send(eve, request);
        assert_eq!(world.outcome_of(call), Some(480), "{method}");
        assert!(world.now - sent_at <= 25_000);
    }
    assert_eq!(missed(&world, &world.phones[phone].address.to_string()), 0, "only messages count");
    world.finish();
}

#[test]
fn a_device_that_refuses_the_type_is_not_a_missed_one() {
    let mut world = World::new(1);
    world.online("alice", 10, Manner { message: Some(415), ..Manner::POLITE });
    world.online("alice", 11, Manner::POLITE);
    let eve = world.stranger(9);
    let call = world.message(eve, ALICE);
    assert_eq!(world.outcome_of(call), Some(200));
    assert_eq!(missed(&world, "192.168.1.10"), 0);
    world.finish();
}

#[test]
fn devices_that_say_they_take_no_messages_get_none() {
    let mut world = World::new(1);
    let mut desk = crate::phone::Phone::new("alice", "wonderland", "192.168.1.10:5060");
    desk.register_fields.push(("Allow".into(), "INVITE, ACK, BYE, CANCEL".into()));
    let desk = world.join(desk);
    let eve = world.stranger(9);
    let call = world.message(eve, ALICE);
    assert_eq!(world.outcome_of(call), Some(480));
    let cell = world.online("alice", 11, Manner::POLITE);
    let call = world.message(eve, ALICE);
    assert_eq!(world.outcome_of(call), Some(200));
    assert_eq!((world.count(desk, "MESSAGE"), world.count(cell, "MESSAGE")), (0, 1));
    world.finish();
}

/// A refusal is the same each time the request comes again, although the credentials in it are used up by the first.
#[test]
fn a_refusal_is_repeated_as_it_was() {
    for method in ["MESSAGE", "INVITE"] {
        let mut world = World::new(1);
        let bob = world.online("bob", 30, Manner::POLITE);
        let mut mismatched = crate::phone::Phone::new("bob", "builder", "192.168.1.31:5060");
        mismatched.aor = "sip:carol@home.example".into();
        let mismatched = world.add(mismatched);
        world.link.duplicate = 1_000;
        for (phone, uri, expected) in
            [(bob, "sip:nobody@home.example", 404), (bob, ALICE, 480), (mismatched, ALICE, 403)]
        {
            let request = world.phones[phone].request(method, uri, &format!("<{uri}>"));
            let call = world.send(phone, request);
            assert_eq!(world.outcome_of(call), Some(expected));
        }
        world.finish();
    }
}

/// However bad the links, a message is answered, and what was answered with 200 was delivered.
#[test]
fn messages_over_bad_links() {
    for seed in seeds(60) {
        let mut world = World::new(seed);
        let devices = [10, 11].map(|last| world.online("alice", last, Manner::POLITE));
        let bob = world.online("bob", 30, Manner::POLITE);
        let eve = world.stranger(9);
        world.link = Link::BAD;
        let mut accepted = 0;
        for round in 0..8 {
            if round == 4 {
                world.phones[devices[0]].is_off = true;
            }
            let from = if world.random.chance(500) { bob } else { eve };
            let call = world.message(from, ALICE);
            assert!(world.settled(call, 100_000));
            accepted += usize::from(world.outcome(call) == Some(200));
            let pause = world.random.below(20_000);
            world.run(pause);
        }
        world.run(10_000);
        let got = world.count(devices[0], "MESSAGE").max(world.count(devices[1], "MESSAGE"));
        assert!(got >= accepted.min(4) && accepted >= 4, "{accepted} accepted, {got} delivered");
        world.finish();
    }
}
