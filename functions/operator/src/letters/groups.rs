//! Dead letters by source, type and error: what went wrong, how often.

use std::collections::BTreeMap;

use inbox_core::Timestamp;
use serde_json::{Value, json};

use super::{Fate, Letter};
use crate::console::{Console, Tone};
use crate::moments::relative;
use crate::table::{Cell, Column, Table};

/// `1 dead letter`, `2 dead letters`.
#[must_use]
pub fn dead_letters(count: u64) -> String {
    if count == 1 { "1 dead letter".to_owned() } else { format!("{count} dead letters") }
}

/// Letters with the same source, type and error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// The endpoint; empty when the letters cannot be read.
    pub source: String,
    /// The provider's own type; empty when nobody knows.
    pub event_type: String,
    /// Why they were given up; empty when nobody knows.
    pub error: String,
    /// How many of each fate.
    pub fates: BTreeMap<Fate, usize>,
    /// When the oldest was sent.
    pub oldest_at: Option<Timestamp>,
}

impl Group {
    /// How many letters.
    #[must_use]
    pub fn letters(&self) -> usize {
        self.fates.values().sum()
    }
}

/// All groups, the largest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Groups(pub Vec<Group>);

impl Groups {
    /// Groups letters.
    #[must_use]
    pub fn of<'a>(letters: impl IntoIterator<Item = &'a Letter>) -> Self {
        let mut groups: BTreeMap<(&str, &str, &str), Group> = BTreeMap::new();
        for letter in letters {
            let name = (letter.source(), letter.event_type(), letter.error());
            let group = groups.entry(name).or_insert_with(|| Group {
                source: name.0.to_owned(),
                event_type: name.1.to_owned(),
                error: name.2.to_owned(),
                fates: BTreeMap::new(),
                oldest_at: None,
            });
            *group.fates.entry(letter.fate).or_default() += 1;
            group.oldest_at = group.oldest_at.into_iter().chain(letter.received.sent_at).min();
        }
        let mut groups: Vec<Group> = groups.into_values().collect();
        groups.sort_by_key(|group| std::cmp::Reverse(group.letters()));
        Self(groups)
    }

    /// How many letters in all.
    #[must_use]
    pub fn letters(&self) -> usize {
        self.0.iter().map(Group::letters).sum()
    }

    /// How many letters of one fate.
    #[must_use]
    pub fn count(&self, fate: Fate) -> usize {
        self.0.iter().filter_map(|group| group.fates.get(&fate)).sum()
    }

    /// The fates that occur, besides being redrivable.
    #[must_use]
    pub fn marks(&self) -> Vec<(Fate, usize)> {
        [Fate::Alive, Fate::Early, Fate::Over, Fate::Unknown, Fate::Unreadable]
            .into_iter()
            .map(|fate| (fate, self.count(fate)))
            .filter(|(_, count)| *count > 0)
            .collect()
    }

    /// When the oldest letter was sent.
    #[must_use]
    pub fn oldest_at(&self) -> Option<Timestamp> {
        self.0.iter().filter_map(|group| group.oldest_at).min()
    }

    /// Prints a row a group, and below it what the marks mean.
    pub fn print(&self, console: &Console, now: Timestamp) {
        let mut table = Table::new([
            Column::new("source"),
            Column::new("type").cut(),
            Column::new("error").cut(),
            Column::new("letters").right(),
            Column::new("oldest").right().spare(),
            Column::new("redrivable").right(),
            Column::new("others"),
        ]);
        for group in &self.0 {
            let redrivable = group.fates.get(&Fate::Redrivable).copied().unwrap_or_default();
            let others: Vec<String> = group
                .fates
                .iter()
                .filter(|(fate, _)| **fate != Fate::Redrivable)
                .map(|(fate, count)| format!("{count} {}", fate.as_str()))
                .collect();
            let dash =
                |text: &str| if text.is_empty() { "–".to_owned() } else { text.to_owned() };
            table.row([
                Cell::from(dash(&group.source)),
                Cell::from(dash(&group.event_type)),
                Cell::from(dash(&group.error)),
                Cell::from(group.letters().to_string()),
                Cell::from(group.oldest_at.map(|at| relative(at, now)).unwrap_or_default()),
                Cell::from(redrivable.to_string()),
                Cell::toned(Tone::Warning, others.join(", ")),
            ]);
        }
        if !table.is_empty() {
            console.table(&table);
        }
        for (fate, _) in self.marks() {
            let line = format!("{}: {}", fate.as_str(), fate.meaning());
            console.line(console.tint(Tone::Dim, &line));
        }
    }

    /// For machines.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let group = |group: &Group| {
            let mut value = json!({
                "source": group.source,
                "type": group.event_type,
                "error": group.error,
                "letters": group.letters(),
                "oldest_at": group.oldest_at.map(Timestamp::to_rfc3339),
            });
            for fate in [
                Fate::Redrivable,
                Fate::Alive,
                Fate::Early,
                Fate::Over,
                Fate::Unknown,
                Fate::Unreadable,
            ] {
                value[fate.as_str()] = group.fates.get(&fate).copied().unwrap_or_default().into();
            }
            value
        };
        self.0.iter().map(group).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::letter;
    use super::*;

    #[test]
    fn letters_are_grouped_by_what_went_wrong_the_most_frequent_first() {
        let letters = [
            letter(2, None, Some("rare")),
            letter(2, None, Some("frequent")),
            letter(2, None, Some("frequent")),
        ];
        let groups = Groups::of(&letters);
        let counted: Vec<_> =
            groups.0.iter().map(|group| (group.error.as_str(), group.letters())).collect();
        assert_eq!(counted, [("frequent", 2), ("rare", 1)]);
        assert_eq!(groups.marks(), [(Fate::Unknown, 3)]);
        assert_eq!(groups.to_json()[0]["unknown"], 2);
    }
}
