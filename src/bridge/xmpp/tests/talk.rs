//! Presence and messages, in and out.

use super::*;
use crate::bridge::Show;

#[test]
fn presence() {
    let mut driver = Driver::online("");
    let shown = |driver: &mut Driver, text: &str| {
        driver.server(text);
        driver.told().pop().unwrap_or_default()
    };
    let phone = shown(
        &mut driver,
        "<presence from='Bob@Example.org/phone' xml:lang='en'><show>away</show><status>gone \
        &amp; fishing</status><priority>5</priority><x xmlns='vcard-temp:x:update'/></presence>",
    );
    assert!(phone.starts_with("Presence { who: \"bob@example.org\", place: "), "{phone}");
    assert!(phone.ends_with("show: Away, priority: 5, text: \"gone & fishing\" }"), "{phone}");
    let home = shown(&mut driver, "<presence from='bob@example.org/home'><priority>900</priority></presence>");
    assert!(home.ends_with("show: Available, priority: 0, text: \"\" }"), "{home}");
    assert_ne!(phone.split("show").next(), home.split("show").next(), "places are told apart");
    for (kind, gone) in [("type='unavailable'", false), ("type='error'", true), ("type='unsubscribed'", true)] {
        let told = shown(&mut driver, &format!("<presence from='bob@example.org/home' {kind}/>"));
        assert!(told.contains("show: Offline") && told.contains("place: 0,") == gone, "{told}");
    }
    assert_eq!(
        shown(&mut driver, "<presence from='carl@example.org' type='subscribe'><status>it is me</status></presence>"),
        "Request { who: \"carl@example.org\", text: \"it is me\" }"
    );
    for quiet in [
        "<presence/>",
        "<presence from='alice@example.org/laptop'/>",
        "<presence from='bob@example.org' type='subscribed'/>",
        "<presence from='room@x/nick'><x xmlns='http://jabber.org/protocol/muc#user'/></presence>",
    ] {
        assert_eq!(shown(&mut driver, quiet), "", "{quiet}");
    }
    driver.command(Command::Presence { show: Show::Busy, text: "At Home (17:05) <3" });
    let sent = driver.sent();
    assert!(
        sent.starts_with("<presence><show>dnd</show><status>At Home (17:05) &lt;3</status><priority>10</priority><c ")
    );
    driver.command(Command::Presence { show: Show::Offline, text: "" });
    assert_eq!(driver.sent(), "<presence type='unavailable'></presence>");
}

#[test]
fn messages() {
    let mut driver = Driver::online("");
    assert_eq!(
        driver.command(Command::Send {
            to: "bob@example.org",
            text: "Hallo B\u{f6}b\n1 < 2",
            id: 7,
            is_automatic: false
        }),
        Outcome::Done
    );
    let sent = driver.sent();
    let id = sent.split("id='").nth(1).and_then(|it| it.split('\'').next()).unwrap().to_owned();
    assert_eq!(id, own_id::write_id(&driver.random, "home", 7).as_str());
    assert_eq!(
        sent,
        format!(
            "<message type='chat' to='bob@example.org' id='{id}'><body>Hallo B\u{f6}b\n1 &lt; 2</body>\
             <active xmlns='http://jabber.org/protocol/chatstates'/><request xmlns='urn:xmpp:receipts'/></message>\
             <iq type='get' id='pcs-ping-00000004' to='example.org'><ping xmlns='urn:xmpp:ping'/></iq>"
        )
    );
    driver.due();
    assert!(driver.told().is_empty(), "the server may not have it");
    driver.server("<iq type='result' id='pcs-ping-00000004' from='example.org'/>");
    assert_eq!(driver.told(), ["Sent { id: 7 }"]);
    driver.server(&format!(
        "<message from='bob@example.org/x' id='r1'><received xmlns='urn:xmpp:receipts' id='{id}'/></message>"
    ));
    assert_eq!(driver.told(), ["Received { id: 7, is_read: false }"]);
    driver.server(&format!(
        "<message from='bob@example.org/x'><displayed xmlns='urn:xmpp:chat-markers:0' id='{id}'/></message>"
    ));
    assert_eq!(driver.told(), ["Received { id: 7, is_read: true }"]);
    for (kind, condition, told) in [
        ("cancel", "service-unavailable", "Failed { id: 7, why: \"he can't be reached\", is_final: true }"),
        ("wait", "remote-server-timeout", "Failed { id: 7, why: \"his server does not answer\", is_final: false }"),
    ] {
        driver.server(&format!(
            "<message from='bob@example.org' type='error' id='{id}'><error type='{kind}'><{condition} \
             xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></message>"
        ));
        assert_eq!(driver.told(), [told]);
    }
    // Not ids of ours.
    driver.server(
        "<message from='b@x' type='error' id='pcs-00000007-00000000'/><message from='b@x' type='error' id='q'/>",
    );
    assert!(driver.told().is_empty());

    driver.server(
        "<message from='Bob@example.org/phone' type='chat' id='m1'><body>fine &amp;\u{7f} dandy</body><body xml:lang='de'>gut</body>\
         <request xmlns='urn:xmpp:receipts'/></message>",
    );
    let told = driver.told().pop().unwrap();
    assert!(
        told.starts_with("Message(Incoming { who: \"bob@example.org\", is_own: false, text: \"fine & dandy\", name: ")
    );
    assert!(told.ends_with("token: 1, at: None, may_answer: true })"), "{told}");
    assert_eq!(driver.sent(), "");
    driver.command(Command::Settled { token: 1, is_taken: true });
    assert_eq!(
        driver.sent(),
        "<message to='Bob@example.org/phone'><received xmlns='urn:xmpp:receipts' id='m1'/></message>"
    );
    driver.server("<message from='x@y/z' id='m2'><subject>lost</subject><x xmlns='jabber:x:oob'><url>http://a/b</url></x></message>");
    assert!(driver.told().pop().unwrap().contains("text: \"lost\\nhttp://a/b\""));
    driver.command(Command::Settled { token: 2, is_taken: false });
    assert_eq!(
        driver.sent(),
        "<message type='error' to='x@y/z' id='m2'><error type='wait'><recipient-unavailable \
         xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></message>"
    );
    driver.server(
        "<message from='x@y' id='m3'><delay xmlns='urn:xmpp:delay' stamp='2026-11-22T07:48:33Z'/>\
         <headers xmlns='http://jabber.org/protocol/shim'><header name='Auto-Submitted'>auto-replied</header></headers>\
         <body>I am away</body><request xmlns='urn:xmpp:receipts'/></message>",
    );
    let told = driver.told().pop().unwrap();
    assert!(told.ends_with("at: Some(UnixTime(1795333713)), may_answer: false })"), "{told}");
    driver.command(Command::Settled { token: 3, is_taken: true });
    assert_eq!(driver.sent(), "", "what comes late is not answered");
    for quiet in [
        "<message from='room@x/a' type='groupchat'><body>x</body></message>",
        "<message from='news@x' type='headline'><body>x</body></message>",
        "<message from='b@x'><body> </body></message>",
        "<message from='b@x'/>",
        "<message><body>x</body></message>",
    ] {
        driver.server(quiet);
        assert!(driver.told().is_empty(), "{quiet}");
    }
}

