//! Payloads that are too large for an item, in a bucket: the claim check.
//!
//! ```text
//! claim    put ─▶ the item, which names the object      dying between: an orphan
//! begin    the item ─▶ get, checked against its address
//! reopen   copy onto itself ─▶ the item's new life      the object's age starts anew
//! forget   the item ─▶ delete                           dying between: forget again
//! detach   put ─▶ a subscriber's message, which names the object; where the item
//!                 names one already, that is the one, and nothing is put
//! ```
//!
//! An object's key is its content's address within the event:
//! `{source}/{SHA-256 of the event's id}/{SHA-256 of the payload}[.gz]`. A repeat
//! of a delivery writes the same object once more, which changes nothing; no two
//! events share one, so that forgetting one takes nothing from another; and what
//! is read can be held against what was put.
//!
//! Nobody looks for orphans: the bucket's lifecycle removes what is older than
//! any event can be. That is why reopening, which keeps an event longer, makes
//! the object young again first.

use std::time::Duration;

use aws_config::SdkConfig;
use aws_config::timeout::TimeoutConfig;
use aws_sdk_s3::Client;
use aws_sdk_s3::error::SdkError;
use aws_sdk_s3::operation::copy_object::CopyObjectError;
use aws_sdk_s3::operation::get_object::GetObjectError;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::MetadataDirective;
use bytes::Bytes;
use inbox_core::event::Event;
use inbox_core::ledger::{LedgerError, PayloadRef, Record};
use inbox_core::signature::sha256_hex;

use crate::compression::{Encoding, compress, decompress};
use crate::error::describe;

const SUFFIX_GZIP: &str = ".gz";
/// The least payload that may be detached, and so is looked for when an event is
/// forgotten: every target of the handlers takes what is smaller, whatever its
/// spelling, base64 and escapes included. Those double it at worst, and the least
/// that a route may have a target take is 64 KiB.
pub const DETACHED_BYTES_MIN: usize = 24 * 1024;
/// How often an answer that breaks off is asked for again: the SDK repeats what
/// fails before the body, and not what fails in it.
const GETS: usize = 2;
/// S3's code for a key that is not there, which `CopyObject` does not model.
/// <https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html>
const CODE_NO_SUCH_KEY: &str = "NoSuchKey";

/// The bucket of payloads.
#[derive(Clone, Debug)]
pub struct S3PayloadStore {
    client: Client,
    bucket: String,
    limit: Duration,
}

impl S3PayloadStore {
    /// A store in this bucket.
    #[must_use]
    pub fn new(aws: &SdkConfig, bucket: String) -> Self {
        let limit = aws.timeout_config().and_then(TimeoutConfig::operation_timeout);
        Self { client: Client::new(aws), bucket, limit: limit.unwrap_or(Duration::from_secs(30)) }
    }

    /// Opens the connection for [`put`](Self::put) by removing what is not there,
    /// which S3 does not charge for. A fault is only logged: the first large
    /// event may have better luck.
    pub async fn connect_for_puts(&self, source: &str) {
        let request = self.client.delete_object().bucket(&self.bucket);
        if let Err(error) = request.key(format!("{source}/warm-up")).send().await {
            tracing::warn!(fault = describe("DeleteObject", &error), "not connected yet");
        }
    }

    /// Keeps an event's payload, compressed already; the same once more changes
    /// nothing.
    pub(crate) async fn put(
        &self,
        event: &Event,
        encoding: Encoding,
        compressed: Vec<u8>,
    ) -> Result<PayloadRef, LedgerError> {
        self.put_at(object_key(event, encoding), event, compressed).await
    }

    async fn put_at(
        &self,
        key: String,
        event: &Event,
        compressed: Vec<u8>,
    ) -> Result<PayloadRef, LedgerError> {
        self.client
            .put_object()
            .bucket(&self.bucket)
            .key(&key)
            .body(ByteStream::from(compressed))
            .send()
            .await
            .map_err(|error| LedgerError::Unavailable(describe("PutObject", &error)))?;
        Ok(PayloadRef { key, bytes: event.payload.bytes.len() })
    }

    /// Where subscribers can read what lies in the bucket: `s3://{bucket}/{key}`, gzip
    /// where the key ends in `.gz`.
    #[must_use]
    pub fn address(&self, reference: &PayloadRef) -> String {
        format!("s3://{}/{}", self.bucket, reference.key)
    }

