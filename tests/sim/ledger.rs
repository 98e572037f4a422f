//! What must hold in every run, whatever the links do. The world shows every message that reaches or leaves a server;
//! [`Ledger::check`] then judges the whole conversation.
//!
//! - Every request that reached a server was finally answered: an INVITE at last, anything else within 25 s.
//! - An INVITE got its first answer within 200 ms (RFC 3261 §17.2.1).
//! - No request got two different final answers; several 2xx to an INVITE are all right (§16.7).
//! - Every 2xx to an INVITE that reached a server left it again.
//! - The NOTIFYs of a server keep to their order and pace (`pace.rs`).

use std::collections::{BTreeMap, BTreeSet};

use crate::message::Msg;
use crate::pace::Pace;
use pcsd::base::limits::SERVER_TRANSACTIONS;

/// Everything that was asked and answered.
#[derive(Default)]
pub struct Ledger {
    asked: BTreeMap<(Life, String, String), Asked>,
    accepted_in: BTreeSet<(usize, String, String)>,
    accepted_out: BTreeSet<(usize, String, String)>,
    /// Branches of which the links ate at least one message.
    pub eaten: BTreeSet<String>,
    /// Servers whose source limit is being tried: silence is an answer there.
    pub is_limited: bool,
    /// Addresses whose texts go to other networks, where their tests judge what became of them.
    pub on_networks: BTreeSet<String>,
    /// Whether texts that were acknowledged are removed by their owners.
    pub removes_texts: bool,
    /// The NOTIFYs of the servers.
    pub pace: Pace,
    /// Starts of each server that have ended.
    ended: BTreeMap<usize, usize>,
    /// Calls that were being set up when a server ended.
    interrupted: BTreeSet<String>,
}

/// A server, and which start of it.
type Life = (usize, usize);

struct Asked {
    at: u64,
    first_at: Option<u64>,
    finals: Vec<(u16, String, u64)>,
    /// The connection it came by: when that is gone there is no way to answer.
    conn: Option<usize>,
    /// The tag of who asked, which names the call on both sides of a border, where its Call-ID may be another.
    from_tag: String,
    /// Whether it came without credentials: it is then refused without keeping anything.
    is_unproven: bool,
    /// Whether the server ended before it answered.
    is_lost: bool,
}

impl Ledger {
    /// A message reached a server.
    pub fn reached(&mut self, now: u64, server: usize, conn: Option<usize>, msg: &Msg) {
        self.pace.reached(server, msg);
        match msg.status() {
            None if msg.method() != "ACK" && !msg.branch().is_empty() => {
                let key = (self.life(server), msg.branch(), msg.method().to_string());
                let is_unproven = msg.get("Proxy-Authorization").is_empty() && msg.get("Authorization").is_empty();
                let from_tag = msg.tag("From").into();
                let (first_at, finals, is_lost) = (None, Vec::new(), false);
                let asked = Asked { at: now, first_at, finals, conn, from_tag, is_unproven, is_lost };
                self.asked.entry(key).or_insert(asked);
            }
            Some(200..=299) if msg.method() == "INVITE" => {
                self.accepted_in.insert((server, msg.tag("From").into(), msg.tag("To").into()));
            }
            _ => {}
        }
    }

    /// A server has ended in the midst of it all: it owes no answers any more, and the next start of it none either.
    pub fn ended(&mut self, server: usize) {
        self.moved(server);
        *self.ended.entry(server).or_default() += 1;
    }

    /// A server has other addresses: what it was asked at one that is gone can't be answered.
    pub fn moved(&mut self, server: usize) {
        self.pace.moved(server);
        let life = self.life(server);
        for ((_, branch, _), asked) in self.asked.iter_mut().filter(|((it, ..), _)| *it == life) {
            // Of a fork further 2xx may be on their way after the first.
            self.interrupted.insert(asked.from_tag.clone());
            if asked.finals.is_empty() {
                asked.is_lost = true;
                self.eaten.insert(branch.clone());
            }
        }
    }

    fn life(&self, server: usize) -> Life {
        (server, self.ended.get(&server).copied().unwrap_or(0))
    }

    /// A message left a server.
    pub fn left(&mut self, now: u64, server: usize, msg: &Msg) {
        let Some(status) = msg.status() else { return self.pace.left(now, server, msg) };
        if msg.method() == "INVITE" && (200..300).contains(&status) {
            self.accepted_out.insert((server, msg.tag("From").into(), msg.tag("To").into()));
        }
        let key = (self.life(server), msg.branch(), msg.method().to_string());
        let Some(asked) = self.asked.get_mut(&key) else {
            if status == 513 {
                // Refused before all of it was there.
                return;
            }
            panic!("an answer to nothing: {} {} {:?}", msg.start, msg.get("CSeq"), msg.branch());
        };
        asked.first_at.get_or_insert(now);
        if status >= 200 {
            asked.finals.push((status, msg.tag("To").into(), now));
        }
    }

    /// Judges; `is_open` says whether a connection lasted to the end.
    pub fn check(&self, is_open: impl Fn(usize) -> bool) {
        for ((_, branch, method), asked) in &self.asked {
            let is_invite = method == "INVITE";
            let has_way = asked.conn.is_none_or(&is_open) && !self.is_limited && !asked.is_lost;
            let what = format!("{method} {branch} at {} ms", asked.at);
            let Some((status, _, at)) = asked.finals.first() else {
                assert!(!has_way, "{what}: no final answer");
                continue;
            };
            if asked.is_lost {
                // What comes of it late is as good as nothing.
            } else if !is_invite {
                assert!(at - asked.at <= 25_000, "{what}: answered after {} ms", at - asked.at);
            } else if let Some(first_at) = asked.first_at {
                assert!(first_at - asked.at <= 200, "{what}: first answer after {} ms", first_at - asked.at);
            }
            // In a table this small a finished transaction gives way before its retransmissions have ended.
            if SERVER_TRANSACTIONS >= 64 {
                for (other, _, _) in &asked.finals {
                    let are_accepts = is_invite && (200..300).contains(status) && (200..300).contains(other);
                    // A CANCEL is answered without a transaction: it may come again when its INVITE is forgotten.
                    let is_late = method == "CANCEL" && (*status, *other) == (200, 481);
                    // A stranger that nobody was at home for: somebody has registered since.
                    let is_late = is_late || asked.is_unproven && *status == 480;
                    assert!(other == status || are_accepts || is_late, "{what}: {status}, then {other}");
                }
            }
        }
        for accepted in &self.accepted_in {
            let is_cut_off = |it: &Asked| it.from_tag == accepted.1 && it.conn.is_some_and(|conn| !is_open(conn));
            let has_way = !self.asked.values().any(is_cut_off) && !self.interrupted.contains(&accepted.1);
            assert!(!has_way || self.accepted_out.contains(accepted), "a 2xx to INVITE stayed here: {accepted:?}");
        }
    }
}
