//! Asking before something is done, and hearing Ctrl-C while asking.
//!
//! Whoever listens for signals takes them from the terminal's default, which is
//! to end the process: at a question, Ctrl-C would do nothing until the line is
//! ended. So a thread of its own reads the line, and is left behind when somebody
//! asks to stop: it ends with the process.

use tokio::sync::oneshot;

use crate::console::Console;
use crate::fault::Fault;
use crate::stop::Stop;

/// [`Console::confirm`], until somebody asks to stop.
///
/// # Errors
///
/// As [`Console::confirm`]; [`Fault::Interrupted`].
pub async fn confirm(
    console: Console,
    stop: &Stop,
    question: String,
    expected: String,
) -> Result<(), Fault> {
    let (tell, told) = oneshot::channel();
    std::thread::spawn(move || {
        let _ = tell.send(console.confirm(&question, &expected));
    });
    let interrupted = || Fault::Interrupted { done: "not confirmed, and nothing was done".into() };
    tokio::select! {
        answer = told => answer.unwrap_or_else(|_| Err(interrupted())),
        () = stop.asked() => {
            console.note("");
            Err(interrupted())
        }
    }
}
