//! `text/xml+msrtc.pidf`: what Live Communications Server and its clients send and read. Numbers from 0 to 999 say how
//! reachable she is (`availability`) and what she does (`activity`); what has the same hundreds means the same.
//!
//! Left out: what its devices say each, phone numbers, and all of `userInfo` but the note.

use super::Document;
use super::presence::element;
use super::read::{NoteFrom, Reading};
use super::status::{Basic, Status};
use super::words::{Activities, Activity, UserInput};
use crate::base::text::Writer;
use crate::wire::xml::{Element, Fault, Reader, Text, escape, escape_bytes};

pub(super) fn read<'b>(reader: &mut Reader<'b>, root: &Element<'b>, reading: &mut Reading) -> Result<(), Fault> {
    while let Some(element) = reader.child(root)? {
        match element.name {
            "availability" => {
                if let Some(code) = code(&element) {
                    reading.basic(if code < ONLINE { Basic::Closed } else { Basic::Open });
                }
            }
            "activity" => {
                code(&element).into_iter().for_each(|code| activity(code, &mut reading.status));
                attribute(&element, "note").into_iter().for_each(|note| reading.note(NoteFrom::Tuple, note.cut()));
            }
            "userInfo" => {
                while let Some(inner) = reader.child(&element)? {
                    if inner.name == "note" {
                        reading.note(NoteFrom::Person, reader.content(&inner)?);
                    }
                }
            }
            _ => {}
        }
    }
    Ok(())
}

/// What a code of activity says.
fn activity(code: u16, status: &mut Status) {
    let activity = match code {
        100..150 | 700..800 => Activity::Away,
        150..200 => Activity::Lunch,
        300..400 => Activity::InTransit,
        500..600 => Activity::OnThePhone,
        600..700 => Activity::Busy,
        200..300 => return status.user_input = Some(UserInput::Idle),
        _ => return,
    };
    status.activities.insert(activity);
}

/// The number of an element.
fn code(element: &Element<'_>) -> Option<u16> {
    attribute(element, "aggregate")?.cut::<8>().parse().ok()
}

/// An attribute, with a prefix or without: requests have `m:aggregate`, notifications `aggregate`.
fn attribute<'b>(element: &Element<'b>, name: &str) -> Option<Text<'b>> {
    element.attributes().find(|attribute| attribute.name == name).map(|attribute| attribute.value)
}

pub(super) fn write(document: &Document<'_>, out: &mut Writer<'_>) {
    let status = document.status;
    out.text("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    out.text("<presentity xmlns=\"http://schemas.microsoft.com/2002/09/sip/presence\" uri=\"");
    // Its URIs have no scheme.
    let entity = document.entity;
    escape_bytes(entity.strip_prefix(b"sip:").or(entity.strip_prefix(b"sips:")).unwrap_or(entity), out);
    out.text("\">\n");
    if let Some(basic) = status.basic {
        let (code, text) = if basic == Basic::Open { (ONLINE, "online") } else { (0, "offline") };
        numbered("availability", code, text, out);
        out.text("/>\n");
        let (code, text) = words(status, basic);
        numbered("activity", code, text, out);
        if !status.note.is_empty() {
            out.text(" note=\"");
            escape(&status.note, out);
            out.text("\"");
        }
        out.text("/>\n");
    }
    if !status.note.is_empty() {
        out.text("<userInfo>");
        element("note", &status.note, out);
        out.text("</userInfo>\n");
    }
    out.text("</presentity>\n");
}

/// The begin of an element with a number and what it means.
fn numbered(name: &str, code: u16, text: &str, out: &mut Writer<'_>) {
    ["<", name, " aggregate=\""].into_iter().for_each(|part| out.text(part));
    out.number(code.into());
    ["\" description=\"", text, "\""].into_iter().for_each(|part| out.text(part));
}

/// The code of what she does, and its name. There is one for all activities together, so what keeps her most comes first.
fn words(status: &Status, basic: Basic) -> (u16, &'static str) {
    let activities = status.activities;
    if basic == Basic::Closed {
        (0, "Offline")
    } else if activities.contains(Activity::OnThePhone) {
        (500, "On the Phone")
    } else if activities.has_any(Activities::BUSY) {
        (600, "Busy")
    } else if activities.has_any(Activities::EATING) {
        (150, "Out to Lunch")
    } else if activities.has_any(Activities::AWAY) {
        (100, "Away")
    } else if activities.contains(Activity::InTransit) {
        (300, "Be Right Back")
    } else if status.user_input == Some(UserInput::Idle) {
        (200, "Idle")
    } else {
        (400, "Active")
    }
}

/// The lowest code of availability that means online.
const ONLINE: u16 = 300;
