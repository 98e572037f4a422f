//! Addresses that change in the simulated world (sip/transport.rs, home/registrar.rs): sockets follow, what was on an
//! address that is gone ends, and what can go on does.

use crate::conns::End;
use crate::host::Local;
use crate::names::Record;
use crate::phone::{Manner, Phone};
use crate::world::{Link, World, seeds};
use pcsd::base::net::Transport;

const ALICE: &str = "sip:alice@home.example";
const LAN: Local<'static> = ("192.168.1.1", 24, false);

/// The line comes up with this address.
fn dial(world: &mut World, wan: &str) {
    world.readdress(0, &[LAN, (wan, 24, true)]);
    world.run(10);
}

/// The line is down.
fn drop_line(world: &mut World) {
    world.readdress(0, &[LAN]);
    world.run(10);
}

/// The addresses on which it listens by UDP.
fn sockets(world: &World) -> Vec<String> {
    let ports = world.servers[0].ports.values().filter(|(transport, _)| *transport == Transport::Udp);
    let mut all: Vec<String> = ports.map(|(_, address)| address.to_string()).collect();
    all.sort();
    all
}

/// A phone of Alice's that is away, at this last byte.
fn away(last: u8, wan: &str) -> Phone {
    let mut phone = Phone::new("alice", "wonderland", &format!("198.51.100.{last}:5060"));
    phone.proxy = format!("{wan}:5060").parse().unwrap();
    phone
}

#[test]
fn sockets_follow_the_addresses() {
    let mut world = World::new(1);
    let (alice, bob) = (world.online("alice", 10, Manner::POLITE), world.online("bob", 20, Manner::POLITE));
    for wan in ["192.0.2.2", "203.0.113.77", "192.0.2.1"] {
        dial(&mut world, wan);
        let mut expected = vec!["192.168.1.1:5060".to_string(), format!("{wan}:5060")];
        expected.sort();
        assert_eq!(sockets(&world), expected);
        // From the world by the new address, and in the house as ever.
        let mut eve = Phone::new("eve", "", "198.51.100.9:5060").stranger("sip:eve@elsewhere.example");
        eve.proxy = format!("{wan}:5060").parse().unwrap();
        let eve = world.add(eve);
        for call in [world.message(eve, ALICE), world.message(bob, ALICE), world.invite(bob, ALICE)] {
            assert_eq!(world.outcome_of(call), Some(200), "{wan}");
        }
        world.phones[eve].address = "198.51.100.250:9".parse().unwrap();
        world.run(40_000);
    }
    drop_line(&mut world);
    assert_eq!(sockets(&world), ["192.168.1.1:5060"]);
    let call = world.message(bob, ALICE);
    assert_eq!(world.outcome_of(call), Some(200));
    assert_eq!(world.count(alice, "MESSAGE"), 7);
    assert_eq!(world.bindings(), 2);
    world.finish();
}

#[test]
fn streams_on_an_address_that_is_gone_are_closed() {
    let mut world = World::new(1);
    let far = world.join(away(7, "192.0.2.1").tcp());
    let near = world.join(Phone::new("bob", "builder", "192.168.1.20:5060").tcp());
    assert_eq!((world.bindings(), world.home().status(world.instant()).streams), (2, 2));
    dial(&mut world, "192.0.2.9");
    world.run(100);
    assert!(world.phones[far].open_conns().is_empty());
    assert_eq!(world.phones[near].open_conns().len(), 1);
    assert_eq!(world.home().status(world.instant()).streams, 1);
    let call = world.message(far, ALICE);
    world.settled(call, 1_000);
    assert_eq!(world.outcome(call), None, "nobody is where she looks");
    // She finds the new address, and is back.
    world.phones[far].proxy = "192.0.2.9:5060".parse().unwrap();
    let call = world.register(far, 600);
    assert_eq!(world.outcome_of(call), Some(200));
    let call = world.message(near, ALICE);
    assert_eq!(world.outcome_of(call), Some(200));
    assert_eq!(world.count(far, "MESSAGE"), 1);
    world.finish();
}

#[test]
fn a_call_is_ended_from_the_lan_though_its_route_names_the_old_address() {
    for from_lan in [true, false] {
        for between in ["at once", "a while without a line", "a restart"] {
            let mut world = World::new(1);
            let alice = world.online("alice", 10, Manner::POLITE);
            let eve = world.stranger(9);
            let call = match from_lan {
                true => world.invite(alice, "sip:eve@198.51.100.9"),
                false => world.invite(eve, ALICE),
            };
            assert_eq!(world.outcome_of(call), Some(200));
            world.run(1_000);
            match between {
                "a while without a line" => {
                    drop_line(&mut world);
                    world.run(20_000);
                }
                "a restart" => world.kill(0),
                _ => {}
            }
            match between {
                "a restart" => {
                    world.set_addresses(0, &[LAN, ("192.0.2.200", 24, true)]);
                    world.start(0);
                }
                _ => dial(&mut world, "192.0.2.200"),
            }
            assert!(world.phones[alice].dialogs[0].routes.iter().any(|route| route.contains("@192.0.2.1:5060")));
            let again = world.in_dialog(alice, 0, "INVITE");
            assert_eq!(world.outcome_of(again), Some(200), "re-INVITE, {between}");
            world.run(1_000);
            let bye = world.in_dialog(alice, 0, "BYE");
            assert_eq!(world.outcome_of(bye), Some(200), "BYE, {between}");
            assert!(world.phones[eve].dialogs[0].is_over);
            let via = world.phones[eve].got("BYE")[0].get("Via").to_string();
            assert!(via.contains("192.0.2.200"), "the new address is named: {via}");
            world.finish();
        }
    }
}

