//! Texts of people on their way to buddies on other networks: the outbox. Tables only; who drives it is
//! [`crate::server`].
//!
//! A text is here from when it was taken from a device (or the page) until the network has it. It has its bytes in the
//! message store, or as a record in the spool, or both for a while. What nobody takes within [`PATIENCE_MS`] is stored, so
//! that its sender can be told 202; a record is sent when he shows up, on whatever network, and forgotten when it was taken.
//!
//! Texts to one address go one after the other, in the order in which they were written. A text may have reached the network
//! though nothing confirms it: when a connection breaks, and the session can't be taken up again, it goes once more under
//! the same name. Left out: texts of people to SIP addresses elsewhere; those are the proxy's, but for what was kept here.

use heapless::{Deque, String};
use serde::{Deserialize, Serialize};

use crate::base::limits::{OUTGOING, OUTGOING_PER_PERSON};
use crate::base::store::{Bytes, Store};
use crate::base::table::{Handle, Table};
use crate::base::time::Instant;

/// A text's handle.
pub type TextHandle = Handle<Text>;
/// The `USER@HOST` of a buddy as her devices write it, at our domain or a subdomain of it.
pub type To = String<TO_BYTES>;

/// Names of texts at connectors are below this.
pub const IDS: u32 = 1 << 31;
/// Bytes of a [`To`].
pub const TO_BYTES: usize = 144;
/// A text that no network has taken after so long is kept.
pub const PATIENCE_MS: u64 = 8_000;
/// A text that a network could not take just now is tried again after so long.
pub const AGAIN_MS: u64 = 30_000;
/// Texts of which networks may say after they have taken them that they can't be delivered. More: the oldest is forgotten.
const SENT: usize = 16;
/// What was handed to a network, and of which nothing more was heard while its account was on, is sent again after so long.
pub const SILENCE_MS: u64 = 120_000;

/// All texts on their way.
pub struct Outbox {
    texts: Table<Text, OUTGOING>,
    /// Records to be forgotten.
    forgotten: Deque<u64, OUTGOING>,
    /// What networks took last, the oldest first: they may find out later that it can't be delivered.
    sent: heapless::Vec<Sent, SENT>,
    /// Counts up; 0 is never given.
    last: u32,
}

/// A text on its way.
#[derive(Debug)]
pub struct Text {
    /// Its name at connectors, below [`IDS`] and not 0: a part of `record`, so that it is the same after a restart and no
    /// other text ever had it.
    pub id: u32,
    /// Its place among others; grows.
    pub order: u32,
    /// The id of its record.
    pub record: u64,
    /// Whose it is, as a seal.
    pub person: u32,
    /// Whom it is for.
    pub to: To,
    /// The text itself, while it is in memory.
    pub bytes: Option<Bytes>,
    /// Where it is.
    pub step: Step,
    /// Whether a record of it is in the spool, or on its way there.
    pub record_step: RecordStep,
    /// Whether a program has written it: it is not worth keeping.
    pub is_automatic: bool,
    /// When it was written, seconds since 1970; 0 when the clock was not sure.
    pub at: u32,
    /// The response context of who waits for an answer, as handle bits.
    pub context: Option<u32>,
    /// When something has to be done about it.
    pub deadline: Instant,
    /// Accounts that refused it for good, a bit for each.
    pub refused_by: u32,
}

/// A text that its network has taken.
#[derive(Debug)]
pub struct Sent {
    id: u32,
    account: u8,
    /// Whose it was, as a seal.
    pub person: u32,
    /// Whom it was for.
    pub to: To,
}

/// Where a text is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Step {
    /// It waits for a way; not to be tried before the deadline if `is_paused`.
    Waiting {
        /// Whether a network could not take it just now.
        is_paused: bool,
    },
    /// Its record is being read.
    Loading,
    /// It was handed to an account, as an index in the model.
    Handed(u8),
    /// It went on as a request of ours to SIP.
    OverSip,
}

/// What there is of a text in the spool.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RecordStep {
    /// Nothing.
    None,
    /// It is to be stored.
    Wanted,
    /// It is being stored.
    Storing,
    /// It is there.
    Stored,
}

/// A text as its record in the spool has it (postcard).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Kept<'b> {
    /// Its place among others.
    pub order: u32,
    /// Whose it is, as a seal.
    pub person: u32,
    /// When it was written, seconds since 1970; 0 when the clock was not sure.
    pub at: u32,
    /// Whom it is for.
    pub to: &'b str,
    /// The text.
    pub text: &'b str,
}

/// Why a text was not taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Full {
    /// Too many are on their way.
    Texts,
    /// Too many wait for this address.
    Address,
}

