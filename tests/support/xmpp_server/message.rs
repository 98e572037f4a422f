//! Where messages go (RFC 6121 §8.5), copies for the other clients of who wrote and who is written to (XEP-0280), the
//! archive (XEP-0313, with XEP-0059 and XEP-0359), and what is kept for who is not there (XEP-0160).

use super::xml::{CLIENT, Element};
use super::{SessionId, XmppServer, bare, domain, resource, user};

pub const MAM: &str = "urn:xmpp:mam:2";
pub const CARBONS: &str = "urn:xmpp:carbons:2";
pub const STANZA_ID: &str = "urn:xmpp:sid:0";
pub const RECEIPTS: &str = "urn:xmpp:receipts";
pub const CHAT_STATES: &str = "http://jabber.org/protocol/chatstates";
pub const MARKERS: &str = "urn:xmpp:chat-markers:0";
const HINTS: &str = "urn:xmpp:hints";
const FORWARD: &str = "urn:xmpp:forward:0";
const RSM: &str = "http://jabber.org/protocol/rsm";
const DATA: &str = "jabber:x:data";

/// A message in the archive of a user.
#[derive(Clone)]
pub struct Kept {
    id: String,
    at_ms: u64,
    /// Bare JID of the other one.
    with: String,
    message: Element,
}

pub fn has_body(message: &Element) -> bool {
    message.child("body", CLIENT).is_some()
}

impl XmppServer {
    /// What is kept for a user who is not there: bodies.
    pub fn offline(&self, name: &str) -> Vec<String> {
        self.users[name].offline.iter().map(|(_, message)| message.text_of("body")).collect()
    }

    /// The bodies in the archive of a user.
    pub fn archived(&self, name: &str) -> Vec<String> {
        self.users[name].archive.iter().map(|kept| kept.message.text_of("body")).collect()
    }

    /// A session sends a message.
    pub(super) fn message(&mut self, from: SessionId, mut message: Element) {
        let sender = self.sessions[&from].user.clone();
        if message.get("to").is_empty() {
            message.set("to", &self.bare_jid(&sender));
        }
        if is_for_archive(&message) {
            let own = self.archive(&sender, bare(message.get("to")), &message);
            let mut copy = message.clone();
            self.stamp_id(&mut copy, &sender, &own);
            self.carbons("sent", &sender, &[from], &copy);
        } else {
            self.carbons("sent", &sender, &[from], &message);
        }
        self.route_message(message);
    }

    /// A message for somebody, whose `from` is proven.
    pub(super) fn route_message(&mut self, mut message: Element) {
        let to = message.get("to").to_owned();
        if domain(&to) != self.domain {
            return self.bounce(&message, "cancel", "remote-server-not-found");
        }
        if user(&to).is_empty() {
            return;
        }
        let name = user(&to).to_owned();
        if !self.users.contains_key(&name) {
            return self.bounce(&message, "cancel", "service-unavailable");
        }
        let own = self.bare_jid(&name);
        message.keep(|child| !(child.is("stanza-id", STANZA_ID) && child.get("by") == own));
        if is_for_archive(&message) {
            let id = self.archive(&name, bare(message.get("from")), &message);
            self.stamp_id(&mut message, &name, &id);
        }
        let targets = self.targets(&name, resource(&to), message.get("type"));
        for target in &targets {
            self.deliver(*target, &message);
        }
        self.carbons("received", &name, &targets, &message);
        if targets.is_empty() {
            self.not_there(&name, message);
        }
    }

    /// The sessions that a message is for.
    fn targets(&self, name: &str, resource: &str, kind: &str) -> Vec<SessionId> {
        if !resource.is_empty() {
            if let Some(session) = self.session_at(name, resource) {
                return vec![session];
            }
            if !matches!(kind, "" | "normal" | "chat") {
                return Vec::new();
            }
        }
        let sessions = self.sessions_of(name).into_iter();
        let there: Vec<_> =
            sessions.filter_map(|id| self.priority(id).filter(|p| *p >= 0).map(|priority| (priority, id))).collect();
        let top = there.iter().map(|(priority, _)| *priority).max();
        let is_wanted = |priority: i32| match kind {
            "headline" => true,
            "" | "normal" | "chat" => Some(priority) == top,
            _ => false,
        };
        there.into_iter().filter(|(priority, _)| is_wanted(*priority)).map(|(_, id)| id).collect()
    }

    fn not_there(&mut self, name: &str, message: Element) {
        let is_kept = has_body(&message) && matches!(message.get("type"), "" | "normal" | "chat");
        if is_kept {
            let now_ms = self.now_ms;
            self.users.get_mut(name).expect("it was looked up").offline.push((now_ms, message));
        } else if message.get("type") == "groupchat" {
            self.bounce(&message, "cancel", "service-unavailable");
        }
    }

    /// Gives a session what was kept while nobody was there.
    pub(super) fn deliver_offline(&mut self, session: SessionId) {
        let name = self.sessions[&session].user.clone();
        let kept = std::mem::take(&mut self.users.get_mut(&name).expect("who has a session").offline);
        for (at_ms, mut message) in kept {
            message.push(self.delay(&self.domain, at_ms));
            self.deliver(session, &message);
        }
    }

    /// Copies for the other clients of a user.
    fn carbons(&mut self, kind: &str, name: &str, except: &[SessionId], message: &Element) {
        if !self.is_for_carbons(message) {
            return;
        }
        for session in self.sessions_of(name) {
            if !except.contains(&session) && self.sessions[&session].has_carbons {
                let carbon = self.carbon(kind, session, message);
                self.deliver(session, &carbon);
            }
        }
    }

