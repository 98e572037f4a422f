//! Letters: grouped by sender, those with something new first; of one sender in the order of time, texts and recordings
//! together. What she has seen before folds away.

use core::cmp::Reverse;

use heapless::{String, Vec};

use super::frame::form_token;
use super::html::{escape, escape_some};
use super::{Around, Made};
use crate::base::text::Writer;
use crate::base::time::UnixTime;
use crate::home::inbox::{Category, Codec, Inbox, Kept, Letter, LetterHandle, Sender, SenderHandle, State, What};
use crate::spool::{Key, Kind};
use crate::wire::sip::date;

use super::Viewer;

/// Letters on one page.
const PAGE_LETTERS: usize = 50;
/// So many letters that she has seen fold away; fewer stay.
const FOLD_LETTERS: usize = 2;
/// Bytes of a text that are shown on the page. The rest has a page of its own.
pub(crate) const SHOWN_BYTES: usize = 6_000;
/// Bytes of a media type that are shown.
const TYPE_BYTES: usize = 64;

/// The letters of a page.
#[derive(Debug)]
pub(crate) struct Letters {
    pub is_deleted: bool,
    entries: Vec<Entry, PAGE_LETTERS>,
    /// Whether it is not the newest page; and the lowest number on it when there are more.
    is_later: bool,
    older: Option<u32>,
    /// How many are new among all that she may see.
    news: u32,
    /// The next entry, what of it is next, and what its record says.
    at: usize,
    step: Step,
    content: Content,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    letter: LetterHandle,
    sender: SenderHandle,
    number: u32,
    is_new: bool,
    begins_group: bool,
    ends_group: bool,
    /// How many letters fold away from here on; 0: none.
    begins_fold: u8,
    ends_fold: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Step {
    Summary,
    Group,
    Head,
    /// The text from here on.
    Text(usize),
    Foot,
    GroupEnd,
    Pager,
}

/// What the record of the letter at hand says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Content {
    /// It was not asked for.
    Unknown,
    /// It is on its way.
    Asked,
    /// A text, of which so many bytes are in the connection's buffer.
    Text { len: usize, is_cut: bool },
    /// A message of another type.
    Other(String<TYPE_BYTES>),
    /// A recording, of which so much is missing.
    Voice { lost_ms: u32 },
    /// It can't be read.
    Unreadable,
}

impl Content {
    /// Takes a record; what is shown of a text goes into `buffer`.
    pub fn read(payload: Option<&[u8]>, buffer: &mut [u8]) -> Self {
        match payload.and_then(Kept::read).map(|kept| kept.what) {
            Some(What::Text { content_type, encoding, body }) => {
                let Some(text) = readable(content_type, encoding, body) else { return Self::other(content_type) };
                let room = buffer.len().min(SHOWN_BYTES);
                let shown = cut(text, room);
                buffer[..shown.len()].copy_from_slice(shown);
                Self::Text { len: shown.len(), is_cut: shown.len() < text.len() }
            }
            Some(What::Voice { lost_milliseconds, .. }) => Self::Voice { lost_ms: lost_milliseconds },
            _ => Self::Unreadable,
        }
    }

    fn other(content_type: &[u8]) -> Self {
        let media = content_type.split(|byte| *byte == b';').next().unwrap_or_default();
        let mut name = String::new();
        let letters = media.iter().filter(|byte| byte.is_ascii_graphic()).take(TYPE_BYTES);
        letters.for_each(|byte| drop(name.push(char::from(*byte))));
        Self::Other(name)
    }
}

