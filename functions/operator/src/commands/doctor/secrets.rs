//! Each source's provider and secret.

use inbox_aws::SecretsManagerSecrets;
use inbox_core::secrets::{Secrets as _, SecretsError};
use inbox_receiver::providers;

use super::Findings;
use crate::context::Context;
use crate::deployment::Source;
use crate::fault::Fault;

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
    let store = SecretsManagerSecrets::new(context.aws().await?, source.secret_id.clone());
    let bundle = match store.fetch().await {
        Ok(bundle) => bundle,
        Err(SecretsError::Unusable(fault)) => {
            let fix = format!("`inbox secret add {name}` adds one");
            findings.broken(about, format!("its secret cannot be used: {fault}"), fix);
            return Ok(());
        }
        Err(SecretsError::Unavailable(text)) if text.contains("ResourceNotFound") => {
            let says = format!("its secret {} is not there, or has no value", source.secret_id);
            findings.broken(about, says, format!("`inbox secret add {name}` gives it one"));
            return Ok(());
        }
        Err(SecretsError::Unavailable(text)) => {
            findings.unknown(about, text);
            return Ok(());
        }
    };
    let all = bundle.signing_secrets().len();
    let mut is_good = true;
    for (index, secret) in bundle.signing_secrets().iter().enumerate() {
        let position = index + 1;
        if let Err(reason) = provider.check_secret(secret) {
            is_good = false;
            findings.broken(
                &about,
                format!("secret {position} of {all} {reason}"),
                format!(
                    "`inbox secret add {name}` the right one, then `inbox secret retire {name} \
                     --position N`"
                ),
            );
        }
    }
    if is_good {
        let plural = if all == 1 { "" } else { "s" };
        findings.ok(about, format!("{}, {all} signing secret{plural}", source.provider));
    }
    Ok(())
}
