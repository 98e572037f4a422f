//! Texts that no device takes (server/delegation.rs; RFC 3428 §7): kept, refused or taken back, and what their senders are
//! told.

use crate::kept::Item;
use crate::message::Msg;
use crate::phone::{Manner, Phone};
use crate::stick::Stick;
use crate::storage::Disk;
use crate::world::{HOME, Link, World, seeds};
use pcsd::base::limits::LETTERS_PER_STRANGER;
use pcsd::server::contract::Storage;
use pcsd::spool::{Kind, Limits};

pub const ALICE: &str = "sip:alice@home.example";

/// A world whose home keeps messages on a disk without faults.
pub fn with_disk(seed: u64) -> World {
    let mut world = World::new(seed);
    world.keep_at(0, Storage::Disk);
    world
}

/// A world whose home has a spool on a disk that may have faults.
pub fn with_spool(seed: u64) -> World {
    let mut world = World::new(seed);
    world.servers[0].store.disk = Disk::Spool(Box::new(Stick::with_segments(65_536)));
    world.servers[0].store.delay = (0, 30);
    world.keep_at(0, Storage::Disk);
    world
}

impl World {
    /// Writes this to somebody.
    pub fn write(&mut self, phone: usize, uri: &str, text: &str) -> crate::script::Call {
        let now = self.now;
        (phone, self.phones[phone].message(now, uri, text))
    }

    /// What a phone was told, with who has said it.
    pub fn told(&self, phone: usize) -> Vec<(String, String)> {
        let body = |request: &&Msg| String::from_utf8_lossy(&request.body).into_owned();
        let from = |request: &Msg| crate::message::uri_of(request.get("From")).to_string();
        self.phones[phone].got("MESSAGE").iter().map(|request| (from(request), body(request))).collect()
    }
}

/// Sends a request of a phone's again as another transaction.
fn send_again(world: &mut World, (phone, client): crate::script::Call) -> crate::script::Call {
    let last = world.phones[phone].last_of(client);
    let mut request = world.phones[phone].clients[last].request.clone();
    let branch = format!("branch={}", request.branch());
    let via = request.get("Via").replace(&branch, "branch=");
    request.set("Via", &via);
    let now = world.now;
    (phone, world.phones[phone].send_as_is(now, request))
}

#[test]
fn a_text_to_nobody_is_answered_202_once_it_is_durable() {
    let mut world = with_spool(1);
    let (bob, eve) = (world.online("bob", 30, Manner::POLITE), world.stranger(9));
    world.servers[0].store.is_stalled = true;
    let calls = [world.write(bob, ALICE, "from bob"), world.write(eve, ALICE, "from eve")];
    world.run(10_000);
    assert_eq!(calls.map(|call| world.outcome(call)).map(|it| it.filter(|status| *status != 407)), [None, None]);
    assert!(world.kept(0).is_empty());
    world.unstall(0);
    assert_eq!(calls.map(|call| world.outcome_of(call)), [Some(202), Some(202)]);
    // What is acknowledged outlives the power.
    world.cut_power(0);
    world.start(0);
    let mut kept = world.kept(0);
    kept.sort_by_key(Item::text);
    let seen: Vec<_> = kept.iter().map(|it| (it.kind, it.from.as_str(), it.is_stranger, it.text(), it.state)).collect();
    assert_eq!(
        seen,
        [
            (Kind::Text, "bob@home.example", false, "from bob".into(), 0),
            (Kind::Text, "eve@elsewhere.example", true, "from eve".into(), 0)
        ]
    );
    world.finish();
}

#[test]
fn without_a_disk_a_text_is_refused_and_says_why() {
    for place in [Storage::Memory, Storage::Absent] {
        let mut world = World::new(1);
        let bob = world.online("bob", 30, Manner::POLITE);
        world.keep_at(0, place);
        let call = world.write(bob, ALICE, "lost");
        assert_eq!(world.outcome_of(call), Some(480));
        assert!(world.kept(0).is_empty());
        if place == Storage::Absent {
            world.keep_at(0, Storage::Memory);
        }
        world.finish();
    }
}

