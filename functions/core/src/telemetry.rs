//! Logs and metrics, both as JSON lines on standard output.
//!
//! Rules: log once, where the fault is handled; structured fields; never a body,
//! a secret, a signature or a header map. Metrics use CloudWatch's embedded
//! metric format, which costs no call and no agent:
//! <https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html>.

use std::io::Write as _;
use std::sync::OnceLock;

use serde_json::{Map, Value, json};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::Directive;

use crate::Timestamp;

/// The namespace of all metrics, where the environment names no other.
pub const NAMESPACE: &str = "WebhookInbox";

/// What [`init`] reads of the environment, in every function.
pub const VARIABLES: [&str; 2] = [VARIABLE_NAMESPACE, EnvFilter::DEFAULT_ENV];

/// Two inboxes in one account have sources of the same names: with a namespace
/// for each, an alarm of one does not count the other's events.
/// Every metric that is emitted, with the sets of dimensions under which it is found.
/// Each set is paid for, so a test over `infra/` asks that an alarm or the dashboard reads
/// it; and what is not here is not emitted by mistake, as debug builds refuse it.
pub const METRICS: &[(&str, &[&[&str]])] = &[
    ("Accepted", &[&["Source"]]),
    ("Buried", &[&["Source"]]),
    ("Conflict", &[&["Source"]]),
    ("Deferred", &[&["Source"]]),
    ("Done", &[&["Source"]]),
    ("Duplicate", &[&["Source"]]),
    ("EndToEndMilliseconds", &[&["Source"]]),
    ("GivenUp", &[&[]]),
    ("Missing", &[&["Source"]]),
    ("OldestDeadSeconds", &[&[]]),
    ("Rejected", &[&["Source"], &["Source", "Reason"]]),
    ("Resumed", &[&[]]),
    ("Retried", &[&["Source"]]),
    ("RouteLost", &[&["Source"]]),
    ("SweepCutShort", &[&[]]),
    ("SweepFailed", &[&[]]),
    ("Swept", &[&[]]),
    ("Unavailable", &[&["Source"]]),
    ("Unknown", &[&["Source"]]),
    ("Unreadable", &[&[]]),
    ("Unrouted", &[&["Source"]]),
];

const VARIABLE_NAMESPACE: &str = "METRICS_NAMESPACE";

/// Set by [`init`]; until then metrics go nowhere.
static STARTED_NAMESPACE: OnceLock<String> = OnceLock::new();

/// Starts logging and metrics; `RUST_LOG` sets the level, `info` by default, and
/// `METRICS_NAMESPACE` the metrics' namespace. Lambda takes one line as one
/// record, so lines are JSON and hold no colours. The current span is the
/// runtime's, with the request id.
pub fn init() {
    let mut filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    // Whatever RUST_LOG says: these print whole requests when asked to be chatty.
    for chatty in ["lambda_runtime", "lambda_http", "hyper", "rustls", "aws_config"] {
        filter = filter.add_directive(directive(chatty));
    }
    for sdk in ["aws_smithy_runtime", "aws_smithy_runtime_api", "aws_runtime", "aws_sigv4"] {
        filter = filter.add_directive(directive(sdk));
    }
    let _ = tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_current_span(true)
        .with_span_list(false)
        .with_target(false)
        .with_env_filter(filter)
        .try_init();
    // The default hook prints the panic's text, which may quote a payload.
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        tracing::error!(place, "panicked");
    }));
    STARTED_NAMESPACE.get_or_init(|| namespace(std::env::var(VARIABLE_NAMESPACE).ok()));
}

/// Set but empty counts as missing, as everywhere in the configuration.
fn namespace(given: Option<String>) -> String {
    given.filter(|name| !name.trim().is_empty()).unwrap_or_else(|| NAMESPACE.to_owned())
}

fn directive(target: &str) -> Directive {
    format!("{target}=info").parse().expect("a target and a level make a directive")
}

/// A metric's unit in CloudWatch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// How many.
    Count,
    /// How long.
    Milliseconds,
    /// How long, where it may be days.
    Seconds,
}

