//! Messages (RFC 3261 §7, §16.3, §18.3): start line, header fields, body, and the fields that every element reads.
//!
//! One pass over the head finds the fields; then the essentials are read. A message with faults is still a message, so
//! that a request can be answered (RFC 4475 §3). Line ends may be CRLF or LF; a CR alone is a fault, for others take it
//! as a line end or as a blank and so see other fields than we do.

use core::fmt;
use core::ops::Range;

use heapless::Vec;

use super::address::NameAddr;
use super::header::Name;
use super::lex::{self, Fault, GRAPHIC, LWS, List, TOKEN};
use super::method::Method;
use super::uri::{self, Uri};
use super::values::CSeq;
use super::via::Via;
use crate::base::limits::{FIELDS, MESSAGE_BYTES};

/// The start line.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Start<'b> {
    /// Of a request.
    Request {
        /// The method.
        method: Method<'b>,
        /// The Request-URI as written.
        uri: &'b [u8],
    },
    /// Of a response.
    Status {
        /// The status code, 0 when it is not one (which is a fault).
        code: u16,
        /// The reason phrase.
        reason: &'b [u8],
    },
}

/// A message that borrows its bytes.
#[derive(Clone)]
pub struct Message<'b> {
    bytes: &'b [u8],
    start: Start<'b>,
    head_end: u16,
    body_at: u16,
    fault: Option<Fault>,
    essentials: Option<Essentials<'b>>,
    /// The names of the fields that are there, a bit for each.
    present: u64,
    spans: Vec<Span, FIELDS>,
}

/// One header field.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Field<'b> {
    /// Which it is.
    pub name: Name,
    /// The name as written.
    pub raw_name: &'b [u8],
    /// The value, without the white space around it; folds within stay.
    pub value: &'b [u8],
    /// The whole line or lines with the line end, as offsets in [`Message::bytes`].
    pub line: Range<usize>,
}

/// What every element reads (RFC 3261 §8.1.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Essentials<'b> {
    /// The topmost Via.
    pub via: Via<'b>,
    /// From.
    pub from: NameAddr<'b>,
    /// To.
    pub to: NameAddr<'b>,
    /// Call-ID.
    pub call_id: &'b [u8],
    /// CSeq.
    pub cseq: CSeq<'b>,
    /// Max-Forwards, if there is one.
    pub max_forwards: Option<u8>,
    /// Content-Length, if there is one.
    pub content_length: Option<usize>,
}

/// Where a field lies: offsets in the message, which is at most [`MESSAGE_BYTES`] long.
#[derive(Clone, Copy)]
struct Span {
    line: u16,
    value: u16,
    value_end: u16,
    line_end: u16,
    name: Name,
}

const _: () = assert!(MESSAGE_BYTES <= u16::MAX as usize);

impl<'b> Message<'b> {
    /// Reads a datagram, or the bytes that [`framer::next`](super::framer::next) found to be one message. Line ends
    /// before it are skipped, bytes after its body are left out.
    ///
    /// An error is a message that can't even be split into a start line and header fields, so that nothing can be
    /// answered. All else is in [`fault`](Self::fault).
    pub fn parse(bytes: &'b [u8]) -> Result<Self, Fault> {
        let blank = bytes.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
        let bytes = &bytes[blank..];
        if bytes.len() > MESSAGE_BYTES {
            return Err(Fault { status: 513, reason: "Message Too Large" });
        }
        let line = line(bytes, 0, false);
        let (start, fault) = start(&bytes[..line.end])?;
        let fault = if line.has_bare_cr { Some(BARE_CR) } else { fault };
        let spans = Vec::new();
        // Filled in where it is returned: a message is large, and a copy of it costs a tenth of reading it.
        let mut parsed = Ok(Self { bytes, start, head_end: 0, body_at: 0, fault, essentials: None, present: 0, spans });
        if let Ok(message) = &mut parsed {
            let found = message.split(line.next);
            message.read(found);
        }
        parsed
    }

    /// The first fault found. A request is answered with it, a response discarded.
    pub fn fault(&self) -> Option<Fault> {
        self.fault
    }

