//! The letters and words of SIP (RFC 3261 §25.1): character classes, white space, tokens, quoted strings, numbers, lists,
//! and the escapes of URIs (RFC 3986 §2.1).
//!
//! Folded lines (RFC 3261 §7.3.1) are white space to every reader here. Bytes above 127 are taken wherever UTF-8 may
//! stand, without looking whether they are UTF-8.

use memchr::memchr;
use nom::IResult;

/// A fault in a message: what to answer, and why.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Fault {
    /// The status code to answer a request with.
    pub status: u16,
    /// The reason phrase that goes with it.
    pub reason: &'static str,
}

impl Fault {
    /// A 400 with its reason.
    pub const fn bad(reason: &'static str) -> Self {
        Self { status: 400, reason }
    }
}

/// What a reader of the small grammar leaves and takes; it says nothing about a failure, the caller names the fault.
pub(super) type Read<'b, T> = IResult<&'b [u8], T, ()>;

/// "This is not it", for readers written by hand.
pub(super) fn mismatch<'b, T>() -> Read<'b, T> {
    Err(nom::Err::Error(()))
}

/// Characters of a token.
pub(super) const TOKEN: u8 = 1;
/// Space, tab, and the line ends of folds.
pub(super) const LWS: u8 = 2;
/// Characters of a header parameter's value that is not quoted: what separates nothing, more than the grammar has.
pub(super) const VALUE: u8 = 4;
/// Characters of a host name.
pub(super) const HOST: u8 = 8;
/// Characters of a URI: printable ones and bytes above 127, except those that delimit URIs in text.
pub(super) const URI: u8 = 16;
/// Characters of a URI parameter's name or value.
pub(super) const URI_PARAM: u8 = 32;
/// Characters of a URI's user and password, more than the grammar has.
pub(super) const USERINFO: u8 = 64;
/// What is neither white space nor a control character.
pub(super) const GRAPHIC: u8 = 128;

const CLASS: [u8; 256] = classes();

const fn classes() -> [u8; 256] {
    let mut class = [0; 256];
    let mut i = 0;
    while i < 256 {
        let byte = i as u8;
        let word = byte.is_ascii_alphanumeric();
        if word || one_of(byte, b"-.!%*_+`'~") {
            class[i] |= TOKEN;
        }
        if one_of(byte, b" \t\r\n") {
            class[i] |= LWS;
        }
        if word || one_of(byte, b"-._") {
            class[i] |= HOST;
        }
        if byte > b' ' && byte != 0x7f {
            class[i] |= GRAPHIC;
            if !one_of(byte, b";,\"<>") {
                class[i] |= VALUE;
            }
            if !one_of(byte, b"<>\"") {
                class[i] |= URI;
            }
            if !one_of(byte, b"<>\"@") {
                class[i] |= USERINFO;
            }
            if !one_of(byte, b"<>\";?=") {
                class[i] |= URI_PARAM;
            }
        }
        i += 1;
    }
    class
}

const fn one_of(byte: u8, set: &[u8]) -> bool {
    let mut i = 0;
    while i < set.len() {
        if set[i] == byte {
            return true;
        }
        i += 1;
    }
    false
}

/// Whether `byte` belongs to one of the classes in `class`.
#[inline]
pub(super) const fn is(byte: u8, class: u8) -> bool {
    CLASS[byte as usize] & class != 0
}

/// How many of the first bytes belong to one of the classes in `class`.
#[inline]
pub(super) fn span(bytes: &[u8], class: u8) -> usize {
    // Four at a time while they have a class in common, which for a single class is all there is to ask.
    let (fours, _) = bytes.as_chunks::<4>();
    let common = |four: &[u8; 4]| four.iter().fold(class, |common, byte| common & CLASS[*byte as usize]);
    let at = 4 * fours.iter().position(|four| common(four) == 0).unwrap_or(fours.len());
    let rest = &bytes[at..];
    at + rest.iter().position(|byte| !is(*byte, class)).unwrap_or(rest.len())
}

/// Whether all of `bytes` belong to one of the classes in `class`.
#[inline]
pub(super) fn all(bytes: &[u8], class: u8) -> bool {
    span(bytes, class) == bytes.len()
}

/// Where `byte` is first in a short text.
#[inline]
pub(super) fn find(byte: u8, text: &[u8]) -> Option<usize> {
    text.iter().position(|other| *other == byte)
}

