//! Requests within dialogs (RFC 3261 §12, §16.4, §16.12; RFC 5658) and phones behind NATs, in the simulated world.

use crate::phone::{Manner, Phone};
use crate::world::{Link, World, seeds};

const ALICE: &str = "sip:alice@home.example";

/// A call that is up.
fn call(world: &mut World, caller: usize, callee: usize) {
    let call = world.invite(caller, ALICE);
    assert_eq!(world.outcome_of(call), Some(200));
    world.run(1_000);
    assert_eq!(world.count(callee, "ACK"), 1, "the ACK goes all the way");
}

/// A request in the last dialog, which must not be challenged.
fn in_call(world: &mut World, from: usize, to: usize, method: &str) {
    world.phones[from].forget_nonces();
    let before = world.count(to, method);
    let dialog = world.phones[from].dialogs.len() - 1;
    let request = world.in_dialog(from, dialog, method);
    assert_eq!(world.outcome_of(request), Some(200), "{method} from {}", world.phones[from].name);
    assert_eq!(world.phones[from].last_of(request.1), request.1, "{method}: no new challenge");
    assert_eq!(world.count(to, method), before + 1);
    let got = world.phones[to].got(method).last().copied().cloned().unwrap();
    assert!(got.values("Route").is_empty(), "our own Route comes off: {:?}", got.values("Route"));
    assert_eq!(got.uri(), world.phones[to].contact_uri());
    world.run(500);
}

fn whole_call(world: &mut World, caller: usize, callee: usize) {
    call(world, caller, callee);
    for method in ["PRACK", "UPDATE", "INFO", "INVITE", "REFER"] {
        in_call(world, caller, callee, method);
        in_call(world, callee, caller, method);
    }
    in_call(world, callee, caller, "BYE");
}

#[test]
fn requests_pass_both_ways_without_a_new_challenge() {
    // (transport of the caller, of the callee)
    for (caller_tcp, callee_tcp) in [(false, false), (false, true), (true, false), (true, true)] {
        let mut world = World::new(1);
        let phone = |user, address, is_tcp| {
            let phone = Phone::new(user, crate::script::password(user), address);
            if is_tcp { phone.tcp() } else { phone }
        };
        let alice = world.join(phone("alice", "192.168.1.10:5060", callee_tcp));
        let bob = world.join(phone("bob", "192.168.1.30:5060", caller_tcp));
        whole_call(&mut world, bob, alice);
        let mut records = world.phones[alice].got("INVITE")[0].values("Record-Route");
        assert_eq!(records.len(), 2);
        let is_tcp: Vec<bool> = records.drain(..).map(|record| record.contains(";transport=tcp")).collect();
        assert_eq!(is_tcp, [callee_tcp, caller_tcp], "each side is told its own transport (RFC 5658)");
        world.finish();
    }
}

#[test]
fn a_stranger_calls_in_from_the_world() {
    let mut world = World::new(1);
    let alice = world.online("alice", 10, Manner::POLITE);
    let eve = world.stranger(9);
    whole_call(&mut world, eve, alice);
    let records = world.phones[alice].got("INVITE")[0].values("Record-Route");
    assert!(records[0].contains("@192.168.1.1:5060") && records[1].contains("@192.0.2.1:5060"), "{records:?}");
    world.finish();
}

#[test]
fn a_forged_way_into_a_dialog_is_no_way() {
    let mut world = World::new(1);
    let alice = world.online("alice", 10, Manner::POLITE);
    let bob = world.online("bob", 30, Manner::POLITE);
    let carol = world.online("carol", 31, Manner::POLITE);
    call(&mut world, bob, alice);
    // Carol knows everything about the dialog and may not speak as Bob, nor as herself without proof.
    let stolen = world.phones[bob].dialogs[0].clone();
    let mut cases = Vec::new();
    for (what, from, call_id, routes) in [
        ("another person's name in the dialog", "<sip:carol@home.example>;tag=x", stolen.call_id.as_str(), 0),
        ("the tokens in another dialog", stolen.local.as_str(), "another", 0),
        ("a token with a letter changed", stolen.local.as_str(), stolen.call_id.as_str(), 1),
        ("one token only", stolen.local.as_str(), stolen.call_id.as_str(), 2),
    ] {
        world.phones[carol].forget_nonces();
        let mut request = world.phones[carol].request("INFO", &stolen.target, &stolen.remote);
        request.set("From", from);
        request.set("Call-ID", call_id);
        request.set("CSeq", "900 INFO");
        for (index, route) in stolen.routes.iter().enumerate() {
            match routes {
                1 => {
                    let at = route.find("sip:").unwrap() + 12;
                    let other = if &route[at..=at] == "A" { "B" } else { "A" };
                    let mut forged = route.clone();
                    forged.replace_range(at..=at, other);
                    request.add("Route", &forged);
                }
                2 if index > 0 => {}
                _ => request.add("Route", route),
            }
        }
        world.phones[carol].manner.proves = false;
        let sent = world.send(carol, request);
        cases.push((what, world.outcome_of(sent)));
    }
    for (what, status) in cases {
        assert!(matches!(status, Some(403 | 407 | 404 | 480 | 481)), "{what}: {status:?}");
    }
    assert_eq!(world.count(alice, "INFO"), 0, "nothing forged arrives");
    in_call(&mut world, bob, alice, "BYE");
    world.finish();
}

