//! Floor 4: the server owns every table and routes what comes in.
//!
//! The calling order is that of [`contract`]: [`Server::handle`] one input, [`Server::poll`] until `None`, wait until
//! [`Server::poll_timeout`]. Messages from streams are read one at a time within `poll`, so that what one of them made
//! to be sent is sent before the next is read.

mod accounts;
mod admission;
mod agent;
mod asking;
mod bridges;
mod buddies;
mod chat;
pub mod commands;
pub mod contract;
mod delegation;
mod dialog;
mod inbound;
mod inward;
mod journal;
mod lookups;
mod machine;
mod outward;
mod own;
mod pages;
mod register;
pub mod remote;
mod requests;
mod returning;
mod showing;
pub mod standing;
pub mod status;
#[cfg(test)]
pub mod tests;
mod tickets;
mod within;

use core::net::{IpAddr, SocketAddr};

use heapless::Vec;

use crate::base::limits::{HELD, IN_FLIGHT, LOOKUPS, MEDIA_PORTS, NAME_SERVERS, PORTS, STREAMS_PER_SOURCE};
use crate::base::net::{Flow, PeerIdentity, Port, Stream, Transport};
use crate::base::time::{Instant, UnixTime};
use crate::config::model::{Account, Model, Peer, Person};
use crate::home::absence::Absence;
use crate::home::inbox::Inbox;
use crate::home::machine::Machines;
use crate::home::outbox::Outbox;
use crate::home::people::People;
use crate::home::people::contacts::Contacts;
use crate::home::presence::Presence;
use crate::home::proxy::{Around, Proxy};
use crate::home::registrar::Registrar;
use crate::home::reluctant::Reluctant;
use crate::home::settings::Settings;
use crate::sip::digest::Nonces;
use crate::sip::limiter::{Limiter, MALFORMED_COST, REFUSED_COST};
use crate::sip::resolver::{Candidates, LookupHandle, Resolver};
use crate::sip::stack::{Answered, Due, Produced, Sending, Stack, Task};
use crate::sip::transaction::client::Owner;
use crate::sip::transport::{StreamStep, StreamUser};
use crate::spool::Kind;
use crate::web::Web;
use crate::wire::deflate::Inflater;
use crate::wire::sip::{Fault, Message};
use accounts::{Accounts, moved_accounts};
use bridges::Bridges;
use contract::{Credits, Expected, Input, Output, Reason, Seed};
use inbound::{Inbound, Next, Reader};
use journal::Journal;
use pages::Upload;
use returning::Returning;
use tickets::Tickets;

/// The whole core: a machine that turns inputs into outputs.
pub struct Server {
    inbound: Inbound,
    web: Web,
    accounts: Accounts,
    core: Core,
}

/// Everything but the receive windows, so that a message in one of them can be handed to it.
struct Core {
    stack: Stack,
    people: People,
    registrar: Registrar,
    proxy: Proxy,
    nonces: Nonces,
    limiter: Limiter,
    reluctant: Reluctant,
    journal: Journal,
    tickets: Tickets,
    presence: Presence,
    inbox: Inbox,
    absences: Absence,
    settings: Settings,
    returning: Returning,
    machines: Machines,
    upload: Upload,
    bridges: Bridges,
    outbox: Outbox,
    /// The status of the last refusal that was given without a transaction.
    refused: u16,
    /// Whether it was said where records are kept: all that were have come back by then.
    is_storage_told: bool,
    /// What was found of names that accounts may have asked for.
    located: Vec<(LookupHandle, Result<Candidates, Fault>), LOOKUPS>,
    /// The moment of this input or output.
    now: Instant,
    inflater: Inflater,
    /// A body that was inflated.
    inflated: [u8; agent::INFLATED_BYTES],
    nameservers: Vec<SocketAddr, NAME_SERVERS>,
    /// The connection of each lookup that has one.
    lookup_streams: [Option<Stream>; LOOKUPS],
    started: Instant,
    /// The time of day and the moment it was told; `None` until the clock is known.
    clock: Option<(UnixTime, Instant)>,
}

