//! People who talk across networks: one buddy address both ways, typing, presence, receipts, own copies, wishes to be let in.

use super::{ALICE_XMPP, BUDDY, LOGIN_MS, MERCUTIO, Nets, ON_IRC, ON_XMPP, OTHER_BUDDY, PCS, ROMEO, ROMEO_XMPP};
use crate::message::Msg;
use crate::xmpp_server::Got;

const COMPOSING: &str = "application/im-iscomposing+xml";

/// The last thing that Alice's phone was told about typing, and by whom.
fn typing(nets: &Nets) -> Option<(String, bool)> {
    let signs = nets.world.phones[nets.phone].got("MESSAGE").into_iter();
    let last = signs.rev().find(|msg| msg.get("Content-Type") == COMPOSING)?;
    let body = String::from_utf8_lossy(&last.body).into_owned();
    let from = crate::message::uri_of(last.get("From")).to_string();
    Some((from, body.contains("<state>active</state>")))
}

/// Alice's phone says that she types, or has stopped.
fn types(nets: &mut Nets, is_on: bool) {
    let state = if is_on { "active" } else { "idle" };
    let body =
        format!("<isComposing xmlns='urn:ietf:params:xml:ns:im-iscomposing'><state>{state}</state></isComposing>");
    let phone = &mut nets.world.phones[nets.phone];
    let mut request: Msg = phone.request("MESSAGE", ROMEO, &format!("<{ROMEO}>"));
    request.remove("Contact");
    request.add("Content-Type", COMPOSING);
    request.body = body.into_bytes();
    let call = nets.world.send(nets.phone, request);
    assert_eq!(nets.world.outcome_of(call), Some(200));
}

#[test]
fn a_buddy_on_xmpp_is_seen_types_writes_and_is_answered() {
    let mut nets = Nets::online(1, &[ON_XMPP, BUDDY].concat());
    let watching = nets.world.watches(nets.phone, ROMEO);
    assert!(!nets.world.seen(&watching).is_open);
    nets.romeo_shows("", "on the balcony");
    nets.run(3_000);
    let seen = nets.world.seen(&watching);
    assert!(seen.is_open && seen.note == "on the balcony", "{seen:?}");
    nets.xmpp.on(&nets.world).user_types("romeo", ALICE_XMPP, "composing");
    nets.run(1_000);
    assert_eq!(typing(&nets), Some((ROMEO.into(), true)));
    let id = nets.xmpp.on(&nets.world).user_says("romeo", ALICE_XMPP, "Is it you? <3 & more");
    nets.run(1_000);
    assert_eq!(nets.told(), [(ROMEO.to_string(), "Is it you? <3 & more".to_string())]);
    let got = nets.world.phones[nets.phone].got("MESSAGE").pop().unwrap().clone();
    assert!(got.get("From").starts_with("\"Romeo\" <"), "{}", got.get("From"));
    let got = nets.xmpp.on(&nets.world).inbox("romeo");
    let is_receipt = |got: &Got| matches!(got, Got::Receipt { id: it, .. } if *it == id);
    assert_eq!(got.iter().filter(|got| is_receipt(got)).count(), 1, "he learns that it has arrived: {got:?}");
    types(&mut nets, true);
    nets.run(1_000);
    let got = nets.xmpp.on(&nets.world).inbox("romeo");
    let is_typing = |got: &Got| matches!(got, Got::Typing { state, .. } if state == "composing");
    assert!(got.iter().any(is_typing), "{got:?}");
    assert_eq!(nets.writes(ROMEO, "It is \u{e5}\u{1f600} & <me>"), 200);
    assert_eq!(nets.got("romeo"), ["It is \u{e5}\u{1f600} & <me>"]);
    nets.romeo_shows("away", "");
    nets.run(3_000);
    let seen = nets.world.seen(&watching);
    assert!(seen.is_open && seen.does("away"), "{seen:?}");
    nets.romeo_shows("unavailable", "");
    nets.run(3_000);
    assert!(!nets.world.seen(&watching).is_open);
    nets.finish();
}

#[test]
fn what_a_client_of_hers_writes_there_is_shown_on_her_phones() {
    let mut nets = Nets::online(1, &[ON_XMPP, BUDDY].concat());
    nets.romeo_shows("", "");
    nets.xmpp.on(&nets.world).user_says("alice", ROMEO_XMPP, "from my laptop");
    nets.run(1_000);
    assert_eq!(nets.told(), [(ROMEO.to_string(), "(You wrote:) from my laptop".to_string())]);
    assert_eq!(nets.got("romeo"), ["from my laptop"], "and is not sent once more");
    nets.finish();
}

