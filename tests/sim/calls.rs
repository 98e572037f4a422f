//! Calls (RFC 3261 §9, §13, §16; RFC 3326; RFC 5393) in the simulated world.

use crate::message::param;
use crate::phone::{Manner, Phone};
use crate::world::{Link, World, seeds};
use pcsd::base::limits::BINDINGS_PER_PERSON;

const ALICE: &str = "sip:alice@home.example";

/// Alice with so many devices, and Bob with one.
fn family(world: &mut World, manners: &[Manner]) -> (Vec<usize>, usize) {
    let devices = manners.iter().zip(10..).map(|(manner, last)| world.online("alice", last, *manner)).collect();
    (devices, world.online("bob", 30, Manner::POLITE))
}

#[test]
fn all_devices_ring_and_the_first_answer_cancels_the_rest() {
    let mut world = World::new(1);
    let (devices, bob) =
        family(&mut world, &[Manner::answering(5_000, 200), Manner::answering(2_000, 200), Manner::ringing()]);
    let call = world.invite(bob, ALICE);
    assert_eq!(world.outcome_of(call), Some(200));
    world.run(2_000);
    for device in &devices {
        assert_eq!(world.count(*device, "INVITE"), 1);
    }
    let ringing = world.phones[bob].clients[world.phones[bob].last_of(call.1)].provisional.len();
    assert!(ringing >= 3, "a 180 of each device reaches the caller");
    assert_eq!(world.count(devices[1], "CANCEL"), 0);
    assert_eq!(world.count(devices[1], "ACK"), 1);
    for other in [devices[0], devices[2]] {
        let cancels = world.phones[other].got("CANCEL");
        assert_eq!(cancels.len(), 1);
        let reason = cancels[0].get("Reason");
        assert!(reason.starts_with("SIP;") && param(reason, "cause") == Some("200"), "{reason:?}");
        assert!(reason.contains("\"Call completed elsewhere\""));
    }
    let bye = world.in_dialog(bob, 0, "BYE");
    assert_eq!(world.outcome_of(bye), Some(200));
    assert_eq!(world.count(devices[1], "BYE"), 1);
    world.finish();
}

#[test]
fn the_callers_own_devices_are_left_out_but_his_others_ring() {
    let mut world = World::new(1);
    let (devices, _) = family(&mut world, &[Manner::POLITE, Manner::POLITE]);
    let call = world.invite(devices[0], ALICE);
    assert_eq!(world.outcome_of(call), Some(200));
    assert_eq!((world.count(devices[0], "INVITE"), world.count(devices[1], "INVITE")), (0, 1));
    world.finish();
}

#[test]
fn a_second_answer_that_crosses_the_cancel_reaches_the_caller() {
    let mut world = World::new(1);
    let late = Manner { races_cancel: true, ..Manner::ringing() };
    let (devices, bob) = family(&mut world, &[Manner::answering(2_000, 200), late]);
    let call = world.invite(bob, ALICE);
    assert_eq!(world.outcome_of(call), Some(200));
    world.run(5_000);
    let client = &world.phones[bob].clients[world.phones[bob].last_of(call.1)];
    assert_eq!(client.finals.len(), 2, "both 2xx");
    // The caller acknowledges the second and hangs up on it (§13.2.2.4).
    assert_eq!((world.count(devices[1], "ACK"), world.count(devices[1], "BYE")), (1, 1));
    assert_eq!((world.count(devices[0], "ACK"), world.count(devices[0], "BYE")), (1, 0));
    world.finish();
}

#[test]
fn the_caller_hangs_up_while_it_rings() {
    let mut world = World::new(1);
    let (devices, bob) = family(&mut world, &[Manner::ringing(), Manner::ringing()]);
    let call = world.invite(bob, ALICE);
    world.run(3_000);
    world.cancel(call);
    assert_eq!(world.outcome_of(call), Some(487));
    world.run(1_000);
    for device in devices {
        assert_eq!(world.count(device, "CANCEL"), 1);
    }
    world.finish();
}

