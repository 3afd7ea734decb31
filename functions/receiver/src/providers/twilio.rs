//! Twilio: message and call status callbacks, inbound messages and calls, Event
//! Streams.
//!
//! ```text
//! X-Twilio-Signature: <base64>
//! signed  form      <URL> then, for each distinct name in byte order and each
//!                   distinct value of it in byte order, <name><value>
//!         other     <URL>, whose query holds bodySHA256=<hex of the raw body>
//!         no body   <URL>
//! key     the account's auth token as text: HMAC-SHA1
//!         a SharedKey's secret as text:     HMAC-SHA256
//! ```
//!
//! - The URL is the one that Twilio called: from configuration (or the secret
//!   bundle's `notification_url`), never from the request, plus the query as
//!   received. While a source moves to another domain there are two. Twilio is
//!   inconsistent about ports, so each is tried as it is and with the default
//!   port added or the port removed, as all its SDKs do.
//! - Values are decoded as bytes and never trimmed; empty ones count.
//! - Every body is covered: by the parameters, or by `bodySHA256`. A form that
//!   has parameters is a form, whatever its URL holds. One that has none must
//!   satisfy a `bodySHA256` in its URL, or else a captured JSON request could
//!   be sent again without its body, as an empty form.
//! - `X-Twilio-Webhooks-Signature-Settings: key=<id>,algorithm=HMAC_SHA256`
//!   (beta) names a `SharedKey`. Nobody signs that header, so it may choose among
//!   the configured keys and nothing else: an auth token is used with SHA-1
//!   only, a `SharedKey` with SHA-256 only.
//!
//! In the secret's JSON, besides `signing_secrets` (auth tokens; only the
//! primary one signs, so hold both while promoting):
//! `"webhooks_sharedkey_<id>": "<secret>"` for each `SharedKey`, and
//! `"notification_url"` where the address differs from `PUBLIC_BASE_URL`
//! (credentials in it, for example); its query, if any, is ignored.
//!
//! **Limits of the scheme.** No time is signed, so a captured request stays
//! valid: the idempotency key is a hash of the whole signed text (its port left
//! out), and makes it a duplicate for as long as events are kept. URL, names and
//! values are strung together without separators, so a captured request also
//! covers other ways of cutting the same text into parameters; they have the same
//! hash. What cannot be told apart by a hash is where the URL ends: a query could
//! move into the first parameter's name, and so could the end of another source's
//! longer path. The first parameter must therefore begin with a letter, as
//! Twilio's own do. (Terraform sees to it that no source's name is another's with
//! a letter behind it.) A custom parameter whose name begins with a digit sorts
//! before Twilio's and is refused: give it another name. A `?` with nothing after
//! it never reaches the function.
//!
//! Event types: `message.<status>`, `message.received` for inbound ones,
//! `call.<status>`, `recording.<status>`, and `event_streams.batch` for the
//! JSON array of CloudEvents that Event Streams sends, stored as one event.
//!
//! Sources: <https://www.twilio.com/docs/usage/webhooks/webhooks-security>,
//! <https://www.twilio.com/docs/usage/webhooks/webhook-shared-keys>,
//! <https://www.twilio.com/docs/api/errors/57012>, twilio-python
//! `request_validator.py`.

use base64::Engine as _;
use bytes::Bytes;
use http::{Method, StatusCode};
use inbox_core::Timestamp;
use inbox_core::provider::{Identity, Payload, Provider, Rejection, Reply, Unsigned};
use inbox_core::request::{Request, Verified};
use inbox_core::secrets::{Secret, SecretBundle, strength};
use inbox_core::signature::{self, Hash, Proof};

use super::header_name_or_id;
use inbox_core::form;

mod advice;

/// The provider's name.
pub(super) const NAME: &str = "twilio";

const HEADER_SIGNATURE: &str = "x-twilio-signature";
const HEADER_SETTINGS: &str = "x-twilio-webhooks-signature-settings";
const HEADER_IDEMPOTENCY: &str = "i-twilio-idempotency-token";
const SHARED_KEY_PREFIX: &str = "webhooks_sharedkey_";
const SHARED_KEY_ALGORITHM: &str = "HMAC_SHA256";
const NOTIFICATION_URL: &str = "notification_url";
const BODY_HASH: &str = "bodySHA256";
/// Twilio sends some dozens. Each costs memory before anything is verified.
const PARAMETERS_MAX: usize = 10_000;
const EMPTY_TWIML: &str = r#"<?xml version="1.0" encoding="UTF-8"?><Response/>"#;

