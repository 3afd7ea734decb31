//! Targets of a test's own, made in the emulator under the name of its bed.

use std::io::{Cursor, Write as _};

use aws_sdk_eventbridge::types::Target;
use aws_sdk_lambda::primitives::Blob;
use aws_sdk_lambda::types::{FunctionCode, Runtime};
use aws_sdk_sqs::types::QueueAttributeName;
use inbox_local::TestBed;
use serde_json::json;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

/// Does what the event's payload asks for in `ask`, or replies with its `reply`.
const FUNCTION: &str = r#"
import time

def handler(event, context):
    data = event["data"]
    ask = data.get("ask")
    if ask == "raise":
        raise ValueError("cannot bill " + data["customer"])
    if ask == "sleep":
        time.sleep(data["for"])
    if ask == "describe":
        return {"outcome": "permanent", "reason": event["source"] + " " + event["id"] + " " + event["type"]}
    return data.get("reply")
"#;

/// What the name of a FIFO queue or topic ends in.
const FIFO: &str = ".fifo";

/// What a function of [`function`] may take.
pub(crate) const FUNCTION_SECONDS: i32 = 3;

/// A secret that events are signed with when they are forwarded; its name.
pub(crate) async fn forward_secret(bed: &TestBed) -> String {
    let value = json!({ "signing_secrets": ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"] });
    bed.create_secret(&value).await.expect("a secret")
}

/// A bus whose every event goes to the queue `queue_url`; its name.
pub(crate) async fn bus(bed: &TestBed, queue_url: &str) -> String {
    let events = aws_sdk_eventbridge::Client::new(&bed.sdk_config());
    let name = format!("{}-bus", bed.table);
    events.create_event_bus().name(&name).send().await.expect("a bus");
    let pattern = r#"{"source":[{"prefix":"webhooks."}]}"#;
    let rule = events.put_rule().name("all").event_bus_name(&name).event_pattern(pattern);
    rule.send().await.expect("a rule");
    let target = Target::builder().id("queue").arn(queue_arn(bed, queue_url).await).build();
    let target = target.expect("a target");
    let targets = events.put_targets().rule("all").event_bus_name(&name).targets(target);
    targets.send().await.expect("a target of the rule");
    name
}

/// A queue; its URL. One whose name ends in `.fifo` is FIFO.
pub(crate) async fn queue(bed: &TestBed, ending: &str) -> String {
    let mut queue = bed.sqs().create_queue().queue_name(format!("{}-{ending}", bed.table));
    if ending.ends_with(FIFO) {
        queue = queue.attributes(QueueAttributeName::FifoQueue, "true");
    }
    queue.send().await.expect("a queue").queue_url.expect("its URL")
}

pub(crate) async fn queue_arn(bed: &TestBed, queue_url: &str) -> String {
    let name = QueueAttributeName::QueueArn;
    let asked = bed.sqs().get_queue_attributes().queue_url(queue_url).attribute_names(name.clone());
    let attributes = asked.send().await.expect("an answer").attributes.expect("attributes");
    attributes[&name].clone()
}

/// A topic; its ARN. One whose name ends in `.fifo` is FIFO.
pub(crate) async fn topic(bed: &TestBed, ending: &str) -> String {
    let sns = aws_sdk_sns::Client::new(&bed.sdk_config());
    let mut topic = sns.create_topic().name(format!("{}-{ending}", bed.table));
    if ending.ends_with(FIFO) {
        topic = topic.attributes("FifoTopic", "true");
    }
    topic.send().await.expect("a topic").topic_arn.expect("its ARN")
}

/// The messages of a topic that match the policy go to a queue, as they are.
pub(crate) async fn subscribe(bed: &TestBed, topic_arn: &str, queue_url: &str, policy: &str) {
    let queue = queue_arn(bed, queue_url).await;
    // As on AWS, a topic reaches a queue only where the queue's own policy lets it.
    let let_in = json!({ "Version": "2012-10-17", "Statement": [{
        "Effect": "Allow", "Principal": { "Service": "sns.amazonaws.com" },
        "Action": "sqs:SendMessage", "Resource": queue,
        "Condition": { "ArnEquals": { "aws:SourceArn": topic_arn } },
    }] });
    let put = bed.sqs().set_queue_attributes().queue_url(queue_url);
    let put = put.attributes(QueueAttributeName::Policy, let_in.to_string()).send().await;
    put.expect("the queue takes the policy");
    let sns = aws_sdk_sns::Client::new(&bed.sdk_config());
    let subscription = sns.subscribe().topic_arn(topic_arn).protocol("sqs");
    subscription
        .endpoint(queue)
        .attributes("RawMessageDelivery", "true")
        .attributes("FilterPolicy", policy)
        .send()
        .await
        .expect("a subscription");
}

/// A function in Python, started already: on a busy machine that takes longer than a
/// handler may; its name.
pub(crate) async fn function(bed: &TestBed) -> String {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    zip.start_file("index.py", SimpleFileOptions::default()).expect("a file");
    zip.write_all(FUNCTION.as_bytes()).expect("its text");
    let zip = zip.finish().expect("a zip").into_inner();
    let name = format!("{}-function", bed.table);
    let role = bed.create_bare_role("function").await.expect("a role");
    let lambda = aws_sdk_lambda::Client::new(&bed.sdk_config());
    lambda
        .create_function()
        .function_name(&name)
        .runtime(Runtime::Python312)
        .role(role)
        .handler("index.handler")
        .timeout(FUNCTION_SECONDS)
        .code(FunctionCode::builder().zip_file(Blob::new(zip)).build())
        .send()
        .await
        .expect("a function");
    let warm_up = Blob::new(r#"{"data":{}}"#);
    let invoked = lambda.invoke().function_name(&name).payload(warm_up).send().await;
    assert_eq!(invoked.expect("an answer").function_error(), None);
    name
}
