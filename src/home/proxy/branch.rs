//! One branch of a request (RFC 3261 §16.6): the way it takes, the edits that make it of what came, and the client transaction
//! that sends it.

use super::context::{Context, Progress, Retarget, Size, Target, To};
use super::forward::{self, Border, Forward, Own};
use super::veil::{Crossing, Veil};
use super::{Around, ContextHandle, refusal};
use crate::base::limits::EDIT_BYTES;
use crate::base::net::{Flow, Transport};
use crate::base::table::Handle;
use crate::base::time::Instant;
use crate::home::binding::{Binding, Text};
use crate::home::policy::Kind;
use crate::home::registrar::Registrar;
use crate::sip::branch::{Branch, Kind as BranchKind};
use crate::sip::mask;
use crate::sip::stack::{ClientHandle, Stack};
use crate::sip::token::{Side, Token};
use crate::sip::transaction::T64_MS;
use crate::sip::transaction::client::ClientTransaction;
use crate::sip::transport::{port_of, transport_of};
use crate::wire::sip::edit::Edits;
use crate::wire::sip::{Fault, Message, Uri};

/// A device that has not taken a message after so long counts as not there.
const MESSAGE_MS: u64 = 8_000;
/// Any other request that is not an INVITE.
const REQUEST_MS: u64 = 20_000;
/// A server of another domain that has said nothing after so long is given up where there is another to try. RFC 3263 §4.3
/// would wait for the whole transaction, which is longer than anybody waits.
const FAILOVER_MS: u64 = 6_000;
/// A larger request goes on a stream where there can be one (§18.1.1).
const DATAGRAM_BYTES: usize = 1_300;
/// What forwarding adds to a request at most, without its Record-Route and Route: Via, Max-Breadth, Max-Forwards.
const GROWTH_BYTES: usize = 160;
/// What Record-Route adds, both sides.
const RECORD_BYTES: usize = 200;

/// Bytes of a buddy's address as a URI.
const RETARGET_BYTES: usize = 160;

/// Sends one branch with its breadth, or marks its target as failed.
pub(super) fn start_branch(
    now: Instant,
    around: &mut Around<'_>,
    handle: ContextHandle,
    context: &mut Context,
    request: Option<&Message<'_>>,
    (index, breadth): (usize, u32),
    edit_text: &mut [u8; EDIT_BYTES],
) {
    let target = context.targets[index];
    context.targets[index].progress =
        match try_branch(now, around, handle, context, request, (&target, breadth), edit_text) {
            Ok((client, size)) => {
                context.targets[index].size = size;
                Progress::Trying(client)
            }
            Err(status) => {
                log::warn!("a branch could not be sent ({status})");
                Progress::Done(status)
            }
        };
    if let Progress::Done(status) = context.targets[index].progress
        && context.best.is_none()
        && status != 480
        && let Some(bytes) = refusal(around.stack, context, Fault { status, reason: "Server Internal Error" })
    {
        context.best = Some((status, bytes));
    }
}

