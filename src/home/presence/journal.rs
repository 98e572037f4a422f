//! What of the presence agent outlives a restart: watches over UDP, answers about watchers, and what people have said of
//! themselves. Watches over streams end with their connection, publications with their entity-tags.

use serde::{Deserialize, Serialize};

use super::compose::Manual;
use super::list::List;
use super::watch::{self, Kept, MOST_EXPIRES_S, Progress, Sort, Subject, Watch};
use super::{Presence, Wanted};
use crate::base::limits::PEOPLE;
use crate::base::time::Instant;
use crate::home::binding::{Epoch, NO_PORT};
use crate::home::people::People;
use crate::home::policy::Assurance;
use crate::home::presence::watched::Role;
use crate::home::proxy::Around;
use crate::sip::dialog::Dialog;
use crate::sip::stack::{Stack, Task};
use crate::wire::pidf::Format;

/// What a person has said of herself, as the journal keeps it (postcard).
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct KeptWord {
    /// The person, as a seal.
    pub person: u32,
    /// What she said.
    pub manual: Manual,
}

/// The assurances by their numbers in the journal. Nobody watches from another network.
const ASSURANCES: [Assurance; 3] = [Assurance::Claimed, Assurance::Peer, Assurance::Digest];

impl Presence {
    /// What the journal keeps of the watch in a slot; `None` when it is to forget it.
    pub fn keep_watch<'s>(
        &'s self,
        now: Instant,
        epoch: Epoch,
        (stack, people): (&'s Stack, &People),
        index: usize,
    ) -> Option<Kept<'s>> {
        let watch = self.watches.get(self.watches.handle_at(index)?)?;
        if matches!(watch.progress, Progress::Ending(_)) {
            return None;
        }
        let seal = |person: u16| people.seal(&stack.random, usize::from(person));
        let watcher = watch.watcher.map_or(0, seal);
        let none = b"".as_slice();
        let (sort, subject, entries) = match watch.subject {
            Subject::Person(person) => (Sort::Person, seal(person), none),
            Subject::Buddy(buddy) => (Sort::Buddy, people.buddy_seal(&stack.random, usize::from(buddy)), none),
            Subject::Home => (Sort::Home, 0, none),
            Subject::List(list) => match self.lists.get(list)? {
                list if list.is_named => (Sort::Named, watcher, none),
                list => (Sort::Given, watcher, list.lines(&stack.store)),
            },
        };
        Some(Kept {
            epoch,
            expires_ms: watch.expires_at.millis(),
            remaining_ms: watch.expires_at.since(now),
            package: watch.package,
            subject,
            sort,
            entries,
            format: Format::ALL.iter().position(|format| *format == watch.format)? as u8,
            assurance: ASSURANCES.iter().position(|assurance| *assurance == watch.assurance)? as u8,
            watcher,
            source: watch.source,
            is_pending: watch.progress == Progress::Pending,
            is_announced: watch.is_announced,
            is_linphone: watch.is_linphone,
            event_id: &watch.event_id,
            dialog: watch.dialog.keep(&stack.store)?,
        })
    }

    /// Takes a watch back that was kept, to the slot it was in. Within one boot it ends when it was to end; after a reboot,
    /// whose length nobody knows, it has as long as it had when it was written.
    pub fn restore_watch(
        &mut self,
        now: Instant,
        epoch: Epoch,
        around: &mut Around<'_>,
        slot: usize,
        kept: &Kept<'_>,
    ) -> Option<()> {
        let is_same_boot = kept.epoch.boot == epoch.boot;
        let expires_at = if is_same_boot { Instant::from_millis(kept.expires_ms) } else { now.plus(kept.remaining_ms) };
        let longest_ms = u64::from(MOST_EXPIRES_S) * 1000;
        if expires_at <= now || kept.remaining_ms > longest_ms || expires_at.since(now) > longest_ms {
            return None;
        }
        let find = |seal: u32| {
            let mut people = 0..around.people.model.people.len();
            people.find(|person| around.people.seal(&around.stack.random, *person) == seal)
        };
        let watcher = match kept.watcher {
            0 => None,
            seal => Some(find(seal)?),
        };
        let wanted = match kept.sort {
            Sort::Person => Wanted::Person(find(kept.subject)?),
            Sort::Buddy => {
                let is_it = |buddy: &usize| around.people.buddy_seal(&around.stack.random, *buddy) == kept.subject;
                Wanted::Buddy(around.people.buddies().find(is_it)?)
            }
            Sort::Home => Wanted::Home,
            Sort::Named => Wanted::Named,
            Sort::Given => Wanted::Given(around.stack.freeze(kept.entries)?),
        };
        let format = *Format::ALL.get(usize::from(kept.format))?;
        let assurance = *ASSURANCES.get(usize::from(kept.assurance))?;
        let dialog = Dialog::restore(&kept.dialog, &around.stack.network, NO_PORT, &mut around.stack.store);
        let Some(dialog) = dialog else {
            self.release(around.stack, wanted);
            return None;
        };
        if self.watches.by_id(dialog.id).is_some() {
            dialog.release(&mut around.stack.store);
            self.release(around.stack, wanted);
            return None;
        }
        let Some(subject) = self.subject_of(around, watcher, wanted) else {
            dialog.release(&mut around.stack.store);
            return None;
        };
        let watch = Watch {
            dialog,
            package: kept.package,
            subject,
            format,
            assurance,
            watcher: watcher.map(|person| person as u16),
            source: kept.source,
            progress: if kept.is_pending { Progress::Pending } else { Progress::Active },
            expires_at,
            next_at: now.plus(watch::PACE_MS),
            in_flight: None,
            is_dirty: true,
            is_asked: false,
            told: 0,
            lookup: None,
            event_id: kept.event_id.try_into().unwrap_or_default(),
            is_announced: kept.is_announced,
            is_linphone: kept.is_linphone,
        };
        match self.watches.insert(around.stack, Some(slot), watch) {
            Some(_) => Some(()),
            None => {
                self.drop_list(around.stack, subject);
                None
            }
        }
    }

    /// Whom or what a watch is about, with what that needs: a list, or somebody elsewhere to be watched.
    pub(super) fn subject_of(
        &mut self,
        around: &mut Around<'_>,
        watcher: Option<usize>,
        wanted: Wanted,
    ) -> Option<Subject> {
        match wanted {
            Wanted::Home => Some(Subject::Home),
            Wanted::Person(person) => Some(Subject::Person(person as u16)),
            Wanted::Buddy(buddy) => {
                if let (Some(watcher), Some(uri)) = (watcher, super::buddy_uri(around, buddy)) {
                    self.watched.want(around.stack, watcher, Role::Elsewhere, uri.as_bytes());
                }
                Some(Subject::Buddy(buddy as u16))
            }
            Wanted::Named => self.named_list(around, watcher).map(Subject::List),
            Wanted::Given(text) => self.given_list(around, watcher, text).map(Subject::List),
        }
    }

    /// A watch is not there after all: its list goes, too.
    pub(super) fn drop_list(&mut self, stack: &mut Stack, subject: Subject) {
        if let Subject::List(list) = subject
            && let Some(list) = self.lists.remove(list)
        {
            List::release(list, &mut stack.store);
        }
    }

    /// What a person has said of herself, for the journal; and her seal, which is its key.
    pub fn keep_word(&self, stack: &Stack, people: &People, person: usize) -> Option<(u32, Option<KeptWord>)> {
        if person >= people.model.people.len() {
            return None;
        }
        let seal = people.seal(&stack.random, person);
        let manual = self.manual(person);
        Some((seal, manual.map(|manual| KeptWord { person: seal, manual: manual.clone() })))
    }

    /// Takes back what a person has said of herself, unless she has said something since.
    pub fn restore_word(&mut self, around: &mut Around<'_>, kept: KeptWord) {
        let mut people = 0..around.people.model.people.len().min(PEOPLE);
        let is_it = |person: &usize| around.people.seal(&around.stack.random, *person) == kept.person;
        let Some(person) = people.find(is_it) else { return };
        if let Some(one) = self.people.get_mut(person)
            && one.manual.is_none()
        {
            one.manual = Some(kept.manual);
            around.stack.schedule.wake(Task::People.id());
        }
    }

    /// Has the journal told of everything that is there. What is kept of slots that are empty was marked as it was restored.
    pub fn mark_all(&mut self, stack: &mut Stack) {
        let Self { watches, verdicts, words_changed, people, .. } = self;
        watches.mark_live();
        verdicts.mark_live();
        let said = people.iter().enumerate().filter(|(_, one)| one.manual.is_some());
        said.for_each(|(person, _)| words_changed.mark(person));
        stack.schedule.wake(Task::Journal.id());
    }

    /// Whether the journal is to be told of something.
    pub fn has_changed(&self) -> bool {
        !(self.watches.changed.is_empty() && self.verdicts.changed.is_empty() && self.words_changed.is_empty())
    }
}
