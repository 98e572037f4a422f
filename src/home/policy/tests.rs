//! A home with rules, who asks what there, and what may never happen.

#[cfg(all(feature = "xmpp", feature = "irc", feature = "line"))]
mod networks;

use std::boxed::Box;
use std::format;
use std::string::String;
use std::vec;
use std::vec::Vec;

use super::*;
use crate::base::text::Writer;
use crate::config::model::{Location, Rule, Who};
use crate::wire::sip::Uri;

/// Alice (0), Bob (1) and Eve (2). Line 1 is `config pcsd`; what a test adds begins at line 22.
const HOME: &str = "config pcsd main\noption domain home.example\n\
    config person alice\noption password a\nconfig person bob\noption password b\nconfig person eve\noption password e\n\
    config buddy\noption person alice\noption alias carl\nlist address sip:Carl@His.example:5070\noption group friends\n\
    config buddy\noption alias mum\nlist address sip:mum@mum.example\nlist address sip:mum@[2001:db8::1]\n\
    option group family\nconfig buddy\noption person bob\noption alias dora\n";

fn home(rules: &str) -> Box<Model> {
    let mut model = Box::new(Model::new());
    let text = format!("{HOME}{rules}");
    assert_eq!(model.read(text.as_bytes(), &mut |fault| panic!("{fault}\n{text}")), 0);
    model
}

fn at<'a>(model: &'a Model, state: State) -> Snapshot<'a> {
    Snapshot { model, person: Some(0), state, by_hand: None, devices: &[Facts::UNKNOWN], kept: Delegation::NONE }
}

fn peer(address: &str) -> Asker<'_> {
    Asker { assurance: Assurance::Peer, person: None, address: address.as_bytes() }
}

fn claimed(address: &str) -> Asker<'_> {
    Asker::claimed(address.as_bytes())
}

const BOB: Asker<'_> = Asker { assurance: Assurance::Digest, person: Some(1), address: b"bob@home.example" };
const ALICE: Asker<'_> = Asker { assurance: Assurance::Digest, person: Some(0), address: b"alice@home.example" };
const CALL: Kind = Kind::Call { video: false };

