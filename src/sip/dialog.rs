//! A dialog that the home is a party of (RFC 3261 §12): what is kept of it, the requests we send in it, and which of its
//! peer's requests belong to it. Our tag is its name, so that what comes in finds it without a search.
//!
//! Dialogs between others that only pass here are not stored; see [`token`](crate::sip::token). Leaves out `sips:` dialogs:
//! the way they take is that of the flow they began on.

use core::net::SocketAddr;
use core::ops::Range;

use serde::{Deserialize, Serialize};

use crate::base::net::{Flow, Port, Transport};
use crate::base::store::{Bytes, Store};
use crate::base::text::{Writer, hex_number};
use crate::sip::own::Outgoing;
use crate::sip::stack::Stack;
use crate::sip::transport::Network;
use crate::wire::sip::{Essentials, Message, Method, Name, NameAddr};

/// A dialog of ours.
#[derive(Debug)]
pub struct Dialog {
    /// Our tag.
    pub id: u64,
    /// The way to the peer, as far as it is known by where its requests came from.
    pub flow: Flow,
    /// Our address on that way, which may go and come back with another socket.
    pub local: SocketAddr,
    /// CSeq of our last request.
    pub local_cseq: u32,
    /// CSeq of the peer's last request; 0 when there was none.
    pub remote_cseq: u32,
    text: Bytes,
    ends: Ends,
}

type Ends = [u16; PARTS];

/// The texts of a dialog.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(usize)]
pub enum Part {
    /// Call-ID.
    CallId,
    /// The peer's tag; empty while there was no answer.
    RemoteTag,
    /// Our address: From of our requests, without its tag.
    Local,
    /// The peer's address, without its tag.
    Remote,
    /// Where requests to the peer go: its Contact.
    Target,
    /// The route set, joined by commas, the first to be visited first.
    Routes,
}

const PARTS: usize = 6;

/// A dialog as the journal keeps it (postcard).
#[derive(Serialize, Deserialize, PartialEq, Eq, Debug)]
pub struct Kept<'b> {
    id: u64,
    local: SocketAddr,
    remote: SocketAddr,
    local_cseq: u32,
    remote_cseq: u32,
    ends: Ends,
    text: &'b [u8],
}

/// What a dialog begins with.
pub struct Beginning<'a> {
    /// Our tag.
    pub id: u64,
    /// Its Call-ID.
    pub call_id: &'a [u8],
    /// The peer's tag, if known.
    pub remote_tag: &'a [u8],
    /// Our address.
    pub local: &'a [u8],
    /// The peer's address.
    pub remote: &'a [u8],
    /// Where requests to the peer go.
    pub target: &'a [u8],
}

impl Dialog {
    /// The dialog that a request of the peer's begins, we being asked (§12.1.1). `None` when it has no Contact, or there is
    /// no room.
    pub fn from_request(stack: &mut Stack, id: u64, flow: Flow, message: &Message<'_>) -> Option<Self> {
        let Essentials { from, to, call_id, cseq, .. } = message.essentials()?;
        let contact = contact_of(message)?;
        let local = stack.network.local(flow)?;
        let beginning = Beginning {
            id,
            call_id,
            remote_tag: from.tag().unwrap_or_default(),
            local: to.uri,
            remote: from.uri,
            target: contact.uri,
        };
        let (text, ends) = freeze(stack, &beginning, message.values(Name::RecordRoute))?;
        Some(Self { id, flow, local, local_cseq: 0, remote_cseq: cseq.number, text, ends })
    }

    /// A dialog that a request of ours shall begin.
    pub fn begin(stack: &mut Stack, flow: Flow, beginning: &Beginning<'_>) -> Option<Self> {
        let local = stack.network.local(flow)?;
        let (text, ends) = freeze(stack, beginning, core::iter::empty())?;
        Some(Self { id: beginning.id, flow, local, local_cseq: 0, remote_cseq: 0, text, ends })
    }

    /// Takes what the peer's answer, or its first request, says of it (§12.1.2): tag, Contact and route set. Whether there
    /// was room for it; when not, the dialog is as it was.
    pub fn established(&mut self, stack: &mut Stack, message: &Message<'_>) -> bool {
        self.rewrite(stack, message, true)
    }

