//! Rich presence (RFC 4480) and capabilities (RFC 5196 §3), and which element is a location (RFC 4119).
//!
//! The drafts before RPID had these elements in other namespaces, in the tuple's status, and an activity as the text of an
//! `<activity>`: all of that is read.

use super::geo;
use super::presence::element;
use super::read::Reading;
use super::status::{Status, Takes};
use super::words::{Activity, Mood, PlaceType, Sphere, UserInput};
use crate::base::text::Writer;
use crate::wire::xml::{Element, Fault, Reader};

/// Reads an element that extends PIDF; what is not known is left to be passed over.
pub(super) fn read<'b>(reader: &mut Reader<'b>, of: &Element<'b>, reading: &mut Reading) -> Result<(), Fault> {
    let status = &mut reading.status;
    match of.name {
        "activities" => each_word(reader, of, |word| {
            Activity::from_name(word).into_iter().for_each(|activity| status.activities.insert(activity));
        }),
        "mood" => each_word(reader, of, |word| {
            Mood::from_name(word).into_iter().for_each(|mood| status.moods.insert(mood));
        }),
        "place-type" => each_word(reader, of, |word| {
            // What earlier drafts called it.
            let name = if word.eq_ignore_ascii_case("home") { "residence" } else { word };
            status.place_type = status.place_type.or(PlaceType::from_name(name));
        }),
        "sphere" => each_word(reader, of, |word| status.sphere = status.sphere.or(Sphere::from_name(word))),
        "user-input" => {
            let word = reader.content::<WORD_BYTES>(of)?;
            // Whoever uses one device is active.
            match UserInput::from_name(&word) {
                Some(UserInput::Active) => status.user_input = Some(UserInput::Active),
                other => status.user_input = status.user_input.or(other),
            }
            Ok(())
        }
        "servcaps" => {
            let takes = read_takes(reader, of)?;
            status.takes = status.takes.union(&takes);
            Ok(())
        }
        "geopriv" => geo::read(reader, of, &mut status.place),
        _ => Ok(()),
    }
}

/// The words of an element: the names of its children, or the text of those whose name says only what they are.
fn each_word<'b>(reader: &mut Reader<'b>, of: &Element<'b>, mut take: impl FnMut(&str)) -> Result<(), Fault> {
    while let Some(child) = reader.child(of)? {
        match child.name {
            "activity" | "place" => take(&reader.content::<WORD_BYTES>(&child)?),
            name => take(name),
        }
    }
    Ok(())
}

fn read_takes<'b>(reader: &mut Reader<'b>, of: &Element<'b>) -> Result<Takes, Fault> {
    let mut takes = Takes::default();
    while let Some(capability) = reader.child(of)? {
        let found = match capability.name {
            "audio" => Takes { audio: truth(reader, &capability)?, ..Takes::default() },
            "video" => Takes { video: truth(reader, &capability)?, ..Takes::default() },
            "message" | "text" => Takes { message: truth(reader, &capability)?, ..Takes::default() },
            "methods" => Takes { message: method_message(reader, &capability)?, ..Takes::default() },
            _ => continue,
        };
        takes = takes.union(&found);
    }
    Ok(takes)
}

fn truth<'b>(reader: &mut Reader<'b>, of: &Element<'b>) -> Result<Option<bool>, Fault> {
    Ok(match reader.content::<8>(of)?.as_str() {
        "true" | "1" => Some(true),
        "false" | "0" => Some(false),
        _ => None,
    })
}

/// Whether `<methods>` has MESSAGE as supported or as not supported.
fn method_message<'b>(reader: &mut Reader<'b>, of: &Element<'b>) -> Result<Option<bool>, Fault> {
    let mut found = None;
    while let Some(list) = reader.child(of)? {
        while let Some(method) = reader.child(&list)? {
            if method.name == "MESSAGE" {
                found = found.max(Some(list.name == "supported"));
            }
        }
    }
    Ok(found)
}

/// Writes what is of RPID into a person.
pub(super) fn write(status: &Status, out: &mut Writer<'_>) {
    words("activities", "rpid", status.activities.names(), out);
    words("mood", "rpid", status.moods.names(), out);
    words("place-type", "lt", status.place_type.map(PlaceType::name).into_iter(), out);
    words("sphere", "rpid", status.sphere.map(Sphere::name).into_iter(), out);
    if let Some(user_input) = status.user_input {
        element("rpid:user-input", user_input.name(), out);
    }
}

/// An element of RPID with an empty element for each word.
fn words(name: &str, prefix: &str, words: impl Iterator<Item = &'static str>, out: &mut Writer<'_>) {
    let mut is_open = false;
    for word in words {
        if !is_open {
            is_open = true;
            ["<rpid:", name, ">"].into_iter().for_each(|part| out.text(part));
        }
        ["<", prefix, ":", word, "/>"].into_iter().for_each(|part| out.text(part));
    }
    if is_open {
        ["</rpid:", name, ">"].into_iter().for_each(|part| out.text(part));
    }
}

/// Writes what can be sent, into a tuple.
pub(super) fn write_takes(takes: &Takes, out: &mut Writer<'_>) {
    if takes.is_silent() {
        return;
    }
    out.text("<caps:servcaps>");
    for (name, value) in [("caps:audio", takes.audio), ("caps:message", takes.message)] {
        capability(name, value, out);
    }
    // <message> is of sessions; this one is of the method.
    let methods = [("<caps:INVITE/>", takes.audio), ("<caps:MESSAGE/>", takes.message)];
    if methods.iter().any(|(_, value)| value.is_some()) {
        out.text("<caps:methods>");
        for (list, is_taken) in [("supported>", true), ("notsupported>", false)] {
            let mut of_it = methods.iter().filter(|(_, value)| *value == Some(is_taken)).peekable();
            if of_it.peek().is_some() {
                ["<caps:", list].into_iter().for_each(|part| out.text(part));
                of_it.for_each(|(method, _)| out.text(method));
                ["</caps:", list].into_iter().for_each(|part| out.text(part));
            }
        }
        out.text("</caps:methods>");
    }
    capability("caps:video", takes.video, out);
    out.text("</caps:servcaps>");
}

fn capability(name: &str, value: Option<bool>, out: &mut Writer<'_>) {
    if let Some(value) = value {
        element(name, if value { "true" } else { "false" }, out);
    }
}

/// Bytes of the longest word.
const WORD_BYTES: usize = 24;
