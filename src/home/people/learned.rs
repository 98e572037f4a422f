//! Buddies that people put on their lists while the server runs, and addresses they add to those they have.
//!
//! What was learned stands in [`Model::buddies`] behind what is configured, within the same limits, so that everything that
//! asks for buddies finds both. An entry is about one alias on one list. Where a configured buddy is called so, its addresses
//! are more addresses of his; else it is a buddy of its own, whatever the configuration says of him later. What does not fit
//! behind a new configuration is left out with a log line and stays in the journal.
//!
//! A buddy number means the same one until the configuration changes: the place of who was removed is vacant until somebody
//! new takes it. Left out: groups, and another order of addresses.

use core::fmt;
use core::num::NonZeroU16;

use heapless::{Deque, String, Vec};
use serde::{Deserialize, Serialize};

use super::{LIST_SUFFIX, People};
use crate::base::changed::Changed;
use crate::base::limits::{ADDRESSES_PER_BUDDY, BUDDIES, NAME_BYTES};
use crate::base::random::{Purpose, Random};
use crate::base::table::{Handle, Table};
use crate::config;
use crate::config::address::{AddressText, canonical};
use crate::config::model::{Buddy, BuddyAddress, Model, Name, Network};

/// All that was learned.
pub struct Learned {
    entries: Table<Entry, BUDDIES>,
    /// How many buddies the configuration has, and how many addresses each of them.
    configured: u16,
    addresses: [u8; BUDDIES],
    /// Entries that the journal has to be told of.
    pub changed: Changed<BUDDIES>,
    /// Records that the journal is to forget.
    forgotten: Deque<u64, BUDDIES>,
}

/// What was learned of one alias on one list.
struct Entry {
    /// Whose list it is: an index in [`Model::people`]; `None`: the whole family's.
    person: Option<u16>,
    /// In lower case.
    alias: Name,
    /// The name to show; empty: the alias.
    name: Name,
    addresses: Vec<BuddyAddress, ADDRESSES_PER_BUDDY, u8>,
    /// The buddy it is, or that it adds to: an index in [`Model::buddies`]; `None` when there was no room for it.
    buddy: Option<u16>,
    /// The id of its record.
    record: u64,
}

type EntryHandle = Handle<Entry>;

/// An entry as its record in the journal has it (postcard).
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Kept<'b> {
    /// Whose list it is, as a seal; 0: the family's.
    pub person: u32,
    /// The alias.
    pub alias: &'b str,
    /// The name; empty: the alias.
    pub name: &'b str,
    /// Name of the network, address in the form of [`BuddyAddress::text`], and port, or 0.
    #[serde(borrow)]
    pub addresses: Vec<(&'b str, &'b str, u16), ADDRESSES_PER_BUDDY>,
}

/// Why nothing has changed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Refused {
    /// It can't be an alias.
    BadAlias,
    /// Somebody she can write to is called so.
    Taken,
    /// Nobody on her list is called so.
    NoBuddy,
    /// It is what the configuration says.
    Configured,
    /// A network's own list says so.
    Listed,
    /// The buddy has this address already.
    HasIt,
    /// Another buddy of hers has it, by the configuration or where it is not to be taken away: his alias.
    Others(Name),
    /// The buddy has not this address.
    NotHis,
    /// The list is full.
    Full,
    /// The buddy has as many addresses as fit.
    TooMany,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BadAlias => f.write_str("A buddy's alias has letters of ASCII, digits, '-', '_' and '.' only"),
            Self::Taken => f.write_str("Somebody is called so already"),
            Self::NoBuddy => f.write_str("Nobody on your list is called so"),
            Self::Configured => f.write_str("It is in the configuration"),
            Self::Listed => f.write_str("It is on the list of the network"),
            Self::HasIt => f.write_str("The buddy has that address already"),
            Self::Others(alias) => write!(f, "That is an address of {alias}"),
            Self::NotHis => f.write_str("The buddy has no such address"),
            Self::Full => write!(f, "There is no room: {BUDDIES} buddies of all lists are the limit"),
            Self::TooMany => write!(f, "There is no room: a buddy has {ADDRESSES_PER_BUDDY} addresses at most"),
        }
    }
}

