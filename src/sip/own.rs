//! An end of ours as peers are told of it, in Via, Record-Route and Contact.

use core::net::SocketAddr;

use crate::base::net::{Flow, Transport};
use crate::base::text::Writer;
use crate::sip::branch::Branch;
use crate::sip::transport::Network;

/// An end of ours.
#[derive(Clone, Copy, Debug)]
pub struct Own<'a> {
    /// The transport.
    pub transport: Transport,
    /// The address.
    pub address: SocketAddr,
    /// The name to use instead of the IP address.
    pub name: Option<&'a str>,
}

/// What a request of ours says of the way it takes.
#[derive(Clone, Copy, Debug)]
pub struct Outgoing<'a> {
    /// Our end of it.
    pub own: Own<'a>,
    /// Its branch.
    pub branch: Branch,
}

impl<'a> Own<'a> {
    /// Our end of a flow; `None` when that is gone.
    pub fn of(network: &'a Network, flow: Flow) -> Option<Self> {
        let (address, remote) = network.local(flow).zip(network.remote(flow))?;
        Some(Self { transport: network.transport(flow), address, name: network.advertised(remote.ip()) })
    }
}

impl Own<'_> {
    /// Writes host and port.
    pub fn write_host(&self, out: &mut Writer<'_>) {
        match self.name {
            Some(name) => {
                out.text(name);
                out.text(":");
                out.number(self.address.port().into());
            }
            None => out.socket_address(self.address),
        }
    }

    /// Writes the address as a URI with a user part, for a Contact.
    pub fn write_uri(&self, user: &str, out: &mut Writer<'_>) {
        out.text("sip:");
        out.text(user);
        out.text("@");
        self.write_host(out);
        if self.transport != Transport::Udp {
            out.text(";transport=");
            out.text(self.transport.parameter());
        }
    }
}
