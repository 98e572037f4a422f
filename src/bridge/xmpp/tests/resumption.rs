//! Stream management: what is acknowledged, what is cut off, what comes again.

use super::*;
use crate::bridge::Show;

fn send(driver: &mut Driver, id: u32) -> Outcome {
    driver.command(Command::Send { to: "bob@x", text: "x", id, is_automatic: false })
}

/// The connection is cut and made again, up to where the session is asked for.
fn reconnect(driver: &mut Driver) {
    driver.closed();
    driver.sent();
    driver.log_in(COUNTED);
}

#[test]
fn texts_are_acknowledged_by_number() {
    let mut driver = Driver::online(COUNTED);
    driver.command(Command::Presence { show: Show::Available, text: "" });
    (1..4).for_each(|id| assert_eq!(send(&mut driver, id), Outcome::Done));
    assert!(driver.sent().ends_with("</message><r xmlns='urn:xmpp:sm:3'/>"));
    driver.due();
    assert!(driver.told().is_empty(), "not before the server says so");
    // Three requests, presence and two texts.
    driver.server("<a xmlns='urn:xmpp:sm:3' h='6'/>");
    assert_eq!(driver.told(), ["Sent { id: 1 }", "Sent { id: 2 }"]);
    reconnect(&mut driver);
    assert!(driver.sent().ends_with("<resume xmlns='urn:xmpp:sm:3' previd='s1' h='0'/>"));
    driver.server("<resumed xmlns='urn:xmpp:sm:3' previd='s1' h='6'/>");
    assert_eq!(
        driver.told(),
        ["Failed { id: 3, why: \"the connection was cut\", is_final: false }", "Online { is_resumed: true }"]
    );
    assert_eq!(driver.sent(), "");
    // Sent again it has the same id, and the number of the one that was lost.
    send(&mut driver, 3);
    let id = own_id::write_id(&driver.random, "home", 3);
    assert!(driver.sent().contains(&format!("id='{id}'")));
    driver.server("<a xmlns='urn:xmpp:sm:3' h='7'/>");
    assert_eq!(driver.told(), ["Sent { id: 3 }"]);
}

#[test]
fn a_session_that_is_gone() {
    for (failed, expected) in [
        ("<failed xmlns='urn:xmpp:sm:3' h='4'/>", &["Sent { id: 1 }", "Online { is_resumed: false }"][..]),
        ("<failed xmlns='urn:xmpp:sm:3'/>", &["Online { is_resumed: false }"]),
    ] {
        let mut driver = Driver::online(COUNTED);
        send(&mut driver, 1);
        send(&mut driver, 2);
        reconnect(&mut driver);
        driver.server(failed);
        assert!(driver.sent().contains("pcs-bind"));
        driver.server(BOUND);
        assert!(driver.told().is_empty(), "not before it is on");
        driver.server("<enabled xmlns='urn:xmpp:sm:3' id='s2' resume='1'/>");
        assert_eq!(driver.told(), expected);
        // The archive may have the others, and is asked first.
        assert_eq!(send(&mut driver, 2), Outcome::Later);
        driver.sent();
        driver.server(ACCOUNT_HAS_ARCHIVE);
        assert!(driver.sent().contains("<before/>") && send(&mut driver, 2) == Outcome::Later);
        driver.server("<iq type='result' id='pcs-archive'><fin xmlns='urn:xmpp:mam:2' complete='true'/></iq>");
        assert_eq!(send(&mut driver, 2), Outcome::Done);
    }
}

const ACCOUNT_HAS_ARCHIVE: &str = "<iq type='result' id='pcs-account' from='alice@example.org'>\
    <query xmlns='http://jabber.org/protocol/disco#info'><feature var='urn:xmpp:mam:2'/></query></iq>";

