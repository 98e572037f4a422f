//! Calls that the answering machine takes (server/machine.rs, sip/call.rs, media/session.rs): when it answers, what it
//! records, and what becomes of it when links, disks, ports or callers fail.

use std::net::SocketAddr;

use crate::delegation::{ALICE, with_disk, with_spool};
use crate::kept::Item;
use crate::message::uri_of;
use crate::phone::voice::{PACKET_BYTES, heard_at};
use crate::phone::{Manner, Phone};
use crate::script::Call;
use crate::world::{HOME, World, seeds};
use pcsd::base::limits::{LETTERS_PER_STRANGER, RECORDINGS, STRANGER_SENDERS};
use pcsd::spool::Kind;

/// A person of the first home, or somebody else, with a phone that speaks, registered.
fn caller(world: &mut World, user: &str, last: u8) -> usize {
    let phone = Phone::new(user, crate::script::password(user), &format!("192.168.1.{last}:5060"));
    world.join(phone.speaking())
}

/// Somebody from outside with a phone that speaks.
fn stranger(world: &mut World, last: u8) -> usize {
    let phone = Phone::new("eve", "", &format!("198.51.100.{last}:5060"));
    world.add(phone.stranger(&format!("sip:eve{last}@elsewhere.example")).speaking())
}

/// Whether the machine has answered a call: its Contact is the home's own.
fn is_by_machine(world: &World, call: Call) -> bool {
    uri_of(world.answer(call).get("Contact")).starts_with("sip:pcs@")
}

/// Waits until a call is answered by the machine, and its greeting and beep are over; where it hears.
fn recorded_at(world: &mut World, call: Call) -> SocketAddr {
    assert_eq!(world.outcome_of(call), Some(200));
    assert!(is_by_machine(world, call), "by the machine");
    let machine = heard_at(world.answer(call)).expect("it says where it hears");
    let (phone, client) = (&world.phones[call.0], call.1);
    let answered_at = phone.clients[phone.last_of(client)].finals[0].0;
    let heard = |world: &World| world.phones[call.0].voice.as_ref().and_then(|voice| voice.heard_at());
    let is_over = |world: &World| {
        let begun = heard(world).filter(|at| *at >= answered_at);
        begun.is_some_and(|at| world.now > at + 100)
    };
    while !is_over(world) {
        assert!(world.now < answered_at + 60_000, "a greeting without an end");
        world.run(20);
    }
    machine
}

/// Sound that is not silence: so many seconds of it, no two packets alike.
fn sound(seconds: usize) -> Vec<u8> {
    (0..seconds * 8_000).map(|at| (at * 7 + at / PACKET_BYTES) as u8).collect()
}

fn say(world: &mut World, phone: usize, to: SocketAddr, sound: &[u8]) {
    let now = world.now;
    world.phones[phone].voice.as_mut().unwrap().say(now, to, sound);
    world.run(sound.len() as u64 / 8 + 10);
    assert!(world.phones[phone].voice.as_ref().unwrap().is_done());
}

/// The last dialog of a phone ends.
fn hang_up(world: &mut World, phone: usize) {
    let dialog = world.phones[phone].dialogs.len() - 1;
    let bye = world.in_dialog(phone, dialog, "BYE");
    assert_eq!(world.outcome_of(bye), Some(200));
    world.run(2_000);
}

fn kinds(items: &[Item]) -> Vec<Kind> {
    items.iter().map(|item| item.kind).collect()
}

fn contains(blob: &[u8], sound: &[u8]) -> bool {
    sound.is_empty() || blob.windows(sound.len()).any(|window| window == sound)
}

