//! Why a Standard Webhooks delivery cannot be judged: headers of which some are
//! missing, or that another version of the scheme wrote.

use inbox_core::request::Request;

use super::{HEADER_FAMILIES, VERSION, headers, is_opaque};

/// Unix milliseconds have so many digits until the year 2286.
const MILLISECOND_DIGITS: usize = 13;

/// Which headers are missing, where some of a family are there.
pub(super) fn incomplete(request: &Request) -> Vec<String> {
    let is_there = |name: &str| request.header(name).is_some();
    let begun = HEADER_FAMILIES.iter().filter(|family| family.iter().any(|name| is_there(name)));
    begun
        .map(|family| {
            let missing: Vec<_> = family.iter().filter(|name| !is_there(name)).copied().collect();
            format!(
                "Not there: {}. The three headers must come from one family, webhook-* or svix-*",
                missing.join(", ")
            )
        })
        .collect()
}

/// What of the three headers cannot be read.
pub(super) fn unreadable(request: &Request) -> Vec<String> {
    let Some([id, timestamp, signatures]) = headers(request) else { return Vec::new() };
    let mut told = Vec::new();
    if !is_opaque(&id) {
        told.push("The id is empty or holds a full stop or a space, as ids never do".to_owned());
    }
    let is_number = timestamp.bytes().all(|byte| byte.is_ascii_digit());
    if is_number && timestamp.len() == MILLISECOND_DIGITS {
        told.push("The timestamp is in milliseconds, and must be in seconds".to_owned());
    }
    let versions: Vec<_> =
        signatures.split(' ').filter_map(|entry| Some(entry.split_once(',')?.0)).collect();
    if versions.contains(&"v1a") && !versions.contains(&VERSION) {
        told.push(
            "There is only a v1a signature (ed25519), which is not supported yet: ask the sender \
             for a symmetric secret, which signs as v1"
                .to_owned(),
        );
    }
    told
}

#[cfg(test)]
mod tests {
    use inbox_core::provider::{Provider as _, Rejection};

    use super::super::super::testing::{Delivery, bundle};
    use super::super::StandardWebhooks;

    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

    fn delivery() -> Delivery {
        Delivery::signed(&StandardWebhooks, SECRET, "application/json", b"{}")
    }

    fn advice(delivery: &Delivery, rejection: Rejection) -> String {
        StandardWebhooks.advise(&delivery.request(), &bundle(&[SECRET]), rejection).join("; ")
    }

    #[test]
    fn the_missing_ones_of_a_family_are_named() {
        let partial = delivery().without_header("webhook-timestamp").without_header("webhook-id");
        assert_eq!(
            advice(&partial, Rejection::MissingSignature),
            "Not there: webhook-id, webhook-timestamp. The three headers must come from one \
             family, webhook-* or svix-*"
        );
    }

    #[test]
    fn milliseconds_v1a_and_strange_ids_are_explained() {
        for (header, value, part) in [
            ("webhook-timestamp", "1614265330000", "milliseconds"),
            ("webhook-signature", "v1a,AAAA", "v1a"),
            ("webhook-id", "a.b", "full stop"),
        ] {
            let told =
                advice(&delivery().with_header(header, value), Rejection::MalformedSignature);
            assert!(told.contains(part), "{header}: {told}");
        }
        assert_eq!(advice(&delivery(), Rejection::MalformedSignature), "");
    }
}
