//! Floor 3: the services of the home.

pub mod binding;
pub mod commands;
pub mod identity;
pub mod people;
pub mod policy;
pub mod proxy;
pub mod registrar;
pub mod reluctant;
