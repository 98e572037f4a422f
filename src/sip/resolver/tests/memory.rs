//! What is remembered for how long, what is shared, and what a full table does.

use super::*;

fn host(name: &str) -> Wanted<'_> {
    Wanted { service: Service::Sip, host: name.as_bytes(), port: Some(5060), transport: None, secure: false }
}

/// How long the outcome of `h.test` is kept, seconds.
fn kept_s(lines: &'static str) -> u64 {
    let mut world = World::new(zone(lines));
    world.configure(&[NS1], V4, ALL);
    let _ = world.outcome(&host("h.test"));
    let begun = world.now;
    while !matches!(world.locate(&host("h.test")), Located::Pending(_)) {
        world.now = world.now.plus(1000);
        assert!(world.now.since(begun) <= 3_600_000, "nothing is kept for longer than an hour");
    }
    world.now.since(begun) / 1000
}

#[test]
fn times_to_live() {
    assert_eq!(kept_s("h.test 77 A 192.0.2.1"), 77);
    assert_eq!(kept_s("h.test 77 A 192.0.2.1\nh.test 66 A 192.0.2.2"), 66);
    assert_eq!(kept_s("h.test 0 A 192.0.2.1"), 5);
    assert_eq!(kept_s("h.test 86400 A 192.0.2.1"), 3600);
    assert_eq!(kept_s("h.test 4294967295 A 192.0.2.1"), 5, "a negative time to live is none");
    // Not there, and for how long (RFC 2308 §5): the lesser of the SOA record's own and of its minimum.
    assert_eq!(kept_s("test 120 SOA 60"), 60);
    assert_eq!(kept_s("test 30 SOA 60"), 30);
    assert_eq!(kept_s("test 86400 SOA 86400"), 300);
    assert_eq!(kept_s("test 0 SOA 0"), 5);
    assert_eq!(kept_s("h.test 20 CNAME a.test\ntest 300 SOA 300"), 20, "no longer than the alias");
    assert_eq!(kept_s("x.test 9 A 192.0.2.1"), 5, "nothing says how long");
    assert_eq!(kept_s("h.test 60 AAAA 2001:db8::1\ntest 60 SOA 60"), 60, "the name is there, an address is not");
}

#[test]
fn an_outcome_is_kept_for_what_it_depends_on() {
    let mut world = World::new(zone("h.test 300 A 192.0.2.1\nh.test 300 AAAA 2001:db8::1"));
    let both = world.outcome(&host("h.test"));
    world.asked.clear();
    assert_eq!(world.outcome(&host("H.Test.")), both);
    assert_eq!(world.questions(), [""; 0]);
    assert_eq!(world.resolver.counters().hits, 1);
    let others = [
        Wanted { port: Some(5061), ..host("h.test") },
        Wanted { transport: Some(Transport::Tcp), ..host("h.test") },
        Wanted { secure: true, ..host("h.test") },
        Wanted { port: Some(0), ..host("h.test") },
        Wanted { port: None, ..host("h.test") },
    ];
    for other in others {
        assert!(matches!(world.locate(&other), Located::Pending(_)), "{other:?}");
        assert_ne!(world.run().1, Err(Failure::NoAnswer));
    }
    // We may have lost IPv6: what was kept does not hold for that, but holds again afterwards.
    world.resolver.flush();
    assert_eq!(world.outcome(&host("h.test")), both);
    world.configure(&[NS1], V4, ALL);
    assert_eq!(world.outcome(&host("h.test")), found(&["udp:192.0.2.1:5060"]));
    world.configure(&[NS1], BOTH, ALL);
    world.asked.clear();
    assert_eq!(world.outcome(&host("h.test")), both);
    assert_eq!(world.questions(), [""; 0]);
    world.resolver.flush();
    assert_eq!(world.resolver.usage(), (0, 0));
    assert!(matches!(world.locate(&host("h.test")), Located::Pending(_)));
}

#[test]
fn the_outcome_that_expires_first_gives_way() {
    let mut world = World::new(|asked: &Asked| {
        let number: usize = asked.name[1..].strip_suffix(".test").unwrap().parse().unwrap();
        let line = format!("{} {} A 192.0.2.1", asked.name, 100 + number);
        reply(asked, asked.response(0, &[&line], &[], &[]))
    });
    world.configure(&[NS1], V4, ALL);
    for i in 0..=DNS_NAMES {
        assert!(world.outcome(&host(&format!("h{i}.test"))).is_ok());
    }
    assert_eq!(world.resolver.usage(), (0, DNS_NAMES));
    world.asked.clear();
    for i in 1..=DNS_NAMES {
        assert!(world.outcome(&host(&format!("h{i}.test"))).is_ok());
    }
    assert_eq!(world.questions(), [""; 0]);
    assert!(world.outcome(&host("h0.test")).is_ok());
    assert_eq!(world.questions(), ["A h0.test"]);
}

#[test]
fn the_same_question_is_one_lookup() {
    let mut world = World::new(zone("h.test 300 A 192.0.2.1\ni.test 300 A 192.0.2.2"));
    world.configure(&[NS1], V4, ALL);
    let first = world.begin(&host("h.test"));
    assert_eq!(world.begin(&host("H.TEST")), first);
    let other = world.begin(&host("i.test"));
    assert_ne!(other, first);
    let mut outcomes = [world.run(), world.run()];
    outcomes.sort_by_key(|(handle, _)| handle.index());
    assert_eq!(outcomes.map(|(handle, _)| handle), [first, other]);
    assert!(world.resolver.finished(world.now).is_none() && world.resolver.is_at_rest());
    assert_eq!(world.questions(), ["A h.test", "A i.test"]);
}

