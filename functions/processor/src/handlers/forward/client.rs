//! The HTTP client of all routes that forward.
//!
//! ```text
//! uri ─ resolve, judge ─ connect ─ TLS ─▶ connection, used again for 4 s
//!       └───────── within 5 s ───────┘
//! ```
//!
//! One is made for all routes when the first is built: it reads this machine's root
//! certificates, which takes longer than all else at start. Those that may reach private
//! addresses have one of their own, so that a connection which somebody allowed is not
//! used by a route to which nobody did.
//!
//! It follows no redirect and asks no proxy: either would lead past the resolver that
//! judges addresses. It uses a connection again for 4 s only: many servers hang up after
//! 5, and a function that was frozen in between does not see it. Where one did so and
//! nothing was sent yet, the client itself takes a fresh one; a request that may have
//! arrived is never repeated here, but by the ledger's next attempt.

use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use http::Uri;
use http_body_util::Full;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder, MaybeHttpsStream};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls::ClientConfig;
use rustls::crypto::ring;
use rustls_platform_verifier::BuilderVerifierExt as _;
use tokio::net::TcpStream;
use tower_service::Service;

use super::resolver::Resolver;

/// For the connection, TLS included.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Node's servers close what idles for 5 s: <https://nodejs.org/api/http.html#serverkeepalivetimeout>.
const POOL_IDLE_TIMEOUT: Duration = Duration::from_secs(4);

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A client with connections of its own.
pub(super) type HttpClient = Client<Connector, Full<Bytes>>;

/// The clients that all routes share, made when they are first asked for.
#[derive(Clone, Default)]
pub struct HttpClients(Arc<OnceLock<Result<Pair, String>>>);

struct Pair {
    public_only: HttpClient,
    any: HttpClient,
}

impl HttpClients {
    /// The client for routes that may reach private addresses, or for those that may not.
    ///
    /// # Errors
    ///
    /// This machine's root certificates cannot be read.
    pub(super) fn of(&self, allow_private_addresses: bool) -> Result<HttpClient, String> {
        let pair = self.0.get_or_init(|| {
            let tls = tls()?;
            let public_only = client(tls.clone(), Resolver::public_only());
            Ok(Pair { public_only, any: client(tls, Resolver::any()) })
        });
        let pair = pair.as_ref().map_err(Clone::clone)?;
        Ok(if allow_private_addresses { pair.any.clone() } else { pair.public_only.clone() })
    }
}

/// By this machine's root certificates.
///
/// # Errors
///
/// They cannot be read.
pub(super) fn tls() -> Result<ClientConfig, String> {
    let no_client = |fault: rustls::Error| format!("no HTTP client: {fault}");
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let builder = builder.with_safe_default_protocol_versions().map_err(no_client)?;
    Ok(builder.with_platform_verifier().map_err(no_client)?.with_no_client_auth())
}

/// A client that connects to what `resolver` hands on.
pub(super) fn client(tls: ClientConfig, resolver: Resolver) -> HttpClient {
    let mut http = HttpConnector::new_with_resolver(resolver);
    http.enforce_http(false);
    http.set_nodelay(true);
    let https = HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_http1();
    Client::builder(TokioExecutor::new())
        .pool_idle_timeout(POOL_IDLE_TIMEOUT)
        .pool_timer(TokioTimer::new())
        .build(Connector(https.wrap_connector(http)))
}

/// Connects within [`CONNECT_TIMEOUT`].
#[derive(Clone)]
pub(super) struct Connector(HttpsConnector<HttpConnector<Resolver>>);

/// There was no connection within [`CONNECT_TIMEOUT`].
#[derive(Debug, thiserror::Error)]
#[error("no connection within {} s", CONNECT_TIMEOUT.as_secs())]
pub(super) struct NotInTime;

impl Service<Uri> for Connector {
    type Response = MaybeHttpsStream<TokioIo<TcpStream>>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let connecting = self.0.call(uri);
        async move {
            let connected = tokio::time::timeout(CONNECT_TIMEOUT, connecting).await;
            connected.unwrap_or_else(|_elapsed| Err(NotInTime.into()))
        }
        .boxed()
    }
}
