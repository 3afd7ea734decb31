//! Terraform itself evaluates `infra/`: `terraform validate`, `terraform test` and real
//! plans, by a provider that knows only the schemas of both ends and runs within this
//! process. What only AWS knows is unknown, as it is to everybody's first plan.
//!
//! ```text
//! forms ────▶ every variable's every form
//!   └▶ agreement: each is planned, and our own evaluator says the same of it,
//!      resource by resource
//! refusals ─▶ every validation refuses in its own words, to both
//! callers ──▶ the thin caller, the examples, and a caller that makes every
//!             target in the same apply
//! ```
//!
//! Terraform 1.11 or later is needed (`TERRAFORM=` names one). Without it these tests say
//! SKIPPED and claim nothing, unless `CI` or `REQUIRED=1` demands it.

mod agreement;
mod callers;
mod forms;
mod msgpack;
mod policy_document;
mod protobuf;
mod provider;
mod refusals;
mod runs;
mod server;
mod workspace;
