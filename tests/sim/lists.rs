//! Lists of people that are watched as one (RFC 4662), by name and in the request (RFC 5367), and people elsewhere on them
//! (home/presence/list.rs, watched.rs).

use crate::names::Record;
use crate::outside::{other_home, world_with};
use crate::phone::{Manner, Phone};
use crate::watching::{Seen, Watching, pidf};
use crate::world::{HOME, World};
use pcsd::base::limits::LISTS;

const ALICE: &str = "sip:alice@home.example";
const CAROL: &str = "sip:carol@home.example";
const CARL: &str = "sip:carl@other.test";
const BOBS: &str = "sip:bob-buddies@home.example";
const SOON_MS: u64 = 1_200;
/// What goes through most networks in one piece.
const DATAGRAM_BYTES: usize = 1_300;

fn bob(world: &mut World, is_tcp: bool) -> usize {
    let phone = Phone::new("bob", "builder", "192.168.1.20:5060");
    world.join(if is_tcp { phone.tcp() } else { phone })
}

/// Bob's list of everybody, by its name.
fn named(world: &mut World, bob: usize) -> Watching {
    let watching = world.subscribe(bob, BOBS, "presence", 3600, &[("Supported", "eventlist")]);
    assert_eq!(world.outcome_of(watching.call), Some(200));
    assert!(world.answer(watching.call).get("Require").contains("eventlist"));
    watching
}

/// A list that comes with the request.
fn document(entries: &[&str]) -> String {
    let entries: String = entries.iter().map(|uri| format!("<entry uri=\"{uri}\"/>")).collect();
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\r\n<resource-lists xmlns=\"urn:ietf:params:xml:ns:resource-lists\">\
         <list>{entries}</list></resource-lists>"
    )
}

fn given(world: &mut World, phone: usize, (kind, body): (&str, &[u8]), fields: &[(&str, &str)]) -> Watching {
    let uri = "sip:pcs@home.example";
    let list = [("Require", "recipient-list-subscribe"), ("Supported", "eventlist"), ("Content-Type", kind)];
    let mut request = world.subscription(phone, uri, "presence", 3600, &list);
    fields.iter().for_each(|(name, value)| request.add(name, value));
    request.body = body.to_vec();
    world.begin(phone, request)
}

/// Blocks that are not compressed (RFC 1951 §3.2.4) within zlib (RFC 1950).
fn deflated(text: &[u8]) -> Vec<u8> {
    let mut out = vec![0x78, 0x01];
    for (index, block) in text.chunks(100).enumerate() {
        let is_last = (index + 1) * 100 >= text.len();
        out.push(u8::from(is_last));
        let len = block.len() as u16;
        out.extend(len.to_le_bytes());
        out.extend((!len).to_le_bytes());
        out.extend(block);
    }
    let (a, b) = text.iter().fold((1u32, 0u32), |(a, b), byte| {
        let a = (a + u32::from(*byte)) % 65_521;
        (a, (b + a) % 65_521)
    });
    out.extend(((b << 16) | a).to_be_bytes());
    out
}

