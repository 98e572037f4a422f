//! SIP over TLS in the simulated world (RFC 5922, RFC 5923, RFC 5630): who is at the other end, and what its connection is
//! good for.

use crate::names::Record;
use crate::phone::{Manner, Phone};
use crate::world::{HOME, World};
use pcsd::base::net::{PeerIdentity, Port, Transport};
use pcsd::server::contract::{Input, Reason};

const CARL: &str = "sip:carl@other.test";
const ALICE: &str = "sip:alice@home.example";
/// The keys of both homes.
const OURS: [u8; 32] = [1; 32];
const THEIRS: [u8; 32] = [2; 32];
const FAR: &[crate::host::Local<'static>] = &[("192.168.7.1", 24, false), ("203.0.113.1", 24, true)];

/// A key as the configuration has it.
fn pin(key: [u8; 32]) -> String {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::from("sha256/");
    for chunk in key.chunks(3) {
        let bits = chunk.iter().fold(0u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        let digit = |at: usize| DIGITS[(bits >> (18 - 6 * at) & 63) as usize] as char;
        (0..4).for_each(|at| text.push(if at <= chunk.len() { digit(at) } else { '=' }));
    }
    text
}

fn peer(domain: &str, address: &str, key: Option<[u8; 32]>) -> String {
    let pin = key.map_or(String::new(), |key| format!("    option pin '{}'\n", pin(key)));
    format!(
        "config peer 'far'\n    option domain '{domain}'\n    option address '{address}'\n    option transport 'tls'\n{pin}"
    )
}

fn identity(key: Option<[u8; 32]>, names: &[&str]) -> PeerIdentity {
    PeerIdentity { key, names: names.iter().map(|name| (*name).try_into().unwrap()).collect() }
}

/// Two homes, which know each other by these keys (or by the names in their certificates): Alice and Carl.
fn two_homes(known: Option<([u8; 32], [u8; 32])>) -> (World, usize, usize) {
    let mut world = World::new(1);
    let listen = "    list listen 'tls:0.0.0.0:5061'\n";
    let ours = HOME.replacen("config person", &format!("{listen}config person"), 1);
    let ours = format!("{ours}{}", peer("other.test", "203.0.113.1:5061", known.map(|(_, theirs)| theirs)));
    world.configure(0, &ours);
    let theirs = format!(
        "config pcsd 'main'\n    option domain 'other.test'\n    list listen 'udp:0.0.0.0:5060'\n{listen}\
         config person 'carl'\n    option password 'sagan'\n{}",
        peer("home.example", "192.0.2.1:5061", known.map(|(ours, _)| ours))
    );
    let other = world.host(&theirs, FAR);
    world.servers[0].identity = identity(Some(OURS), &["home.example"]);
    world.servers[other].identity = identity(Some(THEIRS), &["other.test"]);
    let alice = world.online("alice", 10, Manner::POLITE);
    let mut carl = Phone::new("carl", "sagan", "192.168.7.20:5060");
    carl.aor = CARL.into();
    carl.proxy = "192.168.7.1:5060".parse().unwrap();
    let carl = world.join(carl);
    (world, alice, carl)
}

/// Connections over TLS between servers so far, and those that are open.
fn links(world: &World) -> (usize, usize) {
    let links = || world.conns.iter().filter(|conn| conn.transport == Transport::Tls);
    (links().count(), links().filter(|conn| conn.is_open).count())
}

#[test]
fn one_connection_serves_both_ways() {
    for known in [Some((OURS, THEIRS)), None] {
        let (mut world, alice, carl) = two_homes(known);
        let call = world.message(alice, CARL);
        assert_eq!(world.outcome_of(call), Some(200));
        assert_eq!(links(&world), (1, 1));
        // RFC 5923: what the other home sends comes on the connection that ours has made.
        let call = world.message(carl, ALICE);
        assert_eq!(world.outcome_of(call), Some(200));
        for (caller, callee, uri) in [(alice, carl, CARL), (carl, alice, ALICE)] {
            let call = world.invite(caller, uri);
            assert_eq!(world.outcome_of(call), Some(200));
            world.run(1_000);
            let dialog = world.phones[caller].dialogs.len() - 1;
            for one in [caller, callee] {
                let again = world.in_dialog(one, dialog, "INVITE");
                assert_eq!(world.outcome_of(again), Some(200));
                world.run(1_000);
            }
            let bye = world.in_dialog(callee, dialog, "BYE");
            assert_eq!(world.outcome_of(bye), Some(200));
        }
        assert_eq!(links(&world), (1, 1), "known by keys: {}", known.is_some());
        let invite = world.phones[carl].got("INVITE")[0].clone();
        assert!(invite.values("Via")[1].contains("SIP/2.0/TLS"), "{:?}", invite.values("Via"));
        world.finish();
    }
}

#[test]
fn nothing_is_said_to_somebody_else() {
    // What we know the other home by, and what the machine there proves.
    let cases = [
        (Some((OURS, [3; 32])), identity(Some(THEIRS), &["other.test"])),
        (Some((OURS, THEIRS)), identity(None, &["other.test"])),
        (None, identity(Some(THEIRS), &["another.test"])),
        (None, identity(Some(THEIRS), &[])),
    ];
    for (known, proof) in cases {
        let (mut world, alice, carl) = two_homes(known);
        world.servers[1].identity = proof;
        for call in [world.message(alice, CARL), world.invite(alice, CARL)] {
            let begun_at = world.now;
            let status = world.outcome_of(call);
            assert_eq!(status, Some(502));
            assert!(world.now - begun_at < 5_000);
        }
        assert_eq!((world.count(carl, "MESSAGE"), world.count(carl, "INVITE")), (0, 0));
        world.finish();
    }
}

#[test]
fn a_dot_at_the_end_is_no_way_round_a_key() {
    let (mut world, alice, carl) = two_homes(Some((OURS, THEIRS)));
    world.add_names(
        "198.51.100.53:53",
        &[
            ("_sip._udp.other.test", Record::service(1, 1, 5060, "other.test")),
            ("other.test", Record::address("203.0.113.1")),
        ],
    );
    world.ask_names_of(0, &["198.51.100.53:53"]);
    let call = world.message(alice, "sip:carl@other.test.");
    assert_eq!(world.outcome_of(call), Some(200));
    let message = world.phones[carl].got("MESSAGE")[0].clone();
    assert!(message.values("Via")[1].contains("SIP/2.0/TLS"), "{:?}", message.values("Via"));
    world.finish();
}

#[test]
fn another_key_counts_from_when_it_is_configured() {
    let (mut world, alice, carl) = two_homes(Some((OURS, THEIRS)));
    let configure = |world: &mut World, key| {
        let listen = "    list listen 'tls:0.0.0.0:5061'\n";
        let ours = HOME.replacen("config person", &format!("{listen}config person"), 1);
        world.configure(0, &format!("{ours}{}", peer("other.test", "203.0.113.1:5061", key)));
    };
    let call = world.message(alice, CARL);
    assert_eq!(world.outcome_of(call), Some(200));
    // Nothing is new.
    configure(&mut world, Some(THEIRS));
    let call = world.message(alice, CARL);
    assert_eq!((world.outcome_of(call), links(&world)), (Some(200), (1, 1)));
    // The old key may be in the wrong hands.
    configure(&mut world, Some([3; 32]));
    world.run(100);
    let call = world.message(alice, CARL);
    assert_eq!(world.outcome_of(call), Some(502));
    assert_eq!(world.count(carl, "MESSAGE"), 2);
    world.finish();
}

#[test]
fn after_a_restart_a_dialog_does_not_go_on_another_domains_connection() {
    let (mut world, alice, carl) = two_homes(Some((OURS, THEIRS)));
    let listen = "    list listen 'tls:0.0.0.0:5061'\n";
    let ours = HOME.replacen("config person", &format!("{listen}config person"), 1);
    let third = peer("third.test", "203.0.113.1:5061", Some(THEIRS)).replace("'far'", "'third'");
    world.configure(0, &format!("{ours}{}{third}", peer("other.test", "203.0.113.1:5061", Some(THEIRS))));
    let call = world.invite(alice, CARL);
    assert_eq!(world.outcome_of(call), Some(200));
    world.run(1_000);
    world.restart(0);
    // The first connection of this start has the number of the first before, and leads to the same machine.
    let call = world.message(alice, "sip:dora@third.test");
    assert!(world.outcome_of(call).is_some());
    assert_eq!(links(&world), (2, 1));
    let bye = world.in_dialog(alice, 0, "BYE");
    assert_eq!(world.outcome_of(bye), Some(200));
    assert_eq!((world.count(carl, "BYE"), links(&world)), (1, (3, 2)));
    world.finish();
}

#[test]
fn a_call_over_tls_stays_on_tls() {
    let mut world = World::new(1);
    let ours = HOME.replacen("config person", "    list listen 'tls:0.0.0.0:5061'\nconfig person", 1);
    world.configure(0, &ours);
    let third = world.host(
        "config pcsd 'main'\n    option domain 'third.test'\n    list listen 'udp:0.0.0.0:5060'\n    \
         list listen 'tls:0.0.0.0:5061'\nconfig person 'carl'\n    option password 'sagan'\n",
        FAR,
    );
    world.servers[third].identity = identity(Some(THEIRS), &["third.test", "203.0.113.1"]);
    world.add_names("198.51.100.53:53", &[("third.test", Record::address("203.0.113.1"))]);
    world.ask_names_of(0, &["198.51.100.53:53"]);
    let mut carl = Phone::new("carl", "sagan", "192.168.7.20:5060");
    carl.aor = "sip:carl@third.test".into();
    carl.proxy = "192.168.7.1:5060".parse().unwrap();
    let carl = world.join(carl);
    let alice = world.online("alice", 10, Manner::POLITE);
    let call = world.invite(alice, "sip:carl@third.test;transport=tls");
    assert_eq!(world.outcome_of(call), Some(200));
    world.run(1_000);
    cut(&mut world);
    world.run(100);
    // As of a server that does not say in Record-Route what it is reached by.
    for route in &mut world.phones[alice].dialogs[0].routes[1..] {
        *route = route.replace(":5061;transport=tls", "");
    }
    let bye = world.in_dialog(alice, 0, "BYE");
    assert_eq!(world.outcome_of(bye), Some(200));
    let bye = world.phones[carl].got("BYE")[0].clone();
    assert!(bye.values("Via")[1].contains("SIP/2.0/TLS"), "{:?}", bye.values("Via"));
    world.finish();
}

#[test]
fn a_phone_that_was_on_tls_is_not_there_without_its_connection() {
    let (mut world, alice, _) = two_homes(None);
    let mut bob = Phone::new("bob", "builder", "192.168.1.20:5061").tls();
    // Its Contact does not say what it is reached by.
    bob.listens = true;
    let bob = world.add(bob);
    let now = world.now;
    let register = (bob, world.phones[bob].register_as(now, "<sip:bob@192.168.1.20:5061>", Some(600)));
    assert_eq!(world.outcome_of(register), Some(200));
    let conn = world.phones[bob].open_conns()[0];
    world.hang_up_of(bob, conn, false);
    world.run(100);
    assert_eq!(world.bindings(), 1);
    let call = world.message(alice, "sip:bob@home.example");
    assert_eq!(world.outcome_of(call), Some(480));
    assert_eq!(world.conns.iter().filter(|conn| conn.transport == Transport::Tcp).count(), 0);
    world.finish();
}

#[test]
fn who_has_not_proven_a_domain_gets_nothing_of_it() {
    let (mut world, alice, carl) = two_homes(Some((OURS, THEIRS)));
    // Eve comes over TLS, without a certificate, and says that she is their server.
    let mut eve = Phone::new("carl", "", "198.51.100.9:5061").stranger(CARL).tls();
    eve.manner = Manner::POLITE;
    let eve = world.add(eve);
    let mut request = world.phones[eve].request("MESSAGE", ALICE, &format!("<{ALICE}>"));
    let via = request.get("Via").replace(";rport", ";alias");
    request.set("Via", &via);
    let call = world.send(eve, request);
    assert_eq!(world.outcome_of(call), Some(200), "strangers may write");
    assert_eq!(links(&world), (1, 1));
    for call in [world.message(alice, CARL), world.invite(alice, CARL)] {
        assert_eq!(world.outcome_of(call), Some(200));
    }
    assert_eq!((world.count(carl, "MESSAGE"), world.count(eve, "MESSAGE"), world.count(eve, "INVITE")), (1, 0, 0));
    assert_eq!(links(&world), (2, 2));
    world.finish();
}

#[test]
fn the_other_home_makes_a_connection_when_there_is_none() {
    let (mut world, alice, carl) = two_homes(Some((OURS, THEIRS)));
    let call = world.message(alice, CARL);
    assert_eq!(world.outcome_of(call), Some(200));
    cut(&mut world);
    let call = world.message(carl, ALICE);
    assert_eq!(world.outcome_of(call), Some(200));
    assert_eq!(links(&world).0, 2);
    world.finish();
}

/// Resets all connections between the homes: both ends learn of it.
fn cut(world: &mut World) {
    for conn in 0..world.conns.len() {
        if world.conns[conn].is_open && world.conns[conn].transport == Transport::Tls {
            world.break_conn(conn);
        }
    }
}

#[test]
fn a_call_outlives_its_connection() {
    for (is_restart, from_alice) in [(false, true), (false, false), (true, true), (true, false)] {
        let (mut world, alice, carl) = two_homes(Some((OURS, THEIRS)));
        let (caller, callee, uri) = if from_alice { (alice, carl, CARL) } else { (carl, alice, ALICE) };
        for (round, hangs_up) in [caller, callee].into_iter().enumerate() {
            let call = world.invite(caller, uri);
            assert_eq!(world.outcome_of(call), Some(200));
            world.run(1_000);
            if is_restart {
                world.restart(round)
            } else {
                cut(&mut world)
            }
            world.run(100);
            for one in [callee, caller] {
                let again = world.in_dialog(one, round, "INVITE");
                assert_eq!(world.outcome_of(again), Some(200), "re-INVITE, {is_restart} {from_alice} {round}");
                world.run(1_000);
            }
            if !is_restart {
                cut(&mut world);
                world.run(100);
            }
            let bye = world.in_dialog(hangs_up, round, "BYE");
            assert_eq!(world.outcome_of(bye), Some(200), "BYE, {is_restart} {from_alice} {round}");
            assert!(world.phones[callee].dialogs[round].is_over && world.phones[caller].dialogs[round].is_over);
        }
        world.finish();
    }
}

#[test]
fn sips_goes_over_tls_or_not_at_all() {
    let (mut world, alice, carl) = two_homes(Some((OURS, THEIRS)));
    let secure = "sips:carl@other.test";
    // The way to us was no TLS.
    for call in [world.invite(alice, secure), world.message(alice, secure)] {
        assert_eq!(world.outcome_of(call), Some(480));
    }
    let bob = world.join(Phone::new("bob", "builder", "192.168.1.20:5061").tls());
    // Nor is the way to Alice, however the scheme is written.
    for uri in ["sips:alice@home.example", "SIPS:alice@home.example"] {
        let call = world.message(bob, uri);
        assert_eq!(world.outcome_of(call), Some(480), "{uri}");
    }
    // Nor is the way from there to Carl's phone.
    let call = world.message(bob, secure);
    assert_eq!(world.outcome_of(call), Some(480));
    assert_eq!(world.count(carl, "MESSAGE"), 0);
    let mut safe = Phone::new("carl", "sagan", "192.168.7.21:5061").tls();
    safe.aor = CARL.into();
    safe.proxy = "192.168.7.1:5061".parse().unwrap();
    let safe = world.join(safe);
    let call = world.invite(bob, secure);
    assert_eq!(world.outcome_of(call), Some(200));
    world.run(1_000);
    assert_eq!((world.count(safe, "INVITE"), world.count(safe, "ACK"), world.count(carl, "INVITE")), (1, 1, 0));
    let invite = world.phones[safe].got("INVITE")[0].clone();
    assert!(invite.values("Via").iter().all(|via| via.starts_with("SIP/2.0/TLS")), "{:?}", invite.values("Via"));
    let is_safe = |route: &String| route.starts_with("<sips:") || route.contains(";transport=tls");
    assert!(invite.values("Record-Route").iter().all(is_safe), "{:?}", invite.values("Record-Route"));
    for one in [safe, bob] {
        let again = world.in_dialog(one, 0, "INVITE");
        assert_eq!(world.outcome_of(again), Some(200));
        world.run(1_000);
    }
    let bye = world.in_dialog(safe, 0, "BYE");
    assert_eq!(world.outcome_of(bye), Some(200));
    world.finish();
}

#[test]
fn a_domain_found_by_name_proves_itself_by_its_certificate() {
    for (names, expected) in [(&["third.test"][..], 200), (&["host.third.test"][..], 502), (&[][..], 502)] {
        let mut world = World::new(1);
        let ours = HOME.replacen("config person", "    list listen 'tls:0.0.0.0:5061'\nconfig person", 1);
        world.configure(0, &ours);
        let third = world.host(
            "config pcsd 'main'\n    option domain 'third.test'\n    list listen 'udp:0.0.0.0:5060'\n    \
             list listen 'tls:0.0.0.0:5071'\nconfig person 'carl'\n    option password 'sagan'\n",
            FAR,
        );
        world.servers[third].identity = identity(Some(THEIRS), names);
        world.add_names(
            "198.51.100.53:53",
            &[
                ("_sips._tcp.third.test", Record::service(1, 1, 5071, "host.third.test")),
                ("host.third.test", Record::address("203.0.113.1")),
            ],
        );
        world.ask_names_of(0, &["198.51.100.53:53"]);
        let mut carl = Phone::new("carl", "sagan", "192.168.7.20:5071").tls();
        carl.aor = "sip:carl@third.test".into();
        carl.proxy = "192.168.7.1:5071".parse().unwrap();
        let carl = world.join(carl);
        let alice = world.join(Phone::new("alice", "wonderland", "192.168.1.10:5061").tls());
        let call = world.message(alice, "sips:carl@third.test");
        assert_eq!(world.outcome_of(call), Some(expected), "{names:?}");
        assert_eq!(world.count(carl, "MESSAGE"), usize::from(expected == 200));
        world.finish();
    }
}

#[test]
fn who_never_comes_through_a_handshake_begins_no_more_of_them() {
    let (mut world, alice, _) = two_homes(Some((OURS, THEIRS)));
    let listener = world.servers[0].ports.iter().find(|(_, port)| port.0 == Transport::Tls);
    let listener = Port(*listener.unwrap().0);
    let begin = |world: &mut World, from: &str| {
        let stream = world.servers[0].server.vacant_stream().unwrap();
        world.input(0, Input::Accepted { stream, listener, from: from.parse().unwrap() });
        let is_taken = world.home().status(world.instant()).streams > 0;
        world.input(0, Input::Closed(stream, Reason::Broken));
        is_taken
    };
    let taken = (0..100).filter(|_| begin(&mut world, "198.51.100.66:4000")).count();
    assert!((10..20).contains(&taken), "{taken} handshakes");
    // Others do, and so does this one after a while.
    assert!(begin(&mut world, "198.51.100.67:4000"));
    world.run(60_000);
    assert!(begin(&mut world, "198.51.100.66:4001"));
    let call = world.message(alice, CARL);
    assert_eq!(world.outcome_of(call), Some(200));
    world.finish();
}
