//! What the front door decides, in words: for `pcsctl explain`, and for a person who asks the server by message.
//!
//! One line says who asks and what that is worth; then there is a line for each aspect that the request is about, for all
//! four when it is about none; then, where something would change it, what is needed. Lines end with `\n`.

use core::fmt::{self, Write};

use crate::base::text::{Printable, Writer};
use crate::config::model::{Model, State, Who};
use crate::home::policy::devices::{self, Facts, Obstacle};
use crate::home::policy::rules::Relation;
use crate::home::policy::{
    Asker, Assurance, Because, ByHand, Decision, Event, Judgement, Kind, LocationView, PresenceView, Snapshot, Stage,
    Target, judge,
};

/// Appends what is decided about an event, and why. What does not fit is remembered by the writer.
pub fn explain(event: &Event<'_>, snapshot: &Snapshot<'_>, out: &mut Writer<'_>) {
    let kinds: &[Kind] = match event.kind {
        _ if event.target != Target::Person => &[],
        Kind::Other => &[Kind::Presence, Kind::Message, Kind::Call { video: false }],
        _ => core::slice::from_ref(&event.kind),
    };
    // The writer remembers what did not fit.
    let _ = write!(out, "{}", WhoAsks { asker: &event.asker, snapshot });
    if kinds.is_empty() {
        let Judgement { decision, because, .. } = judge(event, snapshot);
        let _ = writeln!(out, "Decision: {}: {}.", Outcome(&decision, snapshot), Reason(because, snapshot));
    }
    for kind in kinds {
        let event = Event { kind: *kind, ..*event };
        let judgement = judge(&event, snapshot);
        let _ = write!(out, "{}", Line { kind: *kind, judgement: &judgement, snapshot });
        let _ = write!(out, "{}", Afterwards { event: &event, judgement: &judgement, snapshot });
        let _ = write!(out, "{}", Needed { event: &event, judgement: &judgement, snapshot });
    }
}

/// The line on who asks.
struct WhoAsks<'a> {
    asker: &'a Asker<'a>,
    snapshot: &'a Snapshot<'a>,
}

impl fmt::Display for WhoAsks<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { asker, snapshot } = self;
        if let Some(person) = asker.proven_person() {
            let name = person_id(snapshot.model, person);
            return match snapshot.person == Some(person) {
                true => writeln!(f, "{name} asks herself, proven by password."),
                false => writeln!(f, "{name} is a person of the home, proven by password."),
            };
        }
        match asker.address {
            b"" => f.write_str("The asker")?,
            address => Printable(address).fmt(f)?,
        }
        match asker.assurance {
            Assurance::Claimed => f.write_str(
                " is only claimed: rules for persons, buddies, groups, domains and networks do not count.\n",
            ),
            Assurance::Account(_) | Assurance::Peer | Assurance::Digest => {
                match asker.assurance {
                    Assurance::Account(network) => {
                        write!(f, " on {} is who that network says he is", network.name())?;
                    }
                    _ => f.write_str(" is proven: its connection is that of its domain")?,
                }
                let buddies = snapshot.person.map(|person| Relation::of(snapshot.model, person, asker));
                let buddies = buddies.as_ref().map_or(&[][..], Relation::buddies);
                for (i, index) in buddies.iter().enumerate() {
                    f.write_str(if i == 0 { "; on the list as " } else { ", " })?;
                    f.write_str(snapshot.model.buddies.get(usize::from(*index)).map_or("", |it| &it.alias))?;
                }
                f.write_str(".\n")
            }
        }
    }
}

