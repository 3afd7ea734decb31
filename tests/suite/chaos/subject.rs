//! The events of a run: each has a number that stands in all its ids, so that any call
//! about it, whoever makes it, can be told to be about it.

use std::fmt;

use inbox_core::event::EventKey;
use inbox_local::{Delivery, TestBed};
use serde_json::{Value, json};

use crate::e2e::large::enlarged;
use crate::e2e::references::padded;
use crate::forward::endpoint::Endpoint;
use crate::targets::made;

/// Compressed, more than an item holds.
const LARGE_BYTES: usize = 500_000;
/// More than a target takes, and compressed no more than an item holds.
const PADDING_BYTES: usize = 300_000;

/// Stands before the eight digits of an event's number. Hexadecimal, since a Twilio
/// sid is.
const TAG: &str = "c4a05";

/// Who sends, and under which name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Source {
    Stripe,
    Github,
    /// A sender by Standard Webhooks with the retries of Slack.
    Slack,
    Twilio,
}

impl Source {
    pub(super) const ALL: [Self; 4] = [Self::Stripe, Self::Github, Self::Slack, Self::Twilio];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Stripe => "stripe",
            Self::Github => "github",
            Self::Slack => "slack",
            Self::Twilio => "twilio",
        }
    }

    pub(super) fn provider(self) -> &'static str {
        if self == Self::Slack { "standard_webhooks" } else { self.name() }
    }

    pub(super) fn secret(self) -> &'static str {
        match self {
            Self::Stripe => "whsec_local_stripe_signing_secret",
            Self::Github => "local-github-signing-secret",
            Self::Slack => "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
            Self::Twilio => "0123456789abcdef0123456789abcdef",
        }
    }
}

/// What the handler `drill` does with an event, besides what `mirror` does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Outcome {
    /// Nothing: the mirror is its only handler.
    Fine,
    FailsOnce,
    FailsTwice,
    Permanent,
    PanicsOnce,
    HangsOnce,
    /// The process ends at the first attempt.
    ExitsOnce,
    /// The process ends at every attempt.
    Poison,
    /// No handler is meant for it.
    Unrouted,
    /// It goes on a bus, besides.
    Published,
    /// A function is called with it, besides.
    Invoked,
    /// It goes to somebody's queue, besides.
    Enqueued,
    /// It goes to somebody's topic, besides.
    Announced,
    /// It is posted to somebody's endpoint, besides.
    Forwarded,
}

impl Outcome {
    const DRILLED: [Self; 7] = [
        Self::FailsOnce,
        Self::FailsTwice,
        Self::Permanent,
        Self::PanicsOnce,
        Self::HangsOnce,
        Self::ExitsOnce,
        Self::Poison,
    ];

    /// The last word of the event's type.
    fn word(self) -> &'static str {
        match self {
            Self::Fine => "fine",
            Self::FailsOnce => "fails_once",
            Self::FailsTwice => "fails_twice",
            Self::Permanent => "permanent",
            Self::PanicsOnce => "panics_once",
            Self::HangsOnce => "hangs_once",
            Self::ExitsOnce => "exits_once",
            Self::Poison => "poison",
            Self::Unrouted => "unrouted",
            Self::Published => "published",
            Self::Invoked => "invoked",
            Self::Enqueued => "enqueued",
            Self::Announced => "announced",
            Self::Forwarded => "forwarded",
        }
    }

    fn drill(self) -> Value {
        match self {
            Self::FailsTwice => json!({ "outcome": "retry", "attempts": 2 }),
            Self::Permanent => json!({ "outcome": "permanent" }),
            Self::PanicsOnce => json!({ "outcome": "panic", "attempts": 1 }),
            Self::HangsOnce => json!({ "outcome": "hang", "attempts": 1 }),
            Self::ExitsOnce => json!({ "outcome": "exit", "attempts": 1 }),
            Self::Poison => json!({ "outcome": "exit" }),
            _ => json!({ "outcome": "retry", "attempts": 1 }),
        }
    }

    /// Whether such an event can only end dead.
    pub(super) fn is_hopeless(self) -> bool {
        matches!(self, Self::Permanent | Self::Poison)
    }
}

