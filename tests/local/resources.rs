//! Tables, queues, buckets, buses and secrets, made from the shared facts through the AWS SDK.

use aws_config::SdkConfig;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, GlobalSecondaryIndex, KeySchemaElement, KeyType,
    PointInTimeRecoverySpecification, Projection, ProjectionType, ScalarAttributeType,
    TimeToLiveSpecification,
};
use aws_sdk_sqs::types::QueueAttributeName;

use crate::LocalError;
use crate::access::AccessKey;
use crate::emulator::{ACCOUNT_ID, REGION};
use crate::watch::Watch;
use inbox_core::stack::{Index, Stack};

/// SDK configuration for an endpoint on this machine, as root: for who makes and looks
/// at things. What is tested acts with a key of its own.
#[must_use]
pub fn sdk_config(endpoint_url: &str) -> SdkConfig {
    AccessKey::root().sdk_config(endpoint_url)
}

/// Makes the ledger's table with its indexes and its time to live.
pub async fn create_ledger_table(
    dynamodb: &aws_sdk_dynamodb::Client,
    facts: &Stack,
    name: &str,
) -> Result<(), LocalError> {
    let what = format!("create table {name}");
    let table = &facts.table;
    let indexes = [&table.timeline_index, &table.open_index];
    let mut request = dynamodb
        .create_table()
        .table_name(name)
        .billing_mode(BillingMode::PayPerRequest)
        .attribute_definitions(attribute(&table.partition_key, ScalarAttributeType::S)?)
        .key_schema(key(&table.partition_key, KeyType::Hash)?);
    for index in indexes {
        request = request
            .attribute_definitions(attribute(&index.partition_key, ScalarAttributeType::S)?)
            .attribute_definitions(attribute(&index.sort_key, index.sort_key_type.as_str().into())?)
            .global_secondary_indexes(global_index(index)?);
    }
    request.send().await.map_err(LocalError::call(&what))?;
    let time_to_live = TimeToLiveSpecification::builder()
        .attribute_name(&table.ttl_attribute)
        .enabled(true)
        .build()
        .map_err(LocalError::call(&what))?;
    dynamodb
        .update_time_to_live()
        .table_name(name)
        .time_to_live_specification(time_to_live)
        .send()
        .await
        .map_err(LocalError::call(what))?;
    let recovery = PointInTimeRecoverySpecification::builder()
        .point_in_time_recovery_enabled(true)
        .build()
        .map_err(LocalError::call("turn point-in-time recovery on"))?;
    dynamodb
        .update_continuous_backups()
        .table_name(name)
        .point_in_time_recovery_specification(recovery)
        .send()
        .await
        .map_err(LocalError::call("turn point-in-time recovery on"))?;
    Ok(())
}

/// Makes the table of the `mirror` handler.
pub async fn create_mirror_table(
    dynamodb: &aws_sdk_dynamodb::Client,
    facts: &Stack,
    name: &str,
) -> Result<(), LocalError> {
    let partition_key = &facts.mirror_table.partition_key;
    dynamodb
        .create_table()
        .table_name(name)
        .billing_mode(BillingMode::PayPerRequest)
        .attribute_definitions(attribute(partition_key, ScalarAttributeType::S)?)
        .key_schema(key(partition_key, KeyType::Hash)?)
        .send()
        .await
        .map_err(LocalError::call(format!("create table {name}")))?;
    Ok(())
}

fn attribute(name: &str, kind: ScalarAttributeType) -> Result<AttributeDefinition, LocalError> {
    AttributeDefinition::builder()
        .attribute_name(name)
        .attribute_type(kind)
        .build()
        .map_err(LocalError::call(format!("define attribute {name}")))
}

fn key(name: &str, kind: KeyType) -> Result<KeySchemaElement, LocalError> {
    KeySchemaElement::builder()
        .attribute_name(name)
        .key_type(kind)
        .build()
        .map_err(LocalError::call(format!("define key {name}")))
}

fn global_index(index: &Index) -> Result<GlobalSecondaryIndex, LocalError> {
    let projection = Projection::builder()
        .projection_type(ProjectionType::Include)
        .set_non_key_attributes(Some(index.projected.clone()))
        .build();
    GlobalSecondaryIndex::builder()
        .index_name(&index.name)
        .key_schema(key(&index.partition_key, KeyType::Hash)?)
        .key_schema(key(&index.sort_key, KeyType::Range)?)
        .projection(projection)
        .build()
        .map_err(LocalError::call(format!("define index {}", index.name)))
}

