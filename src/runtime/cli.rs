//! The command line: one program with two names, `pcsd` (the server) and `pcsctl` (its remote control).

use super::control::{Greeting, MARKS, REQUEST_BYTES, Request, SOCKET_DEFAULT, Subject};
use crate::home::commands;
use core::fmt;
use std::ffi::{OsStr, OsString};
use std::format;
use std::path::{Path, PathBuf};
use std::string::{String, ToString};
use std::vec::Vec;

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
    /// `pcsd pin`
    Pin {
        /// The configuration file.
        config: PathBuf,
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
    /// `pcsctl backup`
    Backup {
        /// The control socket.
        socket: PathBuf,
        /// Where to.
        file: PathBuf,
    },
    /// `pcsctl restore`
    Restore {
        /// The control socket.
        socket: PathBuf,
        /// Where from.
        file: PathBuf,
    },
    /// `pcsctl inbox PERSON show N`
    ShowLetter {
        /// The control socket.
        socket: PathBuf,
        /// Whose.
        person: String,
        /// Its number.
        number: u32,
    },
    /// `pcsctl inbox PERSON save N FILE`
    SaveLetter {
        /// The control socket.
        socket: PathBuf,
        /// Whose.
        person: String,
        /// Its number.
        number: u32,
        /// Where to.
        file: PathBuf,
    },
    /// `pcsctl greeting PERSON FILE`
    SetGreeting {
        /// The control socket.
        socket: PathBuf,
        /// Whose.
        person: String,
        /// Where from.
        file: PathBuf,
    },
    /// `pcsctl greeting PERSON --save FILE`
    SaveGreeting {
        /// The control socket.
        socket: PathBuf,
        /// Whose.
        person: String,
        /// Where to.
        file: PathBuf,
    },
    /// `pcsctl spool check` without a directory: the one the server uses.
    CheckRunning {
        /// The control socket.
        socket: PathBuf,
    },
    /// `spool check DIR`
    CheckSpool {
        /// The spool.
        directory: PathBuf,
    },
    /// `pcsd spool init`
    InitSpool {
        /// What is to be a spool.
        directory: PathBuf,
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
        b"run" => return parse_with_config(words, |config| Command::Run { config }),
        b"pin" => return parse_with_config(words, |config| Command::Pin { config }),
        b"selftest" => return parse_selftest(words),
        b"spool" => parse_spool(words)?,
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

fn parse_spool(words: &mut dyn Iterator<Item = OsString>) -> Parsed {
    let word = words.next().ok_or("spool needs a command")?;
    let directory = words.next().map(PathBuf::from).ok_or("no directory");
    match word.as_encoded_bytes() {
        b"init" => Ok(Command::InitSpool { directory: directory? }),
        b"check" => Ok(Command::CheckSpool { directory: directory? }),
        _ => Err(unknown(&word)),
    }
}

fn parse_with_config(words: &mut dyn Iterator<Item = OsString>, command: fn(PathBuf) -> Command) -> Parsed {
    let mut config = PathBuf::from(CONFIG_DEFAULT);
    while let Some(word) = words.next() {
        match option(&word, "--config", words)? {
            Some(value) => config = value.into(),
            None if is_help(&word) => return Ok(Command::Help(Program::Pcsd)),
            None => return Err(unknown(&word)),
        }
    }
    Ok(command(config))
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
    let (mut json, mut rest) = (false, Vec::new());
    while let Some(word) = words.next() {
        if let Some(value) = option(&word, "--socket", words)? {
            socket = value.into();
        } else if word == "--json" {
            json = true;
        } else if is_help(&word) {
            return Ok(Command::Help(Program::Pcsctl));
        } else {
            rest.push(word);
        }
    }
    let command: Vec<&[u8]> = rest.iter().map(|word| word.as_encoded_bytes()).collect();
    let file = |at: usize| PathBuf::from(&rest[at]);
    let ask = |subject| Command::Ask { socket: socket.clone(), request: Request { subject, json } };
    let (command, takes_json) = match command[..] {
        [] => return Err("no command".into()),
        [b"help"] => (Command::Help(Program::Pcsctl), true),
        [b"status"] => (ask(Subject::Status), true),
        [b"devices"] => (ask(Subject::Devices), true),
        [b"presence"] => (ask(Subject::Presence), true),
        [b"watchers"] => (ask(Subject::Watchers), true),
        [b"accounts"] => (ask(Subject::Accounts), true),
        [b"accounts", b"retry", _] => (ask(Subject::Retry { account: account(&rest[2])? }), false),
        [b"accounts", b"retry"] => return Err("retry needs an account".into()),
        [b"presence" | b"allow" | b"deny" | b"who" | b"explain" | b"busy" | b"missed" | b"buddies", ..] => {
            (ask(tell(&rest)?), false)
        }
        [b"buddy", ..] => (ask(tell_buddy(&rest)?), false),
        [b"inbox", _] => (ask(Subject::Letters { person: person(&rest[1])? }), true),
        [b"inbox", ..] => (parse_inbox(&rest, socket)?, false),
        [b"greeting", ..] => (parse_greeting(&rest, socket)?, false),
        [b"link", _] => (ask(Subject::Link { person: person(&rest[1])? }), false),
        [b"link"] => return Err("link needs a person".into()),
        [b"backup", _] => (Command::Backup { file: file(1), socket }, false),
        [b"restore", _] => (Command::Restore { file: file(1), socket }, false),
        [b"spool", b"check"] => (Command::CheckRunning { socket }, false),
        [b"spool", b"check", _] => (Command::CheckSpool { directory: file(2) }, false),
        [b"backup" | b"restore"] => return Err(format!("{} needs a file", rest[0].display())),
        [b"spool"] => return Err("spool needs a command".into()),
        _ => return Err(unknown(&rest[known_words(&command)])),
    };
    if json && !takes_json { Err("there is no JSON of that".into()) } else { Ok(command) }
}

/// How many words make sense before the one that does not.
fn known_words(words: &[&[u8]]) -> usize {
    let known = match words[0] {
        b"status" | b"devices" | b"watchers" | b"help" => 1,
        b"accounts" if words.get(1) == Some(&&b"retry"[..]) => 3,
        b"accounts" => 1,
        b"backup" | b"restore" | b"link" => 2,
        b"spool" if words.get(1) == Some(&&b"check"[..]) => 3,
        b"spool" => 1,
        _ => 0,
    };
    known.min(words.len() - 1)
}

/// What is done with one letter: `inbox PERSON save N FILE` and so on.
fn parse_inbox(rest: &[OsString], socket: PathBuf) -> Parsed {
    let [_, whom, verb, more @ ..] = rest else { return Err("inbox needs a person".into()) };
    let (person, verb) = (person(whom)?, verb.to_str().unwrap_or_default());
    let mark = MARKS.into_iter().find(|(word, _)| *word == verb).map(|(_, mark)| mark);
    if mark.is_none() && !matches!(verb, "show" | "save") {
        return Err(unknown(&rest[2]));
    }
    let [number, files @ ..] = more else { return Err(format!("{verb} needs the number of a letter")) };
    let number = number.to_str().and_then(|text| text.parse().ok());
    let number = number.ok_or_else(|| format!("'{}' is no number of a letter", more[0].display()))?;
    match (mark, verb, files) {
        (Some(mark), _, []) => Ok(Command::Ask { socket, request: Subject::Mark { person, number, mark }.into() }),
        (None, "show", []) => Ok(Command::ShowLetter { socket, person, number }),
        (None, "save", [file]) => Ok(Command::SaveLetter { socket, person, number, file: file.into() }),
        (None, "save", []) => Err("save needs a file".into()),
        (None, "save", [_, word, ..]) | (_, _, [word, ..]) => Err(unknown(word)),
        _ => Err(unknown(&rest[2])),
    }
}

/// `greeting PERSON FILE`, `greeting PERSON --save FILE`, `greeting PERSON --remove`.
fn parse_greeting(rest: &[OsString], socket: PathBuf) -> Parsed {
    let [_, whom, words @ ..] = rest else { return Err("greeting needs a person".into()) };
    let person = person(whom)?;
    let is = |word: &OsString, name: &str| word.as_encoded_bytes() == name.as_bytes();
    match words {
        [] => Err("greeting needs a WAV file, --save FILE or --remove".into()),
        [word] if is(word, "--remove") => {
            Ok(Command::Ask { socket, request: Subject::Greeting { person, step: Greeting::Remove }.into() })
        }
        [word] if is(word, "--save") => Err("--save needs a file".into()),
        [word, file] if is(word, "--save") => Ok(Command::SaveGreeting { socket, person, file: file.into() }),
        [word, ..] if word.as_encoded_bytes().starts_with(b"--") && !is(word, "--remove") && !is(word, "--save") => {
            Err(unknown(word))
        }
        [file] => Ok(Command::SetGreeting { socket, person, file: file.into() }),
        [.., word] => Err(unknown(word)),
    }
}

/// A name of a person, which may not be that of anybody.
fn person(word: &OsStr) -> Result<String, String> {
    let name = word.to_str().filter(|name| !name.is_empty() && name.len() < REQUEST_BYTES / 2);
    let name = name.filter(|name| !name.contains(|c: char| c.is_whitespace() || c.is_control()));
    name.map(String::from).ok_or_else(|| format!("'{}' is no name of a person", word.display()))
}

/// A name of an account, which may not be that of any.
fn account(word: &OsStr) -> Result<String, String> {
    person(word).map_err(|_| format!("'{}' is no name of an account", word.display()))
}

/// What is said for a person about her list: `buddy add PERSON ALIAS ADDRESS [NAME]` and so on.
fn tell_buddy(words: &[OsString]) -> Result<Subject, String> {
    let verb = words.get(1).and_then(|word| word.to_str()).unwrap_or_default();
    let usage = match verb {
        "add" => "add needs a person, an alias, an address such as xmpp:bob@jabber.example, and perhaps a name",
        "link" | "unlink" => "that needs a person, an alias, and an address such as xmpp:bob@jabber.example",
        "remove" => "remove needs a person and an alias",
        _ if words.len() < 2 => return Err("buddy needs a command".into()),
        _ => return Err(unknown(&words[1])),
    };
    let [_, _, whom, rest @ ..] = words else { return Err(usage.into()) };
    let person = person(whom)?;
    let rest = rest.iter().map(|word| word.to_str().ok_or_else(|| format!("'{}' is not UTF-8", word.display())));
    let said = rest.collect::<Result<Vec<&str>, String>>()?.join(" ").replace(char::is_control, " ");
    let text = format!("{verb} {said}");
    let is_understood = match commands::Command::parse(&text) {
        commands::Command::Add { .. } => verb == "add",
        commands::Command::Link { .. } => verb == "link",
        commands::Command::Unlink { .. } => verb == "unlink",
        commands::Command::Remove(_) => verb == "remove",
        _ => false,
    };
    if is_understood { line_of(person, text) } else { Err(usage.into()) }
}

/// What is said, if it fits a line.
fn line_of(person: String, text: String) -> Result<Subject, String> {
    let subject = Subject::Tell { person, text };
    match Request::from(subject.clone()).to_string().len() < REQUEST_BYTES {
        true => Ok(subject),
        false => Err("that is too long".into()),
    }
}

/// What is said for a person: `presence PERSON STATE [NOTE]`, `allow PERSON ADDRESS` and so on.
fn tell(words: &[OsString]) -> Result<Subject, String> {
    let words = words.iter().map(|word| word.to_str().ok_or_else(|| format!("'{}' is not UTF-8", word.display())));
    let words = words.collect::<Result<Vec<&str>, String>>()?;
    let (verb, person) = (words[0], words.get(1).copied().unwrap_or_default());
    let said = words.get(2..).unwrap_or_default().join(" ");
    let text = match (verb, &*said) {
        ("presence", "") => return Err("presence of a person needs a state".into()),
        ("presence", _) => said.clone(),
        ("who" | "buddies", _) if person.is_empty() => return Err(format!("{verb} needs a person")),
        ("who" | "buddies", "") => verb.into(),
        ("who" | "buddies", _) => return Err(format!("unknown word '{}'", words[2])),
        ("busy" | "missed", _) if person.is_empty() => return Err(format!("{verb} needs a person")),
        ("busy", "--default") => "autoreply default".into(),
        ("busy", _) => format!("autoreply {said}"),
        ("missed", _) => format!("missed {said}"),
        (_, "") => return Err(format!("{verb} needs a person and an address")),
        _ => format!("{verb} {said}"),
    };
    // It is one line, of which nothing is lost.
    let text = text.replace(char::is_control, " ");
    let is_understood = match commands::Command::parse(&text) {
        commands::Command::Show(_) => verb == "presence",
        commands::Command::Who => verb == "who",
        commands::Command::Buddies => verb == "buddies",
        commands::Command::Allow(Some(_)) => verb == "allow",
        commands::Command::Deny(Some(_)) => verb == "deny",
        commands::Command::Explain(..) | commands::Command::Way(_) => verb == "explain",
        commands::Command::Reply(_) => verb == "busy",
        commands::Command::Missed(_) => verb == "missed",
        _ => false,
    };
    if !is_understood {
        return Err(match verb {
            "presence" => format!("'{text}' begins with no state: available, away, busy, offline, auto"),
            "missed" => format!("'{said}' is neither keep nor deliver"),
            "explain" => {
                "explain needs a person, from, an address, and message, call, video, presence or nothing; or a person, to, and \
                 an alias or an address"
                    .into()
            }
            _ => format!("'{}' is no address", text.trim_start_matches(verb).trim_start()),
        });
    }
    if person.is_empty() || person.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return Err(format!("'{person}' is no name of a person"));
    }
    line_of(person.into(), text)
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
       pcsd spool init DIR        make a directory a spool, wherever it lies
       pcsd spool check DIR       say what there is in a spool that nobody uses; writes nothing
       pcsd pin [--config FILE]   print our key as others name it in their configuration
       pcsd footprint             print every table's capacity and bytes, and bytes for each
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
       pcsctl [--socket PATH] presence [--json]  how everybody is
       pcsctl [--socket PATH] presence PERSON STATE [NOTE]
                                                 show others this: available, away, busy, offline, lunch, meeting, phone,
                                                 vacation ...; auto: what the person's devices say
       pcsctl [--socket PATH] who PERSON         whom the person sees, and how they are
       pcsctl [--socket PATH] watchers [--json]  who watches whom, and who waits for an answer
       pcsctl [--socket PATH] allow PERSON ADDRESS
       pcsctl [--socket PATH] deny PERSON ADDRESS
                                                 whether ADDRESS (bob@x.example) may see the person
       pcsctl [--socket PATH] explain PERSON from ADDRESS [message|call|video|presence]
                                                 what becomes of what ADDRESS asks for, by which rule, and why
       pcsctl [--socket PATH] explain PERSON to ALIAS|ADDRESS
                                                 which way a text from the person to that buddy would go now, and why
       pcsctl [--socket PATH] accounts [--json]  the accounts on other networks, and how they are
       pcsctl [--socket PATH] accounts retry NAME
                                                 try account NAME again now
       pcsctl [--socket PATH] buddies PERSON     who is on the person's list, where, and how they are there
       pcsctl [--socket PATH] buddy add PERSON ALIAS ADDRESS [NAME]
                                                 put somebody on it; ADDRESS as in the file: xmpp:bob@jabber.example
       pcsctl [--socket PATH] buddy link|unlink PERSON ALIAS ADDRESS
                                                 give a buddy one more address, or take it away again
       pcsctl [--socket PATH] buddy remove PERSON ALIAS
                                                 take somebody off it
       pcsctl [--socket PATH] inbox PERSON [--json]
                                                 what is kept for the person
       pcsctl [--socket PATH] inbox PERSON show N
                                                 print text N of that
       pcsctl [--socket PATH] inbox PERSON save N FILE
                                                 write it to a file: a recording as WAV, or as Ogg if it came as Opus
       pcsctl [--socket PATH] inbox PERSON read|delete|restore N
                                                 say what became of it; what is deleted can be restored for a day
       pcsctl [--socket PATH] link PERSON        a link to all of that on the page, valid for a day and one opening
       pcsctl [--socket PATH] greeting PERSON FILE.wav | --save FILE.wav | --remove
                                                 what the answering machine says for the person, a minute at most
       pcsctl [--socket PATH] busy PERSON [TEXT | --default]
                                                 what who writes while the person is away is told
       pcsctl [--socket PATH] missed PERSON [keep|deliver]
                                                 whether kept texts wait on the page, or are sent on return
       pcsctl [--socket PATH] backup FILE        write all that is kept on the disk to a file
       pcsctl [--socket PATH] restore FILE       add what is missing from such a file
       pcsctl [--socket PATH] spool check        say what there is on the disk; writes nothing
       pcsctl spool check DIR                    the same of a directory that nobody uses

A person says the same of herself in a message to sip:pcs@DOMAIN.
The default socket is /var/run/pcsd.sock.
Exit status: 0 done, 1 failed, 2 wrong usage.
";

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Result<Command, UsageError> {
        parse(line.split(' ').map(OsString::from))
    }

    #[test]
    fn server_commands() {
        assert_eq!(words("pcsd run"), Ok(Command::Run { config: "/etc/config/pcsd".into() }));
        assert_eq!(words("/usr/sbin/pcsd run --config /tmp/x"), Ok(Command::Run { config: "/tmp/x".into() }));
        assert_eq!(words("pcsd run --config=/tmp/x"), Ok(Command::Run { config: "/tmp/x".into() }));
        assert_eq!(words("pcsd check f"), Ok(Command::Check { file: "f".into() }));
        assert_eq!(words("pcsd pin --config /tmp/x"), Ok(Command::Pin { config: "/tmp/x".into() }));
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
        let (socket, file) = (PathBuf::from("/var/run/pcsd.sock"), PathBuf::from("f"));
        let backup = Command::Backup { socket: socket.clone(), file: file.clone() };
        assert_eq!(words("pcsctl backup f"), Ok(backup));
        let restore = Command::Restore { socket: "s".into(), file: file.clone() };
        assert_eq!(words("pcsctl restore f --socket s"), Ok(restore));
        assert_eq!(words("pcsctl spool check"), Ok(Command::CheckRunning { socket }));
        assert_eq!(words("pcsctl spool check f"), Ok(Command::CheckSpool { directory: file.clone() }));
        assert_eq!(words("pcsd spool check f"), Ok(Command::CheckSpool { directory: file.clone() }));
        assert_eq!(words("pcsd spool init f"), Ok(Command::InitSpool { directory: file }));
        assert_eq!(words("pcsctl --help"), Ok(Command::Help(Program::Pcsctl)));
        assert_eq!(words("pcsctl presence"), Ok(ask("/var/run/pcsd.sock", Subject::Presence, false)));
        assert_eq!(words("pcsctl presence --json"), Ok(ask("/var/run/pcsd.sock", Subject::Presence, true)));
        assert_eq!(words("pcsctl watchers --json --socket s"), Ok(ask("s", Subject::Watchers, true)));
        assert_eq!(words("pcsctl accounts --json --socket s"), Ok(ask("s", Subject::Accounts, true)));
        let retry = Subject::Retry { account: "work".into() };
        assert_eq!(words("pcsctl accounts retry work --socket s"), Ok(ask("s", retry, false)));
    }

    /// What `pcsctl` says for a person when it is called with these words.
    fn told(arguments: &[&str]) -> Result<(String, String), String> {
        let line = core::iter::once("pcsctl").chain(arguments.iter().copied()).map(OsString::from);
        match parse(line) {
            Ok(Command::Ask { request: Request { subject: Subject::Tell { person, text }, json: false }, .. }) => {
                Ok((person, text))
            }
            Ok(other) => panic!("{arguments:?}: {other:?}"),
            Err(error) => Err(error.to_string()),
        }
    }

    #[test]
    fn what_is_said_for_a_person() {
        for (arguments, text) in [
            (&["presence", "alice", "away", "back at 6"][..], "away back at 6"),
            (&["presence", "alice", "away", "back", "at", "6"], "away back at 6"),
            (&["presence", "alice", "busy", "p\u{e5}\nlunch"], "busy p\u{e5} lunch"),
            (&["presence", "alice", "Auto"], "Auto"),
            (&["who", "alice"], "who"),
            (&["buddies", "alice"], "buddies"),
            (&["buddy", "add", "alice", "bob", "xmpp:bob@x.test"], "add bob xmpp:bob@x.test"),
            (&["buddy", "add", "alice", "bob", "irc:bob", "Bob", "S\nx"], "add bob irc:bob Bob S x"),
            (&["buddy", "link", "alice", "bob", "sip:bob@x"], "link bob sip:bob@x"),
            (&["buddy", "link", "alice", "bob", "line:+49 1"], "link bob line:+49 1"),
            (&["buddy", "unlink", "alice", "bob", "irc:bob"], "unlink bob irc:bob"),
            (&["buddy", "remove", "alice", "bob"], "remove bob"),
            (&["explain", "alice", "to", "bob"], "explain to bob"),
            (&["explain", "alice", "to", "irc:bob"], "explain to irc:bob"),
            (&["allow", "alice", "sip:bob@x.test"], "allow sip:bob@x.test"),
            (&["deny", "alice", "carl"], "deny carl"),
            (&["explain", "alice", "from", "sip:bob@x", "message"], "explain from sip:bob@x message"),
            (&["explain", "alice", "bob@x"], "explain bob@x"),
            (&["busy", "alice", "At sea", "until 6"], "autoreply At sea until 6"),
            (&["busy", "alice"], "autoreply "),
            (&["busy", "alice", "--default"], "autoreply default"),
            (&["missed", "alice", "keep"], "missed keep"),
        ] {
            assert_eq!(told(arguments), Ok(("alice".into(), text.into())), "{arguments:?}");
        }
    }

    #[test]
    fn letters_and_greetings() {
        let request = |line: &str| match words(line) {
            Ok(Command::Ask { request, .. }) => request.to_string(),
            other => panic!("{line}: {other:?}"),
        };
        assert_eq!(request("pcsctl inbox alice"), "letters alice");
        assert_eq!(request("pcsctl inbox alice --json"), "letters alice json");
        assert_eq!(request("pcsctl inbox alice read 12"), "mark alice 12 read");
        assert_eq!(request("pcsctl inbox alice restore 12"), "mark alice 12 restore");
        assert_eq!(request("pcsctl link alice"), "link alice");
        assert_eq!(request("pcsctl greeting alice --remove"), "greeting alice remove");
        let (socket, person) = (PathBuf::from(SOCKET_DEFAULT), String::from("alice"));
        let show = Command::ShowLetter { socket: socket.clone(), person: person.clone(), number: 3 };
        assert_eq!(words("pcsctl inbox alice show 3"), Ok(show));
        let save = |file: &str| Command::SaveLetter {
            socket: socket.clone(),
            person: person.clone(),
            number: 3,
            file: file.into(),
        };
        assert_eq!(words("pcsctl inbox alice save 3 f"), Ok(save("f")));
        let set = Command::SetGreeting { socket: socket.clone(), person: person.clone(), file: "f.wav".into() };
        assert_eq!(words("pcsctl greeting alice f.wav"), Ok(set));
        let save = Command::SaveGreeting { socket, person, file: "f.wav".into() };
        assert_eq!(words("pcsctl greeting alice --save f.wav"), Ok(save));
        for (line, reason) in [
            ("pcsctl inbox", "inbox needs a person"),
            ("pcsctl inbox alice show", "show needs the number of a letter"),
            ("pcsctl inbox alice show x", "'x' is no number of a letter"),
            ("pcsctl inbox alice show 1 f", "unknown word 'f'"),
            ("pcsctl inbox alice save 1", "save needs a file"),
            ("pcsctl inbox alice save 1 f g", "unknown word 'g'"),
            ("pcsctl inbox alice read 1 f", "unknown word 'f'"),
            ("pcsctl inbox alice burn 1", "unknown word 'burn'"),
            ("pcsctl inbox alice show 1 --json", "there is no JSON of that"),
            ("pcsctl greeting", "greeting needs a person"),
            ("pcsctl greeting alice", "greeting needs a WAV file, --save FILE or --remove"),
            ("pcsctl greeting alice --save", "--save needs a file"),
            ("pcsctl greeting alice --load f", "unknown word '--load'"),
            ("pcsctl greeting alice f g", "unknown word 'g'"),
            ("pcsctl greeting alice --remove f", "unknown word 'f'"),
            ("pcsctl link", "link needs a person"),
            ("pcsctl link alice bob", "unknown word 'bob'"),
            ("pcsctl busy", "busy needs a person"),
            ("pcsctl missed alice forget", "'forget' is neither keep nor deliver"),
        ] {
            assert_eq!(words(line).unwrap_err().to_string(), reason, "{line}");
        }
    }

    #[test]
    fn what_can_not_be_said() {
        let long = "x".repeat(REQUEST_BYTES);
        for (arguments, reason) in [
            (&["presence", "alice"][..], "presence of a person needs a state"),
            (
                &["presence", "alice", "dancing", "now"],
                "'dancing now' begins with no state: available, away, busy, offline, auto",
            ),
            // Of what could be said to sip:pcs, only what the word before the person means.
            (
                &["presence", "alice", "allow", "bob@x"],
                "'allow bob@x' begins with no state: available, away, busy, offline, auto",
            ),
            (&["presence", "al ice", "away"], "'al ice' is no name of a person"),
            (&["presence", "", "away"], "'' is no name of a person"),
            (&["presence", "a\nb", "away"], "'a\nb' is no name of a person"),
            (&["presence", "alice", "away", &long], "that is too long"),
            (&["allow"], "allow needs a person and an address"),
            (&["deny", "alice"], "deny needs a person and an address"),
            (&["allow", "alice", "bob@x carl@y"], "'bob@x carl@y' is no address"),
            (&["allow", "alice", "<>"], "'<>' is no address"),
            (&["who"], "who needs a person"),
            (&["who", "alice", "bob"], "unknown word 'bob'"),
            (&["buddies"], "buddies needs a person"),
            (&["buddy"], "buddy needs a command"),
            (&["buddy", "burn", "alice"], "unknown word 'burn'"),
            (&["buddy", "remove"], "remove needs a person and an alias"),
            (&["buddy", "remove", "alice", "bob", "carl"], "remove needs a person and an alias"),
            (
                &["buddy", "link", "alice", "bob", "bob@x"],
                "that needs a person, an alias, and an address such as xmpp:bob@jabber.example",
            ),
            (
                &["buddy", "add", "alice", "bob"],
                "add needs a person, an alias, an address such as xmpp:bob@jabber.example, and perhaps a name",
            ),
            (&["buddy", "remove", "al ice", "bob"], "'al ice' is no name of a person"),
            (&["buddy", "add", "alice", "bob", "irc:bob", &long], "that is too long"),
            (&["explain", "alice"], "explain needs a person and an address"),
            (
                &["explain", "alice", "from", "bob@x", "everything"],
                "explain needs a person, from, an address, and message, call, video, presence or nothing; or a person, to, \
                 and an alias or an address",
            ),
            (&["watchers", "alice"], "unknown word 'alice'"),
            (&["allow", "alice", "bob@x", "--json"], "there is no JSON of that"),
        ] {
            assert_eq!(told(arguments), Err(reason.into()), "{arguments:?}");
        }
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
        assert_eq!(reason("pcsctl backup"), "backup needs a file");
        assert_eq!(reason("pcsctl backup f g"), "unknown word 'g'");
        assert_eq!(reason("pcsctl backup f --json"), "there is no JSON of that");
        assert_eq!(reason("pcsctl spool"), "spool needs a command");
        assert_eq!(reason("pcsctl accounts work"), "unknown word 'work'");
        assert_eq!(reason("pcsctl accounts retry"), "retry needs an account");
        assert_eq!(reason("pcsctl accounts retry a b"), "unknown word 'b'");
        assert_eq!(reason("pcsctl accounts retry a --json"), "there is no JSON of that");
        assert_eq!(reason("pcsctl spool init"), "unknown word 'init'");
        assert_eq!(reason("pcsctl spool check f g"), "unknown word 'g'");
        assert_eq!(reason("pcsd spool init"), "no directory");
        assert_eq!(reason("pcsd spool init f g"), "unknown word 'g'");
        assert_eq!(words("pcsctl run").unwrap_err().program, Program::Pcsctl);
    }
}
