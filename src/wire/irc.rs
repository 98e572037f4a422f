//! Lines of IRC: RFC 1459 §2.3 and RFC 2812 §2.3, with the message tags of IRCv3, read; folding of nicks (RFC 2812 §2.2);
//! texts with the codes of mIRC as plain text.
//!
//! Left out: unescaping the values of tags (those that are read here have nothing to escape), masks, modes.

use core::fmt::Write as _;

use crate::base::text::Writer;

/// One line, without its end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Line<'b> {
    tags: &'b [u8],
    /// Who says it, without the colon: `nick!user@host` or a server; empty: the other end itself.
    pub prefix: &'b [u8],
    /// The command in the case it came in, or three digits. Never empty.
    pub command: &'b [u8],
    params: [&'b [u8]; PARAMS],
    count: usize,
}

impl<'b> Line<'b> {
    /// Splits a line; `None` when it has no command.
    pub fn parse(line: &'b [u8]) -> Option<Self> {
        let mut rest = line;
        let mut tags = &b""[..];
        let mut prefix = &b""[..];
        if let Some(tagged) = rest.strip_prefix(b"@") {
            (tags, rest) = word(tagged);
        }
        if let Some(prefixed) = rest.strip_prefix(b":") {
            (prefix, rest) = word(prefixed);
        }
        let (command, mut rest) = word(rest);
        let (mut params, mut count) = ([&b""[..]; PARAMS], 0);
        while !rest.is_empty()
            && let Some(param) = params.get_mut(count)
        {
            count += 1;
            match rest.strip_prefix(b":") {
                Some(last) => (*param, rest) = (last, b""),
                // What follows the 14th is one parameter, with or without a colon (RFC 2812 §2.3.1).
                None if count == PARAMS => (*param, rest) = (rest, b""),
                None => (*param, rest) = word(rest),
            }
        }
        (!command.is_empty()).then_some(Self { tags, prefix, command, params, count })
    }

    /// The parameters.
    pub fn params(&self) -> &[&'b [u8]] {
        &self.params[..self.count]
    }

    /// A parameter, from 0; empty when it is missing.
    pub fn param(&self, number: usize) -> &'b [u8] {
        self.params().get(number).copied().unwrap_or_default()
    }

    /// The last parameter; empty when there is none.
    pub fn last(&self) -> &'b [u8] {
        self.params().last().copied().unwrap_or_default()
    }

    /// The number of a numeric reply.
    pub fn numeric(&self) -> Option<u16> {
        let [a @ b'0'..=b'9', b @ b'0'..=b'9', c @ b'0'..=b'9'] = self.command else { return None };
        Some(u16::from(a - b'0') * 100 + u16::from(b - b'0') * 10 + u16::from(c - b'0'))
    }

    /// The value of a tag, with its escapes; empty when it has none; `None` when the line has no such tag.
    pub fn tag(&self, name: &[u8]) -> Option<&'b [u8]> {
        let named = |tag: &'b [u8]| match tag.strip_prefix(name)? {
            b"" => Some(&b""[..]),
            value => value.strip_prefix(b"="),
        };
        self.tags.split(|byte| *byte == b';').find_map(named)
    }

    /// The nick in the prefix; of a server its name.
    pub fn nick(&self) -> &'b [u8] {
        nick_of(self.prefix)
    }

    /// Whether a user says it, and not a server.
    pub fn is_of_user(&self) -> bool {
        self.prefix.contains(&b'!')
    }
}

/// What a buffer of received bytes begins with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Frame<'b> {
    /// A line without its end, and how many bytes it takes with it.
    Line(&'b [u8], usize),
    /// A line longer than allowed, as it seems so far: to be passed over up to its end.
    TooLong,
    /// The beginning of a line, or nothing.
    Partial,
}

