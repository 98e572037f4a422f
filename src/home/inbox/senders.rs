//! Who letters are from. All letters of one sender share one entry, and the entry goes with the last of them.
//!
//! Who has proven his address and who only claims the same one are two senders: neither gets the other's name or quota.

use core::fmt::Write as _;

use heapless::String;
use sha2::{Digest, Sha256};

use crate::base::limits::{SENDERS, STRANGER_SENDERS};
use crate::base::table::{Handle, Table};
use crate::base::text::{OneLine, Writer};
use crate::home::presence::verdict::{Address, is_same};

/// A sender's handle.
pub type SenderHandle = Handle<Sender>;

/// Bytes of a sender's name; the rest of a longer one is left out.
pub const SENDER_NAME_BYTES: usize = 48;

/// Who letters are from.
#[derive(Clone, Debug)]
pub struct Sender {
    /// `USER@HOST`, as [`shortened`] when it was too long.
    pub address: Address,
    /// The name on the newest letter that has one; empty when none has.
    pub name: String<SENDER_NAME_BYTES>,
    /// Whether the address is only claimed.
    pub is_stranger: bool,
    /// How many letters refer to it.
    letters: u16,
    /// The number of the letter that the name is from.
    named_by: u32,
}

impl Sender {
    /// What a person is shown: the name, or the address when there is none. A name that is only claimed must not pass for
    /// something else, such as a link or another sender's messages in a list: then it is the address too.
    pub fn shown(&self) -> &str {
        let is_odd = |name: &str| {
            let dot_within = |pair: &[u8]| pair[0] == b'.' && !pair[1].is_ascii_whitespace();
            name.contains([':', ';', '/', '@', '&', '\\']) || name.as_bytes().windows(2).any(dot_within)
        };
        let name = self.name.trim();
        if name.is_empty() || self.is_stranger && is_odd(name) { &self.address } else { name }
    }
}

/// All senders.
pub(super) struct Senders {
    table: Table<Sender, SENDERS>,
    strangers: usize,
}

impl Senders {
    pub const fn new() -> Self {
        Self { table: Table::new(), strangers: 0 }
    }

    pub fn get(&self, handle: SenderHandle) -> Option<&Sender> {
        self.table.get(handle)
    }

    pub fn find(&self, address: &[u8], is_stranger: bool) -> Option<SenderHandle> {
        let address = shortened(address);
        let is_it = |it: &Sender| {
            it.is_stranger == is_stranger
                && it.address.len() == address.len()
                && is_same(it.address.as_bytes(), address.as_bytes())
        };
        self.table.iter().find(|(_, it)| is_it(it)).map(|(handle, _)| handle)
    }

    /// The sender of one more letter, which has this number; `None` when there is no room for him.
    pub fn refer(&mut self, (address, name): (&[u8], &[u8]), is_stranger: bool, number: u32) -> Option<SenderHandle> {
        let handle = match self.find(address, is_stranger) {
            Some(handle) => handle,
            None if is_stranger && self.strangers >= STRANGER_SENDERS => return None,
            None => {
                let address = shortened(address);
                let new = Sender { address, name: String::new(), is_stranger, letters: 0, named_by: 0 };
                let handle = self.table.insert(new).ok()?;
                self.strangers += usize::from(is_stranger);
                handle
            }
        };
        let sender = self.table.get_mut(handle)?;
        sender.letters += 1;
        if !name.is_empty() && (number >= sender.named_by || sender.name.is_empty()) {
            sender.name = one_line(name);
            sender.named_by = number;
        }
        Some(handle)
    }

    /// One letter less refers to it.
    pub fn release(&mut self, handle: SenderHandle) {
        let Some(sender) = self.table.get_mut(handle) else { return };
        sender.letters = sender.letters.saturating_sub(1);
        if sender.letters == 0 {
            self.strangers -= usize::from(sender.is_stranger);
            self.table.remove(handle);
        }
    }

    pub fn len(&self) -> usize {
        self.table.len()
    }
}

/// An address as it is kept. One that is too long is cut, and ends in `~` and 16 hexadecimal digits of the SHA-256 of the
/// whole, its host in lower case: two that begin alike stay two, and the same one is the same again. What can't be shown
/// in a line is replaced.
pub fn shortened(address: &[u8]) -> Address {
    let mut whole = String::new();
    if write!(whole, "{}", OneLine(address)).is_ok() {
        return whole;
    }
    let host_at = address.iter().rposition(|byte| *byte == b'@').map_or(0, |at| at + 1);
    let (user, host) = address.split_at(host_at);
    let mut hash = Sha256::new();
    hash.update(user);
    for byte in host {
        hash.update([byte.to_ascii_lowercase()]);
    }
    let mut digits = [0; 16];
    let mut out = Writer::new(&mut digits);
    hash.finalize().iter().take(8).for_each(|byte| out.hex((*byte).into(), 2));
    let mut cut: Address = String::new();
    let room = cut.capacity() - 1 - digits.len();
    push_cut(address, room, &mut cut);
    // There is room for these.
    let _ = cut.push('~');
    digits.iter().for_each(|digit| drop(cut.push(char::from(*digit))));
    cut
}