/// One line of metrics that share dimensions and a moment.
#[derive(Clone, Debug)]
pub struct Metrics {
    dimensions: Vec<(&'static str, String)>,
    /// Whether the values count without the last dimension too.
    is_summed: bool,
    notes: Vec<(&'static str, String)>,
    values: Vec<(&'static str, Unit, f64)>,
}

impl Metrics {
    /// Metrics of one source.
    #[must_use]
    pub fn of_source(source: &str) -> Self {
        Self {
            dimensions: vec![("Source", source.to_owned())],
            is_summed: false,
            notes: Vec::new(),
            values: Vec::new(),
        }
    }

    /// Metrics of the whole inbox.
    #[must_use]
    pub fn of_inbox() -> Self {
        Self { dimensions: Vec::new(), is_summed: false, notes: Vec::new(), values: Vec::new() }
    }

    /// Adds a dimension. Its values must be few: each makes a metric of its own.
    #[must_use]
    pub fn by(mut self, dimension: &'static str, value: impl Into<String>) -> Self {
        self.dimensions.push((dimension, value.into()));
        self
    }

    /// Adds a dimension whose values are told apart and summed: each value makes a
    /// metric, and all of them together one more without this dimension. An alarm over
    /// all values then needs no query.
    #[must_use]
    pub fn by_each_and_all(mut self, dimension: &'static str, value: impl Into<String>) -> Self {
        self.is_summed = true;
        self.by(dimension, value)
    }

    /// Adds a property that is searchable in the log and no dimension: an id, a
    /// reason. It saves a second line for the same fact.
    #[must_use]
    pub fn note(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.notes.push((name, value.into()));
        self
    }

    /// Adds a count.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^52")]
    pub fn count(mut self, name: &'static str, count: usize) -> Self {
        self.values.push((name, Unit::Count, count as f64));
        self
    }

    /// Adds a duration in milliseconds.
    #[must_use]
    pub fn milliseconds(mut self, name: &'static str, duration: std::time::Duration) -> Self {
        self.values.push((name, Unit::Milliseconds, duration.as_secs_f64() * 1000.0));
        self
    }

    /// Adds a duration in seconds.
    #[must_use]
    pub fn seconds(mut self, name: &'static str, duration: std::time::Duration) -> Self {
        self.values.push((name, Unit::Seconds, duration.as_secs_f64()));
        self
    }

    /// Writes the line to standard output; before [`init`], as in tests, nowhere.
    pub fn emit(self, now: Timestamp) {
        debug_assert_eq!(self.undeclared(), None, "declare it in telemetry::METRICS");
        let Some(namespace) = STARTED_NAMESPACE.get() else { return };
        let mut line = self.to_json(namespace, now).to_string();
        line.push('\n');
        // A closed pipe must not fail an event that was handled.
        let _ = std::io::stdout().lock().write_all(line.as_bytes());
    }

    /// The first metric that [`METRICS`] does not hold with these dimensions.
    fn undeclared(&self) -> Option<&'static str> {
        let sets = self.dimension_sets();
        let is_declared = |name: &str| {
            METRICS.iter().any(|(declared, expected)| *declared == name && sets == *expected)
        };
        self.values.iter().map(|(name, ..)| *name).find(|name| !is_declared(name))
    }

    fn dimension_sets(&self) -> Vec<Vec<&'static str>> {
        let names: Vec<&str> = self.dimensions.iter().map(|(name, _)| *name).collect();
        if self.is_summed {
            return vec![names[..names.len() - 1].to_vec(), names];
        }
        vec![names]
    }

    /// The line as JSON.
    #[must_use]
    pub fn to_json(&self, namespace: &str, now: Timestamp) -> Value {
        let sets = self.dimension_sets();
        let metrics: Vec<Value> = self
            .values
            .iter()
            .map(|(name, unit, _)| json!({"Name": name, "Unit": format!("{unit:?}")}))
            .collect();
        let mut line = Map::new();
        line.insert(
            "_aws".into(),
            json!({
                "Timestamp": now.unix_ms(),
                "CloudWatchMetrics": [
                    {"Namespace": namespace, "Dimensions": sets, "Metrics": metrics}
                ],
            }),
        );
        let texts = self.dimensions.iter().chain(&self.notes);
        line.extend(texts.map(|(name, value)| ((*name).into(), json!(value))));
        line.extend(self.values.iter().map(|(name, _, value)| ((*name).into(), json!(value))));
        Value::Object(line)
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn a_line_follows_the_embedded_metric_format() {
        let line = Metrics::of_source("stripe")
            .by_each_and_all("Reason", "stale_timestamp")
            .note("event_id", "evt_1")
            .count("Rejected", 1)
            .to_json(NAMESPACE, Timestamp::from_unix_seconds(1_764_000_000).unwrap());
        assert_eq!(
            line,
            json!({
                "_aws": {
                    "Timestamp": 1_764_000_000_000_i64,
                    "CloudWatchMetrics": [{
                        "Namespace": "WebhookInbox",
                        "Dimensions": [["Source"], ["Source", "Reason"]],
                        "Metrics": [{"Name": "Rejected", "Unit": "Count"}],
                    }],
                },
                "Source": "stripe",
                "Reason": "stale_timestamp",
                "event_id": "evt_1",
                "Rejected": 1.0,
            })
        );
    }

    #[test]
    fn what_is_not_declared_is_told_and_so_are_other_dimensions() {
        let undeclared = |metrics: Metrics| metrics.undeclared();
        assert_eq!(undeclared(Metrics::of_source("stripe").count("Accepted", 1)), None);
        assert_eq!(undeclared(Metrics::of_inbox().count("Accepted", 1)), Some("Accepted"));
        assert_eq!(undeclared(Metrics::of_inbox().count("Seen", 1)), Some("Seen"));
        let rejected = Metrics::of_source("stripe").by("Reason", "x").count("Rejected", 1);
        assert_eq!(undeclared(rejected), Some("Rejected"), "its alarm would see nothing");
    }

    #[test]
    #[ignore = "starts the process's telemetry: the test below runs it in a process of its own"]
    fn emits_a_line() {
        init();
        Metrics::of_inbox().count("Swept", 1).emit(Timestamp::from_unix_seconds(1).unwrap());
    }

    #[test]
    fn an_inbox_can_have_a_namespace_of_its_own() {
        let emitted_with = |namespace: &str| {
            let mut process = Command::new(std::env::current_exe().unwrap());
            process.args(["--exact", "telemetry::tests::emits_a_line", "--ignored", "--nocapture"]);
            let output = process.env(VARIABLE_NAMESPACE, namespace).output().unwrap();
            let text = String::from_utf8(output.stdout).unwrap();
            let line = text.lines().find(|line| line.contains("\"_aws\"")).unwrap();
            let line = &line[line.find('{').unwrap()..];
            let line: Value = serde_json::from_str(line).unwrap();
            line["_aws"]["CloudWatchMetrics"][0]["Namespace"].clone()
        };
        assert_eq!(emitted_with("WebhookInbox/staging"), "WebhookInbox/staging");
        // Terraform writes unset optional values so.
        assert_eq!(emitted_with(" "), NAMESPACE);
        assert_eq!(VARIABLES, ["METRICS_NAMESPACE", "RUST_LOG"]);
    }
}
