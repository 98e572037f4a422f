//! The messages of RFC 4475 and RFC 5118, and our own of each of their kinds, thrown at the running server: each meets a
//! home for which it is meant, and has to get the treatment that the RFC expects. In process, by datagram and stream, and
//! over real sockets to the program.

mod support;

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use pcsd::wire::sip::framer::{self, Frame};
use support::{
    Home, LISTEN, Sent, Way, all, answer, by_datagram, find, model, name, own, own_names, parts, replaced, status,
    torture_names, tortured, value, with_credentials,
};

/// Where the called person's device is.
const DEVICE: &str = "203.0.113.50:5060";
const CONTACT: &str = "sip:line@203.0.113.50:5060";
/// Where messages come from, unless the case says otherwise.
const SENDER: &str = "198.51.100.7:5060";

/// What the server has to do with a message.
#[derive(Clone, Copy, Debug)]
enum Expect {
    /// It goes to the device of the first person, unchanged but for what a proxy changes; so many Routes are ours.
    Forwarded { own_routes: usize },
    /// It is answered with a status, after its sender has proven who he is if need be; this text is in the answer.
    Answered(u16, &'static str),
    /// It is challenged.
    Challenged,
    /// It registers: once its sender has proven who he is, these Contacts come back, less their `expires`.
    Registered(&'static [&'static str]),
    /// Nothing happens.
    Discarded,
    /// On a stream: answered with a status, then the connection is closed.
    Closed(u16),
    /// On a stream: the rest is waited for in vain, then the connection is closed.
    Awaited,
    /// On a stream: not tried, as its end can't be told there.
    Skipped,
}
use Expect::{Answered, Awaited, Challenged, Closed, Discarded, Forwarded, Registered, Skipped};

#[derive(Clone, Copy)]
struct Case {
    name: &'static str,
    domain: &'static str,
    /// Who is called, and who calls, if that is somebody of the home.
    people: &'static [&'static str],
    /// Where the server listens besides [`LISTEN`] and the message arrives, and whence it comes.
    at: Option<(&'static str, &'static str)>,
    external: Option<&'static str>,
    datagram: Expect,
    stream: Expect,
}

const fn case(name: &'static str, domain: &'static str, people: &'static [&'static str], expect: Expect) -> Case {
    Case { name, domain, people, at: None, external: None, datagram: expect, stream: expect }
}

impl Case {
    const fn at(self, local: &'static str, from: &'static str) -> Self {
        Self { at: Some((local, from)), ..self }
    }

    const fn external(self, name: &'static str) -> Self {
        Self { external: Some(name), ..self }
    }

    const fn stream(self, expect: Expect) -> Self {
        Self { stream: expect, ..self }
    }

    fn local(&self) -> SocketAddr {
        self.at.map_or(LISTEN, |at| at.0).parse().unwrap()
    }

    fn from(&self) -> SocketAddr {
        self.at.map_or(SENDER, |at| at.1).parse().unwrap()
    }

    fn home(&self) -> Home {
        let mut listen = vec![LISTEN];
        listen.extend(self.at.map(|at| at.0));
        let mut model = model(self.domain, self.people, &listen);
        if let Some(external) = self.external {
            model.main.external.push(external.try_into().unwrap()).unwrap();
        }
        Home::new(&model)
    }
}

const FORWARDED: Expect = Forwarded { own_routes: 0 };
const BAD: Expect = Answered(400, "");
const V6: &str = "[2001:db8::10]:5060";
const V6_PEER: &str = "[2001:db8::9:1]:5060";

