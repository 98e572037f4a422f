//! Values of fields and targets: percent escapes (RFC 3986 §2.1) and forms' blanks, query fields, cookies (RFC 6265 §4.2),
//! Accept-Language (RFC 9110 §12.5.4) and If-None-Match (§13.1.2).

use super::head::trim;
use crate::base::text::Writer;

/// Decodes `application/x-www-form-urlencoded` text into `out`; the part of it that was written, or `None` when it does
/// not fit. An escape that is none stays as it is, as the URL standard has it.
pub fn decode<'o>(text: &[u8], out: &'o mut [u8]) -> Option<&'o [u8]> {
    let (mut at, mut len) = (0, 0);
    while let Some(byte) = text.get(at) {
        let (byte, taken) = match (byte, escaped(&text[at..])) {
            (b'+', _) => (b' ', 1),
            (b'%', Some(byte)) => (byte, 3),
            (byte, _) => (*byte, 1),
        };
        *out.get_mut(len)? = byte;
        (at, len) = (at + taken, len + 1);
    }
    out.get(..len)
}

fn escaped(text: &[u8]) -> Option<u8> {
    let digit = |at: usize| text.get(at).and_then(|digit| (*digit as char).to_digit(16));
    Some((digit(1)? << 4 | digit(2)?) as u8)
}

/// The value of the first field with this name in a query, not decoded.
pub fn query_field<'b>(query: &'b [u8], name: &[u8]) -> Option<&'b [u8]> {
    query.split(|byte| *byte == b'&').find_map(|field| match field.strip_prefix(name)? {
        [b'=', value @ ..] => Some(value),
        [] => Some(&b""[..]),
        _ => None,
    })
}

/// The value of the first cookie with this name in a Cookie field.
pub fn cookie<'b>(field: &'b [u8], name: &[u8]) -> Option<&'b [u8]> {
    field.split(|byte| *byte == b';').find_map(|pair| trim(pair).strip_prefix(name)?.strip_prefix(b"="))
}

/// Which of `offered`, tags in lower case, an Accept-Language prefers: that of the highest weight, of the same weight the
/// first that is named. `None` when it names none of them.
pub fn prefers(field: &[u8], offered: &[&str]) -> Option<usize> {
    let mut best: Option<(u32, usize)> = None;
    for range in field.split(|byte| *byte == b',') {
        let mut parts = range.split(|byte| *byte == b';').map(trim);
        let tag = parts.next().unwrap_or_default();
        let weight = parts.find_map(|part| part.strip_prefix(b"q=").or_else(|| part.strip_prefix(b"Q=")));
        let weight = weight.map_or(1000, thousandths);
        let Some(index) = offered.iter().position(|known| is_in(tag, known.as_bytes())) else { continue };
        if weight > 0 && best.is_none_or(|(known, _)| weight > known) {
            best = Some((weight, index));
        }
    }
    best.map(|(_, index)| index)
}

/// Whether a language tag is `language` or a kind of it.
fn is_in(tag: &[u8], language: &[u8]) -> bool {
    tag.split_at_checked(language.len())
        .is_some_and(|(main, rest)| main.eq_ignore_ascii_case(language) && (rest.is_empty() || rest[0] == b'-'))
}

/// A weight (RFC 9110 §12.4.2) in thousandths; 0 when it is none.
fn thousandths(text: &[u8]) -> u32 {
    let (whole, rest) = match text {
        [b'0', rest @ ..] => (0, rest),
        [b'1', ..] => (1000, &b""[..]),
        _ => return 0,
    };
    let digits = rest.strip_prefix(b".").unwrap_or_default().iter().take_while(|digit| digit.is_ascii_digit());
    whole + digits.zip([100, 10, 1]).map(|(digit, unit)| u32::from(digit - b'0') * unit).sum::<u32>()
}

/// Whether an If-None-Match or If-Range names this tag (with its quotes), compared weakly.
pub fn etag_matches(field: &[u8], tag: &[u8]) -> bool {
    let bare = |tag: &'_ [u8]| -> usize { if tag.starts_with(b"W/") { 2 } else { 0 } };
    field.split(|byte| *byte == b',').map(trim).any(|known| known == b"*" || known[bare(known)..] == *tag)
}

/// Appends a text with the escapes that a form's value or a query needs.
pub fn encode(text: &[u8], out: &mut Writer<'_>) {
    for byte in text {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.put(&[*byte]),
            _ => {
                out.text("%");
                out.hex((*byte).into(), 2);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes() {
        let mut room = [0; 16];
        for (text, expected) in [
            ("a+b%20c", &b"a b c"[..]),
            ("%c3%A5", "\u{e5}".as_bytes()),
            ("100%", b"100%"),
            ("%4", b"%4"),
            ("%zz%00", b"%zz\0"),
            ("", b""),
        ] {
            assert_eq!(decode(text.as_bytes(), &mut room), Some(expected), "{text}");
        }
        assert_eq!(decode(&[b'x'; 17], &mut room), None);
        let mut encoded = [0; 64];
        let mut out = Writer::new(&mut encoded);
        encode("a b&\u{e5}%".as_bytes(), &mut out);
        assert_eq!(out.written(), b"a%20b%26%c3%a5%25");
    }

    #[test]
    fn queries_and_cookies() {
        assert_eq!(query_field(b"before=7&x", b"before"), Some(&b"7"[..]));
        assert_eq!(query_field(b"before=7&x", b"x"), Some(&b""[..]));
        assert_eq!(query_field(b"beforehand=7", b"before"), None);
        assert_eq!(cookie(b"a=1; pcs=abc;b=2", b"pcs"), Some(&b"abc"[..]));
        assert_eq!(cookie(b"xpcs=abc; pcs", b"pcs"), None);
    }

    #[test]
    fn languages() {
        let offered = ["en", "sv", "zh"];
        for (field, expected) in [
            ("sv-SE,sv;q=0.9,en;q=0.8", Some(1)),
            ("fr, en;q=0.2, zh-Hans;q=0.3", Some(2)),
            ("EN", Some(0)),
            ("svx, de", None),
            ("en;q=0", None),
            ("en;q=0.001, sv;q=0.01", Some(1)),
            ("en;q=x", None),
            ("", None),
        ] {
            assert_eq!(prefers(field.as_bytes(), &offered), expected, "{field}");
        }
    }

    #[test]
    fn tags() {
        assert!(etag_matches(b"\"a\", W/\"b\"", b"\"b\"") && etag_matches(b"*", b"\"b\""));
        assert!(!etag_matches(b"\"ab\"", b"\"b\"") && !etag_matches(b"", b"\"b\""));
    }
}
