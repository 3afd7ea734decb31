//! The body as it may have been when it was signed.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;

use super::json_text::{ESCAPES, Escapes, SPACINGS, Spacing, restyled};
use super::trials::{Change, Trial};
use crate::captured::Captured;

const RAW: &str = "verify the raw bytes, before anything parses them; if it was a tool that captured \
                   them so, capture them with another";
const EDITOR: &str = "editors and shells add or take line ends: capture the bytes into a file, and \
                      pass that";
const BOM: &[u8] = b"\xef\xbb\xbf";
/// Larger bodies are not written anew in every style.
const RESTYLED_BYTES_MAX: usize = 1024 * 1024;

/// Line ends and encodings first, then JSON in the styles of the usual libraries.
pub(super) fn trials(captured: &Captured) -> impl Iterator<Item = Trial> {
    let trial = |body: Vec<u8>, finding: String, advice| Trial {
        change: Change::Request(Captured { body: Bytes::from(body), ..captured.clone() }),
        finding,
        advice,
    };
    let body = &captured.body;
    let plain = altered(body)
        .into_iter()
        .map(move |(body, finding, advice)| trial(body, finding.to_owned(), advice));
    plain.chain(rewritten(body).map(move |(body, style)| {
        let finding = format!("The body was re-serialised: as {style}, the request verifies");
        trial(body, finding, RAW)
    }))
}

fn altered(body: &[u8]) -> Vec<(Vec<u8>, &'static str, &'static str)> {
    let mut all = Vec::new();
    let mut add = |other: Option<Vec<u8>>, finding, advice| {
        all.extend(other.filter(|other| other != body).map(|other| (other, finding, advice)));
    };
    let without = |end: &[u8]| body.strip_suffix(end).map(<[u8]>::to_vec);
    let with = |end: &[u8]| Some([body, end].concat());
    let at_end =
        "The body has a line end behind it that was not signed: without it, the request verifies";
    add(without(b"\r\n"), at_end, EDITOR);
    add(without(b"\n"), at_end, EDITOR);
    add(
        Some(body.trim_ascii().to_vec()),
        "The body has white space around it that was not signed: \
        without it, the request verifies",
        EDITOR,
    );
    let lost = "The body lacks the line end that was signed: with it, the request verifies";
    add(with(b"\n"), lost, EDITOR);
    add(with(b"\r\n"), lost, EDITOR);
    add(
        Some(with_line_ends(body, false)),
        "The body's line ends are CRLF and were signed as LF",
        EDITOR,
    );
    add(
        Some(with_line_ends(body, true)),
        "The body's line ends are LF and were signed as CRLF",
        EDITOR,
    );
    add(
        body.strip_prefix(BOM).map(<[u8]>::to_vec),
        "The body begins with a byte order mark that was \
        not signed: without it, the request verifies",
        EDITOR,
    );
    add(
        STANDARD.decode(body.trim_ascii()).ok(),
        "The body is still in base64: decoded, the request \
        verifies",
        "API Gateway says isBase64Encoded of such a body: decode it before verifying",
    );
    add(
        unchunked(body),
        "The body is still in the chunks of its transfer: joined, the request \
        verifies",
        "capture the body behind the HTTP server, or without Transfer-Encoding",
    );
    add(
        unescaped(body),
        "The body is a JSON text of its own, with quotes around it: without them, the \
        request verifies",
        RAW,
    );
    add(
        latin_1(body),
        "The body was read as Latin-1 and written as UTF-8: undone, the request \
        verifies",
        RAW,
    );
    all
}

fn with_line_ends(body: &[u8], crlf: bool) -> Vec<u8> {
    let mut out = Vec::with_capacity(body.len());
    for (at, byte) in body.iter().enumerate() {
        let pairs = body.get(at + 1) == Some(&b'\n');
        match byte {
            b'\r' if pairs => {}
            b'\n' if crlf => out.extend(b"\r\n"),
            byte => out.push(*byte),
        }
    }
    out
}

/// RFC 9112, section 7.1; `None` unless the chunks are whole.
fn unchunked(body: &[u8]) -> Option<Vec<u8>> {
    let (mut rest, mut out) = (body, Vec::new());
    loop {
        let end = rest.windows(2).position(|pair| pair == b"\r\n")?;
        let size = std::str::from_utf8(&rest[..end]).ok()?.split(';').next()?;
        let size = usize::from_str_radix(size.trim(), 16).ok()?;
        rest = &rest[end + 2..];
        if size == 0 {
            return Some(out);
        }
        out.extend(rest.get(..size)?);
        rest = rest.get(size..)?.strip_prefix(b"\r\n")?;
    }
}

/// `"{\"a\":1}"`: a body that was put into JSON as a text.
fn unescaped(body: &[u8]) -> Option<Vec<u8>> {
    serde_json::from_slice::<String>(body).ok().map(String::into_bytes)
}

fn latin_1(body: &[u8]) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(body).ok()?;
    text.chars().map(|c| u8::try_from(u32::from(c)).ok()).collect()
}

/// The JSON in every style, with the style's name.
fn rewritten(body: &[u8]) -> impl Iterator<Item = (Vec<u8>, String)> + use<> {
    let text = std::str::from_utf8(body).ok().filter(|text| text.len() <= RESTYLED_BYTES_MAX);
    let text = text.map(ToOwned::to_owned);
    text.into_iter().flat_map(|text| {
        let styles = SPACINGS.into_iter().flat_map(|spacing| ESCAPES.map(|it| (spacing, it)));
        styles.flat_map(move |(spacing, escapes)| {
            let json = restyled(&text, spacing, escapes).filter(|json| *json != text);
            let name = style(spacing, escapes);
            json.into_iter().flat_map(move |json| {
                let with_end =
                    (format!("{json}\n").into_bytes(), format!("{name}, line end included"));
                [(json.into_bytes(), name.clone()), with_end]
            })
        })
    })
}

fn style(spacing: Spacing, escapes: Escapes) -> String {
    let spacing = match spacing {
        Spacing::Compact => "compact JSON".to_owned(),
        Spacing::Spaced => "JSON with a space behind each comma and colon".to_owned(),
        Spacing::Indented(spaces) => format!("JSON indented by {spaces}"),
    };
    let escapes = match escapes {
        Escapes::Least => "",
        Escapes::Ascii => ", all beyond ASCII escaped",
        Escapes::Slashes => ", slashes escaped",
        Escapes::AsciiSlashes => ", slashes and all beyond ASCII escaped",
        Escapes::Html => ", < > & escaped",
    };
    spacing + escapes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_are_joined_only_if_they_are_whole() {
        let body = b"4\r\n{\"a\"\r\n3;x=y\r\n:1}\r\n0\r\n\r\n";
        assert_eq!(unchunked(body).as_deref(), Some(&b"{\"a\":1}"[..]));
        assert_eq!(unchunked(&body[..20]), None);
        assert_eq!(unchunked(b"{}"), None);
    }

    #[test]
    fn line_ends_become_one_kind() {
        assert_eq!(with_line_ends(b"a\r\nb\nc\r", false), b"a\nb\nc\r");
        assert_eq!(with_line_ends(b"a\r\nb\nc\r", true), b"a\r\nb\r\nc\r");
    }
}
