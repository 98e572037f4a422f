//! Every table that networks fill, full: each has its answer, and what is in it goes on.

use super::{ALICE_XMPP, BUDDY, LOGIN_MS, MERCUTIO, Nets, ON_IRC, ON_XMPP, OTHER_BUDDY, PCS, ROMEO};
use crate::world::HOME;
use pcsd::base::limits::{ACCOUNTS, CONTACTS_PER_ACCOUNT, OUTGOING, OUTGOING_PER_PERSON, SIGHTINGS, STREAMS};

#[test]
fn as_many_accounts_as_there_may_be() {
    /// Each needs a connection.
    const MOST: usize = if ACCOUNTS < STREAMS { ACCOUNTS } else { STREAMS };
    let accounts: String = (0..MOST)
        .map(|number| {
            ON_XMPP.replace("alice_xmpp", &format!("account{number}")).replace("alice@", &format!("alice{number}@"))
        })
        .collect();
    let mut nets = Nets::new(1, BUDDY);
    for number in 0..MOST {
        let mut server = nets.xmpp.on(&nets.world);
        server.add_user(&format!("alice{number}"), "rabbit");
        server.befriend(&format!("alice{number}"), "romeo");
    }
    nets.world.configure(0, &format!("{HOME}{accounts}{BUDDY}"));
    nets.run(120_000);
    assert_eq!(nets.xmpp.conns().len(), MOST);
    nets.romeo_shows("", "");
    nets.run(3_000);
    for number in 0..MOST {
        let to = format!("alice{number}@jabber.test");
        nets.xmpp.on(&nets.world).user_says("romeo", &to, &format!("to {number}"));
    }
    nets.run(10_000);
    let mut told = nets.told_by(ROMEO);
    told.sort();
    let mut expected: Vec<String> = (0..MOST).map(|number| format!("to {number}")).collect();
    expected.sort();
    assert_eq!(told, expected);
    nets.finish();
}

#[test]
fn contacts_that_do_not_fit_are_left_out_and_still_write() {
    let mut nets = Nets::new(1, &[ON_XMPP, BUDDY].concat());
    {
        let mut server = nets.xmpp.on(&nets.world);
        server.fill_roster("alice", CONTACTS_PER_ACCOUNT + 3, 10);
        server.add_contact("alice", "nurse@jabber.test", "Zoe", "both");
        server.add_contact("nurse", ALICE_XMPP, "", "both");
    }
    nets.log_in();
    nets.xmpp.on(&nets.world).user_presence("nurse", "", "");
    nets.xmpp.on(&nets.world).user_says("nurse", ALICE_XMPP, "Madam!");
    nets.run(2_000);
    let (from, text) = nets.told().pop().expect("it came");
    assert_eq!(text, "Madam!");
    assert_eq!(nets.writes(&from, "Anon"), 200);
    assert_eq!(nets.got("nurse"), ["Anon"]);
    nets.romeo_shows("", "");
    nets.romeo_says("and I?");
    nets.run(2_000);
    assert_eq!(nets.told_by(ROMEO), ["and I?"]);
    nets.finish();
}

#[test]
fn sightings_that_do_not_fit_are_forgotten() {
    let mut nets = Nets::new(1, &[ON_XMPP, BUDDY].concat());
    let contacts = CONTACTS_PER_ACCOUNT / 2;
    nets.xmpp.on(&nets.world).fill_roster("alice", contacts, 4);
    nets.log_in();
    for number in 0..SIGHTINGS + 50 {
        let (who, place) = (number % contacts, number / contacts);
        nets.xmpp.send(&nets.world, &format!("<presence from='contact{who:05}@jabber.test/{place}'/>"));
        if number % 64 == 0 {
            nets.run(100);
        }
    }
    nets.run(5_000);
    nets.romeo_shows("", "");
    nets.romeo_says("and I?");
    nets.run(2_000);
    assert_eq!(nets.told_by(ROMEO), ["and I?"]);
    assert_eq!(nets.writes(ROMEO, "you too"), 200);
    for number in 0..SIGHTINGS + 50 {
        let (who, place) = (number % contacts, number / contacts);
        let gone = format!("<presence type='unavailable' from='contact{who:05}@jabber.test/{place}'/>");
        nets.xmpp.send(&nets.world, &gone);
        if number % 64 == 0 {
            nets.run(100);
        }
    }
    nets.run(5_000);
    nets.finish();
}

#[test]
fn texts_that_do_not_fit_stay_with_her() {
    let mut nets = Nets::online(1, &[ON_IRC, OTHER_BUDDY].concat());
    let (mut taken, mut refused) = (Vec::new(), 0);
    for number in 0..OUTGOING.max(OUTGOING_PER_PERSON) + 3 {
        let text = format!("t{number}");
        match nets.writes(MERCUTIO, &text) {
            202 => taken.push(text),
            480 | 503 => refused += 1,
            other => panic!("{other}"),
        }
        nets.run(200);
    }
    assert!(refused >= 3 && taken.len() >= OUTGOING_PER_PERSON.min(OUTGOING) - 1, "{} {refused}", taken.len());
    nets.world.restart(0);
    nets.run(LOGIN_MS);
    let user = nets.irc_user("mercutio");
    nets.run(120_000 + 5_000 * taken.len() as u64);
    assert_eq!(user.texts(), taken);
    assert_eq!(nets.writes(MERCUTIO, "there is room again") / 100, 2);
    nets.run(10_000);
    assert_eq!(user.texts(), ["there is room again"]);
    user.leaves();
    nets.finish();
}

#[test]
fn many_who_want_to_be_let_in_are_asked_for_one_after_the_other() {
    let mut nets = Nets::online(1, ON_XMPP);
    for number in 0..80 {
        nets.xmpp.send(&nets.world, &format!("<presence type='subscribe' from='spam{number}@jabber.test'/>"));
    }
    nets.run(20_000);
    let asked = nets.told_by(PCS).len();
    assert!((1..=6).contains(&asked), "{asked} questions in 20 s");
    nets.run(600_000);
    let asked = nets.told_by(PCS).len();
    assert!((6..40).contains(&asked), "{asked} questions, and those that do not fit wait");
    nets.finish();
}
