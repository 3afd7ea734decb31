//! As much of Protocol Buffers as Terraform's plugin protocol needs: fields that are
//! numbers or bytes. <https://protobuf.dev/programming-guides/encoding/>

/// A message being written.
#[derive(Default)]
pub(crate) struct Message(Vec<u8>);

impl Message {
    /// A number or a boolean; what is zero is left out, as the encoding has it.
    pub(crate) fn number(mut self, field: u32, value: u64) -> Self {
        if value != 0 {
            self.varint(u64::from(field) << 3);
            self.varint(value);
        }
        self
    }

    /// Bytes or a text.
    pub(crate) fn bytes(mut self, field: u32, value: impl AsRef<[u8]>) -> Self {
        let value = value.as_ref();
        self.varint((u64::from(field) << 3) | 2);
        self.varint(u64::try_from(value.len()).expect("a length"));
        self.0.extend_from_slice(value);
        self
    }

    /// A message within.
    pub(crate) fn message(self, field: u32, value: Self) -> Self {
        self.bytes(field, value.0)
    }

    pub(crate) fn finish(self) -> Vec<u8> {
        self.0
    }

    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value.to_le_bytes()[0] | 0x80);
            value >>= 7;
        }
        self.0.push(value.to_le_bytes()[0]);
    }
}

/// The last value of a field that holds bytes; empty where it is not there.
pub(crate) fn field(message: &[u8], wanted: u32) -> &[u8] {
    let mut rest = message;
    let mut found: &[u8] = &[];
    while let Some(key) = take_varint(&mut rest) {
        let value = match key & 7 {
            0 => {
                take_varint(&mut rest);
                continue;
            }
            2 => {
                let length = take_varint(&mut rest).expect("a length");
                let length = usize::try_from(length).expect("a length");
                let (value, left) = rest.split_at(length);
                rest = left;
                value
            }
            other => panic!("a field of wire type {other}, which this protocol does not use"),
        };
        if key >> 3 == u64::from(wanted) {
            found = value;
        }
    }
    found
}

fn take_varint(rest: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    let mut shift = 0;
    loop {
        let (&byte, left) = rest.split_first()?;
        *rest = left;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(value);
        }
        shift += 7;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_read_as_they_were_written() {
        let inner = Message::default().bytes(1, "inner");
        let long = "x".repeat(300);
        let message = Message::default().number(4, 300).bytes(2, &long).message(16, inner).finish();
        assert_eq!(field(&message, 2), long.as_bytes());
        assert_eq!(field(field(&message, 16), 1), b"inner");
        assert_eq!(field(&message, 3), b"", "what is not there is empty");
    }
}
