//! What the mirror holds of one object, and the order in which events of one
//! object stand.

use inbox_core::Timestamp;
use inbox_core::event::{Event, clean_text};

/// `DynamoDB` allows 2,048 bytes for a partition key:
/// <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/ServiceQuotas.html>.
const KEY_MOST_BYTES: usize = 2_048;

/// `DynamoDB` allows 409,600 bytes for an item, names included; the difference
/// is room for what later versions add.
pub(super) const ROW_MOST_BYTES: usize = 400_000;

/// What the attributes' names and the numbers take, rounded up.
const ROW_OVERHEAD_BYTES: usize = 512;

/// Words of the provider that are kept beside the body end here.
const WORD_MOST_CHARS: usize = 128;

/// Why an event leaves no trace in the mirror. Says nothing of the payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Nothing(pub &'static str);

/// Where an event stands among those of the same object.
///
/// The fields decide in the order in which they are written here. Every one is a
/// fact of the event's record, so every reader of one event gives it one place,
/// and the event's id ends the comparison: no two events share a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Order<'a> {
    /// Nothing comes after it, whatever the clocks say.
    pub(super) sealed: bool,
    /// When it happened; `None` where the provider gives no time to trust.
    pub(super) at: Option<Timestamp>,
    /// Decides within one tick of the provider's clock. Below 100.
    pub(super) rank: u8,
    /// When it was received, where that is the best that is left to go by.
    pub(super) received_at: Option<Timestamp>,
    /// The event's id in the ledger.
    pub(super) event_id: &'a str,
}

impl Order<'_> {
    /// The same order as text: of fixed width up to the id, so that comparing
    /// bytes, which is what `DynamoDB` and Rust do with strings, compares fields.
    fn version(&self) -> String {
        let ms = |moment: Option<Timestamp>| moment.map_or(0, Timestamp::unix_ms);
        format!(
            "{}.{:015}.{:02}.{:015}.{}",
            u8::from(self.sealed),
            ms(self.at),
            self.rank,
            ms(self.received_at),
            self.event_id,
        )
    }
}

/// What a provider's file read of the object.
#[derive(Clone, Default)]
pub(super) struct Seen {
    /// The kind of object, such as `subscription`.
    pub(super) kind: String,
    /// The object's id within source and kind.
    pub(super) object_id: String,
    /// Its status.
    pub(super) status: Option<String>,
    /// The provider's code of what went wrong.
    pub(super) error_code: Option<String>,
    /// Whether it is gone.
    pub(super) deleted: bool,
    /// What else is worth keeping, as JSON text.
    pub(super) body: Option<String>,
}

/// The latest known state of one object. A function of one event alone, the
/// latest of those that were seen.
#[derive(Clone, PartialEq, Eq)]
pub struct Row {
    /// `{source}#{kind}#{object id}`.
    pub pk: String,
    /// The endpoint that received the event.
    pub source: String,
    /// The provider's name.
    pub provider: String,
    /// The kind of object: `payment_intent`, `ref`, `message`.
    pub kind: String,
    /// The object's id, unique within source and kind.
    pub object_id: String,
    /// The provider's word for its status, where it has one.
    pub status: Option<String>,
    /// The provider's code of what went wrong.
    pub error_code: Option<String>,
    /// Whether the provider deleted it. The row stays, so that a late event
    /// cannot bring the object back.
    pub deleted: bool,
    /// The type of the event that said so.
    pub event_type: String,
    /// Its id in the ledger.
    pub event_id: String,
    /// When it happened, by the provider's clock.
    pub occurred_at: Option<Timestamp>,
    /// When it was received.
    pub received_at: Timestamp,
    /// Where the event stands among those of the object; the greater by bytes is
    /// the later. Comparable only between rows of one key.
    pub version: String,
    /// The object as JSON text: the provider's own, byte for byte, or a summary.
    pub body: Option<String>,
    /// Length of a body that was left out because it does not fit an item.
    pub omitted_bytes: Option<u64>,
}

/// Identity and sizes: what providers say of people stays out of logs.
impl std::fmt::Debug for Row {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Row")
            .field("pk", &self.pk)
            .field("version", &self.version)
            .field("deleted", &self.deleted)
            .field("body_bytes", &self.body.as_ref().map(String::len))
            .finish_non_exhaustive()
    }
}

impl Row {
    /// The row that this event alone would leave.
    pub(super) fn new(event: &Event, seen: Seen, order: Order<'_>) -> Result<Self, Nothing> {
        let Seen { kind, object_id, status, error_code, deleted, body } = seen;
        if kind.is_empty() || object_id.is_empty() {
            return Err(Nothing("the object has no kind or no id"));
        }
        // Two objects never share a key: neither source nor kind holds a `#`.
        if kind.contains('#') {
            return Err(Nothing("the object's kind cannot be part of a key"));
        }
        let pk = pk(&event.key.source, &kind, &object_id);
        if pk.len() > KEY_MOST_BYTES {
            return Err(Nothing("the object's id is too long for a key"));
        }
        let word = |text: String| clean_text(&text, WORD_MOST_CHARS);
        let mut row = Self {
            pk,
            source: event.key.source.clone(),
            provider: event.provider.clone(),
            kind,
            object_id,
            status: status.map(word),
            error_code: error_code.map(word),
            deleted,
            event_type: event.event_type.clone(),
            event_id: event.key.id.clone(),
            occurred_at: event.occurred_at,
            received_at: event.received_at,
            version: order.version(),
            body,
            omitted_bytes: None,
        };
        if row.bytes() > ROW_MOST_BYTES {
            row.omitted_bytes = row.body.take().map(|body| body.len() as u64);
        }
        Ok(row)
    }

