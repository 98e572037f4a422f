//! The messages of RFC 4475 and RFC 5118, and our own of each of their kinds, thrown at the running server: each meets a
//! home for which it is meant, and has to get the treatment that the RFC expects. In process, by datagram and stream, and
//! over real sockets to the program.

#[path = "torture/cases.rs"]
mod cases;
#[path = "torture/sockets.rs"]
mod sockets;
mod support;

use std::net::SocketAddr;

use cases::Expect::{Answered, Awaited, Challenged, Closed, Discarded, Forwarded, Registered, Skipped};
use cases::{Case, Expect, HOUSE, OLOF, OWN, SENDER, TORTURE, V6_PEER};
use pcsd::wire::sip::framer::{self, Frame};
use support::{
    Home, LISTEN, Sent, Way, all, answer, by_datagram, find, model, name, own, own_names, parts, replaced, status,
    torture_names, tortured, value, with_credentials,
};

/// Where the called person's device is.
const DEVICE: &str = "203.0.113.50:5060";
const CONTACT: &str = "sip:line@203.0.113.50:5060";

/// How a case is played: the way to the server, and the way on to the device.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Play {
    Datagrams,
    FromStream,
    ToStream,
}

#[test]
fn torture_set() {
    let names = torture_names();
    let unknown = names.iter().filter(|name| TORTURE.iter().all(|case| case.name != *name)).collect::<Vec<_>>();
    assert!(unknown.is_empty(), "no expectation for {unknown:?}");
    for case in TORTURE.iter().filter(|case| names.iter().any(|name| name == case.name)) {
        play_all(case, &tortured(case.name));
    }
}

#[test]
fn own_messages() {
    let names = own_names();
    let unknown = names.iter().filter(|name| OWN.iter().all(|case| case.name != *name)).collect::<Vec<_>>();
    assert!(unknown.is_empty(), "no expectation for {unknown:?}");
    OWN.iter().for_each(|case| play_all(case, &own(case.name)));
}

fn play_all(case: &Case, bytes: &[u8]) {
    play(case, bytes, Play::Datagrams, case.datagram);
    play(case, bytes, Play::FromStream, case.stream);
    if matches!(case.datagram, Forwarded { .. }) {
        play(case, bytes, Play::ToStream, case.datagram);
    }
}

fn play(case: &Case, bytes: &[u8], play: Play, expect: Expect) {
    let what = format!("{} {play:?} {expect:?}", case.name);
    let mut home = case.home();
    if matches!(expect, Skipped) {
        return;
    }
    let device = match play {
        Play::ToStream => {
            Way::Stream(home.connect(DEVICE.parse().unwrap(), LISTEN.parse().unwrap()).expect("a free stream"))
        }
        _ => by_datagram(DEVICE),
    };
    if let ([callee, ..], false) = (case.people, matches!(expect, Registered(_))) {
        home.register(device, case.domain, (0, &escaped(callee)), CONTACT);
    }
    let way = match play {
        Play::FromStream => Way::Stream(home.connect(case.from(), case.local()).expect("a free stream")),
        _ => Way::Datagram { from: case.from(), local: case.local() },
    };
    match expect {
        Forwarded { own_routes } => forwarded(&mut home, case, bytes, (way, device), own_routes, &what),
        Answered(expected, text) => {
            let answer = send_proven(&mut home, case, way, bytes).1;
            assert_eq!(status(&answer), Some(expected), "{what}: {}", answer.escape_ascii());
            let answer = String::from_utf8_lossy(&answer).into_owned();
            assert!(answer.contains(text), "{what}: no {text:?} in {answer}");
            assert!(home.sent.is_empty(), "{what}: {:?}", home.sent);
        }
        Challenged => {
            let answer = home.exchange(way, bytes);
            assert_eq!(status(&answer), Some(401), "{what}");
            assert!(find(&answer, b"\r\nWWW-Authenticate: Digest realm=\"").is_some(), "{what}");
        }
        Registered(contacts) => registered(&mut home, case, bytes, way, contacts, &what),
        Discarded => {
            home.send(way, bytes);
            home.pass(100_000);
            assert!(home.take().is_empty(), "{what}");
        }
        Closed(expected) => {
            let Way::Stream(stream) = way else { panic!("{what}: not a stream") };
            home.send(way, bytes);
            let sent = home.take();
            let [answer @ Sent::Stream { .. }, Sent::Closed(closed)] = &sent[..] else { panic!("{what}: {sent:?}") };
            assert_eq!((status(answer.bytes()), *closed), (Some(expected), stream), "{what}");
        }
        Awaited => {
            let Way::Stream(stream) = way else { panic!("{what}: not a stream") };
            home.send(way, bytes);
            home.pass(20_000);
            assert!(home.take().is_empty(), "{what}: not waited for");
            home.pass(20_000);
            assert_eq!(home.take(), [Sent::Closed(stream)], "{what}");
        }
        Skipped => {}
    }
    home.rest(&what);
}

