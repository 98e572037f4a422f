//! What of texts, recordings and missed calls is on a simulated machine's disk, and what must hold of it in every run: a
//! text that was answered 202 is there once, or a device has got it.

use std::collections::{BTreeMap, BTreeSet};

use crate::message::Msg;
use crate::phone::{Client, Phone};
use crate::world::World;
use pcsd::home::inbox::{Kept, What};
use pcsd::server::contract::Storage;
use pcsd::spool::Kind;

/// Something that is kept for a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// What it is.
    pub kind: Kind,
    /// What its owner did with it: 0 nothing, 1 read, 2 deleted.
    pub state: u8,
    /// Its place in the order.
    pub number: u32,
    /// Who it is from.
    pub from: String,
    /// Whether that is only claimed.
    pub is_stranger: bool,
    /// The body of a text, the sound of a recording.
    pub content: Vec<u8>,
    /// How long a recording is, or a missed call rang.
    pub milliseconds: u32,
}

impl Item {
    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.content).into_owned()
    }
}

impl World {
    /// What is on the disk of a machine for its people, in order.
    pub fn kept(&mut self, server: usize) -> Vec<Item> {
        let mut items = Vec::new();
        for record in self.on_disk(server).into_iter().filter(|record| record.key.kind.is_message()) {
            // Tests of the storage itself put what they like.
            let Some(kept) = Kept::read(&record.payload) else { continue };
            let (content, milliseconds) = match kept.what {
                What::Text { body, .. } => (body.to_vec(), 0),
                What::Voice { milliseconds, .. } => (record.blob.clone(), milliseconds),
                What::Call { rang_seconds } => (Vec::new(), u32::from(rang_seconds) * 1_000),
            };
            items.push(Item {
                kind: record.key.kind,
                state: kept.state,
                number: kept.number,
                from: String::from_utf8_lossy(kept.address).into_owned(),
                is_stranger: kept.is_stranger,
                content,
                milliseconds,
            });
        }
        items.sort_by_key(|item| item.number);
        items
    }

    /// The bodies of the texts among them.
    pub fn kept_texts(&mut self, server: usize) -> Vec<String> {
        self.kept(server).iter().filter(|item| item.kind == Kind::Text).map(Item::text).collect()
    }

    /// Judges: of the texts with one body no more are on the disk than were sent, and with those that devices got no fewer
    /// than were acknowledged by 202. Not while the disk is away, nor when a test has texts removed.
    pub(crate) fn check_kept(&mut self, server: usize) {
        if self.servers[server].store.place != Storage::Disk || self.ledger.removes_texts {
            return;
        }
        let mut on_disk: BTreeMap<Vec<u8>, usize> = BTreeMap::new();
        for item in self.kept(server).into_iter().filter(|item| item.kind == Kind::Text) {
            *on_disk.entry(item.content).or_default() += 1;
        }
        let domain = format!("@{}", self.servers[server].domain());
        let is_ours = |msg: &Msg| {
            let is_here = msg.uri().ends_with(&domain) && !self.ledger.on_networks.contains(msg.uri());
            msg.method() == "MESSAGE" && is_here
        };
        let mut sent: BTreeMap<Vec<u8>, [BTreeSet<String>; 2]> = BTreeMap::new();
        let clients = self.phones.iter().flat_map(|phone| &phone.clients);
        for Client { request, finals, .. } in clients.filter(|client| is_ours(&client.request)) {
            let [all, kept] = sent.entry(request.body.clone()).or_default();
            all.insert(request.get("Call-ID").into());
            if finals.iter().any(|(_, answer)| answer.status() == Some(202)) {
                kept.insert(request.get("Call-ID").into());
            }
        }
        for (body, [all, kept]) in &sent {
            let text = String::from_utf8_lossy(body);
            let stored = on_disk.get(body).copied().unwrap_or_default();
            let taken = self.phones.iter().map(|phone| taken(phone, body)).sum::<usize>();
            assert!(stored <= all.len(), "{text:?}: {stored} on the disk of {} that were sent", all.len());
            assert!(stored + taken >= kept.len(), "{text:?}: {stored} on the disk, {taken} taken of {}", kept.len());
        }
    }
}

/// How many messages with a body a phone has taken.
fn taken(phone: &Phone, body: &[u8]) -> usize {
    if phone.manner.message.is_none_or(|status| status >= 300) {
        return 0;
    }
    phone.got("MESSAGE").into_iter().filter(|request| request.body == body).count()
}