/// Who was removed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Removed {
    /// The buddy number, which means nobody now.
    pub buddy: usize,
    /// The addresses that were learned of him.
    pub addresses: Vec<BuddyAddress, ADDRESSES_PER_BUDDY, u8>,
}

/// What has changed by a link.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Linked {
    /// The buddy that has the address now.
    pub buddy: usize,
    /// The one that had it.
    pub from: Option<usize>,
}

impl People {
    /// Puts somebody on a person's list: the buddy number. An empty name is the alias; a longer one is cut.
    ///
    /// # Errors
    /// When the alias or the address is somebody else's, or there is no room.
    pub fn add_buddy(
        &mut self,
        random: &Random,
        person: usize,
        (alias, name): (&str, &str),
        address: BuddyAddress,
    ) -> Result<usize, Refused> {
        let alias = config::alias(alias).ok_or(Refused::BadAlias)?;
        if is_reserved(&alias) || self.model.person(alias.as_bytes()).is_some() {
            return Err(Refused::Taken);
        }
        if self.model.buddy(person, alias.as_bytes()).is_some() {
            return Err(Refused::Taken);
        }
        if let Some(holder) = self.holder(person, &address) {
            return Err(Refused::Others(self.alias_of(holder)));
        }
        let entry = Entry {
            person: Some(person as u16),
            record: self.record_id(random, Some(person as u16), &alias),
            alias,
            name: cut(name),
            addresses: Vec::from_iter([address]),
            buddy: None,
        };
        self.learned.insert(&mut self.model, entry)
    }

    /// Gives an address to a buddy of a person's. One that was learned of another buddy is his no more; somebody who is only
    /// on a network's list becomes a buddy that was learned.
    ///
    /// # Errors
    /// When there is no such buddy, the address is somebody else's by the configuration, or there is no room.
    pub fn link_address(
        &mut self,
        random: &Random,
        person: usize,
        alias: &str,
        address: BuddyAddress,
    ) -> Result<Linked, Refused> {
        let buddy = self.buddy(person, alias.as_bytes()).ok_or(Refused::NoBuddy)?;
        let holder = self.holder(person, &address);
        if self.has(buddy, &address) {
            return Err(Refused::HasIt);
        }
        if let Some(holder) = holder
            && !self.is_learned(holder, &address)
        {
            return Err(Refused::Others(self.alias_of(holder)));
        }
        if self.configured(buddy).is_some_and(|buddy| buddy.addresses.is_full()) {
            return Err(Refused::TooMany);
        }
        let buddy = if buddy < BUDDIES { buddy } else { self.promote(random, person, buddy)? };
        let entry = self.entry_of(random, buddy).ok_or(Refused::Full)?;
        if let Some(holder) = holder {
            self.take_away(holder, &address);
        }
        // What only its record has, because the buddy has no room for it, takes the room of its entry all the same.
        let Self { learned, model, .. } = self;
        let outcome = match learned.entries.get_mut(entry) {
            Some(entry) => entry.addresses.push(address).map_err(|_| Refused::TooMany),
            None => Err(Refused::Full),
        };
        learned.changed.mark(entry.index());
        learned.rebuild(model, buddy);
        outcome.map(|()| Linked { buddy, from: holder })
    }

    /// Takes an address that was learned away from a buddy of a person's: the buddy number.
    ///
    /// # Errors
    /// When there is no such buddy, or it is not learned that he has the address.
    pub fn unlink_address(&mut self, person: usize, alias: &str, address: &BuddyAddress) -> Result<usize, Refused> {
        let buddy = self.buddy(person, alias.as_bytes()).ok_or(Refused::NoBuddy)?;
        match (self.has(buddy, address), self.is_learned(buddy, address)) {
            (false, _) => Err(Refused::NotHis),
            (true, false) => Err(if buddy < BUDDIES { Refused::Configured } else { Refused::Listed }),
            (true, true) => {
                self.take_away(buddy, address);
                Ok(buddy)
            }
        }
    }

