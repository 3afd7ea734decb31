use super::super::testing::{Delivery, at, bundle_with};
use super::*;

const TOKEN: &str = "12345";
const FORM: &str = form::MEDIA_TYPE;
const JSON: &str = "application/json";
const URL: &str = "https://hooks.example.com/webhooks/twilio";
const MISMATCH: Rejection = Rejection::SignatureMismatch { fresh: true };

fn form_to(url: &str, body: &str) -> Delivery {
    Delivery::signed_to(&Twilio, TOKEN, FORM, body.as_bytes(), url)
}

fn form(body: &str) -> Delivery {
    form_to(URL, body)
}

fn json(body: &str) -> Delivery {
    let url = format!("{URL}?a=1&bodySHA256={}", signature::sha256_hex(&[body.as_bytes()]));
    Delivery::signed_to(&Twilio, TOKEN, JSON, body.as_bytes(), &url)
}

fn judge(delivery: &Delivery) -> Result<(), Rejection> {
    delivery.judge(&Twilio, &[TOKEN], at(0))
}

#[test]
fn the_port_may_be_there_or_not_wherever_the_host_stands() {
    for (url, other) in [
        ("https://a.example/x?y=1", "https://a.example:443/x?y=1"),
        ("http://a.example", "http://a.example:80"),
        ("https://a.example:8443/x", "https://a.example/x"),
        ("https://u:p@a.example/x", "https://u:p@a.example:443/x"),
        ("https://u:p@a.example:1/x:2", "https://u:p@a.example/x:2"),
        ("https://u:p%40@a.example?q=:3@b", "https://u:p%40@a.example:443?q=:3@b"),
        ("https://[2001:db8::1]/x", "https://[2001:db8::1]:443/x"),
        ("https://[2001:db8::1]:9/x", "https://[2001:db8::1]/x"),
        ("https://u:p@[::1]:9/x", "https://u:p@[::1]/x"),
    ] {
        assert_eq!(other_port(url).as_deref(), Some(other));
        let signed = form_to(other, "A=1");
        assert_eq!(judge(&Delivery { url: url.into(), ..signed }), Ok(()), "{url}");
    }
    assert_eq!(other_port("no address"), None);
}

#[test]
fn another_port_or_scheme_or_host_is_another_url() {
    let signed = form_to("https://a.example/x", "A=1");
    for url in [
        "http://a.example/x",
        "https://b.example/x",
        "https://a.example/x/",
        "https://a.example/X",
        "https://a.example/x?a=1",
    ] {
        assert_eq!(judge(&Delivery { url: url.into(), ..signed.clone() }), Err(MISMATCH), "{url}");
    }
    // Only the default port is guessed.
    let on_8443 = form_to("https://a.example:8443/x", "A=1");
    let url = "https://a.example/x".to_owned();
    assert_eq!(judge(&Delivery { url, ..on_8443 }), Err(MISMATCH));
}

#[test]
fn the_notification_url_of_the_bundle_overrides_the_public_one() {
    let url = "https://user:pass@front.example/in";
    let signed = form_to(&format!("{url}?a=1"), "A=1");
    let arrived = Delivery { url: format!("{URL}?a=1"), ..signed };
    assert_eq!(judge(&arrived), Err(MISMATCH));
    for configured in [url.to_owned(), format!("{url}?a=1"), format!("{url}#rc=3")] {
        let secrets = bundle_with(&[TOKEN], &[(NOTIFICATION_URL, &configured)]);
        assert_eq!(arrived.judge_with(&Twilio, &secrets, at(0)), Ok(()), "{configured}");
    }
}

#[test]
fn without_any_address_nothing_matches() {
    let request = form("A=1").request().with_public_url(None);
    let refused = request.verify(&Twilio, &bundle_with(&[TOKEN], &[]), at(0)).unwrap_err();
    assert_eq!(refused.rejection, MISMATCH);
}

#[test]
fn values_that_are_not_text_are_told_apart() {
    let signed = form("A=%ff");
    assert_eq!(judge(&signed), Ok(()));
    // All of these read the same once what is not UTF-8 is replaced.
    for body in ["A=%fe", "A=%EF%BF%BD", "A=\u{fffd}"] {
        assert_eq!(judge(&Delivery { body: body.into(), ..signed.clone() }), Err(MISMATCH));
    }
}

