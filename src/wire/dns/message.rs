//! Queries and responses (RFC 1035 §4.1, RFC 2181 §8, RFC 2308 §5, RFC 6891 §6.1).

use core::net::{Ipv4Addr, Ipv6Addr};

use super::name::Name;
use crate::base::text::Writer;

/// Bytes of the longest query: header, name, type and class, OPT record.
pub const QUERY_BYTES: usize = HEADER_BYTES + 255 + 4 + OPT_BYTES;
/// Largest datagram we ask for: what passes every path unfragmented (DNS Flag Day 2020).
const DATAGRAM_BYTES: u16 = 1232;
const HEADER_BYTES: usize = 12;
const OPT_BYTES: usize = 11;
/// Class IN.
const INTERNET: u16 = 1;

/// A type of record (RFC 1035 §3.2.2).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Kind(pub u16);

impl Kind {
    /// An IPv4 address.
    pub const A: Self = Self(1);
    /// The name that this one stands for.
    pub const CNAME: Self = Self(5);
    /// Start of a zone of authority: says how long a negative answer holds.
    pub const SOA: Self = Self(6);
    /// An IPv6 address.
    pub const AAAA: Self = Self(28);
    /// Where a service is.
    pub const SRV: Self = Self(33);
    /// What services there are.
    pub const NAPTR: Self = Self(35);
    /// Not a record, but what the other end can do.
    pub const OPT: Self = Self(41);
    /// No type: stands for a record of another class than IN.
    pub const OTHER_CLASS: Self = Self(0);
}

/// How the question was received (RFC 1035 §4.1.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rcode(pub u8);

impl Rcode {
    /// Answered.
    pub const NO_ERROR: Self = Self(0);
    /// The server can't read the query: as a rule it does not know OPT.
    pub const FORMAT_ERROR: Self = Self(1);
    /// There is no such name.
    pub const NAME_ERROR: Self = Self(3);
    /// The server can't do what was asked.
    pub const NOT_IMPLEMENTED: Self = Self(4);
}

/// The bytes are no DNS message, or one of its records runs out of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Malformed;

/// Writes a query with recursion desired: at most [`QUERY_BYTES`]. With `edns` it says what size of datagram is welcome.
pub fn write_query(id: u16, name: &Name, kind: Kind, edns: bool, out: &mut Writer<'_>) {
    out.put(&id.to_be_bytes());
    out.put(&RECURSION_DESIRED.to_be_bytes());
    for count in [1, 0, 0, u16::from(edns)] {
        out.put(&count.to_be_bytes());
    }
    name.write(out);
    out.put(&kind.0.to_be_bytes());
    out.put(&INTERNET.to_be_bytes());
    if edns {
        out.put(&[0]);
        out.put(&Kind::OPT.0.to_be_bytes());
        out.put(&DATAGRAM_BYTES.to_be_bytes());
        out.put(&[0; 6]);
    }
}

/// A response: its header and its question. The records are read by [`Message::records`].
#[derive(Clone, Copy, Debug)]
pub struct Message<'b> {
    bytes: &'b [u8],
    id: u16,
    flags: u16,
    counts: [u16; 4],
}

impl<'b> Message<'b> {
    /// Reads the header of a response.
    pub fn parse(bytes: &'b [u8]) -> Result<Self, Malformed> {
        let (head, _) = bytes.split_at_checked(HEADER_BYTES).ok_or(Malformed)?;
        let word = |i: usize| u16::from_be_bytes([head[2 * i], head[2 * i + 1]]);
        let message = Self { bytes, id: word(0), flags: word(1), counts: [word(2), word(3), word(4), word(5)] };
        if message.flags & RESPONSE == 0 || message.flags & OPCODE != 0 || message.counts[0] > 1 {
            return Err(Malformed);
        }
        Ok(message)
    }