#[test]
fn nobody_is_there_and_what_is_said_is_recorded_byte_for_byte() {
    for payload_type in [0, 8] {
        let mut world = with_disk(1);
        let bob = caller(&mut world, "bob", 30);
        world.phones[bob].voice.as_mut().unwrap().payload_type = payload_type;
        let called_at = world.now;
        let call = world.invite(bob, ALICE);
        assert_eq!(world.outcome_of(call), Some(200));
        assert!(world.now - called_at < 500, "there is nobody to wait for");
        let machine = recorded_at(&mut world, call);
        let said = sound(3);
        say(&mut world, bob, machine, &said);
        world.run(400);
        hang_up(&mut world, bob);
        let kept = world.kept(0);
        assert_eq!(kinds(&kept), [Kind::Voice]);
        assert_eq!((kept[0].from.as_str(), kept[0].state), ("bob@home.example", 0));
        assert!(contains(&kept[0].content, &said), "{} bytes", kept[0].content.len());
        let (milliseconds, bytes) = (kept[0].milliseconds, kept[0].content.len());
        assert_eq!(milliseconds as usize, bytes / 8, "its length is that of its sound");
        assert!((3_000..5_000).contains(&milliseconds), "{milliseconds} ms");
        world.finish();
    }
}

#[test]
fn it_answers_after_twenty_seconds_and_the_devices_are_cancelled() {
    let mut world = with_disk(1);
    let alice = world.online("alice", 10, Manner::ringing());
    let bob = caller(&mut world, "bob", 30);
    let called_at = world.now;
    let call = world.invite(bob, ALICE);
    assert_eq!(world.outcome_of(call), Some(200));
    let waited = world.now - called_at;
    assert!((20_000..20_500).contains(&waited), "{waited} ms");
    world.run(500);
    assert_eq!(world.count(alice, "CANCEL"), 1);
    let machine = recorded_at(&mut world, call);
    say(&mut world, bob, machine, &sound(2));
    hang_up(&mut world, bob);
    assert_eq!(kinds(&world.kept(0)), [Kind::Voice], "and no missed call beside it");
    world.finish();
}

#[test]
fn a_device_that_answers_in_time_has_the_call() {
    let mut world = with_disk(1);
    let alice = world.online("alice", 10, Manner::answering(19_000, 200));
    let bob = caller(&mut world, "bob", 30);
    let call = world.invite(bob, ALICE);
    assert_eq!(world.outcome_of(call), Some(200));
    assert!(!is_by_machine(&world, call));
    world.run(10_000);
    assert_eq!(world.count(alice, "ACK"), 1);
    let bye = world.in_dialog(bob, 0, "BYE");
    assert_eq!(world.outcome_of(bye), Some(200));
    assert!(world.kept(0).is_empty());
    world.finish();
}

#[test]
fn a_device_that_races_the_machine_still_gets_through() {
    let mut world = with_disk(1);
    let alice = world.online("alice", 10, Manner { races_cancel: true, ..Manner::ringing() });
    let bob = caller(&mut world, "bob", 30);
    let call = world.invite(bob, ALICE);
    assert_eq!(world.outcome_of(call), Some(200));
    assert!(is_by_machine(&world, call));
    world.run(3_000);
    let client = &world.phones[bob].clients[world.phones[bob].last_of(call.1)];
    assert_eq!(client.finals.len(), 2, "both 2xx");
    assert_eq!((world.count(alice, "ACK"), world.count(alice, "BYE")), (1, 1), "acknowledged, and hung up on");
    let dialog = world.phones[bob].dialogs.iter().position(|dialog| !dialog.is_over).unwrap();
    let bye = world.in_dialog(bob, dialog, "BYE");
    assert_eq!(world.outcome_of(bye), Some(200));
    world.finish();
}

