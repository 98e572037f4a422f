//! What is asked, and in which order the places come: RFC 3263 §4, RFC 2782.

use super::*;

/// The records of RFC 3263 §4.1, as good as.
const SERVICES: &str = "
    other.test 300 NAPTR 90 50 s SIP+D2T _sip._tcp.other.test
    other.test 300 NAPTR 50 50 S sips+d2t _sips._tcp.other.test
    other.test 300 NAPTR 100 50 s SIP+D2U _sip._udp.other.test
    other.test 300 NAPTR 10 50 s SIP+D2S _sip._sctp.other.test
    other.test 300 NAPTR 10 50 u E2U+sip x.other.test
    _sips._tcp.other.test 300 SRV 0 1 5061 server1.other.test
    _sips._tcp.other.test 300 SRV 1 1 5071 server2.other.test
    _sip._tcp.other.test 300 SRV 0 1 5060 server1.other.test
    _sip._udp.other.test 300 SRV 0 1 5062 server2.other.test
    server1.other.test 300 A 192.0.2.1
    server1.other.test 300 AAAA 2001:db8::1
    server2.other.test 300 A 192.0.2.2
    server2.other.test 300 A 192.0.2.3
    server2.other.test 300 AAAA 2001:db8::2";

#[test]
fn services_by_order() {
    let mut world = World::new(zone(SERVICES));
    // TLS is liked best, and there is such a server: the others don't count.
    let tls = found(&[
        "tls:[2001:db8::1]:5061",
        "tls:192.0.2.1:5061",
        "tls:[2001:db8::2]:5071",
        "tls:192.0.2.2:5071",
        "tls:192.0.2.3:5071",
    ]);
    assert_eq!(world.outcome(&OTHER), tls);
    assert_eq!(
        world.questions(),
        [
            "NAPTR other.test",
            "SRV _sips._tcp.other.test",
            "A server1.other.test",
            "AAAA server1.other.test",
            "A server2.other.test",
            "AAAA server2.other.test",
        ]
    );
    assert_eq!(world.outcome(&Wanted { secure: true, ..OTHER }), tls);
    // Without TLS, TCP comes next.
    world.configure(&[NS1], V4, PLAIN);
    assert_eq!(world.outcome(&OTHER), found(&["tcp:192.0.2.1:5060"]));
    world.configure(&[NS1], V4, Offered { udp: true, ..Offered::default() });
    assert_eq!(world.outcome(&OTHER), found(&["udp:192.0.2.2:5062", "udp:192.0.2.3:5062"]));
    // A sips URI goes nowhere then.
    world.asked.clear();
    assert_eq!(world.outcome(&Wanted { secure: true, ..OTHER }), NOT_THERE);
    assert_eq!(world.questions(), [""; 0]);
}

#[test]
fn services_by_preference_share_hosts() {
    let mut world = World::new(zone(
        "other.test 300 NAPTR 5 20 s SIP+D2U _sip._udp.other.test
         other.test 300 NAPTR 5 10 s SIP+D2T _sip._tcp.other.test
         other.test 300 NAPTR 6 10 s SIPS+D2T _sips._tcp.other.test
         _sip._tcp.other.test 300 SRV 0 0 5060 sip.other.test
         _sip._udp.other.test 300 SRV 0 0 5060 SIP.other.test
         sip.other.test 300 A 192.0.2.1",
    ));
    assert_eq!(world.outcome(&OTHER), found(&["tcp:192.0.2.1:5060", "udp:192.0.2.1:5060"]));
    let asked = ["NAPTR other.test", "SRV _sip._tcp.other.test", "A sip.other.test", "AAAA sip.other.test"];
    assert_eq!(world.questions(), [&asked[..], &["SRV _sip._udp.other.test"]].concat());
}

