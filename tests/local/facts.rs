//! The facts that code and Terraform share, as `infra/stack.json` writes them.

use serde::Deserialize;

/// The whole file.
#[derive(Debug, Clone, Deserialize)]
pub struct StackFacts {
    /// The ledger's table.
    pub table: TableFacts,
    /// The table of the `mirror` handler.
    pub mirror_table: MirrorTableFacts,
    /// The queue of events.
    pub queue: QueueFacts,
    /// Where messages go that nobody could handle.
    pub dead_letter_queue: DeadLetterQueueFacts,
    /// From the queue to the processor.
    pub event_source_mapping: EventSourceMappingFacts,
    /// The function that answers providers.
    pub receiver: FunctionFacts,
    /// The function that runs handlers.
    pub processor: FunctionFacts,
    /// The function that sends what is due.
    pub sweeper: FunctionFacts,
}

/// Key schema and indexes of the ledger.
#[derive(Debug, Clone, Deserialize)]
pub struct TableFacts {
    /// The only key attribute.
    pub partition_key: String,
    /// Epoch seconds at which an item may be removed.
    pub ttl_attribute: String,
    /// By source and hour.
    pub timeline_index: IndexFacts,
    /// What is unfinished or dead.
    pub open_index: IndexFacts,
}

/// A global secondary index.
#[derive(Debug, Clone, Deserialize)]
pub struct IndexFacts {
    /// Its name.
    pub name: String,
    /// Its partition key.
    pub partition_key: String,
    /// Its sort key.
    pub sort_key: String,
    /// Attributes it holds besides the keys.
    pub projected: Vec<String>,
}

/// Key schema of the mirror.
#[derive(Debug, Clone, Deserialize)]
pub struct MirrorTableFacts {
    /// The only key attribute.
    pub partition_key: String,
}

/// The queue of events.
#[derive(Debug, Clone, Deserialize)]
pub struct QueueFacts {
    /// How long a received message stays hidden.
    pub visibility_timeout_seconds: u32,
    /// How long a message is kept.
    pub retention_seconds: u32,
    /// Receives after which SQS itself moves a message away.
    pub max_receive_count: u32,
}

/// The dead-letter queue.
#[derive(Debug, Clone, Deserialize)]
pub struct DeadLetterQueueFacts {
    /// How long a message is kept.
    pub retention_seconds: u32,
}

/// How messages reach the processor.
#[derive(Debug, Clone, Deserialize)]
pub struct EventSourceMappingFacts {
    /// Messages in an invocation, at most.
    pub batch_size: u32,
    /// How long to wait for a batch to fill.
    pub batching_window_seconds: u32,
    /// Invocations at once, at most.
    pub maximum_concurrency: u32,
}

/// Size and time limit of a function.
#[derive(Debug, Clone, Deserialize)]
pub struct FunctionFacts {
    /// Memory in MB.
    pub memory_mb: u32,
    /// After which Lambda ends it.
    pub timeout_seconds: u32,
}

impl StackFacts {
    /// The facts this program was compiled with.
    ///
    /// # Panics
    ///
    /// When `infra/stack.json` lacks a fact: nothing here can work without it.
    #[must_use]
    pub fn load() -> Self {
        serde_json::from_str(include_str!("../../infra/stack.json"))
            .expect("infra/stack.json has every fact that the local stack needs")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_has_every_fact() {
        let facts = StackFacts::load();
        assert_ne!(facts.table.timeline_index.name, facts.table.open_index.name);
        assert!(facts.processor.timeout_seconds < facts.queue.visibility_timeout_seconds);
    }
}
