//! `publish`: puts the event on an EventBridge bus, for any number of subscribers.
//!
//! ```json
//! { "id": "bus", "match": "stripe:*", "handler": "publish", "with": { "bus": "orders" } }
//! ```
//!
//! `bus` is a name or an ARN, of another region too; without it, events go to the bus that
//! `EVENT_BUS_NAME` names. The processor's role needs `events:PutEvents` on the bus. A rule matches
//! `source` (`webhooks.stripe`), `detail-type` (`stripe.charge.failed`) or anything in
//! `detail`, the `CloudEvent`.
//!
//! An entry of more than 256,000 bytes goes without its payload
//! ([`super::claim_check`]), since not every target of a rule takes more. `max_bytes`
//! raises that, up to 1,000,000.
//!
//! EventBridge delivers at least once, and an attempt whose answer was lost publishes
//! again: subscribers deduplicate by the detail's `source` and `id`, which are the same
//! on every attempt. What is published at the same time goes in one call
//! ([`gather`]), whose entries succeed or fail each on its own.

mod entry;
mod gather;

use std::sync::Arc;
use std::time::Duration;

use aws_sdk_eventbridge::Client;
use aws_sdk_eventbridge::error::ProvideErrorMetadata as _;
use aws_sdk_eventbridge::primitives::DateTime;
use aws_sdk_eventbridge::types::{PutEventsRequestEntry, PutEventsResultEntry};
use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use inbox_aws::{S3PayloadStore, describe};
use inbox_core::event::Event;
use inbox_core::handler::{Handled, Handler, HandlerError, Reason, Run};
use serde_json::Value;

use self::entry::{Entry, MAX_BYTES, SERVICE_TAKES_BYTES};
use self::gather::{Bus, Fault, Gatherer, Outcomes};
use super::claim_check::{fitting, max_bytes};
use super::{Options, Quotes, Resources};

/// How long an entry waits for others: the events of one batch are begun by one call
/// each, whose answers come within a few milliseconds of each other.
const LINGER: Duration = Duration::from_millis(10);
/// Codes of a call that is refused for what is in it.
const CODES_OF_A_REFUSED_CALL: [&str; 2] =
    ["ValidationException", "RequestEntityTooLargeException"];
/// The code of an entry that can never pass: EventBridge cannot read its JSON, which
/// it takes only 1,100 levels deep, for one. All others may be mended: even
/// `InvalidArgument` may be about the bus.
/// <https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutEventsResultEntry.html>
const CODE_MALFORMED_DETAIL: &str = "MalformedDetail";

/// Of the envelope, at most.
const COPIES: usize = 4;

struct Publish<B> {
    gatherer: Gatherer<B>,
    max_bytes: usize,
    quotes: Quotes,
    payloads: Option<S3PayloadStore>,
}

pub(super) fn build(resources: &Resources, with: &Value) -> Result<Arc<dyn Handler>, Vec<String>> {
    let mut options = Options::of(with);
    let bus = options.text("bus").or(resources.event_bus.as_deref());
    match bus {
        None => {
            options.problem("needs `bus`, such as \"orders\", or a default: set EVENT_BUS_NAME");
        }
        Some(bus) if !is_bus(bus) => {
            options.problem(format_args!("{bus:?} is neither a bus's name nor its ARN"));
        }
        Some(_) => {}
    }
    let max_bytes = max_bytes(&mut options, MAX_BYTES, SERVICE_TAKES_BYTES);
    let quotes = Quotes::read(&mut options);
    options.finish()?;
    let bus = bus.unwrap_or_default().to_owned();
    let bus = EventBridge { client: Client::new(&resources.aws_for(&bus)), bus };
    let gatherer = Gatherer::new(bus, LINGER, max_bytes);
    let payloads = resources.payloads.clone();
    Ok(Arc::new(Publish { gatherer, max_bytes, quotes, payloads }))
}

