//! Aligned tables that fit the terminal.
//!
//! Columns are as wide as their widest cell. Where the whole is wider than the
//! terminal, the columns that may be cut give way, the widest first, and what is
//! cut ends in `…`. Where that is not enough, the columns that can be spared are
//! left out, the last first. What is piped is whole.

use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

use crate::console::{Console, Tone};
use inbox_core::event::steers;

const GAP: usize = 2;
/// A column that is cut keeps this much.
const LEAST: usize = 8;

/// Rows under a header.
#[derive(Clone, Debug)]
pub struct Table {
    columns: Vec<Column>,
    rows: Vec<Vec<Cell>>,
}

/// One column.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    title: &'static str,
    is_right: bool,
    may_be_cut: bool,
    may_be_spared: bool,
}

impl Column {
    /// Left-aligned, never cut.
    #[must_use]
    pub const fn new(title: &'static str) -> Self {
        Self { title, is_right: false, may_be_cut: false, may_be_spared: false }
    }

    /// For numbers.
    #[must_use]
    pub const fn right(mut self) -> Self {
        self.is_right = true;
        self
    }

    /// For what can be looked up elsewhere, where the terminal is too narrow.
    #[must_use]
    pub const fn spare(mut self) -> Self {
        self.may_be_spared = true;
        self
    }

    /// For long texts.
    #[must_use]
    pub const fn cut(mut self) -> Self {
        self.may_be_cut = true;
        self
    }
}

/// A text with a meaning.
#[derive(Clone, Debug)]
pub struct Cell {
    text: String,
    tone: Option<Tone>,
}

impl Cell {
    /// A text in a colour.
    pub fn toned(tone: Tone, text: impl Into<String>) -> Self {
        Self { tone: Some(tone), ..Self::from(text.into()) }
    }
}

/// What moves the cursor, which a provider or a handler may have put there, is
/// left out.
impl From<String> for Cell {
    fn from(text: String) -> Self {
        let text = text.chars().map(|c| if steers(c) { ' ' } else { c }).collect();
        Self { text, tone: None }
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Self::from(text.to_owned())
    }
}

impl Table {
    /// An empty table.
    #[must_use]
    pub fn new(columns: impl Into<Vec<Column>>) -> Self {
        Self { columns: columns.into(), rows: Vec::new() }
    }

    /// Adds a row: a cell for each column.
    pub fn row(&mut self, cells: impl Into<Vec<Cell>>) {
        self.rows.push(cells.into());
    }

    /// Whether there is no row.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The lines, header first.
    #[must_use]
    pub fn lines(&self, console: &Console) -> Vec<String> {
        let widths = self.widths(console.width());
        let header = self.columns.iter().map(|column| Cell::toned(Tone::Dim, column.title));
        let header: Vec<Cell> = header.collect();
        std::iter::once(&header)
            .chain(&self.rows)
            .map(|row| {
                let mut line = String::new();
                for ((cell, column), width) in row.iter().zip(&self.columns).zip(&widths) {
                    let Some(width) = *width else { continue };
                    let text = cut(&cell.text, width);
                    let padding = " ".repeat(width.saturating_sub(text.width()));
                    let text = cell.tone.map_or(text.clone(), |tone| console.tint(tone, &text));
                    let (before, after) = if column.is_right {
                        (padding, String::new())
                    } else {
                        (String::new(), padding)
                    };
                    if !line.is_empty() {
                        line.push_str(&" ".repeat(GAP));
                    }
                    line.extend([before, text, after]);
                }
                line.trim_end().to_owned()
            })
            .collect()
    }

