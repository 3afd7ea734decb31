//! A processor with one message.
//!
//! ```text
//! receive ─ begin ─▶ Run ── effect ─ complete, for each route ─▶ acknowledge
//!             │                ├ failed ─ fail ──▶ leave, or acknowledge (parked)
//!             │                ├ left ─── defer (fail, if another failed) ─ send on ─▶ acknowledge
//!             │                └ for good, or the last attempt ┐
//!             ├────▶ Exhausted ─ what is due: given up ────────┴▶ letter, bury ─▶ acknowledge
//!             │           ├ a route waits ▶ fail
//!             │           └ no route left ▶ finish ─────────────────────────────▶ acknowledge
//!             ├────▶ Reopen ─ reopen ─ begin
//!             ├────▶ Early ──▶ leave
//!             └────▶ the rest ─▶ acknowledge
//! ```
//!
//! A call that fails leaves the message, which is what dying at that place does;
//! only a completion that fails lets the run go on, and is a step of its own. A
//! batch is two processors: its messages run at the same time. Suspects are
//! deferred to the end of a batch, which is a later receive.

use inbox_core::ledger::{Completed, Reopened};

use crate::action::ProcessorStep;
use crate::breaks::Break;
use crate::config::{Config, Handler};
use crate::item::{self, Fate, Item, Moment, ROUTES};
use crate::ledger::{Beginning, Ending, token};
use crate::properties::Property;
use crate::world::{Grave, Message, Processor, Route, Run, Token, World, place};

pub(crate) fn steps(config: &Config, world: &World, slot: u8) -> Vec<ProcessorStep> {
    let mut steps = Vec::new();
    match world.processors[usize::from(slot)] {
        Processor::Idle => return steps,
        Processor::Beginning { message, .. } => {
            steps.push(ProcessorStep::Begin);
            let begun = config.rules().begin(world.item, message.life, slot);
            if matches!(begun, Beginning::Run(item) if Some(item) != world.item) {
                steps.push(ProcessorStep::BeginReplyLost);
            }
        }
        Processor::Reopening { .. } if config.must_renew(world, true) => {
            steps.push(ProcessorStep::Renew);
        }
        Processor::Reopening { .. } => {
            steps.extend([ProcessorStep::Reopen, ProcessorStep::ReopenReplyLost]);
        }
        Processor::Running { run, .. } => return running(config, world, run),
        Processor::Burying { grave, .. } => {
            let letter_first = config.broken != Some(Break::DeadBeforeLetter);
            steps.extend(if (letter_first && !grave.sent) || grave.written {
                vec![ProcessorStep::SendLetter, ProcessorStep::SendLetterReplyLost]
            } else if config.must_renew(world, false) {
                vec![ProcessorStep::Renew]
            } else {
                vec![ProcessorStep::Bury, ProcessorStep::BuryReplyLost]
            });
        }
        // It acknowledges next, so there is room.
        Processor::SendingOn { .. } => {
            steps.extend([ProcessorStep::SendOn, ProcessorStep::SendOnReplyLost]);
        }
        Processor::Ending { .. } => steps.push(ProcessorStep::Acknowledge),
    }
    steps.push(ProcessorStep::Die);
    steps
}

