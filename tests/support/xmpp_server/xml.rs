//! XML as XMPP has it (RFC 6120 §11): a reader that takes a stream in pieces of any size and is strict where a client might
//! be sloppy, and elements that can be built, asked and written. No comments, processing instructions, DTDs or CDATA.

use std::fmt::Write as _;
use std::str;

/// The namespace of stanzas.
pub const CLIENT: &str = "jabber:client";
/// The namespace of streams.
pub const STREAMS: &str = "http://etherx.jabber.org/streams";
/// Bytes of a stanza at most, as prosody has it for clients.
const STANZA_BYTES: usize = 256 * 1024;

/// An element with its namespace resolved.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Element {
    pub name: String,
    pub ns: String,
    attributes: Vec<(String, String)>,
    nodes: Vec<Node>,
}

/// What is in an element.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Node {
    Element(Element),
    Text(String),
}

impl Element {
    pub fn new(name: &str, ns: &str) -> Self {
        Self { name: name.into(), ns: ns.into(), attributes: Vec::new(), nodes: Vec::new() }
    }

    /// With an attribute, which takes the place of an earlier one; an empty value takes it away.
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.set(name, value);
        self
    }

    /// With a child.
    pub fn and(mut self, child: Self) -> Self {
        self.nodes.push(Node::Element(child));
        self
    }

    /// With text.
    pub fn says(mut self, text: &str) -> Self {
        self.nodes.push(Node::Text(text.into()));
        self
    }

    pub fn set(&mut self, name: &str, value: &str) {
        if value.is_empty() {
            self.attributes.retain(|(n, _)| n != name);
        } else if let Some((_, old)) = self.attributes.iter_mut().find(|(n, _)| n == name) {
            *old = value.into();
        } else {
            self.attributes.push((name.into(), value.into()));
        }
    }

    pub fn push(&mut self, child: Self) {
        self.nodes.push(Node::Element(child));
    }

    /// An attribute; empty when it is missing.
    pub fn get(&self, name: &str) -> &str {
        self.attributes.iter().find(|(n, _)| n == name).map_or("", |(_, value)| value)
    }

    pub fn is(&self, name: &str, ns: &str) -> bool {
        self.name == name && self.ns == ns
    }

    pub fn children(&self) -> impl Iterator<Item = &Self> {
        self.nodes.iter().filter_map(|node| match node {
            Node::Element(element) => Some(element),
            Node::Text(_) => None,
        })
    }

    pub fn child(&self, name: &str, ns: &str) -> Option<&Self> {
        self.children().find(|child| child.is(name, ns))
    }

    /// The first child of a namespace.
    pub fn of(&self, ns: &str) -> Option<&Self> {
        self.children().find(|child| child.ns == ns)
    }

    /// The text of a child of the element's own namespace; empty when there is none.
    pub fn text_of(&self, name: &str) -> String {
        self.child(name, &self.ns).map(Self::text).unwrap_or_default()
    }

    pub fn text(&self) -> String {
        let texts = self.nodes.iter().map(|node| match node {
            Node::Text(text) => text.as_str(),
            Node::Element(_) => "",
        });
        texts.collect()
    }

    /// Takes children away.
    pub fn keep(&mut self, mut is_kept: impl FnMut(&Self) -> bool) {
        self.nodes.retain(|node| match node {
            Node::Element(element) => is_kept(element),
            Node::Text(_) => true,
        });
    }

    /// As bytes, inside an element of namespace `outer`.
    pub fn write(&self, outer: &str) -> String {
        let mut out = String::new();
        self.write_to(outer, &mut out);
        out
    }

    fn write_to(&self, outer: &str, out: &mut String) {
        let _ = write!(out, "<{}", self.name);
        for (name, value) in &self.attributes {
            let _ = write!(out, " {name}='{}'", escaped(value));
        }
        if self.ns != outer {
            let _ = write!(out, " xmlns='{}'", self.ns);
        }
        if self.nodes.is_empty() {
            out.push_str("/>");
            return;
        }
        out.push('>');
        for node in &self.nodes {
            match node {
                Node::Element(element) => element.write_to(&self.ns, out),
                Node::Text(text) => out.push_str(&escaped(text)),
            }
        }
        let _ = write!(out, "</{}>", self.name);
    }
}

