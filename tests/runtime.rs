//! The program as its users meet it: command line, start, stop, reload, control socket. Each test has a directory and
//! ports of its own; nothing sleeps: a test waits for log lines, answers, or the end of the process.

#[path = "runtime/inbox.rs"]
mod inbox;

use pcsd::spool::{Key, Kind, Limits, Memory, Meta, Spool};
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(20);

fn pcsd(words: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_pcsd")).args(words).output().expect("the program runs")
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("output is UTF-8")
}

/// A directory that goes with the test, and the configuration in it.
struct Home {
    directory: PathBuf,
    sip: u16,
}

impl Home {
    fn new(name: &str) -> Self {
        let directory = std::env::temp_dir().join(format!("pcsd-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&directory);
        fs::create_dir_all(&directory).unwrap();
        // A port that is free both ways, and with luck still is when the server opens it.
        let sip = loop {
            let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
            let port = udp.local_addr().unwrap().port();
            if TcpListener::bind(("127.0.0.1", port)).is_ok() {
                break port;
            }
        };
        let home = Self { directory, sip };
        home.configure("");
        home
    }

    fn configure(&self, more: &str) {
        let (sip, socket, directory) = (self.sip, self.socket(), self.directory.display());
        let text = format!(
            "config pcsd 'main'\n\toption domain 'home.example'\n\toption socket '{}'\n\
             \toption state '{directory}/state'\n\toption run_dir '{directory}/run'\n\
             \tlist listen 'udp:127.0.0.1:{sip}'\n\tlist listen 'tcp:127.0.0.1:{sip}'\n{more}\n\
             config person 'alice'\n\toption password 'secret'\n",
            socket.display(),
        );
        fs::write(self.config(), text).unwrap();
    }

    fn config(&self) -> PathBuf {
        self.directory.join("pcsd")
    }

    fn socket(&self) -> PathBuf {
        self.directory.join("control")
    }

    /// `pcsctl`, by a link of that name.
    fn pcsctl(&self, words: &[&str]) -> Output {
        let program = self.directory.join("pcsctl");
        let _ = symlink(env!("CARGO_BIN_EXE_pcsd"), &program);
        Command::new(&program).arg("--socket").arg(self.socket()).args(words).output().unwrap()
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.directory);
    }
}

/// A running server; killed when a test gives up.
struct Daemon {
    child: Child,
    log: Receiver<String>,
}

impl Daemon {
    fn start(config: &Path) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_pcsd"))
            .args(["run", "--config"])
            .arg(config)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let log = lines(child.stderr.take().unwrap());
        let daemon = Self { child, log };
        daemon.await_line("started");
        daemon
    }

    /// Waits for a log line that has `part` in it.
    fn await_line(&self, part: &str) -> String {
        let end = Instant::now() + PATIENCE;
        loop {
            match self.log.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok(line) if line.contains(part) => return line,
                Ok(_) => {}
                Err(RecvTimeoutError::Timeout) => panic!("no log line with '{part}'"),
                Err(RecvTimeoutError::Disconnected) => panic!("the server ended without a log line with '{part}'"),
            }
        }
    }

    fn signal(&self, signal: rustix::process::Signal) {
        rustix::process::kill_process(rustix::process::Pid::from_child(&self.child), signal).unwrap();
    }

    /// Waits for the end of the log, which is the end of the process.
    fn wait(mut self) -> (ExitStatus, Vec<String>) {
        let mut rest = Vec::new();
        let end = Instant::now() + PATIENCE;
        loop {
            match self.log.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok(line) => rest.push(line),
                Err(RecvTimeoutError::Disconnected) => return (self.child.wait().unwrap(), rest),
                Err(RecvTimeoutError::Timeout) => panic!("the server does not stop"),
            }
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn lines(stderr: ChildStderr) -> Receiver<String> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stderr).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                break;
            }
        }
    });
    receiver
}

