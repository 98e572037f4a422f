//! `pcsd run`: puts server, driver and services together, and takes them apart again.

use super::addresses::Addresses;
use super::clock::{self, WallClockWatch};
use super::control::{CLIENTS, ControlSocket};
use super::driver::{Driver, drive};
use super::nameservers::Nameservers;
use super::settings::{self, Refusal};
use super::signal::{Wish, Wishes};
use super::state::{Remembered, StateDirectory, boot_id};
use super::storage::{Options, RecordStore};
use super::syslog;
use super::tls::{self, Endpoint};
use crate::base::limits::SPOOL_RECORDS;
use crate::base::net::Transport;
use crate::config::{
    self,
    model::{Main, Model, SocketPath},
};
use crate::server::Server;
use crate::server::contract::{Input, Seed};
use crate::spool::{Limits, Memory};
use core::cell::RefCell;
use core::pin::pin;
use core::time::Duration;
use smol::{LocalExecutor, Timer};
use static_cell::ConstStaticCell;
use std::format;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Runs the server until a signal ends it.
///
/// # Errors
/// When it can't start, with the reason in words.
pub fn run(path: &Path) -> io::Result<()> {
    syslog::install();
    let model = settings::model();
    read_at_start(path, model)?;
    let socket_path = model.main.socket.clone();
    syslog::configure(settings::filter(model.main.log_level), model.main.syslog);

    let mut wishes = Wishes::new()?;
    let control = ControlSocket::open(Path::new(socket_path.as_str()))?;
    let state = StateDirectory::new(Path::new(model.main.state.as_str()));
    let driver = RefCell::new(Driver::new(seeded_server(&state)?)?);
    let records = RecordStore::start(storage_options(&model.main), Remembered::open(state))?;
    let surroundings = RefCell::new(Surroundings::default());
    surroundings.borrow_mut().resolv_file = model.main.resolv_file.as_str().into();
    secure_at_start(model, &mut driver.borrow_mut())?;
    driver.borrow_mut().turn(Input::Configuration(model));
    surroundings.borrow_mut().check(&driver);
    // The sockets are bound, but nothing is read from them before it is known who was registered.
    driver.borrow_mut().keep_records(records, STORAGE_PATIENCE)?;
    log::info!("pcsd {} started with {}", env!("CARGO_PKG_VERSION"), path.display());

    let services = LocalExecutor::new();
    for _ in 0..CLIENTS {
        services.spawn(control.serve(&driver)).detach();
    }
    let watch = async {
        loop {
            Timer::after(CHECK_INTERVAL).await;
            surroundings.borrow_mut().check(&driver);
            if let Some(records) = driver.borrow_mut().records() {
                records.tend(clock::now());
            }
        }
    };
    services.spawn(watch).detach();
    let until_stopped = async {
        while wishes.next().await == Wish::Reload {
            if reload(path, model, &driver) {
                surroundings.borrow_mut().resolv_file = model.main.resolv_file.as_str().into();
            }
            surroundings.borrow_mut().check(&driver);
        }
    };
    let result = drive(&driver, pin!(services.run(until_stopped)));
    driver.borrow_mut().stop(STORAGE_FLUSH);
    log::info!("pcsd stopped");
    result
}

/// Where records are kept, as configured.
fn storage_options(main: &Main) -> Options {
    let spool = Some(main.spool.as_str()).filter(|path| !path.is_empty());
    Options {
        spool: spool.map(PathBuf::from),
        run_dir: main.run_dir.as_str().into(),
        limits: storage_limits(main),
        spool_bytes: u64::from(main.spool_mb) << 20,
    }
}

fn storage_limits(main: &Main) -> Limits {
    let age_s = u32::from(main.keep_days) * 24 * 3600;
    let bytes = |mb: u32| u64::from(mb) << 20;
    Limits { owner_bytes: bytes(main.quota_mb), owner_records: u32::MAX, total_bytes: bytes(main.spool_mb), age_s }
}

