//! Addresses of ours that mean somebody on another network: a buddy by his alias, `sip:ALIAS@DOMAIN`, or any address there,
//! `sip:LOCAL%40HOST@NETWORK.DOMAIN`, which goes by the sender's own account. Both ways, and the ways that lead to them.

use core::fmt::Write as _;

use heapless::{String, Vec};

use super::People;
use super::route::{self, Decision, Kind, Way};
use super::ways::{AccountState, WAYS};
use crate::base::limits::ADDRESS_BYTES;
use crate::bridge::Show;
use crate::config::address;
use crate::config::model::{BuddyAddress, Network};
use crate::wire::pidf::Status;
use crate::wire::sip::{SipUri, Uri, unescape};

/// An address on a network.
pub type Address = String<ADDRESS_BYTES, u8>;
/// An address of ours as a URI.
pub type OwnUri = String<OWN_URI_BYTES>;
/// Bytes of an [`OwnUri`].
pub const OWN_URI_BYTES: usize = 320;

/// Whom an address of ours means.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Reach {
    /// A buddy, as a buddy number.
    Buddy(usize),
    /// An address on a network.
    Address(Network, Address),
}

/// Where a text goes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Route {
    /// By an account, an index in the model, to this address there.
    Account {
        /// The account.
        account: usize,
        /// The address.
        address: Address,
    },
    /// To the buddy's address on SIP.
    Sip,
    /// Nowhere for now.
    Keep,
    /// There is no way, and never will be.
    Nowhere,
}

/// What has to be known to decide among ways.
pub struct Facts<'f> {
    /// How an account is.
    pub account: &'f dyn Fn(usize) -> AccountState,
    /// What is known of a buddy on SIP.
    pub sip: &'f dyn Fn(usize) -> Option<&'f Status>,
}

impl People {
    /// Whom a URI at our domain, or a subdomain of a network's name, means for a person.
    pub fn reach(&self, person: usize, uri: &SipUri<'_>) -> Option<Reach> {
        let user = uri.user?;
        if self.is_domain(uri) {
            return self.buddy(person, user).map(Reach::Buddy);
        }
        let (network, address) = self.address_in(uri)?;
        // A buddy who has more addresses is meant by this one.
        Some(match self.buddy_at(person, network, &address).filter(|buddy| self.own_contact(*buddy).is_some()) {
            Some(buddy) => Reach::Buddy(buddy),
            None => Reach::Address(network, address),
        })
    }

    /// The buddy who has the address on a network that a URI is.
    pub fn buddy_by_address(&self, person: usize, uri: &SipUri<'_>) -> Option<usize> {
        let (network, address) = self.address_in(uri)?;
        self.buddy_at(person, network, &address)
    }

    /// The address on a network that a URI is.
    fn address_in(&self, uri: &SipUri<'_>) -> Option<(Network, Address)> {
        let (network, user) = (self.network_of(uri)?, uri.user?);
        let mut text: String<{ 2 * ADDRESS_BYTES }> = String::new();
        let mut bytes: Vec<u8, { 2 * ADDRESS_BYTES }> = Vec::new();
        for byte in unescape(user) {
            bytes.push(byte).ok()?;
        }
        text.push_str(core::str::from_utf8(&bytes).ok()?).ok()?;
        Some((network, address::canonical(network, &text)?))
    }

    /// [`People::reach`] of `USER@HOST`.
    pub fn reach_text(&self, person: usize, to: &str) -> Option<Reach> {
        let mut uri: OwnUri = String::new();
        write!(uri, "sip:{to}").ok()?;
        match Uri::parse(uri.as_bytes()) {
            Ok(Uri::Sip(uri)) => self.reach(person, &uri),
            _ => None,
        }
    }

    /// The network whose addresses a URI is about: its host is the network's name before our domain.
    pub fn network_of(&self, uri: &SipUri<'_>) -> Option<Network> {
        let domain = self.model.main.domain.as_bytes();
        let host = uri.host_raw.strip_suffix(b".").unwrap_or(uri.host_raw);
        let (label, rest) = host.split_at_checked(host.len().checked_sub(domain.len())?)?;
        let label = label.strip_suffix(b".")?;
        if domain.is_empty() || !rest.eq_ignore_ascii_case(domain) {
            return None;
        }
        let network = Network::of_name(core::str::from_utf8(label).ok()?)?;
        (network != Network::Sip).then_some(network)
    }

    /// What the devices of a person know somebody on a network by, as a URI: a configured buddy by his alias, anybody else
    /// by his address, which stays his whoever else is on the list, and over a restart.
    pub fn uri_of(&self, person: usize, network: Network, who: &str) -> Option<OwnUri> {
        match self.buddy_at(person, network, who).filter(|buddy| self.configured(*buddy).is_some()) {
            Some(buddy) => self.buddy_uri_here(buddy),
            None => self.uri_there(network, who),
        }
    }

    /// The URI at our domain by which a buddy is known.
    pub fn buddy_uri_here(&self, buddy: usize) -> Option<OwnUri> {
        if let Some(contact) = self.own_contact(buddy) {
            return self.uri_there(contact.network, &contact.address);
        }
        let mut uri = String::new();
        write!(uri, "sip:{}@{}", self.buddy_alias(buddy), self.model.main.domain).ok()?;
        Some(uri)
    }

    /// The URI by which somebody who is only on a network's list is known for good: before that list comes anew after a
    /// restart his alias means nobody, and then perhaps another. `None`: he has an alias that stays, or none.
    pub fn lasting_uri(&self, reach: &Reach) -> Option<OwnUri> {
        let Reach::Buddy(buddy) = reach else { return None };
        let contact = self.own_contact(*buddy)?;
        self.uri_there(contact.network, &contact.address)
    }

