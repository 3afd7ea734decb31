//! The sweeper: finds the event due, moves `due_at`, sends.
//!
//! ```text
//! read ─▶ sweep ─▶ send
//!           └ refused: the event has moved on
//! ```

use crate::action::SweeperStep;
use crate::breaks::Break;
use crate::config::Config;
use crate::item::Open;
use crate::properties::Property;
use crate::world::{Read, Sweeper, World};

pub(crate) fn steps(config: &Config, world: &World) -> Vec<SweeperStep> {
    match world.sweeper {
        Sweeper::Idle => {
            let is_due = |item: crate::item::Item| item.open == Open::Pending { due: true };
            if config.broken != Some(Break::NoSweeper) && world.item.is_some_and(is_due) {
                vec![SweeperStep::Read]
            } else {
                vec![]
            }
        }
        Sweeper::Moving(_) if config.must_renew(world, false) => {
            vec![SweeperStep::Renew, SweeperStep::Die]
        }
        Sweeper::Moving(_) => {
            vec![SweeperStep::Sweep, SweeperStep::SweepReplyLost, SweeperStep::Die]
        }
        Sweeper::Sending { .. } if config.has_room(world) => {
            vec![SweeperStep::Send, SweeperStep::SendReplyLost, SweeperStep::Die]
        }
        Sweeper::Sending { .. } => vec![SweeperStep::Die],
    }
}

pub(crate) fn take(config: &Config, world: &mut World, step: SweeperStep) {
    match (step, world.sweeper) {
        (SweeperStep::Renew, _) => world.renewed = true,
        (SweeperStep::Read, _) => world.sweeper = Sweeper::Moving(Read::Same),
        (SweeperStep::Sweep | SweeperStep::SweepReplyLost, Sweeper::Moving(read)) => {
            let (swept, item) = if config.broken == Some(Break::DueAtNotMoved) {
                (true, world.item)
            } else {
                let before = world.item;
                let (swept, item) = config.rules().sweep(before, read);
                world.past.woken &= !swept;
                if swept && item != before {
                    world.lasts_longer(config, before, false);
                }
                (swept, item)
            };
            world.write(item);
            world.sweeper = match (step, item.filter(|_| swept)) {
                (SweeperStep::SweepReplyLost, Some(_)) => Sweeper::Moving(Read::Mine),
                (SweeperStep::SweepReplyLost, None) => world.sweeper,
                (_, Some(item)) => Sweeper::Sending { life: item.life },
                (_, None) => Sweeper::Idle,
            };
        }
        (SweeperStep::Send | SweeperStep::SendReplyLost, Sweeper::Sending { life }) => {
            world.send(life);
            if step == SweeperStep::Send {
                if world.past.woken {
                    world.breaks(Property::OneMessageADue);
                }
                world.past.woken = true;
                world.sweeper = Sweeper::Idle;
            }
        }
        _ => world.sweeper = Sweeper::Idle,
    }
}
