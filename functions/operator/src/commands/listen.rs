//! `inbox listen`: the deployed inbox's events, posted to a developer's machine.
//!
//! ```text
//! look at the timeline ─▶ each new event, in order: read ─▶ sign anew ─▶ post
//!        ▲  AWS away: wait, look again from where the last look began   │
//!        └──────────────────────────────── server away: wait, post again ┘
//! ```
//!
//! Nothing in the inbox changes: it handles its events as if nobody listened. A
//! server that is not there is waited for, since nothing reached it; one that
//! answers anything, or nothing in time, has had its event.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use inbox_aws::{Arrival, DynamoDbLedger, SecretsManagerSecrets};
use inbox_core::Timestamp;
use inbox_core::event::{Event, EventKey};
use inbox_core::ledger::{Ledger as _, LedgerError, Record};
use inbox_core::pattern::glob;
use inbox_core::provider::{Provider, Unsigned};
use inbox_core::secrets::{Secret, Secrets as _};
use inbox_receiver::providers;
use serde_json::json;

use crate::console::Tone;
use crate::context::Context;
use crate::fault::{Fault, Outcome};
use crate::follow::Follower;
use crate::http_client::{HttpClient, Posted};
use crate::moments::{counted, parse_moment, span};
use crate::pretty::printable;
use crate::stop::Stop;

const EXAMPLES: &str = "\
Examples:
  inbox listen --forward-to http://localhost:3000/webhooks
  inbox listen --source stripe --type 'invoice.*' --forward-to http://localhost:3000/stripe
  inbox listen --since 10m --forward-to http://localhost:3000/webhooks
  INBOX_SIGNING_SECRET=whsec_… inbox listen --forward-to …    always the same secret

Requests are signed as the provider signs them, with a secret that is made for this run and
shown at its start, or with INBOX_SIGNING_SECRET, or with --deployed-secret.";

const SIGNING_SECRET: &str = "INBOX_SIGNING_SECRET";
const WAIT_AT_FIRST: Duration = Duration::from_secs(1);
const WAIT_AT_MOST: Duration = Duration::from_secs(30);

/// What the command takes.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Where to post the events
    #[arg(long, value_name = "URL")]
    forward_to: String,
    /// Only events of this source; may be given several times
    #[arg(long = "source", value_name = "NAME")]
    sources: Vec<String>,
    /// Only events whose type matches; `*` stands for any text
    #[arg(long = "type", value_name = "PATTERN")]
    event_type: Option<String>,
    /// Begin with events received since then: 10m (ago), 2026-11-22T04:50:00Z; without it, with
    /// those that are not there yet
    #[arg(long, value_name = "WHEN")]
    since: Option<String>,
    /// Sign with each source's own signing secret
    #[arg(long)]
    deployed_secret: bool,
    /// Seconds between two looks
    #[arg(long, default_value_t = 2, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=60))]
    every: u64,
}

pub(super) async fn run(context: &Context, args: Args) -> Result<Outcome, Fault> {
    let stop = Stop::listen()?;
    let listener = Listener::new(context, &args).await?;
    let followed = tokio::select! {
        fault = listener.follow() => Some(fault),
        () = stop.asked() => None,
    };
    if let Some(fault) = followed {
        return Err(fault);
    }
    let count = listener.posted.load(Ordering::Relaxed);
    context.console.note(format!("{} posted", counted(count, "event")));
    Ok(Outcome::Done)
}

struct Listener<'a> {
    context: &'a Context,
    args: &'a Args,
    ledger: DynamoDbLedger,
    http: HttpClient,
    since: Option<Timestamp>,
    sources: Vec<String>,
    secrets: BTreeMap<String, Secret>,
    posted: AtomicU64,
}

