//! `inbox verify`: whether a captured request verifies, and if not, why.

use std::io::{BufRead as _, IsTerminal as _, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use inbox_aws::SecretsManagerSecrets;
use inbox_core::Timestamp;
use inbox_core::provider::{Provider, Rejection};
use inbox_core::secrets::{Secret, SecretBundle, Secrets as _};
use inbox_receiver::providers;
use serde_json::json;

use crate::captured::Captured;
use crate::console::{Console, Tone};
use crate::context::Context;
use crate::deployment::Source;
use crate::diagnosis::{Case, Reason};
use crate::fault::{Fault, Outcome};
use crate::moments;
use crate::records;

const EXAMPLES: &str = "\
The request is read from standard input: request line (may be missing), headers, an
empty line, and the body byte for byte; or an API Gateway event (payload 2.0) as JSON.

Examples:
  inbox verify --source stripe < request.txt
  INBOX_SIGNING_SECRET=whsec_… inbox verify --provider stripe < request.txt
  inbox verify --provider stripe --secret whsec_… --now 1700000000 < request.txt
  inbox verify --provider twilio --secret … --url 'https://hooks.example.com/in?a=1' < request.txt
  inbox verify --jsonl requests.jsonl

A record of --jsonl: {\"id\", \"provider\", \"secrets\": [\"…\"], \"url\", \"method\", \"headers\": {…},
\"body\" or \"body_base64\", \"now\"}; its answer: {\"id\", \"verdict\": \"valid\"|\"invalid\", \"reason\"}.

Exit codes: 0 valid (--jsonl: all lines were judged), 1 invalid, 2 nothing to judge.";

/// What the command takes.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// By whose scheme
    #[arg(long, value_name = "NAME", conflicts_with = "source")]
    provider: Option<String>,
    /// A signing secret; may be given again. In a shell's history it stays: the variable, or
    /// --source, is better
    #[arg(long, value_name = "SECRET", env = "INBOX_SIGNING_SECRET", hide_env_values = true)]
    secret: Vec<String>,
    /// Take provider, secrets and address of this source of the deployment; a secret that is given
    /// is used instead of the stored ones
    #[arg(long, value_name = "NAME")]
    source: Option<String>,
    /// Judge as of this time: Unix seconds, 2026-11-22T04:50:00Z, or 10m (ago)
    #[arg(long, value_name = "TIME")]
    now: Option<String>,
    /// The whole address that the provider called, where it signs it
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// Judge many requests, one JSON object a line; - is standard input
    #[arg(long, value_name = "FILE", conflicts_with_all = ["provider", "source", "now", "url"])]
    jsonl: Option<PathBuf>,
}

/// Without the secrets.
impl std::fmt::Debug for Args {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Args")
            .field("provider", &self.provider)
            .field("source", &self.source)
            .finish_non_exhaustive()
    }
}

impl Args {
    /// Provider, secrets and address of a source stand in the deployment.
    pub(crate) fn needs_names(&self) -> bool {
        self.source.is_some()
    }

    /// Those that were given; an empty variable is one that is not set.
    fn secrets(&self) -> Vec<Secret> {
        let given = self.secret.iter().filter(|text| !text.is_empty());
        given.cloned().map(Secret::new).collect()
    }
}

