//! The modules of a state dict: linear layers and batch normalizations, by the names of their
//! tensors.

use super::{error::ImportError, tensors::floats};
use safetensors::{SafeTensors, tensor::TensorView};
use std::collections::BTreeMap;

/// Last parts of the names of tensors.
const PARTS: [&str; 5] = [
    "num_batches_tracked",
    "running_mean",
    "running_var",
    "weight",
    "bias",
];

/// A name with # for its numbers, and the numbers. In this order modules of one pattern are in
/// their natural order.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    pub(super) pattern: String,
    pub(super) numbers: Vec<u64>,
}

/// A linear layer: y = W x + b.
#[derive(Clone, Debug)]
pub(super) struct Linear {
    pub(super) name: String,
    pub(super) key: Key,
    pub(super) outputs: usize,
    pub(super) inputs: usize,
    /// [outputs, inputs], row by row.
    pub(super) weight: Vec<f32>,
    /// One per output; zeros where the file has none.
    pub(super) bias: Vec<f32>,
    /// Whether the file has one.
    pub(super) has_bias: bool,
}

/// A batch normalization in evaluation mode: y = scale x + shift, per unit.
#[derive(Clone, Debug)]
pub(super) struct BatchNorm {
    pub(super) name: String,
    pub(super) key: Key,
    pub(super) scale: Vec<f64>,
    pub(super) shift: Vec<f64>,
}

/// All modules, each kind sorted by its keys.
#[derive(Debug, Default)]
pub(super) struct Modules {
    pub(super) linears: Vec<Linear>,
    pub(super) norms: Vec<BatchNorm>,
}

/// Tensors of a module by the last part of their names.
type Tensors<'a> = BTreeMap<&'static str, TensorView<'a>>;

/// Sorts tensors into modules; `epsilon` is added to the variances of batch normalizations.
///
/// # Errors
/// A tensor that belongs to no linear layer and no batch normalization.
pub(super) fn modules(tensors: &SafeTensors<'_>, epsilon: f64) -> Result<Modules, ImportError> {
    let mut named: BTreeMap<String, Tensors<'_>> = BTreeMap::new();
    for (tensor, view) in tensors.tensors() {
        let (name, part) = split(&tensor)?;
        named.entry(name.to_owned()).or_default().insert(part, view);
    }
    let mut sorted: BTreeMap<Key, String> = BTreeMap::new();
    for name in named.keys() {
        let key = key(name)?;
        if let Some(other) = sorted.insert(key, name.clone()) {
            let message = format!("`{other}` and `{name}` have the same numbers");
            return Err(ImportError::file(message));
        }
    }
    let mut modules = Modules::default();
    for (key, name) in sorted {
        let parts = named.remove(&name).unwrap_or_default();
        if parts.contains_key("running_mean") || parts.contains_key("running_var") {
            modules.norms.push(batch_norm(name, key, &parts, epsilon)?);
        } else if parts.keys().any(|part| *part != "num_batches_tracked") {
            modules.linears.push(linear(name, key, &parts)?);
        }
    }
    Ok(modules)
}

/// The name of the module and the part of a tensor's name: `fc1.weight`, also `fc1_weight`, and
/// `weight` of a single layer.
fn split(tensor: &str) -> Result<(&str, &'static str), ImportError> {
    let found = PARTS.iter().find_map(|part| {
        let name = tensor.strip_suffix(part)?;
        let whole = name.is_empty() || name.ends_with(['.', '_']);
        whole.then(|| (name.trim_end_matches(['.', '_']), *part))
    });
    found.ok_or_else(|| {
        let remedy = match tensor.rsplit('.').next().unwrap_or(tensor) {
            "kernel" => {
                "Flax and Keras store [in, out]: save it transposed as NAME.weight".to_owned()
            }
            "original0" | "original1" | "weight_g" | "weight_v" | "weight_orig" | "weight_mask"
            | "weight_u" => {
                "remove the parametrization first (torch.nn.utils.parametrize.remove_parametrizations, \
                 remove_weight_norm or prune.remove)"
                    .to_owned()
            }
            _ => "only linear layers and BatchNorm1d can be imported".to_owned(),
        };
        ImportError::file(format!("tensor `{tensor}` is no NAME.weight or NAME.bias: {remedy}"))
    })
}

