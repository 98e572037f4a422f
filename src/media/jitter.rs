//! Puts received packets into order and accounts for time: what is handed out, sound and silence together, lasts as long
//! as the call did (RFC 3550 §5.1 for what sequence numbers and timestamps mean, §A.1 for when they are believed).
//!
//! A recorder needs no playout clock, so a packet that is next is handed out at once. One that is early waits for those
//! before it, at most [`PATIENCE_MS`]; then they are lost, and their time becomes silence. When nothing comes at all, a
//! pause, silence is handed out as the time passes. Timestamps say how long a gap was, as long as they agree with the
//! clock; when they jump, the clock does. Left out: stretching, and the sender's clock drift.

use heapless::Vec;

use crate::base::time::Instant;

/// Packets that wait for others.
pub const PACKETS: usize = 16;
/// Bytes of all packets that wait.
pub const WAITING_BYTES: usize = 5 * 1024;
/// How long a packet waits for those before it.
pub const PATIENCE_MS: u64 = 200;

/// What is handed out next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Piece<'b> {
    /// The payload of a packet.
    Sound(&'b [u8]),
    /// Nothing was sent, or it is lost; so many units of the clock.
    Silence(u32),
}

/// What became of a packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Taken {
    /// It waits for its turn.
    Kept,
    /// It was there already, or what follows it was handed out.
    Late,
    /// There is no room: pieces are to be taken first, by force.
    Full,
    /// Its number is far from what is expected. If the next one follows it, the stream has begun anew.
    Odd,
    /// It follows an odd one: all that waits is to be taken by force, then the stream to be restarted.
    Restarted,
}

/// The packets of one stream that wait.
pub struct Jitter {
    /// In order of their numbers.
    waiting: Vec<Entry, PACKETS>,
    bytes: [u8; WAITING_BYTES],
    used: u16,
    /// Whether the first in `waiting` has been handed out.
    is_spent: bool,
    /// Whether `next` and `end` say something: not before the first packet.
    is_running: bool,
    /// The number that is due.
    next: u16,
    /// The timestamp up to which all is handed out.
    end: u32,
    /// When the last sound that was handed out had come.
    heard: Instant,
    /// Silence handed out since.
    filled: u32,
    /// When it began, and how much has been handed out since, so that timestamps can't make more of it than time passes.
    began: Instant,
    given: u64,
    /// What follows the last odd number.
    odd: Option<u16>,
    units_per_ms: u32,
    /// Packets that never came, or too late.
    pub lost: u32,
    /// Packets that came twice or too late.
    pub late: u32,
}

/// A packet in `bytes`; it is empty when its number is all that counts.
#[derive(Clone, Copy)]
struct Entry {
    sequence: u16,
    timestamp: u32,
    units: u32,
    arrived: Instant,
    start: u16,
    len: u16,
}

impl Jitter {
    /// One that waits for a first packet.
    pub const fn new() -> Self {
        Self {
            waiting: Vec::new(),
            bytes: [0; WAITING_BYTES],
            used: 0,
            is_spent: false,
            is_running: false,
            next: 0,
            end: 0,
            heard: Instant::ZERO,
            filled: 0,
            began: Instant::ZERO,
            given: 0,
            odd: None,
            units_per_ms: 0,
            lost: 0,
            late: 0,
        }
    }

    /// Begins: time counts from `now`, in so many units of the timestamps a millisecond. Counters go on.
    pub fn begin(&mut self, now: Instant, units_per_ms: u32) {
        self.restart();
        (self.heard, self.filled, self.units_per_ms) = (now, 0, units_per_ms);
        (self.began, self.given) = (now, 0);
    }

    /// Another stream follows: numbers and timestamps start anew, time goes on. What waits is dropped.
    pub fn restart(&mut self) {
        self.waiting.clear();
        (self.used, self.is_spent, self.is_running, self.odd) = (0, false, false, None);
    }

    /// Takes a packet that lasts `units`. An empty payload holds the place of a packet without sound.
    pub fn put(&mut self, now: Instant, sequence: u16, timestamp: u32, payload: &[u8], units: u32) -> Taken {
        self.drop_spent();
        let reference = if self.is_running { Some(self.next) } else { self.waiting.first().map(|it| it.sequence) };
        let ahead = reference.map_or(0, |reference| sequence.wrapping_sub(reference).cast_signed());
        if !(-MISORDER..DROPOUT).contains(&ahead) {
            let is_second = self.odd == Some(sequence);
            self.odd = Some(sequence.wrapping_add(1));
            return if is_second { Taken::Restarted } else { Taken::Odd };
        }
        let before = |it: &Entry| it.sequence.wrapping_sub(sequence).cast_signed() < 0;
        let at = self.waiting.iter().take_while(|it| before(it)).count();
        if self.is_running && ahead < 0 || self.waiting.get(at).is_some_and(|it| it.sequence == sequence) {
            self.late = self.late.saturating_add(1);
            return Taken::Late;
        }
        let start = usize::from(self.used);
        let Some(room) = self.bytes.get_mut(start..start + payload.len()) else { return Taken::Full };
        let (start, len) = (self.used, payload.len() as u16);
        if self.waiting.insert(at, Entry { sequence, timestamp, units, arrived: now, start, len }).is_err() {
            return Taken::Full;
        }
        room.copy_from_slice(payload);
        self.used += len;
        self.odd = None;
        Taken::Kept
    }