    /// Takes somebody off a person's list who was put there while the server ran.
    ///
    /// # Errors
    /// When there is no such buddy, or it is the configuration or a network that says there is.
    pub fn remove_buddy(&mut self, person: usize, alias: &str) -> Result<Removed, Refused> {
        let buddy = self.buddy(person, alias.as_bytes()).ok_or(Refused::NoBuddy)?;
        if buddy >= BUDDIES {
            return Err(Refused::Listed);
        }
        if buddy < usize::from(self.learned.configured) {
            return Err(Refused::Configured);
        }
        let Self { learned, model, .. } = self;
        let mut addresses = Vec::new();
        if let Some(buddy) = model.buddies.get_mut(buddy) {
            addresses = core::mem::take(&mut buddy.addresses);
            vacate(buddy);
        }
        while let Some(entry) = { learned.of_buddy(buddy).next() } {
            learned.drop_entry(entry);
        }
        Ok(Removed { buddy, addresses })
    }

    /// Whether an address of a buddy's was learned, and is not configured or of a network's list.
    pub fn is_learned(&self, buddy: usize, address: &BuddyAddress) -> bool {
        let fixed = self.learned.fixed(buddy);
        let addresses = self.configured(buddy).map_or(&[][..], |buddy| &buddy.addresses);
        addresses.iter().position(|it| it == address).is_some_and(|number| number >= fixed)
    }

    /// The next thing the journal has to be told: the record, with whose it is and what is in it, or nothing when it is to be
    /// forgotten.
    pub fn next_record(&mut self, random: &Random) -> Option<(u64, Option<Kept<'_>>)> {
        if let Some(record) = self.learned.forgotten.pop_front() {
            return Some((record, None));
        }
        loop {
            let index = self.learned.changed.pop()?;
            let Some(handle) = self.learned.entries.handle_at(index) else { continue };
            let Some(entry) = self.learned.entries.get(handle) else { continue };
            let person = entry.person.map_or(0, |person| self.seal(random, usize::from(person)));
            let addresses = entry.addresses.iter();
            let addresses =
                addresses.map(|it| (it.network.name(), it.text.as_str(), it.port.map_or(0, NonZeroU16::get)));
            let kept = Kept { person, alias: &entry.alias, name: &entry.name, addresses: addresses.collect() };
            return Some((entry.record, Some(kept)));
        }
    }

    /// Takes an entry back that was kept, unless there is one about that alias on that list: it is newer. Whether there is
    /// something new.
    pub fn restore_buddy(&mut self, random: &Random, kept: &Kept<'_>) -> bool {
        let mut all = 0..self.model.people.len();
        let person = match kept.person {
            0 => None,
            // Whose it was may be back tomorrow: it stays in the journal.
            seal => match all.find(|person| self.seal(random, *person) == seal) {
                Some(person) => Some(person as u16),
                None => return false,
            },
        };
        let Some(alias) = config::alias(kept.alias).filter(|alias| !is_reserved(alias)) else { return false };
        let is_it = |entry: &Entry| entry.person == person && entry.alias == alias;
        if self.learned.entries.iter().any(|(_, entry)| is_it(entry)) {
            return false;
        }
        let addresses = kept.addresses.iter().filter_map(|(network, text, port)| restored(network, text, *port));
        let entry = Entry {
            person,
            record: self.record_id(random, person, &alias),
            alias,
            name: cut(kept.name),
            addresses: addresses.collect(),
            buddy: None,
        };
        let is_placed = self.learned.insert(&mut self.model, entry).is_ok();
        if !is_placed {
            log::warn!("buddy {} of the journal is left out: there is no room for more", kept.alias);
        }
        is_placed
    }

