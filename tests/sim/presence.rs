//! The presence agent in the simulated world (home/presence, server/agent.rs): SUBSCRIBE and NOTIFY (RFC 6665, RFC 3856),
//! PUBLISH (RFC 3903), and what the home knows by itself of its people.

use crate::phone::{Manner, Phone};
use crate::watching::{Seen, Watching, pidf};
use crate::world::World;

const ALICE: &str = "sip:alice@home.example";
const BOB: &str = "sip:bob@home.example";

/// A registered device of a person's.
fn device(world: &mut World, user: &str, last: u8, is_tcp: bool) -> usize {
    let phone = Phone::new(user, crate::script::password(user), &format!("192.168.1.{last}:5060"));
    world.join(if is_tcp { phone.tcp() } else { phone })
}

/// Bob, who watches Alice.
fn bob_watches(world: &mut World) -> Watching {
    let bob = world.online("bob", 20, Manner::POLITE);
    world.watches(bob, ALICE)
}

/// What is seen once everything is told.
fn sees(world: &mut World, watching: &Watching) -> Seen {
    world.run(1_200);
    world.seen(watching)
}

#[test]
fn subscribed_told_refreshed_and_left() {
    for is_tcp in [false, true] {
        let mut world = World::new(1);
        let bob = device(&mut world, "bob", 20, is_tcp);
        let watching = world.watches(bob, ALICE);
        let answer = world.answer(watching.call);
        assert!(answer.get("Expires") == "3600" && !answer.get("Contact").is_empty());
        let first = world.last(&watching);
        assert_eq!((first.state.as_str(), first.seen), ("active", Some(Seen::offline())));
        assert_eq!(first.msg.get("Event"), "presence");
        assert!(first.msg.get("Subscription-State").contains("expires=3"), "{}", first.msg.get("Subscription-State"));
        let alice = world.online("alice", 10, Manner::POLITE);
        assert!(sees(&mut world, &watching).is_open, "she has registered");
        // What is asked for comes at once, whether it is news or not.
        let before = world.notices(&watching).len();
        let refresh = world.refresh(&watching, 600);
        assert_eq!(world.outcome_of(refresh), Some(200));
        assert_eq!(world.answer(refresh).get("Expires"), "600");
        world.run(50);
        assert_eq!(world.notices(&watching).len(), before + 1);
        assert!(world.last(&watching).msg.get("Subscription-State").contains("expires=600"));
        let fetch = world.subscribe(bob, ALICE, "presence", 0, &[]);
        assert_eq!(world.outcome_of(fetch.call), Some(200));
        world.run(2_000);
        let told = world.notices(&fetch);
        assert_eq!(told.len(), 1);
        assert_eq!((told[0].state.as_str(), told[0].reason.as_str()), ("terminated", "timeout"));
        assert!(told[0].seen.as_ref().is_some_and(|seen| seen.is_open));
        let leave = world.refresh(&watching, 0);
        assert_eq!(world.outcome_of(leave), Some(200));
        world.run(50);
        assert_eq!(world.last(&watching).state, "terminated");
        let before = world.notices(&watching).len();
        let gone = world.register(alice, 0);
        assert_eq!(world.outcome_of(gone), Some(200));
        world.run(3_000);
        assert_eq!(world.notices(&watching).len(), before, "he has left");
        let late = world.refresh(&watching, 600);
        assert_eq!(world.outcome_of(late), Some(481));
        world.finish();
    }
}

#[test]
fn a_watch_that_is_not_refreshed_ends() {
    let mut world = World::new(1);
    let bob = world.online("bob", 20, Manner::POLITE);
    let brief = world.subscribe(bob, ALICE, "presence", 59, &[]);
    assert_eq!(world.outcome_of(brief.call), Some(423));
    assert_eq!(world.answer(brief.call).get("Min-Expires"), "60");
    let watching = world.subscribe(bob, ALICE, "presence", 60, &[]);
    assert_eq!(world.outcome_of(watching.call), Some(200));
    world.run(59_000);
    assert_eq!(world.last(&watching).state, "active");
    world.run(1_500);
    let last = world.last(&watching);
    assert_eq!((last.state.as_str(), last.reason.as_str()), ("terminated", "timeout"));
    let long = world.subscribe(bob, ALICE, "presence", 86_400, &[]);
    assert_eq!(world.outcome_of(long.call), Some(200));
    assert_eq!(world.answer(long.call).get("Expires"), "3600", "no longer than is good for the tables");
    world.finish();
}

