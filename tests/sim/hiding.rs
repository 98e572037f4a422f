//! Nobody outside learns where a device is (home/proxy/veil.rs, sip/mask.rs): no address of one leaves a home in any head,
//! in any run of this world, and what comes back finds its way all the same.

use std::net::SocketAddr;

use crate::message::{Msg, uri_of};
use crate::names::Record;
use crate::phone::{Manner, Phone};
use crate::world::{HOME, Link, WAN, World, seeds};

const ALICE: &str = "sip:alice@home.example";
const CARL: &str = "sip:carl@other.test";

impl World {
    /// Judges a message that leaves a server: when it goes out of the home, no address of a device of it is in the head.
    pub(crate) fn leaves(&self, server: usize, to: SocketAddr, msg: &Msg) {
        let host = &self.servers[server];
        let domain = format!("@{}", host.domain());
        let own = |phone: &&Phone| !phone.is_outside && phone.aor.ends_with(&domain);
        let ips = |phone: &Phone| {
            let nat = phone.nat.map(|nat| self.nats[nat].ip);
            [Some(phone.address.ip()), nat].into_iter().flatten()
        };
        if self.phones.iter().filter(own).any(|phone| ips(phone).any(|ip| ip == to.ip())) {
            return;
        }
        let mut head = msg.clone();
        head.body.clear();
        if msg.status().is_some() {
            // What who asked has written himself.
            ["Via", "From", "To", "Call-ID"].iter().for_each(|name| head.remove(name));
        }
        let text = String::from_utf8_lossy(&head.bytes()).into_owned();
        for phone in self.phones.iter().filter(own) {
            let shown = ips(phone).map(|ip| ip.to_string()).find(|ip| has(&text, ip));
            let shown = shown.or(encoded(phone.address).into_iter().find(|form| text.contains(form)));
            assert_eq!(shown, None, "of {} is told to {to}:\n{text}", phone.name);
        }
    }
}

/// Whether a text has an address that does not go on in it.
fn has(text: &str, form: &str) -> bool {
    text.match_indices(form).any(|(at, _)| {
        let is_digit = |c: Option<char>| c.is_some_and(|c| c.is_ascii_digit());
        !is_digit(text[at + form.len()..].chars().next()) && !is_digit(text[..at].chars().next_back())
    })
}

/// The characters that the bytes of an address and its port surely make in base64url, at whatever place.
fn encoded(address: SocketAddr) -> Vec<String> {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let SocketAddr::V4(address) = address else { panic!("phones have IPv4 addresses here") };
    let bytes = [&address.ip().octets()[..], &address.port().to_be_bytes()].concat();
    let bits: Vec<u8> = bytes.iter().flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1)).collect();
    // What is before it takes up 0, 2 or 4 bits of its first character.
    let from = [0, 4, 2];
    let text = |from: usize| {
        let characters = bits[from..].chunks_exact(6);
        characters.map(|six| LETTERS[six.iter().fold(0, |sum, bit| sum << 1 | usize::from(*bit))] as char).collect()
    };
    from.map(text).to_vec()
}

#[test]
fn the_judge_sees_what_is_shown() {
    assert!(has("m: <sip:a@192.168.1.10:5060>", "192.168.1.10") && !has("192.168.1.101 1192.168.1.10", "192.168.1.10"));
    // What Python's base64 makes of 0, 1 and 2 bytes and then 192.168.1.10:5060.
    let forms = encoded("192.168.1.10:5060".parse().unwrap());
    for (text, form) in ["wKgBChPE", "AMCoAQoTxA", "AADAqAEKE8Q"].iter().zip(forms) {
        assert!(text.contains(&form), "{text} {form}");
    }
}

