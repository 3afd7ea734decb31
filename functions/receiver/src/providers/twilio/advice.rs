//! Why a Twilio callback does not verify: the address that was signed, bodies
//! that the address must vouch for, and which account's token signs.

use http::Method;
use inbox_core::form;
use inbox_core::request::Request;
use inbox_core::secrets::SecretBundle;

use super::{
    BODY_HASH, HEADER_SETTINGS, HEADER_SIGNATURE, SHARED_KEY_PREFIX, called_urls,
    covering_parameters, is_form, keys, mac_bytes,
};
use inbox_core::signature;

const TOKEN_CHARACTERS: usize = 32;

pub(super) fn on_mismatch(request: &Request, secrets: &SecretBundle) -> Vec<String> {
    let mut told = Vec::new();
    if covering_parameters(request).is_err() {
        told.push(format!(
            "The body is not the one whose hash stands as {BODY_HASH} in the query: it was changed \
             on the way. Capture the raw bytes"
        ));
    }
    let settings = request.header(HEADER_SETTINGS);
    if settings.is_some() && keys(settings.as_deref(), secrets).is_err() {
        told.push(format!(
            "It is signed with a SharedKey that the secret does not hold: add it under its id, \
             {SHARED_KEY_PREFIX}…, beside signing_secrets"
        ));
    }
    let urls = called_urls(request, secrets);
    let urls: Vec<String> = urls.iter().map(|url| without_credentials(url)).collect();
    told.push(if urls.is_empty() {
        "Twilio signs the address that it calls, and none is known: give it".to_owned()
    } else {
        format!(
            "Twilio signs the address that it calls, which was taken to be {}. It must be, letter \
             for letter, what is set up in Twilio: scheme, host, path, slash at the end, query",
            urls.join(" or ")
        )
    });
    let is_token = |text: &str| {
        text.len() == TOKEN_CHARACTERS && text.bytes().all(|byte| byte.is_ascii_hexdigit())
    };
    let odd = secrets.signing_secrets().iter().position(|it| !is_token(it.expose()));
    if let Some(at) = odd {
        told.push(format!(
            "Secret {} does not look like an auth token, which has 32 hex digits",
            at + 1
        ));
    }
    told.push(
        "Only the account's primary auth token signs, never the secondary; a subaccount signs with \
         its own, and the body's AccountSid tells which account it was"
            .to_owned(),
    );
    told
}

pub(super) fn on_missing(request: &Request) -> Vec<String> {
    if request.header(HEADER_SIGNATURE).is_none() {
        return Vec::new();
    }
    let what =
        if is_form(request) { "A form without parameters" } else { "A body that is no form" };
    vec![format!(
        "{what} is covered only by {BODY_HASH} in the query, and it is not there: give the whole \
         address that Twilio called, with its query"
    )]
}

pub(super) fn on_malformed(request: &Request) -> Vec<String> {
    let mut told = Vec::new();
    if request.method() == Method::GET && !request.body().is_empty() {
        told.push("Twilio's GET requests have no body, and this one does".to_owned());
    }
    let value = request.header(HEADER_SIGNATURE).unwrap_or_default();
    let bytes = signature::decode_base64(&value).map_or(0, |bytes| bytes.len());
    let sha_1 = mac_bytes(signature::Hash::Sha1);
    let is_sha_256 = bytes == mac_bytes(signature::Hash::Sha256);
    if is_sha_256 && request.header(HEADER_SETTINGS).is_none() {
        told.push(format!(
            "The signature is SHA-256, of a SharedKey, and {HEADER_SETTINGS}, which names the key, \
             is not there"
        ));
    } else if bytes != sha_1 && !is_sha_256 {
        told.push("The signature is not base64 of 20 or 32 bytes".to_owned());
    }
    if form::pairs(request.body()).nth(super::PARAMETERS_MAX).is_some() {
        told.push("The form has more than 10,000 parameters".to_owned());
    } else if is_form(request) && covering_parameters(request).is_err() {
        told.push(
            "The first of its parameters, in byte order, does not begin with a letter: with the \
             address before it, it could be a request for another address. Give a parameter of \
             your own another name"
                .to_owned(),
        );
    }
    told
}

/// An address may hold a name and a password.
fn without_credentials(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    match authority.rsplit_once('@') {
        Some((_, host)) => format!("{scheme}://…@{host}{path}"),
        None => url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use inbox_core::provider::{Provider as _, Rejection};

    use super::super::super::testing::{Delivery, bundle};
    use super::super::Twilio;
    use inbox_core::form;

    const TOKEN: &str = "0123456789abcdef0123456789abcdef";
    const URL: &str = "https://user:pw@hooks.example.com/in?a=1";
    const MISMATCH: Rejection = Rejection::SignatureMismatch { fresh: true };

    fn form() -> Delivery {
        Delivery::signed_to(&Twilio, TOKEN, form::MEDIA_TYPE, b"a=1", URL)
    }

    fn advice(delivery: &Delivery, rejection: Rejection) -> String {
        Twilio.advise(&delivery.request(), &bundle(&[TOKEN]), rejection).join("; ")
    }

    #[test]
    fn the_address_is_told_without_its_password() {
        let told = advice(&form(), MISMATCH);
        assert!(told.contains("https://…@hooks.example.com/in?a=1"), "{told}");
        assert!(!told.contains("user:pw"), "{told}");
        assert!(!told.contains("auth token, which has 32"), "{told}");
    }

    #[test]
    fn a_body_that_the_address_does_not_vouch_for_is_explained() {
        let url = Twilio.address("https://hooks.example.com/in", "application/json", b"{}");
        let json = Delivery::signed_to(&Twilio, TOKEN, "application/json", b"{}", &url);
        let changed = Delivery { body: b"{ }".to_vec(), ..json.clone() };
        assert!(advice(&changed, MISMATCH).starts_with("The body is not the one whose hash"));
        let cut = Delivery { url: "https://hooks.example.com/in".into(), ..json };
        assert!(advice(&cut, Rejection::MissingSignature).contains("bodySHA256"));
    }

    #[test]
    fn a_parameter_that_could_be_the_end_of_an_address_is_explained() {
        let digit = Delivery { body: b"1=a&AccountSid=AC1".to_vec(), ..form() };
        let told = advice(&digit, Rejection::MalformedSignature);
        assert!(told.starts_with("The first of its parameters"), "{told}");
        assert_eq!(advice(&form(), Rejection::MalformedSignature), "");
    }

    #[test]
    fn shared_keys_that_are_not_held_or_not_named_are_explained() {
        let settings = "key=webhooks_sharedkey_1,algorithm=HMAC_SHA256";
        let named = form().with_header("x-twilio-webhooks-signature-settings", settings);
        assert!(advice(&named, MISMATCH).starts_with("It is signed with a SharedKey"));
        let sha_256 = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
        let unnamed = form().with_header("x-twilio-signature", sha_256);
        let told = advice(&unnamed, Rejection::MalformedSignature);
        assert!(told.starts_with("The signature is SHA-256"), "{told}");
        let short = form().with_header("x-twilio-signature", "AAAA");
        assert!(advice(&short, Rejection::MalformedSignature).contains("20 or 32 bytes"));
    }
}
