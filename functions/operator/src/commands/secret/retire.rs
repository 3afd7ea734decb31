//! A signing secret less, never the last one.

use serde_json::json;

use super::subject::Subject;
use super::words;
use crate::context::Context;
use crate::fault::{Fault, Outcome};
use crate::rotation;

pub(super) async fn run(
    context: &Context,
    name: &str,
    position: Option<usize>,
    dry_run: bool,
    yes: bool,
) -> Result<Outcome, Fault> {
    let subject = Subject::new(context, name).await?;
    let (stored, mut rotation) = subject.read().await?;
    let count = rotation.secrets().len();
    let position = position.unwrap_or(count);
    let shown = position
        .checked_sub(1)
        .and_then(|at| rotation.secrets().get(at))
        .and_then(rotation::ending)
        .map_or_else(String::new, |end| format!(", which ends with …{end}"));
    rotation.retire(position).map_err(|problem| {
        Fault::refused(
            format!("no signing secret of {name} was retired: {problem}"),
            format!("`inbox secret show {name}` lists them; `inbox secret add {name}` adds one"),
        )
    })?;
    let which = format!("secret {position} of {count} of {name}{shown}");
    if dry_run {
        if context.console.json {
            let left = rotation.secrets().len();
            let told = json!({"would_retire": position, "signing_secrets": left});
            context.console.value(&subject.tagged(told));
        } else {
            context.console.line(format!("would retire {which}"));
        }
        return Ok(Outcome::Done);
    }
    if !yes {
        let question = format!("Retire {which}? {}", words::what_retiring_does(&subject.owner));
        context.console.confirm(&question, name)?;
    }
    subject.replace(&stored, &rotation).await?;
    let left = rotation.secrets().len();
    if context.console.json {
        let told = json!({"retired": position, "signing_secrets": left});
        context.console.value(&subject.tagged(told));
        return Ok(Outcome::Done);
    }
    context.console.line(format!("retired: {which}"));
    context.console.note(words::after_retiring(&subject.owner));
    Ok(Outcome::Done)
}
