//! The server transactions: INVITE (RFC 3261 §17.2.1, RFC 6026 §7.1) and non-INVITE (§17.2.2).
//!
//! A request that is not an INVITE has one provisional answer, a late 100 (RFC 4320 §4.1): a sender that could try somebody
//! else learns that it is being worked on.

use super::{Retransmit, STILL_TRYING_MS, T1_MS, T2_MS, T4_MS, T64_MS, TRYING_MS};
use crate::base::net::Flow;
use crate::base::store::Bytes;
use crate::base::time::{Instant, earliest};

/// A request that came in and how far its answer is.
#[derive(Debug)]
pub struct ServerTransaction {
    /// Identifies retransmissions, ACK and CANCEL (§17.2.3), as a keyed hash.
    pub key: u64,
    /// Identifies the same request come by another way (§8.2.2.2), as a keyed hash; 0 in a dialog, where that can't be.
    pub merge: u64,
    /// The way back.
    pub flow: Flow,
    /// Whether the request is an INVITE.
    pub is_invite: bool,
    /// The request, while a 100 may have to be made from it, or answers may come that need it.
    pub request: Option<Bytes>,
    /// The last answer, to be repeated.
    pub response: Option<Bytes>,
    /// Whether `response` waits to be sent.
    pub is_unsent: bool,
    /// Whether it has to wait until what it promises is durable.
    pub is_held: bool,
    /// Where within the house it came from: its answers go nowhere, and its final status is for who has that name. 0 is for
    /// nobody.
    pub origin: Option<u32>,
    /// Whether who asks is outside the home, and does not get to see where its devices are.
    pub is_outside: bool,
    /// Whether every answer takes from the request what was hidden in it.
    pub keeps_request: bool,
    /// The response context that works on the answer, as handle bits.
    pub context: Option<u32>,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    /// No final answer yet.
    Proceeding { trying_at: Option<Instant> },
    /// A final answer is out: for an INVITE not a 2xx, and the ACK has not come.
    Completed { retransmit: Option<Retransmit>, ends_at: Instant },
    /// The ACK has come (INVITE only).
    Confirmed { ends_at: Instant },
    /// A 2xx is out (INVITE only): its repetitions come from the answering side.
    Accepted { ends_at: Instant },
}

/// What a deadline asks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Due {
    /// Nothing after all.
    Nothing,
    /// Send 100 Trying.
    Trying,
    /// Send the last answer again.
    Resend,
    /// The transaction is over.
    Ended,
}

impl ServerTransaction {
    /// A transaction for a request that has just come in.
    pub const fn new(now: Instant, key: u64, merge: u64, flow: Flow, is_invite: bool) -> Self {
        let trying_at = Some(now.plus(if is_invite { TRYING_MS } else { STILL_TRYING_MS }));
        Self {
            key,
            merge,
            flow,
            is_invite,
            request: None,
            response: None,
            is_unsent: false,
            is_held: false,
            origin: None,
            is_outside: false,
            keeps_request: false,
            context: None,
            state: State::Proceeding { trying_at },
        }
    }

    /// Whether nobody outside waits for its answers.
    pub const fn is_mute(&self) -> bool {
        self.origin.is_some()
    }

    /// Notes that an answer with this status is on its way.
    pub fn responded(&mut self, now: Instant, status: u16) {
        let is_reliable = self.flow.is_reliable();
        match (self.state, status) {
            (State::Proceeding { .. }, 100..=199) => self.state = State::Proceeding { trying_at: None },
            (State::Proceeding { .. }, 200..=299) if self.is_invite => {
                self.state = State::Accepted { ends_at: now.plus(T64_MS) };
            }
            (State::Proceeding { .. }, _) if self.is_invite => {
                let retransmit = (!is_reliable).then(|| Retransmit::start(now));
                self.state = State::Completed { retransmit, ends_at: now.plus(T64_MS) };
            }
            (State::Proceeding { .. }, _) => {
                let linger_ms = if is_reliable { 0 } else { T64_MS };
                self.state = State::Completed { retransmit: None, ends_at: now.plus(linger_ms) };
            }
            // A further 2xx of a forked INVITE passes; it changes nothing here.
            _ => {}
        }
    }

    /// Whether an answer with this status may still be sent (§17.2: one final answer, but any number of 2xx to INVITE).
    pub const fn admits(&self, status: u16) -> bool {
        match self.state {
            State::Proceeding { .. } => true,
            State::Accepted { .. } => status >= 200 && status < 300,
            _ => false,
        }
    }

    /// Whether the request, come again, is to be answered with the last answer again.
    pub const fn repeats_answer(&self) -> bool {
        matches!(self.state, State::Proceeding { .. } | State::Completed { .. }) && self.response.is_some()
    }

