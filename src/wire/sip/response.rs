//! Answers (RFC 3261 §8.2.6) and what is noted in the topmost Via (§18.2.1, RFC 3581 §4).
//!
//! Values are copied as they came, also from a request with faults; only folds are undone. Left out: Timestamp.

use core::net::{IpAddr, SocketAddr};
use core::ops::Range;

use super::address::NameAddr;
use super::edit::Edits;
use super::header::Name;
use super::lex::List;
use super::message::Message;
use super::via::Via;
use crate::base::text::Writer;

/// How an answer begins.
#[derive(Clone, Copy, Debug)]
pub struct Head<'a> {
    /// The status code.
    pub status: u16,
    /// The reason phrase.
    pub reason: &'a str,
    /// The tag to add to To when that has none.
    pub to_tag: Option<&'a [u8]>,
    /// Where the request came from, to be noted in the topmost Via; see [`via_source_edit`].
    pub source: Option<SocketAddr>,
    /// Whether the request's Record-Route is copied, as in answers that make a dialog (§12.1.1).
    pub record_route: bool,
}

/// Writes the status line and the fields that an answer takes from its request. The caller adds its own fields, then
/// calls [`finish`].
pub fn write_head(request: &Message<'_>, head: &Head<'_>, out: &mut Writer<'_>) {
    out.text("SIP/2.0 ");
    out.number(head.status.into());
    out.text(" ");
    out.text(head.reason);
    out.text("\r\n");
    write_vias(request, head.source, out);
    if head.record_route {
        request.fields_named(Name::RecordRoute).for_each(|field| write_field(Name::RecordRoute, field.value, out));
    }
    for name in [Name::From, Name::To, Name::CallId, Name::CSeq] {
        let Some(field) = request.field(name) else { continue };
        match head.to_tag {
            Some(tag) if name == Name::To => write_to(field.value, tag, out),
            _ => write_field(name, field.value, out),
        }
    }
}

/// Writes the Via fields that an answer takes from its request; see [`Head::source`].
pub fn write_vias(request: &Message<'_>, source: Option<SocketAddr>, out: &mut Writer<'_>) {
    let mut source = source;
    for field in request.fields_named(Name::Via) {
        out.text("Via: ");
        match source.take() {
            Some(source) => write_first_via(field.value, source, out),
            None => put_unfolded(field.value, out),
        }
        out.text("\r\n");
    }
}

/// Ends an answer: Content-Type and Content-Length, the empty line, the body.
pub fn finish(out: &mut Writer<'_>, body: Option<(&str, &[u8])>) {
    let (content_type, bytes) = body.unwrap_or_default();
    if body.is_some() {
        out.text("Content-Type: ");
        out.text(content_type);
        out.text("\r\n");
    }
    out.text("Content-Length: ");
    out.number(bytes.len() as u64);
    out.text("\r\n\r\n");
    out.put(bytes);
}

/// Notes in the topmost Via of a request that is forwarded where it came from: `received` when the host in it is not
/// that address, `rport` with the port and `received` when the sender asked for it by `rport`. What the sender wrote as
/// their values is replaced. A Via that can't be read is left as it is.
pub fn via_source_edit(message: &Message<'_>, source: SocketAddr, edits: &mut Edits<'_>) {
    let Some(essentials) = message.essentials() else { return };
    let start = message.span(essentials.via.raw).start;
    each_source_edit(&essentials.via, source, |range, text| {
        edits.replace(start + range.start..start + range.end, |out| out.put(text));
    });
}

fn write_field(name: Name, value: &[u8], out: &mut Writer<'_>) {
    out.text(name.as_str());
    out.text(": ");
    put_unfolded(value, out);
    out.text("\r\n");
}

fn write_to(value: &[u8], tag: &[u8], out: &mut Writer<'_>) {
    out.text("To: ");
    put_unfolded(value, out);
    if NameAddr::parse(value).is_ok_and(|to| !to.params.has(b"tag")) {
        out.text(";tag=");
        out.put(tag);
    }
    out.text("\r\n");
}