/// Where the first byte below the blank is, such as one that ends a line; the length of `text` when there is none.
#[inline]
pub(super) fn control(text: &[u8]) -> usize {
    first_marked(text, below_blank)
}

/// Where the first colon is, or byte below the blank; the length of `text` when there is none.
#[inline]
pub(super) fn colon_or_control(text: &[u8]) -> usize {
    first_marked(text, |word| below_blank(word) | zero(word ^ (EACH * b':' as usize)))
}

/// Where the first byte below 128 is whose top bit `marks` sets. It may also set those of bytes after that one, and of
/// any from 128 on.
///
/// It goes by words: lines and names are too short for a search that first has to get going.
#[inline]
fn first_marked(text: &[u8], marks: impl Fn(usize) -> usize) -> usize {
    let (words, last) = text.as_chunks();
    let mut at = 0;
    for word in words {
        let word = usize::from_le_bytes(*word);
        let marks = marks(word) & TOP;
        // Nearly all bytes are below 128, so that this is asked twice at the end only.
        if marks != 0 && marks & !word != 0 {
            return at + (marks & !word).trailing_zeros() as usize / 8;
        }
        at += size_of::<usize>();
    }
    let is_marked = |byte: &u8| marks(usize::from(*byte)) & usize::from(!*byte) & 0x80 != 0;
    at + last.iter().position(is_marked).unwrap_or(last.len())
}

#[inline]
const fn below_blank(word: usize) -> usize {
    word.wrapping_sub(EACH * b' ' as usize)
}

#[inline]
const fn zero(word: usize) -> usize {
    word.wrapping_sub(EACH)
}

/// One in each byte of a word, and the top bit of each.
const EACH: usize = usize::MAX / 255;
const TOP: usize = EACH << 7;

/// One or more characters of a class.
#[inline]
pub(super) fn run(class: u8) -> impl FnMut(&[u8]) -> Read<'_, &[u8]> {
    move |input| match input.split_at(span(input, class)) {
        ([], _) => mismatch(),
        (text, rest) => Ok((rest, text)),
    }
}

/// A token.
#[inline]
pub(super) fn token(input: &[u8]) -> Read<'_, &[u8]> {
    run(TOKEN)(input)
}

/// What follows white space.
#[inline]
pub(super) fn skip_lws(text: &[u8]) -> &[u8] {
    // Mostly there is none, or one blank.
    match text {
        [first, ..] if *first > b' ' => text,
        [b' ', rest @ ..] if rest.first().is_some_and(|first| *first > b' ') => rest,
        _ => &text[text.iter().position(|byte| !is(*byte, LWS)).unwrap_or(text.len())..],
    }
}

/// A separator with white space around it.
#[inline]
pub(super) fn separator(byte: u8) -> impl FnMut(&[u8]) -> Read<'_, ()> {
    move |input| match skip_lws(input).split_first() {
        Some((first, rest)) if *first == byte => Ok((skip_lws(rest), ())),
        _ => mismatch(),
    }
}

/// A quoted string with its quotes; backslash escapes stay.
pub(super) fn quoted(input: &[u8]) -> Read<'_, &[u8]> {
    let Some((b'"', _)) = input.split_first() else { return mismatch() };
    let mut at = 1;
    loop {
        match input.get(at) {
            None => return mismatch(),
            Some(b'"') => return Ok((&input[at + 1..], &input[..=at])),
            Some(b'\\') => at += 2,
            Some(_) => at += 1,
        }
    }
}

/// A decimal number; one too large for 64 bits is the largest.
#[inline]
pub(super) fn digits(input: &[u8]) -> Read<'_, u64> {
    let len = input.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(input.len());
    let (text, rest) = input.split_at(len);
    match len {
        0 => mismatch(),
        // Nineteen digits always fit.
        1..=19 => Ok((rest, text.iter().fold(0, |value, digit| value * 10 + u64::from(digit - b'0')))),
        _ => Ok((
            rest,
            text.iter().fold(0, |value: u64, digit| value.saturating_mul(10).saturating_add(u64::from(digit - b'0'))),
        )),
    }
}

/// The number that all of `text` says, white space around it aside.
pub(super) fn whole_number(text: &[u8]) -> Option<u64> {
    match digits(trim(text)) {
        Ok(([], value)) => Some(value),
        _ => None,
    }
}