#[test]
fn the_caller_hangs_up_before_any_device_has_said_anything() {
    let mut world = World::new(1);
    let silent_then_rings = Manner { rings: false, answer: Some((4_000, 200)), ..Manner::POLITE };
    let (devices, bob) = family(&mut world, &[silent_then_rings]);
    world.invite(bob, ALICE);
    // The challenge is taken up first, then our 100 comes, and the CANCEL at once after it.
    world.run(20);
    let call = (bob, world.phones[bob].clients.len() - 1);
    world.cancel(call);
    world.run(1_000);
    assert_eq!(world.count(devices[0], "CANCEL"), 0, "none before the first provisional answer (§9.1)");
    world.run(10_000);
    // The device has answered in the meantime: the call is up, or it was cancelled; never both unknown.
    let status = world.outcome(call);
    assert!(matches!(status, Some(200 | 487)), "{status:?}");
    world.finish();
}

#[test]
fn a_cancel_of_nothing_is_481() {
    let mut world = World::new(1);
    let bob = world.online("bob", 30, Manner::POLITE);
    let mut cancel = world.phones[bob].request("CANCEL", ALICE, &format!("<{ALICE}>"));
    cancel.remove("Contact");
    let call = world.send(bob, cancel);
    assert_eq!(world.outcome_of(call), Some(481));
    world.finish();
}

#[test]
fn busy_everywhere_and_the_best_answer() {
    // (answers of the devices, what the caller gets)
    let cases: [(&[u16], u16); 6] = [
        (&[486, 486], 486),
        (&[480, 486], 486),
        (&[486, 404], 486),
        (&[302, 486], 302),
        (&[503, 503], 500),
        (&[486, 503], 486),
    ];
    for (answers, expected) in cases {
        let mut world = World::new(1);
        let manners: Vec<Manner> =
            answers.iter().zip(1..).map(|(status, i)| Manner::answering(500 * i, *status)).collect();
        let (_, bob) = family(&mut world, &manners);
        let call = world.invite(bob, ALICE);
        let status = world.outcome_of(call);
        let is_right = status == Some(expected) || answers == [486, 404] && status == Some(404);
        assert!(is_right, "{answers:?} became {status:?}");
        world.finish();
    }
}

#[test]
fn declined_by_one_is_declined_by_all() {
    let mut world = World::new(1);
    let (devices, bob) = family(&mut world, &[Manner::answering(2_000, 603), Manner::ringing()]);
    let call = world.invite(bob, ALICE);
    assert_eq!(world.outcome_of(call), Some(603));
    world.run(1_000);
    assert_eq!((world.count(devices[0], "CANCEL"), world.count(devices[1], "CANCEL")), (0, 1));
    world.finish();
}

#[test]
fn groups_of_preference_ring_one_after_the_other() {
    let mut world = World::new(1);
    let desk = Phone::new("alice", "wonderland", "192.168.1.10:5060").with(Manner::ringing()).contact(";q=0.9");
    let cell = Phone::new("alice", "wonderland", "192.168.1.11:5060").contact(";q=0.2");
    let (desk, cell) = (world.join(desk), world.join(cell));
    let bob = world.online("bob", 30, Manner::POLITE);
    let called_at = world.now;
    let call = world.invite(bob, ALICE);
    world.run(5_000);
    assert_eq!((world.count(desk, "INVITE"), world.count(cell, "INVITE")), (1, 0));
    assert_eq!(world.outcome_of(call), Some(200));
    let rang_at = world.phones[cell].requests.iter().find(|(_, request)| request.method() == "INVITE").unwrap().0;
    assert!((10_000..=40_000).contains(&(rang_at - called_at)), "the second group after {} ms", rang_at - called_at);
    world.run(1_000);
    assert_eq!(world.count(desk, "CANCEL"), 1);
    // When the first group refuses, the second rings at once.
    world.phones[desk].manner = Manner::answering(100, 486);
    let called_at = world.now;
    let call = world.invite(bob, ALICE);
    assert_eq!(world.outcome_of(call), Some(200));
    assert!(world.now - called_at < 3_000);
    world.finish();
}

#[test]
fn a_call_that_rings_for_ever_ends_by_timer_c() {
    let mut world = World::new(1);
    let (devices, bob) = family(&mut world, &[Manner::ringing()]);
    let called_at = world.now;
    let call = world.invite(bob, ALICE);
    let status = world.outcome_of(call);
    let rang_ms = world.now - called_at;
    assert!(matches!(status, Some(408 | 487)), "{status:?}");
    assert!((180_000..260_000).contains(&rang_ms), "timer C is more than three minutes (§16.6): {rang_ms}");
    world.run(1_000);
    assert_eq!(world.count(devices[0], "CANCEL"), 1);
    world.finish();
}

