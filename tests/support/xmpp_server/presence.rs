//! Rosters (RFC 6121 §2), subscriptions with their states (§3 and appendix A), and presence (§4).

use super::xml::{CLIENT, Element};
use super::{SessionId, XmppServer, bare, domain, resource, user};

pub const ROSTER: &str = "jabber:iq:roster";
const CAPS: &str = "http://jabber.org/protocol/caps";

/// An entry of a roster.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Item {
    pub name: String,
    groups: Vec<String>,
    /// Whether the contact's presence is told to the user.
    has_to: bool,
    /// Whether the user's presence is told to the contact.
    has_from: bool,
    asks: bool,
}

impl Item {
    fn subscription(&self) -> &'static str {
        match (self.has_to, self.has_from) {
            (true, true) => "both",
            (true, false) => "to",
            (false, true) => "from",
            (false, false) => "none",
        }
    }

    fn element(&self, jid: &str) -> Element {
        let item = Element::new("item", ROSTER).with("jid", jid).with("name", &self.name);
        let item = item.with("ask", if self.asks { "subscribe" } else { "" });
        let item = item.with("subscription", self.subscription());
        self.groups.iter().fold(item, |item, group| item.and(Element::new("group", ROSTER).says(group)))
    }
}

impl XmppServer {
    /// Puts somebody on a user's roster as if it had always been there: `subscription` is none, to, from or both.
    pub fn add_contact(&mut self, name: &str, jid: &str, label: &str, subscription: &str) {
        let item = Item {
            name: label.into(),
            has_to: matches!(subscription, "to" | "both"),
            has_from: matches!(subscription, "from" | "both"),
            ..Item::default()
        };
        self.users.get_mut(name).expect("a user").roster.insert(jid.into(), item);
    }

    /// Two users have each other on their rosters.
    pub fn befriend(&mut self, one: &str, other: &str) {
        let (one_jid, other_jid) = (self.bare_jid(one), self.bare_jid(other));
        self.add_contact(one, &other_jid, "", "both");
        self.add_contact(other, &one_jid, "", "both");
    }

    /// A roster of `n` contacts that are nowhere, with names of `name_bytes`.
    pub fn fill_roster(&mut self, name: &str, n: usize, name_bytes: usize) {
        for i in 0..n {
            let label = "n".repeat(name_bytes);
            self.add_contact(name, &format!("contact{i:05}@{}", self.domain), &label, "both");
        }
    }

    /// How a contact is on a user's roster: its name and subscription, with `?` when it was asked for more.
    pub fn roster_entry(&self, name: &str, jid: &str) -> Option<(String, String)> {
        let item = self.users[name].roster.get(jid)?;
        let asks = if item.asks { "?" } else { "" };
        Some((item.name.clone(), format!("{}{asks}", item.subscription())))
    }

    // ---- the roster ----

    pub(super) fn get_roster(&mut self, session: SessionId, iq: &Element) {
        self.session(session).is_interested = true;
        let user = &self.users[&self.sessions[&session].user];
        let query = user.roster.iter().fold(Element::new("query", ROSTER), |q, (jid, item)| q.and(item.element(jid)));
        self.reply(session, iq, Some(query));
    }

    pub(super) fn set_roster(&mut self, session: SessionId, iq: &Element, query: &Element) {
        let name = self.sessions[&session].user.clone();
        let items: Vec<_> = query.children().filter(|child| child.is("item", ROSTER)).collect();
        let [item] = items[..] else { return self.reply_error(session, iq, "modify", "bad-request") };
        let jid = bare(item.get("jid")).to_lowercase();
        if jid.is_empty() || jid == self.bare_jid(&name) {
            return self.reply_error(session, iq, "cancel", "not-allowed");
        }
        let roster = &mut self.users.get_mut(&name).expect("who has a session").roster;
        if item.get("subscription") == "remove" {
            if !roster.contains_key(&jid) {
                return self.reply_error(session, iq, "modify", "item-not-found");
            }
            self.reply(session, iq, None);
            self.remove_contact(&name, &jid);
        } else {
            let entry = roster.entry(jid.clone()).or_default();
            entry.name = item.get("name").into();
            entry.groups = item.children().filter(|c| c.is("group", ROSTER)).map(Element::text).collect();
            self.reply(session, iq, None);
            self.push_item(&name, &jid);
        }
    }

