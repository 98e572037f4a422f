//! How a list comes to its entries: whom each URI means for the person who watches it. A named list is read from the
//! configuration and from the lists of networks, a given one from what its request brought; both are put together anew when the configuration changes.

use super::list::{self, List, ListHandle};
use super::watched::{Role, WatchedHandle};
use super::{Place, Presence, buddy_uri, who_of};
use crate::base::limits::{BUDDIES, LIST_ENTRIES};
use crate::base::store::Bytes;
use crate::base::text::Writer;
use crate::home::proxy::Around;
use crate::wire::sip::Uri;

impl Presence {
    /// The list of everybody whom a person may watch: the people of the home, and her buddies.
    pub(super) fn named_list(&mut self, around: &mut Around<'_>, watcher: Option<usize>) -> Option<ListHandle> {
        let text = names_of(around, watcher?)?;
        self.make_list(around, watcher?, true, text)
    }

    pub(super) fn given_list(
        &mut self,
        around: &mut Around<'_>,
        watcher: Option<usize>,
        text: Bytes,
    ) -> Option<ListHandle> {
        match watcher {
            Some(watcher) => self.make_list(around, watcher, false, text),
            None => {
                around.stack.store.release(text);
                None
            }
        }
    }

    fn make_list(&mut self, around: &mut Around<'_>, person: usize, is_named: bool, text: Bytes) -> Option<ListHandle> {
        if self.lists.is_full() {
            around.stack.store.release(text);
            return None;
        }
        let list = self.list_of(around, person, is_named, text);
        match self.lists.insert(list) {
            Ok(handle) => Some(handle),
            Err(list) => {
                list.release(&mut around.stack.store);
                None
            }
        }
    }

    fn list_of(&mut self, around: &mut Around<'_>, person: usize, is_named: bool, text: Bytes) -> List {
        // The entries are read from a copy: whom they are is looked up with the store at hand.
        let shared = around.stack.store.share(&text);
        let (mut list, left_out) =
            List::new(&around.stack.store, shared, (person as u16, is_named), |_| list::Who::Nobody);
        around.stack.store.release(text);
        if left_out > 0 {
            log::warn!("{left_out} entries of a list are left out: it is too long");
        }
        for index in 0..list.entries.len() {
            let mut uri = [0; list::URI_BYTES];
            let kept = list.uri(&around.stack.store, index);
            let Some(room) = uri.get_mut(..kept.len()) else { continue };
            room.copy_from_slice(kept);
            let who = self.who_is(around, person, room);
            if let Some(entry) = list.entries.get_mut(index) {
                entry.who = who;
            }
        }
        list
    }

    /// Whom a URI on somebody's list means.
    fn who_is(&mut self, around: &mut Around<'_>, watcher: usize, uri: &[u8]) -> list::Who {
        let Ok(Uri::Sip(parsed)) = Uri::parse(uri) else { return list::Who::Nobody };
        let target = match who_of(around, watcher, &parsed) {
            Place::Person(person) => return list::Who::Person(person as u16),
            Place::Buddy(buddy) => {
                let uri = buddy_uri(around, buddy);
                let watched = uri.and_then(|uri| self.want_elsewhere(around, watcher, &uri));
                return list::Who::Buddy(buddy as u16, watched);
            }
            Place::Elsewhere => core::str::from_utf8(uri).ok(),
            Place::Nobody => None,
        };
        let watched = target.and_then(|uri| self.want_elsewhere(around, watcher, uri));
        watched.map_or(list::Who::Nobody, list::Who::Watched)
    }

    /// Has somebody elsewhere watched.
    fn want_elsewhere(&mut self, around: &mut Around<'_>, watcher: usize, uri: &str) -> Option<WatchedHandle> {
        let watched = self.watched.want(around.stack, watcher, Role::Elsewhere, uri.as_bytes());
        if watched.is_none() {
            log::warn!("{uri} is shown as not known: too many are watched");
        }
        watched
    }

    /// Puts a list together anew: a named one from the configuration, a given one from what the request brought.
    pub(super) fn renew_list(&mut self, around: &mut Around<'_>, handle: ListHandle, watcher: Option<u16>) {
        let Some(watcher) = watcher.map(usize::from) else { return };
        let Some(list) = self.lists.get(handle) else { return };
        let is_named = list.is_named;
        let text = match is_named {
            true => names_of(around, watcher),
            false => {
                let shared = list.share_text(&mut around.stack.store);
                Some(shared)
            }
        };
        let Some(text) = text else { return };
        let renewed = self.list_of(around, watcher, is_named, text);
        if let Some(list) = self.lists.get_mut(handle) {
            let old = core::mem::replace(list, renewed);
            old.release(&mut around.stack.store);
        }
    }
}

/// The URIs of a person's list, one a line.
fn names_of(around: &mut Around<'_>, watcher: usize) -> Option<Bytes> {
    let people = around.people;
    let model = &people.model;
    let domain = model.main.domain.as_str();
    around.stack.compose(|_, out| {
        let put = |user: &str, out: &mut Writer<'_>| {
            out.text("sip:");
            out.text(user);
            out.text("@");
            out.text(domain);
            out.text("\n");
        };
        let mut count = 0;
        for (_, person) in model.people.iter().enumerate().filter(|(index, _)| *index != watcher) {
            put(&person.id, out);
            count += 1;
        }
        let mut left_out = 0;
        for buddy in people.buddies_of(watcher) {
            // There may be more contacts than any text has room for.
            if buddy >= BUDDIES && count >= LIST_ENTRIES {
                left_out += 1;
                continue;
            }
            if let Some(uri) = people.buddy_uri_here(buddy) {
                out.text(&uri);
                out.text("\n");
            }
            count += 1;
        }
        if left_out > 0 {
            log::info!("{left_out} contacts of a person are not on her list: it is too long");
        }
    })
}
