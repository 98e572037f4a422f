//! Registrations (RFC 3261 §10, §22; RFC 5626 §5; RFC 8760) in the simulated world.

use crate::digest::Nonce;
use crate::message::{Msg, param};
use crate::phone::Phone;
use crate::world::{HOME, Link, World, seeds};
use pcsd::base::limits::BINDINGS_PER_PERSON;
use pcsd::base::net::{Port, Transport};
use pcsd::server::contract::Input;

fn contacts(answer: &Msg) -> Vec<String> {
    answer.values("Contact")
}

#[test]
fn register_refresh_and_unregister() {
    let mut world = World::new(1);
    let phone = world.phone("alice", 10);
    let first = world.register(phone, 600);
    assert_eq!(world.outcome_of(first), Some(200));
    let listed = contacts(world.answer(first));
    assert_eq!(listed.len(), 1);
    assert!(listed[0].contains("192.168.1.10") && param(&listed[0], "expires") == Some("600"), "{listed:?}");
    world.run(300_000);
    let second = world.register(phone, 700);
    assert_eq!(world.outcome_of(second), Some(200));
    assert_eq!(param(&contacts(world.answer(second))[0], "expires"), Some("700"));
    world.run(500_000);
    assert_eq!(world.bindings(), 1, "the refreshed binding lives on");
    let gone = world.register(phone, 0);
    assert_eq!(world.outcome_of(gone), Some(200));
    assert!(contacts(world.answer(gone)).is_empty());
    assert_eq!(world.bindings(), 0);
    world.finish();
}

#[test]
fn expires_on_time() {
    let mut world = World::new(1);
    let phone = world.phone("alice", 10);
    let call = world.register(phone, 60);
    world.outcome_of(call);
    world.run(58_000);
    assert_eq!(world.bindings(), 1);
    world.run(3_000);
    assert_eq!(world.bindings(), 0);
    world.finish();
}

#[test]
fn a_query_changes_nothing() {
    let mut world = World::new(1);
    let phone = world.online("alice", 10, crate::phone::Manner::POLITE);
    let now = world.now;
    let query = (phone, world.phones[phone].register_as(now, "", None));
    assert_eq!(world.outcome_of(query), Some(200));
    assert_eq!(contacts(world.answer(query)).len(), 1);
    assert_eq!(world.bindings(), 1);
    world.finish();
}

#[test]
fn too_brief_is_423_and_star_clears_all() {
    let mut world = World::new(1);
    let (one, two) = (world.phone("alice", 10), world.phone("alice", 11));
    let brief = world.register(one, 30);
    assert_eq!(world.outcome_of(brief), Some(423));
    let least: u32 = world.answer(brief).get("Min-Expires").parse().unwrap();
    for phone in [one, two] {
        let call = world.register(phone, least);
        assert_eq!(world.outcome_of(call), Some(200));
    }
    assert_eq!(world.bindings(), 2);
    let now = world.now;
    // `*` goes with Expires 0 only (§10.2.2).
    let wrong = (two, world.phones[two].register_as(now, "*", Some(60)));
    assert_eq!(world.outcome_of(wrong), Some(400));
    assert_eq!(world.bindings(), 2);
    let now = world.now;
    let star = (two, world.phones[two].register_as(now, "*", Some(0)));
    assert_eq!(world.outcome_of(star), Some(200));
    assert_eq!(world.bindings(), 0);
    world.finish();
}

#[test]
fn out_of_order_fails_and_changes_nothing() {
    let mut world = World::new(1);
    let phone = world.online("alice", 10, crate::phone::Manner::POLITE);
    world.run(1_000);
    // An older REGISTER that removes the binding arrives late (§10.3 step 7).
    world.phones[phone].register_order.1 = 0;
    let late = world.register(phone, 0);
    let status = world.outcome_of(late);
    assert!(matches!(status, Some(500..=599)), "{status:?}");
    assert_eq!(world.bindings(), 1);
    world.phones[phone].register_order.1 = 20;
    let next = world.register(phone, 0);
    assert_eq!(world.outcome_of(next), Some(200));
    assert_eq!(world.bindings(), 0);
    world.finish();
}

#[test]
fn an_instance_replaces_its_stale_binding() {
    let mut world = World::new(1);
    let instance = ";+sip.instance=\"<urn:uuid:00000000-0000-1000-8000-000a95a0e128>\"";
    let old = Phone::new("alice", "wonderland", "192.168.1.10:5060").contact(instance);
    let old = world.join(old);
    // The same phone after a restart: another address, another Call-ID.
    world.phones[old].is_off = true;
    let new = Phone::new("alice", "wonderland", "192.168.1.44:5062").contact(instance);
    let new = world.join(new);
    assert_eq!(world.bindings(), 1);
    let bob = world.phone("bob", 20);
    let call = world.invite(bob, "sip:alice@home.example");
    assert_eq!(world.outcome_of(call), Some(200));
    assert_eq!(world.count(new, "INVITE"), 1);
    world.finish();
}

