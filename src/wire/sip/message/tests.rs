//! Tests of `Message`.

use super::*;
use std::format;
use std::string::String;
use std::vec::Vec;

const INVITE: &[u8] = b"INVITE sip:bob@biloxi.example SIP/2.0\r\n\
    Via: SIP/2.0/UDP pc33.atlanta.example;branch=z9hG4bK776asdhds\r\n\
    Max-Forwards: 70\r\n\
    To: Bob <sip:bob@biloxi.example>\r\n\
    From: Alice <sip:alice@atlanta.example>;tag=1928301774\r\n\
    Call-ID: a84b4c76e66710@pc33.atlanta.example\r\n\
    CSeq: 314159 INVITE\r\n\
    Contact: <sip:alice@pc33.atlanta.example>\r\n\
    Supported: timer, 100rel\r\n\
    k: OutBound\r\n\
    X-Thing :  a\r\n  b \r\n\
    Content-Length: 4\r\n\r\nbodyextra";

fn parsed(bytes: &[u8]) -> Message<'_> {
    Message::parse(bytes).unwrap_or_else(|fault| panic!("{fault:?}"))
}

/// The valid message with one text in place of another.
fn with(from: &str, to: &str) -> Vec<u8> {
    let text = String::from_utf8(INVITE.to_vec()).unwrap();
    assert!(text.contains(from), "{from}");
    text.replacen(from, to, 1).into_bytes()
}

fn fault_with(from: &str, to: &str) -> Option<(u16, &'static str)> {
    parsed(&with(from, to)).fault().map(|fault| (fault.status, fault.reason))
}

#[test]
fn essentials() {
    let message = parsed(INVITE);
    assert_eq!(message.fault(), None);
    assert_eq!(message.start(), Start::Request { method: Method::Invite, uri: b"sip:bob@biloxi.example" });
    let essentials = message.essentials().unwrap();
    assert_eq!(essentials.via.branch(), Some(&b"z9hG4bK776asdhds"[..]));
    assert_eq!((essentials.from.tag(), essentials.to.tag()), (Some(&b"1928301774"[..]), None));
    assert_eq!(essentials.call_id, b"a84b4c76e66710@pc33.atlanta.example");
    assert_eq!(essentials.cseq, CSeq { number: 314_159, method: Method::Invite });
    assert_eq!((essentials.max_forwards, essentials.content_length), (Some(70), Some(4)));
    assert_eq!((message.body(), message.method(), message.status()), (&b"body"[..], Some(Method::Invite), None));
    assert!(message.bytes().ends_with(b"body"));
}

#[test]
fn fields() {
    let message = parsed(INVITE);
    let names = message.fields().map(|field| field.name).collect::<Vec<_>>();
    assert_eq!(names.len(), 11);
    assert_eq!((names[0], names[9], names[8]), (Name::Via, Name::Other, Name::Supported));
    let thing = message.other(b"x-thing").unwrap();
    assert_eq!((thing.raw_name, thing.value), (&b"X-Thing"[..], &b"a\r\n  b"[..]));
    assert_eq!(&message.bytes()[thing.line], b"X-Thing :  a\r\n  b \r\n");
    assert_eq!(message.values(Name::Supported).collect::<Vec<_>>(), [&b"timer"[..], b"100rel", b"OutBound"]);
    assert!(message.lists_token(Name::Supported, b"outbound") && !message.lists_token(Name::Require, b"outbound"));
    assert_eq!(message.field(Name::Subject), None);
    assert_eq!(&message.bytes()[message.head_end()..], b"\r\nbody");
    let call_id = message.essentials().unwrap().call_id;
    assert_eq!(&message.bytes()[message.span(call_id)], call_id);
    assert_eq!(message.span(b"elsewhere"), 0..0);
}

