//! The front door: the one place that decides what becomes of what comes in, and what is shown to whom. Pure functions,
//! no tables. It follows no RFC: who asks has been found out before, and the caller carries the decision out.
//!
//! What there is to decide about a person falls into four *aspects*: her presence, her location, messages, calls. Each is
//! judged by itself, in [`rules`]: the rule of the configuration that fits best, else what the house does without a rule.
//! Then [`devices`] says which of her devices a message or a call goes to. [`explain`](explain::explain) says it in words.
//!
//! Without a rule:
//!
//! - *presence*: people of the home see each other as they are, and so does who is on her list on another network: whom
//!   she let onto it she was asked there. Of somebody else she is asked; until she has answered he waits, then he sees her
//!   as she is, or offline for good.
//! - *location*: people of the home, and other networks, see the place, others nothing.
//! - *messages* and *calls* get through to her devices. What these do not take is left to the house: a text is kept, a call
//!   answered by the machine. So it is asked again at each [`Stage`], and [`delegation`] says which outcomes count.
//!
//! She herself is never restricted; what she writes to herself is kept where no other device of hers takes it, and the
//! machine does not take her own calls. Who is hidden from looks at somebody offline, and is not refused. What does not go
//! to a person is not a matter of rules: dialogs go on, and only the home's own people reach other domains.
//!
//! Left out so far: states of the line and of the place.

pub mod delegation;
pub mod devices;
pub mod explain;
pub mod rules;
#[cfg(test)]
mod tests;

pub use crate::config::model::{Location as LocationView, State};
pub use delegation::{Delegation, Stage, delegates};
pub use devices::{Devices, Facts, Preference};
pub use explain::explain;

use crate::config::model::{Calls, Messages, Model, Network, Presence, Rule};
use crate::wire::sip::SipUri;
use rules::{Found, Relation};

/// How sure it is who asks. Ordered: more is surer.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Assurance {
    /// A name in a From that anybody can write.
    Claimed,
    /// Somebody on another network, as its server says to an account of ours.
    Account(Network),
    /// Somebody of another domain, which the connection has proven by key or certificate.
    Peer,
    /// A person of the home, proven by digest (or sealed in a dialog that began so).
    Digest,
}

/// Who asks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Asker<'a> {
    /// How sure that is.
    pub assurance: Assurance,
    /// The person of the home, when it is one: an index in the model. Counts with [`Assurance::Digest`] only.
    pub person: Option<usize>,
    /// The address as in From, `USER@HOST`: see [`address_of`]; on another network that of
    /// [`BuddyAddress::text`](crate::config::model::BuddyAddress::text). Empty when there is none.
    pub address: &'a [u8],
}

impl<'a> Asker<'a> {
    /// Somebody from outside, of whom not even the address is known.
    pub const STRANGER: Self = Self { assurance: Assurance::Claimed, person: None, address: b"" };

    /// Somebody from outside who says that this is the address.
    pub const fn claimed(address: &'a [u8]) -> Self {
        Self { assurance: Assurance::Claimed, person: None, address }
    }

    /// The person of the home that this is proven to be.
    pub fn proven_person(&self) -> Option<usize> {
        self.person.filter(|_| self.assurance == Assurance::Digest)
    }

    /// Whether it is somebody, or with an empty address everybody, whom an account of hers has to do with.
    const fn is_on_network(&self) -> bool {
        matches!(self.assurance, Assurance::Account(_))
    }
}

/// The `USER@HOST` of a SIP URI as it is written, without scheme, port, parameters and headers. A password stays in it and
/// does not count.
pub fn address_of<'b>(uri: &SipUri<'b>) -> &'b [u8] {
    let Some(colon) = uri.raw.iter().position(|byte| *byte == b':') else { return b"" };
    let rest = uri.raw.get(colon + 1..).unwrap_or_default();
    let info = match uri.user {
        Some(_) => rest.iter().position(|byte| *byte == b'@').map_or(0, |at| at + 1),
        None => 0,
    };
    rest.get(..info + uri.host_raw.len()).unwrap_or_default()
}

