//! The processor's settings.

use std::time::Duration;

use inbox_core::config::{ConfigError, Reader};
use inbox_core::ledger::least_retention;
use inbox_core::stack::stack;

use crate::batch::RESERVE;
use crate::retry::RetryPolicy;

/// Read once at start.
#[derive(Clone, Debug)]
pub struct Config {
    /// The ledger's table.
    pub table_name: String,
    /// The queue.
    pub queue_url: String,
    /// The queue of slow routes; without it nothing is left for later.
    pub lane_queue_url: Option<String>,
    /// Where buried events' copies go.
    pub dead_letter_queue_url: String,
    /// Where payloads lie that are too large for the table.
    pub payload_bucket: Option<String>,
    /// The mirror's table; only routes with the `mirror` handler need it.
    pub mirror_table_name: Option<String>,
    /// The bus of the handler `publish`, by name or ARN.
    pub event_bus: Option<String>,
    /// Routes as JSON.
    pub routes: Option<String>,
    /// The inbox's sources, whose names routes mean before their providers'.
    pub sources: Vec<String>,
    /// The retry table.
    pub retry: RetryPolicy,
    /// How long a message may take before the sweeper sends another.
    pub sweep_grace: Duration,
    /// Time limit of one handler's run.
    pub handler_timeout: Duration,
}

impl Config {
    /// Reads the settings; `lookup` is the environment in `main`.
    ///
    /// # Errors
    ///
    /// Every problem, by name.
    pub fn from_lookup(lookup: impl Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let defaults = &stack().defaults;
        let mut reader = Reader::new(lookup);
        let config = Self {
            table_name: reader.required("TABLE_NAME"),
            queue_url: reader.required("QUEUE_URL"),
            lane_queue_url: reader.optional("LANE_QUEUE_URL"),
            dead_letter_queue_url: reader.required("DLQ_URL"),
            payload_bucket: reader.optional("PAYLOAD_BUCKET"),
            mirror_table_name: reader.optional("MIRROR_TABLE_NAME"),
            event_bus: reader.optional("EVENT_BUS_NAME"),
            routes: reader.optional("ROUTES"),
            sources: split(reader.optional("SOURCES").as_deref()),
            retry: RetryPolicy {
                delays: reader
                    .numbers("RETRY_DELAYS_SECONDS", &defaults.retry_delays_seconds, 0..=86_400)
                    .into_iter()
                    .map(|seconds| Duration::from_secs(seconds.into()))
                    .collect(),
                jitter_percent: defaults.retry_jitter_percent,
                park_above: seconds(reader.number(
                    "PARK_ABOVE_SECONDS",
                    defaults.park_above_seconds,
                    0..=defaults.park_above_seconds,
                )),
            },
            sweep_grace: seconds(reader.number(
                "SWEEP_GRACE_SECONDS",
                defaults.sweep_grace_seconds,
                1..=3600,
            )),
            handler_timeout: seconds(reader.number(
                "HANDLER_TIMEOUT_SECONDS",
                defaults.handler_timeout_seconds,
                1..=longest_handler_seconds(),
            )),
        };
        // Opening an event anew keeps it for the default; what a source keeps is said by
        // Terraform, the shortest of them.
        let kept_days = reader.number("RETENTION_DAYS", defaults.retention_days, 1..=3650);
        let kept = Duration::from_hours(24 * u64::from(kept_days.min(defaults.retention_days)));
        let least = least_retention(&config.retry.delays, config.retry.jitter_percent);
        if kept < least {
            reader.problem(format_args!(
                "the waits of RETRY_DELAYS_SECONDS ask for events that are kept for at least {} days, \
                 and some are kept for {}: make the waits shorter, or keep events longer",
                least.as_secs() / 86_400,
                kept.as_secs() / 86_400,
            ));
        }
        // Each kept wait is a receive; SQS itself moves a message away after its
        // maximum, behind the ledger's back.
        let kept = config.retry.delays.iter().filter(|wait| !config.retry.parks(**wait)).count();
        let most = stack().queue.max_receive_count as usize / 5;
        if kept > most {
            reader.problem(format_args!(
                "RETRY_DELAYS_SECONDS has {kept} waits of at most PARK_ABOVE_SECONDS, and at most \
                 {most} may stay in the queue: make them longer, or PARK_ABOVE_SECONDS shorter"
            ));
        }
        reader.finish()?;
        Ok(config)
    }
}

