//! Messages (RFC 6121 §5): texts, states, receipts and errors, whether they come as they are, as copies of what other
//! clients of the account see (carbons), or out of the archive. A text that does not fit the window is told in parts.

use super::jid::{self, Bare};
use super::login::first_text;
use super::room::Room;
use super::{Xmpp, names, own_id};
use crate::base::random::{Purpose, Random};
use crate::base::time::UnixTime;
use crate::bridge::{Env, Event, Incoming, Step};
use crate::wire::sip::date::parse_internet;
use crate::wire::xml::{Element, Fault, Reader, Text};

/// Bytes of a URL that comes with a message. A longer one is left out.
const URL_BYTES: usize = 512;

/// What is in a message.
struct Message<'b> {
    from: Option<Text<'b>>,
    to: Option<Text<'b>>,
    id: Option<Text<'b>>,
    kind: Kind,
    has_body: bool,
    subject: Option<Text<'b>>,
    url: Option<Text<'b>>,
    /// Whether he types; `None` when nothing is said of it.
    types: Option<bool>,
    wants_receipt: bool,
    /// A message of ours that he has, and whether he has read it.
    received: Option<(Text<'b>, bool)>,
    /// What our archive knows it by.
    archived: Option<Text<'b>>,
    at: Option<UnixTime>,
    error: Option<Why>,
    is_automatic: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    Text,
    Error,
    /// A room's, or news of some service.
    Other,
}

/// Why a message came back.
#[derive(Clone, Copy)]
struct Why {
    text: &'static str,
    is_final: bool,
}

/// How a message came.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Way {
    Direct,
    Carbon,
    Archive,
}

/// A message that does not fit the window: what is known of it while its text is still to come.
pub struct Large {
    who: Bare,
    way: Way,
    is_own: bool,
    /// The stanza is from our own account, and says so.
    is_of_account: bool,
    /// Nothing of it is wanted.
    is_ignored: bool,
    /// A hash of what names it; 0: nothing does. Each part of the text adds one.
    name: u64,
    parts: u8,
    at: Option<UnixTime>,
    /// How deep the element lies whose body counts, and how deep the body that is being read; 0: none.
    depth: u8,
    body: u8,
    has_body: bool,
}

impl Large {
    /// None.
    pub const NONE: Self = Self {
        who: Bare::new(),
        way: Way::Direct,
        is_own: false,
        is_of_account: false,
        is_ignored: true,
        name: 0,
        parts: 0,
        at: None,
        depth: 0,
        body: 0,
        has_body: false,
    };
}