#[test]
fn what_can_not_be_watched() {
    let mut world = World::new(1);
    let bob = world.online("bob", 20, Manner::POLITE);
    let eve = world.stranger(9);
    for (phone, uri, event, fields, status) in [
        (bob, "sip:nobody@home.example", "presence", &[][..], 404),
        (eve, "sip:nobody@home.example", "presence", &[], 404),
        (bob, "sip:home.example", "dialog", &[], 489),
        (bob, ALICE, "presence", &[("Accept", "application/cpim-pidf+xml")], 406),
        (bob, ALICE, "presence", &[("Require", "teleportation")], 420),
        (bob, ALICE, "presence.winfo", &[], 403),
        (bob, ALICE, "message-summary", &[], 403),
        (eve, ALICE, "presence.winfo", &[], 403),
    ] {
        let watching = world.subscribe(phone, uri, event, 3600, fields);
        assert_eq!(world.outcome_of(watching.call), Some(status), "{uri} {event} {fields:?}");
        assert!(world.notices(&watching).is_empty());
        if status == 489 {
            assert!(world.answer(watching.call).get("Allow-Events").contains("presence"));
        }
    }
    world.finish();
}

#[test]
fn publications_of_two_devices_make_one_status() {
    for is_tcp in [false, true] {
        let mut world = World::new(1);
        let watching = bob_watches(&mut world);
        let one = device(&mut world, "alice", 10, is_tcp);
        let two = world.online("alice", 11, Manner::POLITE);
        let first = world.published(one, None, &pidf(true, "away", "out for tea"));
        let seen = sees(&mut world, &watching);
        assert!(seen.is_open && seen.does("away") && seen.note == "out for tea", "{seen:?}");
        // Open beats closed, and what a closed device does not count; the last note wins.
        let other = world.published(two, None, &pidf(false, "sleeping", "off"));
        let seen = sees(&mut world, &watching);
        assert!(seen.is_open && seen.does("away") && !seen.does("sleeping") && seen.note == "off", "{seen:?}");
        // Activities merge.
        let other = world.published(two, Some(&other), &pidf(true, "meal", ""));
        let seen = sees(&mut world, &watching);
        assert!(seen.does("away") && seen.does("meal") && seen.note == "out for tea", "{seen:?}");
        // A refresh keeps it, and is no news: who is away first is not away last.
        let before = world.notices(&watching).len();
        let refresh = world.publish(one, Some(&first), 120, "");
        assert_eq!(world.outcome_of(refresh), Some(200));
        let refreshed = world.answer(refresh).get("SIP-ETag").to_string();
        assert_eq!(world.answer(refresh).get("Expires"), "120");
        world.run(2_000);
        assert_eq!(world.notices(&watching).len(), before);
        // The tag from before is used up.
        if refreshed != first {
            let stale = world.publish(one, Some(&first), 600, &pidf(true, "", ""));
            assert_eq!(world.outcome_of(stale), Some(412));
        }
        let unknown = world.publish(one, Some("0123456789abcdef"), 600, &pidf(true, "", ""));
        assert_eq!(world.outcome_of(unknown), Some(412));
        // Not refreshed: gone after two minutes.
        world.run(121_000);
        let seen = sees(&mut world, &watching);
        assert!(seen.is_open && !seen.does("away") && seen.does("meal"), "{seen:?}");
        // Taken back: the devices that are registered speak for her.
        let removal = world.publish(two, Some(&other), 0, "");
        assert_eq!(world.outcome_of(removal), Some(200));
        let seen = sees(&mut world, &watching);
        assert_eq!((seen.is_open, seen.activities.len(), seen.note.as_str()), (true, 0, ""));
        for phone in [one, two] {
            let gone = world.register(phone, 0);
            assert_eq!(world.outcome_of(gone), Some(200));
        }
        assert!(!sees(&mut world, &watching).is_open);
        world.finish();
    }
}

#[test]
fn what_can_not_be_published() {
    let mut world = World::new(1);
    let bob = world.online("bob", 20, Manner::POLITE);
    let eve = world.stranger(9);
    let document = pidf(true, "", "");
    let sip = "application/pidf+xml";
    for (document, content_type, etag, expires_s, status) in [
        ("", "", None, 600, 400),
        ("<presence", sip, None, 600, 400),
        (&document, "text/html", None, 600, 415),
        (&document, sip, None, 59, 423),
        (&document, sip, Some("not-a-tag"), 600, 412),
    ] {
        let call = world.publish_as(bob, etag, expires_s, (content_type, document));
        assert_eq!(world.outcome_of(call), Some(status), "{content_type} {etag:?} {expires_s}");
    }
    // For somebody else, and from outside.
    let aor = std::mem::replace(&mut world.phones[bob].aor, ALICE.into());
    let forged = world.publish(bob, None, 600, &document);
    assert!(matches!(world.outcome_of(forged), Some(403 | 407)), "{:?}", world.outcome(forged));
    world.phones[bob].aor = aor;
    let mut request = world.phones[eve].request("PUBLISH", ALICE, &format!("<{ALICE}>")).with("Event", "presence");
    request.add("Content-Type", sip);
    request.body = document.as_bytes().to_vec();
    let strange = world.send(eve, request);
    assert_eq!(world.outcome_of(strange), Some(403));
    let watching = world.watches(bob, ALICE);
    assert_eq!(world.seen(&watching), Seen::offline(), "nothing of it is seen");
    world.finish();
}

