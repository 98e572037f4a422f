//! A server in one process with the test, in virtual time: what goes in and what comes out as literal bytes, digest
//! credentials, and phones that answer. Shared by the tests that throw messages at the whole core.

#![allow(dead_code, reason = "each test uses a part of it")]

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::thread;
use std::{fmt, fs};

use md5::Md5;
use pcsd::base::limits::BINDINGS_PER_PERSON;
use pcsd::base::net::{LocalAddress, NOWHERE, PeerIdentity, Port, PortSet, Stream, Transport};
use pcsd::base::time::{Instant, UnixTime};
use pcsd::config::Model;
use pcsd::config::model::{Device, Listen, LogLevel, Person, Secret, Takes};
use pcsd::server::Server;
use pcsd::server::contract::{Credits, Input, Output, Reason, Seed};
use pcsd::wire::sip::framer::{self, Frame};
use sha2::{Digest, Sha256};

/// The password of every login.
pub const PASSWORD: &str = "secret";
/// Where the home of these tests always listens.
pub const LISTEN: &str = "203.0.113.1:5060";
/// More outputs than that without an end are taken for an endless loop.
const ENDLESS: usize = 20_000;

/// What the server did.
#[derive(Clone, PartialEq, Eq)]
pub enum Sent {
    /// A datagram: from our socket, to a peer.
    Datagram { local: SocketAddr, to: SocketAddr, bytes: Vec<u8> },
    /// Bytes on a stream: a message, where that is what there is.
    Stream { stream: Stream, bytes: Vec<u8> },
    /// A connection was asked for, and is up.
    Connected { stream: Stream, to: SocketAddr },
    /// A stream was closed by the server.
    Closed(Stream),
}

impl fmt::Debug for Sent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Datagram { local, to, bytes } => write!(f, "{local} to {to}: {}", bytes.escape_ascii()),
            Self::Stream { stream, bytes } => write!(f, "stream {}: {}", stream.index, bytes.escape_ascii()),
            Self::Connected { stream, to } => write!(f, "stream {} opened to {to}", stream.index),
            Self::Closed(stream) => write!(f, "stream {} closed", stream.index),
        }
    }
}

impl Sent {
    /// The bytes that went out.
    pub fn bytes(&self) -> &[u8] {
        match self {
            Self::Datagram { bytes, .. } | Self::Stream { bytes, .. } => bytes,
            Self::Connected { .. } | Self::Closed(_) => b"",
        }
    }

    /// Whether it is a datagram to this peer.
    pub fn is_to(&self, peer: SocketAddr) -> bool {
        matches!(self, Self::Datagram { to, .. } if *to == peer)
    }

    /// Whether it is on this stream.
    pub fn is_on(&self, peer: Stream) -> bool {
        matches!(self, Self::Stream { stream, .. } if *stream == peer)
    }
}

/// The way a peer sends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Way {
    /// From an address to one of our sockets.
    Datagram { from: SocketAddr, local: SocketAddr },
    /// On a stream that the peer has opened.
    Stream(Stream),
}

/// The server and its world.
pub struct Home {
    pub server: Box<Server>,
    pub now: Instant,
    /// Everything sent and not yet taken with [`Home::take`].
    pub sent: Vec<Sent>,
    /// Which sockets can be written.
    pub credits: PortSet,
    /// How many bytes a stream takes at once.
    pub stream_room: usize,
    /// Whether peers take the connections that the server opens.
    pub takes_connections: bool,
    /// Streams that did not take all they were given.
    stalled: Vec<Stream>,
    ports: Vec<(Port, Transport, SocketAddr)>,
    buffer: Vec<u8>,
    next_call: u32,
}

/// The model of a home: people by name, each with a login of that name, and a device `deviceN` with a login of its own
/// for person number N, whose address may have characters that a username in UCI can't.
pub fn model(domain: &str, people: &[&str], listen: &[&str]) -> Box<Model> {
    let mut model = Box::new(Model::new());
    model.main.domain = domain.try_into().unwrap();
    model.main.log_level = LogLevel::Error;
    model.main.bindings_per_person = BINDINGS_PER_PERSON as u16;
    for address in listen {
        for transport in [Transport::Udp, Transport::Tcp] {
            model.main.listen.push(Listen { transport, address: address.parse().unwrap() }).unwrap();
        }
    }
    for (index, id) in people.iter().enumerate() {
        let secret = Secret::from_password(id.as_bytes(), domain.as_bytes(), PASSWORD.as_bytes());
        let id = (*id).try_into().unwrap();
        let person = Person { name: "x".try_into().unwrap(), secret, ..Person::new(id) };
        model.people.push(person).ok().unwrap();
        let login = format!("device{index}");
        let secret = Secret::from_password(login.as_bytes(), domain.as_bytes(), PASSWORD.as_bytes());
        let id = login.as_str().try_into().unwrap();
        let device = Device { id, person: index as u16, takes: Takes::ALL, secret };
        model.devices.push(device).ok().unwrap();
    }
    model
}