    /// Takes the ACK of a final answer; whether it was for this transaction and ends here.
    pub fn acknowledged(&mut self, now: Instant) -> bool {
        match self.state {
            State::Completed { .. } => {
                let linger_ms = if self.flow.is_reliable() { 0 } else { T4_MS };
                self.state = State::Confirmed { ends_at: now.plus(linger_ms) };
                true
            }
            State::Confirmed { .. } => true,
            State::Proceeding { .. } | State::Accepted { .. } => false,
        }
    }

    /// The next deadline.
    pub fn deadline(&self) -> Option<Instant> {
        match self.state {
            State::Proceeding { trying_at } => trying_at,
            State::Completed { retransmit, ends_at } => earliest(retransmit.map(|next| next.at), Some(ends_at)),
            State::Confirmed { ends_at } | State::Accepted { ends_at } => Some(ends_at),
        }
    }

    /// Acts on a deadline that has come.
    pub fn due(&mut self, now: Instant) -> Due {
        match &mut self.state {
            State::Proceeding { trying_at: Some(at) } if *at <= now => Due::Trying,
            State::Proceeding { .. } => Due::Nothing,
            State::Completed { ends_at, .. } | State::Confirmed { ends_at } | State::Accepted { ends_at }
                if *ends_at <= now =>
            {
                Due::Ended
            }
            State::Completed { retransmit: Some(next), .. } if next.at <= now => {
                *next = next.next(now, T2_MS);
                Due::Resend
            }
            _ => Due::Nothing,
        }
    }

    /// Whether the final answer is given, so that the transaction may give way to a new one.
    pub const fn is_finished(&self) -> bool {
        !matches!(self.state, State::Proceeding { .. })
    }

    /// Whether a 2xx was given to an INVITE.
    pub const fn is_accepted(&self) -> bool {
        matches!(self.state, State::Accepted { .. })
    }
}

const _: () = assert!(TRYING_MS <= 200 && TRYING_MS < T1_MS);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::net::{Port, Stream};

    const T0: Instant = Instant::from_millis(1_000);

    fn udp() -> Flow {
        Flow::Datagram { port: Port(0), remote: "192.0.2.1:5060".parse().unwrap() }
    }

    fn at(ms: u64) -> Instant {
        T0.plus(ms)
    }

    #[test]
    fn invite_refused_over_udp() {
        let mut tx = ServerTransaction::new(T0, 1, 1, udp(), true);
        assert_eq!(tx.deadline(), Some(at(150)));
        assert_eq!(tx.due(at(150)), Due::Trying);
        tx.responded(at(150), 100);
        assert_eq!(tx.deadline(), None);
        tx.responded(at(1000), 486);
        // Timer G doubles from T1 up to T2; H ends it.
        let mut sent = std::vec::Vec::new();
        while let Some(deadline) = tx.deadline() {
            match tx.due(deadline) {
                Due::Resend => sent.push(deadline.since(at(1000))),
                Due::Ended => {
                    assert_eq!(deadline, at(33_000));
                    break;
                }
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(sent, [500, 1500, 3500, 7500, 11_500, 15_500, 19_500, 23_500, 27_500, 31_500]);
    }

    #[test]
    fn ack_stops_the_repetition() {
        let mut tx = ServerTransaction::new(T0, 1, 1, udp(), true);
        assert!(!tx.acknowledged(T0));
        tx.responded(T0, 404);
        assert!(tx.is_finished() && tx.acknowledged(at(100)) && tx.acknowledged(at(200)));
        assert_eq!((tx.deadline(), tx.due(at(5_100))), (Some(at(5_100)), Due::Ended));
    }

    #[test]
    fn accepted_invite_passes_every_2xx_and_absorbs_the_request() {
        let mut tx = ServerTransaction::new(T0, 1, 1, udp(), true);
        tx.responded(T0, 200);
        assert!(tx.admits(200) && !tx.admits(180) && !tx.admits(486));
        assert!(!tx.repeats_answer() && !tx.acknowledged(T0));
        assert_eq!(tx.deadline(), Some(at(32_000)));
    }

    #[test]
    fn non_invite_ends_at_once_on_a_stream() {
        let stream = Flow::Stream(Stream { index: 0, generation: 0 });
        let mut tx = ServerTransaction::new(T0, 1, 1, stream, false);
        assert_eq!(tx.deadline(), Some(T0.plus(3_500)));
        assert_eq!((tx.due(T0.plus(3_499)), tx.due(T0.plus(3_500))), (Due::Nothing, Due::Trying));
        tx.responded(T0.plus(3_500), 100);
        assert_eq!(tx.deadline(), None);
        tx.responded(T0, 200);
        assert_eq!(tx.due(T0), Due::Ended);
    }
}
