//! Forged answers, answers made to cost, and whatever else may come.

use super::*;

const H: Wanted<'static> =
    Wanted { service: Service::Sip, host: b"h.test", port: Some(5060), transport: None, secure: false };
const H_IS: &str = "h.test 300 A 192.0.2.1";
const FORGED: &str = "h.test 300 A 192.0.2.66";

fn world<'s>(server: impl FnMut(&Asked) -> Reply + 's) -> World<'s> {
    let mut world = World::new(server);
    world.configure(&[NS1], V4, ALL);
    world
}

/// What somebody sends who can't read our queries.
fn forgeries(asked: &Asked) -> Vec<(SocketAddr, Vec<u8>)> {
    let good = || asked.response(0, &[FORGED], &[], &[]);
    let with = |at: usize, byte: u8| {
        let mut bytes = good();
        bytes[at] ^= byte;
        (asked.to, bytes)
    };
    let end = asked.query.len() - if asked.has_edns { 11 } else { 0 };
    vec![
        (SocketAddr::new(asked.to.ip(), 5353), good()),
        ("192.0.2.66:53".parse().unwrap(), good()),
        ("[::1]:53".parse().unwrap(), good()),
        with(0, 1),
        with(1, 0x80),
        // A query, another operation, no question, another name, type, class.
        with(2, 0x80),
        with(2, 0x28),
        with(5, 1),
        with(13, 2),
        with(end - 3, 0x1c ^ 1),
        with(end - 1, 2),
        (asked.to, Vec::new()),
        (asked.to, asked.query.clone()),
        (asked.to, vec![0xff; 1500]),
        (asked.to, good()[..13].to_vec()),
    ]
}

#[test]
fn forged_answers_are_not_looked_at() {
    let mut count = 0;
    let mut world = world(|asked: &Asked| {
        let mut all = forgeries(asked);
        count = all.len();
        all.push((asked.to, from_zone(asked, H_IS)));
        // Afterwards there is nobody to hear it.
        all.push((asked.to, asked.response(0, &[FORGED], &[], &[])));
        Reply::From(all)
    });
    let begun = world.now;
    assert_eq!(world.outcome(&H), found(&["udp:192.0.2.1:5060"]));
    assert_eq!((world.now, world.asked.len()), (begun, 1));
    let wrong = world.resolver.counters().wrong;
    drop(world);
    assert_eq!(wrong, count as u64 + 1);
}

#[test]
fn an_ipv4_server_may_answer_as_mapped() {
    let mut world = world(|asked: &Asked| {
        let SocketAddr::V4(to) = asked.to else { panic!() };
        Reply::From(vec![(SocketAddr::new(to.ip().to_ipv6_mapped().into(), 53), from_zone(asked, H_IS))])
    });
    assert_eq!(world.outcome(&H), found(&["udp:192.0.2.1:5060"]));
}

#[test]
fn guessing_ids_ends_with_the_socket() {
    let guesses = |asked: &Asked, count: u16| -> Vec<(SocketAddr, Vec<u8>)> {
        let guess = |i: u16| {
            let mut bytes = asked.response(0, &[FORGED], &[], &[]);
            bytes[..2].copy_from_slice(&asked.id.wrapping_add(i).to_be_bytes());
            (asked.to, bytes)
        };
        (1..=count).map(guess).collect()
    };
    // One less than too many.
    let mut patient = world(|asked: &Asked| {
        let mut all = guesses(asked, 15);
        all.push((asked.to, from_zone(asked, H_IS)));
        Reply::From(all)
    });
    assert_eq!((patient.outcome(&H), patient.asked.len()), (found(&["udp:192.0.2.1:5060"]), 1));
    // One more is too many.
    let mut attempts = 0;
    let mut strict = world(|asked: &Asked| {
        attempts += 1;
        let mut all = guesses(asked, if attempts == 1 { 16 } else { 0 });
        all.push((asked.to, from_zone(asked, H_IS)));
        Reply::From(all)
    });
    assert_eq!((strict.outcome(&H), strict.asked.len()), (found(&["udp:192.0.2.1:5060"]), 2));
    // The true answer comes too late for the first socket; all 65,536 guesses on it find nobody.
    let mut attempts = 0;
    let mut flooded = world(|asked: &Asked| {
        attempts += 1;
        let mut all = if attempts == 1 { guesses(asked, u16::MAX) } else { Vec::new() };
        all.push((asked.to, from_zone(asked, H_IS)));
        Reply::From(all)
    });
    assert_eq!((flooded.outcome(&H), flooded.asked.len()), (found(&["udp:192.0.2.1:5060"]), 2));
    // Always: it gives up.
    let mut lost = world(|asked: &Asked| Reply::From(guesses(asked, 100)));
    assert_eq!((lost.outcome(&H), lost.asked.len()), (NO_ANSWER, 2));
}

