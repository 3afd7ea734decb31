//! The claim check for targets: an event that is too large for one goes there
//! without its payload, and names the object in the payload bucket that holds it
//! (CloudEvents' `dataref`).
//!
//! ```text
//! whole event ─ fits ─────────────────────────────────────────────────▶ target
//!             └ too large ─ lies in the bucket already ─ with dataref ─▶ target
//!                         └ in the item ─ detach ─────── with dataref ─▶ target
//! ```
//!
//! What the receiver put there, since no item holds it, is not put again. What is
//! put here is put before the target hears of it, and lies at the same address on
//! every attempt. Dying between leaves an object that the next attempt puts again,
//! that forgetting the event removes, and that the bucket's lifecycle removes at the
//! latest.
//!
//! What is too large, nobody can know: a queue takes what its owner set, and a bus
//! passes on to targets that take less than itself. So the limit is what all of them
//! take, and a route may raise it with `max_bytes`, up to what the service takes.

use bytes::Bytes;
use inbox_aws::S3PayloadStore;
use inbox_core::event::Event;
use inbox_core::handler::{HandlerError, Run};

use super::Options;

/// 256 KiB, which every target takes: a queue that Terraform makes, a topic, and what
/// a bus passes on to.
/// <https://registry.terraform.io/providers/hashicorp/aws/latest/docs/resources/sqs_queue#max_message_size-1>
pub(super) const MAX_BYTES: usize = 262_144;
/// The least that `max_bytes` may be. Smaller payloads are never detached
/// ([`inbox_aws::DETACHED_BYTES_MIN`]), so they must fit whatever a route says.
pub(super) const MAX_BYTES_LEAST: usize = 65_536;

/// A route's option `max_bytes`: the most that its target takes of one message.
pub(super) fn max_bytes(options: &mut Options<'_>, default: usize, service_takes: usize) -> usize {
    options.number("max_bytes", MAX_BYTES_LEAST..=service_takes, default)
}

/// Writes the event as a target takes it, which takes `max_bytes`. `write` makes the
/// target's message of a `CloudEvent`, and nothing of one that is too large with all that
/// is added.
pub(super) async fn fitting<M>(
    event: &Event,
    run: &Run,
    payloads: Option<&S3PayloadStore>,
    max_bytes: usize,
    write: impl Fn(Bytes) -> Option<M>,
) -> Result<M, HandlerError> {
    // What is too large already is neither laid out nor copied for that.
    if event.payload.bytes.len() <= max_bytes {
        let whole = run.envelope.cloudevent(event);
        let message = if whole.len() <= max_bytes { write(whole) } else { None };
        if let Some(message) = message {
            return Ok(message);
        }
    }
    let Some(payloads) = payloads else {
        return Err(HandlerError::permanent(format!(
            "too large for the target with its payload of {} bytes, and there is no bucket to put \
             that into: set PAYLOAD_BUCKET",
            event.payload.bytes.len()
        )));
    };
    let dataref = if let Some(kept) = &run.payload_ref {
        payloads.address(kept)
    } else {
        let detached = payloads.detach(event).await;
        detached.map_err(|fault| HandlerError::retry(fault.to_string()))?
    };
    write(event.to_cloudevent_with_dataref(&dataref).into())
        .ok_or_else(|| HandlerError::permanent("too large for the target, even without payload"))
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::super::testing::{event, run};
    use super::*;

    #[test]
    fn what_fits_goes_whole() {
        let whole = Bytes::from(event("{}").to_cloudevent());
        let fitted = fitting(&event("{}"), &run(1), None, MAX_BYTES, Some).now_or_never();
        assert_eq!(fitted, Some(Ok(whole)));
    }

    #[test]
    fn what_is_too_large_already_is_not_laid_out() {
        let run = run(1);
        let large = event(&format!("\"{}\"", "x".repeat(MAX_BYTES)));
        let fitted = fitting(&large, &run, None, MAX_BYTES, Some).now_or_never();
        assert!(matches!(fitted, Some(Err(HandlerError::Permanent { .. }))), "{fitted:?}");
        assert_eq!(format!("{:?}", run.envelope), "Envelope(None)");
    }

    #[test]
    fn without_a_bucket_a_large_event_is_given_up_and_says_what_to_set() {
        let fitted =
            fitting(&event("[1,2]"), &run(1), None, MAX_BYTES, |_| None::<()>).now_or_never();
        let reason = "too large for the target with its payload of 5 bytes, and there is no bucket \
                      to put that into: set PAYLOAD_BUCKET";
        assert_eq!(fitted, Some(Err(HandlerError::permanent(reason))));
    }
}