#[test]
fn a_full_disk_refuses_and_takes_more_when_there_is_room() {
    let mut world = with_spool(1);
    let bob = world.online("bob", 30, Manner::POLITE);
    let call = world.write(bob, ALICE, "first");
    assert_eq!(world.outcome_of(call), Some(202));
    let limits = Limits { total_bytes: 1, ..Limits::NONE };
    world.servers[0].store.stick().limit(limits);
    let sent_at = world.now;
    let call = world.write(bob, ALICE, "second");
    assert_eq!(world.outcome_of(call), Some(480));
    let reason = world.answer(call).start.clone();
    assert!(reason.contains("Not Kept"), "{reason}");
    assert!(world.now - sent_at < 1_000, "at once");
    world.servers[0].store.stick().limit(Limits::NONE);
    let call = world.write(bob, ALICE, "third");
    assert_eq!(world.outcome_of(call), Some(202));
    assert_eq!(world.kept_texts(0), ["first", "third"]);
    world.finish();
}

#[test]
fn a_disk_that_stalls_refuses_in_time_and_keeps_nothing_of_it() {
    let mut world = with_spool(1);
    let eve = world.stranger(9);
    world.servers[0].store.is_stalled = true;
    let sent_at = world.now;
    let call = world.write(eve, ALICE, "too late");
    assert_eq!(world.outcome_of(call), Some(480));
    let waited = world.now - sent_at;
    assert!((20_000..=25_100).contains(&waited), "{waited} ms");
    assert!(world.answer(call).start.contains("Slow"), "{}", world.answer(call).start);
    world.unstall(0);
    world.run(5_000);
    assert!(world.kept(0).is_empty(), "its sender keeps it");
    // The same once more is another try.
    let call = send_again(&mut world, call);
    assert_eq!(world.outcome_of(call), Some(202));
    assert_eq!(world.kept_texts(0), ["too late"]);
    world.finish();
}

#[test]
fn what_fails_is_refused_and_what_is_acknowledged_is_there() {
    let mut all_refused = 0;
    for seed in seeds(20) {
        let mut world = with_spool(seed);
        let (bob, eve) = (world.online("bob", 30, Manner::POLITE), world.stranger(9));
        world.servers[0].store.failing = 400;
        let mut refused = 0;
        for number in 0..12 {
            let from = [bob, eve][number % 2];
            let call = world.write(from, ALICE, &format!("text {number}"));
            let status = world.outcome_of(call);
            assert!(matches!(status, Some(202 | 480)), "{status:?}");
            refused += usize::from(status == Some(480));
            let wait = world.random.below(500);
            world.run(wait);
        }
        all_refused += refused;
        world.servers[0].store.failing = 0;
        world.run(1_000);
        assert_eq!(world.kept(0).len(), 12 - refused);
        world.finish();
    }
    assert!(all_refused > 0, "some have failed");
}

#[test]
fn a_disk_that_is_pulled_out_refuses_what_is_on_its_way() {
    let mut world = with_spool(1);
    let eve = world.stranger(9);
    let call = world.write(eve, ALICE, "before");
    assert_eq!(world.outcome_of(call), Some(202));
    world.servers[0].store.is_stalled = true;
    let call = world.write(eve, ALICE, "lost");
    world.run(2_000);
    assert_eq!(world.outcome(call), None);
    world.unplug(0);
    assert_eq!(world.outcome_of(call), Some(480));
    world.unstall(0);
    world.plug(0);
    world.run(5_000);
    let call = world.write(eve, ALICE, "after");
    assert_eq!(world.outcome_of(call), Some(202));
    assert_eq!(world.kept_texts(0), ["before", "after"]);
    world.finish();
}

