//! What people have answered about who may see them: allowed or denied, for good, kept in the journal.
//!
//! An answer is about an asker as he asked: a person of the home or another home that has proven its domain is known by
//! the name alone; who only claims a name is known by the name *and* the address he asked from, so that nobody profits by
//! writing somebody else's name. An answer given by hand before anybody asked is about the name, and lets in only who has
//! proven it. Leaves out: answers that end by themselves.

use core::net::IpAddr;

use heapless::String;
use serde::{Deserialize, Serialize};

use crate::base::changed::Changed;
use crate::base::limits::VERDICTS;
use crate::base::table::Table;
use crate::home::policy::{Assurance, ByHand};

/// Bytes of an address that an answer can be about. Who has a longer one can't be allowed.
pub const ADDRESS_BYTES: usize = 96;

/// The address of somebody who asks: `USER@HOST`.
pub type Address = String<ADDRESS_BYTES>;

/// One answer.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Verdict {
    /// Whose answer it is, as a seal.
    pub person: u32,
    /// Whom it is about.
    pub address: Address,
    /// Where he asked from, when he only claims that address.
    pub from: Option<IpAddr>,
    /// The answer.
    pub is_allowed: bool,
}

/// All answers.
pub struct Verdicts {
    table: Table<Verdict, VERDICTS>,
    /// The slots whose record in the journal is not what they hold.
    pub changed: Changed<VERDICTS>,
}

/// Somebody who asks, as answers know him.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Known<'a> {
    /// His address.
    pub address: &'a [u8],
    /// How sure that is.
    pub assurance: Assurance,
    /// Where he asks from.
    pub from: IpAddr,
}

impl Verdicts {
    /// None.
    pub const fn new() -> Self {
        Self { table: Table::new(), changed: Changed::new() }
    }

    /// What a person, named by a seal, has answered about somebody. A denial of a name is about everybody who bears it.
    pub fn about(&self, person: u32, known: &Known<'_>) -> Option<ByHand> {
        let named = || self.of(person).filter(|verdict| is_same(verdict.address.as_bytes(), known.address));
        let is_claimed = known.assurance == Assurance::Claimed;
        let denied = named().find(|verdict| verdict.from.is_none() && !verdict.is_allowed);
        let exact = || named().find(|verdict| is_claimed && verdict.from == Some(known.from.to_canonical()));
        let by_name = || named().find(|verdict| verdict.from.is_none() && !is_claimed);
        let verdict = denied.or_else(exact).or_else(by_name)?;
        Some(if verdict.is_allowed { ByHand::Allowed } else { ByHand::Denied })
    }

    /// What she has answered about somebody, wherever he asks from.
    pub fn by_name(&self, person: u32, address: &[u8], assurance: Assurance) -> Option<ByHand> {
        let mut named = self.of(person).filter(|verdict| is_same(verdict.address.as_bytes(), address));
        let is_claimed = assurance == Assurance::Claimed;
        let counts = |verdict: &&Verdict| verdict.from.is_some() == is_claimed || !verdict.is_allowed;
        named.find(counts).map(|it| if it.is_allowed { ByHand::Allowed } else { ByHand::Denied })
    }

    /// Takes an answer, in place of an earlier one about the same. An answer without `from` replaces all about that name.
    /// `Err` when there is no room.
    pub fn put(&mut self, verdict: Verdict) -> Result<(), NoRoom> {
        let same = |known: &Verdict| {
            known.person == verdict.person
                && is_same(known.address.as_bytes(), verdict.address.as_bytes())
                // What is denied to a name is denied to all who bear it, until somebody who does is allowed.
                && (verdict.from.is_none() || known.from == verdict.from || known.from.is_none() && !known.is_allowed)
        };
        self.remove_all(same);
        let handle = self.table.insert(verdict).map_err(|_| NoRoom)?;
        self.changed.mark(handle.index());
        Ok(())
    }

    /// Takes an answer back from the journal, to the slot it was in.
    pub fn restore(&mut self, slot: usize, verdict: Verdict) {
        if self.of(verdict.person).any(|known| known.address == verdict.address && known.from == verdict.from) {
            return;
        }
        if let Ok(handle) = self.table.insert_near(Some(slot), verdict) {
            self.changed.mark(handle.index());
        }
    }

    /// Has the journal told of every answer.
    pub fn mark_live(&mut self) {
        self.table.iter().for_each(|(handle, _)| self.changed.mark(handle.index()));
    }

    /// Forgets the answers of people who are gone.
    pub fn retain(&mut self, is_known: impl Fn(u32) -> bool) {
        self.remove_all(|verdict| !is_known(verdict.person));
    }

    fn remove_all(&mut self, is_it: impl Fn(&Verdict) -> bool) {
        for index in 0..VERDICTS {
            if let Some(handle) = self.table.handle_at(index)
                && self.table.get(handle).is_some_and(&is_it)
            {
                self.table.remove(handle);
                self.changed.mark(index);
            }
        }
    }

    /// The answers of a person.
    pub fn of(&self, person: u32) -> impl Iterator<Item = &Verdict> {
        self.table.iter().map(|(_, verdict)| verdict).filter(move |verdict| verdict.person == person)
    }

