//! An `UpdateItem` in the making.

use std::collections::HashMap;

use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use bytes::Bytes;
use inbox_core::Timestamp;
use inbox_core::event::EventKey;
use inbox_core::ledger::{Completion, Record, State};
use inbox_core::stack::stack;

use crate::compression::compress;
use crate::item::{
    self, ATTEMPTS, DONE_AT, FAILURES, FORGOTTEN_AT, HANDLERS, HISTORY, Item, LAST_ERROR,
    LEASE_TOKEN, LEASED_UNTIL, LIFE, NEXT_AT, ONLY, STATE, SWEEPS, number, seconds, text,
};
use crate::ledger::UNFINISHED;
use crate::{route_history, steering};

/// How a completion is written.
pub(crate) enum Form {
    /// The last one, which also finishes the event.
    Last,
    /// One before it.
    NotLast,
    /// Another has begun since, or acted in its place, and finishes.
    Late,
    /// The event has ended, as it was seen.
    AfterTheEnd { held: Box<Record>, finishes: bool },
}

impl Form {
    pub(crate) fn finishes(&self) -> bool {
        matches!(self, Self::Last | Self::AfterTheEnd { finishes: true, .. })
    }
}

/// That an event is still with the run whose `begin` returned this record: `is_held` of
/// the ledger's rules, but for life and state.
pub(crate) fn is_mine(mine: &Record) -> &'static str {
    match (&mine.lease_token, &mine.leased_until) {
        (Some(_), Some(_)) => "(#lease_token = :token AND attribute_exists(#leased_until))",
        (Some(_), None) => "(#lease_token = :token AND attribute_not_exists(#leased_until))",
        (None, Some(_)) => {
            "(attribute_not_exists(#lease_token) AND attribute_exists(#leased_until))"
        }
        (None, None) => {
            "(attribute_not_exists(#lease_token) AND attribute_not_exists(#leased_until))"
        }
    }
}

/// One conditional write. Placeholders for attributes always mean the same, and
/// only those in use are sent: `DynamoDB` refuses the others.
pub(crate) struct Update {
    key: Item,
    condition: String,
    sets: Vec<String>,
    removes: Vec<String>,
    routes: HashMap<String, String>,
    values: Item,
}

const NAMES: [(&str, &str); 16] = [
    ("#state", STATE),
    ("#life", LIFE),
    ("#attempts", ATTEMPTS),
    ("#lease_token", LEASE_TOKEN),
    ("#leased_until", LEASED_UNTIL),
    ("#next_at", NEXT_AT),
    ("#last_error", LAST_ERROR),
    ("#done_at", DONE_AT),
    ("#handlers", HANDLERS),
    ("#failures", FAILURES),
    ("#only", ONLY),
    ("#routes", route_history::ROUTES),
    ("#former", route_history::FORMER),
    ("#history", HISTORY),
    ("#sweeps", SWEEPS),
    ("#forgotten_at", FORGOTTEN_AT),
];

impl Update {
    pub(crate) fn new(key: &EventKey, condition: impl Into<String>) -> Self {
        Self {
            key: item::key(key),
            condition: condition.into(),
            sets: Vec::new(),
            removes: Vec::new(),
            routes: HashMap::new(),
            values: Item::new(),
        }
    }

    /// A placeholder for a route's name.
    pub(crate) fn route(mut self, placeholder: &str, route: &str) -> Self {
        self.routes.insert(placeholder.to_owned(), route.to_owned());
        self
    }