    /// Who of those that a person sees has an address, as a buddy number. Several may share one on SIP, as they do a
    /// telephone: then nobody is in the way.
    fn holder(&self, person: usize, address: &BuddyAddress) -> Option<usize> {
        if address.network == Network::Sip {
            return None;
        }
        let all = self.model.buddies.iter();
        all.clone().position(|it| it.is_seen_by(person) && it.addresses.contains(address))
    }

    /// Whether a buddy has an address, by himself or as a contact.
    fn has(&self, buddy: usize, address: &BuddyAddress) -> bool {
        match (self.configured(buddy), self.own_contact(buddy)) {
            (Some(configured), _) => configured.addresses.contains(address),
            (None, Some(contact)) => contact.network == address.network && contact.address == address.text,
            (None, None) => false,
        }
    }

    fn alias_of(&self, buddy: usize) -> Name {
        self.buddy_alias(buddy).try_into().unwrap_or_default()
    }

    /// Makes a buddy of a contact, under its alias.
    fn promote(&mut self, random: &Random, person: usize, buddy: usize) -> Result<usize, Refused> {
        let contact = self.own_contact(buddy).ok_or(Refused::NoBuddy)?;
        let alias = Name::try_from(contact.alias.as_str()).map_err(|_| Refused::BadAlias)?;
        let address = BuddyAddress { network: contact.network, text: contact.address.clone(), port: None };
        let entry = Entry {
            person: Some(person as u16),
            record: self.record_id(random, Some(person as u16), &alias),
            alias,
            name: cut(&contact.name),
            addresses: Vec::from_iter([address]),
            buddy: None,
        };
        self.learned.insert(&mut self.model, entry)
    }

    /// The entry that says what was learned of a buddy of the model, a new one where there is none; `None` when there is no
    /// room.
    fn entry_of(&mut self, random: &Random, buddy: usize) -> Option<EntryHandle> {
        let (person, alias) = self.configured(buddy).map(|buddy| (buddy.person, buddy.alias.clone()))?;
        let is_own = |handle: &EntryHandle| self.learned.entries.get(*handle).is_some_and(|it| it.person == person);
        let own = { self.learned.of_buddy(buddy).find(is_own) };
        if own.is_some() {
            return own;
        }
        let record = self.record_id(random, person, &alias);
        let entry =
            Entry { person, alias, name: Name::new(), addresses: Vec::new(), buddy: Some(buddy as u16), record };
        self.learned.entries.insert(entry).ok()
    }

    /// Takes a learned address away from a buddy. What adds nothing to a configured buddy any more is no entry.
    fn take_away(&mut self, buddy: usize, address: &BuddyAddress) {
        let Self { learned, model, .. } = self;
        let is_configured = buddy < usize::from(learned.configured);
        for index in 0..BUDDIES {
            let Some(handle) = learned.entries.handle_at(index) else { continue };
            let Some(entry) = learned.entries.get_mut(handle) else { continue };
            if entry.buddy.map(usize::from) != Some(buddy) || !entry.addresses.contains(address) {
                continue;
            }
            entry.addresses.retain(|it| it != address);
            match is_configured && entry.addresses.is_empty() {
                true => learned.drop_entry(handle),
                false => learned.changed.mark(index),
            }
        }
        learned.rebuild(model, buddy);
    }

    /// The id of the record about an alias on a list.
    fn record_id(&self, random: &Random, person: Option<u16>, alias: &str) -> u64 {
        let mut hash = random.hash(Purpose::Journal);
        let owner = person.and_then(|person| self.model.people.get(usize::from(person)));
        hash.put(b"buddy");
        hash.put(owner.map_or(b"", |person| person.id.as_bytes()));
        hash.put(alias.as_bytes());
        hash.finish()
    }
}

