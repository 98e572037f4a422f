//! What changes in a request that is forwarded (RFC 3261 §16.6), as edits on its bytes.
//!
//! Request-URI, Max-Forwards, Max-Breadth (RFC 5393), Route and Path, Record-Route (one for each side, RFC 5658, with a
//! token that says which way that side is), Via, Content-Length where a stream needs it, and the credentials meant for us,
//! which go no further, nor do identities of ours that others assert. Everything else goes out as it came, but for what
//! the border of the home hides ([`veil`]).

use core::net::SocketAddr;
use core::ops::Range;

use super::veil::{self, Crossing, Veil};
use crate::base::net::Transport;
use crate::base::random::Random;
use crate::base::text::Writer;
use crate::sip::branch::Branch;
use crate::sip::mask;
pub use crate::sip::own::Own;
use crate::sip::token::Token;
use crate::wire::sip::edit::Edits;
use crate::wire::sip::response::via_source_edit;
use crate::wire::sip::{Credentials, Field, Message, Name, NameAddr, list, quoted_content, same_name};

/// Max-Forwards of a request that has none.
const MAX_FORWARDS: u8 = 70;

/// Fields that may go no further.
const STOPPED: [Name; 5] =
    [Name::ProxyAuthorization, Name::Authorization, Name::PAssertedIdentity, Name::PPreferredIdentity, Name::Other];

/// One branch of a request.
pub struct Forward<'a> {
    /// The new Request-URI, when it changes.
    pub uri: Option<&'a [u8]>,
    /// Values of Path, which become Route.
    pub path: &'a [u8],
    /// Whether it was said in a session that ends here, so that its To has a tag of ours.
    pub leaves_session: bool,
    /// Leading Route values of ours.
    pub own_routes: usize,
    /// Whether the last Route value became the Request-URI.
    pub drops_last_route: bool,
    /// Where the request came from.
    pub source: SocketAddr,
    /// Our end of the way out.
    pub outgoing: Own<'a>,
    /// Our end of the way it came.
    pub incoming: Own<'a>,
    /// Our branch.
    pub branch: Branch,
    /// The tokens of the caller's and the callee's side, when we stay on the path.
    pub tokens: Option<(Token, Token)>,
    /// Our realm, whose credentials are taken out.
    pub realm: &'a str,
    /// What of the breadth this branch gets.
    pub breadth: u32,
    /// Whether the connection it goes on may be used the other way as well, for what its peer sends (RFC 5923).
    pub is_alias: bool,
    /// What the border of the home makes of it.
    pub border: Border<'a>,
}

/// The border of the home, where a request crosses it.
#[derive(Clone, Copy)]
pub enum Border<'a> {
    /// It stays on its side.
    None,
    /// It comes in: what was hidden before is as it is in the home.
    In,
    /// It leaves.
    Out(&'a Veil<'a>),
}

impl<'a> Border<'a> {
    /// The border that a request crosses so; one that leaves has a veil.
    pub fn of(crossing: Crossing, veil: Option<&'a Veil<'a>>) -> Self {
        match (crossing, veil) {
            (_, Some(veil)) => Self::Out(veil),
            (Crossing::Within, None) => Self::None,
            (Crossing::In | Crossing::Out { .. }, None) => Self::In,
        }
    }
}

