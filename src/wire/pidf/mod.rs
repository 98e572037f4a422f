//! Presence documents: one model, and the formats it is read from and written in.
//!
//! | format | what of it | file |
//! |---|---|---|
//! | PIDF | RFC 3863, the person of RFC 4479, RPID (RFC 4480, RFC 4589), capabilities (RFC 5196), location (RFC 4119, RFC 5139, RFC 5491) | `presence`, `rpid`, `geo` |
//! | XPIDF | what Windows Messenger and other clients on the RTC library send and read (draft-rosenberg-impp-pidf-00, with `msnsubstatus`) | `xpidf` |
//! | MSRTC | what Live Communications Server and its clients send and read (\[MS-SIP\], \[MS-PRES\]) | `msrtc` |
//!
//! Readers take elements by their local names, with any prefix and in the namespaces of old drafts too, and leave out
//! what they do not know. A document that is not well-formed is refused as a whole.
//!
//! Left out: what belongs to a single device (tuples and devices are taken together), validity from and until (RFC 4481),
//! partial documents (RFC 5262), languages of notes (the first counts), usage rules of a location, and of RPID class,
//! place-is, privacy, relationship, service-class, status-icon and time-offset.

mod format;
mod fuzz;
mod geo;
mod msrtc;
mod presence;
mod read;
mod rpid;
mod status;
mod words;
mod xpidf;

pub use format::{Format, choose};
pub use fuzz::fuzz;
pub use status::{Basic, NOTE_BYTES, PLACE_BYTES, Place, Position, Status, Takes};
pub use words::{Activities, Activity, Mood, Moods, PlaceType, Sphere, UserInput};

use crate::base::text::Writer;
use crate::base::time::UnixTime;
use crate::wire::xml::{Fault, Reader};

/// Room for any document, without what its entity takes: in PIDF and XPIDF that is twice its length.
pub const DOCUMENT_BYTES: usize = 5 * 1024;

/// What a document is written from.
#[derive(Clone, Copy, Debug)]
pub struct Document<'a> {
    /// The URI of the person's address-of-record. It is the contact too: no device's address is in a document.
    pub entity: &'a [u8],
    /// What is told. The caller has taken out what the watcher may not see.
    pub status: &'a Status,
    /// When it became so; no timestamp is written without.
    pub at: Option<UnixTime>,
    /// Distinguishes the person's tuple from those of others; it should stay the same from one document to the next.
    pub id: u32,
    /// The addresses that it is put together of; PIDF names those where the person is.
    pub tuples: &'a [Tuple<'a>],
}

/// One of a person's addresses.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Tuple<'a> {
    /// What its id begins with: a letter, then letters and digits.
    pub label: &'a str,
    /// Whether the person can be reached there; else it is not written.
    pub is_open: bool,
    /// Its URI.
    pub contact: &'a [u8],
}

/// Writes a document.
pub fn write(format: Format, document: &Document<'_>, out: &mut Writer<'_>) {
    match format {
        Format::Pidf => presence::write(document, out),
        Format::Xpidf => xpidf::write(document, out),
        Format::Msrtc => msrtc::write(document, out),
    }
}

/// Reads a document. One that says nothing is no fault: a status that says nothing.
pub fn read(format: Format, body: &[u8]) -> Result<Status, Fault> {
    let mut reader = Reader::new(body)?;
    let root = reader.root()?;
    let name = if format == Format::Msrtc { "presentity" } else { "presence" };
    if root.name != name {
        return Err(Fault { reason: "Not a Presence Document" });
    }
    let mut reading = read::Reading::new();
    match format {
        Format::Pidf => presence::read(&mut reader, &root, &mut reading)?,
        Format::Xpidf => xpidf::read(&mut reader, &root, &mut reading)?,
        Format::Msrtc => msrtc::read(&mut reader, &root, &mut reading)?,
    }
    reader.finish()?;
    Ok(reading.status)
}

#[cfg(test)]
mod tests;