impl Learned {
    /// Nothing.
    pub const fn new() -> Self {
        Self {
            entries: Table::new(),
            configured: 0,
            addresses: [0; BUDDIES],
            changed: Changed::new(),
            forgotten: Deque::new(),
        }
    }

    /// Whether the journal has to be told something.
    pub fn has_changed(&self) -> bool {
        !self.changed.is_empty() || !self.forgotten.is_empty()
    }

    /// Has the journal told of everything that is there.
    pub fn mark_all(&mut self) {
        let Self { entries, changed, .. } = self;
        entries.iter().for_each(|(handle, _)| changed.mark(handle.index()));
    }

    /// Whether a buddy number means one who is only learned.
    pub fn is_whole(&self, buddy: usize) -> bool {
        buddy >= usize::from(self.configured) && buddy < BUDDIES
    }

    /// The people have other numbers. Entries of who is gone are left out; they stay in the journal.
    pub(super) fn renumber(&mut self, old: &Model, new: &Model) {
        for index in 0..BUDDIES {
            let Some(handle) = self.entries.handle_at(index) else { continue };
            let Some(entry) = self.entries.get_mut(handle) else { continue };
            let Some(person) = entry.person else { continue };
            let id = old.people.get(usize::from(person)).map(|person| &person.id);
            match new.people.iter().position(|person| Some(&person.id) == id) {
                Some(moved) => entry.person = Some(moved as u16),
                None => drop(self.entries.remove(handle)),
            }
        }
    }

    /// Finds all entries their places in a model that has what is configured and nothing else.
    pub(super) fn place_all(&mut self, model: &mut Model) {
        self.configured = model.buddies.len() as u16;
        for (count, buddy) in self.addresses.iter_mut().zip(&model.buddies) {
            *count = buddy.addresses.len() as u8;
        }
        for index in 0..BUDDIES {
            // None is at the place of the former model that another takes now.
            let handle = self.entries.handle_at(index);
            if let Some(entry) = handle.and_then(|handle| self.entries.get_mut(handle)) {
                entry.buddy = None;
            }
        }
        for index in 0..BUDDIES {
            let Some(handle) = self.entries.handle_at(index) else { continue };
            if !self.place(model, handle)
                && let Some(entry) = self.entries.get(handle)
            {
                log::warn!("buddy {} is left out: there is no room for more", entry.alias);
            }
        }
    }

    /// Takes a new entry: the number of the buddy it is, or adds to.
    fn insert(&mut self, model: &mut Model, entry: Entry) -> Result<usize, Refused> {
        let handle = self.entries.insert(entry).map_err(|_| Refused::Full)?;
        if !self.place(model, handle) {
            self.entries.remove(handle);
            return Err(Refused::Full);
        }
        self.changed.mark(handle.index());
        let buddy = self.entries.get(handle).and_then(|entry| entry.buddy);
        buddy.map(usize::from).ok_or(Refused::Full)
    }

    /// Finds an entry its place: that of a configured buddy who is called so and seen by who learned it, else one of its own.
    /// False when there is none.
    fn place(&mut self, model: &mut Model, handle: EntryHandle) -> bool {
        let configured = usize::from(self.configured);
        let Some(entry) = self.entries.get_mut(handle) else { return false };
        let is_it = |it: &Buddy| it.alias == entry.alias && (it.person.is_none() || it.person == entry.person);
        let found = model.buddies.iter().take(configured).position(is_it);
        let vacant = || model.buddies.iter().skip(configured).position(is_vacant).map(|index| configured + index);
        let buddy = found.or_else(vacant).unwrap_or(model.buddies.len());
        if buddy == model.buddies.len() && model.buddies.push(VACANT).is_err() {
            entry.buddy = None;
            return false;
        }
        entry.buddy = Some(buddy as u16);
        if buddy >= configured
            && let Some(place) = model.buddies.get_mut(buddy)
        {
            let name = if entry.name.is_empty() { &entry.alias } else { &entry.name };
            (place.person, place.alias, place.name) = (entry.person, entry.alias.clone(), name.clone());
        }
        self.rebuild(model, buddy);
        true
    }

