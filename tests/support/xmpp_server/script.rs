//! Users that a test plays without XML, each with one client of the resource `script`, and what can go wrong.

use std::mem;

use super::message::{CARBONS, CHAT_STATES, MARKERS, RECEIPTS, has_body};
use super::xml::{CLIENT, Element, escaped};
use super::{Conn, Outlet, SessionId, XmppServer};

/// The resource of clients that a test plays.
const RESOURCE: &str = "script";

/// What such a client got. JIDs are full where the stanza's were.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Got {
    Message {
        from: String,
        body: String,
        id: String,
        is_delayed: bool,
    },
    /// A copy of what another client of the user has sent.
    Own {
        to: String,
        body: String,
    },
    /// A copy of what another client of the user has got.
    Copy {
        from: String,
        body: String,
    },
    /// A chat state without a text.
    Typing {
        from: String,
        state: String,
    },
    Receipt {
        from: String,
        id: String,
        is_read: bool,
    },
    /// `show` as in the stanza; `unavailable` for who is gone.
    Presence {
        from: String,
        show: String,
        status: String,
    },
    /// The type of a subscription stanza.
    Subscription {
        from: String,
        kind: String,
    },
    Failed {
        from: String,
        id: String,
        condition: String,
    },
}

/// What a server may do to a client.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Fault {
    /// Another client took the resource.
    Conflict,
    SystemShutdown,
    SeeOtherHost(String),
    /// XML that is not well-formed.
    Malformed,
    /// An entity that stands for itself many times over.
    EntityBomb,
    /// A carbon that does not come from the account.
    ForgedCarbon {
        from: String,
        body: String,
    },
    /// A roster push that does not come from the account.
    StrangerPush {
        from: String,
        jid: String,
    },
    /// A message with a body of so many bytes.
    Oversized(usize),
    /// Elements in each other.
    Nested(usize),
}

impl XmppServer {
    /// A user's client shows presence: `show` is empty for available, `unavailable` to go.
    pub fn user_presence(&mut self, name: &str, show: &str, status: &str) {
        let mut stanza = Element::new("presence", CLIENT);
        if show == "unavailable" {
            stanza.set("type", show);
        } else if !show.is_empty() {
            stanza.push(Element::new("show", CLIENT).says(show));
        }
        if !status.is_empty() {
            stanza.push(Element::new("status", CLIENT).says(status));
        }
        let session = self.script_sends(name, &stanza);
        if show == "unavailable" {
            self.end_session(session);
            self.request_acknowledgements();
        }
    }

    /// A user's client sends a text and asks for a receipt; the message's id.
    pub fn user_says(&mut self, name: &str, to: &str, body: &str) -> String {
        let id = self.unique("said");
        let message = Element::new("message", CLIENT).with("to", to).with("type", "chat").with("id", &id);
        let message = message.and(Element::new("body", CLIENT).says(body));
        let message = message.and(Element::new("active", CHAT_STATES)).and(Element::new("request", RECEIPTS));
        self.script_sends(name, &message);
        id
    }

    /// A user's client says what its user does: `composing`, `paused`, `active`, `inactive` or `gone`.
    pub fn user_types(&mut self, name: &str, to: &str, state: &str) {
        let message = Element::new("message", CLIENT).with("to", to).with("type", "chat");
        self.script_sends(name, &message.and(Element::new(state, CHAT_STATES)));
    }

    /// A user's client says that a message was seen (XEP-0333).
    pub fn user_reads(&mut self, name: &str, to: &str, id: &str) {
        let message = Element::new("message", CLIENT).with("to", to).with("type", "chat");
        self.script_sends(name, &message.and(Element::new("displayed", MARKERS).with("id", id)));
    }

    /// A user's client sends a subscription stanza of a type.
    pub fn user_subscription(&mut self, name: &str, to: &str, kind: &str) {
        self.script_sends(name, &Element::new("presence", CLIENT).with("to", to).with("type", kind));
    }

    /// A user's client sends any stanza.
    pub fn user_sends(&mut self, name: &str, stanza: &Element) {
        self.script_sends(name, stanza);
    }

    /// A user's client acknowledges no messages from now on.
    pub fn silence(&mut self, name: &str) {
        self.users.get_mut(name).expect("a user").is_silent = true;
    }

    /// Takes what a user's client has got.
    pub fn inbox(&mut self, name: &str) -> Vec<Got> {
        mem::take(&mut self.users.get_mut(name).expect("a user").inbox)
    }

    /// Something goes wrong on a connection.
    pub fn inject(&mut self, conn: Conn, fault: &Fault) {
        match fault {
            Fault::Conflict => self.stream_error(conn, "conflict", "Replaced by new connection"),
            Fault::SystemShutdown => self.stream_error(conn, "system-shutdown", "Received SIGTERM"),
            Fault::SeeOtherHost(host) => self.stream_error(conn, "see-other-host", host),
            Fault::Malformed => self.send(conn, "<message><body>a < b & c</message></body>"),
            Fault::EntityBomb => self.send(
                conn,
                "<!DOCTYPE x [<!ENTITY a 'aaaaaaaaaa'><!ENTITY b '&a;&a;&a;&a;'><!ENTITY c '&b;&b;&b;&b;'>]>\
                 <message from='x@y'><body>&c;</body></message>",
            ),
            Fault::ForgedCarbon { from, body } => self.forge_carbon(conn, from, body),
            Fault::StrangerPush { from, jid } => self.send_counted(
                conn,
                &format!(
                    "<iq type='set' id='forged' from='{}'><query xmlns='jabber:iq:roster'><item jid='{}' \
                     name='Forged' subscription='both'/></query></iq>",
                    escaped(from),
                    escaped(jid)
                ),
            ),
            Fault::Oversized(bytes) => {
                let body = "x".repeat(*bytes);
                self.send_counted(conn, &format!("<message from='big@{}'><body>{body}</body></message>", self.domain));
            }
            Fault::Nested(depth) => {
                let (open, close) = ("<d>".repeat(*depth), "</d>".repeat(*depth));
                self.send_counted(conn, &format!("<message from='deep@{}'>{open}{close}</message>", self.domain));
            }
        }
    }

