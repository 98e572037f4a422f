//! An XML document that never ends, cut into what can be read at once: XMPP's streams (RFC 6120 §4, and the restrictions
//! of §11.1).
//!
//! [`Splitter`] looks at a receive window and says what lies at its front: a whole element as a rule. An element that is
//! larger than the window is handed out in pieces: its start tag, then the elements and texts in it one after the other,
//! then its end. So a list of any length is read in a small window. Each byte is looked at once, and once more for each
//! element that is entered.
//!
//! A piece has to be read by [`Reader::inside`](super::Reader::inside), an end tag excepted: the splitter knows where
//! markup begins and ends, and finds comments, processing instructions and DTDs, but whether an element is well-formed
//! inside is for the reader to see. Left out: namespaces, encodings other than UTF-8.

use heapless::Vec;
use memchr::{memchr, memchr3, memrchr};

use super::{DEPTH, Fault};

/// What lies at the front of the window.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Piece {
    /// White space between elements, or the XML declaration: nothing to be read.
    Blank {
        /// Its bytes.
        len: usize,
    },
    /// An element, whole. [`Splitter::enter`] has it handed out in pieces nevertheless.
    Element {
        /// Its bytes.
        len: usize,
        /// The bytes of its start tag; the same as `len` when that is all there is.
        tag: usize,
    },
    /// The start tag of the stream itself, or of an element that does not fit. What follows lies in it.
    Opened {
        /// The bytes of the tag.
        len: usize,
    },
    /// Text in an element that was opened, or a part of it, cut where it can be read by itself
    /// ([`Text::of`](super::Text::of)).
    Text {
        /// Its bytes.
        len: usize,
    },
    /// The end tag of the element opened last.
    Closed {
        /// Its bytes.
        len: usize,
    },
    /// A part of an element, or of a CDATA section, that can't be handed out: its start tag alone does not fit, or it
    /// lies too deep.
    Skipped {
        /// Its bytes.
        len: usize,
        /// Whether it is the first part.
        is_first: bool,
        /// Whether it is the last part.
        is_last: bool,
    },
}

impl Piece {
    /// Its bytes.
    pub const fn len(&self) -> usize {
        match self {
            Self::Blank { len }
            | Self::Element { len, .. }
            | Self::Opened { len }
            | Self::Text { len }
            | Self::Closed { len }
            | Self::Skipped { len, .. } => *len,
        }
    }

    /// Never: there are no pieces of nothing.
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Cuts a stream. It holds how far it has looked, and what is open; the bytes stay in the window.
pub struct Splitter {
    /// Hashes of the names of the elements that were opened, the stream's first.
    open: Vec<u32, DEPTH, u8>,
    /// Bytes at the front of the window that were looked at.
    looked: usize,
    /// What the byte after them is a part of.
    place: Place,
    /// Elements that begin in what was looked at, and do not end there.
    depth: u32,
    /// Bytes of the start tag at the front; 0 when it does not end in what was looked at.
    tag: usize,
    /// What is at the front is being passed over; some of it has gone already.
    is_skipping: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Place {
    /// Between tags.
    Content,
    /// Behind a `<`.
    Markup,
    /// In a tag. The slash: it is the byte before.
    Tag { is_end: bool, has_slash: bool },
    /// In an attribute's value, which this quote ends.
    Value(u8),
    /// Behind `<!`, and so many bytes of `[CDATA[`.
    Section(u8),
    /// In a CDATA section, behind so many brackets.
    Cdata(u8),
    /// In an XML declaration; the mark: behind a `?`.
    Declaration { has_mark: bool },
}

/// Something that ends at the byte looked at last.
enum End {
    /// A start tag.
    Start,
    /// A tag of an element without content.
    Empty,
    /// An end tag.
    Finish,
    Section,
    Declaration,
}

impl Splitter {
    /// At the begin of a stream.
    pub const fn new() -> Self {
        Self { open: Vec::new(), looked: 0, place: Place::Content, depth: 0, tag: 0, is_skipping: false }
    }

    /// How many elements are open, the stream itself included: how deep what comes next lies.
    pub fn depth(&self) -> usize {
        self.open.len()
    }

    /// Whether an element was begun that is not known to be whole yet.
    pub fn is_within(&self) -> bool {
        self.looked > 0 || self.is_skipping || self.open.len() > 1
    }

