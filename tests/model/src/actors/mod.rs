//! Who acts: for each actor the steps that it can take in a state, and what a
//! step does. Between any two steps of one, all others can act.

pub(crate) mod operator;
pub(crate) mod processor;
pub(crate) mod receiver;
pub(crate) mod surroundings;
pub(crate) mod sweeper;
