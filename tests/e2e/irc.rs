//! IRC (RFC 2812): ngircd, clients of it that the test plays line by line, and bitlbee, which is a client of Jabber that
//! is spoken to as if it were a server of IRC.

use crate::harness::{Lines, PATIENCE, Place, Program, find, free_port, wait_until};
use crate::prosody::{Prosody, jid, password_of};
use std::fs;
use std::io::Write;
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpStream};
use std::process::Command;

/// A running server.
pub struct Ngircd {
    _program: Program,
    /// Where it listens.
    pub address: SocketAddr,
}

impl Ngircd {
    /// Starts it.
    pub fn start(place: &Place) -> Self {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
        let directory = place.directory("ngircd");
        let config = directory.join("ngircd.conf");
        // Without a penalty: what a test says is not delayed.
        let text = format!(
            "[Global]\nName = irc.test\nInfo = test\nListen = {}\nPorts = {}\nMotdPhrase = Hello\nServerUID = root\n\
             ServerGID = root\n[Limits]\nMaxPenaltyTime = 0\nMaxConnectionsIP = 0\n[Options]\nDNS = no\nIdent = no\n\
             PAM = no\n",
            address.ip(),
            address.port()
        );
        fs::write(&config, text).expect("its configuration can be written");
        let program = Program::start("ngircd", Command::new(find("ngircd")).arg("-n").arg("-f").arg(config));
        wait_until("ngircd listens", || TcpStream::connect(address).ok());
        Self { _program: program, address }
    }

    /// The section of an account of a person of the home.
    pub fn account(&self, person: &str, nick: &str) -> String {
        format!(
            "config account '{person}_irc'\n\toption person '{person}'\n\toption network 'irc'\n\
             \toption address '{nick}'\n\toption server '{}'\n\toption tls 'off'\n\n",
            self.address
        )
    }
}

/// A client.
pub struct Irc {
    nick: String,
    stream: TcpStream,
    /// What the server says.
    pub heard: Lines,
    /// What was waited for.
    seen: usize,
}

impl Irc {
    /// Comes, under this nick.
    pub fn connect(server: SocketAddr, nick: &str) -> Self {
        let stream = wait_until("the server of IRC listens", || TcpStream::connect(server).ok());
        let heard = Lines::default();
        heard.collect(stream.try_clone().expect("a socket can be shared"));
        let mut this = Self { nick: nick.into(), stream, heard, seen: 0 };
        this.say(&format!("NICK {nick}\r\nUSER {nick} 0 * :{nick}"));
        this.await_line(&[" 376 "]);
        this
    }

    /// Says a line to the server.
    pub fn say(&mut self, line: &str) {
        self.stream.write_all(format!("{line}\r\n").as_bytes()).expect("the server listens");
    }

    /// Writes to somebody.
    pub fn write(&mut self, to: &str, text: &str) {
        self.say(&format!("PRIVMSG {to} :{text}"));
    }

    /// Waits for the next line that has all of these in it, after those that were waited for before.
    pub fn await_line(&mut self, parts: &[&str]) -> String {
        let has_all = |line: &str| parts.iter().all(|part| line.contains(part));
        let Some((at, line)) = self.heard.wait(PATIENCE, self.seen, has_all) else {
            println!("---- all that {} heard: {:#?}", self.nick, self.heard.since(0));
            panic!("{} hears no line with {parts:?}", self.nick);
        };
        self.seen = at + 1;
        line
    }

    /// Waits until somebody writes this.
    pub fn await_text(&mut self, from: &str, text: &str) {
        self.await_line(&[&format!(":{from}!"), "PRIVMSG", text]);
    }

    /// How often a text came.
    pub fn count(&self, text: &str) -> usize {
        self.heard.count(text)
    }

    /// Asks until what is known of somebody (WHOIS) has this in it.
    pub fn await_whois(&mut self, nick: &str, part: &str) {
        wait_until(&format!("{} sees {nick} with '{part}'", self.nick), || {
            let from = self.heard.len();
            self.say(&format!("WHOIS {nick}"));
            let end = self.heard.wait(PATIENCE, from, |line| line.contains(" 318 ") || line.contains(" 401 "))?.0;
            let lines = self.heard.since(from);
            lines[..=end - from].iter().any(|line| line.contains(part)).then_some(())
        });
    }
}

impl Drop for Irc {
    fn drop(&mut self) {
        let _ = self.stream.shutdown(Shutdown::Both);
    }
}

/// bitlbee as the client of a user of prosody.
pub struct Bitlbee {
    _program: Program,
    /// What it is driven by.
    pub irc: Irc,
}

impl Bitlbee {
    /// Starts it and logs in, over TLS.
    pub fn start(place: &Place, prosody: &Prosody, user: &str) -> Self {
        let port = free_port();
        let directory = place.directory(&format!("bitlbee-{user}"));
        let config = directory.join("bitlbee.conf");
        fs::write(&config, "[settings]\nRunMode = Daemon\n[defaults]\n").expect("its configuration can be written");
        let mut command = Command::new(find("bitlbee"));
        command.args(["-D", "-n", "-i", "127.0.0.1", "-p", &port.to_string(), "-c"]).arg(config);
        let program = Program::start("bitlbee", command.arg("-d").arg(format!("{}/", directory.display())));
        let mut irc = Irc::connect(SocketAddr::from((Ipv4Addr::LOCALHOST, port)), "home");
        irc.await_line(&["JOIN", "&bitlbee"]);
        let mut this = Self { _program: program, irc };
        this.order(&format!("account add jabber {} {}", jid(user), password_of(user)), "successfully added");
        for (setting, value) in [
            ("server", prosody.address.ip().to_string()),
            ("port", prosody.address.port().to_string()),
            ("tls", "true".into()),
            ("tls_verify", "false".into()),
        ] {
            this.order(&format!("account jabber set {setting} {value}"), &format!("{setting} = "));
        }
        this.order("set typing_notice true", "typing_notice = ");
        this.order("account jabber on", "Logged in");
        this
    }

    /// Has it do something, and waits for what it says to that.
    pub fn order(&mut self, words: &str, answer: &str) {
        self.irc.write("&bitlbee", words);
        self.irc.await_line(&[":root!", answer]);
    }
}
