//! Reads a UCI file into the [`Model`] and finds what is wrong with it; the interface is the table in [`crate::config`].
//!
//! The text is read twice. The first time takes down the domain and the names of the people, which may stand below what
//! needs them: H(A1) covers the domain, a device names its person. The second time reports faults and fills the model.
//! A third reading lends their person's password to devices that have none. So no password is kept, and faults come in the order of lines, but for what a section lacks, which is known at its end.

use core::fmt::Write;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::base::limits::{
    BINDINGS_PER_PERSON, DEVICES, EXTERNALS, LINE_BYTES, LISTENERS, NAME_BYTES, PEOPLE, UNLIMITED,
};
use crate::base::net::Transport;
use crate::config::fault::{Fault, Problem};
use crate::config::model::{Device, Listen, LogLevel, Main, Model, Name, Person, Secret, Takes};
use crate::config::uci::{self, Lines, Statement, Syntax};
use crate::config::value;

/// What [`Model::read`] does.
pub(super) fn read(model: &mut Model, text: &[u8], report: &mut dyn FnMut(Fault<'_>)) -> usize {
    model.clear();
    outline(model, text);
    let mut check = Check { model, report, faults: 0, section: Section::NONE, people: 0, main: false };
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
                    // What does not fit is reported by the second reading.
                    let _ = model.people.push(Person { name: id.clone(), id, secret: Secret::NONE });
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

/// The second reading.
struct Check<'c> {
    model: &'c mut Model,
    report: &'c mut dyn FnMut(Fault<'_>),
    faults: usize,
    section: Section,
    /// People whose section has begun; they come in the order of the first reading.
    people: usize,
    /// Whether section `pcsd 'main'` has begun.
    main: bool,
}

/// The section being read. What it says goes into the model when it ends.
struct Section {
    kind: Kind,
    line: u32,
    /// Type and name as written, for faults; cut to the length of a name.
    kind_text: Name,
    name_text: Name,
    /// The name in lower case; empty when the section is refused, then nothing goes into the model.
    id: Name,
    /// The options seen, a bit for each [`Key`].
    seen: u16,
    display: Name,
    person: Option<usize>,
    takes: Takes,
    secret: Option<Secret>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Before the first section.
    None,
    /// A section that is refused as a whole: its options are not looked at.
    Refused,
    Main,
    Person,
    Device,
}

/// An option that is in this version.
#[derive(Clone, Copy)]
enum Key {
    Domain,
    Listen,
    External,
    Socket,
    Unlimited,
    LogLevel,
    Syslog,
    BindingsPerPerson,
    DisplayName,
    Password,
    Ha1,
    Person,
    Takes,
}

/// What is known about an option.
#[derive(Clone, Copy)]
enum Shape {
    One(Key),
    Many(Key),
    NotYet(&'static str),
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

    /// The third reading: a device without a password of its own logs in by its own name with its person's.
    fn lend_passwords(&mut self, text: &[u8]) {
        // With faults the model is not used, and who has which password may be one of them.
        if self.faults > 0 || self.model.devices.iter().all(|device| device.secret != Secret::NONE) {
            return;
        }
        let mut room = [0; LINE_BYTES];
        let mut person = None;
        let mut lines = [0; DEVICES];
        for (line, bytes) in Lines::new(text) {
            match uci::statement(bytes, &mut room) {
                Ok(Some(Statement::Config { kind, name })) => {
                    let id = section_id(name).unwrap_or_default();
                    person = self.model.person(id.as_bytes()).filter(|_| kind == "person");
                    if let Some(device) = self.model.device(id.as_bytes()).filter(|_| kind == "device") {
                        lines[device] = line;
                    }
                }
                Ok(Some(Statement::Option { key: "password", value })) => {
                    let Model { main, devices, .. } = &mut *self.model;
                    for device in devices.iter_mut().filter(|device| device.secret == Secret::NONE) {
                        if person == Some(usize::from(device.person)) {
                            device.secret =
                                Secret::from_password(device.id.as_bytes(), main.domain.as_bytes(), value.as_bytes());
                        }
                    }
                }
                Err(_) if uci::begins_section(bytes) => person = None,
                _ => {}
            }
        }
        for (index, line) in lines.into_iter().enumerate() {
            let Some(device) = self.model.devices.get(index).filter(|device| device.secret == Secret::NONE) else {
                continue;
            };
            let name = device.id.clone();
            self.begin_text(line, "device", &name);
            self.fault(line, "", Problem::Missing("option 'password' or 'ha1' (its person has only a hash)"));
        }
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
            _ => Err(match NOT_YET.iter().find(|(known, _)| *known == kind) {
                Some((_, what)) => Problem::NotYet(what),
                None => Problem::UnknownSection,
            }),
        };
        if let Err(problem) = begun {
            self.fault(line, "", problem);
        }
    }

