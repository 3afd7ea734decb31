//! `local run`: one local stack in the foreground.

use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use inbox_local::{LocalError, LocalStack, StackDescription, StackOptions, packages, paths};

use inbox_processor::routes::{Routes, Surroundings};

use crate::complaints::Complaints;
use crate::{Failure, say, stop_signal};

const DEFAULT_PORT: u16 = 9000;
/// How often the functions' logs are looked at for what they complain of.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Brings a stack up, says so, and takes it down when asked to.
pub(crate) async fn run(arguments: &[String]) -> Result<(), Failure> {
    let port = port(arguments, std::env::var("PORT").ok())?;
    let local = paths::local_directory();
    let directory = local.join(format!("run-{port}"));
    let mut options = StackOptions {
        port,
        facts_file: Some(directory.join("stack.json")),
        directory,
        watch_logs: false,
        ..StackOptions::default()
    };
    if let Some(routes) = routes(std::env::var("ROUTES").ok())? {
        options.routes = routes;
    }
    if let Some(folder) = std::env::var_os("INBOX_PACKAGES").filter(|it| !it.is_empty()) {
        let into = options.directory.join("packages");
        options.binaries = Some(packages::unpack(Path::new(&folder), &into)?);
    }
    let stopped = stop_signal()?;
    tokio::pin!(stopped);
    let mut stack = tokio::select! {
        stack = LocalStack::start(options, |step| say(&format!("… {step}"))) => stack?,
        // Dropping the unfinished start ends what it had started.
        () = &mut stopped => {
            say("stopped while starting");
            return Ok(());
        }
    };
    let shared = SharedFacts::publish(&local, stack.description())?;
    for line in announcement(stack.description(), &shared.file) {
        say(&line);
    }
    let complaints = Complaints::new(&stack.description().logs);
    let outcome = tokio::select! {
        () = &mut stopped => Ok(()),
        error = stack.emulator_gone() => Err(error.into()),
        () = tell(complaints) => Ok(()),
    };
    say("… stopping");
    stack.stop().await;
    shared.hand_over();
    say("stopped");
    outcome
}