/// Sends a message and answers the challenge to it: what was accepted, and its answer.
fn send_proven(home: &mut Home, case: &Case, way: Way, bytes: &[u8]) -> (Vec<u8>, Vec<u8>) {
    // What follows a whole message in a stream can't be sent twice.
    let whole = match (framer::next(bytes, 65_535), way) {
        (Frame::Message { len }, Way::Stream(_)) => &bytes[..len],
        _ => bytes,
    };
    let answer = home.exchange(way, whole);
    if !matches!(status(&answer), Some(401 | 407)) {
        return (whole.to_vec(), answer);
    }
    let login = if status(&answer) == Some(401) || case.people.len() < 2 { "device0" } else { "device1" };
    let proven = with_credentials(whole, &answer, login, support::PASSWORD);
    let answer = home.exchange(way, &proven);
    (proven, answer)
}

fn forwarded(home: &mut Home, case: &Case, bytes: &[u8], ways: (Way, Way), own_routes: usize, what: &str) {
    let (way, device) = ways;
    let (proven, answer_at_once) = send_proven(home, case, way, bytes);
    assert!(answer_at_once.is_empty(), "{what}: {}", answer_at_once.escape_ascii());
    let request = to_device(home, device, what);
    let original = within_length(bytes);
    check_forwarded(case, original, &request, matches!(device, Way::Stream(_)), own_routes, what);
    assert!(home.sent.is_empty(), "{what}: {:?}", home.sent);

    // The same again is absorbed, also where the branch says nothing (§17.2.3).
    home.send(way, &proven);
    assert!(home.take().iter().all(|sent| status(sent.bytes()) == Some(100)), "{what}: a retransmission passed");

    let is_invite = request.starts_with(b"INVITE ");
    home.pass(300);
    let sent = home.take();
    assert_eq!(sent.iter().any(|sent| status(sent.bytes()) == Some(100)), is_invite, "{what}: {sent:?}");
    let refused = answer(&request, 486, "");
    home.send(device, &refused);
    let sent = home.take();
    let back = sent.iter().find(|sent| status(sent.bytes()) == Some(486));
    let back = back.unwrap_or_else(|| panic!("{what}: {sent:?}"));
    match way {
        Way::Stream(stream) => assert!(back.is_on(stream), "{what}"),
        Way::Datagram { from, .. } => assert!(back.is_to(from), "{what}: {back:?}"),
    }
    let vias = |bytes: &[u8]| all(bytes, "via").into_iter().map(<[u8]>::to_vec).collect::<Vec<_>>();
    assert_eq!(vias(back.bytes()), vias(&refused)[1..], "{what}");
    let is_ack = |sent: &&Sent| sent.bytes().starts_with(b"ACK ");
    assert_eq!(sent.iter().filter(is_ack).count(), usize::from(is_invite), "{what}");
    if is_invite {
        let ack = ack_of(&proven);
        home.send(way, &ack);
        home.pass(10_000);
        let late = home.take();
        assert!(late.iter().all(|sent| status(sent.bytes()).is_none()), "{what}: the ACK was not matched: {late:?}");
    }
}

