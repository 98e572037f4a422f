//! JSON (RFC 8259) in pieces: a pull reader over whatever part of a text is there, and the writing of strings.
//!
//! The reader keeps no bytes, only where it is: which containers are open, and what may come next. A value that is longer
//! than the part that is there comes in pieces, or is passed over by looking at its tokens; so a text of any length costs
//! no more memory than the part. It is strict, with one exception: bytes that are no UTF-8 and surrogates without their
//! other half are read as U+FFFD, so that a wrong character does not cost the whole text.
//!
//! Left out: numbers as values (their digits are handed on), and whether a member comes twice.
//!
//! ```
//! use pcsd::wire::json::{Reader, Token};
//! let text = br#"{"lamp":[true,"an\u00e9"]}"#;
//! let (mut reader, mut at, mut tokens) = (Reader::new(), 0, 0);
//! while !reader.is_done() {
//!     let (taken, token) = reader.next(&text[at..], false).unwrap();
//!     assert_ne!(token, Token::More);
//!     (at, tokens) = (at + taken, tokens + 1);
//! }
//! assert_eq!((at, tokens), (text.len(), 7));
//! ```

use crate::base::text::Writer;

/// Containers within each other. A text that is deeper is refused.
pub const DEPTH: usize = 32;
/// Characters of a number. One that is longer is refused.
pub const NUMBER_BYTES: usize = 64;

/// A text that is not JSON, or exceeds a limit: what is wrong.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Fault(pub &'static str);

/// What the reader comes by next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Token<'b> {
    /// Nothing: the rest is to be read together with what follows it.
    More,
    /// An object or array begins.
    Begin,
    /// An object or array ends.
    End,
    /// The name of a member; its value follows.
    Key(Piece<'b>),
    /// A string.
    Text(Piece<'b>),
    /// A number: its characters.
    Number(&'b [u8]),
    /// `true` or `false`.
    Bool(bool),
    /// `null`.
    Null,
}

/// A string, or a part of it, as it is written: with its escapes, without its quotes ([`characters`]).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Piece<'b> {
    /// The part. No escape and no character is cut.
    pub raw: &'b [u8],
    /// Whether the string begins with it.
    pub is_first: bool,
    /// Whether the string ends with it.
    pub is_last: bool,
}

/// Where the reading of one text is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Reader {
    /// Which of the open containers are objects: the innermost is the lowest bit.
    objects: u32,
    depth: u8,
    next: Next,
}

/// What may come next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Next {
    Value,
    /// A value, or the end of an array that has none.
    ValueOrEnd,
    Key,
    /// A key, or the end of an object that has none.
    KeyOrEnd,
    Colon,
    CommaOrEnd,
    /// The rest of a key or text.
    RestOf(Str),
    Nothing,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Str {
    Key,
    Text,
}

impl Reader {
    /// At the beginning of a text.
    pub const fn new() -> Self {
        Self { objects: 0, depth: 0, next: Next::Value }
    }

    /// How many containers are open.
    pub const fn depth(&self) -> usize {
        self.depth as usize
    }

    /// Whether the value that the text is has come to its end. What follows it is not read.
    pub const fn is_done(&self) -> bool {
        matches!(self.next, Next::Nothing)
    }

