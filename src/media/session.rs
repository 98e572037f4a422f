//! The media of one call that an answering machine took: it greets, beeps, records, and says when it is over (RFC 3550,
//! RFC 3551, RFC 4733, RFC 5761, RFC 7587).
//!
//! Methods that take what came: [`Session::received`], [`Session::rtcp_received`], [`Session::prompt`], and the wishes of
//! the signalling: [`Session::speak`], [`Session::refuse`], [`Session::hold`], [`Session::retarget`], [`Session::finish`].
//! Then [`Session::poll`] until it says `None`, [`Session::take_chunk`], [`Session::phase`], and sleep until
//! [`Session::deadline`].
//!
//! *Who is heard.* The address that was negotiated, or, when nothing has come from there yet, the first that sends RTP with
//! a payload type that was negotiated: behind a NAT the caller doesn't know the address we see. It never changes
//! afterwards but by a new negotiation. All others are counted and ignored, and so is what bears our own SSRC.
//!
//! *What is sent.* Packets of 20 ms while there is something to say. While it records, one packet of silence every 5 s:
//! that keeps the way through NATs open and callers who look for a dead line content, and costs a caller who pays by volume
//! next to nothing; a steady stream of silence would tell nobody anything. On hold, reports only. Reports are sent every
//! 2.5 to 7.5 s, a BYE at the end. The clock in reports counts from the machine's boot.
//!
//! Left out: what a receiver could do with reports about us (rate control), SSRC collisions but as above.

use core::net::SocketAddr;

use super::jitter::{Jitter, Piece, Taken};
use super::opus::{self, Packets};
use super::player::{FRAME_MS, Frame, PAYLOAD_BYTES, Player, Source};
use super::reception::Reception;
use super::recorder::Recorder;
use super::tone;
use crate::base::net::NOWHERE;
use crate::base::text::Writer;
use crate::base::time::{Instant, earliest};
use crate::wire::rtp::{self, Compound, Control, Event, Packet, SenderInfo};

pub use super::Codec;

/// What was negotiated.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Setup {
    /// How both sides send.
    pub codec: Codec,
    /// Its payload type.
    pub payload_type: u8,
    /// The payload type of telephone events, at the clock of the codec.
    pub dtmf: Option<u8>,
    /// Our SSRC: a random number.
    pub ssrc: u32,
    /// Our first sequence number: a random number.
    pub sequence: u16,
    /// Our first timestamp: a random number.
    pub timestamp: u32,
    /// Where the peer wants RTP.
    pub remote: SocketAddr,
    /// Where it wants RTCP. `None`: the port after that; the same as `remote`: on one port (RFC 5761).
    pub remote_rtcp: Option<SocketAddr>,
    /// How long a recording may be.
    pub limit_ms: u32,
    /// How long a silence ends it; 0: none does.
    pub silence_ms: u32,
}

/// What is said before the beep. To a caller that takes Opus only, the packets are said.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Prompt {
    /// One from the program file.
    BuiltIn {
        /// ADPCM as [`adpcm`](super::adpcm) has it.
        adpcm: &'static [u8],
        /// The same in Opus.
        opus: Packets,
    },
    /// One from the disk, to be brought in parts ([`Session::wanted`]).
    Stored {
        /// Bytes of A-law.
        samples: u32,
        /// What is said instead in Opus.
        opus: Packets,
    },
}

/// Where the machine is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Phase {
    /// Nothing is said yet.
    Idle,
    /// The prompt is being said.
    Greeting,
    /// The beep, or the tones that say that nothing is recorded.
    Beep,
    /// What comes is recorded.
    Recording,
    /// Over; a BYE may be due and the rest of the recording to be taken.
    Ended(Why),
}

/// Why it is over.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Why {
    /// The caller pressed `#`.
    Hash,
    /// The recording is as long as it may be.
    Limit,
    /// Nothing was heard for long, or the call was on hold for long.
    Silence,
    /// Not a single packet came for 10 s.
    NoAudio,
    /// It was said that nothing can be recorded.
    Refused,
    /// Whoever owns it finished it: the call is over.
    Finished,
}

/// What was in a datagram for the owner.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Heard {
    /// Nothing.
    Nothing,
    /// A key, once for each time it is pressed.
    Digit(char),
    /// The peer leaves.
    ByeRtcp,
}

