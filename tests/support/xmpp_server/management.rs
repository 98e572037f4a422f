//! Stream management (XEP-0198): stanzas are counted both ways, kept until they are acknowledged, and sent again to who
//! takes the session up.

use std::collections::VecDeque;

use super::xml::{CLIENT, Element};
use super::{Conn, Outlet, SessionId, XmppServer, bare};

pub const NS: &str = "urn:xmpp:sm:3";
pub const OLD_NS: &str = "urn:xmpp:sm:2";
const STANZA_ERRORS: &str = "urn:ietf:params:xml:ns:xmpp-stanzas";

/// What a session with stream management keeps.
pub struct Management {
    ns: &'static str,
    /// Names it to who resumes it; empty: it can't be resumed.
    id: String,
    /// Stanzas of the client that were handled.
    pub handled: u32,
    /// Stanzas to the client that it has acknowledged.
    acknowledged: u32,
    /// Those it has not, and when they were sent.
    queue: VecDeque<(u64, Element)>,
    /// Whether it was asked to acknowledge and has not.
    is_awaited: bool,
    /// What it should have acknowledged when it was last asked: it is not asked for the same again, which would never end
    /// with a client that acknowledges later.
    requested: Option<u32>,
}

impl Management {
    /// Stanzas to the client.
    fn sent(&self) -> u32 {
        self.acknowledged.wrapping_add(self.queue.len() as u32)
    }
}

impl XmppServer {
    /// Stanzas that a session's client has not acknowledged.
    pub fn unacknowledged(&self, name: &str) -> usize {
        let queues = self.sessions_of(name).into_iter().filter_map(|id| self.sessions[&id].management.as_ref());
        queues.map(|management| management.queue.len()).sum()
    }

    /// An element of stream management.
    pub(super) fn management(&mut self, conn: Conn, element: &Element) {
        let session = self.connection(conn).session;
        match (element.name.as_str(), session) {
            ("enable", Some(session)) if self.options.has_management => self.enable(conn, session, element),
            ("resume", None) if self.options.has_management => self.resume(conn, element),
            ("r", Some(session)) => self.acknowledge(session),
            ("a", Some(session)) => self.acknowledged(conn, session, element),
            ("enable" | "resume", _) => self.refuse(conn, element, "unexpected-request", None),
            _ => self.stream_error(conn, "unsupported-stanza-type", ""),
        }
    }

    fn enable(&mut self, conn: Conn, session: SessionId, element: &Element) {
        if self.sessions[&session].management.is_some() {
            return self.refuse(conn, element, "unexpected-request", None);
        }
        let can_resume = matches!(element.get("resume"), "true" | "1");
        let id = if can_resume { self.unique("sm") } else { String::new() };
        let ns = if element.ns == NS { NS } else { OLD_NS };
        let mut answer = Element::new("enabled", ns).with("id", &id);
        if can_resume {
            let max = self.options.hibernation_ms / 1000;
            answer = answer.with("max", &max.to_string()).with("resume", "true");
        }
        self.send(conn, &answer.write(CLIENT));
        let queue = VecDeque::new();
        let management = Management { ns, id, handled: 0, acknowledged: 0, queue, is_awaited: false, requested: None };
        self.session(session).management = Some(management);
    }

    fn refuse(&mut self, conn: Conn, element: &Element, condition: &str, handled: Option<u32>) {
        let handled = handled.map_or(String::new(), |h| h.to_string());
        let failed = Element::new("failed", &element.ns).with("h", &handled);
        self.send(conn, &failed.and(Element::new(condition, STANZA_ERRORS)).write(CLIENT));
    }

    /// The client asks how far we are.
    pub(super) fn acknowledge(&mut self, session: SessionId) {
        let Outlet::Connection(conn) = self.sessions[&session].outlet else { return };
        if let Some(management) = &self.sessions[&session].management {
            let answer = Element::new("a", management.ns).with("h", &management.handled.to_string());
            self.send(conn, &answer.write(CLIENT));
        }
    }

    /// The client says how far it is.
    fn acknowledged(&mut self, conn: Conn, session: SessionId, element: &Element) {
        match self.settle(session, element.get("h")) {
            Ok(()) => {
                if let Some(management) = &mut self.session(session).management {
                    management.is_awaited = false;
                }
            }
            Err(why) => self.stream_error(conn, "undefined-condition", why),
        }
    }