#[test]
fn a_higher_order_when_the_lower_leads_nowhere() {
    let mut world = World::new(zone(
        "other.test 300 NAPTR 1 1 s SIPS+D2T _sips._tcp.other.test
         other.test 300 NAPTR 2 1 s SIP+D2U udp.other.test
         udp.other.test 300 SRV 0 0 5080 sip.other.test
         sip.other.test 300 A 192.0.2.1",
    ));
    assert_eq!(world.outcome(&OTHER), found(&["udp:192.0.2.1:5080"]));
}

#[test]
fn services_without_naptr() {
    let zone_of = "
        _sip._udp.other.test 300 SRV 0 0 5070 sip.other.test
        _sips._tcp.other.test 300 SRV 0 0 5071 sip.other.test
        sip.other.test 300 A 192.0.2.1
        other.test 300 A 192.0.2.99";
    let mut world = World::new(zone(zone_of));
    world.configure(&[NS1], V4, ALL);
    assert_eq!(world.outcome(&OTHER), found(&["udp:192.0.2.1:5070", "tls:192.0.2.1:5071"]));
    let asked = ["NAPTR other.test", "SRV _sip._udp.other.test", "A sip.other.test", "SRV _sip._tcp.other.test"];
    assert_eq!(world.questions(), [&asked[..], &["SRV _sips._tcp.other.test"]].concat());
    // sips asks for nothing else.
    assert_eq!(world.outcome(&Wanted { secure: true, ..OTHER }), found(&["tls:192.0.2.1:5071"]));
    assert_eq!(world.questions(), ["NAPTR other.test", "SRV _sips._tcp.other.test", "A sip.other.test"]);
}

#[test]
fn an_explicit_transport_skips_naptr() {
    let mut world = World::new(zone(SERVICES));
    world.configure(&[NS1], V4, ALL);
    let by = |transport| Wanted { transport: Some(transport), ..OTHER };
    assert_eq!(world.outcome(&by(Transport::Udp)), found(&["udp:192.0.2.2:5062", "udp:192.0.2.3:5062"]));
    assert_eq!(world.questions(), ["SRV _sip._udp.other.test", "A server2.other.test"]);
    assert_eq!(world.outcome(&by(Transport::Tcp)), found(&["tcp:192.0.2.1:5060"]));
    let tls = found(&["tls:192.0.2.1:5061", "tls:192.0.2.2:5071", "tls:192.0.2.3:5071"]);
    assert_eq!(world.outcome(&by(Transport::Tls)), tls);
    // sips with transport=tcp is TLS; with udp there is no such thing.
    assert_eq!(world.outcome(&Wanted { secure: true, ..by(Transport::Tcp) }), tls);
    assert_eq!(world.outcome(&Wanted { secure: true, ..by(Transport::Udp) }), NOT_THERE);
    world.configure(&[NS1], V4, PLAIN);
    assert_eq!(world.outcome(&by(Transport::Tls)), NOT_THERE);
}

#[test]
fn a_port_skips_everything_but_addresses() {
    let mut world = World::new(zone("other.test 300 A 192.0.2.1\nother.test 300 AAAA 2001:db8::1"));
    let at = Wanted { port: Some(5080), ..OTHER };
    assert_eq!(world.outcome(&at), found(&["udp:[2001:db8::1]:5080", "udp:192.0.2.1:5080"]));
    assert_eq!(world.questions(), ["A other.test", "AAAA other.test"]);
    let tcp = Wanted { transport: Some(Transport::Tcp), ..at };
    assert_eq!(world.outcome(&tcp), found(&["tcp:[2001:db8::1]:5080", "tcp:192.0.2.1:5080"]));
    let sips = Wanted { secure: true, ..at };
    assert_eq!(world.outcome(&sips), found(&["tls:[2001:db8::1]:5080", "tls:192.0.2.1:5080"]));
}