    /// Reads the next token from the front of `bytes`: how many bytes were read, and what they are. With `in_pieces` a
    /// string that is not whole is handed on as far as it is there; else it is waited for.
    pub fn next<'b>(&mut self, bytes: &'b [u8], in_pieces: bool) -> Result<(usize, Token<'b>), Fault> {
        let mut at = 0;
        loop {
            if let Next::RestOf(what) = self.next {
                return Ok(self.string(what, bytes, (at, false), in_pieces)?.unwrap_or((at, Token::More)));
            }
            at += bytes[at..].iter().take_while(|byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n')).count();
            let Some(byte) = bytes.get(at) else { return Ok((at, Token::More)) };
            match (self.next, byte) {
                (Next::Nothing, _) => return Ok((at, Token::More)),
                (Next::Colon, b':') => (self.next, at) = (Next::Value, at + 1),
                (Next::CommaOrEnd, b',') => {
                    (self.next, at) = (if self.is_in_object() { Next::Key } else { Next::Value }, at + 1);
                }
                (Next::CommaOrEnd | Next::KeyOrEnd, b'}') if self.is_in_object() => return Ok(self.end(at)),
                (Next::CommaOrEnd | Next::ValueOrEnd, b']') if !self.is_in_object() => return Ok(self.end(at)),
                (Next::Key | Next::KeyOrEnd, b'"') => {
                    return Ok(self.string(Str::Key, bytes, (at + 1, true), in_pieces)?.unwrap_or((at, Token::More)));
                }
                (Next::Value | Next::ValueOrEnd, _) => return self.value(bytes, at, in_pieces),
                (Next::Colon, _) => return Err(Fault("a colon is missing")),
                (Next::CommaOrEnd, _) => return Err(Fault("a comma is missing")),
                _ => return Err(Fault("the name of a member is missing")),
            }
        }
    }

    fn value<'b>(&mut self, bytes: &'b [u8], at: usize, in_pieces: bool) -> Result<(usize, Token<'b>), Fault> {
        match bytes[at] {
            b'"' => Ok(self.string(Str::Text, bytes, (at + 1, true), in_pieces)?.unwrap_or((at, Token::More))),
            open @ (b'{' | b'[') => {
                if self.depth() == DEPTH {
                    return Err(Fault("it is nested too deeply"));
                }
                self.objects = self.objects << 1 | u32::from(open == b'{');
                self.depth += 1;
                self.next = if open == b'{' { Next::KeyOrEnd } else { Next::ValueOrEnd };
                Ok((at + 1, Token::Begin))
            }
            b'-' | b'0'..=b'9' => {
                let rest = &bytes[at..];
                let len = rest.iter().take(NUMBER_BYTES + 1).take_while(|byte| is_of_number(**byte)).count();
                match rest.get(..len) {
                    _ if len > NUMBER_BYTES => Err(Fault("a number is too long")),
                    // Digits may follow, unless the number is the text.
                    _ if len == rest.len() => Ok((at, Token::More)),
                    Some(number) if is_number(number) => Ok(self.scalar(at + len, Token::Number(number))),
                    _ => Err(Fault("a number is none")),
                }
            }
            _ => {
                for (word, token) in [("true", Token::Bool(true)), ("false", Token::Bool(false)), ("null", Token::Null)]
                {
                    let rest = &bytes[at..];
                    if rest.starts_with(word.as_bytes()) {
                        return Ok(self.scalar(at + word.len(), token));
                    }
                    if word.as_bytes().starts_with(rest) {
                        return Ok((at, Token::More));
                    }
                }
                Err(Fault("a value is missing"))
            }
        }
    }

    /// Reads on in a string, from `at`. `None`: it is not whole.
    fn string<'b>(
        &mut self,
        what: Str,
        bytes: &'b [u8],
        (at, is_first): (usize, bool),
        in_pieces: bool,
    ) -> Result<Option<(usize, Token<'b>)>, Fault> {
        let (len, is_last) = span(&bytes[at..])?;
        if !is_last && (!in_pieces || len == 0) {
            return Ok(None);
        }
        let piece = Piece { raw: &bytes[at..at + len], is_first, is_last };
        let token = if what == Str::Key { Token::Key(piece) } else { Token::Text(piece) };
        Ok(Some(match (is_last, what) {
            (false, _) => {
                self.next = Next::RestOf(what);
                (at + len, token)
            }
            (true, Str::Key) => {
                self.next = Next::Colon;
                (at + len + 1, token)
            }
            (true, Str::Text) => self.scalar(at + len + 1, token),
        }))
    }

    fn scalar<'b>(&mut self, at: usize, token: Token<'b>) -> (usize, Token<'b>) {
        self.next = if self.depth == 0 { Next::Nothing } else { Next::CommaOrEnd };
        (at, token)
    }

    fn end<'b>(&mut self, at: usize) -> (usize, Token<'b>) {
        self.objects >>= 1;
        self.depth -= 1;
        self.scalar(at + 1, Token::End)
    }

    const fn is_in_object(&self) -> bool {
        self.objects & 1 == 1 && self.depth > 0
    }
}

impl Default for Reader {
    fn default() -> Self {
        Self::new()
    }
}

/// How far a string goes in `bytes`, and whether its closing quote follows. One that goes on ends where neither a character
/// nor an escape nor a pair of surrogates is cut.
fn span(bytes: &[u8]) -> Result<(usize, bool), Fault> {
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        let rest = &bytes[at..];
        at += match byte {
            b'"' => return Ok((at, true)),
            b'\\' => match escape(rest) {
                Escape::None => return Err(Fault("an escape is none")),
                Escape::Cut => break,
                Escape::Is(_, len) => len,
            },
            0..0x20 => return Err(Fault("a control character stands in a string")),
            0x20..0x80 => 1,
            _ if rest.len() < width(*byte) && core::str::from_utf8(rest).is_err_and(|e| e.error_len().is_none()) => {
                break;
            }
            _ => 1,
        };
    }
    Ok((at, false))
}

