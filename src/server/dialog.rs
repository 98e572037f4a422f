//! Requests within dialogs that pass here (RFC 3261 §16.4, §16.12): the tokens in Route say where each side is. No dialog is
//! stored.

use super::Core;
use super::requests::{Incoming, Place, next_route, request_target};
use crate::base::net::{Flow, Transport};
use crate::base::random::Purpose;
use crate::base::time::Instant;
use crate::home::binding::Binding;
use crate::home::outside::{self, Destination, Onward};
use crate::home::proxy;
use crate::home::proxy::context::To;
use crate::home::proxy::forward::{Border, Forward, Own};
use crate::home::proxy::veil::{Crossing, Veil};
use crate::sip::branch::{self, Branch};
use crate::sip::mask;
use crate::sip::route::Routes;
use crate::sip::token::{Side, Token};
use crate::wire::sip::Fault;
use crate::wire::sip::edit::Edits;

pub(super) const GONE: Fault = Fault { status: 480, reason: "Temporarily Unavailable" };

impl Core {
    pub(super) fn ack(&mut self, now: Instant, incoming: Incoming<'_, '_>) {
        if let Some(known) = self.stack.find_server(incoming.keys.transaction)
            && self.stack.acknowledge(now, known)
        {
            return;
        }
        if self.machine_acknowledged(now, incoming.message) {
            return;
        }
        let routes = Routes::of(incoming.message, &self.stack.network, &self.stack.random);
        let hops = incoming.essentials.max_forwards.unwrap_or(70);
        // An ACK to a 2xx is part of its dialog; any other belongs to an answer given without a transaction.
        let Some((from, token)) = routes.dialog().filter(|_| hops > 0) else { return };
        let incoming = Incoming { routes, ..incoming };
        let to = match self.way_of(from, token, &incoming) {
            Place::Dialog(to) => to,
            Place::Outside(onward) if onward.in_dialog => {
                match outside::destination(now, &mut self.stack, &self.people, &onward) {
                    // One that has to be looked up first comes again with the next repetition of the answer.
                    Destination::At(servers, domain) => {
                        let flow = servers
                            .first()
                            .and_then(|server| self.stack.flow_to(now, server.transport, server.address, &domain));
                        let Some(flow) = flow else { return };
                        To::Flow(flow)
                    }
                    Destination::Pending(..) | Destination::Nowhere(_) => return,
                }
            }
            _ => return,
        };
        self.pass_ack(now, incoming, to);
    }

    fn pass_ack(&mut self, now: Instant, incoming: Incoming<'_, '_>, to: To) {
        let flow = match to {
            To::Binding(device) | To::Device(device) => {
                self.registrar.get(device).and_then(|device| proxy::flow_of(now, &mut self.stack, device))
            }
            To::Flow(flow) => Some(flow),
            To::Server(_) => None,
        };
        let Some(flow) = flow else { return };
        let network = &self.stack.network;
        let ends = network.local(flow).zip(network.remote(flow)).zip(network.local(incoming.flow));
        let Some(((address, remote), source_address)) = ends else { return };
        // The same ACK has the same branch when it comes again.
        let mut hash = self.stack.random.hash(Purpose::Branch);
        hash.put(&incoming.keys.transaction.to_le_bytes());
        let hash = hash.finish();
        let branch =
            Branch { kind: branch::Kind::Stateless, handle: (hash >> 32) as u32, secret: hash as u32, routing: 0 };
        let crossing = self.crossing(&incoming, matches!(to, To::Flow(_) | To::Server(_)), false);
        let mut room = mask::ROOM;
        let is_strict = incoming.routes.is_strict;
        let uri =
            proxy::forward::target_in_dialog(&self.stack.random, incoming.message, is_strict, crossing, &mut room);
        let outgoing = Own { transport: network.transport(flow), address, name: network.advertised(remote.ip()) };
        let domain = &self.people.model.main.domain;
        let (message, source) = (incoming.message, incoming.from.ip());
        let veil = Veil::of(crossing, &self.stack, &self.registrar, outgoing, domain, message, source);
        let border = Border::of(crossing, veil.as_ref());
        let forward = Forward {
            uri,
            path: b"",
            leaves_session: false,
            own_routes: usize::from(incoming.routes.own),
            drops_last_route: incoming.routes.is_strict,
            source: incoming.from,
            outgoing,
            incoming: Own { transport: network.transport(incoming.flow), address: source_address, name: None },
            branch,
            tokens: None,
            realm: &self.people.model.main.domain,
            breadth: proxy::breadth_of(incoming.message),
            is_alias: false,
            border,
        };
        let mut edits = Edits::new(&mut self.proxy.edit_text);
        forward.edits(&self.stack.random, incoming.message, &mut edits);
        self.stack.send_stateless(now, flow, |out| edits.apply(incoming.message.bytes(), out));
    }