#[test]
fn without_services_the_host_itself() {
    let mut world = World::new(zone("other.test 300 A 192.0.2.1"));
    world.configure(&[NS1], Families { v4: true, v6: false }, ALL);
    assert_eq!(world.outcome(&OTHER), found(&["udp:192.0.2.1:5060"]));
    assert_eq!(world.asked.len(), 5);
    assert_eq!(world.outcome(&Wanted { secure: true, ..OTHER }), found(&["tls:192.0.2.1:5061"]));
    let tcp = Wanted { transport: Some(Transport::Tcp), ..OTHER };
    assert_eq!(world.outcome(&tcp), found(&["tcp:192.0.2.1:5060"]));
    world.configure(&[NS1], V4, Offered { tcp: true, ..Offered::default() });
    assert_eq!(world.outcome(&OTHER), found(&["tcp:192.0.2.1:5060"]));
    // The transport that NAPTR names, when its SRV record is missing.
    let mut world = World::new(zone("other.test 9 A 192.0.2.1\nother.test 9 NAPTR 1 1 s SIP+D2T _sip._tcp.other.test"));
    assert_eq!(world.outcome(&OTHER), found(&["tcp:192.0.2.1:5060"]));
}

#[test]
fn a_service_that_is_decidedly_not_there() {
    let lines = "_sip._udp.other.test 300 SRV 0 0 0 .\nother.test 300 A 192.0.2.1";
    let mut world = World::new(zone(lines));
    assert_eq!(world.outcome(&OTHER), NOT_THERE);
    assert_eq!(world.outcome(&Wanted { transport: Some(Transport::Udp), ..OTHER }), NOT_THERE);
    let tcp = Wanted { transport: Some(Transport::Tcp), ..OTHER };
    assert_eq!(world.outcome(&tcp), found(&["tcp:192.0.2.1:5060"]));
}

#[test]
fn families() {
    let lines = "h.test 300 A 192.0.2.1\nh.test 300 A 192.0.2.2\nh.test 300 A 192.0.2.3\nh.test 300 AAAA 2001:db8::1";
    let at = Wanted { host: b"h.test", port: Some(1), ..OTHER };
    let mut world = World::new(zone(lines));
    let both = ["udp:[2001:db8::1]:1", "udp:192.0.2.1:1", "udp:192.0.2.2:1", "udp:192.0.2.3:1"];
    assert_eq!(world.outcome(&at), found(&both));
    world.configure(&[NS1], Families { v4: false, v6: true }, ALL);
    assert_eq!(world.outcome(&at), found(&both[..1]));
    world.configure(&[NS1], V4, ALL);
    assert_eq!(world.outcome(&at), found(&both[1..]));
    world.configure(&[NS1], Families::default(), ALL);
    assert_eq!(world.outcome(&at), NOT_THERE);
    world.configure(&[NS1], BOTH, Offered::default());
    assert_eq!(world.outcome(&at), NOT_THERE);
}

#[test]
fn addresses_nobody_is_at() {
    let lines = "h.test 300 A 0.0.0.0\nh.test 300 A 239.1.1.1\nh.test 300 A 255.255.255.255\nh.test 300 AAAA ::\n\
        h.test 300 AAAA ff02::1\nh.test 300 AAAA ::ffff:192.0.2.1";
    let mut world = World::new(zone(lines));
    assert_eq!(world.outcome(&Wanted { host: b"h.test", port: Some(1), ..OTHER }), NOT_THERE);
}

#[test]
fn priorities_and_weights() {
    let lines = "_sip._udp.other.test 300 SRV 20 0 5 e.test
        _sip._udp.other.test 300 SRV 10 60 1 a.test
        _sip._udp.other.test 300 SRV 10 0 4 d.test
        _sip._udp.other.test 300 SRV 10 30 2 b.test
        _sip._udp.other.test 300 SRV 10 10 3 c.test
        a.test 300 A 192.0.2.1\nb.test 300 A 192.0.2.2\nc.test 300 A 192.0.2.3
        d.test 300 A 192.0.2.4\ne.test 300 A 192.0.2.5";
    let mut world = World::new(zone(lines));
    world.configure(&[NS1], V4, ALL);
    let mut first = [0; 5];
    for _ in 0..2000 {
        world.resolver.flush();
        let order = world.outcome(&Wanted { transport: Some(Transport::Udp), ..OTHER }).unwrap();
        let ports: Vec<usize> = order.iter().map(|text| text.rsplit(':').next().unwrap().parse().unwrap()).collect();
        assert_eq!((ports.len(), ports[4]), (5, 5));
        first[ports[0] - 1] += 1;
    }
    // 60, 30, 10 and next to nothing of a hundred.
    let near = |count: i32, share: i32| (count - share).abs() < 120;
    assert!(near(first[0], 1188) && near(first[1], 594) && near(first[2], 198), "{first:?}");
    assert!(first[3] > 0 && first[3] < 60 && first[4] == 0, "{first:?}");
}

