//! A letter as its record in the spool has it (postcard). The first byte is the state, so that it alone can be changed
//! there.

use serde::{Deserialize, Serialize};

use super::letter::{Category, Codec};

/// The payload of a record of the kinds Text, Voice and Call.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Kept<'b> {
    /// [`State`](super::State) as a byte. It stays the first field.
    pub state: u8,
    /// The letter's number.
    pub number: u32,
    /// When it came, seconds since 1970; 0 when the clock was not sure.
    pub at: u32,
    /// Whose it is, as a seal.
    pub person: u32,
    /// Whether its sender only claims the address.
    pub is_stranger: bool,
    /// Who it is from: `USER@HOST`.
    #[serde(borrow)]
    pub address: &'b [u8],
    /// The display name, as it came; empty without one.
    pub name: &'b [u8],
    /// The rest, by what it is.
    pub what: What<'b>,
}

/// What of a letter differs by its category.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum What<'b> {
    /// A message in text.
    Text {
        /// Its Content-Type; empty for `text/plain`.
        content_type: &'b [u8],
        /// Its Content-Encoding; empty for none.
        encoding: &'b [u8],
        /// The body as it came.
        body: &'b [u8],
    },
    /// A recording; its sound is the record's blob.
    Voice {
        /// How it is coded.
        codec: Codec,
        /// How long it is; 0 when that is not known, as while it is recorded.
        milliseconds: u32,
        /// How much of that could not be kept.
        lost_milliseconds: u32,
    },
    /// A missed call.
    Call {
        /// How long it rang.
        rang_seconds: u16,
    },
}

impl<'b> Kept<'b> {
    /// Reads a payload; `None` when it is none.
    pub fn read(payload: &'b [u8]) -> Option<Self> {
        postcard::from_bytes(payload).ok()
    }

    /// Writes the payload; its length, or `None` when it does not fit.
    pub fn write(&self, out: &mut [u8]) -> Option<usize> {
        postcard::to_slice(self, out).ok().map(|written| written.len())
    }
}

impl What<'_> {
    /// What it is.
    pub const fn category(&self) -> Category {
        match self {
            Self::Text { .. } => Category::Text,
            Self::Voice { .. } => Category::Voice,
            Self::Call { .. } => Category::Call,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_state_is_the_first_byte() {
        let what = What::Call { rang_seconds: 20 };
        let mut kept =
            Kept { state: 0, number: 300, at: 5, person: 6, is_stranger: true, address: b"a@b", name: b"A", what };
        let mut room = [0; 32];
        let len = kept.write(&mut room).unwrap();
        assert_eq!(room[..len], [0, 0xac, 2, 5, 6, 1, 3, b'a', b'@', b'b', 1, b'A', 2, 20]);
        room[0] = 2;
        kept.state = 2;
        assert_eq!(Kept::read(&room[..len]), Some(kept));
        assert_eq!(Kept::read(&room[..len - 1]), None);
        assert_eq!(kept.write(&mut room[..len - 1]), None);
    }

    #[test]
    fn every_sort_round_trips() {
        for what in [
            What::Text { content_type: b"text/plain", encoding: b"", body: b"Hi" },
            What::Voice { codec: Codec::Opus, milliseconds: 70_000, lost_milliseconds: 20 },
            What::Call { rang_seconds: 0 },
        ] {
            let kept = Kept {
                state: 1,
                number: u32::MAX,
                at: 0,
                person: u32::MAX,
                is_stranger: false,
                address: b"",
                name: b"",
                what,
            };
            let mut room = [0; 64];
            let len = kept.write(&mut room).unwrap();
            assert_eq!(Kept::read(&room[..len]), Some(kept));
        }
    }
}
