//! Heads of responses (RFC 9112 §4, RFC 9110 §15), written; and the framing of what follows them.

use crate::base::text::Writer;

/// How the end of a response's body is told (RFC 9112 §6).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Framing {
    /// It has so many bytes.
    Length(u64),
    /// By the length of each chunk (§7.1).
    Chunked,
    /// By the end of the connection, for clients of HTTP/1.0.
    Close,
}

impl Framing {
    /// Writes the field that says it, and whether the connection ends behind it.
    pub fn write(self, keep_alive: bool, out: &mut Writer<'_>) {
        match self {
            Self::Length(length) => {
                out.text("Content-Length: ");
                out.number(length);
                out.text("\r\n");
            }
            Self::Chunked => out.text("Transfer-Encoding: chunked\r\n"),
            Self::Close => {}
        }
        out.text(if keep_alive { "Connection: keep-alive\r\n" } else { "Connection: close\r\n" });
    }
}

/// Writes a status line.
pub fn write_status(status: u16, out: &mut Writer<'_>) {
    out.text("HTTP/1.1 ");
    out.number(status.into());
    out.text(" ");
    out.text(reason(status));
    out.text("\r\n");
}

/// The reason phrase that goes with a status code.
pub const fn reason(status: u16) -> &'static str {
    match status {
        100 => "Continue",
        200 => "OK",
        206 => "Partial Content",
        303 => "See Other",
        304 => "Not Modified",
        400 => "Bad Request",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        411 => "Length Required",
        413 => "Content Too Large",
        415 => "Unsupported Media Type",
        416 => "Range Not Satisfiable",
        417 => "Expectation Failed",
        421 => "Misdirected Request",
        422 => "Unprocessable Content",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        503 => "Service Unavailable",
        505 => "HTTP Version Not Supported",
        _ => "Error",
    }
}
