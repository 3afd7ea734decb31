//! `make plan` and `make deploy`: routes are judged before anything is changed. Terraform is
//! a script here that prints a plan and notes what it was asked for.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use inbox_local::paths;
use serde_json::{Value, json};
use tokio::process::Command;

/// A plan of one inbox with these routes.
fn plan(routes: &Value) -> Value {
    let processor = json!({
        "address": "module.inbox.aws_lambda_function.processor", "mode": "managed",
        "type": "aws_lambda_function", "name": "processor",
        "values": {"environment": [{"variables": {
            "ROUTES": routes.to_string(), "MIRROR_TABLE_NAME": "mirror",
        }}]},
    });
    let module = json!({"address": "module.inbox", "resources": [processor]});
    json!({"planned_values": {"root_module": {"child_modules": [module]}}})
}

struct Fake(PathBuf);

impl Fake {
    fn new(routes: &Value) -> Self {
        let directory = PathBuf::from(env!("CARGO_TARGET_TMPDIR"))
            .join(format!("make-{}", uuid::Uuid::new_v4().simple()));
        std::fs::create_dir_all(&directory).expect("a directory");
        std::fs::write(directory.join("plan.json"), plan(routes).to_string()).expect("a plan");
        let script = "#!/bin/sh\ncd \"${0%/*}\"\necho \"$2\" >>asked\n\
                      [ \"$2\" != show ] || cat plan.json\n";
        let terraform = directory.join("terraform");
        std::fs::write(&terraform, script).expect("a script");
        std::fs::set_permissions(&terraform, std::fs::Permissions::from_mode(0o755)).expect("mode");
        Self(directory)
    }

    /// Makes a target, what it rests on being done. Returns the exit code, what was said,
    /// and what Terraform was asked for.
    async fn make(&self, target: &str, more: &[&str]) -> (Option<i32>, String, Vec<String>) {
        let set = |name: &str, value: &Path| format!("{name}={}", value.display());
        let ran = Command::new("make")
            .current_dir(paths::workspace_root())
            // Those of a `make test` that this may run under.
            .env_remove("MAKEFLAGS")
            .args(["-o", "account", "-o", "package", "-o", "packed", "-o", "initialised"])
            .args(["-o", "outputs", "-o", "inbox", target])
            .arg(set("TERRAFORM", &self.0.join("terraform")))
            .arg(set("PLAN", &self.0.join("plan")))
            .arg(set("INBOX", &paths::binary("inbox").expect("cargo build --workspace")))
            .arg("MAKE=true")
            .args(more)
            .stdin(std::process::Stdio::null())
            .output()
            .await
            .expect("make runs");
        let said = [ran.stdout, ran.stderr].map(|text| String::from_utf8(text).expect("text"));
        let asked = std::fs::read_to_string(self.0.join("asked")).unwrap_or_default();
        (ran.status.code(), said.concat(), asked.lines().map(str::to_owned).collect())
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[tokio::test]
async fn routes_that_cannot_be_used_are_told_and_nothing_is_deployed() {
    let fake = Fake::new(&json!([
        {"id": "a", "match": "stripe", "handler": "mirror"},
        {"id": "b", "match": "*:*", "handler": "invok"},
    ]));
    for (target, more) in [("plan", &[][..]), ("deploy", &["YES=1"][..])] {
        let (code, said, asked) = fake.make(target, more).await;
        assert_eq!(code, Some(2), "{target}: {said}");
        for problem in [
            "wrong  route 1 (\"a\"): match must be source:type",
            "wrong  route 2 (\"b\"): no handler is named \"invok\"",
        ] {
            assert!(said.contains(problem), "{target}: {said}");
        }
        assert!(!asked.contains(&"apply".to_owned()), "{target} changed something: {asked:?}");
    }
}

#[tokio::test]
async fn what_was_judged_is_what_is_deployed_and_only_after_a_yes() {
    let fake = Fake::new(&json!([{"id": "a", "match": "stripe:*", "handler": "mirror"}]));
    let (code, said, asked) = fake.make("plan", &[]).await;
    assert_eq!((code, asked.as_slice()), (Some(0), &["plan".to_owned(), "show".to_owned()][..]));
    assert!(said.contains("sound  1 route\n"), "{said}");
    // Nobody is there to say yes.
    let (code, said, asked) = fake.make("deploy", &[]).await;
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("nothing was deployed") && asked.len() == 4, "{said} {asked:?}");
    let (code, said, asked) = fake.make("deploy", &["YES=1"]).await;
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(asked[4..], ["plan", "show", "apply"], "{said}");
}
