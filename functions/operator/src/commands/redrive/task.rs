//! SQS's own move task: started or found, followed, and cancelled on Ctrl-C.
//!
//! ```text
//! start ─▶ list, list, list … ─▶ Completed
//!             └─ Ctrl-C ─▶ cancel ─▶ list … ─▶ Cancelled
//! ```
//!
//! Killed, it leaves the task running in AWS: the same command finds and follows
//! it. A task that somebody else started is only watched.

use std::time::Duration;

use inbox_aws::{MoveError, MoveStatus, MoveTask, MoveTasks};
use inbox_core::Timestamp;
use tokio::time::{Instant, sleep};

use super::Moved;
use crate::context::Context;
use crate::fault::Fault;
use crate::letters::dead_letters;
use crate::stop::Stop;

/// Between two looks at a task, at first and at most.
const LOOK_EVERY: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(2));
/// A task that was started shows within this time, and one that was cancelled
/// ends.
const SETTLES_WITHIN: Duration = Duration::from_mins(1);

/// Who started a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Whose {
    /// This process.
    Ours,
    /// Somebody else, or an earlier run of this command.
    Another,
}

/// Starts a task and follows it to its end; `before` is the one that ran last.
pub(super) async fn run(
    context: &Context,
    tasks: &MoveTasks,
    before: Option<&MoveTask>,
    rate: Option<u32>,
    stop: &Stop,
) -> Result<Moved, Fault> {
    let whose = match tasks.start(rate).await {
        Ok(()) => Whose::Ours,
        Err(MoveError::AlreadyRunning) => {
            context.console.note("another move task was quicker: following it");
            Whose::Another
        }
        Err(fault) => return Err(Fault::unavailable(fault.to_string())),
    };
    follow(context, tasks, whose, before.and_then(|task| task.started_at), stop).await
}

/// Follows the task that runs to its end. One that was started at `before` is an
/// older one, which SQS may still show for a moment.
pub(super) async fn follow(
    context: &Context,
    tasks: &MoveTasks,
    whose: Whose,
    before: Option<Timestamp>,
    stop: &Stop,
) -> Result<Moved, Fault> {
    let progress = context.console.progress("dead letters moved by SQS", None);
    let (mut pause, longest) = LOOK_EVERY;
    let started = Instant::now();
    let mut cancelled: Option<Instant> = None;
    loop {
        let task = tasks.latest().await.map_err(|fault| {
            context.console.note("the move goes on in AWS; the same command follows it");
            Fault::unavailable(fault.to_string())
        })?;
        let task = task.filter(|task| before.is_none() || task.started_at != before);
        if let Some(task) = &task {
            progress.set(task.moved, task.to_move.unwrap_or(task.moved));
            if !task.status.is_active() {
                return ended(task, cancelled.is_some());
            }
        } else if started.elapsed() > SETTLES_WITHIN {
            return Err(Fault::unavailable("ListMessageMoveTasks: the task does not show"));
        }
        if stop.is_asked() {
            let handle = task.as_ref().and_then(|task| task.handle.as_deref());
            match (whose, cancelled, handle) {
                (Whose::Another, _, _) => {
                    let far = task.as_ref().map(far).unwrap_or_default();
                    let done = format!("stopped watching; {far}, and the task goes on in AWS");
                    return Err(Fault::Interrupted { done });
                }
                (Whose::Ours, None, Some(handle)) => {
                    // Refused when it has just ended: the next look tells.
                    let _ = tasks.cancel(handle).await;
                    cancelled = Some(Instant::now());
                    pause = LOOK_EVERY.0;
                }
                (Whose::Ours, Some(since), _) if since.elapsed() > SETTLES_WITHIN => {
                    let done = "the move task was cancelled, but has not stopped yet; the same \
                                command follows it";
                    return Err(Fault::Interrupted { done: done.to_owned() });
                }
                _ => {}
            }
        }
        if stop.is_asked() {
            sleep(pause).await;
        } else {
            tokio::select! {
                () = sleep(pause) => {}
                () = stop.asked() => {}
            }
        }
        pause = (pause * 3 / 2).min(longest);
    }
}

fn ended(task: &MoveTask, was_cancelled_here: bool) -> Result<Moved, Fault> {
    match task.status {
        MoveStatus::Completed => Ok(Moved { count: task.moved, ..Moved::default() }),
        MoveStatus::Cancelled if was_cancelled_here => Err(Fault::Interrupted {
            done: format!("{}; the same command goes on with the rest", far(task)),
        }),
        MoveStatus::Cancelled => Err(Fault::refused(
            format!("somebody cancelled the move task; {}", far(task)),
            "the same command goes on with the rest",
        )),
        MoveStatus::Failed | MoveStatus::Running | MoveStatus::Cancelling => {
            let why = task.failure.as_deref().unwrap_or("SQS does not say why");
            Err(Fault::unavailable(format!("the move task failed: {why}; {}", far(task))))
        }
    }
}

fn far(task: &MoveTask) -> String {
    match task.to_move {
        Some(to_move) => format!("{} of about {} moved", task.moved, dead_letters(to_move)),
        None => format!("{} moved", dead_letters(task.moved)),
    }
}
