//! The voice of a simulated phone: it offers G.711 (RFC 3551 §4.5.14) and telephone events (RFC 4733), sends packets of
//! 20 ms in virtual time (RFC 3550 §5.1), and keeps what it hears. Leaves out RTCP and jitter buffers.

use std::collections::VecDeque;
use std::net::SocketAddr;

use crate::message::Msg;
use crate::phone::{Act, Phone};

/// How long a packet lasts.
pub const PACKET_MS: u64 = 20;
/// Its bytes of sound.
pub const PACKET_BYTES: usize = 160;
/// Its stream, whatever it is sent from.
const SSRC: [u8; 4] = [0x5e, 0xed, 0, 1];
/// The payload type of telephone events.
const EVENTS: u8 = 101;

/// What a phone speaks and hears with.
pub struct Voice {
    /// Where it hears.
    pub address: SocketAddr,
    /// The one coding it offers, as a static payload type.
    pub payload_type: u8,
    /// The direction it offers; empty for both.
    pub direction: &'static str,
    /// RTP packets that came in: when, and all of each.
    pub heard: Vec<(u64, Vec<u8>)>,
    /// Whether it offers nothing, and answers the offer of the other side in its ACK.
    pub is_late: bool,
    to: Option<SocketAddr>,
    waiting: VecDeque<(u8, u32, Vec<u8>)>,
    next_at: u64,
    sequence: u16,
    timestamp: u32,
    version: u32,
}

impl Voice {
    /// One that hears at the port 4000 of an address, and speaks A-law.
    pub fn at(address: SocketAddr) -> Self {
        Self {
            address: SocketAddr::new(address.ip(), 4000),
            payload_type: 8,
            direction: "",
            heard: Vec::new(),
            is_late: false,
            to: None,
            waiting: VecDeque::new(),
            next_at: 0,
            sequence: 65_530,
            timestamp: u32::MAX - 1_000,
            version: 0,
        }
    }

    /// A session description (RFC 4566), as an offer or an answer.
    pub fn description(&mut self) -> Vec<u8> {
        self.version += 1;
        let (ip, port, version) = (self.address.ip(), self.address.port(), self.version);
        let Self { payload_type, direction, .. } = self;
        let direction = if direction.is_empty() { String::new() } else { format!("a={direction}\r\n") };
        format!(
            "v=0\r\no=- 7 {version} IN IP4 {ip}\r\ns=-\r\nc=IN IP4 {ip}\r\nt=0 0\r\n\
             m=audio {port} RTP/AVP {payload_type} {EVENTS}\r\na=rtpmap:{EVENTS} telephone-event/8000\r\n{direction}"
        )
        .into_bytes()
    }

    /// Begins to say this to an address.
    pub fn say(&mut self, now: u64, to: SocketAddr, sound: &[u8]) {
        (self.to, self.next_at) = (Some(to), self.next_at.max(now));
        for payload in sound.chunks(PACKET_BYTES) {
            self.waiting.push_back((self.payload_type, payload.len() as u32, payload.to_vec()));
        }
    }

    /// Presses `#` after what is being said: an event, and its end three times.
    pub fn press_hash(&mut self, now: u64, to: SocketAddr) {
        (self.to, self.next_at) = (Some(to), self.next_at.max(now));
        for (end, step) in [(0, 0), (0x80, 0), (0x80, 0), (0x80, PACKET_BYTES as u32)] {
            self.waiting.push_back((EVENTS, step, vec![11, end | 10, 1, 0x40]));
        }
    }

    /// Says nothing more.
    pub fn hush(&mut self) {
        self.waiting.clear();
    }

    /// Whether all is said.
    pub fn is_done(&self) -> bool {
        self.waiting.is_empty()
    }

    /// When the last packet came.
    pub fn heard_at(&self) -> Option<u64> {
        self.heard.last().map(|(at, _)| *at)
    }

    /// When the next packet is due.
    pub fn next_at(&self) -> Option<u64> {
        (!self.waiting.is_empty()).then_some(self.next_at)
    }

    /// The packet that is due.
    fn packet(&mut self, now: u64) -> Option<Act> {
        if self.next_at > now {
            return None;
        }
        let (payload_type, units, payload) = self.waiting.pop_front()?;
        let mut bytes = vec![0x80, payload_type];
        bytes.extend(self.sequence.to_be_bytes());
        bytes.extend(self.timestamp.to_be_bytes());
        bytes.extend(SSRC);
        bytes.extend(payload);
        self.sequence = self.sequence.wrapping_add(1);
        self.timestamp = self.timestamp.wrapping_add(units);
        self.next_at += PACKET_MS;
        Some(Act::Sound(self.address, self.to?, bytes))
    }
}

impl Phone {
    /// The same with a voice.
    pub fn speaking(mut self) -> Self {
        self.voice = Some(Voice::at(self.address));
        self
    }

    /// A datagram came to its voice.
    pub fn heard(&mut self, now: u64, bytes: &[u8]) {
        // RTCP that comes to this port is not looked at (RFC 5761 §4).
        let is_sound = bytes.len() > 12 && !(192..=223).contains(&bytes[1]);
        if let Some(voice) = self.voice.as_mut().filter(|_| is_sound) {
            voice.heard.push((now, bytes.to_vec()));
        }
    }

    /// Sends what is due of its voice.
    pub(super) fn speak(&mut self, now: u64) {
        while let Some(act) = self.voice.as_mut().and_then(|voice| voice.packet(now)) {
            self.acts.push_back(act);
        }
    }
}

/// Where the sender of a session description wants to be spoken to.
pub fn heard_at(msg: &Msg) -> Option<SocketAddr> {
    let text = std::str::from_utf8(&msg.body).ok()?;
    let ip = text.lines().find_map(|line| line.strip_prefix("c=IN IP4 "))?;
    let port = text.lines().find_map(|line| line.strip_prefix("m=audio "))?.split(' ').next()?;
    format!("{}:{port}", ip.trim()).parse().ok()
}
