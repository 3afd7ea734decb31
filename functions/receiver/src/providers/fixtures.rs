//! The bodies in `tests/fixtures/<provider>/` are what the providers document;
//! each is identified fully, and by these values.

use std::collections::BTreeSet;
use std::path::PathBuf;

use inbox_core::provider::{Identity, Unsigned};

use super::testing::{self, Delivery, at};

/// File; the header's event type, where a header carries it; then what is read
/// from it: type, subject, time, key.
const FIXTURES: [(&str, &str, [&str; 4]); 16] = [
    (
        "github/issues_opened.json",
        "issues",
        ["issues.opened", "example-org/widgets", "2026-03-01T11:59:22.000Z", "id_1"],
    ),
    (
        "github/ping.json",
        "ping",
        ["ping", "example-org/widgets", "2026-03-01T11:59:15.000Z", "id_1"],
    ),
    (
        "github/pull_request_opened.json",
        "pull_request",
        ["pull_request.opened", "example-org/widgets", "2026-03-01T11:59:21.000Z", "id_1"],
    ),
    (
        "github/push.json",
        "push",
        ["push", "example-org/widgets", "2026-03-01T11:59:20.000Z", "id_1"],
    ),
    (
        "standard_webhooks/contact_updated.json",
        "",
        [
            "contact.updated",
            "1f81eb52-5198-4599-803e-771906343485",
            "2026-03-01T11:59:21.000Z",
            "id_1",
        ],
    ),
    (
        "standard_webhooks/user_created.json",
        "",
        ["user.created", "user_test_1", "2026-03-01T11:59:20.123Z", "id_1"],
    ),
    (
        "stripe/charge_dispute_created.json",
        "",
        ["charge.dispute.created", "du_test_1", "2026-03-01T11:59:24.000Z", "evt_test_5"],
    ),
    (
        "stripe/customer_subscription_deleted.json",
        "",
        ["customer.subscription.deleted", "sub_test_1", "2026-03-01T11:59:23.000Z", "evt_test_4"],
    ),
    (
        "stripe/customer_subscription_updated.json",
        "",
        ["customer.subscription.updated", "sub_test_1", "2026-03-01T11:59:22.000Z", "evt_test_3"],
    ),
    (
        "stripe/invoice_payment_failed.json",
        "",
        ["invoice.payment_failed", "in_test_1", "2026-03-01T11:59:25.000Z", "evt_test_6"],
    ),
    (
        "stripe/payment_intent_payment_failed.json",
        "",
        ["payment_intent.payment_failed", "pi_test_2", "2026-03-01T11:59:21.000Z", "evt_test_2"],
    ),
    (
        "stripe/payment_intent_succeeded.json",
        "",
        ["payment_intent.succeeded", "pi_test_1", "2026-03-01T11:59:20.000Z", "evt_test_1"],
    ),
    (
        "twilio/message_inbound.form",
        "",
        [
            "message.received",
            "SM22222222222222222222222222222222",
            "",
            "SM22222222222222222222222222222222.received.aca65bf6ae04a38d",
        ],
    ),
    (
        "twilio/message_status_delivered.form",
        "",
        [
            "message.delivered",
            "SM11111111111111111111111111111111",
            "",
            "SM11111111111111111111111111111111.delivered.525fbcc668b0ea51",
        ],
    ),
    (
        "twilio/message_status_queued.form",
        "",
        [
            "message.queued",
            "SM11111111111111111111111111111111",
            "",
            "SM11111111111111111111111111111111.queued.4482b700a9517009",
        ],
    ),
    (
        "twilio/message_status_sent.form",
        "",
        [
            "message.sent",
            "SM11111111111111111111111111111111",
            "",
            "SM11111111111111111111111111111111.sent.efb812eb6086c8f2",
        ],
    ),
];

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures")
}

fn read(file: &str) -> Vec<u8> {
    std::fs::read(folder().join(file)).unwrap()
}

fn identity(file: &str, event_type: &str) -> Identity {
    let (name, _) = file.split_once('/').unwrap();
    let provider = super::find(name).unwrap();
    let content_type = match file.rsplit_once('.') {
        Some((_, "form")) => crate::form::MEDIA_TYPE,
        _ => "application/json",
    };
    let [secret, _] = testing::secrets(name);
    let unsigned = Unsigned {
        url: "https://hooks.example.com/in",
        content_type,
        body: &read(file),
        id: "id_1",
        event_type,
        now: at(0),
    };
    Delivery::sign(provider.as_ref(), secret, &unsigned).identity(provider.as_ref(), secret)
}

#[test]
fn every_provider_has_fixtures_and_every_fixture_a_provider() {
    let mut found = BTreeSet::new();
    for entry in std::fs::read_dir(folder()).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_dir() {
            for file in std::fs::read_dir(entry.path()).unwrap() {
                let provider = entry.file_name().into_string().unwrap();
                found.insert(format!("{provider}/{}", file.unwrap().file_name().to_str().unwrap()));
            }
        }
    }
    let listed: BTreeSet<_> = FIXTURES.iter().map(|(file, ..)| (*file).to_owned()).collect();
    assert_eq!(found, listed);
    let providers: BTreeSet<_> = found.iter().map(|it| it.split_once('/').unwrap().0).collect();
    assert!(providers.into_iter().eq(super::names()));
}

#[test]
fn every_fixture_is_identified_fully() {
    for (file, header, [event_type, subject, occurred_at, key]) in FIXTURES {
        let found = identity(file, header);
        assert_eq!(found.event_type.as_deref(), Some(event_type), "{file}");
        assert_eq!(found.subject.as_deref(), Some(subject), "{file}");
        let moment = found.occurred_at.map(inbox_core::Timestamp::to_rfc3339);
        assert_eq!(moment.unwrap_or_default(), occurred_at, "{file}");
        assert_eq!(found.idempotency_key.as_deref(), Some(key), "{file}");
        assert_eq!(found.payload, None, "{file}");
    }
}

#[test]
fn every_fixture_with_personal_data_marks_it() {
    for (file, ..) in FIXTURES {
        let text = String::from_utf8(read(file)).unwrap().to_lowercase();
        // A status callback holds numbers and sids only.
        assert_eq!(text.contains("marker-"), !file.starts_with("twilio/message_status"), "{file}");
    }
}