/// Alice, whose phone writes where it is wherever it can, and a peer outside who is found by a name.
fn worlds(seed: u64, is_natted: bool, is_tcp: bool) -> (World, usize, usize) {
    let mut world = World::new(seed);
    world.add_names(
        "198.51.100.53:53",
        &[
            ("_sip._udp.other.test", Record::service(10, 1, 5060, "one.other.test")),
            ("one.other.test", Record::address("198.51.100.21")),
        ],
    );
    world.ask_names_of(0, &["198.51.100.53:53"]);
    let mut alice = match is_natted {
        false => Phone::new("alice", "wonderland", "192.168.1.10:5060"),
        true => {
            let nat = world.add_nat("203.0.113.5");
            Phone::new("alice", "wonderland", "10.0.0.2:5062").behind(nat)
        }
    };
    if is_tcp {
        alice = alice.tcp();
    }
    talkative(&mut alice);
    let alice = world.join(alice);
    let carl = world.add(Phone::new("carl", "", "198.51.100.21:5060").stranger(CARL));
    (world, alice, carl)
}

/// Has a phone name itself in many ways.
fn talkative(phone: &mut Phone) {
    let ip = phone.address.ip();
    phone.names_itself = true;
    phone.contact_params = ";+sip.instance=\"<urn:uuid:00000000-0000-1000-8000-000A95A0E128>\"".into();
    phone.more_fields = [
        ("Warning", format!("399 {} \"no way to {ip}:5060\"", phone.address)),
        ("Call-Info", format!("<http://{ip}/alice.png>;purpose=icon, <http://www.home.example/>;purpose=info")),
        ("Reply-To", format!("\"Alice at {ip}\" <sip:alice@{}>", phone.address)),
        ("P-Preferred-Identity", format!("<sip:alice@{ip}>")),
        ("X-Anything", format!("from={ip};[::ffff:{ip}]:5060;version=1.2.3.4")),
        ("Subject", "Lunch at 12.30?".into()),
    ]
    .map(|(name, value)| (name.to_string(), value))
    .to_vec();
}

/// Has it say less, so that a call fits a datagram; what it said.
fn brief(phone: &mut Phone) -> Vec<(String, String)> {
    phone.contact_params.clear();
    std::mem::take(&mut phone.more_fields)
}

/// A request in the last dialog, which arrives with the receiver's own address and is answered.
fn in_call(world: &mut World, from: usize, to: usize, method: &str) -> Msg {
    let before = world.count(to, method);
    let dialog = world.phones[from].dialogs.len() - 1;
    let request = world.in_dialog(from, dialog, method);
    assert_eq!(world.outcome_of(request), Some(200), "{method} from {}", world.phones[from].name);
    assert_eq!(world.count(to, method), before + 1);
    let got = world.phones[to].got(method).last().copied().cloned().unwrap();
    assert_eq!(got.uri(), world.phones[to].contact_uri(), "{method}: the Request-URI is its own again");
    assert_eq!(got.get("Call-ID"), world.phones[to].dialogs.last().unwrap().call_id);
    world.run(500);
    got
}

fn whole_call(world: &mut World, caller: usize, callee: usize, uri: &str) {
    let call = world.invite(caller, uri);
    assert_eq!(world.outcome_of(call), Some(200));
    world.run(1_000);
    assert_eq!(world.count(callee, "ACK"), world.count(callee, "INVITE"), "the ACK goes all the way");
    for method in ["INVITE", "UPDATE", "INFO", "PRACK", "REFER", "OPTIONS"] {
        in_call(world, caller, callee, method);
        in_call(world, callee, caller, method);
    }
}

#[test]
fn calls_in_both_directions() {
    for (is_natted, is_tcp) in [(false, false), (false, true), (true, false)] {
        for hangs_up in 0..2 {
            let (mut world, alice, carl) = worlds(1, is_natted, is_tcp);
            whole_call(&mut world, alice, carl, CARL);
            in_call(&mut world, [alice, carl][hangs_up], [carl, alice][hangs_up], "BYE");
            let (mut world, alice, carl) = worlds(1, is_natted, is_tcp);
            whole_call(&mut world, carl, alice, ALICE);
            in_call(&mut world, [alice, carl][hangs_up], [carl, alice][hangs_up], "BYE");
            world.finish();
        }
    }
}

