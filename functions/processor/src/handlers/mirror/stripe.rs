//! Stripe: the object in `data.object`, byte for byte.
//!
//! Stripe promises no order and may send an event twice
//! (<https://docs.stripe.com/webhooks#event-ordering>). An event carries the whole
//! object as it was then and the *second* at which that was, `created`; event ids
//! do not rise with time. So within one second what the event says decides:
//!
//! 1. A `created` comes first: no object has a state before it.
//! 2. Then how far along the object is ([`stage`]). Statuses mostly go one way, and
//!    where they may go back (a subscription past due and paid up) it takes longer
//!    than a second. `invoice.finalized`, `invoice.paid` and their like, which come
//!    within one second, sort themselves so. A failed attempt counts as later than
//!    the attempt, although it sets the payment back to its first status.
//! 3. Then an `updated` after what has a name of its own: `charge.updated` follows
//!    `charge.succeeded`.
//! 4. Then the event id, which is arbitrary but the same for everyone. Two plain
//!    `updated` within one second therefore may stand the wrong way round until the
//!    next event of the object; no data in the events would tell them apart for
//!    certain.
//!
//! **A deletion is final, whatever the clocks say.** Stripe never gives an id that
//! it made to a second object, and a cancelled subscription cannot be taken up
//! again; but its metadata can still be changed, which sends an `updated` *after*
//! the `deleted`. That must not bring it back. The exception are kinds whose ids
//! the account chooses ([`KINDS_WITH_CHOSEN_IDS`]): a plan may be deleted and
//! created again under its old id. There the later second wins, and within one
//! second the deletion. (Letting only a `created` follow a deletion would not
//! converge: the `updated` of the second life, arriving before its `created`,
//! would be lost.)

use std::borrow::Cow;

use inbox_core::event::{Event, TYPE_UNKNOWN};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::row::{Nothing, Order, Row, Seen};
use super::{object_of, text_of};

/// Kinds of objects whose ids may be chosen by the account, and so be used again:
/// <https://docs.stripe.com/api/coupons/create>, `…/plans/create`,
/// `…/products/create`. A plan's other face is a price of the same id.
const KINDS_WITH_CHOSEN_IDS: &[&str] = &["coupon", "plan", "price", "product", "sku"];

const NO_OBJECT: Nothing = Nothing("the event holds no object");

const RANK_CREATED: u8 = 0;
const RANK_DELETED: u8 = 99;

#[derive(Deserialize)]
struct Envelope<'a> {
    /// The connected account that the event is about, in Connect webhooks.
    #[serde(borrow)]
    account: Option<Cow<'a, str>>,
    #[serde(borrow)]
    data: Data<'a>,
}

#[derive(Deserialize)]
struct Data<'a> {
    #[serde(borrow)]
    object: &'a RawValue,
}

/// Raw, since what is text in most kinds may be something else in a few.
#[derive(Deserialize)]
struct Snapshot<'a> {
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    object: Option<&'a RawValue>,
    #[serde(borrow)]
    status: Option<&'a RawValue>,
    #[serde(borrow)]
    deleted: Option<&'a RawValue>,
}

/// Reads the object that the event is about.
pub(super) fn read(event: &Event) -> Result<Row, Nothing> {
    if event.event_type == TYPE_UNKNOWN {
        return Err(Nothing("the event's type is not known"));
    }
    let json = event.json().ok_or(Nothing("the payload is not JSON"))?;
    // Thin events (`v2.core.event`) name the object and hold nothing of it.
    let envelope: Envelope<'_> = object_of(json).ok_or(NO_OBJECT)?;
    let raw = envelope.data.object;
    let object: Snapshot<'_> = object_of(raw).ok_or(NO_OBJECT)?;
    let kind = object.object.and_then(text_of).unwrap_or_default();
    let id = object.id.and_then(text_of).unwrap_or_default();
    if id.is_empty() {
        return Err(Nothing("the object has no kind or no id"));
    }
    // Ids are unique within an account, and chosen ones only there.
    let object_id = match envelope.account {
        Some(account) => format!("{account}/{id}"),
        None => id,
    };
    let status = object.status.and_then(text_of);
    let action = action(&event.event_type);
    let deleted = action == "deleted" || object.deleted.is_some_and(|raw| raw.get() == "true");
    let order = Order {
        sealed: deleted && !KINDS_WITH_CHOSEN_IDS.contains(&kind.as_str()),
        at: Some(event.occurred_at.unwrap_or(event.received_at)),
        rank: if deleted { RANK_DELETED } else { rank(action, status.as_deref()) },
        received_at: None,
        event_id: &event.key.id,
    };
    let body = Some(raw.get().to_owned());
    Row::new(event, Seen { kind, object_id, status, error_code: None, deleted, body }, order)
}

/// The last word of a type: `deleted` of `customer.subscription.deleted`.
fn action(event_type: &str) -> &str {
    event_type.rsplit('.').next().unwrap_or_default()
}