    /// What lies at the front of the window; `None`: more bytes are needed. `is_full` says that there is no room for more:
    /// something is handed out then. What was handed out has to be taken from the front before the next call. After a
    /// fault nothing more can be read.
    pub fn next(&mut self, window: &[u8], is_full: bool) -> Result<Option<Piece>, Fault> {
        let Some(first) = window.first() else { return Ok(None) };
        if *first != b'<' && !self.is_skipping {
            return self.text(window, is_full);
        }
        while let Some(end) = self.look(window)? {
            if let Some(piece) = self.ended(&end, window)? {
                return Ok(Some(piece));
            }
        }
        self.unfinished(window, is_full)
    }

    /// Has an element that was handed out whole read in pieces: only its start tag is to be taken from the front.
    pub fn enter(&mut self, tag: &[u8]) -> Result<(), Fault> {
        self.open.push(name_hash(tag)).or(fault("XML Too Deep"))
    }

    /// No markup is at the front.
    fn text(&mut self, window: &[u8], is_full: bool) -> Result<Option<Piece>, Fault> {
        let end = memchr(b'<', &window[self.looked..]).map(|at| self.looked + at);
        let len = end.unwrap_or(window.len());
        if self.open.is_empty() && !window[..len].iter().all(|byte| BEFORE_STREAM.contains(byte)) {
            return fault("No XML");
        }
        let piece = match end {
            _ if self.open.len() <= 1 => Piece::Blank { len },
            Some(len) => Piece::Text { len },
            None if is_full => Piece::Text { len: cut(window) },
            None => {
                self.looked = len;
                return Ok(None);
            }
        };
        self.begin();
        Ok(Some(piece))
    }

    /// Looks on, until something ends or the window does.
    fn look(&mut self, window: &[u8]) -> Result<Option<End>, Fault> {
        while let Some(rest) = window.get(self.looked..).filter(|rest| !rest.is_empty()) {
            let (seen, place, end) = self.place.after(rest, self.open.is_empty() && self.depth == 0)?;
            (self.looked, self.place) = (self.looked + seen, place);
            if end.is_some() {
                return Ok(end);
            }
        }
        Ok(None)
    }

    /// Something ends here: what can be handed out now.
    fn ended(&mut self, end: &End, window: &[u8]) -> Result<Option<Piece>, Fault> {
        let len = self.looked;
        let is_stream = self.open.is_empty();
        match end {
            End::Start if is_stream => {
                self.enter(&window[..len])?;
                self.begin();
                return Ok(Some(Piece::Opened { len }));
            }
            End::Start => {
                self.depth = self.depth.saturating_add(1);
                if self.tag == 0 {
                    self.tag = len;
                }
                return Ok(None);
            }
            End::Finish if self.depth == 0 => {
                self.begin();
                return match self.open.pop() {
                    Some(name) if name == name_hash(&window[..len]) => Ok(Some(Piece::Closed { len })),
                    _ => fault("Mismatched Tag"),
                };
            }
            End::Empty if is_stream => return fault("No Stream"),
            End::Empty if self.tag == 0 => self.tag = len,
            End::Finish => self.depth -= 1,
            End::Declaration => {
                self.begin();
                return Ok(Some(Piece::Blank { len }));
            }
            End::Section if self.depth == 0 && self.open.len() <= 1 => return fault("Text in the Stream"),
            End::Empty | End::Section => (),
        }
        if self.depth > 0 {
            return Ok(None);
        }
        let piece = match end {
            _ if self.is_skipping => Piece::Skipped { len, is_first: false, is_last: true },
            End::Section => Piece::Text { len },
            _ => Piece::Element { len, tag: self.tag },
        };
        self.begin();
        Ok(Some(piece))
    }

    /// The window ends first.
    fn unfinished(&mut self, window: &[u8], is_full: bool) -> Result<Option<Piece>, Fault> {
        let len = self.looked;
        if self.is_skipping {
            self.looked = 0;
            return Ok(Some(Piece::Skipped { len, is_first: false, is_last: false }));
        }
        if !is_full {
            return Ok(None);
        }
        if self.tag > 0 && !self.open.is_full() {
            let len = self.tag;
            self.enter(&window[..len])?;
            self.begin();
            return Ok(Some(Piece::Opened { len }));
        }
        let is_element = matches!(self.place, Place::Tag { is_end: false, .. } | Place::Value(_) | Place::Cdata(_));
        if self.open.is_empty() || self.tag == 0 && !is_element {
            return fault("Tag Too Long");
        }
        (self.is_skipping, self.looked) = (true, 0);
        // Of what is passed over no tag is handed out.
        self.tag = len;
        Ok(Some(Piece::Skipped { len, is_first: true, is_last: false }))
    }

