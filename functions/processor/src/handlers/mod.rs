//! The handlers that routes can name: one line each.

use std::sync::Arc;

use aws_sdk_lambda::config::Region;
use inbox_aws::{S3PayloadStore, SdkConfig};
use inbox_core::Timestamp;
use inbox_core::handler::Handler;
use serde_json::Value;

mod breaker;
mod claim_check;
mod drill;
mod enqueue;
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

pub use options::Options;
pub use quote::quote;

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
    /// URLs of the queue of events and its dead-letter queue: no target of routes.
    pub own_queues: Vec<String>,
    /// The time.
    pub clock: Clock,
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
    build(resources, with).map_err(|problems| {
        problems.into_iter().map(|problem| format!("handler {name}: {problem}")).collect()
    })
}

#[cfg(test)]
mod tests {
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
