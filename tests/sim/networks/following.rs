//! One buddy with several addresses: the conversation goes where he is, and what he can't be told yet waits for him.

use super::{ALICE_XMPP, BUDDY, MERCUTIO, Nets, ON_IRC, ON_XMPP, OTHER_BUDDY, ROMEO};
use crate::xmpp_server::Got;
use pcsd::base::limits::OUTGOING_PER_PERSON;
use pcsd::spool::Kind;

/// How often people on IRC are looked after at least.
const ROUND_MS: u64 = 70_000;
/// Texts that wait on the disk.
fn waiting(nets: &mut Nets) -> usize {
    nets.world.on_disk(0).iter().filter(|record| record.key.kind == Kind::Outgoing).count()
}

#[test]
fn he_goes_over_to_irc_in_mid_conversation() {
    let mut nets = Nets::online(1, &[ON_XMPP, ON_IRC, BUDDY].concat());
    nets.romeo_shows("", "");
    nets.run(3_000);
    nets.romeo_says("hello");
    nets.run(1_000);
    assert_eq!(nets.writes(ROMEO, "one"), 200);
    assert_eq!(nets.got("romeo"), ["one"]);
    let watching = nets.world.watches(nets.phone, ROMEO);
    nets.romeo_shows("unavailable", "");
    let user = nets.irc_user("romeo");
    nets.run(ROUND_MS);
    assert!(nets.world.seen(&watching).is_open, "he is there, elsewhere");
    assert!(nets.writes(ROMEO, "two") / 100 == 2);
    nets.run(5_000);
    assert_eq!(user.texts(), ["two"], "the next one follows him");
    user.says("alice", "and here I am");
    nets.run(2_000);
    assert_eq!(nets.told_by(ROMEO), ["hello", "and here I am"], "the same buddy");
    // He comes back to XMPP while he is on IRC: the one he last wrote from counts.
    nets.romeo_shows("", "");
    nets.run(5_000);
    assert!(nets.writes(ROMEO, "three") / 100 == 2);
    nets.run(5_000);
    assert_eq!(user.texts(), ["three"]);
    nets.romeo_says("over here");
    nets.run(2_000);
    assert!(nets.writes(ROMEO, "four") / 100 == 2);
    assert_eq!(nets.got("romeo"), ["four"]);
    assert!(user.texts().is_empty());
    assert!(nets.xmpp.on(&nets.world).offline("romeo").is_empty());
    user.leaves();
    nets.finish();
}

#[test]
fn texts_to_nobody_wait_on_the_disk_over_a_restart_and_go_once() {
    let mut nets = Nets::online(1, &[ON_IRC, OTHER_BUDDY].concat());
    nets.run(ROUND_MS);
    let count = OUTGOING_PER_PERSON.min(5);
    for number in 0..count {
        assert_eq!(nets.writes(MERCUTIO, &format!("text {number}")), 202);
        if number == 1 {
            assert_eq!(waiting(&mut nets), 2, "202 is said once it is durable");
            nets.world.cut_power(0);
            nets.world.start(0);
            nets.run(20_000);
        }
    }
    nets.world.restart(0);
    nets.run(ROUND_MS);
    assert_eq!(waiting(&mut nets), count);
    let user = nets.irc_user("mercutio");
    nets.run(ROUND_MS + 60_000);
    let texts: Vec<String> = (0..count).map(|number| format!("text {number}")).collect();
    assert_eq!(user.texts(), texts);
    assert_eq!(waiting(&mut nets), 0);
    nets.world.restart(0);
    nets.run(ROUND_MS);
    assert!(user.texts().is_empty(), "once");
    user.leaves();
    nets.finish();
}

#[test]
fn what_waits_for_one_network_goes_by_another_when_he_shows_up_there() {
    let mut nets = Nets::new(1, &[ON_XMPP, ON_IRC, BUDDY].concat());
    nets.world.services[nets.xmpp.service].is_off = true;
    nets.run(ROUND_MS);
    assert_eq!(nets.writes(ROMEO, "wherever you are"), 202);
    let user = nets.irc_user("romeo");
    nets.run(ROUND_MS + 5_000);
    assert_eq!(user.texts(), ["wherever you are"]);
    nets.world.services[nets.xmpp.service].is_off = false;
    nets.run(700_000);
    nets.romeo_shows("", "");
    nets.run(10_000);
    assert!(nets.got("romeo").is_empty(), "not a second time");
    user.leaves();
    nets.finish();
}

#[test]
fn a_network_that_keeps_texts_takes_them_for_him() {
    let mut nets = Nets::online(1, &[ON_XMPP, BUDDY].concat());
    assert_eq!(nets.writes(ROMEO, "when you come"), 200);
    assert_eq!(nets.xmpp.on(&nets.world).offline("romeo"), ["when you come"]);
    assert_eq!(waiting(&mut nets), 0);
    nets.romeo_shows("", "");
    nets.run(1_000);
    assert_eq!(nets.got("romeo"), ["when you come"]);
    nets.finish();
}

#[test]
fn what_came_while_the_house_was_off_comes_later_with_its_time() {
    let mut nets = Nets::online(1, &[ON_XMPP, BUDDY].concat());
    nets.romeo_shows("", "");
    nets.romeo_says("before");
    nets.run(2_000);
    nets.world.kill(0);
    nets.xmpp.cut(&mut nets.world);
    for number in 0..3 {
        nets.run(120_000);
        nets.romeo_says(&format!("missed {number}"));
    }
    nets.run(900_000);
    nets.world.start(0);
    nets.run(60_000);
    let told = nets.told_by(ROMEO);
    assert_eq!(told.len(), 4, "{told:?}");
    for (number, text) in told[1..].iter().enumerate() {
        assert!(text.starts_with('[') && text.ends_with(&format!("] missed {number}")), "{text}");
    }
    nets.world.restart(0);
    nets.run(60_000);
    assert_eq!(nets.told_by(ROMEO).len(), 4, "and not again");
    nets.finish();
}

#[test]
fn what_a_network_refuses_is_told() {
    let mut nets = Nets::online(1, ON_XMPP);
    let status = nets.writes("sip:nobody%40jabber.test@xmpp.home.example", "anyone?");
    nets.run(60_000);
    let got: Vec<Got> = nets.xmpp.on(&nets.world).inbox("romeo");
    assert!(got.is_empty());
    let told = nets.told_by(super::PCS);
    assert!(status >= 400 || told.iter().any(|text| text.contains("could not be delivered")), "{status}: {told:?}");
    // A stranger who writes is answered where he is.
    nets.xmpp.on(&nets.world).user_presence("nurse", "", "");
    nets.xmpp.on(&nets.world).user_says("nurse", ALICE_XMPP, "Madam");
    nets.run(1_000);
    let (from, text) = nets.told().pop().unwrap();
    assert!(from.contains("nurse") && text == "Madam", "{from}: {text}");
    assert_eq!(nets.writes(&from, "Anon"), 200);
    assert_eq!(nets.got("nurse"), ["Anon"]);
    nets.finish();
}
