//! What of an offer is taken (RFC 3264 §6), and what an answer has taken of ours: one stream of plain RTP audio in G.711
//! A-law or mu-law (RFC 3551 §4.5.14), with events of keys (RFC 4733) if there are; Opus (RFC 7587) where there is no G.711.
//!
//! Left out: several streams at once, RTCP bandwidth (RFC 3556), and fmtp of others, which none of these need to be decoded.

use core::net::SocketAddr;

use super::answer::{OWN_ALAW, OWN_DTMF, OWN_ULAW};
use super::offer::{Direction, Host, Offer, SdpFault, Stream, is_nowhere, number, rtcp, words};

/// A coding of voice.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Audio {
    /// G.711 A-law, PCMA.
    Alaw,
    /// G.711 mu-law, PCMU.
    Ulaw,
    /// Opus.
    Opus,
}

impl Audio {
    /// Ticks of its RTP clock in a second.
    pub const fn clock_hz(self) -> u32 {
        match self {
            Self::Alaw | Self::Ulaw => 8000,
            Self::Opus => 48_000,
        }
    }

    /// What a=rtpmap calls it.
    pub(super) const fn encoding(self) -> &'static str {
        match self {
            Self::Alaw => "PCMA/8000",
            Self::Ulaw => "PCMU/8000",
            Self::Opus => "opus/48000/2",
        }
    }

    /// What a=rtpmap calls events on its clock (RFC 4733 §2.1: one clock for all of a stream).
    pub(super) const fn events(self) -> &'static str {
        match self {
            Self::Alaw | Self::Ulaw => "telephone-event/8000",
            Self::Opus => "telephone-event/48000",
        }
    }
}

/// The stream that both sides use.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Chosen {
    /// Which m= line, from 0.
    pub stream_index: usize,
    /// The coding, the same both ways.
    pub codec: Audio,
    /// Its RTP payload type, the same both ways.
    pub payload_type: u8,
    /// The payload type of events (RFC 4733) at the codec's clock, if they are agreed on.
    pub dtmf: Option<u8>,
    /// Where RTP is sent to; with an unspecified address it is not to be sent ([`is_held`](Self::is_held)).
    pub remote: SocketAddr,
    /// Where RTCP is sent to.
    pub rtcp: RtcpWay,
    /// Milliseconds of audio that the other side wants in a packet.
    pub ptime_ms: u8,
    /// Whether the other side has put us on hold: it does not want media (sendonly, inactive, or the address 0.0.0.0).
    pub is_held: bool,
    /// Which way media go, as our own description says it.
    pub direction: Direction,
}

/// How RTCP travels.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RtcpWay {
    /// To a port of its own.
    Port(SocketAddr),
    /// With RTP, by the same ports (RFC 5761).
    Mux,
}

/// There is no stream that both sides can use: 488 (Not Acceptable Here).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NoCommon;

/// Why an answer to our own offer can't be used; the call is ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AnswerFault {
    /// It can't be read.
    Unreadable(SdpFault),
    /// It refuses what was offered, or takes what was not.
    NoCommon,
}

/// Takes the first audio stream that has G.711, and of its payload types the one the offerer prefers; else the first that
/// has Opus. A stream that can't be sent to (SRTP, a name for an address, multicast) is passed over.
pub fn choose(offer: &Offer<'_>) -> Result<Chosen, NoCommon> {
    first(offer, &[Audio::Alaw, Audio::Ulaw]).or_else(|| first(offer, &[Audio::Opus])).ok_or(NoCommon)
}

/// As [`choose`] for a later offer in the same session, in which the coding must not change: a recording has one.
pub fn choose_again(offer: &Offer<'_>, codec: Audio) -> Result<Chosen, NoCommon> {
    first(offer, &[codec]).ok_or(NoCommon)
}

/// What the answer to [`write_offer`](super::write_offer) took: the coding it names first, the payload types of our offer
/// (RFC 3264 §6.1: those are what it sends). RTCP has its own port, because nothing else was offered.
pub fn choose_answer(body: &[u8]) -> Result<Chosen, AnswerFault> {
    let answer = Offer::parse(body).map_err(AnswerFault::Unreadable)?;
    let own_type = |codec| if codec == Audio::Alaw { OWN_ALAW } else { OWN_ULAW };
    let stream = answer.streams().next().ok_or(AnswerFault::NoCommon)?;
    let taken = of_stream(0, &stream, &[Audio::Alaw, Audio::Ulaw]).ok_or(AnswerFault::NoCommon)?;
    let rtcp = RtcpWay::Port(rtcp_address(&stream, taken.remote).ok_or(AnswerFault::NoCommon)?);
    Ok(Chosen { payload_type: own_type(taken.codec), dtmf: taken.dtmf.map(|_| OWN_DTMF), rtcp, ..taken })
}

fn first(offer: &Offer<'_>, codecs: &[Audio]) -> Option<Chosen> {
    offer.streams().enumerate().find_map(|(index, stream)| of_stream(index, &stream, codecs))
}

fn of_stream(stream_index: usize, stream: &Stream<'_>, codecs: &[Audio]) -> Option<Chosen> {
    if !is_plain_audio(stream) {
        return None;
    }
    let remote = SocketAddr::new(stream.host.as_ref().and_then(Host::ip)?, stream.port);
    let map = PayloadMap::of(stream);
    let (payload_type, codec) = payload_types(stream).find_map(|payload_type| match map.get(payload_type) {
        Meaning::Audio(audio) if codecs.contains(&audio) => Some((payload_type, audio)),
        _ => None,
    })?;
    let events = Meaning::Events { clock_hz: codec.clock_hz() };
    let dtmf = payload_types(stream).find(|payload_type| map.get(*payload_type) == events);
    let rtcp = match stream.has("rtcp-mux") {
        true => RtcpWay::Mux,
        false => RtcpWay::Port(rtcp_address(stream, remote)?),
    };
    let (direction, is_held) = turned(stream.direction, is_nowhere(remote.ip()));
    let ptime_ms = if codec == Audio::Opus { PTIME_MS } else { ptime_ms(stream) };
    Some(Chosen { stream_index, codec, payload_type, dtmf, remote, rtcp, ptime_ms, is_held, direction })
}

