//! No heap allocation in `Server` after start-up: a counting allocator watches while phones register, write, call and hang
//! up, and while garbage comes in, by datagrams and by a stream.
//!
//! The workload is made by hand and answered by hand, so that the test's own strings can be told from the server: only
//! within the server's calls are allocations counted.

use std::cell::Cell;
use std::net::SocketAddr;

use allocation_counter::measure;
use md5::{Digest, Md5};
use pcsd::base::limits::WATCHES;
use pcsd::base::net::{LocalAddress, Port, PortSet, Stream, Transport};
use pcsd::base::time::{Instant, UnixTime};
use pcsd::config::model::Model;
use pcsd::server::Server;
use pcsd::server::contract::{Credits, Input, Output, Reason, Seed};

thread_local! {
    static COUNT: Cell<u64> = const { Cell::new(0) };
}

/// Runs `work` with its allocations counted.
fn counted<T>(work: impl FnOnce() -> T) -> T {
    let mut result = None;
    let info = measure(|| result = Some(work()));
    COUNT.set(COUNT.get() + info.count_total);
    result.expect("the work was done")
}

#[test]
fn the_counter_counts() {
    let before = COUNT.get();
    let boxed = counted(|| Box::new([0_u8; 100]));
    assert_eq!((COUNT.get() - before, boxed.len()), (1, 100));
}

#[test]
fn the_server_allocates_nothing() {
    let mut home = Home::new();
    for round in 0..50 {
        home.register("alice", "wonderland", ALICE, round);
        home.register("bob", "builder", BOB, round);
        home.message(round);
        home.call(round);
        home.outside(round);
        home.garbage(round);
        home.stream(round);
        home.pass(40_000);
    }
    let status = home.server.status(home.now);
    assert!(status.counters.requests > 300 && status.counters.malformed > 100, "{status}");
    assert!(home.delivered >= 50 * 4, "{} requests were delivered", home.delivered);
    println!("{} requests, {} answers, no allocation", status.counters.requests, status.counters.responses);
    assert_eq!(COUNT.get(), 0, "allocations in the server");
}

#[test]
fn a_document_for_all_watchers_allocates_nothing() {
    let mut home = Home::new();
    let blocks = |home: &Home| home.server.status(home.now).blocks.map(|(bytes, used, _)| (bytes, used));
    let before = blocks(&home);
    for _ in 0..WATCHERS {
        let fields = "Event: presence\r\nAccept: application/pidf+xml\r\nExpires: 3600\r\n";
        let answer = home.prove(("bob", "builder", BOB), "SUBSCRIBE", "sip:alice@home.example", fields);
        assert!(answer.starts_with("SIP/2.0 200"), "{answer}");
    }
    assert_eq!(home.delivered, WATCHERS, "each is told at once");
    home.pass(40_000);
    // What the store keeps for each: one block of the smallest.
    for ((bytes, used), (_, used_before)) in blocks(&home).into_iter().zip(before) {
        assert_eq!(used - used_before, if bytes == 512 { WATCHERS } else { 0 }, "blocks of {bytes} bytes");
    }
    let mut etag = String::new();
    for round in 0..50 {
        home.note = format!("in the garden, {round}");
        home.heard = 0;
        let known = if etag.is_empty() { String::new() } else { format!("SIP-If-Match: {etag}\r\n") };
        let fields = format!("Event: presence\r\nExpires: 3600\r\n{known}Content-Type: application/pidf+xml\r\n");
        let body = format!(
            "<presence xmlns=\"urn:ietf:params:xml:ns:pidf\" entity=\"sip:alice@home.example\"><tuple id=\"t1\"><status>\
             <basic>open</basic></status><note>{}</note></tuple></presence>",
            home.note
        );
        let alice = ("alice", "wonderland", ALICE);
        let answer = home.prove_with(alice, "PUBLISH", "sip:alice@home.example", &fields, &body);
        assert!(answer.starts_with("SIP/2.0 200"), "round {round}: {answer}");
        etag = answer.lines().find_map(|line| line.strip_prefix("SIP-ETag: ")).expect("an entity-tag").into();
        assert_eq!(home.heard, WATCHERS, "round {round}: all are told in the same turn");
        home.pass(1_100);
        assert_eq!(home.heard, WATCHERS, "round {round}: and once");
    }
    println!("{} NOTIFYs, no allocation", home.delivered);
    assert_eq!(COUNT.get(), 0, "allocations in the server");
}

