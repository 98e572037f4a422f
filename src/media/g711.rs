//! G.711: A-law and mu-law, and 16-bit linear samples. Decoding is a table, encoding finds the segment.
//!
//! Linear samples are the recommendation's 13 (A-law) and 14 bits (mu-law), shifted up to 16.

/// Which of the two laws.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Law {
    /// A-law: Europe, most of the world; PCMA in SDP.
    A,
    /// mu-law: North America and Japan; PCMU in SDP.
    Mu,
}

impl Law {
    /// The linear value of one byte.
    #[inline]
    pub fn decode(self, byte: u8) -> i16 {
        let table = match self {
            Self::A => &A_TABLE,
            Self::Mu => &MU_TABLE,
        };
        table[usize::from(byte)]
    }

    /// The byte for a linear value. What was decoded comes back as it was, but for mu-law's negative zero.
    #[inline]
    pub const fn encode(self, sample: i16) -> u8 {
        match self {
            Self::A => a_encode(sample),
            Self::Mu => mu_encode(sample),
        }
    }

    /// The byte for silence.
    pub const fn silence(self) -> u8 {
        self.encode(0)
    }

    /// Mean distance from 0 of what `bytes` say, in linear units; 0 for no bytes.
    pub fn level(self, bytes: &[u8]) -> u16 {
        let sum: u32 = bytes.iter().map(|byte| u32::from(self.decode(*byte).unsigned_abs())).sum();
        sum.checked_div(bytes.len() as u32).unwrap_or(0) as u16
    }
}

const fn a_encode(sample: i16) -> u8 {
    let mut magnitude = (if sample < 0 { !sample } else { sample }) >> 4;
    if magnitude > 15 {
        // Bits beyond the five that a step in the first segment has.
        let shift = 11 - magnitude.leading_zeros();
        magnitude = (magnitude >> shift) + ((shift as i16) << 4);
    }
    let sign = if sample < 0 { 0 } else { 0x80 };
    // Even bits are inverted on the line.
    (magnitude as u8 | sign) ^ 0x55
}

const fn a_decode(byte: u8) -> i16 {
    let bits = byte ^ 0x55;
    let (segment, step) = ((bits >> 4) & 7, (bits & 15) as i16);
    let magnitude = match segment {
        0 => (step << 4) + 8,
        _ => ((step << 4) + 0x108) << (segment - 1),
    };
    if bits & 0x80 != 0 { magnitude } else { -magnitude }
}

const fn mu_encode(sample: i16) -> u8 {
    let magnitude = ((if sample < 0 { !sample } else { sample }) >> 2) + BIAS;
    let magnitude = if magnitude > 0x1fff { 0x1fff } else { magnitude };
    // With the bias, the highest bit is the sixth at least.
    let segment = 10 - magnitude.leading_zeros();
    let step = (magnitude >> (segment + 1)) & 15;
    let sign = if sample < 0 { 0x80 } else { 0 };
    !((segment as u8) << 4 | step as u8 | sign)
}

const fn mu_decode(byte: u8) -> i16 {
    let bits = !byte;
    let (segment, step) = ((bits >> 4) & 7, (bits & 15) as i16);
    // The middle of the step, the bias taken off.
    let magnitude = (((step << 1) + BIAS) << segment) - BIAS;
    if bits & 0x80 != 0 { -(magnitude << 2) } else { magnitude << 2 }
}

/// What mu-law adds to a magnitude so that segments begin at powers of two.
const BIAS: i16 = 33;

static A_TABLE: [i16; 256] = table(Law::A);
static MU_TABLE: [i16; 256] = table(Law::Mu);

const fn table(law: Law) -> [i16; 256] {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = match law {
            Law::A => a_decode(byte as u8),
            Law::Mu => mu_decode(byte as u8),
        };
        byte += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decoder_outputs_of_the_recommendation() {
        // Tables 1a and 1b: value v of A-law is 2v-1 of 4096 for 13 bits; 2a and 2b: of mu-law of 8159.
        for (byte, linear) in [
            (0xd5, 8),
            (0x55, -8),
            (0xd4, 24),
            (0xda, 15 * 16 + 8),
            (0xc5, 264),
            (0xf5, 528),
            (0xaa, 32256),
            (0x2a, -32256),
            (0x80, 5504),
        ] {
            assert_eq!(Law::A.decode(byte), linear, "{byte:#x}");
        }
        for (byte, linear) in [
            (0xff, 0),
            (0x7f, 0),
            (0xfe, 2 * 4),
            (0xf0, 30 * 4),
            (0xef, 33 * 4),
            (0xe0, 93 * 4),
            (0xdf, 99 * 4),
            (0x80, 8031 * 4),
            (0x00, -8031 * 4),
            (0x8f, 4191 * 4),
        ] {
            assert_eq!(Law::Mu.decode(byte), linear, "{byte:#x}");
        }
        assert_eq!((Law::A.silence(), Law::Mu.silence()), (0xd5, 0xff));
    }

    #[test]
    fn every_byte_comes_back() {
        for byte in 0..=255 {
            assert_eq!(Law::A.encode(Law::A.decode(byte)), byte);
            let expected = if byte == 0x7f { 0xff } else { byte };
            assert_eq!(Law::Mu.encode(Law::Mu.decode(byte)), expected);
        }
    }

    #[test]
    fn every_sample_is_near_its_code() {
        for law in [Law::A, Law::Mu] {
            for sample in i16::MIN..=i16::MAX {
                let off = i32::from(law.decode(law.encode(sample))) - i32::from(sample);
                // Half a step, of which there are 16 in each doubling; the loudest are clipped at 32256 and 32124.
                let clipped = if sample.unsigned_abs() > 32_000 { 400 } else { 0 };
                let most = ((i32::from(sample).abs() + 132) / 32).max(16) + 1 + clipped;
                assert!(off.abs() <= most, "{law:?} {sample} {off}");
            }
        }
    }

    #[test]
    fn levels() {
        assert_eq!((Law::A.level(&[]), Law::A.level(&[0xd5; 160]), Law::Mu.level(&[0xff; 160])), (0, 8, 0));
        assert_eq!(Law::A.level(&[0xaa, 0x2a]), 32256);
    }
}
