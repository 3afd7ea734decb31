//! The real receiver behind a real port, one for each source, on a ledger in
//! memory: what it accepts is accepted.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use inbox_core::Timestamp;
use inbox_core::ledger::Record;
use inbox_core::memory::{MemoryLedger, MemoryQueue, MemorySecrets};
use inbox_core::request::Request as Received;
use inbox_core::secrets::{Secret, SecretBundle, SecretCache};
use inbox_receiver::config::{Config, Dedup};
use inbox_receiver::pipeline::Receiver;
use inbox_receiver::providers;
use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};

use super::rig::SECRETS;

type InMemory = Receiver<MemoryLedger, MemoryQueue, Arc<MemorySecrets>>;

/// All sources, at `http://127.0.0.1:{port}/webhooks/{source}`.
pub(crate) struct Receivers {
    pub(crate) base_url: String,
    shared: Arc<Shared>,
    server: JoinHandle<()>,
}

struct Shared {
    sources: BTreeMap<&'static str, InMemory>,
    /// Answered instead, the last first.
    scripted: Mutex<Vec<u16>>,
}

impl Drop for Receivers {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Receivers {
    /// With the secrets of the rig.
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let base_url = format!("http://{}", listener.local_addr().unwrap());
        let sources =
            SECRETS.into_iter().map(|(name, secret)| (name, receiver(name, secret, &base_url)));
        let shared = Arc::new(Shared { sources: sources.collect(), scripted: Mutex::default() });
        let server = tokio::spawn(serve(listener, Arc::clone(&shared)));
        Self { base_url, shared, server }
    }

    pub(crate) fn url(&self, source: &str) -> String {
        format!("{}/webhooks/{source}", self.base_url)
    }

    /// The next requests get these statuses, whatever they hold.
    pub(crate) fn answer_next(&self, statuses: &[u16]) {
        let mut scripted = self.shared.scripted.lock().unwrap();
        scripted.extend(statuses.iter().rev());
    }

    /// What a source has accepted.
    pub(crate) fn accepted(&self, source: &str) -> Vec<Record> {
        self.shared.sources[source].ledger.all()
    }
}

fn receiver(name: &str, secret: &str, base_url: &str) -> InMemory {
    let provider = providers::find(name).unwrap();
    let bundle = SecretBundle::of(vec![Secret::new(secret.into())]).unwrap();
    Receiver {
        config: Config {
            source: name.into(),
            secret_id: String::new(),
            public_base_urls: vec![base_url.into()],
            table_name: String::new(),
            queue_url: String::new(),
            payload_bucket: None,
            max_body_bytes: 320 * 1024,
            retention: Duration::from_hours(24),
            sweep_grace: Duration::from_mins(15),
            dedup: Dedup::Id,
            hook_ids: Vec::new(),
        },
        secrets: SecretCache::new(Arc::new(MemorySecrets::new(Ok(bundle))), Arc::clone(&provider)),
        provider,
        ledger: MemoryLedger::default(),
        queue: MemoryQueue::default(),
    }
}

async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let shared = Arc::clone(&shared);
        connections.spawn(async move {
            let service = service_fn(|request| {
                let shared = Arc::clone(&shared);
                async move { Ok::<_, Infallible>(shared.answer(request).await) }
            });
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

impl Shared {
    async fn answer(&self, request: Request<Incoming>) -> Response<Full<bytes::Bytes>> {
        let (parts, body) = request.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let scripted = self.scripted.lock().unwrap().pop();
        if let Some(status) = scripted {
            return Response::builder().status(status).body(Full::default()).unwrap();
        }
        let path = parts.uri.path().to_owned();
        let source = &self.sources[path.rsplit('/').next().unwrap()];
        let query = parts.uri.query().unwrap_or_default().to_owned();
        let received = Received::new(parts.method, query, parts.headers, body);
        let request_id = uuid::Uuid::new_v4().to_string();
        let reply = source.receive(&path, received, &request_id, Timestamp::now()).await;
        let mut answer = Response::new(Full::from(reply.body));
        *answer.status_mut() = reply.status;
        *answer.headers_mut() = reply.headers;
        answer
    }
}
