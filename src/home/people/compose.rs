//! One presence of a buddy who has several addresses. Pure functions.
//!
//! **The rule**: he is as he is where he is most available, available before busy before away before offline. Between
//! networks that are equal SIP counts, whose documents say more, and then the one where he was seen last; a text of his
//! from there fills in where SIP has none. Where SIP is known and open but does not count, his place and what else can be
//! sent to him there is kept. A text can be sent to who has an address on another network, whether he is there or not.

use heapless::{String, Vec};

use super::People;
use super::contacts::{ContactHandle, Sighting};
use crate::base::limits::ADDRESS_BYTES;
use crate::bridge::Show;
use crate::config::model::{Network, State};
use crate::home::presence::compose::state_of;
use crate::wire::pidf::{Activity, Basic, Status};

/// Networks that are told apart in one presence. More: the ones where he is less available are left out.
pub const TUPLES: usize = 4;
/// Bytes of an address as a URI: each byte of it may need three, and the word before it.
pub const URI_BYTES: usize = 3 * ADDRESS_BYTES + 16;

/// How somebody is, with the networks that it is made of.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Composed {
    /// All together.
    pub status: Status,
    /// Each address that something is known of; none when all there is to say is in `status`.
    pub tuples: Vec<Tuple, TUPLES>,
}

/// How somebody is at one of his addresses.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Tuple {
    /// The network.
    pub network: Network,
    /// How he is there.
    pub show: Show,
    /// The address.
    pub of: Of,
}

/// Whose address it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Of {
    /// That of a buddy on SIP: a buddy number.
    Buddy(u16),
    /// That of a contact.
    Contact(ContactHandle),
}

impl Composed {
    /// What is known where there is nothing to put together.
    pub const fn of(status: Status) -> Self {
        Self { status, tuples: Vec::new() }
    }

    /// Whether anything is known.
    pub fn is_known(&self) -> bool {
        self.status.basic.is_some() || self.status != Status::new()
    }
}

impl People {
    /// How a buddy is, as a person sees him; `sip` is what is known of him on SIP. Says nothing when nothing is known.
    pub fn presence_of(&self, person: usize, buddy: usize, sip: Option<&Status>) -> Composed {
        let contacts = self.contacts.of_buddy(person, buddy).map(|(handle, contact)| {
            let shown = self.contacts.shown(handle);
            let show = shown.map_or(Show::Offline, |sighting| sighting.show);
            (Tuple { network: contact.network, show, of: Of::Contact(handle) }, shown)
        });
        compose(sip.map(|status| (buddy as u16, status)), contacts)
    }

    /// The address of a tuple as a URI; what may not stand in one is escaped. `None` when it is not there any more.
    pub fn tuple_uri(&self, tuple: &Tuple) -> Option<String<URI_BYTES>> {
        let handle = match tuple.of {
            Of::Buddy(buddy) => return self.buddy_uri(usize::from(buddy)),
            Of::Contact(handle) => handle,
        };
        let contact = self.contacts.get(handle)?;
        let mut uri = String::new();
        core::fmt::write(&mut uri, format_args!("{}:", contact.network.name())).ok()?;
        for byte in contact.address.bytes() {
            let is_plain = byte.is_ascii_alphanumeric() || b"-._~@/+".contains(&byte);
            match is_plain {
                true => uri.push(char::from(byte)).ok()?,
                false => core::fmt::write(&mut uri, format_args!("%{byte:02X}")).ok()?,
            }
        }
        Some(uri)
    }
}

/// Puts together what is known of somebody on SIP, under his buddy number, and at his other addresses.
pub fn compose<'s>(
    sip: Option<(u16, &Status)>,
    contacts: impl Iterator<Item = (Tuple, Option<&'s Sighting>)>,
) -> Composed {
    let mut composed = Composed::default();
    let mut best: Option<&Sighting> = None;
    for (tuple, shown) in contacts {
        composed.add(tuple);
        let rank = |sighting: &Sighting| (sighting.show, sighting.at);
        if let Some(shown) = shown
            && best.is_none_or(|best| rank(shown) > rank(best))
        {
            best = Some(shown);
        }
    }
    let has_contacts = !composed.tuples.is_empty();
    let sip_show = sip.map_or(Show::Offline, |(_, status)| show_of(status));
    if let Some((buddy, _)) = sip.filter(|_| has_contacts) {
        composed.add(Tuple { network: Network::Sip, show: sip_show, of: Of::Buddy(buddy) });
    }
    let status = &mut composed.status;
    match (sip, best) {
        (Some((_, known)), best) if best.is_none_or(|best| sip_show >= best.show) => {
            status.clone_from(known);
            if let Some(best) = best.filter(|best| best.show == sip_show && status.note.is_empty()) {
                status.note = best.text.as_str().try_into().unwrap_or_default();
            }
        }
        (known, Some(best)) => {
            *status = status_of(best);
            if let Some((_, known)) = known.filter(|_| sip_show != Show::Offline) {
                status.place.clone_from(&known.place);
                (status.place_type, status.sphere, status.takes) = (known.place_type, known.sphere, known.takes);
            }
        }
        (_, None) => status.basic = has_contacts.then_some(Basic::Closed),
    }
    if has_contacts {
        composed.status.takes.message = Some(true);
    }
    composed
}