/// A datagram to be sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Sending {
    /// Whither.
    pub to: SocketAddr,
    /// Bytes of it.
    pub len: usize,
    /// Whether it leaves from the port for RTCP.
    pub is_rtcp: bool,
}

/// Counters for a log line.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Counters {
    /// RTP packets from the peer.
    pub received: u32,
    /// RTP packets to it.
    pub sent: u32,
    /// Datagrams from others.
    pub foreign: u32,
    /// Datagrams that could not be read.
    pub malformed: u32,
    /// Packets whose payload type was not negotiated, or whose payload is none of the codec.
    pub unexpected: u32,
    /// Packets that never came.
    pub lost: u32,
    /// Packets that came twice or too late.
    pub late: u32,
    /// Mean deviation of the spacing of packets.
    pub jitter_ms: u32,
}

/// The media of one call.
pub struct Session {
    codec: Codec,
    payload_type: u8,
    dtmf: Option<u8>,
    ssrc: u32,
    limit_ms: u32,
    silence_ms: u32,
    /// The addresses that were negotiated. Here and below, [`NOWHERE`] stands where there is none: all zero, unlike `None`.
    remote: SocketAddr,
    remote_rtcp: SocketAddr,
    phase: Phase,
    phase_at: Instant,
    player: Player,
    recorder: Recorder,
    jitter: Jitter,
    reception: Reception,
    /// The address that is heard.
    source: SocketAddr,
    /// Where its RTCP came from, when not on the port for RTP.
    rtcp_source: SocketAddr,
    is_muxed: bool,
    /// The stream that is heard.
    stream: Option<u32>,
    /// Another that may take its place: its SSRC and the number that has to follow.
    suspect: Option<(u32, u16)>,
    /// The last event that ended: its SSRC and timestamp.
    event: Option<(u32, u32)>,
    held_since: Option<Instant>,
    /// Whether tones of refusal stand in the place of the beep.
    is_refused: bool,
    /// Our sequence number.
    sequence: u16,
    /// Our timestamp at `clock_at`, which is when the next packet is due while something is said.
    timestamp: u32,
    clock_at: Instant,
    is_marked: bool,
    starved_ms: u64,
    keep_alive_at: Instant,
    report_at: Instant,
    random: u32,
    octets: u32,
    /// Our CNAME: for this session only, of random bits that the stream shows anyway (RFC 7022 §4.2).
    name: [u8; 20],
    /// Packets sent when the last reports went out, and at the one before.
    reported: [u32; 2],
    is_bye_due: bool,
    counters: Counters,
}

const _: () = assert!(size_of::<Session>() <= 24 * 1024, "eight recordings take at most 192 KB");

impl Session {
    /// One that is to be begun; all zero.
    pub const fn empty() -> Self {
        Self {
            codec: Codec::Alaw,
            payload_type: 0,
            dtmf: None,
            ssrc: 0,
            limit_ms: 0,
            silence_ms: 0,
            remote: NOWHERE,
            remote_rtcp: NOWHERE,
            phase: Phase::Idle,
            phase_at: Instant::ZERO,
            player: Player::new(),
            recorder: Recorder::new(),
            jitter: Jitter::new(),
            reception: Reception::new(),
            source: NOWHERE,
            rtcp_source: NOWHERE,
            is_muxed: false,
            stream: None,
            suspect: None,
            event: None,
            held_since: None,
            is_refused: false,
            sequence: 0,
            timestamp: 0,
            clock_at: Instant::ZERO,
            is_marked: false,
            starved_ms: 0,
            keep_alive_at: Instant::ZERO,
            report_at: Instant::ZERO,
            random: 0,
            octets: 0,
            name: [0; 20],
            reported: [0; 2],
            is_bye_due: false,
            counters: Counters {
                received: 0,
                sent: 0,
                foreign: 0,
                malformed: 0,
                unexpected: 0,
                lost: 0,
                late: 0,
                jitter_ms: 0,
            },
        }
    }

    /// The media of a call that was negotiated. It says nothing until [`Session::speak`].
    pub fn new(now: Instant, setup: &Setup) -> Self {
        let mut session = Self::empty();
        session.begin(now, setup);
        session
    }

