//! What must hold of every NOTIFY that a server sends as a notifier (RFC 6665 §4.2.2), whatever happens. It is judged at
//! the moment the server sends it, where neither the links nor the watcher can hide anything.
//!
//! - Its CSeq is higher than that of the one before.
//! - The one before was answered, or given up: one is on its way at a time.
//! - Nothing follows one that says `terminated`, and nothing one that the watcher refused for good.
//! - One a second, but for the end, what the watcher asked for by a SUBSCRIBE, and the parts of one state of a list.

use std::collections::{BTreeMap, BTreeSet};

use crate::message::{Msg, param};

/// Between two NOTIFYs of one subscription.
const PACE_MS: u64 = 1_000;
/// A transaction without an answer is over (RFC 3261 §17.1.2.2).
const T64_MS: u64 = 32_000;

/// The subscriptions that servers have told anything of.
#[derive(Default)]
pub struct Pace {
    told: BTreeMap<(usize, String, String), Told>,
    /// The tags of notifiers whose requests only pass through a server.
    passing: BTreeSet<(usize, String)>,
}

#[derive(Default)]
struct Told {
    cseq: u32,
    branch: String,
    at: u64,
    is_in_flight: bool,
    is_over: bool,
    was_asked: bool,
}

impl Pace {
    /// A request left a server.
    pub fn left(&mut self, now: u64, server: usize, msg: &Msg) {
        if msg.method() != "NOTIFY" || self.passing.contains(&(server, msg.tag("From").to_string())) {
            return;
        }
        let state = msg.get("Subscription-State");
        let is_end = state.starts_with("terminated");
        let gives_way = param(state, "reason") == Some("giveup");
        let is_part = msg.body.windows(17).any(|bytes| bytes == b"fullState=\"false\"");
        let what = format!("NOTIFY {} of {} at {now} ms", msg.cseq(), msg.get("Call-ID"));
        let key = (server, msg.get("Call-ID").to_string(), msg.tag("From").to_string());
        let is_new = !self.told.contains_key(&key);
        let told = self.told.entry(key).or_default();
        if told.branch == msg.branch() {
            return;
        }
        if !is_new {
            assert!(!told.is_over, "{what}: the subscription is over");
            assert!(msg.cseq() > told.cseq, "{what}: after {}", told.cseq);
            assert!(!told.is_in_flight || gives_way || now - told.at >= T64_MS, "{what}: one is on its way");
            let may_hurry = is_end || is_part || told.was_asked;
            assert!(may_hurry || now - told.at >= PACE_MS, "{what}: {} ms after the last", now - told.at);
        }
        let branch = msg.branch();
        *told = Told { cseq: msg.cseq(), branch, at: now, is_in_flight: true, is_over: is_end, was_asked: false };
    }

    /// A message reached a server.
    pub fn reached(&mut self, server: usize, msg: &Msg) {
        match msg.status() {
            None if msg.method() == "NOTIFY" => {
                self.passing.insert((server, msg.tag("From").to_string()));
            }
            None if msg.method() == "SUBSCRIBE" => {
                let key = (server, msg.get("Call-ID").to_string(), msg.tag("To").to_string());
                if let Some(told) = self.told.get_mut(&key) {
                    told.was_asked = true;
                }
            }
            Some(status @ 200..) if msg.method() == "NOTIFY" => {
                let key = (server, msg.get("Call-ID").to_string(), msg.tag("From").to_string());
                if let Some(told) = self.told.get_mut(&key).filter(|told| told.branch == msg.branch()) {
                    told.is_in_flight = false;
                    told.is_over |= status >= 300 && msg.get("Retry-After").is_empty();
                }
            }
            _ => {}
        }
    }

    /// A server has ended, or has other addresses: what it had on its way is nothing any more.
    pub fn moved(&mut self, server: usize) {
        for (_, told) in self.told.iter_mut().filter(|((it, ..), _)| *it == server) {
            (told.is_in_flight, told.was_asked) = (false, true);
        }
    }
}
