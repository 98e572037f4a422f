//! Where log lines go: to stderr, as procd and containers like it, or to the system's log (the local form of RFC 3164,
//! facility daemon, UTC).
//!
//! A line never waits: one that the pipe or the log does not take at once is dropped and counted, like those above the
//! rate. What was dropped is said in the next line that goes out. A line is cut at 512 bytes.

use super::clock;
use crate::base::time::{Instant, UnixTime};
use core::fmt::{self, Write};
use log::{Level, LevelFilter, Log, Metadata, Record};
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fd::AsFd;
use std::io;
use std::os::unix::net::UnixDatagram;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Makes this the program's log: to stderr and from level info, until [`configure`] says otherwise.
pub fn install() {
    if log::set_logger(&LOGGER).is_ok() {
        log::set_max_level(LevelFilter::Info);
    }
}

/// Says from which level and whereto lines are written.
pub fn configure(level: LevelFilter, to_syslog: bool) {
    log::set_max_level(level);
    LOGGER.state().sink = if to_syslog { Sink::Syslog(None) } else { Sink::Stderr };
}

struct Logger(Mutex<State>);

struct State {
    sink: Sink,
    limit: RateLimit,
}

enum Sink {
    Stderr,
    /// Connected when first needed, and again after the log daemon was restarted.
    Syslog(Option<UnixDatagram>),
}

static LOGGER: Logger = Logger(Mutex::new(State { sink: Sink::Stderr, limit: RateLimit::new() }));

impl Logger {
    fn state(&self) -> MutexGuard<'_, State> {
        // A state that a panic interrupted is as good as any other.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Log for Logger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= log::max_level()
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let now = clock::now();
        let mut state = self.state();
        if !state.limit.admit(now) {
            return;
        }
        let dropped = state.limit.take_dropped();
        let said =
            dropped == 0 || state.sink.put(now, Level::Warn, format_args!("{dropped} log lines dropped")).is_ok();
        let topic = record.target().rsplit("::").next().unwrap_or_default();
        if !said || state.sink.put(now, record.level(), format_args!("{topic}: {}", record.args())).is_err() {
            state.limit.dropped += 1 + if said { 0 } else { dropped };
        }
    }

    fn flush(&self) {}
}

impl Sink {
    fn put(&mut self, now: Instant, level: Level, text: fmt::Arguments<'_>) -> io::Result<()> {
        let mut line = Line::new();
        match self {
            Self::Stderr => {
                let _ = write!(line, "{now} {:<5} {text}", name(level));
                write_at_once(io::stderr(), line.ended())
            }
            Self::Syslog(socket) => {
                write_system_line(&mut line, clock::wall_clock(), level, text);
                let connected = match socket.take() {
                    Some(connected) => connected,
                    None => connect_syslog()?,
                };
                connected.send(line.text()).inspect(|_| *socket = Some(connected))?;
                Ok(())
            }
        }
    }
}

/// A line in the form that `/dev/log` takes: RFC 3164 §4.1 without the host's name.
fn write_system_line(line: &mut Line, wall: UnixTime, level: Level, text: fmt::Arguments<'_>) {
    let pid = rustix::process::getpid().as_raw_nonzero();
    // An error says that the line was cut.
    let _ = write!(line, "<{}>{} pcsd[{pid}]: {text}", FACILITY_DAEMON | severity(level), Date(wall));
}

fn connect_syslog() -> io::Result<UnixDatagram> {
    let socket = UnixDatagram::unbound()?;
    socket.set_nonblocking(true)?;
    socket.connect("/dev/log")?;
    Ok(socket)
}

/// Writes a line if that goes without waiting. A pipe with room takes up to 4 KB whole; making the descriptor
/// non-blocking instead would change it for everybody who shares it.
fn write_at_once(file: impl AsFd, line: &[u8]) -> io::Result<()> {
    let mut ready = [PollFd::new(&file, PollFlags::OUT)];
    if rustix::event::poll(&mut ready, Some(&Timespec { tv_sec: 0, tv_nsec: 0 }))? == 0 {
        return Err(io::ErrorKind::WouldBlock.into());
    }
    rustix::io::write(&file, line)?;
    Ok(())
}

fn name(level: Level) -> &'static str {
    match level {
        Level::Error => "error",
        Level::Warn => "warn",
        Level::Info => "info",
        Level::Debug => "debug",
        Level::Trace => "trace",
    }
}

/// RFC 3164 §4.1.1.
fn severity(level: Level) -> u8 {
    match level {
        Level::Error => 3,
        Level::Warn => 4,
        Level::Info => 6,
        Level::Debug | Level::Trace => 7,
    }
}

const FACILITY_DAEMON: u8 = 3 << 3;

/// A bucket of [`BURST`](Self::BURST) lines that fills by [`PER_SECOND`](Self::PER_SECOND).
struct RateLimit {
    /// Thousandths of a line.
    level: u64,
    filled: Instant,
    dropped: u64,
}

impl RateLimit {
    const BURST: u64 = 200;
    const PER_SECOND: u64 = 20;

    const fn new() -> Self {
        Self { level: Self::BURST * 1000, filled: Instant::ZERO, dropped: 0 }
    }

