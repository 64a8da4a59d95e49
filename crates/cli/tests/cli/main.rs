//! The command-line client: its binary, its library, and both against a storage.
//!
//! One binary for all of it, so that the support code is compiled and the crates are linked once.

mod binary;
mod library;
mod services;
mod storage;
