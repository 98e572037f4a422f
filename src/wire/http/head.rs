//! The head of a request (RFC 9112 §3, §5, §6.3): what of it a server acts on, borrowed from its bytes.
//!
//! Whatever two readers could understand differently is refused: more than one Host or Content-Length, both lengths at
//! once, a request target that is neither a path nor a whole URI.

use httparse::{EMPTY_HEADER, Error, Request, Status};

use super::{HEAD_BYTES, HEADER_LINES};

/// What of a request's head a server acts on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Head<'b> {
    /// What is asked for.
    pub method: Method,
    /// The path, as it came: it begins with `/`, and no escape in it was decoded.
    pub path: &'b [u8],
    /// What stands behind the question mark, as it came; empty without one.
    pub query: &'b [u8],
    /// Whether the version is 1.1; else 1.0.
    pub is_version_1_1: bool,
    /// Whom it is for: host and port, of the target where that names it, else of Host.
    pub host: &'b [u8],
    /// Whether another request may follow on the connection.
    pub keep_alive: bool,
    /// Bytes of the body.
    pub content_length: u64,
    /// Whether the client waits for a word before it sends the body.
    pub expects_continue: bool,
    /// Content-Type; empty without one, as are the next ones.
    pub content_type: &'b [u8],
    /// Cookie: the first such line.
    pub cookie: &'b [u8],
    /// Range.
    pub range: &'b [u8],
    /// If-Range.
    pub if_range: &'b [u8],
    /// If-None-Match.
    pub if_none_match: &'b [u8],
    /// Accept-Language.
    pub accept_language: &'b [u8],
    /// Origin.
    pub origin: &'b [u8],
    /// Sec-Fetch-Site (W3C Fetch Metadata).
    pub fetch_site: &'b [u8],
}

/// The methods that are known here.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Method {
    /// Show it.
    Get,
    /// Only the head of what GET would be answered with.
    Head,
    /// Do it.
    Post,
    /// Any other.
    Other,
}

/// Why a head is not taken: the status code to answer with. The connection ends with it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Refused(pub u16);

/// Where a head in `bytes` ends: behind its empty line. `from` is how far was looked before.
pub fn end_of_head(bytes: &[u8], from: usize) -> Option<usize> {
    let start = from.saturating_sub(3).min(bytes.len());
    let ends = memchr::memchr_iter(b'\n', &bytes[start..]).map(|at| start + at);
    ends.into_iter().find_map(|at| {
        let line = bytes[..at].strip_suffix(b"\r").unwrap_or(&bytes[..at]);
        (line.is_empty() || line.ends_with(b"\n")).then_some(at + 1)
    })
}

impl<'b> Head<'b> {
    /// Reads a whole head, with the empty line at its end.
    pub fn parse(bytes: &'b [u8]) -> Result<Self, Refused> {
        if bytes.len() > HEAD_BYTES {
            return Err(Refused(431));
        }
        let mut lines = [EMPTY_HEADER; HEADER_LINES];
        let mut request = Request::new(&mut lines);
        match request.parse(bytes) {
            Ok(Status::Complete(_)) => {}
            Ok(Status::Partial) => return Err(Refused(400)),
            Err(Error::TooManyHeaders) => return Err(Refused(431)),
            Err(Error::Version) => return Err(Refused(505)),
            Err(_) => return Err(Refused(400)),
        }
        let mut head = Self::begin(request.method.unwrap_or(""), request.path.unwrap_or(""), request.version)?;
        let mut seen = Seen { host: None, length: None, is_coded: false, connection: Connection::default() };
        for line in request.headers.iter() {
            head.take(line.name, trim(line.value), &mut seen)?;
        }
        head.finish(&seen)
    }

    fn begin(method: &str, target: &'b str, version: Option<u8>) -> Result<Self, Refused> {
        let method = match method {
            "GET" => Method::Get,
            "HEAD" => Method::Head,
            "POST" => Method::Post,
            _ => Method::Other,
        };
        let (host, target) = split_target(target.as_bytes()).ok_or(Refused(400))?;
        let mut parts = target.splitn(2, |byte| *byte == b'?');
        Ok(Self {
            method,
            path: parts.next().unwrap_or_default(),
            query: parts.next().unwrap_or_default(),
            is_version_1_1: version == Some(1),
            host,
            keep_alive: false,
            content_length: 0,
            expects_continue: false,
            content_type: b"",
            cookie: b"",
            range: b"",
            if_range: b"",
            if_none_match: b"",
            accept_language: b"",
            origin: b"",
            fetch_site: b"",
        })
    }

