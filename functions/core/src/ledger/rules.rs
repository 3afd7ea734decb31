//! The ledger's decisions as pure functions: given what an item holds, what does
//! each write do to it, or why is it refused?
//!
//! [`crate::memory`] calls them under a lock. `inbox-aws` states the same
//! conditions in `DynamoDB`'s language and calls [`apply_begin`] and its like on
//! the item that a refused condition returns (`ALL_OLD`), to learn the reason
//! without a second read.

use std::collections::BTreeMap;
use std::time::Duration;

use sha2::{Digest as _, Sha256};

use super::{
    Begin, Begun, Burial, CLOCK_TOLERANCE, Claimed, Completed, Completion, Due, ERROR_CHARACTERS,
    Failure, NewEvent, Open, PayloadRef, ROUTE_ERROR_CHARACTERS, ROUTE_QUOTE_OVERHEAD_CHARACTERS,
    Record, RouteFailure, State, Suspects, TransitionKind, lasting, record::settled_attempts,
};
use crate::Timestamp;
use crate::event::{EventKey, clean_text};

/// What a claim means, given the item that is already there. `outside` is where the
/// new payload was stored for it, if it fits no item.
#[must_use]
pub fn judge_claim(
    existing: Option<&Record>,
    new: &NewEvent,
    outside: Option<&PayloadRef>,
) -> Claimed {
    let now = new.event.received_at;
    match existing {
        None => Claimed::Fresh,
        // The SDK repeated a claim of ours that had landed.
        Some(record) if record.request_id == new.request_id => Claimed::Fresh,
        // TTL deletes up to two days late, so the time itself is compared:
        // https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/TTL.html
        Some(record) if record.expires_at < now => Claimed::Fresh,
        Some(record) => {
            // What was left for later has been begun, and so was sent.
            let is_untouched = record.state == State::Received
                && record.attempts == 0
                && record.failures.is_empty();
            let unconfirmed = is_untouched.then_some(record.life);
            match unconfirmed {
                _ if has_other_body(record, new, outside) => Claimed::Conflict { unconfirmed },
                Some(life) => Claimed::Unconfirmed { life },
                None => Claimed::Duplicate,
            }
        }
    }
}

/// Whether an event that is known came with another body. What was forgotten has
/// none to compare with.
fn has_other_body(record: &Record, new: &NewEvent, outside: Option<&PayloadRef>) -> bool {
    let held = &record.event.payload.bytes;
    match &record.payload_ref {
        _ if record.forgotten_at.is_some() => false,
        // An object's key holds the hash of its content.
        Some(reference) if held.is_empty() => outside.is_none_or(|it| it.key != reference.key),
        _ => *held != new.event.payload.bytes,
    }
}

/// Whether a message's event may be run, and the record with the lease taken if
/// so. A repeat of a begin that landed gets the same answer.
#[must_use]
pub fn apply_begin(existing: Option<Record>, begin: &Begin, now: Timestamp) -> Begun {
    let Some(mut record) = existing else { return Begun::Missing };
    let is_next_life = begin.life == record.life + 1;
    if begin.life != record.life && !is_next_life {
        return Begun::Stale;
    }
    match (record.state, is_next_life) {
        (State::Done, _) | (State::Dead, false) => return Begun::Finished,
        // Nothing is left to run it on.
        (State::Dead, true) if record.forgotten_at.is_some() => return Begun::Finished,
        (State::Dead, true) => return Begun::Reopen(Box::new(record)),
        (State::Received | State::Failing, true) => return Begun::Early,
        (State::Received | State::Failing, false) => {}
    }
    if record.is_leased(now) {
        let is_mine = record.lease_token.as_deref() == Some(&begin.lease.token);
        return if is_mine { Begun::Run(Box::new(record)) } else { Begun::Busy };
    }
    if record.next_at.is_some_and(|next_at| next_at > now.plus(CLOCK_TOLERANCE)) {
        return Begun::Busy;
    }
    if record.attempts >= begin.max_attempts {
        return Begun::Exhausted(Box::new(record));
    }
    // A lease that ended by time: whoever held it never wrote an outcome.
    if record.leased_until.is_some() && begin.suspects == Suspects::Defer {
        return Begun::Suspect;
    }
    record.attempts += 1;
    record.lease_token = Some(begin.lease.token.clone());
    record.leased_until = Some(begin.lease.until);
    Begun::Run(Box::new(record))
}

/// Records that a route is done. A late completion is true, so it needs no
/// lease, only the same life. `mine` is what `begin` returned.
#[must_use]
pub fn apply_complete(
    existing: Option<&mut Record>,
    mine: &Record,
    route: &str,
    others: &[&str],
    completion: Completion,
) -> Completed {
    let Some(record) = existing.filter(|record| record.life == mine.life) else {
        return Completed::Superseded;
    };
    let now = completion.at;
    record.handlers.insert(route.to_owned(), completion);
    if !others.iter().all(|other| record.is_done(other)) {
        return Completed::Pending;
    }
    // A late completion is true, and of an event that has ended the record says the rest.
    if !is_held(record, mine) && !has_nothing_left(record) {
        return Completed::Pending;
    }
    set_done(record, now);
    Completed::Done
}

