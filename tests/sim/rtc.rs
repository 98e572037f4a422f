//! Clients that go around the agent, and clients that are one only together (home/presence/watched.rs, server/chat.rs,
//! RFC 3840, RFC 3841): those of Microsoft's RTC library, and apps that only talk or only text.

use crate::message::{Msg, param};
use crate::phone::{Manner, Phone};
use crate::script::{Call, password};
use crate::watching::{Seen, pidf};
use crate::world::World;

const ALICE: &str = "sip:alice@home.example";
const BOB: &str = "sip:bob@home.example";

/// A document as these clients write it.
fn xpidf(status: &str, substatus: &str) -> String {
    format!(
        "<?xml version=\"1.0\"?>\n<!DOCTYPE presence\nPUBLIC \"-//IETF//DTD RFCxxxx XPIDF 1.0//EN\" \"xpidf.dtd\">\n\
         <presence>\n<presentity uri=\"sip:bob@home.example;method=SUBSCRIBE\" />\n<atom id=\"1000\">\n<address \
         uri=\"sip:alice@192.168.1.10:5060;user=ip\" priority=\"0.800000\">\n<status status=\"{status}\" />\n\
         <msnsubstatus substatus=\"{substatus}\" />\n</address>\n</atom>\n</presence>"
    )
}

/// A device on the RTC library.
fn messenger(world: &mut World, user: &str, last: u8) -> usize {
    let mut phone = Phone::new(user, password(user), &format!("192.168.1.{last}:5060"));
    phone.agent = "Windows RTC/1.2".into();
    world.join(phone)
}

/// What such a device tells who has subscribed to it: the home.
fn notifies(world: &mut World, phone: usize, state: &str, document: &str) -> Call {
    let asked = world.phones[phone].got("SUBSCRIBE").pop().expect("it is asked").get("Call-ID").to_string();
    let dialog = world.phones[phone].dialogs.iter().position(|dialog| dialog.call_id == asked);
    let mut request = world.phones[phone].dialog_request(dialog.expect("it granted that"), "NOTIFY");
    request.add("Event", "presence");
    request.add("Subscription-State", state);
    request.add("Content-Type", "application/xpidf+xml");
    request.body = document.as_bytes().to_vec();
    world.send(phone, request)
}

/// Whether what the home sends out of itself names a device.
fn is_clean(msg: &Msg, last: u8) -> bool {
    !String::from_utf8_lossy(&msg.bytes()).contains(&format!("192.168.1.{last}"))
}

#[test]
fn a_device_that_knows_only_peer_to_peer_presence_is_asked() {
    let mut world = World::new(1);
    let alice = messenger(&mut world, "alice", 10);
    let bob = world.online("bob", 20, Manner::POLITE);
    let watching = world.watches(bob, ALICE);
    world.run(2_000);
    let asked = world.phones[alice].got("SUBSCRIBE");
    assert_eq!(asked.len(), 1, "the home asks it once");
    assert!(asked[0].get("From").starts_with("<sip:pcs@home.example>"), "{}", asked[0].get("From"));
    assert!(asked[0].get("Accept").contains("application/xpidf+xml"));
    for (status, substatus, activity) in
        [("inuse", "onthephone", "on-the-phone"), ("inactive", "outtolunch", "lunch"), ("inactive", "away", "away")]
    {
        let call = notifies(&mut world, alice, "active;expires=3000", &xpidf(status, substatus));
        assert_eq!(world.outcome_of(call), Some(200), "{substatus}");
        world.run(1_200);
        let notice = world.last(&watching);
        assert_eq!(notice.msg.get("Content-Type"), "application/pidf+xml");
        assert!(is_clean(&notice.msg, 10), "{}", notice.body());
        let seen = notice.seen.unwrap();
        assert!(seen.is_open && seen.does(activity), "{seen:?}");
    }
    let call = notifies(&mut world, alice, "active", "<presence><atom></presence>");
    assert_eq!(world.outcome_of(call), Some(400));
    let call = notifies(&mut world, alice, "active", &xpidf("closed", "hidden"));
    assert_eq!(world.outcome_of(call), Some(200));
    world.run(1_200);
    assert!(!world.seen(&watching).is_open);
    // Another such client sees it in its own format.
    let carol = messenger(&mut world, "carol", 30);
    let hers = world.subscribe(carol, ALICE, "presence", 600, &[]);
    assert_eq!(world.outcome_of(hers.call), Some(200));
    let call = notifies(&mut world, alice, "active", &xpidf("inuse", "busy"));
    assert_eq!(world.outcome_of(call), Some(200));
    world.run(1_200);
    assert!(world.seen(&hers).does("busy"));
    assert_eq!(world.last(&hers).msg.get("Content-Type"), "application/xpidf+xml");
    // When it is gone, so is what it said.
    let gone = world.register(alice, 0);
    assert_eq!(world.outcome_of(gone), Some(200));
    world.run(1_200);
    assert_eq!(world.seen(&watching), Seen::offline());
    world.finish();
}

