//! Keeps what strangers can cause from filling the log: so many lines a minute, then one that counts the rest.

use crate::base::time::Instant;

/// Counts lines of one sort.
#[derive(Default)]
pub struct Hush {
    since: Option<Instant>,
    said: u32,
    kept_quiet: u32,
}

impl Hush {
    /// Whether a line may be written now; and how many were not since the last that was.
    pub fn admit(&mut self, now: Instant) -> Option<u32> {
        if self.since.is_none_or(|since| now.since(since) >= PERIOD_MS) {
            (self.since, self.said) = (Some(now), 0);
        }
        if self.said == LINES {
            self.kept_quiet = self.kept_quiet.saturating_add(1);
            return None;
        }
        self.said += 1;
        Some(core::mem::take(&mut self.kept_quiet))
    }
}

const PERIOD_MS: u64 = 60_000;
const LINES: u32 = 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rest_is_counted() {
        let mut hush = Hush::default();
        let at = Instant::from_millis;
        assert!((0..10).all(|i| hush.admit(at(i)) == Some(0)));
        assert!((0..90).all(|i| hush.admit(at(10 + i)).is_none()));
        assert_eq!(hush.admit(at(60_000)), Some(90));
        assert_eq!(hush.admit(at(60_001)), Some(0));
    }
}
