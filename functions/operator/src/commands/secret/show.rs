//! What a secret holds, without showing it.

use inbox_core::Timestamp;
use inbox_core::secrets::Secret;
use serde_json::json;

use super::subject::Subject;
use super::words;
use crate::console::Tone;
use crate::context::Context;
use crate::fault::{Fault, Outcome};
use crate::moments;
use crate::rotation;
use crate::table::{Cell, Column, Table};

pub(super) async fn run(context: &Context, name: &str) -> Result<Outcome, Fault> {
    let subject = Subject::new(context, name).await?;
    let (stored, rotation) = subject.read().await?;
    let secrets = rotation.secrets();
    let fault_of = |secret: &Secret| subject.owner.check(secret).err();
    let is_sound = !secrets.is_empty() && secrets.iter().all(|it| fault_of(it).is_none());
    if context.console.json {
        let list: Vec<_> = secrets
            .iter()
            .enumerate()
            .map(|(at, secret)| {
                json!({
                    "position": at + 1, "ends_with": rotation::ending(secret),
                    "length": secret.expose().chars().count(), "fault": fault_of(secret),
                    "concern": subject.owner.concern(secret),
                })
            })
            .collect();
        context.console.value(&subject.tagged(json!({
            "provider": subject.owner.provider(), "secret_id": subject.secret_id,
            "changed_at": stored.changed_at.map(Timestamp::to_rfc3339),
            "is_plain_text": rotation.is_plain(),
            "signing_secrets": list,
            "others": rotation.other_names().collect::<Vec<_>>(),
        })));
        return Ok(if is_sound { Outcome::Done } else { Outcome::Negative });
    }
    let console = &context.console;
    let changed = stored.changed_at.map_or_else(String::new, |at| {
        format!(", changed {} ({})", moments::clock(at), moments::relative(at, context.now()))
    });
    console.line(format!("{name}: secret {}{changed}", subject.secret_id));
    let mut table = Table::new([
        Column::new("#").right(),
        Column::new("ends with"),
        Column::new("characters").right(),
        Column::new("judged"),
    ]);
    for (at, secret) in secrets.iter().enumerate() {
        table.row([
            (at + 1).to_string().into(),
            rotation::ending(secret)
                .map_or("(too short to show)".to_owned(), |end| format!("…{end}"))
                .into(),
            secret.expose().chars().count().to_string().into(),
            match (fault_of(secret), subject.owner.concern(secret)) {
                (Some(fault), _) => Cell::toned(Tone::Bad, fault),
                (None, Some(concern)) => Cell::toned(Tone::Warning, concern),
                (None, None) => Cell::toned(Tone::Good, "good"),
            },
        ]);
    }
    if table.is_empty() {
        console.line(console.tint(Tone::Bad, words::without(&subject.owner)));
        console.note(format!("give it its first with {}", words::first_by(&subject.owner, name)));
    } else {
        console.table(&table);
    }
    if rotation.is_plain() {
        console.note(words::AS_PLAIN_TEXT);
    }
    let others: Vec<_> = rotation.other_names().collect();
    if !others.is_empty() {
        console.line(format!("also holds: {}", others.join(", ")));
    }
    Ok(if is_sound { Outcome::Done } else { Outcome::Negative })
}
