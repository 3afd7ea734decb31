//! The processor: the Lambda function behind the queue.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use aws_lambda_events::event::sqs::{BatchItemFailure, SqsBatchResponse, SqsEvent};
use inbox_aws::{AwsClock, DynamoDbLedger, Limits, S3PayloadStore, SqsQueue, lambda, sdk_config};
use inbox_core::config::ConfigError;
use inbox_core::stack::stack;
use inbox_core::{Timestamp, telemetry};
use inbox_processor::batch::{Message, Processor};
use inbox_processor::config::Config;
use inbox_processor::handlers::Resources;
use inbox_processor::routes::Routes;
use lambda_runtime::{LambdaEvent, service_fn};

// More than one thread, so that a handler that blocks its own does not keep the
// others from being timed out.
#[tokio::main(flavor = "multi_thread", worker_threads = 4)]
async fn main() -> ExitCode {
    telemetry::init();
    let processor = match start().await {
        Ok(processor) => Arc::new(processor),
        Err(problems) => {
            tracing::error!(%problems, "cannot start");
            return ExitCode::FAILURE;
        }
    };
    let served = lambda_runtime::run(service_fn(|event: LambdaEvent<SqsEvent>| {
        let processor = Arc::clone(&processor);
        async move {
            let deadline = lambda::deadline(&event.context);
            let messages = event.payload.records.into_iter().filter_map(message).collect();
            let kept = processor.run_batch(messages, deadline).await;
            Ok::<_, std::convert::Infallible>(answer(kept))
        }
    }))
    .await;
    lambda::ended(served)
}

async fn start() -> Result<Processor<DynamoDbLedger, SqsQueue>, ConfigError> {
    let config = Config::from_lookup(|name| std::env::var(name).ok())?;
    let aws_clock = AwsClock::new(Timestamp::now);
    let aws = sdk_config(Limits::BACKGROUND, &aws_clock).await;
    let clock: Arc<dyn Fn() -> Timestamp + Send + Sync> = Arc::new(move || aws_clock.now());
    let payloads = config.payload_bucket.map(|bucket| S3PayloadStore::new(&aws, bucket));
    let resources = Resources {
        aws: aws.clone(),
        mirror_table: config.mirror_table_name,
        event_bus: config.event_bus,
        payloads: payloads.clone(),
        own_queues: vec![config.queue_url.clone(), config.dead_letter_queue_url.clone()],
        clock: Arc::clone(&clock),
    };
    let routes =
        Routes::parse(config.routes.as_deref(), &resources).map_err(|problems| ConfigError {
            problems: problems.into_iter().map(|text| format!("ROUTES: {text}")).collect(),
        })?;
    let ledger = DynamoDbLedger::new(&aws, config.table_name).with_payloads(payloads);
    let queue =
        SqsQueue::new(&aws, config.queue_url).with_dead_letters(config.dead_letter_queue_url);
    tokio::join!(ledger.connect_for_updates(), queue.connect());
    let defaults = &stack().defaults;
    Ok(Processor {
        ledger,
        queue,
        routes,
        retry: config.retry,
        sweep_grace: config.sweep_grace,
        handler_timeout: config.handler_timeout,
        lease_margin: defaults.lease_margin(),
        retention: Duration::from_hours(24 * u64::from(defaults.retention_days)),
        clock,
        chance: Arc::new(fastrand::f64),
    })
}

/// Lambda always sends all three; without an id a message could not be kept.
fn message(record: aws_lambda_events::event::sqs::SqsMessage) -> Option<Message> {
    let receives = record.attributes.get("ApproximateReceiveCount");
    Some(Message {
        id: record.message_id?,
        receives: receives.and_then(|count| count.parse().ok()).unwrap_or(1),
        receipt_handle: record.receipt_handle.unwrap_or_default(),
        body: record.body.unwrap_or_default(),
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