pub(super) async fn run(context: &Context, args: Args) -> Result<Outcome, Fault> {
    if let Some(file) = &args.jsonl {
        return judge_lines(&context.console, file);
    }
    let now = match &args.now {
        None => Timestamp::now(),
        Some(text) => parse_now(text, Timestamp::now())
            .map_err(|problem| Fault::usage(format!("--now: {problem}"), ""))?,
    };
    if let Some(url) = args.url.as_deref().filter(|url| !url.starts_with("http")) {
        return Err(Fault::usage(
            format!("--url {url:?} is not a whole address"),
            "give it with https:// and all, as it is set up at the provider",
        ));
    }
    let subject = Subject::new(context, &args).await?;
    let mut captured = read_request()?;
    let url = args.url.as_deref().or(subject.url.as_deref());
    match url {
        Some(url) if captured.set_url(url) => {
            context.console.note("note: the query of --url counts; the captured one differs");
        }
        None if subject.provider.signs_url() && captured.address.is_some() => {
            context.console.note(
                "note: the address is signed, and was taken from the request's Host; give --url \
                 if the provider calls another",
            );
        }
        _ => {}
    }
    let case = Case {
        provider: subject.provider.as_ref(),
        captured: &captured,
        secrets: &subject.secrets,
        now,
    };
    Ok(match case.judge() {
        Ok(()) => {
            say_valid(&context.console, &case);
            if let Some(source) = subject.source.filter(|_| !context.console.json) {
                let repeats = source.repeats(case.provider.signs_url());
                let text = format!("  sent again, it is {repeats}");
                context.console.line(context.console.tint(Tone::Dim, &text));
            }
            Outcome::Done
        }
        Err(rejection) => {
            say_invalid(&context.console, &case, rejection);
            Outcome::Negative
        }
    })
}

/// Who judges, with what.
struct Subject<'a> {
    provider: Arc<dyn Provider>,
    secrets: SecretBundle,
    url: Option<String>,
    /// Where it is one of the deployment's.
    source: Option<&'a Source>,
}

impl<'a> Subject<'a> {
    async fn new(context: &'a Context, args: &Args) -> Result<Self, Fault> {
        if let Some(name) = &args.source {
            let source = context.deployment.source(name)?;
            let provider = require(&source.provider)?;
            let url = Some(source.url.clone());
            let given = args.secrets();
            let secrets = if given.is_empty() {
                let id = source.secret_id.clone();
                SecretsManagerSecrets::new(context.aws().await?, id).fetch().await?
            } else {
                bundle(given)?
            };
            return Ok(Self { provider, secrets, url, source: Some(source) });
        }
        let Some(name) = &args.provider else {
            return Err(Fault::usage(
                "by whose scheme is not said",
                "give --provider with --secret, or --source, or --jsonl FILE",
            ));
        };
        let provider = require(name)?;
        let given = args.secrets();
        if given.is_empty() {
            return Err(Fault::usage(
                "no signing secret is given",
                "set INBOX_SIGNING_SECRET, give --secret, or --source for a deployed one",
            ));
        }
        Ok(Self { provider, secrets: bundle(given)?, url: None, source: None })
    }
}

fn require(name: &str) -> Result<Arc<dyn Provider>, Fault> {
    providers::require(name).map_err(|fault| Fault::usage(fault.to_string(), ""))
}

fn bundle(secrets: Vec<Secret>) -> Result<SecretBundle, Fault> {
    SecretBundle::of(secrets)
        .map_err(|_| Fault::usage("a signing secret is empty", "give --secret a value"))
}

/// Unix seconds, or what every other command takes for a time.
fn parse_now(text: &str, now: Timestamp) -> Result<Timestamp, String> {
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        let seconds = text.parse().ok().and_then(Timestamp::from_unix_seconds);
        return seconds.ok_or_else(|| format!("{text} is no time in Unix seconds"));
    }
    moments::parse_moment(text, now).map_err(|problem| format!("{problem}, or Unix seconds"))
}

fn read_request() -> Result<Captured, Fault> {
    let stdin = std::io::stdin();
    if stdin.is_terminal() {
        return Err(Fault::usage(
            "the request is read from standard input, and nothing is piped there",
            "inbox verify … < request.txt",
        ));
    }
    let mut bytes = Vec::new();
    stdin
        .lock()
        .read_to_end(&mut bytes)
        .map_err(|fault| Fault::io("read the request from standard input", &fault))?;
    Captured::parse(&bytes).map_err(|problem| {
        Fault::usage(
            format!("this is no captured request: {problem}"),
            "headers, an empty line, the body; `inbox verify --help` shows both forms",
        )
    })
}

