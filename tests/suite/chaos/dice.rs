//! Chance from a seed: what is decided depends on what it is about and on nothing else.
//!
//! A generator that hands out the next number makes every decision depend on all that
//! came before it, and so on which thread was quicker. Here a decision is the hash of
//! the seed and of its subject (`fault, 17, Begin, 2`), so the second begin of event 17
//! meets the same fault in every run of a seed, whenever it comes.

use std::fmt::Display;

use sha2::{Digest as _, Sha256};

/// One run's chance.
#[derive(Clone, Copy, Debug)]
pub(super) struct Dice {
    pub(super) seed: u64,
}

impl Dice {
    /// A number from 0 to `sides - 1` for a subject.
    pub(super) fn roll(self, sides: u64, about: &[&(dyn Display + Sync)]) -> u64 {
        let mut hash = Sha256::new();
        hash.update(self.seed.to_be_bytes());
        for part in about {
            hash.update(format!("{part}\n"));
        }
        let digest = hash.finalize();
        let head = digest.iter().take(8).fold(0, |all, byte| all << 8 | u64::from(*byte));
        head % sides.max(1)
    }

    /// Whether something that happens so many times in a thousand happens here.
    pub(super) fn happens(self, per_mille: u64, about: &[&(dyn Display + Sync)]) -> bool {
        self.roll(1000, about) < per_mille
    }

    /// One of these, by their weights.
    pub(super) fn pick<T: Copy>(self, choices: &[(u64, T)], about: &[&(dyn Display + Sync)]) -> T {
        let mut left = self.roll(choices.iter().map(|(weight, _)| weight).sum(), about);
        for (weight, choice) in choices {
            if left < *weight {
                return *choice;
            }
            left -= weight;
        }
        unreachable!("the roll is below the sum of the weights")
    }
}

#[test]
fn a_decision_depends_on_seed_and_subject_alone() {
    let (one, other) = (Dice { seed: 1 }, Dice { seed: 2 });
    let about: [&(dyn Display + Sync); 2] = [&"fault", &17];
    assert_eq!(one.roll(1 << 60, &about), one.roll(1 << 60, &about));
    assert_ne!(one.roll(1 << 60, &about), other.roll(1 << 60, &about));
    assert_ne!(one.roll(1 << 60, &about), one.roll(1 << 60, &[&"fault1", &7]));
    let hits = (0..10_000).filter(|n| one.happens(250, &[n])).count();
    assert!((2300..2700).contains(&hits), "{hits}");
}
