//! What is larger than a window: rosters, texts; and the archive, page by page.

use super::*;

#[test]
fn a_roster_of_five_thousand_through_a_small_window() {
    let items: String = (0..5000)
        .map(|n| {
            format!(
                "<item jid='Buddy{n}@example.org' name='Buddy &amp; {n}' subscription='both'><group>g</group></item>"
            )
        })
        .collect();
    let mut driver = Driver::online(COUNTED);
    (driver.room, driver.step) = (2048, 1000);
    driver.server(&format!("<iq type='result' id='pcs-roster'><query xmlns='jabber:iq:roster'>{items}</query></iq>"));
    let told = driver.told();
    assert_eq!((told[0].as_str(), told[5001].as_str()), ("ContactsBegin", "ContactsEnd"));
    for (n, contact) in told[1..5001].iter().enumerate() {
        assert_eq!(
            *contact,
            format!(
                "Contact(Contact {{ who: \"buddy{n}@example.org\", name: \"Buddy & {n}\", is_watched: true, is_asked: false }})"
            )
        );
    }
    driver.server("<r xmlns='urn:xmpp:sm:3'/>");
    assert!(driver.sent().ends_with("h='1'/>"));
    assert_eq!(driver.told().len(), 0);
}

#[test]
fn rosters() {
    let mut driver = Driver::online("");
    driver.server("<iq type='result' id='pcs-roster' to='alice@example.org/x'><query xmlns='jabber:iq:roster'/></iq>");
    assert_eq!(driver.told(), ["ContactsBegin", "ContactsEnd"]);
    let item = "<query xmlns='jabber:iq:roster'><item jid='bob@x' ask='subscribe' subscription='none'/></query>";
    driver.server(&format!("<iq type='set' id='p1'>{item}</iq>"));
    assert_eq!(driver.told(), ["Contact(Contact { who: \"bob@x\", name: \"\", is_watched: false, is_asked: true })"]);
    assert_eq!(driver.sent(), "<iq type='result' id='p1'></iq>");
    driver.server(&format!("<iq type='set' id='p2' from='alice@example.org'>{}</iq>", item.replace("none", "remove")));
    assert_eq!(driver.told(), ["ContactGone { who: \"bob@x\" }"]);
    driver.sent();
    for stranger in ["mallory@example.org", "alice@example.org/evil", "alice@example.org.evil"] {
        driver.server(&format!("<iq type='set' id='p3' from='{stranger}'>{item}</iq>"));
        driver.server(&format!("<iq type='result' id='pcs-roster' from='{stranger}'>{item}</iq>"));
        assert!(driver.told().is_empty() == (stranger != "alice@example.org/evil") || driver.told.is_empty());
        assert!(driver.sent().contains("type='error'"));
    }
    driver.command(Command::Add { who: "carl@x", name: "Carl & Co" });
    assert_eq!(
        driver.sent(),
        "<iq type='set' id='pcs-change'><query xmlns='jabber:iq:roster'><item jid='carl@x' name='Carl &amp; Co'/>\
         </query></iq><presence to='carl@x' type='subscribe'/>"
    );
    driver.command(Command::Remove { who: "carl@x" });
    assert!(driver.sent().contains("<item jid='carl@x' subscription='remove'/>"));
    driver.command(Command::Authorise { who: "dora@x", is_allowed: true });
    assert_eq!(driver.sent(), "<presence to='dora@x' type='subscribed'/>");
}

#[test]
fn a_text_larger_than_the_window_comes_in_parts() {
    let text: String = (0..2000).map(|n| format!("word{n} &amp; ")).collect();
    let expected = text.replace("&amp;", "&");
    let carbon = format!(
        "<message from='alice@example.org' type='chat'><sent xmlns='urn:xmpp:carbons:2'><forwarded xmlns='urn:xmpp:forward:0'>\
         <message xmlns='jabber:client' from='alice@example.org/l' to='bob@x' id='m1'><body>{text}</body></message>\
         </forwarded></sent></message>"
    );
    let direct = format!("<message from='bob@x/1' id='m1' type='chat'><body>{text}</body></message>");
    for (stanza, is_own) in [(direct, false), (carbon.clone(), true)] {
        let mut driver = Driver::online(COUNTED);
        (driver.room, driver.step) = (2048, 500);
        driver.server(&stanza);
        let mut told = Vec::new();
        for token in 1..50 {
            told.append(&mut driver.told());
            driver.command(Command::Settled { token, is_taken: true });
        }
        let parts: Vec<_> =
            told.iter().map(|it| it.split("text: \"").nth(1).unwrap().split("\", name").next().unwrap()).collect();
        assert!(parts.len() > 5);
        assert_eq!(parts.concat(), expected);
        assert!(
            told.iter().all(|it| it.starts_with(&format!("Message(Incoming {{ who: \"bob@x\", is_own: {is_own},")))
        );
        driver.server("<r xmlns='urn:xmpp:sm:3'/>");
        assert!(driver.sent().ends_with("h='1'/>"));
    }
    let mut driver = Driver::online("");
    driver.room = 2048;
    driver.server(&carbon.replacen("alice@example.org", "mallory@example.org", 1));
    driver.server("<message from='bob@x' id='m2'><body>next</body></message>");
    let told = driver.told();
    assert!(told.len() == 1 && told[0].contains("text: \"next\""), "a forged copy is left out");
}

