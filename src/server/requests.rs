//! The way of a request through the house (RFC 3261 §16.3 to §16.5): checked, located, identified, judged by the front
//! door, and then answered or sent on.

use core::net::SocketAddr;

use super::Core;
use super::agent::{ALLOW_EVENTS, refused};
use super::dialog::GONE;
use crate::base::net::{Flow, Stream, Transport};
use crate::base::text::Writer;
use crate::base::time::Instant;
use crate::home::outside::Onward;
use crate::home::policy::{Asker, Assurance};
use crate::home::presence::list::URI_BYTES;
use crate::home::proxy::context::{Retarget, To};
use crate::home::proxy::{self, veil};
use crate::home::registrar::{BindingHandle, Refused};
use crate::sip::branch;
use crate::sip::limiter::MALFORMED_COST;
use crate::sip::mask;
use crate::sip::route::Routes;
use crate::sip::stack::{Keys, ServerHandle, tag_of};
use crate::sip::transport::DEFAULT_PORT;
use crate::wire::sip::response::{self, Head};
use crate::wire::sip::{Essentials, Fault, Message, Method, Name, NameAddr, SipUri, Uri};

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
    /// To somebody on another network, by his address there.
    Network,
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
        if self.ask_machine(now, &incoming) {
            return;
        }
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
            Place::Nobody | Place::Network => {
                let Some(asker) = self.asker(now, &incoming) else { return };
                let to =
                    if retarget == Retarget::Session { essentials.to.parsed_uri().ok() } else { Some(Uri::Sip(uri)) };
                let to = to.as_ref().and_then(Uri::sip);
                if let (Some(person), Some(to)) = (asker.proven_person(), to)
                    && self.write_to_buddy(now, &incoming, asker, person, to)
                {
                    return;
                }
                let alias = to.filter(|_| matches!(place, Place::Nobody)).and_then(|uri| uri.user);
                let buddy = asker.proven_person().zip(alias).and_then(|(person, it)| self.people.buddy(person, it));
                let address = buddy.and_then(|buddy| self.people.buddy_uri::<URI_BYTES>(buddy));
                match address.as_ref().map(|address| Uri::parse(address.as_bytes())) {
                    Some(Ok(Uri::Sip(address))) => {
                        let retarget = buddy.map_or(Retarget::None, |buddy| Retarget::Buddy(buddy as u16));
                        let place = self.place_of(&address);
                        self.admit_and_send(now, incoming, place, asker, (routing, retarget));
                    }
                    // He is known, but not where this could go.
                    _ if buddy.is_some() => self.refuse_asker(now, &incoming, asker, 480, "Not Reachable So"),
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
    pub(super) fn place_of<'b>(&self, uri: &SipUri<'b>) -> Place<'b> {
        if self.people.is_domain(uri) || self.stack.network.is_own(uri) {
            return match uri.user {
                None | Some(b"pcs") => Place::Server,
                Some(user) => self.people.person(&self.stack.random, user).map_or(Place::Nobody, Place::Person),
            };
        }
        if self.people.network_of(uri).is_some() {
            return Place::Network;
        }
        match self.registrar.by_contact(&self.stack, uri) {
            Some((device, _)) => Place::Device(device),
            None => Place::Outside(Onward { uri: *uri, domain: 0, in_dialog: false, is_secure: false }),
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
            // In a call of the answering machine's that is over (§12.2.2).
            _ if incoming.essentials.to.tag().is_some() => {
                self.refuse(now, incoming, 481, "Call/Transaction Does Not Exist", "");
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
    pub(super) fn refuse_for_good(
        &mut self,
        now: Instant,
        incoming: &Incoming<'_, '_>,
        status: u16,
        reason: &'static str,
    ) {
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
            Assurance::Claimed | Assurance::Account(_) | Assurance::Peer => {
                self.refuse(now, incoming, status, reason, "")
            }
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
        self.refused = status;
        self.answer(now, flow, from, message, status, reason, |out| out.text(fields));
    }

    #[allow(clippy::too_many_arguments, reason = "the parts of one answer")]
    pub(super) fn answer(
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
