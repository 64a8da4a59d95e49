//! The state of a training as bytes, to go on from later: named tensors in the safetensors form, and in its
//! metadata the figures that go with them, as JSON.
//!
//! What lies under which name is decided by the parts of the state, each of which has a `save` and a
//! `restore`; here is only the form. A flipped bit is not noticed here: whoever keeps the bytes keeps a digest
//! beside them.

use super::TrainError;
use super::parameters::host;
use digits_checkpoint::manifest::Evaluation;
use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};
use std::collections::HashMap;
use tch::Tensor;

/// The metadata's only key: with two, a hash map would decide the order of the bytes.
const FIGURES: &str = "figures";

/// What a training needs to go on from where it was, copied out of its tensors, so that it can be encoded and
/// kept by another thread.
#[derive(Clone, Debug)]
pub struct Bundle {
    /// Steps done over all epochs.
    pub step: u64,
    /// Epochs done.
    pub epoch: u32,
    floats: Vec<(&'static str, Vec<f32>)>,
    bytes: Vec<(&'static str, Vec<u8>)>,
    figures: Map<String, Value>,
}

impl Bundle {
    pub(super) fn new(step: u64, epoch: u32) -> Self {
        Self {
            step,
            epoch,
            floats: Vec::new(),
            bytes: Vec::new(),
            figures: Map::new(),
        }
    }

    /// Puts a copy of a float32 tensor in; its shape is not kept.
    pub(super) fn tensor(&mut self, name: &'static str, tensor: &Tensor) -> Result<(), TrainError> {
        self.floats.push((name, host(tensor)?));
        Ok(())
    }

    /// Puts bytes in.
    pub(super) fn bytes(&mut self, name: &'static str, bytes: Vec<u8>) {
        self.bytes.push((name, bytes));
    }

    /// Puts figures in; floats among them must be [`Exact`].
    pub(super) fn figures(&mut self, name: &'static str, figures: &impl Serialize) {
        let value = serde_json::to_value(figures).expect("figures are numbers under names");
        self.figures.insert(name.to_owned(), value);
    }

    /// The bytes to keep. Takes its time with large networks: not for the training's thread.
    ///
    /// # Panics
    /// Never: a header of a few names is within the form's limits.
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
            TensorView::new(dtype, vec![count], data).expect("as many values as said")
        };
        let floats = floats
            .iter()
            .map(|(name, count, data)| (*name, view(Dtype::F32, *count, data)));
        let bytes = self
            .bytes
            .iter()
            .map(|(name, data)| (*name, view(Dtype::U8, data.len(), data)));
        let figures = Value::Object(self.figures.clone()).to_string();
        let metadata = HashMap::from([(FIGURES.to_owned(), figures)]);
        safetensors::serialize(floats.chain(bytes), Some(metadata))
            .expect("a header of a few names is within the limits")
    }
}

/// A bundle's bytes, taken apart.
pub(super) struct Kept<'a> {
    tensors: SafeTensors<'a>,
    figures: Map<String, Value>,
}

impl<'a> Kept<'a> {
    pub(super) fn read(bytes: &'a [u8]) -> Result<Self, TrainError> {
        let bad = |_| refuse("it is not of the form of a bundle");
        let (_, header) = SafeTensors::read_metadata(bytes).map_err(bad)?;
        let tensors = SafeTensors::deserialize(bytes).map_err(bad)?;
        let figures = header.metadata().as_ref().and_then(|all| all.get(FIGURES));
        let figures = figures.and_then(|text| serde_json::from_str(text).ok());
        let figures = figures.ok_or_else(|| refuse("it has no figures"))?;
        Ok(Self { tensors, figures })
    }

    /// Copies what was kept of a tensor into one of as many numbers.
    pub(super) fn tensor(&self, name: &str, into: &mut Tensor) -> Result<(), TrainError> {
        let data = self.data(name, Dtype::F32)?;
        let values: Vec<f32> = data
            .chunks_exact(4)
            .map(|four| f32::from_le_bytes([four[0], four[1], four[2], four[3]]))
            .collect();
        if values.len() != into.numel() {
            return Err(refuse(&format!("`{name}` is of another size")));
        }
        into.f_copy_(&Tensor::f_from_slice(&values)?.f_view_as(into)?)?;
        Ok(())
    }

