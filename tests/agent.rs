//! The presence agent as watchers and publishers meet it: conversations by literal bytes.

mod support;

use std::net::SocketAddr;

use pcsd::config::model::Model;
use pcsd::server::contract::Input;
use support::{Home, LISTEN, Way, answer, by_datagram, find, model, replaced, status, value};

const HOUSE: &str = "house.example";
const EVE: &str = "198.51.100.7:5060";
const BOB: &str = "203.0.113.60:5060";
const OLOF: &str = "203.0.113.50:5060";

fn house() -> Home {
    Home::new(&model(HOUSE, &["olof", "bob", "ann"], &[LISTEN]))
}

/// A house as a configuration file has it.
fn house_of(text: &str) -> Home {
    Home::new(&read(text))
}

fn read(text: &str) -> Box<Model> {
    let mut model = Box::new(Model::new());
    let faults = model.read(text.as_bytes(), &mut |fault| panic!("{fault}"));
    assert_eq!(faults, 0);
    model
}

/// A SUBSCRIBE of somebody's to presence.
fn subscribe(from: &str, contact: &str, to: &str, call: &str, more: &str) -> Vec<u8> {
    format!(
        "SUBSCRIBE {to} SIP/2.0\r\nVia: SIP/2.0/UDP {contact};branch=z9hG4bK{call}\r\nMax-Forwards: 70\r\n\
         From: <{from}>;tag=w\r\nTo: <{to}>\r\nCall-ID: {call}\r\nCSeq: 1 SUBSCRIBE\r\nContact: <sip:w@{contact}>\r\n\
         Event: presence\r\n{more}Content-Length: 0\r\n\r\n"
    )
    .into_bytes()
}

/// The next SUBSCRIBE in the dialog that an answer has made.
fn again(request: &[u8], accepted: &[u8], cseq: u32) -> Vec<u8> {
    let to = String::from_utf8(value(accepted, "to").unwrap().to_vec()).unwrap();
    let contact = String::from_utf8(value(accepted, "contact").unwrap().to_vec()).unwrap();
    let text = String::from_utf8(request.to_vec()).unwrap();
    let call = String::from_utf8(value(request, "call-id").unwrap().to_vec()).unwrap();
    let line = text.split("\r\n").next().unwrap();
    let old_to = text.split("\r\n").find(|line| line.starts_with("To: ")).unwrap();
    text.replace(line, &format!("SUBSCRIBE {} SIP/2.0", contact.trim_matches(['<', '>'])))
        .replace(old_to, &format!("To: {to}"))
        .replace("CSeq: 1 ", &format!("CSeq: {cseq} "))
        .replace(&format!("branch=z9hG4bK{call}"), &format!("branch=z9hG4bK{call}.{cseq}"))
        .into_bytes()
}

/// Takes the NOTIFYs that went to an address.
fn notified(home: &mut Home, to: &str) -> Vec<Vec<u8>> {
    let to: SocketAddr = to.parse().unwrap();
    let sent = home.take().into_iter().filter(|sent| sent.is_to(to) && sent.bytes().starts_with(b"NOTIFY "));
    sent.map(|sent| sent.bytes().to_vec()).collect()
}

/// Answers the NOTIFYs that went to an address with 200 until there are no more within so long; gives all of them.
fn answered(home: &mut Home, at: &str, ms: u64) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    loop {
        let mut new = notified(home, at);
        new.retain(|notify| !all.contains(notify));
        if new.is_empty() {
            home.pass(ms);
            new = notified(home, at);
            new.retain(|notify| !all.contains(notify));
            if new.is_empty() {
                return all;
            }
        }
        for notify in new {
            home.send(by_datagram(at), &answer(&notify, 200, ""));
            all.push(notify);
        }
    }
}

fn has(bytes: &[u8], part: &str) -> bool {
    part.is_empty() || find(bytes, part.as_bytes()).is_some()
}

/// Bob subscribes to something; the request as it was taken, and the answer.
fn by_bob(home: &mut Home, to: &str, call: &str, more: &str) -> (Vec<u8>, Vec<u8>) {
    let request = subscribe("sip:bob@house.example", BOB, to, call, more);
    let accepted = home.send_proven(by_datagram(BOB), &request, "bob");
    assert_eq!(status(&accepted), Some(200), "{}", accepted.escape_ascii());
    (request, accepted)
}

