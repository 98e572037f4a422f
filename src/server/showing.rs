//! How people are shown on their accounts on other networks: as the front door says for that network, in words that every
//! network has. And whom an account is to look out for where its network keeps no list.

use core::fmt::Write as _;

use heapless::String;

use super::Core;
use super::bridges::Address;
use crate::base::limits::{ADDRESSES_PER_BUDDY, BUDDIES};
use crate::base::time::Instant;
use crate::bridge::Show;
use crate::config::model::{Account, Network, State};
use crate::home::policy::{
    self, Asker, Assurance, Decision, Delegation as Possible, Event, Kind as Wish, Snapshot, Stage, Target as Goal,
};
use crate::home::presence::compose;
use crate::wire::pidf::NOTE_BYTES;

/// After a start people whose phones are not there yet are not shown as gone for so long.
const SETTLING_MS: u64 = 45_000;
/// A disk that has not said by then what it holds is not waited for.
const STORAGE_MS: u64 = 15_000;

impl Core {
    /// How the person of an account is to be shown there, if that is not how she is: a hash of it, and what it is.
    pub(super) fn showing(&mut self, now: Instant, index: usize) -> Option<(u64, Show, String<NOTE_BYTES>)> {
        let (person, network) = {
            let account = self.people.model.accounts.get(index)?;
            (usize::from(account.person), account.network)
        };
        let bridge = self.bridges.get(index)?;
        let (show, text) = self.shown_on(person, network);
        let mut hash = self.stack.random.hash(crate::base::random::Purpose::Table);
        hash.put(super::inward::word_of(show).as_bytes());
        hash.put(text.as_bytes());
        let hash = hash.finish().max(1);
        if bridge.shown == hash {
            return None;
        }
        // Her phones may be on their way: who was there before a restart does not go and come back by it.
        let may_be_back = bridge.shown == 0 && show <= Show::ExtendedAway && self.presence.manual(person).is_none();
        if may_be_back && now < self.settled_at() {
            return None;
        }
        Some((hash, show, text))
    }

    /// What was kept has been told by then, or nobody waits for it.
    pub(super) fn storage_due_at(&self) -> Instant {
        self.started.plus(STORAGE_MS)
    }

    /// When all phones had time to come back after the start.
    pub(super) fn settled_at(&self) -> Instant {
        self.started.plus(SETTLING_MS)
    }

    /// How a person is shown on a network now.
    pub(super) fn shown_on(&self, person: usize, network: Network) -> (Show, String<NOTE_BYTES>) {
        let asker = Asker { assurance: Assurance::Account(network), person: None, address: b"" };
        let snapshot = Snapshot {
            model: &self.people.model,
            person: Some(person),
            state: self.presence.state(person),
            by_hand: None,
            devices: &[],
            kept: Possible::NONE,
        };
        let event = Event { asker, kind: Wish::Presence, target: Goal::Person, stage: Stage::Arrived };
        let Decision::Show(view) = policy::decide(&event, &snapshot) else { return (Show::Offline, String::new()) };
        let status = self.presence.status(person);
        let seen = compose::seen(status, &view, &self.people.model);
        let is_hidden = matches!(view.presence, crate::home::policy::PresenceView::Hidden)
            || self.presence.manual(person).is_some_and(|manual| manual.is_offline);
        let show = match compose::state_of(&seen) {
            _ if is_hidden => Show::Offline,
            State::Available => Show::Available,
            State::Away => Show::Away,
            State::Busy => Show::Busy,
            // No device of hers is there; but the house is, and takes what comes.
            State::Offline => Show::ExtendedAway,
        };
        let mut text = seen.note.clone();
        if let Some(place) = seen.place.as_ref().filter(|place| place.name == text.as_str() && !text.is_empty())
            && let Some(since) = self.presence.place_since(person)
        {
            // At Home (17:05): since when she is there.
            let _ = place;
            let local = self.people.model.main.timezone.local(since).0;
            let minute = local / 60 % (24 * 60);
            let _ = write!(text, " ({:02}:{:02})", minute / 60, minute % 60);
        }
        (show, if show == Show::Offline { String::new() } else { text })
    }

    /// The next address of a buddy that an account is to look out for: of a network without a list of its own all of them;
    /// else those that are not on that list, once it was told. Who is configured is on the list by that.
    pub(super) fn next_to_watch(&self, index: usize) -> Option<(u16, Address, String<48, u8>)> {
        let bridge = self.bridges.get(index)?;
        if bridge.abilities.has_list && !bridge.is_list_told {
            return None;
        }
        let account: &Account = self.people.model.accounts.get(index)?;
        let person = usize::from(account.person);
        let is_listed = |address: &str| {
            let contact = self.people.contacts.find(index, address);
            contact.and_then(|handle| self.people.contacts.get(handle)).is_some_and(|contact| contact.is_listed)
        };
        let buddies = self.people.model.buddies.iter().enumerate().filter(|(_, buddy)| buddy.is_seen_by(person));
        let addresses = buddies.flat_map(|(number, buddy)| {
            let numbered = buddy.addresses.iter().enumerate();
            numbered.map(move |(place, address)| (number * ADDRESSES_PER_BUDDY + place, buddy, address))
        });
        let mut wanted =
            addresses.skip_while(|(number, ..)| *number < usize::from(bridge.next_watch.unwrap_or(u16::MAX)));
        wanted
            .find(|(_, _, it)| it.network == account.network && !(bridge.abilities.has_list && is_listed(&it.text)))
            .map(|(number, buddy, it)| (number as u16, it.text.clone(), buddy.name.chars().take(12).collect()))
    }
}

const _: () = assert!(BUDDIES * ADDRESSES_PER_BUDDY < u16::MAX as usize, "an address has a number of 16 bits");
