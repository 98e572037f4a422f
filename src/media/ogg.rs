//! Ogg Opus, written page by page: Ogg pages (RFC 3533 §6) with Opus in them (RFC 7845).
//!
//! Each page ends with a whole packet and has its own checksum, so a file that lost its tail plays up to there. The first
//! two pages are OpusHead and OpusTags (RFC 7845 §5); a page of sound is closed after half a second or [`PAGE_BYTES`].
//! Left out: packets over several pages, chained and multiplexed streams, output gain, end trimming.

use super::opus;
use super::ring::Ring;

/// Bytes of packets on one page.
pub const PAGE_BYTES: usize = 4096;
/// The largest page with its header.
pub const PAGE_BYTES_MAX: usize = HEADER_BYTES + SEGMENTS + PAGE_BYTES;

/// The writer of one file. It holds the page that is being filled.
pub struct Ogg {
    page: [u8; PAGE_BYTES],
    page_len: usize,
    lacing: [u8; SEGMENTS],
    segments: usize,
    page_units: u32,
    /// Length of all closed pages, in units of 48 kHz, with what is skipped at the beginning.
    granule: u64,
    number: u32,
    serial: u32,
}

impl Ogg {
    /// A writer that has written nothing.
    pub const fn new() -> Self {
        Self {
            page: [0; PAGE_BYTES],
            page_len: 0,
            lacing: [0; SEGMENTS],
            segments: 0,
            page_units: 0,
            granule: 0,
            number: 0,
            serial: 0,
        }
    }

    /// Begins a file: writes the two header pages. The serial number tells logical streams apart.
    #[must_use]
    pub fn begin(&mut self, serial: u32, ring: &mut Ring) -> bool {
        (self.page_len, self.segments, self.page_units) = (0, 0, 0);
        (self.granule, self.number, self.serial) = (0, 0, serial);
        if ring.room() < 2 * (HEADER_BYTES + 1) + HEAD.len() + TAGS.len() {
            return false;
        }
        let is_head_written = self.add(&HEAD, 0) && self.close(FIRST, ring);
        is_head_written && self.add(TAGS, 0) && self.close(0, ring)
    }

    /// Puts a packet that lasts `units` onto the page, or nothing and `false` when the page is to be closed first.
    #[must_use]
    pub fn add(&mut self, packet: &[u8], units: u32) -> bool {
        let segments = packet.len() / 255 + 1;
        let is_too_long = self.page_units > 0 && self.page_units + units > PAGE_UNITS;
        if is_too_long || self.segments + segments > SEGMENTS || self.page_len + packet.len() > PAGE_BYTES {
            return false;
        }
        let lacing = &mut self.lacing[self.segments..self.segments + segments];
        lacing.fill(255);
        lacing[segments - 1] = (packet.len() % 255) as u8;
        self.page[self.page_len..self.page_len + packet.len()].copy_from_slice(packet);
        self.page_len += packet.len();
        self.segments += segments;
        self.page_units += units;
        true
    }

    /// Closes the page if anything is on it and moves it into the ring; `false` when there is no room.
    #[must_use]
    pub fn flush(&mut self, ring: &mut Ring) -> bool {
        self.segments == 0 || self.close(0, ring)
    }

    /// Closes the last page, an empty one if need be; `false` when there is no room.
    #[must_use]
    pub fn end(&mut self, ring: &mut Ring) -> bool {
        self.close(LAST, ring)
    }

    /// Units on the page that is not closed yet.
    pub const fn open_units(&self) -> u32 {
        self.page_units
    }

    /// Throws away what is on the page that is not closed; how long it would have lasted.
    pub fn discard(&mut self) -> u32 {
        (self.page_len, self.segments) = (0, 0);
        core::mem::take(&mut self.page_units)
    }

    fn close(&mut self, flags: u8, ring: &mut Ring) -> bool {
        if ring.room() < HEADER_BYTES + self.segments + self.page_len {
            return false;
        }
        self.granule += u64::from(self.page_units);
        let mut header = [0; HEADER_BYTES];
        header[..4].copy_from_slice(b"OggS");
        header[5] = flags;
        header[6..14].copy_from_slice(&self.granule.to_le_bytes());
        header[14..18].copy_from_slice(&self.serial.to_le_bytes());
        header[18..22].copy_from_slice(&self.number.to_le_bytes());
        header[26] = self.segments as u8;
        let (lacing, page) = (&self.lacing[..self.segments], &self.page[..self.page_len]);
        let mut digest = CRC.digest();
        [&header, lacing, page].iter().for_each(|part| digest.update(part));
        header[22..26].copy_from_slice(&digest.finalize().to_le_bytes());
        let is_pushed = ring.push(&header) && ring.push(lacing) && ring.push(page);
        self.number = self.number.wrapping_add(1);
        self.discard();
        is_pushed
    }
}

impl Default for Ogg {
    fn default() -> Self {
        Self::new()
    }
}

/// One page of a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Page<'b> {
    /// Whether it is the last one.
    pub is_last: bool,
    /// Units of 48 kHz up to its end.
    pub granule: u64,
    /// Counts pages.
    pub number: u32,
    lacing: &'b [u8],
    body: &'b [u8],
}

impl<'b> Page<'b> {
    /// Reads the first page of `bytes`, and what follows; `None` when it is cut or its checksum is wrong.
    pub fn parse(bytes: &'b [u8]) -> Option<(Self, &'b [u8])> {
        let (header, rest) = bytes.split_first_chunk::<HEADER_BYTES>()?;
        let (lacing, rest) = rest.split_at_checked(header[26].into())?;
        let len = lacing.iter().map(|len| usize::from(*len)).sum();
        let (body, rest) = rest.split_at_checked(len)?;
        let mut digest = CRC.digest();
        [&header[..22], &[0; 4], &header[26..], lacing, body].iter().for_each(|part| digest.update(part));
        let number = |at: usize| u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
        if !header.starts_with(b"OggS\0") || number(22) != digest.finalize() {
            return None;
        }
        let granule = u64::from(number(10)) << 32 | u64::from(number(6));
        Some((Self { is_last: header[5] & LAST != 0, granule, number: number(18), lacing, body }, rest))
    }

