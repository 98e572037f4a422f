//! A call that ends here (RFC 3261 §13.3.1.4, §14.2, §15): answered with 2xx until the ACK comes, changed by a re-INVITE or
//! UPDATE (RFC 3311), ended by a BYE of either side. What is said in it is not known here.
//!
//! Whoever holds the calls finds one by the To tag of what comes in ([`dialog::id_of`]), as that is the call's own name.
//! Left out: reliable provisional answers (RFC 3262; nothing is sent before the 2xx), session timers (RFC 4028; such calls
//! are short, and the other side may run one), and calls that we begin.

use crate::base::net::Flow;
use crate::base::store::{Bytes, Store};
use crate::base::text::Writer;
use crate::base::time::{Instant, earliest};
use crate::sip::dialog::{self, Dialog};
use crate::sip::own::Own;
use crate::sip::stack::{ServerHandle, Stack};
use crate::sip::transaction::client::Owner;
use crate::sip::transaction::{Retransmit, T2_MS, T64_MS};
use crate::wire::sip::response::{self, Head};
use crate::wire::sip::{Message, Method};

/// A call that was answered here.
#[derive(Debug)]
pub struct Call {
    dialog: Dialog,
    /// The 2xx that the caller has not acknowledged yet.
    unconfirmed: Option<Unconfirmed>,
    /// CSeq of the last INVITE.
    invite_cseq: u32,
}

/// A 2xx on its way.
#[derive(Debug)]
struct Unconfirmed {
    server: ServerHandle,
    answer: Bytes,
    again: Retransmit,
    ends_at: Instant,
}

/// What has become of a call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Due {
    /// Nothing.
    Nothing,
    /// The caller has never acknowledged the answer: the call is over (§13.3.1.4), and a BYE has to be sent.
    Unconfirmed,
}

/// Methods that are understood in a call.
pub const ALLOW: &str = "Allow: INVITE, ACK, BYE, CANCEL, OPTIONS, UPDATE, INFO\r\n";
/// The user part of our Contact.
const USER: &str = "pcs";

impl Call {
    /// Answers an INVITE with 200 and a session description. `id` is our tag. `None` when there is no room, or it has no
    /// Contact: nothing was sent.
    pub fn answer(
        now: Instant,
        stack: &mut Stack,
        (server, flow): (ServerHandle, Flow),
        request: &Message<'_>,
        id: u64,
        description: &[u8],
    ) -> Option<Self> {
        let dialog = Dialog::from_request(stack, id, flow, request)?;
        let invite_cseq = dialog.remote_cseq;
        let mut call = Self { dialog, unconfirmed: None, invite_cseq };
        if call.accept(now, stack, (server, flow), request, description) {
            return Some(call);
        }
        call.release(&mut stack.store);
        None
    }

    /// Whether a request is in this call: Call-ID and both tags.
    pub fn has(&self, store: &Store, message: &Message<'_>) -> bool {
        self.dialog.has(store, message)
    }

    /// Its dialog.
    pub const fn dialog(&self) -> &Dialog {
        &self.dialog
    }

    /// Takes the order of a request in it; false when it is out of order (§12.2.2): 500.
    pub fn admits(&mut self, message: &Message<'_>) -> bool {
        message.essentials().is_some_and(|essentials| self.dialog.admits(essentials.cseq.number))
    }

    /// Whether an answer of ours still waits for its ACK: another INVITE is too early (§14.2: 500 with Retry-After).
    pub const fn is_unconfirmed(&self) -> bool {
        self.unconfirmed.is_some()
    }

    /// Accepts the INVITE that began it, or a later one, or an UPDATE. Whether there was room.
    pub fn accept(
        &mut self,
        now: Instant,
        stack: &mut Stack,
        (server, flow): (ServerHandle, Flow),
        request: &Message<'_>,
        description: &[u8],
    ) -> bool {
        self.dialog.refreshed(stack, flow, request);
        let mut tag = [0; 16];
        dialog::write_tag(self.dialog.id, &mut Writer::new(&mut tag));
        let source = stack.network.remote(flow);
        let is_invite = request.method() == Some(Method::Invite);
        let answer = stack.compose_with(|_, network, _, out| {
            let head = Head { status: 200, reason: "OK", to_tag: Some(&tag), source, record_route: true };
            response::write_head(request, &head, out);
            if let Some(own) = Own::of(network, flow) {
                out.text("Contact: <");
                own.write_uri(USER, out);
                out.text(">\r\n");
            }
            out.text(ALLOW);
            let body = Some(("application/sdp", description)).filter(|(_, body)| !body.is_empty());
            response::finish(out, body);
        });
        let Some(answer) = answer else { return false };
        if !is_invite {
            stack.respond_frozen(now, server, 200, answer);
            return true;
        }
        let share = stack.store.share(&answer);
        stack.respond_frozen(now, server, 200, share);
        self.invite_cseq = request.essentials().map_or(self.invite_cseq, |essentials| essentials.cseq.number);
        let next = Unconfirmed { server, answer, again: Retransmit::start(now), ends_at: now.plus(T64_MS) };
        let old = self.unconfirmed.replace(next);
        old.into_iter().for_each(|old| stack.store.release(old.answer));
        true
    }

    /// Takes an ACK; whether it is the one that was waited for.
    pub fn acknowledged(&mut self, stack: &mut Stack, message: &Message<'_>) -> bool {
        let is_it = message.essentials().is_some_and(|essentials| essentials.cseq.number == self.invite_cseq);
        let confirmed = if is_it { self.unconfirmed.take() } else { None };
        let is_confirmed = confirmed.is_some();
        confirmed.into_iter().for_each(|it| stack.store.release(it.answer));
        is_confirmed
    }

    /// Ends it: sends a BYE, whose answer is for `object` of [`Owner::Call`].
    pub fn hang_up(&mut self, now: Instant, stack: &mut Stack, object: u32) {
        self.dialog.local_cseq += 1;
        let (dialog, flow) = (&self.dialog, self.dialog.flow);
        let sent = stack.send_own(now, flow, (Owner::Call, object), T64_MS, |store, outgoing, out| {
            dialog.write_request(store, outgoing, USER, Method::Bye, out);
            out.text("Content-Length: 0\r\n\r\n");
        });
        if sent.is_none() {
            log::warn!("no room to hang up with a BYE: the caller's phone has to notice by itself");
        }
    }

    /// Acts on its deadline.
    pub fn due(&mut self, now: Instant, stack: &mut Stack) -> Due {
        let Some(unconfirmed) = self.unconfirmed.as_mut() else { return Due::Nothing };
        if unconfirmed.ends_at <= now {
            let confirmed = self.unconfirmed.take();
            confirmed.into_iter().for_each(|it| stack.store.release(it.answer));
            return Due::Unconfirmed;
        }
        if unconfirmed.again.at <= now {
            unconfirmed.again = unconfirmed.again.next(now, T2_MS);
            let share = stack.store.share(&unconfirmed.answer);
            stack.respond_frozen(now, unconfirmed.server, 200, share);
        }
        Due::Nothing
    }

    /// When it has something to do.
    pub fn deadline(&self) -> Option<Instant> {
        self.unconfirmed.as_ref().and_then(|it| earliest(Some(it.again.at), Some(it.ends_at)))
    }

    /// The blocks of the store that it keeps.
    pub fn kept_blocks(&self) -> usize {
        1 + usize::from(self.unconfirmed.is_some())
    }

    /// Gives its bytes back.
    pub fn release(self, store: &mut Store) {
        self.unconfirmed.into_iter().for_each(|it| store.release(it.answer));
        self.dialog.release(store);
    }
}
