//! The rules of the webhook inbox, without AWS.
//!
//! Everything that decides is here and takes time as an argument, so that each
//! rule can be tested in memory; `inbox-aws` carries the decisions out.
//!
//! ```text
//! request ─ provider ─ signature ─ secrets      what gets in
//! form                                          form-encoded bodies, as bytes
//! event ─ ledger ─ queue                        what is kept, and who is woken
//! handler                                       what is done with it
//! pattern                                       `*` in routes and filters
//! standard_webhooks                             what sender and receiver of it share
//! stack ─ config ─ telemetry ─ timestamp        shared ground
//! ```

pub mod config;
pub mod envelope;
pub mod event;
pub mod form;
pub mod handler;
pub mod ledger;
pub mod marks;
pub mod memory;
pub mod pattern;
#[cfg(test)]
mod properties;
pub mod provider;
pub mod queue;
pub mod request;
pub mod secrets;
pub mod signature;
pub mod stack;
pub mod standard_webhooks;
pub mod telemetry;
pub mod timestamp;

pub use timestamp::Timestamp;