#[test]
fn what_is_shown_instead() {
    let (mut world, alice, carl) = worlds(1, false, false);
    let message = world.message(alice, CARL);
    assert_eq!(world.outcome_of(message), Some(200));
    let got = world.phones[carl].got("MESSAGE")[0].clone();
    assert_eq!(got.get("Warning"), format!("399 {WAN} \"no way to {WAN}\""));
    let info = "<http://192.0.2.1/alice.png>;purpose=icon, <http://www.home.example/>;purpose=info";
    assert_eq!(got.get("Call-Info"), info);
    assert_eq!(got.get("Reply-To"), format!("\"Alice at 192.0.2.1\" <sip:alice@{WAN}>"));
    assert_eq!(got.get("X-Anything"), format!("from=192.0.2.1;{WAN};version=1.2.3.4"));
    assert_eq!((got.get("Subject"), got.get("User-Agent")), ("Lunch at 12.30?", "simulated"));
    let fields = brief(&mut world.phones[alice]);
    let call = world.invite(alice, CARL);
    assert_eq!(world.outcome_of(call), Some(200));
    let got = world.phones[carl].got("INVITE")[0].clone();
    assert_eq!(got.values("Via").len(), 1, "ours alone: {:?}", got.values("Via"));
    let contact = got.get("Contact");
    assert!(contact.starts_with("<sip:m1-") && contact.ends_with(&format!("@{WAN}>")), "{contact}");
    assert!(got.get("Call-ID").starts_with("m1-"), "{}", got.get("Call-ID"));
    assert_eq!(got.tag("From"), world.phones[alice].dialogs[0].local.split_once("tag=").unwrap().1);
    // She sees him as he is, and her own words as she wrote them.
    let answer = world.answer(call);
    assert_eq!(uri_of(answer.get("Contact")), world.phones[carl].contact_uri());
    assert!(answer.get("Call-ID").ends_with("@192.168.1.10:5060"));
    // What she answers him is hidden as well.
    world.phones[alice].more_fields = fields;
    let call = world.invite(carl, ALICE);
    assert_eq!(world.outcome_of(call), Some(200));
    let answer = world.answer(call);
    assert_eq!(answer.get("Contact"), contact, "the same device is the same");
    assert_eq!(answer.get("Warning"), format!("399 {WAN} \"no way to {WAN}\""));
    assert_eq!(world.phones[carl].clients[call.1].provisional[0].1.get("Contact"), contact, "a ringing, too");
    for dialog in 0..2 {
        let bye = world.in_dialog(carl, dialog, "BYE");
        assert_eq!(world.outcome_of(bye), Some(200));
    }
    world.finish();
}

