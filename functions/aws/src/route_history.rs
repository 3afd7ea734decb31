//! Which routes there were before, kept in one item of the ledger's table.
//!
//! ```text
//! a processor starts ─ the item shows its routes, or none ▶ they are noted
//!                    └ it shows others ────────────────▶ those become former ones, until now
//! ```
//!
//! So an event that no route takes can be told from one that lost its route: by a change
//! of configuration, whatever process meets it and however long ago that process
//! started. It costs one write when a process starts, two after a change, which opens the connection that
//! the first event would otherwise wait for.

use std::collections::HashMap;
use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use inbox_core::Timestamp;
use inbox_core::event::EventKey;
use inbox_core::ledger::LedgerError;

use crate::item::{Fields, Item, seconds, text, time};
use crate::ledger::{DynamoDbLedger, Written};
use crate::update::Update;

/// How long a change of routes is remembered.
const REMEMBERED: Duration = Duration::from_hours(24 * 30);
/// Most former sets of routes that are remembered, the latest.
const MOST: usize = 5;

pub(crate) const ROUTES: &str = "routes";
pub(crate) const FORMER: &str = "former";

/// A set of routes that is not in force any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FormerRoutes {
    /// What it was noted as.
    pub routes: String,
    /// When a processor with other routes started.
    pub until: Timestamp,
}

impl DynamoDbLedger {
    /// Notes which routes are in force, as a text that says what each matches, and
    /// returns the sets that were in force within the last 30 days.
    ///
    /// # Errors
    ///
    /// The table does not answer, or its item cannot be read.
    pub async fn note_routes(
        &self,
        routes: &str,
        now: Timestamp,
    ) -> Result<Vec<FormerRoutes>, LedgerError> {
        let same = "attribute_not_exists(#routes) OR #routes = :routes";
        let write = Update::new(&key(), same).set("#routes", ":routes", text(routes));
        let held = match self.update_and_read(write).await? {
            Written::Yes(item) => return former(item.as_ref(), now),
            Written::Refused(item) => item.ok_or_else(unreadable)?,
        };
        let before = Fields(&held).text(ROUTES)?;
        let mut all = former(Some(&held), now)?;
        all.retain(|it| it.routes != routes && it.routes != before);
        all.insert(0, FormerRoutes { routes: before.clone(), until: now });
        all.truncate(MOST);
        let entries = AttributeValue::L(all.iter().map(entry).collect());
        let write = Update::new(&key(), "#routes = :before")
            .value(":before", text(before))
            .set("#routes", ":routes", text(routes))
            .set("#former", ":former", entries);
        // Refused, another process that starts has noted the same, or will.
        self.update_and_read(write).await?;
        Ok(all)
    }
}

/// No source name holds a capital letter, so this is no event's key.
fn key() -> EventKey {
    EventKey { source: "ROUTES".to_owned(), id: "ROUTES".to_owned() }
}

fn entry(former: &FormerRoutes) -> AttributeValue {
    AttributeValue::M(HashMap::from([
        (ROUTES.to_owned(), text(&former.routes)),
        ("until".to_owned(), seconds(former.until)),
    ]))
}

fn unreadable() -> LedgerError {
    LedgerError::Unreadable("the routes' history is of another form".to_owned())
}

/// The former sets that an item tells of, the latest first.
fn former(item: Option<&Item>, now: Timestamp) -> Result<Vec<FormerRoutes>, LedgerError> {
    let unreadable =
        || LedgerError::Unreadable("the routes' history is of another form".to_owned());
    let Some(value) = item.and_then(|item| item.get(FORMER)) else { return Ok(Vec::new()) };
    let read = |value: &AttributeValue| {
        let map = value.as_m().ok()?;
        let routes = Fields(map).optional_text(ROUTES)?;
        Some(FormerRoutes { routes, until: time(map.get("until")?)? })
    };
    let all: Option<Vec<FormerRoutes>> =
        value.as_l().map_err(|_| unreadable())?.iter().map(read).collect();
    let mut all = all.ok_or_else(unreadable)?;
    all.retain(|it| now.since(it.until) <= REMEMBERED);
    Ok(all)
}
