//! baresip: a phone with a tone for a microphone and a file for an ear, driven over its control port.

use crate::daemon::{DOMAIN, PASSWORD, sip};
use crate::harness::{Lines, PATIENCE, Place, Program, find, free_port, wait_open_udp, wait_until};
use crate::tone;
use std::fs;
use std::io::{BufReader, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

/// What a phone is to be.
#[derive(Clone, Copy)]
pub struct Setup<'a> {
    /// Its person.
    pub user: &'a str,
    /// The domain it belongs to.
    pub domain: &'a str,
    /// The password it has.
    pub password: &'a str,
    /// The server.
    pub server: SocketAddr,
    /// `udp`, `tcp` or `tls`, where it checks nobody's certificate.
    pub transport: &'a str,
    /// Its own address.
    pub ip: IpAddr,
    /// Whether it answers calls by itself.
    pub answers: bool,
    /// What it plays into its calls.
    pub tone_hz: u32,
    /// A WAV file of 8 kHz that it plays instead.
    pub plays: Option<&'a Path>,
    /// Parameters of its account, each with its semicolon.
    pub more: &'a str,
    /// Whom it writes to: a person of the home, or `user@domain`.
    pub contact: &'a str,
    /// Whether it subscribes to the presence of its contact.
    pub watches: bool,
    /// The network namespace; there it has no control port.
    pub namespace: Option<&'a str>,
}

impl<'a> Setup<'a> {
    /// A phone over UDP on 127.0.0.1 that lets itself be driven.
    pub fn new(user: &'a str, server: SocketAddr) -> Self {
        let ip = IpAddr::V4(Ipv4Addr::LOCALHOST);
        Self {
            user,
            domain: DOMAIN,
            password: PASSWORD,
            server,
            transport: "udp",
            ip,
            answers: false,
            tone_hz: 440,
            plays: None,
            more: "",
            contact: "nobody",
            watches: false,
            namespace: None,
        }
    }

    /// Starts it as `name`, which is unique in the test, and lets it register.
    pub fn start(self, place: &Place, name: &str) -> Baresip {
        let directory = place.directory(name);
        let recordings = place.directory(&format!("{name}/recordings"));
        let (port, rtp, control) = (free_port(), free_port(), free_port());
        let Self { user, domain, password, server, transport, ip, tone_hz, more, contact, watches, .. } = self;
        let tone = directory.join("tone.wav");
        match self.plays {
            Some(file) => drop(fs::copy(file, &tone).expect("what it plays is there")),
            None => tone::write(&tone, tone_hz, 30),
        }
        let local = SocketAddr::new(ip, port);
        let (modules, tone, recorded) = (MODULES, tone.display(), recordings.display());
        let config = format!(
            "sip_listen {local}\nnet_interface {ip}\naudio_source aufile,{tone}\naudio_player aufile,null\n\
             audio_srate 8000-8000\naudio_channels 1-1\nrtp_ports {rtp}-{}\nmodule_path {}\nmodule g711.so\n\
             module aufile.so\nmodule sndfile.so\nmodule uuid.so\nsnd_path {recorded}\nmodule_app account.so\nmodule_app contact.so\n\
             module_app menu.so\nmodule_app ctrl_tcp.so\nctrl_tcp_listen 127.0.0.1:{control}\n{}",
            rtp + 1,
            modules.iter().find(|folder| Path::new(folder).exists()).unwrap_or(&modules[0]),
            if watches { "module_app presence.so\n" } else { "" },
        );
        let answer_mode = if self.answers { "auto" } else { "manual" };
        // Parameters of its own address would go into those that it calls.
        let account = format!(
            "<sip:{user}@{domain}>;auth_user={user};auth_pass={password};\
             outbound=\"sip:{server};transport={transport}\";regint=3600;answermode={answer_mode};\
             audio_codecs=pcma{more}\n"
        );
        let contact = if contact.contains('@') { format!("sip:{contact}") } else { sip(contact) };
        let contacts = format!("\"them\" <{contact}>{}\n", if watches { ";presence=p2p" } else { "" });
        let files = [("config", config), ("accounts", account), ("contacts", contacts)];
        for (file, text) in files {
            fs::write(directory.join(file), text).expect("a file for baresip can be written");
        }
        // Without stdbuf its trace would come in blocks.
        let mut command = crate::network::command(self.namespace, &find("stdbuf"));
        command.args(["-oL", "-eL"]).arg(find("baresip")).arg("-f").arg(&directory).args(["-s", "-v"]);
        let program = Program::start(name, &mut command);
        let events = Lines::default();
        let control = match self.namespace {
            Some(_) => None,
            None => {
                wait_open_udp(ip, port);
                let control = wait_until("baresip opens its control port", || {
                    TcpStream::connect((Ipv4Addr::LOCALHOST, control)).ok()
                });
                collect_events(control.try_clone().expect("the control connection is shared"), events.clone());
                Some(control)
            }
        };
        Baresip { name: name.into(), program, control, events, recordings, commands: 0, seen: 0, local }
    }
}

