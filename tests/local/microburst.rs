//! `microburst` as a child process: faults in the very wire format of AWS.
//!
//! ```text
//! function ─▶ proxy, which decides ── x-inbox-fault: throttled ──▶ microburst ─▶ upstream
//! ```
//!
//! It has one rule for each fault and service, matched by a header, and never a new
//! one: so who decides can do so for each call by itself, tests at the same time do
//! not share rules, and nothing races a rule on its way. What it did is asked of it
//! ([`Microburst::fired`]), so that no test believes in a fault that never was.
//!
//! A delayed call is forwarded even when its client has given up meanwhile: the write
//! lands late, perhaps after its own repetition, as it may in the cloud.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::calls::{Call, Fault};
use crate::{LocalError, http_client, paths, private};

/// Names the fault that a call is to be given.
pub const HEADER_FAULT: &str = "x-inbox-fault";
/// Python and the service models of botocore take 0.7 s; a busy machine, many more.
const READY_WITHIN: Duration = Duration::from_mins(1);
/// Longer than an attempt may take, of `Limits::FOREGROUND` and `BACKGROUND`.
const DELAY_FOREGROUND_MS: u32 = 900;
const DELAY_BACKGROUND_MS: u32 = 1700;

/// What can happen to a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Injected {
    /// Refused for its rate.
    Throttled,
    /// The service fails.
    InternalError,
    /// The connection ends before the request is forwarded.
    Reset,
    /// The write landed, and the connection ends before the answer.
    ReplyLost,
    /// The write landed, and half of the answer's body comes, as if it were the whole.
    Truncated,
    /// The request arrives when its client has given up.
    Delayed,
}

impl Injected {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Throttled,
        Self::InternalError,
        Self::Reset,
        Self::ReplyLost,
        Self::Truncated,
        Self::Delayed,
    ];

    /// The header's value.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Throttled => "throttled",
            Self::InternalError => "internal_error",
            Self::Reset => "reset",
            Self::ReplyLost => "reply_lost",
            Self::Truncated => "truncated",
            Self::Delayed => "delayed",
        }
    }

    /// The fault for a call. SQS's throttling is the proxy's own: microburst puts a
    /// namespace before every code in `x-amzn-query-error`, and by that name no SDK
    /// knows it for throttling. SQS gives it for some codes only. So is S3's lost reply:
    /// microburst breaks bodies off, and most of S3's answers have none.
    #[must_use]
    pub fn strike(self, call: &Call) -> Fault {
        match self {
            Self::Throttled if call.service == "sqs" => Fault::status(403, "RequestThrottled"),
            Self::ReplyLost if call.service == "s3" => Fault::DropReply,
            _ => Fault::Inject(self),
        }
    }

    /// Whether the call reaches the service all the same.
    #[must_use]
    pub const fn lands(self) -> bool {
        matches!(self, Self::ReplyLost | Self::Truncated | Self::Delayed)
    }
}

/// A running fault proxy. Dropping it ends it.
#[derive(Debug)]
pub struct Microburst {
    child: Child,
    stdin: Option<ChildStdin>,
    url: String,
}

impl Microburst {
    /// Starts it in `directory`, which is created, before `upstream`.
    pub async fn start(directory: &Path, upstream: &str) -> Result<Self, LocalError> {
        private::create_directory(directory)?;
        let port_file = directory.join("port");
        let log = private::create(&directory.join("microburst.log"))?;
        let python = paths::emulator_python()?;
        let mut child = Command::new(&python)
            .arg(paths::fault_proxy_script())
            .arg(&port_file)
            .arg(upstream)
            .arg(Value::from(rules()).to_string())
            .env_clear()
            .envs(std::env::var_os("PATH").map(|path| ("PATH", path)))
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .map_err(LocalError::io(format!("start {}", python.display())))?;
        let stdin = child.stdin.take();
        let mut started = Self { child, stdin, url: String::new() };
        started.wait_until_ready(&port_file).await?;
        Ok(started)
    }

