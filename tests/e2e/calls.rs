//! Calls: heard, answered once, given up, refused, across families and transports.

use crate::baresip::{Baresip, Setup};
use crate::daemon::{Daemon, Person, sip};
use crate::harness::{Place, free_port, step, wait_open_udp};
use crate::noise::Noise;
use crate::sipp::{Playing, Sipp};
use crate::tone;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Lets a device of SIPp register, and then do its part.
pub fn device(place: &Place, pcsd: &Daemon, user: &str, ip: IpAddr, scenario: &str) -> Playing {
    let local = SocketAddr::new(ip, free_port());
    let server = SocketAddr::new(ip, pcsd.port);
    let register = Sipp { server, ..Sipp::new("register", pcsd, user, user, local) };
    register.play(place);
    let playing = Sipp { scenario, ..register }.start(place);
    wait_open_udp(ip, local.port());
    playing
}

/// Both phones heard the other's tone, and nothing else, for most of `seconds`.
pub fn assert_heard(first: (&Baresip, u32), second: (&Baresip, u32), seconds: usize) {
    for ((ear, own), mouth) in [(first, second.1), (second, first.1)] {
        let samples = ear.heard();
        let (theirs, echo) = (tone::seconds_of(&samples, mouth), tone::seconds_of(&samples, own));
        let all = samples.len() as f64 / tone::RATE as f64;
        println!("  {mouth} Hz for {theirs} s of {all:.2} s, {own} Hz for {echo} s");
        assert!(theirs >= seconds as f64 * 0.75, "{mouth} Hz for {theirs} s of {all:.2} s");
        assert_eq!(echo, 0.0, "{own} Hz came back");
    }
}

const LOCALHOST: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

#[test]
fn call_amid_noise() {
    let Some(place) = Place::new("call_amid_noise", &["baresip", "sipp"]) else { return };
    let pcsd = Daemon::start(&place, &[Person::Md5("alice"), Person::Md5("bob"), Person::Md5("carol")]);
    let mut alice = Setup { tone_hz: 440, ..Setup::new("alice", pcsd.address()) }.start(&place, "alice");
    let mut bob = Setup { tone_hz: 880, ..Setup::new("bob", pcsd.address()) }.start(&place, "bob");
    alice.await_registered();
    bob.await_registered();

    step!(place, "Alice calls Bob");
    alice.dial(&sip("bob"));
    let incoming = bob.await_event("CALL_INCOMING");
    assert!(incoming.contains("alice@home.example"), "{incoming}");
    alice.await_event("CALL_RINGING");
    bob.accept();
    alice.await_event("CALL_ESTABLISHED");
    bob.await_event("CALL_ESTABLISHED");

    step!(place, "malformed messages come in from 127.0.0.2 and others");
    let noise = Noise::begin(pcsd.address());
    step!(place, "Carol registers meanwhile");
    let local = SocketAddr::new(LOCALHOST, free_port());
    Sipp::new("register", &pcsd, "carol", "carol", local).play(&place);
    pcsd.await_devices("carol", 1);
    alice.await_heard(4);
    bob.await_heard(4);
    step!(place, "Bob hangs up meanwhile");
    assert!(!alice.has_seen("CALL_CLOSED") && !bob.has_seen("CALL_CLOSED"), "the call was unharmed");
    bob.hang_up();
    alice.await_event("CALL_CLOSED");
    let thrown = noise.end();
    let counters = pcsd.status().counters;
    step!(place, "{thrown} messages thrown; {counters:?}");
    assert!(thrown > 500, "only {thrown} messages thrown");
    assert!(counters.malformed > 50 && counters.limited > 0, "{counters:?}");
    assert_heard((&alice, 440), (&bob, 880), 4);
    pcsd.await_rest();
    assert_eq!(pcsd.devices().len(), 3, "nobody was signed off");

    step!(place, "a call in the quiet after it");
    bob.dial(&sip("alice"));
    alice.await_event("CALL_INCOMING");
    alice.accept();
    bob.await_event("CALL_ESTABLISHED");
    alice.hang_up();
    bob.await_event("CALL_CLOSED");
    pcsd.await_rest();
}

#[test]
fn first_answer_cancels_the_other() {
    let Some(place) = Place::new("first_answer_cancels_the_other", &["baresip", "sipp"]) else { return };
    let pcsd = Daemon::start(&place, &[Person::Md5("alice"), Person::Md5("bob")]);
    let mut phone = Setup::new("alice", pcsd.address()).start(&place, "phone");
    let mut bob = Setup::new("bob", pcsd.address()).start(&place, "bob");
    phone.await_registered();
    bob.await_registered();
    // The scenario itself checks the Reason of its CANCEL.
    let tablet = device(&place, &pcsd, "alice", LOCALHOST, "ring_elsewhere");
    pcsd.await_devices("alice", 2);

    // Bob's INVITE has become too large for a datagram, and the tablet takes no connection: it gets the datagram after
    // all, and at once.
    step!(place, "Bob calls Alice; her phone and her tablet ring");
    bob.dial(&sip("alice"));
    phone.await_event("CALL_INCOMING");
    bob.await_event("CALL_RINGING");
    tablet.await_message("SIP/2.0 180 Ringing");

    step!(place, "she answers on her phone, and her tablet stops ringing");
    phone.accept();
    bob.await_event("CALL_ESTABLISHED");
    let messages = tablet.finish();
    assert!(messages.contains("Call completed elsewhere"));
    phone.await_event("CALL_ESTABLISHED");
    assert!(!bob.has_seen("CALL_CLOSED"));
    phone.hang_up();
    bob.await_event("CALL_CLOSED");
    pcsd.await_rest();
}

