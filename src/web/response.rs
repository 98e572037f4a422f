//! Responses: their heads, and their bodies piece by piece as the connection takes them.
//!
//! Pages come in chunks, for their length is not known before they are made. Sound has a known length: that of WAV is 44 +
//! 2 bytes for each byte of G.711, so any range of it is made from the same range of the blob.

use super::assets::Asset;
use super::house::House;
use super::page::{Content, Made, Notice, Page, View, readable};
use super::session::Token;
use super::{Step, Unavailable};
use crate::base::text::Writer;
use crate::home::inbox::{Codec, Kept, What};
use crate::media::g711::Law;
use crate::media::wav;
use crate::spool::Key;
use crate::wire::http::{Framing, Range, write_status};

/// A response on its way.
#[derive(Debug)]
pub(super) struct Response {
    pub status: u16,
    pub body: Body,
    pub cookie: Option<Cookie>,
    pub manner: Manner,
    has_head: bool,
    is_over: bool,
}

/// How a response is given.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Manner {
    /// Whether only the head was asked for.
    pub is_head: bool,
    /// Whether another request may follow.
    pub keep_alive: bool,
    pub is_version_1_1: bool,
    /// Whether the connection is one over TLS.
    pub is_secure: bool,
}

/// What becomes of the cookie with the session's token.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Cookie {
    /// It is this one, for so many seconds.
    Set(Token, u64),
    Clear,
}

// There is no allocator to make them smaller with.
#[allow(clippy::large_enum_variant)]
#[derive(Debug)]
pub(super) enum Body {
    Page(Page),
    /// The answer to a form: the page is elsewhere.
    Elsewhere(Place),
    /// A file, and where it goes on.
    Asset(&'static Asset, usize),
    /// The client has it.
    NotModified(&'static Asset),
    Sound(Sound),
    /// A range that is not there, of something with so many bytes.
    NoRange(u64),
    Document(Document),
}

/// A place to go on at.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Place {
    /// Letters below a number; which was deleted, by its id, if one was, and whether it was new.
    Letters {
        before: u32,
        deleted: Option<(u64, bool)>,
    },
    Deleted,
    Sent,
    Saved,
    Login,
}

/// A recording or greeting.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Sound {
    pub key: Key,
    /// Opus comes as the Ogg file that the blob is; all else as WAV.
    pub codec: Codec,
    /// Bytes of the blob.
    pub blob_bytes: u32,
    /// The entity tag.
    pub tag: u64,
    /// What of the file is given, and whether that is less than all.
    pub range: Range,
    pub is_part: bool,
    /// Where it goes on.
    pub at: u64,
    piece: Piece,
}

/// The body of a letter.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Document {
    pub key: Key,
    /// Bytes of the body; known when the first piece has come.
    size: usize,
    is_text: bool,
    /// How much of it was given.
    at: usize,
    piece: Piece,
}

/// A part of a record or blob, on its way through the connection's buffer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Piece {
    None,
    Asked,
    /// So many bytes of the buffer; where they begin in the blob or body.
    Here {
        from: u64,
        len: usize,
    },
    /// It can't be read.
    Unavailable,
}

impl Response {
    pub const fn new(status: u16, body: Body, manner: Manner) -> Self {
        Self { status, body, cookie: None, manner, has_head: false, is_over: false }
    }

    /// The next piece of it. `buffer` is what was loaded for it.
    pub fn produce(&mut self, house: &dyn House, buffer: &[u8], out: &mut [u8]) -> Step {
        if self.is_over {
            return Step::Nothing;
        }
        // The head of a document says what the record says.
        if let Body::Document(document) = &mut self.body
            && let Some(step) = document.prepare(&mut self.status)
        {
            return step;
        }
        let mut len = 0;
        if !self.has_head {
            let mut writer = Writer::new(out);
            self.write_head(&mut writer);
            let Ok(written) = writer.finish() else { return self.give_up() };
            (len, self.has_head, self.is_over) = (written, true, self.manner.is_head);
        }
        let room = out.get_mut(len..).unwrap_or_default();
        let (written, more) = if self.is_over { (0, More::Nothing) } else { self.body_piece(house, buffer, room) };
        self.is_over |= more == More::Nothing;
        match more {
            _ if len + written > 0 => Step::Bytes(len + written),
            More::Nothing => Step::Nothing,
            More::Load(key) => self.ask(Step::Load { key }),
            More::Read(key, offset, len) => self.ask(Step::Read { key, offset, len }),
            More::Wait => Step::Wait,
            // Not even one part fits into all the room, or what was promised is not there.
            More::Bytes | More::Broken => self.give_up(),
        }
    }

