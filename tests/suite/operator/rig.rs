//! `inbox` as an operator runs it: a process with a stack file and arguments, and the key
//! of a user who has the module's operator policies and nothing else.
//!
//! Its environment is made from nothing, so that neither a developer's AWS
//! profile nor a terminal's settings reach it.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use inbox_aws::{DynamoDbLedger, SqsQueue};
use inbox_local::access::AccessKey;
use inbox_local::calls::{Call, Fault};
use inbox_local::proxy::Proxy;
use inbox_local::watch::Watch;
use inbox_local::{TestBed, paths};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::process::{Child, Command};

/// No command of a test takes so long.
const RUN_WITHIN: Duration = Duration::from_mins(2);

/// A deployment of a test's own, and the command that operates it.
pub(crate) struct Operator {
    pub(crate) bed: TestBed,
    /// Between the command and the emulator: counts calls, breaks them.
    pub(crate) proxy: Proxy,
    directory: PathBuf,
    stack: Value,
    /// Routes that were deployed since the command ran last.
    deployed: tokio::sync::Mutex<Option<Value>>,
}

/// What a finished command left.
#[derive(Debug)]
pub(crate) struct Ran {
    /// The exit code; -1 when it was killed.
    pub(crate) code: i32,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: String,
}

impl Ran {
    /// Standard output as text.
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.stdout).expect("text")
    }

    /// Standard output as one JSON document.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.stdout)
            .unwrap_or_else(|fault| panic!("{fault} in {:?} {}", self.text(), self.stderr))
    }

    /// Expects this exit code.
    #[track_caller]
    pub(crate) fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, code, "stdout: {} stderr: {}", self.text(), self.stderr);
        self
    }
}

impl Operator {
    /// One source of each provider, named as it is.
    pub(crate) async fn new() -> Self {
        let bed = TestBed::new().await.expect("test bed");
        let proxy = Proxy::start(&bed.endpoint_url).await.expect("proxy");
        let mut sources = serde_json::Map::new();
        for (provider, secret) in SECRETS {
            let value = json!({"signing_secrets": [secret]});
            let secret_id = bed.create_secret(&value).await.expect("secret");
            let url = format!("http://127.0.0.1:9/webhooks/{provider}");
            sources.insert(
                provider.into(),
                json!({"provider": provider, "secret_id": secret_id, "url": url}),
            );
        }
        let secrets: Vec<(&str, &str)> = sources
            .iter()
            .map(|(name, it)| (name.as_str(), it["secret_id"].as_str().expect("a name")))
            .collect();
        let user = bed.create_operator(&secrets, &json!([])).await.expect("a user");
        let stack = json!({
            "operator": user,
            "region": bed.region,
            "endpoint_url": proxy.url(),
            "table": bed.table,
            "queue_url": bed.queue_url,
            "lane_url": bed.lane_url,
            "dlq_url": bed.dlq_url,
            "payload_bucket": bed.payload_bucket,
            "sources": sources,
        });
        let directory = PathBuf::from(env!("CARGO_TARGET_TMPDIR"))
            .join(format!("operator-{}", uuid::Uuid::new_v4().simple()));
        std::fs::create_dir_all(&directory).expect("a directory");
        let deployed = tokio::sync::Mutex::default();
        let operator = Self { bed, proxy, directory, stack, deployed };
        operator.write_stack(&operator.stack);
        operator
    }

    fn write_stack(&self, stack: &Value) {
        std::fs::write(self.directory.join("stack.json"), stack.to_string()).expect("stack file");
    }

    /// Says something else in the stack file, or nothing (`null`).
    pub(crate) fn set(&mut self, name: &str, value: Value) {
        let stack = self.stack.as_object_mut().expect("an object");
        if value.is_null() {
            stack.remove(name);
        } else {
            stack.insert(name.to_owned(), value);
        }
        self.write_stack(&self.stack);
    }

    /// From now on the command is run by somebody who may do everything: to who has the
    /// operator's policies alone, AWS denies what has another name, there or not.
    pub(crate) fn run_by_an_administrator(&mut self) {
        let root = serde_json::to_value(AccessKey::root()).expect("JSON");
        self.set("operator", root);
    }

    /// Deploys a processor with this environment, as far as Lambda tells of it: the
    /// emulator has no functions here. Takes the place of another hook.
    pub(crate) fn deploy_processor(&mut self, environment: &Value) {
        self.deploy_processor_and(environment, |_| Fault::None);
    }

