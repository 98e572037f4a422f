//! Phones register, are refused, and are known to `pcsctl`.

use crate::baresip::Setup;
use crate::daemon::{Daemon, Person};
use crate::harness::{Place, free_port, step};
use crate::sipp::Sipp;
use rustix::process::Signal;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

#[test]
fn baresip_registers() {
    let Some(place) = Place::new("baresip_registers", &["baresip"]) else { return };
    let pcsd = Daemon::start(&place, &[Person::Modern("alice"), Person::Modern("bob")]);
    for (user, transport) in [("alice", "udp"), ("bob", "tcp")] {
        step!(place, "{user} registers over {transport}");
        let mut phone = Setup { transport, ..Setup::new(user, pcsd.address()) }.start(&place, user);
        phone.await_registered();
        let devices = pcsd.await_devices(user, 1);
        let device = &devices[0];
        assert_eq!(device.transport, transport, "{device:?}");
        assert!(device.user_agent.starts_with("baresip v"), "{device:?}");
        assert!((3000..=3600).contains(&device.expires_s), "{device:?}");
        let source: SocketAddr = device.source.as_ref().expect("it has a source").parse().expect("an address");
        assert_eq!(source.ip(), phone.local.ip());
        if transport == "udp" {
            assert_eq!(source.port(), phone.local.port());
        }
        assert!(!device.behind_nat, "{device:?}");
        assert!(device.contact.contains(&source.ip().to_string()), "{device:?}");

        step!(place, "{user} proved who it is, though it knows only MD5");
        let trace = phone.program.output.since(0);
        let proof = trace.iter().find(|line| line.starts_with("Authorization:")).expect("it sent a proof");
        assert!(proof.contains("qop=auth") && proof.contains("nc=00000001"), "{proof}");

        step!(place, "{user} signs off");
        let text = pcsd.devices_text();
        assert!(text.contains(user) && text.contains("baresip"), "{text}");
        phone.command("quit", "");
        pcsd.await_devices(user, 0);
    }
    assert_eq!(pcsd.status().counters.refused, 0);
}

#[test]
fn sipp_registers() {
    let Some(place) = Place::new("sipp_registers", &["sipp"]) else { return };
    let pcsd = Daemon::start(&place, &[Person::Md5("alice"), Person::Md5("bob")]);
    for (transport, name) in [("u1", "udp"), ("t1", "tcp")] {
        step!(place, "alice registers over {name}");
        let local = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let scenario = Sipp { transport, ..Sipp::new("register", &pcsd, "alice", "alice", local) };
        let messages = scenario.play(&place);
        assert!(messages.contains("algorithm=MD5") && !messages.contains("SHA-256"), "only what she has is offered");
        // A connection that was closed in order may leave the binding: its Contact is an address.
        if transport == "u1" {
            let device = &pcsd.await_devices("alice", 1)[0];
            assert_eq!((device.user_agent.as_str(), device.transport.as_str()), ("sipp UDP", "udp"));
            assert_eq!(device.source.as_ref().map(|source| source.as_str()), Some(&*local.to_string()));
        }
    }
    step!(place, "the server saw nothing wrong");
    let counters = pcsd.status().counters;
    assert_eq!((counters.malformed, counters.refused, counters.limited), (0, 0, 0), "{counters:?}");
}

#[test]
fn wrong_password() {
    let Some(place) = Place::new("wrong_password", &["baresip"]) else { return };
    let pcsd = Daemon::start(&place, &[Person::Md5("alice")]);
    step!(place, "a phone with a wrong password");
    let wrong = Setup { password: "secrets", ..Setup::new("alice", pcsd.address()) };
    let stranger = wrong.start(&place, "stranger");
    stranger.await_trace(0, "reg: sip:alice@home.example: 401 Unauthorized");
    assert_eq!(stranger.program.output.count("SIP/2.0 200 OK"), 0);
    assert_eq!(pcsd.devices().len(), 0);
    assert!(pcsd.status().counters.refused >= 1);

    step!(place, "a phone with the name of nobody");
    let nobody = Setup::new("mallory", pcsd.address()).start(&place, "nobody");
    nobody.await_trace(0, "reg: sip:mallory@home.example: ");
    assert_eq!(nobody.program.output.count("SIP/2.0 200 OK"), 0);
    assert_eq!(pcsd.devices().len(), 0);

    step!(place, "Alice herself is not locked out");
    let alice = Setup::new("alice", pcsd.address()).start(&place, "alice");
    alice.await_registered();
    pcsd.await_devices("alice", 1);
}

#[test]
fn reload_and_stop() {
    let Some(place) = Place::new("reload_and_stop", &["baresip"]) else { return };
    let pcsd = Daemon::start(&place, &[Person::Md5("alice")]);
    let mut alice = Setup::new("alice", pcsd.address()).start(&place, "alice");
    alice.await_registered();

    step!(place, "Carol is new in the configuration, before Alice");
    pcsd.configure(&[Person::Md5("carol"), Person::Md5("alice")]);
    let from = pcsd.program.output.len();
    pcsd.program.signal(Signal::HUP);
    pcsd.program.await_line(from, "configuration read again");
    let mut carol = Setup { answers: true, ..Setup::new("carol", pcsd.address()) }.start(&place, "carol");
    carol.await_registered();
    pcsd.await_devices("carol", 1);
    assert_eq!(pcsd.devices_of("alice").len(), 1, "Alice's device is still hers");

    step!(place, "Alice calls her");
    alice.dial("sip:carol@home.example");
    alice.await_event("CALL_ESTABLISHED");
    carol.await_event("CALL_ESTABLISHED");

    step!(place, "SIGTERM in the middle of the call");
    let since = Instant::now();
    pcsd.program.signal(Signal::TERM);
    let status = pcsd.wait();
    assert_eq!(status.code(), Some(0));
    assert!(since.elapsed() < Duration::from_secs(2), "{:?}", since.elapsed());
}