    fn take(&mut self, name: &str, value: &'b [u8], seen: &mut Seen<'b>) -> Result<(), Refused> {
        let place = match known(name) {
            Known::Host => {
                return if seen.host.replace(value).is_some() { Err(Refused(400)) } else { Ok(()) };
            }
            Known::ContentLength => {
                let length = number(value).ok_or(Refused(400))?;
                return if seen.length.replace(length).is_some() { Err(Refused(400)) } else { Ok(()) };
            }
            Known::TransferEncoding => {
                seen.is_coded = true;
                return Ok(());
            }
            Known::Connection => {
                seen.connection.take(value);
                return Ok(());
            }
            Known::Expect => {
                self.expects_continue = value.eq_ignore_ascii_case(b"100-continue");
                return if self.expects_continue { Ok(()) } else { Err(Refused(417)) };
            }
            Known::ContentType => &mut self.content_type,
            Known::Cookie => &mut self.cookie,
            Known::Range => &mut self.range,
            Known::IfRange => &mut self.if_range,
            Known::IfNoneMatch => &mut self.if_none_match,
            Known::AcceptLanguage => &mut self.accept_language,
            Known::Origin => &mut self.origin,
            Known::FetchSite => &mut self.fetch_site,
            Known::Other => return Ok(()),
        };
        if place.is_empty() {
            *place = value;
        }
        Ok(())
    }

    fn finish(mut self, seen: &Seen<'b>) -> Result<Self, Refused> {
        if self.host.is_empty() {
            self.host = seen.host.unwrap_or_default();
        }
        if self.is_version_1_1 && seen.host.is_none() {
            return Err(Refused(400));
        }
        if seen.is_coded {
            return Err(Refused(if seen.length.is_some() { 400 } else { 411 }));
        }
        self.content_length = seen.length.unwrap_or(0);
        self.keep_alive = !seen.connection.close && (self.is_version_1_1 || seen.connection.keep_alive);
        self.expects_continue &= self.is_version_1_1 && self.content_length > 0;
        Ok(self)
    }
}

/// What of the fields counts for the head as a whole.
struct Seen<'b> {
    host: Option<&'b [u8]>,
    length: Option<u64>,
    is_coded: bool,
    connection: Connection,
}

/// What Connection says.
#[derive(Default)]
struct Connection {
    close: bool,
    keep_alive: bool,
}

impl Connection {
    fn take(&mut self, value: &[u8]) {
        for option in value.split(|byte| *byte == b',').map(trim) {
            self.close |= option.eq_ignore_ascii_case(b"close");
            self.keep_alive |= option.eq_ignore_ascii_case(b"keep-alive");
        }
    }
}

#[derive(Clone, Copy)]
enum Known {
    Host,
    ContentLength,
    TransferEncoding,
    Connection,
    Expect,
    ContentType,
    Cookie,
    Range,
    IfRange,
    IfNoneMatch,
    AcceptLanguage,
    Origin,
    FetchSite,
    Other,
}

fn known(name: &str) -> Known {
    let is_it = |entry: &&(&str, Known)| entry.0.eq_ignore_ascii_case(name);
    NAMES.iter().find(is_it).map_or(Known::Other, |(_, known)| *known)
}

const NAMES: &[(&str, Known)] = &[
    ("host", Known::Host),
    ("content-length", Known::ContentLength),
    ("transfer-encoding", Known::TransferEncoding),
    ("connection", Known::Connection),
    ("expect", Known::Expect),
    ("content-type", Known::ContentType),
    ("cookie", Known::Cookie),
    ("range", Known::Range),
    ("if-range", Known::IfRange),
    ("if-none-match", Known::IfNoneMatch),
    ("accept-language", Known::AcceptLanguage),
    ("origin", Known::Origin),
    ("sec-fetch-site", Known::FetchSite),
];

/// Host and path of a request target (RFC 9112 §3.2): `/path`, or `http://host/path` as proxies have it.
fn split_target(target: &[u8]) -> Option<(&[u8], &[u8])> {
    if target.starts_with(b"/") {
        return Some((b"", target));
    }
    let rest = [&b"http://"[..], b"https://"].into_iter().find_map(|scheme| {
        let (start, rest) = target.split_at_checked(scheme.len())?;
        start.eq_ignore_ascii_case(scheme).then_some(rest)
    })?;
    let end = rest.iter().position(|byte| matches!(byte, b'/' | b'?'))?;
    let (host, path) = rest.split_at(end);
    (!host.is_empty() && path.starts_with(b"/")).then_some((host, path))
}

/// A number in digits alone.
pub(super) fn number(text: &[u8]) -> Option<u64> {
    if text.is_empty() || text.len() > 18 || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(text.iter().fold(0, |value, digit| value * 10 + u64::from(digit - b'0')))
}

