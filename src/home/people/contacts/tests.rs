//! Lists, presence with its lag, strangers, and what becomes of contacts when the configuration changes.

use std::format;
use std::string::String as Owned;
use std::vec::Vec;

use super::*;
use crate::base::random::Random;
use crate::home::people::People;
use crate::home::people::testing::{account, buddy, model, people};

const XMPP: usize = 0;
const IRC: usize = 1;

fn at(ms: u64) -> Instant {
    Instant::from_millis(ms)
}

fn told<'s>(who: &'s str, name: &'s str) -> bridge::Contact<'s> {
    bridge::Contact { who, name, is_watched: true, is_asked: false }
}

fn put(people: &mut People, account: usize, who: &str, name: &str) -> Result<Change, Full> {
    let People { contacts, model, .. } = people;
    contacts.upsert(at(0), model, account, &told(who, name))
}

fn list(people: &mut People, account: usize, whos: &[&str]) {
    people.contacts.begin_list(account);
    for who in whos {
        put(people, account, who, "").unwrap();
    }
    people.contacts.end_list(account);
}

fn see(people: &mut People, at_ms: u64, who: &str, place: u32, show: Show, text: &str) -> Option<ContactHandle> {
    let People { contacts, model, .. } = people;
    contacts.presence(at(at_ms), model, XMPP, who, &Seen { place, show, priority: 0, text })
}

fn hear(people: &mut People, at_ms: u64, account: usize, who: &str, heard: Heard) -> Option<ContactHandle> {
    let People { contacts, model, .. } = people;
    contacts.heard(at(at_ms), model, account, who, heard)
}

fn shown(people: &People, who: &str) -> (Show, Owned) {
    let contact = people.contacts.find(XMPP, who).expect("he is known");
    let shown = people.contacts.shown(contact);
    shown.map_or((Show::Offline, Owned::new()), |it| (it.show, it.text.as_str().into()))
}

fn news(people: &mut People) -> Vec<News> {
    core::iter::from_fn(|| people.contacts.next_news()).collect()
}

fn aliases(people: &People, person: usize) -> Vec<&str> {
    people.buddies_of(person).map(|buddy| people.buddy_alias(buddy)).collect()
}

/// What the tables hold is what the indexes and counts say.
fn check(people: &People) {
    let contacts = &people.contacts;
    let mut places = 0;
    let mut shares = [(0, 0); ACCOUNTS];
    for (handle, contact) in contacts.iter() {
        assert_eq!(contacts.find(usize::from(contact.account), &contact.address), Some(handle));
        places += contacts.sightings(handle).count();
        let share = &mut shares[usize::from(contact.account)];
        *if contact.is_stranger() { &mut share.1 } else { &mut share.0 } += 1;
        assert_eq!(contact.alias.is_empty(), contact.buddy.is_some(), "{contact:?}");
        if contact.buddy.is_none() {
            let person = usize::from(contact.person);
            assert_eq!(contacts.find_alias(person, &contact.alias), Some(handle), "{contact:?}");
            assert_eq!(people.buddy(person, contact.alias.as_bytes()), Some(BUDDIES + handle.index()));
        }
    }
    assert_eq!(places, contacts.sighting_count());
    assert_eq!(contacts.shares.map(|share| (share.kept, share.strangers)), shares);
}