    /// What every element reads. `None` only when a part of it is missing or unreadable; then there is a fault.
    pub fn essentials(&self) -> Option<&Essentials<'b>> {
        self.essentials.as_ref()
    }

    /// The start line.
    pub fn start(&self) -> Start<'b> {
        self.start
    }

    /// The method of a request.
    pub fn method(&self) -> Option<Method<'b>> {
        match self.start {
            Start::Request { method, .. } => Some(method),
            Start::Status { .. } => None,
        }
    }

    /// The status code of a response.
    pub fn status(&self) -> Option<u16> {
        match self.start {
            Start::Request { .. } => None,
            Start::Status { code, .. } => Some(code),
        }
    }

    /// The Request-URI of a request, as written.
    pub fn request_uri(&self) -> Option<&'b [u8]> {
        match self.start {
            Start::Request { uri, .. } => Some(uri),
            Start::Status { .. } => None,
        }
    }

    /// The message, from the start line to the end of the body.
    pub fn bytes(&self) -> &'b [u8] {
        self.bytes
    }

    /// The body.
    pub fn body(&self) -> &'b [u8] {
        self.bytes.get(usize::from(self.body_at)..).unwrap_or_default()
    }

    /// The offset of the empty line that ends the head: where a field can be inserted last.
    pub fn head_end(&self) -> usize {
        self.head_end.into()
    }

    /// All header fields in order.
    pub fn fields(&self) -> impl Iterator<Item = Field<'b>> {
        self.spans.iter().map(|span| self.to_field(span))
    }

    /// The first field of that name.
    pub fn field(&self, name: Name) -> Option<Field<'b>> {
        self.fields_named(name).next()
    }

    /// All fields of that name.
    pub fn fields_named(&self, name: Name) -> impl DoubleEndedIterator<Item = Field<'b>> + Clone {
        let spans = if self.present & name.bit() == 0 { &[] } else { self.spans.as_slice() };
        spans.iter().filter(move |span| span.name == name).map(|span| self.to_field(span))
    }

    /// The first field that [`Name`] does not list, by its name in any case.
    pub fn other(&self, name: &[u8]) -> Option<Field<'b>> {
        self.fields_named(Name::Other).find(|field| field.raw_name.eq_ignore_ascii_case(name))
    }

    /// The elements of a header field that is a list, from all fields of that name in order; see
    /// [`list`](super::list).
    pub fn values(&self, name: Name) -> impl Iterator<Item = &'b [u8]> + Clone {
        self.fields_named(name).flat_map(|field| lex::list(field.value))
    }

    /// Whether a list of tokens has `token`, in any case: `Supported: outbound`.
    pub fn lists_token(&self, name: Name, token: &[u8]) -> bool {
        self.values(name).any(|value| value.eq_ignore_ascii_case(token))
    }

    /// Where a part of this message that one of its readers gave lies in [`bytes`](Self::bytes). Of any other slice:
    /// the empty range at 0.
    pub fn span(&self, part: &'b [u8]) -> Range<usize> {
        let start = (part.as_ptr() as usize).wrapping_sub(self.bytes.as_ptr() as usize);
        match start.checked_add(part.len()) {
            Some(end) if end <= self.bytes.len() => start..end,
            _ => 0..0,
        }
    }

    /// The value of the first field of that name, and the lines of the head from there to the last such field.
    pub(super) fn first_and_lines_after(&self, name: Name) -> Option<(&'b [u8], &'b [u8])> {
        let first = self.spans.iter().position(|span| span.name == name)?;
        let rest = &self.spans[first..];
        let last = rest.iter().rfind(|span| span.name == name)?;
        let lines = usize::from(rest[0].line_end)..usize::from(last.line_end);
        Some((self.value(&rest[0]), self.bytes.get(lines).unwrap_or_default()))
    }

    #[inline]
    fn value(&self, span: &Span) -> &'b [u8] {
        &self.bytes[usize::from(span.value)..usize::from(span.value_end)]
    }

    fn to_field(&self, span: &Span) -> Field<'b> {
        let line = usize::from(span.line)..usize::from(span.line_end);
        let raw_name = match lex::token(&self.bytes[line.clone()]) {
            Ok((_, name)) => name,
            Err(_) => b"",
        };
        Field { name: span.name, raw_name, value: self.value(span), line }
    }

    fn add_fault(&mut self, fault: Fault) {
        if self.fault.is_none() {
            self.fault = Some(fault);
        }
    }

    /// Finds the header fields, from `at` to the empty line.
    #[inline]
    fn split(&mut self, mut at: usize) -> Found<'b> {
        let bytes = self.bytes;
        let mut found = Found::default();
        loop {
            if let Some(after) = empty_line(&bytes[at..]) {
                (self.head_end, self.body_at) = (at as u16, (at + after) as u16);
                return found;
            }
            if at == bytes.len() {
                self.add_fault(Fault::bad("Missing Empty Line"));
                (self.head_end, self.body_at) = (at as u16, at as u16);
                return found;
            }
            let (line, field) = field_line(bytes, at);
            if line.has_bare_cr {
                self.add_fault(BARE_CR);
            }
            match field {
                Some((name, value)) => {
                    let span = Span {
                        line: at as u16,
                        value: value.start as u16,
                        value_end: value.end as u16,
                        line_end: line.next as u16,
                        name,
                    };
                    self.add(span, &mut found);
                }
                None => self.add_fault(Fault::bad("Malformed Header Field")),
            }
            at = line.next;
        }
    }

    #[inline]
    fn add(&mut self, span: Span, found: &mut Found<'b>) {
        let is_first = self.present & span.name.bit() == 0;
        if is_first && (span.name as usize) < found.first.len() {
            found.first[span.name as usize] = self.value(&span);
        } else if !is_first {
            match span.name {
                Name::From => self.add_fault(Fault::bad("Repeated From")),
                Name::To => self.add_fault(Fault::bad("Repeated To")),
                Name::CallId => self.add_fault(Fault::bad("Repeated Call-ID")),
                Name::CSeq => self.add_fault(Fault::bad("Repeated CSeq")),
                Name::MaxForwards => self.add_fault(Fault::bad("Repeated Max-Forwards")),
                // Two that are not written alike may be read differently, however equal.
                Name::ContentLength if self.value(&span) != found.get(Name::ContentLength) => {
                    self.add_fault(Fault::bad("Contradicting Content-Length"));
                }
                _ => {}
            }
        }
        self.present |= span.name.bit();
        if self.spans.push(span).is_err() {
            self.add_fault(Fault::bad("Too Many Header Fields"));
        }
    }

    /// Reads the essentials, ends the body where Content-Length says, and looks for faults between them.
    #[inline]
    fn read(&mut self, found: Found<'b>) {
        let essentials = match Essentials::read(self.present, &found) {
            Ok(essentials) => essentials,
            Err(fault) => return self.add_fault(fault),
        };
        let body_at = usize::from(self.body_at);
        if let Some(len) = essentials.content_length {
            match self.bytes.get(..body_at.saturating_add(len)) {
                Some(bytes) => self.bytes = bytes,
                None => self.add_fault(Fault::bad("Content-Length Too Large")),
            }
        }
        if let Start::Request { method, uri } = self.start {
            if essentials.cseq.method != method {
                self.add_fault(Fault::bad("CSeq Method Mismatch"));
            }
            if self.fault.is_none()
                && let Err(fault) = check_request_uri(uri)
            {
                self.add_fault(fault);
            }
        }
        self.essentials = Some(essentials);
    }
}

