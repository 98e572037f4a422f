//! RTP packets (RFC 3550 §5.1), RTCP compounds (§6) and named telephone events (RFC 4733 §2.3), read and written.
//!
//! Read are all parts of an RTP header; the extension is checked and passed over. Of RTCP, reports, goodbyes and the CNAME
//! are told, other packets are passed over. RTP and RTCP on one port are told apart as RFC 5761 §4 says. Left out: profile
//! specific parts of reports, reduced-size RTCP (RFC 5506), SRTP.

use crate::base::text::Writer;

/// Bytes of an RTP header without contributors and extension.
pub const HEADER_BYTES: usize = 12;

/// One RTP packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Packet<'b> {
    /// What the payload is, 0 to 127; its meaning is negotiated.
    pub payload_type: u8,
    /// The marker: in audio, the first packet after a pause.
    pub is_marked: bool,
    /// Counts packets.
    pub sequence: u16,
    /// When the first sample was taken, in units of the payload's clock.
    pub timestamp: u32,
    /// Who sends.
    pub ssrc: u32,
    /// The payload without padding.
    pub payload: &'b [u8],
}

impl<'b> Packet<'b> {
    /// Reads a datagram; `None` when it is no RTP packet, its lists are longer than it is, or its padding is.
    pub fn parse(bytes: &'b [u8]) -> Option<Self> {
        let (head, mut rest) = bytes.split_at_checked(HEADER_BYTES)?;
        if head[0] >> 6 != VERSION || is_control(bytes) {
            return None;
        }
        rest = rest.get(4 * usize::from(head[0] & 15)..)?;
        if head[0] & EXTENSION != 0 {
            let (extension, after) = rest.split_at_checked(4)?;
            rest = after.get(4 * usize::from(short(extension, 2))..)?;
        }
        if head[0] & PADDING != 0 {
            let padding = usize::from(*rest.last()?);
            let len = rest.len().checked_sub(padding).filter(|_| padding > 0)?;
            rest = &rest[..len];
        }
        Some(Self {
            payload_type: head[1] & 127,
            is_marked: head[1] & MARKER != 0,
            sequence: short(head, 2),
            timestamp: word(head, 4),
            ssrc: word(head, 8),
            payload: rest,
        })
    }

    /// Writes the packet, without contributors, extension and padding.
    pub fn write(&self, out: &mut Writer<'_>) {
        out.put(&[VERSION << 6, self.payload_type & 127 | if self.is_marked { MARKER } else { 0 }]);
        out.put(&self.sequence.to_be_bytes());
        out.put(&self.timestamp.to_be_bytes());
        out.put(&self.ssrc.to_be_bytes());
        out.put(self.payload);
    }
}

/// Whether a datagram on a port for both is RTCP: its second byte is a packet type of 192 to 223 (RFC 5761 §4).
pub fn is_control(bytes: &[u8]) -> bool {
    bytes.get(1).is_some_and(|kind| (192..=223).contains(kind))
}

/// A named event: a key of the telephone, as long as it is held (RFC 4733 §2.3).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Event {
    /// Which event: 0 to 15 are the keys (§3.2).
    pub code: u8,
    /// Whether it is over.
    pub is_end: bool,
    /// Its level, in dB below 0 dBm0.
    pub volume: u8,
    /// How long it has lasted, in units of the timestamp.
    pub duration: u16,
}

impl Event {
    /// Reads the first event of a payload.
    pub fn parse(payload: &[u8]) -> Option<Self> {
        let bytes: &[u8; 4] = payload.first_chunk()?;
        let (is_end, volume) = (bytes[1] & 128 != 0, bytes[1] & 63);
        Some(Self { code: bytes[0], is_end, volume, duration: short(bytes, 2) })
    }

    /// Writes the event as a payload.
    pub fn write(&self, out: &mut Writer<'_>) {
        out.put(&[self.code, self.volume & 63 | if self.is_end { 128 } else { 0 }]);
        out.put(&self.duration.to_be_bytes());
    }

