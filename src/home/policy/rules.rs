//! Which rule of the configuration decides about one aspect of a person for one asker.
//!
//! Among the rules that say something about the aspect, whose `who` fits the asker and whose `when` fits her state, the
//! most specific *who* wins: a person or buddy, then a group, a domain, a network, anyone. Then one with a *when* wins
//! over one without, then her own rule over the family's, then the one that stands first in the file.
//!
//! What fits an asker depends on how sure it is who he is. Who only claims a name is anyone, whatever name it is. Who
//! comes from another domain over a connection that has proven to be of it is of that domain, and the buddy who has his
//! address. Who comes by an account of hers is on its network, the buddy who has his address there, and on XMPP of the
//! domain in it. A person of the home is that person, and the buddy who has that address.

use heapless::Vec;

use crate::base::limits::BUDDIES;
use crate::config::model::{Buddy, BuddyAddress, Model, Network, Rule, State, Who};
use crate::home::policy::{Asker, Assurance};
use crate::wire::sip::{Host, unescaped_eq};

/// What the asker is to a person, as far as it is proven.
pub struct Relation<'a> {
    /// The person of the home that he is.
    person: Option<usize>,
    /// The network that he asks from, when that is proven.
    network: Option<Network>,
    /// The host of the address, when it is proven.
    host: Option<Host<'a>>,
    /// The buddies she sees who have the address: indices in the model.
    buddies: Vec<u16, BUDDIES>,
}

/// The rule that decides about an aspect.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Found<T> {
    /// What it says.
    pub value: T,
    /// Its index in the model.
    pub rule: u16,
    /// The entry of its list `who` that fits best.
    pub who: Who,
    /// Whether that entry is about this very person or buddy.
    pub is_individual: bool,
}

impl<'a> Relation<'a> {
    /// What `asker` is to `person`.
    pub fn of(model: &Model, person: usize, asker: &Asker<'a>) -> Self {
        let mut relation = Self { person: asker.proven_person(), network: None, host: None, buddies: Vec::new() };
        let network = match asker.assurance {
            Assurance::Claimed => return relation,
            Assurance::Account(network) => network,
            Assurance::Peer | Assurance::Digest => Network::Sip,
        };
        let (user, host) = split(asker.address);
        // Names on IRC and of lines are no hosts.
        relation.host = if matches!(network, Network::Sip | Network::Xmpp) { Host::parse(host) } else { None };
        let is_named = network != Network::Sip || relation.person.is_some() || relation.host.is_some();
        relation.network = is_named.then_some(network);
        let is_address = |it: &BuddyAddress| match network {
            Network::Sip => is_at(it.text.as_bytes(), user, &relation.host),
            _ => it.text.as_bytes() == asker.address,
        };
        let has_it = |it: &BuddyAddress| it.network == network && is_address(it);
        let is_it = |buddy: &Buddy| buddy.addresses.iter().any(has_it);
        for (index, buddy) in model.buddies.iter().enumerate() {
            if buddy.is_seen_by(person) && is_it(buddy) {
                // There is room for all of them.
                let _ = relation.buddies.push(index as u16);
            }
        }
        relation
    }

    /// The buddies she sees who have his address: indices in the model.
    pub fn buddies(&self) -> &[u16] {
        &self.buddies
    }

    fn fits(&self, model: &Model, who: Who) -> bool {
        match who {
            Who::Anyone => true,
            Who::Person(person) => self.person == Some(usize::from(person)),
            Who::Buddy(buddy) => self.buddies.contains(&buddy),
            Who::Group(group) => self
                .buddies
                .iter()
                .any(|index| model.buddies.get(usize::from(*index)).is_some_and(|buddy| buddy.group == Some(group))),
            Who::Domain(domain) => {
                let domain = Host::parse(model.word(domain).as_bytes());
                domain.is_some_and(|domain| self.host.is_some_and(|host| host.eq_ignore_case(&domain)))
            }
            Who::Network(network) => self.network == Some(network),
        }
    }
}

/// The rule that decides for `person` in `state` about the aspect that `of` takes out of a rule.
pub fn best<T>(
    model: &Model,
    person: usize,
    state: State,
    relation: &Relation<'_>,
    of: impl Fn(&Rule) -> Option<T>,
) -> Option<Found<T>> {
    let mut best: Option<((u8, bool, bool), Found<T>)> = None;
    for (index, rule) in model.rules.iter().enumerate() {
        if !rule.is_for(person) || rule.when.is_some_and(|when| when != state) {
            continue;
        }
        let fitting = rule.who.iter().copied().filter(|who| relation.fits(model, *who));
        // `reduce` keeps the first of equals.
        let who = fitting.reduce(|best, who| if weight(who) > weight(best) { who } else { best });
        let (Some(value), Some(who)) = (of(rule), who) else { continue };
        let rank = (weight(who), rule.when.is_some(), rule.person.is_some());
        if best.as_ref().is_none_or(|(least, _)| rank > *least) {
            let is_individual = weight(who) == INDIVIDUAL;
            best = Some((rank, Found { value, rule: index as u16, who, is_individual }));
        }
    }
    best.map(|(_, found)| found)
}

/// How specific an entry of `who` is.
const fn weight(who: Who) -> u8 {
    match who {
        Who::Person(_) | Who::Buddy(_) => INDIVIDUAL,
        Who::Group(_) => 3,
        Who::Domain(_) => 2,
        Who::Network(_) => 1,
        Who::Anyone => 0,
    }
}

const INDIVIDUAL: u8 = 4;

/// The user, without a password, and the host of `USER@HOST`.
fn split(address: &[u8]) -> (&[u8], &[u8]) {
    match address.iter().position(|byte| *byte == b'@') {
        Some(at) => {
            let info = address.get(..at).unwrap_or_default();
            (info.split(|byte| *byte == b':').next().unwrap_or_default(), address.get(at + 1..).unwrap_or_default())
        }
        None => (b"", address),
    }
}

/// Whether `USER@HOST` is this user, whose case counts, at this host.
fn is_at(address: &[u8], user: &[u8], host: &Option<Host<'_>>) -> bool {
    let (known, place) = split(address);
    unescaped_eq(known, user, false)
        && host.is_some_and(|host| Host::parse(place).is_some_and(|place| place.eq_ignore_case(&host)))
}
