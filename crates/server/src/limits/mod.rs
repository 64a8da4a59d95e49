//! What the clients of a port share: places for requests in flight, and memory for their bytes. No
//! client can take all of it.

mod account;
mod client;
mod pool;
mod shared;

pub(crate) use account::Account;
pub(crate) use client::Client;
pub(crate) use pool::{Pool, Share};
pub(crate) use shared::SharedLimits;
