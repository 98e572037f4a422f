//! The home speaks to its people: a MESSAGE (RFC 3428) from `sip:pcs@DOMAIN` to each of a person's devices that takes text.
//!
//! Nothing is kept for who is away: whoever calls says again what still counts when a device comes back.

use heapless::Vec;

use crate::base::limits::BINDINGS_PER_PERSON;
use crate::base::net::Flow;
use crate::base::text::Writer;
use crate::base::time::Instant;
use crate::home::binding::Text;
use crate::home::proxy::{self, Around};
use crate::home::registrar::BindingHandle;
use crate::sip::dialog::RequestHead;
use crate::sip::transaction::client::Owner;
use crate::wire::sip::Method;

/// A device that has not taken a word after so long counts as not there.
const PATIENCE_MS: u64 = 8_000;
/// Bytes of what is said at most.
pub const WORD_BYTES: usize = 1_000;

/// Says something to a person: on the device that a flow leads to, if it is one of hers, else on all that take messages.
/// To how many it is on its way.
pub fn tell(now: Instant, around: &mut Around<'_>, person: usize, flow: Option<Flow>, text: &str) -> usize {
    let takes = |handle: &BindingHandle| {
        around.registrar.get(*handle).is_some_and(|device| device.abilities.takes(Method::Message))
    };
    let own = flow.and_then(|flow| around.registrar.of(person).find(|(_, device)| device.source == flow));
    let devices: Vec<BindingHandle, BINDINGS_PER_PERSON> = match own {
        Some((handle, _)) => Vec::from_iter([handle]),
        None => around.registrar.of(person).map(|(handle, _)| handle).filter(takes).take(BINDINGS_PER_PERSON).collect(),
    };
    devices.into_iter().filter(|device| send(now, around, person, *device, text).is_some()).count()
}

fn send(now: Instant, around: &mut Around<'_>, person: usize, handle: BindingHandle, text: &str) -> Option<()> {
    let Around { stack, registrar, people } = around;
    let device = registrar.get(handle)?;
    let flow = proxy::flow_of(now, stack, device)?;
    let model = &people.model;
    let id = model.people.get(person)?.id.as_str();
    let (tag, number) = (stack.random.number(), stack.random.number());
    let (mut local, mut remote, mut call_id) = ([0; 128], [0; 192], [0; 16]);
    let address = |user: &str, room: &mut [u8]| {
        let mut out = Writer::new(room);
        out.text("sip:");
        out.text(user);
        out.text("@");
        out.text(&model.main.domain);
        out.finish().ok()
    };
    let (local_len, remote_len) = (address("pcs", &mut local)?, address(id, &mut remote)?);
    let mut out = Writer::new(&mut call_id);
    out.hex(number, 16);
    out.finish().ok()?;
    stack.send_own(now, flow, (Owner::Word, handle.to_bits()), PATIENCE_MS, |store, outgoing, out| {
        let head = RequestHead {
            method: Method::Message,
            outgoing,
            target: device.text(store, Text::Uri),
            routes: device.text(store, Text::Path),
            local: &local[..local_len],
            local_tag: tag,
            remote: &remote[..remote_len],
            remote_tag: b"",
            call_id: &call_id,
            cseq: 1,
        };
        head.write(out);
        out.text("Content-Type: text/plain;charset=UTF-8\r\nContent-Length: ");
        out.number(text.len() as u64);
        out.text("\r\n\r\n");
        out.text(text);
    })?;
    Some(())
}