/// The line on one aspect; two for presence, which has the location with it.
struct Line<'a> {
    kind: Kind,
    judgement: &'a Judgement,
    snapshot: &'a Snapshot<'a>,
}

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, judgement: Judgement { decision, because, location_because }, snapshot } = self;
        let aspect = match kind {
            Kind::Presence => "Presence",
            Kind::Message => "Messages",
            Kind::Sign => "Signs about messages",
            Kind::Call { .. } => "Calls",
            Kind::Events => "Events of devices",
            Kind::Other => "Other requests",
        };
        writeln!(f, "{aspect}: {}: {}.", Outcome(decision, snapshot), Reason(*because, snapshot))?;
        match decision {
            Decision::Show(view) => {
                let location = match view.location {
                    LocationView::None => "not shown",
                    LocationView::Place => "the place is shown",
                    LocationView::Coordinates => "the place and its coordinates are shown",
                };
                writeln!(f, "Location: {location}: {}.", Reason(*location_because, snapshot))
            }
            // A rule did not let it get that far.
            Decision::Keep | Decision::Answer | Decision::Refuse(..) if matches!(because, Because::Rule(_)) => Ok(()),
            Decision::Deliver(_) | Decision::Keep | Decision::Answer | Decision::Refuse(480, _) => {
                LeftOut(snapshot.devices).fmt(f)
            }
            _ => Ok(()),
        }
    }
}

/// What is decided.
struct Outcome<'a>(&'a Decision, &'a Snapshot<'a>);

impl fmt::Display for Outcome<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(decision, snapshot) = self;
        match decision {
            Decision::Deliver(devices) => {
                write!(f, "delivered to {} of {}", devices.len(), Count(snapshot.devices.len()))
            }
            Decision::Pass => f.write_str("goes on its way"),
            Decision::Keep => f.write_str("kept for her"),
            Decision::Answer => f.write_str("taken by the answering machine"),
            Decision::Pending => f.write_str("not shown yet"),
            Decision::Refuse(status, reason) => write!(f, "refused with {status} {reason}"),
            Decision::Show(view) => match view.presence {
                PresenceView::AsItIs => f.write_str("shown as it is"),
                PresenceView::Hidden => f.write_str("shown as offline"),
                PresenceView::Busy => f.write_str("shown as busy"),
                PresenceView::Text(_) => {
                    write!(f, "shown as the text \"{}\"", view.text(snapshot.model).unwrap_or_default())
                }
            },
        }
    }
}

/// A number of devices.
struct Count(usize);

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} device{}", self.0, if self.0 == 1 { "" } else { "s" })
    }
}

/// What made a decision.
struct Reason<'a>(Because, &'a Snapshot<'a>);

impl fmt::Display for Reason<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(because, Snapshot { model, person, .. }) = self;
        match because {
            Because::House(why) => f.write_str(why),
            Because::ByHand => {
                let name = person.map_or("her", |person| person_id(model, person));
                write!(f, "the answer that {name} gave about the asker")
            }
            Because::Rule(index) => {
                let Some(rule) = model.rules.get(usize::from(*index)) else { return Ok(()) };
                write!(f, "the rule in line {} for ", rule.line)?;
                for (i, who) in rule.who.iter().enumerate() {
                    f.write_str(if i == 0 { "" } else { ", " })?;
                    Entry(*who, model).fmt(f)?;
                }
                if let Some(when) = rule.when {
                    write!(f, " when {}", state_word(when))?;
                }
                f.write_str(if rule.person.is_none() { ", the family's" } else { "" })
            }
        }
    }
}

/// An entry of the list `who`, as the file has it.
struct Entry<'m>(Who, &'m Model);

impl fmt::Display for Entry<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(who, model) = self;
        match *who {
            Who::Person(person) => write!(f, "person:{}", person_id(model, usize::from(person))),
            Who::Buddy(buddy) => {
                write!(f, "buddy:{}", model.buddies.get(usize::from(buddy)).map_or("", |it| it.alias.as_str()))
            }
            Who::Group(group) => write!(f, "group:{}", model.word(group)),
            Who::Domain(domain) => write!(f, "domain:{}", model.word(domain)),
            Who::Network(network) => write!(f, "network:{}", network.name()),
            Who::Anyone => f.write_str("anyone"),
        }
    }
}

/// Why devices do not get it; nothing when all do.
struct LeftOut<'a>(&'a [Facts]);

