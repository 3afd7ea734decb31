//! What somebody hands to `inbox verify`.

use inbox_core::Timestamp;
use inbox_core::secrets::{Secret, SecretBundle};
use inbox_operator::captured::Captured;
use inbox_operator::diagnosis::Case;
use inbox_operator::records;
use inbox_receiver::providers;

use crate::choice;

const SECRET: &str = "whsec_Rk9SIEZVWlpJTkcgT05MWTogMjQgYnl0ZXM=";

/// A captured request by itself, and as a line of many.
///
/// # Panics
///
/// When somebody is told a word of the secret.
pub fn run(data: &[u8]) {
    let Some((first, rest)) = choice(data) else { return };
    let now = Timestamp::from_unix_seconds(1_772_366_400).expect("a moment");
    if let Ok(line) = std::str::from_utf8(rest) {
        let _ = records::judge(line, || now);
    }
    let Ok(mut captured) = Captured::parse(rest) else { return };
    captured.set_url("https://hooks.example.com/webhooks/shop");
    let names: Vec<_> = providers::names().collect();
    let provider = providers::find(names[first % names.len()]).expect("registered");
    let secrets = SecretBundle::of(vec![Secret::new(SECRET.to_owned())]).expect("not empty");
    let case = Case { provider: provider.as_ref(), captured: &captured, secrets: &secrets, now };
    let Err(rejection) = case.judge() else { return };
    for reason in case.reasons(rejection) {
        assert!(!reason.finding.contains(SECRET) && !reason.advice.contains(SECRET));
    }
}
