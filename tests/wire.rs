//! The SIP reader over whole messages: the torture tests of RFC 4475 and RFC 5118, our own of each kind, and mutations of
//! both.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use pcsd::base::text::Writer;
use pcsd::wire::sip::framer::{self, Frame};
use pcsd::wire::sip::response::{Head, write_head};
use pcsd::wire::sip::{Contacts, Message, Method, Name, Uri, fuzz};

/// What a message is found to be.
#[derive(PartialEq, Eq, Debug)]
enum Verdict {
    /// No fault.
    Accepted,
    /// A message that is answered with this status, or discarded if it is a response.
    Fault(u16),
    /// No message.
    Rejected,
}
use Verdict::{Accepted, Fault, Rejected};

fn verdict(bytes: &[u8]) -> Verdict {
    match Message::parse(bytes) {
        Err(_) => Rejected,
        Ok(message) => message.fault().map_or(Accepted, |fault| Fault(fault.status)),
    }
}

fn torture_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/sip/torture")
}

/// The torture set: name, whether it must be accepted (`None`: either), bytes. Empty when it is not there.
fn torture() -> Vec<(String, Option<bool>, Vec<u8>)> {
    let folder = torture_folder();
    let Ok(index) = fs::read_to_string(folder.join("index.tsv")) else {
        println!("skipped: the torture set is not at {}", folder.display());
        return Vec::new();
    };
    let rows = index.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    rows.map(|row| {
        let columns = row.split('\t').collect::<Vec<_>>();
        let accept = match columns[4] {
            "accept" => Some(true),
            "reject" => Some(false),
            "either" => None,
            other => panic!("{row}: {other}"),
        };
        let bytes = fs::read(folder.join(columns[0])).unwrap_or_else(|error| panic!("{}: {error}", columns[0]));
        (columns[0].to_string(), accept, bytes)
    })
    .collect()
}

/// One message of the torture set, `None` when the set is not there.
fn tortured(name: &str) -> Option<Vec<u8>> {
    fs::read(torture_folder().join(name)).ok()
}

