//! TLS: with another domain that proves itself by key or authority, or does not; with phones; and with strangers at the
//! port.

use crate::baresip::Setup;
use crate::calls::assert_heard;
use crate::certificates::{Authority, EARLY, EXPIRED, NOW, pin};
use crate::daemon::{DOMAIN, Daemon, Person, sip};
use crate::dns::Dns;
use crate::harness::{PATIENCE, Place, Program, find, step};
use crate::kamailio::{Kamailio, OTHER_DOMAIN};
use crate::outside::{ALICE, Phones, call, home_zone, killed_meanwhile, resolv_option};
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;

/// What a caller is told when no server of a domain can be connected to.
const UNREACHABLE: &str = "502 No Connection With That Domain";
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
    let kamailio = Kamailio::start(&place, &dns.resolv_file, &[identity], None);
    let mut pcsd = Daemon::start_with(&place, &ALICE, true, &known);
    dns.serve(&home_zone("tls", pcsd.port + 1).domain(OTHER_DOMAIN, "tls", kamailio.secure_port()));
    let mut phones = Phones::start(&place, &pcsd, &kamailio);
    phones.talk(&place, &kamailio, "tls");
    assert!(kamailio.program.output.count(">> INVITE carl by tls") >= 2);
    pcsd.program.await_line(0, "has proven to be other.test");
    assert_eq!(pcsd.program.output.count(": TLSv1"), 1, "one connection carried it both ways (RFC 5923)");

    killed_meanwhile(&place, &mut pcsd, &mut phones);

    step!(place, "another key is pinned: the connection that is up does not count any more");
    call(&mut phones.alice, &format!("sip:carl@{OTHER_DOMAIN}"), &mut phones.carl, true);
    pcsd.reconfigure(&ALICE, &known);
    assert_eq!(pcsd.program.output.count("prove itself anew"), 0, "nothing has changed");
    let from = pcsd.program.output.len();
    pcsd.reconfigure(&ALICE, &strange);
    assert!(pcsd.program.output.count("prove itself anew") >= 1);
    let called = kamailio.program.output.count(">> INVITE carl");
    phones.alice.dial(&format!("sip:carl@{OTHER_DOMAIN}"));
    let closed = phones.alice.await_event("CALL_CLOSED");
    assert!(closed.contains(UNREACHABLE), "{closed}");
    let (_, line) = pcsd.program.await_line(from, &format!("no TLS with {OTHER_DOMAIN}"));
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
        // It only has the name of the authority.
        Authority::new(&place, "stranger").certify("unknown.test", NOW),
    ];
    let kamailio = Kamailio::start(&place, &dns.resolv_file, &identities, Some(&authority.certificate()));
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
    step!(place, "kamailio is the first to connect; each proves who it is");
    call(&mut phones.carl, &sip("alice"), &mut phones.alice, true);
    assert_eq!(pcsd.program.output.count(": TLSv1"), 1);
    phones.talk(&place, &kamailio, "tls");
    assert_eq!(pcsd.program.output.count(": TLSv1"), 2, "one that kamailio made, and one of ours");

    for (domain, why) in [
        ("wrong.test", "is for other.test"),
        ("expired.test", "has expired"),
        ("early.test", "by this router's clock"),
        ("unknown.test", "not issued by anybody"),
    ] {
        step!(place, "{domain} does not prove itself");
        let (from, called) = (pcsd.program.output.len(), kamailio.program.output.count(">> INVITE"));
        phones.alice.dial(&format!("sip:carl@{domain}"));
        let closed = phones.alice.await_event("CALL_CLOSED");
        assert!(closed.contains(UNREACHABLE), "{closed}");
        let (_, line) = pcsd.program.await_line(from, &format!("no TLS with {domain}"));
        println!("  {line}");
        assert!(line.contains(why), "{line}");
        assert_eq!(kamailio.program.output.count(">> INVITE"), called, "nothing was sent");
    }
    pcsd.await_rest();
}