fn running(config: &Config, world: &World, run: Run) -> Vec<ProcessorStep> {
    let mut steps = Vec::new();
    let routes = (0..).zip(run.routes);
    let mut is_through = true;
    let mut has_writes = false;
    // Completions are written one after the other.
    let repeats = run.routes.contains(&Route::Repeating);
    for (n, route) in routes {
        is_through &= !is_in_motion(route);
        match route {
            Route::Waiting if !run.late => {
                let deferrals = run.deferrals[usize::from(n)];
                if config.rules().may_defer(deferrals) {
                    steps.push(ProcessorStep::Leaves(n));
                }
                steps.extend(match config.handlers[usize::from(n)] {
                    Handler::Willing => vec![
                        ProcessorStep::Effect(n),
                        ProcessorStep::Fails(n),
                        ProcessorStep::FailsForGood(n),
                    ],
                    Handler::Broken => vec![ProcessorStep::Fails(n)],
                    Handler::Turns if run.attempts[usize::from(n)] == 1 => {
                        vec![ProcessorStep::Fails(n)]
                    }
                    Handler::Turns | Handler::Poison => vec![ProcessorStep::Kills(n)],
                });
            }
            Route::Repeating => {
                has_writes = true;
                steps.push(ProcessorStep::Complete(n));
            }
            Route::Effective if !repeats => {
                has_writes = true;
                steps.extend([ProcessorStep::Complete(n), ProcessorStep::CompleteReplyLost(n)]);
                for landed in [false, true].into_iter().filter(|_| config.routes > 1) {
                    steps.push(ProcessorStep::CompleteError { route: n, landed });
                }
            }
            _ => {}
        }
    }
    if is_through {
        has_writes = true;
        steps.extend(if is_tried_again(config, run) && config.must_renew(world, false) {
            vec![ProcessorStep::Renew]
        } else if run.routes.contains(&Route::Deferred) {
            // Where another has failed, the failure is written down with it.
            if run.routes.into_iter().any(has_failed) {
                vec![ProcessorStep::Fail { parked: true }, ProcessorStep::FailReplyLost]
            } else {
                vec![ProcessorStep::Defer, ProcessorStep::DeferReplyLost]
            }
        } else if is_tried_again(config, run) {
            vec![
                ProcessorStep::Fail { parked: false },
                ProcessorStep::Fail { parked: true },
                ProcessorStep::FailReplyLost,
            ]
        } else {
            vec![ProcessorStep::Finish, ProcessorStep::FinishReplyLost]
        });
    }
    // Where no attempt is left, no run overslept: this one has just been begun.
    if run.late && run.token == Token::Own {
        steps.push(ProcessorStep::TimeIsOver);
    }
    if !run.late || has_writes {
        steps.push(ProcessorStep::Die);
    }
    steps
}

pub(crate) fn take(config: &Config, world: &mut World, slot: u8, step: ProcessorStep) {
    let processor = world.processors[usize::from(slot)];
    let Some(message) = processor.message() else { return };
    match (step, processor) {
        (ProcessorStep::Renew, _) => world.renewed = true,
        (ProcessorStep::Begin, Processor::Beginning { again, .. }) => {
            begin(config, world, slot, message, again);
        }
        (ProcessorStep::BeginReplyLost, _) => {
            if let Beginning::Run(item) = config.rules().begin(world.item, message.life, slot) {
                world.write(Some(item));
            }
        }
        (ProcessorStep::Reopen | ProcessorStep::ReopenReplyLost, _) => {
            let letters_routes = world.item.map_or(0, Item::failed);
            let before = world.item;
            let (reopened, item) = config.rules().redrive(before, message.life);
            world.write(item);
            if reopened == Reopened::Opened {
                world.lasts_longer(config, before, true);
                world.past.may_run = letters_routes;
                world.due_at_moved();
                world.past.runs = [0; 2];
                world.past.given_up = 0;
            }
            if step == ProcessorStep::Reopen {
                put(world, slot, Processor::Beginning { message, again: true });
            }
        }
        (_, Processor::Running { run, .. }) => run_step(config, world, slot, message, run, step),
        (_, Processor::Burying { grave, .. }) => bury(config, world, slot, message, grave, step),
        (ProcessorStep::SendOn | ProcessorStep::SendOnReplyLost, _) => {
            *world.count(Message { lane: true, ..message }) += 1;
            if step == ProcessorStep::SendOn {
                put(world, slot, Processor::Ending { message });
            }
        }
        (ProcessorStep::Acknowledge, _) => put(world, slot, Processor::Idle),
        _ => leave(world, slot, message),
    }
}

