//! SIPp: scenarios of the folder `sipp`, each one call, checked by the scenario itself.

use crate::daemon::{DOMAIN, Daemon, PASSWORD};
use crate::harness::{PATIENCE, Place, Program, find, wait_until};
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// One run of SIPp.
#[derive(Clone, Copy)]
pub struct Sipp<'a> {
    /// Name of the scenario's file, without `.xml`.
    pub scenario: &'a str,
    /// The server, which it sends to first.
    pub server: SocketAddr,
    /// Where it is.
    pub local: SocketAddr,
    /// `u1` for UDP, `t1` for TCP.
    pub transport: &'a str,
    /// Whose login it uses.
    pub user: &'a str,
    /// Whom it calls or writes to; the scenario's `[service]`.
    pub to: &'a str,
    /// The network namespace.
    pub namespace: Option<&'a str>,
}

/// A scenario being played.
pub struct Playing {
    program: Program,
    trace: PathBuf,
    scenario: String,
}

impl<'a> Sipp<'a> {
    /// A scenario over UDP with a server on 127.0.0.1.
    pub fn new(scenario: &'a str, pcsd: &Daemon, user: &'a str, to: &'a str, local: SocketAddr) -> Self {
        Self { scenario, server: pcsd.address(), local, transport: "u1", user, to, namespace: None }
    }

    /// Starts it: one call.
    pub fn start(&self, place: &Place) -> Playing {
        self.start_with(place, &["-m", "1", "-l", "1", "-timeout", TIMEOUT, "-timeout_error"])
    }

    /// Starts it as a load: so many calls each second, a few at a time, each with the next line of `fields`; `calls` in
    /// all, or without end.
    pub fn start_load(&self, place: &Place, calls_per_second: u32, fields: &str, calls: Option<usize>) -> Playing {
        let file = place.directory(&format!("sipp-{}-fields", self.local.port())).join("fields.csv");
        fs::write(&file, fields).expect("a file for SIPp can be written");
        let rate = calls_per_second.to_string();
        let file = file.display().to_string();
        let mut words = vec!["-inf", &file, "-r", &rate, "-l", "16", "-deadcall_wait", "0"];
        let calls = calls.map(|calls| calls.to_string());
        if let Some(calls) = &calls {
            words.extend(["-m", calls, "-timeout", TIMEOUT, "-timeout_error"]);
        }
        self.start_with(place, &words)
    }

    fn start_with(&self, place: &Place, more: &[&str]) -> Playing {
        let scenario = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/e2e/sipp/{}.xml", self.scenario));
        assert!(scenario.exists(), "no scenario {}", scenario.display());
        let name = format!("sipp-{}-{}", self.scenario, self.local.port());
        let directory = place.directory(&name);
        let trace = directory.join("messages.log");
        let _ = fs::remove_file(&trace);
        let ip = match self.local {
            SocketAddr::V4(local) => local.ip().to_string(),
            SocketAddr::V6(local) => format!("[{}]", local.ip()),
        };
        let mut command = crate::network::command(self.namespace, &find("sipp"));
        command.current_dir(&directory).arg("-sf").arg(scenario).arg(self.server.to_string());
        command.args(["-i", &ip, "-p", &self.local.port().to_string(), "-t", self.transport, "-s", self.to]);
        command.args(["-au", self.user, "-ap", PASSWORD, "-key", "user", self.user, "-key", "domain", DOMAIN]);
        // By default it proves itself for the server's address instead of the Request-URI.
        let auth_uri = match self.scenario {
            "register" | "register_load" | "sign_off" => DOMAIN.to_string(),
            _ => format!("{}@{DOMAIN}", self.to),
        };
        command.args(["-auth_uri", &auth_uri]);
        command.args(more).arg("-nostdin");
        command.args(["-trace_err", "-error_file", "errors.log", "-trace_msg", "-message_file", "messages.log"]);
        let program = Program::start(name, command.env("TERM", "dumb"));
        Playing { program, trace, scenario: self.scenario.into() }
    }

    /// Plays it to its end, and gives the messages.
    pub fn play(&self, place: &Place) -> String {
        self.start(place).finish()
    }
}

impl Playing {
    /// How many bytes of messages there are so far.
    pub fn trace_len(&self) -> u64 {
        fs::metadata(&self.trace).map_or(0, |metadata| metadata.len())
    }

    /// Ends it at once; the messages.
    pub fn kill(mut self) -> String {
        self.program.kill();
        self.messages()
    }

    /// The messages so far.
    pub fn messages(&self) -> String {
        fs::read(&self.trace).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
    }

    /// Waits until there is a message with `part` in it.
    pub fn await_message(&self, part: &str) {
        wait_until(&format!("{} has a message with '{part}'", self.scenario), || {
            self.messages().contains(part).then_some(())
        });
    }

    /// Waits until everything went as the scenario says; the messages.
    ///
    /// # Panics
    /// When it did not.
    pub fn finish(mut self) -> String {
        let status = self.program.wait(PATIENCE * 2);
        let messages = self.messages();
        if !status.success() {
            let errors = fs::read_to_string(self.trace.with_file_name("errors.log")).unwrap_or_default();
            println!("---- messages of SIPp:\n{messages}\n---- errors of SIPp:\n{errors}");
            panic!("scenario {}: {status}", self.scenario);
        }
        messages
    }
}

/// How long SIPp itself waits, seconds.
const TIMEOUT: &str = "35";