    /// Whether this answers the query with that id and question. A server that could not read the query may leave the
    /// question out (RFC 6891 §7); anyone else repeats it.
    pub fn is_answer_to(&self, id: u16, name: &Name, kind: Kind) -> bool {
        if self.id != id {
            return false;
        }
        match self.question() {
            Some((asked, of, INTERNET, _)) => asked == *name && of == kind,
            Some(_) => false,
            None => self.counts[0] == 0 && self.rcode() == Rcode::FORMAT_ERROR,
        }
    }

    /// How the question was received.
    pub fn rcode(&self) -> Rcode {
        Rcode((self.flags & 0xf) as u8)
    }

    /// Whether the answer did not fit: it has to be asked for over TCP.
    pub fn is_truncated(&self) -> bool {
        self.flags & TRUNCATED != 0
    }

    /// Whether the server knows, or asks those that do: what another says about nothing being there means nothing.
    pub fn is_competent(&self) -> bool {
        self.flags & (AUTHORITATIVE | RECURSION_AVAILABLE) != 0
    }

    /// The records, after all of them were looked at: names that can't be read and data that runs out of its record, or
    /// of the message, make the whole malformed.
    pub fn records(&self) -> Result<Records<'b>, Malformed> {
        let mut at = match self.counts[0] {
            0 => HEADER_BYTES,
            _ => self.question().ok_or(Malformed)?.3,
        };
        let mut starts = [at; 4];
        for section in 0..3 {
            for _ in 0..self.counts[section + 1] {
                at = record(self.bytes, at).ok_or(Malformed)?.1;
            }
            starts[section + 1] = at;
        }
        Ok(Records { bytes: self.bytes, starts })
    }

    /// Name, type, class, and where the records begin.
    fn question(&self) -> Option<(Name, Kind, u16, usize)> {
        if self.counts[0] == 0 {
            return None;
        }
        let (name, at) = Name::read(self.bytes, HEADER_BYTES)?;
        let mut cursor = Cursor { bytes: self.bytes, at };
        Some((name, Kind(cursor.u16()?), cursor.u16()?, cursor.at))
    }
}

/// The records of a message, all of which can be read.
#[derive(Clone, Copy, Debug)]
pub struct Records<'b> {
    bytes: &'b [u8],
    /// Where the sections begin, and the end of the last.
    starts: [usize; 4],
}

impl<'b> Records<'b> {
    /// The answer, in the sender's order.
    pub fn answer(&self) -> impl Iterator<Item = Record<'b>> + use<'b> {
        self.section(0)
    }

    /// What the sender added: addresses of the targets in the answer, as a rule.
    pub fn additional(&self) -> impl Iterator<Item = Record<'b>> + use<'b> {
        self.section(2)
    }

    /// Seconds for which it holds that there is nothing (RFC 2308 §5), when the message says so.
    pub fn negative_ttl_s(&self) -> Option<u32> {
        self.section(1).find_map(|record| match record.data {
            Data::Soa { minimum_s } => Some(minimum_s.min(record.ttl_s)),
            _ => None,
        })
    }

    fn section(&self, section: usize) -> impl Iterator<Item = Record<'b>> + use<'b> {
        let Self { bytes, starts } = *self;
        let mut at = starts[section];
        core::iter::from_fn(move || {
            if at >= starts[section + 1] {
                return None;
            }
            let (record, next) = record(bytes, at)?;
            at = next;
            Some(record)
        })
    }
}

/// A record.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Record<'b> {
    /// What it is about.
    pub owner: Name,
    /// Seconds for which it may be kept.
    pub ttl_s: u32,
    /// What it says.
    pub data: Data<'b>,
}

/// What a record says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Data<'b> {
    /// An IPv4 address.
    A(Ipv4Addr),
    /// An IPv6 address.
    Aaaa(Ipv6Addr),
    /// The name that the owner stands for.
    Cname(Name),
    /// Where a service is.
    Srv(Srv),
    /// What services there are.
    Naptr(Naptr<'b>),
    /// Of a zone's data, how long a negative answer holds.
    Soa {
        /// Seconds.
        minimum_s: u32,
    },
    /// Another type, or [`Kind::OTHER_CLASS`].
    Other(Kind),
}

