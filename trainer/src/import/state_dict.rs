//! The layers of a PyTorch state dict, from safetensors bytes of unknown origin.

use super::{
    batch_norm::{self, Folded, NormSettings, Side},
    error::ImportError,
    foreign,
    modules::{Linear, Modules, modules},
    order::ordered,
};
use digits_checkpoint::{Layer, limits};
use safetensors::{Dtype, SafeTensors};

/// Largest header of a file: names and shapes, and the metadata of the program that wrote it.
const MAX_HEADER_BYTES: u64 = 1 << 20;
/// The way to write a file that can be imported.
const SAVE: &str = "write it with safetensors.torch.save_file(model.state_dict(), FILE)";

/// What a file holds.
#[derive(Debug)]
pub(super) struct StateDict {
    /// The layers, from the input on, with batch normalizations folded in.
    pub(super) layers: Vec<Layer>,
    /// What was done to the file, a sentence each.
    pub(super) notes: Vec<String>,
    /// The layers with batch normalizations on the other side of the activation, where the names do
    /// not decide it and no side was given.
    pub(super) other_side: Option<(Side, Vec<Layer>)>,
}

impl StateDict {
    /// Number of weights, without biases.
    pub(super) fn parameters(&self) -> usize {
        self.layers.iter().map(|it| it.weight.len()).sum()
    }
}

/// Reads linear layers, NAME.weight [out, in] and NAME.bias `[out]` or no bias, and BatchNorm1d.
///
/// Numbers in the names give the order of the layers, else the only order that fits their shapes
/// and an input of `input_size` values.
///
/// # Errors
/// Reason for refusing the file, and the remedy.
pub(super) fn read(
    bytes: &[u8],
    input_size: usize,
    settings: NormSettings,
) -> Result<StateDict, ImportError> {
    let NormSettings { side, epsilon } = settings;
    let tensors = parse(bytes)?;
    let Modules { linears, norms } = modules(&tensors, epsilon)?;
    match linears.len() {
        0 => return Err(ImportError::file("holds no linear layer")),
        count if count > limits::HIDDEN_LAYERS + 1 => {
            return Err(ImportError::file(format!(
                "holds {count} layers, at most {} are accepted",
                limits::HIDDEN_LAYERS + 1
            )));
        }
        _ => {}
    }
    let mut notes = conversions(&tensors);
    let mut linears = ordered(linears, input_size)?;
    notes.extend(about(&linears));
    let unfolded = (!norms.is_empty()).then(|| linears.clone());
    let folded = batch_norm::fold(&mut linears, &norms, side)?;
    notes.extend(folded.iter().map(note));
    let sides = folded.iter().filter_map(|it| it.side);
    let other = match sides.clone().next() {
        Some(Side::Before) if sides.clone().all(|it| it == Side::Before) => Some(Side::After),
        Some(Side::After) if sides.clone().all(|it| it == Side::After) => Some(Side::Before),
        _ => None,
    };
    let other_side = match (unfolded, other, side) {
        (Some(mut linears), Some(other), None) => {
            batch_norm::fold(&mut linears, &norms, Some(other))?;
            Some((other, layers(linears)))
        }
        _ => None,
    };
    Ok(StateDict {
        layers: layers(linears),
        notes,
        other_side,
    })
}

fn layers(linears: Vec<Linear>) -> Vec<Layer> {
    let each = linears.into_iter();
    each.map(|it| Layer {
        outputs: it.outputs,
        inputs: it.inputs,
        weight: it.weight,
        bias: it.bias,
    })
    .collect()
}

fn parse(bytes: &[u8]) -> Result<SafeTensors<'_>, ImportError> {
    let length = bytes.first_chunk().copied().map(u64::from_le_bytes);
    match length {
        Some(1..=MAX_HEADER_BYTES) if bytes.get(8) == Some(&b'{') => {}
        _ => {
            return Err(ImportError::file(
                match (foreign::describe(bytes), length) {
                    (Some(what), _) => what,
                    (None, None) => format!("is too short for a safetensors file: {SAVE}"),
                    (None, Some(_)) => {
                        format!("is not a safetensors file of a small network: {SAVE}")
                    }
                },
            ));
        }
    }
    SafeTensors::deserialize(bytes).map_err(|error| {
        ImportError::file(format!(
            "is not a complete safetensors file: {error}; {SAVE}"
        ))
    })
}

/// Conversions of the weights' type. One from float64 loses nothing that can be measured.
fn conversions(tensors: &SafeTensors<'_>) -> Vec<String> {
    let half = [(Dtype::F16, "float16"), (Dtype::BF16, "bfloat16")];
    half.into_iter()
        .filter(|(dtype, _)| tensors.iter().any(|(_, view)| view.dtype() == *dtype))
        .map(|(_, name)| format!("weights were converted from {name} to float32"))
        .collect()
}

/// The order, unless numbers give it, and the layers without a bias.
fn about(linears: &[Linear]) -> Vec<String> {
    let names = |of: &mut dyn Iterator<Item = &Linear>| -> String {
        let each: Vec<String> = of.map(|it| format!("`{}`", it.name)).collect();
        each.join(", ")
    };
    let mut notes = Vec::new();
    if linears
        .iter()
        .any(|it| it.key.pattern != linears[0].key.pattern)
    {
        let names = names(&mut linears.iter());
        notes.push(format!("the layers were ordered by their shapes: {names}"));
    }
    let without = names(&mut linears.iter().filter(|it| !it.has_bias));
    if !without.is_empty() {
        notes.push(format!("without a bias, so with zeros for it: {without}"));
    }
    notes
}

fn note(folded: &Folded) -> String {
    let Folded { name, into, side } = folded;
    match side {
        None => format!("batch normalization `{name}` was folded into `{into}`"),
        Some(side) => format!(
            "batch normalization `{name}` was folded into `{into}`: it was taken to stand {} the activation",
            match side {
                Side::Before => "before",
                Side::After => "after",
            }
        ),
    }
}

#[cfg(test)]
mod tests;
