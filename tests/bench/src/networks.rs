//! Accounts on XMPP, seen from the network: the users u0, u1 .. of jabber.test are clients of a server of XMPP through the
//! program that is measured, pcsd or bitlbee, and b0, b1 .. there are their buddies. For scripts/bench.
//!
//! Usage:
//!
//! * `networks crowd SERVER FIRST COUNT`: COUNT buddies from FIRST on log in and stay. Prints `online` when all are.
//! * `networks talk SERVER PROGRAM PEER LOCAL ACCOUNTS TEXTS`: b0 logs in; PROGRAM at PEER is `pcsd`, for which a phone
//!   of u0 registers from LOCAL, or `bitlbee`, for which ACCOUNTS users come, each with its account. Each phase ends with its
//!   name in a line, and the next one begins with a line that is read: `ready` (accounts are not on yet; pcsd may be
//!   started now), `online` (b0 sees all of them, and nothing happened for 3 s), `in` (TEXTS texts have come from b0 to
//!   u0), `out` (as many the other way). Fails when a text is lost or comes twice.
//! * `networks options SERVER LOCAL SECONDS`: OPTIONS to a server of SIP, the next when one was answered and 0.5 ms
//!   later. Prints the median of the times to the answers, that which 1 % exceed, and the longest, in microseconds.
//!
//! SERVER speaks XMPP in the clear to the buddies. All passwords are `secret`.

// Nothing is published here.
#[allow(dead_code)]
mod digest;
mod fields;