    /// The same, with this of all other calls.
    pub(crate) fn deploy_processor_and(
        &mut self,
        environment: &Value,
        hook: impl Fn(&Call) -> Fault + Send + Sync + 'static,
    ) {
        let name = self.processor();
        self.set("functions", json!({"processor": name}));
        let routes = environment["Variables"]["ROUTES"].as_str().unwrap_or("[]");
        // Wrong ones are what some tests are about.
        *self.deployed.get_mut() = serde_json::from_str(routes).ok();
        let body = json!({"FunctionName": name, "Environment": environment});
        let path = format!("/2015-03-31/functions/{name}/configuration");
        self.proxy.set_hook(move |call| {
            if call.path == path {
                return Fault::Answer { status: 200, body: body.clone() };
            }
            hook(call)
        });
    }

    /// The name that the module gives the processor.
    pub(crate) fn processor(&self) -> String {
        format!("{}-processor", self.bed.table)
    }

    /// A deployment brings the operator's policies up to date with its routes, too.
    async fn bring_policies_up_to_date(&self) {
        let Some(routes) = self.deployed.lock().await.take() else { return };
        let sources = self.stack["sources"].as_object().into_iter().flatten();
        let sources: Vec<(&str, &str)> = sources
            .map(|(name, it)| (name.as_str(), it["secret_id"].as_str().expect("a name")))
            .collect();
        self.bed.update_operator(&sources, &routes).await.expect("the policies");
    }

    /// The same with these routes.
    pub(crate) fn deploy_routes(&mut self, routes: &Value) {
        self.deploy_processor(&environment(routes));
    }

    /// Where the test may put files; removed with it.
    pub(crate) fn directory(&self) -> &std::path::Path {
        &self.directory
    }

    /// The name of a source's secret in Secrets Manager.
    pub(crate) fn secret_id(&self, source: &str) -> &str {
        self.stack["sources"][source]["secret_id"].as_str().expect("a source")
    }

    /// The ledger, past the proxy.
    pub(crate) fn ledger(&self) -> DynamoDbLedger {
        self.bed.ledger()
    }

    /// Both queues, past the proxy.
    pub(crate) fn queue(&self) -> SqsQueue {
        SqsQueue::new(&self.bed.sdk_config(), self.bed.queue_url.clone())
            .with_dead_letters(self.bed.dlq_url.clone())
    }

    /// The command with these arguments, not yet started.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(paths::binary("inbox").expect("cargo build --workspace"));
        command
            .args(arguments)
            .env_clear()
            .env("HOME", &self.directory)
            .env("XDG_STATE_HOME", self.directory.join("state"))
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("LANG", "C.UTF-8")
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .env("INBOX_STACK", self.directory.join("stack.json"))
            .env("INBOX_ACTOR", "ada")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        command
    }

    /// Starts it, to be killed or waited for.
    pub(crate) fn start(&self, arguments: &[&str]) -> Child {
        self.command(arguments).spawn().expect("inbox starts")
    }

    /// Runs it to its end.
    pub(crate) async fn run(&self, arguments: &[&str]) -> Ran {
        self.bring_policies_up_to_date().await;
        finish(self.start(arguments)).await
    }

    /// Runs it with this on its standard input.
    pub(crate) async fn run_with(&self, arguments: &[&str], input: &[u8]) -> Ran {
        self.bring_policies_up_to_date().await;
        let mut command = self.command(arguments);
        let mut child = command.stdin(Stdio::piped()).spawn().expect("inbox starts");
        let mut stdin = child.stdin.take().expect("piped");
        // One that ends without reading is what some tests are about.
        let _ = stdin.write_all(input).await;
        drop(stdin);
        finish(child).await
    }
}

/// A processor's environment with these routes.
pub(crate) fn environment(routes: &Value) -> Value {
    json!({"Variables": {"ROUTES": routes.to_string()}})
}

/// Waits for it to end.
pub(crate) async fn finish(child: Child) -> Ran {
    let output = tokio::time::timeout(RUN_WITHIN, child.wait_with_output())
        .await
        .expect("inbox ends in time")
        .expect("inbox runs");
    let ran = Ran {
        code: output.status.code().unwrap_or(-1),
        stdout: output.stdout,
        stderr: String::from_utf8(output.stderr).expect("text"),
    };
    // Standard output may hold what was asked for, a payload or a signed request.
    ran.stderr.lines().for_each(|line| Watch::of_this_run().look_at_advice("inbox", line));
    Watch::of_this_run().check();
    ran
}

impl Drop for Operator {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

/// Source, which is also the provider, and its signing secret.
pub(crate) const SECRETS: [(&str, &str); 4] = [
    ("github", "It's a Secret to Everybody"),
    ("standard_webhooks", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"),
    ("stripe", "whsec_local_stack_stripe"),
    ("twilio", "0123456789abcdef0123456789abcdef"),
];
