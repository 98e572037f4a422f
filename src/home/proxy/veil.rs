//! What leaves the home shows no device's address: topology hiding (RFC 5853 §3.1, RFC 3323 §5 in spirit), without a
//! dialog being kept.
//!
//! The Contact of a device becomes an address of ours with the device's own sealed in it ([`mask`]), so that what comes
//! back to it finds the device again. A Call-ID that names a device is sealed as a whole: inside it is as the device wrote
//! it, outside it is as it was sealed, in Replaces, Join, Target-Dialog and In-Reply-To, too. Addresses in all other fields
//! become our own. Via fields below us come off, which is the caller's work: they come back in the answers, from the request.
//!
//! Leaves alone: Route and Record-Route, which only routers write, bodies, tags, and addresses written otherwise than as
//! addresses (percent-escaped, or as the name of a host).

use core::cell::Cell;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use core::ops::Range;

use heapless::Vec;

use crate::base::random::Random;
use crate::base::store::Store;
use crate::base::text::Writer;
use crate::home::binding::Text;
use crate::home::registrar::Registrar;
use crate::sip::mask::{self, Use};
use crate::sip::own::Own;
use crate::sip::stack::Stack;
use crate::sip::transport::Network;
use crate::wire::sip::{Field, Host, Message, Name, NameAddr, SipUri, Uri, Via, list, same_name};

/// How a request crosses the border of the home.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Crossing {
    /// It does not.
    Within,
    /// It comes in.
    In,
    /// It leaves.
    Out {
        /// Whether its Call-ID was chosen in the home, and so may name a device.
        is_own_call: bool,
    },
}

/// What one who is outside does not get to see of the home, and what he sees instead.
pub struct Veil<'a> {
    /// The lasting key.
    pub random: &'a Random,
    /// Our networks.
    pub network: &'a Network,
    /// The bindings' texts.
    pub store: &'a Store,
    /// The devices.
    pub registrar: &'a Registrar,
    /// Our end of the way out.
    pub own: Own<'a>,
    /// Our domain.
    pub domain: &'a str,
    /// Whether Call-IDs were chosen in the home, and so may name a device.
    pub is_own_call: bool,
    /// Addresses that the message itself says are the device's.
    known: Vec<IpAddr, KNOWN>,
    /// How many more addresses are looked for among the devices.
    patience: Cell<u8>,
}

/// More addresses of one device than it has.
const KNOWN: usize = 8;
/// Addresses of a message that are looked for among the devices, one by one. Of more than that, which only somebody writes
/// who wants to keep us busy, all that are not ours are hidden.
const PATIENCE: u8 = 64;