/// Whether an unfinished event is still with the run that `mine` is of, what `begin`
/// returned. Not where another began since, nor where its lease had ended and somebody
/// wrote an outcome in its place, with the same token (`Begun::Exhausted`): either may
/// know of a route that this run does not.
#[must_use]
pub fn is_held(record: &Record, mine: &Record) -> bool {
    record.life == mine.life
        && record.state.is_unfinished()
        && record.lease_token == mine.lease_token
        && record.leased_until.is_some() == mine.leased_until.is_some()
}

/// Whether an ended event has nothing left to run, as its record says.
#[must_use]
pub fn has_nothing_left(record: &Record) -> bool {
    let mut left = record.failures.keys().chain(record.only.iter().flatten());
    !record.state.is_unfinished() && left.all(|route| record.is_done(route))
}

/// Records that there is nothing left to run, as far as `mine`, what `begin` returned,
/// can know. Where another holds the event, it finishes, or the next beginning does.
#[must_use]
pub fn apply_finish(existing: Option<&mut Record>, mine: &Record, now: Timestamp) -> Completed {
    let Some(record) = existing.filter(|record| record.life == mine.life) else {
        return Completed::Superseded;
    };
    if record.state == State::Done {
        return Completed::Done;
    }
    if !is_held(record, mine) {
        return Completed::Pending;
    }
    set_done(record, now);
    Completed::Done
}

fn set_done(record: &mut Record, now: Timestamp) {
    record.state = State::Done;
    record.done_at.get_or_insert(now);
    record.leased_until = None;
    record.next_at = None;
    record.open = None;
    record.sweeps = 0;
}

/// Whether this very outcome of a run stands there already: the SDK repeated its write.
pub(super) fn has_landed(
    record: &Record,
    mine: &Record,
    failures: &BTreeMap<String, RouteFailure>,
) -> bool {
    let after = Record { leased_until: None, ..mine.clone() };
    is_held(record, &after) && record.failures == capped(failures)
}

/// Records how the routes stand after an attempt that leaves some to be tried again;
/// `false` when it is not this run's to record.
#[must_use]
pub fn apply_fail(existing: Option<&mut Record>, failure: &Failure<'_>, now: Timestamp) -> bool {
    let mine = failure.record;
    let Some(record) = existing else { return false };
    if !is_held(record, mine) {
        return has_landed(record, mine, failure.failures);
    }
    record.state = State::Failing;
    record.failures = capped(failure.failures);
    // Beginnings that came to no outcome are among the routes' own attempts by now.
    record.attempts = settled_attempts(failure.failures);
    if !failure.errors.is_empty() {
        let error = joined(failure.errors);
        let mut entry = mine.transition(TransitionKind::Failed, &error, now);
        entry.attempt = failed_attempt(failure).unwrap_or(entry.attempt);
        record.history = mine.history_with(entry);
        record.last_error = Some(error);
    }
    record.next_at = failure.failures.values().filter_map(|failure| failure.next_at).min();
    record.leased_until = None;
    record.open = Some(Open::Pending { due_at: failure.due_at });
    record.expires_at = lasting(record.expires_at, failure.due_at);
    record.sweeps = 0;
    true
}

/// Marks an event dead; `false` when it is not this process's to give up.
#[must_use]
pub fn apply_bury(existing: Option<&mut Record>, burial: &Burial<'_>, now: Timestamp) -> bool {
    let mine = burial.record;
    let error = clean_text(burial.error, ERROR_CHARACTERS);
    let history = mine.history_with(mine.transition(TransitionKind::Buried, &error, now));
    // A repeat of a burial that landed finds its own entry.
    if existing
        .as_ref()
        .is_some_and(|record| record.state == State::Dead && record.history == history)
    {
        return true;
    }
    let Some(record) = existing.filter(|record| {
        let is_mine = record.lease_token.is_some() && is_held(record, mine);
        let is_exhausted = record.attempts >= burial.max_attempts
            && !record.is_leased(now)
            && record.lease_token == mine.lease_token;
        record.life == mine.life
            && record.state.is_unfinished()
            && (is_mine || is_exhausted)
            && gives_something_up(record, burial)
    }) else {
        return false;
    };
    record.state = State::Dead;
    record.history = history;
    record.last_error = Some(error);
    if !burial.failures.is_empty() {
        record.failures = capped(burial.failures);
    }
    record.next_at = None;
    record.leased_until = None;
    record.open = Some(Open::Dead { due_at: now });
    record.expires_at = lasting(record.expires_at, now);
    record.sweeps = 0;
    true
}

/// Whether any of the routes that are to be given up has not completed. All may have, by
/// a run that overslept: then there is nothing to bury, and the event to be finished.
fn gives_something_up(record: &Record, burial: &Burial<'_>) -> bool {
    burial.failures.is_empty() || burial.failures.keys().any(|route| !record.is_done(route))
}