#[test]
fn words_and_exit_codes() {
    let version = pcsd(&["version"]);
    assert_eq!(
        (version.status.code(), text(&version.stdout)),
        (Some(0), concat!("pcsd ", env!("CARGO_PKG_VERSION"), "\n"))
    );
    let help = pcsd(&["help"]);
    assert_eq!(help.status.code(), Some(0));
    assert!(text(&help.stdout).contains("usage: pcsd run") && help.stderr.is_empty());
    for wrong in [&[][..], &["fly"], &["run", "--fast"], &["check"], &["version", "x"]] {
        let output = pcsd(wrong);
        assert_eq!(output.status.code(), Some(2), "{wrong:?}");
        assert!(text(&output.stderr).contains("usage: pcsd run") && output.stdout.is_empty(), "{wrong:?}");
    }
}

#[test]
fn footprint_adds_up() {
    let output = pcsd(&["footprint"]);
    assert_eq!(output.status.code(), Some(0));
    let rows = text(&output.stdout).lines().skip(1).collect::<Vec<_>>();
    // Behind the total stands what one of some things takes.
    let end = rows.iter().position(|row| row.starts_with("total ")).unwrap();
    let bytes = |row: &str| row.split_whitespace().rev().find_map(|word| word.parse::<u64>().ok()).unwrap();
    let columns =
        |row: &str| row.split_whitespace().rev().map_while(|word| word.parse::<u64>().ok()).collect::<Vec<_>>();
    let (total, tables) = (rows[end], &rows[..end]);
    assert!(rows[end + 1..].iter().all(|row| row.starts_with("a")) && rows.len() > end + 1, "{rows:?}");
    assert!(total.starts_with("total ") && tables.len() >= 3, "{rows:?}");
    // A table's last columns are its places, its bytes, and the bytes of one of them.
    let sum = tables.iter().map(|row| columns(row)[1]).sum::<u64>();
    assert_eq!(bytes(total), sum);
}

#[test]
fn check_prints_faults_with_the_file() {
    let home = Home::new("check");
    let config = home.config();
    let file = config.to_str().unwrap();
    let good = pcsd(&["check", file]);
    assert_eq!((good.status.code(), text(&good.stdout)), (Some(0), &*format!("{file}: ok\n")));

    home.configure("\toption bogus 'x'\n\toption bogus_too 'y'");
    let bad = pcsd(&["check", file]);
    assert_eq!(bad.status.code(), Some(1));
    let faults = text(&bad.stdout).lines().collect::<Vec<_>>();
    assert_eq!(faults.len(), 2, "{faults:?}");
    assert!(
        faults[0].starts_with(&format!("{file}: line 8")) && faults[1].starts_with(&format!("{file}: line 9")),
        "{faults:?}"
    );

    let run = pcsd(&["run", "--config", file]);
    assert_eq!(run.status.code(), Some(1));
    assert!(
        text(&run.stderr).contains(": line 8") && text(&run.stderr).ends_with("has 2 faults\n"),
        "{}",
        text(&run.stderr)
    );
    assert!(!home.socket().exists());
}

#[test]
fn files_that_are_none() {
    let home = Home::new("files");
    let missing = home.directory.join("missing");
    for command in [&["check", missing.to_str().unwrap()][..], &["run", "--config", missing.to_str().unwrap()]] {
        let output = pcsd(command);
        assert_eq!(output.status.code(), Some(1), "{command:?}");
        let said = [text(&output.stdout), text(&output.stderr)].concat();
        assert!(said.contains("missing: can't be read: No such file"), "{said}");
    }
    fs::write(&missing, vec![b'#'; 256 * 1024 + 1]).unwrap();
    let output = pcsd(&["check", missing.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stdout).ends_with("is larger than 256 KB\n"), "{}", text(&output.stdout));
}