fn begin(config: &Config, world: &mut World, slot: u8, message: Message, again: bool) {
    let next = match config.rules().begin(world.item, message.life, slot) {
        Beginning::Run(item) => {
            world.write(Some(item));
            let run = run_of(config, item, world.configured);
            let routes = run.routes;
            if overlaps(world, slot) {
                world.breaks(Property::RunsDoNotOverlap);
            }
            for (n, _) in routes.iter().enumerate().filter(|(_, it)| **it == Route::Waiting) {
                let runs = &mut world.past.runs[n];
                *runs = (*runs + 1).min(config.max_attempts + 1);
                if world.past.given_up & (1 << n) != 0 {
                    world.breaks(Property::GivenUpStays);
                }
                if world.past.may_run & (1 << n) == 0 {
                    world.breaks(Property::OnlyTheAskedRun);
                }
            }
            if routes.iter().all(|route| *route == Route::Through) {
                // Nothing is left to run, and `finish` says so.
                Processor::Running { message, run }
            } else {
                return conclude(config, world, slot, message, run);
            }
        }
        // Nothing is left to run: it is recorded as done, without a lease.
        Beginning::Exhausted(item) if is_through(config, world, item) => {
            let run = exhausted(config, item, world.configured);
            Processor::Running { message, run }
        }
        Beginning::Exhausted(item) if config.broken == Some(Break::ExhaustedBuriesAll) => {
            let grave = Grave { own: false, ..grave(item.life, [false; 2]) };
            Processor::Burying { message, grave }
        }
        Beginning::Exhausted(item) => {
            let run = exhausted(config, item, world.configured);
            return conclude(config, world, slot, message, run);
        }
        Beginning::Reopen if !again => Processor::Reopening { message },
        Beginning::Early => return leave(world, slot, message),
        Beginning::Reopen | Beginning::Drop => Processor::Ending { message },
    };
    put(world, slot, next);
}

/// A run that begins.
fn run_of(config: &Config, item: Item, configured: u8) -> Run {
    let (scope, routes, attempts, deferrals) = config.rules().routes(item, configured);
    let (life, token) = (item.life, Token::Own);
    let (late, freed, keeps) = (false, false, false);
    Run { life, attempts, deferrals, late, freed, keeps, scope, token, routes }
}

/// Whether nothing is left of the event that anything could become of.
fn is_through(config: &Config, world: &World, item: Item) -> bool {
    let (_, routes, ..) = config.rules().routes(item, world.configured);
    routes.iter().all(|route| *route == Route::Through)
}

/// What is left to write when no attempt is: what would run now has used up its own.
fn exhausted(config: &Config, item: Item, configured: u8) -> Run {
    let begun = run_of(config, item, configured);
    let mut run = Run { late: true, token: Token::Read { same: true }, ..begun };
    for (route, attempts) in run.routes.iter_mut().zip(&mut run.attempts) {
        if *route == Route::Waiting {
            (*route, *attempts) = (Route::FailedForGood, config.max_attempts);
        }
    }
    run
}

/// Whether another processor runs handlers within its lease.
fn overlaps(world: &World, slot: u8) -> bool {
    let others = (0..).zip(world.processors).filter(|(other, _)| *other != slot);
    others.into_iter().any(|(_, processor)| processor.runs_handlers())
}