impl Home {
    /// A server with that configuration, started and listening.
    pub fn new(model: &Model) -> Self {
        // The tables are larger than a test's stack.
        let big = thread::Builder::new().stack_size(64 << 20);
        let server = big.spawn(|| Box::new(Server::new())).unwrap().join().unwrap();
        let now = Instant::from_millis(1_000_000);
        let mut home = Self {
            server,
            now,
            sent: Vec::new(),
            credits: PortSet::ALL,
            stream_room: usize::MAX,
            takes_connections: true,
            stalled: Vec::new(),
            ports: Vec::new(),
            buffer: vec![0; 65_536],
            next_call: 0,
        };
        home.server.seed(now, &Seed { key: *b"a key for a test", lasting: *b"one that remains", boot: 1 });
        let own = model.main.listen.iter().map(|listen| LocalAddress {
            ip: listen.address.ip(),
            prefix: if listen.address.is_ipv4() { 24 } else { 64 },
            default_route: true,
        });
        let mut addresses: Vec<LocalAddress> = Vec::new();
        own.for_each(|own| {
            if !addresses.contains(&own) {
                addresses.push(own);
            }
        });
        home.input(Input::Configuration(model));
        home.input(Input::Addresses(&addresses));
        home.input(Input::WallClock(UnixTime(1_700_000_000)));
        assert_eq!(home.ports.len(), model.main.listen.len());
        home
    }

    /// Hands one input in and collects what comes out; returns how many outputs there were.
    pub fn input(&mut self, input: Input<'_>) -> usize {
        self.server.handle(self.now, input);
        self.drain()
    }

    fn drain(&mut self) -> usize {
        let mut count = 0;
        std::mem::take(&mut self.stalled).into_iter().for_each(|stream| self.flush(stream));
        while let Some(output) =
            self.server.poll(self.now, Credits { ports: self.credits, storage: true }, &mut self.buffer)
        {
            count += 1;
            assert!(count < ENDLESS, "no end of outputs: {output:?}");
            match output {
                Output::Datagram { port, to, len } => {
                    let local = self.ports.iter().find(|known| known.0 == port).expect("an open port").2;
                    self.sent.push(Sent::Datagram { local, to, bytes: self.buffer[..len].to_vec() });
                }
                Output::Connect { stream, .. } | Output::ConnectLocal { stream } if !self.takes_connections => {
                    self.server.handle(self.now, Input::Closed(stream, Reason::NotConnected));
                }
                Output::Connect { stream, to, .. } => {
                    self.sent.push(Sent::Connected { stream, to });
                    let local = LISTEN.parse().unwrap();
                    self.server.handle(self.now, Input::Connected { stream, local });
                }
                Output::ConnectLocal { stream } => {
                    self.sent.push(Sent::Connected { stream, to: NOWHERE });
                    self.server.handle(self.now, Input::Connected { stream, local: NOWHERE });
                }
                Output::StartTls(stream) => {
                    let identity = PeerIdentity::default();
                    self.server.handle(self.now, Input::Secured { stream, identity: &identity });
                }
                Output::Flush(stream) => self.flush(stream),
                Output::Close(stream) => {
                    self.flush(stream);
                    self.sent.push(Sent::Closed(stream));
                    self.server.handle(self.now, Input::Closed(stream, Reason::Asked));
                }
                Output::OpenPort { port, transport, address } => {
                    self.ports.push((port, transport, address));
                    self.server.handle(self.now, Input::Opened(port, Ok(address)));
                }
                Output::Store { .. }
                | Output::Forget { .. }
                | Output::Load { .. }
                | Output::Read { .. }
                | Output::Amend { .. }
                | Output::Append { .. } => panic!("there is no storage"),
                Output::ClosePort(port) => self.ports.retain(|known| known.0 != port),
            }
        }
        count
    }