use std::collections::HashSet;
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::process::ExitCode;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use digest::credentials;
use fields::{field, status};

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let Some(result) = run(&words.iter().map(String::as_str).collect::<Vec<_>>()) else {
        eprintln!(
            "usage: networks crowd SERVER FIRST COUNT\n       networks talk SERVER pcsd|bitlbee PEER LOCAL ACCOUNTS TEXTS\n\
             \x20      networks options SERVER LOCAL SECONDS"
        );
        return ExitCode::from(2);
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("networks: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(words: &[&str]) -> Option<io::Result<()>> {
    match *words {
        ["crowd", server, first, count] => Some(crowd(server.parse().ok()?, first.parse().ok()?, count.parse().ok()?)),
        ["talk", server, program, peer, local, accounts, texts] => {
            let (server, peer, local) = (server.parse().ok()?, peer.parse().ok()?, local.parse().ok()?);
            let (accounts, texts) = (accounts.parse().ok()?, texts.parse().ok()?);
            match program {
                "pcsd" => Some(Phone::bind(peer, local).and_then(|near| talk(server, near, accounts, texts))),
                "bitlbee" => {
                    Some(Irc::connect_all(peer, server, accounts).and_then(|near| talk(server, near, accounts, texts)))
                }
                _ => None,
            }
        }
        ["options", server, local, seconds] => {
            Some(options(server.parse().ok()?, local.parse().ok()?, seconds.parse().ok()?))
        }
        _ => None,
    }
}

/// Something that has come in.
enum Event {
    /// A user of jabber.test is there.
    There(usize),
    /// A text for b0, or for u0.
    Text(String),
    /// A line from the server of IRC, with the number of the connection; a datagram.
    Line(usize, String),
}

/// The buddies that are just there.
fn crowd(server: SocketAddr, first: usize, count: usize) -> io::Result<()> {
    let (events, heard) = channel();
    let _buddies =
        (first..first + count).map(|user| Jabber::login(server, user, &events)).collect::<io::Result<Vec<_>>>()?;
    println!("online");
    // Until this program is ended.
    while heard.recv().is_ok() {}
    Ok(())
}

/// What u0 writes and is written to with, on the far side of the program that is measured.
trait Near {
    /// The accounts are told to log in.
    fn begin(&mut self, heard: &Receiver<Event>) -> io::Result<()>;
    /// What has come in; of a text for u0 what it says.
    fn take(&mut self, line: usize, text: String) -> io::Result<Option<String>>;
    /// Sends a text to b0.
    fn send(&mut self, number: usize, text: &str) -> io::Result<()>;
    /// Hands all that comes in to the channel.
    fn listen(&self, events: &Sender<Event>) -> io::Result<()>;
    /// Whether all that was sent was confirmed, where this is done at all.
    fn is_confirmed(&self) -> bool;
}

fn talk<N: Near>(server: SocketAddr, mut near: N, accounts: usize, texts: usize) -> io::Result<()> {
    let (events, heard) = channel();
    near.listen(&events)?;
    near.begin(&heard)?;
    let mut buddy = Jabber::login(server, 0, &events)?;
    let mut missing: HashSet<usize> = (0..accounts).collect();
    let mut last = Instant::now();
    while !missing.is_empty() || last.elapsed() < QUIET {
        match heard.recv_timeout(Duration::from_millis(100)) {
            Ok(Event::There(user)) => {
                missing.remove(&user);
                last = Instant::now();
            }
            Ok(Event::Line(line, text)) => drop(near.take(line, text)?),
            Ok(Event::Text(_)) => {}
            Err(_) if !missing.is_empty() && last.elapsed() > PATIENCE => {
                return Err(io::Error::other(format!("{} accounts do not come on: {missing:?}", missing.len())));
            }
            Err(_) => {}
        }
    }
    phase("online")?;
    exchange(texts, &heard, &mut near, |_, number, text| buddy.write(number, text))?;
    phase("in")?;
    exchange(texts, &heard, &mut near, |near, number, text| near.send(number, text))?;
    let end = Instant::now() + PATIENCE;
    while !near.is_confirmed() {
        if let Event::Line(line, text) = next(&heard, end)? {
            near.take(line, text)?;
        }
    }
    phase("out")
}

/// So many texts, some of them under way at once, until each has come once.
fn exchange<N: Near>(
    texts: usize,
    heard: &Receiver<Event>,
    near: &mut N,
    mut send: impl FnMut(&mut N, usize, &str) -> io::Result<()>,
) -> io::Result<()> {
    let (mut sent, mut came) = (0, HashSet::new());
    while came.len() < texts {
        while sent < texts && sent - came.len() < WINDOW {
            send(near, sent, &format!("This is text {sent} of a talk."))?;
            sent += 1;
        }
        let text = match next(heard, Instant::now() + PATIENCE)? {
            Event::Text(text) => text,
            Event::Line(line, text) => match near.take(line, text)? {
                Some(text) => text,
                None => continue,
            },
            Event::There(_) => continue,
        };
        let number = text.strip_prefix("This is text ").and_then(|rest| rest.split(' ').next()?.parse::<usize>().ok());
        let Some(number) = number else { continue };
        if !came.insert(number) {
            return Err(io::Error::other(format!("text {number} has come twice")));
        }
    }
    Ok(())
}

fn next(heard: &Receiver<Event>, end: Instant) -> io::Result<Event> {
    heard.recv_timeout(end.saturating_duration_since(Instant::now())).map_err(|error| match error {
        RecvTimeoutError::Timeout => io::Error::new(ErrorKind::TimedOut, "nothing comes any more"),
        RecvTimeoutError::Disconnected => io::Error::other("the connections are gone"),
    })
}

/// Says that a phase has ended, and waits until the next one may begin.
fn phase(name: &str) -> io::Result<()> {
    println!("{name}");
    match io::stdin().lock().read_line(&mut String::new())? {
        0 => Err(io::Error::other("nobody says that it goes on")),
        _ => Ok(()),
    }
}

// --- XMPP ---

/// A buddy at the server.
struct Jabber(TcpStream);

impl Jabber {
    /// Logs in and is there. What comes in is handed to the channel.
    fn login(server: SocketAddr, user: usize, events: &Sender<Event>) -> io::Result<Self> {
        let mut stream = TcpStream::connect(server)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let mut waiting = String::new();
        let open = "<?xml version='1.0'?><stream:stream to='jabber.test' version='1.0' xmlns='jabber:client' \
                    xmlns:stream='http://etherx.jabber.org/streams'>";
        stream.write_all(open.as_bytes())?;
        await_text(&mut stream, &mut waiting, "</stream:features>")?;
        let secret = base64(format!("\0b{user}\0secret").as_bytes());
        let auth = format!("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>{secret}</auth>");
        stream.write_all(auth.as_bytes())?;
        await_text(&mut stream, &mut waiting, "<success")?;
        stream.write_all(open.as_bytes())?;
        await_text(&mut stream, &mut waiting, "</stream:features>")?;
        stream.write_all(
            b"<iq type='set' id='bind'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>desk</resource></bind></iq>",
        )?;
        await_text(&mut stream, &mut waiting, "</iq>")?;
        stream.write_all(format!("<presence><status>desk of b{user}</status></presence>").as_bytes())?;
        stream.set_read_timeout(None)?;
        let (mut reader, events) = (stream.try_clone()?, events.clone());
        thread::spawn(
            move || {
                while read_stanzas(&mut waiting, &events) && read_more(&mut reader, &mut waiting).is_ok() {}
            },
        );
        Ok(Self(stream))
    }

    /// Writes to u0.
    fn write(&mut self, number: usize, text: &str) -> io::Result<()> {
        let id = std::process::id();
        self.0.write_all(
            format!("<message to='u0@jabber.test' type='chat' id='m{id}-{number}'><body>{text}</body></message>")
                .as_bytes(),
        )
    }
}

fn await_text(stream: &mut TcpStream, waiting: &mut String, text: &str) -> io::Result<()> {
    loop {
        if let Some(at) = waiting.find(text) {
            waiting.drain(..at + text.len());
            return Ok(());
        }
        read_more(stream, waiting)?;
    }
}

/// The server says nothing here that is not ASCII.
fn read_more(stream: &mut TcpStream, waiting: &mut String) -> io::Result<()> {
    let mut buffer = [0; 4096];
    match stream.read(&mut buffer)? {
        0 => Err(ErrorKind::UnexpectedEof.into()),
        len => {
            waiting.push_str(&String::from_utf8_lossy(&buffer[..len]));
            Ok(())
        }
    }
}

/// Takes what is whole; false when nobody listens any more.
fn read_stanzas(waiting: &mut String, events: &Sender<Event>) -> bool {
    loop {
        let begins = ["<presence", "<message"].into_iter().filter_map(|name| Some((waiting.find(name)?, name)));
        let Some((at, name)) = begins.min() else { return true };
        let Some(tag) = waiting[at..].find('>').map(|len| waiting[at..=at + len].replace('"', "'")) else {
            return true;
        };
        let end = match tag.ends_with("/>") {
            true => at + tag.len(),
            false => {
                let close = format!("</{}>", &name[1..]);
                let Some(len) = waiting[at..].find(&close) else { return true };
                at + len + close.len()
            }
        };
        let event = match name {
            "<presence" if !tag.contains("type=") => user_in(&tag).map(Event::There),
            "<message" => between(&waiting[at..end], "<body>", "</body>").map(|text| Event::Text(text.into())),
            _ => None,
        };
        waiting.drain(..end);
        if event.is_some_and(|event| events.send(event).is_err()) {
            return false;
        }
    }
}

fn user_in(tag: &str) -> Option<usize> {
    between(tag, "from='u", "@")?.parse().ok()
}

fn between<'a>(text: &'a str, begin: &str, end: &str) -> Option<&'a str> {
    Some(text.split_once(begin)?.1.split_once(end)?.0)
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for group in bytes.chunks(3) {
        let bits = (0..3).fold(0, |bits, at| bits << 8 | u32::from(group.get(at).copied().unwrap_or(0)));
        for at in 0..4 {
            let digit = DIGITS[(bits >> (18 - 6 * at) & 63) as usize];
            text.push(if at <= group.len() { digit.into() } else { '=' });
        }
    }
    text
}

