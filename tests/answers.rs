//! What several devices answer, as the caller gets it (RFC 3261 §16.7), and what a challenge offers (RFC 8760).

mod support;

use support::{
    Home, LISTEN, PASSWORD, Sent, Way, all, answer, by_datagram, find, model, name, status, value, with_credentials,
};

const HOUSE: &str = "house.example";
const CALLER: &str = "198.51.100.7:5060";
const INVITE: &str = "INVITE sip:olof@house.example SIP/2.0\r\n\
    Via: SIP/2.0/UDP 198.51.100.7:5060;branch=z9hG4bKcall;rport\r\n\
    Max-Forwards: 70\r\nFrom: <sip:eve@away.example>;tag=e\r\nTo: <sip:olof@house.example>\r\nCall-ID: forked\r\n\
    CSeq: 1 INVITE\r\nContact: <sip:eve@198.51.100.7>\r\nContent-Length: 0\r\n\r\n";

/// Olof's home with two devices, and the INVITE that each of them got.
fn two_devices() -> (Home, [(Way, Vec<u8>); 2]) {
    let mut home = Home::new(&model(HOUSE, &["olof"], &[LISTEN]));
    let addresses = ["203.0.113.50:5060", "203.0.113.51:5060"];
    for address in addresses {
        home.register(by_datagram(address), HOUSE, (0, "olof"), &format!("sip:olof@{address}"));
    }
    home.send(by_datagram(CALLER), INVITE.as_bytes());
    let sent = home.take();
    let got = addresses.map(|address| {
        let to = address.parse().unwrap();
        let request = sent.iter().find(|sent| sent.is_to(to)).expect("every device rings");
        (by_datagram(address), request.bytes().to_vec())
    });
    (home, got)
}

fn to_caller(sent: &[Sent]) -> Vec<&Sent> {
    sent.iter().filter(|sent| sent.is_to(CALLER.parse().unwrap())).collect()
}

#[test]
fn early_media_of_every_device_passes() {
    let (mut home, devices) = two_devices();
    for (index, (device, request)) in devices.iter().enumerate() {
        let body = format!("v=0\r\ns=device {index}\r\n");
        let more = format!("Require: 100rel\r\nRSeq: {index}1\r\nContact: <sip:olof@192.0.2.{index}>\r\n");
        let progress = answer(request, 183, &more);
        let head = &progress[..progress.len() - "Content-Length: 0\r\n\r\n".len()];
        let length = format!("Content-Length: {}\r\n\r\n{body}", body.len());
        home.send(*device, &[head, length.as_bytes()].concat());
        let sent = home.take();
        let [passed] = to_caller(&sent)[..] else { panic!("{sent:?}") };
        assert_eq!(status(passed.bytes()), Some(183));
        assert!(passed.bytes().ends_with(body.as_bytes()) && find(passed.bytes(), b"RSeq: ").is_some());
        assert_eq!(all(passed.bytes(), "via").len(), 1, "only the caller's own Via is left");
        assert_eq!(all(passed.bytes(), "record-route").len(), 2);
    }
    for (device, request) in &devices {
        home.send(*device, &answer(request, 486, ""));
    }
    assert!(home.take().iter().any(|sent| status(sent.bytes()) == Some(486)));
    home.rest("early media");
}

#[test]
fn challenges_of_all_devices_go_back_together() {
    let (mut home, devices) = two_devices();
    let challenges = [
        (401, "WWW-Authenticate: Digest realm=\"one\", nonce=\"a\"\r\n"),
        (407, "Proxy-Authenticate: Digest realm=\"two\", nonce=\"b\"\r\n"),
    ];
    for ((device, request), (code, field)) in devices.iter().zip(challenges) {
        home.send(*device, &answer(request, code, field));
    }
    let sent = home.take();
    let [last] = to_caller(&sent)[..] else { panic!("{sent:?}") };
    assert_eq!(status(last.bytes()), Some(401));
    for realm in ["realm=\"one\"", "realm=\"two\""] {
        assert!(find(last.bytes(), realm.as_bytes()).is_some(), "{realm}: {last:?}");
    }
    home.rest("challenges");
}

/// Who was challenged and comes again with another REGISTER, still without credentials, gets what it can do.
#[test]
fn a_client_that_fails_on_sha256_is_offered_md5_alone() {
    let mut home = Home::new(&model(HOUSE, &["olof"], &[LISTEN]));
    let phone = by_datagram("203.0.113.50:5060");
    let register = |number: usize| {
        format!(
            "REGISTER sip:house.example SIP/2.0\r\nVia: SIP/2.0/UDP 203.0.113.50;branch=z9hG4bK{number}\r\n\
             Max-Forwards: 70\r\nFrom: <sip:olof@house.example>;tag=1\r\nTo: <sip:olof@house.example>\r\n\
             Call-ID: c{number}\r\nCSeq: 1 REGISTER\r\nContact: <sip:olof@203.0.113.50>\r\nContent-Length: 0\r\n\r\n"
        )
        .into_bytes()
    };
    let offers = |answer: &[u8]| {
        assert_eq!(status(answer), Some(401), "{}", answer.escape_ascii());
        let fields = all(answer, "www-authenticate");
        fields.iter().map(|field| find(field, b"SHA-256").is_some()).collect::<Vec<_>>()
    };
    let first = home.exchange(phone, &register(1));
    assert_eq!(offers(&first), [true, false], "SHA-256 before MD5");
    let soon = home.exchange(phone, &register(2));
    assert_eq!(offers(&soon), [true, false], "it may still answer the first");
    home.pass(2_000);
    let later = home.exchange(phone, &register(3));
    assert_eq!(offers(&later), [false], "MD5 alone");
    assert_eq!(name(all(&later, "www-authenticate")[0]), "www-authenticate");
    let proven = with_credentials(&register(3), &later, "olof", PASSWORD);
    let answer = home.exchange(phone, &proven);
    assert_eq!(status(&answer), Some(200), "{}", answer.escape_ascii());
    assert!(value(&answer, "contact").is_some());
    home.rest("md5");
}