/// Parameters that hold an object's sid and its status, and the object's name
/// in event types. The first row with both applies.
const OBJECTS: [[&str; 3]; 5] = [
    ["MessageSid", "MessageStatus", "message"],
    ["MessageSid", "SmsStatus", "message"],
    ["SmsSid", "SmsStatus", "message"],
    ["RecordingSid", "RecordingStatus", "recording"],
    ["CallSid", "CallStatus", "call"],
];
/// Statuses after which Twilio has nothing left to ask about a call.
const CALL_ENDED: [&str; 5] = ["completed", "busy", "failed", "no-answer", "canceled"];

/// Twilio's scheme.
pub(super) struct Twilio;

impl Provider for Twilio {
    fn name(&self) -> &'static str {
        NAME
    }

    fn verify(
        &self,
        request: &Request,
        secrets: &SecretBundle,
        _now: Timestamp,
    ) -> Result<Proof, Rejection> {
        let header = request.header(HEADER_SIGNATURE).ok_or(Rejection::MissingSignature)?;
        let settings = request.header(HEADER_SETTINGS);
        let (hash, keys) = keys(settings.as_deref(), secrets)?;
        let signature = signature::decode_base64(&header)
            .filter(|bytes| bytes.len() == mac_bytes(hash))
            .ok_or(Rejection::MalformedSignature)?;
        // The method is not signed: a captured POST sent again as GET would be
        // stored without its body, under the same key.
        if request.method() == Method::GET && !request.body().is_empty() {
            return Err(Rejection::MalformedSignature);
        }
        let parameters = covering_parameters(request)?;
        // No time is signed. Without an address nothing can match, until
        // somebody configures one.
        let mismatch = Rejection::SignatureMismatch { fresh: true };
        let signatures = [signature];
        called_urls(request, secrets)
            .into_iter()
            .flat_map(|url| {
                let other_port = other_port(&url);
                std::iter::once(url).chain(other_port)
            })
            .find_map(|url| {
                let signed = signed_pieces(&url, &parameters);
                let proof = signature::hmac_matches(hash, keys, &signed, &signatures)?;
                Some(proof.of_url(url))
            })
            .ok_or(mismatch)
    }

    fn identify(&self, request: &Request<Verified>) -> Identity {
        let event = Event::read(request);
        let is_batch = !is_form(request) && request.body().trim_ascii_start().starts_with(b"[");
        let payload = speaks_by_query(request).then(|| Payload {
            content_type: form::MEDIA_TYPE.into(),
            bytes: Bytes::copy_from_slice(request.raw_query().as_bytes()),
        });
        Identity {
            // Not with sid and status before it: those are read from the
            // parameters, and the signature holds for other cuts of the same text.
            idempotency_key: Some(content_hash(request)),
            event_type: match &event {
                Some(Event { object, status, .. }) => Some(format!("{object}.{status}")),
                None => is_batch.then(|| "event_streams.batch".to_owned()),
            },
            occurred_at: None,
            subject: event.map(|event| event.sid),
            delivery_id: header_name_or_id(request, HEADER_IDEMPOTENCY),
            hook_id: None,
            payload,
        }
    }

    /// The URL of a JSON request must hold its `bodySHA256` already.
    fn sign(&self, unsigned: &Unsigned<'_>, secret: &Secret) -> Vec<(&'static str, String)> {
        let is_form = unsigned.content_type.starts_with(form::MEDIA_TYPE);
        let parameters = distinct(form::pairs(if is_form { unsigned.body } else { b"" }));
        let signed = signed_pieces(unsigned.url, &parameters);
        let mac = signature::hmac(Hash::Sha1, secret.as_ref(), &signed);
        vec![
            ("I-Twilio-Idempotency-Token", unsigned.id.to_owned()),
            ("X-Twilio-Signature", base64::engine::general_purpose::STANDARD.encode(mac)),
        ]
    }

    fn kept_headers(&self) -> &'static [&'static str] {
        &["content-type", "user-agent"]
    }

    /// Twilio waits for instructions after an inbound message or call: "none".
    /// It wants nothing back for a status callback.
    fn reply(&self, request: &Request<Verified>) -> Reply {
        match Event::read(request) {
            Some(event) if event.wants_instructions(request) => {
                Reply::with_body("text/xml", EMPTY_TWIML.to_owned())
            }
            _ => Reply::empty(StatusCode::NO_CONTENT),
        }
    }

    fn methods(&self) -> &'static [Method] {
        &[Method::POST, Method::GET]
    }

    fn signs_url(&self) -> bool {
        true
    }

    fn check_secret(&self, secret: &Secret) -> Result<(), &'static str> {
        let text = secret.expose();
        if text.len() == 34 && (text.starts_with("AC") || text.starts_with("SK")) {
            return Err("is a SID: use the account's auth token");
        }
        if text.starts_with(SHARED_KEY_PREFIX) {
            return Err("is a SharedKey's id: put its secret beside signing_secrets, \
                        under that id as the name");
        }
        if text.trim() != text {
            return Err("has white space around it, which auth tokens never have");
        }
        strength::check(text)
    }

    /// With the hash of a body that no parameters cover.
    fn address(&self, url: &str, content_type: &str, body: &[u8]) -> String {
        let is_form = content_type.starts_with(form::MEDIA_TYPE);
        if is_form && form::pairs(body).next().is_some() {
            return url.to_owned();
        }
        let separator = if url.contains('?') { '&' } else { '?' };
        format!("{url}{separator}{BODY_HASH}={}", signature::sha256_hex(&[body]))
    }

    fn advise(
        &self,
        request: &Request,
        secrets: &SecretBundle,
        rejection: Rejection,
    ) -> Vec<String> {
        match rejection {
            Rejection::SignatureMismatch { .. } => advice::on_mismatch(request, secrets),
            Rejection::MissingSignature => advice::on_missing(request),
            Rejection::MalformedSignature => advice::on_malformed(request),
            Rejection::StaleTimestamp => Vec::new(),
        }
    }
}

