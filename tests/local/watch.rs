//! The watch over what our processes write: nothing of a payload, no secret and no
//! signature, in any line of the whole test run.
//!
//! ```text
//! resources::create_secret ─▶ secrets ────┐
//! Delivery::headers ─▶ signatures ────────┤
//! the fixtures' markers ──────────────────┤
//!                                         ▼
//! a function run by hand ─ every line ─▶ watch ─ remembers each leak ─▶ check panics:
//! a function of a stack ── its log file ─▶                              a test fails
//! the operator's command ─ its errors ───▶
//! ```
//!
//! A payload is looked for as it reads, not only as it is spelled: in lower case, without
//! escapes of JSON and forms, without what stands between its words, and with digits in
//! groups.
//!
//! It stands where output is captured and where secrets and signatures are made, so
//! that no test can forget it, and a secret that a test makes up is watched for
//! without being told. A leak is remembered for the whole process: whoever looks
//! next fails, also when the line came in after its own test had ended.

use std::collections::{BTreeSet, HashSet};
use std::path::Path;
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

use percent_encoding::percent_decode_str;
use serde_json::Value;

/// Pieces of the fixtures, in lower case: what stands for personal data, names of
/// fields in payloads, and a sentence.
const PAYLOADS: [&str; 8] = [
    "marker-",
    "1500555",
    "api_version",
    "client_secret",
    "accountsid",
    "first_name",
    "head_commit",
    "logically awesome",
];
/// The same without what stands between words, for a line that spells them otherwise:
/// `apiVersion`, `Marker.Jane`.
const WORDS: [&str; 7] = [
    "marker",
    "apiversion",
    "clientsecret",
    "accountsid",
    "firstname",
    "headcommit",
    "logicallyawesome",
];
/// Telephone numbers of the fixtures begin so: fewer digits than one has, so that it is
/// seen in pieces too, and more than other numbers share by chance.
const NUMBERS: [&str; 2] = ["1500555", "5005550"];
/// What people write between the digits of one number.
const BETWEEN_DIGITS: &str = " -.()/\u{a0}";
/// One encoding within another is read so often.
const ENCODINGS_MOST: usize = 3;
/// What secrets and signature headers look like. A person may be told of it, a log
/// has no reason to.
const SHAPES: [&str; 4] = ["whsec_", "v1=", "v1,", "sha256="];
/// Shorter secrets and pieces of signatures are words that logs may hold.
const TELLING_BYTES: usize = 12;
const SIGNATURE_BYTES: usize = 20;
/// A line that is longer is looked at in pieces.
const LINE_BYTES: usize = 1024 * 1024;

static OF_THIS_RUN: LazyLock<Watch> = LazyLock::new(Watch::default);

/// What must not be written, and what was all the same.
#[derive(Debug, Default)]
pub struct Watch {
    secrets: Mutex<BTreeSet<String>>,
    /// Runs of the letters that signatures are written in: thousands of them, so
    /// they are looked up and not searched for.
    signatures: Mutex<HashSet<String>>,
    leaks: Mutex<Vec<String>>,
}

