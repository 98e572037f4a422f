//! The DNS client (RFC 3263, RFC 2782, RFC 2308, RFC 5452): from the host of a SIP URI to the places where a request may
//! be sent, in the order in which they are to be tried. And from a domain of XMPP to its servers (RFC 6120 §3.2, XEP-0368).
//!
//! It is a machine like the rest of the core. [`Resolver::locate`] begins a lookup, or joins the one that has the same
//! question. Each lookup has at most one socket or one connection open. After [`Resolver::locate`] and after every input
//! for a lookup, its caller does what [`Resolver::step`] says until it says nothing more, and then takes what
//! [`Resolver::finished`] has. [`Resolver::due`] is called when the [`Resolver::deadline`] of a lookup has come.
//!
//! An outcome is kept as a whole, with the order that was drawn by weight, for the least time to live of all its records.
//! Left out: search lists, `/etc/hosts`, DNSSEC, DNS over TLS. Whoever can read what is sent to the name server can
//! forge its answers; what is named here is proven by TLS, not by DNS.

mod cache;
mod plan;
mod query;
mod servers;
#[cfg(test)]
mod tests;

use core::net::SocketAddr;

use heapless::Vec;

pub use servers::parse_resolv_conf;

use self::cache::Cache;
use self::plan::{Answer, Plan};
use self::query::{LINKS, Miss, QUERIES, Query, Servers, WRONG};
use crate::base::limits::{CANDIDATES, DNS_NAMES, LOOKUPS};
use crate::base::net::Transport;
use crate::base::random::{Purpose, Random};
use crate::base::table::{Handle, Table};
use crate::base::text::Writer;
use crate::base::time::{Instant, earliest};
use crate::wire::dns::{Data, Kind, Message, Name, QUERY_BYTES, Rcode};

/// A lookup may take so long. With an address in hand, it does with that.
const LOOKUP_MS: u64 = 12_000;
/// Largest answer that is read over TCP, with the two bytes of its length: the caller's window has to hold it.
pub const STREAM_ANSWER_BYTES: usize = 8 * 1024;
/// Room that [`Resolver::step`] needs in its buffer: the longest query, with two bytes of length.
pub const STEP_BYTES: usize = 2 + QUERY_BYTES;

/// The DNS client: lookups under way, and what is remembered of those that were.
pub struct Resolver {
    lookups: Table<Lookup, LOOKUPS>,
    cache: Cache,
    servers: Servers,
    can: Families,
    offered: Offered,
    counters: Counters,
}

/// What is looked for.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// Of which service.
    pub service: Service,
    /// A domain name, with or without a dot at the end; not an address.
    pub host: &'a [u8],
    /// The port in the URI. When there is one, it is that of the host, and no service is asked for.
    pub port: Option<u16>,
    /// The transport in the URI. For XMPP: the only one that will do, TLS from the first byte or TCP.
    pub transport: Option<Transport>,
    /// Whether it is a sips URI: nothing but TLS will do.
    pub secure: bool,
}

/// What a domain may have servers for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Service {
    /// SIP, as RFC 3263 finds it.
    Sip,
    /// Clients of XMPP (RFC 6120 §3.2, XEP-0368): by SRV, those of TCP and those of TLS from the first byte in one order;
    /// else the domain itself, at port 5222 of TCP.
    XmppClient,
    /// Whatever is at the port of the host; without a port nothing is found. TCP, if no transport is said.
    Host,
}

/// A place where a request may be sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Candidate {
    /// By what.
    pub transport: Transport,
    /// To where.
    pub address: SocketAddr,
}

/// Places, best first; at least one.
pub type Candidates = Vec<Candidate, CANDIDATES>;

/// Families of addresses we can send to.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Families {
    /// IPv4.
    pub v4: bool,
    /// IPv6.
    pub v6: bool,
}

/// Transports we can send by.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Offered {
    /// UDP.
    pub udp: bool,
    /// TCP.
    pub tcp: bool,
    /// TLS over TCP.
    pub tls: bool,
}

/// Names a lookup that is under way.
pub type LookupHandle = Handle<Lookup>;

/// What [`Resolver::locate`] knows at once.
// Without an allocator there is no smaller way to say it.
#[allow(clippy::large_enum_variant)]
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Located {
    /// The places.
    Ready(Candidates),
    /// They are being looked up: [`Resolver::finished`] will tell.
    Pending(LookupHandle),
    /// There are none.
    Failed(Failure),
}