/// What of a body is a text to read: plain text, or that in a `message/cpim` (RFC 3862). `None`: it is of another type.
pub(crate) fn readable<'b>(content_type: &[u8], encoding: &[u8], body: &'b [u8]) -> Option<&'b [u8]> {
    let is = |wanted: &[u8], content_type: &[u8]| {
        let media = content_type.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
        media.eq_ignore_ascii_case(wanted)
    };
    if !(encoding.is_empty() || encoding.eq_ignore_ascii_case(b"identity")) {
        return None;
    }
    if content_type.is_empty() || is(b"text/plain", content_type) {
        return Some(body);
    }
    if !is(b"message/cpim", content_type) {
        return None;
    }
    // The headers of the message, then those of what is in it.
    let (_, inner) = split_head(body)?;
    let (head, text) = split_head(inner)?;
    let field = b"content-type:";
    let content_type = head.split(|byte| *byte == b'\n').find_map(|line| {
        let (name, value) = line.split_at_checked(field.len())?;
        name.eq_ignore_ascii_case(field).then_some(value.trim_ascii())
    });
    content_type.is_none_or(|content_type| is(b"text/plain", content_type)).then_some(text)
}

/// Lines up to an empty one, and what follows.
fn split_head(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut at = 0;
    loop {
        let len = memchr::memchr(b'\n', &bytes[at..])?;
        if bytes[at..at + len].trim_ascii().is_empty() {
            return Some((&bytes[..at], &bytes[at + len + 1..]));
        }
        at += len + 1;
    }
}

/// The beginning of a text, cut between two characters.
fn cut(text: &[u8], room: usize) -> &[u8] {
    if text.len() <= room {
        return text;
    }
    let is_begin = |at: &usize| text[*at] & 0xc0 != 0x80;
    &text[..(room.saturating_sub(3)..=room).rev().find(is_begin).unwrap_or(room)]
}

impl Letters {
    /// The letters that she may see, numbered below `before`: the deleted ones, or all others.
    pub fn collect(inbox: &Inbox, viewer: &Viewer, is_deleted: bool, before: u32) -> Self {
        let is_shown = |letter: &&(LetterHandle, &Letter)| {
            viewer.may_see(letter.1.number) && (letter.1.state == State::Deleted) == is_deleted
        };
        let mut letters = Self {
            is_deleted,
            entries: Vec::new(),
            is_later: false,
            older: None,
            news: 0,
            at: 0,
            step: Step::Summary,
            content: Content::Unknown,
        };
        for (handle, letter) in inbox.letters(viewer.person).filter(|it| is_shown(&it)) {
            let is_new = letter.state == State::New && !letter.is_open;
            letters.news += u32::from(is_new);
            if letter.number >= before {
                letters.is_later = true;
                continue;
            }
            let entry = Entry {
                letter: handle,
                sender: letter.sender,
                number: letter.number,
                is_new: is_new || letter.is_open,
                begins_group: false,
                ends_group: false,
                begins_fold: 0,
                ends_fold: false,
            };
            if letters.entries.push(entry).is_err() && letters.older.is_none() {
                letters.older = letters.entries.last().map(|last| last.number);
            }
        }
        letters.arrange();
        letters
    }

    /// Puts them in order and marks where groups and folds begin and end.
    fn arrange(&mut self) {
        let all: Vec<Entry, PAGE_LETTERS> = self.entries.clone();
        self.entries.sort_unstable_by_key(|entry| {
            let group = || all.iter().filter(|other| other.sender == entry.sender);
            let newest = group().map(|other| other.number).max();
            (!group().any(|other| other.is_new), Reverse(newest), entry.number)
        });
        let mut begin = 0;
        while begin < self.entries.len() {
            let sender = self.entries[begin].sender;
            let len = self.entries[begin..].iter().take_while(|entry| entry.sender == sender).count();
            let group = &mut self.entries[begin..begin + len];
            group[0].begins_group = true;
            group[len - 1].ends_group = true;
            // Of a group without news the last stays in sight.
            let seen = group.iter().position(|entry| entry.is_new).unwrap_or(len - 1);
            if seen >= FOLD_LETTERS && !self.is_deleted {
                group[0].begins_fold = seen as u8;
                group[seen - 1].ends_fold = true;
            }
            begin += len;
        }
    }

    /// The record of the letter at hand was asked for.
    pub fn asked(&mut self) {
        self.content = Content::Asked;
    }

    /// The record of the letter at hand was loaded.
    pub fn loaded(&mut self, content: Content) {
        if self.content == Content::Asked {
            self.content = content;
        }
    }

