//! Where a deployment keeps its things: names from a file, or from the
//! environment.
//!
//! The file is either what `make run` writes (`.local/stack.json`) or what
//! `terraform output -json` prints, in which each value is wrapped:
//!
//! ```json
//! {"table": "inbox", "queue_url": "…", "dlq_url": "…", "region": "eu-central-1",
//!  "sources": {"stripe": {"provider": "stripe", "secret_id": "…", "url": "https://…"}},
//!  "forward_secrets": {"crm": {"name": "…", "arn": "…"}},
//!  "functions": {"processor": "inbox-processor"}}
//! {"table": {"value": "inbox", "sensitive": false}, …}
//! ```
//!
//! `TABLE_NAME`, `QUEUE_URL`, `LANE_QUEUE_URL`, `DLQ_URL` and `PAYLOAD_BUCKET` in the environment,
//! which are the functions' own variables, win over it.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use inbox_core::stack::stack;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::fault::Fault;

/// Names and addresses of one deployment; what is not known stays out until a
/// command needs it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Deployment {
    /// The region of everything.
    pub region: Option<String>,
    /// Where AWS calls go instead of AWS: a local stack.
    pub endpoint_url: Option<String>,
    /// With which key a local stack is spoken to: of a user who may do what an operator
    /// may. In AWS the account's own credentials are used.
    pub operator: Option<AccessKey>,
    /// The ledger's table.
    pub table: Option<String>,
    /// The queue of events.
    pub queue_url: Option<String>,
    /// The lane, the queue of slow routes.
    pub lane_url: Option<String>,
    /// The dead-letter queue.
    pub dlq_url: Option<String>,
    /// Where payloads lie that are too large for the table.
    pub payload_bucket: Option<String>,
    /// The endpoints by name.
    pub sources: BTreeMap<String, Source>,
    /// What was made for routes that forward and name no secret, by the route's id.
    pub forward_secrets: BTreeMap<String, ForwardSecret>,
    /// Names of the functions in Lambda, by what they are: `processor`,
    /// `sweeper`, `receiver-{source}`.
    pub functions: BTreeMap<String, String>,
    /// Where a local stack's functions write, as `{function}.log`.
    pub logs: Option<PathBuf>,
}

/// A key that a local stack has made.
#[derive(Clone, PartialEq, Eq, Deserialize)]
pub struct AccessKey {
    /// `AKIA…`
    pub access_key_id: String,
    /// What requests are signed with.
    pub secret_access_key: String,
}

impl fmt::Debug for AccessKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AccessKey")
    }
}

/// One endpoint.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Source {
    /// The provider that verifies it.
    pub provider: String,
    /// Name or ARN of its secret.
    pub secret_id: String,
    /// The address that the provider calls.
    pub url: String,
    /// What a repeat is known by, where the file says: `id`, or `content`.
    #[serde(default)]
    pub dedup: Option<String>,
    /// How long an event is kept and a repeat known, in days, where the file says.
    #[serde(default)]
    pub retention_days: Option<u32>,
}

impl Source {
    /// What a repeat is, for how long, and by what that is seen. `hashes_all`: the
    /// provider's ids are a hash of all that it signs.
    #[must_use]
    pub fn repeats(&self, hashes_all: bool) -> String {
        let days = self.retention_days.unwrap_or(stack().defaults.retention_days);
        let by = match self.dedup.as_deref() {
            _ if hashes_all => "a hash of all that is signed",
            Some("content") => "a hash of its body",
            _ => "its id",
        };
        format!("a duplicate for {days} days (retention_days), by {by}, and then a new event")
    }
}

/// The secret that signs what one route forwards. Terraform tells its name and its ARN,
/// the local stack its name.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct ForwardSecret {
    /// Name or ARN.
    #[serde(alias = "arn")]
    pub secret_id: String,
}

