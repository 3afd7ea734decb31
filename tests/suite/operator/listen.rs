//! `inbox listen`: every new event reaches the developer's machine, once, signed.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use http::StatusCode;
use inbox_core::ledger::State;
use inbox_local::calls::Fault;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::Child;

use super::rig::{Operator, Ran, finish};
use super::target::{Posted, Target};
use super::world::{Given, ids, make};

const SECRET: &str = "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=";

fn listen(operator: &Operator, url: &str, more: &[&str]) -> Child {
    let fixed = ["listen", "--forward-to", url, "--every", "1", "--since", "10s"];
    let mut command = operator.command(&[&fixed[..], more].concat());
    command.env("INBOX_SIGNING_SECRET", SECRET).spawn().expect("inbox starts")
}

async fn interrupt(child: Child) -> Ran {
    let pid = child.id().expect("running").to_string();
    tokio::process::Command::new("kill").args(["-INT", &pid]).status().await.expect("kill");
    finish(child).await
}

fn names(posted: &[Posted]) -> Vec<String> {
    posted
        .iter()
        .map(|posted| {
            let body: serde_json::Value = serde_json::from_slice(&posted.body).expect("JSON");
            body["id"].as_str().expect("an id").to_owned()
        })
        .collect()
}

/// Received just now, one after the other.
fn fresh(prefix: &str, count: usize) -> Vec<Given> {
    let ids = ids(prefix, count).into_iter().enumerate();
    ids.map(|(n, id)| {
        let age = Duration::from_millis(5 * (count - n) as u64);
        Given::new(&id, State::Received, age)
    })
    .collect()
}

/// Real events, in clear, would go to whoever runs the proxy.
#[tokio::test]
async fn what_is_for_this_machine_goes_through_no_proxy() {
    let operator = Operator::new().await;
    let target = Target::start(StatusCode::OK).await;
    let proxy = Target::start(StatusCode::BAD_GATEWAY).await;
    let fixed = ["listen", "--forward-to", &target.url, "--every", "1", "--since", "10s"];
    let mut command = operator.command(&fixed);
    for variable in ["http_proxy", "HTTP_PROXY", "ALL_PROXY"] {
        command.env(variable, &proxy.url);
    }
    let child = command.env("INBOX_SIGNING_SECRET", SECRET).spawn().expect("inbox starts");
    make(&operator, fresh("evt", 1)).await;
    assert_eq!(names(&target.wait_for(1).await), ["evt-000"]);
    let ran = interrupt(child).await.expect(0);
    assert!(ran.stderr.ends_with("1 event posted\n"), "{}", ran.stderr);
    assert_eq!(proxy.posted().len(), 0, "the proxy saw an event");
}

#[tokio::test]
async fn events_that_leave_this_machine_unencrypted_are_warned_of() {
    let operator = Operator::new().await;
    for (address, is_warned_of) in [("http://crm.example.com/", true), ("http://localhost/", false)]
    {
        let child = listen(&operator, address, &["--source", "nobody"]);
        let ran = finish(child).await.expect(2);
        let is_said = ran.stderr.contains("warning: crm.example.com is not this machine");
        assert_eq!(is_said, is_warned_of, "{address}: {}", ran.stderr);
    }
}

