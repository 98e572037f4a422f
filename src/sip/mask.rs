//! Sealed texts: what peers outside carry for us and can neither read nor change.
//!
//! The construction is that of SIV (RFC 5297) with the keyed hash of [`Random`]: the seal is a hash of the plaintext, and
//! names the keystream that hides it, block by block. So the same input has the same output, which dialogs and
//! retransmissions need, and nothing is remembered: a text that was sealed before a restart is read after it. The seal has
//! 64 bits, one for each of 2^64 guesses. Two equal plaintexts are seen to be equal, and how long a text is is seen.

use crate::base::random::{Purpose, Random};
use crate::base::text::{Writer, base64url_decode, base64url_encode, same_secret};

/// What a sealed text is for, so that one never passes for another.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Use {
    /// The address of a device, in the user part of ours.
    Contact = 1,
    /// A Call-ID that names a device.
    CallId = 2,
    /// A side of a dialog; see [`token`](super::token).
    Route = 3,
}

/// Bytes of a seal.
pub const SEAL_BYTES: usize = 8;
/// The longest text that [`write()`] takes, bytes.
pub const MASKED_BYTES: usize = 255;
/// The longest text that [`write()`] makes, characters.
pub const MASK_BYTES: usize = PREFIX.len() + (SEAL_BYTES + MASKED_BYTES).div_ceil(3) * 4;

/// What a mask begins with.
const PREFIX: &[u8] = b"m1-";

/// Writes `bytes` sealed, as letters, digits, `-` and `_`, which may stand in a user part and in a Call-ID. Whether it
/// did: a text of more than [`MASKED_BYTES`] is not taken.
pub fn write(random: &Random, what: Use, bytes: &[u8], out: &mut Writer<'_>) -> bool {
    let mut sealed = [0; SEAL_BYTES + MASKED_BYTES];
    let Some(room) = sealed.get_mut(..SEAL_BYTES + bytes.len()) else { return false };
    let (seal, text) = room.split_at_mut(SEAL_BYTES);
    text.copy_from_slice(bytes);
    seal.copy_from_slice(&hide(random, what, b"", text));
    out.put(PREFIX);
    base64url_encode(room, out);
    true
}

/// Whether a text begins as a mask does.
pub fn is_mask(text: &[u8]) -> bool {
    text.starts_with(PREFIX)
}

/// What a mask hides; `None` for a text that is none of ours for this use.
pub fn read<'o>(random: &Random, what: Use, text: &[u8], buffer: &'o mut Room) -> Option<&'o [u8]> {
    let len = base64url_decode(text.strip_prefix(PREFIX)?, buffer)?;
    let (seal, text) = buffer.get_mut(..len)?.split_first_chunk_mut::<SEAL_BYTES>()?;
    reveal(random, what, b"", seal, text).then_some(text)
}

/// A Call-ID as it is in the home: what is hidden in it, if it is a mask, else itself. What names a dialog (tokens, tables)
/// goes by this one.
pub fn call_id_within<'o>(random: &Random, call_id: &'o [u8], room: &'o mut Room) -> &'o [u8] {
    read(random, Use::CallId, call_id, room).unwrap_or(call_id)
}

/// Room for what [`read`] reads.
pub type Room = [u8; SEAL_BYTES + MASKED_BYTES];

/// Room for what [`read`] reads, empty.
pub const ROOM: Room = [0; SEAL_BYTES + MASKED_BYTES];

/// Hides `text` in place; the seal, which covers `context` as well. That is neither hidden nor in the text.
pub fn hide(random: &Random, what: Use, context: &[u8], text: &mut [u8]) -> [u8; SEAL_BYTES] {
    let seal = seal(random, what, context, text);
    stream(random, what, &seal, text);
    seal
}

/// Takes back what [`hide`] did; whether it is as it was hidden, for the same use and context.
pub fn reveal(random: &Random, what: Use, context: &[u8], hidden_seal: &[u8; SEAL_BYTES], text: &mut [u8]) -> bool {
    stream(random, what, hidden_seal, text);
    same_secret(&seal(random, what, context, text), hidden_seal)
}

fn seal(random: &Random, what: Use, context: &[u8], text: &[u8]) -> [u8; SEAL_BYTES] {
    let mut hash = random.hash(Purpose::Seal);
    hash.put(&[what as u8]);
    hash.put(context);
    hash.put(text);
    hash.finish().to_be_bytes()
}

