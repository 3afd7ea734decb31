//! `local needed FOLDER`: whether a test run has needed every permission of the module.
//!
//! And the demo's line: under how many permissions it ran.

use std::path::Path;

use inbox_local::LocalError;
use inbox_local::decisions::{self, Decision};
use inbox_local::needed::{self, Permission};
use inbox_local::permissions::Permissions;

use crate::{Failure, say};

/// Reads what the emulators of a run decided, and compares.
pub(crate) fn needed(arguments: &[String]) -> Result<(), Failure> {
    let [folder] = arguments else {
        return Err(Failure::Usage(crate::USAGE.to_owned()));
    };
    let decisions = decisions::read(Path::new(folder))?;
    let (granted, used) = (needed::granted()?, needed::used(&decisions));
    let problems = needed::problems(&granted, &used);
    if !problems.is_empty() {
        return Err(Failure::Permissions { problems });
    }
    let seen = granted.intersection(&used).count();
    let rest = granted.len() - seen;
    say(&format!(
        "{seen} permissions of the module were needed; {rest} cannot be seen here and say why"
    ));
    Ok(())
}

/// What of the decisions was denied, in a person's words; root is never asked.
pub(crate) fn denied(decisions: &Path) -> Result<Vec<String>, LocalError> {
    let all = decisions::read(decisions)?;
    let of_inbox = |it: &&Decision| !it.is_allowed() && it.who().is_some();
    let all = all.iter().filter(of_inbox);
    Ok(all.map(|it| format!("{} {} on {}", it.principal, it.action, it.resource)).collect())
}

/// Under how many permissions the functions ran, and how many they used.
pub(crate) fn lines(
    permissions: &Permissions,
    decisions: &Path,
) -> Result<Vec<String>, LocalError> {
    let is_function = |it: &&Permission| it.0 != "operator";
    let granted = needed::of(permissions);
    let used = needed::used(&decisions::read(decisions)?);
    let granted = granted.iter().filter(is_function).count();
    let used = used.iter().filter(is_function).count();
    let roles = permissions.roles.len();
    Ok(vec![
        format!(
            "  {roles} functions ran under the {roles} roles of infra/modules/inbox, IAM enforced:"
        ),
        format!("  {granted} kinds of permissions, of which {used} were used"),
    ])
}
