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
fn a_port_that_is_signed_or_left_out_makes_no_other_event() {
    let keys = ["https://a.example/x?y=1", "https://a.example:443/x?y=1"].map(|url| {
        let signed = form_to(url, "A=1");
        let called = Delivery { url: "https://a.example/x?y=1".into(), ..signed };
        called.identity(&Twilio, TOKEN).idempotency_key
    });
    let hash = signature::sha256_hex(&[b"https://a.example/x?y=1A1"]);
    assert_eq!(keys, [Some(hash.clone()), Some(hash)]);
}

#[test]
fn a_source_that_moves_is_called_at_either_address_and_at_no_third() {
    let old = "https://abc123.execute-api.eu-central-1.amazonaws.com/webhooks/twilio";
    let judge = |signed_for: &str| {
        let urls = [URL, old].map(str::to_owned);
        let request = form_to(signed_for, "A=1").request().with_public_urls(urls);
        let judged = request.verify(&Twilio, &bundle_with(&[TOKEN], &[]), at(0));
        judged.map(|it| it.signed_url().map(str::to_owned)).map_err(|it| it.rejection)
    };
    assert_eq!(judge(URL), Ok(Some(URL.to_owned())));
    assert_eq!(judge(old), Ok(Some(old.to_owned())));
    assert_eq!(judge("https://evil.example/webhooks/twilio"), Err(MISMATCH));
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
    let request = form("A=1").request().with_public_urls([]);
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

/// A text message is somebody's own words, and its end could be cut into the URL.
#[test]
fn the_hash_of_a_body_counts_at_the_end_of_the_query_alone() {
    let hash = signature::sha256_hex(&[b"{}"]);
    for query in [
        format!("a=1Body=x&bodySHA256={hash}&From=1"),
        format!("bodySHA256={hash}&a"),
        "a=1".into(),
    ] {
        let url = format!("{URL}?{query}");
        let cut = Delivery::signed_to(&Twilio, TOKEN, JSON, b"{}", &url);
        assert_eq!(judge(&cut), Err(Rejection::MissingSignature), "{query}");
    }
    let url = format!("{URL}?bodySHA256=00&bodySHA256={hash}");
    assert_eq!(judge(&Delivery::signed_to(&Twilio, TOKEN, JSON, b"{}", &url)), Ok(()));
}

#[test]
fn a_captured_json_request_is_no_empty_form() {
    let captured = json(r#"{"a":1}"#);
    let emptied = Delivery { body: Vec::new(), ..captured.clone() };
    for content_type in [FORM, JSON] {
        let resent = emptied.clone().with_header("content-type", content_type);
        assert_eq!(judge(&resent), Err(Rejection::SignatureMismatch { fresh: false }));
    }
    // A form's first parameter begins with a letter.
    let as_form = captured.with_header("content-type", FORM);
    assert_eq!(judge(&as_form), Err(Rejection::MalformedSignature));
    let as_form = json("a: 1").with_header("content-type", FORM);
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
const SHARED: &str = "a secret of a SharedKey";

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
    // One that is empty or short verifies nothing.
    for weak in ["", "0123456789"] {
        let settings = "key=webhooks_sharedkey_01,algorithm=HMAC_SHA256";
        let signed = [URL.as_bytes(), b"A", b"1"];
        let mac = signature::hmac(Hash::Sha256, weak.as_bytes(), &signed);
        let judged = form("A=1")
            .with_header(HEADER_SIGNATURE, &base64::engine::general_purpose::STANDARD.encode(mac))
            .with_header(HEADER_SETTINGS, settings)
            .judge_with(&Twilio, &bundle_with(&[TOKEN], &[(KEY_ID, weak)]), at(0));
        assert_eq!(judged, Err(MISMATCH), "{weak:?}");
    }
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
fn the_key_is_a_hash_of_all_that_was_signed_however_it_is_cut() {
    let first = form_to(&format!("{URL}?n=1"), "MessageSid=SM1&MessageStatus=sent");
    let key = |delivery: &Delivery| delivery.identity(&Twilio, TOKEN).idempotency_key.unwrap();
    let signed = format!("{URL}?n=1MessageSidSM1MessageStatussent");
    let hash = signature::sha256_hex(&[signed.as_bytes()]);
    assert_eq!(key(&first), hash);
    // Whoever captured it could cut the same text into other parameters: the
    // signature holds, and it is the same event.
    for (url, cut) in [
        ("?n=1", "MessageSidSM1MessageStatussent"),
        ("?n=1", "MessageSid=SM1&MessageStatu=ssent"),
        ("?n=1MessageSid", "SM1MessageStatussent"),
        ("?n=1MessageSidSM1MessageStatussent", ""),
    ] {
        let recut = Delivery { url: format!("{URL}{url}"), body: cut.into(), ..first.clone() };
        assert_eq!(recut.judge(&Twilio, &[TOKEN], at(0)), Ok(()), "{url} {cut}");
        assert_eq!(key(&recut), hash, "{url} {cut}");
    }
    for other in [
        form_to(&format!("{URL}?n=2"), "MessageSid=SM1&MessageStatus=sent"),
        form_to(&format!("{URL}?n=1"), "MessageSid=SM1&MessageStatus=sent&x=1"),
        form_to(&format!("{URL}2?n=1"), "MessageSid=SM1&MessageStatus=sent"),
    ] {
        assert_ne!(key(&other), key(&first));
    }
    assert_eq!(first.identity(&Twilio, TOKEN).delivery_id.as_deref(), Some("id_1"));
}

/// Nothing stands between the URL and the first parameter's name.
#[test]
fn the_end_of_the_signed_url_is_no_beginning_of_a_name() {
    let query = "?tenant=7";
    let post = form_to(&format!("{URL}{query}"), "MessageSid=SM1&MessageStatus=sent");
    let by_get = Delivery {
        method: Method::GET,
        ..Delivery::signed_to(&Twilio, TOKEN, FORM, b"", &format!("{URL}?CallSid=CA1"))
    };
    for (captured, body) in [
        // The query moves into the name.
        (&post, "%3Ftenant%3D7MessageSid=SM1&MessageStatus=sent"),
        (&post, "%3Ftenant=%3D7MessageSidSM1MessageStatussent"),
        // Or behind a name that is empty, which sorts before all others.
        (&post, "=%3Ftenant%3D7MessageSidSM1MessageStatussent"),
        (&by_get, "%3FCallSid=%3DCA1"),
    ] {
        let recut = Delivery {
            method: Method::POST,
            url: URL.into(),
            body: body.into(),
            ..captured.clone()
        };
        assert_eq!(judge(&recut), Err(Rejection::MalformedSignature), "{body}");
    }
    // A body that is covered by its hash, sent again without it.
    let captured = json(r#"{"a":1}"#);
    let query = captured.url.split_once('?').unwrap().1.replace('=', "%3D").replace('&', "%26");
    let body = format!("%3F{query}").into_bytes();
    let emptied = Delivery { url: URL.into(), body, ..captured.with_header("content-type", FORM) };
    assert_eq!(judge(&emptied), Err(Rejection::MalformedSignature));
}

/// Two sources of one account have one auth token.
#[test]
fn a_request_for_a_source_is_not_taken_by_one_whose_name_is_its_beginning() {
    let parameters = "MessageSid=SM1&SmsStatus=received&Body=x";
    for (name, recut) in [
        ("2", "2BodyxMessageSid=SM1&SmsStatus=received"),
        ("2", "=2BodyxMessageSidSM1SmsStatusreceived"),
        ("_x", "_xBodyxMessageSidSM1SmsStatusreceived"),
        ("_x", "_x=BodyxMessageSidSM1SmsStatusreceived"),
        ("2?a=1", "2%3Fa=%3D1BodyxMessageSidSM1SmsStatusreceived"),
        ("/x", "%2Fx=BodyxMessageSidSM1SmsStatusreceived"),
    ] {
        let for_other = form_to(&format!("{URL}{name}"), parameters);
        let crossed = Delivery { url: URL.into(), body: recut.into(), ..for_other };
        assert_eq!(judge(&crossed), Err(Rejection::MalformedSignature), "{recut}");
    }
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
    assert_eq!(identity.idempotency_key, Some(signature::sha256_hex(&[batch.url.as_bytes()])));
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
    assert!(check("12345").unwrap_err().contains("fewer than 16"));
    assert!(check("your_auth_token_your_auth_token_").unwrap_err().contains("placeholder"));
}
