//! Floor 1: bytes to values and back, no state.

pub mod cpim;
pub mod deflate;
pub mod dns;
pub mod html;
pub mod http;
pub mod irc;
pub mod json;
pub mod multipart;
pub mod pidf;
pub mod resource_lists;
pub mod rlmi;
pub mod rtp;
pub mod sdp;
pub mod sign;
pub mod sip;
pub mod summary;
pub mod winfo;
pub mod xml;
