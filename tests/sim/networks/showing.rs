//! How Alice is shown on other networks, and how people there are shown to her: with text and place, without flashes.

use super::{ALICE_XMPP, BUDDY, LOGIN_MS, Nets, ON_IRC, ON_XMPP, ROMEO};
use crate::watching::pidf;
use crate::world::HOME;

/// Everything Romeo was shown of her since the last call.
fn shown(nets: &Nets) -> Vec<(String, String)> {
    nets.xmpp.shown(&nets.world, "romeo", ALICE_XMPP)
}

fn as_shown(show: &str, status: &str) -> Option<(String, String)> {
    Some((show.into(), status.into()))
}

#[test]
fn her_word_is_shown_in_the_words_of_each_network() {
    let mut nets = Nets::online(1, &[ON_XMPP, ON_IRC, BUDDY].concat());
    nets.romeo_shows("", "");
    nets.run(2_000);
    assert_eq!(shown(&nets).pop(), as_shown("", ""));
    nets.world.tell(nets.phone, "away: back at 6");
    nets.run(5_000);
    assert_eq!(shown(&nets), [("away".to_string(), "back at 6".to_string())]);
    assert_eq!(nets.irc.on().away("alice"), Some("back at 6"));
    nets.world.tell(nets.phone, "busy");
    nets.run(5_000);
    assert_eq!(shown(&nets).pop(), as_shown("dnd", ""));
    nets.world.tell(nets.phone, "available <here>");
    nets.run(5_000);
    assert_eq!(shown(&nets).pop(), as_shown("", "<here>"));
    assert_eq!(nets.irc.on().away("alice"), None);
    // Invisible: gone for him, and he still reaches her.
    nets.world.tell(nets.phone, "invisible");
    nets.run(5_000);
    assert_eq!(shown(&nets).pop().map(|(show, _)| show).as_deref(), Some("unavailable"));
    nets.romeo_says("I know you are there");
    nets.run(20_000);
    assert_eq!(nets.told_by(ROMEO), ["I know you are there"]);
    nets.world.tell(nets.phone, "auto");
    nets.run(5_000);
    assert_eq!(shown(&nets).pop(), as_shown("", ""));
    nets.finish();
}

#[test]
fn where_she_is_and_since_when() {
    let located = |name: &str| {
        pidf(true, "", "").replace(
            "</status>",
            &format!(
                "<gp:geopriv xmlns:gp=\"urn:ietf:params:xml:ns:pidf:geopriv10\"><gp:location-info>\
                 <ca:civicAddress xmlns:ca=\"urn:ietf:params:xml:ns:pidf:geopriv10:civicAddr\"><ca:NAM>{name}</ca:NAM>\
                 </ca:civicAddress></gp:location-info></gp:geopriv></status>"
            ),
        )
    };
    let sections = [
        ON_XMPP,
        ON_IRC,
        BUDDY,
        "config rule\n    option person 'alice'\n    list who 'network:xmpp'\n    option location 'place'\n",
    ];
    let mut nets = Nets::online(1, &sections.concat());
    nets.romeo_shows("", "");
    nets.run(2_000);
    let now_s = 1_700_000_000 + nets.world.now / 1_000;
    let etag = nets.world.published(nets.phone, None, &located("At Home"));
    nets.run(5_000);
    let minute = now_s / 60 % (24 * 60);
    let status = format!("At Home ({:02}:{:02})", minute / 60, minute % 60);
    assert_eq!(shown(&nets).pop(), as_shown("", &status));
    nets.run(300_000);
    nets.world.published(nets.phone, Some(&etag), &located("At Home"));
    nets.run(5_000);
    assert!(shown(&nets).is_empty(), "she has been there all the time");
    assert_eq!(nets.irc.on().away("alice"), None, "the other network is not told where she is");
    nets.finish();
}

#[test]
fn a_restart_does_not_flash() {
    let mut nets = Nets::online(1, &[ON_XMPP, ON_IRC, BUDDY].concat());
    nets.romeo_shows("", "");
    nets.run(2_000);
    assert_eq!(shown(&nets).pop(), as_shown("", ""));
    for _ in 0..3 {
        nets.world.restart(0);
        nets.run(120_000);
        // The server itself may say that her client has gone and come, as it saw it do.
        let shown = shown(&nets);
        assert_eq!(shown.last().map(|(show, _)| show.as_str()), Some(""), "{shown:?}");
        let away = shown.iter().filter(|(show, _)| show == "xa" || show == "away").count();
        assert_eq!(away, 0, "{shown:?}");
    }
    nets.finish();
}

#[test]
fn a_cut_of_a_minute_is_not_seen_by_anybody() {
    let mut nets = Nets::online(1, &[ON_XMPP, BUDDY].concat());
    nets.romeo_shows("", "here");
    nets.run(2_000);
    let watching = nets.world.watches(nets.phone, ROMEO);
    shown(&nets);
    let notices = nets.world.notices(&watching).len();
    for _ in 0..3 {
        nets.xmpp.cut(&mut nets.world);
        nets.run(20_000);
        assert_eq!(nets.xmpp.conns().len(), 1, "it is up again");
    }
    nets.run(120_000);
    assert!(shown(&nets).is_empty(), "the session went on");
    assert_eq!(nets.world.notices(&watching).len(), notices, "and he did not flash");
    // A long one is seen.
    nets.world.services[nets.xmpp.service].is_off = true;
    nets.xmpp.cut(&mut nets.world);
    nets.run(100_000);
    assert!(!nets.world.seen(&watching).is_open);
    nets.finish();
}

#[test]
fn who_comes_and_goes_is_damped() {
    let mut nets = Nets::online(1, &[ON_XMPP, BUDDY].concat());
    let watching = nets.world.watches(nets.phone, ROMEO);
    nets.romeo_shows("", "");
    nets.run(3_000);
    let before = nets.world.notices(&watching).len();
    for _ in 0..20 {
        nets.romeo_shows("unavailable", "");
        nets.run(100);
        nets.romeo_shows("", "");
        nets.run(100);
    }
    nets.run(3_000);
    assert_eq!(nets.world.notices(&watching).len(), before, "a client that logs in again is not gone");
    assert!(nets.world.seen(&watching).is_open);
    nets.finish();
}

#[test]
fn an_account_that_is_taken_away_leaves_nothing() {
    let mut nets = Nets::online(1, &[ON_XMPP, ON_IRC, BUDDY].concat());
    nets.romeo_shows("", "");
    nets.run(2_000);
    let watching = nets.world.watches(nets.phone, ROMEO);
    assert!(nets.world.seen(&watching).is_open);
    nets.world.configure(0, &format!("{HOME}{}", [ON_IRC, BUDDY].concat()));
    nets.run(80_000);
    assert!(nets.xmpp.conns().is_empty() && nets.irc.conns().len() == 1);
    assert!(!nets.world.seen(&watching).is_open);
    nets.world.configure(0, &format!("{HOME}{}", [ON_XMPP, ON_IRC, BUDDY].concat()));
    nets.run(2 * LOGIN_MS);
    assert!(nets.xmpp.conns().len() == 1 && nets.irc.conns().len() == 1);
    assert!(nets.world.seen(&watching).is_open);
    nets.finish();
}