    /// Takes the peer's new Contact, if it names one (§12.2.2: a target refresh), and the way its request came.
    pub fn refreshed(&mut self, stack: &mut Stack, flow: Flow, message: &Message<'_>) {
        if let Some(local) = stack.network.local(flow) {
            (self.flow, self.local) = (flow, local);
        }
        let is_new = |uri: &[u8]| uri != self.part(&stack.store, Part::Target);
        if contact_of(message).is_some_and(|contact| is_new(contact.uri)) {
            self.rewrite(stack, message, false);
        }
    }

    /// Freezes its texts anew, with the message's Contact; from one that makes the dialog its tag and routes as well.
    fn rewrite(&mut self, stack: &mut Stack, message: &Message<'_>, is_first: bool) -> bool {
        let Some(essentials) = message.essentials() else { return false };
        let ranges = [Part::CallId, Part::RemoteTag, Part::Local, Part::Remote, Part::Target, Part::Routes];
        let ranges = ranges.map(|part| self.range(part));
        // An answer names the route from the other end.
        let is_answer = message.status().is_some();
        let peer = if is_answer { &essentials.to } else { &essentials.from };
        let count = message.values(Name::RecordRoute).count();
        let at = |index: usize| if is_answer { count - 1 - index } else { index };
        let routes = (0..count.min(MOST_ROUTES)).filter_map(|index| message.values(Name::RecordRoute).nth(at(index)));
        let mut ends = Ends::default();
        let old = &self.text;
        let text = stack.compose(|store, out| {
            let kept = |part: Part| store.get(old).get(ranges[part as usize].clone()).unwrap_or_default();
            let beginning = Beginning {
                id: self.id,
                call_id: kept(Part::CallId),
                remote_tag: if is_first { peer.tag().unwrap_or_default() } else { kept(Part::RemoteTag) },
                local: kept(Part::Local),
                remote: kept(Part::Remote),
                target: contact_of(message).map_or(kept(Part::Target), |contact| contact.uri),
            };
            ends = match is_first {
                true => write_parts(&beginning, routes, out),
                false => write_parts(&beginning, Some(kept(Part::Routes)).into_iter().filter(|it| !it.is_empty()), out),
            };
        });
        let Some(text) = text.and_then(|text| fitting(stack, text)) else { return false };
        let old = core::mem::replace(&mut self.text, text);
        stack.store.release(old);
        self.ends = ends;
        true
    }

    /// Whether a request of the peer's is in this dialog: Call-ID and both tags (§12.2.2).
    pub fn has(&self, store: &Store, message: &Message<'_>) -> bool {
        let Some(essentials) = message.essentials() else { return false };
        essentials.call_id == self.part(store, Part::CallId)
            && essentials.from.tag().unwrap_or_default() == self.part(store, Part::RemoteTag)
            && essentials.to.tag().and_then(id_of) == Some(self.id)
    }

    /// Notes the CSeq of a request of the peer's; false when it is out of order (§12.2.2).
    pub fn admits(&mut self, cseq: u32) -> bool {
        let is_next = self.remote_cseq == 0 || cseq > self.remote_cseq;
        if is_next {
            self.remote_cseq = cseq;
        }
        is_next
    }

