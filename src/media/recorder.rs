//! Keeps a recording until the disk takes it: G.711 byte by byte as it came, or Opus in Ogg pages.
//!
//! Time is never lost, sound may be. What does not fit into the ring because the disk is slow is dropped, and as much of it
//! is written later: first the mark of a gap, then silence. Silence of any length is kept as a number, not as bytes. The
//! length of what was heard quietly is measured: G.711 by its level, Opus by the size of its packets, because nothing is
//! decoded here.

use super::ogg::{Ogg, PAGE_BYTES_MAX};
use super::ring::Ring;
use super::{Codec, opus, tone};

/// The recorder of one message.
pub struct Recorder {
    /// What is to be written. Before the recording it may serve for what is to be said.
    pub ring: Ring,
    ogg: Ogg,
    codec: Codec,
    run: Run,
    /// Silence that is shorter than a packet.
    rest: u32,
    /// Where the mark of the gap is, when it is said in packets.
    mark: usize,
    /// The first byte of the last Opus packet: what silence in its place looks like.
    toc: u8,
    is_begun: bool,
    is_ended: bool,
    units: u64,
    lost_units: u64,
    quiet_units: u64,
    /// Of the packets that came, without the silence between them.
    heard_units: u64,
}

/// Time that has to be written after what is in the ring, in units of the codec's clock.
#[derive(Clone, Copy)]
struct Run {
    total: u32,
    done: u32,
    /// Where sound was dropped first.
    mark_at: Option<u32>,
}

impl Recorder {
    /// One that has nothing.
    pub const fn new() -> Self {
        Self {
            ring: Ring::new(),
            ogg: Ogg::new(),
            codec: Codec::Alaw,
            run: Run::NONE,
            rest: 0,
            mark: 0,
            toc: 0,
            is_begun: false,
            is_ended: false,
            units: 0,
            lost_units: 0,
            quiet_units: 0,
            heard_units: 0,
        }
    }

    /// Begins a recording; the serial number is for Ogg.
    pub fn begin(&mut self, codec: Codec, serial: u32) {
        self.ring.clear();
        (self.codec, self.run, self.rest, self.toc) = (codec, Run::NONE, 0, TOC);
        (self.is_begun, self.is_ended) = (true, false);
        (self.units, self.lost_units, self.quiet_units, self.heard_units) = (0, 0, 0, 0);
        if codec == Codec::Opus {
            let is_written = self.ogg.begin(serial, &mut self.ring);
            debug_assert!(is_written, "the headers fit an empty ring");
        }
    }

    /// Whether there is a recording.
    pub const fn is_begun(&self) -> bool {
        self.is_begun
    }

    /// Takes a payload that lasts `units`.
    pub fn sound(&mut self, payload: &[u8], units: u32) {
        let is_quiet = match self.codec.law() {
            Some(law) => law.level(payload) < QUIET_LEVEL,
            None => opus::is_silence(payload),
        };
        self.quiet_units = if is_quiet { self.quiet_units + u64::from(units) } else { 0 };
        self.units += u64::from(units);
        self.heard_units += u64::from(units);
        self.pump();
        if self.run.is_pending() || !self.push(payload, units) {
            self.drop_sound(units);
        }
    }

    /// Takes silence.
    pub fn silence(&mut self, units: u32) {
        self.quiet_units += u64::from(units);
        self.units += u64::from(units);
        self.run.total = self.run.total.saturating_add(units).saturating_add(core::mem::take(&mut self.rest));
        self.pump();
    }

    /// What is to be appended to the file next, into `out`; how many bytes. Before the last it waits until it is worth a
    /// write. With `is_last` the file is ended: it is to be called until it says 0.
    pub fn take_chunk(&mut self, is_last: bool, out: &mut [u8]) -> usize {
        if !self.has_chunk() && !is_last {
            return 0;
        }
        let mut len = 0;
        loop {
            len += self.ring.pop(&mut out[len..]);
            self.pump();
            if len == out.len() || self.ring.is_empty() && !(is_last && self.end()) {
                return len;
            }
        }
    }

    /// Whether there is so much that it is worth a write: a quarter of a second of G.711, or a page.
    pub const fn has_chunk(&self) -> bool {
        let least = if matches!(self.codec, Codec::Opus) { 1 } else { CHUNK_BYTES_MIN };
        self.is_begun && self.ring.len() >= least
    }

    /// How long it is.
    pub const fn recorded_ms(&self) -> u64 {
        self.units / self.codec.units_per_ms() as u64
    }

    /// How much of it was dropped because the disk was slow.
    pub const fn lost_ms(&self) -> u64 {
        self.lost_units / self.codec.units_per_ms() as u64
    }

    /// How much of it came in packets; the rest is silence in place of what did not come.
    pub const fn heard_ms(&self) -> u64 {
        self.heard_units / self.codec.units_per_ms() as u64
    }

    /// For how long nothing has been heard up to now.
    pub const fn quiet_ms(&self) -> u64 {
        self.quiet_units / self.codec.units_per_ms() as u64
    }

