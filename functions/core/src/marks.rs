//! Marks: which routes are slow, for all processes to know.
//!
//! Only what a process has seen itself would come too late: fifty processes would each
//! have to wait for a slow endpoint in turn. So the first that finds a route slow marks
//! it in one item of the ledger's table, and the others read that item again from time
//! to time. When to mark and unmark is the processor's to say.

use std::collections::BTreeMap;

use crate::Timestamp;
use crate::ledger::LedgerError;

/// The marked routes by id, each with the moment at which it was last seen to be slow.
pub type MarkedRoutes = BTreeMap<String, Timestamp>;

/// Where marks are kept.
pub trait Marks: Send + Sync {
    /// Reads all marks. They may be a little older than the last write.
    fn marks(&self) -> impl Future<Output = Result<MarkedRoutes, LedgerError>> + Send;

    /// Marks a route that was seen to be slow at this moment.
    fn mark(
        &self,
        route: &str,
        slow_at: Timestamp,
    ) -> impl Future<Output = Result<(), LedgerError>> + Send;

    /// Unmarks a route, unless it was seen to be slow since the mark was read: that was
    /// last of `slow_at`.
    fn unmark(
        &self,
        route: &str,
        slow_at: Timestamp,
    ) -> impl Future<Output = Result<(), LedgerError>> + Send;
}
