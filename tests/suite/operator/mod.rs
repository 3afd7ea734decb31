//! The operator's command: the real binary, against the emulator, on tables and
//! queues of the test's own.

mod basics;
mod clock;
mod deliveries;
mod dlq;
mod doctor;
mod events;
mod forget;
mod forward_doctor;
mod forward_secret;
mod large;
mod letters;
mod listen;
mod logs;
mod make_plan;
mod move_tasks;
mod purge;
mod receivers;
mod redrive;
mod redrive_task;
mod replay;
pub(crate) mod rig;
mod route_targets;
mod routes;
mod secret;
mod send;
mod show;
mod situations;
pub(crate) mod target;
mod verify;
pub(crate) mod worker;
pub(crate) mod world;
