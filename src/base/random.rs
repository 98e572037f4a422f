//! Secrets: one key per start, from which come hashes of what peers send, short seals, and unguessable numbers.
//!
//! The primitive is SipHash-2-4 (a keyed pseudo-random function): over the input for hashes and seals, over a counter for
//! random numbers. The key comes from the system at start and never leaves the core.

use core::hash::Hasher;
use siphasher::sip::SipHasher24;

/// A 128-bit key and a counter.
pub struct Random {
    key: [u8; 16],
    counter: u64,
}

/// What a hash is for, so that one never passes for another.
#[derive(Clone, Copy)]
#[repr(u8)]
pub enum Purpose {
    /// Unguessable numbers.
    Number,
    /// Keys of tables.
    Table,
    /// Nonces of digest challenges.
    Nonce,
    /// Tokens in Record-Route and Contact.
    Token,
    /// Branch parameters and the loop check in them.
    Branch,
    /// Tags of answers without a transaction.
    Tag,
}

impl Random {
    /// No key yet: to be seeded before the first message.
    pub const fn new() -> Self {
        Self { key: [0; 16], counter: 0 }
    }

    /// Takes the key.
    pub fn seed(&mut self, key: [u8; 16]) {
        self.key = key;
        self.counter = 0;
    }

    /// A number nobody can predict.
    pub fn number(&mut self) -> u64 {
        self.counter += 1;
        let mut hash = self.hash(Purpose::Number);
        hash.put(&self.counter.to_le_bytes());
        hash.finish()
    }

    /// A number nobody can predict, below `bound`, which is not 0.
    pub fn below(&mut self, bound: u32) -> u32 {
        ((u64::from(self.number() as u32) * u64::from(bound)) >> 32) as u32
    }

    /// Begins a keyed hash.
    pub fn hash(&self, purpose: Purpose) -> Hash {
        let mut hasher = SipHasher24::new_with_key(&self.key);
        hasher.write_u8(purpose as u8);
        Hash(hasher)
    }
}

impl Default for Random {
    fn default() -> Self {
        Self::new()
    }
}

/// A keyed hash in progress.
#[derive(Clone)]
pub struct Hash(SipHasher24);

impl Hash {
    /// Adds one field; its length goes in too, so that fields can't run into each other.
    pub fn put(&mut self, field: &[u8]) {
        self.0.write(field);
        self.0.write_u32(field.len() as u32);
    }

    /// Adds one field regardless of ASCII case.
    pub fn put_lower(&mut self, field: &[u8]) {
        for chunk in field.chunks(64) {
            let mut lower = [0; 64];
            lower[..chunk.len()].copy_from_slice(chunk);
            lower.make_ascii_lowercase();
            self.0.write(&lower[..chunk.len()]);
        }
        self.0.write_u32(field.len() as u32);
    }

    /// The hash.
    pub fn finish(self) -> u64 {
        self.0.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keyed_and_separated() {
        let (mut a, mut b) = (Random::new(), Random::new());
        a.seed([1; 16]);
        b.seed([2; 16]);
        assert_ne!(a.number(), a.number());
        assert_ne!(a.number(), b.number());
        let hash = |random: &Random, purpose, fields: &[&[u8]]| {
            let mut hash = random.hash(purpose);
            fields.iter().for_each(|field| hash.put(field));
            hash.finish()
        };
        assert_eq!(hash(&a, Purpose::Tag, &[b"ab", b"c"]), hash(&a, Purpose::Tag, &[b"ab", b"c"]));
        assert_ne!(hash(&a, Purpose::Tag, &[b"ab", b"c"]), hash(&a, Purpose::Tag, &[b"a", b"bc"]));
        assert_ne!(hash(&a, Purpose::Tag, &[b"x"]), hash(&a, Purpose::Nonce, &[b"x"]));
        assert!((0..1000).all(|_| a.below(3) < 3));
    }

    #[test]
    fn case() {
        let random = Random::new();
        let lower = |field: &[u8]| {
            let mut hash = random.hash(Purpose::Table);
            hash.put_lower(field);
            hash.finish()
        };
        assert_eq!(lower(b"Home.Example"), lower(b"home.eXAMPLE"));
    }
}
