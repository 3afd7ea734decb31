//! Which events: filters, and finding what matches.
//!
//! ```text
//! --state dead, failing, received    index `open`: all shards, then the table
//! anything else                      index `timeline`: day by day, the newest
//!                                    first, its shards merged, then the table
//! ```
//!
//! The indexes find events; what has become of them is read from the table, so
//! that a state shown is the state now. What is past its retention is left out,
//! though TTL may delete it up to two days late.

use std::time::Duration;

use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use inbox_aws::{DynamoDbLedger, OpenKind, Summary};
use inbox_core::Timestamp;
use inbox_core::event::EventKey;
use inbox_core::ledger::{LedgerError, State};
use inbox_core::pattern::glob;
use inbox_core::stack::stack;

use crate::console::Progress;
use crate::deployment::Deployment;
use crate::fault::Fault;
use crate::lookup;
use crate::moments::parse_moment;
use crate::timeline::Walk;

/// Queries under way at once.
const AT_ONCE: usize = 32;
/// Rows looked at before their states are read.
const CHUNK: usize = 100;
/// How far the clocks that stamp events may be ahead of the one here: what has just
/// arrived is shown all the same, and nobody looks through a future without end.
const SKEW: Duration = Duration::from_mins(15);
/// How far back to look for events in any state when nobody says.
pub const DEFAULT_SINCE: Duration = Duration::from_hours(24);

/// Filters of events.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Filters")]
pub struct FilterArgs {
    /// Only events of this source; may be given several times
    #[arg(long = "source", value_name = "NAME")]
    pub sources: Vec<String>,
    /// Only events of this provider
    #[arg(long, value_name = "NAME")]
    pub provider: Option<String>,
    /// Only events whose type matches; `*` stands for any text
    #[arg(long = "type", value_name = "PATTERN")]
    pub event_type: Option<String>,
    /// Only events of this delivery of the provider's (X-GitHub-Delivery)
    #[arg(long, value_name = "ID")]
    pub delivery: Option<String>,
    /// Only events in this state; several with commas
    #[arg(long = "state", value_enum, value_delimiter = ',', value_name = "STATE")]
    pub states: Vec<StateName>,
    /// Not received before: 2h, 7d (ago), 2026-11-22, 2026-11-22T04:50:00Z
    #[arg(long, value_name = "WHEN")]
    pub since: Option<String>,
    /// Not received after
    #[arg(long, value_name = "WHEN")]
    pub until: Option<String>,
}

/// A state, as the command line names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum StateName {
    /// Accepted, not yet tried
    Received,
    /// The last attempt failed and another will follow
    Failing,
    /// Every handler is done
    Done,
    /// Given up
    Dead,
}

impl From<StateName> for State {
    fn from(name: StateName) -> Self {
        match name {
            StateName::Received => Self::Received,
            StateName::Failing => Self::Failing,
            StateName::Done => Self::Done,
            StateName::Dead => Self::Dead,
        }
    }
}

/// Filters, read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selection {
    sources: Vec<String>,
    provider: Option<String>,
    event_type: Option<String>,
    delivery: Option<String>,
    states: Vec<State>,
    since: Option<Timestamp>,
    until: Timestamp,
}

/// What was found.
#[derive(Clone, Debug)]
pub struct Found {
    /// The newest first.
    pub events: Vec<Summary>,
    /// Whether the limit cut something off.
    pub has_more: bool,
}