    /// The packets that end on it.
    pub fn packets(&self) -> impl Iterator<Item = &'b [u8]> {
        let (mut lacing, mut body) = (self.lacing, self.body);
        core::iter::from_fn(move || {
            let segments = lacing.iter().position(|len| *len < 255)? + 1;
            let (own, rest) = lacing.split_at(segments);
            let len = own.iter().map(|len| usize::from(*len)).sum();
            let (packet, after) = body.split_at_checked(len)?;
            (lacing, body) = (rest, after);
            Some(packet)
        })
    }
}

const HEADER_BYTES: usize = 27;
const SEGMENTS: usize = 255;
const FIRST: u8 = 2;
const LAST: u8 = 4;
const PAGE_UNITS: u32 = 500 * opus::UNITS_PER_MS;

/// What a decoder plays into nothing while it settles: a recording begins within a stream, and RFC 7845 §5.1 wants 80 ms then.
pub const PRE_SKIP: u16 = 3840;

/// Version 1, one channel (decoders mix stereo packets down), the pre-skip, 48 kHz, no gain, channel family 0.
const HEAD: [u8; 19] = {
    let mut head = *b"OpusHead\x01\x01__\x80\xbb\0\0\0\0\0";
    [head[10], head[11]] = PRE_SKIP.to_le_bytes();
    head
};
const TAGS: &[u8] = b"OpusTags\x04\0\0\0pcsd\0\0\0\0";

/// The checksum of pages: the polynomial of IEEE 802.3, unreflected, from 0 and not inverted (RFC 3533 §6).
const CRC: crc::Crc<u32, crc::Table<1>> = crc::Crc::<u32, crc::Table<1>>::new(&ALGORITHM);
const ALGORITHM: crc::Algorithm<u32> = crc::Algorithm {
    width: 32,
    poly: 0x04c1_1db7,
    init: 0,
    refin: false,
    refout: false,
    xorout: 0,
    check: 0x89a1_897f,
    residue: 0,
};

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    fn drain(ring: &mut Ring, file: &mut Vec<u8>) {
        let mut out = [0; 999];
        while !ring.is_empty() {
            let len = ring.pop(&mut out);
            file.extend(&out[..len]);
        }
    }

    #[test]
    fn checksum() {
        assert_eq!(CRC.checksum(b"123456789"), ALGORITHM.check);
    }

    #[test]
    fn headers_byte_for_byte() {
        let (mut ogg, mut ring, mut file) = (Ogg::new(), Ring::new(), Vec::new());
        assert!(ogg.begin(0x0403_0201, &mut ring));
        drain(&mut ring, &mut file);
        assert_eq!(file[..22], *b"OggS\0\x02\0\0\0\0\0\0\0\0\x01\x02\x03\x04\0\0\0\0");
        assert_eq!(file[26..47], *b"\x01\x13OpusHead\x01\x01\x00\x0f\x80\xbb\0\0\0\0\0");
        assert_eq!(file[47..69], *b"OggS\0\0\0\0\0\0\0\0\0\0\x01\x02\x03\x04\x01\0\0\0");
        assert_eq!(file[73..], *b"\x01\x14OpusTags\x04\0\0\0pcsd\0\0\0\0");
    }

    #[test]
    fn packets_come_back_up_to_a_torn_tail() {
        let (mut ogg, mut ring, mut file) = (Ogg::new(), Ring::new(), Vec::new());
        assert!(ogg.begin(7, &mut ring));
        let lengths: Vec<usize> = (0..200).map(|i| [1, 20, 254, 255, 256, 510, 1275][i % 7]).collect();
        for len in &lengths {
            let packet: Vec<u8> = (0..*len).map(|i| i as u8).collect();
            if !ogg.add(&packet, 960) {
                assert!(ogg.flush(&mut ring));
                drain(&mut ring, &mut file);
                assert!(ogg.add(&packet, 960));
            }
        }
        assert!(ogg.end(&mut ring));
        drain(&mut ring, &mut file);
        let (mut rest, mut seen, mut number, mut last) = (&file[..], Vec::new(), 0, None);
        while let Some((page, after)) = Page::parse(rest) {
            assert_eq!(page.number, number);
            number += 1;
            seen.extend(page.packets().map(<[u8]>::len));
            // The granule is what has been played up to the end of the page.
            assert_eq!(page.granule, seen.len().saturating_sub(2) as u64 * 960);
            (rest, last) = (after, Some(page));
        }
        assert!(rest.is_empty() && last.unwrap().is_last);
        assert_eq!((seen[0], seen[1]), (19, 20));
        assert_eq!(seen[2..], lengths);
        // A file that is cut has whole pages in front.
        let (mut rest, mut pages) = (&file[..file.len() - 1], 0);
        while let Some((_, after)) = Page::parse(rest) {
            (rest, pages) = (after, pages + 1);
        }
        assert_eq!(pages, number - 1);
    }

    #[test]
    fn nothing_is_lost_when_the_ring_is_full() {
        let (mut ogg, mut ring) = (Ogg::new(), Ring::new());
        assert!(ogg.begin(7, &mut ring) && ogg.add(&[8; 100], 960));
        while ring.push(&[0; 64]) {}
        assert!(!ogg.flush(&mut ring) && !ogg.end(&mut ring) && !ogg.begin(7, &mut ring));
    }
}
