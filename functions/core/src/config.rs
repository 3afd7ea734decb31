//! Reading configuration: every problem at once, by name, with what to do.
//!
//! ```
//! use inbox_core::config::Reader;
//! let mut reader = Reader::new(|name| (name == "TABLE_NAME").then(|| "events".to_owned()));
//! let table = reader.required("TABLE_NAME");
//! let queue = reader.required("QUEUE_URL");
//! let days: u32 = reader.number("RETENTION_DAYS", 30, 15..=3650);
//! let problems = reader.finish().unwrap_err();
//! assert_eq!(problems.to_string(), "configuration: QUEUE_URL is not set");
//! # let _ = (table, queue, days);
//! ```

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::str::FromStr;

/// Reads settings one by one and remembers every problem.
pub struct Reader<Lookup> {
    lookup: Lookup,
    problems: Vec<String>,
}

impl<Lookup: Fn(&str) -> Option<String>> Reader<Lookup> {
    /// `lookup` gives a setting by name; in `main` it is the environment.
    pub fn new(lookup: Lookup) -> Self {
        Self { lookup, problems: Vec::new() }
    }

    /// A setting that has no default.
    pub fn required(&mut self, name: &str) -> String {
        self.optional(name).unwrap_or_else(|| {
            self.problem(format_args!("{name} is not set"));
            String::new()
        })
    }

    /// A setting that may be missing; set but empty counts as missing, since
    /// Terraform writes unset optional values so.
    pub fn optional(&mut self, name: &str) -> Option<String> {
        (self.lookup)(name).filter(|value| !value.trim().is_empty())
    }

    /// A number within a range, with a default.
    pub fn number<N>(&mut self, name: &str, default: N, range: RangeInclusive<N>) -> N
    where
        N: FromStr + PartialOrd + Display + Copy,
    {
        let Some(text) = self.optional(name) else { return default };
        match text.trim().parse() {
            Ok(number) if range.contains(&number) => number,
            _ => {
                let (least, most) = (range.start(), range.end());
                self.problem(format_args!(
                    "{name} must be a whole number from {least} to {most}, not {text:?}"
                ));
                default
            }
        }
    }

    /// A list of numbers separated by commas, with a default.
    pub fn numbers<N>(&mut self, name: &str, default: &[N], range: RangeInclusive<N>) -> Vec<N>
    where
        N: FromStr + PartialOrd + Display + Copy,
    {
        let Some(text) = self.optional(name) else { return default.to_vec() };
        let numbers: Option<Vec<N>> = text
            .split(',')
            .map(|item| item.trim().parse().ok().filter(|number| range.contains(number)))
            .collect();
        numbers.unwrap_or_else(|| {
            let (least, most) = (range.start(), range.end());
            self.problem(format_args!(
                "{name} must be whole numbers from {least} to {most} separated by commas, not {text:?}"
            ));
            default.to_vec()
        })
    }

    /// Remembers a problem that the caller found.
    pub fn problem(&mut self, problem: impl Display) {
        self.problems.push(problem.to_string());
    }

    /// Ends the reading.
    ///
    /// # Errors
    ///
    /// All problems met, in the order of reading.
    pub fn finish(self) -> Result<(), ConfigError> {
        if self.problems.is_empty() { Ok(()) } else { Err(ConfigError { problems: self.problems }) }
    }
}

/// Everything that is wrong with the configuration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("configuration: {}", problems.join("; "))]
pub struct ConfigError {
    /// One sentence each.
    pub problems: Vec<String>,
}

/// Whether `name` can name a source: it becomes part of routes, keys, metric
/// dimensions and Terraform addresses.
#[must_use]
pub fn is_source_name(name: &str) -> bool {
    name.len() <= 48
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_problem_is_reported_in_one_go() {
        let mut reader = Reader::new(|name| match name {
            "DAYS" => Some("soon".to_owned()),
            "DELAYS" => Some("60, x".to_owned()),
            "EMPTY" => Some("  ".to_owned()),
            _ => None,
        });
        reader.required("TABLE_NAME");
        reader.required("EMPTY");
        assert_eq!(reader.number("DAYS", 30, 1..=99), 30);
        assert_eq!(reader.numbers("DELAYS", &[1, 2], 0..=900), [1, 2]);
        assert_eq!(
            reader.finish().unwrap_err().problems,
            [
                "TABLE_NAME is not set",
                "EMPTY is not set",
                "DAYS must be a whole number from 1 to 99, not \"soon\"",
                "DELAYS must be whole numbers from 0 to 900 separated by commas, not \"60, x\"",
            ]
        );
    }

    #[test]
    fn good_values_are_read_and_missing_ones_defaulted() {
        let mut reader = Reader::new(|name| (name == "DELAYS").then(|| "1, 2,3".to_owned()));
        assert_eq!(reader.numbers("DELAYS", &[9], 0..=900), [1, 2, 3]);
        assert_eq!(reader.number("DAYS", 30, 1..=99), 30);
        assert_eq!(reader.optional("NOTHING"), None);
        assert_eq!(reader.finish(), Ok(()));
    }

    #[test]
    fn source_names_are_lower_snake_case() {
        assert!(is_source_name("stripe_eu2"));
        for wrong in ["", "Stripe", "2stripe", "stripe-eu", "stripe#eu", &"s".repeat(49)] {
            assert!(!is_source_name(wrong), "{wrong}");
        }
    }
}
