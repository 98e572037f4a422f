//! A load of requests with digest: each is sent, challenged, sent again with credentials and answered 200; so many are
//! outstanding at once, from one UDP socket. For scripts/bench, because SIPp looks only at a server's first challenge and
//! knows no SHA-256.
//!
//! Usage: `load CASE SERVER LOCAL CONTACT_PORT USERS COUNT WINDOW`. The users are u0, u1 .. of home.test; COUNT requests
//! go round them. The cases:
//!
//! * `register`: REGISTER of a device at CONTACT_PORT.
//! * `publish`: PUBLISH, as WINDOW clients that each publish a first document, change it again and again, each time by the
//!   entity-tag they were given last, and remove it in the end.
//! * `published`: PUBLISH of first documents, which stay.
//!
//! Prints how many were answered 200 and how many requests were sent again; fails when one was refused.

mod digest;
mod fields;

use std::io::{self, ErrorKind};
use std::net::{SocketAddr, UdpSocket};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use digest::{credentials, document};
use fields::{field, status};

fn main() -> ExitCode {
    match Plan::read() {
        Some(plan) => match plan.run() {
            Ok(resent) => {
                println!("{:?} {} resent {resent}", plan.case, plan.count);
                ExitCode::SUCCESS
            }
            Err(error) => {
                eprintln!("load: {error}");
                ExitCode::FAILURE
            }
        },
        None => {
            eprintln!("usage: load register|publish|published SERVER LOCAL CONTACT_PORT USERS COUNT WINDOW");
            ExitCode::from(2)
        }
    }
}

/// What is done again and again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Case {
    Register,
    Publish,
    Published,
}

/// What is to be done.
struct Plan {
    case: Case,
    server: SocketAddr,
    local: SocketAddr,
    contact_port: u16,
    users: usize,
    count: usize,
    window: usize,
}

/// One request under way. Its Call-ID says in which place of the window it is, and which one there: the place's numbers
/// are those that leave it as the rest after division by the window.
struct Exchange {
    number: usize,
    /// 1, and 2 once it was challenged.
    cseq: u32,
    /// What the place was given for its document, if that is there.
    etag: Option<String>,
    request: String,
    sent_at: Instant,
    tries: u32,
}

impl Plan {
    fn read() -> Option<Self> {
        let words: Vec<String> = std::env::args().skip(1).collect();
        let [case, server, local, contact_port, users, count, window] = &words[..] else { return None };
        Some(Self {
            case: match case.as_str() {
                "register" => Case::Register,
                "publish" => Case::Publish,
                "published" => Case::Published,
                _ => return None,
            },
            server: server.parse().ok()?,
            local: local.parse().ok()?,
            contact_port: contact_port.parse().ok()?,
            users: users.parse().ok().filter(|users| *users > 0)?,
            count: count.parse().ok()?,
            window: window.parse().ok().filter(|window| *window > 0)?,
        })
    }

