//! The queue of events and its dead-letter queue.

use std::collections::HashMap;

use aws_sdk_sqs::Client;
use aws_sdk_sqs::error::{ProvideErrorMetadata as _, SdkError};
use aws_sdk_sqs::types::QueueAttributeName as Name;
use inbox_aws::describe;
use inbox_core::stack::stack;
use serde_json::Value;

use super::{FIX_DEPLOY, Findings};
use crate::context::Context;
use crate::fault::Fault;

/// SQS sends back to its source only what it moved itself, and the processor sends the
/// letters of buried events.
/// <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_StartMessageMoveTask.html>
const FIX_LETTERS: &str = "look at `inbox dlq`, and send them back with `inbox redrive`; a redrive \
    \"to source queue\" in the SQS console fails with CouldNotDetermineMessageSource, since the \
    processor put the letters of buried events there itself: choose the queue of events as custom \
    destination there";

type Attributes = HashMap<Name, String>;

pub(super) async fn check(context: &Context, findings: &mut Findings) -> Result<(), Fault> {
    let client = Client::new(context.aws().await?);
    let (queue_url, dlq_url) = (context.deployment.queue_url()?, context.deployment.dlq_url()?);
    let queue = attributes(&client, "queue", queue_url, findings).await?;
    let dlq = attributes(&client, "dead-letter queue", dlq_url, findings).await?;
    if let Some(queue) = &queue {
        check_visibility(queue, findings);
        check_redrive_policy(queue, dlq.as_ref(), findings);
    }
    if let (Some(queue), Some(dlq)) = (&queue, &dlq) {
        check_retention(queue, dlq, findings);
    }
    if let Some(dlq) = &dlq {
        let depth = number(dlq, &Name::ApproximateNumberOfMessages);
        match depth {
            0 => findings.ok("dead letters", "none"),
            _ => findings.warn("dead letters", format!("about {depth}"), FIX_LETTERS),
        }
    }
    Ok(())
}

async fn attributes(
    client: &Client,
    about: &str,
    url: &str,
    findings: &mut Findings,
) -> Result<Option<Attributes>, Fault> {
    let answer =
        client.get_queue_attributes().queue_url(url).attribute_names(Name::All).send().await;
    match answer {
        Ok(answer) => Ok(Some(answer.attributes.unwrap_or_default())),
        Err(error) if !matches!(error, SdkError::ServiceError(_)) => {
            Err(Fault::unavailable(describe("GetQueueAttributes", &error)))
        }
        Err(error)
            if error.code().is_some_and(|code| {
                code.contains("NonExistentQueue") || code.contains("QueueDoesNotExist")
            }) =>
        {
            findings.broken(
                about,
                format!("{url} is not there"),
                "look at --stack and AWS_REGION, or run `make deploy`",
            );
            Ok(None)
        }
        Err(error) => {
            findings.unknown(about, describe("GetQueueAttributes", &error));
            Ok(None)
        }
    }
}

fn number(attributes: &Attributes, name: &Name) -> u64 {
    attributes.get(name).and_then(|value| value.parse().ok()).unwrap_or(0)
}

/// <https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html>
fn check_visibility(queue: &Attributes, findings: &mut Findings) {
    let held = number(queue, &Name::VisibilityTimeout);
    let least = 6 * u64::from(stack().processor.timeout_seconds);
    findings.expect(
        "visibility timeout",
        held >= least,
        format!("{held} s"),
        format!(
            "set at least {least} s, six times the processor's time limit: below it a message \
             comes back while it is being run"
        ),
    );
}

fn check_redrive_policy(queue: &Attributes, dlq: Option<&Attributes>, findings: &mut Findings) {
    let about = "redrive policy";
    let policy = queue.get(&Name::RedrivePolicy).map(String::as_str).unwrap_or_default();
    let policy: Value = serde_json::from_str(policy).unwrap_or_default();
    let Some(target) = policy["deadLetterTargetArn"].as_str() else {
        findings.broken(
            about,
            "is missing",
            "give the queue the dead-letter queue as its target: what never reaches the ledger \
             would go round until it expires",
        );
        return;
    };
    if let Some(expected) = dlq.and_then(|dlq| dlq.get(&Name::QueueArn))
        && expected != target
    {
        findings.broken(about, format!("targets {target}, not {expected}"), FIX_DEPLOY);
        return;
    }
    // A number, or one written as text.
    let count = policy["maxReceiveCount"]
        .as_u64()
        .or_else(|| policy["maxReceiveCount"].as_str()?.parse().ok())
        .unwrap_or(0);
    let expected = u64::from(stack().queue.max_receive_count);
    if count >= expected {
        findings.ok(about, format!("after {count} receives"));
    } else {
        findings.warn(
            about,
            format!("after {count} receives"),
            format!(
                "set {expected}: the ledger counts attempts, and throttled invocations use up \
                 receives of good messages"
            ),
        );
    }
}

/// A dead letter's age counts from when its message was first sent.
fn check_retention(queue: &Attributes, dlq: &Attributes, findings: &mut Findings) {
    let days = |seconds: u64| format!("{} d", seconds / 86_400);
    let (events, letters) =
        (number(queue, &Name::MessageRetentionPeriod), number(dlq, &Name::MessageRetentionPeriod));
    findings.expect(
        "retention",
        letters > events,
        format!("{} in the queue, {} in the dead-letter queue", days(events), days(letters)),
        "keep dead letters longer than events: their age counts from the first send",
    );
    let kept = u64::from(stack().dead_letter_queue.retention_seconds);
    if letters < kept {
        findings.warn(
            "dead letters' retention",
            days(letters),
            format!("set {}: a weekend and a holiday pass quickly", days(kept)),
        );
    }
}
