//! Events in every state, made as receiver and processor make them.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{self, StreamExt as _};
use inbox_aws::{DynamoDbLedger, SqsQueue};
use inbox_core::Timestamp;
use inbox_core::event::{Event, EventKey};
use inbox_core::ledger::{
    Begin, Begun, Burial, Claimed, Failure, Lease, Ledger as _, NewEvent, Record, RouteFailure,
    Settled, State, Suspects,
};
use inbox_core::provider::Payload;
use inbox_core::queue::{DeadLetter, Queue as _};

use super::rig::Operator;

/// Calls to the emulator at once.
const AT_ONCE: usize = 16;
pub(crate) const MAX_ATTEMPTS: u32 = 7;

/// An event to be, and where it is to stand.
#[derive(Clone, Debug)]
pub(crate) struct Given {
    pub(crate) event: Event,
    pub(crate) state: State,
    /// Of the handler `billing`, where it failed.
    pub(crate) error: String,
}

impl Given {
    /// A Stripe event that was received so long ago.
    pub(crate) fn new(id: &str, state: State, age: Duration) -> Self {
        let now = Timestamp::now().unix_ms();
        let received_at =
            Timestamp::from_unix_ms(now - i64::try_from(age.as_millis()).unwrap()).unwrap();
        Self {
            event: Event {
                key: EventKey { source: "stripe".into(), id: id.into() },
                provider: "stripe".into(),
                event_type: "invoice.paid".into(),
                delivery_id: None,
                subject: Some("in_1".into()),
                occurred_at: Some(received_at),
                received_at,
                traceparent: None,
                payload: Payload {
                    content_type: "application/json".into(),
                    bytes: format!(r#"{{"id":"{id}","type":"invoice.paid"}}"#).into(),
                },
                headers: BTreeMap::from([("user-agent".into(), "Stripe/1.0".into())]),
            },
            state,
            error: "upstream timeout".into(),
        }
    }

    pub(crate) fn of(mut self, source: &str, event_type: &str) -> Self {
        self.event.key.source = source.into();
        self.event.provider = source.split('_').next().unwrap_or(source).into();
        self.event.event_type = event_type.into();
        self
    }

    pub(crate) fn with_error(mut self, error: &str) -> Self {
        self.error = error.into();
        self
    }

    pub(crate) fn with_payload(mut self, content_type: &str, bytes: impl Into<Bytes>) -> Self {
        self.event.payload = Payload { content_type: content_type.into(), bytes: bytes.into() };
        self
    }

    /// Makes it, past every proxy.
    pub(crate) async fn make(self, ledger: &DynamoDbLedger, queue: &SqsQueue) {
        let at = self.event.received_at;
        let new = NewEvent {
            request_id: uuid::Uuid::new_v4().to_string(),
            due_at: at.plus(Duration::from_mins(15)),
            expires_at: at.plus(Duration::from_hours(24 * 30)).ceil_to_seconds(),
            event: self.event,
        };
        assert_eq!(ledger.claim(&new).await.unwrap(), Claimed::Fresh);
        if self.state == State::Received {
            return;
        }
        let record = begin(ledger, &new.event.key, 1, at).await;
        let failures = |next_at| {
            let failure = RouteFailure {
                error: self.error.clone(),
                quote: None,
                attempts: 1,
                next_at,
                deferrals: 0,
            };
            BTreeMap::from([("billing".to_owned(), failure)])
        };
        match self.state {
            State::Received => unreachable!("handled above"),
            State::Done => {
                ledger.complete(&record, "billing", &[], at.into()).await.unwrap();
            }
            State::Failing => {
                let next_at = Timestamp::now().plus(Duration::from_mins(5));
                let due_at = next_at.plus(Duration::from_mins(15));
                let errors = [("billing".to_owned(), self.error.clone())];
                let failures = failures(Some(next_at));
                let failure =
                    Failure { record: &record, failures: &failures, errors: &errors, due_at };
                assert_eq!(ledger.fail(&failure, at).await.unwrap(), Settled::Written);
            }
            State::Dead => {
                let error = format!("billing: {}", self.error);
                let letter = DeadLetter::buried(&record.event, 1, 1, &error);
                queue.send_dead(&letter).await.unwrap();
                let burial = Burial {
                    record: &record,
                    max_attempts: MAX_ATTEMPTS,
                    error: &error,
                    failures: &failures(None),
                };
                assert_eq!(ledger.bury(&burial, at).await.unwrap(), Settled::Written);
            }
        }
    }
}

/// Begins a life, expecting to run.
pub(crate) async fn begin(
    ledger: &DynamoDbLedger,
    key: &EventKey,
    life: u32,
    now: Timestamp,
) -> Record {
    let begin = Begin {
        life,
        lease: Lease {
            token: uuid::Uuid::new_v4().to_string(),
            until: now.plus(Duration::from_secs(70)),
        },
        max_attempts: MAX_ATTEMPTS,
        suspects: Suspects::Run,
    };
    match ledger.begin(key, &begin, now).await.unwrap() {
        Begun::Run(record) => *record,
        other => panic!("{key} should run: {other:?}"),
    }
}

/// Makes all of them, several at once.
pub(crate) async fn make(operator: &Operator, given: impl IntoIterator<Item = Given>) {
    let (ledger, queue) = (operator.ledger(), operator.queue());
    stream::iter(given).for_each_concurrent(AT_ONCE, |given| given.make(&ledger, &queue)).await;
}

/// `prefix-000`, `prefix-001`, …
pub(crate) fn ids(prefix: &str, count: usize) -> Vec<String> {
    (0..count).map(|n| format!("{prefix}-{n:03}")).collect()
}
