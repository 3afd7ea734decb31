//! The ledger's steps on an [`Item`]: the code's own rules, applied to a record
//! that looks like the item.
//!
//! Where a [`Break`] is asked for, what goes into the rule or comes out of it is
//! doctored here; without one, every decision is the code's.

use std::collections::BTreeMap;

use inbox_core::Timestamp;
use inbox_core::ledger::{
    Begin, Begun, Burial, Claimed, Completed, Due, Failure, Forgetting, Lease, NewEvent,
    Open as RecordOpen, Record, Reopen, Reopened, Reopening, Rerun, RouteFailure, State, Suspects,
    apply_begin, apply_bury, apply_complete, apply_fail, apply_finish, apply_forget, apply_reopen,
    apply_sweep, judge_claim,
};

use crate::breaks::Break;
use crate::item::{self, CLAIMING, Detail, Fate, Holder, Item, Last, PLAN, ROUTES, at, now};
use crate::world::{Again, Grave, Read, Route, Run, Token};

pub(crate) const MINUTE_MS: i64 = 60_000;
const LEASE_MS: i64 = 70_000;
/// A clock that is ahead by more than a lease, and than an hour: whatever is to come has
/// come.
const AHEAD_MS: i64 = 2 * 60 * MINUTE_MS;

/// How the rules are asked.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// Attempts of one life.
    pub max_attempts: u8,
    /// How often in a row a route may be left for later.
    pub deferrals: u8,
    /// What is broken on purpose.
    pub broken: Option<Break>,
    /// How records are filled in.
    pub detail: Detail,
}

/// How a failed attempt ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ending {
    /// The event waits in the ledger, and not with its message.
    pub parked: bool,
    /// The message came from the lane.
    pub lane: bool,
}

/// What `begin` answered; records are the item after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Beginning {
    /// Run the handlers.
    Run(Item),
    /// Bury without running.
    Exhausted(Item),
    /// Reopen first.
    Reopen,
    /// Leave the message.
    Early,
    /// Acknowledge the message: missing, stale, finished or busy.
    Drop,
}

impl Rules {
    pub(crate) fn has(self, broken: Break) -> bool {
        self.broken == Some(broken)
    }

    pub(crate) fn record(self, item: Option<Item>) -> Option<Record> {
        // What is no event cannot be read as one.
        item.filter(|item| !item.hollow).map(|item| item.to_record(self.detail))
    }

    /// Claims the event; the item after it.
    #[must_use]
    pub fn claim(&self, held: Option<Item>) -> (Claimed, Item) {
        let new = NewEvent {
            event: item::event(),
            request_id: CLAIMING.to_owned(),
            due_at: at(15 * MINUTE_MS),
            expires_at: at(30 * 24 * 60 * MINUTE_MS),
        };
        let record = self.record(held);
        let claimed = judge_claim(record.as_ref(), &new, None);
        let item = held.unwrap_or_else(|| Item::of_record(&Record::claimed(&new)));
        match claimed {
            Claimed::Unconfirmed { .. } if self.has(Break::UnconfirmedIsDuplicate) => {
                (Claimed::Duplicate, item)
            }
            claimed => (claimed, item),
        }
    }

    /// Begins, for a processor's message.
    #[must_use]
    pub fn begin(&self, held: Option<Item>, message: u8, slot: u8) -> Beginning {
        let mut record = self.record(held);
        let mut life = u32::from(message);
        if let Some(record) = &mut record {
            if self.has(Break::NoLives) {
                life = record.life + u32::from(record.state == State::Dead);
            }
            if self.has(Break::BeginWithoutLease) {
                record.leased_until = None;
            }
        }
        let token = item::token(Holder::Processor(slot)).unwrap_or_default();
        let begin = Begin {
            life,
            lease: Lease { token, until: at(LEASE_MS) },
            max_attempts: self.max_attempts.into(),
            suspects: Suspects::Run,
        };
        match apply_begin(record, &begin, now()) {
            Begun::Run(mut record) => {
                if self.has(Break::AttemptsCountedAfter) {
                    record.attempts = held.map_or(0, |item| item.attempts.into());
                }
                Beginning::Run(Item::of_record(&record))
            }
            Begun::Exhausted(record) => Beginning::Exhausted(Item::of_record(&record)),
            Begun::Reopen(_) => Beginning::Reopen,
            Begun::Early if self.has(Break::EarlyDropped) => Beginning::Drop,
            Begun::Early => Beginning::Early,
            Begun::Missing | Begun::Stale | Begun::Finished | Begun::Busy | Begun::Suspect => {
                Beginning::Drop
            }
        }
    }