#[test]
fn busy_declined_broken_and_by_rule() {
    for status in [486, 603, 480, 500, 488] {
        let mut world = with_disk(1);
        world.online("alice", 10, Manner::answering(1_000, status));
        let bob = caller(&mut world, "bob", 30);
        let called_at = world.now;
        let call = world.invite(bob, ALICE);
        assert_eq!(world.outcome_of(call), Some(200), "after {status}");
        assert!(is_by_machine(&world, call) && world.now - called_at < 2_000, "after {status}");
        hang_up(&mut world, bob);
        world.finish();
    }
    let mut world = with_disk(1);
    let alice = world.online("alice", 10, Manner::POLITE);
    let rule = "config rule\n option person 'alice'\n list who 'anyone'\n option calls 'answer'\n";
    world.configure(0, &format!("{HOME}{rule}"));
    let eve = stranger(&mut world, 9);
    let call = world.invite(eve, ALICE);
    assert_eq!(world.outcome_of(call), Some(200));
    assert!(is_by_machine(&world, call));
    assert_eq!(world.count_of_others(alice, "INVITE"), 0);
    hang_up(&mut world, eve);
    world.finish();
}

#[test]
fn without_a_machine_the_call_rings_on_and_is_noted() {
    let mut world = with_disk(1);
    world.configure(0, &HOME.replace("'wonderland'", "'wonderland'\n    option answering '0'"));
    let alice = world.online("alice", 10, Manner::ringing());
    let bob = caller(&mut world, "bob", 30);
    let call = world.invite(bob, ALICE);
    world.run(30_000);
    assert_eq!(world.outcome(call), None, "it rings");
    world.cancel(call);
    assert_eq!(world.outcome_of(call), Some(487));
    world.run(2_000);
    assert_eq!(world.count(alice, "CANCEL"), 1);
    let kept = world.kept(0);
    assert_eq!(kinds(&kept), [Kind::Call]);
    assert_eq!((kept[0].from.as_str(), kept[0].milliseconds), ("bob@home.example", 30_000));
    world.finish();
}

#[test]
fn a_caller_who_gives_up_before_the_machine_is_a_missed_call() {
    let mut world = with_disk(1);
    world.online("alice", 10, Manner::ringing());
    let eve = stranger(&mut world, 9);
    for ringing_ms in [300, 5_000, 19_990] {
        let call = world.invite(eve, ALICE);
        world.run(ringing_ms);
        world.cancel(call);
        assert_eq!(world.outcome_of(call), Some(487));
        world.run(1_000);
    }
    let kept = world.kept(0);
    assert_eq!(kinds(&kept), [Kind::Call; 3]);
    assert!(kept.iter().map(|item| item.milliseconds).eq([0, 5_000, 19_000]), "{kept:?}");
    world.finish();
}

#[test]
fn who_calls_herself_does_not_get_the_machine() {
    let mut world = with_disk(1);
    let alice = caller(&mut world, "alice", 10);
    let call = world.invite(alice, ALICE);
    assert_eq!(world.outcome_of(call), Some(480));
    assert!(world.kept(0).iter().all(|item| item.kind != Kind::Voice));
    world.finish();
}

#[test]
fn a_caller_who_hangs_up_in_the_greeting_is_a_missed_call() {
    let mut world = with_disk(1);
    let bob = caller(&mut world, "bob", 30);
    for after_ms in [0, 100, 1_500] {
        let call = world.invite(bob, ALICE);
        assert_eq!(world.outcome_of(call), Some(200));
        world.run(after_ms);
        hang_up(&mut world, bob);
    }
    // Nothing is said after the beep.
    let call = world.invite(bob, ALICE);
    recorded_at(&mut world, call);
    hang_up(&mut world, bob);
    let kept = world.kept(0);
    assert_eq!(kinds(&kept), [Kind::Call; 4]);
    assert!(kept.iter().all(|item| item.content.is_empty()));
    world.finish();
}

#[test]
fn a_caller_who_gives_up_while_ports_are_opened() {
    for (port_ms, cancel_ms) in [(500, 200), (500, 498), (500, 502), (50, 40)] {
        let mut world = with_disk(1);
        world.servers[0].port_ms = port_ms;
        let eve = stranger(&mut world, 9);
        let call = world.invite(eve, ALICE);
        world.run(cancel_ms);
        world.cancel(call);
        let status = world.outcome_of(call);
        world.run(2_000);
        match status {
            Some(487) => assert_eq!(kinds(&world.kept(0)), [Kind::Call]),
            Some(200) => hang_up(&mut world, eve),
            other => panic!("{other:?}"),
        }
        assert_eq!(world.servers[0].ports.keys().filter(|port| **port >= 40).count(), 0, "all are closed");
        world.finish();
    }
}

