//! The linear layers of a PyTorch state dict, from safetensors bytes of unknown origin.
//!
//! The names of the tensors alone decide which tensor belongs to which layer; ambiguous names are
//! refused.

use super::error::ImportError;
use digits_checkpoint::{Layer, limits};
use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use std::collections::BTreeMap;

/// Largest header of a file: names and shapes, and the metadata of the program that wrote it.
const MAX_HEADER_BYTES: u64 = 1 << 20;

/// The layers, from the input on.
///
/// The tensors are pairs NAME.weight [out, in] and NAME.bias `[out]` in float32 and nothing else.
/// The names differ in their numbers alone, which give the order: `layers.1`, `layers.3`; `0`, `2`,
/// `4`; `fc1`, `fc2`.
///
/// # Errors
/// Reason for refusing the file, and the remedy.
pub(super) fn read(bytes: &[u8]) -> Result<Vec<Layer>, ImportError> {
    let tensors = parse(bytes)?;
    let names = ordered(&tensors)?;
    let layers: Vec<Layer> = names
        .iter()
        .map(|name| layer(&tensors, name))
        .collect::<Result<_, _>>()?;
    for (index, pair) in layers.windows(2).enumerate() {
        if pair[0].outputs != pair[1].inputs {
            return Err(refused(format!(
                "`{}.weight` takes {} values, but `{}.weight` before it gives {}: the numbers in the names must give the order of the layers",
                names[index + 1],
                pair[1].inputs,
                names[index],
                pair[0].outputs
            )));
        }
    }
    Ok(layers)
}

fn parse(bytes: &[u8]) -> Result<SafeTensors<'_>, ImportError> {
    let header = bytes
        .first_chunk()
        .map(|length| u64::from_le_bytes(*length))
        .ok_or_else(|| refused("is too short for a safetensors file"))?;
    if header > MAX_HEADER_BYTES {
        return Err(refused(format!(
            "is not a safetensors file of a small network: its header claims {header} bytes"
        )));
    }
    SafeTensors::deserialize(bytes).map_err(|error| {
        refused(format!("is not a complete safetensors file: {error}; write it with safetensors.torch.save_file(model.state_dict(), FILE)"))
    })
}

/// The names without `.weight` and `.bias`, in the order of the layers.
fn ordered(tensors: &SafeTensors<'_>) -> Result<Vec<String>, ImportError> {
    let mut layers: BTreeMap<Vec<u64>, String> = BTreeMap::new();
    let mut first: Option<String> = None;
    for tensor in tensors.names() {
        let (name, part) = tensor.rsplit_once('.').unwrap_or(("", tensor));
        if !matches!(part, "weight" | "bias") || name.is_empty() {
            return Err(refused(format!(
                "tensor `{tensor}` is no NAME.weight or NAME.bias of a linear layer: only such can be imported"
            )));
        }
        let (pattern, numbers) = numbers(name).ok_or_else(|| {
            refused(format!(
                "tensor `{tensor}` has a number in its name that is too long"
            ))
        })?;
        let first = first.get_or_insert_with(|| pattern.clone());
        if *first != pattern {
            return Err(refused(format!(
                "the names {first} and {pattern} (# for a number) differ in more than their numbers, so the order of the layers is not known: rename them to layers.1, layers.3, …"
            )));
        }
        if let Some(other) = layers.insert(numbers, name.to_owned())
            && other != name
        {
            return Err(refused(format!(
                "`{other}` and `{name}` have the same numbers"
            )));
        }
    }
    match layers.len() {
        0 => Err(refused("holds no tensors")),
        count if count > limits::HIDDEN_LAYERS + 1 => Err(refused(format!(
            "holds {count} layers, at most {} are accepted",
            limits::HIDDEN_LAYERS + 1
        ))),
        _ => Ok(layers.into_values().collect()),
    }
}

/// A name with # for its numbers, and the numbers; `None` for a number beyond 64 bits.
fn numbers(name: &str) -> Option<(String, Vec<u64>)> {
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
        numbers.push(digits[..end].parse().ok()?);
        rest = &digits[end..];
    }
    pattern.push_str(rest);
    Some((pattern, numbers))
}

fn layer(tensors: &SafeTensors<'_>, name: &str) -> Result<Layer, ImportError> {
    let get = |part: &str| {
        tensors.tensor(&format!("{name}.{part}")).map_err(|_| {
            refused(format!(
                "`{name}.{part}` is missing: every layer needs a weight and a bias"
            ))
        })
    };
    let (weight, bias) = (get("weight")?, get("bias")?);
    let &[outputs, inputs] = weight.shape() else {
        return Err(refused(format!(
            "`{name}.weight` has the shape {:?}: only linear layers, [out, in], can be imported",
            weight.shape()
        )));
    };
    if outputs == 0 || inputs == 0 || bias.shape() != [outputs] {
        return Err(refused(format!(
            "`{name}.bias` has the shape {:?}, which does not fit a weight of {outputs}×{inputs}",
            bias.shape()
        )));
    }
    Ok(Layer {
        outputs,
        inputs,
        weight: floats(&format!("{name}.weight"), &weight)?,
        bias: floats(&format!("{name}.bias"), &bias)?,
    })
}

