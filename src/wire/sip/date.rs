//! SIP-date (RFC 3261 §20.17, the one form of RFC 1123 in GMT): `Sat, 13 Nov 2010 23:29:00 GMT`; and the form that bodies
//! have (RFC 3339).
//!
//! The weekday is not checked against the date. A SIP-date in another zone is not read: RFC 4475 §3.1.2.12 lets a Date that
//! is wrong be ignored. Of RFC 3339, fractions of a second are skipped.

use super::lex;
use crate::base::calendar::{DAY_S, civil, days_of_month, days_since_1970};
use crate::base::text::Writer;
use crate::base::time::UnixTime;

/// The moment a SIP-date says; `None` when it is none, or before 1970.
pub fn parse(value: &[u8]) -> Option<UnixTime> {
    let value = lex::trim(value);
    let (weekday, value) = value.split_at_checked(3)?;
    if !WEEKDAYS.iter().any(|known| known.as_bytes().eq_ignore_ascii_case(weekday)) {
        return None;
    }
    let mut words = value.strip_prefix(b",")?.split(|byte| *byte == b' ').filter(|word| !word.is_empty());
    let day = number(words.next()?)?;
    let month = words.next()?;
    let month = MONTHS.iter().position(|known| known.as_bytes().eq_ignore_ascii_case(month))? as u64 + 1;
    let year = number(words.next()?)?;
    let time = seconds_of_day(words.next()?)?;
    if words.next() != Some(b"GMT") || words.next().is_some() {
        return None;
    }
    if !(1970..=9999).contains(&year) || day < 1 || day > days_of_month(year, month) {
        return None;
    }
    Some(UnixTime(days_since_1970(year, month, day) * DAY_S + time))
}

/// Writes a moment as a SIP-date.
pub fn write(time: UnixTime, out: &mut Writer<'_>) {
    let (days, seconds) = (time.0 / DAY_S, time.0 % DAY_S);
    let (year, month, day) = civil(days);
    // 1970-01-01 was a Thursday.
    out.text(WEEKDAYS[((days + 4) % 7) as usize]);
    out.text(", ");
    two_digits(day, out);
    out.text(" ");
    out.text(MONTHS[month as usize - 1]);
    out.text(" ");
    out.number(year);
    for (part, separator) in [(seconds / 3600, " "), (seconds / 60 % 60, ":"), (seconds % 60, ":")] {
        out.text(separator);
        two_digits(part, out);
    }
    out.text(" GMT");
}

/// Writes a moment as documents have it: `2010-11-13T23:29:00Z` (RFC 3339 §5.6).
pub fn write_internet(time: UnixTime, out: &mut Writer<'_>) {
    let (days, seconds) = (time.0 / DAY_S, time.0 % DAY_S);
    let (year, month, day) = civil(days);
    out.number(year);
    let parts = [month, day, seconds / 3600, seconds / 60 % 60, seconds % 60];
    for (part, separator) in parts.into_iter().zip(["-", "-", "T", ":", ":"]) {
        out.text(separator);
        two_digits(part, out);
    }
    out.text("Z");
}

/// The moment that documents mean by `2010-11-13T23:29:00.5+01:00` (RFC 3339 §5.6); `None` when it is none, or before 1970.
pub fn parse_internet(value: &[u8]) -> Option<UnixTime> {
    let (day_part, rest) = lex::trim(value).split_at_checked(10)?;
    let [year @ .., b'-', m1, m2, b'-', d1, d2] = day_part else { return None };
    let (year, month, day) = (number(year)?, number(&[*m1, *m2])?, number(&[*d1, *d2])?);
    let is_date = (1970..=9999).contains(&year) && (1..=12).contains(&month) && day >= 1;
    if !is_date || day > days_of_month(year, month) {
        return None;
    }
    let rest = rest.strip_prefix(b"T").or(rest.strip_prefix(b"t")).or(rest.strip_prefix(b" "))?;
    let (time, rest) = rest.split_at_checked(8)?;
    let local = days_since_1970(year, month, day) * DAY_S + seconds_of_day(time)?;
    let zone = match rest.strip_prefix(b".") {
        Some(fraction) => {
            let zone = fraction.iter().position(|byte| !byte.is_ascii_digit()).filter(|digits| *digits > 0)?;
            &fraction[zone..]
        }
        None => rest,
    };
    let time = match zone {
        b"Z" | b"z" => Some(local),
        [sign @ (b'+' | b'-'), h1, h2, b':', m1, m2] => {
            let (hours, minutes) = (number(&[*h1, *h2])?, number(&[*m1, *m2])?);
            let offset = hours * 3600 + minutes * 60;
            if hours > 23 || minutes > 59 {
                return None;
            }
            // East of Greenwich the clock shows more.
            if *sign == b'+' { local.checked_sub(offset) } else { Some(local + offset) }
        }
        _ => None,
    };
    // What is read can be written again: a year has four digits.
    time.filter(|time| *time < days_since_1970(10_000, 1, 1) * DAY_S).map(UnixTime)
}