/// EventBridge refuses a whole call for a bus that it cannot read.
fn is_bus(text: &str) -> bool {
    let name = match text.strip_prefix("arn:") {
        None => text,
        Some(arn) => arn.rsplit_once(":event-bus/").map_or("", |(_, name)| name),
    };
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"/._-".contains(&b))
}

impl<B: Bus> Handler for Publish<B> {
    fn handle<'a>(
        &'a self,
        event: &'a Event,
        run: &'a Run,
    ) -> BoxFuture<'a, Result<Handled, HandlerError>> {
        async move {
            let write = |cloudevent: Bytes| {
                let entry = Entry::of(event, String::from_utf8_lossy(&cloudevent).into_owned());
                (entry.bytes() <= self.max_bytes).then_some(entry)
            };
            let payloads = self.payloads.as_ref();
            let entry = fitting(event, run, payloads, self.max_bytes, write).await?;
            let put = self.gatherer.put(entry).await;
            put.map_err(|fault| failed(fault, event, self.quotes))?;
            Ok(Handled::Done)
        }
        .boxed()
    }

    /// The entry, the request around it, and what is sent of that.
    fn copied_bytes(&self, envelope_bytes: usize) -> usize {
        COPIES * if envelope_bytes <= self.max_bytes { envelope_bytes } else { 0 }
    }
}

/// What a fault means for the attempt at this event. What the service says may hold
/// what was sent: only its code is told.
fn failed(fault: Fault, event: &Event, quotes: Quotes) -> HandlerError {
    match fault {
        Fault::Call(reason) => HandlerError::retry(reason),
        Fault::Refused(code) => HandlerError::permanent(format!("PutEvents: {code}")),
        Fault::Entry { code, message } => {
            let reason = Reason::from(format!("PutEvents: {code}"));
            let reason = reason.quoting(quotes.of(message.as_bytes(), event));
            if code == CODE_MALFORMED_DETAIL {
                HandlerError::permanent(reason)
            } else {
                HandlerError::retry(reason)
            }
        }
    }
}

struct EventBridge {
    client: Client,
    bus: String,
}

impl Bus for EventBridge {
    fn put<'a>(&'a self, entries: &'a [Entry]) -> BoxFuture<'a, Result<Outcomes, Fault>> {
        async move {
            let requested = entries.iter().map(|entry| self.request(entry)).collect();
            let put = self.client.put_events().set_entries(Some(requested)).send().await;
            let answer = put.map_err(|error| match error.code() {
                Some(code) if CODES_OF_A_REFUSED_CALL.contains(&code) => {
                    Fault::Refused(code.to_owned())
                }
                // Its message may hold what was sent.
                Some(code) => Fault::Call(format!("PutEvents: {code}")),
                None => Fault::Call(describe("PutEvents", &error)),
            })?;
            outcomes(answer.entries(), entries.len())
        }
        .boxed()
    }
}

impl EventBridge {
    fn request(&self, entry: &Entry) -> PutEventsRequestEntry {
        PutEventsRequestEntry::builder()
            .event_bus_name(&self.bus)
            .source(&entry.source)
            .detail_type(&entry.detail_type)
            .time(DateTime::from_millis(entry.time_unix_ms))
            .set_trace_header(entry.trace_header.clone())
            .detail(&entry.detail)
            .build()
    }
}

