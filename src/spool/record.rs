//! A record of the log as bytes: a header of fixed size, then the payload, then zeros up to a multiple of 4 bytes.
//!
//! Layout of the header, little-endian: magic `pS`, format version, kind, length of the payload (24 bits), flags, id
//! (64), sequence (64), owner (32), at (32), bytes of the blob (32), CRC-32 of the payload, CRC-32 of the header.
//! The CRC of a header begins with the UUID of the spool and the life of its segment: neither what a segment held in an
//! earlier life nor the body of a message that somebody made up passes for a record. That of a payload begins with the
//! UUID and the sequence, so that a record can be copied to another segment without being read twice. The header has a
//! CRC of its own so that a search through damage costs the same for every byte.

use crc::{CRC_32_ISO_HDLC, Crc, Digest, Table};

/// What a record is about. A number on disk; one that is not known here was written by a newer version and is kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// A text that waits for its reader.
    Text,
    /// A voice message; its sound is in a blob.
    Voice,
    /// A contact of a device.
    Binding,
    /// Who watches what.
    Subscription,
    /// Who may watch whom.
    Authorisation,
    /// A place that was learned.
    Place,
    /// A value that was set.
    Setting,
    /// A call that nobody took.
    Call,
    /// What the answering machine says for a person; its sound is in a blob.
    Greeting,
    /// A session or a link of the web pages.
    Session,
    /// How much of what a person missed she was told of.
    Absence,
    /// A text on its way to another network.
    Outgoing,
    /// What an account on another network has to know at the next start.
    Account,
    /// A buddy that a person has put on her list herself.
    Buddy,
    /// A kind of a newer version.
    Other(u8),
}

impl Kind {
    /// Whether it is a message: under the quota of its owner and the age limit.
    pub const fn is_message(self) -> bool {
        matches!(self, Self::Text | Self::Voice | Self::Call)
    }

    /// Whether its records may have a blob.
    pub const fn has_blob(self) -> bool {
        matches!(self, Self::Voice | Self::Greeting)
    }

    /// The number on disk.
    pub const fn to_byte(self) -> u8 {
        match self {
            Self::Text => 1,
            Self::Voice => 2,
            Self::Binding => 3,
            Self::Subscription => 4,
            Self::Authorisation => 5,
            Self::Place => 6,
            Self::Setting => 7,
            Self::Call => 8,
            Self::Greeting => 9,
            Self::Session => 10,
            Self::Absence => 11,
            Self::Outgoing => 12,
            Self::Account => 13,
            Self::Buddy => 14,
            Self::Other(byte) => byte,
        }
    }

    /// The kind with this number.
    pub const fn from_byte(byte: u8) -> Self {
        match byte {
            1 => Self::Text,
            2 => Self::Voice,
            3 => Self::Binding,
            4 => Self::Subscription,
            5 => Self::Authorisation,
            6 => Self::Place,
            7 => Self::Setting,
            8 => Self::Call,
            9 => Self::Greeting,
            10 => Self::Session,
            11 => Self::Absence,
            12 => Self::Outgoing,
            13 => Self::Account,
            14 => Self::Buddy,
            other => Self::Other(other),
        }
    }
}

/// Names a record: of those with the same key the newest counts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Key {
    /// What it is about.
    pub kind: Kind,
    /// Which one; chosen by the caller.
    pub id: u64,
}

/// A record without its payload.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Meta {
    /// Its name.
    pub key: Key,
    /// Whose it is: a hash of the person.
    pub owner: u32,
    /// When it came, seconds since 1970; 0 when the time was not known.
    pub at: u32,
    /// Bytes of its blob; 0 when it has none.
    pub blob_bytes: u32,
}

/// The header of a record.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Header {
    pub meta: Meta,
    pub flags: u8,
    /// Bytes of the payload.
    pub length: u32,
    pub sequence: u64,
    pub payload_crc: u32,
}

/// The key is removed; there is no payload.
pub(super) const REMOVED: u8 = 1;
/// All that stands before this record in the log was durable when it was written.
pub(super) const FIRST: u8 = 2;