#[tokio::test]
async fn new_events_of_every_provider_arrive_signed_and_in_order() {
    let operator = Operator::new().await;
    let old = Given::new("evt-old", State::Done, Duration::from_mins(5));
    make(&operator, [old]).await;
    let target = Target::start(StatusCode::OK).await;
    let child = listen(&operator, &target.url, &["--json"]);
    make(&operator, fresh("evt", 30)).await;
    let posted = target.wait_for(30).await;
    assert_eq!(names(&posted), ids("evt", 30));
    for request in &posted {
        request.expect_signed("stripe", SECRET, &target.url);
        assert_eq!(request.header("content-type"), "application/json");
        assert_eq!(request.header("user-agent"), "Stripe/1.0");
    }

    // The other schemes, a form among them.
    let mut push = Given::new("72d3162e", State::Received, Duration::ZERO).of("github", "push");
    push.event.provider = "github".into();
    push.event.headers.insert("x-github-hook-id".into(), "7".into());
    let mut standard = Given::new("msg_1", State::Received, Duration::ZERO)
        .of("standard_webhooks", "user.created");
    standard.event.provider = "standard_webhooks".into();
    let form = "MessageSid=SM1&MessageStatus=sent&Body=caf%C3%A9";
    let twilio = Given::new("hash", State::Received, Duration::ZERO)
        .of("twilio", "message.sent")
        .with_payload("application/x-www-form-urlencoded", form);
    let batch = Given::new("batch", State::Received, Duration::ZERO)
        .of("twilio", "event_streams.batch")
        .with_payload("application/json", "[]");
    make(&operator, [push, standard, twilio, batch]).await;
    let posted = target.wait_for(34).await;
    for request in &posted[30..] {
        let provider = if request.body == form || request.body == "[]" {
            "twilio"
        } else if request.header("webhook-id") == "msg_1" {
            "standard_webhooks"
        } else {
            "github"
        };
        request.expect_signed(provider, SECRET, &target.url);
        if provider == "github" {
            assert_eq!(request.header("x-github-event"), "push");
            assert_eq!(request.header("x-github-delivery"), "72d3162e");
            assert_eq!(request.header("x-github-hook-id"), "7");
        }
    }
    let ran = interrupt(child).await.expect(0);
    assert_eq!(ran.text().lines().count(), 34);
    assert!(ran.stderr.ends_with("34 events posted\n"), "{}", ran.stderr);
    assert!(!ran.stderr.contains(SECRET));
}

#[tokio::test]
async fn a_lost_connection_loses_no_event() {
    let operator = Operator::new().await;
    let target = Target::start(StatusCode::OK).await;
    let child = listen(&operator, &target.url, &[]);
    make(&operator, fresh("one", 5)).await;
    target.wait_for(5).await;
    // AWS is away while events arrive, also in the middle of a look.
    let count = AtomicUsize::new(0);
    operator.proxy.set_hook(move |_| {
        let is_away = !count.fetch_add(1, Ordering::SeqCst).is_multiple_of(8);
        if is_away { Fault::DropBefore } else { Fault::None }
    });
    make(&operator, fresh("two", 20)).await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    operator.proxy.clear_hook();
    target.wait_for(25).await;
    // Stamped before those that were given, and written after them.
    let late = ids("three", 5)
        .into_iter()
        .map(|id| Given::new(&id, State::Received, Duration::from_secs(8)));
    make(&operator, late).await;
    let mut names = names(&target.wait_for(30).await);
    // Nothing comes twice either.
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert_eq!(target.posted().len(), 30);
    names.sort();
    names.dedup();
    assert_eq!(names.len(), 30);
    let ran = interrupt(child).await.expect(0);
    assert!(ran.stderr.contains("trying again, nothing is missed"), "{}", ran.stderr);
    assert!(ran.stderr.contains("back again"), "{}", ran.stderr);
}

#[tokio::test]
async fn a_server_that_is_not_there_is_waited_for_and_one_that_refuses_is_told() {
    let operator = Operator::new().await;
    let target = Target::start(StatusCode::OK).await;
    let url = target.url.clone();
    let port = url.rsplit(':').next().unwrap().trim_end_matches("/in").parse().unwrap();
    drop(target);
    let child = listen(&operator, &url, &["--type", "invoice.*"]);
    let mut given = fresh("evt", 3);
    given.push(Given::new("other", State::Received, Duration::ZERO).of("stripe", "charge.failed"));
    make(&operator, given).await;
    tokio::time::sleep(Duration::from_millis(1500)).await;
    let target = Target::start_on(port, StatusCode::INTERNAL_SERVER_ERROR).await;
    let posted = target.wait_for(3).await;
    assert_eq!(names(&posted), ids("evt", 3));
    let ran = interrupt(child).await.expect(0);
    assert!(ran.stderr.contains("Connection refused"), "{}", ran.stderr);
    assert!(ran.text().lines().all(|line| line.contains("  500  ")), "{}", ran.text());
    assert_eq!(target.posted().len(), 3);
}

