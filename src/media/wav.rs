//! WAV files (Microsoft and IBM, "Multimedia Programming Interface and Data Specifications 1.0", 1991).
//!
//! Out: stored G.711 shown as a file of 16-bit PCM at 8 kHz, mono. Sample n is at byte 44 + 2n, so any range of the file
//! is made from the bytes of its samples alone, and nothing is kept in between.
//!
//! In: a file that is read in pieces of any size and becomes A-law at 8 kHz: PCM of 8 or 16 bits, A-law or mu-law, one or
//! two channels, 8 to 48 kHz. Other rates are brought down through a low-pass of 97 taps at most, in whole numbers. Chunks
//! that mean nothing here are passed over at any length. Left out: compressed formats, 24 bits, floating point, rates
//! below 8 kHz, RF64.

use core::ops::Range;

use super::g711::Law;

/// Bytes before the first sample.
pub const HEADER_BYTES: u32 = 44;

/// The most samples a file can show.
pub const SAMPLES_MAX: u32 = (u32::MAX - HEADER_BYTES) / 2;

/// Bytes of the file that shows so many samples; what is over [`SAMPLES_MAX`] is not shown.
pub const fn len(samples: u32) -> u32 {
    HEADER_BYTES + 2 * if samples < SAMPLES_MAX { samples } else { SAMPLES_MAX }
}

/// Which samples, bytes of G.711, a range of the file needs.
pub fn needed(range: &Range<u32>) -> Range<u32> {
    let first = range.start.saturating_sub(HEADER_BYTES) / 2;
    first..range.end.saturating_sub(HEADER_BYTES).div_ceil(2).max(first)
}

/// Writes a range of the file that shows `samples` samples into `out`, from its G.711 bytes from sample `first` on; how many
/// bytes were written. It ends early where `out` does, where the file does, or where the samples that were given do: the rest
/// is asked for again.
pub fn render(range: Range<u32>, samples: u32, law: Law, first: u32, g711: &[u8], out: &mut [u8]) -> usize {
    let samples = samples.min(SAMPLES_MAX);
    let header = header(samples);
    let range = range.start..range.end.min(len(samples));
    let mut written = 0;
    for (at, byte) in range.zip(out) {
        *byte = match header.get(at as usize) {
            Some(byte) => *byte,
            None => {
                let sample = (at - HEADER_BYTES) / 2;
                let given = sample.checked_sub(first).and_then(|it| g711.get(it as usize));
                let Some(code) = given else { return written };
                law.decode(*code).to_le_bytes()[(at % 2) as usize]
            }
        };
        written += 1;
    }
    written
}

fn header(samples: u32) -> [u8; HEADER_BYTES as usize] {
    // PCM, one channel, 8000 samples or 16000 bytes a second, 2 bytes each, 16 bits.
    let mut header = *b"RIFF....WAVEfmt \x10\0\0\0\x01\0\x01\0\x40\x1f\0\0\x80\x3e\0\0\x02\0\x10\0data....";
    header[4..8].copy_from_slice(&(len(samples) - 8).to_le_bytes());
    header[40..].copy_from_slice(&(2 * samples).to_le_bytes());
    header
}

/// Why a file can't be taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    /// It is no WAV file, or there is no sound in it.
    NotWav,
    /// It is one, of a format that is not read here.
    Format,
    /// There is more sound in it than is wanted.
    TooLong,
}

/// How far a piece was read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Progress {
    /// Bytes read. Less than there were: `out` is full, and the rest is to be given again.
    pub read: usize,
    /// Samples written.
    pub written: usize,
}

