//! Who comes by an account of hers on another network.

use super::*;

/// Buddies of Alice behind those of `HOME`; what a test adds begins at line 31.
const BUDDIES: &str = "config buddy\noption person alice\noption alias xenia\noption group friends\n\
    list address xmpp:Xenia@Jabber.example\nlist address irc:Xen[a]\n\
    config buddy\noption alias door\nlist address 'line:The Door@his.example'\n";

fn linked(rules: &str) -> Box<Model> {
    home(&format!("{BUDDIES}{rules}"))
}

fn on(network: Network, address: &str) -> Asker<'_> {
    Asker { assurance: Assurance::Account(network), person: None, address: address.as_bytes() }
}

const XENIA: Asker<'_> =
    Asker { assurance: Assurance::Account(Network::Xmpp), person: None, address: b"xenia@jabber.example" };
const XEN_A: Asker<'_> = Asker { assurance: Assurance::Account(Network::Irc), person: None, address: b"xen{a}" };
/// What a network as a whole is shown.
const EVERYBODY: [Asker<'_>; 3] = [
    Asker { assurance: Assurance::Account(Network::Xmpp), person: None, address: b"" },
    Asker { assurance: Assurance::Account(Network::Irc), person: None, address: b"" },
    Asker { assurance: Assurance::Account(Network::Line), person: None, address: b"" },
];

#[test]
fn without_rules_networks_see_her_and_reach_her() {
    let model = linked("");
    let snapshot = at(&model, State::Away);
    for asker in [XENIA, XEN_A, on(Network::Xmpp, "x@y.example"), on(Network::Line, "x")].into_iter().chain(EVERYBODY) {
        assert_eq!(sees(asker, &snapshot), (PresenceView::AsItIs, Location::Place));
        for kind in [Kind::Message, Kind::Sign, CALL, Kind::Other] {
            assert_eq!(asks(asker, kind, &snapshot), delivered(1));
        }
        assert_eq!(later(asker, Kind::Message, Stage::Failed(480), &snapshot), Decision::Keep);
        // Her answers are about names on SIP.
        for answer in [ByHand::Allowed, ByHand::Denied] {
            let answered = Snapshot { by_hand: Some(answer), ..snapshot };
            assert_eq!(sees(asker, &answered), (PresenceView::AsItIs, Location::Place));
        }
        for target in [Target::Outside, Target::Device] {
            let event = Event { target, ..to_alice(asker, Kind::Message) };
            assert_eq!(decide(&event, &snapshot), Decision::Refuse(403, "Relaying Denied"));
        }
        assert!(matches!(asks(asker, Kind::Events, &snapshot), Decision::Refuse(403, _)));
    }
}

#[test]
fn each_network_is_shown_its_own() {
    let model = linked(
        "config rule\noption person alice\nlist who network:xmpp\noption presence hide\n\
         config rule\noption person alice\nlist who network:irc\noption presence busy\noption location none\n\
         config rule\nlist who network:line\noption presence 'At sea'\noption location coordinates\n\
         config rule\noption person alice\nlist who buddy:xenia\noption when away\noption presence show\n",
    );
    let snapshot = at(&model, State::Available);
    let [xmpp, irc, line] = EVERYBODY.map(|asker| sees(asker, &snapshot));
    assert_eq!(xmpp, (PresenceView::Hidden, Location::None));
    assert_eq!(irc, (PresenceView::Busy, Location::None));
    assert_eq!(line, (PresenceView::Text(2), Location::Coordinates));
    assert_eq!((sees(XENIA, &snapshot), sees(XEN_A, &snapshot)), (xmpp, irc));
    // The one who is a buddy is shown more than the network, on each of her networks.
    let away = at(&model, State::Away);
    assert_eq!(sees(XENIA, &away), (PresenceView::AsItIs, Location::Place));
    assert_eq!(sees(XEN_A, &away), (PresenceView::AsItIs, Location::None));
    assert_eq!(EVERYBODY.map(|asker| sees(asker, &away)), [xmpp, irc, line]);
    // None of that is about SIP, or about Bob, but for the family's rule.
    assert_eq!(asks(peer("xenia@jabber.example"), Kind::Presence, &snapshot), Decision::Pending);
    let bobs = Snapshot { person: Some(1), ..snapshot };
    assert_eq!(sees(EVERYBODY[0], &bobs), (PresenceView::AsItIs, Location::Place));
    assert_eq!(sees(EVERYBODY[2], &bobs), line);
    // Rules for anyone are for these, too, and what is hidden is nowhere.
    let hidden = linked("config rule\nlist who anyone\noption presence hide\noption location coordinates\n");
    for asker in EVERYBODY {
        assert_eq!(sees(asker, &at(&hidden, State::Away)), (PresenceView::Hidden, Location::None));
    }
}

