//! The syntax of OpenWrt's UCI files, line by line, as libuci reads them: `package`, `config`, `option` and `list` (or
//! their first letters), `#` comments, `'..'` taken literally, `".."` and bare words with backslash escapes, adjacent
//! parts joined. CRLF and a UTF-8 byte order mark are tolerated.
//!
//! Left out, and refused rather than read differently: values over several lines (so that a forgotten quote costs one
//! line, not the rest of the file), `\` before the end of a line, several statements on one line with `;`, and options
//! without a value.

use core::fmt;
use core::str;

use nom::branch::alt;
use nom::bytes::complete::{tag, take, take_till, take_till1};
use nom::error::{ErrorKind, ParseError};
use nom::multi::fold_many0;
use nom::sequence::preceded;
use nom::{Err, IResult, Parser};

use crate::base::limits::LINE_BYTES;
use crate::base::text::Writer;

/// One statement. Words are without their quotes; they are free of control characters, but nothing else is checked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Statement<'w> {
    /// `package NAME`.
    Package(&'w str),
    /// `config TYPE ['NAME']`; the name is empty when there is none.
    Config {
        /// The type.
        kind: &'w str,
        /// The name or nothing.
        name: &'w str,
    },
    /// `option KEY 'VALUE'`.
    Option {
        /// The option.
        key: &'w str,
        /// Its value; may be empty.
        value: &'w str,
    },
    /// `list KEY 'VALUE'`.
    List {
        /// The list.
        key: &'w str,
        /// One value of it; may be empty.
        value: &'w str,
    },
}

/// Why a line is not a statement.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Syntax {
    /// More than [`LINE_BYTES`].
    LineTooLong,
    /// Not UTF-8, or with control characters.
    NotText,
    /// A quote without its partner on the same line.
    UnterminatedQuote,
    /// A backslash at the end of the line.
    Continued,
    /// A `;` outside quotes.
    Semicolon,
    /// The first word is no statement.
    Keyword,
    /// A type, a name or a value is missing.
    MissingWord,
    /// There are words behind the last one of the statement.
    ExtraWords,
}

/// The lines of a file with their numbers, from 1, without their ends.
pub struct Lines<'t> {
    rest: &'t [u8],
    number: u32,
}

impl<'t> Lines<'t> {
    /// The lines of `text`.
    pub fn new(text: &'t [u8]) -> Self {
        Self { rest: text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text), number: 0 }
    }
}

impl<'t> Iterator for Lines<'t> {
    type Item = (u32, &'t [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let mut halves = self.rest.splitn(2, |byte| *byte == b'\n');
        let line = halves.next().unwrap_or_default();
        self.rest = halves.next().unwrap_or_default();
        self.number = self.number.saturating_add(1);
        Some((self.number, line.strip_suffix(b"\r").unwrap_or(line)))
    }
}

/// Reads one line; `None` when it says nothing. The words of the statement lie in `room`.
pub fn statement<'w>(line: &[u8], room: &'w mut [u8; LINE_BYTES]) -> Result<Option<Statement<'w>>, Syntax> {
    let line = line.trim_ascii_start();
    if line.is_empty() || line.starts_with(b"#") {
        return Ok(None);
    }
    if line.len() > LINE_BYTES {
        return Err(Syntax::LineTooLong);
    }
    let text = str::from_utf8(line).map_err(|_| Syntax::NotText)?;
    if text.contains(|c: char| c.is_control() && c != '\t') {
        return Err(Syntax::NotText);
    }
    let (rest, keyword) = keyword(line).map_err(blame)?;
    let (ends, count) = words(rest, room)?;
    let [first, second] = ends;
    let room: &'w [u8] = room;
    // Between words a tab is a space; in a word it is a control character like the others.
    if room.get(..second).is_some_and(|words| words.contains(&b'\t')) {
        return Err(Syntax::NotText);
    }
    let a = str::from_utf8(room.get(..first).unwrap_or_default()).map_err(|_| Syntax::NotText)?;
    let b = str::from_utf8(room.get(first..second).unwrap_or_default()).map_err(|_| Syntax::NotText)?;
    match (keyword, count) {
        (Keyword::Package, 1) => Ok(Some(Statement::Package(a))),
        (Keyword::Package, 2) => Err(Syntax::ExtraWords),
        (Keyword::Config, 1 | 2) => Ok(Some(Statement::Config { kind: a, name: b })),
        (Keyword::Option, 2) => Ok(Some(Statement::Option { key: a, value: b })),
        (Keyword::List, 2) => Ok(Some(Statement::List { key: a, value: b })),
        _ => Err(Syntax::MissingWord),
    }
}

/// Whether a line, perhaps a broken one, begins a section: what follows does not belong to the section above.
pub fn begins_section(line: &[u8]) -> bool {
    matches!(keyword(line.trim_ascii_start()), Ok((_, Keyword::Config)))
}

