use base64::Engine as _;

use super::super::testing::{Delivery, NOW_SECONDS, at};
use super::*;

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const OTHER: &str = "whsec_YW5vdGhlciBzZWNyZXQsIDI0IGJ5dGUh";
const SCHEME: &StandardWebhooks = &StandardWebhooks;

fn delivery() -> Delivery {
    Delivery::signed(SCHEME, SECRET, "application/json", b"{}")
}

fn judged(list: &str) -> Result<(), Rejection> {
    delivery().with_header("webhook-signature", list).judge(SCHEME, &[SECRET], at(0))
}

fn good() -> String {
    delivery().header("webhook-signature").strip_prefix("v1,").unwrap().to_owned()
}

#[test]
fn one_good_entry_is_enough_whatever_stands_beside_it() {
    let (good, zeros) = (good(), format!("{}=", "A".repeat(43)));
    for list in [
        format!("v1,{good}"),
        format!("v1,{zeros} v1,{good}"),
        format!("junk v1,? v1a,{zeros}  v2,{zeros} v1,{good} "),
        // As some senders join them, and as gateways join two lines of a header.
        format!("v1,{good}, v1,{zeros}"),
        format!("v1,{zeros}, v1,{good}"),
        format!("v1,{good},v1,{zeros}"),
        format!("v1,{zeros},v1a,{zeros},v1,{good}"),
    ] {
        assert_eq!(judged(&list), Ok(()), "{list}");
    }
}

#[test]
fn a_good_mac_under_another_version_or_without_one_never_counts() {
    let (good, zeros) = (good(), format!("{}=", "A".repeat(43)));
    for entry in ["v1a,", "v2,", "v0,", "V1,", ",", ""].map(|it| format!("{it}{good}")) {
        assert_eq!(judged(&entry), Err(Rejection::MalformedSignature), "{entry}");
        let beside = judged(&format!("v1,{zeros} {entry}"));
        assert_eq!(beside, Err(Rejection::SignatureMismatch { fresh: true }), "{entry}");
    }
}

#[test]
fn a_signature_has_one_spelling() {
    let good = good();
    // 43 digits hold 258 bits: the last two must be zero.
    let last = good.as_bytes()[42];
    let loose = format!("{}{}=", &good[..42], char::from(last + 1));
    let unpadded = good.trim_end_matches('=');
    for text in [&loose, unpadded, &format!("{good}="), &format!("{good}\t"), &good[..40]] {
        assert_eq!(judged(&format!("v1,{text}")), Err(Rejection::MalformedSignature), "{text}");
    }
}

#[test]
fn svix_names_do_as_well_and_the_families_are_never_mixed() {
    let renamed = |names: &[&str]| {
        let mut delivery = delivery();
        for name in names {
            let value = delivery.headers.remove(format!("webhook-{name}").as_str()).unwrap();
            delivery.headers.insert(
                http::HeaderName::from_bytes(format!("svix-{name}").as_bytes()).unwrap(),
                value,
            );
        }
        delivery
    };
    let judge = |delivery: &Delivery| delivery.judge(SCHEME, &[SECRET], at(0));
    let all = renamed(&["id", "timestamp", "signature"]);
    assert_eq!(judge(&all), Ok(()));
    assert_eq!(all.identity(SCHEME, SECRET).idempotency_key.as_deref(), Some("id_1"));
    for some in [&["id"][..], &["timestamp"], &["signature"], &["id", "timestamp"]] {
        assert_eq!(judge(&renamed(some)), Err(Rejection::MissingSignature), "{some:?}");
    }
    // A complete good svix family does not rescue a complete wrong one.
    let both = all
        .with_header("webhook-id", "id_1")
        .with_header("webhook-timestamp", &NOW_SECONDS.to_string())
        .with_header("webhook-signature", &format!("v1,{}=", "A".repeat(43)));
    assert_eq!(judge(&both), Err(Rejection::SignatureMismatch { fresh: true }));
    // An incomplete one does not stand in its way.
    assert_eq!(judge(&both.without_header("webhook-signature")), Ok(()));
}

#[test]
fn an_id_that_could_shift_the_signed_text_is_malformed() {
    for id in ["", "a.b", ".", "a b", "a\u{fffd}", "ä"] {
        let mut delivery = delivery();
        delivery
            .headers
            .insert("webhook-id", http::HeaderValue::from_bytes(id.as_bytes()).unwrap());
        let judged = delivery.judge(SCHEME, &[SECRET], at(0));
        assert_eq!(judged, Err(Rejection::MalformedSignature), "{id}");
    }
}