#[test]
fn a_text_that_is_sent_again_is_kept_once() {
    let mut world = with_spool(1);
    let eve = world.stranger(9);
    world.servers[0].store.is_stalled = true;
    let call = world.write(eve, ALICE, "once");
    world.run(1_000);
    let meanwhile = send_again(&mut world, call);
    world.run(1_000);
    world.unstall(0);
    assert_eq!(world.outcome_of(call), Some(202));
    // RFC 3261 §8.2.2.2: the same request by another way, while it is being worked on.
    assert!(matches!(world.outcome_of(meanwhile), Some(202 | 482)));
    world.run(40_000);
    let later = send_again(&mut world, call);
    assert_eq!(world.outcome_of(later), Some(202));
    world.restart(0);
    let later = send_again(&mut world, call);
    assert_eq!(world.outcome_of(later), Some(202), "known again after a start");
    assert_eq!(world.kept_texts(0), ["once"]);
    world.finish();
}

#[test]
fn a_device_that_answers_late_takes_the_text_back() {
    for after_ms in [9_000, 12_000, 20_000] {
        let mut world = with_spool(1);
        let alice = world.online("alice", 10, Manner { message_ms: after_ms, ..Manner::POLITE });
        let eve = world.stranger(9);
        let sent_at = world.now;
        let call = world.write(eve, ALICE, "late");
        assert_eq!(world.outcome_of(call), Some(202));
        assert!((8_000..9_000).contains(&(world.now - sent_at)), "{} ms", world.now - sent_at);
        assert_eq!(world.kept_texts(0), ["late"]);
        world.run(25_000);
        assert_eq!(world.count(alice, "MESSAGE"), 1);
        assert!(world.kept(0).is_empty(), "she has it: it is not kept");
        world.finish();
    }
}

#[test]
fn one_device_that_takes_it_is_enough() {
    let mut world = with_spool(1);
    let silent = world.online("alice", 10, Manner { message: None, ..Manner::POLITE });
    let tablet = world.online("alice", 11, Manner::POLITE);
    let eve = world.stranger(9);
    let call = world.write(eve, ALICE, "taken");
    assert_eq!(world.outcome_of(call), Some(200));
    world.run(30_000);
    assert_eq!((world.count(silent, "MESSAGE"), world.count(tablet, "MESSAGE")), (1, 1));
    assert!(world.kept(0).is_empty());
    world.finish();
}

#[test]
fn what_devices_refuse_is_kept_unless_it_is_the_senders_fault() {
    for (status, expected) in [(480, 202), (486, 202), (603, 202), (415, 202), (500, 202), (420, 420), (400, 400)] {
        let mut world = with_spool(1);
        world.online("alice", 10, Manner { message: Some(status), ..Manner::POLITE });
        let eve = world.stranger(9);
        let call = world.write(eve, ALICE, "refused");
        assert_eq!(world.outcome_of(call), Some(expected), "after {status}");
        assert_eq!(world.kept(0).len(), usize::from(expected == 202), "after {status}");
        world.finish();
    }
}

/// The first home with this rule for everybody.
fn ruled(world: &mut World, rule: &str) {
    world.configure(0, &format!("{HOME}\nconfig rule\n option person 'alice'\n list who 'anyone'\n {rule}\n"));
    world.run(100);
}

#[test]
fn rules_store_and_block() {
    let mut world = with_spool(1);
    let (alice, eve) = (world.online("alice", 10, Manner::POLITE), world.stranger(9));
    ruled(&mut world, "option messages 'store'");
    let call = world.write(eve, ALICE, "stored");
    assert_eq!(world.outcome_of(call), Some(202));
    assert_eq!(world.count_of_others(alice, "MESSAGE"), 0, "her devices stay silent");
    assert_eq!(world.kept_texts(0), ["stored"]);
    ruled(&mut world, "option messages 'block'");
    let call = world.write(eve, ALICE, "blocked");
    assert_eq!(world.outcome_of(call), Some(603));
    assert_eq!(world.count_of_others(alice, "MESSAGE"), 0);
    assert_eq!(world.kept_texts(0), ["stored"]);
    world.finish();
}