/// Cuts the first line off: it ends in LF, or CR LF.
pub fn frame(bytes: &[u8]) -> Frame<'_> {
    let end = memchr::memchr(b'\n', bytes);
    let line = &bytes[..end.unwrap_or(bytes.len())];
    // Tags have a limit of their own (IRCv3 message tags, "Size limit"): 8,191 bytes with the @ and the space.
    let tags =
        if line.first() == Some(&b'@') { memchr::memchr(b' ', line).map_or(line.len(), |space| space + 1) } else { 0 };
    if tags > TAGS_BYTES || line.len() - tags > LINE_BYTES - 1 {
        return Frame::TooLong;
    }
    match end {
        Some(end) => Frame::Line(line.strip_suffix(b"\r").unwrap_or(line), end + 1),
        None => Frame::Partial,
    }
}

/// The nick in `nick!user@host`, or all of it.
pub fn nick_of(prefix: &[u8]) -> &[u8] {
    prefix.split(|byte| matches!(byte, b'!' | b'@')).next().unwrap_or_default()
}

/// Which characters count as the same letter in nicks (the token CASEMAPPING of RPL_ISUPPORT).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum CaseMapping {
    /// Letters of ASCII.
    Ascii,
    /// These, and `{}|^` are the lower case of `[]\~` (RFC 2812 §2.2).
    #[default]
    Rfc1459,
    /// As the last, but for `~` and `^`.
    Rfc1459Strict,
}

impl CaseMapping {
    /// The mapping with a name. One that is not known is taken for ASCII, which never takes two people for one.
    pub fn of_name(name: &[u8]) -> Self {
        match name {
            b"rfc1459" => Self::Rfc1459,
            b"strict-rfc1459" => Self::Rfc1459Strict,
            _ => Self::Ascii,
        }
    }

    /// A byte in lower case.
    pub fn lower(self, byte: u8) -> u8 {
        match (self, byte) {
            (Self::Rfc1459 | Self::Rfc1459Strict, b'[' | b'\\' | b']') | (Self::Rfc1459, b'~') => match byte {
                b'~' => b'^',
                _ => byte + 32,
            },
            _ => byte.to_ascii_lowercase(),
        }
    }

    /// Whether two nicks are the same.
    pub fn is_same(self, a: &[u8], b: &[u8]) -> bool {
        a.len() == b.len() && a.iter().zip(b).all(|(a, b)| self.lower(*a) == self.lower(*b))
    }
}

/// Whether something can be sent to `nick` alone: no channel, mask, server or list, and nothing that ends a parameter.
pub fn is_nick(nick: &[u8]) -> bool {
    nick.iter().all(|byte| !matches!(byte, 0..=b' ' | 0x7f | b',' | b'!' | b'@' | b'*' | b'?' | b'.' | b'%'))
        && nick.first().is_some_and(|first| !matches!(first, b'#' | b'&' | b'+' | b':' | b'$' | b'~'))
}

/// Writes a text for people's eyes: codes for bold, colour and the like are taken out with their numbers, other control
/// characters but tabs are blanks. What is not UTF-8 is read as Windows-1252, and is U+FFFD where that has nothing.
/// What does not fit is cut off between characters.
pub fn plain(text: &[u8], out: &mut Writer<'_>, room: usize) {
    let end = out.len() + room;
    let mut put = |c: char| {
        if out.len() + c.len_utf8() <= end {
            _ = out.write_char(c);
        }
    };
    let mut rest = text;
    while let Some((first, after)) = rest.split_first() {
        match first {
            0x02 | 0x0f | 0x11 | 0x16 | 0x1d | 0x1e | 0x1f => rest = after,
            0x03 => rest = without_colours(after, 2, u8::is_ascii_digit),
            0x04 => rest = without_colours(after, 6, u8::is_ascii_hexdigit),
            _ => {
                let (c, len) = character(rest);
                put(if c.is_control() && c != '\t' { ' ' } else { c });
                rest = rest.get(len..).unwrap_or_default();
            }
        }
    }
}

/// What follows the numbers of a colour code: one of up to `digits`, then, after a comma, another.
fn without_colours(text: &[u8], digits: usize, is_digit: fn(&u8) -> bool) -> &[u8] {
    let count = |text: &[u8]| text.iter().take(digits).take_while(|byte| is_digit(byte)).count();
    let first = count(text);
    let rest = &text[first..];
    match rest.strip_prefix(b",") {
        Some(second) if first > 0 && count(second) > 0 => &second[count(second)..],
        _ => rest,
    }
}

