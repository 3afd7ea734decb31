use std::net::IpAddr;
use std::sync::Mutex;

use futures_util::FutureExt as _;
use http::HeaderMap;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::super::address;
use super::super::client;
use super::super::resolver::{Lookup, Resolver};
use super::*;

/// A name server's answers, one for each question; the questions are counted.
fn answering(answers: &[&str]) -> (Lookup, Arc<Mutex<usize>>) {
    let asked = Arc::new(Mutex::new(0));
    let count = Arc::clone(&asked);
    let answers: Vec<IpAddr> = answers.iter().map(|text| text.parse().unwrap()).collect();
    let lookup: Lookup = Arc::new(move |_| {
        let mut asked = count.lock().unwrap();
        let answer = answers[*asked];
        *asked += 1;
        async move { Ok(vec![answer]) }.boxed()
    });
    (lookup, asked)
}

/// Answers each connection once with this text, as often as it is called.
fn serve(listener: TcpListener, answer: &'static str) -> (Served, Arc<Mutex<usize>>) {
    let served = Arc::new(Mutex::new(0));
    let count = Arc::clone(&served);
    let task = tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            *count.lock().unwrap() += 1;
            let mut head = [0; 4096];
            let _ = stream.read(&mut head).await;
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    (Served(task), served)
}

struct Served(JoinHandle<()>);

impl Drop for Served {
    fn drop(&mut self) {
        self.0.abort();
    }
}

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";

fn message() -> Message {
    Message { headers: HeaderMap::new(), body: "{}".into() }
}

fn client(resolver: Resolver) -> HttpClient {
    client::client(client::tls().unwrap(), resolver)
}

fn endpoint(address: &str) -> Endpoint {
    Endpoint::read(address, true).unwrap()
}

/// One address is public for this test, as far as the resolver knows.
fn all_but_127_0_0_2(address: IpAddr) -> Option<&'static str> {
    let is_public = address == IpAddr::from([127, 0, 0, 2]);
    (!is_public).then_some("loopback")
}

/// DNS rebinding: the name is asked for once for each connection, and the connection
/// goes to the address that was judged.
#[tokio::test]
async fn a_name_that_turns_private_is_not_followed_there() {
    let public = TcpListener::bind("127.0.0.2:0").await.unwrap();
    let port = public.local_addr().unwrap().port();
    let private = TcpListener::bind(("127.0.0.1", port)).await.unwrap();
    let (_public, at_public) = serve(public, OK);
    let (_private, at_private) = serve(private, OK);
    let (lookup, asked) = answering(&["127.0.0.2", "127.0.0.1"]);
    let client = client(Resolver { lookup, judge: all_but_127_0_0_2 });
    let endpoint = endpoint(&format!("http://rebinding.example:{port}/t0ken"));
    let limit = Duration::from_secs(10);

    let first = post(&client, &endpoint, message(), limit).await;
    assert_eq!(first.ok().map(|answer| answer.status.as_u16()), Some(200));
    assert_eq!(*asked.lock().unwrap(), 1);
    let second = post(&client, &endpoint, message(), limit).await;
    assert_eq!(
        second.err(),
        Some(Silence {
            reason: "rebinding.example leads to 127.0.0.1 (loopback), where nothing is sent: if \
                     it is meant, set the route's `allow_private_addresses` to true"
                .into(),
            is_endpoints: false,
        })
    );
    assert_eq!(*asked.lock().unwrap(), 2);
    assert_eq!((*at_public.lock().unwrap(), *at_private.lock().unwrap()), (1, 0));
}

#[tokio::test]
async fn a_name_of_a_refused_address_is_never_connected_to() {
    let private = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = private.local_addr().unwrap().port();
    let (_private, at_private) = serve(private, OK);
    let (lookup, _) = answering(&["127.0.0.1"]);
    let client = client(Resolver { lookup, judge: address::refused });
    let endpoint = endpoint(&format!("http://crm.example:{port}/"));
    let silence = post(&client, &endpoint, message(), Duration::from_secs(10)).await.err();
    assert_eq!(silence.map(|silence| silence.is_endpoints), Some(false));
    assert_eq!(*at_private.lock().unwrap(), 0);
}