// --- SIP ---

/// A phone of u0.
struct Phone {
    socket: UdpSocket,
    local: SocketAddr,
    /// Texts that were not confirmed yet.
    open: usize,
}

impl Phone {
    fn bind(server: SocketAddr, local: SocketAddr) -> io::Result<Self> {
        let socket = UdpSocket::bind(local)?;
        socket.connect(server)?;
        Ok(Self { socket, local, open: 0 })
    }

    fn say(&self, method: &str, uri: &str, name: &str, proof: &str, rest: &str) -> io::Result<()> {
        let (local, run, cseq) = (self.local, std::process::id(), if proof.is_empty() { 1 } else { 2 });
        let to = if method == "REGISTER" { "sip:u0@home.test" } else { uri };
        let request = format!(
            "{method} {uri} SIP/2.0\r\nVia: SIP/2.0/UDP {local};rport;branch=z9hG4bK{run}-{name}-{cseq}\r\nMax-Forwards: 70\r\n\
             From: <sip:u0@home.test>;tag={run}{name}\r\nTo: <{to}>\r\nCall-ID: {name}-{run}@{}\r\nCSeq: {cseq} {method}\r\n\
             {proof}{rest}",
            local.ip()
        );
        self.socket.send(request.as_bytes()).map(drop)
    }