#[test]
fn a_timestamp_has_one_spelling() {
    for text in ["", "hello", "+1614265330", "1614265330.5", "01", " 1", "-1", "1,1"] {
        let judged =
            delivery().with_header("webhook-timestamp", text).judge(SCHEME, &[SECRET], at(0));
        assert_eq!(judged, Err(Rejection::MalformedSignature), "{text}");
    }
}

#[test]
fn an_id_or_a_timestamp_given_twice_is_not_what_was_signed() {
    for (name, expected) in [
        ("webhook-id", Rejection::SignatureMismatch { fresh: true }),
        ("webhook-timestamp", Rejection::MalformedSignature),
    ] {
        let mut delivery = delivery();
        let value = delivery.headers[name].clone();
        delivery.headers.append(name, value);
        assert_eq!(delivery.judge(SCHEME, &[SECRET], at(0)), Err(expected));
    }
}

#[test]
fn the_signature_is_judged_before_the_timestamp() {
    assert_eq!(delivery().judge(SCHEME, &[SECRET], at(301)), Err(Rejection::StaleTimestamp));
    assert_eq!(
        delivery().judge(SCHEME, &[OTHER], at(301)),
        Err(Rejection::SignatureMismatch { fresh: false })
    );
}

#[test]
fn a_key_may_lack_prefix_and_padding_and_may_carry_supabases_version() {
    // 25 bytes, so that there is padding to leave out.
    let padded = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwAA==";
    let delivery = Delivery::signed(SCHEME, padded, "application/json", b"{}");
    for spelling in [
        padded,
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwAA",
        "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwAA",
        "v1,whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwAA==",
    ] {
        assert_eq!(SCHEME.check_secret(&Secret::new(spelling.into())), Ok(()));
        assert_eq!(delivery.judge(SCHEME, &[spelling], at(0)), Ok(()), "{spelling}");
    }
}

#[test]
fn what_is_no_key_is_refused_with_advice_and_matches_nothing() {
    let short = "whsec_c2hvcnQ=";
    for (secret, advice) in [
        ("whsec_not base64", "base64"),
        ("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n", "base64"),
        ("whsec_", "24 bytes"),
        (short, "24 bytes"),
        ("whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4=", "public key"),
        ("whsk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4=", "private key"),
    ] {
        let secret_value = Secret::new(secret.into());
        let told = SCHEME.check_secret(&secret_value).unwrap_err();
        assert!(told.contains(advice) && !told.contains(secret), "{told}");
        let judged = delivery().judge(SCHEME, &[secret], at(0));
        assert_eq!(judged, Err(Rejection::SignatureMismatch { fresh: true }), "{secret}");
    }
    // The sender of a short key would be matched, if short keys were keys.
    let mac = signature::hmac(
        Hash::Sha256,
        b"short",
        &[b"id_1.", NOW_SECONDS.to_string().as_bytes(), b".{}"],
    );
    let list = format!("v1,{}", base64::engine::general_purpose::STANDARD.encode(mac));
    assert_eq!(
        delivery().with_header("webhook-signature", &list).judge(SCHEME, &[short], at(0)),
        Err(Rejection::SignatureMismatch { fresh: true })
    );
}

/// The bundle refuses an empty secret. A secret that decodes to nothing is
/// the other way to get there.
#[test]
fn an_empty_key_signs_for_nobody() {
    let signed = format!("id_1.{NOW_SECONDS}.{{}}");
    let mac = signature::hmac(Hash::Sha256, b"", &[signed.as_bytes()]);
    let list = format!("v1,{}", base64::engine::general_purpose::STANDARD.encode(mac));
    for secret in ["whsec_", "v1,whsec_", "===="] {
        let forged = delivery().with_header("webhook-signature", &list);
        let judged = forged.judge(SCHEME, &[secret], at(0));
        assert_eq!(judged, Err(Rejection::SignatureMismatch { fresh: true }), "{secret}");
    }
}

#[test]
fn openais_events_tell_their_time_in_seconds() {
    let body = br#"{"id":"evt_1","created_at":1750861210,"type":"response.completed","data":{"id":"resp_123"}}"#;
    let event = Delivery::signed(SCHEME, SECRET, "application/json", body);
    assert_eq!(
        event.identity(SCHEME, SECRET),
        Identity {
            idempotency_key: Some("id_1".into()),
            event_type: Some("response.completed".into()),
            occurred_at: Timestamp::from_unix_seconds(1_750_861_210),
            subject: Some("resp_123".into()),
            ..Identity::default()
        }
    );
}
