//! The names that this installation gives on XMPP: ids of its texts on the wire, and its resource.
//!
//! Both follow from the lasting key, so that they are the same after a restart: what the archive holds of a text that was
//! sent again is known as the same text, and a session that nobody ended is replaced by the next one instead of staying
//! beside it. An id hides the number it is made of (by a key that is made of a keyed hash of the number), so that nobody
//! can count her texts, and nobody else makes one that is taken for ours.

use heapless::String;

use super::write;
use crate::base::random::{Purpose, Random};
use crate::base::text::{Writer, hex_number};
use crate::wire::xml::Text;

/// An id on the wire: [`PREFIX`] and 16 hexadecimal digits.
pub type OwnId = String<20, u8>;

const PREFIX: &str = "pcs-";

/// The id on the wire of a text.
pub fn write_id(random: &Random, account: &str, text: u32) -> OwnId {
    let tag = hash(random, account, b"text", text);
    let hidden = text ^ hash(random, account, b"mask", tag);
    let mut digits = [0; 16];
    Writer::new(&mut digits).hex(u64::from(tag) << 32 | u64::from(hidden), 16);
    let mut id = OwnId::new();
    // It fits to the byte, and digits are ASCII.
    let _ = id.push_str(PREFIX);
    let _ = id.push_str(str::from_utf8(&digits).unwrap_or_default());
    id
}

/// The text that an id names; `None`: this account has not given it.
pub fn read_id(random: &Random, account: &str, id: Text<'_>) -> Option<u32> {
    let id = id.cut::<{ write::ECHO_BYTES }>();
    let digits = id.strip_prefix(PREFIX).filter(|digits| digits.len() == 16)?;
    let number = hex_number(digits.as_bytes())?;
    let tag = (number >> 32) as u32;
    let text = number as u32 ^ hash(random, account, b"mask", tag);
    (text != 0 && hash(random, account, b"text", text) == tag).then_some(text)
}

/// What the resource ends in.
pub fn resource(random: &Random, account: &str) -> u32 {
    hash(random, account, b"resource", 0)
}

fn hash(random: &Random, account: &str, what: &[u8], number: u32) -> u32 {
    let mut hash = random.hash(Purpose::Journal);
    for field in [b"XMPP", account.as_bytes(), what, &number.to_le_bytes()] {
        hash.put(field);
    }
    hash.finish() as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(random: &Random, account: &str, id: &str) -> Option<u32> {
        read_id(random, account, Text::of(id.as_bytes()).unwrap())
    }

    #[test]
    fn ids_are_known_again_after_a_restart() {
        let (mut random, mut later, mut other) = (Random::new(), Random::new(), Random::new());
        random.seed([1; 16], [9; 16]);
        later.seed([2; 16], [9; 16]);
        other.seed([1; 16], [8; 16]);
        for text in [1, 2, 77, u32::MAX] {
            let id = write_id(&random, "home", text);
            assert_eq!(id, write_id(&later, "home", text));
            assert_eq!(read(&later, "home", &id), Some(text));
            assert_eq!((read(&other, "home", &id), read(&random, "work", &id)), (None, None));
        }
        assert_ne!(write_id(&random, "home", 1)[12..], write_id(&random, "home", 2)[12..], "numbers are hidden");
        for none in ["", "pcs-", "pcs-00000007-00000000", "pcs-0123456789abcdef", "pcs-0123456789abcdeg", "x"] {
            assert_eq!(read(&random, "home", none), None, "{none}");
        }
        assert_eq!(resource(&random, "home"), resource(&later, "home"));
        assert_ne!(resource(&random, "home"), resource(&random, "work"));
    }
}