    /// Takes a contact off, and ends subscriptions both ways (RFC 6121 §2.5.2).
    fn remove_contact(&mut self, name: &str, jid: &str) {
        let from = self.bare_jid(name);
        for kind in ["unsubscribe", "unsubscribed"] {
            let item = &self.users[name].roster[jid];
            if if kind == "unsubscribe" { item.has_to || item.asks } else { item.has_from } {
                let stanza = Element::new("presence", CLIENT).with("from", &from).with("to", jid).with("type", kind);
                self.subscription(name, stanza, false);
            }
        }
        self.users.get_mut(name).expect("a user").roster.remove(jid);
        let item = Element::new("item", ROSTER).with("jid", jid).with("subscription", "remove");
        self.push(name, &item);
    }

    fn push_item(&mut self, name: &str, jid: &str) {
        let item = self.users[name].roster.get(jid).map(|item| item.element(jid));
        if let Some(item) = item {
            self.push(name, &item);
        }
    }

    /// Tells the clients of a user that the roster has changed.
    fn push(&mut self, name: &str, item: &Element) {
        for session in self.sessions_of(name) {
            if self.sessions[&session].is_interested {
                let id = self.unique("push");
                let iq = Element::new("iq", CLIENT).with("type", "set").with("id", &id);
                self.deliver(session, &iq.and(Element::new("query", ROSTER).and(item.clone())));
            }
        }
    }

    // ---- subscriptions ----

    /// A user asks, grants, gives up or takes back a subscription.
    fn subscription(&mut self, name: &str, stanza: Element, is_pushed: bool) {
        let contact = bare(stanza.get("to")).to_owned();
        let stanza = stanza.with("from", &self.bare_jid(name)).with("to", &contact);
        let kind = stanza.get("type").to_owned();
        let account = self.users.get_mut(name).expect("who has a session");
        let had_request = account.requests.contains_key(&contact);
        if kind == "subscribe" || kind == "subscribed" && had_request {
            account.roster.entry(contact.clone()).or_default();
        }
        if matches!(kind.as_str(), "subscribed" | "unsubscribed") {
            account.requests.remove(&contact);
        }
        let item = account.roster.get_mut(&contact);
        let before = item.as_deref().cloned();
        if let Some(item) = item {
            match kind.as_str() {
                "subscribe" => item.asks = !item.has_to,
                "subscribed" if had_request => item.has_from = true,
                "unsubscribe" => (item.has_to, item.asks) = (false, false),
                "unsubscribed" => item.has_from = false,
                _ => {}
            }
        }
        let after = self.users[name].roster.get(&contact).cloned();
        if is_pushed && (before != after || kind == "subscribe") {
            self.push_item(name, &contact);
        }
        let had_from = before.as_ref().is_some_and(|item| item.has_from);
        match kind.as_str() {
            "unsubscribed" if had_from => self.show_all(name, &contact, false),
            // A grant that nobody asked for goes no further.
            "subscribed" if !had_request => return,
            _ => {}
        }
        self.subscription_in(&contact, &stanza);
        if kind == "subscribed" {
            self.show_all(name, &contact, true);
            let own = self.bare_jid(name);
            if self.is_shown(user(&contact), &own) {
                self.show_all(user(&contact), &own, true);
            }
        }
    }

