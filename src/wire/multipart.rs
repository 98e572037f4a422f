//! Bodies of several parts, `multipart/*` (RFC 2046 §5.1; RFC 2387 for `multipart/related`): read in place, written part
//! by part.
//!
//! Accepted beyond the grammar: lines that end in LF, and a last part that the body's end ends. Left out: nested
//! multiparts, which come as parts like others, and Content-Transfer-Encoding, which SIP does not need (RFC 3261 §7.4
//! is binary).

use heapless::Vec;
use memchr::memchr;

use super::sip::{Fault, MediaType, Name, fields, quoted_content, split_head};
use crate::base::text::Writer;

/// The parts of a body, in order.
#[derive(Clone, Debug)]
pub struct Parts<'b> {
    /// Two hyphens and the boundary.
    hyphened: Vec<u8, DELIMITER_BYTES>,
    /// From the first part that was not given yet; `None` when there are no more.
    rest: Option<&'b [u8]>,
}

impl<'b> Parts<'b> {
    /// Reads the boundary in Content-Type and finds the first part. A fault is a 400: not `multipart`, no boundary or one
    /// too long, or a body in which it is not.
    pub fn parse(content_type: &[u8], body: &'b [u8]) -> Result<Self, Fault> {
        let media = MediaType::parse(content_type)?;
        let boundary = media.params.value(b"boundary").filter(|_| media.main.eq_ignore_ascii_case(b"multipart"));
        let fault = Fault::bad("Missing Multipart Boundary");
        let mut parts = Self { hyphened: Vec::new(), rest: None };
        parts.hyphened.extend([b'-'; 2]);
        for byte in quoted_content(boundary.ok_or(fault)?) {
            parts.hyphened.push(byte).map_err(|_| fault)?;
        }
        if parts.hyphened.len() == 2 {
            return Err(fault);
        }
        let first = parts.delimiter(body).ok_or(fault)?;
        parts.rest = first.after;
        Ok(parts)
    }

    /// The first line that is a delimiter and nothing else.
    fn delimiter<'t>(&self, text: &'t [u8]) -> Option<Delimiter<'t>> {
        let mut at = 0;
        loop {
            let rest = text.get(at..).filter(|rest| !rest.is_empty())?;
            let len = memchr(b'\n', rest).unwrap_or(rest.len());
            let (is_last, blank) = match rest[..len].strip_prefix(self.hyphened.as_slice()) {
                Some([b'-', b'-', blank @ ..]) => (true, blank),
                Some(blank) => (false, blank),
                None => (false, &b"x"[..]),
            };
            if blank.iter().all(|byte| matches!(byte, b' ' | b'\t' | b'\r')) {
                // The line end before a delimiter is part of it.
                let before = text[..at].strip_suffix(b"\n").unwrap_or_default();
                let before = before.strip_suffix(b"\r").unwrap_or(before);
                return Some(Delimiter { before, after: rest.get(len + 1..).filter(|_| !is_last) });
            }
            at += len + 1;
        }
    }
}

impl<'b> Iterator for Parts<'b> {
    type Item = Part<'b>;

    fn next(&mut self) -> Option<Part<'b>> {
        let text = self.rest?;
        let (part, after) = match self.delimiter(text) {
            Some(delimiter) => (delimiter.before, delimiter.after),
            None => (text, None),
        };
        self.rest = after;
        Some(Part::parse(part))
    }
}

/// A line that ends a part.
struct Delimiter<'b> {
    /// What is before it and its line.
    before: &'b [u8],
    /// What is after its line; `None` when it was the last.
    after: Option<&'b [u8]>,
}

/// One part.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Part<'b> {
    /// Content-Type as written; without one it is `text/plain` (RFC 2046 §5.1).
    pub content_type: Option<&'b [u8]>,
    /// Content-ID without its angle brackets.
    pub content_id: Option<&'b [u8]>,
    /// The header fields as they came, for [`fields`].
    pub head: &'b [u8],
    /// The content.
    pub body: &'b [u8],
}

impl<'b> Part<'b> {
    fn parse(text: &'b [u8]) -> Self {
        let (head, body) = split_head(text);
        let mut part = Self { content_type: None, content_id: None, head, body };
        for (name, value) in fields(head) {
            match name {
                Name::ContentType if part.content_type.is_none() => part.content_type = Some(value),
                Name::ContentId if part.content_id.is_none() => part.content_id = Some(unbracketed(value)),
                _ => {}
            }
        }
        part
    }
}

