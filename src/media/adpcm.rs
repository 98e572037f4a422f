//! IMA ADPCM, 4 bits a sample, for the prompts in the program file: half of G.711, and decoded with a shift and a table.
//!
//! IMA Digital Audio Focus and Technical Working Groups, "Recommended practices", 1992. The stream has no header: it begins
//! with predictor 0 and step index 0, and the low half of a byte is first. Block headers of WAV and QuickTime are left out.

/// What the next code builds on; the same in encoder and decoder.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct State {
    predictor: i16,
    index: u8,
}

impl State {
    /// The beginning of a stream.
    pub const fn new() -> Self {
        Self { predictor: 0, index: 0 }
    }

    /// The sample that the low 4 bits of `code` stand for.
    pub fn decode(&mut self, code: u8) -> i16 {
        let step = i32::from(STEPS[usize::from(self.index)]);
        let mut difference = step >> 3;
        for (bit, share) in [(4, step), (2, step >> 1), (1, step >> 2)] {
            if code & bit != 0 {
                difference += share;
            }
        }
        let difference = if code & 8 != 0 { -difference } else { difference };
        self.predictor = (i32::from(self.predictor) + difference).clamp(i16::MIN.into(), i16::MAX.into()) as i16;
        self.index = (self.index.cast_signed() + CHANGES[usize::from(code & 7)]).clamp(0, LAST) as u8;
        self.predictor
    }

    /// The code for a sample, in 4 bits.
    pub fn encode(&mut self, sample: i16) -> u8 {
        let mut step = i32::from(STEPS[usize::from(self.index)]);
        let difference = i32::from(sample) - i32::from(self.predictor);
        let (mut code, mut rest) = (if difference < 0 { 8 } else { 0 }, difference.abs());
        for bit in [4, 2, 1] {
            if rest >= step {
                code |= bit;
                rest -= step;
            }
            step >>= 1;
        }
        self.decode(code);
        code
    }
}

/// Samples of a stream.
pub const fn samples(stream: &[u8]) -> u32 {
    stream.len() as u32 * 2
}

const LAST: i8 = STEPS.len() as i8 - 1;
const CHANGES: [i8; 8] = [-1, -1, -1, -1, 2, 4, 6, 8];
const STEPS: [u16; 89] = [
    7, 8, 9, 10, 11, 12, 13, 14, 16, 17, 19, 21, 23, 25, 28, 31, 34, 37, 41, 45, 50, 55, 60, 66, 73, 80, 88, 97, 107,
    118, 130, 143, 157, 173, 190, 209, 230, 253, 279, 307, 337, 371, 408, 449, 494, 544, 598, 658, 724, 796, 876, 963,
    1060, 1166, 1282, 1411, 1552, 1707, 1878, 2066, 2272, 2499, 2749, 3024, 3327, 3660, 4026, 4428, 4871, 5358, 5894,
    6484, 7132, 7845, 8630, 9493, 10_442, 11_487, 12_635, 13_899, 15_289, 16_818, 18_500, 20_350, 22_385, 24_623,
    27_086, 29_794, 32_767,
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::tone;

    #[test]
    fn first_codes() {
        let mut state = State::new();
        // Step 7: 7/8 + 7 + 7/2 + 7/4 in whole numbers, then steps 16, 34, 73 upwards.
        assert_eq!([7, 7, 15, 0].map(|code| state.decode(code)), [11, 41, -22, -13]);
        assert_eq!(state.index, 23);
    }

    #[test]
    fn speech_like_signal_survives() {
        let (mut encoder, mut decoder) = (State::new(), State::new());
        let (mut noise, mut signal) = (0i64, 0i64);
        for at in 0..8000u32 {
            let tone = tone::sample(tone::REFUSAL, at).unwrap();
            let code = encoder.encode(tone);
            assert!(code < 16);
            let back = decoder.decode(code);
            assert_eq!(encoder, decoder);
            noise += (i64::from(back) - i64::from(tone)).pow(2);
            signal += i64::from(tone).pow(2);
        }
        // 17 dB.
        assert!(signal > 50 * noise, "{signal} {noise}");
    }

    #[test]
    fn extremes_do_not_overflow() {
        let mut state = State::new();
        for sample in [i16::MAX, i16::MIN].into_iter().cycle().take(400) {
            state.encode(sample);
        }
        for code in 0..=255 {
            state.decode(code);
        }
        assert_eq!(samples(&[0; 3]), 6);
    }
}
