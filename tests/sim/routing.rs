//! Routing and its checks (RFC 3261 §16.3, §16.4, §8.2.2.2; RFC 3327; RFC 5393) in the simulated world.

use crate::message::{Msg, uri_of};
use crate::phone::{Manner, Phone};
use crate::world::{HOME, Link, World, seeds};
use pcsd::base::net::LocalAddress;
use pcsd::server::contract::Input;

const ALICE: &str = "sip:alice@home.example";

fn options(world: &mut World, phone: usize, uri: &str) -> Msg {
    world.phones[phone].request("OPTIONS", uri, &format!("<{uri}>"))
}

#[test]
fn path_becomes_route() {
    let mut world = World::new(1);
    let path = "<sip:edge@198.51.100.50;lr>";
    let mut phone = Phone::new("alice", "wonderland", "192.168.1.10:5060");
    phone.register_fields = vec![("Path".into(), path.into()), ("Supported".into(), "path".into())];
    let phone = world.add(phone);
    let registered = world.register(phone, 600);
    assert_eq!(world.outcome_of(registered), Some(200));
    assert_eq!(world.answer(registered).values("Path"), [path]);
    let eve = world.stranger(9);
    let call = world.message(eve, ALICE);
    assert_eq!(world.outcome_of(call), Some(200));
    assert_eq!(world.phones[phone].got("MESSAGE")[0].values("Route"), [path]);
    assert_eq!(world.phones[phone].got("MESSAGE")[0].uri(), "sip:alice@192.168.1.10:5060");
    world.finish();
}

#[test]
fn a_request_that_comes_back_is_a_loop() {
    let mut world = World::new(1);
    let alice = world.online("alice", 10, Manner::ringing());
    let eve = world.stranger(9);
    let call = world.invite(eve, ALICE);
    world.run(2_000);
    // Alice's phone forwards the call to her own address.
    let mut back = world.phones[alice].got("INVITE")[0].clone();
    let via = ("Via".to_string(), "SIP/2.0/UDP 192.168.1.10:5060;branch=;rport".to_string());
    back.fields.insert(0, via);
    back.start = format!("INVITE {ALICE} SIP/2.0");
    let now = world.now;
    let looped = (alice, world.phones[alice].send_as_is(now, back.clone()));
    world.phones[alice].manner.proves = false;
    assert_eq!(world.phones[alice].clients.len(), looped.1 + 1);
    world.run(1_000);
    // The answer has the Vias below Alice's own still.
    let status = world.phones[alice].clients[looped.1].finals.first().and_then(|(_, answer)| answer.status());
    assert_eq!(status, Some(482));
    assert_eq!(world.count(alice, "INVITE"), 1);
    world.cancel(call);
    assert_eq!(world.outcome_of(call), Some(487));
    world.finish();
}

#[test]
fn the_same_request_by_two_ways_is_merged() {
    let mut world = World::new(1);
    let alice = world.online("alice", 10, Manner::ringing());
    let eve = world.stranger(9);
    let request = world.phones[eve].request("INVITE", ALICE, &format!("<{ALICE}>"));
    let first = world.send(eve, request.clone());
    world.run(500);
    let second = world.send(eve, request);
    assert_eq!(world.outcome_of(second), Some(482));
    assert_eq!(world.count(alice, "INVITE"), 1);
    world.cancel(first);
    assert_eq!(world.outcome_of(first), Some(487));
    world.finish();
}

#[test]
fn hops_run_out() {
    let mut world = World::new(1);
    let alice = world.online("alice", 10, Manner::POLITE);
    let eve = world.stranger(9);
    for (uri, hops, expected) in [(ALICE, "0", 483), (ALICE, "1", 200), ("sip:home.example", "0", 200)] {
        let mut request = options(&mut world, eve, uri);
        request.set("Max-Forwards", hops);
        let call = world.send(eve, request);
        assert_eq!(world.outcome_of(call), Some(expected), "{uri} {hops}");
    }
    assert_eq!(world.phones[alice].got("OPTIONS")[0].get("Max-Forwards"), "0");
    world.finish();
}

#[test]
fn breadth_is_shared_among_the_branches() {
    let mut world = World::new(1);
    let devices = [world.online("alice", 10, Manner::POLITE), world.online("alice", 11, Manner::POLITE)];
    let eve = world.stranger(9);
    let mut request = options(&mut world, eve, ALICE);
    request.add("Max-Breadth", "1");
    let call = world.send(eve, request);
    assert_eq!(world.outcome_of(call), Some(440));
    let mut request = options(&mut world, eve, ALICE);
    request.add("Max-Breadth", "5");
    let call = world.send(eve, request);
    assert_eq!(world.outcome_of(call), Some(200));
    let breadth = |device: usize| -> u32 { world.phones[device].got("OPTIONS")[0].get("Max-Breadth").parse().unwrap() };
    let sum = breadth(devices[0]) + breadth(devices[1]);
    assert!((2..=5).contains(&sum), "{sum}");
    world.finish();
}

