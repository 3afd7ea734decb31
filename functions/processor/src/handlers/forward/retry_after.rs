//! `Retry-After`: seconds, or a date.
//! <https://www.rfc-editor.org/rfc/rfc9110.html#section-10.2.3>

use std::time::{Duration, UNIX_EPOCH};

use inbox_core::Timestamp;

/// How long an endpoint asks to be left alone; `None` when it cannot be read, or asks
/// for nothing. What is too long is cut where waits are chosen: `retry.rs`.
pub(super) fn retry_after(value: &str, now: Timestamp) -> Option<Duration> {
    let value = value.trim();
    let is_number = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
    let wait = if is_number {
        Duration::from_secs(value.parse().unwrap_or(u64::from(u32::MAX)))
    } else {
        let date = httpdate::parse_http_date(value).ok()?.duration_since(UNIX_EPOCH).ok()?;
        date.saturating_sub(Duration::from_millis(u64::try_from(now.unix_ms()).ok()?))
    };
    (!wait.is_zero()).then_some(wait)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_and_dates_of_all_three_forms_are_read() {
        let now = Timestamp::from_unix_seconds(784_111_777).unwrap();
        let wait = |value| retry_after(value, now).map(|wait| wait.as_secs());
        assert_eq!(wait("120"), Some(120));
        assert_eq!(wait(" 007 "), Some(7));
        for date in [
            "Sun, 06 Nov 1994 08:50:37 GMT",
            "Sunday, 06-Nov-94 08:50:37 GMT",
            "Sun Nov  6 08:50:37 1994",
        ] {
            assert_eq!(wait(date), Some(60), "{date}");
        }
    }

    #[test]
    fn what_asks_for_nothing_or_cannot_be_read_is_left_to_the_table() {
        let now = Timestamp::from_unix_seconds(1_764_000_000).unwrap();
        for value in ["0", "", "-1", "1.5", "soon", "Sun, 06 Nov 1994 08:50:37 GMT", "1e9"] {
            assert_eq!(retry_after(value, now), None, "{value}");
        }
    }

    #[test]
    fn a_number_too_large_to_hold_is_a_long_time() {
        let now = Timestamp::from_unix_seconds(0).unwrap();
        let wait = retry_after("99999999999999999999999", now).unwrap();
        assert!(wait > Duration::from_hours(24));
    }
}
