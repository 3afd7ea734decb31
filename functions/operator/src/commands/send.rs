//! `inbox send`: a provider's signed request, posted or printed as `curl`.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use fastrand::Rng;
use http::{HeaderName, HeaderValue};
use inbox_aws::AwsClock;
use inbox_aws::SecretsManagerSecrets;
use inbox_core::event::clean_text;
use inbox_core::provider::{Provider, Unsigned};
use inbox_core::secrets::{CACHE_FOR, Secret, Secrets as _};
use inbox_receiver::providers;
use serde_json::json;
use tokio::task::JoinSet;

use crate::console::Tone;
use crate::context::Context;
use crate::curl;
use crate::deployment::Source;
use crate::drafts::{Bodies, Draft};
use crate::fault::{Fault, Outcome};
use crate::http_client::HttpClient;
use crate::moments;
use crate::pace::Pace;
use crate::shell::word;
use crate::stop::Stop;
use crate::tally::{Answered, Tally, milliseconds};

const EXAMPLES: &str = "\
Each request is a new event: its id is made up, the rest is as the provider documents it. The
secret is the source's own, from Secrets Manager, or INBOX_SIGNING_SECRET. Without a --stack
file, SOURCE may be a provider's name, if --url and INBOX_SIGNING_SECRET are given.

Examples:
  inbox send stripe
  inbox send stripe --type 'invoice.*' --count 100 --rate 20
  inbox send github --type push --curl
  inbox send twilio --file callback.form
  INBOX_SIGNING_SECRET=whsec_… inbox send stripe --url http://localhost:3000/webhooks

Exit codes: 0 all answered with 2xx, 1 some were not, 3 there was no answer.";

const SECRET_VARIABLE: &str = "INBOX_SIGNING_SECRET";
/// Requests under way at once; a slower address slows the sending down.
const AT_ONCE: usize = 64;
const USER_AGENT: &str = concat!("webhook-inbox/", env!("CARGO_PKG_VERSION"));

/// What the command takes.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The source whose provider is to be imitated
    source: String,
    /// The type of event, * for any text; of several that match, they take turns. With --file,
    /// the type in the header, where the provider has one
    #[arg(long = "type", value_name = "PATTERN")]
    event_type: Option<String>,
    /// Send this body, as it is; - is standard input
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Media type of --file; else guessed from its name and content
    #[arg(long, value_name = "TYPE", requires = "file")]
    content_type: Option<String>,
    /// Send here instead of to the source's address
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// The address to sign, where the provider signs it and it is not the one that is called
    #[arg(long, value_name = "URL")]
    signed_url: Option<String>,
    /// A further header, which nothing signs, such as 'X-GitHub-Hook-ID: 292430182'; may be given
    /// several times
    #[arg(long = "header", value_name = "NAME: VALUE", value_parser = header)]
    headers: Vec<(String, String)>,
    /// How many
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    count: u32,
    /// How many a second, at most
    #[arg(long, value_name = "R", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=1000))]
    rate: u32,
    /// Print a curl command instead of sending
    #[arg(long, conflicts_with_all = ["count", "rate"])]
    curl: bool,
}

impl Args {
    /// A request to an address that was given needs no deployment.
    pub(crate) fn needs_names(&self) -> bool {
        self.url.is_none()
    }
}

pub(super) async fn run(context: &Context, args: Args) -> Result<Outcome, Fault> {
    let named = Named::new(context, &args)?;
    let event_type = args.event_type.as_deref();
    let bodies = match &args.file {
        Some(file) => Bodies::of_file(file, args.content_type.as_deref(), event_type)?,
        None => Bodies::of_samples(named.provider.name(), event_type)?,
    };
    let target = Target::new(context, &args, named).await?;
    let mut random = Rng::new();
    if args.curl {
        let request = target.request(&bodies.next(0, &mut random));
        print_curl(context, &target, &request);
        return Ok(Outcome::Done);
    }
    if let Some(warning) = HttpClient::warning(&target.url) {
        context.console.note(warning);
    }
    let client = HttpClient::new()?;
    if args.count == 1 {
        let draft = bodies.next(0, &mut random);
        let answered = target.request(&draft).post(&client).await?;
        say_one(context, &args.source, &target, &draft, &answered);
        return Ok(if answered.is_success() { Outcome::Done } else { Outcome::Negative });
    }
    send_many(context, &args, target, &bodies, &client, &mut random).await
}