    fn push(&mut self, payload: &[u8], units: u32) -> bool {
        if self.codec != Codec::Opus {
            return self.ring.push(payload);
        }
        self.toc = payload.first().copied().unwrap_or(TOC);
        self.add(payload, units)
    }

    /// Puts a packet onto a page. When there is no room for the page that is full, it is dropped with what is on it.
    fn add(&mut self, packet: &[u8], units: u32) -> bool {
        if self.ogg.add(packet, units) {
            return true;
        }
        if self.ogg.flush(&mut self.ring) {
            return self.ogg.add(packet, units);
        }
        let dropped = self.ogg.discard();
        self.drop_sound(dropped);
        false
    }

    fn drop_sound(&mut self, units: u32) {
        if self.run.mark_at.is_none() {
            (self.run.mark_at, self.mark) = (Some(self.run.total), 0);
        }
        self.run.total = self.run.total.saturating_add(units);
        self.lost_units += u64::from(units);
    }

    /// Writes of the run what there is room for.
    fn pump(&mut self) {
        match self.codec.law() {
            Some(_) => self.pump_bytes(),
            None => self.pump_packets(),
        }
        if !self.run.is_pending() {
            self.run = Run::NONE;
        }
    }

    fn pump_bytes(&mut self) {
        let Some(law) = self.codec.law() else { return };
        let mut bytes = [0; 160];
        while self.run.is_pending() {
            let len = bytes.len().min(self.ring.room()).min((self.run.total - self.run.done) as usize);
            let piece = &mut bytes[..len];
            for (at, byte) in (self.run.done..).zip(piece.iter_mut()) {
                let mark = self.run.mark_at.and_then(|begin| tone::sample(tone::GAP_MARK, at.checked_sub(begin)?));
                *byte = law.encode(mark.unwrap_or(0));
            }
            if len == 0 || !self.ring.push(piece) {
                return;
            }
            self.run.done += len as u32;
        }
    }

    /// Packets for nothing are a byte each, so a page lasts its half second; none is begun that might not fit. What is left
    /// is shorter than a packet and waits for more.
    fn pump_packets(&mut self) {
        while self.run.is_pending() && self.ring.room() >= PAGE_BYTES_MAX {
            let is_marked = self.run.mark_at.is_some_and(|begin| self.run.done >= begin);
            let mark = if is_marked { opus::GAP_MARK.packet(self.mark) } else { None };
            let missing = opus::missing(self.toc);
            let (packet, next) = mark.unwrap_or((&[], self.mark));
            let packet = if packet.is_empty() { &missing[..] } else { packet };
            let Some(units) = opus::duration(packet).filter(|units| *units <= self.run.total - self.run.done) else {
                (self.rest, self.run) = (self.run.total - self.run.done, Run::NONE);
                return;
            };
            if !self.add(packet, units) {
                return;
            }
            (self.run.done, self.mark) = (self.run.done + units, next);
        }
    }

    fn end(&mut self) -> bool {
        let is_due = self.codec == Codec::Opus && self.is_begun && !self.is_ended;
        self.is_ended = true;
        is_due && self.ogg.end(&mut self.ring)
    }
}

impl Run {
    const NONE: Self = Self { total: 0, done: 0, mark_at: None };

    const fn is_pending(&self) -> bool {
        self.done < self.total
    }
}

impl Default for Recorder {
    fn default() -> Self {
        Self::new()
    }
}