#[derive(Clone, Copy)]
enum Keyword {
    Package,
    Config,
    Option,
    List,
}

type Parsed<'l, T> = IResult<&'l [u8], T, Syntax>;

impl ParseError<&[u8]> for Syntax {
    /// What is not said more precisely by the parsers below is a word that is not there.
    fn from_error_kind(_: &[u8], _: ErrorKind) -> Self {
        Self::MissingWord
    }

    fn append(_: &[u8], _: ErrorKind, other: Self) -> Self {
        other
    }
}

fn blame(error: Err<Syntax>) -> Syntax {
    match error {
        Err::Error(syntax) | Err::Failure(syntax) => syntax,
        Err::Incomplete(_) => Syntax::MissingWord,
    }
}

fn keyword(input: &[u8]) -> Parsed<'_, Keyword> {
    let (rest, word) = take_till1(is_space).parse(input)?;
    let keyword = match word {
        b"package" | b"p" => Keyword::Package,
        b"config" | b"c" => Keyword::Config,
        b"option" | b"o" => Keyword::Option,
        b"list" | b"l" => Keyword::List,
        _ => return Err(Err::Failure(Syntax::Keyword)),
    };
    Ok((rest, keyword))
}

/// Writes at most two words into `room`, one behind the other: where each ends, and how many there are.
fn words(mut input: &[u8], room: &mut [u8; LINE_BYTES]) -> Result<([usize; 2], usize), Syntax> {
    let mut out = Writer::new(room);
    let mut ends = [0; 2];
    let mut count = 0;
    loop {
        input = input.trim_ascii_start();
        if input.is_empty() || input.starts_with(b"#") {
            break;
        }
        (input, ()) = word(input, &mut out).map_err(blame)?;
        *ends.get_mut(count).ok_or(Syntax::ExtraWords)? = out.len();
        count += 1;
    }
    if count == 1 {
        ends[1] = ends[0];
    }
    Ok((ends, count))
}

/// One word: parts in quotes and bare parts up to a space or a comment. Unescaping only shortens, so `out` has room.
fn word<'l>(mut input: &'l [u8], out: &mut Writer<'_>) -> Parsed<'l, ()> {
    loop {
        let piece;
        (input, piece) = match input.first() {
            Some(b'"') => (double_quoted(input, out)?.0, &[][..]),
            Some(b'\'') => single_quoted(input)?,
            Some(b'\\') => escaped(input)?,
            Some(b';') => return Err(Err::Failure(Syntax::Semicolon)),
            Some(b' ' | b'\t' | b'#') | None => return Ok((input, ())),
            Some(_) => take_till1(|byte| is_space(byte) || b"'\"\\;#".contains(&byte)).parse(input)?,
        };
        out.put(piece);
    }
}

fn single_quoted(input: &[u8]) -> Parsed<'_, &[u8]> {
    let (rest, body) = preceded(tag("'"), take_till(|byte| byte == b'\'')).parse(input)?;
    closed(rest, "'").map(|(rest, _)| (rest, body))
}

fn double_quoted<'l>(input: &'l [u8], out: &mut Writer<'_>) -> Parsed<'l, ()> {
    let piece = alt((escaped, take_till1(|byte| byte == b'"' || byte == b'\\')));
    let (rest, ()) = preceded(tag("\""), fold_many0(piece, || (), |(), piece| out.put(piece))).parse(input)?;
    closed(rest, "\"").map(|(rest, _)| (rest, ()))
}

fn closed<'l>(input: &'l [u8], quote: &str) -> Parsed<'l, &'l [u8]> {
    tag(quote).parse(input).map_err(|_: Err<Syntax>| Err::Failure(Syntax::UnterminatedQuote))
}

/// A backslash stands for the byte behind it. Of a longer character the other bytes follow by themselves.
fn escaped(input: &[u8]) -> Parsed<'_, &[u8]> {
    let (rest, _) = tag("\\").parse(input)?;
    take(1usize).parse(rest).map_err(|_: Err<Syntax>| Err::Failure(Syntax::Continued))
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

