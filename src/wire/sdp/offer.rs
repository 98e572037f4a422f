//! Reading a session description (RFC 8866 §5): what of it decides about a stream of RTP audio, borrowed from the body.
//!
//! Lines end in CRLF or LF. Lines of unknown types, and attributes that nobody asks for, are passed over, as §5 and §5.13
//! want it. Of o= nothing is read: whether a description changed is seen from its bytes.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A description that can be answered: its version is 0, each m= line can be repeated in an answer, and each stream that
/// is not refused says where it wants its media. An answer is read in the same way.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Offer<'b> {
    /// The lines before the first m=.
    session: &'b [u8],
    /// The rest.
    media: &'b [u8],
    stream_count: usize,
    /// What holds for streams that do not say it themselves; read once, however many they are.
    common: Common<'b>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Common<'b> {
    host: Option<Host<'b>>,
    direction: Option<Direction>,
}

/// Why a description can't be read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SdpFault {
    /// It does not begin with `v=0`.
    Version,
    /// It has no o= line.
    Origin,
    /// More than [`LINES`] lines.
    TooManyLines,
    /// More than [`STREAMS`] m= lines.
    TooManyStreams,
    /// An m= line without a medium, a port number, a protocol or a format, or with bytes that are no text.
    Media,
    /// A c= line that is no address, or none for a stream that needs one.
    Connection,
}

/// Which way media go, as a description says it of its own end (RFC 8866 §6.7).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Direction {
    /// Both ways, also when nothing is said.
    SendRecv,
    /// Only away from who says it: how a caller puts the other on hold.
    SendOnly,
    /// Only towards who says it.
    RecvOnly,
    /// Neither way.
    Inactive,
}

impl<'b> Offer<'b> {
    /// Reads `body` up to its end, at most [`LINES`] lines.
    pub fn parse(body: &'b [u8]) -> Result<Self, SdpFault> {
        let (mut stream_count, mut media_at, mut has_origin) = (0, None, false);
        for (count, line) in lines(body).enumerate() {
            match line.bytes {
                b"v=0" if count == 0 => {}
                _ if count == 0 => return Err(SdpFault::Version),
                _ if count >= LINES => return Err(SdpFault::TooManyLines),
                [b'o', b'=', ..] if media_at.is_none() => has_origin = true,
                [b'm', b'=', ..] => {
                    media_at = media_at.or(Some(line.at));
                    stream_count += 1;
                }
                _ => {}
            }
        }
        if body.is_empty() {
            return Err(SdpFault::Version);
        }
        if !has_origin {
            return Err(SdpFault::Origin);
        }
        if stream_count > STREAMS {
            return Err(SdpFault::TooManyStreams);
        }
        let (session, media) = body.split_at(media_at.unwrap_or(body.len()));
        let common = Common { host: Host::stated(session)?, direction: direction(session) };
        let offer = Self { session, media, stream_count, common };
        offer.check()?;
        Ok(offer)
    }

    /// The number of m= lines.
    pub fn stream_count(&self) -> usize {
        self.stream_count
    }

    /// What t= said, if it is two numbers, as an answer has to repeat it (RFC 3264 §6).
    pub(super) fn time(&self) -> Option<&'b [u8]> {
        let value = values(self.session, b"t=").next()?;
        let is_time = value.len() <= 41 && value.iter().all(|byte| byte.is_ascii_digit() || *byte == b' ');
        (is_time && words(value).count() == 2).then_some(value)
    }

    /// The streams in their order: one for each m= line.
    pub(super) fn streams(&self) -> impl Iterator<Item = Stream<'b>> + use<'b> {
        let common = self.common;
        sections(self.media).filter_map(move |section| Stream::read(common, section).ok())
    }

    fn check(&self) -> Result<(), SdpFault> {
        sections(self.media).try_for_each(|section| Stream::read(self.common, section).map(|_| ()))
    }
}

/// Most lines of a description; more is a fault.
pub const LINES: usize = 1000;
/// Most m= lines of a description; more is a fault.
pub const STREAMS: usize = 16;

/// One m= line and what is said of it.
#[derive(Clone, Copy)]
pub(super) struct Stream<'b> {
    pub(super) kind: &'b [u8],
    /// The first port, when there are several; 0 = refused.
    pub(super) port: u16,
    pub(super) protocol: &'b [u8],
    /// The formats, blanks between them; one at least.
    pub(super) formats: &'b [u8],
    /// Its own c= or that of the session; `None` only with port 0.
    pub(super) host: Option<Host<'b>>,
    /// What is said of the direction here, else for the whole session.
    pub(super) direction: Direction,
    /// From the m= line to the next.
    section: &'b [u8],
}

/// Where media are wanted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Host<'b> {
    Ip(IpAddr),
    /// A name, or an address of many.
    Other(&'b [u8]),
}

impl<'b> Stream<'b> {
    fn read(common: Common<'b>, section: &'b [u8]) -> Result<Self, SdpFault> {
        let line = values(section, b"m=").next().ok_or(SdpFault::Media)?;
        let (kind, rest) = word(line).ok_or(SdpFault::Media)?;
        let (ports, rest) = word(rest).ok_or(SdpFault::Media)?;
        let (protocol, formats) = word(rest).ok_or(SdpFault::Media)?;
        let port = ports.split(|byte| *byte == b'/').next().and_then(number).ok_or(SdpFault::Media)?;
        let is_text = |word: &[u8]| word.iter().all(|byte| byte.is_ascii_graphic());
        let first_format = word(formats).ok_or(SdpFault::Media)?.0;
        if !(is_text(kind) && is_text(protocol) && is_text(first_format)) {
            return Err(SdpFault::Media);
        }
        let host = Host::stated(section)?.or(common.host);
        if host.is_none() && port != 0 {
            return Err(SdpFault::Connection);
        }
        let direction = direction(section).or(common.direction).unwrap_or(Direction::SendRecv);
        Ok(Self { kind, port, protocol, formats, host, direction, section })
    }

