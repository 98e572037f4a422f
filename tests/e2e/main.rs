//! Real programs against the real server: baresip, SIPp, Linphone, kamailio, prosody, ngircd, bitlbee, Chromium, curl, dnsmasq
//! and openssl, on loopback and in namespaces.
//!
//! - [`registration`]: baresip and SIPp register with digest over UDP and TCP and sign off; a wrong password and an
//!   unknown name; a new person after SIGHUP; the end on SIGTERM in the middle of a call.
//! - [`calls`]: two phones hear each other's tone while malformed messages are thrown at the server ([`noise`]); the first
//!   answer cancels the other device, which is told why; the caller gives up; busy; nobody there; an answer that lost
//!   its way; between IPv6 and IPv4, ended from either side.
//! - [`streams`]: calls between TCP and UDP; a phone's connection ends, and its binding with it; it comes back.
//! - [`messages`]: a text reaches two devices; Linphone takes SHA-256, which is offered first, is written to, writes, and
//!   calls with sound both ways.
//! - [`nat`]: a phone behind a symmetric NAT is rung after its mapping would have died without the server's keep-alives.
//! - [`outside`]: another domain has a kamailio, found through a dnsmasq or by the configuration, over UDP and TCP: calls
//!   and messages both ways; servers that are dead, silent or busy; domains that are not there; no name server.
//! - [`tls`]: that domain proves itself by pin and by authority, or not; phones over TLS; strangers at the port.
//! - [`presence`]: phones and Linphone watch and are watched, in calls and without; words to the home; a watcher in another
//!   domain waits, is let in and shut out, and sees no device's address; watches, answers and words outlive a kill.
//! - [`lists`]: Linphone's friends in one subscription, with the list in its deflated request; the list that has a name.
//! - [`rtc`]: a client of Microsoft's RTC library, played: asked for its presence, in XPIDF; what it sends straight to a
//!   watcher is caught; it watches; its message session.
//! - [`inbox`]: texts to who is away are kept, answered for her once, and told or delivered on her return; the server is
//!   killed under a load of texts, and none that was acknowledged is lost or there twice.
//! - [`machine`]: baresip, Linphone and SIPp call the answering machine: its greeting and what is said to it are found by
//!   correlation; keys, hold, a kill in the middle, callers without a codec or a sound, more callers than it has room for.
//! - [`page`]: headless Chromium ([`chromium`]) opens the link of a summary, plays, deletes, answers and sets; pictures of
//!   all pages are left in the target directory, `tmp/screenshots`; HTTPS by curl, and clients with bad manners.
//! - [`speech`]: sentences spoken by espeak-ng, and found again in recordings.
//! - [`bridges`]: accounts on [`prosody`] and [`irc`]: logged in, refused and stopped; bitlbee sees a person come, change, type,
//!   speak and go; a conversation follows a buddy from Jabber to IRC and back; the absent; a [`cable`] that is pulled;
//!   restarts of either end, with every text there once.
//! - [`lines`]: the examples of the README: a doorbell, signal-cli (played by the test), a lamp that is a buddy.
//! - [`restart`]: the server is killed in calls and at any moment under registrations, with and without a disk; a disk
//!   that fills up; a spool checked, backed up and restored.
//!
//! Each test has a server, a directory and ports of its own, so they run side by side. Programs come from the Debian
//! packages in the file `packages`; a missing one fails its tests by name. `E2E_SKIP=test,test` or `all` leaves tests
//! out. Tests in namespaces need root. Where a machine allows no port 53 or no mount namespaces, what needs them is
//! skipped with a line, or fails if `E2E_STRICT` is set. Left out: IPv6 between domains; disks that are unplugged.

mod baresip;
mod bridges;
mod browser;
mod cable;
mod calls;
mod certificates;
mod chromium;
mod client;
mod daemon;
mod dns;
mod harness;
mod inbox;
mod irc;
mod kamailio;
mod lines;
mod linphone;
mod lists;
mod machine;
mod messages;
mod nat;
mod network;
mod noise;
mod outside;
mod page;
mod presence;
mod prosody;
mod registration;
mod restart;
mod rtc;
mod sipp;
mod speech;
mod streams;
mod tls;
mod tone;