#[test]
fn trying_comes_within_200_ms_even_when_no_device_answers() {
    let mut world = World::new(1);
    let (_, bob) = family(&mut world, &[Manner::deaf()]);
    world.invite(bob, ALICE);
    world.run(300);
    let client = world.phones[bob].clients.last().unwrap();
    assert_eq!(client.provisional.first().and_then(|(_, answer)| answer.status()), Some(100));
    let call = (bob, world.phones[bob].clients.len() - 1);
    assert_eq!(world.outcome_of(call), Some(408));
    world.finish();
}

#[test]
fn nobody_and_no_device() {
    let mut world = World::new(1);
    let bob = world.online("bob", 30, Manner::POLITE);
    let eve = world.stranger(9);
    for (uri, expected) in [("sip:nobody@home.example", 404), (ALICE, 480), ("sip:192.168.1.1", 405)] {
        for phone in [bob, eve] {
            let call = world.invite(phone, uri);
            assert_eq!(world.outcome_of(call), Some(expected), "{uri}");
        }
    }
    world.finish();
}

#[test]
fn options_are_answered_for_itself() {
    let mut world = World::new(1);
    let eve = world.stranger(9);
    for uri in ["sip:home.example", "sip:192.0.2.1"] {
        let request = world.phones[eve].request("OPTIONS", uri, &format!("<{uri}>"));
        let call = world.send(eve, request);
        assert_eq!(world.outcome_of(call), Some(200));
    }
    world.finish();
}

#[test]
fn strangers_are_let_in_to_people_and_carried_nowhere_else() {
    let mut world = World::new(1);
    let (devices, bob) = family(&mut world, &[Manner::POLITE]);
    let eve = world.stranger(9);
    let call = world.invite(eve, ALICE);
    assert_eq!(world.outcome_of(call), Some(200));
    let bye = world.in_dialog(eve, 0, "BYE");
    assert_eq!(world.outcome_of(bye), Some(200));
    // Outside, and a device's own address that she guessed or was told.
    for uri in ["sip:x@198.51.100.77", "sip:alice@192.168.1.10:5060"] {
        let call = world.invite(eve, uri);
        assert_eq!(world.outcome_of(call), Some(403), "{uri}");
    }
    assert_eq!(world.count(devices[0], "INVITE"), 1);
    let call = world.invite(eve, "sip:x@foreign.example");
    let status = world.outcome_of(call);
    assert!(matches!(status, Some(403 | 404)), "{status:?}");
    // Nor does she make the server connect to where she likes.
    let call = world.invite(eve, "sip:x@198.51.100.77:22;transport=tcp");
    world.run(3);
    assert_eq!(world.home().status(world.instant()).streams, 0);
    assert_eq!(world.outcome_of(call), Some(403));
    // A From of ours does not help her.
    world.phones[eve].aor = "sip:bob@home.example".into();
    let call = world.invite(eve, "sip:x@198.51.100.77");
    assert_eq!(world.outcome_of(call), Some(407));
    // A person of the home is carried there.
    let friend = world.add(Phone::new("x", "", "198.51.100.77:5060").stranger("sip:x@198.51.100.77"));
    let call = world.invite(bob, "sip:x@198.51.100.77");
    assert_eq!(world.outcome_of(call), Some(200));
    assert_eq!(world.count(friend, "INVITE"), 1);
    let got = world.phones[friend].got("INVITE")[0].clone();
    assert_eq!(got.get("Proxy-Authorization"), "", "credentials for us go no further (§22.3)");
    world.finish();
}

#[test]
fn a_forwarded_request_is_what_came_but_for_what_a_proxy_changes() {
    let mut world = World::new(1);
    let (devices, bob) = family(&mut world, &[Manner::POLITE]);
    let mut request = world.phones[bob].request("INVITE", ALICE, &format!("<{ALICE}>"));
    request.add("X-Unknown", "kept \"as, it\" is;x=1");
    request.add("Subject", "two  spaces");
    request.body = vec![0, 1, 2, 255, b'\r', b'\n'];
    let call = world.send(bob, request);
    assert_eq!(world.outcome_of(call), Some(200));
    let sent = world.phones[bob].clients[world.phones[bob].last_of(call.1)].request.clone();
    let got = world.phones[devices[0]].got("INVITE")[0].clone();
    assert_eq!(got.uri(), "sip:alice@192.168.1.10:5060");
    assert_eq!(got.get("Max-Forwards"), "69");
    assert_eq!((got.get("X-Unknown"), &got.body), (sent.get("X-Unknown"), &sent.body));
    for name in ["From", "To", "Call-ID", "CSeq", "Contact", "Subject"] {
        assert_eq!(got.get(name), sent.get(name));
    }
    let vias = got.values("Via");
    assert_eq!(vias.len(), 2);
    assert!(param(&vias[1], "received").is_none() || param(&vias[1], "received") == Some("192.168.1.30"));
    assert_eq!(param(&vias[1], "rport"), Some("5060"));
    let records = got.values("Record-Route");
    assert_eq!(records.len(), 2, "one for each side: {records:?}");
    world.finish();
}

