//! The forking proxy (RFC 3261 §16): response contexts and their branches.
//!
//! Devices of equal preference are tried at once, groups one after the other; a message goes to all. Two flows of one
//! instance are tried one after the other (RFC 5626). Every request but INVITE is answered within 25 s, before its sender
//! gives up (RFC 4320), a MESSAGE's branches have 8 s each. Timer C, CANCEL with a Reason (RFC 3326), RFC 5393 breadth.
//! Large requests go on a stream where there can be one (§18.1.1). Leaves out: recursion on 3xx, which the caller gets.

mod answer;
mod branch;
pub mod context;
pub mod forward;
pub mod veil;

use heapless::Vec;

use crate::base::limits::{BRANCHES, CONTEXTS, EDIT_BYTES};
use crate::base::net::Flow;
use crate::base::store::Bytes;
use crate::base::table::{Handle, Table};
use crate::base::text::Name;
use crate::base::time::Instant;
use crate::home::people::People;
use crate::home::policy::{self, Assurance, Kind, Missed, Stage};
use crate::home::registrar::Registrar;
use crate::sip::mask::{self, Use};
use crate::sip::resolver::{Candidates, LookupHandle};
use crate::sip::stack::{ClientHandle, Keys, Stack, Task, tag_of};
use crate::wire::sip::{Fault, Message, Name as Field};
pub use branch::flow_of;
use context::{Context, Delegation, Passage, Progress, Size, Target, To, rank};
use veil::Crossing;

/// A context's handle.
pub type ContextHandle = Handle<Context>;

/// A request that is not an INVITE is answered after so long at the latest.
const ANSWER_MS: u64 = 25_000;
/// A group of devices rings for so long when there is another to try.
const GROUP_RING_MS: u64 = 20_000;
/// Breadth of a request that says none (RFC 5393 §5.3.3).
pub const MAX_BREADTH: u32 = 60;

/// The disk takes longer than any sender waits.
const SLOW_DISK: Fault = Fault { status: 480, reason: "Not Kept: the Disk Is Slow" };

const ELSEWHERE: &[u8] = b"Reason: SIP;cause=200;text=\"Call completed elsewhere\"\r\n";
const DECLINED: &[u8] = b"Reason: SIP;cause=603;text=\"Declined\"\r\n";

/// Requests being forked.
pub struct Proxy {
    contexts: Table<Context, CONTEXTS>,
    /// Room for the texts of the edits that are being made.
    pub edit_text: [u8; EDIT_BYTES],
}

/// The other services, as the proxy needs them.
pub struct Around<'a> {
    /// Transactions and transport.
    pub stack: &'a mut Stack,
    /// Bindings.
    pub registrar: &'a mut Registrar,
    /// People.
    pub people: &'a People,
}

/// A request that may go on its way.
pub struct Job<'a, 'b> {
    /// The request.
    pub message: &'a Message<'b>,
    /// What identifies it.
    pub keys: &'a Keys,
    /// The way it came.
    pub flow: Flow,
    /// What it asks for.
    pub kind: Kind,
    /// How it is forwarded.
    pub passage: Passage,
    /// Where it goes.
    pub targets: Vec<Target, BRANCHES>,
    /// The lookup that will say where it goes, when there is no target yet.
    pub lookup: Option<LookupHandle>,
    /// The domain it goes to, when that is another's.
    pub domain: Name,
    /// How sure it is who asks.
    pub assurance: Assurance,
    /// What becomes of it when no device takes it.
    pub delegation: Delegation,
}

/// Why a request can't be started on its way.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Overloaded;

impl Proxy {
    /// No requests.
    pub const fn new() -> Self {
        Self { contexts: Table::new(), edit_text: [0; EDIT_BYTES] }
    }

