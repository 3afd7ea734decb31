//! What `make` says before it speaks to an account: where an environment lives, and what
//! would stop its destruction half way. With stand-ins for Terraform and the AWS CLI, in a
//! folder of its own.

use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Command, Output};

use inbox_local::paths;

const SETTINGS: &str = "infra/env/dev.tfvars";

/// A folder with the project's Makefile, and nothing deployed.
struct Place {
    folder: PathBuf,
}

impl Place {
    fn new(test: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("inbox-make-{test}-{}", std::process::id()));
        let root = paths::workspace_root();
        for below in ["infra/env", "bin", ".local/package/arm64"] {
            std::fs::create_dir_all(folder.join(below)).unwrap();
        }
        for file in ["Makefile", "infra/obstacles.py"] {
            std::fs::copy(root.join(file), folder.join(file)).unwrap();
        }
        let place = Self { folder };
        place.write("infra/backend.hcl", "");
        for function in ["receiver", "processor", "sweeper"] {
            place.write(&format!(".local/package/arm64/{function}.zip"), "");
        }
        place.write("outputs.json", "{}");
        place.script(
            "terraform",
            r#"case "$*" in
                 *version*) echo '{"terraform_version":"1.11.4"}';;
                 *"output -json"*) cat outputs.json;;
                 *"show -json"*) echo '{}';;
                 *) echo "terraform $*";;
               esac"#,
        );
        place.script("aws", "echo 123456789012");
        place
    }

    fn write(&self, file: &str, text: &str) {
        std::fs::write(self.folder.join(file), text).unwrap();
    }

    fn script(&self, name: &str, text: &str) {
        let path = self.folder.join("bin").join(name);
        std::fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn make(&self, arguments: &[&str], environment: &[(&str, &str)]) -> Output {
        let tool = |name: &str| self.folder.join("bin").join(name).display().to_string();
        let mut make = Command::new("make");
        for name in ["AWS_REGION", "AWS_DEFAULT_REGION", "MAKEFLAGS", "MAKELEVEL", "ENV"] {
            make.env_remove(name);
        }
        make.current_dir(&self.folder)
            .args(arguments)
            .arg(format!("TERRAFORM={}", tool("terraform")))
            .arg(format!("AWS={}", tool("aws")))
            .envs(environment.iter().copied())
            .output()
            .expect("make")
    }

    /// What it says, and that it goes no further.
    fn refuses(&self, arguments: &[&str], environment: &[(&str, &str)]) -> String {
        let output = self.make(arguments, environment);
        assert!(!output.status.success(), "{arguments:?} was not refused: {output:?}");
        let said = String::from_utf8(output.stderr).unwrap();
        let ran = String::from_utf8(output.stdout).unwrap();
        assert!(!ran.contains("terraform -chdir=infra destroy"), "it was destroyed: {ran}");
        said
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

#[test]
fn an_environment_lives_in_the_region_of_its_settings_and_in_no_other() {
    let place = Place::new("region");
    let said = place.refuses(&["account"], &[("AWS_REGION", "us-east-1")]);
    assert!(said.contains("in which region does dev live?"), "{said}");
    assert!(said.contains("'region = \"us-east-1\"' >>infra/env/dev.tfvars"), "{said}");

    place.write(SETTINGS, "region = \"eu-central-1\"\n");
    let two = "two regions are named, eu-central-1 and us-east-1";
    for variable in ["AWS_REGION", "AWS_DEFAULT_REGION"] {
        let said = place.refuses(&["account"], &[(variable, "us-east-1")]);
        assert!(said.contains(two), "{variable}: {said}");
    }
    let said = place.refuses(&["account", "REGION=us-west-2"], &[]);
    assert!(said.contains("two regions are named, us-west-2 and eu-central-1"), "{said}");

    let output = place.make(&["account"], &[("AWS_REGION", "eu-central-1")]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
    assert!(said.contains("dev: account 123456789012, region eu-central-1"), "{said}");
}

#[test]
fn the_region_is_part_of_the_states_key_and_of_every_plan() {
    let place = Place::new("state");
    place.write(SETTINGS, "region = \"eu-central-1\"\n");
    let output = place.make(&["destroy", "YES=1"], &[]);
    let ran = String::from_utf8(output.stdout).unwrap();
    assert!(ran.contains("-var=region=eu-central-1"), "{ran}");
    let log = place.folder.join(".local/terraform/eu-central-1/dev/init.log");
    let initialised = std::fs::read_to_string(log).unwrap();
    assert!(initialised.contains("key=webhook-inbox/eu-central-1/dev.tfstate"), "{initialised}");
}

#[test]
fn credentials_of_another_account_are_refused() {
    let place = Place::new("account");
    place.write(SETTINGS, "region = \"eu-central-1\"\naccount_id = \"999999999999\"\n");
    let said = place.refuses(&["account"], &[]);
    assert!(said.contains("of account 123456789012, and dev lives in 999999999999"), "{said}");
}

#[test]
fn what_would_stop_a_destruction_half_way_is_said_before_anything_goes() {
    let place = Place::new("destroy");
    place.write(SETTINGS, "region = \"eu-central-1\"\n");
    let policy = "arn:aws:iam::123456789012:policy/hooks-operator";
    place.write(
        "outputs.json",
        &format!(
            r#"{{"operator_policy_arns": {{"value": {{"operator": "{policy}"}}}},
                "payload_bucket": {{"value": "hooks-payloads"}}}}"#
        ),
    );
    place.script(
        "aws",
        r#"case "$*" in
             *get-caller-identity*) echo 123456789012;;
             *list-entities-for-policy*) echo '{"PolicyRoles":[{"RoleName":"ops"}],"PolicyUsers":[{"UserName":"eve"}]}';;
             *list-objects-v2*) echo '{"Contents":[{"Key":"stripe/1"}]}';;
           esac"#,
    );
    let said = place.refuses(&["destroy", "YES=1"], &[]);
    for command in [
        format!("aws iam detach-role-policy --role-name 'ops' --policy-arn {policy}"),
        format!("aws iam detach-user-policy --user-name 'eve' --policy-arn {policy}"),
        "aws s3 rm s3://hooks-payloads --recursive --region eu-central-1".to_owned(),
        "nothing was destroyed".to_owned(),
    ] {
        assert!(said.contains(&command), "{command} is not said: {said}");
    }
    // Nobody reads what could not be looked at where nothing is asked.
    place.script("aws", r#"case "$*" in *identity*) echo 123456789012;; *) exit 254;; esac"#);
    let said = place.refuses(&["destroy", "YES=1"], &[]);
    assert!(
        said.contains("not looked at: aws") && said.contains("nothing was destroyed"),
        "{said}"
    );
    // And what is empty and nobody's goes.
    place.script("aws", r#"case "$*" in *identity*) echo 123456789012;; *) echo '{}';; esac"#);
    let output = place.make(&["destroy", "YES=1"], &[]);
    let ran = String::from_utf8(output.stdout).unwrap();
    assert!(ran.contains("terraform -chdir=infra destroy"), "{ran}");
}
