//! Dropout, as `torch.nn.functional.dropout`: each step zeroes a share p of the hidden units and
//! scales the others by 1 / (1 − p) (N. Srivastava et al., JMLR 15, 2014).
//!
//! The choice is a pure function of (seed, epoch, step, layer), so bundles hold nothing of it. The
//! choices of many steps are drawn and uploaded together; a step waits for its own upload only if
//! its choices fill [`BLOCK_BYTES`].

use super::TrainError;
use super::parameters::Shape;
use super::philox::{Philox, Purpose, StepPosition};
use tch::{Kind, Tensor};

/// Choices that are uploaded together, one byte each, unless a single step needs more.
const BLOCK_BYTES: usize = 4 << 20;
/// Steps of a block, at most.
const BLOCK_STEPS: usize = 256;

/// RngStream the masks of every step.
pub(super) struct Dropout {
    share: f64,
    seed: u64,
    /// Units of the hidden layers.
    widths: Vec<usize>,
    batch_size: usize,
    steps_per_epoch: u64,
    device: tch::Device,
    block: Option<Block>,
}

/// The choices of consecutive steps: batch size × width bytes for each layer of each step, 1 for a
/// unit that is kept.
struct Block {
    epoch: u32,
    first: u64,
    steps: u64,
    kept: Tensor,
}

impl Dropout {
    /// `None` if no unit is ever dropped.
    pub(super) fn new(
        share: f64,
        seed: u64,
        shape: &Shape,
        batch_size: usize,
        steps_per_epoch: u64,
        device: tch::Device,
    ) -> Option<Self> {
        let (_, hidden) = shape.split();
        (share > 0.0 && !hidden.is_empty()).then(|| Self {
            share,
            seed,
            widths: hidden.iter().map(|layer| layer.outputs).collect(),
            batch_size,
            steps_per_epoch,
            device,
            block: None,
        })
    }

    /// Fills the masks of a step, [images, width] of each hidden layer, with 0 or 1 / (1 − p).
    pub(super) fn fill(
        &mut self,
        masks: &mut [Tensor],
        epoch: u32,
        step_in_epoch: u64,
    ) -> Result<(), TrainError> {
        let fresh = |block: &Block| {
            block.epoch == epoch
                && (block.first..block.first + block.steps).contains(&step_in_epoch)
        };
        let block = match self.block.take().filter(fresh) {
            Some(block) => block,
            None => self.draw(epoch, step_in_epoch)?,
        };
        let mut at = (step_in_epoch - block.first) as usize * self.bytes_per_step();
        for (mask, width) in masks.iter_mut().zip(&self.widths) {
            let kept = block.kept.f_narrow(0, at as i64, mask.numel() as i64)?;
            mask.f_copy_(&kept.f_view_as(mask)?)?;
            let _ = mask.f_mul_scalar_(1.0 / (1.0 - self.share))?;
            at += self.batch_size * width;
        }
        self.block = Some(block);
        Ok(())
    }

    fn bytes_per_step(&self) -> usize {
        self.batch_size * self.widths.iter().sum::<usize>()
    }

    fn draw(&self, epoch: u32, first: u64) -> Result<Block, TrainError> {
        let bytes = self.bytes_per_step();
        let left = self.steps_per_epoch.saturating_sub(first).max(1);
        let steps = left.min((BLOCK_BYTES / bytes).clamp(1, BLOCK_STEPS) as u64);
        let mut kept = Vec::with_capacity(bytes * steps as usize);
        for step in first..first + steps {
            let at = StepPosition {
                seed: self.seed,
                epoch,
                step: step as u32,
            };
            for (layer, width) in self.widths.iter().enumerate() {
                kept.extend(choices(
                    at,
                    layer as u8,
                    self.share,
                    self.batch_size * width,
                ));
            }
        }
        let size = [kept.len() as i64];
        Ok(Block {
            epoch,
            first,
            steps,
            kept: Tensor::f_from_data_size(&kept, &size, Kind::Uint8)?.f_to_device(self.device)?,
        })
    }
}

/// Whether each unit of each image is kept.
fn choices(at: StepPosition, layer: u8, share: f64, count: usize) -> impl Iterator<Item = u8> {
    let mut numbers = vec![0.0; count];
    Philox::new(at, Purpose::Dropout(layer)).uniform(&mut numbers);
    numbers
        .into_iter()
        .map(move |number| u8::from(f64::from(number) >= share))
}

#[cfg(test)]
mod tests {
    use super::super::parameters::host;
    use super::*;
    use digits_checkpoint::manifest::{Activation, Architecture};

    fn shape(hidden: &[usize]) -> Shape {
        Shape::of(&Architecture {
            input_size: 5,
            hidden: hidden.to_vec(),
            classes: 3,
            activation: Activation::Relu,
        })
    }

    fn drawn(dropout: &mut Dropout, images: i64, epoch: u32, step: u64) -> Vec<Vec<f32>> {
        let mut masks: Vec<Tensor> = dropout
            .widths
            .iter()
            .map(|&width| {
                let size = [images, width as i64];
                Tensor::zeros(size, (Kind::Float, tch::Device::Cpu))
            })
            .collect();
        dropout.fill(&mut masks, epoch, step).expect("masks");
        masks.iter().map(|mask| host(mask).expect("host")).collect()
    }

    fn dropout(seed: u64) -> Dropout {
        Dropout::new(0.25, seed, &shape(&[40, 30]), 50, 1_000, tch::Device::Cpu).expect("a share")
    }

    #[test]
    fn dropout_zeroes_a_share_and_scales_the_other_units() {
        let mut source = dropout(1);
        let mut all: Vec<f32> = Vec::new();
        for step in 0..40 {
            all.extend(drawn(&mut source, 50, 0, step).concat());
        }
        let louder = (1.0_f64 / 0.75) as f32;
        assert!(all.iter().all(|&mask| mask == 0.0 || mask == louder));
        let left_out = all.iter().filter(|&&mask| mask == 0.0).count() as f64 / all.len() as f64;
        // 140,000 choices: four standard deviations are 0.0046.
        assert!((left_out - 0.25).abs() < 0.005, "{left_out}");
    }

    #[test]
    fn masks_depend_only_on_seed_epoch_step_and_layer() {
        let mut steady = dropout(1);
        let first = drawn(&mut steady, 50, 0, 0);
        let later = drawn(&mut steady, 50, 3, 300);
        // In the middle of a block, after another epoch, and for a short batch.
        assert_eq!(drawn(&mut dropout(1), 50, 3, 300), later);
        assert_eq!(drawn(&mut steady, 50, 0, 0), first);
        let short = drawn(&mut dropout(1), 7, 3, 300);
        for (short, whole) in short.iter().zip(&later) {
            assert_eq!(*short, whole[..short.len()]);
        }
        for other in [
            drawn(&mut dropout(2), 50, 0, 0),
            drawn(&mut dropout(1), 50, 1, 0),
            drawn(&mut dropout(1), 50, 0, 1),
        ] {
            assert_ne!(other, first);
        }
        assert_ne!(first[0][..1_500], first[1][..], "each layer has its own");
    }

    #[test]
    fn no_masks_are_drawn_without_dropout() {
        assert!(Dropout::new(0.0, 1, &shape(&[4]), 2, 9, tch::Device::Cpu).is_none());
        assert!(Dropout::new(0.5, 1, &shape(&[]), 2, 9, tch::Device::Cpu).is_none());
    }
}