    /// Begins a session that is [empty](Session::empty), where it is.
    pub fn begin(&mut self, now: Instant, setup: &Setup) {
        (self.codec, self.ssrc) = (setup.codec, setup.ssrc);
        (self.limit_ms, self.silence_ms) = (setup.limit_ms, setup.silence_ms);
        (self.phase_at, self.clock_at) = (now, now);
        (self.sequence, self.timestamp, self.random) =
            (setup.sequence, setup.timestamp, setup.ssrc ^ setup.timestamp | 1);
        let mut name = Writer::new(&mut self.name);
        name.hex(setup.ssrc.into(), 8);
        name.hex(setup.timestamp.into(), 8);
        name.hex(setup.sequence.into(), 4);
        self.retarget(setup);
    }

    /// Says the prompt, then the beep, then it records.
    pub fn speak(&mut self, now: Instant, prompt: Prompt) {
        if self.phase != Phase::Idle {
            return;
        }
        let source = match prompt {
            _ if self.codec == Codec::Opus => match prompt {
                Prompt::BuiltIn { opus, .. } | Prompt::Stored { opus, .. } => Source::Packets(opus),
            },
            Prompt::BuiltIn { adpcm, .. } => Source::Adpcm(adpcm),
            Prompt::Stored { samples, .. } => Source::Stored(samples),
        };
        self.start_speaking(now);
        self.say(now, Phase::Greeting, source);
    }

    /// Says, after the prompt if it is being said, that nothing can be recorded, and ends.
    pub fn refuse(&mut self, now: Instant) {
        match self.phase {
            Phase::Idle => {
                self.is_refused = true;
                self.start_speaking(now);
                self.beep(now);
            }
            Phase::Greeting => self.is_refused = true,
            Phase::Beep | Phase::Recording | Phase::Ended(_) => {}
        }
    }

    /// The part of a stored prompt that is needed next: offset and length in bytes. It stays the same until it is brought.
    pub fn wanted(&self) -> Option<(u32, u32)> {
        if self.phase == Phase::Greeting { self.player.wanted(&self.recorder.ring) } else { None }
    }

    /// Brings a part that was wanted. Empty: it can't be read; the beep follows what was said so far.
    pub fn prompt(&mut self, offset: u32, bytes: &[u8]) {
        if self.phase == Phase::Greeting {
            self.player.bring(offset, bytes, &mut self.recorder.ring);
        }
    }

    /// Takes what was negotiated anew: addresses and payload types. The codec stays, so it has to be the same, and so do
    /// our own numbers and the limits.
    pub fn retarget(&mut self, setup: &Setup) {
        if setup.remote != self.remote {
            (self.source, self.rtcp_source) = (NOWHERE, NOWHERE);
        }
        self.is_muxed = setup.remote_rtcp == Some(setup.remote);
        (self.remote, self.remote_rtcp) = (setup.remote, setup.remote_rtcp.unwrap_or(NOWHERE));
        (self.payload_type, self.dtmf) = (setup.payload_type, setup.dtmf);
    }

    /// The peer puts the call on hold, or takes it back. On hold nothing is said and nothing recorded, and the time does not
    /// count, for 3 min; then the call is as good as over.
    pub fn hold(&mut self, now: Instant, is_held: bool) {
        if is_held == self.held_since.is_some() {
            return;
        }
        if is_held {
            if self.phase == Phase::Recording {
                self.drain(now, true);
            }
            self.held_since = Some(now);
            return;
        }
        if let Some(since) = self.held_since.take() {
            self.phase_at = self.phase_at.plus(now.since(since));
        }
        if self.phase == Phase::Recording {
            self.jitter.begin(now, self.codec.units_per_ms());
        }
        self.set_clock(now);
    }

    /// Takes a datagram from the port for RTP.
    pub fn received(&mut self, now: Instant, from: SocketAddr, bytes: &[u8]) -> Heard {
        if rtp::is_control(bytes) {
            let heard = self.control(now, from, bytes);
            self.is_muxed |= self.source == from;
            return heard;
        }
        let Some(packet) = Packet::parse(bytes) else {
            self.counters.malformed = self.counters.malformed.saturating_add(1);
            return Heard::Nothing;
        };
        if !self.is_heard(from, &packet) {
            self.counters.foreign = self.counters.foreign.saturating_add(1);
            return Heard::Nothing;
        }
        self.counters.received = self.counters.received.saturating_add(1);
        let heard = if self.dtmf == Some(packet.payload_type) { self.pressed(now, &packet) } else { Heard::Nothing };
        if self.follow(now, &packet) {
            let units_per_ms = self.codec.units_per_ms();
            self.reception.packet(now, packet.ssrc, packet.sequence, packet.timestamp, units_per_ms);
            self.sound(now, &packet);
        }
        heard
    }

