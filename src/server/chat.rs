//! The home as a buddy: `sip:pcs@DOMAIN` takes messages from its people and answers them ([`crate::home::commands`]); and
//! the message sessions of clients that know nothing else: an INVITE with `m=x-ms-message` in its SDP (Microsoft's RTC
//! clients), MESSAGEs in its dialog, a BYE.
//!
//! Such a session ends here and is not stored: its tag is a seal over who talks with whom, so that each MESSAGE in it can
//! go on as one of its own (RFC 3428), to all devices of who it is for, and a restart cuts nothing off. Left out: the
//! other way round. What is written to such a client comes to it outside a session.

use core::fmt::Write as _;

use super::Core;
use super::agent::refused;
use super::requests::{Incoming, Place};
use crate::base::net::Flow;
use crate::base::random::Purpose;
use crate::base::text::{Printable, Writer};
use crate::base::time::Instant;
use crate::home::commands::Command;
use crate::home::phrases;
use crate::home::policy::Assurance;
use crate::home::word::{self, WORD_BYTES};
use crate::sip::dialog;
use crate::sip::own::Own;
use crate::sip::stack::tag_of;
use crate::wire::sdp;
use crate::wire::sip::response::{self, Head};
use crate::wire::sip::{MediaType, Method, Name};

impl Core {
    /// Takes a message to the home itself, or what belongs to a message session. Whether it was that.
    pub(super) fn ask_home(&mut self, now: Instant, incoming: &Incoming<'_, '_>, place: &Place<'_>) -> bool {
        let is_in_session = self.is_in_session(incoming);
        match (incoming.method, place) {
            (Method::Message, Place::Server) if !is_in_session => self.spoken_to(now, incoming),
            (Method::Bye | Method::Info, Place::Server) if is_in_session => {
                if self.asker(now, incoming).is_some() {
                    self.answer_for_good(now, incoming, &refused(200, "OK", ""));
                }
            }
            (Method::Invite, Place::Server | Place::Dialog(_) | Place::Unreachable(_)) if !is_in_session => {
                return false;
            }
            (Method::Invite, _) if sdp::is_message_session(incoming.message.body()) => {
                return self.begin_session(now, incoming);
            }
            _ => return false,
        }
        true
    }

    /// Whether a request is in a message session that began here.
    pub(super) fn is_in_session(&self, incoming: &Incoming<'_, '_>) -> bool {
        let tag = incoming.essentials.to.tag();
        tag.is_some_and(|tag| dialog::id_of(tag) == Some(self.session(incoming)))
    }

    /// The tag of the message session that a request begins, or is in.
    fn session(&self, incoming: &Incoming<'_, '_>) -> u64 {
        let essentials = incoming.essentials;
        let mut hash = self.stack.random.hash(Purpose::Token);
        hash.put(b"message session");
        hash.put(essentials.call_id);
        hash.put(essentials.from.uri);
        hash.put(essentials.from.tag().unwrap_or_default());
        hash.put(essentials.to.uri);
        hash.finish()
    }

    /// Accepts a message session of one of the home's people, with whomever: what is said in it is judged then.
    fn begin_session(&mut self, now: Instant, incoming: &Incoming<'_, '_>) -> bool {
        if !self.is_from_home(incoming) {
            return false;
        }
        let Incoming { message, flow, from, .. } = *incoming;
        if self.asker(now, incoming).is_none() {
            return true;
        }
        let mut tag = [0; 16];
        let mut out = Writer::new(&mut tag);
        dialog::write_tag(self.session(incoming), &mut out);
        let mut room = [0; 512];
        let mut out = Writer::new(&mut room);
        let Some(own) = Own::of(&self.stack.network, flow) else { return true };
        out.text("Contact: <");
        own.write_uri("pcs", &mut out);
        out.text(">\r\nAllow: INVITE, ACK, BYE, INFO, MESSAGE, OPTIONS\r\n");
        let fields_len = out.len();
        sdp::write_message_session(own.address, &mut out);
        let Ok(len) = out.finish() else { return true };
        let (fields, body) = room[..len].split_at(fields_len);
        // Nothing is kept: an INVITE whose answer was lost comes again, is challenged for its used credentials, and the next
        // is answered in the same words.
        let head = Head { status: 200, reason: "OK", to_tag: Some(&tag), source: Some(from), record_route: true };
        self.stack.send_stateless(now, flow, |out| {
            response::write_head(message, &head, out);
            out.put(fields);
            response::finish(out, Some(("application/sdp", body)));
        });
        true
    }