/// The request that went to the device.
fn to_device(home: &mut Home, device: Way, what: &str) -> Vec<u8> {
    let is_it = |sent: &Sent| match device {
        Way::Datagram { from, .. } => sent.is_to(from),
        Way::Stream(stream) => sent.is_on(stream),
    };
    let at = home.sent.iter().position(is_it).unwrap_or_else(|| panic!("{what}: not forwarded: {:?}", home.sent));
    let bytes = home.sent.remove(at).bytes().to_vec();
    if matches!(device, Way::Stream(_)) {
        assert_eq!(framer::next(&bytes, 65_535), Frame::Message { len: bytes.len() }, "{what}");
    }
    bytes
}

/// The ACK for a refusal of this INVITE.
fn ack_of(invite: &[u8]) -> Vec<u8> {
    let mut ack = replaced(invite, b"INVITE", b"ACK");
    let cseq = all(&ack, "cseq")[0].to_vec();
    ack = replaced(&ack, &cseq, &replaced(&cseq, b"INVITE", b"ACK"));
    let to = all(&ack, "to")[0].to_vec();
    if find(&to, b"tag").is_none() {
        ack = replaced(&ack, &to, &[to.trim_ascii_end(), b";tag=phone\r\n"].concat());
    }
    ack
}

/// A message without what follows the body that its Content-Length says.
fn within_length(bytes: &[u8]) -> &[u8] {
    let head = bytes.len() - parts(bytes).body.len();
    let len = value(bytes, "content-length").map(|len| std::str::from_utf8(len).unwrap().parse::<usize>().unwrap());
    len.map_or(bytes, |len| &bytes[..head + len])
}

/// Asserts that a request was forwarded with nothing changed but what a proxy has to change (RFC 3261 §16.6).
fn check_forwarded(case: &Case, original: &[u8], forwarded: &[u8], is_stream: bool, own_routes: usize, what: &str) {
    let (old, new) = (parts(original), parts(forwarded));
    let uri = |first: &[u8]| first.split(|byte| *byte == b' ').nth(1).unwrap().to_vec();
    assert_eq!(uri(new.first), CONTACT.as_bytes(), "{what}");
    assert_eq!(replaced(old.first, &uri(old.first), CONTACT.as_bytes()), new.first, "{what}");
    assert_eq!(old.body, new.body, "{what}");
    let (removed, mut added) = difference(&old.fields, &new.fields);
    let take = |added: &mut Vec<&[u8]>, is_it: &dyn Fn(&[u8]) -> bool, it: &str| {
        let at = added.iter().position(|field| is_it(field));
        let at = at.unwrap_or_else(|| panic!("{what}: no {it} in {}", forwarded.escape_ascii()));
        added.remove(at).to_vec()
    };

    let top = *old.fields.iter().find(|field| name(field) == "via").expect("a Via");
    let mut routes = 0;
    for field in removed {
        match name(field).as_str() {
            "max-forwards" => {
                let field_now = take(&mut added, &|added| name(added) == "max-forwards", "Max-Forwards");
                let number = |field: &[u8]| {
                    String::from_utf8_lossy(&field[field.iter().position(|b| *b == b':').unwrap() + 1..])
                        .trim()
                        .parse::<u32>()
                        .unwrap()
                };
                assert_eq!(number(&field_now) + 1, number(field), "{what}");
            }
            "route" => routes += 1,
            "via" if field == top => {
                let noted =
                    |added: &[u8]| name(added) == "via" && un_noted(added, case.from()) == without_received(field);
                take(&mut added, &noted, "topmost Via with its source");
            }
            _ => panic!("{what}: {} was changed in {}", field.escape_ascii(), forwarded.escape_ascii()),
        }
    }
    assert_eq!(routes, own_routes, "{what}: Routes");
    let own = if is_stream {
        take(&mut added, &|field| field.starts_with(b"Via: SIP/2.0/TCP 203.0.113.1:5060;branch=z9hG4bKp"), "own Via")
    } else {
        let via =
            take(&mut added, &|field| field.starts_with(b"Via: SIP/2.0/UDP 203.0.113.1:5060;branch=z9hG4bKp"), "Via");
        assert!(via.ends_with(b";rport\r\n"), "{what}");
        via
    };
    let first_via = new.fields.iter().find(|field| name(field) == "via");
    assert_eq!(first_via, Some(&&own[..]), "{what}: our Via is the topmost");
    take(&mut added, &|field| field == b"Max-Breadth: 60\r\n", "Max-Breadth");
    if value(original, "max-forwards").is_none() {
        take(&mut added, &|field| field == b"Max-Forwards: 70\r\n", "Max-Forwards");
    }
    if is_stream && value(original, "content-length").is_none() {
        let length = format!("Content-Length: {}\r\n", old.body.len());
        take(&mut added, &|field| field == length.as_bytes(), "Content-Length");
    }
    let begins_dialog = [&b"INVITE "[..], b"SUBSCRIBE ", b"REFER "].iter().any(|method| old.first.starts_with(method))
        && find(&all(original, "to")[0].to_ascii_lowercase(), b"tag").is_none();
    if begins_dialog {
        let ours = |field: &[u8]| field.starts_with(b"Record-Route: <sip:") && field.ends_with(b";lr>\r\n");
        take(&mut added, &ours, "Record-Route");
        take(&mut added, &ours, "second Record-Route");
        let mut routes = new.fields.iter().filter(|field| name(field) == "record-route");
        assert!(routes.next().is_some_and(|field| ours(field)) && routes.next().is_some_and(|field| ours(field)));
    }
    assert!(added.is_empty(), "{what}: added {}", added.concat().escape_ascii());
}