    /// Writes on; how many bytes, and why it stopped.
    pub fn write(&mut self, around: &Around<'_>, content: &[u8], out: &mut [u8]) -> (usize, Made) {
        let mut len = 0;
        loop {
            if let Some(made) = self.needs_record(around) {
                return (len, made);
            }
            let room = out.get_mut(len..).unwrap_or_default();
            let capacity = room.len();
            let mut writer = Writer::new(room);
            let next = match self.step {
                Step::Text(from) => self.text(content, from, capacity, &mut writer),
                _ => self.part(around, &mut writer),
            };
            match writer.finish() {
                Ok(written) => len += written,
                Err(_) => return (len, Made::More),
            }
            match next {
                Next::Step(step) => self.step = step,
                Next::Letter => {
                    self.at += 1;
                    self.content = Content::Unknown;
                    self.step = if self.at < self.entries.len() { Step::Group } else { Step::Pager };
                }
                Next::More(from) => {
                    self.step = Step::Text(from);
                    return (len, Made::More);
                }
                Next::End => return (len, Made::All),
            }
        }
    }

    /// What has to come first, if anything: the record of a letter, before its head.
    fn needs_record(&self, around: &Around<'_>) -> Option<Made> {
        if self.step != Step::Head {
            return None;
        }
        match self.content {
            Content::Asked => return Some(Made::Wait),
            Content::Unknown => {}
            _ => return None,
        }
        let letter = around.house.inbox().get(self.entries.get(self.at)?.letter)?;
        if letter.is_open || letter.category == Category::Call {
            return None;
        }
        Some(Made::Load(key_of(letter)))
    }

    fn part(&self, around: &Around<'_>, out: &mut Writer<'_>) -> Next {
        if self.step == Step::Summary {
            self.summary(around, out);
            return Next::Step(if self.entries.is_empty() { Step::Pager } else { Step::Group });
        }
        let Some(entry) = self.entries.get(self.at).filter(|_| self.step != Step::Pager) else {
            self.pager(around, out);
            return Next::End;
        };
        let inbox = around.house.inbox();
        let sender = inbox.sender(entry.sender);
        // A letter that is gone since leaves its place empty.
        let letter = inbox.get(entry.letter);
        match self.step {
            Step::Group => {
                if entry.begins_group {
                    self.group(around, sender, entry, out);
                }
                begin_fold(around, entry, out);
                Next::Step(if letter.is_some() { Step::Head } else { Step::GroupEnd })
            }
            Step::Head => {
                letter.into_iter().for_each(|letter| self.head(around, letter, entry, out));
                Next::Step(if matches!(self.content, Content::Text { .. }) { Step::Text(0) } else { Step::Foot })
            }
            Step::Foot => {
                letter.into_iter().for_each(|letter| self.foot(around, letter, sender, out));
                Next::Step(Step::GroupEnd)
            }
            _ => {
                if entry.ends_fold {
                    out.text("</ul></details><ul>");
                }
                if entry.ends_group {
                    self.group_end(around, sender, entry, out);
                }
                Next::Letter
            }
        }
    }

    /// What there is, in a word.
    fn summary(&self, around: &Around<'_>, out: &mut Writer<'_>) {
        let words = around.words;
        if self.entries.is_empty() {
            out.text("<section><p>");
            out.text(words.nothing);
            out.text("</p></section>");
        } else if !self.is_deleted {
            out.text("<p class=\"meta lead\">");
            if self.news > 0 {
                out.number(self.news.into());
                out.text(" ");
                out.text(words.new);
            } else {
                out.text(words.all_heard);
            }
            out.text("</p>");
        }
    }

