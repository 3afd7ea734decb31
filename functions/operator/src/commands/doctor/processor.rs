//! How Lambda reads the queue, and the function that it calls.

use aws_sdk_lambda::Client;
use aws_sdk_lambda::types::{EventSourceMappingConfiguration, FunctionResponseType, ScalingConfig};
use aws_sdk_sqs::types::QueueAttributeName;
use inbox_aws::describe;
use inbox_core::stack::stack;

use super::{FIX_DEPLOY, Findings};
use crate::context::Context;
use crate::fault::Fault;

const ABOUT: &str = "event source mapping";

pub(super) async fn check(context: &Context, findings: &mut Findings) -> Result<(), Fault> {
    let client = Client::new(context.aws().await?);
    let Some(function) = context.deployment.functions.get("processor") else {
        findings.unknown(ABOUT, "the stack file does not name the processor (functions.processor)");
        return Ok(());
    };
    // By the queue: by the function, Lambda tells none that calls an alias of it.
    let Some(queue) = queue_arn(context, findings).await? else { return Ok(()) };
    let answer = client.list_event_source_mappings().event_source_arn(&queue).send().await;
    let mappings = match answer {
        Ok(answer) => answer.event_source_mappings.unwrap_or_default(),
        Err(error) => {
            findings.unknown(ABOUT, describe("ListEventSourceMappings", &error));
            return Ok(());
        }
    };
    let calls_function = |mapping: &&EventSourceMappingConfiguration| {
        mapping.function_arn().is_some_and(|arn| is_of(arn, function))
    };
    let arn = queue;
    let queue = arn.rsplit(':').next().unwrap_or_default();
    match mappings.iter().find(calls_function) {
        Some(mapping) => check_mapping(mapping, findings),
        None => findings.broken(
            ABOUT,
            format!("nothing feeds {function} from {queue}"),
            "events are accepted and never handled: run `make deploy`",
        ),
    }
    check_lane(context, &client, &arn, function, findings).await;
    check_function(context, &client, function, findings).await;
    Ok(())
}

/// The lane lies beside the queue, whose ARN this is.
async fn check_lane(
    context: &Context,
    client: &Client,
    queue_arn: &str,
    function: &str,
    findings: &mut Findings,
) {
    let about = "event source mapping of the lane";
    let Some(lane) = context.deployment.lane_url.as_deref() else { return };
    let name = lane.rsplit('/').next().unwrap_or_default();
    let (beside, _) = queue_arn.rsplit_once(':').unwrap_or_default();
    let arn = format!("{beside}:{name}");
    let answer = client.list_event_source_mappings().event_source_arn(arn).send().await;
    let mappings = match answer {
        Ok(answer) => answer.event_source_mappings.unwrap_or_default(),
        Err(error) => {
            return findings.unknown(about, describe("ListEventSourceMappings", &error));
        }
    };
    let calls = |it: &EventSourceMappingConfiguration| {
        it.function_arn().is_some_and(|arn| is_of(arn, function))
    };
    let is_read = mappings.iter().any(calls);
    findings.expect(
        about,
        is_read,
        format!("{} {function} from {name}", if is_read { "feeds" } else { "nothing feeds" }),
        "events of slow routes wait for ever: run `make deploy`",
    );
}

async fn queue_arn(context: &Context, findings: &mut Findings) -> Result<Option<String>, Fault> {
    let answer = aws_sdk_sqs::Client::new(context.aws().await?)
        .get_queue_attributes()
        .queue_url(context.deployment.queue_url()?)
        .attribute_names(QueueAttributeName::QueueArn)
        .send()
        .await;
    match answer {
        Ok(answer) => {
            Ok(answer.attributes.and_then(|mut it| it.remove(&QueueAttributeName::QueueArn)))
        }
        Err(error) => {
            findings.unknown(ABOUT, describe("GetQueueAttributes", &error));
            Ok(None)
        }
    }
}

/// Whether an ARN names the function, or a version or alias of it.
fn is_of(arn: &str, function: &str) -> bool {
    let name = arn.split_once(":function:").map_or(arn, |(_, name)| name);
    name.split(':').next() == Some(function)
}

