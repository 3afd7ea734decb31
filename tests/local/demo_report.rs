//! What the demo prints: aligned tables, and claims with what became of each.

use std::io::{IsTerminal, Write};

/// Columns as wide as their widest cell, two spaces apart.
pub(crate) fn table(header: &[&str], rows: &[Vec<String>]) -> Vec<String> {
    let header: Vec<String> = header.iter().map(|&title| title.to_owned()).collect();
    let all = || std::iter::once(&header).chain(rows);
    let widths: Vec<usize> = (0..header.len())
        .map(|column| {
            all().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max()
        })
        .map(Option::unwrap_or_default)
        .collect();
    all()
        .map(|row| {
            let cells: Vec<String> = row
                .iter()
                .zip(&widths)
                .map(|(cell, width)| {
                    let padding = width.saturating_sub(cell.chars().count());
                    format!("{cell}{}", " ".repeat(padding))
                })
                .collect();
            format!("  {}", cells.join("  ").trim_end())
        })
        .collect()
}

/// The demo's claims. Each was checked against what the stack holds.
#[derive(Debug, Default)]
pub(crate) struct Claims {
    lines: Vec<Claim>,
}

#[derive(Debug, PartialEq, Eq)]
struct Claim {
    what: String,
    /// Expected and actual, when they differ.
    difference: Option<(String, String)>,
}

impl Claims {
    /// Claims that `actual` is as expected.
    pub(crate) fn equal<T: PartialEq + std::fmt::Debug>(
        &mut self,
        what: impl Into<String>,
        expected: &T,
        actual: &T,
    ) {
        let difference =
            (expected != actual).then(|| (format!("{expected:?}"), format!("{actual:?}")));
        self.lines.push(Claim { what: what.into(), difference });
    }

    /// How many do not hold.
    pub(crate) fn broken(&self) -> usize {
        self.lines.iter().filter(|claim| claim.difference.is_some()).count()
    }

    /// A line for each, and what was expected of those that do not hold.
    pub(crate) fn lines(&self, colours: Colours) -> Vec<String> {
        let mut lines = Vec::new();
        for claim in &self.lines {
            match &claim.difference {
                None => lines.push(format!("  {}  {}", colours.good("ok"), claim.what)),
                Some((expected, actual)) => lines.extend([
                    format!("  {}  {}", colours.bad("NO"), claim.what),
                    format!("        expected {expected}"),
                    format!("        actual   {actual}"),
                ]),
            }
        }
        lines
    }

    /// The last line.
    pub(crate) fn verdict(&self, colours: Colours) -> String {
        let all = self.lines.len();
        match self.broken() {
            0 => colours.good(&format!("all {all} claims hold")),
            broken => colours.bad(&format!("{broken} of {all} claims do not hold")),
        }
    }
}

/// Whether to colour: only for a person at a terminal who did not say no.
/// <https://no-color.org>
#[derive(Debug, Clone, Copy)]
pub(crate) struct Colours(bool);

impl Colours {
    /// As standard output and the environment ask for.
    pub(crate) fn detect() -> Self {
        Self::choose(std::io::stdout().is_terminal(), std::env::var("NO_COLOR").ok().as_deref())
    }

    fn choose(is_terminal: bool, no_color: Option<&str>) -> Self {
        Self(is_terminal && no_color.is_none_or(str::is_empty))
    }

    fn good(self, text: &str) -> String {
        self.paint(text, 32)
    }

    fn bad(self, text: &str) -> String {
        self.paint(text, 31)
    }

    fn paint(self, text: &str, code: u8) -> String {
        if self.0 { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }
}

/// Lines for a person, with an empty one and a title before them.
pub(crate) fn section(title: &str, lines: &[String]) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "\n{title}");
    for line in lines {
        let _ = writeln!(out, "{line}");
    }
}
