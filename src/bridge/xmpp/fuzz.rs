//! Entry for fuzzing.

/// Nothing yet.
pub fn fuzz(_bytes: &[u8]) {}
