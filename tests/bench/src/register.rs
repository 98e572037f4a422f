//! A load of devices that register with digest (MD5, RFC 2617 with qop): REGISTER, 401, REGISTER with credentials, 200,
//! so many outstanding at once, from one UDP socket. For scripts/bench, because SIPp looks only at a server's first
//! challenge and knows no SHA-256.
//!
//! Usage: `register SERVER LOCAL CONTACT_PORT USERS COUNT WINDOW`. The users are u0, u1 .. of home.test; COUNT
//! registrations go round them. Prints how many were answered 200 and how many requests were sent again; fails when
//! one was refused.

use md5::{Digest, Md5};
use std::fmt::Write;
use std::io::{self, ErrorKind};
use std::net::{SocketAddr, UdpSocket};
use std::process::ExitCode;
use std::time::{Duration, Instant};

fn main() -> ExitCode {
    match Plan::read() {
        Some(plan) => match plan.run() {
            Ok(resent) => {
                println!("registered {} resent {resent}", plan.count);
                ExitCode::SUCCESS
            }
            Err(error) => {
                eprintln!("register: {error}");
                ExitCode::FAILURE
            }
        },
        None => {
            eprintln!("usage: register SERVER LOCAL CONTACT_PORT USERS COUNT WINDOW");
            ExitCode::from(2)
        }
    }
}

/// What is to be done.
struct Plan {
    server: SocketAddr,
    local: SocketAddr,
    contact_port: u16,
    users: usize,
    count: usize,
    window: usize,
}

/// One registration under way. Its Call-ID says in which place of the window it is, and which one there.
struct Exchange {
    number: usize,
    /// 1, and 2 once it was challenged.
    cseq: u32,
    request: String,
    sent_at: Instant,
    tries: u32,
}

impl Plan {
    fn read() -> Option<Self> {
        let words: Vec<String> = std::env::args().skip(1).collect();
        let [server, local, contact_port, users, count, window] = &words[..] else { return None };
        Some(Self {
            server: server.parse().ok()?,
            local: local.parse().ok()?,
            contact_port: contact_port.parse().ok()?,
            users: users.parse().ok().filter(|users| *users > 0)?,
            count: count.parse().ok()?,
            window: window.parse().ok()?,
        })
    }

    /// Does it, and gives the number of requests that were sent again.
    fn run(&self) -> io::Result<usize> {
        let socket = UdpSocket::bind(self.local)?;
        socket.connect(self.server)?;
        socket.set_read_timeout(Some(RESEND / 2))?;
        let (mut started, mut done, mut resent) = (0, 0, 0);
        let mut places: Vec<Option<Exchange>> = Vec::new();
        for place in 0..self.window.min(self.count) {
            places.push(Some(self.begin(&socket, place, started)?));
            started += 1;
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
                        (401, 1) => {
                            let credentials = answer.credentials(exchange.number % self.users).ok_or_else(no_md5)?;
                            exchange.cseq = 2;
                            exchange.request = self.request(answer.place, exchange.number, 2, &credentials);
                            exchange.sent_at = Instant::now();
                            socket.send(exchange.request.as_bytes())?;
                        }
                        (200, 2) => {
                            done += 1;
                            *slot = None;
                            if started < self.count {
                                *slot = Some(self.begin(&socket, answer.place, started)?);
                                started += 1;
                            }
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

    fn begin(&self, socket: &UdpSocket, place: usize, number: usize) -> io::Result<Exchange> {
        let request = self.request(place, number, 1, "");
        socket.send(request.as_bytes())?;
        Ok(Exchange { number, cseq: 1, request, sent_at: Instant::now(), tries: 0 })
    }

    fn request(&self, place: usize, number: usize, cseq: u32, credentials: &str) -> String {
        let (local, port, user) = (self.local, self.contact_port, number % self.users);
        let (ip, run) = (local.ip(), std::process::id());
        format!(
            "REGISTER sip:home.test SIP/2.0\r\n\
             Via: SIP/2.0/UDP {local};rport;branch=z9hG4bK-{run}-{number}-{cseq}\r\n\
             Max-Forwards: 70\r\n\
             From: <sip:u{user}@home.test>;tag={run}r{number}\r\n\
             To: <sip:u{user}@home.test>\r\n\
             Call-ID: {place}-{number}-{run}@{ip}\r\n\
             CSeq: {cseq} REGISTER\r\n\
             Contact: <sip:u{user}@{ip}:{port}>;+sip.instance=\"<urn:uuid:6a1d0f4e-2c55-4d0b-{port:04x}-{user:012}>\"\r\n\
             Expires: 3600\r\n\
             {credentials}\
             Allow: INVITE, ACK, CANCEL, OPTIONS, BYE, REFER, NOTIFY, MESSAGE, INFO, UPDATE\r\n\
             User-Agent: bench/1\r\n\
             Content-Length: 0\r\n\r\n"
        )
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
        let status = text.strip_prefix("SIP/2.0 ")?.get(..3)?.parse().ok()?;
        let mut call_id = field(text, "Call-ID: ")?.split('-');
        let place = call_id.next()?.parse().ok()?;
        let number = call_id.next()?.parse().ok()?;
        let cseq = field(text, "CSeq: ")?.split(' ').next()?.parse().ok()?;
        Some(Self { status, place, number, cseq, text })
    }

    /// The Authorization field for the MD5 challenge among those of the answer.
    fn credentials(&self, user: usize) -> Option<String> {
        let challenges = self.text.split("\r\n").filter_map(|line| line.strip_prefix("WWW-Authenticate: Digest "));
        let challenge = { challenges }.find(|challenge| !challenge.contains("SHA-256"))?;
        let nonce = quoted(challenge, "nonce=\"")?;
        let opaque = quoted(challenge, "opaque=\"").map(|opaque| format!(",opaque=\"{opaque}\"")).unwrap_or_default();
        let ha1 = md5(&format!("u{user}:home.test:secret"));
        let ha2 = md5("REGISTER:sip:home.test");
        let (qop, response) = if challenge.contains("qop=") {
            let response = md5(&format!("{ha1}:{nonce}:00000001:be7c4:auth:{ha2}"));
            (",qop=auth,nc=00000001,cnonce=\"be7c4\"", response)
        } else {
            ("", md5(&format!("{ha1}:{nonce}:{ha2}")))
        };
        Some(format!(
            "Authorization: Digest username=\"u{user}\",realm=\"home.test\",nonce=\"{nonce}\",uri=\"sip:home.test\",\
             response=\"{response}\",algorithm=MD5{opaque}{qop}\r\n"
        ))
    }
}

fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.split("\r\n").find_map(|line| line.strip_prefix(name))
}

fn quoted<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    Some(text.split_once(name)?.1.split_once('"')?.0)
}

fn md5(text: &str) -> String {
    Md5::digest(text).iter().fold(String::with_capacity(32), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

fn no_md5() -> io::Error {
    io::Error::other("challenged without MD5")
}

const RESEND: Duration = Duration::from_millis(500);
const TRIES_MAX: u32 = 20;
