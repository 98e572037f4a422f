//! What is written: texts and attributes escaped so that nothing is lost unseen, and what many stanzas have in common.

use crate::base::text::Writer;
use crate::wire::xml::{self, Text};

/// Bytes of what is sent back to who asked: an address, an id, a node. Who asks with more is not answered.
pub const ECHO_BYTES: usize = 512;

/// A text as an attribute's value in quotes, or in an element; characters that XML 1.0 does not have are U+FFFD.
pub fn text(text: &str, out: &mut Writer<'_>) {
    for (i, part) in text.split(|c| !xml::is_legal(c)).enumerate() {
        out.text(if i > 0 { "\u{fffd}" } else { "" });
        xml::escape(part, out);
    }
}

/// The text of an attribute or element that was read.
pub fn echo(echoed: Text<'_>, out: &mut Writer<'_>) {
    echoed.chars().for_each(|c| text(c.encode_utf8(&mut [0; 4]), out));
}

/// ` NAME='VALUE'`.
pub fn attribute(name: &str, value: &str, out: &mut Writer<'_>) {
    out.text(" ");
    out.text(name);
    out.text("='");
    text(value, out);
    out.text("'");
}

/// ` NAME='VALUE'` with a value that was read; nothing when there was none.
pub fn echo_attribute(name: &str, value: Option<Text<'_>>, out: &mut Writer<'_>) {
    if let Some(value) = value {
        out.text(" ");
        out.text(name);
        out.text("='");
        echo(value, out);
        out.text("'");
    }
}

/// `<NAME>TEXT</NAME>`, for a text that may be long: one that is made of markup becomes a CDATA section, so that at most
/// 11 bytes come out for 3 that go in, and a whole [`TEXT_BYTES`](crate::bridge::TEXT_BYTES) always fits. Line ends are
/// line feeds.
pub fn long(name: &str, text: &str, out: &mut Writer<'_>) {
    out.text("<");
    out.text(name);
    out.text(">");
    let escaped: usize = text.bytes().map(|byte| escape(byte).map_or(0, |escape| escape.len() - 1)).sum();
    let section = SECTION.len() + text.matches("]]>").count() * SECTION_END.len();
    let is_section = escaped > ESCAPED_BYTES && section < escaped;
    out.text(if is_section { SECTION } else { "" });
    let mut plain = text;
    while let Some(at) = plain.find(|c| is_changed(c, is_section)) {
        let (before, rest) = plain.split_at(at);
        out.text(before);
        let mut chars = rest.chars();
        match chars.next() {
            Some('\r') if chars.as_str().starts_with('\n') => (),
            Some('\r') => out.text("\n"),
            // In a section only the end of one has to be parted.
            Some('>') if is_section && before.ends_with("]]") => out.text(SECTION_END),
            Some('>') if is_section => out.text(">"),
            Some(c) => out.text(u8::try_from(c).ok().and_then(escape).unwrap_or("\u{fffd}")),
            None => (),
        }
        plain = chars.as_str();
    }
    out.text(plain);
    out.text(if is_section { "]]>" } else { "" });
    out.text("</");
    out.text(name);
    out.text(">");
}

/// Whether a character is not written as it is.
fn is_changed(c: char, is_section: bool) -> bool {
    c == '\r' || c == '>' || !is_section && matches!(c, '&' | '<') || !xml::is_legal(c)
}

fn escape(byte: u8) -> Option<&'static str> {
    match byte {
        b'&' => Some("&amp;"),
        b'<' => Some("&lt;"),
        b'>' => Some("&gt;"),
        _ => None,
    }
}

/// Bytes that escapes may add to a text.
const ESCAPED_BYTES: usize = crate::bridge::TEXT_BYTES;
const SECTION: &str = "<![CDATA[";
/// What stands for the last character of `]]>`: the section ends before it, and another begins.
const SECTION_END: &str = "]]><![CDATA[>";

#[cfg(test)]
mod tests {
    use std::string::String;

    use super::*;
    use crate::bridge::{OUT_BYTES, TEXT_BYTES};
    use crate::wire::xml::Reader;

    fn written(write: impl FnOnce(&mut Writer<'_>)) -> String {
        let mut buffer = [0; OUT_BYTES];
        let mut out = Writer::new(&mut buffer);
        write(&mut out);
        let len = out.finish().expect("it fits");
        String::from_utf8_lossy(&buffer[..len]).into_owned()
    }

    #[test]
    fn nothing_is_lost_unseen() {
        assert_eq!(written(|out| text("a<b>'\u{1}\u{ffff}x", out)), "a&lt;b&gt;&apos;\u{fffd}\u{fffd}x");
        assert_eq!(written(|out| attribute("to", "o'x", out)), " to='o&apos;x'");
        assert_eq!(written(|out| long("b", "a&b<c>'\"\u{b}\r\nx\ry", out)), "<b>a&amp;b&lt;c&gt;'\"\u{fffd}\nx\ny</b>");
    }

    #[test]
    fn the_longest_text_fits_and_reads_as_it_was() {
        for part in ["&", "<", ">", "]]>", "]", "&&]]>", "\u{1}", "]]>\u{1}", "&]]>&", "x", "\u{20ac}&", "]>"] {
            let whole: String = part.chars().cycle().take(TEXT_BYTES).collect();
            let cut = whole.floor_char_boundary(TEXT_BYTES);
            let document = written(|out| long("body", &whole[..cut], out));
            let mut reader = Reader::new(document.as_bytes()).unwrap();
            let body = reader.root().unwrap();
            let mut read = String::new();
            reader.text(&body, |c| read.push(c)).unwrap();
            assert_eq!(read, whole[..cut].replace('\u{1}', "\u{fffd}"), "{part}");
        }
    }
}