/// What one home hides the other passes on: masks within masks.
#[test]
fn between_two_homes() {
    let other = "
config pcsd 'main'
    option domain 'other.test'
    list listen 'udp:0.0.0.0:5060'
    list listen 'tcp:0.0.0.0:5060'
config person 'carl'
    option password 'sagan'
config peer 'home'
    option domain 'home.example'
    option address '192.0.2.1:5060'
    option transport 'udp'
";
    let peer = "config peer 'carls'\n    option domain 'other.test'\n    option address '203.0.113.1:5060'\n    option transport 'udp'\n";
    let mut world = World::new(1);
    world.configure(0, &format!("{HOME}{peer}"));
    world.host(other, &[("192.168.7.1", 24, false), ("203.0.113.1", 24, true)]);
    let mut alice = Phone::new("alice", "wonderland", "192.168.1.10:5060");
    let mut carl = Phone::new("carl", "sagan", "192.168.7.20:5060");
    (carl.aor, carl.proxy) = (CARL.into(), "192.168.7.1:5060".parse().unwrap());
    talkative(&mut alice);
    talkative(&mut carl);
    let (alice, carl) = (world.join(alice), world.join(carl));
    for (caller, callee, uri) in [(alice, carl, CARL), (carl, alice, ALICE)] {
        let call = world.message(caller, uri);
        assert_eq!(world.outcome_of(call), Some(200));
        for hangs_up in [caller, callee] {
            let call = world.invite(caller, uri);
            assert_eq!(world.outcome_of(call), Some(200));
            world.run(1_000);
            let dialog = world.phones[caller].dialogs.len() - 1;
            for one in [callee, caller] {
                let again = world.in_dialog(one, dialog, "INVITE");
                assert_eq!(world.outcome_of(again), Some(200));
                world.run(500);
            }
            let bye = world.in_dialog(hangs_up, dialog, "BYE");
            assert_eq!(world.outcome_of(bye), Some(200));
        }
    }
    world.finish();
}

#[test]
fn messages_and_subscriptions() {
    let (mut world, alice, carl) = worlds(1, false, false);
    for (from, to, uri) in [(alice, carl, CARL), (carl, alice, ALICE)] {
        let call = world.message(from, uri);
        assert_eq!(world.outcome_of(call), Some(200));
        assert_eq!(world.count(to, "MESSAGE"), 1);
        if from == carl {
            // What her devices do is told to nobody outside, and nobody outside tells them.
            for method in ["SUBSCRIBE", "NOTIFY"] {
                let mut request = world.phones[carl].request(method, ALICE, &format!("<{ALICE}>"));
                request.add("Event", "dialog");
                let before = world.count(alice, method);
                let call = world.send(carl, request);
                assert_eq!(world.outcome_of(call), Some(403), "{method}");
                assert_eq!(world.count(alice, method), before, "{method}");
            }
            continue;
        }
        // A package that is between the two.
        let mut request = world.phones[from].request("SUBSCRIBE", uri, &format!("<{uri}>"));
        request.add("Event", "dialog");
        let call = world.send(from, request);
        assert_eq!(world.outcome_of(call), Some(200));
        for _ in 0..2 {
            let notify = in_call(&mut world, to, from, "NOTIFY");
            let is_shown = !notify.get("Contact").starts_with("<sip:m1-");
            assert_eq!(is_shown, to == carl, "{}", notify.get("Contact"));
        }
        in_call(&mut world, from, to, "SUBSCRIBE");
    }
    world.finish();
}

#[test]
fn a_refusal_names_nobody() {
    for status in [302, 401, 404, 488, 603] {
        let (mut world, alice, carl) = worlds(1, false, false);
        world.phones[alice].manner = Manner { message: Some(status), ..Manner::answering(10, status) };
        let elsewhere = "<sip:bob@192.168.1.30:5060>;q=0.5, <sip:alice@work.example;x=1>;q=0.2";
        world.phones[alice].more_fields.push(("Contact".into(), elsewhere.into()));
        world.phones[alice].more_fields.push(("WWW-Authenticate".into(), "Digest realm=\"192.168.1.10\"".into()));
        for call in [world.invite(carl, ALICE), world.message(carl, ALICE)] {
            assert_eq!(world.outcome_of(call), Some(status));
            if status == 302 {
                let contacts = world.answer(call).values("Contact");
                assert!(contacts[0].starts_with("<sip:m1-") && contacts[0].ends_with(">;q=0.5"), "{contacts:?}");
                assert_eq!(contacts[1], "<sip:alice@work.example;x=1>;q=0.2", "a way to elsewhere is told");
            }
        }
        world.finish();
    }
}

