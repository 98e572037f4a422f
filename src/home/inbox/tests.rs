//! The inbox: literal conversations, and a seeded model.

use std::collections::BTreeMap;
use std::vec::Vec;

use super::*;
use crate::base::limits::STRANGER_SENDERS;

const NOW: Instant = Instant::from_millis(1_000_000);
const DAY_MS: u64 = UNDO_S as u64 * 1000;

/// An empty inbox, not on the stack.
fn inbox() -> std::boxed::Box<Inbox> {
    std::boxed::Box::new(Inbox::new())
}

/// Something from Bob that is durable.
fn put(inbox: &mut Inbox, person: u16, category: Category, id: u64) -> LetterHandle {
    let handle = inbox.admit(person, (b"bob@away.test", b"Bob"), false, category, id, 50).unwrap();
    inbox.settled(handle);
    handle
}

fn numbers(inbox: &Inbox, person: usize) -> Vec<u32> {
    inbox.letters(person).map(|(_, letter)| letter.number).collect()
}

fn counted(inbox: &Inbox, person: usize) -> [(u32, u32); 3] {
    let Waiting { text, voice, call } = inbox.counts(person);
    [text, voice, call].map(|counts| (counts.new, counts.old))
}

#[test]
fn nothing_is_there_before_it_is_durable() {
    let mut inbox = inbox();
    let one = inbox.admit(1, (b"bob@away.test", b"Bob"), false, Category::Text, 7, 50).unwrap();
    assert_eq!((inbox.find(7), numbers(&inbox, 1), counted(&inbox, 1)[0]), (Some(one), [].into(), (0, 0)));
    assert!(!inbox.set_state(NOW, one, State::Old));
    inbox.measure(one, 2, 0);
    let before = inbox.changes(1);
    inbox.settled(one);
    assert!(inbox.changes(1) != before && inbox.changes(0) == 0);
    assert_eq!((numbers(&inbox, 1), counted(&inbox, 1)[0]), ([1].into(), (1, 0)));
    let letter = inbox.get(one).unwrap();
    assert_eq!((letter.at, letter.size, letter.state, letter.person), (50, 2, State::New, 1));
    assert_eq!(inbox.sender(letter.sender).unwrap().name, "Bob");
    let two = inbox.admit(1, (b"bob@AWAY.test", b"Bobby"), false, Category::Call, 8, 51).unwrap();
    inbox.withdraw(two);
    assert_eq!((inbox.find(8), inbox.len(), inbox.senders(), inbox.has_work()), (None, 1, 1, false));
    put(&mut inbox, 1, Category::Text, 9);
    assert_eq!(numbers(&inbox, 1), [3, 1], "a number is not given twice");
    assert_eq!(inbox.admit(1, (b"x@y", b""), false, Category::Text, 9, 0), Err(Full::Known));
    assert_eq!(inbox.admit(PEOPLE as u16, (b"x@y", b""), false, Category::Text, 10, 0), Err(Full::Known));
}

#[test]
fn read_deleted_had_back_and_gone() {
    let mut inbox = inbox();
    let one = put(&mut inbox, 0, Category::Text, 7);
    assert!(inbox.set_state(NOW, one, State::Old) && !inbox.set_state(NOW, one, State::Old));
    assert_eq!((counted(&inbox, 0)[0], inbox.next_amended(), inbox.next_amended()), ((0, 1), Some(one), None));
    inbox.amend_again(one);
    assert!(inbox.has_work() && inbox.next_amended() == Some(one));
    assert!(inbox.set_state(NOW, one, State::Deleted));
    assert_eq!((counted(&inbox, 0)[0], numbers(&inbox, 0)), ((0, 0), [1].into()), "it is shown to be had back");
    assert!(inbox.set_state(NOW.plus(60_000), one, State::New));
    assert_eq!(counted(&inbox, 0)[0], (1, 0));
    // The deadline of the first time passes.
    assert_eq!(inbox.deadline(), Some(NOW.plus(DAY_MS)));
    assert!(inbox.set_state(NOW.plus(90_000), one, State::Deleted));
    inbox.due(NOW.plus(DAY_MS));
    assert_eq!((inbox.len(), inbox.deadline()), (1, Some(NOW.plus(90_000 + DAY_MS))));
    inbox.due(NOW.plus(90_000 + DAY_MS - 1));
    assert_eq!(inbox.len(), 1);
    inbox.due(NOW.plus(90_000 + DAY_MS));
    assert_eq!((inbox.len(), inbox.deadline(), inbox.find(7), inbox.get(one)), (0, None, None, None));
    assert_eq!(
        (inbox.next_amended(), inbox.next_forgotten(), inbox.next_forgotten()),
        (None, Some((Category::Text, 7)), None)
    );
    assert!(!inbox.has_work() && inbox.letters.is_empty() && inbox.senders() == 0);
}