    /// Sends a request on its way to its targets.
    pub fn start(&mut self, now: Instant, around: &mut Around<'_>, job: Job<'_, '_>) -> Result<(), Overloaded> {
        let is_invite = job.message.method() == Some(crate::wire::sip::Method::Invite);
        if self.contexts.is_full() {
            self.make_room(around.stack);
        }
        if self.contexts.is_full() {
            around.stack.counters.overloaded += 1;
            return Err(Overloaded);
        }
        let request = around.stack.freeze(job.message.bytes()).ok_or(Overloaded)?;
        let Some(server) = around.stack.open_server(now, job.keys, job.flow, is_invite) else {
            around.stack.store.release(request);
            return Err(Overloaded);
        };
        let context = Context {
            server,
            request,
            kind: job.kind,
            is_invite,
            passage: job.passage,
            targets: job.targets,
            lookup: job.lookup,
            domain: job.domain,
            best: None,
            is_answered: false,
            is_closed: false,
            is_cancelled: false,
            deadline: (!is_invite).then(|| now.plus(ANSWER_MS)),
            began_at: now,
            assurance: job.assurance,
            delegation: job.delegation,
        };
        match self.contexts.insert(context) {
            Ok(handle) => {
                if let Some(context) = self.contexts.get(handle) {
                    around.stack.attach(server, handle.to_bits(), &context.request);
                    mark_border(around.stack, context, job.message);
                }
                self.advance_with(now, around, handle, Some(job.message));
                Ok(())
            }
            Err(context) => {
                around.stack.store.release(context.request);
                Err(Overloaded)
            }
        }
    }

    /// A lookup has ended: what waited for it goes on, or is answered with why not.
    pub fn located(
        &mut self,
        now: Instant,
        around: &mut Around<'_>,
        lookup: LookupHandle,
        found: &Result<Candidates, Fault>,
    ) {
        for index in 0..CONTEXTS {
            let Some(handle) = self.contexts.handle_at(index) else { continue };
            let Some(context) = self.contexts.get_mut(handle).filter(|it| it.lookup == Some(lookup)) else { continue };
            context.lookup = None;
            match found {
                Ok(candidates) => context.targets = context::servers(candidates),
                Err(fault) => {
                    context.best = refusal(around.stack, context, *fault).map(|bytes| (fault.status, bytes));
                }
            }
            self.advance(now, around, handle);
        }
    }

    /// Takes an answer that belongs to a branch.
    pub fn answered(&mut self, now: Instant, around: &mut Around<'_>, client: ClientHandle, message: &Message<'_>) {
        let (Some(status), Some(tx)) = (message.status(), around.stack.client(client)) else { return };
        let (handle, server, binding) = (ContextHandle::from_bits(tx.context), tx.server, tx.binding);
        if let Some(binding) = binding {
            around.registrar.heard(now, Handle::from_bits(binding));
        }
        // One that only waits to be noted as missed was answered, too.
        let open = self.contexts.get_mut(handle).filter(|context| context.delegation != Delegation::Noting);
        let Some(context) = open else {
            if !around.stack.client(client).is_some_and(|tx| tx.is_invite) {
                return;
            }
            // The request is settled; a further 2xx to INVITE still has to reach the caller (§16.7 step 5).
            let server = Handle::from_bits(server);
            if (200..300).contains(&status) && around.stack.server(server).is_some_and(|tx| tx.is_accepted()) {
                answer::forward(now, around, client, server, status, message);
            }
            return;
        };
        match status {
            100 => {}
            101..=199 => {
                let server = context.server;
                // Of one that was given up nothing is told: it is about to be cancelled.
                if !context.is_answered && context.is_invite && context.target_of(client).is_some() {
                    answer::forward(now, around, client, server, status, message);
                }
            }
            200..=299 => {
                let server = context.server;
                let is_first = !context.is_answered;
                context.is_answered = true;
                if let Some(target) = context.target_of(client) {
                    target.progress = Progress::Done(status);
                    let instance = target.instance;
                    context.skip_flows(instance, status);
                }
                // Every device gets a message; anything else is done when one has taken it (§16.7 step 10).
                context.is_closed |= !context.kind.is_message();
                if is_first || context.is_invite {
                    answer::forward(now, around, client, server, status, message);
                }
                if context.is_invite {
                    self.close(now, around, handle, ELSEWHERE);
                }
                self.advance(now, around, handle);
            }
            _ => {
                self.failed(now, around, handle, client, status, Some(message));
            }
        }
    }

    /// A branch got no answer in time.
    pub fn timed_out(&mut self, now: Instant, around: &mut Around<'_>, client: ClientHandle) {
        self.gone(now, around, client, 408);
    }

    /// A branch's way is gone.
    pub fn broken(&mut self, now: Instant, around: &mut Around<'_>, client: ClientHandle) {
        around.stack.abandon(now, client);
        let handle = around.stack.client(client).map(|tx| ContextHandle::from_bits(tx.context));
        if let Some(handle) = handle
            && let Some(context) = self.contexts.get_mut(handle)
            && let Some(target) = context.target_of(client)
            && target.size == Size::OnStream
        {
            // §18.1.1: no connection, so the datagram has to do after all.
            target.size = Size::Datagram;
            target.progress = Progress::Waiting;
            self.advance(now, around, handle);
            return;
        }
        self.gone(now, around, client, 503);
    }

