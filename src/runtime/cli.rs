//! The command line: one program with two names, `pcsd` (the server) and `pcsctl` (its remote control).

use super::control::{Request, SOCKET_DEFAULT, Subject};
use core::fmt;
use std::ffi::{OsStr, OsString};
use std::format;
use std::path::{Path, PathBuf};
use std::string::String;

/// What the program is to do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Command {
    /// `pcsd run`
    Run {
        /// The configuration file.
        config: PathBuf,
    },
    /// `pcsd check`
    Check {
        /// The configuration file.
        file: PathBuf,
    },
    /// `pcsd version`
    Version,
    /// `pcsd footprint`
    Footprint,
    /// `pcsd selftest`
    Selftest {
        /// The check to leave out.
        without: Option<String>,
    },
    /// Prints a usage.
    Help(Program),
    /// `pcsctl`
    Ask {
        /// The control socket.
        socket: PathBuf,
        /// What is asked.
        request: Request,
    },
}

/// By which name the program was called.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Program {
    /// The server.
    Pcsd,
    /// The remote control.
    Pcsctl,
}

/// The command line makes no sense.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct UsageError {
    /// Who was called.
    pub program: Program,
    reason: String,
}

/// Understands a command line; its first word is the program's own name.
///
/// # Errors
/// Says what was not understood.
pub fn parse(mut words: impl Iterator<Item = OsString>) -> Result<Command, UsageError> {
    let program = words.next().map_or(Program::Pcsd, |name| Program::named(&name));
    match program {
        Program::Pcsd => parse_pcsd(&mut words),
        Program::Pcsctl => parse_pcsctl(&mut words),
    }
    .map_err(|reason| UsageError { program, reason })
}

type Parsed = Result<Command, String>;

fn parse_pcsd(words: &mut dyn Iterator<Item = OsString>) -> Parsed {
    let word = words.next().ok_or("no command")?;
    let command = match word.as_encoded_bytes() {
        b"run" => return parse_run(words),
        b"selftest" => return parse_selftest(words),
        b"check" => Command::Check { file: words.next().ok_or("check needs a file")?.into() },
        b"version" | b"--version" | b"-V" => Command::Version,
        b"footprint" => Command::Footprint,
        b"help" | b"--help" | b"-h" => Command::Help(Program::Pcsd),
        _ => return Err(unknown(&word)),
    };
    match words.next() {
        None => Ok(command),
        Some(word) => Err(unknown(&word)),
    }
}

fn parse_run(words: &mut dyn Iterator<Item = OsString>) -> Parsed {
    let mut config = PathBuf::from(CONFIG_DEFAULT);
    while let Some(word) = words.next() {
        match option(&word, "--config", words)? {
            Some(value) => config = value.into(),
            None if is_help(&word) => return Ok(Command::Help(Program::Pcsd)),
            None => return Err(unknown(&word)),
        }
    }
    Ok(Command::Run { config })
}

fn parse_selftest(words: &mut dyn Iterator<Item = OsString>) -> Parsed {
    let mut without = None;
    while let Some(word) = words.next() {
        match option(&word, "--without", words)? {
            Some(value) => without = Some(value.to_string_lossy().into_owned()),
            None => return Err(unknown(&word)),
        }
    }
    Ok(Command::Selftest { without })
}

fn parse_pcsctl(words: &mut dyn Iterator<Item = OsString>) -> Parsed {
    let mut socket = PathBuf::from(SOCKET_DEFAULT);
    let (mut subject, mut json) = (None, false);
    while let Some(word) = words.next() {
        if let Some(value) = option(&word, "--socket", words)? {
            socket = value.into();
            continue;
        }
        match (word.as_encoded_bytes(), subject) {
            (b"--json", _) => json = true,
            (b"status", None) => subject = Some(Subject::Status),
            (b"devices", None) => subject = Some(Subject::Devices),
            (b"help", None) => return Ok(Command::Help(Program::Pcsctl)),
            _ if is_help(&word) => return Ok(Command::Help(Program::Pcsctl)),
            _ => return Err(unknown(&word)),
        }
    }
    let subject = subject.ok_or("no command")?;
    Ok(Command::Ask { socket, request: Request { subject, json } })
}

