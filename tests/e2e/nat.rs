//! A phone behind a symmetric NAT with a short memory.

use crate::baresip::Setup;
use crate::daemon::{Daemon, Person};
use crate::harness::{Place, free_port, step, wait_within};
use crate::network::Natted;
use crate::sipp::Sipp;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// Twice the longest time between two keep-alives, and some more.
const TWO_KEEP_ALIVES: Duration = Duration::from_secs(70);
/// What the router's memory is, and a good part more.
const LONGER_THAN_THE_MAPPING: Duration = Duration::from_secs(40);

#[test]
fn phone_behind_a_nat() {
    let Some(place) = Place::new("phone_behind_a_nat", &["baresip", "sipp", "nft", "ip", "sysctl"]) else { return };
    step!(place, "a home, a router, a phone behind it");
    let net = Natted::new();
    let people = [Person::Md5("alice"), Person::Md5("bob")];
    let pcsd = Daemon::start_on(&place, &[Natted::HOME], &people, Some(&net.home));
    let server = SocketAddr::new(Natted::HOME.parse().expect("an address"), pcsd.port);
    let setup = Setup {
        ip: Natted::PHONE.parse().expect("an address"),
        namespace: Some(&net.phone),
        answers: true,
        ..Setup::new("alice", server)
    };
    let alice = setup.start(&place, "alice");

    step!(place, "Alice's phone registers from behind");
    let device = pcsd.await_devices("alice", 1).remove(0);
    let source: SocketAddr = device.source.as_ref().expect("it has a source").parse().expect("an address");
    assert!(device.behind_nat && device.contact.contains(Natted::PHONE), "{device:?}");
    assert_eq!(source.ip().to_string(), Natted::ROUTER);
    assert_ne!(source.port(), alice.local.port(), "the router gives ports of its own");
    assert!(pcsd.devices_text().contains("behind NAT"));

    let call = |name: &str| {
        step!(place, "Bob calls {name}");
        let local = SocketAddr::new(server.ip(), free_port());
        let call = Sipp { server, namespace: Some(&net.home), ..Sipp::new("call", &pcsd, "bob", "alice", local) };
        let from = alice.program.output.len();
        call.play(&place);
        let invited = alice.await_trace(from, "INVITE sip:alice");
        alice.await_trace(invited, "BYE sip:");
    };
    call("at once");

    step!(place, "the phone says nothing by itself; the server's keep-alives hold the mapping");
    let (since, from) = (Instant::now(), alice.program.output.len());
    let before = alice.program.output.count("OPTIONS sip:");
    wait_within(TWO_KEEP_ALIVES, "two keep-alives reach the phone", || {
        (alice.program.output.count("OPTIONS sip:") >= before + 2 && since.elapsed() > LONGER_THAN_THE_MAPPING)
            .then_some(())
    });
    let spoken = alice.program.output.since(from);
    assert!(!spoken.iter().any(|line| line.starts_with("REGISTER sip:")), "the phone has refreshed nothing itself");
    call(&format!("after {} s", since.elapsed().as_secs()));
    assert_eq!(pcsd.devices_of("alice")[0].source, device.source, "the mapping is still the same");
    pcsd.await_rest();
}