const TORTURE: &[Case] = &[
    // RFC 4475 §3.1.1: valid, however it looks.
    case("rfc4475/wsinv", "chair-dnrc.example.com", &["vivekg"], Forwarded { own_routes: 1 })
        .external("services.example.com"),
    case("rfc4475/intmeth", "example.com", &["1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*", "mundane"], FORWARDED),
    case("rfc4475/esc01", "example.net", &["sips:user@example.com", "I have spaces"], FORWARDED),
    case(
        "rfc4475/escnull",
        "example.com",
        &["null-\0-null"],
        Registered(&["<sip:%00@host5.example.com>", "<sip:%00%00@host5.example.com>"]),
    ),
    // Not REGISTER, whatever it reads unescaped.
    case("rfc4475/esc02", "example.com", &["resource"], Answered(501, "\r\nAllow: ")).external("registrar.example.com"),
    case("rfc4475/lwsdisp", "example.com", &["user", "caller"], FORWARDED),
    case("rfc4475/longreq", "example.com", &["user"], FORWARDED),
    case("rfc4475/dblreq", "example.com", &["j.user"], Registered(&["<sip:j.user@host.example.com>"])),
    case("rfc4475/semiuri", "example.com", &["user;par=u@example.net"], FORWARDED),
    case("rfc4475/transports", "example.com", &["user", "caller"], FORWARDED),
    case("rfc4475/mpart01", "example.org", &["kumiko"], Forwarded { own_routes: 1 })
        .at("127.0.0.1:5080", "127.0.0.1:5070"),
    case("rfc4475/unreason", "example.com", &[], Discarded),
    case("rfc4475/noreason", "example.com", &[], Discarded),
    // §3.1.2: invalid.
    case("rfc4475/badinv01", "example.com", &["user"], BAD),
    case("rfc4475/clerr", "example.com", &["user"], BAD).stream(Awaited),
    case("rfc4475/ncl", "example.com", &["user"], BAD).stream(Closed(400)),
    case("rfc4475/scalar02", "example.com", &["user"], BAD),
    case("rfc4475/scalarlg", "example.com", &["user"], Discarded),
    case("rfc4475/quotbal", "example.com", &["user"], BAD),
    case("rfc4475/ltgtruri", "example.com", &["user"], BAD),
    case("rfc4475/lwsruri", "example.com", &["user"], BAD),
    case("rfc4475/lwsstart", "example.com", &["user"], BAD),
    case("rfc4475/trws", "example.com", &["remote-target"], BAD),
    case("rfc4475/escruri", "example.com", &["user"], BAD),
    // A proxy does not look at what it has no use for.
    case("rfc4475/baddate", "example.com", &["user"], FORWARDED),
    case("rfc4475/badaspec", "example.org", &["user"], FORWARDED),
    case("rfc4475/baddn", "example.org", &["t.watson"], FORWARDED),
    case("rfc4475/regbadct", "example.com", &["user"], BAD),
    case("rfc4475/badvers", "example.org", &["t.watson"], Answered(505, "")),
    case("rfc4475/mismatch01", "example.com", &["user"], BAD),
    case("rfc4475/mismatch02", "example.com", &["user"], BAD),
    case("rfc4475/bigcode", "example.com", &["user"], Discarded),
    // §3.2: transactions.
    case("rfc4475/badbranch", "example.com", &["user"], FORWARDED),
    // §3.3: what the application has to say.
    case("rfc4475/insuf", "example.com", &["user"], BAD),
    case("rfc4475/unkscm", "example.com", &["user"], Answered(416, "")),
    case("rfc4475/novelsc", "example.com", &["user"], Answered(416, "")),
    case("rfc4475/unksm2", "example.com", &["user"], BAD),
    case(
        "rfc4475/bext01",
        "example.com",
        &["user"],
        Answered(420, "\r\nUnsupported: noProxiesSupportThis, norDoAnyProxiesSupportThis\r\n"),
    ),
    case("rfc4475/invut", "example.com", &["user"], FORWARDED),
    case("rfc4475/regaut01", "example.com", &["j.user"], Challenged),
    case("rfc4475/multi01", "company.com", &["user"], BAD),
    case("rfc4475/mcl01", "example.com", &["user"], BAD).stream(Closed(400)),
    case("rfc4475/bcast", "example.com", &["user"], Discarded),
    case("rfc4475/zeromf", "example.com", &["user"], Answered(483, "")),
    case(
        "rfc4475/cparam01",
        "example.com",
        &["watson"],
        Registered(&["<sip:+19725552222@gw1.example.net>;unknownparam"]),
    ),
    case(
        "rfc4475/cparam02",
        "example.com",
        &["watson"],
        Registered(&["<sip:+19725552222@gw1.example.net;unknownparam>"]),
    ),
    case(
        "rfc4475/regescrt",
        "example.com",
        &["user"],
        Registered(&["<sip:user@example.com?Route=%3Csip:sip.example.com%3E>"]),
    ),
    case("rfc4475/sdp01", "example.com", &["user"], FORWARDED),
    // §3.4: the former RFC. Without Content-Length there is no body on a stream.
    case("rfc4475/inv2543", "example.com", &["UserB"], FORWARDED).stream(Skipped),
    // RFC 5118.
    case("rfc5118/ipv6-good", "example.com", &["user"], Registered(&["<sip:caller@[2001:db8::1]>"])).at(V6, V6_PEER),
    case("rfc5118/ipv6-bad", "example.com", &["user"], BAD).at(V6, V6_PEER),
    case("rfc5118/port-ambiguous", "example.com", &["user"], Registered(&["<sip:caller@[2001:db8::1]>"]))
        .at("[2001:db8::10:5070]:5060", V6_PEER),
    case("rfc5118/port-unambiguous", "example.com", &["user"], Registered(&["<sip:caller@[2001:db8::1]>"]))
        .at("[2001:db8::10]:5070", V6_PEER),
    // The source as it is, without brackets.
    case(
        "rfc5118/via-received-param-with-delim",
        "example.com",
        &["user"],
        Answered(405, "\r\nVia: SIP/2.0/UDP [2001:db8::9:1];received=2001:db8::9:255;branch=z9hG4bKas3-111\r\n"),
    )
    .at(V6, "[2001:db8::9:255]:5060"),
    case(
        "rfc5118/via-received-param-no-delim",
        "example.com",
        &["user"],
        Answered(200, "\r\nVia: SIP/2.0/UDP [2001:db8::9:1];received=2001:db8::9:255;branch=z9hG4bKas3\r\n"),
    )
    .at(V6, "[2001:db8::9:255]:5060"),
    case("rfc5118/ipv6-in-sdp", "example.com", &["user"], BAD).at(V6, "[2001:db8::20]:5060").stream(Awaited),
    case("rfc5118/ipv6-in-sdp.fixed", "example.com", &["user"], FORWARDED).at(V6, "[2001:db8::20]:5060"),
    case("rfc5118/mult-ip-in-header", "host.example.net", &["user"], FORWARDED).at(V6, "[2001:db8::9:1]:6050"),
    case("rfc5118/mult-ip-in-sdp", "example.com", &["user"], FORWARDED).at(V6, V6_PEER),
    case("rfc5118/ipv4-mapped-ipv6", "example.com", &["user"], FORWARDED).at("192.0.2.1:5060", "192.0.2.10:19823"),
    case("rfc5118/ipv6-bug-abnf-3-colons", "example.com", &["user"], BAD).at(V6, V6_PEER),
    case("rfc5118/ipv6-correct-abnf-2-colons", "example.com", &["user"], FORWARDED)
        .at("[2001:db8::192.0.2.1]:5060", V6_PEER),
];

