//! The client transactions: INVITE (RFC 3261 §17.1.1, RFC 6026 §7.2), non-INVITE (§17.1.2), and the CANCEL that may
//! follow an INVITE (§9.1), which shares its branch and so lives in the same object.

use super::{Retransmit, T2_MS, T4_MS, T64_MS, TIMER_C_MS};
use crate::base::net::Flow;
use crate::base::store::Bytes;
use crate::base::time::{Instant, earliest};

/// A request that went out on one branch.
#[derive(Debug)]
pub struct ClientTransaction {
    /// The part of the branch parameter that cannot be guessed.
    pub secret: u32,
    /// Where it goes.
    pub flow: Flow,
    /// Whether it is an INVITE.
    pub is_invite: bool,
    /// The request as it came in, shared with the other branches.
    pub request: Option<Bytes>,
    /// The edits that make this branch's request of it; a request of our own has none.
    pub edits: Option<Bytes>,
    /// The CANCEL, later the ACK of a final answer that is not a 2xx.
    pub companion: Option<Bytes>,
    /// Who waits for the answer.
    pub owner: Owner,
    /// The object of the owner's that waits for it, as handle bits.
    pub context: u32,
    /// The server transaction that further 2xx answers to INVITE go to, as handle bits.
    pub server: u32,
    /// The binding it goes to, as handle bits.
    pub binding: Option<u32>,
    /// Whether it went out without the Via fields of the request: so its answers have none but ours.
    pub is_masked: bool,
    /// What waits to be sent.
    pub unsent: Unsent,
    /// Where somebody else is tried when nothing is heard within the limit: how long it is waited for one that was heard.
    pub patient_until: Option<Instant>,
    /// Whether a 2xx still means something after the request was given up.
    pub hears_late: bool,
    state: State,
    cancel: Cancel,
}

/// Which service made a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Owner {
    /// The proxy: a branch of what somebody else sent.
    Proxy,
    /// The presence agent: a NOTIFY to a watcher.
    Watch,
    /// The presence agent: a SUBSCRIBE to somebody it watches itself.
    Watched,
    /// The registrar: an OPTIONS to a device that said nothing of what it takes.
    Probe,
    /// The home itself: a message to one of its people.
    Word,
    /// The inbox: a message that was kept, as its device may take it after all.
    Letter,
    /// The home itself: a kept message that is delivered.
    Delivery,
    /// The home itself: what a person missed in a line.
    Summary,
    /// The home itself: a request in a dialog of the answering machine's.
    Call,
}

/// What a client transaction has to send.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Unsent {
    /// The request.
    pub request: bool,
    /// The CANCEL or ACK.
    pub companion: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    /// Sent, no answer yet.
    Calling { retransmit: Option<Retransmit>, ends_at: Instant },
    /// A provisional answer came.
    Proceeding { retransmit: Option<Retransmit>, ends_at: Instant },
    /// The final answer came; its repetitions are absorbed.
    Completed { ends_at: Instant },
    /// A 2xx to INVITE came; more may, and all pass.
    Accepted { ends_at: Instant },
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Cancel {
    No,
    /// Wanted, but not allowed before the first provisional answer (§9.1).
    Wanted,
    Sent {
        retransmit: Option<Retransmit>,
        ends_at: Instant,
    },
    /// Answered, or given up.
    Done,
}

/// What an answer means for who made the request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Received {
    /// Seen before, or out of order: nothing.
    Absorbed,
    /// A final answer to INVITE seen before, not a 2xx: the ACK is to be sent again.
    Acknowledge,
    /// A provisional answer.
    Provisional,
    /// The final answer, or a further 2xx to INVITE.
    Final,
}

/// What a deadline asks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Due {
    /// Nothing after all.
    Nothing,
    /// Send the request again.
    Resend,
    /// Send the CANCEL again.
    ResendCancel,
    /// No answer came in time.
    TimedOut,
    /// It rang for too long without a sign of life (timer C): to be cancelled.
    RangTooLong,
    /// The transaction is over.
    Ended,
}

