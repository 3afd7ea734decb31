//! The receiver: one Lambda function for each source, all from this binary.

use std::process::ExitCode;
use std::sync::Arc;

use inbox_aws::{
    AwsClock, DynamoDbLedger, Limits, S3PayloadStore, SecretsManagerSecrets, SqsQueue, lambda,
    sdk_config,
};
use inbox_core::secrets::SecretCache;
use inbox_core::{Timestamp, telemetry};
use inbox_receiver::config::Config;
use inbox_receiver::gateway::{GatewayEvent, to_gateway};
use inbox_receiver::pipeline::Receiver;
use lambda_http::lambda_runtime::{self, LambdaEvent};
use lambda_http::service_fn;
use serde_json::value::RawValue;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    telemetry::init();
    let (config, provider) = match Config::from_lookup(|name| std::env::var(name).ok()) {
        Ok(read) => read,
        Err(problems) => {
            tracing::error!(%problems, "cannot start");
            return ExitCode::FAILURE;
        }
    };

    let clock = AwsClock::new(Timestamp::now);
    let aws = sdk_config(Limits::FOREGROUND, &clock).await;
    let payloads = config.payload_bucket.clone().map(|bucket| S3PayloadStore::new(&aws, bucket));
    let ledger =
        DynamoDbLedger::new(&aws, config.table_name.clone()).with_payloads(payloads.clone());
    let queue = SqsQueue::new(&aws, config.queue_url.clone());
    let secrets = SecretCache::new(
        SecretsManagerSecrets::new(&aws, config.secret_id.clone()),
        Arc::clone(&provider),
    );
    // All connections at once, here where Lambda gives a whole CPU. None may fail
    // the start: the first event may have better luck.
    let connected_to_payloads = async {
        if let Some(payloads) = &payloads {
            payloads.connect_for_puts(&config.source).await;
        }
    };
    let ((), (), (), fetched) = tokio::join!(
        connected_to_payloads,
        ledger.connect_for_claims(),
        queue.connect(),
        secrets.warm_up(clock.now())
    );
    if let Err(fault) = fetched {
        tracing::warn!(%fault, "no secrets yet");
    }

    let receiver = Arc::new(Receiver { config, provider, ledger, queue, secrets });
    let served = lambda_runtime::run(service_fn(|event: LambdaEvent<Box<RawValue>>| {
        let receiver = Arc::clone(&receiver);
        let now = clock.now();
        async move {
            let reply = match GatewayEvent::read(event.payload.get()) {
                Ok((path, request)) => {
                    let request_id = &event.context.request_id;
                    receiver.receive(&path, request, request_id, now).await
                }
                Err(refusal) => receiver.refuse(refusal, now),
            };
            Ok::<_, std::convert::Infallible>(to_gateway(reply))
        }
    }))
    .await;
    lambda::ended(served)
}
