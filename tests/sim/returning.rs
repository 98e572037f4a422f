//! Who comes back and what she is told (server/returning.rs, home/absence.rs): summaries, texts that are delivered, and
//! what waits (RFC 3842).

use std::collections::BTreeMap;

use crate::delegation::{ALICE, with_disk, with_spool};
use crate::phone::{Manner, Phone};
use crate::watching::pidf;
use crate::world::{HOME, World, seeds};
use pcsd::base::limits::{LETTERS_PER_SENDER, LETTERS_PER_STRANGER};
use pcsd::base::time::UnixTime;
use pcsd::server::contract::Input;

const PCS: &str = "sip:pcs@home.example";

/// What a phone was told by the home itself since the last such look.
fn summaries(world: &World, phone: usize) -> Vec<String> {
    world.told(phone).into_iter().filter(|(from, _)| from == PCS).map(|(_, text)| text).collect()
}

fn deliver(world: &mut World) {
    world.configure(0, &HOME.replace("'wonderland'", "'wonderland'\n    option missed 'deliver'"));
}

#[test]
fn one_line_by_sender_and_once() {
    let mut world = with_disk(1);
    let (bob, carol) = (world.online("bob", 30, Manner::POLITE), world.online("carol", 31, Manner::POLITE));
    for (phone, text) in [(bob, "one"), (carol, "two"), (bob, "three")] {
        let call = world.write(phone, ALICE, text);
        assert_eq!(world.outcome_of(call), Some(202));
    }
    let call = world.invite(carol, ALICE);
    assert_eq!(world.outcome_of(call), Some(200));
    let bye = world.in_dialog(carol, 0, "BYE");
    assert_eq!(world.outcome_of(bye), Some(200));
    let alice = world.online("alice", 10, Manner::POLITE);
    world.run(4_000);
    assert!(summaries(&world, alice).is_empty(), "5 s decide");
    world.run(6_000);
    let told = summaries(&world, alice);
    assert_eq!(told.len(), 1);
    let text = &told[0];
    assert!(
        text.contains("2 missed IMs from bob") && text.contains("1 missed IM & 1 missed call from carol"),
        "{text}"
    );
    assert!(text.find("carol").unwrap() < text.find("bob").unwrap(), "newest first: {text}");
    // A REGISTER more is no return, nor is a restart.
    world.register(alice, 1800);
    world.run(10_000);
    world.restart(0);
    world.run(10_000);
    world.register(alice, 0);
    world.run(10_000);
    world.register(alice, 1800);
    world.run(10_000);
    assert_eq!(summaries(&world, alice).len(), 1, "nothing more has come");
    world.finish();
}

#[test]
fn who_does_not_take_it_is_told_again() {
    let mut world = with_disk(1);
    let eve = world.stranger(9);
    let call = world.write(eve, ALICE, "hello");
    assert_eq!(world.outcome_of(call), Some(202));
    let alice = world.online("alice", 10, Manner { message: Some(500), ..Manner::POLITE });
    world.run(20_000);
    world.register(alice, 0);
    world.run(10_000);
    world.phones[alice].manner.message = Some(200);
    world.register(alice, 1800);
    world.run(10_000);
    assert_eq!(summaries(&world, alice).len(), 2, "refused, then taken");
    world.register(alice, 0);
    world.run(10_000);
    world.register(alice, 1800);
    world.run(10_000);
    assert_eq!(summaries(&world, alice).len(), 2);
    world.finish();
}

#[test]
fn a_start_between_return_and_summary_loses_neither() {
    for seed in seeds(20) {
        let mut world = with_spool(seed);
        let eve = world.stranger(9);
        for number in 0..3 {
            let call = world.write(eve, ALICE, &format!("text {number}"));
            assert_eq!(world.outcome_of(call), Some(202));
        }
        let alice = world.online("alice", 10, Manner::POLITE);
        world.phones[alice].may_get_twice = true;
        let wait = world.random.below(7_000);
        world.run(wait);
        world.restart(0);
        world.run(60_000);
        let told = summaries(&world, alice);
        assert!((1..=2).contains(&told.len()), "{told:?}");
        assert!(told.iter().all(|text| text.contains("3 missed IMs from eve")), "{told:?}");
        world.finish();
    }
}