/// The server, in the one place it has, with keys of its own: one of this start, and one of all its starts.
fn seeded_server(state: &StateDirectory) -> io::Result<&'static mut Server> {
    static SERVER: ConstStaticCell<Server> = ConstStaticCell::new(Server::new());
    let mut seed = Seed { key: [0; 16], lasting: [0; 16], boot: boot_id() };
    getrandom::fill(&mut seed.key).map_err(|error| io::Error::other(format!("no random numbers: {error}")))?;
    seed.lasting.copy_from_slice(&state.secret()?[..16]);
    let server = SERVER.take();
    server.seed(clock::now(), &seed);
    Ok(server)
}

/// A server that starts with a fault in its configuration would surprise its family later: it does not start.
fn read_at_start(path: &Path, model: &mut Model) -> io::Result<()> {
    let mut print = |fault: core::fmt::Arguments<'_>| {
        let _ = writeln!(io::stderr(), "{}: {fault}", path.display());
    };
    settings::read(path, model, &mut print)
        .map_err(|refusal| io::Error::other(format!("{}: {refusal}", path.display())))
}

/// Gives the driver our key, made now if this is the first start. A home whose configuration asks for TLS does not start
/// without.
fn secure_at_start(model: &Model, driver: &mut Driver) -> io::Result<()> {
    match Endpoint::configured(model) {
        Ok(Some(endpoint)) => driver.secure(endpoint),
        Ok(None) => {}
        Err(fault) if asks_for_tls(model) => return Err(io::Error::other(format!("no TLS: {fault}"))),
        Err(fault) => log::warn!("no TLS: {fault}"),
    }
    Ok(())
}

fn asks_for_tls(model: &Model) -> bool {
    !model.main.cert.is_empty()
        || model.main.listen.iter().any(|listen| listen.transport == Transport::Tls)
        || model.peers.iter().any(|peer| peer.transport == Transport::Tls)
}

/// Takes over a changed configuration, if it has no fault; whether it has none.
fn reload(path: &Path, model: &mut Model, driver: &RefCell<Driver>) -> bool {
    let before = lasting_paths(&model.main);
    match settings::read(path, model, &mut |fault| log::error!("{}: {fault}", path.display())) {
        Ok(()) => {
            syslog::configure(settings::filter(model.main.log_level), model.main.syslog);
            if lasting_paths(&model.main) != before {
                log::warn!("the control socket and the directories stay where they are until the next start");
                // The key is in one of them.
                model.main.state.clone_from(&before.0[1]);
            }
            // A certificate may have been renewed. Connections that are up go on with what they began with.
            match Endpoint::configured(model) {
                Ok(Some(endpoint)) => driver.borrow_mut().secure(endpoint),
                Ok(None) => {}
                Err(fault) => log::error!("TLS goes on with the key and certificate it had: {fault}"),
            }
            driver.borrow_mut().turn(Input::Configuration(model));
            if let Some(records) = driver.borrow_mut().records() {
                records.set_limits(storage_limits(&model.main));
            }
            log::info!("configuration read again");
            true
        }
        Err(refusal) => {
            // What the next reload compares with.
            [model.main.socket, model.main.state, model.main.run_dir] = before.0;
            model.main.spool = before.1;
            log::error!("{}: {refusal}: the running configuration is kept", path.display());
            false
        }
    }
}

/// Where things are that don't move while the server runs.
fn lasting_paths(main: &Main) -> ([SocketPath; 3], config::model::Path) {
    ([main.socket.clone(), main.state.clone(), main.run_dir.clone()], main.spool.clone())
}

/// What is around the server and changes by itself.
#[derive(Default)]
struct Surroundings {
    addresses: Addresses,
    nameservers: Nameservers,
    resolv_file: PathBuf,
    wall_clock: WallClockWatch,
}

