//! One module for each command, or for a few that belong together.

pub mod card;
pub mod catalog;
pub mod checkpoints;
pub mod dataset;
pub mod doctor;
pub mod evaluate;
pub mod export;
pub mod import;
pub mod jobs;
pub mod model;
pub mod plot;
pub mod predict;
mod promotion;
pub mod report;
pub mod reproduce;
pub mod serving;
pub mod shell;
pub mod signing;
mod spec;
mod stored;
pub mod sweep;
mod tensorboard;
pub mod token;
pub mod train;
pub mod watch;
