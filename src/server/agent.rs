//! What the presence agent is asked by SIP: SUBSCRIBE (RFC 6665, RFC 4662, RFC 5367), PUBLISH (RFC 3903), and the NOTIFYs
//! that come in, those of the home's own subscriptions and those that devices send straight to watchers.
//!
//! A SUBSCRIBE to a person for a package that is not ours goes to her devices, as any other request does.

use heapless::String;

use super::Core;
use super::requests::{Incoming, Place};
use crate::base::store::Bytes;
use crate::base::text::Writer;
use crate::base::time::Instant;
use crate::home::people::LIST_SUFFIX;
use crate::home::policy::{Asker, Assurance, Decision};
use crate::home::presence::list::write_line;
use crate::home::presence::publication::{self, Change};
use crate::home::presence::watch::{MOST_EXPIRES_S, Package, Progress, Subject};
use crate::home::presence::{Request, Wanted, watched};
use crate::home::registrar::Refused;
use crate::sip::dialog;
use crate::sip::own::Own;
use crate::sip::stack::Task;
use crate::wire::pidf::{self, Format, Status};
use crate::wire::sip::response::{self, Head};
use crate::wire::sip::{Event, Fault, Message, Method, Name, delta_seconds};
use crate::wire::{multipart, resource_lists};

/// Bytes of a body once it is inflated.
pub(super) const INFLATED_BYTES: usize = 16 * 1024;
/// The packages, for who asks for another.
pub(super) const ALLOW_EVENTS: &str = "Allow-Events: presence, presence.winfo, message-summary\r\n";
/// Shortest life of a watch that is accepted.
const LEAST_EXPIRES_S: u32 = 60;
const TOO_BRIEF: &str = "Min-Expires: 60\r\n";
const LIST_TAG: &[u8] = b"recipient-list-subscribe";
/// Option tags a SUBSCRIBE may require.
const SUBSCRIBE_TAGS: [&[u8]; 2] = [LIST_TAG, b"eventlist"];
const DEFAULT_EXPIRES_S: u32 = 3_600;

impl Core {
    /// Takes a request that the presence agent answers itself. Whether it was one.
    pub(super) fn ask_agent(&mut self, now: Instant, incoming: &Incoming<'_, '_>, place: &Place<'_>) -> bool {
        let is_in_dialog = incoming.essentials.to.tag().is_some();
        match (incoming.method, place) {
            (Method::Subscribe, Place::Server) if is_in_dialog => self.refresh(now, incoming),
            (Method::Subscribe, Place::Server | Place::Person(_) | Place::Nobody | Place::Network) if !is_in_dialog => {
                return self.subscribe(now, incoming, place);
            }
            (Method::Publish, Place::Person(person)) => self.publish(now, incoming, *person),
            (Method::Notify, Place::Server) if self.notified(now, incoming) => {}
            (Method::Notify, Place::Dialog(_) | Place::Unreachable(_)) => return false,
            (Method::Notify, _) if is_presence(incoming.message) => return self.caught(now, incoming),
            _ => return false,
        }
        true
    }

    fn subscribe(&mut self, now: Instant, incoming: &Incoming<'_, '_>, place: &Place<'_>) -> bool {
        let message = incoming.message;
        let event = match message.field(Name::Event).map(|field| Event::parse(field.value)) {
            Some(Ok(event)) => event,
            Some(Err(fault)) => {
                self.refuse(now, incoming, fault.status, fault.reason, "");
                return true;
            }
            None => return self.bad_event(now, incoming, place),
        };
        let Some(package) = Package::from_name(event.package) else { return self.bad_event(now, incoming, place) };
        if message.values(Name::Require).any(|tag| !SUBSCRIBE_TAGS.iter().any(|it| tag.eq_ignore_ascii_case(it))) {
            self.refuse_tags(now, incoming, &[Name::Require], &SUBSCRIBE_TAGS);
            return true;
        }
        let Ok(event_id) =
            core::str::from_utf8(event.id.unwrap_or_default()).map_or(Err(()), |id| id.try_into().or(Err(())))
        else {
            self.refuse(now, incoming, 400, "Event Id Too Long", "");
            return true;
        };
        let Some(asker) = self.asker(now, incoming) else { return true };
        if let Err(refused) = self.begin_watch(now, incoming, place, (asker, package, event_id)) {
            self.refuse_watcher(now, incoming, &asker, &refused);
        }
        true
    }