#[test]
fn typing() {
    let mut driver = Driver::online("");
    let state = |driver: &mut Driver, state: &str| {
        driver.server(&format!(
            "<message from='bob@x/1' type='chat'><{state} xmlns='http://jabber.org/protocol/chatstates'/></message>"
        ));
        driver.told().pop().unwrap_or_default()
    };
    driver.command(Command::Typing { to: "bob@x", is_on: true });
    assert_eq!(driver.sent(), "", "he may not understand it");
    assert_eq!(state(&mut driver, "composing"), "Typing { who: \"bob@x\", is_on: true }");
    assert_eq!(state(&mut driver, "composing"), "");
    assert_eq!(state(&mut driver, "paused"), "Typing { who: \"bob@x\", is_on: false }");
    assert_eq!(state(&mut driver, "gone"), "");
    driver.command(Command::Typing { to: "bob@x", is_on: true });
    assert!(driver.sent().contains("<message type='chat' to='bob@x'><composing "));
    driver.command(Command::Typing { to: "bob@x", is_on: false });
    assert!(driver.sent().contains("<paused "));
}

#[test]
fn copies() {
    let mut driver = Driver::online("");
    let carbon = |from: &str, kind: &str, inner: &str| {
        format!(
            "<message from='{from}' to='alice@example.org/pcs' type='chat'><{kind} xmlns='urn:xmpp:carbons:2'>\
             <forwarded xmlns='urn:xmpp:forward:0'><message xmlns='jabber:client' type='chat' {inner}</message>\
             </forwarded></{kind}></message>"
        )
    };
    let laptop = "from='alice@example.org/laptop' to='bob@example.org' id='m5'><body>from my laptop</body>";
    driver.server(&carbon("alice@example.org", "sent", laptop));
    let told = driver.told().pop().unwrap();
    assert!(told.starts_with("Message(Incoming { who: \"bob@example.org\", is_own: true, text: \"from my laptop\""));
    assert!(told.ends_with("may_answer: false })"));
    driver.server(&carbon("alice@example.org", "received", "from='bob@example.org/p' id='m6'><body>hi</body>"));
    assert!(
        driver
            .told()
            .pop()
            .unwrap()
            .starts_with("Message(Incoming { who: \"bob@example.org\", is_own: false, text: \"hi\"")
    );
    // What this program sent itself is known; and nobody else may say what she wrote.
    driver.server(&carbon(
        "alice@example.org",
        "sent",
        &laptop.replace("m5", &own_id::write_id(&driver.random, "home", 1)),
    ));
    for forger in ["mallory@example.org", "example.org", "alice@example.org/laptop", "alice@example.org.evil"] {
        driver.server(&carbon(forger, "sent", laptop));
        driver.server(&carbon(forger, "received", "from='bob@example.org/p' id='m7'><body>forged</body>"));
    }
    driver.server(&carbon("alice@example.org", "sent", laptop).replace("from='alice@example.org' ", ""));
    assert!(driver.told().is_empty(), "{:?}", driver.told);
}