#[test]
fn spellings_and_orders_that_decode_alike_are_the_same_form() {
    let signed = form("A=%2B+1&B=&A=x&A=x");
    for body in ["B=&A=x&A=%2b%201", "A=x&A=%2B+1&B", "&&A=x&B=&A=%2B%201&"] {
        let resent = Delivery { body: body.into(), ..signed.clone() };
        assert_eq!(judge(&resent), Ok(()), "{body}");
        assert_eq!(resent.identity(&Twilio, TOKEN), signed.identity(&Twilio, TOKEN));
    }
    for body in ["A=%2B+1&A=x", "A=%2B1&B=&A=x", "A=+%2B+1&B=&A=x", "A=%2B+1&B=&A=x&A="] {
        assert_eq!(judge(&Delivery { body: body.into(), ..signed.clone() }), Err(MISMATCH));
    }
}

#[test]
fn every_body_is_covered_by_something() {
    assert_eq!(judge(&json(r#"{"a":1}"#)), Ok(()));
    let other_body = Delivery { body: r#"{"a":2}"#.into(), ..json(r#"{"a":1}"#) };
    assert_eq!(judge(&other_body), Err(Rejection::SignatureMismatch { fresh: false }));
    // Signed for a URL without bodySHA256, then given a body.
    let nothing = Delivery::signed_to(&Twilio, TOKEN, JSON, b"", URL);
    assert_eq!(judge(&nothing), Ok(()));
    for content_type in [JSON, "text/plain", "multipart/form-data", ""] {
        let smuggled = Delivery { body: b"{}".to_vec(), ..nothing.clone() };
        let judged = judge(&smuggled.with_header("content-type", content_type));
        assert_eq!(judged, Err(Rejection::MissingSignature), "{content_type}");
    }
    let separators = Delivery { body: b"&&".to_vec(), ..form("") };
    assert_eq!(judge(&separators), Err(Rejection::MissingSignature));
}

#[test]
fn a_captured_json_request_is_no_empty_form() {
    let captured = json(r#"{"a":1}"#);
    let emptied = Delivery { body: Vec::new(), ..captured.clone() };
    for content_type in [FORM, JSON] {
        let resent = emptied.clone().with_header("content-type", content_type);
        assert_eq!(judge(&resent), Err(Rejection::SignatureMismatch { fresh: false }));
    }
    let as_form = captured.with_header("content-type", FORM);
    assert_eq!(judge(&as_form), Err(MISMATCH));
}

#[test]
fn a_form_with_parameters_is_a_form_whatever_its_url_holds() {
    let url = format!("{URL}?bodySHA256=0000");
    assert_eq!(judge(&form_to(&url, "A=1")), Ok(()));
    let with_charset = form_to(&url, "A=1")
        .with_header("content-type", "Application/X-WWW-Form-Urlencoded; charset=UTF-8");
    assert_eq!(judge(&with_charset), Ok(()));
}

#[test]
fn more_parameters_than_twilio_sends_are_refused_unread() {
    let most = "a=1&".repeat(PARAMETERS_MAX);
    assert_eq!(judge(&form(&most)), Ok(()));
    for one_more in ["a=1", "b=2"] {
        let judged = judge(&form(&format!("{most}{one_more}")));
        assert_eq!(judged, Err(Rejection::MalformedSignature), "{one_more}");
    }
}

const KEY_ID: &str = "webhooks_sharedkey_01";
const SHARED: &str = "a shared secret";

fn shared(key: &str, hash: Hash, settings: &str) -> Result<(), Rejection> {
    let mac = signature::hmac(hash, key.as_bytes(), &[URL.as_bytes(), b"A", b"1"]);
    let secrets = bundle_with(&[TOKEN], &[(KEY_ID, SHARED), (NOTIFICATION_URL, URL)]);
    form("A=1")
        .with_header(HEADER_SIGNATURE, &base64::engine::general_purpose::STANDARD.encode(mac))
        .with_header(HEADER_SETTINGS, settings)
        .judge_with(&Twilio, &secrets, at(0))
}

#[test]
fn a_shared_key_signs_with_sha_256_when_the_header_names_it() {
    for settings in [
        "key=webhooks_sharedkey_01,algorithm=HMAC_SHA256",
        "algorithm=hmac_sha256, key=webhooks_sharedkey_01",
    ] {
        assert_eq!(shared(SHARED, Hash::Sha256, settings), Ok(()), "{settings}");
    }
    let unknown = "key=webhooks_sharedkey_02,algorithm=HMAC_SHA256";
    assert_eq!(shared(SHARED, Hash::Sha256, unknown), Err(MISMATCH));
}

#[test]
fn the_unsigned_settings_header_chooses_no_algorithm_and_no_other_value() {
    let settings = "key=webhooks_sharedkey_01,algorithm=HMAC_SHA256";
    // The auth token with the stronger hash, the shared key with the weaker.
    assert_eq!(shared(TOKEN, Hash::Sha256, settings), Err(MISMATCH));
    let malformed = Err(Rejection::MalformedSignature);
    assert_eq!(shared(SHARED, Hash::Sha1, settings), malformed);
    for settings in [
        "",
        "key=webhooks_sharedkey_01",
        "algorithm=HMAC_SHA256",
        "key=webhooks_sharedkey_01,algorithm=HMAC_SHA1",
        "key=webhooks_sharedkey_01,algorithm=HMAC_SHA512",
        "key=webhooks_sharedkey_01,algorithm=none",
    ] {
        for hash in [Hash::Sha1, Hash::Sha256] {
            for key in [TOKEN, SHARED] {
                assert_eq!(shared(key, hash, settings), malformed, "{settings}");
            }
        }
    }
    // The address is no secret, so it must never be a key.
    let named = "key=notification_url,algorithm=HMAC_SHA256";
    assert_eq!(shared(URL, Hash::Sha256, named), malformed);
    // And without the header a shared key signs nothing.
    let mac = signature::hmac(Hash::Sha1, SHARED.as_bytes(), &[URL.as_bytes(), b"A", b"1"]);
    let judged = form("A=1")
        .with_header(HEADER_SIGNATURE, &base64::engine::general_purpose::STANDARD.encode(mac))
        .judge_with(&Twilio, &bundle_with(&[TOKEN], &[(KEY_ID, SHARED)]), at(0));
    assert_eq!(judged, Err(MISMATCH));
}

#[test]
fn a_signature_has_one_spelling() {
    let good = form("A=1").header(HEADER_SIGNATURE);
    // 27 digits hold 162 bits: the last two must be zero.
    let loose = format!("{}{}=", &good[..26], char::from(good.as_bytes()[26] + 1));
    for text in ["", &loose, good.trim_end_matches('='), &format!("{good} "), &good[..24]] {
        let judged = judge(&form("A=1").with_header(HEADER_SIGNATURE, text));
        assert_eq!(judged, Err(Rejection::MalformedSignature), "{text}");
    }
    let missing = form("A=1").without_header(HEADER_SIGNATURE);
    assert_eq!(judge(&missing), Err(Rejection::MissingSignature));
}

fn told(body: &str) -> (Option<String>, Reply) {
    let request = form(body).verified(&Twilio, TOKEN);
    (Twilio.identify(&request).event_type, Twilio.reply(&request))
}

#[test]
fn inbound_messages_and_calls_get_twiml_and_callbacks_get_nothing() {
    for (body, event_type, wants_twiml) in [
        ("MessageSid=SM1&SmsSid=SM1&SmsStatus=received&Body=x", "message.received", true),
        ("MessageSid=SM1&MessageStatus=delivered", "message.delivered", false),
        ("MessageSid=SM1&MessageStatus=read&SmsStatus=sent&SmsSid=SM1", "message.read", false),
        ("CallSid=CA1&CallStatus=ringing", "call.ringing", true),
        ("CallSid=CA1&CallStatus=in-progress&Digits=1", "call.in-progress", true),
        ("CallSid=CA1&CallStatus=completed", "call.completed", false),
        (
            "CallSid=CA1&CallStatus=ringing&CallbackSource=call-progress-events",
            "call.ringing",
            false,
        ),
        ("RecordingSid=RE1&RecordingStatus=completed&CallSid=CA1", "recording.completed", false),
    ] {
        let (found, reply) = told(body);
        assert_eq!(found.as_deref(), Some(event_type));
        let expected = if wants_twiml {
            Reply::with_body(
                "text/xml",
                r#"<?xml version="1.0" encoding="UTF-8"?><Response/>"#.into(),
            )
        } else {
            Reply::empty(StatusCode::NO_CONTENT)
        };
        assert_eq!(reply, expected, "{body}");
    }
}

#[test]
fn the_key_is_a_hash_of_what_was_signed_however_it_is_cut() {
    let first = form_to(&format!("{URL}?n=1"), "MessageSid=SM1&MessageStatus=sent");
    let key = |delivery: &Delivery| delivery.identity(&Twilio, TOKEN).idempotency_key.unwrap();
    let hash = signature::sha256_hex(&[b"n=1MessageSidSM1MessageStatussent"]);
    assert_eq!(key(&first), hash);
    // Whoever captured it could cut the same text into other parameters: the
    // signature holds, and it is the same event.
    for cut in ["MessageSidSM1MessageStatussent", "MessageSid=SM1&MessageStatu=ssent"] {
        let recut = Delivery { body: cut.into(), ..first.clone() };
        assert_eq!(recut.judge(&Twilio, &[TOKEN], at(0)), Ok(()));
        assert_eq!(key(&recut), hash, "{cut}");
    }
    for other in [
        form_to(&format!("{URL}?n=2"), "MessageSid=SM1&MessageStatus=sent"),
        form_to(&format!("{URL}?n=1"), "MessageSid=SM1&MessageStatus=sent&x=1"),
    ] {
        assert_ne!(key(&other), key(&first));
    }
    assert_eq!(first.identity(&Twilio, TOKEN).delivery_id.as_deref(), Some("id_1"));
}

#[test]
fn a_captured_post_is_no_get() {
    let post = form_to(URL, "MessageSid=SM1&MessageStatus=sent");
    assert_eq!(post.judge(&Twilio, &[TOKEN], at(0)), Ok(()));
    let get = Delivery { method: Method::GET, ..post };
    assert_eq!(get.judge(&Twilio, &[TOKEN], at(0)), Err(Rejection::MalformedSignature));
}

#[test]
fn a_get_is_known_by_its_query_and_stored_with_it() {
    let get = |query: &str, content_type: &str| {
        let url = format!("{URL}?{query}");
        let unsigned = Delivery::signed_to(&Twilio, TOKEN, content_type, b"", &url);
        Delivery { method: Method::GET, ..unsigned }.identity(&Twilio, TOKEN)
    };
    let query = "CallSid=CA1&CallStatus=ringing&From=%2B1";
    for content_type in ["", JSON, FORM] {
        let call = get(query, content_type);
        assert_eq!(call.event_type.as_deref(), Some("call.ringing"));
        assert_eq!(call.subject.as_deref(), Some("CA1"));
        let stored = Payload { content_type: FORM.into(), bytes: query.into() };
        assert_eq!(call.payload, Some(stored));
    }
    assert_ne!(get("x=1", JSON).idempotency_key, get("x=2", JSON).idempotency_key);
}

#[test]
fn a_captured_get_that_is_sent_as_post_is_the_same_event() {
    let url = format!("{URL}?CallSid=CA1&CallStatus=ringing");
    let post = Delivery::signed_to(&Twilio, TOKEN, FORM, b"", &url);
    let get = Delivery { method: Method::GET, ..post.clone() };
    let stored = post.identity(&Twilio, TOKEN);
    assert_eq!(stored, get.identity(&Twilio, TOKEN));
    assert_eq!(stored.event_type.as_deref(), Some("call.ringing"));
}

#[test]
fn a_batch_of_event_streams_is_one_event() {
    let batch = json(r#" [{"specversion":"1.0","type":"com.twilio.messaging.message.sent"}]"#);
    let identity = batch.identity(&Twilio, TOKEN);
    assert_eq!(identity.event_type.as_deref(), Some("event_streams.batch"));
    let query = batch.url.split_once('?').unwrap().1;
    assert_eq!(identity.idempotency_key, Some(signature::sha256_hex(&[query.as_bytes()])));
    let other = json("{}").identity(&Twilio, TOKEN);
    assert_eq!((other.event_type, other.subject), (None, None));
}

#[test]
fn what_is_not_an_auth_token_is_refused_with_advice() {
    let check = |text: &str| Twilio.check_secret(&Secret::new(text.into()));
    assert_eq!(check("0123456789abcdef0123456789abcdef"), Ok(()));
    assert!(check("AC0123456789abcdef0123456789abcdef").unwrap_err().contains("SID"));
    assert!(check("SK0123456789abcdef0123456789abcdef").unwrap_err().contains("SID"));
    assert!(check(KEY_ID).unwrap_err().contains("beside signing_secrets"));
    assert!(check("0123 ").unwrap_err().contains("white space"));
}