    /// One of its texts.
    pub fn part<'s>(&self, store: &'s Store, part: Part) -> &'s [u8] {
        store.get(&self.text).get(self.range(part)).unwrap_or_default()
    }

    /// Writes the head of a request in the dialog, up to and without the fields of its own (§12.2.1.1). The number of the
    /// request is [`local_cseq`](Self::local_cseq), which the caller has counted up.
    pub fn write_request(
        &self,
        store: &Store,
        outgoing: &Outgoing<'_>,
        user: &str,
        method: Method<'_>,
        out: &mut Writer<'_>,
    ) {
        let head = RequestHead {
            method,
            outgoing,
            target: self.part(store, Part::Target),
            routes: self.part(store, Part::Routes),
            local: self.part(store, Part::Local),
            local_tag: self.id,
            remote: self.part(store, Part::Remote),
            remote_tag: self.part(store, Part::RemoteTag),
            call_id: self.part(store, Part::CallId),
            cseq: self.local_cseq,
        };
        head.write(out);
        out.text("Contact: <");
        outgoing.own.write_uri(user, out);
        out.text(">\r\n");
    }

    /// Gives its bytes back.
    pub fn release(self, store: &mut Store) {
        store.release(self.text);
    }

    /// The bytes it keeps.
    pub fn kept_bytes(&self, store: &Store) -> usize {
        store.get(&self.text).len()
    }

    /// What the journal keeps of it; `None` when its way is a stream, which ends with the program.
    pub fn keep<'s>(&self, store: &'s Store) -> Option<Kept<'s>> {
        let Flow::Datagram { remote, .. } = self.flow else { return None };
        Some(Kept {
            id: self.id,
            local: self.local,
            remote,
            // Those that are sent before it is kept again must not come twice.
            local_cseq: cseq_reserve(self.local_cseq),
            remote_cseq: self.remote_cseq,
            ends: self.ends,
            text: store.get(&self.text),
        })
    }

    /// Whether what the journal keeps of its CSeq is used up by the next request.
    pub const fn needs_keeping(&self) -> bool {
        self.local_cseq.is_multiple_of(CSEQ_RESERVE)
    }

    /// The dialog again; `no_port` stands for a socket that is not open yet.
    pub fn restore(kept: &Kept<'_>, network: &Network, no_port: Port, store: &mut Store) -> Option<Self> {
        let are_ends_right = kept.ends.is_sorted() && kept.ends.iter().all(|end| usize::from(*end) <= kept.text.len());
        if !are_ends_right {
            return None;
        }
        let port = network.port_at(Transport::Udp, kept.local).unwrap_or(no_port);
        Some(Self {
            id: kept.id,
            flow: Flow::Datagram { port, remote: kept.remote },
            local: kept.local,
            local_cseq: kept.local_cseq,
            remote_cseq: kept.remote_cseq,
            text: store.freeze(kept.text)?,
            ends: kept.ends,
        })
    }

    fn range(&self, part: Part) -> Range<usize> {
        let index = part as usize;
        let start = if index == 0 { 0 } else { self.ends[index - 1] };
        usize::from(start)..usize::from(self.ends[index])
    }
}

/// The head of a request of ours, in a dialog or not.
pub struct RequestHead<'a> {
    /// Its method.
    pub method: Method<'a>,
    /// The way it takes.
    pub outgoing: &'a Outgoing<'a>,
    /// The Request-URI.
    pub target: &'a [u8],
    /// Values of Route, joined by commas.
    pub routes: &'a [u8],
    /// Our address.
    pub local: &'a [u8],
    /// Our tag.
    pub local_tag: u64,
    /// The peer's address.
    pub remote: &'a [u8],
    /// The peer's tag; empty for none.
    pub remote_tag: &'a [u8],
    /// Call-ID.
    pub call_id: &'a [u8],
    /// The number of the request.
    pub cseq: u32,
}

impl RequestHead<'_> {
    /// Writes it, without Contact.
    pub fn write(&self, out: &mut Writer<'_>) {
        out.put(self.method.as_bytes());
        out.text(" ");
        // What a URI says of header fields is not for a Request-URI (§19.1.1).
        let end = self.target.iter().position(|byte| *byte == b'?').unwrap_or(self.target.len());
        out.put(&self.target[..end]);
        out.text(" SIP/2.0\r\nVia: SIP/2.0/");
        out.text(self.outgoing.own.transport.name());
        out.text(" ");
        self.outgoing.own.write_host(out);
        out.text(";branch=");
        self.outgoing.branch.write(out);
        if self.outgoing.own.transport == Transport::Udp {
            out.text(";rport");
        }
        if !self.routes.is_empty() {
            out.text("\r\nRoute: ");
            out.put(self.routes);
        }
        out.text("\r\nMax-Forwards: 70\r\nFrom: <");
        out.put(self.local);
        out.text(">;tag=");
        out.hex(self.local_tag, TAG_DIGITS);
        out.text("\r\nTo: <");
        out.put(self.remote);
        out.text(">");
        if !self.remote_tag.is_empty() {
            out.text(";tag=");
            out.put(self.remote_tag);
        }
        out.text("\r\nCall-ID: ");
        out.put(self.call_id);
        out.text("\r\nCSeq: ");
        out.number(self.cseq.into());
        out.text(" ");
        out.put(self.method.as_bytes());
        out.text("\r\n");
    }
}