#[test]
fn no_ack_and_the_answer_is_repeated_then_it_hangs_up() {
    let mut world = with_disk(1);
    let eve = stranger(&mut world, 9);
    world.phones[eve].manner.loses_acks = true;
    let call = world.invite(eve, ALICE);
    assert_eq!(world.outcome_of(call), Some(200));
    let answered_at = world.now;
    world.run(31_000);
    assert_eq!(world.count(eve, "BYE"), 0);
    world.run(3_000);
    let byes: Vec<u64> =
        world.phones[eve].requests.iter().filter(|(_, it)| it.method() == "BYE").map(|(at, _)| *at).collect();
    assert_eq!(byes.len(), 1);
    assert!((31_900..33_000).contains(&(byes[0] - answered_at)), "{} ms", byes[0] - answered_at);
    assert_eq!(kinds(&world.kept(0)), [Kind::Call]);
    world.finish();
}

#[test]
fn without_a_common_codec_it_is_488() {
    let mut world = with_disk(1);
    let eve = stranger(&mut world, 9);
    world.phones[eve].voice.as_mut().unwrap().payload_type = 18;
    let call = world.invite(eve, ALICE);
    assert_eq!(world.outcome_of(call), Some(488));
    world.run(2_000);
    assert_eq!(kinds(&world.kept(0)), [Kind::Call], "she is told that somebody called");
    world.finish();
}

#[test]
fn an_offer_in_the_answer_is_answered_in_the_ack() {
    let mut world = with_disk(1);
    let eve = stranger(&mut world, 9);
    world.phones[eve].voice.as_mut().unwrap().is_late = true;
    let call = world.invite(eve, ALICE);
    let machine = recorded_at(&mut world, call);
    let said = sound(1);
    say(&mut world, eve, machine, &said);
    hang_up(&mut world, eve);
    let kept = world.kept(0);
    assert_eq!(kinds(&kept), [Kind::Voice]);
    assert!(contains(&kept[0].content, &said));
    world.finish();
}

#[test]
fn the_key_hash_ends_it() {
    let mut world = with_disk(1);
    let eve = stranger(&mut world, 9);
    let call = world.invite(eve, ALICE);
    let machine = recorded_at(&mut world, call);
    let said = sound(2);
    say(&mut world, eve, machine, &said);
    let now = world.now;
    world.phones[eve].voice.as_mut().unwrap().press_hash(now, machine);
    world.run(1_000);
    assert_eq!(world.count(eve, "BYE"), 1);
    let kept = world.kept(0);
    assert!(contains(&kept[0].content, &said) && kept[0].milliseconds < 3_500, "{} ms", kept[0].milliseconds);
    // The caller did the same a moment later.
    let bye = world.in_dialog(eve, 0, "BYE");
    assert_eq!(world.outcome_of(bye), Some(481));
    world.finish();
}

