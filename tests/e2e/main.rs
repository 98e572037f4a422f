//! Real programs against the real server: baresip, SIPp and Linphone, on loopback and in network namespaces.
//!
//! - [`registration`]: baresip and SIPp register with digest over UDP and TCP, SHA-256 offered first; a wrong password;
//!   a new person after SIGHUP; the end on SIGTERM.
//! - [`calls`]: two phones hear each other's tone while malformed messages are thrown at the server; the first answer
//!   cancels the other device; the caller gives up; busy; nobody there; between IPv6 and IPv4; between TCP and UDP.
//! - [`streams`]: a phone's connection ends, and its binding with it; it comes back.
//! - [`messages`]: a text reaches two devices; Linphone is written to, writes, and calls.
//! - [`nat`]: a phone behind a symmetric NAT is rung after its mapping would have died without the server's keep-alives.
//!
//! Each test has a server, a directory and ports of its own, so they run side by side. Programs come from the Debian
//! packages in the file `packages`; a missing one fails its tests by name. `E2E_SKIP=test,test` or `all` leaves tests
//! out. Tests in namespaces need root. Left out: TLS, other servers as peers.

mod baresip;
mod calls;
mod daemon;
mod harness;
mod linphone;
mod messages;
mod nat;
mod network;
mod noise;
mod registration;
mod sipp;
mod streams;
mod tone;