#[test]
fn a_recording() {
    let mut inbox = inbox();
    let one = inbox.admit(2, (b"bob@away.test", b""), true, Category::Voice, 7, 0).unwrap();
    inbox.recording(one, Codec::Alaw);
    inbox.settled(one);
    let letter = *inbox.get(one).unwrap();
    assert!(letter.is_open && letter.voice == Some(Codec::Alaw) && counted(&inbox, 2)[1] == (0, 0));
    assert_eq!(numbers(&inbox, 2), [1]);
    inbox.recorded(one, 80_000, 10_000);
    let letter = *inbox.get(one).unwrap();
    assert_eq!((letter.is_open, letter.size, letter.milliseconds), (false, 80_000, 10_000));
    assert_eq!(counted(&inbox, 2)[1], (1, 0));
}

#[test]
fn by_sender_the_newest_first() {
    let mut inbox = inbox();
    let mut from = |who: &str, category, id| {
        let handle = inbox.admit(0, (who.as_bytes(), b""), false, category, id, 0).unwrap();
        inbox.settled(handle);
        handle
    };
    for (id, who) in ["bob@h", "smith@h", "bob@h", "smith@h", "carl@h"].into_iter().enumerate() {
        from(who, Category::Text, id as u64);
    }
    let voice = from("smith@h", Category::Voice, 5);
    let call = from("bob@h", Category::Call, 6);
    let said = |inbox: &Inbox, number| -> Vec<(std::string::String, [u16; 3], u32)> {
        let groups = inbox.groups(0, number).into_iter();
        let name = |group: &Group| inbox.sender(group.sender).unwrap().shown().into();
        groups.map(|it| (name(&it), [it.texts, it.voices, it.calls], it.newest)).collect()
    };
    assert_eq!(
        said(&inbox, 0),
        [("bob@h".into(), [2, 0, 1], 7), ("smith@h".into(), [2, 1, 0], 6), ("carl@h".into(), [1, 0, 0], 5)]
    );
    assert_eq!(said(&inbox, 5), [("bob@h".into(), [0, 0, 1], 7), ("smith@h".into(), [0, 1, 0], 6)]);
    inbox.set_state(NOW, call, State::Old);
    inbox.set_state(NOW, voice, State::Deleted);
    assert_eq!((said(&inbox, 5), said(&inbox, 7), said(&inbox, 4).len()), ([].into(), [].into(), 1));
    assert_eq!(inbox.groups_of(0, |letter| letter.category == Category::Call).len(), 1);
    assert!(inbox.groups(1, 0).is_empty());
}

#[test]
fn a_flood_leaves_room_for_others() {
    let mut inbox = inbox();
    let mut id = 0;
    let mut flood = |inbox: &mut Inbox, person: u16, who: usize, is_stranger| {
        id += 1;
        let address = std::format!("u{who}@h");
        inbox.admit(person, (address.as_bytes(), b""), is_stranger, Category::Text, id, 0)
    };
    for _ in 0..LETTERS_PER_STRANGER {
        flood(&mut inbox, 0, 0, true).unwrap();
    }
    assert_eq!(flood(&mut inbox, 0, 0, true), Err(Full::Sender));
    assert!(flood(&mut inbox, 1, 0, true).is_ok() && flood(&mut inbox, 0, 1, true).is_ok());
    assert!(flood(&mut inbox, 0, 0, false).is_ok(), "who has proven that address");
    let mut outcome = Ok(());
    for who in 0..2 * STRANGER_LETTERS {
        outcome = flood(&mut inbox, 2, who % STRANGER_SENDERS, true).map(drop);
        if outcome.is_err() {
            break;
        }
    }
    assert_eq!((outcome, inbox.strangers), (Err(Full::Strangers), STRANGER_LETTERS));
    for _ in 0..LETTERS_PER_SENDER {
        flood(&mut inbox, 2, 500, false).unwrap();
    }
    assert_eq!(flood(&mut inbox, 2, 500, false), Err(Full::Sender));
    while flood(&mut inbox, 3, 501, false).is_ok() {}
    assert!(inbox.len() <= LETTERS);
}

