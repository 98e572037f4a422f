//! The Gregorian calendar: days since 1970 as year, month and day, and back. No zones ([`super::zone`]), no texts.

/// Seconds of a day; leap seconds are not counted (POSIX.1-2017, §4.16 of the base definitions).
pub const DAY_S: u64 = 86_400;

/// Year, month (from 1) and day of the month of the day that is `days` after 1970-01-01.
pub fn civil(days: u64) -> (u64, u64, u64) {
    let absolute = days.saturating_add(days_before_year(1970));
    // 400 years have 146,097 days, so this is at most one year late; the next line takes that back.
    let mut year = (u128::from(absolute) * 400 / 146_097) as u64 + 1;
    if days_before_year(year) > absolute {
        year -= 1;
    } else if days_before_year(year + 1) <= absolute {
        year += 1;
    }
    let mut rest = absolute - days_before_year(year);
    let mut month = 1;
    while rest >= days_of_month(year, month) {
        rest -= days_of_month(year, month);
        month += 1;
    }
    (year, month, rest + 1)
}

/// Whether a year has a 29th of February.
pub const fn is_leap(year: u64) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

/// Days of a month, which counts from 1.
pub const fn days_of_month(year: u64, month: u64) -> u64 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days of the years before `year`, counted from year 1.
fn days_before_year(year: u64) -> u64 {
    let past = year - 1;
    past * 365 + past / 4 - past / 100 + past / 400
}

/// Days from 1970-01-01 to a day of a year from 1970 on; month and day count from 1.
pub fn days_since_1970(year: u64, month: u64, day: u64) -> u64 {
    days_before_year(year) - days_before_year(1970)
        + (1..month).map(|month| days_of_month(year, month)).sum::<u64>()
        + day
        - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_and_back() {
        for (days, date) in [
            (0, (1970, 1, 1)),
            (11_016, (2000, 2, 29)),
            (11_017, (2000, 3, 1)),
            (20_454, (2026, 1, 1)),
            (47_540, (2100, 2, 28)),
            (47_541, (2100, 3, 1)),
        ] {
            assert_eq!(civil(days), date);
            assert_eq!(days_since_1970(date.0, date.1, date.2), days);
        }
        for days in 0..400 * 366 {
            let (year, month, day) = civil(days);
            assert_eq!(days_since_1970(year, month, day), days);
            assert!(day <= days_of_month(year, month) && month <= 12);
        }
    }
}