impl Xmpp {
    /// A message.
    pub(super) fn message<'b, 's>(
        &mut self,
        env: &mut Env<'_, '_>,
        reader: &mut Reader<'b>,
        element: &Element<'b>,
        mut room: Room<'s>,
    ) -> Result<Step<'s>, Fault> {
        let mut message = Message::of(element);
        let mut way = Way::Direct;
        while let Some(child) = reader.child(element)? {
            let wrapper = self.wrapper(env, element, &child);
            match wrapper {
                None => message.part(reader, &child, &self.own, &mut room)?,
                Some(None) => return Ok(Step::Quiet),
                Some(Some(wrapped)) => {
                    room.clear();
                    let Some(inner) = forwarded(reader, &child, &self.own, &mut room)? else { return Ok(Step::Quiet) };
                    (message, way) = (inner, wrapped);
                    if way == Way::Archive {
                        message.archived = child.attribute("id");
                    }
                    break;
                }
            }
        }
        if message.kind == Kind::Error && way == Way::Direct {
            return Ok(self.came_back(env, &message));
        }
        if message.kind != Kind::Text {
            return Ok(Step::Quiet);
        }
        Ok(self.take(env, message, way, room))
    }

    /// What a part of a message is a wrapper for; of a forged one nothing is believed.
    fn wrapper(&self, env: &Env<'_, '_>, outer: &Element<'_>, child: &Element<'_>) -> Option<Option<Way>> {
        let is_carbon = child.namespace == names::CARBONS && matches!(child.name, "sent" | "received");
        let is_result = child.is(names::ARCHIVE, "result");
        if !is_carbon && !is_result {
            return None;
        }
        // XEP-0280 §11: the sender is our own account, and nobody else.
        if !self.is_of_account(outer) || is_carbon && outer.attribute("from").is_none() {
            log::debug!("XMPP {}: a forged copy of a message is left out", env.account.id);
            return Some(None);
        }
        if is_result && !self.is_asked_for(child) {
            return Some(None);
        }
        Some(Some(if is_carbon { Way::Carbon } else { Way::Archive }))
    }

    fn take<'s>(&mut self, env: &mut Env<'_, '_>, message: Message<'_>, way: Way, mut room: Room<'s>) -> Step<'s> {
        let from = message.from.and_then(jid::bare);
        let is_own = from.as_ref().is_some_and(|from| *from == self.own);
        // A word to oneself, or of the account itself.
        if is_own && way == Way::Direct {
            return Step::Quiet;
        }
        // What was sent from here is known; that the archive has it may be news.
        if let Some(id) = message.id.filter(|_| is_own).and_then(|id| text_of(env, id)) {
            let is_news = way == Way::Archive && self.archive.finds(id);
            return if is_news { Step::Event(Event::Sent { id }) } else { Step::Quiet };
        }
        let Some(who) = (if is_own { message.to.and_then(jid::bare) } else { from }) else {
            log::info!("XMPP {}: a message whose sender's address is too long is left out", env.account.id);
            return Step::Quiet;
        };
        // The wrapper did not fit, and has the name.
        let is_known = way == Way::Archive && message.archived.is_none();
        if let Some(id) = message.archived.filter(|_| way != Way::Archive) {
            self.archive.saw(id, env.time);
        }
        if let (Some((id, is_read)), Way::Direct) = (message.received, way)
            && !message.has_body
        {
            return self.seen(env, id, is_read);
        }
        finish_text(&message, &mut room);
        let hash = place_of(env.random, &who);
        if room.is_blank() {
            let is_change = !is_own && way != Way::Archive && message.at.is_none();
            return match message.types {
                Some(types) if is_change && self.peers.heard(hash, types) => {
                    room.finish();
                    Step::Event(Event::Typing { who: room.text(who.chars()), is_on: types })
                }
                _ => Step::Quiet,
            };
        }
        // Who has written does not type any more.
        if !is_own && way == Way::Direct && message.types.is_some() {
            self.peers.heard(hash, false);
        }
        let wants_receipt = message.wants_receipt && message.at.is_none();
        let token = match way {
            Way::Direct => self.acks.unsettled(message.from, message.id, wants_receipt),
            _ => self.acks.unsettled(None, None, false),
        };
        let text = room.finish();
        Step::Event(Event::Message(Incoming {
            who: room.text(who.chars()),
            is_own,
            text,
            name: if is_known { self.large.name } else { name(env.random, message.archived, message.from, message.id) },
            token,
            at: message.at,
            may_answer: !is_own && !message.is_automatic && who.contains('@'),
        }))
    }

    /// A message of ours was delivered, or read.
    fn seen<'s>(&mut self, env: &Env<'_, '_>, id: Text<'_>, is_read: bool) -> Step<'s> {
        let Some(id) = text_of(env, id) else { return Step::Quiet };
        self.acks.received(id);
        Step::Event(Event::Received { id, is_read })
    }

    /// A message of ours came back (RFC 6120 §8.3).
    fn came_back<'s>(&mut self, env: &Env<'_, '_>, message: &Message<'_>) -> Step<'s> {
        match message.id.and_then(|id| text_of(env, id)) {
            Some(id) => {
                self.archive.returns(id);
                let why = message.error.unwrap_or(Why { text: "it came back", is_final: true });
                Step::Event(Event::Failed { id, why: why.text, is_final: why.is_final })
            }
            None => Step::Quiet,
        }
    }

    /// The start tag of a message that does not fit.
    pub(super) fn long_message(&mut self, env: &mut Env<'_, '_>, element: &Element<'_>) {
        let is_of_account = element.attribute("from").is_some() && self.is_of_account(element);
        self.large = Large { depth: 2, is_of_account, ..Large::NONE };
        self.address_long(env, element);
    }

    /// Who wrote a message that does not fit, or whom it is for.
    fn address_long(&mut self, env: &mut Env<'_, '_>, element: &Element<'_>) {
        let from = element.attribute("from").and_then(jid::bare);
        let large = &mut self.large;
        large.is_own = from.as_ref().is_some_and(|from| *from == self.own);
        let who = if large.is_own { element.attribute("to").and_then(jid::bare) } else { from };
        let own_text = element.attribute("id").filter(|_| large.is_own).and_then(|id| text_of(env, id));
        if let Some(text) = own_text.filter(|_| large.way == Way::Archive) {
            self.archive.finds(text);
        }
        let is_known = large.is_own && (large.way == Way::Direct || own_text.is_some());
        large.is_ignored = is_known || who.is_none() || Kind::of(element) != Kind::Text;
        large.who = who.unwrap_or_default();
        if large.way != Way::Archive {
            large.name = name(env.random, None, element.attribute("from"), element.attribute("id"));
        }
    }

    /// An element opens in a message that does not fit.
    pub(super) fn long_opened(&mut self, env: &mut Env<'_, '_>, element: &Element<'_>) {
        let depth = self.splitter.depth() as u8;
        let is_carbon = element.namespace == names::CARBONS && matches!(element.name, "sent" | "received");
        if depth == 3 && (is_carbon || element.is(names::ARCHIVE, "result")) {
            self.large.is_ignored = true;
            if is_carbon && self.large.is_of_account {
                self.large.way = Way::Carbon;
            } else if self.is_asked_for(element) && self.large.is_of_account {
                self.large.way = Way::Archive;
                self.large.name = name(env.random, element.attribute("id"), None, None);
            }
        } else if depth == 5 && self.large.way != Way::Direct && element.is(names::CLIENT, "message") {
            self.large.depth = 5;
            self.address_long(env, element);
        } else if depth == self.large.depth + 1 && element.is(names::CLIENT, "body") && !self.large.has_body {
            (self.large.body, self.large.has_body) = (depth, true);
        }
    }

    /// A whole element in a message that does not fit.
    pub(super) fn long_part<'b, 's>(
        &mut self,
        env: &mut Env<'_, '_>,
        reader: &mut Reader<'b>,
        element: &Element<'b>,
        mut room: Room<'s>,
    ) -> Result<Step<'s>, Fault> {
        let depth = self.splitter.depth() as u8;
        if depth == 4 && self.large.way != Way::Direct && element.is(names::CLIENT, "message") {
            let mut message = Message::of(element);
            while let Some(part) = reader.child(element)? {
                message.part(reader, &part, &self.own, &mut room)?;
            }
            message.at = message.at.or(self.large.at);
            let is_text = message.kind == Kind::Text;
            return Ok(if is_text { self.take(env, message, self.large.way, room) } else { Step::Quiet });
        }
        if (depth == self.large.depth || depth == 4) && element.is(names::DELAY, "delay") {
            self.large.at = stamp(element);
        }
        if depth != self.large.depth {
            return Ok(Step::Quiet);
        }
        let mut message = Message::of(element);
        message.has_body = self.large.has_body;
        message.part(reader, element, &self.own, &mut room)?;
        self.large.has_body = message.has_body;
        if let Some(id) = message.archived.filter(|_| self.large.way != Way::Archive) {
            self.archive.saw(id, env.time);
        }
        Ok(self.tell_part(room))
    }

    /// A part of a text that does not fit.
    pub(super) fn long_text<'s>(&mut self, bytes: &[u8], mut room: Room<'s>) -> Step<'s> {
        if self.large.body == 0 || usize::from(self.large.body) != self.splitter.depth() {
            return Step::Quiet;
        }
        if let Ok(text) = Text::of(bytes) {
            room.put(text.chars());
        }
        self.tell_part(room)
    }

    /// Tells what was read of a text that does not fit. Who writes so much gets no receipt for it.
    fn tell_part<'s>(&mut self, mut room: Room<'s>) -> Step<'s> {
        if self.large.is_ignored || room.is_blank() {
            return Step::Quiet;
        }
        let name = if self.large.name == 0 { 0 } else { self.large.name.wrapping_add(self.large.parts.into()).max(1) };
        self.large.parts = self.large.parts.wrapping_add(1);
        let token = self.acks.unsettled(None, None, false);
        let text = room.finish();
        Step::Event(Event::Message(Incoming {
            who: room.text(self.large.who.chars()),
            is_own: self.large.is_own,
            text,
            name,
            token,
            at: self.large.at,
            may_answer: !self.large.is_own && self.large.who.contains('@'),
        }))
    }

    /// An element ends in a message that does not fit.
    pub(super) fn long_closed(&mut self) {
        if self.splitter.depth() < usize::from(self.large.body) {
            self.large.body = 0;
        }
    }
}

