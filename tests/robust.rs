//! Mutated traffic against the whole core in virtual time: the torture sets, our own messages, and conversations of
//! phones that answer what they are asked, with real digest. Nothing panics, no input leads to more than a handful of
//! outputs, all tables come to rest, and a phone that behaves is served before and after. Then floods, and bodies by
//! themselves, presence documents among them.
//!
//! `PCSD_ROBUST_INPUTS` says how many inputs there are, `PCSD_ROBUST_SEED` where to begin: a failure prints the seed of
//! its run, which with few inputs brings it again.

mod support;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use pcsd::base::limits::{BINDINGS_PER_PERSON, STRANGER_WATCHES, STREAMS_PER_SOURCE};
use pcsd::base::net::{PortSet, Stream};
use pcsd::media;
use pcsd::server::contract::{Input, Reason};
use pcsd::wire::pidf::{self, Format};
use pcsd::wire::{cpim, deflate, multipart, resource_lists, sdp, sip};
use support::{
    Home, LISTEN, Sent, Way, all, answer, by_datagram, find, model, name, own, own_names, parts, replaced, status,
    torture_names, tortured, value, with_credentials, with_field,
};

const HOUSE: &str = "house.example";
/// The last one is nobody's to impersonate: no conversation knows her password.
const PEOPLE: &[&str] = &["olof", "vera", "user", "caller", "watson", "j.user", "carol"];
const CAROL: usize = 6;
const INPUTS: u64 = 100_000;
const INPUTS_PER_RUN: u64 = 10_000;
/// After so many inputs everything is let come to rest.
const INPUTS_PER_EPOCH: u64 = 1_000;
const SEED: u64 = 0x5eed_0001;
/// Every device of one person, an answer, whoever of the strangers watches her, and a little.
const MOST_OUTPUTS: usize = BINDINGS_PER_PERSON + STRANGER_WATCHES + 6;
const PEERS: [&str; 6] = [
    "198.51.100.1:5060",
    "198.51.100.2:40000",
    "203.0.113.50:5060",
    "203.0.113.51:5061",
    "203.0.113.52:5062",
    "192.0.2.1:5060",
];

#[test]
fn mutated_traffic() {
    let from_environment = |name: &str, default| {
        std::env::var(name).map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name} is no number")))
    };
    let inputs = from_environment("PCSD_ROBUST_INPUTS", INPUTS);
    let first = from_environment("PCSD_ROBUST_SEED", SEED);
    let mut seeds: Vec<_> = torture_names().iter().map(|name| tortured(name)).collect();
    seeds.extend(own_names().iter().map(|name| own(name)));
    let mut total = Tally::default();
    for seed in (first..).take(inputs.div_ceil(INPUTS_PER_RUN) as usize) {
        let mut run = Run::new(seed, &seeds);
        for number in 0..INPUTS_PER_RUN.min(inputs) {
            let state = run.random.0;
            if let Err(panic) = catch_unwind(AssertUnwindSafe(|| run.step(number))) {
                println!("run with seed {seed}, input {number}, state {state:#x}: {}", run.last.escape_ascii());
                resume_unwind(panic);
            }
        }
        run.come_to_rest("the end");
        let counters = run.home.server.status(run.home.now).counters;
        total.requests += counters.requests;
        total.malformed += counters.malformed;
        total.responses += counters.responses;
        total.most = total.most.max(run.most);
        total.answered.iter_mut().zip(run.answered).for_each(|(total, count)| *total += count);
    }
    println!("{inputs} inputs: {total:?}");
    // Traffic of which all is refused at once would prove little.
    let per_hundred = |count: u64| count * 100 / inputs;
    assert!(per_hundred(total.requests) > 30 && per_hundred(total.responses) > 3, "{total:?}");
    for (class, least) in [(1, 1), (2, 3), (4, 10)] {
        assert!(per_hundred(total.answered[class]) >= least, "too few answers {class}xx: {total:?}");
    }
}

#[derive(Default, Debug)]
struct Tally {
    requests: u64,
    responses: u64,
    malformed: u64,
    most: usize,
    /// Answers that went out, by class.
    answered: [u64; 7],
}

struct Run<'s> {
    home: Home,
    random: Xorshift,
    seeds: &'s [Vec<u8>],
    streams: Vec<Stream>,
    /// What phones are about to send.
    pending: VecDeque<(Way, Vec<u8>)>,
    /// Requests sent lately, to be sent again with credentials.
    asked: VecDeque<Vec<u8>>,
    last: Vec<u8>,
    most: usize,
    number: u64,
    answered: [u64; 7],
}

