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

/// The content; `None` when the bytes are no such thing.
pub(crate) fn decompress(encoding: Encoding, bytes: Bytes) -> Option<Bytes> {
    match encoding {
        Encoding::Identity => Some(bytes),
        Encoding::Gzip => {
            let mut plain = Vec::new();
            GzDecoder::new(&*bytes).read_to_end(&mut plain).ok()?;
            Some(Bytes::from(plain))
        }
    }
}
