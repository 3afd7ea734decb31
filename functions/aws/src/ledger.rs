//! The ledger on `DynamoDB`: one conditional write for each step.
//!
//! ```text
//! UpdateItem, condition holds ───▶ done, ALL_NEW is the record
//!             condition refused ──▶ ALL_OLD, the item as it stood at that moment,
//!                                   tells why, by the rules of inbox-core
//! ```
//!
//! A refused condition therefore costs no second read, and no other write can
//! slip between question and answer. The SDK repeats a write whose answer was
//! lost; each condition is such that the repeat either changes nothing or is
//! refused by an item that shows our own token, time or request id.
//!
//! A payload that does not fit the item lies in a bucket: `payloads` says when it
//! is put, read and removed, and why dying between the two is safe.
//! <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Expressions.ConditionExpressions.html>

use aws_config::SdkConfig;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::{ReturnValue, ReturnValuesOnConditionCheckFailure as OnFailure};
use inbox_core::Timestamp;
use inbox_core::event::EventKey;
use inbox_core::ledger::{
    Begin, Begun, Burial, CLOCK_TOLERANCE, Claimed, Completed, Completion, Deferral, Due, DuePage,
    Failure, Forgetting, Ledger, LedgerError, NewEvent, Record, Reopened, Reopening, Settled,
    State, Suspects, apply_begin, apply_bury, apply_complete, apply_defer, apply_fail,
    apply_finish, apply_forget, apply_reopen, is_held,
};
use inbox_core::stack::stack;

use crate::deferral::deferring;
use crate::error::describe;
use crate::item::{self, Item, number, seconds, text};
use crate::payloads::{self, S3PayloadStore};
use crate::steering;
use crate::update::{Form, Update, is_mine};

/// A condition that no item meets.
const NEVER: &str = "attribute_exists(#pk) AND attribute_not_exists(#pk)";
pub(crate) const UNFINISHED: &str = "(#state = :received OR #state = :failing)";

/// The ledger in one table.
#[derive(Clone, Debug)]
pub struct DynamoDbLedger {
    client: Client,
    table: String,
    payloads: Option<S3PayloadStore>,
}

/// What became of a conditional write.
pub(crate) enum Written {
    /// The condition held; the item after the write, where asked for.
    Yes(Option<Item>),
    /// It did not; the item as it stood, or none.
    Refused(Option<Item>),
}

impl DynamoDbLedger {
    /// The table must have the key schema and indexes of `infra/stack.json`.
    #[must_use]
    pub fn new(aws: &SdkConfig, table: String) -> Self {
        Self { client: Client::new(aws), table, payloads: None }
    }

    /// With a place for payloads that are too large for an item.
    #[must_use]
    pub fn with_payloads(self, payloads: Option<S3PayloadStore>) -> Self {
        Self { payloads, ..self }
    }

    /// Opens the connection for [`Ledger::claim`] by a put that never happens,
    /// since the receiver may only put. A fault is only logged: the first event
    /// may have better luck. Costs one write unit.
    pub async fn connect_for_claims(&self) {
        let request = self
            .client
            .put_item()
            .table_name(&self.table)
            .set_item(Some(item::key(&warm_up_key())))
            .condition_expression(NEVER)
            .expression_attribute_names("#pk", &stack().table.partition_key);
        if let Err(error) = request.send().await
            && !error
                .as_service_error()
                .is_some_and(PutItemError::is_conditional_check_failed_exception)
        {
            tracing::warn!(fault = describe("PutItem", &error), "not connected yet");
        }
    }

    /// Opens the connection for the other writes, likewise.
    pub async fn connect_for_updates(&self) {
        let write = Update::new(&warm_up_key(), NEVER).set("#state", ":done", text("none"));
        if let Err(fault) = self.update(write, ReturnValue::None).await {
            tracing::warn!(%fault, "not connected yet");
        }
    }

    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    pub(crate) fn table(&self) -> &str {
        &self.table
    }

    /// The store, for who has met a payload that needs it.
    pub(crate) fn payloads(&self) -> Result<&S3PayloadStore, LedgerError> {
        let missing = || LedgerError::Unavailable("PAYLOAD_BUCKET is not set".to_owned());
        self.payloads.as_ref().ok_or_else(missing)
    }

    pub(crate) async fn update_and_read(&self, write: Update) -> Result<Written, LedgerError> {
        self.update(write, ReturnValue::AllNew).await
    }

