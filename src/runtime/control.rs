//! The control socket: one line asks, the answer is what comes until the end. And the client for it, `pcsctl`.
//!
//! Requests are `status`, `devices`, `presence`, `watchers` and `accounts`, each followed by ` json` for a machine;
//! `retry ACCOUNT`, which has an account tried again at once; `tell PERSON TEXT`, which does what the person of that name
//! would reach by writing TEXT to `sip:pcs@DOMAIN`. `letters PERSON`, with ` json` too,
//! lists what is kept for her, `mark PERSON NUMBER read` (or `delete`, `restore`) says what she did with it, `link PERSON` makes
//! a link to it, and `greeting PERSON remove` takes her greeting away. `backup`, `restore`, `check`, `letter PERSON NUMBER` and
//! `greeting PERSON get` go on as [`super::storage::job`] says; `greeting PERSON set BYTES` is followed by so many bytes of
//! G.711 A-law. TEXT is the rest of the line as it is, blanks and UTF-8 included:
//! nothing is quoted or escaped, and it has no line end. A line has [`REQUEST_BYTES`] at most, its end included.
//!
//! An answer that begins with `error: ` is one. Whoever may open the socket may ask, and speak for everybody: its file is
//! for owner and group only.

use super::clock;
use super::driver::Driver;
use super::storage::job::{Job, Task, Wish};
use crate::base::limits::GREETING_SECONDS;
use crate::base::text::{OneLine, Writer};
use crate::server::Server;
use crate::server::commands::Undone;
use crate::server::remote::Mark;
use crate::spool::{Key, Kind};
use crate::web::{GREETING_PIECE_BYTES, GreetingStep, Progress};
use core::cell::RefCell;
use core::fmt;
use core::time::Duration;
use rustix::fs::Mode;
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use serde::Serialize;
use smol::future::FutureExt;
use smol::io::{AsyncReadExt, AsyncWriteExt};
use smol::{Async, Timer};
use std::format;
use std::fs;
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::string::String;
use std::vec::Vec;

/// Where the socket is, unless the configuration or the command line says otherwise.
pub const SOCKET_DEFAULT: &str = "/var/run/pcsd.sock";

/// Clients served at once; more wait in the backlog.
pub const CLIENTS: usize = 4;

/// Bytes of a request's line at most.
pub const REQUEST_BYTES: usize = 1024;

/// What can be asked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Request {
    /// About what.
    pub subject: Subject,
    /// Whether the answer is for a machine.
    pub json: bool,
}

/// What can be asked about.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Subject {
    /// The server: counters and how full its tables are.
    Status,
    /// The registered devices.
    Devices,
    /// How everybody is.
    Presence,
    /// Who watches whom.
    Watchers,
    /// The accounts on other networks.
    Accounts,
    /// Not a question: an account is to be tried again.
    Retry {
        /// The name of its section.
        account: String,
    },
    /// Not a question: something a person says, as she would to `sip:pcs@DOMAIN`.
    Tell {
        /// The name of her section; a word.
        person: String,
        /// What she says; a line.
        text: String,
    },
    /// Not a question: something is to be done with the disk.
    Spool(Task),
    /// What is kept for a person.
    Letters {
        /// The name of her section.
        person: String,
    },
    /// What is in a letter.
    Letter {
        /// The name of her section.
        person: String,
        /// Its number.
        number: u32,
    },
    /// Not a question: what a person has done with a letter.
    Mark {
        /// The name of her section.
        person: String,
        /// Its number.
        number: u32,
        /// What she has done.
        mark: Mark,
    },
    /// A link to what is kept.
    Link {
        /// The name of her section.
        person: String,
    },
    /// What the answering machine says for a person.
    Greeting {
        /// The name of her section.
        person: String,
        /// What is to become of it.
        step: Greeting,
    },
}

/// What is to become of a greeting.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Greeting {
    /// It is to be heard.
    Get,
    /// It is replaced by so many bytes, which follow.
    Set(u32),
    /// It goes.
    Remove,
}

