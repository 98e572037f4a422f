//! The simulated world: servers, phones and the network between them in virtual time (`world.rs`).
//!
//! Every scenario ends with [`world::World::finish`], which judges what must hold in all of them (`ledger.rs`, and
//! `Phone::check`) and that nothing is left. A failing run prints its seed: `SIM_SEED=N` runs that one again exactly,
//! `SIM_RUNS=N` tries seeds 1 to N.

mod browser;
mod calls;
mod conns;
mod delegation;
mod dialogs;
mod digest;
#[path = "../spool/disk.rs"]
#[allow(dead_code, reason = "the spool's own tests use the rest")]
mod disk;
mod full;
mod hiding;
mod host;
mod kept;
mod ledger;
mod lists;
mod load;
mod machine;
mod message;
mod messages;
mod moving;
mod names;
#[cfg(all(feature = "xmpp", feature = "irc"))]
mod networks;
mod outside;
mod pace;
mod phone;
mod presence;
mod presence_load;
mod presence_restart;
mod presence_rules;
mod random;
mod recordings;
mod registration;
mod restart;
mod returning;
mod routing;
mod rtc;
mod script;
#[allow(dead_code, reason = "without connectors nobody plays these")]
mod services;
mod stick;
mod storage;
mod streams;
mod tls;
mod trust;
mod watching;
mod world;

#[cfg(all(feature = "xmpp", feature = "irc"))]
#[path = "../support/irc_server.rs"]
mod irc_server;
#[cfg(all(feature = "xmpp", feature = "irc"))]
#[path = "../support/xmpp_server.rs"]
mod xmpp_server;
