//! A target in another region is asked for there: the region that a call is signed for
//! is the one whose endpoint gets it.

use inbox_local::calls::Fault;
use serde_json::json;

use super::{World, event, handle};

const OWN: &str = "us-east-1";

#[tokio::test]
async fn each_target_is_reached_in_the_region_that_it_names() {
    let world = World::new().await;
    // Nobody is there; all that counts is who is asked.
    let answer = Fault::Answer { status: 400, body: json!({ "__type": "NotThere" }) };
    world.proxy.set_hook(move |_| answer.clone());
    for (handler, with, region) in [
        ("publish", json!({ "bus": "orders" }), OWN),
        (
            "publish",
            json!({ "bus": "arn:aws:events:eu-central-1:123456789012:event-bus/orders" }),
            "eu-central-1",
        ),
        ("invoke", json!({ "function": "billing" }), OWN),
        (
            "invoke",
            json!({ "function": "arn:aws:lambda:eu-west-1:123456789012:function:billing:live" }),
            "eu-west-1",
        ),
        ("enqueue", json!({ "queue_url": world.bed.dlq_url.replace("-dlq", "-target") }), OWN),
        (
            "enqueue",
            json!({ "queue_url": "https://sqs.ap-southeast-2.amazonaws.com/123456789012/ship" }),
            "ap-southeast-2",
        ),
        (
            "enqueue",
            json!({ "topic_arn": "arn:aws:sns:eu-north-1:123456789012:tell" }),
            "eu-north-1",
        ),
    ] {
        let handler = world.handler(handler, &with);
        handle(&handler, &event("evt_1", "{}")).await.expect_err("nobody is there");
        let called: Vec<String> =
            world.proxy.take_calls().into_iter().map(|call| call.region).collect();
        assert!(called.iter().all(|called| called == region), "{with}: {called:?}");
        assert!(!called.is_empty(), "{with}");
    }
}
