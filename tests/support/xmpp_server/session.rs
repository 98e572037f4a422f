//! Stanzas of a bound session, what is asked of the server and of accounts, and the answers (RFC 6120 §8).

use super::message::{CARBONS, MAM};
use super::presence::ROSTER;
use super::xml::{CLIENT, Element};
use super::{Outlet, SESSION, SessionId, XmppServer, bare, domain, resource, user};

const STANZA_ERRORS: &str = "urn:ietf:params:xml:ns:xmpp-stanzas";
const DISCO_INFO: &str = "http://jabber.org/protocol/disco#info";
const DISCO_ITEMS: &str = "http://jabber.org/protocol/disco#items";
const PING: &str = "urn:xmpp:ping";
const VERSION: &str = "jabber:iq:version";

impl XmppServer {
    /// A session sends a stanza.
    pub(super) fn stanza(&mut self, session: SessionId, stanza: &Element) {
        if let Some(management) = &mut self.session(session).management {
            management.handled = management.handled.wrapping_add(1);
        }
        let full = self.full_jid(session);
        let from = stanza.get("from");
        if !from.is_empty() && from != full && from != bare(&full) {
            return self.fail(session, "invalid-from");
        }
        let mut stanza = stanza.clone().with("from", &full);
        let (to, rest) = stanza.get("to").split_once('/').unwrap_or((stanza.get("to"), ""));
        let to = if rest.is_empty() { to.to_lowercase() } else { format!("{}/{rest}", to.to_lowercase()) };
        stanza.set("to", &to);
        if stanza.name != "iq" && stanza.get("xml:lang").is_empty() {
            stanza.set("xml:lang", "en");
        }
        match stanza.name.as_str() {
            "iq" => self.iq(session, &stanza),
            "message" => self.message(session, stanza),
            "presence" => self.presence(session, stanza),
            _ => self.fail(session, "unsupported-stanza-type"),
        }
    }

    fn fail(&mut self, session: SessionId, condition: &str) {
        if let Outlet::Connection(conn) = self.sessions[&session].outlet {
            self.stream_error(conn, condition, "");
        }
    }

    fn iq(&mut self, session: SessionId, iq: &Element) {
        let is_request = match iq.get("type") {
            "get" | "set" => true,
            "result" | "error" => false,
            _ => return self.reply_error(session, iq, "modify", "bad-request"),
        };
        if iq.get("id").is_empty() || is_request && iq.children().count() != 1 {
            return self.reply_error(session, iq, "modify", "bad-request");
        }
        let to = iq.get("to").to_owned();
        let own = bare(iq.get("from")).to_owned();
        if !is_request {
            self.session(session).asked.remove(iq.get("id"));
        }
        if to.is_empty() || to == own || to == self.domain {
            if is_request {
                self.ask(session, iq, to == self.domain);
            }
        } else if domain(&to) != self.domain {
            self.bounce(iq, "cancel", "remote-server-not-found");
        } else if let Some(target) = self.session_at(user(&to), resource(&to)) {
            self.deliver(target, iq);
        } else if is_request {
            self.reply_error(session, iq, "cancel", "service-unavailable");
        }
    }

    /// Something asked of the server, or of the account of who asks.
    fn ask(&mut self, session: SessionId, iq: &Element, is_of_server: bool) {
        let Some(payload) = iq.children().next() else { return };
        let payload = payload.clone();
        match (iq.get("type"), payload.name.as_str(), payload.ns.as_str()) {
            ("get", "query", ROSTER) => self.get_roster(session, iq),
            ("set", "query", ROSTER) => self.set_roster(session, iq, &payload),
            ("set", name @ ("enable" | "disable"), CARBONS) if self.options.has_carbons => {
                self.session(session).has_carbons = name == "enable";
                self.reply(session, iq, None);
            }
            ("set", "query", MAM) if self.options.has_archive && !is_of_server => {
                self.query_archive(session, iq, &payload);
            }
            ("get", "ping", PING) | ("set", "session", SESSION) => self.reply(session, iq, None),
            ("get", "query", DISCO_INFO) => {
                let info = self.disco_info(is_of_server);
                self.reply(session, iq, Some(info));
            }
            ("get", "query", DISCO_ITEMS) => self.reply(session, iq, Some(Element::new("query", DISCO_ITEMS))),
            ("get", "query", VERSION) if is_of_server => {
                let version = Element::new("query", VERSION).and(Element::new("name", VERSION).says("Prosody"));
                self.reply(session, iq, Some(version.and(Element::new("version", VERSION).says("0.12.3"))));
            }
            _ => self.reply_error(session, iq, "cancel", "service-unavailable"),
        }
    }

