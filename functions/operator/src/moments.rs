//! Times as people write and read them.

use std::time::Duration;

use inbox_core::Timestamp;

/// Reads `2h`, `7d`, `now`, `2026-11-22`, `2026-11-22T04:50:00Z`: how long ago,
/// or when.
///
/// # Errors
///
/// What would be understood.
pub fn parse_moment(text: &str, now: Timestamp) -> Result<Timestamp, String> {
    let text = text.trim();
    if text == "now" {
        return Ok(now);
    }
    if let Ok(age) = humantime::parse_duration(text) {
        let age_ms = i64::try_from(age.as_millis()).unwrap_or(i64::MAX);
        let moment = Timestamp::from_unix_ms(now.unix_ms().saturating_sub(age_ms));
        return moment.ok_or_else(|| format!("{text:?} ago is before 1970"));
    }
    let whole = if text.len() == "2026-11-22".len() {
        format!("{text}T00:00:00Z")
    } else {
        text.replacen(' ', "T", 1)
    };
    Timestamp::parse_rfc3339(&whole).ok_or_else(|| {
        format!(
            "{text:?} is no time: write 30m, 2h or 7d (ago), 2026-11-22, or 2026-11-22T04:50:00Z"
        )
    })
}

/// `in 4 min`, `12 s ago`, `3 d ago`: one unit, as a person would say it.
#[must_use]
pub fn relative(moment: Timestamp, now: Timestamp) -> String {
    if moment > now {
        format!("in {}", span(moment.since(now)))
    } else {
        format!("{} ago", span(now.since(moment)))
    }
}

/// `1 event`, `2 events`.
#[must_use]
pub fn counted(count: u64, one: &str) -> String {
    if count == 1 { format!("1 {one}") } else { format!("{count} {one}s") }
}

/// `450 ms`, `12 s`, `4 min`, `3 h`, `5 d`.
#[must_use]
pub fn span(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0 => format!("{} ms", duration.as_millis()),
        1..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds / 60),
        7200..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} d", seconds / 86_400),
    }
}

/// `2026-11-22 04:50:00`, UTC, for tables.
#[must_use]
pub fn clock(moment: Timestamp) -> String {
    moment.to_rfc3339()[..19].replace('T', " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> Timestamp {
        Timestamp::parse_rfc3339("2026-11-22T12:00:00Z").unwrap()
    }

    #[test]
    fn moments_are_read_as_people_write_them() {
        for (text, moment) in [
            ("2h", "2026-11-22T10:00:00Z"),
            ("1h 30m", "2026-11-22T10:30:00Z"),
            ("7d", "2026-11-15T12:00:00Z"),
            ("now", "2026-11-22T12:00:00Z"),
            ("2026-11-20", "2026-11-20T00:00:00Z"),
            ("2026-11-20 06:07:08Z", "2026-11-20T06:07:08Z"),
            ("2026-11-20T06:07:08+01:00", "2026-11-20T05:07:08Z"),
        ] {
            assert_eq!(parse_moment(text, now()).ok(), Timestamp::parse_rfc3339(moment), "{text}");
        }
        for wrong in ["", "yesterday", "2h ago", "-2h", "99999d", "2026-13-01"] {
            assert!(parse_moment(wrong, now()).is_err(), "{wrong}");
        }
    }

    #[test]
    fn spans_have_one_unit() {
        for (ms, text) in [
            (0, "0 ms"),
            (999, "999 ms"),
            (1000, "1 s"),
            (119_999, "119 s"),
            (120_000, "2 min"),
            (7_199_000, "119 min"),
            (7_200_000, "2 h"),
            (172_800_000, "2 d"),
        ] {
            assert_eq!(span(Duration::from_millis(ms)), text);
        }
        assert_eq!(relative(now().plus(Duration::from_mins(4)), now()), "in 4 min");
        assert_eq!(relative(now(), now()), "0 ms ago");
    }
}
