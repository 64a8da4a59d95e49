//! A trial before it is stored, and its result.

use crate::wire::SpecMessage;
use digits_checkpoint::{id::CheckpointId, manifest::Evaluation};

/// A trial to store. Its job's spec is final: whenever it is submitted, it is the same.
#[derive(Clone, Debug)]
pub struct NewTrial {
    /// Number in its sweep, from 1.
    pub number: u32,
    /// Number of its configuration, from 1.
    pub configuration: u32,
    /// A value for each parameter.
    pub values: Vec<String>,
    /// Seed of the training.
    pub seed: u64,
    /// Epochs to train.
    pub epochs: u32,
    /// Spec of its job.
    pub spec: SpecMessage,
}

/// How a trial ended.
#[derive(Clone, Debug, PartialEq)]
pub enum TrialResult {
    /// Its checkpoint, with its validation result.
    Measured(CheckpointId, Evaluation),
    /// Its job has failed or was cancelled, which the job shows.
    WithJob,
    /// Why its job was not accepted, or has no result; for the client.
    Without(String),
}
