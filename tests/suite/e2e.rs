//! End to end: the real binaries, before the emulator's tables and queues.
//!
//! ```text
//! stack   front door ─▶ API Gateway ─▶ receiver ─▶ queue ─▶ processor    as in the cloud,
//!         one for all tests of this process, never broken on purpose     by HTTP
//!
//! rig     test ─▶ receiver, processor, sweeper, one invocation at a      by hand: each call
//!         time, each AWS call through a proxy of the test's own          counted, broken, killed at
//! ```
//!
//! A rig's test is the queue's poller and the clock as well: it says when a message
//! is delivered again and when a lease has run out, so nothing waits and nothing is
//! left to chance. Both look through everything that the functions wrote: JSON lines,
//! and nothing of a payload, a secret or a signature.

pub(crate) mod actions;
mod answers;
mod bad_input;
mod by_hand;
mod calls;
mod demo;
mod forward;

mod kills;
mod lane;
pub(crate) mod large;
mod lives;
pub(crate) mod logs;
mod lost_replies;
mod lost_routes;
mod main_job;
mod make_run;
mod memory;

mod outages;
mod poison;
pub(crate) mod references;
pub(crate) mod requests;
mod retries;
mod rig;
mod stack;
mod weather;
mod words;
