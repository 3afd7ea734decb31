//! A provider for Terraform that knows schemas and nothing else, served by this very
//! process. Terraform is told where by `TF_REATTACH_PROVIDERS`, so that nothing is
//! installed, downloaded or started, and one server serves any number of Terraforms.
//!
//! ```text
//! terraform ──HTTP/2, gRPC──▶ 127.0.0.1:PORT ──▶ provider::answer
//! ```
//!
//! <https://developer.hashicorp.com/terraform/plugin/debugging#terraform-cli-reattach>

use std::sync::OnceLock;

use bytes::{BufMut as _, Bytes, BytesMut};
use h2::server::SendResponse;
use http::{HeaderMap, HeaderValue, Request, Response};
use tokio::net::{TcpListener, TcpStream};

use super::provider::Provider;
use crate::schema::{Schema, schemas};

/// gRPC's number for a method that is not there.
const UNIMPLEMENTED: &str = "12";

/// What to set in `TF_REATTACH_PROVIDERS`, for the oldest provider and the newest one.
pub(crate) fn reattach() -> &'static [String; 2] {
    static ADDRESSES: OnceLock<[String; 2]> = OnceLock::new();
    ADDRESSES.get_or_init(|| schemas().map(serve))
}

/// Serves until this process ends.
fn serve(schema: &'static Schema) -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.set_nonblocking(true).expect("a socket");
    let address = listener.local_addr().expect("an address").to_string();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .expect("a runtime");
        runtime.block_on(async {
            let listener = TcpListener::from_std(listener).expect("a socket");
            let provider: &'static Provider = Box::leak(Box::new(Provider::new(schema)));
            loop {
                let (stream, _) = listener.accept().await.expect("a connection");
                tokio::spawn(connection(stream, provider));
            }
        });
    });
    let server = serde_json::json!({
        "Protocol": "grpc",
        "ProtocolVersion": 6,
        "Pid": std::process::id(),
        // Terraform leaves it running.
        "Test": true,
        "Addr": { "Network": "tcp", "String": address },
    });
    serde_json::json!({ "registry.terraform.io/hashicorp/aws": server }).to_string()
}

/// One Terraform. It ends the connection, which is no fault.
async fn connection(stream: TcpStream, provider: &'static Provider) {
    let Ok(mut connection) = h2::server::handshake(stream).await else { return };
    while let Some(Ok((request, respond))) = connection.accept().await {
        tokio::spawn(async move {
            let _ = exchange(request, respond, provider).await;
        });
    }
}

async fn exchange(
    request: Request<h2::RecvStream>,
    mut respond: SendResponse<Bytes>,
    provider: &Provider,
) -> Result<(), h2::Error> {
    let method = request.uri().path().to_owned();
    let mut body = request.into_body();
    let mut received = BytesMut::new();
    while let Some(part) = body.data().await {
        let part = part?;
        body.flow_control().release_capacity(part.len())?;
        received.extend_from_slice(&part);
    }
    let head = |status: Option<&'static str>| {
        let mut head = Response::builder().header("content-type", "application/grpc");
        if let Some(status) = status {
            head = head.header("grpc-status", status);
        }
        head.body(()).expect("a response")
    };
    // One byte says that nothing is compressed, four how long the message is.
    let answer = provider.answer(&method, received.get(5..).unwrap_or_default());
    let Some(answer) = answer else {
        respond.send_response(head(Some(UNIMPLEMENTED)), true)?;
        return Ok(());
    };
    let mut framed = BytesMut::with_capacity(5 + answer.len());
    framed.put_u8(0);
    framed.put_u32(u32::try_from(answer.len()).expect("a short message"));
    framed.extend_from_slice(&answer);
    let mut stream = respond.send_response(head(None), false)?;
    stream.send_data(framed.freeze(), false)?;
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static("0"));
    stream.send_trailers(trailers)
}
