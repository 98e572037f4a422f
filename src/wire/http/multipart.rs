//! An upload: a body of `multipart/form-data` (RFC 7578), read as it comes, in any cuts; a file in it is never held whole.
//!
//! Left out: nested multiparts, Content-Transfer-Encoding (RFC 7578 §4.7), and what stands before the first part, which is
//! skipped.

use heapless::Vec;
use memchr::memchr;

use super::head::trim;

/// Bytes of a boundary (RFC 2046 §5.1.1).
const BOUNDARY_BYTES: usize = 70;
/// Bytes of one line in the head of a part; what is longer is cut.
const LINE_BYTES: usize = 256;
/// Bytes of a part's name; a longer one is no name of ours.
const NAME_BYTES: usize = 16;

/// Reads an upload.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Upload {
    /// CR, LF, two hyphens and the boundary: what ends a part.
    delimiter: Vec<u8, { BOUNDARY_BYTES + 4 }>,
    /// How much of the delimiter the last bytes are.
    matched: usize,
    phase: Phase,
    line: Vec<u8, LINE_BYTES>,
    name: Vec<u8, NAME_BYTES>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    /// Before the first delimiter.
    Preamble,
    /// Behind a delimiter, in the rest of its line.
    Delimiter,
    /// In the lines of a part's head.
    Head,
    /// In a part.
    Body,
    /// Behind the last delimiter.
    End,
}

/// What was found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Event<'b> {
    /// A part begins; its name in the form, empty when that is too long to be one of ours.
    Part(&'b [u8]),
    /// The next bytes of the part.
    Data(&'b [u8]),
    /// The part is complete.
    PartEnd,
    /// All parts are.
    End,
}

/// It is not an upload, or one without a boundary that could be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Malformed;

impl Upload {
    /// An upload with this Content-Type.
    pub fn begin(content_type: &[u8]) -> Result<Self, Malformed> {
        let mut params = content_type.split(|byte| *byte == b';').map(trim);
        if !params.next().is_some_and(|media| media.eq_ignore_ascii_case(b"multipart/form-data")) {
            return Err(Malformed);
        }
        let boundary = params.find_map(|param| {
            let (name, value) = param.split_at_checked(9)?;
            name.eq_ignore_ascii_case(b"boundary=").then_some(value)
        });
        let boundary = unquoted(boundary.ok_or(Malformed)?);
        let is_right = !boundary.is_empty() && boundary.iter().all(|byte| matches!(byte, b' '..=b'~'));
        let mut delimiter = Vec::from_array(*b"\r\n--");
        if !is_right || delimiter.extend_from_slice(boundary).is_err() {
            return Err(Malformed);
        }
        // The first delimiter may stand at the start, without a line end before it.
        let (line, name) = (Vec::new(), Vec::new());
        Ok(Self { delimiter, matched: 2, phase: Phase::Preamble, line, name })
    }

    /// Takes bytes off the front of `input` until something is found. `None` when all are taken.
    pub fn next<'s, 'i: 's>(&'s mut self, input: &mut &'i [u8]) -> Option<Event<'s>> {
        loop {
            match self.phase {
                Phase::End => {
                    *input = &[];
                    return None;
                }
                Phase::Preamble | Phase::Body => {
                    let is_body = self.phase == Phase::Body;
                    match self.until_delimiter(input)? {
                        Found::Delimiter if is_body => return Some(Event::PartEnd),
                        Found::Data(data) if is_body => return Some(Event::Data(data)),
                        Found::Owed(len) if is_body => return Some(Event::Data(&self.delimiter[..len])),
                        _ => {}
                    }
                }
                Phase::Delimiter | Phase::Head => {
                    if !self.take_line(input) {
                        return None;
                    }
                    match self.end_line() {
                        Line::Last => return Some(Event::End),
                        Line::Empty => return Some(Event::Part(&self.name)),
                        Line::Other => {}
                    }
                }
            }
        }
    }

    /// Data up to what may be a delimiter, or the delimiter. `None` when the input is used up before that is known.
    fn until_delimiter<'b>(&mut self, input: &mut &'b [u8]) -> Option<Found<'b>> {
        if self.matched == 0 {
            let at = memchr(self.delimiter[0], input).unwrap_or(input.len());
            let (data, rest) = input.split_at(at);
            *input = rest;
            if !data.is_empty() {
                return Some(Found::Data(data));
            }
        }
        while self.matched < self.delimiter.len() {
            let (byte, rest) = input.split_first()?;
            if *byte != self.delimiter[self.matched] {
                // It begins with CR, which stands in it nowhere else: no match begins within this one.
                return Some(Found::Owed(core::mem::take(&mut self.matched)));
            }
            self.matched += 1;
            *input = rest;
        }
        self.matched = 0;
        self.begin_line(Phase::Delimiter);
        Some(Found::Delimiter)
    }

    fn begin_line(&mut self, phase: Phase) {
        self.phase = phase;
        self.line.clear();
    }

    /// Takes a line with its end; whether it is complete.
    fn take_line(&mut self, input: &mut &[u8]) -> bool {
        let end = memchr(b'\n', input);
        let (line, rest) = input.split_at(end.map_or(input.len(), |end| end + 1));
        let room = self.line.capacity() - self.line.len();
        // What is longer is cut.
        let _ = self.line.extend_from_slice(&line[..line.len().min(room)]);
        *input = rest;
        end.is_some()
    }

    /// A line is complete: the rest of that of a delimiter, or one in the head of a part.
    fn end_line(&mut self) -> Line {
        let line = trim_end(&self.line);
        if self.phase == Phase::Delimiter {
            if line.starts_with(b"--") {
                self.begin_line(Phase::End);
                return Line::Last;
            }
            self.name.clear();
            self.begin_line(Phase::Head);
            return Line::Other;
        }
        if line.is_empty() {
            self.begin_line(Phase::Body);
            return Line::Empty;
        }
        if let Some(name) = field_name(line) {
            self.name.clear();
            // One that is too long is none of ours.
            let _ = self.name.extend_from_slice(name);
        }
        self.begin_line(Phase::Head);
        Line::Other
    }
}

