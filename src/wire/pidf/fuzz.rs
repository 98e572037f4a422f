//! One entry that reads any bytes as each format, and checks that what was read survives being written in each.

use super::{Document, Format, read, write};
use crate::base::text::Writer;
use crate::base::time::UnixTime;

/// Reads `bytes` as each format. Panics when a reader breaks a promise: a status that was read can be written in each
/// format and read again, and has the same basic status and the same note; in PIDF everything is the same.
pub fn fuzz(bytes: &[u8]) {
    for from in Format::ALL {
        let Ok(status) = read(from, bytes) else { continue };
        for to in Format::ALL {
            let mut buffer = [0; BYTES];
            let mut out = Writer::new(&mut buffer);
            let (entity, at) = (&b"sip:\"fuzz\"&<\xff>@home.example"[..], Some(UnixTime(1_289_690_940)));
            write(to, &Document { entity, status: &status, at, id: 7, tuples: &[] }, &mut out);
            let len = out.finish().expect("any status fits");
            let again = read(to, &buffer[..len]).expect("a written document can be read");
            assert!(again.basic == status.basic && again.note == status.note, "{to:?}");
            assert!(to != Format::Pidf || again == status);
        }
    }
}

/// Room for the largest document: every activity and mood, and a note of nothing but quotes twice.
const BYTES: usize = 8 * 1024;
