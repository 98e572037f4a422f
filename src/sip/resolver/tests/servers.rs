//! Name servers that are silent, refuse, cut their answers short, or know aliases only.

use super::*;

/// A question that takes one answer.
const H: Wanted<'static> =
    Wanted { service: Service::Sip, host: b"h.test", port: Some(5060), transport: None, secure: false };
const H_IS: &str = "h.test 300 A 192.0.2.1";

fn at_once() -> Result<Vec<String>, Failure> {
    found(&["udp:192.0.2.1:5060"])
}

fn from(asked: &Asked, server: &str) -> bool {
    asked.to == server.parse().unwrap()
}

fn one_family<'s>(servers: &[&str], server: impl FnMut(&Asked) -> Reply + 's) -> World<'s> {
    let mut world = World::new(server);
    world.configure(servers, V4, ALL);
    world
}

#[test]
fn silent_servers_are_asked_twice_each() {
    let mut world = one_family(&[NS1, NS2, NS3], |_| Reply::Silence);
    let begun = world.now;
    assert_eq!(world.outcome(&H), NO_ANSWER);
    assert_eq!(world.now.since(begun), 12_000);
    let asked: Vec<String> = world.asked.iter().map(|asked| asked.to.to_string()).collect();
    assert_eq!(asked, [NS1, NS2, NS3, NS1, NS2, NS3]);
    assert!(world.asked.iter().enumerate().all(|(i, asked)| asked.at.since(begun) == 2_000 * i as u64));
    let mut ids: Vec<u16> = world.asked.iter().map(|asked| asked.id).collect();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 6, "each attempt has an id of its own");
    // That nobody answered is not kept.
    assert!(matches!(world.locate(&H), Located::Pending(_)));
    assert_eq!(world.resolver.counters().timeouts, 6);

    let mut world = one_family(&[NS1], |_| Reply::Silence);
    assert_eq!(world.outcome(&OTHER), NO_ANSWER);
    assert_eq!(world.now.since(begun), 4_000);
}

#[test]
fn the_server_that_answers_is_asked_first() {
    let mut world = one_family(&[NS1, NS2], |asked: &Asked| match from(asked, NS2) {
        true => reply(asked, from_zone(asked, H_IS)),
        false => Reply::Silence,
    });
    let begun = world.now;
    assert_eq!(world.outcome(&Wanted { port: None, ..H }), at_once());
    // Of five questions only the first has waited.
    assert_eq!((world.now.since(begun), world.asked.len()), (2_000, 6));
}

#[test]
fn a_refusal_costs_no_time() {
    for rcode in [2, 5, 9] {
        let mut world = one_family(&[NS1, NS2], |asked: &Asked| match from(asked, NS2) {
            true => reply(asked, from_zone(asked, H_IS)),
            false => reply(asked, asked.response(rcode, &[], &[], &[])),
        });
        let begun = world.now;
        assert_eq!((world.outcome(&H), world.asked.len()), (at_once(), 2));
        assert_eq!((world.now, world.resolver.counters().refused), (begun, 1));
    }
    let mut world = one_family(&[NS1, NS2, NS3], |asked: &Asked| reply(asked, asked.response(2, &[], &[], &[])));
    let begun = world.now;
    assert_eq!((world.outcome(&H), world.asked.len(), world.now), (NO_ANSWER, 3, begun));
    assert!(matches!(world.locate(&H), Located::Pending(_)));
    assert_eq!(world.run().1, Err(Failure::NoAnswer));
    // One refuses, the other is silent: it is asked twice.
    let mut world = one_family(&[NS1, NS2], |asked: &Asked| match from(asked, NS1) {
        true => reply(asked, asked.response(5, &[], &[], &[])),
        false => Reply::Silence,
    });
    assert_eq!(world.outcome(&H), NO_ANSWER);
    let asked: Vec<String> = world.asked.iter().map(|asked| asked.to.to_string()).collect();
    assert_eq!(asked, [NS1, NS2, NS2]);
}

#[test]
fn refused_services() {
    // A server that can't do NAPTR knows the rest.
    let lines = "_sip._udp.other.test 9 SRV 0 0 5070 h.test\nother.test 9 A 192.0.2.99\nh.test 9 A 192.0.2.1";
    let unable = |kind: Kind| {
        move |asked: &Asked| match asked.kind == kind {
            true => reply(asked, asked.response(2, &[], &[], &[])),
            false => reply(asked, from_zone(asked, lines)),
        }
    };
    assert_eq!(one_family(&[NS1], unable(Kind::NAPTR)).outcome(&OTHER), found(&["udp:192.0.2.1:5070"]));
    // Without an answer about services it is not known that the host itself is one.
    assert_eq!(one_family(&[NS1], unable(Kind::SRV)).outcome(&OTHER), NO_ANSWER);
    assert_eq!(one_family(&[NS1], unable(Kind::A)).outcome(&OTHER), NO_ANSWER);
}

