//! The processor: the Lambda function behind the queue.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use aws_lambda_events::event::sqs::{BatchItemFailure, SqsBatchResponse, SqsEvent};
use inbox_aws::{DynamoDbLedger, Limits, S3PayloadStore, SqsQueue, lambda, sdk_config};
use inbox_core::config::ConfigError;
use inbox_core::stack::stack;
use inbox_core::{Timestamp, telemetry};
use inbox_processor::batch::{Message, Processor};
use inbox_processor::config::Config;
use inbox_processor::handlers::Resources;
use inbox_processor::lane::{Lane, Pace};
use inbox_processor::routes::Routes;
use lambda_runtime::{LambdaEvent, service_fn};

// More than one thread, so that a handler that blocks its own does not keep the
// others from being timed out.
#[tokio::main(flavor = "multi_thread", worker_threads = 4)]
async fn main() -> ExitCode {
    telemetry::init();
    let started = match start().await {
        Ok(started) => Arc::new(started),
        Err(problems) => {
            tracing::error!(%problems, "cannot start");
            return ExitCode::FAILURE;
        }
    };
    let served = lambda_runtime::run(service_fn(|event: LambdaEvent<SqsEvent>| {
        let started = Arc::clone(&started);
        async move {
            let deadline = lambda::deadline(&event.context);
            let lane = started.lane_name.as_deref();
            let messages = event.payload.records.into_iter();
            let messages = messages.filter_map(|record| message(record, lane)).collect();
            let kept = started.processor.run_batch(messages, deadline).await;
            Ok::<_, std::convert::Infallible>(answer(kept))
        }
    }))
    .await;
    lambda::ended(served)
}

struct Started {
    processor: Processor<DynamoDbLedger, SqsQueue>,
    /// The queue of slow routes, by the name that its ARN ends with.
    lane_name: Option<String>,
}

async fn start() -> Result<Started, ConfigError> {
    let config = Config::from_lookup(|name| std::env::var(name).ok())?;
    let aws = sdk_config(Limits::BACKGROUND).await;
    let payloads = config.payload_bucket.map(|bucket| S3PayloadStore::new(&aws, bucket));
    let resources = Resources {
        aws: aws.clone(),
        mirror_table: config.mirror_table_name,
        event_bus: config.event_bus,
        payloads: payloads.clone(),
        own_queues: [&config.queue_url, &config.dead_letter_queue_url]
            .into_iter()
            .chain(&config.lane_queue_url)
            .cloned()
            .collect(),
        clock: Arc::new(Timestamp::now),
    };
    let routes =
        Routes::parse(config.routes.as_deref(), &resources).map_err(|problems| ConfigError {
            problems: problems.into_iter().map(|text| format!("ROUTES: {text}")).collect(),
        })?;
    let ledger = DynamoDbLedger::new(&aws, config.table_name).with_payloads(payloads);
    let lane_name = config.lane_queue_url.as_ref().and_then(|url| url.rsplit('/').next());
    let lane_name = lane_name.map(str::to_owned);
    let lane = if lane_name.is_some() { Lane::of(Pace::default()) } else { Lane::none() };
    let queue = SqsQueue::new(&aws, config.queue_url)
        .with_lane(config.lane_queue_url)
        .with_dead_letters(config.dead_letter_queue_url);
    tokio::join!(ledger.connect_for_updates(), queue.connect());
    let defaults = &stack().defaults;
    let processor = Processor {
        ledger,
        queue,
        routes,
        lane,
        retry: config.retry,
        sweep_grace: config.sweep_grace,
        handler_timeout: config.handler_timeout,
        lease_margin: defaults.lease_margin(),
        retention: Duration::from_hours(24 * u64::from(defaults.retention_days)),
        clock: Arc::new(Timestamp::now),
        chance: Arc::new(fastrand::f64),
    };
    Ok(Started { processor, lane_name })
}

/// Lambda always sends all of them; without an id a message could not be kept.
fn message(
    record: aws_lambda_events::event::sqs::SqsMessage,
    lane_name: Option<&str>,
) -> Option<Message> {
    // arn:aws:sqs:eu-central-1:123456789012:inbox-events-lane
    let queue = record.event_source_arn.as_deref().and_then(|arn| arn.rsplit(':').next());
    let receives = record.attributes.get("ApproximateReceiveCount");
    Some(Message {
        id: record.message_id?,
        receives: receives.and_then(|count| count.parse().ok()).unwrap_or(1),
        receipt_handle: record.receipt_handle.unwrap_or_default(),
        body: record.body.unwrap_or_default(),
        from_lane: lane_name.is_some() && queue == lane_name,
    })
}

/// Only known, non-empty ids: any other makes Lambda keep the whole batch.
/// <https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html>
fn answer(kept: Vec<String>) -> SqsBatchResponse {
    let failure = |id| {
        let mut failure = BatchItemFailure::default();
        failure.item_identifier = id;
        failure
    };
    let mut response = SqsBatchResponse::default();
    response.batch_item_failures = kept.into_iter().map(failure).collect();
    response
}