    fn flush(&mut self, stream: Stream) {
        let window = self.server.transmit_window(stream);
        let bytes = window[..window.len().min(self.stream_room)].to_vec();
        if bytes.len() < window.len() && !self.stalled.contains(&stream) {
            self.stalled.push(stream);
        }
        if bytes.is_empty() {
            return;
        }
        self.server.transmitted(self.now, stream, bytes.len());
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            let len = match framer::next(rest, 65_535) {
                Frame::Message { len } => len,
                _ => rest.len(),
            };
            self.sent.push(Sent::Stream { stream, bytes: rest[..len].to_vec() });
            rest = &rest[len..];
        }
    }

    /// A peer opens a connection.
    pub fn connect(&mut self, from: SocketAddr, local: SocketAddr) -> Option<Stream> {
        let port = self.ports.iter().find(|known| (known.1, known.2) == (Transport::Tcp, local)).expect("a listener").0;
        let stream = self.server.vacant_stream()?;
        self.input(Input::Accepted { stream, listener: port, from });
        Some(stream)
    }

    /// A peer sends bytes; returns how many outputs that led to.
    pub fn send(&mut self, way: Way, bytes: &[u8]) -> usize {
        match way {
            Way::Datagram { from, local } => {
                let is_it = |known: &&(Port, Transport, SocketAddr)| (known.1, known.2) == (Transport::Udp, local);
                let port = self.ports.iter().find(is_it).expect("an open socket").0;
                self.input(Input::Datagram { port, from, bytes })
            }
            Way::Stream(stream) => {
                let (mut rest, mut count) = (bytes, 0);
                while !rest.is_empty() {
                    let window = self.server.receive_window(stream);
                    let n = window.len().min(rest.len());
                    if n == 0 {
                        break;
                    }
                    window[..n].copy_from_slice(&rest[..n]);
                    rest = &rest[n..];
                    count += self.input(Input::Received(stream, n));
                }
                count
            }
        }
    }

    /// The socket that was opened last, when something went from it to this address: that of a lookup.
    pub fn port_to(&self, to: SocketAddr) -> Option<Port> {
        let is_sent = self.sent.iter().any(|sent| sent.is_to(to));
        self.ports.last().filter(|_| is_sent).map(|known| known.0)
    }

    /// A peer goes away.
    pub fn hang_up(&mut self, stream: Stream, reason: Reason) {
        self.input(Input::Closed(stream, reason));
    }

    /// What was sent since the last time.
    pub fn take(&mut self) -> Vec<Sent> {
        std::mem::take(&mut self.sent)
    }

    /// Lets time pass, stopping wherever something is due.
    pub fn pass(&mut self, ms: u64) {
        let end = self.now.plus(ms);
        while let Some(at) = self.server.poll_timeout().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            self.input(Input::Timeout);
        }
        self.now = end;
        self.input(Input::Timeout);
    }

    /// Lets so much time pass that everything but registrations is over, and asserts that it is.
    pub fn rest(&mut self, what: &str) {
        self.pass(700_000);
        assert!(self.server.is_at_rest(), "{what}: not at rest: {:?}", self.server.status(self.now));
        self.sent.clear();
    }

    /// A request that has not been made before.
    pub fn call_id(&mut self) -> String {
        self.next_call += 1;
        format!("call{}", self.next_call)
    }

    /// Registers `contact` for person number `person` with the login `deviceN`, from `way`.
    pub fn register(&mut self, way: Way, domain: &str, person: (usize, &str), contact: &str) {
        let call = self.call_id();
        let text = format!(
            "REGISTER sip:{domain} SIP/2.0\r\nVia: SIP/2.0/UDP 203.0.113.50;branch=z9hG4bK{call}\r\nMax-Forwards: 70\r\n\
             From: <sip:{0}@{domain}>;tag={call}\r\nTo: <sip:{0}@{domain}>\r\nCall-ID: {call}\r\nCSeq: 1 REGISTER\r\n\
             Contact: <{contact}>\r\nAllow: {ALLOW}\r\nContent-Length: 0\r\n\r\n",
            person.1
        );
        let answer = self.send_proven(way, text.as_bytes(), &format!("device{}", person.0));
        assert_eq!(status(&answer), Some(200), "{}", answer.escape_ascii());
        self.sent.clear();
    }

    /// Sends a request, answers the challenge to it as `login`, and gives the answer to that; the first answer when it
    /// is no challenge, and nothing when there was none. Other things sent stay in `sent`.
    pub fn send_proven(&mut self, way: Way, request: &[u8], login: &str) -> Vec<u8> {
        let answer = self.exchange(way, request);
        match status(&answer) {
            Some(401 | 407) => {
                let proven = with_credentials(request, &answer, login, PASSWORD);
                self.exchange(way, &proven)
            }
            _ => answer,
        }
    }

    /// Sends bytes and takes the first answer to the sender, if there is one at once.
    pub fn exchange(&mut self, way: Way, bytes: &[u8]) -> Vec<u8> {
        let mark = self.sent.len();
        self.send(way, bytes);
        let is_back = |sent: &Sent| match way {
            Way::Datagram { from, .. } => {
                matches!(sent, Sent::Datagram { to, .. } if to.ip() == from.ip()) && sent.bytes().starts_with(b"SIP/")
            }
            Way::Stream(stream) => sent.is_on(stream) && sent.bytes().starts_with(b"SIP/"),
        };
        match self.sent[mark..].iter().position(is_back) {
            Some(at) => self.sent.remove(mark + at).bytes().to_vec(),
            None => Vec::new(),
        }
    }
}

