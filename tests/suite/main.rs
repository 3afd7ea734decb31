//! The tests that need more than one package, or AWS's emulator.
//!
//! One binary, because linking the AWS SDK takes longer than running most tests.

#![expect(clippy::unwrap_used, reason = "a test that unwraps says what is wrong by failing")]
#![expect(clippy::large_futures, reason = "a whole world on the stack of a test harms nobody")]

mod chaos;
mod conformance;
mod contract;
mod crash;
mod dependencies;
mod documents;
mod e2e;
mod examples;
mod forward;
mod makefile;
mod mirror;
mod operator;
mod packages;
mod processor;
mod receiver;
mod redaction;
mod sweeper;
mod targets;
