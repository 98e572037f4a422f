//! The way of a request through the house (RFC 3261 §16.3 to §16.5): checked, located, identified, judged by the front
//! door, and then answered or sent on.

use core::net::SocketAddr;

use heapless::Vec;

use super::Core;
use super::agent::{ALLOW_EVENTS, refused};
use super::dialog::GONE;
use crate::base;
use crate::base::limits::{BINDINGS_PER_PERSON, BRANCHES};
use crate::base::net::{Flow, Stream, Transport, octets};
use crate::base::random::Purpose;
use crate::base::text::Writer;
use crate::base::time::Instant;
use crate::home::binding::{Binding, Text};
use crate::home::identity::{self, Demand, Identity};
use crate::home::outside::{self, Destination, Onward};
use crate::home::policy::{
    self, Asker, Assurance, Decision, Devices, Event, Facts, Kind, Preference, Snapshot, State, Target as Goal,
};
use crate::home::presence::list::URI_BYTES;
use crate::home::proxy::context::{self, Passage, Retarget, Target, To};
use crate::home::proxy::{self, Job, veil};
use crate::home::registrar::{BindingHandle, Refused, Registrar};
use crate::home::reluctant::Reluctant;
use crate::sip::branch;
use crate::sip::limiter::{MALFORMED_COST, REFUSED_COST};
use crate::sip::mask;
use crate::sip::route::Routes;
use crate::sip::stack::{Keys, ServerHandle, tag_of};
use crate::sip::transport::DEFAULT_PORT;
use crate::wire::sdp;
use crate::wire::sip::features::{self, Judgement as Judged};
use crate::wire::sip::response::{self, Head};
use crate::wire::sip::{
    Essentials, Fault, MediaType, Message, Method, Name, NameAddr, SipUri, Uri, date, list, same_name,
};

/// Option tags a REGISTER may require.
const REGISTRAR_TAGS: [&[u8]; 2] = [b"path", b"outbound"];
const OUR_METHODS: &str = "Allow: OPTIONS, REGISTER, SUBSCRIBE, NOTIFY, PUBLISH, MESSAGE\r\n";

/// A request being handled.
#[derive(Clone, Copy)]
pub(super) struct Incoming<'a, 'b> {
    pub message: &'a Message<'b>,
    pub essentials: &'a Essentials<'b>,
    pub method: Method<'b>,
    pub flow: Flow,
    pub from: SocketAddr,
    pub keys: Keys,
    pub routes: Routes,
}

/// Where a request is to go.
pub(super) enum Place<'b> {
    /// To this server itself.
    Server,
    /// To a person.
    Person(usize),
    /// To nobody of the home.
    Nobody,
    /// To a device, by its own address.
    Device(BindingHandle),
    /// Within a dialog that passes here, to a device or to a peer.
    Dialog(To),
    /// To another domain or a foreign address.
    Outside(Onward<'b>),
    /// Within a dialog, or to an address, whose way is not known.
    Unreachable(Fault),
}

impl Core {
    /// Takes a request.
    pub(super) fn request(&mut self, now: Instant, flow: Flow, from: SocketAddr, message: &Message<'_>) {
        self.stack.counters.requests += 1;
        let (Some(method), None) = (message.method(), message.fault()) else {
            return self.faulty(now, flow, from, message);
        };
        let (Some(essentials), Some(keys)) = (message.essentials(), self.stack.keys(message)) else {
            return self.faulty(now, flow, from, message);
        };
        if let Flow::Stream(stream) = flow
            && essentials.via.params.has(b"alias")
            && let Some(state) = self.stack.network.stream_mut(stream)
        {
            state.is_alias = true;
        }
        let flow = self.answer_flow(flow, essentials);
        let routes = Routes::default();
        let incoming = Incoming { message, essentials, method, flow, from, keys, routes };
        match method {
            Method::Ack => return self.ack(now, incoming),
            Method::Cancel => return self.cancel(now, incoming),
            _ => {}
        }
        if let Some(known) = self.stack.find_server(keys.transaction) {
            return self.stack.absorb(known);
        }
        if self.stack.is_merged(&keys) {
            return self.refuse(now, &incoming, 482, "Merged Request", "");
        }
        let routes = Routes::of(message, &self.stack.network, &self.stack.random);
        self.route(now, Incoming { routes, ..incoming });
    }

