//! GitHub: the head of each ref, from `push`.
//!
//! GitHub signs no time, and its commits' times are their committers' and may run
//! backwards. What a push has is `repository.pushed_at`: the second of the latest
//! push to the *repository*, as the payload was made, in this event as a Unix time
//! (<https://github.com/isaacs/github/issues/1534>; RFC 3339 in all others). It is
//! taken never to fall from one push to the next, but pushes in quick succession may
//! share it. Among those:
//!
//! 1. the creation of a ref comes first and its deletion last;
//! 2. then by the time at which the event was received. That is no fact of the
//!    provider's, but one of the event's record: fixed by the first delivery that
//!    was claimed, the same at every redelivery, replay and reordering after it.
//!    GitHub sends at once and never retries by itself, so it is right nearly
//!    always, which a random delivery id would be half of the time;
//! 3. then by the delivery id.
//!
//! `before` and `after` chain the pushes of a ref, but no order of single events
//! can be read from a chain with gaps, so they do not decide.
//!
//! Kept of the commits are the last few: id, first line of the message, author and
//! time. No addresses, no file lists.

use inbox_core::Timestamp;
use inbox_core::event::{Event, clean_text};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::row::{Nothing, Order, Row, Seen};
use super::{object_of, text_of};

const COMMITS_MOST: usize = 20;
const MESSAGE_MOST_CHARS: usize = 200;
const WORD_MOST_CHARS: usize = 100;

const RANK_CREATED: u8 = 0;
const RANK_MOVED: u8 = 1;
const RANK_DELETED: u8 = 2;

#[derive(Deserialize)]
struct Push<'a> {
    r#ref: String,
    before: String,
    after: String,
    #[serde(default)]
    forced: bool,
    #[serde(default, borrow)]
    commits: Vec<PushedCommit<'a>>,
    #[serde(borrow)]
    repository: Repository<'a>,
}

#[derive(Deserialize)]
struct PushedCommit<'a> {
    id: String,
    #[serde(default)]
    message: String,
    #[serde(default)]
    timestamp: String,
    #[serde(borrow)]
    author: Option<Author<'a>>,
}

#[derive(Deserialize)]
struct Author<'a> {
    #[serde(borrow)]
    username: Option<&'a RawValue>,
    #[serde(borrow)]
    name: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Repository<'a> {
    id: Option<u64>,
    full_name: String,
    #[serde(borrow)]
    pushed_at: Option<&'a RawValue>,
}

/// The row's body.
#[derive(Serialize)]
struct Pushed {
    repository: String,
    repository_id: Option<u64>,
    r#ref: String,
    /// `null` when the ref is gone.
    head: Option<String>,
    /// `null` when the ref is new.
    before: Option<String>,
    forced: bool,
    /// How many the push brought, of which the last are listed.
    commits_total: usize,
    commits: Vec<Commit>,
}

#[derive(Serialize)]
struct Commit {
    id: String,
    message: String,
    author: String,
    timestamp: String,
}

