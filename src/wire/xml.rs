//! XML 1.0 with namespaces, as far as bodies of SIP messages need it: a pull reader over a whole document, and the
//! escaping that a writer needs.
//!
//! The reader allocates nothing, and everything is bounded: bytes of the document, depth, attributes of an element,
//! namespace declarations in scope. It checks what makes a document well-formed as far as its own answers depend on it:
//! tags match, attributes are not given twice, prefixes are declared, references can be resolved.
//!
//! ```
//! use pcsd::wire::xml::Reader;
//! let mut reader = Reader::new(b"<list xmlns='urn:x'><entry uri='sip:a&amp;b'>Ann</entry><entry/></list>").unwrap();
//! let list = reader.root().unwrap();
//! while let Some(entry) = reader.child(&list).unwrap() {
//!     assert!(entry.is("urn:x", "entry"));
//!     if let Some(uri) = entry.attribute("uri") {
//!         assert!(uri == "sip:a&b");
//!         assert_eq!(reader.content::<16>(&entry).unwrap(), "Ann");
//!     }
//! }
//! reader.finish().unwrap();
//! ```
//!
//! Left out: DTDs (a DOCTYPE is passed over, one with an internal subset is refused, so there are no entities but the
//! five predefined ones), encodings other than UTF-8 whatever the XML declaration says, and documents in pieces, which
//! [`stream`] cuts into elements first. Names may have any character above 127.

use core::ops::ControlFlow;

use heapless::{String, Vec};
use memchr::{memchr, memchr_iter};

use crate::base::text::Writer;

pub mod stream;

/// Elements within each other. A document that is deeper is refused.
pub const DEPTH: usize = 16;
/// Attributes of one element, namespace declarations included. An element with more is refused.
pub const ATTRIBUTES: usize = 16;
/// Namespace declarations in scope at one time. A document with more is refused.
pub const NAMESPACES: usize = 16;
/// Bytes of a document. A longer one is refused.
pub const DOCUMENT_BYTES: usize = 64 * 1024;

/// A document that can't be read: the sender's fault.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Fault {
    /// What is wrong, for a reason phrase or a log line.
    pub reason: &'static str,
}

/// What the reader comes by next.
#[derive(Clone, Copy, Debug)]
pub enum Node<'b> {
    /// An element begins.
    Open(Element<'b>),
    /// A piece of text. An element's text may come in several.
    Text(Text<'b>),
    /// The element opened last, and not closed yet, ends.
    Close,
}

/// An element that begins.
#[derive(Clone, Copy, Debug)]
pub struct Element<'b> {
    /// The URI of its namespace; empty when it is in none.
    pub namespace: Text<'b>,
    /// Its name without prefix.
    pub name: &'b str,
    /// Its attributes as they stand in the tag; they have been checked.
    attributes: &'b str,
    /// How deep it lies: 1 is the root.
    depth: usize,
    /// Bytes of the document that were left when it began: no two elements have it in common.
    left: usize,
}

impl<'b> Element<'b> {
    /// Whether it is the element `name` of a namespace.
    pub fn is(&self, namespace: &str, name: &str) -> bool {
        self.name == name && self.namespace == *namespace
    }

    /// The value of an attribute without prefix.
    pub fn attribute(&self, name: &str) -> Option<Text<'b>> {
        self.attributes().find(|attribute| attribute.prefix.is_empty() && attribute.name == name).map(|it| it.value)
    }

    /// All attributes but namespace declarations.
    pub fn attributes(&self) -> impl Iterator<Item = Attribute<'b>> {
        Attributes(self.attributes).filter(|attribute| attribute.declares().is_none())
    }
}

/// An attribute.
#[derive(Clone, Copy, Debug)]
pub struct Attribute<'b> {
    /// The prefix, empty when there is none. It is declared, or `xml`.
    pub prefix: &'b str,
    /// The name without prefix.
    pub name: &'b str,
    /// The value.
    pub value: Text<'b>,
}

impl<'b> Attribute<'b> {
    /// The prefix that it declares a namespace for, empty for the default namespace; `None` for a plain attribute.
    fn declares(&self) -> Option<&'b str> {
        match (self.prefix, self.name) {
            ("", "xmlns") => Some(""),
            ("xmlns", prefix) => Some(prefix),
            _ => None,
        }
    }
}

