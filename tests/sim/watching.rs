//! Watchers and publishers of the simulated world: SUBSCRIBE, NOTIFY and PUBLISH by its phones (RFC 6665, RFC 3856, RFC
//! 3903, RFC 4662), and what they read in documents, found with the eyes of somebody who shares no code with the server.

use std::collections::BTreeSet;

use crate::message::{Msg, param};
use crate::script::Call;
use crate::world::World;

/// A subscription of a phone's.
#[derive(Clone, Debug)]
pub struct Watching {
    /// The phone.
    pub phone: usize,
    /// The request that began it.
    pub call: Call,
    call_id: String,
}

/// A NOTIFY, as its watcher reads it.
#[derive(Clone, Debug)]
pub struct Notice {
    /// When it came.
    pub at: u64,
    /// Active, pending or terminated.
    pub state: String,
    /// Why it was terminated.
    pub reason: String,
    /// What the document says, if there is one about a single person.
    pub seen: Option<Seen>,
    /// What is said of a list.
    pub list: Option<Listing>,
    /// The message.
    pub msg: Msg,
}

/// What a document says of a person, in whatever format.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// Whether she can be reached.
    pub is_open: bool,
    /// What she does: elements of RPID, or the one word of the other formats.
    pub activities: BTreeSet<String>,
    /// Her note.
    pub note: String,
    /// Whether she can be called, if it is said.
    pub audio: Option<bool>,
    /// Whether she can be written to, if it is said.
    pub message: Option<bool>,
}

/// What a NOTIFY says of a list.
#[derive(Clone, Debug, Default)]
pub struct Listing {
    /// Whether it names all resources.
    pub is_full: bool,
    /// Its number.
    pub version: u32,
    /// The resources it names, with what is said of those that bring a document.
    pub entries: Vec<(String, Option<Seen>)>,
}

impl Seen {
    /// Somebody who can't be reached, of whom nothing else is known.
    pub fn offline() -> Self {
        Self::default()
    }

    /// Whether she does this.
    pub fn does(&self, activity: &str) -> bool {
        self.activities.contains(activity)
    }

    /// Reads a document of this type. Panics on what no agent may send.
    pub fn read(content_type: &str, body: &str) -> Self {
        match content_type.split(';').next().unwrap_or("") {
            "application/pidf+xml" => Self::of_pidf(body),
            "application/xpidf+xml" => Self {
                is_open: attribute(body, "status", "status") != Some("closed"),
                activities: attribute(body, "msnsubstatus", "substatus").map(String::from).into_iter().collect(),
                note: text_of(body, "note").unwrap_or_default(),
                ..Self::default()
            },
            "text/xml+msrtc.pidf" => {
                let number = attribute(body, "availability", "aggregate").and_then(|it| it.parse::<u32>().ok());
                Self {
                    is_open: number.expect("there is an availability") >= 300,
                    activities: attribute(body, "activity", "aggregate").map(String::from).into_iter().collect(),
                    note: text_of(body, "note").unwrap_or_default(),
                    ..Self::default()
                }
            }
            other => panic!("no presence document: {other}"),
        }
    }

    fn of_pidf(body: &str) -> Self {
        assert!(body.contains("<presence xmlns=\"urn:ietf:params:xml:ns:pidf\""), "not what clients look for: {body}");
        let inside = body.split("<rpid:activities>").nth(1).and_then(|rest| rest.split("</rpid:activities>").next());
        let names = inside.unwrap_or("").split("<rpid:").skip(1);
        let flag = |name| text_of(body, name).map(|text| text == "true");
        Self {
            is_open: match text_of(body, "basic").as_deref() {
                Some("open") => true,
                Some("closed") => false,
                other => panic!("basic is {other:?}: {body}"),
            },
            activities: names.filter_map(|name| name.split("/>").next()).map(String::from).collect(),
            note: text_of(body, "note").unwrap_or_default(),
            audio: flag("caps:audio"),
            message: flag("caps:message"),
        }
    }
}

impl Notice {
    fn read(at: u64, msg: &Msg) -> Self {
        let state = msg.get("Subscription-State");
        let (content_type, body) = (msg.get("Content-Type"), String::from_utf8_lossy(&msg.body).to_string());
        let is_list = content_type.starts_with("multipart/related");
        let is_document = !body.is_empty() && !is_list && msg.get("Event").starts_with("presence") && {
            !content_type.starts_with("application/watcherinfo+xml")
        };
        Self {
            at,
            state: state.split(';').next().unwrap_or("").trim().into(),
            reason: param(state, "reason").unwrap_or("").into(),
            seen: is_document.then(|| Seen::read(content_type, &body)),
            list: is_list.then(|| Listing::read(msg, &body)),
            msg: msg.clone(),
        }
    }

    /// Its body as text.
    pub fn body(&self) -> String {
        String::from_utf8_lossy(&self.msg.body).to_string()
    }
}