impl ClientTransaction {
    /// A transaction whose request is about to go out; without a final answer it has failed after `limit_ms` (timer B
    /// or F, or less).
    pub fn new(now: Instant, secret: u32, flow: Flow, is_invite: bool, limit_ms: u64) -> Self {
        let retransmit = (!flow.is_reliable()).then(|| Retransmit::start(now));
        Self {
            secret,
            flow,
            is_invite,
            request: None,
            edits: None,
            companion: None,
            owner: Owner::Proxy,
            context: 0,
            server: 0,
            binding: None,
            is_masked: false,
            unsent: Unsent { request: true, companion: false },
            patient_until: None,
            hears_late: false,
            state: State::Calling { retransmit, ends_at: now.plus(limit_ms) },
            cancel: Cancel::No,
        }
    }

    /// Takes an answer to the request.
    pub fn received(&mut self, now: Instant, status: u16) -> Received {
        match (self.state, status) {
            (State::Calling { retransmit, ends_at } | State::Proceeding { retransmit, ends_at }, 100..=199) => {
                self.state = if self.is_invite {
                    // Timer C starts with the branch and anew with each provisional answer but 100 (§16.7 step 2).
                    let ends_at = match self.state {
                        State::Proceeding { .. } if status == 100 => ends_at,
                        // §9.1: once the CANCEL is out, nothing puts the end off.
                        _ if matches!(self.cancel, Cancel::Sent { .. } | Cancel::Done) => ends_at,
                        _ => now.plus(TIMER_C_MS),
                    };
                    State::Proceeding { retransmit: None, ends_at }
                } else {
                    State::Proceeding { retransmit, ends_at: self.patient_until.unwrap_or(ends_at) }
                };
                Received::Provisional
            }
            (State::Calling { .. } | State::Proceeding { .. }, 200..=299) if self.is_invite => {
                self.state = State::Accepted { ends_at: now.plus(T64_MS) };
                Received::Final
            }
            (State::Calling { .. } | State::Proceeding { .. }, _) => {
                let linger_ms = match (self.flow.is_reliable(), self.is_invite) {
                    (true, _) => 0,
                    (false, true) => T64_MS,
                    (false, false) => T4_MS,
                };
                self.state = State::Completed { ends_at: now.plus(linger_ms) };
                self.hears_late = false;
                if matches!(self.cancel, Cancel::Wanted) {
                    self.cancel = Cancel::Done;
                }
                Received::Final
            }
            (State::Accepted { .. }, 200..=299) => Received::Final,
            (State::Completed { .. }, 300..=699) if self.is_invite => Received::Acknowledge,
            // Once: what comes again tells nothing new.
            (State::Completed { .. }, 200..=299) if core::mem::take(&mut self.hears_late) => Received::Final,
            _ => Received::Absorbed,
        }
    }

    /// The limit has come and the next is tried; whether the transaction lives on. An INVITE may have arrived all the same
    /// and ring: then it is cancelled as soon as that is heard, and a 2xx still passes.
    pub fn give_way(&mut self, now: Instant) -> bool {
        let is_silent = matches!((self.state, self.cancel), (State::Calling { .. }, Cancel::No));
        if !(self.is_invite && self.patient_until.is_some() && is_silent) {
            return false;
        }
        self.state = State::Calling { retransmit: None, ends_at: now.plus(T64_MS) };
        self.cancel = Cancel::Wanted;
        self.unsent.request = false;
        true
    }

    /// Ends the transaction from outside: its way is gone, or it has timed out.
    pub fn abandon(&mut self, now: Instant) {
        self.state = State::Completed { ends_at: now.plus(if self.hears_late { T64_MS } else { 0 }) };
        self.cancel = Cancel::Done;
        self.unsent = Unsent::default();
    }

    /// Asks for a CANCEL; whether it is to be sent at once.
    pub fn cancel(&mut self, now: Instant) -> bool {
        match (self.state, self.cancel) {
            (State::Calling { .. }, Cancel::No) if self.is_invite => {
                self.cancel = Cancel::Wanted;
                false
            }
            (State::Proceeding { .. }, Cancel::No | Cancel::Wanted) if self.is_invite => {
                let retransmit = (!self.flow.is_reliable()).then(|| Retransmit::start(now));
                let ends_at = now.plus(T64_MS);
                self.cancel = Cancel::Sent { retransmit, ends_at };
                // §9.1: the transaction counts as cancelled 64 x T1 after the CANCEL even if no answer comes.
                self.state = State::Proceeding { retransmit: None, ends_at };
                true
            }
            _ => false,
        }
    }

    /// Whether a CANCEL waits for a provisional answer.
    pub const fn wants_cancel(&self) -> bool {
        matches!(self.cancel, Cancel::Wanted)
    }