#[test]
fn strangers_are_counted_by_name_too() {
    let mut inbox = inbox();
    let mut admit =
        |who: usize| inbox.admit(0, (std::format!("u{who}@h").as_bytes(), b""), true, Category::Text, who as u64, 0);
    let admitted = (0..=STRANGER_SENDERS).filter(|who| admit(*who).is_ok()).count();
    assert_eq!((admitted, admit(STRANGER_SENDERS)), (STRANGER_SENDERS, Err(Full::Strangers)));
}

/// How many senders fill it: one less than there could be.
const FILLERS: u64 = SENDERS as u64 - 1;

/// Fills an inbox with letters of many, ids 1 to [`LETTERS`].
fn fill(inbox: &mut Inbox) -> Vec<LetterHandle> {
    let mut handles = Vec::new();
    for id in 1..=LETTERS as u64 {
        let address = std::format!("u{}@h", id % FILLERS);
        let handle = inbox.admit(0, (address.as_bytes(), b""), false, Category::Text, id, 0).unwrap();
        inbox.settled(handle);
        handles.push(handle);
    }
    handles
}

#[test]
fn the_oldest_deleted_gives_way() {
    let mut inbox = inbox();
    let (handles, late) = (fill(&mut inbox), LETTERS - 2);
    let next = |inbox: &mut Inbox, id| inbox.admit(1, (b"new@h", b""), false, Category::Call, id, 0);
    assert_eq!((next(&mut inbox, 5_000), inbox.len()), (Err(Full::Letters), LETTERS));
    assert_eq!(inbox.senders() as u64, FILLERS, "who is refused leaves nothing");
    inbox.set_state(NOW, handles[late], State::Deleted);
    inbox.set_state(NOW, handles[3], State::Deleted);
    assert!(next(&mut inbox, 5_000).is_ok() && inbox.get(handles[3]).is_none() && inbox.get(handles[late]).is_some());
    assert!(next(&mut inbox, 5_001).is_ok() && inbox.get(handles[late]).is_none());
    assert_eq!(next(&mut inbox, 5_002), Err(Full::Letters));
    assert_eq!(inbox.next_amended(), None, "what goes altogether needs no state");
    assert_eq!(
        (inbox.next_forgotten(), inbox.next_forgotten()),
        (Some((Category::Text, 4)), Some((Category::Text, late as u64 + 1)))
    );
    assert_eq!((inbox.next_forgotten(), inbox.len()), (None, LETTERS));
}

#[test]
fn records_to_be_removed_wait_in_a_room_of_their_own() {
    let mut inbox = inbox();
    let handles = fill(&mut inbox);
    for handle in handles {
        assert!(inbox.set_state(NOW, handle, State::Deleted));
    }
    let mut id = 5_000;
    let mut next = |inbox: &mut Inbox| {
        id += 1;
        inbox.admit(1, (b"new@h", b""), false, Category::Call, id, 0).map(drop)
    };
    let admitted = (0..2 * LEAVING_LETTERS).filter(|_| next(&mut inbox).is_ok()).count();
    assert_eq!((admitted, next(&mut inbox)), (LEAVING_LETTERS, Err(Full::Letters)));
    assert_eq!(inbox.next_forgotten(), Some((Category::Text, 1)));
    assert_eq!((next(&mut inbox), next(&mut inbox)), (Ok(()), Err(Full::Letters)));
    inbox.due(NOW.plus(DAY_MS));
    while inbox.next_forgotten().is_some() {}
    assert_eq!((inbox.len(), inbox.letters.len()), (LEAVING_LETTERS + 1, LEAVING_LETTERS + 1));
}

#[test]
fn what_comes_again_is_not_forgotten() {
    let mut inbox = inbox();
    let one = put(&mut inbox, 0, Category::Text, 7);
    inbox.remove(one);
    assert_eq!(inbox.find(7), None);
    let again = put(&mut inbox, 0, Category::Text, 7);
    assert_eq!((inbox.find(7), inbox.next_forgotten()), (Some(again), None));
}

