//! The receiver, from the verified request to the answer.
//!
//! ```text
//! claim ─▶ Fresh, Unconfirmed ─▶ send ─▶ answer 2xx
//!    └───▶ Duplicate ─────────────────────▶ ┘
//! ```
//!
//! An error is answered 503, which leaves the same behind as a death.

use inbox_core::ledger::Claimed;

use crate::action::ReceiverStep;
use crate::breaks::Break;
use crate::config::Config;
use crate::world::{Receiver, World};

pub(crate) fn steps(config: &Config, world: &World) -> Vec<ReceiverStep> {
    match world.receiver {
        Receiver::Idle => vec![],
        Receiver::Claiming if world.item.is_none() => {
            vec![ReceiverStep::Claim, ReceiverStep::ClaimReplyLost]
        }
        Receiver::Claiming => vec![ReceiverStep::Claim],
        Receiver::Sending { .. } => {
            let mut steps = vec![ReceiverStep::Die];
            if config.has_room(world) {
                steps.extend([ReceiverStep::Send, ReceiverStep::SendReplyLost]);
            }
            if config.broken == Some(Break::ClaimDeleted) {
                steps.push(ReceiverStep::SendRefused);
            }
            steps
        }
        Receiver::Answering => vec![ReceiverStep::Answer, ReceiverStep::Die],
    }
}

pub(crate) fn take(config: &Config, world: &mut World, step: ReceiverStep) {
    match step {
        ReceiverStep::Claim | ReceiverStep::ClaimReplyLost => {
            let (claimed, item) = config.rules().claim(world.item);
            world.write(Some(item));
            if step == ReceiverStep::ClaimReplyLost {
                return;
            }
            if let Some(item) = &mut world.item {
                item.claimed_now = false;
            }
            world.receiver = match claimed {
                Claimed::Fresh => Receiver::Sending { life: 1 },
                Claimed::Unconfirmed { life } | Claimed::Conflict { unconfirmed: Some(life) } => {
                    Receiver::Sending { life: u8::try_from(life).unwrap_or(u8::MAX) }
                }
                Claimed::Duplicate | Claimed::Conflict { unconfirmed: None } => Receiver::Answering,
            };
        }
        ReceiverStep::Send | ReceiverStep::SendReplyLost => {
            let Receiver::Sending { life } = world.receiver else { return };
            world.send(life);
            if step == ReceiverStep::Send {
                world.receiver = Receiver::Answering;
            }
        }
        ReceiverStep::SendRefused => {
            world.item = None;
            world.receiver = Receiver::Idle;
        }
        ReceiverStep::Answer => {
            world.past.accepted = true;
            world.receiver = Receiver::Idle;
        }
        ReceiverStep::Die => world.receiver = Receiver::Idle,
    }
}
