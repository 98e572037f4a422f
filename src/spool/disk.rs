//! What the spool asks of a disk: a few files with fixed names, read, written, sought and made durable (embedded-io).
//!
//! The runtime implements it over a directory, the tests over a simulated disk that loses power. Left out on purpose:
//! renaming (vfat has no atomic one), deleting from within a file, modification times.

use core::fmt;

use embedded_io::{ErrorType, Read, Seek, Write};

use super::record::{Key, Kind};

/// The files of a spool. Everything else in its folder is foreign: never told of, touched or counted.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum FileName {
    /// `pcsd-spool`: says that the folder is a spool and which.
    Marker,
    /// `log-0007`: a segment of the log.
    Segment(u16),
    /// `blob-00000000000000af`: the sound of a voice message, by the id of its record.
    Blob(u64),
    /// `greeting-00000000000000af`: the sound of a greeting, by the id of its record.
    Greeting(u64),
}

impl FileName {
    /// The file that has this name, or `None` for a foreign one. Only what [`fmt::Display`] writes is accepted.
    pub fn parse(name: &str) -> Option<Self> {
        if name == MARKER {
            return Some(Self::Marker);
        }
        if let Some(digits) = name.strip_prefix("log-") {
            let is_plain = digits.len() >= 4 && digits.bytes().all(|b| b.is_ascii_digit());
            let number = digits.parse().ok().filter(|_| is_plain)?;
            return (digits.len() == 4 || number > 9999).then_some(Self::Segment(number));
        }
        match name.strip_prefix("greeting-") {
            Some(digits) => parse_id(digits).map(Self::Greeting),
            None => parse_id(name.strip_prefix("blob-")?).map(Self::Blob),
        }
    }

    /// The file with the blob of a record; `None` for a kind that has none.
    pub const fn of_blob(key: Key) -> Option<Self> {
        match key.kind {
            Kind::Voice => Some(Self::Blob(key.id)),
            Kind::Greeting => Some(Self::Greeting(key.id)),
            _ => None,
        }
    }

    /// The record whose blob is in this file; `None` when it is no blob.
    pub const fn blob_key(self) -> Option<Key> {
        match self {
            Self::Blob(id) => Some(Key { kind: Kind::Voice, id }),
            Self::Greeting(id) => Some(Key { kind: Kind::Greeting, id }),
            Self::Marker | Self::Segment(_) => None,
        }
    }
}

impl fmt::Display for FileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Marker => f.write_str(MARKER),
            Self::Segment(number) => write!(f, "log-{number:04}"),
            Self::Blob(id) => write!(f, "blob-{id:016x}"),
            Self::Greeting(id) => write!(f, "greeting-{id:016x}"),
        }
    }
}

fn parse_id(digits: &str) -> Option<u64> {
    let is_plain = digits.len() == 16 && digits.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    u64::from_str_radix(digits, 16).ok().filter(|_| is_plain)
}

const MARKER: &str = "pcsd-spool";

/// The folder of a spool. One user at a time.
pub trait Disk {
    /// What goes wrong.
    type Error: embedded_io::Error;
    /// An open file.
    type File: Read<Error = Self::Error> + Write<Error = Self::Error> + Seek<Error = Self::Error> + Durable;

    /// Opens a file that exists, to read and to write; `None` when it is not there.
    fn open(&mut self, name: FileName) -> Result<Option<Self::File>, Self::Error>;

    /// Creates an empty file, to read and to write; an old one is truncated.
    fn create(&mut self, name: FileName) -> Result<Self::File, Self::Error>;

    /// Removes a file. One that is not there is no error.
    fn remove(&mut self, name: FileName) -> Result<(), Self::Error>;

    /// Tells the name and the length in bytes of every file of the spool, in any order.
    fn list(&mut self, each: &mut dyn FnMut(FileName, u64)) -> Result<(), Self::Error>;

    /// Makes the names of created files durable; does nothing where a file system can't (vfat).
    fn sync_directory(&mut self) -> Result<(), Self::Error>;

    /// Whether the error says "no room now" and nothing worse.
    fn is_full(error: &Self::Error) -> bool;
}

/// A file whose bytes can be made durable.
pub trait Durable: ErrorType {
    /// Returns when all that was written, and the length, is on the medium (fdatasync). After an error nobody knows what is.
    fn sync(&mut self) -> Result<(), Self::Error>;
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;

    #[test]
    fn names_round_trip_and_foreign_ones_are_not_ours() {
        let blobs = [FileName::Blob(0xaf), FileName::Greeting(u64::MAX)];
        for name in [FileName::Marker, FileName::Segment(7), FileName::Segment(65_535)].into_iter().chain(blobs) {
            assert_eq!(FileName::parse(&name.to_string()), Some(name));
        }
        for name in blobs {
            assert_eq!(name.blob_key().and_then(FileName::of_blob), Some(name));
        }
        assert_eq!(FileName::of_blob(Key { kind: Kind::Text, id: 1 }), None);
        assert_eq!(FileName::Greeting(0xaf).to_string(), "greeting-00000000000000af");
        assert_eq!(FileName::Segment(7).to_string(), "log-0007");
        assert_eq!(FileName::Blob(0xaf).to_string(), "blob-00000000000000af");
        for foreign in
            ["", "pcsd", "pcsd-spool~", "log-7", "log-00007", "log-+007", "log-99999", "blob-af", "greeting-af"]
        {
            assert_eq!(FileName::parse(foreign), None, "{foreign}");
        }
        assert_eq!(FileName::parse("blob-00000000000000AF"), None);
        assert_eq!(FileName::parse("blob-+0000000000000af"), None);
    }
}
