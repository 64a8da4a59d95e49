//! A decoded request: images in the form in which the client sent them, and how to classify them.

use super::{error::InvalidImage, pixels::Pixels};
use bytes::Bytes;
use std::sync::Arc;

/// Number of values that are converted inline, in well under 500 µs; more are converted on the
/// pool.
const MAX_INLINE_VALUES: usize = 200_000;

/// A request that passed the checks of its codec.
pub struct PredictInput {
    /// The images; their number and sizes fit the model.
    pub images: InputImages,
    /// Requests of one key go to the same route; may be empty.
    pub routing_key: String,
    /// Images whose most probable label has a lower probability are reported as unsure.
    pub min_probability: f32,
}

/// Images as the client sent them.
pub enum InputImages {
    /// Grey bytes in the form of the training set, [n, height × width].
    Pixels(Bytes),
    /// Grey bytes that are normalized first, [n, height × width].
    Unnormalized(Bytes),
    /// Encoded pictures of any size.
    Encoded(Vec<Bytes>),
    /// Values of a tensor in the form of the training set, [n, height × width].
    Tensor(TensorValues),
}

/// Values of a tensor.
pub enum TensorValues {
    /// Grey bytes in 32-bit integers.
    Integers(Vec<u32>),
    /// Grey values from 0 to 1.
    Floats(Vec<f32>),
    /// Grey values from 0 to 1, as little-endian float32.
    FloatBytes(Bytes),
}

impl TensorValues {
    /// Whether the values are few enough to be converted inline.
    #[must_use]
    pub fn convert_inline(&self) -> bool {
        let count = match self {
            Self::Integers(values) => values.len(),
            Self::Floats(values) => values.len(),
            Self::FloatBytes(bytes) => bytes.len() / size_of::<f32>(),
        };
        count <= MAX_INLINE_VALUES
    }

    /// Converts the values. Floats stay floats: the network takes both forms.
    ///
    /// # Errors
    ///
    /// The first value that is not a pixel's.
    pub fn into_pixels(self) -> Result<Pixels, InvalidImage> {
        let floats = match self {
            Self::Integers(values) => return bytes(&values),
            Self::Floats(values) => values,
            Self::FloatBytes(bytes) => {
                let (floats, _) = bytes.as_chunks::<4>();
                floats.iter().map(|&it| f32::from_le_bytes(it)).collect()
            }
        };
        match floats.iter().position(|value| !(0.0..=1.0).contains(value)) {
            None => Ok(Pixels::Floats(Arc::new(floats))),
            Some(index) => {
                let message = format!(
                    "value {index} must be from 0 to 1, as ToTensor gives it (divide grey bytes by 255, or send UINT8), not {}",
                    floats[index]
                );
                Err(InvalidImage { index, message })
            }
        }
    }
}

fn bytes(values: &[u32]) -> Result<Pixels, InvalidImage> {
    let byte = |(index, &value): (usize, &u32)| {
        u8::try_from(value).map_err(|_| InvalidImage {
            index,
            message: format!("value {index} must be from 0 to 255, not {value}"),
        })
    };
    let bytes: Result<Vec<u8>, InvalidImage> = values.iter().enumerate().map(byte).collect();
    Ok(Pixels::Bytes(bytes?.into()))
}