impl fmt::Debug for Message<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message").field("start", &self.start).field("fault", &self.fault).finish_non_exhaustive()
    }
}

/// The values of the first fields of the essential names, which are the first of [`Name`].
#[derive(Default)]
struct Found<'b> {
    first: [&'b [u8]; Name::ContentLength as usize + 1],
}

impl<'b> Found<'b> {
    fn get(&self, name: Name) -> &'b [u8] {
        self.first.get(name as usize).copied().unwrap_or_default()
    }
}

impl<'b> Essentials<'b> {
    #[inline]
    fn read(present: u64, found: &Found<'b>) -> Result<Self, Fault> {
        let missing = REQUIRED & !present;
        if missing != 0 {
            return Err(missing_fault(missing));
        }
        Ok(Self {
            via: first_via(found.get(Name::Via))?,
            from: NameAddr::parse(found.get(Name::From))?,
            to: NameAddr::parse(found.get(Name::To))?,
            call_id: call_id(found.get(Name::CallId))?,
            cseq: CSeq::parse(found.get(Name::CSeq))?,
            max_forwards: match present & Name::MaxForwards.bit() {
                0 => None,
                _ => Some(max_forwards(found.get(Name::MaxForwards))?),
            },
            content_length: match present & Name::ContentLength.bit() {
                0 => None,
                _ => Some(content_length(found.get(Name::ContentLength))?),
            },
        })
    }
}

