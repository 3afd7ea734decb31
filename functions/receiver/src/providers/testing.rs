//! A provider's request that tests can make, alter and have judged.

use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue, Method};
use inbox_core::Timestamp;
use inbox_core::provider::{Identity, Provider, Rejection, Unsigned};
use inbox_core::request::{Request, Verified};
use inbox_core::secrets::{Secret, SecretBundle};

use super::facts::{self, Facts};

/// When deliveries are signed: 2026-03-01T12:00:00Z.
pub(super) const NOW_SECONDS: i64 = 1_772_366_400;

/// This many seconds after the signing.
pub(super) fn at(offset_seconds: i64) -> Timestamp {
    Timestamp::from_unix_seconds(NOW_SECONDS + offset_seconds).unwrap()
}

/// A request in parts.
#[derive(Clone, Debug)]
pub(super) struct Delivery {
    pub(super) method: Method,
    pub(super) url: String,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
}

impl Delivery {
    /// A POST of `body` as the provider would send it: event `id_1` of type
    /// `thing.happened`.
    pub(super) fn signed(
        provider: &dyn Provider,
        secret: &str,
        content_type: &str,
        body: &[u8],
    ) -> Self {
        let url = format!("https://hooks.example.com/webhooks/{}", provider.name());
        Self::signed_to(provider, secret, content_type, body, &url)
    }

    /// The same, sent to `url`.
    pub(super) fn signed_to(
        provider: &dyn Provider,
        secret: &str,
        content_type: &str,
        body: &[u8],
        url: &str,
    ) -> Self {
        let unsigned = Unsigned {
            url,
            content_type,
            body,
            id: "id_1",
            event_type: "thing.happened",
            now: at(0),
        };
        Self::sign(provider, secret, &unsigned)
    }

    /// Exactly this, signed.
    pub(super) fn sign(provider: &dyn Provider, secret: &str, unsigned: &Unsigned<'_>) -> Self {
        let mut headers = HeaderMap::new();
        headers.insert("content-type", unsigned.content_type.parse().unwrap());
        for (name, value) in provider.sign(unsigned, &Secret::new(secret.into())) {
            headers.insert(HeaderName::try_from(name).unwrap(), value.parse().unwrap());
        }
        Self {
            method: Method::POST,
            url: unsigned.url.to_owned(),
            headers,
            body: unsigned.body.to_vec(),
        }
    }

    pub(super) fn with_header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.insert(name, value.parse().unwrap());
        self
    }

    pub(super) fn without_header(mut self, name: &str) -> Self {
        self.headers.remove(name);
        self
    }

    pub(super) fn header(&self, name: &str) -> String {
        self.headers[name].to_str().unwrap().to_owned()
    }

    pub(super) fn request(&self) -> Request {
        let (public_url, raw_query) = self.url.split_once('?').unwrap_or((&self.url, ""));
        Request::new(
            self.method.clone(),
            raw_query.to_owned(),
            self.headers.clone(),
            self.body.clone().into(),
        )
        .with_public_urls([public_url.to_owned()])
    }

    pub(super) fn judge(
        &self,
        provider: &dyn Provider,
        secrets: &[&str],
        now: Timestamp,
    ) -> Result<(), Rejection> {
        self.judge_with(provider, &bundle(secrets), now)
    }

    pub(super) fn judge_with(
        &self,
        provider: &dyn Provider,
        secrets: &SecretBundle,
        now: Timestamp,
    ) -> Result<(), Rejection> {
        self.request()
            .verify(provider, secrets, now)
            .map(|_| ())
            .map_err(|refused| refused.rejection)
    }

    pub(super) fn verified(&self, provider: &dyn Provider, secret: &str) -> Request<Verified> {
        self.request().verify(provider, &bundle(&[secret]), at(0)).unwrap()
    }

    pub(super) fn identity(&self, provider: &dyn Provider, secret: &str) -> Identity {
        provider.identify(&self.verified(provider, secret))
    }
}

/// A bundle with these signing secrets and nothing else.
pub(super) fn bundle(secrets: &[&str]) -> SecretBundle {
    bundle_with(secrets, &[])
}

/// A bundle with further values.
pub(super) fn bundle_with(secrets: &[&str], others: &[(&str, &str)]) -> SecretBundle {
    let mut json = serde_json::json!({ "signing_secrets": secrets });
    for (name, value) in others {
        json[*name] = (*value).into();
    }
    SecretBundle::parse(&json.to_string()).unwrap()
}

/// All providers, once for each media type that they send.
pub(super) fn all() -> Vec<Sample> {
    super::names()
        .flat_map(|name| {
            let (provider, facts) = (super::find(name).unwrap(), facts::of(name));
            facts.media_types.iter().map(move |content_type| Sample {
                provider: Arc::clone(&provider),
                facts,
                secrets: facts.secrets.each_ref().map(String::as_str),
                content_type,
            })
        })
        .collect()
}

/// A provider with what is needed to send to it.
#[derive(Clone)]
pub(super) struct Sample {
    pub(super) provider: Arc<dyn Provider>,
    pub(super) facts: &'static Facts,
    pub(super) secrets: [&'static str; 2],
    pub(super) content_type: &'static str,
}

impl Sample {
    /// A signed delivery of `body`, by the first secret.
    pub(super) fn delivery(&self, body: &[u8]) -> Delivery {
        let mut url = format!("https://hooks.example.com/webhooks/{}", self.provider.name());
        if !self.facts.decodes(self.content_type) {
            url = self.facts.cover(&url, body);
        }
        let provider = self.provider.as_ref();
        Delivery::signed_to(provider, self.secrets[0], self.content_type, body, &url)
    }
}

/// Header values from any bytes that HTTP allows.
pub(super) fn header_value(bytes: &[u8]) -> Option<HeaderValue> {
    HeaderValue::from_bytes(bytes).ok()
}
