//! Presence over a restart in the simulated world (home/presence/journal.rs): watches over UDP, answers about watchers, and
//! what people have said of themselves are there again; publications are not, and their devices are told so.

use crate::phone::{Manner, Phone};
use crate::watching::{Seen, pidf};
use crate::world::World;
use pcsd::server::contract::Storage;

const ALICE: &str = "sip:alice@home.example";
const EVE: &str = "eve@elsewhere.example";

fn numbers(world: &World, watching: &crate::watching::Watching) -> Vec<u32> {
    let told = world.notices(watching).into_iter();
    told.map(|notice| notice.msg.get("CSeq").split(' ').next().unwrap().parse().unwrap()).collect()
}

#[test]
fn a_watch_goes_on_after_a_restart() {
    for place in [Storage::Memory, Storage::Disk] {
        let mut world = World::new(1);
        world.keep_at(0, place);
        let alice = world.online("alice", 10, Manner::POLITE);
        let bob = world.online("bob", 20, Manner::POLITE);
        let watching = world.subscribe(bob, ALICE, "presence", 900, &[]);
        let listed = world.subscribe(
            bob,
            "sip:bob-buddies@home.example",
            "presence",
            900,
            &[("Supported", "eventlist"), ("Accept", "multipart/related, application/rlmi+xml, application/pidf+xml")],
        );
        assert_eq!((world.outcome_of(watching.call), world.outcome_of(listed.call)), (Some(200), Some(200)));
        world.run(5_000);
        for _ in 0..3 {
            let before = world.notices(&watching).len();
            world.restart(0);
            world.run(3_000);
            assert!(world.notices(&watching).len() <= before + 1, "a start does not make a storm");
        }
        let gone = world.register(alice, 0);
        assert_eq!(world.outcome_of(gone), Some(200));
        world.run(2_500);
        assert_eq!(world.seen(&watching), Seen::offline(), "{place:?}");
        assert_eq!(world.seen_of(&listed, ALICE), Some(Seen::offline()), "{place:?}");
        assert!(numbers(&world, &watching).is_sorted_by(|a, b| a < b), "{:?}", numbers(&world, &watching));
        // The dialog is the same: it can be refreshed and left.
        let refresh = world.refresh(&watching, 600);
        assert_eq!(world.outcome_of(refresh), Some(200));
        let leave = world.refresh(&watching, 0);
        assert_eq!(world.outcome_of(leave), Some(200));
        world.run(100);
        assert_eq!(world.last(&watching).state, "terminated");
        world.restart(0);
        world.run(3_000);
        assert_eq!(world.last(&watching).state, "terminated", "who has left is not brought back");
        world.finish();
    }
}

#[test]
fn a_watch_ends_when_it_was_to_end() {
    let mut world = World::new(1);
    world.online("alice", 10, Manner::POLITE);
    let bob = world.online("bob", 20, Manner::POLITE);
    let watching = world.subscribe(bob, ALICE, "presence", 300, &[]);
    assert_eq!(world.outcome_of(watching.call), Some(200));
    world.run(2_000);
    world.kill(0);
    world.run(200_000);
    world.start(0);
    world.run(5_000);
    assert_eq!(world.last(&watching).state, "active");
    world.run(100_000);
    assert_eq!(
        (world.last(&watching).state.as_str(), world.last(&watching).reason.as_str()),
        ("terminated", "timeout")
    );
    world.finish();
}

#[test]
fn her_word_and_her_answers_are_remembered() {
    for is_power_cut in [false, true] {
        let mut world = World::new(1);
        world.keep_at(0, Storage::Disk);
        let alice = world.online("alice", 10, Manner::POLITE);
        let eve = Phone::new("eve", "", "198.51.100.9:5060").stranger(&format!("sip:{EVE}"));
        let eve = world.add(eve);
        let first = world.watch(eve, ALICE);
        world.run(2_000);
        assert_eq!(world.last(&first).state, "pending");
        world.tell(alice, "yes");
        world.tell(alice, "away back at 6");
        world.run(10_000);
        match is_power_cut {
            true => {
                world.cut_power(0);
                world.start(0);
            }
            false => world.restart(0),
        }
        world.run(10_000);
        let again = world.watch(eve, ALICE);
        world.run(2_000);
        assert_eq!(world.last(&again).state, "active", "she has answered");
        let seen = world.seen(&again);
        assert!(seen.does("away") && seen.note == "back at 6", "{seen:?}");
        // One source may have two on the smallest board.
        let leave = world.refresh(&again, 0);
        assert_eq!(world.outcome_of(leave), Some(200));
        world.tell(alice, "auto");
        world.tell(alice, &format!("deny {EVE}"));
        world.run(10_000);
        world.restart(0);
        world.run(3_000);
        let after = world.watch(eve, ALICE);
        world.run(2_000);
        assert_eq!((world.last(&after).state.as_str(), world.seen(&after)), ("active", Seen::offline()));
        world.finish();
    }
}

#[test]
fn a_publication_is_asked_for_again() {
    let mut world = World::new(1);
    let alice = world.online("alice", 10, Manner::POLITE);
    let etag = world.published(alice, None, &pidf(true, "meeting", "with the board"));
    let bob = world.online("bob", 20, Manner::POLITE);
    let watching = world.watches(bob, ALICE);
    world.restart(0);
    world.run(3_000);
    let seen = world.seen(&watching);
    assert!(seen.is_open && seen.note.is_empty(), "she is registered, and nothing else is known: {seen:?}");
    let refresh = world.publish(alice, Some(&etag), 600, "");
    assert_eq!(world.outcome_of(refresh), Some(412));
    world.published(alice, None, &pidf(true, "meeting", "with the board"));
    world.run(1_200);
    assert_eq!(world.seen(&watching).note, "with the board");
    world.finish();
}