impl Server {
    /// A server that knows no home yet.
    pub const fn new() -> Self {
        let core = Core {
            stack: Stack::new(),
            people: People::new(),
            registrar: Registrar::new(),
            proxy: Proxy::new(),
            nonces: Nonces::new(),
            limiter: Limiter::new(),
            reluctant: Reluctant::new(),
            journal: Journal::new(),
            tickets: Tickets::new(),
            presence: Presence::new(),
            inbox: Inbox::new(),
            absences: Absence::new(),
            settings: Settings::new(),
            returning: Returning::new(),
            machines: Machines::new(),
            upload: Upload::new(),
            bridges: Bridges::new(),
            outbox: Outbox::new(),
            refused: 0,
            is_storage_told: false,
            located: Vec::new(),
            now: Instant::ZERO,
            inflater: Inflater::new(),
            inflated: [0; agent::INFLATED_BYTES],
            nameservers: Vec::new(),
            lookup_streams: [None; LOOKUPS],
            started: Instant::ZERO,
            clock: None,
        };
        Self { inbound: Inbound::new(), web: Web::new(), accounts: Accounts::new(), core }
    }

    /// Takes the secret keys, before anything else; and the moment it starts.
    pub fn seed(&mut self, now: Instant, seed: &Seed) {
        let core = &mut self.core;
        core.stack.random.seed(seed.key, seed.lasting);
        core.nonces.begin(now);
        let start = core.stack.random.number();
        core.journal.begin(seed.boot, start);
        core.started = now;
    }

    /// Takes one input. What it leads to is fetched with [`Server::poll`].
    pub fn handle(&mut self, now: Instant, input: Input<'_>) {
        self.core.now = now;
        let core = &mut self.core;
        match input {
            Input::Configuration(model) => {
                let mut people = [None; crate::base::limits::PEOPLE];
                // Who has a new password logs in with it.
                for (index, person) in core.people.model.people.iter().enumerate() {
                    let is_she = |other: &Person| other.id == person.id && other.secret == person.secret;
                    people[index] = model.people.iter().position(is_she);
                }
                self.web.sessions.renumber(|person| people.get(person).copied().flatten());
                let (accounts, had) = (moved_accounts(&core.people.model, model), core.people.model.accounts.len());
                core.configure(now, model);
                self.configure_accounts(now, &accounts, had);
            }
            Input::Addresses(addresses) => {
                let Stack { network, schedule, .. } = &mut core.stack;
                network.set_addresses(addresses, |index| schedule.wake(Task::Stream(index).id()));
                core.plan_ports();
            }
            Input::Nameservers(servers) => core.set_nameservers(now, servers),
            Input::WallClock(time) => core.clock = Some((time, now)),
            Input::Opened(port, outcome) if usize::from(port.0) >= MEDIA_PORTS => {
                core.media_opened(now, usize::from(port.0) - MEDIA_PORTS, outcome);
            }
            Input::Opened(port, outcome) if usize::from(port.0) >= PORTS => {
                core.lookup_opened(now, port, outcome.is_ok());
            }
            Input::Opened(port, outcome) => {
                core.stack.network.opened(now, port, outcome);
                let deadline = core.stack.network.port_deadline(port);
                core.stack.schedule.set_deadline(Task::Port(usize::from(port.0)).id(), deadline);
                if let Some(state) = core.stack.network.port(port).filter(|state| !state.is_web) {
                    core.registrar.port_opened(port, state.address);
                }
                core.configure_resolver(now);
            }
            Input::Datagram { port, from, bytes } if usize::from(port.0) >= MEDIA_PORTS => {
                core.media_received(now, usize::from(port.0) - MEDIA_PORTS, from, bytes);
            }
            Input::Datagram { port, from, bytes } if usize::from(port.0) >= PORTS => {
                core.lookup_answered(now, port, from, bytes);
            }
            Input::Datagram { port, from, bytes } => core.datagram(now, port, from, bytes),
            Input::Accepted { stream, listener, from } => {
                core.accepted(now, stream, listener, from);
                self.page_opened(now, stream, from);
            }
            Input::Connected { stream, local } => {
                core.connected(now, stream, local);
                // Over TLS it is up when the other end has proven itself.
                if core.stack.network.transport(Flow::Stream(stream)) != Transport::Tls {
                    self.link_connected(now, stream, false);
                }
            }
            Input::Secured { stream, identity } => {
                core.secured(now, stream, identity);
                self.link_connected(now, stream, true);
            }
            Input::Received(stream, n) => {
                self.inbound.received(stream, n);
                core.stack.schedule.wake(Task::Stream(usize::from(stream.index)).id());
            }
            Input::Closed(stream, reason) => {
                self.inbound.clear(stream);
                self.page_closed(now, stream);
                self.core.closed(now, stream, reason);
                self.link_closed(now, stream, reason);
            }
            Input::Restored { key, bytes, .. } if key.kind == Kind::Session => {
                self.restore_session(now, key.id, bytes);
            }
            Input::Restored { key, bytes, .. } if key.kind == Kind::Account => self.restore_account(bytes),
            Input::Restored { key, bytes, source, blob_bytes } => core.restored(now, key, bytes, source, blob_bytes),
            Input::Storage(storage) => {
                core.set_storage(storage);
                self.web.sessions.mark_all();
            }
            Input::Stored { ticket, outcome } => core.stored(now, ticket, outcome),
            Input::Loaded { ticket, outcome } => {
                if let Some((stream, outcome)) = core.loaded(now, ticket, outcome) {
                    self.page_loaded(stream, outcome);
                }
            }
            Input::Timeout => {}
        }
    }

