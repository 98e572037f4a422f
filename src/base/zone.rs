//! The time that clocks on the wall show: rules in the form of the variable TZ (POSIX.1-2017, §8.3 of the base definitions),
//! with hours up to 167 and before midnight as RFC 8536 §3.3.1 has them. OpenWrt keeps such a rule in `/etc/TZ`.
//!
//! `CET-1CEST,M3.5.0,M10.5.0/3`: a name and how far *behind* UTC standard time is, perhaps another name and offset for
//! summer time, and when that begins and ends: `Mm.w.d` the w-th (5: last) day d of the week of month m, `Jn` day n of
//! the year without 29 February, `n` days after 1 January. Names are checked and not kept. Left out: the history of a zone,
//! for which there would have to be a database.

use super::calendar::{DAY_S, civil, days_of_month, days_since_1970, is_leap};
use super::time::UnixTime;

/// A zone. All bits are zero in [`Zone::UNKNOWN`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Zone {
    is_known: bool,
    has_summer: bool,
    /// Seconds ahead of UTC.
    standard_s: i32,
    summer_s: i32,
    begin: Change,
    end: Change,
}

/// When summer time begins or ends, each year.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct Change {
    day: Day,
    /// Seconds after midnight that clocks show before the change; may be of another day.
    at_s: i32,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Day {
    /// Days after 1 January.
    After(u16),
    /// The day of a year that has no 29 February, from 1.
    Julian(u16),
    /// A day of the week (0: Sunday) in a week (1 to 5, the last) of a month (1 to 12).
    Week { month: u8, week: u8, day: u8 },
}

impl Zone {
    /// UTC, for nothing better is known.
    pub const UNKNOWN: Self = Self {
        is_known: false,
        has_summer: false,
        standard_s: 0,
        summer_s: 0,
        begin: Change { day: Day::After(0), at_s: 0 },
        end: Change { day: Day::After(0), at_s: 0 },
    };

    /// Reads a rule; `None` when it is none. A summer time without dates has those of the United States, as elsewhere.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let (behind_s, rest) = offset(name(text)?, STANDARD_HOURS)?;
        let mut zone = Self { is_known: true, standard_s: -behind_s, ..Self::UNKNOWN };
        if rest.is_empty() {
            return Some(zone);
        }
        let rest = name(rest)?;
        let (summer_s, rest) = match rest.first() {
            None | Some(b',') => (zone.standard_s + HOUR_S, rest),
            Some(_) => offset(rest, STANDARD_HOURS).map(|(behind_s, rest)| (-behind_s, rest))?,
        };
        let rest = if rest.is_empty() { AMERICAN } else { rest };
        let (begin, rest) = change(rest)?;
        let (end, rest) = change(rest)?;
        zone = Self { has_summer: true, summer_s, begin, end, ..zone };
        rest.is_empty().then_some(zone)
    }

    /// Whether anybody has said so.
    pub const fn is_known(&self) -> bool {
        self.is_known
    }

    /// Seconds that clocks are ahead of UTC at a moment.
    pub fn offset_s(&self, time: UnixTime) -> i32 {
        if self.has_summer && self.is_summer(time.0.min(LAST_S) as i64) { self.summer_s } else { self.standard_s }
    }

    /// What clocks show at a moment, as the moment when clocks of UTC do.
    pub fn local(&self, time: UnixTime) -> UnixTime {
        UnixTime(time.0.saturating_add_signed(i64::from(self.offset_s(time))))
    }

    /// The last change up to a moment decides. It was in this year or the one before; with times of other days than their
    /// own one of the next year may have been, too.
    fn is_summer(&self, time_s: i64) -> bool {
        let (year, ..) = civil(time_s as u64 / DAY_S);
        let years = year.saturating_sub(1).max(1970)..=year + 1;
        // Where one change follows at once upon another, summer time goes on.
        let changes = years.flat_map(|year| {
            let begin = self.begin.of_year(year) - i64::from(self.standard_s);
            let end = self.end.of_year(year) - i64::from(self.summer_s);
            [(begin, true), (end, false)]
        });
        let last = changes.clone().filter(|(at_s, _)| *at_s <= time_s).max();
        // Before the first there was what it ends.
        last.map_or_else(|| !changes.min().is_some_and(|(_, is_begin)| is_begin), |(_, is_begin)| is_begin)
    }
}

impl Default for Day {
    fn default() -> Self {
        Self::After(0)
    }
}

impl Change {
    /// Seconds from 1970 to the change, as clocks show them that have not been changed yet.
    fn of_year(&self, year: u64) -> i64 {
        let first = days_since_1970(year, 1, 1);
        let day = match self.day {
            Day::After(days) => first + u64::from(days),
            Day::Julian(day) => first + u64::from(day) - 1 + u64::from(is_leap(year) && day > 59),
            Day::Week { month, week, day } => {
                let (month, week, day) = (u64::from(month), u64::from(week), u64::from(day));
                let first = days_since_1970(year, month, 1);
                // 1970-01-01 was a Thursday.
                let weekday = (first + 4) % 7;
                let in_month = (day + 7 - weekday) % 7 + 7 * (week - 1);
                first + if in_month < days_of_month(year, month) { in_month } else { in_month - 7 }
            }
        };
        (day * DAY_S) as i64 + i64::from(self.at_s)
    }
}

