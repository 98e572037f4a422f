//! What the house knows of each account on another network: whether it is on, what it is to be told, and what came in on
//! it that is not dealt with yet. The connectors themselves are in `accounts`, beside the core, so that what one of them
//! reads can be handed to it.

use heapless::{Deque, String, Vec};

use crate::base::changed::Changed;
use crate::base::limits::{ACCOUNTS, ADDRESS_BYTES};
use crate::base::time::Instant;
use crate::bridge::{Abilities, Stop};
use serde::{Deserialize, Serialize};

/// An address on a network.
pub(super) type Address = String<ADDRESS_BYTES, u8>;

/// All accounts, in the order of the model.
pub(super) struct Bridges {
    list: Vec<Bridge, ACCOUNTS>,
    /// Who wants to have somebody of the home on his list, and has no answer.
    pub requests: Vec<Request, REQUESTS>,
    /// When the next of them may be asked for: who has been asked for one is not to be asked for all at once.
    pub ask_at: Instant,
    /// Accounts whose record in the journal is not what is known.
    pub changed: Changed<ACCOUNTS>,
}

/// One account, as the house knows it.
pub(super) struct Bridge {
    pub standing: Standing,
    /// Since when it stands so.
    pub since: Instant,
    pub abilities: Abilities,
    /// What she was last shown as: a hash; 0 for nothing.
    pub shown: u64,
    /// Whether she was told that it is down.
    pub is_told_down: bool,
    /// Since when it has not been on, in however many attempts.
    pub down_since: Option<Instant>,
    /// The next address of a buddy that it may have to look out for, by its number.
    pub next_watch: Option<u16>,
    /// Whether the network's own list was told in this session.
    pub is_list_told: bool,
    /// What is to be remembered for the next start.
    pub bookmark: Bookmark,
    /// The next one, which counts when what came in up to that number is settled.
    next_bookmark: Option<(Bookmark, u16)>,
    orders: Deque<Order, ORDERS>,
    settled: Deque<(u32, bool), UNSETTLED>,
    unsettled: Vec<Unsettled, UNSETTLED>,
    /// Something came in and was not read, for lack of room.
    pub is_held_back: bool,
    /// Whether something of an archive was not taken: nothing behind it is marked as dealt with.
    is_page_held: bool,
    /// Signs of typing that are passed on without a pause, and since when that is counted.
    typing: (u8, Instant),
    /// Counts what came in.
    count: u16,
    /// What came in lately, by name; the oldest gives way.
    seen: Vec<u64, SEEN>,
    next_seen: u8,
}

/// How an account stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Standing {
    /// Its connections are being made, or it logs in.
    Connecting,
    /// It is on.
    Online,
    /// It could not be reached, or was cut off; tried again then.
    Waiting {
        /// When.
        until: Instant,
        /// Why.
        why: &'static str,
    },
    /// It is off until somebody does something about it.
    Stopped(Stop),
    /// Its network is not in this build.
    Missing,
}

/// Something for a connector to do that nobody waits for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Order {
    Typing { to: Address, is_on: bool },
    Add { who: Address, name: String<48, u8> },
    Remove { who: Address },
    Authorise { who: Address, is_allowed: bool },
}

/// What has come in on an account and is under way in the house.
struct Unsettled {
    /// Names it within the house, together with the account.
    count: u16,
    token: u32,
    parts_left: u8,
    is_taken: bool,
    /// What it is called on its network; 0 for nothing.
    name: u64,
    /// Whether it was kept somewhere before it came.
    is_late: bool,
    /// Who has sent it, where only we can tell him that it was in vain.
    who: Address,
}

/// Something that comes in, as an account has to know it.
#[derive(Clone, Copy)]
pub(super) struct Came<'a> {
    /// Names it for the connector; 0 when nobody waits for that.
    pub token: u32,
    /// What it is called on its network; 0 for nothing.
    pub name: u64,
    /// Whether it was kept somewhere before it came.
    pub is_late: bool,
    /// Who has sent it.
    pub who: &'a str,
}

/// Something that came in is dealt with.
pub(super) struct Ended {
    /// The account, which may have something to do now.
    pub account: usize,
    /// Who has to be told that it was in vain, and is not told by his network.
    pub untold: Option<Address>,
}

