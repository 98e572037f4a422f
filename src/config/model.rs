//! The model of the configuration: what the home is, checked, in the form every service reads.
//!
//! [`Model::read`] fills it from a UCI file; the options behind each field are in the table of [`crate::config`].
//! Passwords are not kept: only H(A1) of digest authentication (RFC 7616 §3.4.2, RFC 8760), which is as good as the
//! password for this one domain and is never printed.

use core::net::IpAddr;

use heapless::{String, Vec};

use crate::base::limits::{
    DEVICES, EXTERNALS, LISTENERS, PATH_BYTES, PEERS, PEOPLE, PINS, SOCKET_PATH_BYTES, UNLIMITED,
};
use crate::config::check;
use crate::config::fault::Fault;

pub use crate::base::net::{Listen, Transport};
pub use crate::base::secret::Secret;
pub use crate::base::text::Name;

/// A path from the root.
pub type Path = String<PATH_BYTES>;
/// A path from the root, of a socket or of a directory with one.
pub type SocketPath = String<SOCKET_PATH_BYTES>;

/// The whole configuration.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Model {
    /// Section `pcsd 'main'`.
    pub main: Main,
    /// The people of the home, in file order.
    pub people: Vec<Person, PEOPLE>,
    /// The devices that are named, in file order. People have others, too.
    pub devices: Vec<Device, DEVICES>,
    /// The other homes that are named, in file order.
    pub peers: Vec<Peer, PEERS>,
}

impl Model {
    /// An empty model, which serves no domain.
    pub const fn new() -> Self {
        Self { main: Main::new(), people: Vec::new(), devices: Vec::new(), peers: Vec::new() }
    }

    /// Reads the text of a UCI file. Each fault goes to `report`; returns how many there were. Only when there was none
    /// is the model fit for use. The time is bounded by the length of the text and the table limits.
    pub fn read(&mut self, text: &[u8], report: &mut dyn FnMut(Fault<'_>)) -> usize {
        check::read(self, text, report)
    }

    /// The person whose address has the user part `id`, regardless of ASCII case: an index in `people`.
    pub fn person(&self, id: &[u8]) -> Option<usize> {
        self.people.iter().position(|person| person.id.as_bytes().eq_ignore_ascii_case(id))
    }

    /// The device in section `id`, regardless of ASCII case: an index in `devices`.
    pub fn device(&self, id: &[u8]) -> Option<usize> {
        self.devices.iter().position(|device| device.id.as_bytes().eq_ignore_ascii_case(id))
    }

    /// The other home whose domain this is, regardless of ASCII case: an index in `peers`.
    pub fn peer(&self, domain: &[u8]) -> Option<usize> {
        self.peers.iter().position(|peer| peer.domain.as_bytes().eq_ignore_ascii_case(domain))
    }

    /// Makes the model empty in place: it is too big to be moved about on the stack.
    pub(super) fn clear(&mut self) {
        self.main = Main::new();
        self.people.clear();
        self.devices.clear();
        self.peers.clear();
    }
}

impl Default for Model {
    fn default() -> Self {
        Self::new()
    }
}

/// What concerns the home as a whole.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Main {
    /// The domain of all addresses and the realm of digest authentication, as the host of a URI: in lower case, an IPv6
    /// address in brackets.
    pub domain: Name,
    /// Where to listen. Not empty, and no two entries ask for the same socket.
    pub listen: Vec<Listen, LISTENERS>,
    /// The hosts the world knows the home by, if these are not addresses of the router; form as in `domain`.
    pub external: Vec<Name, EXTERNALS>,
    /// The control socket.
    pub socket: SocketPath,
    /// Sources without rate limits.
    pub unlimited: Vec<IpAddr, UNLIMITED>,
    /// What is logged.
    pub log_level: LogLevel,
    /// Log to syslog; else to standard error, which OpenWrt's procd takes to the log by itself.
    pub syslog: bool,
    /// Bindings one person may have; 1 to [`BINDINGS_PER_PERSON`](crate::base::limits::BINDINGS_PER_PERSON).
    pub bindings_per_person: u16,
    /// Directory of the spool; empty: no message is kept.
    pub spool: Path,
    /// Megabytes (of 2^20 bytes) the spool may take; 4 to 65,536.
    pub spool_mb: u32,
    /// Megabytes of them one person may take; 1 to 65,536. More than `spool_mb` is no limit of its own.
    pub quota_mb: u32,
    /// Days a message is kept; 0: for ever.
    pub keep_days: u16,
    /// Directory of what has to outlive a reboot without a spool: the key, the certificate, settings.
    pub state: SocketPath,
    /// Directory of what has to outlive a restart of the daemon only.
    pub run_dir: SocketPath,
    /// Our certificate (PEM); empty, as then is `key`: the one made at the first start.
    pub cert: Path,
    /// Its private key (PEM).
    pub key: Path,
    /// The CAs that certificates of others are checked against (PEM); empty: the system's.
    pub ca: Path,
    /// Where the name servers stand, in the form of resolv.conf(5).
    pub resolv_file: Path,
}

