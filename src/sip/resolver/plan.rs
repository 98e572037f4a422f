//! From a name to places: which questions RFC 3263 §4 has asked, one after the other, and what their answers come to.
//!
//! For SIP, NAPTR leads to SRV, SRV to hosts, hosts to addresses; each of them may be skipped or missing (§4.1, §4.2). Services
//! of a higher NAPTR order are looked at only when those of a lower one led nowhere (RFC 3403 §4.1). Left out: NAPTR
//! flags other than `s`, transports other than UDP, TCP and TLS over TCP. For XMPP both services are asked for before any
//! host, and their targets tried in one order (XEP-0368 §3).

use core::net::{IpAddr, SocketAddr};

use heapless::Vec;

use super::{Candidate, Candidates, Failure, Families, Offered, Service, Wanted};
use crate::base::limits::CANDIDATES;
use crate::base::net::Transport;
use crate::base::random::Random;
use crate::wire::dns::{Data, Kind, Name, Naptr, Record, Records, Srv};

/// Services of one domain. More: the least preferred are left out.
const SERVICES: usize = 4;
/// Hosts of all its services. More: the least preferred are left out.
const TARGETS: usize = 8;
/// Addresses of all its hosts. More: left out.
const ADDRESSES: usize = 16;
/// Addresses of one host in one family. More: left out.
const ADDRESSES_PER_FAMILY: usize = 4;
/// An outcome is kept at least so long.
const KEPT_MIN_S: u32 = 5;
/// An outcome is kept at most so long.
const KEPT_MAX_S: u32 = 3600;
/// An outcome to which it belongs that something is not there is kept at most so long.
const NEGATIVE_MAX_S: u32 = 300;
/// An outcome to which something is missing that no server answered is kept at most so long.
const PARTIAL_MAX_S: u32 = 60;

/// One question.
pub(super) type Question = (Name, Kind);

/// What came of a question.
pub(super) enum Answer<'a> {
    /// There are records of the type asked for.
    Records {
        /// Whose they are: the name asked for, or what it stands for.
        owner: &'a Name,
        /// All of the response.
        records: &'a Records<'a>,
        /// Least time to live on the way from the name asked for to the owner.
        ttl_s: u32,
    },
    /// There is no such record, or no such name.
    Nothing {
        /// How long that holds, if the server said so.
        ttl_s: Option<u32>,
    },
    /// Every server refused.
    Refused,
}

/// The way from one name to its places.
pub(super) struct Plan {
    wanted: Service,
    host: Name,
    can: Families,
    offered: Offered,
    asked: Kind,
    /// Sorted by order and preference.
    services: Vec<Offering, SERVICES>,
    /// Services before this one have been asked for.
    service: usize,
    /// In the order in which they are tried, service by service.
    targets: Vec<Target, TARGETS>,
    /// Targets before this one have given their candidates.
    target: usize,
    found: Vec<Found, ADDRESSES>,
    candidates: Candidates,
    /// Least time to live of what is there.
    ttl_s: u32,
    /// Least time for which it holds that something is not there.
    negative_ttl_s: u32,
    /// Bound for how long the outcome is kept.
    kept_max_s: u32,
    /// The domain has said where its services are, or its own addresses were asked for already.
    is_host_done: bool,
    is_unanswered: bool,
}

struct Offering {
    order: u16,
    preference: u16,
    transport: Transport,
    name: Name,
}

struct Target {
    priority: u16,
    weight: u16,
    port: u16,
    transport: Transport,
    host: Name,
    /// Families whose addresses are known or were asked for. Used in the first target of a host only.
    asked: u8,
}

/// An address of a host.
struct Found {
    /// The first target of that host.
    target: u8,
    ip: IpAddr,
}

