//! One handshake at a time: its expensive steps take tenths of seconds on a slow router, and messages of others shall pass
//! between them.

/// Lets one handshake take its expensive step in each turn of the loop, so that messages of the others pass between.
///
/// Who is not let in leaves its bytes in the socket, which stays ready (epoll is level-triggered and goes round among
/// what is ready): the queue is the kernel's.
#[derive(Default)]
pub struct Turnstile {
    is_used: bool,
}

impl Turnstile {
    /// One may go through again.
    pub fn reset(&mut self) {
        self.is_used = false;
    }

    /// Whether the caller may take its step now.
    #[must_use]
    pub fn enter(&mut self) -> bool {
        !core::mem::replace(&mut self.is_used, true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_at_a_time() {
        let mut turnstile = Turnstile::default();
        assert!(turnstile.enter());
        assert!(!turnstile.enter() && !turnstile.enter());
        turnstile.reset();
        assert!(turnstile.enter());
    }
}
