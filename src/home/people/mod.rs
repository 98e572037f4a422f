//! The people of the home: who a URI or a login means. A person is `sip:ID@DOMAIN`.
//!
//! Buddies are found here as well: `sip:ALIAS@DOMAIN`, for whose list they are on. Each has a *buddy number*: that of a
//! configured one is its index in [`Model::buddies`], where those stand that people have put on their lists themselves
//! ([`learned`]), too; a contact of a network ([`contacts`]) that is no address of one of these is a buddy of its own, and its
//! number is [`BUDDIES`] and its slot.

pub mod alias;
pub mod compose;
pub mod contacts;
pub mod learned;
pub mod reach;
pub mod route;
#[cfg(test)]
pub(crate) mod testing;
pub mod ways;

use heapless::String;

use crate::base::limits::{ACCOUNTS, BUDDIES, DEVICES, PEOPLE};
use crate::base::random::{Purpose, Random};
use crate::base::table::Index;
use crate::config::model::{Account, Buddy, BuddyAddress, Model, Name, Network as Web, Secret};
use crate::sip::transport::Network;
use crate::wire::sip::{SipUri, same_name, unescape};
use contacts::{Contact, Contacts};
use learned::Learned;
pub use reach::Reach;

/// The configuration with an index over its names, and who is known from networks.
pub struct People {
    /// The configuration.
    pub model: Model,
    /// Contacts on networks.
    pub contacts: Contacts,
    /// Buddies that people have put on their lists themselves.
    pub learned: Learned,
    /// People by id and devices by login; a device's entry is its number after the people's.
    names: Index<{ 2 * (PEOPLE + DEVICES) }>,
}

/// Whose credentials are presented.
#[derive(Clone, Copy, Debug)]
pub struct Login<'m> {
    /// The person, as an index in the model.
    pub person: usize,
    /// The device with a login of its own, as an index in the model.
    pub device: Option<usize>,
    /// What the password is checked against.
    pub secret: &'m Secret,
}

/// What the address of a person's list ends in.
pub const LIST_SUFFIX: &str = "-buddies";

const NAME_BYTES: usize = crate::base::limits::NAME_BYTES;

impl People {
    /// Nobody.
    pub const fn new() -> Self {
        Self { model: Model::new(), contacts: Contacts::new(), learned: Learned::new(), names: Index::new() }
    }

    /// Takes a configuration. Contacts stay with their accounts, as [`account_in`] finds them.
    pub fn configure(&mut self, model: &Model, random: &Random) {
        let mut accounts = [None; ACCOUNTS];
        for (place, account) in accounts.iter_mut().zip(&self.model.accounts) {
            *place = account_in(model, account, &self.model);
        }
        self.learned.renumber(&self.model, model);
        self.model.clone_from(model);
        self.learned.place_all(&mut self.model);
        self.contacts.seed(random);
        if !self.contacts.is_empty() {
            self.contacts.renumber(|account| accounts.get(account).copied().flatten());
            self.contacts.relink(&self.model);
        }
        self.names = Index::new();
        for (index, person) in model.people.iter().enumerate() {
            self.names.insert(hash(random, person.id.as_bytes()), index);
        }
        for (index, device) in model.devices.iter().enumerate() {
            self.names.insert(hash(random, device.id.as_bytes()), PEOPLE + index);
        }
    }

    /// The person that the (escaped) user part of a URI in our domain means, regardless of case.
    pub fn person(&self, random: &Random, user: &[u8]) -> Option<usize> {
        let mut buffer = [0; NAME_BYTES];
        let name = plain(unescape(user), &mut buffer)?;
        let is_it = |index: usize| {
            self.model.people.get(index).is_some_and(|person| person.id.as_bytes().eq_ignore_ascii_case(name))
        };
        self.names.find(hash(random, name), is_it)
    }

    /// The person whose list of everybody she may watch an address of ours is: `sip:PERSON-buddies@DOMAIN`.
    pub fn list_of(&self, random: &Random, user: &[u8]) -> Option<usize> {
        let end = user.len().checked_sub(LIST_SUFFIX.len())?;
        let (name, suffix) = user.split_at_checked(end)?;
        if suffix.eq_ignore_ascii_case(LIST_SUFFIX.as_bytes()) { self.person(random, name) } else { None }
    }

    /// The buddy that the (escaped) user part of a URI in our domain means for a person, regardless of case: a buddy number.
    pub fn buddy(&self, person: usize, user: &[u8]) -> Option<usize> {
        let mut buffer = [0; NAME_BYTES];
        let len = plain(unescape(user), &mut buffer)?.len();
        let alias = buffer.get_mut(..len)?;
        if let Some(buddy) = self.model.buddy(person, alias) {
            return Some(buddy);
        }
        alias.make_ascii_lowercase();
        let alias = core::str::from_utf8(alias).ok()?;
        Some(BUDDIES + self.contacts.find_alias(person, alias)?.index())
    }

