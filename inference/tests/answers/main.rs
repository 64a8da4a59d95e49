//! Who answers what, by which protocol, and what is made of the answers: one program, so that it is linked once.
#![allow(clippy::unwrap_used)]

mod candidates;
mod drift;
mod open_inference;
mod rest;
mod streams;
#[path = "../support/mod.rs"]
mod support;
