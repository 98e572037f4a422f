//! Which devices of a person a request goes to: those that can take it, and of these those that are meant for it where
//! there is a choice. Caller preferences (RFC 3841 §7.2) come as a verdict for each device.
//!
//! A device that is known to take a method and one of which nothing is known both get it: phones rarely say what they can
//! do, and one that can't refuses for itself. One that is known not to take it never gets it.

use crate::base::limits::BINDINGS_PER_PERSON;

/// What is known of one binding, as far as a request is concerned.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Facts {
    /// Whether it is the device that the request came from.
    pub is_own: bool,
    /// Whether it takes the method; `None`: nothing is known.
    pub takes_method: Option<bool>,
    /// Whether it takes the type of the body; `None`: nothing is known.
    pub takes_type: Option<bool>,
    /// Whether its flow is as secure as the request asks for.
    pub is_secure_enough: bool,
    /// Whether its owner means it for such requests (`takes` of section `device`).
    pub is_meant: bool,
    /// What the caller prefers.
    pub preference: Preference,
    /// What its owner prefers, thousandths.
    pub q: u16,
}

impl Facts {
    /// A device of which nothing is known that speaks against it.
    pub const UNKNOWN: Self = Self {
        is_own: false,
        takes_method: None,
        takes_type: None,
        is_secure_enough: true,
        is_meant: true,
        preference: Preference::Score(1000),
        q: 1000,
    };

    /// Why it does not get the request, whatever other devices there are.
    pub fn obstacle(&self) -> Option<Obstacle> {
        if self.is_own {
            Some(Obstacle::Own)
        } else if !self.is_secure_enough {
            Some(Obstacle::Insecure)
        } else if self.takes_method == Some(false) {
            Some(Obstacle::Method)
        } else if self.takes_type == Some(false) {
            Some(Obstacle::Type)
        } else if !matches!(self.preference, Preference::Score(_)) {
            Some(Obstacle::Caller)
        } else {
            None
        }
    }
}

/// Why a device does not get a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Obstacle {
    /// The request came from it.
    Own,
    /// Its flow is not secure.
    Insecure,
    /// It does not take the method.
    Method,
    /// It does not take the type of the body.
    Type,
    /// The caller does not want it.
    Caller,
}

/// What a caller's preferences say about a device (RFC 3841 §7.2.4).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Preference {
    /// A Reject-Contact fits it.
    Rejected,
    /// It lacks what an Accept-Contact requires.
    Excluded,
    /// How well it fits, thousandths: Qa. 1000 where the caller says nothing.
    Score(u16),
}

/// A set of devices, by their places in [`Snapshot::devices`](super::Snapshot::devices).
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Devices(u32);

impl Devices {
    /// No device.
    pub const NONE: Self = Self(0);
    /// Devices that a set has room for; those behind are never in one.
    pub const MAX: usize = 32;

    /// Puts a device in.
    pub fn insert(&mut self, index: usize) {
        if index < Self::MAX {
            self.0 |= 1 << index;
        }
    }

    /// Takes a device out.
    pub fn remove(&mut self, index: usize) {
        if index < Self::MAX {
            self.0 &= !(1 << index);
        }
    }

    /// Whether a device is in it.
    pub fn contains(self, index: usize) -> bool {
        index < Self::MAX && self.0 & 1 << index != 0
    }

    /// How many there are.
    pub fn len(self) -> usize {
        self.0.count_ones() as usize
    }

    /// Whether there are none.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The devices, in the order of the slice.
    pub fn iter(self) -> impl Iterator<Item = usize> {
        (0..Self::MAX).filter(move |index| self.contains(*index))
    }

    /// The devices in the order in which they are tried: by q, the most preferred first, and of equal q by what the caller
    /// prefers (RFC 3841 §7.2.4).
    pub fn ranked(self, facts: &[Facts]) -> impl Iterator<Item = usize> + '_ {
        let mut rest = self;
        core::iter::from_fn(move || {
            let rank = |index: &usize| facts.get(*index).map_or((0, 0), |it| (it.q, it.score()));
            // Of equals `max_by_key` takes the last.
            let best = (0..Self::MAX).rev().filter(|index| rest.contains(*index)).max_by_key(rank)?;
            rest.remove(best);
            Some(best)
        })
    }
}

impl Facts {
    fn score(&self) -> u16 {
        match self.preference {
            Preference::Score(score) => score,
            Preference::Rejected | Preference::Excluded => 0,
        }
    }
}

impl FromIterator<usize> for Devices {
    fn from_iter<I: IntoIterator<Item = usize>>(indices: I) -> Self {
        let mut devices = Self::NONE;
        indices.into_iter().for_each(|index| devices.insert(index));
        devices
    }
}

/// The devices a request goes to.
pub fn choose(facts: &[Facts]) -> Devices {
    let able = || facts.iter().enumerate().filter(|(_, facts)| facts.obstacle().is_none());
    let has_choice = able().any(|(_, facts)| facts.is_meant);
    able().filter(|(_, facts)| !has_choice || facts.is_meant).map(|(index, _)| index).collect()
}

const _: () = assert!(BINDINGS_PER_PERSON <= Devices::MAX, "every device of a person has a place in the set");