    fn disco_info(&self, is_of_server: bool) -> Element {
        let (category, kind) = if is_of_server { ("server", "im") } else { ("account", "registered") };
        let identity = Element::new("identity", DISCO_INFO).with("category", category).with("type", kind);
        let features = [
            (true, DISCO_INFO),
            (true, DISCO_ITEMS),
            (is_of_server, PING),
            (is_of_server, ROSTER),
            (is_of_server, "msgoffline"),
            (is_of_server && self.options.has_carbons, CARBONS),
            (!is_of_server && self.options.has_archive, MAM),
            (!is_of_server && self.options.has_archive, super::message::STANZA_ID),
        ];
        let features = features.into_iter().filter(|(has, _)| *has);
        features.fold(Element::new("query", DISCO_INFO).and(identity), |query, (_, name)| {
            query.and(Element::new("feature", DISCO_INFO).with("var", name))
        })
    }

    /// An account asks a client what it can do.
    pub(super) fn ask_disco(&mut self, session: SessionId, from: &str, node: &str) {
        let full = self.full_jid(session);
        let id = self.unique("disco");
        let query = Element::new("query", DISCO_INFO).with("node", node);
        let iq = Element::new("iq", CLIENT).with("from", from).with("to", &full).with("type", "get");
        self.deliver(session, &iq.with("id", &id).and(query));
    }

    /// Pings a client (XEP-0199); counted in [`XmppServer::unanswered`] until it answers.
    pub fn ping(&mut self, jid: &str) {
        let session = self.session_at(user(jid), resource(jid)).expect("a session of that name");
        let id = self.unique("ping");
        let iq = Element::new("iq", CLIENT).with("from", &self.domain).with("to", jid).with("type", "get");
        self.deliver(session, &iq.with("id", &id).and(Element::new("ping", PING)));
        self.request_acknowledgements();
    }

    pub(super) fn reply(&mut self, session: SessionId, iq: &Element, payload: Option<Element>) {
        let full = self.full_jid(session);
        let mut result = Element::new("iq", CLIENT).with("from", iq.get("to")).with("to", &full);
        result = result.with("type", "result").with("id", iq.get("id"));
        if let Some(payload) = payload {
            result.push(payload);
        }
        self.deliver(session, &result);
    }

    pub(super) fn reply_error(&mut self, session: SessionId, stanza: &Element, kind: &str, condition: &str) {
        let error = error(stanza, kind, condition).with("to", &self.full_jid(session));
        self.deliver(session, &error);
    }

    /// Sends a stanza back to the session it came from, if that is still there. Errors and results are not sent back.
    pub(super) fn bounce(&mut self, stanza: &Element, kind: &str, condition: &str) {
        let is_answer = matches!(stanza.get("type"), "error" | "result");
        let from = stanza.get("from").to_owned();
        if let Some(session) = self.session_at(user(&from), resource(&from))
            && domain(&from) == self.domain
            && !is_answer
        {
            self.reply_error(session, stanza, kind, condition);
        }
    }
}

/// What says that a stanza failed.
fn error(stanza: &Element, kind: &str, condition: &str) -> Element {
    let error = Element::new("error", CLIENT).with("type", kind).and(Element::new(condition, STANZA_ERRORS));
    let answer = Element::new(&stanza.name, CLIENT).with("from", stanza.get("to")).with("to", stanza.get("from"));
    answer.with("type", "error").with("id", stanza.get("id")).and(error)
}
