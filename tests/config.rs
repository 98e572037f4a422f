//! Reads whole configuration files from `tests/data/uci` as `pcsd check` does.

use std::fs;
use std::path::Path;

use pcsd::config::Model;
use pcsd::config::model::{
    Calls, Language, LineWay, Listen, Location, Messages, Missed, Network, Presence, Secret, Security, State, Takes,
    Transport, Who,
};

fn data(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/uci").join(name);
    fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The model of a file and one printed line for each fault.
fn read(name: &str) -> (Box<Model>, String) {
    let mut model = Box::new(Model::new());
    let mut printed = String::new();
    let count = model.read(&data(name), &mut |fault| printed.push_str(&format!("{fault}\n")));
    assert_eq!(count, printed.lines().count());
    (model, printed)
}

#[test]
fn a_home() {
    let (model, faults) = read("home.uci");
    assert_eq!(faults, "");
    assert_eq!((model.main.domain.as_str(), model.main.listen.len()), ("home.example", 4));
    let names: Vec<_> = model.people.iter().map(|person| (person.id.as_str(), person.name.as_str())).collect();
    assert_eq!(names, [("alice", "Alice"), ("bob", "Bob 'the Builder'")]);
    let web: Vec<_> = model.main.web.iter().map(|web| (web.address.to_string(), web.is_secure)).collect();
    assert_eq!(web, [("0.0.0.0:8088".into(), false), ("[::]:8088".into(), false)]);
    assert_eq!((model.main.url.as_str(), model.main.rtp_ports), ("http://router.lan:8088", (30_000, 30_099)));
    let [alice, bob] = model.people.as_slice() else { panic!("{:?}", model.people) };
    assert_eq!((alice.language, alice.busy.as_str()), (Language::Sv, "Alice är ute: \"hörs sen\""));
    assert_eq!((alice.answer_after_s, alice.record_seconds, alice.missed), (15, 60, Missed::Deliver));
    assert_eq!((bob.language, bob.busy.as_str(), bob.answer_after_s), (Language::En, "", 20));
    assert_eq!((bob.answering, bob.record_seconds, bob.missed), (true, 120, Missed::Keep));
    // One from a password, one from its hashes: both end as what a client computes.
    for (id, password) in [("alice", "wonderland"), ("bob", "builder")] {
        let expected = Secret::from_password(id.as_bytes(), b"home.example", password.as_bytes());
        let person = model.person(id.as_bytes()).map(|person| &model.people[person].secret);
        let device = model.device(id.as_bytes()).map(|device| &model.devices[device].secret);
        assert_eq!(person.or(device), Some(&expected));
    }
    let [tv] = model.devices.as_slice() else { panic!("{:?}", model.devices) };
    assert_eq!((tv.id.as_str(), tv.person, tv.takes), ("tv", 0, Takes { audio: true, video: true, text: false }));
}

#[test]
fn peers_and_keys() {
    let (model, faults) = read("peers.uci");
    if cfg!(not(feature = "tls")) {
        let refused = ["line 7: peer 'smiths': option 'pin'", "line 8: peer 'smiths': option 'pin'"]
            .into_iter()
            .chain(["line 17: pcsd 'main': option 'listen'", "line 20: pcsd 'main': option 'cert'"])
            .chain(["line 21: pcsd 'main': option 'key'"]);
        let expected: String = refused.map(|place| format!("{place}: TLS is not built into this program\n")).collect();
        return assert_eq!(faults, expected);
    }
    assert_eq!(faults, "");
    let main = &model.main;
    assert_eq!((main.spool.as_str(), main.spool_mb, main.keep_days), ("/mnt/usb/pcsd", 64, 30));
    assert_eq!((main.cert.as_str(), main.key.as_str()), ("/etc/pcsd/home.crt", "/etc/pcsd/home.key"));
    assert_eq!(main.listen[1], Listen { transport: Transport::Tls, address: "0.0.0.0:5061".parse().unwrap() });
    let smiths = &model.peers[model.peer(b"Smith.example").unwrap()];
    let address = smiths.address.as_ref().map(|address| (address.host.as_str(), address.port));
    assert_eq!((address, smiths.transport), (Some(("pcs.smith.example", Some(5061))), Transport::Tls));
    assert_eq!((smiths.pins.len(), &smiths.pins[0][..4]), (2, &[0xe3, 0xb0, 0xc4, 0x42][..]));
    let office = &model.peers[model.peer(b"office.example").unwrap()];
    assert_eq!((office.transport, office.pins.len()), (Transport::Udp, 0));
}

#[test]
fn buddies_and_rules() {
    let (model, faults) = read("rules.uci");
    assert_eq!(faults, "");
    let lists: Vec<_> = model.buddies.iter().map(|buddy| (buddy.person, buddy.name.as_str())).collect();
    assert_eq!(lists, [(None, "Mum"), (Some(0), "carl")]);
    let [first, second] = model.buddies[1].addresses.as_slice() else { panic!("{:?}", model.buddies[1]) };
    assert_eq!((first.text.as_str(), first.port.map(u16::from)), ("carl@his.example", Some(5070)));
    assert_eq!((second.text.as_str(), second.port), ("carl@[2001:db8::7]", None));
    let rules: Vec<_> = model.rules.iter().map(|rule| (rule.line, rule.person, rule.who.len(), rule.when)).collect();
    assert_eq!(
        rules,
        [
            (26, None, 1, None),
            (32, Some(0), 2, Some(State::Busy)),
            (40, None, 1, None),
            (46, Some(1), 1, Some(State::Away))
        ]
    );
    assert_eq!((model.rules[0].location, model.rules[2].presence), (Some(Location::Coordinates), Some(Presence::Hide)));
    assert_eq!((model.rules[3].messages, model.rules[3].calls), (Some(Messages::Store), Some(Calls::Answer)));
    let Some(Presence::Text(text)) = model.rules[1].presence else { panic!("{:?}", model.rules[1]) };
    assert_eq!(model.word(text), "At work, back at 18");
}

#[test]
fn accounts_on_other_networks() {
    let (model, faults) = read("accounts.uci");
    if cfg!(not(all(feature = "xmpp", feature = "irc", feature = "line", feature = "tls"))) {
        assert!(
            !faults.is_empty() && faults.lines().all(|line| line.contains("not built into this program")),
            "{faults}"
        );
        return;
    }
    assert_eq!(faults, "");
    let [xmpp, irc, sms] = model.accounts.as_slice() else { panic!("{:?}", model.accounts) };
    assert_eq!((xmpp.id.as_str(), xmpp.person, xmpp.network), ("alice_xmpp", 0, Network::Xmpp));
    assert_eq!((xmpp.address.as_str(), xmpp.password.0.as_str()), ("alice@jabber.example", "hunter2"));
    assert_eq!((xmpp.host.as_str(), xmpp.security, xmpp.pins.len()), ("", Security::Usual, 1));
    assert_eq!((irc.address.as_str(), irc.login.as_str(), irc.security), ("Alice", "alice1", Security::Direct));
    assert_eq!((irc.host.as_str(), irc.port.map(u16::from)), ("irc.example", Some(6697)));
    assert_eq!((sms.person, sms.way, sms.path.as_str()), (1, LineWay::Local, "/var/run/sms.sock"));
    let addresses: Vec<_> =
        model.buddies.iter().flat_map(|it| &it.addresses).map(|it| (it.network, it.text.as_str())).collect();
    let expected = [
        (Network::Xmpp, "beichuang@jabber.example"),
        (Network::Irc, "beichuang"),
        (Network::Sip, "beichuang@his.example"),
        (Network::Line, "+46 8 123 45"),
    ];
    assert_eq!(addresses, expected);
    let who: Vec<_> = model.rules.iter().map(|rule| rule.who[0]).collect();
    assert_eq!(who, [Who::Network(Network::Irc), Who::Network(Network::Line)]);
    assert!(!format!("{model:?}").contains("hunter2"));
}

#[test]
fn every_fault_is_printed_and_no_secret() {
    let (model, faults) = read("faulty.uci");
    assert_eq!(faults, String::from_utf8(data("faulty.expected")).unwrap());
    assert!(!faults.contains("hunter2") && !format!("{model:?}").contains("hunter2"));
}

#[cfg(all(feature = "xmpp", feature = "irc", feature = "line", feature = "tls"))]
#[test]
fn every_fault_of_accounts_is_printed_and_no_secret() {
    let (model, faults) = read("faulty_accounts.uci");
    assert_eq!(faults, String::from_utf8(data("faulty_accounts.expected")).unwrap());
    assert!(!faults.contains("hunter2") && !format!("{model:?}").contains("hunter2"));
}
