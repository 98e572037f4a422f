//! Requests that begin within the house: what somebody writes on the page, and what comes in from other networks. They go
//! the way of all requests, past the front door; their answers leave nothing on any wire.

use core::fmt::Write as _;

use super::Core;
use super::requests::{Incoming, Place};
use crate::base::net::{Flow, NOWHERE};
use crate::base::text::Writer;
use crate::base::time::Instant;
use crate::home::policy::{Asker, Assurance};
use crate::home::presence::list::URI_BYTES;
use crate::home::proxy::context::Retarget;
use crate::home::word;
use crate::sip::branch;
use crate::sip::route::Routes;
use crate::wire::sip::{Message, Method, Uri};

/// A MESSAGE from within the house.
#[derive(Clone, Copy)]
pub(super) struct Within<'a> {
    /// Who it is from: a URI, with the display name before it.
    pub name: &'a str,
    pub from: &'a str,
    /// `USER@HOST` of whom it is for.
    pub to: &'a [u8],
    /// Header fields of its own, each with its line end.
    pub fields: &'a str,
    pub content_type: &'a str,
    pub body: &'a [u8],
    /// Who is told of the final status: 0 for nobody.
    pub origin: u32,
}

/// What became of it at once.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Begun {
    /// It is on its way, or was taken already: then the outcome was told.
    Yes,
    /// It was refused, with this status.
    Refused(u16),
}

impl Core {
    /// Sends a text as if a device of hers had: the front door is asked, devices ring, and what nobody takes is kept. Whether
    /// it is on its way.
    pub(super) fn send_as(&mut self, now: Instant, person: usize, to: &[u8], text: &[u8]) -> bool {
        self.send_as_from(now, person, to, text, 0) == Begun::Yes
    }

    /// [`Core::send_as`], by somebody who is told what became of it.
    pub(super) fn send_as_from(&mut self, now: Instant, person: usize, to: &[u8], text: &[u8], origin: u32) -> Begun {
        let Some(from) = word::address(&self.people, person) else { return Begun::Refused(500) };
        let within = Within { name: "", from: &from, to, fields: "", content_type: word::PLAIN, body: text, origin };
        let asker = Asker { assurance: Assurance::Digest, person: Some(person), address: &from.as_bytes()[SCHEME..] };
        self.send_within(now, &within, asker)
    }

    /// Sends a message that begins within the house.
    pub(super) fn send_within(&mut self, now: Instant, within: &Within<'_>, asker: Asker<'_>) -> Begun {
        let Some((port, address)) = self.stack.network.open_ports().map(|(port, state)| (port, state.address)).next()
        else {
            return Begun::Refused(500);
        };
        let Within { name, from, to, fields, content_type, body, origin } = *within;
        let mut room = [0; HEAD_BYTES + BODY_BYTES];
        let mut out = Writer::new(&mut room);
        let (branch, tag) = (self.stack.random.number(), self.stack.random.number());
        for part in [&b"MESSAGE sip:"[..], to, b" SIP/2.0\r\nVia: SIP/2.0/UDP "] {
            out.put(part);
        }
        out.socket_address(address);
        out.text(";branch=z9hG4bK");
        out.hex(branch, 16);
        out.text("\r\nMax-Forwards: 70\r\nFrom: ");
        if !name.is_empty() {
            out.text("\"");
            name.chars().filter(|c| !c.is_control()).for_each(|c| {
                let _ = match c {
                    '"' | '\\' => write!(out, "\\{c}"),
                    _ => out.write_char(c),
                };
            });
            out.text("\" ");
        }
        out.text("<");
        out.text(from);
        out.text(">;tag=");
        out.hex(tag, 16);
        out.text("\r\nTo: <sip:");
        out.put(to);
        out.text(">\r\nCall-ID: ");
        out.hex(branch.rotate_left(32) ^ tag, 16);
        out.text("\r\nCSeq: 1 MESSAGE\r\n");
        out.text(fields);
        out.text("Content-Type: ");
        out.text(content_type);
        out.text("\r\nContent-Length: ");
        out.number(body.len() as u64);
        out.text("\r\n\r\n");
        out.put(body);
        let Ok(len) = out.finish() else { return Begun::Refused(500) };
        let Ok(message) = Message::parse(&room[..len]) else { return Begun::Refused(500) };
        let (Some(essentials), Some(keys), None) = (message.essentials(), self.stack.keys(&message), message.fault())
        else {
            return Begun::Refused(500);
        };
        let Ok(Uri::Sip(mut uri)) = essentials.to.parsed_uri() else { return Begun::Refused(500) };
        // Nobody waits for the answer on any way: it stays within the house.
        let flow = Flow::Datagram { port, remote: NOWHERE };
        let (method, routes) = (Method::Message, Routes::default());
        let incoming = Incoming { message: &message, essentials, method, flow, from: address, keys, routes };
        if let Some(person) = asker.proven_person()
            && self.write_to_buddy(now, &incoming, asker, person, &uri)
        {
            return self.silence(&incoming, origin);
        }
        let (mut retarget, address_of_buddy);
        retarget = Retarget::None;
        if matches!(self.place_of(&uri), Place::Nobody) {
            let buddy =
                asker.proven_person().and_then(|person| uri.user.and_then(|user| self.people.buddy(person, user)));
            let Some(buddy) = buddy else { return Begun::Refused(500) };
            address_of_buddy = self.people.buddy_uri::<URI_BYTES>(buddy);
            let Some(Ok(Uri::Sip(address))) = address_of_buddy.as_ref().map(|it| Uri::parse(it.as_bytes())) else {
                return Begun::Refused(500);
            };
            (uri, retarget) = (address, Retarget::Buddy(buddy as u16));
        }
        let place = self.place_of(&uri);
        if matches!(place, Place::Server | Place::Nobody | Place::Network | Place::Unreachable(_)) {
            return Begun::Refused(500);
        }
        let routing = branch::routing_hash(&self.stack.random, &message);
        self.admit_and_send(now, incoming, place, asker, (routing, retarget));
        self.silence(&incoming, origin)
    }

    /// Keeps the answers of a request of the house's own within the house.
    fn silence(&mut self, incoming: &Incoming<'_, '_>, origin: u32) -> Begun {
        let Some(server) = self.stack.find_server(incoming.keys.transaction) else {
            return Begun::Refused(self.refused);
        };
        self.stack.mute(server, origin);
        match self.stack.final_status(server) {
            Some(200..=299) => {
                self.stack.tell_outcome(origin, 200);
                Begun::Yes
            }
            Some(status) => Begun::Refused(status),
            None => Begun::Yes,
        }
    }
}

/// Bytes of `sip:`.
const SCHEME: usize = 4;
/// Bytes of the head of such a message at most.
const HEAD_BYTES: usize = 1_536;
/// Bytes of its body at most.
pub(super) const BODY_BYTES: usize = 4 * 1024;
