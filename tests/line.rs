//! The examples of the README, as they stand there, run at the other end of a line: a doorbell, signal-cli, a lamp.
//!
//! signal-cli is played by the test, in the shape of its JSON-RPC. An example whose interpreter is missing is skipped, and
//! that is said.

use std::fs;
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command as Process, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant as Clock};

use pcsd::base::random::Random;
use pcsd::base::text::Writer;
use pcsd::base::time::Instant;
use pcsd::bridge::line::Line;
use pcsd::bridge::{Command, Env, Event, Link, OUT_BYTES, Outcome, SCRATCH_BYTES, Step};
use pcsd::config::model::{Account, LineWay, Network, Password, Security};

const PATIENCE: Duration = Duration::from_secs(20);
const POLL: Duration = Duration::from_millis(20);
const WINDOW_BYTES: usize = 2048;

#[test]
fn the_doorbell_rings() {
    let Some(place) = Place::with("doorbell.sh", "sh") else { return };
    let button = place.0.join("button");
    let (ours, theirs) = UnixStream::pair().unwrap();
    let mut bell = Process::new("sh");
    bell.arg("doorbell.sh").env("BUTTON", &button).current_dir(&place.0);
    bell.stdin(Stdio::from(std::os::fd::OwnedFd::from(theirs.try_clone().unwrap())));
    bell.stdout(Stdio::from(std::os::fd::OwnedFd::from(theirs)));
    let _bell = Guest::new(bell);
    let mut home = Home::new(ours, LineWay::Tcp);
    assert_eq!(home.hear(), "online");
    wait_for(|| button.exists());
    // Held open, so that it is not forgotten before the bell looks.
    let mut finger = fs::OpenOptions::new().read(true).write(true).open(&button).unwrap();
    finger.write_all(b"\n").unwrap();
    assert_eq!(home.hear(), "doorbell: Somebody is at the door");
}