/// A part of a message that is written otherwise.
pub enum Change<'m> {
    /// A Contact value, with its URI sealed.
    Contact(NameAddr<'m>),
    /// A Contact value nobody can read: ours without a user.
    Unreadable,
    /// A Call-ID, sealed.
    CallId(&'m [u8]),
    /// An address of a device; ours instead, with or without a port.
    Address {
        /// Whether there is a port.
        has_port: bool,
    },
}

impl<'a> Veil<'a> {
    /// A veil.
    #[allow(clippy::too_many_arguments, reason = "what a veil is made of")]
    pub fn new(
        random: &'a Random,
        network: &'a Network,
        store: &'a Store,
        registrar: &'a Registrar,
        own: Own<'a>,
        domain: &'a str,
        is_own_call: bool,
    ) -> Self {
        Self {
            random,
            network,
            store,
            registrar,
            own,
            domain,
            is_own_call,
            known: Vec::new(),
            patience: Cell::new(PATIENCE),
        }
    }

    /// The veil over a request that leaves, from a device at `source`; none over any other.
    #[allow(clippy::too_many_arguments, reason = "what a veil is made of")]
    pub fn of(
        crossing: Crossing,
        stack: &'a Stack,
        registrar: &'a Registrar,
        own: Own<'a>,
        domain: &'a str,
        message: &Message<'_>,
        source: IpAddr,
    ) -> Option<Self> {
        let Crossing::Out { is_own_call } = crossing else { return None };
        let Stack { random, network, store, .. } = stack;
        let veil = Self::new(random, network, store, registrar, own, domain, is_own_call);
        Some(veil.over(message, Some(source)))
    }

    /// The same, over a message that came from a device at `remote` and names its addresses in Contact, and a request's in
    /// Via.
    pub fn over(mut self, message: &Message<'_>, remote: Option<IpAddr>) -> Self {
        let mut add = |ip: Option<IpAddr>| {
            if let Some(ip) = ip.map(|ip| ip.to_canonical())
                && !self.known.contains(&ip)
            {
                let _ = self.known.push(ip);
            }
        };
        add(remote);
        if message.status().is_none() {
            for via in message.values(Name::Via).filter_map(|value| Via::parse(value).ok()) {
                add(via.host.ip());
                add(via.received());
            }
        }
        if !is_redirection(message) {
            let contacts = message.values(Name::Contact).filter_map(|value| NameAddr::parse(value).ok());
            contacts.for_each(|contact| add(sip_uri(&contact).and_then(|uri| uri.host.ip())));
        }
        self
    }

    /// Gives what changes in a field: where in the message, in order, and what comes there.
    pub fn each_change<'m>(
        &self,
        message: &Message<'m>,
        field: &Field<'m>,
        mut change: impl FnMut(Range<usize>, Change<'m>),
    ) {
        let whole = message.span(field.value);
        match field.name {
            Name::Via | Name::Route | Name::RecordRoute | Name::CSeq | Name::MaxForwards | Name::MaxBreadth => {}
            Name::ContentLength | Name::ContentType | Name::Allow | Name::Supported | Name::Accept => {}
            Name::Contact => self.contact_changes(message, field.value, change),
            Name::CallId if self.is_own_call => {
                if self.names_a_device(field.value) {
                    change(whole, Change::CallId(field.value));
                }
            }
            Name::CallId => {}
            // A tag is how the other end knows the dialog.
            Name::From | Name::To => {
                let end = NameAddr::parse(field.value)
                    .map_or(whole.end, |address| whole.end.saturating_sub(address.params.raw().len()));
                self.address_changes(message.bytes(), whole.start..end, change);
            }
            _ => {
                let mut at = whole.start;
                for call_id in call_ids(field) {
                    let span = message.span(call_id);
                    self.address_changes(message.bytes(), at..span.start, &mut change);
                    if self.is_of_a_device(call_id) {
                        change(span.clone(), Change::CallId(call_id));
                    }
                    at = span.end;
                }
                self.address_changes(message.bytes(), at..whole.end, change);
            }
        }
    }

    /// Gives where a text has addresses of devices.
    pub fn address_changes<'m>(
        &self,
        bytes: &[u8],
        within: Range<usize>,
        mut change: impl FnMut(Range<usize>, Change<'m>),
    ) {
        let mut at = within.start;
        let text = bytes.get(..within.end).unwrap_or_default();
        while let Some(mut found) = next_address(text, at, |ip| self.is_hidden(ip)) {
            if found.start > within.start && text[found.start - 1] == b'[' && text.get(found.end) == Some(&b']') {
                found = found.start - 1..found.end + 1;
            }
            let digits = match text.get(found.end..) {
                Some([b':', rest @ ..]) => rest.iter().take_while(|byte| byte.is_ascii_digit()).count(),
                _ => 0,
            };
            if digits > 0 {
                found.end += 1 + digits;
            }
            at = found.end;
            change(found, Change::Address { has_port: digits > 0 });
        }
    }

    /// Writes what comes instead of a part. What can't be said is noted by the writer as what did not fit.
    pub fn write(&self, change: &Change<'_>, out: &mut Writer<'_>) {
        match change {
            Change::Contact(contact) => self.write_contact(contact, out),
            Change::Unreadable => {
                out.text("<");
                self.write_uri(false, b"", out);
                out.text(">");
            }
            Change::CallId(call_id) => {
                if !mask::write(self.random, Use::CallId, call_id, out) {
                    // The writer notes it.
                    out.patch(out.len(), &[0]);
                }
            }
            Change::Address { has_port: true } => self.own.write_host(out),
            Change::Address { has_port: false } => match self.own.name {
                Some(name) => out.text(name),
                None => out.host(self.own.address.ip()),
            },
        }
    }

    fn contact_changes<'m>(
        &self,
        message: &Message<'m>,
        value: &'m [u8],
        mut change: impl FnMut(Range<usize>, Change<'m>),
    ) {
        for value in list(value).filter(|value| *value != b"*") {
            let span = message.span(value);
            let Ok(contact) = NameAddr::parse(value) else {
                change(span, Change::Unreadable);
                continue;
            };
            match contact.parsed_uri() {
                // The caller is told of somewhere else.
                Ok(Uri::Sip(uri)) if is_redirection(message) && !uri.host.ip().is_some_and(|ip| self.is_hidden(ip)) => {
                    self.address_changes(message.bytes(), span, &mut change);
                }
                Ok(Uri::Sip(_)) => change(span, Change::Contact(contact)),
                Ok(Uri::Tel(_) | Uri::Other { .. }) => self.address_changes(message.bytes(), span, &mut change),
                Err(_) => change(span, Change::Unreadable),
            }
        }
    }

    fn write_contact(&self, contact: &NameAddr<'_>, out: &mut Writer<'_>) {
        let shows = |text: &[u8]| next_address(text, 0, |ip| self.is_hidden(ip)).is_some();
        if let Some(display) = contact.display.filter(|display| !display.is_empty() && !shows(display)) {
            out.put(display);
            out.text(" ");
        }
        out.text("<");
        self.write_uri(sip_uri(contact).is_some_and(|uri| uri.secure), contact.uri, out);
        out.text(">");
        for (name, value) in contact.params.iter() {
            if NAMING.iter().any(|naming| name.eq_ignore_ascii_case(naming)) || value.is_some_and(shows) {
                continue;
            }
            out.text(";");
            out.put(name);
            if let Some(value) = value {
                out.text("=");
                out.put(value);
            }
        }
    }

    /// Writes our address with another sealed in it; without, when that is too long: then a dialog comes back by its
    /// tokens alone.
    fn write_uri(&self, is_secure: bool, inside: &[u8], out: &mut Writer<'_>) {
        out.text(if is_secure { "sips:" } else { "sip:" });
        if !inside.is_empty() && mask::write(self.random, Use::Contact, inside, out) {
            out.text("@");
        }
        self.own.write_host(out);
        if self.own.transport.is_reliable() {
            out.text(";transport=");
            out.text(self.own.transport.parameter());
        }
    }

    /// Whether an address is one of the home's devices.
    fn is_hidden(&self, ip: IpAddr) -> bool {
        let ip = ip.to_canonical();
        if self.network.is_own_ip(ip) {
            return false;
        }
        let is_at = |flow| self.network.remote(flow).is_some_and(|remote| remote.ip().to_canonical() == ip);
        if self.known.contains(&ip) || self.network.is_within(ip) || self.patience.get() == 0 {
            return true;
        }
        self.patience.set(self.patience.get() - 1);
        self.registrar.iter().any(|(_, device)| {
            is_at(device.flow)
                || is_at(device.source)
                || Uri::parse(device.text(self.store, Text::Uri))
                    .is_ok_and(|uri| uri.sip().and_then(|uri| uri.host.ip()) == Some(ip))
        })
    }

    /// Whether a Call-ID chosen in the home may say where: by a host behind an `@`, as many phones write, or an address
    /// anywhere.
    fn names_a_device(&self, call_id: &[u8]) -> bool {
        match host_of(call_id) {
            Some(host) => !same_name(host, self.domain.as_bytes()),
            None => next_address(call_id, 0, |ip| self.is_hidden(ip)).is_some(),
        }
    }

    /// Whether a Call-ID that either side may have chosen is a device's: the host in it can be no one else's.
    fn is_of_a_device(&self, call_id: &[u8]) -> bool {
        let ends = |name: &[u8], end: &[u8]| {
            name.len().checked_sub(end.len()).is_some_and(|from| name[from..].eq_ignore_ascii_case(end))
        };
        let is_local = |name: &[u8]| !name.contains(&b'.') || LOCAL_NAMES.iter().any(|local| ends(name, local));
        next_address(call_id, 0, |ip| self.is_hidden(ip)).is_some()
            || host_of(call_id).and_then(Host::parse).is_some_and(|host| match host {
                Host::Name(name) => is_local(name) && !same_name(name, self.domain.as_bytes()),
                Host::V4(_) | Host::V6(_) => false,
            })
    }
}

/// Parameters of a Contact that name the device: its serial number, and addresses that mean it everywhere (RFC 5626,
/// RFC 5627).
const NAMING: [&[u8]; 5] = [b"+sip.instance", b"reg-id", b"pub-gruu", b"temp-gruu", b"received"];

/// How names end that mean a host on a home's own network.
const LOCAL_NAMES: [&[u8]; 5] = [b".local", b".lan", b".localdomain", b".internal", b".home.arpa"];

/// The Call-IDs in a field that names other dialogs; none in any other.
fn call_ids<'b>(field: &Field<'b>) -> impl Iterator<Item = &'b [u8]> + use<'b> {
    let is = |name: &[u8]| field.raw_name.eq_ignore_ascii_case(name);
    let names_one = field.name == Name::Replaces || field.name == Name::Other && (is(b"Join") || is(b"Target-Dialog"));
    let names_many = field.name == Name::Other && is(b"In-Reply-To");
    let value = if names_one || names_many { field.value } else { b"" };
    let end = value.iter().position(|byte| names_one && *byte == b';').unwrap_or(value.len());
    list(&value[..end]).map(|call_id| call_id.trim_ascii())
}