#[test]
fn answers_that_can_not_be_read() {
    let spoil: [fn(&Asked) -> Vec<u8>; 6] = [
        // A record too few, and one cut short.
        |asked| {
            let mut bytes = from_zone(asked, H_IS);
            bytes[7] = 2;
            bytes
        },
        |asked| {
            let bytes = from_zone(asked, H_IS);
            bytes[..bytes.len() - 1].to_vec()
        },
        // An address of three bytes.
        |asked| {
            let mut bytes = from_zone(asked, H_IS);
            let len = bytes.len();
            bytes[len - 5] = 3;
            bytes
        },
        // An owner that points at itself.
        |asked| {
            let mut bytes = asked.response(0, &[], &[], &[]);
            bytes[7] = 1;
            let at = bytes.len() as u8;
            bytes.extend([0xc0, at, 0, 1, 0, 1, 0, 0, 0, 9, 0, 4, 192, 0, 2, 66]);
            bytes
        },
        // A target behind more pointers than any name needs.
        |asked| {
            let mut bytes = asked.response(0, &[], &[], &[]);
            bytes[7] = 1;
            bytes.extend(wire("h.test"));
            bytes.extend([0, 16, 0, 1, 0, 0, 0, 9, 0, 80]);
            let mut last = bytes.len() as u8;
            bytes.extend([0, 0]);
            for _ in 0..39 {
                let at = bytes.len() as u8;
                bytes.extend([0xc0, last]);
                last = at;
            }
            bytes[7] = 2;
            bytes.extend([0xc0, last, 0, 1, 0, 1, 0, 0, 0, 9, 0, 4, 192, 0, 2, 66]);
            bytes
        },
        // Sixty-five thousand records in no room.
        |asked| {
            let mut bytes = asked.response(0, &[], &[], &[]);
            bytes[6..12].fill(0xff);
            bytes
        },
    ];
    for (i, spoil) in spoil.into_iter().enumerate() {
        let mut first = true;
        let mut world = world(|asked: &Asked| match core::mem::take(&mut first) {
            true => reply(asked, spoil(asked)),
            false => reply(asked, from_zone(asked, H_IS)),
        });
        world.configure(&[NS1, NS2], V4, ALL);
        assert_eq!((world.outcome(&H), world.asked.len()), (found(&["udp:192.0.2.1:5060"]), 2), "{i}");
        assert_eq!(world.resolver.counters().refused, 1, "{i}");
    }
}

#[test]
fn oversized_answers() {
    // As many records as a datagram holds, all of them good: the first few are taken.
    let mut world = world(|asked: &Asked| {
        let mut bytes = asked.response(0, &[], &[], &[]);
        bytes[6..8].copy_from_slice(&4000u16.to_be_bytes());
        for i in 0..4000u16 {
            let [high, low] = i.to_be_bytes();
            bytes.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 9, 0, 4, 10, 0, high, low]);
        }
        reply(asked, bytes)
    });
    let begun = Stopwatch::now();
    assert_eq!(
        world.outcome(&H),
        found(&["udp:10.0.0.0:5060", "udp:10.0.0.1:5060", "udp:10.0.0.2:5060", "udp:10.0.0.3:5060"])
    );
    assert!(begun.elapsed().as_millis() < 500, "64 KB took {} ms", begun.elapsed().as_millis());
}