fn is_plain_audio(stream: &Stream<'_>) -> bool {
    stream.kind.eq_ignore_ascii_case(b"audio")
        && stream.port != 0
        && [&b"RTP/AVP"[..], b"RTP/AVPF"].iter().any(|protocol| stream.protocol.eq_ignore_ascii_case(protocol))
}

/// The payload types in the order of preference. What is no number of 7 bits is passed over.
fn payload_types(stream: &Stream<'_>) -> impl Iterator<Item = u8> {
    words(stream.formats).filter_map(number).filter(|payload_type: &u8| usize::from(*payload_type) < PAYLOAD_TYPES)
}

/// What each payload type of a stream stands for; made in one pass, whatever the number of lines.
struct PayloadMap([Meaning; PAYLOAD_TYPES]);

#[derive(Clone, Copy, PartialEq, Eq)]
enum Meaning {
    /// No a=rtpmap was seen.
    Unsaid,
    Other,
    Audio(Audio),
    Events {
        clock_hz: u32,
    },
}

impl PayloadMap {
    /// By a=rtpmap, the first where several speak of one type, else by RFC 3551 §6.
    fn of(stream: &Stream<'_>) -> Self {
        let mut map = [Meaning::Unsaid; PAYLOAD_TYPES];
        for value in stream.attributes("rtpmap") {
            let mut words = words(value);
            let payload_type = words.next().and_then(number::<u8>).map(usize::from);
            if let Some(entry @ Meaning::Unsaid) = payload_type.and_then(|payload_type| map.get_mut(payload_type)) {
                *entry = Meaning::of(words.next().unwrap_or(b""));
            }
        }
        for (payload_type, audio) in [(OWN_ULAW, Audio::Ulaw), (OWN_ALAW, Audio::Alaw)] {
            let entry = &mut map[usize::from(payload_type)];
            *entry = if *entry == Meaning::Unsaid { Meaning::Audio(audio) } else { *entry };
        }
        Self(map)
    }

    fn get(&self, payload_type: u8) -> Meaning {
        self.0.get(usize::from(payload_type)).copied().unwrap_or(Meaning::Other)
    }
}

impl Meaning {
    /// The meaning of NAME/CLOCK, with the number of channels behind it or not when it is 1 (RFC 8866 §6.6).
    fn of(encoding: &[u8]) -> Self {
        let encoding = encoding.strip_suffix(b"/1").unwrap_or(encoding);
        let is = |name: &str| encoding.eq_ignore_ascii_case(name.as_bytes());
        if let Some(audio) = [Audio::Alaw, Audio::Ulaw, Audio::Opus].into_iter().find(|audio| is(audio.encoding())) {
            return Self::Audio(audio);
        }
        match [Audio::Alaw, Audio::Opus].into_iter().find(|audio| is(audio.events())) {
            Some(audio) => Self::Events { clock_hz: audio.clock_hz() },
            None => Self::Other,
        }
    }
}

/// Where RTCP goes that is not multiplexed: a=rtcp (RFC 3605), else the next port.
fn rtcp_address(stream: &Stream<'_>, remote: SocketAddr) -> Option<SocketAddr> {
    match stream.attributes("rtcp").find_map(rtcp) {
        Some((port, ip)) => Some(SocketAddr::new(ip.unwrap_or(remote.ip()), port)),
        None => Some(SocketAddr::new(remote.ip(), remote.port().checked_add(1)?)),
    }
}

/// Our direction for theirs (RFC 3264 §6.1), and whether we are on hold; who may not be sent to is as one who does not
/// receive (§8.4).
fn turned(theirs: Direction, is_nowhere: bool) -> (Direction, bool) {
    match theirs {
        Direction::SendRecv if is_nowhere => (Direction::RecvOnly, true),
        Direction::SendRecv => (Direction::SendRecv, false),
        Direction::SendOnly => (Direction::RecvOnly, true),
        Direction::RecvOnly if is_nowhere => (Direction::Inactive, true),
        Direction::RecvOnly => (Direction::SendOnly, false),
        Direction::Inactive => (Direction::Inactive, true),
    }
}

/// The ptime that is wanted, as far as it is whole frames of 10 ms and a packet stays small; else that of RFC 3551 §4.2.
fn ptime_ms(stream: &Stream<'_>) -> u8 {
    let wanted = stream.attributes("ptime").next().and_then(number).unwrap_or(PTIME_MS);
    let most = stream.attributes("maxptime").next().and_then(number).unwrap_or(PTIME_MS_MAX);
    let fits = |ptime: &u8| ptime.is_multiple_of(10) && (10..=PTIME_MS_MAX.min(most)).contains(ptime);
    Some(wanted).filter(fits).unwrap_or(if most < PTIME_MS { 10 } else { PTIME_MS })
}

/// Milliseconds in a packet when nothing is said.
pub(super) const PTIME_MS: u8 = 20;
const PTIME_MS_MAX: u8 = 60;
/// Payload types have 7 bits.
const PAYLOAD_TYPES: usize = 128;
