//! Sweep specs as messages: conversion to [`SweepRequest`], and their stored form.

use super::SpecMessage;
use crate::sweep::{Halving, NumberRange, Parameter, RandomSearch, SweepRequest, SweepState};
use digits_proto::v1;
use prost::{DecodeError, Message as _};

/// A sweep spec in its wire form, as sent by a client or stored in the database.
#[derive(Clone, Debug, PartialEq)]
pub struct SweepMessage(v1::SweepSpec);

impl From<v1::SweepSpec> for SweepMessage {
    fn from(message: v1::SweepSpec) -> Self {
        Self(message)
    }
}

impl From<SweepMessage> for v1::SweepSpec {
    fn from(spec: SweepMessage) -> Self {
        spec.0
    }
}

impl SweepMessage {
    /// Reads the bytes of [`Self::encode`].
    ///
    /// # Errors
    /// When they are not a sweep spec.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        v1::SweepSpec::decode(bytes).map(Self)
    }

    /// The protocol-buffer bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        self.0.encode_to_vec()
    }

    /// Bytes that are equal exactly when two specs are.
    #[must_use]
    pub fn key(&self) -> Vec<u8> {
        let mut rest = self.0.clone();
        let job = rest.job.take();
        let mut key = rest.encode_length_delimited_to_vec();
        key.extend(job.into_iter().flat_map(|job| SpecMessage::from(job).key()));
        key
    }

    /// The spec in its domain form.
    #[must_use]
    pub fn request(&self) -> SweepRequest {
        let spec = self.0.clone();
        SweepRequest {
            job: spec.job.unwrap_or_default().into(),
            parameters: spec.parameters.into_iter().map(parameter).collect(),
            seeds: spec.seeds.max(1),
            random: spec.random.map(|random| RandomSearch {
                configurations: random.configurations,
                seed: random.seed,
            }),
            halving: spec.halving.map(|halving| Halving {
                factor: if halving.factor == 0 {
                    3
                } else {
                    halving.factor
                },
                min_epochs: halving.min_epochs.max(1),
            }),
        }
    }
}

fn parameter(from: v1::SweepParameter) -> Parameter {
    Parameter {
        field: from.field,
        values: from.values,
        range: from.range.map(|range| NumberRange {
            low: range.low,
            high: range.high,
            log: range.log,
        }),
    }
}

/// The message's value of a sweep's state.
#[must_use]
pub fn sweep_state(state: SweepState) -> v1::SweepState {
    match state {
        SweepState::Running => v1::SweepState::Running,
        SweepState::Succeeded => v1::SweepState::Succeeded,
        SweepState::Failed => v1::SweepState::Failed,
        SweepState::Cancelled => v1::SweepState::Cancelled,
    }
}
