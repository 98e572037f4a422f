//! The model of the configuration: what the home is, checked, in the form every service reads.
//!
//! [`Model::read`] fills it from a UCI file; the options behind each field are in the table of [`crate::config`].
//! Passwords are not kept: only H(A1) of digest authentication (RFC 7616 §3.4.2, RFC 8760), which is as good as the
//! password for this one domain and is never printed.

use core::fmt;
use core::net::IpAddr;
use core::num::NonZeroU16;

use heapless::{String, Vec};

use crate::base::limits::{
    ACCOUNTS, ADDRESS_BYTES, ADDRESSES_PER_BUDDY, BUDDIES, BUSY_BYTES, DEVICES, EXTERNALS, LISTENERS, PASSWORD_BYTES,
    PATH_BYTES, PEERS, PEOPLE, PINS, RULES, SOCKET_PATH_BYTES, UNLIMITED, URL_BYTES, WEB_LISTENERS, WHO_PER_RULE,
    WORDS,
};
use crate::base::zone::Zone;
use crate::config::check;
use crate::config::fault::Fault;

pub use crate::base::net::{Listen, Transport, WebListen};
pub use crate::base::secret::Secret;
pub use crate::base::text::Name;

/// A path from the root.
pub type Path = String<PATH_BYTES>;
/// A path from the root, of a socket or of a directory with one.
pub type SocketPath = String<SOCKET_PATH_BYTES>;
/// `http://HOST:PORT` or `https://HOST:PORT`, HOST in the form of [`Main::domain`], the port where it is said.
pub type Url = String<URL_BYTES>;
/// What a person has said to who writes while she is away.
pub type BusyText = String<BUSY_BYTES, u8>;

/// The whole configuration.
#[derive(PartialEq, Eq, Debug)]
pub struct Model {
    /// Section `pcsd 'main'`.
    pub main: Main,
    /// The people of the home, in file order.
    pub people: Vec<Person, PEOPLE>,
    /// The devices that are named, in file order. People have others, too.
    pub devices: Vec<Device, DEVICES>,
    /// The other homes that are named, in file order.
    pub peers: Vec<Peer, PEERS>,
    /// The buddies of all lists, in file order.
    pub buddies: Vec<Buddy, BUDDIES>,
    /// The accounts on other networks, in file order.
    pub accounts: Vec<Account, ACCOUNTS>,
    /// The rules, in file order.
    pub rules: Vec<Rule, RULES>,
    /// What buddies and rules share, each once: groups, and domains and texts of rules. They say its index.
    pub words: Vec<Name, WORDS>,
}

impl Model {
    /// An empty model, which serves no domain.
    pub const fn new() -> Self {
        Self {
            main: Main::new(),
            people: Vec::new(),
            devices: Vec::new(),
            peers: Vec::new(),
            buddies: Vec::new(),
            accounts: Vec::new(),
            rules: Vec::new(),
            words: Vec::new(),
        }
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

    /// The buddies that a person sees: those of her own list, then the family's.
    pub fn buddies_of(&self, person: usize) -> impl Iterator<Item = &Buddy> {
        let own = self.buddies.iter().filter(move |buddy| buddy.person.map(usize::from) == Some(person));
        own.chain(self.buddies.iter().filter(|buddy| buddy.person.is_none()))
    }

    /// The buddy that a person's devices reach as `alias`, regardless of ASCII case: an index in `buddies`.
    pub fn buddy(&self, person: usize, alias: &[u8]) -> Option<usize> {
        self.buddies.iter().position(|buddy| buddy.is_seen_by(person) && buddy.is_called(alias))
    }

    /// What `words` has at an index that is in the model.
    pub fn word(&self, index: u16) -> &str {
        self.words.get(usize::from(index)).map_or("", Name::as_str)
    }

    /// Makes the model empty in place: it is too big to be moved about on the stack.
    pub(super) fn clear(&mut self) {
        self.main = Main::new();
        self.people.clear();
        self.devices.clear();
        self.peers.clear();
        self.buddies.clear();
        self.accounts.clear();
        self.rules.clear();
        self.words.clear();
    }
}

impl Clone for Model {
    fn clone(&self) -> Self {
        let mut model = Self::new();
        model.clone_from(self);
        model
    }

