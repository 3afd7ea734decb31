//! The receiver's settings.

use std::sync::Arc;
use std::time::Duration;

use inbox_core::config::{ConfigError, Reader, is_source_name};
use inbox_core::ledger::least_retention;
use inbox_core::provider::Provider;
use inbox_core::stack::stack;

use crate::providers;

/// What makes two deliveries the same event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dedup {
    /// The id that the provider documents for it.
    Id,
    /// A hash of the body, for providers whose id is an unsigned header: a
    /// captured request cannot be replayed under another id or type, and two
    /// deliveries with the same body become one event.
    Content,
}

/// Read once at start.
#[derive(Clone, Debug)]
pub struct Config {
    /// The source's name.
    pub source: String,
    /// Name or ARN of its secret.
    pub secret_id: String,
    /// The addresses that the provider may call, without path: one, or two while
    /// the source moves to another domain.
    pub public_base_urls: Vec<String>,
    /// The ledger's table.
    pub table_name: String,
    /// The queue.
    pub queue_url: String,
    /// Where bodies go that are too large for the table.
    pub payload_bucket: Option<String>,
    /// Larger bodies are refused.
    pub max_body_bytes: usize,
    /// How long events are kept and duplicates recognised.
    pub retention: Duration,
    /// How long a message may take before the sweeper sends another.
    pub sweep_grace: Duration,
    /// What makes two deliveries the same event.
    pub dedup: Dedup,
    /// The only hooks that are let in, where the provider says which hook sends;
    /// all of them when empty.
    pub hook_ids: Vec<String>,
}

impl Config {
    /// Reads the settings; `lookup` is the environment in `main`.
    ///
    /// # Errors
    ///
    /// Every problem, by name.
    pub fn from_lookup(
        lookup: impl Fn(&str) -> Option<String>,
    ) -> Result<(Self, Arc<dyn Provider>), ConfigError> {
        let defaults = &stack().defaults;
        let mut reader = Reader::new(lookup);
        let source = reader.required("SOURCE");
        if !source.is_empty() && !is_source_name(&source) {
            reader.problem(
                "SOURCE must be lower-case letters, digits and underscores, at most 48, from a letter",
            );
        }
        let name = reader.required("PROVIDER");
        let provider = providers::require(&name);
        if let (false, Err(unknown)) = (name.is_empty(), &provider) {
            reader.problem(format_args!("PROVIDER: {unknown}"));
        }
        let secret_id = reader.required("SECRET_ID");
        let public_base_urls = list(&mut reader, "PUBLIC_BASE_URL");
        if !public_base_urls.iter().all(|url| is_base_url(url)) {
            reader.problem(
                "PUBLIC_BASE_URL must be https://host or http://host[:port] without path or query, \
                 or several with commas between them",
            );
        }
        if public_base_urls.is_empty() && provider.as_ref().is_ok_and(|it| it.signs_url()) {
            reader.problem(format_args!(
                "PUBLIC_BASE_URL is not set, and {name} signs the URL that it calls"
            ));
        }
        let hook_ids = list(&mut reader, "HOOK_IDS");
        if !hook_ids.iter().all(|id| id.bytes().all(|b| b.is_ascii_digit())) {
            reader.problem("HOOK_IDS must be numbers with commas between them");
        }
        if !hook_ids.is_empty() && provider.as_ref().is_ok_and(|it| !it.names_hook()) {
            reader.problem(format_args!(
                "HOOK_IDS is set, and {name} does not say which hook a request is of"
            ));
        }
        let payload_bucket = reader.optional("PAYLOAD_BUCKET");
        let largest_body_bytes = match &payload_bucket {
            Some(_) => defaults.max_body_bytes,
            None => defaults.inline_payload_bytes,
        };
        let config = Self {
            source,
            secret_id,
            public_base_urls,
            table_name: reader.required("TABLE_NAME"),
            queue_url: reader.required("QUEUE_URL"),
            max_body_bytes: reader.number(
                "MAX_BODY_BYTES",
                largest_body_bytes,
                1..=largest_body_bytes,
            ),
            payload_bucket,
            retention: Duration::from_hours(
                24 * reader.number(
                    "RETENTION_DAYS",
                    u64::from(defaults.retention_days),
                    least_days(&[])..=3650,
                ),
            ),
            sweep_grace: Duration::from_secs(reader.number(
                "SWEEP_GRACE_SECONDS",
                u64::from(defaults.sweep_grace_seconds),
                1..=3600,
            )),
            dedup: match reader.optional("DEDUP").as_deref() {
                None | Some("id") => Dedup::Id,
                Some("content") => Dedup::Content,
                Some(other) => {
                    reader.problem(format_args!("DEDUP must be id or content, not {other:?}"));
                    Dedup::Id
                }
            },
            hook_ids,
        };
        // An unfinished event must not expire, nor a dead one before its letter.
        let waits =
            reader.numbers("RETRY_DELAYS_SECONDS", &defaults.retry_delays_seconds, 0..=86_400);
        let (kept, least) = (config.retention.as_secs() / 86_400, least_days(&waits));
        if kept < least {
            reader.problem(format_args!(
                "RETENTION_DAYS is {kept}, and with the waits of RETRY_DELAYS_SECONDS events must be \
                 kept for at least {least} days: keep them longer, or make the waits shorter"
            ));
        }
        // What such a provider signs is more than the body, or another form of it.
        if config.dedup == Dedup::Content && provider.as_ref().is_ok_and(|it| it.signs_url()) {
            reader.problem(format_args!(
                "DEDUP must be id with {name}: its id is a hash of all that is signed already"
            ));
        }
        reader.finish()?;
        let provider = provider.expect("an unknown provider is a problem, and there was none");
        Ok((config, provider))
    }

