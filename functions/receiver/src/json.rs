//! A few members of a JSON body, read without trusting the rest of it.
//!
//! A body that was verified is stored whatever it says, so reading it must not
//! fail for reasons that do not concern us: a member of another type reads as
//! missing, of repeated members the last counts (as in every provider's own
//! parser), and what is skipped is skipped without recursion, so that 100,000
//! nested arrays cost no stack.

use std::fmt;

use inbox_core::Timestamp;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

/// A member's value, not yet read; or its absence.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Member<'a>(Option<&'a RawValue>);

impl<'a> Member<'a> {
    /// The value if it is text, and not the empty text.
    pub(crate) fn text(self) -> Option<String> {
        let text: String = serde_json::from_str(self.0?.get()).ok()?;
        (!text.is_empty()).then_some(text)
    }

    /// The value if it is `true` or `false`.
    pub(crate) fn flag(self) -> Option<bool> {
        serde_json::from_str(self.0?.get()).ok()
    }

    /// Whether there is a value, of any type.
    pub(crate) fn is_there(self) -> bool {
        self.0.is_some()
    }

    /// The moment, as a whole number of Unix seconds or milliseconds, or as
    /// RFC 3339 text. Seconds reach this size in the year 5138 only.
    pub(crate) fn moment(self) -> Option<Timestamp> {
        const LEAST_MS: i64 = 100_000_000_000;
        match serde_json::from_str::<i64>(self.0?.get()) {
            Ok(milliseconds) if milliseconds >= LEAST_MS => Timestamp::from_unix_ms(milliseconds),
            Ok(seconds) => Timestamp::from_unix_seconds(seconds),
            Err(_) => Timestamp::parse_rfc3339(&self.text()?),
        }
    }

    /// Members of this value, if it is an object.
    pub(crate) fn members<const N: usize>(self, names: [&str; N]) -> [Member<'a>; N] {
        self.0.map_or([Member(None); N], |raw| members(raw.get().as_bytes(), names))
    }

    /// One member of this value, if it is an object.
    pub(crate) fn member(self, name: &str) -> Member<'a> {
        let [member] = self.members([name]);
        member
    }
}

/// The named members of a JSON object. All are missing when the bytes are not
/// one whole JSON object.
pub(crate) fn members<'a, const N: usize>(json: &'a [u8], names: [&str; N]) -> [Member<'a>; N] {
    let mut reader = serde_json::Deserializer::from_slice(json);
    reader
        .deserialize_map(Members(names))
        .and_then(|found| reader.end().map(|()| found))
        .unwrap_or([Member(None); N])
}

struct Members<'n, const N: usize>([&'n str; N]);

impl<'de, const N: usize> Visitor<'de> for Members<'_, N> {
    type Value = [Member<'de>; N];

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = [Member(None); N];
        while let Some(position) = map.next_key_seed(Position(&self.0))? {
            match position {
                Some(position) => found[position] = Member(Some(map.next_value()?)),
                None => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(found)
    }
}

/// Reads a member's name and says which of the wanted ones it is.
struct Position<'n>(&'n [&'n str]);

impl<'de> DeserializeSeed<'de> for Position<'_> {
    type Value = Option<usize>;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<Self::Value, D::Error> {
        // As bytes: a name with a lone surrogate is no text, and no reason to
        // lose the event's id.
        reader.deserialize_bytes(self)
    }
}

impl Visitor<'_> for Position<'_> {
    type Value = Option<usize>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a member's name")
    }

    fn visit_bytes<E>(self, name: &[u8]) -> Result<Self::Value, E> {
        Ok(self.0.iter().position(|wanted| wanted.as_bytes() == name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(json: &str) -> Option<String> {
        let [id] = members(json.as_bytes(), ["id"]);
        id.text()
    }

    #[test]
    fn a_member_of_another_type_reads_as_missing() {
        assert_eq!(id(r#"{"id":"a"}"#).as_deref(), Some("a"));
        for json in [r#"{"id":7}"#, r#"{"id":null}"#, r#"{"id":["a"]}"#, r#"{"id":""}"#, "{}"] {
            assert_eq!(id(json), None, "{json}");
        }
    }

    #[test]
    fn what_is_not_one_whole_object_has_no_members() {
        for json in
            ["", "null", "[]", r#""id""#, r#"{"id":"a""#, r#"{"id":"a"} x"#, r#"{"id":"a",}"#]
        {
            assert_eq!(id(json), None, "{json}");
        }
    }

    #[test]
    fn of_repeated_members_the_last_counts() {
        assert_eq!(id(r#"{"id":"a","x":1,"id":"b"}"#).as_deref(), Some("b"));
    }

    #[test]
    fn escaped_names_and_lone_surrogates_do_no_harm() {
        assert_eq!(id(r#"{"\u0069d":"a"}"#).as_deref(), Some("a"));
        assert_eq!(id(r#"{"\ud800":"\udc00","id":"a"}"#).as_deref(), Some("a"));
        assert_eq!(id(r#"{"id":"\ud800"}"#), None);
    }

    #[test]
    fn deep_nesting_beside_and_inside_a_member_costs_no_stack() {
        let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        assert_eq!(id(&format!(r#"{{"x":{deep},"id":"a"}}"#)).as_deref(), Some("a"));
        assert_eq!(id(&format!(r#"{{"id":{deep}}}"#)), None);
        let objects = format!("{}1{}", r#"{"id":"#.repeat(100_000), "}".repeat(100_000));
        assert_eq!(id(&objects), None);
        let [outer] = members(objects.as_bytes(), ["id"]);
        assert!(outer.member("id").member("id").moment().is_none());
    }

    #[test]
    fn a_moment_is_seconds_or_rfc_3339() {
        let moment = |json: &str| {
            let [at] = members(json.as_bytes(), ["at"]);
            at.moment().map(Timestamp::unix_seconds)
        };
        assert_eq!(moment(r#"{"at":1700000000}"#), Some(1_700_000_000));
        assert_eq!(moment(r#"{"at":"2023-11-14T22:13:20Z"}"#), Some(1_700_000_000));
        for json in
            [r#"{"at":1.5}"#, r#"{"at":-1}"#, r#"{"at":9e99}"#, r#"{"at":"soon"}"#, r#"{"at":{}}"#]
        {
            assert_eq!(moment(json), None, "{json}");
        }
    }
}