    /// Does it, and gives the number of requests that were sent again.
    fn run(&self) -> io::Result<usize> {
        let socket = UdpSocket::bind(self.local)?;
        socket.connect(self.server)?;
        socket.set_read_timeout(Some(RESEND / 2))?;
        let (mut done, mut resent) = (0, 0);
        let mut places: Vec<Option<Exchange>> = Vec::new();
        for place in 0..self.window.min(self.count) {
            places.push(Some(self.begin(&socket, place, None)?));
        }
        let mut buffer = [0; 4096];
        while done < self.count {
            match socket.recv(&mut buffer) {
                Ok(len) => {
                    let Some(answer) = Answer::read(&buffer[..len]) else { continue };
                    let Some(slot) = places.get_mut(answer.place) else { continue };
                    let Some(exchange) = slot else { continue };
                    if (exchange.number, exchange.cseq) != (answer.number, answer.cseq) {
                        continue;
                    }
                    match (answer.status, exchange.cseq) {
                        (401 | 407, 1) => {
                            let (user, (method, uri)) = (self.user(answer.number), self.target(answer.number));
                            let proof = credentials(answer.text, user, method, &uri).ok_or_else(no_md5)?;
                            exchange.cseq = 2;
                            exchange.request = self.request(answer.number, 2, exchange.etag.as_deref(), &proof);
                            exchange.sent_at = Instant::now();
                            socket.send(exchange.request.as_bytes())?;
                        }
                        (200, 2) => {
                            done += 1;
                            let (next, etag) = (answer.number + self.window, answer.etag());
                            *slot = match next < self.count {
                                true => Some(self.begin(&socket, next, etag)?),
                                false => None,
                            };
                        }
                        (status, _) => return Err(io::Error::other(format!("answered {status}"))),
                    }
                }
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                    for exchange in places.iter_mut().flatten().filter(|one| one.sent_at.elapsed() > RESEND) {
                        exchange.tries += 1;
                        if exchange.tries > TRIES_MAX {
                            return Err(io::Error::other("no answer"));
                        }
                        resent += 1;
                        exchange.sent_at = Instant::now();
                        socket.send(exchange.request.as_bytes())?;
                    }
                }
                Err(error) => return Err(error),
            }
        }
        Ok(resent)
    }

    fn begin(&self, socket: &UdpSocket, number: usize, etag: Option<String>) -> io::Result<Exchange> {
        let etag = etag.filter(|_| self.case == Case::Publish);
        let request = self.request(number, 1, etag.as_deref(), "");
        socket.send(request.as_bytes())?;
        Ok(Exchange { number, cseq: 1, etag, request, sent_at: Instant::now(), tries: 0 })
    }

    /// A place has one user all the time, where what it does next rests on what it did before.
    fn user(&self, number: usize) -> usize {
        match self.case {
            Case::Publish => number % self.window % self.users,
            Case::Register | Case::Published => number % self.users,
        }
    }

    fn target(&self, number: usize) -> (&'static str, String) {
        match self.case {
            Case::Register => ("REGISTER", "sip:home.test".into()),
            Case::Publish | Case::Published => ("PUBLISH", format!("sip:u{}@home.test", self.user(number))),
        }
    }

    fn request(&self, number: usize, cseq: u32, etag: Option<&str>, proof: &str) -> String {
        let (local, place, user, run) = (self.local, number % self.window, self.user(number), std::process::id());
        let (ip, (method, uri)) = (local.ip(), self.target(number));
        let rest = match self.case {
            Case::Register => self.registration(user),
            Case::Publish | Case::Published => self.publication(number, etag),
        };
        format!(
            "{method} {uri} SIP/2.0\r\n\
             Via: SIP/2.0/UDP {local};rport;branch=z9hG4bK-{run}-{number}-{cseq}\r\n\
             Max-Forwards: 70\r\n\
             From: <sip:u{user}@home.test>;tag={run}r{number}\r\n\
             To: <sip:u{user}@home.test>\r\n\
             Call-ID: {place}-{number}-{run}@{ip}\r\n\
             CSeq: {cseq} {method}\r\n\
             {proof}\
             User-Agent: bench/1\r\n\
             {rest}"
        )
    }

    fn registration(&self, user: usize) -> String {
        let (ip, port) = (self.local.ip(), self.contact_port);
        format!(
            "Contact: <sip:u{user}@{ip}:{port}>;+sip.instance=\"<urn:uuid:6a1d0f4e-2c55-4d0b-{port:04x}-{user:012}>\"\r\n\
             Expires: 3600\r\n\
             Allow: INVITE, ACK, CANCEL, OPTIONS, BYE, REFER, NOTIFY, MESSAGE, INFO, UPDATE\r\n\
             Content-Length: 0\r\n\r\n"
        )
    }

    fn publication(&self, number: usize, etag: Option<&str>) -> String {
        let known = etag.map(|etag| format!("SIP-If-Match: {etag}\r\n")).unwrap_or_default();
        let is_last = etag.is_some() && number + self.window >= self.count;
        let (expires, body) = match is_last {
            true => (0, String::new()),
            false => (3600, document(self.user(number), number % self.window, &format!("at home, {number}"))),
        };
        let content_type = if body.is_empty() { "" } else { "Content-Type: application/pidf+xml\r\n" };
        let len = body.len();
        format!("Event: presence\r\nExpires: {expires}\r\n{known}{content_type}Content-Length: {len}\r\n\r\n{body}")
    }
}

/// What is used of an answer.
struct Answer<'a> {
    status: u16,
    place: usize,
    number: usize,
    cseq: u32,
    text: &'a str,
}

impl<'a> Answer<'a> {
    fn read(bytes: &'a [u8]) -> Option<Self> {
        let text = str::from_utf8(bytes).ok()?;
        let status = status(text)?;
        let mut call_id = field(text, "Call-ID: ")?.split('-');
        let place = call_id.next()?.parse().ok()?;
        let number = call_id.next()?.parse().ok()?;
        let cseq = field(text, "CSeq: ")?.split(' ').next()?.parse().ok()?;
        Some(Self { status, place, number, cseq, text })
    }

    fn etag(&self) -> Option<String> {
        field(self.text, "SIP-ETag: ").map(String::from)
    }
}

fn no_md5() -> io::Error {
    io::Error::other("challenged without MD5")
}

const RESEND: Duration = Duration::from_millis(500);
const TRIES_MAX: u32 = 20;