    /// A message to the home.
    fn spoken_to(&mut self, now: Instant, incoming: &Incoming<'_, '_>) {
        let Incoming { message, flow, from, .. } = *incoming;
        let Some(asker) = self.asker(now, incoming) else { return };
        let Some(person) = asker.proven_person() else {
            return self.refuse_asker(now, incoming, asker, 404, "Not Found");
        };
        let content_type = message.field(Name::ContentType).map(|field| MediaType::parse(field.value));
        let is_text = match content_type {
            None => true,
            Some(Ok(media)) => media.is("text", "plain"),
            Some(Err(_)) => false,
        };
        // That somebody types, or has read what was said, is no command, and no error.
        let is_sign = content_type.is_some_and(|media| {
            media.is_ok_and(|it| it.is("application", "im-iscomposing+xml") || it.is("message", "imdn+xml"))
        });
        if is_sign {
            return self.answer_for_good(now, incoming, &refused(200, "OK", ""));
        }
        let Some(text) = core::str::from_utf8(message.body()).ok().filter(|_| is_text) else {
            return self.answer_for_good(now, incoming, &refused(415, "Text Only", "Accept: text/plain\r\n"));
        };
        let Some(server) = self.stack.open_server(now, &incoming.keys, flow, false) else {
            return self.refuse(now, incoming, 503, "Service Unavailable", "Retry-After: 5\r\n");
        };
        let mut tag = [0; 16];
        let to_tag = tag_of(&self.stack.random, message, &mut tag);
        let head = Head { status: 200, reason: "OK", to_tag: Some(to_tag), source: Some(from), record_route: false };
        self.stack.respond(now, server, 200, |out| {
            response::write_head(message, &head, out);
            response::finish(out, None);
        });
        let mut room = [0; WORD_BYTES];
        let mut out = Writer::new(&mut room);
        if self.presence.is_babble(now, person, matches!(Command::parse(text), Command::Unknown(_))) {
            // A program that answers every message would go on for ever.
            return;
        }
        if Command::parse(text) == Command::Inbox {
            // The page makes the link that goes with it.
            return self.ask_inbox(person, flow);
        }
        self.command(now, person, text, &mut out);
        self.say(now, person, Some(flow), text_of(&out));
    }

    /// Says something to a person; to how many devices it is on its way.
    fn say(&mut self, now: Instant, person: usize, flow: Option<Flow>, text: &str) -> usize {
        let (_, mut around) = self.split_presence();
        word::tell(now, &mut around, person, flow, text)
    }

    /// Asks a person whether who has asked on another network may be her buddy, if she has a device that can be told. When
    /// that is to be tried again, because she was asked or it is too early.
    fn announce_request(&mut self, now: Instant, person: usize) -> Option<Instant> {
        let accounts = &self.people.model.accounts;
        let is_hers = |account: u8| {
            accounts.get(usize::from(account)).is_some_and(|account| usize::from(account.person) == person)
        };
        let index = self.bridges.requests.iter().position(|it| !it.is_announced && is_hers(it.account));
        let index = index?;
        if now < self.bridges.ask_at {
            return Some(self.bridges.ask_at);
        }
        let mut room = [0; WORD_BYTES];
        let mut out = Writer::new(&mut room);
        let request = &self.bridges.requests[index];
        let network = accounts.get(usize::from(request.account)).map_or("", |account| account.network.name());
        phrases::buddy_request(self.language(person), &request.who, network, &request.text, &mut out);
        if self.say(now, person, None, text_of(&out)) == 0 {
            return None;
        }
        self.bridges.requests[index].is_announced = true;
        self.bridges.ask_at = now.plus(ANNOUNCE_MS);
        Some(self.bridges.ask_at)
    }

    /// Tells people who waits for their answer, if they have a device that can be told.
    /// When the next is to be told.
    pub(super) fn announce(&mut self, now: Instant) -> Option<Instant> {
        let mut next = None;
        for person in 0..self.people.model.people.len() {
            if let Some(at) = self.announce_request(now, person) {
                next = Some(at);
                continue;
            }
            if let Some(handle) = { self.presence.unannounced(person).next() } {
                let mut room = [0; WORD_BYTES];
                let mut out = Writer::new(&mut room);
                let Some(watch) = self.presence.watches.get(handle) else { continue };
                let address = self.presence.address_of(&self.stack, watch);
                let _ = write!(out, "{} wants to see when you are there", Printable(address));
                if watch.assurance == Assurance::Claimed {
                    let _ = write!(out, " (from {}; who he is he only says)", watch.source);
                }
                out.text(". Answer: allow ");
                out.put(address);
                out.text(" or deny ");
                out.put(address);
                if self.say(now, person, None, text_of(&out)) == 0 {
                    continue;
                }
                if let Some(watch) = self.presence.watches.get_mut(handle) {
                    watch.is_announced = true;
                }
                self.presence.watches.mark(&mut self.stack, handle);
                // One after the other: many who ask at once are not to fill her screen.
                if self.presence.unannounced(person).next().is_some() {
                    next = Some(now.plus(ANNOUNCE_MS));
                }
            }
        }
        next
    }
}

/// Time between two questions to one person about who may see her.
const ANNOUNCE_MS: u64 = 5_000;

/// What was written, without a character that did not fit whole.
pub(super) fn text_of<'o>(out: &'o Writer<'_>) -> &'o str {
    let bytes = out.written();
    match core::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => core::str::from_utf8(&bytes[..error.valid_up_to()]).unwrap_or_default(),
    }
}