fn linear(name: String, key: Key, parts: &Tensors<'_>) -> Result<Linear, ImportError> {
    let tensor = |part: &str| match name.as_str() {
        "" => part.to_owned(),
        name => format!("{name}.{part}"),
    };
    let refused = |message: String| Err(ImportError::file(message));
    let Some(weight) = parts.get("weight") else {
        return refused(format!("`{}` is missing", tensor("weight")));
    };
    let &[outputs, inputs] = weight.shape() else {
        let what = match weight.shape() {
            [_] => ": it is of a LayerNorm, a PReLU or a BatchNorm without running statistics",
            [_, _, _, ..] => ": it is of a convolution",
            _ => "",
        };
        return refused(format!(
            "`{}` has the shape {:?}{what}; only linear layers, [out, in], and BatchNorm1d can be imported",
            tensor("weight"),
            weight.shape()
        ));
    };
    if outputs == 0 || inputs == 0 {
        return refused(format!("`{}` is empty", tensor("weight")));
    }
    let bias = match parts.get("bias") {
        None => vec![0.0; outputs],
        Some(bias) if bias.shape() == [outputs] => floats(&tensor("bias"), bias)?,
        Some(bias) => {
            let transposed = if bias.shape() == [inputs] {
                ": the weight is transposed, save it as weight.T.contiguous()"
            } else {
                ""
            };
            return refused(format!(
                "`{}` has the shape {:?}, which does not fit a weight of {outputs}×{inputs}, [out, in]{transposed}",
                tensor("bias"),
                bias.shape()
            ));
        }
    };
    Ok(Linear {
        weight: floats(&tensor("weight"), weight)?,
        has_bias: parts.contains_key("bias"),
        name,
        key,
        outputs,
        inputs,
        bias,
    })
}

fn batch_norm(
    name: String,
    key: Key,
    parts: &Tensors<'_>,
    epsilon: f64,
) -> Result<BatchNorm, ImportError> {
    let numbers = |part: &str| {
        let view = parts.get(part);
        view.map(|view| floats(&format!("{name}.{part}"), view))
            .transpose()
    };
    let (Some(mean), Some(variance)) = (numbers("running_mean")?, numbers("running_var")?) else {
        let message = format!("`{name}` has only one of running_mean and running_var");
        return Err(ImportError::file(message));
    };
    let width = mean.len();
    // Without `affine` there is neither.
    let weight = numbers("weight")?.unwrap_or_else(|| vec![1.0; width]);
    let bias = numbers("bias")?.unwrap_or_else(|| vec![0.0; width]);
    if [variance.len(), weight.len(), bias.len()] != [width; 3] {
        let message = format!("the tensors of `{name}` differ in their lengths");
        return Err(ImportError::file(message));
    }
    if let Some(negative) = variance.iter().find(|it| **it < 0.0) {
        let message = format!("`{name}.running_var` holds {negative}, which is no variance");
        return Err(ImportError::file(message));
    }
    let scale: Vec<f64> = weight
        .iter()
        .zip(&variance)
        .map(|(weight, variance)| f64::from(*weight) / (f64::from(*variance) + epsilon).sqrt())
        .collect();
    let shift = bias
        .iter()
        .zip(&mean)
        .zip(&scale)
        .map(|((bias, mean), scale)| f64::from(*bias) - f64::from(*mean) * scale)
        .collect();
    Ok(BatchNorm {
        name,
        key,
        scale,
        shift,
    })
}

/// Fails for a number beyond 64 bits.
fn key(name: &str) -> Result<Key, ImportError> {
    let mut pattern = String::with_capacity(name.len());
    let mut numbers = Vec::new();
    let mut rest = name;
    while let Some(at) = rest.find(|letter: char| letter.is_ascii_digit()) {
        let digits = &rest[at..];
        let end = digits
            .find(|letter: char| !letter.is_ascii_digit())
            .unwrap_or(digits.len());
        pattern.push_str(&rest[..at]);
        pattern.push('#');
        numbers.push(digits[..end].parse().map_err(|_| {
            ImportError::file(format!(
                "`{name}` has a number in its name that is too long"
            ))
        })?);
        rest = &digits[end..];
    }
    pattern.push_str(rest);
    Ok(Key { pattern, numbers })
}
