//! What must be true in the end.

use std::collections::{BTreeSet, HashMap};

use aws_sdk_dynamodb::types::AttributeValue;

/// How an item of the ledger stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Standing {
    pub(super) key: String,
    pub(super) state: String,
    pub(super) life: u32,
    pub(super) attempts: u32,
    pub(super) completed: BTreeSet<String>,
    pub(super) is_leased: bool,
    /// `pending#3`, `dead#7`; none when done.
    pub(super) shard: Option<String>,
}

impl Standing {
    pub(super) fn read(item: &HashMap<String, AttributeValue>) -> Self {
        let text = |name: &str| item.get(name).and_then(|it| it.as_s().ok()).cloned();
        let number = |name: &str| {
            let number = item.get(name).and_then(|it| it.as_n().ok());
            number.and_then(|it| it.parse().ok()).unwrap_or_default()
        };
        let handlers = item.get("handlers").and_then(|it| it.as_m().ok());
        Self {
            key: text("pk").unwrap_or_default(),
            state: text("state").unwrap_or_default(),
            life: number("life"),
            attempts: number("attempts"),
            completed: handlers.into_iter().flat_map(|all| all.keys().cloned()).collect(),
            is_leased: item.contains_key("leased_until"),
            shard: text("open_shard"),
        }
    }

    pub(super) fn is_unfinished(&self) -> bool {
        !matches!(self.state.as_str(), "done" | "dead")
    }
}