    fn gone(&mut self, now: Instant, around: &mut Around<'_>, client: ClientHandle, status: u16) {
        let Some(tx) = around.stack.client(client) else { return };
        let handle = ContextHandle::from_bits(tx.context);
        if self.contexts.get(handle).is_some() {
            self.failed(now, around, handle, client, status, None);
        }
    }

    /// A branch rang for too long (timer C, §16.8).
    pub fn rang_too_long(&mut self, now: Instant, around: &mut Around<'_>, client: ClientHandle) {
        around.stack.cancel(now, client, b"");
    }

    /// The caller has hung up (§16.10).
    pub fn cancel(&mut self, now: Instant, around: &mut Around<'_>, context: u32, reason: &[u8]) {
        let handle = ContextHandle::from_bits(context);
        if let Some(context) = self.contexts.get_mut(handle) {
            context.is_cancelled = true;
            // Words of a device's own: they are not worth more than where it is.
            let is_told = context.passage.crossing == Crossing::Within || !veil::has_address(reason);
            let reason = if is_told { reason } else { b"" };
            self.close(now, around, handle, reason);
            self.advance(now, around, handle);
        }
    }

    /// Acts on a context's deadline.
    pub fn due(&mut self, now: Instant, around: &mut Around<'_>, index: usize) {
        let Some(handle) = self.contexts.handle_at(index) else { return };
        let Some(context) = self.contexts.get_mut(handle) else { return };
        context.deadline = None;
        if context.is_invite && matches!(context.delegation, Delegation::Open { .. }) && !context.has_other_waiting() {
            // The devices go on ringing until somebody has answered.
            context.delegation = Delegation::Asked(Stage::Unanswered);
            around.stack.schedule.wake(Task::Context(index).id());
            return;
        }
        if context.is_invite {
            // This group has rung long enough: its end brings the next. Who has not even said 100 is not waited for; if
            // it shows up after all it is cancelled, or its 2xx passes while nobody else has answered.
            let pending: Vec<ClientHandle, BRANCHES> = context.pending().collect();
            for client in pending {
                around.stack.cancel(now, client, b"");
                if around.stack.client(client).is_some_and(|tx| tx.wants_cancel())
                    && let Some(target) = context.target_of(client)
                {
                    target.progress = Progress::Done(408);
                }
            }
            self.advance(now, around, handle);
            return;
        }
        context.is_closed = true;
        if context.delegation.is_under_way() {
            // Its sender gives up in a moment: what is not on the disk by now was not kept.
            return self.refuse(now, around, handle, SLOW_DISK);
        }
        let late: Vec<ClientHandle, BRANCHES> = context.pending().collect();
        for client in late {
            around.stack.abandon(now, client);
            self.gone(now, around, client, 408);
        }
    }

    /// Number of requests being forked.
    pub const fn len(&self) -> usize {
        self.contexts.len()
    }

    /// Whether none is.
    pub const fn is_empty(&self) -> bool {
        self.contexts.is_empty()
    }

    /// Name, capacity and bytes of the table.
    pub fn footprint() -> (&'static str, usize, usize) {
        ("response contexts", CONTEXTS, size_of::<Self>())
    }

    /// A branch has finally failed.
    fn failed(
        &mut self,
        now: Instant,
        around: &mut Around<'_>,
        handle: ContextHandle,
        client: ClientHandle,
        status: u16,
        message: Option<&Message<'_>>,
    ) {
        let Some(context) = self.contexts.get_mut(handle) else { return };
        let kind = context.kind;
        let Some(target) = context.target_of(client) else { return };
        target.progress = Progress::Done(status);
        let (instance, to) = (target.instance, target.to);
        if let To::Server(server) = to
            && (message.is_none() || status == 503)
        {
            // Whoever is next in that domain does not wait for it again.
            around.stack.resolver.report_failed(now, server.address, server.transport);
            if message.is_none() && status == 503 && context.best.is_none() {
                const NO_CONNECTION: Fault = Fault { status: 502, reason: "No Connection With That Domain" };
                context.best = refusal(around.stack, context, NO_CONNECTION).map(|bytes| (502, bytes));
            }
        }
        // The device itself has answered, or somebody behind the server: its other flows lead to the same answer.
        let is_behind = matches!(to, To::Server(_)) && message.is_some();
        if !matches!(status, 408 | 430 | 503) || is_behind && status != 503 {
            context.skip_flows(instance, status);
        }
        if kind == Kind::Message
            && let To::Binding(binding) = to
            && policy::missed(status) == Missed::Count
        {
            around.stack.counters.missed_messages += 1;
            if let Some(binding) = around.registrar.get_mut(binding) {
                binding.missed += 1;
                let person = around.people.model.people.get(usize::from(binding.person));
                log::info!("a device of {} did not take a message ({status})", person.map_or("nobody", |it| &it.id));
            }
        }
        if !context.is_answered
            && let Some(message) = message
        {
            answer::keep_best(around, client, context, status, message);
        }
        if status >= 600 {
            self.close(now, around, handle, DECLINED);
        }
        self.advance(now, around, handle);
    }