#[test]
fn after_a_start() {
    let mut inbox = inbox();
    let kept = |state, number, what| Kept {
        state,
        number,
        at: 9,
        person: 77,
        is_stranger: true,
        address: b"bob@h",
        name: b"Bob",
        what,
    };
    let text = What::Text { content_type: b"", encoding: b"", body: b"Hello" };
    let voice = What::Voice { codec: Codec::Ulaw, milliseconds: 0, lost_milliseconds: 0 };
    inbox.number_above(4);
    let newer = inbox.restore(NOW, 2, &kept(1, 12, voice), 3, 8_000).unwrap();
    let older = inbox.restore(NOW, 1, &kept(0, 5, text), 3, 0).unwrap();
    let gone = inbox.restore(NOW, 3, &kept(2, 6, What::Call { rang_seconds: 20 }), 3, 0).unwrap();
    assert_eq!(inbox.restore(NOW, 1, &kept(0, 5, text), 3, 0), Err(Full::Known));
    assert_eq!((numbers(&inbox, 3), counted(&inbox, 3)), ([12, 6, 5].into(), [(1, 0), (0, 1), (0, 0)]));
    let length = |handle| inbox.get(handle).map(|it: &Letter| (it.size, it.milliseconds));
    assert_eq!([newer, older, gone].map(length), [Some((8_000, 1_000)), Some((5, 0)), Some((0, 20_000))]);
    assert_eq!((inbox.keep(older, 77, text), inbox.strangers), (Some(kept(0, 5, text)), 3));
    assert!(!inbox.has_work(), "the disk knows all that");
    assert_eq!(inbox.deadline(), Some(NOW.plus(DAY_MS)));
    let next = put(&mut inbox, 3, Category::Text, 9);
    assert_eq!(inbox.get(next).unwrap().number, 13);
    let changes = inbox.changes(3);
    inbox.clear();
    assert!(inbox.changes(3) != changes && inbox.is_empty() && inbox.get(next).is_none() && inbox.find(9).is_none());
    assert_eq!((inbox.strangers, inbox.senders(), inbox.deadline(), inbox.has_work()), (0, 0, None, false));
    inbox.settled(next);
    let next = put(&mut inbox, 3, Category::Text, 10);
    assert_eq!((inbox.get(next).unwrap().number, counted(&inbox, 3)[0]), (14, (1, 0)));
}

#[test]
fn people_move() {
    let mut inbox = inbox();
    let one = put(&mut inbox, 1, Category::Text, 7);
    let two = put(&mut inbox, 2, Category::Voice, 8);
    inbox.set_state(NOW, two, State::Old);
    inbox.renumber(|person| (person == 2).then_some(1));
    assert_eq!((inbox.get(one), inbox.get(two).unwrap().person), (None, 1));
    assert_eq!((counted(&inbox, 1), counted(&inbox, 2)), ([(0, 0), (0, 1), (0, 0)], [(0, 0); 3]));
    assert_eq!(inbox.next_forgotten(), None, "it stays on the disk");
}

/// What the model knows of a letter.
#[derive(Clone, Debug, PartialEq)]
struct Known {
    id: u64,
    person: u16,
    who: u64,
    category: Category,
    state: State,
    is_settled: bool,
    is_stranger: bool,
    deleted_at: u64,
    handle: LetterHandle,
}

struct Model {
    /// By number.
    letters: BTreeMap<u32, Known>,
    leaving: Vec<(Category, u64)>,
    last_number: u32,
}

impl Model {
    fn is_full(&self, person: u16, who: u64, is_stranger: bool) -> bool {
        let all = || self.letters.values();
        let from = |it: &&Known| it.who == who && it.is_stranger == is_stranger;
        let strangers = || all().filter(|it| it.is_stranger);
        let mut names: Vec<(u64, bool)> = all().map(|it| (it.who, it.is_stranger)).collect();
        names.sort();
        names.dedup();
        let has_room_for_name = names.contains(&(who, is_stranger))
            || names.len() < SENDERS
                && (!is_stranger || names.iter().filter(|(_, is_stranger)| *is_stranger).count() < STRANGER_SENDERS);
        let share = all().filter(from).filter(|it| it.person == person && it.state != State::Deleted).count();
        let most = if is_stranger { LETTERS_PER_STRANGER } else { LETTERS_PER_SENDER };
        let can_give_way = all().any(|it| it.is_settled && it.state == State::Deleted);
        is_stranger && strangers().count() >= STRANGER_LETTERS
            || !has_room_for_name
            || share >= most
            || self.letters.len() == LETTERS && !can_give_way
            || self.letters.len() + self.leaving.len() == SLOTS
    }

