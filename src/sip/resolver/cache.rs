//! What is remembered between lookups: outcomes for as long as they hold (RFC 2308 §5 for negative ones), and places that
//! failed a moment ago (RFC 3263 §4.3).

use core::net::SocketAddr;

use heapless::Vec;

use super::{Candidate, Candidates};
use crate::base::limits::DNS_NAMES;
use crate::base::net::Transport;
use crate::base::time::Instant;

/// A place that failed is tried last for so long.
const FAILED_MS: u64 = 60_000;
/// Places that failed. More: the one that failed first is forgotten.
const FAILED: usize = 16;

/// What is remembered.
pub(super) struct Cache {
    kept: Vec<Kept, DNS_NAMES>,
    failed: Vec<Failed, FAILED>,
}

struct Kept {
    /// Keyed hash of the question.
    key: u64,
    until: Instant,
    /// None: there is no such name.
    candidates: Candidates,
}

struct Failed {
    place: Candidate,
    until: Instant,
}

impl Cache {
    pub const fn new() -> Self {
        Self { kept: Vec::new(), failed: Vec::new() }
    }

    /// What is known of a question; no candidates: that there is no such name.
    pub fn get(&self, now: Instant, key: u64) -> Option<&Candidates> {
        self.kept.iter().find(|kept| kept.key == key && kept.until > now).map(|kept| &kept.candidates)
    }

    /// Keeps an outcome.
    pub fn keep(&mut self, now: Instant, key: u64, candidates: &Candidates, ttl_s: u32) {
        let kept = Kept { key, until: now.plus(u64::from(ttl_s) * 1000), candidates: candidates.clone() };
        let old = self.kept.iter_mut().find(|kept| kept.key == key);
        if let Some(old) = old {
            *old = kept;
        } else if let Err(kept) = self.kept.push(kept)
            && let Some(first) = self.kept.iter_mut().min_by_key(|kept| kept.until)
        {
            *first = kept;
        }
    }

    /// Remembers that a place failed.
    pub fn failed(&mut self, now: Instant, address: SocketAddr, transport: Transport) {
        let failed = Failed { place: Candidate { transport, address }, until: now.plus(FAILED_MS) };
        let old = self.failed.iter_mut().find(|old| old.place == failed.place);
        if let Some(old) = old {
            *old = failed;
        } else if let Err(failed) = self.failed.push(failed)
            && let Some(first) = self.failed.iter_mut().min_by_key(|failed| failed.until)
        {
            *first = failed;
        }
    }

    /// The candidates with those that failed lately at the end, otherwise in their order.
    pub fn sorted(&self, now: Instant, candidates: &Candidates) -> Candidates {
        let has_failed =
            |candidate: &&Candidate| self.failed.iter().any(|failed| failed.place == **candidate && failed.until > now);
        let good = candidates.iter().filter(|candidate| !has_failed(candidate));
        good.chain(candidates.iter().filter(has_failed)).copied().collect()
    }

    /// Number of outcomes kept.
    pub fn len(&self) -> usize {
        self.kept.len()
    }

    /// Forgets the outcomes.
    pub fn forget_outcomes(&mut self) {
        self.kept.clear();
    }

    /// Forgets everything.
    pub fn flush(&mut self) {
        self.kept.clear();
        self.failed.clear();
    }
}