impl Composed {
    fn add(&mut self, tuple: Tuple) {
        if let Err(tuple) = self.tuples.push(tuple)
            && let Some(worst) = self.tuples.iter_mut().min_by_key(|it| it.show)
            && worst.show < tuple.show
        {
            *worst = tuple;
        }
    }
}

/// How a status looks among those of other networks.
pub fn show_of(status: &Status) -> Show {
    match state_of(status) {
        State::Available => Show::Available,
        State::Busy => Show::Busy,
        State::Away => Show::Away,
        State::Offline => Show::Offline,
    }
}

/// What a sighting looks like as a status.
fn status_of(sighting: &Sighting) -> Status {
    let mut status = Status::new();
    status.basic = Some(if sighting.show == Show::Offline { Basic::Closed } else { Basic::Open });
    match sighting.show {
        Show::Busy => status.activities.insert(Activity::Busy),
        Show::Away | Show::ExtendedAway => status.activities.insert(Activity::Away),
        Show::Available | Show::Offline => {}
    }
    status.note = sighting.text.as_str().try_into().unwrap_or_default();
    status
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::time::Instant;
    use crate::bridge;
    use crate::home::people::contacts::Seen;
    use crate::home::people::testing::people;
    use crate::wire::pidf::{Activities, Place, Takes};

    /// Alice's Smith: a configured buddy who is on SIP and XMPP.
    const SMITH: usize = 0;

    fn see(people: &mut People, at_ms: u64, (account, who): (usize, &str), show: Show, text: &str) {
        let People { contacts, model, .. } = people;
        let now = Instant::from_millis(at_ms);
        let told = bridge::Contact { who, name: "", is_watched: true, is_asked: false };
        contacts.upsert(now, model, account, &told).unwrap();
        contacts.presence(now, model, account, who, &Seen { place: 1, show, priority: 0, text }).unwrap();
    }

    fn on_sip(activities: &[Activity], note: &str) -> Status {
        let (activities, note) = (Activities::of(activities), note.try_into().unwrap());
        let takes = Takes { audio: Some(true), video: None, message: None };
        let place = Some(Place { name: "Cafe".try_into().unwrap(), position: None });
        Status { basic: Some(Basic::Open), activities, note, takes, place, ..Status::new() }
    }

    #[test]
    fn sip_alone_is_as_it_was() {
        let people = people();
        let status = on_sip(&[Activity::Lunch], "out");
        assert_eq!(people.presence_of(0, SMITH, Some(&status)), Composed::of(status));
        let nothing = people.presence_of(0, SMITH, None);
        assert!(!nothing.is_known() && nothing == Composed::default());
    }

    #[test]
    fn the_best_network_wins() {
        let mut people = people();
        let smith = (0, "smith@x.example");
        see(&mut people, 1, smith, Show::Busy, "in a meeting");
        let composed = people.presence_of(0, SMITH, None);
        assert_eq!((composed.status.basic, composed.status.note.as_str()), (Some(Basic::Open), "in a meeting"));
        assert_eq!(composed.status.activities, Activities::of(&[Activity::Busy]));
        assert_eq!(composed.status.takes.message, Some(true));
        assert_eq!(composed.tuples.len(), 1);

        let away = on_sip(&[Activity::Lunch], "out");
        let composed = people.presence_of(0, SMITH, Some(&away));
        assert_eq!(composed.status.note, "in a meeting", "busy before away");
        assert_eq!(composed.status.place, away.place, "where he is is known from SIP");
        assert_eq!(composed.status.takes, Takes { audio: Some(true), video: None, message: Some(true) });
        let shows: std::vec::Vec<_> = composed.tuples.iter().map(|it| (it.network, it.show)).collect();
        assert_eq!(shows, [(Network::Xmpp, Show::Busy), (Network::Sip, Show::Away)]);

        let free = on_sip(&[], "free");
        assert_eq!(people.presence_of(0, SMITH, Some(&free)).status.note, "free");
        see(&mut people, 2, smith, Show::Available, "at the PC");
        assert_eq!(people.presence_of(0, SMITH, Some(&free)).status.note, "free", "of equal ones SIP");
        let silent = on_sip(&[], "");
        let composed = people.presence_of(0, SMITH, Some(&silent));
        assert_eq!((composed.status.note.as_str(), composed.status.place), ("at the PC", silent.place));
        assert_eq!(people.presence_of(1, SMITH, None), Composed::default(), "Bob has no part in it");
    }

    #[test]
    fn nowhere_there() {
        let mut people = people();
        see(&mut people, 1, (0, "smith@x.example"), Show::Available, "x");
        people.contacts.forget_presence(0);
        let composed = people.presence_of(0, SMITH, None);
        assert_eq!((composed.status.basic, composed.status.note.is_empty()), (Some(Basic::Closed), true));
        assert_eq!(composed.status.takes.message, Some(true), "a text is kept for him");
        let closed = Status { basic: Some(Basic::Closed), ..on_sip(&[], "gone fishing") };
        assert_eq!(people.presence_of(0, SMITH, Some(&closed)).status.note, "gone fishing");
    }

    #[test]
    fn the_last_text_of_equal_networks() {
        let mut people = people();
        let mut model = crate::home::people::testing::model();
        let irc =
            crate::config::model::BuddyAddress { network: Network::Irc, text: "smith".try_into().unwrap(), port: None };
        model.buddies[SMITH].addresses.push(irc).unwrap();
        people.configure(&model, &crate::base::random::Random::new());
        see(&mut people, 5, (1, "smith"), Show::Away, "on irc");
        see(&mut people, 4, (0, "smith@x.example"), Show::Away, "on xmpp");
        assert_eq!(people.presence_of(0, SMITH, None).status.note, "on irc");
        see(&mut people, 6, (0, "smith@x.example"), Show::Away, "on xmpp");
        let composed = people.presence_of(0, SMITH, None);
        assert_eq!((composed.status.note.as_str(), composed.tuples.len()), ("on xmpp", 2));
    }

    #[test]
    fn addresses_as_uris() {
        let mut people = people();
        let cases = [
            ((0, "smith@x.example"), "xmpp:smith@x.example"),
            ((1, "[bob]^"), "irc:%5Bbob%5D%5E"),
            ((0, "b\u{e9}@x"), "xmpp:b%C3%A9@x"),
        ];
        for ((account, who), expected) in cases {
            see(&mut people, 1, (account, who), Show::Away, "");
            let handle = people.contacts.find(account, who).unwrap();
            let tuple = Tuple { network: Network::Xmpp, show: Show::Away, of: Of::Contact(handle) };
            assert_eq!(people.tuple_uri(&tuple).unwrap(), expected);
            people.contacts.remove(account, who);
            assert_eq!(people.tuple_uri(&tuple).is_some(), who.starts_with("smith"), "his address is configured");
        }
        let sip = Tuple { network: Network::Sip, show: Show::Away, of: Of::Buddy(0) };
        assert_eq!(people.tuple_uri(&sip).unwrap(), "sip:smith@smith.example");
        let longest = "\u{1}".repeat(ADDRESS_BYTES);
        see(&mut people, 1, (0, &longest), Show::Away, "");
        let handle = people.contacts.find(0, &longest).unwrap();
        let tuple = Tuple { of: Of::Contact(handle), ..sip };
        assert_eq!(people.tuple_uri(&tuple).unwrap().len(), "xmpp:".len() + 3 * ADDRESS_BYTES);
    }

    #[test]
    fn more_networks_than_fit() {
        let mut composed = Composed::default();
        let tuple = |show| Tuple { network: Network::Irc, show, of: Of::Buddy(0) };
        (0..TUPLES).for_each(|_| composed.add(tuple(Show::Away)));
        composed.add(tuple(Show::Offline));
        composed.add(tuple(Show::Busy));
        let mut shows: std::vec::Vec<_> = composed.tuples.iter().map(|it| it.show).collect();
        shows.sort_unstable();
        assert_eq!(shows, [Show::Away, Show::Away, Show::Away, Show::Busy]);
    }
}