/// Bytes of a header.
pub(super) const HEADER_BYTES: usize = 44;
/// The format that is written here.
pub(super) const VERSION: u8 = 1;
/// The first bytes of a header.
pub(super) const MAGIC: [u8; 2] = *b"pS";
/// Bytes of the longest payload that a header can tell and the index can hold.
pub(super) const PAYLOAD_BYTES_MAX: u32 = 4 * 65_535 - HEADER_BYTES as u32;
/// Sequences are kept in 40 bits: enough for a thousand records a second for thirty years.
pub(super) const SEQUENCE_MAX: u64 = (1 << 40) - 1;
/// The kind of a segment's header record.
pub(super) const SEGMENT_KIND: u8 = 0;

/// Why bytes are not a record.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Bad {
    /// They are something else.
    Nothing,
    /// They are a record in another format.
    Version,
}

impl Header {
    /// The bytes on disk, for the segment that `seed` is for.
    pub fn encode(&self, seed: u32) -> [u8; HEADER_BYTES] {
        let mut out = [0; HEADER_BYTES];
        out[0..2].copy_from_slice(&MAGIC);
        out[2] = VERSION;
        out[3] = self.meta.key.kind.to_byte();
        out[4..8].copy_from_slice(&(self.length | u32::from(self.flags) << 24).to_le_bytes());
        out[8..16].copy_from_slice(&self.meta.key.id.to_le_bytes());
        out[16..24].copy_from_slice(&self.sequence.to_le_bytes());
        out[24..28].copy_from_slice(&self.meta.owner.to_le_bytes());
        out[28..32].copy_from_slice(&self.meta.at.to_le_bytes());
        out[32..36].copy_from_slice(&self.meta.blob_bytes.to_le_bytes());
        out[36..40].copy_from_slice(&self.payload_crc.to_le_bytes());
        let mut crc = Checksum::new(seed);
        crc.add(&out[..40]);
        out[40..44].copy_from_slice(&crc.finish().to_le_bytes());
        out
    }

    /// The header in `bytes`, at least [`HEADER_BYTES`] of them, from the segment that `seed` is for.
    pub fn decode(bytes: &[u8], seed: u32) -> Result<Self, Bad> {
        let bytes: &[u8; HEADER_BYTES] = bytes.first_chunk().ok_or(Bad::Nothing)?;
        let mut crc = Checksum::new(seed);
        crc.add(&bytes[..40]);
        if bytes[..2] != MAGIC || crc.finish() != word(bytes, 40) {
            return Err(Bad::Nothing);
        }
        if bytes[2] != VERSION {
            return Err(Bad::Version);
        }
        let key = Key { kind: Kind::from_byte(bytes[3]), id: long(bytes, 8) };
        let meta = Meta { key, owner: word(bytes, 24), at: word(bytes, 28), blob_bytes: word(bytes, 32) };
        Ok(Self {
            meta,
            flags: bytes[7],
            length: word(bytes, 4) & 0xff_ffff,
            sequence: long(bytes, 16),
            payload_crc: word(bytes, 36),
        })
    }

    /// Bytes of the whole record in its segment.
    pub const fn size(&self) -> u32 {
        size(self.length)
    }

    /// Whether one of ours can have written it: what is longer, or later, does not fit the index.
    pub const fn is_possible(&self) -> bool {
        let is_part_of_segment = self.meta.key.kind.to_byte() == SEGMENT_KIND;
        is_part_of_segment || self.length <= PAYLOAD_BYTES_MAX && self.sequence <= SEQUENCE_MAX
    }

    /// Whether the record says that its key is removed.
    pub const fn is_removal(&self) -> bool {
        self.flags & REMOVED != 0
    }
}

/// Bytes in a segment of a record with a payload of `length` bytes.
pub(super) const fn size(length: u32) -> u32 {
    (HEADER_BYTES as u32 + length).next_multiple_of(4)
}