/// What follows the name of a zone: three letters or more, or letters, digits and signs between `<` and `>`.
fn name(text: &[u8]) -> Option<&[u8]> {
    let (is_in, text, close): (fn(&u8) -> bool, _, _) = match text.strip_prefix(b"<") {
        Some(text) => (|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-'), text, &b">"[..]),
        None => (u8::is_ascii_alphabetic, text, &b""[..]),
    };
    let len = text.iter().take_while(|byte| is_in(byte)).count();
    let rest = text.get(len..)?.strip_prefix(close)?;
    (3..=NAME_BYTES).contains(&len).then_some(rest)
}

/// `[+-]hh[:mm[:ss]]` as seconds, and what follows.
fn offset(text: &[u8], hours_max: u32) -> Option<(i32, &[u8])> {
    let (sign, mut text) = match text {
        [b'-', rest @ ..] => (-1, rest),
        [b'+', rest @ ..] => (1, rest),
        _ => (1, text),
    };
    let mut seconds = 0;
    for (unit_s, max) in [(HOUR_S, hours_max), (60, 59), (1, 59)] {
        if unit_s < HOUR_S {
            match text.strip_prefix(b":") {
                Some(rest) => text = rest,
                None => break,
            }
        }
        let (value, rest) = number(text).filter(|(value, _)| *value <= max)?;
        seconds += value as i32 * unit_s;
        text = rest;
    }
    Some((sign * seconds, text))
}

/// `,Mm.w.d`, `,Jn` or `,n`, each perhaps with `/time`, and what follows.
fn change(text: &[u8]) -> Option<(Change, &[u8])> {
    let text = text.strip_prefix(b",")?;
    let part = |text, min, max| number(text).filter(|(value, _)| (min..=max).contains(value));
    let (day, text) = match text {
        [b'M', rest @ ..] => {
            let (month, rest) = part(rest, 1, 12)?;
            let (week, rest) = part(rest.strip_prefix(b".")?, 1, 5)?;
            let (day, rest) = part(rest.strip_prefix(b".")?, 0, 6)?;
            (Day::Week { month: month as u8, week: week as u8, day: day as u8 }, rest)
        }
        [b'J', rest @ ..] => {
            let (day, rest) = part(rest, 1, 365)?;
            (Day::Julian(day as u16), rest)
        }
        _ => {
            let (days, rest) = part(text, 0, 365)?;
            (Day::After(days as u16), rest)
        }
    };
    let (at_s, text) = match text.strip_prefix(b"/") {
        Some(time) => offset(time, CHANGE_HOURS)?,
        None => (2 * HOUR_S, text),
    };
    Some((Change { day, at_s }, text))
}

/// A number of up to three digits, and what follows.
fn number(text: &[u8]) -> Option<(u32, &[u8])> {
    let len = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (digits, rest) = text.split_at_checked(len).filter(|_| (1..=3).contains(&len))?;
    Some((digits.iter().fold(0, |value, digit| 10 * value + u32::from(digit - b'0')), rest))
}

const HOUR_S: i32 = 3600;
/// No place is further from UTC.
const STANDARD_HOURS: u32 = 24;
/// A change may be a week from its day (RFC 8536 §3.3.1).
const CHANGE_HOURS: u32 = 167;
const NAME_BYTES: usize = 16;
/// The end of the year 9999.
const LAST_S: u64 = 253_402_300_799;
const AMERICAN: &[u8] = b",M3.2.0,M11.1.0";

#[cfg(test)]
mod tests {
    use super::*;

    fn hours(rule: &str, times: &[u64]) -> std::vec::Vec<i32> {
        let zone = Zone::parse(rule.as_bytes()).unwrap_or_else(|| panic!("{rule}"));
        assert!(zone.is_known());
        times.iter().map(|time| zone.offset_s(UnixTime(*time)) / HOUR_S).collect()
    }

    #[test]
    fn central_europe() {
        // 2026-03-29 01:00 and 2026-10-25 01:00 UTC.
        let (begin, end) = (1_774_746_000, 1_792_890_000);
        let rule = "CET-1CEST,M3.5.0,M10.5.0/3";
        assert_eq!(hours(rule, &[begin - 1, begin, end - 1, end]), [1, 2, 2, 1]);
        // 2027-03-28 01:00, the turn of the year, and far away.
        assert_eq!(hours(rule, &[1_798_761_600, 1_806_195_599, 1_806_195_600, u64::MAX, 0]), [1, 1, 2, 1, 1]);
        let zone = Zone::parse(rule.as_bytes()).unwrap();
        assert_eq!(zone.local(UnixTime(begin)), UnixTime(begin + 7200));
    }

    #[test]
    fn both_hemispheres_and_both_sides() {
        // New York: 2026-03-08 07:00 and 2026-11-01 06:00 UTC; the dates may be left out.
        for rule in ["EST5EDT,M3.2.0,M11.1.0", "EST5EDT", "EST+5EDT+4"] {
            let times = [1_772_953_199, 1_772_953_200, 1_793_512_799, 1_793_512_800];
            assert_eq!(hours(rule, &times), [-5, -4, -4, -5], "{rule}");
        }
        // Sydney: summer ends 2026-04-04 16:00 and begins 2026-10-03 16:00 UTC; in January it is summer, in 1970 too.
        let times = [0, 1_767_225_600, 1_775_318_399, 1_775_318_400, 1_791_043_199, 1_791_043_200];
        assert_eq!(hours("AEST-10AEDT,M10.1.0,M4.1.0/3", &times), [11, 11, 11, 10, 10, 11]);
        // Godthab changed on the Saturday, at an hour before the Sunday's midnight: 2026-03-29 01:00 UTC.
        assert_eq!(hours("<-02>2<-01>,M3.5.0/-1,M10.5.0/0", &[1_774_745_999, 1_774_746_000]), [-2, -1]);
    }

    #[test]
    fn other_forms() {
        let at = |rule: &str| Zone::parse(rule.as_bytes()).map(|zone| zone.offset_s(UnixTime(1_780_000_000)));
        for (rule, offset_s) in [
            ("UTC0", 0),
            ("<+03>-3", 10_800),
            ("<+0545>-5:45", 20_700),
            ("NST3:30", -12_600),
            ("LMT-0:19:32", 1_172),
            ("<-12>12", -43_200),
            // Summer all year round (RFC 8536 §3.3.1).
            ("XXX3EDT4,0/0,J365/23", -14_400),
            ("EST5EDT,0/0,J365/25", -14_400),
        ] {
            assert_eq!(at(rule), Some(offset_s), "{rule}");
        }
        let summer = [1_767_225_600, 1_767_243_600, 1_782_000_000, 1_798_761_599, 1_798_761_600, 1_798_779_600];
        assert_eq!(hours("EST5EDT,0/0,J365/25", &summer), [-4; 6], "at the turn of the year too");
        // Tehran before 2022, by days of the year: J60 is 1 March in leap years too, 60 is not.
        let (leap_march_1, leap_feb_29) = (1_709_251_200, 1_709_164_800);
        assert_eq!(hours("AAA0BBB,J60/0,J300/0", &[leap_march_1 - 1, leap_march_1]), [0, 1]);
        assert_eq!(hours("AAA0BBB,59/0,300/0", &[leap_feb_29 - 1, leap_feb_29]), [0, 1]);
    }

    #[test]
    fn what_is_no_rule() {
        for rule in [
            "",
            "CET",
            "CE-1",
            "CET-",
            "CET-25",
            "CET-1:60",
            "CET-1 ",
            "CET-1CEST,",
            "CET-1CEST,M3.5.0",
            "CET-1CEST,M3.5.0,M10.5.0/168",
            "CET-1CEST,M3.5.0,M10.5.0/3,",
            "CET-1CEST,M0.5.0,M10.5.0",
            "CET-1CEST,M13.5.0,M10.5.0",
            "CET-1CEST,M3.6.0,M10.5.0",
            "CET-1CEST,M3.5.7,M10.5.0",
            "CET-1CEST,M3.5,M10.5.0",
            "CET-1CEST,J0,J1",
            "CET-1CEST,366,J1",
            "CET-1CEST,1000,J1",
            "<+03-3",
            "<+3>-3",
            "+03-3",
            "Europe/Stockholm",
            ":/etc/localtime",
            "ABCDEFGHIJKLMNOPQ0",
            "CET\u{e4}-1",
        ] {
            assert_eq!(Zone::parse(rule.as_bytes()), None, "{rule}");
        }
    }

    #[test]
    fn any_bytes_are_read_to_their_end() {
        let pieces = ["CET", "-1", "<+03>", "5", ",", "M3.5.0", "J60", "/", "365", ":30", "M", ".", "-", "/-167"];
        let (mut state, mut read) = (0x5eed_u64, 0);
        for _ in 0..50_000 {
            let mut text = std::string::String::from("AAA0BBB");
            for _ in 0..6 {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                text += pieces[(state >> 33) as usize % pieces.len()];
            }
            if let Some(zone) = Zone::parse(text.as_bytes()) {
                read += 1;
                for time in [0, 1_780_000_000, u64::MAX] {
                    let offset_s = zone.offset_s(UnixTime(time));
                    assert!(offset_s.abs() <= 26 * HOUR_S, "{text}");
                }
            }
        }
        assert!(read > 5, "{read}");
    }

    #[test]
    fn unknown_is_utc() {
        assert!(!Zone::UNKNOWN.is_known() && Zone::default() == Zone::UNKNOWN);
        assert_eq!(Zone::UNKNOWN.local(UnixTime(5)), UnixTime(5));
    }
}
