//! Texts for people who are not there: so many senders, each a stranger with a socket of its own, who sends the next text
//! when the one before was answered 202. For scripts/bench, because both servers have to meet the same senders, by UDP and
//! by TCP, and because only a 202 counts.
//!
//! Usage: `texts udp|tcp SERVER LOCAL_IP PEOPLE SENDERS COUNT`. The texts are of 100 bytes, for the PEOPLE of home.test
//! (`u0,u1`) in turns by sender; COUNT of them in all. What the server asks a sender itself (a reply for who is away) is answered 200.
//! Prints a line: texts that were kept, seconds from the first to the last answer, the median and the longest time of one
//! in microseconds, requests that were sent again. Fails when a text is answered with anything but 202.

mod fields;

use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream, UdpSocket};
use std::process::ExitCode;
use std::sync::Barrier;
use std::time::{Duration, Instant};

use fields::{field, status};

fn main() -> ExitCode {
    let Some(plan) = Plan::read() else {
        eprintln!("usage: texts udp|tcp SERVER LOCAL_IP PEOPLE SENDERS COUNT");
        return ExitCode::from(2);
    };
    match plan.run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("texts: {error}");
            ExitCode::FAILURE
        }
    }
}

/// What is to be done.
struct Plan {
    is_tcp: bool,
    server: SocketAddr,
    local: IpAddr,
    people: Vec<String>,
    senders: usize,
    count: usize,
}

/// What one sender has seen.
#[derive(Default)]
struct Seen {
    waits: Vec<Duration>,
    resent: usize,
}

impl Plan {
    fn read() -> Option<Self> {
        let words: Vec<String> = std::env::args().skip(1).collect();
        let [transport, server, local, people, senders, count] = &words[..] else { return None };
        Some(Self {
            is_tcp: match transport.as_str() {
                "udp" => false,
                "tcp" => true,
                _ => return None,
            },
            server: server.parse().ok()?,
            local: local.parse().ok()?,
            people: people.split(',').map(String::from).collect(),
            senders: senders.parse().ok().filter(|senders| *senders > 0)?,
            count: count.parse().ok()?,
        })
    }

    fn run(&self) -> io::Result<()> {
        let barrier = Barrier::new(self.senders + 1);
        let (start, outcomes) = std::thread::scope(|scope| {
            let senders = (0..self.senders).map(|number| (number, &barrier));
            let threads: Vec<_> = senders.map(|(number, it)| scope.spawn(move || self.sender(number, it))).collect();
            barrier.wait();
            let start = Instant::now();
            let outcomes: Vec<_> =
                threads.into_iter().map(|thread| thread.join().expect("a sender's thread")).collect();
            (start, outcomes)
        });
        let seconds = start.elapsed().as_secs_f64();
        let (mut waits, mut resent) = (Vec::new(), 0);
        for outcome in outcomes {
            let seen = outcome?;
            waits.extend(seen.waits);
            resent += seen.resent;
        }
        waits.sort();
        let us = |at: usize| waits.get(at).map_or(0, Duration::as_micros);
        println!("{} {seconds:.6} {} {} {resent}", waits.len(), us(waits.len() / 2), us(waits.len().saturating_sub(1)));
        Ok(())
    }

    /// Sends its share, one after the other.
    fn sender(&self, number: usize, barrier: &Barrier) -> io::Result<Seen> {
        let flow = Flow::open(self);
        barrier.wait();
        let (mut flow, mut seen) = (flow?, Seen::default());
        let share = self.count / self.senders + usize::from(number < self.count % self.senders);
        for text in 0..share {
            let request = self.request(number, text, flow.local);
            let (began_at, mut sent_at) = (Instant::now(), Instant::now());
            flow.send(&request)?;
            let call_id = self.call_id(number, text);
            loop {
                match flow.receive()? {
                    Some(message) if field(&message, "Call-ID: ") == Some(&call_id) => match status(&message) {
                        Some(202) => break,
                        Some(100..=199) => {}
                        Some(status) => return Err(io::Error::other(format!("answered {status}"))),
                        None => {}
                    },
                    Some(message) if message.starts_with("MESSAGE ") => flow.send(&answer(&message))?,
                    Some(_) => {}
                    None if self.is_tcp || began_at.elapsed() > PATIENCE => {
                        return Err(io::Error::other("no answer"));
                    }
                    None if sent_at.elapsed() > RESEND => {
                        seen.resent += 1;
                        sent_at = Instant::now();
                        flow.send(&request)?;
                    }
                    None => {}
                }
            }
            seen.waits.push(began_at.elapsed());
        }
        Ok(seen)
    }

