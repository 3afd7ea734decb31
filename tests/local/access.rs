//! With which keys the emulator is spoken to.
//!
//! Root is one random key for each run of a program: MiniStack does not look at root's
//! signature, so the key alone opens the door (`emulator_door.py`). Whoever is tested
//! has a key of its own, made by the emulator's IAM (`iam.rs`).

use std::fmt;
use std::sync::LazyLock;

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_dynamodb::config::{Credentials, SharedCredentialsProvider};
use serde::Serialize;

use crate::emulator::REGION;

static ROOT: LazyLock<AccessKey> = LazyLock::new(|| {
    let random = || uuid::Uuid::new_v4().simple().to_string();
    AccessKey {
        access_key_id: format!("AKIA{}", random().to_uppercase()),
        secret_access_key: random(),
        session_token: None,
    }
});

/// A user's key or a session's.
#[derive(Clone, PartialEq, Eq, Serialize)]
pub struct AccessKey {
    /// `AKIA…` of a user, `ASIA…` of a session.
    pub access_key_id: String,
    /// What requests are signed with.
    pub secret_access_key: String,
    /// A session's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_token: Option<String>,
}

impl AccessKey {
    /// The key that may do everything in this run's emulators.
    #[must_use]
    pub fn root() -> &'static Self {
        &ROOT
    }

    /// SDK configuration for an endpoint on this machine.
    ///
    /// The HTTP client has no TLS and its own pool, which lives on the runtime that
    /// uses it first: a test makes its own configuration.
    #[must_use]
    pub fn sdk_config(&self, endpoint_url: &str) -> SdkConfig {
        let credentials = Credentials::new(
            &self.access_key_id,
            &self.secret_access_key,
            self.session_token.clone(),
            None,
            "local stack",
        );
        SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::from_static(REGION))
            .endpoint_url(endpoint_url)
            .credentials_provider(SharedCredentialsProvider::new(credentials))
            .http_client(aws_smithy_http_client::Builder::new().build_http())
            .build()
    }

    /// The header of a request for a service that only names the key: root's signature
    /// is not looked at.
    pub(crate) fn unsigned(&self, service: &str) -> String {
        format!(
            "AWS4-HMAC-SHA256 Credential={}/20260101/{REGION}/{service}/aws4_request, \
             SignedHeaders=host, Signature=0",
            self.access_key_id
        )
    }

    /// The environment of a process that acts with it.
    #[must_use]
    pub fn environment(&self) -> Vec<(&'static str, &str)> {
        let mut all = vec![
            ("AWS_ACCESS_KEY_ID", self.access_key_id.as_str()),
            ("AWS_SECRET_ACCESS_KEY", &self.secret_access_key),
        ];
        all.extend(self.session_token.iter().map(|it| ("AWS_SESSION_TOKEN", it.as_str())));
        all
    }
}

/// The id of a user's key is no secret; root's is.
impl fmt::Debug for AccessKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AccessKey")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_a_key_is_shown() {
        assert_eq!(
            format!("{:?} {:#?}", AccessKey::root(), AccessKey::root()),
            "AccessKey AccessKey"
        );
    }

    #[test]
    fn root_is_random_and_nothing_that_the_emulator_takes_for_root_by_itself() {
        let id = &AccessKey::root().access_key_id;
        assert_eq!(id.len(), 36, "as long as emulator_door.py asks for");
        assert!(id.chars().all(|it| it.is_ascii_uppercase() || it.is_ascii_digit()), "{id}");
        assert!(!id.chars().all(|it| it.is_ascii_digit()));
    }
}
