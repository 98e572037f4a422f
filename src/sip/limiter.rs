//! Rate limit by source address, asked before a packet is parsed: a bucket of credit for each source.
//!
//! Ordinary traffic of a phone never comes near the limit. Malformed messages and wrong passwords cost many times an
//! ordinary message, so a scanner runs dry at once and its packets are then dropped unread. An IPv6 source is its /64.

use core::net::IpAddr;

use crate::base::limits::SOURCES;
use crate::base::net::octets;
use crate::base::random::{Purpose, Random};
use crate::base::table::{Index, Table};
use crate::base::time::Instant;

/// Messages a source may send at once.
const BURST: i32 = 400;
/// Messages a source may send each second in the long run.
const REFILL_PER_S: i32 = 60;
/// What a malformed message costs.
pub const MALFORMED_COST: i32 = 10;
/// What a wrong password or an unknown name costs.
pub const REFUSED_COST: i32 = 30;

/// The buckets.
pub struct Limiter {
    sources: Table<Source, SOURCES>,
    index: Index<{ 2 * SOURCES }>,
    /// Where the next search for a source to drop begins.
    hand: usize,
}

struct Source {
    key: [u8; 16],
    hash: u32,
    /// Thousandths of a message; negative when they are owed.
    credit: i32,
    at: Instant,
}

impl Limiter {
    /// No source known.
    pub const fn new() -> Self {
        Self { sources: Table::new(), index: Index::new(), hand: 0 }
    }

    /// Takes the cost of one message; whether it may be read. One that may not costs nothing, or a source that always
    /// sends a little too much would never be heard at all.
    pub fn admit(&mut self, now: Instant, random: &Random, ip: IpAddr) -> bool {
        self.refilled(now, random, ip).is_none_or(|source| {
            let enough = source.credit >= 1000;
            source.credit -= if enough { 1000 } else { 0 };
            enough
        })
    }

    /// Takes `cost` messages' worth of credit; whether there was enough. What is owed is at most one burst.
    pub fn charge(&mut self, now: Instant, random: &Random, ip: IpAddr, cost: i32) -> bool {
        self.refilled(now, random, ip).is_none_or(|source| {
            let enough = source.credit >= cost * 1000;
            source.credit = (source.credit - cost * 1000).max(-BURST * 1000);
            enough
        })
    }

    /// A source with the credit that it has by now.
    fn refilled(&mut self, now: Instant, random: &Random, ip: IpAddr) -> Option<&mut Source> {
        let source = self.source(now, random, ip)?;
        let gained = now.since(source.at).min(60_000) as i32 * REFILL_PER_S;
        source.at = now;
        source.credit = (source.credit + gained).min(BURST * 1000);
        Some(source)
    }

    /// Number of sources being watched.
    pub const fn len(&self) -> usize {
        self.sources.len()
    }

    /// Whether no source is being watched.
    pub const fn is_empty(&self) -> bool {
        self.sources.is_empty()
    }

    fn source(&mut self, now: Instant, random: &Random, ip: IpAddr) -> Option<&mut Source> {
        let key = source_of(ip);
        let mut hash = random.hash(Purpose::Table);
        hash.put(&key);
        let hash = hash.finish() as u32;
        let sources = &self.sources;
        let is_it = |at: usize| sources.handle_at(at).and_then(|it| sources.get(it)).is_some_and(|it| it.key == key);
        let handle = match self.index.find(hash, is_it) {
            Some(at) => self.sources.handle_at(at)?,
            None => {
                if self.sources.is_full() {
                    self.drop_quietest();
                }
                let source = Source { key, hash, credit: BURST * 1000, at: now };
                let handle = self.sources.insert(source).ok()?;
                self.index.insert(hash, handle.index());
                handle
            }
        };
        self.sources.get_mut(handle)
    }

    /// Drops the quietest of the next few sources: under a flood from many addresses a whole search each time is too much.
    fn drop_quietest(&mut self) {
        const LOOKED_AT: usize = 16;
        let candidates = (0..LOOKED_AT.min(SOURCES)).map(|i| (self.hand + i) % SOURCES);
        let quietest = candidates
            .filter_map(|at| self.sources.handle_at(at))
            .min_by_key(|handle| self.sources.get(*handle).map(|source| source.at));
        self.hand = (self.hand + LOOKED_AT) % SOURCES;
        if let Some(source) = quietest.and_then(|handle| Some((handle, self.sources.remove(handle)?))) {
            self.index.remove(source.1.hash, source.0.index());
        }
    }
}

impl Default for Limiter {
    fn default() -> Self {
        Self::new()
    }
}

/// What counts as one source: an address, or the /64 of an IPv6 address, as whoever has one of these has all.
pub fn source_of(ip: IpAddr) -> [u8; 16] {
    let mut key = octets(ip);
    if ip.to_canonical().is_ipv6() {
        key[8..].fill(0);
    }
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn burst_then_trickle() {
        let (mut limiter, random) = (std::boxed::Box::new(Limiter::new()), Random::new());
        let ip: IpAddr = "192.0.2.9".parse().unwrap();
        let admitted = |limiter: &mut Limiter, now| (0..1000).filter(|_| limiter.admit(now, &random, ip)).count();
        assert_eq!(admitted(&mut limiter, Instant::ZERO), BURST as usize);
        assert_eq!(admitted(&mut limiter, Instant::from_millis(1000)), REFILL_PER_S as usize);
        assert!(limiter.admit(Instant::from_millis(1000), &random, "192.0.2.10".parse().unwrap()));
        // A scanner with wrong passwords is stopped after a few.
        let scanner: IpAddr = "2001:db8::1".parse().unwrap();
        let neighbour: IpAddr = "2001:db8::2".parse().unwrap();
        let tries = (0..100).filter(|_| limiter.charge(Instant::ZERO, &random, scanner, REFUSED_COST)).count();
        assert_eq!(tries, 13);
        assert_eq!((0..100).filter(|_| limiter.admit(Instant::ZERO, &random, neighbour)).count(), 0);
    }

    #[test]
    fn a_little_too_much_is_heard_as_far_as_allowed() {
        let (mut limiter, random) = (std::boxed::Box::new(Limiter::new()), Random::new());
        let ip: IpAddr = "192.0.2.9".parse().unwrap();
        // 100 messages each second for a minute.
        let moments = (0..6_000).map(|i| Instant::from_millis(i * 10));
        let heard = moments.filter(|now| limiter.admit(*now, &random, ip)).count();
        let allowed = (BURST + 60 * REFILL_PER_S) as usize;
        assert!(heard >= allowed - 2 && heard <= allowed, "{heard}");
    }

    #[test]
    fn full_table_drops_a_quiet_source() {
        let (mut limiter, random) = (std::boxed::Box::new(Limiter::new()), Random::new());
        for i in 0..3 * SOURCES as u32 {
            let now = Instant::from_millis(u64::from(i));
            assert!(limiter.admit(now, &random, IpAddr::from(i.to_be_bytes())));
        }
        assert_eq!(limiter.len(), SOURCES);
    }
}
