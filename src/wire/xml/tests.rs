//! The XML reader and `escape`.

use std::format;
use std::string::{String as Owned, ToString};

use super::*;

/// The events of a document in a notation of its own: `<{namespace}name a=value>`, text, `/`.
fn events(document: &[u8]) -> Result<Owned, Fault> {
    let mut reader = Reader::new(document)?;
    let mut shown = Owned::new();
    while let Some(node) = reader.next()? {
        match node {
            Node::Open(element) => {
                shown.push('<');
                if element.namespace != "" {
                    shown.push('{');
                    shown.extend(element.namespace.chars());
                    shown.push('}');
                }
                shown.push_str(element.name);
                for attribute in element.attributes() {
                    shown.push(' ');
                    if !attribute.prefix.is_empty() {
                        shown.push_str(attribute.prefix);
                        shown.push(':');
                    }
                    shown.push_str(attribute.name);
                    shown.push('=');
                    shown.extend(attribute.value.chars());
                }
                shown.push('>');
            }
            Node::Text(text) => shown.extend(text.chars()),
            Node::Close => shown.push('/'),
        }
    }
    Ok(shown)
}

fn refused(document: &[u8]) -> &'static str {
    events(document).expect_err(&document.escape_ascii().to_string()).reason
}

fn shown(document: &[u8]) -> Owned {
    events(document).unwrap_or_else(|fault| panic!("{}: {}", document.escape_ascii(), fault.reason))
}

#[test]
fn elements_attributes_and_text() {
    assert_eq!(shown(b"<a/>"), "<a>/");
    assert_eq!(
        shown(b"\xef\xbb\xbf<?xml version=\"1.0\"?>\r\n<a >x<b c = 'd\"' e=\"'\" />y</a >\n"),
        "<a>x<b c=d\" e='>/y/"
    );
    assert_eq!(shown("<ä ö='ü'>€😀</ä>".as_bytes()), "<ä ö=ü>€😀/");
    assert_eq!(shown(b"<a>1<!-- <b> & --><![CDATA[<&]]]]><![CDATA[>]]>2<?php <b> ?>3</a>"), "<a>1<&]]>23/");
    assert_eq!(
        shown(b"<a b='&lt;&#65;&#x42;&amp;amp;&quot;&apos;&gt;&#10;'>&#x20AC;&#0000000065;</a>"),
        "<a b=<AB&amp;\"'>\n>\u{20ac}A/"
    );
    assert_eq!(shown(b"<a b='1\r\n2\t3\n4\r5'>1\r\n2\r3\n4</a>"), "<a b=1 2 3 4 5>1\n2\n3\n4/");
    assert_eq!(shown(b"<!-- x --><!DOCTYPE p PUBLIC \"-//]>//EN\" 'x>y'><p/><!-- y --><?z?>"), "<p>/");
}

#[test]
fn namespaces() {
    assert_eq!(shown(b"<a xmlns='u'><b/><p:c xmlns:p='v' p:d='1' d='2'/></a>"), "<{u}a><{u}b>/<{v}c p:d=1 d=2>//");
    assert_eq!(shown(b"<p:a xmlns:p='u'><b xmlns='w'><c/></b><b/></p:a>"), "<{u}a><{w}b><{w}c>//<b>//");
    assert_eq!(shown(b"<a xmlns='u'><b xmlns=''><c xmlns='v'/></b></a>"), "<{u}a><b><{v}c>///");
    assert_eq!(shown(b"<p:a xmlns:p='u'><p:b xmlns:p='v'/><p:b/></p:a>"), "<{u}a><{v}b>/<{u}b>//");
    assert_eq!(shown(b"<a xmlns='u&amp;v' xml:lang='en'/>"), "<{u&v}a xml:lang=en>/");
    let mut reader = Reader::new(b"<a xmlns='u&amp;v' x:b='1' b='2' xmlns:x='w'/>").unwrap();
    let root = reader.root().unwrap();
    assert!(root.is("u&v", "a") && !root.is("u&amp;v", "a") && !root.is("u&v", "b"));
    assert!(root.attribute("b").unwrap() == "2" && root.attribute("xmlns").is_none());
}

