//! What is sent to devices without anybody asking: an OPTIONS (RFC 3261 §11) that keeps the mapping of a NAT alive, and one
//! that asks a device what it takes when its REGISTER says nothing of that.

use crate::base::limits::NAME_BYTES;
use crate::base::net::PortSet;
use crate::base::text::Writer;
use crate::base::time::Instant;
use crate::home::binding::{Abilities, Binding, Text};
use crate::home::people::People;
use crate::home::proxy::{self, forward};
use crate::home::registrar::{BindingHandle, Registrar};
use crate::sip::branch::{Branch, Kind};
use crate::sip::dialog::RequestHead;
use crate::sip::stack::{Produced, Sending, Stack, Task};
use crate::sip::transaction::client::Owner;
use crate::wire::sip::{Message, Method};

/// So long after a device has registered it is asked: not in the middle of its other requests.
pub const PAUSE_MS: u64 = 500;
/// Bytes of an Accept that are kept.
pub const ACCEPT_BYTES: usize = 160;
/// A device that has not answered after so long is not asked again until it registers anew.
const PATIENCE_MS: u64 = 8_000;

/// Asks a device what it takes.
pub fn ask(now: Instant, stack: &mut Stack, people: &People, handle: BindingHandle, device: &Binding) {
    let Some(flow) = proxy::flow_of(now, stack, device) else { return };
    let (tag, number) = (stack.random.number(), stack.random.number());
    let mut call_id = [0; 16];
    Writer::new(&mut call_id).hex(number, 16);
    let mut local = [0; 4 + 4 + NAME_BYTES];
    let mut out = Writer::new(&mut local);
    out.text("sip:pcs@");
    out.text(&people.model.main.domain);
    let Ok(len) = out.finish() else { return };
    stack.send_own(now, flow, (Owner::Probe, handle.to_bits()), PATIENCE_MS, |store, outgoing, out| {
        let target = device.text(store, Text::Uri);
        let head = RequestHead {
            method: Method::Options,
            outgoing,
            target,
            routes: device.text(store, Text::Path),
            local: &local[..len],
            local_tag: tag,
            remote: forward::request_uri(target),
            remote_tag: b"",
            call_id: &call_id,
            cseq: 1,
        };
        head.write(out);
        out.text("Accept: application/sdp\r\nContent-Length: 0\r\n\r\n");
    });
}

impl Registrar {
    /// A device has answered what it takes, or not: then there is no message.
    pub fn probed(&mut self, stack: &mut Stack, handle: BindingHandle, message: Option<&Message<'_>>) {
        let Some(message) = message.filter(|message| message.status().is_some_and(|status| status >= 200)) else {
            return;
        };
        let Some(binding) = self.get_mut(handle).filter(|binding| !binding.abilities.is_known) else { return };
        binding.abilities = Abilities::allowed(message);
        if !binding.abilities.is_known {
            return;
        }
        binding.learn_accept(stack, message);
        self.mark(stack, handle.index());
        stack.schedule.wake(Task::People.id());
    }

    /// Sends the keep-alive that is due.
    pub fn produce(
        &mut self,
        now: Instant,
        stack: &mut Stack,
        people: &People,
        index: usize,
        credits: PortSet,
        buffer: &mut [u8],
    ) -> Produced<Sending> {
        let Some(handle) = self.bindings.handle_at(index) else { return Produced::Nothing };
        let Some(binding) = self.bindings.get_mut(handle).filter(|binding| binding.is_ping_due) else {
            return Produced::Nothing;
        };
        let (flow, secret) = (binding.flow, stack.random.number());
        let Some(local) = stack.network.local(flow) else { return Produced::Nothing };
        let produced = stack.produce_composed(now, flow, credits, buffer, |stack, out| {
            let uri = binding.text(&stack.store, Text::Uri);
            let uri = &uri[..uri.iter().position(|byte| *byte == b'?').unwrap_or(uri.len())];
            out.text("OPTIONS ");
            out.put(uri);
            out.text(" SIP/2.0\r\nVia: SIP/2.0/UDP ");
            out.socket_address(local);
            out.text(";branch=");
            let branch = Branch { kind: Kind::KeepAlive, handle: handle.to_bits(), secret: secret as u32, routing: 0 };
            branch.write(out);
            out.text(";rport\r\nMax-Forwards: 70\r\nFrom: <sip:pcs@");
            out.text(&people.model.main.domain);
            out.text(">;tag=");
            out.hex(secret >> 32, 8);
            out.text("\r\nTo: <");
            out.put(uri);
            out.text(">\r\nCall-ID: ");
            out.hex(secret, 16);
            out.text("\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n");
        });
        if !matches!(produced, Produced::Blocked) {
            binding.is_ping_due = false;
        }
        produced
    }
}
