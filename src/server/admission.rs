//! The front door asked: what is known of a person's devices, what becomes of a request, and the request sent on its way
//! (RFC 3261 §16.5, §16.6).

use heapless::Vec;

use super::Core;
use super::requests::{Incoming, Place, request_target};
use crate::base;
use crate::base::limits::{BINDINGS_PER_PERSON, BRANCHES};
use crate::base::net::Transport;
use crate::base::time::Instant;
use crate::home::binding::{Binding, Text};
use crate::home::outside::{self, Destination};
use crate::home::policy::{
    self, Asker, Decision, Devices, Event, Facts, Kind, Preference, Snapshot, Stage, State, Target as Goal,
};
use crate::home::proxy::context::{self, Delegation, Passage, Retarget, Target, To};
use crate::home::proxy::{self, Job};
use crate::home::registrar::BindingHandle;
use crate::wire::sip::features::{self, Judgement as Judged};
use crate::wire::sip::{MediaType, Method, Name, list};
use crate::wire::{sdp, sign};

impl Core {
    /// Asks the front door, and does what it says.
    pub(super) fn admit_and_send(
        &mut self,
        now: Instant,
        incoming: Incoming<'_, '_>,
        place: Place,
        asker: Asker<'_>,
        (routing, retarget): (u32, Retarget),
    ) {
        let message = incoming.message;
        let kind = match incoming.method {
            Method::Invite => Kind::Call { video: sdp::offers_video(message.body()) },
            Method::Message => {
                let content_type = message.field(Name::ContentType).map_or(&b""[..], |field| field.value);
                if sign::is_sign(content_type, message.body()) { Kind::Sign } else { Kind::Message }
            }
            Method::Subscribe | Method::Notify => Kind::Events,
            _ => Kind::Other,
        };
        let mut devices: Vec<(BindingHandle, Facts), BINDINGS_PER_PERSON> = Vec::new();
        let (goal, mut targets) = match &place {
            Place::Person(person) => {
                devices = self.devices(*person, &incoming, asker, kind);
                (Goal::Person, Vec::new())
            }
            Place::Device(device) => (Goal::Device, single(To::Binding(*device))),
            Place::Dialog(to) => (Goal::Dialog, single(*to)),
            Place::Outside(onward) if onward.in_dialog => (Goal::Dialog, Vec::new()),
            Place::Outside(_) => (Goal::Outside, Vec::new()),
            Place::Server | Place::Nobody | Place::Network | Place::Unreachable(_) => return,
        };
        let person = if let Place::Person(person) = place { Some(person) } else { None };
        let facts: Vec<Facts, BINDINGS_PER_PERSON> = devices.iter().map(|(_, facts)| *facts).collect();
        let state = person.map_or(State::Offline, |person| self.presence.state(person));
        // An INVITE in a dialog is no new call: only who is in that dialog can answer it.
        let is_call = matches!(kind, Kind::Call { .. });
        let is_new = !is_call || incoming.essentials.to.tag().is_none();
        let kept = person.filter(|_| is_new).map_or(policy::Delegation::NONE, |person| self.possible(person, kind));
        // A call that no device takes is missed, and noted where there is a disk.
        let can_miss = is_call && is_new && person.is_some_and(|it| asker.proven_person() != Some(it));
        let mut delegation = Delegation::None;
        let snapshot = Snapshot { model: &self.people.model, person, state, by_hand: None, devices: &facts, kept };
        match policy::decide(&Event { asker, kind, target: goal, stage: Stage::Arrived }, &snapshot) {
            Decision::Refuse(480, _) if can_miss && kept.texts => delegation = Delegation::Asked(Stage::Arrived),
            Decision::Refuse(status, reason) => return self.refuse_asker(now, &incoming, asker, status, reason),
            Decision::Deliver(chosen) => {
                targets = self.targets(&devices, chosen);
                let patience_s = person.and_then(|it| self.people.model.people.get(it)).map(|it| it.answer_after_s);
                if kind == Kind::Message || can_miss {
                    let patience_ms = u32::from(patience_s.unwrap_or_default()) * 1000;
                    delegation = Delegation::Open { patience_ms };
                }
            }
            Decision::Keep | Decision::Answer => delegation = Delegation::Asked(Stage::Arrived),
            // Presence is not asked for here.
            Decision::Pass | Decision::Show(_) | Decision::Pending => {}
        }
        // Sent again though it is kept: the devices are not asked again, or it would be there twice.
        if delegation != Delegation::None
            && kind == Kind::Message
            && let Some(person) = person
            && self.is_kept(person, incoming.essentials)
        {
            (targets, delegation) = (Vec::new(), Delegation::Asked(Stage::Arrived));
        }
        // Not before: a stranger must not make us ask for names and connect to where he likes.
        let (mut lookup, mut domain) = (None, base::text::Name::new());
        if let Place::Outside(onward) = &place {
            match outside::destination(now, &mut self.stack, &self.people, onward) {
                Destination::At(servers, name) => (targets, domain) = (context::servers(&servers), name),
                Destination::Pending(handle, name) => (lookup, domain) = (Some(handle), name),
                Destination::Nowhere(fault) => {
                    return self.refuse_asker(now, &incoming, asker, fault.status, fault.reason);
                }
            }
        }
        let at_once = targets.iter().filter(|target| targets.first().is_some_and(|first| first.q == target.q)).count();
        let breadth = proxy::breadth_of(message);
        if breadth < at_once as u32 {
            return self.refuse_asker(now, &incoming, asker, 440, "Max-Breadth Exceeded");
        }
        let pair = self.stack.random.number() as u32;
        let random = &self.stack.random;
        let callee = match &place {
            Place::Person(person) => self.people.seal(random, *person),
            Place::Device(device) | Place::Dialog(To::Device(device)) => {
                self.registrar.get(*device).map_or(0, |device| self.people.seal(random, usize::from(device.person)))
            }
            _ => 0,
        };
        let begins_dialog = matches!(incoming.method, Method::Invite | Method::Subscribe | Method::Refer)
            && incoming.essentials.to.tag().is_none();
        let passage = Passage {
            routing,
            own_routes: incoming.routes.own,
            is_strict: incoming.routes.is_strict,
            pair,
            caller: asker.person.map_or(0, |person| self.people.seal(random, person)),
            caller_binding: asker
                .person
                .and_then(|person| self.registrar.on_flow(person, incoming.flow))
                .map_or(0, |it| it.id),
            callee,
            breadth,
            records: begins_dialog,
            retarget,
            crossing: {
                let is_outward = matches!(&place, Place::Outside(_) | Place::Dialog(To::Flow(_) | To::Server(_)));
                self.crossing(&incoming, is_outward, asker.person.is_some())
            },
        };
        let Incoming { flow, keys, .. } = incoming;
        let (proxy, mut around) = self.split();
        let assurance = asker.assurance;
        let job = Job { message, keys: &keys, flow, kind, passage, targets, lookup, domain, assurance, delegation };
        if proxy.start(now, &mut around, job).is_err() {
            self.refuse(now, &incoming, 503, "Service Unavailable", "Retry-After: 5\r\n");
        }
    }

