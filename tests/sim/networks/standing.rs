//! Accounts that can't be on: what only a person can mend is never tried again, everything else is tried later each time,
//! and people are told once.

use super::{ALICE_XMPP, BUDDY, Nets, ON_IRC, ON_XMPP, PCS, ROMEO};
use crate::conns::End;
use crate::world::HOME;
use crate::xmpp_server::Fault;

const DAY_MS: u64 = 86_400_000;

/// Connections that were made to a service so far, or tried.
fn tries(nets: &Nets, address: &str) -> usize {
    let address = address.parse().expect("an address");
    nets.world.conns.iter().filter(|conn| conn.remotes[0] == address && matches!(conn.ends[0], End::Server(..))).count()
}

#[test]
fn a_wrong_password_is_tried_once() {
    let mut nets = Nets::new(1, &[&ON_XMPP.replace("rabbit", "hare"), BUDDY].concat());
    nets.run(60_000);
    assert_eq!(tries(&nets, super::XMPP_AT), 1);
    let off = "Your account xmpp alice@jabber.test is off: the server refuses its name or password.";
    assert_eq!(nets.told_by(PCS), [off]);
    nets.run(DAY_MS);
    assert_eq!(tries(&nets, super::XMPP_AT), 1, "never again");
    assert_eq!(nets.told_by(PCS).len(), 1, "told once");
    assert_eq!(nets.writes(ROMEO, "later"), 202);
    // Until the configuration has another one.
    nets.world.configure(0, &format!("{HOME}{}", [ON_XMPP, BUDDY].concat()));
    nets.run(20_000);
    assert_eq!(nets.xmpp.conns().len(), 1);
    assert_eq!(nets.xmpp.on(&nets.world).offline("romeo"), ["later"]);
    nets.finish();
}

#[test]
fn a_server_that_does_not_know_the_password_is_not_believed() {
    let mut nets = Nets::new(1, &[ON_XMPP, BUDDY].concat());
    nets.xmpp.on(&nets.world).options.has_wrong_signature = true;
    nets.run(600_000);
    assert!(nets.xmpp.on(&nets.world).sessions("alice").is_empty());
    assert!(nets.told().iter().all(|(from, _)| from == PCS));
    nets.finish();
}

#[test]
fn somebody_else_in_its_place_is_not_spoken_to() {
    let mut nets = Nets::new(1, &[ON_XMPP, BUDDY].concat());
    nets.world.services[nets.xmpp.service].identity.names.clear();
    nets.run(300_000);
    assert!(nets.xmpp.on(&nets.world).sessions("alice").is_empty());
    let told = nets.told_by(PCS);
    assert_eq!(told, ["Your account xmpp alice@jabber.test is not connected. It is tried again."]);
    nets.finish();
}

#[test]
fn another_login_puts_it_out_for_good() {
    let mut nets = Nets::online(1, &[ON_XMPP, BUDDY].concat());
    nets.xmpp.inject(&nets.world, &Fault::Conflict);
    nets.run(DAY_MS);
    assert_eq!(tries(&nets, super::XMPP_AT), 1);
    let off = "Your account xmpp alice@jabber.test is off: another program has logged in with it.";
    assert_eq!(nets.told_by(PCS), [off]);
    nets.finish();
}

#[test]
fn a_server_that_is_down_for_a_day_is_not_stormed() {
    let mut nets = Nets::online(1, &[ON_XMPP, ON_IRC, BUDDY].concat());
    nets.romeo_shows("", "");
    nets.run(60_000);
    nets.world.services[nets.xmpp.service].is_off = true;
    nets.xmpp.cut(&mut nets.world);
    let (before, down_at) = (nets.world.conns.len(), nets.world.now);
    assert!(nets.told().is_empty());
    nets.run(110_000);
    assert!(nets.told().is_empty(), "not worth a word yet: {:?}", nets.told());
    nets.run(60_000);
    let down = "Your account xmpp alice@jabber.test is not connected. It is tried again.";
    assert_eq!(nets.told_by(PCS), [down], "told after two minutes");
    assert_eq!(nets.writes(ROMEO, "are you there?"), 202);
    nets.run(DAY_MS);
    let tried = nets.world.conns.len() - before;
    assert!((100..320).contains(&tried), "{tried} attempts in a day");
    assert_eq!(nets.told_by(PCS), [down], "told once");
    assert!(nets.world.now - down_at > DAY_MS);
    nets.world.services[nets.xmpp.service].is_off = false;
    nets.run(920_000);
    let on = "Your account xmpp alice@jabber.test is connected again.";
    assert_eq!(nets.told_by(PCS), [down, on]);
    assert_eq!(nets.got("romeo"), ["are you there?"]);
    assert_eq!(nets.irc.conns().len(), 1, "the other one was on all the time");
    nets.finish();
}

#[test]
fn pauses_grow_and_differ() {
    let mut nets = Nets::new(7, &[ON_XMPP, BUDDY].concat());
    nets.world.services[nets.xmpp.service].is_off = true;
    let mut at = vec![nets.world.now];
    let mut tried = 0;
    for _ in 0..6_000 {
        nets.run(500);
        let now_tried = tries(&nets, super::XMPP_AT);
        assert!(now_tried <= tried + 1, "two at once");
        if now_tried > tried {
            at.push(nets.world.now);
        }
        tried = now_tried;
    }
    let pauses: Vec<u64> = at.windows(2).map(|pair| pair[1] - pair[0]).skip(1).collect();
    assert!(pauses.len() >= 8, "{pauses:?}");
    for (number, pause) in pauses.iter().enumerate() {
        let middle = (2_000u64 << number).min(600_000);
        assert!((middle / 2..=middle * 3 / 2 + 1_000).contains(pause), "{number}: {pauses:?}");
    }
    nets.finish();
}

#[test]
fn a_server_that_hangs_up_at_once_is_left_alone_as_well() {
    let mut nets = Nets::online(3, &[ON_XMPP, BUDDY].concat());
    let before = tries(&nets, super::XMPP_AT);
    let end = nets.world.now + DAY_MS / 4;
    while nets.world.now < end {
        nets.run(5_000);
        nets.xmpp.inject(&nets.world, &Fault::SystemShutdown);
    }
    let tried = tries(&nets, super::XMPP_AT) - before;
    assert!((20..130).contains(&tried), "{tried} attempts in six hours");
    nets.run(900_000);
    nets.xmpp.on(&nets.world).user_says("romeo", ALICE_XMPP, "at last");
    nets.run(5_000);
    assert_eq!(nets.told_by(ROMEO), ["at last"]);
    nets.finish();
}

#[test]
fn names_that_are_not_found_are_asked_for_later_each_time() {
    let mut nets = Nets::new(1, &[ON_XMPP, BUDDY].concat());
    nets.world.names[0].manner.is_silent = true;
    nets.run(600_000);
    assert_eq!(tries(&nets, super::XMPP_AT), 0);
    nets.world.names[0].manner.is_silent = false;
    nets.run(900_000);
    assert_eq!(nets.xmpp.conns().len(), 1);
    nets.finish();
}