const HAS_ARCHIVE: &str = "<iq type='result' id='pcs-account' from='alice@example.org'>\
    <query xmlns='http://jabber.org/protocol/disco#info'><feature var='urn:xmpp:mam:2'/></query></iq>";

fn page(last: &str, is_complete: bool) -> String {
    format!(
        "<iq type='result' id='pcs-archive'><fin xmlns='urn:xmpp:mam:2' complete='{is_complete}'>\
         <set xmlns='http://jabber.org/protocol/rsm'><first>a0</first><last>{last}</last></set></fin></iq>"
    )
}

fn result(id: &str, inner: &str) -> String {
    format!(
        "<message to='alice@example.org/pcs'><result xmlns='urn:xmpp:mam:2' id='{id}' queryid='pcs-archive'>\
         <forwarded xmlns='urn:xmpp:forward:0'><delay xmlns='urn:xmpp:delay' stamp='2026-11-22T07:48:33Z'/>\
         <message xmlns='jabber:client' type='chat' {inner}</message></forwarded></result></message>"
    )
}

#[test]
fn what_was_missed_is_read_page_by_page() {
    let mut driver = Driver::new();
    driver.call(|xmpp, _, _, _| xmpp.restore("a0"));
    driver.log_in("");
    driver.server(BOUND);
    driver.told();
    driver.sent();
    driver.server(HAS_ARCHIVE);
    assert!(driver.xmpp.abilities().hides);
    assert!(driver.sent().contains("<max>20</max><after>a0</after>"));
    driver.server(&result("a1", "from='bob@x/1' id='m1'><body>hi</body>"));
    driver.server(&result("a2", "from='alice@example.org/laptop' to='bob@x' id='m2'><body>mine</body>"));
    let ours = own_id::write_id(&driver.random, "home", 1);
    driver.server(&result("a3", &format!("from='alice@example.org/pcs' to='bob@x' id='{ours}'><body>ours</body>")));
    driver.server(
        &result("a4", "from='bob@x/1' id='m3'><body>forged</body>").replace("<message to", "<message from='evil@x' to"),
    );
    let told = driver.told();
    assert!(told.len() == 3 && told[2] == "Sent { id: 1 }", "{told:?}");
    assert!(told[0].contains("is_own: false, text: \"hi\"") && told[0].contains("at: Some(UnixTime(1795333713))"));
    assert!(told[1].contains("who: \"bob@x\", is_own: true, text: \"mine\""));
    driver.server(&page("a3", false));
    assert_eq!(driver.told(), ["Bookmark(\"a3\")"]);
    assert!(driver.sent().contains("<after>a3</after>"));
    driver.server(&page("a5", true));
    assert_eq!(driver.told(), ["Bookmark(\"a5\")"]);
    assert_eq!(driver.sent(), "");
    driver.server(
        "<message from='bob@x/1' id='m9'><body>live</body><stanza-id xmlns='urn:xmpp:sid:0' id='a6' by='alice@example.org'/></message>",
    );
    let told = driver.told();
    assert!(told[0].contains("live") && told[1] == "Bookmark(\"a6\")", "{told:?}");
    // While she hides, nothing comes in by itself.
    driver.command(Command::Presence { show: crate::bridge::Show::Offline, text: "" });
    driver.sent();
    driver.wait(HIDDEN_MS);
    assert!(driver.sent().contains("<after>a6</after>"));
}

#[test]
fn the_first_start_asks_for_no_history() {
    let mut driver = Driver::online("");
    driver.server(HAS_ARCHIVE);
    assert!(driver.sent().contains("<max>1</max><before/>"));
    driver.server(&result("a7", "from='bob@x/1' id='m1'><body>old</body>"));
    driver.server(&page("a7", false));
    assert_eq!(driver.told(), ["Bookmark(\"a7\")"]);
    assert_eq!(driver.sent(), "");

    let mut driver = Driver::new();
    driver.call(|xmpp, _, _, _| xmpp.restore("gone"));
    driver.log_in("");
    driver.server(BOUND);
    driver.server(HAS_ARCHIVE);
    driver.sent();
    driver.server(
        "<iq type='error' id='pcs-archive'><error type='cancel'><item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>\
         </error></iq>",
    );
    assert!(driver.sent().contains("<before/>"));
}