    /// The key, `None` for events that are none.
    pub fn key(&self) -> Option<char> {
        b"0123456789*#ABCD".get(usize::from(self.code)).map(|key| char::from(*key))
    }
}

/// What a sender says of its stream (§6.4.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SenderInfo {
    /// Its clock: seconds and fractions of 2^-32 s.
    pub ntp: u64,
    /// The same moment on the clock of its timestamps.
    pub timestamp: u32,
    /// Packets it has sent.
    pub packets: u32,
    /// Bytes of payload it has sent.
    pub octets: u32,
}

/// What a receiver says of one stream (§6.4.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ReportBlock {
    /// Who sends the stream.
    pub ssrc: u32,
    /// Share of packets lost since the last report, in 256ths.
    pub fraction_lost: u8,
    /// Packets lost since the beginning; negative when there were more duplicates. Of it 24 bits are written.
    pub lost: i32,
    /// The highest sequence number received, how often it wrapped in the upper half.
    pub highest: u32,
    /// Mean deviation of the spacing of packets, in units of the timestamp.
    pub jitter: u32,
    /// The middle 32 bits of the clock in the last report of that sender, 0 when there was none.
    pub last_report: u32,
    /// The time since it came, in 1/65536 s.
    pub delay: u32,
}

/// One packet of an RTCP compound.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Control<'b> {
    /// A report, of a sender or of one that only receives.
    Report {
        /// Who reports.
        ssrc: u32,
        /// What it sends.
        sender: Option<SenderInfo>,
        /// What it receives.
        blocks: Blocks<'b>,
    },
    /// The name of a source that stays when its SSRC changes (§6.5.1).
    CanonicalName {
        /// Whose it is.
        ssrc: u32,
        /// The name.
        name: &'b [u8],
    },
    /// Sources that leave (§6.6).
    Bye(Sources<'b>),
    /// Something else, or a description without a CNAME.
    Other,
}

/// The blocks of a report.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Blocks<'b>(&'b [u8]);

impl Blocks<'_> {
    /// Each block.
    pub fn iter(&self) -> impl Iterator<Item = ReportBlock> {
        self.0.chunks_exact(BLOCK_BYTES).map(|bytes| ReportBlock {
            ssrc: word(bytes, 0),
            fraction_lost: bytes[4],
            lost: (word(bytes, 4) << 8).cast_signed() >> 8,
            highest: word(bytes, 8),
            jitter: word(bytes, 12),
            last_report: word(bytes, 16),
            delay: word(bytes, 20),
        })
    }
}

/// The sources a BYE names.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Sources<'b>(&'b [u8]);

impl Sources<'_> {
    /// Each SSRC.
    pub fn iter(&self) -> impl Iterator<Item = u32> {
        self.0.chunks_exact(4).map(|bytes| word(bytes, 0))
    }
}

/// An RTCP compound that is well-formed (§A.2): lengths add up, the first is a report, only the last is padded.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Compound<'b>(&'b [u8]);

impl<'b> Compound<'b> {
    /// Reads a datagram.
    pub fn parse(bytes: &'b [u8]) -> Option<Self> {
        let (mut rest, mut is_first) = (bytes, true);
        while !rest.is_empty() {
            let (packet, after) = cut(rest)?;
            let padding = if packet[0] & PADDING != 0 { usize::from(packet[packet.len() - 1]) } else { 0 };
            let is_padded_well = packet[0] & PADDING == 0
                || after.is_empty() && padding > 0 && padding.is_multiple_of(4) && padding <= packet.len() - 4;
            let count = usize::from(packet[0] & 31);
            let needed = match packet[1] {
                SENDER_REPORT => 28 + BLOCK_BYTES * count,
                RECEIVER_REPORT => 8 + BLOCK_BYTES * count,
                BYE => 4 + 4 * count,
                _ => 4,
            };
            let is_report = matches!(packet[1], SENDER_REPORT | RECEIVER_REPORT);
            if !is_padded_well || packet.len() - padding < needed || is_first && !is_report {
                return None;
            }
            (rest, is_first) = (after, false);
        }
        (!is_first).then_some(Self(bytes))
    }

