//! What a command says, and how: tables and colours for people, JSON for
//! machines, progress for those who wait.
//!
//! Results go to standard output; progress, questions and faults go to standard
//! error, so that output can be piped. Whoever reads may have gone: that is no
//! reason to panic, and results that nobody reads are not worth an error.

use std::io::{BufRead as _, IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

use inbox_core::event::steers;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;

use crate::fault::Fault;
use crate::pretty::escaped_json;
use crate::table::Table;

/// When to colour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Colour {
    /// On a terminal, unless `NO_COLOR` is set.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// What a text means, which decides its colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    /// As it should be.
    Good,
    /// Somebody should look.
    Warning,
    /// Not as it should be.
    Bad,
    /// Beside the point.
    Dim,
    /// The point.
    Strong,
}

impl Tone {
    const ALL: [Self; 5] = [Self::Good, Self::Warning, Self::Bad, Self::Dim, Self::Strong];

    fn code(self) -> &'static str {
        match self {
            Self::Good => "32",
            Self::Warning => "33",
            Self::Bad => "31",
            Self::Dim => "2",
            Self::Strong => "1",
        }
    }
}

/// Where a command's words go.
#[derive(Clone, Copy, Debug)]
pub struct Console {
    /// Results as JSON instead of text.
    pub json: bool,
    coloured: bool,
    width: Option<usize>,
}

impl Console {
    /// As arguments, environment and terminal say. The width is the terminal's;
    /// what is piped is not cut.
    #[must_use]
    pub fn new(json: bool, colour: Colour) -> Self {
        let terminal = std::io::stdout().is_terminal();
        let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let coloured = match colour {
            Colour::Always => true,
            Colour::Never => false,
            // <https://no-color.org>
            Colour::Auto => terminal && !refused,
        };
        let width = terminal
            .then(terminal_size::terminal_size)
            .flatten()
            .map(|(terminal_size::Width(columns), _)| usize::from(columns));
        Self { json, coloured, width }
    }

    #[cfg(test)]
    pub(crate) fn plain(width: Option<usize>) -> Self {
        Self { json: false, coloured: false, width }
    }

    /// Text in the colour of its meaning, or as it is.
    #[must_use]
    pub fn tint(&self, tone: Tone, text: &str) -> String {
        if self.coloured {
            format!("\u{1b}[{}m{text}\u{1b}[0m", tone.code())
        } else {
            text.to_owned()
        }
    }

    /// One line of the result, or several. What others wrote into it steers no
    /// terminal, wherever the text comes from.
    pub fn line(&self, text: impl AsRef<str>) {
        let _ = writeln!(std::io::stdout(), "{}", self.harmless(text.as_ref()));
    }

    /// Without what steers a terminal, apart from our own colours and line ends.
    fn harmless(&self, text: &str) -> String {
        let ours = |rest: &str| {
            let is_code = |code: &str| {
                rest.strip_prefix("\u{1b}[")
                    .and_then(|it| it.strip_prefix(code))
                    .is_some_and(|it| it.starts_with('m'))
            };
            self.coloured && (is_code("0") || Tone::ALL.iter().any(|tone| is_code(tone.code())))
        };
        let shown = |(at, c): (usize, char)| match c {
            '\n' | '\t' => c,
            '\u{1b}' if ours(&text[at..]) => c,
            c if steers(c) => '\u{FFFD}',
            c => c,
        };
        text.char_indices().map(shown).collect()
    }

    /// Bytes of the result, exactly.
    ///
    /// # Errors
    ///
    /// They could not be written: the reader of bytes wants all of them.
    pub fn bytes(&self, bytes: &[u8]) -> Result<(), Fault> {
        let mut out = std::io::stdout().lock();
        out.write_all(bytes)
            .and_then(|()| out.flush())
            .map_err(|fault| Fault::io("write to standard output", &fault))
    }

    /// A table that fits the terminal.
    pub fn table(&self, table: &Table) {
        for line in table.lines(self) {
            self.line(line);
        }
    }

    /// For lines that begin so many columns further right.
    #[must_use]
    pub(crate) fn indented(mut self, columns: usize) -> Self {
        self.width = self.width.map(|width| width.saturating_sub(columns));
        self
    }

    pub(crate) fn width(&self) -> Option<usize> {
        self.width
    }

    /// A result as one JSON document on one line.
    pub fn value(&self, value: &impl Serialize) {
        let text = serde_json::to_string(value).expect("results are text and numbers");
        let _ = writeln!(std::io::stdout(), "{}", escaped_json(&text));
    }

    /// A word besides the result, for the person who waits.
    pub fn note(&self, text: impl AsRef<str>) {
        let _ = writeln!(std::io::stderr(), "{}", self.harmless(text.as_ref()));
    }