impl Data<'_> {
    /// The type of the record.
    pub fn kind(&self) -> Kind {
        match self {
            Self::A(_) => Kind::A,
            Self::Aaaa(_) => Kind::AAAA,
            Self::Cname(_) => Kind::CNAME,
            Self::Srv(_) => Kind::SRV,
            Self::Naptr(_) => Kind::NAPTR,
            Self::Soa { .. } => Kind::SOA,
            Self::Other(kind) => *kind,
        }
    }
}

/// Where a service is (RFC 2782).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Srv {
    /// The lowest is tried first.
    pub priority: u16,
    /// Share of the load among equals in priority.
    pub weight: u16,
    /// Port of the service.
    pub port: u16,
    /// The host; the root: there is no such service.
    pub target: Name,
}

/// What service there is, and where to look for it (RFC 3403 §4.1).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Naptr<'b> {
    /// The lowest is tried first.
    pub order: u16,
    /// The lowest is liked best among equals in order.
    pub preference: u16,
    /// What comes next: `s` for an SRV record.
    pub flags: &'b [u8],
    /// What it is, such as `SIP+D2U`.
    pub service: &'b [u8],
    /// How to rewrite the name, which SIP has no use for.
    pub regexp: &'b [u8],
    /// The next name to look up.
    pub replacement: Name,
}

/// The record at `at`, and where the next begins.
fn record(bytes: &[u8], at: usize) -> Option<(Record<'_>, usize)> {
    let (owner, at) = Name::read(bytes, at)?;
    let mut cursor = Cursor { bytes, at };
    let (kind, class, ttl_s) = (Kind(cursor.u16()?), cursor.u16()?, cursor.u32()?);
    let len = usize::from(cursor.u16()?);
    let end = cursor.at + len;
    // Pointers in the data lead backwards, so what comes after it does not matter.
    let mut cursor = Cursor { bytes: bytes.get(..end)?, at: cursor.at };
    let data = match (class, kind) {
        (INTERNET, Kind::A) => Data::A(Ipv4Addr::from(cursor.u32()?)),
        (INTERNET, Kind::AAAA) => Data::Aaaa(Ipv6Addr::from(cursor.array::<16>()?)),
        (INTERNET, Kind::CNAME) => Data::Cname(cursor.name()?),
        (INTERNET, Kind::SRV) => {
            let (priority, weight, port) = (cursor.u16()?, cursor.u16()?, cursor.u16()?);
            Data::Srv(Srv { priority, weight, port, target: cursor.name()? })
        }
        (INTERNET, Kind::NAPTR) => {
            let (order, preference) = (cursor.u16()?, cursor.u16()?);
            let (flags, service, regexp) = (cursor.string()?, cursor.string()?, cursor.string()?);
            Data::Naptr(Naptr { order, preference, flags, service, regexp, replacement: cursor.name()? })
        }
        (INTERNET, Kind::SOA) => {
            let _ = (cursor.name()?, cursor.name()?, cursor.array::<16>()?);
            Data::Soa { minimum_s: seconds(cursor.u32()?) }
        }
        _ => {
            cursor.at = end;
            // The class of OPT is a size.
            Data::Other(if class == INTERNET || kind == Kind::OPT { kind } else { Kind::OTHER_CLASS })
        }
    };
    // Data longer than what it holds is no record of that type.
    (cursor.at == end).then_some((Record { owner, ttl_s: seconds(ttl_s), data }, end))
}

/// A time to live: with the top bit set it is none (RFC 2181 §8).
fn seconds(ttl: u32) -> u32 {
    if ttl > i32::MAX as u32 { 0 } else { ttl }
}

struct Cursor<'b> {
    bytes: &'b [u8],
    at: usize,
}

impl<'b> Cursor<'b> {
    fn take(&mut self, len: usize) -> Option<&'b [u8]> {
        let taken = self.bytes.get(self.at..self.at + len)?;
        self.at += len;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_be_bytes)
    }

    fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_be_bytes)
    }

    /// A `<character-string>` (RFC 1035 §3.3).
    fn string(&mut self) -> Option<&'b [u8]> {
        let len = self.array::<1>()?[0];
        self.take(len.into())
    }

    fn name(&mut self) -> Option<Name> {
        let (name, at) = Name::read(self.bytes, self.at)?;
        self.at = at;
        Some(name)
    }
}