/// Text for element content and for attributes.
pub fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '\'' => out.push_str("&apos;"),
            '"' => out.push_str("&quot;"),
            _ => out.push(c),
        }
    }
    out
}

/// What a stream is made of.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Piece {
    /// The stream's start tag.
    Open(Element),
    Stanza(Element),
    /// The stream's end tag.
    Close,
}

/// Why a stream cannot be read on: the condition of its stream error (RFC 6120 §4.9.3).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Bad(pub &'static str);

const MALFORMED: Bad = Bad("not-well-formed");
const RESTRICTED: Bad = Bad("restricted-xml");

/// Reads a stream.
#[derive(Default)]
pub struct Reader {
    buffer: Vec<u8>,
    stack: Vec<Open>,
    has_begun: bool,
    stanza_bytes: usize,
}

/// An element that has not ended.
struct Open {
    element: Element,
    raw_name: String,
    prefixes: Vec<(String, String)>,
}

impl Reader {
    pub fn feed(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// Forgets all: a new stream begins. RFC 6120 §5.4.3.3: what was received meanwhile counts for nothing.
    pub fn restart(&mut self) {
        *self = Self::default();
    }

    /// The next piece, once all of it is there.
    pub fn next(&mut self) -> Result<Option<Piece>, Bad> {
        loop {
            let Some(first) = self.buffer.first() else { return Ok(None) };
            let is_tag = *first == b'<';
            let len = if is_tag { end_of_tag(&self.buffer) } else { self.end_of_text()? };
            let Some(len) = len else {
                let is_too_long = self.stanza_bytes + self.buffer.len() > STANZA_BYTES;
                return if is_too_long { Err(Bad("policy-violation")) } else { Ok(None) };
            };
            self.stanza_bytes += len;
            let bytes: Vec<u8> = self.buffer.drain(..len).collect();
            let text = str::from_utf8(&bytes).map_err(|_| Bad("bad-format"))?;
            if !text.chars().all(|c| c >= ' ' && c != '\u{fffe}' && c != '\u{ffff}' || matches!(c, '\t' | '\n' | '\r'))
            {
                return Err(MALFORMED);
            }
            if !is_tag {
                self.text(text)?;
            } else if let Some(piece) = self.tag(text)? {
                self.stanza_bytes = 0;
                return Ok(Some(piece));
            }
        }
    }

    /// Where text ends: between stanzas, where only white space may be, at once.
    fn end_of_text(&self) -> Result<Option<usize>, Bad> {
        let end = self.buffer.iter().position(|b| *b == b'<');
        if self.stack.len() > 1 {
            return Ok(end);
        }
        let end = end.unwrap_or(self.buffer.len());
        if self.buffer[..end].iter().all(u8::is_ascii_whitespace) { Ok(Some(end)) } else { Err(MALFORMED) }
    }

    fn text(&mut self, text: &str) -> Result<(), Bad> {
        if let [_, .., open] = &mut self.stack[..] {
            open.element.nodes.push(Node::Text(unescaped(text)?));
        }
        Ok(())
    }

    fn tag(&mut self, tag: &str) -> Result<Option<Piece>, Bad> {
        if tag.starts_with("<?") {
            let is_declaration = tag.starts_with("<?xml ") && !self.has_begun && self.stack.is_empty();
            self.has_begun = true;
            return if is_declaration { Ok(None) } else { Err(RESTRICTED) };
        }
        if tag.starts_with("<!") {
            return Err(RESTRICTED);
        }
        self.has_begun = true;
        if let Some(rest) = tag.strip_prefix("</") {
            return self.end(rest.strip_suffix('>').ok_or(MALFORMED)?.trim_end());
        }
        let inner = &tag[1..tag.len() - 1];
        let (inner, is_empty) = inner.strip_suffix('/').map_or((inner, false), |inner| (inner, true));
        let (raw_name, attributes) = start_tag(inner)?;
        self.open(&raw_name, attributes)?;
        if is_empty {
            return self.end(&raw_name);
        }
        Ok(if self.stack.len() == 1 { Some(Piece::Open(self.stack[0].element.clone())) } else { None })
    }

    fn open(&mut self, raw_name: &str, attributes: Vec<(String, String)>) -> Result<(), Bad> {
        let mut open = Open { element: Element::new(raw_name, ""), raw_name: raw_name.into(), prefixes: Vec::new() };
        for (name, value) in attributes {
            if name == "xmlns" {
                open.prefixes.push((String::new(), value));
            } else if let Some(prefix) = name.strip_prefix("xmlns:") {
                open.prefixes.push((prefix.into(), value));
            } else if open.element.attributes.iter().any(|(n, _)| *n == name) {
                return Err(MALFORMED);
            } else {
                open.element.attributes.push((name, value));
            }
        }
        let (prefix, name) = raw_name.split_once(':').unwrap_or(("", raw_name));
        open.element.name = name.into();
        self.stack.push(open);
        let ns = self.stack.iter().rev().flat_map(|open| open.prefixes.iter().rev()).find(|(p, _)| p == prefix);
        let ns = match ns {
            Some((_, ns)) => ns.clone(),
            None if prefix.is_empty() => String::new(),
            None => return Err(Bad("bad-namespace-prefix")),
        };
        self.stack.last_mut().expect("it was pushed").element.ns = ns;
        Ok(())
    }

    fn end(&mut self, raw_name: &str) -> Result<Option<Piece>, Bad> {
        let open = self.stack.pop().ok_or(MALFORMED)?;
        if open.raw_name != raw_name {
            return Err(MALFORMED);
        }
        match self.stack.len() {
            0 => Ok(Some(Piece::Close)),
            1 => Ok(Some(Piece::Stanza(open.element))),
            n => {
                self.stack[n - 1].element.push(open.element);
                Ok(None)
            }
        }
    }
}

/// Bytes of the tag at the front, if it ends: `>` may be in an attribute.
fn end_of_tag(bytes: &[u8]) -> Option<usize> {
    let mut quote = None;
    for (at, b) in bytes.iter().enumerate() {
        match (quote, b) {
            (None, b'>') => return Some(at + 1),
            (None, b'\'' | b'"') => quote = Some(*b),
            (Some(q), b) if q == *b => quote = None,
            _ => {}
        }
    }
    None
}

/// The name and the attributes of a start tag, without its brackets.
fn start_tag(inner: &str) -> Result<(String, Vec<(String, String)>), Bad> {
    let is_space = |c: char| c.is_ascii_whitespace();
    let end = inner.find(is_space).unwrap_or(inner.len());
    let (raw_name, mut rest) = inner.split_at(end);
    check_name(raw_name)?;
    let mut attributes = Vec::new();
    loop {
        let trimmed = rest.trim_start_matches(is_space);
        if trimmed.is_empty() {
            return Ok((raw_name.into(), attributes));
        }
        if trimmed.len() == rest.len() {
            return Err(MALFORMED);
        }
        let (name, after) = trimmed.split_once('=').ok_or(MALFORMED)?;
        let name = name.trim_end_matches(is_space);
        check_name(name)?;
        let after = after.trim_start_matches(is_space);
        let quote = after.chars().next().filter(|c| matches!(c, '\'' | '"')).ok_or(MALFORMED)?;
        let (value, after) = after[1..].split_once(quote).ok_or(MALFORMED)?;
        if value.contains('<') {
            return Err(MALFORMED);
        }
        attributes.push((name.into(), unescaped(value)?));
        rest = after;
    }
}

fn check_name(name: &str) -> Result<(), Bad> {
    let is_good = name.chars().all(|c| c.is_alphanumeric() || matches!(c, '-' | '_' | '.' | ':'))
        && name.starts_with(|c: char| c.is_alphabetic() || c == '_');
    if is_good { Ok(()) } else { Err(MALFORMED) }
}

fn unescaped(text: &str) -> Result<String, Bad> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('&') {
        let (name, after) = after.split_once(';').ok_or(MALFORMED)?;
        out.push_str(before);
        out.push(match name {
            "amp" => '&',
            "lt" => '<',
            "gt" => '>',
            "apos" => '\'',
            "quot" => '"',
            _ => reference(name).ok_or(RESTRICTED)?,
        });
        rest = after;
    }
    out.push_str(rest);
    Ok(out)
}