    /// The URI of an address on a network.
    fn uri_there(&self, network: Network, who: &str) -> Option<OwnUri> {
        let domain = self.model.main.domain.as_str();
        let mut uri = OwnUri::new();
        uri.push_str("sip:").ok()?;
        for byte in who.bytes() {
            match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'!' | b'~' | b'*' | b'\'' | b'+' => {
                    uri.push(byte.into()).ok()?;
                }
                _ => write!(uri, "%{byte:02x}").ok()?,
            }
        }
        write!(uri, "@{}.{domain}", network.name()).ok()?;
        Some(uri)
    }

    /// The address that somebody has on a network; of several the first.
    pub fn address_of(&self, reach: &Reach, network: Network) -> Option<Address> {
        match reach {
            Reach::Address(known, address) => (*known == network).then(|| address.clone()),
            Reach::Buddy(buddy) => self.addresses(*buddy).find_map(|it| match it {
                Found::Configured(it) if it.network == network => Some(it.text.clone()),
                Found::Contact(known, address) if known == network => Some(address.clone()),
                _ => None,
            }),
        }
    }

    /// Whether somebody has an address on another network than SIP.
    pub fn is_on_networks(&self, reach: &Reach) -> bool {
        match reach {
            Reach::Address(..) => true,
            Reach::Buddy(buddy) => self.addresses(*buddy).any(|it| match it {
                Found::Configured(it) => it.network != Network::Sip,
                Found::Contact(..) => true,
            }),
        }
    }

    /// The ways to somebody, by the sender's accounts and by SIP, in the order of his addresses.
    pub fn ways_to(&self, person: usize, reach: &Reach, facts: &Facts<'_>) -> Vec<Way, WAYS> {
        match reach {
            Reach::Buddy(buddy) => self.ways(person, *buddy, (facts.sip)(*buddy), facts.account),
            // By an account of hers on that network. Of whom nothing is known there, it is tried.
            Reach::Address(network, address) => {
                let accounts = self.model.accounts.iter().enumerate();
                let hers = accounts.filter(|(_, it)| usize::from(it.person) == person && it.network == *network);
                let way = |(account, _): (usize, _)| {
                    let AccountState { is_online, keeps } = (facts.account)(account);
                    let kind = Kind::Account(account as u8);
                    let contact = self.contacts.find(account, address);
                    // Where nothing is kept for him, he is taken to be there.
                    let unknown = if keeps { Show::Offline } else { Show::Available };
                    let show = contact.map_or(unknown, |contact| self.contacts.show(contact));
                    let wrote_at = contact.and_then(|it| self.contacts.get(it)).and_then(|contact| contact.wrote_at);
                    Way { network: *network, kind, address: 0, is_account_online: is_online, show, wrote_at, keeps }
                };
                hers.map(way).take(WAYS).collect()
            }
        }
    }

    /// Where a text to somebody goes now.
    pub fn route(&self, person: usize, reach: &Reach, facts: &Facts<'_>) -> Route {
        let ways = self.ways_to(person, reach, facts);
        let way = match route::route(&ways) {
            Decision::Keep => return Route::Keep,
            Decision::Nowhere => return Route::Nowhere,
            Decision::Go(index) => ways.get(index),
        };
        let Some(way) = way else { return Route::Keep };
        let address = match reach {
            Reach::Address(_, address) => address.clone(),
            Reach::Buddy(buddy) => self.way_address(*buddy, way).unwrap_or_default().try_into().unwrap_or_default(),
        };
        match way.kind {
            Kind::Sip { .. } => Route::Sip,
            Kind::Account(account) => Route::Account { account: usize::from(account), address },
        }
    }

    fn addresses(&self, buddy: usize) -> impl Iterator<Item = Found<'_>> {
        let configured = self.configured(buddy).map_or(&[][..], |buddy| &buddy.addresses).iter().map(Found::Configured);
        let contact = self.own_contact(buddy).map(|contact| Found::Contact(contact.network, &contact.address));
        configured.chain(contact)
    }
}

/// An address of a buddy.
enum Found<'p> {
    Configured(&'p BuddyAddress),
    Contact(Network, &'p Address),
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::time::Instant;
    use crate::bridge::Contact;
    use crate::home::people::testing::people;

    #[test]
    fn who_is_only_on_a_list_is_known_for_good_by_his_address() {
        let mut home = people();
        let told = Contact { who: "carol@x.example", name: "", is_watched: true, is_asked: false };
        let People { contacts, model, .. } = &mut *home;
        contacts.upsert(Instant::ZERO, model, 0, &told).unwrap();
        let carol = home.reach_text(0, "carol@home.example").unwrap();
        let lasting = home.lasting_uri(&carol).unwrap();
        assert_eq!(lasting, "sip:carol%40x.example@xmpp.home.example");
        let lasting = lasting.strip_prefix("sip:").unwrap();
        assert_eq!(home.reach_text(0, lasting), Some(carol));
        // After a restart, before her list has come.
        let fresh = people();
        assert_eq!(fresh.reach_text(0, "carol@home.example"), None);
        let there = fresh.reach_text(0, lasting).unwrap();
        assert_eq!(there, Reach::Address(Network::Xmpp, "carol@x.example".try_into().unwrap()));
        assert!(fresh.is_on_networks(&there) && fresh.lasting_uri(&there).is_none());
        let smith = fresh.reach_text(0, "smith@home.example").unwrap();
        assert!(fresh.lasting_uri(&smith).is_none(), "his alias is configured");
    }
}
