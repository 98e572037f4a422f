//! Servers of other networks: RFC 6120 §3.2 and XEP-0368, and hosts that are named with their port.

use super::*;

const XMPP: Wanted<'static> = Wanted { service: Service::XmppClient, ..OTHER };
const TLS: &str = "SRV _xmpps-client._tcp.other.test";
const TCP: &str = "SRV _xmpp-client._tcp.other.test";

#[test]
fn both_services_in_one_order() {
    let mut world = World::new(zone(
        "_xmpps-client._tcp.other.test 300 SRV 5 1 443 a.test
         _xmpps-client._tcp.other.test 300 SRV 20 1 5223 b.test
         _xmpp-client._tcp.other.test 300 SRV 10 1 5222 a.test
         _xmpp-client._tcp.other.test 300 SRV 1 1 5222 b.test
         a.test 300 A 192.0.2.1
         a.test 300 AAAA 2001:db8::1
         b.test 300 A 192.0.2.2",
    ));
    let all = [
        "tcp:192.0.2.2:5222",
        "tls:[2001:db8::1]:443",
        "tls:192.0.2.1:443",
        "tcp:[2001:db8::1]:5222",
        "tcp:192.0.2.1:5222",
        "tls:192.0.2.2:5223",
    ];
    assert_eq!(world.outcome(&XMPP), found(&all));
    assert_eq!(world.questions(), [TLS, TCP, "A b.test", "AAAA b.test", "A a.test", "AAAA a.test"]);
    // Kept, and not as that of another service.
    assert_eq!(world.outcome(&XMPP), found(&all));
    assert_eq!(world.questions(), [""; 0]);
    assert_eq!(world.outcome(&OTHER), NOT_THERE);
    // Only one of them will do.
    let tls = ["tls:[2001:db8::1]:443", "tls:192.0.2.1:443", "tls:192.0.2.2:5223"];
    assert_eq!(world.outcome(&Wanted { transport: Some(Transport::Tls), ..XMPP }), found(&tls));
    let tcp = ["tcp:192.0.2.2:5222", "tcp:[2001:db8::1]:5222", "tcp:192.0.2.1:5222"];
    assert_eq!(world.outcome(&Wanted { transport: Some(Transport::Tcp), ..XMPP }), found(&tcp));
    world.configure(&[NS1], BOTH, PLAIN);
    assert_eq!(world.outcome(&XMPP), found(&tcp));
}

#[test]
fn equals_of_both_services_share_the_load_by_weight() {
    let mut world = World::new(zone(
        "_xmpps-client._tcp.other.test 1 SRV 5 30 5223 a.test
         _xmpp-client._tcp.other.test 1 SRV 5 10 5222 b.test
         a.test 1 A 192.0.2.1
         b.test 1 A 192.0.2.2",
    ));
    let mut tls_first = 0;
    for _ in 0..1000 {
        let order = world.outcome(&XMPP).unwrap();
        assert_eq!(order.len(), 2);
        tls_first += u32::from(order[0] == "tls:192.0.2.1:5223");
        world.resolver.flush();
    }
    assert!((700..800).contains(&tls_first), "{tls_first}");
}

#[test]
fn a_domain_without_services() {
    let mut world = World::new(zone("other.test 300 A 192.0.2.7"));
    assert_eq!(world.outcome(&XMPP), found(&["tcp:192.0.2.7:5222"]));
    assert_eq!(world.questions(), [TLS, TCP, "A other.test", "AAAA other.test"]);
    assert_eq!(world.outcome(&Wanted { transport: Some(Transport::Tcp), ..XMPP }), found(&["tcp:192.0.2.7:5222"]));
    assert_eq!(world.outcome(&Wanted { transport: Some(Transport::Tls), ..XMPP }), found(&["tls:192.0.2.7:5223"]));
    assert_eq!(world.outcome(&Wanted { transport: Some(Transport::Udp), ..XMPP }), NOT_THERE);
    world.configure(&[NS1], BOTH, PLAIN);
    assert_eq!(world.outcome(&XMPP), found(&["tcp:192.0.2.7:5222"]));
    assert_eq!(world.outcome(&Wanted { transport: Some(Transport::Tls), ..XMPP }), NOT_THERE);
}

