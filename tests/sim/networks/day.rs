//! A day in which links are cut at random, with texts numbered from both sides: none is lost, none comes twice, their order
//! is kept, and nobody is stormed.

use std::collections::{BTreeMap, BTreeSet};

use super::hosts::IrcUser;
use super::{ALICE_XMPP, BUDDY, Nets, ON_IRC, ON_XMPP, ROMEO};
use crate::script::Call;
use crate::world::{Link, World, seeds};
use crate::xmpp_server::Got;
use pcsd::base::limits::{CONTEXTS, OUTGOING_PER_PERSON};

const DAY_MS: u64 = 86_400_000;
/// Attempts to connect that one cut may cost: the first may come too early.
const TRIES_PER_CUT: usize = 12;

/// Whether this board has room for all that waits while nobody is there: else some of it is refused.
fn is_roomy() -> bool {
    let is_roomy = OUTGOING_PER_PERSON >= 64 && CONTEXTS >= 32;
    if !is_roomy {
        eprintln!("skipped: a day of texts needs more room than this board has");
    }
    is_roomy
}

/// What was written and read so far.
struct Day {
    nets: Nets,
    /// What Alice wrote, with the request.
    written: Vec<Call>,
    /// Texts that Romeo wrote on each network.
    on_xmpp: usize,
    on_irc: usize,
    /// What Romeo got on each network.
    at_xmpp: Vec<String>,
    at_irc: Vec<String>,
    user: Option<IrcUser>,
    is_on_xmpp: bool,
    cuts: usize,
    irc_cuts: usize,
    off_until: u64,
}

impl Day {
    fn new(seed: u64) -> Self {
        let mut world = World::new(seed);
        world.link = Link { delay: (20, 20), piece: 700, ..Link::GOOD };
        let mut nets = Nets::with(world, &[ON_XMPP, ON_IRC, BUDDY].concat());
        nets.irc.on().capabilities = "echo-message message-tags".into();
        nets.log_in();
        Self {
            nets,
            written: Vec::new(),
            on_xmpp: 0,
            on_irc: 0,
            at_xmpp: Vec::new(),
            at_irc: Vec::new(),
            user: None,
            is_on_xmpp: false,
            cuts: 0,
            irc_cuts: 0,
            off_until: 0,
        }
    }

    fn chance(&mut self, per_mille: u64) -> bool {
        self.nets.world.random.chance(per_mille)
    }

    /// Something happens.
    fn turn(&mut self) {
        let now = self.nets.world.now;
        if self.off_until != 0 && now >= self.off_until {
            self.nets.world.services[self.nets.xmpp.service].is_off = false;
            self.off_until = 0;
        }
        match self.nets.world.random.below(16) {
            0 => self.cut_xmpp(),
            1 => self.cut_irc(),
            2 if self.off_until == 0 => {
                self.nets.world.services[self.nets.xmpp.service].is_off = true;
                self.off_until = now + 1_000 + self.nets.world.random.below(200_000);
                self.cut_xmpp();
            }
            3 | 4 => self.move_on_xmpp(),
            5 | 6 => self.move_on_irc(),
            7..=10 => self.alice_writes(),
            _ => self.romeo_writes(),
        }
    }

    fn cut_xmpp(&mut self) {
        self.cuts += self.nets.xmpp.conns().len();
        self.nets.xmpp.cut(&mut self.nets.world);
    }

    fn cut_irc(&mut self) {
        (self.cuts, self.irc_cuts) = (self.cuts + 1, self.irc_cuts + 1);
        self.nets.irc.cut(&mut self.nets.world);
    }

    fn move_on_xmpp(&mut self) {
        self.is_on_xmpp = !self.is_on_xmpp;
        self.nets.romeo_shows(if self.is_on_xmpp { "" } else { "unavailable" }, "");
    }

    fn move_on_irc(&mut self) {
        match self.user.take() {
            Some(user) => {
                self.at_irc.extend(user.texts());
                user.leaves();
            }
            None => self.user = Some(self.nets.irc_user("romeo")),
        }
    }

