//! Which checkpoint answers, over which protocol, and what is derived from the answers.

mod candidates;
mod drift;
mod open_inference;
mod rest;
mod streams;