/// The value of the first Via field, with the source noted in the first of its values.
fn write_first_via(value: &[u8], source: SocketAddr, out: &mut Writer<'_>) {
    let first = List::new(value).next().unwrap_or_default();
    let mut at = 0;
    if let Ok(via) = Via::parse(first) {
        // A field's value has no white space before it, so its first element begins where it does.
        each_source_edit(&via, source, |range, text| {
            put_unfolded(value.get(at..range.start).unwrap_or_default(), out);
            out.put(text);
            at = range.end;
        });
    }
    put_unfolded(value.get(at..).unwrap_or_default(), out);
}

/// Gives each change of a Via in order: a range of its `raw` and the text that comes there.
fn each_source_edit(via: &Via<'_>, source: SocketAddr, mut change: impl FnMut(Range<usize>, &[u8])) {
    let ip = source.ip().to_canonical();
    let asked = via.params.has(b"rport");
    let mut wants_received = asked || via.params.has(b"received") || via.host.ip() != Some(ip);
    let mut wants_rport = asked;
    let mut buffer = [0; 64];
    for param in via.params.spans() {
        let text = if param.name.eq_ignore_ascii_case(b"received") {
            if core::mem::take(&mut wants_received) { received(ip, &mut buffer) } else { b"" }
        } else if param.name.eq_ignore_ascii_case(b"rport") {
            if core::mem::take(&mut wants_rport) { rport(source.port(), &mut buffer) } else { b"" }
        } else {
            continue;
        };
        let start = (param.raw.as_ptr() as usize).wrapping_sub(via.raw.as_ptr() as usize);
        change(start..start + param.raw.len(), text);
    }
    if wants_received {
        change(via.raw.len()..via.raw.len(), received(ip, &mut buffer));
    }
}

fn received(ip: IpAddr, buffer: &mut [u8; 64]) -> &[u8] {
    parameter(buffer, ";received=", |out| out.ip(ip))
}

fn rport(port: u16, buffer: &mut [u8; 64]) -> &[u8] {
    parameter(buffer, ";rport=", |out| out.number(port.into()))
}