/// Counts a summary's senders: texts and missed calls.
fn read(summary: &str) -> BTreeMap<String, (u32, u32)> {
    let line = summary.lines().next().unwrap();
    let mut counts = BTreeMap::new();
    for part in line.split("; ") {
        let (what, from) = part.split_once(" from ").expect("a sender");
        let (mut texts, mut calls) = (0, 0);
        for item in what.split(" & ") {
            let (number, sort) = item.split_once(' ').unwrap();
            let number: u32 = number.parse().unwrap();
            match sort {
                "missed IM" | "missed IMs" => texts = number,
                "missed call" | "missed calls" => calls = number,
                other => panic!("{other}"),
            }
        }
        let name = from.split('@').next().unwrap_or(from);
        assert!(counts.insert(name.to_string(), (texts, calls)).is_none(), "each sender once: {summary}");
    }
    counts
}

/// Any order of returns and messages: each summary has what came since the last one.
#[test]
fn summaries_count_right_under_any_order() {
    for seed in seeds(40) {
        let mut world = with_disk(seed);
        world.configure(0, &HOME.replace("'wonderland'", "'wonderland'\n    option answering '0'"));
        let senders = [("bob", 30), ("carol", 31)].map(|(user, last)| (user, world.online(user, last, Manner::POLITE)));
        let alice = world.phone("alice", 10);
        // Not told yet.
        let mut expected: BTreeMap<String, (u32, u32)> = BTreeMap::new();
        let (mut is_here, mut seen) = (false, 0);
        for _ in 0..30.min(LETTERS_PER_SENDER) {
            let (name, from) = senders[world.random.below(2) as usize];
            match world.random.below(5) {
                0 if is_here => {
                    world.register(alice, 0);
                    is_here = false;
                    world.run(8_000);
                }
                0 | 1 if !is_here => {
                    world.register(alice, 1800);
                    is_here = true;
                    // Not yet, or only just, or long since.
                    world.run(8_000);
                    let told = summaries(&world, alice);
                    if expected.is_empty() {
                        assert_eq!(told.len(), seen, "nothing to be told: {told:?}");
                    } else {
                        assert_eq!(told.len(), seen + 1, "{expected:?}");
                        assert_eq!(read(told.last().unwrap()), expected);
                        (expected, seen) = (BTreeMap::new(), told.len());
                    }
                }
                2 => {
                    let call = world.invite(from, ALICE);
                    world.run(500);
                    if is_here {
                        world.cancel(call);
                    }
                    world.run(1_500);
                    assert!(world.outcome(call).is_some());
                    if is_here && world.outcome(call) == Some(200) {
                        let dialog = world.phones[from].dialogs.iter().position(|dialog| !dialog.is_over).unwrap();
                        let bye = world.in_dialog(from, dialog, "BYE");
                        assert_eq!(world.outcome_of(bye), Some(200));
                    } else {
                        expected.entry(name.into()).or_default().1 += 1;
                    }
                }
                _ => {
                    let call = world.write(from, ALICE, "hello");
                    let status = world.outcome_of(call);
                    assert_eq!(status, Some(if is_here { 200 } else { 202 }));
                    if !is_here {
                        expected.entry(name.into()).or_default().0 += 1;
                    }
                    world.run(500);
                }
            }
        }
        world.finish();
    }
}

/// 2026-06-01 10:30:00 UTC.
const MORNING: u64 = 1_780_309_800;

