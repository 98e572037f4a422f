//! Contacts: who the lists of networks hold and who was heard from there, with the places where each was seen.
//!
//! A contact belongs to one account of one person. One whose address a configured buddy has is only an address of that
//! buddy; any other is a buddy of its own, with an alias that is made for it and stays as long as the contact.
//!
//! What is shown lags behind what is known where somebody goes: his last sighting stays for [`DAMP_MS`], so that who logs
//! in again does not flash, and for [`LINK_GRACE_MS`] when only our own connection was cut.
//!
//! Whoever changes something here drains [`Contacts::next_news`] afterwards: it says which buddies look different, which
//! are gone, and whose list has other entries.

mod sightings;

use heapless::String;

use crate::base::changed::Changed;
use crate::base::limits::{
    ACCOUNTS, ADDRESS_BYTES, BUDDIES, CONTACTS, CONTACTS_PER_ACCOUNT, PEOPLE, SIGHTINGS, STRANGER_CONTACTS,
};
use crate::base::random::{Hash, Purpose, Random};
use crate::base::table::{Handle, Index, Table};
use crate::base::time::Instant;
use crate::bridge::{self, Show};
use crate::config::model::{Buddy, Model, Network};

use super::alias::{self, Alias};

/// How long who goes offline is still shown as he was.
pub const DAMP_MS: u64 = 1_000;
/// How long the contacts of an account whose connection was cut are still shown as they were.
pub const LINK_GRACE_MS: u64 = 60_000;
/// How long, when it is up again and knows nothing of before, contacts may take to be seen again.
pub const RETURN_MS: u64 = 10_000;
/// Bytes of a contact's name. A longer one is cut between characters.
pub const NAME_BYTES: usize = 48;
/// Bytes of what a contact says of himself. A longer text is cut between characters.
pub const TEXT_BYTES: usize = 64;
/// Places where one contact is seen at once. More: the one less preferred is forgotten.
pub const PLACES: usize = 8;

/// A contact's handle.
pub type ContactHandle = Handle<Contact>;

/// Somebody on a network, as one account knows him.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Contact {
    /// The account: an index in [`Model::accounts`].
    pub account: u8,
    /// Its network.
    pub network: Network,
    /// Whose account it is: an index in [`Model::people`].
    pub person: u16,
    /// His address there, in the form of [`BuddyAddress::text`](crate::config::model::BuddyAddress::text).
    pub address: String<ADDRESS_BYTES, u8>,
    /// The name that the network's list gives him; may be empty.
    pub name: String<NAME_BYTES, u8>,
    /// What he is called where he is a buddy of his own; empty where he is an address of a configured one.
    pub alias: Alias,
    /// The configured buddy whose address this is: an index in [`Model::buddies`].
    pub buddy: Option<u16>,
    /// Whether he is on the network's list; else he was only heard from.
    pub is_listed: bool,
    /// Whether his presence is told to us.
    pub is_watched: bool,
    /// Whether he was asked for that and has not answered.
    pub is_asked: bool,
    /// Whether he types.
    pub is_typing: bool,
    /// When he last wrote.
    pub wrote_at: Option<Instant>,
    /// When he was last heard from or written to, or else when he came here.
    touched_at: Instant,
    /// Whether the list that is being told has had him.
    is_told: bool,
    /// His first sighting: its slot plus one, or 0.
    sightings: u16,
    address_hash: u32,
    alias_hash: u32,
}

impl Contact {
    /// Whether he is only heard from: neither on a list nor configured.
    pub fn is_stranger(&self) -> bool {
        !self.is_listed && self.buddy.is_none()
    }
}

/// A place where somebody was seen.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Sighting {
    /// Tells his places apart: a hash.
    pub place: u32,
    /// How he is there; not [`Show::Offline`].
    pub show: Show,
    /// Among equal ones the place with the higher priority counts.
    pub priority: i8,
    /// What he says of himself; may be empty.
    pub text: String<TEXT_BYTES, u8>,
    /// When he was last seen so.
    pub at: Instant,
    /// Set when he is not there any more, or may not be.
    leaving: Leaving,
    /// The contact's next sighting: its slot plus one, or 0.
    next: u16,
}

impl Sighting {
    /// Whether he is known to be there now, and not only shown so.
    pub fn is_current(&self) -> bool {
        self.leaving == Leaving::No
    }