/// The head of a part of a body (RFC 2046 §5.1), and what is after the empty line that ends it. Without such a line all
/// of `part` is head.
pub fn split_head(part: &[u8]) -> (&[u8], &[u8]) {
    let mut at = 0;
    while at < part.len() {
        if let Some(after) = empty_line(&part[at..]) {
            return (&part[..at], &part[at + after..]);
        }
        at = line(part, at, false).next;
    }
    (part, b"")
}

/// The well-formed fields of a head that is not a message's: names, and values without the white space around them.
pub fn fields(head: &[u8]) -> impl Iterator<Item = (Name, &[u8])> {
    let mut rest = head;
    core::iter::from_fn(move || {
        let (name, value, after) = next_field(rest)?;
        rest = after;
        Some((name, value))
    })
}

/// The next well-formed field of a head, and what is after its line.
pub(super) fn next_field(head: &[u8]) -> Option<(Name, &[u8], &[u8])> {
    let mut rest = head;
    while !rest.is_empty() && empty_line(rest).is_none() {
        let (line, field) = field_line(rest, 0);
        let after = &rest[line.next..];
        if let Some((name, value)) = field {
            return Some((name, &rest[value], after));
        }
        rest = after;
    }
    None
}

/// Where a line that begins at some offset ends, folds included.
pub(super) struct Line {
    /// The end of what it says.
    pub end: usize,
    /// The begin of the next line.
    pub next: usize,
    has_bare_cr: bool,
}

/// The line that begins at `at`. The last one may lack its line end. The start line may not fold.
#[inline]
pub(super) fn line(bytes: &[u8], at: usize, may_fold: bool) -> Line {
    let mut from = at;
    let mut has_bare_cr = false;
    loop {
        let end = from + lex::control(bytes.get(from..).unwrap_or_default());
        let next = match (bytes.get(end), bytes.get(end + 1)) {
            (None, _) => return Line { end: bytes.len(), next: bytes.len(), has_bare_cr },
            (Some(b'\n'), _) => end + 1,
            (Some(b'\r'), Some(b'\n')) => end + 2,
            (Some(byte), _) => {
                has_bare_cr |= *byte == b'\r';
                from = end + 1;
                continue;
            }
        };
        if !may_fold || !matches!(bytes.get(next), Some(b' ' | b'\t')) {
            return Line { end, next, has_bare_cr };
        }
        from = next;
    }
}

/// The length of the empty line that `bytes` begins with, if it does.
#[inline]
pub(super) fn empty_line(bytes: &[u8]) -> Option<usize> {
    match bytes {
        [b'\r', b'\n', ..] => Some(2),
        [b'\n', ..] => Some(1),
        _ => None,
    }
}

/// The line of a field that begins at `at`, the field's name, and where its value lies without the white space around
/// it; no name when the line is malformed.
#[inline(always)]
pub(super) fn field_line(bytes: &[u8], at: usize) -> (Line, Option<(Name, Range<usize>)>) {
    let text = bytes.get(at..).unwrap_or_default();
    let mut colon = lex::colon_or_control(text);
    let line = line(bytes, at + colon, true);
    let text = &bytes[at..line.end];
    if text.get(colon) != Some(&b':') {
        // A tab before the colon, unless there is none.
        let Some(found) = lex::find(b':', text) else { return (line, None) };
        colon = found;
    }
    let (name, value) = (&text[..colon], lex::skip_lws(&text[colon + 1..]));
    let start = line.end - value.len();
    let value = start..start + lex::trim_end(value).len();
    let found = name_before_colon(name).map(|name| (name, value));
    (line, found)
}

/// The name that stands before a colon, if it is a token.
#[inline]
fn name_before_colon(text: &[u8]) -> Option<Name> {
    match Name::from_bytes(text) {
        Name::Other => other_name(text),
        // Those that are listed are tokens.
        name => Some(name),
    }
}

/// A name that is not listed, or one with blanks or tabs after it.
fn other_name(text: &[u8]) -> Option<Name> {
    let end = text.iter().rposition(|byte| !matches!(byte, b' ' | b'\t'))? + 1;
    let name = &text[..end];
    lex::all(name, TOKEN).then(|| Name::from_bytes(name))
}

