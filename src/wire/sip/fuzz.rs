//! One entry that runs every reader over any bytes, and checks what they promise about what they accept.

use super::*;
use crate::base::text::Writer;

/// Runs every reader over `bytes`: as a message, as a stream, and as the value of each kind. Panics when a reader
/// breaks a promise: an accepted value that is written and read again is the same, parts lie within the message, an
/// answer to an answerable request can be read, and edits leave the rest as it was.
pub fn fuzz(bytes: &[u8]) {
    if let Ok(message) = Message::parse(bytes) {
        whole(&message);
    }
    stream(bytes);
    value(bytes);
}

fn whole(message: &Message<'_>) {
    assert!(message.essentials().is_some() || message.fault().is_some());
    assert!(message.head_end() <= message.bytes().len());
    let mut end = 0;
    for field in message.fields() {
        assert!(field.line.start >= end && field.line.end <= message.head_end());
        end = field.line.end;
        let span = message.span(field.value);
        assert_eq!(&message.bytes()[span], field.value);
        assert!(!field.raw_name.is_empty());
        value(field.value);
        message.values(field.name).for_each(value);
    }
    if let Ok(Contacts::List(list)) = message.contacts() {
        for contact in list.iter() {
            same_address(&contact);
            let _ = features::judge(message, contact.params.raw());
        }
    }
    message.request_uri().into_iter().for_each(value);
    if let Some(essentials) = message.essentials() {
        let span = message.span(essentials.via.raw);
        assert_eq!(&message.bytes()[span], essentials.via.raw);
        same_via(&essentials.via);
    }
    answered(message);
}

/// An answer to a request without faults is a message without faults, with the source in its Via.
fn answered(message: &Message<'_>) {
    let source = core::net::SocketAddr::from(([192, 0, 2, 77], 4321));
    let mut buffer = [0; MESSAGE];
    let mut out = Writer::new(&mut buffer);
    let head =
        response::Head { status: 200, reason: "OK", to_tag: Some(b"fuzz"), source: Some(source), record_route: true };
    response::write_head(message, &head, &mut out);
    response::finish(&mut out, None);
    if message.fault().is_some() || message.method().is_none() {
        return;
    }
    let Ok(len) = out.finish() else { return };
    let answer = Message::parse(&buffer[..len]).expect("an answer can be read");
    assert_eq!(answer.fault(), None);
    let (Some(asked), Some(told)) = (message.essentials(), answer.essentials()) else { panic!("no essentials") };
    assert!(asked.call_id == told.call_id && asked.cseq == told.cseq && asked.from.uri == told.from.uri);
    assert!(told.via.host.ip() == Some(source.ip()) || told.via.received() == Some(source.ip()));
    assert!(told.to.params.has(b"tag"));
    forwarded(message, source);
}

/// A request with its Via noted and a field added has all its other fields and its body.
fn forwarded(message: &Message<'_>, source: core::net::SocketAddr) {
    let mut text = [0; crate::base::limits::EDIT_BYTES];
    let mut edits = edit::Edits::new(&mut text);
    response::via_source_edit(message, source, &mut edits);
    edits.insert(message.head_end(), |out| out.text("X-Added: 1\r\n"));
    let (mut encoded, mut buffer) = ([0; 512], [0; MESSAGE]);
    let mut out = Writer::new(&mut encoded);
    if edits.encode(&mut out).is_err() {
        return;
    }
    let Ok(len) = out.finish() else { return };
    let mut out = Writer::new(&mut buffer);
    edit::apply(message.bytes(), &encoded[..len], &mut out);
    let Ok(len) = out.finish() else { return };
    let after = Message::parse(&buffer[..len]).expect("a forwarded request can be read");
    assert!(after.other(b"x-added").is_some() && after.body() == message.body());
    let untouched = |message: &Message<'_>, count: usize| {
        let mut hash = 0u64;
        let fields = message.fields().filter(|field| field.name != Name::Via).take(count);
        fields.for_each(|field| {
            field.value.iter().for_each(|byte| hash = hash.wrapping_mul(31).wrapping_add((*byte).into()))
        });
        hash
    };
    let count = message.fields().filter(|field| field.name != Name::Via).count();
    assert_eq!(untouched(message, count), untouched(&after, count));
}