#[test]
fn children_are_read_as_far_as_wanted() {
    let document = b"<a>t<b i='1'>one<x>in<y/></x> more</b>u<b i='2'><x/><x/></b><b i='3'/></a>";
    let mut reader = Reader::new(document).unwrap();
    let root = reader.root().unwrap();
    let first = reader.child(&root).unwrap().unwrap();
    assert_eq!(reader.content::<32>(&first).unwrap(), "one more");
    assert!(reader.child(&first).unwrap().is_none());
    let second = reader.child(&root).unwrap().unwrap();
    assert!(second.attribute("i").unwrap() == "2");
    // A closed element has nothing, although another is open at its depth.
    assert!(reader.child(&first).unwrap().is_none());
    let inner = reader.child(&second).unwrap().unwrap();
    assert!(inner.name == "x");
    let third = reader.child(&root).unwrap().unwrap();
    assert!(third.attribute("i").unwrap() == "3");
    reader.skip(&third).unwrap();
    assert!(reader.child(&root).unwrap().is_none() && reader.child(&root).unwrap().is_none());
    assert_eq!(reader.root().unwrap_err().reason, "Root Element Was Read");
    reader.finish().unwrap();
    let mut reader = Reader::new(document).unwrap();
    let root = reader.root().unwrap();
    reader.child(&root).unwrap();
    reader.skip(&root).unwrap();
    assert!(reader.next().unwrap().is_none());
}

#[test]
fn texts_are_cut_between_characters() {
    let mut reader = Reader::new("<a> \n \u{20ac}\u{20ac} x\t</a>".as_bytes()).unwrap();
    let root = reader.root().unwrap();
    assert_eq!(reader.content::<16>(&root).unwrap(), "\u{20ac}\u{20ac} x");
    for (room, expected) in [(5, "\u{20ac}"), (7, "\u{20ac}\u{20ac}")] {
        let text = Text { raw: " \u{20ac}\u{20ac} x", kind: Kind::Content };
        let cut = if room == 5 { text.cut::<5>().to_string() } else { text.cut::<7>().to_string() };
        assert_eq!(cut, expected);
    }
    let word = Text { raw: "\r\n OpEn\t", kind: Kind::Content };
    assert!(word.is_word("open") && !word.is_word("ope") && !word.is_word("opens") && !word.is_word(""));
}

#[test]
fn what_is_not_well_formed() {
    for document in
        [&b""[..], b"<", b"<a", b"<a ", b"<a b", b"<a b='", b"<a>", b"<a></a", b"<!--", b"<?x", b"<a><![CDATA[x"]
    {
        assert_eq!(refused(document), TRUNCATED, "{}", document.escape_ascii());
    }
    for document in [&b"<a></b>"[..], b"</a>", b"<a><b></a></b>", b"<p:a xmlns:p='u' xmlns:q='u'></q:a>"] {
        assert_eq!(refused(document), "Mismatched Tag", "{}", document.escape_ascii());
    }
    for document in [&b"<a b=c/>"[..], b"<a b/>", b"<a b='1'c='2'/>", b"<a b='<'/>", b"<a\"b\"/>"] {
        assert_eq!(refused(document), "Malformed Attribute", "{}", document.escape_ascii());
    }
    for document in [&b"< a/>"[..], b"<1/>", b"<a -b='1'/>", b"<:a/>", b"<a:/>", b"<a:b:c xmlns:a='u'/>"] {
        assert_eq!(refused(document), "Malformed Name", "{}", document.escape_ascii());
    }
    assert_eq!(refused(b"<a/ >"), "Malformed Tag");
    assert_eq!(refused(b"<a></a b='c'>"), "Malformed Tag");
    assert_eq!(refused(b"<a b='1' b='2'/>"), "Attribute Given Twice");
    assert_eq!(refused(b"<a xmlns='1' xmlns='2'/>"), "Attribute Given Twice");
    assert_eq!(refused(b"<p:a/>"), "Undeclared Namespace Prefix");
    assert_eq!(refused(b"<a p:b='c'/>"), "Undeclared Namespace Prefix");
    assert_eq!(refused(b"<a><b xmlns:p='u'/><p:b/></a>"), "Undeclared Namespace Prefix");
    assert_eq!(refused(b"<a/><b/>"), "Second Root Element");
    assert_eq!(refused(b"<a/>x"), "Text Outside of the Root Element");
    assert_eq!(refused(b"x<a/>"), "Text Outside of the Root Element");
    for document in
        [&b"<a/><!DOCTYPE a>"[..], b"<!DOCTYPE a><!DOCTYPE a><a/>", b"<![CDATA[x]]><a/>", b"<!ENTITY a 'b'><a/>"]
    {
        assert_eq!(refused(document), "Misplaced XML Declaration", "{}", document.escape_ascii());
    }
}

