//! Every process dies at every step, once, before and after it; every event is
//! handled exactly once all the same.
//!
//! A story is played without a crash first; then again and again with one crash
//! at its first step, its second, and so on, until a story ends before the crash
//! would have come. So no step is forgotten when the code changes.

mod expiry;
pub(crate) mod fuse;
pub(crate) mod world;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use inbox_aws::DynamoDbLedger;
use inbox_core::handler::HandlerError;
use inbox_core::ledger::{Ledger, State};
use inbox_core::marks::Marks;
use inbox_core::memory::MemoryLedger;
use inbox_local::calls::Fault;
use inbox_local::proxy::Proxy;
use inbox_local::testbed::TestBed;

use fuse::{Fuse, Place, Side};
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
    let (redrives, lost_messages, slow, refusals) = (0, 0, None, 0);
    Story { routes: vec![("work", script)], deliveries: 3, redrives, lost_messages, slow, refusals }
}

/// Its one route is slow, and there is a lane.
fn slow(script: Script) -> Story {
    Story { slow: Some("work"), ..story(script) }
}

/// Stories that between them take every step there is, with their ends.
pub(crate) fn stories() -> Vec<(Story, State)> {
    let siblings = vec![("mail", SUCCEEDS), ("work", FAILS_TWICE)];
    vec![
        (story(SUCCEEDS), State::Done),
        (Story { lost_messages: 1, ..story(SUCCEEDS) }, State::Done),
        (Story { routes: siblings, ..story(SUCCEEDS) }, State::Done),
        (Story { redrives: 1, ..story(FAILS_IN_THE_FIRST_LIFE) }, State::Done),
        (story(FAILS), State::Dead),
        (Story { refusals: 2, ..slow(SUCCEEDS) }, State::Done),
    ]
}

/// Plays `story` with a crash at every step and checks every ending; returns the
/// places where it crashed. `ledgers` makes an empty ledger for each play.
async fn crash_everywhere<L, F>(
    ledgers: impl Fn() -> F,
    story: &Story,
    expected: State,
) -> Vec<Place>
where
    L: Ledger + Marks + 'static,
    F: Future<Output = L>,
{
    let mut places = Vec::new();
    for step in 0.. {
        let mut reached = false;
        for side in [Side::Before, Side::After] {
            let fuse = Fuse::new(&[(step, side)]);
            let world = World::new(Arc::new(ledgers().await), story.clone(), Arc::clone(&fuse));
            let ending = world.play().await;
            check(story, &ending, expected, &fuse.places());
            reached |= !fuse.places().is_empty();
            places.extend(fuse.places());
        }
        assert!(step < 100, "the story does not end");
        if !reached {
            return places;
        }
    }
    unreachable!("the loop above ends")
}

fn check(story: &Story, ending: &Ending, expected: State, places: &[Place]) {
    let context = format!("crashed at {places:?}: {ending:?}");
    let Some(record) = &ending.record else {
        // Nobody was told 200 and nothing was written: the event is not lost, it
        // was never accepted.
        assert!(!ending.answered.is_some_and(|status| status.is_success()), "{context}");
        assert!(places.iter().all(|place| *place == ("claim", Side::Before)), "{context}");
        assert_eq!(ending.effects, Vec::<String>::new(), "{context}");
        return;
    };
    assert_eq!(record.state, expected, "{context}");
    for (route, script) in &story.routes {
        let key = format!("{}#{route}", World::<MemoryLedger>::key());
        let runs = ending.effects.iter().filter(|effect| **effect == key).count();
        // The documented exception: dying between a handler's effect and its
        // record runs it again, with the same idempotency key.
        let is_unrecorded =
            |place: &&Place| matches!(place, ("effect", Side::After) | ("complete", Side::Before));
        let unrecorded = places.iter().filter(is_unrecorded).count();
        let once = usize::from(script(record.life, 3).is_ok());
        assert!((once..=once + unrecorded).contains(&runs), "{runs} runs; {context}");
    }
    assert_eq!(record.open.is_some(), expected == State::Dead, "{context}");
    if expected == State::Dead {
        assert!((1..=1 + places.len()).contains(&ending.dead_letters), "{context}");
    }
}