    /// The next output, its bytes (if any) in `buffer`, which is at least 64 KB. To be called until `None`.
    pub fn poll(&mut self, now: Instant, credits: Credits, buffer: &mut [u8]) -> Option<Output> {
        self.core.now = now;
        let mut blocked = 0;
        loop {
            if let Some(sending) = self.core.stack.produce_slot(credits.ports, buffer) {
                return Some(output(sending));
            }
            if blocked < self.core.stack.schedule.ready()
                && let Some(id) = self.core.stack.schedule.pop_ready()
            {
                match self.produce(now, Task::from_id(id), credits, buffer) {
                    Produced::Output(output) => return Some(output),
                    // It may have woken others, which stand behind those that are blocked.
                    Produced::Nothing => blocked = 0,
                    Produced::Blocked => {
                        self.core.stack.schedule.wake(id);
                        blocked += 1;
                    }
                }
                continue;
            }
            match self.core.stack.schedule.pop_due(now) {
                Some(id) => {
                    self.core.due(now, Task::from_id(id));
                    blocked = 0;
                }
                None => return None,
            }
        }
    }

    /// When [`Server::poll`] has something to do if nothing else happens.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.core.stack.schedule.next_deadline()
    }

    /// The handle for a connection that a listener has taken, for [`Input::Accepted`] in the same turn; `None` when it
    /// is to be refused.
    pub fn vacant_stream(&mut self) -> Option<Stream> {
        self.core.stack.network.vacant_stream()
    }

    /// Where a stream's next bytes are to be read into; empty when it is not to be read now.
    pub fn receive_window(&mut self, stream: Stream) -> &mut [u8] {
        let Some(state) = self.core.stack.network.stream(stream) else { return &mut [] };
        // What comes before TLS and was not asked for is not wanted after it.
        if state.is_securing() {
            return &mut [];
        }
        let reader = match state.user {
            StreamUser::Sip => Reader::Sip,
            StreamUser::Account { .. } => Reader::Account,
            StreamUser::Lookup(_) | StreamUser::Web => Reader::Other,
        };
        self.inbound.window(stream, reader)
    }

    /// What a stream has to send.
    pub fn transmit_window(&self, stream: Stream) -> &[u8] {
        self.core.stack.network.transmit_window(stream, &self.core.stack.store)
    }

    /// Notes that so many bytes of the transmit window were sent.
    pub fn transmitted(&mut self, now: Instant, stream: Stream, n: usize) {
        let stack = &mut self.core.stack;
        stack.network.transmitted(now, stream, n, &mut stack.store);
        stack.reschedule_stream(usize::from(stream.index));
        // The next piece of a page is made when there is room for it, and TLS begins when all before it is sent.
        let user = stack.network.stream(stream).map(|state| state.user);
        if let Some(StreamUser::Account { account, .. }) = user {
            stack.schedule.wake(Task::Account(usize::from(account)).id());
        }
        if matches!(user, Some(StreamUser::Web | StreamUser::Account { .. })) {
            stack.schedule.wake(Task::Stream(usize::from(stream.index)).id());
        }
    }

    /// Who must be at the other end of a connection over TLS that the core asked for.
    pub fn expected(&self, stream: Stream) -> Option<Expected<'_>> {
        let state = self.core.stack.network.stream(stream)?;
        let (domain, model) = (state.domain.as_str(), &self.core.people.model);
        if let StreamUser::Account { account, .. } = state.user {
            let account = model.accounts.get(usize::from(account))?;
            return Some(Expected { domain, pins: &account.pins, ca: &account.ca, is_account: true });
        }
        let peer = model.peers.iter().find(|peer| peer.domain.eq_ignore_ascii_case(domain));
        let (pins, ca) = peer.map_or((&[][..], ""), |peer| (&peer.pins, &peer.ca));
        Some(Expected { domain, pins, ca, is_account: false })
    }

    /// The path of the local socket that a stream leads to.
    pub fn local_path(&self, stream: Stream) -> Option<&str> {
        let StreamUser::Account { account, .. } = self.core.stack.network.stream(stream)?.user else { return None };
        Some(self.core.people.model.accounts.get(usize::from(account))?.path.as_str())
    }

    /// Name, capacity and bytes of every table.
    pub fn footprint() -> impl Iterator<Item = (&'static str, usize, usize)> {
        use crate::base::limits::{CHALLENGED, NONCES, PEOPLE, SOURCES};
        let rest = [
            ("people", PEOPLE, size_of::<People>() - size_of::<Contacts>()),
            Registrar::footprint(),
            Proxy::footprint(),
            ("nonces", NONCES, size_of::<Nonces>()),
            ("sources", SOURCES, size_of::<Limiter>()),
            ("challenged", CHALLENGED, size_of::<Reluctant>()),
            Inbound::footprint(),
            ("answers held back", HELD, size_of::<Journal>()),
            ("requests to the storage", IN_FLIGHT, size_of::<Tickets>()),
            ("inflater and what it inflates", 1, size_of::<Inflater>() + agent::INFLATED_BYTES),
        ];
        let kept = Inbox::footprint().into_iter().chain([
            Absence::footprint(),
            ("settings of people", PEOPLE, size_of::<Settings>()),
            Machines::footprint(),
            Bridges::footprint(),
            Outbox::footprint(),
        ]);
        let kept = kept.chain(Contacts::footprint()).chain(Accounts::footprint()).chain(Web::footprint());
        Stack::footprint().into_iter().chain(Resolver::footprint()).chain(rest).chain(Presence::footprint()).chain(kept)
    }

    /// Whether nothing is going on but what was registered and configured: no transaction, no branch, no message kept
    /// but the bindings' texts. For tests, which end with it.
    pub fn is_at_rest(&self) -> bool {
        let kept: usize = self.core.stack.store.usage().iter().map(|(_, used, _)| used).sum();
        self.core.stack.transactions() == (0, 0)
            && self.core.stack.resolver.is_at_rest()
            && self.core.journal.is_at_rest()
            && self.core.tickets.is_empty()
            && self.core.returning.is_at_rest()
            && self.core.machines.is_empty()
            && self.core.bridges.is_at_rest()
            && self.core.proxy.is_empty()
            && self.inbound.is_empty()
            && kept
                == self.core.registrar.len()
                    + self.core.presence.kept_blocks()
                    + self.core.machines.kept_blocks()
                    + self.core.outbox.kept_blocks()
    }

    fn produce(&mut self, now: Instant, task: Task, credits: Credits, buffer: &mut [u8]) -> Produced<Output> {
        let core = &mut self.core;
        let produced = match task {
            Task::Journal => {
                return match core.produce_journal(now, credits.storage, buffer) {
                    Produced::Nothing => self.produce_sessions(credits.storage, buffer),
                    produced => produced,
                };
            }
            Task::Inbox => return self.produce_inbox(now, credits.storage, buffer),
            Task::Context(index) => return core.produce_context(now, index, credits.storage, buffer),
            Task::Account(index) => return self.produce_account(now, index),
            Task::Outgoing => return core.produce_outgoing(now, credits.storage, buffer),
            Task::Machine(index) => return core.produce_machine(now, index, credits, buffer),
            Task::People => return core.gather(now),
            Task::Watch(index) => return core.produce_notify(now, index),
            Task::Watched(index) => {
                let (presence, mut around) = core.split_presence();
                if let Some(changed) = presence.watched.produce(now, &mut around, index) {
                    presence.watched_changed(now, &mut around, changed);
                }
                return Produced::Nothing;
            }
            Task::Port(_) => {
                let produced = core.stack.produce(now, task, credits.ports, buffer);
                if let Produced::Output(Sending::Port(port, _, _, false)) = produced {
                    core.registrar.port_closed(port);
                }
                produced
            }
            Task::Lookup(index) => core.produce_lookup(now, index, credits.ports, buffer),
            Task::Binding(index) => {
                core.registrar.produce(now, &mut core.stack, &core.people, index, credits.ports, buffer)
            }
            Task::Stream(index) => match core.stack.produce(now, task, credits.ports, buffer) {
                // The slot has to be free before the next message is read: until its socket can be written this waits.
                Produced::Nothing if !core.stack.is_slot_free() => Produced::Blocked,
                Produced::Nothing if core.stack.network.is_web(index) => {
                    return self.produce_page(now, index, credits.storage, buffer);
                }
                Produced::Nothing => {
                    self.read_stream(now, index);
                    Produced::Nothing
                }
                Produced::Output(Sending::Stream(stream, StreamStep::StartTls, remote, _))
                    if !self.inbound.waiting(stream).is_empty() =>
                {
                    // RFC 6120 §5.4.3.3: somebody on the way may have put it there, to be taken for the server's own.
                    log::warn!("the connection with {remote} is closed: something came in the clear where TLS begins");
                    core.stack.network.close(stream);
                    core.stack.schedule.wake(task.id());
                    Produced::Nothing
                }
                produced => {
                    self.core.stack.schedule.wake(task.id());
                    produced
                }
            },
            _ => core.stack.produce(now, task, credits.ports, buffer),
        };
        produced.map(output)
    }

    /// Reads the next message of a stream, if all of it is there.
    fn read_stream(&mut self, now: Instant, index: usize) {
        let core = &mut self.core;
        let Some(stream) = core.stack.network.stream_at(index) else { return };
        let Some(remote) = core.stack.network.remote(Flow::Stream(stream)) else { return };
        let task = Task::Stream(index).id();
        match core.stack.network.stream(stream).map(|state| state.user) {
            Some(StreamUser::Lookup(lookup)) => {
                let taken = core.lookup_received(now, usize::from(lookup), self.inbound.waiting(stream));
                self.inbound.consume(stream, taken);
                core.stack.network.received(now, stream, false);
                core.stack.reschedule_stream(index);
                return;
            }
            Some(StreamUser::Account { .. }) => return self.read_link(now, stream),
            _ => {}
        }
        let consumed = match self.inbound.next(stream) {
            Next::Nothing { is_partial } => {
                core.stack.network.received(now, stream, is_partial);
                core.stack.reschedule_stream(index);
                return;
            }
            Next::Ping(len) => {
                core.stack.send_stateless(now, Flow::Stream(stream), |out| out.text("\r\n"));
                len
            }
            Next::Message(bytes, len) => {
                if !bytes.is_empty() && core.admit(now, remote.ip()) {
                    core.message(now, Flow::Stream(stream), remote, bytes);
                }
                len
            }
            Next::Broken(fault, bytes) => {
                core.broken(now, stream, remote, fault, bytes);
                usize::MAX
            }
        };
        self.inbound.consume(stream, consumed);
        core.stack.network.received(now, stream, false);
        core.stack.reschedule_stream(index);
        core.stack.schedule.wake(task);
    }
}

