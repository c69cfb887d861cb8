//! Time as journals write it: Unix milliseconds, and RFC 3339 for people.

use std::time::{SystemTime, UNIX_EPOCH};

/// The last millisecond of the year 9999: what lies behind is shown as this.
const LAST_MS: u64 = 253_402_300_799_999;
const DAY_MS: u64 = 86_400_000;

/// Milliseconds since 1970, UTC; 0 on a clock set before.
pub fn now_ms() -> u64 {
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(elapsed.as_millis()).unwrap_or(LAST_MS)
}

/// A moment of the civil calendar, UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Civil {
    year: u64,
    month: u64,
    day: u64,
    hour: u64,
    minute: u64,
    second: u64,
    milli: u64,
}

/// `2026-11-23T15:20:34.123Z`
pub fn rfc3339(ms: u64) -> String {
    let c = civil(ms);
    let Civil { year, month, day, hour, minute, second, milli } = c;
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milli:03}Z")
}

/// `2026-11-23 15:20`
pub fn minutes(ms: u64) -> String {
    let Civil { year, month, day, hour, minute, .. } = civil(ms);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}")
}

/// `20261123-152034-123`: sorts as time does.
pub fn sortable(ms: u64) -> String {
    let Civil { year, month, day, hour, minute, second, milli } = civil(ms);
    format!("{year:04}{month:02}{day:02}-{hour:02}{minute:02}{second:02}-{milli:03}")
}

fn civil(ms: u64) -> Civil {
    let ms = ms.min(LAST_MS);
    let (year, month, day) = date(ms / DAY_MS);
    let rest = ms % DAY_MS;
    Civil {
        year,
        month,
        day,
        hour: rest / 3_600_000,
        minute: rest / 60_000 % 60,
        second: rest / 1000 % 60,
        milli: rest % 1000,
    }
}

/// Year, month and day of a day counted from 1970-01-01.
fn date(mut days: u64) -> (u64, u64, u64) {
    // Whole cycles of 400 years first, so that the loop below stays short.
    let mut year = 1970 + days / 146_097 * 400;
    days %= 146_097;
    while days >= year_length(year) {
        days -= year_length(year);
        year += 1;
    }
    let mut month = 1;
    while days >= month_length(year, month) {
        days -= month_length(year, month);
        month += 1;
    }
    (year, month, days + 1)
}

fn is_leap(year: u64) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

fn year_length(year: u64) -> u64 {
    365 + u64::from(is_leap(year))
}

fn month_length(year: u64, month: u64) -> u64 {
    match month {
        2 => 28 + u64::from(is_leap(year)),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_moments() {
        assert_eq!(rfc3339(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(rfc3339(951_782_400_000), "2000-02-29T00:00:00.000Z");
        assert_eq!(rfc3339(1_763_911_234_567), "2025-11-23T15:20:34.567Z");
        assert_eq!(rfc3339(4_107_542_399_999), "2100-02-28T23:59:59.999Z");
        assert_eq!(rfc3339(u64::MAX), "9999-12-31T23:59:59.999Z");
        assert_eq!(sortable(1_763_911_234_567), "20251123-152034-567");
    }

    #[test]
    fn ids_sort_as_time_does() {
        let moments = [0, 1, 999, 86_400_000, 951_782_400_000, 1_763_911_234_567];
        let ids: Vec<String> = moments.iter().map(|ms| sortable(*ms)).collect();
        assert!(ids.is_sorted());
    }
}