    /// Records a completion. `known` are the routes that the run itself knows to
    /// be done.
    #[must_use]
    pub fn complete(
        &self,
        held: Option<Item>,
        run: Run,
        slot: u8,
        n: usize,
        known: u8,
    ) -> (Completed, Option<Item>) {
        let mut record = self.record(held);
        let others = run.scope & !(1 << n);
        let all_known = others & !known == 0;
        let mut others: Vec<&str> =
            (0..).zip(ROUTES).filter(|(n, _)| others & (1 << n) != 0).map(|it| it.1).collect();
        if self.has(Break::OneFormOfComplete) {
            others = if all_known { vec![] } else { vec!["one that is not done"] };
        }
        let mut mine = self.mine(run.life, Holder::Nobody);
        mine.lease_token = token(held, slot, run.token);
        if let Some(record) = record.as_ref().filter(|_| self.has(Break::CompleteWithoutLife)) {
            mine.life = record.life;
        }
        if let Some(record) = record.as_ref().filter(|_| self.has(Break::LateFinishes)) {
            mine.lease_token.clone_from(&record.lease_token);
            mine.leased_until = record.leased_until;
        }
        self.by_token(record.as_mut(), &mut mine);
        let completed = apply_complete(record.as_mut(), &mine, ROUTES[n], &others, now().into());
        (completed, written(held, record.as_ref()))
    }

    /// Records that nothing is left to run, in this life and with this token.
    #[must_use]
    pub fn finish(
        &self,
        held: Option<Item>,
        life: u8,
        by: Token,
        slot: u8,
    ) -> (Completed, Option<Item>) {
        let mut record = self.record(held);
        let mut mine = self.mine(life, Holder::Nobody);
        mine.lease_token = token(held, slot, by);
        if let Some(record) = record.as_ref().filter(|_| self.has(Break::LateFinishes)) {
            mine.lease_token.clone_from(&record.lease_token);
            mine.leased_until = record.leased_until;
        }
        let completed = apply_finish(record.as_mut(), &mine, now());
        (completed, written(held, record.as_ref()))
    }

    /// Records a failed attempt.
    #[must_use]
    pub fn fail(
        &self,
        held: Option<Item>,
        run: Run,
        slot: u8,
        ending: Ending,
    ) -> (bool, Option<Item>) {
        let Some(mut record) = self.record(held) else { return (false, held) };
        let mut mine = self.mine(run.life, Holder::Nobody);
        mine.lease_token = token(held, slot, run.token);
        self.loosen(&mut record, &mut mine, Break::FailWithoutCondition);
        let due_at = at(if ending.parked { MINUTE_MS } else { 16 * MINUTE_MS });
        let mut failures = self.failures(run, ending.lane);
        if self.has(Break::GivenUpForgotten) {
            failures.retain(|_, failure| failure.next_at.is_some());
        }
        let failed = run.routes.iter().zip(ROUTES);
        let failed =
            failed.filter(|(route, _)| matches!(route, Route::Failed | Route::FailedForGood));
        let errors: Vec<_> = failed.map(|(_, route)| (route.to_owned(), String::new())).collect();
        let failure = Failure { record: &mine, failures: &failures, errors: &errors, due_at };
        let (attempts, expires_at) = (record.attempts, record.expires_at);
        if !apply_fail(Some(&mut record), &failure, now()) {
            return (false, held);
        }
        if self.has(Break::AttemptsNotSettled) {
            record.attempts = attempts;
        }
        if self.has(Break::ExpiryNotMoved) {
            record.expires_at = expires_at;
        }
        if self.has(Break::FailWithoutDueAt) {
            record.open = None;
        }
        (true, written(held, Some(&record)))
    }

    /// How the routes stand that have failed, or were left for later, and not completed.
    pub(crate) fn failures(self, run: Run, lane: bool) -> BTreeMap<String, RouteFailure> {
        let next_at = Some(at(MINUTE_MS));
        let stands = ROUTES.into_iter().enumerate().filter_map(|(n, name)| {
            let attempts = u32::from(run.attempts[n]);
            let before = u32::from(run.deferrals[n]);
            let (next_at, deferrals) = match run.routes[n] {
                Route::Later => (next_at, before),
                Route::Failed if run.attempts[n] < self.max_attempts => (next_at, 0),
                Route::Failed | Route::FailedForGood | Route::GivenUp => (None, 0),
                Route::Deferred => return Some((name.to_owned(), self.deferred(run, n, lane))),
                _ => return None,
            };
            let (error, quote) = (String::new(), None);
            let failure = RouteFailure { error, quote, attempts, next_at, deferrals };
            Some((name.to_owned(), failure))
        });
        stands.collect()
    }

