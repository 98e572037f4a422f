//! The lists of people, as they change them while the server runs ([`learned`](crate::home::people::learned)): done, told to
//! the networks and to who watches, kept in the journal, and said in words. And which way a text to somebody would go.

use core::fmt::Write as _;

use heapless::Vec;

use super::Core;
use super::bridges::{Order, Standing};
use super::commands::word_of;
use crate::base::limits::{ACCOUNTS, ADDRESSES_PER_BUDDY};
use crate::base::text::{OneLine, Writer};
use crate::base::time::Instant;
use crate::bridge::Show;
use crate::config;
use crate::config::address::canonical;
use crate::config::model::{BuddyAddress, Network};
use crate::home::commands;
use crate::home::people::People;
use crate::home::people::learned::{self, Refused, Removed};
use crate::home::people::reach::Reach;
use crate::home::people::route::{self, Kind as WayKind};
use crate::home::presence::compose::state_of;
use crate::sip::stack::Task;
use crate::spool::{Key, Kind};

/// What she changes on her list.
impl Core {
    /// Puts somebody on a person's list, and on that of her account there. Whether it was done.
    pub(super) fn add_buddy(
        &mut self,
        now: Instant,
        person: usize,
        (alias, name): (&str, &str),
        address: &str,
        out: &mut Writer<'_>,
    ) -> bool {
        let Some(address) = read_address(address, out) else { return false };
        let added = self.people.add_buddy(&self.stack.random, person, (alias, name), address.clone());
        let buddy = match added {
            Ok(buddy) => buddy,
            Err(refused) => return say_refused(&refused, out),
        };
        self.buddy_changed(now, buddy);
        let _ = write!(out, "{} is on your list: {address}.", self.people.buddy_name(buddy));
        self.look_out_for(person, &address, out);
        true
    }

    /// Gives a buddy of a person's one more address. Whether it was done.
    pub(super) fn link_buddy(
        &mut self,
        now: Instant,
        person: usize,
        alias: &str,
        address: &str,
        out: &mut Writer<'_>,
    ) -> bool {
        let Some(address) = read_address(address, out) else { return false };
        let linked = match self.people.link_address(&self.stack.random, person, alias, address.clone()) {
            Ok(linked) => linked,
            Err(refused) => return say_refused(&refused, out),
        };
        if let Some(from) = linked.from {
            self.buddy_changed(now, from);
        }
        self.buddy_changed(now, linked.buddy);
        let _ = write!(out, "{address} is an address of {} now", self.people.buddy_name(linked.buddy));
        match linked.from {
            Some(from) => drop(write!(out, ", and not of {} any more.", self.people.buddy_name(from))),
            None => out.text("."),
        }
        self.look_out_for(person, &address, out);
        true
    }

    /// Takes an address away from a buddy of a person's. Whether it was done.
    pub(super) fn unlink_buddy(
        &mut self,
        now: Instant,
        person: usize,
        alias: &str,
        address: &str,
        out: &mut Writer<'_>,
    ) -> bool {
        let Some(address) = read_address(address, out) else { return false };
        let buddy = match self.people.unlink_address(person, alias, &address) {
            Ok(buddy) => buddy,
            Err(refused) => return say_refused(&refused, out),
        };
        // Who is on a network's list stays there; where there is none nobody looks out for him any more.
        self.forget_there(person, &address, false);
        self.buddy_changed(now, buddy);
        let _ = write!(out, "{address} is not an address of {} any more.", self.people.buddy_name(buddy));
        true
    }

