//! What happens to a provider's request. Read [`Receiver::accept`] first: it is
//! the product on one page.
//!
//! ```text
//! limits → secrets → handshake? → verify → identify → claim → send → 200
//!                                                    ①       ②      ③
//! ```
//!
//! Dying at ① loses nothing: the provider was not told 200 and sends again. At
//! ② the event is in the ledger: the provider's repeat or the sweeper sends its
//! message. At ③ it is being handled: the repeat is a duplicate, and an extra
//! message is harmless.
//!
//! A 2xx therefore means: the event is in the ledger, and somebody will look at
//! it by `due_at` at the latest, whatever dies. The claim carries the payload,
//! so there is nothing to lose between two writes. A duplicate that finds the
//! event untouched sends its message again, so no second write has to say that
//! the first was sent.
//!
//! Until the signature is verified, nothing is called but the cached secret, so
//! a flood of forged requests costs only the function's time.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use inbox_core::Timestamp;
use inbox_core::event::{Event, EventKey, TYPE_UNKNOWN, clean_text};
use inbox_core::ledger::{Claimed, Ledger, NewEvent};
use inbox_core::provider::{Identity, Payload, Provider, Rejection, Reply};
use inbox_core::queue::Queue;
use inbox_core::request::{Request, Verified};
use inbox_core::secrets::{SecretBundle, SecretCache, Secrets};
use inbox_core::signature::sha256_hex;
use inbox_core::telemetry::Metrics;

use crate::config::{Config, Dedup};
use crate::response::{Accepted, Refusal};
use crate::trace::traceparent;

/// Slack gives up after 3 s, Shopify after 5 s.
pub const REQUEST_TIMEOUT: Duration = Duration::from_millis(2500);

/// Longer ids are replaced by their hash: `DynamoDB` keys end at 2,048 bytes and
/// index keys at 1,024, and an id is repeated in headers and messages.
const ID_BYTES: usize = 256;
const TYPE_CHARACTERS: usize = 128;
const SUBJECT_CHARACTERS: usize = 256;
const HEADER_CHARACTERS: usize = 256;

/// One source's endpoint.
pub struct Receiver<L, Q, S> {
    /// What was read at start.
    pub config: Config,
    /// How this source's requests are verified.
    pub provider: Arc<dyn Provider>,
    /// Where events are kept.
    pub ledger: L,
    /// Who is woken.
    pub queue: Q,
    /// What requests are verified with.
    pub secrets: SecretCache<S>,
}

/// What to answer, and what to count.
enum Answer {
    Accepted(Accepted),
    Handshake(Reply),
}

impl<L: Ledger, Q: Queue, S: Secrets> Receiver<L, Q, S> {
    /// Answers one request, within [`REQUEST_TIMEOUT`], and counts it.
    /// `request_id` is the invocation's.
    pub async fn receive(
        &self,
        path: &str,
        request: Request,
        request_id: &str,
        now: Timestamp,
    ) -> Reply {
        let answer = self.accept(path, request, request_id, now);
        let answer =
            tokio::time::timeout(REQUEST_TIMEOUT, answer).await.unwrap_or(Err(Refusal::TooSlow));
        self.record(&answer, now);
        match answer {
            Ok(Answer::Accepted(accepted)) => accepted.into_reply(),
            Ok(Answer::Handshake(reply)) => reply,
            Err(refusal) => refusal.to_reply(),
        }
    }

    /// Answers a request that could not even be read, and counts it.
    pub fn refuse(&self, refusal: Refusal, now: Timestamp) -> Reply {
        let reply = refusal.to_reply();
        self.record(&Err(refusal), now);
        reply
    }

    async fn accept(
        &self,
        path: &str,
        request: Request,
        request_id: &str,
        now: Timestamp,
    ) -> Result<Answer, Refusal> {
        self.check_limits(path, &request)?;
        let request = request.with_public_urls(self.config.public_urls());
        let secrets = self.secrets.current(now).await?;
        if let Some(handshake) = self.provider.handshake(&request, &secrets, now) {
            return Ok(Answer::Handshake(handshake?));
        }

        let request = self.verify(request, &secrets, now).await?;
        let identity = self.provider.identify(&request);
        self.check_hook(&identity)?;
        let event = self.event(identity, &request, now);

        let new = self.new_event(event, request_id);
        let claimed = self.ledger.claim(&new).await?;
        match claimed {
            Claimed::Fresh => self.queue.send(&new.event, 1).await?,
            Claimed::Unconfirmed { life } => self.queue.send(&new.event, life).await?,
            Claimed::Conflict { unconfirmed: Some(life) } => {
                // What is kept is of another size.
                let mut kept = new.event.clone();
                kept.payload.bytes.clear();
                self.queue.send(&kept, life).await?;
            }
            Claimed::Duplicate | Claimed::Conflict { unconfirmed: None } => {}
        }

        Ok(Answer::Accepted(Accepted {
            reply: self.provider.reply(&request),
            id: new.event.key.id,
            event_type: new.event.event_type,
            is_duplicate: claimed != Claimed::Fresh,
            is_conflict: matches!(claimed, Claimed::Conflict { .. }),
        }))
    }

    fn check_limits(&self, path: &str, request: &Request) -> Result<(), Refusal> {
        let expected = format!("/webhooks/{}", self.config.source);
        // A custom domain's mapping may stand before it.
        if !path.ends_with(&expected) {
            return Err(Refusal::UnknownPath);
        }
        let allowed = self.provider.methods();
        if !allowed.contains(request.method()) {
            return Err(Refusal::WrongMethod { allowed });
        }
        let body_bytes = request.body().len();
        if body_bytes > self.config.max_body_bytes {
            return Err(Refusal::BodyTooLarge { body_bytes });
        }
        Ok(())
    }

