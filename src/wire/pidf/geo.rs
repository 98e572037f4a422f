//! Location in presence documents: PIDF-LO (RFC 4119), points and circles (RFC 5491 §5), civic addresses (RFC 5139).
//!
//! Left out: altitude, other shapes, degrees with minutes, coordinate systems other than WGS 84, and all of a civic
//! address but the one part that says best to people where it is.

use heapless::String;

use super::presence::element;
use super::status::{PLACE_BYTES, Place, Position};
use crate::base::text::Writer;
use crate::wire::xml::{Element, Fault, Reader};

/// The declarations that [`write()`] needs.
pub(super) const NAMESPACES: &str = " xmlns:gp=\"urn:ietf:params:xml:ns:pidf:geopriv10\" \
    xmlns:gml=\"http://www.opengis.net/gml\" xmlns:gs=\"http://www.opengis.net/pidflo/1.0\" \
    xmlns:cl=\"urn:ietf:params:xml:ns:pidf:geopriv10:civicAddr\"";

/// Reads a `geopriv` element. What an earlier one said stays (RFC 5491 §3.1: the first is the most important one).
pub(super) fn read<'b>(reader: &mut Reader<'b>, of: &Element<'b>, place: &mut Option<Place>) -> Result<(), Fault> {
    let mut found = Found::default();
    while let Some(child) = reader.child(of)? {
        if child.name == "location-info" {
            shapes(reader, &child, &mut found)?;
        }
    }
    if place.is_none() && (!found.name.is_empty() || found.position.is_some()) {
        *place = Some(Place { name: found.name, position: found.position });
    }
    Ok(())
}

/// What of a location was found.
#[derive(Default)]
struct Found {
    name: String<PLACE_BYTES>,
    /// The name's place in [`CIVIC`].
    rank: usize,
    position: Option<Position>,
}

/// The shapes and addresses in an element. Old documents have a `location` around them.
fn shapes<'b>(reader: &mut Reader<'b>, of: &Element<'b>, found: &mut Found) -> Result<(), Fault> {
    while let Some(child) = reader.child(of)? {
        match child.name {
            "Point" | "Circle" => {
                let position = shape(reader, &child)?;
                found.position = found.position.or(position);
            }
            "civicAddress" => civic(reader, &child, found)?,
            "location" => {
                while let Some(inner) = reader.child(&child)? {
                    if inner.name == "Point" {
                        let position = shape(reader, &inner)?;
                        found.position = found.position.or(position);
                    }
                }
            }
            _ => {}
        }
    }
    Ok(())
}

fn shape<'b>(reader: &mut Reader<'b>, of: &Element<'b>) -> Result<Option<Position>, Fault> {
    let (mut position, mut radius_m) = (None, 0);
    while let Some(child) = reader.child(of)? {
        match child.name {
            "pos" | "coordinates" => position = coordinates(&reader.content::<NUMBERS_BYTES>(&child)?),
            "radius" => radius_m = metres(&reader.content::<NUMBERS_BYTES>(&child)?).unwrap_or(0),
            _ => {}
        }
    }
    Ok(position.map(|(latitude, longitude)| Position { latitude, longitude, radius_m }))
}

fn civic<'b>(reader: &mut Reader<'b>, of: &Element<'b>, found: &mut Found) -> Result<(), Fault> {
    while let Some(child) = reader.child(of)? {
        let Some(rank) = CIVIC.iter().position(|known| *known == child.name) else { continue };
        let name = reader.content(&child)?;
        if !name.is_empty() && (found.name.is_empty() || rank < found.rank) {
            (found.name, found.rank) = (name, rank);
        }
    }
    Ok(())
}

/// Parts of a civic address, the one that tells people most first: name, additional information, landmark, building,
/// unit, room, floor, road (and as RFC 4119 had it), neighbourhood to country.
const CIVIC: [&str; 16] =
    ["NAM", "LOC", "LMK", "BLD", "UNIT", "ROOM", "FLR", "RD", "A6", "A5", "A4", "A3", "A2", "A1", "PC", "country"];

/// Latitude and longitude, in millionths of a degree; an altitude may follow.
fn coordinates(text: &str) -> Option<(i32, i32)> {
    let mut numbers = text.split(|c: char| c.is_ascii_whitespace() || c == ',').filter(|number| !number.is_empty());
    let mut number = |limit: i64| {
        let value = millionths(numbers.next()?)?;
        i32::try_from(value).ok().filter(|_| value.abs() <= limit * MILLION)
    };
    Some((number(90)?, number(180)?))
}

/// A decimal number in millionths, cut after the sixth digit of its fraction.
fn millionths(text: &str) -> Option<i64> {
    let (is_negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || whole.len() > 10 || !is_number(whole) || !is_number(fraction) {
        return None;
    }
    let fraction = fraction.bytes().chain(core::iter::repeat(b'0')).take(6);
    let value = whole.bytes().chain(fraction).fold(0, |value, digit| value * 10 + i64::from(digit - b'0'));
    Some(if is_negative { -value } else { value })
}

/// A radius in whole metres, rounded up.
fn metres(text: &str) -> Option<u32> {
    let value = millionths(text).filter(|value| *value >= 0)?;
    Some(u32::try_from((value + MILLION - 1) / MILLION).unwrap_or(u32::MAX))
}

/// Writes a place, into a person.
pub(super) fn write(place: &Place, out: &mut Writer<'_>) {
    out.text("<gp:geopriv><gp:location-info>");
    if let Some(position) = &place.position {
        let shape = if position.radius_m == 0 { "gml:Point" } else { "gs:Circle" };
        ["<", shape, " srsName=\"urn:ogc:def:crs:EPSG::4326\"><gml:pos>"].into_iter().for_each(|part| out.text(part));
        degrees(position.latitude, out);
        out.text(" ");
        degrees(position.longitude, out);
        out.text("</gml:pos>");
        if position.radius_m != 0 {
            out.text("<gs:radius uom=\"urn:ogc:def:uom:EPSG::9001\">");
            out.number(position.radius_m.into());
            out.text("</gs:radius>");
        }
        ["</", shape, ">"].into_iter().for_each(|part| out.text(part));
    }
    if !place.name.is_empty() {
        out.text("<cl:civicAddress>");
        element("cl:LOC", &place.name, out);
        out.text("</cl:civicAddress>");
    }
    out.text("</gp:location-info><gp:usage-rules/></gp:geopriv>");
}

/// Millionths of a degree as a decimal number.
fn degrees(value: i32, out: &mut Writer<'_>) {
    out.text(if value < 0 { "-" } else { "" });
    let value = value.unsigned_abs();
    out.number((value / MILLION as u32).into());
    out.text(".");
    let mut digit = MILLION as u32 / 10;
    while digit > 0 {
        out.number((value / digit % 10).into());
        digit /= 10;
    }
}

const MILLION: i64 = 1_000_000;
/// Bytes of coordinates that are looked at.
const NUMBERS_BYTES: usize = 96;
