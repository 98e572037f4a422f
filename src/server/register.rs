//! REGISTER (RFC 3261 §10.3): proven, carried out, and answered when it is durable.

use super::Core;
use super::requests::Incoming;
use crate::base::net::Flow;
use crate::base::text::Writer;
use crate::base::time::Instant;
use crate::home::identity::{self, Identity};
use crate::home::registrar::Registrar;
use crate::sip::stack::tag_of;
use crate::wire::sip::response::{self, Head};
use crate::wire::sip::{Message, Name, NameAddr, Uri, date};

/// Option tags a REGISTER may require.
const REGISTRAR_TAGS: [&[u8]; 2] = [b"path", b"outbound"];

impl Core {
    /// A REGISTER for our domain.
    pub(super) fn register(&mut self, now: Instant, incoming: Incoming<'_, '_>) {
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
}

/// What the answer to a REGISTER has of its own, at most: the Contacts, and as much again for Path and the rest.
const REGISTERED_BYTES: usize = 2 * CONTACTS_BYTES;
const CONTACTS_BYTES: usize = 4096;