    fn answer(&self, request: &str) -> io::Result<()> {
        let copied = ["Via: ", "From: ", "Call-ID: ", "CSeq: "];
        let mut answer = String::from("SIP/2.0 200 OK\r\n");
        let head = request.split("\r\n\r\n").next().unwrap_or_default();
        for line in head.split("\r\n") {
            if copied.iter().any(|name| line.starts_with(name)) {
                answer += &format!("{line}\r\n");
            } else if line.starts_with("To: ") {
                answer += &format!("{line}{}\r\n", if line.contains(";tag=") { "" } else { ";tag=phone" });
            }
        }
        self.socket.send((answer + "Content-Length: 0\r\n\r\n").as_bytes()).map(drop)
    }

    fn message(&self, number: usize, text: &str, proof: &str) -> io::Result<()> {
        let rest = format!("Content-Type: text/plain\r\nContent-Length: {}\r\n\r\n{text}", text.len());
        self.say("MESSAGE", BUDDY, &format!("text{number}"), proof, &rest)
    }

    fn register(&self, proof: &str) -> io::Result<()> {
        let rest = format!("Contact: <sip:u0@{}>\r\nExpires: 3600\r\nContent-Length: 0\r\n\r\n", self.local);
        self.say("REGISTER", "sip:home.test", "register", proof, &rest)
    }
}

impl Near for Phone {
    fn begin(&mut self, heard: &Receiver<Event>) -> io::Result<()> {
        phase("ready")?;
        self.register("")?;
        loop {
            let Event::Line(_, text) = next(heard, Instant::now() + PATIENCE)? else { continue };
            match status(&text) {
                Some(401 | 407) => {
                    let proof = credentials(&text, 0, "REGISTER", "sip:home.test").ok_or_else(no_md5)?;
                    self.register(&proof)?;
                }
                Some(200) => return Ok(()),
                Some(status) => return Err(io::Error::other(format!("REGISTER is answered {status}"))),
                None => self.answer(&text)?,
            }
        }
    }

    fn take(&mut self, _: usize, text: String) -> io::Result<Option<String>> {
        let Some(status) = status(&text) else {
            self.answer(&text)?;
            let body = text.split_once("\r\n\r\n").map_or("", |(_, body)| body);
            return Ok(text.starts_with("MESSAGE ").then(|| body.into()));
        };
        if !field(&text, "CSeq: ").is_some_and(|cseq| cseq.ends_with("MESSAGE")) {
            return Ok(None);
        }
        match status {
            401 | 407 => {
                let number = field(&text, "Call-ID: text").and_then(|id| id.split('-').next()?.parse::<usize>().ok());
                let number = number.ok_or_else(|| io::Error::other("an answer to nothing that was sent"))?;
                let proof = credentials(&text, 0, "MESSAGE", BUDDY).ok_or_else(no_md5)?;
                self.message(number, &format!("This is text {number} of a talk."), &proof)?;
            }
            100..200 => {}
            200 | 202 => self.open -= 1,
            status => return Err(io::Error::other(format!("a text is answered {status}"))),
        }
        Ok(None)
    }

    fn send(&mut self, number: usize, text: &str) -> io::Result<()> {
        self.open += 1;
        self.message(number, text, "")
    }

    fn listen(&self, events: &Sender<Event>) -> io::Result<()> {
        let (socket, events) = (self.socket.try_clone()?, events.clone());
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            loop {
                // Until the server is there, the machine says that the port is closed.
                let Ok(len) = socket.recv(&mut buffer) else { continue };
                let text = String::from_utf8_lossy(&buffer[..len]).into_owned();
                if events.send(Event::Line(0, text)).is_err() {
                    return;
                }
            }
        });
        Ok(())
    }

    fn is_confirmed(&self) -> bool {
        self.open == 0
    }
}

