//! What the front door decides, in words: for `pcsctl explain`, and for who asks the server by message.
use crate::base::text::Writer;
use crate::home::policy::{Event, Snapshot};
/// x
pub fn explain(_event: &Event<'_>, _snapshot: &Snapshot<'_>, _out: &mut Writer<'_>) {}
