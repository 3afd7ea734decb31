//! What must hold for every provider of the registry.

use inbox_receiver::providers::{find, names};

#[path = "../../../../functions/receiver/src/providers/facts.rs"]
#[expect(dead_code, unused_imports, reason = "borrowed for the rest of it")]
mod facts;
#[path = "../../../../functions/receiver/src/providers/mutations.rs"]
mod mutations;
#[path = "../../../../functions/receiver/src/providers/testing.rs"]
#[expect(dead_code, reason = "borrowed for the rest of it")]
mod testing;

mod endpoint;

pub mod gateway;
pub mod identify;
pub mod mutated;
pub mod verify;

use self::testing::{Delivery, Sample};

/// Every provider with every fixture, signed.
fn genuine() -> Vec<(Sample, Delivery)> {
    let fixtures = |sample: Sample| {
        let ending = if sample.content_type == "application/json" { ".json" } else { ".form" };
        let folder = facts::folder().join(sample.provider.name());
        let files = sample.facts.fixtures.keys().filter(move |file| file.ends_with(ending));
        let mut bodies: Vec<Vec<u8>> =
            files.map(|file| std::fs::read(folder.join(file)).expect("a fixture")).collect();
        if bodies.is_empty() {
            bodies.push(b"payload=%7B%22action%22%3A%22opened%22%7D".to_vec());
        }
        bodies.into_iter().map(move |body| (sample.clone(), sample.delivery(&body)))
    };
    testing::all().into_iter().flat_map(fixtures).collect()
}

/// What a form says, read in another way than the product does.
#[must_use]
pub fn said(form: &[u8]) -> std::collections::BTreeSet<(Vec<u8>, Vec<u8>)> {
    mutations::said(form)
}