/// Begins the first part, at the very beginning of the body: Linphone takes nothing before it, not even an empty preamble
/// (`belle_sip_multipart_body_handler`: "body not starting by specified boundary"), and no boundary in quotes either.
pub fn begin_first_part(boundary: &[u8], content_type: &str, content_id: Option<&[u8]>, out: &mut Writer<'_>) {
    out.text("--");
    write_part(boundary, content_type, content_id, out);
}

/// Begins a part after another; its content follows. `content_type` may have parameters, `content_id` comes without angle
/// brackets. The boundary must not be in any content.
pub fn begin_part(boundary: &[u8], content_type: &str, content_id: Option<&[u8]>, out: &mut Writer<'_>) {
    out.text("\r\n--");
    write_part(boundary, content_type, content_id, out);
}

fn write_part(boundary: &[u8], content_type: &str, content_id: Option<&[u8]>, out: &mut Writer<'_>) {
    out.put(boundary);
    out.text("\r\nContent-Type: ");
    out.text(content_type);
    if let Some(id) = content_id {
        // Linphone knows the field in this case only.
        out.text("\r\nContent-Id: <");
        out.put(id);
        out.text(">");
    }
    out.text("\r\n\r\n");
}

/// Ends the last part.
pub fn end(boundary: &[u8], out: &mut Writer<'_>) {
    out.text("\r\n--");
    out.put(boundary);
    out.text("--\r\n");
}

/// Reads any bytes as a body and as a Content-Type: parts lie in the body one after the other, and can be written and
/// read again.
pub fn fuzz(body: &[u8]) {
    let _ = Parts::parse(body, body);
    let Ok(parts) = Parts::parse(b"multipart/related;boundary=b", body) else { return };
    let mut rest = body.len();
    for part in parts {
        assert!(part.head.len() + part.body.len() <= rest);
        rest -= part.head.len() + part.body.len();
        let mut buffer = [0; 4096];
        let mut out = Writer::new(&mut buffer);
        begin_first_part(b"b", "text/plain", None, &mut out);
        out.put(part.body);
        end(b"b", &mut out);
        let Ok(len) = out.finish() else { continue };
        let mut again =
            Parts::parse(b"multipart/related;boundary=b", &buffer[..len]).expect("written parts can be read");
        assert!(again.next().is_some_and(|again| again.body == part.body) && again.next().is_none());
    }
}

fn unbracketed(value: &[u8]) -> &[u8] {
    match value {
        [b'<', id @ .., b'>'] => id,
        _ => value,
    }
}

