//! A scratch copy of `infra/` in which Terraform runs: nothing is written into the clone,
//! and any number of copies work at the same time.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::LazyLock;

use serde_json::Value as Json;

use super::server;
use crate::infra;

/// The oldest Terraform that the module allows.
const OLDEST: (u32, u32) = (1, 11);

fn terraform() -> String {
    std::env::var("TERRAFORM").unwrap_or_else(|_| "terraform".to_owned())
}

/// Whether there is a Terraform to test with. Without one it says so, or panics where
/// one is required.
pub(crate) fn is_there() -> bool {
    static REASON: LazyLock<Option<String>> = LazyLock::new(missing);
    let Some(reason) = &*REASON else { return true };
    let is_required = ["CI", "REQUIRED"]
        .iter()
        .any(|name| std::env::var(name).is_ok_and(|it| !["", "0", "false"].contains(&&*it)));
    assert!(
        !is_required,
        "{reason}, and CI or REQUIRED is set: install it, or name one by TERRAFORM="
    );
    // Past the test harness, which would keep it to itself.
    let _ = std::io::Write::write_all(
        &mut std::io::stderr(),
        format!("SKIPPED: {reason}, so nothing of infra/ is evaluated by Terraform\n").as_bytes(),
    );
    false
}

fn missing() -> Option<String> {
    let name = terraform();
    let Ok(output) = Command::new(&name).args(["version", "-json"]).output() else {
        return Some(format!("{name} cannot be run"));
    };
    let version: Json = serde_json::from_slice(&output.stdout).unwrap_or_default();
    let version = version["terraform_version"].as_str().unwrap_or_default();
    let mut parts = version.split('.').map_while(|it| it.parse::<u32>().ok());
    let is_new_enough = (parts.next(), parts.next()) >= (Some(OLDEST.0), Some(OLDEST.1));
    (!is_new_enough).then(|| format!("{name} is {version:?}, and {OLDEST:?} is needed"))
}

/// Which end of the provider that the module allows.
#[derive(Clone, Copy, Debug)]
pub(crate) enum End {
    Oldest,
    Newest,
}

/// The copy, removed when it is dropped.
pub(crate) struct Workspace {
    folder: PathBuf,
    end: End,
}

impl Workspace {
    /// `infra/` with a zip for each function, which the module looks for.
    pub(crate) fn new(end: End) -> Self {
        let folder = std::env::temp_dir().join(format!("inbox-infra-{}", uuid::Uuid::new_v4()));
        copy(&infra(), &folder.join("infra"));
        let workspace = Self { folder, end };
        for package in ["receiver", "processor", "sweeper", "subscriber"] {
            workspace.write(&format!("packages/{package}.zip"), package);
        }
        workspace.write("terraform.rc", "");
        workspace
    }

    /// The module's variable `packages`, as Terraform and our own evaluator read it.
    pub(crate) fn packages(&self) -> String {
        let zip = |name: &str| {
            let path = self.path(&format!("packages/{name}.zip"));
            format!("{name} = {:?}", path.display().to_string())
        };
        let zips = ["receiver", "processor", "sweeper"].map(zip).join("\n  ");
        format!("packages = {{\n  {zips}\n}}\n")
    }

    /// The path of something in it.
    pub(crate) fn path(&self, relative: &str) -> PathBuf {
        self.folder.join(relative)
    }

    /// Writes a file, and the folders above it.
    pub(crate) fn write(&self, relative: &str, text: &str) {
        let path = self.path(relative);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    /// Runs Terraform in one of its folders.
    pub(crate) fn run(&self, directory: &str, arguments: &[&str]) -> Output {
        let mut command = Command::new(terraform());
        // Neither the user's settings nor a registry have a part in it.
        command.env("TF_CLI_CONFIG_FILE", self.path("terraform.rc"));
        command.env("TF_REATTACH_PROVIDERS", &server::reattach()[self.end as usize]);
        command.env("CHECKPOINT_DISABLE", "1").env("TF_IN_AUTOMATION", "1");
        for name in ["TF_DATA_DIR", "TF_LOG", "TF_CLI_ARGS", "TF_WORKSPACE"] {
            command.env_remove(name);
        }
        command.current_dir(self.path(directory)).args(arguments);
        command.output().unwrap_or_else(|fault| panic!("terraform: {fault}"))
    }

    /// Makes a folder ready, without a backend.
    pub(crate) fn init(&self, directory: &str) {
        let output = self.run(directory, &["init", "-backend=false", "-input=false", "-no-color"]);
        assert!(output.status.success(), "terraform init in {directory}:\n{}", shown(&output));
    }
}

impl Drop for Workspace {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// What a command printed.
pub(crate) fn shown(output: &Output) -> String {
    let part = |bytes| String::from_utf8_lossy(bytes).into_owned();
    part(&output.stdout) + &part(&output.stderr)
}

/// Everything but what Terraform and npm leave behind, and a deployment's own settings.
fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name();
        let is_left = name.to_string_lossy().starts_with('.')
            || ["node_modules", "env", "dist", "backend.hcl"].iter().any(|it| name == *it);
        if is_left {
            continue;
        }
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to.join(name));
        } else {
            std::fs::copy(entry.path(), to.join(name)).unwrap();
        }
    }
}