/// A topmost Via without what the server has noted in it.
fn un_noted(field: &[u8], source: SocketAddr) -> Vec<u8> {
    let mut field = field.to_vec();
    for (noted, before) in
        [(format!(";received={}", source.ip().to_canonical()), ""), (format!(";rport={}", source.port()), ";rport")]
    {
        if find(&field, noted.as_bytes()).is_some() {
            field = replaced(&field, noted.as_bytes(), before.as_bytes());
        }
    }
    field
}

/// A Via without the `received` that its sender, who is the one next to us, has no business to write.
fn without_received(field: &[u8]) -> Vec<u8> {
    let Some(at) = find(field, b";received=") else { return field.to_vec() };
    let len = field[at + 1..].iter().position(|byte| b";,\r\n".contains(byte)).expect("a line end");
    [&field[..at], &field[at + 1 + len..]].concat()
}

/// What is only in the old and only in the new list; what is in both is in the same order in both.
fn difference<'a>(old: &[&'a [u8]], new: &[&'a [u8]]) -> (Vec<&'a [u8]>, Vec<&'a [u8]>) {
    let mut common = vec![vec![0; new.len() + 1]; old.len() + 1];
    for i in (0..old.len()).rev() {
        for j in (0..new.len()).rev() {
            common[i][j] =
                if old[i] == new[j] { common[i + 1][j + 1] + 1 } else { common[i + 1][j].max(common[i][j + 1]) };
        }
    }
    let (mut i, mut j, mut removed, mut added) = (0, 0, Vec::new(), Vec::new());
    while i < old.len() || j < new.len() {
        if i < old.len() && j < new.len() && old[i] == new[j] {
            (i, j) = (i + 1, j + 1);
        } else if j == new.len() || i < old.len() && common[i + 1][j] >= common[i][j + 1] {
            removed.push(old[i]);
            i += 1;
        } else {
            added.push(new[j]);
            j += 1;
        }
    }
    (removed, added)
}

