//! The protocol between receiver, ledger, queue, processors, sweeper and operator
//! as a model, explored in every order of steps and faults within small bounds.
//!
//! ```text
//!              provider: sends, and sends again
//!                  │
//!  receiver    claim ─ send ─ answer 2xx          ┌ sweeper   read ─ sweep ─ send
//!                  │      └──────────▶ queue ◀────┤
//!  processors  begin ─ effect ─ complete ─ …      └ operator  look ─ reopen ─ send
//!                  │                                          redrive · forget
//!  world       leases end · next_at, due_at come · messages lost, doubled, moved
//! ```
//!
//! One event, one to two handlers, one to two processors, a few messages, faults
//! and acts of an operator: the [`worlds`]. Between any two steps of one process
//! every other can act, and each can die. Events do not share an item, a message
//! or a lease, so one is enough.
//!
//! The ledger's decisions are not modelled: they are the code's own functions
//! ([`inbox_core::ledger`]'s `apply_begin` and its like), applied to a record made
//! of the model's small [`item::Item`]. What the processes do between them is
//! written down again in `actors`, a step for each call and each effect.
//!
//! **Faults**, each counted against the world's budget: a process dies between any
//! two steps (a call that fails leaves the same behind, since the answer to it is
//! to leave the message or to answer 503; a completion that fails, after which a
//! run goes on, is a fault of its own, landed or not); the answer to a write or a
//! send is lost after it landed, and the SDK repeats the very call; a message is
//! lost, delivered once more, or moved to the dead letters by SQS; a handler
//! fails, or fails for good; a lease ends under a process that lives, whose writes
//! may then still land, while no handler of it starts any more.
//!
//! **Time** passes by steps of the world, at any moment. A process may thus take
//! `next_at` for come 10 s early (what `begin` allows), and write after its lease
//! has ended by another's clock. Messages come back at any moment too, before
//! their time as well.
//!
//! **What must hold** in every state: [`properties::Property`]; that everything
//! ends, and by which fairness: [`liveness`]. What it is all there for:
//! [`breaks`], each of which takes one remedy away and brings one harm back.
//!
//! **Not in it**: payloads, batches of several events, the order of shards and
//! pages in the sweeper, throttling, more messages at once than the world has
//! room for (a sender then waits), `maxReceiveCount` as a number (SQS may move a
//! message at any time), a retention that ends while anybody still works.

pub mod action;
pub(crate) mod actors;
pub mod breaks;
pub mod check;
pub mod config;
pub(crate) mod deferral;
pub mod graph;
pub mod item;
pub mod ledger;
pub mod liveness;
pub mod properties;
pub mod protocol;
pub mod world;
pub mod worlds;