    /// Verifies with the secrets at hand, and once more with newly fetched ones
    /// when the request could have been signed with a secret just added.
    async fn verify(
        &self,
        request: Request,
        secrets: &SecretBundle,
        now: Timestamp,
    ) -> Result<Request<Verified>, Refusal> {
        let provider = self.provider.as_ref();
        let refused = match request.verify(provider, secrets, now) {
            Ok(verified) => return Ok(verified),
            Err(refused) => *refused,
        };
        if refused.rejection == (Rejection::SignatureMismatch { fresh: true })
            && let Some(newer) = self.secrets.refetch(now).await
        {
            return refused.request.verify(provider, &newer, now).map_err(|r| r.rejection.into());
        }
        Err(refused.rejection.into())
    }

    /// Whether it is of a hook that is let in, where these were named.
    fn check_hook(&self, identity: &Identity) -> Result<(), Refusal> {
        let named = &self.config.hook_ids;
        let is_named = identity.hook_id.as_ref().is_some_and(|id| named.contains(id));
        if named.is_empty() || is_named { Ok(()) } else { Err(Refusal::UnknownHook) }
    }

    /// What the event is. What could not be read is not a reason to refuse it: the
    /// provider would only send the same again.
    fn event(&self, identity: Identity, request: &Request<Verified>, now: Timestamp) -> Event {
        let payload = identity.payload.unwrap_or_else(|| Payload {
            content_type: clean_text(
                &request.header("content-type").unwrap_or_default(),
                HEADER_CHARACTERS,
            ),
            bytes: request.body().clone(),
        });
        let event_type = identity
            .event_type
            .map(|text| clean_text(&text, TYPE_CHARACTERS))
            .filter(|text| !text.is_empty())
            .unwrap_or_else(|| TYPE_UNKNOWN.to_owned());
        // The body as sent, and nothing besides: headers are not signed, so
        // whoever captured a request could choose type and media type; and where
        // a timestamp is signed it is new on every retry.
        let id = match (self.config.dedup, identity.idempotency_key) {
            (Dedup::Content, _) | (Dedup::Id, None) => {
                format!("content-{}", sha256_hex(&[request.body()]))
            }
            (Dedup::Id, Some(id)) if is_usable(&id) => id,
            (Dedup::Id, Some(id)) => format!("id-{}", sha256_hex(&[id.as_bytes()])),
        };
        Event {
            key: EventKey { source: self.config.source.clone(), id },
            provider: self.provider.name().to_owned(),
            event_type,
            delivery_id: identity.delivery_id.map(|text| clean_text(&text, ID_BYTES)),
            subject: identity.subject.map(|text| clean_text(&text, SUBJECT_CHARACTERS)),
            occurred_at: identity.occurred_at,
            received_at: now,
            traceparent: traceparent(request),
            payload,
            headers: self.kept_headers(request),
        }
    }

    fn kept_headers(&self, request: &Request<Verified>) -> BTreeMap<String, String> {
        let kept = |name: &&'static str| {
            let value = request.header(name)?;
            Some(((*name).to_owned(), clean_text(&value, HEADER_CHARACTERS)))
        };
        self.provider.kept_headers().iter().filter_map(kept).collect()
    }

    fn new_event(&self, event: Event, request_id: &str) -> NewEvent {
        let due_at = event.received_at.plus(self.config.sweep_grace);
        let expires_at = event.received_at.plus(self.config.retention).ceil_to_seconds();
        NewEvent { event, request_id: request_id.to_owned(), due_at, expires_at }
    }

    /// One line for each request, with no word of its content.
    fn record(&self, answer: &Result<Answer, Refusal>, now: Timestamp) {
        let metrics = Metrics::of_source(&self.config.source);
        match answer {
            Ok(Answer::Accepted(accepted)) => {
                let name = if accepted.is_duplicate { "Duplicate" } else { "Accepted" };
                let metrics = metrics.count(name, 1);
                let also = |metrics: Metrics, is_so: bool, name| {
                    if is_so { metrics.count(name, 1) } else { metrics }
                };
                let metrics = also(metrics, accepted.event_type == TYPE_UNKNOWN, "Unknown");
                let metrics = also(metrics, accepted.is_conflict, "Conflict");
                metrics
                    .note("event_id", &accepted.id)
                    .note("event_type", &accepted.event_type)
                    .emit(now);
            }
            Ok(Answer::Handshake(_)) => {
                tracing::info!(source = self.config.source, "handshake answered");
            }
            Err(refusal) if refusal.is_ours() => {
                tracing::error!(
                    source = self.config.source,
                    fault = refusal.fault(),
                    "answered 503"
                );
                metrics.count("Unavailable", 1).emit(now);
            }
            Err(refusal) => {
                metrics
                    .by_each_and_all("Reason", refusal.to_string())
                    .count("Rejected", 1)
                    .emit(now);
            }
        }
    }
}

/// Whether an id can be a key, a header's value, a word in a log and an argument of
/// a command as it is. Senders choose ids, and people paste them into shells: none
/// that a shell would read otherwise, or a command as an option, stays what it is.
fn is_usable(id: &str) -> bool {
    (1..=ID_BYTES).contains(&id.len())
        && !id.starts_with('-')
        && id.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.:=+/@-".contains(&b))
}