    /// What comes next is at the front.
    fn begin(&mut self) {
        (self.looked, self.place, self.depth, self.tag) = (0, Place::Content, 0, 0);
        self.is_skipping = false;
    }
}

impl Default for Splitter {
    fn default() -> Self {
        Self::new()
    }
}

impl Place {
    /// What some of these bytes are, which follow it and are not empty: how many, the place behind them, and what ends
    /// there. An XML declaration may only come first.
    fn after(self, rest: &[u8], may_declare: bool) -> Result<(usize, Self, Option<End>), Fault> {
        let found = |at: Option<usize>| at.map_or(rest.len(), |at| at + 1);
        let first = rest[0];
        Ok(match self {
            Self::Content => match memchr(b'<', rest) {
                Some(at) => (at + 1, Self::Markup, None),
                None => (rest.len(), self, None),
            },
            Self::Markup => match first {
                b'/' => (1, Self::Tag { is_end: true, has_slash: false }, None),
                b'!' => (1, Self::Section(0), None),
                b'?' if may_declare => (1, Self::Declaration { has_mark: false }, None),
                b'?' => return fault("Processing Instruction in XML"),
                // A name begins so, or with what is beyond ASCII: else this is text, and what follows is lost in it.
                b'a'..=b'z' | b'A'..=b'Z' | b'_' | b':' | 0x80.. => {
                    (0, Self::Tag { is_end: false, has_slash: false }, None)
                }
                _ => return fault("No Name in a Tag"),
            },
            Self::Tag { is_end, has_slash } => {
                let seen = found(memchr3(b'"', b'\'', b'>', rest));
                if memchr(b'<', &rest[..seen]).is_some() {
                    return fault("Tag in a Tag");
                }
                let has_slash = if seen > 1 { rest[seen - 2] == b'/' } else { has_slash };
                match rest[seen - 1] {
                    b'>' if is_end => (seen, Self::Content, Some(End::Finish)),
                    b'>' if has_slash => (seen, Self::Content, Some(End::Empty)),
                    b'>' => (seen, Self::Content, Some(End::Start)),
                    quote @ (b'"' | b'\'') => (seen, Self::Value(quote), None),
                    last => (seen, Self::Tag { is_end, has_slash: last == b'/' }, None),
                }
            }
            Self::Value(quote) => match memchr(quote, rest) {
                Some(at) => (at + 1, Self::Tag { is_end: false, has_slash: false }, None),
                None => (rest.len(), self, None),
            },
            Self::Section(seen) if first == CDATA[usize::from(seen)] => match usize::from(seen) + 1 {
                after if after == CDATA.len() => (1, Self::Cdata(0), None),
                after => (1, Self::Section(after as u8), None),
            },
            Self::Section(_) => return fault("Comment or DTD in XML"),
            Self::Cdata(0) => match memchr(b']', rest) {
                Some(at) => (at + 1, Self::Cdata(1), None),
                None => (rest.len(), self, None),
            },
            Self::Cdata(2) if first == b'>' => (1, Self::Content, Some(End::Section)),
            Self::Cdata(brackets) => (1, Self::Cdata(if first == b']' { 2.min(brackets + 1) } else { 0 }), None),
            Self::Declaration { has_mark } if has_mark && first == b'>' => (1, Self::Content, Some(End::Declaration)),
            Self::Declaration { .. } => (1, Self::Declaration { has_mark: first == b'?' }, None),
        })
    }
}

/// How much of a text that is not whole can be read by itself: whole characters and references, no half line end.
fn cut(text: &[u8]) -> usize {
    let tail = text.len().saturating_sub(REFERENCE_BYTES);
    let mut len = text.len();
    if let Some(at) = memrchr(b'&', &text[tail..])
        && !text[tail + at..].contains(&b';')
    {
        len = tail + at;
    }
    // The byte behind the last one is not there to be asked: its character is cut off if it has to have more.
    if len == text.len() {
        let start = (1..=4.min(len)).find(|back| text[len - back] & 0xc0 != 0x80).unwrap_or(1);
        let wants = match text[len - start] {
            0xc0..=0xdf => 2,
            0xe0..=0xef => 3,
            0xf0..=0xff => 4,
            _ => 1,
        };
        if start < wants {
            len -= start;
        }
    }
    if len > 1 && text[len - 1] == b'\r' {
        len -= 1;
    }
    if len == 0 { text.len() } else { len }
}

/// A hash of the name in a tag (FNV-1a): so that an end tag is that of the element it ends.
fn name_hash(tag: &[u8]) -> u32 {
    let name = tag.iter().skip_while(|byte| matches!(byte, b'<' | b'/'));
    let name = name.take_while(|byte| !matches!(byte, b' ' | b'\t' | b'\r' | b'\n' | b'/' | b'>'));
    name.fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}

fn fault<T>(reason: &'static str) -> Result<T, Fault> {
    Err(Fault { reason })
}

const CDATA: &[u8; 7] = b"[CDATA[";
/// White space, and the mark that a text in UTF-8 may begin with.
const BEFORE_STREAM: &[u8] = b" \t\r\n\xef\xbb\xbf";
/// The longest reference that [`super::Reader`] knows.
const REFERENCE_BYTES: usize = super::REFERENCE_BYTES + 1;

#[cfg(test)]
mod tests {
    use std::format;
    use std::string::String;
    use std::vec::Vec;