#[test]
fn a_strict_router_before_us() {
    let mut world = World::new(1);
    let alice = world.online("alice", 10, Manner::POLITE);
    let bob = world.online("bob", 30, Manner::POLITE);
    let call = world.invite(bob, ALICE);
    assert_eq!(world.outcome_of(call), Some(200));
    world.run(500);
    // What a router of RFC 2543 makes of Bob's BYE: the first Route is the Request-URI, the target is the last Route.
    let dialog = world.phones[bob].dialogs[0].clone();
    let mut bye = world.phones[bob].dialog_request(0, "BYE");
    bye.start = format!("BYE {} SIP/2.0", uri_of(&dialog.routes[0]).replace(";lr", ""));
    bye.remove("Route");
    for route in &dialog.routes[1..] {
        bye.add("Route", route);
    }
    bye.add("Route", &format!("<{}>", dialog.target));
    let sent = world.send(bob, bye);
    assert_eq!(world.outcome_of(sent), Some(200));
    let got = world.phones[alice].got("BYE")[0].clone();
    assert_eq!((got.uri(), got.values("Route").len()), (dialog.target.as_str(), 0));
    world.finish();
}

#[test]
fn what_cannot_be_done_is_said() {
    let mut world = World::new(1);
    let alice = world.online("alice", 10, Manner::POLITE);
    let bob = world.online("bob", 30, Manner::POLITE);
    let eve = world.stranger(9);
    let mut request = options(&mut world, eve, ALICE);
    request.add("Proxy-Require", "teleport");
    let call = world.send(eve, request);
    assert_eq!(world.outcome_of(call), Some(420));
    assert_eq!(world.answer(call).get("Unsupported"), "teleport");
    // Require is for the far end (§16.3 step 5).
    let mut request = options(&mut world, eve, ALICE);
    request.add("Require", "teleport");
    let call = world.send(eve, request);
    assert_eq!(world.outcome_of(call), Some(200));
    for (uri, expected) in [
        ("tel:+46123", 416),
        ("http://x.example", 416),
        ("sip:x@unheard.example", 504),
        ("sips:alice@home.example", 480),
    ] {
        let request = options(&mut world, bob, uri);
        let call = world.send(bob, request);
        assert_eq!(world.outcome_of(call), Some(expected), "{uri}");
    }
    for (method, expected, field, word) in
        [("INFO", 405, "Allow", "REGISTER"), ("SUBSCRIBE", 489, "Allow-Events", "presence")]
    {
        let request = world.phones[eve].request(method, "sip:home.example", "<sip:home.example>");
        let call = world.send(eve, request);
        assert_eq!(world.outcome_of(call), Some(expected), "{method}");
        assert!(world.answer(call).get(field).contains(word), "{method}");
    }
    assert_eq!(world.count_of_others(alice, "OPTIONS"), 1);
    world.finish();
}

#[test]
fn a_route_of_the_senders_own() {
    let mut world = World::new(1);
    let friend = world.add(Phone::new("x", "", "198.51.100.77:5060").stranger("sip:x@198.51.100.77"));
    let bob = world.online("bob", 30, Manner::POLITE);
    let eve = world.stranger(9);
    for (phone, expected) in [(bob, 200), (eve, 403)] {
        let mut request = options(&mut world, phone, "sip:y@far.example");
        let proxy = world.phones[phone].proxy;
        request.add("Route", &format!("<sip:{proxy};lr>, <sip:198.51.100.77;lr>"));
        let call = world.send(phone, request);
        assert_eq!(world.outcome_of(call), Some(expected));
    }
    let got = world.phones[friend].got("OPTIONS")[0].clone();
    assert_eq!((got.uri(), got.values("Route")), ("sip:y@far.example", vec!["<sip:198.51.100.77;lr>".to_string()]));
    world.finish();
}

const OTHER_HOME: &str = "
config pcsd 'main'
    option domain 'other.example'
    list listen 'udp:0.0.0.0:5060'
    list listen 'tcp:0.0.0.0:5060'
config person 'x'
    option password 'unknown'
";

fn two_homes(seed: u64) -> (World, usize, usize) {
    let mut world = World::new(seed);
    world.host(OTHER_HOME, &[("10.7.0.1", 24, false), ("192.0.2.7", 24, true)]);
    let bob = world.online("bob", 30, Manner::POLITE);
    let mut x = Phone::new("x", "unknown", "10.7.0.20:5060");
    x.aor = "sip:x@other.example".into();
    x.proxy = "10.7.0.1:5060".parse().unwrap();
    let x = world.join(x);
    (world, bob, x)
}

