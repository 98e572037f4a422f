//! A name server in the simulated world (RFC 1035): answers from a table by datagram and by stream, and misbehaves as told.
//! It writes its messages without the server's own code.

use std::net::{IpAddr, SocketAddr};

use crate::world::{Event, World};

/// A name server.
pub struct NameServer {
    /// Where it is.
    pub address: SocketAddr,
    /// Names in lower case without the last dot, and what each has.
    pub zone: Vec<(String, Record)>,
    /// How it behaves.
    pub manner: Habit,
    /// Questions that came by datagram and by stream: name and type.
    pub asked: Vec<(String, u16)>,
}

/// How a name server behaves.
#[derive(Clone, Copy, Debug, Default)]
pub struct Habit {
    /// Answers nothing.
    pub is_silent: bool,
    /// Loses so many questions, per mille.
    pub loses: u64,
    /// Takes so long, ms.
    pub delay: u64,
    /// Says by datagram that the answer did not fit.
    pub truncates: bool,
    /// Refuses every question.
    pub refuses: bool,
    /// Somebody forges answers that are faster: wrong ids, sources and questions, all of them with this address.
    pub forged: Option<IpAddr>,
}

/// A record.
#[derive(Clone, Debug)]
pub enum Record {
    /// An address of either family.
    Address(IpAddr),
    /// Another name.
    Alias(String),
    /// Priority, weight, port, target.
    Service(u16, u16, u16, String),
    /// Order, preference, service, replacement; flag `s`.
    Pointer(u16, u16, String, String),
}

impl Record {
    /// An address.
    pub fn address(ip: &str) -> Self {
        Self::Address(ip.parse().unwrap())
    }

    /// A service.
    pub fn service(priority: u16, weight: u16, port: u16, target: &str) -> Self {
        Self::Service(priority, weight, port, target.into())
    }

    /// A pointer to services.
    pub fn pointer(order: u16, service: &str, replacement: &str) -> Self {
        Self::Pointer(order, 0, service.into(), replacement.into())
    }

    fn kind(&self) -> u16 {
        match self {
            Self::Address(IpAddr::V4(_)) => 1,
            Self::Address(IpAddr::V6(_)) => 28,
            Self::Alias(_) => 5,
            Self::Service(..) => 33,
            Self::Pointer(..) => 35,
        }
    }

    fn data(&self) -> Vec<u8> {
        let text = |text: &str| [&[text.len() as u8], text.as_bytes()].concat();
        let words = |words: &[u16]| words.iter().flat_map(|word| word.to_be_bytes()).collect::<Vec<u8>>();
        match self {
            Self::Address(IpAddr::V4(ip)) => ip.octets().to_vec(),
            Self::Address(IpAddr::V6(ip)) => ip.octets().to_vec(),
            Self::Alias(other) => name(other),
            Self::Service(priority, weight, port, target) => {
                [words(&[*priority, *weight, *port]), name(target)].concat()
            }
            Self::Pointer(order, preference, service, replacement) => {
                [words(&[*order, *preference]), text("s"), text(service), text(""), name(replacement)].concat()
            }
        }
    }
}

const TTL_S: u32 = 300;
const RESPONSE: u16 = 0x8180;
const TRUNCATED: u16 = 0x0200;

impl NameServer {
    /// The answer to a question; `None` when it is none.
    fn answer(&mut self, query: &[u8], is_stream: bool) -> Option<Vec<u8>> {
        let (asked, kind, end) = question(query)?;
        self.asked.push((asked.clone(), kind));
        let id = [query[0], query[1]];
        let head = |flags: u16, counts: [u16; 4]| {
            let words = [flags].into_iter().chain(counts).flat_map(u16::to_be_bytes).collect::<Vec<u8>>();
            [&id[..], &words, &query[12..end]].concat()
        };
        if self.manner.refuses {
            return Some(head(RESPONSE | 5, [1, 0, 0, 0]));
        }
        if self.manner.truncates && !is_stream {
            return Some(head(RESPONSE | TRUNCATED, [1, 0, 0, 0]));
        }
        let (mut at, mut found, mut is_known) = (asked, Vec::new(), false);
        for _ in 0..20 {
            let here: Vec<&Record> = self.zone.iter().filter(|(name, _)| *name == at).map(|(_, it)| it).collect();
            is_known |= !here.is_empty();
            found.extend(here.iter().filter(|it| it.kind() == kind).map(|it| (at.clone(), (*it).clone())));
            let alias = here.iter().find_map(|it| if let Record::Alias(to) = it { Some(to.clone()) } else { None });
            let Some(to) = alias.filter(|_| kind != 5) else { break };
            found.push((std::mem::replace(&mut at, to.clone()), Record::Alias(to)));
        }
        let is_empty = !found.iter().any(|(_, it)| it.kind() == kind);
        let rcode = if is_known { 0 } else { 3 };
        let mut answer = head(RESPONSE | rcode, [1, found.len() as u16, u16::from(is_empty), 0]);
        found.iter().for_each(|(owner, it)| record(&mut answer, owner, it.kind(), &it.data()));
        if is_empty {
            let numbers = [1, 3_600, 600, 86_400, 60u32].into_iter().flat_map(u32::to_be_bytes).collect::<Vec<u8>>();
            record(&mut answer, "test", 6, &[name("ns.test"), name("host.test"), numbers].concat());
        }
        Some(answer)
    }

