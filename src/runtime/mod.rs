//! Floor 5: the world around the core. The only place with sockets, files, signals, clocks and threads.
//!
//! Two threads run, and a third where a disk is configured ([`storage`]), which may stall for seconds and holds nobody up. The *loop thread* ([`driver`]) waits for readiness of the server's own sockets and makes turns. The
//! services beside it (signals, the control socket, the watch over addresses and clock) are smol tasks on that same
//! thread, polled between turns; what *they* wait for is watched by smol's own reactor thread, which rings a bell when
//! one of them can go on. So a SIP message costs exactly the system calls that move it, and the services cost nothing
//! until somebody asks for them.

pub mod addresses;
pub mod cli;
pub mod clock;
pub mod control;
pub mod daemon;
pub mod disk;
pub mod driver;
mod hush;
pub mod letters;
pub mod maintenance;
mod nameservers;
mod poller;
pub mod selftest;
pub mod settings;
mod signal;
pub mod state;
pub mod storage;
mod stream;
pub mod syslog;
#[cfg(feature = "tls")]
pub mod tls;
#[cfg(not(feature = "tls"))]
#[path = "no_tls.rs"]
mod tls;
mod turnstile;
mod udp;
pub mod zone;
