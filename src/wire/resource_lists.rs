//! `application/resource-lists+xml` (RFC 4826 §3), read: the list in a request (RFC 5363, RFC 5367 §4).
//!
//! Lists within lists are flattened. Left out, and counted: `external` and `entry-ref`, which would have to be fetched
//! by XCAP, and entries without a URI. Unknown elements and attributes (`copyControl` of RFC 5364 among them) are passed
//! over. Whether an entry comes twice is for the caller to see.

use super::xml::{Fault, Node, Reader, Text};
use crate::base::text::Name;

/// The media type.
pub const CONTENT_TYPE: &str = "application/resource-lists+xml";
/// The namespace of its elements.
pub const NAMESPACE: &str = "urn:ietf:params:xml:ns:resource-lists";

/// The entries of a document, one after the other.
pub struct Entries<'b> {
    reader: Reader<'b>,
    skipped: usize,
}

/// Who is on a list.
#[derive(Clone, Debug)]
pub struct Entry<'b> {
    /// The URI as an attribute has it; not looked into, and never empty.
    pub uri: Text<'b>,
    /// The display name, cut to what fits; empty when there is none.
    pub name: Name,
}

impl<'b> Entries<'b> {
    /// Begins a document. A fault when it is no such list, or can't be read.
    pub fn new(document: &'b [u8]) -> Result<Self, Fault> {
        let mut reader = Reader::new(document)?;
        if !reader.root()?.is(NAMESPACE, "resource-lists") {
            return Err(Fault { reason: "Not a Resource List" });
        }
        Ok(Self { reader, skipped: 0 })
    }

    /// The next entry; `None` after the last, when the document has ended as it should. Whatever came before a fault is
    /// of a document that can't be relied on.
    #[expect(clippy::should_implement_trait, reason = "an iterator can't stop at the first fault")]
    pub fn next(&mut self) -> Result<Option<Entry<'b>>, Fault> {
        while let Some(node) = self.reader.next()? {
            let Node::Open(element) = node else { continue };
            if element.is(NAMESPACE, "list") {
                continue;
            }
            if element.is(NAMESPACE, "entry") {
                let name = self.display_name(&element)?;
                if let Some(uri) = element.attribute("uri").filter(|uri| uri.chars().next().is_some()) {
                    return Ok(Some(Entry { uri, name }));
                }
                self.skipped += 1;
                continue;
            }
            if element.is(NAMESPACE, "external") || element.is(NAMESPACE, "entry-ref") {
                self.skipped += 1;
            }
            self.reader.skip(&element)?;
        }
        Ok(None)
    }

    /// How many of those that came by so far are left out.
    pub fn skipped(&self) -> usize {
        self.skipped
    }

    /// The first display name in an entry, all of which is read.
    fn display_name(&mut self, entry: &super::xml::Element<'b>) -> Result<Name, Fault> {
        let mut name = Name::new();
        while let Some(child) = self.reader.child(entry)? {
            if name.is_empty() && child.is(NAMESPACE, "display-name") {
                name = self.reader.content(&child)?;
            }
        }
        Ok(name)
    }
}

/// Reads any bytes as a list: entries have a URI, and are no more than there is room for.
pub fn fuzz(document: &[u8]) {
    let Ok(mut entries) = Entries::new(document) else { return };
    let mut count = 0;
    while let Ok(Some(entry)) = entries.next() {
        assert!(entry.uri.chars().next().is_some());
        count += 1;
    }
    // The shortest that is counted.
    assert!((count + entries.skipped()) * "<entry/>".len() <= document.len());
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::format;
    use std::string::{String, ToString};
    use std::vec::Vec;

    fn read(document: &[u8]) -> Result<(Vec<(String, String)>, usize), Fault> {
        let mut entries = Entries::new(document)?;
        let mut all = Vec::new();
        while let Some(entry) = entries.next()? {
            all.push((entry.uri.chars().collect(), entry.name.to_string()));
        }
        Ok((all, entries.skipped()))
    }

    fn pair(uri: &str, name: &str) -> (String, String) {
        (uri.to_string(), name.to_string())
    }

    const LISTS: &[u8] = b"<?xml version=\"1.0\" encoding=\"UTF-8\"?>\r\n\
        <rl:resource-lists xmlns:rl=\"urn:ietf:params:xml:ns:resource-lists\" xmlns:cp=\"urn:x\">\
        <rl:list name=\"friends\"><rl:display-name>All</rl:display-name>\
        <rl:entry uri=\"sip:bob@h;x=&quot;1&quot;\" cp:copyControl=\"to\"/>\
        <rl:list><rl:entry uri='sip:carol@h'><cp:x><rl:display-name>no</rl:display-name></cp:x>\
        <rl:display-name xml:lang=\"en\"> Carol &amp; co\n</rl:display-name></rl:entry>\
        <rl:external anchor=\"http://h/x\"><rl:display-name>Ext</rl:display-name></rl:external></rl:list>\
        <rl:entry-ref ref=\"a\"/><cp:entry uri=\"sip:no@h\"/><cp:wrap><rl:entry uri=\"sip:no@h\"/></cp:wrap>\
        <rl:entry uri=\"\"/><rl:entry/></rl:list></rl:resource-lists>\r\n";

    #[test]
    fn flattened() {
        let (entries, skipped) = read(LISTS).unwrap();
        assert_eq!(entries, [pair("sip:bob@h;x=\"1\"", ""), pair("sip:carol@h", "Carol & co")]);
        assert_eq!(skipped, 4);
    }

    #[test]
    fn linphone() {
        let body = b"<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
            <resource-lists xmlns=\"urn:ietf:params:xml:ns:resource-lists\"\
            \n xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\">\n <list>\n  <entry uri=\"sip:bob@home.test\"/>\n\
            \n  <entry uri=\"sip:carol@home.test\"/>\n </list>\n</resource-lists>\n";
        assert_eq!(read(body).unwrap().0, [pair("sip:bob@home.test", ""), pair("sip:carol@home.test", "")]);
    }

    #[test]
    fn cut_anywhere() {
        for end in 0..LISTS.len() - 2 {
            assert!(read(&LISTS[..end]).is_err(), "{end}");
        }
        assert!(read(&LISTS[..LISTS.len() - 2]).is_ok());
    }

    #[test]
    fn hostile() {
        let root = |content: &str| format!("<resource-lists xmlns='{NAMESPACE}'>{content}</resource-lists>");
        assert_eq!(read(root("").as_bytes()).unwrap().0.len(), 0);
        let many = root(&"<entry uri='a'/>".repeat(4_000));
        assert_eq!(read(many.as_bytes()).unwrap().0.len(), 4_000);
        let named = root(&format!("<entry uri='a'><display-name>{}</display-name></entry>", "é".repeat(20_000)));
        assert_eq!(read(named.as_bytes()).unwrap().0, [pair("a", &"é".repeat(32))]);
        assert!(read(root(&format!("{}{}", "<list>".repeat(40), "</list>".repeat(40))).as_bytes()).is_err());
        assert!(read(root(&"<entry uri='a'/>".repeat(5_000)).as_bytes()).is_err(), "too long");
        for bad in ["", "<list/>", "<resource-lists/>", "<x xmlns='urn:ietf:params:xml:ns:resource-lists'/>", "\0", "<"]
        {
            assert!(read(bad.as_bytes()).is_err(), "{bad}");
        }
        assert!(read(root("<entry uri='&lol;'/>").as_bytes()).is_err());
        assert!(read(format!("{}<x/>", root("")).as_bytes()).is_err());
    }
}