/// Why there are no places.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Failure {
    /// There is no such name, or it has no place that we can send to in the way that is wanted.
    NoSuchName,
    /// No server answered, or none was willing to.
    NoAnswer,
    /// Too many names are being looked up.
    Busy,
    /// No name server is known.
    NoServers,
    /// It is no domain name.
    BadName,
}

/// What a lookup has for the world to do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Step {
    /// Open a fresh UDP socket on a port that the system chooses, and tell [`Resolver::opened`].
    Open {
        /// The name server that it has to reach.
        to: SocketAddr,
    },
    /// Send what was written by it.
    Send {
        /// The name server.
        to: SocketAddr,
    },
    /// Close the socket: what still comes by it is not wanted.
    Close,
    /// Connect by TCP, and tell [`Resolver::connected`] or [`Resolver::stream_closed`].
    Connect {
        /// The name server.
        to: SocketAddr,
    },
    /// Send what was written by the connection.
    SendStream,
    /// Close the connection.
    CloseStream,
}

/// Counts since the start, for `pcsctl status`.
#[derive(Clone, Copy, Default, Debug, serde::Serialize)]
pub struct Counters {
    /// Lookups begun.
    pub lookups: u64,
    /// Questions whose outcome was known.
    pub hits: u64,
    /// Queries sent.
    pub queries: u64,
    /// Attempts without an answer in time.
    pub timeouts: u64,
    /// Servers that can't or won't answer, or whose answer can't be read.
    pub refused: u64,
    /// Datagrams that are not the answer to what was asked, or not from the server that was.
    pub wrong: u64,
    /// Answers that did not fit a datagram.
    pub truncated: u64,
}

/// One lookup under way.
pub struct Lookup {
    key: u64,
    random: Random,
    plan: Plan,
    query: Query,
    ends_at: Instant,
    is_done: bool,
    /// Some of what it knows comes from servers that are no longer asked.
    is_outdated: bool,
}

impl Resolver {
    /// No servers, nothing known.
    pub const fn new() -> Self {
        Self {
            lookups: Table::new(),
            cache: Cache::new(),
            servers: Servers::new(),
            can: Families { v4: false, v6: false },
            offered: Offered { udp: false, tcp: false, tls: false },
            counters: Counters { lookups: 0, hits: 0, queries: 0, timeouts: 0, refused: 0, wrong: 0, truncated: 0 },
        }
    }

    /// Takes the name servers, most liked first, and what we can send by. Other servers may know other names: what came
    /// from the old ones is forgotten then, and lookups that are under way ask the new ones.
    pub fn configure(&mut self, servers: &[SocketAddr], can: Families, offered: Offered) {
        (self.can, self.offered) = (can, offered);
        let servers = servers.iter().copied().take(self.servers.list.capacity()).collect();
        if self.servers.list == servers {
            return;
        }
        self.servers.replace(servers);
        self.cache.forget_outcomes();
        for index in 0..LOOKUPS {
            let servers = &self.servers;
            let Some(lookup) = self.lookups.handle_at(index).and_then(|handle| self.lookups.get_mut(handle)) else {
                continue;
            };
            lookup.is_outdated = true;
            match (lookup.is_done, servers.list.is_empty()) {
                (true, _) => {}
                (false, false) => lookup.query.restart(servers),
                (false, true) => lookup.cut_short(),
            }
        }
    }

    /// Looks a name up. `Pending` lookups with the same question are one lookup; whoever wants its outcome remembers the
    /// handle.
    pub fn locate(&mut self, now: Instant, random: &mut Random, wanted: &Wanted<'_>) -> Located {
        let Ok(name) = Name::from_text(wanted.host) else { return Located::Failed(Failure::BadName) };
        let key = self.key(random, wanted);
        if let Some(candidates) = self.cache.get(now, key) {
            self.counters.hits += 1;
            return match candidates.is_empty() {
                true => Located::Failed(Failure::NoSuchName),
                false => Located::Ready(self.cache.sorted(now, candidates)),
            };
        }
        if let Some((handle, _)) = self.lookups.iter().find(|(_, lookup)| lookup.key == key) {
            return Located::Pending(handle);
        }
        match self.begin(now, random, key, name, wanted) {
            Ok(handle) => Located::Pending(handle),
            Err(failure) => Located::Failed(failure),
        }
    }