/// What is asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// A call (INVITE); whether it offers video.
    Call {
        /// Whether there is video in it.
        video: bool,
    },
    /// A text (MESSAGE), which may be kept.
    Message,
    /// A sign about texts (MESSAGE): that one is being written (isComposing, RFC 3994), that one has arrived or been read
    /// (IMDN, RFC 5438). Whom texts reach it reaches, too, but it is never kept.
    Sign,
    /// To see the person's presence (SUBSCRIBE).
    Presence,
    /// To be told by her devices of what they do, or to tell them so (SUBSCRIBE to, or NOTIFY of, what the home itself has
    /// nothing to do with).
    Events,
    /// Anything else.
    Other,
}

impl Kind {
    /// Whether it comes as a MESSAGE.
    pub const fn is_message(self) -> bool {
        matches!(self, Self::Message | Self::Sign)
    }
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
pub struct Event<'a> {
    /// Who asks.
    pub asker: Asker<'a>,
    /// For what.
    pub kind: Kind,
    /// Where to.
    pub target: Target,
    /// What has become of it so far.
    pub stage: Stage,
}

/// Her answer about this very asker, as it is remembered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ByHand {
    /// He may see her.
    Allowed,
    /// He may not, and is not told.
    Denied,
}

/// What the decision depends on besides the event.
#[derive(Clone, Copy, Debug)]
pub struct Snapshot<'a> {
    /// The configuration.
    pub model: &'a Model,
    /// The person it is for: an index in the model; `None` when it is for nobody of the home.
    pub person: Option<usize>,
    /// How she is.
    pub state: State,
    /// What she has answered about the asker.
    pub by_hand: Option<ByHand>,
    /// Her devices as far as this request is concerned, at most [`Devices::MAX`].
    pub devices: &'a [Facts],
    /// What the house can do in her place.
    pub kept: Delegation,
}

/// What becomes of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Decision {
    /// It goes to these of her devices. Not empty.
    Deliver(Devices),
    /// It goes on its way. After [`Stage::Arrived`]: nothing is done in her place; of what failed the best answer goes
    /// back, what rings goes on ringing.
    Pass,
    /// It is kept for her, and answered 202 when that is durable.
    Keep,
    /// The answering machine takes the call.
    Answer,
    /// The asker sees this of her.
    Show(View),
    /// The asker waits until she has said whether he may see her, and sees her offline so far.
    Pending,
    /// It is refused with a status and reason.
    Refuse(u16, &'static str),
}

/// What an asker sees of a person.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct View {
    /// Of her presence.
    pub presence: PresenceView,
    /// Of where she is. Nothing with a presence that is hidden.
    pub location: LocationView,
}

impl View {
    /// Everything there is.
    pub const ALL: Self = Self { presence: PresenceView::AsItIs, location: LocationView::Coordinates };

    /// The text that is shown instead of her presence.
    pub fn text<'m>(&self, model: &'m Model) -> Option<&'m str> {
        let PresenceView::Text(rule) = self.presence else { return None };
        match model.rules.get(usize::from(rule))?.presence {
            Some(Presence::Text(word)) => Some(model.word(word)),
            _ => None,
        }
    }
}

/// What an asker sees of a person's presence.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PresenceView {
    /// It is shown as it is.
    AsItIs,
    /// She looks offline.
    Hidden,
    /// She looks busy.
    Busy,
    /// A text of hers: that of the rule with this index in the model.
    Text(u16),
}

/// A decision, and what made it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Judgement {
    /// The decision.
    pub decision: Decision,
    /// Why.
    pub because: Because,
    /// Why that location, when there is a view.
    pub location_because: Because,
}

