//! Time in journals: Unix milliseconds, formatted in RFC 3339 or in the system's time zone.

use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};

/// Current Unix time in milliseconds; 0 if the clock is set before 1970.
pub fn now_ms() -> u64 {
    u64::try_from(Timestamp::now().as_millisecond()).unwrap_or_default()
}

/// The time in UTC, clamped to the end of the calendar.
fn utc(ms: u64) -> Zoned {
    let moment = i64::try_from(ms)
        .ok()
        .and_then(|ms| Timestamp::from_millisecond(ms).ok());
    moment.unwrap_or(Timestamp::MAX).to_zoned(TimeZone::UTC)
}

fn local(ms: u64) -> Zoned {
    utc(ms).with_time_zone(TimeZone::system())
}

/// `2026-11-23T15:20:34.123Z`
pub fn rfc3339(ms: u64) -> String {
    utc(ms).strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
}

/// The time zone of a formatted time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Zone {
    /// UTC, independent of the system.
    Utc,
    /// The system's time zone.
    Local,
}

/// `2026-11-23 15:20 UTC` or `2026-11-23 16:20 +01:00`
pub fn moment(ms: u64, zone: Zone) -> String {
    match zone {
        Zone::Utc => utc(ms).strftime("%Y-%m-%d %H:%M UTC").to_string(),
        Zone::Local => with_offset(&local(ms)),
    }
}

/// `2026-11-23 16:20`, in the system's time zone.
pub fn local_minutes(ms: u64) -> String {
    local(ms).strftime("%Y-%m-%d %H:%M").to_string()
}

fn with_offset(moment: &Zoned) -> String {
    moment.strftime("%Y-%m-%d %H:%M %:z").to_string()
}

/// `20261123-152034-123`: sorts by time.
pub fn sortable(ms: u64) -> String {
    utc(ms).strftime("%Y%m%d-%H%M%S-%3f").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::tz::Offset;

    #[test]
    fn known_moments() {
        assert_eq!(rfc3339(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(rfc3339(951_782_400_000), "2000-02-29T00:00:00.000Z");
        assert_eq!(rfc3339(1_763_911_234_567), "2025-11-23T15:20:34.567Z");
        assert_eq!(rfc3339(4_107_542_399_999), "2100-02-28T23:59:59.999Z");
        assert_eq!(rfc3339(u64::MAX), "9999-12-30T22:00:00.999Z");
        assert_eq!(sortable(1_763_911_234_567), "20251123-152034-567");
    }

    #[test]
    fn a_moment_is_shown_in_its_zone() {
        let ms = 1_763_911_234_567;
        let shifted = |ms, seconds| {
            let zone = TimeZone::fixed(Offset::from_seconds(seconds).unwrap());
            with_offset(&utc(ms).with_time_zone(zone))
        };
        assert_eq!(moment(ms, Zone::Utc), "2025-11-23 15:20 UTC");
        assert_eq!(shifted(ms, 3600), "2025-11-23 16:20 +01:00");
        assert_eq!(shifted(ms, -(9 * 3600 + 1800)), "2025-11-23 05:50 -09:30");
        assert_eq!(shifted(0, -3600), "1969-12-31 23:00 -01:00");
        assert!(moment(ms, Zone::Local).starts_with(&local_minutes(ms)));
    }

    #[test]
    fn sortable_times_sort_in_order_of_time() {
        let moments = [0, 1, 999, 86_400_000, 951_782_400_000, 1_763_911_234_567];
        let ids: Vec<String> = moments.iter().map(|ms| sortable(*ms)).collect();
        assert!(ids.is_sorted());
    }
}