/// What stands next in a part, or before the first.
enum Found<'b> {
    Data(&'b [u8]),
    /// So many bytes that began as the delimiter does.
    Owed(usize),
    Delimiter,
}

enum Line {
    Last,
    Empty,
    Other,
}

/// The name in a line `Content-Disposition: form-data; name="x"`.
fn field_name(line: &[u8]) -> Option<&[u8]> {
    const FIELD: &[u8] = b"content-disposition:";
    let (field, value) = line.split_at_checked(FIELD.len())?;
    if !field.eq_ignore_ascii_case(FIELD) {
        return None;
    }
    let name = value.split(|byte| *byte == b';').map(trim).find_map(|param| param.strip_prefix(b"name="))?;
    Some(unquoted(name))
}

fn unquoted(text: &[u8]) -> &[u8] {
    text.strip_prefix(b"\"").and_then(|text| text.strip_suffix(b"\"")).unwrap_or(text)
}

fn trim_end(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    line.strip_suffix(b"\r").unwrap_or(line)
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use super::*;

    const BODY: &[u8] = b"--xY\r\nContent-Disposition: form-data; name=\"csrf\"\r\n\r\nabc\r\n--xY  \r\n\
        Content-Type: audio/wav\r\ncontent-disposition: form-data; filename=\"a;b.wav\"; name=\"file\"\r\n\r\n\
        RI\r\nFF\r\n--x\r\r\n--xZ\r\n\r\n--xY--\r\nrest";

    /// Names and contents, `None` when the last part or all of them did not end.
    fn read(content_type: &[u8], body: &[u8], cut: usize) -> Option<Vec<(Vec<u8>, Vec<u8>)>> {
        let mut upload = Upload::begin(content_type).unwrap();
        let (mut parts, mut is_open, mut has_ended) = (Vec::new(), false, false);
        for mut piece in body.chunks(cut) {
            loop {
                match upload.next(&mut piece) {
                    Some(Event::Part(name)) => {
                        assert!(!is_open && !has_ended);
                        is_open = true;
                        parts.push((name.to_vec(), Vec::new()));
                    }
                    Some(Event::Data(data)) => {
                        assert!(is_open && !data.is_empty());
                        parts.last_mut().unwrap().1.extend_from_slice(data);
                    }
                    Some(Event::PartEnd) => assert!(core::mem::replace(&mut is_open, false)),
                    Some(Event::End) => has_ended = true,
                    None => break,
                }
            }
            assert!(piece.is_empty());
        }
        has_ended.then_some(parts)
    }

    #[test]
    fn parts_in_any_cuts() {
        let expected = std::vec![
            (b"csrf".to_vec(), b"abc".to_vec()),
            (b"file".to_vec(), b"RI\r\nFF\r\n--x\r\r\n--xZ\r\n".to_vec()),
        ];
        for cut in 1..=BODY.len() {
            assert_eq!(read(b"multipart/form-data; boundary=xY", BODY, cut).as_ref(), Some(&expected), "{cut}");
        }
        let quoted = b"Multipart/Form-Data;charset=x;Boundary=\"xY\"";
        assert_eq!(read(quoted, &[b"before\r\n", BODY].concat(), 3), Some(expected));
        let end = BODY.len() - b"--\r\nrest".len();
        for len in 0..=end {
            assert_eq!(read(b"multipart/form-data; boundary=xY", &BODY[..len], 7), None, "{len}");
        }
    }

    #[test]
    fn content_types() {
        for bad in [
            &b"multipart/mixed; boundary=x"[..],
            b"multipart/form-data",
            b"multipart/form-data; boundary=",
            b"multipart/form-data; boundary=\"\"",
            b"multipart/form-data; boundary=a\x01",
            b"",
        ] {
            assert!(Upload::begin(bad).is_err(), "{}", bad.escape_ascii());
        }
        let long = |len| std::format!("multipart/form-data; boundary={}", "x".repeat(len));
        assert!(Upload::begin(long(70).as_bytes()).is_ok() && Upload::begin(long(71).as_bytes()).is_err());
    }

    #[test]
    fn long_lines_and_names() {
        let long = "y".repeat(5000);
        let body = std::format!(
            "--x\r\nContent-Disposition: form-data; name={long}\r\nX: {long}\r\n\r\nd\r\n--x{long}\r\n\r\n\r\n--x--\r\n"
        );
        let parts = read(b"multipart/form-data; boundary=x", body.as_bytes(), 100).unwrap();
        assert_eq!(parts, [(Vec::new(), b"d".to_vec()), (Vec::new(), Vec::new())]);
    }
}