    /// What a run has before it, where these routes are configured: the routes that it
    /// answers for, how each stands, the number of its attempts, and how often it was left
    /// for later.
    #[must_use]
    pub fn routes(&self, item: Item, configured: u8) -> (u8, [Route; 2], [u8; 2], [u8; 2]) {
        let record = item.to_record(self.detail);
        let mut attempts = [0; 2];
        let deferrals = item.fates.map(|fate| match fate {
            Fate::Again { deferrals, .. } => deferrals,
            Fate::Unfailed | Fate::GivenUp => 0,
        });
        let mut routes = [Route::Through; 2];
        let configured = item::names(configured);
        let taking: Vec<&str> = configured.iter().map(String::as_str).collect();
        let mut scope = record.scope(&taking);
        if self.has(Break::GoneIsPassedOver) {
            scope.retain(|it| !it.is_gone);
        }
        for it in &scope {
            let route = it.route;
            let Some(n) = ROUTES.iter().position(|name| *name == route) else { continue };
            let before = record.failures.get(route).map_or(0, |failure| failure.attempts);
            let uncounted = u32::from(self.has(Break::AttemptsCountedAfter));
            let with_this = record.attempts_of(route) + uncounted;
            (routes[n], attempts[n]) = if record.is_done(route) {
                (Route::Through, 0)
            } else if record.is_given_up(route) {
                (Route::GivenUp, 0)
            } else if it.is_gone {
                (Route::FailedForGood, before.try_into().unwrap_or(u8::MAX))
            } else if !record.is_due(route, now()) {
                (Route::Later, before.try_into().unwrap_or(u8::MAX))
            } else if with_this > self.max_attempts.into() {
                (Route::FailedForGood, self.max_attempts)
            } else {
                (Route::Waiting, with_this.try_into().unwrap_or(u8::MAX))
            };
        }
        (item::bits(scope.iter().map(|it| it.route)), routes, attempts, deferrals)
    }

    /// Marks the event dead.
    #[must_use]
    pub fn bury(&self, held: Option<Item>, grave: Grave, slot: u8) -> (bool, Option<Item>) {
        let Some(mut record) = self.record(held) else { return (false, held) };
        let mut mine = self.mine(grave.life, Holder::Nobody);
        mine.lease_token = token(held, slot, grave.token());
        let error = char::from(b'0' + slot).to_string();
        // The history that was read is the one that this very write was added to.
        mine.history.clone_from(&record.history);
        if held.is_some_and(|item| item.last == Last::BuriedBy(slot)) {
            mine.history.pop();
            let entry = mine.transition(item::buried_by(slot).kind, &error, now());
            record.history = mine.history_with(entry);
        }
        self.loosen(&mut record, &mut mine, Break::BuryWithoutCondition);
        let max_attempts = self.max_attempts.into();
        let failures = ROUTES.into_iter().zip(grave.given_up).filter(|(_, given_up)| *given_up);
        let failures = failures.map(|(route, _)| {
            let (error, quote, next_at) = (String::new(), None, None);
            let failure = RouteFailure { error, quote, attempts: 1, next_at, deferrals: 0 };
            (route.to_owned(), failure)
        });
        let failures = failures.collect();
        let burial = Burial { record: &mine, max_attempts, error: &error, failures: &failures };
        let completed = record.handlers.clone();
        if self.has(Break::BuryCompleted) || self.has(Break::BuryWithoutCondition) {
            record.handlers.clear();
        }
        let buried = apply_bury(Some(&mut record), &burial, now());
        record.handlers = completed;
        (buried, written(held, Some(&record).filter(|_| buried)))
    }

    /// What a run or a burial remembers of the record that it began with: only
    /// this is ever compared.
    pub(crate) fn mine(self, life: u8, token: Holder) -> Record {
        let mut record = Record::claimed(&NewEvent {
            event: item::event(),
            request_id: String::new(),
            due_at: now(),
            expires_at: now(),
        });
        record.life = life.into();
        record.lease_token = item::token(token);
        // Who writes an outcome has begun, or found the lease of one that had.
        record.leased_until = Some(at(LEASE_MS));
        if self.detail == Detail::Far {
            record.history.push(item::buried_by(9));
        }
        record
    }

    /// Takes the event for the run's own that shows its token, whatever was written since.
    fn by_token(self, record: Option<&mut Record>, mine: &mut Record) {
        let is_meant = |record: &&mut Record| {
            self.has(Break::TokenAlone) && record.lease_token == mine.lease_token
        };
        if let Some(record) = record.filter(is_meant) {
            mine.leased_until = record.leased_until;
            if record.state == State::Dead {
                record.state = State::Failing;
            }
        }
    }

    /// Makes conditions hold that would not.
    pub(crate) fn loosen(self, record: &mut Record, mine: &mut Record, all: Break) {
        if self.has(all) {
            mine.life = record.life;
            if !record.state.is_unfinished() {
                record.state = State::Failing;
            }
        }
        if self.has(all) || self.has(Break::NoToken) {
            record.lease_token.get_or_insert_with(|| "any".to_owned());
            mine.lease_token.clone_from(&record.lease_token);
            mine.leased_until = record.leased_until;
        }
    }

