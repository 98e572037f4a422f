//! `message/cpim` (RFC 3862): a message with who sent it to whom, and when, around it.
//!
//! Accepted beyond the grammar: names in any case, lines that end in LF. Left out: namespaces (§3.4) with the headers they
//! bring, more than one To, cc, Subject and Require; they are skipped when read.

use core::fmt::Write as _;

use super::sip::{Name, date, fields, split_head};
use crate::base::text::{OneLine, Writer};
use crate::base::time::UnixTime;

/// A message and its wrapper.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Cpim<'b> {
    /// Who it is from, `"Bob" <sip:bob@away.test>`, as [`party`] writes it; empty when that is not said.
    pub from: &'b [u8],
    /// Whom it is for, likewise.
    pub to: &'b [u8],
    /// When it was sent.
    pub at: Option<UnixTime>,
    /// Content-Type of what is inside; empty when that is not said, then it is `text/plain` (RFC 2045 §5.2).
    pub content_type: &'b [u8],
    /// Content-Encoding of what is inside; empty for none.
    pub encoding: &'b [u8],
    /// What is inside.
    pub body: &'b [u8],
}

impl<'b> Cpim<'b> {
    /// Reads a body of this type. `None` when there is nothing inside: the first empty line ends the headers, the second
    /// the fields of the content, and both have to be there.
    pub fn parse(body: &'b [u8]) -> Option<Self> {
        let (headers, content) = split_head(body);
        if headers.len() == body.len() {
            return None;
        }
        let mut cpim = Self::default();
        for line in headers.split(|byte| *byte == b'\n') {
            let Some(colon) = line.iter().position(|byte| *byte == b':') else { continue };
            let (name, value) = (line[..colon].trim_ascii(), line[colon + 1..].trim_ascii());
            match name {
                _ if name.eq_ignore_ascii_case(b"From") && cpim.from.is_empty() => cpim.from = value,
                _ if name.eq_ignore_ascii_case(b"To") && cpim.to.is_empty() => cpim.to = value,
                _ if name.eq_ignore_ascii_case(b"DateTime") && cpim.at.is_none() => {
                    cpim.at = date::parse_internet(value);
                }
                _ => {}
            }
        }
        let (head, inside) = split_head(content);
        if head.len() == content.len() {
            return None;
        }
        for (name, value) in fields(head) {
            match name {
                Name::ContentType if cpim.content_type.is_empty() => cpim.content_type = value,
                Name::ContentEncoding if cpim.encoding.is_empty() => cpim.encoding = value,
                _ => {}
            }
        }
        cpim.body = inside;
        Some(cpim)
    }

    /// Writes the body. What would end a line within a value is written as a blank.
    pub fn write(&self, out: &mut Writer<'_>) {
        line("From: ", self.from, out);
        line("To: ", self.to, out);
        if let Some(at) = self.at {
            out.text("DateTime: ");
            date::write_internet(at, out);
            out.text("\r\n");
        }
        out.text("\r\n");
        line("Content-Type: ", if self.content_type.is_empty() { PLAIN } else { self.content_type }, out);
        line("Content-Encoding: ", self.encoding, out);
        out.text("Content-Length: ");
        out.number(self.body.len() as u64);
        out.text("\r\n\r\n");
        out.put(self.body);
    }
}

/// Writes somebody as [`Cpim::from`] has it: a name, which may be empty, and a URI without angle brackets.
pub fn party(name: &str, uri: &[u8], out: &mut Writer<'_>) {
    if !name.is_empty() {
        out.text("\"");
        for character in name.chars().filter(|character| !character.is_control()) {
            if matches!(character, '"' | '\\') {
                out.text("\\");
            }
            out.text(character.encode_utf8(&mut [0; 4]));
        }
        out.text("\" ");
    }
    out.text("<");
    out.put(uri);
    out.text(">");
}

fn line(name: &str, value: &[u8], out: &mut Writer<'_>) {
    if !value.is_empty() {
        out.text(name);
        // A text that does not fit is remembered.
        let _ = write!(out, "{}\r\n", OneLine(value));
    }
}