#[test]
fn signs_are_never_kept() {
    let mut world = with_spool(1);
    let eve = world.stranger(9);
    for content_type in ["application/im-iscomposing+xml", "message/imdn+xml; charset=utf-8"] {
        let mut request = world.phones[eve].request("MESSAGE", ALICE, &format!("<{ALICE}>"));
        request.add("Content-Type", content_type);
        request.body = b"<x/>".to_vec();
        let call = world.send(eve, request);
        assert_eq!(world.outcome_of(call), Some(480), "{content_type}");
    }
    // Nor while her device is silent, nor by a rule.
    world.online("alice", 10, Manner { message: None, ..Manner::POLITE });
    for rule in ["option messages 'deliver'", "option messages 'store'"] {
        ruled(&mut world, rule);
        let mut request = world.phones[eve].request("MESSAGE", ALICE, &format!("<{ALICE}>"));
        request.add("Content-Type", "application/im-iscomposing+xml");
        let call = world.send(eve, request);
        assert_eq!(world.outcome_of(call), Some(480), "{rule}");
    }
    assert!(world.kept(0).is_empty());
    world.finish();
}

const AWAY: &str = "alice is away; your message is kept.";

#[test]
fn senders_are_told_once_in_an_absence() {
    let mut world = with_spool(1);
    let devices = [world.online("bob", 30, Manner::POLITE), world.online("bob", 31, Manner::POLITE)];
    let (eve, mallory) = (world.stranger(9), world.stranger(8));
    world.phones[mallory].aor = "sip:mallory@elsewhere.example".into();
    let alice = world.online("alice", 10, Manner::POLITE);
    world.run(6_000);
    let answer = (ALICE.to_string(), AWAY.to_string());
    for absence in 1..=2 {
        world.register(alice, 0);
        world.run(6_000);
        for _ in 0..3.min(LETTERS_PER_STRANGER / 2 - 1) {
            for from in [devices[0], eve, mallory] {
                let call = world.write(from, ALICE, "hello");
                assert_eq!(world.outcome_of(call), Some(202));
            }
            world.run(2_000);
        }
        // A person of the home is told on all her devices, others on the way they came.
        for phone in [devices[0], devices[1], eve, mallory] {
            assert_eq!(world.told(phone), vec![answer.clone(); absence], "{}", world.phones[phone].name);
            let got = world.phones[phone].got("MESSAGE");
            assert!(got.iter().all(|request| !request.get("Auto-Submitted").is_empty()));
        }
        // Too short to be a return.
        world.register(alice, 1800);
        world.run(3_000);
        world.register(alice, 0);
        world.run(6_000);
        let call = world.write(eve, ALICE, "still away");
        assert_eq!(world.outcome_of(call), Some(202));
        world.run(2_000);
        assert_eq!(world.told(eve).len(), absence);
        world.register(alice, 1800);
        world.run(6_000);
    }
    world.finish();
}

#[test]
fn programs_are_not_answered() {
    let mut world = with_spool(1);
    let eve = world.stranger(9);
    for (field, value) in [("Auto-Submitted", "auto-replied"), ("Auto-Submitted", "auto-generated")] {
        let mut request = world.phones[eve].request("MESSAGE", ALICE, &format!("<{ALICE}>")).with(field, value);
        request.body = b"beep".to_vec();
        let call = world.send(eve, request);
        assert_eq!(world.outcome_of(call), Some(202));
    }
    let mut robot = Phone::new("eve", "", "198.51.100.8:5060").stranger("sip:pcs@elsewhere.example");
    robot.name = "robot".into();
    let robot = world.add(robot);
    let call = world.write(robot, ALICE, "from a home");
    assert_eq!(world.outcome_of(call), Some(202));
    world.run(10_000);
    assert!(world.told(eve).is_empty() && world.told(robot).is_empty());
    assert_eq!(world.kept(0).len(), 3, "kept they are");
    // No is what a person says.
    let request = world.phones[eve].request("MESSAGE", ALICE, &format!("<{ALICE}>")).with("Auto-Submitted", "no");
    let call = world.send(eve, request);
    assert_eq!(world.outcome_of(call), Some(202));
    world.run(2_000);
    assert_eq!(world.told(eve).len(), 1);
    world.finish();
}