#[test]
fn texts_that_the_archive_has_are_not_sent_again() {
    let mut driver = Driver::new();
    driver.call(|xmpp, _, _, _| xmpp.restore("since 1795333713"));
    driver.log_in("");
    driver.server(BOUND);
    driver.server(ACCOUNT_HAS_ARCHIVE);
    assert!(driver.sent().contains("<value>2026-11-22T07:48:33Z</value>"));
    for (text, long) in [(5, 0), (6, 0), (7, 9000)] {
        let (id, body) = (own_id::write_id(&driver.random, "home", text), "x".repeat(long + 1));
        driver.server(&format!(
            "<message><result xmlns='urn:xmpp:mam:2' id='a{text}' queryid='pcs-archive'><forwarded \
             xmlns='urn:xmpp:forward:0'><message xmlns='jabber:client' from='alice@example.org/pcs-0' to='bob@x' \
             id='{id}'><body>{body}</body></message></forwarded></result></message>"
        ));
    }
    assert_eq!(driver.told(), ["Online { is_resumed: false }", "Sent { id: 5 }", "Sent { id: 6 }"]);
    // One that came back after all is sent again.
    let id = own_id::write_id(&driver.random, "home", 6);
    driver.server(&format!("<message from='bob@x' type='error' id='{id}'><error type='wait'/></message>"));
    driver.server("<iq type='result' id='pcs-archive'><fin xmlns='urn:xmpp:mam:2' complete='true'/></iq>");
    driver.due();
    driver.told();
    driver.sent();
    send(&mut driver, 5);
    send(&mut driver, 7);
    driver.due();
    assert_eq!(
        (driver.sent().as_str(), driver.told()),
        ("", ["Sent { id: 5 }", "Sent { id: 7 }"].map(String::from).to_vec())
    );
    assert_eq!(send(&mut driver, 6), Outcome::Done);
    assert!(driver.sent().contains(id.as_str()));
    // Nobody counts here: an answer to a later question says that it has arrived, and so does a receipt.
    assert!(driver.told().is_empty());
    driver.server("<iq type='error' id='pcs-ping-00000005'/>");
    assert_eq!(driver.told(), ["Sent { id: 6 }"]);
    send(&mut driver, 8);
    let id = own_id::write_id(&driver.random, "home", 8);
    driver.server(&format!("<message from='bob@x/1'><received xmlns='urn:xmpp:receipts' id='{id}'/></message>"));
    assert_eq!(driver.told(), ["Received { id: 8, is_read: false }", "Sent { id: 8 }"]);
}

#[test]
fn the_same_text_has_the_same_name_however_it_comes() {
    let inner = |own: &str| {
        format!(
            "<message xmlns='jabber:client' {own} id='m1' type='chat'><body>x</body>\
             <stanza-id xmlns='urn:xmpp:sid:0' by='alice@example.org' id='a1'/></message>"
        )
    };
    let name = |told: Vec<String>| {
        let message = told.iter().find(|it| it.starts_with("Message")).expect("a message").clone();
        message.split("name: ").nth(1).unwrap().split(',').next().unwrap().to_owned()
    };
    for who in ["from='alice@example.org/l' to='bob@x'", "from='bob@x/1'"] {
        let mut driver = Driver::new();
        driver.call(|xmpp, _, _, _| xmpp.restore("a0"));
        driver.log_in("");
        driver.server(BOUND);
        let kind = if who.contains("to=") { "sent" } else { "received" };
        driver.server(&format!(
            "<message from='alice@example.org'><{kind} xmlns='urn:xmpp:carbons:2'><forwarded \
             xmlns='urn:xmpp:forward:0'>{}</forwarded></{kind}></message>",
            inner(who)
        ));
        let carbon = name(driver.told());
        driver.server(ACCOUNT_HAS_ARCHIVE);
        driver.server(&format!(
            "<message><result xmlns='urn:xmpp:mam:2' id='a1' queryid='pcs-archive'><forwarded \
             xmlns='urn:xmpp:forward:0'>{}</forwarded></result></message>",
            inner(who)
        ));
        assert_eq!(name(driver.told()), carbon);
        if kind == "received" {
            driver.server(&inner(who));
            assert_eq!(name(driver.told()), carbon);
        }
    }
}

