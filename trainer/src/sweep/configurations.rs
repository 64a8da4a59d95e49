//! The configurations of a sweep: every combination of the values, or random ones.

use super::request::{NumberRange, Parameter, RandomSearch, SweepRequest};
use crate::{
    spec::{self, Violation},
    wire::{FieldError, NumberKind, ParameterField, SpecMessage},
};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeSet;

/// Trials of a sweep, over all rungs.
pub(super) const MAX_TRIALS: usize = 500;
const MAX_PARAMETERS: usize = 32;
const MAX_VALUE_CHARS: usize = 100;
/// Draws for each configuration, after which random search has found all that are different.
const MAX_DRAWS: u64 = 20;

/// Fields of a job spec that are the same for all trials.
const SAME: [&str; 10] = [
    "preset",
    "name",
    "labels",
    "model",
    "init_from",
    "data",
    "limits",
    "publish",
    "promotion",
    "report",
];
/// Of these, what trials may differ in.
const DIFFERENT: [&str; 2] = ["data.mean", "data.std"];

/// One choice of a value for each parameter.
#[derive(Clone, Debug)]
pub(super) struct Configuration {
    /// The values, in the order of the parameters.
    pub(super) values: Vec<String>,
    /// The job spec with these values.
    pub(super) spec: SpecMessage,
}

/// The configurations of a sweep, each at most once, or everything that is wrong with its
/// parameters.
pub(super) fn configurations(request: &SweepRequest) -> Result<Vec<Configuration>, Vec<Violation>> {
    let mut found = Vec::new();
    check_parameters(request, &mut found);
    if !found.is_empty() {
        return Err(found);
    }
    let chosen = match request.random {
        None => combinations(&request.parameters)?,
        Some(random) => draws(&request.parameters, random)?,
    };
    let preset = preset(&request.job);
    let mut configurations = Vec::with_capacity(chosen.len());
    for values in chosen {
        match set_all(request, &preset, &values) {
            Ok(spec) => configurations.push(Configuration { values, spec }),
            Err(violation) if !found.contains(&violation) => found.push(violation),
            Err(_) => {}
        }
    }
    if found.is_empty() {
        Ok(configurations)
    } else {
        Err(found)
    }
}

/// Whether trials differ in their seeds, and so, unless it is set, in their split of the images.
pub(super) fn varies_seed(request: &SweepRequest) -> bool {
    request.seeds > 1 || request.parameters.iter().any(|it| it.field == "seed")
}

fn violation(field: String, message: impl Into<String>) -> Violation {
    Violation {
        field: format!("spec.{field}"),
        message: message.into(),
    }
}

fn too_many(count: impl std::fmt::Display) -> Violation {
    violation(
        "parameters".to_owned(),
        format!(
            "the sweep would have {count} trials, and may have {MAX_TRIALS}: give fewer values or seeds, or draw \
             configurations by random search"
        ),
    )
}

/// Checks that the trials are not too many.
pub(super) fn check_count(trials: usize) -> Result<(), Vec<Violation>> {
    match trials {
        0..=MAX_TRIALS => Ok(()),
        _ => Err(vec![too_many(trials)]),
    }
}

fn check_parameters(request: &SweepRequest, found: &mut Vec<Violation>) {
    let parameters = &request.parameters;
    if parameters.len() > MAX_PARAMETERS {
        let message = format!("must be at most {MAX_PARAMETERS}, not {}", parameters.len());
        return found.push(violation("parameters".to_owned(), message));
    }
    if request.random.is_some() && parameters.is_empty() {
        let message = "must have at least one field for random search";
        found.push(violation("parameters".to_owned(), message));
    }
    for (index, parameter) in parameters.iter().enumerate() {
        let mut refuse = |part: &str, message: String| {
            found.push(violation(format!("parameters[{index}].{part}"), message));
        };
        if let Some(message) = refused_field(&parameter.field, request) {
            refuse("field", message);
        }
        match &parameter.range {
            None => {
                if let Some(message) = refused_values(&parameter.values) {
                    refuse("values", message);
                }
            }
            Some(range) => {
                if let Some(message) = refused_range(range, parameter, request) {
                    refuse("range", message);
                }
            }
        }
    }
    if request.seeds > 1 && parameters.iter().any(|it| it.field == "seed") {
        let message = "must not be set if seed is among the parameters";
        found.push(violation("seeds".to_owned(), message));
    }
}

fn refused_field(field: &str, request: &SweepRequest) -> Option<String> {
    let first = field.split('.').next().unwrap_or_default();
    if SAME.contains(&first) && !DIFFERENT.contains(&field) {
        return Some(format!(
            "{field} is the same for all trials: set it in the job"
        ));
    }
    (request.halving.is_some() && field == "epochs")
        .then(|| "epochs follow from successive halving: set them in the job".to_owned())
}

fn refused_values(values: &[String]) -> Option<String> {
    if values.is_empty() {
        return Some("must have at least one value".to_owned());
    }
    if let Some(long) = values
        .iter()
        .find(|value| value.chars().count() > MAX_VALUE_CHARS)
    {
        let start: String = long.chars().take(MAX_VALUE_CHARS).collect();
        return Some(format!(
            "must have at most {MAX_VALUE_CHARS} characters each: {start}…"
        ));
    }
    let mut seen = BTreeSet::new();
    let twice = values.iter().find(|value| !seen.insert(value.as_str()))?;
    Some(format!("must all be different: {twice:?} is given twice"))
}

