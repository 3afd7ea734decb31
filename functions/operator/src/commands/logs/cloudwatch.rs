//! A log group of CloudWatch, followed.
//!
//! `FilterLogEvents` is asked again and again: it needs no permission that the operator's
//! policies do not have anyhow, and costs nothing, where `StartLiveTail` costs by the
//! minute and shows nothing of before.
//!
//! Lines of different streams arrive out of order, and some seconds late. So each look
//! goes back a little behind the newest line, and what it has shown already is left out by
//! its id.
//! <https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_FilterLogEvents.html>

use std::collections::BTreeMap;
use std::time::Duration;

use aws_sdk_cloudwatchlogs::Client;
use aws_sdk_cloudwatchlogs::types::FilteredLogEvent;
use inbox_aws::describe;
use inbox_core::Timestamp;

use crate::context::Context;
use crate::fault::{Fault, Outcome};
use crate::stop::Stop;

/// Between two looks. AWS allows five calls a second, to all of an account together.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// After a look that failed, once one has succeeded.
const LOOK_AGAIN_AFTER: Duration = Duration::from_secs(5);
/// How late a line may arrive and still be shown.
const LATE_BY_MS: i64 = 15_000;

pub(super) async fn follow(
    context: &Context,
    function: &str,
    since: Timestamp,
    no_follow: bool,
) -> Result<Outcome, Fault> {
    let client = Client::new(context.aws().await?);
    let stop = Stop::listen()?;
    let mut log = Log {
        client,
        group: format!("/aws/lambda/{function}"),
        shown: Shown::since(since),
        context,
    };
    let mut was_seen = false;
    loop {
        let looked = tokio::select! {
            looked = log.look() => looked,
            () = stop.asked() => return Ok(Outcome::Done),
        };
        let pause = match looked {
            Ok(Reader::Gone) => return Ok(Outcome::Done),
            Ok(Reader::There) if no_follow => return Ok(Outcome::Done),
            Ok(Reader::There) => {
                was_seen = true;
                LOOK_EVERY
            }
            Err(fault) if was_seen => {
                context.console.note(format!("{fault}; trying again"));
                LOOK_AGAIN_AFTER
            }
            Err(fault) => return Err(fault),
        };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = stop.asked() => return Ok(Outcome::Done),
        }
    }
}

struct Log<'a> {
    client: Client,
    group: String,
    shown: Shown,
    context: &'a Context,
}

/// Whether somebody still reads what is written.
enum Reader {
    There,
    Gone,
}

impl Log<'_> {
    /// Shows what has come since the last look.
    async fn look(&mut self) -> Result<Reader, Fault> {
        let mut page_token = None;
        let from_ms = self.shown.from_ms;
        loop {
            let page = self
                .client
                .filter_log_events()
                .log_group_name(&self.group)
                .start_time(from_ms)
                .set_next_token(page_token)
                .send()
                .await
                .map_err(|error| Fault::unavailable(describe("FilterLogEvents", &error)))?;
            for event in page.events() {
                if !self.shown.is_new(event) {
                    continue;
                }
                let line = format!("{}\n", event.message().unwrap_or_default().trim_end());
                if self.context.console.bytes(line.as_bytes()).is_err() {
                    return Ok(Reader::Gone);
                }
            }
            page_token = page.next_token;
            if page_token.is_none() {
                self.shown.forget_old();
                return Ok(Reader::There);
            }
        }
    }
}

/// What has been shown of the last seconds, and from where to look next.
#[derive(Debug)]
struct Shown {
    since_ms: i64,
    from_ms: i64,
    newest_ms: i64,
    /// Times by id.
    ids: BTreeMap<String, i64>,
}

impl Shown {
    fn since(since: Timestamp) -> Self {
        let ms = since.unix_ms();
        Self { since_ms: ms, from_ms: ms, newest_ms: ms, ids: BTreeMap::new() }
    }

    /// Notes a line, and says whether it was not noted before.
    fn is_new(&mut self, event: &FilteredLogEvent) -> bool {
        let at_ms = event.timestamp().unwrap_or(self.newest_ms);
        self.newest_ms = self.newest_ms.max(at_ms);
        let id = event.event_id().unwrap_or_default().to_owned();
        self.ids.insert(id, at_ms).is_none()
    }

    /// The end of a look: the next begins a little behind the newest line.
    fn forget_old(&mut self) {
        self.from_ms = (self.newest_ms - LATE_BY_MS).max(self.since_ms);
        self.ids.retain(|_, at_ms| *at_ms >= self.from_ms);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(id: &str, at_ms: i64) -> FilteredLogEvent {
        FilteredLogEvent::builder().event_id(id).timestamp(at_ms).build()
    }

    #[test]
    fn a_line_that_arrives_late_is_shown_and_none_is_shown_twice() {
        let base_ms = 1_764_000_000_000;
        let mut shown = Shown::since(Timestamp::from_unix_ms(base_ms).unwrap());
        assert!(shown.is_new(&line("a", base_ms + 20_000)));
        shown.forget_old();
        assert_eq!(shown.from_ms, base_ms + 5_000, "it looks back for what is late");
        assert!(!shown.is_new(&line("a", base_ms + 20_000)), "it was shown");
        assert!(shown.is_new(&line("late", base_ms + 6_000)));
        shown.forget_old();
        assert!(!shown.is_new(&line("late", base_ms + 6_000)));
        // What cannot be asked for again need not be remembered.
        assert!(shown.is_new(&line("b", base_ms + 60_000)));
        shown.forget_old();
        assert_eq!(shown.ids.keys().collect::<Vec<_>>(), ["b"]);
    }

    #[test]
    fn nothing_from_before_the_moment_that_was_asked_for_is_shown() {
        let since = Timestamp::from_unix_ms(1_764_000_000_000).unwrap();
        let mut shown = Shown::since(since);
        shown.is_new(&line("a", since.unix_ms() + 1));
        shown.forget_old();
        assert_eq!(shown.from_ms, since.unix_ms());
    }
}
