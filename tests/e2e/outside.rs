//! Other domains: found by DNS or by the configuration, called and written to, and they call and write back.

use crate::baresip::{Baresip, Setup};
use crate::daemon::{DOMAIN, Daemon, Person, sip};
use crate::dns::{Dns, Zone};
use crate::harness::{Place, free_port, step};
use crate::kamailio::{Kamailio, OTHER_DOMAIN};
use std::net::{Ipv4Addr, UdpSocket};
use std::time::{Duration, Instant};

pub const PROGRAMS: [&str; 5] = ["baresip", "kamailio", "dnsmasq", "unshare", "mount"];
pub const ALICE: [Person; 1] = [Person::Md5("alice")];

/// A phone of the home, and one of the other domain.
pub struct Phones {
    pub alice: Baresip,
    pub carl: Baresip,
}

impl Phones {
    pub fn start(place: &Place, pcsd: &Daemon, kamailio: &Kamailio) -> Self {
        let carl = Setup { domain: OTHER_DOMAIN, contact: "alice", ..Setup::new("carl", kamailio.address()) };
        let carl = carl.start(place, "carl");
        let contact = format!("carl@{OTHER_DOMAIN}");
        let alice = Setup { contact: &contact, ..Setup::new("alice", pcsd.address()) }.start(place, "alice");
        carl.await_registered();
        alice.await_registered();
        Self { alice, carl }
    }

    /// Calls in both directions, ended from both ends, and a message each way.
    pub fn talk(&mut self, place: &Place, kamailio: &Kamailio, transport: &str) {
        let Self { alice, carl } = self;
        let carls = format!("sip:carl@{OTHER_DOMAIN}");
        for ended_by_caller in [true, false] {
            step!(place, "Alice calls Carl; the caller ends it: {ended_by_caller}");
            call(alice, &carls, carl, ended_by_caller);

            step!(place, "Carl calls Alice; the caller ends it: {ended_by_caller}");
            call(carl, &sip("alice"), alice, ended_by_caller);
        }
        step!(place, "they write to each other");
        let (from, sent) = (carl.program.output.len(), kamailio.program.output.len());
        alice.write("Hello from Alice");
        carl.await_trace(from, "Hello from Alice");
        kamailio.program.await_line(sent, &format!(">> MESSAGE carl by {transport}"));
        let from = alice.program.output.len();
        carl.write("Hello from Carl");
        alice.await_trace(from, "Hello from Carl");
    }
}

/// The server is killed while Alice talks with Carl; the call ends in order from either side.
pub fn killed_meanwhile(place: &Place, pcsd: &mut Daemon, phones: &mut Phones) {
    let Phones { alice, carl } = phones;
    for by_alice in [true, false] {
        step!(place, "the server is killed in a call, which is ended by Alice: {by_alice}");
        alice.dial(&format!("sip:carl@{OTHER_DOMAIN}"));
        carl.await_event("CALL_INCOMING");
        carl.accept();
        alice.await_event("CALL_ESTABLISHED");
        carl.await_event("CALL_ESTABLISHED");
        pcsd.program.kill();
        pcsd.start_again();
        let (first, other) = if by_alice { (&mut *alice, &mut *carl) } else { (&mut *carl, &mut *alice) };
        let from = first.program.output.len();
        first.hang_up();
        other.await_event("CALL_CLOSED");
        let ended = first.await_trace(from, "BYE sip:");
        first.await_trace(ended, "SIP/2.0 200 OK");
        first.await_event("CALL_CLOSED");
    }
    pcsd.await_rest();
}

/// A call that is taken and ended; both see both.
pub fn call(caller: &mut Baresip, address: &str, callee: &mut Baresip, ended_by_caller: bool) {
    caller.dial(address);
    callee.await_event("CALL_INCOMING");
    callee.accept();
    caller.await_event("CALL_ESTABLISHED");
    callee.await_event("CALL_ESTABLISHED");
    let (first, other) = if ended_by_caller { (caller, callee) } else { (callee, caller) };
    let from = first.program.output.len();
    first.hang_up();
    other.await_event("CALL_CLOSED");
    first.await_event("CALL_CLOSED");
    first.await_trace(from, "SIP/2.0 200 OK");
}

/// The records of the home.
pub fn home_zone(transport: &str, port: u16) -> Zone {
    Zone::default().domain(DOMAIN, transport, port)
}

pub fn resolv_option(dns: &Dns) -> String {
    format!("\toption resolv_file '{}'\n", dns.resolv_file.display())
}

#[test]
fn other_domain_by_udp() {
    by_transport("other_domain_by_udp", "udp");
}

#[test]
fn other_domain_by_tcp() {
    by_transport("other_domain_by_tcp", "tcp");
}

fn by_transport(name: &'static str, transport: &str) {
    let Some(place) = Place::new(name, &PROGRAMS) else { return };
    let Some(mut dns) = Dns::new(&place) else { return };
    let mut pcsd = Daemon::start_with(&place, &ALICE, false, &resolv_option(&dns));
    let kamailio = Kamailio::start(&place, &dns.resolv_file, &[], None);
    step!(place, "the name server knows both domains, by {transport} only");
    let port = kamailio.address().port();
    dns.serve(&home_zone(transport, pcsd.port).domain(OTHER_DOMAIN, transport, port));
    let mut phones = Phones::start(&place, &pcsd, &kamailio);
    phones.talk(&place, &kamailio, transport);
    assert_eq!(
        dns.asked(&format!("_sip._{transport}.{OTHER_DOMAIN} from 127.0.0.1")),
        1,
        "it is asked once, then known"
    );
    pcsd.await_rest();
    killed_meanwhile(&place, &mut pcsd, &mut phones);
}

