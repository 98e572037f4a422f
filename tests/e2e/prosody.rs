//! prosody: a server of Jabber (XMPP) with a domain of its own, and a client of it that the test plays word for word
//! (RFC 6120, RFC 6121), over plain TCP and with a plain password. What the home says to the server goes by STARTTLS.

use crate::certificates::{Authority, NOW, pin};
use crate::harness::{Lines, PATIENCE, Place, Program, find};
use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU16, Ordering};
use std::thread;

/// The domain of the server.
pub const JABBER: &str = "jabber.example";
/// Programs that it needs.
pub const PROGRAMS: [&str; 4] = ["prosody", "prosodyctl", "openssl", "baresip"];

/// A running server.
pub struct Prosody {
    /// The process.
    pub program: Program,
    /// Where it listens.
    pub address: SocketAddr,
    /// What its certificate is checked by.
    pub ca: PathBuf,
    certificate: PathBuf,
    config: PathBuf,
}

/// An address of somebody there.
pub fn jid(user: &str) -> String {
    format!("{user}@{JABBER}")
}

/// What a user logs in with.
pub fn password_of(user: &str) -> String {
    format!("secret-{user}")
}

impl Prosody {
    /// Starts it for these users.
    pub fn start(place: &Place, users: &[&str]) -> Self {
        Self::start_as(place, users, JABBER)
    }

    /// Starts it with a certificate for another name than its domain.
    pub fn start_as(place: &Place, users: &[&str], certified: &str) -> Self {
        let directory = place.directory("prosody");
        let authority = Authority::new(place, "authority");
        let identity = authority.certify(certified, NOW);
        let address = free_address();
        let (at, key, certificate) = (directory.display(), identity.key.display(), identity.certificate.display());
        let text = format!(
            "run_as_root = true\ndaemonize = false\npidfile = \"{at}/prosody.pid\"\ndata_path = \"{at}/data\"\n\
             interfaces = {{ \"{}\" }}\nc2s_ports = {{ {} }}\n\
             c2s_direct_tls_ports = {{ }}\nlegacy_ssl_ports = {{ }}\ns2s_ports = {{ }}\nhttp_ports = {{ }}\nhttps_ports = {{ }}\n\
             modules_enabled = {{ \"roster\"; \"saslauth\"; \"tls\"; \"disco\"; \"carbons\"; \"mam\"; \"smacks\"; \"ping\"; \
             \"pep\"; \"blocklist\"; \"offline\"; \"version\"; \"time\" }}\nmodules_disabled = {{ \"s2s\" }}\n\
             authentication = \"internal_hashed\"\nc2s_require_encryption = false\nallow_unencrypted_plain_auth = true\n\
             ssl = {{ key = \"{key}\"; certificate = \"{certificate}\" }}\n\
             log = {{ {{ levels = {{ min = \"debug\" }}; to = \"console\" }} }}\nVirtualHost \"{JABBER}\"\n",
            address.ip(),
            address.port(),
        );
        fs::create_dir_all(directory.join("data")).expect("a directory for what it keeps");
        let config = directory.join("prosody.cfg.lua");
        fs::write(&config, text).expect("its configuration can be written");
        for user in users {
            let mut register = Command::new(find("prosodyctl"));
            register.arg("--config").arg(&config).args(["register", user, JABBER, &password_of(user)]);
            let output = register.output().expect("prosodyctl runs");
            assert!(output.status.success(), "{user}: {}", String::from_utf8_lossy(&output.stdout));
        }
        let program = run(&config);
        Self { program, address, ca: authority.certificate(), certificate: identity.certificate, config }
    }

    /// Starts it again after its end.
    pub fn start_again(&mut self) {
        self.program = run(&self.config);
    }

    /// The section of an account of a person of the home, who has the same name there; `server` is where to connect.
    pub fn account(&self, person: &str, server: SocketAddr) -> String {
        self.account_with(person, server, &format!("option ca '{}'", self.ca.display()))
    }

    /// The same for who knows the server by its key.
    pub fn pinned_account(&self, person: &str) -> String {
        self.account_with(person, self.address, &format!("list pin '{}'", pin(&self.certificate)))
    }

    fn account_with(&self, person: &str, server: SocketAddr, proof: &str) -> String {
        format!(
            "config account '{person}_xmpp'\n\toption person '{person}'\n\toption network 'xmpp'\n\
             \toption address '{}'\n\toption password '{}'\n\toption server '{server}'\n\t{proof}\n\n",
            jid(person),
            password_of(person),
        )
    }
}

fn run(config: &std::path::Path) -> Program {
    let program = Program::start("prosody", Command::new(find("prosody")).arg("-F").arg("--config").arg(config));
    program.await_line(0, "Activated service 'c2s' on [");
    program
}

/// A port that bitlbee connects to (5220 to 5229, and few others), on an address of the loopback that nobody else has.
fn free_address() -> SocketAddr {
    static NEXT: AtomicU16 = AtomicU16::new(1);
    let run = std::process::id();
    loop {
        let last = NEXT.fetch_add(1, Ordering::Relaxed) % 250 + 1;
        let ip = Ipv4Addr::new(127, 64 + (run / 250 % 128) as u8, (run % 250) as u8, last as u8);
        if TcpListener::bind((ip, PORT)).is_ok() {
            return SocketAddr::from((ip, PORT));
        }
    }
}