    fn begin_main(&mut self, name: &str) -> Result<(), Problem<'static>> {
        if name != MAIN {
            return Err(Problem::OnlyName(MAIN));
        }
        if self.main {
            return Err(Problem::TakenName);
        }
        self.main = true;
        self.section.kind = Kind::Main;
        let main = &mut self.model.main;
        // Both fit: the path is a constant, and limits.rs keeps the number small.
        main.socket = SOCKET.try_into().unwrap_or_default();
        main.log_level = LogLevel::Info;
        main.bindings_per_person = u16::try_from(BINDINGS_PER_PERSON).unwrap_or(u16::MAX);
        Ok(())
    }

    /// The options of a person whose name is refused are checked all the same.
    fn begin_person(&mut self, name: &str) -> Result<(), Problem<'static>> {
        self.section.kind = Kind::Person;
        let id = section_id(name)?;
        match self.model.people.iter().position(|person| person.id == id) {
            Some(index) if index == self.people => self.people += 1,
            Some(_) => return Err(Problem::TakenName),
            None => return Err(Problem::TooMany { limit: "PEOPLE", max: PEOPLE }),
        }
        self.section.id = id;
        Ok(())
    }

    fn begin_device(&mut self, name: &str) -> Result<(), Problem<'static>> {
        self.section.kind = Kind::Device;
        let id = section_id(name)?;
        if self.model.person(id.as_bytes()).is_some() || self.model.device(id.as_bytes()).is_some() {
            return Err(Problem::TakenName);
        }
        if self.model.devices.is_full() {
            return Err(Problem::TooMany { limit: "DEVICES", max: DEVICES });
        }
        self.section.id = id;
        Ok(())
    }

    fn end_section(&mut self) {
        let missing = match self.section.kind {
            Kind::None | Kind::Refused => None,
            Kind::Main => {
                if !self.section.has(Key::Listen) {
                    listen_everywhere(&mut self.model.main);
                }
                (!self.section.has(Key::Domain)).then_some("option 'domain'")
            }
            Kind::Person => {
                self.keep_person();
                let has_secret = self.section.has(Key::Password) || self.section.has(Key::Ha1);
                (!has_secret).then_some("option 'password' or 'ha1'")
            }
            Kind::Device => {
                self.keep_device();
                (!self.section.has(Key::Person)).then_some("option 'person'")
            }
        };
        if let Some(what) = missing {
            self.fault(self.section.line, "", Problem::Missing(what));
        }
        self.section.kind = Kind::Refused;
    }

    fn keep_person(&mut self) {
        let Section { id, display, secret, .. } = &mut self.section;
        if let Some(person) = self.model.people.iter_mut().find(|person| person.id == *id) {
            if !display.is_empty() {
                person.name = display.clone();
            }
            person.secret = secret.take().unwrap_or(Secret::NONE);
        }
    }

    fn keep_device(&mut self) {
        let Section { id, person, takes, secret, .. } = &mut self.section;
        if id.is_empty() {
            return;
        }
        let takes = if *takes == Takes::NONE { Takes::ALL } else { *takes };
        // Without a person there is a fault, and the number does not matter.
        let person = person.and_then(|index| u16::try_from(index).ok()).unwrap_or(0);
        let device = Device { id: id.clone(), person, takes, secret: secret.take().unwrap_or(Secret::NONE) };
        // There is room: the section's beginning was refused otherwise.
        let _ = self.model.devices.push(device);
    }

    fn option(&mut self, line: u32, key: &str, value: &str, is_list: bool) {
        if !key.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
            return self.fault(line, "", Problem::BadOption);
        }
        let options = match self.section.kind {
            Kind::None => return self.fault(line, key, Problem::OutsideSection),
            Kind::Refused => return,
            Kind::Main => MAIN_OPTIONS,
            Kind::Person => PERSON_OPTIONS,
            Kind::Device => DEVICE_OPTIONS,
        };
        let shape = options.iter().find(|(known, _)| *known == key).map(|(_, shape)| *shape);
        let problem = match shape {
            None if SECRETS.iter().any(|secret| key.contains(secret)) => Err(Problem::RunsOn),
            None => Err(Problem::UnknownOption),
            Some(Shape::NotYet(what)) => Err(Problem::NotYet(what)),
            Some(Shape::One(key)) if is_list => {
                // It is there, if wrongly: no second fault that it is missing.
                self.section.seen |= 1 << key as u16;
                Err(Problem::IsOption)
            }
            Some(Shape::Many(_)) if !is_list => Err(Problem::IsList),
            Some(Shape::One(key)) if self.section.has(key) => Err(Problem::Repeated),
            Some(Shape::One(key) | Shape::Many(key)) => {
                self.section.seen |= 1 << key as u16;
                if value.is_empty() { Err(Problem::Empty) } else { self.value(key, value) }
            }
        };
        if let Err(problem) = problem {
            self.fault(line, key, problem);
        }
    }

    fn value<'v>(&mut self, key: Key, value: &'v str) -> Result<(), Problem<'v>> {
        let main = &mut self.model.main;
        match key {
            // The first reading has taken it.
            Key::Domain => host(value).map(drop),
            Key::Listen => add_listen(main, value),
            Key::External => {
                let host = host(value)?;
                add(&mut main.external, host, value, "EXTERNALS", EXTERNALS)
            }
            Key::Socket => set_socket(main, value),
            Key::Unlimited => {
                let address = value::source(value).ok_or(Problem::Value { value, expected: "an IP address" })?;
                add(&mut main.unlimited, address, value, "UNLIMITED", UNLIMITED)
            }
            Key::LogLevel => {
                choose(value, LOG_LEVELS, "error, warn, info or debug").map(|level| main.log_level = level)
            }
            Key::Syslog => choose(value, SWITCH, "0 or 1").map(|on| main.syslog = on),
            Key::BindingsPerPerson => set_bindings_per_person(main, value),
            Key::DisplayName => bounded(value).map(|name| self.section.display = name),
            Key::Password | Key::Ha1 => self.secret(key, value),
            Key::Person => self.person(value),
            Key::Takes => self.takes(value),
        }
    }

    /// A fault of these never quotes the value.
    fn secret(&mut self, key: Key, value: &str) -> Result<(), Problem<'static>> {
        if self.section.has(Key::Password) && self.section.has(Key::Ha1) {
            return Err(Problem::TwoSecrets);
        }
        let secret = match key {
            Key::Ha1 => value::ha1(value).ok_or(Problem::Secret(HA1))?,
            _ if value.len() > NAME_BYTES => return Err(Problem::TooLong(NAME_BYTES)),
            _ => {
                let realm = &self.model.main.domain;
                Secret::from_password(self.section.id.as_bytes(), realm.as_bytes(), value.as_bytes())
            }
        };
        self.section.secret = Some(secret);
        Ok(())
    }

    fn person<'v>(&mut self, value: &'v str) -> Result<(), Problem<'v>> {
        let person = self.model.person(value.as_bytes()).ok_or(Problem::NoPerson(value))?;
        self.section.person = Some(person);
        Ok(())
    }

    fn takes<'v>(&mut self, value: &'v str) -> Result<(), Problem<'v>> {
        let takes = &mut self.section.takes;
        let kind = match value {
            "audio" => &mut takes.audio,
            "video" => &mut takes.video,
            "text" => &mut takes.text,
            _ => return Err(Problem::Value { value, expected: "audio, video or text" }),
        };
        if core::mem::replace(kind, true) { Err(Problem::Duplicate(value)) } else { Ok(()) }
    }
}