/// Reads a file in pieces.
///
/// [`Reader::feed`] with all pieces, [`Reader::finish`] once. After a fault nothing more is to be given.
pub struct Reader {
    state: State,
    /// What of a header or a frame has come.
    held: [u8; 40],
    held_len: usize,
    /// Bytes of the chunk that are still to come, or to be passed over.
    rest: u64,
    format: Option<Format>,
    resampler: Resampler,
    samples: u32,
    samples_max: u32,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    /// The head of the file is due.
    File,
    /// The head of a chunk.
    Chunk,
    /// A description of the format.
    Format,
    /// A chunk that is passed over.
    Skipped,
    /// Sound.
    Data,
    /// What is behind the sound is not looked at.
    Behind,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Format {
    coding: Coding,
    is_stereo: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Coding {
    Pcm8,
    Pcm16,
    Law(Law),
}

impl Reader {
    /// A reader of a file that takes at most so many samples of 8 kHz.
    pub const fn new(samples_max: u32) -> Self {
        Self {
            state: State::File,
            held: [0; 40],
            held_len: 0,
            rest: 0,
            format: None,
            resampler: Resampler::new(8000),
            samples: 0,
            samples_max,
        }
    }

    /// Reads a piece and writes A-law into `out`. With as much room as there are bytes, all are read.
    pub fn feed(&mut self, bytes: &[u8], out: &mut [u8]) -> Result<Progress, Fault> {
        let (mut read, mut written) = (0, 0);
        while let Some(piece) = bytes.get(read..).filter(|piece| !piece.is_empty()) {
            match self.state {
                State::File => read += self.file(piece)?,
                State::Chunk => read += self.chunk(piece)?,
                State::Format => read += self.describe(piece)?,
                State::Skipped => {
                    let len = self.rest.min(piece.len() as u64);
                    self.rest -= len;
                    read += len as usize;
                    if self.rest == 0 {
                        self.state = State::Chunk;
                    }
                }
                State::Data => {
                    let progress = self.sound(piece, &mut out[written..])?;
                    (read, written) = (read + progress.read, written + progress.written);
                    if progress.read == 0 {
                        break;
                    }
                }
                State::Behind => read = bytes.len(),
            }
        }
        Ok(Progress { read, written })
    }

    /// The file is over: writes what is left, at most [`TAIL_SAMPLES`], into `out`; how many samples it has now in all.
    pub fn finish(&mut self, out: &mut [u8; TAIL_SAMPLES]) -> Result<(usize, u32), Fault> {
        let (mut written, mut fault) = (0, None);
        self.resampler.finish(|sample| match out.get_mut(written) {
            Some(place) => {
                *place = Law::A.encode(sample);
                written += 1;
            }
            None => fault = Some(Fault::TooLong),
        });
        self.samples += written as u32;
        if self.samples == 0 {
            return Err(Fault::NotWav);
        }
        let is_too_long = fault.is_some() || self.samples > self.samples_max;
        if is_too_long { Err(Fault::TooLong) } else { Ok((written, self.samples)) }
    }

    /// Gathers `len` bytes; how many of the piece it took, and whether they are all there now.
    fn hold(&mut self, piece: &[u8], len: usize) -> (usize, bool) {
        let taken = (len - self.held_len).min(piece.len());
        self.held[self.held_len..self.held_len + taken].copy_from_slice(&piece[..taken]);
        self.held_len += taken;
        let is_whole = self.held_len == len;
        if is_whole {
            self.held_len = 0;
        }
        (taken, is_whole)
    }

    fn file(&mut self, piece: &[u8]) -> Result<usize, Fault> {
        let (taken, is_whole) = self.hold(piece, 12);
        if is_whole {
            if &self.held[..4] != b"RIFF" || &self.held[8..12] != b"WAVE" {
                return Err(Fault::NotWav);
            }
            self.state = State::Chunk;
        }
        Ok(taken)
    }

    fn chunk(&mut self, piece: &[u8]) -> Result<usize, Fault> {
        let (taken, is_whole) = self.hold(piece, 8);
        if !is_whole {
            return Ok(taken);
        }
        let len = u64::from(word(&self.held, 4));
        match &self.held[..4] {
            b"fmt " if len < 16 => return Err(Fault::NotWav),
            b"fmt " => (self.state, self.rest) = (State::Format, len + len % 2),
            b"data" if self.format.is_none() => return Err(Fault::NotWav),
            // Who writes to a pipe does not know the length: then it lasts to the end.
            b"data" if len == 0 || len >= 0xffff_ff00 => (self.state, self.rest) = (State::Data, u64::MAX),
            b"data" => (self.state, self.rest) = (State::Data, len),
            _ if len == 0 => {}
            _ => (self.state, self.rest) = (State::Skipped, len + len % 2),
        }
        Ok(taken)
    }

    fn describe(&mut self, piece: &[u8]) -> Result<usize, Fault> {
        let wanted = self.rest.min(self.held.len() as u64) as usize;
        let (taken, is_whole) = self.hold(piece, wanted);
        if is_whole {
            let (format, rate) = format(&self.held[..wanted])?;
            (self.format, self.resampler) = (Some(format), Resampler::new(rate));
            self.rest -= wanted as u64;
            self.state = if self.rest > 0 { State::Skipped } else { State::Chunk };
        }
        Ok(taken)
    }

    /// Reads whole frames as long as each may become a sample in `out`, and holds the beginning of one that is cut.
    fn sound(&mut self, piece: &[u8], out: &mut [u8]) -> Result<Progress, Fault> {
        let Some(format) = self.format else { return Err(Fault::NotWav) };
        let frame_bytes = format.frame_bytes();
        let (mut read, mut written) = (0, 0);
        while read < piece.len() && written < out.len() && self.rest > 0 {
            let len = (piece.len() - read).min(usize::try_from(self.rest).unwrap_or(usize::MAX));
            let (taken, is_whole) = self.hold(&piece[read..read + len], frame_bytes);
            read += taken;
            if self.rest != u64::MAX {
                self.rest -= taken as u64;
            }
            if !is_whole {
                continue;
            }
            if let Some(sample) = self.resampler.push(format.sample(&self.held)) {
                out[written] = Law::A.encode(sample);
                written += 1;
                self.samples += 1;
                if self.samples > self.samples_max {
                    return Err(Fault::TooLong);
                }
            }
        }
        if self.rest == 0 {
            self.state = State::Behind;
        }
        Ok(Progress { read, written })
    }
}

/// What [`Reader::finish`] may write.
pub const TAIL_SAMPLES: usize = 2 * REACH as usize;

/// Reads a description: the format, and the rate in samples a second.
fn format(bytes: &[u8]) -> Result<(Format, u32), Fault> {
    let short = |at: usize| u16::from_le_bytes([bytes[at], bytes[at + 1]]);
    // An extensible format has its tag in the first bytes of a GUID.
    let tag = match short(0) {
        0xfffe if bytes.len() >= 26 => short(24),
        tag => tag,
    };
    let coding = match (tag, short(14)) {
        (1, 8) => Coding::Pcm8,
        (1, 16) => Coding::Pcm16,
        (6, 8) => Coding::Law(Law::A),
        (7, 8) => Coding::Law(Law::Mu),
        _ => return Err(Fault::Format),
    };
    let is_stereo = match short(2) {
        1 => false,
        2 => true,
        _ => return Err(Fault::Format),
    };
    let (format, rate) = (Format { coding, is_stereo }, word(bytes, 4));
    let is_read = (8000..=48_000).contains(&rate) && usize::from(short(12)) == format.frame_bytes();
    if is_read { Ok((format, rate)) } else { Err(Fault::Format) }
}

impl Format {
    const fn frame_bytes(self) -> usize {
        let sample = if matches!(self.coding, Coding::Pcm16) { 2 } else { 1 };
        sample << self.is_stereo as usize
    }

    /// The sample of a frame: of two channels, the mean.
    fn sample(self, frame: &[u8; 40]) -> i16 {
        let channel = |n: usize| match self.coding {
            Coding::Pcm8 => (i16::from(frame[n]) - 128) << 8,
            Coding::Pcm16 => i16::from_le_bytes([frame[2 * n], frame[2 * n + 1]]),
            Coding::Law(law) => law.decode(frame[n]),
        };
        if self.is_stereo { ((i32::from(channel(0)) + i32::from(channel(1))) / 2) as i16 } else { channel(0) }
    }
}

fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

/// Brings a rate down to 8 kHz: at each of its moments a sum of the samples around it, weighted by a windowed sinc.
///
/// Time is counted in 1/8000 of the input's interval, so that both intervals are whole: 8000 and the input's rate.
struct Resampler {
    /// The latest samples, in a ring.
    history: [i16; HISTORY],
    pushed: u32,
    rate: u32,
    /// From the moment of the next output to the latest input.
    lag: u32,
    /// Steps of the kernel's table in a unit of time, in 2^-20.
    scale: u32,
}

impl Resampler {
    const fn new(rate: u32) -> Self {
        let scale = ((STEPS as u32) << 20) / rate;
        Self { history: [0; HISTORY], pushed: 0, rate, lag: 0, scale }
    }

    /// Takes a sample, and gives one if it is time: never more than one, because the output's rate is not the higher.
    fn push(&mut self, sample: i16) -> Option<i16> {
        if self.rate == 8000 {
            return Some(sample);
        }
        if self.pushed > 0 {
            self.lag += 8000;
        }
        self.history[self.pushed as usize % HISTORY] = sample;
        self.pushed = self.pushed.wrapping_add(1).max(1);
        let is_due = self.lag >= REACH * self.rate;
        is_due.then(|| {
            let output = self.output();
            self.lag -= self.rate;
            output
        })
    }

    /// Gives what is left, as if silence followed.
    fn finish(&mut self, mut give: impl FnMut(i16)) {
        if self.rate == 8000 || self.pushed == 0 {
            return;
        }
        // Outputs up to the last input; their time has to be below `lag` now.
        let mut left = self.lag / self.rate + 1;
        while left > 0 {
            if let Some(sample) = self.push(0) {
                give(sample);
                left -= 1;
            }
        }
    }

    fn output(&self) -> i16 {
        let (mut sum, mut weights) = (0i64, 0i64);
        let reach = REACH * self.rate;
        // The first sample that is near enough, counted back from the latest.
        let first = self.lag.saturating_sub(reach).div_ceil(8000);
        let last = (self.lag + reach) / 8000;
        for back in first..=last.min(HISTORY as u32 - 1) {
            let distance = self.lag.abs_diff(back * 8000);
            let weight = i64::from(KERNEL[((distance * self.scale) >> 20) as usize % KERNEL.len()]);
            let at = self.pushed.wrapping_sub(1).wrapping_sub(back) as usize % HISTORY;
            sum += weight * i64::from(self.history[at]);
            weights += weight;
        }
        // Divided by what the weights are together, constant input stays what it is at any phase.
        sum.checked_div(weights).unwrap_or(0).clamp(i16::MIN.into(), i16::MAX.into()) as i16
    }
}

/// How far the kernel reaches to each side, in intervals of the output.
const REACH: u32 = 8;
/// Steps of its table in one interval.
const STEPS: usize = 64;
/// Samples of 48 kHz that the kernel covers, a power of 2.
const HISTORY: usize = 128;

const _: () = assert!(2 * REACH * 6 < HISTORY as u32);

/// One side of the kernel: sinc with its edge at 3.5 kHz under a raised cosine, times 2^15.
static KERNEL: [i16; REACH as usize * STEPS + 1] = kernel();

const fn kernel() -> [i16; REACH as usize * STEPS + 1] {
    const EDGE: f64 = 3500.0 / 4000.0;
    let mut table = [0; REACH as usize * STEPS + 1];
    table[0] = i16::MAX;
    let mut i = 1;
    while i < table.len() {
        let x = i as f64 / STEPS as f64;
        let sinc = sine(PI * EDGE * x) / (PI * EDGE * x);
        let window = 0.5 + 0.5 * sine(PI * x / REACH as f64 + PI / 2.0);
        table[i] = (32_767.0 * sinc * window) as i16;
        i += 1;
    }
    table
}

const PI: f64 = core::f64::consts::PI;

/// The sine by its series, for the table only: it is made when this is compiled.
const fn sine(x: f64) -> f64 {
    let mut x = x;
    while x > PI {
        x -= 2.0 * PI;
    }
    let (mut term, mut sum, mut n) = (x, x, 1.0);
    while n < 12.0 {
        term = -term * x * x / ((2.0 * n) * (2.0 * n + 1.0));
        sum += term;
        n += 1.0;
    }
    sum
}

#[cfg(test)]
mod tests;
