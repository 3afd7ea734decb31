//! The tests that need more than one package, or AWS's emulator.
//!
//! One binary, because linking the AWS SDK takes longer than running most tests.

mod conformance;
mod crash;
mod e2e;
mod mirror;
mod processor;
mod receiver;
mod sweeper;