    /// Framing of a stream is lost: answers if there is enough to answer, then closes (§18.3).
    pub(super) fn broken(&mut self, now: Instant, stream: Stream, from: SocketAddr, fault: Fault, bytes: &[u8]) {
        log::info!("connection from {from} is closed: {}", fault.reason);
        self.malformed(now, from);
        if let Ok(message) = Message::parse(bytes)
            && message.method().is_some_and(|method| method != Method::Ack)
        {
            self.answer(now, Flow::Stream(stream), from, &message, fault.status, fault.reason, |_| {});
        }
        self.stack.network.close(stream);
        self.stack.schedule.wake(crate::sip::stack::Task::Stream(usize::from(stream.index)).id());
    }

    /// A request that can't be read is refused with what is wrong with it; an ACK is never answered.
    fn faulty(&mut self, now: Instant, flow: Flow, from: SocketAddr, message: &Message<'_>) {
        self.stack.counters.malformed += 1;
        self.charge(now, from.ip(), MALFORMED_COST);
        if let Some(fault) = message.fault()
            && message.method() != Some(Method::Ack)
        {
            log::debug!("{} to {from}: {}", fault.status, fault.reason);
            self.answer(now, flow, from, message, fault.status, fault.reason, |_| {});
        }
    }

    /// Where answers go (§18.2.2, RFC 3581): back the way the request came, unless the sender, not behind a NAT, said
    /// that it listens on another port and did not ask for `rport`.
    fn answer_flow(&self, flow: Flow, essentials: &Essentials<'_>) -> Flow {
        match flow {
            Flow::Datagram { port, remote } if essentials.via.rport().is_none() => {
                let is_direct =
                    essentials.via.host.ip().is_some_and(|ip| ip.to_canonical() == remote.ip().to_canonical());
                let number = essentials.via.port.unwrap_or(DEFAULT_PORT);
                let number = if is_direct { number } else { remote.port() };
                Flow::Datagram { port, remote: SocketAddr::new(remote.ip(), number) }
            }
            flow => flow,
        }
    }

    fn cancel(&mut self, now: Instant, incoming: Incoming<'_, '_>) {
        let known = self.stack.find_server(incoming.keys.invite);
        let tx = known.and_then(|known| self.stack.server(known));
        let remote = tx.and_then(|tx| self.stack.network.remote(tx.flow));
        let (Some(tx), true) = (tx, remote.is_some_and(|remote| remote.ip() == incoming.from.ip())) else {
            return self.refuse(now, &incoming, 481, "Call/Transaction Does Not Exist", "");
        };
        let context = tx.context.filter(|_| !tx.is_finished());
        self.refuse(now, &incoming, 200, "OK", "");
        if let Some(context) = context {
            // Why the caller hung up is told to the devices (RFC 3326).
            let reason =
                incoming.message.field(Name::Reason).map(|field| &incoming.message.bytes()[field.line.clone()]);
            let (proxy, mut around) = self.split();
            proxy.cancel(now, &mut around, context, reason.unwrap_or_default());
        }
    }