    /// The buddy of a person's who has an address, in the form of [`BuddyAddress::text`]: a buddy number. Her own before the
    /// family's; on SIP regardless of case.
    pub fn buddy_at(&self, person: usize, network: Web, address: &str) -> Option<usize> {
        let is_it = |it: &BuddyAddress| {
            it.network == network
                && match network {
                    Web::Sip => it.text.eq_ignore_ascii_case(address),
                    _ => it.text.as_str() == address,
                }
        };
        let has_it = |index: &usize| self.model.buddies.get(*index).is_some_and(|it| it.addresses.iter().any(is_it));
        let configured = self.configured_of(person).find(has_it);
        let accounts = self.model.accounts.iter().enumerate();
        let mut hers = accounts.filter(|(_, it)| usize::from(it.person) == person && it.network == network);
        configured.or_else(|| {
            let handle = hers.find_map(|(account, _)| self.contacts.find(account, address))?;
            Some(BUDDIES + handle.index())
        })
    }

    /// The buddies that a person sees, as buddy numbers: those of her own list, the family's, then who is on the lists of her
    /// accounts.
    pub fn buddies_of(&self, person: usize) -> impl Iterator<Item = usize> {
        let listed = |(_, it): &(_, &Contact)| it.is_listed && it.buddy.is_none();
        let contacts = self.contacts.of_person(person).filter(listed).map(|(handle, _)| BUDDIES + handle.index());
        self.configured_of(person).chain(contacts)
    }

    /// All buddies, as buddy numbers.
    pub fn buddies(&self) -> impl Iterator<Item = usize> {
        let contacts = self.contacts.iter().filter(|(_, it)| it.buddy.is_none());
        let configured = (0..self.model.buddies.len()).filter(|index| self.configured(*index).is_some());
        configured.chain(contacts.map(|(handle, _)| BUDDIES + handle.index()))
    }

    /// Whether a buddy number means somebody.
    pub fn has_buddy(&self, buddy: usize) -> bool {
        self.configured(buddy).is_some() || self.own_contact(buddy).is_some()
    }

    /// The name to show of a buddy; empty for nobody.
    pub fn buddy_name(&self, buddy: usize) -> &str {
        match (self.configured(buddy), self.own_contact(buddy)) {
            (Some(configured), _) => &configured.name,
            (None, Some(contact)) if contact.name.is_empty() => &contact.alias,
            (None, Some(contact)) => &contact.name,
            (None, None) => "",
        }
    }

    /// What the devices of who sees a buddy reach it as; empty for nobody.
    pub fn buddy_alias(&self, buddy: usize) -> &str {
        match (self.configured(buddy), self.own_contact(buddy)) {
            (Some(configured), _) => &configured.alias,
            (None, contact) => contact.map_or("", |contact| &contact.alias),
        }
    }

    /// Whose list a buddy is on; `None`: the whole family's, or nobody's.
    pub fn buddy_owner(&self, buddy: usize) -> Option<u16> {
        match self.configured(buddy) {
            Some(configured) => configured.person,
            None => self.own_contact(buddy).map(|contact| contact.person),
        }
    }

    /// Whether a buddy is on the list of this person or the family's.
    pub fn is_seen_by(&self, buddy: usize, person: usize) -> bool {
        match self.configured(buddy) {
            Some(configured) => configured.is_seen_by(person),
            None => self.own_contact(buddy).is_some_and(|contact| usize::from(contact.person) == person),
        }
    }

    /// A hash that names a buddy outside the core: whose he is, and his alias.
    pub fn buddy_seal(&self, random: &Random, buddy: usize) -> u32 {
        if !self.has_buddy(buddy) {
            return 0;
        }
        let mut hash = random.hash(Purpose::Token);
        hash.put(b"buddy");
        let owner = self.buddy_owner(buddy).and_then(|person| self.model.people.get(usize::from(person)));
        hash.put(owner.map_or(b"", |person| person.id.as_bytes()));
        hash.put(self.buddy_alias(buddy).as_bytes());
        (hash.finish() as u32).max(1)
    }

    /// The buddy of the model with a number: configured or learned.
    pub fn configured(&self, buddy: usize) -> Option<&Buddy> {
        self.model.buddies.get(buddy).filter(|buddy| !learned::is_vacant(buddy))
    }

    /// What names a buddy with all he has, for as long as nothing of that changes: whose he is, alias and addresses. 0 for
    /// nobody, and for contacts.
    pub fn buddy_mark(&self, random: &Random, buddy: usize) -> u64 {
        let Some(configured) = self.configured(buddy) else { return 0 };
        let mut hash = random.hash(Purpose::Table);
        let owner = configured.person.and_then(|person| self.model.people.get(usize::from(person)));
        hash.put(owner.map_or(b"", |person| person.id.as_bytes()));
        hash.put(configured.alias.as_bytes());
        for BuddyAddress { network, text, port } in &configured.addresses {
            hash.put(network.name().as_bytes());
            hash.put(text.as_bytes());
            hash.put(&port.map_or(0, |port| port.get()).to_le_bytes());
        }
        hash.finish().max(1)
    }

    /// The contact that a buddy number means by itself.
    pub fn own_contact(&self, buddy: usize) -> Option<&Contact> {
        self.contacts.at(buddy.checked_sub(BUDDIES)?).filter(|contact| contact.buddy.is_none())
    }