    /// Says why a command did not come to its end.
    pub fn fault(&self, fault: &Fault) {
        if self.json {
            let line = serde_json::json!({
                "error": fault.kind(), "problem": fault.to_string(), "advice": fault.advice(),
            });
            let _ = writeln!(std::io::stderr(), "{}", escaped_json(&line.to_string()));
            return;
        }
        let word = match fault {
            Fault::Interrupted { .. } => "interrupted",
            _ => "error",
        };
        self.note(format!("{word}: {fault}"));
        if let Some(advice) = fault.advice() {
            self.note(format!("  {advice}"));
        }
    }

    /// Asks for a yes; without a terminal to ask at, the answer is that `--yes`
    /// is needed.
    ///
    /// # Errors
    ///
    /// [`Fault::Usage`] without a terminal, [`Fault::Refused`] on anything but
    /// `expected`.
    pub fn confirm(&self, question: &str, expected: &str) -> Result<(), Fault> {
        if !std::io::stdin().is_terminal() {
            return Err(Fault::usage(
                "nobody is here to confirm this, and nothing was done",
                "give --yes to go on without being asked",
            ));
        }
        let _ = write!(std::io::stderr(), "{question} Type {expected} to go on: ");
        let mut answer = String::new();
        std::io::stdin()
            .lock()
            .read_line(&mut answer)
            .map_err(|fault| Fault::io("read the answer", &fault))?;
        if answer.trim() == expected {
            Ok(())
        } else {
            Err(Fault::refused("not confirmed, and nothing was done", ""))
        }
    }

    /// Progress of `total` things, or of an unknown number.
    #[must_use]
    pub fn progress(&self, what: &'static str, total: Option<u64>) -> Progress {
        Progress::new(what, total, self.json)
    }
}

/// How often a progress line is written where there is no terminal to draw on.
const SAY_EVERY: Duration = Duration::from_secs(10);

const COUNTED: &str = "{msg} {wide_bar} {pos} of {len} · {eta} left";

/// A bar on a terminal, a line every ten seconds elsewhere. It stays silent about
/// what is over in a moment.
#[derive(Debug)]
pub struct Progress {
    bar: ProgressBar,
    what: &'static str,
    is_drawn: bool,
    silent: bool,
    said_at: std::sync::Mutex<Instant>,
}

impl Progress {
    fn new(what: &'static str, total: Option<u64>, json: bool) -> Self {
        let is_drawn = std::io::stderr().is_terminal() && !json;
        let target =
            if is_drawn { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(total, target);
        let template = match total {
            Some(_) => COUNTED,
            None => "{spinner} {msg} {pos} · {elapsed}",
        };
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        bar.set_message(what);
        Self { bar, what, is_drawn, silent: json, said_at: Instant::now().into() }
    }

    /// One more is done.
    pub fn step(&self) {
        self.add(1);
    }

    /// So many more are done.
    pub fn add(&self, count: u64) {
        self.bar.inc(count);
        self.say();
    }

    /// So many are done in all, of so many.
    pub fn set(&self, done: u64, total: u64) {
        if self.bar.length().is_none()
            && let Ok(style) = ProgressStyle::with_template(COUNTED)
        {
            self.bar.set_style(style);
        }
        self.bar.set_length(total);
        self.bar.set_position(done);
        self.say();
    }

    /// How many are done.
    #[must_use]
    pub fn done(&self) -> u64 {
        self.bar.position()
    }

    fn say(&self) {
        if self.is_drawn || self.silent {
            return;
        }
        let mut said_at = self.said_at.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if said_at.elapsed() < SAY_EVERY {
            return;
        }
        *said_at = Instant::now();
        let done = self.bar.position();
        let _ = match self.bar.length() {
            Some(total) => writeln!(std::io::stderr(), "… {}: {done} of {total}", self.what),
            None => writeln!(std::io::stderr(), "… {}: {done}", self.what),
        };
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_wrote_steers_no_terminal_and_our_colours_stay() {
        let plain = Console::plain(None);
        let hostile = "a\u{1b}[2J\u{9b}31m\u{202e}b\u{2066}c\td\ne";
        let shown = "a\u{FFFD}[2J\u{FFFD}31m\u{FFFD}b\u{FFFD}c\td\ne";
        assert_eq!(plain.harmless(hostile), shown);
        assert_eq!(plain.harmless("\u{1b}[31mred"), "\u{FFFD}[31mred", "nothing is coloured here");
        let coloured = Console { coloured: true, ..plain };
        let ours = coloured.tint(Tone::Bad, "bad");
        assert_eq!(coloured.harmless(&format!("{ours}{hostile}")), format!("{ours}{shown}"));
    }
}
