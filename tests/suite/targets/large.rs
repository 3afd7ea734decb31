//! What is too large for a target: sent with a reference to its payload, which lies in
//! the bucket until the event is forgotten.

use aws_sdk_sqs::types::QueueAttributeName;
use inbox_aws::{DETACHED_BYTES_MIN, DynamoDbLedger, S3PayloadStore};
use inbox_core::event::Event;
use inbox_core::handler::{Handled, HandlerError, Run};
use inbox_core::ledger::{Claimed, Forgetting, Ledger as _, PayloadRef, Record, Settled};
use inbox_local::resources::sdk_config;
use serde_json::{Value, json};

use super::{World, event, handle, made};
use crate::conformance;

/// What a compressed object's key ends in.
const GZIP: &str = ".gz";

/// A JSON text of so many bytes, which compresses well.
fn text_of(bytes: usize) -> String {
    format!("\"{}\"", "x".repeat(bytes - 2))
}

impl World {
    /// The keys of all objects.
    async fn objects(&self) -> Vec<String> {
        let listed = self.bed.s3().list_objects_v2().bucket(&self.bed.payload_bucket).send().await;
        let listed = listed.expect("a list").contents.unwrap_or_default();
        listed.into_iter().filter_map(|it| it.key).collect()
    }

    /// What a `CloudEvent`'s `dataref` leads to, as a subscriber would read it.
    async fn data_of(&self, cloudevent: &Value) -> Vec<u8> {
        let address = cloudevent["dataref"].as_str().expect("a reference");
        let address = address.strip_prefix("s3://").expect("of S3");
        let (bucket, key) = address.split_once('/').expect("a bucket and a key");
        let object = self.bed.s3().get_object().bucket(bucket).key(key).send().await;
        let bytes = object.expect("an object").body.collect().await.expect("its bytes").to_vec();
        if !key.ends_with(GZIP) {
            return bytes;
        }
        let mut plain = Vec::new();
        let mut decoder = flate2::read::MultiGzDecoder::new(&bytes[..]);
        std::io::Read::read_to_end(&mut decoder, &mut plain).expect("gzip");
        plain
    }

    /// Whether the `CloudEvent` is the event's, but for its data, which is outside.
    async fn check_reference(&self, cloudevent: &Value, event: &Event) {
        assert!(self.data_of(cloudevent).await == event.payload.bytes, "byte for byte");
        let dataref = cloudevent["dataref"].as_str().unwrap_or_default();
        let expected = event.to_cloudevent_with_dataref(dataref);
        assert_eq!(cloudevent.to_string(), super::json_of(&expected).to_string());
    }
}