fn try_branch(
    now: Instant,
    around: &mut Around<'_>,
    handle: ContextHandle,
    context: &Context,
    request: Option<&Message<'_>>,
    (target, breadth): (&Target, u32),
    edit_text: &mut [u8; EDIT_BYTES],
) -> Result<(ClientHandle, Size), u16> {
    let stack = &mut *around.stack;
    let (to, mut size) = (target.to, target.size);
    let binding = match to {
        To::Binding(binding) | To::Device(binding) => Some(binding),
        To::Flow(_) | To::Server(_) => None,
    };
    let device = binding.map(|handle| around.registrar.get(handle).ok_or(480u16)).transpose()?;
    let flow = match (to, device) {
        (To::Flow(flow), _) => flow,
        (To::Server(server), _) => {
            stack.flow_to(now, server.transport, server.address, &context.domain).ok_or(503u16)?
        }
        (_, Some(device)) => flow_of(now, stack, device).ok_or(480u16)?,
        (_, None) => return Err(480),
    };
    let mut flow = flow;
    let source = stack.server(context.server).map(|tx| tx.flow).ok_or(480u16)?;
    if size == Size::Unknown
        && stack.store.get(&context.request).len() + growth(context, device, stack) > DATAGRAM_BYTES
    {
        (flow, size) = match stream_instead(now, stack, around.registrar, flow, device) {
            Some(stream) => (stream, Size::OnStream),
            None => (flow, Size::Datagram),
        };
    }
    let source_remote = stack.network.remote(source).ok_or(480u16)?;
    let remote = stack.network.remote(flow).ok_or(480u16)?;
    let (client, secret) = stack.reserve_client().ok_or(503u16)?;

    let passage = &context.passage;
    let kept;
    let message = match request {
        Some(message) => message,
        None => {
            kept = Message::parse(stack.store.get(&context.request)).map_err(|_| 500u16)?;
            &kept
        }
    };
    let token = |side, person, binding, flow, remote| Token {
        side,
        person,
        pair: passage.pair,
        binding,
        remote,
        stream: if let Flow::Stream(stream) = flow { Some(stream) } else { None },
        domain: stack.network.domain_of(flow).map_or(0, |domain| Token::domain(&stack.random, domain)),
    };
    let callee_binding = device.map_or(0, |device| device.id);
    let caller = token(Side::Caller, passage.caller, passage.caller_binding, source, source_remote);
    let callee = token(Side::Callee, passage.callee, callee_binding, flow, remote);
    let mut room = mask::ROOM;
    let buddy = match passage.retarget {
        Retarget::Buddy(buddy) => around.people.buddy_uri::<RETARGET_BYTES>(usize::from(buddy)),
        _ => None,
    };
    let new_uri = match (to, device) {
        (To::Binding(_), Some(device)) => Some(forward::request_uri(device.text(&stack.store, Text::Uri))),
        _ if passage.retarget == Retarget::Session => message.essentials().map(|essentials| essentials.to.uri),
        _ if buddy.is_some() => buddy.as_ref().map(|buddy| buddy.as_bytes()),
        _ => forward::target_in_dialog(&stack.random, message, passage.is_strict, passage.crossing, &mut room),
    };
    let path = match (to, device) {
        (To::Binding(_), Some(device)) => device.text(&stack.store, Text::Path),
        _ => b"",
    };
    let outgoing = Own::of(&stack.network, flow).ok_or(480u16)?;
    let domain = &around.people.model.main.domain;
    let veil = Veil::of(passage.crossing, stack, around.registrar, outgoing, domain, message, source_remote.ip());
    let border = Border::of(passage.crossing, veil.as_ref());
    let forward = Forward {
        uri: new_uri,
        path,
        leaves_session: passage.retarget == Retarget::Session,
        own_routes: usize::from(passage.own_routes),
        drops_last_route: passage.is_strict,
        source: source_remote,
        outgoing,
        incoming: Own::of(&stack.network, source).ok_or(480u16)?,
        branch: Branch { kind: BranchKind::Transaction, handle: client.to_bits(), secret, routing: passage.routing },
        tokens: passage.records.then_some((caller, callee)),
        realm: &around.people.model.main.domain,
        breadth: breadth.max(1),
        is_alias: matches!(to, To::Server(_)),
        border,
    };
    let mut edits = Edits::new(edit_text);
    forward.edits(&stack.random, message, &mut edits);
    let mut fault = None;
    let encoded = stack.compose(|_, out| fault = edits.encode(out).err());
    let encoded = match (encoded, fault) {
        (Some(encoded), None) => encoded,
        (encoded, fault) => {
            encoded.into_iter().for_each(|bytes| stack.store.release(bytes));
            return Err(if fault.is_some() { 500 } else { 503 });
        }
    };
    let has_next = |other: &Target| other.progress == Progress::Waiting && other.instance == target.instance;
    let is_one_of_many = matches!(to, To::Server(_)) && context.targets.iter().filter(|it| has_next(it)).count() > 1;
    let patient_ms = match (context.is_invite, context.kind) {
        (true, _) => T64_MS,
        // Another home waits for its devices as long as we do for ours.
        (false, kind) if kind.is_message() && !matches!(to, To::Server(_)) => MESSAGE_MS,
        (false, _) => REQUEST_MS,
    };
    let limit_ms = if is_one_of_many { FAILOVER_MS } else { patient_ms };
    let request = stack.store.share(&context.request);
    let mut tx = ClientTransaction::new(now, secret, flow, context.is_invite, limit_ms);
    tx.request = Some(request);
    tx.edits = Some(encoded);
    tx.context = handle.to_bits();
    tx.server = context.server.to_bits();
    tx.binding = binding.map(Handle::to_bits);
    // Its answers get back what the request had, To with the session's tag among it.
    tx.is_masked = matches!(passage.crossing, Crossing::Out { .. }) || passage.retarget == Retarget::Session;
    tx.patient_until = is_one_of_many.then(|| now.plus(patient_ms));
    // Another home keeps it, too: what its answer says comes in time or counts no more.
    tx.hears_late = context.kind == Kind::Message && binding.is_some();
    Ok((stack.start_client(client, tx).ok_or(503u16)?, size))
}

