//! The proxy against an upstream that tells what bytes it received.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::*;
use crate::http_client;

/// Counts what arrives and answers 201 with the request's line of facts.
async fn upstream() -> (String, Arc<AtomicUsize>, Server) {
    let listener = server::listen(0).await.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let seen = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&seen);
    let server = server::serve(listener, move |request| {
        let counter = Arc::clone(&counter);
        async move {
            counter.fetch_add(1, Ordering::SeqCst);
            let (parts, body) = request.into_parts();
            let body = body.collect().await.map_err(|_| Hangup)?.to_bytes();
            let mut answer = Response::new(Full::new(body));
            *answer.status_mut() = StatusCode::CREATED;
            let uri = parts.uri.to_string().parse().map_err(|_| Hangup)?;
            answer.headers_mut().insert("x-uri", uri);
            for (name, value) in &parts.headers {
                answer.headers_mut().append(name.clone(), value.clone());
            }
            Ok(answer)
        }
    });
    (url, seen, server)
}

/// Speaks to a raw socket and returns what came before the end of the stream.
async fn raw_exchange(port: u16, request: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.expect("connect");
    stream.write_all(request).await.expect("write");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.expect("read");
    answer
}

/// An upstream that keeps the raw bytes of the one request it gets.
async fn raw_upstream() -> (String, tokio::task::JoinHandle<Vec<u8>>) {
    let listener = server::listen(0).await.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let task = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("accept");
        let mut seen = Vec::new();
        let mut buffer = [0; 4096];
        while !seen.ends_with(b"BODY") {
            let read = stream.read(&mut buffer).await.expect("read");
            assert_ne!(read, 0, "the request broke off");
            seen.extend_from_slice(&buffer[..read]);
        }
        stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.expect("write");
        seen
    });
    (url, task)
}

#[tokio::test]
async fn a_request_passes_byte_for_byte() {
    let (url, seen) = raw_upstream().await;
    let listener = server::listen(0).await.expect("a port");
    let proxy = Proxy::front_door(listener, &url, "/pre/$default").expect("a proxy");
    let answer = raw_exchange(
        proxy.port(),
        b"POST /webhooks/a%2Fb?x=1&x=%20&y HTTP/1.1\r\nHost: hooks.example.com\r\n\
          X-Hub-Signature-256: sha256=00\r\nx-LATIN: caf\xe9 ;  two\r\nX-Two: 1\r\nX-Two: 2\r\n\
          Expect: 100-continue\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n\
          6\r\n\x00\xffBODY\r\n0\r\n\r\n",
    )
    .await;
    let text = String::from_utf8_lossy(&answer);
    assert!(text.starts_with("HTTP/1.1 100 Continue"), "{text}");
    assert!(text.contains("HTTP/1.1 204 No Content"), "{text}");
    let seen = seen.await.expect("the upstream");
    let (head, body) =
        seen.split_at(seen.windows(4).position(|w| w == b"\r\n\r\n").expect("a head") + 4);
    assert_eq!(body, b"\x00\xffBODY");
    let has = |line: &[u8]| head.windows(line.len()).any(|window| window == line);
    assert!(has(b"POST /pre/$default/webhooks/a%2Fb?x=1&x=%20&y HTTP/1.1\r\n"));
    assert!(has(b"\r\nHost: hooks.example.com\r\n"));
    assert!(has(b"\r\nX-Hub-Signature-256: sha256=00\r\n"));
    assert!(has(b"\r\nx-LATIN: caf\xe9 ;  two\r\n"));
    assert!(has(b"\r\nX-Two: 1\r\nX-Two: 2\r\n"));
    assert!(!has(b"xpect"));
    assert!(!has(b"ransfer-"));
}

#[tokio::test]
async fn ten_megabytes_pass_and_more_is_too_large() {
    let (url, _, _server) = upstream().await;
    let proxy = Proxy::start(&url).await.expect("a proxy");
    let body = Bytes::from(vec![7; BODY_LIMIT_BYTES]);
    let answer = http_client::post(proxy.url(), &[], body.clone()).await.expect("an answer");
    assert_eq!(answer.status(), 201);
    assert_eq!(answer.body(), &body);
    let too_much = vec![7; BODY_LIMIT_BYTES + 1];
    // The rest of the body may be cut off before the answer is read.
    if let Ok(answer) = http_client::post(proxy.url(), &[], too_much).await {
        assert_eq!(answer.status(), 413);
    }
    assert_eq!(proxy.calls().len(), 1);
}

