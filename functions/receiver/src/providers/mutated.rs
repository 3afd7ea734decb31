//! Random alterations of every signed fixture; `mutations.rs` has the rule.

use std::cell::Cell;

use proptest::prelude::*;

use super::facts;
use super::mutations;
use super::testing::{self, Delivery, Sample};

/// Every fixture as its provider would send it.
fn genuine() -> Vec<(Sample, Delivery)> {
    let fixture = |sample: Sample| {
        let ending = if sample.content_type == "application/json" { ".json" } else { ".form" };
        let folder = facts::folder().join(sample.provider.name());
        let files = sample.facts.fixtures.keys().filter(move |file| file.ends_with(ending));
        let bodies: Vec<_> = files.map(|file| std::fs::read(folder.join(file)).unwrap()).collect();
        let bodies = if bodies.is_empty() { vec![wrapped()] } else { bodies };
        bodies.into_iter().map(move |body| {
            let delivery = sample.delivery(&body);
            (sample.clone(), delivery)
        })
    };
    testing::all().into_iter().flat_map(fixture).collect()
}

/// JSON in a form's field, for a provider that sends forms and has none here.
fn wrapped() -> Vec<u8> {
    b"payload=%7B%22action%22%3A%22opened%22%2C%22repository%22%3A%7B%22full_name%22%3A%22a%2Fb%22%7D%7D"
        .to_vec()
}

#[test]
fn no_alteration_is_accepted_as_something_that_was_not_signed() {
    let all = genuine();
    let (tried, accepted) = (Cell::new(0_u32), Cell::new(0_u32));
    let config =
        ProptestConfig { cases: 10_000, failure_persistence: None, ..ProptestConfig::default() };
    let script = proptest::collection::vec(any::<u8>(), 8..48);
    proptest!(config, |(which in 0..all.len(), script in script)| {
        let (sample, genuine) = &all[which];
        let altered = mutations::alter(sample, genuine, &script);
        tried.set(tried.get() + 1);
        accepted.set(accepted.get() + u32::from(mutations::check(sample, genuine, &altered)));
    });
    // What is refused always would be refused by a broken test as well.
    assert!(accepted.get() > tried.get() / 100, "{accepted:?} of {tried:?}");
    assert!(accepted.get() < tried.get() / 2, "{accepted:?} of {tried:?}");
}

#[test]
fn every_fixture_is_accepted_as_it_is() {
    for (sample, genuine) in genuine() {
        assert!(mutations::check(&sample, &genuine, &genuine), "{genuine:?}");
    }
}