/// Answers stand in the order of the entries.
fn outcomes(answers: &[PutEventsResultEntry], sent: usize) -> Result<Outcomes, Fault> {
    if answers.len() != sent {
        let reason = format!("PutEvents: {} answers for {sent} entries", answers.len());
        return Err(Fault::Call(reason));
    }
    let outcome = |answer: &PutEventsResultEntry| match (answer.error_code(), answer.event_id()) {
        (None, Some(_)) => Ok(()),
        (code, _) => Err(Fault::Entry {
            code: code.unwrap_or("neither an id nor an error").to_owned(),
            message: answer.error_message().unwrap_or_default().to_owned(),
        }),
    };
    Ok(answers.iter().map(outcome).collect())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::testing::{event, resources};
    use super::*;

    fn problems(event_bus: Option<&str>, with: &Value) -> Vec<String> {
        let resources = Resources { event_bus: event_bus.map(str::to_owned), ..resources() };
        build(&resources, with).err().unwrap_or_default()
    }

    #[test]
    fn a_bus_is_needed_of_the_route_or_the_settings() {
        assert_eq!(
            problems(None, &json!({})),
            ["needs `bus`, such as \"orders\", or a default: set EVENT_BUS_NAME"]
        );
        assert_eq!(problems(Some("inbox"), &Value::Null), Vec::<String>::new());
        let arn = "arn:aws:events:eu-central-1:123456789012:event-bus/orders";
        for bus in ["orders", "a/b.c_d-e", arn] {
            assert_eq!(problems(None, &json!({ "bus": bus })), Vec::<String>::new(), "{bus}");
        }
        for bus in ["my bus", "arn:aws:events:eu-central-1:123456789012:rule/orders"] {
            let problem = format!("{bus:?} is neither a bus's name nor its ARN");
            assert_eq!(problems(None, &json!({ "bus": bus })), [problem]);
        }
        assert_eq!(
            problems(Some("inbox"), &json!({ "buss": "x" })),
            ["has no option `buss`; there are `bus`, `max_bytes`, `quote_answers`"]
        );
    }

    #[test]
    fn what_a_bus_takes_is_between_64_kib_and_1_mb() {
        let with = |bytes: usize| json!({ "bus": "orders", "max_bytes": bytes });
        for bytes in [65_536, 1_000_000] {
            assert_eq!(problems(None, &with(bytes)), Vec::<String>::new(), "{bytes}");
        }
        for bytes in [65_535, 1_000_001] {
            let said = "`max_bytes` must be a whole number from 65536 to 1000000";
            assert_eq!(problems(None, &with(bytes)), [said], "{bytes}");
        }
    }

    #[test]
    fn each_entry_has_its_own_outcome() {
        let answer = PutEventsResultEntry::builder;
        let answers = [
            answer().event_id("1").build(),
            answer().error_code("ThrottlingException").error_message("slow down").build(),
            answer().build(),
        ];
        let refused = |code: &str, message: &str| {
            Err(Fault::Entry { code: code.into(), message: message.into() })
        };
        assert_eq!(
            outcomes(&answers, 3),
            Ok(vec![
                Ok(()),
                refused("ThrottlingException", "slow down"),
                refused("neither an id nor an error", ""),
            ])
        );
        let missing = Fault::Call("PutEvents: 3 answers for 4 entries".into());
        assert_eq!(outcomes(&answers, 4), Err(missing));
    }

    #[test]
    fn only_what_can_never_pass_is_given_up() {
        let event = event(r#"{"name":"Jane"}"#);
        let entry = |code: &str| {
            let fault = Fault::Entry { code: code.into(), message: "of Jane".into() };
            failed(fault, &event, Quotes::default())
        };
        for code in
            ["ThrottlingException", "InternalFailure", "AccessDeniedException", "InvalidArgument"]
        {
            assert_eq!(entry(code), HandlerError::retry(format!("PutEvents: {code}")));
        }
        assert_eq!(entry("MalformedDetail"), HandlerError::permanent("PutEvents: MalformedDetail"));
        let failed = |fault| failed(fault, &event, Quotes::KEPT);
        assert_eq!(
            failed(Fault::Refused("ValidationException".into())),
            HandlerError::permanent("PutEvents: ValidationException")
        );
        let reason = "PutEvents: no answer within the time limit";
        assert_eq!(failed(Fault::Call(reason.into())), HandlerError::retry(reason));
        let said =
            failed(Fault::Entry { code: "InternalFailure".into(), message: "of Jane".into() });
        assert_eq!(said.reason().quote(), Some("of …"));
    }
}
