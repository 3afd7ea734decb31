//! An HTTP/1.1 server on loopback: one task a connection, all of them gone when
//! the handle is dropped.

use std::future::Future;
use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};

use crate::LocalError;

/// Says that a connection is to be closed without an answer.
#[derive(Debug, thiserror::Error)]
#[error("closed on purpose")]
pub(crate) struct Hangup;

/// A running server; dropping it closes every connection.
#[derive(Debug)]
pub(crate) struct Server(JoinHandle<()>);

impl Drop for Server {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Listens on loopback; port 0 takes a free one.
pub(crate) async fn listen(port: u16) -> Result<TcpListener, LocalError> {
    TcpListener::bind(("127.0.0.1", port)).await.map_err(|source| match source.kind() {
        std::io::ErrorKind::AddrInUse => LocalError::PortTaken { port },
        _ => LocalError::Io { what: format!("listen on port {port}"), source },
    })
}

/// Answers every request with `handle`; `Err(Hangup)` closes the connection.
///
/// A client that goes away while its request is handled drops the handler's
/// future at its next await.
pub(crate) fn serve<H, F>(listener: TcpListener, handle: H) -> Server
where
    H: Fn(Request<Incoming>) -> F + Send + Sync + 'static,
    F: Future<Output = Result<Response<Full<Bytes>>, Hangup>> + Send + 'static,
{
    let handle = Arc::new(handle);
    Server(tokio::spawn(async move {
        let mut connections = JoinSet::new();
        loop {
            // Out of file descriptors is the only likely failure, and it passes.
            let Ok((stream, _)) = listener.accept().await else {
                tokio::time::sleep(std::time::Duration::from_millis(10)).await;
                continue;
            };
            while connections.try_join_next().is_some() {}
            let handle = Arc::clone(&handle);
            let _ = stream.set_nodelay(true);
            connections.spawn(async move {
                let service = service_fn(move |request| handle(request));
                // What goes wrong on a connection is the client's to see.
                let _ = hyper::server::conn::http1::Builder::new()
                    .preserve_header_case(true)
                    .max_buf_size(1024 * 1024)
                    .serve_connection(TokioIo::new(stream), service)
                    .await;
            });
        }
    }))
}
