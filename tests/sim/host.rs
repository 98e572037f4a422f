//! A machine with a server on it: how the server starts, ends and starts again, as the runtime has it, and what the
//! machine tells it of its addresses, its name servers and its storage.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

use crate::storage::{Job, Store};
use crate::world::World;
use pcsd::base::net::{LocalAddress, PeerIdentity, PortSet, Transport};
use pcsd::base::time::{Instant, UnixTime};
use pcsd::config::model::Model;
use pcsd::server::Server;
use pcsd::server::contract::{Input, Seed, Source, Storage, StoreError};

/// A machine with a server on it.
pub struct Host {
    /// The server.
    pub server: Box<Server>,
    /// Its sockets.
    pub ports: BTreeMap<u8, (Transport, SocketAddr)>,
    /// Its addresses.
    pub ips: Vec<IpAddr>,
    /// Port numbers that other programs have.
    pub busy_ports: BTreeSet<u16>,
    /// How long it takes to open a port for media, ms.
    pub port_ms: u64,
    /// Sockets that can be written.
    pub credits: PortSet,
    /// What it keeps records in.
    pub store: Store,
    /// What it proves to be over TLS.
    pub identity: PeerIdentity,
    /// Starts so far.
    pub lives: usize,
    /// Whether it runs.
    pub is_up: bool,
    /// Its configuration, as it is written.
    text: String,
    model: Box<Model>,
    locals: Vec<LocalAddress>,
    nameservers: Vec<SocketAddr>,
    lasting: [u8; 16],
    boot: u64,
    booted_at: u64,
}

/// An address with its prefix, and whether the world is there.
pub type Local<'a> = (&'a str, u8, bool);

impl Host {
    /// The domain it serves.
    pub fn domain(&self) -> &str {
        &self.model.main.domain
    }
}

