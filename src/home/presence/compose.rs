//! How one status is made of all that is known of a person, and what each watcher gets to see of it. Pure functions.
//!
//! **The composition rule** (RFC 3856 leaves it to the presence agent):
//!
//! 1. *Basic.* Open beats closed. A device that is registered makes its person open, unless it publishes: then its
//!    documents speak for it. With no device and no open document she is closed.
//! 2. *Activities, moods* merge: those of all open documents (of all, when none is open). A call in progress adds
//!    on-the-phone. Who is closed is not busy, whatever was said.
//! 3. *The note*, the place and the other values are those of the document that was published or changed last and has one;
//!    a refresh does not count as a change.
//! 4. *What can be sent to her* is what any of her devices takes.
//! 5. What she has said *by hand* (to `sip:pcs`, or with `pcsctl presence`) stands until she takes it back: its activities
//!    and note replace those of all documents, and offline is closed with nothing else. It does not make her reachable:
//!    away or available without a device is closed all the same.

use serde::{Deserialize, Serialize};

use crate::config::model::{Model, State};
use crate::home::policy::{LocationView, PresenceView, View};
use crate::wire::pidf::{Activities, Activity, Basic, NOTE_BYTES, Status, Takes};

/// What a person has said of herself by hand.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Manual {
    /// Whether she wants to look offline.
    pub is_offline: bool,
    /// What she does.
    pub activities: Activities,
    /// Her words.
    pub note: heapless::String<NOTE_BYTES>,
}

/// What the home knows by itself.
#[derive(Clone, Copy, Debug, Default)]
pub struct Known<'a> {
    /// Whether a device is registered that publishes nothing.
    pub has_silent_device: bool,
    /// What her devices take.
    pub takes: Takes,
    /// Whether a call of hers is in progress.
    pub is_on_phone: bool,
    /// What she has said by hand.
    pub manual: Option<&'a Manual>,
}

/// Makes one status of all; `documents` from the one that changed first to the one that changed last.
pub fn compose<'s>(known: &Known<'_>, documents: impl Iterator<Item = &'s Status> + Clone, out: &mut Status) {
    *out = Status::new();
    if known.manual.is_some_and(|manual| manual.is_offline) {
        out.basic = Some(Basic::Closed);
        return;
    }
    let is_open = |status: &&Status| status.basic == Some(Basic::Open);
    let has_open = documents.clone().any(|status| is_open(&status));
    out.basic = Some(if has_open || known.has_silent_device { Basic::Open } else { Basic::Closed });
    out.takes = known.takes;
    for status in documents {
        if is_open(&status) || !has_open {
            out.activities = out.activities.union(status.activities);
            out.moods = out.moods.union(status.moods);
        }
        if !status.note.is_empty() {
            out.note.clone_from(&status.note);
        }
        if status.place.is_some() {
            out.place.clone_from(&status.place);
        }
        out.place_type = status.place_type.or(out.place_type);
        out.sphere = status.sphere.or(out.sphere);
        out.user_input = status.user_input.or(out.user_input);
        if is_open(&status) {
            out.takes = out.takes.union(&status.takes);
        }
    }
    if let Some(manual) = known.manual {
        out.activities = manual.activities;
        out.note.clone_from(&manual.note);
        out.user_input = None;
    }
    if known.is_on_phone {
        out.activities.insert(Activity::OnThePhone);
    }
    if out.basic == Some(Basic::Closed) {
        // Some clients show who is busy as busy, whether she can be reached or not.
        BUSY.iter().for_each(|activity| out.activities.remove(activity));
    }
}

/// Her state, as rules name it: offline when closed, else busy before away before available.
pub fn state_of(status: &Status) -> State {
    match status.basic {
        Some(Basic::Open) if status.activities.has_any(BUSY) => State::Busy,
        Some(Basic::Open) if status.activities.has_any(AWAY) => State::Away,
        Some(Basic::Open) => State::Available,
        _ => State::Offline,
    }
}