impl fmt::Display for LeftOut<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let chosen = devices::choose(self.0);
        let mut written = false;
        let mut line = |f: &mut fmt::Formatter<'_>, count: usize, why: &str| {
            if count == 0 {
                return Ok(());
            }
            f.write_str(if written { "; " } else { "Left out: " })?;
            written = true;
            write!(f, "{}, {why}", Count(count))
        };
        for (obstacle, why) in OBSTACLES {
            line(f, self.0.iter().filter(|facts| facts.obstacle() == Some(*obstacle)).count(), why)?;
        }
        let is_unmeant = |(index, facts): &(usize, &Facts)| facts.obstacle().is_none() && !chosen.contains(*index);
        line(f, self.0.iter().enumerate().filter(is_unmeant).count(), "as others are meant for it")?;
        f.write_str(if written { ".\n" } else { "" })
    }
}

/// What becomes of it when the devices that it goes to do not take it; nothing when their answer goes back.
struct Afterwards<'a> {
    event: &'a Event<'a>,
    judgement: &'a Judgement,
    snapshot: &'a Snapshot<'a>,
}

impl fmt::Display for Afterwards<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { event, judgement, snapshot } = self;
        if !matches!(judgement.decision, Decision::Deliver(_)) {
            return Ok(());
        }
        let at = |stage| judge(&Event { stage, ..**event }, snapshot).decision;
        if at(Stage::Failed(480)) == Decision::Keep {
            f.write_str("If none of them takes it: kept for her.\n")?;
        }
        if at(Stage::Unanswered) == Decision::Answer {
            let seconds = snapshot.person.and_then(|person| snapshot.model.people.get(person));
            let seconds = seconds.map_or(0, |person| person.answer_after_s);
            writeln!(
                f,
                "If nobody answers within {seconds} s, or all are busy or decline: taken by the answering machine."
            )?;
        }
        Ok(())
    }
}

/// What would change the decision.
struct Needed<'a> {
    event: &'a Event<'a>,
    judgement: &'a Judgement,
    snapshot: &'a Snapshot<'a>,
}

impl fmt::Display for Needed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { event, judgement, snapshot } = self;
        if judgement.decision == Decision::Pending {
            f.write_str("Needed: her answer, with allow or deny, or a rule for the asker.\n")?;
        }
        // A rule that leaves it to the house, which can't take it.
        if let (Decision::Refuse(480, _), Because::Rule(_)) = (judgement.decision, judgement.because) {
            match event.kind {
                Kind::Message => f.write_str("Needed: a disk to keep it on.\n")?,
                Kind::Call { .. } => f.write_str("Needed: the answering machine, a disk, and room for the call.\n")?,
                _ => {}
            }
        }
        if event.asker.assurance != Assurance::Claimed {
            return Ok(());
        }
        let proven = Asker { assurance: Assurance::Peer, ..event.asker };
        let other = judge(&Event { asker: proven, ..**event }, snapshot);
        if other != **judgement {
            let outcome = Outcome(&other.decision, snapshot);
            write!(f, "If it were proven by a connection over TLS: {outcome}: {}", Reason(other.because, snapshot))?;
            if other.location_because != judgement.location_because
                && let Decision::Show(_) = other.decision
            {
                write!(f, "; location: {}", Reason(other.location_because, snapshot))?;
            }
            f.write_str(".\n")?;
        }
        let is_unheard = snapshot.by_hand == Some(ByHand::Allowed) && judgement.because != Because::ByHand;
        if event.kind == Kind::Presence && is_unheard {
            f.write_str("Her answer does not count before a rule, as anybody could claim the name.\n")?;
        }
        Ok(())
    }
}

fn person_id(model: &Model, person: usize) -> &str {
    model.people.get(person).map_or("nobody", |person| person.id.as_str())
}

const fn state_word(state: State) -> &'static str {
    match state {
        State::Available => "available",
        State::Away => "away",
        State::Busy => "busy",
        State::Offline => "offline",
    }
}

const OBSTACLES: &[(Obstacle, &str)] = &[
    (Obstacle::Own, "as the request comes from there"),
    (Obstacle::Insecure, "not reached over TLS"),
    (Obstacle::Method, "which can't take it"),
    (Obstacle::Type, "which can't show such content"),
    (Obstacle::Caller, "which the caller does not want"),
];