    /// Puts the addresses of a buddy of the model together anew: the configured ones, then those that were learned.
    fn rebuild(&self, model: &mut Model, buddy: usize) {
        let fixed = self.fixed(buddy);
        let Some(place) = model.buddies.get_mut(buddy) else { return };
        place.addresses.truncate(fixed);
        for handle in self.of_buddy(buddy) {
            let Some(entry) = self.entries.get(handle) else { continue };
            for address in &entry.addresses {
                if !place.addresses.contains(address) && place.addresses.push(address.clone()).is_err() {
                    log::warn!("an address of buddy {} is left out: there is no room for more", entry.alias);
                }
            }
        }
    }

    /// How many of a buddy's addresses are configured; they come first.
    fn fixed(&self, buddy: usize) -> usize {
        let count = self.addresses.get(buddy).filter(|_| buddy < usize::from(self.configured));
        count.copied().map_or(0, usize::from)
    }

    fn of_buddy(&self, buddy: usize) -> impl Iterator<Item = EntryHandle> {
        let entries = self.entries.iter().filter(move |(_, entry)| entry.buddy.map(usize::from) == Some(buddy));
        entries.map(|(handle, _)| handle)
    }

    /// Takes an entry out, and has its record forgotten.
    fn drop_entry(&mut self, handle: EntryHandle) {
        let Some(entry) = self.entries.remove(handle) else { return };
        // Without a place for records nobody asks for these: then it is the oldest that gives way.
        if self.forgotten.is_full() {
            self.forgotten.pop_front();
        }
        let _ = self.forgotten.push_back(entry.record);
    }
}

impl Default for Learned {
    fn default() -> Self {
        Self::new()
    }
}

/// Whether a place of the model is nobody's: who was there was removed.
pub(super) fn is_vacant(buddy: &Buddy) -> bool {
    buddy.alias.is_empty()
}

fn vacate(buddy: &mut Buddy) {
    *buddy = VACANT;
}

/// Nobody: seen by nobody, and called nothing.
const VACANT: Buddy =
    Buddy { person: Some(u16::MAX), alias: Name::new(), name: Name::new(), addresses: Vec::new(), group: None };

/// Whether the home itself is called so, or what it makes of the names of people.
fn is_reserved(alias: &str) -> bool {
    alias == "pcs" || alias.ends_with(LIST_SUFFIX)
}

/// An address of a record; `None` for what this program has no network for.
fn restored(network: &str, text: &str, port: u16) -> Option<BuddyAddress> {
    let network = Network::of_name(network).filter(|network| network.is_built())?;
    let text = match network {
        Network::Sip => AddressText::try_from(text).ok()?,
        _ => canonical(network, text)?,
    };
    Some(BuddyAddress { network, text, port: NonZeroU16::new(port) })
}

/// As much of a name as fits, between characters, as one line.
fn cut(name: &str) -> Name {
    let mut cut = String::new();
    for c in name.trim().chars() {
        if cut.push(if c.is_control() { ' ' } else { c }).is_err() {
            break;
        }
    }
    cut
}

const _: () = assert!(super::alias::ALIAS_BYTES <= NAME_BYTES, "the alias of a contact can be that of a buddy");

#[cfg(test)]
mod tests {
    use std::boxed::Box;
    use std::string::ToString;
    use std::vec::Vec as List;

    use super::*;
    use crate::home::people::testing::{buddy, model, people};

    const RANDOM: Random = Random::new();

    fn at(text: &str) -> BuddyAddress {
        config::buddy_address(text).unwrap()
    }

    fn shown(people: &People, buddy: usize) -> List<std::string::String> {
        people.model.buddies[buddy].addresses.iter().map(ToString::to_string).collect()
    }

