//! The model of the configuration: what the home is, checked, in the form every service reads.
//!
//! [`Model::read`] fills it from a UCI file; the options behind each field are in the table of [`crate::config`].
//! Passwords are not kept: only H(A1) of digest authentication (RFC 7616 §3.4.2, RFC 8760), which is as good as the
//! password for this one domain and is never printed.

use core::net::IpAddr;

use heapless::{String, Vec};

use crate::base::limits::{DEVICES, EXTERNALS, LISTENERS, PEOPLE, UNLIMITED};
use crate::config::check;
use crate::config::fault::Fault;

pub use crate::base::net::Listen;
pub use crate::base::secret::Secret;
pub use crate::base::text::Name;

/// The whole configuration.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Model {
    /// Section `pcsd 'main'`.
    pub main: Main,
    /// The people of the home, in file order.
    pub people: Vec<Person, PEOPLE>,
    /// The devices that are named, in file order. People have others, too.
    pub devices: Vec<Device, DEVICES>,
}

impl Model {
    /// An empty model, which serves no domain.
    pub const fn new() -> Self {
        Self { main: Main::new(), people: Vec::new(), devices: Vec::new() }
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

    /// Makes the model empty in place: it is too big to be moved about on the stack.
    pub(super) fn clear(&mut self) {
        self.main = Main::new();
        self.people.clear();
        self.devices.clear();
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
    /// Path of the control socket; 104 bytes fit a `sockaddr_un` everywhere.
    pub socket: String<104>,
    /// Sources without rate limits.
    pub unlimited: Vec<IpAddr, UNLIMITED>,
    /// What is logged.
    pub log_level: LogLevel,
    /// Log to syslog; else to standard error, which OpenWrt's procd takes to the log by itself.
    pub syslog: bool,
    /// Bindings one person may have; 1 to [`BINDINGS_PER_PERSON`](crate::base::limits::BINDINGS_PER_PERSON).
    pub bindings_per_person: u16,
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
