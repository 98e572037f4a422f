//! Other domains: found by DNS or by the configuration, called and written to, and they call and write back.

use crate::baresip::{Baresip, Setup};
use crate::daemon::{DOMAIN, Daemon, Person, sip};
use crate::dns::{Dns, Zone};
use crate::harness::{Place, step};
use crate::kamailio::{Kamailio, OTHER_DOMAIN};

const PROGRAMS: [&str; 5] = ["baresip", "kamailio", "dnsmasq", "unshare", "mount"];
const ALICE: [Person; 1] = [Person::Md5("alice")];

/// A phone of the home, and one of the other domain.
struct Phones {
    alice: Baresip,
    carl: Baresip,
}

impl Phones {
    fn start(place: &Place, pcsd: &Daemon, kamailio: &Kamailio) -> Self {
        let carl = Setup { domain: OTHER_DOMAIN, contact: "alice", ..Setup::new("carl", kamailio.address()) };
        let carl = carl.start(place, "carl");
        let contact = format!("carl@{OTHER_DOMAIN}");
        let alice = Setup { contact: &contact, ..Setup::new("alice", pcsd.address()) }.start(place, "alice");
        carl.await_registered();
        alice.await_registered();
        Self { alice, carl }
    }

    /// Calls in both directions, ended from both ends, and a message each way.
    fn talk(&mut self, place: &Place, kamailio: &Kamailio, transport: &str) {
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

/// A call that is taken and ended; both see both.
fn call(caller: &mut Baresip, address: &str, callee: &mut Baresip, ended_by_caller: bool) {
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
fn home_zone(transport: &str, port: u16) -> Zone {
    Zone::default().domain(DOMAIN, transport, port)
}

fn resolv_option(dns: &Dns) -> String {
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
    let pcsd = Daemon::start_with(&place, &ALICE, false, &resolv_option(&dns));
    let kamailio = Kamailio::start(&place, &dns.resolv_file, None);
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
}

#[test]
fn other_domain_without_dns() {
    let Some(place) = Place::new("other_domain_without_dns", &PROGRAMS) else { return };
    let Some(mut dns) = Dns::new(&place) else { return };
    let kamailio = Kamailio::start(&place, &dns.resolv_file, None);
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