    /// Its packets.
    pub fn iter(&self) -> impl Iterator<Item = Control<'b>> + use<'b> {
        let mut rest = self.0;
        core::iter::from_fn(move || {
            let (packet, after) = cut(rest)?;
            rest = after;
            Some(Self::packet(packet))
        })
    }

    fn packet(packet: &'b [u8]) -> Control<'b> {
        let count = usize::from(packet[0] & 31);
        let blocks = |at: usize| Blocks(packet.get(at..at + BLOCK_BYTES * count).unwrap_or_default());
        match packet[1] {
            SENDER_REPORT => {
                let ntp = u64::from(word(packet, 8)) << 32 | u64::from(word(packet, 12));
                let (timestamp, packets, octets) = (word(packet, 16), word(packet, 20), word(packet, 24));
                let sender = Some(SenderInfo { ntp, timestamp, packets, octets });
                Control::Report { ssrc: word(packet, 4), sender, blocks: blocks(28) }
            }
            RECEIVER_REPORT => Control::Report { ssrc: word(packet, 4), sender: None, blocks: blocks(8) },
            BYE => Control::Bye(Sources(packet.get(4..4 + 4 * count).unwrap_or_default())),
            DESCRIPTION if count > 0 => canonical_name(packet).unwrap_or(Control::Other),
            _ => Control::Other,
        }
    }
}

/// Writes a report: the sender's when it sends, else the receiver's.
pub fn write_report(ssrc: u32, sender: Option<&SenderInfo>, block: Option<&ReportBlock>, out: &mut Writer<'_>) {
    let kind = if sender.is_some() { SENDER_REPORT } else { RECEIVER_REPORT };
    let bytes = 8 + if sender.is_some() { 20 } else { 0 } + if block.is_some() { BLOCK_BYTES } else { 0 };
    write_head(u8::from(block.is_some()), kind, bytes, out);
    out.put(&ssrc.to_be_bytes());
    if let Some(sender) = sender {
        out.put(&sender.ntp.to_be_bytes());
        [sender.timestamp, sender.packets, sender.octets].iter().for_each(|it| out.put(&it.to_be_bytes()));
    }
    if let Some(block) = block {
        let lost = block.lost.clamp(-0x80_0000, 0x7f_ffff).cast_unsigned() & 0xff_ffff;
        let share_and_lost = u32::from(block.fraction_lost) << 24 | lost;
        for field in [block.ssrc, share_and_lost, block.highest, block.jitter, block.last_report, block.delay] {
            out.put(&field.to_be_bytes());
        }
    }
}

/// Writes a description that has the CNAME, of which 255 bytes are taken.
pub fn write_canonical_name(ssrc: u32, name: &[u8], out: &mut Writer<'_>) {
    let name = &name[..name.len().min(255)];
    // At least one null byte ends the list (§6.5).
    let bytes = (8 + 2 + name.len() + 1).next_multiple_of(4);
    write_head(1, DESCRIPTION, bytes, out);
    out.put(&ssrc.to_be_bytes());
    out.put(&[CNAME, name.len() as u8]);
    out.put(name);
    out.put(&[0; 4][..bytes - 10 - name.len()]);
}

/// Writes that a source leaves.
pub fn write_bye(ssrc: u32, out: &mut Writer<'_>) {
    write_head(1, BYE, 8, out);
    out.put(&ssrc.to_be_bytes());
}

fn write_head(count: u8, kind: u8, bytes: usize, out: &mut Writer<'_>) {
    out.put(&[VERSION << 6 | count, kind]);
    out.put(&((bytes / 4 - 1) as u16).to_be_bytes());
}

/// The first packet of a compound, and what follows; the packet has 4 bytes or more.
fn cut(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let head: &[u8; 4] = bytes.first_chunk()?;
    if head[0] >> 6 != VERSION || !is_control(bytes) {
        return None;
    }
    bytes.split_at_checked(4 + 4 * usize::from(short(head, 2)))
}

/// The CNAME of the first chunk of a description.
fn canonical_name(packet: &[u8]) -> Option<Control<'_>> {
    let (ssrc, mut items) = packet.get(4..)?.split_at_checked(4)?;
    while let [kind, len, rest @ ..] = items
        && *kind != 0
    {
        let (text, after) = rest.split_at_checked((*len).into())?;
        if *kind == CNAME {
            return Some(Control::CanonicalName { ssrc: word(ssrc, 0), name: text });
        }
        items = after;
    }
    None
}