    /// No new branches, and CANCEL to those that ring.
    fn close(&mut self, now: Instant, around: &mut Around<'_>, handle: ContextHandle, reason: &[u8]) {
        let Some(context) = self.contexts.get_mut(handle) else { return };
        context.is_closed = true;
        if !context.is_invite {
            return;
        }
        let pending: Vec<ClientHandle, BRANCHES> = context.pending().collect();
        pending.into_iter().for_each(|client| around.stack.cancel(now, client, reason));
    }

    /// Starts what can be started now; when nothing is left, answers and ends.
    fn advance(&mut self, now: Instant, around: &mut Around<'_>, handle: ContextHandle) {
        self.advance_with(now, around, handle, None);
    }

    /// [`advance`](Self::advance), with the request if somebody has just read it.
    fn advance_with(
        &mut self,
        now: Instant,
        around: &mut Around<'_>,
        handle: ContextHandle,
        request: Option<&Message<'_>>,
    ) {
        loop {
            let Some(context) = self.contexts.get_mut(handle) else { return };
            if context.lookup.is_some() && !context.is_closed {
                break;
            }
            if context.is_closed {
                context.lookup = None;
                for target in context.targets.iter_mut().filter(|target| target.progress == Progress::Waiting) {
                    target.progress = Progress::Done(487);
                }
            }
            let group = next_group(context);
            if group.is_empty() {
                if context.pending().next().is_some() {
                    break;
                }
                let is_open = matches!(context.delegation, Delegation::Open { .. });
                if is_open && !context.is_answered && !context.is_cancelled {
                    context.delegation = Delegation::Asked(Stage::Failed(context.best_status()));
                }
                if context.waits_for_delegate() {
                    if matches!(context.delegation, Delegation::Asked(_)) {
                        around.stack.schedule.wake(Task::Context(handle.index()).id());
                    }
                    break;
                }
                self.settle(now, around, handle);
                return;
            }
            let breadth = context.passage.breadth / group.len() as u32;
            for index in group {
                branch::start_branch(now, around, handle, context, request, (index, breadth), &mut self.edit_text);
            }
            if context.is_invite {
                context.deadline = match context.delegation {
                    _ if context.has_other_waiting() => Some(now.plus(GROUP_RING_MS)),
                    Delegation::Open { patience_ms } => Some(now.plus(patience_ms.into())),
                    _ => None,
                };
            }
            if context.pending().next().is_some() {
                break;
            }
        }
        let deadline = self.contexts.get(handle).and_then(|context| context.deadline);
        around.stack.schedule.set_deadline(Task::Context(handle.index()).id(), deadline);
    }

