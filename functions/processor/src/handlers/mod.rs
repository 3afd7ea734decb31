//! The handlers that routes can name: one line each.

use std::sync::Arc;
use std::time::Duration;

use aws_sdk_lambda::config::Region;
use inbox_aws::{S3PayloadStore, SdkConfig};
use inbox_core::Timestamp;
use inbox_core::handler::Handler;
use serde_json::Value;

mod breaker;
mod claim_check;
mod drill;
mod enqueue;
/// The README's example of a handler, which a test holds to be this very file.
#[cfg(test)]
#[path = "example_notify.rs"]
mod example;
mod fault;
pub mod forward;
mod invoke;
pub mod mirror;
mod options;
mod publish;
mod quote;
mod region;
#[cfg(test)]
pub(crate) mod testing;

pub use forward::HttpClients;
pub use options::Options;
pub use quote::Quotes;

/// What handlers may use. Made once at start.
#[derive(Clone)]
pub struct Resources {
    /// For the client of whatever service a handler calls; all share one pool of
    /// connections.
    pub aws: SdkConfig,
    /// Where `mirror` keeps what it knows.
    pub mirror_table: Option<String>,
    /// The bus of `publish`, by name or ARN.
    pub event_bus: Option<String>,
    /// Where payloads are put that are too large for a target.
    pub payloads: Option<S3PayloadStore>,
    /// The most that a route may have for one attempt.
    pub handler_timeout: Duration,
    /// URLs of the queue of events and its dead-letter queue: no target of routes.
    pub own_queues: Vec<String>,
    /// The time.
    pub clock: Clock,
    /// For handlers that post to HTTP endpoints; all share their connections.
    pub http: HttpClients,
}

impl Resources {
    /// For the client of whom `target` belongs to: its ARN, a queue's URL, or a name. It
    /// speaks to the region that the target is in, by default to the inbox's own.
    #[must_use]
    pub fn aws_for(&self, target: &str) -> SdkConfig {
        match region::region_of(target) {
            None => self.aws.clone(),
            Some(region) => self.aws.to_builder().region(Region::new(region.to_owned())).build(),
        }
    }
}

/// Tells the time.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// Makes a handler from the shared resources and the route's own options, or
/// says everything that is wrong with the options.
pub type Build = fn(&Resources, &Value) -> Result<Arc<dyn Handler>, Vec<String>>;

/// Every handler by the name that routes use.
pub const HANDLERS: &[(&str, Build)] = &[
    ("drill", drill::build),
    ("enqueue", enqueue::build),
    ("forward", forward::build),
    ("invoke", invoke::build),
    ("mirror", mirror::build),
    ("publish", publish::build),
];

/// The option of every route: how long one attempt may take.
const TIMEOUT_SECONDS: &str = "timeout_seconds";

/// Reads the option `timeout_seconds`, which every route has whatever its handler: the
/// time limit of one attempt, of whole seconds, not above the function's own.
///
/// # Errors
///
/// It is something else.
pub fn timeout(resources: &Resources, with: &Value) -> Result<Option<Duration>, String> {
    let Some(value) = with.get(TIMEOUT_SECONDS).filter(|value| !value.is_null()) else {
        return Ok(None);
    };
    let most = resources.handler_timeout.as_secs();
    let seconds = value.as_u64().filter(|seconds| (1..=most).contains(seconds));
    seconds.map(|seconds| Some(Duration::from_secs(seconds))).ok_or_else(|| {
        format!(
            "`{TIMEOUT_SECONDS}` must be a whole number from 1 to {most}, which is the time that \
             every handler has (HANDLER_TIMEOUT_SECONDS)"
        )
    })
}

/// Makes the handler of that name with a route's options.
///
/// # Errors
///
/// Everything that is wrong with the name, the options or the resources, in words for
/// whoever wrote the route.
pub fn build(
    name: &str,
    resources: &Resources,
    with: &Value,
) -> Result<Arc<dyn Handler>, Vec<String>> {
    let Some((_, build)) = HANDLERS.iter().find(|(known, _)| *known == name) else {
        let known: Vec<&str> = HANDLERS.iter().map(|(name, _)| *name).collect();
        return Err(vec![format!("no handler is named {name:?}; there are {}", known.join(", "))]);
    };
    // Read by `timeout`, for all handlers alike.
    let mut with = with.clone();
    if let Some(options) = with.as_object_mut() {
        options.remove(TIMEOUT_SECONDS);
    }
    build(resources, &with).map_err(|problems| {
        problems.into_iter().map(|problem| format!("handler {name}: {problem}")).collect()
    })
}