    fn body_piece(&mut self, house: &dyn House, buffer: &[u8], room: &mut [u8]) -> (usize, More) {
        match &mut self.body {
            Body::Page(page) => page_piece(page, house, buffer, self.manner.is_version_1_1, room),
            Body::Asset(asset, at) => {
                let rest = asset.bytes.get(*at..).unwrap_or_default();
                let len = rest.len().min(room.len());
                room[..len].copy_from_slice(&rest[..len]);
                *at += len;
                (len, if len == rest.len() { More::Nothing } else { More::Bytes })
            }
            Body::Sound(sound) => sound.piece(buffer, room),
            Body::Document(document) => document.body_piece(buffer, room),
            Body::Elsewhere(_) | Body::NotModified(_) | Body::NoRange(_) => (0, More::Nothing),
        }
    }

    /// Notes that something is being asked for.
    fn ask(&mut self, step: Step) -> Step {
        match &mut self.body {
            Body::Page(Page { view: View::Letters(letters), .. }) => letters.asked(),
            Body::Sound(sound) => sound.piece = Piece::Asked,
            Body::Document(document) => document.piece = Piece::Asked,
            _ => {}
        }
        step
    }

    /// What was asked for has come. It goes into the connection's buffer as far as it is needed.
    pub fn loaded(&mut self, outcome: Result<&[u8], Unavailable>, buffer: &mut [u8]) {
        match &mut self.body {
            Body::Page(Page { view: View::Letters(letters), .. }) => {
                letters.loaded(Content::read(outcome.ok(), buffer));
            }
            Body::Sound(sound) if sound.piece == Piece::Asked => {
                sound.piece = match outcome {
                    Ok(bytes) if !bytes.is_empty() => {
                        let len = bytes.len().min(buffer.len());
                        buffer[..len].copy_from_slice(&bytes[..len]);
                        Piece::Here { from: sound.needs().0.into(), len }
                    }
                    // A blob that ends early is one that is gone.
                    _ => Piece::Unavailable,
                }
            }
            Body::Document(document) => document.loaded(outcome, buffer),
            _ => {}
        }
    }

    fn give_up(&mut self) -> Step {
        (self.is_over, self.manner.keep_alive) = (true, false);
        Step::Close
    }

    fn write_head(&self, out: &mut Writer<'_>) {
        write_status(self.status, out);
        let framing = match &self.body {
            Body::Page(_) if self.manner.is_version_1_1 => Framing::Chunked,
            Body::Page(_) => Framing::Close,
            Body::Asset(asset, _) => Framing::Length(asset.bytes.len() as u64),
            Body::Sound(sound) => Framing::Length(sound.range.end - sound.range.start),
            Body::Document(document) => Framing::Length(document.size as u64),
            // RFC 9110 §8.6: a 304 says the length of what it does not send, or nothing; all others have no body.
            Body::NotModified(asset) => Framing::Length(asset.bytes.len() as u64),
            Body::Elsewhere(_) | Body::NoRange(_) => Framing::Length(0),
        };
        framing.write(self.keeps_alive(), out);
        self.body.write_fields(out);
        if let Some(cookie) = self.cookie {
            cookie.write(self.manner.is_secure, out);
        }
        if let Body::Page(Page { notice: Notice::Wait(seconds), .. }) = self.body {
            out.text("Retry-After: ");
            out.number(seconds);
            out.text("\r\n");
        }
        if self.status == 405 {
            out.text("Allow: GET, HEAD, POST\r\n");
        }
        out.text(ALWAYS);
    }

    /// Whether another request may follow it.
    pub const fn keeps_alive(&self) -> bool {
        // A body whose end is that of the connection.
        let is_close_framed = matches!(self.body, Body::Page(_)) && !self.manner.is_version_1_1;
        self.manner.keep_alive && !is_close_framed
    }
}

/// What every response says (the CSP of Content Security Policy 3; the others of the Fetch standard and Referrer Policy).
const ALWAYS: &str = "Content-Security-Policy: default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; \
    media-src 'self'; connect-src 'self'; manifest-src 'self'; form-action 'self'; frame-ancestors 'none'; \
    base-uri 'none'\r\nX-Content-Type-Options: nosniff\r\nReferrer-Policy: no-referrer\r\n\
    Cross-Origin-Resource-Policy: same-origin\r\n\r\n";

/// What follows behind the bytes that were written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum More {
    /// More bytes.
    Bytes,
    /// A record has to be loaded first.
    Load(Key),
    /// A part of a blob has to be read first.
    Read(Key, u32, u32),
    /// What was asked for has to come.
    Wait,
    Nothing,
    /// It can't go on.
    Broken,
}