/// Text or an attribute's value, compared and read with its references resolved.
#[derive(Clone, Copy, Debug)]
pub struct Text<'b> {
    /// As it stands in the document.
    pub raw: &'b str,
    kind: Kind,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    Content,
    Attribute,
    Cdata,
}

impl<'b> Text<'b> {
    /// Its characters: references resolved, line ends as one line feed, in attributes white space as blanks
    /// (XML 1.0 §2.11, §3.3.3).
    pub fn chars(&self) -> impl Iterator<Item = char> + use<'b> {
        Chars { rest: self.raw, kind: self.kind }
    }

    /// Whether it says `text` in any case, white space around it left out.
    pub fn is_word(&self, text: &str) -> bool {
        let mut chars = self.chars().skip_while(|c| c.is_whitespace());
        text.chars().all(|c| chars.next().is_some_and(|other| other.eq_ignore_ascii_case(&c)))
            && chars.all(char::is_whitespace)
    }

    /// Its first `N` bytes, white space around left out, cut between characters.
    pub fn cut<const N: usize>(&self) -> String<N> {
        let mut cut = Cut::new();
        self.chars().for_each(|c| cut.push(c));
        cut.finish()
    }
}

impl<'b> Text<'b> {
    /// No text.
    pub const EMPTY: Self = Self { raw: "", kind: Kind::Content };

    /// A piece of an element's text by itself: as [`stream::Splitter`] cuts it, or one CDATA section.
    pub fn of(piece: &'b [u8]) -> Result<Self, Fault> {
        let text = str::from_utf8(piece).or(fault("XML Not in UTF-8"))?;
        if !is_all_legal(piece) {
            return fault("Illegal Character in XML");
        }
        if let Some(section) = text.strip_prefix("<![CDATA[") {
            let raw = section.strip_suffix("]]>").ok_or(Fault { reason: TRUNCATED })?;
            return Ok(Self { raw, kind: Kind::Cdata });
        }
        check_references(text)?;
        Ok(Self { raw: text, kind: Kind::Content })
    }
}

impl PartialEq<str> for Text<'_> {
    fn eq(&self, other: &str) -> bool {
        self.chars().eq(other.chars())
    }
}

impl PartialEq<&str> for Text<'_> {
    fn eq(&self, other: &&str) -> bool {
        *self == **other
    }
}

/// Reads a document from its begin to its end.
///
/// [`Reader::root`] first, then [`Reader::child`] and the methods that take an element, each as far as one is interested;
/// [`Reader::finish`] sees whether the rest is well-formed. [`Reader::next`] is what they are made of. After a fault
/// nothing more is to be had.
pub struct Reader<'b> {
    rest: &'b str,
    /// The elements that are open: qualified name, and the document's bytes left when they began.
    open: Vec<(&'b str, usize), DEPTH>,
    scope: Vec<Declaration<'b>, NAMESPACES>,
    /// The element opened last was an empty tag, so its end comes next.
    was_empty_tag: bool,
    has_doctype: bool,
    has_root: bool,
}

struct Declaration<'b> {
    prefix: &'b str,
    namespace: Text<'b>,
    depth: usize,
}

impl<'b> Reader<'b> {
    /// A reader at the start of a document.
    pub fn new(document: &'b [u8]) -> Result<Self, Fault> {
        if document.len() > DOCUMENT_BYTES {
            return fault("XML Too Long");
        }
        let text = str::from_utf8(document).or(fault("XML Not in UTF-8"))?;
        if !is_all_legal(document) {
            return fault("Illegal Character in XML");
        }
        let rest = text.strip_prefix('\u{feff}').unwrap_or(text);
        let (open, scope) = (Vec::new(), Vec::new());
        Ok(Self { rest, open, scope, was_empty_tag: false, has_doctype: false, has_root: false })
    }

