//! Reads a UCI file into the [`Model`] and finds what is wrong with it; the interface is the table in [`crate::config`].
//!
//! What a section needs may stand below it, so the text is read several times. The first time takes down the domain and
//! the names of the people: H(A1) covers the domain, a device names its person. The second time takes down whose each
//! buddy and rule is, what a rule may name (aliases and groups), and of each account the network and how it is reached. The third time reports faults and fills the model. A
//! fourth lends their person's password to devices that have none. So no password is kept, and faults come in the order of
//! lines, but for what a section lacks, which is known at its end.
//!
//! Here are the readings, and what is the same for all sections; the files below have each section's own.

mod account;
mod buddy;
mod main_section;
mod peer;
mod people;
mod rule;
mod section;

use core::fmt::Write;
use core::ops::RangeInclusive;

use heapless::LenType;

use crate::base::limits::{BINDINGS_PER_PERSON, LINE_BYTES, NAME_BYTES, UNLIMITED, WORDS};
use crate::config::check::section::{Key, Kind, Section, Shape};
use crate::config::fault::{Fault, Problem};
use crate::config::model::{Account, Buddy, LogLevel, Model, Name, Network, Person, Rule};
use crate::config::uci::{self, Lines, Statement, Syntax};
use crate::config::value;

pub(super) use buddy::address as buddy_address;

/// What [`Model::read`] does.
pub(super) fn read(model: &mut Model, text: &[u8], report: &mut dyn FnMut(Fault<'_>)) -> usize {
    model.clear();
    outline(model, text);
    outline_lists(model, text);
    let section = Section::NONE;
    let mut check =
        Check { model, report, faults: 0, section, people: 0, buddies: 0, accounts: 0, rules: 0, main: false };
    let mut room = [0; LINE_BYTES];
    let mut last = 1;
    for (line, bytes) in Lines::new(text) {
        match uci::statement(bytes, &mut room) {
            Ok(None) => {}
            Ok(Some(statement)) => check.statement(line, statement),
            Err(syntax) => check.broken(line, syntax, uci::begins_section(bytes)),
        }
        last = line;
    }
    check.end_section();
    check.lend_passwords(text);
    check.finish(last)
}

/// The first reading: the domain, and the names of the people in file order, as many as there is room for.
fn outline(model: &mut Model, text: &[u8]) {
    let mut room = [0; LINE_BYTES];
    let (mut in_main, mut main_seen) = (false, false);
    for (_, line) in Lines::new(text) {
        match uci::statement(line, &mut room) {
            Ok(Some(Statement::Config { kind, name })) => {
                in_main = kind == PCSD && name == MAIN && !main_seen;
                main_seen |= in_main;
                if let ("person", Ok(id)) = (kind, section_id(name))
                    && model.person(id.as_bytes()).is_none()
                {
                    // What does not fit is reported by the third reading.
                    let _ = model.people.push(Person::new(id));
                }
            }
            Ok(Some(Statement::Option { key: "domain", value })) if in_main && model.main.domain.is_empty() => {
                model.main.domain = value::host(value).unwrap_or_default();
            }
            Err(_) if uci::begins_section(line) => in_main = false,
            _ => {}
        }
    }
}

/// The second reading: an entry for each section of a buddy, an account or a rule, as many as there is room for. What is wrong with
/// what it takes is found by the third.
fn outline_lists(model: &mut Model, text: &[u8]) {
    let mut room = [0; LINE_BYTES];
    let mut section = Kind::None;
    for (number, line) in Lines::new(text) {
        match uci::statement(line, &mut room) {
            Ok(Some(Statement::Config { kind: "buddy", .. })) => {
                section = if model.buddies.push(Buddy::NONE).is_ok() { Kind::Buddy } else { Kind::Refused };
            }
            Ok(Some(Statement::Config { kind: "account", .. })) => {
                section = if model.accounts.push(Account::NONE).is_ok() { Kind::Account } else { Kind::Refused };
            }
            Ok(Some(Statement::Config { kind: "rule", .. })) => {
                let rule = Rule { line: number, ..Rule::NONE };
                section = if model.rules.push(rule).is_ok() { Kind::Rule } else { Kind::Refused };
            }
            Ok(Some(Statement::Config { .. })) => section = Kind::Refused,
            Ok(Some(Statement::Option { key, value })) => match section {
                Kind::Buddy => buddy::outline(model, key, value),
                Kind::Account => account::outline(model, key, value),
                Kind::Rule => rule::outline(model, key, value),
                _ => {}
            },
            Err(_) if uci::begins_section(line) => section = Kind::Refused,
            _ => {}
        }
    }
}

/// The third reading.
struct Check<'c> {
    model: &'c mut Model,
    report: &'c mut dyn FnMut(Fault<'_>),
    faults: usize,
    section: Section,
    /// People whose section has begun; they come in the order of the first reading.
    people: usize,
    /// Sections of buddies, accounts and rules that have begun; these, too, come in the order in which they were taken
    /// down.
    buddies: usize,
    accounts: usize,
    rules: usize,
    /// Whether section `pcsd 'main'` has begun.
    main: bool,
}