/// As many as a large family has, or as the board holds.
const WATCHERS: usize = if WATCHES < 64 { WATCHES } else { 64 };
const ALICE: &str = "192.168.1.10:5060";
const BOB: &str = "192.168.1.30:5060";
const CARL: &str = "192.168.1.66:5070";
const HOME: &str = "
config pcsd 'main'
    option domain 'home.example'
    list listen 'udp:192.168.1.1:5060'
    list listen 'tcp:192.168.1.1:5060'
    list unlimited '192.168.1.10'
    list unlimited '192.168.1.30'
    list unlimited '192.168.1.66'
config person 'alice'
    option password 'wonderland'
config person 'bob'
    option password 'builder'
";

struct Home {
    server: Box<Server>,
    now: Instant,
    buffer: Vec<u8>,
    udp: Port,
    tcp: Port,
    delivered: usize,
    /// How many of the requests delivered had this in their body.
    heard: usize,
    note: String,
    number: u32,
}

impl Home {
    fn new() -> Self {
        let mut model = Box::new(Model::new());
        assert_eq!(model.read(HOME.as_bytes(), &mut |fault| eprintln!("{fault}")), 0);
        let now = Instant::from_millis(1_000);
        let mut server = Box::new(Server::new());
        server.seed(now, &Seed { key: [7; 16], lasting: [8; 16], boot: 1 });
        let local = LocalAddress { ip: "192.168.1.1".parse().unwrap(), prefix: 24, default_route: true };
        let (udp, tcp, note) = (Port(0), Port(0), String::from("nothing yet"));
        let mut home = Self { server, now, buffer: vec![0; 70_000], udp, tcp, delivered: 0, heard: 0, note, number: 0 };
        home.input(Input::WallClock(UnixTime(1_700_000_000)));
        home.input(Input::Configuration(&model));
        home.input(Input::Addresses(&[local]));
        home
    }

    /// One turn: the input, and every output until there is none. Answers: what was sent, as text.
    fn input(&mut self, input: Input<'_>) -> Vec<(SocketAddr, String)> {
        // Time passes, or small boards could not tell the nonces of one moment apart.
        self.now = self.now.plus(5);
        let now = self.now;
        let mut sent = Vec::new();
        counted(|| self.server.handle(now, input));
        loop {
            let credits = Credits { ports: PortSet::ALL, storage: true };
            let Some(output) = counted(|| self.server.poll(now, credits, &mut self.buffer)) else { return sent };
            match output {
                Output::Datagram { to, len, .. } => {
                    sent.push((to, String::from_utf8_lossy(&self.buffer[..len]).into_owned()));
                }
                Output::OpenPort { port, transport, address } => {
                    match transport {
                        Transport::Udp => self.udp = port,
                        Transport::Tcp => self.tcp = port,
                        Transport::Tls => unreachable!("nothing asks for TLS here"),
                    }
                    counted(|| self.server.handle(now, Input::Opened(port, Ok(address))));
                }
                Output::Flush(stream) => {
                    let len = counted(|| self.server.transmit_window(stream).len());
                    counted(|| self.server.transmitted(now, stream, len));
                }
                Output::Close(stream) => counted(|| self.server.handle(now, Input::Closed(stream, Reason::Asked))),
                Output::Connect { stream, .. } | Output::ConnectLocal { stream } | Output::StartTls(stream) => {
                    counted(|| self.server.handle(now, Input::Closed(stream, Reason::NotConnected)));
                }
                Output::Store { .. }
                | Output::Forget { .. }
                | Output::Load { .. }
                | Output::Read { .. }
                | Output::Amend { .. }
                | Output::Append { .. } => panic!("there is no storage"),
                Output::ClosePort(_) => {}
            }
        }
    }

