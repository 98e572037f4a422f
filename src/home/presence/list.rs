//! Resource lists that are watched as one (RFC 4662): by name, or given in the request (RFC 5367).

use core::ops::Range;

use heapless::Vec;

use crate::base::limits::{LIST_ENTRIES, LISTS};
use crate::base::store::{Bytes, Store};
use crate::base::table::{Handle, Table};
use crate::base::text::Writer;
use crate::home::presence::watched::WatchedHandle;

/// A list's handle.
pub type ListHandle = Handle<List>;

/// A list that somebody watches.
#[derive(Debug)]
pub struct List {
    /// The person of the home who watches it.
    pub person: u16,
    /// Whether it is the one that has a name: all buddies.
    pub is_named: bool,
    /// Its entries.
    pub entries: Vec<Entry, LIST_ENTRIES>,
    /// The entries that something is to be told of, a bit each.
    pub dirty: u64,
    /// Whether the whole list is to be told.
    pub is_full_due: bool,
    /// The URIs of the entries, one line each.
    text: Bytes,
}

/// One entry.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Who it is.
    pub who: Who,
    /// A hash of what was last told of it; 0 for nothing.
    pub told: u64,
    /// Where its URI is in the list's text.
    uri: (u16, u16),
}

/// Who an entry is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Who {
    /// A person of the home, as an index in the model.
    Person(u16),
    /// Somebody whom the home watches itself.
    Watched(WatchedHandle),
    /// A buddy, by his number, and the subscription to his address on SIP.
    Buddy(u16, Option<WatchedHandle>),
    /// Nobody who can be watched.
    Nobody,
}

impl Who {
    /// The subscription of the home's that it is known by.
    pub fn watched(self) -> Option<WatchedHandle> {
        match self {
            Self::Watched(handle) => Some(handle),
            Self::Buddy(_, handle) => handle,
            Self::Person(_) | Self::Nobody => None,
        }
    }
}

impl Entry {
    fn span(&self) -> Range<usize> {
        usize::from(self.uri.0)..usize::from(self.uri.1)
    }
}

impl List {
    /// A list of the URIs in `text`, one a line; `who` says who each is. More than fit are left out, and counted.
    pub fn new(
        store: &Store,
        text: Bytes,
        (person, is_named): (u16, bool),
        mut who: impl FnMut(&[u8]) -> Who,
    ) -> (Self, usize) {
        let mut entries: Vec<Entry, LIST_ENTRIES> = Vec::new();
        let mut left_out = 0;
        let mut start = 0;
        for line in store.get(&text).split_inclusive(|byte| *byte == b'\n') {
            let uri = line.strip_suffix(b"\n").unwrap_or(line);
            let span = (start as u16, (start + uri.len()) as u16);
            start += line.len();
            // Whom two lines name is on the list once (RFC 5363 §4).
            let is_known = |entry: &Entry| store.get(&text).get(entry.span()) == Some(uri);
            if entries.iter().any(is_known) {
                continue;
            }
            if entries.is_full() {
                left_out += 1;
                continue;
            }
            let _ = entries.push(Entry { who: who(uri), told: 0, uri: span });
        }
        let dirty = all_of(entries.len());
        (Self { person, is_named, entries, dirty, is_full_due: true, text }, left_out)
    }

    /// The URI of an entry.
    pub fn uri<'s>(&self, store: &'s Store, index: usize) -> &'s [u8] {
        let span = self.entries.get(index).map_or(0..0, |entry| entry.span());
        store.get(&self.text).get(span).unwrap_or_default()
    }

    /// All URIs, one a line.
    pub fn lines<'s>(&self, store: &'s Store) -> &'s [u8] {
        store.get(&self.text)
    }

    /// Another share of its text, to make it anew of.
    pub fn share_text(&self, store: &mut Store) -> Bytes {
        store.share(&self.text)
    }

    /// Has the whole list told, entry by entry.
    pub fn tell_all(&mut self) {
        self.is_full_due = true;
        self.dirty = all_of(self.entries.len());
        self.entries.iter_mut().for_each(|entry| entry.told = 0);
    }

    /// Has nothing told any more: who watches it leaves.
    pub fn tell_nothing(&mut self) {
        (self.is_full_due, self.dirty) = (false, 0);
    }

    /// Marks the entries that are somebody. Whether there are any.
    pub fn touch(&mut self, is_it: impl Fn(Who) -> bool) -> bool {
        let before = self.dirty;
        for (index, entry) in self.entries.iter().enumerate() {
            if is_it(entry.who) {
                self.dirty |= 1 << index;
            }
        }
        self.dirty != before
    }

    /// The entries that something is to be told of.
    pub fn waiting(&self) -> impl Iterator<Item = usize> {
        let dirty = self.dirty;
        (0..self.entries.len()).filter(move |index| dirty & 1 << index != 0)
    }

    /// Gives its bytes back.
    pub fn release(self, store: &mut Store) {
        store.release(self.text);
    }
}