impl<'a> Listener<'a> {
    async fn new(context: &'a Context, args: &'a Args) -> Result<Self, Fault> {
        HttpClient::check_address(&args.forward_to)?;
        if let Some(warning) = HttpClient::warning(&args.forward_to) {
            context.console.note(warning);
        }
        let read = |text: &String| {
            parse_moment(text, context.now())
                .map_err(|problem| Fault::usage(format!("--since: {problem}"), ""))
        };
        let since = args.since.as_ref().map(read).transpose()?;
        for source in &args.sources {
            context.deployment.source(source)?;
        }
        let sources: Vec<String> = if args.sources.is_empty() {
            context.deployment.sources.keys().cloned().collect()
        } else {
            args.sources.clone()
        };
        if sources.is_empty() {
            return Err(Fault::usage(
                "nothing says which sources there are",
                "give --stack FILE, whose `sources` name them",
            ));
        }
        let ledger = context.ledger().await?;
        let secrets = secrets(context, args, &sources).await?;
        let posted = AtomicU64::new(0);
        let http = HttpClient::without_reuse()?;
        Ok(Self { context, args, ledger, http, since, sources, secrets, posted })
    }

    /// Goes on until something happens that waiting does not mend.
    async fn follow(&self) -> Fault {
        let sources = self.sources.clone();
        let mut follower = match self.since {
            Some(since) => Follower::new(sources, since),
            None => Follower::from_here(sources, self.context.now()),
        };
        let mut wait = Wait::default();
        loop {
            let seen = follower.look(&self.ledger, self.context.now()).await;
            let arrivals = match seen {
                Ok(arrivals) => arrivals,
                Err(fault) if wait.is_first_ever() => return fault.into(),
                Err(fault) => {
                    wait.after(self.context, &fault.to_string()).await;
                    continue;
                }
            };
            if wait.is_first_ever() {
                self.tell_start();
            }
            wait.over(self.context);
            for arrival in arrivals {
                if let Err(fault) = self.forward(&arrival).await {
                    return fault;
                }
            }
            tokio::time::sleep(Duration::from_secs(self.args.every)).await;
        }
    }

    /// Not before the first look: what comes after this is new.
    fn tell_start(&self) {
        let (from, to) = (self.sources.join(", "), &self.args.forward_to);
        self.context.console.note(format!("listening to {from}, posting to {to}; Ctrl-C ends it"));
    }

