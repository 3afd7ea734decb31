//! What became of many requests: how many of each answer, and how long they took.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::json;

use crate::console::{Console, Tone};
use crate::fault::{Fault, Outcome};
use crate::table::{Cell, Column, Table};

/// An answer, as far as it is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answered {
    /// Status code.
    pub status: u16,
    /// `accepted` or `duplicate`, from an inbox.
    pub inbox_status: Option<String>,
    /// The event's id there.
    pub inbox_id: Option<String>,
    /// The answer's body, cleaned and cut.
    pub body: String,
    /// From sending to the answer's end.
    pub took: Duration,
}

impl Answered {
    /// Whether it is a 2xx.
    #[must_use]
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }
}

/// Counts and times.
#[derive(Debug, Default)]
pub struct Tally {
    counts: BTreeMap<(u16, String), u64>,
    took: Vec<Duration>,
    unanswered: u64,
    last_fault: Option<Fault>,
}

impl Tally {
    /// One more.
    pub fn add(&mut self, answered: Result<Answered, Fault>) {
        match answered {
            Ok(answered) => {
                self.took.push(answered.took);
                let key = (answered.status, answered.inbox_status.unwrap_or_default());
                *self.counts.entry(key).or_default() += 1;
            }
            Err(fault) => {
                self.unanswered += 1;
                self.last_fault = Some(fault);
            }
        }
    }

    /// How many were sent.
    #[must_use]
    pub fn sent(&self) -> u64 {
        self.unanswered + self.counts.values().sum::<u64>()
    }

    /// The median and the worst.
    fn times(&self) -> Option<(Duration, Duration)> {
        let mut sorted = self.took.clone();
        sorted.sort_unstable();
        Some((*sorted.get(sorted.len() / 2)?, *sorted.last()?))
    }

    /// A table for people, one document for machines.
    pub fn say(&self, console: &Console, source: &str, url: &str) {
        let times = self.times();
        if console.json {
            let answers: Vec<_> = self
                .counts
                .iter()
                .map(|((status, inbox), count)| {
                    let inbox = Some(inbox).filter(|inbox| !inbox.is_empty());
                    json!({"status": status, "inbox_status": inbox, "count": count})
                })
                .collect();
            console.value(&json!({
                "source": source, "url": url, "sent": self.sent(), "answers": answers,
                "unanswered": self.unanswered,
                "median_ms": times.map(|(median, _)| milliseconds(median)),
                "worst_ms": times.map(|(_, worst)| milliseconds(worst)),
            }));
            return;
        }
        let mut table =
            Table::new([Column::new("answer"), Column::new("inbox"), Column::new("count").right()]);
        for ((status, inbox), count) in &self.counts {
            let tone = if (200..300).contains(status) { Tone::Good } else { Tone::Bad };
            table.row([
                Cell::toned(tone, status.to_string()),
                inbox.as_str().into(),
                count.to_string().into(),
            ]);
        }
        if self.unanswered > 0 {
            table.row([
                Cell::toned(Tone::Bad, "none"),
                "".into(),
                self.unanswered.to_string().into(),
            ]);
        }
        console.table(&table);
        if let Some((median, worst)) = times {
            console.line(format!(
                "median {} ms, worst {} ms",
                milliseconds(median),
                milliseconds(worst)
            ));
        }
    }

    /// Done when all were answered with 2xx.
    ///
    /// # Errors
    ///
    /// Some were not answered at all: the last one's fault.
    pub fn outcome(self) -> Result<Outcome, Fault> {
        match self.last_fault {
            Some(Fault::Unavailable { problem }) => Err(Fault::unavailable(format!(
                "{} without an answer; the last: {problem}",
                self.unanswered
            ))),
            Some(fault) => Err(fault),
            None if self.counts.keys().all(|(status, _)| (200..300).contains(status)) => {
                Ok(Outcome::Done)
            }
            None => Ok(Outcome::Negative),
        }
    }
}

/// Whole milliseconds.
#[must_use]
pub fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(status: u16, ms: u64) -> Answered {
        Answered {
            status,
            inbox_status: None,
            inbox_id: None,
            body: String::new(),
            took: Duration::from_millis(ms),
        }
    }

    #[test]
    fn all_good_is_done_some_bad_is_no_and_silence_is_a_fault() {
        let outcome = |answers: Vec<Result<Answered, Fault>>| {
            let mut tally = Tally::default();
            for answer in answers {
                tally.add(answer);
            }
            (tally.sent(), tally.times().map(|(_, worst)| worst.as_millis()), tally.outcome())
        };
        assert_eq!(
            outcome(vec![Ok(answered(200, 1)), Ok(answered(204, 9))]),
            (2, Some(9), Ok(Outcome::Done))
        );
        assert_eq!(
            outcome(vec![Ok(answered(200, 1)), Ok(answered(302, 2))]).2,
            Ok(Outcome::Negative)
        );
        let silent = outcome(vec![Ok(answered(200, 1)), Err(Fault::unavailable("x: no answer"))]);
        assert_eq!(silent.2.unwrap_err().exit_code(), 3);
        assert_eq!(silent.0, 2);
    }
}