    fn call_id(&self, sender: usize, text: usize) -> String {
        format!("{sender}-{text}-{}@{}", std::process::id(), self.local)
    }

    fn request(&self, sender: usize, text: usize, local: SocketAddr) -> String {
        let (person, run) = (&self.people[sender % self.people.len()], std::process::id());
        let (transport, call_id) = (if self.is_tcp { "TCP" } else { "UDP" }, self.call_id(sender, text));
        format!(
            "MESSAGE sip:{person}@home.test SIP/2.0\r\n\
             Via: SIP/2.0/{transport} {local};rport;branch=z9hG4bK-{run}-{sender}-{text}\r\n\
             Max-Forwards: 70\r\n\
             From: \"Sender {sender}\" <sip:s{sender}@elsewhere.test>;tag={run}t{text}\r\n\
             To: <sip:{person}@home.test>\r\n\
             Call-ID: {call_id}\r\n\
             CSeq: 1 MESSAGE\r\n\
             User-Agent: bench/1\r\n\
             Content-Type: text/plain\r\n\
             Content-Length: {TEXT_BYTES}\r\n\r\n\
             {:<TEXT_BYTES$}",
            format!("Text {text} of {sender}, to be read by who comes home.")
        )
    }
}

/// The 200 for a request of the server's.
fn answer(request: &str) -> String {
    let copied = ["Via: ", "From: ", "To: ", "Call-ID: ", "CSeq: "];
    let fields: String = request
        .split("\r\n")
        .take_while(|line| !line.is_empty())
        .filter(|line| copied.iter().any(|name| line.starts_with(name)))
        .map(|line| format!("{line}\r\n"))
        .collect();
    format!("SIP/2.0 200 OK\r\n{fields}Content-Length: 0\r\n\r\n")
}

/// The way to the server.
struct Flow {
    socket: Socket,
    local: SocketAddr,
    /// What came by a stream and is not a whole message yet.
    pending: Vec<u8>,
}

enum Socket {
    Udp(UdpSocket),
    Tcp(TcpStream),
}

impl Flow {
    fn open(plan: &Plan) -> io::Result<Self> {
        let (socket, local) = if plan.is_tcp {
            let stream = TcpStream::connect(plan.server)?;
            stream.set_nodelay(true)?;
            stream.set_read_timeout(Some(PATIENCE))?;
            let local = stream.local_addr()?;
            (Socket::Tcp(stream), local)
        } else {
            let socket = UdpSocket::bind((plan.local, 0))?;
            socket.connect(plan.server)?;
            socket.set_read_timeout(Some(RESEND / 2))?;
            let local = socket.local_addr()?;
            (Socket::Udp(socket), local)
        };
        Ok(Self { socket, local, pending: Vec::new() })
    }

    fn send(&mut self, message: &str) -> io::Result<()> {
        match &mut self.socket {
            Socket::Udp(socket) => socket.send(message.as_bytes()).map(drop),
            Socket::Tcp(stream) => stream.write_all(message.as_bytes()),
        }
    }

    /// The next message; `None`: nothing has come for a while.
    fn receive(&mut self) -> io::Result<Option<String>> {
        let mut buffer = [0; 8192];
        loop {
            if let Some(message) = self.whole() {
                return Ok(Some(message));
            }
            let read = match &mut self.socket {
                Socket::Udp(socket) => socket.recv(&mut buffer),
                Socket::Tcp(stream) => stream.read(&mut buffer),
            };
            match read {
                Ok(0) if matches!(self.socket, Socket::Tcp(_)) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(len) if matches!(self.socket, Socket::Udp(_)) => {
                    return Ok(Some(String::from_utf8_lossy(&buffer[..len]).into_owned()));
                }
                Ok(len) => self.pending.extend_from_slice(&buffer[..len]),
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => return Ok(None),
                Err(error) => return Err(error),
            }
        }
    }

    /// The first message that came by a stream, if all of it is there.
    fn whole(&mut self) -> Option<String> {
        let head = self.pending.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
        let text = String::from_utf8_lossy(&self.pending[..head]).into_owned();
        let len = field(&text, "Content-Length: ").and_then(|len| len.trim().parse::<usize>().ok()).unwrap_or(0);
        if self.pending.len() < head + len {
            return None;
        }
        Some(String::from_utf8_lossy(&self.pending.drain(..head + len).collect::<Vec<u8>>()).into_owned())
    }
}

const TEXT_BYTES: usize = 100;
const RESEND: Duration = Duration::from_millis(500);
const PATIENCE: Duration = Duration::from_secs(30);
