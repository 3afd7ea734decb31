//! The operator's command: the real binary, against the emulator, on tables and
//! queues of the test's own.

mod basics;
mod dlq;
mod letters;
mod move_tasks;
mod purge;
mod redrive;
mod redrive_task;
pub(crate) mod rig;
pub(crate) mod world;