/// Registers, then calls: each binding is used as it was given, less headers in its URI, which steer nothing.
fn registered(home: &mut Home, case: &Case, bytes: &[u8], way: Way, contacts: &[&str], what: &str) {
    let (_, answer) = send_proven(home, case, way, bytes);
    assert_eq!(status(&answer), Some(200), "{what}: {}", answer.escape_ascii());
    let listed = || {
        let fields = all(&answer, "contact");
        let mut listed: Vec<_> = fields.iter().map(|field| String::from_utf8(field.to_vec()).unwrap()).collect();
        listed.iter_mut().for_each(|field| {
            let expires = field.find(";expires=").expect("expires");
            let end = field[expires + 9..].find(|c: char| !c.is_ascii_digit()).unwrap() + expires + 9;
            *field = format!("{}{}", &field[9..expires], field[end..].trim_end());
        });
        listed.sort();
        listed
    };
    let mut expected = contacts.iter().map(ToString::to_string).collect::<Vec<_>>();
    expected.sort();
    assert_eq!(listed(), expected, "{what}");
    assert!(home.take().is_empty(), "{what}: one request, one answer");

    let caller = by_datagram("198.51.100.99:5060");
    let call = format!(
        "MESSAGE sip:{}@{} SIP/2.0\r\nVia: SIP/2.0/UDP 198.51.100.99;branch=z9hG4bKcall\r\nMax-Forwards: 70\r\n\
         From: <sip:x@away.example>;tag=1\r\nTo: <sip:a@b>\r\nCall-ID: call\r\nCSeq: 1 MESSAGE\r\n\
         Content-Length: 0\r\n\r\n",
        escaped(case.people[0]),
        case.domain
    );
    home.send(caller, call.as_bytes());
    let sent = home.take();
    let mut called: Vec<_> = sent
        .iter()
        .map(|sent| {
            let is_back = match way {
                Way::Datagram { from, .. } => sent.is_to(from),
                Way::Stream(stream) => sent.is_on(stream),
            };
            assert!(is_back, "{what}: goes to where its REGISTER came from: {sent:?}");
            assert_eq!(value(sent.bytes(), "route"), None, "{what}");
            let first = String::from_utf8_lossy(parts(sent.bytes()).first).into_owned();
            first.split(' ').nth(1).unwrap().to_string()
        })
        .collect();
    called.sort();
    let uri = |contact: &String| contact[1..].split(['?', '>']).next().unwrap().to_string();
    assert_eq!(called, expected.iter().map(uri).collect::<Vec<_>>(), "{what}");
}

/// The user part that means a person.
fn escaped(id: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.!~*'()&=+$,;?/".contains(c);
    id.chars().map(|c| if plain(c) { c.to_string() } else { format!("%{:02X}", c as u32) }).collect()
}

/// Answers with a branch of ours pass, less our Via, to where the request came from and nowhere else; broken ones do not,
/// and the branch lives on.
#[test]
fn answers_on_a_branch() {
    let cases = [
        ("rfc4475/unreason", true),
        ("rfc4475/noreason", false),
        ("rfc4475/bcast", true),
        ("rfc4475/bigcode", false),
        ("rfc4475/scalarlg", false),
        ("utf8reason", true),
        ("noreason", true),
        ("broadcast", true),
        ("code1000", false),
        ("hugeanswer", false),
    ];
    let names = torture_names();
    for (what, passes) in cases {
        let response = match what.starts_with("rfc") {
            true if names.is_empty() => continue,
            true => tortured(what),
            false => own(what),
        };
        let mut home = Home::new(&model(HOUSE, OLOF, &[LISTEN]));
        let device = by_datagram(DEVICE);
        home.register(device, HOUSE, (0, "olof"), CONTACT);
        let sender = by_datagram(SENDER);
        home.send(sender, &own("oddaccept"));
        let request = to_device(&mut home, device, what);
        let [via, next, ..] = all(&request, "via")[..] else { panic!("{what}: no Via but ours") };
        // One with a single Via would be meant for us alone: it gets the caller's as well.
        let vias = if all(&response, "via").len() == 1 { [via, next].concat() } else { via.to_vec() };
        let response = replaced(&response, all(&response, "via")[0], &vias);
        home.send(device, &response);
        let sent = home.take();
        if passes {
            let passed = replaced(&response, via, b"");
            // The caller is nobody of the home: what names the dialog is as it was in his request, and no device's Contact is
            // shown to him.
            let kept = |answer: &[u8]| {
                let own = ["via", "call-id", "from", "to", "contact"];
                let lines = parts(answer).fields.into_iter().filter(|field| !own.contains(&name(field).as_str()));
                (
                    parts(answer).first.to_vec(),
                    lines.flatten().copied().collect::<Vec<u8>>(),
                    parts(answer).body.to_vec(),
                )
            };
            let to = SENDER.parse().unwrap();
            let [answer] = &sent[..] else { panic!("{what}: {sent:?}") };
            assert!(answer.is_to(to), "{what}: {answer:?}");
            assert_eq!(kept(answer.bytes()), kept(within_length(&passed)), "{what}");
            for field in ["call-id", "from"] {
                assert_eq!(all(answer.bytes(), field), all(&own("oddaccept"), field), "{what}");
            }
            assert_eq!(all(answer.bytes(), "via").len(), all(&passed, "via").len(), "{what}");
            for contact in all(answer.bytes(), "contact") {
                assert!(find(contact, b"<sip:m1-").is_some(), "{what}: {}", contact.escape_ascii());
            }
        } else {
            assert!(sent.is_empty(), "{what}: {sent:?}");
        }
        if status(&response).is_none_or(|status| !(200..700).contains(&status)) || !passes {
            home.send(device, &answer(&request, 603, ""));
            assert!(home.take().iter().any(|sent| status(sent.bytes()) == Some(603)), "{what}: the branch is lost");
        }
        home.rest(what);
    }
}

