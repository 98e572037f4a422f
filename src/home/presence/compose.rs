//! How one status is made of all that is known of a person, and what each watcher gets to see of it. Pure functions.
//!
//! **The composition rule** (RFC 3856 leaves it to the presence agent):
//!
//! 1. *Basic.* Open beats closed. A device that is registered makes its person open, unless it publishes: then its
//!    documents speak for it. With no device and no open document she is closed.
//! 2. *Activities, moods* merge: those of all open documents (of all, when none is open). A call in progress adds
//!    on-the-phone.
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
        LocationView::None => (seen.place, seen.place_type) = (None, None),
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
