//! The greetings in the program file, one for each language: that the person can't answer, and to speak after the tone.
//! `scripts/voice` makes them, and has their words.

use super::opus::Packets;
use crate::config::model::Language;

/// The greeting as [`adpcm`](super::adpcm) has it: 8 kHz, speech at -20 dBFS.
pub const fn greeting(language: Language) -> &'static [u8] {
    match language {
        Language::En => include_bytes!("prompts/en.adpcm"),
        Language::Sv => include_bytes!("prompts/sv.adpcm"),
        Language::Zh => include_bytes!("prompts/zh.adpcm"),
    }
}

/// The same in Opus: narrowband, 20 ms a packet, 8 kbit/s.
pub const fn greeting_opus(language: Language) -> Packets {
    Packets(match language {
        Language::En => include_bytes!("prompts/en.opus-packets"),
        Language::Sv => include_bytes!("prompts/sv.opus-packets"),
        Language::Zh => include_bytes!("prompts/zh.opus-packets"),
    })
}

/// Most bytes of a greeting; the program file has to fit routers with 4 MB of flash.
const ADPCM_BYTES_MAX: usize = 16 * 1024;
/// Most bytes of one in Opus.
const OPUS_BYTES_MAX: usize = 6 * 1024;

const _: () = {
    let mut i = 0;
    while i < Language::TAGS.len() {
        let language = Language::TAGS[i].1;
        assert!(greeting(language).len() <= ADPCM_BYTES_MAX && greeting_opus(language).0.len() <= OPUS_BYTES_MAX);
        i += 1;
    }
};

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use super::*;
    use crate::media::{adpcm, opus};

    fn samples(language: Language) -> Vec<i16> {
        let mut state = adpcm::State::new();
        greeting(language).iter().flat_map(|byte| [byte & 15, byte >> 4]).map(|code| state.decode(code)).collect()
    }

    fn rms(samples: &[i16]) -> f64 {
        let sum: f64 = samples.iter().map(|sample| f64::from(*sample).powi(2)).sum();
        (sum / samples.len() as f64).sqrt()
    }

    #[test]
    fn greetings_are_speech_and_loud_enough() {
        for (tag, language) in Language::TAGS {
            let samples = samples(language);
            assert!((3 * 8000..=5 * 8000).contains(&samples.len()), "{tag}: {}", samples.len());
            // Over all, with pauses: -20 dBFS is 3277. A wrong order of nibbles would sound, and measure, like noise.
            let level = rms(&samples);
            assert!((2000.0..3600.0).contains(&level), "{tag}: {level}");
            // A low-pass takes nearly nothing from speech, and most from noise.
            let mean = |pair: &[i16]| i32::midpoint(pair[0].into(), pair[1].into()) as i16;
            let smooth: Vec<i16> = samples.windows(2).map(mean).collect();
            assert!(rms(&smooth) > 0.8 * level, "{tag}: {} of {level}", rms(&smooth));
            assert!(samples.iter().all(|sample| sample.unsigned_abs() < 32_000), "{tag} is clipped");
            let (first, last) = (&samples[..80], &samples[samples.len() - 80..]);
            assert!(rms(first) < 500.0 && rms(last) < 500.0, "{tag} is cut off: {} {}", rms(first), rms(last));
            let pauses = samples.chunks(160).filter(|frame| rms(frame) < 100.0).count();
            assert!((5..60).contains(&pauses), "{tag}: {pauses} quiet frames");
        }
    }

    #[test]
    fn packets_are_whole_and_as_long() {
        for (tag, language) in Language::TAGS {
            let packets = greeting_opus(language);
            let (mut at, mut units) = (0, 0);
            while let Some((packet, next)) = packets.packet(at) {
                // SILK, narrowband, 20 ms, mono, one frame (RFC 6716 §3.1).
                assert_eq!(packet[0], 1 << 3, "{tag}");
                units += opus::duration(packet).unwrap();
                at = next;
            }
            assert_eq!(at, packets.0.len(), "{tag}");
            let (opus_ms, adpcm_ms) = (units / opus::UNITS_PER_MS, adpcm::samples(greeting(language)) / 8);
            assert!((adpcm_ms..adpcm_ms + 60).contains(&opus_ms), "{tag}: {opus_ms} {adpcm_ms}");
        }
    }
}
