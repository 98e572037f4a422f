//! Answers to what the home itself has asked: each goes to the service that did.

use super::Core;
use crate::base::time::Instant;
use crate::sip::stack::ClientHandle;
use crate::sip::transaction::client::Owner;
use crate::wire::sip::Message;

impl Core {
    /// A request of ours was answered, or will not be: then there is no message.
    pub(super) fn own_answered(
        &mut self,
        _now: Instant,
        _owner: Owner,
        _client: ClientHandle,
        _message: Option<&Message<'_>>,
    ) {
    }
}