impl Default for Server {
    fn default() -> Self {
        Self::new()
    }
}

impl Core {
    fn configure(&mut self, now: Instant, model: &Model) {
        let old = &self.people.model;
        let mut people = [None; crate::base::limits::PEOPLE];
        let mut devices = [None; crate::base::limits::DEVICES];
        // Who has a new password has to prove it: the old one may be in the wrong hands.
        for (index, person) in old.people.iter().enumerate() {
            people[index] =
                model.people.iter().position(|other| other.id == person.id && other.secret == person.secret);
        }
        for (index, device) in old.devices.iter().enumerate() {
            // One that is another person's now is another device: its calls are not for the former owner any more.
            let owner = old.people.get(usize::from(device.person)).map(|person| &person.id);
            devices[index] = model.devices.iter().position(|other| {
                other.id == device.id
                    && other.secret == device.secret
                    && model.people.get(usize::from(other.person)).map(|person| &person.id) == owner
            });
        }
        let at = |table: &[Option<usize>], index: usize| table.get(index).copied().flatten();
        self.registrar.renumber(&mut self.stack, |index| at(&people, index), |index| at(&devices, index));
        // A person stays who she is with a new password, and what is known of her.
        let mut moved = [None; crate::base::limits::PEOPLE];
        for (index, person) in old.people.iter().enumerate() {
            moved[index] = model.people.iter().position(|other| other.id == person.id);
        }
        // An account of which anything is configured otherwise logs in anew.
        let mut accounts = [None; crate::base::limits::ACCOUNTS];
        for (index, account) in old.accounts.iter().enumerate() {
            let Some(person) = at(&moved, usize::from(account.person)) else { continue };
            let same = Account { person: person as u16, ..account.clone() };
            accounts[index] = model.accounts.iter().position(|other| *other == same);
        }
        let is_as_before = |user: StreamUser, domain: &str| {
            let proof = |model: &Model| {
                let peer = model.peers.iter().find(|peer| peer.domain.eq_ignore_ascii_case(domain));
                peer.map(|peer| (peer.pins.clone(), peer.ca.clone()))
            };
            model.main.ca == old.main.ca && (user.is_account() || proof(model) == proof(old))
        };
        let Stack { network, schedule, .. } = &mut self.stack;
        network.prove_anew(is_as_before, |index| schedule.wake(Task::Stream(index).id()));
        network.renumber_accounts(&accounts, |index| schedule.wake(Task::Stream(index).id()));
        let mut marks = [0; crate::base::limits::BUDDIES];
        for (index, mark) in marks.iter_mut().enumerate() {
            *mark = self.people.buddy_mark(&self.stack.random, index);
        }
        self.people.configure(model, &self.stack.random);
        // Those whom people have put on their lists stand behind what is configured now.
        let mut buddies = [None; crate::base::limits::BUDDIES];
        for index in 0..self.people.model.buddies.len() {
            let mark = self.people.buddy_mark(&self.stack.random, index);
            if let Some(before) = marks.iter().position(|it| *it == mark && mark != 0) {
                buddies[before] = Some(index);
            }
        }
        let (presence, mut around) = self.split_presence();
        presence.renumber(now, &mut around, |index| at(&moved, index), |index| at(&buddies, index));
        self.inbox.renumber(|index| at(&moved, index));
        self.absences.renumber(|index| at(&moved, index));
        self.settings.renumber(|index| at(&moved, index));
        self.returning.forget();
        self.stack.schedule.wake(Task::Journal.id());
        self.inbox_changed();
        self.stack.network.configure(&model.main.listen, &model.main.external);
        self.stack.network.configure_web(&model.main.web);
        self.plan_ports();
    }

