//! The end of the server at any moment, and its next start: who is registered and who talks notices nothing. And the
//! spool by hand.

use crate::baresip::Setup;
use crate::calls::assert_heard;
use crate::daemon::{Daemon, Device, Person, sip};
use crate::harness::{Place, free_port, step, wait_until};
use crate::outside::call;
use crate::sipp::Sipp;
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

const PEOPLE: [Person; 3] = [Person::Md5("alice"), Person::Md5("bob"), Person::Md5("carol")];

#[test]
fn killed_in_a_call() {
    killed("killed_in_a_call", false);
}

#[test]
fn killed_in_a_call_with_a_spool() {
    killed("killed_in_a_call_with_a_spool", true);
}

fn killed(name: &'static str, has_spool: bool) {
    let Some(place) = Place::new(name, &["baresip"]) else { return };
    let more = if has_spool { spool_option(&new_spool(&place, "spool")) } else { String::new() };
    let mut pcsd = Daemon::start_with(&place, &PEOPLE, false, &more);
    let mut alice = Setup::new("alice", pcsd.address()).start(&place, "alice");
    let mut bob = Setup { tone_hz: 880, ..Setup::new("bob", pcsd.address()) }.start(&place, "bob");
    let carol = Setup { transport: "tcp", ..Setup::new("carol", pcsd.address()) }.start(&place, "carol");
    for phone in [&alice, &bob, &carol] {
        phone.await_registered();
    }
    if has_spool {
        wait_until("records go to the disk", || pcsd.pcsctl(&["status"]).contains("storage       disk").then_some(()));
    }
    for ended_by_caller in [true, false] {
        step!(place, "Alice calls Bob; the server is killed meanwhile");
        alice.dial(&sip("bob"));
        bob.await_event("CALL_INCOMING");
        bob.accept();
        alice.await_event("CALL_ESTABLISHED");
        bob.await_event("CALL_ESTABLISHED");
        let (before, since) = (pcsd.devices(), Instant::now());
        pcsd.program.kill();
        pcsd.start_again();
        await_the_same(&pcsd, &before, since);
        alice.await_heard(1);
        bob.await_heard(1);

        step!(place, "it ends; by the caller: {ended_by_caller}");
        let (first, other) = if ended_by_caller { (&mut alice, &mut bob) } else { (&mut bob, &mut alice) };
        let from = first.program.output.len();
        first.hang_up();
        other.await_event("CALL_CLOSED");
        first.await_event("CALL_CLOSED");
        let ended = first.await_trace(from, "BYE sip:");
        first.await_trace(ended, "SIP/2.0 200 OK");
        assert_heard((&alice, 440), (&bob, 880), 1);
    }
    step!(place, "phones that have not registered anew are rung");
    call(&mut bob, &sip("alice"), &mut alice, true);
    call(&mut alice, &sip("bob"), &mut bob, false);
    for phone in [&alice, &bob] {
        let registered = phone.program.output.count("} 200 OK (");
        assert_eq!(registered, 1, "it has registered once");
    }
    pcsd.await_rest();
}

/// The devices are those there were, but for those over streams, and their time has gone on as it does.
fn await_the_same(pcsd: &Daemon, before: &[Device], since: Instant) {
    let before = before.iter().filter(|device| device.transport == "udp").collect::<Vec<_>>();
    assert!(!before.is_empty());
    let after = wait_until("the devices are back", || {
        let after = pcsd.devices();
        (after.len() >= before.len()).then_some(after)
    });
    assert_eq!(after.len(), before.len(), "{after:?}");
    for device in before {
        let found = after.iter().find(|it| it.person == device.person && it.contact == device.contact);
        let found = found.unwrap_or_else(|| panic!("{device:?} is not in {after:?}"));
        assert_eq!((&found.source, &found.user_agent), (&device.source, &device.user_agent));
        let expected_s = device.expires_s - since.elapsed().as_secs();
        assert!(found.expires_s.abs_diff(expected_s) <= 2, "{} s instead of {expected_s} s", found.expires_s);
    }
}