impl Body {
    fn write_fields(&self, out: &mut Writer<'_>) {
        match self {
            Self::Page(_) => out.text("Content-Type: text/html; charset=utf-8\r\nCache-Control: no-store\r\n"),
            Self::Elsewhere(place) => {
                out.text("Location: ");
                place.write(out);
                out.text("\r\nCache-Control: no-store\r\n");
            }
            Self::Asset(asset, _) | Self::NotModified(asset) => {
                out.text("Content-Type: ");
                out.text(asset.content_type);
                out.text("\r\nCache-Control: max-age=3600\r\nETag: ");
                write_tag(asset.version(), out);
                out.text("\r\n");
            }
            Self::Sound(sound) => sound.write_fields(out),
            Self::NoRange(length) => {
                out.text("Content-Range: bytes */");
                out.number(*length);
                out.text("\r\nCache-Control: no-store\r\n");
            }
            Self::Document(document) => out.text(if document.is_text {
                "Content-Type: text/plain; charset=utf-8\r\nCache-Control: no-store\r\n"
            } else {
                "Content-Type: application/octet-stream\r\nContent-Disposition: attachment\r\n\
                 Cache-Control: no-store\r\n"
            }),
        }
    }
}

/// Writes an entity tag.
pub(super) fn write_tag(tag: u64, out: &mut Writer<'_>) {
    out.text("\"");
    out.hex(tag, 16);
    out.text("\"");
}

impl Cookie {
    /// The cookie's name: over TLS one that no other origin can set.
    pub const fn name(is_secure: bool) -> &'static str {
        if is_secure { "__Host-pcs" } else { "pcs" }
    }

    fn write(self, is_secure: bool, out: &mut Writer<'_>) {
        out.text("Set-Cookie: ");
        out.text(Self::name(is_secure));
        out.text("=");
        let life_s = match self {
            Self::Set(token, life_s) => {
                out.put(&token);
                life_s
            }
            Self::Clear => 0,
        };
        out.text("; Path=/; Max-Age=");
        out.number(life_s);
        out.text(if is_secure { "; HttpOnly; SameSite=Strict; Secure\r\n" } else { "; HttpOnly; SameSite=Strict\r\n" });
    }
}

impl Place {
    fn write(self, out: &mut Writer<'_>) {
        match self {
            Self::Letters { before, deleted } => {
                out.text("/");
                if let Some((id, was_new)) = deleted {
                    out.text(if was_new { "?deleted-new=" } else { "?deleted=" });
                    out.hex(id, 16);
                }
                if before < u32::MAX {
                    out.text(if deleted.is_some() { "&before=" } else { "?before=" });
                    out.number(before.into());
                }
            }
            Self::Deleted => out.text("/deleted"),
            Self::Sent => out.text("/?sent"),
            Self::Saved => out.text("/settings?saved"),
            Self::Login => out.text("/login"),
        }
    }
}

/// Bytes before and behind the content of a chunk, the last chunk included.
const CHUNK_HEAD_BYTES: usize = "1fff\r\n".len();
const CHUNK_END: &[u8] = b"\r\n";
const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

fn page_piece(page: &mut Page, house: &dyn House, buffer: &[u8], is_chunked: bool, out: &mut [u8]) -> (usize, More) {
    let (before, behind) = if is_chunked { (CHUNK_HEAD_BYTES, CHUNK_END.len() + LAST_CHUNK.len()) } else { (0, 0) };
    let end = out.len().min(0xffff).saturating_sub(behind);
    let (len, made) = page.write(house, buffer, out.get_mut(before..end).unwrap_or_default());
    let more = match made {
        Made::More => More::Bytes,
        Made::Load(key) => More::Load(key),
        Made::Wait => More::Wait,
        Made::All => More::Nothing,
    };
    if !is_chunked || len == 0 && made != Made::All {
        return (len, more);
    }
    let mut writer = Writer::new(out);
    if len > 0 {
        writer.hex(len as u64, 4);
        writer.put(CHUNK_END);
    }
    let head = writer.len();
    let end = head + len;
    let mut tail = Writer::new(out.get_mut(end..).unwrap_or_default());
    if len > 0 {
        tail.put(CHUNK_END);
    }
    if made == Made::All {
        tail.put(LAST_CHUNK);
    }
    (end + tail.len(), more)
}

impl Sound {
    /// All of a recording or greeting as a file.
    pub const fn new(key: Key, codec: Codec, blob_bytes: u32, tag: u64) -> Self {
        let range = Range { start: 0, end: 0 };
        let mut sound = Self { key, codec, blob_bytes, tag, range, is_part: false, at: 0, piece: Piece::None };
        sound.range.end = sound.length();
        sound
    }

    /// Gives a part of it only.
    pub const fn part(mut self, range: Range) -> Self {
        (self.range, self.at, self.is_part) = (range, range.start, true);
        self
    }

    /// Bytes of the whole file.
    pub const fn length(&self) -> u64 {
        match self.law() {
            Some(_) => wav::len(self.blob_bytes) as u64,
            None => self.blob_bytes as u64,
        }
    }

