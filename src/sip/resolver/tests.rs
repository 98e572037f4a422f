//! Conversations with scripted name servers, in virtual time.

use std::boxed::Box;
use std::format;
use std::panic::catch_unwind;
use std::println;
use std::string::{String, ToString};
use std::time::Instant as Stopwatch;
use std::vec;
use std::vec::Vec;

use super::*;

mod accounts;
mod hostile;
mod memory;
mod places;
mod servers;

const NS1: &str = "192.0.2.53:53";
const NS2: &str = "192.0.2.54:53";
const NS3: &str = "[2001:db8::53]:53";
const BOTH: Families = Families { v4: true, v6: true };
const V4: Families = Families { v4: true, v6: false };
const ALL: Offered = Offered { udp: true, tcp: true, tls: true };
const PLAIN: Offered = Offered { udp: true, tcp: true, tls: false };
const OTHER: Wanted<'static> =
    Wanted { service: Service::Sip, host: b"other.test", port: None, transport: None, secure: false };

/// A query as a server sees it.
#[derive(Clone)]
struct Asked {
    to: SocketAddr,
    id: u16,
    name: String,
    kind: Kind,
    is_stream: bool,
    has_edns: bool,
    at: Instant,
    query: Vec<u8>,
}

impl Asked {
    fn read(to: SocketAddr, is_stream: bool, at: Instant, query: &[u8]) -> Self {
        // Bit by bit, not with the reader that is under test.
        assert_eq!(query[2..6], [1, 0, 0, 1]);
        let (mut name, mut end) = (Vec::new(), 12);
        while query[end] != 0 {
            let next = end + 1 + usize::from(query[end]);
            name.push(String::from_utf8_lossy(&query[end + 1..next]).into_owned());
            end = next;
        }
        let kind = Kind(u16::from_be_bytes([query[end + 1], query[end + 2]]));
        let (id, has_edns) = (u16::from_be_bytes([query[0], query[1]]), query[11] == 1);
        assert_eq!(query.len(), end + 5 + if has_edns { 11 } else { 0 });
        Self { to, id, name: name.join("."), kind, is_stream, has_edns, at, query: query.to_vec() }
    }

    fn text(&self) -> String {
        format!("{} {}", kind_name(self.kind), self.name)
    }

    /// A response with some records in each section, as lines of a zone file.
    fn response(&self, rcode: u8, answer: &[&str], authority: &[&str], additional: &[&str]) -> Vec<u8> {
        let question_end = self.query.len() - if self.has_edns { 11 } else { 0 };
        let mut out = self.query[..question_end].to_vec();
        (out[2], out[3]) = (0x81, 0x80 | rcode);
        (out[7], out[9], out[11]) = (answer.len() as u8, authority.len() as u8, additional.len() as u8);
        for line in answer.iter().chain(authority).chain(additional) {
            out.extend(record(line));
        }
        out
    }
}

fn kind_name(kind: Kind) -> &'static str {
    match kind {
        Kind::A => "A",
        Kind::AAAA => "AAAA",
        Kind::SRV => "SRV",
        Kind::NAPTR => "NAPTR",
        _ => panic!("no such question"),
    }
}

/// `owner ttl type data`, as in a zone file.
fn record(line: &str) -> Vec<u8> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let number = |i: usize| words[i].parse::<u16>().unwrap().to_be_bytes();
    let (kind, data) = match words[2] {
        "A" => (1u16, words[3].parse::<core::net::Ipv4Addr>().unwrap().octets().to_vec()),
        "AAAA" => (28, words[3].parse::<core::net::Ipv6Addr>().unwrap().octets().to_vec()),
        "CNAME" => (5, wire(words[3])),
        "SRV" => (33, [&number(3)[..], &number(4), &number(5), &wire(words[6])].concat()),
        "NAPTR" => {
            let string = |text: &str| [&[text.len() as u8][..], text.as_bytes()].concat();
            let strings = [string(words[5]), string(words[6]), string("")].concat();
            (35, [&number(3)[..], &number(4), &strings, &wire(words[7])].concat())
        }
        "SOA" => {
            let minimum = words[3].parse::<u32>().unwrap().to_be_bytes();
            (6, [&wire("m.test")[..], &wire("r.test"), &[0; 16], &minimum].concat())
        }
        other => panic!("{other}"),
    };
    let ttl = words[1].parse::<u32>().unwrap().to_be_bytes();
    let len = (data.len() as u16).to_be_bytes();
    [&wire(words[0])[..], &kind.to_be_bytes(), &[0, 1], &ttl, &len, &data].concat()
}