    /// What the journal is told: the records that are stored, as bytes, and how many are forgotten.
    fn drain(people: &mut People) -> (List<List<u8>>, usize) {
        let (mut stored, mut forgotten) = (List::new(), 0);
        while let Some((_, kept)) = people.next_record(&RANDOM) {
            match kept {
                Some(kept) => stored.push(postcard::to_slice(&kept, &mut [0; 1024]).unwrap().to_vec()),
                None => forgotten += 1,
            }
        }
        (stored, forgotten)
    }

    #[test]
    fn numbers_stay() {
        let mut people = people();
        let first = people.add_buddy(&RANDOM, 0, ("Dora", ""), at("xmpp:dora@x.example")).unwrap();
        let second = people.add_buddy(&RANDOM, 1, ("dora", "D"), at("xmpp:dora@x.example")).unwrap();
        assert_eq!((first, second), (2, 3), "each has one of that name, behind those that are configured");
        assert_eq!((people.buddy(0, b"DORA"), people.buddy(1, b"dora")), (Some(2), Some(3)));
        assert_eq!((people.buddy_name(2), people.buddy_name(3)), ("dora", "D"));
        let removed = people.remove_buddy(0, "dora").unwrap();
        assert_eq!((removed.buddy, removed.addresses.len()), (2, 1));
        assert!(!people.has_buddy(2) && people.buddy(0, b"").is_none() && people.buddy_seal(&RANDOM, 2) == 0);
        assert_eq!(people.buddies().collect::<List<_>>(), [0, 1, 3]);
        assert_eq!(people.buddies_of(0).collect::<List<_>>(), [0, 1]);
        assert_eq!(people.add_buddy(&RANDOM, 0, ("eve", ""), at("irc:eve")), Ok(2), "the vacant place is taken");
        assert_eq!(people.buddy(1, b"dora"), Some(3));
    }

    #[test]
    fn the_configuration_counts_first() {
        let mut people = people();
        people.link_address(&RANDOM, 0, "smith", at("irc:smith")).unwrap();
        people.link_address(&RANDOM, 0, "aunt", at("irc:aunt")).unwrap();
        people.add_buddy(&RANDOM, 0, ("dora", "Dora"), at("line:dora")).unwrap();
        assert_eq!(shown(&people, 1), ["xmpp:aunt@x.example", "irc:aunt"]);
        assert!(people.is_learned(1, &at("irc:aunt")) && !people.is_learned(1, &at("xmpp:aunt@x.example")));
        assert!(people.learned.is_whole(2) && !people.learned.is_whole(1));
        let marks: List<u64> = (0..4).map(|index| people.buddy_mark(&RANDOM, index)).collect();
        let mut newer = model();
        // Another person and another buddy stand first, and Smith has the address by the configuration.
        newer.people.insert(0, crate::home::people::testing::person("zoe")).ok().unwrap();
        newer.buddies.iter_mut().for_each(|buddy| buddy.person = buddy.person.map(|person| person + 1));
        newer.accounts.iter_mut().for_each(|account| account.person += 1);
        newer.buddies[0].addresses.push(at("irc:smith")).unwrap();
        newer.buddies.insert(0, buddy(None, "first", &[])).ok().unwrap();
        people.configure(&newer, &RANDOM);
        assert_eq!(shown(&people, 1), ["sip:smith@smith.example", "xmpp:smith@x.example", "irc:smith"]);
        assert!(!people.is_learned(1, &at("irc:smith")), "it is said twice");
        assert_eq!(people.model.buddies[3].person, Some(1), "Dora is Alice's still");
        let moved: List<u64> = (1..4).map(|index| people.buddy_mark(&RANDOM, index)).collect();
        assert_eq!(moved, marks[..3], "they are who they were");
        // Who is gone takes her list with her.
        newer.people.remove(1);
        newer.buddies.retain(|buddy| buddy.person.is_none());
        newer.accounts.clear();
        people.configure(&newer, &RANDOM);
        assert_eq!(people.model.buddies.len(), 2);
        assert_eq!(shown(&people, 1), ["xmpp:aunt@x.example", "irc:aunt"], "what the family has stays");
    }