fn run_step(
    config: &Config,
    world: &mut World,
    slot: u8,
    message: Message,
    mut run: Run,
    step: ProcessorStep,
) {
    match step {
        ProcessorStep::Effect(n) => {
            let bit = 1 << n;
            // An effect of a life that is over is not this life's.
            if world.item.is_some_and(|item| item.life == run.life) {
                if world.past.effective & bit != 0 {
                    world.breaks(Property::EffectOnce);
                }
                world.past.effective |= bit;
                world.past.asked &= !bit;
            }
            run.routes[usize::from(n)] = Route::Effective;
        }
        ProcessorStep::Fails(n) => run.routes[usize::from(n)] = Route::Failed,
        ProcessorStep::FailsForGood(n) => run.routes[usize::from(n)] = Route::FailedForGood,
        ProcessorStep::Leaves(n) => {
            let n = usize::from(n);
            run.routes[n] = Route::Deferred;
            // It was counted when the run began.
            world.past.runs[n] = world.past.runs[n].saturating_sub(1);
        }
        ProcessorStep::Complete(n) | ProcessorStep::CompleteReplyLost(n) => {
            let completed = complete(config, world, slot, run, usize::from(n));
            run.freed |= completed == Completed::Done;
            let is_lost = step == ProcessorStep::CompleteReplyLost(n);
            if completed == Completed::Superseded {
                return put(world, slot, Processor::Ending { message });
            }
            run.routes[usize::from(n)] = if is_lost { Route::Repeating } else { Route::Through };
        }
        ProcessorStep::CompleteError { route, landed } => {
            if landed {
                let completed = complete(config, world, slot, run, usize::from(route));
                run.freed |= completed == Completed::Done;
            } else {
                world.past.effective &= !(1 << route);
            }
            run.keeps = true;
            run.routes[usize::from(route)] = Route::Unrecorded;
        }
        ProcessorStep::Finish | ProcessorStep::FinishReplyLost => {
            let (_, item) = config.rules().finish(world.item, run.life, run.token, slot);
            world.write(item);
            if step == ProcessorStep::Finish {
                put(world, slot, Processor::Ending { message });
            }
            return;
        }
        ProcessorStep::Fail { .. } | ProcessorStep::FailReplyLost => {
            let parked = step == ProcessorStep::Fail { parked: true };
            let ending = Ending { parked, lane: message.lane };
            let before = world.item;
            let (failed, item) = config.rules().fail(before, run, slot, ending);
            world.write(item);
            // What landed before is only confirmed.
            if failed && item != before {
                world.lasts_longer(config, before, false);
                world.due_at_moved();
                let given_up = given_up(config, run);
                world.past.given_up |= bits(given_up);
            }
            match (step, failed && !parked) {
                (ProcessorStep::FailReplyLost, _) => {}
                (_, true) => leave(world, slot, message),
                _ if failed && run.routes.contains(&Route::Deferred) => {
                    put(world, slot, Processor::SendingOn { message });
                }
                (_, false) => put(world, slot, Processor::Ending { message }),
            }
            return;
        }
        ProcessorStep::Defer | ProcessorStep::DeferReplyLost => {
            return defer(config, world, slot, message, run, step);
        }
        _ => {
            for (n, route) in run.routes.into_iter().enumerate() {
                if route == Route::Effective {
                    world.past.effective &= !(1 << n);
                }
            }
            return leave(world, slot, message);
        }
    }
    conclude(config, world, slot, message, run);
}

/// Leaves routes for later.
fn defer(
    config: &Config,
    world: &mut World,
    slot: u8,
    message: Message,
    run: Run,
    step: ProcessorStep,
) {
    let before = world.item;
    let (deferred, item) = config.rules().defer(before, run, slot, message.lane);
    world.write(item);
    if deferred && item != before {
        world.lasts_longer(config, before, false);
        world.due_at_moved();
        let fates = item.map_or([Fate::Unfailed; 2], |item| item.fates);
        let is_hot = |(route, fate): (Route, Fate)| {
            route == Route::Deferred && !matches!(fate, Fate::Again { ahead: true, .. })
        };
        if message.lane && run.routes.into_iter().zip(fates).any(is_hot) {
            world.breaks(Property::LaneWaits);
        }
    }
    if step == ProcessorStep::Defer {
        let next =
            if deferred { Processor::SendingOn { message } } else { Processor::Ending { message } };
        put(world, slot, next);
    }
}

fn complete(config: &Config, world: &mut World, slot: u8, run: Run, n: usize) -> Completed {
    let known = (0..ROUTES.len()).filter(|n| run.routes[*n] == Route::Through);
    let known = known.map(|n| 1_u8 << n).sum();
    let (completed, item) = config.rules().complete(world.item, run, slot, n, known);
    if completed == Completed::Superseded {
        return completed;
    }
    world.write(item);
    world.past.recorded |= 1 << n;
    let Some(item) = item else { return completed };
    // Where another began since, or acted in its place, it is that one's to finish.
    let is_newest = item::token(item.token) == token(Some(item), slot, run.token)
        && item.lease != Moment::Unset;
    if completed == Completed::Pending && is_newest && run.scope & !item.completed == 0 {
        world.breaks(Property::LastFinishes);
    }
    completed
}