fn wire(name: &str) -> Vec<u8> {
    let labels = name.split('.').filter(|label| !label.is_empty());
    let mut out: Vec<u8> = labels.flat_map(|label| [&[label.len() as u8], label.as_bytes()].concat()).collect();
    out.push(0);
    out
}

/// What a server does with a query.
enum Reply {
    /// Sends these datagrams (or framed answers on a stream), from the server's own address.
    From(Vec<(SocketAddr, Vec<u8>)>),
    Silence,
    /// The connection breaks.
    Reset,
}

fn reply(asked: &Asked, bytes: Vec<u8>) -> Reply {
    Reply::From(vec![(asked.to, bytes)])
}

/// A recursive server that knows a zone and gives the chain of aliases with the answer.
fn zone(lines: &'static str) -> impl FnMut(&Asked) -> Reply {
    move |asked| reply(asked, from_zone(asked, lines))
}

fn from_zone(asked: &Asked, lines: &str) -> Vec<u8> {
    let lines: Vec<&str> = lines.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let of = |name: &str, kind: &str| -> Vec<&str> {
        let words = |line: &str| line.split_whitespace().map(String::from).collect::<Vec<_>>();
        let matches =
            |line: &str| words(line)[0].eq_ignore_ascii_case(name) && (kind.is_empty() || words(line)[2] == kind);
        lines.iter().copied().filter(|line| matches(line)).collect()
    };
    let (mut name, mut answer) = (asked.name.clone(), Vec::new());
    for _ in 0..20 {
        let Some(alias) = of(&name, "CNAME").first().copied() else { break };
        answer.push(alias);
        name = alias.split_whitespace().last().unwrap().into();
    }
    let records = of(&name, kind_name(asked.kind));
    answer.extend(&records);
    let soa: Vec<&str> = lines.iter().copied().filter(|line| line.contains(" SOA ") && records.is_empty()).collect();
    let rcode = if of(&name, "").is_empty() { 3 } else { 0 };
    asked.response(rcode, &answer, &soa, &[])
}

struct World<'s> {
    resolver: Box<Resolver>,
    random: Random,
    now: Instant,
    server: Box<dyn FnMut(&Asked) -> Reply + 's>,
    /// Every query.
    asked: Vec<Asked>,
    /// What each lookup has open.
    open: [Option<&'static str>; LOOKUPS],
    can_open: bool,
    /// Bytes of a stream that come at once.
    chunk: usize,
}

impl<'s> World<'s> {
    fn new(server: impl FnMut(&Asked) -> Reply + 's) -> Self {
        let mut random = Random::new();
        random.seed([7; 16], [7; 16]);
        let mut world = Self {
            resolver: Box::new(Resolver::new()),
            random,
            now: Instant::from_millis(1_000_000),
            server: Box::new(server),
            asked: Vec::new(),
            open: [None; LOOKUPS],
            can_open: true,
            chunk: 5,
        };
        world.configure(&[NS1], BOTH, ALL);
        world
    }

    fn configure(&mut self, servers: &[&str], can: Families, offered: Offered) {
        let servers: Vec<SocketAddr> = servers.iter().map(|server| server.parse().unwrap()).collect();
        self.resolver.configure(&servers, can, offered);
    }

    fn locate(&mut self, wanted: &Wanted<'_>) -> Located {
        self.resolver.locate(self.now, &mut self.random, wanted)
    }

    fn begin(&mut self, wanted: &Wanted<'_>) -> LookupHandle {
        match self.locate(wanted) {
            Located::Pending(handle) => handle,
            other => panic!("{other:?}"),
        }
    }

    /// The outcome of a lookup, with all the time it takes.
    fn outcome(&mut self, wanted: &Wanted<'_>) -> Result<Vec<String>, Failure> {
        let outcome = match self.locate(wanted) {
            Located::Ready(candidates) => Ok(candidates),
            Located::Failed(failure) => Err(failure),
            Located::Pending(handle) => {
                let (finished, outcome) = self.run();
                assert_eq!(finished, handle);
                outcome
            }
        };
        assert!(self.resolver.is_at_rest() && self.open == [None; LOOKUPS]);
        outcome.map(texts)
    }