    /// The devices of a person, and what is known of each as far as a request is concerned.
    fn devices(
        &self,
        person: usize,
        incoming: &Incoming<'_, '_>,
        asker: Asker<'_>,
        kind: Kind,
    ) -> Vec<(BindingHandle, Facts), BINDINGS_PER_PERSON> {
        let is_secure = request_target(incoming).is_some_and(|uri| uri.secure);
        let content_type = incoming.message.field(Name::ContentType).map(|field| MediaType::parse(field.value));
        let facts = |device: &Binding| Facts {
            is_own: asker.person == Some(person) && device.source == incoming.flow,
            takes_method: device.abilities.is_known.then(|| device.abilities.takes(incoming.method)),
            takes_type: match (kind, content_type) {
                (Kind::Message | Kind::Sign, Some(Ok(media))) => {
                    takes_type(device.text(&self.stack.store, Text::Accept), &media)
                }
                _ => None,
            },
            preference: match features::judge(incoming.message, device.text(&self.stack.store, Text::Params)) {
                Judged::Rejected => Preference::Rejected,
                Judged::Excluded => Preference::Excluded,
                Judged::Target { score, .. } => Preference::Score(score),
            },
            is_secure_enough: !is_secure || self.stack.network.transport(device.flow) == Transport::Tls,
            is_meant: self.is_for(device, kind),
            q: if kind.is_message() { 1000 } else { device.q },
        };
        self.registrar.of(person).take(BINDINGS_PER_PERSON).map(|(handle, device)| (handle, facts(device))).collect()
    }

    /// The devices that were chosen, most preferred first; of the flows of one instance the newest.
    fn targets(&self, devices: &[(BindingHandle, Facts)], chosen: Devices) -> Vec<Target, BRANCHES> {
        let mut found: Vec<(Target, Instant), BRANCHES> = Vec::new();
        for (handle, facts) in chosen.iter().filter_map(|index| devices.get(index)) {
            let Some(device) = self.registrar.get(*handle) else { continue };
            // There is a branch for every device of a person.
            let _ = found.push((Target::new(To::Binding(*handle), facts.q, device.instance), device.refreshed_at));
        }
        found.sort_unstable_by_key(|(target, refreshed_at)| {
            (core::cmp::Reverse(target.q), core::cmp::Reverse(*refreshed_at))
        });
        found.into_iter().map(|(target, _)| target).collect()
    }

    fn is_for(&self, device: &Binding, kind: Kind) -> bool {
        let section = device.device.and_then(|device| self.people.model.devices.get(usize::from(device)));
        section.is_none_or(|section| match kind {
            Kind::Call { video: true } => section.takes.video,
            Kind::Call { video: false } => section.takes.audio,
            Kind::Message | Kind::Sign => section.takes.text,
            Kind::Presence | Kind::Events | Kind::Other => true,
        })
    }
}

/// Whether a device takes a type of message, by the Accept it gave; `None` when that says nothing of messages, as most name
/// only what their calls are about.
fn takes_type(accept: &[u8], media: &MediaType<'_>) -> Option<bool> {
    let given = || list(accept).filter_map(|value| MediaType::parse(value).ok());
    let is_for_messages = |it: &MediaType<'_>| MESSAGE_TYPES.iter().any(|main| it.main.eq_ignore_ascii_case(main));
    if !given().any(|it| is_for_messages(&it)) {
        return None;
    }
    let text = |bytes| core::str::from_utf8(bytes).unwrap_or_default();
    Some(given().any(|it| it.accepts(text(media.main), text(media.sub))))
}

/// The types that messages have.
const MESSAGE_TYPES: [&[u8]; 3] = [b"text", b"message", b"*"];

fn single(to: To) -> Vec<Target, BRANCHES> {
    Vec::from_slice(&[Target::new(to, 1000, 0)]).unwrap_or_default()
}