/// The status of an answer; `None` of anything else.
pub fn status(bytes: &[u8]) -> Option<u16> {
    let digits = bytes.strip_prefix(b"SIP/2.0 ")?.get(..3)?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// A message as its first line, its header fields as they stand (folds and line ends included), and its body.
pub struct Parts<'b> {
    pub first: &'b [u8],
    pub fields: Vec<&'b [u8]>,
    pub body: &'b [u8],
}

/// Splits a message by nothing but its line ends.
pub fn parts(bytes: &[u8]) -> Parts<'_> {
    let line_end = |from: usize| bytes[from..].iter().position(|byte| *byte == b'\n').map(|at| from + at + 1);
    let first = line_end(0).unwrap_or(bytes.len());
    let (mut fields, mut at) = (Vec::new(), first);
    while let Some(end) = line_end(at) {
        if matches!(&bytes[at..end], b"\r\n" | b"\n") {
            return Parts { first: &bytes[..first], fields, body: &bytes[end..] };
        }
        let mut end = end;
        while matches!(bytes.get(end), Some(b' ' | b'\t')) {
            end = line_end(end).unwrap_or(bytes.len());
        }
        fields.push(&bytes[at..end]);
        at = end;
    }
    Parts { first: &bytes[..first], fields, body: b"" }
}

/// The full name of a field in lower case.
pub fn name(field: &[u8]) -> String {
    let colon = field.iter().position(|byte| *byte == b':').unwrap_or(field.len());
    let name = String::from_utf8_lossy(&field[..colon]).trim().to_ascii_lowercase();
    match name.as_str() {
        "v" => "via".into(),
        "f" => "from".into(),
        "t" => "to".into(),
        "i" => "call-id".into(),
        "l" => "content-length".into(),
        "m" => "contact".into(),
        _ => name,
    }
}

/// A field's value, white space around it aside.
pub fn value<'b>(bytes: &'b [u8], wanted: &str) -> Option<&'b [u8]> {
    let parts = parts(bytes);
    let field = parts.fields.iter().find(|field| name(field) == wanted)?;
    let colon = field.iter().position(|byte| *byte == b':')?;
    Some(field[colon + 1..].trim_ascii())
}

/// All fields of a name, whole.
pub fn all<'b>(bytes: &'b [u8], wanted: &str) -> Vec<&'b [u8]> {
    parts(bytes).fields.into_iter().filter(|field| name(field) == wanted).collect()
}

/// The answer of a phone to a request.
pub fn answer(request: &[u8], status: u16, more: &str) -> Vec<u8> {
    let mut bytes = format!("SIP/2.0 {status} So\r\n").into_bytes();
    for field in parts(request).fields {
        match name(field).as_str() {
            "via" | "from" | "call-id" | "cseq" | "record-route" => bytes.extend_from_slice(field),
            "to" if find(field, b"tag").is_some() => bytes.extend_from_slice(field),
            "to" => {
                bytes.extend_from_slice(field.trim_ascii_end());
                bytes.extend_from_slice(b";tag=phone\r\n");
            }
            _ => {}
        }
    }
    bytes.extend_from_slice(format!("{more}Content-Length: 0\r\n\r\n").as_bytes());
    bytes
}

