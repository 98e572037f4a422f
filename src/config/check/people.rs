//! Sections `person` and `device`: names, secrets, what becomes of what a person misses, and what a device takes.

use crate::base::limits::{BUSY_BYTES, DEVICES, LINE_BYTES, NAME_BYTES, PEOPLE};
use crate::config::check::section::{Key, Kind, Section, Shape};
use crate::config::check::{Check, SWITCH, choose, number, section_id};
use crate::config::fault::Problem;
use crate::config::model::{BusyText, Device, Language, Missed, Model, Person, Secret, Takes};
use crate::config::uci::{self, Lines, Statement};
use crate::config::value;

pub(super) const PERSON_OPTIONS: &[(&str, Shape)] = &[
    ("name", Shape::One(Key::DisplayName)),
    ("password", Shape::One(Key::Password)),
    ("ha1", Shape::One(Key::Ha1)),
    ("language", Shape::One(Key::Language)),
    ("busy", Shape::One(Key::Busy)),
    ("answer_after", Shape::One(Key::AnswerAfter)),
    ("answering", Shape::One(Key::Answering)),
    ("record_seconds", Shape::One(Key::RecordSeconds)),
    ("missed", Shape::One(Key::Missed)),
];

pub(super) const DEVICE_OPTIONS: &[(&str, Shape)] = &[
    ("person", Shape::One(Key::Person)),
    ("takes", Shape::Many(Key::Takes)),
    ("password", Shape::One(Key::Password)),
    ("ha1", Shape::One(Key::Ha1)),
];

impl Check<'_> {
    /// The options of a person whose name is refused are checked all the same.
    pub(super) fn begin_person(&mut self, name: &str) -> Result<(), Problem<'static>> {
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

    pub(super) fn begin_device(&mut self, name: &str) -> Result<(), Problem<'static>> {
        self.section.kind = Kind::Device;
        let id = section_id(name)?;
        if self.is_taken(&id) {
            return Err(Problem::TakenName);
        }
        if self.model.devices.is_full() {
            return Err(Problem::TooMany { limit: "DEVICES", max: DEVICES });
        }
        self.section.id = id;
        Ok(())
    }

    pub(super) fn end_person(&mut self) {
        self.keep_person();
        if !self.section.has(Key::Password) && !self.section.has(Key::Ha1) {
            self.missing("option 'password' or 'ha1'");
        }
    }

    pub(super) fn end_device(&mut self) {
        self.keep_device();
        if !self.section.has(Key::Person) {
            self.missing("option 'person'");
        }
    }

    /// The fourth reading: a device without a password of its own logs in by its own name with its person's.
    pub(super) fn lend_passwords(&mut self, text: &[u8]) {
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

    /// Changes the person whose section it is; where the section is refused, there is none.
    fn set_person<'v>(&mut self, change: impl FnOnce(&mut Person)) -> Result<(), Problem<'v>> {
        let id = &self.section.id;
        if let Some(person) = self.model.people.iter_mut().find(|person| person.id == *id) {
            change(person);
        }
        Ok(())
    }

    pub(super) fn language<'v>(&mut self, value: &'v str) -> Result<(), Problem<'v>> {
        let language = choose(value, &Language::TAGS, "en, sv or zh")?;
        self.set_person(|person| person.language = language)
    }

    pub(super) fn busy<'v>(&mut self, value: &'v str) -> Result<(), Problem<'v>> {
        let busy = BusyText::try_from(value).map_err(|_| Problem::TooLong(BUSY_BYTES))?;
        self.set_person(|person| person.busy = busy)
    }

    pub(super) fn answer_after<'v>(&mut self, value: &'v str) -> Result<(), Problem<'v>> {
        let seconds = number(value, 5..=120)?;
        self.set_person(|person| person.answer_after_s = seconds as u8)
    }

    pub(super) fn answering<'v>(&mut self, value: &'v str) -> Result<(), Problem<'v>> {
        let is_on = choose(value, SWITCH, "0 or 1")?;
        self.set_person(|person| person.answering = is_on)
    }

    pub(super) fn record_seconds<'v>(&mut self, value: &'v str) -> Result<(), Problem<'v>> {
        let seconds = number(value, 10..=600)?;
        self.set_person(|person| person.record_seconds = seconds as u16)
    }

    pub(super) fn missed<'v>(&mut self, value: &'v str) -> Result<(), Problem<'v>> {
        let missed = choose(value, &[("keep", Missed::Keep), ("deliver", Missed::Deliver)], "keep or deliver")?;
        self.set_person(|person| person.missed = missed)
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

    /// A fault of these never quotes the value.
    pub(super) fn secret(&mut self, key: Key, value: &str) -> Result<(), Problem<'static>> {
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

    pub(super) fn person<'v>(&mut self, value: &'v str) -> Result<(), Problem<'v>> {
        let person = self.model.person(value.as_bytes()).ok_or(Problem::NoPerson(value))?;
        self.section.person = Some(person);
        Ok(())
    }

    pub(super) fn takes<'v>(&mut self, value: &'v str) -> Result<(), Problem<'v>> {
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

const HA1: &str = "an MD5 hash of 32 hexadecimal digits, a SHA-256 hash of 64, or both";
