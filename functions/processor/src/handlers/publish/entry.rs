//! An event as an entry of `PutEvents`.
//!
//! ```text
//! source        webhooks.{source}          what rules match first
//! detail-type   {provider}.{event type}
//! time          when it happened, or was received
//! detail        the CloudEvent
//! ```

use inbox_core::event::Event;

/// Most entries of one call.
/// <https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutEvents.html>
pub(super) const ENTRIES_MAX: usize = 10;
/// Most bytes of one call's entries together, unless a route says otherwise. What a
/// rule's target gets is a little larger than the entry, and some targets, SNS and Step
/// Functions among them, end at 256 KiB, as EventBridge itself does in some regions.
/// <https://docs.aws.amazon.com/step-functions/latest/dg/service-quotas.html>
pub(super) const MAX_BYTES: usize = 256_000;
/// The most that a route may say. EventBridge takes 1 MB since January 2026; of its
/// targets, SQS and Lambda end at 1 MiB.
/// <https://aws.amazon.com/blogs/compute/more-room-to-build-serverless-services-now-support-payloads-up-to-1-mb>
pub(super) const SERVICE_TAKES_BYTES: usize = 1_000_000;
/// What a time counts for.
/// <https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-putevent-size.html>
const TIME_BYTES: usize = 14;
/// <https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutEventsRequestEntry.html>
const DETAIL_TYPE_CHARACTERS_MAX: usize = 128;

/// An event on its way to a bus.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) source: String,
    pub(super) detail_type: String,
    pub(super) time_unix_ms: i64,
    pub(super) trace_header: Option<String>,
    /// A JSON object.
    pub(super) detail: String,
}

impl Entry {
    /// The entry of an event that is written as `detail`.
    pub(super) fn of(event: &Event, detail: String) -> Self {
        Self {
            source: format!("webhooks.{}", event.key.source),
            // The whole type stands in the detail.
            detail_type: event.full_type().chars().take(DETAIL_TYPE_CHARACTERS_MAX).collect(),
            time_unix_ms: event.occurred_at.unwrap_or(event.received_at).unix_ms(),
            trace_header: event.traceparent.as_deref().and_then(trace_header),
            detail,
        }
    }

    /// Its size as EventBridge counts it.
    pub(super) fn bytes(&self) -> usize {
        TIME_BYTES + self.source.len() + self.detail_type.len() + self.detail.len()
    }
}

/// X-Ray's form of a W3C trace context: the trace id's 32 digits are the same.
/// <https://docs.aws.amazon.com/xray/latest/devguide/xray-concepts.html#xray-concepts-tracingheader>
fn trace_header(traceparent: &str) -> Option<String> {
    let parts: Vec<&str> = traceparent.split('-').collect();
    let [_, trace_id, parent_id, flags] = parts[..] else { return None };
    let (epoch, unique) = trace_id.split_at_checked(8)?;
    let flags = u8::from_str_radix(flags, 16).ok()?;
    Some(format!("Root=1-{epoch}-{unique};Parent={parent_id};Sampled={}", flags & 1))
}

#[cfg(test)]
mod tests {
    use inbox_core::Timestamp;

    use super::super::super::testing::event;
    use super::*;

    #[test]
    fn an_entry_says_where_from_what_and_when() {
        let mut event = event("{}");
        let entry = Entry::of(&event, "{}".into());
        assert_eq!(
            (entry.source.as_str(), entry.detail_type.as_str(), entry.time_unix_ms),
            ("webhooks.stripe", "stripe.charge.failed", 1_764_000_000_000)
        );
        assert_eq!(entry.trace_header, None);
        event.occurred_at = Timestamp::from_unix_ms(1_763_999_999_123);
        let entry = Entry::of(&event, "{}".into());
        assert_eq!(entry.time_unix_ms, 1_763_999_999_123);
    }

    #[test]
    fn a_type_that_is_too_long_is_cut_between_characters() {
        let mut event = event("{}");
        event.event_type = "é".repeat(200);
        let entry = Entry::of(&event, "{}".into());
        assert_eq!(entry.detail_type, format!("stripe.{}", "é".repeat(121)));
    }

    #[test]
    fn the_size_is_counted_as_eventbridge_counts_it() {
        let event = event("{}");
        let fixed = TIME_BYTES + "webhooks.stripe".len() + "stripe.charge.failed".len();
        assert_eq!(Entry::of(&event, "x".repeat(100)).bytes(), fixed + 100);
    }

    #[test]
    fn a_trace_goes_on_in_x_rays_words() {
        let traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let header = "Root=1-4bf92f35-77b34da6a3ce929d0e0e4736;Parent=00f067aa0ba902b7;Sampled=1";
        assert_eq!(trace_header(traceparent).as_deref(), Some(header));
        assert_eq!(
            trace_header(&traceparent.replace("-01", "-00")),
            Some(header.replace("Sampled=1", "Sampled=0"))
        );
        // Of the flags only the lowest says whether it is sampled.
        assert_eq!(trace_header(&traceparent.replace("-01", "-03")).as_deref(), Some(header));
        assert_eq!(trace_header("00-4bf9"), None);
    }
}