impl Forward<'_> {
    /// The edits. The message has its essentials.
    pub fn edits(&self, random: &Random, message: &Message<'_>, edits: &mut Edits<'_>) {
        let Some(essentials) = message.essentials() else { return };
        if let (Some(uri), Some(old)) = (self.uri, message.request_uri()) {
            edits.replace(message.span(old), |out| out.put(uri));
        }
        if self.leaves_session {
            edits.replace(message.span(essentials.to.raw), |out| {
                out.text("<");
                out.put(essentials.to.uri);
                out.text(">");
            });
        }
        let top = message.field(Name::Via).map_or(message.head_end(), |via| via.line.start);
        if let Some(tokens) = &self.tokens {
            let at = message.field(Name::RecordRoute).map_or(top, |field| field.line.start);
            let (caller, callee) = tokens;
            // RFC 5630 §3.1: what asks for TLS all the way asks for it in its dialog, too.
            let uri = self.uri.or(message.request_uri()).unwrap_or_default();
            let is_secure = uri.get(..5).is_some_and(|scheme| scheme.eq_ignore_ascii_case(b"sips:"));
            let scheme = if is_secure { "sips:" } else { "sip:" };
            let mut room = mask::ROOM;
            let call_id = mask::call_id_within(random, essentials.call_id, &mut room);
            for (own, token) in [(&self.outgoing, callee), (&self.incoming, caller)] {
                edits.insert(at, |out| write_record_route(scheme, own, token, random, call_id, out));
            }
        }
        edits.insert(top, |out| self.write_via(out));
        match self.border {
            Border::Out(veil) => self.hide(veil, message, edits),
            Border::In => {
                via_source_edit(message, self.source, edits);
                veil::unveil(random, message, |range, text| edits.replace(range, |out| out.put(text)));
            }
            Border::None => via_source_edit(message, self.source, edits),
        }
        self.write_max_forwards(message, top, edits);
        self.write_breadth(message, top, edits);
        self.write_routes(message, top, edits);
        // On a stream only the length ends a message (§16.6 step 9).
        if self.outgoing.transport.is_reliable() && message.field(Name::ContentLength).is_none() {
            edits.insert(message.head_end(), |out| {
                out.text("Content-Length: ");
                out.number(message.body().len() as u64);
                out.text("\r\n");
            });
        }
        for field in STOPPED.into_iter().flat_map(|name| message.fields_named(name)) {
            if self.stops(&field) {
                edits.remove(field.line);
            }
        }
    }

    /// Whether a field goes no further. Credentials for our realm are for us. Phones show asserted identities instead of
    /// From, and nobody who sends to us is trusted to assert them (RFC 3325 §5): those that speak of our own people come
    /// off, as such a From would have to be proven.
    fn stops(&self, field: &Field<'_>) -> bool {
        match field.name {
            Name::ProxyAuthorization | Name::Authorization => is_for_realm(field.value, self.realm),
            Name::Other if !field.raw_name.eq_ignore_ascii_case(b"Remote-Party-ID") => false,
            Name::PAssertedIdentity | Name::PPreferredIdentity | Name::Other => {
                list(field.value).any(|value| self.may_be_home(value))
            }
            _ => false,
        }
    }

    /// Takes off what names the device that it comes from: the way it came, and its addresses.
    fn hide(&self, veil: &Veil<'_>, message: &Message<'_>, edits: &mut Edits<'_>) {
        let mut vias: Option<Range<usize>> = None;
        for via in message.fields_named(Name::Via) {
            match &mut vias {
                Some(lines) if lines.end == via.line.start => lines.end = via.line.end,
                vias => vias.replace(via.line).into_iter().for_each(|lines| edits.remove(lines)),
            }
        }
        vias.into_iter().for_each(|lines| edits.remove(lines));
        // To is written anew already.
        let is_done = |field: &Field<'_>| self.stops(field) || self.leaves_session && field.name == Name::To;
        for field in message.fields().filter(|field| !is_done(field)) {
            veil.each_change(message, &field, |range, change| edits.replace(range, |out| veil.write(&change, out)));
        }
    }

    /// Whether an address is in our domain, at an address of ours, or can't be read.
    fn may_be_home(&self, value: &[u8]) -> bool {
        let Ok(Ok(uri)) = NameAddr::parse(value).map(|value| value.parsed_uri()) else { return true };
        uri.sip().is_some_and(|uri| {
            let is_at = |own: &Own<'_>| {
                uri.host.ip() == Some(own.address.ip())
                    || own.name.is_some_and(|name| same_name(uri.host_raw, name.as_bytes()))
            };
            same_name(uri.host_raw, self.realm.as_bytes()) || is_at(&self.incoming) || is_at(&self.outgoing)
        })
    }

    fn write_via(&self, out: &mut Writer<'_>) {
        out.text("Via: SIP/2.0/");
        out.text(self.outgoing.transport.name());
        out.text(" ");
        self.outgoing.write_host(out);
        out.text(";branch=");
        self.branch.write(out);
        match self.outgoing.transport {
            Transport::Udp => out.text(";rport"),
            Transport::Tls if self.is_alias => out.text(";alias"),
            Transport::Tcp | Transport::Tls => {}
        }
        out.text("\r\n");
    }

    fn write_max_forwards(&self, message: &Message<'_>, top: usize, edits: &mut Edits<'_>) {
        match message.field(Name::MaxForwards) {
            Some(field) => {
                let hops = message.essentials().and_then(|essentials| essentials.max_forwards).unwrap_or(MAX_FORWARDS);
                edits.replace(message.span(field.value), |out| out.number(hops.saturating_sub(1).into()));
            }
            None => edits.insert(top, |out| {
                out.text("Max-Forwards: ");
                out.number(MAX_FORWARDS.into());
                out.text("\r\n");
            }),
        }
    }

    fn write_breadth(&self, message: &Message<'_>, top: usize, edits: &mut Edits<'_>) {
        match message.field(Name::MaxBreadth) {
            Some(field) => edits.replace(message.span(field.value), |out| out.number(self.breadth.into())),
            None => edits.insert(top, |out| {
                out.text("Max-Breadth: ");
                out.number(self.breadth.into());
                out.text("\r\n");
            }),
        }
    }

    fn write_routes(&self, message: &Message<'_>, top: usize, edits: &mut Edits<'_>) {
        let total = message.values(Name::Route).count();
        let dropped_last = usize::from(self.drops_last_route);
        let mut position = 0;
        for field in message.fields_named(Name::Route) {
            let values = || field_values(message, field.value, position);
            let kept = |index: usize| index >= self.own_routes && index + dropped_last < total;
            let count = values().count();
            let kept_here = (position..position + count).filter(|index| kept(*index)).count();
            if kept_here == 0 {
                edits.remove(field.line.clone());
            } else if kept_here < count {
                let mut ranges = values().filter(|(index, _)| kept(*index)).map(|(_, range)| range);
                let whole = message.span(field.value);
                if let Some(first) = ranges.next() {
                    let last = ranges.last().unwrap_or(first.clone());
                    edits.remove(whole.start..first.start);
                    edits.remove(last.end..whole.end);
                }
            }
            position += count;
        }
        if !self.path.is_empty() {
            let at = message.field(Name::Route).map_or(top, |field| field.line.start);
            edits.insert(at, |out| {
                out.text("Route: ");
                out.put(self.path);
                out.text("\r\n");
            });
        }
    }
}