impl Outbox {
    /// Nothing is on its way.
    pub const fn new() -> Self {
        Self { texts: Table::new(), forgotten: Deque::new(), sent: heapless::Vec::new(), last: 0 }
    }

    /// Whether there is room for so many texts to an address.
    pub fn has_room(&self, person: u32, to: &str, count: usize) -> bool {
        let waiting =
            self.texts.iter().filter(|(_, text)| text.person == person && text.to.eq_ignore_ascii_case(to)).count();
        self.texts.len() + count <= OUTGOING && waiting + count <= OUTGOING_PER_PERSON && to.len() <= TO_BYTES
    }

    /// Takes a text. The bytes stay the caller's when there is no room.
    pub fn admit(&mut self, now: Instant, new: New<'_>, bytes: Bytes) -> Result<TextHandle, (Full, Bytes)> {
        let to = match To::try_from(new.to) {
            Ok(to) => to,
            Err(_) => return Err((Full::Address, bytes)),
        };
        if self.texts.iter().filter(|(_, text)| text.is_same_way(new.person, &to)).count() >= OUTGOING_PER_PERSON {
            return Err((Full::Address, bytes));
        }
        self.last = self.last.wrapping_add(1).max(1);
        let text = Text {
            id: id_of(new.record),
            order: self.last,
            record: new.record,
            person: new.person,
            to,
            bytes: None,
            step: Step::Waiting { is_paused: false },
            record_step: RecordStep::None,
            is_automatic: new.is_automatic,
            at: new.at,
            context: new.context,
            deadline: now.plus(PATIENCE_MS),
            refused_by: 0,
        };
        let Ok(handle) = self.texts.insert(text) else { return Err((Full::Texts, bytes)) };
        if let Some(text) = self.texts.get_mut(handle) {
            text.bytes = Some(bytes);
        }
        Ok(handle)
    }

    /// Takes a text back that was kept.
    pub fn restore(&mut self, now: Instant, record: u64, kept: &Kept<'_>) -> Result<(), Full> {
        // It was on a disk that was gone for a while, and is here still, or was sent meanwhile.
        let known = self.texts.iter().find(|(_, text)| text.record == record).map(|(handle, _)| handle);
        if let Some(handle) = known {
            self.forgotten.retain(|forgotten| *forgotten != record);
            if let Some(text) = self.texts.get_mut(handle).filter(|text| text.record_step == RecordStep::None) {
                text.record_step = RecordStep::Stored;
            }
            return Ok(());
        }
        if self.forgotten.iter().any(|forgotten| *forgotten == record) {
            return Ok(());
        }
        self.last = self.last.max(kept.order);
        let text = Text {
            id: id_of(record),
            order: kept.order,
            record,
            person: kept.person,
            to: To::try_from(kept.to).map_err(|_| Full::Address)?,
            bytes: None,
            step: Step::Waiting { is_paused: false },
            record_step: RecordStep::Stored,
            is_automatic: false,
            at: kept.at,
            context: None,
            deadline: now,
            refused_by: 0,
        };
        self.texts.insert(text).map(drop).map_err(|_| Full::Texts)
    }

    /// A text.
    pub fn get(&self, handle: TextHandle) -> Option<&Text> {
        self.texts.get(handle)
    }

    /// A text, to change it.
    pub fn get_mut(&mut self, handle: TextHandle) -> Option<&mut Text> {
        self.texts.get_mut(handle)
    }

    /// The text with a name.
    pub fn by_id(&self, id: u32) -> Option<TextHandle> {
        self.texts.iter().find(|(_, text)| text.id == id).map(|(handle, _)| handle)
    }

    /// All texts.
    pub fn iter(&self) -> impl Iterator<Item = (TextHandle, &Text)> {
        self.texts.iter()
    }

    /// The oldest text of each address that has not got further than waiting, oldest first: those behind it wait for it.
    pub fn firsts(&self) -> heapless::Vec<TextHandle, OUTGOING> {
        let mut order: heapless::Vec<(u32, TextHandle), OUTGOING> = heapless::Vec::new();
        for (handle, text) in self.texts.iter() {
            let is_behind = self.texts.iter().any(|(_, other)| {
                is_before(other.order, text.order) && other.is_same_way(text.person, &text.to) && !other.is_handed()
            });
            if matches!(text.step, Step::Waiting { .. }) && !is_behind {
                // There is room for all of them.
                let _ = order.push((text.order, handle));
            }
        }
        order.sort_unstable_by_key(|(id, _)| *id);
        order.into_iter().map(|(_, handle)| handle).collect()
    }