    /// Refuses who has proven who he is for good, and strangers without keeping anything.
    fn refuse_watcher(&mut self, now: Instant, incoming: &Incoming<'_, '_>, asker: &Asker<'_>, answer: &Refused) {
        match asker.assurance {
            Assurance::Digest => self.answer_for_good(now, incoming, answer),
            _ => self.refuse(now, incoming, answer.fault.status, answer.fault.reason, answer.field),
        }
    }

    fn begin_watch(
        &mut self,
        now: Instant,
        incoming: &Incoming<'_, '_>,
        place: &Place<'_>,
        (asker, package, event_id): (Asker<'_>, Package, String<32>),
    ) -> Result<(), Refused> {
        let Incoming { message, flow, from, .. } = *incoming;
        let expires_s = expires_of(message, DEFAULT_EXPIRES_S).min(MOST_EXPIRES_S);
        if (1..LEAST_EXPIRES_S).contains(&expires_s) {
            return Err(refused(423, "Interval Too Brief", TOO_BRIEF));
        }
        let agent = message.field(Name::UserAgent).map_or(b"".as_slice(), |field| field.value);
        let has_accept = message.field(Name::Accept).is_some();
        let format = match package {
            Package::Presence if has_accept => pidf::choose(message.values(Name::Accept), agent),
            Package::Presence => pidf::choose(core::iter::empty(), agent),
            _ => Some(Format::Pidf),
        };
        let format = format.ok_or(refused(406, "Not Acceptable", ""))?;
        let wanted = self.wanted(incoming, place, &asker, package)?;
        let is_list = matches!(wanted, Wanted::Named | Wanted::Given(_));
        if let Wanted::Person(person) = wanted {
            self.may_watch(incoming, &asker, package, person)?;
        }
        // Before anything is kept: what can't be answered is not begun.
        let Some(server) = self.stack.open_server(now, &incoming.keys, flow, false) else {
            if let Wanted::Given(text) = wanted {
                self.stack.store.release(text);
            }
            self.refuse(now, incoming, 503, "Service Unavailable", "Retry-After: 5\r\n");
            return Ok(());
        };
        let request = Request { message, flow, from, asker, package, wanted, format, expires_s, event_id };
        let (presence, mut around) = self.split_presence();
        let begun = presence.subscribe(now, &mut around, request);
        let id = match begun {
            Ok((handle, id)) => {
                // Only who waits for an answer changes anything for the person: she is told.
                if presence.watches.get(handle).is_some_and(|watch| watch.progress == Progress::Pending) {
                    around.stack.schedule.wake(Task::People.id());
                }
                id
            }
            Err(refused) => {
                self.respond(now, incoming, server, &refused);
                return Ok(());
            }
        };
        self.accept(now, incoming, server, (id, expires_s, is_list));
        Ok(())
    }

    /// Whom or what a SUBSCRIBE is about.
    fn wanted(
        &mut self,
        incoming: &Incoming<'_, '_>,
        place: &Place<'_>,
        asker: &Asker<'_>,
        package: Package,
    ) -> Result<Wanted, Refused> {
        let message = incoming.message;
        let person = asker.proven_person();
        let nobody = refused(404, "Not Found", "");
        if brings_list(message) {
            // To which of our addresses does not matter: clients let their users write what they like.
            if person.is_none() || package != Package::Presence {
                return Err(refused(403, "Lists Are for People of the Home", ""));
            }
            return self.entries(message).map(Wanted::Given).map_err(|fault| Refused { fault, field: "" });
        }
        if message.lists_token(Name::Require, LIST_TAG) {
            return Err(refused(400, "No List in the Request", ""));
        }
        match place {
            Place::Person(person) => Ok(Wanted::Person(*person)),
            Place::Server if person.is_some() && package == Package::Presence => Ok(Wanted::Home),
            Place::Server => Err(nobody),
            Place::Network => {
                let uri = super::requests::request_target(incoming);
                let buddy = person.zip(uri).and_then(|(person, uri)| self.people.buddy_by_address(person, &uri));
                buddy.filter(|_| package == Package::Presence).map(Wanted::Buddy).ok_or(nobody)
            }
            _ => {
                let user = super::requests::request_target(incoming).and_then(|uri| uri.user).unwrap_or_default();
                let Some(person) = person.filter(|_| package == Package::Presence) else { return Err(nobody) };
                if self.people.list_of(&self.stack.random, user) == Some(person) {
                    return match message.lists_token(Name::Supported, b"eventlist") {
                        true => Ok(Wanted::Named),
                        false => Err(refused(421, "Extension Required", "Require: eventlist\r\n")),
                    };
                }
                self.people.buddy(person, user).map(Wanted::Buddy).ok_or(nobody)
            }
        }
    }

    /// Whether somebody may watch a person at all.
    fn may_watch(
        &mut self,
        incoming: &Incoming<'_, '_>,
        asker: &Asker<'_>,
        package: Package,
        person: usize,
    ) -> Result<(), Refused> {
        let is_own = asker.proven_person() == Some(person);
        match package {
            Package::Winfo | Package::Summary if is_own => Ok(()),
            Package::Winfo | Package::Summary => Err(refused(403, "Hers Alone", "")),
            // Who has no address of SIP's can't be answered for.
            Package::Presence if asker.address.is_empty() => Err(refused(403, "No SIP Address in From", "")),
            Package::Presence => {
                let from = incoming.from.ip();
                let (presence, around) = self.split_presence();
                match presence.decide_for(&around, asker, from, person) {
                    Decision::Refuse(status, reason) => Err(refused(status, reason, "")),
                    _ => Ok(()),
                }
            }
        }
    }

    /// A package that is not ours: for a person it goes to her devices; else it is refused.
    fn bad_event(&mut self, now: Instant, incoming: &Incoming<'_, '_>, place: &Place<'_>) -> bool {
        if matches!(place, Place::Person(_)) && incoming.message.field(Name::Event).is_some() {
            return false;
        }
        self.refuse(now, incoming, 489, "Bad Event", ALLOW_EVENTS);
        true
    }

    /// A SUBSCRIBE within a dialog.
    fn refresh(&mut self, now: Instant, incoming: &Incoming<'_, '_>) {
        let Incoming { message, essentials, flow, .. } = *incoming;
        let known = essentials.to.tag().and_then(dialog::id_of).and_then(|id| self.presence.watches.by_id(id));
        let known = known.filter(|handle| {
            self.presence.watches.get(*handle).is_some_and(|watch| watch.dialog.has(&self.stack.store, message))
        });
        let Some(handle) = known else {
            return self.refuse(now, incoming, 481, "Subscription Does Not Exist", "");
        };
        if message.values(Name::Require).any(|tag| !SUBSCRIBE_TAGS.iter().any(|it| tag.eq_ignore_ascii_case(it))) {
            return self.refuse_tags(now, incoming, &[Name::Require], &SUBSCRIBE_TAGS);
        }
        // Another subscription in the same dialog (RFC 6665 §4.5.2) is none of ours.
        let event = message.field(Name::Event).and_then(|field| Event::parse(field.value).ok());
        let about = event.and_then(|event| Some((Package::from_name(event.package)?, event.id.unwrap_or_default())));
        let same = self.presence.watches.get(handle).map(|watch| (watch.package, watch.event_id.as_bytes()));
        match (about, same) {
            (Some(about), Some(same)) if about == same => {}
            (Some((package, _)), Some((same, _))) if package == same => {
                return self.refuse(now, incoming, 481, "Subscription Does Not Exist", "");
            }
            _ => return self.refuse(now, incoming, 489, "Bad Event", ALLOW_EVENTS),
        }
        let Some(asker) = self.asker(now, incoming) else { return };
        let expires_s = expires_of(message, DEFAULT_EXPIRES_S).min(MOST_EXPIRES_S);
        let is_his = self.presence.watches.get(handle).is_some_and(|watch| {
            watch.watcher.map(usize::from) == asker.proven_person() && watch.assurance <= asker.assurance
        });
        // Who only claims a name is known by where he was: from elsewhere it is another.
        let is_there = self
            .presence
            .watches
            .get(handle)
            .is_some_and(|watch| watch.watcher.is_some() || watch.source == incoming.from.ip().to_canonical());
        if !is_his || !is_there {
            return self.refuse_watcher(now, incoming, &asker, &refused(403, "Not Your Subscription", ""));
        }
        if (1..LEAST_EXPIRES_S).contains(&expires_s) {
            return self.refuse_watcher(now, incoming, &asker, &refused(423, "Interval Too Brief", TOO_BRIEF));
        }
        let Some(server) = self.stack.open_server(now, &incoming.keys, flow, false) else {
            return self.refuse(now, incoming, 503, "Service Unavailable", "Retry-After: 5\r\n");
        };
        let (presence, mut around) = self.split_presence();
        let outcome = presence.refresh(now, &mut around, handle, (message, flow), expires_s);
        match outcome {
            Ok(id) => {
                let watch = self.presence.watches.get(handle);
                let is_list = watch.is_some_and(|watch| matches!(watch.subject, Subject::List(_)));
                self.accept(now, incoming, server, (id, expires_s, is_list));
            }
            Err(refused) => self.respond(now, incoming, server, &refused),
        }
    }

    /// The 200 to a SUBSCRIBE.
    fn accept(
        &mut self,
        now: Instant,
        incoming: &Incoming<'_, '_>,
        server: crate::sip::stack::ServerHandle,
        (id, expires_s, is_list): (u64, u32, bool),
    ) {
        let Incoming { message, flow, from, .. } = *incoming;
        let mut tag = [0; 16];
        let mut out = Writer::new(&mut tag);
        dialog::write_tag(id, &mut out);
        let head = Head { status: 200, reason: "OK", to_tag: Some(&tag), source: Some(from), record_route: true };
        let mut contact = [0; 160];
        let mut out = Writer::new(&mut contact);
        if let Some(own) = Own::of(&self.stack.network, flow) {
            out.text("Contact: <");
            own.write_uri("pcs", &mut out);
            out.text(">\r\n");
        }
        let len = out.finish().unwrap_or_default();
        self.stack.respond(now, server, 200, |out| {
            response::write_head(message, &head, out);
            out.put(&contact[..len]);
            out.text("Expires: ");
            out.number(expires_s.into());
            out.text("\r\n");
            out.text(if is_list { "Require: eventlist\r\n" } else { "" });
            response::finish(out, None);
        });
    }

    fn publish(&mut self, now: Instant, incoming: &Incoming<'_, '_>, person: usize) {
        let Incoming { message, flow, from, .. } = *incoming;
        if message.field(Name::Require).is_some() {
            return self.refuse_tags(now, incoming, &[Name::Require], &[]);
        }
        let Some(asker) = self.asker(now, incoming) else { return };
        if asker.proven_person() != Some(person) {
            return self.refuse_asker(now, incoming, asker, 403, "Not Your Address");
        }
        let outcome = self.publication(now, incoming, person);
        let Some(server) = self.stack.open_server(now, &incoming.keys, flow, false) else {
            return self.refuse(now, incoming, 503, "Service Unavailable", "Retry-After: 5\r\n");
        };
        let (etag, expires_s) = match outcome {
            Ok(done) => done,
            Err(refused) => return self.respond(now, incoming, server, &refused),
        };
        let mut tag = [0; 16];
        let to_tag = crate::sip::stack::tag_of(&self.stack.random, message, &mut tag);
        let head = Head { status: 200, reason: "OK", to_tag: Some(to_tag), source: Some(from), record_route: false };
        self.stack.respond(now, server, 200, |out| {
            response::write_head(message, &head, out);
            out.text("SIP-ETag: ");
            out.hex(etag, 16);
            out.text("\r\nExpires: ");
            out.number(expires_s.into());
            out.text("\r\n");
            response::finish(out, None);
        });
    }

    /// Carries out a PUBLISH (RFC 3903 §6); its entity-tag and life.
    fn publication(&mut self, now: Instant, incoming: &Incoming<'_, '_>, person: usize) -> Result<(u64, u32), Refused> {
        let Incoming { message, flow, .. } = *incoming;
        let event = message.field(Name::Event).and_then(|field| Event::parse(field.value).ok());
        if event.is_none_or(|event| Package::from_name(event.package) != Some(Package::Presence)) {
            return Err(refused(489, "Bad Event", ALLOW_EVENTS));
        }
        let etag = match message.field(Name::SipIfMatch) {
            None => None,
            Some(field) => {
                Some(crate::base::text::hex_number(field.value).filter(|_| field.value.len() == 16).ok_or(GONE)?)
            }
        };
        let expires_s = expires_of(message, publication::DEFAULT_EXPIRES_S).min(publication::MOST_EXPIRES_S);
        if (1..publication::LEAST_EXPIRES_S).contains(&expires_s) {
            return Err(refused(423, "Interval Too Brief", TOO_BRIEF));
        }
        let status = match message.body() {
            [] => None,
            _ => Some(self.document(message)?),
        };
        let change = match (etag, status, expires_s) {
            (Some(etag), _, 0) => Change::Remove(etag),
            (Some(etag), None, _) => Change::Refresh(etag),
            (Some(etag), Some(status), _) => Change::Modify(etag, status),
            (None, Some(status), _) => Change::Initial(status),
            (None, None, _) => return Err(refused(400, "Neither Entity-Tag nor Document", "")),
        };
        if matches!(change, Change::Initial(_)) && expires_s == 0 {
            // It says what is over at once: nothing to keep, and nothing wrong with it.
            return Ok((self.stack.random.number(), 0));
        }
        let device = self.registrar.on_flow(person, flow).map_or(0, |device| device.id);
        let publications = &mut self.presence.publications;
        let (etag, is_news) = publications.publish(now, &mut self.stack, (person, device), change, expires_s)?;
        if is_news {
            self.stack.schedule.wake(Task::People.id());
        }
        Ok((etag, expires_s))
    }

    /// The presence document of a request.
    fn document(&mut self, message: &Message<'_>) -> Result<Status, Refused> {
        let content_type = message.field(Name::ContentType).map_or(b"".as_slice(), |field| field.value);
        let format = if content_type.is_empty() { Some(Format::Pidf) } else { Format::of_type(content_type) };
        let format = format.ok_or(refused(415, "Unsupported Media Type", ACCEPTED))?;
        let body = self.body(message).map_err(|fault| Refused { fault, field: ACCEPTED_ENCODING })?;
        pidf::read(format, body).map_err(|fault| refused(400, fault.reason, ""))
    }

    /// The body of a request, inflated if it has to be.
    fn body<'s>(&'s mut self, message: &Message<'s>) -> Result<&'s [u8], Fault> {
        match message.field(Name::ContentEncoding).map(|field| field.value) {
            None => Ok(message.body()),
            Some(encoding) if encoding.eq_ignore_ascii_case(b"identity") => Ok(message.body()),
            Some(encoding) if encoding.eq_ignore_ascii_case(b"deflate") => {
                let len = self.inflater.inflate(message.body(), &mut self.inflated)?;
                Ok(&self.inflated[..len])
            }
            Some(_) => Err(Fault { status: 415, reason: "Unsupported Content-Encoding" }),
        }
    }

    /// The entries of a list in a request (RFC 5367), one a line.
    fn entries(&mut self, message: &Message<'_>) -> Result<Bytes, Fault> {
        let content_type = message.field(Name::ContentType).map_or(b"".as_slice(), |field| field.value);
        let mut text = [0; LIST_TEXT_BYTES];
        let mut out = Writer::new(&mut text);
        let body = self.body(message)?;
        let list = match is_list(content_type) {
            true => body,
            false => {
                let mut parts = multipart::Parts::parse(content_type, body)?;
                let part = parts.find(|part| part.content_type.is_some_and(is_list));
                part.ok_or(Fault { status: 400, reason: "No List in the Request" })?.body
            }
        };
        let broken = |fault: crate::wire::xml::Fault| Fault { status: 400, reason: fault.reason };
        let mut entries = resource_lists::Entries::new(list).map_err(broken)?;
        while let Some(entry) = entries.next().map_err(broken)? {
            // One that is too long is left out: cut off it would be somebody else's.
            let uri: String<{ crate::home::presence::list::URI_BYTES + 1 }> = entry.uri.cut();
            // What is beyond this is beyond the entries that are watched, too.
            if out.len() + uri.len() + 1 > LIST_TEXT_BYTES {
                break;
            }
            write_line(uri.as_bytes(), &mut out);
        }
        drop(entries);
        let Ok(len) = out.finish() else { return Err(Fault { status: 413, reason: "List Too Long" }) };
        self.stack.freeze(&text[..len]).ok_or(Fault { status: 503, reason: "Service Unavailable" })
    }

    /// A NOTIFY of one of the home's own subscriptions. Whether it was one.
    fn notified(&mut self, now: Instant, incoming: &Incoming<'_, '_>) -> bool {
        let Incoming { message, flow, keys, .. } = *incoming;
        let Some(notified) = self.presence.watched.notified(now, &mut self.stack, message) else {
            if !is_presence(message) || incoming.essentials.to.tag().is_some() {
                self.refuse(now, incoming, 481, "Subscription Does Not Exist", "");
                return true;
            }
            return false;
        };
        let reason = if notified.status == 200 { "OK" } else { "Not Understood" };
        match self.stack.open_server(now, &keys, flow, false) {
            Some(server) => self.respond(now, incoming, server, &refused(notified.status, reason, "")),
            None => self.refuse(now, incoming, 503, "Service Unavailable", "Retry-After: 5\r\n"),
        }
        if let Some(changed) = notified.changed {
            let (presence, mut around) = self.split_presence();
            presence.watched_changed(now, &mut around, changed);
        }
        true
    }

    /// A NOTIFY about the presence of one of the home's people that her device sends straight to a watcher: it says what
    /// a PUBLISH would. The watcher is told by the agent, in the format and to the extent that is his. Whether it was one.
    fn caught(&mut self, now: Instant, incoming: &Incoming<'_, '_>) -> bool {
        let Incoming { message, flow, .. } = *incoming;
        if !self.is_from_home(incoming) {
            return false;
        }
        let Some(asker) = self.asker(now, incoming) else { return true };
        let Some(person) = asker.proven_person() else { return false };
        let outcome = watched::read_document(message);
        let device = self.registrar.on_flow(person, flow).map_or(0, |device| device.id);
        let outcome = match outcome {
            Ok(Some(status)) => {
                let until = now.plus(u64::from(DEFAULT_EXPIRES_S) * 1000);
                self.presence.publications.notified(&mut self.stack, (person, device), status, until)
            }
            Ok(None) => Ok(()),
            Err(415) => Err(refused(415, "Unsupported Media Type", ACCEPTED)),
            Err(status) => Err(refused(status, "Malformed Document", "")),
        };
        self.stack.schedule.wake(Task::People.id());
        let answer = match outcome {
            Ok(()) => refused(200, "OK", ""),
            Err(refused) => refused,
        };
        self.answer_for_good(now, incoming, &answer);
        true
    }
}

/// Room for the entries of a list, with some that are there twice.
const LIST_TEXT_BYTES: usize = 8 * 1024;
const ACCEPTED: &str =
    "Accept: application/pidf+xml, application/xpidf+xml, text/xml+msrtc.pidf\r\nAccept-Encoding: deflate\r\n";
const ACCEPTED_ENCODING: &str = "Accept-Encoding: deflate, identity\r\n";
const GONE: Refused = refused(412, "Conditional Request Failed", "");

/// An answer with a status, a reason and a field of its own.
pub(super) const fn refused(status: u16, reason: &'static str, field: &'static str) -> Refused {
    Refused { fault: Fault { status, reason }, field }
}

fn expires_of(message: &Message<'_>, default_s: u32) -> u32 {
    message.field(Name::Expires).map_or(default_s, |field| delta_seconds(field.value).unwrap_or(default_s))
}

fn is_presence(message: &Message<'_>) -> bool {
    let event = message.field(Name::Event).map(|field| Event::parse(field.value));
    event.is_some_and(|event| event.is_ok_and(|event| Package::from_name(event.package) == Some(Package::Presence)))
}

fn brings_list(message: &Message<'_>) -> bool {
    let content_type = message.field(Name::ContentType).map_or(b"".as_slice(), |field| field.value);
    let is_multipart = content_type.get(..10).is_some_and(|start| start.eq_ignore_ascii_case(b"multipart/"));
    !message.body().is_empty() && (is_list(content_type) || is_multipart)
}

fn is_list(content_type: &[u8]) -> bool {
    let end = content_type.iter().position(|byte| matches!(byte, b';' | b' ')).unwrap_or(content_type.len());
    content_type[..end].eq_ignore_ascii_case(resource_lists::CONTENT_TYPE.as_bytes())
}

const _: () = assert!(LIST_SUFFIX.len() < 32);