/// About what forwarding adds to a request.
fn growth(context: &Context, device: Option<&Binding>, stack: &Stack) -> usize {
    let path = device.map_or(0, |device| device.text(&stack.store, Text::Path).len());
    let uri = device.map_or(0, |device| device.text(&stack.store, Text::Uri).len());
    GROWTH_BYTES + path + uri + if context.passage.records { RECORD_BYTES } else { 0 }
}

/// A stream for a request that is too large for a datagram (§18.1.1): the device's own, one that is open to the same
/// address, or a new one where no NAT is in the way.
fn stream_instead(
    now: Instant,
    stack: &mut Stack,
    registrar: &Registrar,
    flow: Flow,
    device: Option<&Binding>,
) -> Option<Flow> {
    let Flow::Datagram { remote, .. } = flow else { return None };
    let is_open = |other: Flow| matches!(other, Flow::Stream(stream) if stack.network.stream(stream).is_some());
    if let Some(device) = device.filter(|device| device.instance != 0) {
        let others = registrar.of(usize::from(device.person)).map(|(_, other)| other);
        let own = others
            .filter(|other| other.instance == device.instance)
            .map(|other| other.flow)
            .find(|flow| is_open(*flow));
        if own.is_some() {
            return own;
        }
    }
    match stack.network.stream_to(Transport::Tcp, remote, "") {
        Some(stream) => Some(Flow::Stream(stream)),
        None if device.is_some_and(|device| device.is_natted) => None,
        None => stack.flow_to(now, Transport::Tcp, remote, ""),
    }
}

/// The way to a device: the flow of its REGISTER, or a new connection where that was a stream that is gone, or another of
/// our sockets where the address that it was on is not ours any more.
pub fn flow_of(now: Instant, stack: &mut Stack, device: &Binding) -> Option<Flow> {
    match device.flow {
        Flow::Stream(stream) if stack.network.stream(stream).is_none() => {
            let uri = Uri::parse(device.text(&stack.store, Text::Uri)).ok()?;
            let uri = uri.sip()?;
            // No device can prove who it is on a connection over TLS that comes from us.
            let is_plain = transport_of(uri) != Some(Transport::Tls);
            let remote = core::net::SocketAddr::new(uri.host.ip().filter(|_| is_plain)?, port_of(uri));
            stack.flow_to(now, Transport::Tcp, remote, "")
        }
        // A NAT on the way lets nothing through from another address; the old one may come back.
        Flow::Datagram { port, remote } if !stack.network.can_send(port, remote) => {
            if device.is_natted {
                return None;
            }
            stack.flow_to(now, Transport::Udp, remote, "")
        }
        flow => Some(flow),
    }
}
