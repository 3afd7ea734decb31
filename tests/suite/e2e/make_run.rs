//! `make run`: what it says on the terminal, and what it refuses to start.

use std::io::Write as _;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use inbox_local::{http_client, paths};
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use zip::write::SimpleFileOptions;

/// Longer than a start takes on a busy machine.
const WITHIN: Duration = Duration::from_mins(2);

fn local_run(port: u16, routes: &str) -> Command {
    let mut command = Command::new(paths::binary("local").expect("cargo build --workspace"));
    command
        .args(["run", "--port", &port.to_string()])
        .env("ROUTES", routes)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

/// A port that nobody listens on now.
fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("its address").port()
}

/// The first line of standard output that says this; none comes in time, or at all, is a
/// failure.
async fn line_with(lines: &mut Lines<BufReader<ChildStdout>>, part: &str) -> String {
    let mut before = Vec::new();
    let found = tokio::time::timeout(WITHIN, async {
        while let Some(line) = lines.next_line().await.expect("text") {
            if line.contains(part) {
                return Some(line);
            }
            before.push(line);
        }
        None
    });
    let found = found.await.ok().flatten();
    found.unwrap_or_else(|| panic!("no line says {part:?}: {before:#?}"))
}

async fn stopped(mut child: Child) {
    let pid = child.id().expect("it runs").to_string();
    let told = Command::new("kill").args(["-TERM", &pid]).status().await.expect("kill");
    assert!(told.success(), "it has ended by itself");
    let ended = tokio::time::timeout(WITHIN, child.wait()).await.expect("it stops in time");
    assert_eq!(ended.expect("its status").code(), Some(0));
}

#[tokio::test]
async fn routes_that_cannot_be_used_start_nothing_and_are_told_one_by_one() {
    let routes = "[{\"id\": \"crm\", \"match\": \"stripe:*\", \"handler\": \"invok\"},\n \
                  {\"match\": \"stripe\", \"handler\": \"mirror\", \"wiht\": {}}]";
    let ran = local_run(free_port(), routes).output().await.expect("it runs");
    let told = String::from_utf8(ran.stderr).expect("text");
    assert_eq!(ran.status.code(), Some(2), "{told}");
    assert_eq!(ran.stdout, b"", "nothing was started");
    let lines: Vec<&str> = told.lines().collect();
    assert_eq!(lines[0], "ROUTES cannot be used, nothing was started:", "{told}");
    for (line, begins) in lines[1..].iter().zip([
        "  route 1 (\"crm\", line 1): no handler is named \"invok\"; there are ",
        "  route 2 (line 2): needs `id`",
        "  route 2 (line 2): has no member `wiht`; there are ",
        "  route 2 (line 2): match must be source:type, ",
    ]) {
        assert!(line.starts_with(begins), "{line:?} does not begin with {begins:?}");
    }
    assert_eq!(lines.len(), 5, "{told}");
}

/// As `make package` leaves them, but for settings of its own that no receiver takes.
fn packages_with_a_receiver_that_cannot_start() -> PathBuf {
    let folder = paths::local_directory().join(format!("packages-{}", uuid::Uuid::new_v4()));
    std::fs::create_dir_all(&folder).expect("a folder");
    for (function, settings) in
        [("receiver", "PROVIDER=nobody"), ("processor", ""), ("sweeper", "")]
    {
        let binary = paths::binary(function).expect("cargo build --workspace");
        let bootstrap = format!("#!/bin/sh\n{settings} exec {}\n", binary.display());
        let file = std::fs::File::create(folder.join(format!("{function}.zip"))).expect("a file");
        let mut zip = zip::ZipWriter::new(file);
        zip.start_file("bootstrap", SimpleFileOptions::default()).expect("an entry");
        zip.write_all(bootstrap.as_bytes()).expect("written");
        zip.finish().expect("a zip");
    }
    folder
}

#[tokio::test]
async fn a_function_that_dies_in_its_start_is_told_on_the_terminal() {
    let port = free_port();
    let packages = packages_with_a_receiver_that_cannot_start();
    let mut command = local_run(port, "[]");
    let mut child = command.env("INBOX_PACKAGES", &packages).spawn().expect("it starts");
    let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    line_with(&mut lines, "ready: post to").await;
    let url = format!("http://127.0.0.1:{port}/webhooks/stripe");
    let request = http_client::build("POST", &url, &[], "{}".into()).expect("a request");
    assert!(http_client::send(request).await.expect("an answer").status().is_server_error());
    let told = line_with(&mut lines, "! receiver-stripe ").await;
    let expected = "! receiver-stripe cannot start: configuration: PROVIDER: ";
    assert!(told.starts_with(expected), "{told}");
    assert!(told.ends_with("/logs/receiver-stripe.log)"), "where to read more: {told}");
    stopped(child).await;
    let _ = std::fs::remove_dir_all(packages);
}
