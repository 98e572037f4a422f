//! Restarts at any moment under load: what was acknowledged is there again (server/journal.rs, home/binding.rs,
//! sip/token.rs, sip/digest.rs), in one boot and over a loss of power.

use crate::message::param;
use crate::phone::{Manner, Phone};
use crate::script::Call;
use crate::world::{HOME, Link, World, seeds};
use pcsd::base::limits::{BINDINGS, BINDINGS_PER_PERSON, HELD, SERVER_TRANSACTIONS};
use pcsd::server::contract::Storage;

const ALICE: &str = "sip:alice@home.example";

/// Contact and remaining seconds of every binding.
pub fn bindings(world: &World) -> Vec<(String, u64)> {
    let now = world.instant();
    let mut all: Vec<_> = world.home().devices(now).map(|it| (it.contact.to_string(), it.expires_s)).collect();
    all.sort();
    all
}

/// The seconds that the answer to a REGISTER gives a phone's own Contact.
pub fn told_s(world: &World, call: Call) -> Option<u64> {
    let contact = world.phones[call.0].contact_uri();
    let listed = world.answer(call).values("Contact");
    let own = listed.into_iter().find(|it| it.contains(&contact))?;
    param(&own, "expires")?.parse().ok()
}

/// Asks for the bindings without changing them.
fn query(world: &mut World, phone: usize) -> Call {
    let now = world.now;
    let call = (phone, world.phones[phone].register_as(now, "", None));
    assert_eq!(world.outcome_of(call), Some(200));
    call
}

#[test]
fn bindings_come_back_exactly_within_one_boot() {
    let mut world = World::new(1);
    let alice = world.phone("alice", 10);
    let registered = world.register(alice, 600);
    assert_eq!(world.outcome_of(registered), Some(200));
    let (bob, carol) = (world.phone("bob", 20), world.phone("carol", 30));
    for (phone, expires_s) in [(bob, 1200), (carol, 900)] {
        let call = world.register(phone, expires_s);
        assert_eq!(world.outcome_of(call), Some(200));
    }
    let gone = world.register(carol, 0);
    assert_eq!(world.outcome_of(gone), Some(200));
    world.run(100_000);
    let before = bindings(&world);
    assert_eq!(before.len(), 2);
    for _ in 0..5 {
        world.restart(0);
        assert_eq!(bindings(&world), before);
    }
    // Time in which nothing runs counts as any other.
    world.kill(0);
    world.run(50_000);
    world.start(0);
    let later: Vec<_> = before.iter().map(|(contact, s)| (contact.clone(), s - 50)).collect();
    assert_eq!(bindings(&world), later);
    let told = query(&mut world, alice);
    assert!((448..=450).contains(&told_s(&world, told).unwrap()), "{:?}", told_s(&world, told));
    // What has ended meanwhile stays away.
    world.kill(0);
    world.run(460_000);
    world.start(0);
    assert_eq!(world.bindings(), 1);
    let call = world.message(alice, "sip:bob@home.example");
    assert_eq!(world.outcome_of(call), Some(200));
    assert_eq!(world.count(bob, "MESSAGE"), 1);
    world.finish();
}

#[test]
fn after_a_reboot_a_binding_has_what_it_had_when_written() {
    let mut world = World::new(1);
    world.keep_at(0, Storage::Disk);
    let alice = world.phone("alice", 10);
    let call = world.register(alice, 600);
    assert_eq!(world.outcome_of(call), Some(200));
    world.run(200_000);
    world.cut_power(0);
    world.run(1_000_000);
    world.start(0);
    // It was off for longer than that; but nobody knows how long, and the phone may not have noticed.
    let after = bindings(&world);
    assert!(matches!(&after[..], [(_, 599..=600)]), "{after:?}");
    // What was written anew at that start counts for the next one within this boot.
    world.run(100_000);
    world.restart(0);
    assert!(matches!(&bindings(&world)[..], [(_, 499..=500)]), "{:?}", bindings(&world));
    world.run(501_000);
    assert_eq!(world.bindings(), 0);
    world.finish();
}

