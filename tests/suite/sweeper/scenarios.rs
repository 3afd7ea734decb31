//! Days on which much goes wrong, at a million events an hour: the real sweeper,
//! the real retry table, and the world of `world.rs`, a thousandth in number.

use std::time::Duration;

use inbox_core::stack::stack;

use super::day::Day;
use super::logged::logged;
use super::world::{ARRIVALS_AN_HOUR, SCALE, Stands};

const HOUR: Duration = Duration::from_hours(1);
const MINUTE: Duration = Duration::from_mins(1);

/// The most that the sweeper adds to a backlog: to where it is held, and what it
/// sends in the two minutes in which the queue's count lags behind.
fn most_added() -> u64 {
    let defaults = &stack().defaults;
    let minute = u64::from(defaults.sweep_per_second) * 48;
    (defaults.sweep_hold_above + 2 * minute) / SCALE
}

/// A day on which so many hours' events were accepted, and then every message was
/// purged; the queue's count knows of it, and the processor takes 2,000 a second.
fn purged_after(hours: u32) -> Day {
    let day = Day::new();
    day.world(|world| world.weather.drain = 0);
    day.hours(hours);
    day.world(|world| {
        world.purge();
        (world.weather.drain, world.weather.arrivals_an_hour) = (2000, 0);
        (world.sent_by_sweeper, world.most_waiting) = (0, 0);
    });
    // Its count lags by a minute.
    day.wait_until(day.clock.now().plus(2 * MINUTE));
    day
}

/// Nothing is lost, nothing died.
fn assert_all_done(day: &Day) {
    day.world(|world| {
        let not_done = world.events.iter().filter(|it| it.stands != Stands::Done).count();
        assert_eq!(not_done, 0, "of {}", world.events.len());
    });
}

#[test]
fn a_days_backlog_gets_no_further_messages_and_is_drained_as_fast_as_the_processor_can() {
    let day = Day::new();
    day.world(|world| world.weather.drain = 0);
    let swept = day.hours(24);
    day.world(|world| {
        assert_eq!(world.events.len() as u64, 24 * ARRIVALS_AN_HOUR);
        assert!(world.sent_by_sweeper <= most_added(), "{}", world.sent_by_sweeper);
    });
    // From the second hour on every sweep is held.
    assert!(swept[60..].iter().all(|it| it.held && it.sent == 0));

    day.world(|world| {
        (world.weather.drain, world.weather.arrivals_an_hour) = (2000, 0);
    });
    let took = day.until_nothing_is_pending(24);
    // 24 million at 2,000 a second.
    assert!(took <= Duration::from_mins(200 + 10), "{took:?}");
    assert_all_done(&day);
    // Towards the end, when the queue is shallow, what waits is sent once more.
    day.world(|world| assert!(world.sent_by_sweeper <= 3 * most_added()));
}

#[test]
fn a_queue_purged_with_a_days_backlog_comes_back_in_nine_hours_one_message_for_each_event() {
    let day = purged_after(24);
    let took = day.until_nothing_is_pending(24);
    // 24 million at 800 a second are 8 hours and 20 minutes.
    assert!((8 * HOUR..9 * HOUR).contains(&took), "{took:?}");
    assert_all_done(&day);
    day.world(|world| {
        let events = 24 * ARRIVALS_AN_HOUR;
        assert!((events..=events * 101 / 100).contains(&world.sent_by_sweeper));
    });
}

/// The processor is slower than the sweeper: the queue fills, and no further.
#[test]
fn what_comes_back_does_not_pile_up_before_a_slow_processor() {
    let day = purged_after(3);
    day.world(|world| world.weather.drain = 200);
    let took = day.until_nothing_is_pending(8);
    // Three million at 200 a second are 4 hours and 10 minutes.
    assert!(took <= 5 * HOUR, "{took:?}");
    assert_all_done(&day);
    day.world(|world| {
        assert!(world.most_waiting as u64 <= most_added(), "{}", world.most_waiting);
        let events = 3 * ARRIVALS_AN_HOUR;
        assert!(world.sent_by_sweeper <= events * 3 / 2, "{}", world.sent_by_sweeper);
    });
}