    /// The way to the side of a dialog that a token names: its device's flow as it is now, else the flow as it was. A
    /// connection that is gone may have been made by the other end: the next hop's own address says how to come back. That
    /// address is whatever the sender writes, and both parties have seen both tokens: only a person of the home may have
    /// us go there on the dialog's word alone, anybody else has to prove to be one.
    pub(super) fn way_of<'b>(&self, from: &Token, token: &Token, incoming: &Incoming<'_, 'b>) -> Place<'b> {
        if token.binding != 0
            && let Some((device, _)) = self.registrar.by_id(token.binding)
        {
            return Place::Dialog(To::Device(device));
        }
        // After a restart its number may be another's, with the same machine even.
        let domain = |flow| self.stack.network.domain_of(flow).map_or(0, |it| Token::domain(&self.stack.random, it));
        if let Some(stream) = token.stream
            && self.stack.network.stream(stream).is_some_and(|state| state.remote == token.remote)
            && domain(Flow::Stream(stream)) == token.domain
        {
            return Place::Dialog(To::Flow(Flow::Stream(stream)));
        }
        let Some((_, transport, address)) = incoming.routes.to else { return Place::Unreachable(GONE) };
        // What a domain has proven it has proven over TLS, whatever became of the parameter on its way.
        let transport = if token.domain == 0 { transport } else { Transport::Tls };
        if transport.is_reliable() {
            let uri = if incoming.routes.has_more { next_route(incoming) } else { request_target(incoming) };
            return match uri {
                Some(uri) => Place::Outside(Onward {
                    uri,
                    domain: token.domain,
                    in_dialog: from.person != 0 && self.comes_from(from, incoming),
                    is_secure: transport == Transport::Tls,
                }),
                None => Place::Unreachable(GONE),
            };
        }
        let port = address.and_then(|address| self.stack.network.port_at(transport, address));
        let port = port.filter(|port| self.stack.network.can_send(*port, token.remote));
        match port.or_else(|| self.stack.network.port_towards(transport, token.remote.ip())) {
            Some(port) => Place::Dialog(To::Flow(Flow::Datagram { port, remote: token.remote })),
            None => Place::Unreachable(GONE),
        }
    }

    /// How a request crosses the border of the home. It goes `outward` unless it goes to a person or a device; within a
    /// dialog the tokens say who is on its sides. Who is not proven to be of the home counts as outside.
    pub(super) fn crossing(&self, incoming: &Incoming<'_, '_>, is_outward: bool, is_proven: bool) -> Crossing {
        let dialog = incoming.routes.dialog();
        match dialog {
            None if is_outward => Crossing::Out { is_own_call: true },
            Some((from, to)) if is_outward && to.person == 0 => {
                Crossing::Out { is_own_call: from.side == Side::Caller }
            }
            _ if is_proven => Crossing::Within,
            Some((from, _)) if from.person != 0 && self.comes_from(from, incoming) => Crossing::Within,
            _ => Crossing::In,
        }
    }

    /// Whether a request comes from where the side of a dialog is that a token names.
    fn comes_from(&self, token: &Token, incoming: &Incoming<'_, '_>) -> bool {
        let is_source = |device: &Binding| self.stack.network.remote(device.source) == Some(incoming.from);
        match (token.stream, incoming.flow) {
            _ if token.binding != 0 && self.registrar.by_id(token.binding).is_some_and(|(_, it)| is_source(it)) => true,
            (Some(stream), Flow::Stream(flow)) => stream == flow && token.remote == incoming.from,
            (None, Flow::Datagram { .. }) => token.remote == incoming.from,
            _ => false,
        }
    }

    /// The person of the home that the sender's side of the dialog was proven to be, when From says the same and it comes
    /// from there: the other side knows that token, too.
    pub(super) fn proven_in_dialog(&self, incoming: &Incoming<'_, '_>) -> Option<usize> {
        let (from, _) = incoming.routes.dialog().filter(|(from, _)| self.comes_from(from, incoming))?;
        let uri = incoming.essentials.from.parsed_uri().ok()?;
        let person = self.people.person(&self.stack.random, uri.sip()?.user?)?;
        (from.person == self.people.seal(&self.stack.random, person)).then_some(person)
    }
}
