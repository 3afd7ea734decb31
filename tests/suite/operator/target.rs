//! A developer's server: takes whatever is posted to it and remembers it.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::request::Parts;
use http::{Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use inbox_core::Timestamp;
use inbox_core::request::Request;
use inbox_core::secrets::SecretBundle;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// Nothing that a test waits for takes so long.
const WITHIN: Duration = Duration::from_secs(30);

/// A running server; dropping it closes the port.
pub(crate) struct Target {
    pub(crate) url: String,
    posted: Arc<Mutex<Vec<Posted>>>,
    task: JoinHandle<()>,
}

/// A request that was answered.
#[derive(Clone)]
pub(crate) struct Posted {
    pub(crate) parts: Parts,
    pub(crate) body: Bytes,
}

impl Target {
    /// On a free port, answering everything with this status.
    pub(crate) async fn start(status: StatusCode) -> Self {
        Self::start_on(0, status).await
    }

    /// On this port.
    pub(crate) async fn start_on(port: u16, status: StatusCode) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", port)).await.expect("a port");
        let url = format!("http://{}/in", listener.local_addr().expect("an address"));
        let posted: Arc<Mutex<Vec<Posted>>> = Arc::default();
        let kept = Arc::clone(&posted);
        let task = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let kept = Arc::clone(&kept);
                connections.spawn(async move {
                    let answer = service_fn(move |request: http::Request<Incoming>| {
                        let kept = Arc::clone(&kept);
                        async move {
                            let (parts, body) = request.into_parts();
                            let body = body.collect().await?.to_bytes();
                            kept.lock().unwrap().push(Posted { parts, body });
                            let mut answer = Response::new(Full::<Bytes>::default());
                            *answer.status_mut() = status;
                            Ok::<_, hyper::Error>(answer)
                        }
                    });
                    let _ = hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), answer)
                        .await;
                });
            }
        });
        Self { url, posted, task }
    }

    pub(crate) fn posted(&self) -> Vec<Posted> {
        self.posted.lock().unwrap().clone()
    }

    /// Waits until so many requests have come.
    pub(crate) async fn wait_for(&self, count: usize) -> Vec<Posted> {
        let came = async {
            while self.posted().len() < count {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let in_time = tokio::time::timeout(WITHIN, came).await;
        assert!(in_time.is_ok(), "{} of {count} requests came", self.posted().len());
        self.posted()
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Posted {
    /// Judges it as a receiver at `url` would.
    #[track_caller]
    pub(crate) fn expect_signed(&self, provider: &str, secret: &str, url: &str) {
        let provider = inbox_receiver::providers::find(provider).expect("a provider");
        let bundle = serde_json::json!({"signing_secrets": [secret]}).to_string();
        let bundle = SecretBundle::parse(&bundle).expect("a bundle");
        let query = self.parts.uri.query().unwrap_or_default().to_owned();
        let request = Request::new(
            self.parts.method.clone(),
            query,
            self.parts.headers.clone(),
            self.body.clone(),
        )
        .with_public_urls([url.to_owned()]);
        let judged = request.verify(provider.as_ref(), &bundle, Timestamp::now());
        if let Err(refused) = judged {
            panic!("{}", refused.rejection);
        }
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.parts.headers.get(name).map_or("", |value| value.to_str().expect("text"))
    }
}