    /// Takes a datagram from the port for RTCP.
    pub fn rtcp_received(&mut self, now: Instant, from: SocketAddr, bytes: &[u8]) -> Heard {
        let heard = self.control(now, from, bytes);
        if from.ip() == self.peer().ip() && Compound::parse(bytes).is_some() {
            self.rtcp_source = from;
        }
        heard
    }

    /// The next datagram that is due, into `out`, [`SENDING_BYTES`] or more. To be called until it says `None`.
    pub fn poll(&mut self, now: Instant, out: &mut [u8]) -> Option<Sending> {
        self.pass(now);
        if out.len() < SENDING_BYTES {
            return None;
        }
        let sending = self.speech(now, out).or_else(|| self.keep_alive(now, out));
        sending.or_else(|| self.report(now, out))
    }

    /// When it has something to do by itself.
    pub fn deadline(&self) -> Option<Instant> {
        let report = Some(self.report_at);
        let next = match (self.phase, self.held_since) {
            (Phase::Idle, _) => return None,
            (Phase::Ended(_), _) => return self.is_bye_due.then_some(self.phase_at),
            (_, Some(since)) => Some(since.plus(HOLD_MS)),
            (Phase::Recording, None) => {
                let silent = (self.counters.received == 0).then(|| self.phase_at.plus(NO_AUDIO_MS));
                earliest(earliest(silent, Some(self.keep_alive_at)), Some(self.jitter.deadline()))
            }
            (Phase::Greeting | Phase::Beep, None) => Some(self.clock_at),
        };
        earliest(next, report)
    }

    /// What is to be appended to the file next, into `out`; how many bytes, 0 when it is not worth a write yet. When the call
    /// is over, `is_last` ends the file: it is to be called until it says 0.
    pub fn take_chunk(&mut self, is_last: bool, out: &mut [u8]) -> usize {
        if self.recorder.is_begun() { self.recorder.take_chunk(is_last, out) } else { 0 }
    }

    /// Whether [`Session::take_chunk`] has something that is worth a write.
    pub const fn has_chunk(&self) -> bool {
        self.recorder.has_chunk()
    }

    /// Where it is.
    pub const fn phase(&self) -> Phase {
        self.phase
    }

    /// How long the recording is.
    pub const fn recorded_ms(&self) -> u64 {
        self.recorder.recorded_ms()
    }

    /// How much of it came in packets; the rest is silence in place of what did not come.
    pub const fn heard_ms(&self) -> u64 {
        self.recorder.heard_ms()
    }

    /// How much of it was dropped because the disk was slow.
    pub const fn lost_ms(&self) -> u64 {
        self.recorder.lost_ms()
    }

    /// The counters.
    pub fn counters(&self) -> Counters {
        let jitter_ms = self.reception.jitter() / self.codec.units_per_ms();
        Counters { lost: self.jitter.lost, late: self.jitter.late, jitter_ms, ..self.counters }
    }

    /// The call is over: what waits is recorded. A BYE is due.
    pub fn finish(&mut self, now: Instant) {
        self.end(now, Why::Finished);
    }

    fn start_speaking(&mut self, now: Instant) {
        self.set_clock(now);
        self.report_at = now.plus(self.report_interval_ms() / 2);
    }

    fn say(&mut self, now: Instant, phase: Phase, source: Source) {
        (self.phase, self.phase_at) = (phase, now);
        self.recorder.ring.clear();
        self.player.play(source);
    }

    fn beep(&mut self, now: Instant) {
        let is_opus = self.codec == Codec::Opus;
        let source = match self.is_refused {
            false if is_opus => Source::Packets(opus::BEEP),
            false => Source::Tones(tone::BEEP),
            true if is_opus => Source::Packets(opus::REFUSAL),
            true => Source::Tones(tone::REFUSAL),
        };
        self.say(now, Phase::Beep, source);
    }

    fn record(&mut self, now: Instant) {
        if self.is_refused {
            return self.end(now, Why::Refused);
        }
        (self.phase, self.phase_at) = (Phase::Recording, now);
        self.keep_alive_at = now.plus(KEEP_ALIVE_MS);
        self.recorder.begin(self.codec, self.ssrc);
        self.jitter.begin(now, self.codec.units_per_ms());
    }

