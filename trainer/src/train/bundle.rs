//! Resume bundles: the state of a training in the safetensors format. Numbers that belong to no
//! tensor are JSON in the metadata.
//!
//! Only the format is defined here. Each part of the state chooses its names in its `save` and
//! `restore`. A flipped bit is not detected here: the caller stores a digest with each bundle.

use super::TrainError;
use super::parameters::host;
use digits_checkpoint::manifest::Evaluation;
use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};
use std::collections::HashMap;
use tch::Tensor;

/// The only key of the metadata: with two, a hash map would decide the order of the bytes.
const METADATA_KEY: &str = "figures";

/// The state of a training, copied out of its tensors so that another thread can encode and store
/// it.
#[derive(Clone, Debug)]
pub struct Bundle {
    /// Steps done over all epochs.
    pub step: u64,
    /// Epochs done.
    pub epoch: u32,
    floats: Vec<(&'static str, Vec<f32>)>,
    bytes: Vec<(&'static str, Vec<u8>)>,
    json: Map<String, Value>,
}

impl Bundle {
    pub(super) fn new(step: u64, epoch: u32) -> Self {
        Self {
            step,
            epoch,
            floats: Vec::new(),
            bytes: Vec::new(),
            json: Map::new(),
        }
    }

    /// Adds a copy of a float32 tensor, without its shape.
    pub(super) fn put_tensor(
        &mut self,
        name: &'static str,
        tensor: &Tensor,
    ) -> Result<(), TrainError> {
        self.floats.push((name, host(tensor)?));
        Ok(())
    }

    /// Adds bytes.
    pub(super) fn put_bytes(&mut self, name: &'static str, bytes: Vec<u8>) {
        self.bytes.push((name, bytes));
    }

    /// Adds a value to the JSON; floats in it must be [`ExactF64`].
    pub(super) fn put_json(&mut self, name: &'static str, value: &impl Serialize) {
        let value = serde_json::to_value(value).expect("numbers by name have a JSON form");
        self.json.insert(name.to_owned(), value);
    }

    /// The bytes to store. Slow for large networks, so it does not belong on the training's thread.
    ///
    /// # Panics
    /// Never: a header of a few names is within the format's limits.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let floats: Vec<(&str, usize, Vec<u8>)> = self
            .floats
            .iter()
            .map(|(name, values)| {
                let bytes = values.iter().flat_map(|value| value.to_le_bytes());
                (*name, values.len(), bytes.collect())
            })
            .collect();
        let view = |dtype, count: usize, data| {
            TensorView::new(dtype, vec![count], data).expect("the shape is that of the values")
        };
        let floats = floats
            .iter()
            .map(|(name, count, data)| (*name, view(Dtype::F32, *count, data)));
        let bytes = self
            .bytes
            .iter()
            .map(|(name, data)| (*name, view(Dtype::U8, data.len(), data)));
        let json = Value::Object(self.json.clone()).to_string();
        let metadata = HashMap::from([(METADATA_KEY.to_owned(), json)]);
        safetensors::serialize(floats.chain(bytes), Some(metadata))
            .expect("a header of a few names is within the limits")
    }
}

/// Reads the bytes of a bundle.
pub(super) struct BundleReader<'a> {
    tensors: SafeTensors<'a>,
    json: Map<String, Value>,
}

impl<'a> BundleReader<'a> {
    pub(super) fn read(bytes: &'a [u8]) -> Result<Self, TrainError> {
        let bad = |_| invalid("it is not in the format of a bundle");
        let (_, header) = SafeTensors::read_metadata(bytes).map_err(bad)?;
        let tensors = SafeTensors::deserialize(bytes).map_err(bad)?;
        let json = header
            .metadata()
            .as_ref()
            .and_then(|all| all.get(METADATA_KEY));
        let json = json.and_then(|text| serde_json::from_str(text).ok());
        let json = json.ok_or_else(|| invalid("it has no metadata"))?;
        Ok(Self { tensors, json })
    }

    /// Copies a stored tensor into one with as many numbers.
    pub(super) fn copy_tensor(&self, name: &str, into: &mut Tensor) -> Result<(), TrainError> {
        let data = self.data(name, Dtype::F32)?;
        let values: Vec<f32> = data
            .chunks_exact(4)
            .map(|four| f32::from_le_bytes([four[0], four[1], four[2], four[3]]))
            .collect();
        if values.len() != into.numel() {
            return Err(invalid(&format!("`{name}` has another size")));
        }
        into.f_copy_(&Tensor::f_from_slice(&values)?.f_view_as(into)?)?;
        Ok(())
    }

