//! A request of a stranger, as raw HTTP.

use http::HeaderMap;
use inbox_core::provider::Rejection;
use inbox_operator::captured::Captured;

use super::endpoint::URL;
use super::testing::{self, Sample, at};
use crate::choice;

/// The published vectors are signed, by secrets that are not ours.
///
/// # Panics
///
/// When a request is accepted, or what is told of it does not fit.
pub fn run(data: &[u8]) {
    let Some((first, rest)) = choice(data) else { return };
    let all = testing::all();
    let sample = &all[first % all.len()];
    let Ok(mut captured) = Captured::parse(rest) else { return };
    // What is configured, not what the request says.
    captured.address = Some(URL.to_owned());
    judge(sample, &captured);
    let bare = Captured { headers: HeaderMap::new(), ..captured };
    assert_eq!(judge(sample, &bare), Rejection::MissingSignature);
}

fn judge(sample: &Sample, captured: &Captured) -> Rejection {
    let provider = sample.provider.as_ref();
    let secrets = testing::bundle(&sample.secrets);
    let Err(rejection) = captured.judge(provider, &secrets, at(0)) else {
        panic!("{} accepted a stranger's request", provider.name());
    };
    let handshake = provider.handshake(&captured.request(), &secrets, at(0));
    assert!(!matches!(handshake, Some(Ok(_))), "{} shook a stranger's hand", provider.name());
    let _ = provider.signed_at(&captured.request());
    for told in provider.advise(&captured.request(), &secrets, rejection) {
        for secret in sample.secrets {
            assert!(!told.contains(secret), "advice quotes a secret");
        }
    }
    rejection
}