/// Without blanks and tabs around it.
pub(super) fn trim(text: &[u8]) -> &[u8] {
    let start = text.iter().position(|byte| !matches!(byte, b' ' | b'\t')).unwrap_or(text.len());
    let end = text.iter().rposition(|byte| !matches!(byte, b' ' | b'\t')).map_or(start, |at| at + 1);
    &text[start..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: &[u8] = b"GET /a/b?c=d HTTP/1.1\r\nHost: router.lan:8088\r\nCookie: s=1\r\n\r\n";

    #[test]
    fn plain() {
        let head = Head::parse(PLAIN).unwrap();
        assert_eq!((head.method, head.path, head.query), (Method::Get, &b"/a/b"[..], &b"c=d"[..]));
        assert_eq!((head.host, head.cookie), (&b"router.lan:8088"[..], &b"s=1"[..]));
        assert!(head.is_version_1_1 && head.keep_alive && head.content_length == 0 && !head.expects_continue);
    }

    #[test]
    fn ends() {
        for len in 0..PLAIN.len() {
            assert_eq!(end_of_head(&PLAIN[..len], 0), None, "{len}");
            assert_eq!(end_of_head(PLAIN, len), Some(PLAIN.len()), "{len}");
            assert_eq!(Head::parse(&PLAIN[..len]).err(), Some(Refused(400)), "{len}");
        }
        assert_eq!(end_of_head(b"GET / HTTP/1.0\n\nx", 0), Some(16));
        assert_eq!(end_of_head(b"GET / HTTP/1.0\r\n\nx", 0), Some(17));
    }

    #[test]
    fn targets() {
        let path = |target: &str| {
            let text = std::format!("GET {target} HTTP/1.1\r\nHost: other\r\n\r\n");
            Head::parse(text.as_bytes()).map(|head| (head.host.to_vec(), head.path.to_vec()))
        };
        assert_eq!(path("/"), Ok((b"other".to_vec(), b"/".to_vec())));
        assert_eq!(path("HTTP://a.lan/x"), Ok((b"a.lan".to_vec(), b"/x".to_vec())));
        for bad in ["*", "a.lan:80", "http:///x", "http://a.lan", "http://a.lan?x/", "ftp://a.lan/"] {
            assert_eq!(path(bad), Err(Refused(400)), "{bad}");
        }
    }

    #[test]
    fn what_two_could_read_differently() {
        for (lines, status) in [
            ("", 400),
            ("Host: a\r\nHost: a\r\n", 400),
            ("Host: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n", 400),
            ("Host: a\r\nContent-Length: 1, 1\r\n", 400),
            ("Host: a\r\nContent-Length: +1\r\n", 400),
            ("Host: a\r\nContent-Length: 99999999999999999999\r\n", 400),
            ("Host: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n", 400),
            ("Host: a\r\nTransfer-Encoding: chunked\r\n", 411),
            ("Host: a\r\nTransfer-Encoding : chunked\r\n", 400),
            ("Host: a\r\nX: y\r\n folded\r\n", 400),
            ("Host: a\r\nX: \0\r\n", 400),
            ("Host: a\r\nExpect: a miracle\r\n", 417),
        ] {
            let text = std::format!("POST / HTTP/1.1\r\n{lines}\r\n");
            assert_eq!(Head::parse(text.as_bytes()).err(), Some(Refused(status)), "{lines}");
        }
        assert_eq!(Head::parse(b"GET / HTTP/2.0\r\nHost: a\r\n\r\n").err(), Some(Refused(505)));
        let many = "X: y\r\n".repeat(HEADER_LINES);
        let text = std::format!("GET / HTTP/1.1\r\nHost: a\r\n{many}\r\n");
        assert_eq!(Head::parse(text.as_bytes()).err(), Some(Refused(431)));
        let long = std::format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "x".repeat(HEAD_BYTES));
        assert_eq!(Head::parse(long.as_bytes()).err(), Some(Refused(431)));
    }

    #[test]
    fn connections() {
        let keeps = |version: &str, connection: &str| {
            let text = std::format!("GET / HTTP/{version}\r\nHost: a\r\n{connection}\r\n");
            Head::parse(text.as_bytes()).unwrap().keep_alive
        };
        assert!(keeps("1.1", "") && keeps("1.0", "Connection: Keep-Alive\r\n"));
        assert!(!keeps("1.0", "") && !keeps("1.1", "Connection: te, Close\r\n"));
        assert!(!keeps("1.1", "Connection: keep-alive\r\nConnection: close\r\n"));
    }
}