    /// The other side of a subscription: `contact` is told.
    fn subscription_in(&mut self, contact: &str, stanza: &Element) {
        let from = stanza.get("from").to_owned();
        let kind = stanza.get("type");
        let name = user(contact).to_owned();
        if domain(contact) != self.domain {
            return;
        }
        let Some(account) = self.users.get_mut(&name) else {
            if kind == "subscribe" {
                let refusal = Element::new("presence", CLIENT).with("from", contact).with("to", &from);
                self.subscription_in(&from, &refusal.with("type", "unsubscribed"));
            }
            return;
        };
        let mut item = account.roster.get_mut(&from);
        let before = item.as_deref().cloned().unwrap_or_default();
        match (kind, &mut item) {
            ("subscribe", Some(item)) if item.has_from => {
                let grant = Element::new("presence", CLIENT).with("from", contact).with("to", &from);
                self.subscription_in(&from, &grant.with("type", "subscribed"));
                return self.show_all(&name, &from, true);
            }
            ("subscribe", _) => {
                account.requests.insert(from.clone(), stanza.clone());
                let nowhere = Element::new("presence", CLIENT).with("from", contact).with("to", &from);
                self.tell_all(user(&from), &nowhere.with("type", "unavailable"));
            }
            ("subscribed", Some(item)) if item.asks => (item.has_to, item.asks) = (true, false),
            ("unsubscribed", Some(item)) if item.has_to || item.asks => (item.has_to, item.asks) = (false, false),
            ("unsubscribe", item) => {
                account.requests.remove(&from);
                let had_from = item.as_mut().is_some_and(|item| std::mem::take(&mut item.has_from));
                if had_from {
                    self.show_all(&name, &from, false);
                }
            }
            _ => return,
        }
        self.tell_all(&name, stanza);
        if self.users[&name].roster.get(&from).is_some_and(|after| *after != before) {
            self.push_item(&name, &from);
        }
    }

    /// Whether a user's presence is told to a contact.
    fn is_shown(&self, name: &str, contact: &str) -> bool {
        let item = self.users.get(name).and_then(|account| account.roster.get(contact));
        item.is_some_and(|item| item.has_from)
    }

    /// Shows a contact all places where a user is, or that there are none. The account of a contact who is known in turn
    /// asks those places what they can do.
    fn show_all(&mut self, name: &str, contact: &str, is_shown: bool) {
        let own = self.bare_jid(name);
        for session in self.sessions_of(name) {
            let Some(stanza) = self.presence_of(session, is_shown) else { continue };
            let node = node(&stanza).filter(|_| self.is_shown(user(contact), &own));
            self.tell_all(user(contact), &stanza.with("to", contact));
            if let Some(node) = node {
                self.ask_disco(session, contact, &node);
            }
        }
    }

    /// The presence of a session as it is told to who comes to see it later; without being shown: that it is not there.
    fn presence_of(&self, session: SessionId, is_shown: bool) -> Option<Element> {
        let (at_ms, presence) = self.sessions[&session].presence.as_ref()?;
        if is_shown {
            return Some(presence.clone().and(self.delay(&self.domain, *at_ms)));
        }
        let full = self.full_jid(session);
        Some(Element::new("presence", CLIENT).with("from", &full).with("type", "unavailable"))
    }

    // ---- presence ----

    /// A session sends presence.
    pub(super) fn presence(&mut self, session: SessionId, stanza: Element) {
        let to = stanza.get("to").to_owned();
        let name = self.sessions[&session].user.clone();
        match stanza.get("type") {
            "" | "unavailable" if !to.is_empty() => self.directed(session, stanza),
            "" => self.available(session, stanza),
            "unavailable" => self.unavailable(session, stanza, true),
            "subscribe" | "subscribed" | "unsubscribe" | "unsubscribed" if to.is_empty() => {
                self.reply_error(session, &stanza, "modify", "bad-request");
            }
            "subscribe" if domain(&to) != self.domain => self.bounce(&stanza, "cancel", "remote-server-not-found"),
            "subscribe" | "subscribed" | "unsubscribe" | "unsubscribed" => self.subscription(&name, stanza, true),
            "error" | "probe" => {}
            _ => self.reply_error(session, &stanza, "modify", "bad-request"),
        }
    }

    /// The priority of a session that is available.
    pub(super) fn priority(&self, session: SessionId) -> Option<i32> {
        let (_, presence) = self.sessions.get(&session)?.presence.as_ref()?;
        Some(presence.text_of("priority").parse().unwrap_or(0))
    }

    fn available(&mut self, session: SessionId, mut stanza: Element) {
        let priority = stanza.text_of("priority");
        if !priority.is_empty() && priority.parse::<i8>().is_err() {
            return self.reply_error(session, &stanza, "modify", "bad-request");
        }
        let before = self.priority(session);
        let node = node(&stanza);
        stanza.push(Element::new("x", "vcard-temp:x:update").and(Element::new("photo", "vcard-temp:x:update")));
        self.session(session).presence = Some((self.now_ms, stanza.clone()));
        if let (Some(node), None) = (node, before) {
            let own = self.bare_jid(&self.sessions[&session].user);
            self.ask_disco(session, &own, &node);
        }
        self.broadcast(session, &stanza);
        self.deliver(session, &stanza);
        if before.is_none() {
            self.look_round(session);
        }
        if before.is_none_or(|before| before < 0) && self.priority(session) >= Some(0) {
            self.deliver_offline(session);
        }
    }

