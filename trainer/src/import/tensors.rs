//! Numbers of a state dict's tensors, as float32.

use super::error::ImportError;
use half::{bf16, f16};
use safetensors::{Dtype, tensor::TensorView};

/// The numbers of a float tensor of any width. Half precision is exact in float32; float64 is
/// rounded to the nearest, which no accuracy shows.
///
/// # Errors
/// Another type, or a number that is not finite in float32.
pub(super) fn floats(name: &str, view: &TensorView<'_>) -> Result<Vec<f32>, ImportError> {
    let data = view.data();
    let numbers: Vec<f32> = match view.dtype() {
        Dtype::F32 => each(data, f32::from_le_bytes),
        Dtype::F16 => each(data, |bytes| f16::from_le_bytes(bytes).to_f32()),
        Dtype::BF16 => each(data, |bytes| bf16::from_le_bytes(bytes).to_f32()),
        Dtype::F64 => {
            let numbers: Vec<f64> = each(data, f64::from_le_bytes);
            let beyond = |number: &&f64| number.is_finite() && !(**number as f32).is_finite();
            if let Some(number) = numbers.iter().find(beyond) {
                return Err(ImportError::file(format!(
                    "`{name}` holds {number:e}, which float32 cannot hold"
                )));
            }
            numbers.into_iter().map(|number| number as f32).collect()
        }
        other => {
            return Err(ImportError::file(format!(
                "`{name}` is {other:?}, not floating point of 16, 32 or 64 bits: save model.float().state_dict() of \
                 the network before quantization"
            )));
        }
    };
    match numbers.iter().position(|number| !number.is_finite()) {
        None => Ok(numbers),
        Some(at) => Err(ImportError::file(format!(
            "`{name}` holds {} at position {at}: the training diverged, or the file is damaged",
            numbers[at]
        ))),
    }
}

fn each<const N: usize, T>(data: &[u8], number: impl Fn([u8; N]) -> T) -> Vec<T> {
    data.as_chunks()
        .0
        .iter()
        .map(|bytes| number(*bytes))
        .collect()
}