    /// Bytes that were kept.
    pub(super) fn bytes(&self, name: &str) -> Result<&'a [u8], TrainError> {
        self.data(name, Dtype::U8)
    }

    /// Figures that were kept.
    pub(super) fn figures<T: DeserializeOwned>(&self, name: &str) -> Result<T, TrainError> {
        let value = self.figures.get(name).cloned();
        let figures = value.and_then(|value| serde_json::from_value(value).ok());
        figures.ok_or_else(|| refuse(&format!("it has no figures `{name}`")))
    }

    fn data(&self, name: &str, dtype: Dtype) -> Result<&'a [u8], TrainError> {
        let found = self.tensors.tensor(name).ok();
        let fitting = found.filter(|found| found.dtype() == dtype);
        let data = fitting.map(|found| found.data());
        data.ok_or_else(|| refuse(&format!("it has no `{name}`")))
    }
}

/// A bundle cannot be gone on from.
pub(super) fn refuse(reason: &str) -> TrainError {
    TrainError::Bundle(reason.to_owned())
}

/// A float64 that comes through JSON with every bit, NaN included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Exact(u64);

impl From<f64> for Exact {
    fn from(value: f64) -> Self {
        Self(value.to_bits())
    }
}

impl From<Exact> for f64 {
    fn from(exact: Exact) -> Self {
        Self::from_bits(exact.0)
    }
}

/// An [`Evaluation`] with every bit.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct ExactEvaluation {
    images: u64,
    correct: u64,
    loss: Exact,
    loss_batch_mean: Exact,
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
        loss: Exact,
    }

    fn bundle() -> Bundle {
        let mut bundle = Bundle::new(7, 1);
        let tensor = Tensor::from_slice(&[1.0_f32, -0.0, f32::MIN_POSITIVE / 2.0]);
        bundle.tensor("floats", &tensor).expect("main memory");
        bundle.bytes("bytes", vec![1, 2, 255]);
        let loss = Exact::from(0.1 + 0.2);
        let count = u64::MAX;
        bundle.figures("figures", &Figures { count, loss });
        bundle.figures("nan", &Exact::from(f64::NAN));
        bundle
    }

    #[test]
    fn every_bit_comes_back() {
        let bytes = bundle().encode();
        assert_eq!(bytes, bundle().encode(), "the same state, the same bytes");
        let kept = Kept::read(&bytes).expect("its own bytes");
        let mut tensor = Tensor::zeros([3], (tch::Kind::Float, tch::Device::Cpu));
        kept.tensor("floats", &mut tensor).expect("the same size");
        let values = host(&tensor).expect("main memory");
        let bits: Vec<u32> = values.iter().map(|value| value.to_bits()).collect();
        let expected = [1.0_f32, -0.0, f32::MIN_POSITIVE / 2.0].map(f32::to_bits);
        assert_eq!(bits, expected);
        assert_eq!(kept.bytes("bytes").expect("there"), [1, 2, 255]);
        let figures: Figures = kept.figures("figures").expect("there");
        assert_eq!(figures.count, u64::MAX);
        assert_eq!(f64::from(figures.loss), 0.1 + 0.2);
        let nan: Exact = kept.figures("nan").expect("there");
        assert!(f64::from(nan).is_nan());
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let bytes = bundle().encode();
        for cut in [0, 7, 20, bytes.len() - 1] {
            assert!(Kept::read(&bytes[..cut]).is_err(), "cut at {cut}");
        }
        let kept = Kept::read(&bytes).expect("its own bytes");
        let mut other = Tensor::zeros([4], (tch::Kind::Float, tch::Device::Cpu));
        assert!(kept.tensor("floats", &mut other).is_err(), "another size");
        assert!(kept.tensor("bytes", &mut other).is_err(), "another kind");
        assert!(kept.bytes("nothing").is_err());
        assert!(kept.figures::<Figures>("nan").is_err(), "another form");
    }
}
