//! Changing one thing and verifying again. What then verifies is what was wrong.

use inbox_core::secrets::SecretBundle;
use inbox_receiver::providers;

use super::{Case, Reason, addresses, bodies, secrets};
use crate::captured::Captured;

/// One thing changed.
pub(super) struct Trial {
    pub(super) change: Change,
    /// What is wrong, if this verifies.
    pub(super) finding: String,
    /// What to do then.
    pub(super) advice: &'static str,
}

pub(super) enum Change {
    Request(Captured),
    Secrets(SecretBundle),
}

/// All trials, one reason for each kind that verifies.
pub(super) fn run(case: &Case<'_>) -> Vec<Reason> {
    let of_secrets = first(case, secrets::trials(case));
    let of_body = first(case, bodies::trials(case.captured));
    let of_address = first(case, addresses::trials(case));
    let mut reasons: Vec<_> = [of_secrets, of_body, of_address].into_iter().flatten().collect();
    reasons.extend(other_providers(case));
    reasons
}

/// The first trial that verifies, as a reason.
pub(super) fn first(case: &Case<'_>, trials: impl Iterator<Item = Trial>) -> Option<Reason> {
    trials.into_iter().find_map(|trial| {
        let is_signed = match &trial.change {
            Change::Request(captured) => case.is_signed(captured, case.secrets),
            Change::Secrets(secrets) => case.is_signed(case.captured, secrets),
        };
        is_signed.then(|| Reason::certain(trial.finding, trial.advice))
    })
}

/// The same request and secrets under every other provider's scheme.
pub(super) fn other_providers(case: &Case<'_>) -> Vec<Reason> {
    let others = providers::names().filter(|name| *name != case.provider.name());
    others
        .filter_map(providers::find)
        .filter(|other| {
            Case { provider: other.as_ref(), ..*case }.is_signed(case.captured, case.secrets)
        })
        .map(|other| {
            let name = other.name();
            Reason::certain(
                format!("It is a request of {name}: by its scheme it verifies with this secret"),
                format!("judge it with --provider {name}; a source of its own receives it"),
            )
        })
        .collect()
}
