//! `inbox secret`: looks at, adds and retires a source's signing secrets.
//!
//! Values come from a prompt or from standard input, never from the command
//! line, which shells and process lists remember; none is ever printed.

use std::io::{IsTerminal as _, Read as _};
use std::sync::Arc;

use inbox_aws::{Replaced, SecretVersions, SecretVersionsError, StoredSecret};
use inbox_core::Timestamp;
use inbox_core::provider::Provider;
use inbox_core::secrets::{CACHE_FOR, Secret};
use inbox_receiver::providers;
use serde_json::json;
use zeroize::Zeroizing;

use crate::console::Tone;
use crate::context::Context;
use crate::deployment::Source;
use crate::fault::{Fault, Outcome};
use crate::moments;
use crate::rotation::{self, Rotation};
use crate::table::{Cell, Column, Table};

const EXAMPLES: &str = "\
A rotation without an outage:
  inbox secret add stripe          asks for the new secret; both are tried from now on
  …                                five minutes later, let the provider sign with the new one
  inbox secret retire stripe       takes the oldest out

Examples:
  inbox secret show stripe
  inbox secret add stripe < new-secret.txt
  inbox secret retire stripe --position 2 --yes";

/// No signing secret comes near, and a wrong file on standard input ends here.
const LONGEST_BYTES: u64 = 8 * 1024;
/// `read_to_string` asks for more when it is full, not when it is at the end.
const ROOM_BYTES: usize = 16 * 1024;

/// What the command takes.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

/// Which source may be told; what somebody typed behind it may be a secret.
impl std::fmt::Debug for Args {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (Action::Show { source } | Action::Add { source, .. } | Action::Retire { source, .. }) =
            &self.action;
        f.debug_struct("Args").field("source", source).finish_non_exhaustive()
    }
}

#[derive(clap::Subcommand)]
enum Action {
    /// Show how many there are, how each ends, and whether it can be one
    #[command(
        after_help = "Examples:\n  inbox secret show stripe\n  inbox secret show stripe --json"
    )]
    Show {
        /// The source
        source: String,
    },
    /// Add a signing secret before the others; the value is asked for, or read from standard input
    #[command(
        after_help = "Examples:\n  inbox secret add stripe\n  inbox secret add stripe < new-secret.txt"
    )]
    Add {
        /// The source
        source: String,
        /// Here to be refused in words of its own: clap would quote the secret.
        #[arg(hide = true, allow_hyphen_values = true)]
        on_the_command_line: Vec<String>,
    },
    /// Take a signing secret out, the oldest by default; never the last one
    #[command(
        after_help = "Examples:\n  inbox secret retire stripe\n  inbox secret retire stripe --position 2 --yes"
    )]
    Retire {
        /// The source
        source: String,
        /// Which one, from 1, as `inbox secret show` counts them
        #[arg(long, value_name = "N")]
        position: Option<usize>,
        /// Only say which one it would be
        #[arg(long)]
        dry_run: bool,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
}

pub(super) async fn run(context: &Context, args: Args) -> Result<Outcome, Fault> {
    match args.action {
        Action::Show { source } => show(context, &source).await,
        Action::Add { source, on_the_command_line } if on_the_command_line.is_empty() => {
            add(context, &source).await
        }
        Action::Add { source, .. } => Err(Fault::usage(
            "a secret is not taken from the command line, which shells and process lists remember; \
             nothing was changed",
            format!(
                "`inbox secret add {source}` asks for it; if this one was real, make a new one"
            ),
        )),
        Action::Retire { source, position, dry_run, yes } => {
            retire(context, &source, position, dry_run, yes).await
        }
    }
}

/// A source's secret, and who judges it.
struct Subject<'a> {
    name: &'a str,
    source: &'a Source,
    provider: Arc<dyn Provider>,
    versions: SecretVersions,
}

