//! Faults of a configuration, each with the line, section and option it is in, as `pcsd check` prints them.
//!
//! A fault quotes the value it is about, except of an option that holds a secret or whose meaning is unknown.

use core::fmt;

use crate::config::uci::Syntax;

/// One fault. Its text is one line: `line 12: person 'alice': option 'passwrd': unknown option`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Fault<'t> {
    /// The line, from 1. Of what is missing: where its section begins; of a missing section: the last line.
    pub line: u32,
    /// The section's type; empty before the first section.
    pub kind: &'t str,
    /// The section's name; empty when it has none.
    pub name: &'t str,
    /// The option or list; empty when the fault is not in one.
    pub option: &'t str,
    /// What is wrong.
    pub problem: Problem<'t>,
}

/// What is wrong.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Problem<'t> {
    /// The line is not a UCI statement.
    Syntax(Syntax),
    /// `package` with another name than ours.
    Package(&'t str),
    /// `option` or `list` before the first `config`.
    OutsideSection,
    /// A type of section that does not exist.
    UnknownSection,
    /// An option that does not exist in such a section.
    UnknownOption,
    /// The option's name has other characters than UCI allows: letters, digits and `_`.
    BadOption,
    /// The option's name has more in it than the name of a secret, which is all that is shown of it.
    RunsOn,
    /// It exists in the interface, but what it is about (given here) does not exist yet.
    NotYet(&'static str),
    /// Section `pcsd` must have this name.
    OnlyName(&'static str),
    /// The section needs a name.
    Unnamed,
    /// The section's name has other characters than the user part of an address may have.
    BadName,
    /// The section's name is kept for the server itself.
    ReservedName,
    /// A section above has this name already.
    TakenName,
    /// The section is not there.
    MissingSection,
    /// The section lacks this.
    Missing(&'static str),
    /// A list that was written as an option.
    IsList,
    /// An option that was written as a list.
    IsOption,
    /// The option is given twice in the section.
    Repeated,
    /// The value is in the list already.
    Duplicate(&'t str),
    /// Another entry of the list asks for the same socket: a wildcard, or TCP where this is TLS.
    Covered(&'t str),
    /// A listener of SIP asks for the same socket.
    ListenerOfSip,
    /// `password` and `ha1` in one section.
    TwoSecrets,
    /// The value is empty.
    Empty,
    /// The value or name has more bytes than this.
    TooLong(usize),
    /// The table is full.
    TooMany {
        /// The name of the limit.
        limit: &'static str,
        /// Its value.
        max: usize,
    },
    /// The value is not what it has to be.
    Value {
        /// The value.
        value: &'t str,
        /// What it has to be.
        expected: &'static str,
    },
    /// The secret is not what it has to be.
    Secret(&'static str),
    /// The number is not in its range.
    Range {
        /// The value.
        value: &'t str,
        /// The least it may be.
        min: u32,
        /// The most it may be.
        max: u32,
    },
    /// It is about what this program was built without.
    NotBuilt(&'static str),
    /// A pin or a CA for a peer that is reached without TLS.
    NeedsTls,
    /// A pin or a CA for an account whose connection has no TLS.
    AccountNeedsTls,
    /// The security of a connection of which the server's entry, a URL or a path, says it already.
    SaidByServer,
    /// An account above has this address.
    AddressOfAccount(&'t str),
    /// The domain of a peer that is this home's own, or an external name of it.
    OwnDomain(&'t str),
    /// A peer has this domain already.
    DomainOfPeer(&'t str),
    /// No person has this name.
    NoPerson(&'t str),
    /// No buddy whom the rule's owner sees has this alias.
    NoBuddy(&'t str),
    /// No buddy whom the rule's owner sees is in this group.
    NoGroup(&'t str),
    /// The alias is the name of a person.
    AliasOfPerson(&'t str),
    /// The alias is what the buddy list of a person (`NAME-buddies`) is called.
    AliasOfList(&'t str),
    /// A buddy above has this alias, and both are on the same list or one is on the family's.
    AliasOfBuddy(&'t str),
    /// A buddy above has this address, and both are on the same list or one is on the family's.
    AddressOfBuddy(&'t str),
}

impl fmt::Display for Fault<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: ", self.line)?;
        if !self.kind.is_empty() {
            f.write_str(self.kind)?;
            if !self.name.is_empty() {
                write!(f, " '{}'", self.name)?;
            }
            f.write_str(": ")?;
        }
        if !self.option.is_empty() {
            write!(f, "option '{}': ", self.option)?;
        }
        self.problem.fmt(f)
    }
}

impl fmt::Display for Problem<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Syntax(syntax) => syntax.fmt(f),
            Self::Package(name) => write!(f, "package '{name}' is not pcsd"),
            Self::OutsideSection => f.write_str("before the first section"),
            Self::UnknownSection => f.write_str("unknown type of section"),
            Self::UnknownOption => f.write_str("unknown option"),
            Self::BadOption => f.write_str("an option's name may have letters, digits and '_' only"),
            Self::RunsOn => f.write_str("unknown option: there is more in its name"),
            Self::NotYet(what) => write!(f, "{what} is not in this version"),
            Self::OnlyName(name) => write!(f, "its name has to be '{name}'"),
            Self::Unnamed => f.write_str("the section needs a name"),
            Self::BadName => f.write_str("the name may have letters, digits, '-', '_' and '.' only"),
            Self::ReservedName => f.write_str("the name is kept for the server"),
            Self::TakenName => f.write_str("the name is taken by a section above or a person"),
            Self::MissingSection => f.write_str("the section is missing"),
            Self::Missing(what) => write!(f, "{what} is missing"),
            Self::IsList => f.write_str("it is a list: write 'list' instead of 'option'"),
            Self::IsOption => f.write_str("it has one value: write 'option' instead of 'list'"),
            Self::Repeated => f.write_str("given twice"),
            Self::Duplicate(value) => write!(f, "'{value}' is in the list already"),
            Self::Covered(value) => write!(f, "'{value}' is covered by an entry above"),
            Self::ListenerOfSip => f.write_str("a listener of SIP has this address and port"),
            Self::TwoSecrets => f.write_str("either a password or ha1, not both"),
            Self::Empty => f.write_str("the value is empty"),
            Self::TooLong(max) => write!(f, "longer than {max} bytes"),
            Self::TooMany { limit, max } => write!(f, "more than {max} (the limit {limit})"),
            Self::Value { value, expected } => write!(f, "'{value}' is not {expected}"),
            Self::Secret(expected) => write!(f, "the value is not {expected}"),
            Self::Range { value, min, max } => write!(f, "'{value}' is not a number from {min} to {max}"),
            Self::NotBuilt(what) => write!(f, "{what} is not built into this program"),
            Self::NeedsTls => f.write_str("a pin or a CA needs the transport tls"),
            Self::AccountNeedsTls => f.write_str("a pin or a CA needs a connection with TLS"),
            Self::SaidByServer => f.write_str("the option 'server' says it already"),
            Self::AddressOfAccount(value) => write!(f, "'{value}' is the address of an account above"),
            Self::OwnDomain(value) => write!(f, "'{value}' is a name of this home"),
            Self::DomainOfPeer(value) => write!(f, "'{value}' is the domain of a peer above"),
            Self::NoPerson(value) => write!(f, "there is no person '{value}'"),
            Self::NoBuddy(value) => write!(f, "there is no buddy '{value}' on the list"),
            Self::NoGroup(value) => write!(f, "there is no buddy in a group '{value}' on the list"),
            Self::AliasOfPerson(value) => write!(f, "'{value}' is a person"),
            Self::AliasOfList(value) => write!(f, "'{value}' is the buddy list of a person"),
            Self::AliasOfBuddy(value) => write!(f, "'{value}' is a buddy above, on this list or the family's"),
            Self::AddressOfBuddy(value) => {
                write!(f, "'{value}' is the address of a buddy above, on this list or the family's")
            }
        }
    }
}