#[test]
fn a_device_far_away_is_reached_by_the_new_address_and_by_the_old_one_when_that_is_back() {
    let mut world = World::new(1);
    let far = world.join(away(7, "192.0.2.1"));
    let bob = world.online("bob", 20, Manner::POLITE);
    let call = world.invite(bob, ALICE);
    assert_eq!(world.outcome_of(call), Some(200));
    for (wan, times) in [("192.0.2.50", 1), ("192.0.2.1", 2)] {
        drop_line(&mut world);
        world.run(60_000);
        assert_eq!(world.bindings(), 2, "it may come back");
        dial(&mut world, wan);
        let call = world.message(bob, ALICE);
        assert_eq!(world.outcome_of(call), Some(200), "{wan}");
        assert_eq!(world.count(far, "MESSAGE"), times);
        assert!(world.phones[far].got("MESSAGE").last().unwrap().get("Via").contains(wan));
    }
    let bye = world.in_dialog(bob, 0, "BYE");
    assert_eq!(world.outcome_of(bye), Some(200));
    world.finish();
}

#[test]
fn a_binding_is_restored_though_its_address_is_another_now() {
    let mut world = World::new(1);
    let far = world.join(away(7, "192.0.2.1"));
    let bob = world.online("bob", 20, Manner::POLITE);
    world.kill(0);
    world.set_addresses(0, &[LAN, ("192.0.2.77", 24, true)]);
    world.start(0);
    assert_eq!(world.bindings(), 2);
    let call = world.message(bob, ALICE);
    assert_eq!(world.outcome_of(call), Some(200));
    assert_eq!(world.count(far, "MESSAGE"), 1);
    // And again, from what that start has written.
    world.restart(0);
    let call = world.message(bob, ALICE);
    assert_eq!(world.outcome_of(call), Some(200));
    world.finish();
}

#[test]
fn a_lookup_without_a_line_ends_in_time() {
    let mut world = World::new(1);
    let zone = [("other.test", Record::address("198.51.100.21"))];
    world.add_names("198.51.100.53:53", &zone);
    world.ask_names_of(0, &["198.51.100.53:53"]);
    let alice = world.online("alice", 10, Manner::POLITE);
    let carl = world.add(Phone::new("carl", "", "198.51.100.21:5060").stranger("sip:carl@other.test"));
    drop_line(&mut world);
    world.names[0].manner.is_silent = true;
    let begun_at = world.now;
    let call = world.message(alice, "sip:carl@other.test");
    assert_eq!(world.outcome_of(call), Some(504));
    assert!(world.now - begun_at <= 13_000);
    // The line comes up, with the provider's other name server.
    world.add_names("198.51.100.54:53", &zone);
    dial(&mut world, "192.0.2.33");
    world.ask_names_of(0, &["198.51.100.54:53"]);
    let call = world.message(alice, "sip:carl@other.test");
    assert_eq!(world.outcome_of(call), Some(200));
    assert_eq!(world.count(carl, "MESSAGE"), 1);
    world.finish();
}

/// The line goes and comes, with restarts, while people call and write: all that can be answered is, nothing is left.
#[test]
fn a_line_that_comes_and_goes() {
    for seed in seeds(40) {
        let mut world = World::new(seed);
        world.link = Link { loss: 30, ..Link::BAD };
        let alice = world.phone("alice", 10);
        let far = world.add(away(7, "192.0.2.1"));
        let far_tcp = world.add(away(8, "192.0.2.1").tcp());
        let bob = world.phone("bob", 20);
        let eve = world.stranger(9);
        let phones = [alice, far, far_tcp, bob, eve];
        for phone in phones {
            world.phones[phone].may_get_twice = true;
            world.phones[phone].manner = Manner::answering(100 + world.random.below(3_000), 200);
        }
        for phone in [alice, far, far_tcp, bob] {
            let now = world.now;
            world.phones[phone].stay_registered(now, 120);
        }
        for round in 0..10 {
            for _ in 0..2 {
                let from = phones[world.random.below(5) as usize];
                let uri = if world.random.chance(500) { ALICE } else { "sip:bob@home.example" };
                let call = if world.random.chance(500) { world.invite(from, uri) } else { world.message(from, uri) };
                let wait = world.random.below(2_000);
                world.run(wait);
                if world.random.chance(200) {
                    world.cancel(call);
                }
            }
            match world.random.below(5) {
                0 => drop_line(&mut world),
                1 => world.restart(0),
                _ => {
                    let wan = format!("192.0.2.{}", 1 + world.random.below(3));
                    dial(&mut world, &wan);
                    for phone in [far, far_tcp, eve] {
                        world.phones[phone].proxy = format!("{wan}:5060").parse().unwrap();
                    }
                }
            }
            let rest = world.random.below(20_000);
            world.run(rest);
            let dialog = world.phones[alice].dialogs.iter().position(|dialog| !dialog.is_over);
            if let Some(dialog) = dialog.filter(|_| round % 2 == 0) {
                world.in_dialog(alice, dialog, "BYE");
            }
        }
        dial(&mut world, "192.0.2.1");
        // No stream is left on an address that is gone.
        world.run(1_000);
        let ips = world.servers[0].ips.clone();
        let is_ours = |end: &End| matches!(end, End::Server(0, _));
        for conn in world.conns.iter().filter(|conn| conn.is_open) {
            let Some(end) = conn.ends.iter().position(is_ours) else { continue };
            assert!(ips.contains(&conn.remotes[1 - end].ip()), "{:?}", conn.remotes);
        }
        world.finish();
    }
}
