//! Answers on their way back (RFC 3261 §16.7): our Via comes off, and at the border of the home what was hidden in the request
//! comes back, or what is to be hidden in the answer goes.
//!
//! A request that left had its Via fields taken off, and perhaps its Call-ID, From and To changed: its answers get these
//! from the request as it came, which the server transaction keeps for as long as answers can come.

use core::net::SocketAddr;

use crate::base::store::Bytes;
use crate::base::text::Writer;
use crate::base::time::Instant;
use crate::home::proxy::Around;
use crate::home::proxy::context::{Context, rank};
use crate::home::proxy::veil::Veil;
use crate::sip::own::Own;
use crate::sip::stack::{ClientHandle, ServerHandle};
use crate::wire::sip::response::write_vias;
use crate::wire::sip::{Essentials, Field, Message, Name};

/// Passes an answer on.
pub fn forward(
    now: Instant,
    around: &mut Around<'_>,
    client: ClientHandle,
    server: ServerHandle,
    status: u16,
    message: &Message<'_>,
) {
    match freeze(around, client, server, message) {
        Some(bytes) => around.stack.respond_frozen(now, server, status, bytes),
        None => {
            log::error!("no memory to pass an answer with {status} on");
            around.stack.unanswerable(server, status);
        }
    }
}

/// Keeps an answer if it is better than the one kept; challenges of all devices go back together (§16.7 steps 6 and 7).
pub fn keep_best(
    around: &mut Around<'_>,
    client: ClientHandle,
    context: &mut Context,
    status: u16,
    message: &Message<'_>,
) {
    let is_challenge = |status| matches!(status, 401 | 407);
    let server = context.server;
    match context.best.take() {
        Some((kept, bytes)) if is_challenge(kept) && is_challenge(status) => {
            context.best = Some(match freeze(around, client, server, message) {
                Some(next) => {
                    let both =
                        around.stack.compose(|store, out| join_challenges(store.get(&bytes), store.get(&next), out));
                    around.stack.store.release(next);
                    match both {
                        Some(both) => {
                            around.stack.store.release(bytes);
                            (kept, both)
                        }
                        None => (kept, bytes),
                    }
                }
                None => (kept, bytes),
            });
        }
        Some((kept, bytes)) if rank(kept) <= rank(status) => context.best = Some((kept, bytes)),
        replaced => {
            replaced.into_iter().for_each(|(_, bytes)| around.stack.store.release(bytes));
            context.best = freeze(around, client, server, message).map(|bytes| (status, bytes));
        }
    }
}

/// Freezes an answer as it goes back to who asked.
fn freeze(around: &mut Around<'_>, client: ClientHandle, server: ServerHandle, message: &Message<'_>) -> Option<Bytes> {
    let Around { stack, registrar, people } = around;
    let (is_masked, flow) = stack.client(client).map(|tx| (tx.is_masked, tx.flow))?;
    let (is_outside, back) = stack.server(server).map(|tx| (tx.is_outside, tx.flow))?;
    if !is_masked && !is_outside {
        return stack.freeze_without_via(message);
    }
    let kept = stack.request_of(server);
    if is_masked && kept.is_none() {
        return None;
    }
    let mut is_done = true;
    let frozen = stack.compose_with(|store, network, random, out| {
        let request = kept.as_ref().and_then(|kept| Message::parse(store.get(kept)).ok());
        let (own, remote) = (Own::of(network, back), network.remote(flow));
        let veil = own.filter(|_| is_outside).map(|own| {
            let domain = &people.model.main.domain;
            Veil::new(random, network, store, registrar, own, domain, false).over(message, remote.map(|it| it.ip()))
        });
        is_done = veil.is_some() || !is_outside;
        let source = network.remote(back);
        Back { request: request.as_ref(), source, restores_vias: is_masked, veil }.write(message, out);
    });
    kept.into_iter().for_each(|kept| stack.store.release(kept));
    // The way back is gone, and so nobody waits.
    frozen.and_then(|bytes| {
        if is_done {
            return Some(bytes);
        }
        stack.store.release(bytes);
        None
    })
}