/// The first character of a text that is not empty, and its bytes.
fn character(text: &[u8]) -> (char, usize) {
    let beginning = &text[..text.len().min(4)];
    let valid = beginning.utf8_chunks().next().and_then(|chunk| chunk.valid().chars().next());
    match (valid, text.first()) {
        (Some(c), _) => (c, c.len_utf8()),
        (None, Some(byte @ 0x80..=0x9f)) => (WINDOWS_1252[usize::from(byte & 31)], 1),
        (None, byte) => (char::from(byte.copied().unwrap_or(b' ')), 1),
    }
}

/// The bytes up to a blank, and what follows the blanks there.
fn word(text: &[u8]) -> (&[u8], &[u8]) {
    let end = memchr::memchr(b' ', text).unwrap_or(text.len());
    let (word, rest) = text.split_at(end);
    let blanks = rest.iter().take_while(|byte| **byte == b' ').count();
    (word, &rest[blanks..])
}

/// Most parameters of a line (RFC 2812 §2.3).
pub const PARAMS: usize = 15;
/// Bytes of a line without tags, its end included (RFC 2812 §2.3).
pub const LINE_BYTES: usize = 512;
/// Bytes of the tags of a line from a server, with `@` and the blank after them.
pub const TAGS_BYTES: usize = 8191;

/// What Windows-1252 has where Latin-1 has control characters.
const WINDOWS_1252: [char; 32] = [
    '€', '\u{fffd}', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\u{fffd}', 'Ž', '\u{fffd}', '\u{fffd}',
    '‘', '’', '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', '\u{fffd}', 'ž', 'Ÿ',
];