    /// Takes somebody off a person's list, and off those of her accounts. Whether it was done.
    pub(super) fn remove_buddy(&mut self, now: Instant, person: usize, alias: &str, out: &mut Writer<'_>) -> bool {
        match self.people.remove_buddy(person, alias) {
            Ok(Removed { buddy, addresses }) => {
                let (presence, around) = self.split_presence();
                presence.buddy_gone(now, around.stack, buddy);
                for address in &addresses {
                    self.forget_there(person, address, true);
                }
                self.buddy_changed(now, buddy);
                let _ = write!(out, "{alias} is not on your list any more.");
                true
            }
            Err(Refused::Listed) => {
                let contact = self.people.buddy(person, alias.as_bytes());
                let contact = contact.and_then(|buddy| self.people.own_contact(buddy));
                let Some(contact) = contact else { return say_refused(&Refused::NoBuddy, out) };
                let address = BuddyAddress { network: contact.network, text: contact.address.clone(), port: None };
                let (account, is_listed) = (usize::from(contact.account), contact.is_listed);
                self.order(account, Order::Remove { who: address.text.clone() });
                if !is_listed {
                    self.people.contacts.remove(account, &address.text);
                    self.contacts_changed(now, account);
                }
                let _ = write!(out, "{address} is taken off the list of your account there.");
                true
            }
            Err(refused) => say_refused(&refused, out),
        }
    }

    /// A buddy of the model has other addresses, or is new or gone: contacts are his or are not, and those are told who see
    /// it.
    fn buddy_changed(&mut self, now: Instant, buddy: usize) {
        let (presence, mut around) = self.split_presence();
        presence.buddy_moved(now, &mut around, buddy);
        self.buddies_changed(now);
    }

    fn buddies_changed(&mut self, now: Instant) {
        let People { contacts, model, .. } = &mut self.people;
        contacts.relink(model);
        self.show_contacts(now);
        let people = self.people.model.people.len();
        let (presence, mut around) = self.split_presence();
        // Rules about him are about his new address, too.
        (0..people).for_each(|person| presence.judge_all(now, &mut around, person));
        for account in 0..self.bridges.len() {
            self.stack.schedule.wake(Task::Account(account).id());
        }
        self.stack.schedule.wake(Task::Journal.id());
        self.stack.schedule.wake(Task::Outgoing.id());
    }

    /// Has an account of hers look out for an address of a buddy's: puts it on the network's own list where there is one.
    fn look_out_for(&mut self, person: usize, address: &BuddyAddress, out: &mut Writer<'_>) {
        let network = address.network;
        if network == Network::Sip {
            return;
        }
        let first = |is_online: bool| {
            self.accounts_on(person, network).find(|account| !is_online || self.bridges.is_online(*account))
        };
        let Some(account) = first(true).or_else(|| first(false)) else {
            let _ = write!(out, " You have no account on {}: nothing can be sent there.", network.name());
            return;
        };
        // The account finds out itself whom it has to look out for, in each session; but it may be past this one.
        let numbered = self.people.model.buddies.iter().enumerate().flat_map(|(number, buddy)| {
            let addresses = buddy.addresses.iter().enumerate();
            addresses.map(move |(place, it)| (number * ADDRESSES_PER_BUDDY + place, buddy, it))
        });
        let mut numbered = numbered.filter(|(_, _, it)| it.network == network && it.text == address.text);
        let is_listed = self.people.contacts.find(account, &address.text);
        let is_listed = is_listed.and_then(|contact| self.people.contacts.get(contact)).is_some_and(|it| it.is_listed);
        if let (Some((number, buddy, _)), Some(bridge)) = (numbered.next(), self.bridges.get_mut(account))
            && bridge.standing == Standing::Online
            && bridge.next_watch.is_some_and(|next| usize::from(next) > number)
            && !is_listed
        {
            let name = buddy.name.chars().take(12).collect();
            bridge.order(Order::Add { who: address.text.clone(), name });
        }
        self.stack.schedule.wake(Task::Account(account).id());
        if !self.bridges.is_online(account) {
            out.text(" Your account there is not on now.");
        }
    }

