//! HTTP/1.1 for a client (RFC 9110, RFC 9112), as a machine without I/O: requests written, responses read from the front of
//! a receive window, one after the other on a connection.
//!
//! A body is handed on as it comes, whatever tells its end: its length, chunks, or the end of the connection. Answers 1xx
//! are passed over. The machine keeps no bytes and can be copied, so that who reads lines in a body may look ahead with a
//! copy and take later.
//!
//! Left out: redirects (their status is told), content coding (not asked for; refused when it comes), trailers (passed
//! over), upgrades, pipelining, and Retry-After as a date.

use core::ops::Range;

use httparse::{EMPTY_HEADER, Error, Response, Status};
use memchr::memchr;

use crate::base::text::{Full, Writer, hex_number};

/// Bytes of a response's head. A longer one breaks the connection.
pub const HEAD_BYTES: usize = 8 * 1024;
/// Header field lines of a response. More break the connection.
pub const HEADER_LINES: usize = 64;
/// Bytes of a line that tells the length of a chunk, or of a trailer. A longer one breaks the connection.
pub const CHUNK_LINE_BYTES: usize = 1024;
/// Lines of trailers. More break the connection.
pub const TRAILER_LINES: u8 = 64;
/// Bytes of a body that [`Request::write`] can send.
pub const BODY_BYTES: usize = 99_999;

/// What is asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Method {
    /// Show it.
    Get,
    /// Do it; a body follows.
    Post,
}

/// A request.
#[derive(Clone, Copy, Debug)]
pub struct Request<'r> {
    /// What is asked for.
    pub method: Method,
    /// Whom it is for: a name, or an address, of IPv6 with brackets or without.
    pub host: &'r str,
    /// The port, where it is not the usual one.
    pub port: Option<u16>,
    /// The parts of path and query, which are written one behind the other. The first begins with a slash.
    pub path: &'r [&'r str],
    /// A password for `Authorization: Bearer` (RFC 6750 §2.1); empty: none. It has to be visible ASCII.
    pub bearer: &'r str,
    /// Other fields.
    pub fields: &'r [(&'r str, &'r str)],
}

impl Request<'_> {
    /// Writes the request and, of a POST, the body that `body` writes. [`Full`] when the body is too long for its length to
    /// be told; what is written then is no request.
    pub fn write(&self, out: &mut Writer<'_>, body: impl FnOnce(&mut Writer<'_>)) -> Result<(), Full> {
        out.text(if self.method == Method::Get { "GET " } else { "POST " });
        self.path.iter().for_each(|part| out.text(part));
        out.text(" HTTP/1.1\r\nHost: ");
        let is_bare_ip6 = self.host.contains(':') && !self.host.starts_with('[');
        out.text(if is_bare_ip6 { "[" } else { "" });
        out.text(self.host);
        out.text(if is_bare_ip6 { "]" } else { "" });
        if let Some(port) = self.port {
            out.text(":");
            out.number(port.into());
        }
        out.text("\r\n");
        if !self.bearer.is_empty() {
            write_field("Authorization", &["Bearer ", self.bearer], out);
        }
        self.fields.iter().for_each(|(name, value)| write_field(name, &[value], out));
        if self.method == Method::Get {
            out.text("\r\n");
            return Ok(());
        }
        // The body's length is known when it is written: room for it is kept.
        out.text("Content-Length: ");
        let at = out.len();
        out.text("00000\r\n\r\n");
        let start = out.len();
        body(out);
        let length = out.len() - start;
        if length > BODY_BYTES {
            return Err(Full);
        }
        let mut digits = [b'0'; 5];
        let mut rest = length;
        for digit in digits.iter_mut().rev() {
            (*digit, rest) = (b'0' + (rest % 10) as u8, rest / 10);
        }
        out.patch(at, &digits);
        Ok(())
    }
}

fn write_field(name: &str, value: &[&str], out: &mut Writer<'_>) {
    out.text(name);
    out.text(": ");
    value.iter().for_each(|part| out.text(part));
    out.text("\r\n");
}

