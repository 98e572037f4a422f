//! A response context (RFC 3261 §16.7): one request, its branches, and the best answer so far.

use heapless::Vec;

use crate::base::limits::BRANCHES;
use crate::base::net::Flow;
use crate::base::store::Bytes;
use crate::base::text::Name;
use crate::base::time::Instant;
use crate::home::policy::{Assurance, Kind, Stage};
use crate::home::proxy::veil::Crossing;
use crate::home::registrar::BindingHandle;
use crate::sip::resolver::{Candidate, Candidates, LookupHandle};
use crate::sip::stack::{ClientHandle, ServerHandle};

/// One request on its way to its targets.
#[derive(Debug)]
pub struct Context {
    /// The request's transaction.
    pub server: ServerHandle,
    /// The request as it came.
    pub request: Bytes,
    /// What it asks for.
    pub kind: Kind,
    /// Whether it is an INVITE.
    pub is_invite: bool,
    /// How it is to be forwarded, the same for all branches.
    pub passage: Passage,
    /// Where it goes, most preferred first.
    pub targets: Vec<Target, BRANCHES>,
    /// The lookup that will say where it goes.
    pub lookup: Option<LookupHandle>,
    /// The domain it goes to, which its servers have to prove over TLS; empty when it stays in the home.
    pub domain: Name,
    /// The best final answer so far and its status.
    pub best: Option<(u16, Bytes)>,
    /// Whether a final answer went back.
    pub is_answered: bool,
    /// Whether the caller has hung up, or somebody refused for all.
    pub is_closed: bool,
    /// Whether the caller has hung up.
    pub is_cancelled: bool,
    /// When the branches of this group have had their time, or the whole request.
    pub deadline: Option<Instant>,
    /// When it came.
    pub began_at: Instant,
    /// How sure it is who asks.
    pub assurance: Assurance,
    /// What becomes of it when no device takes it.
    pub delegation: Delegation,
}

/// What becomes of a request to a person that none of her devices takes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Delegation {
    /// Nothing: it is answered with what there is.
    None,
    /// Her devices are asked; after so many milliseconds of ringing somebody else may answer a call.
    Open {
        /// So long a call rings.
        patience_ms: u32,
    },
    /// The front door is to be asked again.
    Asked(Stage),
    /// It was handed to the disk to be kept: the letter in the inbox, as handle bits.
    Keeping(u32),
    /// The answering machine is about to answer, or has done so.
    Machine,
    /// It goes on by another network, or waits for that: the outbox answers it.
    Outgoing,
    /// A call that rings on, and is missed if nobody takes it.
    Missed,
    /// A call that was missed, which is to be noted.
    Noting,
    /// A text from the page that nobody took, of which its sender is to be told.
    Undelivered,
}

impl Delegation {
    /// Whether the request waits for somebody who is no device.
    pub const fn is_under_way(self) -> bool {
        matches!(self, Self::Asked(_) | Self::Keeping(_) | Self::Machine | Self::Outgoing)
    }
}

/// What all branches of a request have in common.
#[derive(Clone, Copy, Debug)]
pub struct Passage {
    /// Hash for loop detection.
    pub routing: u32,
    /// Leading Route values that are ours and come off.
    pub own_routes: u8,
    /// Whether the Request-URI is an address of ours that a strict router put there; the last Route takes its place.
    pub is_strict: bool,
    /// Names the request in the tokens of the dialog it begins.
    pub pair: u32,
    /// The person of the home who sent it, proven; as a seal.
    pub caller: u32,
    /// The binding of the device that sent it, as its id.
    pub caller_binding: u32,
    /// The person it goes to, as a seal.
    pub callee: u32,
    /// How many branches it may still become (RFC 5393 §5.3.3).
    pub breadth: u32,
    /// Whether it may begin a dialog, so that we stay on its path.
    pub records: bool,
    /// How it crosses the border of the home.
    pub crossing: Crossing,
    /// Whether it goes to another address than it says.
    pub retarget: Retarget,
}

/// Why a request goes to another address than its Request-URI says, where that is not a device's.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Retarget {
    /// It does not.
    None,
    /// To a buddy, as an index in the model: it was sent to his alias.
    Buddy(u16),
    /// It was said in a message session that ends here, and goes on outside of it to who is in To.
    Session,
}

