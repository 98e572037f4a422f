//! Ranges of shown files against the whole, and files that are read in any pieces.

use super::*;
use std::vec::Vec;

struct Random(u32);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 17;
        self.0 ^= self.0 << 5;
        self.0 as usize % bound
    }
}

#[test]
fn header_byte_for_byte() {
    let mut out = [0; 48];
    assert_eq!(render(0..48, 2, Law::A, 0, &[0xd5, 0xaa], &mut out), 48);
    let expected =
        b"RIFF\x28\0\0\0WAVEfmt \x10\0\0\0\x01\0\x01\0\x40\x1f\0\0\x80\x3e\0\0\x02\0\x10\0data\x04\0\0\0\x08\0\0\x7e";
    assert_eq!(&out, expected);
}

#[test]
fn any_range_is_the_same_bytes() {
    let mut random = Random(7);
    let g711: Vec<u8> = (0..1000).map(|_| random.below(256) as u8).collect();
    for law in [Law::A, Law::Mu] {
        let mut whole = std::vec![0; 3000];
        let total = render(0..u32::MAX, 1000, law, 0, &g711, &mut whole);
        assert_eq!((total, len(1000)), (2044, 2044));
        for _ in 0..5000 {
            let start = random.below(2044);
            let end = start + random.below(2044 - start + 1);
            let range = start as u32..end as u32;
            let part = needed(&range);
            let mut out = std::vec![0; end - start];
            let given = &g711[part.start as usize..part.end as usize];
            assert_eq!(render(range.clone(), 1000, law, part.start, given, &mut out), out.len(), "{range:?}");
            assert_eq!(out, whole[start..end], "{range:?}");
        }
    }
}

#[test]
fn ranges_that_end_early() {
    let mut out = [0; 100];
    // Only two samples are given; they begin at sample 3.
    assert_eq!(render(50..100, 100, Law::A, 3, &[1, 2], &mut out), 4);
    assert_eq!(render(50..100, 100, Law::A, 4, &[1, 2], &mut out), 0);
    assert_eq!(render(60..60, 100, Law::A, 0, &[0; 100], &mut out), 0);
    assert_eq!(render(40..900, 10, Law::A, 0, &[0; 10], &mut out), 24);
    assert_eq!((needed(&(0..44)), needed(&(45..46)), needed(&(46..49))), (0..0, 0..1, 1..3));
    assert_eq!((len(u32::MAX), len(0)), (u32::MAX - 1, 44));
}

fn file(tag: u16, channels: u16, rate: u32, bits: u16, data: &[u8]) -> Vec<u8> {
    let frame = channels * bits / 8;
    let mut file = b"RIFF\0\0\0\0WAVEfmt \x10\0\0\0".to_vec();
    file.extend([tag.to_le_bytes(), channels.to_le_bytes()].concat());
    file.extend([rate.to_le_bytes(), (rate * u32::from(frame)).to_le_bytes()].concat());
    file.extend([frame.to_le_bytes(), bits.to_le_bytes()].concat());
    file.extend(b"data");
    file.extend((data.len() as u32).to_le_bytes());
    file.extend(data);
    file
}

/// Reads a file in pieces of random size, with little room now and then.
fn read(file: &[u8], random: &mut Random, samples_max: u32) -> Result<Vec<u8>, Fault> {
    let (mut reader, mut rest, mut sound) = (Reader::new(samples_max), file, Vec::new());
    while !rest.is_empty() {
        let piece = &rest[..(1 + random.below(700)).min(rest.len())];
        let mut out = std::vec![0; 1 + random.below(700)];
        let progress = reader.feed(piece, &mut out)?;
        assert!(progress.read == piece.len() || progress.written == out.len());
        sound.extend(&out[..progress.written]);
        rest = &rest[progress.read..];
    }
    let mut tail = [0; TAIL_SAMPLES];
    let (written, total) = reader.finish(&mut tail)?;
    sound.extend(&tail[..written]);
    assert_eq!(total as usize, sound.len());
    Ok(sound)
}

/// A second of a tone.
fn tone(rate: u32, hz: f64, amplitude: f64) -> Vec<i16> {
    let angle = |n: u32| core::f64::consts::TAU * hz * f64::from(n) / f64::from(rate);
    (0..rate).map(|n| (amplitude * angle(n).sin()) as i16).collect()
}

fn bytes(samples: &[i16]) -> Vec<u8> {
    samples.iter().flat_map(|sample| sample.to_le_bytes()).collect()
}

/// Mean power of A-law.
fn power(sound: &[u8]) -> f64 {
    sound.iter().map(|byte| f64::from(Law::A.decode(*byte)).powi(2)).sum::<f64>() / sound.len() as f64
}

#[test]
fn g711_comes_as_it_is() {
    let mut random = Random(5);
    let data: Vec<u8> = (0..=255).collect();
    assert_eq!(read(&file(6, 1, 8000, 8, &data), &mut random, 1000).unwrap(), data);
    let mu = read(&file(7, 1, 8000, 8, &data), &mut random, 1000).unwrap();
    assert!(data.iter().zip(mu).all(|(byte, a)| a == Law::A.encode(Law::Mu.decode(*byte))));
}

