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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::limits::STATELESS_BYTES;
    use crate::base::net::{LocalAddress, Transport};
    use crate::base::random::Random;
    use crate::base::store::Store;
    use crate::home::registrar::Registrar;
    use crate::sip::transport::Network;
    use std::boxed::Box;
    use std::string::String;

    const REQUEST: &str = "INVITE sip:carl@other.test SIP/2.0\r\nVia: SIP/2.0/UDP 192.168.1.10:5060;rport;branch=z9hG4bK1\r\n\
        v: SIP/2.0/UDP 10.9.8.7;branch=z9hG4bK0\r\nFrom: <sip:alice@home.example>;tag=1\r\n\
        To: \"Carl\"\r\n <sip:carl@other.test>\r\nCall-ID: a@192.168.1.10\r\nCSeq: 1 INVITE\r\nMax-Forwards: 70\r\n\
        Content-Length: 0\r\n\r\n";

    /// What an answer becomes, to who asked from `source`; with a veil to who is outside.
    fn back(answer: &str, request: Option<&str>, is_outside: bool, source: &str) -> String {
        let mut network = Network::new();
        let local = LocalAddress { ip: "192.168.1.1".parse().unwrap(), prefix: 24, default_route: false };
        network.set_addresses(&[local], |_| {});
        let (store, registrar): (Box<Store>, _) = (Box::new(Store::new()), Box::new(Registrar::new()));
        let (random, answer) = (Random::new(), Message::parse(answer.as_bytes()).unwrap());
        assert_eq!(answer.fault(), None);
        let own = Own { transport: Transport::Udp, address: "192.0.2.1:5060".parse().unwrap(), name: None };
        let veil = is_outside.then(|| {
            let veil = Veil::new(&random, &network, &store, &registrar, own, "home.example", false);
            veil.over(&answer, Some("192.168.1.10".parse().unwrap()))
        });
        let request = request.map(|request| Message::parse(request.as_bytes()).unwrap());
        let restores_vias = request.is_some();
        let back = Back { request: request.as_ref(), source: source.parse().ok(), restores_vias, veil };
        let mut buffer = [0; STATELESS_BYTES];
        let mut out = Writer::new(&mut buffer);
        back.write(&answer, &mut out);
        let len = out.finish().unwrap();
        String::from_utf8(buffer[..len].to_vec()).unwrap()
    }

    #[test]
    fn what_was_hidden_comes_back() {
        let answer = "SIP/2.0 200 OK\r\nf: <sip:alice@home.example>;tag=1\r\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKp,\r\n \
            SIP/2.0/UDP 9.9.9.9\r\nTo: <sip:carl@other.test>;tag=2\r\nVia: SIP/2.0/UDP 8.8.8.8\r\ni: m1-hidden\r\nCSeq: 1 INVITE\r\n\
            Contact: <sip:carl@198.51.100.21>\r\n\r\nbody";
        assert_eq!(
            back(answer, Some(REQUEST), false, "192.168.1.10:4444"),
            "SIP/2.0 200 OK\r\nf: <sip:alice@home.example>;tag=1\r\n\
             Via: SIP/2.0/UDP 192.168.1.10:5060;rport=4444;branch=z9hG4bK1;received=192.168.1.10\r\n\
             Via: SIP/2.0/UDP 10.9.8.7;branch=z9hG4bK0\r\nTo: \"Carl\"\r\n <sip:carl@other.test>;tag=2\r\n\
             i: a@192.168.1.10\r\nCSeq: 1 INVITE\r\nContact: <sip:carl@198.51.100.21>\r\nContent-Length: 4\r\n\r\nbody"
        );
    }

    #[test]
    fn what_is_hidden_from_who_asks_outside() {
        let answer = "SIP/2.0 302 Try 192.168.1.10\r\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKp, SIP/2.0/UDP 9.9.9.9\r\n\
            From: <sip:carl@other.test>;tag=1\r\nTo: <sip:alice@home.example>;tag=2\r\nCall-ID: c@9.9.9.9\r\nCSeq: 1 INVITE\r\n\
            Contact: <sip:bob@192.168.1.30>;q=1, <sip:alice@work.example>\r\nWarning: 399 192.168.1.10:5060 \"x\"\r\n\
            Content-Length: 0\r\n\r\n";
        let text = back(answer, None, true, "9.9.9.9:5060");
        assert!(text.starts_with("SIP/2.0 302 Try 192.0.2.1\r\nVia: SIP/2.0/UDP 9.9.9.9\r\nFrom: "), "{text}");
        assert!(text.contains("Call-ID: c@9.9.9.9\r\n") && text.contains(", <sip:alice@work.example>\r\n"), "{text}");
        assert!(text.contains("Contact: <sip:m1-") && text.contains("@192.0.2.1:5060>;q=1,"), "{text}");
        assert!(text.contains("Warning: 399 192.0.2.1:5060 \"x\"\r\n") && !text.contains("192.168"), "{text}");
    }
}