    fn end(&mut self, now: Instant, why: Why) {
        if matches!(self.phase, Phase::Ended(_)) {
            return;
        }
        if self.phase == Phase::Recording && self.held_since.is_none() {
            self.drain(now, true);
        }
        // Nobody was ever sent anything: nobody has to be told.
        self.is_bye_due = self.phase != Phase::Idle;
        (self.phase, self.phase_at) = (Phase::Ended(why), now);
    }

    /// Time has passed.
    fn pass(&mut self, now: Instant) {
        if let Some(since) = self.held_since {
            if now.since(since) >= HOLD_MS && self.phase != Phase::Idle {
                self.end(now, Why::Silence);
            }
        } else if self.phase == Phase::Recording {
            self.drain(now, false);
            self.judge(now);
        }
    }

    /// Whether it is over.
    fn judge(&mut self, now: Instant) {
        let silence_ms = u64::from(self.silence_ms);
        if self.recorder.recorded_ms() >= self.limit_ms.into() {
            self.end(now, Why::Limit);
        } else if self.counters.received == 0 && now.since(self.phase_at) >= NO_AUDIO_MS {
            self.end(now, Why::NoAudio);
        } else if silence_ms > 0 && self.recorder.quiet_ms() >= silence_ms {
            self.end(now, Why::Silence);
        }
    }

    /// Where RTP goes.
    fn peer(&self) -> SocketAddr {
        if self.source == NOWHERE { self.remote } else { self.source }
    }

    /// Where RTCP goes, and whether from the port for it.
    fn rtcp_peer(&self) -> (SocketAddr, bool) {
        let peer = self.peer();
        if self.is_muxed {
            return (peer, false);
        }
        let after = SocketAddr::new(peer.ip(), peer.port().saturating_add(1));
        let told = if peer == self.remote { self.remote_rtcp } else { NOWHERE };
        let known = [self.rtcp_source, told].into_iter().find(|address| *address != NOWHERE);
        (known.unwrap_or(after), true)
    }

    fn is_heard(&mut self, from: SocketAddr, packet: &Packet<'_>) -> bool {
        if packet.ssrc == self.ssrc {
            return false;
        }
        let is_negotiated = packet.payload_type == self.payload_type || self.dtmf == Some(packet.payload_type);
        if self.source == NOWHERE && (from == self.remote || is_negotiated) {
            self.source = from;
        }
        self.source == from
    }

    /// Whether the packet belongs to the stream that is heard. Another takes its place with its second packet in order.
    fn follow(&mut self, now: Instant, packet: &Packet<'_>) -> bool {
        if self.stream.is_none_or(|stream| stream == packet.ssrc) {
            self.stream = Some(packet.ssrc);
            return true;
        }
        if self.suspect != Some((packet.ssrc, packet.sequence)) {
            self.suspect = Some((packet.ssrc, packet.sequence.wrapping_add(1)));
            return false;
        }
        (self.stream, self.suspect) = (Some(packet.ssrc), None);
        if self.phase == Phase::Recording && self.held_since.is_none() {
            self.drain(now, true);
        }
        self.jitter.restart();
        true
    }

    /// A packet of an event. It is told at its end, once; senders repeat the end, and lost ones are told never.
    fn pressed(&mut self, now: Instant, packet: &Packet<'_>) -> Heard {
        let Some(event) = Event::parse(packet.payload).filter(|event| event.is_end) else { return Heard::Nothing };
        // Within a stream later events have later timestamps. Gateways may give events a stream of their own.
        let is_told = |(ssrc, timestamp): (u32, u32)| {
            ssrc == packet.ssrc && packet.timestamp.wrapping_sub(timestamp).cast_signed() <= 0
        };
        if self.event.is_some_and(is_told) {
            return Heard::Nothing;
        }
        self.event = Some((packet.ssrc, packet.timestamp));
        let Some(key) = event.key() else { return Heard::Nothing };
        if key == '#' && self.held_since.is_none() {
            match self.phase {
                Phase::Greeting => self.beep(now),
                Phase::Recording => self.end(now, Why::Hash),
                Phase::Idle | Phase::Beep | Phase::Ended(_) => {}
            }
        }
        Heard::Digit(key)
    }