/// What a watcher sees of a status.
pub fn seen(status: &Status, view: &View, model: &Model) -> Status {
    let mut seen = match view.presence {
        PresenceView::AsItIs => status.clone(),
        PresenceView::Hidden => return hidden(),
        PresenceView::Busy => {
            let mut busy = Status::new();
            (busy.basic, busy.takes) = (status.basic, status.takes);
            if status.basic == Some(Basic::Open) {
                busy.activities.insert(Activity::Busy);
            }
            busy.place.clone_from(&status.place);
            busy
        }
        PresenceView::Text(_) => {
            let mut own = Status::new();
            (own.basic, own.takes) = (status.basic, status.takes);
            own.note = view.text(model).unwrap_or_default().try_into().unwrap_or_default();
            own.place.clone_from(&status.place);
            own
        }
    };
    match view.location {
        // Whether she is at work or at home is a place, too.
        LocationView::None => (seen.place, seen.place_type, seen.sphere) = (None, None, None),
        LocationView::Place => {
            if let Some(place) = &mut seen.place {
                place.position = None;
            }
            seen.place.take_if(|place| place.name.is_empty());
        }
        LocationView::Coordinates => {}
    }
    // Hardly a client shows a place by itself.
    if let Some(place) = seen.place.as_ref().filter(|_| seen.note.is_empty()) {
        seen.note = place.name.as_str().try_into().unwrap_or_default();
    }
    seen
}

/// What somebody sees who is to see nothing.
pub fn hidden() -> Status {
    let mut status = Status::new();
    status.basic = Some(Basic::Closed);
    status
}