/// Entry for fuzzing: any bytes as lines, and as texts.
pub fn fuzz(bytes: &[u8]) {
    let mut rest = bytes;
    while let Frame::Line(line, taken) = frame(rest) {
        assert!(taken > line.len() && taken <= TAGS_BYTES + LINE_BYTES);
        if let Some(line) = Line::parse(line) {
            assert!(!line.command.is_empty() && line.params().len() <= PARAMS);
            _ = (line.numeric(), line.tag(b"time"), is_nick(line.nick()));
        }
        rest = &rest[taken..];
    }
    for len in [100, 4096] {
        let mut room = [0; 4096];
        let mut out = Writer::new(&mut room);
        plain(bytes, &mut out, len);
        assert!(out.len() <= len);
        let text = core::str::from_utf8(out.written()).expect("whole characters were written");
        assert!(!text.contains(|c: char| c.is_control() && c != '\t'));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::{String, ToString};
    use std::vec::Vec;

    fn parts(line: &str) -> Vec<String> {
        let line = Line::parse(line.as_bytes()).expect("a line");
        let fields = [line.tags, line.prefix, line.command].into_iter().chain(line.params().iter().copied());
        fields.map(|field| String::from_utf8_lossy(field).to_string()).collect()
    }

    #[test]
    fn lines() {
        assert_eq!(parts("PING"), ["", "", "PING"]);
        assert_eq!(parts("PING :irc.example.org"), ["", "", "PING", "irc.example.org"]);
        assert_eq!(parts(":bob!~b@h PRIVMSG alice ::) hi  you "), ["", "bob!~b@h", "PRIVMSG", "alice", ":) hi  you "]);
        assert_eq!(parts("@a=b;+c :s  001  x   y :"), ["a=b;+c", "s", "001", "x", "y", ""]);
        assert_eq!(parts(":s 303 me "), ["", "s", "303", "me"]);
        let many = parts("C 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16");
        assert_eq!((many.len(), many[17].as_str()), (18, "15 16"));
        for none in ["", " ", ":only", "@tags", "@t :p", ":p  ", "@"] {
            assert_eq!(Line::parse(none.as_bytes()), None, "{none}");
        }
    }

    #[test]
    fn tags_and_prefixes() {
        let line = Line::parse(b"@time=2026-11-22T07:51:53.000Z;msgid=x=1;+typing;a :b!c@d 433 x").unwrap();
        assert_eq!(line.tag(b"time"), Some(&b"2026-11-22T07:51:53.000Z"[..]));
        assert_eq!(
            (line.tag(b"msgid"), line.tag(b"+typing"), line.tag(b"msg")),
            (Some(&b"x=1"[..]), Some(&b""[..]), None)
        );
        assert_eq!((line.nick(), line.is_of_user(), line.numeric()), (&b"b"[..], true, Some(433)));
        let line = Line::parse(b":irc.example.org 43x").unwrap();
        assert_eq!((line.nick(), line.is_of_user(), line.numeric()), (&b"irc.example.org"[..], false, None));
        assert_eq!((line.param(7), line.last()), (&b""[..], &b""[..]));
    }

    #[test]
    fn framing() {
        assert_eq!(frame(b"PING x\r\nPING y"), Frame::Line(b"PING x", 8));
        assert_eq!(frame(b"\nA"), Frame::Line(b"", 1));
        assert_eq!(frame(b"PING x\r"), Frame::Partial);
        for (len, is_fine) in [(510, true), (511, false)] {
            let mut line = std::vec![b'x'; len];
            line.extend(b"\r\n");
            assert_eq!(frame(&line) == Frame::Line(&line[..len], len + 2), is_fine);
            assert_eq!(frame(&line) == Frame::TooLong, !is_fine);
            let mut tagged = b"@t ".to_vec();
            tagged.extend(&line);
            assert_eq!(frame(&tagged) == Frame::TooLong, !is_fine);
        }
        let mut tagged = std::vec![b'@'; 8190];
        assert_eq!(frame(&tagged), Frame::Partial);
        tagged.push(b' ');
        assert_eq!(frame(&tagged), Frame::Partial);
        tagged.insert(1, b'x');
        assert_eq!(frame(&tagged), Frame::TooLong);
    }

    #[test]
    fn nicks() {
        use CaseMapping::*;
        assert!(Rfc1459.is_same(b"Foo[\\]~", b"fOO{|}^") && !Rfc1459Strict.is_same(b"~", b"^"));
        assert!(Rfc1459Strict.is_same(b"a[", b"A{") && !Ascii.is_same(b"a[", b"a{") && Ascii.is_same(b"Ab", b"aB"));
        assert!(!Rfc1459.is_same(b"a", b"ab"));
        assert_eq!(CaseMapping::of_name(b"rfc1459"), Rfc1459);
        assert_eq!(CaseMapping::of_name(b"rfc8265"), Ascii);
        assert!(is_nick(b"bob") && is_nick(b"[x]_`^{|}-1") && is_nick("böb".as_bytes()));
        for bad in ["", "#c", "&c", "a b", "a,b", "a\r\nQUIT", ":a", "a!b", "$*", "a.b", "+x", "a*"] {
            assert!(!is_nick(bad.as_bytes()), "{bad}");
        }
    }

    fn read(text: &[u8]) -> String {
        let mut room = [0; 256];
        let mut out = Writer::new(&mut room);
        plain(text, &mut out, 200);
        String::from_utf8(out.written().to_vec()).unwrap()
    }

    #[test]
    fn texts() {
        assert_eq!(read(b"\x02bold\x0f \x1dit\x1d \x1fun\x1f \x16rev \x1est \x11mono"), "bold it un rev st mono");
        assert_eq!(read(b"\x034,12red\x03 \x0304x\x03123 \x03,1 \x034,a \x03"), "red x3 ,1 ,a ");
        assert_eq!(read(b"\x04ff0000,00FF00x\x04 y"), "x y");
        assert_eq!(read("Hallo Böb, ¿qué tal? \u{1f600}".as_bytes()), "Hallo Böb, ¿qué tal? \u{1f600}");
        assert_eq!(read(b"B\xf6b \x80 \x93q\x94 \x81"), "Böb € “q” \u{fffd}");
        assert_eq!(read(b"a\tb\x07c\x1b[2J\x7f\xc2\x9b"), "a\tb c [2J  ");
        assert_eq!(read(b"\xf0\x9f\x98"), "ðŸ˜");
        let mut room = [0; 8];
        let mut out = Writer::new(&mut room);
        plain("aää".as_bytes(), &mut out, 4);
        assert_eq!(out.finish(), Ok(3));
    }
}
