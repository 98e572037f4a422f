//! Servers of other networks in the simulated world, as far as a test plays them: at an address or at a local path, with
//! what they prove to be when TLS begins.

use std::net::SocketAddr;

use crate::conns::End;
use crate::world::World;
use pcsd::base::net::{PeerIdentity, Stream, Transport};
use pcsd::server::contract::{Input, Reason};

/// A server of another network.
pub struct Service {
    /// Where it listens, for TCP and TLS alike.
    pub address: SocketAddr,
    /// The local path where it listens as well; empty: at none.
    pub path: String,
    /// Whether it takes no connections.
    pub is_off: bool,
    /// What it proves to be over TLS.
    pub identity: PeerIdentity,
    /// What it says.
    pub play: Box<dyn Play>,
}

/// What a server says: each answers with bytes and the connections that they go out on.
pub trait Play {
    /// A connection is up.
    fn opened(&mut self, _now: u64, _conn: usize) -> Vec<(usize, Vec<u8>)> {
        Vec::new()
    }

    /// Bytes came in.
    fn received(&mut self, now: u64, conn: usize, bytes: &[u8]) -> Vec<(usize, Vec<u8>)>;

    /// TLS has begun on a connection that was up.
    fn secured(&mut self, _now: u64, _conn: usize) -> Vec<(usize, Vec<u8>)> {
        Vec::new()
    }

    /// A connection is gone.
    fn closed(&mut self, _now: u64, _conn: usize) {}

    /// What it says by itself.
    fn speaks(&mut self, _now: u64) -> Vec<(usize, Vec<u8>)> {
        Vec::new()
    }

    /// The connections that it ends, after what it has said there.
    fn hangs_up(&mut self) -> Vec<usize> {
        Vec::new()
    }
}

impl World {
    /// Adds a server of another network; its index.
    pub fn service(&mut self, address: &str, path: &str, names: &[&str], play: impl Play + 'static) -> usize {
        let names = names.iter().map(|name| (*name).try_into().expect("a short name")).collect();
        self.services.push(Service {
            address: address.parse().expect("an address"),
            path: path.to_string(),
            is_off: false,
            identity: PeerIdentity { key: None, names },
            play: Box::new(play),
        });
        self.services.len() - 1
    }

    /// Notes what goes over a connection of a service.
    pub(crate) fn note_text(&mut self, conn: usize, way: &str, bytes: &[u8]) {
        let text = String::from_utf8_lossy(&bytes[..bytes.len().min(300)]).escape_debug().to_string();
        self.note(format!("#{conn} {way}: {text} ({} bytes)", bytes.len()));
    }

    /// Sends what a service says.
    pub(crate) fn say(&mut self, said: Vec<(usize, Vec<u8>)>) {
        for (conn, bytes) in said {
            let end = self.conns[conn].ends.iter().position(|end| matches!(end, End::Service(_)));
            if self.conns[conn].is_open {
                self.note_text(conn, "says", &bytes);
                self.send_bytes(conn, end.expect("a connection of a service"), &bytes);
            }
        }
    }

    /// Services say what they have to say by themselves, and end connections.
    pub(crate) fn tend_services(&mut self) {
        for service in 0..self.services.len() {
            let said = self.services[service].play.speaks(self.now);
            self.say(said);
            for conn in self.services[service].play.hangs_up() {
                let end = self.conns[conn].ends.iter().position(|end| *end == End::Service(service));
                if let Some(end) = end.filter(|_| self.conns[conn].is_open) {
                    self.hang_up(conn, end, false);
                }
            }
        }
    }

    /// A server connects to a local socket.
    pub(crate) fn connect_local(&mut self, server: usize, stream: Stream) {
        let path = self.servers[server].server.local_path(stream).unwrap_or_default().to_string();
        match self.services.iter().find(|it| it.path == path && !path.is_empty()).map(|it| it.address) {
            Some(address) => self.connect_from(server, stream, address, Transport::Tcp),
            None => {
                let now = self.clock(server);
                self.servers[server].server.handle(now, Input::Closed(stream, Reason::NotConnected));
            }
        }
    }

    /// A server begins TLS on a connection; it is up at once, or never.
    pub(crate) fn start_tls(&mut self, server: usize, stream: Stream) {
        let now = self.clock(server);
        let Some((conn, end)) = self.conn_of(server, stream) else { return };
        let service = match self.conns[conn].ends[1 - end] {
            End::Service(service) => Some(service),
            _ => None,
        };
        let identity = service.map(|service| self.services[service].identity.clone());
        // What is there already is no handshake.
        let proven =
            identity.filter(|proof| self.is_expected(server, stream, proof) && self.conns[conn].unread(end) == 0);
        let (Some(service), Some(identity)) = (service, proven) else {
            self.note(format!("connection {conn}: TLS does not come up"));
            self.hang_up(conn, end, true);
            self.servers[server].server.handle(now, Input::Closed(stream, Reason::Unsecured));
            return;
        };
        self.conns[conn].transport = Transport::Tls;
        self.servers[server].server.handle(now, Input::Secured { stream, identity: &identity });
        let said = self.services[service].play.secured(self.now, conn);
        self.say(said);
    }
}