/// What made a decision.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Because {
    /// The rule with this index in the model.
    Rule(u16),
    /// Her own answer about the asker.
    ByHand,
    /// What the house does without a rule: a sentence without its full stop.
    House(&'static str),
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
pub fn decide(event: &Event<'_>, snapshot: &Snapshot<'_>) -> Decision {
    judge(event, snapshot).decision
}

/// Decides about what comes in, and says what made the decision.
pub fn judge(event: &Event<'_>, snapshot: &Snapshot<'_>) -> Judgement {
    let asker = &event.asker;
    match event.target {
        Target::Person if event.stage != Stage::Arrived => afterwards(event, snapshot),
        Target::Person => match event.kind {
            Kind::Presence => presence(asker, snapshot),
            Kind::Message => text(asker, snapshot),
            Kind::Sign => sign(asker, snapshot),
            Kind::Call { .. } => call(asker, snapshot),
            // A phone that tells others of its calls, or obeys who tells it to start anew, does so for anybody who asks.
            Kind::Events if asker.proven_person().is_none() => Judgement::house(
                Decision::Refuse(403, "Events Are for People of the Home"),
                "only people of the home are told of what devices do, or tell them",
            ),
            Kind::Events | Kind::Other => {
                reach(snapshot, Because::House("it is neither a message nor a call")).unwrap_or_else(Judgement::nowhere)
            }
        },
        Target::Dialog => Judgement::house(Decision::Pass, "what belongs to a dialog goes on its way"),
        Target::Device | Target::Outside if event.stage != Stage::Arrived => Judgement::house(Decision::Pass, LEFT),
        Target::Device | Target::Outside => match asker.assurance {
            Assurance::Digest => Judgement::house(Decision::Pass, "people of the home may write to any address"),
            Assurance::Claimed | Assurance::Account(_) | Assurance::Peer => {
                Judgement::house(Decision::Refuse(403, "Relaying Denied"), "strangers reach people of the home only")
            }
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

impl Judgement {
    const fn new(decision: Decision, because: Because) -> Self {
        Self { decision, because, location_because: because }
    }

    const fn house(decision: Decision, why: &'static str) -> Self {
        Self::new(decision, Because::House(why))
    }

    /// It reaches no device, and nothing is done in her place.
    const fn nowhere(why: Unreached) -> Self {
        Self::house(Decision::Refuse(480, why.reason), why.sentence)
    }
}

/// Why something reaches no device: as a reason phrase, and in words for the home.
#[derive(Clone, Copy)]
struct Unreached {
    reason: &'static str,
    sentence: &'static str,
}

/// A text that has come in.
fn text(asker: &Asker<'_>, snapshot: &Snapshot<'_>) -> Judgement {
    let (messages, because) = messages(asker, snapshot);
    match messages {
        Messages::Block => Judgement::new(DECLINE, because),
        Messages::Store if snapshot.kept.texts => Judgement::new(Decision::Keep, because),
        Messages::Store => Judgement::new(UNAVAILABLE, because),
        Messages::Deliver => reach(snapshot, because).unwrap_or_else(|why| match snapshot.kept.texts {
            true => Judgement::house(Decision::Keep, why.sentence),
            false => Judgement::nowhere(why),
        }),
    }
}

/// A sign that has come in. It tells of now, so it is worth nothing later.
fn sign(asker: &Asker<'_>, snapshot: &Snapshot<'_>) -> Judgement {
    let (messages, because) = messages(asker, snapshot);
    match messages {
        Messages::Block => Judgement::new(DECLINE, because),
        Messages::Store => Judgement::new(Decision::Refuse(480, "Not Delivered"), because),
        Messages::Deliver => reach(snapshot, because).unwrap_or_else(Judgement::nowhere),
    }
}

/// A call that has come in.
fn call(asker: &Asker<'_>, snapshot: &Snapshot<'_>) -> Judgement {
    let (calls, because) = calls(asker, snapshot);
    match calls {
        Calls::Block => Judgement::new(DECLINE, because),
        Calls::Answer if snapshot.kept.voice => Judgement::new(Decision::Answer, because),
        Calls::Answer => Judgement::new(UNAVAILABLE, because),
        Calls::Ring => reach(snapshot, because).unwrap_or_else(|why| match is_for_machine(asker, snapshot) {
            true => Judgement::house(Decision::Answer, why.sentence),
            false => Judgement::nowhere(why),
        }),
    }
}

/// What her devices were to take, and have not. The rules count as they are by now.
fn afterwards(event: &Event<'_>, snapshot: &Snapshot<'_>) -> Judgement {
    let Event { asker, kind, .. } = event;
    let back = Judgement::house(Decision::Pass, LEFT);
    let why = match event.stage {
        Stage::Failed(status) if delegates(*kind, status) => "her devices did not take it",
        Stage::Unanswered if matches!(kind, Kind::Call { .. }) => "nobody has answered for as long as she lets it ring",
        Stage::Arrived | Stage::Failed(_) | Stage::Unanswered => return back,
    };
    let (decision, is_ruled, because) = match kind {
        Kind::Message if snapshot.kept.texts => match messages(asker, snapshot) {
            (Messages::Block, _) => return back,
            (messages, because) => (Decision::Keep, messages == Messages::Store, because),
        },
        Kind::Call { .. } if is_for_machine(asker, snapshot) => match calls(asker, snapshot) {
            (Calls::Block, _) => return back,
            (calls, because) => (Decision::Answer, calls == Calls::Answer, because),
        },
        _ => return back,
    };
    Judgement::new(decision, if is_ruled { because } else { Because::House(why) })
}

/// Whether the machine can take a call, and this one is for it: who calls herself looks for a device of hers.
fn is_for_machine(asker: &Asker<'_>, snapshot: &Snapshot<'_>) -> bool {
    snapshot.kept.voice && !is_herself(asker, snapshot)
}

fn is_herself(asker: &Asker<'_>, snapshot: &Snapshot<'_>) -> bool {
    snapshot.person.is_some() && asker.proven_person() == snapshot.person
}

/// What becomes of messages, and why.
fn messages(asker: &Asker<'_>, snapshot: &Snapshot<'_>) -> (Messages, Because) {
    match aspect(asker, snapshot, |rule| rule.messages) {
        Aspect::Herself => (Messages::Deliver, HERSELF),
        Aspect::Ruled(Found { value, rule, .. }) => (value, Because::Rule(rule)),
        Aspect::Unruled => (Messages::Deliver, Because::House("messages get through unless a rule says otherwise")),
    }
}

/// What becomes of calls, and why.
fn calls(asker: &Asker<'_>, snapshot: &Snapshot<'_>) -> (Calls, Because) {
    match aspect(asker, snapshot, |rule| rule.calls) {
        Aspect::Herself => (Calls::Ring, HERSELF),
        Aspect::Ruled(Found { value, rule, .. }) => (value, Because::Rule(rule)),
        Aspect::Unruled => (Calls::Ring, Because::House("calls get through unless a rule says otherwise")),
    }
}

/// Sends what gets through to the devices that can take it.
fn reach(snapshot: &Snapshot<'_>, because: Because) -> Result<Judgement, Unreached> {
    if snapshot.devices.is_empty() {
        return Err(Unreached { reason: "Temporarily Unavailable", sentence: "no device is registered" });
    }
    let devices = devices::choose(snapshot.devices);
    if devices.is_empty() {
        return Err(Unreached { reason: "No Device Takes This", sentence: "no registered device can take it" });
    }
    Ok(Judgement::new(Decision::Deliver(devices), because))
}

/// What the asker sees.
fn presence(asker: &Asker<'_>, snapshot: &Snapshot<'_>) -> Judgement {
    let ruled = match aspect(asker, snapshot, |rule| rule.presence) {
        Aspect::Herself => {
            return Judgement { decision: Decision::Show(View::ALL), because: HERSELF, location_because: HERSELF };
        }
        Aspect::Ruled(found) => Some(found),
        Aspect::Unruled => None,
    };
    let (view, because) = match (ruled, by_hand(asker, snapshot, ruled)) {
        (_, Some(ByHand::Allowed)) => (PresenceView::AsItIs, Because::ByHand),
        (_, Some(ByHand::Denied)) => (PresenceView::Hidden, Because::ByHand),
        (Some(Found { value, rule, .. }), None) => (view_by(value, rule), Because::Rule(rule)),
        (None, None) if asker.proven_person().is_some() => {
            (PresenceView::AsItIs, Because::House("people of the home see each other"))
        }
        (None, None) if asker.is_on_network() => {
            (PresenceView::AsItIs, Because::House("who is on her list on another network sees her there"))
        }
        (None, None) => return Judgement::house(Decision::Pending, "she is asked about who is not of the home"),
    };
    let (location, location_because) = match view {
        PresenceView::Hidden => (LocationView::None, Because::House("who looks offline is nowhere")),
        _ => location(asker, snapshot),
    };
    Judgement { decision: Decision::Show(View { presence: view, location }), because, location_because }
}

/// Her answer about the asker, where it counts: of who asks by SIP. A network keeps her answers itself, and a name there is
/// not the same as one here. It counts before all rules but those about this very person or buddy. Of somebody
/// who only claims the name, the answer does not undo what a rule says about anyone: another could write that name, too.
fn by_hand(asker: &Asker<'_>, snapshot: &Snapshot<'_>, ruled: Option<Found<Presence>>) -> Option<ByHand> {
    snapshot.by_hand.filter(|answer| match ruled {
        _ if asker.is_on_network() => false,
        None => true,
        Some(found) if found.is_individual => false,
        Some(_) => *answer == ByHand::Denied || asker.assurance > Assurance::Claimed,
    })
}

const fn view_by(presence: Presence, rule: u16) -> PresenceView {
    match presence {
        Presence::Show => PresenceView::AsItIs,
        Presence::Hide => PresenceView::Hidden,
        Presence::Busy => PresenceView::Busy,
        Presence::Text(_) => PresenceView::Text(rule),
    }
}

fn location(asker: &Asker<'_>, snapshot: &Snapshot<'_>) -> (LocationView, Because) {
    match aspect(asker, snapshot, |rule| rule.location) {
        Aspect::Herself => (LocationView::Coordinates, HERSELF),
        Aspect::Ruled(Found { value, rule, .. }) => (value, Because::Rule(rule)),
        Aspect::Unruled if asker.proven_person().is_some() => {
            (LocationView::Place, Because::House("people of the home see each other's place"))
        }
        Aspect::Unruled if asker.is_on_network() => {
            (LocationView::Place, Because::House("every network shows the place by its name"))
        }
        Aspect::Unruled => (LocationView::None, Because::House("a place is shown to others by a rule only")),
    }
}

/// What there is to say about one aspect.
enum Aspect<T> {
    /// She asks herself.
    Herself,
    /// A rule says it.
    Ruled(Found<T>),
    /// No rule says anything.
    Unruled,
}

fn aspect<T>(asker: &Asker<'_>, snapshot: &Snapshot<'_>, of: impl Fn(&Rule) -> Option<T>) -> Aspect<T> {
    let Some(person) = snapshot.person else { return Aspect::Unruled };
    if is_herself(asker, snapshot) {
        return Aspect::Herself;
    }
    let relation = Relation::of(snapshot.model, person, asker);
    match rules::best(snapshot.model, person, snapshot.state, &relation, of) {
        Some(found) => Aspect::Ruled(found),
        None => Aspect::Unruled,
    }
}

const HERSELF: Because = Because::House("it is her own");
const DECLINE: Decision = Decision::Refuse(603, "Decline");
const UNAVAILABLE: Decision = Decision::Refuse(480, "Temporarily Unavailable");
const LEFT: &str = "it is left to her devices";