/// The dialog that a To tag of ours names.
pub fn id_of(tag: &[u8]) -> Option<u64> {
    if tag.len() == TAG_DIGITS { hex_number(tag) } else { None }
}

/// Writes our tag.
pub fn write_tag(id: u64, out: &mut Writer<'_>) {
    out.hex(id, TAG_DIGITS);
}

const TAG_DIGITS: usize = 16;
/// Routes of an answer that are kept; more would not fit a request either.
const MOST_ROUTES: usize = 16;
/// What is kept of one dialog's addresses at most.
const DIALOG_BYTES: usize = 2_048;
/// So many CSeq values are set aside in the journal at a time.
const CSEQ_RESERVE: u32 = 256;

const fn cseq_reserve(cseq: u32) -> u32 {
    (cseq / CSEQ_RESERVE + 1) * CSEQ_RESERVE
}

fn freeze<'m>(
    stack: &mut Stack,
    beginning: &Beginning<'_>,
    routes: impl Iterator<Item = &'m [u8]>,
) -> Option<(Bytes, Ends)> {
    let mut ends = Ends::default();
    let text = stack.compose(|_, out| ends = write_parts(beginning, routes, out))?;
    Some((fitting(stack, text)?, ends))
}

/// Texts that are not too long to be kept.
fn fitting(stack: &mut Stack, text: Bytes) -> Option<Bytes> {
    if stack.store.get(&text).len() <= DIALOG_BYTES {
        return Some(text);
    }
    stack.store.release(text);
    None
}

fn contact_of<'m>(message: &Message<'m>) -> Option<NameAddr<'m>> {
    NameAddr::parse(message.values(Name::Contact).next()?).ok()
}

