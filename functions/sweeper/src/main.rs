//! The sweeper: a Lambda function that a schedule calls every minute.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use inbox_aws::{AwsClock, DynamoDbLedger, Limits, S3PayloadStore, SqsQueue, lambda, sdk_config};
use inbox_core::stack::stack;
use inbox_core::{Timestamp, telemetry};
use inbox_sweeper::Sweeper;
use inbox_sweeper::config::Config;
use lambda_runtime::{LambdaEvent, service_fn};
use serde::de::IgnoredAny;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    telemetry::init();
    let config = match Config::from_lookup(|name| std::env::var(name).ok()) {
        Ok(config) => config,
        Err(problems) => {
            tracing::error!(%problems, "cannot start");
            return ExitCode::FAILURE;
        }
    };
    let clock = AwsClock::new(Timestamp::now);
    let aws = sdk_config(Limits::BACKGROUND, &clock).await;
    let defaults = &stack().defaults;
    let payloads = config.payload_bucket.map(|bucket| S3PayloadStore::new(&aws, bucket));
    let sweeper = Arc::new(Sweeper {
        ledger: DynamoDbLedger::new(&aws, config.table_name).with_payloads(payloads),
        queue: SqsQueue::new(&aws, config.queue_url),
        shards: stack().table.open_index.shards,
        grace: config.sweep_grace,
        grace_max: Duration::from_secs(defaults.sweep_grace_max_seconds.into()),
        per_second: defaults.sweep_per_second,
        hold_above: defaults.sweep_hold_above,
        interval: Duration::from_secs(stack().sweeper.interval_seconds.into()),
        clock: Arc::new(move || clock.now()),
        pause: Arc::new(|time| Box::pin(tokio::time::sleep(time))),
    });
    tokio::join!(sweeper.ledger.connect_for_updates(), sweeper.queue.connect());
    // Whatever it is called with, a test event of the console too, is a call to sweep.
    let served = lambda_runtime::run(service_fn(|event: LambdaEvent<IgnoredAny>| {
        let sweeper = Arc::clone(&sweeper);
        async move {
            let deadline = lambda::deadline(&event.context);
            Ok::<_, std::convert::Infallible>(sweeper.sweep(deadline).await)
        }
    }))
    .await;
    lambda::ended(served)
}
