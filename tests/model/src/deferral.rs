//! The ledger's step that leaves routes for later, on an [`Item`].

use inbox_core::ledger::{Deferral, RouteFailure, apply_defer, may_defer};

use crate::breaks::Break;
use crate::item::{Holder, Item, at, now};
use crate::ledger::{MINUTE_MS, Rules, token, written};
use crate::world::Run;

impl Rules {
    /// Records which routes are left for later.
    #[must_use]
    pub fn defer(
        &self,
        held: Option<Item>,
        run: Run,
        slot: u8,
        lane: bool,
    ) -> (bool, Option<Item>) {
        let Some(mut record) = self.record(held) else { return (false, held) };
        let mut mine = self.mine(run.life, Holder::Nobody);
        mine.lease_token = token(held, slot, run.token);
        self.loosen(&mut record, &mut mine, Break::DeferWithoutCondition);
        let mut failures = self.failures(run, lane);
        if self.has(Break::DeferForgetsOthers) {
            failures.retain(|_, failure| failure.deferrals > 0);
        }
        let deferral = Deferral { record: &mine, failures: &failures, due_at: at(16 * MINUTE_MS) };
        if !apply_defer(Some(&mut record), &deferral) {
            return (false, held);
        }
        if self.has(Break::DeferWithoutDueAt) {
            record.open = None;
        }
        (true, written(held, Some(&record)))
    }

    /// Whether a route may be left for later that has been so often before.
    #[must_use]
    pub fn may_defer(&self, deferrals: u8) -> bool {
        let deferrals = deferrals.into();
        let before = RouteFailure {
            error: String::new(),
            quote: None,
            attempts: 0,
            next_at: None,
            deferrals,
        };
        let most = if self.has(Break::DeferredForEver) { u32::MAX } else { self.deferrals.into() };
        self.deferrals > 0 && may_defer(Some(&before), most)
    }

    /// A route that is left for later: at once from the main queue, after a wait from
    /// within the lane.
    pub(crate) fn deferred(self, run: Run, n: usize, lane: bool) -> RouteFailure {
        let waits = lane && !self.has(Break::DeferWithoutDelay);
        let next_at = if waits { at(MINUTE_MS) } else { now() };
        let attempts = match run.attempts[n] {
            attempts if self.has(Break::DeferralCounted) => attempts,
            _ if self.has(Break::DeferForgetsAttempts) => 0,
            attempts => attempts.saturating_sub(1),
        };
        let deferrals = match run.deferrals[n] {
            // So that there is an end to what is explored.
            deferrals if self.has(Break::DeferredForEver) => deferrals.min(1),
            deferrals => deferrals,
        };
        let before = RouteFailure {
            error: String::new(),
            quote: None,
            attempts: attempts.into(),
            next_at: None,
            deferrals: deferrals.into(),
        };
        RouteFailure::deferred(Some(&before), attempts.into(), next_at)
    }
}
