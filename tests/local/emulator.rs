//! `MiniStack` as a child process that cannot outlive its parent.
//!
//! ```text
//! this process ── standard input ──▶ emulator.py ── runs `MiniStack` in-process
//!                                      │               └─ starts the functions
//!                                      └─ end of file: ends them, then itself
//! ```
//!
//! The wrapper chooses and binds its port and writes it to a file, so there is no
//! moment in which another process can take it. Everything lies in one directory, that
//! nobody else may read: `emulator.log`, `port`, `decisions.jsonl`, and `tmp/`, which the
//! wrapper removes at its end.
//!
//! It lets this run's programs in and nobody else (`emulator_door.py`), verifies
//! signatures and enforces IAM (`emulator_iam.py`).

use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

use crate::access::AccessKey;
use crate::{LocalError, decisions, http_client, paths, private};

/// The region everything lives in.
pub const REGION: &str = "us-east-1";
/// The emulator's account for callers whose access key is no account number.
pub const ACCOUNT_ID: &str = "000000000000";
/// Start-up takes 1.5 s; a busy two-core machine has needed ten times that.
const HEALTHY_WITHIN: Duration = Duration::from_mins(1);
const STOPPED_WITHIN: Duration = Duration::from_secs(5);
const LOG_TAIL_LINES: usize = 30;

/// A running emulator. Dropping it stops it and waits until it is gone;
/// [`Emulator::stop`] does the same without blocking the runtime.
#[derive(Debug)]
pub struct Emulator {
    child: Child,
    stdin: Option<ChildStdin>,
    endpoint_url: String,
    log_file: PathBuf,
    decisions: PathBuf,
}

impl Emulator {
    /// Starts `MiniStack` in `directory`, which is created, and waits until it answers.
    pub async fn start(directory: &Path) -> Result<Self, LocalError> {
        let python = paths::emulator_python()?;
        let temporary = directory.join("tmp");
        private::create_directory(directory)?;
        private::create_directory(&temporary)?;
        let port_file = directory.join("port");
        let _ = std::fs::remove_file(&port_file);
        let log_file = directory.join("emulator.log");
        let log = private::create(&log_file)?;
        let errors = log.try_clone().map_err(LocalError::io("share the emulator's log"))?;

        let decisions = decisions::file(directory)?;
        let mut child = command(&python, &port_file, &temporary, &decisions)
            .stdin(Stdio::piped())
            .stdout(log)
            .stderr(errors)
            .spawn()
            .map_err(LocalError::io(format!("start {}", python.display())))?;
        let stdin = child.stdin.take();
        let mut emulator = Self { child, stdin, endpoint_url: String::new(), log_file, decisions };
        emulator.wait_until_healthy(&port_file).await?;
        Ok(emulator)
    }

    async fn wait_until_healthy(&mut self, port_file: &Path) -> Result<(), LocalError> {
        let deadline = Instant::now() + HEALTHY_WITHIN;
        while Instant::now() < deadline {
            if let Some(status) =
                self.child.try_wait().map_err(LocalError::io("ask for the emulator's status"))?
            {
                return Err(LocalError::EmulatorExited {
                    status: status.to_string(),
                    log_tail: self.log_tail(),
                });
            }
            if let Ok(port) = std::fs::read_to_string(port_file) {
                self.endpoint_url = format!("http://127.0.0.1:{port}");
                let url = format!("{}/_ministack/health", self.endpoint_url);
                let answer =
                    tokio::time::timeout(Duration::from_secs(2), http_client::get(&url)).await;
                if matches!(answer, Ok(Ok(response)) if response.status().is_success()) {
                    return Ok(());
                }
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        Err(LocalError::EmulatorUnhealthy {
            seconds: HEALTHY_WITHIN.as_secs(),
            log_tail: self.log_tail(),
        })
    }

    /// Where AWS clients send their calls.
    #[must_use]
    pub fn endpoint_url(&self) -> &str {
        &self.endpoint_url
    }

    /// Where it writes what it decides: see [`crate::decisions`].
    #[must_use]
    pub fn decisions(&self) -> &Path {
        &self.decisions
    }

    /// The id of the wrapper's process.
    #[must_use]
    pub fn process_id(&self) -> u32 {
        self.child.id()
    }

    /// The last lines of its log.
    #[must_use]
    pub fn log_tail(&self) -> String {
        let log = std::fs::read(&self.log_file).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(LOG_TAIL_LINES)..].join("\n")
    }

    /// How it ended, when it has: by itself, or because somebody killed it.
    pub fn ended(&mut self) -> Option<String> {
        match self.child.try_wait() {
            Ok(None) => None,
            Ok(Some(status)) => Some(status.to_string()),
            Err(error) => Some(error.to_string()),
        }
    }

    /// Ends it, with every function it started, and waits until it is gone.
    pub async fn stop(mut self) {
        self.stdin = None;
        let deadline = Instant::now() + STOPPED_WITHIN;
        while Instant::now() < deadline && matches!(self.child.try_wait(), Ok(None)) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        // Dropping `self` ends what has not ended by then.
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        self.stdin = None;
        let deadline = Instant::now() + STOPPED_WITHIN;
        while matches!(self.child.try_wait(), Ok(None)) {
            if Instant::now() > deadline {
                let _ = self.child.kill();
                let _ = self.child.wait();
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

/// The environment is made from nothing: the functions inherit it (all but the root key,
/// instead of which they get their role's session), and neither a
/// developer's AWS profile, which lies under `HOME`, nor proxy settings may reach
/// them.
fn command(python: &Path, port_file: &Path, temporary: &Path, decisions: &Path) -> Command {
    let mut command = Command::new(python);
    command
        .arg("-u")
        .arg(paths::emulator_script())
        .arg(port_file)
        .env_clear()
        .envs(std::env::var_os("PATH").map(|path| ("PATH", path)))
        .envs(AccessKey::root().environment())
        .env("AUTH", "true")
        .env("DECISIONS_FILE", decisions)
        .env("HOME", temporary)
        .env("LANG", "C.UTF-8")
        .env("TMPDIR", temporary)
        .env("STATE_DIR", temporary.join("state"))
        .env("S3_DATA_DIR", temporary.join("s3"))
        .env("BIND_HOST", "127.0.0.1")
        .env("MINISTACK_REGION", REGION)
        .env("MINISTACK_ACCOUNT_ID", ACCOUNT_ID)
        // Listeners on fixed ports that nobody asked for.
        .env("IOT_MTLS_ENABLED", "0")
        .env("SFTP_ENABLED", "0")
        // The functions run as processes even where a container engine is there.
        .env("LAMBDA_EXECUTOR", "local")
        .env("DOCKER_HOST", format!("unix://{}", temporary.join("no-docker").display()))
        .env("LOG_LEVEL", "INFO");
    #[cfg(unix)]
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    command
}

#[cfg(test)]
#[path = "emulator_tests.rs"]
mod tests;