/// A start writes all it knows anew: whenever the power goes in that, nothing is lost.
#[test]
fn the_power_goes_again_while_a_start_writes_its_bindings() {
    for seed in seeds(30) {
        let mut world = World::new(seed);
        world.keep_at(0, Storage::Disk);
        for (user, last) in [("alice", 10), ("alice", 11), ("bob", 20), ("bob", 21), ("carol", 30)] {
            let phone = world.phone(user, last);
            let call = world.register(phone, 7_000);
            assert_eq!(world.outcome_of(call), Some(200));
        }
        let store = &mut world.servers[0].store;
        (store.room, store.delay) = (1, (100, 100));
        for cut in 0..4 {
            world.cut_power(0);
            world.start(0);
            assert_eq!(world.bindings(), 5, "seed {seed}, after {cut}");
            let ms = world.random.below(900);
            world.run(ms);
        }
        world.cut_power(0);
        world.servers[0].store.room = 16;
        world.start(0);
        assert_eq!(world.bindings(), 5, "seed {seed}");
        world.finish();
    }
}

#[test]
fn memory_is_empty_after_a_reboot() {
    let mut world = World::new(1);
    let alice = world.online("alice", 10, Manner::POLITE);
    world.cut_power(0);
    world.start(0);
    assert_eq!(world.bindings(), 0);
    let call = world.register(alice, 600);
    assert_eq!(world.outcome_of(call), Some(200));
    world.finish();
}

#[test]
fn bindings_over_streams_end_with_the_program() {
    let mut world = World::new(1);
    let alice = world.join(Phone::new("alice", "wonderland", "192.168.1.10:5060").tcp());
    world.online("bob", 20, Manner::POLITE);
    assert_eq!(world.bindings(), 2);
    world.restart(0);
    assert_eq!(world.bindings(), 1);
    world.run(100);
    assert!(world.phones[alice].open_conns().is_empty());
    let call = world.register(alice, 600);
    assert_eq!(world.outcome_of(call), Some(200));
    assert_eq!(world.bindings(), 2);
    world.finish();
}

#[test]
fn a_nonce_of_before_is_stale_and_the_phone_recovers() {
    for reboot in [false, true] {
        let mut world = World::new(1);
        world.keep_at(0, Storage::Disk);
        let alice = world.online("alice", 10, Manner::POLITE);
        let bob = world.online("bob", 20, Manner::POLITE);
        let call = world.message(bob, ALICE);
        assert_eq!(world.outcome_of(call), Some(200));
        world.run(1_000);
        if reboot {
            world.cut_power(0)
        } else {
            world.kill(0)
        }
        world.start(0);
        for call in [world.register(alice, 600), world.message(bob, ALICE)] {
            assert_eq!(world.outcome_of(call), Some(200));
            let challenge = &world.phones[call.0].clients[call.1].finals[0].1;
            let fields = challenge.get("WWW-Authenticate").to_string() + challenge.get("Proxy-Authenticate");
            assert!(fields.contains("stale=true"), "{fields}");
        }
        assert_eq!(world.home().status(world.instant()).counters.refused, 0, "nobody counts as a guesser");
        assert_eq!(world.bindings(), 2);
        world.finish();
    }
}

#[test]
fn a_register_whose_answer_was_lost_is_answered_after_the_restart() {
    let mut world = World::new(1);
    let alice = world.online("alice", 10, Manner::POLITE);
    let call = world.register(alice, 1200);
    world.run(2);
    // It was taken, and its answer goes out, to nobody.
    world.link.loss = 1_000;
    world.run(10);
    world.link = Link::GOOD;
    world.restart(0);
    assert_eq!(world.outcome_of(call), Some(200));
    assert_eq!(world.bindings(), 1);
    assert!(told_s(&world, call).unwrap() > 1_190);
    world.finish();
}