#[test]
fn a_blocked_buddy_still_sees_her() {
    let model = linked(
        "config rule\noption person alice\nlist who buddy:xenia\noption messages block\n\
         config rule\noption person alice\nlist who network:irc\noption calls block\noption messages store\n",
    );
    let snapshot = at(&model, State::Available);
    for asker in [XENIA, XEN_A] {
        assert_eq!((asks(asker, Kind::Message, &snapshot), asks(asker, Kind::Sign, &snapshot)), (DECLINED, DECLINED));
        assert_eq!(sees(asker, &snapshot), (PresenceView::AsItIs, Location::Place));
    }
    assert_eq!((asks(XENIA, CALL, &snapshot), asks(XEN_A, CALL, &snapshot)), (delivered(1), DECLINED));
    let other = on(Network::Irc, "other");
    assert_eq!(later(other, Kind::Message, Stage::Arrived, &snapshot), Decision::Keep);
    assert_eq!(asks(on(Network::Xmpp, "other@jabber.example"), Kind::Message, &snapshot), delivered(1));
}

/// Whether a rule for this entry counts for an asker.
fn fits(who: &str, asker: Asker<'_>) -> bool {
    let model = linked(&format!("config rule\noption person alice\nlist who {who}\noption calls block\n"));
    asks(asker, CALL, &at(&model, State::Available)) == DECLINED
}

#[test]
fn who_fits_on_networks() {
    let door = on(Network::Line, "The Door@his.example");
    assert!(fits("buddy:xenia", XENIA) && fits("buddy:xenia", XEN_A) && fits("buddy:door", door));
    assert!(fits("group:friends", XENIA) && fits("group:friends", XEN_A) && !fits("group:friends", door));
    for asker in [XENIA, XEN_A, door].into_iter().chain(EVERYBODY) {
        let Assurance::Account(network) = asker.assurance else { panic!() };
        for (name, other) in Network::NAMES {
            assert_eq!(fits(&format!("network:{name}"), asker), network == other);
        }
        assert!(fits("anyone", asker) && !fits("person:bob", asker));
        // Nobody on a network is a person of the home, whatever is said of him.
        assert!(!fits("person:bob", Asker { person: Some(1), ..asker }));
    }
    // An address is one of its network only.
    assert!(!fits("buddy:xenia", peer("xenia@jabber.example")) && !fits("buddy:xenia", claimed("xen{a}")));
    assert!(
        !fits("buddy:xenia", on(Network::Line, "xenia@jabber.example")) && !fits("buddy:xenia", on(Network::Xmpp, ""))
    );
    assert!(fits("buddy:carl", peer("Carl@his.example")) && !fits("buddy:carl", on(Network::Xmpp, "Carl@his.example")));
    // Names of XMPP are in domains; those of lines only look so.
    assert!(fits("domain:jabber.example", XENIA) && !fits("domain:his.example", XENIA));
    assert!(fits("domain:his.example", on(Network::Xmpp, "x@his.example")) && !fits("domain:his.example", door));
    // A buddy of Bob's is nobody to Alice.
    let zoe = on(Network::Xmpp, "zoe@jabber.example");
    let model = home(
        "config buddy\noption person bob\noption alias zoe\nlist address xmpp:zoe@jabber.example\n\
         config rule\noption person bob\nlist who buddy:zoe\noption calls block\n",
    );
    let snapshot = at(&model, State::Available);
    assert_eq!(asks(zoe, CALL, &snapshot), delivered(1));
    assert_eq!(asks(zoe, CALL, &Snapshot { person: Some(1), ..snapshot }), DECLINED);
}

#[test]
fn the_most_specific_rule_wins_on_networks() {
    let whos = ["anyone", "network:xmpp", "domain:jabber.example", "group:friends", "buddy:xenia"];
    for count in 1..=whos.len() {
        for is_reversed in [false, true] {
            let mut rules: Vec<_> = whos[..count].to_vec();
            if is_reversed {
                rules.reverse();
            }
            let text: String = rules
                .iter()
                .map(|who| format!("config rule\noption person alice\nlist who {who}\noption presence busy\n"))
                .collect();
            let model = linked(&text);
            let judgement = judge(&to_alice(XENIA, Kind::Presence), &at(&model, State::Away));
            let expected = if is_reversed { 0 } else { count as u16 - 1 };
            assert_eq!(judgement.because, Because::Rule(expected), "{rules:?}");
        }
    }
}

#[test]
fn explanations_on_networks() {
    let model = linked(
        "config rule\noption person alice\nlist who network:xmpp\noption presence busy\n\
         config rule\noption person alice\nlist who buddy:xenia\noption messages block\n",
    );
    let snapshot = at(&model, State::Available);
    let [first, second] = model.rules.as_slice() else { panic!("{:?}", model.rules) };
    assert_eq!((first.line, second.line), (31, 35));
    assert_eq!(
        words(&to_alice(XENIA, Kind::Other), &snapshot),
        "xenia@jabber.example on xmpp is who that network says he is; on the list as xenia.\n\
         Presence: shown as busy: the rule in line 31 for network:xmpp.\n\
         Location: the place is shown: every network shows the place by its name.\n\
         Messages: refused with 603 Decline: the rule in line 35 for buddy:xenia.\n\
         Calls: delivered to 1 of 1 device: calls get through unless a rule says otherwise.\n"
    );
    assert_eq!(
        words(&to_alice(on(Network::Irc, "olga"), Kind::Presence), &snapshot),
        "olga on irc is who that network says he is.\n\
         Presence: shown as it is: who is on her list on another network sees her there.\n\
         Location: the place is shown: every network shows the place by its name.\n"
    );
}