    /// Has her accounts look out for an address no more: those whose network has no list, or, if he is to go from these too,
    /// all that have him.
    fn forget_there(&mut self, person: usize, address: &BuddyAddress, from_lists: bool) {
        let accounts: Vec<usize, ACCOUNTS> = self.accounts_on(person, address.network).collect();
        for account in accounts {
            let has_list = self.bridges.get(account).is_some_and(|bridge| bridge.abilities.has_list);
            let contact = self.people.contacts.find(account, &address.text);
            let is_listed =
                contact.and_then(|contact| self.people.contacts.get(contact)).is_some_and(|contact| contact.is_listed);
            let is_concerned = if has_list { from_lists && is_listed } else { from_lists || !is_listed };
            if is_concerned {
                self.order(account, Order::Remove { who: address.text.clone() });
            }
        }
    }

    /// A person's accounts on a network.
    fn accounts_on(&self, person: usize, network: Network) -> impl Iterator<Item = usize> {
        let accounts = self.people.model.accounts.iter().enumerate();
        let is_it = move |it: &config::model::Account| usize::from(it.person) == person && it.network == network;
        accounts.filter(move |(_, account)| is_it(account)).map(|(index, _)| index)
    }

    fn order(&mut self, account: usize, order: Order) {
        if !self.bridges.get_mut(account).is_some_and(|bridge| bridge.order(order)) {
            log::warn!("the list of an account is not changed: too much is to be done there");
        }
        self.stack.schedule.wake(Task::Account(account).id());
    }
}

/// The journal.
impl Core {
    /// The next record of a buddy to be stored, or to be forgotten when it has no length: key, owner and length.
    pub(super) fn next_buddy_record(&mut self, buffer: &mut [u8]) -> Option<(Key, u32, Option<usize>)> {
        let Self { people, stack, .. } = self;
        let (id, kept) = people.next_record(&stack.random)?;
        let owner = kept.as_ref().map_or(0, |kept| kept.person);
        let len = kept.and_then(|kept| postcard::to_slice(&kept, buffer).ok().map(|bytes| bytes.len()));
        Some((Key { kind: Kind::Buddy, id }, owner, len))
    }

    /// Takes a buddy back that was kept.
    pub(super) fn restore_buddy(&mut self, now: Instant, bytes: &[u8]) {
        match postcard::from_bytes::<learned::Kept<'_>>(bytes) {
            Ok(kept) => {
                if self.people.restore_buddy(&self.stack.random, &kept) {
                    self.buddies_changed(now);
                }
            }
            Err(_) => log::warn!("a buddy in the journal can't be read and is left out"),
        }
    }
}

/// In words.
impl Core {
    /// Says who is on a person's list, and where: a line for each, and one for each address.
    pub(super) fn tell_buddies(&mut self, person: usize, out: &mut Writer<'_>) {
        let (presence, around) = self.split_presence();
        let people = around.people;
        let mut is_first = true;
        for buddy in people.buddies_of(person) {
            out.text(if core::mem::take(&mut is_first) { "" } else { "\n" });
            let (alias, name) = (people.buddy_alias(buddy), people.buddy_name(buddy));
            out.text(alias);
            if name != alias {
                let _ = write!(out, " ({})", OneLine(name.as_bytes()));
            }
            let _ = write!(out, ": {}", word_of(state_of(&presence.buddy_status(&around, person, buddy).status)));
            let on_sip = presence.buddy_on_sip(&around, person, buddy).map(|status| word_of(state_of(status)));
            for address in people.configured(buddy).map_or(&[][..], |buddy| &buddy.addresses) {
                let how = match address.network {
                    Network::Sip => on_sip.unwrap_or("not known"),
                    network => people.shown_at(person, network, &address.text),
                };
                let whence = if people.is_learned(buddy, address) { "learned" } else { "configuration" };
                let _ = write!(out, "\n  {address} {how}, {whence}");
            }
            if let Some(contact) = people.own_contact(buddy) {
                let how = people.shown_at(person, contact.network, &contact.address);
                let _ = write!(out, "\n  {}:{} {how}, network's list", contact.network.name(), contact.address);
            }
        }
        if is_first {
            out.text("You have nobody on your list.");
        }
    }

