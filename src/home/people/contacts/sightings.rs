//! Where contacts are seen: what networks tell of them, and how long what is over is still shown.

use super::{
    Contact, ContactHandle, Contacts, DAMP_MS, LINK_GRACE_MS, Leaving, PLACES, RETURN_MS, Seen, Sighting, buddy_with,
    cut, owner_of,
};
use crate::base::limits::CONTACTS;
use crate::base::time::{Instant, earliest};
use crate::bridge::Show;
use crate::config::model::Model;

impl Contacts {
    /// Somebody is seen at a place, or not there any more. Nobody who is neither known nor configured gets a contact by
    /// that.
    pub fn presence(
        &mut self,
        now: Instant,
        model: &Model,
        account: usize,
        who: &str,
        seen: &Seen<'_>,
    ) -> Option<ContactHandle> {
        let handle = match self.find(account, who) {
            Some(handle) => handle,
            None => {
                let (person, network) = owner_of(model, account)?;
                // One of a configured buddy has no alias of its own.
                if seen.show == Show::Offline || buddy_with(model, person, network, who).is_none() {
                    return None;
                }
                self.insert(now, model, account, who, false).ok()?
            }
        };
        match seen.show {
            Show::Offline => self.left(now, handle, seen.place),
            _ => self.seen(now, handle, seen),
        }
        self.changed.mark(handle.index());
        Some(handle)
    }

    /// The connection of an account was cut: its contacts are shown as they were for a while.
    pub fn offline(&mut self, now: Instant, account: usize) {
        self.end_telling(account);
        let until = now.plus(LINK_GRACE_MS);
        self.each_sighting(account, |sighting| {
            if sighting.leaving == Leaving::No {
                sighting.leaving = Leaving::Cut(until);
            }
        });
        self.leaves_at = earliest(self.leaves_at, Some(until));
        for slot in 0..CONTACTS {
            if let Some(contact) = self.at_mut(slot).filter(|it| usize::from(it.account) == account) {
                contact.is_typing = false;
            }
        }
    }

    /// The account is on again. When it was not resumed, who is not seen again soon is gone.
    pub fn online(&mut self, now: Instant, account: usize, is_resumed: bool) {
        let until = now.plus(RETURN_MS);
        self.each_sighting(account, |sighting| match sighting.leaving {
            Leaving::Cut(_) if is_resumed => sighting.leaving = Leaving::No,
            Leaving::Cut(_) => sighting.leaving = Leaving::Cut(until),
            _ => {}
        });
        self.leaves_at = earliest(self.leaves_at, Some(until));
    }

    /// The account is not to be on any more: nobody is shown there.
    pub fn forget_presence(&mut self, account: usize) {
        self.end_telling(account);
        for slot in 0..CONTACTS {
            let Some(handle) = self.table.handle_at(slot) else { continue };
            let is_its = |it: &Contact| usize::from(it.account) == account && it.sightings != 0;
            if self.table.get(handle).is_some_and(is_its) {
                self.drop_sightings(handle, |_| true);
                self.changed.mark(slot);
            }
        }
    }

    /// When [`Contacts::due`] has something to do, or earlier.
    pub fn deadline(&self) -> Option<Instant> {
        self.leaves_at
    }

    /// Has who left long enough ago shown so.
    pub fn due(&mut self, now: Instant) {
        if self.leaves_at.is_none_or(|at| at > now) {
            return;
        }
        let is_over = |sighting: &Sighting| sighting.leaves_at().is_some_and(|at| at <= now);
        for slot in 0..CONTACTS {
            let Some(handle) = self.table.handle_at(slot) else { continue };
            if self.sightings(handle).any(is_over) {
                self.drop_sightings(handle, is_over);
                self.changed.mark(slot);
            }
        }
        let rest = self.sightings.iter().filter_map(|(_, sighting)| sighting.leaves_at());
        self.leaves_at = rest.min();
    }

    /// What is shown of a contact: his best sighting, which may be gone a moment ago. `None`: he is offline.
    pub fn shown(&self, handle: ContactHandle) -> Option<&Sighting> {
        self.sightings(handle).max_by_key(|sighting| sighting.rank())
    }

    /// How a contact is now, as far as the network has said.
    pub fn show(&self, handle: ContactHandle) -> Show {
        let current = self.sightings(handle).filter(|sighting| sighting.is_current());
        current.map(|sighting| sighting.show).max().unwrap_or_default()
    }

    /// The places where a contact is shown, in no order.
    pub fn sightings(&self, handle: ContactHandle) -> impl Iterator<Item = &Sighting> {
        let mut next = self.table.get(handle).map_or(0, |contact| contact.sightings);
        core::iter::from_fn(move || {
            let slot = usize::from(next).checked_sub(1)?;
            let sighting = self.sightings.get(self.sightings.handle_at(slot)?)?;
            next = sighting.next;
            Some(sighting)
        })
    }

