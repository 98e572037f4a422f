//! `pcsd selftest`: whether timers, sockets, randomness and interfaces work with this binary on this machine.
//!
//! A cross-built binary can start and yet sleep for ever, because a timespec has another width than the kernel thinks
//! (mips with musl), or carry instructions that the CPU lacks. This program uses what the daemon uses, for a second or
//! so, and says what failed. Left out: signals, the disk, TLS.
//!
//! One check can be left out by its name, for an emulator that cannot do it.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::string::{String, ToString};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};
use std::{format, println};

use smol::future::{self, FutureExt};
use smol::io::{AsyncReadExt, AsyncWriteExt};
use smol::{Async, Timer};

/// Runs every check but the one named `without`, prints one line for each to stdout, and says whether all passed. The
/// name of no check counts as a failure.
///
/// Returns within [`PATIENCE`] per check even if timers never fire: the checks run on a thread of their own, and the
/// waiting here does not depend on smol.
pub fn run(without: Option<&str>) -> bool {
    let checks: [(&str, Check); 8] = [
        ("clock", clock),
        ("timers", || smol::block_on(timers())),
        ("udp 127.0.0.1", || smol::block_on(udp_echo(Ipv4Addr::LOCALHOST.into()))),
        ("tcp 127.0.0.1", || smol::block_on(tcp_echo(Ipv4Addr::LOCALHOST.into()))),
        ("udp ::1", || smol::block_on(udp_echo(Ipv6Addr::LOCALHOST.into()))),
        ("tcp ::1", || smol::block_on(tcp_echo(Ipv6Addr::LOCALHOST.into()))),
        ("random", random),
        ("interfaces", interfaces),
    ];
    let mut all_passed = true;
    if let Some(unknown) = without.filter(|name| !checks.iter().any(|(known, _)| known == name)) {
        println!("{unknown:<14} FAILED   there is no such check");
        all_passed = false;
    }
    for (name, check) in checks {
        let outcome = match without {
            Some(left_out) if left_out == name => Outcome::Skipped("left out".to_string()),
            _ => bounded(check, PATIENCE),
        };
        all_passed &= outcome.passed();
        println!("{name:<14} {outcome}");
    }
    all_passed
}

type Check = fn() -> Outcome;

enum Outcome {
    Passed(String),
    /// The machine lacks what would be checked; no fault of the binary.
    Skipped(String),
    Failed(String),
}

impl Outcome {
    const fn passed(&self) -> bool {
        !matches!(self, Self::Failed(_))
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Passed(detail) => write!(f, "ok       {detail}"),
            Self::Skipped(why) => write!(f, "skipped  {why}"),
            Self::Failed(why) => write!(f, "FAILED   {why}"),
        }
    }
}

impl From<Result<String, String>> for Outcome {
    fn from(result: Result<String, String>) -> Self {
        result.map_or_else(Self::Failed, Self::Passed)
    }
}

/// The outcome of `check`, or a failure when there is none after `patience`. A check that hangs keeps its thread until
/// the process ends.
fn bounded(check: Check, patience: Duration) -> Outcome {
    let (done, outcome) = mpsc::channel();
    let started = thread::Builder::new().stack_size(STACK_BYTES).spawn(move || done.send(check()));
    if let Err(error) = started {
        return Outcome::Failed(format!("no thread: {error}"));
    }
    match outcome.recv_timeout(patience) {
        Ok(outcome) => outcome,
        Err(mpsc::RecvTimeoutError::Timeout) => Outcome::Failed(format!("nothing after {} s", patience.as_secs())),
        Err(mpsc::RecvTimeoutError::Disconnected) => Outcome::Failed("panicked".to_string()),
    }
}

/// Timers in a row must take what they should: neither for ever nor no time at all.
async fn timers() -> Outcome {
    let start = Instant::now();
    for _ in 0..TIMERS {
        Timer::after(TIMER_PERIOD).await;
    }
    timed(start.elapsed())
}

fn timed(took: Duration) -> Outcome {
    let (least, most) = (TIMER_PERIOD * (TIMERS - 2), Duration::from_secs(2));
    let told = format!("{TIMERS} x {} ms took {} ms", TIMER_PERIOD.as_millis(), took.as_millis());
    if (least..=most).contains(&took) { Outcome::Passed(told) } else { Outcome::Failed(told) }
}

/// One datagram there and back.
async fn udp_echo(address: IpAddr) -> Outcome {
    let server = match Async::<UdpSocket>::bind((address, 0)) {
        Ok(server) => server,
        Err(error) => return unbound(address, &error),
    };
    let exchange = async {
        let client = Async::<UdpSocket>::bind((address, 0))?;
        client.send_to(WORDS, server.get_ref().local_addr()?).await?;
        let mut buffer = [0; 64];
        let (len, from) = server.recv_from(&mut buffer).await?;
        server.send_to(buffer.get(..len).unwrap_or_default(), from).await?;
        let mut answer = [0; 64];
        let (len, from) = client.recv_from(&mut answer).await?;
        compare(answer.get(..len).unwrap_or_default(), from)
    };
    Outcome::from(exchange.or(deadline()).await.map_err(|error| error.to_string()))
}