    fn group(&self, around: &Around<'_>, sender: Option<&Sender>, entry: &Entry, out: &mut Writer<'_>) {
        let words = around.words;
        let news = self.entries.iter().filter(|it| it.sender == entry.sender && it.is_new).count();
        out.text("<section aria-labelledby=\"s");
        out.number(entry.number.into());
        out.text("\"><form method=\"post\" action=\"/letters\">");
        form_token(around, out);
        if self.is_later {
            // Back to this page.
            out.text("<input type=\"hidden\" name=\"before\" value=\"");
            let highest = self.entries.iter().map(|entry| entry.number).max().unwrap_or(0);
            out.number(u64::from(highest) + 1);
            out.text("\">");
        }
        out.text("<div class=\"head\"><div><h2 id=\"s");
        out.number(entry.number.into());
        out.text("\"><bdi>");
        name(sender, out);
        out.text("</bdi></h2><p>");
        if let Some(sender) = sender.filter(|sender| !sender.name.is_empty() || sender.is_stranger) {
            if !sender.name.is_empty() {
                out.text("<bdi>");
                escape(sender.address.as_bytes(), out);
                out.text("</bdi>");
            }
            if sender.is_stranger {
                out.text(if sender.name.is_empty() { "" } else { " · " });
                out.text(words.stranger);
            }
        }
        out.text("</p></div>");
        if news > 1 && !self.is_deleted {
            let newest = self.entries.iter().filter(|it| it.sender == entry.sender).max_by_key(|it| it.number);
            let newest = newest.and_then(|newest| around.house.inbox().get(newest.letter));
            if let Some(newest) = newest {
                button("all", newest.id, words.mark_all, entry.number, 's', out);
            }
        }
        out.text("</div>");
        out.text(if entry.begins_fold > 0 { "" } else { "<ul>" });
    }

    fn group_end(&self, around: &Around<'_>, sender: Option<&Sender>, entry: &Entry, out: &mut Writer<'_>) {
        out.text("</ul></form>");
        let may_reply = around.viewer.is_some_and(|viewer| viewer.may_do_all());
        let has_letter = around.house.inbox().get(entry.letter);
        if let (Some(letter), false) = (has_letter, self.is_deleted) {
            if may_reply {
                reply(around, sender, letter, out);
            } else {
                out.text("<div class=\"reply\"><a href=\"/login\">");
                out.text(around.words.log_in_to_reply);
                out.text("</a></div>");
            }
        }
        out.text("</section>");
    }

    /// A letter up to its text.
    fn head(&self, around: &Around<'_>, letter: &Letter, entry: &Entry, out: &mut Writer<'_>) {
        let words = around.words;
        let is_new = entry.is_new && !self.is_deleted;
        out.text(if is_new { "<li class=\"new\"><p class=\"meta\" id=\"m" } else { "<li><p class=\"meta\" id=\"m" });
        out.number(letter.number.into());
        out.text("\">");
        if is_new {
            out.text("<b>");
            out.text(words.new_mark);
            out.text("</b> · ");
        }
        out.text(match letter.category {
            Category::Text => words.text,
            Category::Voice => words.voice,
            Category::Call => words.call,
        });
        out.text(" · ");
        match letter.category {
            Category::Voice if letter.milliseconds > 0 && !letter.is_open => {
                duration(letter.milliseconds, out);
                out.text(" · ");
            }
            Category::Call if letter.milliseconds >= 1000 => {
                out.text(words.rang);
                out.text(" ");
                out.number((letter.milliseconds / 1000).into());
                out.text(" ");
                out.text(words.seconds);
                out.text(" · ");
            }
            _ => {}
        }
        moment(around, letter.at, out);
        out.text("</p>");
        match &self.content {
            Content::Text { .. } => out.text("<p class=\"say\" dir=\"auto\">"),
            Content::Other(name) => {
                out.text("<p class=\"say\">");
                out.text(words.of_type);
                out.text(" ");
                escape(name.as_bytes(), out);
                out.text("</p>");
            }
            Content::Unreadable => {
                out.text("<p class=\"say\">");
                out.text(words.unreadable);
                out.text("</p>");
            }
            _ => {}
        }
    }

    /// As much of the text as there is room for.
    fn text(&self, content: &[u8], from: usize, capacity: usize, out: &mut Writer<'_>) -> Next {
        const END: &str = "</p>";
        let Content::Text { len, .. } = self.content else { return Next::Step(Step::Foot) };
        let text = content.get(from..len).unwrap_or_default();
        let taken = escape_some(text, capacity.saturating_sub(END.len()), out);
        if taken < text.len() || capacity < END.len() {
            return Next::More(from + taken);
        }
        out.text(END);
        Next::Step(Step::Foot)
    }