fn own(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/sip").join(format!("{name}.sip"));
    fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn torture_set_is_accepted_and_rejected_as_listed() {
    for (name, accept, bytes) in torture() {
        let found = verdict(&bytes);
        if let Some(accept) = accept {
            assert_eq!(found == Accepted, accept, "{name}: {found:?}");
        }
    }
}

#[test]
fn torture_set_where_there_is_a_choice() {
    for (name, expected) in [
        ("ltgtruri", Fault(400)),
        ("lwsruri", Fault(400)),
        ("lwsstart", Fault(400)),
        ("trws", Fault(400)),
        ("escruri", Fault(400)),
        ("mismatch01", Fault(400)),
        ("mismatch02", Fault(400)),
        ("badvers", Fault(505)),
        ("insuf", Fault(400)),
        ("multi01", Fault(400)),
        ("mcl01", Fault(400)),
        ("baddate", Accepted),
        ("baddn", Accepted),
        ("badaspec", Accepted),
        ("regbadct", Accepted),
        ("bigcode", Fault(400)),
        ("scalar02", Fault(400)),
    ] {
        if let Some(bytes) = tortured(&format!("rfc4475/{name}.dat")) {
            assert_eq!(verdict(&bytes), expected, "{name}");
        }
    }
    if let Some(bytes) = tortured("rfc4475/regbadct.dat") {
        assert_eq!(Message::parse(&bytes).unwrap().contacts().unwrap_err().status, 400);
    }
}

#[test]
fn torture_set_is_read_right() {
    if let Some(bytes) = tortured("rfc4475/wsinv.dat") {
        let message = Message::parse(&bytes).unwrap();
        let essentials = message.essentials().unwrap();
        assert_eq!((essentials.max_forwards, essentials.cseq.number), (Some(68), 9));
        assert_eq!((essentials.to.tag(), essentials.from.tag()), (Some(&b"1918181833n"[..]), Some(&b"98asjd8"[..])));
        assert_eq!(essentials.via.branch(), Some(&b"390skdjuw"[..]));
        assert_eq!(message.values(Name::Via).count(), 3);
        assert_eq!((message.body().len(), message.field(Name::Subject).unwrap().value), (150, &b""[..]));
        let Ok(Contacts::List(contacts)) = message.contacts() else { panic!("contacts") };
        assert_eq!(contacts.iter().next().unwrap().q(), Ok(Some(330)));
    }
    if let Some(bytes) = tortured("rfc4475/esc01.dat") {
        let message = Message::parse(&bytes).unwrap();
        let Ok(Uri::Sip(uri)) = Uri::parse(message.request_uri().unwrap()) else { panic!("URI") };
        assert_eq!((uri.user.unwrap(), uri.host_raw), (&b"sips%3Auser%40example.com"[..], &b"example.net"[..]));
    }
    if let Some(bytes) = tortured("rfc4475/esc02.dat") {
        let message = Message::parse(&bytes).unwrap();
        assert_eq!(message.method(), Some(Method::Other(b"RE%47IST%45R")));
        assert_eq!(message.fields_named(Name::Contact).count(), 2);
    }
    for (name, len) in [("dblreq", 0), ("mpart01", 553)] {
        if let Some(bytes) = tortured(&format!("rfc4475/{name}.dat")) {
            assert_eq!(Message::parse(&bytes).unwrap().body().len(), len, "{name}");
        }
    }
    if let Some(bytes) = tortured("rfc4475/longreq.dat") {
        assert_eq!(Message::parse(&bytes).unwrap().values(Name::Via).count(), 34);
    }
    for (name, port) in [("port-ambiguous", None), ("port-unambiguous", Some(5070))] {
        if let Some(bytes) = tortured(&format!("rfc5118/{name}.dat")) {
            let message = Message::parse(&bytes).unwrap();
            let uri = Uri::parse(message.request_uri().unwrap()).unwrap();
            assert_eq!(uri.sip().unwrap().port, port, "{name}");
        }
    }
    for name in ["via-received-param-with-delim", "via-received-param-no-delim"] {
        if let Some(bytes) = tortured(&format!("rfc5118/{name}.dat")) {
            let message = Message::parse(&bytes).unwrap();
            assert_eq!(message.essentials().unwrap().via.received(), "2001:db8::9:255".parse().ok(), "{name}");
        }
    }
}

const OWN: &[(&str, Verdict)] = &[
    ("folded", Accepted),
    ("anymethod", Accepted),
    ("escapes", Accepted),
    ("nulescape", Accepted),
    ("surplus", Accepted),
    ("binary", Accepted),
    ("utf8reason", Accepted),
    ("noreason", Accepted),
    ("v6", Accepted),
    ("oldstyle", Accepted),
    ("schemes", Accepted),
    ("lfonly", Accepted),
    ("badcontact", Accepted),
    ("starplus", Accepted),
    ("emptyvia", Fault(400)),
    ("shortbody", Fault(400)),
    ("minuslength", Fault(400)),
    ("twolengths", Fault(400)),
    ("hugecseq", Fault(400)),
    ("manyhops", Fault(400)),
    ("openquote", Fault(400)),
    ("bracketed", Fault(400)),
    ("spaced", Fault(400)),
    ("othermethod", Fault(400)),
    ("twofroms", Fault(400)),
    ("nocallid", Fault(400)),
    ("barecr", Fault(400)),
    ("version3", Fault(505)),
    ("barev6", Fault(400)),
    ("urihead", Fault(400)),
    ("code1000", Fault(400)),
    ("notsip", Rejected),
];

#[test]
fn own_messages() {
    for (name, expected) in OWN {
        assert_eq!(verdict(&own(name)), *expected, "{name}");
    }
    for name in ["badcontact", "starplus"] {
        assert_eq!(Message::parse(&own(name)).unwrap().contacts().unwrap_err().status, 400, "{name}");
    }
}

#[test]
fn own_messages_are_read_right() {
    let bytes = own("folded");
    let message = Message::parse(&bytes).unwrap();
    let essentials = message.essentials().unwrap();
    assert_eq!((essentials.via.host_raw, essentials.via.branch()), (&b"x.example"[..], Some(&b"z9hG4bKfold"[..])));
    assert_eq!((essentials.from.tag(), essentials.cseq.number), (Some(&b"v2"[..]), 42));
    assert_eq!(essentials.from.display, Some(&br#""Vera \\ \"the\" V""#[..]));
    assert_eq!(message.other(b"x-odd").unwrap().value, b",;,\"");
    let Ok(Contacts::List(contacts)) = message.contacts() else { panic!("contacts") };
    assert_eq!(contacts.iter().map(|contact| contact.q().unwrap()).collect::<Vec<_>>(), [None, Some(500)]);

    let bytes = own("escapes");
    let message = Message::parse(&bytes).unwrap();
    let uri = Uri::parse(message.request_uri().unwrap()).unwrap();
    let uri = uri.sip().unwrap();
    assert_eq!((uri.user, uri.password()), (Some(&b"olof%3Bx%40y"[..]), Some(&b"s%2fw"[..])));
    assert!(uri.is_loose_router() && uri.params.value(b"name") == Some(b"%76"));

    let bytes = own("binary");
    assert!(Message::parse(&bytes).unwrap().body().iter().copied().eq(0..=255));
    assert_eq!(Message::parse(&own("surplus")).unwrap().body(), b"");
}

#[test]
fn streams_are_cut_into_messages_wherever_they_are_cut() {
    let messages =
        OWN.iter().filter(|(name, expected)| *expected == Accepted && *name != "surplus").map(|(name, _)| own(name));
    let messages = messages.collect::<Vec<_>>();
    let mut stream = Vec::new();
    for (i, message) in messages.iter().enumerate() {
        stream.extend_from_slice([&b""[..], b"\r\n\r\n", b"\r\n", b"\n"][i % 4]);
        stream.extend_from_slice(message);
    }
    for chunk in [1, 2, 3, 7, 100, 1460, stream.len()] {
        assert_eq!(cut(&stream, chunk), messages, "chunks of {chunk}");
    }
}

/// The messages of a stream that arrives in chunks.
fn cut(stream: &[u8], chunk: usize) -> Vec<Vec<u8>> {
    let (mut window, mut messages) = (Vec::new(), Vec::new());
    for bytes in stream.chunks(chunk) {
        window.extend_from_slice(bytes);
        loop {
            match framer::next(&window, 65_535) {
                Frame::Incomplete { .. } => break,
                Frame::Ping { len } | Frame::Blank { len } => drop(window.drain(..len)),
                Frame::Message { len } => messages.push(window.drain(..len).collect()),
                Frame::Broken(fault) => panic!("{fault:?}"),
            }
        }
    }
    assert!(window.is_empty());
    messages
}

/// Every reader is linear in what it reads: messages as large as a datagram, made of what is slow to read if anything is.
#[test]
fn large_hostile_messages_cost_little() {
    let head = "REGISTER sip:h SIP/2.0\r\nVia: SIP/2.0/UDP h\r\nFrom: <sip:a@h>;tag=1\r\nTo: <sip:a@h>\r\nCSeq: 1 REGISTER\r\n";
    for piece in [
        "(", "()", "((),", "\"", "\\", "<", "<>", ",", ";", ";a", ";a=\"", "%", "%4", "[", "@", ":", " ", "\r\n ",
        "\r", "0", "a,", "\0",
    ] {
        for before in [
            "i: 1\r\nm: ",
            "i: 1\r\nm: <sip:a",
            "i: 1\r\nm: \"",
            "i: ",
            "i: 1\r\nv: ",
            "i: 1\r\nl: ",
            "i: 1\r\nx: y\r\n",
        ] {
            let mut bytes = format!("{head}{before}").into_bytes();
            bytes.extend(piece.as_bytes().iter().cycle().take(65_000 - bytes.len()));
            bytes.extend_from_slice(b"\r\n\r\n");
            // The machine may be busy with something else: the best of a few tries counts.
            let spent = (0..5).map(|_| time_to_read(&bytes)).find(|spent| *spent < Duration::from_millis(100));
            assert!(spent.is_some(), "{piece:?} after {before:?}: more than 100 ms, five times");
        }
    }
}

/// How long it takes to frame a message, to read it, and to begin its answer.
fn time_to_read(bytes: &[u8]) -> Duration {
    let begin = Instant::now();
    let frame = framer::next(bytes, 65_535);
    let message = Message::parse(bytes).unwrap();
    let count = message.fields().map(|field| message.values(field.name).count()).max();
    let contacts = message.contacts().is_ok();
    let mut buffer = vec![0; 70_000];
    let mut out = Writer::new(&mut buffer);
    let source = Some(([192, 0, 2, 1], 5060).into());
    let head = Head { status: 400, reason: "Bad Request", to_tag: Some(b"t"), source, record_route: true };
    write_head(&message, &head, &mut out);
    let spent = begin.elapsed();
    std::hint::black_box((frame, count, contacts));
    spent
}

/// Seeded, so that a failure comes again.
struct Xorshift(u64);

impl Xorshift {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound.max(1) as u64) as usize
    }
}

/// Changes a few places of `bytes`: what readers stumble over, and pieces of another message.
fn mutate(bytes: &mut Vec<u8>, other: &[u8], random: &mut Xorshift) {
    for _ in 0..=random.below(2) {
        let at = random.below(bytes.len());
        match random.below(7) {
            0 if !bytes.is_empty() => bytes[at] = random.next() as u8,
            1 if !bytes.is_empty() => bytes[at] = PIECES.concat()[random.below(PIECES.concat().len())],
            2 => drop(bytes.splice(at..at, PIECES[random.below(PIECES.len())].iter().copied())),
            3 => {
                let end = (at + random.below(20)).min(bytes.len());
                bytes.drain(at..end);
            }
            4 => {
                let from = random.below(other.len());
                let end = (from + random.below(60)).min(other.len());
                bytes.splice(at..at, other[from..end].iter().copied());
            }
            5 => bytes.truncate(at.max(1)),
            _ => {
                let end = (at + random.below(40)).min(bytes.len());
                let piece = bytes[at..end].to_vec();
                bytes.splice(at..at, piece);
            }
        }
    }
}

const PIECES: [&[u8]; 24] = [
    b"\r\n",
    b"\r",
    b"\n",
    b"\r\n ",
    b"\r\n\r\n",
    b"\"",
    b"\\",
    b"<",
    b">",
    b",",
    b";",
    b":",
    b"=",
    b"%",
    b"%00",
    b"(",
    b")",
    b"[",
    b"]",
    b"@",
    b"?",
    b"99999999999999999999",
    b"-1",
    b"\0\xff",
];

#[test]
fn mutations() {
    let mut seeds = torture().into_iter().map(|(_, _, bytes)| bytes).collect::<Vec<_>>();
    seeds.extend(OWN.iter().map(|(name, _)| own(name)));
    let mut random = Xorshift(0x5eed_cafe_f00d_0001);
    seeds.iter().for_each(|seed| fuzz(seed));
    let mut sane = 0;
    for round in 0..200_000 {
        let state = random.0;
        let mut bytes = seeds[random.below(seeds.len())].clone();
        let other = random.below(seeds.len());
        mutate(&mut bytes, &seeds[other], &mut random);
        sane += usize::from(verdict(&bytes) == Accepted);
        if std::panic::catch_unwind(|| fuzz(&bytes)).is_err() {
            panic!("round {round}, state {state:#x}: {}", bytes.escape_ascii());
        }
    }
    // Mutations that are all refused at once would prove little.
    assert!(sane > 20_000, "only {sane} were accepted");
    println!("{sane} of 200000 mutations were accepted");
}