#[test]
fn starts_answers_and_stops() {
    let home = Home::new("stop");
    let daemon = Daemon::start(&home.config());

    let mode = fs::metadata(home.socket()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o660);
    let status = home.pcsctl(&["status"]);
    assert_eq!(status.status.code(), Some(0), "{}", text(&status.stderr));
    assert!(!status.stdout.is_empty());
    let json = home.pcsctl(&["status", "--json"]);
    assert!(json.stdout.starts_with(b"{") && json.stdout.ends_with(b"}\n"), "{}", text(&json.stdout));
    let devices = home.pcsctl(&["devices", "--json"]);
    assert!(devices.stdout.starts_with(b"[") && devices.stdout.ends_with(b"]\n"), "{}", text(&devices.stdout));

    let second = pcsd(&["run", "--config", home.config().to_str().unwrap()]);
    assert_eq!(second.status.code(), Some(1));
    assert!(text(&second.stderr).contains("another server answers on it"), "{}", text(&second.stderr));

    // A peer that is connected when the server stops sees the end of its stream.
    let mut peer = TcpStream::connect(("127.0.0.1", home.sip)).unwrap();
    daemon.signal(rustix::process::Signal::TERM);
    let since = Instant::now();
    let (status, log) = daemon.wait();
    assert_eq!(status.code(), Some(0), "{log:?}");
    assert!(since.elapsed() < Duration::from_secs(1), "{:?}", since.elapsed());
    assert!(log.last().is_some_and(|line| line.ends_with("pcsd stopped")), "{log:?}");
    assert!(!home.socket().exists());
    peer.set_read_timeout(Some(PATIENCE)).unwrap();
    assert!(matches!(peer.read(&mut [0; 16]), Ok(0) | Err(_)));
    assert!(UdpSocket::bind(("127.0.0.1", home.sip)).is_ok(), "the port is free again");
}

/// Puts texts into a spool that nobody uses.
fn fill_spool(directory: &Path, texts: &[(u64, &[u8])]) {
    let mut tables = Box::new(Memory::new());
    let disk = pcsd::runtime::disk::make(directory).unwrap();
    let mut spool = Spool::new(disk, &mut tables, Limits::NONE);
    spool.mount(1).unwrap();
    for (id, payload) in texts {
        let meta = Meta { key: Key { kind: Kind::Text, id: *id }, owner: 1, at: 0, blob_bytes: 0 };
        spool.put(&meta, payload).unwrap();
    }
    spool.commit().unwrap();
}

#[test]
fn backup_restore_and_check() {
    let home = Home::new("backup");
    let path = |name: &str| home.directory.join(name).to_str().unwrap().to_string();
    let (spool, file) = (path("spool"), path("backup"));
    let init = pcsd(&["spool", "init", &spool]);
    assert_eq!(init.status.code(), Some(0), "{}", text(&init.stderr));
    let large = vec![0xa5; 60_000];
    fill_spool(home.directory.join("spool").as_path(), &[(1, b"hello"), (2, &large), (3, b"")]);
    home.configure(&format!("\toption spool '{spool}'"));
    let daemon = Daemon::start(&home.config());
    let status = home.pcsctl(&["status", "--json"]);
    let status = text(&status.stdout);
    assert!(status.contains("\"storage\":{\"place\":\"disk\"") && status.contains("\"records\":3"), "{status}");
    let said = |output: Output| {
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        text(&output.stdout).trim_end().to_string()
    };
    let refused = |output: Output| {
        assert_eq!(output.status.code(), Some(1), "{}", text(&output.stdout));
        text(&output.stderr).trim_end().to_string()
    };
    assert!(said(home.pcsctl(&["backup", &file])).ends_with("3 records backed up, 0 damaged"));
    assert!(
        fs::read_dir(&home.directory)
            .unwrap()
            .all(|entry| !text(entry.unwrap().file_name().as_encoded_bytes()).ends_with(".tmp"))
    );
    // Nothing but a file is replaced, and no file of somebody else's is written to.
    assert!(refused(home.pcsctl(&["backup", &path("state")])).ends_with("state: not a file"));
    assert!(refused(home.pcsctl(&["backup", "/dev/null"])).ends_with("not a file"));
    fs::write(path("other.tmp"), "mine").unwrap();
    said(home.pcsctl(&["backup", &path("other")]));
    assert_eq!(fs::read(path("other.tmp")).unwrap(), b"mine");
    fs::remove_file(path("other.tmp")).unwrap();
    assert!(said(home.pcsctl(&["restore", &file])).ends_with("0 records added, 3 were there, 0 damaged"));
    assert!(said(home.pcsctl(&["spool", "check"])).contains(": 3 records in 1 segments"));
    // Somebody else's hands are kept off a spool in use.
    assert!(refused(pcsd(&["spool", "init", &spool])).contains("the server uses it"));
    assert!(refused(pcsd(&["spool", "check", &spool])).contains("`pcsctl spool check`"));
    daemon.signal(rustix::process::Signal::TERM);
    daemon.wait();

    // A new disk.
    fs::rename(&spool, path("old")).unwrap();
    said(pcsd(&["spool", "init", &spool]));
    let daemon = Daemon::start(&home.config());
    let bytes = fs::read(&file).unwrap();
    fs::write(path("cut"), &bytes[..bytes.len() - 1]).unwrap();
    assert_eq!(refused(home.pcsctl(&["restore", &path("cut")])), "the backup is cut off");
    assert_eq!(refused(home.pcsctl(&["restore", &path("pcsd")])), "not a backup of pcsd");
    assert!(refused(home.pcsctl(&["restore", &path("nowhere")])).contains("No such file"));
    assert!(refused(home.pcsctl(&["backup", &path("nowhere/backup")])).contains("No such file"));
    assert!(said(home.pcsctl(&["spool", "check"])).contains(": 0 records"));
    assert!(said(home.pcsctl(&["restore", &file])).ends_with("3 records added, 0 were there, 0 damaged"));
    daemon.signal(rustix::process::Signal::TERM);
    daemon.wait();
    assert!(said(pcsd(&["spool", "check", &spool])).contains(": 3 records in 1 segments"));
    assert!(refused(pcsd(&["spool", "check", &path("state")])).contains("not a spool"));
    assert!(refused(pcsd(&["spool", "init", &spool])).ends_with("a spool already"));
    assert!(refused(pcsd(&["spool", "init", &file])).ends_with("Not a directory (os error 20)"));
    fs::create_dir(path("headless")).unwrap();
    fs::copy(path("spool/log-0000"), path("headless/log-0000")).unwrap();
    assert!(refused(pcsd(&["spool", "init", &path("headless")])).ends_with("pcsd-spool is gone"));

    // Damage is told, and nothing is repaired by looking. What nothing durable follows could be an unfinished write.
    fill_spool(home.directory.join("spool").as_path(), &[(4, b"later")]);
    let log = home.directory.join("spool/log-0000");
    let mut bytes = fs::read(&log).unwrap();
    let at = bytes.windows(5).position(|window| window == b"hello").expect("the text is there");
    bytes[at] ^= 1;
    fs::write(&log, &bytes).unwrap();
    let checked = pcsd(&["spool", "check", &spool]);
    assert_eq!(checked.status.code(), Some(1));
    assert!(text(&checked.stdout).contains("damaged bytes"), "{}", text(&checked.stdout));
    assert_eq!(fs::read(&log).unwrap(), bytes);
}

