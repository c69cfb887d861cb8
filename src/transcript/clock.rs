//! Time as journals write it: Unix milliseconds, and RFC 3339 or the time of the user's zone for people.

use std::time::{SystemTime, UNIX_EPOCH};

/// The last millisecond of the year 9999: what lies behind is shown as this.
const LAST_MS: u64 = 253_402_300_799_999;
const DAY_MS: u64 = 86_400_000;

/// Milliseconds since 1970, UTC; 0 on a clock set before.
pub fn now_ms() -> u64 {
    let elapsed = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
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
    let Civil {
        year,
        month,
        day,
        hour,
        minute,
        second,
        milli,
    } = c;
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milli:03}Z")
}

/// Whose time is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Zone {
    /// The same wherever a file is read.
    Utc,
    /// That of the system.
    Local,
}

/// `2026-11-23 15:20 UTC` or `2026-11-23 16:20 +01:00`
pub fn moment(ms: u64, zone: Zone) -> String {
    match zone {
        Zone::Utc => minutes(ms, 0) + " UTC",
        Zone::Local => with_offset(ms, offset(ms)),
    }
}

/// `2026-11-23 16:20`, in the zone of the system.
pub fn local_minutes(ms: u64) -> String {
    minutes(ms, offset(ms))
}

fn with_offset(ms: u64, offset: i64) -> String {
    let (sign, minutes_off) = (
        if offset < 0 { '-' } else { '+' },
        offset.unsigned_abs() / 60,
    );
    format!(
        "{} {sign}{:02}:{:02}",
        minutes(ms, offset),
        minutes_off / 60,
        minutes_off % 60
    )
}

/// `offset` is in seconds east of Greenwich.
fn minutes(ms: u64, offset: i64) -> String {
    let Civil {
        year,
        month,
        day,
        hour,
        minute,
        ..
    } = civil(ms.saturating_add_signed(offset * 1000));
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}")
}

/// How far the system's zone was ahead of UTC at that moment, in seconds; 0 where nobody knows.
fn offset(ms: u64) -> i64 {
    let Some(seconds) = i64::try_from(ms.min(LAST_MS) / 1000).ok() else {
        return 0;
    };
    let Some(tm) = local_fields(seconds) else {
        return 0;
    };
    let part = |value: libc::c_int| u64::try_from(value).unwrap_or_default();
    let days = days_before(part(tm.tm_year) + 1900, part(tm.tm_mon) + 1)
        + part(tm.tm_mday).saturating_sub(1);
    let shown = days * 86_400 + part(tm.tm_hour) * 3600 + part(tm.tm_min) * 60 + part(tm.tm_sec);
    i64::try_from(shown).map_or(0, |shown| shown - seconds)
}

/// Days from 1970-01-01 to the first of a month.
fn days_before(year: u64, month: u64) -> u64 {
    let years: u64 = (1970..year).map(year_length).sum();
    years
        + (1..month)
            .map(|month| month_length(year, month))
            .sum::<u64>()
}

/// The system's clock on the wall.
#[cfg(unix)]
fn local_fields(seconds: i64) -> Option<libc::tm> {
    // SAFETY: all zeroes are a valid `tm`, and both pointers are good for the call.
    unsafe {
        let mut tm: libc::tm = std::mem::zeroed();
        let time = libc::time_t::try_from(seconds).ok()?;
        (!libc::localtime_r(&time, &mut tm).is_null()).then_some(tm)
    }
}

/// The system's clock on the wall.
#[cfg(windows)]
fn local_fields(seconds: i64) -> Option<libc::tm> {
    // SAFETY: all zeroes are a valid `tm`, and both pointers are good for the call.
    unsafe {
        let mut tm: libc::tm = std::mem::zeroed();
        let time = libc::time_t::try_from(seconds).ok()?;
        (libc::localtime_s(&mut tm, &time) == 0).then_some(tm)
    }
}

/// `20261123-152034-123`: sorts as time does.
pub fn sortable(ms: u64) -> String {
    let Civil {
        year,
        month,
        day,
        hour,
        minute,
        second,
        milli,
    } = civil(ms);
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
    fn zones_shift_the_clock_and_are_named() {
        let ms = 1_763_911_234_567;
        assert_eq!(moment(ms, Zone::Utc), "2025-11-23 15:20 UTC");
        assert_eq!(with_offset(ms, 3600), "2025-11-23 16:20 +01:00");
        assert_eq!(
            with_offset(ms, -(9 * 3600 + 1800)),
            "2025-11-23 05:50 -09:30"
        );
        assert_eq!(with_offset(0, -3600), "1970-01-01 00:00 -01:00");
        assert_eq!(with_offset(ms, offset(ms)), moment(ms, Zone::Local));
        assert!(moment(ms, Zone::Local).starts_with(&local_minutes(ms)));
        assert_eq!(days_before(2026, 11) * DAY_MS, 1_793_491_200_000);
    }

    #[test]
    fn ids_sort_as_time_does() {
        let moments = [0, 1, 999, 86_400_000, 951_782_400_000, 1_763_911_234_567];
        let ids: Vec<String> = moments.iter().map(|ms| sortable(*ms)).collect();
        assert!(ids.is_sorted());
    }
}
