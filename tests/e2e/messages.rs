//! Texts to several devices, and Linphone as a client of another make.

use crate::baresip::Setup;
use crate::calls::device;
use crate::daemon::{Daemon, Person, sip};
use crate::harness::{Place, free_port, step, wait_until};
use crate::linphone::Linphone;
use crate::sipp::Sipp;
use crate::tone;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

const LOCALHOST: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

#[test]
fn message_to_two_devices() {
    let Some(place) = Place::new("message_to_two_devices", &["baresip", "sipp"]) else { return };
    let pcsd = Daemon::start(&place, &[Person::Md5("alice"), Person::Md5("bob"), Person::Md5("carol")]);
    let phone = Setup::new("alice", pcsd.address()).start(&place, "phone");
    phone.await_registered();
    let tablet = device(&place, &pcsd, "alice", LOCALHOST, "take_message");
    pcsd.await_devices("alice", 2);

    step!(place, "Bob writes by SIPp, which waits for the 200");
    let local = SocketAddr::new(LOCALHOST, free_port());
    let from = phone.program.output.len();
    Sipp::new("message", &pcsd, "bob", "alice", local).play(&place);
    phone.await_trace(from, "Dinner is ready");
    assert!(tablet.finish().contains("Dinner is ready"));

    step!(place, "Bob writes to Carol by baresip");
    let carol = Setup::new("carol", pcsd.address()).start(&place, "carol");
    carol.await_registered();
    let mut bob = Setup { contact: "carol", ..Setup::new("bob", pcsd.address()) }.start(&place, "bob");
    bob.await_registered();
    let (from, sent) = (carol.program.output.len(), bob.program.output.len());
    bob.write("Hello from Bob");
    carol.await_trace(from, "Hello from Bob");
    let challenged = bob.await_trace(sent, "SIP/2.0 407 ");
    bob.await_trace(challenged, "SIP/2.0 200 OK");
    pcsd.await_rest();
    assert_eq!(pcsd.status().counters.missed_messages, 0);
    assert!(pcsd.devices().iter().all(|device| device.missed == 0));
}

#[test]
fn linphone_chats_and_calls() {
    let Some(place) = Place::new("linphone_chats_and_calls", &["linphonec", "baresip"]) else { return };
    let pcsd = Daemon::start(&place, &[Person::Modern("alice"), Person::Md5("bob")]);
    step!(place, "Alice has Linphone, Bob has baresip");
    let mut alice = Linphone::start(&place, "alice", pcsd.address(), 440);
    let bob = Setup { contact: "alice", tone_hz: 880, answers: true, ..Setup::new("bob", pcsd.address()) };
    let mut bob = bob.start(&place, "bob");
    bob.await_registered();
    let device = pcsd.await_devices("alice", 1).remove(0);
    assert!(device.user_agent.contains("inphone"), "{device:?}");

    step!(place, "it was offered SHA-256 before MD5, and took it");
    // The server knows of it before Linphone has printed what it sent.
    let (_, proof) = alice.program.await_line(0, "Authorization: ");
    assert!(proof.contains("SHA-256") && proof.contains("qop=auth"), "{proof}");
    let log = alice.program.output.since(0);
    let offers = log.iter().filter(|line| line.starts_with("WWW-Authenticate:")).take(2).collect::<Vec<_>>();
    assert!(
        offers.len() == 2 && offers[0].contains("algorithm=SHA-256") && offers[1].contains("algorithm=MD5"),
        "{offers:?}"
    );

    step!(place, "Alice writes to Bob");
    let from = bob.program.output.len();
    alice.command(&format!("chat {} Hello from Alice", sip("bob")));
    bob.await_trace(from, "Hello from Alice");

    step!(place, "Bob writes to Alice");
    let from = alice.program.output.len();
    bob.write("Hello from Bob");
    alice.program.await_line(from, "Hello from Bob");

    step!(place, "Alice calls Bob, and both tones arrive");
    alice.command(&format!("call {}", sip("bob")));
    bob.await_event("CALL_ESTABLISHED");
    bob.await_heard(3);
    wait_until("Linphone hears 3 s", || (alice.heard_seconds() > 3.0).then_some(()));
    alice.command("terminate");
    bob.await_event("CALL_CLOSED");
    let at_bob = tone::seconds_of(&bob.heard(), 440);
    let at_alice = wait_until("Alice's recording has Bob's tone", || {
        Some(tone::seconds_of(&alice.heard(), 880)).filter(|seconds| *seconds >= 1.5)
    });
    println!("  440 Hz for {at_bob} s at Bob's, 880 Hz for {at_alice} s at Alice's");
    assert!(at_bob >= 1.5, "Bob heard {at_bob} s of Alice's tone");

    step!(place, "Alice signs off");
    alice.command("quit");
    pcsd.await_devices("alice", 0);
    pcsd.await_rest();
}