/// The queue of events, that of slow routes, and their dead-letter queue.
#[derive(Debug, Clone)]
pub struct Queues {
    /// Where events' messages go.
    pub queue_url: String,
    /// Where those of slow routes go.
    pub lane_url: String,
    /// Where dead letters go.
    pub dlq_url: String,
    /// The queue's ARN, for the event source mapping.
    pub queue_arn: String,
    /// The lane's, likewise.
    pub lane_arn: String,
}

/// What a stack may set differently from the shared facts, to be quick.
#[derive(Debug, Clone, Copy, Default)]
pub struct QueueOverrides {
    /// How long a received message stays hidden.
    pub visibility_timeout_seconds: Option<u32>,
    /// Receives after which SQS itself moves a message away.
    pub max_receive_count: Option<u32>,
}

/// Makes the queue `name`, the lane `name-lane` and their dead-letter queue `name-dlq`,
/// and for an inbox's `INBOX-events` the bus's `INBOX-bus-dlq` besides.
pub async fn create_queues(
    sqs: &aws_sdk_sqs::Client,
    facts: &Stack,
    name: &str,
    overrides: QueueOverrides,
) -> Result<Queues, LocalError> {
    if let Some(inbox) = name.strip_suffix("-events") {
        create_queue(sqs, &format!("{inbox}-bus-dlq"), []).await?;
    }
    let dlq_name = format!("{name}-dlq");
    let retention = facts.dead_letter_queue.retention_seconds.to_string();
    let dlq_url =
        create_queue(sqs, &dlq_name, [(QueueAttributeName::MessageRetentionPeriod, retention)])
            .await?;
    let visibility =
        overrides.visibility_timeout_seconds.unwrap_or(facts.queue.visibility_timeout_seconds);
    let redrive = serde_json::json!({
        "deadLetterTargetArn": queue_arn(&dlq_name),
        "maxReceiveCount": overrides.max_receive_count.unwrap_or(facts.queue.max_receive_count),
    });
    let attributes = [
        (QueueAttributeName::VisibilityTimeout, visibility.to_string()),
        (QueueAttributeName::MessageRetentionPeriod, facts.queue.retention_seconds.to_string()),
        (QueueAttributeName::RedrivePolicy, redrive.to_string()),
    ];
    let lane_name = format!("{name}-lane");
    let lane_url = create_queue(sqs, &lane_name, attributes.clone()).await?;
    let queue_url = create_queue(sqs, name, attributes).await?;
    let (queue_arn, lane_arn) = (queue_arn(name), queue_arn(&lane_name));
    Ok(Queues { queue_url, lane_url, dlq_url, queue_arn, lane_arn })
}

fn queue_arn(name: &str) -> String {
    format!("arn:aws:sqs:{REGION}:{ACCOUNT_ID}:{name}")
}

async fn create_queue(
    sqs: &aws_sdk_sqs::Client,
    name: &str,
    attributes: impl IntoIterator<Item = (QueueAttributeName, String)>,
) -> Result<String, LocalError> {
    let what = format!("create queue {name}");
    let created = sqs
        .create_queue()
        .queue_name(name)
        .set_attributes(Some(attributes.into_iter().collect()))
        .send()
        .await
        .map_err(LocalError::call(&what))?;
    created
        .queue_url
        .ok_or_else(|| LocalError::Call { what, reason: "no URL came back".to_owned() })
}

/// Makes the bucket for payloads that are too large for the table.
pub async fn create_payload_bucket(s3: &aws_sdk_s3::Client, name: &str) -> Result<(), LocalError> {
    let created = s3.create_bucket().bucket(name).send().await;
    created.map_err(LocalError::call(format!("create bucket {name}")))?;
    Ok(())
}

/// Makes the bus of the handler `publish`.
pub async fn create_event_bus(
    eventbridge: &aws_sdk_eventbridge::Client,
    name: &str,
) -> Result<(), LocalError> {
    let created = eventbridge.create_event_bus().name(name).send().await;
    created.map_err(LocalError::call(format!("create event bus {name}")))?;
    Ok(())
}

/// Makes a source's secret in the shape that the receiver reads, and returns its ARN.
pub async fn create_secret(
    secrets: &aws_sdk_secretsmanager::Client,
    id: &str,
    value: &serde_json::Value,
) -> Result<String, LocalError> {
    Watch::of_this_run().forbid_stored(value);
    let what = format!("create secret {id}");
    let created = secrets.create_secret().name(id).secret_string(value.to_string()).send().await;
    created
        .map_err(LocalError::call(&what))?
        .arn
        .ok_or_else(|| LocalError::Call { what, reason: "no ARN came back".to_owned() })
}