    /// What a session is told that has just come: where contacts are, its user's other sessions, and who waits for an answer.
    fn look_round(&mut self, session: SessionId) {
        let name = self.sessions[&session].user.clone();
        let (own, full) = (self.bare_jid(&name), self.full_jid(session));
        let watched = self.users[&name].roster.iter().filter(|(_, item)| item.has_to).map(|(jid, _)| jid.clone());
        for jid in watched.collect::<Vec<_>>() {
            if domain(&jid) != self.domain || !self.is_shown(user(&jid), &own) {
                continue;
            }
            let places = self.sessions_of(user(&jid)).into_iter().filter_map(|id| self.presence_of(id, true));
            let mut places = places.collect::<Vec<_>>();
            if places.is_empty() {
                places.push(Element::new("presence", CLIENT).with("from", &jid).with("type", "unavailable"));
            }
            places.into_iter().for_each(|place| self.deliver(session, &place.with("to", &full)));
        }
        for other in self.sessions_of(&name) {
            if let Some(stanza) = self.presence_of(other, true).filter(|_| other != session) {
                self.deliver(session, &stanza.with("to", &full));
            }
        }
        let requests: Vec<_> = self.users[&name].requests.values().cloned().collect();
        requests.iter().for_each(|request| self.deliver(session, request));
    }

    fn unavailable(&mut self, session: SessionId, stanza: Element, is_echoed: bool) {
        let was_there = self.session(session).presence.take().is_some();
        for jid in std::mem::take(&mut self.session(session).directed) {
            self.tell(&jid, &stanza);
        }
        if was_there {
            self.broadcast(session, &stanza);
        }
        if is_echoed {
            self.deliver(session, &stanza);
        }
    }

    /// A session ends without having said so.
    pub(super) fn leave(&mut self, session: SessionId) {
        let full = self.full_jid(session);
        let stanza = Element::new("presence", CLIENT).with("from", &full).with("type", "unavailable");
        self.unavailable(session, stanza, false);
    }

    fn directed(&mut self, session: SessionId, stanza: Element) {
        let to = stanza.get("to").to_owned();
        if stanza.get("type").is_empty() {
            self.session(session).directed.insert(to.clone());
        } else {
            self.session(session).directed.remove(&to);
        }
        self.tell(&to, &stanza);
    }

    fn tell(&mut self, to: &str, stanza: &Element) {
        if domain(to) != self.domain {
            return;
        }
        let stanza = stanza.clone().with("to", to);
        match self.session_at(user(to), resource(to)) {
            Some(session) => self.deliver(session, &stanza),
            None if resource(to).is_empty() => self.tell_all(user(to), &stanza),
            None => {}
        }
    }

    /// Tells contacts and the user's other sessions.
    fn broadcast(&mut self, session: SessionId, stanza: &Element) {
        let name = self.sessions[&session].user.clone();
        let watchers = self.users[&name].roster.iter().filter(|(_, item)| item.has_from).map(|(jid, _)| jid.clone());
        for jid in watchers.collect::<Vec<_>>() {
            if domain(&jid) == self.domain {
                self.tell_all(user(&jid), &stanza.clone().with("to", &jid));
            }
        }
        for other in self.sessions_of(&name) {
            if other != session && self.sessions[&other].presence.is_some() {
                let to = self.full_jid(other);
                self.deliver(other, &stanza.clone().with("to", &to));
            }
        }
    }

    /// Gives a stanza to all sessions of a user that are available.
    fn tell_all(&mut self, name: &str, stanza: &Element) {
        for session in self.sessions_of(name) {
            if self.sessions[&session].presence.is_some() {
                self.deliver(session, stanza);
            }
        }
    }
}

/// The node that names what a client can do (XEP-0115).
fn node(presence: &Element) -> Option<String> {
    presence.child("c", CAPS).map(|c| format!("{}#{}", c.get("node"), c.get("ver")))
}
