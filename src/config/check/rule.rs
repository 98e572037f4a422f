//! Section `rule`: for whom, when, and what becomes of each aspect.

use crate::base::limits::{RULES, WHO_PER_RULE};
use crate::config::check::section::{Key, Kind, Shape};
use crate::config::check::{Check, add, choose, host, network, word};
use crate::config::fault::Problem;
use crate::config::model::{Buddy, Calls, Location, Messages, Model, Presence, Rule, State, Who};

pub(super) const OPTIONS: &[(&str, Shape)] = &[
    ("person", Shape::One(Key::Person)),
    ("who", Shape::Many(Key::Who)),
    ("when", Shape::One(Key::When)),
    ("presence", Shape::One(Key::Presence)),
    ("location", Shape::One(Key::Location)),
    ("messages", Shape::One(Key::Messages)),
    ("calls", Shape::One(Key::Calls)),
];

/// Takes down whose rule it is, which has to be known when the list `who` is read. The first value counts.
pub(super) fn outline(model: &mut Model, key: &str, value: &str) {
    let person = if key == "person" { model.person(value.as_bytes()) } else { None };
    if let (Some(rule), Some(person)) = (model.rules.last_mut(), person) {
        rule.person = rule.person.or(Some(person as u16));
    }
}

impl Check<'_> {
    /// The section may have a name, as every section in UCI; it means nothing.
    pub(super) fn begin_rule(&mut self, name: &str) -> Result<(), Problem<'static>> {
        if self.rules == self.model.rules.len() {
            return Err(Problem::TooMany { limit: "RULES", max: RULES });
        }
        self.section.kind = Kind::Rule;
        self.section.index = self.rules;
        self.rules += 1;
        self.free_name(name)
    }

    pub(super) fn end_rule(&mut self) {
        if !self.section.has(Key::Who) {
            self.missing("list 'who'");
        }
        let aspects = [Key::Presence, Key::Location, Key::Messages, Key::Calls];
        if !aspects.into_iter().any(|key| self.section.has(key)) {
            self.missing("one of 'presence', 'location', 'messages' and 'calls'");
        }
    }

    fn rule(&mut self) -> Option<&mut Rule> {
        self.model.rules.get_mut(self.section.index)
    }

    fn set<'v>(&mut self, change: impl FnOnce(&mut Rule)) -> Result<(), Problem<'v>> {
        if let Some(rule) = self.rule() {
            change(rule);
        }
        Ok(())
    }

    pub(super) fn who<'v>(&mut self, value: &'v str) -> Result<(), Problem<'v>> {
        let who = self.read_who(value)?;
        let Some(rule) = self.rule() else { return Ok(()) };
        add(&mut rule.who, who, value, "WHO_PER_RULE", WHO_PER_RULE)
    }

    fn read_who<'v>(&mut self, value: &'v str) -> Result<Who, Problem<'v>> {
        let wrong = Problem::Value { value, expected: WHO };
        if value == "anyone" {
            return Ok(Who::Anyone);
        }
        let (kind, name) = value.split_once(':').ok_or(wrong)?;
        match kind {
            _ if name.is_empty() => Err(wrong),
            "person" => {
                let person = self.model.person(name.as_bytes()).ok_or(Problem::NoPerson(name))?;
                Ok(Who::Person(person as u16))
            }
            "buddy" => self.read_buddy(name),
            "group" => self.read_group(name),
            "domain" => {
                let domain = host(name)?;
                let index = word(&mut self.model.words, &domain)?;
                Ok(Who::Domain(index))
            }
            "network" => Ok(Who::Network(network(name, wrong)?)),
            _ => Err(wrong),
        }
    }

    /// A buddy that the rule's owner sees; a rule of the family's has the family's only, as each person may have another
    /// under the same alias.
    fn read_buddy<'v>(&mut self, name: &'v str) -> Result<Who, Problem<'v>> {
        let owner = self.rule().and_then(|rule| rule.person);
        let is_it =
            |buddy: &Buddy| (buddy.person.is_none() || buddy.person == owner) && buddy.is_called(name.as_bytes());
        let index = self.model.buddies.iter().position(is_it).ok_or(Problem::NoBuddy(name))?;
        Ok(Who::Buddy(index as u16))
    }

    /// A group with a buddy in it that the rule's owner sees, or for a rule of the family's anybody of the home.
    fn read_group<'v>(&mut self, name: &'v str) -> Result<Who, Problem<'v>> {
        let owner = self.rule().and_then(|rule| rule.person);
        let index = self.model.words.iter().position(|word| word == name).map(|index| index as u16);
        let index = index.ok_or(Problem::NoGroup(name))?;
        let is_in = |buddy: &Buddy| {
            buddy.group == Some(index) && (owner.is_none() || buddy.person.is_none() || buddy.person == owner)
        };
        if self.model.buddies.iter().any(is_in) { Ok(Who::Group(index)) } else { Err(Problem::NoGroup(name)) }
    }

    pub(super) fn when<'v>(&mut self, value: &'v str) -> Result<(), Problem<'v>> {
        if value == "costly" {
            return Err(Problem::NotYet("the cost of a line"));
        }
        if value.starts_with("place:") {
            return Err(Problem::NotYet("the place of a person"));
        }
        let state = choose(value, STATES, "available, away, busy or offline")?;
        self.set(|rule| rule.when = Some(state))
    }

    /// A keyword in another case is that keyword: as a text it would show what was to be hidden.
    pub(super) fn presence<'v>(&mut self, value: &'v str) -> Result<(), Problem<'v>> {
        let keyword = PRESENCE.iter().find(|(word, _)| word.eq_ignore_ascii_case(value));
        let presence = match keyword {
            Some((_, presence)) => *presence,
            None => Presence::Text(word(&mut self.model.words, value)?),
        };
        self.set(|rule| rule.presence = Some(presence))
    }

    pub(super) fn location<'v>(&mut self, value: &'v str) -> Result<(), Problem<'v>> {
        let location = choose(value, LOCATIONS, "none, place or coordinates")?;
        self.set(|rule| rule.location = Some(location))
    }

    pub(super) fn messages<'v>(&mut self, value: &'v str) -> Result<(), Problem<'v>> {
        let messages = choose(value, MESSAGES, "deliver, store or block")?;
        self.set(|rule| rule.messages = Some(messages))
    }

    pub(super) fn calls<'v>(&mut self, value: &'v str) -> Result<(), Problem<'v>> {
        let calls = choose(value, CALLS, "ring, answer or block")?;
        self.set(|rule| rule.calls = Some(calls))
    }
}

const WHO: &str = "person:ID, buddy:ALIAS, group:NAME, domain:NAME, network:NETWORK (sip, xmpp, irc, line) or anyone";

const STATES: &[(&str, State)] =
    &[("available", State::Available), ("away", State::Away), ("busy", State::Busy), ("offline", State::Offline)];
const PRESENCE: &[(&str, Presence)] = &[("show", Presence::Show), ("hide", Presence::Hide), ("busy", Presence::Busy)];
const LOCATIONS: &[(&str, Location)] =
    &[("none", Location::None), ("place", Location::Place), ("coordinates", Location::Coordinates)];
const MESSAGES: &[(&str, Messages)] =
    &[("deliver", Messages::Deliver), ("store", Messages::Store), ("block", Messages::Block)];
const CALLS: &[(&str, Calls)] = &[("ring", Calls::Ring), ("answer", Calls::Answer), ("block", Calls::Block)];
