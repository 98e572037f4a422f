//! The control socket: one line asks, the answer is what comes until the end. And the client for it, `pcsctl`.
//!
//! Requests are `status` and `devices`, each followed by ` json` for a machine, and `backup`, `restore` and `check`, which
//! go on as [`super::storage::job`] says. An answer that begins with `error: ` is one. Whoever may open the socket may ask: its file is for owner and group only.

use super::clock;
use super::driver::Driver;
use super::storage::job::{Job, Task};
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
use std::vec::Vec;

/// Where the socket is, unless the configuration or the command line says otherwise.
pub const SOCKET_DEFAULT: &str = "/var/run/pcsd.sock";

/// Clients served at once; more wait in the backlog.
pub const CLIENTS: usize = 4;

/// What can be asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Request {
    /// About what.
    pub subject: Subject,
    /// Whether the answer is for a machine.
    pub json: bool,
}

/// What can be asked about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Subject {
    /// The server: counters and how full its tables are.
    Status,
    /// The registered devices.
    Devices,
    /// Not a question: something is to be done with the disk.
    Spool(Task),
}

impl Request {
    /// The request that a line makes.
    pub fn parse(line: &[u8]) -> Option<Self> {
        let mut words = line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
        let subject = match words.next()? {
            b"status" => Subject::Status,
            b"devices" => Subject::Devices,
            b"backup" => Subject::Spool(Task::Backup),
            b"restore" => Subject::Spool(Task::Restore),
            b"check" => Subject::Spool(Task::Check),
            _ => return None,
        };
        let json = match words.next() {
            None => false,
            Some(b"json") if !matches!(subject, Subject::Spool(_)) => true,
            Some(_) => return None,
        };
        words.next().is_none().then_some(Self { subject, json })
    }
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.subject {
            Subject::Status => "status",
            Subject::Devices => "devices",
            Subject::Spool(Task::Backup) => "backup",
            Subject::Spool(Task::Restore) => "restore",
            Subject::Spool(Task::Check) => "check",
        })?;
        f.write_str(if self.json { " json" } else { "" })
    }
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
                    let timeout = async {
                        Timer::after(CLIENT_TIMEOUT).await;
                        Err(ErrorKind::TimedOut.into())
                    };
                    if let Err(error) = answer_client(client, driver).or(timeout).await {
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
    let mut line = [0; REQUEST_BYTES];
    let mut len = 0;
    while len < line.len() && !line[..len].contains(&b'\n') {
        match client.read(&mut line[len..]).await? {
            0 => break,
            n => len += n,
        }
    }
    let request = line[..len].split(|byte| *byte == b'\n').next().and_then(Request::parse);
    let answer = match request {
        Some(Request { subject: Subject::Spool(task), .. }) => {
            give_job(driver, Job { task, client: client.into_inner()? });
            return Ok(());
        }
        Some(request) => answer(&mut driver.borrow_mut(), request),
        None => b"error: unknown request\n".to_vec(),
    };
    client.write_all(&answer).await
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
fn answer(driver: &mut Driver, request: Request) -> Vec<u8> {
    let now = clock::now();
    let mut out = Vec::new();
    let storage = driver.records().map(|records| records.status());
    let server = driver.server();
    match (request.subject, request.json) {
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
        (Subject::Spool(_), _) => {}
        (Subject::Devices, false) => server.devices(now).for_each(|device| text_line(&mut out, device)),
        (Subject::Devices, true) => {
            let mut separator = b'[';
            for device in server.devices(now) {
                out.push(separator);
                json(&mut out, &device);
                separator = b',';
            }
            out.extend_from_slice(if separator == b'[' { b"[]\n" } else { b"]\n" });
        }
    }
    out
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

/// Asks the server behind `path` and prints the answer.
///
/// # Errors
/// With the reason in words.
pub fn ask(path: &Path, request: Request, out: &mut impl Write) -> io::Result<()> {
    let mut socket = knock(path, request)?;
    let mut answer = Vec::new();
    socket.read_to_end(&mut answer).map_err(|error| explain(path, &error))?;
    if let Some(error) = answer.strip_prefix(b"error: ") {
        return Err(io::Error::other(std::string::String::from_utf8_lossy(error).trim_end()));
    }
    out.write_all(&answer)?;
    out.flush()
}

/// Connects to the server behind `path` and asks; the answer is to be read.
///
/// # Errors
/// With the reason in words.
pub fn knock(path: &Path, request: Request) -> io::Result<UnixStream> {
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

const REQUEST_BYTES: usize = 256;
const JSON_BYTES: usize = 1024;
const CLIENT_TIMEOUT: Duration = Duration::from_secs(5);
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
const ACCEPT_REST: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;

    #[test]
    fn requests() {
        for subject in [Subject::Status, Subject::Devices] {
            for json in [false, true] {
                let request = Request { subject, json };
                assert_eq!(Request::parse(request.to_string().as_bytes()), Some(request));
            }
        }
        for task in [Task::Backup, Task::Restore, Task::Check] {
            let request = Request { subject: Subject::Spool(task), json: false };
            assert_eq!(Request::parse(request.to_string().as_bytes()), Some(request));
        }
        assert_eq!(Request::parse(b"  status \r"), Some(Request { subject: Subject::Status, json: false }));
        for wrong in [
            &b""[..],
            b"\n",
            b"statu",
            b"status xml",
            b"status json json",
            b"backup json",
            b"STATUS",
            b"json",
            b"\xff\0",
        ] {
            assert_eq!(Request::parse(wrong), None, "{}", wrong.escape_ascii());
        }
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
