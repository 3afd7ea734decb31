//! The memory of a processor that has ten large events at once, each for many routes:
//! the real binary's, as the operating system counts it.
//!
//! `make memory` builds the binary as it is deployed and runs this. A debug build takes
//! minutes to sign 320 messages of 6 MB; that all routes of an event share its bytes, and
//! that events wait for room, is held by tests of their own in every run.

use std::path::{Path, PathBuf};
use std::time::Duration;

use aws_sdk_sqs::types::Message;
use inbox_core::Timestamp;
use inbox_core::event::EventKey;
use inbox_core::ledger::{Claimed, Ledger as _, NewEvent, State};
use inbox_core::queue::Pointer;
use inbox_local::TestBed;
use inbox_local::runtime_api::{FunctionHost, FunctionOptions};
use serde_json::json;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

use super::bad_input::noise;
use super::requests::batch;
use crate::conformance;

const SECRET: &str = "whsec_ZTJlIHNlY3JldCBvZiBmb3J3YXJkLCAzMiBieXRlcw==";
const EVENTS: usize = 10;
const MB: usize = 1024 * 1024;
/// That an event may have.
const ATTEMPTS: usize = 6;
/// An invocation's: the function's own time limit.
const DEADLINE: Duration = Duration::from_mins(1);

/// An endpoint that takes whatever is posted and keeps nothing of it.
struct Sink {
    url: String,
    task: JoinHandle<()>,
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Sink {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}/hooks", listener.local_addr().expect("an address"));
        let task = tokio::spawn(async move {
            let mut all = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                all.spawn(swallow(stream));
            }
        });
        Self { url, task }
    }
}

/// Answers each request of a connection once all of it has come.
async fn swallow(stream: TcpStream) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    loop {
        let mut length = 0;
        loop {
            let mut line = String::new();
            if stream.read_line(&mut line).await? == 0 {
                return Ok(());
            }
            let line = line.trim_end().to_ascii_lowercase();
            if let Some(value) = line.strip_prefix("content-length: ") {
                length = value.parse().expect("a length");
            }
            if line.is_empty() {
                break;
            }
        }
        tokio::io::copy(&mut (&mut stream).take(length), &mut tokio::io::sink()).await?;
        stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await?;
    }
}

/// A JSON payload of so many bytes that fits no item and lies in the bucket.
fn noisy(bytes: usize) -> String {
    let text: String = noise(bytes - 2).iter().map(|byte| char::from(b'0' + byte % 32)).collect();
    format!("\"{text}\"")
}

/// Events that were accepted, and their messages.
async fn accepted(bed: &TestBed, payload: String) -> Vec<Message> {
    let ledger = bed.ledger();
    let payload = bytes::Bytes::from(payload);
    let mut messages = Vec::new();
    for number in 0..EVENTS {
        let now = Timestamp::now();
        let mut new: NewEvent = conformance::new_event(now);
        new.event.key.id = format!("evt_{number}");
        new.event.payload.bytes = payload.clone();
        assert_eq!(ledger.claim(&new).await.expect("claim"), Claimed::Fresh);
        let id = format!("message-{number}");
        let body = Pointer::body(&new.event, 1);
        messages.push(Message::builder().message_id(id).receipt_handle("r").body(body).build());
    }
    messages
}

/// The most memory that a process has had so far, in bytes.
/// <https://man7.org/linux/man-pages/man5/proc_pid_status.5.html>
fn peak_of(process_id: u32) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{process_id}/status")).expect("a process");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a peak");
    let kilobytes: usize = line.trim().trim_end_matches(" kB").parse().expect("a number");
    kilobytes * 1024
}

/// The peak at start, and with all events at all routes.
async fn peaks(binary: &Path, routes: usize, payload: String) -> (usize, usize) {
    let (bed, sink) = (TestBed::new().await.expect("a bed"), Sink::start().await);
    let secret = bed.create_secret(&json!({ "signing_secrets": [SECRET] })).await;
    let with = json!({
        "url": sink.url, "secret_id": secret.expect("a secret"), "allow_private_addresses": true,
    });
    let routes: Vec<_> = (0..routes)
        .map(|n| json!({ "id": format!("r{n}"), "match": "*:*", "handler": "forward", "with": with }))
        .collect();
    let routes = json!(routes).to_string();
    let settings = [
        ("TABLE_NAME", bed.table.as_str()),
        ("QUEUE_URL", &bed.queue_url),
        ("DLQ_URL", &bed.dlq_url),
        ("PAYLOAD_BUCKET", &bed.payload_bucket),
        ("AWS_ENDPOINT_URL", &bed.endpoint_url),
        ("ROUTES", &routes),
        ("HANDLER_TIMEOUT_SECONDS", "45"),
        // A busy machine's emulator may be too slow for one attempt.
        ("RETRY_DELAYS_SECONDS", "0,0,0,0,0"),
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "512"),
    ];
    let options = FunctionOptions::new(binary, settings);
    let host = FunctionHost::start(options).await.expect("this machine can start it");
    let mut processor = host.expect("it starts");
    let before = peak_of(processor.process_id());
    let messages = accepted(&bed, payload).await;
    for _ in 0..ATTEMPTS {
        let answer = processor.invoke_json(&batch(&messages), DEADLINE).await.expect("an answer");
        if answer["batchItemFailures"] == json!([]) {
            break;
        }
    }
    for number in 0..EVENTS {
        let key = EventKey { id: format!("evt_{number}"), ..conformance::key() };
        let record = bed.ledger().get(&key).await.expect("the ledger").expect("the event");
        assert_eq!(record.state, State::Done, "{number}: {}", processor.output());
    }
    (before, peak_of(processor.process_id()))
}

/// `make memory` runs it.
#[tokio::test]
#[ignore = "needs the release binary, which takes minutes to build"]
async fn ten_events_of_six_megabytes_with_32_routes_stay_below_400_mb() {
    const MOST: usize = 400 * MB;
    let binary = std::env::var("PROCESSOR").expect("PROCESSOR names the binary");
    let (before, peak) = peaks(&PathBuf::from(binary), 32, noisy(6 * MB)).await;
    println!("peak {} MB, at start {} MB", peak / MB, before / MB);
    assert!(peak < MOST, "{} MB of 512", peak / MB);
}