    /// How many wait for an address of a person.
    pub fn waiting(&self, person: u32) -> usize {
        self.texts.iter().filter(|(_, text)| text.person == person).count()
    }

    /// The accounts have other numbers now. What was handed to one that is gone is to be handed over anew.
    pub fn renumber(&mut self, moved: impl Fn(usize) -> Option<usize>) {
        self.sent.retain_mut(|sent| {
            let account = moved(sent.account.into());
            sent.account = account.unwrap_or_default() as u8;
            account.is_some()
        });
        for index in 0..OUTGOING {
            let Some(handle) = self.texts.handle_at(index) else { continue };
            let Some(text) = self.texts.get_mut(handle) else { continue };
            if let Step::Handed(account) = text.step {
                let account = moved(account.into());
                text.step = account.map_or(Step::Waiting { is_paused: false }, |account| Step::Handed(account as u8));
            }
            let refused = (0..u32::BITS).filter(|account| text.refused_by & 1 << account != 0);
            text.refused_by =
                refused.filter_map(|account| moved(account as usize)).fold(0, |bits, account| bits | 1 << account);
        }
    }

    /// What was handed to an account is to be handed over anew: its session is gone.
    pub fn hand_back(&mut self, account: usize) {
        self.each_of(account, |text| text.step = Step::Waiting { is_paused: false });
    }

    fn each_of(&mut self, account: usize, mut change: impl FnMut(&mut Text)) {
        for index in 0..OUTGOING {
            if let Some(handle) = self.texts.handle_at(index)
                && let Some(text) = self.texts.get_mut(handle)
                && text.step == Step::Handed(account as u8)
            {
                change(text);
            }
        }
    }

    /// Takes a text out; the caller has its record forgotten if there is one.
    pub fn remove(&mut self, handle: TextHandle, store: &mut Store) -> Option<Text> {
        let mut text = self.texts.remove(handle)?;
        text.bytes.take().into_iter().for_each(|bytes| store.release(bytes));
        Some(text)
    }

    /// The network of an account has taken a text, which is here no more.
    pub fn note_sent(&mut self, text: &Text, account: u8) {
        if self.sent.is_full() {
            self.sent.remove(0);
        }
        // There is room.
        let _ = self.sent.push(Sent { id: text.id, account, person: text.person, to: text.to.clone() });
    }

    /// A text that the network of an account had taken lately; forgotten with this.
    pub fn take_sent(&mut self, account: usize, id: u32) -> Option<Sent> {
        let index = self.sent.iter().position(|sent| sent.id == id && usize::from(sent.account) == account)?;
        Some(self.sent.remove(index))
    }

    /// A record is to be forgotten.
    pub fn forget(&mut self, record: u64) {
        if self.forgotten.push_back(record).is_err() {
            log::warn!("the record of a text that was sent stays on the disk: too many are to be forgotten");
        }
    }

    /// The next record to be forgotten.
    pub fn next_forgotten(&mut self) -> Option<u64> {
        self.forgotten.pop_front()
    }

    /// Whether a record is to be forgotten.
    pub fn has_forgotten(&self) -> bool {
        !self.forgotten.is_empty()
    }

    /// What was kept is out of reach: what has no bytes is told again when a disk comes. What has is not to be sent again by
    /// its record then.
    pub fn disk_gone(&mut self) {
        for index in 0..OUTGOING {
            let Some(handle) = self.texts.handle_at(index) else { continue };
            let Some(text) = self.texts.get_mut(handle) else { continue };
            if text.bytes.is_none() {
                self.texts.remove(handle);
            } else if core::mem::replace(&mut text.record_step, RecordStep::None) != RecordStep::None {
                let record = text.record;
                self.forget(record);
            }
        }
    }

    /// When something has to be done about a text.
    pub fn deadline(&self) -> Option<Instant> {
        self.texts.iter().filter(|(_, text)| text.has_deadline()).map(|(_, text)| text.deadline).min()
    }

    /// Blocks of the store that texts are in.
    pub fn kept_blocks(&self) -> usize {
        self.texts.iter().filter(|(_, text)| text.bytes.is_some()).count()
    }

    /// Number of texts.
    pub const fn len(&self) -> usize {
        self.texts.len()
    }

    /// Whether there is none.
    pub const fn is_empty(&self) -> bool {
        self.texts.is_empty()
    }

    /// Name, capacity and bytes.
    pub fn footprint() -> (&'static str, usize, usize) {
        ("texts to other networks", OUTGOING, size_of::<Self>())
    }
}

impl Default for Outbox {
    fn default() -> Self {
        Self::new()
    }
}

