//! WAV.