#[test]
fn texts_are_delivered_in_order_with_their_time() {
    let mut world = with_disk(1);
    deliver(&mut world);
    world.input(0, Input::WallClock(UnixTime(MORNING)));
    let bob = world.online("bob", 30, Manner::POLITE);
    let eve = world.stranger(9);
    for (phone, text) in [(bob, "one"), (eve, "two"), (bob, "three")] {
        let call = world.write(phone, ALICE, text);
        assert_eq!(world.outcome_of(call), Some(202));
        world.run(60_000);
    }
    let alice = world.online("alice", 10, Manner::POLITE);
    world.run(20_000);
    let told = world.told(alice);
    let expected = [
        ("sip:bob@home.example", "[10:30] one"),
        ("sip:eve@elsewhere.example", "[10:31] two"),
        ("sip:bob@home.example", "[10:32] three"),
    ];
    assert_eq!(told, expected.map(|(from, text)| (from.to_string(), text.to_string())), "and nothing is left to say");
    assert!(world.kept(0).iter().all(|item| item.state == 1), "they count as read");
    // Back again: once is enough.
    world.register(alice, 0);
    world.run(10_000);
    world.register(alice, 1800);
    world.run(10_000);
    assert_eq!(world.told(alice).len(), 3);
    world.finish();
}

#[test]
fn a_device_that_knows_cpim_gets_it() {
    let mut world = with_disk(1);
    deliver(&mut world);
    world.input(0, Input::WallClock(UnixTime(MORNING)));
    let eve = world.stranger(9);
    let call = world.write(eve, ALICE, "hello");
    assert_eq!(world.outcome_of(call), Some(202));
    let mut phone = Phone::new("alice", "wonderland", "192.168.1.10:5060");
    phone.register_fields.push(("Accept".into(), "text/plain, message/cpim".into()));
    let (able, plain) = (world.join(phone), world.online("alice", 11, Manner::POLITE));
    world.run(20_000);
    let wrapped = world.phones[able].got("MESSAGE")[0].clone();
    assert_eq!(wrapped.get("Content-Type"), "message/cpim");
    let body = String::from_utf8(wrapped.body).unwrap();
    assert!(body.contains("DateTime: 2026-06-01T10:30:0") && body.ends_with("\r\n\r\nhello"), "{body}");
    assert!(body.contains("From: ") && body.contains("<sip:eve@elsewhere.example>"), "{body}");
    assert_eq!(world.told(plain), [("sip:eve@elsewhere.example".to_string(), "[10:30] hello".to_string())]);
    assert_eq!(world.count(able, "MESSAGE"), 1);
    world.finish();
}

#[test]
fn what_no_device_takes_stays_new() {
    let mut world = with_disk(1);
    deliver(&mut world);
    let eve = world.stranger(9);
    for number in 0..3 {
        let call = world.write(eve, ALICE, &format!("text {number}"));
        assert_eq!(world.outcome_of(call), Some(202));
    }
    let alice = world.online("alice", 10, Manner { message: Some(480), ..Manner::POLITE });
    world.run(30_000);
    let delivered = world.told(alice).into_iter().filter(|(from, _)| from != PCS).count();
    assert_eq!(delivered, 1, "the others are not tried");
    assert!(world.kept(0).iter().all(|item| item.state == 0));
    world.phones[alice].manner.message = Some(200);
    world.phones[alice].may_get_twice = true;
    world.register(alice, 0);
    world.run(10_000);
    world.register(alice, 1800);
    world.run(20_000);
    assert!(world.kept(0).iter().all(|item| item.state == 1));
    world.finish();
}