/// The head of a response, as far as a client acts on it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Head {
    /// The status code.
    pub status: u16,
    /// Retry-After (RFC 9110 §10.2.3), in seconds.
    pub retry_after_s: Option<u32>,
}

/// What comes next in a response.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Piece {
    /// Nothing: more bytes are needed, or a request.
    Nothing,
    /// The head of the response; its body follows, then [`Piece::End`].
    Head(Head),
    /// A part of the body: where it lies in the bytes that were given.
    Body(Range<usize>),
    /// The response is over.
    End,
    /// What came is not HTTP, or exceeds a limit: why. The connection is of no more use.
    Broken(&'static str),
}

/// The client's end of one connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Client {
    state: State,
    keeps_alive: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    /// Nothing was asked, or all was answered.
    Idle,
    Head,
    Length(u64),
    ChunkSize,
    Chunk(u64),
    ChunkEnd,
    Trailers(u8),
    UntilClose,
    Over,
    Broken,
}

impl Client {
    /// On a connection that is up.
    pub const fn new() -> Self {
        Self { state: State::Idle, keeps_alive: true }
    }

    /// On a connection with no HTTP: all that comes is the body.
    pub const fn bare() -> Self {
        Self { state: State::UntilClose, keeps_alive: false }
    }

    /// A request was written: its answer follows.
    pub const fn asked(&mut self) {
        self.state = State::Head;
    }

    /// Whether another request may be written.
    pub const fn may_ask(&self) -> bool {
        matches!(self.state, State::Idle) && self.keeps_alive
    }

    /// Reads from the front of what has come: how many bytes were read, and what they are. `is_full` says that no more
    /// bytes can come before some are read. To be called again until it says [`Piece::Nothing`].
    pub fn received(&mut self, bytes: &[u8], is_full: bool) -> (usize, Piece) {
        let mut at = 0;
        loop {
            let rest = &bytes[at..];
            match self.state {
                State::Broken => return (bytes.len(), Piece::Nothing),
                State::Over => {
                    self.state = State::Idle;
                    return (at, Piece::End);
                }
                State::Idle if rest.is_empty() => return (at, Piece::Nothing),
                State::Idle => return self.broken(bytes, "an answer to nothing"),
                State::Head => match self.head(rest, is_full) {
                    Ok(None) => return (at, Piece::Nothing),
                    Ok(Some((taken, None))) => at += taken,
                    Ok(Some((taken, Some(head)))) => return (at + taken, Piece::Head(head)),
                    Err(why) => return self.broken(bytes, why),
                },
                State::Length(0) => self.state = State::Over,
                State::Chunk(0) => self.state = State::ChunkEnd,
                State::Length(_) | State::Chunk(_) | State::UntilClose => {
                    if rest.is_empty() {
                        return (at, Piece::Nothing);
                    }
                    let len = self.body(rest.len());
                    return (at + len, Piece::Body(at..at + len));
                }
                State::ChunkSize | State::ChunkEnd | State::Trailers(_) => {
                    let end = memchr(b'\n', rest);
                    let Some(end) = end.filter(|end| *end <= CHUNK_LINE_BYTES) else {
                        if is_full || rest.len() > CHUNK_LINE_BYTES {
                            return self.broken(bytes, "a line of a chunk is too long");
                        }
                        return (at, Piece::Nothing);
                    };
                    let line = rest[..end].strip_suffix(b"\r").unwrap_or(&rest[..end]);
                    if let Err(why) = self.chunk_line(line) {
                        return self.broken(bytes, why);
                    }
                    at += end + 1;
                }
            }
        }
    }

    /// The connection has ended: [`Piece::End`] when that ends the body, [`Piece::Broken`] when something is missing,
    /// [`Piece::Nothing`] when nothing is.
    pub fn closed(&mut self) -> Piece {
        match core::mem::replace(&mut self.state, State::Broken) {
            State::UntilClose | State::Over | State::Length(0) => Piece::End,
            State::Idle | State::Broken => Piece::Nothing,
            _ => Piece::Broken("the connection was closed"),
        }
    }