#[test]
fn what_is_lost_is_asked_for_again() {
    let mut driver = Driver::online(COUNTED);
    driver.command(Command::Presence { show: Show::Away, text: "At Home (17:05)" });
    reconnect(&mut driver);
    driver.sent();
    driver.server("<resumed xmlns='urn:xmpp:sm:3' previd='s1' h='3'/>");
    assert_eq!(driver.told(), ["Online { is_resumed: true }"], "the session is the same");
    let sent = driver.sent();
    assert!(sent.starts_with("<presence><show>away</show><status>At Home (17:05)</status>"), "{sent}");
    assert!(!sent.contains("pcs-roster"));
    reconnect(&mut driver);
    driver.sent();
    driver.server("<resumed xmlns='urn:xmpp:sm:3' previd='s1' h='3'/>");
    let sent = driver.sent();
    assert!(!sent.contains("pcs-roster") && sent.contains("<status>At Home (17:05)</status>"), "{sent}");
    let mut driver = Driver::online(COUNTED);
    reconnect(&mut driver);
    driver.sent();
    driver.server("<resumed xmlns='urn:xmpp:sm:3' previd='s1' h='2'/>");
    let sent = driver.sent();
    assert!(sent.contains("pcs-roster") && !sent.contains("<status>"), "{sent}");
}

#[test]
fn what_is_not_settled_comes_again() {
    let mut driver = Driver::online(COUNTED);
    let message = |n: u32| format!("<message from='bob@x/1' id='m{n}'><body>text {n}</body></message>");
    driver.server("<presence from='bob@x/1'/>");
    (1..4).for_each(|n| driver.server(&message(n)));
    driver.told();
    driver.server("<r xmlns='urn:xmpp:sm:3'/>");
    assert_eq!(driver.sent(), "<a xmlns='urn:xmpp:sm:3' h='1'/>");
    driver.command(Command::Settled { token: 2, is_taken: true });
    driver.server("<r xmlns='urn:xmpp:sm:3'/>");
    assert_eq!(driver.sent(), "<a xmlns='urn:xmpp:sm:3' h='1'/>");
    driver.command(Command::Settled { token: 1, is_taken: true });
    driver.server("<r xmlns='urn:xmpp:sm:3'/>");
    assert_eq!(driver.sent(), "<a xmlns='urn:xmpp:sm:3' h='3'/>");
    reconnect(&mut driver);
    assert!(driver.sent().ends_with("h='3'/>"));
    driver.server("<resumed xmlns='urn:xmpp:sm:3' previd='s1' h='3'/>");
    driver.server(&message(3));
    let told = driver.told();
    assert!(told[1].contains("text 3") && told[1].contains("token: 4"), "{told:?}");
    driver.command(Command::Settled { token: 3, is_taken: true });
    driver.command(Command::Settled { token: 4, is_taken: true });
    driver.server("<r xmlns='urn:xmpp:sm:3'/>");
    assert_eq!(driver.sent(), "<a xmlns='urn:xmpp:sm:3' h='4'/>");
}

#[test]
fn nothing_is_read_while_too_much_waits() {
    let mut driver = Driver::online("");
    for n in 0..40 {
        driver.server(&format!("<message from='bob@x/1' id='m{n}'><body>text {n}</body></message>"));
    }
    let told = driver.told().len();
    assert_eq!(told, acks::UNSETTLED);
    for token in 1..=40 {
        driver.command(Command::Settled { token, is_taken: true });
    }
    assert_eq!(driver.told().len(), 40 - told);
    let mut driver = Driver::online(COUNTED);
    let taken = (1..100).take_while(|id| send(&mut driver, *id) == Outcome::Done).count();
    assert_eq!(taken, acks::TEXTS);
}

#[test]
fn what_is_left_of_a_session_before_a_restart_gives_way() {
    let resource = |start: u8, home: u8, id: &str| {
        let mut driver = Driver::new();
        driver.random.seed([start; 16], [home; 16]);
        driver.account.id = heapless::String::try_from(id).unwrap();
        driver.log_in("");
        let sent = driver.sent();
        let bound = sent.split("<resource>").nth(1).and_then(|it| it.split("</resource>").next());
        bound.expect("it asks for one").to_owned()
    };
    let first = resource(1, 1, "home");
    assert!(first.starts_with("pcs-") && first.len() == 12, "{first}");
    assert_eq!(resource(2, 1, "home"), first);
    assert_ne!(resource(1, 1, "work"), first, "another account");
    assert_ne!(resource(1, 2, "home"), first, "the same account in another home");
}