    fn rank(&self) -> (Show, i8, Instant) {
        (self.show, self.priority, self.at)
    }

    fn leaves_at(&self) -> Option<Instant> {
        match self.leaving {
            Leaving::No => None,
            Leaving::Gone(at) | Leaving::Cut(at) => Some(at),
        }
    }
}

/// Until when a sighting is shown.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Leaving {
    No,
    /// He has left.
    Gone(Instant),
    /// Our connection was cut.
    Cut(Instant),
}

/// What was heard of somebody.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Heard {
    /// A text.
    Wrote,
    /// He types, or has stopped.
    Typing(bool),
    /// Nothing: he is written to.
    Nothing,
}

/// What the list of a network has changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Change {
    /// He was not on it.
    New,
    /// He is there under another name, or is watched, or asked, when he was not.
    Altered,
    /// Nothing.
    None,
}

/// There is no room for another contact. It is left out; the first of an account is logged.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Full;

/// What others have to be told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum News {
    /// A buddy number means nobody any more, or another from now on.
    Gone(usize),
    /// A buddy may look different to a person.
    Changed {
        /// An index in [`Model::people`].
        person: usize,
        /// A buddy number.
        buddy: usize,
    },
    /// The list of a person has other entries, or other names.
    List(usize),
}

/// All contacts.
pub struct Contacts {
    table: Table<Contact, CONTACTS>,
    by_address: Index<{ 2 * CONTACTS }>,
    by_alias: Index<{ 2 * CONTACTS }>,
    sightings: Table<Sighting, SIGHTINGS>,
    changed: Changed<CONTACTS>,
    gone: Changed<CONTACTS>,
    lists: Changed<PEOPLE>,
    shares: [Share; ACCOUNTS],
    /// No sighting leaves before.
    leaves_at: Option<Instant>,
    /// Sightings that were forgotten for lack of room.
    forgotten: u32,
    key: Option<Hash>,
}

/// What one account has of the table.
#[derive(Clone, Copy, Debug)]
struct Share {
    /// Contacts on its list, and those that are configured.
    kept: u16,
    strangers: u16,
    left_out: u16,
    /// Whether the list is being told: nobody is told of what is new in it before it ends.
    is_telling: bool,
    has_list_news: bool,
}

impl Share {
    const NONE: Self = Self { kept: 0, strangers: 0, left_out: 0, is_telling: false, has_list_news: false };
}

impl Contacts {
    /// None.
    pub const fn new() -> Self {
        Self {
            table: Table::new(),
            by_address: Index::new(),
            by_alias: Index::new(),
            sightings: Table::new(),
            changed: Changed::new(),
            gone: Changed::new(),
            lists: Changed::new(),
            shares: [Share::NONE; ACCOUNTS],
            leaves_at: None,
            forgotten: 0,
            key: None,
        }
    }

    /// Takes the key that names are looked up by, once.
    pub(super) fn seed(&mut self, random: &Random) {
        self.key.get_or_insert_with(|| random.hash(Purpose::Table));
    }

    /// The next thing that others have to be told. To be drained after every change.
    pub fn next_news(&mut self) -> Option<News> {
        if let Some(slot) = self.gone.pop() {
            return Some(News::Gone(BUDDIES + slot));
        }
        while let Some(slot) = self.changed.pop() {
            if let Some(contact) = self.table.handle_at(slot).and_then(|handle| self.table.get(handle)) {
                let buddy = contact.buddy.map_or(BUDDIES + slot, usize::from);
                return Some(News::Changed { person: usize::from(contact.person), buddy });
            }
        }
        self.lists.pop().map(News::List)
    }

    // Lists.

    /// The list of an account begins to be told.
    pub fn begin_list(&mut self, account: usize) {
        for slot in 0..CONTACTS {
            if let Some(contact) = self.at_mut(slot).filter(|it| usize::from(it.account) == account) {
                contact.is_told = false;
            }
        }
        if let Some(share) = self.shares.get_mut(account) {
            (share.is_telling, share.left_out) = (true, 0);
        }
    }