/// Has what comes in name Call-IDs as they are in the home.
pub fn unveil<'m>(random: &Random, message: &Message<'m>, mut change: impl FnMut(Range<usize>, &[u8])) {
    let mut room = mask::ROOM;
    let named = [Name::CallId, Name::Replaces, Name::Other].into_iter().flat_map(|name| message.fields_named(name));
    for field in named {
        let own = (field.name == Name::CallId).then_some(field.value);
        for call_id in own.into_iter().chain(call_ids(&field)) {
            if let Some(plain) = mask::read(random, Use::CallId, call_id, &mut room) {
                change(message.span(call_id), plain);
            }
        }
    }
}

/// The address of a device that an address of ours hides.
pub fn unveiled<'o>(random: &Random, uri: &[u8], room: &'o mut mask::Room) -> Option<&'o [u8]> {
    // Before anything is read: hardly any address is one.
    let colon = uri.iter().position(|byte| *byte == b':')?;
    if !mask::is_mask(&uri[colon + 1..]) {
        return None;
    }
    let uri = Uri::parse(uri).ok()?;
    mask::read(random, Use::Contact, uri.sip()?.user?, room)
}

/// Whether a text has any address in it.
pub fn has_address(text: &[u8]) -> bool {
    next_address(text, 0, |_| true).is_some()
}