impl Section {
    const NONE: Self = Self {
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
    };

    fn has(&self, key: Key) -> bool {
        self.seen & 1 << key as u16 != 0
    }
}

/// The name of a person's or device's section as an id.
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

fn add<'v, T: PartialEq, const N: usize>(
    list: &mut heapless::Vec<T, N>,
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

fn add_listen<'v>(main: &mut Main, value: &'v str) -> Result<(), Problem<'v>> {
    if value.starts_with("tls:") {
        return Err(Problem::NotYet("TLS"));
    }
    let listen = value::listen(value).ok_or(Problem::Value { value, expected: LISTEN })?;
    if main.listen.iter().any(|other| *other != listen && value::overlap(other, &listen)) {
        return Err(Problem::Covered(value));
    }
    add(&mut main.listen, listen, value, "LISTENERS", LISTENERS)
}

fn listen_everywhere(main: &mut Main) {
    for transport in [Transport::Udp, Transport::Tcp] {
        for ip in [IpAddr::V4(Ipv4Addr::UNSPECIFIED), IpAddr::V6(Ipv6Addr::UNSPECIFIED)] {
            // The list is empty, and has room for these.
            let _ = main.listen.push(Listen { transport, address: SocketAddr::new(ip, 5060) });
        }
    }
}

fn set_socket<'v>(main: &mut Main, value: &'v str) -> Result<(), Problem<'v>> {
    if !value.starts_with('/') {
        return Err(Problem::Value { value, expected: "a path from the root" });
    }
    main.socket = value.try_into().map_err(|_| Problem::TooLong(main.socket.capacity()))?;
    Ok(())
}

