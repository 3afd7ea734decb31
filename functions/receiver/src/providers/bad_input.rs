//! Requests that no provider sends: each gets its refusal, or, where it is
//! properly signed, an identity with what could be read.

use std::collections::BTreeSet;

use inbox_core::provider::{Identity, Rejection};

use super::facts::{KeySource, SignatureList};
use super::testing::{self, Delivery, Sample, at, header_value};
use inbox_core::form;

const SIX_MB: usize = 6 * 1024 * 1024;

fn signature_header(sample: &Sample) -> &'static str {
    &sample.facts.signature_header
}

fn judge(sample: &Sample, delivery: &Delivery) -> Result<(), Rejection> {
    delivery.judge(sample.provider.as_ref(), &sample.secrets, at(0))
}

fn identity(sample: &Sample, body: &[u8]) -> Identity {
    sample.delivery(body).identity(sample.provider.as_ref(), sample.secrets[0])
}

#[test]
fn without_its_signature_header_a_request_has_no_signature() {
    for sample in testing::all() {
        let unsigned = sample.delivery(b"a=1").without_header(signature_header(&sample));
        assert_eq!(judge(&sample, &unsigned), Err(Rejection::MissingSignature));
        let bare = Delivery { headers: http::HeaderMap::new(), ..unsigned };
        assert_eq!(judge(&sample, &bare), Err(Rejection::MissingSignature));
    }
}

#[test]
fn an_empty_a_long_or_an_unreadable_header_is_malformed() {
    let long_run = "a".repeat(64 * 1024);
    let long_list = "v1=,v1,= ".repeat(64 * 1024 / 9);
    let values = [&b""[..], b" ", b"\xff\xfe", long_run.as_bytes(), long_list.as_bytes()];
    for sample in testing::all() {
        for value in values {
            let mut delivery = sample.delivery(b"a=1");
            delivery.headers.insert(signature_header(&sample), header_value(value).unwrap());
            assert_eq!(judge(&sample, &delivery), Err(Rejection::MalformedSignature));
        }
    }
}

#[test]
fn a_good_signature_with_something_unreadable_behind_it_is_malformed() {
    for sample in testing::all() {
        let mut delivery = sample.delivery(b"a=1");
        let name = signature_header(&sample);
        let mut value = delivery.headers[name].as_bytes().to_vec();
        value.push(0xff);
        delivery.headers.insert(name, header_value(&value).unwrap());
        assert_eq!(judge(&sample, &delivery), Err(Rejection::MalformedSignature));
    }
}

/// Repeats are joined by commas. Where commas separate signatures and nothing
/// else, that is a list of two good ones; elsewhere it reads as nothing.
#[test]
fn a_signature_header_given_twice_is_malformed_unless_it_reads_as_a_list() {
    for sample in testing::all() {
        let mut delivery = sample.delivery(b"a=1");
        let name = signature_header(&sample);
        let value = delivery.headers[name].clone();
        delivery.headers.append(name, value);
        let list = sample.facts.signature_list.as_ref();
        let is_longer_list =
            list.is_some_and(|list| list.separator == "," && list.leading == 0 || list.joins_lines);
        let expected = if is_longer_list { Ok(()) } else { Err(Rejection::MalformedSignature) };
        assert_eq!(judge(&sample, &delivery), expected);
    }
}

/// The body is hashed once for each secret, not once for each entry: 10,000
/// times 6 MB would take many minutes here.
#[test]
fn thousands_of_entries_before_a_large_body_cost_no_more_than_the_body() {
    let entries = 10_000;
    let body = vec![b'x'; SIX_MB];
    for sample in testing::all() {
        let Some(SignatureList { separator, leading, wrong, .. }) = &sample.facts.signature_list
        else {
            continue;
        };
        let genuine = sample.delivery(&body);
        let name = signature_header(&sample);
        let good = genuine.header(name);
        let mut listed: Vec<_> = good.split(separator.as_str()).collect();
        let signatures = listed.split_off(*leading);
        listed.extend(std::iter::repeat_n(wrong.as_str(), entries));
        let alone = listed.join(separator);
        listed.extend(signatures);
        let list = listed.join(separator);
        assert_eq!(judge(&sample, &genuine.clone().with_header(name, &list)), Ok(()));
        assert_eq!(
            judge(&sample, &genuine.with_header(name, &alone)),
            Err(Rejection::SignatureMismatch { fresh: true })
        );
    }
}