/// Somebody who wants to have a person on his list.
pub(super) struct Request {
    pub account: u8,
    pub who: Address,
    pub text: String<120, u8>,
    pub is_announced: bool,
}

/// What a connector wants to know at the next start.
pub(super) type Bookmark = String<BOOKMARK_BYTES, u8>;

/// What the journal keeps of an account (postcard).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct Kept<'b> {
    /// Which, as a seal.
    pub account: u32,
    pub bookmark: &'b str,
}

/// Orders of one account. More: the oldest sign of typing gives way, else the new one is left out.
const ORDERS: usize = 16;
/// What may come in on one account before any of it is dealt with. More: it is not read.
const UNSETTLED: usize = 16;
/// Messages of the house that these may be in at once: they are in memory that phones need as well. More: it is not read.
const PARTS: usize = 8;
/// Signs of typing that come in on one account in a row.
const TYPING_MOST: u8 = 5;
/// Of all who may wait, so many ask for one account.
const REQUESTS_PER_ACCOUNT: usize = 8;
/// Names of what came in on one account lately.
const SEEN: usize = 48;
/// Who waits for an answer. More: left out until they ask again.
const REQUESTS: usize = 32;
/// Bytes of a bookmark. A longer one is not kept.
const BOOKMARK_BYTES: usize = 96;

impl Bridges {
    pub const fn new() -> Self {
        Self { list: Vec::new(), requests: Vec::new(), ask_at: Instant::ZERO, changed: Changed::new() }
    }

    pub fn get(&self, account: usize) -> Option<&Bridge> {
        self.list.get(account)
    }

    pub fn get_mut(&mut self, account: usize) -> Option<&mut Bridge> {
        self.list.get_mut(account)
    }

    pub fn is_online(&self, account: usize) -> bool {
        self.list.get(account).is_some_and(|bridge| bridge.standing == Standing::Online)
    }

    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// The accounts have other numbers now; new ones are there as well, up to `count`.
    pub fn renumber(&mut self, now: Instant, count: usize, moved: impl Fn(usize) -> Option<usize>) {
        let mut list: Vec<Bridge, ACCOUNTS> = Vec::new();
        for _ in 0..count {
            let _ = list.push(Bridge::new(now));
        }
        for (index, bridge) in self.list.iter_mut().enumerate() {
            let number = moved(index);
            if let Some(place) = number.and_then(|number| list.get_mut(number)) {
                core::mem::swap(place, bridge);
                if number != Some(index) {
                    place.let_go();
                }
                // There may be other buddies.
                place.next_watch = Some(0);
            }
        }
        self.list = list;
        self.requests.retain_mut(|request| match moved(usize::from(request.account)) {
            Some(account) => {
                request.account = account as u8;
                true
            }
            None => false,
        });
        self.changed.mark_all();
    }

    /// Notes that somebody wants to have a person on his list.
    pub fn ask(&mut self, account: usize, who: &str, text: &str) {
        let Ok(who) = Address::try_from(who) else { return };
        if self.requests.iter().any(|it| usize::from(it.account) == account && it.who == who) {
            return;
        }
        if self.requests.iter().filter(|it| usize::from(it.account) == account).count() >= REQUESTS_PER_ACCOUNT {
            return log::info!(
                "more than {REQUESTS_PER_ACCOUNT} people wait to be let in on one account: one is left out"
            );
        }
        let end = (0..=120.min(text.len())).rev().find(|end| text.is_char_boundary(*end)).unwrap_or_default();
        let text = String::try_from(&text[..end]).unwrap_or_default();
        if self.requests.push(Request { account: account as u8, who, text, is_announced: false }).is_err() {
            log::warn!("more than {REQUESTS} people wait to be let in: one is left out");
        }
    }