#[test]
fn without_a_disk_clients_of_the_spool_are_told() {
    let home = Home::new("no-spool");
    let daemon = Daemon::start(&home.config());
    for (words, reason) in [
        (&["backup", "/nonexistent/file"][..], "No such file"),
        (&["restore", "/proc/self/cmdline"], "no spool is configured"),
        (&["spool", "check"], "no spool is configured"),
    ] {
        let output = home.pcsctl(words);
        assert_eq!(output.status.code(), Some(1));
        assert!(text(&output.stderr).contains(reason), "{}", text(&output.stderr));
    }
    drop(daemon);
    let bare = home.directory.join("bare");
    fs::create_dir(&bare).unwrap();
    home.configure(&format!("\toption spool '{}'", bare.display()));
    let daemon = Daemon::start(&home.config());
    let status = home.pcsctl(&["status"]);
    assert!(
        text(&status.stdout).contains("no disk is mounted there; `pcsd spool init DIR`"),
        "{}",
        text(&status.stdout)
    );
    assert_eq!(fs::read_dir(&bare).unwrap().count(), 0, "a bare mount point stays bare");
    drop(daemon);
}

#[test]
fn reload_keeps_running_on_a_fault() {
    let home = Home::new("reload");
    let daemon = Daemon::start(&home.config());
    home.configure("\toption bogus 'x'");
    daemon.signal(rustix::process::Signal::HUP);
    daemon.await_line(": line 8");
    daemon.await_line("has 1 fault: the running configuration is kept");
    assert_eq!(home.pcsctl(&["status"]).status.code(), Some(0));
    fs::remove_file(home.config()).unwrap();
    daemon.signal(rustix::process::Signal::HUP);
    daemon.await_line("can't be read: No such file");
    home.configure("\toption log_level 'debug'");
    daemon.signal(rustix::process::Signal::HUP);
    daemon.await_line("configuration read again");
    assert_eq!(home.pcsctl(&["status"]).status.code(), Some(0));
    daemon.signal(rustix::process::Signal::INT);
    assert_eq!(daemon.wait().0.code(), Some(0));
}

