//! A house under load whose server ends at any moment (server/journal.rs, home/binding.rs): whatever a phone was promised by
//! a 200 holds at the next start, in one boot, over a loss of power, over bad links, and while records move to a disk.

use crate::phone::{Client, Manner};
use crate::restart::{bindings, told_s};
use crate::stick::Stick;
use crate::storage::Disk;
use crate::world::{Link, World, seeds};
use pcsd::server::contract::Storage;

/// How a run goes.
#[derive(Clone, Copy, Default)]
struct Load {
    /// At most so many things happen after the last request, before the end.
    steps: u64,
    /// Whether the machine goes down with the program.
    power: bool,
    /// Whether records move from memory to the disk, and back, before the end.
    moves: bool,
}

/// What a phone was promised: when its binding ends, or that there is none. `None` while a REGISTER is under way.
fn promise(world: &World, phone: usize) -> Option<Option<u64>> {
    let clients = &world.phones[phone].clients;
    let registers = || (0..clients.len()).filter(|index| clients[*index].request.method() == "REGISTER");
    // The links may have changed their order.
    let last = registers().filter(|index| clients[*index].successor.is_none());
    let last = last.max_by_key(|index| clients[*index].request.cseq())?;
    let (at, answer) = clients[last].finals.first()?;
    let is_settled = registers().all(|index| !clients[index].finals.is_empty() || clients[index].timed_out);
    (is_settled && answer.status() == Some(200)).then(|| told_s(world, (phone, last)).map(|s| at + s * 1_000))
}

/// Phones that come and go, calls and messages: one thing of them at a time.
fn something(world: &mut World, phones: &[usize]) {
    let phone = phones[world.random.below(phones.len() as u64) as usize];
    let target = ["alice", "bob", "carol"][world.random.below(3) as usize];
    let uri = format!("sip:{target}@home.example");
    // A phone has one REGISTER under way at most (RFC 3261 §10.2).
    let clients = &world.phones[phone].clients;
    let is_open = |it: &Client| it.finals.is_empty() && !it.timed_out && it.request.method() == "REGISTER";
    let may_register = !clients.iter().any(is_open);
    match world.random.below(8) {
        0..4 if !may_register => {}
        0 => drop(world.register(phone, 0)),
        1..4 => {
            let expires_s = 120 + world.random.below(400) as u32;
            world.register(phone, expires_s);
        }
        4 => drop(world.invite(phone, &uri)),
        5 => {
            if let Some(dialog) = world.phones[phone].dialogs.iter().position(|dialog| !dialog.is_over) {
                world.in_dialog(phone, dialog, "BYE");
            }
        }
        _ => drop(world.message(phone, &uri)),
    }
}

impl Load {
    fn run(self, world: &mut World) {
        let phones: Vec<usize> = [("alice", 10), ("alice", 11), ("bob", 20), ("carol", 30)]
            .map(|(user, last)| {
                let phone = world.phone(user, last);
                world.phones[phone].may_get_twice = true;
                let after_ms = 100 + world.random.below(3_000);
                world.phones[phone].manner = Manner::answering(after_ms, 200);
                phone
            })
            .to_vec();
        for _ in 0..12 {
            for _ in 0..1 + world.random.below(4) {
                something(world, &phones);
                let wait = world.random.below(80);
                world.run(wait);
            }
            self.some_steps(world);
            if self.moves {
                if world.servers[0].store.place == Storage::Disk {
                    // What was promised is in memory when the disk is not there at the next start.
                    world.keep_at(0, Storage::Memory);
                    world.run(2_000);
                }
                world.keep_at(0, Storage::Disk);
                something(world, &phones);
                self.some_steps(world);
            }
            self.end_and_start(world, &phones);
            world.run(5_000);
            hang_up(world, &phones);
        }
    }

    /// Stops after any one of the things that happen.
    fn some_steps(self, world: &mut World) {
        for _ in 0..world.random.below(self.steps) {
            if world.next_at().is_some_and(|at| at < world.now + 300) {
                world.step();
            }
        }
    }

    fn end_and_start(self, world: &mut World, phones: &[usize]) {
        let promised: Vec<(usize, Option<u64>)> =
            phones.iter().filter_map(|phone| Some((*phone, promise(world, *phone)?))).collect();
        let before = (world.servers[0].store.waiting() == 0).then(|| bindings(world));
        if self.power {
            world.cut_power(0)
        } else {
            world.kill(0)
        }
        let down_ms = [0, 0, 30, 2_000][world.random.below(4) as usize];
        world.run(down_ms);
        world.start(0);
        promised.into_iter().for_each(|(phone, ends_at)| self.holds(world, phone, ends_at));
        if let Some(before) = before.filter(|_| !self.power && down_ms == 0) {
            assert_eq!(bindings(world), before, "nothing was on its way to storage");
        }
    }