impl<'s> Run<'s> {
    fn new(seed: u64, seeds: &'s [Vec<u8>]) -> Self {
        let mut model = model(HOUSE, PEOPLE, &[LISTEN]);
        // So that the messages of the RFCs are for this home, too.
        for external in ["example.com", "example.net", "example.org", "services.example.com"] {
            model.main.external.push(external.try_into().unwrap()).unwrap();
        }
        for peer in PEERS.iter().skip(1) {
            model.main.unlimited.push(peer.parse::<SocketAddr>().unwrap().ip()).unwrap();
        }
        let random = Xorshift(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        let (home, streams, pending, asked) = (Home::new(&model), Vec::new(), VecDeque::new(), VecDeque::new());
        let (last, most, number, answered) = (Vec::new(), 0, 0, [0; 7]);
        Self { home, random, seeds, streams, pending, asked, last, most, number, answered }
    }

    fn step(&mut self, number: u64) {
        self.number = number;
        if number.is_multiple_of(INPUTS_PER_EPOCH) {
            if number > 0 {
                self.come_to_rest("an epoch");
            }
            self.register_devices();
        }
        let (way, mut bytes) = match self.random.below(10) {
            0..5 if !self.pending.is_empty() => self.pending.pop_front().expect("one is there"),
            0..3 => (self.any_way(), self.conversation()),
            _ => {
                let at = self.random.below(self.seeds.len());
                // Another branch is another request; else most would be taken for retransmissions.
                let bytes = match find(&self.seeds[at], b"z9hG4bK") {
                    Some(_) => {
                        let fresh = format!("z9hG4bK{number}x");
                        let bytes = replaced(&self.seeds[at], b"z9hG4bK", fresh.as_bytes());
                        if find(&bytes, b"ll-ID: ").is_some() {
                            replaced(&bytes, b"ll-ID: ", format!("ll-ID: {number}").as_bytes())
                        } else {
                            bytes
                        }
                    }
                    None => self.seeds[at].clone(),
                };
                (self.any_way(), bytes)
            }
        };
        if self.random.below(3) == 0 {
            let other = self.random.below(self.seeds.len());
            mutate(&mut bytes, &self.seeds[other], &mut self.random);
        }
        self.trouble();
        self.send(way, bytes);
        match self.random.below(100) {
            0..20 => {
                let ms = self.random.below(50) as u64;
                self.home.pass(ms);
            }
            20..24 => {
                let ms = self.random.below(1_000) as u64;
                self.home.pass(ms);
            }
            24 => {
                let ms = self.random.below(40_000) as u64;
                self.home.pass(ms);
            }
            25 if !self.streams.is_empty() => {
                let at = self.random.below(self.streams.len());
                let reason = [Reason::PeerClosed, Reason::Broken][self.random.below(2)];
                let stream = self.streams.swap_remove(at);
                self.home.hang_up(stream, reason);
            }
            _ => {}
        }
        self.react();
    }

    /// Now and then sockets can't be written for a while, streams are slow, and peers refuse connections.
    fn trouble(&mut self) {
        match self.random.below(200) {
            0 => self.home.credits = PortSet::NONE,
            1 => self.home.stream_room = self.random.below(300),
            2 => self.home.takes_connections = false,
            3..40 => self.calm(),
            _ => {}
        }
    }

    fn calm(&mut self) {
        self.home.credits = PortSet::ALL;
        self.home.stream_room = usize::MAX;
        self.home.takes_connections = true;
    }

    fn send(&mut self, way: Way, bytes: Vec<u8>) {
        self.last.clone_from(&bytes);
        // What could not be sent before does not count.
        self.home.input(Input::Timeout);
        match way {
            Way::Datagram { .. } => {
                let count = self.home.send(way, &bytes);
                self.most = self.most.max(count);
                assert!(count <= MOST_OUTPUTS, "{count} outputs: {:?}", self.home.sent);
            }
            Way::Stream(_) => {
                let mut rest = &bytes[..];
                while !rest.is_empty() {
                    let most = 2 << self.random.below(11);
                    let len = 1 + self.random.below(rest.len().min(most));
                    let count = self.home.send(way, &rest[..len]);
                    // A chunk may hold many small messages, or what was held back before them.
                    assert!(count <= MOST_OUTPUTS + len / 4 + 64, "{count} outputs for {len} bytes");
                    rest = &rest[len..];
                }
            }
        }
        if bytes.len() < 8_000 && !bytes.starts_with(b"SIP/") {
            self.asked.push_back(bytes);
            if self.asked.len() > 40 {
                self.asked.pop_front();
            }
        }
    }

    fn any_way(&mut self) -> Way {
        if self.random.below(3) == 0 {
            if self.streams.len() < 8 {
                let from = format!("198.51.100.2:{}", 20_000 + self.random.below(20_000)).parse().unwrap();
                if let Some(stream) = self.home.connect(from, LISTEN.parse().unwrap()) {
                    self.streams.push(stream);
                }
            }
            if !self.streams.is_empty() {
                return Way::Stream(self.streams[self.random.below(self.streams.len())]);
            }
        }
        by_datagram(PEERS[self.random.below(PEERS.len())])
    }

    /// The first request of a conversation.
    fn conversation(&mut self) -> Vec<u8> {
        let n = self.number;
        let caller = PEOPLE[self.random.below(CAROL)];
        let callee = PEOPLE[self.random.below(PEOPLE.len())];
        let from = if self.random.below(3) == 0 { "mallory@away.example" } else { &*format!("{caller}@{HOUSE}") };
        let (method, uri, to, more) = match self.random.below(8) {
            0 | 1 => ("REGISTER", HOUSE.to_string(), from.to_string(), REGISTRATIONS[self.random.below(6)]),
            2..5 => ("INVITE", format!("{callee}@{HOUSE}"), format!("{callee}@{HOUSE}"), "Supported: 100rel\r\n"),
            5 => ("MESSAGE", format!("{callee}@{HOUSE}"), format!("{callee}@{HOUSE}"), ""),
            6 => ("SUBSCRIBE", format!("{callee}@{HOUSE}"), format!("{callee}@{HOUSE}"), "Event: presence\r\n"),
            _ => ("OPTIONS", HOUSE.to_string(), HOUSE.to_string(), ""),
        };
        format!(
            "{method} sip:{uri} SIP/2.0\r\nVia: SIP/2.0/UDP 203.0.113.50:5060;rport;branch=z9hG4bKc{n}\r\n\
             Max-Forwards: 70\r\nFrom: <sip:{from}>;tag=c{n}\r\nTo: <sip:{to}>\r\nCall-ID: conversation{n}\r\n\
             CSeq: {n} {method}\r\n{}{more}Content-Length: 4\r\n\r\nv=0\n",
            if method == "REGISTER" { "" } else { "Contact: <sip:c@203.0.113.50:5060>\r\n" }
        )
        .into_bytes()
    }

    /// Phones answer what they are asked, and callers go on.
    fn react(&mut self) {
        for sent in self.home.take() {
            let way = match sent {
                Sent::Datagram { local, to, .. } => Way::Datagram { from: to, local },
                Sent::Stream { stream, .. } => Way::Stream(stream),
                Sent::Closed(stream) => {
                    self.streams.retain(|known| *known != stream);
                    continue;
                }
                Sent::Connected { stream, .. } => {
                    self.streams.push(stream);
                    continue;
                }
            };
            let bytes = sent.bytes();
            if let Some(code) = status(bytes) {
                self.answered[usize::from(code / 100).min(6)] += 1;
            }
            if self.pending.len() < 60 {
                self.follow(way, bytes);
            }
        }
    }

    fn follow(&mut self, way: Way, bytes: &[u8]) {
        // A piece of what a slow stream took.
        if find(bytes, b"\r\n\r\n").is_none() {
            return;
        }
        match status(bytes) {
            Some(401 | 407) if find(bytes, b"-Authenticate: Digest realm=\"").is_some() => {
                let call_id = value(bytes, "call-id");
                let request = self.asked.iter().rev().find(|asked| value(asked, "call-id") == call_id);
                let Some(request) = request.filter(|asked| parts(asked).first.split(|byte| *byte == b' ').count() == 3)
                else {
                    return;
                };
                let field = value(request, if status(bytes) == Some(401) { "to" } else { "from" }).unwrap_or_default();
                let text = String::from_utf8_lossy(field);
                let person = PEOPLE[..CAROL].iter().position(|id| text.contains(&format!("sip:{id}@")));
                let login = format!("device{}", person.unwrap_or(0));
                let password = if self.random.below(10) == 0 { "wrong" } else { support::PASSWORD };
                self.pending.push_back((way, with_credentials(request, bytes, &login, password)));
            }
            Some(200..300) if value(bytes, "cseq").is_some_and(|cseq| cseq.ends_with(b"INVITE")) => {
                self.pending.push_back((way, in_dialog(bytes, "ACK")));
                let method = ["BYE", "UPDATE", "INVITE", "INFO"][self.random.below(4)];
                self.pending.push_back((way, in_dialog(bytes, method)));
                self.pending.push_back((way, in_dialog(bytes, "BYE")));
            }
            Some(180) if self.random.below(3) == 0 => {
                let call_id = value(bytes, "call-id");
                if let Some(invite) = self.asked.iter().rev().find(|asked| value(asked, "call-id") == call_id) {
                    let cancel = String::from_utf8_lossy(invite).replace("INVITE", "CANCEL").into_bytes();
                    self.pending.push_back((way, cancel));
                }
            }
            Some(_) => {}
            None if bytes.starts_with(b"ACK ") || !bytes.windows(8).any(|window| window == b" SIP/2.0") => {}
            None => {
                let contact = "Contact: <sip:line@203.0.113.50:5060>\r\n";
                if bytes.starts_with(b"INVITE ") && self.random.below(4) > 0 {
                    self.pending.push_back((way, answer(bytes, [100, 180, 183][self.random.below(3)], contact)));
                }
                let code = [200, 200, 200, 302, 401, 404, 415, 480, 486, 487, 500, 503, 603][self.random.below(13)];
                self.pending.push_back((way, answer(bytes, code, contact)));
            }
        }
    }

    fn register_devices(&mut self) {
        for (person, contact, from) in [
            (0, "sip:o1@203.0.113.50", "203.0.113.50:5060"),
            (0, "sip:o2@203.0.113.51:5061", "203.0.113.51:5061"),
            (1, "sip:v1@192.168.7.7:5060", "203.0.113.52:5062"),
            (2, "sip:u1@203.0.113.51:5061", "203.0.113.51:5061"),
        ] {
            let way = by_datagram(from);
            if self.home.server.devices(self.home.now).filter(|it| it.person == PEOPLE[person]).count() < 8 {
                self.home.register(way, HOUSE, (person, PEOPLE[person]), contact);
            }
        }
    }

    /// Everything ends by itself; then a phone that behaves registers and is called.
    fn come_to_rest(&mut self, what: &str) {
        self.pending.clear();
        self.calm();
        for stream in std::mem::take(&mut self.streams) {
            self.home.hang_up(stream, Reason::Broken);
        }
        self.home.rest(what);
        serve(&mut self.home, by_datagram("203.0.113.77:5060"), "198.51.100.200:5060");
        self.home.rest(what);
    }
}

const REGISTRATIONS: [&str; 6] = [
    "Contact: <sip:a@203.0.113.50>;q=0.5\r\n",
    "Contact: <sip:b@203.0.113.51;transport=tcp>;+sip.instance=\"<urn:uuid:1>\";reg-id=1\r\nSupported: outbound, path\r\n",
    "Contact: *\r\nExpires: 0\r\n",
    "Contact: <sip:a@203.0.113.50>;expires=0, <sip:d@203.0.113.52:5062>\r\nPath: <sip:203.0.113.52:5062;lr>\r\n",
    "Contact: <sip:e@[2001:db8::1]>;methods=\"INVITE,MESSAGE\"\r\nExpires: 30\r\n",
    "",
];

/// A request within the dialog that a 2xx makes, from its caller.
fn in_dialog(ok: &[u8], method: &str) -> Vec<u8> {
    let text = |wanted| String::from_utf8_lossy(value(ok, wanted).unwrap_or_default()).into_owned();
    let routes = all(ok, "record-route").into_iter().rev();
    let routes: String = routes.map(|field| String::from_utf8_lossy(field).replace("Record-Route", "Route")).collect();
    let call: String = text("call-id").chars().filter(char::is_ascii_alphanumeric).collect();
    let cseq: u32 = text("cseq").split(' ').next().and_then(|number| number.parse().ok()).unwrap_or(1);
    let cseq = if method == "ACK" { cseq } else { cseq.saturating_add(1) };
    format!(
        "{method} sip:line@203.0.113.50:5060 SIP/2.0\r\nVia: SIP/2.0/UDP 203.0.113.50:5060;rport;branch=z9hG4bKd{call}{method}{cseq}\r\n\
         {routes}Max-Forwards: 70\r\nFrom: {}\r\nTo: {}\r\nCall-ID: {}\r\nCSeq: {cseq} {method}\r\nContent-Length: 0\r\n\r\n",
        text("from"),
        text("to"),
        text("call-id")
    )
    .into_bytes()
}

/// Carol's phone registers, is called by a stranger, answers, and is hung up on.
fn serve(home: &mut Home, phone: Way, caller: &str) {
    home.register(phone, HOUSE, (CAROL, "carol"), "sip:carol@203.0.113.77:5060");
    let call = home.call_id();
    let way = by_datagram(caller);
    let invite = format!(
        "INVITE sip:carol@{HOUSE} SIP/2.0\r\nVia: SIP/2.0/UDP {caller};rport;branch=z9hG4bK{call}\r\nMax-Forwards: 70\r\n\
         From: <sip:x@away.example>;tag={call}\r\nTo: <sip:carol@{HOUSE}>\r\nCall-ID: {call}\r\nCSeq: 1 INVITE\r\n\
         Contact: <sip:{caller}>\r\nContent-Length: 0\r\n\r\n"
    );
    home.sent.clear();
    home.send(way, invite.as_bytes());
    let rung = taken(home, phone, "INVITE ");
    home.send(phone, &answer(&rung, 200, "Contact: <sip:carol@203.0.113.77:5060>\r\n"));
    let ok = taken(home, way, "SIP/2.0 200 ");
    home.send(way, &in_dialog(&ok, "ACK"));
    let ack = taken(home, phone, "ACK ");
    assert!(all(&ack, "route").is_empty(), "{}", ack.escape_ascii());
    home.send(way, &in_dialog(&ok, "BYE"));
    let bye = taken(home, phone, "BYE ");
    home.send(phone, &answer(&bye, 200, ""));
    taken(home, way, "SIP/2.0 200 ");
}

/// The one message that begins so and went to a peer.
fn taken(home: &mut Home, way: Way, begin: &str) -> Vec<u8> {
    let Way::Datagram { from, .. } = way else { panic!("datagrams only") };
    let sent = home.take();
    let at = sent.iter().position(|sent| sent.is_to(from) && sent.bytes().starts_with(begin.as_bytes()));
    sent[at.unwrap_or_else(|| panic!("no {begin:?} to {from}: {sent:?}"))].bytes().to_vec()
}

/// A caller whose connection breaks while a phone rings leaves nothing behind.
#[test]
fn caller_on_a_stream_that_breaks() {
    let mut home = Home::new(&model(HOUSE, PEOPLE, &[LISTEN]));
    let phone = by_datagram("203.0.113.50:5060");
    home.register(phone, HOUSE, (0, "olof"), "sip:o@203.0.113.50");
    for code in [None, Some(180), Some(486)] {
        let from = "198.51.100.2:40000".parse().unwrap();
        let stream = home.connect(from, LISTEN.parse().unwrap()).unwrap();
        home.send(Way::Stream(stream), &own("oddaccept"));
        let invite = taken(&mut home, phone, "INVITE ");
        home.hang_up(stream, Reason::Broken);
        if let Some(code) = code {
            home.send(phone, &answer(&invite, code, ""));
        }
        home.rest("a broken stream");
    }
}

/// While an answer waits for its socket, streams wait behind it, and the turn ends all the same.
#[test]
fn streams_wait_while_a_socket_is_blocked() {
    let mut home = Home::new(&model(HOUSE, PEOPLE, &[LISTEN]));
    let from = "198.51.100.2:5060";
    let stream = home.connect(from.parse().unwrap(), LISTEN.parse().unwrap()).unwrap();
    home.credits = PortSet::NONE;
    home.send(by_datagram(from), &options(from, 1));
    home.send(Way::Stream(stream), &options(from, 2));
    assert!(home.take().is_empty());
    home.credits = PortSet::ALL;
    home.input(Input::Timeout);
    let sent = home.take();
    assert!(sent.len() == 2 && sent[0].is_to(from.parse().unwrap()) && sent[1].is_on(stream), "{sent:?}");
    home.rest("blocked");
}

fn options(from: &str, number: usize) -> Vec<u8> {
    format!(
        "OPTIONS sip:{HOUSE} SIP/2.0\r\nVia: SIP/2.0/UDP {from};branch=z9hG4bK{number}\r\nMax-Forwards: 70\r\n\
         From: <sip:x@away.example>;tag=1\r\nTo: <sip:{HOUSE}>\r\nCall-ID: {number}\r\nCSeq: 1 OPTIONS\r\n\
         Content-Length: 0\r\n\r\n"
    )
    .into_bytes()
}

/// How many messages a source may send at once, and how many a second after that.
const BURST: u64 = 400;
const PER_SECOND: u64 = 60;
const FLOOD: usize = 5_000;

/// Sends `FLOOD` messages of `make` from one address within a second, by datagram and, one in ten, on a stream, while
/// carol's phone and a caller at other addresses are served; returns how many were read and how many answered.
fn flood(make: impl Fn(&mut Home, usize) -> Vec<u8>) -> (u64, usize) {
    let mut home = Home::new(&model(HOUSE, PEOPLE, &[LISTEN]));
    let (from, end) = ("198.51.100.66:5060", home.now.plus(1_000));
    let stream = home.connect(from.parse().unwrap(), LISTEN.parse().unwrap()).unwrap();
    let mut answered = 0;
    for number in 0..FLOOD {
        let message = make(&mut home, number);
        let way = if number % 10 == 0 { Way::Stream(stream) } else { by_datagram(from) };
        let count = home.send(way, &message);
        assert!(count <= 2, "{count} outputs for one message");
        answered += home.take().iter().filter(|sent| sent.is_to(from.parse().unwrap()) || sent.is_on(stream)).count();
        if number % 5 == 4 {
            home.pass(1);
        }
        if number % 500 == 0 {
            serve(&mut home, by_datagram("203.0.113.77:5060"), "198.51.100.200:5060");
            home.sent.clear();
        }
    }
    assert_eq!(home.now, end);
    let limited = home.server.status(home.now).counters.limited;
    home.hang_up(stream, Reason::PeerClosed);
    // The source itself is heard again after a while.
    home.pass(20_000);
    home.sent.clear();
    let answer = home.exchange(by_datagram(from), &options(from, FLOOD));
    assert_eq!(status(&answer), Some(200), "heard again");
    home.rest("flood");
    (FLOOD as u64 - limited, answered)
}

#[test]
fn flood_of_requests() {
    let (read, answered) = flood(|_, number| options("198.51.100.66:5060", number));
    assert!((BURST..=BURST + PER_SECOND).contains(&read), "{read} were read");
    assert_eq!(answered as u64, read);
}

#[test]
fn flood_of_rubbish() {
    let rubbish = own("notsip");
    let (read, answered) = flood(|_, _| rubbish.clone());
    assert!(read <= (BURST + PER_SECOND) / 10, "{read} were read");
    assert_eq!(answered, 0);
    let broken = own("openquote");
    let (read, answered) = flood(|_, _| broken.clone());
    assert!(read <= (BURST + PER_SECOND) / 10 && answered as u64 <= read, "{read} were read");
}

#[test]
fn flood_of_wrong_passwords() {
    let request = replaced(&own("oddauth"), b"Authorization: Knock-Knock who=there\r\n", b"");
    let challenge = {
        let mut home = Home::new(&model(HOUSE, PEOPLE, &[LISTEN]));
        home.exchange(by_datagram("198.51.100.66:5060"), &request)
    };
    assert_eq!(status(&challenge), Some(401));
    // The key of the test homes is the same, so the nonce is good in the next one, too.
    let (read, answered) = flood(|_, number| {
        let guess = with_credentials(&request, &challenge, "device0", &format!("guess{number}"));
        replaced(&guess, b"CSeq: 7", format!("CSeq: {}", number + 8).as_bytes())
    });
    assert!((10..=20).contains(&read), "{read} guesses were read");
    assert_eq!(answered as u64, read, "each with a new challenge");
}

/// Every reader of bodies, and of what goes with them in a head, over mutations of what it accepts.
/// What a phone offers.
const SDP: &[u8] = b"v=0\r\no=- 7 1 IN IP4 192.0.2.7\r\ns=-\r\nc=IN IP4 192.0.2.7\r\nt=0 0\r\na=sendrecv\r\n\
    m=audio 4000/2 RTP/AVP 0 8 101\r\nc=IN IP6 2001:db8::7\r\na=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-16\r\n\
    a=ptime:20\r\na=rtcp:4001 IN IP4 192.0.2.7\r\na=rtcp-mux\r\nm=video 0 RTP/SAVPF 96\r\n";

#[test]
fn mutated_bodies() {
    let preferences = "Accept-Contact: *;methods=\"INVITE,!BYE\";video;require;explicit, *;+sip.x=\"#1:2,<y>\";q=0.5\r\n\
         j: *;actor=\"msg-taker\";audio=\"FALSE\"\r\nEvent: presence.winfo;id=7\r\n\
         Subscription-State: terminated;reason=giveup;retry-after=30;expires=5\r\n\
         Contact: <sip:a@203.0.113.50>;methods=\"INVITE,MESSAGE\";video;+sip.x=\"#>=1.5\";actor=\"principal\"\r\n\r\n";
    let mut head = options("198.51.100.1:5060", 1);
    head.truncate(head.len() - 2);
    head.extend(preferences.as_bytes());
    let list = format!(
        "<?xml version='1.0'?><resource-lists xmlns='{}'><list><display-name>a</display-name><entry uri='sip:b@h'/>\
         <list><external anchor='x'/><entry uri='sip:c@h'><display-name>C &amp; D</display-name></entry></list></list>\
         </resource-lists>",
        resource_lists::NAMESPACE
    );
    let parts = format!("--b\r\nContent-ID: <1@h>\r\nc: a/b\r\n\r\n{list}\r\n--b \n\ntext\n--b--\r\nend");
    // "hello hello hello", once deflated, once stored.
    let deflated = b"\x78\xda\xcb\x48\xcd\xc9\xc9\x57\xc8\x40\x90\x00\x3a\x2e\x06\x7d".to_vec();
    let stored = b"\x78\x01\x01\x11\x00\xee\xffhello hello hello\x3a\x2e\x06\x7d".to_vec();
    for body in [&deflated, &stored] {
        assert_eq!(deflate::Inflater::new().inflate(body, &mut [0; 100]), Ok(17));
    }
    assert_eq!(multipart::Parts::parse(b"multipart/related;boundary=b", parts.as_bytes()).unwrap().count(), 2);
    let message = sip::Message::parse(&head).unwrap();
    assert_eq!(message.fault(), None);
    let Ok(sip::Contacts::List(contacts)) = message.contacts() else { panic!("a contact") };
    let judgement = sip::features::judge(&message, contacts.iter().next().unwrap().params.raw());
    assert_eq!(judgement, sip::features::Judgement::Target { score: 1000, explicit: true });
    let cpim = b"From: \"Bob\" <sip:bob@h>\r\nTo: <sip:a@h>\r\nDateTime: 2010-11-14T00:29:00.5+01:00\r\n\r\n\
        Content-Type: text/plain\r\nContent-Length: 2\r\n\r\nHi"
        .to_vec();
    assert!(cpim::Cpim::parse(&cpim).is_some_and(|cpim| cpim.at.is_some() && cpim.body == b"Hi"));
    let kinds: [(&[Vec<u8>], Fuzz); 8] = [
        (&[head], sip::fuzz),
        (&[list.into_bytes()], resource_lists::fuzz),
        (&[parts.into_bytes()], multipart::fuzz),
        (&[deflated, stored], deflate::fuzz),
        (&[cpim], cpim::fuzz),
        (&[SDP.to_vec()], sdp::fuzz),
        (&media_files(), media::fuzz::fuzz),
        (&[media_call()], media::fuzz::fuzz_session),
    ];
    let mut random = Xorshift(SEED);
    for (seeds, fuzz) in kinds {
        for seed in seeds {
            (0..=seed.len()).for_each(|end| fuzz(&seed[..end]));
        }
        for number in 0..BODIES {
            let mut bytes = seeds[random.below(seeds.len())].clone();
            (0..=random.below(4)).for_each(|_| mutate_body(&mut bytes, &mut random));
            if let Err(panic) = catch_unwind(AssertUnwindSafe(|| fuzz(&bytes))) {
                println!("body {number}: {}", bytes.escape_ascii());
                resume_unwind(panic);
            }
        }
    }
}

/// What servers of other networks say, and the readers for it.
#[cfg(all(feature = "xmpp", feature = "irc", feature = "line"))]
#[test]
fn mutated_networks() {
    use pcsd::bridge::{http, irc, line, xmpp};
    use pcsd::wire::{html, irc as irc_lines, json};

    const STREAM: &[u8] = b"<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>\
        <message from='bob@x/1' id='m1'><body>a &amp; b</body><request xmlns='urn:xmpp:receipts'/></message>\
        <presence from='bob@x/1'><show>away</show></presence><iq type='get' id='1'><ping xmlns='urn:xmpp:ping'/></iq>\
        <iq type='result' id='pcs-roster'><query xmlns='jabber:iq:roster'><item jid='c@x' name='C'/></query></iq>\
        <r xmlns='urn:xmpp:sm:3'/><a xmlns='urn:xmpp:sm:3' h='2'/></stream:stream>";
    const LINES: &[u8] = b":s CAP * LS :sasl echo-message\r\n@time=2026-11-22T06:00:00Z;msgid=x :bob!b@h PRIVMSG alice \
        :\x01ACTION \x0304x\x01\r\n:s 303 alice :bob\r\n:s 302 alice :bob*=-b@h\r\n:s 401 alice bob :x\r\n:s 318 alice bob :x\r\n";
    const JSON: &[u8] =
        b"{\"event\":\"message\",\"from\":\"a\",\"text\":\"x \\u00e9 \\ud83d\\ude00\",\"list\":[1,-2.5e3,true,null]}\n\
        {\"event\":\"presence\",\"who\":\"a\",\"show\":\"away\"}\n";
    const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Type: application/json\r\n\r\n\
        5;x=y\r\nhello\r\n0\r\nT: x\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n";
    const PAGE: &[u8] = b"<p>1 &lt; 2 &amp; <b>so</b><br/>&#228;&nbsp;<a href='http://x/'>x</a><script>no</script></p>";
    // Those that play whole connections take their time.
    let kinds: [(&[u8], Fuzz, u64); 7] = [
        (STREAM, xmpp::fuzz, 300),
        (LINES, irc::fuzz, 300),
        (JSON, line::fuzz, 300),
        (ANSWER, http::fuzz, BODIES / 10),
        (JSON, json::fuzz, BODIES / 10),
        (PAGE, html::fuzz, BODIES / 10),
        (LINES, irc_lines::fuzz, BODIES / 10),
    ];
    let mut random = Xorshift(SEED);
    for (seed, fuzz, inputs) in kinds {
        for number in 0..inputs {
            let mut bytes = seed.to_vec();
            (0..=random.below(4)).for_each(|_| mutate_body(&mut bytes, &mut random));
            if let Err(panic) = catch_unwind(AssertUnwindSafe(|| fuzz(&bytes))) {
                println!("input {number}: {}", bytes.escape_ascii());
                resume_unwind(panic);
            }
        }
    }
}

type Fuzz = fn(&[u8]);

/// A packet with all parts, a compound, a file of Ogg pages, and WAV files of two kinds.
fn media_files() -> Vec<Vec<u8>> {
    let packet = b"\xb2\x08\0\x01\0\0\0\x02\0\0\0\x03AAAABBBB\xbe\xde\0\x01EEEE\x0b\x8a\x03\x20\0\0\x03".to_vec();
    let compound = b"\x80\xc9\0\x01\0\0\0\x01\x81\xca\0\x03\0\0\0\x01\x01\x05abcde\0\x81\xcb\0\x01\0\0\0\x01".to_vec();
    let (mut ring, mut writer, mut ogg) = (media::ring::Ring::new(), media::ogg::Ogg::new(), vec![0; 500]);
    assert!(
        writer.begin(7, &mut ring) && writer.add(&[8; 300], 960) && writer.add(&[8, 1], 960) && writer.end(&mut ring)
    );
    let len = ring.pop(&mut ogg);
    ogg.truncate(len);
    let mut wav = b"RIFF\0\0\0\0WAVELIST\x03\0\0\0abc\0fmt \x10\0\0\0\x01\0\x02\0\x80\xbb\0\0\0\xee\x02\0\x04\0\x10\0data\x40\x01\0\0".to_vec();
    wav.extend((0..320).map(|i| (i * 7) as u8));
    let law = b"RIFF\0\0\0\0WAVEfmt \x10\0\0\0\x06\0\x01\0\x40\x1f\0\0\x40\x1f\0\0\x01\0\x08\0data\x08\0\0\0abcdefgh"
        .to_vec();
    vec![packet, compound, ogg, wav, law]
}

/// A caller who talks for some seconds and presses keys, as the entry for sessions wants it.
fn media_call() -> Vec<u8> {
    let mut call = Vec::new();
    for n in 0..100u8 {
        let is_key = n % 40 == 39;
        let payload: &[u8] = if is_key { b"\x05\x8a\x03\x20" } else { &[n; 30] };
        call.extend([12 + payload.len() as u8, 20, 0x80, if is_key { 101 } else { 8 }, 0, n]);
        call.extend((u32::from(n) * 160).to_be_bytes());
        call.extend([0, 0, 0, 2]);
        call.extend(payload);
    }
    call.extend(b"\x10\x94\x80\xc9\0\x01\0\0\0\x02\x81\xcb\0\x01\0\0\0\x02");
    call
}

/// Mutations of each kind of body.
const BODIES: u64 = 20_000;

/// Changes one place: a bit, a piece put in, cut out, doubled, or all after it gone.
fn mutate_body(bytes: &mut Vec<u8>, random: &mut Xorshift) {
    let at = random.below(bytes.len());
    let end = (at + random.below(30)).min(bytes.len());
    match random.below(8) {
        0 => bytes.truncate(at),
        1 => drop(bytes.drain(at..end)),
        2 => drop(bytes.splice(at..at, bytes[at..end].repeat(1 + random.below(4)))),
        3 | 4 => drop(bytes.splice(at..at, PIECES[random.below(PIECES.len())].iter().copied())),
        5 => drop(bytes.splice(at..end, BODY_PIECES[random.below(BODY_PIECES.len())].iter().copied())),
        _ => bytes.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= 1 << random.below(8)),
    }
}

