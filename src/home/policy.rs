//! The front door: the one place that decides what becomes of what comes in. Pure functions, no tables.
//!
//! So far the house rules are built in: everybody may ring and write to a person, nobody is carried on to other domains
//! but the home's own people, and what a device did not take is counted for its owner. Rules from the configuration will
//! be judged here.

/// How sure it is who asks. Ordered: more is surer.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Assurance {
    /// A name in a From that anybody can write.
    Claimed,
    /// Somebody of another domain, which the connection has proven by key or certificate.
    Peer,
    /// A person of the home, proven by digest (or sealed in a dialog that began so).
    Digest,
}

/// Who asks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Asker {
    /// How sure that is.
    pub assurance: Assurance,
    /// The person of the home, when it is one.
    pub person: Option<usize>,
}

impl Asker {
    /// Somebody from outside.
    pub const STRANGER: Self = Self { assurance: Assurance::Claimed, person: None };
}

/// What is asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// A call (INVITE); whether it offers video.
    Call {
        /// Whether there is video in it.
        video: bool,
    },
    /// A message (MESSAGE).
    Message,
    /// Anything else.
    Other,
}

/// Where it is to go.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Target {
    /// To a person of the home.
    Person,
    /// Within a dialog that passes through here, proven by its tokens.
    Dialog,
    /// To a device of the home by its own address.
    Device,
    /// Out of the home.
    Outside,
}

/// What comes in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Event {
    /// Who asks.
    pub asker: Asker,
    /// For what.
    pub kind: Kind,
    /// Where to.
    pub target: Target,
}

/// What the person has now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Snapshot {
    /// Devices that are registered.
    pub devices: usize,
    /// Those of them that can take it.
    pub able: usize,
}

/// What becomes of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Decision {
    /// It goes to every device that can take it.
    Deliver,
    /// It goes on its way.
    Pass,
    /// It is refused with a status and reason.
    Refuse(u16, &'static str),
}

/// What is done about a device that did not take a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Missed {
    /// Nothing: it said itself that it does not want such.
    Declined,
    /// Its owner is told, by a count on the device and a line in the log.
    Count,
}

/// Decides about what comes in.
pub const fn decide(event: &Event, snapshot: &Snapshot) -> Decision {
    match event.target {
        Target::Person if snapshot.devices == 0 => Decision::Refuse(480, "Temporarily Unavailable"),
        Target::Person if snapshot.able == 0 => Decision::Refuse(480, "No Device Takes This"),
        Target::Person => Decision::Deliver,
        Target::Dialog => Decision::Pass,
        Target::Device | Target::Outside => match event.asker.assurance {
            Assurance::Digest => Decision::Pass,
            Assurance::Claimed | Assurance::Peer => Decision::Refuse(403, "Relaying Denied"),
        },
    }
}

/// Decides about a device that answered a message with `status`, or not at all (408), when the message as a whole got
/// through or not.
pub const fn missed(status: u16) -> Missed {
    match status {
        // The device lives and refuses this kind of message: nothing is lost that it could ever have shown.
        405 | 415 | 488 | 501 | 600..=699 => Missed::Declined,
        _ => Missed::Count,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(assurance: Assurance, target: Target) -> Event {
        Event { asker: Asker { assurance, person: None }, kind: Kind::Message, target }
    }

    #[test]
    fn strangers_reach_people_and_nothing_else() {
        let home = Snapshot { devices: 2, able: 1 };
        assert_eq!(decide(&event(Assurance::Claimed, Target::Person), &home), Decision::Deliver);
        assert_eq!(decide(&event(Assurance::Claimed, Target::Dialog), &home), Decision::Pass);
        for target in [Target::Outside, Target::Device] {
            assert_eq!(decide(&event(Assurance::Claimed, target), &home), Decision::Refuse(403, "Relaying Denied"));
            assert_eq!(decide(&event(Assurance::Digest, target), &home), Decision::Pass);
        }
    }

    #[test]
    fn nobody_at_home() {
        let refused = |devices, able| {
            matches!(
                decide(&event(Assurance::Claimed, Target::Person), &Snapshot { devices, able }),
                Decision::Refuse(480, _)
            )
        };
        assert!(refused(0, 0) && refused(1, 0) && !refused(1, 1));
    }

    #[test]
    fn missed_messages() {
        assert_eq!((missed(408), missed(480), missed(415)), (Missed::Count, Missed::Count, Missed::Declined));
    }
}