/// A running phone.
pub struct Baresip {
    name: String,
    /// The process; its output has a trace of all SIP messages.
    pub program: Program,
    control: Option<TcpStream>,
    events: Lines,
    recordings: PathBuf,
    /// How many commands it was given.
    commands: usize,
    /// Events that were waited for.
    seen: usize,
    /// Where it listens.
    pub local: SocketAddr,
}

impl Baresip {
    /// Lets it do something: a command of its menu, and what it is about. What it answers, as JSON.
    pub fn command(&mut self, command: &str, about: &str) -> String {
        self.commands += 1;
        let token = format!("{command} {}", self.commands);
        let json = format!("{{\"command\":\"{command}\",\"params\":\"{about}\",\"token\":\"{token}\"}}");
        let from = self.events.len();
        let control = self.control.as_mut().expect("a phone in a namespace has no control port");
        write!(control, "{}:{json},", json.len()).expect("baresip listens");
        let token = format!("\"token\":\"{token}\"");
        let answered = self.events.wait(PATIENCE, from, |line| line.contains("\"response\"") && line.contains(&token));
        answered.unwrap_or_else(|| panic!("{} does not answer to '{command}'", self.name)).1
    }

    /// Waits until it sees its contact so: `Online`, `Offline` or `Busy`, or `Unknown` before it has been told. Somebody away is
    /// offline for baresip 1.0, see [`Self::await_away`].
    pub fn await_contact(&mut self, state: &str) {
        // It is coloured: an escape sequence stands before and behind it.
        let coloured = format!("m{state}\\u001B");
        let end = Instant::now() + PATIENCE;
        loop {
            let from = self.program.output.len();
            let seen = self.command("contacts", "");
            if seen.contains(&coloured) {
                return;
            }
            assert!(Instant::now() < end, "{} does not see its contact {state}: {seen}", self.name);
            // It says when it sees a change, but not the first.
            self.program.output.wait(LOOK_AGAIN, from, |line| line.contains("> changed status from "));
        }
    }

    /// Waits until it is told, after line number `from` of its trace, that its contact is away: open, with that activity.
    pub fn await_away(&mut self, from: usize) {
        let told = self.await_trace(from, "<basic>open</basic>");
        self.await_trace(told, "<rpid:away/>");
        self.await_contact("Offline");
    }

    /// What it publishes of itself.
    pub fn publish(&mut self, is_online: bool) {
        self.command(if is_online { "presence_online" } else { "presence_offline" }, "");
    }

    /// Calls somebody.
    pub fn dial(&mut self, address: &str) {
        self.command("dial", address);
    }

    /// Takes the call that comes in.
    pub fn accept(&mut self) {
        self.command("accept", "");
    }

    /// Ends the call, or refuses it.
    pub fn hang_up(&mut self) {
        self.command("hangup", "");
    }