#[test]
fn a_device_that_does_not_want_to_be_asked_is_shown_by_its_registration() {
    let mut world = World::new(1);
    let alice = messenger(&mut world, "alice", 10);
    world.phones[alice].manner.is_deaf = true;
    let bob = world.online("bob", 20, Manner::POLITE);
    let watching = world.watches(bob, ALICE);
    world.run(60_000);
    assert!(world.seen(&watching).is_open);
    world.phones[alice].manner.is_deaf = false;
    world.finish();
}

#[test]
fn a_notify_straight_to_a_watcher_is_caught() {
    let mut world = World::new(1);
    let alice = world.online("alice", 10, Manner::POLITE);
    let bob = world.online("bob", 20, Manner::POLITE);
    let carol = world.online("carol", 30, Manner::POLITE);
    let watching = world.watches(carol, ALICE);
    let eve = world.stranger(9);
    for to in [BOB, "sip:bob@192.168.1.20:5060", "sip:eve@198.51.100.9:5060"] {
        let mut request = world.phones[alice].request("NOTIFY", to, &format!("<{to}>"));
        request = request.with("Event", "presence").with("Subscription-State", "active;expires=600");
        request.add("Content-Type", "application/xpidf+xml");
        let (status, substatus, activity) =
            if to == BOB { ("inuse", "busy", "busy") } else { ("inactive", "away", "away") };
        request.body = xpidf(status, substatus).into_bytes();
        let call = world.send(alice, request);
        assert_eq!(world.outcome_of(call), Some(200), "{to}");
        world.run(1_200);
        assert!(world.seen(&watching).does(activity), "{to}: who watches is told by the agent");
    }
    assert_eq!((world.count(bob, "NOTIFY"), world.count(eve, "NOTIFY")), (0, 0), "it goes to nobody else");
    // From outside it is nothing of hers.
    let mut request = world.phones[eve].request("NOTIFY", ALICE, &format!("<{ALICE}>"));
    request = request.with("Event", "presence").with("Subscription-State", "active");
    request.add("Content-Type", "application/pidf+xml");
    request.body = pidf(true, "sleeping", "forged").into_bytes();
    let call = world.send(eve, request);
    world.outcome_of(call);
    world.run(1_200);
    let seen = world.seen(&watching);
    assert!(seen.does("away") && seen.note.is_empty(), "{seen:?}");
    world.finish();
}

/// A session of messages, as these clients begin it; the dialog.
fn begins_session(world: &mut World, phone: usize, to: &str) -> (Call, usize) {
    let mut request = world.phones[phone].request("INVITE", to, &format!("<{to}>"));
    request.add("Content-Type", "application/sdp");
    request.body = b"v=0\r\no=- 0 0 IN IP4 192.168.1.10\r\ns=session\r\nc=IN IP4 192.168.1.10\r\nt=0 0\r\n\
                     m=x-ms-message 5060 sip sip:alice@192.168.1.10\r\n"
        .to_vec();
    let call = world.send(phone, request);
    assert_eq!(world.outcome_of(call), Some(200));
    let body = String::from_utf8_lossy(&world.answer(call).body).to_string();
    assert!(body.contains("m=x-ms-message "), "{body}");
    world.run(100);
    (call, world.phones[phone].dialogs.len() - 1)
}