fn reference(name: &str) -> Option<char> {
    let number = name.strip_prefix('#')?;
    let code = number.strip_prefix('x').map_or_else(|| number.parse().ok(), |hex| u32::from_str_radix(hex, 16).ok())?;
    char::from_u32(code).filter(|c| *c >= ' ' || matches!(c, '\t' | '\n' | '\r'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8], step: usize) -> Result<Vec<Piece>, Bad> {
        let mut reader = Reader::default();
        let mut pieces = Vec::new();
        for chunk in bytes.chunks(step) {
            reader.feed(chunk);
            while let Some(piece) = reader.next()? {
                pieces.push(piece);
            }
        }
        Ok(pieces)
    }

    #[test]
    fn pieces_of_any_size() {
        let stream = "<?xml version='1.0'?><stream:stream to=\"a>b\" xmlns='jabber:client' \
                      xmlns:stream='http://etherx.jabber.org/streams'> \n<message to='x'><body>fä &amp; &#x41;</body>\
                      <x xmlns='y'><z/></x></message><stream:error/></stream:stream>";
        let whole = read(stream.as_bytes(), usize::MAX).unwrap();
        assert_eq!(whole, read(stream.as_bytes(), 1).unwrap());
        let [Piece::Open(header), Piece::Stanza(message), Piece::Stanza(error), Piece::Close] = &whole[..] else {
            panic!("{whole:?}");
        };
        assert!(header.is("stream", STREAMS) && header.get("to") == "a>b");
        assert_eq!(message.text_of("body"), "fä & A");
        assert!(message.of("y").is_some_and(|x| x.child("z", "y").is_some()));
        assert!(error.is("error", STREAMS));
        assert_eq!(message.write(CLIENT), "<message to='x'><body>fä &amp; A</body><x xmlns='y'><z/></x></message>");
    }

    #[test]
    fn what_is_no_xml_of_xmpp() {
        let cases = [
            ("<a><b></c></a>", "not-well-formed"),
            ("<a>text</a>", "not-well-formed"),
            ("<a><b c=d/></a>", "not-well-formed"),
            ("<a><b c='1' c='2'/></a>", "not-well-formed"),
            ("<a><b c='1'd='2'/></a>", "not-well-formed"),
            ("<a><b c='<'/></a>", "not-well-formed"),
            ("<a><b>a & b</b></a>", "not-well-formed"),
            ("<a><b>\u{1}</b></a>", "not-well-formed"),
            ("<a><b>&#1;</b></a>", "restricted-xml"),
            ("<a><b>&nbsp;</b></a>", "restricted-xml"),
            ("<a><!-- x --></a>", "restricted-xml"),
            ("<!DOCTYPE a><a/>", "restricted-xml"),
            ("<a><?xml version='1.0'?></a>", "restricted-xml"),
            ("<a><p:b/></a>", "bad-namespace-prefix"),
        ];
        for (text, condition) in cases {
            assert_eq!(read(text.as_bytes(), 1), Err(Bad(condition)), "{text}");
        }
        assert_eq!(read(b"<a><b>\xff</b></a>", 1), Err(Bad("bad-format")));
        let long = format!("<a><b>{}", "x".repeat(STANZA_BYTES));
        assert_eq!(read(long.as_bytes(), 1000), Err(Bad("policy-violation")));
    }
}