    /// What came in and is under way has got so far: `origin` is what [`Bridge::begin`] gave. Which account has something to
    /// do now.
    pub fn ended(&mut self, origin: u32, is_taken: bool) -> Option<Ended> {
        let (account, count) = ((origin >> 16).checked_sub(1)? as usize, origin as u16);
        let bridge = self.list.get_mut(account)?;
        let index = bridge.unsettled.iter().position(|it| it.count == count)?;
        let one = bridge.unsettled.get_mut(index)?;
        one.is_taken &= is_taken;
        one.parts_left = one.parts_left.saturating_sub(1);
        let mut untold = None;
        if one.parts_left == 0 {
            let Unsettled { token, is_taken, who, name, is_late, .. } = bridge.unsettled.remove(index);
            bridge.settle(token, is_taken);
            if !is_taken {
                // It may be sent again, and is to be looked at again then.
                bridge.forget(name);
                // What comes out of an archive is not told to have been in vain: it is fetched again in the next session.
                bridge.is_page_held |= is_late;
            }
            untold = (token == 0 && !is_taken && !who.is_empty()).then_some(who);
            if bridge.turn_page() {
                self.changed.mark(account);
            }
        }
        Some(Ended { account, untold })
    }

    pub fn footprint() -> (&'static str, usize, usize) {
        ("accounts as known", ACCOUNTS, size_of::<Self>())
    }

    /// Whether nothing is under way.
    pub fn is_at_rest(&self) -> bool {
        self.list.iter().all(|bridge| bridge.unsettled.is_empty())
    }
}

impl Bridge {
    const fn new(now: Instant) -> Self {
        Self {
            standing: Standing::Connecting,
            since: now,
            abilities: Abilities { keeps: false, has_list: false, hides: false },
            shown: 0,
            is_told_down: false,
            down_since: None,
            next_watch: None,
            is_list_told: false,
            bookmark: Bookmark::new(),
            next_bookmark: None,
            orders: Deque::new(),
            settled: Deque::new(),
            unsettled: Vec::new(),
            is_held_back: false,
            is_page_held: false,
            typing: (0, now),
            count: 0,
            seen: Vec::new(),
            next_seen: 0,
        }
    }

    /// Says how it stands.
    pub fn stand(&mut self, now: Instant, standing: Standing) {
        if self.standing != standing {
            // One attempt after the other is one time of being off.
            let is_off = |it| matches!(it, Standing::Connecting | Standing::Waiting { .. });
            if !(is_off(self.standing) && is_off(standing)) {
                self.since = now;
            }
            self.standing = standing;
        }
    }

    /// Its session is gone: nobody waits for what was to be told in it. What she has decided holds for the next.
    pub fn give_up(&mut self) {
        self.settled.clear();
        self.unsettled.clear();
        self.next_bookmark = None;
        self.orders.retain(|order| !matches!(order, Order::Typing { .. }));
    }

    /// It has another number, which the outcome of what is under way in the house does not know: that counts as taken. Its
    /// connection goes on, and waits for a word on each.
    fn let_go(&mut self) {
        while !self.unsettled.is_empty() {
            let Unsettled { token, .. } = self.unsettled.remove(0);
            self.settle(token, true);
        }
        self.turn_page();
    }

    /// Whether something new may come in.
    pub fn has_room(&self) -> bool {
        let parts: usize = self.unsettled.iter().map(|it| usize::from(it.parts_left)).sum();
        !self.unsettled.is_full() && self.settled.len() + self.unsettled.len() < UNSETTLED && parts < PARTS
    }

    /// Whether what was held back may be read now; it counts as read with this.
    pub fn lets_in(&mut self) -> bool {
        self.has_room() && core::mem::take(&mut self.is_held_back)
    }

    /// Whether this has come in before; it has now.
    pub fn is_known(&mut self, name: u64) -> bool {
        if name == 0 {
            return false;
        }
        if self.seen.contains(&name) {
            return true;
        }
        if self.seen.push(name).is_err()
            && let Some(oldest) = self.seen.get_mut(usize::from(self.next_seen))
        {
            *oldest = name;
            self.next_seen = (self.next_seen + 1) % SEEN as u8;
        }
        false
    }

    /// It is to be taken for new when it comes again.
    pub fn forget(&mut self, name: u64) {
        if let Some(index) = self.seen.iter().position(|it| *it == name && name != 0) {
            self.seen[index] = 0;
        }
    }

