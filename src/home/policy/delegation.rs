//! What of a request is left to the house when the person can't or won't take it: at which outcomes a text may be kept and
//! a call answered by the machine. The statuses are those of RFC 3261 §21, and of the registry that grew from it.

use crate::home::policy::Kind;

/// When the front door is asked about a request: it is asked again at each outcome.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stage {
    /// It has come in, and goes nowhere yet.
    Arrived,
    /// Every device has answered or been given up. The best status; 408 when nobody answered at all.
    Failed(u16),
    /// Devices have rung as long as the person wants them to
    /// ([`answer_after_s`](crate::config::model::Person::answer_after_s)), and ring still.
    Unanswered,
}

/// What the house can do now in place of the person.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Delegation {
    /// Texts can be kept: there is a disk.
    pub texts: bool,
    /// Calls can be answered: the machine has room, there is a disk, and the person wants it.
    pub voice: bool,
}

impl Delegation {
    /// Nothing.
    pub const NONE: Self = Self { texts: false, voice: false };
    /// Everything.
    pub const ALL: Self = Self { texts: true, voice: true };
}

/// Whether a request whose devices have failed with `status` is one that the house may take in the person's place: she was
/// not there, did not want to, or her devices could not. What is wrong with the request or its sender is for the sender to
/// mend, and so that status goes back.
pub const fn delegates(kind: Kind, status: u16) -> bool {
    if !matches!(kind, Kind::Message | Kind::Call { .. }) {
        return false;
    }
    match status {
        // Not to be found, not there, no answer, no way to the device.
        404 | 408 | 410 | 430 | 480 => true,
        // The device can't take this: the method, the size, the type, the codecs.
        403 | 405 | 406 | 413 | 415 | 488 => true,
        486 => true,
        // A server or device that is broken.
        500..=599 => true,
        // This caller is not wanted (RFC 8197), or was taken for a nuisance (RFC 8688).
        607 | 608 => false,
        // Busy, declined or not acceptable everywhere. What is not known counts as 600 (RFC 3261 §8.1.3.2).
        600..=699 => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use super::*;

    const CALL: Kind = Kind::Call { video: false };

    #[test]
    fn every_status() {
        let delegated: Vec<u16> = (0..=u16::MAX).filter(|status| delegates(Kind::Message, *status)).collect();
        let mut expected = Vec::from([403, 404, 405, 406, 408, 410, 413, 415, 430, 480, 486, 488]);
        expected.extend(500..=606);
        expected.extend(609..=699);
        assert_eq!(delegated, expected);
        for video in [false, true] {
            assert!((0..=u16::MAX).all(|it| delegates(Kind::Call { video }, it) == delegates(Kind::Message, it)));
        }
    }

    #[test]
    fn what_is_about_the_request_or_its_sender_goes_back() {
        let about_it = [300, 301, 302, 305, 380, 400, 401, 402, 407, 414, 416, 420, 421, 422, 423, 428, 429, 433, 436];
        let more = [437, 438, 440, 470, 481, 482, 483, 484, 485, 487, 489, 491, 493, 494, 607, 608];
        for status in about_it.into_iter().chain(more) {
            assert!(!delegates(Kind::Message, status) && !delegates(CALL, status), "{status}");
        }
        assert!([100, 180, 183, 200, 202].iter().all(|status| !delegates(CALL, *status)), "it has not failed");
    }

    #[test]
    fn only_texts_and_calls() {
        for kind in [Kind::Sign, Kind::Presence, Kind::Events, Kind::Other] {
            assert!((100..700).all(|status| !delegates(kind, status)), "{kind:?}");
        }
    }
}