    async fn update(&self, write: Update, returned: ReturnValue) -> Result<Written, LedgerError> {
        let request = self
            .client
            .update_item()
            .table_name(&self.table)
            .condition_expression(write.condition())
            .update_expression(write.expression())
            .set_expression_attribute_names(Some(write.names()))
            .set_expression_attribute_values(Some(write.values()))
            .set_key(Some(write.into_key()))
            .return_values(returned)
            .return_values_on_condition_check_failure(OnFailure::AllOld);
        match request.send().await {
            Ok(output) => Ok(Written::Yes(output.attributes)),
            Err(SdkError::ServiceError(refusal))
                if refusal.err().is_conditional_check_failed_exception() =>
            {
                let UpdateItemError::ConditionalCheckFailedException(refusal) = refusal.into_err()
                else {
                    unreachable!("matched just above");
                };
                Ok(Written::Refused(refusal.item))
            }
            Err(error) => Err(LedgerError::Unavailable(describe("UpdateItem", &error))),
        }
    }
}

/// No source name holds a capital letter, so this is nobody's key.
fn warm_up_key() -> EventKey {
    let key = &stack().table.warm_up_key;
    let (source, id) = key.split_once('#').unwrap_or((key, key));
    EventKey { source: source.to_owned(), id: id.to_owned() }
}

pub(crate) fn record(item: Option<&Item>) -> Result<Option<Record>, LedgerError> {
    item.map(item::to_record).transpose()
}

/// When an event may be marked dead: by the run that holds it, or where no attempt is left and
/// nobody has begun since; and only while one of so many routes, if any is named, has not
/// completed.
fn burying(mine: &Record, given_up: usize) -> String {
    let exhausted = "#attempts >= :max_attempts \
                     AND (attribute_not_exists(#leased_until) OR #leased_until < :now)";
    let may = match mine.lease_token {
        Some(_) => format!("({} OR (#lease_token = :token AND {exhausted}))", is_mine(mine)),
        None => format!("(attribute_not_exists(#lease_token) AND {exhausted})"),
    };
    let condition = format!("#life = :life AND {UNFINISHED} AND {may}");
    let done: Vec<String> =
        (0..given_up).map(|n| format!("attribute_exists(#handlers.#given{n})")).collect();
    if done.is_empty() {
        condition
    } else {
        format!("{condition} AND NOT ({})", done.join(" AND "))
    }
}

fn settled(written: bool) -> Settled {
    if written { Settled::Written } else { Settled::Refused }
}

impl Ledger for DynamoDbLedger {
    async fn claim(&self, new: &NewEvent) -> Result<Claimed, LedgerError> {
        self.put_claim(new).await
    }

    async fn begin(
        &self,
        key: &EventKey,
        begin: &Begin,
        now: Timestamp,
    ) -> Result<Begun, LedgerError> {
        let unleased = match begin.suspects {
            Suspects::Defer => "attribute_not_exists(#leased_until)",
            Suspects::Run => "(attribute_not_exists(#leased_until) OR #leased_until < :now)",
        };
        let write = Update::new(
            key,
            format!(
                "#life = :life AND {UNFINISHED} AND #attempts < :max_attempts AND {unleased} \
                 AND (attribute_not_exists(#next_at) OR #next_at <= :soon)"
            ),
        )
        .unfinished()
        .value(":life", number(begin.life))
        .value(":max_attempts", number(begin.max_attempts))
        .value(":soon", seconds(now.plus(CLOCK_TOLERANCE)))
        .value(":now", seconds(now))
        .value(":one", number(1))
        .set("#lease_token", ":token", text(&begin.lease.token))
        .set("#leased_until", ":until", seconds(begin.lease.until))
        .set_to("#attempts", "#attempts + :one");
        match self.update_and_read(write).await? {
            Written::Yes(item) => match record(item.as_ref())? {
                Some(record) => Ok(Begun::Run(Box::new(record))),
                None => Err(LedgerError::Unreadable("UpdateItem returned no item".to_owned())),
            },
            Written::Refused(item) => {
                let held = record(item.as_ref())?;
                let token = held.as_ref().and_then(|record| record.lease_token.clone());
                match apply_begin(held, begin, now) {
                    // Ours only if our own write landed: without that there is
                    // no lease, whatever the rules think of the item.
                    Begun::Run(_) if token.as_ref() != Some(&begin.lease.token) => Ok(Begun::Busy),
                    begun => Ok(begun),
                }
            }
        }
    }

