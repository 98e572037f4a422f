//! Presence (RFC 6121 §4), requests to see it (§3), and what others may know of this client (XEP-0030, XEP-0115).

use super::login::first_text;
use super::room::Room;
use super::{Xmpp, jid, names, write};
use crate::base::random::{Purpose, Random};
use crate::base::text::Writer;
use crate::bridge::{Env, Event, Show, Step};
use crate::wire::xml::{Element, Fault, Reader, Text};

/// The priority of our presence (RFC 6121 §4.7.2.3): texts for the bare address come here rather than to clients that ask
/// for nothing.
pub const PRIORITY: i8 = 10;
/// Bytes of a status text. A longer one is cut.
const STATUS_BYTES: usize = 1024;

/// What this client is known by.
const NODE: &str = "urn:pcs";
/// The hash of what [`info`] says (XEP-0115 §5).
const VERSION: &str = "3SssGWka0KLeXtX/UyIt/InVEQ0=";
/// In this order they are hashed.
const FEATURES: [&str; 7] =
    [names::CAPS, names::STATES, names::INFO, names::VERSION, names::URL, names::PING, names::RECEIPTS];

/// Whether a node is this client, or what its presence says of it.
pub fn is_own_node(node: Text<'_>) -> bool {
    let name = NODE.chars().chain("#".chars()).chain(VERSION.chars());
    node == NODE || node.chars().eq(name)
}

/// What this client is and can do.
pub fn info(node: Option<Text<'_>>, out: &mut Writer<'_>) {
    out.text("<query xmlns='http://jabber.org/protocol/disco#info'");
    write::echo_attribute("node", node, out);
    out.text("><identity category='client' type='pc' name='pcsd'/>");
    for feature in FEATURES {
        out.text("<feature");
        write::attribute("var", feature, out);
        out.text("/>");
    }
    out.text("</query>");
}

/// Our own presence.
pub fn write_own(show: Show, text: &str, out: &mut Writer<'_>) {
    let text = &text[..text.floor_char_boundary(STATUS_BYTES)];
    out.text(if show == Show::Offline { "<presence type='unavailable'>" } else { "<presence>" });
    out.text(match show {
        Show::Busy => "<show>dnd</show>",
        Show::Away => "<show>away</show>",
        Show::ExtendedAway => "<show>xa</show>",
        Show::Available | Show::Offline => "",
    });
    if !text.is_empty() {
        write::long("status", text, out);
    }
    if show != Show::Offline {
        out.text("<priority>");
        out.number(PRIORITY as u64);
        out.text("</priority><c xmlns='http://jabber.org/protocol/caps' hash='sha-1'");
        write::attribute("node", NODE, out);
        write::attribute("ver", VERSION, out);
        out.text("/>");
    }
    out.text("</presence>");
}

impl Xmpp {
    /// Somebody's presence, or a word about who may see whose.
    pub(super) fn presence<'s>(
        &mut self,
        env: &mut Env<'_, '_>,
        reader: &mut Reader<'_>,
        presence: &Element<'_>,
        mut room: Room<'s>,
    ) -> Result<Step<'s>, Fault> {
        let Some(from) = presence.attribute("from") else { return Ok(Step::Quiet) };
        let Some(who) = jid::bare(from) else {
            log::info!("XMPP {}: presence of somebody whose address is too long is left out", env.account.id);
            return Ok(Step::Quiet);
        };
        // Our own other clients.
        if who == self.own {
            return Ok(Step::Quiet);
        }
        let kind = presence.attribute("type").map(|kind| kind.cut::<16>());
        let (mut show, mut priority, mut status) = (Show::Available, 0, None);
        while let Some(child) = reader.child(presence)? {
            if child.is(names::ROOMS, "x") {
                return Ok(Step::Quiet);
            }
            if child.is(names::CLIENT, "show") {
                show = match reader.content::<8>(&child)?.as_str() {
                    "dnd" => Show::Busy,
                    "away" => Show::Away,
                    "xa" => Show::ExtendedAway,
                    _ => Show::Available,
                };
            } else if child.is(names::CLIENT, "priority") {
                priority = reader.content::<8>(&child)?.parse().unwrap_or(0);
            } else if child.is(names::CLIENT, "status") && status.is_none() {
                status = Some(first_text(reader, &child)?);
            }
        }
        let mut place = place(env.random, from);
        match kind.as_deref() {
            None => (),
            Some("unavailable") => show = Show::Offline,
            // He has taken back that he may be seen, or is not there to be asked.
            Some("unsubscribed" | "error") => (show, place, status) = (Show::Offline, 0, None),
            Some("subscribe") => {
                let who = room.text(who.chars());
                return Ok(Step::Event(Event::Request { who, text: room.read(status).trim() }));
            }
            Some(_) => return Ok(Step::Quiet),
        }
        let who = room.text(who.chars());
        Ok(Step::Event(Event::Presence { who, place, show, priority, text: room.read(status).trim() }))
    }
}

/// Tells the places apart that somebody is logged in at: a hash of the resource; 0 without one.
fn place(random: &Random, from: Text<'_>) -> u32 {
    let Some(resource) = jid::resource(from) else { return 0 };
    let mut hash = random.hash(Purpose::Table);
    resource.for_each(|c| hash.put(c.encode_utf8(&mut [0; 4]).as_bytes()));
    (hash.finish() as u32).max(1)
}

#[cfg(test)]
mod tests {
    use std::string::String;

    use sha1::{Digest, Sha1};

    use super::*;

    #[test]
    fn the_hash_is_that_of_what_is_said() {
        let mut features = FEATURES;
        features.sort_unstable();
        assert_eq!(features, FEATURES);
        let hashed: String = "client/pc//pcsd<".chars().chain(FEATURES.join("<").chars()).chain("<".chars()).collect();
        let mut buffer = [0; 64];
        let mut out = Writer::new(&mut buffer);
        crate::base::text::base64_encode(&Sha1::digest(hashed.as_bytes()), &mut out);
        assert_eq!(VERSION.as_bytes(), out.written(), "{}", String::from_utf8_lossy(out.written()));
        let node = std::format!("urn:pcs#{VERSION}");
        assert!(is_own_node(Text::of(node.as_bytes()).unwrap()) && is_own_node(Text::of(b"urn:pcs").unwrap()));
        assert!(!is_own_node(Text::of(b"urn:pcs#").unwrap()));
    }
}