    fn leave(&mut self, number: u32) {
        let known = self.letters.remove(&number).unwrap();
        self.leaving.push((known.category, known.id));
    }

    fn agrees(&self, inbox: &Inbox) {
        for person in 0..4 {
            let own = || self.letters.iter().rev().filter(|(_, it)| it.person == person && it.is_settled);
            assert!(inbox.letters(person.into()).map(|(_, it)| it.id).eq(own().map(|(_, it)| it.id)));
            let count =
                |category, state| own().filter(|(_, it)| (it.category, it.state) == (category, state)).count() as u32;
            let expected = [Category::Text, Category::Voice, Category::Call]
                .map(|category| (count(category, State::New), count(category, State::Old)));
            assert_eq!(counted(inbox, person.into()), expected);
        }
        assert_eq!((inbox.len(), inbox.letters.len()), (self.letters.len(), self.letters.len() + self.leaving.len()));
        for (number, known) in &self.letters {
            let letter = inbox.get(known.handle).unwrap();
            assert_eq!((letter.number, letter.state), (*number, known.state));
            assert_eq!(inbox.find(known.id), Some(known.handle));
        }
        let strangers = self.letters.values().filter(|it| it.is_stranger).count();
        assert_eq!(inbox.strangers, strangers);
    }
}

fn random(state: &mut u64, bound: u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state % bound
}

#[test]
fn against_a_model() {
    let mut outcomes = Outcomes::default();
    (1..=6).for_each(|seed| run_model(seed, &mut outcomes));
    let Outcomes { gave_way, refused } = outcomes;
    assert!(gave_way > 0, "a run has to fill it");
    for reason in [Full::Letters, Full::Senders, Full::Strangers, Full::Sender] {
        assert!(refused.contains(&reason), "{reason:?} has not been met");
    }
}

/// What the runs have met.
#[derive(Default)]
struct Outcomes {
    gave_way: usize,
    refused: Vec<Full>,
}

