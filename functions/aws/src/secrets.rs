//! Signing secrets in Secrets Manager. The cache before it is
//! [`inbox_core::secrets::SecretCache`].

use aws_config::SdkConfig;
use aws_sdk_secretsmanager::Client;
use inbox_core::secrets::{SecretBundle, SecretFault, Secrets, SecretsError};
use zeroize::Zeroizing;

use crate::error::describe;

/// One source's secret.
#[derive(Clone, Debug)]
pub struct SecretsManagerSecrets {
    client: Client,
    secret_id: String,
}

impl SecretsManagerSecrets {
    /// `secret_id` is a name or an ARN.
    #[must_use]
    pub fn new(aws: &SdkConfig, secret_id: String) -> Self {
        Self { client: Client::new(aws), secret_id }
    }
}

impl Secrets for SecretsManagerSecrets {
    async fn fetch(&self) -> Result<SecretBundle, SecretsError> {
        let answer = self
            .client
            .get_secret_value()
            .secret_id(&self.secret_id)
            .send()
            .await
            .map_err(|error| SecretsError::Unavailable(describe("GetSecretValue", &error)))?;
        let json = answer.secret_string.map(Zeroizing::new).ok_or(SecretFault::NotABundle)?;
        Ok(SecretBundle::parse(&json)?)
    }
}