    /// Every branch is done: the best answer goes back, unless one has gone already.
    fn settle(&mut self, now: Instant, around: &mut Around<'_>, handle: ContextHandle) {
        let Some(context) = self.contexts.get_mut(handle) else { return };
        let stack = &mut *around.stack;
        stack.schedule.set_deadline(Task::Context(handle.index()).id(), None);
        let Context { server, is_answered, is_cancelled, is_invite, .. } = *context;
        let (best, request) = (context.best.take(), stack.store.share(&context.request));
        if context.is_invite && !is_answered && context.delegation != Delegation::None {
            // It stays until it is noted.
            context.delegation = Delegation::Noting;
            stack.schedule.wake(Task::Context(handle.index()).id());
        } else if !is_answered && stack.server(server).is_some_and(|tx| tx.origin == Some(0)) {
            // Who wrote it on the page sees no answer: it stays until that is said.
            context.delegation = Delegation::Undelivered;
            stack.schedule.wake(Task::Context(handle.index()).id());
        } else {
            self.remove(stack, handle);
        }
        match best {
            Some((_, bytes)) if is_answered => stack.store.release(bytes),
            Some((503, bytes)) => {
                // §16.7 step 6: 503 means one branch, not this server.
                stack.store.release(bytes);
                stack.respond_from_request(now, server, &request, 500, "Server Internal Error", "");
            }
            // RFC 4320 §4.2: nor does a 408 of a device's go on.
            Some((408, bytes)) if !is_invite => {
                stack.store.release(bytes);
                stack.respond_from_request(now, server, &request, 480, "Temporarily Unavailable", "");
            }
            // A device that answers 487 by itself, or late: the caller has hung up all the same.
            Some((status, bytes)) if !is_cancelled || rank(status) < rank(408) => {
                stack.respond_frozen(now, server, status, bytes);
            }
            best => {
                best.into_iter().for_each(|(_, bytes)| stack.store.release(bytes));
                if !is_answered {
                    let (status, reason) = match (is_cancelled, is_invite) {
                        (true, _) => (487, "Request Terminated"),
                        (false, true) => (408, "Request Timeout"),
                        // RFC 4320 §4.1 forbids 408 here, as it would come too late; this one comes in time.
                        (false, false) => (480, "Temporarily Unavailable"),
                    };
                    stack.respond_from_request(now, server, &request, status, reason, "");
                }
            }
        }
        stack.store.release(request);
    }

    /// A missed call that the disk has no time for gives way to a request that somebody waits for.
    fn make_room(&mut self, stack: &mut Stack) {
        if let Some(handle) = self.find(|context| context.delegation == Delegation::Noting) {
            log::warn!("a missed call is not noted: the disk is slow");
            self.remove(stack, handle);
        }
    }

    /// Forgets a context.
    pub fn remove(&mut self, stack: &mut Stack, handle: ContextHandle) {
        let Some(context) = self.contexts.remove(handle) else { return };
        stack.schedule.set_deadline(Task::Context(handle.index()).id(), None);
        stack.store.release(context.request);
        context.best.into_iter().for_each(|(_, bytes)| stack.store.release(bytes));
    }
}

/// What is no device: the inbox and the answering machine.
impl Proxy {
    /// The context in a slot.
    pub fn at(&self, index: usize) -> Option<(ContextHandle, &Context)> {
        let handle = self.contexts.handle_at(index)?;
        Some((handle, self.contexts.get(handle)?))
    }

    /// A context.
    pub fn get(&self, handle: ContextHandle) -> Option<&Context> {
        self.contexts.get(handle)
    }

    /// The first context that `is_it` says of.
    pub fn find(&self, is_it: impl Fn(&Context) -> bool) -> Option<ContextHandle> {
        self.contexts.iter().find(|(_, context)| is_it(context)).map(|(handle, _)| handle)
    }

    /// Says who works on a request that no device has taken.
    pub fn delegate(&mut self, handle: ContextHandle, delegation: Delegation) {
        if let Some(context) = self.contexts.get_mut(handle) {
            context.delegation = delegation;
        }
    }

    /// Nobody takes it either: what rings goes on ringing, else the caller is answered.
    pub fn undelegated(&mut self, now: Instant, around: &mut Around<'_>, handle: ContextHandle) {
        // What was answered meanwhile, and only waits to be noted, stays as it is.
        if let Some(context) = self.contexts.get_mut(handle).filter(|context| context.delegation.is_under_way()) {
            context.delegation = if context.is_invite { Delegation::Missed } else { Delegation::None };
            self.advance(now, around, handle);
        }
    }

    /// Refuses what nobody takes with a status that says why.
    pub fn refuse(&mut self, now: Instant, around: &mut Around<'_>, handle: ContextHandle, fault: Fault) {
        let Some(context) = self.contexts.get_mut(handle).filter(|it| it.delegation.is_under_way()) else { return };
        if !context.is_answered
            && let Some(bytes) = refusal(around.stack, context, fault)
        {
            let old = context.best.replace((fault.status, bytes));
            old.into_iter().for_each(|(_, bytes)| around.stack.store.release(bytes));
        }
        self.undelegated(now, around, handle);
    }

    /// It was kept, and its sender is told so: 202 (RFC 3428 §7).
    pub fn kept(&mut self, now: Instant, around: &mut Around<'_>, handle: ContextHandle, letter: u32) {
        self.answer(now, around, handle, (202, "Accepted"));
        // A device that takes it after all takes the letter back.
        around.stack.hand_late_answers(handle.to_bits(), letter);
        self.undelegated(now, around, handle);
    }