impl Main {
    /// All bits zero, so that a static model costs nothing in the image; the defaults come with the section.
    const fn new() -> Self {
        Self {
            domain: Name::new(),
            listen: Vec::new(),
            external: Vec::new(),
            socket: String::new(),
            unlimited: Vec::new(),
            log_level: LogLevel::Error,
            syslog: false,
            bindings_per_person: 0,
            spool: String::new(),
            spool_mb: 0,
            quota_mb: 0,
            keep_days: 0,
            state: String::new(),
            run_dir: String::new(),
            cert: String::new(),
            key: String::new(),
            ca: String::new(),
            resolv_file: String::new(),
        }
    }
}

/// What is logged: everything up to this level.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum LogLevel {
    /// What needs somebody to look at it.
    Error,
    /// What was refused or went wrong by itself.
    Warn,
    /// What happens in the home: registrations, calls.
    Info,
    /// Every transaction.
    Debug,
}

impl From<LogLevel> for log::LevelFilter {
    fn from(level: LogLevel) -> Self {
        match level {
            LogLevel::Error => Self::Error,
            LogLevel::Warn => Self::Warn,
            LogLevel::Info => Self::Info,
            LogLevel::Debug => Self::Debug,
        }
    }
}

/// Section `person`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Person {
    /// The section's name in lower case: the user part of her address `sip:ID@DOMAIN`, and her username.
    pub id: Name,
    /// The name to show.
    pub name: Name,
    /// What she authenticates with.
    pub secret: Secret,
}

/// Section `device`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Device {
    /// The section's name in lower case.
    pub id: Name,
    /// Whose it is: an index in [`Model::people`].
    pub person: u16,
    /// What is sent to it.
    pub takes: Takes,
    /// What its login with `id` as the username is checked against; that is for the address of its person.
    pub secret: Secret,
}

/// Section `peer`: another home, and the way to it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Peer {
    /// The section's name in lower case.
    pub id: Name,
    /// The domain of its addresses, in the form of [`Main::domain`]; not ours, and no other peer's.
    pub domain: Name,
    /// Where it is; `None`: what DNS says of `domain`.
    pub address: Option<PeerAddress>,
    /// How to get there. When the file does not say: UDP when an `address` is all that is known, as there is then nothing
    /// its certificate could be held to; else TLS.
    pub transport: Transport,
    /// The keys it may have: SHA-256 of the SubjectPublicKeyInfo of its certificate (RFC 7469 §2.4). When there are any,
    /// they decide, and no CA does.
    pub pins: Vec<[u8; 32], PINS>,
    /// The CAs that its certificate is checked against (PEM); empty: those of [`Main::ca`].
    pub ca: Path,
}

impl Peer {
    /// A peer of which nothing is known yet.
    pub(super) const NONE: Self = Self {
        id: Name::new(),
        domain: Name::new(),
        address: None,
        transport: Transport::Tls,
        pins: Vec::new(),
        ca: String::new(),
    };
}

/// Where a peer is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PeerAddress {
    /// A host in the form of [`Main::domain`]. A name has to be looked up.
    pub host: Name,
    /// Its port; `None`: what DNS says of `host`, else the transport's own.
    pub port: Option<u16>,
}

/// The kinds of media and messages a device is sent where there is a choice.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Takes {
    /// Calls with voice.
    pub audio: bool,
    /// Calls with pictures.
    pub video: bool,
    /// Messages.
    pub text: bool,
}

impl Takes {
    /// Everything: the device says nothing about it.
    pub const ALL: Self = Self { audio: true, video: true, text: true };
    /// Nothing.
    pub const NONE: Self = Self { audio: false, video: false, text: false };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_model_can_be_a_constant() {
        static MODEL: Model = Model::new();
        assert!(MODEL.people.is_empty() && MODEL.person(b"alice").is_none());
    }
}