/// As much of a text as fits, in one line.
fn one_line<const N: usize>(text: &[u8]) -> String<N> {
    let mut line = String::new();
    push_cut(text, N, &mut line);
    line
}

/// Appends a text in one line, until the next character would make it longer than `room`.
fn push_cut<const N: usize>(text: &[u8], room: usize, out: &mut String<N>) {
    /// Takes characters until one does not fit.
    struct Cut<'o, const N: usize>(&'o mut String<N>, usize);

    impl<const N: usize> core::fmt::Write for Cut<'_, N> {
        fn write_str(&mut self, text: &str) -> core::fmt::Result {
            text.chars().try_for_each(|character| {
                if self.0.len() + character.len_utf8() > self.1 {
                    return Err(core::fmt::Error);
                }
                self.0.push(character).map_err(|_| core::fmt::Error)
            })
        }
    }

    // What does not fit is left out.
    let _ = write!(Cut(out, room), "{}", OneLine(text));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shared_and_freed() {
        let mut senders = Senders::new();
        let bob = senders.refer((b"bob@Away.test", b"Bob"), false, 1).unwrap();
        assert_eq!(senders.refer((b"bob@away.TEST", b""), false, 2), Some(bob));
        assert_eq!(senders.get(bob).unwrap().name, "Bob", "no name takes none away");
        let other = senders.refer((b"Bob@away.test", b""), false, 3).unwrap();
        let claimed = senders.refer((b"bob@away.test", b"Robert"), true, 4).unwrap();
        assert!(other != bob && claimed != bob && senders.len() == 3);
        assert_eq!(senders.get(bob).unwrap().name, "Bob");
        senders.release(bob);
        assert!(senders.get(bob).is_some());
        senders.release(bob);
        assert!(senders.get(bob).is_none());
        senders.release(other);
        senders.release(claimed);
        assert_eq!((senders.len(), senders.strangers), (0, 0));
    }

    #[test]
    fn the_newest_name_counts() {
        let mut senders = Senders::new();
        let bob = senders.refer((b"b@h", b"New"), false, 9).unwrap();
        senders.refer((b"b@h", b"Old"), false, 3);
        assert_eq!(senders.get(bob).unwrap().name, "New");
        senders.refer((b"b@h", b"Newer\r\n\x1b[2J"), false, 10);
        assert_eq!(senders.get(bob).unwrap().name, "Newer   [2J");
        let long = "\u{4f60}".repeat(17);
        senders.refer((b"b@h", long.as_bytes()), false, 11);
        assert_eq!(senders.get(bob).unwrap().name, "\u{4f60}".repeat(16).as_str());
    }

    #[test]
    fn what_is_shown() {
        for (name, is_stranger, expected) in [
            ("Bob", true, "Bob"),
            (" ", false, "b@h"),
            ("", true, "b@h"),
            ("Dr. Bob", true, "Dr. Bob"),
            ("Bob; 2 missed calls from Mum", true, "b@h"),
            ("evil.example", true, "b@h"),
            ("Bob & Co", true, "b@h"),
            ("Bob & Co", false, "Bob & Co"),
        ] {
            let mut senders = Senders::new();
            let handle = senders.refer((b"b@h", name.as_bytes()), is_stranger, 1).unwrap();
            assert_eq!(senders.get(handle).unwrap().shown(), expected);
        }
    }

    #[test]
    fn strangers_never_take_all() {
        let mut senders = Senders::new();
        let refer = |senders: &mut Senders, number: usize, is_stranger| {
            senders.refer((std::format!("u{number}@h").as_bytes(), b""), is_stranger, 0)
        };
        let strangers = (0..SENDERS).filter(|number| refer(&mut senders, *number, true).is_some()).count();
        assert_eq!(strangers, STRANGER_SENDERS);
        let known = (0..SENDERS).filter(|number| refer(&mut senders, *number, false).is_some()).count();
        assert_eq!(known, SENDERS - STRANGER_SENDERS);
        assert!(refer(&mut senders, 0, true).is_some(), "who is there already");
    }

    #[test]
    fn long_addresses_stay_apart() {
        let long = |tail: &str| std::format!("{}@Host.{tail}", "u".repeat(100));
        let (one, other) = (shortened(long("one").as_bytes()), shortened(long("two").as_bytes()));
        assert_eq!((one.len(), other.len()), (96, 96));
        assert!(one != other && one[..80] == other[..80] && one[..80].ends_with("u~"));
        assert_eq!(shortened(long("ONE").as_bytes()), one);
        assert_eq!(shortened(one.as_bytes()), one, "what is short enough stays");
        assert_eq!(shortened(&b"x".repeat(96)).as_bytes(), b"x".repeat(96));
        assert_eq!(shortened(b"a\xff\r@h"), "a\u{fffd} @h");
        // 31 characters of 3 bytes are 93 bytes; cut at 79, between two of them.
        let wide = shortened("\u{4f60}".repeat(40).as_bytes());
        assert_eq!(wide.chars().filter(|it| *it == '\u{4f60}').count(), 26);
    }
}
