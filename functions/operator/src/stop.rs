//! Being asked to stop: Ctrl-C, SIGTERM, or the terminal closed.
//!
//! A command that changes things finishes the one it is at, says how far it came
//! and ends; everything it did is written down where it belongs, so the same
//! command goes on from there. Whoever asks twice does not want to wait for that
//! one: the process ends at once, which every command survives as it survives
//! being killed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::Notify;

use crate::fault::Fault;

/// As [`Fault::Interrupted`].
const INTERRUPTED: i32 = 130;

/// Whether somebody asked this process to stop.
#[derive(Clone, Debug)]
pub struct Stop {
    asked: Arc<AtomicBool>,
    notify: Arc<Notify>,
}

impl Stop {
    /// Listens from now on. Must be called within a runtime.
    ///
    /// # Errors
    ///
    /// The operating system refuses.
    pub fn listen() -> Result<Self, Fault> {
        let on = |kind| signal(kind).map_err(|fault| Fault::io("listen for signals", &fault));
        let mut signals =
            [on(SignalKind::interrupt())?, on(SignalKind::terminate())?, on(SignalKind::hangup())?];
        let stop = Self { asked: Arc::default(), notify: Arc::default() };
        let heard = stop.clone();
        tokio::spawn(async move {
            heard_any(&mut signals).await;
            heard.asked.store(true, Ordering::SeqCst);
            heard.notify.notify_waiters();
            heard_any(&mut signals).await;
            std::process::exit(INTERRUPTED);
        });
        Ok(stop)
    }

    /// Whether to stop before the next step.
    #[must_use]
    pub fn is_asked(&self) -> bool {
        self.asked.load(Ordering::SeqCst)
    }

    /// Waits until somebody asks.
    pub async fn asked(&self) {
        let notified = self.notify.notified();
        if !self.is_asked() {
            notified.await;
        }
    }
}

async fn heard_any([interrupt, terminate, hang_up]: &mut [Signal; 3]) {
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
        _ = hang_up.recv() => {}
    }
}
