//! Not more than so many a second.

use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval_at};

const SHORTEST_TURN: Duration = Duration::from_micros(1);

/// Lets through so many a second, the first at once.
#[derive(Debug)]
pub struct Pace(tokio::time::Interval);

impl Pace {
    /// `per_second` of zero counts as one.
    #[must_use]
    pub fn new(per_second: u32) -> Self {
        // A turn takes a moment at least: a timer of none at all panics.
        let turn = (Duration::from_secs(1) / per_second.max(1)).max(SHORTEST_TURN);
        let mut interval = interval_at(Instant::now(), turn);
        // Time lost to slow calls is not made up for by a burst.
        interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self(interval)
    }

    /// Waits for the next turn.
    pub async fn turn(&mut self) {
        self.0.tick().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn no_rate_is_too_high() {
        for per_second in [0, 1, 1_000_000_001, u32::MAX] {
            Pace::new(per_second).turn().await;
        }
    }
}