#[cfg(test)]
mod tests {
    use inbox_core::handler::{Handled, HandlerError};
    use serde_json::json;

    use super::*;

    fn problem(name: &str, mirror_table: Option<&str>, with: &Value) -> Option<String> {
        let mirror_table = mirror_table.map(str::to_owned);
        let resources = Resources { mirror_table, ..testing::resources() };
        build(name, &resources, with).err().map(|problems| problems.join("; "))
    }

    #[test]
    fn no_name_is_taken_twice() {
        let mut names: Vec<&str> = HANDLERS.iter().map(|(name, _)| *name).collect();
        names.sort_unstable();
        let before = names.len();
        names.dedup();
        assert_eq!(names.len(), before, "{names:?}");
    }

    #[test]
    fn names_are_lower_snake_case() {
        for (name, _) in HANDLERS {
            assert!(inbox_core::config::is_source_name(name), "{name}");
        }
    }

    #[test]
    fn an_unknown_name_is_refused_with_the_known_ones() {
        let known: Vec<&str> = HANDLERS.iter().map(|(name, _)| *name).collect();
        assert_eq!(
            problem("miror", None, &Value::Null).as_deref(),
            Some(format!("no handler is named \"miror\"; there are {}", known.join(", ")).as_str())
        );
    }

    #[test]
    fn wrong_options_are_refused_under_the_handlers_name() {
        assert_eq!(
            problem("drill", None, &json!({})).as_deref(),
            Some("handler drill: missing field `outcome`")
        );
        assert_eq!(problem("drill", None, &json!({"outcome": "hang"})), None);
    }

    #[tokio::test]
    async fn the_readmes_example_reads_its_option_and_handles_an_event() {
        let problems = example::build(&testing::resources(), &json!({"chanel": "#x"})).err();
        let problems = problems.expect("two problems");
        assert_eq!(problems.len(), 2, "{problems:?}");
        let built = example::build(&testing::resources(), &json!({"channel": "#billing"}));
        let handler = built.expect("a handler");
        let event = testing::event(r#"{"id":"evt_1"}"#);
        assert_eq!(handler.handle(&event, &testing::run(1)).await, Ok(Handled::Done));
        let event = testing::event("no JSON");
        let refused = handler.handle(&event, &testing::run(1)).await;
        assert_eq!(refused, Err(HandlerError::permanent("not JSON")));
    }

    #[test]
    fn every_route_may_have_a_time_limit_within_the_handlers() {
        let resources = testing::resources();
        let read = |with: Value| timeout(&resources, &with);
        assert_eq!(read(Value::Null), Ok(None));
        assert_eq!(read(json!({ "timeout_seconds": null })), Ok(None));
        for seconds in [1, 30] {
            let given = json!({ "timeout_seconds": seconds });
            assert_eq!(read(given), Ok(Some(Duration::from_secs(seconds))));
        }
        for wrong in [json!(0), json!(31), json!(1.5), json!("5"), json!(-1), json!(true)] {
            let told = "`timeout_seconds` must be a whole number from 1 to 30, which is the time \
                        that every handler has (HANDLER_TIMEOUT_SECONDS)";
            assert_eq!(read(json!({ "timeout_seconds": wrong })), Err(told.to_owned()), "{wrong}");
        }
        for (handler, with) in [
            ("mirror", json!({ "timeout_seconds": 5 })),
            ("drill", json!({ "outcome": "hang", "timeout_seconds": 5 })),
            ("invoke", json!({ "function": "billing", "timeout_seconds": 5 })),
        ] {
            assert_eq!(problem(handler, Some("mirror"), &with), None, "{handler}");
        }
    }

    #[test]
    fn mirror_needs_its_table_and_takes_no_options() {
        assert_eq!(
            problem("mirror", None, &Value::Null).as_deref(),
            Some("handler mirror: needs the name of the mirror's table: set MIRROR_TABLE_NAME")
        );
        assert_eq!(
            problem("mirror", Some("mirror"), &json!({"table": "x"})).as_deref(),
            Some("handler mirror: has no option `table`: it takes none")
        );
        for with in [json!([]), json!("x")] {
            assert_eq!(
                problem("mirror", Some("mirror"), &with).as_deref(),
                Some("handler mirror: `with` must be an object"),
                "{with}"
            );
        }
        assert_eq!(problem("mirror", Some("mirror"), &Value::Null), None);
        assert_eq!(problem("mirror", Some("mirror"), &json!({})), None);
    }
}