#[test]
fn silence_a_dead_line_and_the_limit_end_it() {
    // Not a single packet.
    let mut world = with_disk(1);
    let eve = stranger(&mut world, 9);
    let call = world.invite(eve, ALICE);
    recorded_at(&mut world, call);
    world.run(9_000);
    assert_eq!(world.count(eve, "BYE"), 0);
    world.run(3_000);
    assert_eq!(world.count(eve, "BYE"), 1);
    assert_eq!(kinds(&world.kept(0)), [Kind::Call]);
    world.finish();
    // Sound, then silence of A-law.
    let mut world = with_disk(1);
    let eve = stranger(&mut world, 9);
    let call = world.invite(eve, ALICE);
    let machine = recorded_at(&mut world, call);
    say(&mut world, eve, machine, &sound(1));
    let now = world.now;
    world.phones[eve].voice.as_mut().unwrap().say(now, machine, &[0xd5; 8_000 * 20]);
    world.run(9_000);
    assert_eq!(world.count(eve, "BYE"), 0);
    world.run(4_000);
    assert_eq!(world.count(eve, "BYE"), 1);
    assert_eq!(kinds(&world.kept(0)), [Kind::Voice]);
    world.finish();
    // As long as she lets it.
    let mut world = with_disk(1);
    world.configure(0, &HOME.replace("'wonderland'", "'wonderland'\n    option record_seconds '10'"));
    let eve = stranger(&mut world, 9);
    let call = world.invite(eve, ALICE);
    let machine = recorded_at(&mut world, call);
    let now = world.now;
    world.phones[eve].voice.as_mut().unwrap().say(now, machine, &sound(15));
    world.run(13_000);
    assert_eq!(world.count(eve, "BYE"), 1);
    let kept = world.kept(0);
    assert!((9_900..=10_300).contains(&kept[0].milliseconds), "{} ms", kept[0].milliseconds);
    world.finish();
}

#[test]
fn what_third_parties_send_is_not_recorded() {
    let mut world = with_disk(1);
    let eve = stranger(&mut world, 9);
    let call = world.invite(eve, ALICE);
    let machine = recorded_at(&mut world, call).to_string();
    let said = sound(2);
    let now = world.now;
    world.phones[eve].voice.as_mut().unwrap().say(now, machine.parse().unwrap(), &said);
    world.run(100);
    for number in 0..50_u8 {
        for from in ["203.0.113.77:4000", "198.51.100.9:4002", "192.168.1.66:4000"] {
            // The next numbers of eve's own stream, with another sound.
            let mut packet = vec![0x80, 8, 0, number, 0, 0, number, 0, 0x5e, 0xed, 0, 1];
            packet.extend([0x42; PACKET_BYTES]);
            world.inject(from, &machine, &packet);
        }
        world.inject("203.0.113.77:4000", &machine, &[0x80, 8]);
        world.inject("203.0.113.77:4000", &machine, b"INVITE sip:alice@home.example SIP/2.0\r\n\r\n");
        world.run(20);
    }
    world.run(2_000);
    hang_up(&mut world, eve);
    let kept = world.kept(0);
    assert!(contains(&kept[0].content, &said) && !contains(&kept[0].content, &[0x42; PACKET_BYTES]));
    world.finish();
}

#[test]
fn hold_and_another_address_in_mid_call() {
    let mut world = with_disk(1);
    let eve = stranger(&mut world, 9);
    let call = world.invite(eve, ALICE);
    let machine = recorded_at(&mut world, call);
    let first = sound(1);
    say(&mut world, eve, machine, &first);
    let reinvite = |world: &mut World, direction: &'static str| {
        let now = world.now;
        let voice = world.phones[eve].voice.as_mut().unwrap();
        voice.direction = direction;
        let body = voice.description();
        let mut request = world.phones[eve].dialog_request(0, "INVITE");
        request.add("Content-Type", "application/sdp");
        request.body = body;
        let again = (eve, world.phones[eve].send(now, request));
        assert_eq!(world.outcome_of(again), Some(200));
        world.answer(again).clone()
    };
    let held = String::from_utf8(reinvite(&mut world, "sendonly").body).unwrap();
    assert!(held.contains("a=recvonly") || held.contains("a=inactive"), "{held}");
    // Longer than a silence may be.
    world.run(60_000);
    assert_eq!(world.count(eve, "BYE"), 0);
    world.phones[eve].voice.as_mut().unwrap().address.set_port(4100);
    let back = reinvite(&mut world, "sendrecv");
    assert_eq!(heard_at(&back), Some(machine), "it stays where it is");
    let second: Vec<u8> = sound(1).iter().map(|byte| byte ^ 0x55).collect();
    say(&mut world, eve, machine, &second);
    hang_up(&mut world, eve);
    let kept = world.kept(0);
    assert_eq!(kinds(&kept), [Kind::Voice]);
    assert!(contains(&kept[0].content, &first) && contains(&kept[0].content, &second));
    assert!(kept[0].milliseconds < 10_000, "the time on hold does not count: {} ms", kept[0].milliseconds);
    world.finish();
}

