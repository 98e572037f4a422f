//! `Content-Encoding: deflate` (RFC 9110 §8.4.1.2, as RFC 3261 §20.12 has it): bodies are inflated.
//!
//! The coding is that of zlib (RFC 1950) with its checksum; bare DEFLATE (RFC 1951), which some send by that name, is
//! taken too. Bytes after the end are passed over. Left out: preset dictionaries, and writing anything but what came.

use heapless::Vec;
use miniz_oxide::inflate::TINFLStatus;
use miniz_oxide::inflate::core::inflate_flags::{
    TINFL_FLAG_PARSE_ZLIB_HEADER, TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF,
};
use miniz_oxide::inflate::core::{DecompressorOxide, decompress};

use super::sip::Fault;

/// Inflates one body after the other. It has the tables for that, 10.5 KB, and nothing that lasts; new, it is all zero.
/// Inflating takes half a kilobyte of stack; the first time, making the tables takes as much as they are before that,
/// where code is optimized for size.
pub struct Inflater {
    /// None until something has to be inflated: its crate can't make one in a constant.
    tables: Vec<DecompressorOxide, 1>,
}

impl Inflater {
    /// One that has not been used.
    pub const fn new() -> Self {
        Self { tables: Vec::new() }
    }

    /// Inflates all of `body` into `out`; the number of bytes. A fault is a 413 when `out` is too small, whatever more
    /// there would be, else a 400: what is no such coding, ends too early, or has another checksum.
    pub fn inflate(&mut self, body: &[u8], out: &mut [u8]) -> Result<usize, Fault> {
        if self.tables.is_empty() {
            self.fill();
        }
        let Some(tables) = self.tables.first_mut() else { return Err(MALFORMED) };
        tables.init();
        let header = if has_zlib_header(body) { TINFL_FLAG_PARSE_ZLIB_HEADER } else { 0 };
        match decompress(tables, body, out, 0, header | TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF) {
            (TINFLStatus::Done, _, len) => Ok(len),
            (TINFLStatus::HasMoreOutput, _, _) => Err(TOO_LARGE),
            _ => Err(MALFORMED),
        }
    }

    /// By itself, because the tables may pass over the stack.
    #[cold]
    #[inline(never)]
    fn fill(&mut self) {
        // Can't fail, there is room for one.
        let _ = self.tables.push(DecompressorOxide::new());
    }
}

impl Default for Inflater {
    fn default() -> Self {
        Self::new()
    }
}

/// Inflates any bytes: twice the same, whatever was inflated before, and also into just enough room.
pub fn fuzz(body: &[u8]) {
    let (mut inflater, mut first, mut second) = (Inflater::new(), [0; 2048], [0; 2048]);
    let result = inflater.inflate(body, &mut first);
    assert_eq!(inflater.inflate(body, &mut second), result);
    let Ok(len) = result else { return };
    assert_eq!(first[..len], second[..len]);
    assert_eq!(inflater.inflate(body, &mut second[..len]), result);
    assert!(len == 0 || inflater.inflate(body, &mut second[..len - 1]) == Err(TOO_LARGE));
}

/// Whether `body` begins as zlib does (RFC 1950 §2.2). Bare DEFLATE that did would begin with a block of no compression
/// with something in its padding, which nobody writes.
fn has_zlib_header(body: &[u8]) -> bool {
    match body {
        [method, flags, ..] => method & 0xf == 8 && u16::from_be_bytes([*method, *flags]).is_multiple_of(31),
        _ => false,
    }
}

/// The inflated body does not fit.
const TOO_LARGE: Fault = Fault { status: 413, reason: "Inflated Body Too Large" };
const MALFORMED: Fault = Fault::bad("Malformed Deflated Body");

#[cfg(test)]
mod tests {
    use super::*;