fn check_mapping(mapping: &EventSourceMappingConfiguration, findings: &mut Findings) {
    let state = mapping.state().unwrap_or("unknown");
    findings.expect(
        ABOUT,
        matches!(state, "Enabled" | "Enabling" | "Updating" | "Creating"),
        format!("is {state}"),
        "enable it: events are accepted and wait",
    );
    let reports =
        mapping.function_response_types().contains(&FunctionResponseType::ReportBatchItemFailures);
    findings.expect(
        "partial batch failures",
        reports,
        if reports { "are reported" } else { "are not reported" },
        "set ReportBatchItemFailures: without it the whole batch is deleted, messages that were \
         to be kept among it",
    );
    let most = mapping.scaling_config().and_then(ScalingConfig::maximum_concurrency);
    match most {
        Some(most) => findings.ok("maximum concurrency", most.to_string()),
        None => findings.warn(
            "maximum concurrency",
            "is not set",
            format!(
                "set {}: throttled invocations use up receives",
                stack().event_source_mapping.maximum_concurrency
            ),
        ),
    }
}

async fn check_function(
    context: &Context,
    client: &Client,
    function: &str,
    findings: &mut Findings,
) {
    let about = "processor";
    let asked = client.get_function_configuration().function_name(function);
    let answer = asked.set_qualifier(context.function_alias()).send().await;
    let held = match answer {
        Ok(held) => held,
        Err(error) => {
            findings.unknown(about, describe("GetFunctionConfiguration", &error));
            return;
        }
    };
    let expected = stack().processor.timeout_seconds;
    let timeout = held.timeout().unwrap_or(0);
    findings.expect(
        about,
        i64::from(timeout) == i64::from(expected),
        format!("has a time limit of {timeout} s"),
        format!("leases and visibility are made for {expected} s: {FIX_DEPLOY}"),
    );
    let concurrency = client.get_function_concurrency().function_name(function).send().await;
    match concurrency {
        Ok(answer) => match answer.reserved_concurrent_executions() {
            None => findings.ok("reserved concurrency", "none, as it should be"),
            Some(reserved) => findings.warn(
                "reserved concurrency",
                reserved.to_string(),
                "remove it, and limit the mapping's concurrency instead: a throttled invocation \
                 uses up receives of good messages",
            ),
        },
        Err(error) => {
            findings.unknown("reserved concurrency", describe("GetFunctionConcurrency", &error));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Verdict;
    use super::*;

    fn mapping() -> aws_sdk_lambda::types::builders::EventSourceMappingConfigurationBuilder {
        EventSourceMappingConfiguration::builder()
            .state("Enabled")
            .function_response_types(FunctionResponseType::ReportBatchItemFailures)
            .scaling_config(ScalingConfig::builder().maximum_concurrency(50).build())
    }

    fn found(mapping: &EventSourceMappingConfiguration) -> Vec<(String, Verdict)> {
        let mut findings = Findings::default();
        check_mapping(mapping, &mut findings);
        let all = findings.0.into_iter().map(|finding| (finding.about, finding.verdict));
        all.filter(|(_, verdict)| *verdict != Verdict::Ok).collect()
    }

    #[test]
    fn a_mapping_calls_a_function_by_itself_or_by_an_alias() {
        let arn = "arn:aws:lambda:eu-central-1:123456789012:function:hooks-processor";
        for (arn, is_meant) in [
            (arn.to_owned(), true),
            (format!("{arn}:live"), true),
            (format!("{arn}-2:live"), false),
            ("hooks-processor".to_owned(), true),
        ] {
            assert_eq!(is_of(&arn, "hooks-processor"), is_meant, "{arn}");
        }
    }

    #[test]
    fn a_mapping_that_loses_or_throttles_messages_is_told() {
        assert_eq!(found(&mapping().build()), []);
        let silent = mapping().set_function_response_types(None).build();
        assert_eq!(found(&silent), [("partial batch failures".to_owned(), Verdict::Broken)]);
        let unlimited = mapping().set_scaling_config(None).build();
        assert_eq!(found(&unlimited), [("maximum concurrency".to_owned(), Verdict::Warning)]);
        let off = mapping().state("Disabled").build();
        assert_eq!(found(&off), [(ABOUT.to_owned(), Verdict::Broken)]);
    }
}
