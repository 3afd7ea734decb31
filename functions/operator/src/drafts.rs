//! What `inbox send` sends: samples in turn, each a new event, or a file as it is.

use std::path::Path;

use fastrand::Rng;
use inbox_core::form;

use crate::fault::Fault;
use crate::samples::{self, Fresh, Sample};

/// The type in a header, for a file of which nobody said.
const TYPE_OF_FILES: &str = "test";

/// What is sent: samples in turn, or always the same file.
pub enum Bodies {
    /// Each in its turn, made new.
    Samples(Vec<&'static Sample>),
    /// The same each time.
    File {
        /// As it is.
        body: Vec<u8>,
        /// Given or guessed.
        content_type: String,
        /// In the header, where the provider has one.
        event_type: String,
    },
}

/// One body with what is said of it.
pub struct Draft {
    /// Its media type.
    pub content_type: String,
    /// In the header.
    pub event_type: String,
    /// For people.
    pub name: String,
    /// Body and id.
    pub fresh: Fresh,
}

impl Bodies {
    /// A file's body, with its media type or the one it seems to have.
    ///
    /// # Errors
    ///
    /// It cannot be read.
    pub fn of_file(
        file: &Path,
        content_type: Option<&str>,
        event_type: Option<&str>,
    ) -> Result<Self, Fault> {
        let body = read(file)?;
        let content_type = content_type.unwrap_or_else(|| guess(file, &body)).to_owned();
        let event_type = event_type.unwrap_or(TYPE_OF_FILES).to_owned();
        Ok(Self::File { body, content_type, event_type })
    }

    /// The provider's samples of a type, or its first.
    ///
    /// # Errors
    ///
    /// There is none; names those that there are.
    pub fn of_samples(provider: &str, pattern: Option<&str>) -> Result<Self, Fault> {
        let found: Vec<_> = match pattern {
            Some(pattern) => samples::find(provider, pattern),
            None => samples::of(provider).take(1).collect(),
        };
        if !found.is_empty() {
            return Ok(Self::Samples(found));
        }
        let known: Vec<_> = samples::of(provider).map(|it| it.event_type.as_str()).collect();
        Err(Fault::usage(
            format!("there is no sample of that type for {provider}"),
            if known.is_empty() {
                "give the body with --file".to_owned()
            } else {
                format!("known are {}; or give the body with --file", known.join(", "))
            },
        ))
    }

    /// What is sent in this turn, from 0.
    #[must_use]
    pub fn next(&self, turn: usize, random: &mut Rng) -> Draft {
        match self {
            Self::Samples(samples) => {
                let sample = samples[turn % samples.len()];
                Draft {
                    content_type: sample.content_type.to_owned(),
                    event_type: sample.header_event_type.clone(),
                    name: sample.event_type.clone(),
                    fresh: sample.fresh(random),
                }
            }
            Self::File { body, content_type, event_type } => {
                let id = uuid::Uuid::new_v4().to_string();
                Draft {
                    content_type: content_type.clone(),
                    event_type: event_type.clone(),
                    name: "file".to_owned(),
                    fresh: Fresh { body: body.clone(), id },
                }
            }
        }
    }
}

fn read(file: &Path) -> Result<Vec<u8>, Fault> {
    let read = if file.as_os_str() == "-" {
        let mut bytes = Vec::new();
        std::io::Read::read_to_end(&mut std::io::stdin().lock(), &mut bytes).map(|_| bytes)
    } else {
        std::fs::read(file)
    };
    read.map_err(|fault| {
        Fault::usage(format!("cannot read {}: {fault}", file.display()), "name another file")
    })
}

/// By its name, else by how it begins.
fn guess(file: &Path, body: &[u8]) -> &'static str {
    let by_content = || match body.trim_ascii_start().first() {
        Some(b'{' | b'[') => "application/json",
        Some(_) if body.contains(&b'=') && !body.trim_ascii().contains(&b' ') => form::MEDIA_TYPE,
        _ => "application/octet-stream",
    };
    samples::media_type(file).unwrap_or_else(by_content)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_files_media_type_is_told_by_its_name_then_by_its_content() {
        for (name, body, content_type) in [
            ("x.json", "a=1", "application/json"),
            ("x.form", "{}", form::MEDIA_TYPE),
            ("x", " {\"a\": 1}", "application/json"),
            ("x.txt", "[1]", "application/json"),
            ("x.txt", "a=1&b=%20", form::MEDIA_TYPE),
            ("x.txt", "a = 1", "application/octet-stream"),
            ("x.txt", "", "application/octet-stream"),
        ] {
            assert_eq!(guess(Path::new(name), body.as_bytes()), content_type, "{name} {body}");
        }
    }
}