    /// Takes an answer to the CANCEL.
    pub fn cancel_answered(&mut self) {
        if matches!(self.cancel, Cancel::Sent { .. }) {
            self.cancel = Cancel::Done;
        }
    }

    /// The next deadline.
    pub fn deadline(&self) -> Option<Instant> {
        let own = match self.state {
            State::Calling { retransmit, ends_at } | State::Proceeding { retransmit, ends_at } => {
                earliest(retransmit.map(|next| next.at), Some(ends_at))
            }
            State::Completed { ends_at } | State::Accepted { ends_at } => Some(ends_at),
        };
        match self.cancel {
            Cancel::Sent { retransmit, ends_at } => {
                earliest(own, earliest(retransmit.map(|next| next.at), Some(ends_at)))
            }
            _ => own,
        }
    }

    /// Acts on a deadline that has come.
    pub fn due(&mut self, now: Instant) -> Due {
        let is_invite = self.is_invite;
        if let Cancel::Sent { retransmit, ends_at } = &mut self.cancel {
            if *ends_at <= now {
                self.cancel = Cancel::Done;
            } else if let Some(next) = retransmit.as_mut().filter(|next| next.at <= now) {
                *next = next.next(now, T2_MS);
                return Due::ResendCancel;
            }
        }
        match &mut self.state {
            State::Completed { ends_at } | State::Accepted { ends_at } if *ends_at <= now => Due::Ended,
            State::Calling { ends_at, .. } if *ends_at <= now => Due::TimedOut,
            State::Proceeding { ends_at, .. } if *ends_at <= now => {
                if is_invite && matches!(self.cancel, Cancel::No) {
                    Due::RangTooLong
                } else {
                    Due::TimedOut
                }
            }
            State::Calling { retransmit: Some(next), .. } if next.at <= now => {
                // Timer A doubles without bound, timer E up to T2.
                *next = next.next(now, if is_invite { u64::MAX } else { T2_MS });
                Due::Resend
            }
            State::Proceeding { retransmit: Some(next), .. } if next.at <= now => {
                *next = Retransmit { at: now.plus(T2_MS), interval_ms: T2_MS };
                Due::Resend
            }
            _ => Due::Nothing,
        }
    }

    /// Whether the final answer is there, so that the transaction may give way to a new one.
    pub const fn is_finished(&self) -> bool {
        matches!(self.state, State::Completed { .. } | State::Accepted { .. })
    }

    /// Whether a 2xx to INVITE came.
    pub const fn is_accepted(&self) -> bool {
        matches!(self.state, State::Accepted { .. })
    }