/// The mirror for all that are routed, and to each its drill.
pub(super) fn routes() -> Vec<Value> {
    let mirrored = ["stripe:payment_intent.*", "slack:user.*", "github:push", "twilio:*"];
    let mirror = mirrored.iter().map(|pattern| {
        let id = format!("mirror-{}", pattern.split(':').next().unwrap_or_default());
        json!({ "id": id, "match": pattern, "handler": "mirror" })
    });
    let drills = Outcome::DRILLED.iter().map(|outcome| {
        let pattern = format!("*:*.{}", outcome.word());
        let with = outcome.drill();
        json!({ "id": format!("drill-{}", outcome.word()), "match": pattern, "handler": "drill", "with": with })
    });
    mirror.chain(drills).collect()
}

/// A route to each kind of target outside of the inbox, made for this.
pub(super) async fn target_routes(bed: &TestBed, endpoint: &Endpoint) -> Vec<Value> {
    let queue = made::queue(bed, "target").await;
    let topic = made::topic(bed, "topic").await;
    let bus = made::bus(bed, &queue).await;
    let function = made::function(bed).await;
    let (secret, url) = (made::forward_secret(bed).await, endpoint.url());
    let forward = json!({ "url": url, "secret_id": secret, "allow_private_addresses": true });
    let routes = [
        (Outcome::Published, "publish", json!({ "bus": bus })),
        (Outcome::Invoked, "invoke", json!({ "function": function })),
        (Outcome::Enqueued, "enqueue", json!({ "queue_url": queue })),
        (Outcome::Announced, "enqueue", json!({ "topic_arn": topic })),
        (Outcome::Forwarded, "forward", forward),
    ];
    let routes = routes.map(|(outcome, handler, with)| {
        let pattern = format!("*:*.{}", outcome.word());
        json!({ "id": outcome.word(), "match": pattern, "handler": handler, "with": with })
    });
    routes.into()
}

/// How large an event's payload is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Size {
    /// As its provider's are.
    Usual,
    /// An item of the table still holds it; targets outside of the inbox do not take it.
    OfAnItem,
    /// No item holds it.
    OfAnObject,
}

/// One event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Subject {
    pub(super) number: u32,
    pub(super) source: Source,
    pub(super) outcome: Outcome,
    pub(super) size: Size,
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "event {} ({:?}, {:?})", self.number, self.source, self.outcome)
    }
}

/// The number of the event that a text is about, if it is about one.
pub(super) fn number_in(text: &str) -> Option<u32> {
    let at = text.find(TAG)? + TAG.len();
    text.get(at..at + 8)?.parse().ok()
}

impl Subject {
    fn tag(self) -> String {
        format!("{TAG}{:08}", self.number)
    }

    /// Its key in the ledger; Twilio's holds a hash besides.
    pub(super) fn key(self) -> EventKey {
        let id = match self.source {
            Source::Stripe => format!("evt_{}", self.tag()),
            _ => self.tag(),
        };
        EventKey { source: self.source.name().to_owned(), id }
    }

    /// As its provider sends it, signed now.
    pub(super) fn delivery(self) -> Delivery {
        let (source, tag) = (self.source, self.tag());
        let fixture = |file| {
            let fixture = Delivery::fixture(source.provider(), file, source.secret());
            fixture.expect("a fixture").to(source.name())
        };
        let delivery = match source {
            Source::Stripe => {
                let kind =
                    if self.outcome == Outcome::Unrouted { "charge" } else { "payment_intent" };
                let event_type = format!(r#""{kind}.{}""#, self.outcome.word());
                fixture("payment_intent_succeeded.json")
                    .replacing("evt_test_1", &format!("evt_{tag}"))
                    .replacing("pi_test_1", &format!("pi_{tag}"))
                    .replacing(r#""payment_intent.succeeded""#, &event_type)
            }
            Source::Github => {
                let mut push =
                    fixture("push.json").replacing("refs/heads/main", &format!("refs/heads/{tag}"));
                push.id = tag;
                push
            }
            Source::Slack => {
                let event_type = format!(r#""user.{}""#, self.outcome.word());
                let mut event = fixture("user_created.json")
                    .replacing("user_test_1", &format!("user_{tag}"))
                    .replacing(r#""user.created""#, &event_type);
                event.id = tag;
                event
            }
            Source::Twilio => fixture("message_status_sent.form")
                .replacing("SM11111111111111111111111111111111", &format!("SM{tag:0>32}")),
        };
        match self.size {
            Size::Usual => delivery,
            Size::OfAnItem => padded(delivery, PADDING_BYTES),
            Size::OfAnObject => enlarged(delivery, LARGE_BYTES),
        }
    }
}