/// A client of one user.
pub struct Jabber {
    user: String,
    stream: TcpStream,
    /// What the server says, an element a line.
    pub heard: Lines,
    /// What was waited for.
    seen: usize,
    number: usize,
}

impl Jabber {
    /// Logs in, and is not shown yet.
    pub fn login(prosody: &Prosody, user: &str, resource: &str) -> Self {
        let stream = TcpStream::connect(prosody.address).expect("prosody listens");
        let heard = Lines::default();
        collect(stream.try_clone().expect("a socket can be shared"), heard.clone());
        let mut this = Self { user: user.into(), stream, heard, seen: 0, number: 0 };
        this.open();
        let secret = base64(format!("\0{user}\0{}", password_of(user)).as_bytes());
        this.say(&format!("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>{secret}</auth>"));
        this.await_element(&["<success"]);
        this.open();
        this.say(&format!(
            "<iq type='set' id='bind'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>{resource}</resource>\
             </bind></iq><iq type='get' id='roster'><query xmlns='jabber:iq:roster'/></iq>"
        ));
        this.await_element(&["<iq ", "id='bind'", "type='result'"]);
        this.await_element(&["<iq ", "id='roster'", "type='result'"]);
        this
    }

    /// Logs in and is there.
    pub fn online(prosody: &Prosody, user: &str) -> Self {
        let mut this = Self::login(prosody, user, "desk");
        this.say("<presence><status>at my desk</status></presence>");
        this.await_element(&["<presence ", &format!("from='{}/desk'", jid(user)), "at my desk"]);
        this
    }

    /// Says something.
    pub fn say(&mut self, text: &str) {
        self.stream.write_all(text.as_bytes()).expect("the server listens");
    }

    /// Writes to somebody, with a sign that typing is told.
    pub fn write(&mut self, to: &str, text: &str) {
        self.number += 1;
        let number = self.number;
        self.say(&format!(
            "<message to='{to}' type='chat' id='m{number}'><body>{text}</body>\
             <active xmlns='http://jabber.org/protocol/chatstates'/></message>"
        ));
    }

    /// Waits for the next element that has all of these in it, after those that were waited for before.
    pub fn await_element(&mut self, parts: &[&str]) -> String {
        let has_all = |line: &str| parts.iter().all(|part| line.contains(part));
        let Some((at, line)) = self.heard.wait(PATIENCE, self.seen, has_all) else {
            println!("---- all that {} heard: {:#?}", self.user, self.heard.since(0));
            panic!("{} hears no element with {parts:?}", self.user);
        };
        self.seen = at + 1;
        line
    }

    /// Waits until somebody writes this.
    pub fn await_text(&mut self, from: &str, text: &str) -> String {
        self.await_element(&["<message ", &format!("from='{from}"), &format!("<body>{text}</body>")])
    }

    /// How often a text came.
    pub fn count(&self, text: &str) -> usize {
        self.heard.count(&format!("<body>{text}</body>"))
    }

    /// Goes.
    pub fn quit(mut self) {
        self.say("<presence type='unavailable'/></stream:stream>");
        let _ = self.stream.shutdown(Shutdown::Write);
    }

    fn open(&mut self) {
        self.say(&format!(
            "<?xml version='1.0'?><stream:stream to='{JABBER}' version='1.0' xmlns='jabber:client' \
             xmlns:stream='http://etherx.jabber.org/streams'>"
        ));
        self.await_element(&["<stream:features"]);
    }
}

impl Drop for Jabber {
    fn drop(&mut self) {
        let _ = self.stream.shutdown(Shutdown::Both);
    }
}

/// Takes a stream apart into its elements.
fn collect(mut stream: TcpStream, heard: Lines) {
    thread::spawn(move || {
        let mut waiting = String::new();
        let mut buffer = [0; 4096];
        let mut bytes = Vec::new();
        while let Ok(len @ 1..) = stream.read(&mut buffer) {
            bytes.extend_from_slice(&buffer[..len]);
            let whole = std::str::from_utf8(&bytes).map_or_else(|fault| fault.valid_up_to(), str::len);
            waiting.push_str(std::str::from_utf8(&bytes[..whole]).unwrap_or_default());
            bytes.drain(..whole);
            while let Some(end) = first_element(&waiting) {
                let element = waiting.drain(..end).collect::<String>();
                heard.push(element.replace('"', "'"));
            }
        }
    });
}

/// Where the first element ends; the head and the end of a stream count as elements.
fn first_element(text: &str) -> Option<usize> {
    let (mut depth, mut at) = (0, 0);
    loop {
        let begin = at + text[at..].find('<')?;
        let end = begin + text[begin..].find('>')? + 1;
        let tag = &text[begin..end];
        match () {
            () if tag.starts_with("<?") || tag.starts_with("<stream:stream") || tag.starts_with("</stream:stream") => {}
            () if tag.starts_with("</") => depth -= 1,
            () if tag.ends_with("/>") => {}
            () => depth += 1,
        }
        at = end;
        if depth == 0 {
            return Some(end);
        }
    }
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digits = bytes.chunks(3).flat_map(|chunk| {
        let number = (0..3).fold(0, |sum, at| sum << 8 | u32::from(chunk.get(at).copied().unwrap_or(0)));
        (0..4).map(move |at| match at <= chunk.len() {
            true => char::from(DIGITS[(number >> (18 - 6 * at)) as usize & 63]),
            false => '=',
        })
    });
    digits.collect()
}

const PORT: u16 = 5227;