const HOUSE: &str = "house.example";
const OLOF: &[&str] = &["olof", "vera"];
const V6_HOUSE: &str = "[2001:db8::5070]:5090";

const OWN: &[Case] = &[
    case("folded", HOUSE, OLOF, FORWARDED),
    case("anymethod", HOUSE, OLOF, FORWARDED),
    case("escapes", HOUSE, &["olof;x@y", "vera"], FORWARDED),
    case("nulescape", HOUSE, OLOF, Registered(&["<sip:ve%00ra@192.0.2.40>", "<sip:%00@192.0.2.40>"])),
    case("escmethod", HOUSE, OLOF, Answered(501, "\r\nAllow: ")),
    case("nospace", HOUSE, OLOF, FORWARDED),
    case("longvalues", HOUSE, OLOF, FORWARDED),
    case("surplus", HOUSE, OLOF, Answered(200, "\r\nAllow: ")),
    case("tworequests", HOUSE, OLOF, Registered(&["<sip:olof@192.0.2.40>"])),
    case("semicolon", HOUSE, &["olof;room=2@attic"], FORWARDED),
    case("manyvias", HOUSE, OLOF, FORWARDED),
    case("binary", HOUSE, OLOF, FORWARDED),
    case("multipart", HOUSE, OLOF, FORWARDED),
    case("utf8reason", HOUSE, OLOF, Discarded),
    case("noreason", HOUSE, OLOF, Discarded),
    case("emptyvia", HOUSE, OLOF, BAD),
    case("shortbody", HOUSE, OLOF, BAD).stream(Awaited),
    case("minuslength", HOUSE, OLOF, BAD).stream(Closed(400)),
    case("twolengths", HOUSE, OLOF, BAD).stream(Closed(400)),
    case("hugecseq", HOUSE, OLOF, BAD),
    case("hugeanswer", HOUSE, OLOF, Discarded),
    case("manyhops", HOUSE, OLOF, BAD),
    case("openquote", HOUSE, OLOF, BAD),
    case("bracketed", HOUSE, OLOF, BAD),
    case("spaced", HOUSE, OLOF, BAD),
    case("twospaces", HOUSE, OLOF, BAD),
    case("trailing", HOUSE, OLOF, BAD),
    case("urihead", HOUSE, OLOF, BAD),
    case("est", HOUSE, OLOF, FORWARDED),
    case("badcontact", HOUSE, OLOF, BAD),
    case("starplus", HOUSE, OLOF, BAD),
    case("spaceuri", HOUSE, OLOF, FORWARDED),
    case("commaname", HOUSE, OLOF, FORWARDED),
    case("version3", HOUSE, OLOF, Answered(505, "")),
    case("othermethod", HOUSE, OLOF, BAD),
    case("newmismatch", HOUSE, OLOF, BAD),
    case("code1000", HOUSE, OLOF, Discarded),
    case("cookieonly", HOUSE, OLOF, FORWARDED),
    case("nocallid", HOUSE, OLOF, BAD),
    case("schemes", HOUSE, OLOF, Answered(416, "")),
    case("notsipaor", HOUSE, OLOF, BAD),
    case("requires", HOUSE, OLOF, Answered(420, "\r\nUnsupported: cellar-1, cellar-2\r\n")),
    case("requiresself", HOUSE, OLOF, Answered(420, "\r\nUnsupported: attic-1\r\n")),
    case("oddbody", HOUSE, OLOF, FORWARDED),
    case("oddaccept", HOUSE, OLOF, FORWARDED),
    case("oddauth", HOUSE, OLOF, Challenged),
    case("twofroms", HOUSE, OLOF, BAD),
    case("barecr", HOUSE, OLOF, BAD),
    case("broadcast", HOUSE, OLOF, Discarded),
    case("zerohops", HOUSE, OLOF, Answered(483, "")),
    case("zeroself", HOUSE, OLOF, Answered(200, "\r\nAllow: ")),
    case("paramafter", HOUSE, OLOF, Registered(&["<sip:olof@192.0.2.40>;attic=\"a,b\""])),
    case("paraminside", HOUSE, OLOF, Registered(&["<sip:olof@192.0.2.40;attic=a>"])),
    case("routecontact", HOUSE, OLOF, Registered(&["<sip:olof@192.0.2.40?Route=%3Csip:192.0.2.66%3Blr%3E>"])),
    case("oldstyle", HOUSE, OLOF, FORWARDED),
    case("oldinvite", HOUSE, OLOF, FORWARDED).stream(Skipped),
    case("lfonly", HOUSE, OLOF, FORWARDED),
    case("notsip", HOUSE, OLOF, Discarded),
    case("v6", HOUSE, OLOF, FORWARDED).at("[2001:db8::5070]:5090", "[2001:db8::40]:5091"),
    case("v6register", HOUSE, OLOF, Registered(&["<sip:olof@[2001:db8::9:1]>"])).at(V6_HOUSE, V6_PEER),
    case("v6default", HOUSE, OLOF, Registered(&["<sip:olof@[2001:db8::9:1]>"]))
        .at("[2001:db8::5070:5090]:5060", V6_PEER),
    case(
        "v6received",
        HOUSE,
        OLOF,
        Answered(200, "\r\nVia: SIP/2.0/UDP [2001:db8::9:1];received=2001:db8::9:1;branch=z9hG4bKattic6\r\n"),
    )
    .at(V6_HOUSE, V6_PEER),
    case("v6mixed", HOUSE, OLOF, FORWARDED).at(V6_HOUSE, "[2001:db8::9:1]:6050"),
    case("v6body", HOUSE, OLOF, FORWARDED),
    case("barev6", HOUSE, OLOF, BAD),
    case("v6colons", HOUSE, OLOF, BAD).at(V6_HOUSE, V6_PEER),
    case("v6dotted", HOUSE, OLOF, FORWARDED).at("[2001:db8::192.0.2.1]:5060", V6_PEER),
];

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
    let mut take = |added: &mut Vec<&[u8]>, is_it: &dyn Fn(&[u8]) -> bool, it: &str| {
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
        // The one answer to OPTIONS is broken before its method matters.
        let sender = by_datagram(SENDER);
        home.send(sender, &own("oddaccept"));
        let request = to_device(&mut home, device, what);
        let via = all(&request, "via")[0];
        let response = replaced(&response, all(&response, "via")[0], via);
        home.send(device, &response);
        let sent = home.take();
        if passes {
            let passed = replaced(&response, via, b"");
            let to = SENDER.parse().unwrap();
            let [answer] = &sent[..] else { panic!("{what}: {sent:?}") };
            assert!(answer.is_to(to), "{what}: {answer:?}");
            assert_eq!(answer.bytes(), within_length(&passed), "{what}");
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
    sent.iter().for_each(|sent| drop(home.send(device, &answer(sent.bytes(), 200, ""))));
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

/// The program over real sockets: whatever is thrown at it, it goes on answering, and phones register.
#[test]
fn over_real_sockets() {
    let daemon = Daemon::start("example.com", &["user", "caller", "alice"]);
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket.connect(("127.0.0.1", daemon.sip)).unwrap();
    let messages = torture_names().into_iter().map(|name| (tortured(&name), name));
    let messages = messages.chain(own_names().into_iter().map(|name| (own(&name), name)));
    for (number, (bytes, what)) in messages.enumerate() {
        let case = TORTURE.iter().chain(OWN).find(|case| case.name == what).expect("an expectation");
        socket.send(&bytes).unwrap();
        let answers = answers_before_ping(&socket, daemon.sip, number);
        let statuses = answers.iter().filter_map(|answer| status(answer)).collect::<Vec<_>>();
        // What is wrong with a message itself does not depend on the home it comes to.
        match case.datagram {
            Answered(expected @ (416 | 505), _) => assert_eq!(statuses, [expected], "{what}"),
            Answered(400, _) if case.domain == "example.com" && case.at.is_none() && !what.ends_with("regbadct") => {
                assert_eq!(statuses, [400], "{what}");
            }
            Discarded => assert!(statuses.is_empty(), "{what}: {statuses:?}"),
            _ => assert_eq!(statuses.len(), 1, "{what}: {statuses:?}"),
        }
        throw_at_stream(&bytes, &what, daemon.sip, case.stream);
    }
    let status_text = daemon.pcsctl("status");
    assert!(status_text.contains("example.com"), "{status_text}");
    register_over(&socket, daemon.sip);
    let devices = daemon.pcsctl("devices");
    assert!(devices.contains("alice"), "{devices}");
}

/// Sends one message on a connection of its own; checks what shows at once: the status, and whether it is closed.
fn throw_at_stream(bytes: &[u8], what: &str, port: u16, expect: Expect) {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.write_all(bytes).unwrap();
    match expect {
        Closed(expected) => {
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            let mut answer = Vec::new();
            // Closed with bytes unread, an end may show as a reset; the answer has come by then.
            let _ = stream.read_to_end(&mut answer);
            assert_eq!(status(&answer), Some(expected), "{what}");
        }
        Answered(expected @ (416 | 505), _) => {
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            let mut answer = [0; 4096];
            let n = stream.read(&mut answer).unwrap();
            assert_eq!(status(&answer[..n]), Some(expected), "{what}");
        }
        Awaited | Discarded => {
            stream.set_read_timeout(Some(Duration::from_millis(30))).unwrap();
            assert!(stream.read(&mut [0; 16]).is_err(), "{what}: neither answered nor closed");
        }
        _ => {}
    }
}

/// What the server sends before it answers an OPTIONS that is sent now: it lives, and these are its answers so far.
fn answers_before_ping(socket: &UdpSocket, port: u16, number: usize) -> Vec<Vec<u8>> {
    let ping = format!(
        "OPTIONS sip:127.0.0.1:{port} SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1;rport;branch=z9hG4bKping{number}\r\n\
         Max-Forwards: 70\r\nFrom: <sip:ping@away.example>;tag=1\r\nTo: <sip:127.0.0.1>\r\nCall-ID: ping{number}\r\n\
         CSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"
    );
    socket.send(ping.as_bytes()).unwrap();
    let (mut answers, mut buffer) = (Vec::new(), [0; 65_536]);
    loop {
        let n = socket.recv(&mut buffer).expect("the server answers");
        if value(&buffer[..n], "call-id") == Some(format!("ping{number}").as_bytes()) {
            assert_eq!(status(&buffer[..n]), Some(200));
            return answers;
        }
        answers.push(buffer[..n].to_vec());
    }
}

fn register_over(socket: &UdpSocket, port: u16) {
    let local = socket.local_addr().unwrap();
    let request = format!(
        "REGISTER sip:127.0.0.1:{port} SIP/2.0\r\nVia: SIP/2.0/UDP {local};rport;branch=z9hG4bKlast\r\n\
         Max-Forwards: 70\r\nFrom: <sip:alice@example.com>;tag=1\r\nTo: <sip:alice@example.com>\r\nCall-ID: last\r\n\
         CSeq: 1 REGISTER\r\nContact: <sip:alice@{local}>\r\nContent-Length: 0\r\n\r\n"
    );
    let mut buffer = [0; 65_536];
    socket.send(request.as_bytes()).unwrap();
    let n = socket.recv(&mut buffer).unwrap();
    assert_eq!(status(&buffer[..n]), Some(401));
    let proven = with_credentials(request.as_bytes(), &buffer[..n], "alice", support::PASSWORD);
    socket.send(&proven).unwrap();
    let n = socket.recv(&mut buffer).unwrap();
    assert_eq!(status(&buffer[..n]), Some(200), "{}", buffer[..n].escape_ascii());
}

const PATIENCE: Duration = Duration::from_secs(20);

/// A running program in a directory of its own, which goes with it.
struct Daemon {
    child: Child,
    directory: PathBuf,
    sip: u16,
}

impl Daemon {
    fn start(domain: &str, people: &[&str]) -> Self {
        let directory = std::env::temp_dir().join(format!("pcsd-torture-{}", std::process::id()));
        let _ = fs::remove_dir_all(&directory);
        fs::create_dir_all(&directory).unwrap();
        // A port that is free both ways, and with luck still is when the server opens it.
        let sip = loop {
            let port = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            if TcpListener::bind(("127.0.0.1", port)).is_ok() {
                break port;
            }
        };
        let mut text = format!(
            "config pcsd 'main'\n\toption domain '{domain}'\n\toption socket '{}'\n\tlist unlimited '127.0.0.1'\n\
             \tlist listen 'udp:127.0.0.1:{sip}'\n\tlist listen 'tcp:127.0.0.1:{sip}'\n",
            directory.join("control").display()
        );
        for id in people {
            text.push_str(&format!("config person '{id}'\n\toption password '{}'\n", support::PASSWORD));
        }
        fs::write(directory.join("pcsd"), text).unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_pcsd"))
            .args(["run", "--config"])
            .arg(directory.join("pcsd"))
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
        assert!(log.any(|line| line.contains("started")), "the server ended");
        // Somebody has to read on, or the server stalls.
        std::thread::spawn(move || log.for_each(drop));
        Self { child, directory, sip }
    }

    fn pcsctl(&self, word: &str) -> String {
        let program = self.directory.join("pcsctl");
        let _ = symlink(env!("CARGO_BIN_EXE_pcsd"), &program);
        let output = Command::new(&program).arg("--socket").arg(self.directory.join("control")).arg(word).output();
        let output = output.unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.directory);
    }
}