    /// Checks (§16.3), then sends the request to where it belongs.
    fn route(&mut self, now: Instant, incoming: Incoming<'_, '_>) {
        let Incoming { message, essentials, method, .. } = incoming;
        let target =
            if incoming.routes.is_strict { proxy::forward::last_route(message).map(|route| route.uri) } else { None };
        let uri = match Uri::parse(target.or(message.request_uri()).unwrap_or_default()) {
            Ok(Uri::Sip(uri)) => uri,
            Ok(_) => return self.refuse(now, &incoming, 416, "Unsupported URI Scheme", ""),
            Err(fault) => return self.refuse(now, &incoming, fault.status, fault.reason, ""),
        };
        let mut place = self.locate(&incoming, &uri);
        let mut retarget = Retarget::None;
        // A message in a session that ends here goes on by itself.
        if matches!(place, Place::Server)
            && method == Method::Message
            && self.is_in_session(&incoming)
            && let Ok(Uri::Sip(to)) = essentials.to.parsed_uri()
        {
            (place, retarget) = (self.place_of(&to), Retarget::Session);
        }
        // §26.2.2: to be carried over TLS all the way, also the way it came (RFC 5630 §5.3).
        if uri.secure && self.stack.network.transport(incoming.flow) != Transport::Tls {
            return self.refuse(now, &incoming, 480, "SIPS Needs TLS", "");
        }
        if essentials.max_forwards == Some(0) && !matches!(place, Place::Server) {
            return self.refuse(now, &incoming, 483, "Too Many Hops", "");
        }
        let routing = branch::routing_hash(&self.stack.random, message);
        if branch::is_loop(message, routing) {
            return self.refuse(now, &incoming, 482, "Loop Detected", "");
        }
        if message.field(Name::ProxyRequire).is_some() {
            // Require is for who the request is addressed to.
            let names: &[Name] = match place {
                Place::Server => &[Name::ProxyRequire, Name::Require],
                _ => &[Name::ProxyRequire],
            };
            return self.refuse_tags(now, &incoming, names, &[]);
        }
        if let Some((from, _)) = incoming.routes.dialog() {
            self.count_dialog(now, from.pair, method);
        }
        if self.ask_agent(now, &incoming, &place) || self.ask_home(now, &incoming, &place) {
            return;
        }
        match place {
            Place::Server | Place::Person(_) | Place::Nobody if method == Method::Register => {
                self.register(now, incoming)
            }
            Place::Server => self.for_server(now, &incoming),
            Place::Unreachable(fault) => self.refuse(now, &incoming, fault.status, fault.reason, ""),
            Place::Nobody => {
                let Some(asker) = self.asker(now, &incoming) else { return };
                let alias =
                    if retarget == Retarget::Session { essentials.to.parsed_uri().ok() } else { Some(Uri::Sip(uri)) };
                let alias = alias.and_then(|uri| uri.sip()?.user);
                let buddy = asker.proven_person().zip(alias).and_then(|(person, it)| self.people.buddy(person, it));
                let address = buddy.and_then(|buddy| self.people.buddy_uri::<URI_BYTES>(buddy));
                match address.as_ref().map(|address| Uri::parse(address.as_bytes())) {
                    Some(Ok(Uri::Sip(address))) => {
                        let retarget = buddy.map_or(Retarget::None, |buddy| Retarget::Buddy(buddy as u16));
                        let place = self.place_of(&address);
                        self.admit_and_send(now, incoming, place, asker, (routing, retarget));
                    }
                    _ => self.refuse_asker(now, &incoming, asker, 404, "Not Found"),
                }
            }
            place => {
                if let Some(asker) = self.asker(now, &incoming) {
                    self.admit_and_send(now, incoming, place, asker, (routing, retarget));
                }
            }
        }
    }