    /// Of each column; `None` for one that is left out.
    fn widths(&self, available: Option<usize>) -> Vec<Option<usize>> {
        let widest = |(at, column): (usize, &Column)| {
            let cells = self.rows.iter().filter_map(|row| row.get(at));
            cells.map(|cell| cell.text.width()).chain([column.title.width()]).max()
        };
        let mut widths: Vec<Option<usize>> = self.columns.iter().enumerate().map(widest).collect();
        let Some(available) = available else { return widths };
        let total = |widths: &[Option<usize>]| {
            let shown: Vec<usize> = widths.iter().flatten().copied().collect();
            shown.iter().sum::<usize>() + GAP * shown.len().saturating_sub(1)
        };
        let least = |widths: &[Option<usize>]| {
            let least = widths.iter().zip(&self.columns).map(|(width, column)| {
                width.map(|width| if column.may_be_cut { width.min(LEAST) } else { width })
            });
            total(&least.collect::<Vec<_>>())
        };
        while least(&widths) > available {
            let shown = (0..widths.len()).filter(|at| widths[*at].is_some());
            let Some(spare) = shown.rev().find(|at| self.columns[*at].may_be_spared) else { break };
            widths[spare] = None;
        }
        while total(&widths) > available {
            let widest = (0..widths.len())
                .filter(|at| self.columns[*at].may_be_cut && widths[*at] > Some(LEAST))
                .max_by_key(|at| widths[*at]);
            let Some(widest) = widest else { break };
            widths[widest] = widths[widest].map(|width| width - 1);
        }
        widths
    }
}

/// The text in at most `width` columns of the terminal.
#[must_use]
pub fn cut(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let mut kept = String::new();
    let mut used = 0;
    for c in text.chars() {
        let columns = c.width().unwrap_or(0);
        if used + columns + 1 > width {
            break;
        }
        used += columns;
        kept.push(c);
    }
    kept.push('…');
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let mut table = Table::new([
            Column::new("ID").cut(),
            Column::new("COUNT").right(),
            Column::new("ERROR").cut(),
        ]);
        table.row(["evt_1".into(), "7".into(), Cell::toned(Tone::Bad, "a".repeat(40))]);
        table.row(["名前".into(), "1234567".into(), "b\u{1b}[2J\u{202e}c".into()]);
        table
    }

    #[test]
    fn what_is_piped_is_aligned_and_whole() {
        let console = Console::plain(None);
        assert_eq!(
            table().lines(&console),
            [
                "ID       COUNT  ERROR".to_owned(),
                format!("evt_1        7  {}", "a".repeat(40)),
                // Two columns for each of these signs, and nothing moves the cursor.
                "名前   1234567  b [2J c".to_owned(),
            ]
        );
    }

    #[test]
    fn the_widest_column_gives_way_to_the_terminal() {
        let lines = table().lines(&Console::plain(Some(30)));
        assert_eq!(lines[1], format!("evt_1        7  {}…", "a".repeat(13)));
        for line in &lines {
            assert!(line.width() <= 30, "{line}");
        }
        // Below that nobody could read it.
        let lines = table().lines(&Console::plain(Some(5)));
        assert_eq!(lines[1], "evt_1        7  aaaaaaa…");
    }

    #[test]
    fn columns_that_can_be_spared_make_room_the_last_first() {
        let mut table = Table::new([
            Column::new("ID").cut(),
            Column::new("LIFE").spare().right(),
            Column::new("STATE"),
            Column::new("MESSAGE").spare(),
        ]);
        table.row(["evt_1234567890", "1", "dead", "0f3b6a5e"].map(Cell::from));
        let row = |width| table.lines(&Console::plain(width))[1].clone();
        assert_eq!(row(None), "evt_1234567890     1  dead   0f3b6a5e");
        assert_eq!(row(Some(31)), "evt_123…     1  dead   0f3b6a5e");
        assert_eq!(row(Some(30)), "evt_1234567890     1  dead");
        assert_eq!(row(Some(20)), "evt_12345678…  dead");
        // Nothing is left to spare.
        assert_eq!(row(Some(3)), "evt_123…  dead");
    }

    #[test]
    fn texts_are_cut_by_columns_not_by_letters() {
        assert_eq!(cut("abc", 3), "abc");
        assert_eq!(cut("abcd", 3), "ab…");
        assert_eq!(cut("名前です", 5), "名前…");
        assert_eq!(cut("名前です", 4), "名…");
    }
}
