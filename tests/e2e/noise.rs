//! Malformed messages, thrown at the server from addresses of their own.

use std::fs;
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// A thread that throws.
pub struct Noise {
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<usize>>,
}

impl Noise {
    /// Begins to throw. The first source is 127.0.0.2; each has its turn until it has sent a few messages, so that
    /// some are read before the rate limit drops the rest.
    pub fn begin(server: SocketAddr) -> Self {
        let is_over = Arc::new(AtomicBool::new(false));
        let end = is_over.clone();
        let messages = messages();
        assert!(!messages.is_empty());
        let thread = thread::spawn(move || throw(server, &messages, &end));
        Self { is_over, thread: Some(thread) }
    }

    /// Ends; how many messages were thrown.
    pub fn end(mut self) -> usize {
        self.is_over.store(true, Ordering::Relaxed);
        self.thread.take().expect("it ends once").join().expect("throwing does not fail")
    }
}

impl Drop for Noise {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
    }
}

/// The project's own odd messages, and the torture sets of RFC 4475 and RFC 5118 when they are there.
fn messages() -> Vec<Vec<u8>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut messages = Vec::new();
    let torture = "../shared/sip/torture";
    for folder in ["tests/data/sip".to_string(), format!("{torture}/rfc4475"), format!("{torture}/rfc5118")] {
        let Ok(files) = fs::read_dir(root.join(&folder)) else {
            println!("  left out: {folder} is not there");
            continue;
        };
        messages.extend(files.filter_map(|file| fs::read(file.ok()?.path()).ok()).filter(|bytes| bytes.len() < 60_000));
    }
    messages
}

fn throw(server: SocketAddr, messages: &[Vec<u8>], is_over: &AtomicBool) -> usize {
    let mut dice = Dice(0x5eed);
    let mut thrown = 0;
    for source in (2..=60).cycle() {
        let source = Ipv4Addr::new(127, 0, 0, source);
        let socket = UdpSocket::bind((source, 0)).expect("every 127.x.y.z is ours");
        socket.set_read_timeout(Some(Duration::from_millis(1))).expect("a timeout");
        for _ in 0..EACH_TURN {
            if is_over.load(Ordering::Relaxed) {
                return thrown;
            }
            let message = dice.spoil_one(messages);
            let _ = socket.send_to(&message, server);
            thrown += 1;
            // An answer, or a millisecond: the pace of a fast scanner.
            let _ = socket.recv_from(&mut [0; 2048]);
        }
        if let Ok(mut stream) = TcpStream::connect_timeout(&server, Duration::from_secs(1)) {
            let _ = stream.write_all(&dice.spoil_one(messages));
        }
    }
    thrown
}

/// A seeded generator (xorshift64).
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) as usize % limit.max(1)
    }

    fn spoil_one(&mut self, messages: &[Vec<u8>]) -> Vec<u8> {
        let which = self.below(messages.len());
        self.spoil(&messages[which])
    }

    /// A message as it is, or with some bytes changed, cut out, or doubled, or its end missing.
    fn spoil(&mut self, message: &[u8]) -> Vec<u8> {
        let mut message = message.to_vec();
        for _ in 0..self.below(5) {
            let at = self.below(message.len());
            let end = (at + self.below(40)).min(message.len());
            match self.below(4) {
                0 => message.iter_mut().skip(at).take(1).for_each(|byte| *byte = self.below(256) as u8),
                1 => drop(message.drain(at..end)),
                2 => {
                    let part = message[at..end].to_vec();
                    message.splice(at..at, part);
                }
                _ => message.truncate(at),
            }
        }
        message
    }
}

const EACH_TURN: usize = 60;