#[test]
fn a_list_is_told_and_told_again() {
    let mut people = people();
    people.contacts.begin_list(XMPP);
    assert_eq!(put(&mut people, XMPP, "carol@x.example", "Carol"), Ok(Change::New));
    assert_eq!(put(&mut people, XMPP, "dave@x.example", ""), Ok(Change::New));
    assert_eq!(put(&mut people, XMPP, "carol@x.example", "Carol"), Ok(Change::None));
    assert!(!news(&mut people).contains(&News::List(0)), "the list is not complete yet");
    people.contacts.end_list(XMPP);
    assert_eq!(news(&mut people), [News::List(0)]);
    assert_eq!(aliases(&people, 0), ["smith", "aunt", "carol", "dave"]);
    assert_eq!(aliases(&people, 1), ["aunt"]);
    check(&people);

    // A push between lists.
    assert_eq!(put(&mut people, XMPP, "carol@x.example", "Caroline"), Ok(Change::Altered));
    let carol = people.buddy(0, b"carol").expect("the alias stays");
    assert_eq!(people.buddy_name(carol), "Caroline");
    assert_eq!(news(&mut people), [News::Changed { person: 0, buddy: carol }, News::List(0)]);

    let dave = people.buddy(0, b"DAVE").unwrap();
    list(&mut people, XMPP, &["carol@x.example"]);
    assert_eq!((people.buddy(0, b"dave"), people.has_buddy(dave), people.buddy_alias(dave)), (None, false, ""));
    assert!(news(&mut people).starts_with(&[News::Gone(dave)]));
    people.contacts.remove(XMPP, "carol@x.example");
    assert_eq!(news(&mut people), [News::Gone(carol), News::List(0)]);
    assert!(people.contacts.is_empty());
    check(&people);
}

#[test]
fn handles_die_with_their_contact() {
    let mut people = people();
    list(&mut people, XMPP, &["carol@x.example"]);
    let carol = people.contacts.find(XMPP, "carol@x.example").unwrap();
    list(&mut people, XMPP, &["dave@x.example"]);
    let dave = people.contacts.find(XMPP, "dave@x.example").unwrap();
    list(&mut people, XMPP, &["erin@x.example", "dave@x.example"]);
    assert_eq!(people.contacts.get(carol), None);
    assert_eq!(people.contacts.get(dave).map(|it| it.address.as_str()), Some("dave@x.example"));
    check(&people);
}

#[test]
fn an_address_of_a_configured_buddy_is_that_buddy() {
    let mut people = people();
    list(&mut people, XMPP, &["smith@x.example", "aunt@x.example"]);
    let smith = people.contacts.find(XMPP, "smith@x.example").unwrap();
    assert_eq!(people.contacts.get(smith).unwrap().buddy, Some(0));
    assert_eq!(aliases(&people, 0), ["smith", "aunt"]);
    assert_eq!(people.buddy_at(0, Network::Xmpp, "smith@x.example"), Some(0));
    assert_eq!(people.buddy_at(0, Network::Sip, "Smith@SMITH.example"), Some(0));
    assert_eq!(people.buddy_at(1, Network::Xmpp, "smith@x.example"), None, "he is on Alice's list");
    assert_eq!(people.contacts.of_buddy(0, 0).count(), 1);
    assert!(!news(&mut people).contains(&News::List(0)), "her list is what it was");
    // Off the network's list he is still that buddy.
    see(&mut people, 5, "smith@x.example", 1, Show::Available, "hi");
    people.contacts.remove(XMPP, "smith@x.example");
    assert_eq!(shown(&people, "smith@x.example").0, Show::Offline);
    assert!(!people.contacts.get(smith).unwrap().is_listed);
    assert!(news(&mut people).contains(&News::Changed { person: 0, buddy: 0 }));
    check(&people);
}