fn run_model(seed: u64, outcomes: &mut Outcomes) {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut inbox = inbox();
    let mut model = Model { letters: BTreeMap::new(), leaving: Vec::new(), last_number: 0 };
    let mut now_ms = 0;
    // Some runs have more senders than there is room for, some more letters of each than he may leave.
    let (senders, names) = ([300, 1, 40][seed as usize % 3], [2, 3, 9][seed as usize % 3]);
    for step in 0..6_000u64 {
        now_ms += random(&mut state, 3_600_000 / 60);
        let now = Instant::from_millis(now_ms);
        let pick = |state: &mut u64| {
            let at = random(state, model.letters.len().max(1) as u64) as usize;
            model.letters.iter().nth(at).map(|(number, known)| (*number, known.clone()))
        };
        match random(&mut state, 20) {
            0..=11 => {
                let (person, who) = (random(&mut state, 4) as u16, random(&mut state, senders));
                let is_stranger = random(&mut state, names) == 0;
                let category = [Category::Text, Category::Voice, Category::Call][random(&mut state, 3) as usize];
                let address = std::format!("u{who}@Host");
                // Few distinct low halves, so that ids meet in the index.
                let id = (step << 32) | (step % 64);
                let outcome = inbox.admit(person, (address.as_bytes(), b"N"), is_stranger, category, id, 1);
                assert_eq!(outcome.is_err(), model.is_full(person, who, is_stranger), "seed {seed} step {step}");
                let handle = match outcome {
                    Ok(handle) => handle,
                    Err(reason) => {
                        outcomes.refused.push(reason);
                        continue;
                    }
                };
                if model.letters.len() == LETTERS {
                    let is_deleted = |it: &Known| it.is_settled && it.state == State::Deleted;
                    let oldest = *model.letters.iter().find(|(_, it)| is_deleted(it)).unwrap().0;
                    model.leave(oldest);
                    outcomes.gave_way += 1;
                }
                model.last_number += 1;
                let (state, is_settled, deleted_at) = (State::New, false, 0);
                let known = Known { id, person, who, category, state, is_settled, is_stranger, deleted_at, handle };
                model.letters.insert(model.last_number, known);
            }
            12..=14 => {
                if let Some((number, known)) = pick(&mut state) {
                    inbox.settled(known.handle);
                    model.letters.get_mut(&number).unwrap().is_settled = true;
                }
            }
            15 => {
                if let Some((number, known)) = pick(&mut state)
                    && !known.is_settled
                {
                    inbox.withdraw(known.handle);
                    model.letters.remove(&number);
                }
            }
            16 | 17 => {
                let new = [State::New, State::Old, State::Deleted][random(&mut state, 3) as usize];
                if let Some((number, known)) = pick(&mut state) {
                    let is_new = known.is_settled && known.state != new;
                    assert_eq!(inbox.set_state(now, known.handle, new), is_new);
                    if is_new {
                        let known = model.letters.get_mut(&number).unwrap();
                        (known.state, known.deleted_at) = (new, now_ms / 1000);
                    }
                }
            }
            18 if random(&mut state, 4) == 0 => {
                if let Some((number, known)) = pick(&mut state) {
                    inbox.remove(known.handle);
                    model.leave(number);
                }
            }
            18 => {
                let is_over =
                    |it: &Known| it.state == State::Deleted && it.deleted_at + u64::from(UNDO_S) <= now_ms / 1000;
                let over: Vec<u32> =
                    model.letters.iter().filter(|(_, it)| is_over(it)).map(|(number, _)| *number).collect();
                assert!(over.is_empty() || inbox.deadline().is_some_and(|at| at <= now));
                inbox.due(now);
                over.into_iter().for_each(|number| model.leave(number));
                assert!(inbox.deadline().is_none_or(|at| at > now));
            }
            _ => {
                while let Some(gone) = inbox.next_forgotten() {
                    let at = model.leaving.iter().position(|known| *known == gone).expect("one that was removed");
                    model.leaving.remove(at);
                }
                assert!(model.leaving.is_empty());
                while let Some(handle) = inbox.next_amended() {
                    assert!(model.letters.values().any(|it| it.handle == handle));
                }
            }
        }
        if step % 50 == 0 {
            model.agrees(&inbox);
        }
    }
    model.agrees(&inbox);
    after_a_restart(&inbox, &model, seed);
}

/// What is restored from what was kept, in any order, is what was there.
fn after_a_restart(before: &Inbox, model: &Model, seed: u64) {
    let mut state = seed + 1;
    let mut settled: Vec<(u64, LetterHandle)> =
        model.letters.values().filter(|it| it.is_settled).map(|it| (it.id, it.handle)).collect();
    for at in (1..settled.len()).rev() {
        settled.swap(at, random(&mut state, at as u64 + 1) as usize);
    }
    let mut again = inbox();
    for (id, handle) in settled {
        let letter = before.get(handle).unwrap();
        let what = match letter.category {
            Category::Text => What::Text { content_type: b"", encoding: b"", body: b"" },
            Category::Voice => What::Voice { codec: Codec::Opus, milliseconds: 0, lost_milliseconds: 0 },
            Category::Call => What::Call { rang_seconds: 0 },
        };
        let mut room = [0; 256];
        let len = before.keep(handle, 5, what).unwrap().write(&mut room).unwrap();
        let kept = Kept::read(&room[..len]).unwrap();
        again.restore(NOW, id, &kept, letter.person, 0).unwrap();
    }
    for person in 0..4 {
        assert_eq!(again.counts(person), before.counts(person));
        let shown = |inbox: &Inbox| -> Vec<_> {
            let sender = |handle| inbox.sender(handle).map(|it| (it.address.clone(), it.is_stranger)).unwrap();
            let of = |it: &Letter| (it.id, it.number, it.at, it.category, it.state, sender(it.sender));
            inbox.letters(person).map(|(_, letter)| of(letter)).collect()
        };
        assert_eq!(shown(&again), shown(before));
        let grouped = |inbox: &Inbox| -> Vec<_> {
            let groups = inbox.groups(person, 9).into_iter();
            groups.map(|it| (it.texts, it.voices, it.calls, it.newest)).collect()
        };
        assert_eq!(grouped(&again), grouped(before));
    }
}