fn refused_range(
    range: &NumberRange,
    parameter: &Parameter,
    request: &SweepRequest,
) -> Option<String> {
    let NumberRange { low, high, log } = *range;
    let message = if request.random.is_none() {
        "is drawn from by random search: set random, or give values".to_owned()
    } else if !parameter.values.is_empty() {
        "excludes values: give one of them".to_owned()
    } else if !(low.is_finite() && high.is_finite() && low < high) {
        format!("must be from a number to a larger one, not from {low} to {high}")
    } else if log && low <= 0.0 {
        format!("must begin above 0 for its logarithm, not at {low}")
    } else if ParameterField::numbers(&parameter.field).is_none() {
        format!("{} takes no numbers: give values", parameter.field)
    } else {
        return None;
    };
    Some(message)
}

/// Every combination; the last parameter varies fastest.
fn combinations(parameters: &[Parameter]) -> Result<Vec<Vec<String>>, Vec<Violation>> {
    let lengths = parameters.iter().map(|parameter| parameter.values.len());
    let count = lengths.fold(1_usize, usize::saturating_mul);
    check_count(count)?;
    let mut all = vec![Vec::new()];
    for parameter in parameters {
        let extended = all.iter().flat_map(|start| {
            let with = |value: &String| [start.as_slice(), std::slice::from_ref(value)].concat();
            parameter.values.iter().map(with)
        });
        all = extended.collect();
    }
    Ok(all)
}

/// Different configurations, drawn one after the other.
fn draws(
    parameters: &[Parameter],
    random: RandomSearch,
) -> Result<Vec<Vec<String>>, Vec<Violation>> {
    let wanted = random.configurations as usize;
    if wanted == 0 {
        let message = "must be at least 1".to_owned();
        return Err(vec![violation("random.configurations".to_owned(), message)]);
    }
    check_count(wanted)?;
    let mut drawn: Vec<Vec<String>> = Vec::new();
    for number in 0..MAX_DRAWS * wanted as u64 {
        let values = parameters
            .iter()
            .map(|parameter| draw(parameter, random.seed, number));
        let values: Vec<String> = values.collect();
        if !drawn.contains(&values) {
            drawn.push(values);
        }
        if drawn.len() == wanted {
            return Ok(drawn);
        }
    }
    let message = format!(
        "only {} different configurations were found, not {wanted}: draw fewer, or leave random search out to train \
         every combination",
        drawn.len()
    );
    Err(vec![violation("random.configurations".to_owned(), message)])
}

fn draw(parameter: &Parameter, seed: u64, number: u64) -> String {
    let share = uniform(&parameter.field, seed, number);
    let Some(range) = parameter.range else {
        let index = (share * parameter.values.len() as f64) as usize;
        return parameter.values[index.min(parameter.values.len() - 1)].clone();
    };
    let between = |low: f64, high: f64| low + share * (high - low);
    let number = match range.log {
        true => between(range.low.ln(), range.high.ln()).exp(),
        false => between(range.low, range.high),
    };
    match ParameterField::numbers(&parameter.field) {
        Some(NumberKind::Whole) => format!("{:.0}", number.round()),
        _ => {
            let rounded: f64 = format!("{number:.3e}").parse().unwrap_or(number);
            rounded.clamp(range.low, range.high).to_string()
        }
    }
}

/// A number from 0 to less than 1: a pure function, so that a further parameter changes no other.
fn uniform(field: &str, seed: u64, number: u64) -> f64 {
    let mut hash = Sha256::new();
    hash.update(seed.to_le_bytes());
    hash.update(number.to_le_bytes());
    hash.update(field);
    let digest = hash.finalize();
    let word = digest
        .iter()
        .take(8)
        .fold(0_u64, |word, byte| word << 8 | u64::from(*byte));
    (word >> 11) as f64 / (1_u64 << 53) as f64
}

/// The preset of a job as a spec; the default one for an unknown name, which checks report.
fn preset(job: &SpecMessage) -> SpecMessage {
    let name = job.request().preset;
    let presets = spec::presets();
    let found = presets.iter().find(|preset| preset.name == name);
    SpecMessage::from(&found.unwrap_or(&presets[0]).spec)
}

/// The job spec with a value for each parameter. What chooses an optimizer or schedule is set
/// first.
fn set_all(
    request: &SweepRequest,
    preset: &SpecMessage,
    values: &[String],
) -> Result<SpecMessage, Violation> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by_key(|&index| !ParameterField::chooses_member(&request.parameters[index].field));
    let mut spec = request.job.clone();
    let mut paths: Vec<String> = Vec::new();
    for index in order {
        let refuse =
            |part: &str, error: String| violation(format!("parameters[{index}].{part}"), error);
        let field = ParameterField::find(&request.parameters[index].field, &spec, preset);
        let field = field.map_err(|error| refuse("field", error.to_string()))?;
        if paths.contains(&field.path) {
            return Err(refuse("field", format!("{} is given twice", field.path)));
        }
        if let Some(message) = refused_field(&field.path, request) {
            return Err(refuse("field", message));
        }
        spec = field
            .set(&spec, &values[index])
            .map_err(|error| match error {
                FieldError::Value { .. } => refuse("values", error.to_string()),
                error => refuse("field", error.to_string()),
            })?;
        paths.push(field.path);
    }
    Ok(spec)
}

#[cfg(test)]
mod tests;
