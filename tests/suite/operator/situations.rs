//! The five situations of the README's page for operators, each solved by the
//! commands that stand there, on a whole local stack.
//!
//! One stack for all of them, one after the other: starting one costs more than
//! a situation.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use inbox_local::{LocalStack, StackOptions, paths};
use serde_json::{Value, json};

use super::rig::{Operator, Ran};

/// No situation takes so long to come about or to be over.
const WITHIN: Duration = Duration::from_mins(3);

struct Situation {
    operator: Operator,
    stack: LocalStack,
    directory: PathBuf,
}

/// Billing is broken for Stripe's events; everything else works.
fn broken() -> Value {
    json!([
        {"id": "billing", "match": "stripe:*", "handler": "drill", "with": {"outcome": "permanent"}},
        {"id": "mirror", "match": "*:*", "handler": "mirror"},
    ])
}

/// The same routes with a handler that works.
fn fixed() -> Value {
    json!([
        {"id": "billing", "match": "stripe:*", "handler": "mirror"},
        {"id": "mirror", "match": "*:*", "handler": "mirror"},
    ])
}

impl Situation {
    async fn new() -> Self {
        let directory = PathBuf::from(env!("CARGO_TARGET_TMPDIR"))
            .join(format!("situations-{}", uuid::Uuid::new_v4().simple()));
        let options = StackOptions {
            directory: directory.clone(),
            routes: broken(),
            ..StackOptions::default()
        };
        let stack = LocalStack::start(options, |_| {}).await.expect("a local stack");
        let mut operator = Operator::new().await;
        let description = serde_json::to_value(stack.description()).expect("JSON");
        for (name, value) in description.as_object().expect("an object") {
            operator.set(name, value.clone());
        }
        Self { operator, stack, directory }
    }

    /// A command line as the README has it.
    async fn run(&self, line: &str) -> Ran {
        let words: Vec<&str> = line.split_whitespace().collect();
        self.operator.run(&words).await
    }

    /// How many events are in this state.
    async fn count(&self, state: &str) -> usize {
        let ran = self.run(&format!("events --state {state} --limit 1000 --json")).await.expect(0);
        ran.json()["events"].as_array().expect("events").len()
    }

    /// Sends until a request is accepted.
    async fn sends(&self, source: &str) {
        let accepted = async {
            while self.run(&format!("send {source}")).await.code != 0 {
                tokio::time::sleep(Duration::from_secs(2)).await;
            }
        };
        tokio::time::timeout(WITHIN, accepted).await.expect("accepted in time");
    }

    async fn until(&self, state: &str, count: usize) {
        let reached = async {
            while self.count(state).await != count {
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        };
        if tokio::time::timeout(WITHIN, reached).await.is_err() {
            let held = self.run(&format!("events --state {state} --limit 1000 --json")).await;
            panic!("not {count} {state} events: {}", held.text());
        }
    }
}

#[tokio::test]
async fn the_five_situations_of_the_readme_are_solved_by_its_commands() {
    let situation = Situation::new().await;
    a_handler_bug_killed_200_events(&situation).await;
    a_secret_leaked(&situation).await;
    a_provider_says_we_sent_it(&situation).await;
    a_poison_message(&situation).await;
    the_queue_is_backing_up(&situation).await;
    stripes_own_command_forwards_to_this_machine(&situation).await;
    situation.stack.stop().await;
    let _ = std::fs::remove_dir_all(situation.directory);
}

async fn a_handler_bug_killed_200_events(situation: &Situation) {
    // On a busy machine some requests get 503, whether their event was kept or not:
    // the provider would send them again.
    let line = "send stripe --type payment_intent.succeeded --count 200 --rate 10";
    let ran = situation.run(line).await;
    assert!(ran.code <= 1, "{}", ran.stderr);
    situation.until("received,failing", 0).await;
    let killed = situation.count("dead").await;
    assert!(killed >= 50, "{killed} of 200; {}", ran.text());

    let ran = situation.run("dlq").await.expect(0);
    assert!(ran.text().starts_with(&format!("{killed} dead letters")), "{}", ran.text());
    assert!(ran.text().contains("billing: drill: attempt 1 fails on purpose"), "{}", ran.text());

    // Deploy the fix, try it on one, then on all.
    situation.stack.set_routes(&fixed()).await.expect("routes");
    let ran = situation.run("events --state dead --limit 1 --json").await.expect(0);
    let id = ran.json()["events"][0]["id"].as_str().expect("an id").to_owned();
    situation.run(&format!("replay stripe {id} --reason fixed --yes")).await.expect(0);
    situation.until("dead", killed - 1).await;
    let ran = situation.run("redrive --source stripe --error billing:* --dry-run").await.expect(0);
    assert!(ran.text().contains(&format!("{killed} dead letters")), "{}", ran.text());
    situation.run("redrive --source stripe --error billing:* --yes").await.expect(0);
    situation.until("dead", 0).await;
    situation.until("received,failing", 0).await;
    let ran = situation.run("dlq").await.expect(0);
    assert!(
        ran.text().contains("is empty") || ran.text().starts_with("no dead letter"),
        "{}",
        ran.text()
    );
    let ran = situation.run(&format!("show stripe {id}")).await.expect(0);
    assert!(ran.text().contains("by ada: fixed"), "{}", ran.text());
}

async fn a_secret_leaked(situation: &Situation) {
    let operator = &situation.operator;
    let new = "whsec_9f8e7d6c5b4a39281706f5e4d3c2b1a0";
    operator.run_with(&["secret", "add", "stripe"], new.as_bytes()).await.expect(0);
    // The provider signs with the new one, the first of the two. A receiver that
    // fetched its secrets a moment ago looks again after half a minute.
    situation.sends("stripe").await;
    situation.run("secret retire stripe --yes").await.expect(0);
    let ran = situation.run("secret show stripe --json").await.expect(0);
    assert_eq!(ran.json()["signing_secrets"].as_array().map(Vec::len), Some(1), "{}", ran.text());
    situation.sends("stripe").await;
    let ran = situation.run("doctor").await.expect(0);
    assert!(ran.text().contains("source stripe: stripe, 1 signing secret"), "{}", ran.text());
}

/// `stripe listen` signs with a secret of its own. The lines are the README's, in a
/// shell, with a stand-in for Stripe's command.
async fn stripes_own_command_forwards_to_this_machine(situation: &Situation) {
    let readme = std::fs::read_to_string(paths::workspace_root().join("README.md")).unwrap();
    let mut blocks = readme.split("```sh\n").filter_map(|block| block.split("```").next());
    let block = blocks.find(|block| block.contains("stripe listen --print-secret"));
    let lines = block.expect("README.md says how `stripe listen` is used");
    let url = situation.stack.description().public_base_url.as_str();
    let script = lines.replace("http://127.0.0.1:9000", url);
    assert_ne!(script, lines, "README.md posts to the local stack's default port");

    let tools = situation.operator.directory().join("bin");
    std::fs::create_dir_all(&tools).unwrap();
    let stand_in = tools.join("stripe");
    std::fs::write(&stand_in, include_str!("stripe_cli.py")).unwrap();
    std::fs::set_permissions(&stand_in, PermissionsExt::from_mode(0o755)).unwrap();
    let inbox = paths::binary("inbox").expect("cargo build --workspace");
    let mut path = vec![tools, inbox.parent().expect("a directory").to_path_buf()];
    path.extend(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()));
    let mut shell = situation.operator.command(&[]);
    let environment = shell
        .as_std()
        .get_envs()
        .filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned())));
    let environment: Vec<_> = environment.collect();
    shell = tokio::process::Command::new("sh");
    let ran = shell
        .args(["-ec", &script])
        .env_clear()
        .envs(environment)
        .env("PATH", std::env::join_paths(path).unwrap())
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let ran = tokio::time::timeout(WITHIN * 2, ran).await.expect("in time").expect("sh");
    let told = String::from_utf8_lossy(&ran.stdout).into_owned();
    let complaints = String::from_utf8_lossy(&ran.stderr).into_owned();
    assert!(told.contains("added: stripe has 2 signing secrets"), "{told}{complaints}");
    assert!(told.ends_with("[200]\n"), "{told}{complaints}");
    let shown = situation.run("show stripe evt_stripe_listen").await.expect(0);
    assert!(shown.text().contains("invoice.paid"), "{}", shown.text());
}

