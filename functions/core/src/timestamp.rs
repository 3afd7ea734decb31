//! One unit of time for the whole project: milliseconds since the Unix epoch
//! in memory, *seconds* with three decimals in the ledger.
//!
//! DynamoDB's TTL wants seconds, so the ledger counts everything in seconds;
//! the decimals keep the order of events that arrive within one second.

use std::time::{Duration, SystemTime};

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// The last millisecond of the year 9999, the end of RFC 3339.
const LATEST_MS: i64 = 253_402_300_799_999;

/// A moment between 1970 and 9999, to the millisecond, in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The wall clock. Only `main` functions and the edges call this;
    /// everything else takes `now` as an argument.
    #[must_use]
    pub fn now() -> Self {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Self(i64::try_from(since.as_millis()).unwrap_or(LATEST_MS).min(LATEST_MS))
    }

    /// Milliseconds since the epoch; `None` before 1970 or after 9999.
    #[must_use]
    pub fn from_unix_ms(milliseconds: i64) -> Option<Self> {
        (0..=LATEST_MS).contains(&milliseconds).then_some(Self(milliseconds))
    }

    /// Whole seconds since the epoch; `None` before 1970 or after 9999.
    #[must_use]
    pub fn from_unix_seconds(seconds: i64) -> Option<Self> {
        seconds.checked_mul(1000).and_then(Self::from_unix_ms)
    }

    /// Reads RFC 3339 text such as `2026-03-01T12:00:00.5+01:00`.
    #[must_use]
    pub fn parse_rfc3339(text: &str) -> Option<Self> {
        let moment = OffsetDateTime::parse(text, &Rfc3339).ok()?;
        let milliseconds = moment.unix_timestamp_nanos().div_euclid(1_000_000);
        Self::from_unix_ms(i64::try_from(milliseconds).ok()?)
    }

    /// Reads the ledger's form: seconds with up to three decimals.
    #[must_use]
    pub fn parse_decimal_seconds(text: &str) -> Option<Self> {
        let (seconds, fraction) = text.split_once('.').unwrap_or((text, ""));
        if fraction.len() > 3 || !fraction.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        let milliseconds: i64 = format!("{fraction:0<3}").parse().ok()?;
        let whole = Self::from_unix_seconds(seconds.parse().ok()?)?;
        Self::from_unix_ms(whole.0 + milliseconds)
    }

    /// Milliseconds since the epoch.
    #[must_use]
    pub fn unix_ms(self) -> i64 {
        self.0
    }

    /// Whole seconds since the epoch, rounded down.
    #[must_use]
    pub fn unix_seconds(self) -> i64 {
        self.0.div_euclid(1000)
    }

    /// The ledger's form, for example `1764000000.123`.
    #[must_use]
    pub fn to_decimal_seconds(self) -> String {
        format!("{}.{:03}", self.unix_seconds(), self.0.rem_euclid(1000))
    }

    /// `2026-11-22T04:50:00.123Z`: always three decimals, so that text sorts
    /// as time does.
    #[must_use]
    pub fn to_rfc3339(self) -> String {
        let seconds = OffsetDateTime::from_unix_timestamp(self.unix_seconds())
            .unwrap_or(OffsetDateTime::UNIX_EPOCH);
        format!(
            "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z",
            seconds.year(),
            u8::from(seconds.month()),
            seconds.day(),
            seconds.hour(),
            seconds.minute(),
            seconds.second(),
            self.0.rem_euclid(1000),
        )
    }

    /// This moment and `duration` more, at most the end of the year 9999.
    #[must_use]
    pub fn plus(self, duration: Duration) -> Self {
        let milliseconds = i64::try_from(duration.as_millis()).unwrap_or(LATEST_MS);
        Self(self.0.saturating_add(milliseconds).min(LATEST_MS))
    }

    /// This moment and `duration` less, at least the beginning of 1970.
    #[must_use]
    pub fn minus(self, duration: Duration) -> Self {
        let milliseconds = i64::try_from(duration.as_millis()).unwrap_or(LATEST_MS);
        Self(self.0.saturating_sub(milliseconds).max(0))
    }

    /// This moment, or the next whole second.
    #[must_use]
    pub fn ceil_to_seconds(self) -> Self {
        Self(((self.0 + 999) / 1000 * 1000).min(LATEST_MS / 1000 * 1000))
    }

    /// How long after `earlier` this is; zero when it is not after it.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0 - earlier.0).unwrap_or(0))
    }

    /// The distance between two moments, whichever comes first.
    #[must_use]
    pub fn distance(self, other: Self) -> Duration {
        Duration::from_millis(self.0.abs_diff(other.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimal_seconds_survive_a_round_trip() {
        for ms in [0, 1, 999, 1000, 1_764_000_000_123, LATEST_MS] {
            let moment = Timestamp::from_unix_ms(ms).unwrap();
            assert_eq!(
                Timestamp::parse_decimal_seconds(&moment.to_decimal_seconds()),
                Some(moment)
            );
        }
        // DynamoDB drops trailing zeros of a number.
        assert_eq!(Timestamp::parse_decimal_seconds("12.5"), Timestamp::from_unix_ms(12_500));
        assert_eq!(Timestamp::parse_decimal_seconds("12"), Timestamp::from_unix_ms(12_000));
        for wrong in ["", "1.2345", "1.-5", "x", "-1", "1e9"] {
            assert_eq!(Timestamp::parse_decimal_seconds(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn rfc3339_is_read_with_offset_and_written_in_utc_with_milliseconds() {
        let moment = Timestamp::parse_rfc3339("2026-03-01T12:00:00.5+01:00").unwrap();
        assert_eq!(moment.to_rfc3339(), "2026-03-01T11:00:00.500Z");
        assert_eq!(Timestamp::parse_rfc3339("yesterday"), None);
        assert_eq!(Timestamp::parse_rfc3339("1969-12-31T23:59:59Z"), None);
    }

    #[test]
    fn moments_out_of_range_are_refused_not_wrapped() {
        assert_eq!(Timestamp::from_unix_seconds(i64::MAX), None);
        assert_eq!(Timestamp::from_unix_seconds(-1), None);
        let latest = Timestamp::from_unix_ms(LATEST_MS).unwrap();
        assert_eq!(latest.plus(Duration::MAX), latest);
        let first = Timestamp::from_unix_ms(0).unwrap();
        assert_eq!(latest.minus(Duration::MAX), first);
        assert_eq!(first.plus(Duration::from_secs(9)).minus(Duration::from_secs(9)), first);
    }
}