    /// Takes a contact of an account's list.
    pub fn upsert(
        &mut self,
        now: Instant,
        model: &Model,
        account: usize,
        told: &bridge::Contact<'_>,
    ) -> Result<Change, Full> {
        let handle = match self.find(account, told.who) {
            Some(handle) => handle,
            None => self.insert(now, model, account, told.who, true)?,
        };
        let is_new = self.table.get(handle).is_some_and(|it| !it.is_listed);
        if is_new && self.table.get(handle).is_some_and(Contact::is_stranger) && !self.admits(account) {
            return Err(self.left_out(account));
        }
        let Some(contact) = self.table.get_mut(handle) else { return Err(Full) };
        let name = cut(told.name);
        let is_renamed = contact.name != name;
        let is_other = is_renamed || (contact.is_watched, contact.is_asked) != (told.is_watched, told.is_asked);
        let was_stranger = contact.is_stranger();
        contact.name = name;
        (contact.is_listed, contact.is_told) = (true, true);
        (contact.is_watched, contact.is_asked) = (told.is_watched, told.is_asked);
        if was_stranger {
            self.count(account, |share| (share.kept, share.strangers) = (share.kept + 1, share.strangers - 1));
        }
        self.give_alias(model, handle);
        if is_new || is_renamed {
            self.list_changed(handle);
        }
        if is_new || is_other {
            self.changed.mark(handle.index());
        }
        Ok(match (is_new, is_other) {
            (true, _) => Change::New,
            (false, true) => Change::Altered,
            (false, false) => Change::None,
        })
    }

    /// The list of an account was told: who was not on it is gone.
    pub fn end_list(&mut self, account: usize) {
        for slot in 0..CONTACTS {
            let Some(handle) = self.table.handle_at(slot) else { continue };
            let is_gone = |it: &Contact| usize::from(it.account) == account && it.is_listed && !it.is_told;
            if self.table.get(handle).is_some_and(is_gone) {
                self.unlist(handle);
            }
        }
        self.end_telling(account);
    }

    /// A contact is gone from the list of an account.
    pub fn remove(&mut self, account: usize, who: &str) {
        if let Some(handle) = self.find(account, who) {
            self.unlist(handle);
        }
    }

    // Who is heard from.

    /// Notes what was heard of somebody, who gets a contact by it unless he only types. `None` when there is no room, or
    /// nobody is known.
    pub fn heard(
        &mut self,
        now: Instant,
        model: &Model,
        account: usize,
        who: &str,
        heard: Heard,
    ) -> Option<ContactHandle> {
        let handle = match (self.find(account, who), heard) {
            (Some(handle), _) => handle,
            (None, Heard::Typing(_)) => return None,
            (None, _) => self.insert(now, model, account, who, false).ok()?,
        };
        self.give_alias(model, handle);
        let contact = self.table.get_mut(handle)?;
        contact.touched_at = now;
        match heard {
            Heard::Wrote => (contact.wrote_at, contact.is_typing) = (Some(now), false),
            Heard::Typing(is_on) => contact.is_typing = is_on,
            Heard::Nothing => {}
        }
        Some(handle)
    }

    // Looking.

    /// The contact with an address.
    pub fn find(&self, account: usize, who: &str) -> Option<ContactHandle> {
        let is_it = |slot: usize| {
            self.at(slot).is_some_and(|it| usize::from(it.account) == account && it.address.as_str() == who)
        };
        self.table.handle_at(self.by_address.find(self.hash(who), is_it)?)
    }

    /// A person's contact with an alias, which is in lower case.
    pub fn find_alias(&self, person: usize, alias: &str) -> Option<ContactHandle> {
        let is_it = |slot: usize| {
            self.at(slot).is_some_and(|it| usize::from(it.person) == person && it.alias.as_str() == alias)
        };
        self.table.handle_at(self.by_alias.find(self.hash(alias), is_it)?)
    }

    /// A contact.
    pub fn get(&self, handle: ContactHandle) -> Option<&Contact> {
        self.table.get(handle)
    }

    /// The contact in a slot.
    pub fn at(&self, slot: usize) -> Option<&Contact> {
        self.table.handle_at(slot).and_then(|handle| self.table.get(handle))
    }

    /// The handle of the contact in a slot.
    pub fn handle_at(&self, slot: usize) -> Option<ContactHandle> {
        self.table.handle_at(slot)
    }