enum Escape {
    None,
    Cut,
    Is(char, usize),
}

/// The escape that `bytes` begin with.
fn escape(bytes: &[u8]) -> Escape {
    let character = match bytes.get(1) {
        None => return Escape::Cut,
        Some(b'"') => '"',
        Some(b'\\') => '\\',
        Some(b'/') => '/',
        Some(b'b') => '\u{8}',
        Some(b'f') => '\u{c}',
        Some(b'n') => '\n',
        Some(b'r') => '\r',
        Some(b't') => '\t',
        Some(b'u') => return unicode(bytes),
        _ => return Escape::None,
    };
    Escape::Is(character, 2)
}

fn unicode(bytes: &[u8]) -> Escape {
    let high = match unit(bytes) {
        Ok(Some(high)) => high,
        Ok(None) => return Escape::None,
        Err(()) => return Escape::Cut,
    };
    if !(0xd800..0xdc00).contains(&high) {
        return Escape::Is(char::from_u32(high).unwrap_or(char::REPLACEMENT_CHARACTER), 6);
    }
    let rest = &bytes[6..];
    let low = match (rest, unit(rest)) {
        ([] | [b'\\'], _) | ([b'\\', b'u', ..], Err(())) => return Escape::Cut,
        ([b'\\', b'u', ..], Ok(Some(low))) if (0xdc00..0xe000).contains(&low) => low,
        _ => return Escape::Is(char::REPLACEMENT_CHARACTER, 6),
    };
    let scalar = 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00);
    Escape::Is(char::from_u32(scalar).unwrap_or(char::REPLACEMENT_CHARACTER), 12)
}

/// The UTF-16 unit that `\uXXXX` at the front says. `Err`: it is cut.
fn unit(bytes: &[u8]) -> Result<Option<u32>, ()> {
    let digits = bytes.get(2..).unwrap_or_default();
    let value = digits.iter().take(4).try_fold(0, |value, digit| Some(value << 4 | (*digit as char).to_digit(16)?));
    if value.is_some() && digits.len() < 4 { Err(()) } else { Ok(value) }
}

/// Bytes of the character of UTF-8 that begins with this one.
const fn width(byte: u8) -> usize {
    match byte {
        0xc2..0xe0 => 2,
        0xe0..0xf0 => 3,
        0xf0..0xf5 => 4,
        _ => 1,
    }
}

/// The first character of a [`Piece::raw`], and how many bytes say it.
pub fn character(raw: &[u8]) -> Option<(char, usize)> {
    let byte = *raw.first()?;
    if byte == b'\\' {
        return Some(match escape(raw) {
            Escape::Is(character, len) => (character, len),
            // Half a pair at the very end.
            _ if matches!(unit(raw), Ok(Some(_))) => (char::REPLACEMENT_CHARACTER, 6),
            _ => (char::REPLACEMENT_CHARACTER, 1),
        });
    }
    if byte.is_ascii() {
        return Some((byte.into(), 1));
    }
    let character = raw.get(..width(byte)).and_then(|bytes| core::str::from_utf8(bytes).ok()?.chars().next());
    Some(character.map_or((char::REPLACEMENT_CHARACTER, 1), |character| (character, character.len_utf8())))
}

/// The characters of a [`Piece::raw`].
pub fn characters(raw: &[u8]) -> impl Iterator<Item = char> {
    let mut rest = raw;
    core::iter::from_fn(move || {
        let (character, len) = character(rest)?;
        rest = &rest[len..];
        Some(character)
    })
}

/// Whether a [`Piece::raw`] says just this.
pub fn says(raw: &[u8], text: &str) -> bool {
    characters(raw).eq(text.chars())
}

/// Appends characters as a string, with its quotes.
pub fn write_string(characters: impl Iterator<Item = char>, out: &mut Writer<'_>) {
    out.text("\"");
    for character in characters {
        match character {
            '"' => out.text("\\\""),
            '\\' => out.text("\\\\"),
            '\n' => out.text("\\n"),
            '\r' => out.text("\\r"),
            '\t' => out.text("\\t"),
            // Line separators are legal in JSON, and end a line for some that read lines.
            '\0'..' ' | '\u{7f}'..'\u{a0}' | '\u{2028}' | '\u{2029}' => {
                out.text("\\u");
                out.hex(u32::from(character).into(), 4);
            }
            _ => out.text(character.encode_utf8(&mut [0; 4])),
        }
    }
    out.text("\"");
}

const fn is_of_number(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E')
}

