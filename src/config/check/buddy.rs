//! Section `buddy`: whose list it is on, what the home calls the buddy, and where the buddy is.

use core::num::NonZeroU16;

use crate::base::limits::{ADDRESS_BYTES, ADDRESSES_PER_BUDDY, BUDDIES, NAME_BYTES};
use crate::config::address::canonical;
use crate::config::check::section::{Key, Kind, Shape};
use crate::config::check::{Check, add, network, word};
use crate::config::fault::Problem;
use crate::config::model::{Buddy, BuddyAddress, Model, Network, PeerAddress};
use crate::config::value;
use crate::wire::sip::Uri;

pub(super) const OPTIONS: &[(&str, Shape)] = &[
    ("person", Shape::One(Key::Person)),
    ("alias", Shape::One(Key::Alias)),
    ("name", Shape::One(Key::DisplayName)),
    ("address", Shape::Many(Key::BuddyAddress)),
    ("group", Shape::One(Key::Group)),
    ("password", Shape::NotYet("the login of a guest")),
];

/// Takes down, for the buddy whose section it is, what has to be known before sections are checked. The first value
/// counts, as a second is refused.
pub(super) fn outline(model: &mut Model, key: &str, value: &str) {
    let Model { people, buddies, words, .. } = model;
    let Some(buddy) = buddies.last_mut() else { return };
    match key {
        "person" if buddy.person.is_none() => {
            let owner = people.iter().position(|person| person.id.eq_ignore_ascii_case(value));
            buddy.person = owner.map(|index| index as u16);
        }
        "alias" if buddy.alias.is_empty() => buddy.alias = value::id(value).unwrap_or_default(),
        "group" if buddy.group.is_none() && !value.is_empty() => buddy.group = word(words, value).ok(),
        _ => {}
    }
}

impl Check<'_> {
    /// The section may have a name, as every section in UCI; it means nothing.
    pub(super) fn begin_buddy(&mut self, name: &str) -> Result<(), Problem<'static>> {
        if self.buddies == self.model.buddies.len() {
            return Err(Problem::TooMany { limit: "BUDDIES", max: BUDDIES });
        }
        self.section.kind = Kind::Buddy;
        self.section.index = self.buddies;
        self.buddies += 1;
        self.free_name(name)
    }

    pub(super) fn end_buddy(&mut self) {
        if !self.section.has(Key::Alias) {
            self.missing("option 'alias'");
        }
        let display = self.section.display.clone();
        if let Some(buddy) = self.model.buddies.get_mut(self.section.index) {
            buddy.name = if display.is_empty() { buddy.alias.clone() } else { display };
        }
    }

    /// What the first readings took down as the alias may not be taken by what the same devices can write to.
    pub(super) fn alias<'v>(&mut self, value: &'v str) -> Result<(), Problem<'v>> {
        if value.len() > NAME_BYTES {
            return Err(Problem::TooLong(NAME_BYTES));
        }
        let alias = value::id(value).ok_or(Problem::BadName)?;
        if alias == "pcs" {
            return Err(Problem::ReservedName);
        }
        if self.model.person(alias.as_bytes()).is_some() {
            return Err(Problem::AliasOfPerson(value));
        }
        if let Some(id) = alias.strip_suffix(LIST_SUFFIX)
            && self.model.person(id.as_bytes()).is_some()
        {
            return Err(Problem::AliasOfList(value));
        }
        let Some((buddy, above)) = self.buddy_and_above() else { return Ok(()) };
        if above.iter().any(|other| other.alias == alias && share_a_list(other, buddy)) {
            return Err(Problem::AliasOfBuddy(value));
        }
        Ok(())
    }

    fn buddy_and_above(&self) -> Option<(&Buddy, &[Buddy])> {
        let (above, rest) = self.model.buddies.split_at_checked(self.section.index)?;
        Some((rest.first()?, above))
    }

    pub(super) fn buddy_address<'v>(&mut self, value: &'v str) -> Result<(), Problem<'v>> {
        let address = address(value)?;
        // Two buddies may share a telephone, but who writes to an account is one of them.
        if address.network != Network::Sip
            && let Some((buddy, above)) = self.buddy_and_above()
            && above.iter().any(|other| share_a_list(other, buddy) && other.addresses.contains(&address))
        {
            return Err(Problem::AddressOfBuddy(value));
        }
        let Some(buddy) = self.model.buddies.get_mut(self.section.index) else { return Ok(()) };
        add(&mut buddy.addresses, address, value, "ADDRESSES_PER_BUDDY", ADDRESSES_PER_BUDDY)
    }

    /// The first readings took it down.
    pub(super) fn group<'v>(&mut self, value: &'v str) -> Result<(), Problem<'v>> {
        word(&mut self.model.words, value).map(drop)
    }
}

/// Whether somebody sees both.
fn share_a_list(one: &Buddy, other: &Buddy) -> bool {
    one.person.is_none() || other.person.is_none() || one.person == other.person
}

/// An address with the name of its network before it.
pub(in crate::config) fn address(value: &str) -> Result<BuddyAddress, Problem<'_>> {
    let wrong = Problem::Value { value, expected: ADDRESS };
    let (scheme, rest) = value.split_once(':').ok_or(wrong)?;
    let network = network(scheme, wrong)?;
    let expected = match network {
        Network::Sip => return sip_address(value, rest),
        Network::Xmpp => "xmpp:USER@DOMAIN",
        Network::Irc => "irc:NICK",
        Network::Line => "line:NAME",
    };
    if rest.len() > ADDRESS_BYTES {
        return Err(Problem::TooLong(ADDRESS_BYTES));
    }
    let text = canonical(network, rest).ok_or(Problem::Value { value, expected })?;
    Ok(BuddyAddress { network, text, port: None })
}

/// `sip:USER@HOST` or `sip:USER@HOST:PORT`, IPv6 in brackets; `rest` is what follows the scheme.
fn sip_address<'v>(value: &'v str, rest: &str) -> Result<BuddyAddress, Problem<'v>> {
    let wrong = Problem::Value { value, expected: SIP_ADDRESS };
    let uri = Uri::parse(value.as_bytes()).map_err(|_| wrong)?;
    let uri = uri.sip().ok_or(wrong)?;
    let (user, place) = rest.split_once('@').ok_or(wrong)?;
    // A password is not in the user of the URI, and parameters or headers are not in a place.
    let PeerAddress { host, port } =
        value::peer_address(place).filter(|_| uri.user == Some(user.as_bytes()) && !user.is_empty()).ok_or(wrong)?;
    let mut text = heapless::String::new();
    for part in [user, "@", &host] {
        text.push_str(part).map_err(|_| Problem::TooLong(ADDRESS_BYTES))?;
    }
    Ok(BuddyAddress { network: Network::Sip, text, port: port.and_then(NonZeroU16::new) })
}

/// What follows a person's name in the address of the buddy list.
const LIST_SUFFIX: &str = "-buddies";

const SIP_ADDRESS: &str = "sip:USER@HOST or sip:USER@HOST:PORT";
const ADDRESS: &str = "sip:USER@HOST, sip:USER@HOST:PORT, xmpp:USER@DOMAIN, irc:NICK or line:NAME";
