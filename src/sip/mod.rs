//! Floor 2: SIP's protocol machines. Transport, transactions, digest, and what ties them to one schedule and one store.

pub mod branch;
pub mod call;
pub mod dialog;
pub mod digest;
pub mod limiter;
pub mod mask;
pub mod own;
pub mod resolver;
pub mod route;
pub mod stack;
pub mod token;
pub mod transaction;
pub mod transport;
