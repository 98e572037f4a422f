//! What clients said to prosody, said to the simulated server: it answers with the same stanzas in the same order, but for
//! names, times and what differs by design ([`KNOWN`]).

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use crate::Raw;
use crate::xmpp_server::XmppServer;
use crate::xmpp_server::xml::{CLIENT, Element, Piece, Reader, STREAMS};

/// What one server sends and the other doesn't: presence comes back from a probe of who is gone, in prosody as an error.
const KNOWN: &[&str] = &["presence error bob@example.org"];

#[test]
fn as_prosody_did() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/networks/transcripts/xmpp.txt");
    let Ok(transcript) = fs::read_to_string(&path) else {
        println!("skipped: there is no {}", path.display());
        return;
    };
    let mut server = XmppServer::new("example.org");
    ["alice", "bob"].into_iter().for_each(|name| server.add_user(name, &format!("{name}'s secret")));
    let mut clients: BTreeMap<&str, Raw> = BTreeMap::new();
    let mut expected: BTreeMap<&str, String> = BTreeMap::new();
    let mut heard: BTreeMap<&str, String> = BTreeMap::new();
    let mut previous = String::new();
    for line in transcript.lines().filter(|line| !line.starts_with('#')) {
        let (time, rest) = line.trim_start().split_once(' ').expect("a time");
        let (client, rest) = rest.split_once(' ').expect("a client");
        let (mark, said) = rest.trim_start().split_once(' ').unwrap_or_default();
        let now_ms = time.replace('.', "").parse().expect("a time");
        server.tick(now_ms);
        let is_login = ["<?xml", "<starttls", "<auth", "<response"].iter().any(|start| said.starts_with(start));
        match mark {
            "--" if said.starts_with("connect") => {
                let user = client.split_once('/').expect("a resource").0;
                clients.insert(client, Raw::logged_in(&mut server, now_ms, user));
            }
            "--" if said.starts_with("TCP cut") => {
                heard.entry(client).or_default().push_str(&clients[client].hear(&mut server));
                server.cut(now_ms, clients[client].conn);
            }
            "C>" if !is_login => {
                let said = said.replace("iZz3x7N9X2RM", &previous);
                let answer = clients[client].say(&mut server, &said);
                if let Some((_, rest)) = answer.split_once("<enabled ").filter(|_| client == "alice/pcs") {
                    previous = rest.split('\'').nth(1).expect("its id").into();
                }
                heard.entry(client).or_default().push_str(&answer);
            }
            "S<" if said.starts_with("<?xml") => drop(expected.insert(client, String::new())),
            "S<" if !said.starts_with("<proceed") => expected.entry(client).or_default().push_str(said),
            _ => {}
        }
    }
    for (client, expected) in &expected {
        let heard = format!("{}{}", heard[client], clients[client].hear(&mut server));
        let (expected, mut heard) = (outlines(expected), outlines(&heard));
        if *client == "alice/resumed" {
            // It was not listened to until the end.
            heard.truncate(expected.len());
        }
        assert!(expected.len() > 5, "{client}: {expected:?}");
        let differences = compare(&expected, &heard);
        assert!(differences.is_empty(), "{client}:\n{}", differences.join("\n"));
    }
}

/// Stanzas as kind, type, sender and what is in them, each with the names of what is in that.
fn outlines(stream: &str) -> Vec<String> {
    let mut reader = Reader::default();
    reader.feed(format!("<stream:stream xmlns='{CLIENT}' xmlns:stream='{STREAMS}'>{stream}").as_bytes());
    let mut outlines = Vec::new();
    while let Some(piece) = reader.next().expect("XML") {
        if let Piece::Stanza(stanza) = piece {
            outlines.push(outline(&stanza));
        }
    }
    outlines.retain(|outline| !outline.starts_with("r ") && !KNOWN.iter().any(|known| outline.starts_with(known)));
    outlines
}

fn outline(stanza: &Element) -> String {
    let mut children: Vec<_> = stanza.children().map(|child| format!("{}{}", child.name, inner(child))).collect();
    children.sort();
    let (h, kind) = (stanza.get("h"), stanza.get("type"));
    let from = if stanza.name == "iq" { "" } else { stanza.get("from") };
    format!("{} {kind} {from} {h} {}", stanza.name, children.join(" "))
}

fn inner(element: &Element) -> String {
    let names: Vec<_> = element.children().map(|child| child.name.as_str()).collect();
    format!("({}{})", element.get("subscription"), names.join(","))
}

fn compare(expected: &[String], heard: &[String]) -> Vec<String> {
    let lines = (0..expected.len().max(heard.len())).map(|at| (expected.get(at), heard.get(at)));
    let differ = lines.filter(|(expected, heard)| expected != heard);
    differ.map(|(expected, heard)| format!("- {expected:?}\n+ {heard:?}")).collect()
}