    /// In place and entry by entry: what the tables have room for but do not hold stays untouched.
    fn clone_from(&mut self, source: &Self) {
        self.main.clone_from(&source.main);
        copy(&mut self.people, &source.people);
        copy(&mut self.devices, &source.devices);
        copy(&mut self.peers, &source.peers);
        copy(&mut self.buddies, &source.buddies);
        copy(&mut self.accounts, &source.accounts);
        copy(&mut self.rules, &source.rules);
        copy(&mut self.words, &source.words);
    }
}

/// Makes a table what another is.
fn copy<T: Clone, const N: usize>(to: &mut Vec<T, N>, from: &Vec<T, N>) {
    to.clear();
    // Both have the same room.
    to.extend(from.iter().cloned());
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
    /// Where the web page is served. Empty: nowhere. No two entries, and none and a listener of SIP, ask for the same socket.
    pub web: Vec<WebListen, WEB_LISTENERS>,
    /// What links to the web page begin with; empty: it follows from the first of `web`.
    pub url: Url,
    /// The first and the last UDP port for media (RTP, RTCP); the first is even, and there are at least 16.
    pub rtp_ports: (u16, u16),
    /// What clocks in the home show. Where the file does not say so, it is unknown until the edge puts that of the machine
    /// here.
    pub timezone: Zone,
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
            web: Vec::new(),
            url: String::new(),
            rtp_ports: (0, 0),
            timezone: Zone::UNKNOWN,
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
    /// The language the server speaks to her.
    pub language: Language,
    /// What who writes while she is away is told; empty: the phrase of her language.
    pub busy: BusyText,
    /// Seconds that her devices ring before the answering machine takes a call; 5 to 120.
    pub answer_after_s: u8,
    /// Whether the answering machine takes her calls; else those that she misses are only listed.
    pub answering: bool,
    /// Seconds that one recording may last; 10 to 600.
    pub record_seconds: u16,
    /// What becomes of the texts that were kept when she is back.
    pub missed: Missed,
}

impl Person {
    /// A person with everything as it is when the file does not say, whom nothing authenticates yet.
    pub fn new(id: Name) -> Self {
        Self {
            name: id.clone(),
            id,
            secret: Secret::NONE,
            language: Language::En,
            busy: BusyText::new(),
            answer_after_s: 20,
            answering: true,
            record_seconds: 120,
            missed: Missed::Keep,
        }
    }
}

/// A language the server speaks.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum Language {
    /// English.
    #[default]
    En,
    /// Swedish.
    Sv,
    /// Chinese, in simplified characters.
    Zh,
}

impl Language {
    /// The languages by their tags (RFC 5646 §2.2.1), which are their names in the file.
    pub const TAGS: [(&'static str, Self); 3] = [("en", Self::En), ("sv", Self::Sv), ("zh", Self::Zh)];

    /// Its tag.
    pub const fn tag(self) -> &'static str {
        match self {
            Self::En => "en",
            Self::Sv => "sv",
            Self::Zh => "zh",
        }
    }
}

/// What becomes of the texts that were kept for a person when she is back.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum Missed {
    /// They stay for her to look at.
    #[default]
    Keep,
    /// They are sent to her devices.
    Deliver,
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

/// Section `buddy`: somebody that a person, or the whole family, has on the list.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Buddy {
    /// Whose list it is: an index in [`Model::people`]; `None`: the whole family's.
    pub person: Option<u16>,
    /// In lower case: `sip:ALIAS@DOMAIN` is the buddy, for the devices of whose list it is.
    pub alias: Name,
    /// The name to show; the alias where none is given.
    pub name: Name,
    /// Where the buddy can be reached and asks from, the preferred one first. May be empty.
    pub addresses: Vec<BuddyAddress, ADDRESSES_PER_BUDDY, u8>,
    /// The group: an index in [`Model::words`].
    pub group: Option<u16>,
}

impl Buddy {
    /// A buddy of whom nothing is known yet.
    pub(super) const NONE: Self =
        Self { person: None, alias: Name::new(), name: Name::new(), addresses: Vec::new(), group: None };

    /// Whether the buddy is on the list of this person or the family's.
    pub fn is_seen_by(&self, person: usize) -> bool {
        self.person.is_none_or(|owner| usize::from(owner) == person)
    }

