//! The archive (XEP-0313): what was written while nobody was connected, or while the person hides.
//!
//! The bookmark is the id of the last message that was seen. While there is none, what was written since the account was
//! first on counts as missed, so that no history comes in; where the time of day is not known then, only the id of the
//! newest message is asked for.
//!
//! The archive has the texts of this account, too. After a login no text goes out before the archive was read: one that
//! was on its way when the connection or the program ended is found there by its id, and not sent twice.

use heapless::{HistoryBuf, String};

use super::login::first_text;
use super::{ANSWER_MS, HIDDEN_MS, Xmpp, names, write};
use crate::base::text::Writer;
use crate::base::time::{Instant, UnixTime};
use crate::bridge::{Env, Step};
use crate::wire::sip::date::write_internet;
use crate::wire::xml::{Element, Fault, Reader, Text};

/// Messages of one page.
const PAGE: u64 = 20;
/// Bytes of the id of a message. A longer one is no bookmark.
pub const ID_BYTES: usize = 128;
/// Texts of ours that were found and may be given to be sent again. More: the oldest is forgotten, and may go out twice.
const FOUND: usize = 32;
/// Texts that came back, of which the archive can't say whether they arrived later.
const RETURNED: usize = 8;
/// Seconds by which the server's clock may be behind ours.
const CLOCKS_S: u64 = 10;
/// What a bookmark begins with that is a time. Ids have no blanks.
const SINCE: &str = "since ";

/// What is known of the archive.
pub struct Archive {
    there: There,
    asking: Asking,
    bookmark: String<ID_BYTES, u8>,
    /// Where to begin without a bookmark, or when the archive has forgotten it; seconds since 1970, 0: not known.
    since: u64,
    /// The bookmark is to be told.
    has_news: bool,
    /// When it was asked last, and whether it is to be asked again from time to time.
    asked: Instant,
    is_hidden: bool,
    /// Texts wait until it was read; until so long after the last question.
    is_holding: bool,
    /// They do not wait any more, and who drives the connector is to know.
    is_released: bool,
    /// Texts of ours that it has.
    found: HistoryBuf<u32, FOUND>,
    returned: HistoryBuf<u32, RETURNED>,
}

/// Whether the server has one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum There {
    /// Neither the server nor the account has said.
    Unknown,
    /// One of them has, and it is not said to be there.
    Half,
    No,
    Yes,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Asking {
    Nothing,
    /// For the id of the newest message.
    Newest,
    /// For what follows the bookmark, or a time.
    Missed,
}

impl Archive {
    /// Nothing is known.
    pub const fn new() -> Self {
        Self {
            there: There::Unknown,
            asking: Asking::Nothing,
            bookmark: String::new(),
            since: 0,
            has_news: false,
            asked: Instant::ZERO,
            is_hidden: false,
            is_holding: false,
            is_released: false,
            found: HistoryBuf::new(),
            returned: HistoryBuf::new(),
        }
    }

    /// Takes back a bookmark.
    pub fn restore(&mut self, bookmark: &str) {
        match bookmark.strip_prefix(SINCE).and_then(|time| time.parse().ok()) {
            Some(since) => self.since = since,
            None => self.bookmark = String::try_from(bookmark).unwrap_or_default(),
        }
    }

    /// A new session begins.
    pub fn begin(&mut self, now: Instant, time: Option<UnixTime>) {
        (self.there, self.asking, self.is_hidden) = (There::Unknown, Asking::Nothing, false);
        (self.asked, self.is_holding) = (now, true);
        if let Some(time) = time.filter(|_| self.since == 0) {
            self.since = time.0.saturating_sub(CLOCKS_S).max(1);
            self.has_news = self.bookmark.is_empty();
        }
    }

    /// Whether the server has one.
    pub fn is_there(&self) -> bool {
        self.there == There::Yes
    }

    /// The server, or the account, has said what it can do: whether there is an archive that nobody knew of.
    pub fn learned(&mut self, has_one: bool) -> bool {
        let was = self.there;
        self.there = match was {
            There::Yes => There::Yes,
            _ if has_one => There::Yes,
            There::Unknown => There::Half,
            There::Half | There::No => There::No,
        };
        if self.there == There::No {
            self.release();
        }
        has_one && was != There::Yes
    }

    /// Whether messages that nobody asked for are ones that were missed.
    pub fn is_catching_up(&self) -> bool {
        self.asking == Asking::Missed
    }

    /// The person hides, or shows herself: whether the archive is to be asked now.
    pub fn hide(&mut self, is_hidden: bool) -> bool {
        core::mem::replace(&mut self.is_hidden, is_hidden) && !is_hidden && self.is_there()
    }