    fn locate<'b>(&self, incoming: &Incoming<'_, 'b>, uri: &SipUri<'b>) -> Place<'b> {
        if let Some((from, token)) = incoming.routes.dialog() {
            return self.way_of(from, token, incoming);
        }
        if incoming.routes.has_more {
            return match next_route(incoming) {
                Some(route) => Place::Outside(Onward { uri: route, domain: 0, in_dialog: false, is_secure: false }),
                None => Place::Unreachable(Fault { status: 400, reason: "Malformed Route" }),
            };
        }
        if let Some(device) = veil::unveiled(&self.stack.random, uri.raw, &mut mask::ROOM.clone()) {
            let device = Uri::parse(device).ok().and_then(|uri| self.registrar.by_contact(&self.stack, uri.sip()?));
            return device.map_or(Place::Unreachable(GONE), |(device, _)| Place::Device(device));
        }
        self.place_of(uri)
    }

    /// Where an address leads by itself.
    fn place_of<'b>(&self, uri: &SipUri<'b>) -> Place<'b> {
        if self.people.is_domain(uri) || self.stack.network.is_own(uri) {
            return match uri.user {
                None | Some(b"pcs") => Place::Server,
                Some(user) => self.people.person(&self.stack.random, user).map_or(Place::Nobody, Place::Person),
            };
        }
        match self.registrar.by_contact(&self.stack, uri) {
            Some((device, _)) => Place::Device(device),
            None => Place::Outside(Onward { uri: *uri, domain: 0, in_dialog: false, is_secure: false }),
        }
    }

    /// Who asks; `None` when that has been answered with a challenge or a refusal.
    pub(super) fn asker<'b>(&mut self, now: Instant, incoming: &Incoming<'_, 'b>) -> Option<Asker<'b>> {
        let whose = &incoming.essentials.from;
        let is_home = match whose.parsed_uri() {
            Ok(Uri::Sip(uri)) => self.people.is_home(&self.stack.network, &uri),
            // im: and pres: addresses look like ours on a phone, too; nobody can prove one.
            Ok(Uri::Other { rest, .. }) => self.people.is_domain_of(rest),
            Ok(Uri::Tel(_)) => false,
            // A phone might make an address of ours of it all the same.
            Err(fault) => {
                self.refuse(now, incoming, fault.status, fault.reason, "");
                return None;
            }
        };
        if !is_home {
            return Some(self.stranger(incoming));
        }
        if let Some(person) = self.proven_in_dialog(incoming) {
            return Some(Asker { assurance: Assurance::Digest, person: Some(person), address: address_of(whose) });
        }
        let Self { stack, people, nonces, .. } = self;
        let identity =
            identity::identify(now, stack, people, nonces, incoming.message, whose, Name::ProxyAuthorization);
        self.judge(now, incoming, identity, 407)
    }

    /// Whether From is an address of the home, which has to be proven.
    pub(super) fn is_from_home(&self, incoming: &Incoming<'_, '_>) -> bool {
        match incoming.essentials.from.parsed_uri() {
            Ok(Uri::Sip(uri)) => self.people.is_home(&self.stack.network, &uri),
            Ok(Uri::Other { rest, .. }) => self.people.is_domain_of(rest),
            _ => false,
        }
    }

    /// Somebody of another domain, which the connection may have proven.
    fn stranger<'b>(&self, incoming: &Incoming<'_, 'b>) -> Asker<'b> {
        let address = address_of(&incoming.essentials.from);
        let Flow::Stream(stream) = incoming.flow else { return Asker::claimed(address) };
        let proved = self.stack.network.stream(stream).map_or("", |state| state.proved.as_str());
        match incoming.essentials.from.parsed_uri() {
            Ok(Uri::Sip(uri)) if !proved.is_empty() && same_name(uri.host_raw, proved.as_bytes()) => {
                Asker { assurance: Assurance::Peer, person: None, address }
            }
            _ => Asker::claimed(address),
        }
    }

    /// Challenges or refuses who is not proven.
    fn judge<'b>(
        &mut self,
        now: Instant,
        incoming: &Incoming<'_, 'b>,
        identity: Identity,
        status: u16,
    ) -> Option<Asker<'b>> {
        let whose = if status == 401 { &incoming.essentials.to } else { &incoming.essentials.from };
        let is_md5_only = self.fails_on_sha256(now, incoming, whose, identity);
        match identity {
            Identity::Unproven { is_stale, is_wrong } => {
                if is_wrong {
                    log::warn!("wrong credentials from {}", incoming.from);
                    self.stack.counters.refused += 1;
                    self.charge(now, incoming.from.ip(), REFUSED_COST);
                }
                let field = if status == 401 { "WWW-Authenticate" } else { "Proxy-Authenticate" };
                self.challenge(now, incoming, status, &Demand { whose, field, is_stale, is_md5_only });
            }
            Identity::Mismatch => self.refuse_for_good(now, incoming, 403, "Not Your Address"),
            Identity::Malformed => self.refuse(now, incoming, 400, "Malformed Credentials", ""),
            Identity::Stranger | Identity::Person(..) => {}
        }
        identity.asker(address_of(whose))
    }

    /// Whether who claims to be `whose` came again without an answer to the challenge he got before.
    fn fails_on_sha256(
        &mut self,
        now: Instant,
        incoming: &Incoming<'_, '_>,
        whose: &NameAddr<'_>,
        identity: Identity,
    ) -> bool {
        let mut who = self.stack.random.hash(Purpose::Table);
        who.put_lower(whose.uri);
        who.put(&octets(incoming.from.ip()));
        let who = who.finish();
        let is_known = incoming.message.field(Name::UserAgent).is_some_and(|agent| Reluctant::is_known(agent.value));
        is_known
            || match identity {
                Identity::Unproven { is_stale: false, is_wrong: false } if incoming.method == Method::Register => {
                    self.reluctant.challenged(now, who, incoming.keys.transaction)
                }
                Identity::Unproven { is_stale: false, is_wrong: false } => self.reluctant.is_md5_only(now, who),
                _ => self.reluctant.answered(who),
            }
    }

    fn challenge(&mut self, now: Instant, incoming: &Incoming<'_, '_>, status: u16, demand: &Demand<'_, '_>) {
        let Incoming { message, flow, from, .. } = *incoming;
        let reason = if status == 401 { "Unauthorized" } else { "Proxy Authentication Required" };
        let mut fields = [0; 1024];
        let mut out = Writer::new(&mut fields);
        identity::challenge(now, &mut self.stack.random, &self.people, demand, &mut out);
        let len = out.len();
        self.answer(now, flow, from, message, status, reason, |out| out.put(&fields[..len]));
    }

    /// Asks the front door, and does what it says.
    fn admit_and_send(
        &mut self,
        now: Instant,
        incoming: Incoming<'_, '_>,
        place: Place,
        asker: Asker<'_>,
        (routing, retarget): (u32, Retarget),
    ) {
        let message = incoming.message;
        let kind = match incoming.method {
            Method::Invite => Kind::Call { video: sdp::offers_video(message.body()) },
            Method::Message => Kind::Message,
            _ => Kind::Other,
        };
        let mut devices: Vec<(BindingHandle, Facts), BINDINGS_PER_PERSON> = Vec::new();
        let (goal, mut targets) = match &place {
            Place::Person(person) => {
                devices = self.devices(*person, &incoming, asker, kind);
                (Goal::Person, Vec::new())
            }
            Place::Device(device) => (Goal::Device, single(To::Binding(*device))),
            Place::Dialog(to) => (Goal::Dialog, single(*to)),
            Place::Outside(onward) if onward.in_dialog => (Goal::Dialog, Vec::new()),
            Place::Outside(_) => (Goal::Outside, Vec::new()),
            Place::Server | Place::Nobody | Place::Unreachable(_) => return,
        };
        let person = if let Place::Person(person) = place { Some(person) } else { None };
        let facts: Vec<Facts, BINDINGS_PER_PERSON> = devices.iter().map(|(_, facts)| *facts).collect();
        let state = person.map_or(State::Offline, |person| self.presence.state(person));
        let snapshot = Snapshot { model: &self.people.model, person, state, by_hand: None, devices: &facts };
        match policy::decide(&Event { asker, kind, target: goal }, &snapshot) {
            Decision::Refuse(status, reason) => return self.refuse_asker(now, &incoming, asker, status, reason),
            Decision::Deliver(chosen) => targets = self.targets(&devices, chosen),
            // Presence is not asked for here.
            Decision::Pass | Decision::Show(_) | Decision::Pending => {}
        }
        // Not before: a stranger must not make us ask for names and connect to where he likes.
        let (mut lookup, mut domain) = (None, base::text::Name::new());
        if let Place::Outside(onward) = &place {
            match outside::destination(now, &mut self.stack, &self.people, onward) {
                Destination::At(servers, name) => (targets, domain) = (context::servers(&servers), name),
                Destination::Pending(handle, name) => (lookup, domain) = (Some(handle), name),
                Destination::Nowhere(fault) => {
                    return self.refuse_asker(now, &incoming, asker, fault.status, fault.reason);
                }
            }
        }
        let at_once = targets.iter().filter(|target| targets.first().is_some_and(|first| first.q == target.q)).count();
        let breadth = proxy::breadth_of(message);
        if breadth < at_once as u32 {
            return self.refuse_asker(now, &incoming, asker, 440, "Max-Breadth Exceeded");
        }
        let pair = self.stack.random.number() as u32;
        let random = &self.stack.random;
        let callee = match &place {
            Place::Person(person) => self.people.seal(random, *person),
            Place::Device(device) | Place::Dialog(To::Device(device)) => {
                self.registrar.get(*device).map_or(0, |device| self.people.seal(random, usize::from(device.person)))
            }
            _ => 0,
        };
        let begins_dialog = matches!(incoming.method, Method::Invite | Method::Subscribe | Method::Refer)
            && incoming.essentials.to.tag().is_none();
        let passage = Passage {
            routing,
            own_routes: incoming.routes.own,
            is_strict: incoming.routes.is_strict,
            pair,
            caller: asker.person.map_or(0, |person| self.people.seal(random, person)),
            caller_binding: asker
                .person
                .and_then(|person| self.registrar.on_flow(person, incoming.flow))
                .map_or(0, |it| it.id),
            callee,
            breadth,
            records: begins_dialog,
            retarget,
            crossing: {
                let is_outward = matches!(&place, Place::Outside(_) | Place::Dialog(To::Flow(_) | To::Server(_)));
                self.crossing(&incoming, is_outward, asker.person.is_some())
            },
        };
        let Incoming { flow, keys, .. } = incoming;
        let (proxy, mut around) = self.split();
        let job = Job { message, keys: &keys, flow, kind, passage, targets, lookup, domain };
        if proxy.start(now, &mut around, job).is_err() {
            self.refuse(now, &incoming, 503, "Service Unavailable", "Retry-After: 5\r\n");
        }
    }

    /// The devices of a person, and what is known of each as far as a request is concerned.
    fn devices(
        &self,
        person: usize,
        incoming: &Incoming<'_, '_>,
        asker: Asker<'_>,
        kind: Kind,
    ) -> Vec<(BindingHandle, Facts), BINDINGS_PER_PERSON> {
        let is_secure = request_target(incoming).is_some_and(|uri| uri.secure);
        let content_type = incoming.message.field(Name::ContentType).map(|field| MediaType::parse(field.value));
        let facts = |device: &Binding| Facts {
            is_own: asker.person == Some(person) && device.source == incoming.flow,
            takes_method: device.abilities.is_known.then(|| device.abilities.takes(incoming.method)),
            takes_type: match (kind, content_type) {
                (Kind::Message, Some(Ok(media))) => takes_type(device.text(&self.stack.store, Text::Accept), &media),
                _ => None,
            },
            preference: match features::judge(incoming.message, device.text(&self.stack.store, Text::Params)) {
                Judged::Rejected => Preference::Rejected,
                Judged::Excluded => Preference::Excluded,
                Judged::Target { score, .. } => Preference::Score(score),
            },
            is_secure_enough: !is_secure || self.stack.network.transport(device.flow) == Transport::Tls,
            is_meant: self.is_for(device, kind),
            q: if kind == Kind::Message { 1000 } else { device.q },
            ..Facts::UNKNOWN
        };
        self.registrar.of(person).take(BINDINGS_PER_PERSON).map(|(handle, device)| (handle, facts(device))).collect()
    }

    /// The devices that were chosen, most preferred first; of the flows of one instance the newest.
    fn targets(&self, devices: &[(BindingHandle, Facts)], chosen: Devices) -> Vec<Target, BRANCHES> {
        let mut found: Vec<(Target, Instant), BRANCHES> = Vec::new();
        for (handle, facts) in chosen.iter().filter_map(|index| devices.get(index)) {
            let Some(device) = self.registrar.get(*handle) else { continue };
            // There is a branch for every device of a person.
            let _ = found.push((Target::new(To::Binding(*handle), facts.q, device.instance), device.refreshed_at));
        }
        found.sort_unstable_by_key(|(target, refreshed_at)| {
            (core::cmp::Reverse(target.q), core::cmp::Reverse(*refreshed_at))
        });
        found.into_iter().map(|(target, _)| target).collect()
    }

    fn is_for(&self, device: &Binding, kind: Kind) -> bool {
        let section = device.device.and_then(|device| self.people.model.devices.get(usize::from(device)));
        section.is_none_or(|section| match kind {
            Kind::Call { video: true } => section.takes.video,
            Kind::Call { video: false } => section.takes.audio,
            Kind::Message => section.takes.text,
            Kind::Presence | Kind::Other => true,
        })
    }

    /// A REGISTER for our domain.
    fn register(&mut self, now: Instant, incoming: Incoming<'_, '_>) {
        let Incoming { message, essentials, flow, from, keys, .. } = incoming;
        if message.values(Name::Require).any(|tag| !REGISTRAR_TAGS.iter().any(|known| tag.eq_ignore_ascii_case(known)))
        {
            return self.refuse_tags(now, &incoming, &[Name::Require], &REGISTRAR_TAGS);
        }
        match essentials.to.parsed_uri() {
            Ok(Uri::Sip(uri)) if self.people.is_home(&self.stack.network, &uri) => {}
            Ok(Uri::Sip(_)) => return self.refuse(now, &incoming, 404, "Not Found", ""),
            _ => return self.refuse(now, &incoming, 400, "Address Is Not a SIP URI", ""),
        }
        let Self { stack, people, nonces, .. } = self;
        let identity = identity::identify(now, stack, people, nonces, message, &essentials.to, Name::Authorization);
        if self.judge(now, &incoming, identity, 401).is_none() {
            return;
        }
        let Identity::Person(person, device) = identity else { return };
        if self.claims_another(&essentials.from, person) {
            return self.refuse_for_good(now, &incoming, 403, "Not Your Address");
        }
        let Some(server) = self.stack.open_server(now, &keys, flow, false) else {
            return self.refuse(now, &incoming, 503, "Service Unavailable", "Retry-After: 5\r\n");
        };
        let outcome = self.registrar.register(now, &mut self.stack, &self.people, (person, device), flow, message);
        let mut tag = [0; 16];
        let to_tag = tag_of(&self.stack.random, message, &mut tag);
        let (status, reason) = match &outcome {
            Ok(_) => (200, "OK"),
            Err(refused) => (refused.fault.status, refused.fault.reason),
        };
        let head = Head { status, reason, to_tag: Some(to_tag), source: Some(from), record_route: false };
        let mut fields = [0; REGISTERED_BYTES];
        let mut out = Writer::new(&mut fields);
        match outcome {
            Ok(is_outbound) => self.write_registered(now, message, (person, flow), is_outbound, &mut out),
            Err(refused) => out.text(refused.field),
        }
        match out.finish() {
            Ok(len) => self.stack.respond(now, server, status, |out| {
                response::write_head(message, &head, out);
                out.put(&fields[..len]);
                response::finish(out, None);
            }),
            Err(_) => self.stack.respond(now, server, 500, |out| {
                let head = Head { status: 500, reason: "Contacts Too Long", ..head };
                response::write_head(message, &head, out);
                response::finish(out, None);
            }),
        }
        if status == 200 {
            self.hold_until_durable(now, server);
        }
    }

    /// Whether an address is one of the home, but not this person's.
    fn claims_another(&self, whose: &NameAddr<'_>, person: usize) -> bool {
        let Ok(Uri::Sip(uri)) = whose.parsed_uri() else { return false };
        self.people.is_home(&self.stack.network, &uri)
            && self.people.person(&self.stack.random, uri.user.unwrap_or_default()) != Some(person)
    }

    fn write_registered(
        &self,
        now: Instant,
        message: &Message<'_>,
        (person, flow): (usize, Flow),
        is_outbound: bool,
        out: &mut Writer<'_>,
    ) {
        self.registrar.write_contacts(now, &self.stack, person, flow, CONTACTS_BYTES, out);
        for field in message.fields_named(Name::Path) {
            out.put(&message.bytes()[field.line.clone()]);
        }
        out.text("Supported: path, outbound\r\n");
        if is_outbound {
            Registrar::write_outbound(out);
        }
        // Phones without a clock take ours.
        if let Some(time) = self.time(now) {
            out.text("Date: ");
            date::write(time, out);
            out.text("\r\n");
        }
    }

    /// A request for the server itself.
    fn for_server(&mut self, now: Instant, incoming: &Incoming<'_, '_>) {
        if incoming.message.field(Name::Require).is_some() {
            return self.refuse_tags(now, incoming, &[Name::Require], &[]);
        }
        match incoming.method {
            Method::Options => {
                const ABOUT: &str =
                    "Accept: text/plain, application/pidf+xml\r\nSupported: path, outbound, eventlist\r\n";
                let Incoming { message, flow, from, .. } = *incoming;
                self.answer(now, flow, from, message, 200, "OK", |out| {
                    out.text(OUR_METHODS);
                    out.text(ALLOW_EVENTS);
                    out.text(ABOUT);
                });
            }
            Method::Other(_) => self.refuse(now, incoming, 501, "Not Implemented", OUR_METHODS),
            _ => self.refuse(now, incoming, 405, "Method Not Allowed", OUR_METHODS),
        }
    }

    /// 420 with the tags of these fields that we do not know.
    pub(super) fn refuse_tags(&mut self, now: Instant, incoming: &Incoming<'_, '_>, names: &[Name], known: &[&[u8]]) {
        let Incoming { message, flow, from, .. } = *incoming;
        self.answer(now, flow, from, message, 420, "Bad Extension", |out| {
            out.text("Unsupported: ");
            let tags = names.iter().flat_map(|name| message.values(*name));
            let unknown = tags.filter(|tag| !known.iter().any(|other| tag.eq_ignore_ascii_case(other)));
            for (index, tag) in unknown.enumerate() {
                out.text(if index == 0 { "" } else { ", " });
                out.put(tag);
            }
            out.text("\r\n");
        });
    }

    /// Refuses for good.
    fn refuse_for_good(&mut self, now: Instant, incoming: &Incoming<'_, '_>, status: u16, reason: &'static str) {
        self.answer_for_good(now, incoming, &refused(status, reason, ""));
    }

    /// Answers within a transaction: the credentials have been used, so what comes again must not be judged again.
    pub(super) fn answer_for_good(&mut self, now: Instant, incoming: &Incoming<'_, '_>, answer: &Refused) {
        let Incoming { flow, keys, method, .. } = *incoming;
        match self.stack.open_server(now, &keys, flow, method == Method::Invite) {
            Some(server) => self.respond(now, incoming, server, answer),
            None => self.refuse(now, incoming, answer.fault.status, answer.fault.reason, answer.field),
        }
    }

    /// Answers a transaction that was opened.
    pub(super) fn respond(
        &mut self,
        now: Instant,
        incoming: &Incoming<'_, '_>,
        server: ServerHandle,
        answer: &Refused,
    ) {
        let Incoming { message, from, .. } = *incoming;
        let Fault { status, reason } = answer.fault;
        let mut tag = [0; 16];
        let to_tag = tag_of(&self.stack.random, message, &mut tag);
        let head = Head { status, reason, to_tag: Some(to_tag), source: Some(from), record_route: false };
        self.stack.respond(now, server, status, |out| {
            response::write_head(message, &head, out);
            out.text(answer.field);
            response::finish(out, None);
        });
    }

    /// Refuses who has proven who he is for good, and strangers without keeping anything.
    pub(super) fn refuse_asker(
        &mut self,
        now: Instant,
        incoming: &Incoming<'_, '_>,
        asker: Asker<'_>,
        status: u16,
        reason: &'static str,
    ) {
        match asker.assurance {
            Assurance::Digest => self.refuse_for_good(now, incoming, status, reason),
            Assurance::Claimed | Assurance::Peer => self.refuse(now, incoming, status, reason, ""),
        }
    }

    /// Answers without a transaction: what comes again is answered again.
    pub(super) fn refuse(
        &mut self,
        now: Instant,
        incoming: &Incoming<'_, '_>,
        status: u16,
        reason: &str,
        fields: &str,
    ) {
        let Incoming { message, flow, from, .. } = *incoming;
        self.answer(now, flow, from, message, status, reason, |out| out.text(fields));
    }

    #[allow(clippy::too_many_arguments, reason = "the parts of one answer")]
    fn answer(
        &mut self,
        now: Instant,
        flow: Flow,
        from: SocketAddr,
        message: &Message<'_>,
        status: u16,
        reason: &str,
        fields: impl FnOnce(&mut Writer<'_>),
    ) {
        let mut tag = [0; 16];
        let to_tag = tag_of(&self.stack.random, message, &mut tag);
        let head = Head { status, reason, to_tag: Some(to_tag), source: Some(from), record_route: false };
        self.stack.send_stateless(now, flow, |out| {
            response::write_head(message, &head, out);
            fields(out);
            response::finish(out, None);
        });
    }
}