    /// Whether this is the alias, regardless of ASCII case.
    pub fn is_called(&self, alias: &[u8]) -> bool {
        self.alias.as_bytes().eq_ignore_ascii_case(alias)
    }
}

/// An address of a buddy.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BuddyAddress {
    /// The network it is on.
    pub network: Network,
    /// On SIP `USER@HOST`: USER as written, escapes as they are, HOST in the form of [`Main::domain`]. On XMPP the bare JID
    /// in lower case. On IRC the nick in lower case (by the rules of RFC 2812 §2.2). On lines the name as it is.
    pub text: String<ADDRESS_BYTES, u8>,
    /// The port, where it is said.
    pub port: Option<NonZeroU16>,
}

impl fmt::Display for BuddyAddress {
    /// As it stands in the file.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.network.name(), self.text)?;
        self.port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

/// A network that people have addresses on.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Network {
    /// SIP (`sip:USER@HOST`).
    Sip,
    /// XMPP (`xmpp:USER@DOMAIN`): Jabber, once Google Talk, and whatever is behind a gateway of its server.
    Xmpp,
    /// IRC (`irc:NICK`).
    Irc,
    /// What is attached by lines of JSON (`line:NAME`).
    Line,
}

impl Network {
    /// The networks by their names in the file, in addresses and as labels of our domain.
    pub const NAMES: [(&'static str, Self); 4] =
        [("sip", Self::Sip), ("xmpp", Self::Xmpp), ("irc", Self::Irc), ("line", Self::Line)];

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sip => "sip",
            Self::Xmpp => "xmpp",
            Self::Irc => "irc",
            Self::Line => "line",
        }
    }

    /// Whether this program can have accounts there, or needs none: each other network is a feature of the build.
    pub const fn is_built(self) -> bool {
        match self {
            Self::Sip => true,
            Self::Xmpp => cfg!(feature = "xmpp"),
            Self::Irc => cfg!(feature = "irc"),
            Self::Line => cfg!(feature = "line"),
        }
    }

    /// The network with a name, regardless of case.
    pub fn of_name(name: &str) -> Option<Self> {
        Self::NAMES.into_iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, network)| network)
    }
}

/// Section `account`: what a person has on another network.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Account {
    /// The section's name in lower case.
    pub id: Name,
    /// Whose it is: an index in [`Model::people`].
    pub person: u16,
    /// The network; not [`Network::Sip`].
    pub network: Network,
    /// Her address there, in the form of [`BuddyAddress::text`]; of IRC the nick as it is written. May be empty for
    /// [`Network::Line`].
    pub address: String<ADDRESS_BYTES, u8>,
    /// The name to log in with, where that is not in the address; empty: the user in the address, or the nick.
    pub login: Name,
    /// The password; may be empty for IRC and lines.
    pub password: Password,
    /// Where the server is: a host in the form of [`Main::domain`]; empty: what the address says.
    pub host: Name,
    /// Its port; `None`: the usual one.
    pub port: Option<NonZeroU16>,
    /// For [`Network::Line`]: how its lines travel.
    pub way: LineWay,
    /// The path: of a local socket, or in a URL, with the slash it begins with.
    pub path: SocketPath,
    /// How the connection is secured.
    pub security: Security,
    /// The keys the server may have: SHA-256 of the SubjectPublicKeyInfo of its certificate (RFC 7469 §2.4). When there
    /// are any, they decide, and no CA does.
    pub pins: Vec<[u8; 32], PINS>,
    /// The CAs that its certificate is checked against (PEM); empty: those of [`Main::ca`].
    pub ca: Path,
}

impl Account {
    /// An account of which nothing is known yet.
    pub const NONE: Self = Self {
        id: Name::new(),
        person: 0,
        network: Network::Sip,
        address: String::new(),
        login: Name::new(),
        password: Password(String::new()),
        host: Name::new(),
        port: None,
        way: LineWay::Tcp,
        path: String::new(),
        security: Security::Usual,
        pins: Vec::new(),
        ca: String::new(),
    };

