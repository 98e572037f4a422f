//! PIDF (RFC 3863 §4) with the person of the data model (RFC 4479 §3): the frame that RPID and the rest stand in.
//!
//! Some clients look for `<basic>open</basic>`, `<rpid:away/>`, `<rpid:busy/>` and `<rpid:on-the-phone/>` by text: the
//! namespace of PIDF is never prefixed, that of RPID always so.

use super::read::{NoteFrom, Reading};
use super::status::{Basic, Status};
use super::{Document, geo, rpid};
use crate::base::text::Writer;
use crate::wire::sip::date;
use crate::wire::xml::{Element, Fault, Reader, escape, escape_bytes};

pub(super) fn read<'b>(reader: &mut Reader<'b>, root: &Element<'b>, reading: &mut Reading) -> Result<(), Fault> {
    while let Some(element) = reader.child(root)? {
        match element.name {
            "tuple" => part(reader, &element, NoteFrom::Tuple, reading)?,
            "person" => part(reader, &element, NoteFrom::Person, reading)?,
            "device" => part(reader, &element, NoteFrom::Tuple, reading)?,
            "note" if is_ours(&element) => reading.note(NoteFrom::Document, reader.content(&element)?),
            _ => rpid::read(reader, &element, reading)?,
        }
    }
    Ok(())
}

/// A tuple, person or device, or a tuple's status.
fn part<'b>(reader: &mut Reader<'b>, of: &Element<'b>, from: NoteFrom, reading: &mut Reading) -> Result<(), Fault> {
    while let Some(element) = reader.child(of)? {
        match element.name {
            "status" if of.name == "tuple" => part(reader, &element, from, reading)?,
            "basic" if of.name == "status" && is_ours(&element) => {
                let text = reader.content::<8>(&element)?;
                if text.eq_ignore_ascii_case("open") {
                    reading.basic(Basic::Open);
                } else if text.eq_ignore_ascii_case("closed") {
                    reading.basic(Basic::Closed);
                }
            }
            "note" if is_ours(&element) => reading.note(from, reader.content(&element)?),
            _ => rpid::read(reader, &element, reading)?,
        }
    }
    Ok(())
}

/// Whether an element is of PIDF, in the namespace of one of its drafts or in none: others may have the same names.
fn is_ours(element: &Element<'_>) -> bool {
    element.namespace == "" || element.namespace.raw.starts_with("urn:ietf:params:xml:ns:")
}

pub(super) fn write(document: &Document<'_>, out: &mut Writer<'_>) {
    let status = document.status;
    out.text(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<presence xmlns=\"urn:ietf:params:xml:ns:pidf\" \
         xmlns:dm=\"urn:ietf:params:xml:ns:pidf:data-model\" xmlns:rpid=\"urn:ietf:params:xml:ns:pidf:rpid\"",
    );
    declare(!status.takes.is_silent(), " xmlns:caps=\"urn:ietf:params:xml:ns:pidf:caps\"", out);
    declare(status.place_type.is_some(), " xmlns:lt=\"urn:ietf:params:xml:ns:location-type\"", out);
    declare(status.place.is_some(), geo::NAMESPACES, out);
    out.text(" entity=\"");
    escape_bytes(document.entity, out);
    out.text("\">\n");
    tuple(document, out);
    addresses(document, out);
    person(document, out);
    out.text("</presence>\n");
}

fn declare(is_needed: bool, namespaces: &str, out: &mut Writer<'_>) {
    out.text(if is_needed { namespaces } else { "" });
}

/// The tuple of the person as a whole. It is left out when nothing is known that belongs there.
fn tuple(document: &Document<'_>, out: &mut Writer<'_>) {
    let status = document.status;
    if status.basic.is_none() && status.takes.is_silent() {
        return;
    }
    out.text("<tuple id=\"t");
    out.hex(document.id.into(), 8);
    out.text("\"><status>");
    if let Some(basic) = status.basic {
        element("basic", if basic == Basic::Open { "open" } else { "closed" }, out);
    }
    out.text("</status>");
    rpid::write_takes(&status.takes, out);
    out.text("<contact>");
    escape_bytes(document.entity, out);
    out.text("</contact>");
    note("note", status, out);
    timestamp("timestamp", document, out);
    out.text("</tuple>\n");
}

/// A tuple for each of the addresses where the person is.
fn addresses(document: &Document<'_>, out: &mut Writer<'_>) {
    for (index, address) in document.tuples.iter().enumerate().filter(|(_, address)| address.is_open) {
        out.text("<tuple id=\"");
        out.text(address.label);
        out.hex(document.id.into(), 8);
        out.text("-");
        out.number(index as u64);
        out.text("\"><status><basic>open</basic></status><contact>");
        escape_bytes(address.contact, out);
        out.text("</contact></tuple>\n");
    }
}

fn person(document: &Document<'_>, out: &mut Writer<'_>) {
    let status = document.status;
    if !says_something(status) {
        return;
    }
    out.text("<dm:person id=\"p");
    out.hex(document.id.into(), 8);
    out.text("\">");
    rpid::write(status, out);
    if let Some(place) = &status.place {
        geo::write(place, out);
    }
    note("dm:note", status, out);
    timestamp("dm:timestamp", document, out);
    out.text("</dm:person>\n");
}

/// Whether there is anything to say of the person, beside what can be sent to her.
fn says_something(status: &Status) -> bool {
    let Status { activities, moods, place_type, sphere, user_input, note, place, .. } = status;
    !(activities.is_empty() && moods.is_empty() && note.is_empty() && place.is_none())
        || place_type.is_some()
        || sphere.is_some()
        || user_input.is_some()
}

/// Clients look for it in the tuple or in the person.
fn note(name: &str, status: &Status, out: &mut Writer<'_>) {
    if !status.note.is_empty() {
        element(name, &status.note, out);
    }
}

fn timestamp(name: &str, document: &Document<'_>, out: &mut Writer<'_>) {
    if let Some(at) = document.at {
        tag("<", name, out);
        date::write_internet(at, out);
        tag("</", name, out);
    }
}

/// An element with a text.
pub(super) fn element(name: &str, text: &str, out: &mut Writer<'_>) {
    tag("<", name, out);
    escape(text, out);
    tag("</", name, out);
}

/// A tag without attributes, that begins with `open`.
pub(super) fn tag(open: &str, name: &str, out: &mut Writer<'_>) {
    out.text(open);
    out.text(name);
    out.text(">");
}
