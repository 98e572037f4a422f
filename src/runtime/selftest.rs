//! `pcsd selftest`: whether clocks, timers, sockets, randomness, interfaces, the spool and TLS work with this binary on
//! this machine, and how long the last two take.
//!
//! A cross-built binary can start and yet sleep for ever, because a timespec has another width than the kernel thinks
//! (mips with musl), or carry instructions that the CPU lacks, or cryptography for the other byte order. This program uses
//! what the daemon uses, for a second or so, and says what failed. The spool is one in the directory for temporary files,
//! which goes afterwards. Left out: signals, and the family's own disk (`pcsctl spool check`).
//!
//! One check can be left out by its name, for an emulator that cannot do it.

use super::clock;
use super::disk::{self, StdDisk};
use crate::spool::{Key, Kind, Limits, Memory, Meta, Spool};
use std::fmt;
use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::string::{String, ToString};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError, mpsc};
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
    let checks: [(&str, Check); 10] = [
        ("clock", boot_clock),
        ("timers", || smol::block_on(timers())),
        ("udp 127.0.0.1", || smol::block_on(udp_echo(Ipv4Addr::LOCALHOST.into()))),
        ("tcp 127.0.0.1", || smol::block_on(tcp_echo(Ipv4Addr::LOCALHOST.into()))),
        ("udp ::1", || smol::block_on(udp_echo(Ipv6Addr::LOCALHOST.into()))),
        ("tcp ::1", || smol::block_on(tcp_echo(Ipv6Addr::LOCALHOST.into()))),
        ("random", random),
        ("interfaces", interfaces),
        ("spool", spool),
        ("tls", tls),
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

/// The clock goes, and counts from the boot as the kernel's own word for it does.
fn boot_clock() -> Outcome {
    let (start, before) = (Instant::now(), clock::now());
    thread::sleep(TIMER_PERIOD);
    let (after, took_ms) = (clock::now(), start.elapsed().as_millis() as u64);
    if after.since(before).abs_diff(took_ms) > CLOCKS_APART_MS {
        return Outcome::Failed(format!("went {} ms in {took_ms} ms", after.since(before)));
    }
    // In seconds, with hundredths.
    let uptime = fs::read_to_string("/proc/uptime").ok();
    let uptime = uptime.as_deref().and_then(|text| text.split(['.', ' ']).next()?.parse::<u64>().ok());
    let own_s = clock::now().millis() / 1000;
    match uptime {
        Some(uptime_s) if own_s.abs_diff(uptime_s) > UPTIME_APART_S => {
            Outcome::Failed(format!("{own_s} s since the boot, and {uptime_s} s by /proc/uptime"))
        }
        _ => Outcome::Passed(format!("{own_s} s since the boot")),
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

/// Records are written to a spool, made durable, and found again by one that is mounted anew.
fn spool() -> Outcome {
    Outcome::from(Folder::new().map_err(|error| error.to_string()).and_then(|folder| store_and_find(&folder.0)))
}

fn store_and_find(folder: &Path) -> Result<String, String> {
    // All zero until it is used, as the server's own.
    static TABLES: Mutex<Memory> = Mutex::new(Memory::new());
    let mut tables = TABLES.lock().unwrap_or_else(PoisonError::into_inner);
    let start = Instant::now();
    {
        let mut spool = open(folder, &mut tables)?;
        spool.format_with([7; 16], SEGMENT_BYTES).map_err(|problem| format!("begin: {problem}"))?;
        spool.mount(1).map_err(|problem| format!("mount: {problem}"))?;
        for id in 0..RECORDS {
            let meta = Meta { key: Key { kind: Kind::Text, id }, owner: 1, at: 0, blob_bytes: 0 };
            let stored = spool.put(&meta, &words_of(id)).and_then(|()| spool.commit());
            stored.map_err(|problem| format!("store: {problem}"))?;
        }
    }
    let took = start.elapsed();
    let mut spool = open(folder, &mut tables)?;
    let report = spool.mount(2).map_err(|problem| format!("mount again: {problem}"))?;
    if report.records as u64 != RECORDS || report.damaged_bytes > 0 || report.torn_bytes > 0 {
        return Err(format!("of {RECORDS} records: {report}"));
    }
    for id in 0..RECORDS {
        let mut payload = [0; 64];
        let len =
            spool.load(Key { kind: Kind::Text, id }, &mut payload).map_err(|problem| format!("read: {problem}"))?;
        if payload.get(..len) != Some(&words_of(id)[..]) {
            return Err(format!("record {id} reads otherwise than it was written"));
        }
    }
    Ok(format!("{RECORDS} records in {} ms, each made durable, and read back", took.as_millis()))
}

fn open<'m>(folder: &Path, tables: &'m mut Memory) -> Result<Spool<'m, StdDisk>, String> {
    let disk = disk::make(folder).map_err(|absence| format!("{}: {absence}", folder.display()))?;
    Ok(Spool::new(disk, tables, Limits::NONE))
}

/// What record `id` holds.
fn words_of(id: u64) -> [u8; 32] {
    core::array::from_fn(|at| (id as usize * 31 + at * 7) as u8)
}

/// A folder of this check, which goes with it.
struct Folder(PathBuf);

impl Folder {
    fn new() -> io::Result<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("pcsd-selftest-{}-{count}", std::process::id()));
        // One that is there is somebody else's.
        fs::create_dir(&path).map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))?;
        Ok(Self(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[cfg(not(feature = "tls"))]
fn tls() -> Outcome {
    Outcome::Skipped("built without it".to_string())
}

/// Both ends of a session shake hands, each with a key of its own, and words go through.
#[cfg(feature = "tls")]
fn tls() -> Outcome {
    Outcome::from(handshake::full())
}

#[cfg(feature = "tls")]
mod handshake {
    use super::{Folder, WORDS};
    use crate::runtime::tls::Endpoint;
    use crate::runtime::tls::keys::Keys;
    use crate::runtime::tls::session::{Progress, Pulled, Session};
    use crate::runtime::tls::verify::{Expected, Roots, Trust};
    use std::collections::VecDeque;
    use std::format;
    use std::io::{self, ErrorKind, Read, Write};
    use std::string::{String, ToString};
    use std::time::{Duration, Instant};
    use std::vec::Vec;

    pub fn full() -> Result<String, String> {
        let said = |error: &dyn core::fmt::Display| error.to_string();
        let start = Instant::now();
        let (server, mut client) = (endpoint()?, endpoint()?);
        let key = start.elapsed() / 2;
        let pins = std::vec![*server.pin()];
        let expected = Expected { domain: DOMAIN.to_string(), is_account: false, pins, roots: Roots::System };
        let (mut up, mut down) = (Pipe::default(), Pipe::default());
        let (mut by_client, mut by_server) = (Duration::ZERO, Duration::ZERO);
        let mut asks = timed(&mut by_client, || Session::client(&mut client, &expected)).map_err(|e| said(&e))?;
        let mut answers = timed(&mut by_server, || Session::server(&server)).map_err(|e| said(&e))?;
        // A full handshake takes two round trips at most, and a ticket comes after it.
        for _ in 0..4 {
            timed(&mut by_client, || turn(&mut asks, &mut down, &mut up))?;
            timed(&mut by_server, || turn(&mut answers, &mut up, &mut down))?;
        }
        if asks.is_handshaking() || answers.is_handshaking() {
            return Err("the handshake did not end".to_string());
        }
        pass_words(&mut asks, &mut answers)?;
        let agreed = answers.agreed();
        let [key, by_client, by_server] = [key, by_client, by_server].map(|duration| duration.as_millis());
        Ok(format!("{agreed}: server {by_server} ms, client {by_client} ms; a key {key} ms"))
    }

    fn endpoint() -> Result<Endpoint, String> {
        let folder = Folder::new().map_err(|error| error.to_string())?;
        let keys = Keys::own(&folder.0, &[DOMAIN]).map_err(|fault| fault.to_string())?;
        let trust = Trust { roots: Roots::System, peers: Vec::new() };
        Endpoint::new(keys, trust).map_err(|fault| fault.to_string())
    }

    fn timed<T>(spent: &mut Duration, step: impl FnOnce() -> T) -> T {
        let start = Instant::now();
        let result = step();
        *spent += start.elapsed();
        result
    }

    /// One end works on what has come and says what it has to say.
    fn turn(session: &mut Session, from: &mut Pipe, to: &mut Pipe) -> Result<(), String> {
        while session.wants_read() && session.pull(from).map_err(|error| error.to_string())? == Pulled::Some {
            match session.advance().map_err(|fault| fault.to_string())? {
                Progress::Established(peer) if peer.key.is_none() => return Err("the peer showed no key".to_string()),
                _ => {}
            }
        }
        session.push(to).map(drop).map_err(|error| error.to_string())
    }

    fn pass_words(from: &mut Session, to: &mut Session) -> Result<(), String> {
        let (mut wire, mut nowhere) = (Pipe::default(), Pipe::default());
        let mut words = [0; 2 * WORDS.len()];
        let mut pass = || {
            from.write(WORDS)?;
            from.push(&mut wire)?;
            to.pull(&mut wire)?;
            to.advance().map_err(|fault| io::Error::other(fault.to_string()))?;
            to.push(&mut nowhere)?;
            to.read(&mut words)
        };
        let len = pass().map_err(|error| error.to_string())?.unwrap_or(0);
        if words.get(..len) == Some(WORDS) { Ok(()) } else { Err(format!("{len} other bytes came out")) }
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

    const DOMAIN: &str = "home.example";
}

const TIMERS: u32 = 20;
const TIMER_PERIOD: Duration = Duration::from_millis(10);
const ECHO_PATIENCE: Duration = Duration::from_secs(5);
/// What one check may take before it counts as hanging.
pub const PATIENCE: Duration = Duration::from_secs(10);
const STACK_BYTES: usize = 256 * 1024;
/// Clocks that go together are no further apart, even when something else runs in between.
const CLOCKS_APART_MS: u64 = 100;
const UPTIME_APART_S: u64 = 2;
const RECORDS: u64 = 20;
const SEGMENT_BYTES: u32 = 16 * 1024;
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
    fn a_spool_that_is_there_or_can_not_be_fails() {
        let folder = Folder::new().unwrap();
        assert!(store_and_find(&folder.0).is_ok());
        let again = store_and_find(&folder.0).unwrap_err();
        assert!(again.starts_with("begin: "), "{again}");
        assert!(store_and_find(Path::new("/proc/pcsd")).is_err());
        let path = folder.0.clone();
        drop(folder);
        assert!(!path.exists());
    }

    #[test]
    fn other_words_are_no_echo() {
        let from = SocketAddr::from((Ipv4Addr::LOCALHOST, 5060));
        assert!(compare(b"is anybody home?", from).is_ok());
        assert!(compare(b"is anybody home", from).is_err());
    }
}