#[test]
fn one_host_that_is_refused_does_not_hide_the_other() {
    let lines = "_sip._udp.other.test 900 SRV 0 0 1 bad.test\n_sip._udp.other.test 900 SRV 1 0 2 h.test\nh.test 900 A 192.0.2.1";
    let mut world = one_family(&[NS1], |asked: &Asked| match asked.name == "bad.test" {
        true => reply(asked, asked.response(2, &[], &[], &[])),
        false => reply(asked, from_zone(asked, lines)),
    });
    let udp = Wanted { transport: Some(Transport::Udp), ..OTHER };
    assert_eq!(world.outcome(&udp), found(&["udp:192.0.2.1:2"]));
    // What was missing is asked for again soon.
    world.now = world.now.plus(60_000);
    assert!(matches!(world.locate(&udp), Located::Pending(_)));
}

#[test]
fn a_lame_server() {
    // It neither knows nor asks those that do.
    let mut world = one_family(&[NS1, NS2], |asked: &Asked| match from(asked, NS2) {
        true => reply(asked, from_zone(asked, H_IS)),
        false => {
            let mut bytes = asked.response(0, &[], &[], &[]);
            bytes[3] &= !0x80;
            reply(asked, bytes)
        }
    });
    assert_eq!(world.outcome(&H), at_once());
}

#[test]
fn a_server_without_edns() {
    for rcode in [1, 4] {
        let mut world = one_family(&[NS1], |asked: &Asked| match asked.has_edns {
            true if rcode == 1 => {
                let mut bytes = asked.response(rcode, &[], &[], &[]);
                // Some do not even repeat the question.
                bytes.truncate(12);
                bytes[5] = 0;
                reply(asked, bytes)
            }
            true => reply(asked, asked.response(rcode, &[], &[], &[])),
            false => reply(asked, from_zone(asked, H_IS)),
        });
        assert_eq!((world.outcome(&H), world.asked.len()), (at_once(), 2));
    }
    let mut world = one_family(&[NS1], |asked: &Asked| reply(asked, asked.response(1, &[], &[], &[])));
    assert_eq!((world.outcome(&H), world.asked.len()), (NO_ANSWER, 2));
}

#[test]
fn a_family_that_is_not_answered() {
    let server = |asked: &Asked| match asked.kind == Kind::AAAA {
        true => Reply::Silence,
        false => reply(asked, from_zone(asked, H_IS)),
    };
    let mut world = World::new(server);
    let begun = world.now;
    assert_eq!(world.outcome(&H), at_once());
    assert_eq!(world.now.since(begun), 2_000);
    // Kept for a minute, so that not each request waits.
    world.now = world.now.plus(59_999);
    assert!(matches!(world.locate(&H), Located::Ready(_)));
    world.now = world.now.plus(1);
    assert!(matches!(world.locate(&H), Located::Pending(_)));
}

#[test]
fn sockets_that_do_not_open() {
    let mut world = one_family(&[NS1, NS2], zone(H_IS));
    world.can_open = false;
    let begun = world.now;
    assert_eq!((world.outcome(&H), world.now, world.asked.len()), (NO_ANSWER, begun, 0));
    world.can_open = true;
    assert_eq!(world.outcome(&H), at_once());
}

// Over TCP.

fn truncated(asked: &Asked) -> Reply {
    // Cut in the middle of a record.
    let mut bytes = asked.response(0, &[H_IS], &[], &[]);
    bytes[2] |= 2;
    bytes.truncate(bytes.len() - 3);
    reply(asked, bytes)
}

#[test]
fn truncated_answers_come_by_tcp() {
    for chunk in [1, 2, 3, 7, 1000] {
        let mut world = one_family(&[NS1], |asked: &Asked| match asked.is_stream {
            false => truncated(asked),
            true => reply(asked, from_zone(asked, H_IS)),
        });
        world.chunk = chunk;
        assert_eq!((world.outcome(&H), world.asked.len()), (at_once(), 2));
        assert!(world.asked[1].is_stream && world.asked[1].id != world.asked[0].id);
        assert_eq!(world.resolver.counters().truncated, 1);
    }
}