impl Listing {
    fn read(msg: &Msg, body: &str) -> Self {
        assert!(msg.get("Require").contains("eventlist"), "RFC 4662 §4.2");
        let content_type = msg.get("Content-Type");
        let of_type = |name: &str| {
            let rest = content_type.split(&format!(";{name}=")).nth(1);
            let rest = rest.unwrap_or_else(|| panic!("no {name} in {content_type}"));
            let value = rest.strip_prefix('"').map_or(rest.split(';').next(), |quoted| quoted.split('"').next());
            value.expect("it has a value").to_string()
        };
        let (boundary, start) = (of_type("boundary"), of_type("start"));
        let mut parts: Vec<(String, String, String)> = Vec::new();
        for part in body.split(&format!("--{boundary}")).skip(1).filter(|part| !part.starts_with("--")) {
            let (head, text) = part.split_once("\r\n\r\n").expect("a part has a head");
            let field = |name: &str| {
                let lines = head.lines().filter_map(|line| line.split_once(':'));
                lines.filter(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim()).next()
            };
            let id = field("Content-ID").unwrap_or("").to_string();
            parts.push((id, field("Content-Type").unwrap_or("").into(), text.trim_end().into()));
        }
        let rlmi = &parts.iter().find(|(id, ..)| *id == start).expect("the start is there").2;
        let of_list = |name| attribute(rlmi, "list", name).expect("the list says it");
        let mut listing = Self {
            is_full: of_list("fullState") == "true",
            version: of_list("version").parse().expect("a version is a number"),
            entries: Vec::new(),
        };
        for resource in rlmi.split("<resource ").skip(1) {
            let uri = quoted(resource, "uri").expect("a resource has a URI");
            let cid = resource.split("</resource>").next().and_then(|inner| quoted(inner, "cid"));
            let document = cid.map(|cid| {
                let part = parts.iter().find(|(id, ..)| *id == format!("<{cid}>"));
                let (_, kind, text) = part.unwrap_or_else(|| panic!("no part {cid} in {body}"));
                Seen::read(kind, text)
            });
            listing.entries.push((uri.into(), document));
        }
        let documents = listing.entries.iter().filter(|(_, document)| document.is_some()).count();
        assert_eq!(documents + 1, parts.len(), "every part belongs to a resource: {body}");
        listing
    }
}

impl World {
    /// Watches somebody's presence for an hour, in PIDF.
    pub fn watch(&mut self, phone: usize, uri: &str) -> Watching {
        self.subscribe(phone, uri, "presence", 3600, &[("Accept", "application/pidf+xml")])
    }

    /// Watches somebody's presence, and waits until that is granted.
    pub fn watches(&mut self, phone: usize, uri: &str) -> Watching {
        let watching = self.watch(phone, uri);
        assert_eq!(self.outcome_of(watching.call), Some(200), "SUBSCRIBE {uri}");
        self.run(50);
        watching
    }

    /// Subscribes, with these fields more.
    pub fn subscribe(
        &mut self,
        phone: usize,
        uri: &str,
        event: &str,
        expires_s: u32,
        fields: &[(&str, &str)],
    ) -> Watching {
        let request = self.subscription(phone, uri, event, expires_s, fields);
        self.begin(phone, request)
    }

    /// A SUBSCRIBE, not sent.
    pub fn subscription(
        &mut self,
        phone: usize,
        uri: &str,
        event: &str,
        expires_s: u32,
        fields: &[(&str, &str)],
    ) -> Msg {
        let request = self.phones[phone].request("SUBSCRIBE", uri, &format!("<{uri}>"));
        let request = request.with("Event", event).with("Expires", &expires_s.to_string());
        fields.iter().fold(request, |request, (name, value)| request.with(name, value))
    }

    /// Sends a SUBSCRIBE that begins a subscription.
    pub fn begin(&mut self, phone: usize, request: Msg) -> Watching {
        let call_id = request.get("Call-ID").to_string();
        Watching { phone, call: self.send(phone, request), call_id }
    }

    /// Refreshes a subscription, or ends it with 0.
    pub fn refresh(&mut self, watching: &Watching, expires_s: u32) -> Call {
        let request = self.refreshing(watching, expires_s);
        self.send(watching.phone, request)
    }

    /// The request that refreshes a subscription, not sent.
    pub fn refreshing(&mut self, watching: &Watching, expires_s: u32) -> Msg {
        let phone = &mut self.phones[watching.phone];
        let dialog = phone.dialogs.iter().position(|dialog| dialog.call_id == watching.call_id);
        let request = phone.dialog_request(dialog.expect("it was granted"), "SUBSCRIBE");
        request.with("Event", "presence").with("Expires", &expires_s.to_string())
    }

    /// All NOTIFYs of a subscription so far.
    pub fn notices(&self, watching: &Watching) -> Vec<Notice> {
        let requests = self.phones[watching.phone].requests.iter();
        let its = requests.filter(|(_, msg)| msg.method() == "NOTIFY" && msg.get("Call-ID") == watching.call_id);
        its.map(|(at, msg)| Notice::read(*at, msg)).collect()
    }