impl FilterArgs {
    /// Whether no filter is given.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.sources.is_empty()
            && self.provider.is_none()
            && self.event_type.is_none()
            && self.delivery.is_none()
            && self.states.is_empty()
            && self.since.is_none()
            && self.until.is_none()
    }

    /// Reads the filters.
    ///
    /// # Errors
    ///
    /// A time that cannot be read, or an unknown source.
    pub fn read(&self, deployment: &Deployment, now: Timestamp) -> Result<Selection, Fault> {
        let moment = |text: &Option<String>, option: &str| {
            let read = |text: &String| {
                parse_moment(text, now)
                    .map_err(|problem| Fault::usage(format!("{option}: {problem}"), ""))
            };
            text.as_ref().map(read).transpose()
        };
        // A misspelt source would look like one without events.
        if !deployment.sources.is_empty() {
            for source in &self.sources {
                deployment.source(source)?;
            }
        }
        let since = moment(&self.since, "--since")?;
        let until = moment(&self.until, "--until")?;
        if since.is_some_and(|since| since > until.unwrap_or(now)) {
            return Err(Fault::usage("--since is after --until", ""));
        }
        let until = until.map_or(now.plus(SKEW), |until| until.min(now.plus(SKEW)));
        let mut sources = self.sources.clone();
        sources.sort();
        sources.dedup();
        Ok(Selection {
            sources,
            provider: self.provider.clone(),
            event_type: self.event_type.clone(),
            delivery: self.delivery.clone(),
            states: self.states.iter().copied().map(State::from).collect(),
            since,
            until,
        })
    }
}

impl Selection {
    /// Not received before this, where it was said.
    #[must_use]
    pub fn since(&self) -> Option<Timestamp> {
        self.since
    }

    /// Whether the index `open` has all that can match.
    #[must_use]
    pub fn is_open(&self) -> bool {
        !self.states.is_empty() && !self.states.contains(&State::Done)
    }

    fn wants_source(&self, key: &EventKey) -> bool {
        self.sources.is_empty() || self.sources.contains(&key.source)
    }

    fn wants(
        &self,
        provider: &str,
        event_type: &str,
        delivery_id: Option<&str>,
        received_at: Timestamp,
    ) -> bool {
        let delivery = self.delivery.as_deref();
        (delivery.is_none() || delivery == delivery_id)
            && self.provider.as_ref().is_none_or(|wanted| wanted == provider)
            && self.event_type.as_ref().is_none_or(|pattern| glob(pattern, event_type))
            && self.since.is_none_or(|since| received_at >= since)
            && received_at <= self.until
    }

    fn accepts(&self, event: &Summary, now: Timestamp) -> bool {
        self.wants_source(&event.key)
            && self.wants(
                &event.provider,
                &event.event_type,
                event.delivery_id.as_deref(),
                event.received_at,
            )
            && (self.states.is_empty() || self.states.contains(&event.state))
            && event.expires_at >= now
    }

    /// Finds what matches, the newest first, at most `limit`.
    ///
    /// # Errors
    ///
    /// The table does not answer; or nothing says which sources there are.
    pub async fn find(
        &self,
        ledger: &DynamoDbLedger,
        deployment: &Deployment,
        limit: usize,
        now: Timestamp,
        progress: &Progress,
    ) -> Result<Found, Fault> {
        let mut events = if self.is_open() {
            self.find_open(ledger, now, progress).await?
        } else if let Some(events) = self.find_delivery(ledger, deployment, now, progress).await? {
            events
        } else {
            let sources = self.known_sources(deployment)?;
            let since = self.since.unwrap_or_else(|| self.until.minus(DEFAULT_SINCE));
            let mut walk = Walk::new(sources, since, self.until);
            self.find_arrived(ledger, &mut walk, limit, now, progress).await?
        };
        let has_more = events.len() > limit;
        events.truncate(limit);
        Ok(Found { events, has_more })
    }

    /// What a delivery brought: its id says when to look, as far as it tells. `None`
    /// where none is asked for, or the time is said.
    async fn find_delivery(
        &self,
        ledger: &DynamoDbLedger,
        deployment: &Deployment,
        now: Timestamp,
        progress: &Progress,
    ) -> Result<Option<Vec<Summary>>, Fault> {
        let Some(id) = self.delivery.as_deref().filter(|_| self.since.is_none()) else {
            return Ok(None);
        };
        let sources = self.known_sources(deployment)?;
        let Some(keys) = lookup::keys(ledger, &sources, id, now, progress).await? else {
            return Ok(None);
        };
        let mut events = ledger.summaries(&keys).await?;
        events.retain(|event| self.accepts(event, now));
        events.sort_by(|a, b| (b.received_at, &b.key).cmp(&(a.received_at, &a.key)));
        Ok(Some(events))
    }