fn seconds_of_day(text: &[u8]) -> Option<u64> {
    let mut parts = text.split(|byte| *byte == b':');
    let mut part = |limit| parts.next().filter(|part| part.len() == 2).and_then(number).filter(|value| *value <= limit);
    // A leap second counts as the second after it.
    let (hours, minutes, seconds) = (part(23)?, part(59)?, part(60)?);
    if parts.next().is_some() { None } else { Some(hours * 3600 + minutes * 60 + seconds) }
}

/// A number of up to four digits.
fn number(text: &[u8]) -> Option<u64> {
    if text.len() > 4 {
        return None;
    }
    match lex::digits(text) {
        Ok(([], value)) => Some(value),
        _ => None,
    }
}

fn two_digits(value: u64, out: &mut Writer<'_>) {
    out.put(&[b'0' + (value / 10 % 10) as u8, b'0' + (value % 10) as u8]);
}

const WEEKDAYS: [&str; 7] = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

#[cfg(test)]
mod tests {
    use super::*;

    fn written(time: u64) -> std::vec::Vec<u8> {
        let mut buffer = [0; 48];
        let mut out = Writer::new(&mut buffer);
        write(UnixTime(time), &mut out);
        out.written().to_vec()
    }

    #[test]
    fn known_moments() {
        for (text, time) in [
            ("Thu, 01 Jan 1970 00:00:00 GMT", 0),
            ("Sat, 13 Nov 2010 23:29:00 GMT", 1_289_690_940),
            ("Tue, 29 Feb 2000 12:00:01 GMT", 951_825_601),
            ("Mon, 31 Dec 2029 23:59:59 GMT", 1_893_455_999),
        ] {
            assert_eq!(parse(text.as_bytes()), Some(UnixTime(time)), "{text}");
            assert_eq!(written(time), text.as_bytes());
        }
        assert_eq!(parse(b" sat, 1 jan 2011 02:00:00 GMT "), Some(UnixTime(1_293_847_200)));
    }

    #[test]
    fn moments_in_documents() {
        for (text, time) in [
            ("1970-01-01T00:00:00Z", 0),
            ("2010-11-13T23:29:00Z", 1_289_690_940),
            ("2000-02-29T12:00:01Z", 951_825_601),
            ("2029-12-31T23:59:59Z", 1_893_455_999),
        ] {
            let mut buffer = [0; 32];
            let mut out = Writer::new(&mut buffer);
            write_internet(UnixTime(time), &mut out);
            assert_eq!(out.written(), text.as_bytes());
            assert_eq!(parse_internet(text.as_bytes()), Some(UnixTime(time)));
        }
    }

    #[test]
    fn moments_from_elsewhere() {
        for (text, time) in [
            ("2010-11-14T00:29:00.25+01:00", Some(1_289_690_940)),
            ("2010-11-13t15:29:00-08:00", Some(1_289_690_940)),
            ("2010-11-13 23:29:00z", Some(1_289_690_940)),
            ("1970-01-01T00:30:00+01:00", None),
            ("9999-12-31T23:59:59-00:01", None),
            ("2010-11-13T23:29:00", None),
            ("2010-11-13T23:29:00.Z", None),
            ("2010-11-13T23:29:00.123", None),
            ("2010-02-29T12:00:00Z", None),
            ("2010-13-01T12:00:00Z", None),
            ("2010-11-13T24:00:00Z", None),
            ("2010-11-13T23:29:00+24:00", None),
            ("2010-11-13T23:29:00+0100", None),
            ("201-011-13T23:29:00Z", None),
            ("2010-11-13", None),
            ("", None),
        ] {
            assert_eq!(parse_internet(text.as_bytes()), time.map(UnixTime), "{text}");
        }
    }

    #[test]
    fn every_day_round_trips() {
        for day in 0..200_000 {
            let time = day * DAY_S + day % DAY_S;
            assert_eq!(parse(&written(time)), Some(UnixTime(time)));
        }
        assert!(!written(u64::MAX).is_empty());
    }

    #[test]
    fn faults() {
        for bad in [
            "",
            "Fri",
            "Fri, 01 Jan 2010 16:00:00 EST",
            "Fri, 32 Jan 2010 16:00:00 GMT",
            "Fri, 29 Feb 2010 16:00:00 GMT",
            "Xxx, 01 Jan 2010 16:00:00 GMT",
            "Fri, 01 Jan 2010 24:00:00 GMT",
            "Fri, 01 Jan 2010 16:00 GMT",
            "Fri, 01 Jan 1969 16:00:00 GMT",
            "Fri, 01 Jan 2010 16:00:00 GMT x",
            "Fri, 0 Jan 2010 16:00:00 GMT",
            "Fri, 01 Jan 20100 16:00:00 GMT",
            "Fri, 01 Jan 2010 1:2:3 GMT",
        ] {
            assert_eq!(parse(bad.as_bytes()), None, "{bad}");
        }
    }
}