/// Moves a due event's time forward; `false` when it is no longer as read.
/// A repeat of a sweep that landed gets the same answer.
#[must_use]
pub fn apply_sweep(existing: Option<&mut Record>, due: &Due, due_at: Timestamp) -> bool {
    let Some(record) = existing else { return false };
    if is_swept(record, due, due_at) {
        return true;
    }
    if record.open != Some(Open::Pending { due_at: due.due_at }) {
        return false;
    }
    record.sweeps += 1;
    record.open = Some(Open::Pending { due_at });
    record.expires_at = lasting(record.expires_at, due_at);
    true
}

/// Whether a record shows just the sweep that was to be written. Another sweeper
/// that chose the same millisecond looks the same: then two messages are sent,
/// and one of them finds nothing to do.
#[must_use]
pub fn is_swept(record: &Record, due: &Due, due_at: Timestamp) -> bool {
    record.open == Some(Open::Pending { due_at }) && record.sweeps == due.sweeps + 1
}

/// When to look again at an event that was swept `sweeps` times before: after
/// `grace`, doubled each time, at most `most` ahead.
#[must_use]
pub fn sweep_due_at(now: Timestamp, sweeps: u32, grace: Duration, most: Duration) -> Timestamp {
    let factor = 1_u32.checked_shl(sweeps).unwrap_or(u32::MAX);
    now.plus(grace.saturating_mul(factor).min(most.max(grace)))
}

/// Which of `shards` partitions an event belongs to: always the same.
#[must_use]
pub fn shard_of(key: &EventKey, shards: u32) -> u32 {
    let digest = Sha256::digest(key.to_string());
    let head = u32::from_be_bytes([digest[0], digest[1], digest[2], digest[3]]);
    head % shards.max(1)
}

/// The most attempts of a route that failed just now.
fn failed_attempt(failure: &Failure<'_>) -> Option<u32> {
    let failed = failure.errors.iter().filter_map(|(route, _)| failure.failures.get(route));
    failed.map(|failure| failure.attempts).max()
}

/// The same with errors that fit the item, however many routes there are.
pub(super) fn capped(failures: &BTreeMap<String, RouteFailure>) -> BTreeMap<String, RouteFailure> {
    let capped = |(route, failure): (&String, &RouteFailure)| {
        let error = clean_text(&failure.error, ROUTE_ERROR_CHARACTERS);
        let taken = error.chars().count() + ROUTE_QUOTE_OVERHEAD_CHARACTERS;
        let room = ROUTE_ERROR_CHARACTERS.saturating_sub(taken);
        let quote = failure.quote.as_ref().map(|quote| clean_text(quote, room));
        let quote = quote.filter(|quote| !quote.is_empty());
        (route.clone(), RouteFailure { error, quote, ..failure.clone() })
    };
    failures.iter().map(capped).collect()
}

/// `route: error; route: error`, capped.
fn joined(errors: &[(String, String)]) -> String {
    let lines: Vec<String> =
        errors.iter().map(|(route, error)| format!("{route}: {error}")).collect();
    clean_text(&lines.join("; "), ERROR_CHARACTERS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_and_its_quote_share_the_room_of_one_route() {
        let capped_to = |error: usize, quote: usize| {
            let quote = Some("q".repeat(quote));
            let (error, next_at) = ("e".repeat(error), None);
            let failure = RouteFailure { error, quote, attempts: 1, next_at, deferrals: 0 };
            let capped = capped(&BTreeMap::from([("billing".to_owned(), failure)]));
            let kept = &capped["billing"];
            (kept.error.len(), kept.quote.as_ref().map(String::len))
        };
        let (room, overhead) = (ROUTE_ERROR_CHARACTERS, ROUTE_QUOTE_OVERHEAD_CHARACTERS);
        assert_eq!(capped_to(40, 90), (40, Some(90)));
        assert_eq!(capped_to(40, 200), (40, Some(room - overhead - 40)));
        assert_eq!(capped_to(room - overhead - 1, 200), (room - overhead - 1, Some(1)));
        assert_eq!(capped_to(room - overhead, 200), (room - overhead, None));
        assert_eq!(capped_to(200, 200), (room, None));
    }

    #[test]
    fn sweeps_wait_longer_each_time_and_at_most_an_hour() {
        let now = Timestamp::from_unix_seconds(0).unwrap();
        let minutes = |sweeps| {
            let due = sweep_due_at(now, sweeps, Duration::from_mins(15), Duration::from_hours(1));
            due.since(now).as_secs() / 60
        };
        assert_eq!([0, 1, 2, 3, 31, 32, 99].map(minutes), [15, 30, 60, 60, 60, 60, 60]);
    }

    #[test]
    fn shards_are_stable_and_spread() {
        let key = |n| EventKey { source: "stripe".into(), id: format!("evt_{n}") };
        assert_eq!(shard_of(&key(1), 16), shard_of(&key(1), 16));
        let mut counts = [0; 16];
        for n in 0..1600 {
            counts[shard_of(&key(n), 16) as usize] += 1;
        }
        assert!(counts.iter().all(|count| (60..=150).contains(count)), "{counts:?}");
    }
}
