//! What a client asks a sweep for.

use crate::wire::SpecMessage;

/// A sweep spec. Fields are named and documented as those of `digits.v1.SweepSpec`.
#[derive(Clone, Debug, PartialEq)]
pub struct SweepRequest {
    pub job: SpecMessage,
    pub parameters: Vec<Parameter>,
    /// At least 1.
    pub seeds: u32,
    pub random: Option<RandomSearch>,
    pub halving: Option<Halving>,
}

/// A field that trials differ in.
#[derive(Clone, Debug, PartialEq)]
pub struct Parameter {
    pub field: String,
    pub values: Vec<String>,
    pub range: Option<NumberRange>,
}

/// A range of numbers to draw from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NumberRange {
    pub low: f64,
    pub high: f64,
    /// Whether the logarithm is uniform.
    pub log: bool,
}

/// Random search.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RandomSearch {
    pub configurations: u32,
    pub seed: u64,
}

/// Successive halving.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Halving {
    pub factor: u32,
    /// At least 1.
    pub min_epochs: u32,
}
