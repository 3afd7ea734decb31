//! Routes as somebody wrote them: JSON, read so that every problem of every route is
//! told, and where it stands.
//!
//! Each route is read on its own. One that lacks a member, or has one too many, hides
//! nothing of what is wrong with itself or with the others.

use serde_json::value::RawValue;
use serde_json::{Map, Value};

const ID: &str = "id";
const MATCH: &str = "match";
const HANDLER: &str = "handler";
const WITH: &str = "with";
/// Every member that a route may have.
const MEMBERS: [&str; 4] = [ID, MATCH, HANDLER, WITH];

/// A route's members, as far as they could be read: what could not is among its problems.
pub(super) struct Given {
    pub(super) id: Option<String>,
    pub(super) pattern: Option<String>,
    pub(super) handler: Option<String>,
    pub(super) with: Value,
    place: String,
    problems: Vec<String>,
}

impl Given {
    /// Notes what is wrong with this route.
    pub(super) fn problem(&mut self, text: impl Into<String>) {
        self.problems.push(text.into());
    }

    /// Each problem with the route that it is in: `route 2 ("billing", line 7): …`.
    pub(super) fn into_problems(self) -> Vec<String> {
        let told = self.problems.into_iter().map(|problem| format!("{}: {problem}", self.place));
        told.collect()
    }
}

/// The routes of a JSON list.
///
/// # Errors
///
/// The text is no such list: nothing can be said of any route.
pub(super) fn read(text: &str) -> Result<Vec<Given>, String> {
    let raw: Vec<&RawValue> =
        serde_json::from_str(text).map_err(|fault| format!("not a list of routes: {fault}"))?;
    let route = |(index, raw): (usize, &&RawValue)| read_one(index + 1, line_of(text, raw), raw);
    Ok(raw.iter().enumerate().map(route).collect())
}

fn read_one(number: usize, line: Option<usize>, raw: &RawValue) -> Given {
    let mut problems = Vec::new();
    let members: Map<String, Value> =
        if let Ok(Value::Object(members)) = serde_json::from_str(raw.get()) {
            members
        } else {
            problems.push("must be an object".to_owned());
            Map::new()
        };
    // Nothing is missing from what is no route at all.
    let is_route = problems.is_empty();
    let mut text = |name: &str| match members.get(name) {
        Some(Value::String(text)) => Some(text.clone()),
        Some(_) => {
            problems.push(format!("`{name}` must be text"));
            None
        }
        None if is_route => {
            problems.push(format!("needs `{name}`"));
            None
        }
        None => None,
    };
    let (id, pattern, handler) = (text(ID), text(MATCH), text(HANDLER));
    let known = MEMBERS.map(|name| format!("`{name}`")).join(", ");
    let unknown = members.keys().filter(|name| !MEMBERS.contains(&name.as_str()));
    problems.extend(unknown.map(|name| format!("has no member `{name}`; there are {known}")));
    let shown = id.as_ref().map(|id| format!("{id:?}"));
    let line = line.map(|line| format!("line {line}"));
    let details: Vec<String> = shown.into_iter().chain(line).collect();
    let place = match details.as_slice() {
        [] => format!("route {number}"),
        details => format!("route {number} ({})", details.join(", ")),
    };
    let with = members.get(WITH).cloned().unwrap_or_default();
    Given { id, pattern, handler, with, place, problems }
}

/// The line on which a part of the text begins, from 1; `None` where all is one line.
fn line_of(text: &str, part: &RawValue) -> Option<usize> {
    let offset = (part.get().as_ptr() as usize).checked_sub(text.as_ptr() as usize)?;
    let before = text.get(..offset)?;
    text.trim().contains('\n').then(|| before.matches('\n').count() + 1)
}
