//! The section being read: what is known of it, and which options it may have.

use heapless::Vec;

use crate::base::limits::WEB_LISTENERS;
use crate::config::check::{account, buddy, main_section, peer, people, rule};
use crate::config::model::{Name, Peer, Secret, Takes};

/// The section being read. What it says goes into the model when it ends; only `main` writes there at once.
pub(super) struct Section {
    pub kind: Kind,
    pub line: u32,
    /// Type and name as written, for faults; cut to the length of a name.
    pub kind_text: Name,
    pub name_text: Name,
    /// The name in lower case; empty when the section is refused, then nothing goes into the model.
    pub id: Name,
    /// The options seen, a bit for each [`Key`].
    pub seen: u64,
    pub display: Name,
    pub person: Option<usize>,
    pub takes: Takes,
    pub secret: Option<Secret>,
    pub peer: Peer,
    /// Of a buddy, an account or a rule: its index in the model, where the first readings have put it.
    pub index: usize,
    /// Of `main`: the lines of the entries of its list `web`, in their order.
    pub web_lines: Vec<u32, WEB_LISTENERS>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Before the first section.
    None,
    /// A section that is refused as a whole: its options are not looked at.
    Refused,
    Main,
    Person,
    Device,
    Peer,
    Buddy,
    Account,
    Rule,
}

/// An option that is in this version.
#[derive(Clone, Copy)]
pub(super) enum Key {
    Domain,
    Listen,
    External,
    Socket,
    Unlimited,
    LogLevel,
    Syslog,
    BindingsPerPerson,
    Spool,
    SpoolMb,
    QuotaMb,
    KeepDays,
    State,
    RunDir,
    CertFile,
    PrivateKeyFile,
    CaFile,
    ResolvFile,
    Web,
    Url,
    RtpPorts,
    Timezone,
    DisplayName,
    Password,
    Ha1,
    Language,
    Busy,
    AnswerAfter,
    Answering,
    RecordSeconds,
    Missed,
    Person,
    Takes,
    PeerDomain,
    PeerAddress,
    PeerTransport,
    PeerPin,
    PeerCa,
    Alias,
    BuddyAddress,
    Group,
    AccountNetwork,
    AccountAddress,
    AccountLogin,
    AccountPassword,
    AccountServer,
    AccountTls,
    AccountPin,
    AccountCa,
    Who,
    When,
    Presence,
    Location,
    Messages,
    Calls,
}

/// What is known about an option.
#[derive(Clone, Copy)]
pub(super) enum Shape {
    /// An option, once.
    One(Key),
    /// A list.
    Many(Key),
    /// A list, which may be written as an option when it has one value.
    OneOrMany(Key),
    /// An option of what (given here) does not exist yet.
    NotYet(&'static str),
}

impl Section {
    pub const NONE: Self = Self {
        kind: Kind::None,
        line: 1,
        kind_text: Name::new(),
        name_text: Name::new(),
        id: Name::new(),
        seen: 0,
        display: Name::new(),
        person: None,
        takes: Takes::NONE,
        secret: None,
        peer: Peer::NONE,
        index: 0,
        web_lines: Vec::new(),
    };

    /// Whether the option was given, rightly or wrongly.
    pub fn has(&self, key: Key) -> bool {
        self.seen & 1 << key as u64 != 0
    }

    pub fn mark(&mut self, key: Key) {
        self.seen |= 1 << key as u64;
    }
}

impl Kind {
    /// The options such a section may have.
    pub fn options(self) -> &'static [(&'static str, Shape)] {
        match self {
            Self::None | Self::Refused => &[],
            Self::Main => main_section::OPTIONS,
            Self::Person => people::PERSON_OPTIONS,
            Self::Device => people::DEVICE_OPTIONS,
            Self::Peer => peer::OPTIONS,
            Self::Buddy => buddy::OPTIONS,
            Self::Account => account::OPTIONS,
            Self::Rule => rule::OPTIONS,
        }
    }
}