impl Request {
    /// The request that a line makes; without its end.
    pub fn parse(line: &[u8]) -> Option<Self> {
        let (word, rest) = first_word(line.trim_ascii());
        let subject = match word {
            b"status" => Subject::Status,
            b"devices" => Subject::Devices,
            b"presence" => Subject::Presence,
            b"watchers" => Subject::Watchers,
            b"accounts" => Subject::Accounts,
            b"retry" => {
                let account = core::str::from_utf8(rest).ok().filter(|it| is_word(it)).map(String::from)?;
                return Some(Subject::Retry { account }.into());
            }
            b"tell" => {
                let (person, text) = first_word(rest);
                let utf8 = |bytes| core::str::from_utf8(bytes).ok().filter(|it| !it.is_empty()).map(String::from);
                return Some(Subject::Tell { person: utf8(person)?, text: utf8(text)? }.into());
            }
            b"backup" => Subject::Spool(Task::Backup),
            b"restore" => Subject::Spool(Task::Restore),
            b"check" => Subject::Spool(Task::Check),
            b"letters" | b"letter" | b"mark" | b"link" | b"greeting" => return Self::of_letters(word, rest),
            _ => return None,
        };
        match rest {
            b"" => Some(subject.into()),
            b"json" if !matches!(subject, Subject::Spool(_)) => Some(Self { subject, json: true }),
            _ => None,
        }
    }

    fn of_letters(word: &[u8], rest: &[u8]) -> Option<Self> {
        let mut words = core::str::from_utf8(rest).ok()?.split_ascii_whitespace();
        let person = String::from(words.next()?);
        let (second, third) = (words.next(), words.next());
        if words.next().is_some() {
            return None;
        }
        let number = |word: Option<&str>| word?.parse::<u32>().ok();
        let subject = match (word, second, third) {
            (b"letters", None, None) => Subject::Letters { person },
            (b"letters", Some("json"), None) => return Some(Self { subject: Subject::Letters { person }, json: true }),
            (b"letter", Some(_), None) => Subject::Letter { person, number: number(second)? },
            (b"mark", Some(_), Some(mark)) => {
                let (_, mark) = MARKS.into_iter().find(|(known, _)| *known == mark)?;
                Subject::Mark { person, number: number(second)?, mark }
            }
            (b"link", None, None) => Subject::Link { person },
            (b"greeting", Some("get"), None) => Subject::Greeting { person, step: Greeting::Get },
            (b"greeting", Some("remove"), None) => Subject::Greeting { person, step: Greeting::Remove },
            (b"greeting", Some("set"), Some(_)) => Subject::Greeting { person, step: Greeting::Set(number(third)?) },
            _ => return None,
        };
        Some(subject.into())
    }
}

/// The words for what a person has done with a letter.
pub const MARKS: [(&str, Mark); 3] = [("read", Mark::Read), ("delete", Mark::Delete), ("restore", Mark::Restore)];

impl From<Subject> for Request {
    /// For a person's eyes.
    fn from(subject: Subject) -> Self {
        Self { subject, json: false }
    }
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match &self.subject {
            Subject::Status => "status",
            Subject::Devices => "devices",
            Subject::Presence => "presence",
            Subject::Watchers => "watchers",
            Subject::Accounts => "accounts",
            Subject::Retry { account } => return write!(f, "retry {account}"),
            Subject::Tell { person, text } => return write!(f, "tell {person} {text}"),
            Subject::Spool(Task::Backup) => "backup",
            Subject::Spool(Task::Restore) => "restore",
            Subject::Spool(Task::Check) => "check",
            Subject::Letters { person } => {
                return write!(f, "letters {person}{}", if self.json { " json" } else { "" });
            }
            Subject::Letter { person, number } => return write!(f, "letter {person} {number}"),
            Subject::Mark { person, number, mark } => {
                let word = MARKS.into_iter().find(|(_, it)| it == mark).map_or("", |(word, _)| word);
                return write!(f, "mark {person} {number} {word}");
            }
            Subject::Link { person } => return write!(f, "link {person}"),
            Subject::Greeting { person, step: Greeting::Get } => return write!(f, "greeting {person} get"),
            Subject::Greeting { person, step: Greeting::Set(len) } => return write!(f, "greeting {person} set {len}"),
            Subject::Greeting { person, step: Greeting::Remove } => return write!(f, "greeting {person} remove"),
        })?;
        f.write_str(if self.json { " json" } else { "" })
    }
}