/// `text` without the white space around it.
#[inline]
pub(super) fn trim(text: &[u8]) -> &[u8] {
    trim_end(skip_lws(text))
}

/// `text` without the white space after it.
#[inline]
pub(super) fn trim_end(text: &[u8]) -> &[u8] {
    match text.last() {
        Some(last) if *last > b' ' => text,
        _ => &text[..text.iter().rposition(|byte| !is(*byte, LWS)).map_or(0, |last| last + 1)],
    }
}

/// What a quoted string says: its backslash escapes removed, and its quotes when `text` still has them.
pub fn quoted_content(text: &[u8]) -> impl Iterator<Item = u8> {
    let text = match text {
        [b'"', content @ .., b'"'] => content,
        _ => text,
    };
    let mut bytes = text.iter().copied();
    core::iter::from_fn(move || match bytes.next() {
        Some(b'\\') => bytes.next(),
        byte => byte,
    })
}

/// The elements of a comma-separated list, each trimmed, empty ones left out. Commas within quotes, angle brackets and
/// comments don't separate. Text whose quote, bracket or comment never ends is one element, for its reader to refuse.
pub fn list(value: &[u8]) -> impl Iterator<Item = &[u8]> + Clone {
    List::new(value).filter(|element| !element.is_empty())
}

/// The tokens of a comma-separated list; what is not a token is left out.
pub fn tokens(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    list(value).filter(|element| all(element, TOKEN))
}

/// [`list`] with its empty elements; an empty text has one.
#[derive(Clone, Debug)]
pub(super) struct List<'b> {
    rest: Option<&'b [u8]>,
    /// A parenthesis was found that is never closed: from here on they are plain characters.
    plain_parentheses: bool,
}

impl<'b> List<'b> {
    pub(super) fn new(value: &'b [u8]) -> Self {
        Self { rest: Some(value), plain_parentheses: false }
    }

    /// No elements.
    pub(super) const fn empty() -> Self {
        Self { rest: None, plain_parentheses: false }
    }

    /// Where the first element of `text` ends: at a comma or at the end.
    fn element_end(&mut self, text: &[u8]) -> usize {
        let Some(comma) = memchr(b',', text) else { return text.len() };
        if !text[..comma].iter().any(|byte| matches!(byte, b'"' | b'<' | b'(')) {
            return comma;
        }
        let mut at = 0;
        while let Some(byte) = text.get(at) {
            let rest = &text[at..];
            at += match byte {
                b',' => return at,
                b'"' => quoted(rest).map_or(rest.len(), |(_, string)| string.len()),
                b'<' => bracketed(rest).unwrap_or(rest.len()),
                b'(' if !self.plain_parentheses => comment(rest).unwrap_or_else(|| {
                    self.plain_parentheses = true;
                    1
                }),
                _ => 1,
            };
        }
        text.len()
    }
}

impl<'b> Iterator for List<'b> {
    type Item = &'b [u8];

    fn next(&mut self) -> Option<&'b [u8]> {
        let text = self.rest?;
        let end = self.element_end(text);
        self.rest = text.get(end + 1..);
        Some(trim(&text[..end]))
    }
}

/// The length of an angle bracket that `text` begins with, both ends included.
fn bracketed(text: &[u8]) -> Option<usize> {
    memchr(b'>', text).map(|end| end + 1)
}

/// The length of a comment that `text` begins with, nested ones included.
pub(super) fn comment(text: &[u8]) -> Option<usize> {
    let mut depth = 0usize;
    let mut at = 0;
    loop {
        match text.get(at)? {
            b'\\' => at += 1,
            b'(' => depth += 1,
            b')' if depth <= 1 => return Some(at + 1),
            b')' => depth -= 1,
            _ => {}
        }
        at += 1;
    }
}

/// The bytes of URI text with `%` escapes undone; a `%` without two hexadecimal digits stands for itself.
pub fn unescape(text: &[u8]) -> impl Iterator<Item = u8> {
    units(text).map(|(byte, _)| byte)
}

/// Whether two pieces of URI text are the same once unescaped.
pub fn unescaped_eq(a: &[u8], b: &[u8], ignore_case: bool) -> bool {
    if memchr(b'%', a).is_none() && memchr(b'%', b).is_none() {
        return if ignore_case { a.eq_ignore_ascii_case(b) } else { a == b };
    }
    unescape(a).map(|byte| fold(byte, ignore_case)).eq(unescape(b).map(|byte| fold(byte, ignore_case)))
}

