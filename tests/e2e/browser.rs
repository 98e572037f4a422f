//! A browser without a window: HTTP/1.1 by hand, a cookie, and forms. What it takes from a page it finds by the markup.

use crate::daemon::PASSWORD;
use std::fmt::Write as _;
use std::io::{Read, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// Somebody who looks at the page.
pub struct Browser {
    address: SocketAddr,
    cookie: Option<String>,
}

/// What a request is answered with.
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The head, up to the empty line.
    pub head: String,
    /// What follows it.
    pub body: Vec<u8>,
}

impl Browser {
    /// One that knows nothing yet.
    pub fn new(address: SocketAddr) -> Self {
        Self { address, cookie: None }
    }

    /// One that has logged in.
    pub fn logged_in(address: SocketAddr, name: &str) -> Self {
        let mut browser = Self::new(address);
        browser.post("/login", &[("name", name), ("password", PASSWORD)]).assert_status(303);
        assert!(browser.cookie.is_some(), "a login gives a cookie");
        browser
    }

    /// Gets a page.
    pub fn get(&mut self, path: &str) -> Answer {
        self.request("GET", path, "", b"")
    }

    /// Gets a part of something, by a Range such as `bytes=0-99`; `HEAD` asks for its size alone.
    pub fn part(&mut self, method: &str, path: &str, range: &str) -> Answer {
        self.request(method, path, &format!("Range: {range}\r\n"), b"")
    }

    /// Sends a form.
    pub fn post(&mut self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let fields = fields.iter().map(|(name, value)| format!("{name}={}", escaped(value))).collect::<Vec<_>>();
        let body = fields.join("&");
        self.request("POST", path, "Content-Type: application/x-www-form-urlencoded\r\n", body.as_bytes())
    }

    /// Sends a form of a page that she is logged in at.
    pub fn post_from(&mut self, page: &Answer, path: &str, fields: &[(&str, &str)]) -> Answer {
        let token = page.values("name=\"csrf\" value=\"").first().expect("the page has forms").clone();
        self.post(path, &[&[("csrf", token.as_str())], fields].concat())
    }

    /// All texts on all pages of her inbox, the newest page first.
    pub fn all_texts(&mut self) -> Vec<String> {
        let (mut texts, mut path) = (Vec::new(), "/".to_string());
        loop {
            let page = self.get(&path);
            page.assert_status(200);
            texts.extend(page.texts());
            match page.values("href=\"/?before=").first() {
                Some(before) => path = format!("/?before={before}"),
                None => return texts,
            }
        }
    }

    /// Its cookie, for another program.
    pub fn cookie(&self) -> String {
        self.cookie.clone().expect("it has logged in")
    }

    fn request(&mut self, method: &str, path: &str, fields: &str, body: &[u8]) -> Answer {
        let mut text = format!("{method} {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n{fields}", self.address);
        if let Some(cookie) = &self.cookie {
            let _ = write!(text, "Cookie: {cookie}\r\n");
        }
        if method == "POST" {
            let _ = write!(text, "Content-Length: {}\r\n", body.len());
        }
        let bytes = exchange(self.address, &[text.as_bytes(), b"\r\n", body].concat());
        let answer = Answer::read(&bytes).unwrap_or_else(|| panic!("{}", String::from_utf8_lossy(&bytes)));
        if let Some(cookie) = answer.field("Set-Cookie") {
            self.cookie = cookie.split(';').next().map(Into::into);
        }
        answer
    }
}

impl Answer {
    /// Reads the first of `bytes`.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let end = bytes.windows(4).position(|it| it == b"\r\n\r\n")?;
        let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
        let status = head.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()?;
        let mut answer = Self { status, head, body: bytes[end + 4..].to_vec() };
        if answer.field("Transfer-Encoding") == Some("chunked") {
            answer.body = unchunked(&answer.body)?;
        }
        Some(answer)
    }

    /// The body as text.
    pub fn text(&self) -> std::borrow::Cow<'_, str> {
        String::from_utf8_lossy(&self.body)
    }

    /// A field of its head.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (field, value) = line.split_once(':')?;
            field.eq_ignore_ascii_case(name).then_some(value.trim())
        })
    }

    /// Fails unless it is this status.
    pub fn assert_status(&self, status: u16) {
        assert_eq!(self.status, status, "{}\n{}", self.head, self.text());
    }

    /// What follows `begin` up to the next quotation mark, each time.
    pub fn values(&self, begin: &str) -> Vec<String> {
        self.text().split(begin).skip(1).filter_map(|rest| Some(rest.split('"').next()?.to_string())).collect()
    }

    /// The texts in a page of the inbox.
    pub fn texts(&self) -> Vec<String> {
        const BEGIN: &str = "<p class=\"say\" dir=\"auto\">";
        self.text().split(BEGIN).skip(1).filter_map(|rest| Some(rest.split("</p>").next()?.to_string())).collect()
    }
}

/// Sends all of `request` and takes what comes until the server closes.
pub fn exchange(address: SocketAddr, request: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).expect("the page is served");
    stream.set_read_timeout(Some(Duration::from_secs(40))).expect("a timeout");
    stream.write_all(request).expect("the server reads");
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).expect("the server closes in the end");
    bytes
}

fn unchunked(mut bytes: &[u8]) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let end = bytes.windows(2).position(|it| it == b"\r\n")?;
        let len = usize::from_str_radix(std::str::from_utf8(&bytes[..end]).ok()?, 16).ok()?;
        if len == 0 {
            return Some(body);
        }
        body.extend_from_slice(bytes.get(end + 2..end + 2 + len)?);
        bytes = bytes.get(end + 4 + len..)?;
    }
}

/// As forms send it.
fn escaped(value: &str) -> String {
    let mut out = String::new();
    for byte in value.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'-' | b'_' => out.push(char::from(byte)),
            _ => drop(write!(out, "%{byte:02X}")),
        }
    }
    out
}