/// Where an event stands among those of the same second; below
/// [`RANK_DELETED`].
fn rank(action: &str, status: Option<&str>) -> u8 {
    match action {
        "created" => RANK_CREATED,
        _ => stage(action, status) * 10 + u8::from(action == "updated"),
    }
}

/// How far along an object is, from 1 to 9. One table for all kinds: a word means
/// much the same wherever Stripe uses it. Words that are not here stand in the
/// middle, so that they follow the beginnings and never outdo an end.
fn stage(action: &str, status: Option<&str>) -> u8 {
    let stage = match status.unwrap_or_default() {
        "draft" | "incomplete" | "not_started" | "requires_payment_method" => 1,
        "open"
        | "pending"
        | "requires_confirmation"
        | "needs_response"
        | "warning_needs_response" => 2,
        "requires_action" | "trialing" => 3,
        "active"
        | "chargeable"
        | "in_transit"
        | "processing"
        | "requires_capture"
        | "under_review"
        | "warning_under_review" => 4,
        "uncollectible" => 7,
        "accepted" | "complete" | "completed" | "consumed" | "paid" | "succeeded" => 8,
        // Some of these undo a success: a payout that bounced, a refund that
        // the bank returned.
        "canceled" | "expired" | "failed" | "incomplete_expired" | "lost" | "released"
        | "returned" | "reversed" | "void" | "warning_closed" | "won" => 9,
        _ => 5,
    };
    match action {
        // The charge's status stays `succeeded`.
        "refunded" => 9,
        "payment_failed" | "setup_failed" => stage.max(5),
        _ => stage,
    }
}

#[cfg(test)]
mod tests {
    use inbox_core::Timestamp;

    use super::super::tests::{event, later};
    use super::*;