#[test]
fn work_is_bounded() {
    // Whatever is asked leads to more questions.
    let endless = |asked: &Asked| {
        let owner = &asked.name;
        let lines: Vec<String> = match asked.kind {
            Kind::NAPTR => (0..9).map(|i| format!("{owner} 9 NAPTR 1 {i} s SIP+D2U s{i}.test")).collect(),
            Kind::SRV => (0..9).map(|i| format!("{owner} 9 SRV {i} 0 5060 h{i}.{owner}")).collect(),
            _ => vec![format!("{owner} 9 CNAME x.{owner}")],
        };
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        reply(asked, asked.response(0, &lines, &[], &[]))
    };
    let mut world = World::new(endless);
    assert_eq!((world.outcome(&OTHER), world.asked.len()), (NO_ANSWER, usize::from(QUERIES)));
    // The last query is refused, or truncated, or not understood: there is no other.
    for (flags, rcode) in [(0, 5), (2, 0), (0, 1)] {
        let mut turn = 0;
        let mut world = World::new(|asked: &Asked| {
            turn += 1;
            if turn < QUERIES {
                return endless(asked);
            }
            let mut bytes = asked.response(rcode, &[], &[], &[]);
            bytes[2] |= flags;
            reply(asked, bytes)
        });
        world.configure(&[NS1, NS2, NS3], BOTH, ALL);
        assert_eq!((world.outcome(&OTHER), world.asked.len()), (NO_ANSWER, usize::from(QUERIES)));
    }
    // The same, and every answer just in time.
    let mut turn = 0;
    let mut world = World::new(|asked: &Asked| {
        turn += 1;
        if turn % 2 == 0 { Reply::Silence } else { endless(asked) }
    });
    let begun = world.now;
    assert_eq!(world.outcome(&OTHER), NO_ANSWER);
    assert!(world.now.since(begun) <= LOOKUP_MS && world.asked.len() <= usize::from(QUERIES));
}

#[test]
fn inputs_out_of_turn() {
    let mut world = world(zone(H_IS));
    let (now, from) = (world.now, NS1.parse().unwrap());
    let everything = |resolver: &mut Resolver, lookup: usize| {
        resolver.received(now, lookup, from, b"");
        assert_eq!(resolver.stream_received(now, lookup, b"\x00\x01"), 2);
        resolver.connected(now, lookup);
        resolver.stream_closed(now, lookup);
        resolver.due(now, lookup);
    };
    for lookup in [0, LOOKUPS, usize::MAX] {
        everything(&mut world.resolver, lookup);
        world.resolver.opened(now, lookup, true);
        world.resolver.opened(now, lookup, false);
        let mut nothing = [];
        assert_eq!(world.resolver.step(now, lookup, &mut Writer::new(&mut nothing)), None);
        assert!(world.resolver.deadline(lookup).is_none() && !world.resolver.is_ready(lookup));
    }
    let handle = world.begin(&H);
    everything(&mut world.resolver, handle.index());
    world.resolver.opened(now, handle.index(), false);
    assert!(world.resolver.finished(now).is_none());
    world.drain(handle.index());
    // It is over, but for its socket: nothing changes that any more.
    assert!(world.resolver.finished(now).is_some());
    everything(&mut world.resolver, handle.index());
    assert!(world.resolver.finished(now).is_none() && world.resolver.is_at_rest());
}

struct Xorshift(u64);

impl Xorshift {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() >> 11) as usize % bound
    }
}

/// Changes a few bytes after the question, so that the answer is still taken for one.
fn mutate(bytes: &mut Vec<u8>, from: usize, random: &mut Xorshift) {
    for _ in 0..random.below(4) {
        if bytes.len() <= from {
            return;
        }
        let at = from + random.below(bytes.len() - from);
        match random.below(6) {
            0 => bytes[at] = random.next() as u8,
            1 => bytes[at] ^= 1 << random.below(8),
            2 => bytes.truncate(at),
            3 => bytes[at] = 0xc0,
            4 => bytes.extend_from_within(at..),
            _ => drop(bytes.remove(at)),
        }
    }
}

