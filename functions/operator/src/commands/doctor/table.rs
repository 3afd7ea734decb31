//! The ledger's table: keys, indexes, time to live, backups.

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata as _, SdkError};
use aws_sdk_dynamodb::types::{
    ContinuousBackupsStatus, GlobalSecondaryIndexDescription, IndexStatus, KeySchemaElement,
    KeyType, PointInTimeRecoveryStatus, Projection, ProjectionType, TableDescription, TableStatus,
    TimeToLiveStatus,
};
use inbox_aws::describe;
use inbox_core::stack::{Index, stack};

use super::{FIX_DEPLOY, Findings};
use crate::context::Context;
use crate::fault::Fault;

const FIX_INDEX: &str =
    "an index cannot be changed, only deleted and made anew: `make deploy` does";

pub(super) async fn check(context: &Context, findings: &mut Findings) -> Result<(), Fault> {
    let name = context.deployment.table()?;
    let client = Client::new(context.aws().await?);
    let about = format!("table {name}");
    let answer = match client.describe_table().table_name(name).send().await {
        Ok(answer) => answer,
        // Without an answer every other check would say the same.
        Err(error) if !matches!(error, SdkError::ServiceError(_)) => {
            return Err(Fault::unavailable(describe("DescribeTable", &error)));
        }
        Err(error) if error.code() == Some("ResourceNotFoundException") => {
            let region = context.aws().await?.region().map_or("?", AsRef::as_ref);
            findings.broken(
                about,
                format!("is not there, in region {region}"),
                "look at --stack, TABLE_NAME and AWS_REGION; if it was deleted, restore it by \
                 point-in-time recovery before `make deploy`",
            );
            return Ok(());
        }
        Err(error) => {
            findings.unknown(about, describe("DescribeTable", &error));
            return Ok(());
        }
    };
    if let Some(table) = answer.table() {
        check_schema(&about, table, findings);
    }
    check_time_to_live(&client, name, findings).await;
    check_backups(&client, name, findings).await;
    Ok(())
}

fn check_schema(about: &str, table: &TableDescription, findings: &mut Findings) {
    let facts = &stack().table;
    let status = table.table_status().map_or("unknown", TableStatus::as_str);
    findings.expect(
        about,
        table.table_status() == Some(&TableStatus::Active),
        format!("is {status}"),
        "wait until it is ACTIVE",
    );
    let keys = keys(table.key_schema());
    findings.expect(
        "table's key",
        keys == (Some(facts.partition_key.as_str()), None),
        format!("is {}", keys.0.unwrap_or("missing")),
        format!("it must be {} alone: this is no table of this inbox", facts.partition_key),
    );
    for index in [&facts.timeline_index, &facts.open_index] {
        let about = format!("index {}", index.name);
        let held = table.global_secondary_indexes().iter();
        match held.clone().find(|held| held.index_name() == Some(&index.name)) {
            Some(held) => check_index(&about, index, held, findings),
            None => findings.broken(about, "is not there", FIX_DEPLOY),
        }
    }
}

fn check_index(
    about: &str,
    index: &Index,
    held: &GlobalSecondaryIndexDescription,
    findings: &mut Findings,
) {
    if held.index_status() != Some(&IndexStatus::Active) {
        let status = held.index_status().map_or("unknown", IndexStatus::as_str);
        findings.broken(about, format!("is {status}"), "wait until it is ACTIVE");
        return;
    }
    let expected = (Some(index.partition_key.as_str()), Some(index.sort_key.as_str()));
    if keys(held.key_schema()) != expected {
        let says = format!("has other keys than {} and {}", index.partition_key, index.sort_key);
        findings.broken(about, says, FIX_INDEX);
        return;
    }
    let projection = held.projection();
    let is_all = projection.and_then(|it| it.projection_type()) == Some(&ProjectionType::All);
    let projected = projection.map(Projection::non_key_attributes).unwrap_or_default();
    let missing: Vec<&str> = index
        .projected
        .iter()
        .filter(|name| !is_all && !projected.contains(name))
        .map(String::as_str)
        .collect();
    if missing.is_empty() {
        findings.ok(about, "has its keys and attributes");
    } else {
        findings.broken(about, format!("does not project {}", missing.join(", ")), FIX_INDEX);
    }
}

/// Partition key and sort key.
fn keys(schema: &[KeySchemaElement]) -> (Option<&str>, Option<&str>) {
    let of = |kind: &KeyType| {
        schema.iter().find(|key| key.key_type() == kind).map(KeySchemaElement::attribute_name)
    };
    (of(&KeyType::Hash), of(&KeyType::Range))
}

async fn check_time_to_live(client: &Client, name: &str, findings: &mut Findings) {
    let attribute = &stack().table.ttl_attribute;
    let fix = format!(
        "turn time to live on for attribute {attribute}: without it nothing is ever \
                       deleted, personal data among it"
    );
    let answer = match client.describe_time_to_live().table_name(name).send().await {
        Ok(answer) => answer,
        Err(error) => {
            findings.unknown("time to live", describe("DescribeTimeToLive", &error));
            return;
        }
    };
    let held = answer.time_to_live_description();
    let status = held.and_then(|held| held.time_to_live_status());
    let is_on = matches!(status, Some(TimeToLiveStatus::Enabled | TimeToLiveStatus::Enabling));
    match held.and_then(|held| held.attribute_name()).filter(|_| is_on) {
        Some(held) if held == attribute => findings.ok("time to live", format!("is on, by {held}")),
        Some(held) => findings.broken("time to live", format!("is on, but by {held}"), fix),
        None => findings.broken("time to live", "is off", fix),
    }
}

async fn check_backups(client: &Client, name: &str, findings: &mut Findings) {
    let about = "point-in-time recovery";
    let answer = match client.describe_continuous_backups().table_name(name).send().await {
        Ok(answer) => answer,
        Err(error) => {
            findings.unknown(about, describe("DescribeContinuousBackups", &error));
            return;
        }
    };
    let is_on = answer.continuous_backups_description().is_some_and(|held| {
        held.continuous_backups_status() == &ContinuousBackupsStatus::Enabled
            && held
                .point_in_time_recovery_description()
                .and_then(|it| it.point_in_time_recovery_status())
                == Some(&PointInTimeRecoveryStatus::Enabled)
    });
    if is_on {
        findings.ok(about, "is on");
    } else {
        findings.warn(about, "is off", "turn it on: the ledger is the truth");
    }
}
