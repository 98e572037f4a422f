//! Forwarding as edits on the original bytes (RFC 3261 §16.6, §16.7): what is not touched goes out bit by bit as it came.
//!
//! Edits are gathered in any order, then encoded, sorted, as bytes to be kept beside the original: for each edit the
//! offset in the original, how many bytes of it are left out, how many are put in instead (three 16-bit big-endian
//! numbers), and these bytes.

use core::ops::Range;

use heapless::Vec;

use crate::base::limits::EDIT_BYTES;
use crate::base::text::Writer;

/// Edits of one message.
pub struct Edits<'t> {
    items: Vec<Item, EDITS>,
    text: &'t mut [u8; EDIT_BYTES],
    text_len: usize,
    fault: Option<Error>,
}

/// Why edits can't be encoded.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Error {
    /// More edits, or more text, than there is room for.
    Full,
    /// Edits touch the same bytes, or bytes that no message has.
    Conflict,
}

/// Most edits of one message.
const EDITS: usize = 64;

#[derive(Clone, Copy)]
struct Item {
    start: u16,
    removed: u16,
    text: u16,
    text_len: u16,
}

const _: () = assert!(EDIT_BYTES <= u16::MAX as usize);

impl<'t> Edits<'t> {
    /// No edits. What they put in is gathered in `text`, whatever that holds: to clear it would cost more than the edits.
    pub fn new(text: &'t mut [u8; EDIT_BYTES]) -> Self {
        Self { items: Vec::new(), text, text_len: 0, fault: None }
    }

