//! Which routes an attempt has to answer for.
//!
//! ```text
//! configured, takes the event ─┬ the life was opened for all, or for this one ─▶ in scope
//!                              ├ it has failed in this life ───────────────────▶ in scope
//!                              └ neither: it was added since, or runs not now ─▶ left alone
//! in the record, takes it not ── waits, is given up, or was asked for ─────────▶ in scope, gone
//! ```
//!
//! A route that is gone cannot complete, so its event cannot become done: what waited
//! for it is given up and buried, where an operator sees it.

use std::collections::BTreeSet;

use super::Record;

/// Stands among the failures for a route of which nobody knows more than that it took the
/// event, may have been begun, and is not configured any more: no route's id looks so.
pub const UNKNOWN_ROUTE: &str = "(unknown)";

/// A route that an attempt has to answer for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InScope<'a> {
    /// Its id.
    pub route: &'a str,
    /// Whether no configured route of this id takes the event any more.
    pub is_gone: bool,
}

impl Record {
    /// The routes that this life has to answer for, where `taking` are those that are
    /// configured and take the event: first those, in their order, then what is gone.
    #[must_use]
    pub fn scope<'a>(&'a self, taking: &[&'a str]) -> Vec<InScope<'a>> {
        let is_asked = |route: &str| {
            let is_named = self.only.as_ref().is_none_or(|only| only.contains(route));
            is_named || self.failures.contains_key(route)
        };
        let configured = taking.iter().filter(|route| is_asked(route));
        let gone: BTreeSet<&str> = self
            .failures
            .keys()
            .chain(self.only.iter().flatten())
            .map(String::as_str)
            .filter(|route| !self.is_done(route) && !taking.contains(route))
            .collect();
        let gone = gone.into_iter().map(|route| InScope { route, is_gone: true });
        configured.map(|route| InScope { route, is_gone: false }).chain(gone).collect()
    }
}