#[test]
fn killed_under_load() {
    let Some(place) = Place::new("killed_under_load", &["sipp"]) else { return };
    let names = (0..PERSONS).map(|number| format!("user{number}")).collect::<Vec<_>>();
    let people = names.iter().map(|name| Person::Md5(name)).collect::<Vec<_>>();
    let unlimited = "\tlist unlimited '127.0.0.1'\n";
    let disk = new_spool(&place, "spool");
    let more = [unlimited.to_string(), format!("{unlimited}{}", spool_option(&disk))];
    let mut pcsd = Daemon::start_with(&place, &people, false, unlimited);
    let seed = SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |since| since.as_nanos() as u64);
    step!(place, "seed {seed}");
    let (mut random, mut confirmed) = (seed | 1, 0);
    for round in 0..ROUNDS {
        // Each round has other devices, and every other one a disk.
        pcsd.program.kill();
        forget_memory(&pcsd);
        let _ = fs::remove_dir_all(&disk);
        new_spool(&place, "spool");
        pcsd.write_configuration(&people, &more[round % 2]);
        pcsd.start_again();
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        // Some in the first moments, some late.
        let trace_bytes = LEAST_TRACE_BYTES << ((random >> 33) % DOUBLINGS);
        let local = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let load = Sipp::new("register_load", &pcsd, "nobody", "nobody", local);
        let load = load.start_load(&place, CALLS_PER_SECOND, &fields(), None);
        wait_until("the load has come so far", || (load.trace_len() >= trace_bytes).then_some(()));
        let since = Instant::now();
        pcsd.program.kill();
        let newest = newest(&load.kill());
        confirmed += newest.len();
        pcsd.start_again();
        wait_until("all that was confirmed is there", || {
            let devices = pcsd.devices();
            let is_there = |(contact, expires_s): (&String, &u64)| {
                let found = devices.iter().find(|device| device.contact.contains(contact.as_str()));
                found.is_some_and(|device| device.expires_s + since.elapsed().as_secs() + 1 >= *expires_s)
            };
            newest.iter().all(is_there).then_some(())
        });
    }
    step!(place, "{confirmed} devices in {ROUNDS} rounds");
    assert!(confirmed > ROUNDS * 5, "only {confirmed}");
}

#[test]
fn disk_that_fills_up() {
    let Some(place) = Place::new("disk_that_fills_up", &["sipp", "unshare", "mount"]) else { return };
    if !place.may_mount() {
        return;
    }
    let names = (0..PERSONS).map(|number| format!("user{number}")).collect::<Vec<_>>();
    let people = names.iter().map(|name| Person::Md5(name)).collect::<Vec<_>>();
    let pcsd = Daemon::start_with_small_disk(&place, &people, "\tlist unlimited '127.0.0.1'\n");
    let local = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let register = |calls: usize| {
        let load = Sipp::new("register_load", &pcsd, "nobody", "nobody", local);
        load.start_load(&place, 2000, &fields(), Some(calls)).finish();
        assert_eq!(pcsd.devices().len(), DEVICES);
    };
    let filler = pcsd.inside("disk/film");
    let fill = || {
        let mut film = fs::File::create(&filler).expect("a file on the disk");
        assert!(io::copy(&mut io::repeat(0), &mut film).is_err(), "the disk is full");
    };
    let await_status = |part: &str| {
        wait_until(&format!("the status says '{part}'"), || pcsd.pcsctl(&["status"]).contains(part).then_some(()));
    };
    step!(place, "a full disk without a spool: what is registered is kept in memory");
    fill();
    let (disk, old) = (pcsd.inside("disk"), pcsd.inside("disk/old"));
    fs::create_dir(&old).expect("a folder");
    for file in fs::read_dir(&disk).expect("the disk").flatten().filter(|file| file.path().is_file()) {
        if file.path() != filler {
            fs::rename(file.path(), old.join(file.file_name())).expect("the spool goes");
        }
    }
    await_status("storage       memory");
    await_status(": no room now;");
    register(DEVICES);
    await_status(&format!("run: {DEVICES} records"));

    step!(place, "there is room: more is registered than the disk would hold, were nothing cleaned");
    fs::remove_file(&filler).expect("the filler goes");
    fs::remove_dir_all(&old).expect("the old spool goes");
    await_status("storage       disk");
    register(CALLS);
    let all = format!("spool         {DEVICES} records");
    await_status(&all);

    step!(place, "somebody else fills the disk; what the spool has is enough for it");
    fill();
    let from = pcsd.program.output.len();
    register(CALLS / 4);
    await_status(" 0 free on the disk");
    await_status(&all);
    assert!(!pcsd.program.output.since(from).iter().any(|line| line.contains("may be lost")));
}