    fn inflated<'o>(body: &[u8], out: &'o mut [u8]) -> Result<&'o [u8], Fault> {
        let len = Inflater::new().inflate(body, out)?;
        Ok(&out[..len])
    }

    /// The two bytes of the header and the four of the checksum gone.
    fn bare(zlib: &[u8]) -> &[u8] {
        &zlib[2..zlib.len() - 4]
    }

    #[test]
    fn zlib_and_bare() {
        let mut out = [0; 512];
        for (body, text) in [(LIST, LIST_TEXT), (STORED, b"stored"), (FIXED, b"aaaaaaaaaa")] {
            assert_eq!(inflated(body, &mut out), Ok(text));
            assert_eq!(inflated(bare(body), &mut out), Ok(text));
            assert_eq!(inflated(&[body, b"\r\n"].concat(), &mut out), Ok(text));
        }
        assert_eq!(inflated(&[3, 0], &mut out), Ok(&b""[..]), "nothing, bare");
    }

    #[test]
    fn no_larger_than_said() {
        assert!(size_of::<Inflater>() <= 10_752, "{}", size_of::<Inflater>());
    }

    #[test]
    fn one_after_the_other() {
        let (mut inflater, mut out) = (Inflater::new(), [0; 512]);
        for _ in 0..3 {
            assert_eq!(inflater.inflate(LIST, &mut out), Ok(LIST_TEXT.len()));
            assert_eq!(inflater.inflate(&LIST[..40], &mut out), Err(MALFORMED));
            assert_eq!(inflater.inflate(BOMB, &mut out), Err(TOO_LARGE));
            assert_eq!(inflater.inflate(bare(FIXED), &mut out), Ok(10));
        }
    }

    #[test]
    fn room() {
        let mut out = [0; 512];
        for len in 0..LIST_TEXT.len() {
            assert_eq!(inflated(LIST, &mut out[..len]), Err(TOO_LARGE), "{len}");
        }
        assert_eq!(inflated(LIST, &mut out[..LIST_TEXT.len()]), Ok(LIST_TEXT), "exactly enough");
        assert_eq!(inflated(BOMB, &mut std::vec![0; 99_999]).err(), Some(TOO_LARGE));
        assert_eq!(inflated(BOMB, &mut std::vec![1; 100_000]).map(<[u8]>::len), Ok(100_000));
    }

    #[test]
    fn cut_and_broken() {
        let mut out = [0; 512];
        for end in 0..LIST.len() {
            assert_eq!(inflated(&LIST[..end], &mut out), Err(MALFORMED), "{end}");
        }
        for (at, bit) in (0..LIST.len()).flat_map(|at| (0..8).map(move |bit| (at, bit))) {
            let mut broken = LIST.to_vec();
            broken[at] ^= 1 << bit;
            let _ = inflated(&broken, &mut out);
        }
        let mut broken = LIST.to_vec();
        *broken.last_mut().unwrap() ^= 1;
        assert_eq!(inflated(&broken, &mut out), Err(MALFORMED), "the checksum");
        assert_eq!(inflated(b"\x78\x20\0\0\0\0", &mut out), Err(MALFORMED), "a dictionary");
        assert_eq!(inflated(b"\x07", &mut out), Err(MALFORMED), "a kind of block that is none");
        // A match before the begin: fixed codes, length 3, distance 1.
        assert_eq!(inflated(&[0x03, 0x02, 0x00], &mut out), Err(MALFORMED));
    }

    const LIST_TEXT: &[u8] = b"<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
        <resource-lists xmlns=\"urn:ietf:params:xml:ns:resource-lists\">\n<list>\n<entry uri=\"sip:bob@home.test\"/>\n\
        <entry uri=\"sip:carol@home.test\"/>\n</list>\n</resource-lists>\n";

    const LIST: &[u8] = &[
        0x78, 0xda, 0x65, 0x8d, 0xb1, 0x0e, 0xc2, 0x30, 0x10, 0x43, 0xf7, 0x7e, 0x45, 0x74, 0x7b, 0x1b, 0xd8, 0x50,
        0xd4, 0xb4, 0x4c, 0xfd, 0x02, 0xf8, 0x80, 0x34, 0x1c, 0x10, 0xa9, 0xb9, 0x54, 0x77, 0x09, 0x82, 0xbf, 0x27,
        0x48, 0x2c, 0x85, 0xc9, 0x96, 0xf5, 0x6c, 0xf7, 0xe3, 0x33, 0x2e, 0xea, 0x81, 0x2c, 0x21, 0x91, 0x85, 0x7d,
        0xb7, 0x03, 0x85, 0xe4, 0xd3, 0x25, 0xd0, 0xcd, 0xc2, 0xf9, 0x34, 0xb5, 0x07, 0x18, 0x87, 0xa6, 0x67, 0x94,
        0x54, 0xd8, 0x63, 0xbb, 0x04, 0xc9, 0xa2, 0x6a, 0x89, 0xc4, 0x42, 0x61, 0x32, 0x01, 0xf3, 0xd5, 0xac, 0x8e,
        0x5d, 0x14, 0x53, 0x63, 0x43, 0x62, 0xb6, 0x30, 0xd4, 0xfa, 0xc7, 0x54, 0x41, 0xca, 0xfc, 0x52, 0x85, 0x83,
        0x05, 0x09, 0xab, 0x99, 0xd3, 0x7c, 0xbc, 0xa7, 0x88, 0x5d, 0x46, 0xc9, 0xa0, 0xff, 0x01, 0xef, 0x38, 0x2d,
        0x3f, 0x88, 0xfe, 0x6e, 0xe9, 0xed, 0xcb, 0xd0, 0xbc, 0x01, 0xea, 0x93, 0x46, 0x4a,
    ];
    const BOMB: &[u8] = &[
        0x78, 0xda, 0xed, 0xc1, 0x31, 0x01, 0x00, 0x00, 0x00, 0xc2, 0xa0, 0xf5, 0x4f, 0x6d, 0x0d, 0x0f, 0xa0, 0x00,
        0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
        0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
        0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
        0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
        0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
        0x00, 0x00, 0x00, 0x00, 0x00, 0x80, 0x57, 0x03, 0x86, 0xaf, 0x00, 0x01,
    ];
    const STORED: &[u8] =
        &[0x78, 0x01, 0x01, 0x06, 0x00, 0xf9, 0xff, 0x73, 0x74, 0x6f, 0x72, 0x65, 0x64, 0x09, 0x3c, 0x02, 0x92];
    const FIXED: &[u8] = &[0x78, 0xda, 0x4b, 0x4c, 0x84, 0x01, 0x00, 0x14, 0xe1, 0x03, 0xcb];
}