/// What is made of an answer.
struct Back<'a, 'm> {
    /// The request as it came.
    request: Option<&'a Message<'m>>,
    /// Where it came from.
    source: Option<SocketAddr>,
    /// Whether its Via fields were taken off.
    restores_vias: bool,
    /// What is hidden from who asked.
    veil: Option<Veil<'a>>,
}

impl Back<'_, '_> {
    fn write(&self, answer: &Message<'_>, out: &mut Writer<'_>) {
        let bytes = answer.bytes();
        let Some(essentials) = answer.essentials() else { return };
        let restored = self.request.and_then(|request| request.essentials());
        let mut at = 0;
        if let Some(veil) = &self.veil {
            let line = answer.fields().next().map_or(0, |field| field.line.start);
            veil.address_changes(bytes, 0..line, |range, change| {
                out.put(bytes.get(at..range.start).unwrap_or_default());
                veil.write(&change, out);
                at = range.end;
            });
        }
        let mut is_top = true;
        for field in answer.fields() {
            let is_top_via = field.name == Name::Via && core::mem::take(&mut is_top);
            match (field.name, self.request, restored) {
                (Name::Via, Some(request), _) if self.restores_vias => {
                    out.put(bytes.get(at..field.line.start).unwrap_or_default());
                    at = field.line.end;
                    if is_top_via {
                        write_vias(request, self.source, out);
                    }
                }
                (Name::Via, ..) if is_top_via => at = self.without_top(answer, essentials, &field, at, out),
                (Name::CallId | Name::From | Name::To, _, Some(restored)) => {
                    let value = answer.span(field.value);
                    out.put(bytes.get(at..value.start).unwrap_or_default());
                    write_restored(field.name, restored, essentials, out);
                    at = value.end;
                }
                _ => {
                    if let Some(veil) = &self.veil {
                        veil.each_change(answer, &field, |range, change| {
                            out.put(bytes.get(at..range.start).unwrap_or_default());
                            veil.write(&change, out);
                            at = range.end;
                        });
                    }
                }
            }
        }
        out.put(bytes.get(at..answer.head_end()).unwrap_or_default());
        if answer.field(Name::ContentLength).is_none() {
            out.text("Content-Length: ");
            out.number(answer.body().len() as u64);
            out.text("\r\n");
        }
        out.put(bytes.get(answer.head_end()..).unwrap_or_default());
    }

    /// Leaves the topmost Via value out; where to go on.
    fn without_top(
        &self,
        answer: &Message<'_>,
        essentials: &Essentials<'_>,
        field: &Field<'_>,
        at: usize,
        out: &mut Writer<'_>,
    ) -> usize {
        let value = answer.span(field.value);
        let second = answer.values(Name::Via).nth(1).map(|second| answer.span(second));
        let (from, to) = match second.filter(|second| second.end <= value.end) {
            Some(second) => (answer.span(essentials.via.raw).start, second.start),
            None => (field.line.start, field.line.end),
        };
        out.put(answer.bytes().get(at..from).unwrap_or_default());
        to
    }
}

fn write_restored(name: Name, request: &Essentials<'_>, answer: &Essentials<'_>, out: &mut Writer<'_>) {
    match name {
        Name::CallId => out.put(request.call_id),
        Name::From => out.put(request.from.raw),
        _ => {
            out.put(request.to.raw);
            if let (None, Some(tag)) = (request.to.tag(), answer.to.tag()) {
                out.text(";tag=");
                out.put(tag);
            }
        }
    }
}

/// Two answers with challenges as one.
fn join_challenges(kept: &[u8], next: &[u8], out: &mut Writer<'_>) {
    let end = Message::parse(kept).map_or(kept.len(), |kept| kept.head_end());
    out.put(&kept[..end]);
    if let Ok(next) = Message::parse(next) {
        for name in [Name::WwwAuthenticate, Name::ProxyAuthenticate] {
            next.fields_named(name).for_each(|field| out.put(&next.bytes()[field.line]));
        }
    }
    out.put(&kept[end..]);
}
