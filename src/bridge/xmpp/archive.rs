//! The archive (XEP-0313): what was written while nobody was connected, or while the person hides.
//!
//! The bookmark is the id of the last message that was seen. At the first start of all there is none: only the id of the
//! newest message is asked for then, and no history.

use heapless::String;

use super::login::first_text;
use super::{HIDDEN_MS, Xmpp, names, write};
use crate::base::time::Instant;
use crate::bridge::{Env, Step};
use crate::wire::xml::{Element, Fault, Reader, Text};

/// Messages of one page.
const PAGE: u64 = 20;
/// Bytes of the id of a message. A longer one is no bookmark.
const ID_BYTES: usize = 128;

/// What is known of the archive.
pub struct Archive {
    /// The server has one.
    is_there: bool,
    asking: Asking,
    bookmark: String<ID_BYTES, u8>,
    /// The bookmark is to be told.
    has_news: bool,
    /// When it was asked last, and whether it is to be asked again from time to time.
    asked: Instant,
    is_hidden: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Asking {
    Nothing,
    /// For the id of the newest message.
    Newest,
    /// For what follows the bookmark.
    Missed,
}

impl Archive {
    /// Nothing is known.
    pub const fn new() -> Self {
        Self {
            is_there: false,
            asking: Asking::Nothing,
            bookmark: String::new(),
            has_news: false,
            asked: Instant::ZERO,
            is_hidden: false,
        }
    }

    /// Takes back a bookmark.
    pub fn restore(&mut self, bookmark: &str) {
        self.bookmark = String::try_from(bookmark).unwrap_or_default();
    }

    /// A new session begins.
    pub fn begin(&mut self) {
        (self.is_there, self.asking, self.is_hidden) = (false, Asking::Nothing, false);
    }

    /// Whether the server has one.
    pub fn is_there(&self) -> bool {
        self.is_there
    }

    /// The server has one: whether that is new.
    pub fn found(&mut self) -> bool {
        !core::mem::replace(&mut self.is_there, true)
    }

    /// Whether messages that nobody asked for are ones that were missed.
    pub fn is_catching_up(&self) -> bool {
        self.asking == Asking::Missed
    }

    /// The person hides, or shows herself: whether the archive is to be asked now.
    pub fn hide(&mut self, is_hidden: bool) -> bool {
        core::mem::replace(&mut self.is_hidden, is_hidden) && !is_hidden && self.is_there
    }

    /// When it is to be asked again.
    pub fn next(&self) -> Option<Instant> {
        (self.is_there && self.is_hidden).then_some(self.asked.plus(HIDDEN_MS))
    }

    /// Whether it is to be asked again.
    pub fn is_due(&self, now: Instant) -> bool {
        self.next().is_some_and(|next| next <= now)
    }

    /// A message has come in that the archive knows by this id. While older ones are still to come it is not remembered.
    pub fn saw(&mut self, id: Text<'_>) {
        if self.is_there && self.asking == Asking::Nothing {
            self.mark(id);
        }
    }

    /// Whether there is a bookmark to be told.
    pub fn has_news(&self) -> bool {
        self.has_news
    }

    /// Takes the bookmark that is to be told.
    pub fn news(&mut self) -> Option<&str> {
        core::mem::replace(&mut self.has_news, false).then_some(self.bookmark.as_str())
    }

    fn mark(&mut self, id: Text<'_>) {
        if id.raw.len() <= ID_BYTES && !id.raw.is_empty() {
            self.bookmark.clear();
            // Written out it is no longer than it stands there.
            id.chars().for_each(|c| drop(self.bookmark.push(c)));
            self.has_news = true;
        }
    }
}

impl Xmpp {
    /// Asks for what follows the bookmark; without one, for the newest message's id.
    pub(super) fn ask_archive(&mut self, env: &mut Env<'_, '_>) {
        let has_bookmark = !self.archive.bookmark.is_empty();
        self.archive.asking = if has_bookmark { Asking::Missed } else { Asking::Newest };
        self.archive.asked = env.now;
        env.out.text("<iq type='set' id='pcs-archive'><query xmlns='urn:xmpp:mam:2' queryid='pcs-archive'>");
        env.out.text("<set xmlns='http://jabber.org/protocol/rsm'><max>");
        env.out.number(if has_bookmark { PAGE } else { 1 });
        env.out.text("</max>");
        if has_bookmark {
            env.out.text("<after>");
            write::text(&self.archive.bookmark, env.out);
            env.out.text("</after>");
        } else {
            env.out.text("<before/>");
        }
        env.out.text("</set></query></iq>");
        self.acks.sends_vital();
    }

    /// The end of a page.
    pub(super) fn archive_answer<'s>(
        &mut self,
        env: &mut Env<'_, '_>,
        reader: &mut Reader<'_>,
        iq: &Element<'_>,
        is_error: bool,
    ) -> Result<Step<'s>, Fault> {
        let asked = core::mem::replace(&mut self.archive.asking, Asking::Nothing);
        if asked == Asking::Nothing || !self.is_of_account(iq) {
            self.archive.asking = asked;
            return Ok(Step::Quiet);
        }
        let (mut is_complete, mut last) = (true, None);
        while let Some(child) = reader.child(iq)? {
            let is_fin = child.is(names::ARCHIVE, "fin");
            if is_fin {
                is_complete = child.attribute("complete").is_some_and(|it| it == "true" || it == "1");
            }
            while let Some(part) = reader.child(&child)? {
                if is_error && part.is(names::STANZAS, "item-not-found") && asked == Asking::Missed {
                    log::info!("XMPP {}: the archive does not go back to where it was read last", env.account.id);
                    self.archive.bookmark.clear();
                    self.ask_archive(env);
                    return Ok(Step::Quiet);
                }
                while let Some(page) = reader.child(&part)? {
                    if is_fin && page.is(names::PAGES, "last") {
                        last = Some(first_text(reader, &page)?);
                    }
                }
            }
        }
        if let Some(last) = last.filter(|last| *last != self.archive.bookmark.as_str() && !is_error) {
            self.archive.mark(last);
            if asked == Asking::Missed && !is_complete {
                self.ask_archive(env);
            }
        }
        Ok(Step::Quiet)
    }

    /// Whether a result of the archive is one that was asked for.
    pub(super) fn is_asked_for(&self, result: &Element<'_>) -> bool {
        result.is(names::ARCHIVE, "result")
            && result.attribute("queryid").is_some_and(|id| id == names::ids::ARCHIVE)
            && self.archive.is_catching_up()
    }
}
