//! Responses: their heads, and their bodies piece by piece as the connection takes them.
//!
//! Pages come in chunks, for their length is not known before they are made. Sound has a known length: that of WAV is 44 +
//! 2 bytes for each byte of G.711, so any range of it is made from the same range of the blob.

use super::assets::Asset;
use super::house::House;
use super::page::{Content, Made, Page, View};
use super::session::{LINK_LIFE_S, TOKEN_BYTES, Token};
use super::sound;
use super::{Step, Unavailable};
use crate::base::text::Writer;
use crate::home::inbox::{Codec, Kept, What};
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

#[derive(Debug)]
pub(super) enum Body {
    Page(Page),
    /// The answer to a form: the page is elsewhere.
    Elsewhere(Place),
    Asset(&'static Asset),
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
    Inbox,
    /// Letters below a number, where the letter with an id was deleted, if one was.
    Letters { before: u32, deleted: Option<u64> },
    Deleted,
    Sent,
    Settings,
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
    pub piece: Piece,
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
    Here { from: u64, len: usize },
    /// It can't be read.
    Unavailable,
}

impl Document {
    pub const fn new(key: Key) -> Self {
        Self { key, size: 0, is_text: false, at: 0, piece: Piece::None }
    }
}

impl Response {
    pub const fn new(status: u16, body: Body, manner: Manner) -> Self {
        Self { status, body, cookie: None, manner, has_head: false, is_over: false }
    }

    /// Whether all of it was given.
    pub const fn is_over(&self) -> bool {
        self.is_over
    }

    /// The next piece of it.
    pub fn produce(&mut self, house: &dyn House, buffer: &[u8], out: &mut [u8]) -> Step {
        if self.is_over {
            return Step::Nothing;
        }
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
            (len, self.has_head) = (written, true);
            if self.manner.is_head {
                self.is_over = true;
            }
        }
        if self.is_over {
            return Step::Bytes(len);
        }
        let room = out.get_mut(len..).unwrap_or_default();
        let step = match &mut self.body {
            Body::Page(page) => {
                let is_chunked = self.manner.is_version_1_1;
                let (written, made) = page_piece(page, house, buffer, is_chunked, room);
                self.is_over = made == Made::All;
                match made {
                    _ if written > 0 => Step::Bytes(written),
                    Made::Load(key) => Step::Load { key },
                    Made::Wait => Step::Wait,
                    Made::More if len == 0 => return self.give_up(),
                    Made::More | Made::All => Step::Bytes(0),
                }
            }
            Body::Asset(asset) => {
                // All of them fit into a few pieces; where one ended is known by the buffer's state of the connection.
                return self.asset_piece(asset, len, out);
            }
            Body::Sound(sound) => {
                let step = sound.piece(buffer, room);
                self.is_over = sound.at >= sound.range.end;
                step
            }
            Body::Document(document) => {
                let step = document.piece(buffer, room);
                self.is_over = document.at >= document.size;
                step
            }
            _ => {
                self.is_over = true;
                Step::Bytes(0)
            }
        };
        match step {
            Step::Bytes(written) => Step::Bytes(len + written),
            // What was written goes first; the page asks again.
            _ if len > 0 => {
                self.ask_again();
                Step::Bytes(len)
            }
            Step::Close => self.give_up(),
            step => step,
        }
    }
}