#[test]
fn entities_and_characters() {
    let bomb = b"<?xml version=\"1.0\"?><!DOCTYPE a [<!ENTITY b \"bbbb\"><!ENTITY c \"&b;&b;&b;&b;\">]><a>&c;</a>";
    assert_eq!(refused(bomb), "DTD in XML");
    assert_eq!(refused(b"<!DOCTYPE a SYSTEM 'x' [<!ENTITY % b SYSTEM 'file:///etc/passwd'> %b;]><a/>"), "DTD in XML");
    for reference in [
        "&c;",
        "&",
        "&;",
        "& ;",
        "&#;",
        "&#x;",
        "&#0;",
        "&#8;",
        "&#xd800;",
        "&#xffff;",
        "&#x110000;",
        "&#+65;",
        "&#x+41;",
        "&#99999999999;",
        "&AMP;",
        "&nbsp;",
        "&#X41;",
        "&#00000000000000000065;",
    ] {
        assert_eq!(refused(format!("<a>{reference}</a>").as_bytes()), "Unknown Entity", "{reference}");
        assert_eq!(refused(format!("<a b='{reference}'/>").as_bytes()), "Unknown Entity", "{reference}");
        assert_eq!(shown(format!("<a><![CDATA[{reference}]]></a>").as_bytes()), format!("<a>{reference}/"));
    }
    for document in [&b"<a>\0</a>"[..], b"<a b='\x1b'/>", b"<a>\xef\xbf\xbf</a>", b"<!-- \x07 --><a/>"] {
        assert_eq!(refused(document), "Illegal Character in XML");
    }
    for document in [&b"<a>\xff</a>"[..], b"<a>\xed\xa0\x80</a>", b"\xff\xfe<\0a\0/\0>\0", b"<a>caf\xe9</a>"] {
        assert_eq!(refused(document), "XML Not in UTF-8");
    }
    assert_eq!(shown(b"<?xml version='1.0' encoding='ISO-8859-1'?><a>\xc3\xa9</a>"), "<a>\u{e9}/");
}

#[test]
fn bounds() {
    let nested = |depth: usize| "<a>".repeat(depth) + &"</a>".repeat(depth);
    assert!(events(nested(DEPTH).as_bytes()).is_ok());
    assert_eq!(refused(nested(DEPTH + 1).as_bytes()), "XML Too Deep");
    assert_eq!(refused("<a>".repeat(20_000).as_bytes()), "XML Too Deep");
    let attributes = |count: usize| {
        let all = (0..count).map(|i| format!(" b{i}='x'")).collect::<Owned>();
        [format!("<a{all}/>"), format!("<a{all}></a>")]
    };
    attributes(ATTRIBUTES).iter().for_each(|document| assert!(events(document.as_bytes()).is_ok()));
    for document in attributes(ATTRIBUTES + 1) {
        assert_eq!(refused(document.as_bytes()), "Too Many Attributes");
    }
    let declared = |inner: usize| {
        let some = |count: usize| (0..count).map(|i| format!(" xmlns:n{i}='x'")).collect::<Owned>();
        format!("<a><x{}/><b{}><c{}/></b></a>", some(NAMESPACES), some(NAMESPACES / 2), some(inner))
    };
    assert!(events(declared(NAMESPACES / 2).as_bytes()).is_ok());
    assert_eq!(refused(declared(NAMESPACES / 2 + 1).as_bytes()), "Too Many Namespaces");
    let long = |len: usize| format!("<a>{}</a>", "x".repeat(len - 7));
    assert!(events(long(DOCUMENT_BYTES).as_bytes()).is_ok());
    assert_eq!(refused(long(DOCUMENT_BYTES + 1).as_bytes()), "XML Too Long");
}

#[test]
fn escaped_text_reads_as_it_was() {
    let text = "a<b>&amp;\"'\u{20ac}\t\r\n \u{0}\u{1b}\u{ffff}\u{fffe}z";
    let mut buffer = [0; 256];
    let mut out = Writer::new(&mut buffer);
    out.text("<a b=\"");
    escape(text, &mut out);
    out.text("\">");
    escape(text, &mut out);
    out.text("</a>");
    let same = "a<b>&amp;\"'\u{20ac}\t\r\n z";
    assert_eq!(shown(out.written()), format!("<a b={same}>{same}/"));
    assert!(out.written().starts_with(b"<a b=\"a&lt;b&gt;&amp;amp;&quot;&apos;\xe2\x82\xac&#9;&#13;&#10; z\">"));
}
