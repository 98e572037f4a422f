//! What comes in, by kind: pieces of the stream, stanzas, requests of others (RFC 6120 §8.2.3), and the roster item by item.

use super::names::{self, Default, ids};
use super::room::Room;
use super::{Inside, Phase, Xmpp, jid, write};
use crate::base::text::{Writer, hex_number};
use crate::bridge::{Contact, Env, Event, Step};
use crate::wire::xml::stream::Piece;
use crate::wire::xml::{Element, Fault, Reader, Text};

impl Xmpp {
    /// A piece of the stream: how much of the window it takes, and what came of it.
    pub(super) fn piece<'s>(
        &mut self,
        env: &mut Env<'_, '_>,
        piece: Piece,
        window: &[u8],
        room: Room<'s>,
    ) -> (usize, Step<'s>) {
        let bytes = &window[..piece.len()];
        let depth = self.splitter.depth();
        let step = match piece {
            Piece::Blank { .. } => Step::Quiet,
            Piece::Element { tag, .. } if depth == 1 && self.is_read_in_pieces(&bytes[..tag]) && tag < bytes.len() => {
                return self.enter(env, &bytes[..tag]);
            }
            Piece::Element { tag, .. } if self.inside == Inside::Answer && depth == 2 && tag < bytes.len() => {
                return self.enter(env, &bytes[..tag]);
            }
            Piece::Element { .. } if depth == 1 => {
                let step = self.element(env, bytes, room);
                if is_stanza(bytes) {
                    self.acks.handles();
                }
                step
            }
            Piece::Element { .. } => self.part(env, bytes, room),
            Piece::Opened { .. } => self.opened(env, bytes),
            Piece::Text { .. } if self.inside == Inside::Message => self.long_text(bytes, room),
            Piece::Text { .. } => Step::Quiet,
            Piece::Closed { .. } => self.element_closed(env),
            Piece::Skipped { is_first, is_last, .. } => {
                if is_first {
                    log::warn!("XMPP {}: an element that is too large is left out", env.account.id);
                    if depth == 1 {
                        self.inside = if is_stanza(bytes) { Inside::Stanza } else { Inside::Nothing };
                    }
                }
                if is_last && depth == 1 && self.inside == Inside::Stanza {
                    self.acks.handles();
                }
                Step::Quiet
            }
        };
        (piece.len(), step)
    }

    /// Lists are read item by item whatever their size, and features one by one.
    fn is_read_in_pieces(&self, tag: &[u8]) -> bool {
        self.of_tag(tag).is_ok_and(|element| {
            element.is(names::STREAMS, "features") || self.phase == Phase::On && self.is_roster(&element)
        })
    }

    fn is_roster(&self, element: &Element<'_>) -> bool {
        element.is(names::CLIENT, "iq") && is_answer(element, ids::ROSTER, "result") && self.is_of_server(element)
    }

    /// An element that is whole is read in pieces.
    fn enter<'s>(&mut self, env: &mut Env<'_, '_>, tag: &[u8]) -> (usize, Step<'s>) {
        // The stream is open, and what may be entered lies at most two deeper.
        let _ = self.splitter.enter(tag);
        (tag.len(), self.opened(env, tag))
    }

    /// The namespaces in scope where a piece lies.
    fn scope(&self) -> [(&'static str, &'static str); 2] {
        let default = self.defaults.last().copied().unwrap_or(Default::CLIENT);
        [("", default.name()), ("stream", names::STREAMS)]
    }

    /// What a start tag says.
    fn of_tag<'b>(&self, tag: &'b [u8]) -> Result<Element<'b>, Fault> {
        Reader::inside(tag, &self.scope())?.root()
    }

    /// Reads an element that is whole.
    fn element<'s>(&mut self, env: &mut Env<'_, '_>, bytes: &[u8], room: Room<'s>) -> Step<'s> {
        self.read(env, bytes, room).unwrap_or_else(|fault| {
            log::warn!("XMPP {}: a stanza that can't be read is left out: {}", env.account.id, fault.reason);
            Step::Quiet
        })
    }

    fn read<'s>(&mut self, env: &mut Env<'_, '_>, bytes: &[u8], room: Room<'s>) -> Result<Step<'s>, Fault> {
        // Of something that is not well-formed nothing is believed.
        let mut whole = Reader::inside(bytes, &self.scope())?;
        whole.root()?;
        whole.finish()?;
        let mut reader = Reader::inside(bytes, &self.scope())?;
        let element = reader.root()?;
        if element.namespace == names::CLIENT {
            return match element.name {
                "iq" if self.phase < Phase::On => self.login_answer(env, &mut reader, &element),
                "iq" => self.iq(env, &mut reader, &element, room),
                _ if self.phase != Phase::On => Ok(Step::Quiet),
                "message" => self.message(env, &mut reader, &element, room),
                "presence" => self.presence(env, &mut reader, &element, room),
                _ => Ok(Step::Quiet),
            };
        }
        if element.namespace == names::STREAMS {
            return match element.name {
                "error" => self.stream_error(env, &mut reader, &element),
                "features" => Ok(self.take_features(env)),
                _ => Ok(Step::Quiet),
            };
        }
        if element.namespace == names::MANAGEMENT {
            return self.management(env, &mut reader, &element);
        }
        if element.namespace == names::SASL {
            return self.sasl(env, &mut reader, &element);
        }
        if element.namespace == names::TLS {
            return Ok(self.tls(env, &element));
        }
        Ok(Step::Quiet)
    }

    /// The start tag of something that is read in pieces.
    fn opened<'s>(&mut self, env: &mut Env<'_, '_>, tag: &[u8]) -> Step<'s> {
        let depth = self.splitter.depth();
        let Ok(element) = self.of_tag(tag) else {
            log::warn!("XMPP {}: an element that can't be read is left out", env.account.id);
            return self.inside_of(depth, Inside::Nothing, Default::CLIENT);
        };
        // A prefix of one's own is not handed down.
        let default =
            if has_prefix(tag) { Default::of_name(self.scope()[0].1) } else { Default::of(element.namespace) };
        if depth == 1 {
            return self.stream_opened(&element);
        }
        if depth > 2 {
            let step = self.part_opened(env, &element);
            let inside = self.inside;
            self.inside_of(depth, inside, default);
            return step;
        }
        let is_client = element.namespace == names::CLIENT;
        let inside = match element.name {
            "features" if element.namespace == names::STREAMS => Inside::Features,
            "iq" if self.phase == Phase::On && self.is_roster(&element) => Inside::Answer,
            "message" if is_client && self.phase == Phase::On => {
                self.long_message(env, &element);
                Inside::Message
            }
            "iq" if is_client => {
                log::info!("XMPP {}: a request or answer that is too large is left out", env.account.id);
                self.unavailable(env, &element);
                Inside::Stanza
            }
            "presence" if is_client => {
                log::info!("XMPP {}: presence that is too large is left out", env.account.id);
                Inside::Stanza
            }
            _ => Inside::Nothing,
        };
        self.inside_of(depth, inside, default)
    }

    fn inside_of<'s>(&mut self, depth: usize, inside: Inside, default: Default) -> Step<'s> {
        self.inside = inside;
        self.defaults.truncate(depth.saturating_sub(2));
        // Nothing is open deeper than there is room for.
        let _ = self.defaults.push(default);
        Step::Quiet
    }

    /// The stream has begun.
    fn stream_opened<'s>(&mut self, element: &Element<'_>) -> Step<'s> {
        if !element.is(names::STREAMS, "stream") {
            log::debug!("XMPP: the server's stream has an unusual name");
        }
        Step::Quiet
    }

    /// The start tag of a part of something that is read in pieces.
    fn part_opened<'s>(&mut self, env: &mut Env<'_, '_>, element: &Element<'_>) -> Step<'s> {
        let depth = self.splitter.depth();
        match self.inside {
            Inside::Answer if depth == 3 && element.is(names::ROSTER, "query") => {
                self.inside = Inside::Roster;
                Step::Event(Event::ContactsBegin)
            }
            Inside::Roster if depth == 4 => {
                log::info!("XMPP {}: a contact that is too large is left out", env.account.id);
                Step::Quiet
            }
            Inside::Message => {
                self.long_opened(env, element);
                Step::Quiet
            }
            _ => Step::Quiet,
        }
    }

    /// An element in something that is read in pieces.
    fn part<'s>(&mut self, env: &mut Env<'_, '_>, bytes: &[u8], room: Room<'s>) -> Step<'s> {
        let read = Reader::inside(bytes, &self.scope()).and_then(|mut reader| {
            let element = reader.root()?;
            match self.inside {
                Inside::Features if self.splitter.depth() == 2 => {
                    self.feature(&mut reader, &element)?;
                    Ok(Step::Quiet)
                }
                Inside::Roster if self.splitter.depth() == 3 => Ok(roster_item(&element, room, false)),
                // An empty roster; the end of the answer is its end.
                Inside::Answer if element.is(names::ROSTER, "query") => {
                    self.inside = Inside::Roster;
                    Ok(Step::Event(Event::ContactsBegin))
                }
                Inside::Message => self.long_part(env, &mut reader, &element, room),
                _ => Ok(Step::Quiet),
            }
        });
        read.unwrap_or_else(|fault| {
            log::warn!("XMPP {}: an element that can't be read is left out: {}", env.account.id, fault.reason);
            Step::Quiet
        })
    }

    /// The end tag of what is read in pieces, or of the stream.
    fn element_closed<'s>(&mut self, env: &mut Env<'_, '_>) -> Step<'s> {
        let depth = self.splitter.depth();
        if depth == 0 {
            return self.stream_closed(env);
        }
        self.defaults.truncate(depth - 1);
        let inside = self.inside;
        match inside {
            Inside::Roster if depth == 2 => {
                self.inside = Inside::Answer;
                return Step::Event(Event::ContactsEnd);
            }
            _ if depth > 1 => {
                self.long_closed();
                return Step::Quiet;
            }
            _ => self.inside = Inside::Nothing,
        }
        match inside {
            Inside::Features => self.take_features(env),
            Inside::Roster => {
                self.acks.handles();
                Step::Event(Event::ContactsEnd)
            }
            Inside::Stanza | Inside::Answer | Inside::Message => {
                self.acks.handles();
                Step::Quiet
            }
            Inside::Nothing => Step::Quiet,
        }
    }

    /// A request or an answer, when the account is on.
    fn iq<'s>(
        &mut self,
        env: &mut Env<'_, '_>,
        reader: &mut Reader<'_>,
        iq: &Element<'_>,
        room: Room<'s>,
    ) -> Result<Step<'s>, Fault> {
        let kind = iq.attribute("type").map(|kind| kind.cut::<8>()).unwrap_or_default();
        match kind.as_str() {
            "get" | "set" => self.request(env, reader, iq, kind == "set", room),
            "result" | "error" if self.is_of_server(iq) => self.answer(env, reader, iq, kind == "error"),
            _ => Ok(Step::Quiet),
        }
    }

    fn answer<'s>(
        &mut self,
        env: &mut Env<'_, '_>,
        reader: &mut Reader<'_>,
        iq: &Element<'_>,
        is_error: bool,
    ) -> Result<Step<'s>, Fault> {
        let is = |id: &str| iq.attribute("id").is_some_and(|it| it == *id);
        if is(ids::ARCHIVE) {
            return self.archive_answer(env, reader, iq, is_error);
        }
        if let Some(counted) = iq.attribute("id").and_then(ping_of) {
            self.acks.acknowledged(counted);
            return Ok(Step::Quiet);
        }
        if is(ids::ROSTER) || is(ids::CHANGE) {
            if is_error {
                log::info!("XMPP {}: the server refuses the roster, or a change of it", env.account.id);
            }
            return Ok(Step::Quiet);
        }
        if !(is(ids::SERVER) || is(ids::ACCOUNT)) {
            return Ok(Step::Quiet);
        }
        let (mut has_carbons, mut has_archive) = (false, false);
        while let Some(query) = reader.child(iq)? {
            while let Some(child) = reader.child(&query)? {
                if let Some(feature) = child.attribute("var").filter(|_| child.is(names::INFO, "feature")) {
                    has_carbons |= feature == names::CARBONS;
                    has_archive |= feature == names::ARCHIVE;
                }
            }
        }
        if is(ids::SERVER) && has_carbons {
            env.out.text("<iq type='set' id='pcs-carbons'><enable xmlns='urn:xmpp:carbons:2'/></iq>");
            self.acks.sends_setup();
        }
        // Older servers say of themselves what accounts can do.
        if self.archive.learned(has_archive) {
            self.ask_archive(env);
        }
        Ok(Step::Quiet)
    }

    /// Somebody asks for something.
    fn request<'s>(
        &mut self,
        env: &mut Env<'_, '_>,
        reader: &mut Reader<'_>,
        iq: &Element<'_>,
        is_set: bool,
        room: Room<'s>,
    ) -> Result<Step<'s>, Fault> {
        let Some(query) = reader.child(iq)? else {
            self.unavailable(env, iq);
            return Ok(Step::Quiet);
        };
        if is_set && query.is(names::ROSTER, "query") {
            if !self.is_of_account(iq) {
                log::debug!("XMPP {}: a stranger tried to change the roster", env.account.id);
                self.unavailable(env, iq);
                return Ok(Step::Quiet);
            }
            self.result(env, iq, |_| ());
            let item = reader.child(&query)?.filter(|item| item.is(names::ROSTER, "item"));
            return Ok(item.map_or(Step::Quiet, |item| roster_item(&item, room, true)));
        }
        if is_set {
            self.unavailable(env, iq);
        } else if query.is(names::PING, "ping") {
            self.result(env, iq, |_| ());
        } else if query.is(names::VERSION, "query") {
            self.result(env, iq, |out| {
                out.text("<query xmlns='jabber:iq:version'><name>pcsd</name><version>");
                out.text(env!("CARGO_PKG_VERSION"));
                out.text("</version></query>");
            });
        } else if query.is(names::INFO, "query") {
            let node = query.attribute("node");
            if node.is_none_or(|node| super::presence::is_own_node(node)) {
                self.result(env, iq, |out| super::presence::info(node, out));
            } else {
                self.error(env, iq, "item-not-found");
            }
        } else {
            self.unavailable(env, iq);
        }
        Ok(Step::Quiet)
    }

    /// Answers a request; what it holds is written by `write`.
    fn result(&mut self, env: &mut Env<'_, '_>, iq: &Element<'_>, write: impl FnOnce(&mut Writer<'_>)) {
        if self.begin_answer(env, iq, "result") {
            env.out.text(">");
            write(env.out);
            env.out.text("</iq>");
        }
    }

    fn unavailable(&mut self, env: &mut Env<'_, '_>, iq: &Element<'_>) {
        self.error(env, iq, "service-unavailable");
    }

    fn error(&mut self, env: &mut Env<'_, '_>, iq: &Element<'_>, condition: &str) {
        let is_request = iq.attribute("type").is_some_and(|kind| kind == "get" || kind == "set");
        if is_request && self.begin_answer(env, iq, "error") {
            env.out.text("><error type='cancel'><");
            env.out.text(condition);
            env.out.text(" xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>");
        }
    }

    /// The begin of an answer. Whether there is one: nothing is said before the account is on, nor to an id or address
    /// that would not fit.
    fn begin_answer(&mut self, env: &mut Env<'_, '_>, iq: &Element<'_>, kind: &str) -> bool {
        let (from, id) = (iq.attribute("from"), iq.attribute("id"));
        let is_long = |text: Option<Text<'_>>| text.is_some_and(|text| text.raw.len() > write::ECHO_BYTES);
        if self.phase != Phase::On || is_long(from) || is_long(id) {
            return false;
        }
        env.out.text("<iq");
        write::attribute("type", kind, env.out);
        write::echo_attribute("to", from, env.out);
        write::echo_attribute("id", id, env.out);
        self.acks.sends();
        true
    }

    /// Whether a stanza is from our own account: it has no sender, or our own bare JID (RFC 6121 §2.1.6).
    pub(super) fn is_of_account(&self, stanza: &Element<'_>) -> bool {
        stanza
            .attribute("from")
            .is_none_or(|from| from.chars().all(|c| c != '/') && jid::bare(from).is_some_and(|bare| bare == self.own))
    }

    /// Whether a stanza is from our account or our server.
    fn is_of_server(&self, stanza: &Element<'_>) -> bool {
        let domain = jid::domain(&self.own);
        let from = stanza.attribute("from");
        let bare = from.and_then(jid::bare);
        from.is_none() || bare.is_some_and(|bare| bare == self.own || bare == domain)
    }
}

