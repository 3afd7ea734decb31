//! What holds a key or a payload shows neither when somebody prints it.

use bytes::Bytes;
use inbox_core::secrets::Secret;

use crate::captured::Captured;
use crate::cli::Cli;
use crate::http_client::{Answer, Posted};
use crate::rotation::Rotation;
use clap::Parser as _;

const MARKER: &str = "marker-7f3a";

#[test]
fn nothing_here_shows_a_secret_or_a_payload() {
    let raw = format!("POST /in?x={MARKER} HTTP/1.1\nx-signature: {MARKER}\n\n{MARKER}");
    let captured = Captured::parse(raw.as_bytes()).unwrap();
    let json = format!(r#"{{"signing_secrets":["{MARKER}"],"other":"{MARKER}"}}"#);
    let rotation = Rotation::parse(&json).unwrap();
    let answer = Answer {
        status: 200,
        headers: [(reqwest::header::SET_COOKIE, MARKER.parse().unwrap())].into_iter().collect(),
        body: Bytes::from_static(MARKER.as_bytes()),
    };
    let verify = Cli::try_parse_from(["inbox", "verify", "--provider", "x", "--secret", MARKER]);
    let add = Cli::try_parse_from(["inbox", "secret", "add", "stripe", MARKER]);
    for shown in [
        format!("{captured:?}"),
        format!("{:?}", captured.request()),
        format!("{rotation:?}"),
        format!("{answer:?}"),
        format!("{:?}", Posted::Answered(answer)),
        format!("{:?}", Secret::new(MARKER.to_owned())),
        format!("{:?}", verify.unwrap()),
        format!("{:?}", add.unwrap()),
    ] {
        assert!(!shown.contains(MARKER), "{shown}");
    }
}