    fn seen(&mut self, now: Instant, handle: ContactHandle, seen: &Seen<'_>) {
        // What is said now replaces what was only shown still, but for the place itself.
        self.drop_sightings(handle, |sighting| !sighting.is_current() && sighting.place != seen.place);
        let known = self.slots(handle).find(|slot| self.sighting(*slot).is_some_and(|it| it.place == seen.place));
        let sighting = Sighting {
            place: seen.place,
            show: seen.show,
            priority: seen.priority,
            text: cut(seen.text),
            at: now,
            leaving: Leaving::No,
            next: 0,
        };
        if let Some(known) = known.and_then(|slot| self.sighting_mut(slot)) {
            let next = known.next;
            *known = Sighting { next, ..sighting };
            return;
        }
        if self.sightings(handle).count() >= PLACES && !self.drop_worst(handle, Some(sighting.rank())) {
            return self.note_forgotten();
        }
        if self.sightings.is_full() {
            self.note_forgotten();
            let most = |(handle, _): &(ContactHandle, &Contact)| self.sightings(*handle).count();
            let crowded = self.table.iter().max_by_key(most).map(|(handle, _)| handle);
            let Some(crowded) = crowded.filter(|it| self.sightings(*it).count() > 1) else { return };
            self.drop_worst(crowded, None);
        }
        let next = self.table.get(handle).map_or(0, |contact| contact.sightings);
        if let Ok(new) = self.sightings.insert(Sighting { next, ..sighting })
            && let Some(contact) = self.table.get_mut(handle)
        {
            contact.sightings = new.index() as u16 + 1;
        }
    }

    /// Somebody has left a place, or all (0). His last sighting is still shown for a moment.
    fn left(&mut self, now: Instant, handle: ContactHandle, place: u32) {
        let is_it = |sighting: &Sighting| {
            (place == 0 || sighting.place == place) && !matches!(sighting.leaving, Leaving::Gone(_))
        };
        let is_elsewhere = self.sightings(handle).any(|sighting| sighting.is_current() && !is_it(sighting));
        if is_elsewhere {
            return self.drop_sightings(handle, is_it);
        }
        let of_it = self.slots(handle).filter(|slot| self.sighting(*slot).is_some_and(is_it));
        let last = of_it.max_by_key(|slot| self.sighting(*slot).map(Sighting::rank));
        let Some(last) = last else { return };
        let until = now.plus(DAMP_MS);
        if let Some(sighting) = self.sighting_mut(last) {
            sighting.leaving = Leaving::Gone(until);
        }
        self.leaves_at = earliest(self.leaves_at, Some(until));
        // `is_it` is not about the one that has been marked any more.
        self.drop_sightings(handle, is_it);
    }

    fn note_forgotten(&mut self) {
        self.forgotten = self.forgotten.saturating_add(1);
        if self.forgotten.is_power_of_two() {
            log::warn!("places of contacts are forgotten: there is no room for more ({} so far)", self.forgotten);
        }
    }

    /// Forgets a contact's worst sighting, if it is worse than `than`.
    fn drop_worst(&mut self, handle: ContactHandle, than: Option<(Show, i8, Instant)>) -> bool {
        let worst = self.sightings(handle).min_by_key(|sighting| sighting.rank());
        let Some((rank, place)) = worst.map(|worst| (worst.rank(), worst.place)) else { return false };
        if than.is_some_and(|than| than <= rank) {
            return false;
        }
        self.drop_sightings(handle, |sighting| sighting.place == place);
        true
    }

    /// Forgets some of a contact's sightings.
    pub(super) fn drop_sightings(&mut self, handle: ContactHandle, is_it: impl Fn(&Sighting) -> bool) {
        let Some(contact) = self.table.get_mut(handle) else { return };
        let mut rest = core::mem::take(&mut contact.sightings);
        let mut kept = 0;
        while let Some(slot) = usize::from(rest).checked_sub(1)
            && let Some(at) = self.sightings.handle_at(slot)
            && let Some(sighting) = self.sightings.get_mut(at)
        {
            let next = sighting.next;
            if is_it(sighting) {
                self.sightings.remove(at);
            } else {
                sighting.next = core::mem::replace(&mut kept, rest);
            }
            rest = next;
        }
        if let Some(contact) = self.table.get_mut(handle) {
            contact.sightings = kept;
        }
    }

    fn each_sighting(&mut self, account: usize, mut change: impl FnMut(&mut Sighting)) {
        for slot in 0..CONTACTS {
            let Some(contact) = self.at(slot).filter(|it| usize::from(it.account) == account) else { continue };
            let mut next = contact.sightings;
            while let Some(sighting) = usize::from(next).checked_sub(1).and_then(|slot| self.sighting_mut(slot)) {
                change(sighting);
                next = sighting.next;
            }
        }
    }

    /// The slots of a contact's sightings.
    fn slots(&self, handle: ContactHandle) -> impl Iterator<Item = usize> {
        let mut next = self.table.get(handle).map_or(0, |contact| contact.sightings);
        core::iter::from_fn(move || {
            let slot = usize::from(next).checked_sub(1)?;
            next = self.sighting(slot)?.next;
            Some(slot)
        })
    }

    fn sighting(&self, slot: usize) -> Option<&Sighting> {
        self.sightings.get(self.sightings.handle_at(slot)?)
    }

    fn sighting_mut(&mut self, slot: usize) -> Option<&mut Sighting> {
        self.sightings.get_mut(self.sightings.handle_at(slot)?)
    }
}