#[test]
fn a_handler_that_fails_for_an_hour_stalls_nobody_and_every_event_is_done_in_the_end() {
    let day = Day::new();
    day.world(|world| world.weather.handler_works = false);
    day.hours(1);
    day.world(|world| {
        world.weather.handler_works = true;
        world.weather.arrivals_an_hour = 0;
    });
    let took = day.until_nothing_is_pending(6);
    // The longest wait that began in the hour: 3,600 s and a tenth.
    assert!(took <= Duration::from_mins(70), "{took:?}");
    assert_all_done(&day);
    day.world(|world| {
        // SQS hands out nothing while 120,000 messages are hidden.
        assert_eq!(world.stalled_seconds, 0, "in flight at most {}", world.most_in_flight);
        assert!(world.most_in_flight as u64 <= 25_000 / SCALE, "{}", world.most_in_flight);
        // One for each time that an event was parked: three times at most.
        assert!(world.events.iter().all(|it| it.swept <= 3));
    });
}

#[test]
fn while_the_queue_is_deep_a_parked_retry_is_sent_on_time() {
    let day = Day::new();
    day.world(|world| world.weather.drain = 0);
    day.hours(6);
    let due_at = day.clock.now().plus(Duration::from_mins(30));
    let parked = day.world(|world| {
        world.pages_read = 0;
        world.add(due_at, 3)
    });
    let swept = day.hours(1);
    assert!(swept.iter().all(|it| it.held));
    day.world(|world| {
        let sent_at = world.events[parked].last_swept_at.expect("it was sent");
        let late = sent_at.since(due_at);
        assert!(late <= 2 * MINUTE, "{late:?}");
        assert_eq!(world.events[parked].swept, 1);
        // However many are overdue, only what is new is read: millions of rows
        // in every minute would cost more than they tell.
        assert_eq!(world.pages_read, 60 * world.index.len());
    });
}

#[test]
fn while_the_table_is_throttled_little_is_tried_little_is_logged_and_then_all_comes_back() {
    let mut day = purged_after(1);
    day.hurry();
    day.world(|world| world.weather.writes_throttled = true);
    let (swept, lines) = logged(|| day.hours(1));
    let shards = stack().table.open_index.shards as usize;
    for minute in &swept {
        assert_eq!((minute.sent, minute.unread_shards), (0, shards), "{minute:?}");
        assert_eq!(minute.failed, 5 * shards);
    }
    assert_eq!(lines.len(), 60 * shards);
    assert!(lines[0].contains("UpdateItem: ThrottlingException: Rate exceeded"), "{}", lines[0]);
    day.world(|world| world.weather.writes_throttled = false);
    day.until_nothing_is_pending(1);
    assert_all_done(&day);
}

#[test]
fn while_the_queue_refuses_messages_few_events_are_put_off_without_one() {
    let mut day = purged_after(1);
    day.hurry();
    day.world(|world| world.weather.sends_refused = true);
    let shards = stack().table.open_index.shards as usize;
    let due = |day: &Day, now| {
        day.world(|world| world.events.iter().filter(|it| it.due_at <= now).count())
    };
    let now = day.clock.now();
    let due_before = due(&day, now);
    let (swept, lines) = logged(|| day.minute());
    assert_eq!((swept.sent, swept.failed, swept.unread_shards), (0, 5 * shards, shards));
    assert_eq!(lines.len(), shards);
    let put_off = due_before - due(&day, now);
    // Those that failed, and those of the same shard that were under way.
    assert!(put_off <= (5 + 8) * shards, "{put_off}");
    day.world(|world| world.weather.sends_refused = false);
    day.until_nothing_is_pending(2);
    assert_all_done(&day);
}

#[test]
fn a_shard_that_cannot_be_read_holds_up_no_other() {
    let day = purged_after(1);
    day.world(|world| world.weather.unreadable_shard = Some(3));
    let (swept, lines) = logged(|| day.hours(1));
    assert!(swept.iter().all(|it| it.unread_shards == 1));
    assert_eq!(lines.len(), 60);
    assert!(lines[0].contains("shard not read"), "{}", lines[0]);
    day.world(|world| {
        let pending: Vec<usize> = world.index.iter().map(std::collections::BTreeSet::len).collect();
        assert!(pending[3] >= 60, "{pending:?}");
        assert_eq!(pending.iter().sum::<usize>(), pending[3]);
        world.weather.unreadable_shard = None;
    });
    day.until_nothing_is_pending(2);
    assert_all_done(&day);
}