    /// Writes to its contact.
    pub fn write(&mut self, text: &str) {
        self.command("contact_next", "");
        self.command("message", text);
    }

    /// Presses keys in its call (RFC 4733).
    pub fn press(&mut self, keys: &str) {
        self.command("sndcode", keys);
    }

    /// Lets it sign off and end.
    pub fn quit(&mut self) {
        self.command("quit", "");
        assert!(self.program.wait(PATIENCE).success(), "{} ends in order", self.name);
    }

    /// Waits until it has registered for the first time.
    pub fn await_registered(&self) {
        // The event comes before anybody can listen to it.
        self.program.await_line(0, "} 200 OK (");
    }

    /// Waits for the next event that has this in it, after those that were waited for before.
    pub fn await_event(&mut self, kind: &str) -> String {
        let found = self.events.wait(PATIENCE, self.seen, |line| line.contains(kind));
        let Some((at, line)) = found else {
            println!("---- events of {}: {:#?}", self.name, self.events.since(0));
            panic!("{}: no event {kind}", self.name);
        };
        self.seen = at + 1;
        line
    }

    /// Whether there ever was an event of this kind.
    pub fn has_seen(&self, kind: &str) -> bool {
        self.events.count(kind) > 0
    }

    /// Waits until a line of its trace from number `from` on has `part` in it.
    pub fn await_trace(&self, from: usize, part: &str) -> usize {
        self.program.await_line(from, part).0
    }

    /// The SIP messages of its trace, sent and received, as lines.
    pub fn messages(&self) -> Vec<Vec<String>> {
        let mut messages = Vec::new();
        let mut message = None;
        for line in self.program.output.since(0) {
            let is_way = ["UDP ", "TCP ", "TLS "].iter().any(|begin| line.starts_with(begin)) && line.contains(" -> ");
            if is_way {
                message = Some(Vec::new());
            } else if let Some(lines) = &mut message {
                // The colours end with the message.
                let is_last = line.ends_with("\u{1b}[;m");
                lines.push(line);
                if is_last {
                    messages.extend(message.take());
                }
            }
        }
        messages
    }

    /// Waits until it has heard at least this much of its latest call.
    pub fn await_heard(&self, seconds: usize) {
        wait_until(&format!("{} hears {seconds} s", self.name), || {
            let len = fs::metadata(self.latest_recording()?).ok()?.len();
            (len as usize > seconds * tone::RATE * 2).then_some(())
        });
    }

    /// What it heard in its latest call.
    pub fn heard(&self) -> Vec<i16> {
        tone::read(&self.latest_recording().expect("it recorded a call"))
    }

    fn latest_recording(&self) -> Option<PathBuf> {
        let files = fs::read_dir(&self.recordings).ok()?.filter_map(|entry| Some(entry.ok()?.path()));
        files.filter(|path| path.to_string_lossy().ends_with("dec.wav")).max()
    }
}

/// Takes the control port's netstrings apart.
fn collect_events(stream: TcpStream, events: Lines) {
    thread::spawn(move || {
        let mut stream = BufReader::new(stream);
        while let Some(event) = netstring(&mut stream) {
            events.push(event);
        }
    });
}

fn netstring(stream: &mut impl Read) -> Option<String> {
    let mut len = 0;
    let mut byte = [0];
    loop {
        stream.read_exact(&mut byte).ok()?;
        match byte[0] {
            digit @ b'0'..=b'9' => len = len * 10 + usize::from(digit - b'0'),
            b':' => break,
            _ => return None,
        }
    }
    let mut text = vec![0; len + 1];
    stream.read_exact(&mut text).ok()?;
    text.pop();
    Some(String::from_utf8_lossy(&text).into_owned())
}

const LOOK_AGAIN: Duration = Duration::from_secs(1);
const MODULES: [&str; 2] = ["/usr/lib/baresip/modules", "/usr/lib/x86_64-linux-gnu/baresip/modules"];