fn to_alice(asker: Asker<'_>, kind: Kind) -> Event<'_> {
    Event { asker, kind, target: Target::Person, stage: Stage::Arrived }
}

fn asks(asker: Asker<'_>, kind: Kind, snapshot: &Snapshot<'_>) -> Decision {
    decide(&to_alice(asker, kind), snapshot)
}

/// What an asker sees; panics when nothing is shown.
fn sees(asker: Asker<'_>, snapshot: &Snapshot<'_>) -> (PresenceView, Location) {
    match asks(asker, Kind::Presence, snapshot) {
        Decision::Show(view) => (view.presence, view.location),
        other => panic!("{other:?}"),
    }
}

/// It goes to the first devices.
fn delivered(count: usize) -> Decision {
    Decision::Deliver((0..count).collect())
}

const DECLINED: Decision = Decision::Refuse(603, "Decline");

#[test]
fn strangers_reach_people_and_nothing_else() {
    let model = home("");
    let snapshot = at(&model, State::Available);
    let ask = |assurance, target| {
        let asker = Asker { assurance, ..BOB };
        let kind = Kind::Message;
        decide(&Event { asker, kind, target, stage: Stage::Arrived }, &snapshot)
    };
    assert_eq!(ask(Assurance::Claimed, Target::Person), delivered(1));
    assert_eq!(ask(Assurance::Claimed, Target::Dialog), Decision::Pass);
    for target in [Target::Outside, Target::Device] {
        for assurance in [Assurance::Claimed, Assurance::Peer] {
            assert_eq!(ask(assurance, target), Decision::Refuse(403, "Relaying Denied"));
        }
        assert_eq!(ask(Assurance::Digest, target), Decision::Pass);
    }
}

#[test]
fn without_rules() {
    let model = home("");
    let snapshot = at(&model, State::Away);
    for kind in [Kind::Message, Kind::Sign, CALL, Kind::Call { video: true }, Kind::Other] {
        for asker in [claimed("x@y.example"), peer("x@y.example"), BOB, ALICE] {
            assert_eq!(asks(asker, kind, &snapshot), delivered(1));
        }
    }
    assert_eq!(sees(BOB, &snapshot), (PresenceView::AsItIs, Location::Place));
    assert_eq!(sees(ALICE, &snapshot), (PresenceView::AsItIs, Location::Coordinates));
    for asker in [claimed("carl@his.example"), peer("x@y.example"), peer("Carl@his.example"), Asker::STRANGER] {
        assert_eq!(asks(asker, Kind::Presence, &snapshot), Decision::Pending);
        let allowed = Snapshot { by_hand: Some(ByHand::Allowed), ..snapshot };
        assert_eq!(sees(asker, &allowed), (PresenceView::AsItIs, Location::None));
        let denied = Snapshot { by_hand: Some(ByHand::Denied), ..snapshot };
        assert_eq!(sees(asker, &denied), (PresenceView::Hidden, Location::None));
    }
}

#[test]
fn missed_messages() {
    assert_eq!((missed(408), missed(480), missed(415)), (Missed::Count, Missed::Count, Missed::Declined));
}

#[test]
fn each_aspect_is_judged_by_itself() {
    let model = home(
        "config rule\noption person alice\nlist who group:friends\noption calls block\noption location coordinates\n\
         config rule\noption person alice\nlist who anyone\noption presence 'At sea'\noption messages block\n\
         config rule\nlist who domain:his.example\noption presence busy\n",
    );
    let snapshot = at(&model, State::Available);
    let carl = peer("Carl@his.example");
    assert_eq!(sees(carl, &snapshot), (PresenceView::Busy, Location::Coordinates));
    assert_eq!(asks(carl, CALL, &snapshot), DECLINED);
    assert_eq!(asks(carl, Kind::Message, &snapshot), DECLINED);
    let other = claimed("Carl@his.example");
    assert_eq!(sees(other, &snapshot), (PresenceView::Text(1), Location::None));
    let Decision::Show(view) = asks(other, Kind::Presence, &snapshot) else { panic!() };
    assert_eq!(view.text(&model), Some("At sea"));
    assert_eq!((asks(other, CALL, &snapshot), asks(other, Kind::Message, &snapshot)), (delivered(1), DECLINED));
    // What is neither message nor call is no matter of rules, nor is she herself.
    assert_eq!(asks(other, Kind::Other, &snapshot), delivered(1));
    assert_eq!((asks(ALICE, CALL, &snapshot), asks(ALICE, Kind::Message, &snapshot)), (delivered(1), delivered(1)));
    assert_eq!(sees(ALICE, &snapshot), (PresenceView::AsItIs, Location::Coordinates));
    // To Bob, who has no rules of his own, the family's count.
    let bobs = Snapshot { person: Some(1), ..snapshot };
    assert_eq!(sees(carl, &bobs), (PresenceView::Busy, Location::None));
    assert_eq!(asks(carl, CALL, &bobs), delivered(1));
}

/// The rule for presence that decides, as its index; rules are given as `PERSON WHO WHEN`, `-` for none.
fn winner(rules: &[&str], asker: Asker<'_>, state: State) -> Option<u16> {
    let mut text = String::new();
    for rule in rules {
        let [person, who, when] = rule.split(' ').collect::<Vec<_>>()[..] else { panic!("{rule}") };
        text += "config rule\noption presence show\n";
        for (option, value) in [("option person", person), ("list who", who), ("option when", when)] {
            text += &if value == "-" { String::new() } else { format!("{option} {value}\n") };
        }
    }
    let model = home(&text);
    match judge(&to_alice(asker, Kind::Presence), &at(&model, state)).because {
        Because::Rule(rule) => Some(rule),
        _ => None,
    }
}

#[test]
fn the_most_specific_rule_wins() {
    let all =
        ["- anyone -", "- network:sip -", "- domain:his.example -", "alice group:friends -", "alice buddy:carl -"];
    let carl = peer("Carl@his.example");
    for count in 1..=all.len() {
        let mut rules = all[..count].to_vec();
        assert_eq!(winner(&rules, carl, State::Away), Some(count as u16 - 1), "{rules:?}");
        rules.reverse();
        assert_eq!(winner(&rules, carl, State::Away), Some(0), "{rules:?}");
        assert_eq!(winner(&rules, claimed("Carl@his.example"), State::Away), Some(count as u16 - 1), "{rules:?}");
    }
    // Who comes before when, when before whose, whose before the order of the file.
    let away = |rules: &[&str]| winner(rules, carl, State::Away);
    assert_eq!(away(&["- domain:his.example -", "alice anyone away"]), Some(0));
    assert_eq!(away(&["- anyone -", "alice anyone -", "- anyone away"]), Some(2));
    assert_eq!(away(&["- anyone -", "alice anyone -", "alice anyone -"]), Some(1));
    assert_eq!(away(&["- anyone -", "- anyone -"]), Some(0));
    assert_eq!(away(&["alice anyone busy", "bob anyone -"]), None);
    for (state, expected) in [(State::Available, 4), (State::Away, 3), (State::Busy, 1), (State::Offline, 2)] {
        let rules = ["- anyone -", "- anyone busy", "- anyone offline", "- anyone away", "- anyone available"];
        assert_eq!(winner(&rules, carl, state), Some(expected));
    }
    // The entry of a list that fits best counts.
    let model = home(
        "config rule\nlist who domain:his.example\noption presence busy\n\
         config rule\noption person alice\nlist who anyone\nlist who person:bob\nlist who group:friends\noption presence hide\n",
    );
    let snapshot = at(&model, State::Available);
    assert_eq!(sees(carl, &snapshot).0, PresenceView::Hidden);
    assert_eq!(sees(peer("else@his.example"), &snapshot).0, PresenceView::Busy);
}

#[test]
fn who_fits() {
    let fits = |who: &str, asker| winner(&[&format!("alice {who} -")], asker, State::Available).is_some();
    // The user's case counts, that of the host does not; escapes and passwords do not matter.
    assert!(fits("buddy:carl", peer("Carl@HIS.example")) && fits("buddy:carl", peer("%43arl:pw@his.example.")));
    assert!(!fits("buddy:carl", peer("carl@his.example")) && !fits("buddy:carl", peer("Carl@his.example.org")));
    assert!(!fits("buddy:carl", peer("his.example")) && !fits("buddy:carl", peer("")));
    assert!(fits("buddy:mum", peer("mum@[2001:DB8:0::1]")) && fits("group:family", peer("mum@mum.example")));
    assert!(!fits("group:friends", peer("mum@mum.example")) && !fits("group:family", peer("Carl@his.example")));
    assert!(fits("domain:his.example", peer("x@His.Example")) && fits("domain:2001:db8::1", peer("[2001:db8:0::1]")));
    assert!(!fits("domain:his.example", peer("x@sub.his.example")) && !fits("domain:his.example", BOB));
    assert!(fits("domain:home.example", BOB) && fits("network:sip", BOB) && fits("network:sip", peer("x@y.example")));
    assert!(fits("person:bob", BOB) && !fits("person:eve", BOB) && fits("anyone", BOB));
    // Neither a claim nor a domain makes somebody a person of the home.
    for assurance in [Assurance::Claimed, Assurance::Peer] {
        assert!(!fits("person:bob", Asker { assurance, ..BOB }));
    }
    for who in ["buddy:carl", "group:friends", "domain:his.example", "network:sip"] {
        assert!(!fits(who, claimed("Carl@his.example")), "{who}");
        assert!(fits(who, peer("Carl@his.example")), "{who}");
    }
    // A buddy of another's list is nobody to her, though the group is the same.
    let model = home(
        "config buddy\noption person bob\noption alias zoe\nlist address sip:zoe@z.example\noption group friends\n\
         config rule\nlist who group:friends\noption calls block\n",
    );
    let snapshot = at(&model, State::Available);
    assert_eq!(asks(peer("zoe@z.example"), CALL, &snapshot), delivered(1));
    assert_eq!(asks(peer("zoe@z.example"), CALL, &Snapshot { person: Some(1), ..snapshot }), DECLINED);
}

#[test]
fn her_answer_stands_between_rules() {
    let model = home(
        "config rule\noption person alice\nlist who buddy:carl\noption presence busy\n\
         config rule\noption person alice\nlist who group:family\noption presence hide\noption location place\n\
         config rule\noption person alice\nlist who domain:his.example\noption presence show\n",
    );
    let snapshot = at(&model, State::Available);
    let answered = |answer| Snapshot { by_hand: Some(answer), ..snapshot };
    let (carl, mum, other) = (peer("Carl@his.example"), peer("mum@mum.example"), peer("x@his.example"));
    for answer in [ByHand::Allowed, ByHand::Denied] {
        assert_eq!(sees(carl, &answered(answer)).0, PresenceView::Busy);
    }
    assert_eq!(sees(mum, &snapshot), (PresenceView::Hidden, Location::None));
    assert_eq!(sees(mum, &answered(ByHand::Allowed)), (PresenceView::AsItIs, Location::Place));
    assert_eq!(sees(other, &answered(ByHand::Denied)), (PresenceView::Hidden, Location::None));
    // Of messages and calls it says nothing.
    assert_eq!(asks(other, Kind::Message, &answered(ByHand::Denied)), delivered(1));
}

#[test]
fn an_answer_about_a_claimed_name_undoes_no_rule() {
    let model = home("config rule\nlist who anyone\noption presence busy\n");
    let snapshot = at(&model, State::Available);
    let bob_x = |assurance, answer| {
        let asker = Asker { assurance, person: None, address: b"bob@x.example" };
        sees(asker, &Snapshot { by_hand: Some(answer), ..snapshot }).0
    };
    assert_eq!(bob_x(Assurance::Claimed, ByHand::Allowed), PresenceView::Busy);
    assert_eq!(bob_x(Assurance::Claimed, ByHand::Denied), PresenceView::Hidden);
    assert_eq!(bob_x(Assurance::Peer, ByHand::Allowed), PresenceView::AsItIs);
}

#[test]
fn devices_that_can_take_it() {
    let able = Facts::UNKNOWN;
    let cases: [(&[Facts], Decision); 9] = [
        (&[], Decision::Refuse(480, "Temporarily Unavailable")),
        (&[Facts { is_own: true, ..able }], Decision::Refuse(480, "No Device Takes This")),
        (&[Facts { is_secure_enough: false, ..able }], Decision::Refuse(480, "No Device Takes This")),
        (&[Facts { takes_method: Some(false), ..able }], Decision::Refuse(480, "No Device Takes This")),
        (&[Facts { takes_type: Some(false), ..able }], Decision::Refuse(480, "No Device Takes This")),
        (&[Facts { preference: Preference::Rejected, ..able }], Decision::Refuse(480, "No Device Takes This")),
        (&[Facts { preference: Preference::Excluded, ..able }], Decision::Refuse(480, "No Device Takes This")),
        (&[Facts { takes_method: Some(true), ..able }, able], delivered(2)),
        (&[able, Facts { preference: Preference::Score(0), ..able }, Facts { is_meant: false, ..able }], delivered(2)),
    ];
    let model = home("");
    for (devices, expected) in cases {
        let snapshot = Snapshot { devices, ..at(&model, State::Available) };
        assert_eq!(asks(claimed("x@y.example"), Kind::Message, &snapshot), expected, "{devices:?}");
    }
    // With no choice it goes to who is not meant for it, too; and one that can't take it is no choice.
    let unmeant = Facts { is_meant: false, ..able };
    let unable = Facts { takes_type: Some(false), ..able };
    let devices = [unmeant, unable, unmeant];
    let snapshot = Snapshot { devices: &devices, ..at(&model, State::Available) };
    assert_eq!(asks(BOB, CALL, &snapshot), Decision::Deliver([0, 2].into_iter().collect()));
}

#[test]
fn sets_of_devices() {
    let devices: Devices = [31, 0, 5, 32, 99].into_iter().collect();
    assert_eq!((devices.len(), devices.iter().collect::<Vec<_>>()), (3, vec![0, 5, 31]));
    assert!(devices.contains(5) && !devices.contains(6) && !devices.contains(32) && Devices::NONE.is_empty());
    let facts = |q, score| Facts { q, preference: Preference::Score(score), ..Facts::UNKNOWN };
    let facts = [facts(500, 1000), facts(1000, 300), facts(1000, 700), facts(500, 1000), facts(1000, 1000)];
    let all: Devices = (0..5).collect();
    assert_eq!(all.ranked(&facts).collect::<Vec<_>>(), [4, 2, 1, 0, 3]);
}

#[test]
fn addresses_of_uris() {
    for (uri, address) in [
        ("sip:bob@x.example", "bob@x.example"),
        ("SIPS:bob:pw@X.example:5061;transport=tcp?a=b", "bob:pw@X.example"),
        ("sip:b%40c@[2001:db8::1]:5060", "b%40c@[2001:db8::1]"),
        ("sip:x.example;lr", "x.example"),
    ] {
        let Ok(Uri::Sip(parsed)) = Uri::parse(uri.as_bytes()) else { panic!("{uri}") };
        assert_eq!(address_of(&parsed), address.as_bytes());
    }
}

/// What is decided about a request to Alice at a stage, with all that the house can do.
fn later(asker: Asker<'_>, kind: Kind, stage: Stage, snapshot: &Snapshot<'_>) -> Decision {
    decide(&Event { stage, ..to_alice(asker, kind) }, &Snapshot { kept: Delegation::ALL, ..*snapshot })
}

#[test]
fn what_no_device_takes_is_left_to_the_house() {
    let model = home("");
    let carl = claimed("Carl@his.example");
    let unable = [Facts { takes_method: Some(false), ..Facts::UNKNOWN }];
    let own = [Facts { is_own: true, ..Facts::UNKNOWN }];
    for devices in [&[][..], &unable] {
        let none = Snapshot { devices, ..at(&model, State::Offline) };
        let arrived = |asker, kind| later(asker, kind, Stage::Arrived, &none);
        for asker in [carl, peer("Carl@his.example"), BOB] {
            assert_eq!((arrived(asker, Kind::Message), arrived(asker, CALL)), (Decision::Keep, Decision::Answer));
            assert_eq!(arrived(asker, Kind::Call { video: true }), Decision::Answer);
        }
        for kind in [Kind::Sign, Kind::Other] {
            assert_eq!(arrived(BOB, kind), asks(BOB, kind, &none));
            assert!(matches!(arrived(BOB, kind), Decision::Refuse(480, _)));
        }
        // Each for itself: one may be possible without the other.
        let texts = Snapshot { kept: Delegation { texts: true, voice: false }, ..none };
        let voice = Snapshot { kept: Delegation { texts: false, voice: true }, ..none };
        assert_eq!((asks(carl, Kind::Message, &texts), asks(carl, CALL, &voice)), (Decision::Keep, Decision::Answer));
        assert_eq!(asks(carl, CALL, &texts), asks(carl, CALL, &none));
        assert_eq!(asks(carl, Kind::Message, &voice), asks(carl, Kind::Message, &none));
    }
    // To herself: a note is kept where no other device takes it, the machine is not for her.
    let alone = Snapshot { devices: &own, ..at(&model, State::Available) };
    assert_eq!(later(ALICE, Kind::Message, Stage::Arrived, &alone), Decision::Keep);
    assert_eq!(later(ALICE, CALL, Stage::Arrived, &alone), Decision::Refuse(480, "No Device Takes This"));
    // A stranger who bears her name is a stranger.
    assert_eq!(later(claimed("alice@home.example"), CALL, Stage::Arrived, &alone), Decision::Answer);
    // While a device takes it, nothing is left to the house.
    let one = at(&model, State::Available);
    for kind in KINDS {
        assert_eq!(later(BOB, kind, Stage::Arrived, &one), asks(BOB, kind, &one), "{kind:?}");
    }
}

#[test]
fn what_devices_do_not_take_is_left_to_the_house() {
    let model = home("");
    let snapshot = at(&model, State::Available);
    let failed = |asker, kind, status| later(asker, kind, Stage::Failed(status), &snapshot);
    for status in 300..700 {
        let (text, call) = match delegates(CALL, status) {
            true => (Decision::Keep, Decision::Answer),
            false => (Decision::Pass, Decision::Pass),
        };
        for asker in [claimed("x@y.example"), BOB] {
            assert_eq!((failed(asker, Kind::Message, status), failed(asker, CALL, status)), (text, call), "{status}");
        }
        assert_eq!((failed(ALICE, Kind::Message, status), failed(ALICE, CALL, status)), (text, Decision::Pass));
        for kind in [Kind::Sign, Kind::Presence, Kind::Events, Kind::Other] {
            assert_eq!(failed(BOB, kind, status), Decision::Pass);
        }
        for kind in KINDS {
            let event = Event { stage: Stage::Failed(status), ..to_alice(BOB, kind) };
            assert_eq!(decide(&event, &snapshot), Decision::Pass, "nothing can be done in her place");
            for target in [Target::Dialog, Target::Device, Target::Outside] {
                assert_eq!(decide(&Event { target, ..event }, &snapshot), Decision::Pass);
            }
        }
    }
    for kind in KINDS {
        let expected = if matches!(kind, Kind::Call { .. }) { Decision::Answer } else { Decision::Pass };
        assert_eq!(later(BOB, kind, Stage::Unanswered, &snapshot), expected);
        assert_eq!(later(ALICE, kind, Stage::Unanswered, &snapshot), Decision::Pass);
        let event = Event { stage: Stage::Unanswered, ..to_alice(BOB, kind) };
        assert_eq!(decide(&event, &snapshot), Decision::Pass);
    }
}

#[test]
fn rules_leave_it_to_the_house() {
    let model = home(
        "config rule\noption person alice\nlist who group:friends\noption messages store\noption calls answer\n\
         config rule\nlist who anyone\noption when busy\noption messages block\noption calls block\n",
    );
    let carl = peer("Carl@his.example");
    let available = at(&model, State::Available);
    for devices in [&[][..], &[Facts::UNKNOWN]] {
        let snapshot = Snapshot { devices, ..available };
        let arrived = |kind| later(carl, kind, Stage::Arrived, &snapshot);
        assert_eq!((arrived(Kind::Message), arrived(CALL)), (Decision::Keep, Decision::Answer));
        assert_eq!(arrived(Kind::Sign), Decision::Refuse(480, "Not Delivered"));
        // Where the house can't, her devices are not disturbed all the same.
        for kind in [Kind::Message, CALL] {
            assert_eq!(asks(carl, kind, &snapshot), Decision::Refuse(480, "Temporarily Unavailable"));
        }
    }
    let because = |asker, kind, stage| {
        let event = Event { stage, ..to_alice(asker, kind) };
        judge(&event, &Snapshot { kept: Delegation::ALL, ..available }).because
    };
    for kind in [Kind::Message, CALL] {
        assert_eq!(because(carl, kind, Stage::Arrived), Because::Rule(0));
        assert_eq!(because(carl, kind, Stage::Failed(486)), Because::Rule(0));
        assert!(matches!(because(BOB, kind, Stage::Failed(486)), Because::House(_)));
    }
    // Who is blocked by now gets nothing kept; nor does a status that is the sender's own business.
    let busy = at(&model, State::Busy);
    for stage in [Stage::Failed(486), Stage::Unanswered] {
        assert_eq!(later(BOB, Kind::Message, stage, &busy), Decision::Pass);
        assert_eq!(later(BOB, CALL, stage, &busy), Decision::Pass);
    }
    assert_eq!(later(BOB, Kind::Sign, Stage::Arrived, &busy), DECLINED);
    assert_eq!(later(carl, Kind::Message, Stage::Failed(407), &available), Decision::Pass);
    // Her own messages and calls are no matter of rules.
    assert_eq!(later(ALICE, Kind::Message, Stage::Arrived, &busy), delivered(1));
}

/// Whatever the rules: a text is kept and a call answered only where that is possible, of somebody who is not blocked, and
/// neither changes who gets through to the devices.
#[test]
fn the_house_takes_what_it_may_and_no_more() {
    let mut random = Sequence(0x6b65_6570);
    let stages = [Stage::Arrived, Stage::Failed(408), Stage::Failed(603), Stage::Failed(407), Stage::Unanswered];
    let askers = [peer("Carl@his.example"), peer("mum@mum.example"), claimed("x@y.example"), BOB, ALICE];
    let (mut kept, mut answered) = (0, 0);
    for _ in 0..4_000 {
        let model = any_home(&mut random);
        let devices = [Facts::UNKNOWN];
        let devices = &devices[..random.below(2)];
        let able = Delegation { texts: random.below(2) == 0, voice: random.below(2) == 0 };
        let snapshot = Snapshot { devices, kept: able, ..at(&model, random.one(&STATES)) };
        let (asker, kind, stage) = (random.one(&askers), random.one(&KINDS), random.one(&stages));
        let arrived = asks(asker, kind, &snapshot);
        let unable = asks(asker, kind, &Snapshot { kept: Delegation::NONE, ..snapshot });
        match decide(&Event { stage, ..to_alice(asker, kind) }, &snapshot) {
            Decision::Keep => {
                kept += 1;
                assert!(able.texts && kind == Kind::Message && arrived != DECLINED && stage != Stage::Failed(407));
            }
            Decision::Answer => {
                answered += 1;
                assert!(able.voice && matches!(kind, Kind::Call { .. }) && asker != ALICE);
                assert!(arrived != DECLINED && stage != Stage::Failed(407));
            }
            Decision::Pass => assert!(stage != Stage::Arrived),
            decision => assert_eq!((stage, decision), (Stage::Arrived, unable)),
        }
        match arrived {
            Decision::Keep | Decision::Answer => assert!(matches!(unable, Decision::Refuse(480, _))),
            _ => assert_eq!(arrived, unable),
        }
    }
    assert!(kept > 100 && answered > 200, "{kept} {answered}");
}

fn words(event: &Event<'_>, snapshot: &Snapshot<'_>) -> String {
    let mut buffer = [0; 2048];
    let mut out = Writer::new(&mut buffer);
    explain(event, snapshot, &mut out);
    String::from_utf8(out.written().to_vec()).unwrap()
}

#[test]
fn explanations() {
    let model = home(
        "config rule\noption person alice\nlist who group:friends\nlist who person:bob\noption when away\n\
         option messages block\noption presence 'At sea'\noption location place\n\
         config rule\nlist who anyone\noption calls block\n",
    );
    let away = at(&model, State::Away);
    let line = model.rules[0].line;
    assert_eq!(line, 22);
    assert_eq!(
        words(&to_alice(peer("Carl@his.example"), Kind::Message), &away),
        "Carl@his.example is proven: its connection is that of its domain; on the list as carl.\n\
         Messages: refused with 603 Decline: the rule in line 22 for group:friends, person:bob when away.\n"
    );
    assert_eq!(
        words(&to_alice(BOB, Kind::Presence), &away),
        "bob is a person of the home, proven by password.\n\
         Presence: shown as the text \"At sea\": the rule in line 22 for group:friends, person:bob when away.\n\
         Location: the place is shown: the rule in line 22 for group:friends, person:bob when away.\n"
    );
    assert_eq!(
        words(&to_alice(claimed("Carl@his.example"), Kind::Other), &away),
        "Carl@his.example is only claimed: rules for persons, buddies, groups, domains and networks do not count.\n\
         Presence: not shown yet: she is asked about who is not of the home.\n\
         Needed: her answer, with allow or deny, or a rule for the asker.\n\
         If it were proven by a connection over TLS: shown as the text \"At sea\": the rule in line 22 for \
         group:friends, person:bob when away; location: the rule in line 22 for group:friends, person:bob when away.\n\
         Messages: delivered to 1 of 1 device: messages get through unless a rule says otherwise.\n\
         If it were proven by a connection over TLS: refused with 603 Decline: the rule in line 22 for \
         group:friends, person:bob when away.\n\
         Calls: refused with 603 Decline: the rule in line 30 for anyone, the family's.\n"
    );
    let devices = [
        Facts { is_own: true, ..Facts::UNKNOWN },
        Facts { takes_method: Some(false), ..Facts::UNKNOWN },
        Facts { takes_method: Some(false), ..Facts::UNKNOWN },
        Facts { is_meant: false, ..Facts::UNKNOWN },
        Facts::UNKNOWN,
    ];
    assert_eq!(
        words(&to_alice(ALICE, Kind::Message), &Snapshot { devices: &devices, ..away }),
        "alice asks herself, proven by password.\n\
         Messages: delivered to 1 of 5 devices: it is her own.\n\
         Left out: 1 device, as the request comes from there; 2 devices, which can't take it; 1 device, as others are \
         meant for it.\n"
    );
    let outside = Event { target: Target::Outside, ..to_alice(Asker::STRANGER, Kind::Message) };
    assert_eq!(
        words(&outside, &away),
        "The asker is only claimed: rules for persons, buddies, groups, domains and networks do not count.\n\
         Decision: refused with 403 Relaying Denied: strangers reach people of the home only.\n"
    );
    let hidden = home("config rule\nlist who anyone\noption presence hide\n");
    let allowed = Snapshot { by_hand: Some(ByHand::Allowed), ..at(&hidden, State::Away) };
    assert_eq!(
        words(&to_alice(claimed("x@y.example"), Kind::Presence), &allowed).lines().skip(1).collect::<Vec<_>>(),
        [
            "Presence: shown as offline: the rule in line 22 for anyone, the family's.",
            "Location: not shown: who looks offline is nowhere.",
            "If it were proven by a connection over TLS: shown as it is: the answer that alice gave about the asker; \
             location: a place is shown to others by a rule only.",
            "Her answer does not count before a rule, as anybody could claim the name.",
        ]
    );
    // What does not fit is remembered, not lost in silence.
    let mut small = [0; 20];
    let mut out = Writer::new(&mut small);
    explain(&outside, &away, &mut out);
    assert!(out.finish().is_err());
}

#[test]
fn explanations_of_what_is_left_to_the_house() {
    let model =
        home("config rule\nlist who network:sip\noption when busy\noption messages store\noption calls answer\n");
    let free = Snapshot { kept: Delegation::ALL, ..at(&model, State::Available) };
    let told = |event: &Event<'_>, snapshot: &Snapshot<'_>| {
        words(event, snapshot).split_inclusive('\n').skip(1).collect::<String>()
    };
    let (text, call) = (to_alice(BOB, Kind::Message), to_alice(BOB, CALL));
    assert_eq!(
        told(&text, &free),
        "Messages: delivered to 1 of 1 device: messages get through unless a rule says otherwise.\n\
         If none of them takes it: kept for her.\n"
    );
    assert_eq!(
        told(&call, &free),
        "Calls: delivered to 1 of 1 device: calls get through unless a rule says otherwise.\n\
         If nobody answers within 20 s, or all are busy or decline: taken by the answering machine.\n"
    );
    let gone = Snapshot { devices: &[], ..free };
    assert_eq!(told(&text, &gone), "Messages: kept for her: no device is registered.\n");
    assert_eq!(told(&call, &gone), "Calls: taken by the answering machine: no device is registered.\n");
    let busy = Snapshot { state: State::Busy, ..free };
    let rule = "the rule in line 22 for network:sip when busy, the family's.\n";
    assert_eq!(told(&text, &busy), format!("Messages: kept for her: {rule}"));
    assert_eq!(told(&call, &busy), format!("Calls: taken by the answering machine: {rule}"));
    let unable = Snapshot { kept: Delegation::NONE, ..busy };
    assert_eq!(
        told(&text, &unable),
        format!("Messages: refused with 480 Temporarily Unavailable: {rule}Needed: a disk to keep it on.\n")
    );
    assert_eq!(
        told(&call, &unable),
        format!(
            "Calls: refused with 480 Temporarily Unavailable: {rule}\
             Needed: the answering machine, a disk, and room for the call.\n"
        )
    );
}

/// A sequence of numbers from a seed.
struct Sequence(u64);

impl Sequence {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % end
    }

    fn one<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }
}

