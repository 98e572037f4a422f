//! Servers and people who mean no good, and what is broken on its way.

use super::*;

#[test]
fn requests_of_others() {
    let mut driver = Driver::online("");
    let asked = |driver: &mut Driver, iq: &str| {
        driver.server(iq);
        driver.sent()
    };
    assert_eq!(
        asked(&mut driver, "<iq type='get' from='example.org' id='p&apos;1'><ping xmlns='urn:xmpp:ping'/></iq>"),
        "<iq type='result' to='example.org' id='p&apos;1'></iq>"
    );
    let info = asked(
        &mut driver,
        "<iq type='get' from='b@x/1' id='i'><query xmlns='http://jabber.org/protocol/disco#info' node='urn:pcs'/></iq>",
    );
    assert!(info.contains("node='urn:pcs'><identity category='client' type='pc' name='pcsd'/><feature var="));
    let version = asked(&mut driver, "<iq type='get' from='b@x/1' id='v'><query xmlns='jabber:iq:version'/></iq>");
    assert!(version.contains(concat!("<name>pcsd</name><version>", env!("CARGO_PKG_VERSION"))));
    for other in [
        "<iq type='get' id='1'><query xmlns='jabber:iq:last'/></iq>",
        "<iq type='set' id='1'/>",
        "<iq type='set' id='1'><ping xmlns='urn:xmpp:ping'/></iq>",
    ] {
        assert!(asked(&mut driver, other).contains("<service-unavailable "), "{other}");
    }
    let long = "x".repeat(2000);
    assert_eq!(asked(&mut driver, &format!("<iq type='get' id='{long}'><ping xmlns='urn:xmpp:ping'/></iq>")), "");
    assert_eq!(asked(&mut driver, "<iq type='result' id='zzz'/><iq type='error' id='pcs-bind'/>"), "");
}

#[test]
fn what_can_not_be_read_is_left_out_and_counted() {
    let mut driver = Driver::online(COUNTED);
    driver.room = 2048;
    let long = "x".repeat(5000);
    driver.server("<message from='b@x'><body>&bomb;</body></message>");
    driver.server("<message from='b@x'><body></bodi></message>");
    driver.server(&format!("<message from='{long}'><body>x</body></message>"));
    driver.server(&format!("<presence from='b@x'><status>{long}</status></presence>"));
    driver.server(&format!("<message from='b@x'>{}{}</message>", "<a>".repeat(20), "</a>".repeat(20)));
    assert!(driver.told().is_empty() && driver.end.is_none());
    driver.server("<r xmlns='urn:xmpp:sm:3'/>");
    assert_eq!(driver.sent(), "<a xmlns='urn:xmpp:sm:3' h='5'/>");
    driver.server("<message from='b@x' id='1'><body>still here</body></message>");
    assert!(driver.told()[0].contains("still here"));
    // A bomb has to be declared: that ends the stream, and the session with it.
    driver.server("<!DOCTYPE x [<!ENTITY bomb 'x'>]>");
    assert!(matches!(driver.end, Some(End::Retry("Comment or DTD in XML"))));
    assert!(driver.sent().ends_with("</stream:stream>"));
    assert!(driver.xmpp.acks.session().is_none());
}

/// What a server may say, and what the mutations are made of.
fn conversations() -> Vec<String> {
    let mut all: Vec<String> = [
        HEADER,
        BOUND,
        "<stream:features><starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'><required/></starttls></stream:features>",
        "<challenge xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>cj1meWtvLHM9UVNYLGk9NDA5Ng==</challenge>",
        "<iq type='result' id='pcs-roster'><query xmlns='jabber:iq:roster'><item jid='b@x' name='B'/><item jid='c@x'/></query></iq>",
        "<message from='bob@x/1' id='1' type='chat'><body>text &amp; <![CDATA[more]]></body><active xmlns='http://jabber.org/protocol/chatstates'/></message>",
        "<presence from='bob@x/1'><show>away</show><status>x</status><priority>-1</priority></presence>",
        "<message from='alice@example.org'><sent xmlns='urn:xmpp:carbons:2'><forwarded xmlns='urn:xmpp:forward:0'><message xmlns='jabber:client' from='alice@example.org/2' to='b@x'><body>copy</body></message></forwarded></sent></message>",
        "<a xmlns='urn:xmpp:sm:3' h='3'/><r xmlns='urn:xmpp:sm:3'/><resumed xmlns='urn:xmpp:sm:3' h='1'/><stream:error><conflict xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>",
    ]
    .iter()
    .map(|it| it.to_string())
    .collect();
    all.extend(transcript::lines("alice/").into_iter().flat_map(|(lines, _)| lines));
    all
}

#[test]
fn mutated_conversations() {
    let seeds = conversations();
    let mut state = 0x5eed_u64;
    let mut number = move |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % below.max(1) as u64) as usize
    };
    seeds.iter().for_each(|seed| fuzz(seed.as_bytes()));
    for _ in 0..400 {
        let mut bytes: Vec<u8> =
            (0..1 + number(3)).flat_map(|_| seeds[number(seeds.len())].clone().into_bytes()).collect();
        for _ in 0..1 + number(6) {
            let at = number(bytes.len());
            match number(5) {
                0 => bytes[at] = number(256) as u8,
                1 => bytes[at] = b"<>/&'\"=: ]"[number(10)],
                2 => bytes.truncate(at.max(1)),
                3 => drop(bytes.drain(at..(at + number(30)).min(bytes.len()))),
                _ => {
                    let piece = bytes[at..(at + number(300)).min(bytes.len())].to_vec();
                    (0..1 + number(9)).for_each(|_| drop(bytes.splice(at..at, piece.iter().copied())));
                }
            }
            if bytes.is_empty() {
                bytes.push(b'<');
            }
        }
        fuzz(&bytes);
    }
}