    use super::*;

    /// Feeds a stream through a window of `room` bytes, `step` bytes at a time, and shows the pieces.
    fn pieces(stream: &[u8], room: usize, step: usize) -> Result<Vec<String>, &'static str> {
        let mut splitter = Splitter::new();
        let (mut window, mut shown) = (Vec::new(), Vec::new());
        let mut rest = stream;
        loop {
            let is_full = window.len() >= room;
            match splitter.next(&window, is_full).map_err(|fault| fault.reason)? {
                Some(piece) => {
                    assert!(!piece.is_empty() && piece.len() <= window.len(), "{piece:?}");
                    let bytes: Vec<u8> = window.drain(..piece.len()).collect();
                    let text = String::from_utf8_lossy(&bytes);
                    match piece {
                        Piece::Blank { .. } => (),
                        Piece::Element { tag, .. } => shown.push(format!("{}|{}", &text[..tag], &text[tag..])),
                        Piece::Opened { .. } => shown.push(format!("+{text}")),
                        Piece::Text { .. } => shown.push(format!("'{text}")),
                        Piece::Closed { .. } => shown.push(format!("-{text}")),
                        Piece::Skipped { is_first, .. } if is_first => shown.push(format!("!{}", &text[..9])),
                        Piece::Skipped { is_last, .. } => shown.extend(is_last.then(|| String::from("!"))),
                    }
                }
                None => {
                    assert!(!is_full, "nothing comes of a full window: {}", window.escape_ascii());
                    let taken = rest.len().min(step).min(room - window.len());
                    if taken == 0 {
                        return Ok(shown);
                    }
                    window.extend_from_slice(&rest[..taken]);
                    rest = &rest[taken..];
                }
            }
        }
    }

    const STREAM: &[u8] =
        b"\xef\xbb\xbf<?xml version='1.0'?>\n<stream:stream a='>'><a/> \n<b c='/>' d=\"'<\">x<c/>y<c></c ></b>\
        <d><![CDATA[</d>]]]]></d></stream:stream>";

    #[test]
    fn elements() {
        let whole =
            ["+<stream:stream a='>'>", "<a/>|", "<b c='/>' d=\"'<\">|x<c/>y<c></c ></b>", "<d>|<![CDATA[</d>]]]]></d>"];
        for step in [1, 2, 3, 7, 1000] {
            let shown = pieces(STREAM, 200, step).unwrap();
            assert_eq!(shown[..4], whole);
            assert_eq!(shown[4..], ["-</stream:stream>"]);
        }
    }

