//! UDP sockets: opened on exactly one address, received from and sent from without waiting.

use crate::server::contract::PortError;
use core::net::SocketAddr;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, sockopt};
use std::io::{self, ErrorKind};
use std::net::UdpSocket;

/// One open UDP socket.
pub struct UdpPort(UdpSocket);

/// What became of a datagram that was to be sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sent {
    /// It is on its way, or the network refused it: either way the socket takes the next one.
    Done,
    /// The socket's buffer is full; the datagram is lost.
    Full,
}

impl UdpPort {
    /// Opens a socket on `address`. It is not shared: a second server on the address is told so.
    pub fn open(address: SocketAddr) -> io::Result<(Self, SocketAddr)> {
        let socket = socket(address, SocketType::DGRAM)?;
        rustix::net::bind(&socket, &address)?;
        let socket = UdpSocket::from(socket);
        let address = socket.local_addr()?;
        Ok((Self(socket), address))
    }

    /// The next datagram, or `None` when nothing waits. An error that a former datagram met (an ICMP message) comes
    /// out as an error here; it says nothing about what waits behind it.
    pub fn receive(&self, buffer: &mut [u8]) -> io::Result<Option<(usize, SocketAddr)>> {
        match self.0.recv_from(buffer) {
            Ok(received) => Ok(Some(received)),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Sends a datagram.
    pub fn send(&self, datagram: &[u8], to: SocketAddr) -> Sent {
        // A second try: the first may be told of an error that a former datagram met.
        for _ in 0..2 {
            match self.0.send_to(datagram, to) {
                Ok(_) => return Sent::Done,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Sent::Full,
                Err(error) if matches!(error.kind(), ErrorKind::Interrupted | ErrorKind::ConnectionRefused) => {}
                Err(error) => {
                    log::debug!("datagram of {} bytes to {to} not sent: {error}", datagram.len());
                    return Sent::Done;
                }
            }
        }
        Sent::Done
    }
}

impl AsFd for UdpPort {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// A socket for the family of `address` that never blocks and, for IPv6, carries IPv6 only.
pub fn socket(address: SocketAddr, kind: SocketType) -> io::Result<OwnedFd> {
    let family = if address.is_ipv6() { AddressFamily::INET6 } else { AddressFamily::INET };
    let socket = rustix::net::socket_with(family, kind, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC, None)?;
    if address.is_ipv6() {
        sockopt::set_ipv6_v6only(&socket, true)?;
    }
    Ok(socket)
}

/// What the core is told when a socket could not be opened.
pub fn port_error(error: &io::Error) -> PortError {
    match Errno::from_io_error(error) {
        Some(Errno::ADDRINUSE) => PortError::InUse,
        Some(Errno::ADDRNOTAVAIL) => PortError::NoAddress,
        Some(Errno::ACCESS | Errno::PERM) => PortError::Denied,
        _ => PortError::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn address_in_use_is_told() {
        let (_first, address) = UdpPort::open("127.0.0.1:0".parse().unwrap()).unwrap();
        let error = UdpPort::open(address).err().unwrap();
        assert_eq!(port_error(&error), PortError::InUse);
        // For documentation (RFC 5737): no machine has it.
        let error = UdpPort::open("203.0.113.77:0".parse().unwrap()).err().unwrap();
        assert_eq!(port_error(&error), PortError::NoAddress);
    }

    #[test]
    fn receives_without_waiting() {
        let (port, address) = UdpPort::open("127.0.0.1:0".parse().unwrap()).unwrap();
        let mut buffer = [0; 64];
        assert!(port.receive(&mut buffer).unwrap().is_none());
        assert_eq!(port.send(b"ping", address), Sent::Done);
        assert_eq!(port.receive(&mut buffer).unwrap(), Some((4, address)));
        assert_eq!(&buffer[..4], b"ping");
        // Larger than any datagram: refused by the network, and no reason to stop sending.
        assert_eq!(port.send(&[0; 65_535], address), Sent::Done);
    }
}