/// The keys that may have signed, and the hash that they are for.
fn keys<'a>(
    settings: Option<&str>,
    secrets: &'a SecretBundle,
) -> Result<(Hash, &'a [Secret]), Rejection> {
    let Some(settings) = settings else {
        return Ok((Hash::Sha1, secrets.signing_secrets()));
    };
    let setting = |wanted: &str| {
        settings
            .split(',')
            .filter_map(|part| part.split_once('='))
            .find_map(|(name, value)| (name.trim() == wanted).then_some(value.trim()))
            .ok_or(Rejection::MalformedSignature)
    };
    let (id, algorithm) = (setting("key")?, setting("algorithm")?);
    // The prefix matters: the caller must not get to name the bundle's other
    // values, such as the notification URL, which anybody may know.
    if !algorithm.eq_ignore_ascii_case(SHARED_KEY_ALGORITHM) || !id.starts_with(SHARED_KEY_PREFIX) {
        return Err(Rejection::MalformedSignature);
    }
    // What can be guessed is no key, as with those of `check_secret`.
    let key = secrets.other(id).filter(|key| strength::check(key.expose()).is_ok());
    let key = key.ok_or(Rejection::SignatureMismatch { fresh: true })?;
    Ok((Hash::Sha256, std::slice::from_ref(key)))
}

fn mac_bytes(hash: Hash) -> usize {
    match hash {
        Hash::Sha1 => 20,
        Hash::Sha256 => 32,
    }
}

fn is_form<State>(request: &Request<State>) -> bool {
    request.media_type() == form::MEDIA_TYPE
}

/// The parameters that are signed with the URL, once it is sure that they and
/// the URL say all that the body says.
fn covering_parameters(request: &Request) -> Result<Vec<form::Pair<'_>>, Rejection> {
    if is_form(request) {
        // Counted before repeats are dropped: nothing of a body may go unread.
        if form::pairs(request.body()).nth(PARAMETERS_MAX).is_some() {
            return Err(Rejection::MalformedSignature);
        }
        let parameters = distinct(form::pairs(request.body()));
        if let Some((first, _)) = parameters.first() {
            // Anything else could be the end of another URL, see above.
            return match first.first() {
                Some(letter) if letter.is_ascii_alphabetic() => Ok(parameters),
                _ => Err(Rejection::MalformedSignature),
            };
        }
    }
    // Twilio puts it behind the query that was configured. Further to the front, it could
    // be out of somebody's text message, cut into the URL with what stands before it.
    let last = form::pairs(request.raw_query().as_bytes()).last();
    match last.filter(|(name, _)| **name == *BODY_HASH.as_bytes()) {
        Some((_, hash)) => {
            let holds = std::str::from_utf8(&hash)
                .is_ok_and(|hex| signature::sha256_hex_equals(request.body(), hex));
            // Not fresh: no newer secret will make another body of it.
            holds.then(Vec::new).ok_or(Rejection::SignatureMismatch { fresh: false })
        }
        None if request.body().is_empty() => Ok(Vec::new()),
        None => Err(Rejection::MissingSignature),
    }
}

