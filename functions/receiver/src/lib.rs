//! The Lambda behind API Gateway: what a provider sends is verified, claimed in
//! the ledger, queued, and answered.
//!
//! ```text
//! providers/<name>.rs   one scheme each: verify, identify, sign, reply
//! form.rs  json.rs      reading bodies without trusting them
//! ```

mod form;
mod json;
pub mod providers;
