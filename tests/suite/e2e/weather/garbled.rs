//! Something else than AWS answers, or nothing does: a proxy's page of HTML, half an
//! answer, a name that nobody knows, a port on which nobody listens. No function
//! fails to start for it.

use std::sync::{Arc, Mutex};

use inbox_core::stack::stack;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::super::requests::batch;
use super::super::rig::{BASE_URL, DEADLINE, Rig, payment, to_mirror};
use super::{assert_unavailable, fault, faults};

/// Answers every request with the same bytes and closes; keeps the requests' heads.
pub(super) struct Stranger {
    pub(super) url: String,
    pub(super) heads: Arc<Mutex<Vec<String>>>,
    server: JoinHandle<()>,
}

impl Stranger {
    pub(super) async fn answering(
        answer: impl Fn(usize) -> Vec<u8> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let heads = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&heads);
        let server = tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut head = vec![0; 8192];
                let read = stream.read(&mut head).await.unwrap_or(0);
                let number = {
                    let mut seen = seen.lock().unwrap();
                    seen.push(String::from_utf8_lossy(&head[..read]).into_owned());
                    seen.len()
                };
                let _ = stream.write_all(&answer(number)).await;
                let _ = stream.shutdown().await;
            }
        });
        Self { url, heads, server }
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        self.server.abort();
    }
}

fn page(status: &str, body: &str) -> Vec<u8> {
    format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/html\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// Every function in front of this endpoint: it starts, answers, and says why.
async fn assert_weathered(endpoint: &str, expected: &[&str]) {
    let rig = Rig::new().await;
    let is_expected = |said: &str| expected.iter().any(|it| said.contains(it));
    let settings = [("AWS_ENDPOINT_URL", endpoint)];

    let source = [
        ("SOURCE", "stripe"),
        ("PROVIDER", "stripe"),
        ("SECRET_ID", "inbox/stripe"),
        ("PUBLIC_BASE_URL", BASE_URL),
    ];
    let mut receiver = rig.start("receiver", &[&source[..], &settings].concat()).await;
    let answer = receiver.invoke_json(&rig.gateway_event(&payment()), DEADLINE).await;
    assert_unavailable(&answer.expect("an answer"));
    let said = fault(&receiver, "answered 503").await;
    assert!(is_expected(&said) || said == "time limit", "{said}");

    let routes = to_mirror().to_string();
    let more = [("DLQ_URL", rig.bed.dlq_url.as_str()), ("ROUTES", &routes)];
    let more = [&more[..], &[("MIRROR_TABLE_NAME", rig.bed.mirror_table.as_str())]].concat();
    let mut processor = rig.start("processor", &[&more[..], &settings].concat()).await;
    let message = aws_sdk_sqs::types::Message::builder()
        .message_id("message-1")
        .body(r#"{"id":"evt_1","source":"/webhooks/stripe","life":1}"#)
        .build();
    // Enough for a handler, its reserve and the ledger's four seconds.
    let answer = processor.invoke_json(&batch(&[message]), 2 * DEADLINE).await;
    let answer = answer.expect("an answer");
    assert_eq!(answer["batchItemFailures"], json!([{ "itemIdentifier": "message-1" }]));
    let said = fault(&processor, "message left in the queue").await;
    assert!(is_expected(&said), "{said}");

    let mut sweeper = rig.start("sweeper", &settings).await;
    let swept = sweeper.invoke_json(&json!({}), DEADLINE).await.expect("an answer");
    assert_eq!(swept["unread_shards"], stack().table.open_index.shards);
    let shards = stack().table.open_index.shards as usize;
    let said = faults(&sweeper, "shard not read", shards).await;
    assert!(said.iter().all(|it| is_expected(it)), "{said:?}");
}

#[tokio::test]
async fn a_page_of_html_is_no_answer_whatever_its_status() {
    let text = "<html><body>marker-html</body></html>";
    for status in ["200 OK", "503 Service Unavailable", "403 Forbidden"] {
        let expected = format!("status {} in no form of AWS's", &status[..3]);
        let stranger = Stranger::answering(move |_| page(status, text)).await;
        // The rig's end looks through all logs: no word of the page is in them.
        assert_weathered(&stranger.url, &[&expected]).await;
    }
}

#[tokio::test]
async fn half_an_answer_is_none() {
    let half = || b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{\"Item".to_vec();
    let stranger = Stranger::answering(move |_| half()).await;
    assert_weathered(&stranger.url, &["answer not understood", "request not sent"]).await;
}

#[tokio::test]
async fn an_endpoint_that_cannot_be_found_or_reached_keeps_no_function_from_starting() {
    // Reserved for this: <https://www.rfc-editor.org/rfc/rfc6761#section-6.4>.
    for endpoint in ["http://inbox.invalid", "http://127.0.0.1:1"] {
        let expected = ["request not sent: ", "within the time limit"];
        assert_weathered(endpoint, &expected).await;
    }
}