/// A message in a session.
fn says(world: &mut World, phone: usize, dialog: usize, text: &str) -> Call {
    let mut request = world.phones[phone].dialog_request(dialog, "MESSAGE");
    request.add("Content-Type", "text/plain; charset=UTF-8");
    request.body = text.as_bytes().to_vec();
    world.send(phone, request)
}

#[test]
fn a_session_of_messages_goes_on_as_messages() {
    let mut world = World::new(1);
    let alice = messenger(&mut world, "alice", 10);
    let devices = [world.online("bob", 20, Manner::POLITE), world.online("bob", 21, Manner::POLITE)];
    let (call, dialog) = begins_session(&mut world, alice, BOB);
    let tag = world.answer(call).tag("To").to_string();
    for (number, text) in ["hello", "anybody there?"].into_iter().enumerate() {
        let call = says(&mut world, alice, dialog, text);
        assert_eq!(world.outcome_of(call), Some(200));
        assert_eq!(world.answer(call).tag("To"), tag, "the answer is in the dialog");
        world.run(500);
        for device in devices {
            let got = world.phones[device].got("MESSAGE");
            assert_eq!(got.len(), number + 1);
            assert_eq!(got[number].body, text.as_bytes());
            assert!(param(got[number].get("To"), "tag").is_none(), "outside a dialog: {}", got[number].get("To"));
            assert!(got[number].get("From").contains(ALICE));
            assert_eq!(world.count(device, "INVITE"), 0, "no phone rings for a text");
        }
    }
    let bye = world.in_dialog(alice, dialog, "BYE");
    assert_eq!(world.outcome_of(bye), Some(200));
    assert_eq!(devices.map(|device| world.count(device, "BYE")), [0, 0]);
    // Nobody is on the phone by that, before or after.
    let watching = world.watches(devices[0], ALICE);
    assert!(!world.seen(&watching).does("on-the-phone"));
    // To who is not there, and to nobody.
    let (_, dialog) = begins_session(&mut world, alice, "sip:carol@home.example");
    let call = says(&mut world, alice, dialog, "hello");
    assert_eq!(world.outcome_of(call), Some(480));
    let (_, dialog) = begins_session(&mut world, alice, "sip:nobody@home.example");
    let call = says(&mut world, alice, dialog, "hello");
    assert_eq!(world.outcome_of(call), Some(404));
    world.finish();
}

#[test]
fn a_session_with_the_home_is_over_by_a_forged_message_for_nobody() {
    let mut world = World::new(1);
    let alice = messenger(&mut world, "alice", 10);
    let bob = world.online("bob", 20, Manner::POLITE);
    let (_, dialog) = begins_session(&mut world, alice, BOB);
    // Somebody else who has learned the dialog writes in it.
    let eve = world.stranger(9);
    let mut request = world.phones[alice].dialog_request(dialog, "MESSAGE");
    request.add("Content-Type", "text/plain");
    request.remove("Proxy-Authorization");
    request.body = b"forged".to_vec();
    let via = world.phones[eve].request("MESSAGE", BOB, "").get("Via").to_string();
    request.set("Via", &via);
    let call = world.send(eve, request);
    assert_ne!(world.outcome_of(call), Some(200));
    assert_eq!(world.count(bob, "MESSAGE"), 0);
    world.finish();
}

/// A device that says in its REGISTER what it takes.
fn app(world: &mut World, last: u8, allow: &str, params: &str) -> usize {
    let mut phone = Phone::new("alice", "wonderland", &format!("192.168.1.{last}:5060")).contact(params);
    phone.register_fields.push(("Allow".into(), allow.into()));
    world.join(phone)
}

