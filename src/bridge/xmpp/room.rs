//! Texts of events in the lent scratch.

use crate::wire::xml::Text;

/// What is left of the scratch.
pub struct Room<'s> {
    rest: &'s mut [u8],
    /// Bytes at its begin of a text that is being written.
    len: usize,
}

impl<'s> Room<'s> {
    /// All of it.
    pub fn new(scratch: &'s mut [u8]) -> Self {
        Self { rest: scratch, len: 0 }
    }

    /// A text, cut where the room ends. Control characters are left out but line ends and tabs.
    pub fn text(&mut self, chars: impl Iterator<Item = char>) -> &'s str {
        self.put(chars);
        self.finish()
    }

    /// The text of an attribute or element as a text; empty when there is none.
    pub fn read(&mut self, text: Option<Text<'_>>) -> &'s str {
        self.text(text.into_iter().flat_map(|text| text.chars()))
    }

    /// Writes on at the text that [`Room::finish`] ends.
    pub fn put(&mut self, chars: impl Iterator<Item = char>) {
        for c in chars.filter(|c| !c.is_control() || matches!(c, '\n' | '\t')) {
            let Some(room) = self.rest.get_mut(self.len..self.len + c.len_utf8()) else { return };
            c.encode_utf8(room);
            self.len += c.len_utf8();
        }
    }

    /// Takes back what was written.
    pub fn clear(&mut self) {
        self.len = 0;
    }

    /// Whether nothing but blanks was written.
    pub fn is_blank(&self) -> bool {
        self.rest[..self.len].trim_ascii().is_empty()
    }

    /// Whether what was written has this in it.
    pub fn has(&self, text: &str) -> bool {
        str::from_utf8(&self.rest[..self.len]).is_ok_and(|written| written.contains(text))
    }

    /// The text that was written.
    pub fn finish(&mut self) -> &'s str {
        let (text, rest) = core::mem::take(&mut self.rest).split_at_mut(self.len);
        (self.rest, self.len) = (rest, 0);
        // Only whole characters were written.
        str::from_utf8(text).unwrap_or_default()
    }
}