/// Names between commas.
#[must_use]
pub fn split(names: Option<&str>) -> Vec<String> {
    let names = names.unwrap_or_default().split(',').map(str::trim);
    names.filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

/// A handler's time, the reserve, and what passes before the handler starts must
/// fit the function's time: nothing is begun that could not have its whole time.
#[must_use]
pub fn longest_handler_seconds() -> u32 {
    const HEAD_START_SECONDS: u32 = 5;
    let reserve = u32::try_from(RESERVE.as_secs()).unwrap_or(u32::MAX);
    stack().processor.timeout_seconds.saturating_sub(reserve.saturating_add(HEAD_START_SECONDS))
}

fn seconds(seconds: u32) -> Duration {
    Duration::from_secs(seconds.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(settings: &[(&str, &str)]) -> Result<Config, Vec<String>> {
        let lookup = |name: &str| {
            settings.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
        };
        Config::from_lookup(lookup).map_err(|error| error.problems)
    }

    #[test]
    fn the_defaults_are_the_stacks() {
        let config = read(&[("TABLE_NAME", "t"), ("QUEUE_URL", "q"), ("DLQ_URL", "d")]).unwrap();
        assert_eq!(config.retry.max_attempts(), 7);
        assert_eq!(config.retry.park_above, Duration::from_mins(1));
        assert_eq!(config.handler_timeout, Duration::from_secs(30));
    }

    #[test]
    fn a_handlers_time_must_fit_and_kept_waits_must_leave_the_queue_its_backstop() {
        let set = [("TABLE_NAME", "t"), ("QUEUE_URL", "q"), ("DLQ_URL", "d")];
        let with = |name, value| read(&[&set[..], &[(name, value)]].concat()).unwrap_err();
        assert_eq!(
            with("HANDLER_TIMEOUT_SECONDS", "46"),
            ["HANDLER_TIMEOUT_SECONDS must be a whole number from 1 to 45, not \"46\""]
        );
        assert_eq!(
            with("RETRY_DELAYS_SECONDS", "1,1,1,1,1,1,1"),
            [
                "RETRY_DELAYS_SECONDS has 7 waits of at most PARK_ABOVE_SECONDS, and at most 6 may stay \
              in the queue: make them longer, or PARK_ABOVE_SECONDS shorter"
            ]
        );
    }

    #[test]
    fn no_event_may_expire_before_its_attempts_are_used_up() {
        let set = [("TABLE_NAME", "t"), ("QUEUE_URL", "q"), ("DLQ_URL", "d")];
        let with = |more: &[(&str, &str)]| read(&[&set[..], more].concat()).err();
        let fortnight = ["86400"; 12].join(",");
        assert_eq!(with(&[("RETRY_DELAYS_SECONDS", &fortnight)]), None);
        let said = |least, kept| {
            vec![format!(
                "the waits of RETRY_DELAYS_SECONDS ask for events that are kept for at least {least} \
                 days, and some are kept for {kept}: make the waits shorter, or keep events longer"
            )]
        };
        let longer = ["86400"; 40].join(",");
        assert_eq!(with(&[("RETRY_DELAYS_SECONDS", &longer)]), Some(said(60, 30)));
        let short = [("RETRY_DELAYS_SECONDS", &*fortnight), ("RETENTION_DAYS", "17")];
        assert_eq!(with(&short), Some(said(30, 17)));
    }

    #[test]
    fn everything_that_is_missing_or_wrong_is_said_at_once() {
        assert_eq!(
            read(&[("RETRY_DELAYS_SECONDS", "1;2"), ("PARK_ABOVE_SECONDS", "61")]).unwrap_err(),
            [
                "TABLE_NAME is not set",
                "QUEUE_URL is not set",
                "DLQ_URL is not set",
                "RETRY_DELAYS_SECONDS must be whole numbers from 0 to 86400 separated by commas, not \"1;2\"",
                "PARK_ABOVE_SECONDS must be a whole number from 0 to 60, not \"61\"",
            ]
        );
    }
}