    /// It went on by another network, or is kept until it can: its sender is told so.
    pub fn passed_on(
        &mut self,
        now: Instant,
        around: &mut Around<'_>,
        handle: ContextHandle,
        answer: (u16, &'static str),
    ) {
        self.answer(now, around, handle, answer);
        self.undelegated(now, around, handle);
    }

    fn answer(
        &mut self,
        now: Instant,
        around: &mut Around<'_>,
        handle: ContextHandle,
        (status, reason): (u16, &'static str),
    ) {
        let Some(context) = self.contexts.get_mut(handle) else { return };
        if !core::mem::replace(&mut context.is_answered, true) {
            let (server, request) = (context.server, around.stack.store.share(&context.request));
            around.stack.respond_from_request(now, server, &request, status, reason, "");
            around.stack.store.release(request);
        }
    }

    /// The answering machine has answered: no other is to, but a 2xx that is on its way still passes (§16.7).
    pub fn taken(&mut self, now: Instant, around: &mut Around<'_>, handle: ContextHandle) {
        let Some(context) = self.contexts.get_mut(handle) else { return };
        (context.is_answered, context.delegation) = (true, Delegation::None);
        self.close(now, around, handle, ELSEWHERE);
        self.advance(now, around, handle);
    }
}

impl Default for Proxy {
    fn default() -> Self {
        Self::new()
    }
}

/// The targets to be tried next: those of the highest preference that is left, one flow of each instance at a time. While
/// branches are pending only another flow of an instance that failed may follow.
fn next_group(context: &Context) -> Vec<usize, BRANCHES> {
    let targets = &context.targets;
    let is_busy = |instance: u64| {
        instance != 0
            && targets.iter().any(|other| other.instance == instance && matches!(other.progress, Progress::Trying(_)))
    };
    let is_tried = |instance: u64| {
        instance != 0
            && targets.iter().any(|other| other.instance == instance && matches!(other.progress, Progress::Done(_)))
    };
    let waiting = || targets.iter().enumerate().filter(|(_, target)| target.progress == Progress::Waiting);
    let has_pending = context.pending().next().is_some();
    let Some(q) = waiting().map(|(_, target)| target.q).max() else { return Vec::new() };
    let mut group: Vec<usize, BRANCHES> = Vec::new();
    for (index, target) in waiting() {
        let is_next_flow = is_tried(target.instance);
        let is_next_group = !has_pending && target.q == q;
        // Its turn has come before, on a stream that could not be opened.
        let is_again = target.size == Size::Datagram;
        let is_doubled = target.instance != 0 && group.iter().any(|other| targets[*other].instance == target.instance);
        if (is_next_flow || is_next_group || is_again) && !is_busy(target.instance) && !is_doubled {
            let _ = group.push(index);
        }
    }
    group
}

/// Max-Breadth of a request, or what counts when it has none.
pub fn breadth_of(message: &Message<'_>) -> u32 {
    let field = message.field(Field::MaxBreadth);
    field.and_then(|field| crate::wire::sip::delta_seconds(field.value).ok()).unwrap_or(MAX_BREADTH)
}

fn refusal(stack: &mut Stack, context: &Context, fault: Fault) -> Option<Bytes> {
    use crate::wire::sip::response::{Head, finish, write_head};
    let source = stack.server(context.server).and_then(|tx| stack.network.remote(tx.flow));
    let mut tag = [0; 16];
    let to_tag = tag_of(&stack.random, &Message::parse(stack.store.get(&context.request)).ok()?, &mut tag);
    let Fault { status, reason } = fault;
    let head = Head { status, reason, to_tag: Some(to_tag), source, record_route: false };
    stack.compose(|store, out| {
        if let Ok(message) = Message::parse(store.get(&context.request)) {
            write_head(&message, &head, out);
            finish(out, None);
        }
    })
}

/// Tells the server transaction what becomes of the answers to a request that crosses the border of the home.
fn mark_border(stack: &mut Stack, context: &Context, message: &Message<'_>) {
    let call_id = message.essentials().map_or(&b""[..], |essentials| essentials.call_id);
    let (is_outside, restores) = match context.passage.crossing {
        Crossing::Within => return,
        Crossing::In => (true, mask::read(&stack.random, Use::CallId, call_id, &mut mask::ROOM.clone()).is_some()),
        Crossing::Out { .. } => (false, true),
    };
    stack.mark_border(context.server, is_outside, restores);
}