/// The media type of the body.
pub const CONTENT_TYPE: &str = "message/cpim";

const PLAIN: &[u8] = b"text/plain;charset=UTF-8";

/// Reads any bytes as a body; what is read can be written and read again.
pub fn fuzz(body: &[u8]) {
    let Some(cpim) = Cpim::parse(body) else { return };
    let mut room = [0; 4096];
    let mut out = Writer::new(&mut room);
    cpim.write(&mut out);
    let Ok(len) = out.finish() else { return };
    let again = Cpim::parse(&room[..len]).expect("what was written can be read");
    assert!(again.body == cpim.body && again.at == cpim.at);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_linphone_sends_it() {
        let body = b"From: <sip:bob@away.test>\r\nTo: <sip:alice@home.example>\r\n\
            DateTime: 2010-11-14T00:29:00+01:00\r\nNS: imdn <urn:ietf:params:imdn>\r\nimdn.Message-ID: 12\r\n\r\n\
            Content-Type: text/plain;charset=UTF-8\r\nContent-Length: 2\r\n\r\nHi";
        let expected = Cpim {
            from: b"<sip:bob@away.test>",
            to: b"<sip:alice@home.example>",
            at: Some(UnixTime(1_289_690_940)),
            content_type: PLAIN,
            encoding: b"",
            body: b"Hi",
        };
        assert_eq!(Cpim::parse(body), Some(expected));
        let mut room = [0; 300];
        let mut out = Writer::new(&mut room);
        expected.write(&mut out);
        assert_eq!(
            out.written(),
            b"From: <sip:bob@away.test>\r\nTo: <sip:alice@home.example>\r\nDateTime: 2010-11-13T23:29:00Z\r\n\r\n\
              Content-Type: text/plain;charset=UTF-8\r\nContent-Length: 2\r\n\r\nHi"
        );
        assert_eq!(Cpim::parse(out.written()), Some(expected));
        for len in 0..out.len() {
            let mut small = [0; 300];
            let mut out = Writer::new(&mut small[..len]);
            expected.write(&mut out);
            assert!(out.finish().is_err(), "{len}");
        }
    }

    #[test]
    fn odd_ones() {
        let cpim = Cpim::parse(b"from: a\nTo: b\nTO: c\ndatetime: soon\nx\n\nc: a/b\ne: deflate\n\n\r\n\r\n").unwrap();
        let expected =
            Cpim { from: b"a", to: b"b", at: None, content_type: b"a/b", encoding: b"deflate", body: b"\r\n\r\n" };
        assert_eq!(cpim, expected);
        assert_eq!(Cpim::parse(b"\r\n\r\nHi"), Some(Cpim { body: b"Hi", ..Cpim::default() }));
        for bad in [&b""[..], b"From: a", b"From: a\r\n\r\n", b"From: a\r\n\r\nContent-Type: text/plain\r\n"] {
            assert_eq!(Cpim::parse(bad), None, "{}", bad.escape_ascii());
        }
    }

    #[test]
    fn nothing_ends_a_line() {
        let mut room = [0; 300];
        let mut out = Writer::new(&mut room);
        let cpim = Cpim { from: b"a\r\nTo: evil", content_type: b"a/b\n\nx", body: b"Hi", ..Cpim::default() };
        cpim.write(&mut out);
        assert_eq!(out.written(), b"From: a  To: evil\r\n\r\nContent-Type: a/b  x\r\nContent-Length: 2\r\n\r\nHi");
        let mut room = [0; 64];
        let mut out = Writer::new(&mut room);
        party("B \"o\\b\"\r\n\u{e5}", b"sip:b@h", &mut out);
        assert_eq!(out.written(), "\"B \\\"o\\\\b\\\"\u{e5}\" <sip:b@h>".as_bytes());
        let mut room = [0; 64];
        let mut out = Writer::new(&mut room);
        party("", b"sip:b@h", &mut out);
        assert_eq!(out.written(), b"<sip:b@h>");
    }
}