const BODY_PIECES: [&[u8]; 14] = [
    b"--b",
    b"\r\n--b\r\n",
    b"--b--",
    b"<list>",
    b"</list>",
    b"<entry uri=''/>",
    b"&#0;",
    b"&lt;",
    b"<!-- -->",
    b"<![CDATA[x]]>",
    b"<!DOCTYPE x [",
    b" xmlns='urn:x'",
    b"*;",
    b"#<=",
];

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

/// Changes a few places: bytes that readers stumble over, fields gone, doubled or exchanged with another message's.
fn mutate(bytes: &mut Vec<u8>, other: &[u8], random: &mut Xorshift) {
    for _ in 0..=random.below(3) {
        let at = random.below(bytes.len());
        match random.below(9) {
            0 if !bytes.is_empty() => bytes[at] = random.next() as u8,
            1 => drop(bytes.splice(at..at, PIECES[random.below(PIECES.len())].iter().copied())),
            2 => drop(bytes.drain(at..(at + random.below(20)).min(bytes.len()))),
            3 => bytes.truncate(at.max(1)),
            4 => {
                let fields = parts(bytes).fields;
                if !fields.is_empty() {
                    let field = fields[random.below(fields.len())].to_vec();
                    *bytes = replaced(bytes, &field, b"");
                }
            }
            5 => {
                let fields = parts(bytes).fields;
                if !fields.is_empty() {
                    let field = String::from_utf8_lossy(fields[random.below(fields.len())]).trim_end().to_string();
                    *bytes = with_field(bytes, &field);
                }
            }
            _ => {
                let fields = parts(other).fields;
                if !fields.is_empty() {
                    let foreign = fields[random.below(fields.len())];
                    let own = parts(bytes).fields.into_iter().find(|field| name(field) == name(foreign));
                    *bytes = match own.map(<[u8]>::to_vec) {
                        Some(own) => replaced(bytes, &own, foreign),
                        None => with_field(bytes, String::from_utf8_lossy(foreign).trim_end()),
                    };
                }
            }
        }
    }
}