    /// What a slot holds.
    pub fn at(&self, index: usize) -> Option<&Verdict> {
        self.table.get(self.table.handle_at(index)?)
    }

    /// How many there are.
    pub const fn len(&self) -> usize {
        self.table.len()
    }

    /// Whether there is none.
    pub const fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    /// Whether there is no room for another.
    pub const fn is_full(&self) -> bool {
        self.table.is_full()
    }

    /// Name, capacity and bytes.
    pub fn footprint() -> (&'static str, usize, usize) {
        ("answers about watchers", VERDICTS, size_of::<Self>())
    }
}

impl Default for Verdicts {
    fn default() -> Self {
        Self::new()
    }
}

/// There is no room for another answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NoRoom;

/// Whether two addresses mean the same: the case of the host does not count.
pub fn is_same(one: &[u8], other: &[u8]) -> bool {
    let ((user, host), (other_user, other_host)) = (halves(one), halves(other));
    user == other_user && host.eq_ignore_ascii_case(other_host)
}

fn halves(address: &[u8]) -> (&[u8], &[u8]) {
    match address.iter().rposition(|byte| *byte == b'@') {
        Some(at) => (&address[..at], &address[at + 1..]),
        None => (b"", address),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(address: &str, from: Option<&str>, is_allowed: bool) -> Verdict {
        let from = from.map(|ip| ip.parse().unwrap());
        Verdict { person: 1, address: Address::try_from(address).unwrap(), from, is_allowed }
    }

    fn known<'a>(address: &'a str, assurance: Assurance, from: &str) -> Known<'a> {
        Known { address: address.as_bytes(), assurance, from: from.parse().unwrap() }
    }

    #[test]
    fn a_claimed_name_counts_with_its_source() {
        let mut verdicts = Verdicts::new();
        verdicts.put(verdict("bob@x.test", Some("192.0.2.1"), true)).unwrap();
        let about = |address, assurance, from| verdicts.about(1, &known(address, assurance, from));
        assert_eq!(about("bob@X.test", Assurance::Claimed, "192.0.2.1"), Some(ByHand::Allowed));
        assert_eq!(about("bob@x.test", Assurance::Claimed, "192.0.2.2"), None);
        assert_eq!(about("Bob@x.test", Assurance::Claimed, "192.0.2.1"), None);
        assert_eq!(about("bob@x.test", Assurance::Peer, "192.0.2.1"), None, "he was asked as somebody else");
        assert_eq!(verdicts.about(2, &known("bob@x.test", Assurance::Claimed, "192.0.2.1")), None);
    }

    #[test]
    fn a_name_alone() {
        let mut verdicts = Verdicts::new();
        verdicts.put(verdict("bob@x.test", None, true)).unwrap();
        assert_eq!(verdicts.about(1, &known("bob@x.test", Assurance::Claimed, "192.0.2.1")), None);
        assert_eq!(verdicts.about(1, &known("bob@x.test", Assurance::Peer, "192.0.2.1")), Some(ByHand::Allowed));
        verdicts.put(verdict("bob@x.test", Some("192.0.2.1"), true)).unwrap();
        verdicts.put(verdict("bob@x.test", None, false)).unwrap();
        for assurance in [Assurance::Claimed, Assurance::Peer, Assurance::Digest] {
            assert_eq!(verdicts.about(1, &known("bob@x.test", assurance, "192.0.2.1")), Some(ByHand::Denied));
        }
        assert_eq!(verdicts.of(1).count(), 1);
    }

    #[test]
    fn by_name_for_who_runs_the_home() {
        let mut verdicts = Verdicts::new();
        assert_eq!(verdicts.by_name(1, b"bob@x.test", Assurance::Peer), None);
        verdicts.put(verdict("bob@x.test", Some("192.0.2.1"), true)).unwrap();
        assert_eq!(verdicts.by_name(1, b"bob@X.TEST", Assurance::Claimed), Some(ByHand::Allowed));
        assert_eq!(verdicts.by_name(1, b"bob@x.test", Assurance::Peer), None, "allowed as who only says so");
        assert_eq!(verdicts.by_name(1, b"carl@x.test", Assurance::Claimed), None);
        assert_eq!(verdicts.by_name(2, b"bob@x.test", Assurance::Claimed), None, "another's answer");
        verdicts.put(verdict("carl@x.test", None, true)).unwrap();
        assert_eq!(verdicts.by_name(1, b"carl@x.test", Assurance::Claimed), None, "he has not proven it");
        assert_eq!(verdicts.by_name(1, b"carl@x.test", Assurance::Peer), Some(ByHand::Allowed));
        verdicts.put(verdict("bob@x.test", None, false)).unwrap();
        for assurance in [Assurance::Claimed, Assurance::Peer] {
            assert_eq!(verdicts.by_name(1, b"bob@x.test", assurance), Some(ByHand::Denied));
        }
    }

    #[test]
    fn full_says_so() {
        let mut verdicts = Verdicts::new();
        for number in 0..VERDICTS {
            verdicts.put(verdict(&std::format!("u{number}@x"), None, true)).unwrap();
        }
        assert_eq!(verdicts.put(verdict("one@more", None, true)), Err(NoRoom));
        assert_eq!(verdicts.put(verdict("u0@x", None, false)), Ok(()), "an answer can be changed");
    }
}