#[test]
fn streams_that_fail() {
    let broken: [fn(&Asked) -> Reply; 6] = [
        |_| Reply::Reset,
        |_| Reply::Silence,
        // Half an answer.
        |asked| Reply::From(vec![(asked.to, asked.response(0, &[H_IS], &[], &[])[..20].to_vec())]),
        // Of another question.
        |asked| reply(asked, Asked { id: !asked.id, query: vec![0; 20], ..asked.clone() }.query),
        // Longer than anything.
        |asked| reply(asked, vec![0; 40_000]),
        |asked| reply(asked, Vec::new()),
    ];
    for (i, broken) in broken.into_iter().enumerate() {
        let mut world = one_family(&[NS1, NS2], |asked: &Asked| match (asked.is_stream, from(asked, NS2)) {
            (false, _) => truncated(asked),
            (true, false) => broken(asked),
            (true, true) => reply(asked, from_zone(asked, H_IS)),
        });
        assert_eq!((world.outcome(&H), world.asked.len()), (at_once(), 4), "{i}");
    }
    let mut world = one_family(&[NS1], |asked: &Asked| if asked.is_stream { Reply::Reset } else { truncated(asked) });
    assert_eq!((world.outcome(&H), world.asked.len()), (NO_ANSWER, 4));
    // Truncated even there: what can be read counts.
    let mut world = one_family(&[NS1], |asked: &Asked| match asked.is_stream {
        false => truncated(asked),
        true => {
            let mut bytes = from_zone(asked, H_IS);
            bytes[2] |= 2;
            reply(asked, bytes)
        }
    });
    assert_eq!(world.outcome(&H), at_once());
}

// Aliases.

#[test]
fn aliases() {
    const CHAIN: &str = "h.test 300 CNAME a.test\na.test 300 CNAME b.test\nb.test 300 A 192.0.2.1";
    let mut world = one_family(&[NS1], zone(CHAIN));
    assert_eq!((world.outcome(&H), world.asked.len()), (at_once(), 1));
    // A server that leaves the rest to us.
    let one_link = |asked: &Asked| {
        let line = CHAIN.lines().find(|line| line.starts_with(&format!("{} ", asked.name))).unwrap();
        reply(asked, asked.response(0, &[line], &[], &[]))
    };
    let mut world = one_family(&[NS1], one_link);
    assert_eq!(world.outcome(&H), at_once());
    assert_eq!(world.questions(), ["A h.test", "A a.test", "A b.test"]);
    // Records of other names in the answer are nobody's.
    let mut world = one_family(&[NS1], |asked: &Asked| {
        let answer = ["h.test 300 CNAME a.test", "a.test 300 A 192.0.2.1", "b.test 300 A 192.0.2.66"];
        reply(asked, asked.response(0, &answer, &[], &[]))
    });
    assert_eq!(world.outcome(&H), at_once());
}

#[test]
fn the_shortest_alias_counts() {
    for is_lazy in [false, true] {
        let lines = ["h.test 20 CNAME a.test", "a.test 300 A 192.0.2.1"];
        let mut world = one_family(&[NS1], |asked: &Asked| match (is_lazy, asked.name.as_str()) {
            (false, _) => reply(asked, asked.response(0, &lines, &[], &[])),
            (true, "h.test") => reply(asked, asked.response(0, &lines[..1], &[], &[])),
            (true, _) => reply(asked, asked.response(0, &lines[1..], &[], &[])),
        });
        assert_eq!(world.outcome(&H), at_once());
        world.now = world.now.plus(19_999);
        assert!(matches!(world.locate(&H), Located::Ready(_)));
        world.now = world.now.plus(1);
        assert!(matches!(world.locate(&H), Located::Pending(_)));
    }
}

#[test]
fn aliases_that_lead_nowhere() {
    let loops = ["h.test 9 CNAME h.test", "h.test 9 CNAME a.test\na.test 9 CNAME h.test"];
    for lines in loops {
        let mut world = one_family(&[NS1], |asked: &Asked| {
            let lines: Vec<&str> = lines.lines().collect();
            reply(asked, asked.response(0, &lines, &[], &[]))
        });
        assert_eq!((world.outcome(&H), world.asked.len()), (NOT_THERE, 1));
        // The same, link by link.
        let mut world = one_family(&[NS1], |asked: &Asked| {
            let line = lines.lines().find(|line| line.starts_with(&format!("{} ", asked.name))).unwrap();
            reply(asked, asked.response(0, &[line], &[], &[]))
        });
        assert_eq!(world.outcome(&H), NOT_THERE);
        assert!(world.asked.len() <= 9);
    }
    // Always another name: eight links are followed, no more.
    for links in [8, 9] {
        let mut world = one_family(&[NS1], |asked: &Asked| {
            let number: usize =
                asked.name.strip_prefix('h').unwrap().strip_suffix(".test").unwrap().parse().unwrap_or(0);
            let line = match number == links {
                true => format!("{} 9 A 192.0.2.1", asked.name),
                false => format!("{} 9 CNAME h{}.test", asked.name, number + 1),
            };
            reply(asked, asked.response(0, &[&line], &[], &[]))
        });
        assert_eq!(world.outcome(&H), if links == 8 { at_once() } else { NOT_THERE });
        assert_eq!(world.asked.len(), 9);
    }
    // Its end does not exist.
    for rcode in [0, 3] {
        let mut world = one_family(&[NS1], |asked: &Asked| {
            reply(asked, asked.response(rcode, &["h.test 9 CNAME a.test"], &["test 9 SOA 9"], &[]))
        });
        assert_eq!((world.outcome(&H), world.asked.len()), (NOT_THERE, 1));
    }
}