impl fmt::Display for Syntax {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::LineTooLong => return write!(f, "line longer than {LINE_BYTES} bytes"),
            Self::NotText => "not UTF-8 text, or with control characters",
            Self::UnterminatedQuote => "unterminated quote",
            Self::Continued => "backslash at the end of the line: a value can't go on in the next line",
            Self::Semicolon => "';' outside quotes",
            Self::Keyword => "not a package, config, option or list statement",
            Self::MissingWord => "incomplete statement",
            Self::ExtraWords => "words behind the end of the statement",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn option(line: &str) -> Result<std::string::String, Syntax> {
        match statement(line.as_bytes(), &mut [0; LINE_BYTES])? {
            Some(Statement::Option { key: "k", value }) => Ok(value.into()),
            other => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn statements() {
        let mut room = [0; LINE_BYTES];
        let mut read = |line: &str, expected: Option<Statement<'_>>| {
            assert_eq!(statement(line.as_bytes(), &mut room), Ok(expected), "{line}");
        };
        read("", None);
        read(" \t # 'comment", None);
        read("package pcsd", Some(Statement::Package("pcsd")));
        read("config person 'alice'", Some(Statement::Config { kind: "person", name: "alice" }));
        read("\tconfig\t\"person\" ", Some(Statement::Config { kind: "person", name: "" }));
        read("c person alice # hers", Some(Statement::Config { kind: "person", name: "alice" }));
        read("option 'name' 'Alice A.'", Some(Statement::Option { key: "name", value: "Alice A." }));
        read("list takes video", Some(Statement::List { key: "takes", value: "video" }));
        read("option name ''", Some(Statement::Option { key: "name", value: "" }));
    }

    #[test]
    fn quotes_escapes_and_joints() {
        assert_eq!(option(r"option k bare").as_deref(), Ok("bare"));
        assert_eq!(option(r"option k 'a\b#;c'").as_deref(), Ok(r"a\b#;c"));
        assert_eq!(option(r#"option k "a\"b\\c\n'd""#).as_deref(), Ok(r#"a"b\cn'd"#));
        // How `uci export` writes an apostrophe.
        assert_eq!(option(r"option k 'Bob'\''s'").as_deref(), Ok("Bob's"));
        assert_eq!(option(r#"option k a'b c'"d e"\ f"#).as_deref(), Ok("ab cd e f"));
        assert_eq!(option(r"option k a\ ").as_deref(), Ok("a "));
        assert_eq!(option("option k abc#def").as_deref(), Ok("abc"));
        assert_eq!(option("option k \"\\é\\\u{1f600}\"").as_deref(), Ok("é\u{1f600}"));
    }

    #[test]
    fn what_is_no_statement() {
        let fault = |line: &[u8]| statement(line, &mut [0; LINE_BYTES]).unwrap_err();
        assert_eq!(fault(b"option k 'v"), Syntax::UnterminatedQuote);
        assert_eq!(fault(b"option k \"v"), Syntax::UnterminatedQuote);
        assert_eq!(fault(b"option k \"v\\\""), Syntax::UnterminatedQuote);
        assert_eq!(fault(b"option k 'Bob's'"), Syntax::UnterminatedQuote);
        assert_eq!(fault(b"option k v\\"), Syntax::Continued);
        assert_eq!(fault(b"option k \"v\\"), Syntax::Continued);
        assert_eq!(fault(b"option k v;option l w"), Syntax::Semicolon);
        assert_eq!(fault(b"options k v"), Syntax::Keyword);
        assert_eq!(fault(b"config"), Syntax::MissingWord);
        assert_eq!(fault(b"package"), Syntax::MissingWord);
        assert_eq!(fault(b"option k"), Syntax::MissingWord);
        assert_eq!(fault(b"list # k v"), Syntax::MissingWord);
        assert_eq!(fault(b"option k v w"), Syntax::ExtraWords);
        assert_eq!(fault(b"package a b"), Syntax::ExtraWords);
        assert_eq!(fault(b"config a b 'c d'"), Syntax::ExtraWords);
        assert_eq!(fault(b"option k '\xff'"), Syntax::NotText);
        assert_eq!(fault(b"option k '\x1b[2J'"), Syntax::NotText);
        assert_eq!(fault(b"option k 'a\0b'"), Syntax::NotText);
        assert_eq!(fault(b"option k 'a\tb'"), Syntax::NotText);
    }

    #[test]
    fn lines_have_a_limit_but_comments_do_not() {
        let mut line = [b'x'; LINE_BYTES + 1];
        line[..9].copy_from_slice(b"option k ");
        let mut room = [0; LINE_BYTES];
        assert_eq!(statement(&line, &mut room), Err(Syntax::LineTooLong));
        assert!(matches!(statement(&line[..LINE_BYTES], &mut room), Ok(Some(Statement::Option { key: "k", value }))
            if value.len() == LINE_BYTES - 9));
        line[0] = b'#';
        assert_eq!(statement(&line, &mut room), Ok(None));
    }

    #[test]
    fn line_numbers() {
        let lines: std::vec::Vec<_> = Lines::new(b"\xef\xbb\xbfa\r\n\n\rb\r\nc").collect();
        assert_eq!(lines, [(1, &b"a"[..]), (2, b""), (3, b"\rb"), (4, b"c")]);
        assert_eq!(Lines::new(b"\xef\xbb\xbf").count(), 0);
        assert_eq!(Lines::new(b"a\n").count(), 1);
    }
}
