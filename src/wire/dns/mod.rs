//! DNS messages (RFC 1035 §4): a query is written, a response is read.
//!
//! Record types: A, AAAA (RFC 3596), CNAME, SRV (RFC 2782), NAPTR (RFC 3403), and of SOA what RFC 2308 needs. A query has
//! recursion desired and an OPT record (RFC 6891) that says how large a datagram may come back. Left out: zone
//! transfers, updates, DNSSEC, internationalized names (they have to come in their ASCII form), and writing responses.
//!
//! Whatever the bytes are, reading is bounded: a name costs at most 255 bytes and [`POINTERS_PER_NAME`] jumps, each
//! backwards, and a message is walked in time linear in its length.

mod fuzz;
mod message;
mod name;

pub use fuzz::fuzz;
pub use message::{Data, Kind, Malformed, Message, Naptr, QUERY_BYTES, Rcode, Record, Records, Srv, write_query};
pub use name::{BadName, Name, POINTERS_PER_NAME};