#[test]
fn a_device_is_known_again_after_a_reload_that_moves_its_person() {
    let mut world = World::new(1);
    let instance = ";+sip.instance=\"<urn:uuid:00000000-0000-1000-8000-000a95a0e128>\"";
    let bob = world.join(Phone::new("bob", "builder", "192.168.1.10:5060").contact(instance));
    let text = HOME.replace("config person 'alice'\n    option password 'wonderland'\n", "");
    world.configure(0, &text);
    assert_eq!(world.bindings(), 1);
    let refreshed = world.register(bob, 600);
    assert_eq!(world.outcome_of(refreshed), Some(200));
    assert_eq!(world.bindings(), 1);
    let eve = world.stranger(9);
    let message = world.message(eve, "sip:bob@home.example");
    assert_eq!(world.outcome_of(message), Some(200));
    assert_eq!(world.count(bob, "MESSAGE"), 1);
    world.finish();
}

#[test]
fn a_contact_that_stands_twice_is_one_binding() {
    let mut world = World::new(1);
    let phone = world.phone("alice", 10);
    let uri = world.phones[phone].contact_uri();
    let now = world.now;
    let twice = format!("<{uri}>;q=0.5, <{uri}>;q=0.7");
    let call = (phone, world.phones[phone].register_as(now, &twice, Some(600)));
    assert_eq!(world.outcome_of(call), Some(200));
    assert_eq!(contacts(world.answer(call)).len(), 1);
    assert_eq!(param(&contacts(world.answer(call))[0], "q"), Some("0.700"));
    world.finish();
}

#[test]
fn both_algorithms_prove() {
    for algorithm in ["SHA-256", "MD5"] {
        let mut world = World::new(1);
        let phone = world.phone("alice", 10);
        world.phones[phone].algorithm = Some(algorithm);
        let call = world.register(phone, 600);
        assert_eq!(world.outcome_of(call), Some(200), "{algorithm}");
        let challenge = &world.phones[phone].clients[0].finals[0].1;
        let offered: Vec<&str> = challenge.lines("WWW-Authenticate").collect();
        assert!(offered[0].contains("SHA-256") && offered[1].contains("MD5"), "the stronger first: {offered:?}");
        world.finish();
    }
}

#[test]
fn wrong_password_and_unknown_person_look_alike() {
    let mut world = World::new(1);
    let wrong = world.add(Phone::new("alice", "guess", "192.168.1.66:5060"));
    let mut nobody = Phone::new("mallory", "guess", "192.168.1.67:5060");
    nobody.aor = "sip:mallory@home.example".into();
    let nobody = world.add(nobody);
    for phone in [wrong, nobody] {
        let call = world.register(phone, 600);
        assert_eq!(world.outcome_of(call), Some(401));
        let phone = &world.phones[phone];
        assert_eq!(phone.clients.len(), 2, "one challenge, one attempt");
    }
    assert_eq!(world.bindings(), 0);
    world.finish();
}

#[test]
fn a_stale_nonce_is_said_to_be_so_and_a_replay_is_refused() {
    let mut world = World::new(1);
    let phone = world.phone("alice", 10);
    let first = world.register(phone, 60);
    assert_eq!(world.outcome_of(first), Some(200));
    let used = world.phones[phone].clients[world.phones[phone].last_of(first.1)].request.clone();
    // The very same credentials again, in a request of their own.
    world.run(40_000);
    let mut replay = used.clone();
    replay.set("Via", "SIP/2.0/UDP 192.168.1.66:5060;branch=;rport");
    replay.set("CSeq", "77 REGISTER");
    replay.set("Contact", "<sip:thief@192.168.1.66:5060>");
    let thief = world.add(Phone::new("thief", "", "192.168.1.66:5060"));
    world.phones[thief].manner.proves = false;
    let now = world.now;
    let call = (thief, world.phones[thief].send_as_is(now, replay));
    assert_eq!(world.outcome_of(call), Some(401));
    assert_eq!(world.bindings(), 1);
    // After its life a nonce is stale: the phone proves itself anew without asking anybody.
    world.run(3_700_000);
    let later = world.register(phone, 600);
    assert_eq!(world.outcome_of(later), Some(200));
    let stale = &world.phones[phone].clients[later.1];
    assert_eq!(stale.finals[0].1.status(), Some(401));
    assert!(stale.finals[0].1.get("WWW-Authenticate").contains("stale=true"));
    world.finish();
}

#[test]
fn an_old_client_may_use_a_nonce_once() {
    let mut world = World::new(1);
    let phone = world.phone("alice", 10);
    world.phones[phone].manner.proves = false;
    let call = world.register(phone, 600);
    assert_eq!(world.outcome_of(call), Some(401));
    let mut nonce = Nonce::of(world.answer(call), Some("MD5")).unwrap();
    nonce.is_old = true;
    for (expected, expires) in [(200, "600"), (401, "0")] {
        let uri = "sip:home.example";
        let credentials = nonce.credentials("REGISTER", uri, "alice", "wonderland");
        let mut request = world.phones[phone].request("REGISTER", uri, "<sip:alice@home.example>");
        request.add("Expires", expires);
        request.add("Authorization", &credentials);
        let now = world.now;
        let call = (phone, world.phones[phone].send_as_is(now, request));
        assert_eq!(world.outcome_of(call), Some(expected));
    }
    assert_eq!(world.bindings(), 1);
    world.finish();
}

