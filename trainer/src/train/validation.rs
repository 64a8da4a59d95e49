//! Evaluation of a network on a fixed set of images.
//!
//! The set passes through the network in a few large chunks, not in a script's batches. The mean
//! over batches is computed afterwards from the losses of the images, in float64, and differs from
//! a script's by less than 1e-6.

use super::TrainError;
use super::device_images::{DeviceImages, scale};
use super::network::{Forward, Weights};
use super::parameters::{Shape, host};
use digits_checkpoint::manifest::{Activation, Evaluation, InputSpec};
use tch::{Kind, Tensor};

/// Floats of the widest layer of a chunk.
const CHUNK_FLOATS: usize = 2 << 20;
/// Scaled images are cached up to this size; those of larger sets are scaled at each evaluation.
const MAX_CACHED_FLOATS: usize = 128 << 20;

/// A set of images with the buffers of its evaluation.
pub(super) struct EvaluationSet {
    set: DeviceImages,
    /// All images scaled, [images, inputs], if they are cached.
    scaled: Option<Tensor>,
    input: InputSpec,
    images: usize,
    batch_size: usize,
    chunks: Vec<Chunk>,
    /// Buffers for full chunks, and for the last one if it is shorter.
    forwards: Vec<Forward>,
    /// Loss of each image, [images].
    losses: Tensor,
    /// Whether each image was classified correctly, [images].
    hits: Tensor,
}

/// Consecutive images that pass through the network together.
struct Chunk {
    first: i64,
    images: i64,
    /// Index of the buffers of its size.
    forward: usize,
    labels: Tensor,
    losses: Tensor,
    hits: Tensor,
}

impl EvaluationSet {
    pub(super) fn new(
        set: DeviceImages,
        shape: &Shape,
        activation: Activation,
        input: InputSpec,
        batch_size: usize,
    ) -> Result<Self, TrainError> {
        let device = set.pixels.device();
        let images = set.labels.size1()? as usize;
        let options = (Kind::Float, device);
        let scaled = if images * input.height * input.width <= MAX_CACHED_FLOATS {
            let mut values = set.pixels.f_to_kind(Kind::Float)?;
            scale(&mut values, &input)?;
            Some(values)
        } else {
            None
        };
        let losses = Tensor::f_zeros([images as i64], options)?;
        let hits = Tensor::f_zeros([images as i64], (Kind::Bool, device))?;
        let full = (CHUNK_FLOATS / shape.widest()).clamp(1, images);
        let mut forwards = vec![Forward::new(shape, activation, full, options)?];
        let mut chunks = Vec::with_capacity(images.div_ceil(full));
        for first in (0..images).step_by(full) {
            let count = full.min(images - first);
            if count < full {
                forwards.push(Forward::new(shape, activation, count, options)?);
            }
            let (first, count) = (first as i64, count as i64);
            chunks.push(Chunk {
                first,
                images: count,
                forward: forwards.len() - 1,
                labels: set.labels.f_narrow(0, first, count)?,
                losses: losses.f_narrow(0, first, count)?,
                hits: hits.f_narrow(0, first, count)?,
            });
        }
        Ok(Self {
            set,
            scaled,
            input,
            images,
            batch_size,
            chunks,
            forwards,
            losses,
            hits,
        })
    }

    /// Evaluates the weights; `None` when `stop` returned true in between.
    pub(super) fn evaluate(
        &mut self,
        weights: &Weights<'_>,
        stop: &dyn Fn() -> bool,
    ) -> Result<Option<Evaluation>, TrainError> {
        for chunk in &self.chunks {
            if stop() {
                return Ok(None);
            }
            let batch = self.batch(chunk)?;
            let forward = &mut self.forwards[chunk.forward];
            forward.run(&batch, weights)?;
            forward.image_losses(&chunk.labels, &chunk.losses)?;
            let _ = forward
                .logits
                .f_argmax(1, false)?
                .f_eq_tensor_out(&chunk.hits, &chunk.labels)?;
        }
        let correct = self.hits.f_sum(Kind::Int64)?.f_int64_value(&[])?;
        Ok(Some(summary(
            &host(&self.losses)?,
            u64::try_from(correct).unwrap_or(0),
            self.batch_size,
        )))
    }

    /// The logits of all images, [images, classes]; `None` when `stop` returned true in between.
    pub(super) fn logits(
        &mut self,
        weights: &Weights<'_>,
        stop: &dyn Fn() -> bool,
    ) -> Result<Option<Vec<f32>>, TrainError> {
        let mut logits = Vec::new();
        for chunk in &self.chunks {
            if stop() {
                return Ok(None);
            }
            let batch = self.batch(chunk)?;
            let forward = &mut self.forwards[chunk.forward];
            forward.run(&batch, weights)?;
            logits.extend(host(&forward.logits)?);
        }
        Ok(Some(logits))
    }

    /// The scaled images of a chunk.
    fn batch(&self, chunk: &Chunk) -> Result<Tensor, TrainError> {
        if let Some(scaled) = &self.scaled {
            return Ok(scaled.f_narrow(0, chunk.first, chunk.images)?);
        }
        let raw = self.set.pixels.f_narrow(0, chunk.first, chunk.images)?;
        let mut values = raw.f_to_kind(Kind::Float)?;
        scale(&mut values, &self.input)?;
        Ok(values)
    }

    /// Number of images.
    pub(super) fn images(&self) -> usize {
        self.images
    }
}

/// The mean loss over images, and the mean of the batches' mean losses.
pub(super) fn summary(losses: &[f32], correct: u64, batch_size: usize) -> Evaluation {
    let mut sum = 0.0;
    let mut sum_of_means = 0.0;
    for batch in losses.chunks(batch_size) {
        let total: f64 = batch.iter().map(|&loss| f64::from(loss)).sum();
        sum += total;
        sum_of_means += total / batch.len() as f64;
    }
    Evaluation {
        images: losses.len() as u64,
        correct,
        loss: sum / losses.len() as f64,
        loss_batch_mean: sum_of_means / losses.len().div_ceil(batch_size) as f64,
        batch_size: u32::try_from(batch_size).unwrap_or(u32::MAX),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_two_means_differ_where_the_last_batch_is_short() {
        let evaluation = summary(&[1.0, 2.0, 6.0], 2, 2);
        assert_eq!(evaluation.images, 3);
        assert_eq!(evaluation.loss, 3.0);
        assert_eq!(evaluation.loss_batch_mean, (1.5 + 6.0) / 2.0);
        assert_eq!(evaluation.batch_size, 2);
        assert!((evaluation.accuracy() - 2.0 / 3.0).abs() < 1e-12);
        let whole = summary(&[1.0, 2.0, 6.0], 0, 100);
        assert_eq!(whole.loss, whole.loss_batch_mean);
    }
}