#[test]
fn two_phones_of_one_person() {
    let Some(place) = Place::new("two_phones_of_one_person", &["baresip"]) else { return };
    let pcsd = Daemon::start(&place, &[Person::Md5("alice"), Person::Md5("bob")]);
    let setup = Setup::new("alice", pcsd.address());
    let mut first = setup.start(&place, "first");
    let mut second = Setup { transport: "tcp", ..setup }.start(&place, "second");
    let mut bob = Setup::new("bob", pcsd.address()).start(&place, "bob");
    for phone in [&mut first, &mut second, &mut bob] {
        phone.await_registered();
    }
    pcsd.await_devices("alice", 2);
    for answerer in [true, false] {
        step!(place, "both ring");
        bob.dial(&sip("alice"));
        first.await_event("CALL_INCOMING");
        second.await_event("CALL_INCOMING");
        let (taker, other) = if answerer { (&mut first, &mut second) } else { (&mut second, &mut first) };
        step!(place, "one answers, the other stops ringing");
        let from = other.program.output.len();
        taker.accept();
        bob.await_event("CALL_ESTABLISHED");
        taker.await_event("CALL_ESTABLISHED");
        other.await_event("CALL_CLOSED");
        other.await_trace(from, "CANCEL sip:");
        other.await_trace(from, "Call completed elsewhere");
        bob.hang_up();
        taker.await_event("CALL_CLOSED");
        bob.await_event("CALL_CLOSED");
        pcsd.await_rest();
    }
}

#[test]
fn calls_that_are_not_answered() {
    let Some(place) = Place::new("calls_that_are_not_answered", &["baresip", "sipp"]) else { return };
    let people =
        [Person::Md5("alice"), Person::Md5("bob"), Person::Md5("carol"), Person::Md5("dave"), Person::Md5("erin")];
    let pcsd = Daemon::start(&place, &people);
    let mut bob = Setup::new("bob", pcsd.address()).start(&place, "bob");
    bob.await_registered();

    step!(place, "Bob gives up while Alice's phone rings");
    let ringing = device(&place, &pcsd, "alice", LOCALHOST, "ring");
    bob.dial(&sip("alice"));
    bob.await_event("CALL_RINGING");
    let from = bob.program.output.len();
    bob.hang_up();
    bob.await_trace(from, "487 Request Terminated");
    ringing.finish();

    step!(place, "Dave is busy");
    let busy = device(&place, &pcsd, "dave", LOCALHOST, "busy");
    bob.dial(&sip("dave"));
    let closed = bob.await_event("CALL_CLOSED");
    // The first to close was the call he gave up.
    let closed = if closed.contains("alice@") { bob.await_event("CALL_CLOSED") } else { closed };
    assert!(closed.contains("486"), "{closed}");
    busy.finish();

    step!(place, "Erin's phone loses the way back, then finds it");
    let forgetful = device(&place, &pcsd, "erin", LOCALHOST, "lost_via");
    let (from, strays) = (bob.program.output.len(), pcsd.status().counters.stray);
    bob.dial(&sip("erin"));
    let closed = bob.await_event("CALL_CLOSED");
    assert!(closed.contains("486"), "{closed}");
    forgetful.finish();
    let trace = bob.program.output.since(from);
    assert!(!trace.iter().any(|line| line.starts_with("SIP/2.0 180")), "an answer without a way back came through");
    assert_eq!(pcsd.status().counters.stray, strays + 1);

    for (whom, answer) in [("carol", "480"), ("nobody", "404")] {
        step!(place, "{whom}: {answer}");
        bob.dial(&sip(whom));
        let closed = bob.await_event("CALL_CLOSED");
        assert!(closed.contains(answer), "{closed}");
    }
    pcsd.await_rest();
}

#[test]
fn between_families() {
    let Some(place) = Place::new("between_families", &["sipp"]) else { return };
    let pcsd = Daemon::start_on(&place, &["127.0.0.1", "[::1]"], &[Person::Md5("alice"), Person::Md5("bob")], None);
    let six = IpAddr::V6(Ipv6Addr::LOCALHOST);
    for (caller, callee) in [(six, LOCALHOST), (LOCALHOST, six)] {
        for (call, answer) in [("call", "answer"), ("call_and_wait", "answer_and_end")] {
            step!(place, "{call} from {caller} to {callee}");
            let bob = device(&place, &pcsd, "bob", callee, answer);
            pcsd.await_devices("bob", 1);
            let local = SocketAddr::new(caller, free_port());
            let server = SocketAddr::new(caller, pcsd.port);
            let heard = Sipp { server, ..Sipp::new(call, &pcsd, "alice", "bob", local) }.play(&place);
            let seen = bob.finish();
            // Both ends see one Record-Route for each family (RFC 5658), that of their own last or first.
            for (messages, own) in [(&heard, caller), (&seen, callee)] {
                let routes = messages.lines().filter(|line| line.starts_with("Record-Route:")).collect::<Vec<_>>();
                let (four, six) = (format!("127.0.0.1:{}", pcsd.port), format!("[::1]:{}", pcsd.port));
                let has = |address: &str| routes.iter().any(|line| line.contains(address));
                assert!(has(&four) && has(&six), "at {own}: {routes:#?}");
            }
            // The device makes room for the next one.
            Sipp {
                server: SocketAddr::new(callee, pcsd.port),
                ..Sipp::new("sign_off", &pcsd, "bob", "bob", SocketAddr::new(callee, free_port()))
            }
            .play(&place);
            pcsd.await_devices("bob", 0);
        }
    }
    pcsd.await_rest();
}