/// What the home answers, again and again.
fn options(server: SocketAddr, local: SocketAddr, seconds: u64) -> io::Result<()> {
    let phone = Phone::bind(server, local)?;
    phone.socket.set_read_timeout(Some(PATIENCE))?;
    let end = Instant::now() + Duration::from_secs(seconds);
    let (mut times, mut buffer) = (Vec::new(), [0; 4096]);
    while Instant::now() < end {
        let sent = Instant::now();
        phone.say("OPTIONS", "sip:home.test", &format!("options{}", times.len()), "", "Content-Length: 0\r\n\r\n")?;
        let len = phone.socket.recv(&mut buffer)?;
        if !buffer[..len].starts_with(b"SIP/2.0 200 ") {
            return Err(io::Error::other(format!("OPTIONS: {}", String::from_utf8_lossy(&buffer[..len]))));
        }
        times.push(sent.elapsed().as_micros());
        thread::sleep(Duration::from_micros(500));
    }
    times.sort_unstable();
    println!("{} {} {}", times[times.len() / 2], times[times.len() * 99 / 100], times[times.len() - 1]);
    Ok(())
}

fn no_md5() -> io::Error {
    io::Error::other("challenged without MD5")
}

// --- IRC ---

/// The users of bitlbee; the first of them is u0.
struct Irc(Vec<TcpStream>);

impl Irc {
    /// All of them, with their accounts, which are off.
    fn connect_all(bitlbee: SocketAddr, server: SocketAddr, count: usize) -> io::Result<Self> {
        (0..count).map(|user| Self::connect(bitlbee, server, user)).collect::<io::Result<_>>().map(Self)
    }

    fn connect(bitlbee: SocketAddr, server: SocketAddr, user: usize) -> io::Result<TcpStream> {
        let mut stream = TcpStream::connect(bitlbee)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let mut waiting = String::new();
        stream.write_all(format!("NICK u{user}\r\nUSER u{user} 0 * :u{user}\r\n").as_bytes())?;
        await_text(&mut stream, &mut waiting, "JOIN ")?;
        let orders = [
            ("register secret".into(), "Account successfully created"),
            (format!("account add jabber u{user}@jabber.test secret"), "successfully added"),
            (format!("account jabber set server {}", server.ip()), "server = "),
            (format!("account jabber set port {}", server.port()), "port = "),
            ("account jabber set tls true".into(), "tls = "),
        ];
        for (order, answer) in orders {
            stream.write_all(format!("PRIVMSG &bitlbee :{order}\r\n").as_bytes())?;
            await_text(&mut stream, &mut waiting, answer)
                .map_err(|error| io::Error::other(format!("{order}: {error}: {waiting}")))?;
        }
        stream.set_read_timeout(None)?;
        Ok(stream)
    }
}

impl Near for Irc {
    fn begin(&mut self, _: &Receiver<Event>) -> io::Result<()> {
        phase("ready")?;
        self.0.iter_mut().try_for_each(|stream| stream.write_all(b"PRIVMSG &bitlbee :account jabber on\r\n"))
    }

    fn take(&mut self, line: usize, text: String) -> io::Result<Option<String>> {
        if let Some(word) = text.strip_prefix("PING ") {
            self.0[line].write_all(format!("PONG {word}\r\n").as_bytes())?;
        }
        let is_text = line == 0 && text.starts_with(":b0!") && text.contains(" PRIVMSG ");
        Ok(is_text.then(|| text.split_once(" :").map_or("", |(_, text)| text).into()))
    }

    fn send(&mut self, _: usize, text: &str) -> io::Result<()> {
        self.0[0].write_all(format!("PRIVMSG b0 :{text}\r\n").as_bytes())
    }

    fn listen(&self, events: &Sender<Event>) -> io::Result<()> {
        for (at, stream) in self.0.iter().enumerate() {
            let (reader, events) = (BufReader::new(stream.try_clone()?), events.clone());
            thread::spawn(move || {
                let lines = reader.lines().map_while(Result::ok);
                { lines }.all(|line| events.send(Event::Line(at, line)).is_ok());
            });
        }
        Ok(())
    }

    fn is_confirmed(&self) -> bool {
        true
    }
}

/// u0 has this account at the network, and b0 is there.
const BUDDY: &str = "sip:b0%40jabber.test@xmpp.home.test";
/// Texts under way at once.
const WINDOW: usize = 8;
const QUIET: Duration = Duration::from_secs(3);
const PATIENCE: Duration = Duration::from_secs(60);