#[test]
fn calls_go_on_after_a_restart_without_a_challenge() {
    for reboot in [false, true] {
        for ends in [0, 1] {
            let mut world = World::new(1);
            world.keep_at(0, Storage::Disk);
            let alice = world.online("alice", 10, Manner::POLITE);
            let bob = world.online("bob", 20, Manner::POLITE);
            let eve = world.stranger(9);
            let call = world.invite(bob, ALICE);
            assert_eq!(world.outcome_of(call), Some(200));
            let call = world.invite(eve, ALICE);
            assert_eq!(world.outcome_of(call), Some(200));
            world.run(1_000);
            if reboot {
                world.cut_power(0)
            } else {
                world.kill(0)
            }
            world.start(0);
            // Dialog 0 is Bob's, dialog 1 Eve's.
            for (caller, dialog) in [(bob, 0), (eve, 1)] {
                let (one, other) = ((alice, dialog), (caller, 0));
                let (one, other) = if ends == 0 { (one, other) } else { (other, one) };
                for (from, to) in [(one, other), (other, one)] {
                    let call = world.in_dialog(from.0, from.1, "INVITE");
                    assert_eq!(world.outcome_of(call), Some(200), "re-INVITE");
                    assert!(world.phones[from.0].clients[call.1].successor.is_none(), "a challenge");
                    assert!(
                        world.phones[to.0].got("INVITE").last().unwrap().get("Call-ID")
                            == world.phones[from.0].dialogs[from.1].call_id
                    );
                    world.run(1_000);
                }
                let bye = world.in_dialog(one.0, one.1, "BYE");
                assert_eq!(world.outcome_of(bye), Some(200), "BYE");
                assert!(world.phones[one.0].clients[bye.1].successor.is_none(), "a challenge");
                assert!(world.phones[other.0].dialogs[other.1].is_over);
            }
            world.finish();
        }
    }
}

#[test]
fn nothing_is_acknowledged_before_it_is_durable() {
    let mut world = World::new(1);
    world.run(1_000);
    world.servers[0].store.is_stalled = true;
    let alice = world.phone("alice", 10);
    let call = world.register(alice, 600);
    world.run(1_000);
    assert_eq!(world.servers[0].store.waiting(), 1);
    assert_eq!(world.outcome(call), None, "a 200 before the record is durable");
    world.kill(0);
    world.servers[0].store.is_stalled = false;
    world.start(0);
    // Whether the record was written or not: the phone asks again and is answered.
    assert_eq!(world.outcome_of(call), Some(200));
    assert_eq!(world.bindings(), 1);
    world.finish();
}

#[test]
fn a_stalled_disk_costs_nobody_his_registration() {
    let mut world = World::new(1);
    world.servers[0].store.is_stalled = true;
    let alice = world.phone("alice", 10);
    let begun_at = world.now;
    let call = world.register(alice, 600);
    assert_eq!(world.outcome_of(call), Some(200));
    let took_ms = world.now - begun_at;
    assert!((3_900..=4_200).contains(&took_ms), "{took_ms} ms");
    // Everything else does not wait.
    let eve = world.stranger(9);
    let begun_at = world.now;
    let call = world.message(eve, ALICE);
    assert_eq!(world.outcome_of(call), Some(200));
    assert!(world.now - begun_at < 50);
    world.unstall(0);
    world.run(100);
    world.restart(0);
    assert_eq!(world.bindings(), 1);
    world.finish();
}