fn write_parts<'m>(beginning: &Beginning<'_>, routes: impl Iterator<Item = &'m [u8]>, out: &mut Writer<'_>) -> Ends {
    let mut ends = Ends::default();
    let Beginning { call_id, remote_tag, local, remote, target, .. } = beginning;
    for (part, text) in [
        (Part::CallId, call_id),
        (Part::RemoteTag, remote_tag),
        (Part::Local, local),
        (Part::Remote, remote),
        (Part::Target, target),
    ] {
        out.put(text);
        ends[part as usize] = out.len().min(usize::from(u16::MAX)) as u16;
    }
    for (index, route) in routes.enumerate() {
        out.text(if index == 0 { "" } else { ", " });
        out.put(route);
    }
    ends[Part::Routes as usize] = out.len().min(usize::from(u16::MAX)) as u16;
    ends
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::net::{Listen, LocalAddress};
    use crate::base::time::Instant;
    use crate::sip::branch::{Branch, Kind};
    use crate::sip::own::Own;
    use std::boxed::Box;
    use std::string::{String, ToString};

    const OURS: u64 = 0x0123_4567_89ab_cdef;
    const OTHER: &str = "198.51.100.7:5070";

    const SUBSCRIBE: &[u8] = b"SUBSCRIBE sip:alice@home.test SIP/2.0\r\n\
        Via: SIP/2.0/UDP 198.51.100.7:5070;branch=z9hG4bK1\r\nMax-Forwards: 70\r\n\
        Record-Route: <sip:p2.away.test;lr>, <sip:p1.away.test;lr>\r\nRecord-Route: <sip:p0.away.test;lr>\r\n\
        From: \"Bob\" <sip:bob@away.test>;tag=theirs\r\nTo: <sip:alice@home.test>\r\nCall-ID: abc@198.51.100.7\r\n\
        CSeq: 7 SUBSCRIBE\r\nContact: <sip:bob@198.51.100.7:5070;ob?Route=x>;expires=9\r\nContent-Length: 0\r\n\r\n";
    /// The answer to a SUBSCRIBE of ours.
    const ANSWER: &[u8] = b"SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKt\r\n\
        Record-Route: <sip:p2.away.test;lr>, <sip:p1.away.test;lr>\r\nRecord-Route: <sip:p0.home.test;lr>\r\n\
        From: <sip:alice@home.test>;tag=0123456789abcdef\r\nTo: <sip:bob@away.test>;tag=theirs\r\nCall-ID: ours\r\n\
        CSeq: 1 SUBSCRIBE\r\nContact: <sip:bob@198.51.100.7:5070>\r\nContent-Length: 0\r\n\r\n";
    /// The NOTIFY that overtook it.
    const NOTIFY: &[u8] = b"NOTIFY sip:pcs@192.0.2.1 SIP/2.0\r\nVia: SIP/2.0/UDP 198.51.100.7:5070;branch=z9hG4bK2\r\n\
        Record-Route: <sip:p0.home.test;lr>\r\nRecord-Route: <sip:p1.away.test;lr>, <sip:p2.away.test;lr>\r\n\
        From: <sip:bob@away.test>;tag=theirs\r\nTo: <sip:alice@home.test>;tag=0123456789ABCDEF\r\nCall-ID: ours\r\n\
        CSeq: 1 NOTIFY\r\nContact: <sip:bob@198.51.100.7:5070>\r\nContent-Length: 0\r\n\r\n";

    fn stack() -> (Box<Stack>, Flow) {
        let mut stack = Box::new(Stack::new());
        let address: SocketAddr = "192.0.2.1:5060".parse().unwrap();
        let listen = heapless::Vec::from_iter([Listen { transport: Transport::Udp, address }]);
        stack.network.configure(&listen, &heapless::Vec::new());
        stack.network.set_addresses(&[LocalAddress { ip: address.ip(), prefix: 24, default_route: true }], |_| {});
        stack.network.plan(|_| {});
        assert!(stack.network.port_step(Port(0)).is_some());
        stack.network.opened(Instant::ZERO, Port(0), Ok::<_, ()>(address));
        (stack, Flow::Datagram { port: Port(0), remote: OTHER.parse().unwrap() })
    }

    fn ours(stack: &mut Stack, flow: Flow) -> Dialog {
        let beginning = Beginning {
            id: OURS,
            call_id: b"ours",
            remote_tag: b"",
            local: b"sip:alice@home.test",
            remote: b"sip:bob@away.test",
            target: b"sip:bob@away.test",
        };
        Dialog::begin(stack, flow, &beginning).unwrap()
    }

    fn part(dialog: &Dialog, stack: &Stack, part: Part) -> String {
        str::from_utf8(dialog.part(&stack.store, part)).unwrap().to_string()
    }

    fn with(message: &[u8], old: &str, new: &str) -> std::vec::Vec<u8> {
        let text = str::from_utf8(message).unwrap();
        assert!(text.contains(old), "{old}");
        text.replace(old, new).into_bytes()
    }

    fn written(dialog: &Dialog, stack: &Stack) -> String {
        let mut room = [0; 1024];
        let mut out = Writer::new(&mut room);
        let own = Own { transport: Transport::Udp, address: dialog.local, name: None };
        let branch = Branch { kind: Kind::Transaction, handle: 1, secret: 2, routing: 0 };
        dialog.write_request(&stack.store, &Outgoing { own, branch }, "pcs", Method::Notify, &mut out);
        str::from_utf8(out.written()).unwrap().to_string()
    }

    fn blocks(stack: &Stack) -> usize {
        stack.store.usage().iter().map(|(_, used, _)| used).sum()
    }

    #[test]
    fn begun_by_the_peer() {
        let (mut stack, flow) = stack();
        let message = Message::parse(SUBSCRIBE).unwrap();
        let mut dialog = Dialog::from_request(&mut stack, OURS, flow, &message).unwrap();
        assert_eq!((dialog.local_cseq, dialog.remote_cseq), (0, 7));
        dialog.local_cseq = 1;
        assert_eq!(
            written(&dialog, &stack),
            "NOTIFY sip:bob@198.51.100.7:5070;ob SIP/2.0\r\n\
             Via: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKpt000000010000000200000000;rport\r\n\
             Route: <sip:p2.away.test;lr>, <sip:p1.away.test;lr>, <sip:p0.away.test;lr>\r\n\
             Max-Forwards: 70\r\nFrom: <sip:alice@home.test>;tag=0123456789abcdef\r\n\
             To: <sip:bob@away.test>;tag=theirs\r\nCall-ID: abc@198.51.100.7\r\nCSeq: 1 NOTIFY\r\n\
             Contact: <sip:pcs@192.0.2.1:5060>\r\n"
        );
        assert_eq!(blocks(&stack), 1);
        dialog.release(&mut stack.store);
        assert_eq!(blocks(&stack), 0);
    }

    #[test]
    fn what_makes_no_dialog_keeps_nothing() {
        let (mut stack, flow) = stack();
        let long = std::format!("<sip:{}@x>", "p".repeat(DIALOG_BYTES));
        for broken in [
            with(SUBSCRIBE, "Contact: <sip:bob@198.51.100.7:5070;ob?Route=x>;expires=9\r\n", ""),
            with(SUBSCRIBE, "<sip:p0.away.test;lr>", &long),
        ] {
            let message = Message::parse(&broken).unwrap();
            assert!(Dialog::from_request(&mut stack, OURS, flow, &message).is_none());
            assert_eq!(blocks(&stack), 0);
        }
        let gone = Flow::Datagram { port: Port(9), remote: OTHER.parse().unwrap() };
        assert!(Dialog::from_request(&mut stack, OURS, gone, &Message::parse(SUBSCRIBE).unwrap()).is_none());
    }

    #[test]
    fn made_by_an_answer_or_by_what_overtook_it() {
        for made_by in [ANSWER, NOTIFY] {
            let (mut stack, flow) = stack();
            let mut dialog = ours(&mut stack, flow);
            assert!(part(&dialog, &stack, Part::RemoteTag).is_empty());
            assert!(!written(&dialog, &stack).contains("Route: "));
            assert!(dialog.established(&mut stack, &Message::parse(made_by).unwrap()));
            assert_eq!(part(&dialog, &stack, Part::RemoteTag), "theirs");
            assert_eq!(part(&dialog, &stack, Part::Target), "sip:bob@198.51.100.7:5070");
            assert_eq!(
                part(&dialog, &stack, Part::Routes),
                "<sip:p0.home.test;lr>, <sip:p1.away.test;lr>, <sip:p2.away.test;lr>",
                "from us on, whichever way it came"
            );
            assert_eq!(part(&dialog, &stack, Part::Local), "sip:alice@home.test");
            assert_eq!(part(&dialog, &stack, Part::Remote), "sip:bob@away.test");
            assert_eq!(blocks(&stack), 1);
            dialog.release(&mut stack.store);
            assert_eq!(blocks(&stack), 0);
        }
    }

    #[test]
    fn too_much_leaves_it_as_it_was() {
        let (mut stack, flow) = stack();
        let mut dialog = ours(&mut stack, flow);
        let long = with(ANSWER, "<sip:p0.home.test;lr>", &std::format!("<sip:{}@x>", "p".repeat(DIALOG_BYTES)));
        assert!(!dialog.established(&mut stack, &Message::parse(&long).unwrap()));
        assert_eq!(part(&dialog, &stack, Part::RemoteTag), "");
        assert_eq!(part(&dialog, &stack, Part::Target), "sip:bob@away.test");
        assert_eq!(blocks(&stack), 1);
    }

    #[test]
    fn a_new_target() {
        let (mut stack, flow) = stack();
        let message = Message::parse(SUBSCRIBE).unwrap();
        let mut dialog = Dialog::from_request(&mut stack, OURS, flow, &message).unwrap();
        let moved =
            with(SUBSCRIBE, "Contact: <sip:bob@198.51.100.7:5070;ob?Route=x>", "Contact: <sip:bob@203.0.113.9>");
        let moved = with(&moved, "sip:p0.away.test", "sip:not.this.one");
        let elsewhere = Flow::Datagram { port: Port(0), remote: "203.0.113.9:5060".parse().unwrap() };
        dialog.refreshed(&mut stack, elsewhere, &Message::parse(&moved).unwrap());
        assert_eq!((dialog.flow, part(&dialog, &stack, Part::Target).as_str()), (elsewhere, "sip:bob@203.0.113.9"));
        assert_eq!(
            part(&dialog, &stack, Part::Routes),
            "<sip:p2.away.test;lr>, <sip:p1.away.test;lr>, <sip:p0.away.test;lr>",
            "the route set is that of the beginning"
        );
        assert_eq!(part(&dialog, &stack, Part::RemoteTag), "theirs");
        let without = with(&moved, "Contact: <sip:bob@203.0.113.9>;expires=9\r\n", "");
        dialog.refreshed(&mut stack, flow, &Message::parse(&without).unwrap());
        assert_eq!((dialog.flow, part(&dialog, &stack, Part::Target).as_str()), (flow, "sip:bob@203.0.113.9"));
        assert_eq!(blocks(&stack), 1);
    }

    #[test]
    fn what_belongs_to_it() {
        let (mut stack, flow) = stack();
        let mut dialog = ours(&mut stack, flow);
        assert!(dialog.established(&mut stack, &Message::parse(ANSWER).unwrap()));
        let has = |message: &[u8]| dialog.has(&stack.store, &Message::parse(message).unwrap());
        assert!(has(NOTIFY));
        for (old, new) in [
            ("Call-ID: ours", "Call-ID: Ours"),
            ("tag=theirs", "tag=Theirs"),
            (";tag=theirs", ""),
            (";tag=0123456789ABCDEF", ""),
            ("0123456789ABCDEF", "0123456789ABCDEE"),
            ("0123456789ABCDEF", "00123456789ABCDEF"),
        ] {
            assert!(!has(&with(NOTIFY, old, new)), "{old} {new}");
        }
    }

    #[test]
    fn in_order() {
        let (mut stack, flow) = stack();
        let mut dialog = ours(&mut stack, flow);
        assert!(dialog.admits(5) && !dialog.admits(5) && !dialog.admits(4) && dialog.admits(u32::MAX));
        assert!(!dialog.admits(0) && dialog.remote_cseq == u32::MAX);
    }

    #[test]
    fn tags() {
        assert_eq!(id_of(b"0123456789abcdef"), Some(OURS));
        for other in [&b""[..], b"0123456789abcde", b"0123456789abcdef0", b"0123456789abcdeg", b"+123456789abcdef"] {
            assert_eq!(id_of(other), None);
        }
    }

    #[test]
    fn kept_and_taken_back() {
        let (mut stack, flow) = stack();
        let mut dialog = ours(&mut stack, flow);
        assert!(dialog.established(&mut stack, &Message::parse(ANSWER).unwrap()));
        let mut record = [0; 1024];
        for (sent, kept) in [(0, 256), (1, 256), (255, 256), (256, 512)] {
            dialog.local_cseq = sent;
            assert_eq!(dialog.needs_keeping(), sent % 256 == 0, "what was set aside is used up");
            let bytes = postcard::to_slice(&dialog.keep(&stack.store).unwrap(), &mut record).unwrap();
            let read: Kept<'_> = postcard::from_bytes(bytes).unwrap();
            let again = Dialog::restore(&read, &stack.network, Port(9), &mut Box::new(Store::new())).unwrap();
            assert_eq!((again.id, again.local_cseq, again.flow), (OURS, kept, flow));
        }
        let bytes = postcard::to_slice(&dialog.keep(&stack.store).unwrap(), &mut record).unwrap();
        let read: Kept<'_> = postcard::from_bytes(bytes).unwrap();
        // Its socket is not open yet.
        let nothing = Network::new();
        let again = Dialog::restore(&read, &nothing, Port(9), &mut stack.store).unwrap();
        assert_eq!(again.flow, Flow::Datagram { port: Port(9), remote: OTHER.parse().unwrap() });
        assert_eq!(written(&again, &stack), written(&Dialog { local_cseq: 512, ..dialog }, &stack));
        let mut broken = read;
        broken.ends[0] = u16::MAX;
        assert!(Dialog::restore(&broken, &nothing, Port(9), &mut stack.store).is_none());
        broken.ends = [u16::MAX; PARTS];
        assert!(Dialog::restore(&broken, &nothing, Port(9), &mut stack.store).is_none());
    }

    #[test]
    fn a_folded_address_is_not_written() {
        let (mut stack, flow) = stack();
        for (old, new) in [
            ("Contact: <sip:bob@198.51.100.7:5070;ob?Route=x>", "Contact: <sip:bob@198.51.100.7\r\n Evil: x>"),
            ("From: \"Bob\" <sip:bob@away.test>", "From: <sip:bob@away.test\r\n Evil: x>"),
        ] {
            let broken = with(SUBSCRIBE, old, new);
            let Ok(message) = Message::parse(&broken) else { continue };
            if let Some(dialog) = Dialog::from_request(&mut stack, OURS, flow, &message) {
                assert!(!written(&dialog, &stack).contains("Evil"), "{new}");
            }
        }
    }
}