#[test]
fn as_many_devices_as_a_person_may_have_all_ring() {
    let mut world = World::new(1);
    let manners = [Manner::ringing()].repeat(BINDINGS_PER_PERSON);
    let devices: Vec<usize> = manners.iter().zip(10..).map(|(it, last)| world.online("alice", last, *it)).collect();
    let eve = world.stranger(9);
    let call = world.invite(eve, ALICE);
    world.run(2_000);
    for device in &devices {
        assert_eq!(world.count(*device, "INVITE"), 1);
    }
    world.cancel(call);
    assert_eq!(world.outcome_of(call), Some(487));
    world.finish();
}

#[test]
fn video_goes_to_the_device_that_is_for_it() {
    let mut world = World::new(1);
    let mut tv = Phone::new("tv", "channel", "192.168.1.30:5060");
    tv.aor = "sip:carol@home.example".into();
    let tv = world.join(tv);
    let cell = world.online("carol", 31, Manner::POLITE);
    let eve = world.stranger(9);
    let call = world.invite(eve, "sip:carol@home.example");
    assert_eq!(world.outcome_of(call), Some(200));
    assert_eq!((world.count(tv, "INVITE"), world.count(cell, "INVITE")), (0, 1), "a voice call is not for the tv");
    world.finish();
}

/// A storm of calls over bad links: whatever is lost, everybody learns how it ended.
#[test]
fn calls_over_bad_links() {
    for seed in seeds(60) {
        let mut world = World::new(seed);
        let (devices, bob) = family(&mut world, &[Manner::ringing(), Manner::ringing()]);
        let eve = world.stranger(9);
        world.link = Link::BAD;
        let mut calls = Vec::new();
        for _ in 0..4 {
            for device in &devices {
                let after = 200 + world.random.below(6_000);
                let status = [200, 200, 486, 603, 480][world.random.below(5) as usize];
                world.phones[*device].manner = match world.random.below(5) {
                    0 => Manner::ringing(),
                    1 => Manner { races_cancel: true, ..Manner::ringing() },
                    2 => Manner { rings: false, ..Manner::answering(after, status) },
                    _ => Manner::answering(after, status),
                };
            }
            let caller = if world.random.chance(500) { bob } else { eve };
            let call = world.invite(caller, ALICE);
            calls.push(call);
            let wait = world.random.below(9_000);
            world.run(wait);
            if world.random.chance(600) && world.outcome(call).is_none() {
                world.cancel(call);
            }
            let rest = world.random.below(50_000);
            world.run(rest);
        }
        for dialog in 0..world.phones[bob].dialogs.len() {
            if !world.phones[bob].dialogs[dialog].is_over {
                world.in_dialog(bob, dialog, "BYE");
            }
        }
        world.run(1_000);
        hang_up_all(&mut world, &calls);
        world.finish();
    }
}

fn hang_up_all(world: &mut World, calls: &[(usize, usize)]) {
    for call in calls {
        if world.outcome(*call).is_none() {
            world.cancel(*call);
        }
    }
}

#[test]
fn what_one_has_taken_goes_to_no_other() {
    let mut world = World::new(1);
    let preferred = world.join(Phone::new("alice", "wonderland", "192.168.1.10:5060").contact(";q=0.9"));
    let other = world.join(Phone::new("alice", "wonderland", "192.168.1.11:5060").contact(";q=0.5"));
    let eve = world.stranger(9);
    let request = world.phones[eve].request("OPTIONS", ALICE, &format!("<{ALICE}>"));
    let call = world.send(eve, request);
    assert_eq!(world.outcome_of(call), Some(200));
    world.run(1_000);
    assert_eq!((world.count_of_others(preferred, "OPTIONS"), world.count_of_others(other, "OPTIONS")), (1, 0));
    world.finish();
}