#[test]
fn an_alias_is_one_persons_own() {
    let mut people = people();
    people.contacts.begin_list(XMPP);
    for (who, name) in [
        ("1@x.example", "Carol"),
        ("2@x.example", "carol"),
        ("3@x.example", "Smith"),
        ("4@x.example", "Bob"),
        ("5@x.example", "PCS"),
        ("6@x.example", "Alice-Buddies"),
        ("7@x.example", "Carol-2"),
        ("carol@y.example", ""),
    ] {
        put(&mut people, XMPP, who, name).unwrap();
    }
    put(&mut people, 2, "1@x.example", "Carol").unwrap();
    let expected =
        ["smith", "aunt", "carol", "carol-2", "smith-2", "bob-2", "pcs-2", "alice-buddies-2", "carol-2-2", "carol-3"];
    assert_eq!(aliases(&people, 0), expected);
    assert_eq!(aliases(&people, 1), ["aunt", "carol"], "Bob's are his own");
    let (hers, his) = (people.buddy(0, b"carol").unwrap(), people.buddy(1, b"carol").unwrap());
    assert!(hers != his && people.is_seen_by(hers, 0) && !people.is_seen_by(hers, 1));
    assert_eq!((people.buddy_owner(hers), people.buddy_owner(his), people.buddy_owner(1)), (Some(0), Some(1), None));
    let random = Random::new();
    let seals: Vec<u32> = people.buddies().map(|buddy| people.buddy_seal(&random, buddy)).collect();
    let mut once = seals.clone();
    once.sort_unstable();
    once.dedup();
    assert_eq!((once.len(), seals.contains(&0)), (11, false));
    assert_eq!(people.buddy_seal(&random, BUDDIES + CONTACTS - 1), 0);
    check(&people);
}

#[test]
fn the_best_place_counts() {
    let mut people = people();
    list(&mut people, XMPP, &["carol@x.example"]);
    let who = "carol@x.example";
    see(&mut people, 10, who, 1, Show::Away, "on the bus");
    see(&mut people, 20, who, 2, Show::Available, "at home");
    see(&mut people, 30, who, 3, Show::Away, "tv");
    assert_eq!(shown(&people, who), (Show::Available, "at home".into()));
    see(&mut people, 40, who, 2, Show::Offline, "");
    assert_eq!(shown(&people, who), (Show::Away, "tv".into()), "of equal ones the last, and at once");
    see(&mut people, 50, who, 1, Show::Away, "off the bus");
    assert_eq!(shown(&people, who), (Show::Away, "off the bus".into()));
    let contact = people.contacts.find(XMPP, who).unwrap();
    let People { contacts, model, .. } = &mut *people;
    let seen = Seen { place: 3, show: Show::Away, priority: 9, text: "tv" };
    contacts.presence(at(45), model, XMPP, who, &seen);
    assert_eq!(contacts.shown(contact).unwrap().place, 3, "the priority before the time");
    check(&people);
}

#[test]
fn who_logs_in_again_does_not_flash() {
    let mut people = people();
    list(&mut people, XMPP, &["carol@x.example"]);
    let who = "carol@x.example";
    see(&mut people, 0, who, 1, Show::Busy, "one");
    assert_eq!(people.contacts.deadline(), None);
    see(&mut people, 100, who, 1, Show::Offline, "");
    let contact = people.contacts.find(XMPP, who).unwrap();
    assert_eq!((shown(&people, who).0, people.contacts.show(contact)), (Show::Busy, Show::Offline));
    assert_eq!(people.contacts.deadline(), Some(at(100 + DAMP_MS)));
    see(&mut people, 600, who, 2, Show::Available, "two");
    assert_eq!(shown(&people, who), (Show::Available, "two".into()));
    people.contacts.due(at(2_000));
    assert_eq!((shown(&people, who).0, people.contacts.deadline()), (Show::Available, None));
    // He leaves, and a moment later it is seen.
    see(&mut people, 3_000, who, 0, Show::Offline, "");
    see(&mut people, 3_500, who, 2, Show::Offline, "again");
    news(&mut people);
    people.contacts.due(at(2_999 + DAMP_MS));
    assert_eq!((shown(&people, who).0, news(&mut people)), (Show::Available, Vec::new()));
    people.contacts.due(at(3_000 + DAMP_MS));
    assert_eq!(shown(&people, who).0, Show::Offline);
    let carol = people.buddy(0, b"carol").unwrap();
    assert_eq!(news(&mut people), [News::Changed { person: 0, buddy: carol }]);
    assert_eq!(people.contacts.sighting_count(), 0);
    check(&people);
}

