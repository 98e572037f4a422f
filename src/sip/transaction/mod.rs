//! Transactions (RFC 3261 §17 as corrected by RFC 6026; RFC 4320 for non-INVITE): four machines without tables.
//!
//! A machine knows its state and its deadlines and says what is to be done; who holds it ([`Stack`](super::stack::Stack))
//! keeps the bytes and sends. Times in milliseconds.

pub mod client;
pub mod server;

use crate::base::time::Instant;

/// Estimate of the round trip: first interval of every retransmission (RFC 3261 §17.1.1.1).
pub const T1_MS: u64 = 500;
/// Longest interval between retransmissions of a non-INVITE request and of an INVITE's final answer.
pub const T2_MS: u64 = 4_000;
/// How long a message may stay in the network.
pub const T4_MS: u64 = 5_000;
/// 64 x T1: timers B, D, F, H, J, L and M.
pub const T64_MS: u64 = 64 * T1_MS;
/// Longest ringing without a new provisional answer (§16.6, more than three minutes).
pub const TIMER_C_MS: u64 = 185_000;
/// An INVITE without any answer for so long gets 100 Trying; §17.2.1 wants it within 200 ms.
pub const TRYING_MS: u64 = 150;
/// Any other request that was not answered so long after it came gets a 100, and not before (RFC 4320 §4.1): its sender's
/// timer E is at T2 then.
pub const STILL_TRYING_MS: u64 = 7 * T1_MS;

/// The next retransmission and the interval after which it comes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Retransmit {
    /// When to send again.
    pub at: Instant,
    interval_ms: u64,
}

impl Retransmit {
    /// The first retransmission, T1 after `now`.
    pub const fn start(now: Instant) -> Self {
        Self { at: now.plus(T1_MS), interval_ms: T1_MS }
    }

    /// The one after this: the interval doubles, up to `most_ms`.
    pub const fn next(self, now: Instant, most_ms: u64) -> Self {
        let doubled = self.interval_ms * 2;
        let interval_ms = if doubled > most_ms { most_ms } else { doubled };
        Self { at: now.plus(interval_ms), interval_ms }
    }
}