#[test]
fn two_homes_whose_people_are_away_do_not_answer_each_other() {
    let (mut world, alice) = crate::outside::world_with(
        1,
        &[
            ("_sip._udp.other.test", crate::names::Record::service(1, 1, 5060, "gate.other.test")),
            ("gate.other.test", crate::names::Record::address("203.0.113.1")),
        ],
    );
    let (other, carl) = crate::outside::other_home(&mut world);
    world.keep_at(0, Storage::Disk);
    world.keep_at(other, Storage::Disk);
    // Both are away, and each has a phone that still writes.
    world.register(carl, 0);
    world.run(6_000);
    let call = world.write(alice, "sip:carl@other.test", "are you there?");
    assert_eq!(world.outcome_of(call), Some(202));
    world.register(alice, 0);
    world.run(6_000);
    let call = world.write(carl, ALICE, "are you?");
    assert_eq!(world.outcome_of(call), Some(202));
    world.run(60_000);
    let texts = [0, other].map(|server| world.kept_texts(server));
    let strange = texts.iter().flatten().filter(|text| text.contains("is away")).count();
    assert!(strange <= 2, "{texts:?}");
    assert!(texts[0].iter().any(|text| text == "are you?") && texts[1].iter().any(|text| text == "are you there?"));
    assert!(texts[0].len() + texts[1].len() <= 4, "{texts:?}");
    world.finish();
}

/// However the links are, and whenever the program or the power ends: what was acknowledged is there once, which every
/// world checks at its end.
#[test]
fn texts_over_bad_links_and_restarts() {
    for seed in seeds(30) {
        let mut world = with_spool(seed);
        let (bob, eve) = (world.online("bob", 30, Manner::POLITE), world.stranger(9));
        let alice = world.phone("alice", 10);
        let late_ms = world.random.below(12_000);
        world.phones[alice].manner.message_ms = late_ms;
        for phone in [bob, eve, alice] {
            world.phones[phone].may_get_twice = true;
        }
        world.link = if seed % 2 == 0 { Link::GOOD } else { Link::BAD };
        for number in 0..24 {
            match world.random.below(12) {
                0 => drop(world.register(alice, 1800)),
                1 => drop(world.register(alice, 0)),
                2 => {
                    world.kill(0);
                    world.run(200);
                    world.start(0);
                }
                3 => {
                    world.cut_power(0);
                    world.run(2_000);
                    world.start(0);
                }
                _ => {
                    let from = if world.random.chance(300) { bob } else { eve };
                    world.write(from, ALICE, &format!("text {number} of {seed}"));
                }
            }
            let steps = world.random.below(40);
            for _ in 0..steps {
                if world.next_at().is_some_and(|at| at < world.now + 3_000) {
                    world.step();
                }
            }
        }
        world.finish();
    }
}

#[test]
fn one_sender_fills_his_share_and_no_more() {
    let mut world = with_spool(1);
    let (bob, eve) = (world.online("bob", 30, Manner::POLITE), world.stranger(9));
    let mut outcomes = Vec::new();
    for number in 0..LETTERS_PER_STRANGER + 10 {
        let call = world.write(eve, ALICE, &format!("flood {number}"));
        outcomes.push(world.outcome_of(call));
        world.run(400);
    }
    let (kept, refused) = outcomes.split_at(LETTERS_PER_STRANGER);
    assert!(kept.iter().all(|status| *status == Some(202)));
    assert!(refused.iter().all(|status| *status == Some(480)));
    let call = world.write(bob, ALICE, "unharmed");
    assert_eq!(world.outcome_of(call), Some(202));
    assert_eq!(world.kept(0).len(), LETTERS_PER_STRANGER + 1);
    world.finish();
}

