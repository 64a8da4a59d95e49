//! Responses by role and protocol, and what is derived from them.

mod candidates;
mod compression;
mod connect;
mod drift;
mod open_inference;
mod places;
mod rest;
mod streams;
mod triton;