/// The value of option `name` if `word` is that option: the rest of `name=value`, or the next word.
fn option(word: &OsStr, name: &str, words: &mut dyn Iterator<Item = OsString>) -> Result<Option<OsString>, String> {
    use std::os::unix::ffi::OsStrExt;
    match word.as_encoded_bytes().strip_prefix(name.as_bytes()) {
        Some([]) => words.next().map(Some).ok_or_else(|| format!("{name} needs a value")),
        Some([b'=', value @ ..]) => Ok(Some(OsStr::from_bytes(value).into())),
        _ => Ok(None),
    }
}

fn is_help(word: &OsStr) -> bool {
    word == "--help" || word == "-h"
}

fn unknown(word: &OsStr) -> String {
    format!("unknown word '{}'", word.display())
}

impl Program {
    fn named(name: &OsStr) -> Self {
        if Path::new(name).file_name() == Some(OsStr::new("pcsctl")) { Self::Pcsctl } else { Self::Pcsd }
    }

    /// The usage text.
    pub const fn usage(self) -> &'static str {
        match self {
            Self::Pcsd => PCSD_USAGE,
            Self::Pcsctl => PCSCTL_USAGE,
        }
    }
}

impl fmt::Display for UsageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

const CONFIG_DEFAULT: &str = "/etc/config/pcsd";

const PCSD_USAGE: &str = "\
pcsd: the personal communication server

usage: pcsd run [--config FILE]   run the server (default file: /etc/config/pcsd)
       pcsd check FILE            print every fault of a configuration file
       pcsd footprint             print every table's capacity and bytes
       pcsd selftest [--without CHECK]   try timers, sockets and random numbers on this machine
       pcsd version               print the version
       pcsd help                  print this

SIGHUP makes a running server read its file again, SIGTERM stops it.
Exit status: 0 done, 1 failed, 2 wrong usage.
";

const PCSCTL_USAGE: &str = "\
pcsctl: asks a running pcsd

usage: pcsctl [--socket PATH] status [--json]    how the server is
       pcsctl [--socket PATH] devices [--json]   the registered devices

The default socket is /var/run/pcsd.sock.
Exit status: 0 done, 1 failed, 2 wrong usage.
";

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;

    fn words(line: &str) -> Result<Command, UsageError> {
        parse(line.split(' ').map(OsString::from))
    }

    #[test]
    fn server_commands() {
        assert_eq!(words("pcsd run"), Ok(Command::Run { config: "/etc/config/pcsd".into() }));
        assert_eq!(words("/usr/sbin/pcsd run --config /tmp/x"), Ok(Command::Run { config: "/tmp/x".into() }));
        assert_eq!(words("pcsd run --config=/tmp/x"), Ok(Command::Run { config: "/tmp/x".into() }));
        assert_eq!(words("pcsd check f"), Ok(Command::Check { file: "f".into() }));
        assert_eq!(words("pcsd version"), Ok(Command::Version));
        assert_eq!(words("pcsd footprint"), Ok(Command::Footprint));
        for help in ["pcsd help", "pcsd --help", "pcsd run --help"] {
            assert_eq!(words(help), Ok(Command::Help(Program::Pcsd)));
        }
    }

    #[test]
    fn client_commands() {
        let ask =
            |socket: &str, subject, json| Command::Ask { socket: socket.into(), request: Request { subject, json } };
        assert_eq!(words("pcsctl status"), Ok(ask("/var/run/pcsd.sock", Subject::Status, false)));
        assert_eq!(words("/usr/bin/pcsctl --socket s devices --json"), Ok(ask("s", Subject::Devices, true)));
        assert_eq!(words("./pcsctl --json status --socket=s"), Ok(ask("s", Subject::Status, true)));
        assert_eq!(words("pcsctl --help"), Ok(Command::Help(Program::Pcsctl)));
    }

    #[test]
    fn wrong_usage() {
        let reason = |line| words(line).unwrap_err().to_string();
        assert_eq!(reason("pcsd"), "no command");
        assert_eq!(reason("pcsd fly"), "unknown word 'fly'");
        assert_eq!(reason("pcsd version now"), "unknown word 'now'");
        assert_eq!(reason("pcsd check"), "check needs a file");
        assert_eq!(reason("pcsd run --config"), "--config needs a value");
        assert_eq!(reason("pcsd run --configure=x"), "unknown word '--configure=x'");
        assert_eq!(reason("pcsctl"), "no command");
        assert_eq!(reason("pcsctl status devices"), "unknown word 'devices'");
        assert_eq!(words("pcsctl run").unwrap_err().program, Program::Pcsctl);
    }
}
