//! The core's own notion of time: monotonic milliseconds, always an argument, never read from a clock.

use core::fmt;

/// A moment on the monotonic clock, in milliseconds since some start that the caller chose.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct Instant(u64);

impl Instant {
    /// The earliest moment.
    pub const ZERO: Self = Self(0);

    /// The moment `ms` milliseconds after the clock's start.
    pub const fn from_millis(ms: u64) -> Self {
        Self(ms)
    }

    /// Milliseconds since the clock's start.
    pub const fn millis(self) -> u64 {
        self.0
    }

    /// The moment `ms` milliseconds later; the end of time when that overflows.
    pub const fn plus(self, ms: u64) -> Self {
        Self(self.0.saturating_add(ms))
    }

    /// Milliseconds from `earlier` to this moment, 0 if `earlier` is in fact later.
    pub const fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }

    /// Whole seconds until this moment as seen at `now`, rounded up; 0 when it has passed.
    pub const fn seconds_from(self, now: Self) -> u64 {
        self.since(now).div_ceil(1000)
    }
}

/// Seconds since 1970-01-01 UTC. Routers have no clock of their own: it is an input that may come late and may jump.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct UnixTime(pub u64);

/// The earlier of two deadlines, either of which may be absent.
pub fn earliest(a: Option<Instant>, b: Option<Instant>) -> Option<Instant> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

impl fmt::Display for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:03}", self.0 / 1000, self.0 % 1000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arithmetic_saturates() {
        let t = Instant::from_millis(1500);
        assert_eq!(t.plus(u64::MAX).millis(), u64::MAX);
        assert_eq!(Instant::ZERO.since(t), 0);
        assert_eq!(t.seconds_from(Instant::ZERO), 2);
        assert_eq!(earliest(None, Some(t)), Some(t));
        assert_eq!(earliest(Some(Instant::ZERO), Some(t)), Some(Instant::ZERO));
    }
}