    /// The values of an attribute of this stream: of `a=rtpmap:0 PCMU/8000` with the name `rtpmap` what follows the colon.
    /// The value of one without a colon is empty.
    pub(super) fn attributes(&self, name: &'static str) -> impl Iterator<Item = &'b [u8]> + use<'b> {
        attributes(self.section, name)
    }

    /// Whether it has an attribute.
    pub(super) fn has(&self, name: &'static str) -> bool {
        self.attributes(name).next().is_some()
    }
}

impl<'b> Host<'b> {
    /// That of the first c= line, if there is one.
    fn stated(lines: &'b [u8]) -> Result<Option<Self>, SdpFault> {
        values(lines, b"c=").next().map(|value| Self::read(value).ok_or(SdpFault::Connection)).transpose()
    }

    /// The value of c=: `IN IP4 192.0.2.1`; an address of many has its TTL or count behind a slash.
    fn read(value: &'b [u8]) -> Option<Self> {
        let (network, rest) = word(value)?;
        let (family, rest) = word(rest)?;
        if !network.eq_ignore_ascii_case(b"IN") {
            return None;
        }
        Self::of_family(family, word(rest)?.0)
    }

    fn of_family(family: &[u8], host: &'b [u8]) -> Option<Self> {
        let text = core::str::from_utf8(host).ok()?;
        // A mapped address may come under either name (RFC 5118 §4.5 has them mixed up).
        let ip = match text.parse::<IpAddr>() {
            Ok(ip) => ip.to_canonical(),
            Err(_) if matches!(family, b"IP4" | b"IP6" | b"ip4" | b"ip6") => return Some(Self::Other(host)),
            Err(_) => return None,
        };
        let is_for_many = ip.is_multicast() || ip == IpAddr::V4(Ipv4Addr::BROADCAST);
        Some(if is_for_many { Self::Other(host) } else { Self::Ip(ip) })
    }

    /// The address, when it is one.
    pub(super) fn ip(&self) -> Option<IpAddr> {
        match self {
            Self::Ip(ip) => Some(*ip),
            Self::Other(_) => None,
        }
    }
}

/// The value of a=rtcp: a port, and an address if it is another (RFC 3605 §2.1).
pub(super) fn rtcp(value: &[u8]) -> Option<(u16, Option<IpAddr>)> {
    let (port, rest) = word(value)?;
    let port = number(port).filter(|port| *port != 0)?;
    Some((port, Host::read(rest).and_then(|host| host.ip()).filter(|ip| !is_nowhere(*ip))))
}

/// Whether an address says "send nothing" (RFC 3264 §8.4).
pub(super) fn is_nowhere(ip: IpAddr) -> bool {
    ip == IpAddr::V4(Ipv4Addr::UNSPECIFIED) || ip == IpAddr::V6(Ipv6Addr::UNSPECIFIED)
}

fn direction(lines: &[u8]) -> Option<Direction> {
    values(lines, b"a=").find_map(|value| match value {
        b"sendrecv" => Some(Direction::SendRecv),
        b"sendonly" => Some(Direction::SendOnly),
        b"recvonly" => Some(Direction::RecvOnly),
        b"inactive" => Some(Direction::Inactive),
        _ => None,
    })
}

fn attributes<'b>(lines: &'b [u8], name: &'static str) -> impl Iterator<Item = &'b [u8]> + use<'b> {
    values(lines, b"a=").filter_map(move |value| match value.strip_prefix(name.as_bytes())? {
        [] => Some(&[][..]),
        [b':', value @ ..] => Some(value.trim_ascii()),
        _ => None,
    })
}

/// The number that a whole word of digits says, if it fits.
pub(super) fn number<N: core::str::FromStr>(word: &[u8]) -> Option<N> {
    let is_number = !word.is_empty() && word.iter().all(u8::is_ascii_digit);
    core::str::from_utf8(word).ok().filter(|_| is_number)?.parse().ok()
}

/// The first word and what follows it.
pub(super) fn word(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let text = text.trim_ascii_start();
    let end = text.iter().position(u8::is_ascii_whitespace).unwrap_or(text.len());
    (end > 0).then(|| text.split_at(end))
}

/// All words.
pub(super) fn words(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty())
}

/// The values of the lines that begin with `start`.
fn values<'b>(text: &'b [u8], start: &'static [u8; 2]) -> impl Iterator<Item = &'b [u8]> + use<'b> {
    lines(text).filter_map(move |line| Some(line.bytes.strip_prefix(start)?.trim_ascii()))
}

/// From each m= line to the next.
fn sections(media: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = media;
    core::iter::from_fn(move || {
        let end = lines(rest).skip(1).find(|line| line.bytes.starts_with(b"m=")).map_or(rest.len(), |line| line.at);
        let (section, after) = rest.split_at(end);
        rest = after;
        (!section.is_empty()).then_some(section)
    })
}

/// A line without its end, and where it begins.
struct Line<'b> {
    at: usize,
    bytes: &'b [u8],
}

/// The lines of a text; empty ones, too.
fn lines(text: &[u8]) -> impl Iterator<Item = Line<'_>> {
    let mut at = 0;
    core::iter::from_fn(move || {
        let rest = text.get(at..).filter(|rest| !rest.is_empty())?;
        let end = memchr::memchr(b'\n', rest).unwrap_or(rest.len());
        let line = Line { at, bytes: rest[..end].strip_suffix(b"\r").unwrap_or(&rest[..end]) };
        at += end + 1;
        Some(line)
    })
}