    /// Alice writes, one to three texts at once; sometimes a link is cut while they are on their way.
    fn alice_writes(&mut self) {
        for _ in 0..1 + self.nets.world.random.below(3) {
            let text = format!("a{}", self.written.len());
            self.written.push(self.nets.world.write(self.nets.phone, ROMEO, &text));
        }
        if self.chance(300) {
            let wait_ms = self.nets.world.random.below(300);
            self.nets.run(wait_ms);
            self.cut_xmpp();
        }
    }

    fn romeo_writes(&mut self) {
        if self.is_on_xmpp {
            for _ in 0..1 + self.nets.world.random.below(3) {
                let text = format!("x{}", self.on_xmpp);
                self.on_xmpp += 1;
                self.nets.romeo_says(&text);
            }
            if self.chance(300) {
                let wait_ms = self.nets.world.random.below(300);
                self.nets.run(wait_ms);
                self.cut_xmpp();
            }
        } else if let Some(user) = &self.user
            && self.nets.irc.on().nicks().contains(&"alice")
        {
            // IRC tells nobody what was lost on the way: what arrives within a second did.
            user.says("alice", &format!("i{}", self.on_irc));
            self.on_irc += 1;
            self.nets.run(1_000);
        }
    }

    /// Romeo reads what he got.
    fn reads(&mut self) {
        let got = self.nets.xmpp.on(&self.nets.world).inbox("romeo");
        self.at_xmpp.extend(got.into_iter().filter_map(|got| match got {
            Got::Message { body, from, .. } => {
                assert!(from.starts_with(ALICE_XMPP), "{from}");
                Some(body)
            }
            _ => None,
        }));
        if let Some(user) = &self.user {
            self.at_irc.extend(user.texts());
        }
    }

    /// The evening: everything is up again, and everybody there.
    fn ends(&mut self) {
        self.nets.world.services[self.nets.xmpp.service].is_off = false;
        if !self.is_on_xmpp {
            self.move_on_xmpp();
        }
        if self.user.is_none() {
            self.move_on_irc();
        }
        self.nets.run(1_800_000);
        self.reads();
    }
}

/// The numbers behind a letter, in their order.
fn numbers(texts: &[String], letter: char) -> Vec<usize> {
    texts.iter().filter_map(|text| text.strip_prefix(letter)?.parse().ok()).collect()
}

/// How often each number is there, and whether they come in order.
fn check(seen: &[usize], count: usize, what: &str) {
    let mut times: BTreeMap<usize, usize> = BTreeMap::new();
    seen.iter().for_each(|number| *times.entry(*number).or_default() += 1);
    let lost: Vec<usize> = (0..count).filter(|number| !times.contains_key(number)).collect();
    assert!(lost.is_empty(), "{what}: lost {lost:?} of {count}");
    let doubled: Vec<_> = times.iter().filter(|(_, times)| **times > 1).collect();
    assert!(doubled.is_empty(), "{what}: doubled {doubled:?} of {count}");
}

fn is_in_order(seen: &[usize]) -> bool {
    seen.windows(2).all(|pair| pair[0] < pair[1])
}

