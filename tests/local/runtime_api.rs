//! Runs one real function binary, as the Lambda service would, without the emulator.
//!
//! ```text
//! test ── invoke ──▶ queue ──▶ GET  …/runtime/invocation/next      ┐
//!      ◀── result ───────────  POST …/invocation/{id}/response     │ the function's
//!      ◀── function error ───  POST …/invocation/{id}/error        │ process
//!      ◀── init error ───────  POST …/runtime/init/error           │
//!      ◀── Exited ───────────  the process ended                   ┘
//! ```
//!
//! <https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html>. One
//! invocation at a time, as in an execution environment. A process that is still
//! working at its deadline is killed, as Lambda does.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use serde_json::Value;
use tokio::process::{Child, Command};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;

use crate::access::AccessKey;
use crate::child_output::Output;
use crate::emulator::{ACCOUNT_ID, REGION};
use crate::runtime_exchange::{Exchange, Invocation};
use crate::server::{self, Server};
use crate::watch::Watch;
use crate::{LocalError, sessions};

/// Lambda's own limit on the init phase.
const INIT_WITHIN: Duration = Duration::from_secs(10);

/// A function to be run.
#[derive(Debug, Clone)]
pub struct FunctionOptions {
    /// Its name, for the environment.
    pub name: String,
    /// The binary.
    pub binary: PathBuf,
    /// Its arguments; a real function has none.
    pub arguments: Vec<String>,
    /// Its environment besides what Lambda sets; nothing else is inherited but `PATH`.
    pub environment: BTreeMap<String, String>,
    /// Where its output is appended, besides being kept in memory.
    pub log_file: Option<PathBuf>,
}

impl FunctionOptions {
    /// A binary with an environment.
    pub fn new<K: Into<String>, V: Into<String>>(
        binary: impl Into<PathBuf>,
        environment: impl IntoIterator<Item = (K, V)>,
    ) -> Self {
        let binary = binary.into();
        let name =
            binary.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        Self {
            name,
            binary,
            arguments: Vec::new(),
            environment: environment
                .into_iter()
                .map(|(name, value)| (name.into(), value.into()))
                .collect(),
            log_file: None,
        }
    }
}

/// How an invocation, or the start of a function, went wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvokeError {
    /// The function reported an error and lives on.
    #[error("the function failed: {error_type}: {message}")]
    Function {
        /// Its type.
        error_type: String,
        /// Its message.
        message: String,
    },
    /// The function reported that it could not start.
    #[error("the function could not start: {error_type}: {message}")]
    Init {
        /// Its type.
        error_type: String,
        /// Its message.
        message: String,
    },
    /// The process ended without an answer.
    #[error("the process ended: {status}")]
    Exited {
        /// How, as the operating system says it.
        status: String,
    },
    /// The deadline passed; the process was killed.
    #[error("no answer within the deadline; the process was killed")]
    TimedOut,
}

/// A function's process. Dropping it kills it.
#[derive(Debug)]
pub struct FunctionHost {
    invocations: mpsc::Sender<Invocation>,
    exchange: Arc<Exchange>,
    exit: watch::Receiver<Option<String>>,
    killer: Killer,
    output: Output,
    process_id: u32,
    keeper: JoinHandle<()>,
    _server: Server,
}

/// Kills a function's process, from anywhere: a proxy's hook, say.
#[derive(Debug, Clone)]
pub struct Killer(mpsc::UnboundedSender<()>);

impl Killer {
    /// Sends SIGKILL; returns before the process is gone.
    pub fn kill(&self) {
        let _ = self.0.send(());
    }
}

impl FunctionHost {
    /// Starts the process and waits until it asks for its first event.
    ///
    /// The outer error is this machine's, the inner one the function's; with the
    /// latter comes what it had written.
    pub async fn start(
        options: FunctionOptions,
    ) -> Result<Result<Self, (InvokeError, String)>, LocalError> {
        let host = Self::spawn(options).await?;
        match host.wait_until_initialised().await {
            Ok(()) => Ok(Ok(host)),
            Err(error) => {
                host.kill().await;
                let output = host.output();
                Ok(Err((error, output)))
            }
        }
    }

    async fn spawn(options: FunctionOptions) -> Result<Self, LocalError> {
        let listener = server::listen(0).await?;
        let address =
            listener.local_addr().map_err(LocalError::io("read the runtime API's port"))?;
        let (invocations, waiting) = mpsc::channel(1);
        let exchange = Arc::new(Exchange {
            waiting: tokio::sync::Mutex::new(waiting),
            current: Mutex::default(),
            initialised: watch::Sender::new(None),
            arn: format!("arn:aws:lambda:{REGION}:{ACCOUNT_ID}:function:{}", options.name),
        });
        let handler = Arc::clone(&exchange);
        let server = server::serve(listener, move |request| {
            let exchange = Arc::clone(&handler);
            async move { exchange.handle(request).await }
        });
        let key = sessions::of_function(&options.environment).await?;
        let mut child = command(&options, &address.to_string(), key.as_ref())
            .spawn()
            .map_err(LocalError::io(format!("start {}", options.binary.display())))?;
        let process_id = child.id().unwrap_or_default();
        let output = Output::capture(&mut child, &options.name, options.log_file.clone()).await?;
        let (kill, killed) = mpsc::unbounded_channel();
        let (exited, exit) = watch::channel(None);
        let keeper = tokio::spawn(keep(child, killed, exited));
        Ok(Self {
            invocations,
            exchange,
            exit,
            killer: Killer(kill),
            output,
            process_id,
            keeper,
            _server: server,
        })
    }

