//! What is kept for a person, as the index knows it: everything but its content.

use serde::{Deserialize, Serialize};

use super::senders::SenderHandle;
use crate::base::table::Handle;

/// A letter's handle.
pub type LetterHandle = Handle<Letter>;

/// Something that is kept for a person: a text, a recording, or the note that somebody called.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Letter {
    /// Names its record in the spool, together with the kind that goes with the category.
    pub id: u64,
    /// Its place in the order of all letters; a later one has a higher number.
    pub number: u32,
    /// When it came, seconds since 1970; 0 when the clock was not sure.
    pub at: u32,
    /// Bytes of the body of a text, or of the blob of a recording; 0 for a call.
    pub size: u32,
    /// How long a recording is, 0 when that is not known; how long a missed call rang.
    pub milliseconds: u32,
    /// Who it is from.
    pub sender: SenderHandle,
    /// Whose it is, as an index in the model.
    pub person: u16,
    /// What it is.
    pub category: Category,
    /// What she did with it.
    pub state: State,
    /// How a recording is coded; `None` for all else.
    pub voice: Option<Codec>,
    /// Whether it is being recorded.
    pub is_open: bool,
    pub(super) phase: Phase,
    /// When it was deleted, seconds on the monotonic clock; only meant in that state.
    pub(super) deleted_at_s: u32,
}

/// What sort of thing is kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Category {
    /// A message in text.
    Text,
    /// A recording.
    Voice,
    /// A call that was missed.
    Call,
}

/// What its owner did with a letter; the number is the first byte of its record.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum State {
    /// Nothing yet.
    New = 0,
    /// Read or heard.
    Old = 1,
    /// Deleted, and still there for a day in case she wants it back.
    Deleted = 2,
}

impl State {
    /// The state that a byte stands for.
    pub const fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            0 => Some(Self::New),
            1 => Some(Self::Old),
            2 => Some(Self::Deleted),
            _ => None,
        }
    }
}

/// How a recording is coded (RFC 3551 §4.5.14, RFC 7587).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Codec {
    /// G.711 A-law.
    Alaw,
    /// G.711 mu-law.
    Ulaw,
    /// Opus.
    Opus,
}

impl Codec {
    /// How long that many bytes are, where each second takes the same.
    pub const fn milliseconds_of(self, bytes: u32) -> Option<u32> {
        match self {
            Self::Alaw | Self::Ulaw => Some(bytes / 8),
            Self::Opus => None,
        }
    }
}

/// Whether a letter's record is on the disk.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Phase {
    /// Not known to be yet.
    Reserved,
    /// Yes.
    Settled,
    /// It is to be removed from there.
    Leaving,
}

impl Letter {
    /// Whether its owner sees it: it is on the disk, and not on its way out.
    pub const fn is_settled(&self) -> bool {
        matches!(self.phase, Phase::Settled)
    }

    /// Whether it is among those that wait for her, read or not.
    pub(super) fn is_counted(&self) -> bool {
        self.is_settled() && !self.is_open && self.state != State::Deleted
    }
}

const _: () = assert!(size_of::<Letter>() <= 40);