    /// All, in slot order.
    pub fn iter(&self) -> impl Iterator<Item = (ContactHandle, &Contact)> {
        self.table.iter()
    }

    /// Those of a person's accounts.
    pub fn of_person(&self, person: usize) -> impl Iterator<Item = (ContactHandle, &Contact)> {
        self.iter().filter(move |(_, it)| usize::from(it.person) == person)
    }

    /// Those of an account.
    pub fn of_account(&self, account: usize) -> impl Iterator<Item = (ContactHandle, &Contact)> {
        self.iter().filter(move |(_, it)| usize::from(it.account) == account)
    }

    /// Those of a person that are the buddy with a number.
    pub fn of_buddy(&self, person: usize, buddy: usize) -> impl Iterator<Item = (ContactHandle, &Contact)> {
        let own = buddy.checked_sub(BUDDIES).and_then(|slot| self.table.handle_at(slot));
        let own = own.and_then(|handle| Some((handle, self.table.get(handle)?)));
        let own = own.filter(|(_, it)| usize::from(it.person) == person && it.buddy.is_none());
        let linked = self.of_person(person).filter(move |(_, it)| it.buddy.map(usize::from) == Some(buddy));
        own.into_iter().chain(linked.take(if buddy < BUDDIES { CONTACTS } else { 0 }))
    }

    /// How many there are.
    pub const fn len(&self) -> usize {
        self.table.len()
    }

    /// Whether there is none.
    pub const fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    /// How many places are known.
    pub const fn sighting_count(&self) -> usize {
        self.sightings.len()
    }

