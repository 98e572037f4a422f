//! Floor 2: what an answering machine hears and says. Pure machines: no I/O, no clock, no allocation.
//!
//! [`session`] is the whole: datagrams in, datagrams and bytes for the disk out. Within it, [`player`] makes what is said,
//! packet by packet, from a built-in prompt ([`prompts`], [`adpcm`]), a stored one, or [`tone`]s; [`jitter`] puts what is heard into
//! order and fills in the time that nothing came for; [`reception`] counts for the reports; [`recorder`] keeps what is to
//! be written until the disk takes it, G.711 as received or Opus in [`ogg`] pages.
//!
//! [`wav`] is for the page that plays a recording and takes a greeting: it shows stored G.711 as a PCM file, any part of
//! it, and reads a file that somebody uploads.
//!
//! What is left out: no speech codec runs here. Opus is stored as received and said from packets made beforehand. Keys
//! pressed in the audio itself (RFC 4733 exists to avoid it) are not heard.

pub mod adpcm;
pub mod fuzz;
pub mod g711;
pub mod jitter;
pub mod ogg;
pub mod opus;
pub mod player;
pub mod prompts;
pub mod reception;
pub mod recorder;
pub mod ring;
pub mod session;
pub mod tone;
pub mod wav;

use g711::Law;

/// How sound travels and is kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Codec {
    /// G.711 A-law, a byte for each sample of 8 kHz.
    Alaw,
    /// G.711 mu-law.
    Ulaw,
    /// Opus (RFC 7587).
    Opus,
}

impl Codec {
    /// The law, if it is G.711.
    pub const fn law(self) -> Option<Law> {
        match self {
            Self::Alaw => Some(Law::A),
            Self::Ulaw => Some(Law::Mu),
            Self::Opus => None,
        }
    }

    /// Units of the RTP clock in a millisecond.
    pub const fn units_per_ms(self) -> u32 {
        match self {
            Self::Alaw | Self::Ulaw => 8,
            Self::Opus => opus::UNITS_PER_MS,
        }
    }

    /// How long a payload lasts, in units of the RTP clock; `None` when it is none of this codec.
    pub fn duration(self, payload: &[u8]) -> Option<u32> {
        match self {
            Self::Alaw | Self::Ulaw => (!payload.is_empty()).then_some(payload.len() as u32),
            Self::Opus => opus::duration(payload),
        }
    }
}
