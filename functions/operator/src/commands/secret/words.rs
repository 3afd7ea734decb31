//! What a change of signing secrets means, which depends on who signs.
//!
//! ```text
//! source   the provider signs, receivers try every secret     add, then the provider, then retire
//! route    the processor signs with every secret, the         add, then the endpoint, then retire
//!          endpoint verifies one of the signatures
//! ```

use inbox_core::secrets::CACHE_FOR;

use super::subject::Owner;
use crate::moments;

/// It was put by other means than this command.
pub(super) const AS_PLAIN_TEXT: &str = "it stands there as plain text, which is one signing secret; \
                                        the next `inbox secret add` writes the JSON";

/// What goes wrong without any.
pub(super) fn without(owner: &Owner) -> &'static str {
    match owner {
        Owner::Source { .. } => "no signing secret: nothing verifies",
        Owner::Route { .. } => "no signing secret: nothing is forwarded",
    }
}

/// The command that gives it its first.
pub(super) fn first_by(owner: &Owner, name: &str) -> String {
    match owner {
        Owner::Source { .. } => format!("`inbox secret add {name}`"),
        Owner::Route { .. } => format!("`inbox secret add {name} --generate`"),
    }
}

pub(super) fn after_the_first(owner: &Owner) -> String {
    let within = moments::span(CACHE_FOR);
    match owner {
        Owner::Source { .. } => format!("receivers take it within {within}"),
        Owner::Route { .. } => format!("the processor signs with it within {within}"),
    }
}

pub(super) fn after_another(owner: &Owner, name: &str) -> String {
    let within = moments::span(CACHE_FOR);
    match owner {
        Owner::Source { .. } => format!(
            "receivers take it within {within}: let the provider sign with it after that, and once \
             it does, `inbox secret retire {name}`"
        ),
        Owner::Route { .. } => format!(
            "within {within} all of them sign: let the endpoint verify with the new one after that, \
             and once it does, `inbox secret retire {name}`"
        ),
    }
}

/// The endpoint must learn a secret that nobody has seen.
pub(super) fn where_it_is_told(secret_id: &str) -> String {
    format!(
        "the endpoint needs it as well, the first of what `aws secretsmanager get-secret-value \
         --secret-id {secret_id} --query SecretString --output text` shows"
    )
}

pub(super) fn what_retiring_does(owner: &Owner) -> &'static str {
    match owner {
        Owner::Source { .. } => "What the provider signs with it is refused then.",
        Owner::Route { .. } => "It signs no more then, and an endpoint that has no other refuses.",
    }
}

pub(super) fn after_retiring(owner: &Owner) -> String {
    let within = moments::span(CACHE_FOR);
    match owner {
        Owner::Source { .. } => format!(
            "receivers forget it within {within}; should requests be refused now (`Rejected` in the \
             dashboard), add it again"
        ),
        Owner::Route { .. } => format!(
            "within {within} it signs no more; should the endpoint refuse events now (`inbox dlq` \
             shows them), add it again"
        ),
    }
}