#[test]
fn disk_that_comes_and_goes() {
    let Some(place) = Place::new("disk_that_comes_and_goes", &["sipp"]) else { return };
    let names = (0..PERSONS).map(|number| format!("user{number}")).collect::<Vec<_>>();
    let people = names.iter().map(|name| Person::Md5(name)).collect::<Vec<_>>();
    let socket = place.directory("sticks").join("socket");
    let option = format!("\tlist unlimited '127.0.0.1'\n{}", spool_option(&socket));
    let mut pcsd = Daemon::start_with(&place, &people, false, &option);
    let await_status = |pcsd: &Daemon, parts: &[&str]| {
        wait_until(&format!("the status says {parts:?}"), || {
            let status = pcsd.pcsctl(&["status"]);
            parts.iter().all(|part| status.contains(part)).then_some(())
        });
    };
    let restart = |pcsd: &mut Daemon, count: usize| {
        pcsd.program.kill();
        pcsd.start_again();
        wait_until("the devices are back", || (pcsd.devices().len() == count).then_some(()));
    };

    step!(place, "no stick yet: what is registered outlives the server");
    await_status(&pcsd, &["storage       memory", "absent for"]);
    let local = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let load = Sipp::new("register_load", &pcsd, "nobody", "nobody", local);
    load.start_load(&place, CALLS_PER_SECOND, &fields(), Some(DEVICES)).finish();
    restart(&mut pcsd, DEVICES);

    step!(place, "a stick: the journal moves there");
    fs::rename(new_spool(&place, "first"), &socket).expect("a stick is put in");
    await_status(&pcsd, &["storage       disk", "spool         64 records", "run: 0 records"]);
    restart(&mut pcsd, DEVICES);

    step!(place, "it is pulled out; a person signs off");
    let first = place.directory("sticks").join("first");
    fs::rename(&socket, &first).expect("the stick is pulled out");
    await_status(&pcsd, &["storage       memory", "absent for", "run: 64 records"]);
    Sipp::new("sign_off", &pcsd, "user0", "user0", SocketAddr::from(([127, 0, 0, 1], free_port()))).play(&place);
    let left = DEVICES - DEVICES / PERSONS;
    assert_eq!(pcsd.devices().len(), left);
    restart(&mut pcsd, left);

    step!(place, "another stick is put in, then the first one: who signed off does not come back");
    fs::rename(new_spool(&place, "second"), &socket).expect("a stick is put in");
    await_status(&pcsd, &["storage       disk", "spool         56 records", "run: 0 records"]);
    let from = pcsd.program.output.len();
    fs::rename(&socket, place.directory("sticks").join("second")).expect("the stick is pulled out");
    fs::rename(&first, &socket).expect("a stick is put in");
    pcsd.program.await_line(from, "another disk: UUID");
    await_status(&pcsd, &["storage       disk", "spool         56 records", "run: 0 records"]);
    assert_eq!(pcsd.devices().len(), left);
    pcsd.program.kill();
    forget_memory(&pcsd);
    pcsd.start_again();
    wait_until("the devices are back", || (pcsd.devices().len() == left).then_some(()));
}

