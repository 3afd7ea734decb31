//! Faults against the real binaries: each a process, as Lambda would run it, whose AWS
//! calls go to the emulator through `microburst`.
//!
//! ```text
//!             ┌─ receiver ──┐           ┌ decides ┐
//! providers ──┤  processor ─┼─▶ front ──┤ records ├─▶ microburst ─▶ back ─▶ emulator
//! queue ──────┤  sweeper ───┘           └─────────┘    faults        └ what landed
//! schedule ───┘
//! operator       the test is all that stands on this side, and the clock
//! ```
//!
//! - [`matrix`]: every call × every fault, each with the right answer.
//! - [`storms`]: everything at once, from a seed; the [`verdict`] in the end.
//!
//! Time is moved rather than waited for: a lease whose process is gone ends, and what is
//! pending is due, as soon as the test says so.

mod cell;
mod dice;
mod journal;
mod matrix;
mod operator;
mod provider;
mod queue;
mod run;
mod stage;
mod steps;
mod storms;
mod subject;
mod verdict;
mod weather;
mod worker;