    /// Whether a provisional answer has come and no final one.
    pub const fn is_proceeding(&self) -> bool {
        matches!(self.state, State::Proceeding { .. })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::net::{Port, Stream};

    const T0: Instant = Instant::from_millis(0);

    fn udp() -> Flow {
        Flow::Datagram { port: Port(0), remote: "192.0.2.1:5060".parse().unwrap() }
    }

    fn run(tx: &mut ClientTransaction) -> std::vec::Vec<(u64, Due)> {
        let mut seen = std::vec::Vec::new();
        while let Some(deadline) = tx.deadline() {
            let due = tx.due(deadline);
            seen.push((deadline.millis(), due));
            if matches!(due, Due::TimedOut | Due::Ended | Due::RangTooLong) {
                break;
            }
        }
        seen
    }

    #[test]
    fn invite_without_answer() {
        let mut tx = ClientTransaction::new(T0, 0, udp(), true, T64_MS);
        let times = [500, 1500, 3500, 7500, 15_500, 31_500];
        let mut expected: std::vec::Vec<_> = times.iter().map(|at| (*at, Due::Resend)).collect();
        expected.push((32_000, Due::TimedOut));
        assert_eq!(run(&mut tx), expected);
    }

    #[test]
    fn one_that_is_at_it_is_waited_for() {
        let mut tx = ClientTransaction::new(T0, 0, udp(), false, 6_000);
        tx.patient_until = Some(T0.plus(20_000));
        assert_eq!(tx.received(T0.plus(3_500), 100), Received::Provisional);
        assert_eq!(run(&mut tx).last(), Some(&(20_000, Due::TimedOut)));
    }

    #[test]
    fn an_invite_that_gave_way_is_cancelled_when_it_is_heard_of() {
        for (has_next, is_invite) in [(false, true), (true, false), (true, true)] {
            let mut tx = ClientTransaction::new(T0, 0, udp(), is_invite, 6_000);
            tx.patient_until = has_next.then_some(T0.plus(20_000));
            assert_eq!(run(&mut tx).last(), Some(&(6_000, Due::TimedOut)));
            assert_eq!(tx.give_way(T0.plus(6_000)), has_next && is_invite);
        }
        let mut tx = ClientTransaction::new(T0, 0, udp(), true, 6_000);
        tx.patient_until = Some(T0.plus(T64_MS));
        assert!(tx.give_way(T0.plus(6_000)));
        // It is not sent again, and not waited for longer than any other.
        assert_eq!((tx.unsent.request, run(&mut tx)), (false, std::vec![(38_000, Due::TimedOut)]));
        assert!(!tx.give_way(T0.plus(38_000)));
        let mut late = ClientTransaction::new(T0, 0, udp(), true, 6_000);
        late.patient_until = Some(T0.plus(T64_MS));
        assert!(late.give_way(T0.plus(6_000)));
        assert_eq!(late.received(T0.plus(7_000), 180), Received::Provisional);
        assert!(late.wants_cancel() && late.cancel(T0.plus(7_000)));
        assert_eq!(late.received(T0.plus(7_100), 200), Received::Final);
        assert!(late.is_accepted());
    }

    #[test]
    fn non_invite_repeats_more_slowly_after_a_provisional_answer() {
        let mut tx = ClientTransaction::new(T0, 0, udp(), false, 20_000);
        assert_eq!(tx.received(T0.plus(100), 100), Received::Provisional);
        let seen = run(&mut tx);
        assert_eq!(seen[..3], [(500, Due::Resend), (4500, Due::Resend), (8500, Due::Resend)]);
        assert_eq!(seen.last(), Some(&(20_000, Due::TimedOut)));
    }

    #[test]
    fn final_answers() {
        let mut tx = ClientTransaction::new(T0, 0, udp(), true, T64_MS);
        assert_eq!(tx.received(T0, 180), Received::Provisional);
        assert_eq!(tx.received(T0, 486), Received::Final);
        assert_eq!(tx.received(T0, 486), Received::Acknowledge);
        assert_eq!(tx.received(T0, 200), Received::Absorbed);
        assert_eq!(run(&mut tx), [(32_000, Due::Ended)]);

        let mut tx = ClientTransaction::new(T0, 0, udp(), true, T64_MS);
        assert_eq!((tx.received(T0, 200), tx.received(T0, 200)), (Received::Final, Received::Final));
        assert_eq!(tx.received(T0, 180), Received::Absorbed);

        let stream = Flow::Stream(Stream { index: 1, generation: 1 });
        let mut tx = ClientTransaction::new(T0, 0, stream, false, T64_MS);
        assert_eq!(tx.received(T0.plus(7), 404), Received::Final);
        assert_eq!(run(&mut tx), [(7, Due::Ended)]);
    }

    #[test]
    fn cancel_waits_for_a_provisional_answer() {
        let mut tx = ClientTransaction::new(T0, 0, udp(), true, T64_MS);
        assert!(!tx.cancel(T0) && tx.wants_cancel());
        assert_eq!(tx.received(T0, 180), Received::Provisional);
        assert!(tx.cancel(T0) && !tx.cancel(T0));
        assert_eq!((tx.deadline(), tx.due(T0.plus(500))), (Some(T0.plus(500)), Due::ResendCancel));
        tx.cancel_answered();
        assert_eq!(tx.deadline(), Some(T0.plus(T64_MS)));
        // A phone that says once more that it rings.
        assert_eq!(tx.received(T0.plus(1_000), 180), Received::Provisional);
        assert_eq!(tx.due(T0.plus(T64_MS)), Due::TimedOut);
    }

    #[test]
    fn ringing_ends_with_timer_c() {
        let mut tx = ClientTransaction::new(T0, 0, udp(), true, T64_MS);
        tx.received(T0, 180);
        tx.received(T0.plus(100_000), 100);
        assert_eq!(tx.deadline(), Some(T0.plus(TIMER_C_MS)));
        tx.received(T0.plus(100_000), 183);
        assert_eq!(run(&mut tx), [(100_000 + TIMER_C_MS, Due::RangTooLong)]);
    }
}
