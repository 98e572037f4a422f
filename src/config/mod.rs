//! Floor 2: the configuration. [`uci`] reads the syntax, [`model::Model::read`] the meaning, and every fault is reported
//! with its line, section and option. The file is `/etc/config/pcsd`; its names are an interface and stay as they are.
//!
//! Section `pcsd 'main'`, exactly one:
//!
//! | option | meaning | default |
//! |---|---|---|
//! | `domain` | domain of all addresses, realm of all passwords: a host name or an IP address | required |
//! | list `listen` | `udp:ADDRESS:PORT` or `tcp:ADDRESS:PORT`, IPv6 in brackets; `tls:` is not in this version | both on `0.0.0.0:5060` and `[::]:5060` |
//! | list `external` | host name or IP address the world knows the home by, without a port | none |
//! | `socket` | path of the control socket | `/var/run/pcsd.sock` |
//! | list `unlimited` | IP address of a source without rate limits | none |
//! | `log_level` | `error`, `warn`, `info` or `debug` | `info` |
//! | `syslog` | `1`: log to syslog, `0`: to standard error | `0` |
//! | `bindings_per_person` | how many devices of one person may be registered at once; only to lower the limit built in | the limit built in |
//! | `spool`, `web`, `url`, `rtp_ports` | not in this version: refused | |
//!
//! Section `person 'NAME'`: NAME is the user part of her address and her username. Letters, digits, `-`, `_` and `.`;
//! case does not matter, lower case is what counts. `pcs` and `main` are taken. (OpenWrt's own `uci` tool knows only
//! letters, digits and `_` in names.)
//!
//! | option | meaning | default |
//! |---|---|---|
//! | `name` | the name to show | NAME |
//! | `password` | her password | this or `ha1` is required |
//! | `ha1` | hexadecimal hash of `NAME:DOMAIN:password`, NAME and DOMAIN in lower case: MD5 (32 digits), SHA-256 (64), or both with a space between | |
//! | `language` | not in this version: refused | |
//!
//! Section `device 'NAME'`, names as above:
//!
//! | option | meaning | default |
//! |---|---|---|
//! | `person` | whose device it is | required |
//! | list `takes` | `audio`, `video`, `text`: what is sent to it where there is a choice | all three |
//! | `password`, `ha1` | its own secret: a device logs in with NAME as username, for the address of its person | its person's `password` |
//!
//! Sections `buddy`, `account`, `rule`, `place`, `peer` and `station` are not in this version: refused.

mod check;
pub mod fault;
pub mod model;
pub mod uci;
mod value;

pub use fault::{Fault, Problem};
pub use model::Model;