/// Adds the keystream that a seal names.
fn stream(random: &Random, what: Use, seal: &[u8; SEAL_BYTES], text: &mut [u8]) {
    let mut begun = random.hash(Purpose::Keystream);
    begun.put(&[what as u8]);
    begun.put(seal);
    for (number, block) in text.chunks_mut(8).enumerate() {
        let mut hash = begun.clone();
        hash.put(&(number as u32).to_be_bytes());
        block.iter_mut().zip(hash.finish().to_be_bytes()).for_each(|(byte, key)| *byte ^= key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::String;
    use std::vec::Vec;

    fn random(lasting: u8) -> Random {
        let mut random = Random::new();
        random.seed([1; 16], [lasting; 16]);
        random
    }

    fn written(random: &Random, what: Use, bytes: &[u8]) -> String {
        let mut buffer = [0; MASK_BYTES];
        let mut out = Writer::new(&mut buffer);
        assert!(write(random, what, bytes, &mut out));
        let len = out.finish().expect("MASK_BYTES are enough");
        String::from_utf8(buffer[..len].to_vec()).unwrap()
    }

    fn read_back(random: &Random, what: Use, text: &[u8]) -> Option<Vec<u8>> {
        read(random, what, text, &mut ROOM.clone()).map(<[u8]>::to_vec)
    }

    const CONTACT: &[u8] = b"sip:alice@192.168.1.10:5060;transport=tcp";

    #[test]
    fn round_trip_at_every_length() {
        let random = random(9);
        let bytes: [u8; MASKED_BYTES] = core::array::from_fn(|i| (i * 37) as u8);
        for len in 0..=MASKED_BYTES {
            let text = written(&random, Use::Contact, &bytes[..len]);
            assert!(text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')), "{text}");
            assert_eq!(text, written(&random, Use::Contact, &bytes[..len]), "the same again");
            assert_eq!(read_back(&random, Use::Contact, text.as_bytes()).as_deref(), Some(&bytes[..len]));
        }
        let mut buffer = [0; 2 * MASK_BYTES];
        let mut out = Writer::new(&mut buffer);
        assert!(!write(&random, Use::Contact, &[0; MASKED_BYTES + 1], &mut out) && out.is_empty());
    }

    #[test]
    fn a_changed_character_is_refused() {
        let random = random(9);
        let text = written(&random, Use::Contact, CONTACT);
        for at in 0..text.len() {
            for other in b' '..=b'z' {
                let mut forged = text.clone().into_bytes();
                let is_same = forged[at] == other;
                forged[at] = other;
                assert!(is_same || read_back(&random, Use::Contact, &forged).is_none(), "character {at}");
            }
            assert_eq!(read_back(&random, Use::Contact, &text.as_bytes()[..at]), None);
        }
        assert_eq!(read_back(&random, Use::Contact, &[text.as_bytes(), b"AAAA"].concat()), None);
        assert_eq!(read_back(&random, Use::Contact, b"m1-"), None);
        assert_eq!(read_back(&random, Use::Contact, &[&b"m1-"[..], &[b'A'; 4000]].concat()), None);
    }

    #[test]
    fn uses_and_keys_do_not_mix() {
        let text = written(&random(9), Use::Contact, CONTACT);
        assert_eq!(read_back(&random(9), Use::CallId, text.as_bytes()), None);
        assert_eq!(read_back(&random(8), Use::Contact, text.as_bytes()), None);
        assert_ne!(text, written(&random(9), Use::CallId, CONTACT));
        // Another start with the same lasting key.
        let mut restarted = Random::new();
        restarted.seed([77; 16], [9; 16]);
        assert_eq!(read_back(&restarted, Use::Contact, text.as_bytes()).as_deref(), Some(CONTACT));
    }

    #[test]
    fn the_context_is_sealed_too() {
        let random = random(9);
        let mut text = *b"0123456789";
        let seal = hide(&random, Use::Route, b"call", &mut text);
        let hidden = text;
        assert!(!reveal(&random, Use::Route, b"other", &seal, &mut text));
        text = hidden;
        assert!(reveal(&random, Use::Route, b"call", &seal, &mut text) && &text == b"0123456789");
    }

    #[test]
    fn an_address_is_not_in_it_in_any_form() {
        let text = written(&random(9), Use::Contact, CONTACT);
        let mut bytes = [0; 300];
        let len = base64url_decode(&text.as_bytes()[PREFIX.len()..], &mut bytes).unwrap();
        let has = |part: &[u8]| bytes[..len].windows(part.len()).any(|window| window == part);
        assert!(!has(b"192.168") && !has(b"alice") && !has(b"sip") && !has(&[192, 168, 1, 10]));
        // Nor does what two have in common show.
        let near = written(&random(9), Use::Contact, b"sip:alice@192.168.1.11:5060;transport=tcp");
        let same = text.bytes().zip(near.bytes()).skip(PREFIX.len()).filter(|(a, b)| a == b).count();
        assert!(same < 10, "{text} {near}");
    }
}