    /// What can be done with a letter.
    fn foot(&self, around: &Around<'_>, letter: &Letter, sender: Option<&Sender>, out: &mut Writer<'_>) {
        let words = around.words;
        let is_playable = letter.category == Category::Voice && !letter.is_open && !self.is_deleted;
        if is_playable {
            sound(letter, out);
        }
        if let Content::Voice { lost_ms } = self.content
            && lost_ms > 0
        {
            out.text("<p class=\"meta\">");
            out.text(words.lost);
            out.text(" ");
            out.number(u64::from(lost_ms).div_ceil(1000));
            out.text("</p>");
        }
        if letter.is_open {
            out.text("<p class=\"say\">");
            out.text(words.recording);
            out.text("</p></li>");
            return;
        }
        out.text("<div class=\"do\">");
        if self.is_deleted {
            button("return", letter.id, words.restore, letter.number, 'm', out);
            out.text("</div></li>");
            return;
        }
        match (letter.state, letter.category) {
            (State::New, Category::Voice) => button("read", letter.id, words.mark_heard, letter.number, 'm', out),
            (State::New, _) => button("read", letter.id, words.mark_read, letter.number, 'm', out),
            _ => button("new", letter.id, words.mark_new, letter.number, 'm', out),
        }
        button("delete", letter.id, words.delete, letter.number, 'm', out);
        self.links(around, letter, sender, out);
        out.text("</div></li>");
    }

    fn links(&self, around: &Around<'_>, letter: &Letter, sender: Option<&Sender>, out: &mut Writer<'_>) {
        let words = around.words;
        match (&self.content, letter.category) {
            (_, Category::Voice) => {
                begin_link(letter, out);
                sound_path(letter, out);
                out.text("\" download>");
                out.text(words.download);
                out.text("</a>");
            }
            (Content::Other(_), _) | (Content::Text { is_cut: true, .. }, _) => {
                begin_link(letter, out);
                out.text("/text/");
                out.hex(letter.id, 16);
                let is_text = matches!(self.content, Content::Text { .. });
                out.text(if is_text { "\">" } else { "\" download>" });
                out.text(if is_text { words.whole_text } else { words.download });
                out.text("</a>");
            }
            _ => {}
        }
        if let (Some(sender), true) = (sender, letter.category != Category::Text)
            && sender.address.contains('@')
        {
            begin_link(letter, out);
            out.text("sip:");
            escape(sender.address.as_bytes(), out);
            out.text("\">");
            out.text(words.call_back);
            out.text("</a>");
        }
    }

    fn pager(&self, around: &Around<'_>, out: &mut Writer<'_>) {
        let path = if self.is_deleted { "/deleted" } else { "/" };
        if !self.is_later && self.older.is_none() {
            return;
        }
        out.text("<nav>");
        if self.is_later {
            out.text("<a href=\"");
            out.text(path);
            out.text("\">");
            out.text(around.words.newest);
            out.text("</a>");
        }
        if let Some(older) = self.older {
            out.text("<a rel=\"next\" href=\"");
            out.text(path);
            out.text("?before=");
            out.number(older.into());
            out.text("\">");
            out.text(around.words.older);
            out.text("</a>");
        }
        out.text("</nav>");
    }
}

enum Next {
    Step(Step),
    Letter,
    /// The text goes on from here in the next piece.
    More(usize),
    End,
}

/// The record of a letter.
pub(crate) fn key_of(letter: &Letter) -> Key {
    let kind = match letter.category {
        Category::Text => Kind::Text,
        Category::Voice => Kind::Voice,
        Category::Call => Kind::Call,
    };
    Key { kind, id: letter.id }
}

fn begin_fold(around: &Around<'_>, entry: &Entry, out: &mut Writer<'_>) {
    if entry.begins_fold > 0 {
        out.text("<details><summary>");
        out.text(around.words.earlier);
        out.text(" ");
        out.number(entry.begins_fold.into());
        out.text("</summary><ul>");
    }
}

fn begin_link(letter: &Letter, out: &mut Writer<'_>) {
    out.text("<a class=\"button\" aria-describedby=\"m");
    out.number(letter.number.into());
    out.text("\" href=\"");
}