#[test]
fn other_domain_without_dns() {
    let Some(place) = Place::new("other_domain_without_dns", &PROGRAMS) else { return };
    let Some(mut dns) = Dns::new(&place) else { return };
    let kamailio = Kamailio::start(&place, &dns.resolv_file, &[], None);
    let peer = |transport: &str| {
        format!(
            "\toption resolv_file '/nonexistent'\n\nconfig peer 'carls'\n\toption domain '{OTHER_DOMAIN}'\n\t\
             option address '{}'\n\toption transport '{transport}'\n",
            kamailio.address()
        )
    };
    let mut pcsd = Daemon::start_with(&place, &ALICE, false, &peer("udp"));
    // It is kamailio that needs to find us.
    dns.serve(&home_zone("udp", pcsd.port));
    let mut phones = Phones::start(&place, &pcsd, &kamailio);
    for transport in ["udp", "tcp"] {
        step!(place, "the peer is configured with {transport}");
        pcsd.reconfigure(&ALICE, &peer(transport));
        phones.talk(&place, &kamailio, transport);
    }
    assert_eq!(dns.asked(OTHER_DOMAIN), 0);
    pcsd.await_rest();
}

#[test]
fn servers_that_fail() {
    let Some(place) = Place::new("servers_that_fail", &PROGRAMS) else { return };
    let Some(mut dns) = Dns::new(&place) else { return };
    let pcsd = Daemon::start_with(&place, &ALICE, false, &resolv_option(&dns));
    let kamailio = Kamailio::start(&place, &dns.resolv_file, &[], None);
    let (port, busy) = (kamailio.address().port(), kamailio.busy_port());
    let silent = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    silent.set_nonblocking(true).expect("a socket can be told not to wait");
    let silent_port = silent.local_addr().expect("it has one").port();
    let mut many = home_zone("udp", pcsd.port)
        .domain(OTHER_DOMAIN, "udp", port)
        .domain("refusing.test", "tcp", free_port())
        .server_at("refusing.test", "tcp", 20, "pbx.other.test", port)
        .domain("deaf.test", "tcp", free_port())
        .domain("busy.test", "udp", busy)
        .server_at("busy.test", "udp", 20, "pbx.other.test", port)
        .domain("silent.test", "udp", silent_port)
        .server_at("silent.test", "udp", 20, "pbx.other.test", port)
        .naptr("large.test", "udp", 10)
        .server_at("large.test", "udp", 1, "pbx.other.test", port);
    for number in 0..40 {
        let host = format!("one-of-the-many-servers-of-a-large-domain-{number}.large.test");
        many = many.server_at("large.test", "udp", 50, &host, 9).host(&host);
    }
    dns.serve(&many);
    let mut phones = Phones::start(&place, &pcsd, &kamailio);
    let Phones { alice, carl } = &mut phones;

    for (domain, patience_s) in [("refusing.test", 3), ("busy.test", 3), ("silent.test", 12), ("large.test", 3)] {
        step!(place, "the first server of {domain} fails, or they are very many");
        let since = Instant::now();
        alice.dial(&format!("sip:carl@{domain}"));
        carl.await_event("CALL_INCOMING");
        assert!(since.elapsed() < Duration::from_secs(patience_s), "{:?}", since.elapsed());
        carl.accept();
        alice.await_event("CALL_ESTABLISHED");
        carl.await_event("CALL_ESTABLISHED");
        carl.hang_up();
        alice.await_event("CALL_CLOSED");
        carl.await_event("CALL_CLOSED");
    }
    let mut begin = [0; 7];
    silent.recv(&mut begin).expect("the first server was tried");
    assert_eq!(&begin, b"INVITE ");
    assert!(kamailio.program.output.count(">> INVITE carl") > 4, "one of them was the refused one");

    assert!(pcsd.status().lookups.truncated >= 1, "the many servers did not fit a datagram");

    step!(place, "domains that do not exist");
    let mut refused = |domain: &str, status: &str, patience_s: u64| {
        let since = Instant::now();
        alice.dial(&format!("sip:carl@{domain}"));
        let closed = alice.await_event("CALL_CLOSED");
        assert!(closed.contains(status), "{domain}: {closed}");
        assert!(since.elapsed() < Duration::from_secs(patience_s), "{domain}: {:?}", since.elapsed());
    };
    refused("nowhere.test", "404", 3);
    refused("nowhere.test", "404", 3);
    assert_eq!(dns.asked("query[A] nowhere.test"), 1, "that there is none is known then");
    refused("deaf.test", "502", 3);

    step!(place, "nobody answers about names: what is known still goes");
    dns.stop();
    refused("unheard.test", "504", 14);
    assert!(pcsd.status().lookups.timeouts >= 1);
    alice.dial("sip:carl@large.test");
    carl.await_event("CALL_INCOMING");
    carl.hang_up();
    alice.await_event("CALL_CLOSED");

    step!(place, "the name server is back");
    dns.serve(&many.domain("unheard.test", "tcp", port));
    alice.dial("sip:carl@unheard.test");
    carl.await_event("CALL_INCOMING");
    carl.hang_up();
    alice.await_event("CALL_CLOSED");
    pcsd.await_rest();
}
