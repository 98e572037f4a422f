//! Entry for fuzzing: whatever comes on a connection, the readers of the pages end, and what they write is whole.

use crate::base::text::Writer;
use crate::web::page;
use crate::web::route::Route;

/// Reads `bytes` as a path, as the record of a letter, and as what is written into a page.
pub fn fuzz(bytes: &[u8]) {
    let at = bytes.iter().position(|byte| *byte == b'?').unwrap_or(bytes.len());
    let _ = Route::of(&bytes[..at], bytes.get(at + 1..).unwrap_or_default());
    let mut room = [0; 512];
    let _ = page::Content::read(Some(bytes), &mut room);
    if let Some(text) = page::readable(b"message/cpim", b"", bytes) {
        assert!(text.len() <= bytes.len());
    }
    let mut rest = bytes;
    while !rest.is_empty() {
        let mut out = Writer::new(&mut room);
        let taken = page::escape_some(rest, 100, &mut out);
        assert!(taken > 0 && out.len() <= 100);
        assert!(!out.written().iter().any(|byte| matches!(byte, b'<' | b'>' | b'"')));
        rest = &rest[taken..];
    }
}