    /// A reader of one element out of a larger document, in which these prefixes stand for these namespaces; the empty
    /// prefix for the default one. Of an element that is not whole the start tag can be read.
    pub fn inside(element: &'b [u8], scope: &[(&'b str, &'b str)]) -> Result<Self, Fault> {
        let mut reader = Self::new(element)?;
        for (prefix, namespace) in scope {
            let namespace = Text { raw: namespace, kind: Kind::Attribute };
            reader.scope.push(Declaration { prefix, namespace, depth: 0 }).or(fault("Too Many Namespaces"))?;
        }
        Ok(reader)
    }

    /// The root element, when nothing was read before.
    pub fn root(&mut self) -> Result<Element<'b>, Fault> {
        match self.next()? {
            Some(Node::Open(element)) if self.open.len() == 1 => Ok(element),
            _ => fault("Root Element Was Read"),
        }
    }

    /// The next child element of `of`; `None` when there is none left, and `of` is closed then. What is left of a child
    /// handed out before is passed over.
    pub fn child(&mut self, of: &Element<'_>) -> Result<Option<Element<'b>>, Fault> {
        self.within(of, |node| match node {
            Node::Open(element) => ControlFlow::Break(element),
            _ => ControlFlow::Continue(()),
        })
    }

    /// Passes over what is left of an element.
    pub fn skip(&mut self, of: &Element<'_>) -> Result<(), Fault> {
        self.text(of, |_| ())
    }

    /// What is left of an element's own text, without that of elements in it.
    pub fn text(&mut self, of: &Element<'_>, mut take: impl FnMut(char)) -> Result<(), Fault> {
        self.texts(of, |text| text.chars().for_each(&mut take))
    }

    /// The same in pieces, as they stand in the document.
    pub fn texts(&mut self, of: &Element<'_>, mut take: impl FnMut(Text<'b>)) -> Result<(), Fault> {
        self.within(of, |node| {
            if let Node::Text(text) = node {
                take(text);
            }
            ControlFlow::<()>::Continue(())
        })?;
        Ok(())
    }

    /// The first `N` bytes of an element's own text, white space around left out, cut between characters.
    pub fn content<const N: usize>(&mut self, of: &Element<'_>) -> Result<String<N>, Fault> {
        let mut cut = Cut::new();
        self.text(of, |c| cut.push(c))?;
        Ok(cut.finish())
    }

    /// Reads what is left of the document: it must be well-formed to its end.
    pub fn finish(mut self) -> Result<(), Fault> {
        while self.next()?.is_some() {}
        Ok(())
    }

    /// Shows `see` the elements and texts that lie directly in `of`, until it breaks or `of` is closed.
    fn within<T>(
        &mut self,
        of: &Element<'_>,
        mut see: impl FnMut(Node<'b>) -> ControlFlow<T>,
    ) -> Result<Option<T>, Fault> {
        while self.open.get(of.depth - 1).is_some_and(|(_, left)| *left == of.left) {
            let is_direct = self.open.len() == of.depth;
            if let Some(node) = self.next()?
                && is_direct
                && let ControlFlow::Break(found) = see(node)
            {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// What comes next; `None` at the end of the document.
    #[expect(clippy::should_implement_trait, reason = "an iterator can't stop at the first fault")]
    pub fn next(&mut self) -> Result<Option<Node<'b>>, Fault> {
        if self.was_empty_tag {
            self.was_empty_tag = false;
            self.close();
            return Ok(Some(Node::Close));
        }
        loop {
            let rest = self.rest;
            if rest.is_empty() {
                return if self.has_root && self.open.is_empty() { Ok(None) } else { fault(TRUNCATED) };
            }
            let found = match rest.strip_prefix('<') {
                None => self.plain(rest)?,
                Some(markup) if markup.starts_with('!') => self.declaration(markup)?,
                Some(markup) if markup.starts_with('?') => {
                    self.rest = after(markup, "?>")?;
                    None
                }
                Some(markup) if markup.starts_with('/') => Some(self.close_tag(&markup[1..])?),
                Some(markup) => Some(self.open_tag(markup)?),
            };
            if found.is_some() {
                return Ok(found);
            }
        }
    }

    /// Text up to the next markup.
    fn plain(&mut self, rest: &'b str) -> Result<Option<Node<'b>>, Fault> {
        let (raw, rest) = rest.split_at(memchr(b'<', rest.as_bytes()).unwrap_or(rest.len()));
        self.rest = rest;
        if !self.open.is_empty() {
            check_references(raw)?;
            return Ok(Some(Node::Text(Text { raw, kind: Kind::Content })));
        }
        if trim_start(raw).is_empty() { Ok(None) } else { fault("Text Outside of the Root Element") }
    }

    /// A comment, a CDATA section or a DOCTYPE.
    fn declaration(&mut self, markup: &'b str) -> Result<Option<Node<'b>>, Fault> {
        if let Some(comment) = markup.strip_prefix("!--") {
            self.rest = after(comment, "-->")?;
            return Ok(None);
        }
        if let Some(section) = markup.strip_prefix("![CDATA[")
            && !self.open.is_empty()
        {
            let (raw, rest) = section.split_once("]]>").ok_or(Fault { reason: TRUNCATED })?;
            self.rest = rest;
            return Ok(Some(Node::Text(Text { raw, kind: Kind::Cdata })));
        }
        if let Some(doctype) = markup.strip_prefix("!DOCTYPE")
            && !self.has_root
            && !self.has_doctype
        {
            self.has_doctype = true;
            self.rest = after_doctype(doctype)?;
            return Ok(None);
        }
        fault("Misplaced XML Declaration")
    }

    fn open_tag(&mut self, markup: &'b str) -> Result<Node<'b>, Fault> {
        let left = markup.len();
        if self.open.is_empty() && self.has_root {
            return fault("Second Root Element");
        }
        let (qualified, attributes) = name(markup)?;
        self.has_root = true;
        self.open.push((qualified, left)).or(fault("XML Too Deep"))?;
        let end = self.attributes(attributes)?;
        let attributes = &attributes[..attributes.len() - end.len()];
        (self.was_empty_tag, self.rest) = match end.strip_prefix("/>") {
            Some(rest) => (true, rest),
            None => (false, end.strip_prefix('>').ok_or(Fault { reason: "Malformed Tag" })?),
        };
        for attribute in Attributes(attributes) {
            if !attribute.prefix.is_empty() && attribute.prefix != "xmlns" {
                self.namespace(attribute.prefix)?;
            }
        }
        let (prefix, name) = split_name(qualified)?;
        let namespace = self.namespace(prefix)?;
        Ok(Node::Open(Element { namespace, name, attributes, depth: self.open.len(), left }))
    }

    /// Checks the attributes of an element that was just opened, and keeps its declarations; what follows them.
    fn attributes(&mut self, all: &'b str) -> Result<&'b str, Fault> {
        let mut names = Vec::<_, ATTRIBUTES>::new();
        let mut rest = all;
        loop {
            let next = trim_start(rest);
            if next.is_empty() {
                return fault(TRUNCATED);
            }
            if next.starts_with(['/', '>']) {
                return Ok(next);
            }
            let (found, after) = attribute(rest)?;
            if names.contains(&(found.prefix, found.name)) {
                return fault("Attribute Given Twice");
            }
            names.push((found.prefix, found.name)).or(fault("Too Many Attributes"))?;
            if let Some(prefix) = found.declares() {
                let declaration = Declaration { prefix, namespace: found.value, depth: self.open.len() };
                self.scope.push(declaration).or(fault("Too Many Namespaces"))?;
            }
            rest = after;
        }
    }

    /// The namespace that a prefix stands for here; none for the empty prefix without declaration.
    fn namespace(&self, prefix: &str) -> Result<Text<'b>, Fault> {
        match self.scope.iter().rev().find(|declaration| declaration.prefix == prefix) {
            Some(declaration) => Ok(declaration.namespace),
            None if prefix.is_empty() => Ok(Text { raw: "", kind: Kind::Attribute }),
            None if prefix == "xml" => Ok(Text { raw: XML_NAMESPACE, kind: Kind::Attribute }),
            None => fault("Undeclared Namespace Prefix"),
        }
    }

    fn close_tag(&mut self, markup: &'b str) -> Result<Node<'b>, Fault> {
        let (qualified, rest) = name(markup)?;
        if self.open.last().is_none_or(|(open, _)| *open != qualified) {
            return fault("Mismatched Tag");
        }
        let rest = trim_start(rest);
        if rest.is_empty() {
            return fault(TRUNCATED);
        }
        self.rest = rest.strip_prefix('>').ok_or(Fault { reason: "Malformed Tag" })?;
        self.close();
        Ok(Node::Close)
    }

    /// Leaves the innermost element, and its declarations with it.
    fn close(&mut self) {
        self.open.pop();
        while self.scope.last().is_some_and(|declaration| declaration.depth > self.open.len()) {
            self.scope.pop();
        }
    }
}

/// Appends `text` so that it can stand in an element and in an attribute's value in quotes. Characters that XML 1.0 does
/// not have are dropped.
pub fn escape(text: &str, out: &mut Writer<'_>) {
    let mut plain = text;
    while let Some(at) =
        plain.find(|c: char| matches!(c, '&' | '<' | '>' | '"' | '\'' | '\t' | '\n' | '\r') || !is_legal(c))
    {
        let (before, rest) = plain.split_at(at);
        out.text(before);
        let mut chars = rest.chars();
        out.text(match chars.next() {
            Some('&') => "&amp;",
            Some('<') => "&lt;",
            Some('>') => "&gt;",
            Some('"') => "&quot;",
            Some('\'') => "&apos;",
            Some('\t') => "&#9;",
            Some('\n') => "&#10;",
            Some('\r') => "&#13;",
            _ => "",
        });
        plain = chars.as_str();
    }
    out.text(plain);
}

/// Appends bytes that should be UTF-8 as [`escape`] does; those that are not are dropped.
pub fn escape_bytes(bytes: &[u8], out: &mut Writer<'_>) {
    bytes.utf8_chunks().for_each(|chunk| escape(chunk.valid(), out));
}

/// A text being cut to `N` bytes, white space around it left out.
struct Cut<const N: usize> {
    text: String<N>,
    is_full: bool,
}

impl<const N: usize> Cut<N> {
    fn new() -> Self {
        Self { text: String::new(), is_full: false }
    }

    fn push(&mut self, c: char) {
        let is_leading_blank = self.text.is_empty() && c.is_whitespace();
        if !self.is_full && !is_leading_blank {
            self.is_full = self.text.push(c).is_err();
        }
    }

    fn finish(mut self) -> String<N> {
        self.text.truncate(self.text.trim_end().len());
        self.text
    }
}

/// The characters of a text.
struct Chars<'b> {
    rest: &'b str,
    kind: Kind,
}

impl Iterator for Chars<'_> {
    type Item = char;

    fn next(&mut self) -> Option<char> {
        if self.kind != Kind::Cdata
            && let Some((c, rest)) = reference(self.rest)
        {
            self.rest = rest;
            return Some(c);
        }
        let mut chars = self.rest.chars();
        let c = chars.next()?;
        self.rest = chars.as_str();
        if c == '\r' {
            self.rest = self.rest.strip_prefix('\n').unwrap_or(self.rest);
        }
        match c {
            '\t' | '\n' | '\r' if self.kind == Kind::Attribute => Some(' '),
            '\r' => Some('\n'),
            c => Some(c),
        }
    }
}

/// The attributes in the text of a tag; it ends at the first that can't be read.
struct Attributes<'b>(&'b str);

impl<'b> Iterator for Attributes<'b> {
    type Item = Attribute<'b>;

    fn next(&mut self) -> Option<Attribute<'b>> {
        let (attribute, rest) = attribute(self.0).ok()?;
        self.0 = rest;
        Some(attribute)
    }
}

/// An attribute with the white space before it, and what follows.
fn attribute(text: &str) -> Result<(Attribute<'_>, &str), Fault> {
    let malformed = Fault { reason: "Malformed Attribute" };
    let start = trim_start(text);
    if start.len() == text.len() {
        return Err(malformed);
    }
    let (qualified, rest) = name(start)?;
    let rest = trim_start(trim_start(rest).strip_prefix('=').ok_or(malformed)?);
    let quote = rest.chars().next().filter(|c| matches!(c, '"' | '\'')).ok_or(malformed)?;
    let (raw, rest) = rest[1..].split_once(quote).ok_or(Fault { reason: TRUNCATED })?;
    if raw.contains('<') {
        return Err(malformed);
    }
    check_references(raw)?;
    let (prefix, name) = split_name(qualified)?;
    Ok((Attribute { prefix, name, value: Text { raw, kind: Kind::Attribute } }, rest))
}

/// A qualified name, and what follows.
fn name(text: &str) -> Result<(&str, &str), Fault> {
    // It ends before an ASCII byte, so between characters.
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b':' | b'-' | b'.') || byte > 127;
    let (name, rest) = text.split_at(text.bytes().position(|byte| !is_name(byte)).unwrap_or(text.len()));
    if rest.is_empty() {
        return fault(TRUNCATED);
    }
    if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '-' | '.')) {
        return fault("Malformed Name");
    }
    Ok((name, rest))
}