#[tokio::test]
async fn a_name_that_nobody_knows_is_a_silence_without_the_address() {
    let lookup: Lookup =
        Arc::new(|_| async { Err(std::io::Error::other("jane-doe.example")) }.boxed());
    let client = client(Resolver { lookup, judge: address::refused });
    let endpoint = endpoint("https://crm.example/t0ken?key=s3cret");
    let silence = post(&client, &endpoint, message(), Duration::from_secs(10)).await.err().unwrap();
    assert_eq!(silence.reason, "crm.example: no connection: its name has no address");
    assert!(silence.is_endpoints);
}

/// It listens and never accepts: the connection stands, and nothing comes.
#[tokio::test]
async fn what_is_not_answered_in_time_is_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let client = client(Resolver::any());
    let endpoint = endpoint(&format!("http://127.0.0.1:{port}/t0ken?key=s3cret"));
    let silence =
        post(&client, &endpoint, message(), Duration::from_millis(200)).await.err().unwrap();
    assert_eq!(silence.reason, format!("127.0.0.1:{port}: no answer within 0.2 s"));
    assert!(silence.is_endpoints);
}

/// An endless body is left alone once its beginning is there: whoever sends it gets rid
/// of what the connection's buffers hold, and no more.
#[tokio::test]
async fn of_a_body_without_end_only_the_beginning_is_read() {
    const BUFFERED_BYTES: usize = 16 * 1024 * 1024;
    for (status, kept) in [(500, REFUSAL_BYTES), (200, DRAINED_BYTES)] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let sent = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut head = [0; 4096];
            let _ = stream.read(&mut head).await;
            let head = format!("HTTP/1.1 {status} as told\r\n\r\n");
            let _ = stream.write_all(head.as_bytes()).await;
            let (piece, mut sent) = (vec![b'x'; 64 * 1024], 0);
            while stream.write_all(&piece).await.is_ok() {
                sent += piece.len();
            }
            sent
        });
        let client = client(Resolver::any());
        let endpoint = endpoint(&format!("http://127.0.0.1:{port}/"));
        let answer = post(&client, &endpoint, message(), Duration::from_secs(10)).await;
        let answer = answer.ok().unwrap();
        assert_eq!((answer.status.as_u16(), answer.beginning.len()), (status, kept));
        let sent = sent.await.unwrap();
        assert!(sent < BUFFERED_BYTES, "{sent} bytes");
    }
}

/// 103 without end: whoever sends it gets rid of what the connection's buffers hold, and
/// no more.
#[tokio::test]
async fn interim_answers_without_end_are_not_listened_to() {
    const BUFFERED_BYTES: usize = 16 * 1024 * 1024;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let sent = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut head = [0; 4096];
        let _ = stream.read(&mut head).await;
        let hints = "HTTP/1.1 103 Early Hints\r\nlink: </a.css>\r\n\r\n".repeat(100);
        let mut sent = 0;
        while stream.write_all(hints.as_bytes()).await.is_ok() {
            sent += hints.len();
        }
        sent
    });
    let client = client(Resolver::any());
    let endpoint = endpoint(&format!("http://127.0.0.1:{port}/"));
    let limit = Duration::from_mins(1);
    let silence = post(&client, &endpoint, message(), limit).await.err().unwrap();
    assert_eq!(
        silence.reason,
        format!("127.0.0.1:{port}: no answer after 20 interim answers (1xx)")
    );
    assert!(silence.is_endpoints);
    // The connection is closed: the endpoint is told so before the limit.
    let sent = tokio::time::timeout(limit / 2, sent).await.expect("it is cut off").unwrap();
    assert!(sent < BUFFERED_BYTES, "{sent} bytes of interim answers were taken");
}

#[tokio::test]
async fn a_few_interim_answers_are_no_answer_and_no_fault() {
    const HINTED: &str = "HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\n\r\n\
                          HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n";
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (_served, _) = serve(listener, HINTED);
    let client = client(Resolver::any());
    let endpoint = endpoint(&format!("http://127.0.0.1:{port}/"));
    let answer = post(&client, &endpoint, message(), Duration::from_secs(10)).await;
    assert_eq!(answer.ok().map(|answer| answer.status.as_u16()), Some(204));
}