    fn configured_of(&self, person: usize) -> impl Iterator<Item = usize> {
        let buddies = self.model.buddies.iter().enumerate();
        let own = buddies.clone().filter(move |(_, it)| it.person.map(usize::from) == Some(person));
        own.chain(buddies.filter(|(_, it)| it.person.is_none())).map(|(index, _)| index)
    }

    /// The address at which a buddy is reached by SIP, as a URI: the first on his list. `None` when he has none.
    pub fn buddy_uri<const N: usize>(&self, buddy: usize) -> Option<String<N>> {
        let address = self.model.buddies.get(buddy)?.addresses.iter().find(|it| it.network == Web::Sip)?;
        let mut uri = String::new();
        core::fmt::write(&mut uri, format_args!("sip:{}", address.text)).ok()?;
        if let Some(port) = address.port {
            core::fmt::write(&mut uri, format_args!(":{port}")).ok()?;
        }
        Some(uri)
    }

    /// Who logs in with a username. Its case counts, as it is part of what is hashed.
    pub fn login(&self, random: &Random, username: impl Iterator<Item = u8>) -> Option<Login<'_>> {
        let mut buffer = [0; NAME_BYTES];
        let name = plain(username, &mut buffer)?;
        let is_it = |index: usize| match index.checked_sub(PEOPLE) {
            None => self.model.people.get(index).is_some_and(|person| person.id.as_bytes() == name),
            Some(device) => self.model.devices.get(device).is_some_and(|device| device.id.as_bytes() == name),
        };
        let index = self.names.find(hash(random, name), is_it)?;
        match index.checked_sub(PEOPLE) {
            None => Some(Login { person: index, device: None, secret: &self.model.people.get(index)?.secret }),
            Some(device) => {
                let section = self.model.devices.get(device)?;
                Some(Login { person: usize::from(section.person), device: Some(device), secret: &section.secret })
            }
        }
    }

    /// Whether a URI is in our domain, or at one of our own addresses.
    pub fn is_home(&self, network: &Network, uri: &SipUri<'_>) -> bool {
        self.is_domain(uri) || network.is_own_host(&uri.host)
    }

    /// Whether a URI is in our domain by name.
    pub fn is_domain(&self, uri: &SipUri<'_>) -> bool {
        same_name(uri.host_raw, self.model.main.domain.as_bytes())
    }

    /// Whether what follows the scheme of another URI (`im:`, `pres:`, `mailto:`) is an address in our domain.
    pub fn is_domain_of(&self, rest: &[u8]) -> bool {
        let host = rest.rsplit(|byte| *byte == b'@').next().unwrap_or_default();
        let host = host.split(|byte| matches!(byte, b';' | b'?' | b':')).next().unwrap_or_default();
        same_name(host, self.model.main.domain.as_bytes())
    }

    /// A hash that names who registered: the person, the device section if it has one, and the secrets these proved. It
    /// is another when any of that changes, as in [`Registrar::renumber`](crate::home::registrar::Registrar::renumber).
    pub fn login_seal(&self, random: &Random, person: usize, device: Option<usize>) -> u32 {
        let mut hash = random.hash(Purpose::Journal);
        let mut put = |id: &Name, secret: &Secret| {
            hash.put(id.as_bytes());
            hash.put(secret.md5.as_ref().map_or(&[], |it| it));
            hash.put(secret.sha256.as_ref().map_or(&[], |it| it));
        };
        if let Some(person) = self.model.people.get(person) {
            put(&person.id, &person.secret);
        }
        if let Some(device) = device.and_then(|device| self.model.devices.get(device)) {
            put(&device.id, &device.secret);
        }
        hash.finish() as u32
    }

    /// A hash that names a person outside the core; it stays the same when the order of the configuration changes.
    pub fn seal(&self, random: &Random, person: usize) -> u32 {
        let mut hash = random.hash(Purpose::Token);
        hash.put(self.model.people.get(person).map_or(b"", |person| person.id.as_bytes()));
        (hash.finish() as u32).max(1)
    }
}

impl Default for People {
    fn default() -> Self {
        Self::new()
    }
}

/// The account of a model that is the same as one of another model: a section of that name, for the same address of the
/// same person. Its password and the way to it may be others.
pub fn account_in(model: &Model, account: &Account, of: &Model) -> Option<usize> {
    let owner = |model: &Model, account: &Account| {
        model.people.get(usize::from(account.person)).map(|person| person.id.clone())
    };
    let is_it = |it: &Account| {
        it.id == account.id
            && it.network == account.network
            && it.address == account.address
            && owner(model, it) == owner(of, account)
    };
    model.accounts.iter().position(is_it)
}

fn plain(text: impl Iterator<Item = u8>, buffer: &mut [u8; NAME_BYTES]) -> Option<&[u8]> {
    let mut len = 0;
    for byte in text {
        *buffer.get_mut(len)? = byte;
        len += 1;
    }
    buffer.get(..len)
}

fn hash(random: &Random, name: &[u8]) -> u32 {
    let mut hash = random.hash(Purpose::Table);
    hash.put_lower(name);
    hash.finish() as u32
}