impl Plan {
    /// Begins with the first question, unless nothing can come of it.
    pub fn begin(
        host: Name,
        wanted: &Wanted<'_>,
        can: Families,
        offered: Offered,
    ) -> Result<(Self, Question), Failure> {
        // sips is never downgraded; in such a URI, tcp stands for TLS over it (RFC 3261 §26.2.2).
        let offered = if wanted.secure { Offered { udp: false, tcp: false, ..offered } } else { offered };
        let explicit = match wanted.transport {
            Some(Transport::Tcp) if wanted.secure => Some(Transport::Tls),
            transport => transport,
        };
        let usual = if wanted.service == Service::Sip { offered.all().next() } else { Some(Transport::Tcp) };
        let transport = explicit.or(usual).filter(|transport| offered.has(*transport));
        let Some(transport) = transport.filter(|_| can.v4 || can.v6) else { return Err(Failure::NoSuchName) };
        let mut plan = Self {
            wanted: wanted.service,
            host,
            can,
            offered,
            asked: Kind::NAPTR,
            services: Vec::new(),
            service: 0,
            targets: Vec::new(),
            target: 0,
            found: Vec::new(),
            candidates: Vec::new(),
            ttl_s: u32::MAX,
            negative_ttl_s: u32::MAX,
            kept_max_s: KEPT_MAX_S,
            is_host_done: false,
            is_unanswered: false,
        };
        let first = match (wanted.port, wanted.service, explicit) {
            (Some(port), ..) => {
                plan.go_to_host(transport, port);
                plan.next()
            }
            (None, Service::Sip, None) => Some((plan.host.clone(), Kind::NAPTR)),
            (None, Service::Sip, Some(_)) => {
                plan.expect_service(transport);
                plan.next()
            }
            (None, Service::XmppClient, _) => {
                let will_do = |kind: &Transport| offered.has(*kind) && explicit.is_none_or(|only| only == *kind);
                for transport in [Transport::Tls, Transport::Tcp].into_iter().filter(will_do) {
                    plan.expect_service(transport);
                }
                if plan.services.is_empty() {
                    return Err(Failure::NoSuchName);
                }
                plan.next()
            }
            (None, Service::Host, _) => return Err(Failure::NoSuchName),
        };
        first.map(|first| (plan, first)).ok_or(Failure::BadName)
    }

    /// Takes what came of the last question; the next one, or `None` when all is known.
    pub fn answered(&mut self, answer: Answer<'_>, random: &mut Random) -> Option<Question> {
        match answer {
            Answer::Records { owner, records, ttl_s } => {
                let of_owner = || records.answer().filter(|record| record.owner == *owner);
                self.ttl_s = of_owner().map(|record| record.ttl_s).fold(self.ttl_s.min(ttl_s), u32::min);
                match self.asked {
                    Kind::NAPTR => of_owner().for_each(|record| self.add_service(record.data)),
                    Kind::SRV => self.add_targets(of_owner(), records, random),
                    _ => {
                        let first = self.first_of_host(self.target);
                        of_owner().for_each(|record| _ = self.add_address(first, &record));
                    }
                }
            }
            Answer::Nothing { ttl_s } => {
                self.negative_ttl_s = self.negative_ttl_s.min(ttl_s.unwrap_or(0));
                self.kept_max_s = self.kept_max_s.min(NEGATIVE_MAX_S);
            }
            // A server that can't do NAPTR may well know the rest.
            Answer::Refused if self.asked == Kind::NAPTR => {}
            Answer::Refused => {
                self.is_unanswered = true;
                // Perhaps there are services: to go to the host itself would be a guess.
                self.is_host_done |= self.asked == Kind::SRV;
                self.kept_max_s = self.kept_max_s.min(PARTIAL_MAX_S);
            }
        }
        if self.asked == Kind::NAPTR && self.services.is_empty() {
            let offered = self.offered;
            offered.all().for_each(|transport| self.expect_service(transport));
        }
        self.next()
    }

    /// Whether there is an address to go to, so that it is not worth waiting for a server that is silent.
    pub fn is_useful(&self) -> bool {
        !self.candidates.is_empty() || !self.found.is_empty()
    }

    /// Does with what is known.
    pub fn cut_short(&mut self) {
        self.kept_max_s = self.kept_max_s.min(PARTIAL_MAX_S);
        self.is_unanswered = true;
        while self.target < self.targets.len() {
            self.take_target();
        }
    }

    /// The outcome, and for how many seconds it may be kept.
    pub fn outcome(&mut self) -> (Result<Candidates, Failure>, Option<u32>) {
        let candidates = core::mem::take(&mut self.candidates);
        if !candidates.is_empty() {
            // What is there is not kept for less because something else is not: few servers say how long that holds.
            return (Ok(candidates), Some(self.ttl_s.clamp(KEPT_MIN_S, self.kept_max_s)));
        }
        if self.is_unanswered {
            return (Err(Failure::NoAnswer), None);
        }
        let ttl_s = self.ttl_s.min(self.negative_ttl_s).clamp(KEPT_MIN_S, NEGATIVE_MAX_S);
        (Err(Failure::NoSuchName), Some(ttl_s))
    }

    fn next(&mut self) -> Option<Question> {
        loop {
            let question = match self.wanted {
                Service::XmppClient => self.next_service().or_else(|| self.next_address()),
                Service::Sip | Service::Host => self.next_address().or_else(|| self.next_service()),
            };
            if let Some((_, kind)) = question {
                self.asked = kind;
                return question;
            }
            if !self.candidates.is_empty() || self.is_host_done {
                return None;
            }
            let transport = self.services.first().map(|service| service.transport);
            let transport = transport.or_else(|| self.offered.all().next())?;
            let is_offered = |kind: Transport| self.services.iter().any(|service| service.transport == kind);
            match self.wanted {
                Service::XmppClient if is_offered(Transport::Tcp) => self.go_to_host(Transport::Tcp, XMPP_PORT),
                Service::XmppClient => self.go_to_host(Transport::Tls, XMPPS_PORT),
                Service::Sip | Service::Host => self.go_to_host(transport, transport.default_port()),
            }
        }
    }

