//! Opus packets (RFC 6716 §3) as far as one that stores and replays them has to look: how long each lasts, and the
//! packet that stands for a lost one. Nothing is coded or decoded. Also the form our own ready-made packets have.

/// Units of the clock in a millisecond; Opus counts at 48 kHz whatever its bandwidth (RFC 7587 §4.1).
pub const UNITS_PER_MS: u32 = 48;

/// How long a packet lasts, in units of 48 kHz: at most 120 ms. `None` when it is no Opus packet.
pub fn duration(packet: &[u8]) -> Option<u32> {
    let toc = *packet.first()?;
    let frames = match toc & 3 {
        0 => 1,
        1 | 2 => 2,
        _ => u32::from(packet.get(1)? & 63),
    };
    let units = frames * frame_duration(toc);
    (1..=120 * UNITS_PER_MS).contains(&units).then_some(units)
}

/// How long one frame lasts, by the first byte of a packet (§3.1, table 2).
pub const fn frame_duration(toc: u8) -> u32 {
    let config = toc >> 3;
    match config {
        0..=11 => [10, 20, 40, 60][config as usize & 3] * UNITS_PER_MS,
        12..=15 => [10, 20][config as usize & 1] * UNITS_PER_MS,
        _ => 120 << (config & 3),
    }
}

/// The packet that a decoder conceals for one frame: a first byte like that of `toc`, and no frame (§3.2.1).
pub const fn missing(toc: u8) -> [u8; 1] {
    [toc & !3]
}

/// Whether a packet can hold nothing to hear: in silence an encoder sends 1 or 2 bytes (RFC 6716 §2.1.9, DTX).
pub const fn is_silence(packet: &[u8]) -> bool {
    packet.len() <= 2
}

/// Packets of 20 ms made beforehand, each with its length in one byte before it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Packets(pub &'static [u8]);

impl Packets {
    /// The packet at byte `at`, and where the next one begins.
    pub fn packet(&self, at: usize) -> Option<(&'static [u8], usize)> {
        let len = usize::from(*self.0.get(at)?);
        let packet = self.0.get(at + 1..at + 1 + len)?;
        Some((packet, at + 1 + len))
    }
}

/// [`tone::BEEP`](super::tone::BEEP).
pub const BEEP: Packets = Packets(include_bytes!("tones/beep.opus-packets"));
/// [`tone::GAP_MARK`](super::tone::GAP_MARK).
pub const GAP_MARK: Packets = Packets(include_bytes!("tones/gap.opus-packets"));
/// [`tone::REFUSAL`](super::tone::REFUSAL).
pub const REFUSAL: Packets = Packets(include_bytes!("tones/refusal.opus-packets"));

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        for (packet, ms_times_2) in [
            (&[0x08, 1, 2][..], Some(40)),
            // SILK narrowband 60 ms; hybrid 10 ms; CELT 2.5 ms, two of them; wideband 20 ms three times by count.
            (&[0x18], Some(120)),
            (&[0x60], Some(20)),
            (&[0x80], Some(5)),
            (&[0x81], Some(10)),
            (&[0x4b, 3], Some(120)),
            (&[0xfb, 6], Some(240)),
            // No frames, over 120 ms, no count, nothing.
            (&[0x4b, 0x40], None),
            (&[0x1b, 3], None),
            (&[0x4b], None),
            (&[], None),
        ] {
            assert_eq!(duration(packet), ms_times_2.map(|it| it * UNITS_PER_MS / 2), "{packet:?}");
        }
        assert_eq!(duration(&missing(0x4b)), Some(20 * UNITS_PER_MS));
    }

    #[test]
    fn ready_made_packets_are_whole() {
        for (packets, ms) in [(BEEP, 250), (GAP_MARK, 60), (REFUSAL, 2200)] {
            let (mut at, mut units) = (0, 0);
            while let Some((packet, next)) = packets.packet(at) {
                assert_eq!(duration(packet), Some(20 * UNITS_PER_MS));
                units += 20 * UNITS_PER_MS;
                at = next;
            }
            assert_eq!(at, packets.0.len());
            let told_ms = units / UNITS_PER_MS;
            assert!((ms..ms + 60).contains(&told_ms), "{told_ms}");
        }
    }
}