/// A place the request goes to.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Where.
    pub to: To,
    /// Preference, thousandths: those with the same are tried at once.
    pub q: u16,
    /// The instance behind a binding (RFC 5626): its flows are tried one after the other.
    pub instance: u64,
    /// How far it is.
    pub progress: Progress,
    /// Whether it goes on a stream for its size.
    pub size: Size,
}

/// What the size of a request means for its way (§18.1.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Size {
    /// Not looked at yet.
    Unknown,
    /// On a stream instead of a datagram; if that can't be opened, a datagram.
    OnStream,
    /// A datagram, whatever its size.
    Datagram,
}

impl Target {
    /// A target that was not tried yet.
    pub const fn new(to: To, q: u16, instance: u64) -> Self {
        Self { to, q, instance, progress: Progress::Waiting, size: Size::Unknown }
    }
}

/// The servers of another domain as targets: one after the other, until one answers for the domain (RFC 3263 §4.3).
pub fn servers(candidates: &Candidates) -> Vec<Target, BRANCHES> {
    const ONE_DOMAIN: u64 = 1;
    candidates.iter().map(|candidate| Target::new(To::Server(*candidate), 1000, ONE_DOMAIN)).take(BRANCHES).collect()
}

/// Where a branch goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum To {
    /// A device.
    Binding(BindingHandle),
    /// A device by its binding in a dialog: the Request-URI stays as it is.
    Device(BindingHandle),
    /// A peer.
    Flow(Flow),
    /// A server of another domain, one of those that can be tried.
    Server(Candidate),
}

/// How far a target is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Progress {
    /// Not tried yet.
    Waiting,
    /// A request is out.
    Trying(ClientHandle),
    /// Finally answered with a status, or given up.
    Done(u16),
}

impl Context {
    /// The branches that have no final answer.
    pub fn pending(&self) -> impl Iterator<Item = ClientHandle> {
        self.targets.iter().filter_map(|target| match target.progress {
            Progress::Trying(client) => Some(client),
            _ => None,
        })
    }

    /// Whether it waits for what is no device: it is being kept, or answered by the machine, or that is being decided.
    pub fn waits_for_delegate(&self) -> bool {
        self.delegation.is_under_way() && !self.is_answered && !self.is_cancelled
    }

    /// The best status so far; 408 when nobody has said anything.
    pub fn best_status(&self) -> u16 {
        self.best.as_ref().map_or(408, |(status, _)| *status)
    }

    /// Whether somebody waits to be tried who is not just another way to one that is being tried.
    pub fn has_other_waiting(&self) -> bool {
        let is_tried = |instance: u64| {
            let mut others = self.targets.iter().filter(|other| instance != 0 && other.instance == instance);
            others.any(|other| matches!(other.progress, Progress::Trying(_)))
        };
        self.targets.iter().any(|target| target.progress == Progress::Waiting && !is_tried(target.instance))
    }

    /// An instance has answered: its other flows lead to the same answer, and are not tried.
    pub fn skip_flows(&mut self, instance: u64, status: u16) {
        let others = self.targets.iter_mut().filter(|other| instance != 0 && other.instance == instance);
        others
            .filter(|other| other.progress == Progress::Waiting)
            .for_each(|other| other.progress = Progress::Done(status));
    }

    /// The target that a branch was sent to.
    pub fn target_of(&mut self, client: ClientHandle) -> Option<&mut Target> {
        self.targets.iter_mut().find(|target| target.progress == Progress::Trying(client))
    }
}

/// How good a final answer is, for the choice of the one that goes back (§16.7 step 6): less is better.
pub const fn rank(status: u16) -> u16 {
    match status {
        600..=699 => 0,
        300..=399 => 1,
        // These tell the caller what to do differently.
        401 | 407 | 415 | 420 | 484 => 2,
        // These say only that one device was not there.
        408 | 430 | 480 | 481 | 487 => 4,
        400..=499 => 3,
        503 => 6,
        _ => 5,
    }
}

#[cfg(test)]
mod tests {
    use super::rank;

    #[test]
    fn best_answer() {
        let order = [603, 302, 407, 486, 408, 500, 503];
        assert!(order.windows(2).all(|pair| rank(pair[0]) < rank(pair[1])));
    }
}