async fn a_provider_says_we_sent_it(situation: &Situation) {
    // It came: what became of it?
    let ran = situation
        .run("events --source stripe --type payment_intent.* --since 1h --limit 1 --json")
        .await
        .expect(0);
    let id = ran.json()["events"][0]["id"].as_str().expect("an id").to_owned();
    let ran = situation.run(&format!("show stripe {id}")).await.expect(0);
    assert!(ran.text().contains("  done  "), "{}", ran.text());
    // It did not: was it refused?
    situation.run("show stripe evt_neverCame").await.expect(1);
    let request = "POST /webhooks/stripe HTTP/1.1\r\nContent-Type: application/json\r\n\r\n{}";
    let ran = situation
        .operator
        .run_with(&["verify", "--source", "stripe"], request.as_bytes())
        .await
        .expect(1);
    assert!(ran.text().starts_with("invalid: missing_signature"), "{}", ran.text());
    let ran = situation.run("logs receiver-stripe --no-follow").await.expect(0);
    assert!(ran.text().contains("Accepted"), "{}", ran.text());
}

async fn a_poison_message(situation: &Situation) {
    // Not one of ours: the processor turns it away to the dead letters.
    let sqs = aws_sdk_sqs::Client::new(&situation.stack.sdk_config());
    let queue_url = &situation.stack.description().queue_url;
    sqs.send_message()
        .queue_url(queue_url)
        .message_body("{\"poison\":1}")
        .send()
        .await
        .expect("send");
    let lies_dead = async {
        while !situation.run("dlq").await.expect(0).text().starts_with("1 dead letter") {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    };
    tokio::time::timeout(WITHIN, lies_dead).await.expect("a dead letter");
    let ran = situation.run("dlq list --json").await.expect(0);
    let letters = ran.json();
    let message = letters["letters"][0]["message_id"].as_str().expect("a message id").to_owned();
    let ran = situation.run(&format!("dlq show {message}")).await.expect(0);
    assert!(ran.text().contains("not a message of this inbox"), "{}", ran.text());
    // A redrive leaves it where it is; it holds nothing that could be run.
    situation.run("redrive --yes").await;
    let ran = situation.run("dlq").await.expect(0);
    assert!(ran.text().starts_with("1 dead letter"), "{}", ran.text());
    situation.run("purge-dlq --yes").await.expect(0);
}

async fn the_queue_is_backing_up(situation: &Situation) {
    situation.stack.feed_processor(false).await.expect("not fed");
    for _ in 0..5 {
        situation.sends("github").await;
    }
    assert!(situation.count("received").await >= 5);
    let ran = situation.run("doctor").await.expect(1);
    assert!(ran.text().contains("broken   event source mapping: is Disabled"), "{}", ran.text());
    situation.stack.feed_processor(true).await.expect("fed");
    situation.until("received,failing", 0).await;
    situation.run("doctor").await.expect(0);
}