/// Where to, and by whom it seems to come.
struct Target {
    provider: Arc<dyn Provider>,
    secret: Secret,
    url: String,
    /// The address to sign, if another.
    signed_url: Option<String>,
    /// Sent besides.
    headers: Vec<(String, String)>,
    clock: AwsClock,
}

impl Target {
    async fn new(context: &Context, args: &Args, named: Named<'_>) -> Result<Self, Fault> {
        let secret = match given_secret() {
            Some(secret) => secret,
            None => named.stored_secret(context).await?,
        };
        // Without a source there is an address, or it would not have been named.
        let known = named.source.map(|source| source.url.clone());
        let url = args.url.clone().or(known).unwrap_or_default();
        Ok(Self {
            provider: named.provider,
            secret,
            url,
            signed_url: args.signed_url.clone(),
            headers: args.headers.clone(),
            clock: context.clock.clone(),
        })
    }

    /// Signed now.
    fn request(&self, draft: &Draft) -> Signed {
        let Draft { content_type, event_type, fresh, .. } = draft;
        let address = |url: &str| self.provider.address(url, content_type, &fresh.body);
        let url = address(&self.url);
        let signed_url = self.signed_url.as_deref().map_or_else(|| url.clone(), address);
        let unsigned = Unsigned {
            url: &signed_url,
            content_type,
            body: &fresh.body,
            id: &fresh.id,
            event_type,
            now: self.clock.now(),
        };
        let mut headers = vec![
            ("Content-Type".to_owned(), content_type.clone()),
            ("User-Agent".to_owned(), USER_AGENT.to_owned()),
        ];
        let signature = self.provider.sign(&unsigned, &self.secret);
        headers.extend(signature.into_iter().map(|(name, value)| (name.to_owned(), value)));
        headers.extend(self.headers.iter().cloned());
        Signed { url, headers, body: Bytes::from(fresh.body.clone()) }
    }
}

/// Whose requests, as far as the arguments say.
struct Named<'a> {
    provider: Arc<dyn Provider>,
    source: Option<&'a Source>,
}

impl<'a> Named<'a> {
    /// A source of the deployment; or a provider, with all else given.
    fn new(context: &'a Context, args: &Args) -> Result<Self, Fault> {
        match context.deployment.source(&args.source) {
            Ok(source) => {
                let provider = providers::require(&source.provider)
                    .map_err(|fault| Fault::usage(fault.to_string(), "correct the --stack file"))?;
                Ok(Self { provider, source: Some(source) })
            }
            Err(fault) => match providers::find(&args.source) {
                Some(provider) if args.url.is_some() && given_secret().is_some() => {
                    Ok(Self { provider, source: None })
                }
                _ => Err(fault),
            },
        }
    }

    /// The first that can be one: what the provider itself uses, or will.
    async fn stored_secret(&self, context: &Context) -> Result<Secret, Fault> {
        let id = self.source.map(|source| source.secret_id.clone()).unwrap_or_default();
        let bundle = SecretsManagerSecrets::new(context.aws().await?, id).fetch().await?;
        let bundle = bundle.checked(self.provider.as_ref()).map_err(|fault| {
            Fault::refused(fault.to_string(), "look at it with `inbox secret show`")
        })?;
        Ok(bundle.signing_secrets()[0].clone())
    }
}

/// `Name: value`, as HTTP allows it.
fn header(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once(':').ok_or("a header is NAME: VALUE")?;
    let (name, value) = (name.trim(), value.trim());
    let is_header =
        HeaderName::from_bytes(name.as_bytes()).is_ok() && HeaderValue::from_str(value).is_ok();
    if is_header {
        Ok((name.to_owned(), value.to_owned()))
    } else {
        Err("no HTTP header is so".to_owned())
    }
}

