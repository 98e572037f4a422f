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
    /// Nobody who can be watched.
    Nobody,
}

impl List {
    /// A list of the URIs in `text`, one a line; `who` says who each is. More than fit are left out, and counted.
    pub fn new(
        store: &Store,
        text: Bytes,
        (person, is_named): (u16, bool),
        mut who: impl FnMut(&[u8]) -> Who,
    ) -> (Self, usize) {
        let mut entries = Vec::new();
        let mut left_out = 0;
        let mut start = 0;
        for line in store.get(&text).split_inclusive(|byte| *byte == b'\n') {
            let uri = line.strip_suffix(b"\n").unwrap_or(line);
            let span = (start as u16, (start + uri.len()) as u16);
            start += line.len();
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
        let span = self.entries.get(index).map_or(0..0, |entry| Range::from(entry.uri.0.into()..entry.uri.1.into()));
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
