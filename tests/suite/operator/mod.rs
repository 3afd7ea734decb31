//! The operator's command: the real binary, against the emulator, on tables and
//! queues of the test's own.

mod basics;
mod doctor;
mod events;
mod forget;
mod listen;
mod replay;
pub(crate) mod rig;
mod show;
pub(crate) mod target;
pub(crate) mod worker;
pub(crate) mod world;
