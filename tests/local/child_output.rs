//! What a child process writes, kept in memory and in a file.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::Child;
use tokio::sync::watch;

use crate::watch::{Lines, Watch};
use crate::{LocalError, private};

/// How long the last output of an ended process is waited for.
const OUTPUT_WITHIN: Duration = Duration::from_secs(1);

/// Reads the process's output for its whole life: a full pipe would block it.
#[derive(Debug)]
pub(crate) struct Output {
    bytes: Arc<Mutex<Vec<u8>>>,
    open: watch::Receiver<usize>,
}

impl Output {
    pub(crate) async fn capture(
        child: &mut Child,
        name: &str,
        log_file: Option<PathBuf>,
    ) -> Result<Self, LocalError> {
        let bytes = Arc::new(Mutex::new(Vec::new()));
        let (open, receiver) = watch::channel(2);
        let open = Arc::new(open);
        let log = match log_file {
            Some(path) => Some(Arc::new(tokio::sync::Mutex::new(
                tokio::fs::OpenOptions::new()
                    .create(true)
                    .append(true)
                    .mode(private::FILE)
                    .open(&path)
                    .await
                    .map_err(LocalError::io(format!("open {}", path.display())))?,
            ))),
            None => None,
        };
        let streams: [Option<Box<dyn AsyncRead + Send + Unpin>>; 2] = [
            child.stdout.take().map(|stream| Box::new(stream) as _),
            child.stderr.take().map(|stream| Box::new(stream) as _),
        ];
        for stream in streams.into_iter().flatten() {
            let (bytes, log, open) = (Arc::clone(&bytes), log.clone(), Arc::clone(&open));
            let mut lines = Lines::new(Watch::of_this_run(), name.to_owned());
            tokio::spawn(async move {
                pump(stream, &bytes, log.as_deref(), &mut lines).await;
                lines.end();
                open.send_modify(|count| *count -= 1);
            });
        }
        Ok(Self { bytes, open: receiver })
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&lock(&self.bytes)).into_owned()
    }

    /// A child of the function may hold the pipes open, so this gives up.
    pub(crate) async fn finished(&self) {
        let mut open = self.open.clone();
        let _ = tokio::time::timeout(OUTPUT_WITHIN, open.wait_for(|count| *count == 0)).await;
    }
}

async fn pump(
    mut stream: Box<dyn AsyncRead + Send + Unpin>,
    bytes: &Mutex<Vec<u8>>,
    log: Option<&tokio::sync::Mutex<tokio::fs::File>>,
    lines: &mut Lines<'_>,
) {
    let mut buffer = vec![0; 16 * 1024];
    while let Ok(read @ 1..) = stream.read(&mut buffer).await {
        lines.take(&buffer[..read]);
        lock(bytes).extend_from_slice(&buffer[..read]);
        if let Some(log) = log {
            let mut log = log.lock().await;
            let _ = log.write_all(&buffer[..read]).await;
            let _ = log.flush().await;
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
