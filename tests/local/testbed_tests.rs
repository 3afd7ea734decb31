//! What the project relies on the emulator for, stated as tests: should another
//! version of it differ, this says so before anything else fails in odd ways.

use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValue, ReturnValuesOnConditionCheckFailure};

use super::*;
use crate::calls::Fault;
use crate::proxy::Proxy;

fn text(value: &str) -> AttributeValue {
    AttributeValue::S(value.to_owned())
}

fn number(value: &str) -> AttributeValue {
    AttributeValue::N(value.to_owned())
}

#[tokio::test]
async fn a_refused_update_of_a_nested_path_returns_the_item() {
    let bed = TestBed::new().await.expect("a bed");
    let dynamodb = bed.dynamodb();
    let handlers = AttributeValue::M([("mirror".to_owned(), AttributeValue::M([].into()))].into());
    dynamodb
        .put_item()
        .table_name(&bed.table)
        .item("pk", text("stripe#evt_1"))
        .item("handlers", handlers)
        .item("life", number("1"))
        .send()
        .await
        .expect("a put");
    let complete = |at: &'static str| {
        dynamodb
            .update_item()
            .table_name(&bed.table)
            .key("pk", text("stripe#evt_1"))
            .update_expression("SET handlers.#h.done_at = :now")
            .condition_expression("life = :life AND attribute_not_exists(handlers.#h.done_at)")
            .expression_attribute_names("#h", "mirror")
            .expression_attribute_values(":now", number(at))
            .expression_attribute_values(":life", number("1"))
            .return_values(ReturnValue::AllNew)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .send()
    };
    let done_at = |item: &std::collections::HashMap<String, AttributeValue>| {
        let handlers = item["handlers"].as_m().expect("a map");
        handlers["mirror"].as_m().expect("a map")["done_at"].clone()
    };
    let updated = complete("1700000000.125").await.expect("an update");
    let item = updated.attributes.expect("ALL_NEW");
    assert_eq!(done_at(&item), number("1700000000.125"));

    let error = complete("1700000001.5").await.expect_err("must be refused");
    let SdkError::ServiceError(error) = error else {
        panic!("{error:?}");
    };
    let UpdateItemError::ConditionalCheckFailedException(refused) = error.into_err() else {
        panic!("another error");
    };
    let item = refused.item.expect("ALL_OLD");
    assert_eq!(done_at(&item), number("1700000000.125"));
}

#[tokio::test]
async fn the_open_index_is_sparse_and_sorts_numbers() {
    let bed = TestBed::new().await.expect("a bed");
    let dynamodb = bed.dynamodb();
    for (id, due_at) in [("a", "1000.125"), ("b", "999.9"), ("c", "1000.126"), ("d", "1000")] {
        dynamodb
            .put_item()
            .table_name(&bed.table)
            .item("pk", text(id))
            .item("open_shard", text("pending#3"))
            .item("due_at", number(due_at))
            .item("sweeps", number("2"))
            .item("payload", text("not projected"))
            .send()
            .await
            .expect("a put");
    }
    dynamodb
        .update_item()
        .table_name(&bed.table)
        .key("pk", text("d"))
        .update_expression("REMOVE open_shard, due_at")
        .send()
        .await
        .expect("it leaves the index");
    let due = dynamodb
        .query()
        .table_name(&bed.table)
        .index_name(&bed.facts.table.open_index.name)
        .key_condition_expression("open_shard = :shard AND due_at <= :now")
        .expression_attribute_values(":shard", text("pending#3"))
        .expression_attribute_values(":now", number("1000.125"))
        .send()
        .await
        .expect("a query");
    let ids: Vec<_> = due.items().iter().map(|item| item["pk"].clone()).collect();
    assert_eq!(ids, [text("b"), text("a")]);
    let first = &due.items()[0];
    assert_eq!(first["due_at"], number("999.9"));
    assert_eq!(first["sweeps"], number("2"));
    assert!(!first.contains_key("payload"));
}

#[tokio::test]
async fn beds_do_not_see_each_other() {
    let emulator = shared_emulator().await.expect("an emulator");
    let bed = || TestBed::on(emulator, QueueOverrides::default());
    let (one, two) = tokio::join!(bed(), bed());
    let (one, two) = (one.expect("a bed"), two.expect("a bed"));
    assert_eq!(one.endpoint_url, two.endpoint_url);
    one.sqs()
        .send_message()
        .queue_url(&one.queue_url)
        .message_body("{}")
        .message_group_id("stripe")
        .send()
        .await
        .expect("a standard queue takes a message group");
    let receive = |bed: &TestBed| {
        let (sqs, url) = (bed.sqs(), bed.queue_url.clone());
        async move { sqs.receive_message().queue_url(url).send().await }
    };
    assert_eq!(receive(&two).await.expect("an answer").messages().len(), 0);
    assert_eq!(receive(&one).await.expect("an answer").messages().len(), 1);
}

