//! Clients that give up when they are challenged: they know only MD5 and look only at the first challenge, or fail on an
//! algorithm they do not know (RFC 8760 offers SHA-256 first). Whose REGISTER was challenged, and who comes again a while
//! later with another one and still without credentials, is offered MD5 alone from then on. Other requests do not count:
//! a phone may well send a second before it has answered the challenge of the first.
//!
//! What this gives away: who can forge a client's address can have it offered MD5 alone. He could take SHA-256 out of
//! the challenge as well, so nothing is lost that digest over UDP had.

use crate::base::limits::CHALLENGED;
use crate::base::time::Instant;

/// A client that can answer has answered after so long.
const PATIENCE_MS: u64 = 1_000;
/// What the User-Agent of clients that are known to fail begins with.
const KNOWN: [&[u8]; 2] = [b"baresip v0.", b"baresip v1."];
/// How long is remembered who does not answer.
const MEMORY_MS: u64 = 3_600_000;

/// Who was challenged and has not answered.
pub struct Reluctant {
    entries: [Entry; CHALLENGED],
    next: usize,
}

#[derive(Clone, Copy)]
struct Entry {
    /// A hash of the name and the source; 0 when unused.
    who: u64,
    /// Identifies the request that was challenged, which may come again by itself.
    request: u64,
    at: Instant,
    is_md5_only: bool,
}

impl Reluctant {
    /// Nobody.
    pub const fn new() -> Self {
        Self { entries: [Entry { who: 0, request: 0, at: Instant::ZERO, is_md5_only: false }; CHALLENGED], next: 0 }
    }

    /// Notes that `who` is challenged for a REGISTER without credentials; whether to offer MD5 alone.
    pub fn challenged(&mut self, now: Instant, who: u64, request: u64) -> bool {
        let known = self.entries.iter_mut().find(|entry| entry.who == who && now.since(entry.at) < MEMORY_MS);
        match known {
            Some(entry) => {
                let is_another = entry.request != request && now.since(entry.at) >= PATIENCE_MS;
                entry.is_md5_only |= is_another;
                if entry.is_md5_only {
                    entry.at = now;
                }
                entry.is_md5_only
            }
            None => {
                self.entries[self.next] = Entry { who, request, at: now, is_md5_only: false };
                self.next = (self.next + 1) % CHALLENGED;
                false
            }
        }
    }

    /// Whether `who` is offered MD5 alone.
    pub fn is_md5_only(&self, now: Instant, who: u64) -> bool {
        let known = |entry: &Entry| entry.who == who && now.since(entry.at) < MEMORY_MS && entry.is_md5_only;
        self.entries.iter().any(known)
    }

    /// Notes that `who` has answered a challenge; whether to offer MD5 alone in the next, as in that one.
    pub fn answered(&mut self, who: u64) -> bool {
        let Some(entry) = self.entries.iter_mut().find(|entry| entry.who == who) else { return false };
        if !entry.is_md5_only {
            entry.who = 0;
        }
        entry.is_md5_only
    }

    /// Whether a User-Agent is one of those that are known to fail.
    pub fn is_known(agent: &[u8]) -> bool {
        KNOWN.iter().any(|known| agent.starts_with(known))
    }
}

impl Default for Reluctant {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Instant = Instant::from_millis(7);

    #[test]
    fn second_request_without_an_answer() {
        let mut clients = Reluctant::new();
        assert!(!clients.challenged(NOW, 1, 10));
        assert!(!clients.challenged(NOW, 1, 10), "the same request again");
        assert!(!clients.challenged(NOW, 2, 20));
        assert!(!clients.challenged(NOW, 1, 11) && !clients.is_md5_only(NOW, 1), "it may still answer");
        let later = NOW.plus(PATIENCE_MS);
        assert!(clients.challenged(later, 1, 12) && clients.is_md5_only(later, 1));
        assert!(clients.answered(1));
        assert!(clients.challenged(later, 1, 13), "it stays with what it can do");
        assert!(!clients.answered(2));
        assert!(!clients.challenged(later, 2, 21), "it has answered");
        assert!(!clients.challenged(later.plus(MEMORY_MS), 1, 14), "not for ever");
    }

    #[test]
    fn known_by_name() {
        assert!(Reluctant::is_known(b"baresip v1.0.0 (x86_64/Linux)") && !Reluctant::is_known(b"baresip v3.15.0"));
    }

    #[test]
    fn full_table_forgets_the_oldest() {
        let mut clients = Reluctant::new();
        (1..=CHALLENGED as u64 + 1).for_each(|who| assert!(!clients.challenged(NOW, who, who)));
        assert!(clients.challenged(NOW.plus(PATIENCE_MS), 2, 99), "still known");
        assert!(!clients.challenged(NOW.plus(PATIENCE_MS), 1, 99), "forgotten");
    }
}
