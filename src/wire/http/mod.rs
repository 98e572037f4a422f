//! HTTP/1.1 for a server (RFC 9110, RFC 9112): heads of requests read, heads of responses written; forms, uploads, ranges
//! and cookies.
//!
//! The grammar of a head is read by the crate `httparse`; what a field says is read here. Left out: chunked bodies of
//! requests (their head is a 411), trailers, upgrades, several ranges in one request, and content coding.

mod fields;
mod form;
mod fuzz;
mod head;
mod multipart;
mod range;
mod write;

pub use fields::{cookie, decode, encode, etag_matches, prefers, query_field};
pub use form::{Form, FormReader, Names, TooLarge};
pub use fuzz::fuzz;
pub use head::{Head, Method, Refused, end_of_head};
pub use multipart::{Event, Malformed, Upload};
pub use range::{Range, Ranged};
pub use write::{Framing, reason, write_status};

/// Bytes of a request's head. Longer: 431.
pub const HEAD_BYTES: usize = 8 * 1024;
/// Header field lines of a request. More: 431.
pub const HEADER_LINES: usize = 32;