/// What the answer to a REGISTER has of its own, at most: the Contacts, and as much again for Path and the rest.
const REGISTERED_BYTES: usize = 2 * CONTACTS_BYTES;
const CONTACTS_BYTES: usize = 4096;

/// The first Route value that is not ours.
pub(super) fn next_route<'b>(incoming: &Incoming<'_, 'b>) -> Option<SipUri<'b>> {
    let next = incoming.message.values(Name::Route).nth(usize::from(incoming.routes.own))?;
    NameAddr::parse(next).ok()?.parsed_uri().ok()?.sip().copied()
}

/// The address a request is for, which a strict router has put last in Route.
pub(super) fn request_target<'b>(incoming: &Incoming<'_, 'b>) -> Option<SipUri<'b>> {
    let strict = if incoming.routes.is_strict { proxy::forward::last_route(incoming.message) } else { None };
    let target = strict.map(|route| route.uri).or(incoming.message.request_uri())?;
    Uri::parse(target).ok()?.sip().copied()
}

/// The `USER@HOST` of who an address names; empty when it is no SIP URI.
fn address_of<'b>(whose: &NameAddr<'b>) -> &'b [u8] {
    match whose.parsed_uri() {
        Ok(Uri::Sip(uri)) => policy::address_of(&uri),
        _ => b"",
    }
}

/// Whether a device takes a type of message, by the Accept it gave; `None` when that says nothing of messages, as most name
/// only what their calls are about.
fn takes_type(accept: &[u8], media: &MediaType<'_>) -> Option<bool> {
    let given = || list(accept).filter_map(|value| MediaType::parse(value).ok());
    let is_for_messages = |it: &MediaType<'_>| MESSAGE_TYPES.iter().any(|main| it.main.eq_ignore_ascii_case(main));
    if !given().any(|it| is_for_messages(&it)) {
        return None;
    }
    let text = |bytes| core::str::from_utf8(bytes).unwrap_or_default();
    Some(given().any(|it| it.accepts(text(media.main), text(media.sub))))
}

/// The types that messages have.
const MESSAGE_TYPES: [&[u8]; 3] = [b"text", b"message", b"*"];

fn single(to: To) -> Vec<Target, BRANCHES> {
    Vec::from_slice(&[Target::new(to, 1000, 0)]).unwrap_or_default()
}