#[test]
fn a_burst_of_registrations_costs_few_groups() {
    let mut world = World::new(1);
    world.servers[0].store.delay = (50, 50);
    world.servers[0].store.room = 64;
    // As many as there is room for on any board.
    let most = BINDINGS.min(3 * BINDINGS_PER_PERSON).min(SERVER_TRANSACTIONS / 2).min(24) as u8;
    let phones: Vec<usize> =
        (0..most).map(|last| world.phone(["alice", "bob", "carol"][usize::from(last % 3)], 10 + last)).collect();
    world.run(5_000);
    let groups = world.servers[0].store.groups;
    let calls: Vec<Call> = phones.iter().map(|phone| world.register(*phone, 600)).collect();
    let begun_at = world.now;
    for call in &calls {
        assert_eq!(world.outcome_of(*call), Some(200));
    }
    assert!(world.now - begun_at <= 250, "{} ms", world.now - begun_at);
    assert!(world.servers[0].store.groups - groups <= 3, "{}", world.servers[0].store.groups - groups);
    let before = bindings(&world);
    assert_eq!(before.len(), usize::from(most));
    world.restart(0);
    assert_eq!(bindings(&world), before);
    world.finish();
}

#[test]
fn more_answers_than_can_wait_go_out_at_once() {
    let mut world = World::new(1);
    world.servers[0].store.is_stalled = true;
    world.servers[0].store.room = 4;
    let alice = world.phone("alice", 10);
    let mut calls = Vec::new();
    // Each one refreshes the same binding by a REGISTER of its own.
    for _ in 0..HELD + 3 {
        calls.push(world.register(alice, 600));
        world.run(20);
    }
    world.run(6_000);
    for call in calls {
        assert!(matches!(world.outcome_of(call), Some(200 | 500)), "{:?}", world.outcome(call));
    }
    assert_eq!(world.bindings(), 1);
    world.finish();
}

#[test]
fn without_storage_registrations_are_answered_at_once() {
    let mut world = World::new(1);
    world.keep_at(0, Storage::Absent);
    let alice = world.phone("alice", 10);
    let begun_at = world.now;
    let call = world.register(alice, 600);
    assert_eq!(world.outcome_of(call), Some(200));
    assert!(world.now - begun_at < 20);
    world.restart(0);
    assert_eq!(world.bindings(), 0);
    world.finish();
}

#[test]
fn every_new_place_is_given_everything() {
    let mut world = World::new(1);
    let alice = world.online("alice", 10, Manner::POLITE);
    let bob = world.online("bob", 20, Manner::POLITE);
    for place in [Storage::Disk, Storage::Absent, Storage::Memory, Storage::Disk, Storage::Memory] {
        world.keep_at(0, place);
        world.run(1_000);
        let kept = {
            let World { servers, random, .. } = &mut world;
            servers[0].store.current(random).len()
        };
        assert_eq!(kept, if place == Storage::Absent { 0 } else { 2 }, "{place:?}");
    }
    // An answer that waits for a place that goes away does not wait any longer.
    world.servers[0].store.is_stalled = true;
    let call = world.register(bob, 0);
    world.run(500);
    assert_eq!(world.outcome(call), None);
    world.keep_at(0, Storage::Absent);
    world.run(500);
    assert_eq!(world.outcome(call), Some(200));
    world.unstall(0);
    // The stick comes back, with what it had before he went.
    world.keep_at(0, Storage::Disk);
    world.run(1_000);
    assert_eq!(world.bindings(), 1, "who has gone stays away");
    let before = bindings(&world);
    assert_eq!(before[0].0, world.phones[alice].contact_uri());
    world.restart(0);
    assert_eq!(bindings(&world), before);
    world.finish();
}

#[test]
fn a_disk_that_fails_does_not_stop_the_house() {
    let mut world = World::new(1);
    world.servers[0].store.failing = 1_000;
    let alice = world.phone("alice", 10);
    let call = world.register(alice, 600);
    assert_eq!(world.outcome_of(call), Some(200));
    let eve = world.stranger(9);
    let call = world.message(eve, ALICE);
    assert_eq!(world.outcome_of(call), Some(200));
    world.finish();
}

