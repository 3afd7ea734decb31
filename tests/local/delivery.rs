//! A webhook as its provider would send it: a fixture's body, the provider's own
//! headers, signed by the scheme in the provider's file.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use http::Response;
use inbox_core::Timestamp;
use inbox_core::provider::{Provider, Unsigned};
use inbox_core::secrets::Secret;
use inbox_receiver::providers;

use crate::watch::Watch;
use crate::{LocalError, http_client};

const FORM: &str = "application/x-www-form-urlencoded; charset=UTF-8";
const JSON: &str = "application/json; charset=utf-8";

/// One request to one source.
#[derive(Clone)]
pub struct Delivery {
    /// Who makes the headers.
    pub provider: Arc<dyn Provider>,
    /// Where it is sent to: the last segment of the path.
    pub source: String,
    /// What it is signed with.
    pub secret: String,
    /// The body's media type.
    pub content_type: String,
    /// The body.
    pub body: Bytes,
    /// The provider's id, where a header carries it.
    pub id: String,
    /// The provider's event type, where a header carries it.
    pub event_type: String,
    /// When it is signed.
    pub signed_at: Timestamp,
}

impl Delivery {
    /// The body in `tests/fixtures/{provider}/{file}`, to the source of the
    /// provider's name, signed now.
    ///
    /// # Panics
    ///
    /// When there is no such provider.
    pub fn fixture(provider: &str, file: &str, secret: &str) -> Result<Self, LocalError> {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(provider).join(file);
        let body =
            std::fs::read(&path).map_err(LocalError::io(format!("read {}", path.display())))?;
        let (stem, extension) = file.rsplit_once('.').unwrap_or((file, ""));
        Ok(Self {
            provider: providers::find(provider).expect("a fixture's folder is a provider"),
            source: provider.to_owned(),
            secret: secret.to_owned(),
            content_type: if extension == "form" { FORM } else { JSON }.to_owned(),
            body: body.into(),
            id: uuid::Uuid::new_v4().to_string(),
            // GitHub's file names begin with the event; the others name it in the body.
            event_type: if ["ping", "push"].contains(&stem) {
                stem.to_owned()
            } else {
                stem.rsplit_once('_').map_or(stem, |(event, _action)| event).to_owned()
            },
            signed_at: Timestamp::now(),
        })
    }

    /// The same to another source.
    #[must_use]
    pub fn to(mut self, source: &str) -> Self {
        source.clone_into(&mut self.source);
        self
    }

    /// The same signed with another secret.
    #[must_use]
    pub fn signed_with(mut self, secret: &str) -> Self {
        secret.clone_into(&mut self.secret);
        self
    }

    /// The same signed at another time.
    #[must_use]
    pub fn signed_at(mut self, moment: Timestamp) -> Self {
        self.signed_at = moment;
        self
    }

    /// The same with another body.
    #[must_use]
    pub fn with_body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }

    /// The same with every `from` in the body replaced.
    ///
    /// # Panics
    ///
    /// When the body is no text, or has no `from`.
    #[must_use]
    pub fn replacing(self, from: &str, to: &str) -> Self {
        let text = String::from_utf8(self.body.to_vec()).expect("fixtures are text");
        assert!(text.contains(from), "the body has no {from:?}");
        self.with_body(text.replace(from, to))
    }

    /// The path that it is sent to.
    #[must_use]
    pub fn path(&self) -> String {
        format!("/webhooks/{}", self.source)
    }

    /// The headers, the signature among them, for the server at `base_url`.
    #[must_use]
    pub fn headers(&self, base_url: &str) -> Vec<(&'static str, String)> {
        let url = format!("{base_url}{}", self.path());
        let unsigned = Unsigned {
            url: &url,
            content_type: &self.content_type,
            body: &self.body,
            id: &self.id,
            event_type: &self.event_type,
            now: self.signed_at,
        };
        let mut headers = self.provider.sign(&unsigned, &Secret::new(self.secret.clone()));
        let signatures =
            headers.iter().filter(|(name, _)| name.to_lowercase().contains("signature"));
        signatures.for_each(|(_, value)| Watch::of_this_run().forbid_signature(value));
        headers.push(("Content-Type", self.content_type.clone()));
        headers.push(("User-Agent", user_agent(self.provider.name()).to_owned()));
        headers
    }

    /// Posts it to the server at `base_url`.
    pub async fn send(&self, base_url: &str) -> Result<Response<Bytes>, LocalError> {
        let headers = self.headers(base_url);
        let headers: Vec<(&str, &str)> =
            headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        http_client::post(&format!("{base_url}{}", self.path()), &headers, self.body.clone()).await
    }
}

/// Sizes only: it holds a secret and a payload.
impl std::fmt::Debug for Delivery {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} to {} ({} bytes)", self.provider.name(), self.source, self.body.len())
    }
}

fn user_agent(provider: &str) -> &'static str {
    match provider {
        "github" => "GitHub-Hookshot/2f8c1a7",
        "stripe" => "Stripe/1.0 (+https://stripe.com/docs/webhooks)",
        "twilio" => "TwilioProxy/1.1",
        _ => "standard-webhooks-sender/1.0",
    }
}
