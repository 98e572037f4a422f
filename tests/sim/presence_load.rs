//! The presence agent under load and at its limits (home/presence, base/limits.rs): many watchers over bad links, watchers
//! that do not answer, floods, and tables that are full.

use crate::phone::{Manner, Phone};
use crate::script::password;
use crate::watching::{Watching, pidf};
use crate::world::{HOME, Link, World, seeds};
use pcsd::base::limits::{PUBLICATIONS, SERVER_TRANSACTIONS, STRANGER_WATCHES, WATCHES, WATCHES_PER_SOURCE};

const ALICE: &str = "sip:alice@home.example";
/// A transaction without an answer is over by then.
const GIVEN_UP_MS: u64 = 33_000;

/// A world in which the phones that watch are over no rate limit: here the tables are the limit.
fn unlimited(seed: u64) -> World {
    let mut world = World::new(seed);
    let text = HOME.replace(
        "option domain",
        "list unlimited '192.168.1.20'\n    list unlimited '192.168.1.30'\n    list unlimited '198.51.100.9'\n    \
         option domain",
    );
    world.configure(0, &text);
    world
}

/// The device of somebody who watches, on UDP or TCP; it need not be registered.
fn watcher(world: &mut World, user: &str, last: u8, is_tcp: bool) -> usize {
    let phone = Phone::new(user, password(user), &format!("192.168.1.{last}:5060"));
    world.add(if is_tcp { phone.tcp() } else { phone })
}

/// Somebody else outside.
fn outsider(world: &mut World, last: u8) -> usize {
    let phone = Phone::new("eve", "", &format!("198.51.100.{last}:5060"));
    world.add(phone.stranger(&format!("sip:x{last}@elsewhere.example")))
}

fn status(world: &mut World, watching: &Watching) -> Option<u16> {
    world.outcome_of(watching.call)
}

/// Watches Alice as often as this, each granted.
fn many(world: &mut World, phones: &[usize], count: usize) -> Vec<Watching> {
    let mut all = Vec::new();
    for index in 0..count {
        let watching = world.watch(phones[index % phones.len()], ALICE);
        assert_eq!(status(world, &watching), Some(200), "watch {index} of {count}");
        all.push(watching);
    }
    all
}

#[test]
fn the_newest_state_always_wins() {
    // Where finished transactions give way at once, what comes twice may be taken twice: there the links only reorder.
    let is_small = SERVER_TRANSACTIONS < 64;
    let bad = if is_small { Link { loss: 0, duplicate: 0, ..Link::BAD } } else { Link::BAD };
    for seed in seeds(4) {
        let mut world = unlimited(seed);
        let alice = world.online("alice", 10, Manner::POLITE);
        let mut phones = Vec::new();
        for number in 0..8 {
            let (user, last) = if number < 2 { ("carol", 30) } else { ("bob", 20) };
            let phone = Phone::new(user, password(user), &format!("192.168.1.{last}:{}", 5060 + number));
            phones.push(world.add(if number < 2 && seed % 2 == 0 { phone.tcp() } else { phone }));
        }
        let mut all = many(&mut world, &phones, WATCHES - 1);
        world.link = bad;
        let mut etag: Option<String> = None;
        let mut last = String::new();
        for round in 0..25 {
            last = format!("state {round} of {seed}");
            let activity = ["away", "busy", "meal", ""][world.random.below(4) as usize];
            etag = Some(world.published(alice, etag.as_deref(), &pidf(true, activity, &last)));
            if all.len() > 3 && world.random.chance(300) {
                let gone = all.swap_remove(world.random.below(all.len() as u64) as usize);
                let leave = world.refresh(&gone, 0);
                assert_eq!(world.outcome_of(leave), Some(200));
            }
            if world.random.chance(300) {
                let again = world.random.below(all.len() as u64) as usize;
                let refresh = world.refresh(&all[again].clone(), 600);
                assert_eq!(world.outcome_of(refresh), Some(200));
            }
            let rest = world.random.below(1_500);
            world.run(rest);
        }
        // Over links as bad as these, too.
        let is_old = |world: &World| all.iter().any(|it| world.seen(it).note != last);
        for _ in 0..60 {
            if is_old(&world) {
                world.run(1_000);
            }
        }
        assert!(!is_old(&world), "somebody has an old state");
        world.link = Link::GOOD;
        world.run(40_000);
        for watching in &all {
            assert_eq!((world.seen(watching).note, world.last(watching).state), (last.clone(), "active".into()));
        }
        world.finish();
    }
}