#[test]
fn more_targets_than_room() {
    let mut lines = String::new();
    for i in 0..40 {
        lines += &format!("_sip._udp.other.test 300 SRV {} 0 {} h{i}.test\n", 100 - i, 6000 + i);
        lines += &format!("h{i}.test 300 A 192.0.2.{i}\n");
    }
    let mut world = World::new(|asked: &Asked| reply(asked, from_zone(asked, &lines)));
    world.configure(&[NS1], V4, ALL);
    let best: Vec<String> = (32..40).rev().map(|i| format!("udp:192.0.2.{i}:{}", 6000 + i)).collect();
    assert_eq!(world.outcome(&Wanted { transport: Some(Transport::Udp), ..OTHER }), Ok(best));
}

#[test]
fn additional_addresses_save_questions() {
    let server = |asked: &Asked| match asked.kind {
        Kind::SRV => reply(
            asked,
            asked.response(
                0,
                &["_sip._udp.other.test 300 SRV 0 0 5060 a.test", "_sip._udp.other.test 300 SRV 1 0 5060 b.test"],
                &[],
                // The last one was not asked about.
                &[
                    "A.test 300 A 192.0.2.1",
                    "b.test 300 A 192.0.2.2",
                    "b.test 30 AAAA 2001:db8::2",
                    "c.test 9 A 192.0.2.66",
                ],
            ),
        ),
        _ => reply(asked, asked.response(0, &[], &[], &["b.test 300 A 192.0.2.66"])),
    };
    let mut world = World::new(server);
    let udp = Wanted { transport: Some(Transport::Udp), ..OTHER };
    assert_eq!(world.outcome(&udp), found(&["udp:192.0.2.1:5060", "udp:[2001:db8::2]:5060", "udp:192.0.2.2:5060"]));
    assert_eq!(world.questions(), ["SRV _sip._udp.other.test", "AAAA a.test"]);
    // Kept no longer than the shortest of them.
    world.now = world.now.plus(29_999);
    assert_eq!(world.outcome(&udp).map(|places| places.len()), Ok(3));
    assert_eq!(world.questions(), [""; 0]);
    world.now = world.now.plus(1);
    assert_eq!(world.outcome(&udp).map(|places| places.len()), Ok(3));
    assert_eq!(world.asked.len(), 2);
}

#[test]
fn additional_addresses_of_a_host_that_was_asked_for() {
    // The host of the second service has told its addresses already: others that come along are not believed.
    let mut world = World::new(|asked: &Asked| match (asked.kind, asked.name.as_str()) {
        (Kind::SRV, "_sip._tcp.other.test") => {
            let answer =
                ["_sip._tcp.other.test 300 SRV 0 0 5060 h.test", "_sip._tcp.other.test 300 SRV 1 0 5060 i.test"];
            let additional = ["h.test 300 A 192.0.2.66", "h.test 300 AAAA 2001:db8::66", "i.test 300 A 192.0.2.2"];
            reply(asked, asked.response(0, &answer, &[], &additional))
        }
        _ => reply(asked, from_zone(asked, "_sip._udp.other.test 300 SRV 0 0 5060 h.test\nh.test 300 A 192.0.2.1")),
    });
    world.configure(&[NS1], BOTH, PLAIN);
    assert_eq!(world.outcome(&OTHER), found(&["udp:192.0.2.1:5060", "tcp:192.0.2.1:5060", "tcp:192.0.2.2:5060"]));
}