/// Whether a text is one word.
fn is_word(text: &str) -> bool {
    !text.is_empty() && !text.contains(|c: char| c.is_whitespace() || c.is_control())
}

/// The first word of a line, and the rest without blanks around it.
fn first_word(line: &[u8]) -> (&[u8], &[u8]) {
    let end = line.iter().position(u8::is_ascii_whitespace).unwrap_or(line.len());
    let (word, rest) = line.split_at(end);
    (word, rest.trim_ascii())
}

/// The socket; its file goes when this does.
pub struct ControlSocket {
    listener: Async<UnixListener>,
    path: PathBuf,
}

impl ControlSocket {
    /// Opens the socket. A file that a dead server left behind is replaced; a live server's is not.
    ///
    /// # Errors
    /// With the path and the reason in words.
    pub fn open(path: &Path) -> io::Result<Self> {
        let explain =
            |error: io::Error| io::Error::new(error.kind(), format!("control socket {}: {error}", path.display()));
        if fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket()) {
            if is_answering(path).map_err(explain)? {
                return Err(explain(io::Error::new(ErrorKind::AddrInUse, "another server answers on it")));
            }
            fs::remove_file(path).map_err(explain)?;
        }
        // The mask makes the file's mode right from its first moment on.
        let former = rustix::process::umask(Mode::from_raw_mode(0o117));
        let listener = UnixListener::bind(path);
        rustix::process::umask(former);
        let listener = listener.and_then(Async::new).map_err(explain)?;
        Ok(Self { listener, path: path.to_path_buf() })
    }

    /// Serves one client after the other, for ever.
    pub async fn serve(&self, driver: &RefCell<Driver>) {
        loop {
            // First wait, then take: with no descriptor left, taking would fail even when nobody knocks.
            let client = match self.listener.readable().await.and_then(|()| self.listener.get_ref().accept()) {
                // Another task was faster.
                Err(error) if error.kind() == ErrorKind::WouldBlock => continue,
                client => client.and_then(|(client, _)| Async::new(client)),
            };
            match client {
                Ok(client) => {
                    if let Err(error) = answer_client(client, driver).await {
                        log::debug!("control client: {error}");
                    }
                }
                Err(error) => {
                    log::warn!("control socket: {error}");
                    Timer::after(ACCEPT_REST).await;
                }
            }
        }
    }
}