    /// Takes a packet of the stream that is heard.
    fn sound(&mut self, now: Instant, packet: &Packet<'_>) {
        let mut payload = packet.payload;
        let units = self.codec.duration(payload).filter(|units| {
            packet.payload_type == self.payload_type
                && payload.len() <= PACKET_BYTES
                && *units <= PACKET_MS * self.codec.units_per_ms()
        });
        if units.is_none() {
            // Its number counts.
            payload = &[];
            if self.dtmf != Some(packet.payload_type) {
                self.counters.unexpected = self.counters.unexpected.saturating_add(1);
            }
        }
        if self.phase != Phase::Recording || self.held_since.is_some() {
            return;
        }
        // Each round but the last takes a packet out, or restarts, which empties it.
        for _ in 0..=super::jitter::PACKETS {
            match self.jitter.put(now, packet.sequence, packet.timestamp, payload, units.unwrap_or(0)) {
                Taken::Full => self.drain_one(now),
                Taken::Restarted => {
                    self.drain(now, true);
                    self.jitter.restart();
                }
                Taken::Kept | Taken::Late | Taken::Odd => break,
            }
        }
        self.drain(now, false);
        self.judge(now);
    }

    /// Records what is in order; by force, all that waits.
    fn drain(&mut self, now: Instant, by_force: bool) {
        while let Some(piece) = self.jitter.next(now, by_force) {
            Self::keep(&mut self.recorder, self.codec, piece);
        }
    }

    /// Records one packet that waits, with the silence before it.
    fn drain_one(&mut self, now: Instant) {
        while let Some(piece) = self.jitter.next(now, true) {
            Self::keep(&mut self.recorder, self.codec, piece);
            if matches!(piece, Piece::Sound(_)) {
                break;
            }
        }
    }

    fn keep(recorder: &mut Recorder, codec: Codec, piece: Piece<'_>) {
        match piece {
            Piece::Sound(payload) => recorder.sound(payload, codec.duration(payload).unwrap_or(0)),
            Piece::Silence(units) => recorder.silence(units),
        }
    }

    fn control(&mut self, now: Instant, from: SocketAddr, bytes: &[u8]) -> Heard {
        if from.ip() != self.peer().ip() && from != self.remote_rtcp {
            self.counters.foreign = self.counters.foreign.saturating_add(1);
            return Heard::Nothing;
        }
        let Some(compound) = Compound::parse(bytes) else {
            self.counters.malformed = self.counters.malformed.saturating_add(1);
            return Heard::Nothing;
        };
        let mut heard = Heard::Nothing;
        for part in compound.iter() {
            match part {
                Control::Report { ssrc, sender: Some(sender), .. } => self.reception.reported(now, ssrc, &sender),
                Control::Bye(sources) if sources.iter().any(|ssrc| self.stream == Some(ssrc)) => heard = Heard::ByeRtcp,
                _ => {}
            }
        }
        heard
    }

    /// Our timestamps follow the clock from `now` on; what is said next comes after a pause.
    fn set_clock(&mut self, now: Instant) {
        let passed_ms = now.since(self.clock_at);
        let units = (passed_ms as u32).wrapping_mul(self.codec.units_per_ms());
        self.timestamp = self.timestamp.wrapping_add(units);
        (self.clock_at, self.is_marked) = (now, true);
    }

    /// The next packet of what is said.
    fn speech(&mut self, now: Instant, out: &mut [u8]) -> Option<Sending> {
        let mut payload = [0; PAYLOAD_BYTES];
        while matches!(self.phase, Phase::Greeting | Phase::Beep) && self.held_since.is_none() && now >= self.clock_at {
            if now.since(self.clock_at) > BEHIND_MS {
                self.set_clock(now);
            }
            match self.player.frame(self.codec, &mut self.recorder.ring, &mut payload) {
                Frame::Ready(len) => {
                    self.starved_ms = 0;
                    return Some(self.packet(&payload[..len], out));
                }
                Frame::Waiting => self.starve(now),
                Frame::Done if self.phase == Phase::Greeting => self.beep(now),
                Frame::Done => self.record(now),
            }
        }
        None
    }

    /// A part of the prompt is late: the time passes without it. For too long, and the beep has to do.
    fn starve(&mut self, now: Instant) {
        self.starved_ms += FRAME_MS;
        self.set_clock(self.clock_at.plus(FRAME_MS));
        if self.starved_ms >= STARVED_MS {
            self.beep(now);
        }
    }

