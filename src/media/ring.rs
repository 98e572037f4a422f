//! A ring of bytes in fixed memory: what is to be said while the greeting plays, what is to be written afterwards.

/// Bytes it can hold: a second of G.711.
pub const RING_BYTES: usize = 8192;

/// First in, first out.
pub struct Ring {
    bytes: [u8; RING_BYTES],
    head: usize,
    len: usize,
}

impl Ring {
    /// An empty one.
    pub const fn new() -> Self {
        Self { bytes: [0; RING_BYTES], head: 0, len: 0 }
    }

    /// Forgets everything.
    pub const fn clear(&mut self) {
        (self.head, self.len) = (0, 0);
    }

    /// Bytes in it.
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether nothing is in it.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Bytes it still takes.
    pub const fn room(&self) -> usize {
        RING_BYTES - self.len
    }

    /// Appends all of `bytes`, or nothing and `false` when there is no room for them.
    #[must_use]
    pub fn push(&mut self, bytes: &[u8]) -> bool {
        if bytes.len() > self.room() {
            return false;
        }
        let at = (self.head + self.len) % RING_BYTES;
        let first = bytes.len().min(RING_BYTES - at);
        self.bytes[at..at + first].copy_from_slice(&bytes[..first]);
        self.bytes[..bytes.len() - first].copy_from_slice(&bytes[first..]);
        self.len += bytes.len();
        true
    }

    /// Takes the oldest bytes into `out`; how many.
    pub fn pop(&mut self, out: &mut [u8]) -> usize {
        let len = self.len.min(out.len());
        let first = len.min(RING_BYTES - self.head);
        out[..first].copy_from_slice(&self.bytes[self.head..self.head + first]);
        out[first..len].copy_from_slice(&self.bytes[..len - first]);
        self.head = (self.head + len) % RING_BYTES;
        self.len -= len;
        len
    }
}

impl Default for Ring {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wraps_and_refuses() {
        let mut ring = Ring::new();
        let piece: [u8; 1000] = core::array::from_fn(|i| i as u8);
        let (mut out, mut popped) = ([0; 700], 0usize);
        for round in 0..50 {
            while ring.push(&piece) {}
            assert!(ring.room() < 1000);
            for _ in 0..=round % 7 {
                let len = ring.pop(&mut out);
                assert!(out[..len].iter().enumerate().all(|(i, byte)| *byte == ((popped + i) % 1000) as u8));
                popped += len;
            }
        }
        while !ring.is_empty() {
            popped += ring.pop(&mut out);
        }
        assert_eq!((popped % 1000, ring.pop(&mut out), ring.room()), (0, 0, RING_BYTES));
    }
}