impl Watch {
    /// The one that this process's tests share.
    #[must_use]
    pub fn of_this_run() -> &'static Self {
        &OF_THIS_RUN
    }

    /// From now on no text of a stored secret may be written. An address in it is
    /// none.
    pub fn forbid_stored(&self, stored: &Value) {
        match stored {
            Value::String(text) if text.len() >= TELLING_BYTES && !text.contains("://") => {
                lock(&self.secrets).insert(text.clone());
            }
            Value::Array(list) => list.iter().for_each(|it| self.forbid_stored(it)),
            Value::Object(members) => members.values().for_each(|it| self.forbid_stored(it)),
            _ => {}
        }
    }

    /// From now on this signature may not be written, nor a part of it that could
    /// be used.
    pub fn forbid_signature(&self, header: &str) {
        lock(&self.signatures).extend(runs(header).map(str::to_owned));
    }

    /// Looks at a line of a log that `who` wrote.
    pub fn look(&self, who: &str, line: &str) {
        self.look_for(PAYLOADS.iter().chain(&SHAPES), who, line);
    }

    /// The piece of a payload that a line holds in another spelling than the fixtures'.
    fn respelled(line: &str) -> Option<&'static str> {
        let read = as_read(line).to_lowercase();
        let piece = PAYLOADS.iter().find(|piece| read.contains(**piece));
        let letters: String = read.chars().filter(|c| c.is_alphanumeric()).collect();
        let word = || WORDS.iter().find(|word| letters.contains(**word));
        let ungrouped = without_groups(&read);
        let number = || NUMBERS.iter().find(|number| ungrouped.contains(**number));
        piece.or_else(word).or_else(number).copied()
    }

    /// Looks at a line that `who` wrote for a person, who is told what a secret or a
    /// signature should look like.
    pub fn look_at_advice(&self, who: &str, line: &str) {
        self.look_for(PAYLOADS.iter(), who, line);
    }

    fn look_for<'a>(&self, pieces: impl Iterator<Item = &'a &'a str>, who: &str, line: &str) {
        let lower = line.to_lowercase();
        let piece = pieces.copied().find(|piece| lower.contains(piece));
        let is_secret = || lock(&self.secrets).iter().any(|secret| line.contains(secret.as_str()));
        let is_signature = || {
            let signatures = lock(&self.signatures);
            runs(line).any(|run| signatures.contains(run))
        };
        let what = match piece {
            Some(piece) => format!("{piece:?}"),
            None if is_secret() => "a secret".to_owned(),
            None if is_signature() => "a signature".to_owned(),
            None => match Self::respelled(line) {
                Some(piece) => format!("{piece:?} in another spelling"),
                None => return,
            },
        };
        let shown: String = line.chars().take(600).collect();
        lock(&self.leaks).push(format!("{who} wrote {what}: {shown}"));
    }

    /// Looks through every log in a directory, if there is one.
    pub fn look_through(&self, directory: &Path) {
        for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
            let path = entry.path();
            let bytes = std::fs::read(&path).unwrap_or_default();
            let who = path.display().to_string();
            String::from_utf8_lossy(&bytes).lines().for_each(|line| self.look(&who, line));
        }
    }

    /// Fails whoever asks when anything of this run has leaked, unless it fails
    /// already.
    ///
    /// # Panics
    ///
    /// With what was written.
    pub fn check(&self) {
        if std::thread::panicking() {
            return;
        }
        let leaks = lock(&self.leaks).join("\n");
        assert!(leaks.is_empty(), "what must not be logged was:\n{leaks}");
    }
}

/// Takes a stream apart into lines and shows them to a watch.
#[derive(Debug)]
pub(crate) struct Lines<'a> {
    watch: &'a Watch,
    who: String,
    begun: Vec<u8>,
}

impl<'a> Lines<'a> {
    pub(crate) fn new(watch: &'a Watch, who: String) -> Self {
        Self { watch, who, begun: Vec::new() }
    }

    /// Whole lines are looked at; what is left waits for more.
    pub(crate) fn take(&mut self, bytes: &[u8]) {
        self.begun.extend_from_slice(bytes);
        while let Some(end) = self.begun.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.begun.drain(..=end).collect();
            self.watch.look(&self.who, &String::from_utf8_lossy(&line));
        }
        if self.begun.len() > LINE_BYTES {
            self.end();
        }
    }

    /// The last line may have no end.
    pub(crate) fn end(&mut self) {
        let line = std::mem::take(&mut self.begun);
        self.watch.look(&self.who, &String::from_utf8_lossy(&line));
    }
}

/// A line without the escapes of JSON and of forms, one within another too.
fn as_read(line: &str) -> String {
    let mut line = line.to_owned();
    for _ in 0..ENCODINGS_MOST {
        let read = unescaped(&percent_decode_str(&line).decode_utf8_lossy());
        if read == line {
            break;
        }
        line = read;
    }
    line
}

/// `\u002d` and the like are what they stand for, and any other escape is its last letter.
fn unescaped(text: &str) -> String {
    let mut read = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        read.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        let code = rest.strip_prefix('u').and_then(|hex| hex.get(..4));
        let c = code.and_then(|hex| char::from_u32(u32::from_str_radix(hex, 16).ok()?));
        if let Some(c) = c {
            read.push(c);
            rest = &rest[5..];
        }
    }
    read + rest
}

