//! What a receiver counts for its reports: packets lost and expected, the deviation of their spacing, the time since the
//! sender's last report (RFC 3550 §6.4.1, §A.3, §A.8).

use crate::base::time::Instant;
use crate::wire::rtp::{ReportBlock, SenderInfo};

/// The counters of one stream.
#[derive(Clone, Copy, Debug)]
pub struct Reception {
    ssrc: u32,
    is_running: bool,
    first: u32,
    highest: u32,
    received: u32,
    told_expected: u32,
    told_received: u32,
    transit: u32,
    /// The deviation times 16, in units of the timestamp.
    jitter: u32,
    last_report: u32,
    report_at: Instant,
}

impl Reception {
    /// Nothing received.
    pub const fn new() -> Self {
        Self {
            ssrc: 0,
            is_running: false,
            first: 0,
            highest: 0,
            received: 0,
            told_expected: 0,
            told_received: 0,
            transit: 0,
            jitter: 0,
            last_report: 0,
            report_at: Instant::ZERO,
        }
    }

    /// Counts a packet, and begins anew when its source is another.
    pub fn packet(&mut self, now: Instant, ssrc: u32, sequence: u16, timestamp: u32, units_per_ms: u32) {
        let transit = (now.millis() as u32).wrapping_mul(units_per_ms).wrapping_sub(timestamp);
        let ahead = sequence.wrapping_sub(self.highest as u16).cast_signed();
        if !self.is_running || self.ssrc != ssrc || ahead.unsigned_abs() > DROPOUT {
            let start = u32::from(sequence);
            *self = Self { ssrc, is_running: true, first: start, highest: start, transit, ..Self::new() };
        } else if ahead > 0 {
            self.highest = self.highest.wrapping_add(ahead.cast_unsigned().into());
        }
        self.received = self.received.wrapping_add(1);
        // Keys and pauses may let it jump by seconds; more than the clock counts in 2^16 would only drown the rest.
        let deviation = transit.wrapping_sub(self.transit).cast_signed().unsigned_abs().min(0xffff);
        self.transit = transit;
        self.jitter = self.jitter + deviation - ((self.jitter + 8) >> 4);
    }

    /// Notes a report of the sender.
    pub fn reported(&mut self, now: Instant, ssrc: u32, sender: &SenderInfo) {
        if self.is_running && self.ssrc == ssrc {
            (self.last_report, self.report_at) = ((sender.ntp >> 16) as u32, now);
        }
    }

    /// The deviation of the spacing of packets, in units of the timestamp.
    pub const fn jitter(&self) -> u32 {
        self.jitter >> 4
    }

    /// What is to be reported now; the share lost is that since the last time.
    pub fn block(&mut self, now: Instant) -> Option<ReportBlock> {
        if !self.is_running {
            return None;
        }
        let expected = self.highest.wrapping_sub(self.first).wrapping_add(1);
        let expected_since = expected.wrapping_sub(self.told_expected);
        let received_since = self.received.wrapping_sub(self.told_received);
        (self.told_expected, self.told_received) = (expected, self.received);
        let lost_since = u64::from(expected_since.saturating_sub(received_since));
        let fraction_lost = (lost_since << 8).checked_div(expected_since.into()).unwrap_or(0).min(255) as u8;
        let delay_ms = if self.last_report == 0 { 0 } else { now.since(self.report_at) };
        Some(ReportBlock {
            ssrc: self.ssrc,
            fraction_lost,
            lost: expected.wrapping_sub(self.received).cast_signed(),
            highest: self.highest,
            jitter: self.jitter(),
            last_report: self.last_report,
            delay: (delay_ms.min(u64::from(u16::MAX) * 1000) * 65_536 / 1000) as u32,
        })
    }
}

impl Default for Reception {
    fn default() -> Self {
        Self::new()
    }
}

/// A number so far off means that the sender began anew.
const DROPOUT: u16 = 3000;

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(ms: u64) -> Instant {
        Instant::from_millis(ms)
    }

    #[test]
    fn counts_over_the_wrap() {
        let mut reception = Reception::new();
        assert_eq!(reception.block(at(0)), None);
        for i in (0..200u16).filter(|i| i % 4 != 3) {
            reception.packet(at(u64::from(i) * 20), 9, 65_500u16.wrapping_add(i), u32::from(i) * 160, 8);
        }
        let block = reception.block(at(4000)).unwrap();
        // 199 expected up to the last that came, 150 of them there.
        assert_eq!((block.ssrc, block.fraction_lost, block.lost), (9, (49 * 256 / 199) as u8, 49));
        assert_eq!((block.highest, block.jitter, block.last_report, block.delay), (65_500 + 198, 0, 0, 0));
        assert_eq!(reception.block(at(4000)).unwrap().fraction_lost, 0);
    }

    #[test]
    fn deviation_and_delay() {
        let mut reception = Reception::new();
        for i in 0..100u16 {
            // Each second packet is 10 ms late: a deviation of 80 units each time.
            reception.packet(at(u64::from(i) * 20 + u64::from(i % 2) * 10), 9, i, u32::from(i) * 160, 8);
        }
        let info = SenderInfo { ntp: 0x0000_1234_5678_0000, timestamp: 0, packets: 0, octets: 0 };
        reception.reported(at(5000), 8, &info);
        assert_eq!(reception.block(at(5000)).unwrap().last_report, 0);
        reception.reported(at(5000), 9, &info);
        let block = reception.block(at(7500)).unwrap();
        assert!((75..=80).contains(&block.jitter), "{}", block.jitter);
        assert_eq!((block.last_report, block.delay), (0x1234_5678, 65_536 * 5 / 2));
        // Another source begins anew.
        reception.packet(at(8000), 10, 7, 0, 8);
        let block = reception.block(at(8000)).unwrap();
        assert_eq!((block.ssrc, block.highest, block.lost, block.last_report), (10, 7, 0, 0));
    }
}