/// The prefix of a qualified name, and the name itself.
fn split_name(qualified: &str) -> Result<(&str, &str), Fault> {
    match qualified.split_once(':') {
        None => Ok(("", qualified)),
        Some((prefix, name)) if !prefix.is_empty() && !name.is_empty() && !name.contains(':') => Ok((prefix, name)),
        Some(_) => fault("Malformed Name"),
    }
}

/// What follows the next `end`.
fn after<'b>(text: &'b str, end: &str) -> Result<&'b str, Fault> {
    text.split_once(end).map(|(_, rest)| rest).ok_or(Fault { reason: TRUNCATED })
}

/// What follows a DOCTYPE without internal subset.
fn after_doctype(text: &str) -> Result<&str, Fault> {
    let mut rest = text;
    loop {
        let at = rest.find(['>', '[', '"', '\'']).ok_or(Fault { reason: TRUNCATED })?;
        let (found, after_found) = rest[at..].split_at(1);
        rest = match found {
            ">" => return Ok(after_found),
            "[" => return fault("DTD in XML"),
            quote => after(after_found, quote)?,
        };
    }
}

/// Every reference in a text can be resolved.
fn check_references(text: &str) -> Result<(), Fault> {
    let mut rest = text;
    while let Some(at) = memchr(b'&', rest.as_bytes()) {
        match reference(&rest[at..]) {
            Some((_, after)) => rest = after,
            None => return fault("Unknown Entity"),
        }
    }
    Ok(())
}