#[test]
fn lookups_are_limited() {
    let mut world = World::new(|_| Reply::Silence);
    for i in 0..LOOKUPS {
        world.begin(&host(&format!("h{i}.test")));
    }
    assert_eq!(world.locate(&host("more.test")), Located::Failed(Failure::Busy));
    // Joining takes no room.
    world.begin(&host("h0.test"));
    for _ in 0..LOOKUPS {
        assert_eq!(world.run().1, Err(Failure::NoAnswer));
    }
    assert!(world.resolver.is_at_rest());
    world.begin(&host("more.test"));
}

#[test]
fn places_that_failed_come_last_for_a_minute() {
    let lines = "h.test 3600 A 192.0.2.1\nh.test 3600 A 192.0.2.2\nh.test 3600 A 192.0.2.3";
    let mut world = World::new(zone(lines));
    world.configure(&[NS1], V4, ALL);
    let order = |world: &mut World<'_>| -> Vec<char> {
        let places = world.outcome(&host("h.test")).unwrap();
        places.iter().map(|place| place.strip_suffix(":5060").unwrap().chars().last().unwrap()).collect()
    };
    let place = |last: u8| SocketAddr::from(([192, 0, 2, last], 5060));
    // Known to have failed before it is looked up, by another transport, and afterwards.
    world.resolver.report_failed(world.now, place(1), Transport::Udp);
    world.resolver.report_failed(world.now, place(2), Transport::Tcp);
    assert_eq!(order(&mut world), ['2', '3', '1']);
    world.now = world.now.plus(30_000);
    world.resolver.report_failed(world.now, place(2), Transport::Udp);
    assert_eq!(order(&mut world), ['3', '1', '2']);
    world.now = world.now.plus(30_000);
    assert_eq!(order(&mut world), ['1', '3', '2']);
    world.now = world.now.plus(30_000);
    assert_eq!(order(&mut world), ['1', '2', '3']);
    // More of them than are remembered: the first is forgotten.
    for last in (1..=1).chain(3..=19) {
        world.now = world.now.plus(1);
        world.resolver.report_failed(world.now, place(last), Transport::Udp);
    }
    assert_eq!(order(&mut world), ['1', '2', '3']);
    world.resolver.report_failed(world.now, place(1), Transport::Udp);
    assert_eq!(order(&mut world), ['2', '3', '1']);
    world.resolver.flush();
    assert_eq!(order(&mut world), ['1', '2', '3']);
}

#[test]
fn other_servers() {
    let mut world = World::new(|asked: &Asked| match asked.to == NS2.parse().unwrap() {
        true => reply(asked, from_zone(asked, "h.test 300 A 192.0.2.1")),
        false => Reply::Silence,
    });
    world.configure(&[NS1], V4, ALL);
    let h = host("h.test");
    let handle = world.begin(&h);
    world.drain(handle.index());
    assert_eq!(world.open[handle.index()], Some("socket"));
    // In the middle of an attempt.
    world.configure(&[NS2], V4, ALL);
    assert_eq!(world.begin(&Wanted { port: Some(1), ..h }).index(), 1);
    let now = world.now;
    assert_eq!(world.run().1.map(texts), found(&["udp:192.0.2.1:5060"]));
    assert!(world.run().1.is_ok());
    assert_eq!(world.now, now);
    // What began with other servers is not kept.
    assert!(matches!(world.locate(&h), Located::Pending(_)));
    assert!(world.run().1.is_ok());
    assert!(matches!(world.locate(&h), Located::Ready(_)));
    // The same servers: all is kept. Others: nothing.
    world.configure(&[NS2], V4, PLAIN);
    world.configure(&[NS2], V4, ALL);
    assert!(matches!(world.locate(&h), Located::Ready(_)));
    world.configure(&[NS1], V4, ALL);
    let handle = world.begin(&h);
    world.drain(handle.index());
    // None: what is under way ends, and nothing begins.
    world.configure(&[], V4, ALL);
    assert_eq!(world.run(), (handle, Err(Failure::NoServers)));
    assert_eq!(world.locate(&h), Located::Failed(Failure::NoServers));
    assert!(world.resolver.is_at_rest() && world.open == [None; LOOKUPS]);
}

#[test]
fn names_that_are_none() {
    let mut world = World::new(zone("h.test 300 A 192.0.2.1"));
    let long = "x".repeat(64);
    let longest = [&"x".repeat(63)[..], &"y".repeat(63), &"z".repeat(63), &"t".repeat(61)].join(".");
    for bad in ["", ".", "a..b", "h\u{e9}.test", "h test", &long, &format!("{longest}.a")] {
        assert_eq!(world.locate(&host(bad)), Located::Failed(Failure::BadName), "{bad}");
    }
    // A name so long that no service fits in front of it can only be a host.
    assert_eq!(world.outcome(&Wanted { port: None, ..host(&longest) }), NOT_THERE);
    assert_eq!(world.asked.len(), 3);
    let tcp = Wanted { port: None, transport: Some(Transport::Tcp), ..host(&longest) };
    assert_eq!(world.outcome(&tcp), NOT_THERE);
}

#[test]
fn an_empty_resolver_is_all_zero() {
    // A static one lives in .bss; what a table has not used yet is not looked at.
    assert_eq!(Resolver::new().usage(), (0, 0));
    assert!(Resolver::new().is_at_rest());
    let bytes: usize = Resolver::footprint().iter().map(|(_, _, bytes)| bytes).sum();
    assert_eq!(bytes, size_of::<Resolver>());
    println!("a resolver has {bytes} bytes, a lookup {}", size_of::<Lookup>());
}
