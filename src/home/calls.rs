//! Which people of the home are in a call now, as their presence says it. No dialog is stored for it: the tokens in
//! Record-Route ([`crate::sip::token`]) name the call and the people on both sides, so a 2xx to an INVITE begins one here
//! and a BYE ends it.
//!
//! A phone that loses its power sends no BYE: without a sign of life a call is forgotten after what its session timer says
//! (RFC 4028), else after [`LONGEST_MS`].

use crate::base::limits::CALLS;
use crate::base::time::Instant;
use crate::sip::token::Token;

/// A call without a session timer is not believed to be in progress for longer.
pub const LONGEST_MS: u64 = 4 * 3_600_000;

/// The calls in progress.
pub struct Calls {
    calls: heapless::Vec<Call, CALLS>,
}

struct Call {
    /// Names it: the same in the tokens of both sides.
    pair: u32,
    /// The people on both sides, as seals; 0 for somebody else.
    people: [u32; 2],
    began_at: Instant,
    /// How long a sign of life counts.
    patience_ms: u64,
    ends_at: Instant,
}

impl Calls {
    /// None.
    pub const fn new() -> Self {
        Self { calls: heapless::Vec::new() }
    }

    /// A call was answered; its session timer, if it has one. Whether that is news.
    pub fn began(&mut self, now: Instant, sides: (&Token, &Token), session_s: Option<u32>) -> bool {
        let (caller, callee) = sides;
        let people = [caller.person, callee.person];
        if people == [0, 0] {
            return false;
        }
        let patience_ms = session_s.map_or(LONGEST_MS, |seconds| u64::from(seconds) * 1000).min(LONGEST_MS);
        let ends_at = now.plus(patience_ms);
        if let Some(call) = self.calls.iter_mut().find(|call| call.pair == caller.pair) {
            (call.patience_ms, call.ends_at) = (patience_ms, ends_at);
            return false;
        }
        if self.calls.is_full()
            && let Some(oldest) = (0..self.calls.len()).min_by_key(|index| self.calls[*index].began_at)
        {
            self.calls.swap_remove(oldest);
        }
        let call = Call { pair: caller.pair, people, began_at: now, patience_ms, ends_at };
        self.calls.push(call).is_ok()
    }

    /// Something was said in a dialog: a sign of life.
    pub fn heard(&mut self, now: Instant, pair: u32) {
        if let Some(call) = self.calls.iter_mut().find(|call| call.pair == pair) {
            call.ends_at = now.plus(call.patience_ms);
        }
    }

    /// A dialog has ended. Whether that is news.
    pub fn ended(&mut self, pair: u32) -> bool {
        let before = self.calls.len();
        self.calls.retain(|call| call.pair != pair);
        self.calls.len() != before
    }

    /// Forgets calls whose time is over. Whether there were any.
    pub fn expire(&mut self, now: Instant) -> bool {
        let before = self.calls.len();
        self.calls.retain(|call| call.ends_at > now);
        self.calls.len() != before
    }

    /// When the next is forgotten.
    pub fn deadline(&self) -> Option<Instant> {
        self.calls.iter().map(|call| call.ends_at).min()
    }

    /// Whether a person, named by a seal, is in a call.
    pub fn has(&self, person: u32) -> bool {
        self.calls.iter().any(|call| call.people.contains(&person))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.calls.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.calls.is_empty()
    }

    /// Name, capacity and bytes.
    pub fn footprint() -> (&'static str, usize, usize) {
        ("calls in progress", CALLS, size_of::<Self>())
    }
}

impl Default for Calls {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::net::NOWHERE;
    use crate::sip::token::Side;

    fn sides(pair: u32, caller: u32, callee: u32) -> (Token, Token) {
        let side = |side, person| Token { side, person, pair, binding: 0, remote: NOWHERE, stream: None, domain: 0 };
        (side(Side::Caller, caller), side(Side::Callee, callee))
    }

    #[test]
    fn begun_heard_and_ended() {
        let mut calls = Calls::new();
        let now = Instant::from_millis(5);
        let (alice, bob) = sides(1, 7, 0);
        assert!(calls.began(now, (&alice, &bob), Some(90)) && calls.has(7) && !calls.has(8));
        assert!(!calls.began(now, (&alice, &bob), Some(90)), "answered by another device as well");
        calls.heard(now.plus(80_000), 1);
        assert!(!calls.expire(now.plus(90_000)));
        assert!(calls.ended(1) && !calls.ended(1) && !calls.has(7));
        let (one, other) = sides(2, 0, 0);
        assert!(!calls.began(now, (&one, &other), None), "nobody of the home");
    }

    #[test]
    fn forgotten_in_time() {
        let mut calls = Calls::new();
        let (alice, bob) = sides(1, 7, 9);
        calls.began(Instant::ZERO, (&alice, &bob), None);
        assert_eq!(calls.deadline(), Some(Instant::ZERO.plus(LONGEST_MS)));
        assert!(calls.expire(Instant::ZERO.plus(LONGEST_MS)) && calls.is_empty());
    }

    #[test]
    fn the_oldest_gives_way() {
        let mut calls = Calls::new();
        for number in 0..=CALLS as u32 {
            let (alice, bob) = sides(number, 100 + number, 0);
            assert!(calls.began(Instant::from_millis(u64::from(number)), (&alice, &bob), None));
        }
        assert!(calls.len() == CALLS && !calls.has(100) && calls.has(101));
    }
}