/// The values in one field, with their number among all values of that name, and where they lie.
fn field_values<'b>(
    message: &Message<'b>,
    value: &'b [u8],
    first: usize,
) -> impl Iterator<Item = (usize, Range<usize>)> {
    list(value).enumerate().map(move |(index, part)| (first + index, message.span(part)))
}

fn write_record_route(
    scheme: &str,
    own: &Own<'_>,
    token: &Token,
    random: &Random,
    call_id: &[u8],
    out: &mut Writer<'_>,
) {
    out.text("Record-Route: <");
    out.text(scheme);
    token.write(random, call_id, out);
    out.text("@");
    own.write_host(out);
    if own.transport != Transport::Udp {
        out.text(";transport=");
        out.text(own.transport.parameter());
    }
    out.text(";lr>\r\n");
}

fn is_for_realm(value: &[u8], realm: &str) -> bool {
    let Ok(Some(credentials)) = Credentials::parse(value) else { return false };
    quoted_content(credentials.realm).eq(realm.bytes())
}

/// What is left of a Contact URI when it becomes a Request-URI (§19.1.1): no headers.
pub fn request_uri(contact: &[u8]) -> &[u8] {
    &contact[..contact.iter().position(|byte| *byte == b'?').unwrap_or(contact.len())]
}

/// The new Request-URI of a request that goes to the side of a dialog or to a peer, when it changes: what a strict router has
/// put last, and a device's own address where that was hidden before.
pub fn target_in_dialog<'r>(
    random: &Random,
    message: &'r Message<'r>,
    is_strict: bool,
    crossing: Crossing,
    room: &'r mut mask::Room,
) -> Option<&'r [u8]> {
    let last = if is_strict { last_route(message).map(|route| route.uri) } else { None };
    let target = last.or(message.request_uri()).filter(|_| !matches!(crossing, Crossing::Out { .. }));
    target.and_then(|uri| veil::unveiled(random, uri, room)).or(last)
}

