//! Folds batch normalizations into the linear layers beside them: in evaluation mode they are a
//! scale and a shift per unit.

use super::{
    error::ImportError,
    modules::{BatchNorm, Linear},
};

/// Side of an activation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Linear, batch normalization, activation.
    Before,
    /// Linear, activation, batch normalization.
    After,
}

/// What a state dict does not hold about its batch normalizations.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NormSettings {
    /// Side of the activation on which they stand; `None` if the names of the tensors decide.
    pub side: Option<Side>,
    /// What is added to the variance.
    pub epsilon: f64,
}

/// As PyTorch's `BatchNorm1d`.
impl Default for NormSettings {
    fn default() -> Self {
        Self {
            side: None,
            epsilon: 1e-5,
        }
    }
}

/// A batch normalization that was folded between two layers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Folded {
    pub(super) name: String,
    /// Name of the layer that took it in.
    pub(super) into: String,
    /// Where it was taken to stand; `None` where no activation is beside it.
    pub(super) side: Option<Side>,
}

/// Folds all of them; `side` decides for those between two layers, else the numbers in the names of
/// an `nn.Sequential`, else they stand before the activation.
///
/// # Errors
/// The names and widths do not give the place of one.
pub(super) fn fold(
    linears: &mut [Linear],
    norms: &[BatchNorm],
    side: Option<Side>,
) -> Result<Vec<Folded>, ImportError> {
    let mut placed = norms
        .iter()
        .map(|norm| {
            let after = place(linears, norms, norm)?;
            let inner = (1..linears.len()).contains(&after);
            let side = inner.then(|| side.unwrap_or_else(|| side_by_number(linears, norm, after)));
            Ok((norm, after, side))
        })
        .collect::<Result<Vec<_>, ImportError>>()?;
    // Of several in one place, the one beside the weight is folded first.
    let (into_next, into_previous): (Vec<_>, Vec<_>) = placed
        .drain(..)
        .partition(|(_, after, side)| *after == 0 || *side == Some(Side::After));
    let mut folded = Vec::new();
    for (norm, after, side) in into_previous {
        let linear = &mut linears[after - 1];
        scale_outputs(linear, norm);
        folded.push((norm, linear.name.clone(), side));
    }
    for (norm, after, side) in into_next.into_iter().rev() {
        let linear = &mut linears[after];
        scale_inputs(linear, norm);
        folded.push((norm, linear.name.clone(), side));
    }
    if let Some(linear) = linears.iter().find(|it| !is_finite(it)) {
        return Err(ImportError::file(format!(
            "batch normalization makes the weights of `{}` infinite",
            linear.name
        )));
    }
    Ok(folded
        .into_iter()
        .map(|(norm, into, side)| Folded {
            name: norm.name.clone(),
            into,
            side,
        })
        .collect())
}

fn is_finite(linear: &Linear) -> bool {
    let mut numbers = linear.weight.iter().chain(&linear.bias);
    numbers.all(|number| number.is_finite())
}

/// The number of layers before a batch normalization.
fn place(linears: &[Linear], norms: &[BatchNorm], norm: &BatchNorm) -> Result<usize, ImportError> {
    let width = norm.scale.len();
    let fits = |after: usize| match after.checked_sub(1) {
        None => linears[0].inputs == width,
        Some(before) => linears[before].outputs == width,
    };
    let guesses = [
        by_number(linears, norm),
        by_equal_numbers(linears, norms, norm),
        by_rank(linears, norms, norm),
    ];
    if let Some(after) = guesses.into_iter().flatten().find(|after| fits(*after)) {
        return Ok(after);
    }
    let mut fitting = (0..=linears.len()).filter(|after| fits(*after));
    match (fitting.next(), fitting.next()) {
        (Some(after), None) => Ok(after),
        (None, _) => Err(ImportError::file(format!(
            "`{}` normalizes {width} units, which no layer takes or gives",
            norm.name
        ))),
        (Some(_), Some(_)) => Err(ImportError::file(format!(
            "the place of `{}` is not known: give it the number of the linear layer before it, as in fc1 and bn1",
            norm.name
        ))),
    }
}

/// In an `nn.Sequential` the numbers count all modules.
fn by_number(linears: &[Linear], norm: &BatchNorm) -> Option<usize> {
    let mut same = linears
        .iter()
        .enumerate()
        .filter(|(_, it)| it.key.pattern == norm.key.pattern);
    let (first, _) = same.clone().next()?;
    let before = same.rfind(|(_, it)| it.key.numbers < norm.key.numbers);
    Some(before.map_or(first, |(at, _)| at + 1))
}

/// `bn1` belongs to `fc1`, unless another of these has no layer of its number: `bns.0` beside `fc1`.
fn by_equal_numbers(linears: &[Linear], norms: &[BatchNorm], norm: &BatchNorm) -> Option<usize> {
    let after = |norm: &BatchNorm| {
        let equal =
            |it: &Linear| it.key.numbers == norm.key.numbers && it.outputs == norm.scale.len();
        let mut found = (1..=linears.len()).filter(|after| equal(&linears[after - 1]));
        found.next().filter(|_| found.next().is_none())
    };
    let mut alike = norms.iter().filter(|it| it.key.pattern == norm.key.pattern);
    alike.all(|it| after(it).is_some()).then(|| after(norm))?
}

/// The first one belongs to the first layer if there is one for each, or for each but the last.
fn by_rank(linears: &[Linear], norms: &[BatchNorm], norm: &BatchNorm) -> Option<usize> {
    let mut alike = norms.iter().filter(|it| it.key.pattern == norm.key.pattern);
    let count = alike.clone().count();
    let rank = alike.position(|it| it.key == norm.key)?;
    (count + 1 >= linears.len()).then_some(rank + 1)
}

/// `0` linear, `1` normalization: nothing is between them. `0` linear, `2` normalization: the
/// activation is.
fn side_by_number(linears: &[Linear], norm: &BatchNorm, after: usize) -> Side {
    let linear = &linears[after - 1].key;
    if linear.pattern != norm.key.pattern {
        return Side::Before;
    }
    match (linear.numbers.split_last(), norm.key.numbers.split_last()) {
        (Some((one, outer)), Some((other, outer_too)))
            if outer == outer_too && *other > one.saturating_add(1) =>
        {
            Side::After
        }
        _ => Side::Before,
    }
}

/// W ← diag(scale) W, b ← scale b + shift.
fn scale_outputs(linear: &mut Linear, norm: &BatchNorm) {
    let rows = linear.weight.chunks_exact_mut(linear.inputs);
    let numbers = norm.scale.iter().zip(&norm.shift);
    for ((row, bias), (scale, shift)) in rows.zip(&mut linear.bias).zip(numbers) {
        for weight in row {
            *weight = (f64::from(*weight) * scale) as f32;
        }
        *bias = (f64::from(*bias) * scale + shift) as f32;
    }
}

/// b ← b + W shift, W ← W diag(scale).
fn scale_inputs(linear: &mut Linear, norm: &BatchNorm) {
    let rows = linear.weight.chunks_exact_mut(linear.inputs);
    for (row, bias) in rows.zip(&mut linear.bias) {
        let mut sum = f64::from(*bias);
        for (weight, (scale, shift)) in row.iter_mut().zip(norm.scale.iter().zip(&norm.shift)) {
            sum += f64::from(*weight) * shift;
            *weight = (f64::from(*weight) * scale) as f32;
        }
        *bias = sum as f32;
    }
}
