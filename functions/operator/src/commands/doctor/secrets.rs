//! Each source's provider and secret, and how a secret is judged, whoever signs with it.

use aws_config::SdkConfig;
use inbox_aws::SecretsManagerSecrets;
use inbox_core::secrets::{Secret, SecretFault, Secrets as _, SecretsError};
use inbox_receiver::providers;

use super::{Findings, Verdict};
use crate::context::Context;
use crate::deployment::Source;
use crate::fault::Fault;
use crate::moments::counted;

pub(super) async fn check(context: &Context, findings: &mut Findings) -> Result<(), Fault> {
    if context.deployment.sources.is_empty() {
        findings.unknown("sources", "the stack file names none");
    }
    for (name, source) in &context.deployment.sources {
        check_source(context, name, source, findings).await?;
    }
    Ok(())
}

async fn check_source(
    context: &Context,
    name: &str,
    source: &Source,
    findings: &mut Findings,
) -> Result<(), Fault> {
    let about = format!("source {name}");
    let provider = match providers::require(&source.provider) {
        Ok(provider) => provider,
        Err(fault) => {
            findings.broken(about, fault.to_string(), "put the provider's name right");
            return Ok(());
        }
    };
    let held = Held {
        about,
        secret_id: &source.secret_id,
        first_by: format!("inbox secret add {name}"),
        name: name.to_owned(),
        used_by: &source.provider,
    };
    let check = |secret: &Secret| provider.check_secret(secret);
    held.judge(context.aws().await?, findings, check, |secret| provider.secret_concern(secret))
        .await;
    // Where nothing could be looked at, nothing is told.
    if findings.0.last().is_some_and(|finding| finding.verdict != Verdict::Unknown) {
        let repeats = source.repeats(provider.signs_url());
        findings.ok(format!("repeats to {name}"), format!("each is {repeats}"));
    }
    Ok(())
}

/// A secret that something signs with, or verifies by.
pub(super) struct Held<'a> {
    /// What it belongs to, for the finding.
    pub(super) about: String,
    /// Name or ARN.
    pub(super) secret_id: &'a str,
    /// As `inbox secret` calls it.
    pub(super) name: String,
    /// The command that gives it a value.
    pub(super) first_by: String,
    /// The provider's or the handler's name.
    pub(super) used_by: &'a str,
}

impl Held<'_> {
    /// Whether it is there and every entry can be one, as `check` says of it.
    pub(super) async fn judge(
        &self,
        aws: &SdkConfig,
        findings: &mut Findings,
        check: impl Fn(&Secret) -> Result<(), &'static str>,
        concern: impl Fn(&Secret) -> Option<&'static str>,
    ) {
        let Self { about, secret_id, name, first_by, used_by } = self;
        let store = SecretsManagerSecrets::new(aws, (*secret_id).to_owned());
        let bundle = match store.fetch().await {
            Ok(bundle) => bundle,
            Err(SecretsError::Unusable(fault)) => {
                let says = format!("its secret cannot be used: {fault}");
                findings.broken(about, says, fix_of(&fault, first_by));
                return;
            }
            Err(SecretsError::Unavailable(text)) if text.contains("ResourceNotFound") => {
                let says = format!("its secret {secret_id} is not there, or has no value");
                findings.broken(about, says, format!("`{first_by}` gives it one"));
                return;
            }
            // So AWS answers of one that is scheduled for deletion.
            // https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_GetSecretValue.html
            Err(SecretsError::Unavailable(text)) if text.contains("InvalidRequestException") => {
                let says = format!("its secret {secret_id} is marked for deletion");
                let fix = "`aws secretsmanager restore-secret --secret-id …` brings it back";
                findings.broken(about, says, fix);
                return;
            }
            Err(SecretsError::Unavailable(text)) => {
                findings.unknown(about, text);
                return;
            }
        };
        let all = bundle.signing_secrets().len();
        let mut is_good = true;
        for (index, secret) in bundle.signing_secrets().iter().enumerate() {
            let position = index + 1;
            if let Err(reason) = check(secret) {
                is_good = false;
                findings.broken(
                    about,
                    format!("secret {position} of {all} {reason}"),
                    format!(
                        "`{first_by}` adds a right one, then `inbox secret retire {name} --position N`"
                    ),
                );
            } else if let Some(concern) = concern(secret) {
                is_good = false;
                findings.warn(
                    about,
                    format!("secret {position} of {all} {concern}"),
                    format!("`{first_by}` adds a better one; let the provider sign with it then"),
                );
            }
        }
        if is_good {
            let secrets = counted(all as u64, "signing secret");
            findings.ok(about, format!("{used_by}, {secrets}"));
        }
    }
}

/// Text of another form is not added to, for nobody knows what it is.
fn fix_of(fault: &SecretFault, first_by: &str) -> String {
    match fault {
        SecretFault::NotABundle => "put it right in Secrets Manager: \
                                    {\"signing_secrets\":[\"the secret\"]}, or the secret alone"
            .to_owned(),
        _ => format!("`{first_by}` adds one"),
    }
}
