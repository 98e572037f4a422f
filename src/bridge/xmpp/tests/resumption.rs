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
    assert!(driver.sent().contains("id='pcs-00000003-"));
    driver.server("<a xmlns='urn:xmpp:sm:3' h='7'/>");
    assert_eq!(driver.told(), ["Sent { id: 3 }"]);
}

#[test]
fn a_session_that_is_gone() {
    for (failed, first) in [
        ("<failed xmlns='urn:xmpp:sm:3' h='4'/>", "Sent { id: 1 }"),
        ("<failed xmlns='urn:xmpp:sm:3'/>", "Failed { id: 1"),
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
        let told = driver.told();
        assert!(told[0].starts_with(first) && told[1].starts_with("Failed { id: 2"), "{told:?}");
        assert_eq!(told[2], "Online { is_resumed: false }", "who sends again what is open knows by then what is not");
    }
}

#[test]
fn what_is_lost_is_asked_for_again() {
    let mut driver = Driver::online(COUNTED);
    driver.command(Command::Presence { show: Show::Away, text: "" });
    reconnect(&mut driver);
    driver.sent();
    driver.server("<resumed xmlns='urn:xmpp:sm:3' previd='s1' h='3'/>");
    assert_eq!(driver.told(), ["Online { is_resumed: false }"], "presence was cut off");
    assert!(driver.sent().contains("pcs-roster"));
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