    fn plan_ports(&mut self) {
        let Stack { network, schedule, .. } = &mut self.stack;
        network.plan(|port| schedule.wake(Task::Port(usize::from(port.0)).id()));
    }

    /// Whether a source may be heard: it is not over its limit, or has none.
    fn admit(&mut self, now: Instant, ip: IpAddr) -> bool {
        let admitted = self.is_unlimited(ip) || self.limiter.admit(now, &self.stack.random, ip);
        if !admitted {
            self.stack.counters.limited += 1;
            if self.stack.counters.limited.is_power_of_two() {
                log::warn!("{ip} sends more than is read ({} dropped so far)", self.stack.counters.limited);
            }
        }
        admitted
    }

    fn is_unlimited(&self, ip: IpAddr) -> bool {
        self.people.model.main.unlimited.contains(&ip.to_canonical())
    }

    fn charge(&mut self, now: Instant, ip: IpAddr, cost: i32) {
        if !self.is_unlimited(ip) {
            self.limiter.charge(now, &self.stack.random, ip, cost);
        }
    }

    fn datagram(&mut self, now: Instant, port: Port, from: SocketAddr, bytes: &[u8]) {
        // Keep-alives: line ends, or zeros.
        let is_keep_alive = bytes.len() <= 4 && bytes.iter().all(|byte| matches!(byte, b'\r' | b'\n' | 0));
        if is_keep_alive || !self.admit(now, from.ip()) {
            return;
        }
        // And STUN (RFC 5626 §4.4.2), told by its first bits and its cookie. It is not answered, but no rubbish either.
        if matches!(bytes, [0..=3, _, _, _, 0x21, 0x12, 0xa4, 0x42, ..]) {
            return;
        }
        self.message(now, Flow::Datagram { port, remote: from }, from, bytes);
    }