    /// Runs until a lookup is finished.
    fn run(&mut self) -> (LookupHandle, Result<Candidates, Failure>) {
        let limit = self.now.plus(LOOKUP_MS);
        loop {
            (0..LOOKUPS).for_each(|lookup| self.drain(lookup));
            if let Some(finished) = self.resolver.finished(self.now) {
                assert!(!self.resolver.is_ready(finished.0.index()));
                return finished;
            }
            let due = (0..LOOKUPS).filter_map(|lookup| Some((self.resolver.deadline(lookup)?, lookup))).min();
            let (deadline, lookup) = due.expect("a lookup that is under way has a deadline");
            assert!(deadline <= limit, "a lookup takes too long");
            self.now = self.now.max(deadline);
            self.resolver.due(self.now, lookup);
        }
    }

    fn drain(&mut self, lookup: usize) {
        let now = self.now;
        for _ in 0..1000 {
            let mut buffer = [0; STEP_BYTES];
            let mut out = Writer::new(&mut buffer);
            let is_ready = self.resolver.is_ready(lookup);
            let step = self.resolver.step(now, lookup, &mut out);
            assert_eq!(is_ready, step.is_some());
            let len = out.finish().unwrap();
            let bytes = &buffer[..len];
            match step {
                None => return,
                Some(Step::Open { .. }) => {
                    assert_eq!(self.open[lookup].replace("socket"), None);
                    if !self.can_open {
                        self.open[lookup] = None;
                    }
                    self.resolver.opened(now, lookup, self.can_open);
                }
                Some(Step::Close) => assert_eq!(self.open[lookup].take(), Some("socket")),
                Some(Step::CloseStream) => assert_eq!(self.open[lookup].take(), Some("stream")),
                Some(Step::Connect { to }) => {
                    assert_eq!(self.open[lookup].replace("stream"), None);
                    assert!(self.asked.last().unwrap().to == to);
                    self.resolver.connected(now, lookup);
                }
                Some(Step::Send { to }) => {
                    assert_eq!(self.open[lookup], Some("socket"));
                    self.ask(lookup, Asked::read(to, false, now, bytes));
                }
                Some(Step::SendStream) => {
                    assert_eq!(self.open[lookup], Some("stream"));
                    assert_eq!(bytes[..2], (bytes.len() as u16 - 2).to_be_bytes());
                    let to = self.asked.last().unwrap().to;
                    self.ask(lookup, Asked::read(to, true, now, &bytes[2..]));
                }
            }
        }
        panic!("a lookup has no end of things to do");
    }

    fn ask(&mut self, lookup: usize, asked: Asked) {
        self.asked.push(asked.clone());
        match (self.server)(&asked) {
            Reply::Silence => {}
            Reply::Reset => {
                self.open[lookup] = None;
                self.resolver.stream_closed(self.now, lookup);
            }
            Reply::From(replies) if asked.is_stream => {
                let mut stream: Vec<u8> = Vec::new();
                for (_, bytes) in replies {
                    stream.extend((bytes.len() as u16).to_be_bytes());
                    stream.extend(bytes);
                }
                let (mut start, mut end) = (0, 0);
                while end < stream.len() {
                    end = (end + self.chunk).min(stream.len());
                    start += self.resolver.stream_received(self.now, lookup, &stream[start..end]);
                }
            }
            Reply::From(replies) => {
                for (from, bytes) in replies {
                    self.resolver.received(self.now, lookup, from, &bytes);
                }
            }
        }
    }

    /// The questions asked since the last time.
    fn questions(&mut self) -> Vec<String> {
        self.asked.drain(..).map(|asked| asked.text()).collect()
    }
}

fn texts(candidates: Candidates) -> Vec<String> {
    candidates.iter().map(|candidate| format!("{}:{}", candidate.transport, candidate.address)).collect()
}

fn found(expected: &[&str]) -> Result<Vec<String>, Failure> {
    Ok(expected.iter().map(|text| text.to_string()).collect())
}

const NOT_THERE: Result<Vec<String>, Failure> = Err(Failure::NoSuchName);
const NO_ANSWER: Result<Vec<String>, Failure> = Err(Failure::NoAnswer);