#[tokio::test]
async fn a_mistake_ends_it_at_once() {
    let mut operator = Operator::new().await;
    operator.set("table", "no-such-table".into());
    let ran = operator.run(&["listen", "--forward-to", "http://127.0.0.1:9/"]).await.expect(3);
    assert!(ran.stderr.contains("ResourceNotFoundException"), "{}", ran.stderr);
    let ran = operator
        .run(&["listen", "--source", "strype", "--forward-to", "http://127.0.0.1:9/"])
        .await
        .expect(2);
    assert!(ran.stderr.contains("known are github, standard_webhooks"), "{}", ran.stderr);
}

#[tokio::test]
async fn what_is_new_is_told_by_what_is_there_not_by_the_clock_here() {
    let operator = Operator::new().await;
    // The clocks that stamp are five minutes behind the one here.
    let behind = Duration::from_mins(5);
    let old = Given::new("old", State::Received, behind + Duration::from_secs(5));
    make(&operator, [old]).await;
    let target = Target::start(StatusCode::OK).await;
    let mut child = operator.start(&["listen", "--forward-to", &target.url, "--every", "1"]);
    let mut notes = tokio::io::BufReader::new(child.stderr.take().expect("piped")).lines();
    while !notes.next_line().await.unwrap().expect("it listens").starts_with("listening to") {}
    make(&operator, [Given::new("new", State::Received, behind)]).await;
    assert_eq!(names(&target.wait_for(1).await), ["new"]);
    interrupt(child).await.expect(0);
    assert_eq!(target.posted().len(), 1);
}

#[tokio::test]
async fn a_header_beyond_ascii_is_passed_on_and_ends_nothing() {
    let operator = Operator::new().await;
    let target = Target::start(StatusCode::OK).await;
    let child = listen(&operator, &target.url, &[]);
    let mut given = Given::new("evt-1", State::Received, Duration::ZERO);
    given.event.headers.insert("user-agent".into(), "Café/1.0".into());
    given.event.payload.content_type = "application/json; a=\"é\"".into();
    make(&operator, [given]).await;
    let posted = target.wait_for(1).await;
    assert_eq!(posted[0].parts.headers["user-agent"].as_bytes(), "Café/1.0".as_bytes());
    interrupt(child).await.expect(0);
}

#[tokio::test]
async fn an_address_that_cannot_be_posted_to_is_told_before_an_event_comes() {
    let operator = Operator::new().await;
    for address in ["localhost:3000", "localhost", "ftp://localhost/", ""] {
        let ran = operator.run(&["listen", "--forward-to", address]).await.expect(2);
        assert!(ran.stderr.contains("it must begin with http://"), "{}", ran.stderr);
    }
}

/// Answers the first request of each connection, and hangs up at the second.
async fn hangs_up(listener: tokio::net::TcpListener, count: Arc<AtomicUsize>) {
    while let Ok((mut stream, _)) = listener.accept().await {
        let count = Arc::clone(&count);
        tokio::spawn(async move {
            let mut request = vec![0; 64 * 1024];
            // Small enough to come in one piece, or its rest is not waited for.
            let _ = stream.read(&mut request).await;
            count.fetch_add(1, Ordering::SeqCst);
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
            let _ = stream.read(&mut request).await;
        });
    }
}

#[tokio::test]
async fn a_server_that_hangs_up_between_requests_misses_none() {
    let operator = Operator::new().await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/in", listener.local_addr().unwrap());
    let count = Arc::new(AtomicUsize::new(0));
    let server = tokio::spawn(hangs_up(listener, Arc::clone(&count)));
    make(&operator, fresh("evt", 6)).await;
    let child = listen(&operator, &url, &[]);
    let came = async {
        while count.load(Ordering::SeqCst) < 6 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), came).await.expect("all six come");
    let ran = interrupt(child).await.expect(0);
    assert!(!ran.text().contains("no answer"), "{}", ran.text());
    server.abort();
}