    fn keep_alive(&mut self, now: Instant, out: &mut [u8]) -> Option<Sending> {
        if self.phase != Phase::Recording || self.held_since.is_some() || now < self.keep_alive_at {
            return None;
        }
        self.keep_alive_at = now.plus(KEEP_ALIVE_MS);
        self.set_clock(now);
        let silence = self.codec.law().map(|law| [law.silence(); 160]);
        let payload: &[u8] = silence.as_ref().map_or(&OPUS_SILENCE, |silence| silence);
        Some(self.packet(payload, out))
    }

    /// Writes an RTP packet of 20 ms.
    fn packet(&mut self, payload: &[u8], out: &mut [u8]) -> Sending {
        let (payload_type, ssrc) = (self.payload_type, self.ssrc);
        let (sequence, timestamp, is_marked) = (self.sequence, self.timestamp, self.is_marked);
        let mut out = Writer::new(out);
        Packet { payload_type, is_marked, sequence, timestamp, ssrc, payload }.write(&mut out);
        self.sequence = self.sequence.wrapping_add(1);
        self.set_clock(self.clock_at.plus(FRAME_MS));
        self.is_marked = false;
        self.counters.sent = self.counters.sent.wrapping_add(1);
        self.octets = self.octets.wrapping_add(payload.len() as u32);
        Sending { to: self.peer(), len: out.len(), is_rtcp: false }
    }

    /// The report that is due, or the BYE.
    fn report(&mut self, now: Instant, out: &mut [u8]) -> Option<Sending> {
        let is_over = matches!(self.phase, Phase::Ended(_));
        let is_due = if is_over { self.is_bye_due } else { self.phase != Phase::Idle && now >= self.report_at };
        if !is_due {
            return None;
        }
        self.is_bye_due = false;
        self.report_at = now.plus(self.report_interval_ms());
        let ssrc = self.ssrc;
        // A sender is who has sent since the report before the last (RFC 3550 §6.3.8).
        let is_sender = self.counters.sent != self.reported[1];
        self.reported = [self.counters.sent, self.reported[0]];
        let sender = is_sender.then(|| self.sender_info(now));
        let mut out = Writer::new(out);
        rtp::write_report(ssrc, sender.as_ref(), self.reception.block(now).as_ref(), &mut out);
        rtp::write_canonical_name(ssrc, &self.name, &mut out);
        if is_over {
            rtp::write_bye(ssrc, &mut out);
        }
        let (to, is_rtcp) = self.rtcp_peer();
        Some(Sending { to, len: out.len(), is_rtcp })
    }

    fn sender_info(&self, now: Instant) -> SenderInfo {
        let ms = now.millis();
        let ntp = ((ms / 1000) << 32) + ((ms % 1000) << 32) / 1000;
        let ahead_ms = (now.millis() as u32).wrapping_sub(self.clock_at.millis() as u32);
        let timestamp = self.timestamp.wrapping_add(ahead_ms.wrapping_mul(self.codec.units_per_ms()));
        SenderInfo { ntp, timestamp, packets: self.counters.sent, octets: self.octets }
    }

    /// 5 s, half of it more or less, so that the reports of all sessions don't go at once (RFC 3550 §6.3.1).
    fn report_interval_ms(&mut self) -> u64 {
        // Xorshift; it has to differ between sessions, not to be unpredictable.
        self.random ^= self.random << 13;
        self.random ^= self.random >> 17;
        self.random ^= self.random << 5;
        REPORT_MS / 2 + u64::from(self.random) % REPORT_MS
    }
}

/// Room that [`Session::poll`] needs.
pub const SENDING_BYTES: usize = rtp::HEADER_BYTES + PAYLOAD_BYTES;

/// The largest payload: the longest Opus packet (RFC 6716 §3.4).
const PACKET_BYTES: usize = 1275;
/// The longest: what Opus may last.
const PACKET_MS: u32 = 120;
const NO_AUDIO_MS: u64 = 10_000;
const HOLD_MS: u64 = 180_000;
const KEEP_ALIVE_MS: u64 = 5_000;
const REPORT_MS: u64 = 5_000;
/// Further behind, packets are not caught up with.
const BEHIND_MS: u64 = 200;
/// So long the stored prompt may stay away.
const STARVED_MS: u64 = 3_000;
/// 20 ms of nothing.
const OPUS_SILENCE: [u8; 1] = opus::missing(0x08);

#[cfg(test)]
mod tests;