#[test]
fn one_person_cannot_speak_as_another() {
    let mut world = World::new(1);
    let phone = world.phone("bob", 10);
    world.phones[phone].aor = "sip:alice@home.example".into();
    let call = world.register(phone, 600);
    assert_eq!(world.outcome_of(call), Some(403));
    let alice = world.online("alice", 11, crate::phone::Manner::POLITE);
    let call = world.message(phone, "sip:alice@home.example");
    assert_eq!(world.outcome_of(call), Some(403));
    assert_eq!(world.count(alice, "MESSAGE"), 0);
    assert_eq!(world.bindings(), 1);
    world.finish();
}

#[test]
fn a_device_with_a_login_of_its_own() {
    let mut world = World::new(1);
    let mut tv = Phone::new("tv", "channel", "192.168.1.30:5060");
    tv.aor = "sip:carol@home.example".into();
    world.join(tv);
    let devices: Vec<_> = world.home().devices(world.instant()).map(|device| (device.person, device.device)).collect();
    assert_eq!(devices, [("carol", Some("tv"))]);
    world.finish();
}

#[test]
fn over_bad_links_every_phone_gets_registered_and_stays_so() {
    for seed in seeds(25) {
        let mut world = World::new(seed);
        world.link = Link::BAD;
        let phones: Vec<usize> =
            [("alice", 10), ("alice", 11), ("bob", 20)].map(|(user, last)| world.phone(user, last)).to_vec();
        for phone in &phones {
            let now = world.now;
            world.phones[*phone].stay_registered(now, 300);
        }
        world.run(60_000);
        for _ in 0..10 {
            world.run(120_000);
            assert_eq!(world.bindings(), 3);
        }
        world.finish();
    }
}

#[test]
fn a_nat_that_the_contact_tells_nothing_of_is_kept_open() {
    let mut world = World::new(1);
    let nat = world.add_nat("203.0.113.5");
    let phone = world.add(Phone::new("alice", "wonderland", "10.0.0.2:5060").behind(nat));
    let probe = world.register(phone, 600);
    assert_eq!(world.outcome_of(probe), Some(200));
    // Phones that learn their outer address from `received` and `rport` register that instead.
    let via = world.answer(probe).get("Via").to_string();
    let outer = format!("{}:{}", param(&via, "received").unwrap(), param(&via, "rport").unwrap());
    let now = world.now;
    let star = (phone, world.phones[phone].register_as(now, "*", Some(0)));
    assert_eq!(world.outcome_of(star), Some(200));
    let now = world.now;
    let call = (phone, world.phones[phone].register_as(now, &format!("<sip:alice@{outer}>"), Some(600)));
    assert_eq!(world.outcome_of(call), Some(200));
    world.run(120_000);
    let bob = world.online("bob", 30, crate::phone::Manner::POLITE);
    let message = world.message(bob, "sip:alice@home.example");
    assert_eq!(world.outcome_of(message), Some(200));
    world.finish();
}

#[test]
fn long_contacts_of_many_devices_are_no_fault() {
    let mut world = World::new(1);
    let params = format!(";pn-param=\"{}\"", "x".repeat(600));
    for last in 10..10 + BINDINGS_PER_PERSON as u8 {
        let phone = Phone::new("alice", "wonderland", &format!("192.168.1.{last}:5060")).contact(&params);
        let phone = world.join(phone);
        let client = world.phones[phone].last_of(0);
        let listed = contacts(&world.phones[phone].clients[client].finals[0].1);
        assert!(listed[0].contains(&format!("192.168.1.{last}")), "its own first");
        assert!(listed.len() >= usize::from(last - 9).min(5));
    }
    assert_eq!(world.bindings(), BINDINGS_PER_PERSON);
    world.finish();
}

#[test]
fn a_device_given_to_another_person_has_to_register_again() {
    let mut world = World::new(1);
    let mut tv = Phone::new("tv", "channel", "192.168.1.10:5060");
    tv.aor = "sip:carol@home.example".into();
    world.join(tv);
    assert_eq!(world.bindings(), 1);
    world.configure(0, &HOME.replace("option person 'carol'", "option person 'bob'"));
    assert_eq!(world.bindings(), 0);
    world.finish();
}

#[test]
fn stun_is_no_rubbish() {
    let mut world = World::new(1);
    let phone = world.phone("alice", 10);
    let lan = crate::world::LAN.parse().unwrap();
    let ports = &world.servers[0].ports;
    let port = *ports.iter().find(|(_, open)| **open == (Transport::Udp, lan)).unwrap().0;
    let mut stun = [0; 20];
    stun[..8].copy_from_slice(&[0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42]);
    for _ in 0..100 {
        let from = world.phones[phone].address;
        world.input(0, Input::Datagram { port: Port(port), from, bytes: &stun });
    }
    let call = world.register(phone, 600);
    assert_eq!(world.outcome_of(call), Some(200));
    assert_eq!(world.home().status(world.instant()).counters.malformed, 0);
    world.finish();
}
