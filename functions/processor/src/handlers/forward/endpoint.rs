//! Where a route forwards to: the address as it was written, and what can be said
//! against it before anything is sent.
//!
//! An address may hold a secret (a path that nobody can guess, a token in the query),
//! so only host and port are ever shown.

use std::net::IpAddr;

use http::Uri;
use url::{Host, Url};

use super::address;

/// What a name may hold in DNS, in all and between two full stops.
const NAME_BYTES: usize = 253;
const LABEL_BYTES: usize = 63;

/// An address that can be posted to.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Endpoint {
    pub(super) url: Url,
    /// The same as the client takes it.
    pub(super) uri: Uri,
    /// Host, and port where it is not the scheme's own: for reasons and logs.
    pub(super) shown: String,
}

/// Host and port only.
impl std::fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Endpoint").field(&self.shown).finish()
    }
}

impl Endpoint {
    /// Reads an address.
    ///
    /// A name is resolved when it is called, and its addresses are judged then; one that
    /// is written in figures never meets the resolver, so it is judged here. However it
    /// is spelled (`127.1`, `0x7f.1`, `2130706433`), `url` reads it as browsers do.
    ///
    /// # Errors
    ///
    /// Every problem, without the parts that may be secret.
    pub(super) fn read(text: &str, allow_private: bool) -> Result<Self, Vec<String>> {
        let url =
            Url::parse(text).map_err(|fault| vec![format!("`url` is no address: {fault}")])?;
        let mut problems = Vec::new();
        match url.scheme() {
            "https" => {}
            "http" if allow_private => {}
            "http" => problems.push(
                "`url` must begin with https://; http:// is only for `allow_private_addresses`"
                    .to_owned(),
            ),
            _ => problems.push("`url` must begin with https://".to_owned()),
        }
        if !url.username().is_empty() || url.password().is_some() {
            problems.push("`url` must not hold a user or a password: requests are signed".into());
        }
        if url.fragment().is_some() {
            problems.push("`url` has a fragment (`#`), which is never sent".to_owned());
        }
        if url.port() == Some(0) {
            problems.push("`url` names port 0, where nobody listens".to_owned());
        }
        let host = match url.host() {
            Some(Host::Domain(name)) => fault_of_name(name, allow_private),
            Some(Host::Ipv4(address)) if !allow_private => fault_of_address(address.into()),
            Some(Host::Ipv6(address)) if !allow_private => fault_of_address(address.into()),
            Some(_) => None,
            None => Some("`url` names no host".to_owned()),
        };
        problems.extend(host);
        let uri = url.as_str().parse();
        if uri.is_err() {
            problems.push("`url` is no address: it holds what no request can name".to_owned());
        }
        let Some(uri) = uri.ok().filter(|_| problems.is_empty()) else { return Err(problems) };
        let host = url.host_str().unwrap_or_default();
        let shown = url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
        Ok(Self { url, uri, shown })
    }
}

fn fault_of_address(address: IpAddr) -> Option<String> {
    address::refused(address).map(|what| refusal(&address.to_string(), what))
}

fn fault_of_name(name: &str, allow_private: bool) -> Option<String> {
    // The root's full stop may stand behind a name.
    let name = name.strip_suffix('.').unwrap_or(name);
    let is_name = name.len() <= NAME_BYTES
        && name.split('.').all(|label| (1..=LABEL_BYTES).contains(&label.len()));
    if !is_name {
        return Some("`url` names a host that no name server can know".to_owned());
    }
    let is_local = name == "localhost" || name.ends_with(".localhost");
    (is_local && !allow_private).then(|| refusal(name, "loopback"))
}

