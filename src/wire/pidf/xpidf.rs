//! XPIDF: what Windows Messenger and other clients on the RTC library send and read. One `atom` with one `address`, whose
//! `status` is open, inuse, inactive or closed, and whose `msnsubstatus` says more.
//!
//! Left out: everything but the basic status, the few activities that have a substatus, idleness and the note.

use super::Document;
use super::presence::element;
use super::read::{NoteFrom, Reading};
use super::status::{Basic, Status};
use super::words::{Activities, Activity, UserInput};
use crate::base::text::Writer;
use crate::wire::xml::{Element, Fault, Reader, Text, escape_bytes};

pub(super) fn read<'b>(reader: &mut Reader<'b>, root: &Element<'b>, reading: &mut Reading) -> Result<(), Fault> {
    while let Some(element) = reader.child(root)? {
        match element.name {
            "atom" => {
                while let Some(inner) = reader.child(&element)? {
                    match inner.name {
                        "address" => address(reader, &inner, reading)?,
                        "note" => reading.note(NoteFrom::Tuple, reader.content(&inner)?),
                        _ => {}
                    }
                }
            }
            "note" => reading.note(NoteFrom::Document, reader.content(&element)?),
            _ => {}
        }
    }
    Ok(())
}

fn address<'b>(reader: &mut Reader<'b>, of: &Element<'b>, reading: &mut Reading) -> Result<(), Fault> {
    let (mut by_status, mut by_substatus) = (None, None);
    while let Some(element) = reader.child(of)? {
        match element.name {
            "status" => {
                by_status = by_status.or(known(&STATUSES, element.attribute("status")));
                // Some have the note in there.
                while let Some(inner) = reader.child(&element)? {
                    if inner.name == "note" {
                        reading.note(NoteFrom::Tuple, reader.content(&inner)?);
                    }
                }
            }
            "msnsubstatus" => by_substatus = by_substatus.or(known(&SUBSTATUSES, element.attribute("substatus"))),
            "note" => reading.note(NoteFrom::Tuple, reader.content(&element)?),
            _ => {}
        }
    }
    // The status decides whether she can be reached, the substatus says better what she does.
    let (Some(first), Some(second)) = (by_status.or(by_substatus), by_substatus.or(by_status)) else { return Ok(()) };
    reading.basic(first.basic);
    if first.basic == Basic::Open {
        second.activity.into_iter().for_each(|activity| reading.status.activities.insert(activity));
        if second.is_idle {
            reading.status.user_input = Some(UserInput::Idle);
        }
    }
    Ok(())
}

/// What a word of this format means.
#[derive(Clone, Copy)]
struct Meaning {
    word: &'static str,
    basic: Basic,
    activity: Option<Activity>,
    is_idle: bool,
}

const fn open(word: &'static str, activity: Option<Activity>) -> Meaning {
    Meaning { word, basic: Basic::Open, activity, is_idle: false }
}

const fn closed(word: &'static str) -> Meaning {
    Meaning { word, basic: Basic::Closed, activity: None, is_idle: false }
}

const STATUSES: [Meaning; 4] =
    [open("open", None), open("inuse", Some(Activity::Busy)), open("inactive", Some(Activity::Away)), closed("closed")];

const SUBSTATUSES: [Meaning; 9] = [
    open("online", None),
    open("away", Some(Activity::Away)),
    open("busy", Some(Activity::Busy)),
    open("onthephone", Some(Activity::OnThePhone)),
    open("berightback", Some(Activity::InTransit)),
    open("outtolunch", Some(Activity::Lunch)),
    Meaning { word: "idle", basic: Basic::Open, activity: None, is_idle: true },
    closed("offline"),
    closed("hidden"),
];

fn known(meanings: &[Meaning], word: Option<Text<'_>>) -> Option<Meaning> {
    let word = word?;
    meanings.iter().copied().find(|meaning| word.is_word(meaning.word))
}

pub(super) fn write(document: &Document<'_>, out: &mut Writer<'_>) {
    let status = document.status;
    out.text(
        "<?xml version=\"1.0\"?>\n<!DOCTYPE presence PUBLIC \"-//IETF//DTD RFCxxxx XPIDF 1.0//EN\" \"xpidf.dtd\">\n\
         <presence>\n<presentity uri=\"",
    );
    escape_bytes(document.entity, out);
    out.text(";method=SUBSCRIBE\"/>\n<atom id=\"");
    out.number(document.id.into());
    out.text("\">\n<address uri=\"");
    escape_bytes(document.entity, out);
    out.text("\" priority=\"0.800000\">\n");
    if let Some(basic) = status.basic {
        let (word, substatus) = if basic == Basic::Open { words(status) } else { ("closed", "offline") };
        ["<status status=\"", word, "\"/>\n<msnsubstatus substatus=\"", substatus, "\"/>\n"]
            .into_iter()
            .for_each(|part| out.text(part));
    }
    if !status.note.is_empty() {
        element("note", &status.note, out);
        out.text("\n");
    }
    out.text("</address>\n</atom>\n</presence>\n");
}

/// The status and substatus of one who can be reached. There is one for all activities together, so what keeps her most
/// comes first.
fn words(status: &Status) -> (&'static str, &'static str) {
    let activities = status.activities;
    if activities.contains(Activity::OnThePhone) {
        ("inuse", "onthephone")
    } else if activities.has_any(Activities::BUSY) {
        ("inuse", "busy")
    } else if activities.has_any(Activities::EATING) {
        ("inactive", "outtolunch")
    } else if activities.has_any(Activities::AWAY) {
        ("inactive", "away")
    } else if activities.contains(Activity::InTransit) {
        ("inactive", "berightback")
    } else if status.user_input == Some(UserInput::Idle) {
        ("inactive", "idle")
    } else {
        ("open", "online")
    }
}