fn stream(bytes: &[u8]) {
    let mut rest = bytes;
    loop {
        match framer::next(rest, crate::base::limits::MESSAGE_BYTES) {
            framer::Frame::Ping { len } | framer::Frame::Blank { len } => rest = &rest[len..],
            framer::Frame::Message { len } => {
                assert!(len > 0 && framer::next(&rest[..len], len) == framer::Frame::Message { len });
                rest = &rest[len..];
            }
            framer::Frame::Incomplete { needed } => {
                assert!(needed.is_none_or(|needed| needed > rest.len()));
                return;
            }
            framer::Frame::Broken(_) => return,
        }
    }
}

/// Every reader of values over the same bytes.
fn value(bytes: &[u8]) {
    if let Ok(via) = Via::parse(bytes) {
        same_via(&via);
    }
    if let Ok(address) = NameAddr::parse(bytes) {
        same_address(&address);
    }
    if let Ok(uri) = Uri::parse(bytes) {
        same_uri(&uri);
    }
    if let Ok(params) = Params::parse(bytes) {
        assert_eq!(Params::parse(params.raw()), Ok(params));
    }
    if let Some(time) = date::parse(bytes) {
        assert_eq!(written(&mut [0; 64], |out| date::write(time, out)).and_then(date::parse), Some(time));
    }
    if let Some(host) = Host::parse(bytes)
        && let Some(text) = written(&mut [0; BYTES], |out| host.write(out))
    {
        assert_eq!(Host::parse(text), Some(host));
    }
    if let Ok(state) = SubscriptionState::parse(bytes)
        && let Some(text) = written(&mut [0; BYTES], |out| state.write(out))
    {
        assert_eq!(SubscriptionState::parse(text), Ok(state));
    }
    let _ = features::declared(bytes, b"methods", bytes);
    let _ = (Credentials::parse(bytes), Challenge::parse(bytes), CSeq::parse(bytes), RAck::parse(bytes), rseq(bytes));
    let _ = (Event::parse(bytes), SessionExpires::parse(bytes), Replaces::parse(bytes), RetryAfter::parse(bytes));
    let _ = (MediaType::parse(bytes), Reason::parse(bytes), q_value(bytes), delta_seconds(bytes));
    let _ = (list(bytes).count(), tokens(bytes).count(), unescape(bytes).count(), quoted_content(bytes).count());
    assert!(unescaped_eq(bytes, bytes, false) && unescaped_eq(bytes, bytes, true));
    edit::apply(b"0123456789", bytes, &mut Writer::new(&mut [0; 64]));
}

fn same_via(via: &Via<'_>) {
    if let Some(text) = written(&mut [0; BYTES], |out| via.write(out)) {
        assert_eq!(Via::parse(text), Ok(*via));
    }
    let _ = (via.branch(), via.rport(), via.received());
}

fn same_address(address: &NameAddr<'_>) {
    if let Some(text) = written(&mut [0; BYTES], |out| address.write(out)) {
        assert_eq!(NameAddr::parse(text), Ok(*address));
    }
    let _ = (address.tag(), address.q(), address.expires());
    if let Ok(uri) = address.parsed_uri() {
        same_uri(&uri);
    }
}

fn same_uri(uri: &Uri<'_>) {
    if let Some(text) = written(&mut [0; BYTES], |out| uri.write(out)) {
        let again = Uri::parse(text).expect("a written URI can be read");
        assert!(again == *uri && again.equals(uri) && uri.equals(&again));
    }
}

/// What `write` writes, unless it is longer than the buffer.
fn written(buffer: &mut [u8], write: impl FnOnce(&mut Writer<'_>)) -> Option<&[u8]> {
    let mut out = Writer::new(buffer);
    write(&mut out);
    let len = out.finish().ok()?;
    Some(&buffer[..len])
}

/// Room for one value; longer ones are not written.
const BYTES: usize = 1024;

/// Room for a message; longer ones are not written.
const MESSAGE: usize = 4 * 1024;