/// The URI of the last Route value, for a strict router's request (§16.4).
pub fn last_route<'m>(message: &Message<'m>) -> Option<NameAddr<'m>> {
    NameAddr::parse(message.values(Name::Route).last()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::limits::EDIT_BYTES;
    use crate::base::net::LocalAddress;
    use crate::base::store::Store;
    use crate::home::registrar::Registrar;
    use crate::sip::branch::Kind;
    use crate::sip::token::Side;
    use crate::sip::transport::Network;
    use std::boxed::Box;
    use std::string::{String, ToString};

    const DEVICE: &str = "192.168.1.10:5060";
    const CARL: &str = "198.51.100.21:5060";

    /// What a request becomes that comes from there.
    fn forwarded(source: &str, bytes: &str, uri: Option<&[u8]>, crossing: Crossing) -> String {
        let mut network = Network::new();
        let local = |ip: &str, default_route| LocalAddress { ip: ip.parse().unwrap(), prefix: 24, default_route };
        network.set_addresses(&[local("192.168.1.1", false), local("192.0.2.1", true)], |_| {});
        let (store, registrar): (Box<Store>, _) = (Box::new(Store::new()), Box::new(Registrar::new()));
        let random = Random::new();
        let own = |address: &str| Own { transport: Transport::Udp, address: address.parse().unwrap(), name: None };
        let source: SocketAddr = source.parse().unwrap();
        let message = Message::parse(bytes.as_bytes()).unwrap();
        assert_eq!(message.fault(), None);
        let token = |side| Token { side, person: 0, pair: 1, binding: 0, remote: source, stream: None, domain: 0 };
        let records = message.essentials().unwrap().to.tag().is_none();
        let (outgoing, incoming) = (own("192.0.2.1:5060"), own("192.168.1.1:5060"));
        let veil = match crossing {
            Crossing::Within | Crossing::In => None,
            Crossing::Out { is_own_call } => {
                let veil = Veil::new(&random, &network, &store, &registrar, outgoing, "home.example", is_own_call);
                Some(veil.over(&message, Some(source.ip())))
            }
        };
        let border = Border::of(crossing, veil.as_ref());
        let forward = Forward {
            uri,
            path: b"",
            leaves_session: false,
            own_routes: 0,
            drops_last_route: false,
            source,
            outgoing,
            incoming,
            branch: Branch { kind: Kind::Transaction, handle: 1, secret: 2, routing: 3 },
            tokens: records.then_some((token(Side::Caller), token(Side::Callee))),
            realm: "home.example",
            breadth: 60,
            is_alias: false,
            border,
        };
        let (mut text, mut buffer) = ([0; EDIT_BYTES], [0; 4096]);
        let mut edits = Edits::new(&mut text);
        forward.edits(&random, &message, &mut edits);
        let mut out = Writer::new(&mut buffer);
        edits.apply(message.bytes(), &mut out);
        let len = out.finish().expect("the edits are right");
        String::from_utf8(buffer[..len].to_vec()).unwrap()
    }

    const OUT: Crossing = Crossing::Out { is_own_call: true };

    const INVITE: &str = "INVITE sip:carl@other.test SIP/2.0\r\n\
        v: SIP/2.0/UDP 192.168.1.10:5060;rport;branch=z9hG4bK1,\r\n SIP/2.0/TCP 10.9.8.7;branch=z9hG4bK0\r\n\
        Via: SIP/2.0/UDP 10.9.8.8:5062;received=10.9.8.9;branch=z9hG4bK2\r\n\
        Max-Forwards: 70\r\nFrom: \"Alice\" <sip:alice@home.example>;tag=1\r\nTo: <sip:carl@other.test>\r\n\
        Call-ID: 3848276298220188511@192.168.1.10\r\nCSeq: 1 INVITE\r\n\
        m: \"Alice\" <sip:alice@192.168.1.10:5060;ob>;+sip.instance=\"<urn:uuid:0A95A0E128>\";q=0.5;reg-id=1;video\r\n\
        Contact: sip:alice@10.9.8.7 ;x=10.9.8.8\r\n\
        Proxy-Authorization: Digest username=\"alice\", realm=\"home.example\", nonce=\"n\", uri=\"sip:192.168.1.1\", response=\"r\"\r\n\
        Remote-Party-ID: <sip:alice@192.168.1.1>\r\n\
        User-Agent: phone 1.2.3.4\r\nX-Seen-By: 10.9.8.9, [fe80::1], 10.9.8.9.1, 010.9.8.7x\r\nContent-Length: 11\r\n\r\nc=10.9.8.7\n";

    #[test]
    fn what_leaves_shows_us_alone() {
        let text = forwarded(DEVICE, INVITE, None, OUT);
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert_eq!(body, "c=10.9.8.7\n", "bodies are not looked into");
        assert!(!head.contains("192.168.1.10") && !head.contains("10.9.8") && !head.contains("0A95A0E128"), "{head}");
        let line = |start: &str| head.lines().find(|line| line.starts_with(start)).unwrap_or_default();
        assert_eq!(line("Via:"), "Via: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKpt000000010000000200000003;rport");
        assert_eq!(head.matches("SIP/2.0/").count(), 1, "{head}");
        let contact = line("m:");
        assert!(
            contact.starts_with("m: \"Alice\" <sip:m1-") && contact.ends_with("@192.0.2.1:5060>;q=0.5;video"),
            "{contact}"
        );
        let contact = line("Contact:");
        assert!(contact.starts_with("Contact: <sip:m1-") && contact.ends_with("@192.0.2.1:5060>"), "{contact}");
        assert!(line("Call-ID:").starts_with("Call-ID: m1-") && !line("Call-ID:").contains('@'));
        assert_eq!(line("From:"), "From: \"Alice\" <sip:alice@home.example>;tag=1");
        assert_eq!((line("Proxy-Authorization"), line("Remote-Party-ID")), ("", ""));
        assert_eq!(line("User-Agent:"), "User-Agent: phone 1.2.3.4");
        assert_eq!(line("X-Seen-By:"), "X-Seen-By: 192.0.2.1, [fe80::1], 192.0.2.1.1, 192.0.2.1x");
        assert_eq!(text, forwarded(DEVICE, INVITE, None, OUT), "the same again");
    }

    #[test]
    fn what_stays_within_is_as_it_was() {
        let text = forwarded(DEVICE, INVITE, None, Crossing::Within);
        assert!(
            text.contains("Call-ID: 3848276298220188511@192.168.1.10\r\n")
                && text.contains("<sip:alice@192.168.1.10:5060;ob>;+sip")
        );
        assert!(text.contains(
            "rport=5060;branch=z9hG4bK1;received=192.168.1.10,\r\n SIP/2.0/TCP 10.9.8.7;branch=z9hG4bK0\r\n"
        ));
    }

    #[test]
    fn what_comes_back_is_as_it_was_written() {
        let out = forwarded(DEVICE, INVITE, None, OUT);
        let sent = Message::parse(out.as_bytes()).unwrap();
        let call_id = core::str::from_utf8(sent.essentials().unwrap().call_id).unwrap();
        let contact = NameAddr::parse(sent.field(Name::Contact).unwrap().value).unwrap();
        let target = core::str::from_utf8(contact.uri).unwrap();
        let bye = std::format!(
            "BYE {target} SIP/2.0\r\nVia: SIP/2.0/UDP 198.51.100.21:5060;branch=z9hG4bK9\r\nMax-Forwards: 70\r\n\
             From: <sip:carl@other.test>;tag=2\r\nTo: \"Alice\" <sip:alice@home.example>;tag=1\r\nCall-ID: {call_id}\r\n\
             In-Reply-To: other@192.0.2.9, {call_id}\r\nCSeq: 1 BYE\r\nContent-Length: 0\r\n\r\n"
        );
        let message = Message::parse(bye.as_bytes()).unwrap();
        let mut room = mask::ROOM;
        let uri = target_in_dialog(&Random::new(), &message, false, Crossing::In, &mut room);
        assert_eq!(uri, Some(&b"sip:alice@192.168.1.10:5060;ob"[..]));
        let text = forwarded(CARL, &bye, uri, Crossing::In);
        assert!(text.starts_with("BYE sip:alice@192.168.1.10:5060;ob SIP/2.0\r\n"), "{text}");
        assert!(text.contains("\r\nCall-ID: 3848276298220188511@192.168.1.10\r\n"), "{text}");
        assert!(text.contains("In-Reply-To: other@192.0.2.9, 3848276298220188511@192.168.1.10\r\n"), "{text}");
        assert!(text.contains("198.51.100.21:5060;branch=z9hG4bK9"), "what is outside is no secret in the home");
    }

    #[test]
    fn a_call_that_came_in_keeps_its_name() {
        let bye = "BYE sip:carl@198.51.100.21 SIP/2.0\r\nVia: SIP/2.0/UDP 192.168.1.10;branch=z9hG4bK9\r\nMax-Forwards: 70\r\n\
            From: <sip:alice@home.example>;tag=2\r\nTo: <sip:carl@other.test>;tag=1\r\nCall-ID: c@198.51.100.21\r\n\
            CSeq: 1 BYE\r\nContact: <sip:192.168.1.10>\r\nReason: SIP;text=\"192.168.1.10\"\r\nContent-Length: 0\r\n\r\n";
        let text = forwarded(DEVICE, bye, None, Crossing::Out { is_own_call: false });
        assert!(text.contains("Call-ID: c@198.51.100.21\r\n") && !text.contains("192.168.1.10"), "{text}");
        assert!(text.contains("Contact: <sip:m1-") && text.contains("text=\"192.0.2.1\""), "{text}");
    }

    #[test]
    fn more_addresses_than_are_looked_for() {
        let many = "X-Seen-By: ".to_string() + &"9.9.9.9 ".repeat(66) + "9.9.9.8\r\nContent-Length: 11";
        let text = forwarded(DEVICE, &INVITE.replace("Content-Length: 11", &many), None, OUT);
        assert!(text.contains("9.9.9.9 192.0.2.1 ") && text.contains(" 192.0.2.1\r\n"), "{text}");
        assert_eq!(text.matches("9.9.9.9").count(), 62, "two others are looked for before: {text}");
    }

    #[test]
    fn what_is_too_long_to_seal() {
        let long = "x".repeat(mask::MASKED_BYTES);
        let contact = INVITE.replace("sip:alice@10.9.8.7 ", &std::format!("sip:{long}@10.9.8.7 "));
        let text = forwarded(DEVICE, &contact, None, OUT);
        assert!(text.contains("Contact: <sip:192.0.2.1:5060>\r\n"), "no name, but no address either: {text}");
    }

    /// Whatever is wrong with a request that can be read all the same: its edits fit together, and nothing is shown.
    #[test]
    fn mutated_requests() {
        let mut state = 0x2545_f491_4f6c_dd1d_u64;
        let mut next = |below: usize| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state % below as u64) as usize
        };
        let (mut tried, letters) = (0, b";,<>@:.\"1902a []=*?%-\t");
        for _ in 0..20_000 {
            let mut bytes = INVITE.as_bytes().to_vec();
            for _ in 0..1 + next(4) {
                let (at, letter) = (next(bytes.len()), letters[next(letters.len())]);
                match next(3) {
                    0 => bytes[at] = letter,
                    1 => bytes.insert(at, letter),
                    _ => drop(bytes.remove(at)),
                }
            }
            let Ok(text) = core::str::from_utf8(&bytes) else { continue };
            if !Message::parse(text.as_bytes()).is_ok_and(|message| message.fault().is_none()) {
                continue;
            }
            tried += 1;
            let out = forwarded(DEVICE, text, None, OUT);
            let head = out.split_once("\r\n\r\n").map_or(&out[..], |(head, _)| head);
            // The one that it came from is known, whatever it says.
            let shown = head.match_indices("192.168.1.10").any(|(at, ip)| {
                let is_digit = |c: Option<char>| c.is_some_and(|c| c.is_ascii_digit());
                !is_digit(head[at + ip.len()..].chars().next()) && !is_digit(head[..at].chars().next_back())
            });
            assert!(!shown, "{text}\nin\n{head}");
        }
        assert!(tried > 5_000, "{tried}");
    }

    /// What it costs for a call as phones make it.
    #[test]
    fn growth() {
        let call = "INVITE sip:carl@other.test SIP/2.0\r\nVia: SIP/2.0/UDP 192.168.1.10:5060;rport;branch=z9hG4bKPjhXT2\r\n\
            Max-Forwards: 70\r\nFrom: <sip:alice@home.example>;tag=1\r\nTo: <sip:carl@other.test>\r\n\
            Call-ID: 8d2a6f4c-3b1e@192.168.1.10\r\nCSeq: 1 INVITE\r\nContact: <sip:alice@192.168.1.10:5060>\r\nContent-Length: 0\r\n\r\n";
        let (within, out) = (forwarded(DEVICE, call, None, Crossing::Within), forwarded(DEVICE, call, None, OUT));
        std::println!("{} bytes as it came, {} forwarded within, {} out", call.len(), within.len(), out.len());
        assert!(out.len() <= within.len() + 60, "{} {}", within.len(), out.len());
    }
}