/// An answer whose CSeq names another method is not one to that request (§17.1.3).
#[test]
fn answers_to_another_method() {
    let mut home = Home::new(&model(HOUSE, OLOF, &[LISTEN]));
    let device = by_datagram(DEVICE);
    home.register(device, HOUSE, (0, "olof"), CONTACT);
    home.send(by_datagram(SENDER), &own("oddaccept"));
    let request = to_device(&mut home, device, "oddaccept");
    let stray = home.server.status(home.now).counters.stray;
    home.send(device, &replaced(&answer(&request, 200, ""), b"7 INVITE", b"7 OPTIONS"));
    assert!(home.take().is_empty());
    assert_eq!(home.server.status(home.now).counters.stray, stray + 1);
    home.send(device, &answer(&request, 486, ""));
    assert!(home.take().iter().any(|sent| status(sent.bytes()) == Some(486)));
    home.rest("other method");
}

/// An answer without Content-Length from a datagram goes back on a stream with one.
#[test]
fn answers_get_the_length_a_stream_needs() {
    let mut home = Home::new(&model(HOUSE, OLOF, &[LISTEN]));
    let device = by_datagram(DEVICE);
    home.register(device, HOUSE, (0, "olof"), CONTACT);
    let stream = home.connect(SENDER.parse().unwrap(), LISTEN.parse().unwrap()).unwrap();
    home.send(Way::Stream(stream), &own("oddaccept"));
    let request = to_device(&mut home, device, "oddaccept");
    let ringing = replaced(&answer(&request, 183, ""), b"Content-Length: 0\r\n\r\n", b"\r\nearly");
    home.send(device, &ringing);
    let sent = home.take();
    let [answer] = &sent[..] else { panic!("{sent:?}") };
    assert!(answer.is_on(stream) && answer.bytes().ends_with(b"\r\nContent-Length: 5\r\n\r\nearly"), "{answer:?}");
    home.rest("length");
}

/// On a stream the second request in the bytes of the first is the next message.
#[test]
fn two_requests_on_a_stream() {
    for (bytes, domain, people, contact) in [
        (own("tworequests"), HOUSE, &["olof"][..], "olof"),
        (
            torture_names().iter().find(|name| *name == "rfc4475/dblreq").map_or(Vec::new(), |name| tortured(name)),
            "example.com",
            &["joe", "j.user"],
            "joe",
        ),
    ] {
        if bytes.is_empty() {
            continue;
        }
        let mut home = Home::new(&model(domain, people, &[LISTEN]));
        let device = by_datagram(DEVICE);
        home.register(device, domain, (0, contact), CONTACT);
        let stream = home.connect(SENDER.parse().unwrap(), LISTEN.parse().unwrap()).unwrap();
        home.send(Way::Stream(stream), &bytes);
        let invite = to_device(&mut home, device, domain);
        assert!(invite.starts_with(b"INVITE "));
        let sent = home.take();
        assert!(sent[0].is_on(stream) && status(sent[0].bytes()) == Some(401), "{sent:?}");
        home.send(device, &answer(&invite, 486, ""));
        home.rest(domain);
    }
}

