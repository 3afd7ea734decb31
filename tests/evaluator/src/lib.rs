//! Reads the Terraform modules of `infra/` and evaluates them, without Terraform and
//! without an AWS account.
//!
//! ```text
//! *.tf ── module ──▶ plan ──▶ instances, outputs, what preconditions refuse
//!                     ▲ ▲
//!          variables ─┘ └── schema: what the provider takes and gives
//! ```
//!
//! `tests/infra` holds rules over its plans. The local stack takes roles and policies
//! from them: `arns` fills in what AWS would, `policies` writes documents as IAM reads
//! them. The functions and the command know nothing of it.

pub mod arns;
pub mod expressions;
mod functions;
mod inbox;
pub mod module;
pub mod plan;
pub mod policies;
pub mod schema;
mod variables;
pub mod walk;