fn sip_uri<'b>(address: &NameAddr<'b>) -> Option<SipUri<'b>> {
    address.parsed_uri().ok()?.sip().copied()
}

fn host_of(call_id: &[u8]) -> Option<&[u8]> {
    let at = call_id.iter().rposition(|byte| *byte == b'@')?;
    let host = &call_id[at + 1..];
    // One with a port as well.
    let end = match host.first() {
        Some(b'[') => host.iter().position(|byte| *byte == b']').map_or(host.len(), |end| end + 1),
        _ => host.iter().position(|byte| *byte == b':').unwrap_or(host.len()),
    };
    Some(&host[..end])
}

/// An answer that tells of other addresses (§21.3, 485).
fn is_redirection(message: &Message<'_>) -> bool {
    matches!(message.status(), Some(300..=399 | 485))
}

/// The next address that is to be hidden in a text, from an offset on.
fn next_address(text: &[u8], from: usize, is_hidden: impl Fn(IpAddr) -> bool) -> Option<Range<usize>> {
    let is_part = |byte: &u8| byte.is_ascii_hexdigit() || matches!(byte, b'.' | b':');
    let mut at = from;
    while let Some(byte) = text.get(at) {
        if !is_part(byte) {
            at += 1;
            continue;
        }
        let end = at + text[at..].iter().take_while(|byte| is_part(byte)).count();
        if let Some(found) = ipv6_in(text, at..end, &is_hidden).or_else(|| ipv4_in(text, at..end, &is_hidden)) {
            return Some(found);
        }
        at = end;
    }
    None
}

/// An IPv6 address that is all of a run of hexadecimal digits, dots and colons, but for a colon before or after it.
fn ipv6_in(text: &[u8], mut run: Range<usize>, is_hidden: &impl Fn(IpAddr) -> bool) -> Option<Range<usize>> {
    let has_two = text[run.clone()].iter().filter(|byte| **byte == b':').nth(1).is_some();
    if !has_two || run.len() > 48 {
        return None;
    }
    if text[run.start] == b':' && text.get(run.start + 1) != Some(&b':') {
        run.start += 1;
    }
    while run.len() > 2 && matches!(text[run.end - 1], b'.' | b':') && text[run.end - 2] != b':' {
        run.end -= 1;
    }
    let address: Ipv6Addr = core::str::from_utf8(&text[run.clone()]).ok()?.parse().ok()?;
    is_hidden(IpAddr::V6(address)).then_some(run)
}

/// The first IPv4 address in a run of hexadecimal digits, dots and colons.
fn ipv4_in(text: &[u8], run: Range<usize>, is_hidden: &impl Fn(IpAddr) -> bool) -> Option<Range<usize>> {
    run.clone().find_map(|start| {
        let is_begin = text[start].is_ascii_digit() && (start == run.start || !text[start - 1].is_ascii_digit());
        let (address, len) = is_begin.then(|| ipv4(&text[start..run.end]))??;
        is_hidden(IpAddr::V4(address)).then_some(start..start + len)
    })
}

/// The four numbers at the begin of a text, and how many characters they are.
fn ipv4(text: &[u8]) -> Option<(Ipv4Addr, usize)> {
    let (mut octets, mut at) = ([0; 4], 0);
    for (index, octet) in octets.iter_mut().enumerate() {
        if index > 0 {
            (text.get(at)? == &b'.').then_some(())?;
            at += 1;
        }
        let digits = text[at..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        // Zeros before it do not make it another address.
        let number = text[at..at + digits]
            .iter()
            .try_fold(0u8, |number, digit| number.checked_mul(10)?.checked_add(digit - b'0'))?;
        (digits > 0).then_some(())?;
        *octet = number;
        at += digits;
    }
    Some((Ipv4Addr::from(octets), at))
}
