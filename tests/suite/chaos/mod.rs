//! Faults against the real binaries.

mod cell;
mod dice;
mod journal;
mod matrix;
mod stage;
mod steps;
mod subject;
mod verdict;