    /// Name, capacity and bytes of each table.
    pub fn footprint() -> [(&'static str, usize, usize); 2] {
        let places = Table::<Sighting, SIGHTINGS>::bytes();
        [("contacts", CONTACTS, size_of::<Self>() - places), ("sightings", SIGHTINGS, places)]
    }

    // The configuration.

    /// The configuration has changed: says for each account where it is now, if it is still there. To be followed by
    /// [`Contacts::relink`].
    pub fn renumber(&mut self, account: impl Fn(usize) -> Option<usize>) {
        let mut shares = [Share::NONE; ACCOUNTS];
        for (index, share) in self.shares.iter().enumerate() {
            if let Some(place) = account(index).and_then(|moved| shares.get_mut(moved)) {
                *place = *share;
            }
        }
        for slot in 0..CONTACTS {
            let Some(handle) = self.table.handle_at(slot) else { continue };
            let moved = self.table.get(handle).and_then(|it| account(usize::from(it.account)));
            match moved.filter(|moved| *moved < ACCOUNTS) {
                Some(moved) => {
                    if let Some(contact) = self.table.get_mut(handle) {
                        contact.account = moved as u8;
                    }
                }
                None => self.drop_contact(handle),
            }
        }
        self.shares = shares;
    }

    /// The configuration has changed: finds anew whose each contact is, which buddy it is an address of, and whether its
    /// alias is still free.
    pub fn relink(&mut self, model: &Model) {
        self.shares.iter_mut().for_each(|share| (share.kept, share.strangers) = (0, 0));
        for slot in 0..CONTACTS {
            let Some(handle) = self.table.handle_at(slot) else { continue };
            let Some(contact) = self.table.get(handle) else { continue };
            let Some((person, network)) = owner_of(model, usize::from(contact.account)) else {
                self.drop_contact(handle);
                continue;
            };
            let buddy = buddy_with(model, person, network, &contact.address);
            let keeps_alias = buddy.is_none()
                && usize::from(contact.person) == person
                && !alias::is_given(model, person, &contact.alias);
            if !contact.alias.is_empty() && !keeps_alias {
                self.drop_alias(handle);
                // Who watches him under that number watches somebody else from now on.
                if buddy.is_some() {
                    self.gone.mark(slot);
                }
            }
            let Some(contact) = self.table.get_mut(handle) else { continue };
            (contact.person, contact.network, contact.buddy) = (person as u16, network, buddy);
            let (account, is_stranger) = (usize::from(contact.account), contact.is_stranger());
            self.count(account, |share| *if is_stranger { &mut share.strangers } else { &mut share.kept } += 1);
            self.changed.mark(slot);
        }
        for slot in 0..CONTACTS {
            if let Some(handle) = self.table.handle_at(slot) {
                self.give_alias(model, handle);
            }
        }
        (0..model.people.len()).for_each(|person| self.lists.mark(person));
    }

    fn at_mut(&mut self, slot: usize) -> Option<&mut Contact> {
        self.table.handle_at(slot).and_then(|handle| self.table.get_mut(handle))
    }

    fn hash(&self, name: &str) -> u32 {
        let mut hash = match &self.key {
            Some(key) => key.clone(),
            // Nobody has given a name yet.
            None => Random::new().hash(Purpose::Table),
        };
        hash.put(name.as_bytes());
        hash.finish() as u32
    }

    fn count(&mut self, account: usize, change: impl FnOnce(&mut Share)) {
        if let Some(share) = self.shares.get_mut(account) {
            change(share);
        }
    }

    /// Whether an account may have another contact that stays.
    fn admits(&self, account: usize) -> bool {
        let all: usize = self.shares.iter().map(|share| usize::from(share.kept)).sum();
        let its = self.shares.get(account).map_or(0, |share| usize::from(share.kept));
        its < CONTACTS_PER_ACCOUNT && all < CONTACTS - KEPT_FREE
    }

    fn left_out(&mut self, account: usize) -> Full {
        self.count(account, |share| share.left_out = share.left_out.saturating_add(1));
        if self.shares.get(account).is_some_and(|share| share.left_out == 1) {
            log::warn!("contacts of an account are left out: there is no room for more");
        }
        Full
    }

    /// Makes a contact that is on no list yet.
    fn insert(
        &mut self,
        now: Instant,
        model: &Model,
        account: usize,
        who: &str,
        is_on_list: bool,
    ) -> Result<ContactHandle, Full> {
        let (person, network) = owner_of(model, account).ok_or(Full)?;
        let address: String<ADDRESS_BYTES, u8> = who.try_into().unwrap_or_default();
        if address.is_empty() {
            return Err(self.left_out(account));
        }
        let buddy = buddy_with(model, person, network, who);
        let will_stay = is_on_list || buddy.is_some();
        if will_stay && !self.admits(account) {
            return Err(self.left_out(account));
        }
        let has_share = self.shares.get(account).is_some_and(|it| usize::from(it.strangers) < STRANGER_CONTACTS);
        if !will_stay && !has_share {
            self.drop_oldest_stranger(Some(account));
        }
        if self.table.is_full() {
            self.drop_oldest_stranger(None);
        }
        let address_hash = self.hash(who);
        let contact = Contact {
            account: account as u8,
            network,
            person: person as u16,
            address,
            name: String::new(),
            alias: Alias::new(),
            buddy,
            is_listed: false,
            is_watched: false,
            is_asked: false,
            is_typing: false,
            wrote_at: None,
            touched_at: now,
            is_told: false,
            sightings: 0,
            address_hash,
            alias_hash: 0,
        };
        let is_stranger = contact.is_stranger();
        let Ok(handle) = self.table.insert(contact) else { return Err(self.left_out(account)) };
        self.by_address.insert(address_hash, handle.index());
        self.count(account, |share| *if is_stranger { &mut share.strangers } else { &mut share.kept } += 1);
        Ok(handle)
    }

    /// Takes a contact off its list. It stays only as an address of a configured buddy.
    fn unlist(&mut self, handle: ContactHandle) {
        self.list_changed(handle);
        let Some(contact) = self.table.get_mut(handle) else { return };
        if contact.buddy.is_none() {
            return self.drop_contact(handle);
        }
        (contact.is_listed, contact.is_watched, contact.is_asked) = (false, false, false);
        self.drop_sightings(handle, |_| true);
        self.changed.mark(handle.index());
    }

    fn drop_contact(&mut self, handle: ContactHandle) {
        self.drop_sightings(handle, |_| true);
        self.drop_alias(handle);
        let Some(contact) = self.table.remove(handle) else { return };
        self.by_address.remove(contact.address_hash, handle.index());
        let is_stranger = contact.is_stranger();
        self.count(usize::from(contact.account), |share| {
            let count = if is_stranger { &mut share.strangers } else { &mut share.kept };
            *count = count.saturating_sub(1);
        });
        if contact.buddy.is_none() {
            self.gone.mark(handle.index());
        }
    }

    fn drop_oldest_stranger(&mut self, account: Option<usize>) {
        let is_it = |it: &Contact| it.is_stranger() && account.is_none_or(|account| usize::from(it.account) == account);
        let strangers = self.table.iter().filter(|(_, it)| is_it(it));
        if let Some((oldest, _)) = strangers.min_by_key(|(_, it)| it.touched_at) {
            self.drop_contact(oldest);
        }
    }

    fn drop_alias(&mut self, handle: ContactHandle) {
        let Some(contact) = self.table.get_mut(handle) else { return };
        if !contact.alias.is_empty() {
            contact.alias.clear();
            let hash = contact.alias_hash;
            self.by_alias.remove(hash, handle.index());
        }
    }

    /// Gives a contact that is a buddy of its own an alias, unless it has one.
    fn give_alias(&mut self, model: &Model, handle: ContactHandle) {
        let Some(contact) = self.table.get(handle) else { return };
        if contact.buddy.is_some() || !contact.alias.is_empty() {
            return;
        }
        let person = usize::from(contact.person);
        let base = alias::base(&contact.name, &contact.address, contact.network.name());
        let is_free = |alias: &str| !alias::is_given(model, person, alias) && self.find_alias(person, alias).is_none();
        // So many can't all be taken.
        let Some(alias) = alias::free(&base, ALIAS_TRIES, is_free) else { return };
        let hash = self.hash(&alias);
        self.by_alias.insert(hash, handle.index());
        if let Some(contact) = self.table.get_mut(handle) {
            (contact.alias, contact.alias_hash) = (alias, hash);
        }
    }

    /// A person's list has another entry, or one less, or another name.
    fn list_changed(&mut self, handle: ContactHandle) {
        let Some(contact) = self.table.get(handle).filter(|it| it.buddy.is_none()) else { return };
        let (account, person) = (usize::from(contact.account), usize::from(contact.person));
        match self.shares.get_mut(account) {
            Some(share) if share.is_telling => share.has_list_news = true,
            _ => self.lists.mark(person),
        }
    }

    fn end_telling(&mut self, account: usize) {
        let Some(share) = self.shares.get_mut(account) else { return };
        share.is_telling = false;
        if !core::mem::take(&mut share.has_list_news) {
            return;
        }
        let person = self.of_account(account).next().map(|(_, it)| usize::from(it.person));
        match person {
            Some(person) => self.lists.mark(person),
            // The last of them is gone: it may be anybody's.
            None => self.lists.mark_all(),
        }
    }
}

impl Default for Contacts {
    fn default() -> Self {
        Self::new()
    }
}

/// How somebody is seen at a place, as [`bridge::Event::Presence`] says it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Seen<'s> {
    /// Tells his places apart: a hash. 0 with [`Show::Offline`]: all of them.
    pub place: u32,
    /// How he is there.
    pub show: Show,
    /// Among equal ones the place with the higher priority counts.
    pub priority: i8,
    /// What he says of himself; may be empty.
    pub text: &'s str,
}

