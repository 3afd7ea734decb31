//! The operator's command: the real binary, against the emulator, on tables and
//! queues of the test's own.

mod basics;
pub(crate) mod rig;
mod secret;
mod verify;
pub(crate) mod world;
