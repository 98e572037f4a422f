//! What changes in a request that is forwarded (RFC 3261 §16.6), as edits on its bytes.
//!
//! Request-URI, Max-Forwards, Max-Breadth (RFC 5393), Route and Path, Record-Route (one for each side, RFC 5658, with a
//! token that says which way that side is), Via, Content-Length where a stream needs it, and the credentials meant for us,
//! which go no further, nor do identities of ours that others assert. Everything else goes out as it came, but for what
//! the border of the home hides ([`veil`](super::veil)).

use core::net::SocketAddr;
use core::ops::Range;

use super::veil::{self, Crossing, Veil};
use crate::base::net::Transport;
use crate::base::random::Random;
use crate::base::text::Writer;
use crate::sip::branch::Branch;
use crate::sip::mask::{self, Use};
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
pub enum Border<'a> {
    /// It stays on its side.
    None,
    /// It comes in: what was hidden before is as it is in the home.
    In,
    /// It leaves.
    Out(Veil<'a>),
}

impl Forward<'_> {
    /// The edits. The message has its essentials.
    pub fn edits(&self, random: &Random, message: &Message<'_>, edits: &mut Edits<'_>) {
        let Some(essentials) = message.essentials() else { return };
        if let (Some(uri), Some(old)) = (self.uri, message.request_uri()) {
            edits.replace(message.span(old), |out| out.put(uri));
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
            let inside = match self.border {
                Border::In => mask::read(random, Use::CallId, essentials.call_id, &mut room),
                Border::None | Border::Out(_) => None,
            };
            let call_id = inside.unwrap_or(essentials.call_id);
            for (own, token) in [(&self.outgoing, callee), (&self.incoming, caller)] {
                edits.insert(at, |out| write_record_route(scheme, own, token, random, call_id, out));
            }
        }
        edits.insert(top, |out| self.write_via(out));
        match &self.border {
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
        for field in message.fields().filter(|field| !self.stops(field)) {
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
/// put last, and of what comes in the device's own address where that was hidden.
pub fn target_in_dialog<'r>(
    random: &Random,
    message: &'r Message<'r>,
    is_strict: bool,
    crossing: Crossing,
    room: &'r mut mask::Room,
) -> Option<&'r [u8]> {
    let last = if is_strict { last_route(message).map(|route| route.uri) } else { None };
    let hidden = match crossing {
        Crossing::In => last.or(message.request_uri()),
        Crossing::Within | Crossing::Out { .. } => None,
    };
    hidden.and_then(|uri| veil::unveiled(random, uri, room)).or(last)
}

/// The URI of the last Route value, for a strict router's request (§16.4).
pub fn last_route<'m>(message: &Message<'m>) -> Option<NameAddr<'m>> {
    NameAddr::parse(message.values(Name::Route).last()?).ok()
}