#[test]
fn a_cut_is_not_seen_for_a_while() {
    let mut people = people();
    let (stays, goes) = ("carol@x.example", "dave@x.example");
    list(&mut people, XMPP, &[stays, goes]);
    for who in [stays, goes] {
        see(&mut people, 0, who, 1, Show::Available, "");
        see(&mut people, 0, who, 2, Show::Away, "");
    }
    // Resumed: all is as it was.
    people.contacts.offline(at(10), XMPP);
    let contact = people.contacts.find(XMPP, goes).unwrap();
    assert_eq!((shown(&people, goes).0, people.contacts.show(contact)), (Show::Available, Show::Offline));
    people.contacts.online(at(LINK_GRACE_MS), XMPP, true);
    people.contacts.due(at(10 + LINK_GRACE_MS));
    assert_eq!((people.contacts.show(contact), people.contacts.sighting_count()), (Show::Available, 4));
    // Not resumed: who is not seen again is gone.
    people.contacts.offline(at(100_000), XMPP);
    people.contacts.online(at(159_000), XMPP, false);
    see(&mut people, 161_000, stays, 7, Show::Busy, "");
    people.contacts.due(at(161_000));
    assert_eq!((shown(&people, stays).0, shown(&people, goes).0), (Show::Busy, Show::Available));
    people.contacts.due(at(159_000 + RETURN_MS));
    assert_eq!((shown(&people, stays).0, shown(&people, goes).0), (Show::Busy, Show::Offline));
    // Not back in time.
    people.contacts.offline(at(200_000), XMPP);
    people.contacts.due(at(200_000 + LINK_GRACE_MS));
    assert_eq!((shown(&people, stays).0, people.contacts.deadline()), (Show::Offline, None));
    // Not to be on any more: at once.
    see(&mut people, 300_000, stays, 7, Show::Busy, "");
    people.contacts.forget_presence(XMPP);
    assert_eq!((shown(&people, stays).0, people.contacts.sighting_count()), (Show::Offline, 0));
    check(&people);
}

#[test]
fn strangers_have_a_small_share() {
    let mut people = people();
    assert_eq!(see(&mut people, 0, "spam@x.example", 1, Show::Available, ""), None);
    assert_eq!(hear(&mut people, 0, XMPP, "spam@x.example", Heard::Typing(true)), None);
    assert!(see(&mut people, 0, "smith@x.example", 1, Show::Available, "").is_some(), "one of a configured buddy");
    assert!(people.contacts.len() == 1);
    for number in 0..STRANGER_CONTACTS as u64 + 3 {
        let who = format!("{number}@spam.example");
        assert!(hear(&mut people, number, XMPP, &who, Heard::Wrote).is_some());
        hear(&mut people, 1_000 + number, XMPP, "0@spam.example", Heard::Wrote).unwrap();
        check(&people);
    }
    assert_eq!(people.contacts.len(), 1 + STRANGER_CONTACTS);
    let known = |who: &str| people.contacts.find(XMPP, who).is_some();
    assert!(known("0@spam.example") && !known("1@spam.example") && !known("3@spam.example") && known("4@spam.example"));
    assert_eq!(aliases(&people, 0), ["smith", "aunt"], "they are on no list");
    let last = STRANGER_CONTACTS + 2;
    assert!(people.buddy(0, format!("{last}").as_bytes()).is_some());
    assert!(people.buddy_at(0, Network::Xmpp, &format!("{last}@spam.example")).is_some());
    let gone = news(&mut people).iter().filter(|it| matches!(it, News::Gone(_))).count();
    // One place is kept by who goes on writing.
    assert_eq!(gone, 3.min(STRANGER_CONTACTS - 1), "each number that is somebody else's now");
    // On the list he is no stranger any more.
    assert_eq!(put(&mut people, XMPP, &format!("{last}@spam.example"), "Erin"), Ok(Change::New));
    assert_eq!(aliases(&people, 0), ["smith", "aunt", &format!("{last}")]);
    check(&people);
}