#[test]
fn by_name_in_parts_on_udp_and_whole_on_tcp() {
    for is_tcp in [false, true] {
        let mut world = World::new(1);
        let bob = bob(&mut world, is_tcp);
        let alice = world.online("alice", 10, Manner::POLITE);
        world.published(alice, None, &pidf(true, "meeting", "with the board"));
        let watching = named(&mut world, bob);
        world.run(500);
        let notices = world.notices(&watching);
        let first = notices[0].list.clone().expect("it is about a list");
        let uris: Vec<&str> = first.entries.iter().map(|(uri, _)| uri.as_str()).collect();
        assert!(first.is_full && uris == [ALICE, CAROL], "{uris:?}");
        assert!(first.entries.iter().all(|(_, document)| document.is_some() == is_tcp), "{first:?}");
        assert_eq!(notices.len() == 1, is_tcp, "the documents follow in parts on UDP");
        for notice in &notices[1..] {
            assert!(notice.list.as_ref().is_some_and(|list| !list.is_full), "{notice:?}");
            let entries = notice.list.as_ref().map_or(0, |list| list.entries.len());
            assert!(entries == 1 || notice.msg.bytes().len() <= DATAGRAM_BYTES, "{} bytes", notice.msg.bytes().len());
        }
        let seen = world.seen_of(&watching, ALICE).expect("she is on the list");
        assert!(seen.does("meeting") && seen.note == "with the board", "{seen:?}");
        assert_eq!(world.seen_of(&watching, CAROL), Some(Seen::offline()));
        // What changes comes alone.
        let before = world.notices(&watching).len();
        world.online("carol", 30, Manner::POLITE);
        world.run(SOON_MS);
        let news = world.notices(&watching)[before..].to_vec();
        assert_eq!(news.len(), 1);
        let list = news[0].list.clone().unwrap();
        assert!(!list.is_full && list.entries.len() == 1 && list.entries[0].0 == CAROL, "{list:?}");
        assert!(world.seen_of(&watching, CAROL).unwrap().is_open);
        let versions: Vec<u32> =
            world.notices(&watching).iter().filter_map(|it| it.list.as_ref()).map(|it| it.version).collect();
        assert!(versions.windows(2).all(|pair| pair[1] == pair[0] + 1), "{versions:?}");
        // A refresh tells all of it again.
        let before = world.notices(&watching).len();
        let refresh = world.refresh(&watching, 600);
        assert_eq!(world.outcome_of(refresh), Some(200));
        world.run(SOON_MS);
        let again = world.notices(&watching)[before..].to_vec();
        assert!(again[0].list.as_ref().unwrap().is_full);
        assert!(world.seen_of(&watching, ALICE).unwrap().does("meeting"));
        let leave = world.refresh(&watching, 0);
        assert_eq!(world.outcome_of(leave), Some(200));
        world.run(SOON_MS);
        assert_eq!(world.last(&watching).state, "terminated");
        world.finish();
    }
}

/// The one NOTIFY that answers a fetch says all of it, by whatever way it goes.
#[test]
fn fetched_in_one() {
    for is_tcp in [false, true] {
        let mut world = World::new(1);
        let bob = bob(&mut world, is_tcp);
        world.online("alice", 10, Manner::POLITE);
        let fetch = world.subscribe(bob, BOBS, "presence", 0, &[("Supported", "eventlist")]);
        assert_eq!(world.outcome_of(fetch.call), Some(200));
        world.run(SOON_MS);
        let notices = world.notices(&fetch);
        assert!(notices.len() == 1 && notices[0].state == "terminated", "{notices:?}");
        assert!(notices[0].list.as_ref().is_some_and(|list| list.is_full));
        assert!(world.seen_of(&fetch, ALICE).unwrap().is_open);
        assert_eq!(world.seen_of(&fetch, CAROL), Some(Seen::offline()));
        world.finish();
    }
}

#[test]
fn in_the_request_plain_deflated_and_among_parts() {
    let entries = [ALICE, "sip:nobody@home.example", "mailto:x@y.example", CAROL];
    let text = document(&entries);
    let parts = format!(
        "--cut\r\nContent-Type: application/resource-lists+xml\r\nContent-Disposition: recipient-list\r\n\r\n{text}\r\n\
         --cut--\r\n"
    );
    let plain = "application/resource-lists+xml";
    for (kind, body, encoding) in [
        (plain, text.as_bytes().to_vec(), ""),
        (plain, deflated(text.as_bytes()), "deflate"),
        ("multipart/mixed;boundary=cut", parts.into_bytes(), ""),
    ] {
        for is_tcp in [false, true] {
            let mut world = World::new(1);
            let bob = bob(&mut world, is_tcp);
            let alice = world.online("alice", 10, Manner::POLITE);
            let fields = [("Content-Encoding", encoding)];
            let fields = if encoding.is_empty() { &[][..] } else { &fields };
            let watching = given(&mut world, bob, (kind, &body), fields);
            assert_eq!(world.outcome_of(watching.call), Some(200), "{kind} {encoding}");
            world.run(500);
            let first = world.notices(&watching)[0].list.clone().expect("it is about a list");
            let uris: Vec<&str> = first.entries.iter().map(|(uri, _)| uri.as_str()).collect();
            assert!(first.is_full && uris == entries, "{uris:?}");
            assert!(world.seen_of(&watching, ALICE).unwrap().is_open);
            assert_eq!(world.seen_of(&watching, "sip:nobody@home.example"), None, "nothing is known of nobody");
            world.tell(alice, "away back at 6");
            world.run(SOON_MS);
            let seen = world.seen_of(&watching, ALICE).unwrap();
            assert!(seen.does("away") && seen.note == "back at 6", "{seen:?}");
            world.finish();
        }
    }
}