#[test]
fn services_that_are_decidedly_not_there() {
    // Of neither sort: the domain's own address is not tried.
    let mut world = World::new(zone(
        "_xmpps-client._tcp.other.test 300 SRV 0 0 0 .
         _xmpp-client._tcp.other.test 300 SRV 0 0 0 .
         other.test 300 A 192.0.2.7",
    ));
    assert_eq!(world.outcome(&XMPP), NOT_THERE);
    assert_eq!(world.questions(), [TLS, TCP]);
    // TLS from the first byte is not there; of the other nothing is said.
    let no_tls = "_xmpps-client._tcp.other.test 300 SRV 0 0 0 .
         other.test 300 A 192.0.2.7";
    let mut world = World::new(zone(no_tls));
    assert_eq!(world.outcome(&XMPP), found(&["tcp:192.0.2.7:5222"]));
    assert_eq!(world.outcome(&Wanted { transport: Some(Transport::Tls), ..XMPP }), NOT_THERE);
    // Only that is there.
    let mut world = World::new(zone(
        "_xmpps-client._tcp.other.test 300 SRV 0 0 5223 a.test
         _xmpp-client._tcp.other.test 300 SRV 0 0 0 .
         a.test 300 A 192.0.2.1
         other.test 300 A 192.0.2.7",
    ));
    assert_eq!(world.outcome(&XMPP), found(&["tls:192.0.2.1:5223"]));
}

#[test]
fn servers_that_refuse_one_service() {
    let refuses = |what: &'static str| {
        let lines = "_xmpp-client._tcp.other.test 300 SRV 0 0 5222 a.test
             a.test 300 A 192.0.2.1
             other.test 300 A 192.0.2.7";
        World::new(move |asked: &Asked| {
            let rcode_2 = asked.text() == what;
            reply(asked, if rcode_2 { asked.response(2, &[], &[], &[]) } else { from_zone(asked, lines) })
        })
    };
    assert_eq!(refuses(TLS).outcome(&XMPP), found(&["tcp:192.0.2.1:5222"]));
    // The domain's own address would be a guess.
    assert_eq!(refuses(TCP).outcome(&XMPP), NO_ANSWER);
}

#[test]
fn addresses_that_came_along_belong_to_their_hosts() {
    let mut world = World::new(|asked: &Asked| {
        let (tls, tcp) = (
            "_xmpps-client._tcp.other.test 9 SRV 2 0 5223 a.test",
            "_xmpp-client._tcp.other.test 9 SRV 1 0 5222 b.test",
        );
        let a = "a.test 9 A 192.0.2.1";
        let bytes = match &*asked.text() {
            TLS => asked.response(0, &[tls], &[], &[a]),
            TCP => asked.response(0, &[tcp], &[], &["b.test 9 A 192.0.2.2", a]),
            _ => panic!("{}", asked.text()),
        };
        reply(asked, bytes)
    });
    world.configure(&[NS1], V4, ALL);
    assert_eq!(world.outcome(&XMPP), found(&["tcp:192.0.2.2:5222", "tls:192.0.2.1:5223"]));
}

#[test]
fn more_targets_than_are_tried() {
    let mut world = World::new(|asked: &Asked| {
        let records = |name: &str, priority: usize, port: u16| -> Vec<String> {
            (0..8).map(|i| format!("{name}.other.test 9 SRV {} 0 {port} h{i}.test", 2 * i + priority)).collect()
        };
        let records = match &*asked.text() {
            TLS => records("_xmpps-client._tcp", 0, 5223),
            TCP => records("_xmpp-client._tcp", 1, 5222),
            _ => vec![format!("{} 9 A 192.0.2.{}", asked.name, 10 + &asked.name[1..2].parse().unwrap())],
        };
        reply(asked, asked.response(0, &records.iter().map(String::as_str).collect::<Vec<_>>(), &[], &[]))
    });
    world.configure(&[NS1], V4, ALL);
    // The four best hosts, each by both.
    let best: Vec<String> =
        (10..14).flat_map(|i| [format!("tls:192.0.2.{i}:5223"), format!("tcp:192.0.2.{i}:5222")]).collect();
    assert_eq!(world.outcome(&XMPP), Ok(best));
}

#[test]
fn hosts_with_their_port() {
    let mut world = World::new(zone(
        "_xmpp-client._tcp.other.test 300 SRV 0 0 1 a.test
         other.test 300 NAPTR 1 1 s SIP+D2T _sip._tcp.other.test
         other.test 300 A 192.0.2.7",
    ));
    let host = Wanted { service: Service::Host, port: Some(6697), ..OTHER };
    let tls = Wanted { transport: Some(Transport::Tls), ..host };
    assert_eq!(world.outcome(&tls), found(&["tls:192.0.2.7:6697"]));
    assert_eq!(world.outcome(&host), found(&["tcp:192.0.2.7:6697"]));
    assert_eq!(world.outcome(&Wanted { port: Some(5222), ..XMPP }), found(&["tcp:192.0.2.7:5222"]));
    assert!(world.questions().iter().all(|question| question.ends_with(" other.test") && !question.starts_with('N')));
    assert_eq!(world.outcome(&Wanted { port: None, ..host }), NOT_THERE);
    world.configure(&[NS1], BOTH, PLAIN);
    assert_eq!(world.outcome(&tls), NOT_THERE);
}