/// Writes of less are not worth the disk's while.
const CHUNK_BYTES_MIN: usize = 2048;
/// Mean distance from 0 below which a packet counts as quiet: about -44 dB of full scale, below speech on any line.
const QUIET_LEVEL: u16 = 200;
/// Opus of 20 ms, narrowband, one channel.
const TOC: u8 = 0x08;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::g711::Law;
    use crate::media::ogg::{PRE_SKIP, Page};
    use std::vec::Vec;

    fn chunk(recorder: &mut Recorder, file: &mut Vec<u8>, is_last: bool) -> usize {
        let mut out = std::vec![0; 8192];
        let len = recorder.take_chunk(is_last, &mut out);
        file.extend(&out[..len]);
        len
    }

    fn finish(recorder: &mut Recorder, file: &mut Vec<u8>) {
        while chunk(recorder, file, true) > 0 {}
    }

    /// Loud A-law that says which packet it is.
    fn packet(number: usize) -> [u8; 160] {
        [0xa0 | (number % 10) as u8; 160]
    }

    #[test]
    fn sound_as_it_came() {
        let (mut recorder, mut file) = (Recorder::new(), Vec::new());
        assert_eq!(chunk(&mut recorder, &mut file, true), 0);
        recorder.begin(Codec::Alaw, 0);
        for number in 0..100 {
            recorder.sound(&packet(number), 160);
            let len = chunk(&mut recorder, &mut file, false);
            assert!(len == 0 || len >= CHUNK_BYTES_MIN);
        }
        recorder.silence(80);
        finish(&mut recorder, &mut file);
        let expected: Vec<u8> = (0..100).flat_map(packet).chain([0xd5; 80]).collect();
        assert_eq!((recorder.recorded_ms(), recorder.heard_ms(), recorder.lost_ms()), (2010, 2000, 0));
        assert_eq!(file, expected);
    }

    #[test]
    fn slow_disk_leaves_a_marked_gap_of_the_right_length() {
        for law in [Law::A, Law::Mu] {
            let codec = if law == Law::A { Codec::Alaw } else { Codec::Ulaw };
            let (mut recorder, mut file) = (Recorder::new(), Vec::new());
            recorder.begin(codec, 0);
            // 51 packets fit, then nothing is taken for 3 s; then the disk is fast again.
            (0..201).for_each(|number| recorder.sound(&packet(number), 160));
            assert_eq!(recorder.lost_ms(), 3000);
            while chunk(&mut recorder, &mut file, false) > 0 {}
            (201..210).for_each(|number| recorder.sound(&packet(number), 160));
            finish(&mut recorder, &mut file);
            assert_eq!((file.len(), recorder.recorded_ms(), recorder.lost_ms()), (210 * 160, 4200, 3000));
            let sound: Vec<u8> = (0..51).flat_map(packet).collect();
            assert_eq!(file[..51 * 160], sound);
            let mark: Vec<u8> = (0..480).map(|at| law.encode(tone::sample(tone::GAP_MARK, at).unwrap())).collect();
            assert_eq!(file[51 * 160..54 * 160], mark);
            assert!(file[54 * 160..201 * 160].iter().all(|byte| *byte == law.silence()));
            assert_eq!(file[201 * 160..], (201..210).flat_map(packet).collect::<Vec<u8>>());
        }
    }

    #[test]
    fn long_silence_is_no_loss() {
        let (mut recorder, mut file) = (Recorder::new(), Vec::new());
        recorder.begin(Codec::Ulaw, 0);
        recorder.sound(&[0; 160], 160);
        assert_eq!(recorder.quiet_ms(), 0);
        recorder.silence(100_000);
        recorder.sound(&[0xff; 160], 160);
        assert_eq!(recorder.quiet_ms(), 12_520);
        finish(&mut recorder, &mut file);
        // Of what came while the silence was not written yet, the end is missing, and marked.
        assert_eq!((file.len(), recorder.lost_ms()), (100_320, 20));
        assert!(file[160..100_160].iter().all(|byte| *byte == 0xff));
        recorder.sound(&[0; 160], 160);
        assert_eq!(recorder.quiet_ms(), 0);
    }

    /// The packets of a file without its headers, and where it ends.
    fn packets(mut file: &[u8]) -> (Vec<Vec<u8>>, u64) {
        let (mut packets, mut last) = (Vec::new(), None);
        while let Some((page, rest)) = Page::parse(file) {
            packets.extend(page.packets().map(<[u8]>::to_vec));
            (file, last) = (rest, Some(page));
        }
        let last = last.expect("pages");
        assert!(file.is_empty() && last.is_last);
        (packets.split_off(2), last.granule)
    }

    #[test]
    fn opus_in_pages() {
        let (mut recorder, mut file) = (Recorder::new(), Vec::new());
        recorder.begin(Codec::Opus, 77);
        for number in 0..100u8 {
            recorder.sound(&[0x48, number, 3, 4], 960);
            chunk(&mut recorder, &mut file, false);
        }
        recorder.silence(960 * 50 + 5);
        recorder.sound(&[0x48, 100, 3, 4], 960);
        finish(&mut recorder, &mut file);
        let (packets, granule) = packets(&file);
        assert_eq!((packets.len(), granule), (151, 151 * 960));
        assert!(packets[100..150].iter().all(|packet| *packet == [0x48]));
        assert_eq!((&packets[99][1], &packets[150][1]), (&99, &100));
        assert!(u64::from(PRE_SKIP) < granule);
    }

    #[test]
    fn slow_disk_and_opus() {
        let (mut recorder, mut file) = (Recorder::new(), Vec::new());
        recorder.begin(Codec::Opus, 77);
        let mut large = [7; 500];
        large[0] = 0x48;
        // 10 KB a half second: the ring is full after one or two pages.
        (0..500).for_each(|_| recorder.sound(&large, 960));
        assert!((9000..10_000).contains(&recorder.lost_ms()), "{}", recorder.lost_ms());
        while chunk(&mut recorder, &mut file, false) > 0 {}
        (0..5).for_each(|_| recorder.sound(&large, 960));
        finish(&mut recorder, &mut file);
        let (packets, granule) = packets(&file);
        assert_eq!(granule, 505 * 960);
        let whole = packets.iter().take_while(|packet| packet.len() == 500).count();
        let (mark, _) = opus::GAP_MARK.packet(0).unwrap();
        assert_eq!(packets[whole], mark);
        let lost = recorder.lost_ms() as usize / 20;
        assert_eq!((packets.len(), whole + lost), (505, 500));
        assert!(packets[whole + 4..whole + lost].iter().all(|packet| *packet == [0x48]));
        assert!(packets[500..].iter().all(|packet| packet == &large));
        assert_eq!(recorder.quiet_ms(), 0);
    }
}
