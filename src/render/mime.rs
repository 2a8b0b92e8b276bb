//! MIME entities (RFC 2045, RFC 2046): a `text/…` part, and the alternatives of text and HTML.

use super::body::Body;
use super::transfer_encoding::Encoding;

/// Appends `Content-…` fields, the empty line and the body.
pub fn write(body: &Body<String>, boundary: &str, out: &mut Vec<u8>) {
    match body {
        Body::Text(text) => write_part("plain", text, out),
        Body::Html(html) => write_part("html", html, out),
        Body::Alternatives { text, html } => {
            let fields = "Content-Type: multipart/alternative;\r\n boundary=\"";
            write_line(out, &[fields, boundary, "\"\r\n"]);
            // The best version comes last (RFC 2046 §5.1.4).
            write_line(out, &["--", boundary]);
            write_part("plain", text, out);
            write_line(out, &["--", boundary]);
            write_part("html", html, out);
            write_line(out, &["--", boundary, "--"]);
        }
    }
}

/// A boundary that no part can contain: neither quoted-printable nor base64 produces `=_`. Made from the Message-ID, so
/// that a message is the same each time it is rendered.
pub fn boundary(message_id: &str) -> String {
    let token = message_id.bytes().take_while(|byte| *byte != b'@');
    // A boundary has at most 70 characters (RFC 2046 §5.1.1).
    let token = token.filter(u8::is_ascii_alphanumeric).take(64);
    "=_".chars().chain(token.map(char::from)).collect()
}

/// Appends the parts as one line with CRLF.
pub fn write_line(out: &mut Vec<u8>, parts: &[&str]) {
    for part in parts {
        out.extend_from_slice(part.as_bytes());
    }
    out.extend_from_slice(b"\r\n");
}

fn write_part(subtype: &str, text: &str, out: &mut Vec<u8>) {
    let encoding = Encoding::of(text);
    write_line(out, &["Content-Type: text/", subtype, "; charset=utf-8"]);
    let encoding_field = ["Content-Transfer-Encoding: ", encoding.name(), "\r\n"];
    write_line(out, &encoding_field);
    encoding.write(text, out);
}