#[test]
fn responses() {
    let text = with("INVITE sip:bob@biloxi.example SIP/2.0", "SIP/2.0 486 Busy Here");
    let message = parsed(&text);
    assert_eq!((message.start(), message.fault()), (Start::Status { code: 486, reason: b"Busy Here" }, None));
    for (line, code) in [("SIP/2.0 100 ", 100), ("sip/2.0 699", 699)] {
        let text = with("INVITE sip:bob@biloxi.example SIP/2.0", line);
        assert_eq!((parsed(&text).status(), parsed(&text).fault()), (Some(code), None), "{line}");
    }
    for line in [
        "SIP/2.0 4294967301 x",
        "SIP/2.0 099 x",
        "SIP/2.0 700 x",
        "SIP/2.0  200 x",
        "SIP/2.0 2x0 x",
        "SIP/2.0",
        "SIP/3.0 200 x",
    ] {
        assert!(fault_with("INVITE sip:bob@biloxi.example SIP/2.0", line).is_some(), "{line}");
    }
}

#[test]
fn start_lines() {
    let line = "INVITE sip:bob@biloxi.example SIP/2.0";
    for (bad, status) in [
        ("INVITE  sip:bob@biloxi.example SIP/2.0", 400),
        ("INVITE sip:bob@biloxi.example  SIP/2.0", 400),
        ("INVITE sip:bob@biloxi.example SIP/2.0 ", 400),
        ("INVITE <sip:bob@biloxi.example> SIP/2.0", 400),
        ("INVITE sip:bob@biloxi.example; lr SIP/2.0", 400),
        ("INVITE sip:bob@biloxi.example?Route=x SIP/2.0", 400),
        ("INVITE\tsip:bob@biloxi.example SIP/2.0 x SIP/2.0", 400),
        ("INVITE SIP/2.0", 400),
        ("INVITE  SIP/2.0", 400),
        ("INVITE sip: SIP/2.0", 400),
        ("IN\"VITE sip:bob@biloxi.example SIP/2.0", 400),
        ("INVITE * SIP/2.0", 400),
        ("INVITE sip:bob@biloxi.example SIP/7.0", 505),
        ("INVITE sip:bob@biloxi.example SIP/2.00", 505),
        ("INVITE sip:bob@biloxi.example SIP/2.0\r\n folded", 400),
    ] {
        assert_eq!(fault_with(line, bad).map(|(status, _)| status), Some(status), "{bad}");
    }
    for fine in [
        "INVITE tel:+123 SIP/2.0",
        "INVITE nobody:x SIP/2.0",
        "INVITE soap.beep://192.0.2.1 sip/2.0",
        "\r\n\r\nINVITE sip:h SIP/2.0",
    ] {
        assert_eq!(fault_with(line, fine), None, "{fine}");
    }
    for nothing in
        [&b""[..], b"\r\n\r\n", b"garbage", b"GET / HTTP/1.1\r\n\r\n", b" INVITE sip:h SIP/2.0\r\n\r\n", b"\0\0\0\0"]
    {
        assert!(Message::parse(nothing).is_err(), "{}", nothing.escape_ascii());
    }
}

#[test]
fn missing_and_repeated() {
    for (line, reason) in [
        ("Via: SIP/2.0/UDP pc33.atlanta.example;branch=z9hG4bK776asdhds\r\n", "Missing Via"),
        ("To: Bob <sip:bob@biloxi.example>\r\n", "Missing To"),
        ("From: Alice <sip:alice@atlanta.example>;tag=1928301774\r\n", "Missing From"),
        ("Call-ID: a84b4c76e66710@pc33.atlanta.example\r\n", "Missing Call-ID"),
        ("CSeq: 314159 INVITE\r\n", "Missing CSeq"),
    ] {
        assert_eq!(fault_with(line, ""), Some((400, reason)));
        assert!(parsed(&with(line, "")).essentials().is_none());
        if reason != "Missing Via" {
            let twice = format!("{line}{line}");
            assert_eq!(fault_with(line, &twice).unwrap().1, reason.replace("Missing", "Repeated"));
            assert!(parsed(&with(line, &twice)).essentials().is_some());
        }
    }
    assert_eq!(fault_with("Max-Forwards: 70\r\n", ""), None);
    assert_eq!(
        fault_with("Max-Forwards: 70\r\n", "Max-Forwards: 70\r\nMax-Forwards: 70\r\n"),
        Some((400, "Repeated Max-Forwards"))
    );
    assert_eq!(fault_with("Content-Length: 4\r\n", "l: 4\r\nContent-Length: 4\r\n"), None);
    assert_eq!(fault_with("Content-Length: 4\r\n", "l: 4\r\nl: 5\r\n"), Some((400, "Contradicting Content-Length")));
    assert_eq!(fault_with("Content-Length: 4\r\n", "l: 4\r\nl: 04\r\n"), Some((400, "Contradicting Content-Length")));
    assert_eq!(fault_with("Content-Length: 4\r\n", ""), None);
}