#[test]
fn a_crashed_server_leaves_nothing_in_the_way() {
    let home = Home::new("crash");
    let daemon = Daemon::start(&home.config());
    daemon.signal(rustix::process::Signal::KILL);
    assert_eq!(daemon.wait().0.code(), None);
    assert!(home.socket().exists(), "nobody removed it");
    let output = home.pcsctl(&["status"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).starts_with("pcsd is not running"), "{}", text(&output.stderr));
    let daemon = Daemon::start(&home.config());
    assert_eq!(home.pcsctl(&["status"]).status.code(), Some(0));
    daemon.signal(rustix::process::Signal::TERM);
    assert_eq!(daemon.wait().0.code(), Some(0));
}

#[test]
fn control_clients_are_bounded() {
    let home = Home::new("control");
    let daemon = Daemon::start(&home.config());
    let ask = |request: &[u8]| {
        let mut client = UnixStream::connect(home.socket()).unwrap();
        client.set_read_timeout(Some(PATIENCE)).unwrap();
        client.write_all(request).unwrap();
        let mut answer = Vec::new();
        // A server that has read enough may close while we are not read: that is an end, too.
        let _ = client.read_to_end(&mut answer);
        answer
    };
    assert_eq!(ask(b"say hello\n"), b"error: unknown request\n");
    assert_eq!(ask(&[b'x'; 1024]), b"error: unknown request\n");
    // What has lost its end is not done: the rest may have meant another.
    assert_eq!(ask(&[b"tell alice away ".as_slice(), &[b'x'; 1008]].concat()), b"error: unknown request\n");
    assert_eq!(ask(b"tell alice dance\n"), b"error: I don't understand that. Write: help\n");
    assert_eq!(ask(b"tell nobody away\n"), b"error: there is no person 'nobody'\n");
    assert_eq!(ask(b"presence\n"), b"alice offline\n");
    assert_eq!(ask(b"\n"), b"error: unknown request\n");
    // Silent clients take every place, and lose it after their time: whoever waits is served then.
    let silent = (0..4).map(|_| UnixStream::connect(home.socket()).unwrap()).collect::<Vec<_>>();
    assert!(!ask(b"status\n").is_empty());
    for mut client in silent {
        assert_eq!(client.read(&mut [0; 16]).unwrap(), 0, "silent clients were closed");
    }
    daemon.signal(rustix::process::Signal::TERM);
    assert_eq!(daemon.wait().0.code(), Some(0));
}

#[test]
fn pcsctl_says_what_is_wrong() {
    let home = Home::new("pcsctl");
    let output = home.pcsctl(&["status"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).starts_with("pcsd is not running ("), "{}", text(&output.stderr));
    let output = home.pcsctl(&["dance"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("usage: pcsctl"));
    let output = home.pcsctl(&["--help"]);
    assert_eq!(output.status.code(), Some(0));
    assert!(text(&output.stdout).contains("usage: pcsctl"));

    let listener = UnixListener::bind(home.socket()).unwrap();
    let server = std::thread::spawn(move || {
        let (mut client, _) = listener.accept().unwrap();
        client.read_exact(&mut [0; 7]).unwrap();
        client.write_all(b"error: not today\n").unwrap();
    });
    let output = home.pcsctl(&["status"]);
    server.join().unwrap();
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(1), "not today\n"));

    if rustix::process::geteuid().is_root() {
        println!("skipped: root may open every socket, so 'no permission' can't be seen");
        return;
    }
    fs::remove_file(home.socket()).unwrap();
    let _listener = UnixListener::bind(home.socket()).unwrap();
    fs::set_permissions(home.socket(), fs::Permissions::from_mode(0o000)).unwrap();
    let output = home.pcsctl(&["status"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).starts_with("no permission"), "{}", text(&output.stderr));
}

/// Somebody of another domain who watches Alice, by UDP.
struct Watcher {
    socket: UdpSocket,
    name: &'static str,
    home: u16,
}

impl Watcher {
    fn new(home: &Home, name: &'static str) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Self { socket, name, home: home.sip }
    }