/// Splits the start line. The fault is one of a message that can still be answered.
fn start(line: &[u8]) -> Result<(Start<'_>, Option<Fault>), Fault> {
    if line.get(..4).is_some_and(|prefix| prefix.eq_ignore_ascii_case(b"SIP/")) {
        return Ok(status_line(line));
    }
    let no_message = Fault::bad("Malformed Start Line");
    let method_end = lex::find(b' ', line).ok_or(no_message)?;
    let trimmed = lex::trim(line);
    let version_at = match trimmed {
        [before @ .., b' ', b'S', b'I', b'P', b'/', b'2', b'.', b'0'] => before.len() + 1,
        _ => trimmed.iter().rposition(|byte| lex::is(*byte, LWS)).ok_or(no_message)? + 1,
    };
    let version = &trimmed[version_at..];
    if !version.get(..4).is_some_and(|prefix| prefix.eq_ignore_ascii_case(b"SIP/")) || line.first() == Some(&b' ') {
        return Err(no_message);
    }
    let uri = line.get(method_end + 1..version_at - 1).unwrap_or_default();
    let method = Method::from_bytes(&line[..method_end]);
    let fault = if !version.eq_ignore_ascii_case(b"SIP/2.0") {
        Some(BAD_VERSION)
    } else if !method.is_token() {
        Some(Fault::bad("Malformed Method"))
    } else if uri.is_empty() || trimmed.len() != line.len() || !lex::all(uri, GRAPHIC) {
        Some(Fault::bad("Malformed Request Line"))
    } else {
        None
    };
    Ok((Start::Request { method, uri }, fault))
}

fn status_line(line: &[u8]) -> (Start<'_>, Option<Fault>) {
    let mut parts = line.splitn(3, |byte| *byte == b' ');
    let version = parts.next().unwrap_or_default();
    let code = match parts.next().unwrap_or_default() {
        code @ [b'1'..=b'6', b'0'..=b'9', b'0'..=b'9'] => lex::whole_number(code).unwrap_or(0) as u16,
        _ => 0,
    };
    let fault = if !version.eq_ignore_ascii_case(b"SIP/2.0") {
        Some(BAD_VERSION)
    } else if code == 0 {
        Some(Fault::bad("Malformed Status Line"))
    } else {
        None
    };
    (Start::Status { code, reason: parts.next().unwrap_or_default() }, fault)
}

/// A URI that is not `sip`, `sips` or `tel` is only looked at from outside. Header components may not stand here
/// (RFC 3261 §19.1.1).
fn check_request_uri(text: &[u8]) -> Result<(), Fault> {
    match Uri::parse(text)? {
        Uri::Sip(uri) if !uri.headers.is_empty() => Err(Fault::bad("Header Components in Request-URI")),
        Uri::Other { .. } if !uri::is_absolute(text) => Err(Fault::bad("Malformed Request-URI")),
        _ => Ok(()),
    }
}

/// The topmost Via of a field, the rest of which must have no empty element.
#[inline]
fn first_via(value: &[u8]) -> Result<Via<'_>, Fault> {
    let mut values = List::new(value);
    let via = Via::parse(values.next().unwrap_or_default())?;
    if values.any(<[u8]>::is_empty) { Err(Fault::bad("Empty Via")) } else { Ok(via) }
}

fn call_id(value: &[u8]) -> Result<&[u8], Fault> {
    if value.is_empty() || !lex::all(value, GRAPHIC) { Err(Fault::bad("Malformed Call-ID")) } else { Ok(value) }
}

fn max_forwards(value: &[u8]) -> Result<u8, Fault> {
    lex::whole_number(value).and_then(|number| u8::try_from(number).ok()).ok_or(Fault::bad("Malformed Max-Forwards"))
}

/// A length that a `usize` can't hold is the largest.
pub(super) fn content_length(value: &[u8]) -> Result<usize, Fault> {
    let number = lex::whole_number(value).ok_or(Fault::bad("Malformed Content-Length"))?;
    Ok(usize::try_from(number).unwrap_or(usize::MAX))
}

#[cold]
fn missing_fault(missing: u64) -> Fault {
    let lacks = |name: Name| missing & name.bit() != 0;
    Fault::bad(if lacks(Name::Via) {
        "Missing Via"
    } else if lacks(Name::From) {
        "Missing From"
    } else if lacks(Name::To) {
        "Missing To"
    } else if lacks(Name::CallId) {
        "Missing Call-ID"
    } else {
        "Missing CSeq"
    })
}

const REQUIRED: u64 = Name::Via.bit() | Name::From.bit() | Name::To.bit() | Name::CallId.bit() | Name::CSeq.bit();
const BARE_CR: Fault = Fault::bad("CR Without LF");
const BAD_VERSION: Fault = Fault { status: 505, reason: "Version Not Supported" };

#[cfg(test)]
mod tests;