#[test]
fn who_wants_to_be_a_buddy_is_asked_for_and_let_in() {
    let mut nets = Nets::online(1, &[ON_XMPP, BUDDY].concat());
    nets.xmpp.on(&nets.world).user_presence("nurse", "", "in Verona");
    nets.xmpp.on(&nets.world).user_subscription("nurse", ALICE_XMPP, "subscribe");
    nets.run(5_000);
    let asked = nets.told_by(PCS);
    let question = "nurse@jabber.test (xmpp) wants to be your buddy. Answer: allow nurse@jabber.test or deny \
                    nurse@jabber.test";
    assert_eq!(asked, [question]);
    let answer = nets.world.tell(nets.phone, "allow nurse@jabber.test");
    assert!(answer.contains("nurse@jabber.test"), "{answer}");
    nets.run(2_000);
    nets.xmpp.on(&nets.world).user_subscription("nurse", ALICE_XMPP, "subscribed");
    nets.run(2_000);
    let entry = nets.xmpp.on(&nets.world).roster_entry("alice", "nurse@jabber.test").expect("she is on the list");
    assert_eq!(entry.1, "both");
    let shown = nets.xmpp.shown(&nets.world, "nurse", ALICE_XMPP);
    assert!(shown.iter().any(|(show, _)| show.is_empty()), "the nurse sees her: {shown:?}");
    // A contact of the network's list is a buddy by the name that was made for it.
    let watching = nets.world.watches(nets.phone, "sip:nurse@home.example");
    let seen = nets.world.seen(&watching);
    assert!(seen.is_open && seen.note == "in Verona", "{seen:?}");
    nets.xmpp.on(&nets.world).user_says("nurse", ALICE_XMPP, "Madam!");
    nets.run(1_000);
    assert_eq!(nets.told_by("sip:nurse%40jabber.test@xmpp.home.example"), ["Madam!"]);
    assert_eq!(nets.writes("sip:nurse@home.example", "Anon"), 200);
    assert_eq!(nets.got("nurse"), ["Anon"]);
    nets.run(60_000);
    assert_eq!(nets.told_by(PCS).len(), 2, "the question, the answer");
    nets.finish();
}

#[test]
fn who_is_not_wanted_is_refused() {
    let mut nets = Nets::online(1, ON_XMPP);
    nets.xmpp.on(&nets.world).user_presence("nurse", "", "");
    nets.xmpp.on(&nets.world).user_subscription("nurse", ALICE_XMPP, "subscribe");
    nets.run(5_000);
    nets.world.tell(nets.phone, "deny nurse@jabber.test");
    nets.run(2_000);
    let got = nets.xmpp.on(&nets.world).inbox("nurse");
    assert!(got.contains(&Got::Subscription { from: ALICE_XMPP.into(), kind: "unsubscribed".into() }), "{got:?}");
    assert!(
        !got.iter().any(
            |got| matches!(got, Got::Presence { from, show, .. } if from.starts_with(ALICE_XMPP) && show.is_empty())
        ),
        "{got:?}"
    );
    nets.finish();
}

#[test]
fn a_question_outlives_a_restart() {
    let mut nets = Nets::online(1, ON_XMPP);
    nets.world.phones[nets.phone].manner.message = Some(500);
    nets.xmpp.on(&nets.world).user_subscription("nurse", ALICE_XMPP, "subscribe");
    nets.run(5_000);
    nets.world.phones[nets.phone].manner.message = Some(200);
    nets.world.restart(0);
    nets.run(2 * LOGIN_MS);
    assert!(nets.told_by(PCS).iter().any(|text| text.starts_with("nurse@jabber.test (xmpp) wants")));
    nets.finish();
}

#[test]
fn two_networks_at_the_same_time_and_she_has_only_a_phone() {
    let mut nets = Nets::online(1, &[ON_XMPP, ON_IRC, BUDDY, OTHER_BUDDY].concat());
    nets.romeo_shows("", "");
    let user = nets.irc_user("mercutio");
    nets.run(70_000);
    for round in 0..20 {
        nets.romeo_says(&format!("x{round}"));
        user.says("alice", &format!("i{round}"));
        let calls = [(ROMEO, "to romeo"), (MERCUTIO, "to mercutio")]
            .map(|(to, text)| nets.world.write(nets.phone, to, &format!("{text} {round}")));
        nets.run(5_000);
        for call in calls {
            assert!(nets.world.outcome_of(call).is_some_and(|status| status / 100 == 2));
        }
    }
    nets.run(60_000);
    let rounds = |prefix: &str| (0..20).map(|round| format!("{prefix}{round}")).collect::<Vec<_>>();
    assert_eq!(nets.told_by(ROMEO), rounds("x"));
    assert_eq!(nets.told_by(MERCUTIO), rounds("i"));
    assert_eq!(nets.got("romeo"), rounds("to romeo "));
    assert_eq!(user.texts(), rounds("to mercutio "));
    user.leaves();
    nets.finish();
}

#[test]
fn single_bytes_on_slow_links() {
    let mut world = crate::world::World::new(1);
    world.link = crate::world::Link { delay: (20, 80), piece: 1, ..crate::world::Link::GOOD };
    let mut nets = Nets::with(world, &[ON_XMPP, ON_IRC, BUDDY].concat());
    nets.run(300_000);
    nets.romeo_shows("", "far away");
    nets.run(20_000);
    for number in 0..5 {
        nets.romeo_says(&format!("x{number}"));
        assert_eq!(nets.writes(ROMEO, &format!("y{number}")) / 100, 2);
    }
    nets.run(60_000);
    assert_eq!(nets.told_by(ROMEO), ["x0", "x1", "x2", "x3", "x4"]);
    assert_eq!(nets.got("romeo"), ["y0", "y1", "y2", "y3", "y4"]);
    nets.finish();
}
