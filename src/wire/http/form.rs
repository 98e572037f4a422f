//! Bodies of `application/x-www-form-urlencoded` (URL standard §5), read as they come: only fields that are asked for are
//! kept, decoded, each up to a length of its own.

/// Reads a body in any cuts.
///
/// What is kept stands in a lent buffer as entries one after another: index of the name, length in two bytes, value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FormReader {
    phase: Phase,
    /// Bytes of the buffer that are used.
    len: usize,
    /// Where the entry begins that is being read.
    entry: usize,
    /// An escape that is being read: how many characters of it, and its first.
    escape: (u8, u8),
}

/// The fields that are asked for, with the bytes that the value of each may have.
pub type Names = &'static [(&'static str, u16)];

/// A field was longer than it may be, or all of them together than the buffer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TooLarge;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    /// A name, of which so much stands at the end of the buffer.
    Name,
    /// A name that is too long to be one of ours.
    LongName,
    /// The value of this name, of at most so many bytes.
    Value(u16),
    /// A value that nobody asked for.
    Skipped,
}

/// Bytes before a value: index of its name, and length.
const ENTRY_BYTES: usize = 3;
/// Bytes of a name at most.
const NAME_BYTES: usize = 16;

impl FormReader {
    /// Nothing read yet.
    pub const fn new() -> Self {
        Self { phase: Phase::Name, len: 0, entry: 0, escape: (0, 0) }
    }

    /// Takes the next bytes of a body.
    pub fn feed(&mut self, bytes: &[u8], names: Names, buffer: &mut [u8]) -> Result<(), TooLarge> {
        bytes.iter().try_for_each(|byte| self.take(*byte, names, buffer))
    }

    /// The body has ended: what was kept.
    pub fn finish<'b>(mut self, names: Names, buffer: &'b mut [u8]) -> Result<Form<'b>, TooLarge> {
        self.end_field(names, buffer)?;
        Ok(Form { names, entries: &buffer[..self.len] })
    }

    fn take(&mut self, byte: u8, names: Names, buffer: &mut [u8]) -> Result<(), TooLarge> {
        match (byte, self.phase) {
            (b'&', _) => self.end_field(names, buffer),
            (b'=', Phase::Name | Phase::LongName) => {
                self.begin_value(names, buffer);
                Ok(())
            }
            (_, Phase::Name) => {
                if self.len - self.entry < NAME_BYTES {
                    return self.put(byte, buffer);
                }
                self.phase = Phase::LongName;
                Ok(())
            }
            (_, Phase::Value(room)) => self.value(byte, room, buffer),
            (_, Phase::LongName | Phase::Skipped) => Ok(()),
        }
    }

    /// The name is complete: an entry for its value replaces it.
    fn begin_value(&mut self, names: Names, buffer: &mut [u8]) {
        let name = buffer.get(self.entry..self.len).unwrap_or_default();
        let index = names.iter().position(|(known, _)| self.phase == Phase::Name && known.as_bytes() == name);
        self.len = self.entry;
        self.phase = Phase::Skipped;
        if let Some(index) = index {
            let head = [index as u8, 0, 0];
            if head.into_iter().all(|byte| self.put(byte, buffer).is_ok()) {
                self.phase = Phase::Value(names[index].1);
            } else {
                self.phase = Phase::Value(0);
            }
        }
    }

    fn value(&mut self, byte: u8, room: u16, buffer: &mut [u8]) -> Result<(), TooLarge> {
        let digit = (byte as char).to_digit(16);
        match (self.escape, byte) {
            ((0, _), b'%') => self.escape = (1, 0),
            ((0, _), b'+') => self.put_value(b' ', room, buffer)?,
            ((0, _), _) => self.put_value(byte, room, buffer)?,
            ((1, _), _) if digit.is_some() => self.escape = (2, byte),
            ((2, first), _) if let (Some(high), Some(low)) = ((first as char).to_digit(16), digit) => {
                self.escape = (0, 0);
                self.put_value((high << 4 | low) as u8, room, buffer)?;
            }
            _ => {
                self.end_escape(room, buffer)?;
                return self.value(byte, room, buffer);
            }
        }
        Ok(())
    }

    /// An escape that is none stays as it is.
    fn end_escape(&mut self, room: u16, buffer: &mut [u8]) -> Result<(), TooLarge> {
        let (count, first) = core::mem::take(&mut self.escape);
        if count > 0 {
            self.put_value(b'%', room, buffer)?;
        }
        if count > 1 { self.put_value(first, room, buffer) } else { Ok(()) }
    }

    fn put_value(&mut self, byte: u8, room: u16, buffer: &mut [u8]) -> Result<(), TooLarge> {
        if self.len - self.entry >= ENTRY_BYTES + usize::from(room) {
            return Err(TooLarge);
        }
        self.put(byte, buffer)
    }

    fn put(&mut self, byte: u8, buffer: &mut [u8]) -> Result<(), TooLarge> {
        *buffer.get_mut(self.len).ok_or(TooLarge)? = byte;
        self.len += 1;
        Ok(())
    }

    fn end_field(&mut self, names: Names, buffer: &mut [u8]) -> Result<(), TooLarge> {
        // A name alone has an empty value.
        if matches!(self.phase, Phase::Name | Phase::LongName) {
            self.begin_value(names, buffer);
        }
        if let Phase::Value(room) = self.phase {
            self.end_escape(room, buffer)?;
            let len = (self.len - self.entry).checked_sub(ENTRY_BYTES).ok_or(TooLarge)? as u16;
            let place = buffer.get_mut(self.entry + 1..self.entry + ENTRY_BYTES).ok_or(TooLarge)?;
            place.copy_from_slice(&len.to_be_bytes());
        }
        self.entry = self.len;
        self.phase = Phase::Name;
        Ok(())
    }
}

