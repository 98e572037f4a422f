//! `application/rlmi+xml` (RFC 4662 §5), written: what a NOTIFY says about the resources of a list, whose documents are
//! other parts of the same `multipart/related` body.
//!
//! Left out: reading one, several instances of a resource, and names of the list itself.

use super::sip::Substate;
use super::xml::{escape, escape_bytes};
use crate::base::text::Writer;

/// The media type, with the parameter that clients look for.
pub const CONTENT_TYPE: &str = "application/rlmi+xml;charset=\"UTF-8\"";

/// A resource's subscription, as the list server has it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Instance<'b> {
    /// What it is known by to this subscriber, from one NOTIFY to the next.
    pub id: &'b [u8],
    /// Active, pending or terminated.
    pub state: Substate<'b>,
    /// Why it was terminated: a reason of Subscription-State.
    pub reason: Option<&'b [u8]>,
    /// Content-ID of the part with its state, without angle brackets.
    pub cid: Option<&'b [u8]>,
}

/// Begins the document. `version` counts the NOTIFYs of the subscription from 0; `full_state` says that all resources
/// follow.
pub fn begin(list_uri: &[u8], version: u32, full_state: bool, out: &mut Writer<'_>) {
    out.text("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\r\n<list xmlns=\"urn:ietf:params:xml:ns:rlmi\" uri=\"");
    escape_bytes(list_uri, out);
    out.text("\" version=\"");
    out.number(version.into());
    out.text(if full_state { "\" fullState=\"true\">\r\n" } else { "\" fullState=\"false\">\r\n" });
}

/// One resource. An empty name is left out. Without an instance nothing is known of it (yet).
pub fn resource(uri: &[u8], name: &str, instance: Option<&Instance<'_>>, out: &mut Writer<'_>) {
    out.text("<resource uri=\"");
    escape_bytes(uri, out);
    if name.is_empty() && instance.is_none() {
        return out.text("\"/>\r\n");
    }
    out.text("\">");
    if !name.is_empty() {
        out.text("<name>");
        escape(name, out);
        out.text("</name>");
    }
    if let Some(instance) = instance {
        instance.write(out);
    }
    out.text("</resource>\r\n");
}

/// Ends the document.
pub fn end(out: &mut Writer<'_>) {
    out.text("</list>\r\n");
}

impl Instance<'_> {
    fn write(&self, out: &mut Writer<'_>) {
        out.text("<instance id=\"");
        escape_bytes(self.id, out);
        out.text("\" state=\"");
        escape_bytes(self.state.as_bytes(), out);
        for (open, value) in [("\" reason=\"", self.reason), ("\" cid=\"", self.cid)] {
            if let Some(value) = value {
                out.text(open);
                escape_bytes(value, out);
            }
        }
        out.text("\"/>");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::xml::Reader;

    const URI: &[u8] = b"sip:bob@h?x=\"1\"&y=<2>";
    const NAME: &str = "B & <Ö> ' \"";

    fn whole(out: &mut Writer<'_>) {
        begin(b"sip:alice-buddies@home.example", 7, true, out);
        let state = Substate::Terminated;
        let over = Instance { id: b"b", state, reason: Some(b"rejected"), cid: None };
        resource(URI, NAME, Some(&over), out);
        resource(
            b"sip:c@h",
            "",
            Some(&Instance { id: b"c", state: Substate::Active, reason: None, cid: Some(b"1@h") }),
            out,
        );
        resource(b"sip:d@h", "Dora", None, out);
        resource(b"sip:e@h", "", None, out);
        end(out);
    }

    #[test]
    fn document() {
        let mut buffer = [0; 1024];
        let mut out = Writer::new(&mut buffer);
        whole(&mut out);
        let text = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\r\n\
            <list xmlns=\"urn:ietf:params:xml:ns:rlmi\" uri=\"sip:alice-buddies@home.example\" version=\"7\" fullState=\"true\">\r\n\
            <resource uri=\"sip:bob@h?x=&quot;1&quot;&amp;y=&lt;2&gt;\"><name>B &amp; &lt;Ö&gt; &apos; &quot;</name>\
            <instance id=\"b\" state=\"terminated\" reason=\"rejected\"/></resource>\r\n\
            <resource uri=\"sip:c@h\"><instance id=\"c\" state=\"active\" cid=\"1@h\"/></resource>\r\n\
            <resource uri=\"sip:d@h\"><name>Dora</name></resource>\r\n<resource uri=\"sip:e@h\"/>\r\n</list>\r\n";
        assert_eq!(core::str::from_utf8(out.written()).unwrap(), text);
    }

    #[test]
    fn read_again() {
        let mut buffer = [0; 1024];
        let mut out = Writer::new(&mut buffer);
        whole(&mut out);
        let mut reader = Reader::new(out.written()).unwrap();
        let list = reader.root().unwrap();
        assert!(list.attribute("fullState").unwrap() == "true");
        let bob = reader.child(&list).unwrap().unwrap();
        assert!(bob.attribute("uri").unwrap() == core::str::from_utf8(URI).unwrap());
        let name = reader.child(&bob).unwrap().unwrap();
        assert_eq!(reader.content::<64>(&name).unwrap(), NAME);
        reader.finish().unwrap();
    }

    #[test]
    fn too_small_is_remembered() {
        let mut buffer = [0; 1024];
        let mut out = Writer::new(&mut buffer);
        whole(&mut out);
        let len = out.finish().unwrap();
        for room in 0..len {
            let mut out = Writer::new(&mut buffer[..room]);
            whole(&mut out);
            assert!(out.finish().is_err(), "{room}");
        }
    }
}