#[test]
fn malformed_values() {
    for (from, to, reason) in [
        ("branch=z9", ";branch=z9", "Malformed Parameter"),
        ("776asdhds", "7,,SIP/2.0/UDP h", "Empty Via"),
        ("314159 INVITE", "314159 OPTIONS", "CSeq Method Mismatch"),
        ("314159 INVITE", "2147483648 INVITE", "Malformed CSeq"),
        ("Max-Forwards: 70", "Max-Forwards: 256", "Malformed Max-Forwards"),
        ("Max-Forwards: 70", "Max-Forwards: x", "Malformed Max-Forwards"),
        ("Call-ID: a84", "Call-ID: a 84", "Malformed Call-ID"),
        ("Content-Length: 4", "Content-Length: 10", "Content-Length Too Large"),
        ("Content-Length: 4", "Content-Length: -4", "Malformed Content-Length"),
        ("Content-Length: 4", "Content-Length: 99999999999999999999", "Content-Length Too Large"),
        ("Max-Forwards: 70", "Max-Forwards 70", "Malformed Header Field"),
        ("Max-Forwards: 70", ": 70", "Malformed Header Field"),
        ("Max-Forwards: 70", "Max Forwards: 70", "Malformed Header Field"),
        ("Max-Forwards: 70", "Subject: 7\r0", "CR Without LF"),
        ("Bob <sip", "\"Bob <sip", "Unterminated Quoted String"),
    ] {
        assert_eq!(fault_with(from, to), Some((400, reason)), "{to}");
    }
    assert_eq!(fault_with("Content-Length: 4\r\n\r\nbodyextra", "Subject: x"), Some((400, "Missing Empty Line")));
    assert_eq!(fault_with("Content-Length: 4\r\n\r\nbodyextra", "Subject: x\r\n"), Some((400, "Missing Empty Line")));
}

#[test]
fn too_many_fields() {
    let fill = |count: usize| with("Max-Forwards: 70\r\n", &"a: b\r\n".repeat(count));
    assert_eq!(parsed(&fill(FIELDS - 10)).fault(), None);
    assert_eq!(parsed(&fill(FIELDS - 9)).fault().unwrap().reason, "Too Many Header Fields");
    let large = std::vec![b'a'; MESSAGE_BYTES + 1];
    assert_eq!(Message::parse(&large).unwrap_err().status, 513);
}

#[test]
fn line_ends() {
    let text = String::from_utf8(INVITE.to_vec()).unwrap().replace("\r\n", "\n").into_bytes();
    let message = parsed(&text);
    assert_eq!((message.fault(), message.body()), (None, &b"body"[..]));
    assert_eq!(message.other(b"X-Thing").unwrap().value, b"a\n  b");
    assert_eq!(&message.bytes()[message.head_end()..], b"\nbody");
    assert_eq!(fault_with("Bob <sip", "\r\n \r\n\tBob\r\n <sip"), None, "a fold of white space only is not the end");
    assert_eq!(parsed(&with("Max-Forwards: 70", "Subject: \0\x07\u{e9}")).fault(), None);
}