fn refusal(host: &str, what: &str) -> String {
    format!(
        "`url` leads to {host} ({what}), where nothing is sent: \
         if it is meant, set `allow_private_addresses` to true"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(text: &str) -> Vec<String> {
        Endpoint::read(text, false).err().unwrap_or_default()
    }

    #[test]
    fn host_and_port_are_shown_and_nothing_else() {
        let endpoint = |text| Endpoint::read(text, true).unwrap();
        let secret = endpoint("https://Hooks.Example.com:8443/t0ken?key=s3cret");
        assert_eq!(secret.shown, "hooks.example.com:8443");
        assert_eq!(format!("{secret:?}"), r#"Endpoint("hooks.example.com:8443")"#);
        assert_eq!(endpoint("http://[::1]:80/").shown, "[::1]");
        assert_eq!(endpoint("https://bücher.example/").shown, "xn--bcher-kva.example");
    }

    #[test]
    fn every_spelling_of_a_refused_address_is_refused() {
        let told = |host: &str, what: &str| {
            format!(
                "`url` leads to {host} ({what}), where nothing is sent: \
                 if it is meant, set `allow_private_addresses` to true"
            )
        };
        for (text, host, what) in [
            ("127.0.0.1", "127.0.0.1", "loopback"),
            ("127.1", "127.0.0.1", "loopback"),
            ("127.0.1", "127.0.0.1", "loopback"),
            ("0x7f.1", "127.0.0.1", "loopback"),
            ("0X7F.0.0.0X1", "127.0.0.1", "loopback"),
            ("0177.0.0.01", "127.0.0.1", "loopback"),
            ("2130706433", "127.0.0.1", "loopback"),
            ("0x7f000001", "127.0.0.1", "loopback"),
            ("017700000001", "127.0.0.1", "loopback"),
            ("127.0.0.1.", "127.0.0.1", "loopback"),
            ("127。0。0。1", "127.0.0.1", "loopback"),
            ("１２７.0.0.1", "127.0.0.1", "loopback"),
            ("%31%32%37.0.0.1", "127.0.0.1", "loopback"),
            ("0", "0.0.0.0", "this network"),
            ("169.254.169.254", "169.254.169.254", "link-local"),
            ("0xa9fea9fe", "169.254.169.254", "link-local"),
            ("[::1]", "::1", "loopback"),
            ("[0:0:0:0:0:0:0:1]", "::1", "loopback"),
            ("[::ffff:169.254.169.254]", "::ffff:169.254.169.254", "IPv4 within IPv6"),
            ("[::FFFF:a9fe:a9fe]", "::ffff:169.254.169.254", "IPv4 within IPv6"),
            ("[fd00:ec2::254]", "fd00:ec2::254", "unique local"),
            ("localhost", "localhost", "loopback"),
            ("LOCALHOST", "localhost", "loopback"),
            ("localhost.", "localhost", "loopback"),
            ("a.LocalHost", "a.localhost", "loopback"),
            ("ｌocalhost", "localhost", "loopback"),
        ] {
            assert_eq!(problems(&format!("https://{text}/x")), [told(host, what)], "{text}");
            assert!(Endpoint::read(&format!("http://{text}/x"), true).is_ok(), "{text}");
        }
    }

    #[test]
    fn what_cannot_be_an_endpoint_is_named_without_quoting_it() {
        for (text, told) in [
            ("hooks.example.com/s3cret", "`url` is no address: relative URL without a base"),
            ("https://", "`url` is no address: empty host"),
            ("https://a b/s3cret", "`url` is no address: invalid international domain name"),
            ("https://256.1.1.1/s3cret", "`url` is no address: invalid IPv4 address"),
            ("https://[::1/s3cret", "`url` is no address: invalid IPv6 address"),
            ("https://example.com:99999/", "`url` is no address: invalid port number"),
            ("ftp://example.com/s3cret", "`url` must begin with https://"),
            (
                "http://example.com/s3cret",
                "`url` must begin with https://; http:// is only for `allow_private_addresses`",
            ),
            (
                "https://u:s3cret@example.com/",
                "`url` must not hold a user or a password: requests are signed",
            ),
            (
                "https://u@example.com/",
                "`url` must not hold a user or a password: requests are signed",
            ),
            ("https://example.com/#s3cret", "`url` has a fragment (`#`), which is never sent"),
            ("https://example.com:0/", "`url` names port 0, where nobody listens"),
            ("https://a..example/", "`url` names a host that no name server can know"),
        ] {
            assert_eq!(problems(text), [told], "{text}");
        }
        let long = format!("https://{}.example/", "a".repeat(64));
        assert_eq!(problems(&long), ["`url` names a host that no name server can know"]);
        assert_eq!(problems("ftp://u@[::1]:0/#x").len(), 5);
    }
}