    /// Opens the life that a redriven letter names.
    #[must_use]
    pub fn redrive(&self, held: Option<Item>, message: u8) -> (Reopened, Option<Item>) {
        let mut life = u32::from(message);
        if let Some(item) = held.filter(|_| self.has(Break::NoLives)) {
            life = u32::from(item.life) + 1;
        }
        self.reopen(held, Reopen::Redrive { life }, "message")
    }

    /// Opens a new life for an operator who saw `seen`.
    #[must_use]
    pub fn replay(&self, held: Option<Item>, seen: u8, again: Again) -> (Reopened, Option<Item>) {
        let first = [ROUTES[0].to_owned()];
        let rerun = match again {
            Again::Unfinished => Rerun::Unfinished,
            Again::First => Rerun::Routes(&first),
            Again::All => Rerun::All,
        };
        self.reopen(held, Reopen::Replay { seen: seen.into(), rerun }, PLAN)
    }

    fn reopen(
        self,
        held: Option<Item>,
        mut cause: Reopen<'_>,
        request: &str,
    ) -> (Reopened, Option<Item>) {
        let Some(mut record) = self.record(held) else { return (Reopened::Refused, held) };
        if self.has(Break::ReopenWithoutCondition) {
            record.leased_until = None;
            match &mut cause {
                Reopen::Replay { seen, .. } => *seen = record.life,
                Reopen::Redrive { life } => {
                    *life = record.life + 1;
                    record.state = State::Dead;
                }
            }
        }
        let now = match cause {
            Reopen::Replay { .. } => self.operators_time(),
            Reopen::Redrive { .. } => now(),
        };
        let before = record.clone();
        let reopening = Reopening {
            record: &before,
            cause,
            actor: "",
            reason: "",
            request_id: request,
            due_at: item::now(),
            expires_at: at(30 * 24 * 60 * MINUTE_MS),
        };
        let reopened = apply_reopen(Some(&mut record), &reopening, now);
        if self.has(Break::OnlyForgotten) {
            record.only = None;
        }
        (reopened, written(held, Some(&record).filter(|_| reopened == Reopened::Opened)))
    }

    /// What an operator's conditions are judged by: AWS's time, as everybody's.
    fn operators_time(self) -> Timestamp {
        if self.has(Break::OperatorsOwnClock) { at(AHEAD_MS) } else { now() }
    }

    /// Removes the content of what was seen.
    #[must_use]
    pub fn forget(&self, held: Option<Item>, seen: Item) -> (bool, Option<Item>) {
        let mut record = self.record(held);
        let seen = seen.to_record(self.detail);
        let forgetting = Forgetting { record: &seen, actor: "", reason: "" };
        let forgotten = apply_forget(record.as_mut(), &forgetting, self.operators_time());
        (forgotten, written(held, record.as_ref().filter(|_| forgotten)))
    }

    /// Moves `due_at`, as it was read, forward.
    #[must_use]
    pub fn sweep(&self, held: Option<Item>, read: Read) -> (bool, Option<Item>) {
        if held.is_none() && self.has(Break::SweepCreates) {
            let mut hollow = self.claim(None).1;
            hollow.hollow = true;
            return (false, Some(hollow));
        }
        let Some(mut record) = self.record(held) else { return (false, held) };
        let shown = record.open.map_or(now(), RecordOpen::due_at);
        let (due_at, sweeps, new) = match read {
            Read::Same => (shown, record.sweeps, at(15 * MINUTE_MS)),
            Read::Mine => (at(-15 * MINUTE_MS), record.sweeps.saturating_sub(1), shown),
            Read::Other => (at(-15 * MINUTE_MS), record.sweeps, at(15 * MINUTE_MS)),
        };
        let due = Due { key: record.event.key.clone(), due_at, sweeps };
        if self.has(Break::SweepWithoutCondition) {
            record.open = Some(RecordOpen::Pending { due_at });
        }
        let swept = apply_sweep(Some(&mut record), &due, new);
        (swept, written(held, Some(&record).filter(|_| swept)))
    }
}

/// The token that a processor writes with.
pub(crate) fn token(held: Option<Item>, slot: u8, by: Token) -> Option<String> {
    match (by, held) {
        (Token::Own, _) => item::token(Holder::Processor(slot)),
        (Token::Read { same: true }, Some(item)) => item::token(item.token),
        (Token::Read { .. }, _) => Some("of a run before".to_owned()),
    }
}

/// The item after a write; as it was when there was none.
pub(crate) fn written(held: Option<Item>, after: Option<&Record>) -> Option<Item> {
    after.map(Item::of_record).or(held)
}
