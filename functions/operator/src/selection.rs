//! Which events.