impl Deployment {
    /// From the file, if one is named, and the environment.
    ///
    /// # Errors
    ///
    /// The file is missing or of another form.
    pub fn load(
        file: Option<&Path>,
        environment: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, Fault> {
        let mut deployment = match file {
            Some(file) => Self::read(file)?,
            None => Self::default(),
        };
        let given = |name: &str| environment(name).filter(|value| !value.is_empty());
        for (field, name) in [
            (&mut deployment.table, "TABLE_NAME"),
            (&mut deployment.queue_url, "QUEUE_URL"),
            (&mut deployment.lane_url, "LANE_QUEUE_URL"),
            (&mut deployment.dlq_url, "DLQ_URL"),
            (&mut deployment.payload_bucket, "PAYLOAD_BUCKET"),
        ] {
            if let Some(value) = given(name) {
                *field = Some(value);
            }
        }
        Ok(deployment)
    }

    fn read(file: &Path) -> Result<Self, Fault> {
        let shown = file.display();
        let text = std::fs::read_to_string(file).map_err(|fault| {
            Fault::usage(
                format!("cannot read the stack file {shown}: {fault}"),
                "for the local stack, start `make run`, which writes .local/stack.json; for AWS, \
                 write it with `terraform output -json > FILE`",
            )
        })?;
        Self::parse(&text).map_err(|problem| {
            Fault::usage(
                format!("the stack file {shown} is of another form: {problem}"),
                "it must be .local/stack.json of `make run`, or what `terraform output -json` prints",
            )
        })
    }

    fn parse(text: &str) -> Result<Self, String> {
        let values: Map<String, Value> =
            serde_json::from_str(text).map_err(|fault| fault.to_string())?;
        let plain: Map<String, Value> =
            values.into_iter().map(|(name, value)| (name, unwrapped(value))).collect();
        serde_json::from_value(Value::Object(plain)).map_err(|fault| fault.to_string())
    }

    /// The ledger's table.
    ///
    /// # Errors
    ///
    /// Nobody said.
    pub fn table(&self) -> Result<&str, Fault> {
        required(self.table.as_deref(), "table's name", "TABLE_NAME")
    }

    /// The queue of events.
    ///
    /// # Errors
    ///
    /// Nobody said.
    pub fn queue_url(&self) -> Result<&str, Fault> {
        required(self.queue_url.as_deref(), "queue's address", "QUEUE_URL")
    }

    /// The dead-letter queue.
    ///
    /// # Errors
    ///
    /// Nobody said.
    pub fn dlq_url(&self) -> Result<&str, Fault> {
        required(self.dlq_url.as_deref(), "dead-letter queue's address", "DLQ_URL")
    }

    /// The sources, each with its provider.
    #[must_use]
    pub fn providers(&self) -> BTreeMap<String, String> {
        let sources = self.sources.iter();
        sources.map(|(name, source)| (name.clone(), source.provider.clone())).collect()
    }

    /// An endpoint by name.
    ///
    /// # Errors
    ///
    /// Names those that are known.
    pub fn source(&self, name: &str) -> Result<&Source, Fault> {
        self.sources.get(name).ok_or_else(|| {
            let known: Vec<&str> = self.sources.keys().map(String::as_str).collect();
            match known.as_slice() {
                [] => Fault::usage(
                    format!("nothing is known of source {name:?}"),
                    "give --stack FILE, whose `sources` name provider, secret and address",
                ),
                known => Fault::usage(
                    format!("unknown source {name:?}"),
                    format!("known are {}", known.join(", ")),
                ),
            }
        })
    }
}

/// `terraform output -json` wraps each value with its type.
fn unwrapped(value: Value) -> Value {
    match value {
        Value::Object(mut wrapper)
            if wrapper.contains_key("value") && wrapper.contains_key("sensitive") =>
        {
            wrapper.remove("value").unwrap_or_default()
        }
        plain => plain,
    }
}

fn required<'a>(value: Option<&'a str>, what: &str, variable: &str) -> Result<&'a str, Fault> {
    value.ok_or_else(|| {
        Fault::usage(
            format!("the {what} is not known"),
            format!(
                "give --stack FILE (.local/stack.json, or the output of `terraform output -json`), \
                 or set {variable}"
            ),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOBODY: fn(&str) -> Option<String> = |_| None;

    #[test]
    fn both_forms_of_the_file_say_the_same() {
        let source = r#"{"stripe":{"provider":"stripe","secret_id":"s","url":"https://x/y"}}"#;
        let plain = format!(
            r#"{{"table":"t","region":"eu-west-1","sources":{source},"mirror_table":"m"}}"#
        );
        let wrapped = format!(
            r#"{{"table":{{"sensitive":false,"type":"string","value":"t"}},
                 "region":{{"sensitive":false,"type":"string","value":"eu-west-1"}},
                 "sources":{{"sensitive":true,"type":["map","x"],"value":{source}}}}}"#
        );
        let read = Deployment::parse(&plain).unwrap();
        assert_eq!(Deployment::parse(&wrapped).unwrap(), read);
        assert_eq!(read.table(), Ok("t"));
        assert_eq!(read.source("stripe").unwrap().url, "https://x/y");
    }

    #[test]
    fn a_local_stacks_key_is_read_and_not_shown() {
        let key = r#"{"access_key_id":"AKIAMARKER","secret_access_key":"marker"}"#;
        let read = Deployment::parse(&format!(r#"{{"operator":{key}}}"#)).unwrap();
        let held = read.operator.as_ref().unwrap();
        assert_eq!(
            (held.access_key_id.as_str(), held.secret_access_key.as_str()),
            ("AKIAMARKER", "marker")
        );
        assert!(!format!("{read:?}").to_lowercase().contains("marker"), "{read:?}");
    }

    #[test]
    fn a_forwarding_secret_is_known_from_terraform_and_from_the_local_stack() {
        let terraform = r#"{"forward_secrets":{"type":"map","sensitive":false,
            "value":{"crm":{"name":"inbox/forward/crm","arn":"arn:x"}}}}"#;
        let local =
            r#"{"forward_secrets":{"crm":{"secret_id":"arn:x","signing_secret":"whsec_x"}}}"#;
        for text in [terraform, local] {
            let read = Deployment::parse(text).unwrap();
            assert_eq!(read.forward_secrets["crm"].secret_id, "arn:x", "{text}");
        }
    }

    #[test]
    fn the_environment_wins_and_empty_means_unset() {
        let environment = |name: &str| match name {
            "TABLE_NAME" => Some("mine".to_owned()),
            "QUEUE_URL" => Some(String::new()),
            _ => None,
        };
        let deployment = Deployment::load(None, environment).unwrap();
        assert_eq!(deployment.table(), Ok("mine"));
        let fault = deployment.queue_url().unwrap_err();
        assert_eq!(fault.exit_code(), 2);
        assert!(fault.advice().unwrap().contains("QUEUE_URL"), "{fault:?}");
    }

    #[test]
    fn a_repeat_is_told_with_what_it_is_known_by_and_for_how_long() {
        let source = |more: &str| -> Source {
            let text = format!(r#"{{"provider":"p","secret_id":"s","url":"https://x"{more}}}"#);
            serde_json::from_str(&text).unwrap()
        };
        let end = "and then a new event";
        for (more, hashes_all, told) in [
            ("", false, format!("a duplicate for 30 days (retention_days), by its id, {end}")),
            (
                r#","dedup":"content","retention_days":90"#,
                false,
                format!("a duplicate for 90 days (retention_days), by a hash of its body, {end}"),
            ),
            (
                r#","dedup":"id""#,
                true,
                format!(
                    "a duplicate for 30 days (retention_days), by a hash of all that is signed, {end}"
                ),
            ),
        ] {
            assert_eq!(source(more).repeats(hashes_all), told);
        }
    }

    #[test]
    fn an_unknown_source_is_answered_with_the_known_ones() {
        let mut deployment = Deployment::load(None, NOBODY).unwrap();
        assert!(deployment.source("x").unwrap_err().advice().unwrap().contains("--stack"));
        let source =
            serde_json::from_str(r#"{"provider":"p","secret_id":"s","url":"https://x"}"#).unwrap();
        deployment.sources.insert("stripe_eu".into(), source);
        assert_eq!(deployment.source("x").unwrap_err().advice(), Some("known are stripe_eu"));
    }
}
