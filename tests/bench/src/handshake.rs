//! What a TLS handshake costs each end: full and resumed, TLS 1.3.
//!
//! Usage: `handshake` prints microseconds of CPU for each end and step, and the memory of a hundred sessions;
//! `handshake --once full|resumed N` makes N handshakes, after one that is not counted when they are to be resumed, and
//! prints nothing, for a tool that counts instructions.

use pcsd::runtime::tls::keys::Keys;
use pcsd::runtime::tls::session::{Progress, Pulled, Session};
use pcsd::runtime::tls::verify::{Expected, Roots, Trust};
use pcsd::runtime::tls::{Endpoint, keys::pin_text};
use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};
use std::process::ExitCode;
use std::time::{Duration, Instant};

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let mut bench = Bench::new();
    match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => bench.print(),
        ["--once", kind @ ("full" | "resumed"), times] => {
            let Ok(times) = times.parse() else { return usage() };
            bench.run(kind == "resumed", times);
        }
        _ => return usage(),
    }
    ExitCode::SUCCESS
}

fn usage() -> ExitCode {
    eprintln!("usage: handshake [--once full|resumed N]");
    ExitCode::from(2)
}

struct Bench {
    client: Endpoint,
    server: Endpoint,
    expected: Expected,
}

/// What each end spent.
#[derive(Default)]
struct Spent {
    client: Duration,
    server: Duration,
    server_longest: Duration,
}

impl Bench {
    fn new() -> Self {
        let endpoint = || {
            let folder = std::env::temp_dir().join(format!("pcsd-handshake-{}", std::process::id()));
            std::fs::create_dir_all(&folder).expect("a temporary folder");
            let keys = Keys::own(&folder, &["home.example"]).expect("keys");
            std::fs::remove_dir_all(&folder).expect("the folder is ours");
            Endpoint::new(keys, Trust { roots: Roots::System, peers: Vec::new() }).expect("an endpoint")
        };
        let (client, server) = (endpoint(), endpoint());
        let pins = vec![*server.pin()];
        let expected = Expected { domain: "home.example".into(), is_account: false, pins, roots: Roots::System };
        Self { client, server, expected }
    }

    fn run(&mut self, is_resumed: bool, times: u32) -> Spent {
        let mut spent = Spent::default();
        if is_resumed {
            self.shake_hands(&mut Spent::default());
        }
        for _ in 0..times {
            if !is_resumed {
                self.client.forget_sessions();
            }
            let (client, _) = self.shake_hands(&mut spent);
            assert_eq!(client.is_resumed(), is_resumed);
        }
        spent
    }

    fn shake_hands(&mut self, spent: &mut Spent) -> (Session, Session) {
        let (mut up, mut down) = (Pipe::default(), Pipe::default());
        let mut client =
            timed(&mut spent.client, || Session::client(&mut self.client, &self.expected)).expect("a session");
        let mut server = Session::server(&self.server).expect("a session");
        for _ in 0..4 {
            timed(&mut spent.client, || turn(&mut client, &mut down, &mut up));
            let before = spent.server;
            timed(&mut spent.server, || turn(&mut server, &mut up, &mut down));
            spent.server_longest = spent.server_longest.max(spent.server - before);
        }
        assert!(!client.is_handshaking() && !server.is_handshaking());
        (client, server)
    }

    fn print(&mut self) {
        println!("pin of the server: {}", pin_text(self.server.pin()));
        let times = if cfg!(target_arch = "x86_64") { 1000 } else { 20 };
        for (kind, is_resumed) in [("full", false), ("resumed", true)] {
            let spent = self.run(is_resumed, times);
            let us = |duration: Duration| duration.as_micros() as f64 / f64::from(times);
            println!(
                "{kind:8} client {:9.1} us, server {:9.1} us; the server's longest step {:9.1} us",
                us(spent.client),
                us(spent.server),
                spent.server_longest.as_micros()
            );
        }
        println!("to find no authority in the system's bundle: {:.1} us", us_of_an_unknown_issuer(self, times));
        let before = resident_kb();
        let sessions: Vec<_> = (0..100).map(|_| self.shake_hands(&mut Spent::default())).collect();
        println!("{} pairs of sessions: {} KB resident each pair", sessions.len(), (resident_kb() - before) / 100);
    }
}

/// What a client spends on a server whose issuer it looks for in vain.
fn us_of_an_unknown_issuer(bench: &mut Bench, times: u32) -> f64 {
    let expected = Expected { pins: Vec::new(), ..bench.expected.clone() };
    let mut spent = Duration::ZERO;
    for _ in 0..times {
        let (mut up, mut down) = (Pipe::default(), Pipe::default());
        let mut client = Session::client(&mut bench.client, &expected).expect("a session");
        let mut server = Session::server(&bench.server).expect("a session");
        client.push(&mut up).expect("pipes do not fail");
        turn(&mut server, &mut up, &mut down);
        client.pull(&mut down).expect("pipes do not fail");
        assert!(timed(&mut spent, || client.advance()).is_err());
    }
    spent.as_micros() as f64 / f64::from(times)
}

fn timed<T>(spent: &mut Duration, step: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let result = step();
    *spent += start.elapsed();
    result
}

fn turn(session: &mut Session, from: &mut Pipe, to: &mut Pipe) {
    while session.wants_read() && session.pull(from).expect("pipes do not fail") == Pulled::Some {
        if let Progress::Established(peer) = session.advance().expect("a handshake") {
            assert!(peer.key.is_some());
        }
    }
    session.push(to).expect("pipes do not fail");
}

/// One direction of a connection.
#[derive(Default)]
struct Pipe(VecDeque<u8>);

impl Read for Pipe {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.0.is_empty() { Err(ErrorKind::WouldBlock.into()) } else { self.0.read(buffer) }
    }
}

impl Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn resident_kb() -> i64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
    line.trim().trim_end_matches(" kB").parse().unwrap_or(0)
}
