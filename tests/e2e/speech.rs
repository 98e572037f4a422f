//! Spoken sentences: made as WAV files, and found again in recordings by normalised cross-correlation.
//!
//! WAV files are PCM of 16 bits, mono, [`RATE`] samples a second, as those of [`crate::tone`].

use std::f64::consts::TAU;
use std::path::Path;
use std::process::Command;

use crate::harness::find;
use crate::tone::{RATE, read};

/// Writes a WAV file in which a sentence is spoken, in a language by its tag (`en`, `sv`), half a second of silence at
/// either end.
///
/// # Panics
/// When espeak-ng or sox are missing or fail.
pub fn speak(path: &Path, language: &str, sentence: &str) {
    let raw = path.with_extension("espeak.wav");
    run(Command::new(find("espeak-ng")).args(["-v", language, "-s", "150", "-w"]).arg(&raw).arg(sentence));
    let rate = RATE.to_string();
    let mut sox = Command::new(find("sox"));
    // Quieter first, so that filtering does not clip.
    sox.args(["-D", "-v", "0.7"]).arg(&raw).args(["-r", &rate, "-c", "1", "-b", "16", "-e", "signed"]).arg(path);
    run(sox.args(["highpass", "200", "pad", "0.5", "0.5"]));
    std::fs::remove_file(raw).expect("what espeak-ng wrote can be removed");
}

/// Where a sound is found in another, and how like it is.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Match {
    /// 1 = the same but for loudness, 0 = unrelated, -1 = upside down.
    pub correlation: f64,
    /// Where in the other its first sample would be; negative when the beginning is missing.
    pub lag_samples: isize,
}

/// Finds what was `said` in a recording, two WAV files.
pub fn find_file(said: &Path, recording: &Path) -> Match {
    find_speech(&read(said), &read(recording))
}

/// Finds `said` in a recording: the lag at which the normalised cross-correlation is largest, where at least half of
/// `said` lies within the recording. Whoever trims silence off, or loses packets, shifts what follows: compare parts.
pub fn find_speech(said: &[i16], recording: &[i16]) -> Match {
    let size = (said.len() + recording.len()).next_power_of_two();
    let products = correlate(said, recording, size);
    let (said_energy, energy) = (running_energy(said), running_energy(recording));
    let mut best = Match { correlation: 0.0, lag_samples: 0 };
    let least = (said.len() / 2).max(1);
    for lag in -(said.len() as isize)..recording.len() as isize {
        // The samples of both that lie over each other.
        let from = lag.min(0).unsigned_abs();
        let until = said.len().min((recording.len() as isize - lag).max(0) as usize);
        if until < from + least {
            continue;
        }
        let at = |index: usize| (index as isize + lag) as usize;
        let power = (said_energy[until] - said_energy[from]) * (energy[at(until)] - energy[at(from)]);
        // Quieter than a step or two of 16 bits is nothing to compare.
        if power < ((until - from) as f64 * 4.0).powi(2) {
            continue;
        }
        let correlation = products[lag.rem_euclid(size as isize) as usize] / power.sqrt();
        if correlation > best.correlation {
            best = Match { correlation, lag_samples: lag };
        }
    }
    best
}

/// The sum of squares before each sample, and of all.
fn running_energy(samples: &[i16]) -> Vec<f64> {
    let mut sum = 0.0;
    let sums = samples.iter().map(|sample| {
        sum += f64::from(*sample).powi(2);
        sum
    });
    [0.0].into_iter().chain(sums).collect()
}

/// For each lag, modulo `size`, the sum of products of what lies over each other: by the Fourier transform, as a sentence
/// in a minute of recording would take 10^10 multiplications otherwise.
fn correlate(said: &[i16], recording: &[i16], size: usize) -> Vec<f64> {
    // Two real signals are transformed as one complex one, and told apart by symmetry.
    let mut both: Vec<Complex> = (0..size).map(|n| Complex(sample(recording, n), sample(said, n))).collect();
    transform(&mut both);
    let mut product: Vec<Complex> = (0..size)
        .map(|n| {
            let (x, y) = (both[n], both[(size - n) % size]);
            let recording = Complex((x.0 + y.0) / 2.0, (x.1 - y.1) / 2.0);
            let said = Complex((x.1 + y.1) / 2.0, (y.0 - x.0) / 2.0);
            // The conjugate of a product whose transform is the inverse one, as the result is real.
            let value = recording.times(Complex(said.0, -said.1));
            Complex(value.0, -value.1)
        })
        .collect();
    transform(&mut product);
    product.into_iter().map(|value| value.0 / size as f64).collect()
}

fn sample(samples: &[i16], n: usize) -> f64 {
    samples.get(n).map_or(0.0, |sample| f64::from(*sample))
}

#[derive(Clone, Copy)]
struct Complex(f64, f64);

impl Complex {
    fn times(self, other: Self) -> Self {
        Self(self.0 * other.0 - self.1 * other.1, self.0 * other.1 + self.1 * other.0)
    }
}