    /// Subscribes, and takes the first NOTIFY.
    fn subscribe(&self) -> String {
        let (port, name) = (self.socket.local_addr().unwrap().port(), self.name);
        let request = format!(
            "SUBSCRIBE sip:alice@home.example SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:{port};branch=z9hG4bK{port}\r\n\
             Max-Forwards: 70\r\nFrom: <sip:{name}@x.test>;tag={port}\r\nTo: <sip:alice@home.example>\r\n\
             Call-ID: {port}@x\r\nCSeq: 1 SUBSCRIBE\r\nContact: <sip:{name}@127.0.0.1:{port}>\r\n\
             Event: presence\r\nAccept: application/pidf+xml\r\nExpires: 600\r\nContent-Length: 0\r\n\r\n"
        );
        self.socket.send_to(request.as_bytes(), ("127.0.0.1", self.home)).unwrap();
        self.await_notify("Subscription-State: ")
    }

    /// Answers NOTIFYs until one has `part` in it.
    fn await_notify(&self, part: &str) -> String {
        let end = Instant::now() + PATIENCE;
        let mut buffer = [0; 8192];
        while Instant::now() < end {
            let (len, from) = self.socket.recv_from(&mut buffer).expect("a NOTIFY comes");
            let message = text(&buffer[..len]);
            if !message.starts_with("NOTIFY ") {
                assert!(message.starts_with("SIP/2.0 20"), "{message}");
                continue;
            }
            let copied = ["Via:", "From:", "To:", "Call-ID:", "CSeq:"];
            let fields = message.split("\r\n").filter(|line| copied.iter().any(|name| line.starts_with(name)));
            let answer = fields.fold("SIP/2.0 200 OK\r\n".to_string(), |answer, line| answer + line + "\r\n");
            self.socket.send_to(format!("{answer}Content-Length: 0\r\n\r\n").as_bytes(), from).unwrap();
            if message.contains(part) {
                return message.into();
            }
        }
        panic!("no NOTIFY with '{part}'")
    }
}

/// What `pcsctl` printed; it has to have worked.
fn said(output: &Output) -> &str {
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), ""), "{}", text(&output.stdout));
    text(&output.stdout)
}

/// What `pcsctl` complained of.
fn refused(output: &Output) -> &str {
    assert_eq!((output.status.code(), text(&output.stdout)), (Some(1), ""), "{}", text(&output.stderr));
    text(&output.stderr)
}

#[test]
fn presence_by_hand_reaches_who_watches() {
    let home = Home::new("presence");
    home.configure("config rule\n\tlist who 'anyone'\n\toption presence 'show'");
    let daemon = Daemon::start(&home.config());
    assert_eq!(said(&home.pcsctl(&["presence"])), "alice offline\n");
    let watcher = Watcher::new(&home, "bob");
    assert!(watcher.subscribe().contains("Subscription-State: active"));
    let since = Instant::now();
    let answer = home.pcsctl(&["presence", "alice", "away", "back at 6, p\u{e5} <lunch>"]);
    assert_eq!(said(&answer), "Others see you away: back at 6, p\u{e5} <lunch>. Say auto to end that.\n");
    watcher.await_notify("back at 6, p\u{e5} &lt;lunch&gt;");
    // One NOTIFY a second, and nothing else wakes the server before its timers of 5 s.
    assert!(since.elapsed() < Duration::from_secs(3), "{:?}", since.elapsed());
    // She has no device, and no word makes her reachable.
    assert_eq!(said(&home.pcsctl(&["presence"])), "alice offline, away, by hand: back at 6, p\u{e5} <lunch>\n");
    assert_eq!(
        said(&home.pcsctl(&["presence", "--json"])),
        "[{\"person\":\"alice\",\"state\":\"offline\",\"activities\":[\"away\"],\
         \"note\":\"back at 6, p\u{e5} <lunch>\",\"by_hand\":true}]\n"
    );
    assert_eq!(said(&home.pcsctl(&["presence", "ALICE", "auto"])), "Others see what your devices say.\n");
    let last = watcher.await_notify("closed");
    assert!(!last.contains("back at 6"), "{last}");
    assert_eq!(said(&home.pcsctl(&["presence"])), "alice offline\n");
    assert_eq!(refused(&home.pcsctl(&["presence", "nobody", "away"])), "there is no person 'nobody'\n");
    let output = home.pcsctl(&["presence", "alice", "dancing"]);
    assert_eq!(output.status.code(), Some(2), "{}", text(&output.stderr));
    drop(daemon);
}