#[test]
fn a_mask_is_no_way_in_for_strangers() {
    let (mut world, alice, carl) = worlds(1, false, false);
    let bob = world.online("bob", 30, Manner::POLITE);
    let call = world.invite(alice, CARL);
    assert_eq!(world.outcome_of(call), Some(200));
    let mask = uri_of(world.phones[carl].got("INVITE")[0].get("Contact")).to_string();
    for (from, expected) in [(carl, 403), (bob, 200)] {
        let call = world.message(from, &mask);
        assert_eq!(world.outcome_of(call), Some(expected));
    }
    assert_eq!(world.phones[alice].got("MESSAGE")[0].uri(), world.phones[alice].contact_uri());
    // One that was not made here is nobody.
    let forged = mask.replacen("m1-", "m1-A", 1);
    let call = world.message(bob, &forged);
    assert_eq!(world.outcome_of(call), Some(404));
    let bye = world.in_dialog(carl, 0, "BYE");
    assert_eq!(world.outcome_of(bye), Some(200));
    // A device that has gone is not there.
    let gone = world.register(alice, 0);
    assert_eq!(world.outcome_of(gone), Some(200));
    let call = world.message(bob, &mask);
    assert_eq!(world.outcome_of(call), Some(480));
    world.finish();
}

#[test]
fn a_restart_in_the_middle_of_a_dialog() {
    for from_alice in [true, false] {
        let (mut world, alice, carl) = worlds(1, false, false);
        brief(&mut world.phones[alice]);
        let (caller, callee, uri) = if from_alice { (alice, carl, CARL) } else { (carl, alice, ALICE) };
        let call = world.invite(caller, uri);
        assert_eq!(world.outcome_of(call), Some(200));
        world.run(1_000);
        world.restart(0);
        for method in ["INVITE", "INFO"] {
            in_call(&mut world, caller, callee, method);
            in_call(&mut world, callee, caller, method);
        }
        world.restart(0);
        in_call(&mut world, callee, caller, "BYE");
        world.finish();
    }
}

/// Several 2xx to one call, the last of them after all else is over: each finds the caller.
#[test]
fn late_answers_find_the_caller() {
    let (mut world, alice, _) = worlds(1, false, false);
    let fork = world.add(Phone::new("carl", "", "198.51.100.77:5060").stranger("sip:x@198.51.100.77"));
    world.phones[fork].manner = Manner { rings: false, answer: None, ..Manner::POLITE };
    let call = world.invite(alice, "sip:x@198.51.100.77");
    world.run(1_000);
    let invite = world.phones[fork].got("INVITE")[0].clone();
    world.phones[fork].is_sink = true;
    // She hangs up on all but the first: these BYEs differ in their tags only.
    world.phones[fork].may_get_twice = true;
    for (tag, after_ms) in [("one", 1_000), ("two", 4_000), ("three", 20_000)] {
        let mut answer = Msg::answer(&invite, 200, tag);
        answer.add("Contact", "<sip:x@198.51.100.77:5060>");
        world.inject("198.51.100.77:5060", WAN, &answer.bytes());
        // It comes twice.
        world.run(500);
        world.inject("198.51.100.77:5060", WAN, &answer.bytes());
        world.run(after_ms);
    }
    let finals = &world.phones[alice].clients[world.phones[alice].last_of(call.1)].finals;
    let tags: Vec<&str> = finals.iter().map(|(_, answer)| answer.tag("To")).collect();
    assert_eq!(tags, ["one", "two", "three"]);
    world.phones[fork].manner = Manner { answer: Some((0, 200)), ..Manner::POLITE };
    let bye = world.in_dialog(alice, 0, "BYE");
    assert_eq!(world.outcome_of(bye), Some(200));
    world.phones[fork].manner.is_deaf = true;
    world.finish();
}