const PIECES: [&[u8]; 22] = [
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
    b"%00",
    b"(",
    b")",
    b"[",
    b"@",
    b"?",
    b"99999999999999999999",
    b"-1",
    b"\0\xff",
];

/// Presence documents of clients, mutated: no reader panics, and what is read survives in each format.
#[test]
fn mutated_presence_documents() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/pidf");
    let mut files = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect::<Vec<_>>();
    files.sort();
    let seeds = files.iter().map(|path| std::fs::read(path).unwrap()).collect::<Vec<_>>();
    assert!(seeds.len() >= 7, "{} documents", seeds.len());
    let mut random = Xorshift(SEED);
    let mut read = 0;
    for round in 0..DOCUMENTS {
        let state = random.0;
        let mut bytes = seeds[random.below(seeds.len())].clone();
        let other = &seeds[random.below(seeds.len())];
        for _ in 0..=random.below(3) {
            mutate_document(&mut bytes, other, &mut random);
        }
        read += usize::from(Format::ALL.iter().any(|format| pidf::read(*format, &bytes).is_ok()));
        if catch_unwind(|| pidf::fuzz(&bytes)).is_err() {
            panic!("round {round}, state {state:#x}: {}", bytes.escape_ascii());
        }
    }
    // Mutations that are all refused at once would prove little.
    assert!(read > DOCUMENTS / 10, "only {read} were read");
    println!("{read} of {DOCUMENTS} mutated documents were read");
}