#[test]
fn many_changes_are_few_notifications() {
    let mut world = World::new(1);
    let alice = world.online("alice", 10, Manner::POLITE);
    let bob = world.online("bob", 20, Manner::POLITE);
    let watching = world.watches(bob, ALICE);
    world.run(2_000);
    let (from, before) = (world.now, world.notices(&watching).len());
    let mut etag: Option<String> = None;
    for round in 0..100 {
        etag = Some(world.published(alice, etag.as_deref(), &pidf(true, "", &format!("{round}"))));
    }
    let seconds = (world.now - from).div_ceil(1_000) as usize;
    world.run(1_100);
    let notices = world.notices(&watching);
    assert!(notices.len() - before <= seconds + 2, "{} in {seconds} s", notices.len() - before);
    assert!(notices[before].at - from < 50, "the first goes at once");
    assert_eq!(world.seen(&watching).note, "99");
    world.finish();
}

#[test]
fn who_does_not_answer_is_dropped() {
    for is_tcp in [false, true] {
        let mut world = unlimited(1);
        let bob = watcher(&mut world, "bob", 20, is_tcp);
        let watchings = many(&mut world, &[bob], WATCHES);
        let carol = watcher(&mut world, "carol", 30, false);
        let one_more = world.watch(carol, ALICE);
        assert_eq!(status(&mut world, &one_more), Some(503));
        let patience = world.answer(one_more.call).get("Retry-After").parse::<u32>();
        assert!(patience.is_ok_and(|seconds| seconds > 0));
        // He hears nothing of what she does.
        world.phones[bob].manner.notify = None;
        world.run(2_000);
        world.online("alice", 10, Manner::POLITE);
        world.run(GIVEN_UP_MS + 3_000);
        let all = many(&mut world, &[carol], WATCHES);
        world.run(2_000);
        assert!(world.seen(&all[0]).is_open);
        let late = world.refresh(&watchings[0], 600);
        assert_eq!(world.outcome_of(late), Some(481));
        world.finish();
    }
}

#[test]
fn who_says_that_he_knows_nothing_of_it_is_told_nothing_more() {
    let mut world = World::new(1);
    let bob = world.online("bob", 20, Manner { notify: Some(481), ..Manner::POLITE });
    let watching = world.watches(bob, ALICE);
    assert_eq!(world.notices(&watching).len(), 1);
    world.online("alice", 10, Manner::POLITE);
    world.run(3_000);
    assert_eq!(world.notices(&watching).len(), 1);
    let late = world.refresh(&watching, 600);
    assert_eq!(world.outcome_of(late), Some(481));
    world.finish();
}

