//! Says something, 20 ms at a time: tones, a prompt in ADPCM, a prompt on the disk (A-law, brought in pieces), or packets
//! that were made beforehand, for callers to whom we can say nothing else.

use super::g711::Law;
use super::opus::Packets;
use super::ring::Ring;
use super::tone::{self, Note};
use super::{Codec, adpcm};

/// Length of a packet.
pub const FRAME_MS: u64 = 20;
/// Bytes of the largest payload.
pub const PAYLOAD_BYTES: usize = 255;

/// What is being said.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Source {
    /// Nothing.
    Nothing,
    /// A sequence of tones.
    Tones(&'static [Note]),
    /// A prompt in ADPCM.
    Adpcm(&'static [u8]),
    /// A prompt on the disk, of so many samples.
    Stored(u32),
    /// Packets of Opus.
    Packets(Packets),
}

/// What a player has for the next packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Frame {
    /// A payload of so many bytes.
    Ready(usize),
    /// A piece of the stored prompt is not there yet.
    Waiting,
    /// All is said.
    Done,
}

/// Says one thing after the other.
pub struct Player {
    source: Source,
    state: adpcm::State,
    /// Samples said, or bytes of packets.
    at: u32,
    /// Bytes of the stored prompt that were brought.
    brought: u32,
}

impl Player {
    /// One that says nothing.
    pub const fn new() -> Self {
        Self { source: Source::Nothing, state: adpcm::State::new(), at: 0, brought: 0 }
    }

    /// Says this next, from its beginning.
    pub fn play(&mut self, source: Source) {
        *self = Self { source, ..Self::new() };
    }

    /// The part of the stored prompt that is to be brought next: where, and how many bytes.
    pub fn wanted(&self, ring: &Ring) -> Option<(u32, u32)> {
        let Source::Stored(samples) = self.source else { return None };
        let len = samples.saturating_sub(self.brought).min(ring.room() as u32 / 2).min(PIECE_BYTES);
        (len > 0 && (ring.room() as u32 > PIECE_BYTES)).then_some((self.brought, len))
    }

    /// Takes a part that was wanted. Nothing in it: the prompt ends here. What was not wanted is passed over.
    pub fn bring(&mut self, offset: u32, bytes: &[u8], ring: &mut Ring) {
        let Source::Stored(samples) = &mut self.source else { return };
        if offset != self.brought {
            return;
        }
        let bytes = &bytes[..bytes.len().min((*samples - self.brought.min(*samples)) as usize)];
        if bytes.is_empty() || !ring.push(bytes) {
            *samples = self.brought;
        } else {
            self.brought += bytes.len() as u32;
        }
    }

    /// Writes the next payload of 20 ms into `out`, [`PAYLOAD_BYTES`] or more.
    pub fn frame(&mut self, codec: Codec, ring: &mut Ring, out: &mut [u8]) -> Frame {
        let Some(law) = codec.law() else { return self.packet(out) };
        let Some(out) = out.get_mut(..SAMPLES) else { return Frame::Done };
        let len = match self.source {
            Source::Nothing | Source::Packets(_) => 0,
            Source::Stored(samples) => {
                let is_whole = self.brought >= samples;
                if ring.len() < SAMPLES && !is_whole {
                    return Frame::Waiting;
                }
                let len = ring.pop(out);
                if law != Law::A {
                    out[..len].iter_mut().for_each(|byte| *byte = law.encode(Law::A.decode(*byte)));
                }
                len
            }
            _ => self.samples(law, out),
        };
        if len == 0 {
            return Frame::Done;
        }
        out[len..].fill(law.silence());
        Frame::Ready(SAMPLES)
    }

    fn samples(&mut self, law: Law, out: &mut [u8]) -> usize {
        for (len, byte) in out.iter_mut().enumerate() {
            let sample = match self.source {
                Source::Tones(notes) => tone::sample(notes, self.at),
                Source::Adpcm(stream) => {
                    let pair = stream.get(self.at as usize / 2).copied();
                    pair.map(|pair| self.state.decode(if self.at.is_multiple_of(2) { pair } else { pair >> 4 }))
                }
                _ => None,
            };
            let Some(sample) = sample else { return len };
            *byte = law.encode(sample);
            self.at += 1;
        }
        out.len()
    }

    fn packet(&mut self, out: &mut [u8]) -> Frame {
        let Source::Packets(packets) = self.source else { return Frame::Done };
        let Some((packet, next)) = packets.packet(self.at as usize) else { return Frame::Done };
        let Some(out) = out.get_mut(..packet.len()) else { return Frame::Done };
        out.copy_from_slice(packet);
        self.at = next as u32;
        Frame::Ready(packet.len())
    }
}

impl Default for Player {
    fn default() -> Self {
        Self::new()
    }
}

const SAMPLES: usize = 160;
/// A piece of a stored prompt: a quarter of a second.
const PIECE_BYTES: u32 = 2048;
