//! The processor: the Lambda function behind the queue.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use inbox_aws::{AwsClock, DynamoDbLedger, Limits, S3PayloadStore, SqsQueue, lambda, sdk_config};
use inbox_core::config::ConfigError;
use inbox_core::stack::stack;
use inbox_core::{Timestamp, telemetry};
use inbox_processor::batch::Processor;
use inbox_processor::budget::Budget;
use inbox_processor::config::Config;
use inbox_processor::handlers::{HttpClients, Resources};
use inbox_processor::invocation::Invocation;
use inbox_processor::lane::{Lane, Pace};
use inbox_processor::routes::Routes;
use lambda_runtime::{LambdaEvent, service_fn};
use serde_json::value::RawValue;

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
    let served = lambda_runtime::run(service_fn(|event: LambdaEvent<Box<RawValue>>| {
        let started = Arc::clone(&started);
        async move {
            let deadline = lambda::deadline(&event.context);
            let lane = started.lane_name.as_deref();
            let Invocation { messages, is_unreadable } =
                Invocation::read(event.payload.get(), lane);
            if is_unreadable {
                tracing::error!(
                    "called with what is no batch of SQS, or not only: all of it is kept"
                );
            }
            let kept = started.processor.run_batch(messages, deadline).await;
            Ok::<_, std::convert::Infallible>(Invocation::answer(is_unreadable, kept))
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
    let aws_clock = AwsClock::new(Timestamp::now);
    let aws = sdk_config(Limits::BACKGROUND, &aws_clock).await;
    let clock: Arc<dyn Fn() -> Timestamp + Send + Sync> = Arc::new(move || aws_clock.now());
    let payloads = config.payload_bucket.map(|bucket| S3PayloadStore::new(&aws, bucket));
    let resources = Resources {
        aws: aws.clone(),
        mirror_table: config.mirror_table_name,
        event_bus: config.event_bus,
        payloads: payloads.clone(),
        handler_timeout: config.handler_timeout,
        own_queues: [&config.queue_url, &config.dead_letter_queue_url]
            .into_iter()
            .chain(&config.lane_queue_url)
            .cloned()
            .collect(),
        clock: Arc::clone(&clock),
        http: HttpClients::default(),
    };
    let routes =
        Routes::parse(config.routes.as_deref(), &resources).map_err(|problems| ConfigError {
            problems: problems.into_iter().map(|text| format!("ROUTES: {text}")).collect(),
        })?;
    let routes = routes.among(config.sources.iter().map(String::as_str));
    let ledger = DynamoDbLedger::new(&aws, config.table_name).with_payloads(payloads);
    let lane_name = config.lane_queue_url.as_ref().and_then(|url| url.rsplit('/').next());
    let lane_name = lane_name.map(str::to_owned);
    let lane = if lane_name.is_some() { Lane::of(Pace::default()) } else { Lane::none() };
    let queue = SqsQueue::new(&aws, config.queue_url)
        .with_lane(config.lane_queue_url)
        .with_dead_letters(config.dead_letter_queue_url);
    let patterns = routes.patterns();
    let (noted, ()) =
        tokio::join!(ledger.note_routes(&patterns, Timestamp::now()), queue.connect());
    let former = noted.unwrap_or_else(|fault| {
        // Events are handled all the same.
        tracing::warn!(%fault, "not known which routes there were before");
        Vec::new()
    });
    let routes = routes.with_former(&former);
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
        clock,
        chance: Arc::new(fastrand::f64),
        budget: Budget::of_memory(memory_mb()),
    };
    Ok(Started { processor, lane_name })
}

/// This function's memory, as Lambda says it.
/// <https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html>
fn memory_mb() -> usize {
    let said = std::env::var("AWS_LAMBDA_FUNCTION_MEMORY_SIZE").ok();
    said.and_then(|text| text.parse().ok()).unwrap_or(stack().processor.memory_mb as usize)
}
