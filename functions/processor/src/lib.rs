//! The Lambda behind the queue: runs the handlers of each event.
//!
//! ```text
//! invocation.rs what the function is called with, and its answer
//! message.rs    a message, and what can become of it
//! batch.rs      what happens to a batch of messages, on one page
//! budget.rs     how much memory events take up at once
//! fates.rs      what becomes of each route
//! outlook.rs    what a life will do, said before it is opened
//! ending.rs     how an attempt ends
//! deferring.rs  how routes are left for later
//! lane.rs       which routes are slow, and run in the lane
//! run.rs        one handler's run
//! retry.rs      when to try again
//! routes.rs     which handlers an event takes
//! handlers/     what can be done with an event, one file each
//! config.rs     settings
//! ```

pub mod batch;
pub mod budget;
pub mod config;
mod deferring;
mod ending;
mod fates;
pub mod handlers;
pub mod invocation;
pub mod lane;
pub mod message;
pub mod outlook;
pub mod retry;
pub mod routes;
mod run;