    fn message(&mut self, now: Instant, flow: Flow, from: SocketAddr, bytes: &[u8]) {
        match Message::parse(bytes) {
            Ok(message) if message.status().is_some() => self.response(now, &message),
            Ok(message) => self.request(now, flow, from, &message),
            Err(fault) => {
                log::debug!("not SIP from {from}: {}", fault.reason);
                self.malformed(now, from);
            }
        }
    }

    fn malformed(&mut self, now: Instant, from: SocketAddr) {
        self.stack.counters.malformed += 1;
        self.charge(now, from.ip(), MALFORMED_COST);
    }

    fn response(&mut self, now: Instant, message: &Message<'_>) {
        self.stack.counters.responses += 1;
        if let Some(fault) = message.fault() {
            log::debug!("an answer is discarded: {}", fault.reason);
            self.stack.counters.malformed += 1;
            return;
        }
        match self.stack.answered(now, message) {
            Answered::Nothing => {}
            Answered::KeptAlive(bits) => self.registrar.heard(now, crate::base::table::Handle::from_bits(bits)),
            Answered::For(Owner::Proxy, client) => {
                self.count_call(now, message);
                let (proxy, mut around) = self.split();
                proxy.answered(now, &mut around, client, message);
            }
            Answered::For(owner, client) => self.own_answered(now, owner, client, Some(message)),
        }
    }

