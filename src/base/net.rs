//! Names for the ends of a network: the server's sockets, its streams, its addresses, and the way back to a peer.

use core::fmt;
use core::net::{IpAddr, Ipv4Addr, SocketAddr};

use crate::base::text::Name;

/// The address that stands where there is none: all zero bytes, as an empty table has to be.
pub const NOWHERE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);

/// How SIP travels (RFC 3261 §18).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Transport {
    /// Datagrams.
    Udp,
    /// A byte stream.
    Tcp,
    /// A byte stream inside TLS.
    Tls,
}

impl Transport {
    /// The word in a Via and, in lower case, in a `transport` parameter.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Udp => "UDP",
            Self::Tcp => "TCP",
            Self::Tls => "TLS",
        }
    }

    /// The word as a URI parameter writes it.
    pub const fn parameter(self) -> &'static str {
        match self {
            Self::Udp => "udp",
            Self::Tcp => "tcp",
            Self::Tls => "tls",
        }
    }

    /// The port where none is said (RFC 3261 §19.1.2).
    pub const fn default_port(self) -> u16 {
        match self {
            Self::Udp | Self::Tcp => 5060,
            Self::Tls => 5061,
        }
    }

    /// Whether the transport itself repeats what is lost: retransmission timers of RFC 3261 §17 then do not run.
    pub const fn is_reliable(self) -> bool {
        !matches!(self, Self::Udp)
    }
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.parameter())
    }
}

/// Where to listen.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Listen {
    /// UDP socket, or listener for TCP or TLS.
    pub transport: Transport,
    /// Its address, which may be a wildcard; the port is not 0.
    pub address: SocketAddr,
}

/// Where the web page is served.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct WebListen {
    /// The address of the TCP listener, which may be a wildcard; the port is not 0.
    pub address: SocketAddr,
    /// Whether it is served over TLS (`https`).
    pub is_secure: bool,
}

/// One socket of the server on one local address: a UDP socket or a TCP listener. Chosen by the core.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Port(pub u8);

/// One byte stream, in or out. The index names a slot, the generation tells its users apart.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Stream {
    /// The slot in the table of streams; below [`STREAMS`](crate::base::limits::STREAMS).
    pub index: u16,
    /// Counts the streams that used this slot.
    pub generation: u16,
}

/// The way to a peer: what a request came by, what its answers and the requests to a binding go out by (RFC 5626 §3).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Flow {
    /// Datagrams between one of our sockets and a remote address.
    Datagram {
        /// Our socket.
        port: Port,
        /// The peer.
        remote: SocketAddr,
    },
    /// A stream that is up, or being set up.
    Stream(Stream),
}

impl Flow {
    /// Whether what is sent on it is repeated by the transport where it is lost.
    pub const fn is_reliable(&self) -> bool {
        matches!(self, Self::Stream(_))
    }
}

/// Who the other end of a TLS connection has proven to be.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct PeerIdentity {
    /// SHA-256 of the public key (SubjectPublicKeyInfo) of its certificate; `None` when it showed none.
    pub key: Option<[u8; 32]>,
    /// The domains that its certificate proves by a chain to an authority we trust (RFC 5922 §7.1), in lower case.
    pub names: heapless::Vec<Name, 4>,
}

/// An address of the router, with the network it is on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LocalAddress {
    /// The address.
    pub ip: IpAddr,
    /// Bits of the network part.
    pub prefix: u8,
    /// Whether the default route of its family leaves from it.
    pub default_route: bool,
}

impl LocalAddress {
    /// Whether `remote` is on this address's network.
    pub fn reaches(&self, remote: IpAddr) -> bool {
        match (self.ip, remote) {
            (IpAddr::V4(a), IpAddr::V4(b)) => {
                same_prefix(u32::from(a).into(), u32::from(b).into(), self.prefix.min(32), 32)
            }
            (IpAddr::V6(a), IpAddr::V6(b)) => same_prefix(a.into(), b.into(), self.prefix.min(128), 128),
            _ => false,
        }
    }
}

/// An address as 16 bytes, IPv4 and IPv4 mapped into IPv6 alike.
pub fn octets(ip: IpAddr) -> [u8; 16] {
    match ip.to_canonical() {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
        IpAddr::V6(v6) => v6.octets(),
    }
}

fn same_prefix(a: u128, b: u128, prefix: u8, width: u8) -> bool {
    prefix == 0 || (a ^ b) >> (width - prefix) == 0
}

/// Which of our sockets have room to write now: a bit for each [`Port`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PortSet(u64);

impl PortSet {
    /// Every port.
    pub const ALL: Self = Self(u64::MAX);
    /// No port.
    pub const NONE: Self = Self(0);

    /// Whether `port` is in the set.
    pub const fn contains(self, port: Port) -> bool {
        port.0 < 64 && self.0 & (1 << port.0) != 0
    }

    /// Adds `port`.
    pub const fn insert(&mut self, port: Port) {
        self.0 |= 1 << port.0;
    }

    /// Takes `port` out.
    pub const fn remove(&mut self, port: Port) {
        self.0 &= !(1 << port.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks() {
        let lan = LocalAddress { ip: "192.168.1.1".parse().unwrap(), prefix: 24, default_route: false };
        assert!(lan.reaches("192.168.1.77".parse().unwrap()));
        assert!(!lan.reaches("192.168.2.77".parse().unwrap()));
        assert!(!lan.reaches("::1".parse().unwrap()));
        let any = LocalAddress { ip: "2001:db8::1".parse().unwrap(), prefix: 0, default_route: true };
        assert!(any.reaches("fe80::1".parse().unwrap()));
    }

    #[test]
    fn port_sets() {
        let mut set = PortSet::ALL;
        set.remove(Port(63));
        assert!(!set.contains(Port(63)) && set.contains(Port(0)) && !set.contains(Port(64)));
        set.insert(Port(63));
        assert_eq!(set, PortSet::ALL);
    }
}
