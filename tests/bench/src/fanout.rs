//! How long it takes until all who watch a person have heard what she published. For scripts/bench.
//!
//! Usage: `fanout SERVER LOCAL USERS WATCHERS ROUNDS [SERVER_PID]`. So many watches of u0 of home.test, by the people u1,
//! u2 .. in turns, each with digest where the server asks for it, all from one UDP socket; every NOTIFY is answered 200.
//! Then u0 publishes another document, once more than a second after everybody has heard of the one before, ROUNDS times.
//! Prints a line for each: microseconds from the PUBLISH with its credentials to its 200, to the first NOTIFY with the new
//! document and to the last, and the server's CPU time from the PUBLISH to 200 ms after the last NOTIFY, or 0 without its
//! pid. Ends its watches at the end.

mod digest;
mod fields;

use std::collections::HashSet;
use std::fs;
use std::io::{self, ErrorKind};
use std::net::{SocketAddr, UdpSocket};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use digest::{credentials, document};
use fields::{field, status};

fn main() -> ExitCode {
    let Some(mut bench) = Bench::read() else {
        eprintln!("usage: fanout SERVER LOCAL USERS WATCHERS ROUNDS [SERVER_PID]");
        return ExitCode::from(2);
    };
    match bench.run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("fanout: {error}");
            ExitCode::FAILURE
        }
    }
}

struct Bench {
    socket: UdpSocket,
    local: SocketAddr,
    users: usize,
    watchers: usize,
    rounds: usize,
    server_pid: Option<u32>,
    number: usize,
    /// What has come of the document that is waited for.
    marker: String,
    heard: HashSet<usize>,
    first_at: Option<Instant>,
    last_at: Option<Instant>,
    /// NOTIFYs of all watches, whatever they say.
    notified: HashSet<usize>,
}

/// A request and the place where its answer belongs.
struct Asked<'a> {
    method: &'a str,
    user: usize,
    uri: String,
    /// The Call-ID up to its first hyphen.
    call: usize,
    /// To, with the tag of a dialog.
    to: String,
    fields: String,
    body: String,
}

/// Where the requests of a watch go.
struct Dialog {
    uri: String,
    to: String,
}

impl Dialog {
    fn none() -> Self {
        Self { uri: "sip:u0@home.test".into(), to: "<sip:u0@home.test>".into() }
    }

    fn begun(answer: &str) -> Option<Self> {
        let uri = field(answer, "Contact: ")?.strip_prefix('<')?.split('>').next()?;
        Some(Self { uri: uri.into(), to: field(answer, "To: ")?.into() })
    }
}

impl Bench {
    fn read() -> Option<Self> {
        let words: Vec<String> = std::env::args().skip(1).collect();
        let (server, local) = (words.first()?.parse::<SocketAddr>().ok()?, words.get(1)?.parse().ok()?);
        let number = |at: usize| words.get(at).and_then(|word| word.parse::<usize>().ok());
        let socket = UdpSocket::bind::<SocketAddr>(local).ok()?;
        socket.connect(server).ok()?;
        Some(Self {
            socket,
            local,
            users: number(2).filter(|users| *users > 1)?,
            watchers: number(3)?,
            rounds: number(4)?,
            server_pid: number(5).map(|pid| pid as u32),
            number: 0,
            marker: String::new(),
            heard: HashSet::new(),
            first_at: None,
            last_at: None,
            notified: HashSet::new(),
        })
    }

