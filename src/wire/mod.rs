//! Floor 1: bytes to values and back, no state.
pub mod sip;