#[test]
fn who_is_gone_from_the_configuration_does_not_come_back() {
    let alice = "config person 'alice'\n    option password 'wonderland'\n";
    let tv = "config device 'tv'\n    option person 'carol'\n    option password 'channel'\n    list takes 'video'\n";
    let moved = tv.replace("'carol'", "'bob'");
    // What is another, and who is there after it.
    let secret = HOME.replace("'wonderland'", "'another'");
    let secret_tv = HOME.replace("'channel'", "'another'");
    let secret_owner = HOME.replace("'singer'", "'another'");
    let cases = [
        (secret, vec!["bob", "carol"]),
        (secret_tv, vec!["alice", "bob"]),
        (secret_owner, vec!["alice", "bob"]),
        (HOME.to_string(), vec!["alice", "bob", "carol"]),
        (HOME.replace(alice, ""), vec!["bob", "carol"]),
        (HOME.replace(tv, ""), vec!["alice", "bob"]),
        (format!("{}{alice}", HOME.replace(alice, "")), vec!["alice", "bob", "carol"]),
        (HOME.replace(tv, &moved), vec!["alice", "bob"]),
    ];
    for (text, expected) in cases {
        let mut world = World::new(1);
        world.online("alice", 10, Manner::POLITE);
        let bob = world.online("bob", 20, Manner::POLITE);
        let mut tv = Phone::new("tv", "channel", "192.168.1.30:5060");
        tv.aor = "sip:carol@home.example".into();
        world.join(tv);
        world.kill(0);
        world.configure(0, &text);
        world.start(0);
        let mut people: Vec<_> = world.home().devices(world.instant()).map(|it| it.person.to_string()).collect();
        people.sort();
        assert_eq!(people, expected, "{text}");
        world.run(1_000);
        // Nor does it when the old configuration does: its record is gone.
        world.kill(0);
        world.configure(0, HOME);
        world.start(0);
        assert_eq!(world.bindings(), expected.len());
        let call = world.message(bob, "sip:bob@home.example");
        assert_eq!(world.outcome_of(call), Some(480), "his only device");
        world.finish();
    }
}

#[test]
fn corrupt_records_are_left_out() {
    let mut world = World::new(1);
    world.online("alice", 10, Manner::POLITE);
    world.online("bob", 20, Manner::POLITE);
    let whole = world.servers[0].store.memory.clone();
    let (first, bytes) = whole.iter().next().map(|(id, bytes)| (*id, bytes.clone())).unwrap();
    // Every truncation, every byte changed, and bytes that never were a record.
    let mut damaged: Vec<Vec<u8>> = (0..bytes.len()).map(|len| bytes[..len].to_vec()).collect();
    for at in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[at] ^= 1 << world.random.below(8);
        damaged.push(changed);
    }
    for _ in 0..300 {
        let len = world.random.below(200);
        damaged.push((0..len).map(|_| world.random.next() as u8).collect());
    }
    for record in damaged {
        let is_short = record.len() < bytes.len() && bytes.starts_with(&record);
        world.kill(0);
        world.servers[0].store.memory = whole.clone();
        world.servers[0].store.memory.insert(first, record);
        world.servers[0].store.memory.insert((99, 7), vec![1, 2, 3]);
        world.start(0);
        assert!((1..=2).contains(&world.bindings()), "the other one is there");
        assert!(!is_short || world.bindings() == 1, "half a record counts for nothing");
        world.run(10);
    }
    world.servers[0].store.memory.remove(&(99, 7));
    // Whatever came of it can be used.
    let eve = world.stranger(9);
    for person in ["alice", "bob"] {
        let call = world.message(eve, &format!("sip:{person}@home.example"));
        assert!(matches!(world.outcome_of(call), Some(200 | 480 | 500)), "{:?}", world.outcome(call));
    }
    world.servers[0].store.has_failed = true;
    world.run(8_000_000);
    world.finish();
}