    fn run(&mut self) -> io::Result<()> {
        let (mut etag, _) = self.publish(Some("before the first"), None)?;
        let mut dialogs = Vec::new();
        for watcher in 0..self.watchers {
            let answer = self.subscribe(watcher, 3600, None)?;
            dialogs.push(Dialog::begun(&answer).ok_or_else(|| io::Error::other("no dialog"))?);
        }
        let everybody = self.watchers;
        self.listen(Duration::from_secs(10), |it| it.notified.len() == everybody)?;
        for round in 0..self.rounds {
            self.listen(PACE, |_| false)?;
            self.marker = format!("round {round} of many");
            (self.first_at, self.last_at) = (None, None);
            self.heard.clear();
            let marker = self.marker.clone();
            let before_ns = self.server_cpu_ns();
            let (next, (sent_at, answered_at)) = self.publish(Some(&marker), Some(&etag))?;
            etag = next;
            self.listen(Duration::from_secs(10), |it| it.heard.len() == everybody)?;
            let (first, last) = (self.first_at.unwrap_or(sent_at), self.last_at.unwrap_or(sent_at));
            if self.heard.len() < everybody {
                return Err(io::Error::other(format!("only {} of {everybody} heard", self.heard.len())));
            }
            self.listen(Duration::from_millis(200), |_| false)?;
            let cpu_us = self.server_cpu_ns().saturating_sub(before_ns) / 1000;
            let us = |at: Instant| at.saturating_duration_since(sent_at).as_micros();
            println!("{} {} {} {cpu_us}", us(answered_at), us(first), us(last));
        }
        for (watcher, dialog) in dialogs.into_iter().enumerate() {
            self.subscribe(watcher, 0, Some(dialog))?;
        }
        self.publish(None, Some(&etag))?;
        self.listen(Duration::from_millis(500), |_| false)
    }

    /// A PUBLISH of u0, of a document with a note or of none any more: her new entity-tag, when the PUBLISH with
    /// credentials was sent and when that was answered.
    fn publish(&mut self, note: Option<&str>, etag: Option<&str>) -> io::Result<(String, (Instant, Instant))> {
        let known = etag.map(|etag| format!("SIP-If-Match: {etag}\r\n")).unwrap_or_default();
        let (expires_s, body) = note.map_or((0, String::new()), |note| (3600, document(0, PUBLISHER, note)));
        let content_type = if body.is_empty() { "" } else { "Content-Type: application/pidf+xml\r\n" };
        let fields = format!("Event: presence\r\nExpires: {expires_s}\r\n{known}{content_type}");
        let Dialog { uri, to } = Dialog::none();
        let asked = Asked { method: "PUBLISH", user: 0, uri, call: PUBLISHER, to, fields, body };
        let (answer, times) = self.ask(&asked)?;
        let etag = field(&answer, "SIP-ETag: ").ok_or_else(|| io::Error::other("no SIP-ETag"))?;
        Ok((etag.to_string(), times))
    }

    fn subscribe(&mut self, watcher: usize, expires_s: u32, dialog: Option<Dialog>) -> io::Result<String> {
        let Dialog { uri, to } = dialog.unwrap_or_else(Dialog::none);
        let fields = format!(
            "Contact: <sip:w{watcher}@{}>\r\nEvent: presence\r\nAccept: application/pidf+xml\r\nExpires: {expires_s}\r\n",
            self.local
        );
        let user = 1 + watcher % (self.users - 1);
        let asked = Asked { method: "SUBSCRIBE", user, uri, call: watcher, to, fields, body: String::new() };
        Ok(self.ask(&asked)?.0)
    }

    /// Sends a request, with credentials once it is challenged. Its 2xx, when it was sent for the last time, and when it
    /// was answered.
    fn ask(&mut self, asked: &Asked<'_>) -> io::Result<(String, (Instant, Instant))> {
        let mut proof = String::new();
        for _ in 0..2 {
            self.number += 1;
            let request = self.request(asked, &proof);
            let wanted = format!("{} {}", self.number, asked.method);
            let mut sent_at = Instant::now();
            self.socket.send(request.as_bytes())?;
            let mut tries = 0;
            let answer = loop {
                if let Some(answer) = self.receive(RESEND, &wanted)? {
                    break answer;
                }
                tries += 1;
                if tries > 8 {
                    return Err(io::Error::other(format!("no answer to {}", asked.method)));
                }
                sent_at = Instant::now();
                self.socket.send(request.as_bytes())?;
            };
            let answered_at = Instant::now();
            match status(&answer) {
                Some(401 | 407) => {
                    proof = credentials(&answer, asked.user, asked.method, &asked.uri)
                        .ok_or_else(|| io::Error::other("challenged without MD5"))?;
                }
                Some(200..=299) => return Ok((answer, (sent_at, answered_at))),
                status => return Err(io::Error::other(format!("{} was answered {status:?}", asked.method))),
            }
        }
        Err(io::Error::other("challenged twice"))
    }