/// Whether this is a number (RFC 8259 §6).
fn is_number(text: &[u8]) -> bool {
    let text = text.strip_prefix(b"-").unwrap_or(text);
    let (whole, rest) = digits(text);
    if whole == 0 || (whole > 1 && text[0] == b'0') {
        return false;
    }
    let rest = match rest.strip_prefix(b".").map(digits) {
        Some((0, _)) => return false,
        Some((_, rest)) => rest,
        None => rest,
    };
    let Some(exponent) = rest.strip_prefix(b"e").or(rest.strip_prefix(b"E")) else { return rest.is_empty() };
    let exponent = exponent.strip_prefix(b"+").or(exponent.strip_prefix(b"-")).unwrap_or(exponent);
    matches!(digits(exponent), (1.., []))
}

/// How many digits a text begins with, and what follows.
fn digits(text: &[u8]) -> (usize, &[u8]) {
    let len = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    (len, &text[len..])
}

/// Entry for fuzzing: whatever the bytes are, whole or in pieces, the reader ends, and reads the same.
pub fn fuzz(bytes: &[u8]) {
    let whole = walk(bytes, bytes.len().max(1));
    for part in [16, 61] {
        let pieces = walk(bytes, part);
        // A number or word at the very end is waited for; all else is the same.
        assert!(whole == pieces || whole.is_none() || pieces.is_none(), "{}", bytes.escape_ascii());
    }
}