    fn broken(&mut self, bytes: &[u8], why: &'static str) -> (usize, Piece) {
        self.state = State::Broken;
        (bytes.len(), Piece::Broken(why))
    }

    /// How many of so many bytes are of the body, which they are counted off.
    fn body(&mut self, there: usize) -> usize {
        let (State::Length(left) | State::Chunk(left)) = &mut self.state else { return there };
        let len = usize::try_from(*left).unwrap_or(usize::MAX).min(there);
        *left -= len as u64;
        len
    }

    fn chunk_line(&mut self, line: &[u8]) -> Result<(), &'static str> {
        self.state = match self.state {
            State::ChunkEnd if line.is_empty() => State::ChunkSize,
            State::ChunkEnd => return Err("a chunk does not end where it says"),
            State::ChunkSize => {
                let size = line.split(|byte| matches!(byte, b';' | b' ' | b'\t')).next().unwrap_or_default();
                match hex_number(size).ok_or("the length of a chunk is none")? {
                    0 => State::Trailers(0),
                    size => State::Chunk(size),
                }
            }
            State::Trailers(_) if line.is_empty() => State::Over,
            State::Trailers(TRAILER_LINES) => return Err("too many trailers"),
            State::Trailers(lines) => State::Trailers(lines + 1),
            other => other,
        };
        Ok(())
    }

    /// Reads a head: how long it is, and what it says; nothing of one that only announces another.
    fn head(&mut self, bytes: &[u8], is_full: bool) -> Result<Option<(usize, Option<Head>)>, &'static str> {
        let mut lines = [EMPTY_HEADER; HEADER_LINES];
        let mut response = Response::new(&mut lines);
        let len = match response.parse(&bytes[..bytes.len().min(HEAD_BYTES)]) {
            Ok(Status::Complete(len)) => len,
            Ok(Status::Partial) if is_full || bytes.len() >= HEAD_BYTES => {
                return Err("the head of an answer is too long");
            }
            Ok(Status::Partial) => return Ok(None),
            Err(Error::TooManyHeaders) => return Err("the head of an answer has too many lines"),
            Err(_) => return Err("that is not HTTP"),
        };
        let status = response.code.unwrap_or(0);
        match status {
            101 => return Err("it changes the protocol"),
            100..200 => return Ok(Some((len, None))),
            200..600 => {}
            _ => return Err("that is not HTTP"),
        }
        let fields = Fields::read(response.headers)?;
        self.keeps_alive = match response.version {
            Some(1) => !fields.closes,
            _ => false,
        };
        self.state = match (fields.is_chunked, fields.length) {
            _ if matches!(status, 204 | 304) => State::Over,
            (true, length) => {
                // RFC 9112 §6.3: with both, nobody knows where the next answer begins.
                self.keeps_alive &= length.is_none();
                State::ChunkSize
            }
            (false, Some(length)) => State::Length(length),
            (false, None) => {
                self.keeps_alive = false;
                State::UntilClose
            }
        };
        Ok(Some((len, Some(Head { status, retry_after_s: fields.retry_after_s }))))
    }
}

impl Default for Client {
    fn default() -> Self {
        Self::new()
    }
}

/// What fields say of the body and of the connection.
#[derive(Default)]
struct Fields {
    length: Option<u64>,
    is_chunked: bool,
    closes: bool,
    retry_after_s: Option<u32>,
}