impl<'b> Message<'b> {
    /// What the start tag says.
    fn of(element: &Element<'b>) -> Self {
        Self {
            from: element.attribute("from"),
            to: element.attribute("to"),
            id: element.attribute("id"),
            kind: Kind::of(element),
            has_body: false,
            subject: None,
            url: None,
            types: None,
            wants_receipt: false,
            received: None,
            archived: None,
            at: None,
            error: None,
            is_automatic: false,
        }
    }

    /// Reads an element in it; the body goes into the room.
    fn part(
        &mut self,
        reader: &mut Reader<'b>,
        child: &Element<'b>,
        own: &str,
        room: &mut Room<'_>,
    ) -> Result<(), Fault> {
        if child.namespace == names::STATES {
            self.types = Some(child.name == "composing");
        } else if child.is(names::CLIENT, "body") && !self.has_body {
            self.has_body = true;
            reader.text(child, |c| room.put(core::iter::once(c)))?;
        } else if child.is(names::CLIENT, "subject") {
            self.subject = Some(first_text(reader, child)?);
        } else if child.is(names::CLIENT, "error") {
            self.error = Some(why(reader, child)?);
        } else if child.is(names::RECEIPTS, "request") {
            self.wants_receipt = true;
        } else if child.is(names::RECEIPTS, "received") {
            self.received = child.attribute("id").map(|id| (id, false));
        } else if child.is(names::MARKERS, "displayed") {
            self.received = child.attribute("id").map(|id| (id, true));
        } else if child.is(names::STANZA_IDS, "stanza-id") {
            if child.attribute("by").and_then(jid::bare).is_some_and(|by| by == own) {
                self.archived = child.attribute("id");
            }
        } else if child.is(names::DELAY, "delay") {
            self.at = stamp(child);
        } else if child.is(names::URL, "x") {
            while let Some(url) = reader.child(child)? {
                if url.is(names::URL, "url") {
                    self.url = Some(first_text(reader, &url)?);
                }
            }
        } else if child.is(names::HEADERS, "headers") {
            while let Some(header) = reader.child(child)? {
                self.is_automatic |= header.attribute("name").is_some_and(|name| name.is_word("auto-submitted"))
                    && !first_text(reader, &header)?.is_word("no");
            }
        }
        Ok(())
    }
}