    fn accepted(&mut self, now: Instant, stream: Stream, listener: Port, from: SocketAddr) {
        self.stack.network.accept(now, stream, listener, from);
        self.stack.reschedule_stream(usize::from(stream.index));
        // A handshake costs more than any message: who is over the limit begins none.
        if self.stack.network.unsecured(stream).is_some() && !self.admit(now, from.ip()) {
            self.stack.network.close(stream);
            self.stack.schedule.wake(Task::Stream(usize::from(stream.index)).id());
        } else if self.stack.network.streams_from(from.ip()) > STREAMS_PER_SOURCE && !self.is_unlimited(from.ip()) {
            log::info!("{from} has too many connections");
            self.stack.network.close(stream);
            self.stack.schedule.wake(Task::Stream(usize::from(stream.index)).id());
        }
        if let Some(index) = self.stack.network.make_room() {
            self.stack.schedule.wake(Task::Stream(index).id());
        }
    }

    fn connected(&mut self, now: Instant, stream: Stream, local: SocketAddr) {
        self.stack.network.connected(now, stream, local);
        if let Some(StreamUser::Lookup(lookup)) = self.stack.network.stream(stream).map(|state| state.user) {
            self.lookup_connected(now, usize::from(lookup));
        }
        self.stack.reschedule_stream(usize::from(stream.index));
        self.stack.schedule.wake(Task::Stream(usize::from(stream.index)).id());
    }

    /// A connection over TLS is up: notes which of the domains we know the other end has proven.
    fn secured(&mut self, now: Instant, stream: Stream, identity: &PeerIdentity) {
        self.stack.network.secured(now, stream);
        self.stack.reschedule_stream(usize::from(stream.index));
        self.stack.schedule.wake(Task::Stream(usize::from(stream.index)).id());
        let is_proven = |peer: &&Peer| match &peer.pins[..] {
            [] => identity.names.iter().any(|name| name.eq_ignore_ascii_case(&peer.domain)),
            pins => identity.key.is_some_and(|key| pins.contains(&key)),
        };
        // The server of an account is who it has to be, and no other home.
        let Some(state) = self.stack.network.stream_mut(stream).filter(|it| !it.user.is_account()) else { return };
        if let Some(peer) = self.people.model.peers.iter().find(is_proven) {
            log::info!("{} has proven to be {}", state.remote, peer.domain);
            state.proved = peer.domain.clone();
        }
    }