impl<'a> Subject<'a> {
    async fn new(context: &'a Context, name: &'a str) -> Result<Self, Fault> {
        let source = context.deployment.source(name)?;
        let provider = providers::require(&source.provider)
            .map_err(|fault| Fault::usage(fault.to_string(), "correct the --stack file"))?;
        let versions = SecretVersions::new(context.aws().await?, source.secret_id.clone());
        Ok(Self { name, source, provider, versions })
    }

    async fn read(&self) -> Result<(StoredSecret, Rotation), Fault> {
        let stored = self.versions.read().await.map_err(fault)?;
        let text = stored.current.as_ref().map(|version| version.text.as_deref());
        let rotation = match text {
            None => Rotation::default(),
            Some(Some(text)) if text.is_empty() => Rotation::default(),
            Some(text) => {
                let text = text.map_or("", String::as_str);
                Rotation::parse(text).map_err(|fault| self.unusable(fault))?
            }
        };
        Ok((stored, rotation))
    }

    fn unusable(&self, fault: rotation::NotABundle) -> Fault {
        Fault::refused(
            format!("secret {:?} is unusable: {fault}", self.source.secret_id),
            "put it right in Secrets Manager; a bare secret becomes \
             {\"signing_secrets\":[\"the secret\"]}",
        )
    }

    /// Writes, unless somebody else did since.
    async fn replace(&self, read: &StoredSecret, rotation: &Rotation) -> Result<(), Fault> {
        let replaced = self.versions.replace(read, &rotation.to_json()).await.map_err(fault)?;
        match replaced {
            Replaced::Written => Ok(()),
            Replaced::Overtaken => Err(Fault::refused(
                "somebody else changed this secret at the same moment, and nothing was changed here",
                format!("look at it with `inbox secret show {}` and try again", self.name),
            )),
        }
    }
}

async fn show(context: &Context, name: &str) -> Result<Outcome, Fault> {
    let subject = Subject::new(context, name).await?;
    let (stored, rotation) = subject.read().await?;
    let secrets = rotation.secrets();
    let fault_of = |secret: &Secret| subject.provider.check_secret(secret).err();
    let is_sound = !secrets.is_empty() && secrets.iter().all(|it| fault_of(it).is_none());
    if context.console.json {
        let list: Vec<_> = secrets
            .iter()
            .enumerate()
            .map(|(at, secret)| {
                json!({
                    "position": at + 1, "ends_with": rotation::ending(secret),
                    "length": secret.expose().chars().count(), "fault": fault_of(secret),
                })
            })
            .collect();
        context.console.value(&json!({
            "source": name, "provider": subject.source.provider,
            "secret_id": subject.source.secret_id,
            "changed_at": stored.changed_at.map(Timestamp::to_rfc3339),
            "signing_secrets": list,
            "others": rotation.other_names().collect::<Vec<_>>(),
        }));
        return Ok(if is_sound { Outcome::Done } else { Outcome::Negative });
    }
    let console = &context.console;
    let changed = stored.changed_at.map_or_else(String::new, |at| {
        format!(", changed {} ({})", moments::clock(at), moments::relative(at, Timestamp::now()))
    });
    console.line(format!("{name}: secret {}{changed}", subject.source.secret_id));
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
            match fault_of(secret) {
                None => Cell::toned(Tone::Good, "good"),
                Some(fault) => Cell::toned(Tone::Bad, fault),
            },
        ]);
    }
    if table.is_empty() {
        console.line(console.tint(Tone::Bad, "no signing secret: nothing verifies"));
        console.note(format!("give it its first with `inbox secret add {name}`"));
    } else {
        console.table(&table);
    }
    let others: Vec<_> = rotation.other_names().collect();
    if !others.is_empty() {
        console.line(format!("also holds: {}", others.join(", ")));
    }
    Ok(if is_sound { Outcome::Done } else { Outcome::Negative })
}