#[test]
fn a_nat_changes_its_mapping_in_mid_call() {
    // Both as the one who calls and as the one who is called.
    for is_caller in [true, false] {
        let mut world = World::new(1);
        let nat = world.add_nat("203.0.113.5");
        let (natted, near) = if is_caller { ("bob", "alice") } else { ("alice", "bob") };
        let phone = Phone::new(natted, crate::script::password(natted), "10.0.0.2:5060").behind(nat);
        let natted = world.join(phone);
        let near = world.online(near, 10, Manner::POLITE);
        let (caller, callee) = if is_caller { (natted, near) } else { (near, natted) };
        call(&mut world, caller, callee);
        in_call(&mut world, near, natted, "INFO");
        world.rebind(nat);
        let again = world.register(natted, 1800);
        assert_eq!(world.outcome_of(again), Some(200));
        assert_eq!(world.bindings(), 2, "the binding moves, it is not doubled");
        in_call(&mut world, near, natted, "UPDATE");
        in_call(&mut world, natted, near, "INFO");
        in_call(&mut world, near, natted, "BYE");
        world.finish();
    }
}

#[test]
fn keep_alives_hold_a_nat_open_for_an_hour() {
    let mut world = World::new(1);
    let nat = world.add_nat("203.0.113.5");
    let phone = world.add(Phone::new("alice", "wonderland", "10.0.0.2:5060").behind(nat));
    let registered = world.register(phone, 7200);
    assert_eq!(world.outcome_of(registered), Some(200));
    world.run(3_600_000);
    let eve = world.stranger(9);
    let call = world.invite(eve, ALICE);
    assert_eq!(world.outcome_of(call), Some(200));
    assert!(world.count(phone, "OPTIONS") > 120);
    let bye = world.in_dialog(eve, 0, "BYE");
    assert_eq!(world.outcome_of(bye), Some(200));
    world.finish();
}

/// Shows that the NAT of this world does forget: a phone that answers no keep-alive is lost.
#[test]
fn without_answers_the_nat_forgets() {
    let mut world = World::new(1);
    let nat = world.add_nat("203.0.113.5");
    let phone = world.add(Phone::new("alice", "wonderland", "10.0.0.2:5060").behind(nat));
    let registered = world.register(phone, 3600);
    assert_eq!(world.outcome_of(registered), Some(200));
    world.phones[phone].manner = Manner::deaf();
    world.run(120_000);
    world.phones[phone].manner = Manner::POLITE;
    let eve = world.stranger(9);
    let call = world.invite(eve, ALICE);
    assert_eq!(world.outcome_of(call), Some(408));
    assert_eq!(world.count(phone, "INVITE"), 0);
    // It registers from another mapping, and is there again.
    let again = world.register(phone, 3600);
    assert_eq!(world.outcome_of(again), Some(200));
    let call = world.message(eve, ALICE);
    assert_eq!(world.outcome_of(call), Some(200));
    world.finish();
}

#[test]
fn two_phones_behind_nats_over_bad_links() {
    for seed in seeds(40) {
        let mut world = World::new(seed);
        let nats = [world.add_nat("203.0.113.5"), world.add_nat("203.0.113.6")];
        let alice = world.join(Phone::new("alice", "wonderland", "10.0.0.2:5060").behind(nats[0]));
        let bob = world.join(Phone::new("bob", "builder", "10.0.1.2:5060").behind(nats[1]));
        world.link = Link { loss: 60, ..Link::BAD };
        let up = world.invite(bob, ALICE);
        if world.outcome_of(up) == Some(200) {
            world.run(10_000);
            for round in 0..6 {
                if world.random.chance(300) {
                    let moved = world.random.below(2) as usize;
                    world.rebind(nats[moved]);
                    let again = world.register([alice, bob][moved], 1800);
                    world.outcome_of(again);
                }
                let from = if world.random.chance(500) { alice } else { bob };
                if !world.phones[from].dialogs.is_empty() {
                    let request = world.in_dialog(from, 0, if round == 5 { "BYE" } else { "INFO" });
                    world.settled(request, 60_000);
                    let status = world.outcome(request);
                    assert!(matches!(status, None | Some(200 | 408 | 480)), "{status:?}");
                }
            }
        }
        world.finish();
    }
}

#[test]
fn a_partition_heals() {
    let mut world = World::new(1);
    let alice = world.online("alice", 10, Manner::POLITE);
    let bob = world.online("bob", 30, Manner::POLITE);
    let ip = world.phones[alice].address.ip();
    world.cut.insert(ip);
    let call = world.message(bob, ALICE);
    assert_eq!(world.outcome_of(call), Some(480));
    world.cut.remove(&ip);
    let call = world.message(bob, ALICE);
    assert_eq!(world.outcome_of(call), Some(200));
    world.finish();
}
