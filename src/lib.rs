//! pcsd: a personal communication server for the home router.
#![no_std]

#[cfg(any(test, feature = "runtime"))]
extern crate std;

pub mod base;
pub mod wire;