    /// Placeholders for the names of several: the prefix and a number, from 0.
    pub(crate) fn routes<'a>(
        self,
        prefix: &str,
        routes: impl IntoIterator<Item = &'a (impl AsRef<str> + ?Sized + 'a)>,
    ) -> Self {
        let numbered = routes.into_iter().enumerate();
        numbered.fold(self, |write, (n, it)| write.route(&format!("{prefix}{n}"), it.as_ref()))
    }

    pub(crate) fn value(mut self, placeholder: &str, value: AttributeValue) -> Self {
        self.values.insert(placeholder.to_owned(), value);
        self
    }

    pub(crate) fn set(self, name: &str, placeholder: &str, value: AttributeValue) -> Self {
        self.set_to(name, placeholder).value(placeholder, value)
    }

    pub(crate) fn set_to(mut self, name: &str, expression: &str) -> Self {
        self.sets.push(format!("{name} = {expression}"));
        self
    }

    pub(crate) fn remove(mut self, names: &[&str]) -> Self {
        self.removes.extend(names.iter().map(|name| (*name).to_owned()));
        self
    }

    /// The values of the condition that the event is unfinished.
    pub(crate) fn unfinished(self) -> Self {
        self.value(":received", text(State::Received.as_str()))
            .value(":failing", text(State::Failing.as_str()))
    }

    /// What an attempt that did not succeed leaves behind.
    pub(crate) fn outcome(self, after: &Record) -> Self {
        let write = match &after.last_error {
            Some(error) => self.set("#last_error", ":last_error", text(error)),
            None => self,
        };
        write.set("#failures", ":failures", item::failures(&after.failures)).set(
            "#history",
            ":history",
            item::history(&after.history),
        )
    }

    /// Another body.
    pub(crate) fn payload(self, bytes: &Bytes) -> Self {
        let (encoding, payload) = compress(bytes);
        self.set("#payload", ":payload", AttributeValue::B(Blob::new(payload))).set(
            "#payload_encoding",
            ":payload_encoding",
            text(encoding.as_str()),
        )
    }

    /// The event is done and leaves the index `open`.
    pub(crate) fn done(self, now: Timestamp) -> Self {
        self.set("#state", ":done", text(State::Done.as_str()))
            .set_to("#done_at", "if_not_exists(#done_at, :now)")
            .value(":now", seconds(now))
            .remove(&["#leased_until", "#next_at", "#open_shard", "#due_at", "#sweeps"])
    }

    /// The event's place in the index `open`.
    pub(crate) fn open(self, shard: AttributeValue, due_at: Timestamp) -> Self {
        self.set("#open_shard", ":shard", shard).set("#due_at", ":due_at", seconds(due_at))
    }

    /// The record's expiry, where a write moves it.
    pub(crate) fn lasting(self, before: &Record, after: &Record) -> Self {
        if after.expires_at == before.expires_at {
            return self;
        }
        self.set("#expires_at", ":expires_at", number(after.expires_at.unix_seconds()))
    }

    /// One of the exclusive forms of a completion.
    pub(crate) fn completion(
        mine: &Record,
        route: &str,
        others: &[&str],
        form: &Form,
        completion: &Completion,
    ) -> Self {
        let done: Vec<String> =
            (0..others.len()).map(|n| format!("attribute_exists(#handlers.#other{n})")).collect();
        let others_done = done.join(" AND ");
        let mine_still = is_mine(mine);
        let condition = match form {
            Form::Last if others.is_empty() => format!("{UNFINISHED} AND {mine_still}"),
            Form::Last => format!("{UNFINISHED} AND {mine_still} AND {others_done}"),
            Form::NotLast => format!("NOT ({others_done})"),
            Form::Late => format!("NOT {mine_still} AND {UNFINISHED}"),
            Form::AfterTheEnd { held, .. } if held.failures.is_empty() => format!(
                "NOT {UNFINISHED} AND (attribute_not_exists(#failures) OR #failures = :seen_failures)"
            ),
            Form::AfterTheEnd { .. } => format!("NOT {UNFINISHED} AND #failures = :seen_failures"),
        };
        let mut write = Self::new(&mine.event.key, format!("#life = :life AND {condition}"))
            .unfinished()
            .value(":life", number(mine.life))
            .value(":token", text(mine.lease_token.clone().unwrap_or_default()))
            .route("#route", route)
            .routes("#other", others)
            .set("#handlers.#route", ":completion", item::completion(completion));
        if let Form::AfterTheEnd { held, .. } = form {
            write = write.value(":seen_failures", item::failures(&held.failures));
        }
        if form.finishes() { write.done(completion.at) } else { write }
    }

    pub(crate) fn condition(&self) -> &str {
        &self.condition
    }

    pub(crate) fn into_key(self) -> Item {
        self.key
    }

    pub(crate) fn expression(&self) -> String {
        let mut expression = format!("SET {}", self.sets.join(", "));
        if !self.removes.is_empty() {
            expression.push_str(" REMOVE ");
            expression.push_str(&self.removes.join(", "));
        }
        expression
    }

    pub(crate) fn names(&self) -> HashMap<String, String> {
        let table = &stack().table;
        let keys = [
            ("#pk", table.partition_key.as_str()),
            ("#expires_at", table.ttl_attribute.as_str()),
            ("#open_shard", table.open_index.partition_key.as_str()),
            ("#due_at", table.open_index.sort_key.as_str()),
        ];
        let known = NAMES
            .into_iter()
            .chain(steering::NAMES)
            .chain(keys)
            .filter(|(placeholder, _)| self.uses(placeholder))
            .map(|(placeholder, attribute)| (placeholder.to_owned(), attribute.to_owned()));
        let routes = self.routes.iter().filter(|(placeholder, _)| self.uses(placeholder));
        let routes = routes.map(|(placeholder, route)| (placeholder.clone(), route.clone()));
        known.chain(routes).collect()
    }

    pub(crate) fn values(&self) -> Item {
        let used = self.values.iter().filter(|(placeholder, _)| self.uses(placeholder));
        used.map(|(placeholder, value)| (placeholder.clone(), value.clone())).collect()
    }

    /// Whether an expression uses a placeholder, as a whole word.
    fn uses(&self, placeholder: &str) -> bool {
        let text = format!("{} {}", self.condition, self.expression());
        text.match_indices(placeholder).any(|(at, _)| {
            let rest = &text[at + placeholder.len()..];
            !rest.starts_with(|c: char| c.is_alphanumeric() || c == '_')
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use inbox_core::Timestamp;
    use inbox_core::event::Event;
    use inbox_core::ledger::NewEvent;
    use inbox_core::provider::Payload;

    use super::*;

    fn record(token: Option<&str>) -> Record {
        let now = Timestamp::from_unix_seconds(1_764_000_000).unwrap();
        let event = Event {
            key: EventKey { source: "stripe".into(), id: "evt_1".into() },
            provider: "stripe".into(),
            event_type: "invoice.paid".into(),
            delivery_id: None,
            subject: None,
            occurred_at: None,
            received_at: now,
            traceparent: None,
            payload: Payload { content_type: String::new(), bytes: Bytes::new() },
            headers: BTreeMap::new(),
        };
        let request_id = "request-1".into();
        let new = NewEvent { event, request_id, due_at: now, expires_at: now };
        Record { lease_token: token.map(str::to_owned), ..Record::claimed(&new) }
    }

    /// The emulator takes names that no expression uses; `DynamoDB` refuses the request:
    /// <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CommonErrors.html>.
    #[test]
    fn every_form_of_a_completion_sends_just_the_placeholders_that_it_uses() {
        let twelve: Vec<String> = (0..12).map(|n| format!("route-{n}")).collect();
        let twelve: Vec<&str> = twelve.iter().map(String::as_str).collect();
        for (token, leased) in [(Some("mine"), true), (Some("mine"), false), (None, false)] {
            let mine = record(token);
            let leased_until = leased.then_some(mine.event.received_at);
            let mine = Record { leased_until, ..mine };
            let ended = |finishes| Form::AfterTheEnd { held: Box::new(record(None)), finishes };
            for form in [Form::Last, Form::NotLast, Form::Late, ended(true), ended(false)] {
                for others in [&twelve[..], &twelve[..1], &[]] {
                    if others.is_empty() && matches!(form, Form::NotLast) {
                        continue;
                    }
                    let completion = mine.event.received_at.into();
                    let write = Update::completion(&mine, "own", others, &form, &completion);
                    let text = format!("{} {}", write.condition, write.expression());
                    let words = text.split(|c: char| !(c.is_alphanumeric() || "_#:".contains(c)));
                    let used: BTreeSet<&str> =
                        words.filter(|word| word.starts_with(['#', ':'])).collect();
                    let (names, values) = (write.names(), write.values());
                    let sent: BTreeSet<&str> =
                        names.keys().chain(values.keys()).map(String::as_str).collect();
                    assert_eq!(sent, used, "{text}");
                }
            }
        }
    }
}