#[test]
fn spool_by_hand() {
    let Some(place) = Place::new("spool_by_hand", &["sipp"]) else { return };
    let names = (0..PERSONS).map(|number| format!("user{number}")).collect::<Vec<_>>();
    let people = names.iter().map(|name| Person::Md5(name)).collect::<Vec<_>>();
    let unlimited = "\tlist unlimited '127.0.0.1'\n";
    let first = new_spool(&place, "first");
    let mut pcsd = Daemon::start_with(&place, &people, false, &format!("{unlimited}{}", spool_option(&first)));
    let load = Sipp::new("register_load", &pcsd, "nobody", "nobody", SocketAddr::from(([127, 0, 0, 1], free_port())));
    load.start_load(&place, CALLS_PER_SECOND, &fields(), Some(DEVICES)).finish();
    fs::write(first.join("photo.jpg"), "not ours").expect("a foreign file");
    let all = format!("{DEVICES} records");
    let (sound, backup) = (format!("{all} in 1 segments, 0 blobs"), place.directory("backup").join("backup"));
    let backup = backup.to_str().expect("a path of ASCII");

    step!(place, "checked and backed up while it runs");
    assert!(pcsd.pcsctl(&["spool", "check"]).contains(&sound));
    assert!(pcsd.pcsctl(&["backup", backup]).contains(&format!("{all} backed up")));
    let devices = pcsd.devices();

    step!(place, "another disk, with nothing in memory: nobody is known");
    pcsd.program.kill();
    let second = new_spool(&place, "second");
    pcsd.write_configuration(&people, &format!("{unlimited}{}", spool_option(&second)));
    forget_memory(&pcsd);
    pcsd.start_again();
    assert_eq!(pcsd.devices().len(), 0);

    step!(place, "half a backup is refused, a whole one is taken, once");
    let bytes = fs::read(backup).expect("the backup is there");
    let half = format!("{backup}.half");
    fs::write(&half, &bytes[..bytes.len() / 2]).expect("half a backup");
    assert!(!pcsd.pcsctl_output(&["restore", &half]).status.success());
    assert!(pcsd.pcsctl(&["spool", "check"]).contains("0 records"), "nothing of it was taken");
    assert!(pcsd.pcsctl(&["restore", backup]).contains(&format!("{all} added, 0 were there")));
    assert!(pcsd.pcsctl(&["restore", backup]).contains(&format!("0 records added, {DEVICES} were there")));
    for _ in 0..2 {
        let restored = wait_until("the devices are back", || {
            let restored = pcsd.devices();
            (restored.len() == DEVICES).then_some(restored)
        });
        assert!(devices.iter().all(|device| restored.iter().any(|it| it.contact == device.contact)));
        step!(place, "and once more from the disk alone");
        pcsd.program.kill();
        forget_memory(&pcsd);
        pcsd.start_again();
    }

    step!(place, "a byte of the first disk changes");
    let files = fs::read_dir(&first).expect("the spool can be listed").map(|entry| entry.expect("an entry").path());
    let contents = files.map(|path| (fs::read(&path).expect("a file of the spool"), path));
    let place_in = |bytes: &[u8]| bytes.windows(12).position(|part| part == b"sip:device9@");
    let (mut bytes, segment, at) =
        contents.into_iter().find_map(|(bytes, path)| place_in(&bytes).map(|at| (bytes, path, at))).expect("a record");
    bytes[at] ^= 1;
    fs::write(segment, bytes).expect("a segment can be written");
    let output = spool("check", &first);
    let said = String::from_utf8_lossy(&output.stdout);
    println!("  {said}");
    assert!(!output.status.success() && said.contains("damaged") && !said.contains(&all), "{said}");
    assert!(!spool("init", &second).status.success(), "the server uses it");
    assert!(!spool("init", &first).status.success(), "it is one");
    assert_eq!(fs::read(first.join("photo.jpg")).expect("the foreign file is there"), b"not ours");
}

/// As a reboot does.
fn forget_memory(pcsd: &Daemon) {
    fs::remove_dir_all(pcsd.directory.join("run")).expect("the directory in memory goes");
}

/// For each device, the longest time that was confirmed: later calls ask for more.
fn newest(trace: &str) -> BTreeMap<String, u64> {
    let mut newest = BTreeMap::new();
    for answer in trace.split("SIP/2.0 200 OK").skip(1) {
        let answer = answer.split("-----------").next().unwrap_or_default();
        // The number of the call begins its Call-ID.
        let call = answer.split("Call-ID: ").nth(1).and_then(|rest| rest.split('-').next()?.parse::<usize>().ok());
        let (_, device, expires_s) = line(call.expect("a call of SIPp") - 1);
        newest.insert(format!("sip:{device}@"), expires_s);
    }
    newest
}

/// What call number `call` registers: person, device, seconds.
fn line(call: usize) -> (usize, String, u64) {
    let (device, time) = (call % DEVICES, call / DEVICES);
    (device % PERSONS, format!("device{device}"), 600 + 60 * time as u64)
}

fn fields() -> String {
    let mut text = String::from("SEQUENTIAL\n");
    for call in 0..CALLS {
        let (person, device, expires_s) = line(call);
        text += &format!(
            "user{person};{device};{expires_s};[authentication username=user{person} password={}]\n",
            crate::daemon::PASSWORD
        );
    }
    text
}

/// Makes a directory a spool, as an administrator does.
pub fn new_spool(place: &Place, name: &str) -> PathBuf {
    let directory = place.directory(name);
    let output = spool("init", &directory);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    directory
}

/// What becomes of `pcsd spool` with a directory.
fn spool(word: &str, directory: &Path) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pcsd"));
    command.args(["spool", word]).arg(directory).output().expect("pcsd runs")
}

pub fn spool_option(directory: &Path) -> String {
    format!("\toption spool '{}'\n", directory.display())
}

const ROUNDS: usize = 20;
const PERSONS: usize = 8;
/// As many as the server takes.
const DEVICES: usize = 64;
const CALLS: usize = 100 * DEVICES;
const CALLS_PER_SECOND: u32 = 800;
const LEAST_TRACE_BYTES: u64 = 5_000;
const DOUBLINGS: u64 = 8;
