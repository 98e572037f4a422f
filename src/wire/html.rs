//! HTML as some clients send it in messages (`text/html`, RFC 2854), made plain: what it says stays, how it looks goes.
//!
//! Tags are taken out; those that end a line become a line feed, a link keeps where it leads to, and the references to
//! characters that people write are resolved. Left out: everything about layout; `script` and `style` go with their content.

use core::fmt::Write as _;

use crate::base::text::Writer;

/// Writes the text of a piece of HTML. Bytes that are no UTF-8 become U+FFFD. Linear in its length.
pub fn to_text(html: &[u8], out: &mut Writer<'_>) {
    let mut rest = html;
    let mut is_blank = true;
    while let Some((first, behind)) = rest.split_first() {
        match first {
            b'<' => match tag(rest) {
                Some((tag, len)) => {
                    rest = &rest[len..];
                    if tag.is("br") || tag.is("/p") || tag.is("/div") || tag.is("/li") || tag.is("/tr") {
                        out.text("\n");
                        is_blank = true;
                    } else if let Some(name) = ["script", "style"].into_iter().find(|name| tag.is(name)) {
                        rest = behind_content(rest, name);
                    } else if tag.is("a")
                        && let Some(target) = tag.attribute("href")
                    {
                        rest = link(rest, target, out);
                        is_blank = false;
                    }
                }
                // No tag: it is meant as it stands.
                None => {
                    out.text("<");
                    (rest, is_blank) = (behind, false);
                }
            },
            b'&' => {
                let (character, len) = reference(rest).unwrap_or(('&', 1));
                let _ = out.write_char(character);
                (rest, is_blank) = (&rest[len..], false);
            }
            // Blanks and line ends are one blank.
            b' ' | b'\t' | b'\r' | b'\n' => {
                if !is_blank {
                    out.text(" ");
                }
                (rest, is_blank) = (behind, true);
            }
            _ => {
                let end = rest.iter().position(|it| matches!(it, b'<' | b'&' | b' ' | b'\t' | b'\r' | b'\n'));
                let (run, others) = rest.split_at(end.unwrap_or(rest.len()));
                for chunk in run.utf8_chunks() {
                    chunk.valid().chars().filter(|c| !c.is_control()).for_each(|c| {
                        let _ = out.write_char(c);
                    });
                    out.text(if chunk.invalid().is_empty() { "" } else { "\u{fffd}" });
                }
                (rest, is_blank) = (others, false);
            }
        }
    }
}

struct Tag<'b> {
    name: &'b [u8],
    rest: &'b [u8],
}

impl Tag<'_> {
    fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name.as_bytes())
    }

    /// The value of an attribute, as it stands.
    fn attribute(&self, name: &str) -> Option<&[u8]> {
        let at = self.rest.windows(name.len() + 1).position(|it| {
            let (word, equals) = it.split_at(name.len());
            word.eq_ignore_ascii_case(name.as_bytes()) && equals == b"="
        })?;
        let value = self.rest.get(at + name.len() + 1..)?.trim_ascii();
        match value.first()? {
            quote @ (b'"' | b'\'') => value.get(1..)?.split(|byte| byte == quote).next(),
            _ => value.split(|byte| byte.is_ascii_whitespace()).next(),
        }
    }
}

/// The tag that a text begins with, and its length.
fn tag(text: &[u8]) -> Option<(Tag<'_>, usize)> {
    if text.starts_with(b"<!--") {
        let end = text.windows(3).position(|it| it == b"-->").map_or(text.len(), |at| at + 3);
        return Some((Tag { name: b"", rest: b"" }, end));
    }
    let second = *text.get(1)?;
    if !(second.is_ascii_alphabetic() || matches!(second, b'/' | b'!')) {
        return None;
    }
    let end = memchr::memchr(b'>', text)?;
    let inside = text.get(1..end)?;
    let len = inside.iter().position(|it| it.is_ascii_whitespace()).unwrap_or(inside.len());
    let (name, rest) = inside.split_at(len);
    Some((Tag { name: name.strip_suffix(b"/").unwrap_or(name), rest }, end + 1))
}

/// What is behind an element whose content is not for people.
fn behind_content<'b>(text: &'b [u8], name: &str) -> &'b [u8] {
    let mut rest = text;
    while let Some(at) = memchr::memchr(b'<', rest) {
        rest = &rest[at..];
        match tag(rest) {
            Some((tag, len))
                if tag.name.strip_prefix(b"/").is_some_and(|it| it.eq_ignore_ascii_case(name.as_bytes())) =>
            {
                return &rest[len..];
            }
            _ => rest = &rest[1..],
        }
    }
    b""
}