#[test]
fn pcm_of_each_kind() {
    let mut random = Random(9);
    let samples = tone(8000, 440.0, 12_000.0);
    let expected: Vec<u8> = samples.iter().map(|sample| Law::A.encode(*sample)).collect();
    assert_eq!(read(&file(1, 1, 8000, 16, &bytes(&samples)), &mut random, 8000).unwrap(), expected);
    let stereo: Vec<i16> = samples.iter().flat_map(|sample| [*sample, *sample]).collect();
    assert_eq!(read(&file(1, 2, 8000, 16, &bytes(&stereo)), &mut random, 8000).unwrap(), expected);
    let eight: Vec<u8> = samples.iter().map(|sample| (sample / 256 + 128) as u8).collect();
    let coarse = read(&file(1, 1, 8000, 8, &eight), &mut random, 8000).unwrap();
    assert!((power(&coarse) / power(&expected) - 1.0).abs() < 0.05);
}

#[test]
fn rates_come_down_without_aliases() {
    let mut random = Random(11);
    for rate in [8001, 11_025, 16_000, 22_050, 32_000, 44_100, 48_000] {
        let passed = read(&file(1, 1, rate, 16, &bytes(&tone(rate, 1000.0, 10_000.0))), &mut random, 9000).unwrap();
        assert!((7999..=8000).contains(&passed.len()), "{rate}: {}", passed.len());
        let share = power(&passed[100..7900]) / 5e7;
        assert!((share - 1.0).abs() < 0.03, "{rate}: {share}");
        // It is the tone, at its time: what is left when it is taken off is 30 dB below.
        let reference = tone(8000, 1000.0, 10_000.0);
        let off: f64 = passed[100..7900]
            .iter()
            .zip(&reference[100..7900])
            .map(|(byte, expected)| (f64::from(Law::A.decode(*byte)) - f64::from(*expected)).powi(2))
            .sum::<f64>()
            / 7800.0;
        assert!(off < 5e4, "{rate}: {off}");
        if rate >= 11_025 {
            let blocked =
                read(&file(1, 1, rate, 16, &bytes(&tone(rate, 5000.0, 10_000.0))), &mut random, 9000).unwrap();
            let share = power(&blocked[100..7900]) / 5e7;
            assert!(share < 1e-3, "{rate}: {share}");
        }
    }
}

#[test]
fn other_chunks_are_passed_over() {
    let mut random = Random(13);
    let plain = file(6, 1, 8000, 8, &[1, 2, 3]);
    let mut odd = plain[..12].to_vec();
    odd.extend(b"LIST\x05\0\0\0abcde\0");
    odd.extend(b"JUNK\0\0\0\0");
    odd.extend(b"bext\xf1\x49\x02\0");
    odd.extend(std::vec![7; 150_002]);
    odd.extend(&plain[12..]);
    odd.extend(b"\0LIST\xff\xff\xff\x7fand so on");
    assert_eq!(read(&odd, &mut random, 10).unwrap(), [1, 2, 3]);
    // An extensible description, longer than what is looked at, and a length that nobody knew.
    let mut long = plain[..12].to_vec();
    long.extend(b"fmt \x33\0\0\0\xfe\xff\x01\0\x40\x1f\0\0\x40\x1f\0\0\x01\0\x08\0\x16\0\x08\0\x04\0\0\0\x06\0");
    long.extend([0; 26]);
    long.extend(b"data\xff\xff\xff\xff\x0a\x0b\x0c");
    assert_eq!(read(&long, &mut random, 10).unwrap(), [10, 11, 12]);
}

#[test]
fn faults_are_told() {
    let mut random = Random(17);
    let mut fault = |file: &[u8], most| read(file, &mut random, most).unwrap_err();
    let good = file(1, 1, 8000, 16, &[0; 40]);
    assert_eq!(fault(&good, 19), Fault::TooLong);
    assert_eq!(fault(&good[..44], 19), Fault::NotWav);
    assert_eq!(fault(&good[..20], 19), Fault::NotWav);
    assert_eq!(fault(b"ID3\x04 and an mp3 follows", 19), Fault::NotWav);
    assert_eq!(fault(b"RIFF\0\0\0\0WAVEdata\x04\0\0\0abcd", 19), Fault::NotWav);
    assert_eq!(fault(b"RIFF\0\0\0\0WAVEfmt \x02\0\0\0\x01\0", 19), Fault::NotWav);
    for (tag, channels, rate, bits) in [
        (3, 1, 8000, 32),
        (1, 1, 8000, 24),
        (1, 3, 8000, 16),
        (1, 0, 8000, 16),
        (1, 1, 7999, 16),
        (1, 1, 96_000, 16),
        (2, 1, 8000, 4),
    ] {
        assert_eq!(
            fault(&file(tag, channels, rate, bits, &[0; 96]), 19),
            Fault::Format,
            "{tag} {channels} {rate} {bits}"
        );
    }
    let mut lying = good.clone();
    lying[32] = 4;
    assert_eq!(fault(&lying, 19), Fault::Format);
    // A limit counts at other rates, too, and the tail with it.
    let wide = file(1, 1, 16_000, 16, &[0; 400]);
    assert_eq!((fault(&wide, 99), fault(&wide, 80)), (Fault::TooLong, Fault::TooLong));
    assert_eq!(read(&wide, &mut Random(3), 100).map(|sound| sound.len()), Ok(100));
}
