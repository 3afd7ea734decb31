//! Marks in one item of the ledger's table, an attribute for each route.
//!
//! The item has none of the attributes that the indexes are made of, so no list shows
//! it, and no time to live. It is as large as the names of the routes that are slow.

use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::AttributeValue;
use inbox_core::Timestamp;
use inbox_core::event::EventKey;
use inbox_core::ledger::LedgerError;
use inbox_core::marks::{MarkedRoutes, Marks};

use crate::error::describe;
use crate::item::{self, Item, seconds};
use crate::ledger::DynamoDbLedger;

/// Before a route's name, so that no route's is the table's key.
const PREFIX: &str = "slow#";

/// No source name holds a capital letter, so this is no event's key.
fn key() -> Item {
    item::key(&EventKey { source: "MARKS".to_owned(), id: "MARKS".to_owned() })
}

fn attribute(route: &str) -> String {
    format!("{PREFIX}{route}")
}

impl Marks for DynamoDbLedger {
    async fn marks(&self) -> Result<MarkedRoutes, LedgerError> {
        let request = self.client().get_item().table_name(self.table()).set_key(Some(key()));
        let answer = request
            .send()
            .await
            .map_err(|error| LedgerError::Unavailable(describe("GetItem", &error)))?;
        let read = |(name, value): (String, AttributeValue)| {
            let route = name.strip_prefix(PREFIX)?;
            Some((route.to_owned(), item::time(&value)?))
        };
        Ok(answer.item.unwrap_or_default().into_iter().filter_map(read).collect())
    }

    async fn mark(&self, route: &str, slow_at: Timestamp) -> Result<(), LedgerError> {
        let condition = "attribute_not_exists(#route) OR #route < :slow_at";
        self.change("SET #route = :slow_at", condition, route, slow_at).await
    }

    async fn unmark(&self, route: &str, slow_at: Timestamp) -> Result<(), LedgerError> {
        self.change("REMOVE #route", "#route = :slow_at", route, slow_at).await
    }
}

impl DynamoDbLedger {
    /// What the condition refuses, another process has written already.
    async fn change(
        &self,
        update: &str,
        condition: &str,
        route: &str,
        slow_at: Timestamp,
    ) -> Result<(), LedgerError> {
        let request = self
            .client()
            .update_item()
            .table_name(self.table())
            .set_key(Some(key()))
            .update_expression(update)
            .condition_expression(condition)
            .expression_attribute_names("#route", attribute(route))
            .expression_attribute_values(":slow_at", seconds(slow_at));
        match request.send().await {
            Ok(_) => Ok(()),
            Err(error)
                if error
                    .as_service_error()
                    .is_some_and(UpdateItemError::is_conditional_check_failed_exception) =>
            {
                Ok(())
            }
            Err(error) => Err(LedgerError::Unavailable(describe("UpdateItem", &error))),
        }
    }
}

#[cfg(test)]
mod tests {
    use inbox_core::stack::stack;

    use super::*;

    #[test]
    fn no_route_takes_the_place_of_the_key() {
        assert_ne!(attribute(""), stack().table.partition_key);
        assert!(!stack().table.partition_key.starts_with(PREFIX));
    }
}
