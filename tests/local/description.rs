//! Where everything of a local stack is, for other programs: the facts file.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::access::AccessKey;
use crate::forward_secrets::ForwardSecret;
use crate::{LocalError, private};

/// What another program needs to drive a local stack: the facts file's content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StackDescription {
    /// `http://127.0.0.1:9000/webhooks`; append `/{source}`.
    pub url: String,
    /// `http://127.0.0.1:9000`, the address that signed URLs begin with.
    pub public_base_url: String,
    /// Where AWS clients send their calls.
    pub endpoint_url: String,
    /// The key of a user who may do what an operator may, and nothing else.
    pub operator: AccessKey,
    /// The region of everything.
    pub region: String,
    /// The ledger.
    pub table: String,
    /// What the `mirror` handler keeps.
    pub mirror_table: String,
    /// The bucket for payloads that are too large for the table.
    pub payload_bucket: String,
    /// The bus of the handler `publish`.
    pub event_bus: String,
    /// The queue of events.
    pub queue_url: String,
    /// The queue of slow routes.
    pub lane_url: String,
    /// The dead-letter queue.
    pub dlq_url: String,
    /// The endpoints by name, as the operator's command wants to know them.
    pub sources: BTreeMap<String, SourceDescription>,
    /// Names of the functions in Lambda, by what they are: `receiver-stripe`.
    pub functions: BTreeMap<String, String>,
    /// Signing secrets by source, newest first.
    pub secrets: BTreeMap<String, Vec<String>>,
    /// What was made for routes that forward and name no secret, by the route's id.
    pub forward_secrets: BTreeMap<String, ForwardSecret>,
    /// Each function's output, as `{function}.log`.
    pub logs: PathBuf,
}

/// One endpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SourceDescription {
    /// The provider that verifies it.
    pub provider: String,
    /// Name of its secret in Secrets Manager.
    pub secret_id: String,
    /// The address that the provider calls.
    pub url: String,
}

impl StackDescription {
    /// Writes it as JSON. Who reads the file sees all of it or none of it.
    pub fn write(&self, file: &Path) -> Result<(), LocalError> {
        let what = format!("write {}", file.display());
        let text = serde_json::to_string_pretty(self).map_err(LocalError::call(&what))?;
        let unfinished = file.with_extension(format!("{}.new", std::process::id()));
        private::write(&unfinished, (text + "\n").as_bytes())?;
        std::fs::rename(&unfinished, file).map_err(LocalError::io(what))
    }
}