/// Whether two pieces of URI text are equivalent (RFC 3261 §19.1.4): as [`unescaped_eq`], but an escaped reserved
/// character is another than the plain one.
pub(super) fn equivalent(a: &[u8], b: &[u8], ignore_case: bool) -> bool {
    let unit = |(byte, escaped): (u8, bool)| (fold(byte, ignore_case), escaped && one_of(byte, b";/?:@&=+$,"));
    units(a).map(unit).eq(units(b).map(unit))
}

fn fold(byte: u8, ignore_case: bool) -> u8 {
    if ignore_case { byte.to_ascii_lowercase() } else { byte }
}

/// The bytes of URI text and whether each was escaped.
fn units(text: &[u8]) -> impl Iterator<Item = (u8, bool)> {
    let mut rest = text;
    core::iter::from_fn(move || {
        let (first, after) = rest.split_first()?;
        if let (b'%', [high, low, tail @ ..]) = (*first, after)
            && let (Some(high), Some(low)) = ((*high as char).to_digit(16), (*low as char).to_digit(16))
        {
            rest = tail;
            return Some(((high << 4 | low) as u8, true));
        }
        rest = after;
        Some((*first, false))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    #[test]
    fn lists_split_at_their_own_commas_only() {
        let split = |text: &'static str| list(text.as_bytes()).collect::<Vec<_>>();
        assert_eq!(split("a , b,\r\n c"), [&b"a"[..], b"b", b"c"]);
        assert_eq!(split("\"a,\\\",b\" <sip:x,y>;z, (c,(d,)e) f"), [&b"\"a,\\\",b\" <sip:x,y>;z"[..], b"(c,(d,)e) f"]);
        assert_eq!(split("sip:1(2@h, sip:3(4@h"), [&b"sip:1(2@h"[..], b"sip:3(4@h"], "parentheses that never close");
        assert_eq!(split("a, \"b, c"), [&b"a"[..], b"\"b, c"]);
        assert_eq!(split("a, <b, c"), [&b"a"[..], b"<b, c"]);
        assert_eq!(split(",,a,,"), [b"a"]);
        assert_eq!(split("").len(), 0);
        assert_eq!(List::new(b"a,,").collect::<Vec<_>>(), [&b"a"[..], b"", b""]);
        assert_eq!(tokens(b"timer, \"x\", 100rel").collect::<Vec<_>>(), [&b"timer"[..], b"100rel"]);
    }

    #[test]
    fn quotes() {
        assert_eq!(quoted(b"\"a\\\"b\" c"), Ok((&b" c"[..], &b"\"a\\\"b\""[..])));
        assert!(
            quoted(b"\"a").is_err() && quoted(b"\"a\\\"").is_err() && quoted(b"\"\\").is_err() && quoted(b"a").is_err()
        );
        assert_eq!(quoted_content(b"\"J \\\\\\\"\"").collect::<Vec<_>>(), b"J \\\"");
        assert_eq!(quoted_content(b"plain").collect::<Vec<_>>(), b"plain");
    }

    #[test]
    fn escapes() {
        assert_eq!(unescape(b"%41b%2x%").collect::<Vec<_>>(), b"Ab%2x%");
        assert_eq!(unescape(b"a%00b").collect::<Vec<_>>(), b"a\0b");
        assert!(unescaped_eq(b"%6C%72", b"lr", false) && !unescaped_eq(b"%4C%72", b"lr", false));
        assert!(unescaped_eq(b"%4C%72", b"lr", true) && !unescaped_eq(b"%00", b"", true));
        assert!(equivalent(b"%6Cr", b"lr", false));
        assert!(!equivalent(b"a%3Bb", b"a;b", false) && equivalent(b"a%3bb", b"a%3Bb", false));
    }

    #[test]
    fn numbers() {
        assert_eq!(whole_number(b" 0068\r\n "), Some(68));
        assert_eq!(whole_number(b"99999999999999999999999"), Some(u64::MAX));
        assert!([&b""[..], b"-1", b"+1", b"1 2", b"0x1"].iter().all(|text| whole_number(text).is_none()));
    }
}