/// Writes a link: what it is called, and where it leads if that is not the same.
fn link<'b>(text: &'b [u8], target: &[u8], out: &mut Writer<'_>) -> &'b [u8] {
    let mut rest = text;
    let mut end = text.len();
    while let Some(at) = memchr::memchr(b'<', rest) {
        let from = text.len() - rest.len() + at;
        match tag(&text[from..]) {
            Some((tag, len)) if tag.is("/a") => {
                (end, rest) = (from, &text[from + len..]);
                break;
            }
            _ => rest = &rest[at + 1..],
        }
    }
    if end == text.len() {
        rest = b"";
    }
    let called = text.get(..end).unwrap_or_default();
    let begin = out.len();
    words(called, out);
    let is_same = out.written().get(begin..).is_some_and(|it| it == target);
    if !is_same && !target.starts_with(b"#") && !target.is_empty() {
        out.text(if out.len() > begin { " <" } else { "<" });
        words(target, out);
        out.text(">");
    }
    rest
}

/// Writes a piece without tags in it.
fn words(text: &[u8], out: &mut Writer<'_>) {
    let mut rest = text;
    while let Some(first) = rest.first() {
        match (first, tag(rest)) {
            (b'<', Some((_, len))) => rest = &rest[len..],
            (b'&', _) => {
                let (character, len) = reference(rest).unwrap_or(('&', 1));
                let _ = out.write_char(character);
                rest = &rest[len..];
            }
            _ => {
                let end = rest.iter().skip(1).position(|it| matches!(it, b'<' | b'&')).map_or(rest.len(), |at| at + 1);
                let (run, others) = rest.split_at(end);
                for chunk in run.utf8_chunks() {
                    chunk.valid().chars().filter(|c| !c.is_control()).for_each(|c| {
                        let _ = out.write_char(c);
                    });
                }
                rest = others;
            }
        }
    }
}

/// The character that a reference at the begin of a text means, and the reference's length.
fn reference(text: &[u8]) -> Option<(char, usize)> {
    let end = text.iter().take(12).position(|byte| *byte == b';')?;
    let name = core::str::from_utf8(text.get(1..end)?).ok()?;
    let number = match name.strip_prefix('#') {
        Some(digits) => match digits.strip_prefix(['x', 'X']) {
            Some(digits) => u32::from_str_radix(digits, 16).ok(),
            None => digits.parse().ok(),
        },
        None => NAMES.iter().find(|(known, _)| *known == name).map(|(_, character)| u32::from(*character)),
    };
    let character = char::from_u32(number?).filter(|c| !c.is_control() || matches!(c, '\n' | '\t'))?;
    Some((character, end + 1))
}

const NAMES: [(&str, char); 7] =
    [("amp", '&'), ("lt", '<'), ("gt", '>'), ("quot", '"'), ("apos", '\''), ("nbsp", ' '), ("euro", '\u{20ac}')];

/// Reads any bytes as HTML, for tests with damaged ones.
pub fn fuzz(bytes: &[u8]) {
    let mut room = [0; 4096];
    to_text(bytes, &mut Writer::new(&mut room));
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::String;

    fn text(html: &str) -> String {
        let mut room = [0; 512];
        let mut out = Writer::new(&mut room);
        to_text(html.as_bytes(), &mut out);
        String::from_utf8(out.written().to_vec()).unwrap()
    }

    #[test]
    fn what_it_says_stays() {
        for (html, expected) in [
            ("<b>Hello</b>, <i>you</i>", "Hello, you"),
            ("a<br>b<BR/>c<p>d</p>e", "a\nb\ncd\ne"),
            ("1 &lt; 2 &amp;&amp; 3 &gt; 2 &#8364; &#x20AC; &euro;", "1 < 2 && 3 > 2 \u{20ac} \u{20ac} \u{20ac}"),
            ("a\r\n   b", "a b"),
            ("5 < 6 and a & b; x &unknown; y", "5 < 6 and a & b; x &unknown; y"),
            ("see <a href=\"http://x.example/\">here</a>!", "see here <http://x.example/>!"),
            ("<a href='http://x.example/'>http://x.example/</a>", "http://x.example/"),
            ("<style>p { color: red }</style>x<script>alert(1)</script>y<!-- no -->z", "xyz"),
            ("<a href=x>never ends", "never ends <x>"),
            ("&#0;&#xD800;", "&#0;&#xD800;"),
        ] {
            assert_eq!(text(html), expected, "{html}");
        }
    }

    #[test]
    fn any_bytes() {
        let base = b"<a href=\"http://x/?a&amp;b\">x</a><br/>&#8364; caf\xc3\xa9 <!-- c --><style>x</style>";
        for at in 0..base.len() {
            for byte in [0, b'<', b'>', b'&', b';', b'"', 0xff] {
                let mut bytes = base.to_vec();
                bytes[at] = byte;
                fuzz(&bytes);
                fuzz(&bytes[at..]);
            }
        }
    }
}