/// All lists.
pub type Lists = Table<List, LISTS>;

/// Writes one line of a list's text. Line ends in it would be two entries, and no URI has any.
pub fn write_line(uri: &[u8], out: &mut Writer<'_>) {
    if !uri.is_empty() && uri.len() <= URI_BYTES && uri.iter().all(|byte| byte.is_ascii_graphic()) {
        out.put(uri);
        out.text("\n");
    }
}

/// A longer URI is not watched.
pub const URI_BYTES: usize = 160;

const fn all_of(count: usize) -> u64 {
    if count >= 64 { u64::MAX } else { (1 << count) - 1 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::boxed::Box;
    use std::string::String;
    use std::vec::Vec;

    fn list(store: &mut Store, text: &str) -> (List, usize) {
        let text = store.freeze(text.as_bytes()).unwrap();
        let mut number = 0;
        List::new(store, text, (3, false), |_| {
            number += 1;
            Who::Person(number - 1)
        })
    }

    fn in_use(store: &Store) -> usize {
        store.usage().iter().map(|(_, used, _)| used).sum()
    }

    #[test]
    fn lines_are_entries() {
        let mut store = Box::new(Store::new());
        let (list, left_out) = list(&mut store, "sip:bob@x.test\nsip:carol@x.test\n");
        assert_eq!((list.entries.len(), left_out, list.dirty, list.is_full_due), (2, 0, 0b11, true));
        assert_eq!((list.uri(&store, 0), list.uri(&store, 1)), (&b"sip:bob@x.test"[..], &b"sip:carol@x.test"[..]));
        assert_eq!((list.uri(&store, 2), list.uri(&store, 200)), (&b""[..], &b""[..]));
        let again = list.share_text(&mut store);
        assert_eq!(store.get(&again), list.lines(&store));
        store.release(again);
        list.release(&mut store);
        assert_eq!(in_use(&store), 0);
    }

    #[test]
    fn more_than_fit_are_counted() {
        let mut store = Box::new(Store::new());
        let text: String = (0..LIST_ENTRIES + 3).map(|number| std::format!("sip:{number}@x\n")).collect();
        let (mut list, left_out) = list(&mut store, &text);
        assert_eq!((list.entries.len(), left_out), (LIST_ENTRIES, 3));
        assert_eq!(list.waiting().collect::<Vec<_>>(), (0..LIST_ENTRIES).collect::<Vec<_>>());
        list.tell_nothing();
        assert!(list.touch(|who| who == Who::Person(LIST_ENTRIES as u16 - 1)));
        assert_eq!(list.waiting().collect::<Vec<_>>(), [LIST_ENTRIES - 1]);
        list.release(&mut store);
    }

    #[test]
    fn what_is_to_be_told() {
        let mut store = Box::new(Store::new());
        let (mut list, _) = list(&mut store, "sip:a@x\nsip:b@x\nsip:c@x\n");
        assert!(!list.touch(|who| who == Who::Person(1)), "it is to be told already");
        list.tell_nothing();
        assert!(list.waiting().next().is_none() && !list.is_full_due);
        assert!(!list.touch(|who| who == Who::Person(9)) && list.dirty == 0);
        assert!(list.touch(|who| who == Who::Person(1)) && list.dirty == 0b010);
        list.entries[1].told = 5;
        list.tell_all();
        assert_eq!((list.dirty, list.is_full_due, list.entries[1].told), (0b111, true, 0));
        list.release(&mut store);
        let empty = list_of_nobody(&mut store);
        assert_eq!((empty.dirty, empty.waiting().count()), (0, 0));
        empty.release(&mut store);
    }

    fn list_of_nobody(store: &mut Store) -> List {
        list(store, "").0
    }

    #[test]
    fn lines_that_are_written() {
        let mut room = [0; 400];
        let mut out = Writer::new(&mut room);
        write_line(b"sip:bob@x.test", &mut out);
        for uri in [&b""[..], b"sip:a b@x", b"sip:a\r\n@x", b"sip:\xc3\xa9@x", &[b'a'; URI_BYTES + 1]] {
            write_line(uri, &mut out);
        }
        assert_eq!(out.written(), b"sip:bob@x.test\n");
        write_line(&[b'a'; URI_BYTES], &mut out);
        assert_eq!(out.len(), 15 + URI_BYTES + 1);
    }

    #[test]
    fn bits_of_entries() {
        assert_eq!([0, 1, 48, 63, 64].map(all_of), [0, 1, (1 << 48) - 1, u64::MAX >> 1, u64::MAX]);
    }
}