    /// Whether its connection is secured by TLS, now or before anything that is secret.
    pub fn uses_tls(&self) -> bool {
        match self.security {
            Security::Off => false,
            Security::StartTls | Security::Direct => true,
            Security::Usual => match self.network {
                Network::Sip | Network::Line => false,
                Network::Xmpp => true,
                Network::Irc => self.port.map(NonZeroU16::get) != Some(IRC_PLAIN_PORT),
            },
        }
    }
}

/// The port of IRC that is spoken to without TLS when nothing is said of it.
pub const IRC_PLAIN_PORT: u16 = 6667;

/// How the lines of [`Network::Line`] travel.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum LineWay {
    /// `tcp:HOST:PORT`.
    #[default]
    Tcp,
    /// `unix:PATH`.
    Local,
    /// `http://HOST:PORT/PATH` or `https://`: lines come in the body of one long answer, and go each as a POST.
    Http,
}

/// How the connection of an account is secured.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Security {
    /// As the network usually does it: XMPP by what DNS says, and always by TLS; IRC over TLS but on port 6667; lines as
    /// their URL says.
    #[default]
    Usual,
    /// TLS begins on a connection that is up (XMPP).
    StartTls,
    /// TLS from the first byte.
    Direct,
    /// Nothing is hidden and nobody proves who he is: for the home's own network only.
    Off,
}

/// A password that is sent to a server, and therefore kept as it is. It is never printed.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Password(pub String<PASSWORD_BYTES, u8>);

impl core::fmt::Debug for Password {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(if self.0.is_empty() { "no password" } else { "a password" })
    }
}

/// Section `rule`: for whom, when, and what becomes of it. Each aspect counts by itself; `None` says nothing about it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rule {
    /// The line its section begins at, from 1.
    pub line: u32,
    /// Whose rule it is: an index in [`Model::people`]; `None`: the whole family's.
    pub person: Option<u16>,
    /// Whom it is about: any of these. Not empty.
    pub who: Vec<Who, WHO_PER_RULE, u8>,
    /// The state of hers in which it counts; `None`: always.
    pub when: Option<State>,
    /// What is shown of her presence.
    pub presence: Option<Presence>,
    /// What is shown of where she is.
    pub location: Option<Location>,
    /// What becomes of messages.
    pub messages: Option<Messages>,
    /// What becomes of calls.
    pub calls: Option<Calls>,
}

impl Rule {
    /// A rule of which nothing is known yet.
    pub(super) const NONE: Self = Self {
        line: 0,
        person: None,
        who: Vec::new(),
        when: None,
        presence: None,
        location: None,
        messages: None,
        calls: None,
    };

    /// Whether it counts for this person: it is hers or the family's.
    pub fn is_for(&self, person: usize) -> bool {
        self.person.is_none_or(|owner| usize::from(owner) == person)
    }
}

/// Whom a rule is about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Who {
    /// A person of the home: an index in [`Model::people`].
    Person(u16),
    /// A buddy: an index in [`Model::buddies`].
    Buddy(u16),
    /// All buddies of a group: an index in [`Model::words`].
    Group(u16),
    /// Everybody of a domain, which is in the form of [`Main::domain`]: an index in [`Model::words`].
    Domain(u16),
    /// Everybody on a network who is known to be who he says.
    Network(Network),
    /// Everybody.
    Anyone,
}

/// How a person is, as rules know it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum State {
    /// There, and free to talk.
    Available,
    /// Not there for the moment.
    Away,
    /// There, and not to be disturbed.
    Busy,
    /// Not to be reached.
    Offline,
}

/// What a rule shows of a person's presence.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Presence {
    /// As it is.
    Show,
    /// Offline, whatever it is.
    Hide,
    /// Busy, whatever it is.
    Busy,
    /// A text instead: an index in [`Model::words`].
    Text(u16),
}

/// What is shown of where a person is. Ordered: more is more precise.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Location {
    /// Nothing.
    None,
    /// The name of the place.
    Place,
    /// The place, and where it is on the map.
    Coordinates,
}

/// What becomes of messages.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Messages {
    /// They are delivered.
    Deliver,
    /// They are kept for her, and her devices are not disturbed.
    Store,
    /// They are refused.
    Block,
}

/// What becomes of calls.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Calls {
    /// The devices ring.
    Ring,
    /// The answering machine takes them at once, and her devices do not ring.
    Answer,
    /// They are refused.
    Block,
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