    /// The next piece, if it is time for one. By force: whatever waits is handed out.
    pub fn next(&mut self, now: Instant, by_force: bool) -> Option<Piece<'_>> {
        self.drop_spent();
        loop {
            let Some(head) = self.waiting.first().copied() else {
                return if by_force { None } else { self.pause(now).map(Piece::Silence) };
            };
            if !by_force && !self.is_due(&head, now) {
                return None;
            }
            if head.len > 0 {
                let gap = self.gap(&head);
                self.expect(&head);
                if gap > 0 {
                    self.end = head.timestamp;
                    self.given += u64::from(gap);
                    return Some(Piece::Silence(gap));
                }
                self.end = self.end.wrapping_add(head.units);
                self.given += u64::from(head.units);
                (self.next, self.heard, self.filled) = (head.sequence.wrapping_add(1), head.arrived, 0);
                self.is_spent = true;
                let start = usize::from(head.start);
                return Some(Piece::Sound(&self.bytes[start..start + usize::from(head.len)]));
            }
            if self.is_running {
                self.expect(&head);
                self.next = head.sequence.wrapping_add(1);
            }
            self.is_spent = true;
            self.drop_spent();
        }
    }

    /// When `next` may have something without another packet.
    pub fn deadline(&self) -> Instant {
        match self.waiting.get(usize::from(self.is_spent)) {
            Some(head) if self.is_running && head.sequence == self.next => head.arrived,
            Some(head) => head.arrived.plus(if self.is_running { PATIENCE_MS } else { START_MS }),
            None => self.heard.plus(u64::from(self.filled / self.units_per_ms.max(1)) + PATIENCE_MS + PAUSE_MS),
        }
    }

    fn is_due(&self, head: &Entry, now: Instant) -> bool {
        let waited = now.since(head.arrived);
        if self.is_running {
            head.sequence == self.next || waited >= PATIENCE_MS
        } else {
            // The first may be overtaken, too.
            waited >= START_MS || self.waiting.len() >= 3
        }
    }

    /// The stream is at `head` now; what is missing before it is lost.
    fn expect(&mut self, head: &Entry) {
        if self.is_running {
            self.lost = self.lost.saturating_add(head.sequence.wrapping_sub(self.next).into());
        } else {
            (self.is_running, self.end) = (true, head.timestamp);
        }
        self.next = head.sequence;
    }

    /// The silence between what was handed out and `head`.
    fn gap(&mut self, head: &Entry) -> u32 {
        let elapsed = self.units(head.arrived.since(self.heard));
        let ahead = head.timestamp.wrapping_sub(self.end).cast_signed();
        let (slack, back) = (self.units(SLACK_MS), self.units(BACK_MS).cast_signed());
        let passed =
            u64::from(self.units_per_ms).saturating_mul(head.arrived.since(self.began).saturating_add(SLACK_MS));
        let most = passed.saturating_sub(self.given).min(u32::MAX.into()) as u32;
        if self.is_running && ahead > -back && ahead <= elapsed.saturating_add(slack).cast_signed() {
            // Behind the end: the silence that was handed out in its place was too long. Words are not dropped for that;
            // the next pause is shorter.
            let gap = ahead.max(0).cast_unsigned();
            if gap > most {
                self.end = head.timestamp;
            }
            return gap.min(most);
        }
        self.end = head.timestamp;
        let gap = elapsed.saturating_sub(self.filled).min(most);
        if gap >= self.units(PAUSE_MS) { gap } else { 0 }
    }

    /// Silence for a time in which nothing came.
    fn pause(&mut self, now: Instant) -> Option<u32> {
        let elapsed = now.since(self.heard).saturating_sub(PATIENCE_MS);
        let silence = self.units(elapsed).checked_sub(self.filled).filter(|it| *it >= self.units(PAUSE_MS))?;
        self.filled += silence;
        self.given += u64::from(silence);
        self.end = self.end.wrapping_add(silence);
        Some(silence)
    }

    /// A time in units of the timestamps, at most a tenth of what they can count.
    fn units(&self, ms: u64) -> u32 {
        ms.saturating_mul(self.units_per_ms.into()).min(u64::from(u32::MAX / 10)) as u32
    }

    fn drop_spent(&mut self) {
        if !core::mem::take(&mut self.is_spent) || self.waiting.is_empty() {
            return;
        }
        let gone = self.waiting.remove(0);
        self.bytes.copy_within(usize::from(gone.start + gone.len)..self.used.into(), gone.start.into());
        self.used -= gone.len;
        self.waiting.iter_mut().filter(|it| it.start > gone.start).for_each(|it| it.start -= gone.len);
    }
}

