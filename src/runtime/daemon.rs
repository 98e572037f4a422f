//! `pcsd run`: puts server, driver and services together, and takes them apart again.

use super::addresses::Addresses;
use super::clock::{self, WallClockWatch};
use super::control::{CLIENTS, ControlSocket};
use super::driver::{Driver, drive};
use super::nameservers::Nameservers;
use super::settings::{self, Refusal};
use super::signal::{Wish, Wishes};
use super::syslog;
use super::tls::Endpoint;
use crate::base::net::Transport;
use crate::config::model::Model;
use crate::server::Server;
use crate::server::contract::{Input, Seed};
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
    let driver = RefCell::new(Driver::new(seeded_server()?)?);
    let surroundings = RefCell::new(Surroundings::default());
    surroundings.borrow_mut().resolv_file = model.main.resolv_file.as_str().into();
    secure_at_start(model, &mut driver.borrow_mut())?;
    driver.borrow_mut().turn(Input::Configuration(model));
    surroundings.borrow_mut().check(&driver);
    log::info!("pcsd {} started with {}", env!("CARGO_PKG_VERSION"), path.display());

    let services = LocalExecutor::new();
    for _ in 0..CLIENTS {
        services.spawn(control.serve(&driver)).detach();
    }
    let watch = async {
        loop {
            Timer::after(CHECK_INTERVAL).await;
            surroundings.borrow_mut().check(&driver);
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
    driver.borrow_mut().stop();
    log::info!("pcsd stopped");
    result
}

/// The server, in the one place it has, with a key of its own.
fn seeded_server() -> io::Result<&'static mut Server> {
    static SERVER: ConstStaticCell<Server> = ConstStaticCell::new(Server::new());
    let mut seed = Seed { key: [0; 16], lasting: [0; 16], boot: 0 };
    for key in [&mut seed.key, &mut seed.lasting] {
        getrandom::fill(key).map_err(|error| io::Error::other(format!("no random numbers: {error}")))?;
    }
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
    let socket_before = model.main.socket.clone();
    match settings::read(path, model, &mut |fault| log::error!("{}: {fault}", path.display())) {
        Ok(()) => {
            syslog::configure(settings::filter(model.main.log_level), model.main.syslog);
            if model.main.socket != socket_before {
                log::warn!("the control socket stays where it is until the next start");
            }
            // A certificate may have been renewed. Connections that are up go on with what they began with.
            match Endpoint::configured(model) {
                Ok(Some(endpoint)) => driver.borrow_mut().secure(endpoint),
                Ok(None) => {}
                Err(fault) => log::error!("TLS goes on with the key and certificate it had: {fault}"),
            }
            driver.borrow_mut().turn(Input::Configuration(model));
            log::info!("configuration read again");
            true
        }
        Err(refusal) => {
            // What the next reload compares with.
            model.main.socket = socket_before;
            log::error!("{}: {refusal}: the running configuration is kept", path.display());
            false
        }
    }
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

/// `pcsd footprint`: every table's capacity and bytes.
///
/// # Errors
/// When it can't be written.
pub fn footprint(out: &mut impl Write) -> io::Result<()> {
    let rows = || {
        let edge =
            [("configuration as read", 1, size_of::<Model>()), ("runtime: sockets and buffer", 1, Driver::bytes())];
        Server::footprint().chain(edge)
    };
    let name_width = rows().map(|(name, ..)| name.len()).max().unwrap_or(0);
    writeln!(out, "{:<name_width$} {:>9} {:>9}", "table", "capacity", "bytes")?;
    let mut total = 0;
    for (name, capacity, bytes) in rows() {
        writeln!(out, "{name:<name_width$} {capacity:>9} {bytes:>9}")?;
        total += bytes;
    }
    writeln!(out, "{:<name_width$} {:>9} {total:>9}", "total", "")
}

const CHECK_INTERVAL: Duration = Duration::from_secs(5);