impl Default for FormReader {
    fn default() -> Self {
        Self::new()
    }
}

/// The fields of a body that were asked for.
#[derive(Clone, Copy, Debug)]
pub struct Form<'b> {
    names: Names,
    entries: &'b [u8],
}

impl<'b> Form<'b> {
    /// The first value of a field, if it was there.
    pub fn value(&self, name: &str) -> Option<&'b [u8]> {
        self.fields().find(|(known, _)| *known == name).map(|(_, value)| value)
    }

    /// All fields in order.
    pub fn fields(&self) -> impl Iterator<Item = (&'static str, &'b [u8])> {
        let Self { names, mut entries } = *self;
        core::iter::from_fn(move || {
            let ([index, high, low], rest) = entries.split_first_chunk::<ENTRY_BYTES>()?;
            let len = usize::from(u16::from_be_bytes([*high, *low]));
            let (value, rest) = rest.split_at_checked(len)?;
            entries = rest;
            Some((names.get(usize::from(*index))?.0, value))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: Names = &[("name", 8), ("text", 20), ("go", 4)];

    type Fields = std::vec::Vec<(&'static str, std::vec::Vec<u8>)>;

    fn read(body: &[u8], cut: usize, room: usize) -> Result<Fields, TooLarge> {
        let mut buffer = std::vec![0; room];
        let mut reader = FormReader::new();
        for piece in body.chunks(cut.max(1)) {
            reader.feed(piece, NAMES, &mut buffer)?;
        }
        let form = reader.finish(NAMES, &mut buffer)?;
        let fields = form.fields().map(|(name, value)| (name, value.to_vec())).collect();
        Ok(fields)
    }

    #[test]
    fn fields_in_any_cuts() {
        let body = b"name=al%69ce&other=%zz&text=a+%c3%a5%2&a-name-that-is-far-too-long=1&&go&name=%%41%4";
        let expected = std::vec![
            ("name", b"alice".to_vec()),
            ("text", b"a \xc3\xa5%2".to_vec()),
            ("go", b"".to_vec()),
            ("name", b"%A%4".to_vec()),
        ];
        for cut in 1..=body.len() {
            assert_eq!(read(body, cut, 256).as_ref(), Ok(&expected), "{cut}");
        }
        assert_eq!(read(b"", 1, 16), Ok(Fields::new()));
    }

    #[test]
    fn too_large() {
        assert_eq!(read(b"name=12345678", 4, 64).unwrap()[0].1, b"12345678");
        assert_eq!(read(b"name=123456789", 4, 64), Err(TooLarge));
        assert_eq!(read(b"name=1234567%", 4, 64).unwrap()[0].1, b"1234567%");
        assert_eq!(read(b"name=1234567%4", 4, 64), Err(TooLarge));
        for room in 0..11 {
            assert_eq!(read(b"name=12345678", 4, room), Err(TooLarge), "{room}");
        }
        assert!(read(b"name=12345678", 4, 11).is_ok());
        // What nobody asked for costs nothing.
        let long = [&b"other="[..], &[b'x'; 5000]].concat();
        assert_eq!(read(&long, 7, 16), Ok(Fields::new()));
    }
}
