//! What every test needs: a directory, ports, programs that end with the test, and waiting without sleeping blindly.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// How long anything may take that should happen at once on an idle machine.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Says what the test does now. The test harness shows it when the test fails, or with `--nocapture`.
macro_rules! step {
    ($place:expr, $($what:tt)+) => { println!("{} {}", $place.stamp(), format_args!($($what)+)) };
}
pub(crate) use step;

/// A test's own directory; it goes when the test ends well, and stays when it fails.
pub struct Place {
    name: &'static str,
    directory: PathBuf,
    begun: Instant,
}

impl Place {
    /// Makes the directory, after checking that the programs the test runs are there. `None` when `E2E_SKIP` (names
    /// of tests with commas between, or `all`) says that the test is not wanted.
    ///
    /// # Panics
    /// When a program is missing, with its package.
    pub fn new(name: &'static str, programs: &[&str]) -> Option<Self> {
        let skipped = std::env::var("E2E_SKIP").unwrap_or_default();
        if skipped.split(',').any(|word| word == name || word == "all") {
            println!("{name}: skipped, as E2E_SKIP says");
            return None;
        }
        for program in programs {
            find(program);
        }
        let directory = std::env::temp_dir().join(format!("pcsd-e2e-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&directory);
        fs::create_dir_all(&directory).expect("a directory for the test");
        Some(Self { name, directory, begun: Instant::now() })
    }

    /// Whether a program may see a file system of its own here; else the test is over.
    pub fn may_mount(&self) -> bool {
        let tried = Command::new(find("unshare")).args(["--mount", "--pid", "--fork", "--kill-child", "true"]).output();
        let output = tried.expect("unshare runs");
        if !output.status.success() {
            self.skip(String::from_utf8_lossy(&output.stderr).trim());
        }
        output.status.success()
    }

    /// Says that this machine does not allow the test, and why. With `E2E_STRICT` set the test fails.
    ///
    /// # Panics
    /// With the reason, when every test has to run.
    pub fn skip(&self, reason: &str) {
        assert!(std::env::var_os("E2E_STRICT").is_none(), "{}: not possible here: {reason}", self.name);
        println!("{}: skipped: {reason}", self.name);
    }

    /// A directory in this one.
    pub fn directory(&self, name: &str) -> PathBuf {
        let directory = self.directory.join(name);
        fs::create_dir_all(&directory).expect("a directory for a program");
        directory
    }

    /// Test and time, to begin a line with.
    pub fn stamp(&self) -> String {
        format!("{} {:6.2} s:", self.name, self.begun.elapsed().as_secs_f64())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if thread::panicking() {
            println!("{} failed; its files are in {}", self.stamp(), self.directory.display());
        } else {
            let _ = fs::remove_dir_all(&self.directory);
        }
    }
}

/// Where a program is.
///
/// # Panics
/// When it is missing, with the Debian package to install.
pub fn find(program: &str) -> PathBuf {
    const FOLDERS: [&str; 5] = ["/usr/bin", "/usr/sbin", "/bin", "/sbin", "/usr/local/bin"];
    const PACKAGES: [(&str, &str); 15] = [
        ("baresip", "baresip-core"),
        ("sipp", "sip-tester"),
        ("linphonec", "linphone-cli"),
        ("nft", "nftables"),
        ("ip", "iproute2"),
        ("ss", "iproute2"),
        ("sysctl", "procps"),
        ("setpriv", "util-linux"),
        ("unshare", "util-linux"),
        ("mount", "mount"),
        ("dnsmasq", "dnsmasq-base"),
        ("kamailio", "kamailio"),
        ("openssl", "openssl"),
        ("stdbuf", "coreutils"),
        ("prosodyctl", "prosody"),
    ];
    let found = FOLDERS.iter().map(|folder| Path::new(folder).join(program)).find(|path| path.exists());
    found.unwrap_or_else(|| {
        let package = PACKAGES.iter().find(|(name, _)| *name == program).map_or(program, |(_, package)| package);
        panic!("the program '{program}' is missing: install the package '{package}' (or name the test in E2E_SKIP)")
    })
}

/// Looks again and again until there is something, and gives that.
///
/// # Panics
/// With `what`, when there is nothing within `patience`.
pub fn wait_within<T>(patience: Duration, what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + patience;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < end, "{what}: not within {} s", patience.as_secs());
        thread::sleep(Duration::from_millis(10));
    }
}

/// [`wait_within`] the usual time.
pub fn wait_until<T>(what: &str, look: impl FnMut() -> Option<T>) -> T {
    wait_within(PATIENCE, what, look)
}

/// A port that nobody has, with the next one free as well (RTP and RTCP). Below the ports that the kernel gives to
/// clients, and given once only, so that tests may run at the same time.
pub fn free_port() -> u16 {
    const FIRST: u16 = 10_000;
    const LAST: u16 = 32_000;
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Two runs on one machine begin at different places.
    let start = (std::process::id() as u16 % 1000) * 22;
    loop {
        let offset = start.wrapping_add(NEXT.fetch_add(2, Ordering::Relaxed)) % (LAST - FIRST);
        let port = FIRST + (offset & !1);
        if [port, port + 1].iter().all(|port| !is_taken(SocketAddr::new([0, 0, 0, 0].into(), *port))) {
            return port;
        }
    }
}