#[tokio::test]
async fn a_hundred_clients_are_served_at_once() {
    let (url, seen, _server) = upstream().await;
    let proxy = Arc::new(Proxy::start(&url).await.expect("a proxy"));
    proxy.set_hook(|_| Fault::Delay(Duration::from_millis(100)));
    let begin = Instant::now();
    let clients: Vec<_> = (0..100)
        .map(|n| {
            let url = format!("{}/{n}", proxy.url());
            tokio::spawn(async move { http_client::get(&url).await.map(|answer| answer.status()) })
        })
        .collect();
    for client in clients {
        assert_eq!(client.await.expect("a client").expect("an answer"), 201);
    }
    assert_eq!(seen.load(Ordering::SeqCst), 100);
    assert!(begin.elapsed() < Duration::from_secs(5));
}

async fn put_item(proxy: &Proxy) -> Result<Response<Bytes>, LocalError> {
    let headers = [("X-Amz-Target", "DynamoDB_20120810.PutItem")];
    http_client::post(proxy.url(), &headers, r#"{"TableName":"t"}"#).await
}

#[tokio::test]
async fn calls_are_recorded() {
    let (url, _, _server) = upstream().await;
    let proxy = Proxy::start(&url).await.expect("a proxy");
    put_item(&proxy).await.expect("an answer");
    let calls = proxy.take_calls();
    assert_eq!(calls.len(), 1);
    assert!(calls[0].is("dynamodb", "PutItem"));
    assert_eq!(calls[0].json()["TableName"], "t");
    assert_eq!((calls[0].status, calls[0].upstream_status), (Some(201), Some(201)));
    assert_eq!(proxy.count("dynamodb", "PutItem"), 0);
}

#[tokio::test]
async fn each_fault_does_what_it_says() {
    let (url, seen, _server) = upstream().await;
    let proxy = Proxy::start(&url).await.expect("a proxy");

    proxy.fail_next("dynamodb", "PutItem", 1, Fault::throttle());
    let answer = put_item(&proxy).await.expect("an answer");
    assert_eq!(answer.status(), 400);
    assert_eq!(answer.headers()["x-amzn-errortype"], "ProvisionedThroughputExceededException");
    assert_eq!(seen.load(Ordering::SeqCst), 0);

    proxy.fail_next("dynamodb", "PutItem", 1, Fault::DropBefore);
    assert!(matches!(put_item(&proxy).await, Err(LocalError::Call { .. })));
    assert_eq!(seen.load(Ordering::SeqCst), 0);
    assert_eq!(put_item(&proxy).await.expect("the second passes").status(), 201);
    assert_eq!(seen.load(Ordering::SeqCst), 1);

    let _ = proxy.take_calls();
    proxy.fail_next("dynamodb", "PutItem", 1, Fault::DropReply);
    assert!(matches!(put_item(&proxy).await, Err(LocalError::Call { .. })));
    assert_eq!(seen.load(Ordering::SeqCst), 2);
    let call = proxy.take_calls().remove(0);
    assert_eq!((call.status, call.upstream_status), (None, Some(201)));
}

#[tokio::test]
async fn a_client_that_gives_up_is_not_forwarded() {
    let (url, seen, _server) = upstream().await;
    let proxy = Proxy::start(&url).await.expect("a proxy");
    proxy.set_hook(|_| Fault::Delay(Duration::from_millis(200)));
    let result = tokio::time::timeout(Duration::from_millis(50), put_item(&proxy)).await;
    assert!(result.is_err());
    tokio::time::sleep(Duration::from_millis(400)).await;
    assert_eq!(seen.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_taken_port_is_named() {
    let listener = server::listen(0).await.expect("a port");
    let taken = listener.local_addr().expect("an address").port();
    let error = server::listen(taken).await.expect_err("must be taken");
    assert!(matches!(error, LocalError::PortTaken { port } if port == taken));
}

#[tokio::test]
async fn an_upstream_that_is_gone_is_a_bad_gateway() {
    let listener = server::listen(0).await.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    drop(listener);
    let proxy = Proxy::start(&url).await.expect("a proxy");
    assert_eq!(http_client::get(proxy.url()).await.expect("an answer").status(), 502);
}

#[tokio::test]
async fn an_outcome_is_not_written_to_another_call() {
    let (url, _, _server) = upstream().await;
    let proxy = Arc::new(Proxy::start(&url).await.expect("a proxy"));
    proxy.fail_next("dynamodb", "PutItem", 1, Fault::Delay(Duration::from_millis(200)));
    let slow = Arc::clone(&proxy);
    let slow = tokio::spawn(async move { put_item(&slow).await.map(|answer| answer.status()) });
    while proxy.take_calls().is_empty() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    proxy.set_hook(|_| Fault::DropBefore);
    assert!(matches!(put_item(&proxy).await, Err(LocalError::Call { .. })));
    assert_eq!(slow.await.expect("a client").expect("an answer"), 201);
    let calls = proxy.calls();
    assert_eq!(calls.len(), 1);
    assert_eq!((calls[0].status, calls[0].upstream_status), (None, None));
}