/// Whatever servers say, a lookup ends in time, asks a bounded number of questions, leaves nothing open, and gives no
/// place twice.
#[test]
fn mutated_answers() {
    const ZONE: &str = "other.test 300 NAPTR 50 50 s SIP+D2U _sip._udp.other.test
        other.test 300 NAPTR 50 60 s SIPS+D2T _sips._tcp.other.test
        _sip._udp.other.test 300 SRV 0 1 5060 a.test
        _sip._udp.other.test 300 SRV 0 3 5060 b.test
        _sips._tcp.other.test 300 SRV 1 1 5071 c.test
        _xmpps-client._tcp.other.test 300 SRV 1 1 5223 a.test
        _xmpp-client._tcp.other.test 300 SRV 1 1 5222 b.test
        a.test 300 A 192.0.2.1\na.test 300 AAAA 2001:db8::1\nb.test 300 CNAME a.test
        c.test 300 A 192.0.2.2\ntest 60 SOA 60";
    let (mut found, mut answers) = (0, 0);
    for seed in 1..=4_000u64 {
        let mut random = Xorshift(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let mut world = World::new(|asked: &Asked| {
            answers += 1;
            let mut bytes = from_zone(asked, ZONE);
            match random.below(16) {
                0 => return Reply::Silence,
                1 if asked.is_stream => return Reply::Reset,
                2 => bytes[2] |= 2,
                3 => bytes[3] = random.next() as u8,
                4 => bytes[6 + random.below(6)] = random.below(4) as u8,
                5 => mutate(&mut bytes, 0, &mut random),
                6..10 => mutate(&mut bytes, asked.query.len() - 11, &mut random),
                _ => {}
            }
            reply(asked, bytes)
        });
        world.configure(&[NS1, NS2, NS3], BOTH, ALL);
        world.chunk = 1 + seed as usize % 50;
        let begun = world.now;
        let service = if seed % 5 == 4 { Service::XmppClient } else { Service::Sip };
        let wanted = Wanted { service, secure: seed % 3 == 0, ..OTHER };
        let outcome = world.outcome(&wanted);
        assert!(world.now.since(begun) <= LOOKUP_MS, "seed {seed}");
        assert!(world.asked.len() <= usize::from(QUERIES), "seed {seed}");
        if let Ok(mut places) = outcome {
            assert!(!places.is_empty() && places.len() <= CANDIDATES, "seed {seed}");
            assert!(!wanted.secure || places.iter().all(|place| place.starts_with("tls:")), "seed {seed}");
            places.sort();
            let count = places.len();
            places.dedup();
            assert_eq!(places.len(), count, "seed {seed}");
            found += 1;
        }
    }
    // Were most of it refused at once, it would prove little.
    assert!(found > 2_000 && answers > 20_000, "{found} found, {answers} answers");
}

#[test]
fn mutated_messages() {
    let asked = |name: &str, kind: Kind| {
        let mut buffer = [0; QUERY_BYTES];
        let mut out = Writer::new(&mut buffer);
        crate::wire::dns::write_query(7, &Name::from_text(name.as_bytes()).unwrap(), kind, true, &mut out);
        Asked::read(NS1.parse().unwrap(), false, Instant::ZERO, out.written())
    };
    let mut srv = asked("_sip._udp.other.test", Kind::SRV).response(
        0,
        &["_sip._udp.other.test 9 SRV 1 2 5060 sip.other.test", "x.test 9 CNAME other.test"],
        &["test 60 SOA 60"],
        &["sip.other.test 9 A 192.0.2.1", "sip.other.test 9 AAAA 2001:db8::1"],
    );
    // With names behind pointers, as servers write them.
    srv.extend(b"\xc0\x0c\x00\x21\x00\x01\x00\x00\x00\x09\x00\x0b\x00\x01\x00\x01\x13\xc4\x02ns\xc0\x16");
    srv[11] += 1;
    let seeds = [srv, asked("d.test", Kind::NAPTR).response(0, &["d.test 9 NAPTR 1 1 s SIP+D2U x.d.test"], &[], &[])];
    seeds.iter().for_each(|seed| assert!(Message::parse(seed).unwrap().records().is_ok()));
    let mut random = Xorshift(0x5eed_0035_0053_0001);
    let mut read = 0;
    for round in 0..100_000 {
        let mut bytes = seeds[random.below(seeds.len())].clone();
        mutate(&mut bytes, 0, &mut random);
        read += usize::from(Message::parse(&bytes).is_ok_and(|message| message.records().is_ok()));
        if catch_unwind(|| crate::wire::dns::fuzz(&bytes)).is_err() {
            panic!("round {round}: {}", bytes.escape_ascii());
        }
    }
    assert!(read > 30_000, "only {read} could be read");
}
