//! Callers whom the answering machine takes: so many at once, each a stranger with A-law and an RTP socket of its own, who
//! hears the greeting out and then talks. For scripts/bench.
//!
//! Usage: `callers SERVER LOCAL PEOPLE CALLS SECONDS COMMAND`. The calls are for the PEOPLE of home.test (`u0,u1`), who have no
//! device, in turns.
//! COMMAND is run by a shell with `$1` the name of what begins or ends now, while the calls go on: `greeting` (all are
//! answered and the greeting is being said), `greeted` (1 s later), `recording` (all have talked for 2 s), `recorded`
//! (SECONDS later; all of them still talk). Prints two lines: `sent N`, packets of the greeting that came between the ends
//! of the commands `greeting` and `greeted`; and `recorded N`, packets of sound that were sent between those of
//! `recording` and `recorded`. Hangs up in the end. Fails when a call is not answered or its caller hears nothing.

mod fields;

use std::io::{self, ErrorKind};
use std::net::{SocketAddr, UdpSocket};
use std::process::{Child, Command, ExitCode};
use std::time::{Duration, Instant};

use fields::{field, status};

fn main() -> ExitCode {
    let Some(mut bench) = Bench::read() else {
        eprintln!("usage: callers SERVER LOCAL PEOPLE CALLS SECONDS COMMAND");
        return ExitCode::from(2);
    };
    match bench.run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("callers: {error}");
            ExitCode::FAILURE
        }
    }
}

struct Bench {
    socket: UdpSocket,
    local: SocketAddr,
    server: SocketAddr,
    people: Vec<String>,
    calls: usize,
    seconds: u64,
    command: String,
}

struct Call {
    media: UdpSocket,
    call_id: String,
    number: usize,
    /// Where requests in the call go, and To with the tag.
    target: String,
    to: String,
    sequence: u16,
    timestamp: u32,
    heard: usize,
}

impl Bench {
    fn read() -> Option<Self> {
        let words: Vec<String> = std::env::args().skip(1).collect();
        let [server, local, people, calls, seconds, command] = &words[..] else { return None };
        let local: SocketAddr = local.parse().ok()?;
        let socket = UdpSocket::bind(local).ok()?;
        socket.set_read_timeout(Some(Duration::from_millis(500))).ok()?;
        Some(Self {
            socket,
            local,
            server: server.parse().ok()?,
            people: people.split(',').map(String::from).collect(),
            calls: calls.parse().ok()?,
            seconds: seconds.parse().ok()?,
            command: command.clone(),
        })
    }

    fn run(&mut self) -> io::Result<()> {
        let mut calls = (0..self.calls).map(|number| self.call(number)).collect::<io::Result<Vec<_>>>()?;
        // All of them are answered, and the first one is being greeted since moments.
        let sent = self.between(&mut calls, ["greeting", "greeted"], GREETED, Doing::Listening)?;
        println!("sent {}", sent.heard);
        self.hear_out(&mut calls)?;
        if calls.iter().any(|call| call.heard == 0) {
            return Err(io::Error::other("a caller has heard nothing"));
        }
        pace(&mut calls, TALKED, Doing::Talking, || Ok(false))?;
        let spoken = Duration::from_secs(self.seconds);
        let sent = self.between(&mut calls, ["recording", "recorded"], spoken, Doing::Talking)?;
        println!("recorded {}", sent.said);
        calls.into_iter().try_for_each(|call| self.hang_up(&call))
    }

    /// Runs one command, goes on for a while, and runs the other; what was said and heard from the end of the one to that
    /// of the other.
    fn between(&self, calls: &mut [Call], names: [&str; 2], lasting: Duration, doing: Doing) -> io::Result<Tally> {
        let mut tally = Tally::default();
        for (at, name) in names.into_iter().enumerate() {
            let mut child = self.start(name)?;
            let told = pace(calls, PATIENCE, doing, || match child.try_wait()? {
                Some(status) if !status.success() => Err(io::Error::other(format!("the command for {name} failed"))),
                ended => Ok(ended.is_some()),
            })?;
            if at == 0 {
                tally = pace(calls, lasting, doing, || Ok(false))?;
            } else {
                tally = Tally { said: tally.said + told.said, heard: tally.heard + told.heard };
            }
        }
        Ok(tally)
    }