#[test]
fn an_empty_body_is_signed_like_any_other_and_says_nothing() {
    for sample in testing::all() {
        let delivery = sample.delivery(b"");
        assert_eq!(judge(&sample, &delivery), Ok(()));
        let identity = identity(&sample, b"");
        assert_eq!((identity.subject, identity.occurred_at), (None, None));
        // What it says without a body is a query that is signed, if anything.
        let query = delivery.url.split_once('?').map_or("", |(_, query)| query);
        let is_signed = sample.provider.signs_url();
        let payload = identity.payload.map(|payload| payload.bytes);
        assert_eq!(payload.as_deref(), is_signed.then_some(query.as_bytes()));
        // What a signed body says is gone when the body is.
        let emptied = Delivery { body: Vec::new(), ..sample.delivery(b"a=1") };
        assert!(matches!(judge(&sample, &emptied), Err(Rejection::SignatureMismatch { .. })));
    }
}

#[test]
fn bodies_that_are_not_what_they_claim_are_accepted_and_known_as_far_as_possible() {
    let invalid_utf8: &[u8] = b"{\"id\":\"\xff\",\"type\":\"a\",\"data\":{\"id\":\"\xfe\"}}";
    let deep = "[".repeat(100_000);
    let deep_object = r#"{"data":"#.repeat(100_000);
    let six_mb = format!(r#"{{"type":"{}"}}"#, "x".repeat(SIX_MB));
    for body in [
        invalid_utf8,
        b"not json",
        b"\xff\xfe\x00",
        b"\xef\xbb\xbf{}",
        b"null",
        deep.as_bytes(),
        deep_object.as_bytes(),
        &six_mb.as_bytes()[..SIX_MB],
    ] {
        for sample in testing::all() {
            if !sample.facts.could_send(sample.content_type, body) {
                continue;
            }
            let found = identity(&sample, body);
            let (name, facts) = (sample.provider.name(), sample.facts);
            let is_array = sample.content_type == "application/json" && body.starts_with(b"[");
            let of_array = facts.event_type_of_array.as_deref().filter(|_| is_array);
            let expected_type = of_array.or(facts.event_type_from_header.as_deref());
            assert_eq!(found.event_type.as_deref(), expected_type, "{name}");
            assert_eq!((found.subject, found.occurred_at), (None, None), "{name}");
            let has_key = facts.idempotency_key != KeySource::Body;
            assert_eq!(found.idempotency_key.is_some(), has_key, "{name}");
        }
    }
}

#[test]
fn six_megabytes_are_verified_and_one_changed_byte_among_them_is_seen() {
    let mut body = b"a=".to_vec();
    body.resize(SIX_MB, b'x');
    for sample in testing::all() {
        let genuine = sample.delivery(&body);
        assert_eq!(judge(&sample, &genuine), Ok(()));
        let mut altered = genuine;
        altered.body[SIX_MB - 1] = b'y';
        assert!(matches!(judge(&sample, &altered), Err(Rejection::SignatureMismatch { .. })));
    }
}

#[test]
fn a_signature_of_one_providers_scheme_is_none_of_anothers() {
    for sender in testing::all() {
        for receiver in testing::all() {
            // Two schemes may share a header's name; each judges its own text.
            if receiver.facts.headers().any(|name| name == signature_header(&sender)) {
                continue;
            }
            let judged =
                sender.delivery(b"a=1").judge(receiver.provider.as_ref(), &sender.secrets, at(0));
            assert_eq!(judged, Err(Rejection::MissingSignature));
        }
    }
}

#[test]
fn json_and_forms_signed_raw_and_decoded_are_all_tried_here() {
    let kinds: BTreeSet<_> = testing::all()
        .iter()
        .map(|sample| (sample.content_type, sample.facts.decodes(sample.content_type)))
        .collect();
    for kind in [("application/json", false), (form::MEDIA_TYPE, false), (form::MEDIA_TYPE, true)] {
        assert!(kinds.contains(&kind), "{kind:?}");
    }
}