    /// Takes what was acknowledged out of the queue. More than was sent, or less than before, is a fault of the client.
    fn settle(&mut self, session: SessionId, h: &str) -> Result<(), &'static str> {
        let Some(management) = &mut self.session(session).management else {
            return Err("nothing is counted");
        };
        let h = h.parse::<u32>().map_err(|_| "no number of stanzas")?;
        let count = h.wrapping_sub(management.acknowledged) as usize;
        if count > management.queue.len() {
            return Err("Client acknowledged more stanzas than sent by server");
        }
        management.queue.drain(..count);
        management.acknowledged = h;
        Ok(())
    }

    /// Takes up a session (XEP-0198 §5).
    fn resume(&mut self, conn: Conn, element: &Element) {
        let user = self.connection(conn).user.clone().unwrap_or_default();
        let id = element.get("previd");
        let is_it = |m: &Management| !m.id.is_empty() && m.id == id;
        let found = self.sessions.iter().find(|(_, s)| s.user == user && s.management.as_ref().is_some_and(is_it));
        let Some(session) = found.map(|(id, _)| *id) else {
            let handled = self.ended.get(id).filter(|(whose, _)| *whose == user).map(|(_, handled)| *handled);
            return self.refuse(conn, element, "item-not-found", handled);
        };
        if let Outlet::Connection(old) = self.sessions[&session].outlet {
            self.connection(old).session = None;
            self.stream_error(old, "conflict", "This session has been resumed elsewhere");
        }
        if let Err(why) = self.settle(session, element.get("h")) {
            return self.stream_error(conn, "undefined-condition", why);
        }
        self.connection(conn).session = Some(session);
        self.session(session).outlet = Outlet::Connection(conn);
        self.replay(conn, session);
    }

    /// Says that a session goes on, and sends again what was not acknowledged.
    fn replay(&mut self, conn: Conn, session: SessionId) {
        let from = bare(&self.full_jid(session)).to_owned();
        let management = self.session(session).management.as_mut().expect("it was resumed");
        (management.is_awaited, management.requested) = (false, None);
        let resumed = Element::new("resumed", management.ns)
            .with("previd", &management.id)
            .with("h", &management.handled.to_string());
        let queue = management.queue.clone();
        self.send(conn, &resumed.write(CLIENT));
        for (at_ms, mut stanza) in queue {
            if stanza.name != "iq" && stanza.child("delay", "urn:xmpp:delay").is_none() {
                stanza.push(self.delay(&from, at_ms));
            }
            self.send(conn, &stanza.write(CLIENT));
        }
    }

    /// Gives a stanza to a session.
    pub(super) fn deliver(&mut self, id: SessionId, stanza: &Element) {
        let now_ms = self.now_ms;
        let Some(session) = self.sessions.get_mut(&id) else { return };
        if stanza.name == "iq" && matches!(stanza.get("type"), "get" | "set") {
            session.asked.insert(stanza.get("id").into());
        }
        if let Some(management) = &mut session.management {
            management.queue.push_back((now_ms, stanza.clone()));
        }
        match session.outlet {
            Outlet::Connection(conn) => self.send(conn, &stanza.write(CLIENT)),
            Outlet::Hibernating(_) => {}
            Outlet::Script => self.script_got(id, stanza),
        }
    }

    /// Asks those clients to acknowledge that have something to, once.
    pub(super) fn request_acknowledgements(&mut self) {
        let mut requests = Vec::new();
        for session in self.sessions.values_mut() {
            if let (Outlet::Connection(conn), Some(management)) = (session.outlet, &mut session.management)
                && !management.queue.is_empty()
                && !management.is_awaited
                && management.requested != Some(management.sent())
            {
                management.is_awaited = true;
                management.requested = Some(management.sent());
                requests.push((conn, Element::new("r", management.ns).write(CLIENT)));
            }
        }
        requests.iter().for_each(|(conn, request)| self.send(*conn, request));
    }

    /// The connection of a session is gone: it waits to be resumed, or ends.
    pub(super) fn lose(&mut self, id: SessionId) {
        let now_ms = self.now_ms;
        let session = self.session(id);
        match &mut session.management {
            Some(management) if !management.id.is_empty() => {
                management.is_awaited = false;
                session.outlet = Outlet::Hibernating(now_ms);
            }
            _ => self.end_session(id),
        }
    }

    /// Ends a session: those who saw it are told, and what did not reach its client goes elsewhere or back.
    pub(super) fn end_session(&mut self, id: SessionId) {
        self.leave(id);
        let full = self.full_jid(id);
        let Some(session) = self.sessions.remove(&id) else { return };
        let Some(management) = session.management else { return };
        if !management.id.is_empty() {
            self.ended.insert(management.id, (session.user.clone(), management.handled));
        }
        for (at_ms, stanza) in management.queue {
            let is_chat = stanza.name == "message" && matches!(stanza.get("type"), "" | "normal" | "chat");
            if is_chat && stanza.of(super::message::MAM).is_none() {
                self.left_over(&session.user, at_ms, stanza, session.reads_archive);
            } else if stanza.name == "iq" && matches!(stanza.get("type"), "get" | "set") {
                self.bounce(&stanza.with("to", &full), "wait", "recipient-unavailable");
            }
        }
    }

    /// A message that a session did not get: in the archive it is safe for who reads that; else it is kept for later if
    /// nobody else is there, and lost to this client if others are.
    fn left_over(&mut self, name: &str, at_ms: u64, message: Element, reads_archive: bool) {
        let is_archived = message.children().any(|child| child.is("stanza-id", super::message::STANZA_ID));
        let is_carbon = message.of(super::message::CARBONS).is_some();
        if reads_archive && is_archived || is_carbon || !super::message::has_body(&message) {
            return;
        }
        if self.sessions_of(name).is_empty() {
            self.users.entry(name.into()).or_default().offline.push((at_ms, message));
        } else {
            self.bounce(&message, "wait", "recipient-unavailable");
        }
    }
}
