//! Requests that no provider sends: each gets its refusal, or, where it is
//! properly signed, an identity with what could be read.

use base64::Engine as _;
use inbox_core::provider::{Identity, Rejection};

use super::testing::{self, Delivery, NOW_SECONDS, Sample, at, header_value};
use crate::form;

const SIX_MB: usize = 6 * 1024 * 1024;
const SIGNATURES: [(&str, &str); 4] = [
    ("github", "x-hub-signature-256"),
    ("standard_webhooks", "webhook-signature"),
    ("stripe", "stripe-signature"),
    ("twilio", "x-twilio-signature"),
];

fn signature_header(sample: &Sample) -> &'static str {
    SIGNATURES.iter().find(|(name, _)| *name == sample.provider.name()).unwrap().1
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

#[test]
fn a_signature_header_given_twice_is_malformed_even_if_both_are_good() {
    for sample in testing::all() {
        let mut delivery = sample.delivery(b"a=1");
        let name = signature_header(&sample);
        let value = delivery.headers[name].clone();
        delivery.headers.append(name, value);
        assert_eq!(judge(&sample, &delivery), Err(Rejection::MalformedSignature));
    }
}

#[test]
fn an_id_or_a_timestamp_given_twice_is_not_what_was_signed() {
    let sample = testing::all().into_iter().find(|it| it.provider.name() == "standard_webhooks");
    let sample = sample.unwrap();
    for (name, expected) in [
        ("webhook-id", Rejection::SignatureMismatch { fresh: true }),
        ("webhook-timestamp", Rejection::MalformedSignature),
    ] {
        let mut delivery = sample.delivery(b"{}");
        let value = delivery.headers[name].clone();
        delivery.headers.append(name, value);
        assert_eq!(judge(&sample, &delivery), Err(expected));
    }
}

/// The body is hashed once for each secret, not once for each entry: 10,000
/// times 6 MB would take many minutes here.
#[test]
fn thousands_of_entries_before_a_large_body_cost_no_more_than_the_body() {
    let entries = 10_000;
    let body = vec![b'x'; SIX_MB];
    for sample in testing::all() {
        let genuine = sample.delivery(&body);
        let name = signature_header(&sample);
        let good = genuine.header(name);
        let (list, alone) = match sample.provider.name() {
            "stripe" => {
                let zeros = format!(",v1={}", "0".repeat(64)).repeat(entries);
                let v1 = good.split_once(',').unwrap().1.to_owned();
                (format!("t={NOW_SECONDS}{zeros},{v1}"), format!("t={NOW_SECONDS}{zeros}"))
            }
            "standard_webhooks" => {
                let zeros = format!("v1,{}= ", "A".repeat(43)).repeat(entries);
                (format!("{zeros}{good}"), zeros)
            }
            _ => continue,
        };
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
        assert_eq!((identity.subject, identity.occurred_at, identity.payload), (None, None, None));
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
            let found = identity(&sample, body);
            let name = sample.provider.name();
            let expected_type = match (name, sample.content_type) {
                ("github", _) => Some("thing"),
                ("twilio", "application/json") if body.starts_with(b"[") => {
                    Some("event_streams.batch")
                }
                _ => None,
            };
            assert_eq!(found.event_type.as_deref(), expected_type, "{name}");
            assert_eq!((found.subject, found.occurred_at), (None, None), "{name}");
            let has_key = name != "stripe";
            assert_eq!(found.idempotency_key.is_some(), has_key, "{name}");
        }
    }
}

#[test]
fn deep_nesting_beside_the_id_does_not_hide_it() {
    let deep = format!("{}{}", r#"{"x":["#.repeat(50_000), "]}".repeat(50_000));
    let body =
        format!(r#"{{"x":{deep},"id":"evt_1","type":"a.b","data":{{"object":{{"id":"o"}}}}}}"#);
    for sample in testing::all().iter().filter(|it| it.provider.name() == "stripe") {
        let found = identity(sample, body.as_bytes());
        assert_eq!(found.idempotency_key.as_deref(), Some("evt_1"));
        assert_eq!(found.event_type.as_deref(), Some("a.b"));
        assert_eq!(found.subject.as_deref(), Some("o"));
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
            if sender.provider.name() == receiver.provider.name() {
                continue;
            }
            let judged =
                sender.delivery(b"a=1").judge(receiver.provider.as_ref(), &sender.secrets, at(0));
            assert_eq!(judged, Err(Rejection::MissingSignature));
        }
    }
}

#[test]
fn an_empty_key_signs_for_nobody() {
    // The bundle refuses an empty secret. A secret that decodes to nothing is
    // the other way to get there.
    let sample = testing::all().into_iter().find(|it| it.provider.name() == "standard_webhooks");
    let sample = sample.unwrap();
    let signed = format!("id_1.{NOW_SECONDS}.{{}}");
    let mac =
        inbox_core::signature::hmac(inbox_core::signature::Hash::Sha256, b"", &[signed.as_bytes()]);
    let list = format!("v1,{}", base64::engine::general_purpose::STANDARD.encode(mac));
    for secret in ["whsec_", "v1,whsec_", "===="] {
        let forged = sample.delivery(b"{}").with_header("webhook-signature", &list);
        let judged = forged.judge(sample.provider.as_ref(), &[secret], at(0));
        assert_eq!(judged, Err(Rejection::SignatureMismatch { fresh: true }), "{secret}");
    }
}

#[test]
fn every_media_type_of_a_provider_is_tried_here() {
    let forms = testing::all().iter().filter(|it| it.content_type == form::MEDIA_TYPE).count();
    assert_eq!((testing::all().len(), forms), (6, 2));
    assert!(SIGNATURES.iter().map(|(name, _)| *name).eq(super::names()));
}