/// What follows when every route has come to something.
fn conclude(config: &Config, world: &mut World, slot: u8, message: Message, run: Run) {
    let given_up = given_up(config, run);
    let next = if run.routes.into_iter().any(is_in_motion) {
        Processor::Running { message, run }
    } else if run.keeps {
        return leave(world, slot, message);
    } else if is_tried_again(config, run) {
        Processor::Running { message, run }
    } else if given_up.contains(&true) {
        let grave = grave(run.life, given_up);
        let grave = match run.token {
            Token::Own => grave,
            Token::Read { same } => Grave { own: false, same_token: same, ..grave },
        };
        Processor::Burying { message, grave }
    } else {
        Processor::Ending { message }
    };
    put(world, slot, next);
}

/// Whether something of a route is still to happen in this run.
fn is_in_motion(route: Route) -> bool {
    matches!(route, Route::Waiting | Route::Effective | Route::Repeating)
}

/// Whether a later run has something to do.
fn is_tried_again(config: &Config, run: Run) -> bool {
    run.routes.into_iter().zip(run.attempts).any(|(route, attempts)| match route {
        Route::Later | Route::Deferred => true,
        Route::Failed => attempts < config.max_attempts,
        _ => false,
    })
}

/// Whether a route has failed in this run.
fn has_failed(route: Route) -> bool {
    matches!(route, Route::Failed | Route::FailedForGood)
}

fn given_up(config: &Config, run: Run) -> [bool; 2] {
    let is_given_up = |n: usize| match run.routes[n] {
        Route::GivenUp | Route::FailedForGood => true,
        Route::Failed => run.attempts[n] >= config.max_attempts,
        _ => false,
    };
    [is_given_up(0), is_given_up(1)]
}

fn bits(routes: [bool; 2]) -> u8 {
    routes.into_iter().zip([1, 2]).map(|(is_set, bit)| if is_set { bit } else { 0 }).sum()
}

fn grave(life: u8, given_up: [bool; 2]) -> Grave {
    Grave { life, given_up, own: true, same_token: true, sent: false, written: false }
}

fn bury(
    config: &Config,
    world: &mut World,
    slot: u8,
    message: Message,
    mut grave: Grave,
    step: ProcessorStep,
) {
    match step {
        ProcessorStep::SendLetter | ProcessorStep::SendLetterReplyLost => {
            world.send_letter(grave.life + 1);
            world.past.letters_sent |= 1 << place(grave.life + 1);
            if step == ProcessorStep::SendLetter {
                grave.sent = true;
                let next = if grave.written {
                    Processor::Ending { message }
                } else {
                    Processor::Burying { message, grave }
                };
                put(world, slot, next);
            }
        }
        ProcessorStep::Bury | ProcessorStep::BuryReplyLost => {
            let before = world.item;
            let (buried, item) = config.rules().bury(before, grave, slot);
            world.write(item);
            if buried && item != before {
                world.lasts_longer(config, before, false);
            }
            if buried {
                world.past.given_up |= bits(grave.given_up);
            } else {
                // Perhaps all of it has completed since. Dying before this write is the
                // same as dying before the one that changed nothing.
                let finish = config.rules().finish(world.item, grave.life, grave.token(), slot);
                world.write(finish.1);
            }
            if step == ProcessorStep::Bury {
                grave.written = true;
                let next = if buried && !grave.sent {
                    Processor::Burying { message, grave }
                } else {
                    Processor::Ending { message }
                };
                put(world, slot, next);
            }
        }
        _ => leave(world, slot, message),
    }
}

/// The message stays in the queue, and comes back at any time.
fn leave(world: &mut World, slot: u8, message: Message) {
    put(world, slot, Processor::Idle);
    *world.count(message) += 1;
}

fn put(world: &mut World, slot: u8, next: Processor) {
    world.processors[usize::from(slot)] = next;
    if matches!(next, Processor::Idle | Processor::Ending { .. }) {
        world.disown(slot);
    }
}

const _: () = assert!(ROUTES.len() == 2, "a run has two places for routes");
