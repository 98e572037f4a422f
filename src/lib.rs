//! pcsd: a personal communication server for the home router.
#![no_std]
#![forbid(unsafe_code)]

#[cfg(any(test, feature = "runtime"))]
extern crate std;

pub mod base;
pub mod config;
pub mod home;
#[cfg(feature = "runtime")]
pub mod runtime;
pub mod server;
pub mod sip;
pub mod wire;