    /// What a lookup wants done next; its bytes go into `out`, which has room for [`STEP_BYTES`]. `None`: it waits.
    pub fn step(&mut self, now: Instant, lookup: usize, out: &mut Writer<'_>) -> Option<Step> {
        let lookup = self.lookups.get_mut(self.lookups.handle_at(lookup)?)?;
        let step = lookup.query.step(now, &self.servers, &mut lookup.random, out);
        self.counters.queries += u64::from(matches!(step, Some(Step::Send { .. } | Step::SendStream)));
        step
    }

    /// Whether [`Resolver::step`] would say something.
    pub fn is_ready(&self, lookup: usize) -> bool {
        self.lookups
            .handle_at(lookup)
            .and_then(|handle| self.lookups.get(handle))
            .is_some_and(|lookup| lookup.query.is_ready())
    }

    /// The socket of a lookup is open, or could not be opened.
    pub fn opened(&mut self, _now: Instant, lookup: usize, ok: bool) {
        self.with(lookup, |lookup, servers, _| {
            if !lookup.query.opened(ok) {
                lookup.missed(Miss::Silent, servers);
            }
        });
    }

    /// A datagram came to the socket of a lookup.
    pub fn received(&mut self, _now: Instant, lookup: usize, from: SocketAddr, bytes: &[u8]) {
        self.with(lookup, |lookup, servers, counters| {
            if !lookup.query.is_waiting() {
                counters.wrong += 1;
                return;
            }
            if let Some(message) = lookup.query.accept(servers, Some(from), bytes) {
                return lookup.heard(&message, false, servers, counters);
            }
            counters.wrong += 1;
            lookup.query.wrong += 1;
            if lookup.query.wrong >= WRONG {
                lookup.missed(Miss::Silent, servers);
            }
        });
    }

    /// The connection of a lookup is up.
    pub fn connected(&mut self, _now: Instant, lookup: usize) {
        self.with(lookup, |lookup, _, _| lookup.query.connected());
    }

    /// Takes what the connection of a lookup has received so far and was not taken yet; the number of bytes taken. An
    /// answer is taken as a whole: the window has to hold [`STREAM_ANSWER_BYTES`].
    pub fn stream_received(&mut self, _now: Instant, lookup: usize, bytes: &[u8]) -> usize {
        let mut taken = bytes.len();
        self.with(lookup, |lookup, servers, counters| {
            if !lookup.query.is_waiting_for_stream() {
                return;
            }
            let needed = bytes.first_chunk().map(|len| 2 + usize::from(u16::from_be_bytes(*len)));
            if needed.is_some_and(|needed| needed > STREAM_ANSWER_BYTES) {
                counters.refused += 1;
                return lookup.missed(Miss::Refused, servers);
            }
            let Some(answer) = needed.and_then(|needed| bytes.get(2..needed)) else {
                taken = 0;
                return;
            };
            taken = 2 + answer.len();
            match lookup.query.accept(servers, None, answer) {
                Some(message) => lookup.heard(&message, true, servers, counters),
                None => {
                    counters.wrong += 1;
                    lookup.missed(Miss::Silent, servers);
                }
            }
        });
        taken
    }

    /// The connection of a lookup is gone, or never came up.
    pub fn stream_closed(&mut self, _now: Instant, lookup: usize) {
        self.with(lookup, |lookup, servers, _| {
            if lookup.query.stream_closed() {
                lookup.missed(Miss::Silent, servers);
            }
        });
    }

    /// When [`Resolver::due`] is to be called for a lookup.
    pub fn deadline(&self, lookup: usize) -> Option<Instant> {
        let lookup = self.lookups.get(self.lookups.handle_at(lookup)?)?;
        if lookup.is_done { None } else { earliest(Some(lookup.ends_at), lookup.query.deadline) }
    }

    /// The deadline of a lookup has come. Too early or too often does no harm.
    pub fn due(&mut self, now: Instant, lookup: usize) {
        self.with(lookup, |lookup, servers, counters| {
            let has_passed = |deadline: Option<Instant>| deadline.is_some_and(|deadline| deadline <= now);
            match (lookup.is_done, has_passed(Some(lookup.ends_at)), has_passed(lookup.query.deadline)) {
                (true, ..) | (_, false, false) => return,
                (_, true, _) => lookup.cut_short(),
                (_, false, true) => lookup.missed(Miss::Silent, servers),
            }
            counters.timeouts += 1;
        });
    }

