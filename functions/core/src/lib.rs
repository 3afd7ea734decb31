//! The rules of the webhook inbox, without AWS.
//!
//! Everything that decides is here and takes time as an argument, so that each
//! rule can be tested in memory; `inbox-aws` carries the decisions out.
//!
//! ```text
//! request ─ provider ─ signature ─ secrets      what gets in
//! event ─ ledger ─ queue                        what is kept, and who is woken
//! handler                                       what is done with it
//! stack ─ config ─ telemetry ─ timestamp        shared ground
//! ```

pub mod provider;
pub mod request;
pub mod secrets;
pub mod signature;
pub mod timestamp;

pub use timestamp::Timestamp;