impl Surroundings {
    /// Tells the core what has changed.
    fn check(&mut self, driver: &RefCell<Driver>) {
        if let Some(wall) = self.wall_clock.check(clock::now(), clock::wall_clock()) {
            driver.borrow_mut().turn(Input::WallClock(wall));
        }
        match self.nameservers.check(&self.resolv_file) {
            Ok(Some(servers)) => driver.borrow_mut().turn(Input::Nameservers(servers)),
            Ok(None) => {}
            Err(error) => log::warn!("{}: {error}", self.resolv_file.display()),
        }
        match self.addresses.check() {
            Ok(Some(addresses)) => driver.borrow_mut().turn(Input::Addresses(addresses)),
            Ok(None) => {}
            Err(error) => log::warn!("the machine's addresses are unknown: {error}"),
        }
    }
}

/// `pcsd check`: prints every fault, or that there is none. Whether there is none.
///
/// # Errors
/// When the answer can't be written.
pub fn check(path: &Path, out: &mut impl Write) -> io::Result<bool> {
    let mut result = Ok(());
    let mut print = |fault: core::fmt::Arguments<'_>| {
        if result.is_ok() {
            result = writeln!(out, "{}: {fault}", path.display());
        }
    };
    let refusal = settings::read(path, settings::model(), &mut print).err();
    result?;
    match refusal {
        None => writeln!(out, "{}: ok", path.display())?,
        Some(Refusal::Faulty(_)) => {}
        Some(ref refusal) => writeln!(out, "{}: {refusal}", path.display())?,
    }
    Ok(refusal.is_none())
}

/// `pcsd pin`: prints the pin of our key; makes the key if there is none.
///
/// # Errors
/// When the configuration has a fault, or there is no key.
pub fn pin(path: &Path, out: &mut impl Write) -> io::Result<()> {
    let model = settings::model();
    read_at_start(path, model)?;
    tls::print_pin(&model.main, out)
}

/// `pcsd footprint`: every table's capacity and bytes, and bytes for each of what it holds; then what an account on another
/// network takes, and a contact on its list.
///
/// # Errors
/// When it can't be written.
pub fn footprint(out: &mut impl Write) -> io::Result<()> {
    let rows = || {
        let edge = [
            ("configuration as read", 1, size_of::<Model>()),
            ("runtime: sockets and buffer", 1, Driver::bytes()),
            ("spool: index and segments, on the disk", SPOOL_RECORDS, size_of::<Memory>()),
            ("spool: the same in memory", SPOOL_RECORDS, size_of::<Memory>()),
        ];
        Server::footprint().chain(edge)
    };
    let name_width = rows().map(|(name, ..)| name.len()).max().unwrap_or(0);
    writeln!(out, "{:<name_width$} {:>9} {:>9} {:>9}", "table", "capacity", "bytes", "each")?;
    let mut total = 0;
    for (name, capacity, bytes) in rows() {
        let each = bytes.div_ceil(capacity.max(1));
        writeln!(out, "{name:<name_width$} {capacity:>9} {bytes:>9} {each:>9}")?;
        total += bytes;
    }
    writeln!(out, "{:<name_width$} {:>9} {total:>9}", "total", "")?;
    for (name, tables) in SUMS {
        let each =
            rows().filter(|(table, ..)| tables.contains(table)).map(|(_, capacity, bytes)| bytes.div_ceil(capacity));
        writeln!(out, "{name:<name_width$} {:>9} {:>9} {:>9}", "", "", each.sum::<usize>())?;
    }
    Ok(())
}

/// What takes a place in more than one table: of a contact there is one place where he is logged in.
const SUMS: [(&str, &[&str]); 2] =
    [("an account", &["connectors", "accounts as known"]), ("a contact", &["contacts", "sightings"])];

/// For so long nothing is read at the start, so that what was kept is known first.
const STORAGE_PATIENCE: Duration = Duration::from_secs(3);
/// For so long the end is put off, so that what was handed over is kept.
const STORAGE_FLUSH: Duration = Duration::from_secs(5);
const CHECK_INTERVAL: Duration = Duration::from_secs(5);