#[test]
fn so_many_calls_at_once_and_one_more() {
    let mut world = with_disk(1);
    let eves: Vec<usize> = (0..=RECORDINGS as u8).map(|last| stranger(&mut world, 20 + last)).collect();
    let calls: Vec<Call> = eves[..RECORDINGS].iter().map(|eve| world.invite(*eve, ALICE)).collect();
    let machines: Vec<SocketAddr> = calls.iter().map(|call| recorded_at(&mut world, *call)).collect();
    let late = world.invite(eves[RECORDINGS], ALICE);
    assert_eq!(world.outcome_of(late), Some(480), "as if there were no machine");
    let now = world.now;
    for (index, eve) in eves[..RECORDINGS].iter().enumerate() {
        let said: Vec<u8> = sound(2).iter().map(|byte| byte.wrapping_add(index as u8 * 16)).collect();
        world.phones[*eve].voice.as_mut().unwrap().say(now, machines[index], &said);
    }
    world.run(2_200);
    let byes: Vec<Call> = eves[..RECORDINGS].iter().map(|eve| world.in_dialog(*eve, 0, "BYE")).collect();
    assert!(byes.iter().all(|bye| world.outcome_of(*bye) == Some(200)));
    world.run(2_000);
    let kept = world.kept(0);
    let voices: Vec<&Item> = kept.iter().filter(|item| item.kind == Kind::Voice).collect();
    assert_eq!((voices.len(), kept.len()), (RECORDINGS, RECORDINGS + 1), "and a missed call");
    for index in 0..RECORDINGS {
        let said: Vec<u8> = sound(2).iter().map(|byte| byte.wrapping_add(index as u8 * 16)).collect();
        let from = format!("eve{}@elsewhere.example", 20 + index);
        let voice = voices.iter().find(|voice| voice.from == from).expect("each has its own");
        assert!(contains(&voice.content, &said), "{from}");
    }
    // There is room again.
    let call = world.invite(eves[RECORDINGS], ALICE);
    assert_eq!(world.outcome_of(call), Some(200));
    hang_up(&mut world, eves[RECORDINGS]);
    world.finish();
}

#[test]
fn ports_that_others_have() {
    let mut world = with_disk(1);
    let eve = stranger(&mut world, 9);
    // Half of the pairs have one taken.
    world.servers[0].busy_ports = (16_384..16_484).step_by(4).collect();
    for _ in 0..10 {
        let call = world.invite(eve, ALICE);
        let status = world.outcome_of(call);
        if status == Some(200) {
            let machine = heard_at(world.answer(call)).unwrap();
            assert!(machine.port().is_multiple_of(2) && !world.servers[0].busy_ports.contains(&machine.port()));
            hang_up(&mut world, eve);
        }
    }
    world.servers[0].busy_ports = (16_384..16_484).collect();
    let call = world.invite(eve, ALICE);
    assert_eq!(world.outcome_of(call), Some(480));
    world.run(1_000);
    world.servers[0].busy_ports.clear();
    let call = world.invite(eve, ALICE);
    assert_eq!(world.outcome_of(call), Some(200));
    hang_up(&mut world, eve);
    world.finish();
}