/// Cooley and Tukey's transform in place; the length is a power of two.
fn transform(values: &mut [Complex]) {
    let bits = values.len().trailing_zeros();
    for n in 1..values.len() {
        let mirrored = n.reverse_bits() >> (usize::BITS - bits);
        if n < mirrored {
            values.swap(n, mirrored);
        }
    }
    let mut half = 1;
    while half < values.len() {
        let twiddles: Vec<Complex> = (0..half)
            .map(|n| {
                let angle = -TAU * n as f64 / (2 * half) as f64;
                Complex(angle.cos(), angle.sin())
            })
            .collect();
        for block in values.chunks_exact_mut(2 * half) {
            let (low, high) = block.split_at_mut(half);
            for ((low, high), twiddle) in low.iter_mut().zip(high).zip(&twiddles) {
                let turned = high.times(*twiddle);
                *high = Complex(low.0 - turned.0, low.1 - turned.1);
                *low = Complex(low.0 + turned.0, low.1 + turned.1);
            }
        }
        half *= 2;
    }
}

fn run(command: &mut Command) {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Numbers that look like noise.
#[cfg(test)]
fn noise(seed: u64, len: usize) -> Vec<i16> {
    let mut state = seed;
    let next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((state >> 48) as u16).cast_signed() / 8
    };
    std::iter::repeat_with(next).take(len).collect()
}

#[test]
fn what_was_said_is_found_where_it_is() {
    let said = noise(1, 3000);
    // Later, quieter, upon other noise.
    let mut recording = noise(2, 10_000).iter().map(|sample| sample / 40).collect::<Vec<_>>();
    recording[4321..7321].iter_mut().zip(&said).for_each(|(sample, said)| *sample += said / 3);
    let found = find_speech(&said, &recording);
    assert_eq!(found.lag_samples, 4321);
    assert!((0.98..1.0).contains(&found.correlation), "{found:?}");
    // Its beginning or its end is missing.
    let found = find_speech(&said, &recording[5000..]);
    assert!(found.lag_samples == -679 && found.correlation > 0.98, "{found:?}");
    let found = find_speech(&said, &recording[..6500]);
    assert!(found.lag_samples == 4321 && found.correlation > 0.98, "{found:?}");
    // As the sum over each lag gives it, without a transform.
    let (a, b) = (&said[..40], &recording[4300..4400]);
    for (lag, product) in correlate(a, b, 256).into_iter().enumerate().take(60) {
        let plain: i64 = a.iter().zip(&b[lag..]).map(|(a, b)| i64::from(*a) * i64::from(*b)).sum();
        assert!((product - plain as f64).abs() < 1.0, "{lag}: {product} {plain}");
    }
}

#[test]
fn what_was_not_said_is_not_found() {
    let said = noise(1, 3000);
    assert!(find_speech(&said, &noise(3, 10_000)).correlation < 0.2);
    let nothing = Match { correlation: 0.0, lag_samples: 0 };
    assert_eq!(find_speech(&said, &[0; 10_000]), nothing);
    assert_eq!(find_speech(&said, &[]), nothing);
    assert_eq!(find_speech(&[], &said), nothing);
    let upside_down = said.iter().map(|sample| -sample).collect::<Vec<_>>();
    assert!(find_speech(&said, &upside_down).correlation < 0.2);
    // Less than half of it is there.
    assert!(find_speech(&said, &said[1600..]).correlation < 0.2);
}

#[test]
fn sentences_are_told_apart() {
    let Some(place) = crate::harness::Place::new("sentences_are_told_apart", &["espeak-ng", "sox"]) else { return };
    let folder = place.directory("speech");
    let (hello, other, late) = (folder.join("hello.wav"), folder.join("other.wav"), folder.join("late.wav"));
    speak(&hello, "en", "Hello Alice, the key is under the third flower pot.");
    speak(&other, "en", "We shall be back on Tuesday, please feed the cat.");
    assert!((2 * RATE..6 * RATE).contains(&read(&hello).len()), "{} samples", read(&hello).len());
    // As a call changes it: through A-law, later, and not as loud.
    let coded = folder.join("coded.al");
    run(Command::new(find("sox")).arg("-D").arg(&hello).arg(&coded).args(["vol", "0.5", "pad", "1.25"]));
    run(Command::new(find("sox"))
        .args(["-r", "8000", "-c", "1"])
        .arg(&coded)
        .args(["-b", "16", "-e", "signed"])
        .arg(&late));
    let found = find_file(&hello, &late);
    assert!(found.correlation > 0.98 && found.lag_samples == 10_000, "{found:?}");
    let found = find_file(&hello, &other);
    assert!(found.correlation < 0.5, "{found:?}");
    // Silence is like nothing.
    let quiet = folder.join("quiet.wav");
    run(Command::new(find("sox")).args(["-n", "-r", "8000", "-b", "16"]).arg(&quiet).args(["trim", "0", "3"]));
    assert!(find_file(&hello, &quiet).correlation < 0.2);
}
