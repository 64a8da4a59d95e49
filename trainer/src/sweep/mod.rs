//! Sweeps: groups of jobs that train one spec with many values of its fields, and are compared.
//!
//! `request` has what a client asks for; `configurations` and `rungs` make trials of it, which
//! [`Sweeper`] checks and stores; `ranking` compares results. The task of `controller` submits the
//! trials as jobs and follows their ends. All state is in the job database: the task can end at any
//! point, and the next one goes on.

mod accept;
mod configurations;
mod controller;
mod id;
mod next_rung;
mod outcome;
mod ranking;
mod request;
mod rungs;
mod state;
mod trial;

pub use accept::Sweeper;
pub(crate) use controller::Controller;
pub use id::{InvalidSweepId, SweepId};
pub use ranking::{best_configurations, better};
pub use request::{Halving, NumberRange, Parameter, RandomSearch, SweepRequest};
pub use rungs::Rung;
pub use state::{SweepState, TrialState};
pub use trial::{NewTrial, TrialResult};
