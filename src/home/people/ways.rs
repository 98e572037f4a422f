//! The ways to a buddy, as [`route`](super::route::route) is asked about them: his addresses in their order, each with the
//! accounts of the person that lead there.

use heapless::Vec;

use super::People;
use super::compose::show_of;
use super::route::{Kind, Way};
use crate::base::limits::ADDRESSES_PER_BUDDY;
use crate::bridge::Show;
use crate::config::model::{BuddyAddress, Network};
use crate::wire::pidf::Status;

/// Ways to one buddy. More, by several accounts on one network: the last ones are left out.
pub const WAYS: usize = 2 * ADDRESSES_PER_BUDDY;

/// How an account is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct AccountState {
    /// Whether it is on.
    pub is_online: bool,
    /// Whether its network keeps texts for who is not there.
    pub keeps: bool,
}

impl People {
    /// The ways by which a text of a person's goes to a buddy. `sip` is what is known of him on SIP; when he last wrote from
    /// there is for the caller to add. An address that is a contact of some of her accounts on its network is reached by
    /// those, any other by each.
    pub fn ways(
        &self,
        person: usize,
        buddy: usize,
        sip: Option<&Status>,
        account: impl Fn(usize) -> AccountState,
    ) -> Vec<Way, WAYS> {
        let mut ways = Vec::new();
        let way = |index: usize, network, address: u8, who: &str| {
            let AccountState { is_online, keeps } = account(index);
            let handle = self.contacts.find(index, who);
            Way {
                network,
                kind: Kind::Account(index as u8),
                address,
                is_account_online: is_online,
                show: handle.map_or(Show::Offline, |handle| self.contacts.show(handle)),
                wrote_at: handle.and_then(|handle| self.contacts.get(handle)).and_then(|contact| contact.wrote_at),
                keeps,
            }
        };
        if let Some(contact) = self.own_contact(buddy).filter(|it| usize::from(it.person) == person) {
            let _ = ways.push(way(usize::from(contact.account), contact.network, 0, &contact.address));
        }
        let configured = self.configured(buddy).filter(|buddy| buddy.is_seen_by(person));
        let addresses = configured.map_or(&[][..], |buddy| &buddy.addresses);
        for (number, BuddyAddress { network, text, .. }) in addresses.iter().enumerate() {
            let address = number as u8;
            if *network == Network::Sip {
                let _ = ways.push(Way {
                    network: Network::Sip,
                    kind: Kind::Sip { is_known: sip.is_some() },
                    address,
                    is_account_online: false,
                    show: sip.map_or(Show::Offline, show_of),
                    wrote_at: None,
                    keeps: false,
                });
                continue;
            }
            let is_hers = |index: &usize| {
                self.model
                    .accounts
                    .get(*index)
                    .is_some_and(|it| usize::from(it.person) == person && it.network == *network)
            };
            let hers = || (0..self.model.accounts.len()).filter(is_hers);
            let knows = |index: &usize| self.contacts.find(*index, text).is_some();
            let is_known = hers().any(|index| knows(&index));
            for index in hers().filter(|index| !is_known || knows(index)) {
                let _ = ways.push(way(index, *network, address, text));
            }
        }
        ways
    }

    /// The address that a way to a buddy leads to, in the form of [`BuddyAddress::text`].
    pub fn way_address(&self, buddy: usize, way: &Way) -> Option<&str> {
        match self.configured(buddy) {
            Some(configured) => configured.addresses.get(usize::from(way.address)).map(|it| it.text.as_str()),
            None => self.own_contact(buddy).map(|contact| contact.address.as_str()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::time::Instant;
    use crate::bridge;
    use crate::home::people::contacts::{Heard, Seen};
    use crate::home::people::route::{Decision, route};
    use crate::home::people::testing::{account, people};
    use crate::wire::pidf::Basic;

    const ON: AccountState = AccountState { is_online: true, keeps: true };

    #[test]
    fn the_conversation_follows_him() {
        let mut people = people();
        let now = Instant::from_millis(9);
        let sip = Status { basic: Some(Basic::Open), ..Status::new() };
        let decide = |people: &People, sip: Option<&Status>, state: AccountState| {
            let ways = people.ways(0, 0, sip, |_| state);
            (route(&ways), ways)
        };
        let (decision, ways) = decide(&people, None, ON);
        assert_eq!((decision, ways.len()), (Decision::Go(1), 2), "XMPP keeps it");
        assert_eq!(people.way_address(0, &ways[0]), Some("smith@smith.example"));
        assert_eq!(people.way_address(0, &ways[1]), Some("smith@x.example"));
        assert_eq!(ways[1].kind, Kind::Account(0));
        assert_eq!(decide(&people, None, AccountState::default()).0, Decision::Go(0), "SIP is tried");
        let closed = Status { basic: Some(Basic::Closed), ..Status::new() };
        assert_eq!(decide(&people, Some(&closed), AccountState::default()).0, Decision::Keep);
        assert_eq!(decide(&people, Some(&sip), ON).0, Decision::Go(0));
        let People { contacts, model, .. } = &mut *people;
        let seen = Seen { place: 1, show: Show::Away, priority: 0, text: "" };
        contacts.presence(now, model, 0, "smith@x.example", &seen);
        assert_eq!(decide(&people, Some(&sip), ON).0, Decision::Go(0), "better there");
        let People { contacts, model, .. } = &mut *people;
        contacts.heard(now, model, 0, "smith@x.example", Heard::Wrote);
        assert_eq!(decide(&people, Some(&sip), ON).0, Decision::Go(1), "he wrote from there");
        people.contacts.presence(now, &people.model, 0, "smith@x.example", &Seen { show: Show::Offline, ..seen });
        assert_eq!(decide(&people, Some(&sip), ON).0, Decision::Go(0), "and is not there any more, shown or not");
        assert!(people.ways(1, 0, None, |_| ON).is_empty(), "he is not Bob's");
    }

    #[test]
    fn by_the_account_that_knows_him() {
        let mut people = people();
        people.model.accounts.push(account("alice_work", 0, Network::Xmpp)).ok().unwrap();
        let by = |people: &People, buddy| -> std::vec::Vec<Kind> {
            people.ways(0, buddy, None, |_| ON).iter().map(|way| way.kind).collect()
        };
        let sip = Kind::Sip { is_known: false };
        assert_eq!(by(&people, 0), [sip, Kind::Account(0), Kind::Account(3)]);
        let told = |who| bridge::Contact { who, name: "", is_watched: true, is_asked: false };
        let People { contacts, model, .. } = &mut *people;
        contacts.upsert(Instant::ZERO, model, 3, &told("smith@x.example")).unwrap();
        contacts.upsert(Instant::ZERO, model, 3, &told("carol@x.example")).unwrap();
        assert_eq!(by(&people, 0), [sip, Kind::Account(3)]);
        let carol = people.buddy(0, b"carol").unwrap();
        assert_eq!(by(&people, carol), [Kind::Account(3)]);
        let way = people.ways(0, carol, None, |_| ON)[0];
        assert_eq!(people.way_address(carol, &way), Some("carol@x.example"));
        assert!(people.ways(1, carol, None, |_| ON).is_empty() && by(&people, carol + 1).is_empty());
    }
}