fn say_valid(console: &Console, case: &Case<'_>) {
    let request = case.captured.judge(case.provider, case.secrets, case.now);
    let identity = request.map(|request| case.provider.identify(&request)).unwrap_or_default();
    let signed_at = case.provider.signed_at(&case.captured.request());
    let (position, of) = (case.signed_by(), case.secrets.signing_secrets().len());
    if console.json {
        console.value(&json!({
            "verdict": "valid", "provider": case.provider.name(), "reason": null,
            "signed_at": signed_at.map(Timestamp::to_rfc3339),
            "secret": position, "secrets": of,
            "event_id": identity.idempotency_key, "event_type": identity.event_type,
            "findings": [],
        }));
        return;
    }
    let (verdict, name) = (console.tint(Tone::Good, "valid"), case.provider.name());
    let when = signed_at.map_or_else(String::new, |signed_at| {
        format!(", signed {}", moments::relative(signed_at, case.now))
    });
    let by = match position {
        Some(position) => format!("secret {position} of {of}"),
        None => "another value of the source's secret".to_owned(),
    };
    console.line(format!("{verdict}: {name}{when}, with {by}"));
    let event = [identity.event_type, identity.idempotency_key];
    let event: Vec<_> = event.into_iter().flatten().collect();
    if !event.is_empty() {
        let text = inbox_core::event::clean_text(&event.join("  "), 400);
        console.line(console.tint(Tone::Dim, &format!("  {text}")));
    }
}

fn say_invalid(console: &Console, case: &Case<'_>, rejection: Rejection) {
    let reasons = case.reasons(rejection);
    if console.json {
        let signed_at = case.provider.signed_at(&case.captured.request());
        console.value(&json!({
            "verdict": "invalid", "provider": case.provider.name(), "reason": rejection.code(),
            "signed_at": signed_at.map(Timestamp::to_rfc3339),
            "findings": reasons,
        }));
        return;
    }
    let verdict = console.tint(Tone::Bad, "invalid");
    console.line(format!("{verdict}: {} ({})", rejection.code(), case.provider.name()));
    for Reason { certain, finding, advice } in reasons {
        let (mark, tone) = if certain { ("certain", Tone::Strong) } else { ("perhaps", Tone::Dim) };
        console.line(format!("\n{}  {finding}", console.tint(tone, mark)));
        if !advice.is_empty() {
            console.line(format!("         → {advice}"));
        }
    }
}

/// One answer for each line that can be judged; what cannot be is told on
/// standard error, by its number.
fn judge_lines(console: &Console, file: &Path) -> Result<Outcome, Fault> {
    let open = |path: &Path| {
        std::fs::File::open(path).map_err(|fault| {
            Fault::usage(format!("cannot read {}: {fault}", path.display()), "name another file")
        })
    };
    let reader: Box<dyn std::io::BufRead> = if file.as_os_str() == "-" {
        Box::new(std::io::stdin().lock())
    } else {
        Box::new(std::io::BufReader::new(open(file)?))
    };
    let progress = console.progress("judged", None);
    let mut outcome = Outcome::Done;
    for (at, line) in reader.split(b'\n').enumerate() {
        let line = line.map_err(|fault| Fault::io(format!("read {}", file.display()), &fault))?;
        if line.trim_ascii().is_empty() {
            continue;
        }
        let judged = std::str::from_utf8(&line)
            .map_err(|_| "not UTF-8".to_owned())
            .and_then(|line| records::judge(line, Timestamp::now));
        match judged {
            Ok(judged) => console.value(&judged),
            Err(problem) => {
                console.note(format!("line {}: {problem}", at + 1));
                outcome = Outcome::Negative;
            }
        }
        progress.step();
    }
    Ok(outcome)
}