/// A contact: of the roster, or of a change of it.
fn roster_item<'s>(item: &Element<'_>, mut room: Room<'s>, is_change: bool) -> Step<'s> {
    if !item.is(names::ROSTER, "item") {
        return Step::Quiet;
    }
    let Some(who) = item.attribute("jid").and_then(jid::bare) else {
        log::info!("XMPP: a contact whose address is too long is left out");
        return Step::Quiet;
    };
    let who = room.text(who.chars());
    let is = |name, word: &str| item.attribute(name).is_some_and(|value| value == *word);
    if is("subscription", "remove") {
        return if is_change { Step::Event(Event::ContactGone { who }) } else { Step::Quiet };
    }
    Step::Event(Event::Contact(Contact {
        who,
        name: room.read(item.attribute("name")).trim(),
        is_watched: is("subscription", "to") || is("subscription", "both"),
        is_asked: is("ask", "subscribe"),
    }))
}

/// How many stanzas a ping was sent after.
fn ping_of(id: Text<'_>) -> Option<u32> {
    let id = id.cut::<20>();
    hex_number(id.strip_prefix(ids::PING).filter(|digits| digits.len() == 8)?.as_bytes()).map(|number| number as u32)
}

fn is_answer(element: &Element<'_>, id: &str, kind: &str) -> bool {
    let is = |name, value: &str| element.attribute(name).is_some_and(|it| it == *value);
    is("id", id) && is("type", kind)
}

/// Whether an element at the top is one that stream management counts (XEP-0198 §4).
fn is_stanza(bytes: &[u8]) -> bool {
    [&b"<message"[..], b"<presence", b"<iq"].iter().any(|name| {
        let after = bytes.strip_prefix(*name).and_then(<[u8]>::first);
        after.is_some_and(|byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n' | b'/' | b'>'))
    })
}

/// Whether the name in a start tag has a prefix.
fn has_prefix(tag: &[u8]) -> bool {
    let mut name = tag.iter().take_while(|byte| !matches!(byte, b' ' | b'\t' | b'\r' | b'\n' | b'/' | b'>'));
    name.any(|byte| *byte == b':')
}