#[test]
fn on_the_phone_while_a_call_lasts() {
    let mut world = World::new(1);
    let carol = world.online("carol", 30, Manner::POLITE);
    let alice = world.online("alice", 10, Manner::answering(3_000, 200));
    let bob = world.online("bob", 20, Manner::POLITE);
    let (callee, caller) = (world.watches(carol, ALICE), world.watches(carol, BOB));
    let call = world.invite(bob, ALICE);
    assert!(!sees(&mut world, &callee).does("on-the-phone"), "it rings");
    assert_eq!(world.outcome_of(call), Some(200));
    assert!(sees(&mut world, &callee).does("on-the-phone") && sees(&mut world, &caller).does("on-the-phone"));
    let before = world.notices(&callee).len();
    let again = world.in_dialog(bob, 0, "INVITE");
    assert_eq!(world.outcome_of(again), Some(200));
    assert!(sees(&mut world, &callee).does("on-the-phone"));
    assert_eq!(world.notices(&callee).len(), before, "the call goes on");
    let bye = world.in_dialog(alice, 0, "BYE");
    assert_eq!(world.outcome_of(bye), Some(200));
    assert!(!sees(&mut world, &callee).does("on-the-phone") && !sees(&mut world, &caller).does("on-the-phone"));
    // With a session timer a side that lost its power is found out (RFC 4028).
    world.phones[alice].more_fields.push(("Session-Expires".into(), "90;refresher=uac".into()));
    let call = world.invite(bob, ALICE);
    assert_eq!(world.outcome_of(call), Some(200));
    world.run(60_000);
    let again = world.in_dialog(bob, 1, "UPDATE");
    assert_eq!(world.outcome_of(again), Some(200));
    world.run(80_000);
    assert!(sees(&mut world, &callee).does("on-the-phone"), "there was a sign of life");
    world.run(11_000);
    assert!(!sees(&mut world, &callee).does("on-the-phone"));
    world.finish();
}

#[test]
fn a_call_that_fails_is_none() {
    let mut world = World::new(1);
    world.online("alice", 10, Manner::answering(500, 486));
    let bob = world.online("bob", 20, Manner::POLITE);
    let watching = world.watches(bob, ALICE);
    let before = world.notices(&watching).len();
    let call = world.invite(bob, ALICE);
    assert_eq!(world.outcome_of(call), Some(486));
    world.run(3_000);
    assert_eq!(world.notices(&watching).len(), before);
    world.finish();
}

#[test]
fn her_own_word_by_message() {
    let mut world = World::new(1);
    let watching = bob_watches(&mut world);
    let alice = world.online("alice", 10, Manner::POLITE);
    let answer = world.tell(alice, "away back at 6");
    assert!(answer.contains("away") && answer.contains("back at 6"), "{answer}");
    let seen = sees(&mut world, &watching);
    assert!(seen.is_open && seen.does("away") && seen.note == "back at 6", "{seen:?}");
    // It stands against what her devices say.
    world.published(alice, None, &pidf(true, "busy", "at it"));
    let seen = sees(&mut world, &watching);
    assert!(seen.does("away") && !seen.does("busy") && seen.note == "back at 6", "{seen:?}");
    assert!(world.tell(alice, "status").contains("away"));
    world.tell(alice, "auto");
    let seen = sees(&mut world, &watching);
    assert!(!seen.does("away") && seen.does("busy") && seen.note == "at it", "{seen:?}");
    world.tell(alice, "offline");
    assert_eq!(sees(&mut world, &watching), Seen::offline());
    assert!(world.tell(alice, "who").contains("bob"));
    assert!(world.tell(alice, "help").contains("available"));
    assert!(world.tell(alice, "what is love?").contains("help"));
    world.tell(alice, "auto");
    // It does not make her reachable.
    world.tell(alice, "available");
    let gone = world.register(alice, 0);
    assert_eq!(world.outcome_of(gone), Some(200));
    world.run(3_601_000);
    let fetch = world.subscribe(watching.phone, ALICE, "presence", 0, &[]);
    assert_eq!(world.outcome_of(fetch.call), Some(200));
    assert!(!sees(&mut world, &fetch).is_open);
    // Others have nothing to say here.
    let eve = world.stranger(9);
    let call = world.message(eve, "sip:pcs@home.example");
    assert_eq!(world.outcome_of(call), Some(404));
    world.finish();
}