    /// Puts what `write` writes in place of the bytes in `range`.
    pub fn replace(&mut self, range: Range<usize>, write: impl FnOnce(&mut Writer<'_>)) {
        let mut out = Writer::new(&mut self.text[self.text_len..]);
        write(&mut out);
        match out.finish() {
            Ok(len) => self.add(range, len),
            Err(_) => self.fail(Error::Full),
        }
    }

    /// Puts what `write` writes before the byte at `at`. Several texts at one place keep their order.
    pub fn insert(&mut self, at: usize, write: impl FnOnce(&mut Writer<'_>)) {
        self.replace(at..at, write);
    }

    /// Leaves out the bytes in `range`.
    pub fn remove(&mut self, range: Range<usize>) {
        self.add(range, 0);
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Writes the edits in order, for [`apply`]. What went wrong when they were added is said here; that they do not fit
    /// into `out` is said by `out`.
    pub fn encode(&self, out: &mut Writer<'_>) -> Result<(), Error> {
        self.each_group(|group, removed| self.encode_group(group, removed, out))
    }

    /// Writes `original` with the edits made. Whatever goes wrong is remembered by the writer as what did not fit.
    pub fn apply(&self, original: &[u8], out: &mut Writer<'_>) {
        let mut at = Some(0);
        let done = self.each_group(|group, removed| {
            let start = usize::from(group[0].start);
            let before = at.and_then(|at| original.get(at..start));
            out.put(before.unwrap_or_default());
            group.iter().for_each(|item| out.put(self.text_of(item)));
            at = before.map(|_| start + removed);
        });
        match at.and_then(|at| original.get(at..)) {
            Some(rest) if done.is_ok() => out.put(rest),
            _ => overflow(out),
        }
    }

    /// Gives the edits of each place in order, with how many bytes are left out there.
    fn each_group(&self, mut each: impl FnMut(&[Item], usize)) -> Result<(), Error> {
        if let Some(fault) = self.fault {
            return Err(fault);
        }
        let mut sorted = self.items.clone();
        // Insertion sort: it keeps the order of equals, and there are few.
        for i in 1..sorted.len() {
            let mut at = i;
            while at > 0 && sorted[at - 1].start > sorted[at].start {
                sorted.swap(at - 1, at);
                at -= 1;
            }
        }
        let mut free_from = 0;
        for group in sorted.chunk_by(|a, b| a.start == b.start) {
            let start = usize::from(group[0].start);
            let removed = group.iter().map(|item| usize::from(item.removed)).max().unwrap_or(0);
            if start < free_from || group.iter().filter(|item| item.removed > 0).count() > 1 {
                return Err(Error::Conflict);
            }
            free_from = start + removed;
            each(group, removed);
        }
        Ok(())
    }

    /// Edits at one place, as one.
    fn encode_group(&self, group: &[Item], removed: usize, out: &mut Writer<'_>) {
        let len = group.iter().map(|item| usize::from(item.text_len)).sum::<usize>();
        for number in [usize::from(group[0].start), removed, len] {
            out.put(&(number as u16).to_be_bytes());
        }
        group.iter().for_each(|item| out.put(self.text_of(item)));
    }

    fn text_of(&self, item: &Item) -> &[u8] {
        let text = usize::from(item.text);
        &self.text[text..text + usize::from(item.text_len)]
    }

    fn add(&mut self, range: Range<usize>, text_len: usize) {
        let (Ok(start), Ok(end)) = (u16::try_from(range.start), u16::try_from(range.end)) else {
            return self.fail(Error::Conflict);
        };
        let Some(removed) = end.checked_sub(start) else { return self.fail(Error::Conflict) };
        let item = Item { start, removed, text: self.text_len as u16, text_len: text_len as u16 };
        match self.items.push(item) {
            Ok(()) => self.text_len += text_len,
            Err(_) => self.fail(Error::Full),
        }
    }

    fn fail(&mut self, fault: Error) {
        self.fault.get_or_insert(fault);
    }
}

/// Writes `original` with the encoded edits made. Edits that were not made by [`Edits::encode`] for this original, or a
/// full writer, are remembered by the writer as what did not fit.
pub fn apply(original: &[u8], encoded: &[u8], out: &mut Writer<'_>) {
    if apply_all(original, encoded, out).is_none() {
        overflow(out);
    }
}

/// A patch of what was not written yet: the writer notes that it did not fit.
fn overflow(out: &mut Writer<'_>) {
    out.patch(out.len(), &[0]);
}

fn apply_all(original: &[u8], mut encoded: &[u8], out: &mut Writer<'_>) -> Option<()> {
    let mut at = 0;
    while !encoded.is_empty() {
        let (numbers, rest) = encoded.split_first_chunk::<6>()?;
        let number = |i: usize| usize::from(u16::from_be_bytes([numbers[i], numbers[i + 1]]));
        let (text, rest) = rest.split_at_checked(number(4))?;
        out.put(original.get(at..number(0))?);
        out.put(text);
        at = number(0) + number(2);
        encoded = rest;
    }
    out.put(original.get(at..)?);
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edited(original: &[u8], edits: &Edits<'_>) -> Result<std::vec::Vec<u8>, Error> {
        let (mut encoded, mut buffer) = ([0; 4096], [0; 4096]);
        let mut out = Writer::new(&mut encoded);
        edits.encode(&mut out)?;
        let len = out.finish().expect("the encoding fits");
        let mut out = Writer::new(&mut buffer);
        apply(original, &encoded[..len], &mut out);
        let result = out.finish().map(|len| buffer[..len].to_vec());
        let mut out = Writer::new(&mut encoded);
        edits.apply(original, &mut out);
        assert_eq!(out.finish().map(|len| encoded[..len].to_vec()), result);
        result.map_err(|_| Error::Full)
    }

    #[test]
    fn any_order() {
        let original = b"0123456789\0\xff";
        let mut text = [0; EDIT_BYTES];
        let mut edits = Edits::new(&mut text);
        assert_eq!(edited(original, &edits).unwrap(), original);
        edits.insert(12, |out| out.text("end"));
        edits.replace(5..7, |out| out.text("abc"));
        edits.insert(0, |out| out.text("x"));
        edits.remove(1..2);
        edits.insert(0, |out| out.text("y"));
        edits.insert(5, |out| out.text("d"));
        edits.insert(2, |out| out.text("-"));
        assert_eq!(edited(original, &edits).unwrap(), b"xy0-234abcd789\0\xffend");
    }

    #[test]
    fn conflicts() {
        let conflict = |edit: &dyn Fn(&mut Edits<'_>)| {
            let mut text = [0; EDIT_BYTES];
            let mut edits = Edits::new(&mut text);
            edit(&mut edits);
            edited(b"0123456789", &edits)
        };
        assert_eq!(
            conflict(&|edits| {
                edits.remove(1..4);
                edits.remove(3..5);
            }),
            Err(Error::Conflict)
        );
        assert_eq!(
            conflict(&|edits| {
                edits.remove(1..4);
                edits.remove(1..2);
            }),
            Err(Error::Conflict)
        );
        assert_eq!(
            conflict(&|edits| {
                edits.remove(1..4);
                edits.insert(2, |_| {});
            }),
            Err(Error::Conflict)
        );
        #[allow(clippy::reversed_empty_ranges)]
        let reversed = 4..1;
        assert_eq!(conflict(&|edits| edits.remove(reversed.clone())), Err(Error::Conflict));
        assert_eq!(conflict(&|edits| edits.remove(0..70_000)), Err(Error::Conflict));
        assert_eq!(conflict(&|edits| edits.remove(9..11)), Err(Error::Full), "beyond the original");
        assert_eq!(conflict(&|edits| edits.insert(11, |_| {})), Err(Error::Full), "beyond the original");
        assert_eq!(
            conflict(&|edits| {
                edits.remove(1..3);
                edits.remove(3..5);
            })
            .unwrap(),
            b"056789"
        );
    }

    #[test]
    fn full() {
        let mut text = [0; EDIT_BYTES];
        let mut edits = Edits::new(&mut text);
        (0..EDITS).for_each(|at| edits.insert(at, |out| out.text("a")));
        assert!(edited(&[0; 100], &edits).is_ok());
        edits.insert(0, |_| {});
        assert_eq!(edited(&[0; 100], &edits), Err(Error::Full));
        let mut edits = Edits::new(&mut text);
        edits.insert(0, |out| out.put(&[0; EDIT_BYTES]));
        assert!(edited(b"", &edits).is_ok());
        edits.insert(0, |out| out.text("a"));
        assert_eq!(edited(b"", &edits), Err(Error::Full));
    }

    #[test]
    fn malformed_encodings_overflow() {
        for encoded in [
            &b"\0"[..],
            b"\0\0\0\0\0",
            b"\0\0\0\0\0\x01",
            b"\0\x05\0\0\0\0\0\x04\0\0\0\0",
            b"\0\x04\0\x09\0\0",
            b"\xff\xff\0\0\0\0",
        ] {
            let mut buffer = [0; 64];
            let mut out = Writer::new(&mut buffer);
            apply(b"0123456789", encoded, &mut out);
            assert!(out.finish().is_err(), "{}", encoded.escape_ascii());
        }
    }
}