    async fn finish(&self, mine: &Record, now: Timestamp) -> Result<Completed, LedgerError> {
        let condition = format!("#life = :life AND {UNFINISHED} AND {}", is_mine(mine));
        let write = Update::new(&mine.event.key, condition)
            .unfinished()
            .value(":life", number(mine.life))
            .value(":token", text(mine.lease_token.clone().unwrap_or_default()))
            .done(now);
        match self.update(write, ReturnValue::None).await? {
            Written::Yes(_) => Ok(Completed::Done),
            // Done already, or another's to finish, or given up: nothing is written.
            Written::Refused(item) => Ok(apply_finish(record(item.as_ref())?.as_mut(), mine, now)),
        }
    }

    async fn complete(
        &self,
        mine: &Record,
        route: &str,
        others: &[&str],
        completion: Completion,
    ) -> Result<Completed, LedgerError> {
        // Exclusive forms; what is known of the others says which to try first, and the
        // item returned by a refusal says whether to go on. They can only alternate
        // while other routes complete, or others begin, in between.
        let all_done =
            |known: &Record| others.iter().all(|other| known.is_done(other) || *other == route);
        let mut form = if all_done(mine) { Form::Last } else { Form::NotLast };
        for _ in 0..=2 * others.len() + 3 {
            let write = Update::completion(mine, route, others, &form, &completion);
            match self.update(write, ReturnValue::None).await? {
                Written::Yes(_) if form.finishes() => return Ok(Completed::Done),
                Written::Yes(_) => return Ok(Completed::Pending),
                Written::Refused(item) => {
                    let mut held = record(item.as_ref())?;
                    let before = held.clone();
                    let completed =
                        apply_complete(held.as_mut(), mine, route, others, completion.clone());
                    let Some(before) = before.filter(|_| completed != Completed::Superseded) else {
                        return Ok(Completed::Superseded);
                    };
                    form = if !all_done(&before) {
                        Form::NotLast
                    } else if is_held(&before, mine) {
                        Form::Last
                    } else if before.state.is_unfinished() {
                        Form::Late
                    } else {
                        let finishes = completed == Completed::Done;
                        Form::AfterTheEnd { held: Box::new(before), finishes }
                    };
                }
            }
        }
        Err(LedgerError::Unavailable("complete: other routes changed on every try".to_owned()))
    }

    async fn fail(&self, failure: &Failure<'_>, now: Timestamp) -> Result<Settled, LedgerError> {
        let mut after = failure.record.clone();
        if !apply_fail(Some(&mut after), failure, now) {
            return Ok(Settled::Refused);
        }
        let key = &after.event.key;
        let held = is_mine(failure.record);
        let condition = format!("#life = :life AND {UNFINISHED} AND {held}");
        let write = Update::new(key, condition)
            .unfinished()
            .value(":life", number(after.life))
            .value(":token", text(after.lease_token.clone().unwrap_or_default()))
            .set_to("#state", ":failing")
            .set("#attempts", ":attempts", number(after.attempts))
            .outcome(&after)
            .set("#next_at", ":next_at", seconds(after.next_at.unwrap_or(now)))
            .open(item::pending_shard(key), failure.due_at)
            .lasting(failure.record, &after)
            .remove(&["#leased_until", "#sweeps"]);
        self.outlast(failure.record, &after).await?;
        match self.update(write, ReturnValue::None).await? {
            Written::Yes(_) => Ok(Settled::Written),
            // Our own write, repeated by the SDK, finds its own work.
            Written::Refused(item) => {
                Ok(settled(apply_fail(record(item.as_ref())?.as_mut(), failure, now)))
            }
        }
    }

    async fn defer(&self, deferral: &Deferral<'_>) -> Result<Settled, LedgerError> {
        let mut after = deferral.record.clone();
        if !apply_defer(Some(&mut after), deferral) {
            return Ok(Settled::Refused);
        }
        self.outlast(deferral.record, &after).await?;
        match self.update(deferring(deferral, &after), ReturnValue::None).await? {
            Written::Yes(_) => Ok(Settled::Written),
            Written::Refused(item) => {
                Ok(settled(apply_defer(record(item.as_ref())?.as_mut(), deferral)))
            }
        }
    }

