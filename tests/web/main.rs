//! The inbox page as a browser and an attacker meet it: bytes in, bytes out, over a house of a few lines.

mod hostile;
mod house;
mod pages;
mod serve;
mod sound;

use std::net::SocketAddr;

use pcsd::base::net::Stream;
use pcsd::base::time::Instant;
use pcsd::web::{Step, Unavailable, Web};

use house::Home;

/// The machine, its house, and a clock.
struct World {
    web: Box<Web>,
    home: Home,
    now: Instant,
    next: u16,
}

/// A response as a client reads it.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Reply {
    status: u16,
    head: String,
    body: Vec<u8>,
    /// Whether the connection was closed behind it.
    is_closed: bool,
}

impl World {
    fn new() -> Self {
        Self { web: Box::new(Web::new()), home: Home::new(), now: Instant::from_millis(1_000_000), next: 0 }
    }

    fn open_from(&mut self, from: &str) -> Option<Stream> {
        self.next += 1;
        let stream = Stream { index: self.next % 32, generation: self.next };
        let from: SocketAddr = from.parse().unwrap();
        self.web.opened(self.now, stream, from, false).then_some(stream)
    }

    fn open(&mut self) -> Stream {
        self.open_from("192.168.1.20:40000").expect("there is room")
    }

    fn close(&mut self, stream: Stream) {
        self.web.closed(self.now, &mut self.home, stream);
    }

    /// Offers bytes as the server does, in pieces of `cut`, and collects what comes; and whether it is to be closed.
    fn exchange(&mut self, stream: Stream, bytes: &[u8], cut: usize, room: usize) -> (Vec<u8>, bool) {
        let (mut out, mut window) = (Vec::new(), Vec::new());
        let mut pieces = bytes.chunks(cut.max(1));
        let mut stalls = 0;
        loop {
            if let Some(piece) = pieces.next() {
                window.extend_from_slice(piece);
                stalls = 0;
            }
            let taken = self.web.received(self.now, &mut self.home, stream, &window);
            window.drain(..taken);
            if self.drain(stream, &mut out, room) {
                return (out, true);
            }
            stalls = if taken > 0 { 0 } else { stalls + 1 };
            if stalls > 4 && pieces.len() == 0 {
                return (out, false);
            }
        }
    }

    /// Collects what comes until nothing does; whether the connection is to be closed.
    fn drain(&mut self, stream: Stream, out: &mut Vec<u8>, room: usize) -> bool {
        let mut buffer = vec![0; room];
        for _ in 0..100_000 {
            match self.web.produce(self.now, &mut self.home, stream, &mut buffer) {
                Step::Bytes(len) => out.extend_from_slice(&buffer[..len]),
                Step::Load { key } => {
                    let record = self.home.records.get(&key.id).cloned();
                    self.web.loaded(stream, record.as_deref().ok_or(Unavailable));
                }
                Step::Read { key, offset, len } => {
                    assert!(len <= 8192);
                    let blob = self.home.blobs.get(&key.id).cloned();
                    let part = blob.as_deref().map(|blob| {
                        let start = (offset as usize).min(blob.len());
                        &blob[start..(start + len as usize).min(blob.len())]
                    });
                    self.web.loaded(stream, part.ok_or(Unavailable));
                }
                Step::Wait | Step::Nothing => return false,
                Step::Close => return true,
            }
        }
        panic!("it never ends");
    }

    /// One request on a connection of its own.
    fn ask(&mut self, request: &str) -> Reply {
        self.ask_bytes(request.as_bytes())
    }

    fn ask_bytes(&mut self, request: &[u8]) -> Reply {
        let stream = self.open();
        let (bytes, is_closed) = self.exchange(stream, request, usize::MAX, 8192);
        self.close(stream);
        let is_head = request.starts_with(b"HEAD ");
        let (mut reply, rest) = read(&bytes, is_head).expect("a whole response");
        assert!(rest.is_empty(), "{}", rest.escape_ascii());
        reply.is_closed = is_closed;
        reply
    }

    fn get(&mut self, path: &str, cookie: &str) -> Reply {
        self.ask(&format!("GET {path} HTTP/1.1\r\nHost: home.example\r\nCookie: {cookie}\r\n\r\n"))
    }

    fn post(&mut self, path: &str, cookie: &str, form: &str) -> Reply {
        self.ask(&format!(
            "POST {path} HTTP/1.1\r\nHost: home.example\r\nCookie: {cookie}\r\n\
             Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{form}",
            form.len()
        ))
    }

    /// Logs Alice in: her cookie, and what her forms bring along.
    fn log_in(&mut self) -> (String, String) {
        let reply = self.post("/login", "", "name=Alice&password=wonder+land");
        assert_eq!((reply.status, reply.field("Location")), (303, "/"));
        let cookie = reply.cookie();
        let page = self.get("/settings", &cookie).text();
        let at = page.find("name=\"csrf\" value=\"").expect("a form") + 19;
        (cookie, page[at..at + 22].to_string())
    }
}

impl Reply {
    fn field(&self, name: &str) -> &str {
        let line = self.head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        line.unwrap_or_default()
    }

    fn cookie(&self) -> String {
        self.field("Set-Cookie").split(';').next().unwrap_or_default().to_string()
    }

    fn text(&self) -> String {
        String::from_utf8(self.body.clone()).expect("UTF-8")
    }
}

/// Reads one response off the front, as RFC 9112 frames it. Interim ones are skipped.
fn read(bytes: &[u8], is_head: bool) -> Option<(Reply, &[u8])> {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
    let head = String::from_utf8(bytes[..end].to_vec()).ok()?;
    let status: u16 = head.get(9..12)?.parse().ok()?;
    let mut rest = &bytes[end..];
    if status == 100 {
        return read(rest, is_head);
    }
    let mut reply = Reply { status, head, body: Vec::new(), is_closed: false };
    if is_head || status == 304 {
        return Some((reply, rest));
    }
    if reply.field("Transfer-Encoding") == "chunked" {
        loop {
            let line = rest.windows(2).position(|window| window == b"\r\n")?;
            let len = usize::from_str_radix(std::str::from_utf8(&rest[..line]).ok()?, 16).ok()?;
            let chunk = rest.get(line + 2..line + 2 + len)?;
            reply.body.extend_from_slice(chunk);
            assert_eq!(rest.get(line + 2 + len..line + 4 + len)?, b"\r\n");
            rest = &rest[line + 4 + len..];
            if len == 0 {
                return Some((reply, rest));
            }
        }
    }
    if reply.field("Content-Length").is_empty() {
        (reply.body, rest) = (rest.to_vec(), &[]);
    } else {
        let len = reply.field("Content-Length").parse().ok()?;
        (reply.body, rest) = (rest.get(..len)?.to_vec(), &rest[len..]);
    }
    Some((reply, rest))
}
