//! Flow tokens (RFC 5626 §5.3, RFC 3327): the user part of our Record-Route addresses says, sealed, which way a party is.
//!
//! Each dialog that passes gets two of our addresses, one for each side. A request inside the dialog names both: the first
//! is the sender's side, the last the side it goes to. The seal covers the Call-ID, so a token is of no use in another
//! dialog, and the side's proven identity, so that a request inside a dialog needs no new challenge. Both sides see both
//! tokens: they are sealed by [`mask`], so that nobody reads where the other is. It needs no memory and (with
//! the same key) survives a restart.

use core::net::{IpAddr, SocketAddr};

use crate::base::net::Stream;
use crate::base::random::{Purpose, Random};
use crate::base::text::{Writer, base64url_decode, base64url_encode};
use crate::sip::mask::{self, SEAL_BYTES, Use};

/// The two ends of a dialog, by who began it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Side {
    /// Sent the first request.
    Caller,
    /// Answered it.
    Callee,
}

/// One side of a dialog.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Token {
    /// Which.
    pub side: Side,
    /// A hash that names the person who was proven to be on this side; 0 for a stranger.
    pub person: u32,
    /// Names the request that began the dialog: the tokens of one pair have the same. A Call-ID alone would not do, as a
    /// caller chooses it, and could put the tokens of two calls together.
    pub pair: u32,
    /// The binding of the device on this side; 0 for none. It is asked first, as a device's way may change.
    pub binding: u32,
    /// The address of the peer.
    pub remote: SocketAddr,
    /// The stream to it.
    pub stream: Option<Stream>,
    /// A hash of the domain that it has to prove on a new connection over TLS; 0 for none.
    pub domain: u32,
}

/// Seal, flags, person, pair, binding, IPv6 address and port, stream, domain.
const MOST_BYTES: usize = SEAL_BYTES + 1 + 4 + 4 + 4 + 18 + 4 + 4;

const CALLEE: u8 = 1;
const IPV6: u8 = 2;
const STREAM: u8 = 4;
const DOMAIN: u8 = 8;

impl Token {
    /// Writes the token, sealed for the dialog with this Call-ID.
    pub fn write(&self, random: &Random, call_id: &[u8], out: &mut Writer<'_>) {
        let mut buffer = [0; MOST_BYTES];
        let mut bytes = Writer::new(&mut buffer);
        let mut flags = 0;
        flags |= if self.side == Side::Callee { CALLEE } else { 0 };
        flags |= if self.remote.is_ipv6() { IPV6 } else { 0 };
        flags |= if self.stream.is_some() { STREAM } else { 0 };
        flags |= if self.domain != 0 { DOMAIN } else { 0 };
        bytes.put(&[0; SEAL_BYTES]);
        bytes.put(&[flags]);
        bytes.put(&self.person.to_be_bytes());
        bytes.put(&self.pair.to_be_bytes());
        bytes.put(&self.binding.to_be_bytes());
        match self.remote.ip() {
            IpAddr::V4(ip) => bytes.put(&ip.octets()),
            IpAddr::V6(ip) => bytes.put(&ip.octets()),
        }
        bytes.put(&self.remote.port().to_be_bytes());
        if let Some(stream) = self.stream {
            bytes.put(&stream.index.to_be_bytes());
            bytes.put(&stream.generation.to_be_bytes());
        }
        if self.domain != 0 {
            bytes.put(&self.domain.to_be_bytes());
        }
        let len = bytes.len();
        let sealed = &mut buffer[..len];
        let (seal, text) = sealed.split_at_mut(SEAL_BYTES);
        seal.copy_from_slice(&mask::hide(random, Use::Route, call_id, text));
        base64url_encode(sealed, out);
    }

    /// The hash that stands for a domain in a token.
    pub fn domain(random: &Random, domain: &str) -> u32 {
        let mut hash = random.hash(Purpose::Token);
        hash.put_lower(domain.as_bytes());
        (hash.finish() as u32).max(1)
    }

    /// Reads a token; `None` when it is not one that was sealed here for this Call-ID.
    pub fn read(random: &Random, call_id: &[u8], text: &[u8]) -> Option<Self> {
        let mut buffer = [0; MOST_BYTES];
        let len = base64url_decode(text, &mut buffer)?;
        let (seal, bytes) = buffer.get_mut(..len)?.split_first_chunk_mut::<SEAL_BYTES>()?;
        if !mask::reveal(random, Use::Route, call_id, seal, bytes) {
            return None;
        }
        let (flags, rest) = (*bytes).split_first()?;
        let (person, rest) = rest.split_first_chunk::<4>()?;
        let (pair, rest) = rest.split_first_chunk::<4>()?;
        let (binding, rest) = rest.split_first_chunk::<4>()?;
        let (ip, rest) = if flags & IPV6 == 0 {
            let (octets, rest) = rest.split_first_chunk::<4>()?;
            (IpAddr::from(*octets), rest)
        } else {
            let (octets, rest) = rest.split_first_chunk::<16>()?;
            (IpAddr::from(*octets), rest)
        };
        let (port, rest) = rest.split_first_chunk::<2>()?;
        let (stream, rest) = match rest.split_first_chunk::<4>() {
            Some(([a, b, c, d], rest)) if flags & STREAM != 0 => {
                let (index, generation) = (u16::from_be_bytes([*a, *b]), u16::from_be_bytes([*c, *d]));
                (Some(Stream { index, generation }), rest)
            }
            _ => (None, rest),
        };
        let domain = match rest {
            [a, b, c, d] if flags & DOMAIN != 0 => u32::from_be_bytes([*a, *b, *c, *d]),
            [] if flags & DOMAIN == 0 => 0,
            _ => return None,
        };
        Some(Self {
            side: if flags & CALLEE == 0 { Side::Caller } else { Side::Callee },
            person: u32::from_be_bytes(*person),
            pair: u32::from_be_bytes(*pair),
            binding: u32::from_be_bytes(*binding),
            remote: SocketAddr::new(ip, u16::from_be_bytes(*port)),
            stream,
            domain,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sealed_for_one_dialog() {
        let random = Random::new();
        let tokens = [
            Token {
                side: Side::Caller,
                person: 0,
                pair: 3,
                binding: 7,
                remote: "192.0.2.1:5060".parse().unwrap(),
                stream: None,
                domain: 0,
            },
            Token {
                side: Side::Callee,
                person: 9,
                pair: u32::MAX,
                binding: 0,
                remote: "[2001:db8::7]:40000".parse().unwrap(),
                stream: Some(Stream { index: 3, generation: 300 }),
                domain: 0xdead_beef,
            },
        ];
        for token in tokens {
            let mut buffer = [0; 80];
            let mut out = Writer::new(&mut buffer);
            token.write(&random, b"a@b", &mut out);
            let len = out.finish().unwrap();
            assert_eq!(Token::read(&random, b"a@b", &buffer[..len]), Some(token));
            assert_eq!(Token::read(&random, b"a@c", &buffer[..len]), None);
            for i in 0..len {
                let mut forged = buffer;
                forged[i] = if forged[i] == b'A' { b'Q' } else { b'A' };
                assert_eq!(Token::read(&random, b"a@b", &forged[..len]), None, "character {i}");
            }
            assert_eq!(Token::read(&random, b"a@b", &buffer[..len - 4]), None);
        }
        assert_eq!(Token::read(&random, b"a@b", b""), None);
    }
}