/// A queue, a bus and a topic that lead to it, and the most bytes of a message by the
/// options of a route to each.
struct Targets {
    queue: String,
    limits: [(&'static str, Value, usize); 6],
}

impl Targets {
    async fn new(world: &World) -> Self {
        let queue = made::queue(&world.bed, "subscriber").await;
        let bus = made::bus(&world.bed, &queue).await;
        let topic = made::topic(&world.bed, "topic").await;
        made::subscribe(&world.bed, &topic, &queue, "{}").await;
        let limits = [
            ("publish", json!({ "bus": bus }), 256_000),
            ("publish", json!({ "bus": bus, "max_bytes": 1_000_000 }), 1_000_000),
            ("enqueue", json!({ "queue_url": queue }), 262_144),
            ("enqueue", json!({ "queue_url": queue, "max_bytes": 1_048_576 }), 1_048_576),
            ("enqueue", json!({ "topic_arn": topic }), 262_144),
            // The emulator's topics end here, so that this one goes the other way.
            ("enqueue", json!({ "topic_arn": topic, "max_bytes": 65_536 }), 65_536),
        ];
        Self { queue, limits }
    }

    /// The one `CloudEvent` that came to the queue.
    async fn arrived(&self, world: &World) -> Value {
        let [arrived] = &world.bodies(&self.queue).await[..] else { panic!("not one message") };
        let cloudevent = if arrived["detail"].is_object() { &arrived["detail"] } else { arrived };
        cloudevent.clone()
    }
}

#[tokio::test]
async fn every_target_gets_a_reference_to_what_is_too_large_for_it() {
    let world = World::new().await;
    let targets = Targets::new(&world).await;
    for (number, (handler, with, most_bytes)) in targets.limits.iter().enumerate() {
        let handler = world.handler(handler, with);
        let large = event(&format!("evt_{number}"), &text_of(*most_bytes));
        // Another attempt leads to the same object.
        for _ in 1..=2 {
            assert_eq!(handle(&handler, &large).await, Ok(()), "{with}");
            world.check_reference(&targets.arrived(&world).await, &large).await;
        }
        assert_eq!(world.objects().await.len(), number + 1, "{with}");
    }

    let function = made::function(&world.bed).await;
    let invoke = world.handler("invoke", &json!({ "function": function }));
    let large = event("evt_function", &text_of(6 * 1024 * 1024));
    let _ = handle(&invoke, &large).await;
    let calls = world.proxy.calls();
    let payload = calls.last().expect("a call").json();
    world.check_reference(&payload, &large).await;
}

/// What Terraform makes of a queue of which nothing is said.
#[tokio::test]
async fn a_queue_that_takes_no_more_than_256_kib_gets_a_reference_to_what_is_larger() {
    let world = World::new().await;
    let queue = made::queue(&world.bed, "small").await;
    let name = QueueAttributeName::MaximumMessageSize;
    let limited = world.bed.sqs().set_queue_attributes().queue_url(&queue);
    limited.attributes(name, "262144").send().await.expect("a limit");
    let large = event("evt_1", &text_of(300_000));
    let enqueue = world.handler("enqueue", &json!({ "queue_url": queue }));
    assert_eq!(handle(&enqueue, &large).await, Ok(()));
    let [arrived] = &world.bodies(&queue).await[..] else { panic!("not one message") };
    world.check_reference(arrived, &large).await;

    // A route that promises more than the queue takes is told so.
    let with = json!({ "queue_url": queue, "max_bytes": 1_048_576 });
    let outcome = handle(&world.handler("enqueue", &with), &large).await;
    let Err(HandlerError::Retry { reason, .. }) = outcome else { panic!("{outcome:?}") };
    assert!(reason.text().starts_with("SendMessage: InvalidParameterValue"), "{reason}");
}

#[tokio::test]
async fn what_just_fits_goes_whole() {
    let world = World::new().await;
    let targets = Targets::new(&world).await;
    for (handler, with, most_bytes) in &targets.limits {
        let handler = world.handler(handler, with);
        let whole = event("evt_1", &text_of(most_bytes - 600));
        assert_eq!(handle(&handler, &whole).await, Ok(()), "{with}");
        let data = &targets.arrived(&world).await["data"];
        assert_eq!(data.as_str().map(str::len), Some(most_bytes - 602), "{with}");
    }
    assert_eq!(world.objects().await, Vec::<String>::new());
}

#[tokio::test]
async fn what_lies_in_the_bucket_already_is_not_put_again() {
    let world = World::new().await;
    let targets = Targets::new(&world).await;
    let large = event("evt_1", &text_of(1_048_576));
    let key = "stripe_eu/0/1.gz".to_owned();
    let payload_ref = Some(PayloadRef { key: key.clone(), bytes: large.payload.bytes.len() });
    let run = Run { payload_ref, ..super::run() };
    for (handler, with, _) in &targets.limits {
        assert_eq!(
            world.handler(handler, with).handle(&large, &run).await,
            Ok(Handled::Done),
            "{with}"
        );
        let expected = format!("s3://{}/{key}", world.bed.payload_bucket);
        assert_eq!(targets.arrived(&world).await["dataref"], expected, "{with}");
    }
    assert_eq!(world.proxy.count("s3", "PutObject"), 0);
    assert_eq!(world.objects().await, Vec::<String>::new());
}

/// The event of the suite for ledgers, with this payload, published; and its record.
async fn published_with(world: &World, ledger: &DynamoDbLedger, payload: String) -> Record {
    let mut new = conformance::new_event(conformance::at(0));
    new.event.payload.bytes = payload.into();
    assert_eq!(ledger.claim(&new).await.expect("claim"), Claimed::Fresh);
    let record = conformance::held(ledger).await;
    assert_eq!(record.payload_ref, None, "it fits the item");
    let topic = made::topic(&world.bed, "topic").await;
    let enqueue = world.handler("enqueue", &json!({ "topic_arn": topic }));
    assert_eq!(handle(&enqueue, &new.event).await, Ok(()));
    record
}

async fn forget(ledger: &DynamoDbLedger, record: &Record) {
    let forgetting = Forgetting { record, actor: "ada", reason: "request #7" };
    let forgotten = ledger.forget(&forgetting, conformance::at(3)).await.expect("forget");
    assert_eq!(forgotten, Settled::Written);
}

fn ledger_of(world: &World) -> DynamoDbLedger {
    let aws = sdk_config(world.proxy.url());
    let payloads = S3PayloadStore::new(&aws, world.bed.payload_bucket.clone());
    DynamoDbLedger::new(&aws, world.bed.table.clone()).with_payloads(Some(payloads))
}

#[tokio::test]
async fn forgetting_an_event_removes_what_was_put_for_its_targets() {
    let world = World::new().await;
    let ledger = ledger_of(&world);
    let record = published_with(&world, &ledger, text_of(300_000)).await;
    assert_eq!(world.objects().await.len(), 1);
    forget(&ledger, &record).await;
    assert_eq!(world.objects().await, Vec::<String>::new());
}

#[tokio::test]
async fn forgetting_looks_for_no_object_of_an_event_that_every_target_takes_whole() {
    let world = World::new().await;
    let ledger = ledger_of(&world);
    let record = published_with(&world, &ledger, text_of(DETACHED_BYTES_MIN - 1)).await;
    let _ = world.proxy.take_calls();
    forget(&ledger, &record).await;
    let services: Vec<String> = world.proxy.calls().into_iter().map(|it| it.service).collect();
    assert_eq!(services, ["dynamodb"]);
}
