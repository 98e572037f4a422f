//! What the home says by itself: MESSAGEs (RFC 3428) to devices of its people, from `sip:pcs@DOMAIN` or in somebody's name,
//! and the answer to somebody who has written to a person who is away.
//!
//! Nothing is kept for who is away: whoever calls says again what still counts when a device comes back.

use heapless::{String, Vec};

use crate::base::limits::BINDINGS_PER_PERSON;
use crate::base::net::Flow;
use crate::base::text::Writer;
use crate::base::time::Instant;
use crate::home::binding::Text;
use crate::home::people::People;
use crate::home::proxy::{self, Around};
use crate::home::registrar::BindingHandle;
use crate::sip::dialog::RequestHead;
use crate::sip::stack::Stack;
use crate::sip::transaction::client::Owner;
use crate::wire::sip::Method;

/// A device that has not taken a word after so long counts as not there.
const PATIENCE_MS: u64 = 8_000;
/// Bytes of what is said at most.
pub const WORD_BYTES: usize = 1_000;
/// Bytes of an address of ours as a URI.
pub const OWN_URI_BYTES: usize = 144;
/// The type of most of what is said.
pub const PLAIN: &str = "text/plain;charset=UTF-8";
/// Tells programs that another has written it, so that none answers (RFC 5436 §2.9.4, in the sense of RFC 3834).
pub const AUTOMATIC: &str = "Auto-Submitted: auto-replied\r\n";

/// Something that is said.
#[derive(Clone, Copy, Debug)]
pub struct Word<'a> {
    /// Who says it: a URI.
    pub from: &'a [u8],
    /// Whom it is for: a URI.
    pub to: &'a [u8],
    /// Header fields of its own, each with its line end.
    pub fields: &'a str,
    /// Its media type.
    pub content_type: &'a [u8],
    /// What is said.
    pub body: &'a [u8],
}

/// The URI of a name at our domain.
pub fn own_uri(people: &People, user: &str) -> Option<String<OWN_URI_BYTES>> {
    let mut uri = String::new();
    for part in ["sip:", user, "@", people.model.main.domain.as_str()] {
        uri.push_str(part).ok()?;
    }
    Some(uri)
}

/// Says something to a person: on the device that a flow leads to, if it is one of hers, else on all that take messages.
/// To how many it is on its way.
pub fn tell(now: Instant, around: &mut Around<'_>, person: usize, flow: Option<Flow>, text: &str) -> usize {
    tell_as(now, around, person, flow, text, (Owner::Word, NOBODY))
}

/// [`tell`], where the answers are for `owner`; those to a plain word tell which device is there.
pub fn tell_as(
    now: Instant,
    around: &mut Around<'_>,
    person: usize,
    flow: Option<Flow>,
    text: &str,
    (owner, object): (Owner, u32),
) -> usize {
    let Some((from, to)) = own_uri(around.people, "pcs").zip(address(around.people, person)) else { return 0 };
    let word = Word {
        from: from.as_bytes(),
        to: to.as_bytes(),
        fields: "",
        content_type: PLAIN.as_bytes(),
        body: text.as_bytes(),
    };
    let devices = devices(around, person, flow);
    let object = |device: &BindingHandle| if owner == Owner::Word { device.to_bits() } else { object };
    devices.into_iter().filter(|device| send(now, around, *device, &word, (owner, object(device)))).count()
}

/// The address of a person.
pub fn address(people: &People, person: usize) -> Option<String<OWN_URI_BYTES>> {
    own_uri(people, &people.model.people.get(person)?.id)
}

/// The devices of a person that something is said to: the one that a flow leads to, if it is one of hers, else all that
/// take messages.
pub fn devices(around: &Around<'_>, person: usize, flow: Option<Flow>) -> Vec<BindingHandle, BINDINGS_PER_PERSON> {
    let takes = |handle: &BindingHandle| {
        around.registrar.get(*handle).is_some_and(|device| device.abilities.takes(Method::Message))
    };
    let own = flow.and_then(|flow| around.registrar.of(person).find(|(_, device)| device.source == flow));
    match own {
        Some((handle, _)) => Vec::from_iter([handle]),
        None => around.registrar.of(person).map(|(handle, _)| handle).filter(takes).take(BINDINGS_PER_PERSON).collect(),
    }
}

/// Says something on a device; its answer is for `owner`. Whether it is on its way.
pub fn send(
    now: Instant,
    around: &mut Around<'_>,
    handle: BindingHandle,
    word: &Word<'_>,
    owner: (Owner, u32),
) -> bool {
    let Around { stack, registrar, .. } = around;
    let Some(device) = registrar.get(handle) else { return false };
    let Some(flow) = proxy::flow_of(now, stack, device) else { return false };
    let (tag, number) = (stack.random.number(), stack.random.number());
    let sent = stack.send_own(now, flow, owner, PATIENCE_MS, |store, outgoing, out| {
        let (target, routes) = (device.text(store, Text::Uri), device.text(store, Text::Path));
        let call_id = call_id(number);
        head(word, (target, routes), (tag, &call_id), outgoing).write(out);
        write_content(word, out);
    });
    sent.is_some()
}

/// Answers somebody, whoever it is, on the way that he came: whether it is on its way. Nothing else is asked for him,
/// neither a name nor a connection.
pub fn answer(now: Instant, stack: &mut Stack, flow: Flow, word: &Word<'_>) -> bool {
    let (tag, number) = (stack.random.number(), stack.random.number());
    let sent = stack.send_own(now, flow, (Owner::Word, NOBODY), PATIENCE_MS, |_, outgoing, out| {
        let call_id = call_id(number);
        head(word, (word.to, b""), (tag, &call_id), outgoing).write(out);
        write_content(word, out);
    });
    sent.is_some()
}

/// No device.
const NOBODY: u32 = u32::MAX;

fn call_id(number: u64) -> [u8; 16] {
    let mut call_id = [0; 16];
    Writer::new(&mut call_id).hex(number, 16);
    call_id
}

fn head<'a>(
    word: &Word<'a>,
    (target, routes): (&'a [u8], &'a [u8]),
    (local_tag, call_id): (u64, &'a [u8; 16]),
    outgoing: &'a crate::sip::own::Outgoing<'a>,
) -> RequestHead<'a> {
    RequestHead {
        method: Method::Message,
        outgoing,
        target,
        routes,
        local: word.from,
        local_tag,
        remote: word.to,
        remote_tag: b"",
        call_id,
        cseq: 1,
    }
}

fn write_content(word: &Word<'_>, out: &mut Writer<'_>) {
    out.text(word.fields);
    out.text("Content-Type: ");
    out.put(word.content_type);
    out.text("\r\nContent-Length: ");
    out.number(word.body.len() as u64);
    out.text("\r\n\r\n");
    out.put(word.body);
}
