//! The clocks: the core's monotonic milliseconds, and the time of day with a watch over its jumps.

use crate::base::time::{Instant, UnixTime};
use std::sync::OnceLock;
use std::time::{SystemTime, UNIX_EPOCH};

/// Milliseconds of the monotonic clock since the program started.
pub fn now() -> Instant {
    static START: OnceLock<std::time::Instant> = OnceLock::new();
    let elapsed = START.get_or_init(std::time::Instant::now).elapsed();
    Instant::from_millis(elapsed.as_secs() * 1000 + u64::from(elapsed.subsec_millis()))
}

/// The time of day. A clock before 1970 counts as 1970.
pub fn wall_clock() -> UnixTime {
    UnixTime(SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_secs()))
}

/// Tells a clock that was set from one that merely ran.
pub struct WallClockWatch {
    last: Option<(Instant, UnixTime)>,
}

impl WallClockWatch {
    /// A watch that has seen nothing yet.
    pub const fn new() -> Self {
        Self { last: None }
    }

    /// The time of day, if the core has to be told: the first time, and after a jump of more than two seconds.
    pub fn check(&mut self, now: Instant, wall: UnixTime) -> Option<UnixTime> {
        let jumped = self.last.is_none_or(|(then, told)| {
            let expected = told.0.saturating_add(now.since(then) / 1000);
            expected.abs_diff(wall.0) > JUMP_SECONDS
        });
        jumped.then(|| {
            self.last = Some((now, wall));
            wall
        })
    }
}

impl Default for WallClockWatch {
    fn default() -> Self {
        Self::new()
    }
}

const JUMP_SECONDS: u64 = 2;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_jumps_are_told() {
        let mut watch = WallClockWatch::new();
        let at = Instant::from_millis;
        assert_eq!(watch.check(at(0), UnixTime(100)), Some(UnixTime(100)));
        assert_eq!(watch.check(at(60_000), UnixTime(160)), None);
        // Rounding on both sides may differ by a second or two.
        assert_eq!(watch.check(at(120_900), UnixTime(222)), None);
        // NTP comes up.
        assert_eq!(watch.check(at(180_000), UnixTime(1_700_000_000)), Some(UnixTime(1_700_000_000)));
        assert_eq!(watch.check(at(240_000), UnixTime(1_700_000_060)), None);
        // And back.
        assert_eq!(watch.check(at(300_000), UnixTime(50)), Some(UnixTime(50)));
        // A clock that drifts is told once the drift has added up.
        assert_eq!(watch.check(at(900_000), UnixTime(653)), Some(UnixTime(653)));
    }

    #[test]
    fn monotonic() {
        let a = now();
        assert!(now() >= a);
    }
}