/// Of the table, what only those get who are heard from and on no list.
const KEPT_FREE: usize = CONTACTS / 20;
/// Aliases that are tried for one contact: more than one person's contacts, buddies and people together can have.
const ALIAS_TRIES: u32 = (CONTACTS + BUDDIES + PEOPLE + 8) as u32;

/// Whose account it is, and its network.
fn owner_of(model: &Model, account: usize) -> Option<(usize, Network)> {
    let account = model.accounts.get(account)?;
    Some((usize::from(account.person), account.network))
}

/// The configured buddy whom a person sees and who has an address: her own before the family's.
fn buddy_with(model: &Model, person: usize, network: Network, who: &str) -> Option<u16> {
    let has_it = |buddy: &Buddy| buddy.addresses.iter().any(|it| it.network == network && it.text.as_str() == who);
    let own = |buddy: &Buddy| buddy.person.map(usize::from) == Some(person) && has_it(buddy);
    let found = model.buddies.iter().position(own);
    let found = found.or_else(|| model.buddies.iter().position(|it| it.person.is_none() && has_it(it)));
    found.map(|index| index as u16)
}

/// As much of a text as fits, between characters.
fn cut<const N: usize>(text: &str) -> String<N, u8> {
    text.get(..text.floor_char_boundary(N)).and_then(|text| text.try_into().ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests;