    #[test]
    fn what_the_journal_has() {
        let mut people = people();
        people.add_buddy(&RANDOM, 0, ("dora", "Dora"), at("line:d o r a")).unwrap();
        people.link_address(&RANDOM, 0, "dora", at("sip:dora@x.example:5062")).unwrap();
        people.link_address(&RANDOM, 1, "aunt", at("irc:aunt")).unwrap();
        let (stored, forgotten) = drain(&mut people);
        assert_eq!((stored.len(), forgotten, people.learned.has_changed()), (2, 0, false));
        let mut other = self::people();
        for bytes in &stored {
            let kept: Kept<'_> = postcard::from_bytes(bytes).unwrap();
            assert!(other.restore_buddy(&RANDOM, &kept) && !other.restore_buddy(&RANDOM, &kept), "once");
        }
        assert_eq!(shown(&other, 2), ["line:d o r a", "sip:dora@x.example:5062"]);
        assert_eq!((other.buddy_name(2), shown(&other, 1).len()), ("Dora", 2));
        assert_eq!(drain(&mut other).0, stored, "the same again");
        other.unlink_address(0, "aunt", &at("irc:aunt")).unwrap();
        other.remove_buddy(0, "dora").unwrap();
        assert_eq!(drain(&mut other), (List::new(), 2));
        other.learned.mark_all();
        assert!(!other.learned.has_changed());
    }

    #[test]
    fn records_that_are_wrong() {
        let mut people = people();
        let seal = people.seal(&RANDOM, 0);
        let kept = |person, alias, addresses: &[(&'static str, &'static str, u16)]| Kept {
            person,
            alias,
            name: "N\n",
            addresses: addresses.iter().copied().collect(),
        };
        for wrong in [kept(seal ^ 1, "dora", &[]), kept(seal, "do ra", &[]), kept(seal, "pcs", &[]), kept(0, "", &[])] {
            assert!(!people.restore_buddy(&RANDOM, &wrong), "{wrong:?}");
        }
        let odd = [("xmpp", "nobody", 0), ("msn", "x", 0), ("irc", "Dora", 0), ("sip", "d@x", 1)];
        assert!(people.restore_buddy(&RANDOM, &kept(seal, "Dora", &odd)));
        assert_eq!((shown(&people, 2).join(" ").as_str(), people.buddy_name(2)), ("irc:dora sip:d@x:1", "N"));
    }

    #[test]
    fn a_full_list() {
        let mut people = people();
        let room = BUDDIES - people.model.buddies.len();
        for number in 0..room {
            let alias = std::format!("b{number}");
            people.add_buddy(&RANDOM, 0, (&alias, ""), at(&std::format!("irc:{alias}"))).unwrap();
        }
        assert_eq!(people.add_buddy(&RANDOM, 0, ("more", ""), at("irc:more")), Err(Refused::Full));
        for _ in 0..3 * BUDDIES {
            people.remove_buddy(0, "b0").unwrap();
            people.add_buddy(&RANDOM, 0, ("b0", ""), at("irc:b0")).unwrap();
        }
        // What is forgotten is bounded, and the record that counts comes last.
        let (stored, forgotten) = drain(&mut people);
        assert_eq!((stored.len(), forgotten), (room, BUDDIES));
        let two = Box::new((at("irc:x"), at("irc:y")));
        people.link_address(&RANDOM, 0, "smith", two.0.clone()).unwrap();
        people.link_address(&RANDOM, 0, "smith", two.1).unwrap();
        assert_eq!(people.link_address(&RANDOM, 0, "smith", at("irc:z")), Err(Refused::TooMany));
        let moved = people.link_address(&RANDOM, 0, "b0", two.0).unwrap();
        assert_eq!(moved.from, Some(0));
        assert_eq!(shown(&people, 0).len(), 3);
    }
}
