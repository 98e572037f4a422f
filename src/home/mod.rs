//! Floor 3: the services of the home.

pub mod absence;
pub mod binding;
pub mod calls;
pub mod commands;
pub mod identity;
pub mod inbox;
pub mod machine;
pub mod outbox;
pub mod outside;
pub mod people;
pub mod phrases;
pub mod policy;
pub mod presence;
pub mod probe;
pub mod proxy;
pub mod registrar;
pub mod reluctant;
pub mod settings;
pub mod word;