fn given_secret() -> Option<Secret> {
    let given = std::env::var(SECRET_VARIABLE).ok();
    given.filter(|text| !text.is_empty()).map(Secret::new)
}

/// A request ready to go.
struct Signed {
    url: String,
    headers: Vec<(String, String)>,
    body: Bytes,
}

impl Signed {
    async fn post(self, client: &HttpClient) -> Result<Answered, Fault> {
        let begun = Instant::now();
        let answer = client.post(&self.url, &self.headers, self.body).await?;
        let header = |name: &str| {
            let value = answer.headers.get(name)?.to_str().ok()?;
            Some(clean_text(value, 256))
        };
        Ok(Answered {
            status: answer.status,
            inbox_status: header("x-inbox-status"),
            inbox_id: header("x-inbox-id"),
            body: clean_text(&String::from_utf8_lossy(&answer.body), 200),
            took: begun.elapsed(),
        })
    }
}

fn print_curl(context: &Context, target: &Target, request: &Signed) {
    let command = curl::command(&request.url, &request.headers, &request.body);
    if context.console.json {
        context.console.value(&json!({ "curl": command }));
        return;
    }
    context.console.line(command);
    if let Some(tolerance) = target.provider.tolerance() {
        let span = moments::span(tolerance);
        context.console.note(format!("note: its signature is good for {span}"));
    }
}

fn say_one(context: &Context, source: &str, target: &Target, draft: &Draft, answered: &Answered) {
    let Answered { status, inbox_status, inbox_id, body, took } = answered;
    let console = &context.console;
    if console.json {
        console.value(&json!({
            "source": source, "provider": target.provider.name(), "url": target.url,
            "type": draft.name, "status": status, "inbox_status": inbox_status,
            "inbox_id": inbox_id, "took_ms": milliseconds(*took),
        }));
        return;
    }
    let tone = if answered.is_success() { Tone::Good } else { Tone::Bad };
    let said = inbox_status.as_deref().map_or(String::new(), |status| format!(" {status}"));
    let first = console.tint(tone, &format!("{status}{said}"));
    console.line(format!("{first} in {} ms  {}", milliseconds(*took), draft.name));
    match inbox_id {
        Some(id) => {
            console.note(format!("look at it: inbox show {} {}", word(source), word(id)));
        }
        None if !answered.is_success() && !body.is_empty() => console.line(format!("  {body}")),
        None => {}
    }
    if *status == 401 {
        console.note(format!(
            "it was signed with the newest secret of {source}: one that was added less than {} ago may \
             not have reached the receiver",
            moments::span(CACHE_FOR)
        ));
    }
}

async fn send_many(
    context: &Context,
    args: &Args,
    target: Target,
    bodies: &Bodies,
    client: &HttpClient,
    random: &mut Rng,
) -> Result<Outcome, Fault> {
    let stop = Stop::listen()?;
    let mut pace = Pace::new(args.rate);
    let mut tally = Tally::default();
    let mut under_way = JoinSet::new();
    let progress = context.console.progress("sent", Some(u64::from(args.count)));
    for turn in 0..args.count {
        tokio::select! {
            biased;
            () = stop.asked() => break,
            () = pace.turn() => {}
        }
        let request = target.request(&bodies.next(turn as usize, random));
        if turn == 0 {
            // Nobody there at the first: nobody there for the rest.
            tally.add(Ok(request.post(client).await?));
            progress.step();
            continue;
        }
        if under_way.len() == AT_ONCE
            && let Some(Ok(answered)) = under_way.join_next().await
        {
            tally.add(answered);
            progress.step();
        }
        let client = client.clone();
        under_way.spawn(async move { request.post(&client).await });
    }
    while let Some(answered) = under_way.join_next().await {
        if let Ok(answered) = answered {
            tally.add(answered);
            progress.step();
        }
    }
    drop(progress);
    tally.say(&context.console, &args.source, &target.url);
    if stop.is_asked() {
        let done = format!("sent {} of {}", tally.sent(), args.count);
        return Err(Fault::Interrupted { done });
    }
    tally.outcome()
}