fn any_rule(random: &mut Sequence, line: u32, word: u16) -> Rule {
    let whos = [Who::Person(1), Who::Person(0), Who::Buddy(0), Who::Buddy(1), Who::Group(0), Who::Group(1)];
    let more = [Who::Domain(word), Who::Domain(word + 1), Who::Network(crate::config::model::Network::Sip)];
    let mut who = heapless::Vec::new();
    for _ in 0..=random.below(3) {
        let group = [&whos[..], &more[..], &[Who::Anyone]][random.below(3)];
        let _ = who.push(random.one(group));
    }
    let states = [None, None, Some(State::Available), Some(State::Away), Some(State::Busy), Some(State::Offline)];
    let presence = [None, Some(Presence::Show), Some(Presence::Hide), Some(Presence::Busy), Some(Presence::Text(word))];
    Rule {
        line,
        person: random.one(&[None, Some(0), Some(1)]),
        who,
        when: random.one(&states),
        presence: random.one(&presence),
        location: random.one(&[None, Some(Location::None), Some(Location::Place), Some(Location::Coordinates)]),
        messages: random.one(&[None, Some(Messages::Deliver), Some(Messages::Store), Some(Messages::Block)]),
        calls: random.one(&[None, Some(Calls::Ring), Some(Calls::Answer), Some(Calls::Block)]),
    }
}