    /// Puts a payload that lies in the item where subscribers can read it, for a
    /// message that it is too large for, and returns its [`address`](Self::address).
    /// The same event always has the same one.
    ///
    /// # Errors
    ///
    /// [`LedgerError::Unavailable`].
    pub async fn detach(&self, event: &Event) -> Result<String, LedgerError> {
        let copy = event.clone();
        // Megabytes take long enough to keep other events' runs waiting.
        let prepared = tokio::task::spawn_blocking(move || {
            let (encoding, compressed) = compress(&copy.payload.bytes);
            (object_key(&copy, encoding), compressed)
        });
        let (key, compressed) = prepared
            .await
            .map_err(|_panic| LedgerError::Unavailable("compression: it did not end".to_owned()))?;
        Ok(self.address(&self.put_at(key, event, compressed).await?))
    }

    /// The payload, as it was received.
    pub(crate) async fn get(&self, reference: &PayloadRef) -> Result<Bytes, LedgerError> {
        // The SDK's time limit ends with the answer's head.
        let kept = tokio::time::timeout(self.limit, self.get_kept(reference)).await;
        let kept = kept.unwrap_or_else(|_| {
            Err(LedgerError::Unavailable("GetObject: no answer within the time limit".to_owned()))
        })?;
        let key = &reference.key;
        let encoding = if key.ends_with(SUFFIX_GZIP) { Encoding::Gzip } else { Encoding::Identity };
        let address = key.rsplit('/').next().unwrap_or_default().trim_end_matches(SUFFIX_GZIP);
        decompress(encoding, kept).filter(|plain| sha256_hex(&[plain]) == address).ok_or_else(
            || LedgerError::PayloadLost(format!("object {key} is not what was put there")),
        )
    }

    async fn get_kept(&self, reference: &PayloadRef) -> Result<Bytes, LedgerError> {
        for _ in 0..GETS {
            let request = self.client.get_object().bucket(&self.bucket).key(&reference.key);
            let answer = request.send().await.map_err(|error| {
                if error.as_service_error().is_some_and(GetObjectError::is_no_such_key) {
                    gone(reference)
                } else {
                    LedgerError::Unavailable(describe("GetObject", &error))
                }
            })?;
            if let Ok(body) = answer.body.collect().await {
                return Ok(body.into_bytes());
            }
        }
        Err(LedgerError::Unavailable("GetObject: the answer broke off".to_owned()))
    }

    /// Makes an object as young as if it had been put now.
    pub(crate) async fn renew(&self, reference: &PayloadRef) -> Result<(), LedgerError> {
        let renewed = self
            .client
            .copy_object()
            .bucket(&self.bucket)
            .key(&reference.key)
            .copy_source(format!("{}/{}", self.bucket, reference.key))
            // A copy onto itself must change something.
            .metadata_directive(MetadataDirective::Replace)
            .send()
            .await;
        match renewed {
            Ok(_) => Ok(()),
            Err(error) if is_gone(&error) => Err(gone(reference)),
            Err(error) => Err(LedgerError::Unavailable(describe("CopyObject", &error))),
        }
    }

    /// Removes a payload; one that is not there is removed already.
    pub(crate) async fn delete(&self, key: &str) -> Result<(), LedgerError> {
        let request = self.client.delete_object().bucket(&self.bucket).key(key);
        request
            .send()
            .await
            .map_err(|error| LedgerError::Unavailable(describe("DeleteObject", &error)))?;
        Ok(())
    }
}

/// Whether something of an event's payload lies in the payload bucket, or may: a large
/// payload itself, or a copy for a subscriber. Of one that was forgotten, whether it did.
#[must_use]
pub fn may_lie_in_bucket(record: &Record) -> bool {
    record.payload_ref.is_some() || detached(&record.event).is_some()
}

/// Where [`S3PayloadStore::detach`] may have put the payload of an event that lies in
/// its item. Nothing says whether it did.
pub(crate) fn detached(event: &Event) -> Option<PayloadRef> {
    let bytes = event.payload.bytes.len();
    (bytes >= DETACHED_BYTES_MIN).then(|| {
        let (encoding, _) = compress(&event.payload.bytes);
        PayloadRef { key: object_key(event, encoding), bytes }
    })
}

fn is_gone<R>(error: &SdkError<CopyObjectError, R>) -> bool {
    use aws_sdk_s3::error::ProvideErrorMetadata as _;
    error.as_service_error().is_some_and(|error| error.code() == Some(CODE_NO_SUCH_KEY))
}

fn gone(reference: &PayloadRef) -> LedgerError {
    LedgerError::PayloadLost(format!("object {} is not in the payload bucket", reference.key))
}

/// Source names and hexadecimal digits need no escaping anywhere.
fn object_key(event: &Event, encoding: Encoding) -> String {
    let suffix = match encoding {
        Encoding::Gzip => SUFFIX_GZIP,
        Encoding::Identity => "",
    };
    let id = sha256_hex(&[event.key.id.as_bytes()]);
    let content = sha256_hex(&[&event.payload.bytes]);
    format!("{}/{id}/{content}{suffix}", event.key.source)
}