    /// Sends bytes as they are, which are no stanza.
    pub fn send_raw(&mut self, conn: Conn, text: &str) {
        self.send(conn, text);
    }

    /// Sends a stanza that was made by hand; it counts as the others do.
    pub fn send_counted(&mut self, conn: Conn, stanza: &str) {
        let Some(session) = self.connection(conn).session else { return self.send(conn, stanza) };
        let mut reader = super::xml::Reader::default();
        reader.feed(format!("<s xmlns='{CLIENT}'>{stanza}").as_bytes());
        let read = reader.next().and_then(|_| reader.next());
        let Ok(Some(super::xml::Piece::Stanza(element))) = read else { panic!("not one stanza: {stanza}") };
        self.deliver(session, &element);
        self.request_acknowledgements();
    }

    fn forge_carbon(&mut self, conn: Conn, from: &str, body: &str) {
        let Some(session) = self.connection(conn).session else { return };
        let inner = Element::new("message", CLIENT).with("from", from).with("to", &self.full_jid(session));
        let inner = inner.with("type", "chat").and(Element::new("body", CLIENT).says(body));
        let carbon = self.carbon("received", session, &inner).with("from", from);
        self.deliver(session, &carbon);
        self.request_acknowledgements();
    }

    fn script_sends(&mut self, name: &str, stanza: &Element) -> SessionId {
        let session = self.script_session(name);
        self.stanza(session, stanza);
        self.request_acknowledgements();
        session
    }

    fn script_session(&mut self, name: &str) -> SessionId {
        assert!(self.users.contains_key(name), "{name} is no user");
        if let Some(session) = self.session_at(name, RESOURCE) {
            return session;
        }
        let session = self.new_session(name, RESOURCE, Outlet::Script);
        self.session(session).has_carbons = true;
        session
    }

    /// A stanza for a client that the test plays.
    pub(super) fn script_got(&mut self, session: SessionId, stanza: &Element) {
        let name = self.sessions[&session].user.clone();
        let from = stanza.get("from").to_owned();
        if stanza.name == "iq" {
            return self.script_answers(session, stanza);
        }
        let got = match (stanza.name.as_str(), stanza.get("type")) {
            (_, "error") => Some(failed(stanza)),
            ("presence", kind) if kind.contains("subscribe") => Some(Got::Subscription { from, kind: kind.into() }),
            ("presence", kind) => {
                let show = if kind.is_empty() { stanza.text_of("show") } else { kind.to_owned() };
                Some(Got::Presence { from, show, status: stanza.text_of("status") })
            }
            _ => message(stanza),
        };
        self.users.get_mut(&name).expect("who has a session").inbox.extend(got);
        let wants_receipt = has_body(stanza) && stanza.child("request", RECEIPTS).is_some();
        if wants_receipt && !stanza.get("from").is_empty() && !self.users[&name].is_silent {
            let received = Element::new("received", RECEIPTS).with("id", stanza.get("id"));
            let receipt = Element::new("message", CLIENT).with("to", stanza.get("from")).with("type", "chat");
            self.stanza(session, &receipt.and(received));
        }
    }

    /// Clients answer what they are asked; these know nothing but pings.
    fn script_answers(&mut self, session: SessionId, iq: &Element) {
        if !matches!(iq.get("type"), "get" | "set") {
            return;
        }
        let answer = Element::new("iq", CLIENT).with("to", iq.get("from")).with("id", iq.get("id"));
        let is_known = iq.of("urn:xmpp:ping").is_some() || iq.of(super::presence::ROSTER).is_some();
        let answer = if is_known {
            answer.with("type", "result")
        } else {
            let condition = Element::new("service-unavailable", "urn:ietf:params:xml:ns:xmpp-stanzas");
            answer.with("type", "error").and(Element::new("error", CLIENT).with("type", "cancel").and(condition))
        };
        self.stanza(session, &answer);
    }
}

fn failed(stanza: &Element) -> Got {
    let error = stanza.child("error", CLIENT);
    let condition = error.and_then(|error| error.children().next()).map(|c| c.name.clone()).unwrap_or_default();
    Got::Failed { from: stanza.get("from").into(), id: stanza.get("id").into(), condition }
}

fn message(stanza: &Element) -> Option<Got> {
    let from = stanza.get("from").to_owned();
    if let Some(carbon) = stanza.of(CARBONS) {
        let inner = carbon.children().next()?.children().find(|child| child.name == "message")?;
        let (to, body) = (inner.get("to").to_owned(), inner.text_of("body"));
        return has_body(inner).then(|| match carbon.name.as_str() {
            "sent" => Got::Own { to, body },
            _ => Got::Copy { from: inner.get("from").into(), body },
        });
    }
    if has_body(stanza) {
        let is_delayed = stanza.child("delay", "urn:xmpp:delay").is_some();
        return Some(Got::Message { from, body: stanza.text_of("body"), id: stanza.get("id").into(), is_delayed });
    }
    if let Some(received) = stanza.child("received", RECEIPTS) {
        return Some(Got::Receipt { from, id: received.get("id").into(), is_read: false });
    }
    if let Some(displayed) = stanza.child("displayed", MARKERS) {
        return Some(Got::Receipt { from, id: displayed.get("id").into(), is_read: true });
    }
    stanza.of(CHAT_STATES).map(|state| Got::Typing { from, state: state.name.clone() })
}
