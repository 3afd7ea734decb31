//! Time, the queue, and what may befall them.
//!
//! Time is what it makes of the item: a lease ends, `next_at` comes, `due_at`
//! comes, at any moment. Two orders are kept, since the code keeps them by far
//! more than clocks disagree: `due_at` never comes before `next_at`, and not
//! while a sweeper is between its write and its send.

use crate::action::WorldStep;
use crate::config::Config;
use crate::item::{Fate, Holder, Item, Lasts, Moment, Open, Stand};
use crate::world::{EVERY_ROUTE, LIVES, Operator, Processor, Receiver, Route, Sweeper, World};

pub(crate) fn steps(config: &Config, world: &World) -> Vec<WorldStep> {
    let mut steps = Vec::new();
    if let Some(item) = &world.item {
        if item.lease == Moment::Ahead {
            steps.push(match item.token {
                Holder::Processor(_) => WorldStep::Oversleep,
                Holder::Nobody | Holder::Former => WorldStep::LeaseEnds,
            });
        }
        if item.stand.is_unfinished() {
            let ahead = |fate: &Fate| matches!(fate, Fate::Again { ahead: true, .. });
            let routes = (0..).zip(&item.fates).filter(|(_, fate)| ahead(fate));
            steps.extend(routes.map(|(n, _)| WorldStep::NextComes(n)));
        }
        let is_ahead = item.open == Open::Pending { due: false };
        if is_ahead && item.next != Moment::Ahead && world.sweeper == Sweeper::Idle {
            steps.push(WorldStep::DueComes);
        }
        // What is unfinished lasts: the rule of expiry.
        if config.expires && is_quiet(world) && !item.stand.is_unfinished() {
            steps.push(WorldStep::Expire);
        }
    }
    let is_young =
        |item: &Item| (item.lasts == Lasts::Amply || world.renewed) && item.stand != Stand::Done;
    if config.ages && world.item.as_ref().is_some_and(is_young) {
        steps.push(WorldStep::Age);
    }
    if config.adds && world.configured == config.configured_at_first() {
        steps.push(WorldStep::RouteAdded);
    }
    if config.removes && world.configured == config.configured_at_first() {
        steps.push(WorldStep::RouteRemoved);
    }
    for message in world.waiting() {
        steps.extend([WorldStep::Lose(message), WorldStep::MoveAway(message)]);
        if config.has_room(world) {
            steps.push(WorldStep::Double(message));
        }
    }
    steps
}

/// Retention is longer than any process or message lives. Only the sweeper may
/// have read of the event: the index lags behind the table.
fn is_quiet(world: &World) -> bool {
    world.receiver == Receiver::Idle
        && world.operator == Operator::Idle
        && !matches!(world.sweeper, Sweeper::Sending { .. })
        && world.processors.iter().all(|processor| processor.message().is_none())
        && world.waiting().next().is_none()
}

pub(crate) fn take(world: &mut World, step: WorldStep) {
    match step {
        WorldStep::Lose(message) => {
            *world.count(message) -= 1;
            world.past.letter_lost |= world.item.is_some_and(|item| message.life > item.life);
        }
        WorldStep::Double(message) => *world.count(message) += 1,
        WorldStep::MoveAway(message) => {
            *world.count(message) -= 1;
            world.send_letter(message.life);
        }
        WorldStep::Age => {
            if let Some(item) = &mut world.item {
                item.lasts = Lasts::Enough;
            }
            world.renewed = false;
        }
        WorldStep::RouteAdded => world.configured = EVERY_ROUTE,
        WorldStep::RouteRemoved => {
            world.configured = 1;
            // Of what was to run again, whatever it is, it is none any more.
            world.past.asked &= 1;
        }
        WorldStep::Expire => {
            // A repeat of the provider's is a new event after this.
            world.item = None;
            // A record outlives its letter.
            world.letters = [0; LIVES];
            let fresh = World::new(world.left, world.configured).past;
            world.past = fresh;
        }
        WorldStep::Oversleep => {
            let holder = world.item.map(|item| item.token);
            for (slot, processor) in (0..).zip(&mut world.processors) {
                if holder == Some(Holder::Processor(slot))
                    && let Processor::Running { run, .. } = processor
                {
                    run.late = true;
                    // Its record may come too late to be seen by the next run.
                    let unrecorded = |(_, route): &(usize, Route)| *route == Route::Effective;
                    for (n, _) in run.routes.into_iter().enumerate().filter(unrecorded) {
                        world.past.effective &= !(1 << n);
                    }
                }
            }
            end_lease(world);
        }
        WorldStep::LeaseEnds => end_lease(world),
        WorldStep::NextComes(n) => {
            if let Some(item) = &mut world.item
                && let Fate::Again { ahead, .. } = &mut item.fates[usize::from(n)]
            {
                *ahead = false;
                // The event waits for the first of its routes.
                item.next = Moment::Past;
            }
        }
        WorldStep::DueComes => {
            if let Some(item) = &mut world.item {
                item.open = Open::Pending { due: true };
            }
        }
    }
}

fn end_lease(world: &mut World) {
    if let Some(item) = &mut world.item {
        item.lease = Moment::Past;
    }
}
