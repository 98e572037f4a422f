//! What those who are not trusted try (RFC 3261 §26): to be somebody else, and to make the server work for them.

use crate::message::{Msg, uri_of};
use crate::phone::{Manner, Phone};
use crate::world::World;

const ALICE: &str = "sip:alice@home.example";

#[test]
fn no_connection_is_opened_for_who_may_not_use_it() {
    let mut world = World::new(1);
    let bob = world.online("bob", 30, Manner::POLITE);
    world.phones[bob].manner.proves = false;
    let eve = world.stranger(9);
    world.add(Phone::new("x", "", "198.51.100.77:25").stranger("sip:x@198.51.100.77"));
    let target = "sip:x@198.51.100.77:25;transport=tcp";
    for (phone, expected) in [(eve, 403), (bob, 407)] {
        world.phones[phone].forget_nonces();
        for route in ["", ", <sip:198.51.100.77:25;transport=tcp;lr>"] {
            let mut request = world.phones[phone].request("OPTIONS", target, "<sip:x@far.example>");
            let proxy = world.phones[phone].proxy;
            request.add("Route", &format!("<sip:{proxy};lr>{route}"));
            let call = world.send(phone, request);
            assert_eq!(world.outcome_of(call), Some(expected));
        }
    }
    assert_eq!(world.conns.len(), 0);
    world.finish();
}

/// The Record-Route values of an INVITE that somebody got, our address of the far side first.
fn tokens(got: &Msg) -> Vec<String> {
    got.values("Record-Route")
}

#[test]
fn tokens_of_two_calls_do_not_make_a_third() {
    let mut world = World::new(1);
    let alice = world.online("alice", 10, Manner::POLITE);
    world.online("bob", 30, Manner::POLITE);
    let eve = world.add(Phone::new("eve", "", "198.51.100.9:5060").stranger("sip:eve@198.51.100.9"));
    // Alice calls Eve, who so learns the token of Alice's side.
    let call = world.invite(alice, "sip:eve@198.51.100.9");
    assert_eq!(world.outcome_of(call), Some(200));
    let first = world.phones[eve].got("INVITE")[0].clone();
    // Eve calls Bob under the same Call-ID, and learns that of Bob's.
    let mut second = world.phones[eve].request("INVITE", "sip:bob@home.example", "<sip:bob@home.example>");
    second.set("Call-ID", first.get("Call-ID"));
    let call = world.send(eve, second);
    assert_eq!(world.outcome_of(call), Some(200));
    let answer = world.answer(call).clone();
    // Now she writes to Alice as Bob.
    let mut forged = world.phones[eve].request("MESSAGE", uri_of(first.get("Contact")), &format!("<{ALICE}>"));
    forged.set("From", "<sip:bob@home.example>;tag=1");
    forged.set("Call-ID", first.get("Call-ID"));
    let (bobs, alices) = (tokens(&answer)[0].clone(), tokens(&first)[1].clone());
    forged.add("Route", &bobs);
    forged.add("Route", &alices);
    world.phones[eve].manner.proves = false;
    let sent = world.send(eve, forged);
    let outcome = world.outcome_of(sent);
    assert!(matches!(outcome, Some(403 | 407)), "{outcome:?}");
    assert_eq!(world.count(alice, "MESSAGE"), 0);
    world.finish();
}

#[test]
fn a_dot_at_the_end_makes_no_other_domain() {
    let mut world = World::new(1);
    let alice = world.online("alice", 10, Manner::POLITE);
    let eve = world.stranger(9);
    let to_alice = world.message(eve, "sip:alice@home.example.");
    assert_eq!(world.outcome_of(to_alice), Some(200));
    world.phones[eve].aor = "sip:bob@Home.Example.".into();
    world.phones[eve].manner.proves = false;
    let forged = world.message(eve, ALICE);
    assert_eq!(world.outcome_of(forged), Some(407));
    assert_eq!(world.count(alice, "MESSAGE"), 1);
    world.finish();
}

#[test]
fn nobody_else_asserts_who_is_one_of_us() {
    let mut world = World::new(1);
    let alice = world.online("alice", 10, Manner::POLITE);
    let eve = world.stranger(9);
    let mut request = world.phones[eve].request("OPTIONS", ALICE, &format!("<{ALICE}>"));
    request.add("P-Asserted-Identity", "\"Bob\" <sip:bob@home.example>, <tel:+46123>");
    request.add("P-Asserted-Identity", "<sip:+46123@trunk.example>");
    request.add("Remote-Party-ID", "\"Bob\" <sip:bob@192.0.2.1>;party=calling");
    request.add("P-Preferred-Identity", "<sip:bob@HOME.example.");
    let call = world.send(eve, request);
    assert_eq!(world.outcome_of(call), Some(200));
    let got = world.phones[alice].got("OPTIONS")[0].clone();
    assert_eq!(got.lines("P-Asserted-Identity").collect::<Vec<_>>(), ["<sip:+46123@trunk.example>"]);
    assert_eq!((got.get("Remote-Party-ID"), got.get("P-Preferred-Identity")), ("", ""));
    world.finish();
}

#[test]
fn another_scheme_or_a_fault_makes_no_other_domain() {
    let mut world = World::new(1);
    let alice = world.online("alice", 10, Manner::POLITE);
    let eve = world.stranger(9);
    world.phones[eve].manner.proves = false;
    for (from, status) in
        [("im:bob@home.example", 407), ("pres:bob@Home.Example;x=1", 407), ("im:bob@away.example", 200)]
    {
        let mut request = world.phones[eve].request("MESSAGE", ALICE, &format!("<{ALICE}>"));
        request.set("From", &format!("<{from}>;tag=1"));
        let call = world.send(eve, request);
        assert_eq!(world.outcome_of(call), Some(status), "{from}");
    }
    assert_eq!(world.count(alice, "MESSAGE"), 1);
    world.finish();
}
