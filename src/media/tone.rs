//! Tones at 8 kHz: the beep, the mark of a gap in a recording, and the sequence that says "nothing can be recorded".
//!
//! A tone is a pure function of the position, so a player needs no state but that. All frequencies come from one sine of
//! 48 steps: a period of n samples takes every (48 / n)th, so n divides 48.

/// One note, or a rest.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Note {
    /// Samples of one period, a divisor of 48; 0 is a rest.
    pub period: u8,
    /// Samples it lasts.
    pub samples: u16,
}

/// "Speak after this": 1 kHz for 250 ms.
pub const BEEP: &[Note] = &[Note { period: 8, samples: 2000 }];

/// "Here something is missing": 60 ms, from 500 Hz to 333 Hz, as nothing on a telephone line sounds.
pub const GAP_MARK: &[Note] = &[Note { period: 16, samples: 240 }, Note { period: 24, samples: 240 }];

/// "Nothing can be recorded now": three falling notes, twice, 2.2 s.
pub const REFUSAL: &[Note] = &[
    Note { period: 8, samples: 2000 },
    Note { period: 12, samples: 2000 },
    Note { period: 16, samples: 3200 },
    Note { period: 0, samples: 3200 },
    Note { period: 8, samples: 2000 },
    Note { period: 12, samples: 2000 },
    Note { period: 16, samples: 3200 },
];

/// How many samples a sequence lasts.
pub const fn samples(notes: &[Note]) -> u32 {
    let (mut sum, mut i) = (0, 0);
    while i < notes.len() {
        sum += notes[i].samples as u32;
        i += 1;
    }
    sum
}

/// The linear sample at a position of a sequence, `None` behind its end.
pub fn sample(notes: &[Note], mut at: u32) -> Option<i16> {
    for note in notes {
        let samples = u32::from(note.samples);
        if at < samples {
            return Some(note_sample(*note, at, samples - at - 1));
        }
        at -= samples;
    }
    None
}

/// `after` samples of the note come behind this one.
fn note_sample(note: Note, at: u32, after: u32) -> i16 {
    let Some(step) = PERIOD.checked_div(note.period.into()) else { return 0 };
    let phase = (at * step % PERIOD) as usize;
    let (half, within) = (phase / 24, phase % 24);
    let value = i32::from(QUARTER[if within <= 12 { within } else { 24 - within }]);
    // Edges rise and fall within 4 ms, so that nothing clicks.
    let faded = value * at.min(after).min(RAMP).cast_signed() / RAMP.cast_signed();
    (if half == 0 { faded } else { -faded }) as i16
}

const PERIOD: u32 = 48;
const RAMP: u32 = 32;

/// sin(2 pi k / 48) at an amplitude of 10,000: -10 dB of full scale.
const QUARTER: [i16; 13] = [0, 1305, 2588, 3827, 5000, 6088, 7071, 7934, 8660, 9239, 9659, 9914, 10_000];

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    fn all(notes: &[Note]) -> Vec<i16> {
        (0..).map_while(|at| sample(notes, at)).collect()
    }

    #[test]
    fn beep_is_1_khz() {
        let beep = all(BEEP);
        assert_eq!((beep.len(), samples(BEEP)), (2000, 2000));
        assert_eq!(beep[800..808], [0, 7071, 10_000, 7071, 0, -7071, -10_000, -7071]);
        // Soft edges.
        assert!(beep[..4].iter().chain(&beep[1996..]).all(|it| it.abs() < 1300));
        let crossings = beep.windows(2).filter(|pair| pair[0] < 0 && pair[1] >= 0).count();
        assert!((248..=250).contains(&crossings), "{crossings}");
    }

    #[test]
    fn sequences() {
        assert_eq!(all(GAP_MARK).len(), 480);
        let refusal = all(REFUSAL);
        assert_eq!(refusal.len() as u32, samples(REFUSAL));
        assert!(refusal[7200..10_400].iter().all(|it| *it == 0));
        assert!(REFUSAL.iter().chain(GAP_MARK).all(|note| note.period == 0 || 48 % note.period == 0));
    }
}