/// The crashes came where the story is about, on both sides.
fn check_places(places: &[Place], steps: &[&'static str]) {
    for step in steps {
        for side in [Side::Before, Side::After] {
            assert!(places.contains(&(step, side)), "no crash {side:?} {step}");
        }
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
                check_places(&places, &[$($step),+]);
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
                let places = crash_everywhere(ledgers, &$story, $expected).await;
                check_places(&places, &[$($step),+]);
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
    an_event_left_with_a_slow_route_alone_is_handled_once_in_the_lane:
        slow(SUCCEEDS), State::Done,
        ["begin", "defer", "send_to_lane", "effect", "complete"];
    an_event_that_waits_in_the_lane_for_its_breaker_is_handled_once:
        Story { refusals: 3, ..slow(SUCCEEDS) }, State::Done,
        ["begin", "defer", "send_to_lane", "effect", "complete"];
    an_event_that_fails_twice_in_the_lane_is_handled_once:
        slow(FAILS_TWICE), State::Done,
        ["defer", "send_to_lane", "fail", "hide", "sweep", "effect", "complete"];
    an_event_that_always_fails_in_the_lane_ends_dead_with_a_dead_letter:
        slow(FAILS), State::Dead,
        ["defer", "send_to_lane", "fail", "send_dead", "bury"];
    a_failing_sibling_of_a_slow_route_and_the_slow_one_are_each_handled_once:
        Story { routes: vec![("mail", FAILS_TWICE), ("work", SUCCEEDS)], ..slow(SUCCEEDS) },
        State::Done,
        ["fail", "send_to_lane", "effect", "complete"];
}

/// Two crashes, in every pair of places, while no attempt is lost to anything
/// else: of four attempts, two may die.
#[tokio::test]
async fn two_crashes_in_any_two_places_change_nothing_either() {
    let story = Story { lost_messages: 1, ..story(SUCCEEDS) };
    let sides = [Side::Before, Side::After];
    let mut worlds = 0;
    for first in (0..12).flat_map(|step| sides.map(|side| (step, side))) {
        for second in (first.0 + 1..20).flat_map(|step| sides.map(|side| (step, side))) {
            let fuse = Fuse::new(&[first, second]);
            let ledger = Arc::new(MemoryLedger::default());
            let ending = World::new(ledger, story.clone(), Arc::clone(&fuse)).play().await;
            check(&story, &ending, State::Done, &fuse.places());
            worlds += usize::from(fuse.places().len() == 2);
        }
    }
    assert!(worlds > 100, "only {worlds} worlds had two crashes");
}

/// The answer to every call to the ledger is lost once, after the write landed,
/// and the SDK repeats the call: nothing changes, and nothing runs twice.
#[tokio::test]
async fn a_write_whose_answer_was_lost_and_that_the_sdk_repeats_changes_nothing() {
    for (story, expected) in stories() {
        let mut undisturbed = None;
        // Call number 0 is nobody's: the first round shows what it should be.
        for lost in 0.. {
            let bed = TestBed::new().await.expect("test bed");
            let proxy = Proxy::start(&bed.endpoint_url).await.expect("proxy");
            let writes = Arc::new(AtomicUsize::new(0));
            let counted = Arc::clone(&writes);
            proxy.set_hook(move |call| {
                let is_write = call.is("dynamodb", "PutItem") || call.is("dynamodb", "UpdateItem");
                let number = if is_write { counted.fetch_add(1, Ordering::SeqCst) + 1 } else { 0 };
                if is_write && number == lost { Fault::DropReply } else { Fault::None }
            });
            let aws = inbox_local::resources::sdk_config(proxy.url());
            let ledger = Arc::new(DynamoDbLedger::new(&aws, bed.table.clone()));
            let ending = World::new(ledger, story.clone(), Fuse::new(&[])).play().await;
            check(&story, &ending, expected, &[]);
            let summary = ending.record.map(|record| {
                (record.state, record.life, record.attempts, record.history.len(), ending.effects)
            });
            let first = undisturbed.get_or_insert_with(|| summary.clone());
            assert_eq!(summary, *first, "with the answer to write {lost} lost");
            if lost > writes.load(Ordering::SeqCst) {
                assert!(lost > 3, "the story has writes");
                break;
            }
        }
    }
}