#[tokio::test]
async fn the_sdk_repeats_a_write_whose_reply_was_lost() {
    let bed = TestBed::new().await.expect("a bed");
    let proxy = Proxy::start(&bed.endpoint_url).await.expect("a proxy");
    let dynamodb = aws_sdk_dynamodb::Client::new(&resources::sdk_config(proxy.url()));
    for fault in [Fault::DropReply, Fault::DropBefore, Fault::throttle()] {
        let dropped_reply = fault == Fault::DropReply;
        proxy.fail_next("dynamodb", "UpdateItem", 1, fault);
        let updated = dynamodb
            .update_item()
            .table_name(&bed.table)
            .key("pk", text(if dropped_reply { "twice" } else { "once" }))
            .update_expression("ADD life :one")
            .expression_attribute_values(":one", number("1"))
            .return_values(ReturnValue::UpdatedNew)
            .send()
            .await
            .expect("the second attempt passes");
        let calls = proxy.take_calls();
        assert_eq!(calls.len(), 2, "{calls:?}");
        if dropped_reply {
            assert_eq!(updated.attributes.expect("values")["life"], number("2"));
            assert_eq!(calls[0].upstream_status, Some(200));
        }
    }
}

/// `Ok`, or the code that the service gave.
fn outcome<T, E, R>(result: Result<T, SdkError<E, R>>) -> Result<(), String>
where
    E: ProvideErrorMetadata,
{
    let code = |it: &E| it.code().unwrap_or("no answer").to_owned();
    result.map(|_| ()).map_err(|it| it.as_service_error().map_or_else(|| it.to_string(), code))
}

#[tokio::test]
async fn a_function_may_do_what_the_module_says_and_nothing_else() {
    let bed = TestBed::new().await.expect("a bed");
    for source in ["stripe", "github"] {
        let id = format!("{}/{source}", bed.table);
        let value = serde_json::json!({ "signing_secrets": ["a secret of eight"] });
        resources::create_secret(&bed.secrets(), &id, &value).await.expect("a secret");
    }
    let sources = [("stripe", "stripe"), ("github", "github")];
    let of = |function: &str| {
        let routes = serde_json::json!([]);
        bed.sdk_config_of(function, &sources, &routes, &bed.endpoint_url)
    };
    let denied = |code: &str| Err(code.to_owned());

    let receiver = of("receiver-stripe");
    let dynamodb = aws_sdk_dynamodb::Client::new(&receiver);
    let put = |table: &str| {
        let put = dynamodb.put_item().table_name(table);
        put.item("pk", text("stripe#evt_1")).send()
    };
    assert_eq!(outcome(put(&bed.table).await), Ok(()));
    assert_eq!(outcome(put(&bed.mirror_table).await), denied("AccessDeniedException"));
    let get = dynamodb.get_item().table_name(&bed.table).key("pk", text("stripe#evt_1"));
    assert_eq!(outcome(get.send().await), denied("AccessDeniedException"));

    let secrets = aws_sdk_secretsmanager::Client::new(&receiver);
    let read = |source: &str| {
        secrets.get_secret_value().secret_id(format!("{}/{source}", bed.table)).send()
    };
    assert_eq!(outcome(read("stripe").await), Ok(()));
    assert_eq!(outcome(read("github").await), denied("AccessDeniedException"));

    let s3 = aws_sdk_s3::Client::new(&receiver);
    let keep = |key: &str| {
        let put = s3.put_object().bucket(&bed.payload_bucket).key(key);
        put.body(aws_sdk_s3::primitives::ByteStream::from_static(b"{}")).send()
    };
    assert_eq!(outcome(keep("stripe/evt_1").await), Ok(()));
    assert_eq!(outcome(keep("github/evt_1").await), denied("AccessDenied"));

    let sqs = aws_sdk_sqs::Client::new(&receiver);
    let send = |url: &str| sqs.send_message().queue_url(url).message_body("{}").send();
    assert_eq!(outcome(send(&bed.queue_url).await), Ok(()));
    assert_eq!(outcome(send(&bed.dlq_url).await), denied("AccessDenied"));

    let sqs = aws_sdk_sqs::Client::new(&of("processor"));
    let send = |url: &str| sqs.send_message().queue_url(url).message_body("{}").send();
    assert_eq!(outcome(send(&bed.dlq_url).await), Ok(()));
    let nobodys = format!("{}-nobodys", bed.queue_url);
    assert_eq!(outcome(send(&nobodys).await), denied("AccessDenied"));

    // It renews payloads that would expire, and has no business with secrets.
    let secrets = aws_sdk_secretsmanager::Client::new(&of("sweeper"));
    let read = secrets.get_secret_value().secret_id(format!("{}/stripe", bed.table));
    assert_eq!(outcome(read.send().await), denied("AccessDeniedException"));
}