    fn start(&self, name: &str) -> io::Result<Child> {
        Command::new("sh").args(["-c", &self.command, "sh", name]).stdout(io::stderr()).spawn()
    }

    /// Waits until nobody hears anything any more.
    fn hear_out(&self, calls: &mut [Call]) -> io::Result<()> {
        let end = Instant::now() + PATIENCE;
        while pace(calls, QUIET, Doing::Listening, || Ok(false))?.heard > 0 {
            if Instant::now() > end {
                return Err(io::Error::other("the greeting does not end"));
            }
        }
        Ok(())
    }

    fn call(&self, number: usize) -> io::Result<Call> {
        let media = UdpSocket::bind((self.local.ip(), 0))?;
        media.set_nonblocking(true)?;
        let person = &self.people[number % self.people.len()];
        let mut call = Call {
            call_id: format!("{number}-{}@{}", std::process::id(), self.local.ip()),
            number,
            target: format!("sip:{person}@home.test"),
            to: format!("<sip:{person}@home.test>"),
            sequence: 100,
            timestamp: 0,
            heard: 0,
            media,
        };
        let answer = self.ask("INVITE", 1, &call, &self.offer(&call.media)?)?;
        let contact = field(&answer, "Contact: ").and_then(|it| it.strip_prefix('<')?.split('>').next());
        let (target, to) = (contact.unwrap_or(&call.target).to_string(), field(&answer, "To: ").unwrap_or_default());
        (call.to, call.target) = (to.to_string(), target);
        let port = field(&answer, "m=audio ").and_then(|line| line.split(' ').next()?.parse::<u16>().ok());
        call.media.connect((self.server.ip(), port.ok_or_else(|| io::Error::other("no port for audio"))?))?;
        let ack = self.request("ACK", 1, &call, "");
        self.socket.send_to(ack.as_bytes(), self.server)?;
        Ok(call)
    }

    fn hang_up(&self, call: &Call) -> io::Result<()> {
        self.ask("BYE", 2, call, "").map(drop)
    }

    /// Sends a request until it is answered 200.
    fn ask(&self, method: &str, cseq: u32, call: &Call, body: &str) -> io::Result<String> {
        let request = self.request(method, cseq, call, body);
        let mut buffer = [0; 4096];
        for _ in 0..TRIES {
            self.socket.send_to(request.as_bytes(), self.server)?;
            loop {
                let len = match self.socket.recv(&mut buffer) {
                    Ok(len) => len,
                    Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => break,
                    Err(error) => return Err(error),
                };
                let text = String::from_utf8_lossy(&buffer[..len]);
                let cseq = format!("{cseq} {method}");
                if field(&text, "Call-ID: ") != Some(&call.call_id) || field(&text, "CSeq: ") != Some(&cseq) {
                    continue;
                }
                match status(&text) {
                    Some(200) => return Ok(text.into_owned()),
                    Some(status) if status > 200 => return Err(io::Error::other(format!("{method}: {status}"))),
                    _ => {}
                }
            }
        }
        Err(io::Error::other(format!("{method}: no answer")))
    }

    fn request(&self, method: &str, cseq: u32, call: &Call, body: &str) -> String {
        let (local, run, number) = (self.local, std::process::id(), call.number);
        let content_type = if body.is_empty() { "" } else { "Content-Type: application/sdp\r\n" };
        format!(
            "{method} {} SIP/2.0\r\n\
             Via: SIP/2.0/UDP {local};rport;branch=z9hG4bK-{run}-{number}-{cseq}{method}\r\n\
             Max-Forwards: 70\r\n\
             From: <sip:c{number}@elsewhere.test>;tag={run}c{number}\r\n\
             To: {}\r\n\
             Call-ID: {}\r\n\
             CSeq: {cseq} {method}\r\n\
             Contact: <sip:c{number}@{local}>\r\n\
             User-Agent: bench/1\r\n\
             {content_type}Content-Length: {}\r\n\r\n{body}",
            call.target,
            call.to,
            call.call_id,
            body.len()
        )
    }

