//! Tones: made as WAV files, and found again in recordings by Goertzel's algorithm.

use std::f64::consts::TAU;
use std::fs;
use std::path::Path;

/// Samples a second, in everything these tests play and record.
pub const RATE: usize = 8000;

/// A quarter of a second: a whole number of periods of each tone used, so that none leaks into another.
const WINDOW: usize = RATE / 4;

/// The part of a window's energy that is in a tone when it sounds. G.711 leaves far more.
const PRESENT: f64 = 0.7;

/// Writes a WAV file (PCM, 16 bits, mono) with a tone.
pub fn write(path: &Path, hz: u32, seconds: usize) {
    let samples = (0..RATE * seconds).map(|n| (TAU * f64::from(hz) * n as f64 / RATE as f64).sin() * 8000.0);
    let data = samples.flat_map(|sample| (sample as i16).to_le_bytes()).collect::<Vec<_>>();
    let mut file = Vec::with_capacity(data.len() + HEADER_BYTES);
    let number = |value: usize| (value as u32).to_le_bytes();
    file.extend_from_slice(b"RIFF");
    file.extend_from_slice(&number(data.len() + HEADER_BYTES - 8));
    file.extend_from_slice(b"WAVEfmt ");
    file.extend_from_slice(&number(16));
    file.extend_from_slice(&[1, 0, 1, 0]);
    file.extend_from_slice(&number(RATE));
    file.extend_from_slice(&number(2 * RATE));
    file.extend_from_slice(&[2, 0, 16, 0]);
    file.extend_from_slice(b"data");
    file.extend_from_slice(&number(data.len()));
    file.extend_from_slice(&data);
    fs::write(path, file).expect("the tone can be written");
}

/// The samples of a recording. Its header is not trusted, as a program that still records has not finished it.
pub fn read(path: &Path) -> Vec<i16> {
    let bytes = fs::read(path).unwrap_or_else(|error| panic!("recording {}: {error}", path.display()));
    let samples = bytes.get(HEADER_BYTES..).unwrap_or_default();
    samples.chunks_exact(2).map(|pair| i16::from_le_bytes([pair[0], pair[1]])).collect()
}

/// How long a tone sounds in `samples`, seconds: whole quarters in which nearly all energy is in that tone.
pub fn seconds_of(samples: &[i16], hz: u32) -> f64 {
    let sounding = samples.chunks_exact(WINDOW).filter(|window| share(window, hz) > PRESENT).count();
    (sounding * WINDOW) as f64 / RATE as f64
}

/// The part of the energy that is at a frequency; 0 in silence.
fn share(window: &[i16], hz: u32) -> f64 {
    let factor = 2.0 * (TAU * f64::from(hz) / RATE as f64).cos();
    let (mut one, mut two, mut energy) = (0.0, 0.0, 0.0);
    for sample in window {
        let sample = f64::from(*sample);
        (one, two) = (sample + factor * one - two, one);
        energy += sample * sample;
    }
    let power = one * one + two * two - factor * one * two;
    // Quieter than -50 dB is silence.
    if energy < 100.0 * 100.0 * window.len() as f64 / 2.0 { 0.0 } else { 2.0 * power / (energy * window.len() as f64) }
}

const HEADER_BYTES: usize = 44;

#[test]
fn tones_are_told_apart() {
    let path = std::env::temp_dir().join(format!("pcsd-e2e-tone-{}.wav", std::process::id()));
    write(&path, 440, 2);
    let samples = read(&path);
    fs::remove_file(&path).unwrap();
    assert_eq!(samples.len(), 2 * RATE);
    assert_eq!((seconds_of(&samples, 440), seconds_of(&samples, 880), seconds_of(&samples, 660)), (2.0, 0.0, 0.0));
    let other = (0..samples.len()).map(|n| (TAU * 880.0 * n as f64 / RATE as f64).sin() * 8000.0);
    let mixed = samples.iter().zip(other).map(|(a, b)| a / 2 + b as i16 / 2).collect::<Vec<_>>();
    assert_eq!((seconds_of(&mixed, 440), seconds_of(&mixed, 880)), (0.0, 0.0), "neither is nearly all of it");
    assert_eq!(seconds_of(&[0; RATE], 440), 0.0);
}