    fn next_service(&mut self) -> Option<Question> {
        if self.candidates.is_full() {
            return None;
        }
        let service = self.services.get(self.service)?;
        let before = self.service.checked_sub(1).and_then(|before| self.services.get(before));
        if !self.candidates.is_empty() && before.is_some_and(|before| before.order < service.order) {
            return None;
        }
        self.service += 1;
        Some((service.name.clone(), Kind::SRV))
    }

    fn next_address(&mut self) -> Option<Question> {
        while self.target < self.targets.len() && !self.candidates.is_full() {
            let first = self.first_of_host(self.target);
            for kind in [Kind::A, Kind::AAAA] {
                let host = self.targets.get_mut(first)?;
                if self.can.has(kind) && host.asked & family(kind) == 0 {
                    host.asked |= family(kind);
                    return Some((host.host.clone(), kind));
                }
            }
            self.take_target();
        }
        None
    }

    /// Makes candidates of the addresses of a target: of IPv6 and IPv4 in turn, so that one that does not work costs one
    /// attempt only.
    fn take_target(&mut self) {
        let first = self.first_of_host(self.target);
        let Some(target) = self.targets.get(self.target) else { return };
        self.target += 1;
        let of_host = || self.found.iter().filter(|found| usize::from(found.target) == first).map(|found| found.ip);
        let (mut v6, mut v4) = (of_host().filter(IpAddr::is_ipv6), of_host().filter(IpAddr::is_ipv4));
        loop {
            let pair = [v6.next(), v4.next()];
            if pair == [None, None] {
                return;
            }
            for ip in pair.into_iter().flatten() {
                let candidate = Candidate { transport: target.transport, address: SocketAddr::new(ip, target.port) };
                if !self.candidates.contains(&candidate) {
                    // When it is full, the least preferred are left out.
                    let _ = self.candidates.push(candidate);
                }
            }
        }
    }

    fn go_to_host(&mut self, transport: Transport, port: u16) {
        self.is_host_done = true;
        let target = Target { priority: 0, weight: 0, port, transport, host: self.host.clone(), asked: 0 };
        // It is only done when there are no others.
        let _ = self.targets.push(target);
    }

    /// Has a service looked for under the name that RFC 3263 §4.2 or XEP-0368 gives it. One whose name would be too long is not there.
    fn expect_service(&mut self, transport: Transport) {
        let labels = match (self.wanted, transport) {
            (Service::XmppClient, Transport::Tls) => "_xmpps-client._tcp",
            (Service::XmppClient, _) => "_xmpp-client._tcp",
            (_, Transport::Udp) => "_sip._udp",
            (_, Transport::Tcp) => "_sip._tcp",
            (_, Transport::Tls) => "_sips._tcp",
        };
        if let Ok(name) = self.host.below(labels) {
            // There are fewer transports than room for services.
            let _ = self.services.push(Offering { order: 0, preference: 0, transport, name });
        }
    }

    /// Adds what a NAPTR record offers, if it is for us (RFC 3263 §4.1).
    fn add_service(&mut self, data: Data<'_>) {
        let Data::Naptr(Naptr { order, preference, flags, service, regexp, replacement: name }) = data else { return };
        let transports =
            [(&b"SIP+D2U"[..], Transport::Udp), (b"SIP+D2T", Transport::Tcp), (b"SIPS+D2T", Transport::Tls)];
        let known = transports.into_iter().find(|(known, _)| known.eq_ignore_ascii_case(service));
        let Some((_, transport)) = known.filter(|(_, transport)| self.offered.has(*transport)) else { return };
        if !flags.eq_ignore_ascii_case(b"s") || !regexp.is_empty() || name.is_root() {
            return;
        }
        let rank = |service: &Offering| (service.order, service.preference);
        let service = Offering { order, preference, transport, name };
        let at = self.services.iter().position(|other| rank(other) > rank(&service)).unwrap_or(self.services.len());
        if self.services.is_full() && at < SERVICES {
            self.services.pop();
        }
        // There is room, unless it is the least preferred.
        let _ = self.services.insert(at, service);
    }

