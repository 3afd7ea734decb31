//! The address as the provider may have called it, where it signs it.

use super::Case;
use super::trials::{Change, Trial};
use crate::captured::Captured;

const TELL: &str =
    "set PUBLIC_BASE_URL (here: --url) to the address as it is set up at the provider";

/// The address with one or two things changed.
pub(super) fn trials<'a>(case: &Case<'a>) -> impl Iterator<Item = Trial> + use<'a> {
    let captured = case.captured;
    let address = captured.address.clone().filter(|_| case.provider.signs_url());
    address.into_iter().flat_map(move |address| {
        spellings(&address, captured).into_iter().map(|(address, query, finding)| {
            let changed = Captured { address: Some(address), query, ..captured.clone() };
            Trial { change: Change::Request(changed), finding, advice: TELL }
        })
    })
}

fn spellings(address: &str, captured: &Captured) -> Vec<(String, String, String)> {
    let slash = match address.strip_suffix('/') {
        Some(without) => (without.to_owned(), "without the slash at its end"),
        None => (format!("{address}/"), "with a slash at its end"),
    };
    let mut all: Vec<(String, String)> = vec![(address.to_owned(), "as given".to_owned())];
    all.extend(
        scheme_swapped(address)
            .map(|other| (other, "with the other scheme, http or https".to_owned())),
    );
    let slashed = all.clone().into_iter().filter_map(|(known, how)| {
        let other = if known == address { slash.0.clone() } else { scheme_swapped(&slash.0)? };
        Some((other, format!("{how}, {}", slash.1)))
    });
    let slashed: Vec<_> = slashed.collect();
    all.extend(slashed);
    if let Some(host) = captured.headers.get("host").and_then(|host| host.to_str().ok()) {
        let moved = with_host(address, host).filter(|other| other != address);
        all.extend(moved.map(|other| (other, "with the host of its Host header".to_owned())));
    }
    let query = captured.query.clone();
    let bare = all.clone().into_iter().filter(|_| !query.is_empty());
    let bare: Vec<_> =
        bare.map(|(it, how)| (it, String::new(), format!("{how}, without its query"))).collect();
    let same = all.into_iter().skip(1).map(|(it, how)| (it, query.clone(), how));
    same.chain(bare)
        .map(|(address, query, how)| {
            let how = how.strip_prefix("as given, ").unwrap_or(&how);
            (address, query, format!("Another address was signed: {how}, the request verifies"))
        })
        .collect()
}

fn scheme_swapped(address: &str) -> Option<String> {
    match address.split_once("://")? {
        ("https", rest) => Some(format!("http://{rest}")),
        ("http", rest) => Some(format!("https://{rest}")),
        _ => None,
    }
}

fn with_host(address: &str, host: &str) -> Option<String> {
    let (scheme, rest) = address.split_once("://")?;
    let path = rest.find('/').map_or("", |at| &rest[at..]);
    Some(format!("{scheme}://{host}{path}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scheme_slash_host_and_query_are_varied() {
        let captured = Captured::parse(b"POST /in?a=1 HTTP/1.1\nHost: inner\n\n").unwrap();
        let tried: Vec<_> = spellings("https://h/in", &captured)
            .into_iter()
            .map(|(address, query, _)| format!("{address}?{query}"))
            .collect();
        assert_eq!(
            tried,
            [
                "http://h/in?a=1",
                "https://h/in/?a=1",
                "http://h/in/?a=1",
                "https://inner/in?a=1",
                "https://h/in?",
                "http://h/in?",
                "https://h/in/?",
                "http://h/in/?",
                "https://inner/in?",
            ]
        );
    }
}