/// The same with each number's groups of digits joined.
fn without_groups(text: &str) -> String {
    let mut joined = String::with_capacity(text.len());
    let mut between = String::new();
    for c in text.chars() {
        if BETWEEN_DIGITS.contains(c) {
            between.push(c);
            continue;
        }
        if !(c.is_ascii_digit() && joined.ends_with(|last: char| last.is_ascii_digit())) {
            joined.push_str(&between);
        }
        between.clear();
        joined.push(c);
    }
    joined
}

/// The long runs of letters of base64 and hex; `=` separates as well as pads.
fn runs(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !(c.is_ascii_alphanumeric() || "+/".contains(c)))
        .filter(|run| run.len() >= SIGNATURE_BYTES)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn leaks(watch: &Watch) -> Vec<String> {
        std::mem::take(&mut *lock(&watch.leaks))
    }

    #[test]
    fn markers_secrets_and_signatures_are_seen_wherever_they_stand() {
        let watch = Watch::default();
        let stored = json!({ "signing_secrets": ["It's a Secret", "short"], "url": "https://a.b" });
        watch.forbid_stored(&stored);
        watch.forbid_signature("t=1772366400,x1=0123456789abcdef0123456789abcdef");
        for (line, what) in [
            (r#"{"name":"Marker-Jane"}"#, "\"marker-\""),
            ("it's: It's a Secret.", "a secret"),
            (r#"{"got":"0123456789abcdef0123456789abcdef"}"#, "a signature"),
        ] {
            watch.look("receiver", line);
            assert_eq!(leaks(&watch), [format!("receiver wrote {what}: {line}")]);
        }
        for line in ["{}", "short", "https://a.b", "0123456789abcdef", "t=1772366400"] {
            watch.look("receiver", line);
            assert_eq!(leaks(&watch), [] as [String; 0], "{line}");
        }
    }

    /// Planted: each stands for what a server makes of a fixture's words.
    #[test]
    fn a_payload_is_seen_in_every_spelling() {
        let watch = Watch::default();
        for (line, what) in [
            (r#"{"error":"no user marker\u002djane"}"#, "\"marker-\""),
            (r#"{"error":"{\"user\":\"\\u006darker-jane\"}"}"#, "\"marker-\""),
            ("no user Marker%2DJane", "\"marker-\""),
            ("no user %4Darker%252DJane", "\"marker-\""),
            ("no user MARKER JANE", "\"marker\""),
            ("no user marker.jane@example.com", "\"marker\""),
            (r#"{"apiVersion":"2024"}"#, "\"apiversion\""),
            ("FIRST-NAME is missing", "\"firstname\""),
            ("Logically, awesome", "\"logicallyawesome\""),
            ("bad number +1 (500) 555-0006", "\"1500555\""),
            ("bad number +1-500-555-0006", "\"1500555\""),
            ("bad number %2B1%20500.555.0006", "\"1500555\""),
            ("bad number (500) 555 0006", "\"5005550\""),
        ] {
            watch.look("processor", line);
            let told = format!("processor wrote {what} in another spelling: {line}");
            assert_eq!(leaks(&watch), [told]);
        }
        for line in [
            r#"{"timestamp":"2026-11-28T13:15:00.555Z","level":"INFO","attempts":15}"#,
            "answered 422, which is final; 500, 555, 0006",
        ] {
            watch.look("processor", line);
            assert_eq!(leaks(&watch), [] as [String; 0], "{line}");
        }
    }

    #[test]
    fn a_marker_that_comes_in_pieces_is_seen() {
        let watch = Watch::default();
        let mut lines = Lines::new(&watch, "x".to_owned());
        for piece in ["one\ntwo mar", "ker", "-jane thr", "ee\nfour"] {
            lines.take(piece.as_bytes());
        }
        assert_eq!(leaks(&watch), ["x wrote \"marker-\": two marker-jane three\n"]);
        lines.take(b" 1500");
        lines.take(b"555");
        lines.end();
        assert_eq!(leaks(&watch), ["x wrote \"1500555\": four 1500555"]);
    }

    #[test]
    #[should_panic(expected = "what must not be logged was:\nx wrote \"whsec_\": whsec_a")]
    fn a_leak_fails_whoever_looks_next() {
        let watch = Watch::default();
        watch.look_at_advice("x", "whsec_b");
        watch.look("x", "whsec_a");
        watch.check();
    }
}
