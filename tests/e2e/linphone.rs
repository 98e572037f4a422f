//! linphonec: Linphone's console, driven over its input.

use crate::daemon::{DOMAIN, PASSWORD, sip};
use crate::harness::{Place, Program, find, free_port};
use crate::tone;
use std::fs;
use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;

/// A running Linphone.
pub struct Linphone {
    /// The process.
    pub program: Program,
    recording: PathBuf,
}

impl Linphone {
    /// Starts it on 127.0.0.1, over UDP, and lets it register.
    pub fn start(place: &Place, user: &str, server: SocketAddr, tone_hz: u32) -> Self {
        Self::configured(place, user, server, (tone_hz, "publish=0\n"), "")
    }

    /// Starts it so that it publishes.
    pub fn start_publishing(place: &Place, user: &str, server: SocketAddr) -> Self {
        Self::configured(place, user, server, (440, "publish=1\n"), "")
    }

    /// Starts it so that it publishes, and watches people of the home in one subscription, with their list in the request
    /// (RFC 5367), under its own address. It calls them `My NAME`.
    pub fn start_with_friends(place: &Place, user: &str, server: SocketAddr, friends: &[&str]) -> Self {
        let mut more = format!("[sip]\nrls_uri={}\n", sip(user));
        for (index, name) in friends.iter().enumerate() {
            more += &format!("[friend_{index}]\nurl=\"My {name}\" <{}>\npol=accept\nsubscribe=1\n", sip(name));
        }
        Self::configured(place, user, server, (440, "publish=1\n"), &more)
    }

    fn configured(place: &Place, user: &str, server: SocketAddr, (tone_hz, proxy): (u32, &str), more: &str) -> Self {
        let directory = place.directory("linphone");
        // It crashes without these.
        place.directory("linphone/.local/share/linphone");
        place.directory("linphone/.config/linphone");
        let (port, rtp) = (free_port(), free_port());
        let config = format!(
            "[sip]\nsip_port={port}\nsip_tcp_port=-2\nsip_tls_port=-2\ndefault_proxy=0\nguess_hostname=0\n\
             contact=sip:{user}@127.0.0.1:{port}\nuse_ipv6=0\n[rtp]\naudio_rtp_port={rtp}\n\
             [net]\nfirewall_policy=0\n\
             [proxy_0]\nreg_proxy=<sip:{server};transport=udp>\nreg_route=<sip:{server};transport=udp;lr>\n\
             reg_identity=sip:{user}@{DOMAIN}\nreg_expires=600\nreg_sendregister=1\n{proxy}\
             [auth_info_0]\nusername={user}\npasswd={PASSWORD}\nrealm={DOMAIN}\n{more}"
        );
        fs::write(directory.join("linphonerc"), config).expect("a file for linphonec can be written");
        let (tone, recording) = (directory.join("tone.wav"), directory.join("heard.wav"));
        tone::write(&tone, tone_hz, 30);
        let mut command = crate::network::command(None, &find("stdbuf"));
        command.args(["-oL", "-eL"]).arg(find("linphonec")).args(["-d", "6", "-c", "linphonerc"]);
        let program = Program::start("linphonec", command.current_dir(&directory).env("HOME", &directory));
        let mut linphone = Self { program, recording };
        linphone.command("soundcard use files");
        linphone.command(&format!("play {}", tone.display()));
        linphone.command(&format!("record {}", linphone.recording.display()));
        linphone
    }

    /// Types a command.
    pub fn command(&mut self, command: &str) {
        let input = self.program.input();
        writeln!(input, "{command}").and_then(|()| input.flush()).expect("linphonec reads");
    }

    /// Waits until it says, from line number `from` on, how a friend of the home is.
    pub fn await_friend(&self, from: usize, name: &str, state: &str) -> usize {
        let line = format!("<{}> is {state}", sip(name));
        self.program.await_line(from, &line).0
    }

    /// Seconds of sound in its recording so far.
    pub fn heard_seconds(&self) -> f64 {
        fs::metadata(&self.recording).map_or(0.0, |file| file.len() as f64 / (2 * tone::RATE) as f64)
    }

    /// What it heard.
    pub fn heard(&self) -> Vec<i16> {
        tone::read(&self.recording)
    }
}