#[test]
fn phones_by_tls() {
    let Some(place) = Place::new("phones_by_tls", &["baresip", "openssl"]) else { return };
    let people = [Person::Md5("alice"), Person::Md5("bob")];
    let pcsd = Daemon::start_with(&place, &people, true, "");
    let strangers = strangers(&place, &pcsd);
    step!(place, "Alice's phone comes by TLS, Bob's by UDP");
    let mut alice = Setup { transport: "tls", more: ";sipnat=outbound", ..Setup::new("alice", pcsd.secure_address()) }
        .start(&place, "alice");
    let mut bob = Setup { tone_hz: 880, ..Setup::new("bob", pcsd.address()) }.start(&place, "bob");
    alice.await_registered();
    bob.await_registered();
    assert_eq!(pcsd.await_devices("alice", 1)[0].transport, "tls");

    step!(place, "calls with sound, ended from both ends");
    alice.dial(&sip("bob"));
    bob.await_event("CALL_INCOMING");
    bob.accept();
    alice.await_event("CALL_ESTABLISHED");
    bob.await_event("CALL_ESTABLISHED");
    alice.await_heard(1);
    bob.await_heard(1);
    bob.hang_up();
    alice.await_event("CALL_CLOSED");
    assert_heard((&alice, 440), (&bob, 880), 1);
    bob.await_event("CALL_CLOSED");
    call(&mut bob, &sip("alice"), &mut alice, true);

    step!(place, "openssl checks who we are, and takes no other for us");
    let own = pcsd.directory.join("state/tls.crt");
    assert!(checks(&pcsd, &own, DOMAIN));
    assert!(!checks(&pcsd, &own, OTHER_DOMAIN));
    assert!(!checks(&pcsd, &Authority::new(&place, "authority").certificate(), DOMAIN));
    assert_eq!(pcsd.devices().len(), 2);

    step!(place, "a handshake that stays half done is ended, and nobody else's");
    for mut stranger in strangers {
        let mut end = Vec::new();
        stranger.set_read_timeout(Some(PATIENCE)).expect("a socket can wait");
        // Closed in order or broken off, but not left open.
        if let Err(error) = stranger.read_to_end(&mut end) {
            assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{error}");
        }
        assert!(!end.starts_with(b"SIP/2.0"), "{}", end.escape_ascii());
    }
    assert_eq!(pcsd.devices_of("alice").len(), 1);
    drop(alice);
    pcsd.await_devices("alice", 0);
    pcsd.await_rest();
}

/// Whether openssl is content with our certificate for a domain.
fn checks(pcsd: &Daemon, authority: &Path, domain: &str) -> bool {
    let mut command = crate::network::command(None, &find("openssl"));
    command.args(["s_client", "-verify_return_error", "-verify_hostname", domain, "-CAfile"]).arg(authority);
    let mut client = Program::start("openssl", command.args(["-connect", &pcsd.secure_address().to_string()]));
    let is_content = client.await_line(0, "Verification").1.contains("Verification: OK");
    client.kill();
    is_content
}

/// Those who come to the port and are no phones: each said something, and waits.
fn strangers(place: &Place, pcsd: &Daemon) -> Vec<TcpStream> {
    step!(place, "strangers at the port: silence, half a hello, garbage, SIP in the clear, another HTTP");
    let hello = record_of_openssl(place);
    let beginnings: [&[u8]; 6] = [
        b"",
        &hello[..hello.len() / 2],
        &[&hello[..], &[0xff; 300]].concat(),
        &[0xa5; 5000],
        b"REGISTER sip:home.example SIP/2.0\r\nVia: SIP/2.0/TLS 127.0.0.1:9;branch=z9hG4bK1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: home.example\r\n\r\n",
    ];
    let connect = |beginning: &[u8]| {
        let mut stream = TcpStream::connect(pcsd.secure_address()).expect("it takes connections");
        let _ = stream.write_all(beginning);
        stream
    };
    beginnings.into_iter().map(connect).collect()
}

/// The ClientHello of openssl.
fn record_of_openssl(place: &Place) -> Vec<u8> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let address = listener.local_addr().expect("it has one").to_string();
    let mut command = crate::network::command(None, &find("openssl"));
    let _client = Program::start("openssl", command.args(["s_client", "-connect", &address]));
    step!(place, "openssl says hello");
    let (mut stream, _) = listener.accept().expect("it connects");
    let mut head = [0; 5];
    stream.read_exact(&mut head).expect("the head of a record");
    assert_eq!(head[0], 22, "a handshake (RFC 8446 §5.1)");
    let mut hello = head.to_vec();
    hello.resize(5 + usize::from(u16::from_be_bytes([head[3], head[4]])), 0);
    stream.read_exact(&mut hello[5..]).expect("the record");
    hello
}