impl Drop for ControlSocket {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

/// Whether a server listens behind a socket's file. Does not wait: a server too busy to take us is there too.
fn is_answering(path: &Path) -> io::Result<bool> {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    match rustix::net::connect(&socket, &SocketAddrUnix::new(path)?) {
        Ok(()) | Err(Errno::AGAIN) => Ok(true),
        Err(Errno::CONNREFUSED | Errno::NOENT) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

async fn answer_client(mut client: Async<UnixStream>, driver: &RefCell<Driver>) -> io::Result<()> {
    let mut room = [0; REQUEST_BYTES];
    let (line, rest) = within(CLIENT_TIMEOUT, read_line(&mut client, &mut room)).await?;
    let answer = match line.and_then(Request::parse) {
        Some(Request { subject: Subject::Spool(task), .. }) => {
            give_job(driver, Job { wish: Wish::Whole(task), client: client.into_inner()? });
            return Ok(());
        }
        Some(Request { subject: Subject::Letter { person, number }, .. }) => {
            return give_record(driver, client, &person, |server, out| server.letter(&person, number, out));
        }
        Some(Request { subject: Subject::Greeting { person, step: Greeting::Get }, .. }) => {
            return give_record(driver, client, &person, |server, out| server.greeting_of(&person, out));
        }
        Some(Request { subject: Subject::Greeting { person, step: Greeting::Set(len) }, .. }) => {
            within(GREETING_TIMEOUT, take_greeting(&mut client, driver, &person, (rest, len))).await?
        }
        Some(Request { subject: Subject::Greeting { person, .. }, .. }) => {
            let removed = within(CLIENT_TIMEOUT, async { Ok(take_step(driver, &person, GreetingStep::Remove).await) });
            in_words(removed.await?, "The greeting is that of the house.")
        }
        Some(request) => answer(&mut driver.borrow_mut(), &request),
        None => b"error: unknown request\n".to_vec(),
    };
    within(CLIENT_TIMEOUT, client.write_all(&answer)).await
}

async fn within<T>(limit: Duration, work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    let timeout = async {
        Timer::after(limit).await;
        Err(ErrorKind::TimedOut.into())
    };
    work.or(timeout).await
}

/// Reads up to the first line end: the line, and what has come behind it. Without its end a line may be a part of one, and do
/// something else: then there is none.
async fn read_line<'r>(client: &mut Async<UnixStream>, room: &'r mut [u8]) -> io::Result<(Option<&'r [u8]>, &'r [u8])> {
    let mut len = 0;
    while len < room.len() && !room[..len].contains(&b'\n') {
        match client.read(&mut room[len..]).await? {
            0 => break,
            n => len += n,
        }
    }
    let end = room[..len].iter().position(|byte| *byte == b'\n');
    Ok(end.map_or((None, &[]), |end| (Some(&room[..end]), &room[end + 1..len])))
}

/// Has the thread that owns the disk send a record, if there is one.
fn give_record(
    driver: &RefCell<Driver>,
    client: Async<UnixStream>,
    person: &str,
    find: impl FnOnce(&Server, &mut Writer<'_>) -> Result<Key, Undone>,
) -> io::Result<()> {
    let client = client.into_inner()?;
    let mut room = [0; REASON_BYTES];
    let mut out = Writer::new(&mut room);
    let found = find(driver.borrow().server(), &mut out);
    // What is refused is no record of any key.
    let wish = Wish::Record(*found.as_ref().unwrap_or(&Key { kind: Kind::Other(0), id: 0 }));
    let job = Job { wish, client };
    match found {
        Ok(_) => give_job(driver, job),
        Err(undone) => job.refuse(&reason(undone, person, &out)),
    }
    Ok(())
}

/// Why something was not done.
fn reason(undone: Undone, person: &str, out: &Writer<'_>) -> String {
    match undone {
        Undone::NoPerson => format!("there is no person '{}'", OneLine(person.as_bytes())),
        Undone::Said => format!("{}", OneLine(out.written())),
    }
}

/// The answer to a greeting that was set or removed.
fn in_words(outcome: Result<(), String>, done: &str) -> Vec<u8> {
    match outcome {
        Ok(()) => format!("{done}\n"),
        Err(reason) => format!("error: {reason}\n"),
    }
    .into_bytes()
}

/// Takes a greeting, piece by piece as the disk does. What came before a fault is dropped, and what comes after it is read
/// and left, so that the client reads the reason.
async fn take_greeting(
    client: &mut Async<UnixStream>,
    driver: &RefCell<Driver>,
    person: &str,
    (first, len): (&[u8], u32),
) -> io::Result<Vec<u8>> {
    if len > GREETING_SECONDS as u32 * 8000 || len == 0 {
        return Ok(format!("error: a greeting has 1 to {GREETING_SECONDS} s\n").into_bytes());
    }
    let mut outcome = take_step(driver, person, GreetingStep::Begin).await;
    let mut piece = [0; GREETING_PIECE_BYTES];
    let (mut first, mut left) = (&first[..first.len().min(len as usize)], len as usize);
    while left > 0 {
        let taken = if first.is_empty() {
            let room = left.min(piece.len());
            client.read(&mut piece[..room]).await
        } else {
            let part = first.split_off(..first.len().min(piece.len())).unwrap_or_default();
            piece[..part.len()].copy_from_slice(part);
            Ok(part.len())
        };
        match taken {
            Ok(taken @ 1..) => {
                left -= taken;
                if outcome.is_ok() {
                    outcome = take_step(driver, person, GreetingStep::Data(&piece[..taken])).await;
                }
            }
            ended => {
                let _ = take_step(driver, person, GreetingStep::Abort).await;
                return Err(ended.err().unwrap_or_else(|| ErrorKind::UnexpectedEof.into()));
            }
        }
    }
    if outcome.is_ok() {
        outcome = take_step(driver, person, GreetingStep::Commit).await;
    }
    Ok(in_words(outcome, &format!("The greeting is this, {} s.", len.div_ceil(8000))))
}

/// Makes a step of a greeting, and waits until it is made.
async fn take_step(driver: &RefCell<Driver>, person: &str, step: GreetingStep<'_>) -> Result<(), String> {
    loop {
        let progress = driver.borrow_mut().act(|server, now| server.greeting(now, person, step));
        match progress {
            Ok(Progress::Done) => return Ok(()),
            Ok(Progress::Wait) => drop(Timer::after(DISK_INTERVAL).await),
            Ok(Progress::Failed(why)) => return Err(why.into()),
            Err(undone) => return Err(reason(undone, person, &Writer::new(&mut []))),
        }
    }
}

/// The thread that owns the disk goes on with the client.
fn give_job(driver: &RefCell<Driver>, job: Job) {
    let refused = match driver.borrow_mut().records() {
        Some(records) => records.give(job),
        None => Err((job, "nothing is stored")),
    };
    if let Err((job, why)) = refused {
        job.refuse(why);
    }
}

/// The answer in full. It is as long as the tables are, which are bounded.
fn answer(driver: &mut Driver, request: &Request) -> Vec<u8> {
    let now = clock::now();
    let mut out = Vec::new();
    let storage = driver.records().map(|records| records.status());
    let server = driver.server();
    match (&request.subject, request.json) {
        (Subject::Status, false) => {
            text_line(&mut out, server.status(now));
            storage.into_iter().for_each(|storage| text_line(&mut out, storage));
        }
        (Subject::Status, true) => {
            json(&mut out, &server.status(now));
            if let (Some(storage), Some(b'}')) = (storage, out.last()) {
                out.pop();
                out.extend_from_slice(b",\"storage\":");
                json(&mut out, &storage);
                out.push(b'}');
            }
            out.push(b'\n');
        }
        // Done elsewhere.
        (Subject::Spool(_) | Subject::Letter { .. } | Subject::Greeting { .. }, _) => {}
        (Subject::Letters { person }, json) => match server.letters(person) {
            Some(letters) if json => json_array(&mut out, letters),
            Some(letters) => letters.for_each(|letter| text_line(&mut out, letter)),
            None => return in_words(Err(reason(Undone::NoPerson, person, &Writer::new(&mut []))), ""),
        },
        (Subject::Mark { person, number, mark }, _) => {
            return said(person, |out| driver.act(|server, now| server.mark_letter(now, person, *number, *mark, out)));
        }
        (Subject::Link { person }, _) => {
            return said(person, |out| driver.act(|server, now| server.link(now, person, out)));
        }
        (Subject::Devices, false) => server.devices(now).for_each(|device| text_line(&mut out, device)),
        (Subject::Devices, true) => json_array(&mut out, server.devices(now)),
        (Subject::Presence, false) => server.presence().for_each(|person| text_line(&mut out, person)),
        (Subject::Presence, true) => json_array(&mut out, server.presence()),
        (Subject::Watchers, false) => server.watchers(now).for_each(|watcher| text_line(&mut out, watcher)),
        (Subject::Watchers, true) => json_array(&mut out, server.watchers(now)),
        (Subject::Accounts, false) => server.accounts(now).for_each(|account| text_line(&mut out, account)),
        (Subject::Accounts, true) => json_array(&mut out, server.accounts(now)),
        (Subject::Retry { account }, _) => {
            return said(account, |out| driver.act(|server, now| server.retry(now, account, out)));
        }
        (Subject::Tell { person, text }, _) => tell(driver, person, text, &mut out),
    }
    out
}

/// The answer to something that says why it is not done, and perhaps what it has done.
fn said(person: &str, act: impl FnOnce(&mut Writer<'_>) -> Result<(), Undone>) -> Vec<u8> {
    let mut room = [0; REASON_BYTES];
    let mut out = Writer::new(&mut room);
    match act(&mut out) {
        Ok(()) if out.written().is_empty() => Vec::new(),
        Ok(()) => format!("{}\n", OneLine(out.written())).into_bytes(),
        Err(undone) => in_words(Err(reason(undone, person, &out)), ""),
    }
}

/// Has the server do what a person says, and appends what it answers.
fn tell(driver: &mut Driver, person: &str, text: &str, out: &mut Vec<u8>) {
    let mut room = std::vec![0; WORDS_BYTES];
    let mut words = Writer::new(&mut room);
    let outcome = driver.command(person, text, &mut words);
    if outcome.is_err() {
        out.extend_from_slice(b"error: ");
    }
    match outcome {
        Err(Undone::NoPerson) => text_line(out, format_args!("there is no person '{}'", OneLine(person.as_bytes()))),
        Ok(()) | Err(Undone::Said) => {
            let lines = words.written().split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
            lines.for_each(|line| text_line(out, OneLine(line)));
        }
    }
    if words.finish().is_err() {
        text_line(out, "...");
    }
}

/// Appends a text, ended by a line end.
fn text_line(out: &mut Vec<u8>, value: impl fmt::Display) {
    // Can't fail: a vector takes everything.
    let _ = write!(out, "{value}");
    if out.last() != Some(&b'\n') {
        out.push(b'\n');
    }
}

/// Appends a value in JSON.
fn json(out: &mut Vec<u8>, value: &impl Serialize) {
    let start = out.len();
    for room in [JSON_BYTES, 4 * JSON_BYTES, 16 * JSON_BYTES] {
        out.resize(start + room, 0);
        if let Ok(len) = serde_json_core::to_slice(value, &mut out[start..]) {
            return out.truncate(start + len);
        }
    }
    out.truncate(start);
    out.extend_from_slice(b"null");
}

/// Appends values as an array in JSON, and a line end.
fn json_array(out: &mut Vec<u8>, values: impl Iterator<Item = impl Serialize>) {
    let mut separator = b'[';
    for value in values {
        out.push(separator);
        json(out, &value);
        separator = b',';
    }
    out.extend_from_slice(if separator == b'[' { b"[]\n" } else { b"]\n" });
}

/// Asks the server behind `path` and prints the answer.
///
/// # Errors
/// With the reason in words.
pub fn ask(path: &Path, request: &Request, out: &mut impl Write) -> io::Result<()> {
    let mut socket = knock(path, request)?;
    let mut answer = Vec::new();
    socket.read_to_end(&mut answer).map_err(|error| explain(path, &error))?;
    if let Some(error) = answer.strip_prefix(b"error: ") {
        return Err(io::Error::other(String::from_utf8_lossy(error).trim_end()));
    }
    out.write_all(&answer)?;
    out.flush()
}

/// Connects to the server behind `path` and asks; the answer is to be read.
///
/// # Errors
/// With the reason in words.
pub fn knock(path: &Path, request: &Request) -> io::Result<UnixStream> {
    let connect = || {
        let mut socket = UnixStream::connect(path)?;
        socket.set_read_timeout(Some(ANSWER_TIMEOUT))?;
        socket.write_all(format!("{request}\n").as_bytes())?;
        Ok(socket)
    };
    connect().map_err(|error| explain(path, &error))
}

/// What an error of the control socket means.
pub fn explain(path: &Path, error: &io::Error) -> io::Error {
    let reason = match error.kind() {
        ErrorKind::NotFound | ErrorKind::ConnectionRefused => format!("pcsd is not running ({})", path.display()),
        ErrorKind::PermissionDenied => format!("no permission to open {}", path.display()),
        ErrorKind::WouldBlock | ErrorKind::TimedOut => "pcsd does not answer".into(),
        ErrorKind::UnexpectedEof | ErrorKind::BrokenPipe | ErrorKind::ConnectionReset => "pcsd ended early".into(),
        _ => format!("{}: {error}", path.display()),
    };
    // Not the kind of the error: a broken pipe is none when it is that of our own output.
    io::Error::other(reason)
}

const JSON_BYTES: usize = 1024;
/// Of an answer to what a person says; a longer one is cut.
const WORDS_BYTES: usize = 64 * 1024;
const CLIENT_TIMEOUT: Duration = Duration::from_secs(5);
/// For a greeting, on a disk that is slow.
const GREETING_TIMEOUT: Duration = Duration::from_secs(60);
/// A step that waits for the disk is tried again after so long.
const DISK_INTERVAL: Duration = Duration::from_millis(4);
/// Of a link, or a reason.
const REASON_BYTES: usize = 512;
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
const ACCEPT_REST: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;

    #[test]
    fn requests() {
        for subject in [Subject::Status, Subject::Devices, Subject::Presence, Subject::Watchers, Subject::Accounts] {
            for json in [false, true] {
                let request = Request { subject: subject.clone(), json };
                assert_eq!(Request::parse(request.to_string().as_bytes()), Some(request));
            }
        }
        for task in [Task::Backup, Task::Restore, Task::Check] {
            let request = Request::from(Subject::Spool(task));
            assert_eq!(Request::parse(request.to_string().as_bytes()), Some(request));
        }
        for line in [
            "letters alice",
            "letters alice json",
            "letter alice 12",
            "mark alice 12 read",
            "mark alice 4294967295 restore",
            "link alice",
            "retry alice_jabber",
            "greeting alice get",
            "greeting alice set 400000",
            "greeting alice remove",
        ] {
            assert_eq!(Request::parse(line.as_bytes()).expect(line).to_string(), line);
        }
        assert_eq!(Request::parse(b"  status \r"), Some(Subject::Status.into()));
        for wrong in [
            &b""[..],
            b"\n",
            b"statu",
            b"status xml",
            b"status json json",
            b"backup json",
            b"letters",
            b"letters alice bob",
            b"letter alice",
            b"letter alice -1",
            b"letter alice 4294967296",
            b"mark alice 1 burn",
            b"mark alice read",
            b"greeting alice",
            b"greeting alice set",
            b"greeting alice set x",
            b"greeting alice remove now",
            b"link",
            b"retry",
            b"retry a b",
            b"retry \xff",
            b"accounts alice",
            b"presence alice",
            b"presence alice away",
            b"tell",
            b"tell alice",
            b"tell alice  ",
            b"tell alice caf\xe9",
            b"tell \xff away",
            b"STATUS",
            b"json",
            b"\xff\0",
        ] {
            assert_eq!(Request::parse(wrong), None, "{}", wrong.escape_ascii());
        }
    }

    #[test]
    fn what_a_person_says_is_the_rest_of_the_line() {
        let tell = |person: &str, text: &str| Subject::Tell { person: person.into(), text: text.into() }.into();
        for (line, expected) in [
            ("tell alice away back at 6", tell("alice", "away back at 6")),
            ("tell alice away  \"p\u{e5} lunch\" %20", tell("alice", "away  \"p\u{e5} lunch\" %20")),
            ("tell json json", tell("json", "json")),
            (" tell\talice  who \r", tell("alice", "who")),
        ] {
            assert_eq!(Request::parse(line.as_bytes()), Some(expected), "{line}");
        }
        let request: Request = tell("alice", "away  \"p\u{e5} lunch\"");
        assert_eq!(Request::parse(request.to_string().as_bytes()), Some(request));
    }

    #[test]
    fn a_server_that_ends_is_no_reader_who_has_enough() {
        let error = explain(Path::new("s"), &ErrorKind::BrokenPipe.into());
        assert_eq!(error.to_string(), "pcsd ended early");
        assert_ne!(error.kind(), ErrorKind::BrokenPipe, "which would count as success");
    }

    #[test]
    fn json_grows_as_needed() {
        let mut out = b"x".to_vec();
        let long = "y".repeat(3000);
        json(&mut out, &long.as_str());
        assert_eq!(out, format!("x\"{long}\"").as_bytes());
    }

    #[test]
    fn stale_socket_is_replaced_and_a_live_one_is_not() {
        let path = std::env::temp_dir().join(format!("pcsd-test-{}.sock", std::process::id()));
        drop(UnixListener::bind(&path).unwrap());
        let open = ControlSocket::open(&path).unwrap();
        let error = ControlSocket::open(&path).err().unwrap();
        assert!(error.to_string().contains("another server answers"), "{error}");
        drop(open);
        assert!(!path.exists());
        fs::write(&path, "no socket").unwrap();
        assert!(ControlSocket::open(&path).is_err(), "somebody's file is left alone");
        fs::remove_file(&path).unwrap();
    }
}
