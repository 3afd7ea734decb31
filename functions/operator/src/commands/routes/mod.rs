//! `inbox routes`: which way events go, and why.
//!
//! The routes are those that the deployed processor runs with, read from its
//! environment, or those of a file that is yet to be deployed, to which is added what
//! Terraform will add. They are read by the processor's own code, so what is accepted
//! here is accepted there. Whether a target is there is not asked: `inbox doctor` says so
//! once they are deployed.

pub(super) mod advice;
pub(super) mod deployed;
mod diff;
mod list;
mod planned;
mod test;

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::Subcommand;
use clap::builder::{OsStringValueParser, TypedValueParser as _};
use inbox_processor::routes::Routes;
use serde_json::json;

use self::planned::Planned;
use crate::console::Tone;
use crate::context::Context;
use crate::fault::{Fault, Outcome};
use crate::moments::counted;

const EXAMPLES: &str = "\
Examples:
  inbox routes                                 those of the deployed processor
  inbox routes test stripe evt_1QabcDEF        which of them the event takes, and why
  inbox routes test stripe:invoice.paid        the same of any source and type
  inbox routes check routes.json               before they are deployed
  inbox routes diff routes.json                what then loses its route, and what waits in vain
  terraform show -json plan | inbox routes check --plan -      those of a plan
  inbox routes test stripe:invoice.paid --routes routes.json";

/// What the command takes.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    #[command(subcommand)]
    what: Option<What>,
    /// Routes of a file (`-`: standard input) in place of the deployed ones
    #[arg(long, value_name = "FILE", global = true,
          value_parser = OsStringValueParser::new().map(PathBuf::from))]
    routes: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Show all routes
    List,
    /// Show which routes an event takes, and why it does not take the others
    Test(test::Args),
    /// Say everything that is wrong with a file of routes
    Check(CheckArgs),
    /// Say what a file of routes, once deployed, does to what waits and to what arrives
    Diff(diff::Args),
}

#[derive(Debug, clap::Args)]
struct CheckArgs {
    /// JSON, as in ROUTES; `-` is standard input
    #[arg(value_name = "FILE", value_parser = OsStringValueParser::new().map(PathBuf::from))]
    file: PathBuf,
    /// FILE is a plan, as `terraform show -json` prints it; `make plan` and `make deploy` give
    /// theirs
    #[arg(long)]
    plan: bool,
}

impl Args {
    /// Whether it can do nothing without the deployment's names.
    #[must_use]
    pub fn needs_names(&self) -> bool {
        match &self.what {
            Some(What::Check(_)) => false,
            Some(What::Diff(_)) => true,
            Some(What::Test(args)) => self.routes.is_none() || args.is_in_ledger(),
            Some(What::List) | None => self.routes.is_none(),
        }
    }
}

pub(super) async fn run(context: &Context, args: Args) -> Result<Outcome, Fault> {
    if let Some(What::Check(CheckArgs { file, plan })) = &args.what {
        let text = deployed::read(file)?;
        if *plan {
            return Ok(tell_planned(context, &planned::read(&text)?));
        }
        return Ok(check(context, deployed::parse(&text, &context.deployment)));
    }
    if let Some(What::Diff(args)) = &args.what {
        return diff::run(context, args).await;
    }
    let routes = match &args.routes {
        Some(file) => deployed::parse(&deployed::read(file)?, &context.deployment),
        None => deployed::fetch(context).await?,
    };
    let routes = routes.map_err(|problems| deployed::unusable(&problems))?;
    match args.what {
        Some(What::Test(args)) => test::run(context, &routes, &args).await,
        _ => Ok(list::run(context, &routes)),
    }
}

/// Routes that the processor starts with.
#[derive(Debug, PartialEq, Eq)]
struct Sound {
    count: usize,
    /// What to think about all the same.
    advice: Vec<String>,
}

impl Sound {
    /// Of an inbox with these sources, by their providers.
    fn of(routes: &Routes, sources: &BTreeMap<String, String>) -> Self {
        Self { count: routes.iter().count(), advice: advice::of(routes, sources) }
    }
}

fn check(context: &Context, routes: Result<Routes, Vec<String>>) -> Outcome {
    let sources = context.deployment.providers();
    let judged = routes.map(|routes| Sound::of(&routes, &sources));
    if context.console.json {
        context.console.value(&document(&judged));
    } else {
        tell(context, &judged);
    }
    if judged.is_ok() { Outcome::Done } else { Outcome::Negative }
}

/// The routes of each inbox that a plan makes. One whose routes are not known yet is no
/// fault, and is told.
fn tell_planned(context: &Context, planned: &[Planned]) -> Outcome {
    let console = &context.console;
    if console.json {
        let each = planned.iter().map(|planned| {
            let mut document = planned.routes.as_ref().map_or_else(|| json!({}), document);
            document["address"] = json!(planned.address);
            document["is_known"] = json!(planned.routes.is_some());
            document
        });
        console.value(&json!({"planned": each.collect::<Vec<_>>()}));
    } else {
        for Planned { address, routes } in planned {
            match routes {
                Some(judged) => {
                    if planned.len() > 1 || judged.is_err() {
                        console.line(format!("{address}:"));
                    }
                    tell(context, judged);
                }
                None => console.line(format!(
                    "{}  {address}: its routes are only known after the apply; `inbox doctor` \
                     judges them then",
                    console.tint(Tone::Dim, "unknown")
                )),
            }
        }
    }
    let is_wrong = |planned: &Planned| matches!(planned.routes, Some(Err(_)));
    if planned.iter().any(is_wrong) { Outcome::Negative } else { Outcome::Done }
}

fn document(judged: &Result<Sound, Vec<String>>) -> serde_json::Value {
    let none = [].as_slice();
    let (count, problems, warnings) = match judged {
        Ok(Sound { count, advice }) => (*count, none, advice.as_slice()),
        Err(problems) => (0, problems.as_slice(), none),
    };
    json!({"routes": count, "problems": problems, "warnings": warnings})
}

fn tell(context: &Context, judged: &Result<Sound, Vec<String>>) {
    let console = &context.console;
    match judged {
        Ok(Sound { count, advice }) => {
            let routes = counted(*count as u64, "route");
            console.line(format!("{}  {routes}", console.tint(Tone::Good, "sound")));
            for warning in advice {
                console.line(format!("{}  {warning}", console.tint(Tone::Warning, "warning")));
            }
        }
        Err(problems) => {
            for problem in problems {
                console.line(format!("{}  {problem}", console.tint(Tone::Bad, "wrong")));
            }
        }
    }
}
