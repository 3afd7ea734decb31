//! Values as Terraform sends them: `MessagePack`, where a value that is not known yet is
//! an extension. <https://github.com/zclconf/go-cty/blob/main/docs/json-msgpack.md>

use std::collections::BTreeMap;

/// A value of a plan or a state.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    Null,
    /// Not known yet, with what is known of it all the same, encoded as it came.
    Unknown(Vec<u8>),
    Bool(bool),
    /// A number, encoded as it came.
    Number(Vec<u8>),
    Text(String),
    /// A list or a set.
    List(Vec<Value>),
    /// A map or an object.
    Map(BTreeMap<String, Value>),
}

impl Value {
    /// Of which nothing is known.
    pub(crate) fn unknown() -> Self {
        Self::Unknown(vec![0xd4, 0, 0])
    }

    /// The number 0.
    pub(crate) fn zero() -> Self {
        Self::Number(vec![0])
    }

    /// A text; empty where it is none.
    pub(crate) fn text(&self) -> &str {
        if let Self::Text(text) = self { text } else { "" }
    }

    /// The items of a list or set; none where it is none.
    pub(crate) fn items(&self) -> &[Value] {
        if let Self::List(items) = self { items } else { &[] }
    }

    /// A member of an object; null where it is not there.
    pub(crate) fn member(&self, name: &str) -> &Value {
        match self {
            Self::Map(members) => members.get(name).unwrap_or(&Self::Null),
            _ => &Self::Null,
        }
    }

    pub(crate) fn decode(bytes: &[u8]) -> Self {
        let mut rest = bytes;
        let value = take(&mut rest);
        assert!(rest.is_empty(), "{} bytes left behind a value", rest.len());
        value
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.write(&mut out);
        out
    }

    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Null => out.push(0xc0),
            Self::Unknown(encoded) | Self::Number(encoded) => out.extend(encoded),
            Self::Bool(value) => out.push(0xc2 + u8::from(*value)),
            Self::Text(text) => write_text(text, out),
            Self::List(items) => {
                out.push(0xdd);
                out.extend(width(items.len()));
                for item in items {
                    item.write(out);
                }
            }
            Self::Map(members) => {
                out.push(0xdf);
                out.extend(width(members.len()));
                for (name, value) in members {
                    write_text(name, out);
                    value.write(out);
                }
            }
        }
    }
}

fn width(length: usize) -> [u8; 4] {
    u32::try_from(length).expect("a short value").to_be_bytes()
}

fn write_text(text: &str, out: &mut Vec<u8>) {
    out.push(0xdb);
    out.extend(width(text.len()));
    out.extend(text.as_bytes());
}

fn take(rest: &mut &[u8]) -> Value {
    let whole = *rest;
    let tag = bytes(rest, 1)[0];
    // What stays encoded is copied with its tag.
    let encoded = |rest: &mut &[u8], length: usize| {
        bytes(rest, length);
        whole[..whole.len() - rest.len()].to_vec()
    };
    match tag {
        0xc0 => Value::Null,
        0xc2 | 0xc3 => Value::Bool(tag == 0xc3),
        0x00..=0x7f | 0xe0..=0xff => Value::Number(vec![tag]),
        0xcc | 0xd0 => Value::Number(encoded(rest, 1)),
        0xcd | 0xd1 => Value::Number(encoded(rest, 2)),
        0xca | 0xce | 0xd2 => Value::Number(encoded(rest, 4)),
        0xcb | 0xcf | 0xd3 => Value::Number(encoded(rest, 8)),
        0xa0..=0xbf => text(rest, usize::from(tag & 0x1f)),
        0xd9..=0xdb => {
            let length = length(rest, 1 << (tag - 0xd9));
            text(rest, length)
        }
        0x90..=0x9f => list(rest, usize::from(tag & 0x0f)),
        0xdc | 0xdd => {
            let length = length(rest, 2 << (tag - 0xdc));
            list(rest, length)
        }
        0x80..=0x8f => map(rest, usize::from(tag & 0x0f)),
        0xde | 0xdf => {
            let length = length(rest, 2 << (tag - 0xde));
            map(rest, length)
        }
        // Extensions of fixed length: the kind, and 1, 2, 4, 8 or 16 bytes.
        0xd4..=0xd8 => Value::Unknown(encoded(rest, 1 + (1 << (tag - 0xd4)))),
        0xc7..=0xc9 => {
            let length = length(rest, 1 << (tag - 0xc7));
            Value::Unknown(encoded(rest, 1 + length))
        }
        _ => panic!("MessagePack's {tag:#x}, which Terraform does not send"),
    }
}

fn bytes<'a>(rest: &mut &'a [u8], length: usize) -> &'a [u8] {
    let (taken, left) = rest.split_at(length);
    *rest = left;
    taken
}

fn length(rest: &mut &[u8], width: usize) -> usize {
    bytes(rest, width).iter().fold(0, |sum, byte| (sum << 8) | usize::from(*byte))
}

fn text(rest: &mut &[u8], length: usize) -> Value {
    Value::Text(String::from_utf8(bytes(rest, length).to_vec()).expect("a text"))
}

fn list(rest: &mut &[u8], length: usize) -> Value {
    Value::List((0..length).map(|_| take(rest)).collect())
}

fn map(rest: &mut &[u8], length: usize) -> Value {
    let members = (0..length).map(|_| {
        let name = take(rest);
        (name.text().to_owned(), take(rest))
    });
    Value::Map(members.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_every_kind_are_read_and_written() {
        let sent = [
            0x86, // An object of six.
            0xa1, b'a', 0xc0, // null
            0xa1, b'b', 0xc3, // true
            0xa1, b'c', 0xcd, 0x01, 0x00, // 256
            0xa1, b'd', 0x92, 0xd9, 0x01, b'x', 0xdb, 0, 0, 0, 1, b'y', // ["x", "y"]
            0xa1, b'e', 0xd4, 0, 0, // unknown
            0xa1, b'f', 0xc7, 3, 12, 0x81, 1, 0xc2, // unknown, and not null
        ];
        let value = Value::decode(&sent);
        assert_eq!(value.member("a"), &Value::Null);
        assert_eq!(value.member("b"), &Value::Bool(true));
        assert_eq!(value.member("c"), &Value::Number(vec![0xcd, 1, 0]));
        assert_eq!(value.member("d").items()[1].text(), "y");
        assert_eq!(value.member("e"), &Value::unknown());
        assert_eq!(value.member("f"), &Value::Unknown(sent[sent.len() - 6..].to_vec()));
        assert_eq!(Value::decode(&value.encode()), value);
    }
}