#[test]
fn a_disk_that_cannot_keep_it() {
    // It is full from the beginning: the caller is told so by tones, and nothing is left.
    let mut world = with_spool(1);
    world.servers[0].store.stick().limit(pcsd::spool::Limits { total_bytes: 1, ..pcsd::spool::Limits::NONE });
    let eve = stranger(&mut world, 9);
    let call = world.invite(eve, ALICE);
    assert_eq!(world.outcome_of(call), Some(200));
    world.run(30_000);
    assert_eq!(world.count(eve, "BYE"), 1);
    assert!(world.kept(0).is_empty());
    world.finish();
    // It is pulled out in mid-call.
    let mut world = with_spool(1);
    let eve = stranger(&mut world, 9);
    let call = world.invite(eve, ALICE);
    let machine = recorded_at(&mut world, call);
    let said = sound(4);
    say(&mut world, eve, machine, &said);
    world.unplug(0);
    world.run(40_000);
    assert!(world.phones[eve].dialogs[0].is_over, "nobody speaks to a machine that does not hear");
    world.plug(0);
    world.run(5_000);
    let kept = world.kept(0);
    assert_eq!(kinds(&kept), [Kind::Voice]);
    assert!(contains(&kept[0].content, &said[..3 * 8_000]));
    world.finish();
    // It stalls for a while: what is said meanwhile is there, or its loss is known.
    let mut world = with_spool(1);
    let eve = stranger(&mut world, 9);
    let call = world.invite(eve, ALICE);
    let machine = recorded_at(&mut world, call);
    let now = world.now;
    world.phones[eve].voice.as_mut().unwrap().say(now, machine, &sound(8));
    world.run(2_000);
    world.servers[0].store.is_stalled = true;
    world.run(4_000);
    world.unstall(0);
    world.run(3_000);
    hang_up(&mut world, eve);
    let kept = world.kept(0);
    assert_eq!(kinds(&kept), [Kind::Voice]);
    assert!((8_000..11_000).contains(&kept[0].milliseconds), "{} ms", kept[0].milliseconds);
    world.finish();
}

#[test]
fn a_recording_in_a_power_cut_is_there_up_to_the_last_second() {
    for seed in seeds(20) {
        let mut world = with_spool(seed);
        let eve = stranger(&mut world, 9);
        let call = world.invite(eve, ALICE);
        let machine = recorded_at(&mut world, call);
        let said = sound(10);
        let now = world.now;
        world.phones[eve].voice.as_mut().unwrap().say(now, machine, &said);
        let cut_ms = 3_000 + world.random.below(7_000);
        world.run(cut_ms);
        if seed % 3 == 0 {
            world.kill(0);
        } else {
            world.cut_power(0);
        }
        world.phones[eve].voice.as_mut().unwrap().hush();
        world.run(3_000);
        world.start(0);
        world.run(1_000);
        // Nobody knows the call any more.
        let bye = world.in_dialog(eve, 0, "BYE");
        assert_eq!(world.outcome_of(bye), Some(481));
        let kept = world.kept(0);
        assert_eq!(kinds(&kept), [Kind::Voice]);
        let whole = (cut_ms as usize / 1_000 - 2) * 8_000;
        assert!(contains(&kept[0].content, &said[..whole]), "seed {seed}: {} bytes", kept[0].content.len());
        world.finish();
    }
}