    /// Stored bytes.
    pub(super) fn bytes(&self, name: &str) -> Result<&'a [u8], TrainError> {
        self.data(name, Dtype::U8)
    }

    /// A stored value of the JSON.
    pub(super) fn json<T: DeserializeOwned>(&self, name: &str) -> Result<T, TrainError> {
        let value = self.json.get(name).cloned();
        let value = value.and_then(|value| serde_json::from_value(value).ok());
        value.ok_or_else(|| invalid(&format!("it has no value `{name}`")))
    }

    fn data(&self, name: &str, dtype: Dtype) -> Result<&'a [u8], TrainError> {
        let found = self.tensors.tensor(name).ok();
        let fitting = found.filter(|found| found.dtype() == dtype);
        let data = fitting.map(|found| found.data());
        data.ok_or_else(|| invalid(&format!("it has no `{name}`")))
    }
}

/// A bundle from which the training cannot resume.
pub(super) fn invalid(reason: &str) -> TrainError {
    TrainError::Bundle(reason.to_owned())
}

/// A float64 that JSON keeps bit by bit, NaN included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct ExactF64(u64);

impl From<f64> for ExactF64 {
    fn from(value: f64) -> Self {
        Self(value.to_bits())
    }
}

impl From<ExactF64> for f64 {
    fn from(exact: ExactF64) -> Self {
        Self::from_bits(exact.0)
    }
}

/// An [`Evaluation`] that JSON keeps bit by bit.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct ExactEvaluation {
    images: u64,
    correct: u64,
    loss: ExactF64,
    loss_batch_mean: ExactF64,
    batch_size: u32,
}

impl From<Evaluation> for ExactEvaluation {
    fn from(from: Evaluation) -> Self {
        Self {
            images: from.images,
            correct: from.correct,
            loss: from.loss.into(),
            loss_batch_mean: from.loss_batch_mean.into(),
            batch_size: from.batch_size,
        }
    }
}

impl From<ExactEvaluation> for Evaluation {
    fn from(from: ExactEvaluation) -> Self {
        Self {
            images: from.images,
            correct: from.correct,
            loss: from.loss.into(),
            loss_batch_mean: from.loss_batch_mean.into(),
            batch_size: from.batch_size,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Figures {
        count: u64,
        loss: ExactF64,
    }

    fn bundle() -> Bundle {
        let mut bundle = Bundle::new(7, 1);
        let tensor = Tensor::from_slice(&[1.0_f32, -0.0, f32::MIN_POSITIVE / 2.0]);
        bundle.put_tensor("floats", &tensor).expect("main memory");
        bundle.put_bytes("bytes", vec![1, 2, 255]);
        let loss = ExactF64::from(0.1 + 0.2);
        let count = u64::MAX;
        bundle.put_json("figures", &Figures { count, loss });
        bundle.put_json("nan", &ExactF64::from(f64::NAN));
        bundle
    }

    #[test]
    fn a_bundle_returns_every_bit() {
        let bytes = bundle().encode();
        assert_eq!(bytes, bundle().encode(), "the same state, the same bytes");
        let reader = BundleReader::read(&bytes).expect("its own bytes");
        let mut tensor = Tensor::zeros([3], (tch::Kind::Float, tch::Device::Cpu));
        reader
            .copy_tensor("floats", &mut tensor)
            .expect("the same size");
        let values = host(&tensor).expect("main memory");
        let bits: Vec<u32> = values.iter().map(|value| value.to_bits()).collect();
        let expected = [1.0_f32, -0.0, f32::MIN_POSITIVE / 2.0].map(f32::to_bits);
        assert_eq!(bits, expected);
        assert_eq!(reader.bytes("bytes").expect("there"), [1, 2, 255]);
        let figures: Figures = reader.json("figures").expect("there");
        assert_eq!(figures.count, u64::MAX);
        assert_eq!(f64::from(figures.loss), 0.1 + 0.2);
        let nan: ExactF64 = reader.json("nan").expect("there");
        assert!(f64::from(nan).is_nan());
    }

    #[test]
    fn damaged_or_unfitting_parts_are_refused() {
        let bytes = bundle().encode();
        for cut in [0, 7, 20, bytes.len() - 1] {
            assert!(BundleReader::read(&bytes[..cut]).is_err(), "cut at {cut}");
        }
        let reader = BundleReader::read(&bytes).expect("its own bytes");
        let mut other = Tensor::zeros([4], (tch::Kind::Float, tch::Device::Cpu));
        assert!(
            reader.copy_tensor("floats", &mut other).is_err(),
            "another size"
        );
        assert!(
            reader.copy_tensor("bytes", &mut other).is_err(),
            "another kind"
        );
        assert!(reader.bytes("nothing").is_err());
        assert!(reader.json::<Figures>("nan").is_err(), "another form");
    }
}