#[test]
fn who_writes() {
    let mut people = people();
    list(&mut people, IRC, &["carol"]);
    let carol = hear(&mut people, 5, IRC, "carol", Heard::Typing(true)).unwrap();
    let contact = people.contacts.get(carol).unwrap();
    assert_eq!((contact.is_typing, contact.wrote_at), (true, None));
    hear(&mut people, 6, IRC, "carol", Heard::Wrote);
    let contact = people.contacts.get(carol).unwrap();
    assert_eq!((contact.is_typing, contact.wrote_at), (false, Some(at(6))));
    hear(&mut people, 7, IRC, "carol", Heard::Nothing);
    assert_eq!(people.contacts.get(carol).unwrap().wrote_at, Some(at(6)));
    assert_eq!(people.contacts.find(XMPP, "carol"), None, "another account");
}

#[test]
fn full_tables_leave_out() {
    let mut people = people();
    people.model.accounts.clear();
    for number in 0..ACCOUNTS {
        let new = account(&format!("a{number}"), (number % 2) as u16, Network::Xmpp);
        people.model.accounts.push(new).ok().unwrap();
    }
    for account in 0..ACCOUNTS {
        for number in 0..STRANGER_CONTACTS {
            hear(&mut people, number as u64, account, &format!("{number}@s"), Heard::Wrote);
        }
    }
    let mut kept = 0;
    for account in 0..ACCOUNTS {
        people.contacts.begin_list(account);
        let fit = (0..CONTACTS_PER_ACCOUNT + 2)
            .filter(|number| put(&mut people, account, &format!("{number}@x"), "Same Name").is_ok())
            .count();
        people.contacts.end_list(account);
        assert!(fit <= CONTACTS_PER_ACCOUNT);
        kept += fit;
    }
    assert_eq!(kept, (CONTACTS - KEPT_FREE).min(ACCOUNTS * CONTACTS_PER_ACCOUNT));
    assert_eq!(hear(&mut people, 9, ACCOUNTS - 1, "new@s", Heard::Wrote).is_some(), KEPT_FREE > 0);
    check(&people);
    assert_eq!(put(&mut people, ACCOUNTS - 1, "late@x", ""), Err(Full));
    assert_eq!(put(&mut people, 200, "late@x", ""), Err(Full), "no such account");
    let long = "x".repeat(ADDRESS_BYTES + 1);
    assert_eq!(put(&mut people, 0, &long, ""), Err(Full));
    // Empty again, and everything fits anew.
    (0..ACCOUNTS).for_each(|account| list(&mut people, account, &[]));
    let strangers = people.contacts.len();
    assert!(people.contacts.iter().all(|(_, it)| it.is_stranger()));
    assert_eq!(put(&mut people, 0, "late@x", ""), Ok(Change::New));
    assert_eq!(people.contacts.len(), strangers + 1);
    check(&people);
}

#[test]
fn places_that_do_not_fit_are_the_worst() {
    let mut people = people();
    list(&mut people, XMPP, &["carol@x.example"]);
    let who = "carol@x.example";
    for place in 1..=PLACES as u32 {
        see(&mut people, u64::from(place), who, place, Show::Away, "");
    }
    see(&mut people, 100, who, 50, Show::ExtendedAway, "");
    see(&mut people, 101, who, 51, Show::Available, "best");
    let contact = people.contacts.find(XMPP, who).unwrap();
    let mut places: Vec<u32> = people.contacts.sightings(contact).map(|it| it.place).collect();
    places.sort_unstable();
    let expected: Vec<u32> = (2..=PLACES as u32).chain([51]).collect();
    assert_eq!((places, people.contacts.forgotten), (expected, 1));
    check(&people);
}

#[test]
fn the_pool_of_places_is_for_everybody() {
    let mut people = people();
    let whos: Vec<Owned> = (0..SIGHTINGS / PLACES + 2).map(|number| format!("{number}@x")).collect();
    let fitting = whos.len().min(CONTACTS_PER_ACCOUNT);
    for who in &whos[..fitting] {
        put(&mut people, XMPP, who, "").unwrap();
        for place in 1..=PLACES as u32 {
            see(&mut people, 1, who, place, Show::Away, "");
        }
    }
    check(&people);
    assert!(people.contacts.sighting_count() <= SIGHTINGS);
    for who in &whos[..fitting] {
        assert_ne!(shown(&people, who).0, Show::Offline, "everybody is seen somewhere");
    }
}

