//! Tests of the storage protocol through the public interface, in one binary, so that it is linked
//! once.

#![allow(clippy::unwrap_used)]

mod attempts;
mod checker;
mod crash;
mod follow;
mod golden;
mod interleaving;
mod journal;
mod kill;
mod log;
mod log_faults;
mod manifest_bits;
mod policy;
mod promotion;
mod publishing;
mod refusals;
mod retention;
mod signing;
mod storage;
mod support;
