//! Finished transactions in the order in which they give way: the oldest first, but accepted INVITEs last, as they still
//! carry the 2xx of a call to its caller until the ACK has come (RFC 6026 §7).

use heapless::Deque;

/// Handles of finished transactions; `CELLS` is twice as many as their table holds.
///
/// An entry stays when its transaction ends by itself. Those are swept out when the queue is full, which happens at most
/// once in half as many pushes as there are cells, as at least half of the entries are then such.
pub struct Finished<const CELLS: usize> {
    settled: Deque<u32, CELLS>,
    accepted: Deque<u32, CELLS>,
}

impl<const CELLS: usize> Finished<CELLS> {
    /// None.
    pub const fn new() -> Self {
        Self { settled: Deque::new(), accepted: Deque::new() }
    }

    /// Adds one that has just finished; `lives` tells of others whether they are still there.
    pub fn push(&mut self, bits: u32, is_accepted: bool, lives: impl Fn(u32) -> bool) {
        let queue = if is_accepted { &mut self.accepted } else { &mut self.settled };
        if queue.is_full() {
            for _ in 0..CELLS {
                if let Some(first) = queue.pop_front().filter(|first| lives(*first)) {
                    let _ = queue.push_back(first);
                }
            }
        }
        let _ = queue.push_back(bits);
    }

    /// Takes the one that is to give way next. It may have ended by itself meanwhile.
    pub fn pop(&mut self) -> Option<u32> {
        self.settled.pop_front().or_else(|| self.accepted.pop_front())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepted_ones_last() {
        let mut finished: Finished<4> = Finished::new();
        finished.push(1, true, |_| true);
        (2..4).for_each(|bits| finished.push(bits, false, |_| true));
        assert_eq!([0; 4].map(|_| finished.pop()), [Some(2), Some(3), Some(1), None]);
    }

    #[test]
    fn the_living_are_not_swept_out() {
        let mut finished: Finished<4> = Finished::new();
        (1..=40).for_each(|bits| finished.push(bits, false, |bits| bits == 1));
        assert_eq!(finished.pop(), Some(1));
    }
}
