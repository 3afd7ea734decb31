//! The facts that code and Terraform share, read from `infra/stack.json`.
//!
//! They are compiled in, so that a binary and the stack it was built for cannot
//! disagree at run time, and written once, so that they cannot disagree at all.

use std::collections::BTreeMap;
use std::sync::LazyLock;
use std::time::Duration;

use serde::Deserialize;

static STACK: LazyLock<Stack> = LazyLock::new(|| {
    serde_json::from_str(include_str!("../../../infra/stack.json"))
        .expect("infra/stack.json is part of the build and covered by a test")
});

/// The stack that this binary was built for.
#[must_use]
pub fn stack() -> &'static Stack {
    &STACK
}

/// `infra/stack.json`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stack {
    /// The ledger's table.
    pub table: Table,
    /// The `mirror` handler's table.
    pub mirror_table: MirrorTable,
    /// The queue of events.
    pub queue: Queue,
    /// Where buried events' copies lie.
    pub dead_letter_queue: DeadLetterQueue,
    /// How Lambda reads the queue.
    pub event_source_mapping: EventSourceMapping,
    /// How Lambda reads the lane, the queue of slow routes, where it differs.
    pub lane: Lane,
    /// The alias by which each function is called: what it points at runs, whatever has
    /// been changed since.
    pub function_alias: String,
    /// Size and time limit of each receiver.
    pub receiver: Function,
    /// Size and time limit of the processor.
    pub processor: Function,
    /// Size, time limit and schedule of the sweeper.
    pub sweeper: Sweeper,
    /// What configuration leaves unsaid.
    pub defaults: Defaults,
    /// What routes and their checks must know of each provider of the registry.
    pub providers: BTreeMap<String, ProviderFacts>,
}

/// Key schema and indexes of the ledger.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Table {
    /// Name of the partition key.
    pub partition_key: String,
    /// Attribute that TTL looks at.
    pub ttl_attribute: String,
    /// A key that no event has: writes to it, which never happen, open connections, and
    /// a receiver's role allows it besides its own source's.
    pub warm_up_key: String,
    /// All events by source and hour.
    pub timeline_index: Index,
    /// Unfinished and dead events by when somebody must look.
    pub open_index: Index,
}

/// A global secondary index.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Index {
    /// Name of the index.
    pub name: String,
    /// Name of its partition key.
    pub partition_key: String,
    /// Name of its sort key.
    pub sort_key: String,
    /// `S` or `N`, as `DynamoDB` names types; all other keys are `S`.
    pub sort_key_type: String,
    /// Attributes projected besides the keys.
    pub projected: Vec<String>,
    /// How many partitions each prefix is spread over: one takes 1,000 writes
    /// a second, and a throttled index throttles the table.
    pub shards: u32,
}

/// Key schema of the mirror's table.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MirrorTable {
    /// Name of the partition key.
    pub partition_key: String,
}

/// The queue of events.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Queue {
    /// At least six times the processor's time limit.
    pub visibility_timeout_seconds: u32,
    /// Less than the dead-letter queue's.
    pub retention_seconds: u32,
    /// Only a backstop: the ledger's attempts decide.
    pub max_receive_count: u32,
}

/// The dead-letter queue.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeadLetterQueue {
    /// SQS allows 14 days.
    pub retention_seconds: u32,
}

/// How Lambda reads the queue.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EventSourceMapping {
    /// Most messages in one invocation.
    pub batch_size: u32,
    /// How long Lambda may wait to fill a batch.
    pub batching_window_seconds: u32,
    /// Most processors at once.
    pub maximum_concurrency: u32,
}

/// The lane, the queue of slow routes. It is made and read as the queue of events is,
/// by the same function, but for this.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lane {
    /// Most processors at once that read the lane.
    pub maximum_concurrency: u32,
    /// When its oldest message is older than this, the lane has fallen behind. Longer than
    /// a message is ever delayed: that is no lag.
    pub behind_above_seconds: u32,
}

/// A Lambda function's limits.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Function {
    /// Memory in MiB, which also decides the share of a CPU.
    pub memory_mb: u32,
    /// Time limit of one invocation.
    pub timeout_seconds: u32,
}

/// The sweeper's limits and schedule.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sweeper {
    /// Memory in MiB.
    pub memory_mb: u32,
    /// Time limit of one invocation; less than the interval.
    pub timeout_seconds: u32,
    /// How often it runs.
    pub interval_seconds: u32,
}

impl Sweeper {
    /// Its limits as a function.
    #[must_use]
    pub fn function(&self) -> Function {
        Function { memory_mb: self.memory_mb, timeout_seconds: self.timeout_seconds }
    }
}