    /// Whether a line may go out now; one that may not is counted.
    fn admit(&mut self, now: Instant) -> bool {
        self.level = (self.level + now.since(self.filled) * Self::PER_SECOND).min(Self::BURST * 1000);
        self.filled = now;
        match self.level.checked_sub(1000) {
            Some(level) => {
                self.level = level;
                true
            }
            None => {
                self.dropped += 1;
                false
            }
        }
    }

    fn take_dropped(&mut self) -> u64 {
        core::mem::take(&mut self.dropped)
    }
}

/// One line, cut where it is too long, with control characters made harmless.
struct Line {
    bytes: [u8; 512],
    len: usize,
}

impl Line {
    const fn new() -> Self {
        Self { bytes: [0; 512], len: 0 }
    }

    fn text(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    /// The line with its end.
    fn ended(&mut self) -> &[u8] {
        self.bytes[self.len] = b'\n';
        &self.bytes[..=self.len]
    }
}

impl Write for Line {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        // One byte is kept for the end of the line.
        let room = self.bytes.len() - 1 - self.len;
        for byte in &text.as_bytes()[..text.floor_char_boundary(room)] {
            self.bytes[self.len] = if byte.is_ascii_control() { b' ' } else { *byte };
            self.len += 1;
        }
        if text.len() > room { Err(fmt::Error) } else { Ok(()) }
    }
}

/// `Mmm dd hh:mm:ss` (RFC 3164 §4.1.2).
struct Date(UnixTime);

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (days, seconds) = (self.0.0 / 86_400, self.0.0 % 86_400);
        let (month, day) = month_and_day(days);
        let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
        write!(f, "{} {day:>2} {hour:02}:{minute:02}:{second:02}", MONTHS[month])
    }
}

/// The month (0 is January) and the day of the month, of so many days after 1970-01-01.
fn month_and_day(days: u64) -> (usize, u64) {
    let is_leap = |year: u64| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    // 400 years are a whole number of days, after which the calendar repeats.
    let (mut year, mut days) = (1970, days % 146_097);
    while days >= 365 + u64::from(is_leap(year)) {
        days -= 365 + u64::from(is_leap(year));
        year += 1;
    }
    let mut month = 0;
    loop {
        let length = match month {
            1 => 28 + u64::from(is_leap(year)),
            3 | 5 | 8 | 10 => 30,
            _ => 31,
        };
        if days < length {
            return (month, days + 1);
        }
        days -= length;
        month += 1;
    }
}

const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;

    #[test]
    fn rate() {
        let mut limit = RateLimit::new();
        let at = Instant::from_millis;
        assert!((0..RateLimit::BURST).all(|_| limit.admit(at(5))));
        assert!(!limit.admit(at(5)) && !limit.admit(at(54)));
        // 20 lines a second is one in 50 ms.
        assert!(limit.admit(at(55)) && !limit.admit(at(56)));
        assert_eq!(limit.take_dropped(), 3);
        assert_eq!(limit.take_dropped(), 0);
        let admitted = (0..1000).filter(|_| limit.admit(at(3_600_000))).count();
        assert_eq!(admitted as u64, RateLimit::BURST, "a quiet hour fills the bucket, and no more");
    }

    #[test]
    fn long_lines_are_cut_between_characters() {
        let mut line = Line::new();
        assert!(write!(line, "a\r\nb\x1b[2J").is_ok());
        assert_eq!(line.text(), b"a  b [2J");
        let mut line = Line::new();
        assert!(write!(line, "x{}", "å".repeat(300)).is_err());
        assert_eq!(line.text().len(), 511);
        let mut line = Line::new();
        assert!(write!(line, "{}", "å".repeat(300)).is_err());
        assert_eq!(line.text().len(), 510);
        assert_eq!(line.ended().last(), Some(&b'\n'));
    }

    #[test]
    fn a_full_pipe_is_not_waited_for() {
        let (reader, writer) = io::pipe().unwrap();
        let line = [b'x'; 512];
        let written = (0..).take_while(|_| write_at_once(&writer, &line).is_ok()).count();
        assert!(written > 0);
        drop(reader);
        assert!(write_at_once(&writer, &line).is_err());
    }

    #[test]
    fn system_lines() {
        let mut line = Line::new();
        write_system_line(&mut line, UnixTime(951_827_696), Level::Warn, format_args!("registrar: {}", "full"));
        let expected = std::format!("<28>Feb 29 12:34:56 pcsd[{}]: registrar: full", std::process::id());
        assert_eq!(line.text(), expected.as_bytes());
        assert_eq!(Level::iter().map(severity).collect::<std::vec::Vec<_>>(), [3, 4, 6, 7, 7]);
    }

    #[test]
    fn dates() {
        let date = |seconds| Date(UnixTime(seconds)).to_string();
        assert_eq!(date(0), "Jan  1 00:00:00");
        assert_eq!(date(951_827_696), "Feb 29 12:34:56");
        assert_eq!(date(1_709_251_199), "Feb 29 23:59:59");
        assert_eq!(date(1_767_225_599), "Dec 31 23:59:59");
        assert_eq!(date(4_107_542_400), "Mar  1 00:00:00", "2100 is no leap year");
    }
}
