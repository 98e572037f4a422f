//! The clocks: the core's monotonic milliseconds, and the time of day with a watch over its jumps.

use crate::base::time::{Instant, UnixTime};
use rustix::time::{ClockId, clock_gettime};
use std::time::{SystemTime, UNIX_EPOCH};

/// Milliseconds since the machine was booted, sleep included. Two runs within one boot
/// ([`boot_id`](super::state::boot_id)) count from the same start, so what one wrote down the next can compare.
pub fn now() -> Instant {
    // Seconds since the boot are never negative, and nanoseconds below a billion.
    let time = clock_gettime(ClockId::Boottime);
    Instant::from_millis(time.tv_sec as u64 * 1000 + time.tv_nsec as u64 / 1_000_000)
}

/// The time of day. A clock before 1970 counts as 1970.
pub fn wall_clock() -> UnixTime {
    UnixTime(SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_secs()))
}

/// The time of day in seconds since 1970, or 0 when the clock can't have been set yet: a router starts in the past.
pub fn wall_clock_if_sure() -> u32 {
    let now = u32::try_from(wall_clock().0).unwrap_or(u32::MAX);
    if now < BUILT_AFTER { 0 } else { now }
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
/// 2025-01-01: this program is younger.
const BUILT_AFTER: u32 = 1_735_689_600;

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

    #[test]
    fn counts_from_the_boot() {
        // The kernel's own word for it, seconds with hundredths.
        let text = std::fs::read_to_string("/proc/uptime").unwrap();
        let uptime_s: f64 = text.split(' ').next().unwrap().parse().unwrap();
        let own_s = now().millis() as f64 / 1000.0;
        assert!((own_s - uptime_s).abs() < 5.0, "{own_s} s against {uptime_s} s");
    }
}