    /// A lookup that is over, with its outcome: each once. It has nothing open any more, and its slot is free.
    pub fn finished(&mut self, now: Instant) -> Option<(LookupHandle, Result<Candidates, Failure>)> {
        let is_over = |lookup: &Lookup| lookup.is_done && lookup.query.is_closed();
        let (handle, _) = self.lookups.iter().find(|(_, lookup)| is_over(lookup))?;
        let mut lookup = self.lookups.remove(handle)?;
        let (outcome, ttl_s) = lookup.plan.outcome();
        if let Some(ttl_s) = ttl_s.filter(|_| !lookup.is_outdated) {
            self.cache.keep(now, lookup.key, outcome.as_ref().unwrap_or(&Vec::new()), ttl_s);
        }
        let outcome = if self.servers.list.is_empty() { outcome.map_err(|_| Failure::NoServers) } else { outcome };
        Some((handle, outcome.map(|candidates| self.cache.sorted(now, &candidates))))
    }

    /// A place did not answer, or said 503 (RFC 3263 §4.3): for a minute it is tried after all others.
    pub fn report_failed(&mut self, now: Instant, address: SocketAddr, transport: Transport) {
        self.cache.failed(now, address, transport);
    }

    /// Forgets everything that was learned. Lookups under way go on.
    pub fn flush(&mut self) {
        self.cache.flush();
    }

    /// Whether nothing is being looked up.
    pub const fn is_at_rest(&self) -> bool {
        self.lookups.is_empty()
    }

    /// Counts since the start.
    pub const fn counters(&self) -> Counters {
        self.counters
    }

    /// Lookups under way and outcomes kept.
    pub fn usage(&self) -> (usize, usize) {
        (self.lookups.len(), self.cache.len())
    }

    /// Name, capacity and bytes of each table.
    pub const fn footprint() -> [(&'static str, usize, usize); 2] {
        [
            ("lookups", LOOKUPS, size_of::<Table<Lookup, LOOKUPS>>()),
            ("names", DNS_NAMES, size_of::<Self>() - size_of::<Table<Lookup, LOOKUPS>>()),
        ]
    }

    fn begin(
        &mut self,
        now: Instant,
        random: &mut Random,
        key: u64,
        name: Name,
        wanted: &Wanted<'_>,
    ) -> Result<LookupHandle, Failure> {
        if self.servers.list.is_empty() {
            return Err(Failure::NoServers);
        }
        if self.lookups.is_full() {
            return Err(Failure::Busy);
        }
        let (plan, first) = Plan::begin(name, wanted, self.can, self.offered)?;
        let query = Query::new(first, &self.servers);
        let lookup = Lookup {
            key,
            random: fork(random),
            plan,
            query,
            ends_at: now.plus(LOOKUP_MS),
            is_done: false,
            is_outdated: false,
        };
        self.counters.lookups += 1;
        self.lookups.insert(lookup).map_err(|_| Failure::Busy)
    }

    /// What tells a question from others: all that its outcome depends on.
    fn key(&self, random: &Random, wanted: &Wanted<'_>) -> u64 {
        let Self { can, offered, .. } = self;
        let mut hash = random.hash(Purpose::Table);
        hash.put_lower(wanted.host.strip_suffix(b".").unwrap_or(wanted.host));
        hash.put(&wanted.port.unwrap_or(0).to_le_bytes());
        hash.put(&[wanted.service as u8]);
        let flags = [wanted.port.is_some(), wanted.secure, can.v4, can.v6, offered.udp, offered.tcp, offered.tls];
        hash.put(&flags.map(u8::from));
        hash.put(wanted.transport.map_or("", Transport::name).as_bytes());
        hash.finish()
    }

    fn with(&mut self, lookup: usize, change: impl FnOnce(&mut Lookup, &mut Servers, &mut Counters)) {
        if let Some(lookup) = self.lookups.handle_at(lookup).and_then(|handle| self.lookups.get_mut(handle)) {
            change(lookup, &mut self.servers, &mut self.counters);
        }
    }
}

impl Default for Resolver {
    fn default() -> Self {
        Self::new()
    }
}

impl Families {
    fn has(self, kind: Kind) -> bool {
        (kind == Kind::A && self.v4) || (kind == Kind::AAAA && self.v6)
    }
}

impl Offered {
    /// Whether a transport is among them.
    pub const fn has(self, transport: Transport) -> bool {
        match transport {
            Transport::Udp => self.udp,
            Transport::Tcp => self.tcp,
            Transport::Tls => self.tls,
        }
    }

