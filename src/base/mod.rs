//! Floor 0: limits, time, tables, timers, message store, text and random numbers. Knows no protocol.

pub mod calendar;
pub mod changed;
pub mod limits;
pub mod net;
pub mod random;
pub mod schedule;
pub mod secret;
pub mod store;
pub mod table;
pub mod text;
pub mod time;
pub mod zone;
