//! Every process dies at every step, once, before and after it; every event is
//! handled exactly once all the same.
//!
//! A story is played without a crash first; then again and again with one crash
//! at its first step, its second, and so on, until a story ends before the crash
//! would have come. So no step is forgotten when the code changes.

mod fuse;
mod world;

use std::sync::Arc;

use inbox_aws::DynamoDbLedger;
use inbox_core::handler::HandlerError;
use inbox_core::ledger::{Ledger, State};
use inbox_core::memory::MemoryLedger;
use inbox_local::testbed::TestBed;

use fuse::{Fuse, Side};
use world::{Ending, Script, Story, World};

const SUCCEEDS: Script = |_, _| Ok(());
const FAILS_TWICE: Script =
    |_, attempt| if attempt <= 2 { Err(HandlerError::retry("not yet")) } else { Ok(()) };
const FAILS: Script = |_, _| Err(HandlerError::retry("never"));
const FAILS_IN_THE_FIRST_LIFE: Script =
    |life, _| if life == 1 { Err(HandlerError::retry("not in this life")) } else { Ok(()) };
const FAILS_FOR_GOOD_IN_THE_FIRST_LIFE: Script =
    |life, _| if life == 1 { Err(HandlerError::permanent("wrong")) } else { Ok(()) };

fn story(script: Script) -> Story {
    Story { routes: vec![("work", script)], deliveries: 3, redrives: 0, lost_messages: 0 }
}

/// Plays `story` with a crash at every step and checks every ending; returns the
/// places where it crashed. `ledgers` makes an empty ledger for each play.
async fn crash_everywhere<L, F>(
    ledgers: impl Fn() -> F,
    story: &Story,
    expected: State,
) -> Vec<(&'static str, Side)>
where
    L: Ledger + 'static,
    F: Future<Output = L>,
{
    let mut places = Vec::new();
    for step in 0.. {
        let mut reached = false;
        for side in [Side::Before, Side::After] {
            let fuse = Fuse::new(Some((step, side)));
            let world = World::new(Arc::new(ledgers().await), story.clone(), Arc::clone(&fuse));
            let ending = world.play().await;
            check(story, &ending, expected, fuse.place());
            reached |= fuse.place().is_some();
            places.extend(fuse.place());
        }
        assert!(step < 100, "the story does not end");
        if !reached {
            return places;
        }
    }
    unreachable!("the loop above ends")
}

fn check(story: &Story, ending: &Ending, expected: State, place: Option<(&'static str, Side)>) {
    let context = format!("crashed at {place:?}: {ending:?}");
    let Some(record) = &ending.record else {
        // Nobody was told 200 and nothing was written: the event is not lost, it
        // was never accepted.
        assert!(!ending.answered.is_some_and(|status| status.is_success()), "{context}");
        assert_eq!(place, Some(("claim", Side::Before)), "{context}");
        assert_eq!(ending.effects, Vec::<String>::new(), "{context}");
        return;
    };
    assert_eq!(record.state, expected, "{context}");
    for (route, script) in &story.routes {
        let key = format!("{}#{route}", World::<MemoryLedger>::key());
        let runs = ending.effects.iter().filter(|effect| **effect == key).count();
        // The documented exception: dying between a handler's effect and its
        // record runs it again, with the same idempotency key.
        let unrecorded =
            matches!(place, Some(("effect", Side::After) | ("complete", Side::Before)));
        let once = script(record.life, 3).is_ok();
        assert!(runs == usize::from(once) || (unrecorded && runs == 2), "{runs} runs; {context}");
    }
    assert_eq!(record.open.is_some(), expected == State::Dead, "{context}");
    if expected == State::Dead {
        assert!((1..=2).contains(&ending.dead_letters), "{context}");
    }
}

/// Makes a test of each story for each ledger, and checks that the crashes came
/// where the story is about.
macro_rules! stories {
    ($($name:ident: $story:expr, $expected:expr, [$($step:literal),+];)+) => {
        mod in_memory {
            use super::*;
            $(#[tokio::test]
            async fn $name() {
                let places =
                    crash_everywhere(|| async { MemoryLedger::default() }, &$story, $expected).await;
                for step in [$($step),+] {
                    for side in [Side::Before, Side::After] {
                        assert!(places.contains(&(step, side)), "no crash {side:?} {step}");
                    }
                }
            })+
        }
        mod on_dynamodb {
            use super::*;
            $(#[tokio::test]
            async fn $name() {
                let ledgers = || async {
                    let bed = TestBed::new().await.expect("test bed");
                    DynamoDbLedger::new(&bed.sdk_config(), bed.table.clone())
                };
                crash_everywhere(ledgers, &$story, $expected).await;
            })+
        }
    };
}

stories! {
    an_event_that_succeeds_is_handled_once:
        story(SUCCEEDS), State::Done,
        ["claim", "send", "begin", "effect", "complete"];
    an_event_whose_provider_never_sends_again_is_handled_once:
        Story { deliveries: 1, ..story(SUCCEEDS) }, State::Done,
        ["claim", "send", "begin", "effect", "complete"];
    an_event_whose_message_is_lost_is_handled_once:
        Story { lost_messages: 1, ..story(SUCCEEDS) }, State::Done,
        ["sweep", "send", "begin", "effect", "complete"];
    an_event_that_fails_twice_is_handled_once:
        story(FAILS_TWICE), State::Done,
        ["fail", "hide", "sweep", "effect", "complete"];
    an_event_that_always_fails_ends_dead_with_a_dead_letter:
        story(FAILS), State::Dead,
        ["begin", "fail", "send_dead", "bury"];
    a_redriven_event_is_handled_once_in_its_new_life:
        Story { redrives: 3, ..story(FAILS_IN_THE_FIRST_LIFE) }, State::Done,
        ["send_dead", "bury", "reopen", "effect", "complete"];
    an_event_buried_at_once_can_be_redriven:
        Story { redrives: 3, ..story(FAILS_FOR_GOOD_IN_THE_FIRST_LIFE) }, State::Done,
        ["send_dead", "bury", "reopen", "effect", "complete"];
    a_failing_route_does_not_run_its_completed_sibling_again:
        Story { routes: vec![("mail", SUCCEEDS), ("work", FAILS_TWICE)], ..story(SUCCEEDS) },
        State::Done,
        ["fail", "complete"];
    a_redrive_does_not_run_a_completed_sibling_again:
        Story {
            routes: vec![("mail", SUCCEEDS), ("work", FAILS_IN_THE_FIRST_LIFE)],
            redrives: 3,
            ..story(SUCCEEDS)
        },
        State::Done,
        ["reopen", "complete"];
}
