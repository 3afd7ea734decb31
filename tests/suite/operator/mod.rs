//! The operator's command: the real binary, against the emulator, on tables and
//! queues of the test's own.

mod basics;
mod receivers;
pub(crate) mod rig;
mod secret;
mod send;
mod verify;
pub(crate) mod world;
