//! Storms of `make test`, and the one that runs as long as it is told.

use std::time::Duration;

use super::run::{Storm, run};

/// One that `make test` can afford.
const SHORT: Storm = Storm {
    seed: 5,
    events: 250,
    time: Duration::from_secs(30),
    has_sweeper: true,
    tells_progress: false,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_a_storm_every_accepted_event_ends_and_every_handler_takes_effect_once() {
    let (report, wrong) = run(SHORT).await;
    println!("{report}");
    assert!(wrong.is_empty(), "seed {}: {wrong:#?}", SHORT.seed);
    // It was a storm.
    assert!(report.accepted.len() >= 20, "{report}");
    assert!(report.faults.values().sum::<u64>() >= 20 && !report.kills.is_empty(), "{report}");
}

/// The verdict can find what is lost: without the sweeper, something must be.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_sweeper_the_verdict_names_what_is_lost() {
    let storm = Storm { has_sweeper: false, events: 60, ..SHORT };
    let (report, wrong) = run(storm).await;
    let lost = wrong.iter().filter(|what| what.contains("it never ended")).count();
    assert!(lost > 0, "{report}");
    assert_eq!(lost, wrong.len(), "{wrong:#?}");
}

/// `make chaos`: SECONDS, EVENTS and SEED from the environment.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "runs as long as it is told: `make chaos`"]
async fn as_long_as_it_is_told() {
    let told = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let storm = Storm {
        seed: told("SEED").unwrap_or_else(|| u64::from(uuid::Uuid::new_v4().as_fields().0)),
        events: told("EVENTS").and_then(|it| u32::try_from(it).ok()).unwrap_or(u32::MAX),
        time: Duration::from_secs(told("SECONDS").unwrap_or(if told("EVENTS").is_some() {
            86_400
        } else {
            60
        })),
        has_sweeper: true,
        tells_progress: true,
    };
    println!("seed {}", storm.seed);
    let (report, wrong) = run(storm).await;
    println!("{report}");
    assert!(wrong.is_empty(), "seed {}: {wrong:#?}", storm.seed);
}