impl World {
    /// Adds a server with this configuration and these addresses, with records kept in memory.
    pub fn host(&mut self, text: &str, addresses: &[Local<'_>]) -> usize {
        let index = self.servers.len();
        let locals = locals(addresses);
        self.servers.push(Host {
            server: Box::new(Server::new()),
            ports: BTreeMap::new(),
            ips: locals.iter().map(|local| local.ip).collect(),
            busy_ports: BTreeSet::new(),
            port_ms: 0,
            credits: PortSet::ALL,
            store: Store::new(),
            identity: PeerIdentity::default(),
            lives: 0,
            is_up: false,
            text: text.to_string(),
            model: read(text),
            locals,
            nameservers: Vec::new(),
            lasting: [0; 16],
            boot: 1,
            booted_at: 0,
        });
        self.servers[index].lasting = self.key();
        self.start(index);
        index
    }

    /// Gives a server another configuration, at once or at its next start.
    pub fn configure(&mut self, index: usize, text: &str) {
        let model = read(text);
        if self.servers[index].is_up {
            self.input(index, Input::Configuration(&model));
        }
        self.servers[index].model = model;
        self.servers[index].text = text.to_string();
    }

    /// Takes the accounts out of a server's configuration, when there are any; what is under way on them has to be at rest.
    pub fn drop_accounts(&mut self, index: usize) {
        if self.servers[index].model.accounts.is_empty() {
            return;
        }
        let mut is_account = false;
        let others = self.servers[index].text.lines().filter(|line| {
            let line = line.trim_start();
            is_account = line.starts_with("config account") || is_account && !line.starts_with("config ");
            !is_account
        });
        let text: String = others.flat_map(|line| [line, "\n"]).collect();
        self.configure(index, &text);
        self.run(1_000);
    }

    /// Gives a machine other addresses while its server runs.
    pub fn readdress(&mut self, index: usize, addresses: &[Local<'_>]) {
        self.set_addresses(index, addresses);
        self.ledger.moved(index);
        let locals = self.servers[index].locals.clone();
        self.input(index, Input::Addresses(&locals));
    }

    /// Gives a machine other addresses, of which the server learns at its start.
    pub fn set_addresses(&mut self, index: usize, addresses: &[Local<'_>]) {
        self.servers[index].locals = locals(addresses);
        self.servers[index].ips = self.servers[index].locals.iter().map(|local| local.ip).collect();
    }

    /// Tells a server whom to ask for names.
    pub fn ask_names_of(&mut self, index: usize, servers: &[&str]) {
        let servers: Vec<SocketAddr> = servers.iter().map(|server| server.parse().unwrap()).collect();
        self.servers[index].nameservers.clone_from(&servers);
        self.input(index, Input::Nameservers(&servers));
    }

    /// The present as a server knows it: milliseconds since its machine's boot.
    pub fn clock(&self, index: usize) -> Instant {
        Instant::from_millis(self.now - self.servers[index].booted_at)
    }

    /// The program ends where it stands: streams are reset, what was on its way to storage is there or not.
    pub fn kill(&mut self, index: usize) {
        self.note(format!("server {index} is killed"));
        let host = &mut self.servers[index];
        host.is_up = false;
        host.ports.clear();
        host.store.interrupt(&mut self.random);
        self.ledger.ended(index);
        self.reset_streams_of(index);
    }

    /// The machine loses its power: memory is empty after it, and nobody knows how long it was off.
    pub fn cut_power(&mut self, index: usize) {
        self.kill(index);
        let host = &mut self.servers[index];
        host.store.lose_power(&mut self.random);
        host.boot += 1;
        // A boot begins at 0; a start in it comes some seconds later.
        let uptime_ms = 1 + self.random.below(30_000);
        self.servers[index].booted_at = self.now.saturating_sub(uptime_ms);
    }

    /// The program starts, as the runtime does it: what there is, then what was kept, then the network.
    pub fn start(&mut self, index: usize) {
        let seed = Seed { key: self.key(), lasting: self.servers[index].lasting, boot: self.servers[index].boot };
        let now = self.clock(index);
        let time = UnixTime(1_700_000_000 + self.now / 1_000);
        let host = &mut self.servers[index];
        (host.lives, host.is_up, host.server) = (host.lives + 1, true, Box::new(Server::new()));
        host.server.seed(now, &seed);
        host.server.handle(now, Input::WallClock(time));
        host.server.handle(now, Input::Configuration(&host.model));
        host.server.handle(now, Input::Addresses(&host.locals));
        self.drain(index);
        let nameservers = self.servers[index].nameservers.clone();
        self.input(index, Input::Nameservers(&nameservers));
        self.restore(index, Source::Memory);
        if self.servers[index].store.place == Storage::Disk {
            self.restore(index, Source::Disk);
        }
        let place = self.servers[index].store.place;
        self.input(index, Input::Storage(place));
    }

    /// Ends the program and starts it again at once.
    pub fn restart(&mut self, index: usize) {
        self.kill(index);
        self.start(index);
    }

    /// Records are kept elsewhere from now on.
    pub fn keep_at(&mut self, index: usize, place: Storage) {
        let left_over = self.servers[index].store.switch(place);
        // Of the journal the edge may or may not say what became of what the old place had not finished.
        let is_loose = left_over.iter().all(Job::is_journal);
        if !is_loose {
            left_over.iter().for_each(|job| self.tell_answer(index, job, Err(StoreError::NoDisk)));
        }
        if place == Storage::Disk {
            self.restore(index, Source::Disk);
        }
        self.input(index, Input::Storage(place));
        if is_loose && self.random.chance(500) {
            left_over.iter().for_each(|job| self.tell_answer(index, job, Err(StoreError::NoDisk)));
        }
    }

    fn restore(&mut self, index: usize, source: Source) {
        for (key, bytes, blob_bytes) in self.servers[index].store.records(source, &mut self.random) {
            self.input(index, Input::Restored { key, bytes: &bytes, source, blob_bytes });
        }
    }

    fn key(&mut self) -> [u8; 16] {
        let mut key = [0; 16];
        key[..8].copy_from_slice(&self.random.next().to_le_bytes());
        key[8..].copy_from_slice(&self.random.next().to_le_bytes());
        key
    }
}

fn read(text: &str) -> Box<Model> {
    let mut model = Box::new(Model::new());
    let faults = model.read(text.as_bytes(), &mut |fault| eprintln!("{fault}"));
    assert_eq!(faults, 0, "the configuration is right");
    model
}

fn locals(addresses: &[Local<'_>]) -> Vec<LocalAddress> {
    let local = |(ip, prefix, default_route): &Local<'_>| LocalAddress {
        ip: ip.parse().unwrap(),
        prefix: *prefix,
        default_route: *default_route,
    };
    addresses.iter().map(local).collect()
}
