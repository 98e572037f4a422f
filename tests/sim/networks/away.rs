//! Who is away, and what rules say: people on other networks are answered and kept as those on SIP are, and each aspect of
//! a rule holds by itself.

use super::{ALICE, ALICE_XMPP, BUDDY, Nets, ON_IRC, ON_XMPP, PCS, ROMEO};
use crate::phone::Manner;
use crate::world::HOME;
use crate::xmpp_server::Got;

/// A rule of Alice's.
fn rule(who: &str, aspect: &str) -> String {
    format!("config rule\n    option person 'alice'\n    list who '{who}'\n    option {aspect}\n")
}

/// Alice's phone is taken away.
fn leave(nets: &mut Nets) {
    nets.world.phones[nets.phone].registration = None;
    let call = nets.world.register(nets.phone, 0);
    assert_eq!(nets.world.outcome_of(call), Some(200));
    nets.run(5_000);
}

/// And is there again.
fn come_back(nets: &mut Nets) {
    let now = nets.world.now;
    nets.world.phones[nets.phone].stay_registered(now, 1_800);
    nets.run(15_000);
}

#[test]
fn an_absent_person_is_represented_on_every_network() {
    let mut nets = Nets::online(1, &[ON_XMPP, ON_IRC, BUDDY].concat());
    nets.romeo_shows("", "");
    let bob = nets.world.online("bob", 30, Manner::POLITE);
    let tybalt = nets.irc_user("tybalt");
    leave(&mut nets);
    nets.got("romeo");
    nets.romeo_says("one");
    nets.run(5_000);
    assert_eq!(nets.got("romeo"), ["alice is away; your message is kept."]);
    nets.romeo_says("two");
    tybalt.says("alice", "villain");
    let call = nets.world.write(bob, ALICE, "three");
    assert_eq!(nets.world.outcome_of(call), Some(202));
    nets.run(60_000);
    tybalt.says("alice", "come forth");
    nets.run(60_000);
    assert!(nets.got("romeo").is_empty(), "once in an absence");
    assert_eq!(tybalt.texts().iter().filter(|text| text.contains("is away")).count(), 1);
    assert_eq!(nets.world.told(bob).len(), 1);
    assert_eq!(nets.world.kept_texts(0).len(), 5, "one inbox");
    come_back(&mut nets);
    let told = nets.told_by(PCS);
    assert_eq!(told.len(), 1, "{told:?}");
    for part in ["2 missed IMs from Romeo", "2 missed IMs from tybalt", "1 missed IM from bob"] {
        assert!(told[0].contains(part), "{}", told[0]);
    }
    // Another absence, another reply.
    leave(&mut nets);
    nets.romeo_says("again");
    nets.run(5_000);
    assert_eq!(nets.got("romeo").len(), 1);
    tybalt.leaves();
    nets.finish();
}

#[test]
fn programs_are_not_answered_for_her() {
    let mut nets = Nets::online(1, &[ON_IRC, BUDDY].concat());
    let user = nets.irc_user("romeo");
    leave(&mut nets);
    user.line("NOTICE alice :I am a program");
    nets.run(60_000);
    assert!(user.texts().is_empty());
    user.leaves();
    nets.finish();
}

#[test]
fn blocked_messages_leave_presence_on() {
    let sections = [ON_XMPP, ON_IRC, BUDDY, &rule("network:xmpp", "messages 'block'")].concat();
    let mut nets = Nets::online(1, &sections);
    let watching = nets.world.watches(nets.phone, ROMEO);
    nets.romeo_shows("", "still here");
    let user = nets.irc_user("romeo");
    nets.run(70_000);
    nets.romeo_says("let me in");
    user.says("alice", "and here?");
    nets.run(30_000);
    assert_eq!(nets.told_by(ROMEO), ["and here?"]);
    let got = nets.xmpp.on(&nets.world).inbox("romeo");
    assert!(!got.iter().any(|got| matches!(got, Got::Receipt { .. })), "it has not arrived: {got:?}");
    assert!(!got.iter().any(|got| matches!(got, Got::Message { .. })), "nor is it answered: {got:?}");
    let shown = got.iter().rev().find_map(|got| match got {
        Got::Presence { from, show, .. } if from.starts_with(ALICE_XMPP) => Some(show.clone()),
        _ => None,
    });
    assert_eq!(shown.as_deref(), Some(""), "she is there: {got:?}");
    assert!(nets.world.seen(&watching).is_open);
    user.leaves();
    nets.finish();
}

#[test]
fn each_network_sees_her_as_its_rule_says() {
    let with = |rules: &str| format!("{HOME}{}", [ON_XMPP, ON_IRC, BUDDY, rules].concat());
    let mut nets = Nets::online(1, &[ON_XMPP, ON_IRC, BUDDY].concat());
    nets.romeo_shows("", "");
    nets.run(2_000);
    let last = |nets: &mut Nets| nets.xmpp.shown(&nets.world, "romeo", ALICE_XMPP).pop();
    assert_eq!(last(&mut nets), Some((String::new(), String::new())));
    nets.world.configure(0, &with(&rule("network:xmpp", "presence 'busy'")));
    nets.run(5_000);
    assert_eq!(last(&mut nets).map(|(show, _)| show).as_deref(), Some("dnd"));
    assert_eq!(nets.irc.on().away("alice"), None, "the other network is another matter");
    nets.world.configure(0, &with(&rule("network:irc", "presence 'busy'")));
    nets.run(5_000);
    assert_eq!(last(&mut nets).map(|(show, _)| show).as_deref(), Some(""));
    assert!(nets.irc.on().away("alice").is_some());
    nets.world.configure(0, &with(&rule("network:xmpp", "presence 'hide'")));
    nets.run(5_000);
    assert_eq!(last(&mut nets).map(|(show, _)| show).as_deref(), Some("unavailable"));
    // Hidden is not deaf.
    nets.romeo_says("are you there?");
    nets.run(20_000);
    assert_eq!(nets.told_by(ROMEO), ["are you there?"]);
    nets.world.configure(0, &with(&rule("network:xmpp", "presence 'With the friar'")));
    nets.run(5_000);
    assert_eq!(last(&mut nets).map(|(_, status)| status).as_deref(), Some("With the friar"));
    nets.finish();
}