impl Check<'_> {
    fn statement(&mut self, line: u32, statement: Statement<'_>) {
        match statement {
            Statement::Package(PCSD) => {}
            Statement::Package(name) => self.fault(line, "", Problem::Package(name)),
            Statement::Config { kind, name } => {
                self.end_section();
                self.begin_section(line, kind, name);
            }
            Statement::Option { key, value } => self.option(line, key, value, false),
            Statement::List { key, value } => self.option(line, key, value, true),
        }
    }

    fn broken(&mut self, line: u32, syntax: Syntax, begins_section: bool) {
        if begins_section {
            self.end_section();
            self.begin_text(line, "", "");
        }
        self.fault(line, "", Problem::Syntax(syntax));
    }

    fn finish(mut self, last: u32) -> usize {
        if !self.main {
            self.begin_text(last, PCSD, MAIN);
            self.fault(last, "", Problem::MissingSection);
        }
        self.faults
    }

    fn fault(&mut self, line: u32, option: &str, problem: Problem<'_>) {
        self.faults += 1;
        let Section { kind_text: kind, name_text: name, .. } = &self.section;
        // Where the space behind it was forgotten, the option's name has the secret in it.
        let option = SECRETS.into_iter().find(|secret| option.contains(secret)).unwrap_or(option);
        (self.report)(Fault { line, kind, name, option, problem });
    }

    fn begin_text(&mut self, line: u32, kind: &str, name: &str) {
        self.section =
            Section { line, kind_text: cut(kind), name_text: cut(name), kind: Kind::Refused, ..Section::NONE };
    }

    fn begin_section(&mut self, line: u32, kind: &str, name: &str) {
        self.begin_text(line, kind, name);
        let begun = match kind {
            PCSD => self.begin_main(name),
            "person" => self.begin_person(name),
            "device" => self.begin_device(name),
            "peer" => self.begin_peer(name),
            "buddy" => self.begin_buddy(name),
            "account" => self.begin_account(name),
            "rule" => self.begin_rule(name),
            _ => Err(match NOT_YET.iter().find(|(known, _)| *known == kind) {
                Some((_, what)) => Problem::NotYet(what),
                None => Problem::UnknownSection,
            }),
        };
        if let Err(problem) = begun {
            self.fault(line, "", problem);
        }
    }

    fn end_section(&mut self) {
        match self.section.kind {
            Kind::None | Kind::Refused => {}
            Kind::Main => self.end_main(),
            Kind::Person => self.end_person(),
            Kind::Device => self.end_device(),
            Kind::Peer => self.end_peer(),
            Kind::Buddy => self.end_buddy(),
            Kind::Account => self.end_account(),
            Kind::Rule => self.end_rule(),
        }
        self.section.kind = Kind::Refused;
    }

    fn missing(&mut self, what: &'static str) {
        self.fault(self.section.line, "", Problem::Missing(what));
    }

    /// Whether a person, or a device, peer or account above, has this name. UCI knows a section by its name alone.
    fn is_taken(&self, id: &Name) -> bool {
        let bytes = id.as_bytes();
        self.model.person(bytes).is_some()
            || self.model.device(bytes).is_some()
            || self.model.peers.iter().any(|peer| peer.id == *id)
            // Those below have no name yet, as a section may have none that needs none.
            || self.model.accounts.iter().any(|account| account.id == *id && !id.is_empty())
    }

    /// Refuses the name of a section that needs none, when another section has it.
    fn free_name(&self, name: &str) -> Result<(), Problem<'static>> {
        let id = value::id(name).unwrap_or_default();
        if name == MAIN || self.is_taken(&id) { Err(Problem::TakenName) } else { Ok(()) }
    }

    fn option(&mut self, line: u32, key: &str, value: &str, is_list: bool) {
        if !key.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
            return self.fault(line, "", Problem::BadOption);
        }
        match self.section.kind {
            Kind::None => return self.fault(line, key, Problem::OutsideSection),
            Kind::Refused => return,
            _ => {}
        }
        let shape = self.section.kind.options().iter().find(|(known, _)| *known == key).map(|(_, shape)| *shape);
        let problem = match shape {
            None if SECRETS.iter().any(|secret| key.contains(secret)) => Err(Problem::RunsOn),
            None => Err(Problem::UnknownOption),
            Some(Shape::NotYet(what)) => Err(Problem::NotYet(what)),
            Some(Shape::One(key)) if is_list => {
                // It is there, if wrongly: no second fault that it is missing.
                self.section.mark(key);
                Err(Problem::IsOption)
            }
            Some(Shape::Many(_)) if !is_list => Err(Problem::IsList),
            Some(Shape::One(key) | Shape::OneOrMany(key)) if !is_list && self.section.has(key) => {
                Err(Problem::Repeated)
            }
            Some(Shape::One(key) | Shape::Many(key) | Shape::OneOrMany(key)) => {
                self.section.mark(key);
                if value.is_empty() { Err(Problem::Empty) } else { self.value(line, key, value) }
            }
        };
        if let Err(problem) = problem {
            self.fault(line, key, problem);
        }
    }

    fn value<'v>(&mut self, line: u32, key: Key, value: &'v str) -> Result<(), Problem<'v>> {
        let main = &mut self.model.main;
        match key {
            // The first reading has taken it.
            Key::Domain => host(value).map(drop),
            Key::Listen => self.listen(value),
            Key::External => self.external(value),
            Key::Socket => path(value).map(|path| main.socket = path),
            Key::Unlimited => {
                let address = value::source(value).ok_or(Problem::Value { value, expected: "an IP address" })?;
                add(&mut main.unlimited, address, value, "UNLIMITED", UNLIMITED)
            }
            Key::LogLevel => {
                choose(value, LOG_LEVELS, "error, warn, info or debug").map(|level| main.log_level = level)
            }
            Key::Syslog => choose(value, SWITCH, "0 or 1").map(|on| main.syslog = on),
            Key::BindingsPerPerson => {
                number(value, 1..=BINDINGS_PER_PERSON as u32).map(|count| main.bindings_per_person = count as u16)
            }
            Key::Spool => path(value).map(|path| main.spool = path),
            Key::SpoolMb => number(value, 4..=65_536).map(|size| main.spool_mb = size),
            Key::QuotaMb => number(value, 1..=65_536).map(|size| main.quota_mb = size),
            Key::KeepDays => number(value, 0..=36_500).map(|days| main.keep_days = days as u16),
            Key::State => path(value).map(|path| main.state = path),
            Key::RunDir => path(value).map(|path| main.run_dir = path),
            Key::CertFile => path(value).and_then(|path| tls().map(|()| main.cert = path)),
            Key::PrivateKeyFile => path(value).and_then(|path| tls().map(|()| main.key = path)),
            Key::CaFile => path(value).and_then(|path| tls().map(|()| main.ca = path)),
            Key::ResolvFile => path(value).map(|path| main.resolv_file = path),
            Key::Web => self.web(line, value),
            Key::Url => self.url(value),
            Key::RtpPorts => self.rtp_ports(value),
            Key::Timezone => self.timezone(value),
            Key::DisplayName => bounded(value).map(|name| self.section.display = name),
            Key::Password | Key::Ha1 => self.secret(key, value),
            Key::Language => self.language(value),
            Key::Busy => self.busy(value),
            Key::AnswerAfter => self.answer_after(value),
            Key::Answering => self.answering(value),
            Key::RecordSeconds => self.record_seconds(value),
            Key::Missed => self.missed(value),
            Key::Person => self.person(value),
            Key::Takes => self.takes(value),
            Key::PeerDomain => self.peer_domain(value),
            Key::PeerAddress => self.peer_address(value),
            Key::PeerTransport => self.peer_transport(value),
            Key::PeerPin => self.peer_pin(value),
            Key::PeerCa => self.peer_ca(value),
            Key::Alias => self.alias(value),
            Key::BuddyAddress => self.buddy_address(value),
            Key::Group => self.group(value),
            Key::AccountNetwork => account::network_of(value).map(drop),
            Key::AccountAddress => self.account_address(value),
            Key::AccountLogin => self.account_login(value),
            Key::AccountPassword => self.account_password(value),
            Key::AccountServer => self.account_server(value),
            Key::AccountTls => self.account_tls(value),
            Key::AccountPin => self.account_pin(value),
            Key::AccountCa => self.account_ca(value),
            Key::Who => self.who(value),
            Key::When => self.when(value),
            Key::Presence => self.presence(value),
            Key::Location => self.location(value),
            Key::Messages => self.messages(value),
            Key::Calls => self.calls(value),
        }
    }
}

