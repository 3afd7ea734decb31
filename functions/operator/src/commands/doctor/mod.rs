//! `inbox doctor`: whether a deployment is sound, and what to fix.
//!
//! Every fact that code and Terraform share (`infra/stack.json`) is compared with
//! what AWS says, and then the one question that no setting answers: does the
//! sweeper keep up? Nothing is changed.
//!
//! A check that cannot be made is told as such and is no failure: the identity
//! may lack a permission, or the service a call.

mod backlog;
mod clock;
mod lane;
mod payloads;
mod processor;
mod queues;
mod routes;
mod secrets;
mod table;
mod targets;
mod unhandled;

use serde::Serialize;
use serde_json::json;

use crate::console::{Console, Tone};
use crate::context::Context;
use crate::fault::{Fault, Outcome};

const EXAMPLES: &str = "\
Examples:
  inbox doctor
  inbox doctor --json | jq '.findings[] | select(.verdict != \"ok\")'

Exit code 0: sound, with or without warnings; 1: something must be fixed.";

/// What the command takes.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {}

/// How a check came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Verdict {
    /// As it should be.
    Ok,
    /// It works, and there is a reason to change it.
    Warning,
    /// Events are or will be lost, late or refused.
    Broken,
    /// It could not be looked at.
    Unknown,
}

/// One check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Finding {
    about: String,
    verdict: Verdict,
    says: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    fix: Option<String>,
}

/// What one part of the deployment was found to be.
#[derive(Debug, Default)]
struct Findings(Vec<Finding>);

impl Findings {
    fn add(
        &mut self,
        about: impl Into<String>,
        verdict: Verdict,
        says: impl Into<String>,
        fix: Option<String>,
    ) {
        self.0.push(Finding { about: about.into(), verdict, says: says.into(), fix });
    }

    fn ok(&mut self, about: impl Into<String>, says: impl Into<String>) {
        self.add(about, Verdict::Ok, says, None);
    }

    fn warn(&mut self, about: impl Into<String>, says: impl Into<String>, fix: impl Into<String>) {
        self.add(about, Verdict::Warning, says, Some(fix.into()));
    }

    fn broken(
        &mut self,
        about: impl Into<String>,
        says: impl Into<String>,
        fix: impl Into<String>,
    ) {
        self.add(about, Verdict::Broken, says, Some(fix.into()));
    }

    fn unknown(&mut self, about: impl Into<String>, says: impl Into<String>) {
        self.add(about, Verdict::Unknown, says, None);
    }

    /// `ok` when it is so, else broken with what to do.
    fn expect(
        &mut self,
        about: &str,
        is_so: bool,
        says: impl Into<String>,
        fix: impl Into<String>,
    ) {
        if is_so {
            self.ok(about, says);
        } else {
            self.broken(about, says, fix);
        }
    }
}

pub(super) async fn run(context: &Context, _args: Args) -> Result<Outcome, Fault> {
    let mut findings = Findings::default();
    // The first call also finds out whether AWS answers at all.
    table::check(context, &mut findings).await?;
    payloads::check(context, &mut findings).await?;
    queues::check(context, &mut findings).await?;
    lane::check(context, &mut findings).await?;
    processor::check(context, &mut findings).await?;
    secrets::check(context, &mut findings).await?;
    routes::check(context, &mut findings).await?;
    backlog::check(context, &mut findings, context.now()).await?;
    unhandled::check(context, &mut findings, context.now()).await?;
    let is_unknown = |finding: &Finding| finding.verdict == Verdict::Unknown;
    if let Some(first) = findings.0.first().filter(|_| findings.0.iter().all(is_unknown)) {
        // Nothing was found to be wrong, because nothing was looked at.
        let problem = format!("nothing could be looked at; {}: {}", first.about, first.says);
        return Err(Fault::unavailable(problem));
    }
    clock::check(context.clock.difference(), &mut findings);
    Ok(tell(&context.console, &findings.0))
}

fn tell(console: &Console, findings: &[Finding]) -> Outcome {
    let count = |verdict| findings.iter().filter(|finding| finding.verdict == verdict).count();
    let (broken, warnings, unknown) =
        (count(Verdict::Broken), count(Verdict::Warning), count(Verdict::Unknown));
    let outcome = if broken == 0 { Outcome::Done } else { Outcome::Negative };
    if console.json {
        console.value(&json!({"is_sound": broken == 0, "findings": findings}));
        return outcome;
    }
    for finding in findings {
        let (tone, word) = match finding.verdict {
            Verdict::Ok => (Tone::Good, "ok     "),
            Verdict::Warning => (Tone::Warning, "warning"),
            Verdict::Broken => (Tone::Bad, "broken "),
            Verdict::Unknown => (Tone::Dim, "unknown"),
        };
        let word = console.tint(tone, word);
        console.line(format!("{word}  {}: {}", finding.about, finding.says));
        if let Some(fix) = &finding.fix {
            console.line(format!("         {}", console.tint(Tone::Strong, &format!("→ {fix}"))));
        }
    }
    console.line("");
    let besides = format!("warnings: {warnings}, not looked at: {unknown}");
    console.line(match broken {
        0 => console.tint(Tone::Good, &format!("sound ({besides})")),
        _ => console.tint(Tone::Bad, &format!("{broken} to fix ({besides})")),
    });
    outcome
}

/// What `make deploy` makes and somebody changed.
const FIX_DEPLOY: &str = "run `make deploy`, which puts back what infra/ says";