/// Says what functions complain of, for as long as it is polled.
async fn tell(mut complaints: Complaints) {
    loop {
        for line in complaints.look() {
            say(&format!("! {line}"));
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// `--port` wins over `PORT`; an empty `PORT` is none.
fn port(arguments: &[String], environment: Option<String>) -> Result<u16, Failure> {
    let text = match arguments {
        [] => environment.filter(|value| !value.is_empty()),
        [flag, value] if flag == "--port" => Some(value.clone()),
        [flag] if flag.starts_with("--port=") => flag.strip_prefix("--port=").map(str::to_owned),
        _ => return Err(Failure::Usage(crate::USAGE.to_owned())),
    };
    text.map_or(Ok(DEFAULT_PORT), |text| match text.parse() {
        Ok(port) if port != 0 => Ok(port),
        _ => Err(Failure::Usage(format!("{text:?} is no port (1 to 65535)"))),
    })
}

/// `ROUTES` of the processor, to try a handler here; an empty one is none. They are read
/// by the processor's own code: a function that does not start would only say so in its
/// log, while events are accepted and wait.
fn routes(environment: Option<String>) -> Result<Option<serde_json::Value>, Failure> {
    let Some(text) = environment.filter(|value| !value.is_empty()) else { return Ok(None) };
    let limit = StackOptions::default().handler_timeout_seconds;
    let surroundings = Surroundings {
        handler_timeout: Duration::from_secs(limit),
        ..Surroundings::complete(Vec::new())
    };
    if let Err(problems) = Routes::of_undeployed(&text, &surroundings, |_| None) {
        let told: Vec<String> = problems.iter().map(|problem| format!("\n  {problem}")).collect();
        let told = told.concat();
        return Err(Failure::Usage(format!("ROUTES cannot be used, nothing was started:{told}")));
    }
    let routes = serde_json::from_str(&text);
    routes.map(Some).map_err(|fault| Failure::Usage(format!("ROUTES is no JSON: {fault}")))
}

fn announcement(stack: &StackDescription, facts: &Path) -> Vec<String> {
    let mut lines = vec![format!("ready: post to {}/{{source}}, for example", stack.url)];
    if let (Some(source), Some(secret)) = (
        stack.secrets.keys().next(),
        stack.secrets.get("github").and_then(|secrets| secrets.first()),
    ) {
        let source = if stack.secrets.contains_key("github") { "github" } else { source };
        lines.extend([
            format!("  body='{{\"zen\":\"Keep it logically awesome.\"}}'; secret='{secret}'"),
            "  signature=$(printf %s \"$body\" | openssl dgst -sha256 -hmac \"$secret\" -r | cut -d' ' -f1)"
                .to_owned(),
            format!("  curl -i {}/{source} -H 'Content-Type: application/json' \\", stack.url),
            "    -H 'X-GitHub-Event: ping' -H 'X-GitHub-Delivery: 1' \\".to_owned(),
            "    -H \"X-Hub-Signature-256: sha256=$signature\" -d \"$body\"".to_owned(),
        ]);
    }
    for (route, secret) in &stack.forward_secrets {
        lines.push(format!("  route {route} signs with {}", secret.signing_secret));
    }
    let sources: Vec<&str> = stack.secrets.keys().map(String::as_str).collect();
    lines.extend([
        format!("  sources: {}", sources.join(", ")),
        format!("  logs:    {}", stack.logs.display()),
        format!("  facts:   {} (addresses, names, signing secrets)", facts.display()),
        "  Ctrl-C stops it".to_owned(),
    ]);
    lines
}

/// `.local/stack.json`: one file for several copies, always of one that runs.
struct SharedFacts {
    file: PathBuf,
    text: String,
}

impl SharedFacts {
    fn publish(local: &Path, stack: &StackDescription) -> Result<Self, LocalError> {
        let file = local.join("stack.json");
        stack.write(&file)?;
        let text = std::fs::read_to_string(&file).unwrap_or_default();
        Ok(Self { file, text })
    }

    /// Called when this copy's own facts are gone already.
    fn hand_over(self) {
        if std::fs::read_to_string(&self.file).is_ok_and(|text| text != self.text) {
            return;
        }
        let runs = self.file.parent().map(std::fs::read_dir);
        let heir = runs
            .into_iter()
            .flatten()
            .flatten()
            .flatten()
            .map(|entry| entry.path().join("stack.json"))
            .find(|facts| answers(facts));
        let handed = heir.is_some_and(|facts| {
            let unfinished = self.file.with_extension(format!("{}.new", std::process::id()));
            std::fs::copy(facts, &unfinished)
                .and_then(|_| std::fs::rename(&unfinished, &self.file))
                .is_ok()
        });
        if !handed {
            let _ = std::fs::remove_file(&self.file);
        }
    }
}

/// Whether the copy that wrote these facts still runs: one that was killed left
/// its file behind.
fn answers(facts: &Path) -> bool {
    let address = std::fs::read(facts)
        .ok()
        .and_then(|text| serde_json::from_slice::<serde_json::Value>(&text).ok())
        .and_then(|facts| {
            let url = facts["public_base_url"].as_str()?;
            url.strip_prefix("http://").map(str::to_owned)
        });
    address.is_some_and(|address| TcpStream::connect(address).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arguments(words: &[&str]) -> Vec<String> {
        words.iter().map(|&word| word.to_owned()).collect()
    }

    #[test]
    fn the_port_is_taken_from_the_flag_then_the_environment() {
        let chosen = |words: &[&str], environment: Option<&str>| {
            port(&arguments(words), environment.map(str::to_owned)).ok()
        };
        assert_eq!(chosen(&[], None), Some(9000));
        assert_eq!(chosen(&[], Some("")), Some(9000));
        assert_eq!(chosen(&[], Some("9100")), Some(9100));
        assert_eq!(chosen(&["--port", "9200"], Some("9100")), Some(9200));
        assert_eq!(chosen(&["--port=9300"], None), Some(9300));
        assert_eq!(chosen(&[], Some("0")), None);
        assert_eq!(chosen(&[], Some("65536")), None);
        assert_eq!(chosen(&["--colour"], None), None);
    }

    #[test]
    fn routes_are_judged_by_the_processors_own_reader_before_anything_is_started() {
        let refused = |text: &str| routes(Some(text.to_owned())).expect_err("wrong").to_string();
        assert_eq!(
            refused(
                "[{\"id\":\"crm\",\"match\":\"stripe\",\"handler\":\"mirror\"},\n {\"id\":\"b\"}]"
            ),
            "ROUTES cannot be used, nothing was started:\n  \
             route 1 (\"crm\", line 1): match must be source:type, such as stripe:invoice.*, not \
             \"stripe\"\n  \
             route 2 (\"b\", line 2): needs `match`\n  \
             route 2 (\"b\", line 2): needs `handler`"
        );
        assert!(refused("not json").contains("not a list of routes"), "{}", refused("not json"));
        // As the README shows it: the secret is made by the stack.
        let mine = r#"[{"id":"mine","match":"*:*","handler":"forward",
            "with":{"url":"http://127.0.0.1:8000/","allow_private_addresses":true}}]"#;
        assert!(routes(Some(mine.to_owned())).is_ok_and(|routes| routes.is_some()));
        assert!(routes(Some(String::new())).is_ok_and(|routes| routes.is_none()));
    }
}