    const fn law(&self) -> Option<Law> {
        match self.codec {
            Codec::Alaw => Some(Law::A),
            Codec::Ulaw => Some(Law::Mu),
            Codec::Opus => None,
        }
    }

    fn write_fields(&self, out: &mut Writer<'_>) {
        let media = if self.law().is_some() { "audio/wav" } else { "audio/ogg" };
        out.text("Content-Type: ");
        out.text(media);
        out.text("\r\nAccept-Ranges: bytes\r\nCache-Control: no-store\r\nETag: ");
        write_tag(self.tag, out);
        out.text("\r\n");
        if self.is_part {
            self.range.write(self.length(), out);
        }
    }

    /// Which bytes of the blob come next, at most as many as become one piece.
    fn needs(&self) -> (u32, u32) {
        // All of them are below 4 GiB.
        let (start, end) = (self.at as u32, self.range.end as u32);
        let (needed, most) = match self.law() {
            Some(_) => (wav::needed(&(start..end)), PIECE_BYTES / 2),
            None => (start..end, PIECE_BYTES),
        };
        (needed.start, (needed.end - needed.start).min(most))
    }

    fn piece(&mut self, buffer: &[u8], out: &mut [u8]) -> (usize, More) {
        let mut len = 0;
        while self.at < self.range.end {
            let written = match self.piece {
                Piece::Unavailable => return (len, More::Broken),
                Piece::Asked => return (len, More::Wait),
                Piece::None => self.render(0, &[], &mut out[len..]),
                Piece::Here { from, len: have } => {
                    let blob = buffer.get(..have).unwrap_or_default();
                    self.render(from as u32, blob, &mut out[len..])
                }
            };
            (len, self.at) = (len + written, self.at + written as u64);
            if len == out.len() {
                break;
            }
            if written == 0 {
                // What is there is used up.
                self.piece = Piece::None;
                let (offset, wanted) = self.needs();
                return (len, More::Read(self.key, offset, wanted));
            }
        }
        (len, if self.at < self.range.end { More::Bytes } else { More::Nothing })
    }

    fn render(&self, from: u32, blob: &[u8], out: &mut [u8]) -> usize {
        let (start, end) = (self.at as u32, self.range.end as u32);
        match self.law() {
            Some(law) => wav::render(start..end, self.blob_bytes, law, from, blob, out),
            None => {
                let here = start.checked_sub(from).and_then(|skip| blob.get(skip as usize..)).unwrap_or_default();
                let len = here.len().min(out.len()).min((end - start) as usize);
                out[..len].copy_from_slice(&here[..len]);
                len
            }
        }
    }
}

/// Bytes of sound in one piece at most.
const PIECE_BYTES: u32 = 8 * 1024;

impl Document {
    /// The body of a letter.
    pub const fn new(key: Key) -> Self {
        Self { key, size: 0, is_text: false, at: 0, piece: Piece::None }
    }

    /// What has to come before the head can be written.
    fn prepare(&mut self, status: &mut u16) -> Option<Step> {
        match self.piece {
            Piece::None if self.at == 0 => {
                self.piece = Piece::Asked;
                Some(Step::Load { key: self.key })
            }
            Piece::Asked if self.at == 0 => Some(Step::Wait),
            Piece::Unavailable if self.at == 0 => {
                *status = 503;
                None
            }
            _ => None,
        }
    }

    fn loaded(&mut self, outcome: Result<&[u8], Unavailable>, buffer: &mut [u8]) {
        let what = outcome.ok().and_then(Kept::read).map(|kept| kept.what);
        let Some(What::Text { content_type, encoding, body }) = what else {
            self.piece = Piece::Unavailable;
            return;
        };
        let text = readable(content_type, encoding, body);
        let whole = text.unwrap_or(body);
        (self.is_text, self.size) = (text.is_some(), whole.len());
        let rest = whole.get(self.at..).unwrap_or_default();
        let len = rest.len().min(buffer.len());
        buffer[..len].copy_from_slice(&rest[..len]);
        self.piece = Piece::Here { from: self.at as u64, len };
    }

    fn body_piece(&mut self, buffer: &[u8], out: &mut [u8]) -> (usize, More) {
        if self.at >= self.size {
            return (0, More::Nothing);
        }
        let (from, have) = match self.piece {
            Piece::Here { from, len } => (from as usize, len),
            Piece::Asked => return (0, More::Wait),
            Piece::None => return (0, More::Load(self.key)),
            Piece::Unavailable => return (0, More::Broken),
        };
        let here = buffer.get(self.at - from..have).unwrap_or_default();
        if here.is_empty() {
            self.piece = Piece::None;
            return (0, More::Load(self.key));
        }
        let len = here.len().min(out.len());
        out[..len].copy_from_slice(&here[..len]);
        self.at += len;
        (len, if self.at < self.size { More::Bytes } else { More::Nothing })
    }
}