const STATES: [State; 4] = [State::Available, State::Away, State::Busy, State::Offline];
const KINDS: [Kind; 6] = [Kind::Presence, Kind::Message, Kind::Sign, CALL, Kind::Call { video: true }, Kind::Other];

/// A home with random rules.
fn any_home(random: &mut Sequence) -> Box<Model> {
    let mut model = home("");
    let word = model.words.len() as u16;
    model.words.push("his.example".try_into().unwrap()).unwrap();
    model.words.push("home.example".try_into().unwrap()).unwrap();
    for line in 0..random.below(9) as u32 {
        let _ = model.rules.push(any_rule(random, line, word));
    }
    model
}

/// Whatever name somebody only claims, what he gets is what somebody without a name gets from the rules for anyone alone.
#[test]
fn a_claim_gets_what_anyone_gets() {
    let mut random = Sequence(0x000c_1a13);
    let (mut shown, mut refused, mut pending) = (0, 0, 0);
    for _ in 0..600 {
        let model = any_home(&mut random);
        // The same lines stay, so that indices are the same; but the rules have nothing but `anyone` in their lists.
        let mut bare = model.clone();
        for rule in &mut bare.rules {
            rule.who.retain(|who| *who == Who::Anyone);
        }
        for (state, by_hand) in STATES
            .iter()
            .flat_map(|state| [None, Some(ByHand::Allowed), Some(ByHand::Denied)].map(|by_hand| (*state, by_hand)))
        {
            let snapshot = Snapshot { by_hand, ..at(&model, state) };
            let anyones = Snapshot { model: &bare, ..snapshot };
            for kind in KINDS {
                let expected = judge(&to_alice(Asker::STRANGER, kind), &anyones);
                for address in ["", "Carl@his.example", "mum@mum.example", "bob@home.example", "alice@home.example"] {
                    for person in [None, Some(0), Some(1)] {
                        let asker = Asker { assurance: Assurance::Claimed, person, address: address.as_bytes() };
                        assert_eq!(judge(&to_alice(asker, kind), &snapshot), expected, "{:?}", model.rules);
                    }
                }
                let ruled = |rule: &Rule| {
                    rule.who.contains(&Who::Anyone)
                        && rule.person != Some(1)
                        && rule.when.is_none_or(|when| when == state)
                };
                let says = |aspect: fn(&Rule) -> bool| bare.rules.iter().any(|rule| ruled(rule) && aspect(rule));
                match expected.decision {
                    Decision::Show(view) => {
                        shown += 1;
                        let is_shown = says(|rule| rule.presence == Some(Presence::Show));
                        let is_unruled = !says(|rule| rule.presence.is_some());
                        let is_allowed = is_unruled && by_hand == Some(ByHand::Allowed);
                        assert!(view.presence != PresenceView::AsItIs || is_shown || is_allowed);
                        assert!(view.location == Location::None || says(|rule| rule.location >= Some(Location::Place)));
                        assert!(view.presence != PresenceView::Hidden || view.location == Location::None);
                    }
                    Decision::Pending => {
                        pending += 1;
                        assert!(by_hand.is_none() && !says(|rule| rule.presence.is_some()));
                    }
                    Decision::Refuse(..) => refused += 1,
                    Decision::Deliver(_) => {}
                    Decision::Pass | Decision::Keep | Decision::Answer => panic!(),
                }
            }
        }
    }
    assert!(shown > 1_000 && refused > 1_000 && pending > 300, "{shown} {refused} {pending}");
}