impl Kind {
    fn of(message: &Element<'_>) -> Self {
        let kind = message.attribute("type").map(|kind| kind.cut::<10>()).unwrap_or_default();
        match kind.as_str() {
            "error" => Self::Error,
            "groupchat" | "headline" => Self::Other,
            _ => Self::Text,
        }
    }
}

/// The message in a carbon or a result of the archive.
fn forwarded<'b>(
    reader: &mut Reader<'b>,
    wrapper: &Element<'_>,
    own: &str,
    room: &mut Room<'_>,
) -> Result<Option<Message<'b>>, Fault> {
    let (mut at, mut inner) = (None, None);
    while let Some(forwarded) = reader.child(wrapper)? {
        if !forwarded.is(names::FORWARD, "forwarded") {
            continue;
        }
        while let Some(child) = reader.child(&forwarded)? {
            if child.is(names::DELAY, "delay") {
                at = stamp(&child);
            } else if child.is(names::CLIENT, "message") && inner.is_none() {
                let mut message = Message::of(&child);
                while let Some(part) = reader.child(&child)? {
                    message.part(reader, &part, own, room)?;
                }
                inner = Some(message);
            }
        }
    }
    Ok(inner.map(|inner| Message { at: inner.at.or(at), ..inner }))
}

/// The whole text of a message: without a body its subject, and a URL that is not in it.
fn finish_text(message: &Message<'_>, room: &mut Room<'_>) {
    if !message.has_body {
        room.put(message.subject.into_iter().flat_map(|subject| subject.chars()));
    }
    let Some(url) = message.url.filter(|url| url.raw.len() <= URL_BYTES) else { return };
    let url = url.cut::<URL_BYTES>();
    if !room.has(&url) {
        room.put(if room.is_blank() { "" } else { "\n" }.chars());
        room.put(url.chars());
    }
}

