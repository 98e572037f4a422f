//! The people of the home: who a URI or a login means. A person is `sip:ID@DOMAIN`.
//!
//! Buddies are found here as well: `sip:ALIAS@DOMAIN`, for whose list they are on.

use heapless::String;

use crate::base::limits::{DEVICES, PEOPLE};
use crate::base::random::{Purpose, Random};
use crate::base::table::Index;
use crate::config::model::{Model, Name, Network as Web, Secret};
use crate::sip::transport::Network;
use crate::wire::sip::{SipUri, same_name, unescape};

/// The configuration with an index over its names.
pub struct People {
    /// The configuration.
    pub model: Model,
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
        Self { model: Model::new(), names: Index::new() }
    }

    /// Takes a configuration.
    pub fn configure(&mut self, model: &Model, random: &Random) {
        self.model.clone_from(model);
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

    /// The buddy that the (escaped) user part of a URI in our domain means for a person, regardless of case.
    pub fn buddy(&self, person: usize, user: &[u8]) -> Option<usize> {
        let mut buffer = [0; NAME_BYTES];
        let alias = plain(unescape(user), &mut buffer)?;
        self.model.buddies.iter().position(|buddy| buddy.is_seen_by(person) && buddy.is_called(alias))
    }

    /// A hash that names a buddy outside the core: whose he is, and his alias.
    pub fn buddy_seal(&self, random: &Random, buddy: usize) -> u32 {
        let mut hash = random.hash(Purpose::Token);
        hash.put(b"buddy");
        let Some(buddy) = self.model.buddies.get(buddy) else { return 0 };
        let owner = buddy.person.and_then(|person| self.model.people.get(usize::from(person)));
        hash.put(owner.map_or(b"", |person| person.id.as_bytes()));
        hash.put(buddy.alias.as_bytes());
        (hash.finish() as u32).max(1)
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