#[test]
fn who_watches_what_waits_is_told() {
    let mut world = with_disk(1);
    let eve = world.stranger(9);
    let alice = world.online("alice", 10, Manner { message: None, ..Manner::POLITE });
    let request = world.subscription(alice, ALICE, "message-summary", 3_600, &[]);
    let watching = world.begin(alice, request);
    world.run(2_000);
    let waiting = |world: &World| {
        let body = String::from_utf8(world.last(&watching).msg.body).unwrap();
        body.lines().find_map(|line| line.strip_prefix("Text-Message: ")).map(String::from)
    };
    let first = String::from_utf8(world.last(&watching).msg.body).unwrap();
    assert!(first.contains("Messages-Waiting: no"), "{first}");
    for number in 1..=3 {
        let call = world.write(eve, ALICE, &format!("text {number}"));
        assert_eq!(world.outcome_of(call), Some(202));
        world.run(3_000);
        let body = String::from_utf8(world.last(&watching).msg.body).unwrap();
        assert!(body.contains("Messages-Waiting: yes"), "{body}");
        assert!(waiting(&world).is_some_and(|line| line.starts_with(&format!("{number}/0"))), "{body}");
    }
    world.finish();
}

#[test]
fn what_is_delivered_waits_no_more() {
    let mut world = with_disk(1);
    deliver(&mut world);
    let eve = world.stranger(9);
    for number in 0..2 {
        let call = world.write(eve, ALICE, &format!("text {number}"));
        assert_eq!(world.outcome_of(call), Some(202));
    }
    let alice = world.online("alice", 10, Manner::POLITE);
    let watching = world.subscribe(alice, ALICE, "message-summary", 3_600, &[]);
    world.run(2_000);
    let body = |world: &World| String::from_utf8(world.last(&watching).msg.body).unwrap();
    assert!(body(&world).contains("Text-Message: 2/0"), "{}", body(&world));
    world.run(20_000);
    let last = body(&world);
    assert!(last.contains("Messages-Waiting: no") && last.contains("Text-Message: 0/2"), "{last}");
    world.finish();
}

/// A presence that goes from away to open is a return as well as a device that registers.
#[test]
fn away_by_her_presence() {
    let mut world = with_disk(1);
    let rule =
        "config rule\n option person 'alice'\n list who 'anyone'\n option when 'away'\n option messages 'store'\n";
    world.configure(0, &format!("{HOME}{rule}"));
    let (alice, eve) = (world.online("alice", 10, Manner::POLITE), world.stranger(9));
    world.run(6_000);
    let etag = world.published(alice, None, &pidf(true, "away", ""));
    world.run(6_000);
    for number in 0..2 {
        let call = world.write(eve, ALICE, &format!("text {number}"));
        assert_eq!(world.outcome_of(call), Some(202), "by the rule");
    }
    world.run(1_000);
    assert_eq!(world.told(eve).len(), 1);
    assert_eq!(world.count_of_others(alice, "MESSAGE"), 0);
    world.published(alice, Some(&etag), &pidf(true, "", ""));
    world.run(4_000);
    assert!(summaries(&world, alice).is_empty());
    world.run(4_000);
    let told = summaries(&world, alice);
    assert!(told.len() == 1 && told[0].contains("2 missed IMs from eve"), "{told:?}");
    world.finish();
}

/// Whenever the program ends in the midst of it: each text is delivered at last, and counts as read.
#[test]
fn deliveries_and_any_end() {
    for seed in seeds(20) {
        let mut world = with_spool(seed);
        deliver(&mut world);
        let eve = world.stranger(9);
        for number in 0..5.min(LETTERS_PER_STRANGER) {
            let call = world.write(eve, ALICE, &format!("text {number}"));
            assert_eq!(world.outcome_of(call), Some(202));
        }
        let alice = world.online("alice", 10, Manner::POLITE);
        world.phones[alice].may_get_twice = true;
        world.run(4_900);
        for _ in 0..3 {
            let steps = world.random.below(25);
            (0..steps).for_each(|_| world.step());
            world.restart(0);
        }
        world.run(60_000);
        let told: Vec<String> = world.told(alice).into_iter().map(|(_, text)| text).collect();
        for number in 0..5.min(LETTERS_PER_STRANGER) {
            let text = format!("] text {number}");
            assert!(told.iter().any(|told| told.ends_with(&text)), "{text}: {told:?}");
        }
        assert!(world.kept(0).iter().all(|item| item.state == 1));
        world.finish();
    }
}