/// An answer with a Via more than it should have, or with none but a forged one, is no way to Alice.
#[test]
fn the_vias_of_an_answer_do_not_count() {
    let (mut world, alice, _) = worlds(1, false, false);
    let far = world.add(Phone::new("carl", "", "198.51.100.77:5060").stranger("sip:x@198.51.100.77"));
    world.phones[far].manner = Manner { message: None, ..Manner::POLITE };
    let call = world.message(alice, "sip:x@198.51.100.77");
    world.run(1_000);
    let request = world.phones[far].got("MESSAGE")[0].clone();
    let mut answer = Msg::answer(&request, 200, "x");
    answer.fields.insert(1, ("Via".into(), "SIP/2.0/UDP 192.168.1.30:5060;branch=z9hG4bKforged".into()));
    answer.set("Call-ID", "another");
    world.inject("198.51.100.77:5060", WAN, &answer.bytes());
    assert_eq!(world.outcome_of(call), Some(200));
    assert_eq!(world.answer(call).get("Call-ID"), world.phones[alice].clients[call.1].request.get("Call-ID"));
    world.finish();
}

/// A call takes another's place: the Call-ID that is named is the one that is known.
#[test]
fn named_dialogs_are_translated() {
    let (mut world, alice, carl) = worlds(1, false, false);
    let call = world.invite(alice, CARL);
    assert_eq!(world.outcome_of(call), Some(200));
    let inside = world.phones[alice].dialogs[0].call_id.clone();
    let outside = world.phones[carl].dialogs[0].call_id.clone();
    assert_ne!(inside, outside);
    for (from, to, uri, said, heard) in
        [(alice, carl, CARL, &inside, &outside), (carl, alice, ALICE, &outside, &inside)]
    {
        let mut request = world.phones[from].request("OPTIONS", uri, &format!("<{uri}>"));
        request.add("Replaces", &format!("{said};to-tag=a;from-tag=b"));
        request.add("Target-Dialog", &format!("{said};local-tag=a;remote-tag=b"));
        request.add("In-Reply-To", &format!("foreign@198.51.100.21, {said}"));
        let call = world.send(from, request);
        assert_eq!(world.outcome_of(call), Some(200));
        let got = world.phones[to].got("OPTIONS").last().copied().cloned().unwrap();
        assert_eq!(got.get("Replaces"), format!("{heard};to-tag=a;from-tag=b"));
        assert_eq!(got.get("Target-Dialog"), format!("{heard};local-tag=a;remote-tag=b"));
        assert_eq!(got.get("In-Reply-To"), format!("foreign@198.51.100.21, {heard}"));
    }
    let bye = world.in_dialog(carl, 0, "BYE");
    assert_eq!(world.outcome_of(bye), Some(200));
    world.finish();
}

/// Calls between the home and the world over bad links, with restarts: repetitions and all, no address is told.
#[test]
fn over_bad_links() {
    for seed in seeds(60) {
        let is_natted = seed % 3 == 0;
        let (mut world, alice, carl) = worlds(seed, is_natted, seed % 3 == 1);
        for phone in [alice, carl] {
            world.phones[phone].may_get_twice = true;
        }
        world.link = Link { loss: 80, duplicate: 80, ..Link::BAD };
        for _ in 0..6 {
            let is_out = world.random.chance(500);
            let (from, uri) = if is_out { (alice, CARL) } else { (carl, ALICE) };
            let call = if world.random.chance(700) { world.invite(from, uri) } else { world.message(from, uri) };
            let wait = world.random.below(5_000);
            world.run(wait);
            match world.random.below(6) {
                0 => world.restart(0),
                1 => world.cancel(call),
                _ => {}
            }
            world.run(3_000);
            for phone in [alice, carl] {
                if !world.phones[phone].dialogs.is_empty() && world.random.chance(700) {
                    let dialog = world.phones[phone].dialogs.len() - 1;
                    let method = ["INFO", "UPDATE", "BYE"][world.random.below(3) as usize];
                    world.in_dialog(phone, dialog, method);
                }
            }
            let rest = world.random.below(20_000);
            world.run(rest);
        }
        world.finish();
    }
}