    async fn forward(&self, arrival: &Arrival) -> Result<(), Fault> {
        let wanted = |pattern: &String| glob(pattern, &arrival.event_type);
        if !self.args.event_type.as_ref().is_none_or(wanted) {
            return Ok(());
        }
        let Some(event) = self.read(arrival).await? else { return Ok(()) };
        let provider = providers::require(&event.provider)
            .map_err(|fault| Fault::refused(fault.to_string(), "use a newer `inbox`"))?;
        let secret = &self.secrets[&arrival.key.source];
        let mut wait = Wait::started();
        loop {
            let started = Instant::now();
            let (url, headers) = self.request(&event, &provider, secret);
            let body = event.payload.bytes.clone();
            match self.http.try_post(&url, &headers, body).await? {
                Posted::Answered(answer) => {
                    self.tell(&event, Some(answer.status), &span(started.elapsed()));
                    break;
                }
                Posted::NoAnswer(problem) => {
                    self.tell(&event, None, &problem);
                    break;
                }
                Posted::NotConnected(problem) => wait.after(self.context, &problem).await,
            }
        }
        wait.over(self.context);
        self.posted.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// The whole event, however often that must be tried; `None` when there is
    /// nothing to post any more.
    async fn read(&self, arrival: &Arrival) -> Result<Option<Event>, Fault> {
        let mut wait = Wait::started();
        loop {
            match self.whole(&arrival.key).await {
                Ok(record) => {
                    wait.over(self.context);
                    let kept = record.filter(|record| record.forgotten_at.is_none());
                    return Ok(kept.map(|record| record.event));
                }
                Err(fault @ LedgerError::Unreadable(_)) => return Err(fault.into()),
                // It cannot be had any more; what comes after it can.
                Err(fault @ LedgerError::PayloadLost(_)) => {
                    self.context.console.note(format!("{}: {fault}", arrival.key));
                    return Ok(None);
                }
                Err(fault) => wait.after(self.context, &fault.to_string()).await,
            }
        }
    }

    async fn whole(&self, key: &EventKey) -> Result<Option<Record>, LedgerError> {
        let mut record = self.ledger.get(key).await?;
        if let Some(record) = &mut record {
            self.ledger.load(record).await?;
        }
        Ok(record)
    }

    /// As the provider would post it now to this address.
    fn request(
        &self,
        event: &Event,
        provider: &Arc<dyn Provider>,
        secret: &Secret,
    ) -> (String, Vec<(String, String)>) {
        let payload = &event.payload;
        let url = provider.address(&self.args.forward_to, &payload.content_type, &payload.bytes);
        let unsigned = Unsigned {
            url: &url,
            content_type: &event.payload.content_type,
            body: &event.payload.bytes,
            id: event.delivery_id.as_deref().unwrap_or(&event.key.id),
            event_type: &event.event_type,
            now: self.context.now(),
        };
        let signed = provider.sign(&unsigned, secret);
        let mut headers: Vec<(String, String)> =
            signed.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        headers.push(("Content-Type".into(), event.payload.content_type.clone()));
        for (name, value) in &event.headers {
            if !headers.iter().any(|(given, _)| given.eq_ignore_ascii_case(name)) {
                headers.push((name.clone(), value.clone()));
            }
        }
        (url, headers)
    }

    fn tell(&self, event: &Event, status: Option<u16>, about: &str) {
        let console = &self.context.console;
        let key = &event.key;
        if console.json {
            console.value(&json!({
                "at": self.context.now().to_rfc3339(), "source": key.source, "id": key.id,
                "type": event.event_type, "status": status, "detail": about,
            }));
            return;
        }
        let (tone, status) = match status {
            Some(status @ 200..300) => (Tone::Good, status.to_string()),
            Some(status) => (Tone::Bad, status.to_string()),
            None => (Tone::Bad, "no answer".to_owned()),
        };
        let time = &self.context.now().to_rfc3339()[11..19];
        let status = console.tint(tone, &status);
        let what = printable(&format!("{}  {}  {}", key.source, event.event_type, key.id));
        console.line(format!("{time}  {what}  {status}  {about}"));
    }
}

/// What each source's events are signed with; fetched before the first event, so
/// that nothing but the table is needed later.
async fn secrets(
    context: &Context,
    args: &Args,
    sources: &[String],
) -> Result<BTreeMap<String, Secret>, Fault> {
    if !args.deployed_secret {
        let secret = signing_secret(context);
        return Ok(sources.iter().map(|source| (source.clone(), secret.clone())).collect());
    }
    let mut secrets = BTreeMap::new();
    for source in sources {
        let id = context.deployment.source(source)?.secret_id.clone();
        let bundle = SecretsManagerSecrets::new(context.aws().await?, id).fetch().await?;
        secrets.insert(source.clone(), bundle.signing_secrets()[0].clone());
    }
    Ok(secrets)
}

fn signing_secret(context: &Context) -> Secret {
    if let Ok(given) = std::env::var(SIGNING_SECRET)
        && !given.is_empty()
    {
        return Secret::new(given);
    }
    let mut bytes = [0; 32];
    bytes[..16].copy_from_slice(uuid::Uuid::new_v4().as_bytes());
    bytes[16..].copy_from_slice(uuid::Uuid::new_v4().as_bytes());
    let made = format!("whsec_{}", STANDARD.encode(bytes));
    // It guards nothing but this run.
    context.console.note(format!("signing secret of this run: {made}"));
    Secret::new(made)
}

/// Waiting for something that is away: told once, and told when it is back.
#[derive(Debug, Default)]
struct Wait {
    next: Option<Duration>,
    is_started: bool,
}

impl Wait {
    fn started() -> Self {
        Self { next: None, is_started: true }
    }

    /// Whether nothing has ever worked: then it is a mistake, not a loss.
    fn is_first_ever(&self) -> bool {
        !self.is_started
    }

    async fn after(&mut self, context: &Context, problem: &str) {
        if self.next.is_none() {
            context.console.note(format!("{problem}; trying again, nothing is missed"));
        }
        let wait = self.next.unwrap_or(WAIT_AT_FIRST);
        self.next = Some((wait * 2).min(WAIT_AT_MOST));
        tokio::time::sleep(wait).await;
    }

    fn over(&mut self, context: &Context) {
        self.is_started = true;
        if self.next.take().is_some() {
            context.console.note("back again");
        }
    }
}
