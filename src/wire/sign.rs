//! Signs that clients send each other beside messages: that somebody is typing (isComposing, RFC 3994), and what became of
//! a message (IMDN, RFC 5438). They are neither kept nor counted.
//!
//! They are told by their type; what they say is not read. Left out: content that is compressed around its type (the caller
//! inflates first), and signs beside real content in one body, which is content.

use super::cpim::Cpim;
use super::multipart::Parts;
use super::sip::MediaType;
use super::xml::Reader;
use crate::base::text::Writer;

/// Whether a body is a sign and nothing else: bare, in `message/cpim`, or as all parts of a multipart. `content_type` as
/// written; empty is `text/plain`. Time is linear in the body.
pub fn is_sign(content_type: &[u8], body: &[u8]) -> bool {
    is_sign_within(content_type, body, DEPTH)
}

fn is_sign_within(content_type: &[u8], body: &[u8], depth: usize) -> bool {
    let Ok(media) = MediaType::parse(content_type) else { return false };
    if SIGNS.iter().any(|(main, sub)| media.is(main, sub)) {
        return true;
    }
    let Some(depth) = depth.checked_sub(1) else { return false };
    if media.is("message", "cpim") {
        return Cpim::parse(body).is_some_and(|cpim| is_sign_within(cpim.content_type, cpim.body, depth));
    }
    let Ok(mut parts) = Parts::parse(content_type, body) else { return false };
    let mut has_parts = false;
    let is_all = parts.all(|part| {
        has_parts = true;
        is_sign_within(part.content_type.unwrap_or_default(), part.body, depth)
    });
    has_parts && is_all
}

/// The type of a sign that somebody types.
pub const COMPOSING_TYPE: &str = "application/im-iscomposing+xml";

/// Writes that somebody types, or has stopped (RFC 3994 §6).
pub fn write_composing(is_on: bool, out: &mut Writer<'_>) {
    out.text("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<isComposing xmlns=\"urn:ietf:params:xml:ns:im-iscomposing\"><state>");
    out.text(if is_on { "active" } else { "idle" });
    out.text("</state><contenttype>text/plain</contenttype>");
    // Who is not told that it went on takes it for over after that.
    out.text(if is_on { "<refresh>90</refresh>" } else { "" });
    out.text("</isComposing>\n");
}

/// What an isComposing document, bare or in `message/cpim`, says: whether its sender types. `None` for any other content.
pub fn is_composing(body: &[u8]) -> Option<bool> {
    if let Some(cpim) = Cpim::parse(body)
        .filter(|cpim| MediaType::parse(cpim.content_type).is_ok_and(|it| it.is("application", "im-iscomposing+xml")))
    {
        return is_composing_bare(cpim.body);
    }
    is_composing_bare(body)
}

fn is_composing_bare(body: &[u8]) -> Option<bool> {
    let mut reader = Reader::new(body).ok()?;
    let root = reader.root().ok()?;
    if root.name != "isComposing" {
        return None;
    }
    while let Ok(Some(element)) = reader.child(&root) {
        if element.name == "state" {
            return Some(reader.content::<16>(&element).ok()?.eq_ignore_ascii_case("active"));
        }
    }
    None
}

/// How many wrappers are looked into, one in the other.
const DEPTH: usize = 3;

const SIGNS: [(&str, &str); 2] = [("application", "im-iscomposing+xml"), ("message", "imdn+xml")];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_types() {
        let mut room = [0; 512];
        for is_on in [true, false] {
            let mut out = Writer::new(&mut room);
            write_composing(is_on, &mut out);
            let len = out.finish().unwrap();
            assert_eq!(is_composing(&room[..len]), Some(is_on));
            assert!(is_sign(COMPOSING_TYPE.as_bytes(), &room[..len]));
        }
        let wrapped = b"From: <sip:b@h>\r\n\r\nContent-type: application/im-iscomposing+xml\r\n\r\n\
            <isComposing xmlns='urn:ietf:params:xml:ns:im-iscomposing'><state> active </state></isComposing>";
        assert_eq!(is_composing(wrapped), Some(true));
        for other in
            [&b"<isComposing/>"[..], b"<imdn><state>active</state></imdn>", b"", b"active", b"<isComposing><state>"]
        {
            assert_eq!(is_composing(other), None);
        }
    }

    #[test]
    fn bare_and_wrapped() {
        let imdn = b"From: <sip:b@h>\r\n\r\nContent-type: message/imdn+xml\r\n\r\n<imdn/>";
        let text = b"From: <sip:b@h>\r\n\r\nContent-type: text/plain\r\n\r\nmessage/imdn+xml";
        for (content_type, body, expected) in [
            (&b"application/im-iscomposing+xml"[..], &b"<isComposing/>"[..], true),
            (b"Application/IM-isComposing+XML; charset=UTF-8", b"", true),
            (b"message/imdn+xml", b"", true),
            (b"text/plain", b"<isComposing/>", false),
            (b"", b"", false),
            (b"message/cpim", imdn, true),
            (b"message/cpim", text, false),
            (b"message/cpim", b"", false),
            (b"message/cpim", b"\r\n\r\nno type", false),
            (b"multipart/mixed;boundary=b", b"--b\r\nContent-Type: message/imdn+xml\r\n\r\nx\r\n--b--", true),
            (
                b"multipart/mixed;boundary=b",
                b"--b\r\nContent-Type: message/imdn+xml\r\n\r\nx\r\n--b\r\n\r\nHi\r\n--b--",
                false,
            ),
            (b"multipart/mixed;boundary=b", b"--b--\r\n", false),
            (b"multipart/mixed", b"--b\r\nContent-Type: message/imdn+xml\r\n\r\nx\r\n--b--", false),
        ] {
            assert_eq!(is_sign(content_type, body), expected, "{}", body.escape_ascii());
        }
    }

    #[test]
    fn depth_is_limited() {
        let mut body = std::vec::Vec::from(&b"\r\nContent-Type: message/imdn+xml\r\n\r\n"[..]);
        for depth in 1..6 {
            assert_eq!(is_sign(b"message/cpim", &body), depth <= DEPTH, "{depth}");
            body = [&b"\r\nContent-Type: message/cpim\r\n\r\n"[..], &body].concat();
        }
    }
}