    async fn bury(&self, burial: &Burial<'_>, now: Timestamp) -> Result<Settled, LedgerError> {
        let mut after = burial.record.clone();
        if !apply_bury(Some(&mut after), burial, now) {
            return Ok(Settled::Refused);
        }
        let key = &after.event.key;
        let given_up: Vec<&String> = burial.failures.keys().collect();
        let write = Update::new(key, burying(burial.record, given_up.len()))
            .routes("#given", given_up)
            .unfinished()
            .value(":life", number(after.life))
            .value(":token", text(after.lease_token.clone().unwrap_or_default()))
            .value(":max_attempts", number(burial.max_attempts))
            .value(":now", seconds(now))
            .set("#state", ":dead", text(State::Dead.as_str()))
            .outcome(&after)
            .open(item::dead_shard(key), now)
            .lasting(burial.record, &after)
            .remove(&["#next_at", "#leased_until", "#sweeps"]);
        self.outlast(burial.record, &after).await?;
        match self.update(write, ReturnValue::None).await? {
            Written::Yes(_) => Ok(Settled::Written),
            Written::Refused(item) => {
                // Our own write, repeated by the SDK, finds its own work.
                let landed = record(item.as_ref())?
                    .is_some_and(|held| held.state == State::Dead && held.history == after.history);
                Ok(settled(landed))
            }
        }
    }

    async fn reopen(
        &self,
        reopening: &Reopening<'_>,
        now: Timestamp,
    ) -> Result<Settled, LedgerError> {
        let mut after = reopening.record.clone();
        match apply_reopen(Some(&mut after), reopening, now) {
            Reopened::Opened => {}
            Reopened::Repeated => return Ok(Settled::Written),
            Reopened::Refused => return Ok(Settled::Refused),
        }
        if let Some(reference) = &after.payload_ref {
            self.payloads()?.renew(reference).await?;
        }
        let write = steering::reopening(reopening, &after, now);
        match self.update(write, ReturnValue::None).await? {
            Written::Yes(_) => Ok(Settled::Written),
            Written::Refused(item) => {
                let mut held = record(item.as_ref())?;
                let reopened = apply_reopen(held.as_mut(), reopening, now);
                Ok(settled(reopened == Reopened::Repeated))
            }
        }
    }

    async fn forget(
        &self,
        forgetting: &Forgetting<'_>,
        now: Timestamp,
    ) -> Result<Settled, LedgerError> {
        let mut after = forgetting.record.clone();
        if !apply_forget(Some(&mut after), forgetting, now) {
            return Ok(Settled::Refused);
        }
        // The payload that says where its copy lies is gone with the write: what is
        // left says it, for who has to go on after dying in between, or has no bucket.
        if after.payload_ref.is_none() {
            after.payload_ref = payloads::detached(&forgetting.record.event);
        }
        let write = steering::forgetting(forgetting, &after, now);
        if let Written::Refused(item) = self.update(write, ReturnValue::None).await? {
            let held = record(item.as_ref())?;
            if held.is_none_or(|record| record.forgotten_at.is_none()) {
                return Ok(Settled::Refused);
            }
        }
        if let Some(reference) = &after.payload_ref {
            self.payloads()?.delete(&reference.key).await?;
        }
        Ok(Settled::Written)
    }

    async fn due(
        &self,
        shard: u32,
        after: Option<&Due>,
        limit: u32,
        now: Timestamp,
    ) -> Result<DuePage, LedgerError> {
        self.due_page(shard, after, limit, now).await
    }

    async fn oldest_dead(
        &self,
        shard: u32,
        since: Timestamp,
    ) -> Result<Option<Timestamp>, LedgerError> {
        self.first_dead(shard, since).await
    }

    async fn sweep(&self, due: &Due, due_at: Timestamp) -> Result<Option<Record>, LedgerError> {
        self.move_due(due, due_at).await
    }

    async fn load(&self, record: &mut Record) -> Result<(), LedgerError> {
        let Some(reference) = record.payload_ref.as_ref() else { return Ok(()) };
        if record.forgotten_at.is_none() && record.event.payload.bytes.is_empty() {
            record.event.payload.bytes = self.payloads()?.get(reference).await?;
        }
        Ok(())
    }

    async fn get(&self, key: &EventKey) -> Result<Option<Record>, LedgerError> {
        let answer = self
            .client
            .get_item()
            .table_name(&self.table)
            .set_key(Some(item::key(key)))
            .consistent_read(true)
            .send()
            .await
            .map_err(|error| LedgerError::Unavailable(describe("GetItem", &error)))?;
        record(answer.item.as_ref())
    }
}