    fn offer(&self, media: &UdpSocket) -> io::Result<String> {
        let (ip, port) = (self.local.ip(), media.local_addr()?.port());
        Ok(format!(
            "v=0\r\no=- 1 1 IN IP4 {ip}\r\ns=-\r\nc=IN IP4 {ip}\r\nt=0 0\r\nm=audio {port} RTP/AVP 8 101\r\n\
             a=rtpmap:8 PCMA/8000\r\na=rtpmap:101 telephone-event/8000\r\na=ptime:20\r\n"
        ))
    }
}

/// What callers do.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Doing {
    Listening,
    Talking,
}

/// Packets of all calls.
#[derive(Clone, Copy, Default)]
struct Tally {
    said: usize,
    heard: usize,
}

/// Goes on with all calls for so long, or until `is_over`; what was said and heard.
fn pace(
    calls: &mut [Call],
    lasting: Duration,
    doing: Doing,
    mut is_over: impl FnMut() -> io::Result<bool>,
) -> io::Result<Tally> {
    let start = Instant::now();
    let (mut tally, mut due) = (Tally::default(), start);
    while start.elapsed() < lasting && !is_over()? {
        for call in calls.iter_mut() {
            if doing == Doing::Talking {
                call.say()?;
                tally.said += 1;
            }
            tally.heard += call.hear()?;
        }
        due += PACKET;
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
    }
    Ok(tally)
}

impl Call {
    /// 20 ms of a tone, which is not silence.
    fn say(&mut self) -> io::Result<()> {
        let mut packet = [0; 12 + PAYLOAD_BYTES];
        // The first one begins the stream.
        packet[..2].copy_from_slice(&[0x80, if self.timestamp == 0 { 0x88 } else { 8 }]);
        packet[2..4].copy_from_slice(&self.sequence.to_be_bytes());
        packet[4..8].copy_from_slice(&self.timestamp.to_be_bytes());
        packet[8..12].copy_from_slice(&(0xb000_0000 + self.number as u32).to_be_bytes());
        let tone = [0xd5, 0xb4, 0xa8, 0xb4, 0xd5, 0x34, 0x28, 0x34];
        packet[12..].iter_mut().zip(tone.iter().cycle()).for_each(|(place, sample)| *place = *sample);
        self.sequence = self.sequence.wrapping_add(1);
        self.timestamp = self.timestamp.wrapping_add(PAYLOAD_BYTES as u32);
        self.media.send(&packet).map(drop)
    }

    /// Packets of sound that have come.
    fn hear(&mut self) -> io::Result<usize> {
        let (mut packet, mut heard) = ([0; 1500], 0);
        loop {
            match self.media.recv(&mut packet) {
                Ok(len) if len > 12 && packet[0] >> 6 == 2 && packet[1] & 0x7f == 8 => heard += 1,
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        self.heard += heard;
        Ok(heard)
    }
}

const PACKET: Duration = Duration::from_millis(20);
/// 20 ms of A-law.
const PAYLOAD_BYTES: usize = 160;
/// How long the greeting is measured: it lasts longer.
const GREETED: Duration = Duration::from_secs(1);
/// Longer than this nothing is said only when the greeting and the beep are over.
const QUIET: Duration = Duration::from_millis(700);
/// How long callers talk before it is measured: the first pieces have reached the disk.
const TALKED: Duration = Duration::from_secs(2);
const PATIENCE: Duration = Duration::from_secs(60);
const TRIES: usize = 20;