    fn known_sources(&self, deployment: &Deployment) -> Result<Vec<String>, Fault> {
        if !self.sources.is_empty() {
            return Ok(self.sources.clone());
        }
        if deployment.sources.is_empty() {
            return Err(Fault::usage(
                "nothing says which sources there are",
                "give --source NAME, or --stack FILE, which names them",
            ));
        }
        Ok(deployment.sources.keys().cloned().collect())
    }

    async fn find_open(
        &self,
        ledger: &DynamoDbLedger,
        now: Timestamp,
        progress: &Progress,
    ) -> Result<Vec<Summary>, Fault> {
        let pending = [State::Received, State::Failing];
        let kinds = [
            (OpenKind::Pending, self.states.iter().any(|state| pending.contains(state))),
            (OpenKind::Dead, self.states.contains(&State::Dead)),
        ];
        let shards = stack().table.open_index.shards;
        let places = kinds
            .into_iter()
            .filter(|(_, wanted)| *wanted)
            .flat_map(|(kind, _)| (0..shards).map(move |shard| (kind, shard)));
        let keys: Vec<Vec<EventKey>> = stream::iter(places)
            .map(|(kind, shard)| open_keys(ledger, kind, shard))
            .buffer_unordered(AT_ONCE)
            .try_collect()
            .await?;
        let keys: Vec<EventKey> =
            keys.into_iter().flatten().filter(|key| self.wants_source(key)).collect();
        let chunks: Vec<Vec<Summary>> = stream::iter(keys.chunks(CHUNK))
            .map(|chunk| async move {
                let read = ledger.summaries(chunk).await;
                progress.add(chunk.len() as u64);
                read
            })
            .buffer_unordered(AT_ONCE / 4)
            .try_collect()
            .await?;
        let mut events: Vec<Summary> =
            chunks.into_iter().flatten().filter(|event| self.accepts(event, now)).collect();
        events.sort_by(|a, b| (b.received_at, &b.key).cmp(&(a.received_at, &a.key)));
        Ok(events)
    }

    /// One more than the limit, if there is one, so that the caller can tell.
    async fn find_arrived(
        &self,
        ledger: &DynamoDbLedger,
        walk: &mut Walk,
        limit: usize,
        now: Timestamp,
        progress: &Progress,
    ) -> Result<Vec<Summary>, Fault> {
        let mut events = Vec::new();
        loop {
            let mut keys = Vec::new();
            while keys.len() < CHUNK.min(limit.saturating_sub(events.len()).saturating_add(1)) {
                let Some(arrival) = walk.next(ledger, progress).await? else { break };
                let delivery_id = arrival.delivery_id.as_deref();
                let (provider, event_type) = (&arrival.provider, &arrival.event_type);
                if self.wants(provider, event_type, delivery_id, arrival.received_at) {
                    keys.push(arrival.key);
                }
            }
            if keys.is_empty() {
                return Ok(events);
            }
            let mut read = ledger.summaries(&keys).await?;
            read.retain(|event| self.accepts(event, now));
            read.sort_by(|a, b| (b.received_at, &b.key).cmp(&(a.received_at, &a.key)));
            events.extend(read);
            if events.len() > limit {
                return Ok(events);
            }
        }
    }
}

/// All keys of one shard of the index `open`.
pub(crate) async fn open_keys(
    ledger: &DynamoDbLedger,
    kind: OpenKind,
    shard: u32,
) -> Result<Vec<EventKey>, LedgerError> {
    let mut keys = Vec::new();
    let mut after = None;
    loop {
        let page = ledger.open(kind, shard, after).await?;
        keys.extend(page.rows.into_iter().map(|(key, _)| key));
        after = page.next;
        if after.is_none() {
            return Ok(keys);
        }
    }
}