/// Publishes for one of the home's people from a device that is not registered; the entity-tag.
fn publish(home: &mut Home, person: &str, call: &str, (more, body): (&str, &str)) -> Vec<u8> {
    let request = format!(
        "PUBLISH sip:{person}@house.example SIP/2.0\r\nVia: SIP/2.0/UDP 203.0.113.70;branch=z9hG4bK{call}\r\n\
         Max-Forwards: 70\r\nFrom: <sip:{person}@house.example>;tag=p\r\nTo: <sip:{person}@house.example>\r\n\
         Call-ID: {call}\r\nCSeq: 1 PUBLISH\r\nEvent: presence\r\n{more}Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    home.send_proven(by_datagram("203.0.113.70:5060"), request.as_bytes(), person)
}

fn open(note: &str) -> String {
    format!(
        "<?xml version=\"1.0\"?><presence xmlns=\"urn:ietf:params:xml:ns:pidf\" entity=\"pres:x@house.example\">\
         <tuple id=\"t\"><status><basic>open</basic></status></tuple><note>{note}</note></presence>"
    )
}

const PIDF: &str = "Content-Type: application/pidf+xml\r\n";

#[test]
fn nothing_follows_the_last_notify() {
    let mut home = house();
    let (request, accepted) = by_bob(&mut home, "sip:olof@house.example", "c1", "");
    assert_eq!(answered(&mut home, BOB, 2_000).len(), 1);
    let bye = replaced(&again(&request, &accepted, 2), b"Event: presence\r\n", b"Event: presence\r\nExpires: 0\r\n");
    assert_eq!(status(&home.send_proven(by_datagram(BOB), &bye, "bob")), Some(200));
    let last = notified(&mut home, BOB);
    assert!(last.len() == 1 && has(&last[0], "Subscription-State: terminated"), "{last:?}");
    // Her presence changes while it is on its way.
    assert_eq!(status(&publish(&mut home, "olof", "p1", (PIDF, &open("here")))), Some(200));
    home.send(by_datagram(BOB), &answer(&last[0], 200, ""));
    assert!(answered(&mut home, BOB, 5_000).is_empty());
    home.rest("a watch that has ended");
}

#[test]
fn another_event_is_not_this_subscription() {
    let mut home = house();
    let (request, accepted) = by_bob(&mut home, "sip:olof@house.example", "c1", "");
    answered(&mut home, BOB, 2_000);
    let next = again(&request, &accepted, 2);
    for (event, expected) in [
        ("Event: presence.winfo\r\n", 489),
        ("Event: dialog\r\n", 489),
        ("", 489),
        ("Event: presence;id=2\r\n", 481),
        ("Event: presence\r\nRequire: foo\r\n", 420),
        ("Event: presence\r\nExpires: 59\r\n", 423),
        ("Event: presence\r\n", 200),
    ] {
        let next = replaced(&next, b"Event: presence\r\n", event.as_bytes());
        let next = replaced(&next, b"branch=z9hG4bK", format!("branch=z9hG4bK{}", event.len()).as_bytes());
        let answer = home.send_proven(by_datagram(BOB), &next, "bob");
        assert_eq!(status(&answer), Some(expected), "{event} {}", answer.escape_ascii());
    }
    // RFC 3261 §12.2.2: the same number again is out of order.
    let late = replaced(&next, b"branch=z9hG4bK", b"branch=z9hG4bKlate");
    assert_eq!(status(&home.send_proven(by_datagram(BOB), &late, "bob")), Some(500));
    let stray = replaced(&next, b"Call-ID: c1", b"Call-ID: c2");
    assert_eq!(status(&home.exchange(by_datagram(BOB), &stray)), Some(481));
}

#[test]
fn strangers_who_are_refused_cost_nothing() {
    let mut home = house();
    for (number, (to, more, expected)) in [
        ("sip:nobody@house.example", "", 404),
        ("sip:olof-buddies@house.example", "Supported: eventlist\r\n", 404),
        ("sip:olof@house.example", "Expires: 5\r\n", 423),
        ("sip:olof@house.example", "Accept: text/html\r\n", 406),
        ("sip:olof@house.example", "Require: foo\r\n", 420),
    ]
    .into_iter()
    .enumerate()
    {
        let request = subscribe("sip:eve@away.example", EVE, to, &format!("s{number}"), more);
        assert_eq!(status(&home.exchange(by_datagram(EVE), &request)), Some(expected), "{to} {more}");
        assert!(home.server.is_at_rest(), "{to} {more}");
    }
}

#[test]
fn who_has_answered_is_announced() {
    let mut home = house();
    home.register(by_datagram(OLOF), HOUSE, (0, "olof"), &format!("sip:olof@{OLOF}"));
    home.pass(2_000);
    home.take();
    let request = subscribe("sip:eve@away.example", EVE, "sip:olof@house.example", "c1", "");
    assert_eq!(status(&home.exchange(by_datagram(EVE), &request)), Some(200));
    home.pass(1_000);
    let olof: SocketAddr = OLOF.parse().unwrap();
    let sent = home.take();
    assert!(!sent.iter().any(|sent| sent.is_to(olof) && sent.bytes().starts_with(b"MESSAGE ")), "{sent:?}");
    let notify = sent.iter().find(|sent| sent.bytes().starts_with(b"NOTIFY ")).unwrap().bytes().to_vec();
    assert!(has(&notify, "Subscription-State: pending") && has(&notify, "<basic>closed</basic>"));
    home.send(by_datagram(EVE), &answer(&notify, 200, ""));
    let sent = home.take();
    let told: Vec<_> = sent.iter().filter(|sent| sent.is_to(olof)).map(|sent| sent.bytes().to_vec()).collect();
    assert!(told.len() == 1 && has(&told[0], "eve@away.example wants to see"), "{told:?}");
    home.send(by_datagram(OLOF), &answer(&told[0], 200, ""));
    // Who sent it in another's name never answers, and is forgotten.
    let spoofed = subscribe("sip:mallory@away.example", "198.51.100.8:5060", "sip:olof@house.example", "c2", "");
    home.send(by_datagram("198.51.100.8:5060"), &spoofed);
    home.pass(40_000);
    let sent = home.take();
    let victim: SocketAddr = "198.51.100.8:5060".parse().unwrap();
    assert!(sent.iter().filter(|sent| sent.is_to(victim)).count() <= 6, "an answer, and a NOTIFY five times");
    assert!(!sent.iter().any(|sent| sent.is_to(olof) && sent.bytes().starts_with(b"MESSAGE ")));
    home.rest("a watcher who was announced");
}

#[test]
fn an_ipv6_network_is_one_watcher() {
    let mut home = Home::new(&model(HOUSE, &["olof"], &["[2001:db8::1]:5060", LISTEN]));
    let outcomes: Vec<_> = (1..=9)
        .map(|number| {
            let contact = format!("[2001:db8:1:2::{number}]:5060");
            let request =
                subscribe("sip:eve@away.example", &contact, "sip:olof@house.example", &format!("c{number}"), "");
            let local = "[2001:db8::1]:5060".parse().unwrap();
            let way = Way::Datagram { from: contact.parse().unwrap(), local };
            status(&home.exchange(way, &request)).unwrap()
        })
        .collect();
    assert_eq!(outcomes, [&[200; 8][..], &[503]].concat());
}

#[test]
fn publish_says_what_it_does_not_know() {
    let mut home = house();
    let body = open("here");
    for (number, (more, body, expected, part)) in [
        ("Require: foo, bar\r\n", body.as_str(), 420, "Unsupported: foo, bar"),
        ("Expires: 59\r\n", &body, 423, "Min-Expires: 60"),
        ("SIP-If-Match: 0123456789abcdef\r\n", "", 412, ""),
        ("SIP-If-Match: *\r\n", "", 412, ""),
        ("SIP-If-Match: not a tag\r\n", &body, 412, ""),
        ("", "", 400, ""),
        ("Content-Type: text/html\r\n", &body, 415, "application/pidf+xml"),
        ("Content-Encoding: gzip\r\n", &body, 415, "Accept-Encoding: deflate"),
        (PIDF, "<presence", 400, ""),
        (PIDF, &body, 200, "Expires: 3600"),
        ("Content-Type: application/pidf+xml\r\nExpires: 99999\r\n", &body, 200, "Expires: 7200"),
        ("Content-Type: application/pidf+xml\r\nExpires: 0\r\n", &body, 200, "Expires: 0"),
    ]
    .into_iter()
    .enumerate()
    {
        let answer = publish(&mut home, "olof", &format!("p{number}"), (more, body));
        assert_eq!(status(&answer), Some(expected), "{more} {}", answer.escape_ascii());
        assert!(has(&answer, part), "{}", answer.escape_ascii());
    }
    let first = publish(&mut home, "ann", "a1", (PIDF, &body));
    let tag = String::from_utf8(value(&first, "sip-etag").unwrap().to_vec()).unwrap();
    let refresh = format!("SIP-If-Match: {tag}\r\n");
    assert_eq!(status(&publish(&mut home, "bob", "a2", (&refresh, ""))), Some(412), "somebody else's");
    let second = publish(&mut home, "ann", "a3", (&refresh, ""));
    assert_eq!(status(&second), Some(200));
    assert_ne!(value(&second, "sip-etag"), Some(tag.as_bytes()));
    assert_eq!(status(&publish(&mut home, "ann", "a4", (&refresh, ""))), Some(412), "that was the one before");
}

#[test]
fn a_list_tells_what_is_seen() {
    let hidden = "config pcsd 'main'\n option domain 'house.example'\n list listen 'udp:203.0.113.1:5060'\n\
        config person 'olof'\n option password 'secret'\n\
        config person 'bob'\n option password 'secret'\n\
        config person 'ann'\n option password 'secret'\n\
        config rule\n option person 'olof'\n list who 'person:bob'\n option presence 'hide'\n";
    let mut home = house_of(hidden);
    let (request, accepted) = by_bob(
        &mut home,
        "sip:bob-buddies@house.example",
        "c1",
        "Supported: eventlist\r\nAccept: application/pidf+xml\r\n",
    );
    assert!(has(&accepted, "Require: eventlist"));
    let first = answered(&mut home, BOB, 5_000);
    assert!(has(&first[0], "fullState=\"true\"") && has(&first[0], "sip:olof@house.example"));
    assert!(has(first.last().unwrap(), "<basic>closed</basic>"), "{first:?}");
    // Olof hides from Bob: that he does something at all is not for him.
    assert_eq!(status(&publish(&mut home, "olof", "p1", (PIDF, &open("hidden")))), Some(200));
    assert!(answered(&mut home, BOB, 5_000).is_empty());
    assert_eq!(status(&publish(&mut home, "ann", "p2", (PIDF, &open("seen")))), Some(200));
    let second = answered(&mut home, BOB, 5_000);
    assert!(second.len() == 1 && has(&second[0], "seen") && has(&second[0], "fullState=\"false\""), "{second:?}");
    assert!(!has(&second[0], "olof"), "{second:?}");
    let refreshed = home.send_proven(by_datagram(BOB), &again(&request, &accepted, 2), "bob");
    assert!(status(&refreshed) == Some(200) && has(&refreshed, "Require: eventlist"));
    assert!(has(&answered(&mut home, BOB, 5_000)[0], "fullState=\"true\""));
    let bye = replaced(&again(&request, &accepted, 3), b"Event: presence\r\n", b"Event: presence\r\nExpires: 0\r\n");
    assert_eq!(status(&home.send_proven(by_datagram(BOB), &bye, "bob")), Some(200));
    let last = answered(&mut home, BOB, 5_000);
    assert!(last.len() == 1 && has(&last[0], "Subscription-State: terminated;reason=timeout"), "{last:?}");
}

#[test]
fn a_list_asked_for_once_ends_with_its_last_part() {
    let more = "Supported: eventlist\r\nAccept: application/pidf+xml\r\nExpires: 0\r\n";
    let mut home = house();
    publish(&mut home, "ann", "p1", (PIDF, &open("seen")));
    by_bob(&mut home, "sip:bob-buddies@house.example", "c1", more);
    let [only] = &answered(&mut home, BOB, 5_000)[..] else { panic!("one is enough") };
    assert!(has(only, "Subscription-State: terminated") && has(only, "seen"));
    home.rest("a list asked for once");

    let people: Vec<String> = (0..13).map(|number| format!("p{number}")).chain(["bob".to_string()]).collect();
    let people: Vec<&str> = people.iter().map(String::as_str).collect();
    let mut home = Home::new(&model(HOUSE, &people, &[LISTEN]));
    by_bob(&mut home, "sip:bob-buddies@house.example", "c2", more);
    let parts = answered(&mut home, BOB, 5_000);
    let (last, before) = parts.split_last().unwrap();
    assert!(!before.is_empty() && before.iter().all(|part| has(part, "Subscription-State: active")));
    assert!(has(last, "Subscription-State: terminated"));
    for person in &people[..13] {
        let about = format!("entity=\"sip:{person}@house.example\"");
        assert_eq!(parts.iter().filter(|part| has(part, &about)).count(), 1, "{person}");
    }
    home.rest("a long list asked for once");
}

#[test]
fn a_watcher_that_asks_for_patience_misses_nothing() {
    let mut home = house();
    let more = "Supported: eventlist\r\nAccept: application/pidf+xml\r\n";
    by_bob(&mut home, "sip:bob-buddies@house.example", "c1", more);
    answered(&mut home, BOB, 5_000);
    publish(&mut home, "ann", "p1", (PIDF, &open("seen")));
    home.pass(1_000);
    let refused = notified(&mut home, BOB);
    assert!(has(&refused[0], "seen"));
    home.send(by_datagram(BOB), &answer(&refused[0], 503, "Retry-After: 10\r\n"));
    assert!(answered(&mut home, BOB, 9_000).is_empty());
    home.pass(2_000);
    assert!(answered(&mut home, BOB, 5_000).iter().any(|part| has(part, "seen")));
}

#[test]
fn who_watches_is_told_when_it_changes() {
    let mut home = house();
    let winfo = subscribe("sip:olof@house.example", OLOF, "sip:olof@house.example", "w1", "");
    let winfo = replaced(&winfo, b"Event: presence\r\n", b"Event: presence.winfo\r\n");
    assert_eq!(status(&home.send_proven(by_datagram(OLOF), &winfo, "olof")), Some(200));
    answered(&mut home, OLOF, 2_000);
    let request = subscribe("sip:eve@away.example", EVE, "sip:olof@house.example", "c1", "");
    let accepted = home.exchange(by_datagram(EVE), &request);
    let sent = home.take();
    let first = sent.iter().find(|sent| sent.is_to(EVE.parse().unwrap()) && sent.bytes().starts_with(b"NOTIFY"));
    home.send(by_datagram(EVE), &answer(first.unwrap().bytes(), 200, ""));
    home.sent.extend(sent);
    assert!(answered(&mut home, OLOF, 2_000).iter().any(|notify| has(notify, "status=\"pending\"")));
    // Eve has just been told something: what is decided about her now is told to her a second later.
    home.send_proven(by_datagram(EVE), &again(&request, &accepted, 2), "eve");
    let refreshed = notified(&mut home, EVE);
    home.send(by_datagram(EVE), &answer(&refreshed[0], 200, ""));
    let allow = "MESSAGE sip:pcs@house.example SIP/2.0\r\nVia: SIP/2.0/UDP 203.0.113.50;branch=z9hG4bKm\r\n\
        Max-Forwards: 70\r\nFrom: <sip:olof@house.example>;tag=m\r\nTo: <sip:pcs@house.example>\r\nCall-ID: m\r\n\
        CSeq: 1 MESSAGE\r\nContent-Type: text/plain\r\nContent-Length: 22\r\n\r\nallow eve@away.example";
    assert_eq!(status(&home.send_proven(by_datagram(OLOF), allow.as_bytes(), "olof")), Some(200));
    let told = answered(&mut home, OLOF, 3_000);
    assert!(told.iter().any(|notify| has(notify, "status=\"active\"")), "{told:?}");
}

#[test]
fn who_takes_the_number_of_who_is_gone_is_not_shown() {
    let head = "config pcsd 'main'\n option domain 'house.example'\n list listen 'udp:203.0.113.1:5060'\n";
    let person = |id: &str| format!("config person '{id}'\n option password 'secret'\n");
    let mut home = house_of(&[head, &person("olof"), &person("ann"), &person("bob")].concat());
    publish(&mut home, "ann", "p1", (PIDF, &open("ann is here")));
    by_bob(&mut home, "sip:olof@house.example", "c1", "");
    answered(&mut home, BOB, 2_000);
    home.input(Input::Configuration(&read(&[head, &person("ann"), &person("bob")].concat())));
    let last = answered(&mut home, BOB, 3_000);
    assert_eq!(last.len(), 1, "{last:?}");
    assert!(has(&last[0], "Subscription-State: terminated;reason=noresource"));
    assert!(!has(&last[0], "ann is here") && !has(&last[0], "open"), "{}", last[0].escape_ascii());
}

/// What a lookup asks a name server, answered with one address.
fn address_of(query: &[u8]) -> Vec<u8> {
    let name_end = 12 + query[12..].iter().position(|byte| *byte == 0).unwrap() + 1;
    let question = &query[12..name_end + 4];
    let header = [&query[..2], &[0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0]].concat();
    [&header, question, &[0xc0, 12, 0, 1, 0, 1, 0, 0, 1, 0, 0, 4, 198, 51, 100, 9]].concat()
}

#[test]
fn a_buddy_elsewhere_is_looked_up_and_watched() {
    let mut home = house_of(
        "config pcsd 'main'\n option domain 'house.example'\n list listen 'udp:203.0.113.1:5060'\n\
         config person 'bob'\n option password 'secret'\n\
         config buddy\n option person 'bob'\n option alias 'carl'\n list address 'sip:carl@away.example:5070'\n",
    );
    let server: SocketAddr = "203.0.113.53:53".parse().unwrap();
    home.input(Input::Nameservers(&[server]));
    by_bob(&mut home, "sip:carl@house.example", "c1", "");
    let query = home.sent.iter().find(|sent| sent.is_to(server)).expect("a question").bytes().to_vec();
    let port = home.port_to(server).expect("its socket");
    answered(&mut home, BOB, 100);
    home.input(Input::Datagram { port, from: server, bytes: &address_of(&query) });
    let carl = "198.51.100.9:5070";
    let sent = home.take();
    let asked = sent.iter().find(|sent| sent.is_to(carl.parse().unwrap())).expect("a SUBSCRIBE").bytes().to_vec();
    assert!(asked.starts_with(b"SUBSCRIBE sip:carl@away.example:5070 SIP/2.0\r\n"), "{}", asked.escape_ascii());
    // A Contact as long as a proxy's that hides its own: the subscription is refreshed all the same.
    let contact = format!("sip:{}@198.51.100.9:5070", "x".repeat(300));
    let more = format!("Contact: <{contact}>\r\nExpires: 600\r\n");
    home.send(by_datagram(carl), &answer(&asked, 200, &more));
    home.pass(541_000);
    let sent = home.take();
    let refreshed = sent.iter().find(|sent| sent.is_to(carl.parse().unwrap())).expect("a refresh");
    assert!(refreshed.bytes().starts_with(format!("SUBSCRIBE {contact} SIP/2.0\r\n").as_bytes()));
}

#[test]
fn an_entry_too_long_is_nobody() {
    let mut home = house();
    let long = format!("sip:{}@203.0.113.99", "y".repeat(200));
    let body = format!(
        "<?xml version=\"1.0\"?><resource-lists xmlns=\"urn:ietf:params:xml:ns:resource-lists\"><list>\
         <entry uri=\"{long}\"/><entry uri=\"sip:ann@house.example\"/></list></resource-lists>"
    );
    let more = "Supported: eventlist\r\nRequire: recipient-list-subscribe\r\nAccept: application/pidf+xml\r\n\
        Content-Type: application/resource-lists+xml\r\n";
    let request = subscribe("sip:bob@house.example", BOB, "sip:pcs@house.example", "c1", more);
    let head = replaced(&request, b"Content-Length: 0\r\n", format!("Content-Length: {}\r\n", body.len()).as_bytes());
    let accepted = home.send_proven(by_datagram(BOB), &[&head, body.as_bytes()].concat(), "bob");
    assert_eq!(status(&accepted), Some(200), "{}", accepted.escape_ascii());
    let told = answered(&mut home, BOB, 3_000);
    assert!(has(&told[0], "uri=\"sip:ann@house.example\"") && !has(&told[0], "yyyy"), "{told:?}");
}

/// What the home answers to what one of its people says.
fn said(home: &mut Home, person: &str, call: &str, text: &str) -> String {
    let request = format!(
        "MESSAGE sip:pcs@house.example SIP/2.0\r\nVia: SIP/2.0/UDP {OLOF};branch=z9hG4bK{call}\r\nMax-Forwards: 70\r\n\
         From: <sip:{person}@house.example>;tag=m\r\nTo: <sip:pcs@house.example>\r\nCall-ID: {call}\r\n\
         CSeq: 1 MESSAGE\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n\r\n{text}",
        text.len()
    );
    assert_eq!(status(&home.send_proven(by_datagram(OLOF), request.as_bytes(), person)), Some(200));
    let sent = home.take();
    let message = sent.iter().find(|sent| sent.bytes().starts_with(b"MESSAGE ")).expect("an answer").bytes().to_vec();
    home.send(by_datagram(OLOF), &answer(&message, 200, ""));
    let text = String::from_utf8(message).unwrap();
    text.split_once("\r\n\r\n").unwrap().1.to_string()
}

#[test]
fn what_the_home_answers() {
    let mut home = house();
    home.register(by_datagram(OLOF), HOUSE, (0, "olof"), &format!("sip:olof@{OLOF}"));
    home.pass(1_000);
    home.take();
    for (number, (text, expected)) in [
        ("status", "You are available.\n1 device is registered, 0 watch you."),
        ("away back at 6", "Others see you away: back at 6. Say auto to end that."),
        ("status", "You are away: back at 6, by your own word.\n1 device is registered, 0 watch you."),
        ("meeting", "Others see you busy. Say auto to end that."),
        ("status", "You are busy, meeting, by your own word.\n1 device is registered, 0 watch you."),
        ("auto", "Others see what your devices say."),
        ("who", "x: offline\nx: offline"),
        ("yes", "Nobody waits for your answer."),
        ("deny carl@away.example", "carl@away.example sees you offline."),
        (
            "allow dora@away.example",
            "dora@away.example may see you once he proves who he is. If he only says so you are asked.",
        ),
        ("allow a<b@c", "I don't understand that. Write: help"),
        ("what's up", "I don't understand that. Write: help"),
    ]
    .into_iter()
    .enumerate()
    {
        assert_eq!(said(&mut home, "olof", &format!("m{number}"), text), expected, "{text}");
    }
    for number in 0..2 {
        let request = subscribe(
            &format!("sip:eve{number}@away.example"),
            EVE,
            "sip:olof@house.example",
            &format!("e{number}"),
            "",
        );
        assert_eq!(status(&home.exchange(by_datagram(EVE), &request)), Some(200));
    }
    answered(&mut home, EVE, 100);
    assert_eq!(
        said(&mut home, "olof", "n1", "no"),
        "More than one waits for your answer. Write: allow ADDRESS or deny ADDRESS"
    );
    assert_eq!(said(&mut home, "olof", "n2", "allow eve0@away.example"), "eve0@away.example may see you.");
    answered(&mut home, EVE, 1_000);
    assert_eq!(said(&mut home, "olof", "n3", "no"), "eve1@away.example sees you offline.");
}

#[test]
fn no_spelling_of_presence_goes_around_the_agent() {
    let mut home = house();
    home.register(by_datagram(OLOF), HOUSE, (0, "olof"), &format!("sip:olof@{OLOF}"));
    home.pass(1_000);
    home.take();
    for (number, event) in ["Presence", "PRESENCE;id=1"].into_iter().enumerate() {
        let plain = subscribe("sip:eve@away.example", EVE, "sip:olof@house.example", &format!("c{number}"), "");
        let request = replaced(&plain, b"Event: presence\r\n", format!("Event: {event}\r\n").as_bytes());
        assert_eq!(status(&home.exchange(by_datagram(EVE), &request)), Some(200), "{event}");
        let sent = home.take();
        let to_phone = sent.iter().filter(|sent| sent.is_to(OLOF.parse().unwrap()));
        assert_eq!(to_phone.filter(|sent| sent.bytes().starts_with(b"SUBSCRIBE ")).count(), 0, "{event}");
        let told = sent.iter().find(|sent| sent.bytes().starts_with(b"NOTIFY ")).expect("a NOTIFY");
        assert!(has(told.bytes(), "Subscription-State: pending"), "{event}");
    }
}

/// A house whose family has two buddies.
fn house_with_buddies() -> Home {
    house_of(
        "config pcsd 'main'\n option domain 'house.example'\n list listen 'udp:203.0.113.1:5060'\n\
         config person 'olof'\n option password 'secret'\n\
         config person 'bob'\n option password 'secret'\n\
         config buddy\n option alias 'mum'\n option name 'Mum'\n list address 'sip:mum@203.0.113.99:5070'\n\
         config buddy\n option person 'bob'\n option alias 'carl'\n list address 'sip:carl@203.0.113.98'\n\
         config device 'device0'\n option person 'olof'\n option password 'secret'\n",
    )
}

#[test]
fn whom_a_word_means() {
    let mut home = house_with_buddies();
    home.register(by_datagram(OLOF), HOUSE, (0, "olof"), &format!("sip:olof@{OLOF}"));
    home.pass(1_000);
    home.take();
    for (number, (text, expected)) in [
        ("deny mum", "mum@203.0.113.99 sees you offline."),
        ("deny sip:MUM@house.example", "mum@203.0.113.99 sees you offline."),
        ("allow bob", "bob@house.example may see you."),
        ("deny bbo", "bbo@house.example is nobody of the home."),
        ("allow bbo@house.example", "bbo@house.example is nobody of the home."),
        ("deny carl", "carl@house.example is nobody of the home."),
        ("explain carl", "carl@house.example is nobody of the home."),
    ]
    .into_iter()
    .enumerate()
    {
        assert_eq!(said(&mut home, "olof", &format!("m{number}"), text), expected, "{text}");
    }
    let why = said(&mut home, "olof", "m9", "explain mum presence");
    assert!(why.starts_with("mum@203.0.113.99 is only claimed"), "{why}");
}

#[cfg(all(feature = "xmpp", feature = "irc", feature = "line"))]
#[test]
fn what_a_buddy_on_another_network_gets_is_explained() {
    let mut home = house_of(
        "config pcsd 'main'\n option domain 'house.example'\n list listen 'udp:203.0.113.1:5060'\n\
         config person 'olof'\n option password 'secret'\n\
         config buddy\n option alias 'mum'\n list address 'sip:mum@203.0.113.99:5070'\n list address 'irc:Mum[a]'\n\
         config buddy\n option alias 'carl'\n list address 'xmpp:carl@jabber.example'\n\
         config rule\n list who 'network:irc'\n option messages 'block'\n\
         config device 'device0'\n option person 'olof'\n option password 'secret'\n",
    );
    home.register(by_datagram(OLOF), HOUSE, (0, "olof"), &format!("sip:olof@{OLOF}"));
    home.pass(1_000);
    home.take();
    let mut number = 0;
    let mut explained = |text: &str| {
        number += 1;
        said(&mut home, "olof", &format!("m{number}"), text)
    };
    let carl = explained("explain <XMPP:Carl@Jabber.example> message");
    assert_eq!(
        carl,
        "carl@jabber.example on xmpp is who that network says he is; on the list as carl.\n\
         Messages: delivered to 1 of 1 device: messages get through unless a rule says otherwise.\n"
    );
    assert_eq!(explained("explain carl message"), carl, "by his alias, who has no other address");
    assert_eq!(explained("explain sip:carl@house.example message"), carl);
    let blocked = explained("explain irc:MUM{A} message");
    assert!(blocked.starts_with("mum{a} on irc is who that network says he is; on the list as mum.\n"), "{blocked}");
    assert!(blocked.contains("refused with 603 Decline: the rule in line 13 for network:irc"), "{blocked}");
    let everywhere = explained("explain mum message");
    assert!(everywhere.starts_with("mum@203.0.113.99 is only claimed"), "{everywhere}");
    assert!(everywhere.ends_with(&blocked), "{everywhere}");
    for bad in ["xmpp:carl", "irc:#mum"] {
        assert_eq!(explained(&format!("explain {bad}")), "I don't understand that. Write: help", "{bad}");
    }
}

#[test]
fn a_list_by_name_names_buddies() {
    let mut home = house_with_buddies();
    let more = "Supported: eventlist\r\nAccept: application/pidf+xml\r\n";
    by_bob(&mut home, "sip:bob-buddies@house.example", "c1", more);
    let told = notified(&mut home, BOB);
    assert!(has(&told[0], "uri=\"sip:mum@house.example\"><name>Mum</name>"), "{}", told[0].escape_ascii());
    assert!(has(&told[0], "uri=\"sip:carl@house.example\"><name>carl</name>"), "{}", told[0].escape_ascii());
}

#[test]
fn of_a_list_too_long_the_rest_is_left_out() {
    let mut home = house();
    let entries: String = (0..500).map(|it| format!("<entry uri=\"sip:nobody-at-all-{it}@house.example\"/>")).collect();
    let body = format!(
        "<resource-lists xmlns=\"urn:ietf:params:xml:ns:resource-lists\"><list>\
         <entry uri=\"sip:ann@house.example\"/>{entries}</list></resource-lists>"
    );
    let more = "Supported: eventlist\r\nRequire: recipient-list-subscribe\r\nAccept: application/pidf+xml\r\n\
        Content-Type: application/resource-lists+xml\r\n";
    let request = subscribe("sip:bob@house.example", BOB, "sip:pcs@house.example", "c1", more);
    let head = replaced(&request, b"Content-Length: 0\r\n", format!("Content-Length: {}\r\n", body.len()).as_bytes());
    let accepted = home.send_proven(by_datagram(BOB), &[&head, body.as_bytes()].concat(), "bob");
    assert_eq!(status(&accepted), Some(200), "{}", accepted.escape_ascii());
    let told = answered(&mut home, BOB, 3_000);
    assert!(has(&told[0], "sip:ann@house.example") && !has(&told[0], "all-499@"), "{}", told[0].escape_ascii());
}
