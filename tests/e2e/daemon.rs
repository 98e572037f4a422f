//! The server under test, and what `pcsctl` says about it.

use crate::harness::{PATIENCE, Place, Program, free_port, wait_until};
use heapless::{String, Vec};
use md5::{Digest, Md5};
use serde::Deserialize;
use std::fmt::Write;
use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The home's domain.
pub const DOMAIN: &str = "home.example";
/// Everybody's password.
pub const PASSWORD: &str = "secret";

/// A running server with a home of its own.
pub struct Daemon {
    /// The process.
    pub program: Program,
    /// What is its own: the configuration, the directories `state` and `run`.
    pub directory: PathBuf,
    surroundings: Surroundings,
    listen: std::vec::Vec<std::string::String>,
    more: std::string::String,
    /// The port it listens on, on each address, over UDP and TCP.
    pub port: u16,
}

/// What a server finds around itself.
#[derive(Default)]
struct Surroundings {
    /// A network namespace.
    namespace: Option<std::string::String>,
    /// Where a file system of 2 MB is mounted for it alone.
    small_disk: Option<PathBuf>,
}

/// A person of the home.
#[derive(Clone, Copy)]
pub enum Person<'a> {
    /// With a password: SHA-256 is offered, then MD5.
    Modern(&'a str),
    /// With an MD5 hash only: baresip 1.0 and SIPp 3.6 give up at a challenge for any other algorithm.
    Md5(&'a str),
    /// The same, with options of the section, each a line.
    With(&'a str, &'a str),
}

/// One line of `pcsctl devices --json`.
#[derive(Clone, Debug, Deserialize)]
pub struct Device {
    pub person: String<64>,
    pub contact: String<512>,
    pub transport: String<8>,
    pub source: Option<String<64>>,
    pub user_agent: String<128>,
    pub expires_s: u64,
    pub behind_nat: bool,
    pub missed: u32,
}

/// `pcsctl status --json`.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct Status {
    pub forking: usize,
    pub streams: usize,
    pub counters: Counters,
    pub lookups: Lookups,
}

/// What the resolver counts.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct Lookups {
    pub timeouts: u64,
    pub truncated: u64,
}

/// Counts since the start.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct Counters {
    pub malformed: u64,
    pub limited: u64,
    pub stray: u64,
    pub refused: u64,
    pub missed_messages: u64,
}