    /// Adds the hosts of the service that was asked for, and their addresses if the response has them.
    fn add_targets<'r>(
        &mut self,
        answer: impl Iterator<Item = Record<'r>>,
        records: &Records<'_>,
        random: &mut Random,
    ) {
        let asked = self.service.checked_sub(1).and_then(|service| self.services.get(service));
        let Some(transport) = asked.map(|service| service.transport) else { return };
        let is_one_order = self.wanted == Service::XmppClient;
        // A domain that has no TLS from the first byte may still have all else, without saying so.
        self.is_host_done |= !is_one_order || transport == Transport::Tcp || self.services.len() == 1;
        let mut targets: Vec<Target, TARGETS> =
            if is_one_order { core::mem::take(&mut self.targets) } else { Vec::new() };
        for record in answer {
            let Data::Srv(Srv { priority, weight, port, target: host }) = record.data else { continue };
            // The root: the service is decidedly not there.
            if host.is_root() || port == 0 {
                continue;
            }
            self.is_host_done = true;
            let target = Target { priority, weight, port, transport, host, asked: 0 };
            let Err(target) = targets.push(target) else { continue };
            let worst = targets.iter_mut().max_by_key(|other| (other.priority, u16::MAX - other.weight));
            if let Some(worst) = worst.filter(|worst| worst.priority > target.priority) {
                *worst = target;
            }
        }
        in_order(&mut targets, random);
        self.targets.extend(targets.into_iter().take(TARGETS - self.targets.len()));
        // Addresses know their target by its place, which is not the last one while another service is to come.
        if !is_one_order || self.service == self.services.len() {
            self.add_additional(records);
        }
    }

    /// Takes addresses that came with the targets. A family of which one address came is not asked for.
    fn add_additional(&mut self, records: &Records<'_>) {
        let asked_before: Vec<u8, TARGETS> = self.targets.iter().map(|target| target.asked).collect();
        for record in records.additional() {
            let kind = record.data.kind();
            if !self.can.has(kind) || !matches!(kind, Kind::A | Kind::AAAA) {
                continue;
            }
            let Some(first) = self.targets.iter().position(|target| target.host == record.owner) else { continue };
            if first >= self.target && asked_before[first] & family(kind) == 0 && self.add_address(first, &record) {
                self.targets[first].asked |= family(kind);
                self.ttl_s = self.ttl_s.min(record.ttl_s);
            }
        }
    }

    /// Adds an address of a host; whether it is one that can be gone to.
    fn add_address(&mut self, first: usize, record: &Record<'_>) -> bool {
        let ip = match record.data {
            Data::A(ip) if !(ip.is_unspecified() || ip.is_multicast() || ip.is_broadcast()) => IpAddr::V4(ip),
            Data::Aaaa(ip) if !(ip.is_unspecified() || ip.is_multicast() || ip.to_ipv4_mapped().is_some()) => {
                IpAddr::V6(ip)
            }
            _ => return false,
        };
        let same = |found: &&Found| usize::from(found.target) == first && found.ip.is_ipv4() == ip.is_ipv4();
        self.found.iter().filter(same).count() < ADDRESSES_PER_FAMILY
            && self.found.push(Found { target: first as u8, ip }).is_ok()
    }

    /// The first target with the host of the one at `at`: several services of one host share its addresses.
    fn first_of_host(&self, at: usize) -> usize {
        let host = self.targets.get(at).map(|target| &target.host);
        self.targets.iter().position(|target| Some(&target.host) == host).unwrap_or(at)
    }
}

/// The bit of an address family.
fn family(kind: Kind) -> u8 {
    if kind == Kind::A { 1 } else { 2 }
}

/// Puts targets in the order in which they are to be tried: by priority, and among equals by lot, in which a target's
/// chance to come next is its share of the weights (RFC 2782, "Usage rules").
fn in_order(targets: &mut [Target], random: &mut Random) {
    // Those of no weight come first, so that they have a small chance.
    targets.sort_unstable_by_key(|target| (target.priority, target.weight));
    let mut rest = targets;
    while let Some(first) = rest.first() {
        let priority = first.priority;
        let equals = rest.iter().take_while(|target| target.priority == priority);
        let sum: u32 = equals.map(|target| u32::from(target.weight)).sum();
        let lot = random.below(sum + 1);
        let mut running = 0;
        let chosen = rest.iter().position(|target| {
            running += u32::from(target.weight);
            running >= lot
        });
        // The others keep their order: those of no weight stay in front.
        rest[..=chosen.unwrap_or(0)].rotate_right(1);
        rest = &mut rest[1..];
    }
}

/// RFC 6120 §3.2.2.
const XMPP_PORT: u16 = 5222;
/// Where servers took clients over TLS before there was a service for it.
const XMPPS_PORT: u16 = 5223;
const _: () = assert!(CANDIDATES >= 2 * ADDRESSES_PER_FAMILY, "all addresses of one host can be tried");