fn set_bindings_per_person<'v>(main: &mut Main, value: &'v str) -> Result<(), Problem<'v>> {
    let number = value.parse().ok().filter(|number| (1..=BINDINGS_PER_PERSON).contains(&usize::from(*number)));
    main.bindings_per_person = number.ok_or(Problem::Range(value, BINDINGS_PER_PERSON))?;
    Ok(())
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
const SOCKET: &str = "/var/run/pcsd.sock";

const MAIN_OPTIONS: &[(&str, Shape)] = &[
    ("domain", Shape::One(Key::Domain)),
    ("listen", Shape::Many(Key::Listen)),
    ("external", Shape::Many(Key::External)),
    ("socket", Shape::One(Key::Socket)),
    ("unlimited", Shape::Many(Key::Unlimited)),
    ("log_level", Shape::One(Key::LogLevel)),
    ("syslog", Shape::One(Key::Syslog)),
    ("bindings_per_person", Shape::One(Key::BindingsPerPerson)),
    ("spool", Shape::NotYet("the message spool")),
    ("web", Shape::NotYet("the web page")),
    ("url", Shape::NotYet("the web page")),
    ("rtp_ports", Shape::NotYet("the media relay")),
];

const PERSON_OPTIONS: &[(&str, Shape)] = &[
    ("name", Shape::One(Key::DisplayName)),
    ("password", Shape::One(Key::Password)),
    ("ha1", Shape::One(Key::Ha1)),
    ("language", Shape::NotYet("the choice of a language")),
];

const DEVICE_OPTIONS: &[(&str, Shape)] = &[
    ("person", Shape::One(Key::Person)),
    ("takes", Shape::Many(Key::Takes)),
    ("password", Shape::One(Key::Password)),
    ("ha1", Shape::One(Key::Ha1)),
];

/// Types of sections that the interface has and this version has not.
const NOT_YET: &[(&str, &str)] = &[
    ("buddy", "the buddy list"),
    ("account", "the link to other networks"),
    ("rule", "the table of rules"),
    ("place", "the table of places"),
    ("peer", "the link to other homes"),
    ("station", "the listening station"),
];

const LOG_LEVELS: &[(&str, LogLevel)] =
    &[("error", LogLevel::Error), ("warn", LogLevel::Warn), ("info", LogLevel::Info), ("debug", LogLevel::Debug)];
const SWITCH: &[(&str, bool)] = &[("0", false), ("1", true)];

/// Options whose values are never shown.
const SECRETS: [&str; 2] = ["password", "ha1"];

const LISTEN: &str = "udp:ADDRESS:PORT or tcp:ADDRESS:PORT";
const HA1: &str = "an MD5 hash of 32 hexadecimal digits, a SHA-256 hash of 64, or both";

const _: () = assert!(LISTENERS >= 4, "UDP and TCP over IPv4 and IPv6 are the default");
const _: () = assert!(BINDINGS_PER_PERSON <= 65_535, "the number is a u16");

#[cfg(test)]
mod tests;
