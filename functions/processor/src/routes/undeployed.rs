//! Routes that are yet to be deployed, read as the processor will read them then.
//!
//! What the deployment adds is filled in: a secret for each route that forwards and
//! names none, a mirror table, a bus, a bucket. Clients are made, and none is used.

use std::sync::Arc;
use std::time::Duration;

use aws_sdk_dynamodb::config::BehaviorVersion;
use inbox_aws::{S3PayloadStore, SdkConfig};
use inbox_core::Timestamp;
use serde_json::{Map, Value, json};

use super::Routes;
use crate::config::longest_handler_seconds;
use crate::handlers::{HttpClients, Resources};

/// The handler whose routes sign what they send, and where it reads the secret's name.
const FORWARD: &str = "forward";
const SECRET_ID: &str = "secret_id";

/// What is known of a deployment before it is made, or of the one that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Surroundings {
    /// The mirror's table.
    pub mirror_table: Option<String>,
    /// The default bus of `publish`, by name or ARN.
    pub event_bus: Option<String>,
    /// Where payloads are put that are too large for a target.
    pub payload_bucket: Option<String>,
    /// URLs of the inbox's own queues.
    pub own_queues: Vec<String>,
    /// Names of all sources, which routes mean before their providers'.
    pub sources: Vec<String>,
    /// A handler's time limit, which no route may exceed.
    pub handler_timeout: Duration,
}

impl Surroundings {
    /// All that a deployment can have, for routes of which nobody knows better.
    #[must_use]
    pub fn complete(own_queues: Vec<String>) -> Self {
        let some = || Some("deployed".to_owned());
        Self {
            mirror_table: some(),
            event_bus: some(),
            payload_bucket: some(),
            own_queues,
            sources: Vec::new(),
            // What is set beside the routes cannot be seen in them: the most there can be.
            handler_timeout: Duration::from_secs(longest_handler_seconds().into()),
        }
    }

    /// As the processor hands it to its handlers; nothing is called.
    #[must_use]
    pub fn resources(&self, aws: SdkConfig) -> Resources {
        let bucket = self.payload_bucket.clone();
        Resources {
            mirror_table: self.mirror_table.clone(),
            event_bus: self.event_bus.clone(),
            payloads: bucket.map(|bucket| S3PayloadStore::new(&aws, bucket)),
            own_queues: self.own_queues.clone(),
            handler_timeout: self.handler_timeout,
            clock: Arc::new(Timestamp::now),
            http: HttpClients::default(),
            aws,
        }
    }

    fn idle_resources(&self) -> Resources {
        let version = BehaviorVersion::latest();
        self.resources(SdkConfig::builder().behavior_version(version).build())
    }
}

impl Routes {
    /// Routes that are deployed, as the processor reads them at its start.
    ///
    /// # Errors
    ///
    /// As [`Routes::parse`].
    pub fn of_deployed(
        json: Option<&str>,
        surroundings: &Surroundings,
    ) -> Result<Self, Vec<String>> {
        let routes = Self::parse(json, &surroundings.idle_resources())?;
        Ok(routes.among(surroundings.sources.iter().map(String::as_str)))
    }

    /// Routes that are to be deployed. A route that forwards and names no secret gets the
    /// one that `secret_of` knows by the route's id, or a name as Terraform will make it.
    ///
    /// # Errors
    ///
    /// As [`Routes::parse`].
    pub fn of_undeployed(
        json: &str,
        surroundings: &Surroundings,
        secret_of: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, Vec<String>> {
        let resources = surroundings.idle_resources();
        let routes = Self::parse_completed(json, &resources, |id, handler, with| {
            if handler != FORWARD {
                return;
            }
            if with.is_null() {
                *with = Value::Object(Map::new());
            }
            let Some(with) = with.as_object_mut() else { return };
            if !with.contains_key(SECRET_ID) {
                let name = secret_of(id).unwrap_or_else(|| format!("…/forward/{id}"));
                with.insert(SECRET_ID.to_owned(), json!(name));
            }
        })?;
        Ok(routes.among(surroundings.sources.iter().map(String::as_str)))
    }

    /// The routes that forward, each with name or ARN of the secret that it signs with.
    pub fn forwarding(&self) -> impl Iterator<Item = (&super::Route, &str)> {
        let forwards = self.iter().filter(|route| route.handler_name == FORWARD);
        forwards.filter_map(|route| Some((route, route.with[SECRET_ID].as_str()?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_deployment_adds_is_filled_in_and_nothing_else() {
        let text = r#"[{"id":"a","match":"*:*","handler":"forward","with":{"url":"https://a.example/"}},
            {"id":"b","match":"*:*","handler":"forward","with":{"url":"https://a.example/","secret_id":"mine"}},
            {"id":"c","match":"*:*","handler":"mirror"}]"#;
        let surroundings = Surroundings::complete(Vec::new());
        let routes = Routes::of_undeployed(text, &surroundings, |_| None);
        let routes = routes.unwrap_or_else(|problems| panic!("{problems:?}"));
        let secrets: Vec<(&str, &str)> =
            routes.forwarding().map(|(route, secret)| (route.id.as_str(), secret)).collect();
        assert_eq!(secrets, [("a", "…/forward/a"), ("b", "mine")]);
        let without = text.replacen(r#""url":"https://a.example/""#, "", 1);
        let problems = Routes::of_undeployed(&without, &surroundings, |_| None).err().unwrap();
        assert!(
            problems[0].starts_with("route 1 (\"a\", line 1): handler forward: needs `url`"),
            "the text's own lines are told: {problems:?}"
        );
    }
}
