//! The operator: replay, redrive, forget. A command that died may be given again;
//! it then goes on with its plan.
//!
//! ```text
//! replay    look ─▶ reopen ─▶ send          the life that was seen, or nothing
//! redrive   send ─▶ delete                  a letter may stay, and be sent again
//! forget    look ─▶ forget
//! ```

use inbox_core::ledger::Reopened;

use crate::action::OperatorStep;
use crate::breaks::Break;
use crate::config::Config;
use crate::item::{Item, Last, Moment};
use crate::world::{Again, EVERY_ROUTE, LIVES, Operator, World, place};

pub(crate) fn steps(config: &Config, world: &World) -> Vec<OperatorStep> {
    let mut steps = Vec::new();
    match world.operator {
        Operator::Idle if world.left.acts > 0 => {
            if let Some(item) = world.item.filter(|item| !item.hollow) {
                steps.extend(config.replays.iter().map(|again| OperatorStep::Plan(*again)));
                if config.forgets && item.lease != Moment::Ahead && !item.forgotten {
                    steps.push(OperatorStep::PlanToForget);
                }
            }
        }
        Operator::Idle => {}
        Operator::Planned { .. } if config.must_renew(world, true) => {
            steps.extend([OperatorStep::Renew, OperatorStep::GiveUp]);
        }
        Operator::Planned { .. } => {
            steps.extend([
                OperatorStep::Reopen,
                OperatorStep::ReopenReplyLost,
                OperatorStep::GiveUp,
            ]);
        }
        Operator::Sending { .. } => {
            steps.push(OperatorStep::Interrupt);
            if config.has_room(world) {
                steps.push(OperatorStep::Send);
            }
        }
        Operator::Forgetting { .. } => steps.push(OperatorStep::Forget),
    }
    if config.redrives && world.left.acts > 0 && config.has_room(world) {
        for (life, _) in (1..).zip(world.letters).filter(|(_, letters)| *letters > 0) {
            steps.push(OperatorStep::Redrive { life, stays: false });
            steps.push(OperatorStep::Redrive { life, stays: true });
        }
    }
    steps
}

pub(crate) fn take(config: &Config, world: &mut World, step: OperatorStep) {
    match (step, world.operator) {
        (OperatorStep::Plan(rerun), _) => {
            let Some(item) = world.item else { return };
            world.left.acts -= 1;
            let remembers = config.broken == Some(Break::ReopenWritesHandlers);
            let completed = if remembers { item.completed } else { 0 };
            world.operator = Operator::Planned { seen: item.life, completed, rerun };
        }
        (
            OperatorStep::Reopen | OperatorStep::ReopenReplyLost,
            Operator::Planned { seen, completed, rerun },
        ) => {
            let was_opened_before = world
                .item
                .is_some_and(|item| item.life == seen + 1 && item.last == Last::OpenedByPlan);
            let (reopened, mut item) = config.rules().replay(world.item, seen, rerun);
            if reopened == Reopened::Opened {
                if let Some(item) = item.as_mut()
                    && config.broken == Some(Break::ReopenWritesHandlers)
                    && rerun == Again::Unfinished
                {
                    item.completed = completed;
                }
                world.lasts_longer(config, world.item, true);
                open(world, item, rerun);
            }
            if step == OperatorStep::ReopenReplyLost {
                return;
            }
            if was_opened_before || reopened != Reopened::Refused {
                world.operator = Operator::Sending { life: seen + 1, rerun };
            } else {
                rest(world);
            }
        }
        (OperatorStep::Renew, _) => world.renewed = true,
        (OperatorStep::Send, Operator::Sending { life, .. }) => {
            world.send(life);
            rest(world);
        }
        (OperatorStep::Interrupt, Operator::Sending { life, rerun }) => {
            world.operator = Operator::Planned { seen: life - 1, completed: 0, rerun };
        }
        (OperatorStep::PlanToForget, _) => {
            let Some(item) = world.item else { return };
            world.left.acts -= 1;
            // Only life and state are compared: the rest would tell states apart
            // for nothing.
            let (_, untouched) = config.rules().claim(None);
            let seen = Item { life: item.life, stand: item.stand, ..untouched };
            world.operator = Operator::Forgetting { seen };
        }
        (OperatorStep::Forget, Operator::Forgetting { seen }) => {
            let (_, item) = config.rules().forget(world.item, seen);
            world.write(item);
            rest(world);
        }
        (OperatorStep::Redrive { life, stays }, _) => {
            world.left.acts -= 1;
            if !stays {
                world.letters[place(life)] -= 1;
            }
            world.queue[place(life)] += 1;
        }
        _ => rest(world),
    }
}

/// Writes a replay, and notes what was asked for.
fn open(world: &mut World, item: Option<Item>, rerun: Again) {
    world.past.may_run = match rerun {
        Again::First => 1 | world.item.map_or(0, Item::failed),
        Again::Unfinished | Again::All => EVERY_ROUTE,
    };
    world.write(item);
    world.due_at_moved();
    let asked = match rerun {
        Again::Unfinished => 0,
        Again::First => 1,
        Again::All => world.configured,
    };
    world.past.runs = [0; 2];
    world.past.given_up &= if rerun == Again::First { !asked } else { 0 };
    // Of all that were ever configured, their completions are taken out.
    let again = if rerun == Again::All { EVERY_ROUTE } else { asked };
    world.past.recorded &= !again;
    world.past.effective &= !again;
    world.past.asked |= asked;
}

fn rest(world: &mut World) {
    world.operator = Operator::Idle;
    if let Some(item) = &mut world.item
        && item.last == Last::OpenedByPlan
    {
        item.last = Last::Other;
    }
}

const _: () = assert!(LIVES >= 4, "two replays and the letter of the third life");
