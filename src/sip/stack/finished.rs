//! Finished transactions in the order in which they give way: the oldest first, but accepted INVITEs last, as they still
//! carry the 2xx of a call to its caller until the ACK has come (RFC 6026 §7).

use heapless::Deque;

/// Handles of finished transactions. Some may have ended by themselves meanwhile, so who takes one looks whether it is
/// still there.
pub struct Finished<const N: usize> {
    settled: Deque<u32, N>,
    accepted: Deque<u32, N>,
}

impl<const N: usize> Finished<N> {
    /// None.
    pub const fn new() -> Self {
        Self { settled: Deque::new(), accepted: Deque::new() }
    }

    /// Adds one that has just finished.
    pub fn push(&mut self, bits: u32, is_accepted: bool) {
        let queue = if is_accepted { &mut self.accepted } else { &mut self.settled };
        // A full queue begins with those that ended by themselves: the table has only N slots.
        if queue.is_full() {
            queue.pop_front();
        }
        let _ = queue.push_back(bits);
    }

    /// Takes the one that is to give way next.
    pub fn pop(&mut self) -> Option<u32> {
        self.settled.pop_front().or_else(|| self.accepted.pop_front())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepted_ones_last() {
        let mut finished: Finished<2> = Finished::new();
        finished.push(1, true);
        (2..5).for_each(|bits| finished.push(bits, false));
        assert_eq!([0; 4].map(|_| finished.pop()), [Some(3), Some(4), Some(1), None]);
    }
}
