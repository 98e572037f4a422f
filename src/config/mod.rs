//! Floor 2: the configuration. [`uci`] reads the syntax, [`model::Model::read`] the meaning, and every fault is reported
//! with its line, section and option. The file is `/etc/config/pcsd`; its names are an interface and stay as they are.
//!
//! Section `pcsd 'main'`, exactly one:
//!
//! | option | meaning | default |
//! |---|---|---|
//! | `domain` | domain of all addresses, realm of all passwords: a host name or an IP address | required |
//! | list `listen` | `udp:ADDRESS:PORT`, `tcp:ADDRESS:PORT` or `tls:ADDRESS:PORT` (whose port is 5061 by custom), IPv6 in brackets; the port has to be written | UDP and TCP on `0.0.0.0:5060` and `[::]:5060` |
//! | list `external` | host name or IP address the world knows the home by, without a port | none |
//! | `socket` | path of the control socket | `/var/run/pcsd.sock` |
//! | list `unlimited` | IP address of a source without rate limits | none |
//! | `log_level` | `error`, `warn`, `info` or `debug` | `info` |
//! | `syslog` | `1`: log to syslog, `0`: to standard error | `0` |
//! | `bindings_per_person` | how many devices of one person may be registered at once; only to lower the limit built in | the limit built in |
//! | `spool` | directory of the spool, on a disk that may be unplugged | none: nothing is kept |
//! | `spool_mb` | megabytes (of 2^20 bytes) a new spool may take, 4 to 65536; rounded down to a power of two, at least 16 and at most 1024 with 64 segments. One that exists stays as it was made | 64 |
//! | `quota_mb` | megabytes of them one person may take, 1 to 65536 | 16 |
//! | `keep_days` | days a message is kept, up to 36500; `0`: for ever | 90 |
//! | `state` | directory in flash, written rarely: what has to outlive a reboot where there is no spool, and the server's key | `/etc/pcsd` |
//! | `run_dir` | directory in memory: what has to outlive a restart of the daemon | `/var/run/pcsd` |
//! | `cert`, `key` | the server's certificate and its private key, PEM files; both or none | made at the first start |
//! | `ca` | PEM file with the CAs that others' certificates are checked against | the system's |
//! | `resolv_file` | file with the name servers, as in resolv.conf(5); OpenWrt has `/tmp/resolv.conf`, too | `/etc/resolv.conf` |
//! | list `web` | where the web page is served: `ADDRESS:PORT` or `http:ADDRESS:PORT`, over TLS `https:ADDRESS:PORT`; up to 4, IPv6 in brackets, and no socket that `listen` asks for. One may be written as an option | none: no page |
//! | `url` | what links to the page begin with: `http://HOST` or `http://HOST:PORT`, `https` likewise, without a path | follows from the first `web` |
//! | `rtp_ports` | `FIRST-LAST`: UDP ports for voice, 16 or more from 1024 on, the first even | `16384-16483` |
//! | `timezone` | what clocks show, as a rule of POSIX: `CET-1CEST,M3.5.0,M10.5.0/3` | the machine's: `TZ` or `/etc/TZ`, else UTC |
//!
//! Every path begins at the root. `spool`, `cert`, `key`, `ca` and `resolv_file` have at most 200 bytes, `socket`, `state`
//! and `run_dir` 104.
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
//! | `language` | `en`, `sv` or `zh`: what the server speaks to her | `en` |
//! | `busy` | what who writes to her while she is away is told, up to 200 bytes | a phrase in her language |
//! | `answer_after` | seconds her devices ring before the answering machine takes a call, 5 to 120 | 20 |
//! | `answering` | `1`: the answering machine takes her calls, `0`: those that she misses are only listed | `1` |
//! | `record_seconds` | seconds one recording may last, 10 to 600 | 120 |
//! | `missed` | what becomes of the texts that were kept when she is back: `keep` (they wait on the page) or `deliver` (they are sent to her devices) | `keep` |
//!
//! Section `device 'NAME'`, names as above:
//!
//! | option | meaning | default |
//! |---|---|---|
//! | `person` | whose device it is | required |
//! | list `takes` | `audio`, `video`, `text`: what is sent to it where there is a choice | all three |
//! | `password`, `ha1` | its own secret: a device logs in with NAME as username, for the address of its person | its person's `password` |
//!
//! Section `peer 'NAME'`, names as above: another home. Domains without such a section are looked up by DNS alone.
//!
//! | option | meaning | default |
//! |---|---|---|
//! | `domain` | domain of its addresses, as in `main`; no name of this home, and no other peer's | required |
//! | `address` | where it is: `HOST` or `HOST:PORT`, IPv6 in brackets | what DNS says of `domain` |
//! | `transport` | `udp`, `tcp` or `tls` | `udp` when there is an `address` and neither `pin` nor `ca`, else `tls` |
//! | list `pin` | what its key is known by: `sha256/` and the base64 of the SHA-256 of its public key (SubjectPublicKeyInfo); two while it changes its key. One may be written as an option | its certificate is checked |
//! | `ca` | PEM file with the CAs its certificate is checked against | as in `main` |
//!
//! `pin` and `ca` go with the transport `tls` only. With a `pin` nothing else counts, neither names nor dates nor a `ca`.
//!
//! A program built without the feature `tls` refuses `tls:` and `https:` listeners, `cert`, `key`, `ca`, `pin`, the
//! transport `tls`, and a peer that would get it by default.
//!
//! Section `account 'NAME'`, names as above: what a person has on another network. NAME is what it is called in commands
//! and in the log.
//!
//! | option | meaning | default |
//! |---|---|---|
//! | `person` | whose account it is | required |
//! | `network` | `xmpp`, `irc` or `line`. `msnp`, `ymsg`, `oscar`, `skype` and `matrix` are not in this version: refused | required |
//! | `address` | her address there, up to 80 bytes. `xmpp`: `USER@DOMAIN`, which no other account has; `irc`: her nick; `line`: a text of your own | required but for `line` |
//! | `login` | the name to log in with, without blanks, up to 64 bytes | the user in the address, or the nick |
//! | `password` | up to 128 bytes | required for `xmpp`, else none |
//! | `server` | `xmpp` and `irc`: `HOST` or `HOST:PORT`, IPv6 in brackets. `line`: `tcp:HOST:PORT`, `unix:PATH` of up to 104 bytes, `http://HOST:PORT/PATH`, or `https` likewise | `xmpp`: what DNS says of the domain; else required |
//! | `tls` | `direct`: TLS from the first byte; `off`: none, for a network of one's own; `xmpp` has `starttls`, too. Of a `line` over `tcp:` only, as other ways say it themselves | `xmpp`: TLS, as DNS says; `irc`: `direct`, but `off` at port 6667; `line`: `off` |
//! | list `pin` | what the server's key is known by, as of a `peer`; up to 2. One may be written as an option | its certificate is checked |
//! | `ca` | PEM file with the CAs its certificate is checked against | as in `main` |
//!
//! `pin` and `ca` go with TLS only. With a `pin` nothing else counts.
//!
//! A program built without the feature `xmpp`, `irc` or `line` refuses what names the network; without `tls` also an
//! account that would have TLS.
//!
//! Section `buddy`: somebody on a list. It needs no name, and one that it has means nothing.
//!
//! | option | meaning | default |
//! |---|---|---|
//! | `person` | whose list the buddy is on | the whole family's |
//! | `alias` | what the buddy is called: `sip:ALIAS@DOMAIN` for the devices of whose list it is. Characters as in the name of a person; no person, no `pcs`, no `PERSON-buddies`, and no other buddy's on the same list or the family's. It may be the login of a device, which is no address | required |
//! | `name` | the name to show | the alias |
//! | list `address` | `sip:USER@HOST` or `sip:USER@HOST:PORT`, IPv6 in brackets; `xmpp:USER@DOMAIN`; `irc:NICK`; `line:NAME`. The preferred one first, up to 4. One of another network than SIP is on no other buddy of the same list or the family's. `msn`, `msnp`, `ymsg`, `oscar`, `skype` and `matrix` are not in this version: refused | none |
//! | `group` | the group the buddy is in, up to 64 bytes; its case matters | none |
//! | `password` | not in this version: refused | |
//!
//! Section `rule`: for whom, when, and what becomes of it; which rule wins is written in
//! [`home::policy::rules`](crate::home::policy::rules). It needs no name, either.
//!
//! | option | meaning | default |
//! |---|---|---|
//! | `person` | whose rule it is | the whole family's; at equal rank each person's own come first |
//! | list `who` | whom it is about, up to 8: `person:ID` of the home; `buddy:ALIAS` on her list or the family's (a rule of the family's: on the family's); `group:NAME` of those buddies (a rule of the family's: each person's own); `domain:NAME`, of an address on SIP or XMPP; `network:NETWORK`: `sip`, `xmpp`, `irc` or `line`; `anyone` | required |
//! | `when` | `available`, `away`, `busy` or `offline`: her state. `costly` and `place:NAME` are not in this version: refused | always |
//! | `presence` | `show`, `hide`, `busy`, or a text of up to 64 bytes to show instead | says nothing |
//! | `location` | `none`, `place` or `coordinates` | says nothing |
//! | `messages` | `deliver`, `store` (kept for her, devices are not disturbed) or `block` | says nothing |
//! | `calls` | `ring`, `answer` (by the answering machine, devices do not ring) or `block` | says nothing |
//!
//! A rule has one of the last four at least.
//!
//! Sections `place` and `station` are not in this version: refused.

pub mod address;
mod check;
pub mod fault;
pub mod model;
pub mod uci;
mod value;

pub use fault::{Fault, Problem};
pub use model::Model;

use crate::base::text::Name;

/// Reads the address of a buddy as the file has it: `xmpp:bob@jabber.example`.
///
/// # Errors
/// When it is none, or its network is not in this program.
pub fn buddy_address(text: &str) -> Result<model::BuddyAddress, Problem<'_>> {
    check::buddy_address(text)
}

/// What may be the alias of a buddy, in lower case; `None` when it has other characters than the file allows, or too many.
pub fn alias(text: &str) -> Option<Name> {
    value::id(text)
}
