//! The sweeper's settings.

use std::time::Duration;

use inbox_core::config::{ConfigError, Reader};
use inbox_core::stack::stack;

/// Read once at start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The ledger's table.
    pub table_name: String,
    /// The queue.
    pub queue_url: String,
    /// Where payloads lie that are too large for the table, and are to last longer.
    pub payload_bucket: Option<String>,
    /// How long a message may take before another is sent.
    pub sweep_grace: Duration,
}

impl Config {
    /// Reads the settings; `lookup` is the environment in `main`.
    ///
    /// # Errors
    ///
    /// Every problem, by name.
    pub fn from_lookup(lookup: impl Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let mut reader = Reader::new(lookup);
        let grace = u64::from(stack().defaults.sweep_grace_seconds);
        let config = Self {
            table_name: reader.required("TABLE_NAME"),
            queue_url: reader.required("QUEUE_URL"),
            payload_bucket: reader.optional("PAYLOAD_BUCKET"),
            sweep_grace: Duration::from_secs(reader.number("SWEEP_GRACE_SECONDS", grace, 1..=3600)),
        };
        reader.finish()?;
        Ok(config)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_that_is_missing_or_wrong_is_said_at_once() {
        let read = Config::from_lookup(|name| (name == "SWEEP_GRACE_SECONDS").then(|| "0".into()));
        assert_eq!(
            read.unwrap_err().problems,
            [
                "TABLE_NAME is not set",
                "QUEUE_URL is not set",
                "SWEEP_GRACE_SECONDS must be a whole number from 1 to 3600, not \"0\"",
            ]
        );
    }
}
