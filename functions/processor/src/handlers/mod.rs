//! The handlers that routes can name: one line each.

use std::sync::Arc;

use inbox_core::handler::Handler;
use serde_json::Value;

/// What handlers may use. Made once at start.
#[derive(Clone)]
pub struct Resources {
    /// For handlers that keep something in DynamoDB.
    pub dynamodb: aws_sdk_dynamodb::Client,
    /// Where `mirror` keeps what it knows.
    pub mirror_table: Option<String>,
}

/// Makes a handler from the shared resources and the route's own options, or
/// says what is wrong with the options.
pub type Build = fn(&Resources, &Value) -> Result<Arc<dyn Handler>, String>;

/// Every handler by the name that routes use.
pub const HANDLERS: &[(&str, Build)] = &[];

/// Makes the handler of this name.
///
/// # Errors
///
/// What is wrong with the name or the options.
pub fn build(name: &str, resources: &Resources, with: &Value) -> Result<Arc<dyn Handler>, String> {
    match HANDLERS.iter().find(|(known, _)| *known == name) {
        Some((_, build)) => build(resources, with),
        None => Err(format!("unknown handler {name:?}")),
    }
}