/// The name of a person's, device's, peer's or account's section as an id.
fn section_id(name: &str) -> Result<Name, Problem<'static>> {
    match value::id(name) {
        _ if name.is_empty() => Err(Problem::Unnamed),
        _ if name.len() > NAME_BYTES => Err(Problem::TooLong(NAME_BYTES)),
        None => Err(Problem::BadName),
        Some(id) if id == MAIN || id == "pcs" => Err(Problem::ReservedName),
        Some(id) => Ok(id),
    }
}

fn bounded(value: &str) -> Result<Name, Problem<'_>> {
    Name::try_from(value).map_err(|_| Problem::TooLong(NAME_BYTES))
}

fn host(value: &str) -> Result<Name, Problem<'_>> {
    bounded(value)?;
    value::host(value).ok_or(Problem::Value { value, expected: "a host name or an IP address" })
}

fn choose<'v, T: Copy>(value: &'v str, choices: &[(&str, T)], expected: &'static str) -> Result<T, Problem<'v>> {
    let choice = choices.iter().find(|(word, _)| *word == value);
    choice.map(|(_, chosen)| *chosen).ok_or(Problem::Value { value, expected })
}

fn add<'v, T: PartialEq, const N: usize, L: LenType>(
    list: &mut heapless::Vec<T, N, L>,
    item: T,
    value: &'v str,
    limit: &'static str,
    max: usize,
) -> Result<(), Problem<'v>> {
    if list.contains(&item) {
        return Err(Problem::Duplicate(value));
    }
    list.push(item).map_err(|_| Problem::TooMany { limit, max })
}