/// Sorted by name, then by value, each pair once.
fn distinct<'a>(pairs: impl Iterator<Item = form::Pair<'a>>) -> Vec<form::Pair<'a>> {
    let mut pairs: Vec<_> = pairs.collect();
    pairs.sort_unstable();
    pairs.dedup();
    pairs
}

fn signed_pieces<'a>(url: &'a str, parameters: &'a [form::Pair<'_>]) -> Vec<&'a [u8]> {
    let mut pieces = vec![url.as_bytes()];
    for (name, value) in parameters {
        pieces.extend([name.as_ref(), value.as_ref()]);
    }
    pieces
}

/// The addresses that Twilio may have called, with the query as received.
fn called_urls(request: &Request, secrets: &SecretBundle) -> Vec<String> {
    let with_query = |address: &str| match request.raw_query() {
        "" => address.to_owned(),
        query => format!("{address}?{query}"),
    };
    match secrets.other(NOTIFICATION_URL) {
        Some(url) => {
            vec![with_query(url.expose().split(['?', '#']).next().unwrap_or_default())]
        }
        None => request.public_urls().iter().map(|url| with_query(url)).collect(),
    }
}

/// The same URL without its port, or with the scheme's port if it has none.
fn other_port(url: &str) -> Option<String> {
    let (before, port, behind) = around_port(url)?;
    Some(match port {
        Some(_) => format!("{before}{behind}"),
        None if url.starts_with("https:") => format!("{before}:443{behind}"),
        None => format!("{before}:80{behind}"),
    })
}

/// A URL's parts before its port and behind it, and the port with its colon. The
/// host may be an IPv6 address and may stand behind `user:password@`.
fn around_port(url: &str) -> Option<(&str, Option<&str>, &str)> {
    let host_at = url.find("://")? + "://".len();
    let rest = &url[host_at..];
    let path_at = host_at + rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let authority = &url[host_at..path_at];
    let name_at = authority.rfind('@').map_or(0, |at| at + 1);
    let name_ends = name_at + authority[name_at..].rfind(']').map_or(0, |at| at + 1);
    let behind = &url[path_at..];
    Some(match authority[name_ends..].rfind(':') {
        Some(at) => {
            let port_at = host_at + name_ends + at;
            (&url[..port_at], Some(&url[port_at..path_at]), behind)
        }
        None => (&url[..path_at], None, behind),
    })
}

/// A hash of all that was signed, in the order in which it is signed, whatever the
/// order in which it came. Twilio signs the port or leaves it out as it likes, so
/// it is left out.
fn content_hash(request: &Request<Verified>) -> String {
    let body: &[u8] = if is_form(request) { request.body() } else { b"" };
    let parameters = distinct(form::pairs(body));
    let url = request.signed_url().unwrap_or_default();
    let (before, _, behind) = around_port(url).unwrap_or((url, None, ""));
    signature::sha256_hex(&signed_pieces(&format!("{before}{behind}"), &parameters))
}

/// What a callback is about.
#[derive(Debug, PartialEq, Eq)]
struct Event {
    object: &'static str,
    sid: String,
    status: String,
}

impl Event {
    fn read(request: &Request<Verified>) -> Option<Self> {
        OBJECTS.iter().find_map(|[sid, status, object]| {
            let sid = parameter(request, sid)?;
            let status = parameter(request, status)?;
            Some(Self { object, sid, status })
        })
    }

    fn wants_instructions(&self, request: &Request<Verified>) -> bool {
        match self.object {
            "message" => self.status == "received",
            // Status callbacks of calls say where they come from:
            // <https://www.twilio.com/docs/voice/api/call-resource#statuscallback>
            "call" => {
                parameter(request, "CallbackSource").is_none()
                    && !CALL_ENDED.contains(&self.status.as_str())
            }
            _ => false,
        }
    }
}

/// Whether all that it says stands in its query, as in a GET, which is then stored
/// as the form that a POST would have brought. The method is not asked: it is not
/// signed, and a captured GET sent again as POST would be stored without content,
/// under the key of the genuine one.
fn speaks_by_query(request: &Request<Verified>) -> bool {
    request.body().is_empty()
}

/// A parameter as text, from the form or, without a body, from the query.
fn parameter(request: &Request<Verified>, name: &str) -> Option<String> {
    let form = if speaks_by_query(request) {
        request.raw_query().as_bytes()
    } else if is_form(request) {
        request.body().as_ref()
    } else {
        return None;
    };
    let value = String::from_utf8(form::first(form, name)?.into_owned()).ok()?;
    (!value.is_empty()).then_some(value)
}

#[cfg(test)]
mod tests;
