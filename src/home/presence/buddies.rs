//! The presence of buddies: one for each, put together of SIP and of the networks where he is a contact, and who is told
//! when it changes.

use super::list;
use super::watch::Subject;
use super::watched::Role;
use super::{Presence, buddy_uri};
use crate::base::limits::{BUDDIES, WATCHES};
use crate::base::time::Instant;
use crate::home::people::People;
use crate::home::people::compose::Composed;
use crate::home::people::contacts::News;
use crate::home::proxy::Around;
use crate::sip::stack::Stack;
use crate::wire::pidf::Status;

impl Presence {
    /// How a buddy is, as a person sees him. Says nothing when nothing is known.
    pub fn buddy_status(&self, around: &Around<'_>, person: usize, buddy: usize) -> Composed {
        around.people.presence_of(person, buddy, self.buddy_on_sip(around, person, buddy))
    }

    /// What a buddy has told a person by SIP.
    pub fn buddy_on_sip(&self, around: &Around<'_>, person: usize, buddy: usize) -> Option<&Status> {
        let uri = buddy_uri(around, buddy)?;
        let mut watched = self.watched.iter();
        watched.find(|(_, it)| usize::from(it.person) == person && it.uri == uri).and_then(|(_, it)| it.status.as_ref())
    }

    /// Something of contacts has changed: those are told who see a difference.
    pub fn contacts_changed(&mut self, now: Instant, around: &mut Around<'_>, news: News) {
        match news {
            News::Gone(buddy) => self.buddy_gone(now, around.stack, buddy),
            News::Changed { person, buddy } => self.buddy_changed(now, around.stack, person, buddy),
            News::List(person) => self.renew_lists(now, around, person),
        }
    }

    /// A buddy may look different to a person.
    pub fn buddy_changed(&mut self, now: Instant, stack: &mut Stack, person: usize, buddy: usize) {
        let Self { watches, lists, .. } = self;
        for index in 0..WATCHES {
            let Some(handle) = watches.handle_at(index) else { continue };
            let is_about = watches.get(handle).is_some_and(|watch| match watch.subject {
                Subject::Buddy(it) => usize::from(it) == buddy && watch.watcher.map(usize::from) == Some(person),
                Subject::List(list) => {
                    lists.get_mut(list).filter(|list| usize::from(list.person) == person).is_some_and(|list| {
                        list.touch(|who| matches!(who, list::Who::Buddy(it, _) if usize::from(it) == buddy))
                    })
                }
                Subject::Person(_) | Subject::Home => false,
            });
            if is_about {
                watches.touch(now, stack, handle);
            }
        }
    }

    /// A buddy number means nobody any more: who watches it is told so.
    pub fn buddy_gone(&mut self, now: Instant, stack: &mut Stack, buddy: usize) {
        for index in 0..WATCHES {
            let Some(handle) = self.watches.handle_at(index) else { continue };
            let is_about = |subject| matches!(subject, Subject::Buddy(it) if usize::from(it) == buddy);
            if self.watches.get(handle).is_some_and(|watch| is_about(watch.subject)) {
                self.end(now, stack, handle, "noresource");
            }
        }
    }

    /// A buddy has other addresses: who watches him watches him there.
    pub fn buddy_moved(&mut self, now: Instant, around: &mut Around<'_>, buddy: usize) {
        let uri = buddy_uri(around, buddy);
        for index in 0..WATCHES {
            let Some(handle) = self.watches.handle_at(index) else { continue };
            let Some(watch) = self.watches.get(handle).filter(|watch| !watch.is_ending()) else { continue };
            if !matches!(watch.subject, Subject::Buddy(it) if usize::from(it) == buddy) {
                continue;
            }
            if let (Some(watcher), Some(uri)) = (watch.watcher, &uri) {
                self.watched.want(around.stack, usize::from(watcher), Role::Elsewhere, uri.as_bytes());
            }
            self.watches.touch(now, around.stack, handle);
        }
    }

    /// A person's list has other entries: it is put together and told anew.
    pub fn renew_lists(&mut self, now: Instant, around: &mut Around<'_>, person: usize) {
        for index in 0..WATCHES {
            let Some(handle) = self.watches.handle_at(index) else { continue };
            let Some(watch) = self.watches.get(handle).filter(|watch| !watch.is_ending()) else { continue };
            let Subject::List(list) = watch.subject else { continue };
            let watcher = watch.watcher;
            if watcher.map(usize::from) == Some(person) {
                self.renew_list(around, list, watcher);
                self.watches.touch(now, around.stack, handle);
            }
        }
        self.drop_unwatched(now, around.stack);
    }
}

/// What a buddy number from before a configuration changed is now: `configured` says it of configured ones. Contacts have
/// moved already.
pub(super) fn moved(people: &People, buddy: usize, configured: impl Fn(usize) -> Option<usize>) -> Option<usize> {
    match buddy.checked_sub(BUDDIES) {
        None => configured(buddy),
        Some(slot) => people.contacts.at(slot).map(|contact| contact.buddy.map_or(buddy, usize::from)),
    }
}

#[cfg(test)]
mod tests;