#[test]
fn another_configuration() {
    let mut people = people();
    list(&mut people, XMPP, &["carol@x.example", "smith@x.example", "dave@x.example"]);
    list(&mut people, 2, &["carol@x.example"]);
    see(&mut people, 1, "carol@x.example", 1, Show::Available, "");
    see(&mut people, 1, "smith@x.example", 1, Show::Busy, "");
    let (carol, dave) = (people.buddy(0, b"carol").unwrap(), people.buddy(0, b"dave").unwrap());
    news(&mut people);
    // Carol is configured now, Smith is not; the accounts stand in another order, and Bob's is gone. Dave is somebody else.
    let mut next = model();
    next.buddies.clear();
    next.buddies.extend([
        buddy(Some(0), "dave", &[(Network::Sip, "dave@sip.example")]),
        buddy(Some(0), "cc", &[(Network::Xmpp, "carol@x.example")]),
    ]);
    next.accounts.clear();
    next.accounts.extend([account("alice_irc", 0, Network::Irc), account("alice_xmpp", 0, Network::Xmpp)]);
    people.configure(&next, &Random::new());
    check(&people);
    assert_eq!(people.contacts.len(), 3);
    assert_eq!(aliases(&people, 0), ["dave", "cc", "smith", "dave-2"]);
    let moved = people.contacts.find(1, "carol@x.example").unwrap();
    assert_eq!((people.contacts.get(moved).unwrap().buddy, people.contacts.show(moved)), (Some(1), Show::Available));
    assert_eq!(people.buddy(0, b"dave-2"), Some(dave));
    let told = news(&mut people);
    assert!(told.contains(&News::Gone(carol)) && told.contains(&News::List(0)), "{told:?}");
    // The same again changes nothing.
    people.configure(&next, &Random::new());
    assert_eq!(aliases(&people, 0), ["dave", "cc", "smith", "dave-2"]);
    assert!(!news(&mut people).iter().any(|it| matches!(it, News::Gone(_))));
    check(&people);
}

#[test]
fn whatever_a_server_tells() {
    let mut people = people();
    let mut state = 5u64;
    let mut random = |bound: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % bound
    };
    const SHOWS: [Show; 3] = [Show::Offline, Show::Away, Show::Available];
    for round in 0..4_000 {
        let now = round * 100;
        let account = random(3) as usize;
        let who = format!("{}@x.example", random(40));
        match random(10) {
            0 => people.contacts.begin_list(account),
            1 => people.contacts.end_list(account),
            2 => _ = put(&mut people, account, &who, "Name"),
            3 => people.contacts.remove(account, &who),
            4 => people.contacts.offline(at(now), account),
            5 => people.contacts.online(at(now), account, random(2) == 0),
            6 => _ = hear(&mut people, now, account, &who, Heard::Wrote),
            7 => people.contacts.due(at(now)),
            _ => _ = see(&mut people, now, &who, random(12) as u32, SHOWS[random(3) as usize], "text"),
        }
        if round % 16 == 0 {
            check(&people);
            news(&mut people);
        }
    }
    people.contacts.due(at(u64::MAX));
    (0..3).for_each(|account| people.contacts.forget_presence(account));
    assert_eq!((people.contacts.sighting_count(), people.contacts.deadline()), (0, None));
    check(&people);
}

#[test]
fn sizes() {
    let (contact, sighting) = (size_of::<Contact>(), size_of::<Sighting>());
    std::println!("a contact takes {contact} bytes, a sighting {sighting}, all {}", size_of::<Contacts>());
    assert!(contact <= 264 && sighting <= 112);
}