    /// Those that are there, in the order in which RFC 3263 §4.1 likes them for a sip URI that leaves it open.
    fn all(self) -> impl Iterator<Item = Transport> {
        [Transport::Udp, Transport::Tcp, Transport::Tls].into_iter().filter(move |transport| self.has(*transport))
    }
}

impl Lookup {
    /// Takes the answer to the question.
    fn heard(&mut self, message: &Message<'_>, is_stream: bool, servers: &mut Servers, counters: &mut Counters) {
        let may_ask = self.query.sent < QUERIES;
        if message.is_truncated() && !is_stream && may_ask {
            counters.truncated += 1;
            return self.query.over_stream();
        }
        let rcode = message.rcode();
        if may_ask && matches!(rcode, Rcode::FORMAT_ERROR | Rcode::NOT_IMPLEMENTED) && self.query.without_edns() {
            return;
        }
        let is_known = matches!(rcode, Rcode::NO_ERROR | Rcode::NAME_ERROR);
        let is_empty = |message: &Message<'_>| message.records().is_ok_and(|records| records.answer().next().is_none());
        if !is_known || message.records().is_err() || (is_empty(message) && !message.is_competent()) {
            counters.refused += 1;
            return self.missed(Miss::Refused, servers);
        }
        self.query.is_answered(servers);
        self.understood(message, servers);
    }

    /// Follows aliases from the name asked for to its records (RFC 1034 §3.6.2), in this response and, if the server
    /// left that to us, by another question.
    fn understood(&mut self, message: &Message<'_>, servers: &mut Servers) {
        let Ok(records) = message.records() else { return };
        let kind = self.query.kind;
        let mut owner = self.query.name.clone();
        loop {
            let of_owner = || records.answer().filter(|record| record.owner == owner);
            if of_owner().any(|record| record.data.kind() == kind) {
                let ttl_s = self.query.ttl_s;
                return self.answered(Answer::Records { owner: &owner, records: &records, ttl_s }, servers);
            }
            let alias = of_owner().find_map(|record| match record.data {
                Data::Cname(name) => Some((name, record.ttl_s)),
                _ => None,
            });
            let Some((name, ttl_s)) = alias else { break };
            self.query.links += 1;
            self.query.ttl_s = self.query.ttl_s.min(ttl_s);
            if self.query.links > LINKS {
                log::info!("the aliases of {owner} lead nowhere");
                return self.answered(Answer::Nothing { ttl_s: None }, servers);
            }
            owner = name;
        }
        let ttl_s = records.negative_ttl_s();
        let is_alias = owner != self.query.name;
        if is_alias && ttl_s.is_none() && message.rcode() == Rcode::NO_ERROR && self.query.sent < QUERIES {
            return self.query.follow(owner, kind, servers);
        }
        self.answered(Answer::Nothing { ttl_s: ttl_s.map(|ttl_s| ttl_s.min(self.query.ttl_s)) }, servers);
    }

    fn missed(&mut self, miss: Miss, servers: &mut Servers) {
        if miss == Miss::Silent && self.plan.is_useful() {
            return self.cut_short();
        }
        match self.query.missed(miss, servers) {
            Ok(()) => {}
            Err(Miss::Refused) => self.answered(Answer::Refused, servers),
            Err(Miss::Silent) => self.cut_short(),
        }
    }

    fn answered(&mut self, answer: Answer<'_>, servers: &Servers) {
        match self.plan.answered(answer, &mut self.random) {
            Some(question) if self.query.sent < QUERIES => self.query.ask(question, servers),
            Some(_) => self.cut_short(),
            None => self.end(),
        }
    }

    fn cut_short(&mut self) {
        self.plan.cut_short();
        self.end();
    }

    fn end(&mut self) {
        self.is_done = true;
        self.query.end();
    }
}

/// Random numbers for one lookup, which nobody can tell from those of another.
fn fork(random: &mut Random) -> Random {
    let mut key = [0; 16];
    key[..8].copy_from_slice(&random.number().to_le_bytes());
    key[8..].copy_from_slice(&random.number().to_le_bytes());
    let mut fork = Random::new();
    fork.seed(key, key);
    fork
}