    /// The addresses that the provider may have been told to call, without query.
    pub fn public_urls(&self) -> impl Iterator<Item = String> {
        let bases = self.public_base_urls.iter();
        bases.map(|base| format!("{}/webhooks/{}", base.trim_end_matches('/'), self.source))
    }
}

/// Days for which events must be kept at least, where failed attempts wait so long.
fn least_days(waits_seconds: &[u32]) -> u64 {
    let waits: Vec<Duration> =
        waits_seconds.iter().map(|seconds| Duration::from_secs((*seconds).into())).collect();
    least_retention(&waits, stack().defaults.retry_jitter_percent).as_secs() / 86_400
}

/// What stands between commas.
fn list(reader: &mut Reader<impl Fn(&str) -> Option<String>>, name: &str) -> Vec<String> {
    let text = reader.optional(name).unwrap_or_default();
    let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
    items.map(str::to_owned).collect()
}

fn is_base_url(url: &str) -> bool {
    let Some((scheme, rest)) = url.split_once("://") else { return false };
    let host = rest.strip_suffix('/').unwrap_or(rest);
    matches!(scheme, "http" | "https") && !host.is_empty() && !host.contains(['/', '?', '#', ' '])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(settings: &[(&str, &str)]) -> Result<Config, Vec<String>> {
        let lookup = |name: &str| {
            settings.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
        };
        Config::from_lookup(lookup).map(|(config, _)| config).map_err(|error| error.problems)
    }

    const GOOD: [(&str, &str); 6] = [
        ("SOURCE", "twilio_eu"),
        ("PROVIDER", "twilio"),
        ("SECRET_ID", "inbox/twilio_eu"),
        ("TABLE_NAME", "events"),
        ("QUEUE_URL", "http://queue"),
        ("PUBLIC_BASE_URL", "https://hooks.example.com/"),
    ];

    #[test]
    fn what_is_left_out_has_a_default() {
        let config = read(&GOOD).unwrap();
        assert_eq!(
            config.public_urls().collect::<Vec<_>>(),
            ["https://hooks.example.com/webhooks/twilio_eu"]
        );
        assert_eq!(config.hook_ids, [""; 0], "every hook is let in");
        assert_eq!(config.max_body_bytes, 327_680);
        assert_eq!(config.retention, Duration::from_hours(24 * 30));
        assert_eq!(config.dedup, Dedup::Id);
    }

    #[test]
    fn with_a_payload_bucket_every_body_is_taken_that_lambda_lets_in() {
        let with = [&GOOD[..], &[("PAYLOAD_BUCKET", "payloads")]].concat();
        let config = read(&with).unwrap();
        assert_eq!(config.payload_bucket.as_deref(), Some("payloads"));
        assert_eq!(config.max_body_bytes, 6 * 1024 * 1024);
        let less = [&with[..], &[("MAX_BODY_BYTES", "1000000")]].concat();
        assert_eq!(read(&less).unwrap().max_body_bytes, 1_000_000);
    }

    #[test]
    fn everything_that_is_missing_or_wrong_is_said_at_once() {
        assert_eq!(
            read(&[
                ("SOURCE", "Twilio-EU"),
                ("PROVIDER", "twilo"),
                ("MAX_BODY_BYTES", "9999999"),
                ("RETENTION_DAYS", "14"),
                ("DEDUP", "never"),
                ("PUBLIC_BASE_URL", "https://hooks.example.com,hooks.example.com"),
                ("HOOK_IDS", "42, all"),
            ])
            .unwrap_err(),
            [
                "SOURCE must be lower-case letters, digits and underscores, at most 48, from a letter",
                &format!("PROVIDER: {}", providers::require("twilo").err().unwrap()),
                "SECRET_ID is not set",
                "PUBLIC_BASE_URL must be https://host or http://host[:port] without path or query, \
                 or several with commas between them",
                "HOOK_IDS must be numbers with commas between them",
                "TABLE_NAME is not set",
                "QUEUE_URL is not set",
                "MAX_BODY_BYTES must be a whole number from 1 to 327680, not \"9999999\"",
                "RETENTION_DAYS must be a whole number from 16 to 3650, not \"14\"",
                "DEDUP must be id or content, not \"never\"",
            ]
        );
    }

    #[test]
    fn events_are_kept_for_longer_than_their_attempts_can_take() {
        let fortnight = ["86400"; 14].join(",");
        let with = |days, waits| {
            read(
                &[&GOOD[..], &[("RETENTION_DAYS", days), ("RETRY_DELAYS_SECONDS", waits)]].concat(),
            )
        };
        assert_eq!(with("17", "60,43200").unwrap().retention, Duration::from_hours(24 * 17));
        assert_eq!(
            with("30", &fortnight).unwrap_err(),
            [
                "RETENTION_DAYS is 30, and with the waits of RETRY_DELAYS_SECONDS events must be kept for at \
              least 32 days: keep them longer, or make the waits shorter"
            ]
        );
        assert_eq!(with("16", "60").unwrap_err().len(), 1);
    }

    #[test]
    fn a_source_that_moves_has_two_addresses() {
        let with =
            [&GOOD[..5], &[("PUBLIC_BASE_URL", "https://new.example, https://old.example/")]];
        assert_eq!(
            read(&with.concat()).unwrap().public_urls().collect::<Vec<_>>(),
            ["https://new.example/webhooks/twilio_eu", "https://old.example/webhooks/twilio_eu"]
        );
    }

    #[test]
    fn hooks_are_told_apart_only_where_the_provider_says_which_one_sends() {
        let of = |provider| {
            let others = &GOOD[2..];
            read(
                &[&[("SOURCE", "code"), ("PROVIDER", provider), ("HOOK_IDS", "1,2")], others]
                    .concat(),
            )
        };
        assert_eq!(of("github").unwrap().hook_ids, ["1", "2"]);
        assert_eq!(
            of("stripe").unwrap_err(),
            ["HOOK_IDS is set, and stripe does not say which hook a request is of"]
        );
    }

    #[test]
    fn deduplication_by_content_is_for_providers_that_sign_the_body() {
        let with = [&GOOD[..], &[("DEDUP", "content")]].concat();
        assert_eq!(
            read(&with).unwrap_err(),
            ["DEDUP must be id with twilio: its id is a hash of all that is signed already"]
        );
    }

    #[test]
    fn a_provider_that_signs_its_url_needs_the_public_one() {
        assert_eq!(
            read(&GOOD[..5]).unwrap_err(),
            ["PUBLIC_BASE_URL is not set, and twilio signs the URL that it calls"]
        );
    }
}
