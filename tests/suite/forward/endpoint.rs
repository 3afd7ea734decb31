//! An endpoint on loopback that does with each request what a test says, to the byte:
//! answers late, hangs up, never ends. It keeps what it was sent.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};

/// What becomes of a request.
#[derive(Clone, Debug)]
pub(crate) enum Act {
    /// This text is sent, and the connection is kept.
    Answer(String),
    /// The same after so much time.
    Late(Duration, String),
    /// This text is sent, and the connection is closed.
    HangUp(String),
    /// This text is sent, and more for ever.
    Endless(String),
    /// Nothing is sent, and the connection is kept.
    Hang,
}

/// An answer with a status and a short body.
pub(crate) fn says(status: u16, body: &str) -> Act {
    Act::Answer(head(status, "", body.len()) + body)
}

/// The same with further headers, each a line.
pub(crate) fn says_with(status: u16, headers: &str, body: &str) -> Act {
    Act::Answer(head(status, headers, body.len()) + body)
}

/// An answer's head, for a body of so many bytes.
pub(crate) fn head(status: u16, headers: &str, body_bytes: usize) -> String {
    format!("HTTP/1.1 {status} as told\r\ncontent-length: {body_bytes}\r\n{headers}\r\n")
}

/// A request as it came.
#[derive(Clone, Debug)]
pub(crate) struct Received {
    pub(crate) line: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Received {
    pub(crate) fn header(&self, name: &str) -> &str {
        let mut found = self.headers.iter().filter(|(known, _)| known == name);
        let (_, value) = found.next().unwrap_or_else(|| panic!("no {name} in {self:?}"));
        assert_eq!(found.next(), None, "{name} twice");
        value
    }
}

type Script = Arc<dyn Fn(usize) -> Act + Send + Sync>;

/// A running endpoint; dropping it closes the port and every connection.
pub(crate) struct Endpoint {
    pub(crate) port: u16,
    received: Arc<Mutex<Vec<Received>>>,
    connections: Arc<Mutex<usize>>,
    task: JoinHandle<()>,
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Endpoint {
    /// Does with the nth request, from 0, what `script` says.
    pub(crate) async fn start(script: impl Fn(usize) -> Act + Send + Sync + 'static) -> Self {
        Self::on(TcpListener::bind("127.0.0.1:0").await.expect("a free port"), script)
    }

    /// The same on a port that a test has chosen.
    pub(crate) fn on(
        listener: TcpListener,
        script: impl Fn(usize) -> Act + Send + Sync + 'static,
    ) -> Self {
        let port = listener.local_addr().expect("an address").port();
        let script: Script = Arc::new(script);
        let received: Arc<Mutex<Vec<Received>>> = Arc::default();
        let connections: Arc<Mutex<usize>> = Arc::default();
        let (kept, counted) = (Arc::clone(&received), Arc::clone(&connections));
        let task = tokio::spawn(async move {
            let mut all = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                *counted.lock().unwrap() += 1;
                while all.try_join_next().is_some() {}
                let _ = stream.set_nodelay(true);
                all.spawn(serve(stream, Arc::clone(&script), Arc::clone(&kept)));
            }
        });
        Self { port, received, connections, task }
    }

    /// Does the same with every request.
    pub(crate) async fn always(act: Act) -> Self {
        Self::start(move |_| act.clone()).await
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}/hooks", self.port)
    }

    pub(crate) fn received(&self) -> Vec<Received> {
        self.received.lock().unwrap().clone()
    }

    /// How often somebody connected.
    pub(crate) fn connections(&self) -> usize {
        *self.connections.lock().unwrap()
    }
}

/// Serves one connection, of whatever kind.
pub(crate) async fn serve<S: AsyncRead + AsyncWrite + Unpin>(
    mut stream: S,
    script: Script,
    received: Arc<Mutex<Vec<Received>>>,
) {
    while let Some(request) = read(&mut stream).await {
        let number = {
            let mut received = received.lock().unwrap();
            received.push(request);
            received.len() - 1
        };
        // What goes wrong on a connection is the client's to see.
        match script(number) {
            Act::Answer(text) => drop(stream.write_all(text.as_bytes()).await),
            Act::Late(wait, text) => {
                tokio::time::sleep(wait).await;
                let _ = stream.write_all(text.as_bytes()).await;
            }
            Act::HangUp(text) => {
                let _ = stream.write_all(text.as_bytes()).await;
                let _ = stream.shutdown().await;
                return;
            }
            Act::Endless(text) => {
                let _ = stream.write_all(text.as_bytes()).await;
                while stream.write_all(&[b'.'; 1024]).await.is_ok() {}
                return;
            }
            Act::Hang => std::future::pending().await,
        }
    }
}

/// One request; nothing when the client went away.
async fn read<S: AsyncRead + Unpin>(stream: &mut S) -> Option<Received> {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break end;
        }
        (stream.read_buf(&mut bytes).await.ok()? > 0).then_some(())?;
    };
    let head = String::from_utf8(bytes[..end].to_vec()).expect("a head is ASCII");
    let mut lines = head.split("\r\n").map(str::to_owned);
    let line = lines.next().expect("a request line");
    let headers: Vec<(String, String)> = lines
        .map(|line| {
            let (name, value) = line.split_once(": ").expect("a header");
            (name.to_owned(), value.to_owned())
        })
        .collect();
    let length = headers.iter().find(|(name, _)| name == "content-length");
    let length: usize = length.map_or(0, |(_, value)| value.parse().expect("a length"));
    let mut body = bytes.split_off(end + 4);
    while body.len() < length {
        (stream.read_buf(&mut body).await.ok()? > 0).then_some(())?;
    }
    Some(Received { line, headers, body })
}