impl Default for Jitter {
    fn default() -> Self {
        Self::new()
    }
}

/// Nothing has to come for so long, beyond patience, to be a pause.
const PAUSE_MS: u64 = 100;
/// How long the first packet waits for one before it.
const START_MS: u64 = 40;
/// So far timestamps may be ahead of the clock, or behind what was handed out.
const SLACK_MS: u64 = 1000;
const BACK_MS: u64 = 2000;
/// Numbers so far behind or ahead are believed (RFC 3550 §A.1).
const MISORDER: i16 = 100;
const DROPOUT: i16 = 3000;

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    /// What was handed out: the first byte of a payload, or silence in milliseconds below 0.
    struct Ear {
        jitter: Jitter,
        heard: Vec<i32>,
        units: u32,
    }

    impl Ear {
        fn new() -> Self {
            let mut jitter = Jitter::new();
            jitter.begin(Instant::ZERO, 8);
            Self { jitter, heard: Vec::new(), units: 0 }
        }

        fn drain(&mut self, ms: u64, by_force: bool) {
            while let Some(piece) = self.jitter.next(Instant::from_millis(ms), by_force) {
                match piece {
                    Piece::Sound(payload) => {
                        self.heard.push(payload[0].into());
                        self.units += 160;
                    }
                    Piece::Silence(units) => {
                        self.heard.push(-(units.cast_signed()) / 8);
                        self.units += units;
                    }
                }
            }
        }

        /// 20 ms of A-law at `ms`, whose payload begins with the low byte of its number.
        fn packet(&mut self, ms: u64, sequence: u16, timestamp: u32) -> Taken {
            let taken = self.jitter.put(Instant::from_millis(ms), sequence, timestamp, &[sequence as u8; 160], 160);
            self.drain(ms, false);
            taken
        }

        /// Packets in their time.
        fn speak(&mut self, numbers: core::ops::RangeInclusive<u16>) {
            for i in numbers {
                assert_eq!(self.packet(u64::from(i) * 20, i, 160 * u32::from(i)), Taken::Kept);
            }
        }
    }

    #[test]
    fn in_order_over_both_wraps() {
        let mut ear = Ear::new();
        let first = 65_530u16;
        for i in 0..12u16 {
            let timestamp = (u32::MAX - 800).wrapping_add(160 * u32::from(i));
            assert_eq!(ear.packet(20 * u64::from(i), first.wrapping_add(i), timestamp), Taken::Kept);
        }
        assert_eq!(ear.heard, [250, 251, 252, 253, 254, 255, 0, 1, 2, 3, 4, 5]);
        assert_eq!((ear.jitter.lost, ear.jitter.late), (0, 0));
    }

    #[test]
    fn reordered_doubled_and_lost() {
        let mut ear = Ear::new();
        for (ms, sequence) in [(0, 2), (10, 1), (40, 3), (60, 5), (61, 5), (80, 4), (81, 4), (100, 6)] {
            ear.packet(ms, sequence, 160 * u32::from(sequence));
        }
        assert_eq!(ear.heard, [1, 2, 3, 4, 5, 6]);
        assert_eq!((ear.jitter.late, ear.jitter.lost), (2, 0));
        // 7 and 8 never come: 9 waits 200 ms for them, then their 40 ms are silence.
        ear.packet(160, 9, 160 * 9);
        ear.packet(180, 10, 160 * 10);
        assert_eq!(ear.jitter.deadline(), Instant::from_millis(360));
        ear.drain(359, false);
        assert_eq!(ear.heard.len(), 6);
        ear.drain(360, false);
        assert_eq!(ear.heard[6..], [-40, 9, 10]);
        assert_eq!((ear.jitter.lost, ear.packet(361, 8, 160 * 8)), (2, Taken::Late));
        assert_eq!(ear.units, 160 * 10);
    }

    #[test]
    fn pause_lasts_as_long_as_it_was() {
        let mut ear = Ear::new();
        ear.speak(1..=4);
        // Nothing for 2 s, then the timestamps say so. Silence comes as time passes.
        (100..2000).step_by(50).for_each(|ms| ear.drain(ms, false));
        assert!(ear.units > 160 * 4 + 8 * 1500, "{}", ear.units);
        ear.packet(2080, 5, 160 * 5 + 8 * 2000 - 160);
        assert_eq!(ear.units, 8 * 2080);
        // Without anybody looking meanwhile it is the same.
        ear.packet(4080, 6, 160 * 5 + 8 * 4000 - 160);
        assert_eq!(ear.units, 8 * 4080);
    }

    #[test]
    fn timestamps_that_jump_do_not_count() {
        let mut ear = Ear::new();
        ear.speak(1..=4);
        for (ms, sequence, timestamp) in [(100, 5, 90_000_000u32), (120, 6, 90_000_160), (140, 7, 5), (160, 8, 165)] {
            ear.packet(ms, sequence, timestamp);
        }
        assert_eq!(ear.heard, [1, 2, 3, 4, 5, 6, 7, 8]);
        // A jump after a pause: the clock says how long it was.
        ear.packet(1160, 9, 77_777_777);
        assert_eq!(ear.units, 160 * 9 + 8 * 1000);
    }

    #[test]
    fn timestamps_do_not_make_time_pass() {
        let mut ear = Ear::new();
        ear.speak(1..=4);
        // Each packet claims 900 ms before it, which a single one may.
        for i in 5..=104 {
            ear.packet(u64::from(i) * 20, i, 7200 * u32::from(i));
        }
        assert!(ear.units <= 8 * (2080 + 1000 + 20), "{} ms", ear.units / 8);
        assert_eq!(ear.heard.iter().filter(|it| **it >= 0).count(), 104);
    }

    #[test]
    fn late_sound_is_kept_and_the_next_pause_shorter() {
        let mut ear = Ear::new();
        ear.speak(1..=4);
        (100..600).step_by(50).for_each(|ms| ear.drain(ms, false));
        let filled = ear.units - 640;
        assert!(filled > 1600, "{filled}");
        // What was held up arrives at once: nothing of it is missing.
        (5..=29).for_each(|i| assert_eq!(ear.packet(600, i, 160 * u32::from(i)), Taken::Kept));
        assert_eq!(ear.units, 160 * 29 + filled);
        // The pause after it gives back what was too long.
        ear.packet(1600, 30, 160 * 30 + 8 * 1000);
        assert_eq!(ear.units, 160 * 30 + 8 * 1000);
    }

    #[test]
    fn stream_that_begins_anew_has_to_go_on() {
        let mut ear = Ear::new();
        ear.speak(1..=4);
        assert_eq!(ear.packet(100, 40_000, 1), Taken::Odd);
        assert_eq!(ear.packet(120, 5, 160 * 5), Taken::Kept);
        assert_eq!(ear.packet(140, 50_000, 1), Taken::Odd);
        assert_eq!(ear.packet(160, 50_001, 161), Taken::Restarted);
        ear.drain(160, true);
        ear.jitter.restart();
        assert_eq!(ear.packet(160, 50_001, 161), Taken::Kept);
        ear.packet(180, 50_002, 321);
        ear.packet(200, 50_003, 481);
        assert_eq!(ear.heard, [1, 2, 3, 4, 5, 81, 82, 83]);
    }

    #[test]
    fn full_is_told_and_force_empties() {
        let mut ear = Ear::new();
        ear.speak(1..=4);
        let kept = (6..40).take_while(|i| ear.packet(100, *i, 160 * u32::from(*i)) == Taken::Kept).count();
        assert_eq!(kept, PACKETS);
        ear.drain(100, true);
        assert_eq!(ear.heard[4..7], [-20, 6, 7]);
        assert_eq!(ear.jitter.next(Instant::from_millis(100), true), None);
        let large = [0; 1275];
        let mut put = |i: u16| ear.jitter.put(Instant::from_millis(110), i, 160 * u32::from(i), &large, 160);
        assert_eq!([30, 31, 32, 33, 34].map(&mut put)[3..], [Taken::Kept, Taken::Full]);
    }

    #[test]
    fn places_without_sound() {
        let mut ear = Ear::new();
        ear.speak(1..=3);
        // Three packets of an event, 60 ms, then sound goes on.
        for i in 4..=6 {
            assert_eq!(ear.jitter.put(Instant::from_millis(20 * u64::from(i)), i, 640, &[], 0), Taken::Kept);
        }
        ear.packet(140, 7, 160 * 7);
        assert_eq!(ear.heard, [1, 2, 3, -60, 7]);
        assert_eq!(ear.jitter.lost, 0);
    }
}