#[test]
fn watchers_wait_for_an_answer() {
    let home = Home::new("watchers");
    let daemon = Daemon::start(&home.config());
    assert_eq!(said(&home.pcsctl(&["watchers"])), "");
    assert_eq!(said(&home.pcsctl(&["watchers", "--json"])), "[]\n");
    let (bob, carl) = (Watcher::new(&home, "bob"), Watcher::new(&home, "carl"));
    for watcher in [&bob, &carl] {
        assert!(watcher.subscribe().contains("Subscription-State: pending"));
    }
    let listed = home.pcsctl(&["watchers"]);
    let mut lines = said(&listed).lines().collect::<Vec<_>>();
    lines.sort_unstable();
    assert_eq!(lines.len(), 2, "{lines:?}");
    for (line, name) in lines.iter().zip(["bob", "carl"]) {
        assert!(line.starts_with(&format!("alice presence {name}@x.test pending, expires ")), "{line}");
        assert!(line.ends_with(" s, pidf, from 127.0.0.1"), "{line}");
    }
    let status = home.pcsctl(&["status"]);
    assert!(said(&status).contains("\nwatchers      2, of them 2 waiting; "), "{}", said(&status));

    // Each by name, though both wait.
    let answer = home.pcsctl(&["allow", "alice", "sip:bob@x.test"]);
    assert_eq!(said(&answer), "bob@x.test may see you.\n");
    bob.await_notify("Subscription-State: active");
    let answer = home.pcsctl(&["deny", "alice", "carl@x.test"]);
    assert_eq!(said(&answer), "carl@x.test sees you offline.\n");
    // Who is denied is not told so, and sees her offline.
    let told = carl.await_notify("Subscription-State: active");
    assert!(told.contains("closed"), "{told}");
    let json = home.pcsctl(&["watchers", "--json"]);
    let json = said(&json);
    assert_eq!(
        json.matches("\"person\":\"alice\",\"subject\":\"person\",\"package\":\"presence\"").count(),
        2,
        "{json}"
    );
    assert_eq!(json.matches("\"state\":\"active\"").count(), 2, "{json}");
    let status = home.pcsctl(&["status", "--json"]);
    assert!(said(&status).contains("\"watches\":2,\"pending\":0,"), "{}", said(&status));
    assert!(said(&status).contains("\"verdicts\":2,"), "{}", said(&status));

    assert_eq!(refused(&home.pcsctl(&["allow", "nobody", "bob@x.test"])), "there is no person 'nobody'\n");
    assert_eq!(home.pcsctl(&["allow", "alice"]).status.code(), Some(2));
    drop(daemon);
}

#[test]
fn who_is_there_and_why() {
    let home = Home::new("explain");
    home.configure(
        "config person 'bob'\n\toption password 'secret'\n\
         config rule\n\tlist who 'anyone'\n\toption messages 'block'\n",
    );
    let daemon = Daemon::start(&home.config());
    said(&home.pcsctl(&["presence", "bob", "busy", "shh"]));
    let who = home.pcsctl(&["who", "alice"]);
    assert_eq!(said(&who), "bob: offline: shh\n");
    let explained = home.pcsctl(&["explain", "alice", "from", "sip:carl@x.test", "message"]);
    assert!(said(&explained).starts_with("carl@x.test is only claimed: "), "{}", said(&explained));
    assert!(said(&explained).contains("the rule in line 10 for anyone"), "{}", said(&explained));
    assert!(!said(&explained).contains("Calls: "), "{}", said(&explained));
    let all = home.pcsctl(&["explain", "alice", "bob"]);
    for aspect in ["bob is a person of the home", "\nPresence: shown as it is: ", "\nMessages: ", "\nCalls: "] {
        assert!(said(&all).contains(aspect), "{}", said(&all));
    }
    assert_eq!(refused(&home.pcsctl(&["explain", "nobody", "bob"])), "there is no person 'nobody'\n");
    assert_eq!(home.pcsctl(&["explain", "alice", "from", "bob", "everything"]).status.code(), Some(2));
    drop(daemon);
}