impl Text {
    fn is_same_way(&self, person: u32, to: &To) -> bool {
        self.person == person && self.to.eq_ignore_ascii_case(to)
    }

    const fn is_handed(&self) -> bool {
        matches!(self.step, Step::Handed(_))
    }

    /// Whether its deadline means something: it is in the spool already, and waits for him, without one.
    pub fn has_deadline(&self) -> bool {
        match self.step {
            Step::Waiting { is_paused } => is_paused || self.record_step == RecordStep::None,
            Step::Handed(_) | Step::OverSip => true,
            Step::Loading => false,
        }
    }
}

/// What a text is taken with.
#[derive(Clone, Copy, Debug)]
pub struct New<'a> {
    /// The id of the record it may become; a number nobody can predict.
    pub record: u64,
    /// Whose it is, as a seal.
    pub person: u32,
    /// Whom it is for.
    pub to: &'a str,
    /// Whether a program has written it.
    pub is_automatic: bool,
    /// When it was written, seconds since 1970; 0 when the clock is not sure.
    pub at: u32,
    /// The response context of who waits for an answer, as handle bits.
    pub context: Option<u32>,
}

const fn id_of(record: u64) -> u32 {
    let id = record as u32 % IDS;
    if id == 0 { 1 } else { id }
}

/// Whether one number was given before another, across the wrap.
const fn is_before(a: u32, b: u32) -> bool {
    (a.wrapping_sub(b) as i32) < 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::boxed::Box;

    fn with_texts(count: u64) -> (Box<Outbox>, std::vec::Vec<TextHandle>) {
        let mut store: Store<8, 0, 0, 0> = Store::new();
        let mut outbox = Box::new(Outbox::new());
        let handles = (1..=count).map(|record| {
            let new = New { record, person: 1, to: "bob@home.example", is_automatic: false, at: 0, context: None };
            let bytes = store.freeze(b"hello").unwrap();
            outbox.admit(Instant::ZERO, new, bytes).unwrap()
        });
        let handles = handles.collect();
        (outbox, handles)
    }

    #[test]
    fn accounts_with_other_numbers() {
        let (mut outbox, handles) = with_texts(3);
        for (handle, account) in handles.iter().zip([0, 1, 2]) {
            let text = outbox.get_mut(*handle).unwrap();
            (text.step, text.refused_by) = (Step::Handed(account), 0b1011);
        }
        // The first is gone, and another stands between.
        outbox.renumber(|account| [None, Some(0), Some(2), Some(1)].get(account).copied().flatten());
        let steps: std::vec::Vec<Step> = handles.iter().map(|handle| outbox.get(*handle).unwrap().step).collect();
        assert_eq!(steps, [Step::Waiting { is_paused: false }, Step::Handed(0), Step::Handed(2)]);
        assert!(outbox.iter().all(|(_, text)| text.refused_by == 0b11));
    }

    #[test]
    fn a_disk_that_comes_back() {
        let (mut outbox, handles) = with_texts(2);
        for handle in &handles {
            outbox.get_mut(*handle).unwrap().record_step = RecordStep::Stored;
        }
        outbox.disk_gone();
        assert!(outbox.iter().all(|(_, text)| text.record_step == RecordStep::None));
        // The first is sent meanwhile.
        let mut sent = outbox.texts.remove(handles[0]).unwrap();
        let _ = sent.bytes.take();
        let kept = Kept { order: 1, person: 1, at: 0, to: "bob@home.example", text: "hello" };
        assert!((1..=2).all(|record| outbox.restore(Instant::ZERO, record, &kept).is_ok()));
        assert_eq!(outbox.len(), 1, "it is not sent again");
        assert_eq!(outbox.get(handles[1]).unwrap().record_step, RecordStep::Stored);
        assert_eq!((outbox.next_forgotten(), outbox.next_forgotten()), (Some(1), None));
    }

    #[test]
    fn what_was_taken_may_still_fail() {
        let (mut outbox, handles) = with_texts(1);
        let mut text = outbox.texts.remove(handles[0]).unwrap();
        let _ = text.bytes.take();
        let id = text.id;
        outbox.note_sent(&text, 3);
        assert!(outbox.take_sent(2, id).is_none(), "another network does not know it");
        outbox.renumber(|account| (account == 3).then_some(1));
        assert_eq!(outbox.take_sent(1, id).map(|sent| (sent.person, sent.to)), Some((1, text.to.clone())));
        assert!(outbox.take_sent(1, id).is_none());
        for id in 1..=20 {
            text.id = id;
            outbox.note_sent(&text, 0);
        }
        assert!(outbox.take_sent(0, 4).is_none() && outbox.take_sent(0, 5).is_some());
    }
}