    /// A datagram comes in; devices answer what reaches them with 200, and so on until it is quiet. What went to `from`.
    fn datagram(&mut self, from: &str, text: &str) -> Vec<String> {
        let mut back = Vec::new();
        let from: SocketAddr = from.parse().unwrap();
        let mut waiting = vec![(from, text.to_string())];
        while let Some((source, text)) = waiting.pop() {
            let port = self.udp;
            for (to, sent) in self.input(Input::Datagram { port, from: source, bytes: text.as_bytes() }) {
                if to == from && sent.starts_with("SIP/2.0") {
                    back.push(sent);
                } else if !sent.starts_with("SIP/2.0") {
                    self.delivered += 1;
                    self.heard += usize::from(sent.contains(&self.note));
                    if !sent.starts_with("ACK") {
                        waiting.push((to, answer(&sent)));
                    }
                }
            }
        }
        back
    }

    fn pass(&mut self, ms: u64) {
        let end = self.now.plus(ms);
        while let Some(at) = self.server.poll_timeout().filter(|at| *at <= end) {
            self.now = at.max(self.now);
            self.input(Input::Timeout);
        }
        self.now = end;
    }

    /// Asks, takes the challenge up, asks again; the final answer.
    fn prove(&mut self, who: (&str, &str, &str), method: &str, uri: &str, fields: &str) -> String {
        self.prove_with(who, method, uri, fields, "")
    }

    fn prove_with(&mut self, who: (&str, &str, &str), method: &str, uri: &str, fields: &str, body: &str) -> String {
        let (user, password, address) = who;
        // A nonce is known by the millisecond of its issue: a test does not prove a hundred things in one.
        self.pass(20);
        self.number += 1;
        let number = self.number;
        let request = |step: u32, credentials: &str| {
            format!(
                "{method} {uri} SIP/2.0\r\nVia: SIP/2.0/UDP {address};branch=z9hG4bK{number}x{step};rport\r\n\
                 Max-Forwards: 70\r\nFrom: <sip:{user}@home.example>;tag={number}\r\nTo: <{uri}>\r\n\
                 Call-ID: {number}@x\r\nCSeq: {step} {method}\r\nContact: <sip:{user}@{address}>\r\n{fields}{credentials}\
                 Content-Length: {}\r\n\r\n{body}",
                body.len()
            )
        };
        let challenged = self.datagram(address, &request(1, "")).pop().expect("an answer");
        let is_register = method == "REGISTER";
        if method == "INVITE" {
            self.datagram(address, &ack(&request(1, ""), &challenged));
        }
        let nonce = challenged.rsplit("nonce=\"").next().unwrap().split('"').next().unwrap();
        let hash = |text: String| Md5::digest(text).iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let a1 = hash(format!("{user}:home.example:{password}"));
        let a2 = hash(format!("{method}:{uri}"));
        let response = hash(format!("{a1}:{nonce}:00000001:c:auth:{a2}"));
        let credentials = format!(
            "{}: Digest username=\"{user}\", realm=\"home.example\", nonce=\"{nonce}\", uri=\"{uri}\", algorithm=MD5, \
             response=\"{response}\", qop=auth, nc=00000001, cnonce=\"c\"\r\n",
            if is_register { "Authorization" } else { "Proxy-Authorization" }
        );
        self.datagram(address, &request(2, &credentials)).pop().expect("an answer")
    }

    fn register(&mut self, user: &str, password: &str, address: &str, round: u64) {
        let expires = if round % 5 == 4 { "Expires: 0\r\n" } else { "Expires: 600\r\n" };
        let fields = format!("{expires}User-Agent: test\r\nAllow: INVITE, ACK, BYE, CANCEL, MESSAGE\r\n");
        // REGISTER is addressed to the domain, with the person in To: here the person's address serves as both.
        let uri = format!("sip:{user}@home.example");
        let answer = self.prove((user, password, address), "REGISTER", &uri, &fields);
        assert!(answer.starts_with("SIP/2.0 200"), "{answer}");
        if round % 5 == 4 {
            let answer = self.prove((user, password, address), "REGISTER", &uri, "Expires: 600\r\n");
            assert!(answer.starts_with("SIP/2.0 200"), "{answer}");
        }
    }

