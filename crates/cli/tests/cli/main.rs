//! The binary `digits` and the evaluation, against scripted services and on a storage.
//!
//! One binary for all of it, so that the support code is compiled and the crates are linked once.

mod binary;
mod card;
mod dataset;
mod evaluate;
mod no_hard_links;
mod signing;
mod storage;
mod token;