/// 16 bits at a place that was checked to be there.
fn short(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}

/// 32 bits at a place that was checked to be there.
fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from(short(bytes, at)) << 16 | u32::from(short(bytes, at + 2))
}

const VERSION: u8 = 2;
const PADDING: u8 = 1 << 5;
const EXTENSION: u8 = 1 << 4;
const MARKER: u8 = 1 << 7;

const SENDER_REPORT: u8 = 200;
const RECEIVER_REPORT: u8 = 201;
const DESCRIPTION: u8 = 202;
const BYE: u8 = 203;
/// The item of a description (§6.5.1).
const CNAME: u8 = 1;
const BLOCK_BYTES: usize = 24;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_packet() {
        let bytes = b"\x80\x88\x12\x34\x00\x00\x01\x40\xde\xad\xbe\xef\xd5\xd5\x55";
        let packet = Packet::parse(bytes).unwrap();
        let expected = Packet {
            payload_type: 8,
            is_marked: true,
            sequence: 0x1234,
            timestamp: 320,
            ssrc: 0xdead_beef,
            payload: b"\xd5\xd5\x55",
        };
        assert_eq!(packet, expected);
        let mut buffer = [0; 32];
        let mut out = Writer::new(&mut buffer);
        packet.write(&mut out);
        assert_eq!(out.written(), bytes);
    }

    #[test]
    fn lists_and_padding() {
        // Two contributors, an extension of one word, three bytes of padding.
        let bytes = b"\xb2\x00\x00\x01\x00\x00\x00\x02\x00\x00\x00\x03AAAABBBB\xbe\xde\x00\x01EEEExy\x00\x00\x03";
        assert_eq!(Packet::parse(bytes).unwrap().payload, b"xy");
        // Cut anywhere before the padding's count it is wrong or shorter, never a panic.
        for end in 0..bytes.len() {
            if let Some(packet) = Packet::parse(&bytes[..end]) {
                assert!(packet.payload.len() < end);
            }
        }
        for bad in [
            &b"\x80\x00\x00\x01\x00\x00\x00\x02\x00\x00\x00"[..],
            b"\x40\x00\x00\x01\x00\x00\x00\x02\x00\x00\x00\x03xy",
            // A contributor, an extension, padding that is not there; padding of 0; padding longer than the payload.
            b"\x81\x00\x00\x01\x00\x00\x00\x02\x00\x00\x00\x03AAA",
            b"\x90\x00\x00\x01\x00\x00\x00\x02\x00\x00\x00\x03\x00\x00\x00\x01AAA",
            b"\xa0\x00\x00\x01\x00\x00\x00\x02\x00\x00\x00\x03",
            b"\xa0\x00\x00\x01\x00\x00\x00\x02\x00\x00\x00\x03xy\x00",
            b"\xa0\x00\x00\x01\x00\x00\x00\x02\x00\x00\x00\x03xy\x04",
            // RTCP.
            b"\x80\xc8\x00\x06\x00\x00\x00\x02\x00\x00\x00\x03xy",
        ] {
            assert_eq!(Packet::parse(bad), None, "{}", bad.escape_ascii());
        }
    }

    #[test]
    fn events() {
        let event = Event::parse(b"\x0b\x8a\x03\x20").unwrap();
        assert_eq!(event, Event { code: 11, is_end: true, volume: 10, duration: 800 });
        assert_eq!(event.key(), Some('#'));
        let mut buffer = [0; 4];
        event.write(&mut Writer::new(&mut buffer));
        assert_eq!(&buffer, b"\x0b\x8a\x03\x20");
        assert_eq!(Event::parse(b"\x10\x00\x00\x01").unwrap().key(), None);
        assert_eq!(Event::parse(b"\x01\x8a\x03"), None);
    }

    #[test]
    fn compound_that_is_written_is_read() {
        let sender = SenderInfo { ntp: 0x0102_0304_0506_0708, timestamp: 9, packets: 10, octets: 11 };
        let block = ReportBlock {
            ssrc: 7,
            fraction_lost: 64,
            lost: -2,
            highest: 0x1_0005,
            jitter: 12,
            last_report: 0x0304_0506,
            delay: 65_536,
        };
        let mut buffer = [0; 128];
        let mut out = Writer::new(&mut buffer);
        write_report(1, Some(&sender), Some(&block), &mut out);
        write_canonical_name(1, b"abcde", &mut out);
        write_bye(1, &mut out);
        let len = out.finish().unwrap();
        assert_eq!(&buffer[..4], b"\x81\xc8\x00\x0c");
        assert_eq!(&buffer[52..72], b"\x81\xca\x00\x03\x00\x00\x00\x01\x01\x05abcde\x00\x81\xcb\x00\x01");
        assert!(is_control(&buffer));
        let seen: std::vec::Vec<_> = Compound::parse(&buffer[..len]).unwrap().iter().collect();
        let [Control::Report { ssrc: 1, sender: Some(told), blocks }, name, Control::Bye(sources)] = &seen[..] else {
            panic!("{seen:?}")
        };
        assert_eq!((told, blocks.iter().next()), (&sender, Some(block)));
        assert_eq!(*name, Control::CanonicalName { ssrc: 1, name: b"abcde" });
        assert!(sources.iter().eq([1]));
    }

    #[test]
    fn compounds_that_are_none() {
        let empty_report = b"\x80\xc9\x00\x01\x00\x00\x00\x01";
        assert!(Compound::parse(empty_report).is_some());
        for bad in [
            &b""[..],
            b"\x80\xc9\x00\x01\x00\x00\x00",
            b"\x80\xc9\x00\x02\x00\x00\x00\x01",
            // One block is said to be there; a goodbye alone; another version; a sender's report too short.
            b"\x81\xc9\x00\x01\x00\x00\x00\x01",
            b"\x81\xcb\x00\x01\x00\x00\x00\x01",
            b"\x40\xc9\x00\x01\x00\x00\x00\x01",
            b"\x80\xc8\x00\x01\x00\x00\x00\x01",
            // Padding in the middle, of 0, and of more than there is.
            b"\xa0\xc9\x00\x02\x00\x00\x00\x01\x00\x00\x00\x04\x80\xc9\x00\x01\x00\x00\x00\x01",
            b"\xa0\xc9\x00\x02\x00\x00\x00\x01\x00\x00\x00\x00",
            b"\xa0\xc9\x00\x02\x00\x00\x00\x01\x00\x00\x00\x0c",
        ] {
            assert_eq!(Compound::parse(bad), None, "{}", bad.escape_ascii());
        }
        let padded = b"\xa0\xc9\x00\x02\x00\x00\x00\x01\x00\x00\x00\x04";
        assert!(Compound::parse(padded).is_some());
        let broken_name = b"\x80\xc9\x00\x01\x00\x00\x00\x01\x81\xca\x00\x02\x00\x00\x00\x01\x01\x09ab";
        assert_eq!(Compound::parse(broken_name).unwrap().iter().last(), Some(Control::Other));
    }
}