const RESPONSE: u16 = 0x8000;
const OPCODE: u16 = 0x7800;
const AUTHORITATIVE: u16 = 0x0400;
const TRUNCATED: u16 = 0x0200;
const RECURSION_DESIRED: u16 = 0x0100;
const RECURSION_AVAILABLE: u16 = 0x0080;

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    fn name(text: &str) -> Name {
        Name::from_text(text.as_bytes()).unwrap()
    }

    const RESPONSE_SRV: &[u8] = b"\x12\x34\x81\x80\x00\x01\x00\x01\x00\x00\x00\x03\
        \x04_sip\x04_udp\x05other\x04test\x00\x00\x21\x00\x01\
        \xc0\x0c\x00\x21\x00\x01\x00\x00\x0e\x10\x00\x0c\x00\x0a\x00\x05\x13\xc4\x03sip\xc0\x16\
        \xc0\x38\x00\x01\x00\x01\x00\x00\x00\x3c\x00\x04\xc0\x00\x02\x07\
        \xc0\x38\x00\x1c\x00\x01\xff\xff\xff\xff\x00\x10\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x07\
        \x00\x00\x29\x04\xd0\x00\x00\x00\x00\x00\x00";

    #[test]
    fn query() {
        let mut bytes = [0; QUERY_BYTES];
        let mut out = Writer::new(&mut bytes);
        write_query(0xbeef, &name("other.test"), Kind::NAPTR, true, &mut out);
        assert_eq!(
            out.written(),
            b"\xbe\xef\x01\x00\x00\x01\x00\x00\x00\x00\x00\x01\x05other\x04test\x00\x00\x23\x00\x01\
              \x00\x00\x29\x04\xd0\x00\x00\x00\x00\x00\x00"
        );
        let mut out = Writer::new(&mut bytes);
        write_query(1, &name("a"), Kind::A, false, &mut out);
        assert_eq!(out.written(), b"\x00\x01\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x01a\x00\x00\x01\x00\x01");
        let longest = [&"x".repeat(63)[..], &"x".repeat(63), &"x".repeat(63), &"x".repeat(61)].join(".");
        let mut out = Writer::new(&mut bytes);
        write_query(1, &name(&longest), Kind::A, true, &mut out);
        assert_eq!(out.finish(), Ok(QUERY_BYTES));
    }

    #[test]
    fn response_with_additional_records() {
        let message = Message::parse(RESPONSE_SRV).unwrap();
        assert!(message.is_answer_to(0x1234, &name("_SIP._udp.Other.test"), Kind::SRV));
        assert!(!message.is_answer_to(0x1235, &name("_sip._udp.other.test"), Kind::SRV));
        assert!(!message.is_answer_to(0x1234, &name("_sip._udp.other.tesT.x"), Kind::SRV));
        assert!(!message.is_answer_to(0x1234, &name("_sip._udp.other.test"), Kind::A));
        assert!(message.is_competent() && !message.is_truncated() && message.rcode() == Rcode::NO_ERROR);
        let records = message.records().unwrap();
        let srv = Srv { priority: 10, weight: 5, port: 5060, target: name("sip.other.test") };
        let owner = name("_sip._udp.other.test");
        let answer: Vec<_> = records.answer().collect();
        assert_eq!(answer, [Record { owner, ttl_s: 3600, data: Data::Srv(srv) }]);
        let additional: Vec<_> = records.additional().map(|record| (record.ttl_s, record.data)).collect();
        assert_eq!(
            additional,
            [
                (60, Data::A(Ipv4Addr::new(192, 0, 2, 7))),
                (0, Data::Aaaa("2001:db8::7".parse().unwrap())),
                (0, Data::Other(Kind::OPT)),
            ]
        );
        assert_eq!(records.negative_ttl_s(), None);
    }

    #[test]
    fn service_records() {
        let bytes = b"\x00\x01\x84\x00\x00\x01\x00\x01\x00\x00\x00\x00\x01d\x00\x00\x23\x00\x01\
            \xc0\x0c\x00\x23\x00\x01\x00\x00\x00\x3c\x00\x1e\x00\x32\x00\x14\x01s\x08SIPS+D2T\x00\x05_sips\x04_tcp\x01d\x00";
        let records = Message::parse(bytes).unwrap().records().unwrap();
        let data = records.answer().next().unwrap().data;
        let replacement = name("_sips._tcp.d");
        let (flags, service, regexp) = (&b"s"[..], &b"SIPS+D2T"[..], &b""[..]);
        assert_eq!(data, Data::Naptr(Naptr { order: 50, preference: 20, flags, service, regexp, replacement }));
    }

    #[test]
    fn negative() {
        let bytes = b"\x00\x01\x81\x83\x00\x01\x00\x00\x00\x01\x00\x00\x01d\x00\x00\x01\x00\x01\
            \x00\x00\x06\x00\x01\x00\x00\x0e\x10\x00\x1a\x01m\x00\x01r\x00\
            \x00\x00\x00\x01\x00\x00\x00\x02\x00\x00\x00\x03\x00\x00\x00\x04\x00\x00\x00\x78";
        let message = Message::parse(bytes).unwrap();
        assert_eq!(message.rcode(), Rcode::NAME_ERROR);
        assert_eq!(message.records().unwrap().negative_ttl_s(), Some(120));
    }

    #[test]
    fn a_query_that_was_not_understood() {
        let bytes = b"\x00\x01\x80\x01\x00\x00\x00\x00\x00\x00\x00\x00";
        assert!(Message::parse(bytes).unwrap().is_answer_to(1, &name("d"), Kind::A));
        let refused = b"\x00\x01\x80\x05\x00\x00\x00\x00\x00\x00\x00\x00";
        assert!(!Message::parse(refused).unwrap().is_answer_to(1, &name("d"), Kind::A));
    }

    #[test]
    fn cut_anywhere() {
        let name = name("_sip._udp.other.test");
        for len in 0..RESPONSE_SRV.len() {
            let Ok(message) = Message::parse(&RESPONSE_SRV[..len]) else {
                assert!(len < HEADER_BYTES);
                continue;
            };
            assert_eq!(message.is_answer_to(0x1234, &name, Kind::SRV), len >= 0x26);
            assert!(message.records().is_err());
        }
        assert!(Message::parse(RESPONSE_SRV).unwrap().records().is_ok());
    }

    #[test]
    fn not_a_response() {
        let with = |at: usize, byte: u8| {
            let mut bytes = RESPONSE_SRV.to_vec();
            bytes[at] = byte;
            Message::parse(&bytes).map(|message| message.records().is_ok())
        };
        assert_eq!(with(2, 0x01), Err(Malformed), "a query");
        assert_eq!(with(2, 0xa9), Err(Malformed), "another opcode");
        assert_eq!(with(5, 2), Err(Malformed), "two questions");
        assert_eq!(with(11, 4), Ok(false), "a record too few");
        // The SRV record's data: longer and shorter than what it holds; an address of 5 bytes.
        assert_eq!(with(0x31, 13), Ok(false));
        assert_eq!(with(0x31, 11), Ok(false));
        assert_eq!(with(0x49, 5), Ok(false));
        // The same in the last record, where nothing after it gets out of step.
        let last = |len: u8| {
            let mut bytes = b"\x00\x01\x81\x80\x00\x01\x00\x01\x00\x00\x00\x00\x01d\x00\x00\x01\x00\x01\
                \xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x09\x00\x04\xc0\x00\x02\x01\x00\x00"
                .to_vec();
            bytes[30] = len;
            Message::parse(&bytes).unwrap().records().is_ok()
        };
        assert!(last(4) && !last(3) && !last(5) && !last(6) && !last(7));
        // Of another class: not looked into.
        assert_eq!(with(0x43, 3), Ok(true));
    }
}