#[test]
fn a_day_of_cuts() {
    if !is_roomy() {
        return;
    }
    for seed in seeds(4) {
        let mut day = Day::new(seed);
        let (begin, end) = (day.nets.world.conns.len(), day.nets.world.now + DAY_MS);
        while day.nets.world.now < end {
            let pause_ms = 200 + day.nets.world.random.below(180_000);
            day.nets.run(pause_ms);
            day.turn();
            day.reads();
        }
        day.ends();
        for call in &day.written {
            let outcome = day.nets.world.outcome(*call);
            let is_taken = outcome.is_some_and(|status| status / 100 == 2);
            assert!(is_taken, "{:?}", outcome.map(|_| &day.nets.world.answer(*call).start));
        }
        let (at_xmpp, at_irc) = (numbers(&day.at_xmpp, 'a'), numbers(&day.at_irc, 'a'));
        assert!(is_in_order(&at_xmpp), "alice to romeo on XMPP: {at_xmpp:?}");
        assert!(is_in_order(&at_irc), "alice to romeo on IRC: {at_irc:?}");
        let all: Vec<usize> = at_xmpp.iter().chain(&at_irc).copied().collect();
        assert!(at_xmpp.len() > 50 && at_irc.len() > 20, "both are used: {} {}", at_xmpp.len(), at_irc.len());
        // In order is once. What a network that was cut off had, and could not say so for minutes, goes by the other as well.
        let both: Vec<usize> = at_irc.iter().filter(|number| at_xmpp.contains(number)).copied().collect();
        assert!(both.len() <= 1 + day.cuts / 100, "alice to romeo on both: {both:?}");
        let once: Vec<usize> = all.into_iter().collect::<BTreeSet<_>>().into_iter().collect();
        check(&once, day.written.len(), "alice to romeo");
        let told: Vec<String> = day.nets.told_by(ROMEO).into_iter().map(without_time).collect();
        let (by_xmpp, by_irc) = (numbers(&told, 'x'), numbers(&told, 'i'));
        check(&by_xmpp, day.on_xmpp, "romeo on XMPP to alice");
        check(&by_irc, day.on_irc, "romeo on IRC to alice");
        assert!(is_in_order(&by_irc), "romeo on IRC to alice: {by_irc:?}");
        // What comes at once may overtake what the archive tells of a session that could not be taken up again.
        let turns = by_xmpp.windows(2).filter(|pair| pair[0] > pair[1]).count();
        assert!(turns <= 1 + day.cuts / 50, "romeo on XMPP to alice: {by_xmpp:?}");
        let connects = day.nets.world.conns.len() - begin;
        assert!(connects <= day.cuts * TRIES_PER_CUT, "{connects} connections after {} cuts", day.cuts);
        assert!(day.cuts > 80 && day.irc_cuts > 20, "{} cuts", day.cuts);
        day.user.take().expect("he is on").leaves();
        day.nets.finish();
    }
}

/// A text without the time that is put before those that come late.
fn without_time(text: String) -> String {
    match text.strip_prefix('[').and_then(|rest| rest.split_once("] ")) {
        Some((_, rest)) => rest.into(),
        None => text,
    }
}

#[test]
fn a_day_of_restarts() {
    if !is_roomy() {
        return;
    }
    for seed in seeds(2) {
        let mut day = Day::new(seed);
        let end = day.nets.world.now + DAY_MS / 4;
        let mut restarts = 0;
        while day.nets.world.now < end {
            let pause_ms = 200 + day.nets.world.random.below(120_000);
            day.nets.run(pause_ms);
            match day.nets.world.random.below(8) {
                0 => {
                    restarts += 1;
                    day.nets.world.restart(0);
                }
                1 => {
                    restarts += 1;
                    day.nets.world.cut_power(0);
                    day.nets.run(20_000);
                    day.nets.world.start(0);
                }
                2 => day.cut_xmpp(),
                3 => day.move_on_xmpp(),
                4 | 5 => day.alice_writes(),
                _ if day.is_on_xmpp => day.romeo_writes(),
                _ => day.move_on_xmpp(),
            }
            day.reads();
        }
        day.ends();
        assert!(restarts > 20);
        // Who had no answer does not know; what was answered 2xx has to arrive. What was handed over just before the power
        // went may come twice.
        let seen = numbers(&[day.at_xmpp.clone(), day.at_irc.clone()].concat(), 'a');
        for (number, call) in day.written.iter().enumerate() {
            let is_taken = day.nets.world.outcome(*call).is_some_and(|status| status / 100 == 2);
            assert!(!is_taken || seen.contains(&number), "seed {seed}: a{number} is lost");
        }
        let told: Vec<String> = day.nets.told_by(ROMEO).into_iter().map(without_time).collect();
        let by_xmpp = numbers(&told, 'x');
        for number in 0..day.on_xmpp {
            assert!(by_xmpp.contains(&number), "seed {seed}: x{number} is lost");
        }
        let doubled = by_xmpp.len() - by_xmpp.iter().collect::<BTreeSet<_>>().len();
        assert!(doubled <= restarts, "{doubled} came twice in {restarts} restarts");
        day.user.take().expect("he is on").leaves();
        day.nets.finish();
    }
}