/// The index in `words` of a text that buddies and rules share; it is put there when it is new.
fn word(words: &mut heapless::Vec<Name, WORDS>, text: &str) -> Result<u16, Problem<'static>> {
    let name = Name::try_from(text).map_err(|_| Problem::TooLong(NAME_BYTES))?;
    let index = words.iter().position(|word| *word == name).unwrap_or(words.len());
    if index == words.len() {
        words.push(name).map_err(|_| Problem::TooMany { limit: "WORDS", max: WORDS })?;
    }
    Ok(index as u16)
}

/// The network with a name, which has to be in this program; `wrong` when there is none.
fn network<'v>(name: &str, wrong: Problem<'v>) -> Result<Network, Problem<'v>> {
    let known = NETWORKS.iter().find(|(known, ..)| known.eq_ignore_ascii_case(name));
    match known {
        None => Err(wrong),
        Some((_, None, what)) => Err(Problem::NotYet(what)),
        Some((_, Some(network), what)) if !network.is_built() => Err(Problem::NotBuilt(what)),
        Some((_, Some(network), _)) => Ok(*network),
    }
}

fn path<const N: usize>(value: &str) -> Result<heapless::String<N>, Problem<'_>> {
    if !value.starts_with('/') {
        return Err(Problem::Value { value, expected: "a path from the root" });
    }
    value.try_into().map_err(|_| Problem::TooLong(N))
}

fn number(value: &str, range: RangeInclusive<u32>) -> Result<u32, Problem<'_>> {
    let problem = Problem::Range { value, min: *range.start(), max: *range.end() };
    value::number(value).filter(|number| range.contains(number)).ok_or(problem)
}

/// Refuses what needs TLS where it is not built in.
fn tls() -> Result<(), Problem<'static>> {
    if cfg!(feature = "tls") { Ok(()) } else { Err(Problem::NotBuilt("TLS")) }
}

/// As much of `text` as a name holds.
fn cut(text: &str) -> Name {
    let mut name = Name::new();
    // What does not fit is what has to be cut.
    let _ = text.chars().try_for_each(|c| name.write_char(c));
    name
}

const PCSD: &str = "pcsd";
const MAIN: &str = "main";

/// Types of sections that the interface has and this version has not.
const NOT_YET: &[(&str, &str)] = &[("place", "the table of places"), ("station", "the listening station")];

/// The networks of the interface by their names: `None` are those that this version has not; then what a fault calls them.
const NETWORKS: &[(&str, Option<Network>, &str)] = &[
    ("sip", Some(Network::Sip), "the network sip"),
    ("xmpp", Some(Network::Xmpp), "the network xmpp"),
    ("irc", Some(Network::Irc), "the network irc"),
    ("line", Some(Network::Line), "the network line"),
    ("msn", None, "the network msn"),
    ("msnp", None, "the network msnp"),
    ("ymsg", None, "the network ymsg"),
    ("oscar", None, "the network oscar"),
    ("skype", None, "the network skype"),
    ("matrix", None, "the network matrix"),
];

const LOG_LEVELS: &[(&str, LogLevel)] =
    &[("error", LogLevel::Error), ("warn", LogLevel::Warn), ("info", LogLevel::Info), ("debug", LogLevel::Debug)];
const SWITCH: &[(&str, bool)] = &[("0", false), ("1", true)];

/// Options whose values are never shown.
const SECRETS: [&str; 2] = ["password", "ha1"];

#[cfg(test)]
mod tests;