    /// Says which way a text of a person's to somebody would go now, and why. Whether that is somebody.
    pub(super) fn explain_way(&mut self, person: usize, whom: &str, out: &mut Writer<'_>) -> bool {
        let address = commands::address(whom);
        let user = match address.split_once('@') {
            Some((user, host)) if host.eq_ignore_ascii_case(&self.people.model.main.domain) => Some(user),
            Some(_) => None,
            None => Some(address),
        };
        if let Some(other) = user.and_then(|user| self.people.person(&self.stack.random, user.as_bytes())) {
            let name = self.people.model.people.get(other).map_or("", |other| &other.id);
            let _ = write!(out, "{name} is of the home: it goes to the devices of {name}.");
            return true;
        }
        let reach = match (commands::network_address(whom), user) {
            (Some((network, name)), _) => canonical(network, name).map(|address| {
                let buddy = self.people.buddy_at(person, network, &address);
                buddy.map_or(Reach::Address(network, address), Reach::Buddy)
            }),
            (None, Some(user)) => self.people.buddy(person, user.as_bytes()).map(Reach::Buddy),
            (None, None) => match self.people.buddy_at(person, Network::Sip, address) {
                Some(buddy) => Some(Reach::Buddy(buddy)),
                None => self.people.reach_text(person, address),
            },
        };
        let Some(reach) = reach else {
            return match user {
                None if !address.is_empty() && commands::network_address(whom).is_none() => {
                    let _ = write!(out, "It goes to sip:{address}: nobody on your list has that address.");
                    true
                }
                _ => say_refused(&Refused::NoBuddy, out),
            };
        };
        let ways = self.with_facts(person, 0, |facts| self.people.ways_to(person, &reach, facts));
        let accounts = &self.people.model.accounts;
        let _ = route::explain(&ways, out, |index, f| {
            let Some(way) = ways.get(index) else { return Ok(()) };
            let address = match &reach {
                Reach::Buddy(buddy) => self.people.way_address(*buddy, way).unwrap_or_default(),
                Reach::Address(_, address) => address,
            };
            write!(f, "{}:{address}", way.network.name())?;
            match way.kind {
                WayKind::Sip { .. } => Ok(()),
                WayKind::Account(account) => {
                    write!(f, " by {}", accounts.get(usize::from(account)).map_or("", |account| &account.id))
                }
            }
        });
        true
    }
}

impl People {
    /// How somebody is shown at an address on another network, as a word; of several accounts where he is most available.
    fn shown_at(&self, person: usize, network: Network, address: &str) -> &'static str {
        let accounts = self.model.accounts.iter().enumerate();
        let mut hers = accounts.filter(|(_, it)| usize::from(it.person) == person && it.network == network).peekable();
        if hers.peek().is_none() {
            return "no account there";
        }
        let shows = hers.filter_map(|(account, _)| {
            Some(self.contacts.shown(self.contacts.find(account, address)?).map_or(Show::Offline, |it| it.show))
        });
        match shows.max().unwrap_or_default() {
            Show::Offline => "offline",
            Show::ExtendedAway | Show::Away => "away",
            Show::Busy => "busy",
            Show::Available => "available",
        }
    }
}

/// The networks where a buddy is there, in brackets.
pub(super) fn write_networks(networks: impl Iterator<Item = Network>, out: &mut Writer<'_>) {
    let mut separator = " [";
    for network in networks {
        out.text(core::mem::replace(&mut separator, ", "));
        out.text(network.name());
    }
    if separator == ", " {
        out.text("]");
    }
}

/// The address that she wrote; says why when it is none.
fn read_address(text: &str, out: &mut Writer<'_>) -> Option<BuddyAddress> {
    match config::buddy_address(text) {
        Ok(address) => Some(address),
        Err(problem) => {
            let _ = write!(out, "{problem}.");
            None
        }
    }
}

fn say_refused(refused: &Refused, out: &mut Writer<'_>) -> bool {
    let _ = write!(out, "{refused}.");
    false
}