/// The request with one more field after its first line.
pub fn with_field(request: &[u8], field: &str) -> Vec<u8> {
    let at = parts(request).first.len();
    [&request[..at], field.as_bytes(), b"\r\n", &request[at..]].concat()
}

/// The request with credentials that answer a challenge, by SHA-256.
pub fn with_credentials(request: &[u8], challenge: &[u8], login: &str, password: &str) -> Vec<u8> {
    let is_proxy = status(challenge) == Some(407);
    let wanted = if is_proxy { "proxy-authenticate" } else { "www-authenticate" };
    let text = String::from_utf8_lossy(value(challenge, wanted).expect("a challenge")).into_owned();
    let part = |key: &str| text.split(&format!("{key}=\"")).nth(1).and_then(|rest| rest.split('"').next()).unwrap();
    let first = parts(request).first;
    let mut words = first.split(|byte| *byte == b' ');
    let (method, uri) = (words.next().unwrap(), words.next().unwrap());
    let (realm, nonce) = (part("realm"), part("nonce"));
    let is_md5 = text.contains("algorithm=MD5");
    let hash = |parts: &[&[u8]]| {
        let bytes = parts.join(&b':');
        let digest = if is_md5 { Md5::digest(&bytes).to_vec() } else { Sha256::digest(&bytes).to_vec() };
        digest.iter().map(|byte| format!("{byte:02x}")).collect::<String>()
    };
    let ha1 = hash(&[login.as_bytes(), realm.as_bytes(), password.as_bytes()]);
    let ha2 = hash(&[method, uri]);
    let response = hash(&[ha1.as_bytes(), nonce.as_bytes(), b"00000001", b"cn", b"auth", ha2.as_bytes()]);
    let name = if is_proxy { "Proxy-Authorization" } else { "Authorization" };
    let algorithm = if is_md5 { "MD5" } else { "SHA-256" };
    with_field(
        request,
        &format!(
            "{name}: Digest username=\"{login}\", realm=\"{realm}\", nonce=\"{nonce}\", uri=\"{}\", qop=auth, \
             nc=00000001, cnonce=\"cn\", algorithm={algorithm}, response=\"{response}\"",
            String::from_utf8_lossy(uri)
        ),
    )
}

/// Where `part` is first in `bytes`.
pub fn find(bytes: &[u8], part: &[u8]) -> Option<usize> {
    bytes.windows(part.len()).position(|window| window == part)
}

/// `bytes` with the first `old` replaced.
pub fn replaced(bytes: &[u8], old: &[u8], new: &[u8]) -> Vec<u8> {
    let at = find(bytes, old).unwrap_or_else(|| panic!("no {} in {}", old.escape_ascii(), bytes.escape_ascii()));
    [&bytes[..at], new, &bytes[at + old.len()..]].concat()
}

/// What a device says it takes, so that nobody has to ask it.
pub const ALLOW: &str =
    "INVITE, ACK, BYE, CANCEL, OPTIONS, REGISTER, MESSAGE, SUBSCRIBE, NOTIFY, PUBLISH, INFO, PRACK, UPDATE, REFER";

/// A datagram from `from` to our usual address.
pub fn by_datagram(from: &str) -> Way {
    Way::Datagram { from: from.parse().unwrap(), local: LISTEN.parse().unwrap() }
}

/// A message of our own, from `tests/data/sip`.
pub fn own(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/sip").join(format!("{name}.sip"));
    fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The names of all messages of our own.
pub fn own_names() -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/sip");
    let mut names: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .filter_map(|entry| Some(entry.unwrap().path().file_stem()?.to_str()?.to_string()))
        .collect();
    names.sort();
    names
}

fn torture_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/sip/torture")
}

/// The names of the torture set, as `rfc4475/wsinv`. Empty, and a line printed, when it is not there.
pub fn torture_names() -> Vec<String> {
    let folder = torture_folder();
    let Ok(index) = fs::read_to_string(folder.join("index.tsv")) else {
        println!("skipped: the torture set is not at {}", folder.display());
        return Vec::new();
    };
    let rows = index.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    rows.map(|row| row.split('\t').next().unwrap().trim_end_matches(".dat").to_string()).collect()
}

/// A message of the torture set, by its name in [`torture_names`].
pub fn tortured(name: &str) -> Vec<u8> {
    let path = torture_folder().join(format!("{name}.dat"));
    fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