#[test]
fn each_gets_the_format_it_reads() {
    let mut world = World::new(1);
    let bob = world.online("bob", 20, Manner::POLITE);
    let alice = world.online("alice", 10, Manner::POLITE);
    world.published(alice, None, &pidf(true, "busy", "a < b & c"));
    for (accept, kind, word) in [
        ("application/pidf+xml", "application/pidf+xml", "busy"),
        ("application/xpidf+xml", "application/xpidf+xml", "busy"),
        ("text/xml+msrtc.pidf", "text/xml+msrtc.pidf", "600"),
        ("application/xpidf+xml, application/pidf+xml", "application/pidf+xml", "busy"),
        ("*/*", "application/pidf+xml", "busy"),
    ] {
        let watching = world.subscribe(bob, ALICE, "presence", 0, &[("Accept", accept)]);
        assert_eq!(world.outcome_of(watching.call), Some(200), "{accept}");
        world.run(100);
        let notice = world.last(&watching);
        assert!(notice.msg.get("Content-Type").starts_with(kind), "{accept}: {}", notice.msg.get("Content-Type"));
        let seen = notice.seen.clone().expect("there is a document");
        assert!(seen.is_open && seen.does(word) && seen.note == "a < b & c", "{accept}: {seen:?}");
        assert!(!notice.body().contains("192.168.1.10"), "no device's address in a document");
    }
    // Without Accept by what it calls itself.
    world.phones[bob].agent = "Windows RTC/1.2".into();
    let watching = world.subscribe(bob, ALICE, "presence", 0, &[]);
    assert_eq!(world.outcome_of(watching.call), Some(200));
    world.run(100);
    assert!(world.last(&watching).msg.get("Content-Type").starts_with("application/xpidf+xml"));
    world.finish();
}

#[test]
fn any_format_may_be_published() {
    const XPIDF: &str = "<?xml version=\"1.0\"?><!DOCTYPE presence PUBLIC \"-//IETF//DTD RFCxxxx XPIDF 1.0//EN\" \
        \"xpidf.dtd\"><presence><presentity uri=\"sip:alice@home.example;method=SUBSCRIBE\"/><atom id=\"1\"><address \
        uri=\"sip:alice@192.168.1.10:5060\" priority=\"0.8\"><status status=\"inuse\"/><msnsubstatus \
        substatus=\"onthephone\"/></address></atom></presence>";
    const MSRTC: &str = "<presentity uri=\"alice@home.example\"><availability aggregate=\"300\"/><activity \
        aggregate=\"150\" note=\"soup\"/></presentity>";
    let mut world = World::new(1);
    let watching = bob_watches(&mut world);
    let alice = world.online("alice", 10, Manner::POLITE);
    let call = world.publish_as(alice, None, 600, ("application/xpidf+xml", XPIDF));
    assert_eq!(world.outcome_of(call), Some(200));
    let etag = world.answer(call).get("SIP-ETag").to_string();
    let seen = sees(&mut world, &watching);
    assert!(seen.is_open && seen.does("on-the-phone"), "{seen:?}");
    let call = world.publish_as(alice, Some(&etag), 600, ("text/xml+msrtc.pidf", MSRTC));
    assert_eq!(world.outcome_of(call), Some(200));
    let seen = sees(&mut world, &watching);
    assert!(seen.is_open && seen.does("lunch") && seen.note == "soup" && !seen.does("on-the-phone"), "{seen:?}");
    world.finish();
}

#[test]
fn the_home_itself_is_a_buddy() {
    let mut world = World::new(1);
    let bob = world.online("bob", 20, Manner::POLITE);
    let watching = world.watches(bob, "sip:pcs@home.example");
    let seen = world.seen(&watching);
    assert!(seen.is_open && seen.message == Some(true), "{seen:?}");
    let eve = world.stranger(9);
    let watching = world.watch(eve, "sip:pcs@home.example");
    assert_eq!(world.outcome_of(watching.call), Some(404));
    world.finish();
}

#[test]
fn a_summary_of_what_waits() {
    let mut world = World::new(1);
    let bob = world.online("bob", 20, Manner::POLITE);
    let watching = world.subscribe(bob, BOB, "message-summary", 3600, &[]);
    assert_eq!(world.outcome_of(watching.call), Some(200));
    world.run(100);
    let notice = world.last(&watching);
    assert_eq!(notice.msg.get("Content-Type"), "application/simple-message-summary");
    let body = notice.body();
    assert!(body.contains("Messages-Waiting: no\r\n") && body.contains("Voice-Message: 0/0"), "{body}");
    world.finish();
}