fn floats(name: &str, view: &TensorView<'_>) -> Result<Vec<f32>, ImportError> {
    if view.dtype() != Dtype::F32 {
        return Err(refused(format!(
            "`{name}` is {:?} instead of F32: save model.float().state_dict()",
            view.dtype()
        )));
    }
    let (numbers, _) = view.data().as_chunks();
    let numbers: Vec<f32> = numbers
        .iter()
        .map(|bytes| f32::from_le_bytes(*bytes))
        .collect();
    match numbers.iter().position(|number| !number.is_finite()) {
        None => Ok(numbers),
        Some(at) => Err(refused(format!(
            "`{name}` holds {} at position {at}",
            numbers[at]
        ))),
    }
}

fn refused(message: impl Into<String>) -> ImportError {
    ImportError::invalid("piece", message)
}

#[cfg(test)]
mod tests {
    use super::*;

    type Tensor = (&'static str, Dtype, Vec<usize>);

    fn file(tensors: &[Tensor]) -> Vec<u8> {
        let data: Vec<Vec<u8>> = tensors
            .iter()
            .map(|(_, dtype, shape)| {
                let count: usize = shape.iter().product();
                vec![0; count * dtype.bitsize() / 8]
            })
            .collect();
        let views = tensors
            .iter()
            .zip(&data)
            .map(|((name, dtype, shape), data)| {
                let view = TensorView::new(*dtype, shape.clone(), data).expect("fits");
                (*name, view)
            });
        safetensors::serialize(views, None).expect("serialised")
    }

    fn f32(name: &'static str, shape: &[usize]) -> Tensor {
        (name, Dtype::F32, shape.to_vec())
    }

    fn sizes(tensors: &[Tensor]) -> Result<Vec<(usize, usize)>, String> {
        let layers = read(&file(tensors)).map_err(|error| error.to_string())?;
        Ok(layers.iter().map(|it| (it.outputs, it.inputs)).collect())
    }

    #[test]
    fn numbers_in_the_names_give_the_order_of_the_layers() {
        let names = [
            ["layers.1", "layers.3"],
            ["2", "10"],
            ["net.0.fc9", "net.0.fc11"],
        ];
        for [one, two] in names {
            let name = |layer: &str, part| -> &'static str { format!("{layer}.{part}").leak() };
            let tensors = [
                f32(name(two, "bias"), &[3]),
                f32(name(two, "weight"), &[3, 5]),
                f32(name(one, "weight"), &[5, 4]),
                f32(name(one, "bias"), &[5]),
            ];
            assert_eq!(sizes(&tensors), Ok(vec![(5, 4), (3, 5)]), "{one} {two}");
        }
        let alone = [f32("fc.weight", &[2, 4]), f32("fc.bias", &[2])];
        assert_eq!(sizes(&alone), Ok(vec![(2, 4)]));
    }

    #[test]
    fn ambiguous_names_are_refused() {
        let (weight, bias) = (f32("0.weight", &[2, 4]), f32("0.bias", &[2]));
        let cases: Vec<(Vec<Tensor>, &str)> = vec![
            (vec![], "no tensors"),
            (vec![weight.clone()], "`0.bias` is missing"),
            (vec![bias.clone()], "`0.weight` is missing"),
            (vec![f32("0.scale", &[1])], "`0.scale` is no"),
            (vec![f32("weight", &[2, 4])], "`weight` is no"),
            (
                vec![f32("0.weight", &[2, 4, 1]), bias.clone()],
                "only linear layers",
            ),
            (
                vec![weight.clone(), f32("0.bias", &[3])],
                "`0.bias` has the shape [3]",
            ),
            (
                vec![("0.weight", Dtype::F16, vec![2, 4]), bias.clone()],
                "F16 instead of F32",
            ),
            (
                vec![
                    f32("encoder.weight", &[2, 4]),
                    f32("encoder.bias", &[2]),
                    f32("decoder.weight", &[4, 2]),
                    f32("decoder.bias", &[4]),
                ],
                "the order of the layers is not known",
            ),
            (
                vec![
                    weight.clone(),
                    bias.clone(),
                    f32("1.weight", &[2, 3]),
                    f32("1.bias", &[2]),
                ],
                "`1.weight` takes 3 values, but `0.weight` before it gives 2",
            ),
            (
                vec![
                    weight,
                    bias,
                    f32("00.weight", &[2, 2]),
                    f32("00.bias", &[2]),
                ],
                "have the same numbers",
            ),
        ];
        for (tensors, part) in cases {
            let error = sizes(&tensors).expect_err(part);
            assert!(error.contains(part), "{part}: {error}");
        }
    }

    #[test]
    fn incomplete_files_are_refused() {
        let good = file(&[f32("0.weight", &[2, 4]), f32("0.bias", &[2])]);
        assert!(read(&good).is_ok());
        for cut in 0..good.len() {
            assert!(read(&good[..cut]).is_err(), "{cut}");
        }
        assert!(read(&[255; 64]).is_err());
        let mut bad = good;
        let end = bad.len() - 4;
        bad[end..].copy_from_slice(&f32::NAN.to_le_bytes());
        assert!(read(&bad).expect_err("NaN").to_string().contains("NaN"));
    }
}