/// The rule that wins is the first of all that fit, sorted by how specific they are.
#[test]
fn the_winner_is_the_first_of_the_sorted() {
    let mut random = Sequence(0x50f7);
    let askers = [peer("Carl@his.example"), peer("mum@mum.example"), peer("x@y.example"), BOB, claimed("a@b.example")];
    let mut found = 0;
    for _ in 0..2_000 {
        let model = any_home(&mut random);
        let asker = random.one(&askers);
        let state = random.one(&STATES);
        let fits = |who: &Who| match who {
            Who::Anyone => true,
            _ if asker.assurance == Assurance::Claimed => false,
            Who::Network(_) => true,
            Who::Person(person) => asker == BOB && *person == 1,
            Who::Buddy(0) | Who::Group(0) => asker == askers[0],
            Who::Buddy(_) | Who::Group(_) => asker == askers[1],
            Who::Domain(2) => asker == askers[0],
            Who::Domain(_) => asker == BOB,
        };
        let place = |who: &Who| match who {
            Who::Person(_) | Who::Buddy(_) => 0,
            Who::Group(_) => 1,
            Who::Domain(_) => 2,
            Who::Network(_) => 3,
            Who::Anyone => 4,
        };
        let mut order: Vec<_> = model
            .rules
            .iter()
            .enumerate()
            .filter(|(_, rule)| rule.messages.is_some() && rule.person != Some(1))
            .filter(|(_, rule)| rule.when.is_none_or(|when| when == state))
            .filter_map(|(index, rule)| {
                let best = rule.who.iter().filter(|who| fits(who)).map(place).min()?;
                Some((best, rule.when.is_none(), rule.person.is_none(), index as u16))
            })
            .collect();
        order.sort_unstable();
        let because = judge(&to_alice(asker, Kind::Message), &at(&model, state)).because;
        match order.first() {
            Some((_, _, _, index)) => assert_eq!(because, Because::Rule(*index), "{asker:?} {:?}", model.rules),
            None => assert!(matches!(because, Because::House(_))),
        }
        found += usize::from(!order.is_empty());
    }
    assert!(found > 500, "{found}");
}