async fn add(context: &Context, name: &str) -> Result<Outcome, Fault> {
    let subject = Subject::new(context, name).await?;
    let text = value_of(context, name)?;
    let new = rotation::fit(&text, subject.provider.as_ref())
        .map_err(|problem| Fault::usage(format!("this value {problem}"), "nothing was changed"))?;
    let (stored, mut rotation) = subject.read().await?;
    rotation.add(new).map_err(|position| {
        Fault::refused(
            format!("{name} holds this secret already, at position {position}"),
            "nothing was changed; if it is to replace the others, retire those",
        )
    })?;
    subject.replace(&stored, &rotation).await?;
    let count = rotation.secrets().len();
    if context.console.json {
        context.console.value(&json!({"source": name, "added": 1, "signing_secrets": count}));
        return Ok(Outcome::Done);
    }
    context.console.line(match count {
        1 => format!("added: the first signing secret of {name}"),
        _ => format!("added: {name} has {count} signing secrets, the new one first"),
    });
    let within = moments::span(CACHE_FOR);
    if count == 1 {
        context.console.note(format!("receivers take it within {within}"));
    } else {
        context.console.note(format!(
            "receivers take it within {within}: let the provider sign with it after that, and once \
             it does, `inbox secret retire {name}`"
        ));
    }
    Ok(Outcome::Done)
}

async fn retire(
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
            context.console.value(&json!({
                "source": name, "would_retire": position, "signing_secrets": left,
            }));
        } else {
            context.console.line(format!("would retire {which}"));
        }
        return Ok(Outcome::Done);
    }
    if !yes {
        let question = format!("Retire {which}? What the provider signs with it is refused then.");
        context.console.confirm(&question, name)?;
    }
    subject.replace(&stored, &rotation).await?;
    let left = rotation.secrets().len();
    if context.console.json {
        context.console.value(&json!({
            "source": name, "retired": position, "signing_secrets": left,
        }));
        return Ok(Outcome::Done);
    }
    context.console.line(format!("retired: {which}"));
    context.console.note(format!(
        "receivers forget it within {}; should requests be refused now (`Rejected` in the \
         dashboard), add it again",
        moments::span(CACHE_FOR)
    ));
    Ok(Outcome::Done)
}

/// From a prompt that shows nothing, or one line of standard input.
fn value_of(context: &Context, name: &str) -> Result<Zeroizing<String>, Fault> {
    let stdin = std::io::stdin();
    if stdin.is_terminal() {
        return rpassword::prompt_password(format!("New signing secret of {name} (not shown): "))
            .map(Zeroizing::new)
            .map_err(|fault| Fault::io("read the secret", &fault));
    }
    // With room for all of it: a text that grows leaves copies behind.
    let mut text = Zeroizing::new(String::with_capacity(ROOM_BYTES));
    stdin.lock().take(LONGEST_BYTES + 1).read_to_string(&mut text).map_err(|fault| {
        Fault::usage(format!("cannot read the secret from standard input: {fault}"), "")
    })?;
    if u64::try_from(text.len()).unwrap_or(u64::MAX) > LONGEST_BYTES {
        return Err(Fault::usage(
            "what stands on standard input is too long for a signing secret",
            "give the secret alone",
        ));
    }
    let (line, had_end) = rotation::without_line_end(&text);
    if had_end {
        context.console.note("note: the line end behind the secret was left out");
    }
    Ok(Zeroizing::new(line.to_owned()))
}

fn fault(fault: SecretVersionsError) -> Fault {
    match fault {
        SecretVersionsError::Missing(_) => Fault::refused(
            fault.to_string(),
            "it is made with the deployment (`terraform apply`); look at --stack, --profile and \
             --region",
        ),
        SecretVersionsError::Deleted(_) => Fault::refused(
            fault.to_string(),
            "restore it with `aws secretsmanager restore-secret --secret-id …`",
        ),
        SecretVersionsError::Unavailable(problem) => Fault::unavailable(problem),
    }
}
