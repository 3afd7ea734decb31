//! The local stack and the tools that tests use around it.
//!
//! ```text
//!  curl, provider's CLI, tests
//!        │  http://127.0.0.1:9000/webhooks/{source}
//!        ▼
//!  front door (proxy) ──▶ `MiniStack`: API Gateway ──▶ receiver (a real process)
//!                            ▲    SQS ── event source mapping ──▶ processor
//!                            │    Lambda Invoke, on an interval ──▶ sweeper
//!                            └── the functions' AWS calls, through a second
//!                                proxy when somebody wants to count or break them
//! ```
//!
//! - [`emulator`] starts and ends `MiniStack`; nothing of it outlives its parent.
//! - [`access`] has the keys with which it is spoken to; [`permissions`] reads from
//!   `infra/` who may do what, [`iam`] tells the emulator, [`decisions`] is what it decided,
//!   [`needed`] what of it was needed.
//! - [`proxy`] forwards HTTP, records AWS calls and injects faults.
//! - [`actions`] says what the functions may do in AWS, and what they did.
//! - [`microburst`] makes those faults that must look like AWS's own.
//! - [`runtime_api`] runs one function without the emulator, to count its calls,
//!   kill it at a chosen point and measure its speed.
//! - [`stack`] is the whole: emulator, resources, functions, front door;
//!   [`description`] tells other programs where everything is.
//! - [`forward_secrets`] gives routes that forward a secret to sign with.
//! - [`packages`] runs what is deployed instead of what was built for tests.
//! - [`delivery`] makes the requests that providers send.
//! - [`subscribers`] are the examples that `infra/` comes with, [`endpoint`] somebody's
//!   HTTP server.
//! - [`testbed`] gives a test its own tables and queues in a shared emulator, and the
//!   functions that are started there the roles of the module.
//! - [`watch`] fails the run when a process writes a payload, a secret or a signature.

pub mod access;
pub mod actions;
pub mod calls;
mod child_output;
pub mod decisions;
pub mod delivery;
pub mod description;
pub mod emulator;
pub mod endpoint;
mod enforcement;
pub mod error;
pub mod forward_secrets;
pub mod functions;
pub mod http_client;
pub mod iam;
pub mod microburst;
pub mod needed;
pub mod options;
pub mod packages;
mod parts;
pub mod paths;
pub mod permissions;
mod private;
pub mod proxy;
pub mod resources;
pub mod runtime_api;
mod runtime_exchange;
mod server;
mod sessions;
pub mod stack;
pub mod subscribers;
pub mod testbed;
pub mod watch;

pub use delivery::Delivery;
pub use description::StackDescription;
pub use endpoint::Endpoint;
pub use error::LocalError;
pub use options::{SourceOptions, StackOptions};
pub use stack::LocalStack;
pub use testbed::TestBed;
