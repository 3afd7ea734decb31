//! Not more than so many a second.

use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval_at};

/// Lets through so many a second, the first at once.
#[derive(Debug)]
pub struct Pace(tokio::time::Interval);

impl Pace {
    /// `per_second` of zero counts as one.
    #[must_use]
    pub fn new(per_second: u32) -> Self {
        let mut interval = interval_at(Instant::now(), Duration::from_secs(1) / per_second.max(1));
        // Time lost to slow calls is not made up for by a burst.
        interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self(interval)
    }

    /// Waits for the next turn.
    pub async fn turn(&mut self) {
        self.0.tick().await;
    }
}