/// Texts, calls and hanging up in any order, on a disk that is slow, while the program or the power ends: what was
/// acknowledged is there once, and every recording is whole up to the last two seconds before the end.
#[test]
fn texts_and_calls_at_once_and_any_end() {
    for seed in seeds(24) {
        let mut world = with_spool(seed);
        world.servers[0].store.delay = (0, 1 + 40 * (seed % 4));
        let many = RECORDINGS.min(STRANGER_SENDERS).min(4) as u8;
        let eves: Vec<usize> = (0..many).map(|last| stranger(&mut world, 20 + last)).collect();
        for (number, eve) in eves.iter().enumerate() {
            world.phones[*eve].may_get_twice = true;
            world.phones[*eve].voice.as_mut().unwrap().payload_type = if number % 2 == 0 { 8 } else { 0 };
        }
        // A call and a text from each in each round.
        for round in 0..6.min(LETTERS_PER_STRANGER / 2) as u8 {
            // Who speaks: with whom, since when, what.
            let mut speaking: Vec<(usize, u64, Vec<u8>)> = Vec::new();
            for (number, eve) in eves.iter().enumerate() {
                if world.random.chance(600) {
                    let call = world.invite(*eve, ALICE);
                    let machine = recorded_at(&mut world, call);
                    let said: Vec<u8> =
                        sound(8).iter().map(|byte| byte.wrapping_add(number as u8 * 40 + round)).collect();
                    let now = world.now;
                    world.phones[*eve].voice.as_mut().unwrap().say(now, machine, &said);
                    speaking.push((*eve, now, said));
                }
                world.write(*eve, ALICE, &format!("{round} of {number}"));
            }
            let wait = 2_000 + world.random.below(5_000);
            world.run(wait);
            let hung_up = speaking.len() / 2;
            for (eve, ..) in &speaking[..hung_up] {
                let dialog = world.phones[*eve].dialogs.len() - 1;
                world.phones[*eve].voice.as_mut().unwrap().hush();
                world.in_dialog(*eve, dialog, "BYE");
            }
            let steps = world.random.below(30);
            (0..steps).for_each(|_| world.step());
            let ended_at = world.now;
            let is_cut = world.random.chance(500);
            if is_cut {
                world.cut_power(0)
            } else {
                world.kill(0)
            }
            for eve in &eves {
                let phone = &mut world.phones[*eve];
                phone.voice.as_mut().unwrap().hush();
                phone.dialogs.iter_mut().for_each(|dialog| dialog.is_over = true);
            }
            world.run(40_000);
            world.start(0);
            world.run(1_000);
            let kept = world.kept(0);
            for (index, (eve, since, said)) in speaking.iter().enumerate() {
                let whole_s = ((ended_at - since) / 1_000).saturating_sub(2).min(8) as usize;
                let said = if index < hung_up { &said[..8_000] } else { &said[..whole_s * 8_000] };
                let from = world.phones[*eve].aor.trim_start_matches("sip:").to_string();
                let mut voices = kept.iter().filter(|item| item.kind == Kind::Voice && item.from == from);
                assert!(voices.any(|voice| contains(&voice.content, said)), "{from} in round {round}: {whole_s} s");
            }
        }
        world.finish();
    }
}

/// All calls at once on a disk that is slower than they are: what it does not take in time is marked, never the time lost.
#[test]
fn a_slow_disk_does_not_stop_other_calls() {
    let mut world = with_spool(3);
    world.servers[0].store.delay = (200, 900);
    world.servers[0].store.room = 2;
    let eves: Vec<usize> = (0..RECORDINGS as u8).map(|last| stranger(&mut world, 20 + last)).collect();
    let calls: Vec<Call> = eves.iter().map(|eve| world.invite(*eve, ALICE)).collect();
    let machines: Vec<SocketAddr> = calls.iter().map(|call| recorded_at(&mut world, *call)).collect();
    let now = world.now;
    for (index, eve) in eves.iter().enumerate() {
        world.phones[*eve].voice.as_mut().unwrap().say(now, machines[index], &sound(6));
    }
    world.run(6_100);
    let byes: Vec<Call> = eves.iter().map(|eve| world.in_dialog(*eve, 0, "BYE")).collect();
    assert!(byes.iter().all(|bye| world.outcome_of(*bye) == Some(200)));
    world.run(30_000);
    let kept = world.kept(0);
    assert_eq!(kinds(&kept), [Kind::Voice; RECORDINGS]);
    for item in &kept {
        assert!((6_000..9_000).contains(&item.milliseconds), "{} ms", item.milliseconds);
        assert_eq!(item.content.len(), item.milliseconds as usize * 8, "sound or the mark of its loss");
    }
    world.finish();
}
