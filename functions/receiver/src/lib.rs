//! The Lambda behind API Gateway: what a provider sends is verified, claimed in
//! the ledger, queued, and answered.
//!
//! ```text
//! pipeline.rs           what happens to a request, on one page
//! response.rs           what is answered
//! gateway.rs            API Gateway's event as a request
//! config.rs             settings
//! providers/<name>.rs   one scheme each: verify, identify, sign, reply
//! json.rs               reading bodies without trusting them
//! ```

pub mod config;
pub mod gateway;
mod json;
pub mod pipeline;
#[cfg(test)]
mod properties;
pub mod providers;
pub mod response;
mod trace;