const BUSY: Activities = Activities::of(&[
    Activity::Busy,
    Activity::OnThePhone,
    Activity::Meeting,
    Activity::Appointment,
    Activity::Presentation,
    Activity::Performance,
    Activity::Worship,
    Activity::Steering,
]);
const AWAY: Activities = Activities::of(&[
    Activity::Away,
    Activity::Breakfast,
    Activity::Dinner,
    Activity::Lunch,
    Activity::Meal,
    Activity::Holiday,
    Activity::Vacation,
    Activity::Travel,
    Activity::InTransit,
    Activity::Sleeping,
    Activity::PermanentAbsence,
    Activity::Shopping,
]);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::pidf::{Place, Position};

    fn document(basic: Basic, activities: &[Activity], note: &str) -> Status {
        let (activities, note) = (Activities::of(activities), note.try_into().unwrap());
        Status { basic: Some(basic), activities, note, ..Status::new() }
    }

    fn composed(known: &Known<'_>, documents: &[Status]) -> Status {
        let mut out = document(Basic::Open, &[Activity::Busy], "what was there before");
        compose(known, documents.iter(), &mut out);
        out
    }

    fn place(name: &str) -> Option<Place> {
        let position = Some(Position { latitude: 59_400_000, longitude: 17_940_000, radius_m: 150 });
        Some(Place { name: name.try_into().unwrap(), position })
    }

    #[test]
    fn open_beats_closed() {
        let (open, closed) = (document(Basic::Open, &[], ""), document(Basic::Closed, &[], ""));
        let basic = |has_silent_device, documents: &[Status]| {
            composed(&Known { has_silent_device, ..Known::default() }, documents).basic.unwrap()
        };
        assert_eq!(basic(false, &[]), Basic::Closed, "with no device and no document");
        assert_eq!(basic(true, &[]), Basic::Open, "a registered device that publishes nothing");
        assert_eq!(basic(false, core::slice::from_ref(&closed)), Basic::Closed, "its document speaks for the device");
        assert_eq!(basic(true, core::slice::from_ref(&closed)), Basic::Open, "another device");
        assert_eq!(basic(false, &[open.clone(), closed.clone()]), Basic::Open);
        assert_eq!(basic(false, &[closed, open]), Basic::Open);
        assert_eq!(basic(false, &[Status::new()]), Basic::Closed, "one that does not say");
    }

    #[test]
    fn activities_merge() {
        let lunch = document(Basic::Open, &[Activity::Lunch], "");
        let meeting = document(Basic::Open, &[Activity::Meeting], "");
        let asleep = document(Basic::Closed, &[Activity::Sleeping], "");
        let activities = |known: &Known<'_>, documents: &[Status]| composed(known, documents).activities;
        let none = Known::default();
        assert_eq!(
            activities(&none, &[lunch.clone(), asleep.clone(), meeting]),
            Activities::of(&[Activity::Lunch, Activity::Meeting]),
            "those of the open ones"
        );
        assert_eq!(activities(&none, &[asleep]), Activities::of(&[Activity::Sleeping]), "of all when none is open");
        let on_phone = Known { is_on_phone: true, ..none };
        assert_eq!(activities(&on_phone, &[lunch]), Activities::of(&[Activity::Lunch, Activity::OnThePhone]));
    }

    #[test]
    fn the_most_recent_note_wins() {
        let first = document(Basic::Open, &[], "first");
        let second = document(Basic::Closed, &[], "second");
        let silent = document(Basic::Open, &[], "");
        let note = |documents: &[Status]| composed(&Known::default(), documents).note;
        assert_eq!(note(&[first.clone(), second.clone()]), "second");
        assert_eq!(note(&[second, first.clone(), silent]), "first", "the last that has one");
        let home = Status { place: place("home"), ..first };
        assert_eq!(composed(&Known::default(), &[home, Status::new()]).place, place("home"));
    }

    #[test]
    fn what_any_device_takes() {
        let mut open = document(Basic::Open, &[], "");
        open.takes.message = Some(true);
        let mut closed = document(Basic::Closed, &[], "");
        closed.takes.video = Some(true);
        let takes = Takes { audio: Some(true), message: Some(false), video: None };
        let known = Known { takes, ..Known::default() };
        assert_eq!(
            composed(&known, &[open, closed]).takes,
            Takes { audio: Some(true), message: Some(true), video: None },
            "nothing can be sent to a device that is closed"
        );
    }

    #[test]
    fn her_own_word_stands() {
        let open = document(Basic::Open, &[Activity::Lunch], "from the phone");
        let mut manual = Manual { activities: Activities::of(&[Activity::Away]), ..Manual::default() };
        manual.note = "back at 6".try_into().unwrap();
        let known = Known { manual: Some(&manual), is_on_phone: true, ..Known::default() };
        let seen = composed(&known, core::slice::from_ref(&open));
        assert_eq!((seen.basic, seen.note.as_str()), (Some(Basic::Open), "back at 6"));
        assert_eq!(seen.activities, Activities::of(&[Activity::Away, Activity::OnThePhone]));
        assert_eq!(composed(&known, &[]).basic, Some(Basic::Closed), "it does not make her reachable");
        let offline = Manual { is_offline: true, ..manual.clone() };
        let known = Known { manual: Some(&offline), ..known };
        assert_eq!(composed(&known, &[open]), hidden(), "offline is closed with nothing else");
    }

    #[test]
    fn states() {
        for (basic, activities, state) in [
            (Some(Basic::Open), &[][..], State::Available),
            (Some(Basic::Open), &[Activity::Lunch], State::Away),
            (Some(Basic::Open), &[Activity::Lunch, Activity::OnThePhone], State::Busy),
            (Some(Basic::Closed), &[Activity::Busy], State::Offline),
            (None, &[], State::Offline),
        ] {
            let status = Status { basic, activities: Activities::of(activities), ..Status::new() };
            assert_eq!(state_of(&status), state, "{status:?}");
        }
    }

    #[test]
    fn each_sees_his_own() {
        let model = std::boxed::Box::new(Model::new());
        let mut status = document(Basic::Open, &[Activity::Lunch], "with Bob");
        status.place = place("cafe");
        status.takes.message = Some(true);
        let view = |presence, location| seen(&status, &View { presence, location }, &model);
        assert_eq!(view(PresenceView::AsItIs, LocationView::Coordinates), status);
        assert_eq!(view(PresenceView::Hidden, LocationView::Coordinates), hidden());
        let named = view(PresenceView::AsItIs, LocationView::Place).place.unwrap();
        assert_eq!((named.name.as_str(), named.position), ("cafe", None));
        let nowhere = view(PresenceView::AsItIs, LocationView::None);
        assert_eq!((nowhere.place, nowhere.note.as_str()), (None, "with Bob"));
        let busy = view(PresenceView::Busy, LocationView::None);
        assert_eq!(busy.activities, Activities::of(&[Activity::Busy]));
        assert!(busy.note.is_empty() && busy.takes == status.takes);
        status.basic = Some(Basic::Closed);
        let busy = seen(&status, &View { presence: PresenceView::Busy, location: LocationView::None }, &model);
        assert_eq!((busy.basic, busy.activities), (Some(Basic::Closed), Activities::NONE), "busy is not there");
        status.place = place("");
        let unnamed = View { presence: PresenceView::AsItIs, location: LocationView::Place };
        assert_eq!(seen(&status, &unnamed, &model).place, None, "only the position was known");
    }
}