    fn at(
        id: &str,
        event_type: &str,
        second: i64,
        kind: &str,
        object_id: &str,
        status: &str,
    ) -> Row {
        let body = format!(
            r#"{{"id":"{id}","object":"event","api_version":"2024-06-20","created":{second},
                "data":{{"object":{{"id":"{object_id}","object":"{kind}","status":"{status}"}}}},
                "livemode":false,"pending_webhooks":1,"type":"{event_type}"}}"#
        );
        let mut event = event("stripe", event_type, &body);
        event.key.id = id.into();
        event.occurred_at = Timestamp::from_unix_seconds(second);
        read(&event).unwrap()
    }

    fn subscription(id: &str, action: &str, second: i64, status: &str) -> Row {
        at(id, &format!("customer.subscription.{action}"), second, "subscription", "sub_1", status)
    }

    const PAYMENT: &str = r#"{"id":"evt_3Pq1","object":"event","api_version":"2024-06-20","created":1764000000,"data":{"object":{"id":"pi_3Pq1","object":"payment_intent","amount":2000,"amount_received":2.0e3,"currency":"eur","description":"caf\u00e9 \u001B","metadata":{"a":"1","a":"2"},"status":"succeeded"}},"livemode":false,"pending_webhooks":1,"request":{"id":"req_1","idempotency_key":"k"},"type":"payment_intent.succeeded"}"#;

    #[test]
    fn a_payment_is_kept_byte_for_byte_under_its_own_key() {
        let row = read(&event("stripe", "payment_intent.succeeded", PAYMENT)).unwrap();
        assert_eq!(row.pk, "stripe#payment_intent#pi_3Pq1");
        assert_eq!(
            row.body.as_deref(),
            Some(
                r#"{"id":"pi_3Pq1","object":"payment_intent","amount":2000,"amount_received":2.0e3,"currency":"eur","description":"caf\u00e9 \u001B","metadata":{"a":"1","a":"2"},"status":"succeeded"}"#
            )
        );
        assert_eq!((row.status.as_deref(), row.deleted), (Some("succeeded"), false));
        assert_eq!(row.event_type, "payment_intent.succeeded");
        assert_eq!(row.version, "0.001764000000000.80.000000000000000.evt_1");
    }

    #[test]
    fn the_later_second_wins_whatever_the_ids_say() {
        later(
            &subscription("evt_z", "updated", 100, "active"),
            &[
                &subscription("evt_a", "updated", 101, "past_due"),
                &subscription("evt_b", "updated", 102, "active"),
            ],
        );
    }

    #[test]
    fn a_deletion_is_final_within_its_second_and_after_it() {
        later(
            &subscription("evt_z", "updated", 100, "canceled"),
            &[&subscription("evt_a", "deleted", 100, "canceled")],
        );
        // Metadata of a cancelled subscription may still be changed.
        later(
            &subscription("evt_z", "updated", 999, "canceled"),
            &[&subscription("evt_a", "deleted", 100, "canceled")],
        );
        assert!(subscription("evt_a", "deleted", 100, "canceled").deleted);
    }

    #[test]
    fn what_is_marked_deleted_counts_as_deleted_whatever_its_type() {
        let body = r#"{"data":{"object":{"id":"cus_1","object":"customer","deleted":true}}}"#;
        let row = read(&event("stripe", "customer.updated", body)).unwrap();
        assert!(row.deleted);
        assert!(row.version.starts_with("1."));
    }

    #[test]
    fn a_plan_may_be_created_again_under_its_old_id() {
        let plan = |id, action: &str, second| {
            at(id, &format!("plan.{action}"), second, "plan", "gold", "")
        };
        later(
            &plan("evt_9", "created", 50),
            &[
                &plan("evt_8", "updated", 100),
                &plan("evt_7", "deleted", 100),
                &plan("evt_6", "created", 101),
                &plan("evt_5", "updated", 101),
            ],
        );
    }

    #[test]
    fn events_of_one_second_stand_by_how_far_along_the_object_is() {
        let payment = |id, action: &str, status| {
            at(id, &format!("payment_intent.{action}"), 100, "payment_intent", "pi_1", status)
        };
        later(
            &payment("evt_9", "created", "requires_payment_method"),
            &[
                &payment("evt_8", "requires_action", "requires_action"),
                &payment("evt_7", "processing", "processing"),
                &payment("evt_6", "payment_failed", "requires_payment_method"),
                &payment("evt_5", "succeeded", "succeeded"),
            ],
        );
        let invoice = |id, action: &str, status| {
            at(id, &format!("invoice.{action}"), 100, "invoice", "in_1", status)
        };
        later(
            &invoice("evt_9", "created", "draft"),
            &[
                &invoice("evt_8", "updated", "draft"),
                &invoice("evt_7", "finalized", "open"),
                &invoice("evt_6", "paid", "paid"),
                &invoice("evt_5", "updated", "paid"),
            ],
        );
        later(
            &subscription("evt_9", "created", 100, "incomplete"),
            &[&subscription("evt_8", "updated", 100, "active")],
        );
        let charge = |id, action: &str| {
            at(id, &format!("charge.{action}"), 100, "charge", "ch_1", "succeeded")
        };
        later(
            &charge("evt_9", "succeeded"),
            &[&charge("evt_8", "updated"), &charge("evt_7", "refunded")],
        );
    }

    #[test]
    fn a_creation_comes_before_all_else_of_its_second() {
        // Transfers have no status that would tell.
        let transfer =
            |id, action: &str| at(id, &format!("transfer.{action}"), 100, "transfer", "tr_1", "");
        later(&transfer("evt_9", "created"), &[&transfer("evt_1", "reversed")]);
        // Active from the start, and its first payment bounced.
        later(
            &subscription("evt_9", "created", 100, "active"),
            &[&subscription("evt_1", "updated", 100, "incomplete")],
        );
    }

    #[test]
    fn two_plain_updates_of_one_second_stand_by_their_ids() {
        later(
            &subscription("evt_a", "updated", 100, "active"),
            &[&subscription("evt_b", "updated", 100, "active")],
        );
    }

    #[test]
    fn without_a_time_of_its_own_an_event_happened_when_it_was_received() {
        let mut event = event("stripe", "payment_intent.succeeded", PAYMENT);
        event.occurred_at = None;
        let row = read(&event).unwrap();
        assert_eq!(row.version, "0.001764000005123.80.000000000000000.evt_1");
    }

    #[test]
    fn objects_of_connected_accounts_are_kept_apart() {
        let body = r#"{"account":"acct_1","data":{"object":{"id":"SUMMER","object":"coupon"}}}"#;
        let row = read(&event("stripe", "coupon.created", body)).unwrap();
        assert_eq!(row.pk, "stripe#coupon#acct_1/SUMMER");
    }

    #[test]
    fn a_status_that_is_no_text_is_left_out() {
        let body = r#"{"data":{"object":{"id":"x_1","object":"x","status":{"a":1}}}}"#;
        let row = read(&event("stripe", "x.updated", body)).unwrap();
        assert_eq!((row.status, row.body.is_some()), (None, true));
    }

    #[test]
    fn events_without_an_object_that_has_an_id_leave_nothing() {
        let no_object = Nothing("the event holds no object");
        let no_id = Nothing("the object has no kind or no id");
        let cases = [
            ("{", Nothing("the payload is not JSON")),
            ("{}", no_object),
            ("[]", no_object),
            (r#"{"data":{"object":7}}"#, no_object),
            (r#"{"object":"v2.core.event","related_object":{"id":"a"}}"#, no_object),
            (r#"{"data":{"object":{"object":"balance","available":[]}}}"#, no_id),
            (r#"{"data":{"object":{"id":null,"object":"balance"}}}"#, no_id),
            (r#"{"account":"acct_1","data":{"object":{"object":"balance"}}}"#, no_id),
            (r#"{"data":{"object":{"id":"x"}}}"#, no_id),
        ];
        for (body, expected) in cases {
            let row = read(&event("stripe", "balance.available", body));
            assert_eq!(row, Err(expected), "{body}");
        }
        assert_eq!(
            read(&event("stripe", TYPE_UNKNOWN, PAYMENT)).map(|row| row.pk),
            Err(Nothing("the event's type is not known"))
        );
    }
}