/// When a message was written.
fn stamp(delay: &Element<'_>) -> Option<UnixTime> {
    parse_internet(delay.attribute("stamp")?.cut::<40>().as_bytes())
}

/// Why a message came back.
fn why(reader: &mut Reader<'_>, error: &Element<'_>) -> Result<Why, Fault> {
    let is_final = error.attribute("type").is_none_or(|kind| kind != "wait");
    let mut text = "the network refused it";
    while let Some(condition) = reader.child(error)? {
        text = match condition.name {
            _ if condition.namespace != names::STANZAS => continue,
            "item-not-found" | "jid-malformed" | "gone" => "there is no such address",
            "service-unavailable" | "recipient-unavailable" => "he can't be reached",
            "remote-server-not-found" => "his server can't be found",
            "remote-server-timeout" => "his server does not answer",
            "forbidden" | "not-allowed" | "policy-violation" | "not-authorized" => "he does not take messages",
            "resource-constraint" => "there is no room for it",
            "not-acceptable" => "it is not taken as it is",
            _ => continue,
        };
    }
    Ok(Why { text, is_final })
}

/// A hash of what names a message: its id in our archive, else who wrote it and the id that he gave it; 0 without any.
fn name(random: &Random, archived: Option<Text<'_>>, from: Option<Text<'_>>, id: Option<Text<'_>>) -> u64 {
    let parts = match (archived, from.zip(id)) {
        (Some(id), _) => [id, Text::EMPTY],
        (None, Some((from, id))) => [from, id],
        _ => return 0,
    };
    let mut hash = random.hash(Purpose::Journal);
    for part in parts {
        // What a text is, however it is written.
        part.chars().for_each(|c| hash.put(c.encode_utf8(&mut [0; 4]).as_bytes()));
        hash.put(b"");
    }
    hash.finish().max(1)
}

/// A hash of somebody's bare address.
pub fn place_of(random: &Random, who: &str) -> u32 {
    let mut hash = random.hash(Purpose::Table);
    hash.put(who.as_bytes());
    hash.finish() as u32
}

/// The text of this account that has an id on the wire.
fn text_of(env: &Env<'_, '_>, id: Text<'_>) -> Option<u32> {
    own_id::read_id(env.random, &env.account.id, id)
}