#[test]
fn a_call_from_home_to_home() {
    for uri in ["sip:x@192.0.2.7", "sip:x@192.0.2.7;transport=tcp"] {
        let (mut world, bob, x) = two_homes(1);
        let call = world.invite(bob, uri);
        assert_eq!(world.outcome_of(call), Some(200), "{uri}");
        world.run(1_000);
        assert_eq!((world.count(x, "INVITE"), world.count(x, "ACK")), (1, 1));
        for (from, to) in [(bob, x), (x, bob)] {
            let request = world.in_dialog(from, 0, "INFO");
            assert_eq!(world.outcome_of(request), Some(200), "{uri}");
            assert_eq!(world.count(to, "INFO"), 1);
        }
        let bye = world.in_dialog(x, 0, "BYE");
        assert_eq!(world.outcome_of(bye), Some(200));
        assert_eq!(world.count(bob, "BYE"), 1);
        world.finish();
    }
}

#[test]
fn homes_over_bad_links() {
    for seed in seeds(30) {
        let (mut world, bob, x) = two_homes(seed);
        world.link = Link::BAD;
        for _ in 0..3 {
            let message = world.message(bob, "sip:x@192.0.2.7");
            let call = world.invite(bob, "sip:x@192.0.2.7");
            world.settled(message, 60_000);
            let wait = world.random.below(5_000);
            world.run(wait);
            if world.outcome(call).is_none() && world.random.chance(500) {
                world.cancel(call);
            }
            world.settled(call, 60_000);
            let nobody = world.message(bob, "sip:nobody@192.0.2.7");
            world.settled(nobody, 60_000);
            // 480 when the links ate every copy between the homes.
            assert!(matches!(world.outcome(nobody), None | Some(404 | 480)), "{:?}", world.outcome(nobody));
            let own = world.message(bob, "sip:nobody@home.example");
            world.settled(own, 60_000);
        }
        assert!(world.count(x, "MESSAGE") <= 3);
        world.finish();
    }
}

#[test]
fn a_reload_keeps_who_is_still_there() {
    let mut world = World::new(1);
    let alice = world.online("alice", 10, Manner::POLITE);
    world.online("carol", 12, Manner::POLITE);
    let bob = world.online("bob", 30, Manner::POLITE);
    let call = world.invite(bob, ALICE);
    assert_eq!(world.outcome_of(call), Some(200));
    world.run(500);
    // Carol goes, and Alice is the last now.
    let text = HOME.replace("config person 'alice'\n    option password 'wonderland'\n", "");
    let text = text.split("config person 'carol'").next().unwrap().to_string();
    world.configure(0, &(text + "config person 'alice'\n    option password 'wonderland'\n"));
    assert_eq!(world.bindings(), 2);
    world.phones[bob].forget_nonces();
    let info = world.in_dialog(bob, 0, "INFO");
    assert_eq!(world.outcome_of(info), Some(200));
    assert_eq!(world.phones[bob].last_of(info.1), info.1, "the dialog's proof holds");
    let message = world.message(bob, ALICE);
    assert_eq!(world.outcome_of(message), Some(200));
    assert_eq!(world.count(alice, "MESSAGE"), 1);
    let gone = world.message(bob, "sip:carol@home.example");
    assert_eq!(world.outcome_of(gone), Some(404));
    world.finish();
}

#[test]
fn no_credit_loses_nothing_that_is_repeated() {
    let mut world = World::new(1);
    let alice = world.online("alice", 10, Manner::POLITE);
    let eve = world.stranger(9);
    let call = world.message(eve, ALICE);
    world.servers[0].credits = pcsd::base::net::PortSet::NONE;
    world.run(3_000);
    assert_eq!(world.count(alice, "MESSAGE"), 0);
    world.servers[0].credits = pcsd::base::net::PortSet::ALL;
    assert_eq!(world.outcome_of(call), Some(200));
    assert_eq!(world.count(alice, "MESSAGE"), 1);
    world.finish();
}

#[test]
fn devices_are_reached_from_a_new_address() {
    let mut world = World::new(1);
    let mut away = Phone::new("alice", "wonderland", "198.51.100.20:5060");
    away.proxy = crate::world::WAN.parse().unwrap();
    let away = world.join(away);
    let bob = world.online("bob", 30, Manner::POLITE);
    let addresses = |wan: &str| {
        [("192.168.1.1", 24, false), (wan, 24, true)].map(|(ip, prefix, default_route)| LocalAddress {
            ip: ip.parse().unwrap(),
            prefix,
            default_route,
        })
    };
    for wan in ["192.0.2.2", "192.0.2.3", "192.0.2.4"] {
        world.servers[0].ips = vec!["192.168.1.1".parse().unwrap(), wan.parse().unwrap()];
        world.input(0, Input::Addresses(&addresses(wan)));
        world.run(1_000);
        let call = world.message(bob, ALICE);
        assert_eq!(world.outcome_of(call), Some(200), "from {wan}");
        assert!(world.phones[away].got("MESSAGE").last().unwrap().get("Via").contains(wan));
    }
    world.finish();
}

#[test]
fn a_408_of_a_device_stays_here() {
    let mut world = World::new(1);
    world.online("alice", 10, Manner { message: Some(408), ..Manner::POLITE });
    let bob = world.online("bob", 30, Manner::POLITE);
    let call = world.message(bob, ALICE);
    assert_eq!(world.outcome_of(call), Some(480));
    world.finish();
}