/// Changes one place: a byte, a piece of markup put in, a stretch taken out or doubled, a tag from another document.
fn mutate_document(bytes: &mut Vec<u8>, other: &[u8], random: &mut Xorshift) {
    let at = random.below(bytes.len());
    let end = (at + random.below(60)).min(bytes.len());
    match random.below(8) {
        0 if !bytes.is_empty() => bytes[at] = random.next() as u8,
        1 => drop(bytes.drain(at..end)),
        2 => bytes.truncate(at.max(1)),
        3 => drop(bytes.splice(at..at, bytes[at..end].to_vec())),
        4 => drop(bytes.splice(at..at, MARKUP[random.below(MARKUP.len())].iter().copied())),
        // Where an element or text may stand, most of it stays well-formed.
        5 | 6 => {
            let ends = bytes.iter().enumerate().filter(|(_, byte)| **byte == b'>').map(|(at, _)| at + 1);
            let ends = ends.collect::<Vec<_>>();
            if !ends.is_empty() {
                let at = ends[random.below(ends.len())];
                drop(bytes.splice(at..at, MARKUP[random.below(MARKUP.len())].iter().copied()));
            }
        }
        _ => {
            let tags = other.split(|byte| *byte == b'<').collect::<Vec<_>>();
            let tag = [b"<", tags[random.below(tags.len())]].concat();
            drop(bytes.splice(at..at, tag));
        }
    }
}