#[test]
fn a_flood_from_one_source() {
    let mut world = World::new(1);
    world.online("alice", 10, Manner::POLITE);
    let eve = world.stranger(9);
    let mut granted = 0;
    for _ in 0..WATCHES_PER_SOURCE + 20 {
        let watching = world.watch(eve, ALICE);
        match status(&mut world, &watching) {
            Some(200) => granted += 1,
            Some(503) => assert!(!world.answer(watching.call).get("Retry-After").is_empty()),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(granted, WATCHES_PER_SOURCE);
    // Another of the world gets in, and one of the home.
    let (other, bob) = (outsider(&mut world, 10), watcher(&mut world, "bob", 20, false));
    for phone in [other, bob] {
        let watching = world.watch(phone, ALICE);
        assert_eq!(status(&mut world, &watching), Some(200));
    }
    world.finish();
}

#[test]
fn strangers_never_take_all() {
    let mut world = World::new(1);
    let bob = watcher(&mut world, "bob", 20, false);
    let mut granted = 0;
    for source in 0..STRANGER_WATCHES.div_ceil(WATCHES_PER_SOURCE) + 2 {
        let phone = outsider(&mut world, 20 + source as u8);
        for _ in 0..WATCHES_PER_SOURCE {
            let watching = world.watch(phone, ALICE);
            granted += usize::from(status(&mut world, &watching) == Some(200));
        }
    }
    assert_eq!(granted, STRANGER_WATCHES);
    let watching = world.watch(bob, ALICE);
    assert_eq!(status(&mut world, &watching), Some(200));
    world.finish();
}

#[test]
fn who_waits_gives_way_to_who_is_let_in() {
    let mut world = unlimited(1);
    let alice = world.online("alice", 10, Manner::POLITE);
    let eve = world.stranger(9);
    let first = world.watches(eve, ALICE);
    world.run(1_500);
    world.tell(alice, "yes");
    let left = world.refresh(&first, 0);
    assert_eq!(world.outcome_of(left), Some(200));
    world.run(2_000);
    let mut waiting = 0;
    for last in 40..200 {
        let other = outsider(&mut world, last);
        let watching = world.watch(other, ALICE);
        match status(&mut world, &watching) {
            Some(200) => waiting += 1,
            refused => {
                assert_eq!(refused, Some(503));
                break;
            }
        }
    }
    assert_eq!(waiting, STRANGER_WATCHES);
    let again = world.watches(eve, ALICE);
    world.run(1_500);
    assert_eq!(world.last(&again).state, "active");
    world.finish();
}

#[test]
fn who_waits_gives_way_to_the_home() {
    let mut world = unlimited(1);
    let alice = world.online("alice", 10, Manner::POLITE);
    let (eve, other) = (world.stranger(9), outsider(&mut world, 10));
    let allowed = world.watches(eve, ALICE);
    world.run(1_500);
    world.tell(alice, "yes");
    let waiting = world.subscribe(other, ALICE, "presence", 600, &[]);
    assert_eq!(status(&mut world, &waiting), Some(200));
    let bob = watcher(&mut world, "bob", 20, false);
    many(&mut world, &[bob], WATCHES - 2);
    assert_eq!(world.last(&waiting).state, "pending");
    // A stranger displaces nobody.
    let refused = world.watch(other, ALICE);
    assert_eq!(status(&mut world, &refused), Some(503));
    many(&mut world, &[bob], 1);
    world.run(500);
    let last = world.last(&waiting);
    assert_eq!((last.state.as_str(), last.reason.as_str()), ("terminated", "giveup"));
    // Nobody else waits: then the home has to wait.
    let refused = world.watch(bob, ALICE);
    assert_eq!(status(&mut world, &refused), Some(503));
    assert_eq!(world.last(&allowed).state, "active");
    world.finish();
}

#[test]
fn publications_full() {
    let mut world = World::new(1);
    // What is not known to be a device's: a device that has forgotten its tag publishes in place of what it said before.
    let alice = watcher(&mut world, "alice", 10, false);
    let most = PUBLICATIONS.min(8);
    let mut etags = Vec::new();
    for number in 0..most {
        etags.push(world.published(alice, None, &pidf(true, "", &format!("{number}"))));
    }
    let one_more = world.publish(alice, None, 600, &pidf(true, "", "more"));
    assert_eq!(world.outcome_of(one_more), Some(503));
    // What is there can be changed and taken back, and then there is room.
    etags[0] = world.published(alice, Some(&etags[0]), &pidf(true, "", "changed"));
    let removal = world.publish(alice, Some(&etags[0]), 0, "");
    assert_eq!(world.outcome_of(removal), Some(200));
    world.published(alice, None, &pidf(true, "", "more"));
    world.finish();
}

#[test]
fn a_device_that_was_restarted_publishes_in_place_of_what_it_said() {
    let mut world = World::new(1);
    let alice = world.online("alice", 10, Manner::POLITE);
    let bob = world.online("bob", 20, Manner::POLITE);
    let watching = world.watches(bob, ALICE);
    let forgotten = world.published(alice, None, &pidf(true, "sleeping", "zzz"));
    for round in 0..2 * PUBLICATIONS {
        world.published(alice, None, &pidf(true, "", &format!("{round}")));
    }
    world.run(1_100);
    let seen = world.seen(&watching);
    assert!(!seen.does("sleeping") && seen.note == format!("{}", 2 * PUBLICATIONS - 1), "{seen:?}");
    let late = world.publish(alice, Some(&forgotten), 600, "");
    assert_eq!(world.outcome_of(late), Some(412));
    world.finish();
}