impl Fields {
    fn read(lines: &[httparse::Header<'_>]) -> Result<Self, &'static str> {
        let mut fields = Self::default();
        for line in lines {
            let value = line.value.trim_ascii();
            let is = |name: &str| line.name.eq_ignore_ascii_case(name);
            if is("Content-Length") {
                let length = number(value).ok_or("the length of a body is none")?;
                if fields.length.is_some_and(|known| known != length) {
                    return Err("a body has two lengths");
                }
                fields.length = Some(length);
            } else if is("Transfer-Encoding") {
                if fields.is_chunked || !value.eq_ignore_ascii_case(b"chunked") {
                    return Err("a transfer coding that is not known");
                }
                fields.is_chunked = true;
            } else if is("Content-Encoding") && !value.eq_ignore_ascii_case(b"identity") {
                return Err("a content coding that was not asked for");
            } else if is("Connection") {
                let mut words = value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
                fields.closes |= words.any(|word| word.eq_ignore_ascii_case(b"close"));
            } else if is("Retry-After") {
                fields.retry_after_s = number(value).and_then(|seconds| u32::try_from(seconds).ok());
            }
        }
        Ok(fields)
    }
}

/// The number that decimal digits say.
fn number(text: &[u8]) -> Option<u64> {
    if text.is_empty() || text.len() > 18 {
        return None;
    }
    text.iter().try_fold(0u64, |value, digit| Some(value * 10 + u64::from((*digit as char).to_digit(10)?)))
}

/// Entry for fuzzing: whatever the bytes are, the machine ends, reads the same in pieces, and hands on nothing that is not
/// there.
pub fn fuzz(bytes: &[u8]) {
    let whole = bodies(bytes, bytes.len().max(1));
    // Heads are looked at again with each piece: few pieces will do.
    for part in [bytes.len() / 7, bytes.len() / 2] {
        assert_eq!(whole, bodies(bytes, part.max(1)), "{}", bytes.escape_ascii());
    }
}

/// How many heads, bytes of bodies and ends there are in `bytes`, of which `part` more are there each time; whether it broke.
fn bodies(bytes: &[u8], part: usize) -> (usize, usize, usize, bool) {
    let mut client = Client::new();
    client.asked();
    let (mut start, mut end, mut counts) = (0, 0, (0, 0, 0, false));
    while end < bytes.len() {
        end = bytes.len().min(end + part);
        loop {
            let (taken, piece) = client.received(&bytes[start..end], false);
            assert!(taken <= end - start);
            match piece {
                Piece::Nothing => {
                    start += taken;
                    break;
                }
                Piece::Head(_) => counts.0 += 1,
                Piece::Body(range) => {
                    assert!(range.end <= taken && !range.is_empty());
                    counts.1 += range.len();
                }
                Piece::End => {
                    counts.2 += 1;
                    client = Client::new();
                    client.asked();
                }
                Piece::Broken(_) => return (counts.0, counts.1, counts.2, true),
            }
            start += taken;
        }
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::format;
    use std::string::String;
    use std::vec::Vec;

    /// What a client that has asked makes of bytes which come so many at a time, and of the end of the connection.
    fn read(bytes: &[u8], part: usize) -> String {
        let mut client = Client::new();
        client.asked();
        let (mut said, mut body, mut window) = (Vec::new(), String::new(), Vec::new());
        for piece in bytes.chunks(part) {
            window.extend_from_slice(piece);
            loop {
                let (taken, piece) = client.received(&window, false);
                match piece {
                    Piece::Head(head) => said.push(match head.retry_after_s {
                        Some(seconds) => format!("{} after {seconds}", head.status),
                        None => format!("{}", head.status),
                    }),
                    Piece::Body(ref range) => body.push_str(core::str::from_utf8(&window[range.clone()]).unwrap()),
                    Piece::End => said.push(format!("[{}] {}", core::mem::take(&mut body), client.may_ask())),
                    Piece::Broken(why) => said.push(why.into()),
                    Piece::Nothing => {}
                }
                window.drain(..taken);
                if piece == Piece::Nothing {
                    break;
                }
                if matches!(piece, Piece::End) {
                    client.asked();
                }
            }
        }
        match client.closed() {
            Piece::End => said.push(format!("[{body}] closed")),
            Piece::Broken(why) if !window.is_empty() || !body.is_empty() => said.push(format!("[{body}] {why}")),
            _ => {}
        }
        said.join(", ")
    }

    #[test]
    fn bodies_end() {
        for (bytes, expected) in [
            ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", "200, [hello] true"),
            ("HTTP/1.1 200 OK\r\ncontent-length: 0\r\nConnection: keep-alive, Close\r\n\r\n", "200, [] false"),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0A;x=y\r\n0123456789\r\n0\r\nTrailer: x\r\n\r\n",
                "200, [abc0123456789] true",
            ),
            ("HTTP/1.1 200 OK\r\n\r\nuntil the end", "200, [until the end] closed"),
            ("HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx", "200, [x] false"),
            (
                "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n",
                "204, [] true",
            ),
            (
                "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\naHTTP/1.1 201 Made\r\nContent-Length: 1\r\n\r\nb",
                "200, [a] true, 201, [b] true",
            ),
            ("HTTP/1.1 429 Slow\r\nRetry-After: 30\r\nContent-Length: 0\r\n\r\n", "429 after 30, [] true"),
            (
                "HTTP/1.1 503 No\r\nRetry-After: Fri, 31 Dec 1999 23:59:59 GMT\r\nContent-Length: 0\r\n\r\n",
                "503, [] true",
            ),
            ("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "200, [] false"),
        ] {
            for part in [bytes.len(), 1, 7] {
                assert_eq!(read(bytes.as_bytes(), part), expected, "{bytes}");
            }
        }
    }

    #[test]
    fn what_breaks_it() {
        for (bytes, expected) in [
            ("SSH-2.0-OpenSSH_9.2\r\n", "that is not HTTP"),
            ("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n", "it changes the protocol"),
            ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n", "a body has two lengths"),
            ("HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n", "the length of a body is none"),
            ("HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n", "the length of a body is none"),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", "a transfer coding that is not known"),
            ("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n", "a content coding that was not asked for"),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n", "200, the length of a chunk is none"),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n",
                "200, a chunk does not end where it says",
            ),
            ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel", "200, [hel] the connection was closed"),
        ] {
            let said = read(bytes.as_bytes(), bytes.len());
            assert_eq!(said, expected, "{bytes}");
        }
        let mut client = Client::new();
        assert_eq!(client.received(b"HTTP/1.1 200 OK\r\n", false).1, Piece::Broken("an answer to nothing"));
        assert_eq!(client.received(b"x", false), (1, Piece::Nothing));
        let mut client = Client::new();
        client.asked();
        let head = [&b"HTTP/1.1 200 OK\r\nX: "[..], &[b'x'; 2048]].concat();
        assert_eq!(client.received(&head, false), (0, Piece::Nothing));
        assert_eq!(client.received(&head, true).1, Piece::Broken("the head of an answer is too long"));
        let trailers = format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n{}", "a: b\r\n".repeat(100));
        assert_eq!(read(trailers.as_bytes(), 64), "200, too many trailers");
    }

    #[test]
    fn requests() {
        let written = |request: &Request<'_>, body: &str| {
            let mut buffer = [0; 512];
            let mut out = Writer::new(&mut buffer);
            request.write(&mut out, |out| out.text(body)).unwrap();
            String::from_utf8(out.written().into()).unwrap()
        };
        let get = Request {
            method: Method::Get,
            host: "box.home.example",
            port: None,
            path: &["/api", "/stream"],
            bearer: "",
            fields: &[("Accept", "*/*")],
        };
        assert_eq!(written(&get, "no"), "GET /api/stream HTTP/1.1\r\nHost: box.home.example\r\nAccept: */*\r\n\r\n");
        let post =
            Request { method: Method::Post, host: "2001:db8::1", port: Some(8080), bearer: "s3", fields: &[], ..get };
        assert_eq!(
            written(&post, "{}\n"),
            "POST /api/stream HTTP/1.1\r\nHost: [2001:db8::1]:8080\r\nAuthorization: Bearer s3\r\nContent-Length: 00003\r\n\r\n{}\n"
        );
    }

    #[test]
    fn mutated() {
        let seeds: [&[u8]; 3] = [
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0A;x=y\r\n0123456789\r\n0\r\nTrailer: x\r\n\r\n",
            b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\naHTTP/1.1 204 No\r\n\r\n",
            b"HTTP/1.0 503 No\r\nRetry-After: 9\r\n\r\nuntil the end",
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
                    2 => bytes.insert(at, b"\r\n:;0123f "[random(10)]),
                    _ => bytes.truncate(at.max(1)),
                }
            }
            fuzz(&bytes);
        }
    }
}