    #[test]
    fn what_does_not_fit_comes_in_pieces() {
        let stream = b"<s><a b='1'>one<c>two</c>&amp;three four five six<d/></a><e/></s>";
        for step in [1, 5, 100] {
            assert_eq!(
                pieces(stream, 14, step).unwrap().concat(),
                "+<s>+<a b='1'>'one<c>|two</c>'&amp;three fou'r five six<d/>|-</a><e/>|-</s>"
            );
        }
        // A list of a thousand, in a window for two.
        let item = "<item name='somebody'/>";
        let list = format!("<s><list>{}</list><x/></s>", item.repeat(1000));
        let shown = pieces(list.as_bytes(), 50, 13).unwrap();
        assert_eq!(shown[..2], ["+<s>", "+<list>"]);
        assert!(shown[2..1002].iter().all(|it| *it == format!("{item}|")));
        assert_eq!(shown[1002..], ["-</list>", "<x/>|", "-</s>"]);
    }

    #[test]
    fn texts_are_cut_between_characters() {
        for room in 20..60 {
            let text = "a&amp;\u{e9}\u{20ac}&#x1f600;\u{1f600}\r\n".repeat(20);
            let shown = pieces(format!("<s><a><b>{text}</b></a></s>").as_bytes(), room, 7).unwrap();
            let texts: Vec<_> = shown.iter().filter_map(|it| it.strip_prefix('\'')).collect();
            assert_eq!(texts.concat(), text);
            for piece in texts {
                assert!(!piece.contains('\u{fffd}') && !piece.ends_with('\r') && piece.len() <= room, "{piece}");
                assert!(super::super::Text::of(piece.as_bytes()).is_ok(), "{piece}");
            }
        }
    }

    #[test]
    fn what_can_not_be_handed_out_is_passed_over() {
        let long = "x".repeat(100);
        for step in [1, 6, 1000] {
            let tag = format!("<s><message a='{long}'>{long}<c a='>'/><message/></message><b/></s>");
            assert_eq!(pieces(tag.as_bytes(), 30, step).unwrap(), ["+<s>", "!<message ", "!", "<b/>|", "-</s>"]);
            let empty = format!("<s><message a='{long}'/><b/></s>");
            assert_eq!(pieces(empty.as_bytes(), 30, step).unwrap(), ["+<s>", "!<message ", "!", "<b/>|", "-</s>"]);
            let section = format!("<s><a><![CDATA[{long}]>]]]>y</a><b/></s>");
            let shown = pieces(section.as_bytes(), 30, step).unwrap();
            assert_eq!(shown, ["+<s>", "+<a>", "!<![CDATA[", "!", "'y", "-</a>", "<b/>|", "-</s>"]);
        }
        let deep = format!("<s>{}{long}{}<b/></s>", "<a>".repeat(40), "</a>".repeat(40));
        let shown = pieces(deep.as_bytes(), 30, 10).unwrap().concat();
        assert!(shown.starts_with("+<s>+<a>+<a>") && shown.contains("!<a><a><a>!-</a>"), "{shown}");
        assert!(shown.ends_with("-</a><b/>|-</s>"), "{shown}");
    }

    #[test]
    fn restricted_xml() {
        for (stream, reason) in [
            (&b"HTTP/1.1 400"[..], "No XML"),
            (b"<s/>", "No Stream"),
            (b"<s><!-- -->", "Comment or DTD in XML"),
            (b"<!DOCTYPE s>", "Comment or DTD in XML"),
            (b"<s><?php ?>", "Processing Instruction in XML"),
            (b"<s><a><?x ?></a>", "Processing Instruction in XML"),
            (b"<s><![CDATA[x]]>", "Text in the Stream"),
            (b"<s></t>", "Mismatched Tag"),
            (b"</s>", "Mismatched Tag"),
            (b"<s><a></a></a></s>", "Mismatched Tag"),
            (b"<s><a>1 < 2 & 3</a><b/>", "No Name in a Tag"),
            (b"<s><a>1 <2</a><b/>", "No Name in a Tag"),
            (b"<s><a>a<b and c</a><b/>", "Tag in a Tag"),
        ] {
            for step in [1, 100] {
                assert_eq!(pieces(stream, 100, step), Err(reason), "{}", stream.escape_ascii());
            }
        }
        let long = format!("<{}", "s".repeat(100));
        assert_eq!(pieces(long.as_bytes(), 50, 10), Err("Tag Too Long"));
        let long = format!("<s></{}", "s".repeat(100));
        assert_eq!(pieces(long.as_bytes(), 50, 10), Err("Tag Too Long"));
    }
}
