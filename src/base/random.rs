//! Secrets: a key of this start, from which come hashes of what peers send and unguessable numbers, and a lasting key for
//! what has to be recognised after a restart: tokens, and the names in the journal.
//!
//! The primitive is SipHash-2-4 (a keyed pseudo-random function): over the input for hashes and seals, over a counter for
//! random numbers. Both keys come from the edge at start and never leave the core.

use core::hash::Hasher;
use siphasher::sip::SipHasher24;

/// Two 128-bit keys and a counter.
pub struct Random {
    key: [u8; 16],
    lasting: [u8; 16],
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
    /// What is written into the journal and compared after a restart.
    Journal,
    /// The seal of what peers carry for us without being able to read it.
    Seal,
    /// What hides it from them.
    Keystream,
}

impl Purpose {
    const fn outlives_a_start(self) -> bool {
        // A nonce must not: how often it was used is forgotten, and after a reboot its time of issue may seem to come yet.
        matches!(self, Self::Token | Self::Journal | Self::Seal | Self::Keystream)
    }
}

impl Random {
    /// No key yet: to be seeded before the first message.
    pub const fn new() -> Self {
        Self { key: [0; 16], lasting: [0; 16], counter: 0 }
    }

    /// Takes the keys: one of this start, and one that is the same in every start.
    pub fn seed(&mut self, key: [u8; 16], lasting: [u8; 16]) {
        (self.key, self.lasting) = (key, lasting);
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
        let key = if purpose.outlives_a_start() { &self.lasting } else { &self.key };
        let mut hasher = SipHasher24::new_with_key(key);
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
        a.seed([1; 16], [9; 16]);
        b.seed([2; 16], [9; 16]);
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
        // Another start knows what was sealed before it, and nothing else.
        assert_eq!(hash(&a, Purpose::Token, &[b"x"]), hash(&b, Purpose::Token, &[b"x"]));
        assert_ne!(hash(&a, Purpose::Tag, &[b"x"]), hash(&b, Purpose::Tag, &[b"x"]));
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