/// CANCEL is matched by RFC 2543's rule as well, and finds the devices that ring.
#[test]
fn cancel_without_a_branch() {
    let names = torture_names();
    let mut cases = vec![(own("oldinvite"), HOUSE, "olof")];
    if names.iter().any(|name| name == "rfc4475/inv2543") {
        cases.push((tortured("rfc4475/inv2543"), "example.com", "UserB"));
    }
    for (invite, domain, person) in cases {
        let mut home = Home::new(&model(domain, &[person], &[LISTEN]));
        let (device, sender) = (by_datagram(DEVICE), by_datagram(SENDER));
        home.register(device, domain, (0, person), CONTACT);
        home.send(sender, &invite);
        let request = to_device(&mut home, device, domain);
        home.send(device, &answer(&request, 180, ""));
        assert_eq!(home.take().len(), 1, "180 passes");
        let mut cancel = replaced(&invite, b"INVITE", b"CANCEL");
        let cseq = all(&cancel, "cseq")[0].to_vec();
        cancel = replaced(&cancel, &cseq, &replaced(&cseq, b"INVITE", b"CANCEL"));
        // One of another call is not for this one.
        let call_id = value(&cancel, "call-id").unwrap().to_vec();
        let other = replaced(&cancel, &call_id, b"other");
        assert_eq!(status(&home.exchange(sender, &other)), Some(481));
        assert!(home.take().is_empty());
        assert_eq!(status(&home.exchange(sender, &cancel)), Some(200));
        let cancelled = to_device(&mut home, device, domain);
        assert!(cancelled.starts_with(b"CANCEL ") && all(&cancelled, "via") == all(&request, "via")[..1]);
        home.send(device, &answer(&cancelled, 200, ""));
        home.send(device, &answer(&request, 487, ""));
        let sent = home.take();
        assert!(sent.iter().any(|sent| sent.is_to(SENDER.parse().unwrap()) && status(sent.bytes()) == Some(487)));
        home.send(sender, &ack_of(&invite));
        home.pass(10_000);
        assert!(home.take().is_empty(), "the ACK was matched");
        home.rest(domain);
    }
}

/// A branch of nothing but the cookie does not make two requests one.
#[test]
fn branch_of_only_the_cookie() {
    let mut home = Home::new(&model(HOUSE, OLOF, &[LISTEN]));
    let (device, sender) = (by_datagram(DEVICE), by_datagram(SENDER));
    home.register(device, HOUSE, (0, "olof"), CONTACT);
    let first = own("cookieonly");
    let second = replaced(&replaced(&first, b"cookieonly@", b"other@"), b"CSeq: 7", b"CSeq: 8");
    home.send(sender, &first);
    home.send(sender, &second);
    let sent = home.take();
    let calls: Vec<_> = sent.iter().filter_map(|sent| value(sent.bytes(), "call-id")).collect();
    assert_eq!(calls, [&b"cookieonly@phone.attic.example"[..], b"other@phone.attic.example"]);
    for sent in sent {
        home.send(device, &answer(sent.bytes(), 200, ""));
    }
    home.rest("cookie");
}

/// An address of ours without a port is one at port 5060: what looks like a port in brackets is none.
#[test]
fn a_port_within_the_address() {
    let local = "[2001:db8::5070]:5090";
    let mut home = Home::new(&model(HOUSE, &["olof"], &[LISTEN, local]));
    let way = Way::Datagram { from: V6_PEER.parse().unwrap(), local: local.parse().unwrap() };
    // A request for somebody else: it is not registered here.
    let (_, answer) = send_proven(&mut home, &OWN[0], way, &own("v6default"));
    assert_ne!(status(&answer), Some(200), "{}", answer.escape_ascii());
    assert_eq!(home.server.status(home.now).bindings, 0);
    home.rest("port");
}