/// An address of the loopback that no other test has, here or in another run, with port 53 free.
///
/// # Errors
/// With the reason, when this machine lets nobody have port 53.
pub fn free_address_for_names() -> Result<Ipv4Addr, String> {
    static NEXT: AtomicU16 = AtomicU16::new(1);
    let run = std::process::id();
    let mut reason = String::new();
    for _ in 0..ADDRESSES_TRIED {
        let last = NEXT.fetch_add(1, Ordering::Relaxed) % 250 + 1;
        let address = Ipv4Addr::new(127, 64 + (run / 250 % 128) as u8, (run % 250) as u8, last as u8);
        match UdpSocket::bind((address, 53)).and_then(|_| TcpListener::bind((address, 53))) {
            Ok(_) => return Ok(address),
            Err(error) => reason = format!("port 53 on {address}: {error}"),
        }
    }
    Err(reason)
}

/// Whether somebody has the port, over UDP or TCP.
pub fn is_taken(address: SocketAddr) -> bool {
    UdpSocket::bind(address).is_err() || TcpListener::bind(address).is_err()
}

/// Waits until a program has opened its UDP port.
pub fn wait_open_udp(ip: IpAddr, port: u16) {
    wait_until("the program opens its UDP port", || UdpSocket::bind((ip, port)).is_err().then_some(()));
}

/// Lines that somebody collects while others wait for them.
#[derive(Clone, Default)]
pub struct Lines(Arc<(Mutex<Vec<String>>, Condvar)>);

impl Lines {
    /// Collects the lines of a stream in a thread of its own, until the stream ends.
    pub fn collect(&self, stream: impl Read + Send + 'static) {
        let lines = self.clone();
        thread::spawn(move || {
            let mut stream = BufReader::new(stream);
            let mut line = Vec::new();
            while stream.read_until(b'\n', &mut line).is_ok_and(|n| n > 0) {
                lines.push(String::from_utf8_lossy(&line).trim_end().to_string());
                line.clear();
            }
        });
    }

    /// Adds one.
    pub fn push(&self, line: String) {
        self.lock().push(line);
        self.0.1.notify_all();
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.lock().len()
    }

    /// Those from number `from` on.
    pub fn since(&self, from: usize) -> Vec<String> {
        self.lock().get(from..).unwrap_or_default().to_vec()
    }

    /// How many have `part` in them.
    pub fn count(&self, part: &str) -> usize {
        self.lock().iter().filter(|line| line.contains(part)).count()
    }

    /// Waits for a line from number `from` on that passes, and says which it is; `None` when there is none in time.
    pub fn wait(&self, patience: Duration, from: usize, passes: impl Fn(&str) -> bool) -> Option<(usize, String)> {
        let end = Instant::now() + patience;
        let mut lines = self.lock();
        let mut seen = from;
        loop {
            if let Some(at) = (seen..lines.len()).find(|at| passes(&lines[*at])) {
                return Some((at, lines[at].clone()));
            }
            seen = seen.max(lines.len());
            let left = end.checked_duration_since(Instant::now())?;
            lines = self.0.1.wait_timeout(lines, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<String>> {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A running program. It ends with this value, also when the test fails; then the end of its output is printed.
pub struct Program {
    name: String,
    child: Child,
    /// What it prints, on both outputs.
    pub output: Lines,
}

impl Program {
    /// Starts it.
    pub fn start(name: impl Into<String>, command: &mut Command) -> Self {
        let name = name.into();
        let spawned = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let mut child = spawned.unwrap_or_else(|error| panic!("{name} does not start: {error}"));
        let output = Lines::default();
        output.collect(child.stdout.take().expect("the output is ours"));
        output.collect(child.stderr.take().expect("the error output is ours"));
        Self { name, child, output }
    }

    /// Its process id.
    pub fn pid(&self) -> rustix::process::Pid {
        rustix::process::Pid::from_child(&self.child)
    }

    /// What it reads.
    pub fn input(&mut self) -> &mut ChildStdin {
        self.child.stdin.as_mut().expect("the input is ours")
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: rustix::process::Signal) {
        rustix::process::kill_process(self.pid(), signal).expect("it runs, or was not waited for");
    }

    /// Waits for a line of its output from number `from` on; the line's number and text.
    pub fn await_line(&self, from: usize, part: &str) -> (usize, String) {
        let found = self.output.wait(PATIENCE, from, |line| line.contains(part));
        found.unwrap_or_else(|| panic!("{}: no line with '{part}'", self.name))
    }

    /// Waits until it ends by itself.
    pub fn wait(&mut self, patience: Duration) -> ExitStatus {
        let Self { name, child, .. } = self;
        wait_within(patience, &format!("{name} ends"), || child.try_wait().expect("it can be waited for"))
    }

    /// Ends it at once, as a crash or a power cut would.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.kill();
        if thread::panicking() {
            let lines = self.output.since(0);
            let from = lines.len().saturating_sub(LINES_SHOWN);
            println!("---- the last of {} lines of {}:", lines.len(), self.name);
            lines[from..].iter().for_each(|line| println!("{line}"));
        }
    }
}

const LINES_SHOWN: usize = 60;
const ADDRESSES_TRIED: usize = 5;