    /// Whether this says more than what is held: the one rule of the mirror. The
    /// `DynamoDB` mirror says the same in its condition.
    #[must_use]
    pub fn supersedes(&self, held: &Self) -> bool {
        held.version < self.version
    }

    /// An upper bound of the item's size.
    fn bytes(&self) -> usize {
        let optional = |text: &Option<String>| text.as_ref().map_or(0, String::len);
        ROW_OVERHEAD_BYTES
            + self.pk.len()
            + self.source.len()
            + self.provider.len()
            + self.kind.len()
            + self.object_id.len()
            + optional(&self.status)
            + optional(&self.error_code)
            + self.event_type.len()
            + self.event_id.len()
            + self.version.len()
            + optional(&self.body)
    }
}

/// The key of an object's row, for those who want to look it up.
#[must_use]
pub fn pk(source: &str, kind: &str, object_id: &str) -> String {
    format!("{source}#{kind}#{object_id}")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::tests::event;
    use super::*;

    fn seen(object_id: &str, body: Option<String>) -> Seen {
        Seen { kind: "thing".into(), object_id: object_id.into(), body, ..Seen::default() }
    }

    fn order(event_id: &str) -> Order<'_> {
        Order { sealed: false, at: None, rank: 0, received_at: None, event_id }
    }

    fn moment() -> impl Strategy<Value = Option<Timestamp>> {
        // The epoch itself is left out: no time and the epoch are written alike,
        // and no provider mixes them.
        prop_oneof![
            Just(None),
            (1..4_i64).prop_map(Timestamp::from_unix_ms),
            (1..=253_402_300_799_999_i64).prop_map(Timestamp::from_unix_ms),
        ]
    }

    /// All of an order but the id, which it borrows.
    fn place() -> impl Strategy<Value = (Order<'static>, String)> {
        let ids = "[a-c\u{E9}\u{FFFD}\u{1F600}.0]{0,3}";
        (any::<bool>(), moment(), 0..100_u8, moment(), ids).prop_map(
            |(sealed, at, rank, received_at, id)| {
                (Order { sealed, at, rank, received_at, event_id: "" }, id)
            },
        )
    }

    proptest! {
        #[test]
        fn versions_sort_as_the_fields_do((a, a_id) in place(), (b, b_id) in place()) {
            let a = Order { event_id: &a_id, ..a };
            let b = Order { event_id: &b_id, ..b };
            prop_assert_eq!(a.version().cmp(&b.version()), a.cmp(&b));
        }
    }

    #[test]
    fn a_version_reads_as_written_down() {
        let order = Order {
            sealed: true,
            at: Timestamp::from_unix_seconds(1_764_000_000),
            rank: 7,
            received_at: Timestamp::from_unix_ms(1_764_000_000_123),
            event_id: "evt_1",
        };
        assert_eq!(order.version(), "1.001764000000000.07.001764000000123.evt_1");
    }

    #[test]
    fn a_body_that_fits_is_kept_and_one_byte_more_is_left_out_and_counted() {
        let event = event("stripe", "thing.updated", "{}");
        let small = Row::new(&event, seen("t_1", Some(String::new())), order("evt_1")).unwrap();
        let room = ROW_MOST_BYTES - small.bytes();
        let fits = Row::new(&event, seen("t_1", Some("x".repeat(room))), order("evt_1")).unwrap();
        assert_eq!((fits.body.map(|body| body.len()), fits.omitted_bytes), (Some(room), None));
        let over =
            Row::new(&event, seen("t_1", Some("x".repeat(room + 1))), order("evt_1")).unwrap();
        assert_eq!((over.body, over.omitted_bytes), (None, Some(room as u64 + 1)));
    }

    #[test]
    fn what_cannot_be_a_key_is_not_mirrored() {
        let event = event("stripe", "thing.updated", "{}");
        let new = |seen| Row::new(&event, seen, order("evt_1")).map(|row| row.pk);
        let room = KEY_MOST_BYTES - "stripe#thing#".len();
        assert_eq!(new(seen(&"x".repeat(room), None)).map(|pk| pk.len()), Ok(KEY_MOST_BYTES));
        assert_eq!(
            new(seen(&"x".repeat(room + 1), None)),
            Err(Nothing("the object's id is too long for a key"))
        );
        assert_eq!(new(seen("", None)), Err(Nothing("the object has no kind or no id")));
        assert_eq!(
            new(Seen { kind: "a#b".into(), ..seen("c", None) }),
            Err(Nothing("the object's kind cannot be part of a key"))
        );
    }

    #[test]
    fn debug_output_holds_no_payload() {
        let event = event("stripe", "thing.updated", "{}");
        let row = Row::new(&event, seen("t_1", Some("card 4242".into())), order("evt_1")).unwrap();
        assert!(!format!("{row:?}").contains("4242"));
    }
}
