//! Range requests (RFC 9110 §14): one range of bytes. Several ranges, other units and what is malformed are ignored, as
//! §14.2 has it: the whole is the answer.

use super::head::{number, trim};
use crate::base::text::Writer;

/// What a Range field comes to for something of a known length.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ranged {
    /// All of it: 200.
    Whole,
    /// A part of it: 206.
    Part(Range),
    /// Nothing of it: 416.
    Unsatisfiable,
}

/// Bytes from `start` up to before `end`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Range {
    /// The first byte.
    pub start: u64,
    /// The byte behind the last; above `start`.
    pub end: u64,
}

impl Ranged {
    /// Reads a Range field for something of `length` bytes.
    pub fn parse(value: &[u8], length: u64) -> Self {
        Self::read(value, length).unwrap_or(Self::Whole)
    }

    /// `None` when it is to be ignored.
    fn read(value: &[u8], length: u64) -> Option<Self> {
        let at = value.iter().position(|byte| *byte == b'=')?;
        let (unit, ranges) = (trim(&value[..at]), trim(&value[at + 1..]));
        if !unit.eq_ignore_ascii_case(b"bytes") {
            return None;
        }
        let dash = ranges.iter().position(|byte| *byte == b'-')?;
        let (first, last) = (&ranges[..dash], &ranges[dash + 1..]);
        let (start, end) = match (first, last) {
            (b"", last) => (length.saturating_sub(number(last)?), length),
            (first, b"") => (number(first)?, length),
            (first, last) => {
                let (first, last) = (number(first)?, number(last)?);
                if last < first {
                    return None;
                }
                (first, length.min(last + 1))
            }
        };
        Some(if start < end { Self::Part(Range { start, end }) } else { Self::Unsatisfiable })
    }
}

impl Range {
    /// Writes the field Content-Range for something of `length` bytes.
    pub fn write(&self, length: u64, out: &mut Writer<'_>) {
        out.text("Content-Range: bytes ");
        out.number(self.start);
        out.text("-");
        out.number(self.end - 1);
        out.text("/");
        out.number(length);
        out.text("\r\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges() {
        let part = |start, end| Ranged::Part(Range { start, end });
        for (value, expected) in [
            ("bytes=0-", part(0, 100)),
            ("bytes=0-0", part(0, 1)),
            ("bytes=10-19", part(10, 20)),
            ("Bytes= 99-1000 ", part(99, 100)),
            ("bytes=-1", part(99, 100)),
            ("bytes=-1000", part(0, 100)),
            ("bytes=-0", Ranged::Unsatisfiable),
            ("bytes=100-", Ranged::Unsatisfiable),
            ("bytes=100-200", Ranged::Unsatisfiable),
            ("bytes=5-4", Ranged::Whole),
            ("bytes=0-1,5-6", Ranged::Whole),
            ("bytes=-", Ranged::Whole),
            ("bytes=a-b", Ranged::Whole),
            ("bytes=0-99999999999999999999", Ranged::Whole),
            ("seconds=0-1", Ranged::Whole),
            ("bytes", Ranged::Whole),
            ("", Ranged::Whole),
        ] {
            assert_eq!(Ranged::parse(value.as_bytes(), 100), expected, "{value}");
        }
        assert_eq!(Ranged::parse(b"bytes=0-", 0), Ranged::Unsatisfiable);
        assert_eq!(Ranged::parse(b"bytes=-5", 0), Ranged::Unsatisfiable);
    }
}
