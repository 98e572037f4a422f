//! TLS: with another domain that proves itself by key or authority, or does not; with phones; and with strangers at the
//! port.

use crate::baresip::Setup;
use crate::certificates::{Authority, EARLY, EXPIRED, NOW, pin};
use crate::daemon::{Daemon, Person};
use crate::dns::Dns;
use crate::harness::{Place, step};
use crate::kamailio::{Kamailio, OTHER_DOMAIN};
use crate::outside::{ALICE, Phones, home_zone, resolv_option};

const PROGRAMS: [&str; 6] = ["baresip", "kamailio", "dnsmasq", "unshare", "mount", "openssl"];

#[test]
fn other_domain_by_pin() {
    let Some(place) = Place::new("other_domain_by_pin", &PROGRAMS) else { return };
    let Some(mut dns) = Dns::new(&place) else { return };
    // A pin needs no authority, and no date.
    let identity = Authority::new(&place, "authority").certify("somebody.example", EXPIRED);
    let peer = |pin: &str| {
        let resolv = resolv_option(&dns);
        format!("{resolv}\nconfig peer 'carls'\n\toption domain '{OTHER_DOMAIN}'\n\toption pin '{pin}'\n")
    };
    let key = pin(&identity.certificate);
    let known = peer(&key);
    let strange = peer("sha256/AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=");
    let kamailio = Kamailio::start(&place, &dns.resolv_file, &[identity]);
    let mut pcsd = Daemon::start_with(&place, &ALICE, true, &known);
    dns.serve(&home_zone("tls", pcsd.port + 1).domain(OTHER_DOMAIN, "tls", kamailio.secure_port()));
    let mut phones = Phones::start(&place, &pcsd, &kamailio);
    phones.talk(&place, &kamailio, "tls");
    assert!(kamailio.program.output.count(">> INVITE carl by tls") >= 2);
    pcsd.program.await_line(0, "has proven to be other.test");

    assert_eq!(pcsd.status().streams, 1, "one connection carried it both ways (RFC 5923)");

    step!(place, "another key is pinned");
    pcsd.write_configuration(&ALICE, &strange);
    pcsd.program.kill();
    pcsd.start_again();
    pcsd.await_devices("alice", 1);
    let called = kamailio.program.output.count(">> INVITE carl");
    phones.alice.dial(&format!("sip:carl@{OTHER_DOMAIN}"));
    let closed = phones.alice.await_event("CALL_CLOSED");
    assert!(closed.contains("503"), "{closed}");
    let (_, line) = pcsd.program.await_line(0, &format!("no TLS with {OTHER_DOMAIN}"));
    assert!(line.contains(&key), "the log says which key it has: {line}");
    assert_eq!(kamailio.program.output.count(">> INVITE carl"), called, "nothing was sent");
    pcsd.await_rest();
}

#[test]
fn other_domain_by_authority() {
    let Some(place) = Place::new("other_domain_by_authority", &PROGRAMS) else { return };
    let Some(mut dns) = Dns::new(&place) else { return };
    let authority = Authority::new(&place, "authority");
    let own = authority.certify("home.example", NOW);
    let identities = [
        authority.certify(OTHER_DOMAIN, NOW),
        authority.certify("expired.test", EXPIRED),
        authority.certify("early.test", EARLY),
        Authority::new(&place, "stranger").certify("unknown.test", NOW),
    ];
    let kamailio = Kamailio::start(&place, &dns.resolv_file, &identities);
    let more = format!(
        "{}\toption ca '{}'\n\toption cert '{}'\n\toption key '{}'\n",
        resolv_option(&dns),
        authority.certificate().display(),
        own.certificate.display(),
        own.key.display()
    );
    let pcsd = Daemon::start_with(&place, &ALICE, true, &more);
    let [port, expired, early, unknown] = *kamailio.secure_ports() else { panic!("a port for each") };
    dns.serve(
        &home_zone("tls", pcsd.port + 1)
            .domain(OTHER_DOMAIN, "tls", port)
            .domain("wrong.test", "tls", port)
            .domain("expired.test", "tls", expired)
            .domain("early.test", "tls", early)
            .domain("unknown.test", "tls", unknown),
    );
    let mut phones = Phones::start(&place, &pcsd, &kamailio);
    phones.talk(&place, &kamailio, "tls");
    assert_eq!(pcsd.status().streams, 1, "one connection carried it both ways (RFC 5923)");

    for (domain, why) in [
        ("wrong.test", "is for other.test"),
        ("expired.test", "expired"),
        ("early.test", "clock"),
        ("unknown.test", "authority"),
    ] {
        step!(place, "{domain} does not prove itself");
        let (from, called) = (pcsd.program.output.len(), kamailio.program.output.count(">> INVITE"));
        phones.alice.dial(&format!("sip:carl@{domain}"));
        let closed = phones.alice.await_event("CALL_CLOSED");
        assert!(closed.contains("503") || closed.contains("408"), "{closed}");
        let (_, line) = pcsd.program.await_line(from, &format!("no TLS with {domain}"));
        println!("  {line}");
        assert!(line.contains(why), "{line}");
        assert_eq!(kamailio.program.output.count(">> INVITE"), called, "nothing was sent");
    }
    pcsd.await_rest();
}