    async fn wait_until_initialised(&self) -> Result<(), InvokeError> {
        let mut initialised = self.exchange.initialised.subscribe();
        tokio::select! {
            biased;
            outcome = initialised.wait_for(Option::is_some) => match outcome.as_deref() {
                Ok(Some(Err(error))) => Err(error.clone()),
                _ => Ok(()),
            },
            status = self.exited() => Err(InvokeError::Exited { status }),
            () = tokio::time::sleep(INIT_WITHIN) => Err(InvokeError::TimedOut),
        }
    }

    /// Hands the function an event and waits for its answer.
    pub async fn invoke(
        &mut self,
        event: impl Into<Bytes>,
        deadline: Duration,
    ) -> Result<Bytes, InvokeError> {
        let id = uuid::Uuid::new_v4().to_string();
        let (sender, answer) = oneshot::channel();
        *lock(&self.exchange.current) = Some((id.clone(), sender));
        let invocation = Invocation {
            id,
            event: event.into(),
            deadline_ms: (SystemTime::now() + deadline)
                .duration_since(UNIX_EPOCH)
                .map_or(0, |time| time.as_millis()),
        };
        let work = async {
            // The channel holds one: it is full only when the process never
            // fetched the last event, and then it is about to be killed.
            let _ = self.invocations.send(invocation).await;
            answer.await
        };
        tokio::select! {
            biased;
            outcome = work => outcome.unwrap_or(Err(InvokeError::TimedOut)),
            status = self.exited() => Err(InvokeError::Exited { status }),
            () = tokio::time::sleep(deadline) => {
                self.kill().await;
                Err(InvokeError::TimedOut)
            }
        }
    }

    /// The same with JSON on both sides.
    ///
    /// # Panics
    ///
    /// When the function answers something that is no JSON.
    pub async fn invoke_json(
        &mut self,
        event: &Value,
        deadline: Duration,
    ) -> Result<Value, InvokeError> {
        let answer = self.invoke(event.to_string(), deadline).await?;
        Ok(serde_json::from_slice(&answer).expect("a function answers JSON"))
    }

    /// Kills the process and waits until it is gone.
    pub async fn kill(&self) {
        self.killer.kill();
        self.exited().await;
    }

    /// Something to kill the process with while [`FunctionHost::invoke`] waits.
    #[must_use]
    pub fn killer(&self) -> Killer {
        self.killer.clone()
    }

    /// The process's id.
    #[must_use]
    pub fn process_id(&self) -> u32 {
        self.process_id
    }

    /// Everything it has written to standard output and standard error.
    #[must_use]
    pub fn output(&self) -> String {
        self.output.text()
    }

    /// Waits for the end of the process and of its output.
    async fn exited(&self) -> String {
        let mut exit = self.exit.clone();
        let status = match exit.wait_for(Option::is_some).await {
            Ok(status) => status.clone().unwrap_or_default(),
            Err(_) => "its keeper is gone".to_owned(),
        };
        self.output.finished().await;
        status
    }
}

impl Drop for FunctionHost {
    /// The keeper owns the process, which is killed when it is dropped.
    fn drop(&mut self) {
        self.keeper.abort();
        Watch::of_this_run().check();
    }
}

/// Lambda gives a function the keys of its role. One that is of no bed gets keys that
/// open nothing.
fn command(options: &FunctionOptions, address: &str, key: Option<&AccessKey>) -> Command {
    let nobody = vec![("AWS_ACCESS_KEY_ID", "NOBODY"), ("AWS_SECRET_ACCESS_KEY", "NOBODY")];
    let mut command = Command::new(&options.binary);
    command
        .args(&options.arguments)
        .env_clear()
        .envs(std::env::var_os("PATH").map(|path| ("PATH", path)))
        .env("AWS_REGION", REGION)
        .env("AWS_DEFAULT_REGION", REGION)
        .envs(key.map_or(nobody, AccessKey::environment))
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .env("AWS_LAMBDA_FUNCTION_NAME", &options.name)
        .env("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST")
        .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256")
        .env("AWS_LAMBDA_LOG_GROUP_NAME", format!("/aws/lambda/{}", options.name))
        .env("AWS_LAMBDA_LOG_STREAM_NAME", "local")
        .env("_HANDLER", "bootstrap")
        .envs(&options.environment)
        .env("AWS_LAMBDA_RUNTIME_API", address)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

/// Owns the process until it ends or is to be killed.
async fn keep(
    mut child: Child,
    mut killed: mpsc::UnboundedReceiver<()>,
    exited: watch::Sender<Option<String>>,
) {
    let status = tokio::select! {
        status = child.wait() => status,
        _ = killed.recv() => {
            let _ = child.start_kill();
            child.wait().await
        }
    };
    exited.send_replace(Some(match status {
        Ok(status) => status.to_string(),
        Err(error) => error.to_string(),
    }));
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
#[path = "runtime_api_tests.rs"]
mod tests;