#[test]
fn two_hundred_texts_a_second() {
    let mut world = with_spool(1);
    world.ledger.is_limited = true;
    let (bob, eve) = (world.online("bob", 30, Manner::POLITE), world.stranger(9));
    for number in 0..400 {
        let text = format!(
            "MESSAGE {ALICE} SIP/2.0\r\nVia: SIP/2.0/UDP 198.51.100.66:5060;branch=z9hG4bKflood{number}\r\n\
            Max-Forwards: 70\r\nFrom: <sip:spam@elsewhere.example>;tag=f\r\nTo: <{ALICE}>\r\nCall-ID: flood{number}\r\n\
            CSeq: 1 MESSAGE\r\nContent-Type: text/plain\r\nContent-Length: 4\r\n\r\nspam"
        );
        world.inject("198.51.100.66:5060", crate::world::WAN, text.as_bytes());
        world.run(5);
    }
    for (phone, text) in [(bob, "from bob"), (eve, "from eve")] {
        let call = world.write(phone, ALICE, text);
        assert_eq!(world.outcome_of(call), Some(202));
    }
    let kept = world.kept(0);
    let spam = kept.iter().filter(|item| item.text() == "spam").count();
    assert!(spam <= LETTERS_PER_STRANGER && kept.len() == spam + 2, "{spam}");
    world.finish();
}

#[test]
fn her_own_words() {
    let mut world = with_spool(1);
    world.configure(0, &HOME.replace("'wonderland'", "'wonderland'\n    option busy 'At sea until Monday'"));
    let eve = world.stranger(9);
    let call = world.write(eve, ALICE, "hello");
    assert_eq!(world.outcome_of(call), Some(202));
    world.run(1_000);
    assert_eq!(world.told(eve), [(ALICE.to_string(), "At sea until Monday".to_string())]);
    world.finish();
}

/// She deletes on her page while texts come in and the program or the power ends: a text is there once, deleted or not, and
/// a day later what she deleted is gone, and nothing else.
#[test]
fn texts_and_deletions_and_any_end() {
    let (seeds, mut all_deleted) = (seeds(16), 0);
    for seed in seeds.iter().copied() {
        let mut world = with_spool(seed);
        world.configure(0, &crate::browser::home_with_page());
        world.run(100);
        let eve = world.stranger(9);
        world.phones[eve].may_get_twice = true;
        let mut browser = world.log_in("alice", 77);
        let (mut sent, mut deleted) = (0, 0);
        for _ in 0..20 {
            match world.random.below(8) {
                0 | 1 => deleted += usize::from(world.delete_newest(&browser)),
                2 => {
                    if world.random.chance(500) {
                        world.cut_power(0);
                    } else {
                        world.kill(0);
                    }
                    world.run(1_000);
                    world.start(0);
                    world.run(1_000);
                    world.log_in_again(&mut browser, "alice");
                }
                _ => {
                    world.write(eve, ALICE, &format!("text {sent} of {seed}"));
                    sent += 1;
                }
            }
            let wait = world.random.below(60);
            world.run(wait);
        }
        world.run(40_000);
        let kept = world.kept(0);
        world.check_kept(0);
        let gone = kept.iter().filter(|item| item.state == 2).count();
        assert!(gone <= deleted, "{gone} of {deleted}");
        world.run(25 * 3_600_000);
        let left = world.kept(0);
        assert!(left.iter().eq(kept.iter().filter(|item| item.state != 2)), "{} of {}", left.len(), kept.len());
        all_deleted += gone;
        world.ledger.removes_texts = true;
        world.finish();
    }
    assert!(all_deleted >= seeds.len() / 2, "{all_deleted} deleted at all");
}