    fn closed(&mut self, now: Instant, stream: Stream, reason: Reason) {
        for index in 0..LOOKUPS {
            self.lookup_closed(now, index, stream);
        }
        if let Some(ip) = self.stack.network.unsecured(stream) {
            self.charge(now, ip, REFUSED_COST);
        }
        let Stack { network, store, .. } = &mut self.stack;
        let is_plain = network.transport(Flow::Stream(stream)) != Transport::Tls;
        if !network.closed(stream, store) {
            return;
        }
        self.stack.reschedule_stream(usize::from(stream.index));
        self.registrar.stream_closed(&mut self.stack, stream, is_plain && reason == Reason::PeerClosed);
        while let Some(client) = { self.stack.clients_on(stream).next() } {
            match self.stack.client(client).map(|client| client.owner) {
                Some(owner) if owner != Owner::Proxy => {
                    self.stack.abandon(now, client);
                    self.own_answered(now, owner, client, None);
                }
                _ => {
                    let (proxy, mut around) = self.split();
                    proxy.broken(now, &mut around, client);
                }
            }
        }
    }

    fn due(&mut self, now: Instant, task: Task) {
        match task {
            Task::Binding(index) => return self.registrar.due(now, &mut self.stack, &self.people, index),
            Task::Lookup(index) => return self.lookup_due(now, index),
            Task::Journal => return self.journal_due(now),
            Task::Calls => return self.calls_due(now),
            Task::People | Task::Inbox | Task::Account(_) | Task::Outgoing => {
                return self.stack.schedule.wake(task.id());
            }
            Task::Machine(index) => return self.machine_due(now, index),
            Task::Publication(index) => {
                if self.presence.publications.due(now, &mut self.stack, index) {
                    self.stack.schedule.wake(Task::People.id());
                }
                return;
            }
            Task::Watch(index) => return self.presence.watch_due(now, &mut self.stack, index),
            Task::Watched(index) => {
                let (presence, mut around) = self.split_presence();
                if let Some(changed) = presence.watched.due(now, around.stack, index) {
                    presence.watched_changed(now, &mut around, changed);
                }
                return;
            }
            Task::Context(index) => {
                let (proxy, mut around) = self.split();
                return proxy.due(now, &mut around, index);
            }
            _ => {}
        }
        match self.stack.due(now, task) {
            Due::Nothing | Due::StreamClosing => {}
            Due::TimedOut(owner, client) if owner != Owner::Proxy => self.own_answered(now, owner, client, None),
            Due::TimedOut(_, client) => {
                let (proxy, mut around) = self.split();
                proxy.timed_out(now, &mut around, client);
            }
            Due::RangTooLong(client) => {
                let (proxy, mut around) = self.split();
                proxy.rang_too_long(now, &mut around, client);
            }
        }
    }

    fn split_presence(&mut self) -> (&mut Presence, Around<'_>) {
        let Self { stack, registrar, people, presence, .. } = self;
        (presence, Around { stack, registrar, people })
    }

    fn split(&mut self) -> (&mut Proxy, Around<'_>) {
        let Self { stack, registrar, people, proxy, .. } = self;
        (proxy, Around { stack, registrar, people })
    }
}

fn output(sending: Sending) -> Output {
    match sending {
        Sending::Datagram(port, to, len) => Output::Datagram { port, to, len },
        Sending::Stream(stream, StreamStep::Connect, to, transport) => Output::Connect { stream, to, transport },
        Sending::Stream(stream, StreamStep::ConnectLocal, ..) => Output::ConnectLocal { stream },
        Sending::Stream(stream, StreamStep::StartTls, ..) => Output::StartTls(stream),
        Sending::Stream(stream, StreamStep::Flush, ..) => Output::Flush(stream),
        Sending::Stream(stream, StreamStep::Close, ..) => Output::Close(stream),
        Sending::Port(port, transport, address, true) => Output::OpenPort { port, transport, address },
        Sending::Port(port, _, _, false) => Output::ClosePort(port),
    }
}