    fn message(&mut self, round: u64) {
        let answer = self.prove(("bob", "builder", BOB), "MESSAGE", "sip:alice@home.example", "");
        assert!(answer.starts_with("SIP/2.0 200"), "round {round}: {answer}");
        let answer = self.prove(("bob", "builder", BOB), "MESSAGE", "sip:nobody@home.example", "");
        assert!(answer.starts_with("SIP/2.0 404"), "round {round}: {answer}");
    }

    fn call(&mut self, round: u64) {
        let answer = self.prove(("bob", "builder", BOB), "INVITE", "sip:alice@home.example", "");
        assert!(answer.starts_with("SIP/2.0 200"), "round {round}: {answer}");
        self.in_call(BOB, &answer, &format!("sip:alice@{ALICE}"), round);
    }

    /// Calls out of the home and into it: what is hidden at its border costs no allocation either.
    fn outside(&mut self, round: u64) {
        let answer = self.prove(("alice", "wonderland", ALICE), "INVITE", &format!("sip:carl@{CARL}"), "");
        assert!(answer.starts_with("SIP/2.0 200"), "round {round}: {answer}");
        self.in_call(ALICE, &answer, &format!("sip:carl@{CARL}"), 2 * round);
        let invite = format!(
            "INVITE sip:alice@home.example SIP/2.0\r\nVia: SIP/2.0/UDP {CARL};branch=z9hG4bKcarl{round};rport\r\n\
             Max-Forwards: 70\r\nFrom: <sip:carl@other.test>;tag=c{round}\r\nTo: <sip:alice@home.example>\r\n\
             Call-ID: c{round}@x\r\nCSeq: 1 INVITE\r\nContact: <sip:carl@{CARL}>\r\nContent-Length: 0\r\n\r\n"
        );
        let answer = self.datagram(CARL, &invite).pop().expect("an answer");
        let contact = answer.split("Contact: <").nth(1).and_then(|rest| rest.split('>').next()).expect("a Contact");
        assert!(contact.starts_with("sip:m1-") && !answer.contains("192.168.1.10"), "round {round}: {answer}");
        self.in_call(CARL, &answer, contact, 2 * round + 1);
    }

    /// ACK, INFO and BYE of a call that was answered.
    fn in_call(&mut self, address: &str, answer: &str, target: &str, round: u64) {
        let lines = |name: &str| -> Vec<String> {
            let prefix = format!("{name}: ");
            answer.lines().filter_map(|line| line.strip_prefix(&prefix)).map(String::from).collect()
        };
        let routes: String = lines("Record-Route").iter().rev().map(|route| format!("Route: {route}\r\n")).collect();
        let (from, to, call_id) = (&lines("From")[0], &lines("To")[0], &lines("Call-ID")[0]);
        for (step, method) in [(2, "ACK"), (3, "INFO"), (4, "BYE")] {
            let text = format!(
                "{method} {target} SIP/2.0\r\nVia: SIP/2.0/UDP {address};branch=z9hG4bK{method}{round};rport\r\n\
                 Max-Forwards: 70\r\n{routes}From: {from}\r\nTo: {to}\r\nCall-ID: {call_id}\r\nCSeq: {step} {method}\r\n\
                 Content-Length: 0\r\n\r\n"
            );
            let before = self.delivered;
            let back = self.datagram(address, &text);
            assert!(self.delivered > before, "{method} arrives");
            assert!(method == "ACK" || back.last().is_some_and(|back| back.starts_with("SIP/2.0 200")), "{back:?}");
        }
    }