    /// When it is to be asked again, or texts have waited long enough.
    pub fn next(&self) -> Option<Instant> {
        let pause_ms = if self.is_holding { ANSWER_MS } else { HIDDEN_MS };
        (self.is_holding || self.is_there() && self.is_hidden).then_some(self.asked.plus(pause_ms))
    }

    /// Whether that has come.
    pub fn is_due(&self, now: Instant) -> bool {
        self.next().is_some_and(|next| next <= now)
    }

    /// Whether texts have to wait.
    pub fn is_holding(&self) -> bool {
        self.is_holding
    }

    /// Texts need not wait any more.
    pub fn release(&mut self) {
        self.is_released |= core::mem::replace(&mut self.is_holding, false);
    }

    /// Takes the news that texts need not wait any more.
    pub fn was_released(&mut self) -> bool {
        core::mem::replace(&mut self.is_released, false)
    }

    /// A text of ours is in the archive: whether it has arrived by that.
    pub fn finds(&mut self, text: u32) -> bool {
        if !self.has(text) {
            self.found.write(text);
        }
        !self.has_returned(text)
    }

    /// Whether a text of ours was found there.
    pub fn has(&self, text: u32) -> bool {
        self.found.contains(&text) && !self.has_returned(text)
    }

    /// A text of ours came back: that it is in the archive says nothing any more.
    pub fn returns(&mut self, text: u32) {
        if !self.has_returned(text) {
            self.returned.write(text);
        }
    }

    fn has_returned(&self, text: u32) -> bool {
        self.returned.contains(&text)
    }

    /// A message has come in that the archive knows by this id. While older ones are still to come it is not remembered.
    pub fn saw(&mut self, id: Text<'_>, time: Option<UnixTime>) {
        if self.is_there() && self.asking == Asking::Nothing {
            self.mark(id);
            self.since = time.map_or(self.since, |time| time.0.saturating_sub(CLOCKS_S).max(1));
        }
    }

    /// Whether there is something to be told.
    pub fn has_news(&self) -> bool {
        self.has_news && self.is_there() || self.is_released
    }

    /// Takes the bookmark that is to be told.
    pub fn news<'o>(&mut self, room: &'o mut [u8; ID_BYTES]) -> Option<&'o str> {
        if !core::mem::replace(&mut self.has_news, false) {
            return None;
        }
        let mut out = Writer::new(room);
        if self.bookmark.is_empty() {
            out.text(SINCE);
            out.number(self.since);
        } else {
            out.text(&self.bookmark);
        }
        let len = out.len();
        str::from_utf8(&room[..len]).ok()
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
    /// Asks for what follows the bookmark; without one, for what was written since the account was first on.
    pub(super) fn ask_archive(&mut self, env: &mut Env<'_, '_>) {
        let archive = &mut self.archive;
        let (has_bookmark, has_time) = (!archive.bookmark.is_empty(), archive.since != 0);
        archive.asking = if has_bookmark || has_time { Asking::Missed } else { Asking::Newest };
        archive.asked = env.now;
        env.out.text("<iq type='set' id='pcs-archive'><query xmlns='urn:xmpp:mam:2' queryid='pcs-archive'>");
        if !has_bookmark && has_time {
            env.out.text("<x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE' type='hidden'>");
            env.out.text("<value>urn:xmpp:mam:2</value></field><field var='start'><value>");
            write_internet(UnixTime(archive.since), env.out);
            env.out.text("</value></field></x>");
        }
        env.out.text("<set xmlns='http://jabber.org/protocol/rsm'><max>");
        env.out.number(if archive.asking == Asking::Missed { PAGE } else { 1 });
        env.out.text("</max>");
        if has_bookmark {
            env.out.text("<after>");
            write::text(&archive.bookmark, env.out);
            env.out.text("</after>");
        } else if !has_time {
            env.out.text("<before/>");
        }
        env.out.text("</set></query></iq>");
        self.acks.sends_setup();
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
                let is_forgotten = is_error && part.is(names::STANZAS, "item-not-found");
                if is_forgotten && !self.archive.bookmark.is_empty() {
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
                return Ok(Step::Quiet);
            }
        }
        self.archive.release();
        Ok(Step::Quiet)
    }

    /// Whether a result of the archive is one that was asked for.
    pub(super) fn is_asked_for(&self, result: &Element<'_>) -> bool {
        result.is(names::ARCHIVE, "result")
            && result.attribute("queryid").is_some_and(|id| id == names::ids::ARCHIVE)
            && self.archive.is_catching_up()
    }
}