/// What configuration leaves unsaid.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Defaults {
    /// Largest body taken where there is a payload bucket: what Lambda takes as an
    /// event at all, 6 MB with its escapes or base64.
    pub max_body_bytes: usize,
    /// How long a receiver may take for a request, whatever happens: what the sources'
    /// throttles come to in receivers at once.
    pub request_timeout_ms: u64,
    /// Largest payload, compressed, that is kept in the item itself: it fits the
    /// 400 KB of a DynamoDB item with room for the other attributes. Without a
    /// payload bucket also the largest body.
    pub inline_payload_bytes: usize,
    /// How long events are kept and duplicates recognised.
    pub retention_days: u32,
    /// How much longer than until its next due time an unfinished event's record lasts,
    /// and a buried one's than its burial.
    pub record_outlives_due_days: u32,
    /// How much longer than its record a payload lasts.
    pub payload_outlives_record_days: u32,
    /// Waits after the first, second, … failed attempt.
    pub retry_delays_seconds: Vec<u32>,
    /// Up to this much is added to each wait at random.
    pub retry_jitter_percent: u32,
    /// Longer waits are parked in the ledger instead of kept in the queue.
    pub park_above_seconds: u32,
    /// How long a message may take before the sweeper sends another.
    pub sweep_grace_seconds: u32,
    /// What the doubling of that time ends at.
    pub sweep_grace_max_seconds: u32,
    /// Most events that a sweep looks at in a second.
    pub sweep_per_second: u32,
    /// With more messages than this in the queue, a sweep does not add to what
    /// waits there.
    pub sweep_hold_above: u64,
    /// Time limit of one handler's run.
    pub handler_timeout_seconds: u32,
    /// How much longer a lease lasts than the invocation that holds it.
    pub lease_margin_seconds: u32,
}

/// What stands before the functions must know of a provider: a test in
/// inbox-receiver holds it equal to what the provider's own file says.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProviderFacts {
    /// The methods that it calls with; each gets a route.
    pub methods: Vec<String>,
    /// Whether the signed text includes the URL.
    pub signs_url: bool,
    /// Whether a delivery says which of the provider's hooks sends it.
    pub names_hook: bool,
}

impl Defaults {
    /// The margin between an invocation's deadline and its leases' end.
    #[must_use]
    pub fn lease_margin(&self) -> Duration {
        Duration::from_secs(self.lease_margin_seconds.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_queue_waits_for_the_function_as_aws_asks() {
        let stack = stack();
        let visibility = stack.queue.visibility_timeout_seconds;
        // https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html
        assert!(visibility >= 6 * stack.processor.timeout_seconds);
        // Runs of one event must not overlap: a lease ends before its message
        // comes back.
        let lease = stack.processor.timeout_seconds + stack.defaults.lease_margin_seconds;
        assert!(lease < visibility);
    }

    #[test]
    fn dead_letters_outlive_the_queue_and_events_outlive_dead_letters() {
        let stack = stack();
        assert!(stack.dead_letter_queue.retention_seconds > stack.queue.retention_seconds);
        assert!(stack.defaults.retention_days * 86_400 > stack.dead_letter_queue.retention_seconds);
    }

    #[test]
    fn the_ledger_gives_up_long_before_the_queue_does() {
        let stack = stack();
        let kept = stack
            .defaults
            .retry_delays_seconds
            .iter()
            .filter(|delay| **delay <= stack.defaults.park_above_seconds)
            .count();
        assert!(stack.queue.max_receive_count as usize >= 5 * kept);
    }

    /// SQS hands out nothing while 120,000 messages are in flight:
    /// <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-queues.html>
    #[test]
    fn a_handler_that_fails_a_million_events_an_hour_does_not_fill_the_queues_flight() {
        let defaults = &stack().defaults;
        let kept_seconds: u32 = defaults
            .retry_delays_seconds
            .iter()
            .filter(|delay| **delay <= defaults.park_above_seconds)
            .sum();
        let hidden = 1_000_000 / 3600 * kept_seconds * (100 + defaults.retry_jitter_percent) / 100;
        assert!(4 * hidden < 120_000, "{hidden}");
    }

    /// A partition takes 1,000 writes a second, a table on demand 40,000 units, and
    /// moving a row of the index is two. Two sweeps may overlap.
    #[test]
    fn the_sweepers_pace_leaves_table_and_index_their_room() {
        let stack = stack();
        let events = 2 * stack.defaults.sweep_per_second;
        assert!(2 * events / stack.table.open_index.shards <= 500);
        assert!(4 * events <= 40_000 / 4);
    }

    #[test]
    fn the_lane_takes_few_of_the_places_and_is_behind_only_after_every_delay() {
        let stack = stack();
        assert!(
            5 * stack.lane.maximum_concurrency <= stack.event_source_mapping.maximum_concurrency
        );
        let longest_delay = crate::ledger::LONGEST_DELAY.as_secs();
        assert!(u64::from(stack.lane.behind_above_seconds) >= 2 * longest_delay);
    }

    #[test]
    fn the_sweeper_is_done_before_it_starts_again() {
        assert!(stack().sweeper.timeout_seconds < stack().sweeper.interval_seconds);
    }
}