    /// Begins something that has come in, in so many parts: its name within the house.
    pub fn begin(&mut self, account: usize, came: &Came<'_>, parts: u8) -> u32 {
        self.count = self.count.wrapping_add(1);
        let Came { token, name, is_late, who } = *came;
        let who = if token == 0 { Address::try_from(who).unwrap_or_default() } else { Address::new() };
        let one = Unsettled { count: self.count, token, parts_left: parts, is_taken: true, name, is_late, who };
        // Who had no room was asked before.
        let _ = self.unsettled.push(one);
        (account as u32 + 1) << 16 | u32::from(self.count)
    }

    /// Says what has become of something that came in.
    pub fn settle(&mut self, token: u32, is_taken: bool) {
        if token != 0 && self.settled.push_back((token, is_taken)).is_err() {
            log::debug!("too much was settled at once");
        }
    }

    pub fn next_settled(&self) -> Option<(u32, bool)> {
        self.settled.front().copied()
    }

    pub fn settled_told(&mut self) {
        self.settled.pop_front();
    }

    /// Whether a bookmark that was noted counts now.
    fn turn_page(&mut self) -> bool {
        let is_due = self
            .next_bookmark
            .as_ref()
            .is_some_and(|(_, upto)| self.unsettled.iter().all(|it| (it.count.wrapping_sub(*upto) as i16) > 0));
        match self.next_bookmark.take_if(|_| is_due) {
            Some((bookmark, _)) => {
                self.bookmark = bookmark;
                true
            }
            None => false,
        }
    }

    /// Whether another sign of typing is passed on: five in a row, then one a second.
    pub fn admits_typing(&mut self, now: Instant) -> bool {
        let (spent, since) = self.typing;
        let seconds = now.since(since) / 1000;
        let spent = u64::from(spent).saturating_sub(seconds) as u8;
        let is_admitted = spent < TYPING_MOST;
        if seconds > 0 || is_admitted {
            self.typing = (spent + u8::from(is_admitted), if seconds > 0 { now } else { since });
        }
        is_admitted
    }

    /// A session has begun in which all is told anew.
    pub fn begin_session(&mut self) {
        self.shown = 0;
        (self.is_list_told, self.next_watch) = (false, Some(0));
        self.is_page_held = false;
    }

    /// Notes what is to be remembered, once all that came in is dealt with. Whether that is now.
    pub fn mark(&mut self, bookmark: &str) -> bool {
        let Ok(bookmark) = Bookmark::try_from(bookmark) else { return false };
        if self.bookmark == bookmark || self.is_page_held {
            return false;
        }
        self.next_bookmark = Some((bookmark, self.count));
        self.turn_page()
    }

    /// Gives an order; false when there is no room for it.
    pub fn order(&mut self, order: Order) -> bool {
        if let Order::Typing { to, .. } = &order {
            // Only the newest sign counts.
            let is_older = |it: &Order| matches!(it, Order::Typing { to: other, .. } if other == to);
            if let Some(older) = self.orders.iter_mut().find(|it| is_older(it)) {
                *older = order;
                return true;
            }
        }
        // A sign of typing gives way to what lasts.
        if self.orders.is_full() && !matches!(order, Order::Typing { .. }) {
            self.orders.retain(|order| !matches!(order, Order::Typing { .. }));
        }
        self.orders.push_back(order).is_ok()
    }

    /// Whether it is to be told something.
    pub fn has_orders(&self) -> bool {
        !self.orders.is_empty() || !self.settled.is_empty()
    }

    pub fn next_order(&self) -> Option<&Order> {
        self.orders.front()
    }

    pub fn order_done(&mut self) {
        self.orders.pop_front();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn came(token: u32, who: &str) -> Came<'_> {
        Came { token, name: 0, is_late: false, who }
    }