impl Daemon {
    /// Starts it on 127.0.0.1.
    pub fn start(place: &Place, people: &[Person<'_>]) -> Self {
        Self::start_on(place, &["127.0.0.1"], people, None)
    }

    /// Starts it on some addresses (IPv6 in brackets), in a network namespace if one is named.
    pub fn start_on(place: &Place, addresses: &[&str], people: &[Person<'_>], namespace: Option<&str>) -> Self {
        let port = free_port();
        let listen = addresses.iter().flat_map(|ip| [format!("udp:{ip}:{port}"), format!("tcp:{ip}:{port}")]).collect();
        let surroundings = Surroundings { namespace: namespace.map(Into::into), small_disk: None };
        Self::start_as(place, port, listen, people, surroundings, "")
    }

    /// Starts it on 127.0.0.1 with `more` configuration: options of the main section, then whole sections. It is on the
    /// port over UDP and TCP, and on the next one over TLS if `is_secure`.
    pub fn start_with(place: &Place, people: &[Person<'_>], is_secure: bool, more: &str) -> Self {
        let port = free_port();
        let mut listen = std::vec![format!("udp:127.0.0.1:{port}"), format!("tcp:127.0.0.1:{port}")];
        if is_secure {
            listen.push(format!("tls:127.0.0.1:{}", port + 1));
        }
        Self::start_as(place, port, listen, people, Surroundings::default(), more)
    }

    /// Starts it on 127.0.0.1 with a spool on a file system of 2 MB, which only it sees, in the directory `disk` of its
    /// own.
    pub fn start_with_small_disk(place: &Place, people: &[Person<'_>], more: &str) -> Self {
        let disk = place.directory("pcsd/disk");
        let more = format!("{more}\toption spool '{}'\n", disk.display());
        let surroundings = Surroundings { namespace: None, small_disk: Some(disk) };
        let port = free_port();
        Self::start_as(place, port, std::vec![format!("udp:127.0.0.1:{port}")], people, surroundings, &more)
    }

    /// What it sees as `path`.
    pub fn inside(&self, path: &str) -> PathBuf {
        let path = self.directory.join(path);
        Path::new(&format!("/proc/{}/root", self.program.pid().as_raw_nonzero()))
            .join(path.strip_prefix("/").unwrap_or(&path))
    }

    fn start_as(
        place: &Place,
        port: u16,
        listen: std::vec::Vec<std::string::String>,
        people: &[Person<'_>],
        surroundings: Surroundings,
        more: &str,
    ) -> Self {
        let directory = place.directory("pcsd");
        symlink(env!("CARGO_BIN_EXE_pcsd"), directory.join("pcsctl")).expect("a link named pcsctl");
        configure(&directory, &listen, people, more);
        let program = start(&directory, &surroundings);
        Self { program, directory, surroundings, listen, more: more.into(), port }
    }

    /// Starts it again after its end, with the configuration that lies there.
    pub fn start_again(&mut self) {
        self.program = start(&self.directory, &self.surroundings);
    }

    /// Writes the configuration anew; it counts from the next SIGHUP on.
    pub fn configure(&self, people: &[Person<'_>]) {
        configure(&self.directory, &self.listen, people, &self.more);
    }

    /// Replaces the configuration beyond the people; it counts from the next SIGHUP or start on.
    pub fn write_configuration(&mut self, people: &[Person<'_>], more: &str) {
        self.more = more.into();
        self.configure(people);
    }

    /// Replaces the configuration beyond the people, and waits until it counts.
    pub fn reconfigure(&mut self, people: &[Person<'_>], more: &str) {
        self.write_configuration(people, more);
        let from = self.program.output.len();
        self.program.signal(rustix::process::Signal::HUP);
        self.program.await_line(from, "configuration read again");
    }

    /// Where it listens on 127.0.0.1.
    pub fn address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.port))
    }

    /// Where it listens on 127.0.0.1 over TLS.
    pub fn secure_address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.port + 1))
    }

    /// What `pcsctl devices` shows, for people.
    pub fn devices_text(&self) -> std::string::String {
        self.pcsctl(&["devices"])
    }

    /// What `pcsctl devices --json` shows.
    pub fn devices(&self) -> Vec<Device, 64> {
        self.json(&["devices", "--json"])
    }

    /// The devices of one person.
    pub fn devices_of(&self, person: &str) -> std::vec::Vec<Device> {
        self.devices().into_iter().filter(|device| device.person == person).collect()
    }

    /// Waits until a person has `count` devices.
    pub fn await_devices(&self, person: &str, count: usize) -> std::vec::Vec<Device> {
        wait_until(&format!("{person} has {count} devices"), || {
            let devices = self.devices_of(person);
            (devices.len() == count).then_some(devices)
        })
    }

    /// What `pcsctl status --json` shows.
    pub fn status(&self) -> Status {
        self.json(&["status", "--json"])
    }

    /// Waits until no request is being forked: every call and message has had its final answer.
    pub fn await_rest(&self) {
        wait_until("nothing is being forked any more", || (self.status().forking == 0).then_some(()));
    }

    /// What a command of `pcsctl` prints.
    ///
    /// # Panics
    /// When it fails.
    pub fn pcsctl(&self, words: &[&str]) -> std::string::String {
        let output = self.pcsctl_output(words);
        let errors = std::string::String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "pcsctl {words:?}: {errors}");
        std::string::String::from_utf8(output.stdout).expect("pcsctl prints UTF-8")
    }

    /// What becomes of a command of `pcsctl`.
    pub fn pcsctl_output(&self, words: &[&str]) -> Output {
        let mut command = Command::new(self.directory.join("pcsctl"));
        command.arg("--socket").arg(self.directory.join("control")).args(words).output().expect("pcsctl runs")
    }

    fn json<T: for<'d> Deserialize<'d>>(&self, words: &[&str]) -> T {
        let text = self.pcsctl(words);
        match serde_json_core::from_str(&text) {
            Ok((value, _)) => value,
            Err(error) => panic!("pcsctl {words:?}: {error}: {text}"),
        }
    }

    /// Waits for the end of the process, which was told to stop.
    pub fn wait(mut self) -> std::process::ExitStatus {
        self.program.wait(PATIENCE)
    }
}

/// An address of a person of the home.
pub fn sip(person: &str) -> std::string::String {
    format!("sip:{person}@{DOMAIN}")
}

fn start(directory: &Path, surroundings: &Surroundings) -> Program {
    let server = Path::new(env!("CARGO_BIN_EXE_pcsd"));
    let Surroundings { namespace, small_disk } = surroundings;
    let mut command = match small_disk {
        None => crate::network::command(namespace.as_deref(), server),
        Some(disk) => {
            let mut command = crate::network::command(None, &crate::harness::find("unshare"));
            let script = "mount -t tmpfs -o size=2m none \"$1\"; \"$2\" spool init \"$1\"; shift; exec \"$@\"";
            command.args(["--mount", "sh", "-ec", script, "sh"]).args([disk, server]);
            command
        }
    };
    command.args(["run", "--config"]).arg(directory.join("pcsd.uci"));
    let program = Program::start("pcsd", &mut command);
    program.await_line(0, "started");
    program
}

fn configure(directory: &Path, listen: &[std::string::String], people: &[Person<'_>], more: &str) {
    let at = directory.display();
    let mut text = format!(
        "config pcsd 'main'\n\toption domain '{DOMAIN}'\n\toption log_level 'debug'\n\toption socket '{at}/control'\n\
         \toption state '{at}/state'\n\toption run_dir '{at}/run'\n"
    );
    for address in listen {
        let _ = writeln!(text, "\tlist listen '{address}'");
    }
    text.push_str(more);
    for person in people {
        let _ = match person {
            Person::Modern(name) => writeln!(text, "\nconfig person '{name}'\n\toption password '{PASSWORD}'"),
            Person::Md5(name) | Person::With(name, _) => {
                let options = if let Person::With(_, options) = person { options } else { "" };
                let hash = Md5::digest(format!("{name}:{DOMAIN}:{PASSWORD}"));
                let hash = hash.iter().map(|byte| format!("{byte:02x}")).collect::<std::string::String>();
                writeln!(text, "\nconfig person '{name}'\n\toption ha1 '{hash}'\n{options}")
            }
        };
    }
    fs::write(directory.join("pcsd.uci"), text).expect("the configuration can be written");
}
