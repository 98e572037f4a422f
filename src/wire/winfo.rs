//! `application/watcherinfo+xml` (RFC 3857 §4.7, RFC 3858), written: who watches a person, and what has become of it.
//!
//! Left out: reading one, `duration-subscribed`, and several lists in one document, which nothing here prevents.

use super::xml::{escape, escape_bytes};
use crate::base::text::Writer;

/// The media type.
pub const CONTENT_TYPE: &str = "application/watcherinfo+xml";

/// One watcher's subscription.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Watcher<'b> {
    /// What it is known by from one document to the next.
    pub id: &'b [u8],
    /// Its state.
    pub status: Status,
    /// What brought it there.
    pub event: Event,
    /// Seconds until it ends.
    pub expiration_s: Option<u32>,
    /// Who watches.
    pub uri: &'b [u8],
    /// The name he gave; empty leaves it out.
    pub name: &'b str,
}

/// The state of a subscription (RFC 3857 §4.7.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Status {
    /// Nobody has decided on it.
    Pending,
    /// It ran out before somebody did.
    Waiting,
    /// Allowed.
    Active,
    /// Over.
    Terminated,
}

/// What changes the state of a subscription (RFC 3857 §4.7.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs, reason = "the names of RFC 3857 §4.7.1")]
pub enum Event {
    Subscribe,
    Approved,
    Deactivated,
    Probation,
    Rejected,
    Timeout,
    Giveup,
    NoResource,
}

/// Begins the document. `version` counts the NOTIFYs of the subscription from 0; `full_state` says that all watchers
/// follow, else those that have changed.
pub fn begin(version: u32, full_state: bool, out: &mut Writer<'_>) {
    out.text("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\r\n");
    out.text("<watcherinfo xmlns=\"urn:ietf:params:xml:ns:watcherinfo\" version=\"");
    out.number(version.into());
    out.text(if full_state { "\" state=\"full\">\r\n" } else { "\" state=\"partial\">\r\n" });
}

/// Begins the watchers of one resource by one package.
pub fn begin_list(resource: &[u8], package: &[u8], out: &mut Writer<'_>) {
    out.text("<watcher-list resource=\"");
    escape_bytes(resource, out);
    out.text("\" package=\"");
    escape_bytes(package, out);
    out.text("\">\r\n");
}

impl Watcher<'_> {
    /// Writes one watcher into a list.
    pub fn write(&self, out: &mut Writer<'_>) {
        out.text("<watcher id=\"");
        escape_bytes(self.id, out);
        out.text("\" status=\"");
        out.text(self.status.as_str());
        out.text("\" event=\"");
        out.text(self.event.as_str());
        if let Some(seconds) = self.expiration_s {
            out.text("\" expiration=\"");
            out.number(seconds.into());
        }
        if !self.name.is_empty() {
            out.text("\" display-name=\"");
            escape(self.name, out);
        }
        out.text("\">");
        escape_bytes(self.uri, out);
        out.text("</watcher>\r\n");
    }
}

/// Ends a list.
pub fn end_list(out: &mut Writer<'_>) {
    out.text("</watcher-list>\r\n");
}

/// Ends the document.
pub fn end(out: &mut Writer<'_>) {
    out.text("</watcherinfo>\r\n");
}

impl Status {
    /// As the document has it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Waiting => "waiting",
            Self::Active => "active",
            Self::Terminated => "terminated",
        }
    }
}

impl Event {
    /// As the document has it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Subscribe => "subscribe",
            Self::Approved => "approved",
            Self::Deactivated => "deactivated",
            Self::Probation => "probation",
            Self::Rejected => "rejected",
            Self::Timeout => "timeout",
            Self::Giveup => "giveup",
            Self::NoResource => "noresource",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::xml::Reader;

    fn whole(out: &mut Writer<'_>) {
        begin(3, false, out);
        begin_list(b"sip:alice@home.example", b"presence", out);
        let (status, event) = (Status::Pending, Event::Subscribe);
        let bob =
            Watcher { id: b"a1", status, event, expiration_s: Some(3600), uri: b"sip:bob@x?a&b", name: "B \"<b>\"" };
        bob.write(out);
        let (status, event) = (Status::Terminated, Event::NoResource);
        Watcher { id: b"a2", status, event, expiration_s: None, uri: b"sip:carl@x", name: "" }.write(out);
        end_list(out);
        end(out);
    }

    const TEXT: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\r\n\
        <watcherinfo xmlns=\"urn:ietf:params:xml:ns:watcherinfo\" version=\"3\" state=\"partial\">\r\n\
        <watcher-list resource=\"sip:alice@home.example\" package=\"presence\">\r\n\
        <watcher id=\"a1\" status=\"pending\" event=\"subscribe\" expiration=\"3600\" display-name=\"B &quot;&lt;b&gt;&quot;\">\
        sip:bob@x?a&amp;b</watcher>\r\n\
        <watcher id=\"a2\" status=\"terminated\" event=\"noresource\">sip:carl@x</watcher>\r\n\
        </watcher-list>\r\n</watcherinfo>\r\n";

    #[test]
    fn document() {
        let mut buffer = [0; 1024];
        let mut out = Writer::new(&mut buffer);
        whole(&mut out);
        assert_eq!(core::str::from_utf8(out.written()).unwrap(), TEXT);
        let mut reader = Reader::new(out.written()).unwrap();
        let root = reader.root().unwrap();
        let list = reader.child(&root).unwrap().unwrap();
        let bob = reader.child(&list).unwrap().unwrap();
        assert!(bob.attribute("display-name").unwrap() == "B \"<b>\"");
        assert_eq!(reader.content::<64>(&bob).unwrap(), "sip:bob@x?a&b");
        reader.finish().unwrap();
        let mut out = Writer::new(&mut buffer);
        begin(0, true, &mut out);
        end(&mut out);
        assert!(out.written().ends_with(b" version=\"0\" state=\"full\">\r\n</watcherinfo>\r\n"));
    }

    #[test]
    fn words() {
        use Event::*;
        let all = [Subscribe, Approved, Deactivated, Probation, Rejected, Timeout, Giveup, NoResource];
        assert_eq!(
            all.map(Event::as_str).join(" "),
            "subscribe approved deactivated probation rejected timeout giveup noresource"
        );
        let all = [Status::Pending, Status::Waiting, Status::Active, Status::Terminated];
        assert_eq!(all.map(Status::as_str).join(" "), "pending waiting active terminated");
    }

    #[test]
    fn too_small_is_remembered() {
        let mut buffer = [0; 1024];
        for room in 0..TEXT.len() {
            let mut out = Writer::new(&mut buffer[..room]);
            whole(&mut out);
            assert!(out.finish().is_err(), "{room}");
        }
    }
}