    #[test]
    fn what_was_not_taken_comes_again() {
        let mut bridges = Bridges::new();
        bridges.renumber(Instant::ZERO, 1, |_| None);
        let bridge = bridges.get_mut(0).unwrap();
        assert!(!bridge.is_known(9) && bridge.is_known(9));
        let origin = bridge.begin(0, &Came { name: 9, is_late: true, ..came(1, "bob") }, 1);
        bridges.ended(origin, false);
        let bridge = bridges.get_mut(0).unwrap();
        assert!(!bridge.is_known(9), "it is new when it comes again");
        assert!(!bridge.mark("behind it") && bridge.bookmark.is_empty(), "the archive is asked for it again");
        bridge.begin_session();
        assert!(bridge.mark("again") && bridge.bookmark == "again");
    }

    #[test]
    fn who_types_all_the_time_is_heard_once_a_second() {
        let mut bridge = Bridge::new(Instant::ZERO);
        let mut heard = |ms| bridge.admits_typing(Instant::from_millis(ms));
        assert_eq!((0..100).filter(|it| heard(*it)).count(), 5);
        assert_eq!((1000..11_000).step_by(10).filter(|it| heard(*it)).count(), 10);
    }

    #[test]
    fn what_was_held_back_is_let_in_once_there_is_room() {
        let mut bridges = Bridges::new();
        bridges.renumber(Instant::ZERO, 1, |_| None);
        let bridge = bridges.get_mut(0).unwrap();
        let origins: std::vec::Vec<u32> =
            (0..PARTS.min(UNSETTLED)).map(|_| bridge.begin(0, &came(0, "bob"), 1)).collect();
        assert!(!bridge.has_room());
        bridge.is_held_back = true;
        assert!(!bridge.lets_in());
        // Nobody is to be told that it is settled.
        assert!(bridges.ended(origins[3], true).is_some());
        let bridge = bridges.get_mut(0).unwrap();
        assert!(bridge.next_settled().is_none() && bridge.lets_in() && !bridge.lets_in());
    }

    #[test]
    fn another_configuration_leaves_nothing_unsettled() {
        let mut bridges = Bridges::new();
        bridges.renumber(Instant::ZERO, 2, |_| None);
        let origins = [0, 1].map(|index| bridges.get_mut(index).unwrap().begin(index, &came(7, "bob"), 1));
        bridges.renumber(Instant::ZERO, 2, Some);
        assert!(bridges.ended(origins[0], false).is_some(), "it has the same number");
        assert_eq!(bridges.get(0).unwrap().next_settled(), Some((7, false)));
        bridges.renumber(Instant::ZERO, 1, |index| (index == 1).then_some(0));
        assert_eq!(bridges.get(0).unwrap().next_settled(), Some((7, true)));
        assert!(bridges.is_at_rest() && bridges.ended(origins[1], false).is_none());
    }

    #[test]
    fn her_answer_outlasts_a_cut_and_attempts_are_one_time_of_being_off() {
        let at = Instant::from_millis;
        let mut bridge = Bridge::new(at(0));
        bridge.stand(at(10), Standing::Online);
        let who = Address::try_from("bob@x.example").unwrap();
        assert!(bridge.order(Order::Typing { to: who.clone(), is_on: true }));
        assert!(bridge.order(Order::Authorise { who: who.clone(), is_allowed: true }));
        for attempt in 1..4 {
            bridge.stand(at(attempt * 1000), Standing::Waiting { until: at(attempt * 1000 + 500), why: "" });
            bridge.give_up();
            bridge.stand(at(attempt * 1000 + 500), Standing::Connecting);
        }
        assert_eq!(bridge.since, at(1000));
        assert_eq!(bridge.next_order(), Some(&Order::Authorise { who, is_allowed: true }));
        bridge.order_done();
        assert!(bridge.next_order().is_none());
    }

    #[test]
    fn who_is_told_that_it_was_in_vain() {
        let mut bridges = Bridges::new();
        bridges.renumber(Instant::ZERO, 1, |_| None);
        let mut untold = |token, who, is_taken| {
            let origin = bridges.get_mut(0).unwrap().begin(0, &came(token, who), 1);
            bridges.ended(origin, is_taken).unwrap().untold
        };
        assert_eq!(untold(0, "bob", false).as_deref(), Some("bob"));
        assert_eq!((untold(0, "bob", true), untold(7, "bob", false)), (None, None), "taken, and told by his network");
        assert_eq!(untold(0, "", false), None, "a program");
    }
}