const MARKUP: [&[u8]; 27] = [
    b"<x>",
    b"</x>",
    b"<note> a&#x20ac;\"\t b </note>",
    b"<note xmlns='urn:ietf:params:xml:ns:pidf'>&amp;\xf0\x9f\x98\x80</note>",
    b"<basic xmlns=''>closed</basic>",
    b"<tuple><status><basic>open</basic></status></tuple>",
    b"<userInfo><note>]]&gt;</note></userInfo>",
    b"<activities><sleeping/></activities>",
    b"<servcaps><audio>true</audio><message>false</message></servcaps>",
    b"<geopriv><location-info><Point><pos>1 -2.5</pos></Point></location-info></geopriv>",
    b"<![CDATA[ <&> ]]>",
    b"<!-- - -->",
    b"<?x?>",
    b"<!DOCTYPE x [",
    b"<a><a><a><a><a><a><a><a><a><a><a><a><a><a><a><a><a>",
    b" xmlns:y='z'",
    b" note='n &#10;'",
    b"&#0;",
    b"&lt;",
    b"&x;",
    b"\"",
    b"'",
    b">",
    b"/>",
    b"=",
    b"\0\xff",
    b"\xef\xbb\xbf",
];
const DOCUMENTS: usize = 50_000;

/// A peer that opens connection after connection leaves room for others.
#[test]
fn one_address_does_not_take_all_streams() {
    let mut home = Home::new(&model(HOUSE, PEOPLE, &[LISTEN]));
    let local = LISTEN.parse().unwrap();
    for number in 0..=STREAMS_PER_SOURCE {
        let from = SocketAddr::new("198.51.100.66".parse().unwrap(), 40_000 + number as u16);
        let stream = home.connect(from, local).expect("a free slot");
        let is_closed = home.take().iter().any(|sent| matches!(sent, Sent::Closed(closed) if *closed == stream));
        assert_eq!(is_closed, number == STREAMS_PER_SOURCE, "connection {number}");
    }
    let other = home.connect("198.51.100.67:40000".parse().unwrap(), local).expect("a free slot");
    assert!(!home.take().iter().any(|sent| matches!(sent, Sent::Closed(closed) if *closed == other)));
    home.rest("many connections");
}