#[test]
fn whom_two_entries_name_is_told_once() {
    let mut world = World::new(1);
    let bob = bob(&mut world, true);
    let text = document(&[ALICE, ALICE, CAROL]);
    let watching = given(&mut world, bob, ("application/resource-lists+xml", text.as_bytes()), &[]);
    assert_eq!(world.outcome_of(watching.call), Some(200));
    world.run(500);
    let first = world.notices(&watching)[0].list.clone().unwrap();
    assert_eq!(first.entries.len(), 2, "{first:?}");
    world.finish();
}

#[test]
fn lists_that_are_refused() {
    let mut world = World::new(1);
    let bob = bob(&mut world, false);
    let eve = world.stranger(9);
    let plain = "application/resource-lists+xml";
    let good = document(&[ALICE]);
    let deep = good.replace("<entry", &"<list>".repeat(100)).to_string();
    for (phone, kind, body, encoding, status) in [
        (eve, plain, good.as_bytes(), "", 403),
        (bob, plain, b"<resource-lists", "", 400),
        (bob, plain, deep.as_bytes(), "", 400),
        (bob, plain, b"", "", 400),
        (bob, plain, good.as_bytes(), "gzip", 415),
        (bob, plain, good.as_bytes(), "deflate", 400),
        (bob, "multipart/mixed;boundary=cut", b"--cut\r\n\r\nhello\r\n--cut--\r\n", "", 400),
    ] {
        let fields = [("Content-Encoding", encoding)];
        let fields = if encoding.is_empty() { &[][..] } else { &fields };
        let watching = given(&mut world, phone, (kind, body), fields);
        assert_eq!(world.outcome_of(watching.call), Some(status), "{kind} {encoding} {}", body.len());
    }
    // A list by name is its owner's, and for who understands it.
    let alice = world.online("alice", 10, Manner::POLITE);
    for (phone, fields, status) in
        [(alice, &[("Supported", "eventlist")][..], 404), (eve, &[("Supported", "eventlist")], 404), (bob, &[], 421)]
    {
        let watching = world.subscribe(phone, BOBS, "presence", 3600, fields);
        assert_eq!(world.outcome_of(watching.call), Some(status));
    }
    world.finish();
}

#[test]
fn lists_full() {
    let mut world = World::new(1);
    let bob = bob(&mut world, false);
    for _ in 0..LISTS {
        named(&mut world, bob);
        world.run(200);
    }
    let one_more = world.subscribe(bob, BOBS, "presence", 3600, &[("Supported", "eventlist")]);
    assert_eq!(world.outcome_of(one_more.call), Some(503));
    assert!(!world.answer(one_more.call).get("Retry-After").is_empty());
    world.finish();
}

#[test]
fn a_list_changes_with_the_configuration_and_obeys_its_rules() {
    let mut world = World::new(1);
    let bob = bob(&mut world, true);
    world.online("alice", 10, Manner::POLITE);
    let watching = named(&mut world, bob);
    world.run(SOON_MS);
    assert!(world.seen_of(&watching, ALICE).unwrap().is_open);
    let hide = "config rule\n    option person 'alice'\n    list who 'person:bob'\n    option presence 'hide'\n";
    world.configure(0, &format!("{HOME}{hide}"));
    world.run(SOON_MS);
    assert_eq!(world.seen_of(&watching, ALICE), Some(Seen::offline()));
    // A person more is an entry more.
    let text = HOME.replace("config device 'tv'\n    option person 'carol'", "config person 'dave'");
    let text = text.replace("    list takes 'video'\n", "");
    world.configure(0, &text);
    world.run(SOON_MS);
    let notices = world.notices(&watching);
    let full = notices.iter().rev().filter_map(|it| it.list.clone()).find(|it| it.is_full).unwrap();
    assert!(full.entries.iter().any(|(uri, _)| uri == "sip:dave@home.example"), "{full:?}");
    assert!(world.seen_of(&watching, ALICE).unwrap().is_open, "there is no rule any more");
    world.finish();
}

