//! What the demo claims of the events' fates.

use std::collections::BTreeMap;

use aws_sdk_sqs::types::Message;
use inbox_core::ledger::{Record, TransitionKind};
use inbox_core::queue::Pointer;

use crate::demo::{Seen, described};
use crate::demo_report::{Claims, table};
use crate::demo_scenario::{Fate, MOST_ATTEMPTS, ROUTE_ALWAYS_FAILS, ROUTE_FAILS_TWICE};

const EMPTY_TWIML: &str = r#"<?xml version="1.0" encoding="UTF-8"?><Response/>"#;

/// Every request: its answer, where its event ended, what the mirror holds.
pub(crate) fn claim_fates(claims: &mut Claims, all: &[Seen<'_>]) {
    for seen in all {
        let act = &seen.sent.act;
        let fate = match &act.fate {
            Fate::Refused { .. } => "not stored".to_owned(),
            Fate::Kept { state, attempts, mirror } => {
                let object = mirror.as_ref().map(|it| described(it.kind, it.id, it.status));
                fate(state.as_str(), *attempts, object)
            }
        };
        let actual = match &seen.record {
            None => "not stored".to_owned(),
            Some(record) => {
                let object = seen.mirrored.as_ref().map(|mirrored| mirrored.text.clone());
                fate_of(record, object)
            }
        };
        let note = if act.note.is_empty() { String::new() } else { format!(" ({})", act.note) };
        let expected = format!("{}, {fate}", act.answer);
        let what = format!("{} {}{note}: {expected}", act.delivery.source, act.event);
        claims.equal(what, &expected, &format!("{}, {actual}", seen.sent.answer()));
    }
}

fn fate_of(record: &Record, object: Option<String>) -> String {
    fate(record.state.as_str(), record.attempts, object)
}

fn fate(state: &str, attempts: u32, object: Option<String>) -> String {
    let mirror = object.map(|text| format!(", mirror {text}")).unwrap_or_default();
    let s = if attempts == 1 { "" } else { "s" };
    format!("{state} after {attempts} attempt{s}{mirror}")
}

/// What one row does not show.
pub(crate) fn claim_stories(claims: &mut Claims, all: &[Seen<'_>], swept: i64) {
    claims.equal("the sweeper has sent the lost push's message", &true, &(swept > 0));

    let same: Vec<String> = all
        .iter()
        .filter(|seen| ["200 accepted", "200 duplicate"].contains(&seen.sent.act.answer))
        .map(|seen| seen.sent.key().to_string())
        .filter(|key| key == "stripe#evt_test_1")
        .collect();
    claims.equal("both answers to the repeated event name the same event", &2, &same.len());

    let twiml = find(all, "message.received").map(|seen| seen.sent.answer.body().to_vec());
    let twiml = twiml.map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    claims.equal(
        "Twilio gets TwiML without instructions for the message",
        &Some(EMPTY_TWIML.to_owned()),
        &twiml,
    );

    let invoice = find(all, "invoice.payment_failed").and_then(|seen| seen.record.as_ref());
    let failed = |attempt| {
        let reason = format!("{ROUTE_FAILS_TWICE}: drill: attempt {attempt} fails on purpose");
        (TransitionKind::Failed, reason)
    };
    claims.equal(
        "the event that failed twice has both failures in its history",
        &vec![failed(1), failed(2)],
        &history(invoice),
    );
    let routes = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
    claims.equal(
        "and both of its handlers are done",
        &routes(&[ROUTE_FAILS_TWICE, "mirror"]),
        &done(invoice),
    );
    let dispute = find(all, "charge.dispute.created").and_then(|seen| seen.record.as_ref());
    claims.equal(
        "of the dead event the handler that works is done, once",
        &routes(&["mirror"]),
        &done(dispute),
    );
    let kinds: Vec<TransitionKind> = history(dispute).into_iter().map(|(kind, _)| kind).collect();
    let expected = [TransitionKind::Failed; 3].into_iter().chain([TransitionKind::Buried]);
    claims.equal("and its history ends with the burial", &expected.collect::<Vec<_>>(), &kinds);

    for (late, kept) in [
        ("customer.subscription.updated", "customer.subscription.deleted"),
        ("message.sent", "message.delivered"),
    ] {
        let by = find(all, late).and_then(|seen| Some(seen.mirrored.as_ref()?.event_id.clone()));
        claims.equal(
            format!("the mirror did not go back from {kept} to {late}"),
            &find(all, kept).map(|seen| seen.sent.key().id),
            &by,
        );
    }
}

pub(crate) fn find<'a>(all: &'a [Seen<'a>], event: &str) -> Option<&'a Seen<'a>> {
    all.iter().find(|seen| seen.sent.act.event == event)
}

pub(crate) fn history(record: Option<&Record>) -> Vec<(TransitionKind, String)> {
    let entries = record.map(|record| record.history.as_slice()).unwrap_or_default();
    entries.iter().map(|entry| (entry.kind, entry.detail.clone())).collect()
}

pub(crate) fn done(record: Option<&Record>) -> Vec<String> {
    record.map(|record| record.handlers.keys().cloned().collect()).unwrap_or_default()
}

/// Exactly one letter, which says everything an operator needs.
pub(crate) fn claim_dead_letters(claims: &mut Claims, letters: &[Message]) {
    claims.equal("one dead letter", &1, &letters.len());
    let Some(letter) = letters.first() else { return };
    let lives = letter.body().and_then(|body| Pointer::parse(body).ok());
    let lives = lives.map(|pointer| (pointer.key.to_string(), pointer.life));
    claims.equal(
        "it names the event's next life: redriving it opens that",
        &Some(("stripe#evt_test_5".to_owned(), 2)),
        &lives,
    );
    let error = format!("{ROUTE_ALWAYS_FAILS}: drill: attempt {MOST_ATTEMPTS} fails on purpose");
    let attempts = MOST_ATTEMPTS.to_string();
    let expected = [
        ("source", "stripe"),
        ("event_type", "charge.dispute.created"),
        ("event_id", "evt_test_5"),
        ("error", &error),
        ("attempts", &attempts),
    ];
    let expected: BTreeMap<String, String> =
        expected.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    claims.equal("and says what, why and how often", &expected, &attributes(letter));
}

fn attributes(letter: &Message) -> BTreeMap<String, String> {
    let attributes = letter.message_attributes.iter().flatten();
    attributes
        .map(|(name, value)| (name.clone(), value.string_value().unwrap_or_default().to_owned()))
        .collect()
}

/// The dead-letter queue as a table.
pub(crate) fn letter_rows(letters: &[Message]) -> Vec<String> {
    let header = ["source", "event_type", "event_id", "attempts", "error"];
    let rows: Vec<Vec<String>> = letters
        .iter()
        .map(|letter| {
            let attributes = attributes(letter);
            header.iter().map(|&name| attributes.get(name).cloned().unwrap_or_default()).collect()
        })
        .collect();
    table(&header, &rows)
}