fn parameter<'t>(buffer: &'t mut [u8; 64], name: &str, write: impl FnOnce(&mut Writer<'_>)) -> &'t [u8] {
    // The longest address has 45 characters, so it fits.
    let mut out = Writer::new(buffer);
    out.text(name);
    write(&mut out);
    let len = out.len();
    &buffer[..len]
}

/// A value without line ends: a fold leaves its white space, and a CR alone can't end a line of ours.
fn put_unfolded(value: &[u8], out: &mut Writer<'_>) {
    value.split(|byte| matches!(byte, b'\r' | b'\n')).for_each(|part| out.put(part));
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::format;
    use std::string::String;
    use std::vec::Vec;

    fn request(via: &str, to: &str) -> Vec<u8> {
        format!(
            "INVITE sip:a@h SIP/2.0\r\n{via}\r\nRecord-Route: <sip:p;lr>\r\nf: <sip:b@i>;tag=1\r\nTo: {to}\r\nv: SIP/2.0/TCP third\r\n\
             Call-ID:\r\n x@y\r\ncseq: 0009\r\n  INVITE\r\nl: 0\r\n\r\n"
        )
        .into_bytes()
    }

    fn answer(bytes: &[u8], head: Head<'_>) -> String {
        let mut buffer = [0; 2048];
        let mut out = Writer::new(&mut buffer);
        write_head(&Message::parse(bytes).unwrap(), &head, &mut out);
        finish(&mut out, None);
        let len = out.finish().unwrap();
        String::from_utf8_lossy(&buffer[..len]).into_owned()
    }

    const RINGING: Head<'_> =
        Head { status: 180, reason: "Ringing", to_tag: Some(b"t"), source: None, record_route: true };

    #[test]
    fn copies_what_it_must() {
        let bytes = request("Via: SIP/2.0/UDP h;branch=z9\r\n ;x , SIP/2.0/UDP second", "\"A\" <sip:a@h>");
        assert_eq!(
            answer(&bytes, RINGING),
            "SIP/2.0 180 Ringing\r\nVia: SIP/2.0/UDP h;branch=z9 ;x , SIP/2.0/UDP second\r\nVia: SIP/2.0/TCP third\r\n\
             Record-Route: <sip:p;lr>\r\nFrom: <sip:b@i>;tag=1\r\nTo: \"A\" <sip:a@h>;tag=t\r\nCall-ID: x@y\r\nCSeq: 0009  INVITE\r\n\
             Content-Length: 0\r\n\r\n"
        );
        let bytes = request("Via: SIP/2.0/UDP h", "<sip:a@h>;tag=old");
        let text = answer(&bytes, Head { record_route: false, ..RINGING });
        assert!(text.contains("To: <sip:a@h>;tag=old\r\n") && !text.contains("Record-Route"));
        let written = Message::parse(text.as_bytes()).unwrap();
        assert_eq!((written.status(), written.fault()), (Some(180), None));
    }

    #[test]
    fn answers_requests_with_faults() {
        let text = answer(&request("Via: SIP/2.0/UDP h;;", "\"A <sip:a@h>"), RINGING);
        assert!(text.contains("Via: SIP/2.0/UDP h;;\r\n") && text.contains("To: \"A <sip:a@h>\r\n"), "{text}");
        let text = answer(b"X sip:h SIP/2.0\r\nVia: SIP/2.0/UDP a\rb: c\r\n\r\n", RINGING);
        assert_eq!(text, "SIP/2.0 180 Ringing\r\nVia: SIP/2.0/UDP ab: c\r\nContent-Length: 0\r\n\r\n");
    }

    /// The first Via of an answer and of a forwarded request, which must be the same, less the white space of folds.
    fn noted(via: &str, source: &str) -> String {
        let bytes = request(&format!("Via: SIP/2.0/UDP {via}"), "<sip:a@h>");
        let source = source.parse().unwrap();
        let text = answer(&bytes, Head { source: Some(source), ..RINGING });
        let first = text.lines().nth(1).unwrap().strip_prefix("Via: SIP/2.0/UDP ").unwrap();
        let message = Message::parse(&bytes).unwrap();
        let mut text = [0; crate::base::limits::EDIT_BYTES];
        let mut edits = Edits::new(&mut text);
        via_source_edit(&message, source, &mut edits);
        let (mut encoded, mut buffer) = ([0; 512], [0; 2048]);
        let mut out = Writer::new(&mut encoded);
        edits.encode(&mut out).unwrap();
        let encoded_len = out.finish().unwrap();
        let mut out = Writer::new(&mut buffer);
        super::super::edit::apply(message.bytes(), &encoded[..encoded_len], &mut out);
        let forwarded = Message::parse(out.written()).unwrap();
        let value = forwarded.field(Name::Via).unwrap().value;
        assert_eq!(String::from_utf8_lossy(value).replace("\r\n", ""), format!("SIP/2.0/UDP {first}"));
        first.into()
    }

    #[test]
    fn source_in_the_topmost_via() {
        assert_eq!(noted("192.0.2.1:5070;branch=z", "192.0.2.1:99"), "192.0.2.1:5070;branch=z");
        assert_eq!(noted("192.0.2.1;branch=z", "192.0.2.2:99"), "192.0.2.1;branch=z;received=192.0.2.2");
        assert_eq!(noted("h;branch=z", "[2001:db8::1]:99"), "h;branch=z;received=2001:db8::1");
        assert_eq!(
            noted("192.0.2.1 ;\r\n rport;branch=z , SIP/2.0/UDP b;rport", "[::ffff:192.0.2.1]:99"),
            "192.0.2.1 ;rport=99;branch=z;received=192.0.2.1 , SIP/2.0/UDP b;rport"
        );
        assert_eq!(
            noted("h;received=1.2.3.4;RPORT=7;received=x;branch=z", "192.0.2.2:99"),
            "h;received=192.0.2.2;rport=99;branch=z"
        );
        assert_eq!(noted("192.0.2.2;received=1.2.3.4", "192.0.2.2:99"), "192.0.2.2;received=192.0.2.2");
    }

    #[test]
    fn bodies() {
        let mut buffer = [0; 128];
        let mut out = Writer::new(&mut buffer);
        finish(&mut out, Some(("text/plain", b"hi")));
        assert_eq!(out.written(), b"Content-Type: text/plain\r\nContent-Length: 2\r\n\r\nhi");
    }
}