    pub(super) fn carbon(&self, kind: &str, to: SessionId, message: &Element) -> Element {
        let to = self.full_jid(to);
        let forwarded = Element::new("forwarded", FORWARD).and(message.clone());
        let carbon = Element::new("message", CLIENT).with("from", bare(&to)).with("to", &to).with("type", "chat");
        carbon.and(Element::new(kind, CARBONS).and(forwarded))
    }

    fn is_for_carbons(&self, message: &Element) -> bool {
        let is_private = message.child("private", CARBONS).is_some() || message.child("no-copy", HINTS).is_some();
        let is_chat = message.get("type") == "chat" || is_for_archive(message);
        self.options.has_carbons && is_chat && !is_private && message.of(CARBONS).is_none()
    }

    /// Puts a message into the archive of a user; how it is named there. Empty: there is no archive.
    fn archive(&mut self, name: &str, with: &str, message: &Element) -> String {
        if !self.options.has_archive {
            return String::new();
        }
        let id = self.unique("kept");
        let mut message = message.clone();
        message.keep(|child| child.ns != CHAT_STATES && child.ns != STANZA_ID);
        let kept = Kept { id: id.clone(), at_ms: self.now_ms, with: with.into(), message };
        if let Some(user) = self.users.get_mut(name) {
            user.archive.push(kept);
        }
        id
    }

    fn stamp_id(&self, message: &mut Element, name: &str, id: &str) {
        if !id.is_empty() {
            let by = self.bare_jid(name);
            message.push(Element::new("stanza-id", STANZA_ID).with("id", id).with("by", &by));
        }
    }

    /// Reads the archive of a session's user, one page.
    pub(super) fn query_archive(&mut self, session: SessionId, iq: &Element, query: &Element) {
        self.session(session).reads_archive = true;
        let name = self.sessions[&session].user.clone();
        let all: Vec<Kept> =
            self.users[&name].archive.iter().filter(|kept| self.is_asked_for(kept, query)).cloned().collect();
        let set = query.child("set", RSM);
        let limit = self.options.page;
        let max = set.and_then(|set| set.text_of("max").parse().ok()).map_or(limit, |max: usize| max.min(limit));
        let place = |id: &str| all.iter().position(|kept| kept.id == id);
        let before = set.and_then(|set| set.child("before", RSM)).map(Element::text);
        let after = set.and_then(|set| set.child("after", RSM)).map(Element::text);
        let range = match (before.as_deref(), after.as_deref()) {
            (Some(""), None) => Some((all.len().saturating_sub(max), all.len(), all.len() <= max)),
            (Some(id), None) => place(id).map(|end| (end.saturating_sub(max), end, end <= max)),
            (None, after) => match after {
                None | Some("") => Some(0),
                Some(id) => place(id).map(|at| at + 1),
            }
            .map(|start| (start, all.len().min(start + max), all.len() <= start + max)),
            (Some(_), Some(_)) => return self.reply_error(session, iq, "modify", "bad-request"),
        };
        let Some((start, end, is_complete)) = range else {
            return self.reply_error(session, iq, "cancel", "item-not-found");
        };
        for kept in &all[start..end] {
            let result = self.archive_result(session, query.get("queryid"), kept);
            self.deliver(session, &result);
        }
        let mut set = Element::new("set", RSM);
        if let ([first, ..], [.., last]) = (&all[start..end], &all[start..end]) {
            set.push(Element::new("last", RSM).says(&last.id));
            set.push(Element::new("first", RSM).says(&first.id));
        }
        set.push(Element::new("count", RSM).says(&all.len().to_string()));
        let fin = Element::new("fin", MAM).with("complete", if is_complete { "true" } else { "" });
        self.reply(session, iq, Some(fin.and(set)));
    }

    fn archive_result(&self, session: SessionId, query: &str, kept: &Kept) -> Element {
        let delay = Element::new("delay", "urn:xmpp:delay").with("stamp", &self.stamp(kept.at_ms));
        let forwarded = Element::new("forwarded", FORWARD).and(delay).and(kept.message.clone());
        let result = Element::new("result", MAM).with("id", &kept.id).with("queryid", query).and(forwarded);
        Element::new("message", CLIENT).with("to", &self.full_jid(session)).and(result)
    }

    /// Whether a message is one that the form of a query asks for: `with`, `start`, `end`.
    fn is_asked_for(&self, kept: &Kept, query: &Element) -> bool {
        let fields = query.child("x", DATA).into_iter().flat_map(Element::children);
        let stamp = self.stamp(kept.at_ms);
        fields.filter(|field| field.name == "field").all(|field| {
            let value = field.text_of("value");
            match field.get("var") {
                "with" => bare(&value) == kept.with,
                // Stamps of the same form compare as text; parts of a second do not count here.
                "start" => stamp.as_str() >= value.get(..19).unwrap_or(&value),
                "end" => stamp.get(..19) <= value.get(..19),
                _ => true,
            }
        })
    }
}

/// Whether a message goes into archives: one that says something, or tells of one that did.
fn is_for_archive(message: &Element) -> bool {
    let is_chat = matches!(message.get("type"), "" | "normal" | "chat");
    let is_refused = message.child("no-store", HINTS).is_some() || message.child("no-permanent-store", HINTS).is_some();
    let has_content =
        has_body(message) || message.child("received", RECEIPTS).is_some() || message.of(MARKERS).is_some();
    is_chat && !is_refused && has_content
}