/// The character that a reference at the start of `text` stands for, and what follows.
fn reference(text: &str) -> Option<(char, &str)> {
    let text = text.strip_prefix('&')?;
    let end = text.bytes().take(REFERENCE_BYTES).position(|byte| byte == b';')?;
    let (name, rest) = (&text[..end], &text[end + 1..]);
    let c = match name {
        "amp" => '&',
        "lt" => '<',
        "gt" => '>',
        "quot" => '"',
        "apos" => '\'',
        _ => {
            let number = name.strip_prefix('#')?;
            let (digits, radix) = number.strip_prefix('x').map_or((number, 10), |digits| (digits, 16));
            if !digits.starts_with(|c: char| c.is_digit(radix)) {
                return None;
            }
            char::from_u32(u32::from_str_radix(digits, radix).ok()?).filter(|c| is_legal(*c))?
        }
    };
    Some((c, rest))
}

/// What follows white space.
fn trim_start(text: &str) -> &str {
    &text[text.bytes().position(|byte| !WHITE.contains(&byte)).unwrap_or(text.len())..]
}

/// Whether XML 1.0 has all characters of a text in UTF-8.
fn is_all_legal(text: &[u8]) -> bool {
    let has_control = text.iter().any(|byte| *byte < b' ' && !WHITE.contains(byte));
    let is_noncharacter = |at: usize| matches!(text[at..], [_, 0xbf, 0xbe | 0xbf, ..]);
    !has_control && !memchr_iter(0xef, text).any(is_noncharacter)
}

/// Whether XML 1.0 has a character (§2.2).
pub fn is_legal(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..)
}

fn fault<T>(reason: &'static str) -> Result<T, Fault> {
    Err(Fault { reason })
}

const TRUNCATED: &str = "XML Is Truncated";
const WHITE: [u8; 4] = *b" \t\n\r";
const XML_NAMESPACE: &str = "http://www.w3.org/XML/1998/namespace";
/// The longest reference between `&` and `;`, the latter included: what a code point needs and some leading zeros.
const REFERENCE_BYTES: usize = 16;

#[cfg(test)]
mod tests;