    /// Whether what a phone was promised is so.
    fn holds(self, world: &World, phone: usize, ends_at: Option<u64>) {
        let (contact, all) = (world.phones[phone].contact_uri(), bindings(world));
        let found = all.iter().find(|(known, _)| *known == contact);
        let Some(ends_at) = ends_at else {
            return assert!(found.is_none(), "{contact} was unregistered, and is back");
        };
        // Seconds are told rounded up.
        if ends_at <= world.now + 1_100 {
            return;
        }
        let Some((_, left_s)) = found else { panic!("{contact} was promised, and is gone: {all:?}") };
        let left_ms = ends_at - world.now;
        // An answer that was lost comes again as it was.
        let late_ms = if world.link.loss == 0 { 2_000 } else { 35_000 };
        let is_right = match self.power {
            true => left_s * 1_000 + late_ms >= left_ms && *left_s <= 520,
            false => (left_s * 1_000).abs_diff(left_ms) <= late_ms,
        };
        assert!(is_right, "{contact}: {left_s} s instead of {left_ms} ms");
    }
}

/// Every dialog whose other side is registered can be ended, without a challenge.
fn hang_up(world: &mut World, phones: &[usize]) {
    for phone in phones {
        let Some(dialog) = world.phones[*phone].dialogs.iter().position(|dialog| !dialog.is_over) else { continue };
        let call_id = world.phones[*phone].dialogs[dialog].call_id.clone();
        let has_it = |other: &usize| world.phones[*other].dialogs.iter().any(|it| it.call_id == call_id);
        let other = phones.iter().copied().find(|other| other != phone && has_it(other));
        let bye = world.in_dialog(*phone, dialog, "BYE");
        let status = world.outcome_of(bye);
        let is_there = |other: usize| bindings(world).iter().any(|it| it.0 == world.phones[other].contact_uri());
        if other.is_some_and(is_there) {
            assert_eq!(status, Some(200), "BYE of {call_id}");
            assert!(world.phones[*phone].clients[bye.1].successor.is_none(), "a challenge in a dialog");
        }
    }
}

#[test]
fn a_restart_at_any_moment_loses_nothing() {
    for seed in seeds(60) {
        let mut world = World::new(seed);
        world.servers[0].store.delay = (0, 1 + seed % 40);
        world.servers[0].store.room = 1 + (seed % 5) as usize;
        world.keep_at(0, if seed % 2 == 0 { Storage::Memory } else { Storage::Disk });
        Load { steps: 30, ..Load::default() }.run(&mut world);
        world.finish();
    }
}

#[test]
fn a_reboot_at_any_moment_loses_nothing() {
    for seed in seeds(30) {
        let mut world = World::new(seed);
        world.servers[0].store.delay = (0, 30);
        world.keep_at(0, Storage::Disk);
        Load { steps: 30, power: true, ..Load::default() }.run(&mut world);
        world.finish();
    }
}

#[test]
fn a_restart_over_bad_links_loses_nothing() {
    for seed in seeds(20) {
        let mut world = World::new(seed);
        world.link = Link { loss: 50, duplicate: 50, ..Link::BAD };
        Load { steps: 60, ..Load::default() }.run(&mut world);
        world.finish();
    }
}

#[test]
fn a_spool_whose_power_is_cut_loses_nothing() {
    for seed in seeds(12) {
        let mut world = World::new(seed);
        world.servers[0].store.disk = Disk::Spool(Box::new(Stick::new()));
        world.servers[0].store.delay = (0, 20);
        world.keep_at(0, Storage::Disk);
        Load { steps: 30, power: seed % 3 != 0, ..Load::default() }.run(&mut world);
        if let Disk::Spool(stick) = &world.servers[0].store.disk {
            assert_eq!(stick.damaged_bytes, 0);
        }
        world.finish();
    }
}

#[test]
fn a_restart_while_records_move_to_the_disk_loses_nothing() {
    for seed in seeds(30) {
        let mut world = World::new(seed);
        world.servers[0].store.delay = (0, 1 + seed % 60);
        world.servers[0].store.room = 1 + (seed % 7) as usize;
        Load { steps: 30, moves: true, ..Load::default() }.run(&mut world);
        world.finish();
    }
}