#[test]
fn signal_is_bridged() {
    let Some(place) = Place::with("signal.py", "python3") else { return };
    let signal = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut bridge = Process::new("python3");
    let rpc = signal.local_addr().unwrap().to_string();
    bridge.args(["signal.py", &port.to_string(), &rpc, "+4915550100"]).current_dir(&place.0);
    let _bridge = Guest::new(bridge);
    let mut ours = None;
    wait_for(|| {
        ours = TcpStream::connect(("127.0.0.1", port)).ok();
        ours.is_some()
    });
    let mut home = Home::new(ours.unwrap(), LineWay::Tcp);
    let signal = signal.accept().unwrap().0;
    let mut asked = BufReader::new(signal.try_clone().unwrap()).lines();
    let answer = |line: &str| (&signal).write_all(format!("{line}\n").as_bytes()).unwrap();
    assert_eq!(home.hear(), "online");
    assert!(home.line.abilities().keeps);

    let send = |id| Command::Send { to: "+4915550199", text: "Dinner's \u{1f372}\nat 6", id, is_automatic: false };
    assert_eq!(home.command(&send(7)), Outcome::Done);
    let request = asked.next().unwrap().unwrap();
    for part in [
        r#""method": "send""#,
        r#""id": 7"#,
        r#""account": "+4915550100""#,
        r#""recipient": ["+4915550199"]"#,
        r"\ud83c\udf72\nat 6",
    ] {
        assert!(request.contains(part), "{part} in {request}");
    }
    answer(r#"{"jsonrpc":"2.0","result":{"timestamp":1700000000123,"results":[{"type":"SUCCESS"}]},"id":7}"#);
    assert_eq!(home.hear(), "Sent { id: 7 }");
    assert_eq!(home.command(&send(8)), Outcome::Done);
    asked.next().unwrap().unwrap();
    answer(r#"{"jsonrpc":"2.0","error":{"code":-1,"message":"Unregistered user"},"id":8}"#);
    assert!(home.hear().starts_with("Failed { id: 8,"));

    let envelope = |rest: &str| {
        let envelope = format!(r#"{{"source":"+4915550199","sourceName":"Bob","timestamp":1700000001456,{rest}}}"#);
        format!(r#"{{"jsonrpc":"2.0","method":"receive","params":{{"account":"+4915550100","envelope":{envelope}}}}}"#)
    };
    answer(&envelope(r#""typingMessage":{"action":"STARTED","timestamp":1700000001456}"#));
    assert_eq!(home.hear(), "Typing { who: \"+4915550199\", is_on: true }");
    answer(&envelope(r#""receiptMessage":{"isDelivery":true,"timestamps":[1700000000123]}"#));
    answer(&envelope(
        r#""dataMessage":{"timestamp":1700000001456,"message":"\u00c0 6 \ud83d\ude00","groupInfo":null}"#,
    ));
    assert_eq!(home.hear(), "+4915550199: \u{c0} 6 \u{1f600} at 1700000001");
    assert_eq!(home.command(&Command::Settled { token: 1, is_taken: true }), Outcome::Done);
}

#[test]
fn the_lamp_is_a_buddy() {
    let Some(place) = Place::with("lamp.py", "python3") else { return };
    let (socket, led) = (place.0.join("lamp.sock"), place.0.join("brightness"));
    fs::write(&led, "0\n").unwrap();
    let mut lamp = Process::new("python3");
    lamp.args([Path::new("lamp.py"), &socket, &led]).current_dir(&place.0);
    let _lamp = Guest::new(lamp);
    let mut ours = None;
    wait_for(|| {
        ours = UnixStream::connect(&socket).ok();
        ours.is_some()
    });
    let mut home = Home::new(ours.unwrap(), LineWay::Local);
    assert_eq!((home.hear().as_str(), home.hear().as_str()), ("online", "lamp is Available: off"));
    let on = Command::Send { to: "lamp", text: "on", id: 1, is_automatic: false };
    assert_eq!(home.command(&on), Outcome::Done);
    let mut told = [home.hear(), home.hear()];
    told.sort();
    assert_eq!(told, ["Sent { id: 1 }", "lamp is Available: on"]);
    fs::write(&led, "0").unwrap();
    // While it is being written it may be seen empty.
    let mut last = home.hear();
    while last != "lamp is Available: off" {
        last = home.hear();
    }
}

/// The home's end of a line: a connector over a socket.
struct Home<S> {
    line: Line,
    account: Account,
    random: Random,
    start: Clock,
    socket: S,
    window: Vec<u8>,
}

trait Socket: Read + Write {
    fn set_patience(&self);
}

impl Socket for TcpStream {
    fn set_patience(&self) {
        self.set_read_timeout(Some(POLL)).unwrap();
    }
}

impl Socket for UnixStream {
    fn set_patience(&self) {
        self.set_read_timeout(Some(POLL)).unwrap();
    }
}

impl<S: Socket> Home<S> {
    fn new(socket: S, way: LineWay) -> Self {
        socket.set_patience();
        let account = account(way);
        let (line, random, start) = (Line::new(), Random::new(), Clock::now());
        let mut home = Self { line, account, random, start, socket, window: Vec::new() };
        home.with(|line, env| line.begin(env));
        home.with(|line, env| line.connected(env, Link(0), false));
        home
    }

    /// Has the connector do something, and sends what it says.
    fn with<T>(&mut self, work: impl FnOnce(&mut Line, &mut Env<'_, '_>) -> T) -> T {
        let mut buffer = vec![0; OUT_BYTES];
        let mut out = Writer::new(&mut buffer);
        let now = Instant::from_millis(self.start.elapsed().as_millis() as u64 + 1);
        let mut env = Env { now, time: None, random: &mut self.random, account: &self.account, out: &mut out };
        let result = work(&mut self.line, &mut env);
        self.socket.write_all(out.written()).unwrap();
        result
    }

    fn command(&mut self, command: &Command<'_>) -> Outcome {
        self.with(|line, env| line.command(env, command))
    }

    /// The next that is told.
    fn hear(&mut self) -> String {
        let (until, mut scratch) = (Clock::now() + PATIENCE, vec![0; SCRATCH_BYTES]);
        while Clock::now() < until {
            if let Some(word) = self.with(|line, env| {
                let is_due = line.deadline().is_some_and(|at| at <= env.now);
                if is_due { word(&line.due(env, &mut scratch)) } else { None }
            }) {
                return word;
            }
            let window = self.window.clone();
            let is_full = window.len() == WINDOW_BYTES;
            let (taken, told, goes_on) = self.with(|line, env| {
                let (taken, step) = line.received(env, Link(0), (&window, is_full), &mut scratch);
                (taken, word(&step), !matches!(step, Step::Nothing))
            });
            self.window.drain(..taken);
            if let Some(told) = told {
                return told;
            }
            if goes_on {
                continue;
            }
            let mut room = vec![0; WINDOW_BYTES - self.window.len()];
            match self.socket.read(&mut room) {
                Ok(0) => panic!("the other end has closed"),
                Ok(len) => self.window.extend_from_slice(&room[..len]),
                Err(fault) => assert!(matches!(fault.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut), "{fault}"),
            }
        }
        panic!("nothing was told");
    }
}

fn word(step: &Step<'_>) -> Option<String> {
    Some(match step {
        Step::Nothing | Step::Quiet => return None,
        Step::Event(Event::Online { .. }) => "online".into(),
        Step::Event(Event::Message(message)) => {
            let at = message.at.map_or(String::new(), |at| format!(" at {}", at.0));
            format!("{}: {}{at}", message.who, message.text)
        }
        Step::Event(Event::Presence { who, show, text, .. }) => format!("{who} is {show:?}: {text}"),
        Step::Event(event) => format!("{event:?}"),
        step => format!("{step:?}"),
    })
}

fn account(way: LineWay) -> Account {
    Account {
        id: "bell".try_into().unwrap(),
        person: 0,
        network: Network::Line,
        address: heapless::String::new(),
        login: heapless::String::new(),
        password: Password::default(),
        host: heapless::String::new(),
        port: None,
        way,
        path: heapless::String::new(),
        security: Security::Usual,
        pins: heapless::Vec::new(),
        ca: heapless::String::new(),
    }
}

/// A folder of its own with one example of the README.
struct Place(PathBuf);

impl Place {
    /// `None` when there is nobody to run it.
    fn with(name: &str, interpreter: &str) -> Option<Self> {
        if Process::new(interpreter).arg("-c").arg("").status().is_err() {
            println!("skipped: {name}, there is no {interpreter}");
            return None;
        }
        let readme = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap();
        let start = readme.find(&format!("# {name}, run by")).expect("the README has it");
        let end = start + readme[start..].find("\n```").unwrap() + 1;
        let folder = std::env::temp_dir().join(format!("pcsd-line-{}-{name}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join(name), &readme[start..end]).unwrap();
        Some(Self(folder))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A process that is ended with its children.
struct Guest(Child);

impl Guest {
    fn new(mut command: Process) -> Self {
        use std::os::unix::process::CommandExt;
        Self(command.process_group(0).spawn().unwrap())
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        let group = format!("-{}", self.0.id());
        let _ = Process::new("kill").args(["-KILL", "--", &group]).status();
        let _ = self.0.wait();
    }
}

fn wait_for(mut is_so: impl FnMut() -> bool) {
    let until = Clock::now() + PATIENCE;
    while !is_so() {
        assert!(Clock::now() < until, "it does not happen");
        sleep(POLL);
    }
}