    /// The answers to what has come by a stream, and how much of it was read.
    pub fn answer_stream(&mut self, bytes: &[u8]) -> (Vec<u8>, usize) {
        let (mut answers, mut at) = (Vec::new(), 0);
        while let Some([high, low]) = bytes.get(at..at + 2) {
            let end = at + 2 + usize::from(u16::from_be_bytes([*high, *low]));
            let Some(query) = bytes.get(at + 2..end) else { break };
            let answer = self.answer(query, true).unwrap_or_default();
            answers.extend((answer.len() as u16).to_be_bytes());
            answers.extend(answer);
            at = end;
        }
        (answers, at)
    }
}

impl World {
    /// Adds a name server; its index.
    pub fn add_names(&mut self, address: &str, zone: &[(&str, Record)]) -> usize {
        let zone = zone.iter().map(|(name, record)| ((*name).into(), record.clone())).collect();
        let address = address.parse().unwrap();
        self.names.push(NameServer { address, zone, manner: Habit::default(), asked: Vec::new() });
        self.names.len() - 1
    }

    /// A question has come by datagram.
    pub(crate) fn ask(&mut self, names: usize, from: SocketAddr, query: &[u8]) {
        let Habit { is_silent, loses, delay, forged, .. } = self.names[names].manner;
        let to_it = self.names[names].address;
        if let Some(ip) = forged {
            self.forge(to_it, from, query, ip);
        }
        if is_silent || self.random.chance(loses) {
            return;
        }
        if let Some(bytes) = self.names[names].answer(query, false) {
            let at = self.now + 3 + delay;
            self.push(at, Event::Datagram { to: from, from: to_it, bytes });
        }
    }

    /// Answers of somebody who guesses: each lacks one thing that he can't know.
    fn forge(&mut self, server: SocketAddr, client: SocketAddr, query: &[u8], ip: IpAddr) {
        let Some((asked, kind, end)) = question(query) else { return };
        let forged = |id: u16, asked: &str, body: &[u8]| {
            let mut bytes = id.to_be_bytes().to_vec();
            bytes.extend([RESPONSE, 1, 1, 0, 0].into_iter().flat_map(u16::to_be_bytes));
            bytes.extend(body);
            let evil = if kind == 33 { Record::Service(0, 0, 5060, "evil.test".into()) } else { Record::Address(ip) };
            record(&mut bytes, asked, evil.kind(), &evil.data());
            bytes
        };
        let id = u16::from_be_bytes([query[0], query[1]]);
        let other = [name("evil.test"), vec![0, 1, 0, 1]].concat();
        let elsewhere = SocketAddr::new(server.ip(), server.port() + 1);
        let neighbour = SocketAddr::new(client.ip(), client.port() ^ 1);
        for guess in 1..6 {
            let bytes = forged(id.wrapping_add(guess * 7), &asked, &query[12..end]);
            self.push(self.now + 1, Event::Datagram { to: client, from: server, bytes });
        }
        let right = forged(id, &asked, &query[12..end]);
        for (to, from, bytes) in [
            (client, elsewhere, right.clone()),
            (client, SocketAddr::new(ip, 53), right.clone()),
            (neighbour, server, right),
            (client, server, forged(id, "evil.test", &other)),
        ] {
            self.push(self.now + 1, Event::Datagram { to, from, bytes });
        }
    }
}

/// Name, type, and the end of the question.
fn question(query: &[u8]) -> Option<(String, u16, usize)> {
    let (mut labels, mut at) = (Vec::new(), 12);
    loop {
        let len = usize::from(*query.get(at)?);
        let label = query.get(at + 1..at + 1 + len)?;
        at += 1 + len;
        if len == 0 {
            break;
        }
        labels.push(String::from_utf8_lossy(label).to_lowercase());
    }
    let kind = u16::from_be_bytes([*query.get(at)?, *query.get(at + 1)?]);
    (query.len() >= at + 4).then(|| (labels.join("."), kind, at + 4))
}

fn name(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    for label in text.split('.').filter(|label| !label.is_empty()) {
        bytes.push(label.len() as u8);
        bytes.extend(label.bytes());
    }
    bytes.push(0);
    bytes
}

fn record(out: &mut Vec<u8>, owner: &str, kind: u16, data: &[u8]) {
    out.extend(name(owner));
    out.extend([kind, 1].into_iter().flat_map(u16::to_be_bytes));
    out.extend(TTL_S.to_be_bytes());
    out.extend((data.len() as u16).to_be_bytes());
    out.extend(data);
}