    /// The last NOTIFY of a subscription.
    pub fn last(&self, watching: &Watching) -> Notice {
        self.notices(watching).pop().expect("there was a NOTIFY")
    }

    /// What a watcher sees now.
    pub fn seen(&self, watching: &Watching) -> Seen {
        let notices = self.notices(watching);
        notices.into_iter().rev().find_map(|notice| notice.seen).expect("something was seen")
    }

    /// What the watcher of a list knows of an entry: from the last full NOTIFY on.
    pub fn seen_of(&self, watching: &Watching, uri: &str) -> Option<Seen> {
        let mut known = None;
        for listing in self.notices(watching).into_iter().filter_map(|notice| notice.list) {
            if listing.is_full {
                known = None;
            }
            let it = listing.entries.into_iter().find(|(it, document)| it == uri && document.is_some());
            known = it.and_then(|(_, document)| document).or(known);
        }
        known
    }

    /// Publishes a document, in place of the one with that entity-tag.
    pub fn publish(&mut self, phone: usize, etag: Option<&str>, expires_s: u32, document: &str) -> Call {
        let content_type = if document.is_empty() { "" } else { "application/pidf+xml" };
        self.publish_as(phone, etag, expires_s, (content_type, document))
    }

    /// Publishes a document of some type; an empty one has none.
    pub fn publish_as(
        &mut self,
        phone: usize,
        etag: Option<&str>,
        expires_s: u32,
        (content_type, document): (&str, &str),
    ) -> Call {
        let aor = self.phones[phone].aor.clone();
        let mut request = self.phones[phone].request("PUBLISH", &aor, &format!("<{aor}>"));
        request.remove("Contact");
        request.add("Event", "presence");
        request.add("Expires", &expires_s.to_string());
        if let Some(etag) = etag {
            request.add("SIP-If-Match", etag);
        }
        if !content_type.is_empty() {
            request.add("Content-Type", content_type);
        }
        request.body = document.as_bytes().to_vec();
        self.send(phone, request)
    }

    /// Publishes for an hour; the entity-tag.
    pub fn published(&mut self, phone: usize, etag: Option<&str>, document: &str) -> String {
        let call = self.publish(phone, etag, 3600, document);
        assert_eq!(self.outcome_of(call), Some(200), "PUBLISH");
        self.answer(call).get("SIP-ETag").into()
    }

    /// Says something to the home, and hears the answer.
    pub fn tell(&mut self, phone: usize, text: &str) -> String {
        let (now, before) = (self.now, self.count(phone, "MESSAGE"));
        let call = (phone, self.phones[phone].message(now, "sip:pcs@home.example", text));
        assert_eq!(self.outcome_of(call), Some(200), "MESSAGE to the home");
        assert!(self.run_until(2_000, |world| world.count(phone, "MESSAGE") > before), "no answer to {text:?}");
        let answer = self.phones[phone].got("MESSAGE").pop().expect("there is one").clone();
        assert!(answer.get("From").starts_with("<sip:pcs@home.example>"), "from {}", answer.get("From"));
        String::from_utf8(answer.body).expect("it is text")
    }
}

/// A document in PIDF as a client might write it.
pub fn pidf(is_open: bool, activity: &str, note: &str) -> String {
    let basic = if is_open { "open" } else { "closed" };
    let activity = if activity.is_empty() {
        String::new()
    } else {
        format!("<rpid:activities><rpid:{activity}/></rpid:activities>")
    };
    let note = note.replace('&', "&amp;").replace('<', "&lt;");
    let note = if note.is_empty() { note } else { format!("<note>{note}</note>") };
    format!(
        "<?xml version=\"1.0\"?>\n<presence xmlns=\"urn:ietf:params:xml:ns:pidf\" \
         xmlns:dm=\"urn:ietf:params:xml:ns:pidf:data-model\" xmlns:rpid=\"urn:ietf:params:xml:ns:pidf:rpid\" \
         entity=\"sip:alice@home.example\"><tuple id=\"x\"><status><basic>{basic}</basic></status>{note}</tuple>\
         <dm:person id=\"p\">{activity}</dm:person></presence>"
    )
}

/// The text in the first element of that name.
pub fn text_of(xml: &str, name: &str) -> Option<String> {
    let open = xml.split(&format!("<{name}>")).nth(1)?;
    let text = open.split(&format!("</{name}>")).next()?;
    Some(text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&amp;", "&"))
}

/// An attribute of the first element of that name.
pub fn attribute<'x>(xml: &'x str, element: &str, name: &str) -> Option<&'x str> {
    let begun = xml.split(&format!("<{element} ")).nth(1)?;
    quoted(begun.split('>').next()?, name)
}

fn quoted<'x>(tag: &'x str, name: &str) -> Option<&'x str> {
    let pattern = format!("{name}=\"");
    let at = if tag.starts_with(&pattern) { 0 } else { tag.find(&format!(" {pattern}"))? + 1 };
    tag[at + pattern.len()..].split('"').next()
}