/// Reads the ref that was pushed.
pub(super) fn read(event: &Event) -> Result<Row, Nothing> {
    if event.event_type != "push" {
        return Err(Nothing("only pushes are mirrored"));
    }
    let json = event.json().ok_or(Nothing("the payload is not JSON"))?;
    let push: Push<'_> = object_of(json).ok_or(Nothing("the payload is not a push"))?;
    let (created, deleted) = (is_null(&push.before), is_null(&push.after));
    let (status, rank) = match (created, deleted, push.forced) {
        (_, true, _) => ("deleted", RANK_DELETED),
        (true, ..) => ("created", RANK_CREATED),
        (.., true) => ("forced", RANK_MOVED),
        (.., false) => ("updated", RANK_MOVED),
    };
    let order = Order {
        sealed: false,
        at: Some(push.repository.pushed_at.and_then(moment).unwrap_or(event.received_at)),
        rank,
        received_at: Some(event.received_at),
        event_id: &event.key.id,
    };
    // A repository's name holds no colon. Its id would outlive a change of name,
    // but nobody looks up a ref by it.
    let object_id = format!("{}:{}", push.repository.full_name, push.r#ref);
    let commits_total = push.commits.len();
    let listed = push.commits.into_iter().skip(commits_total.saturating_sub(COMMITS_MOST));
    let pushed = Pushed {
        repository: push.repository.full_name,
        repository_id: push.repository.id,
        r#ref: push.r#ref,
        head: (!deleted).then_some(push.after),
        before: (!created).then_some(push.before),
        forced: push.forced,
        commits_total,
        commits: listed.map(commit).collect(),
    };
    let seen = Seen {
        kind: "ref".into(),
        object_id,
        status: Some(status.into()),
        error_code: None,
        deleted,
        body: serde_json::to_string(&pushed).ok(),
    };
    Row::new(event, seen, order)
}

/// All zeros, in the 40 digits of SHA-1 or the 64 of SHA-256.
fn is_null(sha: &str) -> bool {
    !sha.is_empty() && sha.bytes().all(|digit| digit == b'0')
}

/// Unix seconds, or RFC 3339 as in all other events.
fn moment(raw: &RawValue) -> Option<Timestamp> {
    let text = text_of(raw)?;
    text.parse()
        .ok()
        .and_then(Timestamp::from_unix_seconds)
        .or_else(|| Timestamp::parse_rfc3339(&text))
}

fn commit(pushed: PushedCommit<'_>) -> Commit {
    let author = pushed.author.and_then(|author| {
        author.username.and_then(text_of).or_else(|| author.name.and_then(text_of))
    });
    Commit {
        id: clean_text(&pushed.id, WORD_MOST_CHARS),
        message: clean_text(pushed.message.lines().next().unwrap_or_default(), MESSAGE_MOST_CHARS),
        author: clean_text(&author.unwrap_or_default(), WORD_MOST_CHARS),
        timestamp: clean_text(&pushed.timestamp, WORD_MOST_CHARS),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::{Value, json};

    use super::super::tests::{event, later};
    use super::*;

    const NULL: &str = "0000000000000000000000000000000000000000";
    const A: &str = "6113728f27ae82c7b1a177c8d03f9e96e0adf246";
    const B: &str = "1481a2de7b2a7d02428ad93446ab166be7793fbb";

    fn payload(before: &str, after: &str, pushed_at: &Value) -> Value {
        json!({
            "ref": "refs/heads/main", "before": before, "after": after,
            "created": before == NULL, "deleted": after == NULL, "forced": false,
            "base_ref": null, "compare": "https://github.com/octo/hello/compare/a...b",
            "commits": [{
                "id": after, "tree_id": B, "distinct": true,
                "message": "Fix the roof\n\nIt leaked.", "timestamp": "2025-11-24T16:00:00+01:00",
                "url": "https://github.com/octo/hello/commit/b",
                "author": {"name": "Mona", "email": "mona@example.com", "username": "mona"},
                "committer": {"name": "Mona", "email": "mona@example.com", "username": "mona"},
                "added": [], "removed": [], "modified": ["roof.md"]
            }],
            "repository": {
                "id": 186_853_002, "name": "hello", "full_name": "octo/hello", "private": false,
                "created_at": 1_557_933_565, "updated_at": "2025-05-15T15:20:41Z",
                "pushed_at": pushed_at
            },
            "pusher": {"name": "mona", "email": "mona@example.com"}
        })
    }

    fn push(id: &str, before: &str, after: &str, pushed_at: i64, received_ms: u64) -> Row {
        let body = payload(before, after, &json!(pushed_at)).to_string();
        let mut event = event("github", "push", &body);
        event.key.id = id.into();
        event.received_at = event.received_at.plus(Duration::from_millis(received_ms));
        read(&event).unwrap()
    }

    #[test]
    fn a_push_leaves_the_head_and_its_commits_without_addresses() {
        let row = push("d_1", A, B, 1_764_000_000, 0);
        assert_eq!(row.pk, "github#ref#octo/hello:refs/heads/main");
        assert_eq!((row.status.as_deref(), row.deleted), (Some("updated"), false));
        assert_eq!(
            serde_json::from_str::<Value>(row.body.as_deref().unwrap()).unwrap(),
            json!({
                "repository": "octo/hello", "repository_id": 186_853_002,
                "ref": "refs/heads/main", "head": B, "before": A, "forced": false,
                "commits_total": 1,
                "commits": [{"id": B, "message": "Fix the roof", "author": "mona",
                             "timestamp": "2025-11-24T16:00:00+01:00"}]
            })
        );
        assert_eq!(row.version, "0.001764000000000.01.001764000005123.d_1");
    }

    #[test]
    fn a_deleted_ref_stays_as_a_row_without_a_head() {
        let row = push("d_1", A, NULL, 1_764_000_000, 0);
        assert_eq!((row.status.as_deref(), row.deleted), (Some("deleted"), true));
        let body: Value = serde_json::from_str(row.body.as_deref().unwrap()).unwrap();
        assert_eq!((&body["head"], &body["before"]), (&Value::Null, &json!(A)));
    }

    #[test]
    fn pushes_stand_by_pushed_at_then_by_what_they_do_then_by_arrival() {
        later(
            &push("z", NULL, A, 100, 900),
            &[
                // Created and deleted in one second, the deletion received first.
                &push("y", A, B, 100, 0),
                &push("x", B, A, 100, 1),
                &push("b", A, B, 100, 2),
                &push("c", A, B, 100, 2),
                &push("a", B, NULL, 100, 0),
                // Pushed again a second later.
                &push("a", NULL, A, 101, 0),
            ],
        );
    }

    #[test]
    fn a_redelivery_long_after_does_not_outdo_a_later_push() {
        later(&push("z", A, B, 100, 86_400_000), &[&push("a", B, A, 101, 0)]);
    }

    #[test]
    fn a_forced_push_says_so() {
        let mut body = payload(A, B, &json!(100));
        body["forced"] = json!(true);
        let row = read(&event("github", "push", &body.to_string())).unwrap();
        assert_eq!(row.status.as_deref(), Some("forced"));
    }

    #[test]
    fn pushed_at_is_read_as_a_number_and_as_text_and_done_without() {
        let version = |pushed_at: &Value| {
            let body = payload(A, B, pushed_at).to_string();
            read(&event("github", "push", &body)).unwrap().version
        };
        let expected = "0.001764000000000.01.001764000005123.evt_1";
        assert_eq!(version(&json!(1_764_000_000)), expected);
        assert_eq!(version(&json!("2025-11-24T16:00:00Z")), expected);
        assert_eq!(version(&Value::Null), "0.001764000005123.01.001764000005123.evt_1");
    }

    #[test]
    fn only_the_last_commits_are_listed_and_long_messages_end() {
        let mut body = payload(A, B, &json!(100));
        body["commits"] = (0..2048)
            .map(|n| json!({"id": format!("{n:040}"), "message": "\u{E9}".repeat(9_999)}))
            .collect();
        let row = read(&event("github", "push", &body.to_string())).unwrap();
        let head: Value = serde_json::from_str(row.body.as_deref().unwrap()).unwrap();
        let commits = head["commits"].as_array().unwrap();
        assert_eq!((commits.len(), &head["commits_total"]), (20, &json!(2048)));
        assert_eq!(commits[19]["id"], json!(format!("{:040}", 2047)));
        assert_eq!(commits[0]["message"], json!("\u{E9}".repeat(200)));
        assert_eq!(row.omitted_bytes, None);
    }

    #[test]
    fn other_events_and_unreadable_pushes_leave_nothing() {
        let pk = |event_type, body| read(&event("github", event_type, body)).map(|row| row.pk);
        assert_eq!(pk("issues", "{}"), Err(Nothing("only pushes are mirrored")));
        assert_eq!(pk("push", "{"), Err(Nothing("the payload is not JSON")));
        assert_eq!(pk("push", "{}"), Err(Nothing("the payload is not a push")));
    }
}