/// Two homes: Bob and Alice at ours, Carl at the other.
fn two_homes(seed: u64, is_tcp: bool) -> (World, usize, usize) {
    let service = if is_tcp { "_sip._tcp.other.test" } else { "_sip._udp.other.test" };
    let zone =
        [(service, Record::service(10, 1, 5060, "pcs.other.test")), ("pcs.other.test", Record::address("203.0.113.1"))];
    let (mut world, _alice) = world_with(seed, &zone);
    let buddy = "config buddy\n    option person 'bob'\n    option alias 'karl'\n    option name 'Carl'\n    \
                 list address 'sip:carl@other.test'\n";
    world.configure(0, &format!("{HOME}{buddy}"));
    let (_, carl) = other_home(&mut world);
    let bob = bob(&mut world, false);
    (world, bob, carl)
}

/// Carl lets Bob see him.
fn carl_allows(world: &mut World, carl: usize) {
    let is_asked = |world: &World| {
        let mut got = world.phones[carl].got("MESSAGE").into_iter();
        got.any(|msg| String::from_utf8_lossy(&msg.body).contains("wants to see"))
    };
    assert!(world.run_until(5_000, is_asked), "nobody asked Carl");
    let now = world.now;
    let call = (carl, world.phones[carl].message(now, "sip:pcs@other.test", "yes"));
    assert_eq!(world.outcome_of(call), Some(200));
}

#[test]
fn somebody_elsewhere_on_a_list() {
    for is_tcp in [false, true] {
        let (mut world, bob, carl) = two_homes(1, is_tcp);
        let text = document(&[ALICE, CARL]);
        let watching = given(&mut world, bob, ("application/resource-lists+xml", text.as_bytes()), &[]);
        assert_eq!(world.outcome_of(watching.call), Some(200));
        world.run(2_000);
        assert_eq!(world.seen_of(&watching, CARL), Some(Seen::offline()), "he has not answered yet");
        carl_allows(&mut world, carl);
        world.run(2_500);
        assert!(world.seen_of(&watching, CARL).unwrap().is_open);
        let mut request = world.phones[carl].request("PUBLISH", CARL, &format!("<{CARL}>"));
        request.remove("Contact");
        request = request.with("Event", "presence").with("Content-Type", "application/pidf+xml");
        request.body = pidf(true, "travel", "in orbit").into_bytes();
        let call = world.send(carl, request);
        assert_eq!(world.outcome_of(call), Some(200));
        world.run(2_500);
        let seen = world.seen_of(&watching, CARL).unwrap();
        assert!(seen.does("travel") && seen.note == "in orbit", "{seen:?}");
        // It is refreshed for as long as anybody looks.
        world.phones[bob].registration = Some((1800, world.now + 900_000));
        let refresh = world.refresh(&watching, 3600);
        assert_eq!(world.outcome_of(refresh), Some(200));
        world.run(3_500_000);
        let refresh = world.refresh(&watching, 3600);
        assert_eq!(world.outcome_of(refresh), Some(200));
        world.run(2_500);
        assert!(world.seen_of(&watching, CARL).is_some());
        let leave = world.refresh(&watching, 0);
        assert_eq!(world.outcome_of(leave), Some(200));
        world.run(5_000);
        world.finish();
    }
}

#[test]
fn a_buddy_is_reached_and_seen_under_his_alias() {
    let (mut world, bob, carl) = two_homes(1, false);
    let alias = "sip:karl@home.example";
    let watching = world.watches(bob, alias);
    world.run(2_000);
    assert_eq!(world.seen(&watching), Seen::offline());
    carl_allows(&mut world, carl);
    world.run(2_500);
    assert!(world.seen(&watching).is_open);
    let call = world.message(bob, alias);
    assert_eq!(world.outcome_of(call), Some(200));
    let got = world.phones[carl].got("MESSAGE").into_iter().filter(|msg| msg.body == b"hello").count();
    assert_eq!(got, 1);
    // The alias is Bob's: to others nobody bears it.
    let alice = 0;
    for phone in [alice, carl] {
        let call = world.message(phone, alias);
        assert_eq!(world.outcome_of(call), Some(404));
        let watching = world.watch(phone, alias);
        assert_eq!(world.outcome_of(watching.call), Some(404));
    }
    // He is on Bob's list by that name.
    let list = named(&mut world, bob);
    world.run(SOON_MS);
    assert!(world.seen_of(&list, alias).unwrap().is_open);
    world.finish();
}
