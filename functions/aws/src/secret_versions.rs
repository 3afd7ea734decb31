//! A source's secret as the operator changes it: read with its version, written
//! only over the version that was read.
//!
//! ```text
//! read    DescribeSecret, GetSecretValue            value, version r
//! write   PutSecretValue as version n, not current
//!         UpdateSecretVersionStage: AWSCURRENT from r to n
//!           → done; AWSPREVIOUS = r
//!           → refused: somebody wrote since; n is given up, theirs stays
//! ```
//!
//! The label moves only from the version that is named, so two operators, or an
//! operator and Terraform, cannot overwrite each other's change unseen. A plain
//! `PutSecretValue` would. What cannot be told from an error (an answer that was
//! lost, a repeat by the SDK) is told by looking where the label is.
//! <https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_UpdateSecretVersionStage.html>

use std::fmt;

use aws_config::SdkConfig;
use aws_sdk_secretsmanager::Client;
use aws_sdk_secretsmanager::error::ProvideErrorMetadata;
use aws_sdk_secretsmanager::operation::describe_secret::DescribeSecretOutput;
use inbox_core::Timestamp;
use zeroize::Zeroizing;

use crate::error::describe;

const CURRENT: &str = "AWSCURRENT";
/// Keeps a version alive until it is current: one without a label may be deleted.
const WAITING: &str = "INBOX_WAITING";

/// A secret whose value may change.
#[derive(Clone, Debug)]
pub struct SecretVersions {
    client: Client,
    secret_id: String,
}

/// What was found.
#[derive(Clone, Debug)]
pub struct StoredSecret {
    /// The current value and its version; `None` before the first.
    pub current: Option<SecretVersion>,
    /// When the value or anything about it was last changed.
    pub changed_at: Option<Timestamp>,
}

/// One value.
#[derive(Clone)]
pub struct SecretVersion {
    /// Its id.
    pub id: String,
    /// The text, empty before the first; `None` when it holds bytes.
    pub text: Option<Zeroizing<String>>,
}

/// The id only.
impl fmt::Debug for SecretVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SecretVersion").field("id", &self.id).finish_non_exhaustive()
    }
}

/// What became of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replaced {
    /// It is the current value.
    Written,
    /// Somebody else wrote since it was read; nothing was changed.
    Overtaken,
}

/// Why a secret could be neither read nor written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SecretVersionsError {
    /// There is no such secret.
    #[error("there is no secret {0:?}")]
    Missing(String),
    /// It is to be deleted, and gives nothing until it is restored.
    #[error("secret {0:?} is marked for deletion")]
    Deleted(String),
    /// The operation, the error's code and message.
    #[error("{0}")]
    Unavailable(String),
}

impl SecretVersions {
    /// `secret_id` is a name or an ARN.
    #[must_use]
    pub fn new(aws: &SdkConfig, secret_id: String) -> Self {
        Self { client: Client::new(aws), secret_id }
    }

    /// The current value with its version.
    ///
    /// # Errors
    ///
    /// There is no such secret, or no answer.
    pub async fn read(&self) -> Result<StoredSecret, SecretVersionsError> {
        let found = self.describe().await?;
        if found.deleted_date.is_some() {
            return Err(SecretVersionsError::Deleted(self.secret_id.clone()));
        }
        let changed_at =
            found.last_changed_date.and_then(|at| Timestamp::from_unix_ms(at.to_millis().ok()?));
        // Asked by version: the value that is edited is the one that is replaced.
        let Some(id) = version_with(&found, CURRENT) else {
            return Ok(StoredSecret { current: None, changed_at });
        };
        let answer = self
            .client
            .get_secret_value()
            .secret_id(&self.secret_id)
            .version_id(&id)
            .send()
            .await
            .map_err(|error| self.fault("GetSecretValue", error))?;
        // An emulator's version may hold neither text nor bytes: nothing yet.
        let is_bytes = answer.secret_binary.is_some();
        let text = answer.secret_string.or_else(|| (!is_bytes).then(String::new));
        let text = text.map(Zeroizing::new);
        Ok(StoredSecret { current: Some(SecretVersion { id, text }), changed_at })
    }

    /// Makes `text` the current value if the one that was read still is.
    ///
    /// # Errors
    ///
    /// There is no such secret, or no answer; then it may have been written or
    /// not, and reading tells.
    pub async fn replace(
        &self,
        read: &StoredSecret,
        text: &str,
    ) -> Result<Replaced, SecretVersionsError> {
        let put = self
            .client
            .put_secret_value()
            .secret_id(&self.secret_id)
            .version_stages(WAITING)
            .secret_string(text)
            .send()
            .await
            .map_err(|error| self.fault("PutSecretValue", error))?;
        let new = put.version_id.unwrap_or_default();
        let moved = self
            .client
            .update_secret_version_stage()
            .secret_id(&self.secret_id)
            .version_stage(CURRENT)
            .move_to_version_id(&new)
            .set_remove_from_version_id(read.current.as_ref().map(|version| version.id.clone()))
            .send()
            .await;
        let is_current = match moved {
            Ok(_) => true,
            Err(error) => {
                let now = version_with(&self.describe().await?, CURRENT);
                let was = read.current.as_ref().map(|version| &version.id);
                // The label is where it was: nobody overtook us, the call failed.
                if now.as_ref() != Some(&new) && now.as_ref() == was {
                    self.give_up(&new).await;
                    return Err(self.fault("UpdateSecretVersionStage", error));
                }
                now.as_ref() == Some(&new)
            }
        };
        self.give_up(&new).await;
        Ok(if is_current { Replaced::Written } else { Replaced::Overtaken })
    }

    /// Takes the waiting label away. One that stays does no harm: the next write
    /// moves it.
    async fn give_up(&self, version: &str) {
        let answer = self
            .client
            .update_secret_version_stage()
            .secret_id(&self.secret_id)
            .version_stage(WAITING)
            .remove_from_version_id(version)
            .send()
            .await;
        if let Err(error) = answer {
            tracing::debug!(fault = describe("UpdateSecretVersionStage", &error), "label stays");
        }
    }

    async fn describe(&self) -> Result<DescribeSecretOutput, SecretVersionsError> {
        self.client
            .describe_secret()
            .secret_id(&self.secret_id)
            .send()
            .await
            .map_err(|error| self.fault("DescribeSecret", error))
    }

    #[expect(clippy::needless_pass_by_value, reason = "fits `map_err`")]
    fn fault<E: ProvideErrorMetadata>(
        &self,
        operation: &str,
        error: aws_sdk_secretsmanager::error::SdkError<E>,
    ) -> SecretVersionsError {
        match error.as_service_error().and_then(ProvideErrorMetadata::code) {
            Some("ResourceNotFoundException") => {
                SecretVersionsError::Missing(self.secret_id.clone())
            }
            _ => SecretVersionsError::Unavailable(describe(operation, &error)),
        }
    }
}

fn version_with(found: &DescribeSecretOutput, label: &str) -> Option<String> {
    let versions = found.version_ids_to_stages.as_ref()?;
    let has = |labels: &Vec<String>| labels.iter().any(|it| it == label);
    versions.iter().find(|(_, labels)| has(labels)).map(|(id, _)| id.clone())
}