/// One connection, words there and back, and its end seen by the server.
async fn tcp_echo(address: IpAddr) -> Outcome {
    let listener = match Async::<TcpListener>::bind((address, 0)) {
        Ok(listener) => listener,
        Err(error) => return unbound(address, &error),
    };
    let serve = async {
        let (mut stream, _) = listener.accept().await?;
        let mut words = [0; WORDS.len()];
        stream.read_exact(&mut words).await?;
        stream.write_all(&words).await?;
        match stream.read(&mut words).await? {
            0 => Ok(()),
            _ => Err(io::Error::other("bytes after the end")),
        }
    };
    let ask = async {
        let to = listener.get_ref().local_addr()?;
        let mut stream = Async::<TcpStream>::connect(to).await?;
        stream.write_all(WORDS).await?;
        let mut answer = [0; WORDS.len()];
        stream.read_exact(&mut answer).await?;
        compare(&answer, to)
    };
    let exchange = async { future::try_zip(serve, ask).await.map(|((), told)| told) };
    Outcome::from(exchange.or(deadline()).await.map_err(|error| error.to_string()))
}

/// A machine without IPv6 is no fault; one without an IPv4 loopback is.
fn unbound(address: IpAddr, error: &io::Error) -> Outcome {
    if address.is_ipv6() {
        Outcome::Skipped(format!("no IPv6 here: {error}"))
    } else {
        Outcome::Failed(format!("bind: {error}"))
    }
}

fn compare(answer: &[u8], from: SocketAddr) -> io::Result<String> {
    if answer == WORDS {
        Ok(format!("echo from {from}"))
    } else {
        Err(io::Error::other(format!("{} other bytes from {from}", answer.len())))
    }
}

async fn deadline<T>() -> io::Result<T> {
    Timer::after(ECHO_PATIENCE).await;
    Err(io::Error::other(format!("no echo after {} s", ECHO_PATIENCE.as_secs())))
}

/// Two draws differ: a source of randomness that gives the same bytes twice is none.
/// The clock since the boot against what the kernel says in text: a timespec of the wrong width shows here.
fn clock() -> Outcome {
    let own_s = super::clock::now().millis() / 1000;
    let uptime = std::fs::read_to_string("/proc/uptime");
    match uptime.as_deref().ok().and_then(|text| text.split('.').next()?.parse::<u64>().ok()) {
        None => Outcome::Skipped("no /proc/uptime".to_string()),
        Some(uptime_s) if uptime_s.abs_diff(own_s) > 5 => {
            Outcome::Failed(format!("{own_s} s since the boot, but /proc/uptime says {uptime_s} s"))
        }
        Some(_) => Outcome::Passed(format!("{own_s} s since the boot")),
    }
}

fn random() -> Outcome {
    let (mut first, mut second) = ([0; 16], [0; 16]);
    match getrandom::fill(&mut first).and_then(|()| getrandom::fill(&mut second)) {
        Err(error) => Outcome::Failed(error.to_string()),
        Ok(()) if first == second => Outcome::Failed("the same bytes twice".to_string()),
        Ok(()) => Outcome::Passed("two draws of 16 bytes differ".to_string()),
    }
}

/// The loopback interface is there with its address: the daemon learns its own addresses this way.
fn interfaces() -> Outcome {
    match if_addrs::get_if_addrs() {
        Err(error) => Outcome::Failed(error.to_string()),
        Ok(all) if !all.iter().any(|interface| interface.ip() == IpAddr::V4(Ipv4Addr::LOCALHOST)) => {
            Outcome::Failed("127.0.0.1 is on no interface".to_string())
        }
        Ok(all) => Outcome::Passed(format!("{} addresses", all.len())),
    }
}

const TIMERS: u32 = 20;
const TIMER_PERIOD: Duration = Duration::from_millis(10);
const ECHO_PATIENCE: Duration = Duration::from_secs(5);
/// What one check may take before it counts as hanging.
pub const PATIENCE: Duration = Duration::from_secs(10);
const STACK_BYTES: usize = 256 * 1024;
const WORDS: &[u8] = b"is anybody home?";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passes_on_the_build_machine() {
        assert!(run(None));
    }

    #[test]
    fn what_is_left_out_must_exist() {
        assert!(run(Some("timers")));
        assert!(!run(Some("timer")));
    }

    #[test]
    fn timers_that_are_too_fast_or_too_slow_fail() {
        assert!(!timed(Duration::from_millis(179)).passed());
        assert!(timed(Duration::from_millis(180)).passed());
        assert!(timed(Duration::from_secs(2)).passed());
        assert!(!timed(Duration::from_millis(2001)).passed());
    }

    #[test]
    fn a_check_that_hangs_or_panics_fails() {
        let forever: Check = || loop {
            thread::park();
        };
        assert!(!bounded(forever, Duration::from_millis(50)).passed());
        assert!(!bounded(|| panic!("on purpose"), PATIENCE).passed());
    }

    #[test]
    fn other_words_are_no_echo() {
        let from = SocketAddr::from((Ipv4Addr::LOCALHOST, 5060));
        assert!(compare(b"is anybody home?", from).is_ok());
        assert!(compare(b"is anybody home", from).is_err());
    }
}