/// Hyphens and a boundary, of which RFC 2046 §5.1.1 allows 70 characters.
const DELIMITER_BYTES: usize = 2 + 70;

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    fn parts<'b>(content_type: &str, body: &'b [u8]) -> Vec<Part<'b>> {
        Parts::parse(content_type.as_bytes(), body).unwrap().collect()
    }

    const RELATED: &[u8] = b"preamble --b\r\n--b \t\r\nContent-Type: application/rlmi+xml;\r\n charset=\"UTF-8\"\r\n\
        content-id: <1@h>\r\n\r\n<list/>\r\n--bb\r\n--b\r\n\r\nplain\r\n\r\n--b--\r\nepilogue\r\n--b\r\n\r\nno part";

    #[test]
    fn related() {
        let parts = parts("multipart/related;type=\"application/rlmi+xml\";boundary=b", RELATED);
        assert_eq!(parts.len(), 2);
        assert_eq!(parts[0].content_type, Some(&b"application/rlmi+xml;\r\n charset=\"UTF-8\""[..]));
        assert!(MediaType::parse(parts[0].content_type.unwrap()).unwrap().is("application", "rlmi+xml"));
        assert_eq!((parts[0].content_id, parts[0].body), (Some(&b"1@h"[..]), &b"<list/>\r\n--bb"[..]));
        assert_eq!(parts[1], Part { content_type: None, content_id: None, head: b"", body: b"plain\r\n" });
    }

    #[test]
    fn boundaries() {
        let body = b"--a \"'b\nX: y\nc: text/x\n\none\n--a \"'b--";
        let parts = parts("Multipart/Mixed ; boundary=\"a \\\"'b\"", body);
        assert_eq!(parts.len(), 1);
        assert_eq!((parts[0].content_type, parts[0].body), (Some(&b"text/x"[..]), &b"one"[..]));
        assert!(fields(parts[0].head).any(|(_, value)| value == b"y"));
        for (content_type, body) in [
            ("multipart/mixed", &b"--b\r\n\r\n--b--"[..]),
            ("multipart/mixed;boundary=\"\"", b"--\r\n\r\n----"),
            ("multipart/mixed;boundary", b"--b\r\n\r\n--b--"),
            ("text/plain;boundary=b", b"--b\r\n\r\n--b--"),
            ("multipart/mixed;boundary=b", b""),
            ("multipart/mixed;boundary=b", b"--bc\r\n\r\n--bc--"),
            ("multipart/mixed;boundary=b", b"x--b\r\n\r\n"),
            ("multipart/mixed;boundary=b;;", b"--b\r\n\r\n--b--"),
        ] {
            assert!(Parts::parse(content_type.as_bytes(), body).is_err(), "{content_type}");
        }
        let long = |len| std::format!("multipart/mixed;boundary={}", "x".repeat(len));
        let body = std::format!("--{}\r\n\r\na", "x".repeat(70));
        assert_eq!(Parts::parse(long(70).as_bytes(), body.as_bytes()).unwrap().count(), 1);
        let fault = Some(Fault::bad("Missing Multipart Boundary"));
        assert_eq!(Parts::parse(long(71).as_bytes(), body.as_bytes()).err(), fault);
    }

    #[test]
    fn cut_anywhere() {
        let whole = parts("multipart/mixed;boundary=b", RELATED);
        for end in 0..RELATED.len() {
            let Ok(cut) = Parts::parse(b"multipart/mixed;boundary=b", &RELATED[..end]) else { continue };
            let cut = cut.collect::<Vec<_>>();
            assert!(cut.len() <= whole.len());
            // All but the last are as they are in the whole.
            let complete = cut.len().saturating_sub(1);
            assert_eq!(cut[..complete], whole[..complete], "{end}");
        }
    }

    #[test]
    fn empty_parts_and_none() {
        assert_eq!(parts("multipart/mixed;boundary=b", b"--b--").len(), 0);
        assert_eq!(parts("multipart/mixed;boundary=b", b"--b\r\n--b\r\n--b--").len(), 2);
        assert_eq!(parts("multipart/mixed;boundary=b", b"--b").len(), 0);
        let bodies = parts("multipart/mixed;boundary=b", b"--b\r\nc: x/y\r\n--b--");
        assert_eq!((bodies[0].content_type, bodies[0].body), (Some(&b"x/y"[..]), &b""[..]));
        assert_eq!(parts("multipart/mixed;boundary=b", &b"--b\r\n".repeat(10_000)).len(), 10_000);
    }

    #[test]
    fn written_and_read_again() {
        let mut buffer = [0; 512];
        let mut out = Writer::new(&mut buffer);
        begin_first_part(
            b"50UBfW7LSCVLtggUPe5z",
            "application/rlmi+xml;charset=\"UTF-8\"",
            Some(b"nXYxAE@h"),
            &mut out,
        );
        out.text("<list/>");
        begin_part(b"50UBfW7LSCVLtggUPe5z", "text/plain", None, &mut out);
        end(b"50UBfW7LSCVLtggUPe5z", &mut out);
        assert_eq!(
            out.written(),
            b"--50UBfW7LSCVLtggUPe5z\r\nContent-Type: application/rlmi+xml;charset=\"UTF-8\"\r\n\
              Content-Id: <nXYxAE@h>\r\n\r\n<list/>\r\n--50UBfW7LSCVLtggUPe5z\r\nContent-Type: text/plain\r\n\r\n\
              \r\n--50UBfW7LSCVLtggUPe5z--\r\n"
        );
        let parts = parts("multipart/related;boundary=50UBfW7LSCVLtggUPe5z", out.written());
        assert_eq!(parts.len(), 2);
        assert_eq!((parts[0].content_id, parts[0].body), (Some(&b"nXYxAE@h"[..]), &b"<list/>"[..]));
        assert_eq!((parts[1].content_type, parts[1].body), (Some(&b"text/plain"[..]), &b""[..]));
    }
}
