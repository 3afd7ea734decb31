//! Why nothing was answered, in words of our own.
//!
//! What libraries say of a failure may hold what the other side sent: names in a
//! certificate, a line of a protocol that is not HTTP. So a failure is one of a few
//! classes, and its text is ours, the operating system's (by its number) or one of the
//! fixed phrases of the HTTP library.

use std::error::Error;
use std::io;

use hyper_util::client::legacy;
use rustls::CertificateError;

use super::client::NotInTime;
use super::resolver::NoAddress;

/// Nothing was answered.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Silence {
    /// For the operator, without the address.
    pub(super) reason: String,
    /// Whether it says something about the endpoint: that it is not there.
    pub(super) is_endpoints: bool,
}

/// What a failed request says of the endpoint at `host`.
pub(super) fn silence(host: &str, fault: &legacy::Error) -> Silence {
    if let Some(refused @ NoAddress::AllRefused { .. }) = find(fault) {
        let reason = format!(
            "{refused}, where nothing is sent: if it is meant, set the route's \
             `allow_private_addresses` to true"
        );
        return Silence { reason, is_endpoints: false };
    }
    let reason = if let Some(late) = find::<NotInTime>(fault) {
        format!("{host}: {late}")
    } else {
        let what = if fault.is_connect() { "no connection" } else { "no answer" };
        format!("{host}: {what}: {}", class(fault))
    };
    Silence { reason, is_endpoints: true }
}

fn class(fault: &legacy::Error) -> String {
    if let Some(unknown) = find::<NoAddress>(fault) {
        return unknown.to_string();
    }
    if let Some(tls) = find::<rustls::Error>(fault) {
        return format!("TLS failed: {}", class_of_tls(tls));
    }
    let numbered = causes(fault).filter_map(|it| it.downcast_ref::<io::Error>());
    if let Some(number) = numbered.filter_map(io::Error::raw_os_error).last() {
        return io::Error::from_raw_os_error(number).to_string();
    }
    // Its own text is one of a few phrases, without what caused it.
    if let Some(http) = find::<hyper::Error>(fault) {
        return http.to_string();
    }
    let io = causes(fault).find_map(|it| it.downcast_ref::<io::Error>());
    io.map_or_else(|| "the connection failed".to_owned(), |io| io.kind().to_string())
}

fn class_of_tls(fault: &rustls::Error) -> &'static str {
    let rustls::Error::InvalidCertificate(certificate) = fault else {
        return match fault {
            rustls::Error::AlertReceived(_) => "it refused the handshake",
            rustls::Error::InvalidMessage(_) => "it does not speak TLS",
            _ => "no handshake",
        };
    };
    match certificate {
        CertificateError::UnknownIssuer => "its certificate is of an unknown issuer",
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "its certificate has expired"
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "its certificate is not valid yet"
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "its certificate is for another name"
        }
        CertificateError::Revoked => "its certificate was revoked",
        _ => "its certificate is not accepted",
    }
}

fn find<E: Error + 'static>(fault: &legacy::Error) -> Option<&E> {
    causes(fault).find_map(|cause| cause.downcast_ref())
}

/// The fault and all that caused it, the innermost last. An I/O error names what it wraps
/// not as its source, but as its content.
fn causes(fault: &legacy::Error) -> impl Iterator<Item = &(dyn Error + 'static)> {
    std::iter::successors(Some(fault as &(dyn Error + 'static)), |cause| cause_of(*cause))
}

fn cause_of<'a>(fault: &'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
    match fault.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
        Some(wrapped) => Some(wrapped),
        None => fault.source(),
    }
}

#[cfg(test)]
mod tests {
    use rustls::pki_types::ServerName;

    use super::*;

    #[test]
    fn nothing_of_a_certificate_is_told() {
        let name = |text: &'static str| ServerName::try_from(text).unwrap();
        let certificate = CertificateError::NotValidForNameContext {
            expected: name("crm.example.com"),
            presented: vec!["DnsName(\"jane-doe.example\")".to_owned()],
        };
        let said = class_of_tls(&rustls::Error::InvalidCertificate(certificate));
        assert_eq!(said, "its certificate is for another name");
        let other = rustls::Error::General("jane-doe.example".to_owned());
        assert_eq!(class_of_tls(&other), "no handshake");
    }
}