/// A sum over what is read of a text of which `part` bytes are there at a time; `None`: it is none, or not whole.
fn walk(bytes: &[u8], part: usize) -> Option<u64> {
    let (mut reader, mut at, mut sum) = (Reader::new(), 0, 0u64);
    let mut add = |value: u64| sum = (sum ^ value).wrapping_mul(0x100_0000_01b3);
    while !reader.is_done() {
        let end = bytes.len().min(at + part);
        let before = reader;
        let (taken, token) = reader.next(&bytes[at..end], end - at == part).ok()?;
        assert!(taken <= end - at && reader.depth() <= DEPTH);
        match token {
            Token::More if taken == 0 => return None,
            Token::More => {}
            Token::Begin => add(1),
            Token::End => add(2),
            Token::Key(piece) | Token::Text(piece) => {
                characters(piece.raw).for_each(|character| add(character.into()));
                if piece.is_last {
                    add(3);
                } else {
                    assert!(taken > 0 && reader != before || !piece.is_first);
                }
            }
            Token::Number(number) => number.iter().for_each(|digit| add((*digit).into())),
            Token::Bool(is) => add(4 + u64::from(is)),
            Token::Null => add(6),
        }
        at += taken;
    }
    Some(sum)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::format;
    use std::string::String;
    use std::vec::Vec;

    /// What is read of a text of which so many bytes are there at a time, one word for each token.
    fn tokens(bytes: &[u8], part: usize) -> Result<String, Fault> {
        let (mut reader, mut at, mut words, mut text) = (Reader::new(), 0, Vec::new(), String::new());
        while !reader.is_done() {
            let end = bytes.len().min(at + part);
            let (taken, token) = reader.next(&bytes[at..end], end < bytes.len())?;
            match token {
                Token::More if taken == 0 => return Err(Fault("cut")),
                Token::More => {}
                Token::Begin => words.push("begin".into()),
                Token::End => words.push("end".into()),
                Token::Key(piece) | Token::Text(piece) => {
                    assert_eq!(piece.is_first, text.is_empty());
                    text.push('|');
                    text.extend(characters(piece.raw));
                    if piece.is_last {
                        let kind = if matches!(token, Token::Key(_)) { ":" } else { "" };
                        words.push(format!("{}{kind}", text.replace('|', "")));
                        text.clear();
                    }
                }
                Token::Number(number) => words.push(core::str::from_utf8(number).unwrap().into()),
                Token::Bool(is) => words.push(format!("{is}")),
                Token::Null => words.push("null".into()),
            }
            at += taken;
        }
        Ok(words.join(" "))
    }

    #[test]
    fn values() {
        for (text, expected) in [
            (
                &br#"{"a":1,"b":[true,false,null,-0.5e+7],"":{}}"#[..],
                "begin a: 1 b: begin true false null -0.5e+7 end : begin end end",
            ),
            (b" [ ] ", "begin end"),
            (b"[[],{\"x\":[]}]", "begin begin end begin x: begin end end end"),
            (br#"["\"\\\/\b\f\n\r\t"]"#, "begin \"\\/\u{8}\u{c}\n\r\t end"),
            (br#"["\u00e9\uD83D\uDE00"]"#, "begin \u{e9}\u{1f600} end"),
            // Half a pair, the other half, and half of one before a whole one.
            (
                br#"["\ud83d","\ude00x","\ud83d\ud83d\ude00","\ud83d\n"]"#,
                "begin \u{fffd} \u{fffd}x \u{fffd}\u{1f600} \u{fffd}\n end",
            ),
            ("\"\u{e5}\u{4e2d}\u{1f600}\"".as_bytes(), "\u{e5}\u{4e2d}\u{1f600}"),
            (
                b"[\"\xe5\",\"\xf0\x9f\x98\",\"\xc0\x80\"]",
                "begin \u{fffd} \u{fffd}\u{fffd}\u{fffd} \u{fffd}\u{fffd} end",
            ),
        ] {
            assert_eq!(tokens(text, text.len()).as_deref(), Ok(expected), "{}", text.escape_ascii());
            assert_eq!(tokens(text, 16).as_deref(), Ok(expected), "{}", text.escape_ascii());
        }
    }

    #[test]
    fn what_is_none() {
        for text in [
            &b"{\"a\" 1}"[..],
            b"{\"a\":1 \"b\":2}",
            b"{a:1}",
            b"{\"a\":}",
            b"{,}",
            b"[,]",
            b"[1,]",
            b"{\"a\":1,}",
            b"[1}",
            b"{]",
            b"{\"a\":1]",
            b"}",
            b"nul",
            b"nulL ",
            b"[01 ]",
            b"[1. ]",
            b"[.5]",
            b"[+1]",
            b"[- ]",
            b"[1e ]",
            b"[\"\\x\"]",
            b"[\"\\u12g4\"]",
            b"[\"a\nb\"]",
            b"[\"a",
            b"['a']",
            b"",
            b"[NaN]",
        ] {
            assert!(tokens(text, text.len()).is_err(), "{}", text.escape_ascii());
        }
        assert_eq!(tokens(&[b'['; DEPTH + 1], 64), Err(Fault("it is nested too deeply")));
        assert_eq!(tokens(&[b'['; DEPTH], 64), Err(Fault("cut")));
        let digits = [b'7'; NUMBER_BYTES + 1];
        assert_eq!(tokens(&digits, 80), Err(Fault("a number is too long")));
    }

    #[test]
    fn what_is_longer_than_what_is_there() {
        let long = "x\u{1f600}\\n".repeat(3000);
        let text = format!("{{\"skip\":[\"{long}\",{{\"{long}\":1}}],\"last\":\"{long}\"}}");
        let shown = long.replace("\\n", "\n");
        let expected = format!("begin skip: begin {shown} begin {shown}: 1 end end last: {shown} end");
        assert!(tokens(text.as_bytes(), 100).unwrap() == expected && tokens(text.as_bytes(), 17).unwrap() == expected);
    }

    #[test]
    fn what_is_written_is_read() {
        let text = "a\"\\/\u{8}\n\r\t\0\u{1f}\u{7f}\u{9b}\u{e5}\u{2028}\u{1f600}";
        let mut buffer = [0; 128];
        let mut out = Writer::new(&mut buffer);
        write_string(text.chars(), &mut out);
        let expected = "\"a\\\"\\\\/\\u0008\\n\\r\\t\\u0000\\u001f\\u007f\\u009b\u{e5}\\u2028\u{1f600}\"";
        assert_eq!(core::str::from_utf8(out.written()), Ok(expected));
        assert_eq!(tokens(out.written(), 128).as_deref(), Ok(text));
        assert!(says(br"caf\u00e9", "caf\u{e9}") && !says(b"caf", "cafe") && !says(b"cafe", "caf"));
    }

    #[test]
    fn mutated() {
        let seeds: [&[u8]; 3] = [
            br#"{"type":"message","from":"\u00e9","n":[1,-2.5e3,{"deep":null}],"text":"\ud83d\ude00 a\nb"}"#,
            "[\"\u{e5}\u{4e2d}\u{1f600}\",true,false,[[[[]]]],{}]".as_bytes(),
            br#"{"a":{"b":{"c":{"d":"\"\\\/"}}},"e":0}"#,
        ];
        let mut state = 0x5eed_0006_u64;
        let mut random = |below: usize| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as usize % below
        };
        for _ in 0..20_000 {
            let mut bytes = seeds[random(seeds.len())].to_vec();
            for _ in 0..=random(3) {
                let at = random(bytes.len());
                match random(4) {
                    0 => bytes[at] = random(256) as u8,
                    1 if bytes.len() > 1 => drop(bytes.remove(at)),
                    2 => bytes.insert(at, b"\"\\{}[],:u\xf0"[random(10)]),
                    _ => bytes.truncate(at.max(1)),
                }
            }
            fuzz(&bytes);
        }
    }
}