/// A CRC-32 in progress.
pub(super) struct Checksum(Digest<'static, u32, Table<1>>);

impl Checksum {
    /// Begins with a number that whoever made the bytes up doesn't know.
    pub fn new(seed: u32) -> Self {
        let mut digest = CRC.digest();
        digest.update(&seed.to_le_bytes());
        Self(digest)
    }

    /// Adds bytes.
    pub fn add(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The CRC.
    pub fn finish(self) -> u32 {
        self.0.finalize()
    }
}

/// The seed of a spool.
pub(super) fn spool_seed(uuid: &[u8; 16]) -> u32 {
    CRC.checksum(uuid)
}

/// The seed for the headers in one life of a segment.
pub(super) fn header_seed(spool: u32, life: u32) -> u32 {
    let mut crc = Checksum::new(spool);
    crc.add(b"record");
    crc.add(&life.to_le_bytes());
    crc.finish()
}

/// The seed for the headers of the segments themselves.
pub(super) fn segment_seed(spool: u32) -> u32 {
    let mut crc = Checksum::new(spool);
    crc.add(b"segment");
    crc.finish()
}

/// What tells the life of a segment from all others, those too whose header never reached the medium.
pub(super) fn life(nonce: u64, serial: u32) -> u32 {
    let mut crc = Checksum::new(serial);
    crc.add(&nonce.to_le_bytes());
    crc.finish()
}

/// The checksum of a payload, to be fed.
pub(super) fn payload_checksum(spool: u32, sequence: u64) -> Checksum {
    let mut crc = Checksum::new(spool);
    crc.add(&sequence.to_le_bytes());
    crc
}

/// The CRC of a payload at hand.
pub(super) fn payload_crc(spool: u32, sequence: u64, payload: &[u8]) -> u32 {
    let mut crc = payload_checksum(spool, sequence);
    crc.add(payload);
    crc.finish()
}

static CRC: Crc<u32, Table<1>> = Crc::<u32, Table<1>>::new(&CRC_32_ISO_HDLC);

fn word(bytes: &[u8; HEADER_BYTES], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

fn long(bytes: &[u8; HEADER_BYTES], at: usize) -> u64 {
    u64::from(word(bytes, at)) | u64::from(word(bytes, at + 4)) << 32
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: Header = Header {
        meta: Meta { key: Key { kind: Kind::Voice, id: 0x0102_0304_0506_0708 }, owner: 9, at: 10, blob_bytes: 11 },
        flags: REMOVED | FIRST,
        length: 0x12_3456,
        sequence: 0xff_0000_0001,
        payload_crc: 12,
    };

    #[test]
    fn layout() {
        let bytes = HEADER.encode(5);
        assert_eq!(
            bytes[..40],
            *b"pS\x01\x02\x56\x34\x12\x03\x08\x07\x06\x05\x04\x03\x02\x01\x01\0\0\0\xff\0\0\0\x09\0\0\0\x0a\0\0\0\x0b\0\0\0\x0c\0\0\0"
        );
        assert_eq!(Header::decode(&bytes, 5), Ok(HEADER));
        assert_eq!(Header::decode(&bytes, 6), Err(Bad::Nothing));
        assert_eq!(Header::decode(&bytes[..43], 5), Err(Bad::Nothing));
    }

    #[test]
    fn every_flipped_bit_is_found() {
        let bytes = HEADER.encode(5);
        for bit in 0..8 * HEADER_BYTES {
            let mut damaged = bytes;
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Header::decode(&damaged, 5), Err(Bad::Nothing), "bit {bit}");
        }
    }

    #[test]
    fn another_version_is_told_apart_from_damage() {
        let mut bytes = HEADER.encode(5);
        bytes[2] = VERSION + 1;
        let mut crc = Checksum::new(5);
        crc.add(&bytes[..40]);
        bytes[40..].copy_from_slice(&crc.finish().to_le_bytes());
        assert_eq!(Header::decode(&bytes, 5), Err(Bad::Version));
    }

    #[test]
    fn kinds_round_trip() {
        for byte in 0..=255 {
            assert_eq!(Kind::from_byte(byte).to_byte(), byte);
        }
        assert!(Kind::Voice.is_message() && Kind::Call.is_message());
        assert!(!Kind::Binding.is_message() && !Kind::Greeting.is_message() && !Kind::Other(200).is_message());
        assert!(Kind::Voice.has_blob() && Kind::Greeting.has_blob() && !Kind::Text.has_blob());
    }
}
