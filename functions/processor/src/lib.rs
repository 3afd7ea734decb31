//! The processor.

pub mod handlers;
