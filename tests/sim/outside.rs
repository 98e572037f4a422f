//! Other domains in the simulated world (server/outside.rs, sip/resolver; RFC 3263): found by name, reached, come back.

use crate::host::Local;
use crate::names::{Habit, Record};
use crate::phone::{Manner, Phone};
use crate::script::Call;
use crate::world::{HOME, Link, World, seeds};
use pcsd::base::limits::LOOKUPS;

const NAMES: &str = "198.51.100.53:53";
const CARL: &str = "sip:carl@other.test";
const FAR: &[Local<'static>] = &[("192.168.7.1", 24, false), ("203.0.113.1", 24, true)];
const OTHER: &str = "
config pcsd 'main'
    option domain 'other.test'
    list listen 'udp:0.0.0.0:5060'
    list listen 'tcp:0.0.0.0:5060'
config person 'carl'
    option password 'sagan'
";

/// A world with a name server that knows this, and Alice.
pub fn world_with(seed: u64, zone: &[(&str, Record)]) -> (World, usize) {
    let mut world = World::new(seed);
    world.add_names(NAMES, zone);
    world.ask_names_of(0, &[NAMES]);
    let alice = world.online("alice", 10, Manner::POLITE);
    (world, alice)
}

/// A server of the other domain: as far as can be seen it is one user agent.
fn far(world: &mut World, last: u8, manner: Manner) -> usize {
    let phone = Phone::new("carl", "", &format!("198.51.100.{last}:5060")).stranger(CARL);
    world.add(phone.with(manner))
}

/// The zone of other.test: two servers by SRV and UDP, the first preferred.
fn two_servers() -> Vec<(&'static str, Record)> {
    vec![
        ("_sip._udp.other.test", Record::service(10, 1, 5060, "one.other.test")),
        ("_sip._udp.other.test", Record::service(20, 1, 5060, "two.other.test")),
        ("one.other.test", Record::address("198.51.100.21")),
        ("two.other.test", Record::address("198.51.100.22")),
    ]
}

/// Has the first server look at home.example.
fn resolves_home(world: &mut World, names: usize) {
    let ours = [
        ("_sip._udp.home.example", Record::service(1, 1, 5060, "gate.home.example")),
        ("gate.home.example", Record::address("192.0.2.1")),
    ];
    world.names[names].zone.extend(ours.map(|(name, record)| (name.to_string(), record)));
}

/// A second home whose person Carl has a phone; its server and his phone.
pub fn other_home(world: &mut World) -> (usize, usize) {
    let other = world.host(OTHER, FAR);
    world.ask_names_of(other, &[NAMES]);
    resolves_home(world, 0);
    let mut carl = Phone::new("carl", "sagan", "192.168.7.20:5060");
    carl.aor = CARL.into();
    carl.proxy = "192.168.7.1:5060".parse().unwrap();
    (other, world.join(carl))
}

#[test]
fn a_message_and_a_call_go_to_another_domain() {
    let (mut world, alice) = world_with(1, &two_servers());
    let (one, two) = (far(&mut world, 21, Manner::POLITE), far(&mut world, 22, Manner::POLITE));
    let call = world.message(alice, CARL);
    assert_eq!(world.outcome_of(call), Some(200));
    let call = world.invite(alice, CARL);
    assert_eq!(world.outcome_of(call), Some(200));
    world.run(1_000);
    assert_eq!((world.count(one, "MESSAGE"), world.count(one, "INVITE"), world.count(one, "ACK")), (1, 1, 1));
    assert_eq!(world.phones[one].got("INVITE")[0].uri(), CARL, "the Request-URI is theirs to read");
    assert_eq!(world.phones[one].got("INVITE")[0].get("Proxy-Authorization"), "");
    // Both hang up a call in their turn.
    let again = world.in_dialog(one, 0, "INVITE");
    assert_eq!(world.outcome_of(again), Some(200));
    let bye = world.in_dialog(one, 0, "BYE");
    assert_eq!(world.outcome_of(bye), Some(200));
    assert_eq!(world.count(alice, "BYE"), 1);
    let call = world.invite(alice, CARL);
    assert_eq!(world.outcome_of(call), Some(200));
    let bye = world.in_dialog(alice, 1, "BYE");
    assert_eq!(world.outcome_of(bye), Some(200));
    assert_eq!(world.count(two, "INVITE"), 0);
    // All that was asked once.
    assert_eq!(world.names[0].asked.iter().filter(|(name, _)| name == "_sip._udp.other.test").count(), 1);
    world.finish();
}

#[test]
fn pointers_and_aliases_and_the_order_of_services() {
    let zone = [
        ("other.test", Record::pointer(20, "SIP+D2U", "_sip._udp.other.test")),
        ("other.test", Record::pointer(10, "SIP+D2T", "_sip._tcp.hoster.test")),
        ("_sip._tcp.hoster.test", Record::service(10, 1, 5070, "www.hoster.test")),
        ("_sip._udp.other.test", Record::service(10, 1, 5060, "one.other.test")),
        ("www.hoster.test", Record::Alias("a.hoster.test".into())),
        ("a.hoster.test", Record::address("198.51.100.30")),
        ("one.other.test", Record::address("198.51.100.21")),
    ];
    let (mut world, alice) = world_with(1, &zone);
    let mut hoster = Phone::new("carl", "", "198.51.100.30:5070").stranger(CARL).tcp();
    hoster.listens = true;
    let hoster = world.add(hoster);
    let by_udp = far(&mut world, 21, Manner::POLITE);
    let call = world.message(alice, CARL);
    assert_eq!(world.outcome_of(call), Some(200));
    let call = world.invite(alice, CARL);
    assert_eq!(world.outcome_of(call), Some(200));
    world.run(1_000);
    assert_eq!((world.count(hoster, "MESSAGE"), world.count(hoster, "INVITE"), world.count(hoster, "ACK")), (1, 1, 1));
    assert_eq!(world.phones[hoster].open_conns().len(), 1, "one connection for both");
    let bye = world.in_dialog(hoster, 0, "BYE");
    assert_eq!(world.outcome_of(bye), Some(200));
    assert_eq!(world.count(by_udp, "INVITE"), 0);
    // Nobody listens any more. What comes later in the order is for who can't use what is first (RFC 3403 §4.1).
    let conn = world.phones[hoster].open_conns()[0];
    world.hang_up_of(hoster, conn, true);
    world.phones[hoster].is_off = true;
    world.run(1_000);
    let call = world.message(alice, CARL);
    assert_eq!(world.outcome_of(call), Some(502));
    world.finish();
}

#[test]
fn a_dialog_over_tcp_makes_its_connection_anew() {
    let zone = [
        ("_sip._tcp.other.test", Record::service(10, 1, 5070, "one.other.test")),
        ("one.other.test", Record::address("198.51.100.30")),
    ];
    let (mut world, alice) = world_with(1, &zone);
    let mut carl = Phone::new("carl", "", "198.51.100.30:5070").stranger(CARL).tcp();
    carl.listens = true;
    let carl = world.add(carl);
    let call = world.invite(alice, CARL);
    assert_eq!(world.outcome_of(call), Some(200));
    world.run(1_000);
    let conn = world.phones[carl].open_conns()[0];
    world.hang_up_of(carl, conn, true);
    world.run(1_000);
    // TCP as before: what only TLS can prove was not asked for.
    let bye = world.in_dialog(alice, 0, "BYE");
    assert_eq!(world.outcome_of(bye), Some(200));
    assert_eq!(world.count(carl, "BYE"), 1);
    world.finish();
}

#[test]
fn the_next_server_is_tried_when_the_first_is_dead_or_busy() {
    for (is_dead, method) in [(true, "INVITE"), (true, "MESSAGE"), (false, "INVITE"), (false, "MESSAGE")] {
        let (mut world, alice) = world_with(1, &two_servers());
        let busy = Manner { message: Some(503), rings: false, ..Manner::answering(10, 503) };
        let one = far(&mut world, 21, busy);
        world.phones[one].is_off = is_dead;
        let two = far(&mut world, 22, Manner::POLITE);
        let send = |world: &mut World| match method {
            "INVITE" => world.invite(alice, CARL),
            _ => world.message(alice, CARL),
        };
        let call = send(&mut world);
        let begun_at = world.now;
        assert_eq!(world.outcome_of(call), Some(200), "{method} {is_dead}");
        let took_ms = world.now - begun_at;
        assert!(if is_dead { (5_000..9_000).contains(&took_ms) } else { took_ms < 2_000 }, "{took_ms} ms");
        assert_eq!(world.count(two, method), 1);
        // Who comes next does not wait for the dead one again.
        let tries = world.count(one, method);
        let begun_at = world.now;
        let call = send(&mut world);
        assert_eq!(world.outcome_of(call), Some(200));
        assert!(world.now - begun_at < 2_000, "{} ms", world.now - begun_at);
        assert_eq!(world.count(one, method), tries);
        world.finish();
    }
}

/// A home that listens on two transports is two places to try, where the same is waited for.
#[test]
fn a_message_that_takes_long_goes_once() {
    let zone = [
        ("_sip._udp.other.test", Record::service(1, 1, 5060, "gate.other.test")),
        ("_sip._tcp.other.test", Record::service(1, 1, 5060, "gate.other.test")),
        ("gate.other.test", Record::address("203.0.113.1")),
    ];
    // Whether the phone there wakes up at last.
    for (wakes, expected) in [(true, 200), (false, 480)] {
        let (mut world, alice) = world_with(1, &zone);
        let (other, carl) = other_home(&mut world);
        world.phones[carl].manner = Manner::deaf();
        let call = world.message(alice, CARL);
        world.run(7_000);
        if wakes {
            world.phones[carl].manner = Manner::POLITE;
        }
        assert_eq!(world.outcome_of(call), Some(expected));
        assert_eq!(world.count(carl, "MESSAGE"), usize::from(wakes));
        assert_eq!(world.conns.len(), 0, "it was not sent again to {other} by another way");
        world.finish();
    }
}

#[test]
fn a_call_rings_on_though_there_is_another_server() {
    for after_ms in [25_000, 60_000] {
        let (mut world, alice) = world_with(1, &two_servers());
        let one = far(&mut world, 21, Manner::answering(after_ms, 200));
        let two = far(&mut world, 22, Manner::POLITE);
        let call = world.invite(alice, CARL);
        world.run(after_ms + 1_000);
        assert_eq!(world.outcome(call), Some(200));
        assert_eq!((world.count(one, "CANCEL"), world.count(two, "INVITE")), (0, 0));
        let bye = world.in_dialog(alice, 0, "BYE");
        assert_eq!(world.outcome_of(bye), Some(200));
        world.finish();
    }
}

#[test]
fn a_server_that_was_given_up_answers_after_all() {
    let (mut world, alice) = world_with(1, &two_servers());
    // It says nothing for longer than is waited for it.
    let slow = Manner { rings: false, ..Manner::answering(8_000, 200) };
    let (one, two) = (far(&mut world, 21, slow), far(&mut world, 22, Manner::ringing()));
    let call = world.invite(alice, CARL);
    world.run(7_500);
    assert_eq!((world.count(two, "INVITE"), world.outcome(call)), (1, None));
    assert_eq!(world.outcome_of(call), Some(200));
    world.run(1_000);
    assert_eq!((world.count(one, "ACK"), world.count(two, "CANCEL")), (1, 1));
    let bye = world.in_dialog(alice, 0, "BYE");
    assert_eq!(world.outcome_of(bye), Some(200));
    assert_eq!(world.count(one, "BYE"), 1);
    world.finish();
}

/// Who has talked with somebody here knows the tokens of both sides.
#[test]
fn the_tokens_of_a_call_are_no_way_to_elsewhere() {
    let (mut world, alice) = world_with(1, &[]);
    let eve = world.add(Phone::new("eve", "", "198.51.100.9:5060").stranger("sip:eve@evil.test").tcp());
    let call = world.invite(eve, "sip:alice@home.example");
    assert_eq!(world.outcome_of(call), Some(200));
    world.run(1_000);
    let conn = world.phones[eve].open_conns()[0];
    world.hang_up_of(eve, conn, false);
    world.run(100);
    let mut victim = Phone::new("carl", "", "198.51.100.66:5060").stranger(CARL).tcp();
    victim.listens = true;
    let victim = world.add(victim);
    let mallory = world.add(Phone::new("eve", "", "198.51.100.9:5070").stranger("sip:eve@evil.test"));
    let dialog = world.phones[eve].dialogs[0].clone();
    let mut sides: Vec<String> = dialog
        .routes
        .iter()
        .map(|route| route.replace("192.168.1.1", "192.0.2.1").replace(";transport=tcp", ""))
        .collect();
    for (method, from, to) in [
        ("BYE", "<sip:alice@home.example>;tag=1", "<sip:eve@evil.test>;tag=2"),
        ("BYE", "<sip:eve@evil.test>;tag=1", "<sip:eve@evil.test>;tag=2"),
        ("INVITE", "<sip:alice@home.example>;tag=3", "<sip:eve@evil.test>"),
        ("ACK", "<sip:alice@home.example>;tag=1", "<sip:eve@evil.test>;tag=2"),
    ] {
        for _ in 0..2 {
            sides.reverse();
            let mut request = world.phones[mallory].request(method, "sip:x@198.51.100.66;transport=tcp", to);
            request.set("From", from);
            request.set("Call-ID", &dialog.call_id);
            // As over TCP, which is what the way back was.
            for side in &sides {
                request.add("Route", &side.replace(";lr>", ";transport=tcp;lr>"));
            }
            request.add("Route", "<sip:198.51.100.66:5060;transport=tcp;lr>");
            let branch = format!("branch=z9hG4bK{}", world.phones[mallory].token());
            let via = request.get("Via").replace("branch=", &branch);
            request.set("Via", &via);
            world.phones[mallory].is_sink = true;
            world.inject("198.51.100.9:5070", crate::world::WAN, &request.bytes());
            world.run(1_000);
        }
    }
    let is_to_victim = |conn: &&crate::conns::Conn| conn.remotes[0].ip() == world.phones[victim].address.ip();
    assert_eq!(world.conns.iter().filter(is_to_victim).count(), 0);
    assert_eq!((world.count(victim, "BYE"), world.count(victim, "INVITE"), world.count(victim, "ACK")), (0, 0, 0));
    // She herself hangs up: that has to get back to where it came from.
    let bye = world.in_dialog(alice, 0, "BYE");
    assert_eq!(world.outcome_of(bye), Some(200));
    assert_eq!(world.count(eve, "BYE"), 1);
    world.finish();
}

#[test]
fn a_refusal_is_final() {
    for status in [404, 486, 500, 603] {
        let (mut world, alice) = world_with(1, &two_servers());
        let refusing = Manner { message: Some(status), ..Manner::answering(100, status) };
        let one = far(&mut world, 21, refusing);
        let two = far(&mut world, 22, Manner::POLITE);
        for call in [world.message(alice, CARL), world.invite(alice, CARL)] {
            assert_eq!(world.outcome_of(call), Some(status));
        }
        assert_eq!((world.count(one, "INVITE"), world.count(one, "MESSAGE")), (1, 1));
        assert_eq!((world.count(two, "INVITE"), world.count(two, "MESSAGE")), (0, 0));
        world.finish();
    }
}

#[test]
fn a_call_is_cancelled_while_its_domain_is_looked_up() {
    let (mut world, alice) = world_with(1, &two_servers());
    let one = far(&mut world, 21, Manner::POLITE);
    world.names[0].manner = Habit { delay: 1_500, ..Habit::default() };
    let call = world.invite(alice, CARL);
    world.run(500);
    world.cancel(call);
    let begun_at = world.now;
    assert_eq!(world.outcome_of(call), Some(487));
    assert!(world.now - begun_at < 100);
    world.run(20_000);
    assert_eq!(world.count(one, "INVITE"), 0);
    world.finish();
}

#[test]
fn what_is_not_there_and_what_does_not_answer() {
    // The name server's manner, what becomes of a request, after how many ms at most.
    let cases = [
        (Habit::default(), 404, 1_000),
        (Habit { is_silent: true, ..Habit::default() }, 504, 13_000),
        (Habit { refuses: true, ..Habit::default() }, 504, 1_000),
    ];
    for (manner, expected, most_ms) in cases {
        let (mut world, alice) = world_with(1, &[]);
        world.names[0].manner = manner;
        for method in ["MESSAGE", "INVITE"] {
            let begun_at = world.now;
            let call = if method == "INVITE" { world.invite(alice, CARL) } else { world.message(alice, CARL) };
            assert_eq!(world.outcome_of(call), Some(expected), "{method} {manner:?}");
            assert!(world.now - begun_at <= most_ms, "{method} {manner:?}: {} ms", world.now - begun_at);
        }
        world.finish();
    }
    // Without name servers there is no way to find out.
    let mut world = World::new(1);
    let alice = world.online("alice", 10, Manner::POLITE);
    let call = world.message(alice, CARL);
    assert_eq!(world.outcome_of(call), Some(504));
    world.finish();
}

#[test]
fn a_second_name_server_answers_for_a_silent_one() {
    let (mut world, alice) = world_with(1, &two_servers());
    let one = far(&mut world, 21, Manner::POLITE);
    world.names[0].manner.is_silent = true;
    let zone = two_servers();
    world.add_names("198.51.100.54:53", &zone);
    world.ask_names_of(0, &[NAMES, "198.51.100.54:53"]);
    let call = world.message(alice, CARL);
    assert_eq!(world.outcome_of(call), Some(200));
    assert_eq!(world.count(one, "MESSAGE"), 1);
    world.finish();
}

#[test]
fn name_servers_that_change_in_the_middle_of_a_lookup() {
    let (mut world, alice) = world_with(1, &[]);
    let one = far(&mut world, 21, Manner::POLITE);
    world.names[0].manner.is_silent = true;
    let zone = two_servers();
    world.add_names("198.51.100.54:53", &zone);
    let call = world.message(alice, CARL);
    world.run(700);
    world.ask_names_of(0, &["198.51.100.54:53"]);
    let begun_at = world.now;
    assert_eq!(world.outcome_of(call), Some(200));
    assert!(world.now - begun_at < 1_000);
    assert_eq!(world.count(one, "MESSAGE"), 1);
    world.finish();
}

#[test]
fn more_lookups_than_there_is_room_for() {
    let (mut world, alice) = world_with(1, &two_servers());
    world.names[0].manner.is_silent = true;
    // It knows her by now: each of the following is looked up at once.
    let first = world.message(alice, "sip:x@no0.test");
    world.run(20);
    let calls: Vec<Call> = (1..LOOKUPS).map(|number| world.message(alice, &format!("sip:x@no{number}.test"))).collect();
    world.run(100);
    let begun_at = world.now;
    let one_more = world.message(alice, CARL);
    assert_eq!(world.outcome_of(one_more), Some(503));
    assert!(world.now - begun_at < 100);
    // The same name is one lookup, whoever asks.
    let same = world.message(alice, "sip:y@no1.test");
    world.run(100);
    assert_eq!(world.outcome(same), None);
    for call in calls.into_iter().chain([first, same]) {
        assert_eq!(world.outcome_of(call), Some(504));
    }
    world.names[0].manner.is_silent = false;
    let one = far(&mut world, 21, Manner::POLITE);
    let call = world.message(alice, CARL);
    assert_eq!(world.outcome_of(call), Some(200));
    assert_eq!(world.count(one, "MESSAGE"), 1);
    world.finish();
}

#[test]
fn a_stranger_is_refused_without_a_lookup() {
    let (mut world, _) = world_with(1, &two_servers());
    let eve = world.stranger(9);
    for call in [world.message(eve, CARL), world.invite(eve, CARL)] {
        assert_eq!(world.outcome_of(call), Some(403));
    }
    assert!(world.names[0].asked.is_empty(), "{:?}", world.names[0].asked);
    world.finish();
}

#[test]
fn forged_answers_are_not_believed() {
    for seed in seeds(20) {
        let (mut world, alice) = world_with(seed, &two_servers());
        let one = far(&mut world, 21, Manner::POLITE);
        let evil = far(&mut world, 66, Manner::POLITE);
        world.names[0].manner.forged = Some("198.51.100.66".parse().unwrap());
        for call in [world.message(alice, CARL), world.invite(alice, CARL)] {
            assert_eq!(world.outcome_of(call), Some(200));
        }
        assert_eq!((world.count(one, "MESSAGE"), world.count(evil, "MESSAGE")), (1, 0));
        world.finish();
    }
}

#[test]
fn an_answer_that_does_not_fit_is_asked_for_by_stream() {
    for piece in [usize::MAX, 3] {
        let (mut world, alice) = world_with(1, &two_servers());
        world.link.piece = piece;
        let one = far(&mut world, 21, Manner::POLITE);
        world.names[0].manner.truncates = true;
        let call = world.message(alice, CARL);
        assert_eq!(world.outcome_of(call), Some(200));
        assert_eq!(world.count(one, "MESSAGE"), 1);
        world.run(1_000);
        assert_eq!(world.home().status(world.instant()).streams, 0);
        world.finish();
    }
}

#[test]
fn a_peer_with_an_address_needs_no_name_server() {
    let peer = "config peer 'carls'\n    option domain 'other.test'\n    option address '198.51.100.21:5070'\n    option transport 'udp'\n";
    let mut world = World::new(1);
    world.configure(0, &format!("{HOME}{peer}"));
    let alice = world.online("alice", 10, Manner::POLITE);
    let one = world.add(Phone::new("carl", "", "198.51.100.21:5070").stranger(CARL));
    let call = world.invite(alice, CARL);
    assert_eq!(world.outcome_of(call), Some(200));
    let bye = world.in_dialog(alice, 0, "BYE");
    assert_eq!(world.outcome_of(bye), Some(200));
    assert_eq!((world.count(one, "INVITE"), world.count(one, "BYE")), (1, 1));
    world.finish();
}

/// Calls both ways between two homes, one of which is restarted while they are up.
#[test]
fn calls_between_two_homes_outlive_a_restart() {
    for (restarted, from_alice) in [(0, true), (0, false), (1, true), (1, false)] {
        let (mut world, alice) = world_with(1, &[]);
        world.names[0].zone.extend(
            [
                ("_sip._udp.other.test", Record::service(1, 1, 5060, "gate.other.test")),
                ("gate.other.test", Record::address("203.0.113.1")),
            ]
            .map(|(name, record)| (name.to_string(), record)),
        );
        let (_, carl) = other_home(&mut world);
        let (caller, callee) = if from_alice { (alice, carl) } else { (carl, alice) };
        let uri = if from_alice { CARL } else { "sip:alice@home.example" };
        let call = world.message(caller, uri);
        assert_eq!(world.outcome_of(call), Some(200));
        for hangs_up in [caller, callee] {
            let call = world.invite(caller, uri);
            assert_eq!(world.outcome_of(call), Some(200));
            world.run(1_000);
            world.restart(restarted);
            let dialog = world.phones[caller].dialogs.len() - 1;
            for one in [callee, caller] {
                let again = world.in_dialog(one, dialog, "INVITE");
                assert_eq!(world.outcome_of(again), Some(200), "re-INVITE");
                world.run(1_000);
            }
            let bye = world.in_dialog(hangs_up, dialog, "BYE");
            assert_eq!(world.outcome_of(bye), Some(200), "BYE");
            assert!(world.phones[caller].dialogs[dialog].is_over && world.phones[callee].dialogs[dialog].is_over);
        }
        world.finish();
    }
}

/// Requests to several domains over bad links, by name servers that lose and delay, with restarts: all are answered, and
/// nothing is left.
#[test]
fn domains_over_bad_links() {
    for seed in seeds(30) {
        let mut zone = two_servers();
        zone.push(("third.test", Record::Alias("one.other.test".into())));
        let (mut world, alice) = world_with(seed, &zone);
        let bob = world.online("bob", 20, Manner::POLITE);
        let servers = [far(&mut world, 21, Manner::POLITE), far(&mut world, 22, Manner::POLITE)];
        for phone in [alice, bob, servers[0], servers[1]] {
            world.phones[phone].may_get_twice = true;
        }
        world.link = Link { loss: 80, duplicate: 80, ..Link::BAD };
        for _ in 0..8 {
            world.names[0].manner = Habit {
                loses: world.random.below(600),
                delay: world.random.below(3_000),
                truncates: world.random.chance(300),
                refuses: world.random.chance(100),
                is_silent: world.random.chance(50),
                ..Habit::default()
            };
            let off = world.random.chance(200);
            world.phones[servers[0]].is_off = off;
            let from = if world.random.chance(500) { alice } else { bob };
            let uri = ["sip:carl@other.test", "sip:x@third.test", "sip:y@none.test"][world.random.below(3) as usize];
            let call = if world.random.chance(500) { world.invite(from, uri) } else { world.message(from, uri) };
            let wait = world.random.below(3_000);
            world.run(wait);
            match world.random.below(6) {
                0 => world.restart(0),
                1 | 2 => world.cancel(call),
                3 => world.ask_names_of(0, &[NAMES, "198.51.100.99:53"]),
                _ => {}
            }
            let rest = world.random.below(20_000);
            world.run(rest);
        }
        world.finish();
    }
}