    async fn wait_until_ready(&mut self, port_file: &Path) -> Result<(), LocalError> {
        let failed = |reason: String| LocalError::Call { what: "start microburst".into(), reason };
        let deadline = Instant::now() + READY_WITHIN;
        while Instant::now() < deadline {
            if let Ok(Some(status)) = self.child.try_wait() {
                return Err(failed(format!("it ended with {status}; is `make setup` done?")));
            }
            if let Ok(port) = std::fs::read_to_string(port_file) {
                self.url = format!("http://127.0.0.1:{port}");
                let url = format!("{}/_microburst/health", self.url);
                let answer =
                    tokio::time::timeout(Duration::from_secs(2), http_client::get(&url)).await;
                if matches!(answer, Ok(Ok(response)) if response.status().is_success()) {
                    return Ok(());
                }
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        Err(failed(format!("not ready after {} s", READY_WITHIN.as_secs())))
    }

    /// Where AWS calls are sent to.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// How often each fault was made so far, by its own account.
    pub async fn fired(&self) -> Result<BTreeMap<String, u64>, LocalError> {
        let get = |path: &str| {
            let url = format!("{}/_microburst/{path}", self.url);
            async move {
                let answer = http_client::get(&url).await?;
                serde_json::from_slice::<Value>(answer.body()).map_err(LocalError::call(url))
            }
        };
        let mut fired = BTreeMap::new();
        for rule in get("rules").await?.as_array().into_iter().flatten() {
            let name = rule["headers"][HEADER_FAULT].as_str().unwrap_or_default().to_owned();
            *fired.entry(name).or_default() += rule["fired_count"].as_u64().unwrap_or_default();
        }
        Ok(fired)
    }
}

impl Drop for Microburst {
    fn drop(&mut self) {
        self.stdin = None;
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The first that matches fires.
fn rules() -> Vec<Value> {
    let error = |fault: Injected, service: &str, status: u16, code: &str| {
        json!({
            "service": service,
            "headers": { HEADER_FAULT: fault.name() },
            "error": { "code": code, "status": status, "message": "injected" },
        })
    };
    let other = |fault: Injected, effect: Value| {
        let mut rule = json!({ "headers": { HEADER_FAULT: fault.name() } });
        rule.as_object_mut()
            .into_iter()
            .for_each(|it| it.extend(effect.as_object().cloned().unwrap_or_default()));
        rule
    };
    let delayed = |agent: &str, milliseconds: u32| {
        json!({
            "headers": { HEADER_FAULT: Injected::Delayed.name(), "x-amz-user-agent": agent },
            "latency": milliseconds,
        })
    };
    vec![
        error(Injected::Throttled, "dynamodb", 400, "ProvisionedThroughputExceededException"),
        error(Injected::Throttled, "secretsmanager", 400, "ThrottlingException"),
        error(Injected::Throttled, "s3", 503, "SlowDown"),
        error(Injected::Throttled, "events", 400, "ThrottlingException"),
        error(Injected::Throttled, "lambda", 429, "TooManyRequestsException"),
        error(Injected::Throttled, "sns", 400, "Throttling"),
        error(Injected::InternalError, "dynamodb", 500, "InternalServerError"),
        error(Injected::InternalError, "sqs", 500, "InternalError"),
        error(Injected::InternalError, "secretsmanager", 500, "InternalServiceError"),
        error(Injected::InternalError, "s3", 500, "InternalError"),
        error(Injected::InternalError, "events", 500, "InternalException"),
        error(Injected::InternalError, "lambda", 500, "ServiceException"),
        error(Injected::InternalError, "sns", 500, "InternalError"),
        other(Injected::Reset, json!({ "reset": true })),
        other(Injected::ReplyLost, json!({ "response": { "abort_bytes": 0 } })),
        other(Injected::Truncated, json!({ "response": { "truncate_frac": 0.5 } })),
        delayed("app/receiver", DELAY_FOREGROUND_MS),
        delayed("app/", DELAY_BACKGROUND_MS),
    ]
}

#[cfg(test)]
#[path = "microburst_tests.rs"]
mod tests;
