//! A signed fixture after a script of alterations; `mutations.rs` of the receiver's
//! tests has the rule.

use std::sync::LazyLock;

use super::mutations;
use super::testing::{Delivery, Sample};
use crate::choice;

static GENUINE: LazyLock<Vec<(Sample, Delivery)>> = LazyLock::new(super::genuine);

/// Accepted only as what was signed.
///
/// # Panics
///
/// When it is not.
pub fn run(data: &[u8]) {
    let Some((first, script)) = choice(data) else { return };
    let (sample, genuine) = &GENUINE[first % GENUINE.len()];
    let altered = mutations::alter(sample, genuine, script);
    mutations::check(sample, genuine, &altered);
}
