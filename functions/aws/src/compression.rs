//! Payloads are kept as gzip where that helps, so that other languages' standard
//! libraries can read them.

use std::io::{Read as _, Write as _};

use bytes::Bytes;
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;

/// How the bytes are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encoding {
    Gzip,
    Identity,
}

impl Encoding {
    /// The ledger's text.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Identity => "identity",
        }
    }

    /// Reads the ledger's text.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        [Self::Gzip, Self::Identity].into_iter().find(|encoding| encoding.as_str() == text)
    }
}

/// Gzip, unless the content does not shrink: then the bytes themselves, so that
/// what is kept never grows beyond the body.
pub(crate) fn compress(bytes: &Bytes) -> (Encoding, Vec<u8>) {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    match encoder.write_all(bytes).and_then(|()| encoder.finish()) {
        Ok(compressed) if compressed.len() < bytes.len() => (Encoding::Gzip, compressed),
        _ => (Encoding::Identity, bytes.to_vec()),
    }
}

/// The longest content for which room is made before it is read: growing to it by
/// doubling would take twice as much. Longer ones grow.
const PLAIN_BYTES_MOST: usize = 8 * 1024 * 1024;

/// How long gzip says that its content is, in its last four bytes:
/// <https://www.rfc-editor.org/rfc/rfc1952#page-8>.
fn announced(bytes: &[u8]) -> usize {
    let length = bytes.last_chunk().map_or(0, |length| u32::from_le_bytes(*length));
    usize::try_from(length).unwrap_or_default()
}

/// The content; `None` when the bytes are no such thing.
pub(crate) fn decompress(encoding: Encoding, bytes: Bytes) -> Option<Bytes> {
    match encoding {
        Encoding::Identity => Some(bytes),
        Encoding::Gzip => {
            let mut plain = Vec::with_capacity(announced(&bytes).min(PLAIN_BYTES_MOST));
            GzDecoder::new(&*bytes).read_to_end(&mut plain).ok()?;
            Some(Bytes::from(plain))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gzip_says_how_long_its_content_is_and_is_read_whatever_it_says() {
        let content = Bytes::from("x".repeat(100_000));
        let (encoding, mut compressed) = compress(&content);
        assert_eq!((encoding, announced(&compressed)), (Encoding::Gzip, 100_000));
        let read = decompress(encoding, compressed.clone().into()).expect("gzip");
        assert_eq!(read, content);
        let end = compressed.len() - 4;
        compressed[end..].copy_from_slice(&u32::MAX.to_le_bytes());
        assert_eq!(decompress(encoding, compressed.into()), None);
        assert_eq!(decompress(encoding, Bytes::from_static(b"x")), None);
    }
}