    fn request(&self, asked: &Asked<'_>, proof: &str) -> String {
        let Asked { method, user, uri, call, to, fields, body } = asked;
        let (local, number, run, len) = (self.local, self.number, std::process::id(), body.len());
        format!(
            "{method} {uri} SIP/2.0\r\nVia: SIP/2.0/UDP {local};rport;branch=z9hG4bK-{run}-{number}\r\n\
             Max-Forwards: 70\r\nFrom: <sip:u{user}@home.test>;tag={run}w{call}\r\nTo: {to}\r\n\
             Call-ID: {call}-{run}@{}\r\nCSeq: {number} {method}\r\n{proof}User-Agent: bench/1\r\n{fields}\
             Content-Length: {len}\r\n\r\n{body}",
            local.ip()
        )
    }

    /// Answers NOTIFYs for so long, or until it is enough.
    fn listen(&mut self, time: Duration, is_enough: impl Fn(&Self) -> bool) -> io::Result<()> {
        let end = Instant::now() + time;
        while !is_enough(self) && Instant::now() < end {
            self.receive(end.saturating_duration_since(Instant::now()).min(Duration::from_millis(20)), "-")?;
        }
        Ok(())
    }

    /// Answers NOTIFYs for so long, or until the answer to the request with this CSeq comes.
    fn receive(&mut self, time: Duration, cseq: &str) -> io::Result<Option<String>> {
        let end = Instant::now() + time;
        let mut buffer = [0; 8192];
        loop {
            let left = end.saturating_duration_since(Instant::now()).max(Duration::from_micros(100));
            self.socket.set_read_timeout(Some(left))?;
            match self.socket.recv(&mut buffer) {
                Ok(len) => {
                    let text = String::from_utf8_lossy(&buffer[..len]);
                    if text.starts_with("NOTIFY ") {
                        self.notified(&text)?;
                        if cseq == "-" {
                            return Ok(None);
                        }
                    } else if field(&text, "CSeq: ") == Some(cseq) && status(&text).is_some_and(|it| it >= 200) {
                        return Ok(Some(text.into_owned()));
                    }
                }
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
                Err(error) => return Err(error),
            }
            if Instant::now() >= end {
                return Ok(None);
            }
        }
    }

    fn notified(&mut self, text: &str) -> io::Result<()> {
        let arrived_at = Instant::now();
        let mut answer = String::from("SIP/2.0 200 OK\r\n");
        for line in text.split("\r\n").take_while(|line| !line.is_empty()) {
            if ["Via: ", "From: ", "To: ", "Call-ID: ", "CSeq: "].iter().any(|name| line.starts_with(name)) {
                answer.push_str(line);
                answer.push_str("\r\n");
            }
        }
        answer.push_str("Content-Length: 0\r\n\r\n");
        self.socket.send(answer.as_bytes())?;
        let call = field(text, "Call-ID: ").and_then(|id| id.split('-').next()?.parse().ok());
        let Some(call) = call else { return Ok(()) };
        self.notified.insert(call);
        if !self.marker.is_empty() && text.contains(&self.marker) && self.heard.insert(call) {
            self.first_at.get_or_insert(arrived_at);
            self.last_at = Some(arrived_at);
        }
        Ok(())
    }

    /// CPU time of the server, its threads and its children.
    fn server_cpu_ns(&self) -> u64 {
        let Some(pid) = self.server_pid else { return 0 };
        let tasks = |pid: u32| fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
        let children = tasks(pid).filter_map(|task| fs::read_to_string(task.path().join("children")).ok());
        let children: Vec<u32> =
            children.flat_map(|it| it.split(' ').filter_map(|pid| pid.parse().ok()).collect::<Vec<_>>()).collect();
        let processes = std::iter::once(pid).chain(children);
        let spent = processes.flat_map(tasks).filter_map(|task| fs::read_to_string(task.path().join("schedstat")).ok());
        spent.filter_map(|it| it.split(' ').next()?.parse::<u64>().ok()).sum()
    }
}

/// The Call-ID of what u0 publishes, and its name in her documents.
const PUBLISHER: usize = 1_000_000;
/// A watcher is told at most once a second.
const PACE: Duration = Duration::from_millis(1_200);
const RESEND: Duration = Duration::from_millis(500);
