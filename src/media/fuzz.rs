//! Entries that run the readers, and a whole session, over any bytes, and check what they promise.

use core::net::SocketAddr;

use super::opus::Packets;
use super::session::{Codec, Phase, Prompt, SENDING_BYTES, Session, Setup};
use super::{ogg, wav};
use crate::base::text::Writer;
use crate::base::time::Instant;
use crate::wire::rtp::{self, Compound, Control, Event, Packet};

/// Reads `bytes` as RTP, RTCP, an event, an Ogg page and a WAV file. Panics when a promise is broken: a packet that was read
/// is written and read again the same, a file is read the same in one piece and byte by byte.
pub fn fuzz(bytes: &[u8]) {
    if let Some(packet) = Packet::parse(bytes) {
        assert!(!rtp::is_control(bytes) && packet.payload.len() + rtp::HEADER_BYTES <= bytes.len());
        let mut buffer = [0; 2048];
        let mut out = Writer::new(&mut buffer);
        packet.write(&mut out);
        assert!(bytes.len() > 2048 || Packet::parse(out.written()) == Some(packet));
    }
    if let Some(compound) = Compound::parse(bytes) {
        compound.iter().for_each(|part| match part {
            Control::Report { blocks, .. } => assert!(blocks.iter().count() <= 31),
            Control::Bye(sources) => assert!(sources.iter().count() <= 31),
            Control::CanonicalName { name, .. } => assert!(name.len() <= 255),
            Control::Other => {}
        });
    }
    if let Some(event) = Event::parse(bytes) {
        let mut buffer = [0; 4];
        event.write(&mut Writer::new(&mut buffer));
        assert_eq!(Event::parse(&buffer), Some(event));
    }
    let mut rest = bytes;
    while let Some((page, after)) = ogg::Page::parse(rest) {
        assert!(page.packets().map(<[u8]>::len).sum::<usize>() <= rest.len());
        rest = after;
    }
    assert_eq!(wav_file(bytes, bytes.len().max(1)), wav_file(bytes, 1));
}

/// A file read in pieces of `step` bytes: its fault, or the length and a hash of its sound.
fn wav_file(bytes: &[u8], step: usize) -> Result<(u32, u32), wav::Fault> {
    let (mut reader, mut hash) = (wav::Reader::new(SAMPLES_MAX), 0u32);
    let mut add =
        |sound: &[u8]| sound.iter().for_each(|byte| hash = hash.wrapping_mul(31).wrapping_add((*byte).into()));
    for mut piece in bytes.chunks(step) {
        let mut out = [0; 256];
        while !piece.is_empty() {
            let progress = reader.feed(piece, &mut out)?;
            assert!(progress.read > 0 && progress.read <= piece.len());
            add(&out[..progress.written]);
            piece = &piece[progress.read..];
        }
    }
    let mut tail = [0; wav::TAIL_SAMPLES];
    let (written, total) = reader.finish(&mut tail)?;
    add(&tail[..written]);
    assert!(total <= SAMPLES_MAX);
    Ok((total, hash))
}

/// Has a session hear `bytes` cut into datagrams: a byte of length, a byte that says when it comes and to which port, and
/// the datagram. Panics when a promise is broken: the recording is no longer than the time that passed and what was sent,
/// every poll ends, what is due is not overdue after a poll, and the file is as long as what was recorded.
pub fn fuzz_session(bytes: &[u8]) {
    let peer = SocketAddr::from(([192, 0, 2, 1], 4000));
    let codec = [Codec::Alaw, Codec::Ulaw, Codec::Opus][bytes.len() % 3];
    let (limit_ms, silence_ms) = (120_000, 60_000);
    let (payload_type, dtmf) = (8, Some(101));
    let (sequence, timestamp) = (65_530, u32::MAX - 100);
    let setup = Setup {
        codec,
        payload_type,
        dtmf,
        ssrc: 1,
        sequence,
        timestamp,
        remote: peer,
        remote_rtcp: None,
        limit_ms,
        silence_ms,
    };
    let mut now = Instant::from_millis(1_000);
    let mut session = Session::new(now, &setup);
    session.speak(now, Prompt::BuiltIn { adpcm: &[0x77; 400], opus: Packets(b"\x01\x08") });
    let (mut rest, mut written, mut heard) = (bytes, 0, 0u64);
    let mut out = [0; 1024];
    while let [len, how, after @ ..] = rest {
        let (datagram, after) = after.split_at(after.len().min((*len).into()));
        rest = after;
        now = now.plus(u64::from(how & 127));
        if how & 128 == 0 {
            session.received(now, peer, datagram);
        } else {
            session.rtcp_received(now, peer, datagram);
        }
        heard += u64::from(len / 8) + 120;
        let sent = (0..1000).take_while(|_| session.poll(now, &mut out[..SENDING_BYTES]).is_some()).count();
        assert!(sent < 30, "{sent} datagrams at once");
        assert!(session.deadline().is_none_or(|deadline| deadline > now), "{:?} at {now}", session.deadline());
        if how % 3 == 0 {
            written += session.take_chunk(false, &mut out);
        }
    }
    assert!(session.recorded_ms() <= now.since(Instant::ZERO) + heard, "{} ms", session.recorded_ms());
    session.finish(now);
    assert!(matches!(session.phase(), Phase::Ended(_)));
    loop {
        match session.take_chunk(true, &mut out) {
            0 => break,
            len => written += len,
        }
    }
    if codec != Codec::Opus {
        assert_eq!(written as u64 / 8, session.recorded_ms());
    }
}

const SAMPLES_MAX: u32 = 10_000;