fn button(action: &str, id: u64, words: &str, described_by: u32, by_letter: char, out: &mut Writer<'_>) {
    out.text("<button name=\"");
    out.text(action);
    out.text("\" value=\"");
    out.hex(id, 16);
    out.text("\" aria-describedby=\"");
    out.put(&[by_letter as u8]);
    out.number(described_by.into());
    out.text("\">");
    out.text(words);
    out.text("</button>");
}

fn sound(letter: &Letter, out: &mut Writer<'_>) {
    out.text("<audio controls preload=\"none\" src=\"");
    sound_path(letter, out);
    out.text("\" aria-labelledby=\"m");
    out.number(letter.number.into());
    out.text("\"></audio>");
}

fn sound_path(letter: &Letter, out: &mut Writer<'_>) {
    out.text("/voice/");
    out.hex(letter.id, 16);
    out.text(if letter.voice == Some(Codec::Opus) { ".ogg" } else { ".wav" });
}

fn name(sender: Option<&Sender>, out: &mut Writer<'_>) {
    if let Some(sender) = sender {
        let name = if sender.name.is_empty() { sender.address.as_str() } else { sender.name.as_str() };
        escape(name.as_bytes(), out);
    }
}

/// The form of an answer to the newest letter of a group.
fn reply(around: &Around<'_>, sender: Option<&Sender>, letter: &Letter, out: &mut Writer<'_>) {
    out.text("<form class=\"reply\" method=\"post\" action=\"/reply\">");
    form_token(around, out);
    out.text("<input type=\"hidden\" name=\"to\" value=\"");
    out.hex(letter.id, 16);
    out.text("\"><label for=\"r");
    out.number(letter.number.into());
    out.text("\">");
    out.text(around.words.reply_to);
    out.text(" <bdi>");
    name(sender, out);
    out.text("</bdi></label><div class=\"row\"><textarea id=\"r");
    out.number(letter.number.into());
    out.text("\" name=\"text\" rows=\"1\" maxlength=\"");
    out.number(REPLY_CHARACTERS);
    out.text("\" required></textarea><button class=\"main\">");
    out.text(around.words.send);
    out.text("</button></div></form>");
}

/// Characters of an answer.
const REPLY_CHARACTERS: u64 = 1000;

/// When something came: how long ago, or what clocks in the home showed; for programs the exact moment.
fn moment(around: &Around<'_>, at: u32, out: &mut Writer<'_>) {
    let words = around.words;
    if at == 0 {
        return out.text(words.no_time);
    }
    let time = UnixTime(at.into());
    out.text("<time datetime=\"");
    date::write_internet(time, out);
    out.text("\">");
    let ago_s = around.time.map_or(u64::MAX, |now| now.0.saturating_sub(time.0));
    match ago_s {
        0..60 => out.text(words.ago_now),
        60..3600 => ago(ago_s / 60, words.ago_minutes, out),
        3600..86_400 => ago(ago_s / 3600, words.ago_hours, out),
        86_400..604_800 => ago(ago_s / 86_400, words.ago_days, out),
        _ => {
            let mut room = [0; 32];
            let mut text = Writer::new(&mut room);
            let zone = &around.house.model().main.timezone;
            date::write_internet(zone.local(time), &mut text);
            // `2010-11-13T23:29:00Z` without the seconds.
            out.put(text.written().get(..10).unwrap_or_default());
            out.text(" ");
            out.put(text.written().get(11..16).unwrap_or_default());
            out.text(if zone.is_known() { "" } else { " UTC" });
        }
    }
    out.text("</time>");
}

fn ago(count: u64, words: &str, out: &mut Writer<'_>) {
    out.number(count);
    out.text(" ");
    out.text(words);
}

/// `1:05`.
fn duration(milliseconds: u32, out: &mut Writer<'_>) {
    let seconds = milliseconds.div_ceil(1000);
    out.number((seconds / 60).into());
    out.text(if seconds % 60 < 10 { ":0" } else { ":" });
    out.number((seconds % 60).into());
}