#[test]
fn one_talks_and_another_texts() {
    let mut world = World::new(1);
    let bob = world.online("bob", 20, Manner::POLITE);
    let watching = world.watches(bob, ALICE);
    let talks = app(&mut world, 10, "INVITE, ACK, CANCEL, BYE, OPTIONS", "");
    world.run(1_200);
    assert_eq!((world.seen(&watching).audio, world.seen(&watching).message), (Some(true), Some(false)));
    let call = world.message(bob, ALICE);
    assert_eq!(world.outcome_of(call), Some(480), "nothing of hers takes it");
    let texts = app(&mut world, 11, "MESSAGE, OPTIONS", "");
    world.run(1_200);
    let seen = world.seen(&watching);
    assert!(seen.is_open && seen.audio == Some(true) && seen.message == Some(true), "{seen:?}");
    let call = world.message(bob, ALICE);
    assert_eq!(world.outcome_of(call), Some(200));
    let call = world.invite(bob, ALICE);
    assert_eq!(world.outcome_of(call), Some(200));
    assert_eq!((world.count(talks, "INVITE"), world.count(talks, "MESSAGE")), (1, 0));
    assert_eq!((world.count(texts, "INVITE"), world.count(texts, "MESSAGE")), (0, 1));
    // Who has said what it takes is not asked.
    assert_eq!((world.count(talks, "OPTIONS"), world.count(texts, "OPTIONS")), (0, 0));
    let gone = world.register(talks, 0);
    assert_eq!(world.outcome_of(gone), Some(200));
    world.run(1_200);
    assert_eq!((world.seen(&watching).audio, world.seen(&watching).message), (Some(false), Some(true)));
    world.finish();
}

#[test]
fn who_says_nothing_is_asked() {
    let mut world = World::new(1);
    let bob = world.online("bob", 20, Manner::POLITE);
    let watching = world.watches(bob, ALICE);
    let mut phone = Phone::new("alice", "wonderland", "192.168.1.10:5060");
    // In its answers only.
    phone.more_fields.push(("Allow".into(), "MESSAGE, OPTIONS".into()));
    let texts = world.add(phone);
    let now = world.now;
    let mut request = world.phones[texts].request("REGISTER", "sip:home.example", &format!("<{ALICE}>"));
    request.remove("Allow");
    request.add("Expires", "1800");
    let client = world.phones[texts].send(now, request);
    assert_eq!(world.outcome_of((texts, client)), Some(200));
    world.run(2_000);
    assert_eq!(world.count(texts, "OPTIONS"), 1);
    assert_eq!((world.seen(&watching).audio, world.seen(&watching).message), (Some(false), Some(true)));
    let call = world.invite(bob, ALICE);
    assert_eq!(world.outcome_of(call), Some(480));
    assert_eq!(world.count(texts, "INVITE"), 0);
    let mut request = world.phones[texts].request("REGISTER", "sip:home.example", &format!("<{ALICE}>"));
    request.set("Contact", "*");
    request.add("Expires", "0");
    let call = world.send(texts, request);
    assert_eq!(world.outcome_of(call), Some(200));
    world.finish();
}

#[test]
fn the_caller_says_what_kind_of_device_he_wants() {
    let all = "INVITE, ACK, CANCEL, BYE, MESSAGE, OPTIONS";
    for (field, value, rings) in [
        ("Accept-Contact", "*;mobility=\"mobile\";require;explicit", [true, false]),
        ("Accept-Contact", "*;mobility=\"fixed\";require", [false, true]),
        ("Reject-Contact", "*;mobility=\"mobile\"", [false, true]),
        ("Reject-Contact", "*;mobility=\"fixed\"", [true, false]),
    ] {
        let mut world = World::new(1);
        let bob = world.online("bob", 20, Manner::POLITE);
        let cell = app(&mut world, 10, all, ";mobility=\"mobile\"");
        let desk = app(&mut world, 11, all, ";mobility=\"fixed\"");
        let request = world.phones[bob].request("MESSAGE", ALICE, &format!("<{ALICE}>"));
        let mut request = request.with(field, value).with("Content-Type", "text/plain");
        request.body = b"hello".to_vec();
        let call = world.send(bob, request);
        assert_eq!(world.outcome_of(call), Some(200), "{field}: {value}");
        world.run(500);
        let got = [cell, desk].map(|phone| world.count(phone, "MESSAGE") == 1);
        assert_eq!(got, rings, "{field}: {value}");
        world.finish();
    }
}