    fn garbage(&mut self, round: u64) {
        let texts: [&[u8]; 5] = [
            b"\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
            b"INVITE sip:alice@home.example SIP/2.0\r\nVia: SIP/2.0/UDP 192.168.1.66;branch=z9hG4bKg\r\nCSeq: x\r\n\r\n",
            b"SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP 192.168.1.1;branch=z9hG4bKpt000100ffdeadbeef00000007\r\n\r\n",
            b"OPTIONS sip:home.example SIP/2.0\r\nVia: SIP/2.0/UDP 192.168.1.66:5060;branch=z9hG4bKo;rport\r\n\
              Max-Forwards: 70\r\nFrom: <sip:x@y>;tag=1\r\nTo: <sip:home.example>\r\nCall-ID: o\r\nCSeq: 1 OPTIONS\r\n\r\n",
        ];
        for text in texts {
            let (port, from) = (self.udp, "192.168.1.66:5060".parse().unwrap());
            self.input(Input::Datagram { port, from, bytes: text });
            // And with one byte changed.
            let mut mutated = text.to_vec();
            let at = (round as usize * 31) % mutated.len();
            mutated[at] ^= 1 << (round % 8);
            self.input(Input::Datagram { port, from, bytes: &mutated });
        }
    }

    fn stream(&mut self, round: u64) {
        let now = self.now;
        let Some(stream) = counted(|| self.server.vacant_stream()) else { panic!("no stream is free") };
        let from = "192.168.1.66:40000".parse().unwrap();
        let listener = self.tcp;
        self.input(Input::Accepted { stream, listener, from });
        let text = format!(
            "OPTIONS sip:home.example SIP/2.0\r\nVia: SIP/2.0/TCP 192.168.1.66:5060;branch=z9hG4bKs{round}\r\n\
             Max-Forwards: 70\r\nFrom: <sip:x@y>;tag=1\r\nTo: <sip:home.example>\r\nCall-ID: s{round}\r\nCSeq: 1 OPTIONS\r\n\
             Content-Length: 3000\r\n\r\n{}\r\n\r\nnot SIP at all\r\n\r\n",
            "x".repeat(3000)
        );
        self.feed(stream, text.as_bytes());
        counted(|| self.server.handle(now, Input::Closed(stream, Reason::PeerClosed)));
        self.input(Input::Timeout);
    }

    fn feed(&mut self, stream: Stream, bytes: &[u8]) {
        let mut rest = bytes;
        while !rest.is_empty() {
            let n = counted(|| {
                let window = self.server.receive_window(stream);
                let n = window.len().min(rest.len()).min(700);
                window[..n].copy_from_slice(&rest[..n]);
                n
            });
            if n == 0 {
                return;
            }
            rest = &rest[n..];
            self.input(Input::Received(stream, n));
        }
    }
}

/// A device's answer to what reached it.
fn answer(request: &str) -> String {
    let mut text = String::from("SIP/2.0 200 OK\r\n");
    for line in request.lines().skip(1).take_while(|line| !line.is_empty()) {
        let name = line.split(':').next().unwrap();
        match name {
            "Via" | "From" | "Call-ID" | "CSeq" | "Record-Route" => text += &format!("{line}\r\n"),
            "To" if line.contains("tag=") => text += &format!("{line}\r\n"),
            "To" => text += &format!("{line};tag=callee\r\n"),
            _ => {}
        }
    }
    text + &format!("Contact: <sip:alice@{ALICE}>\r\nContent-Length: 0\r\n\r\n")
}

/// The ACK of a refused INVITE.
fn ack(request: &str, refusal: &str) -> String {
    let to = refusal.lines().find(|line| line.starts_with("To:")).unwrap_or("To: <sip:x>");
    let lines = request.lines().filter_map(|line| match line.split(':').next() {
        Some("To") => Some(to.to_string()),
        Some("CSeq") => Some("CSeq: 1 ACK".into()),
        _ if line.starts_with("INVITE ") => Some(line.replacen("INVITE", "ACK", 1)),
        _ if line.is_empty() => None,
        _ => Some(line.to_string()),
    });
    lines.map(|line| line + "\r\n").collect::<String>() + "\r\n"
}
