//! The random numbers of a training that a PyTorch script draws as well, in the script's order: the
//! split, the initial weights, then an order of images for every epoch and one unused number for
//! every validation.
//!
//! The script calls `manual_seed(seed)` and `random_split`, builds the network, and iterates a
//! `DataLoader` with `shuffle=True` in every epoch and one without for every validation.
//!
//! Given initial weights replace the drawn ones, which are still drawn: a script builds its
//! network before it loads a state dict into it.

use super::bundle::{Bundle, BundleReader, invalid};
use super::mt19937::Mt19937;
use super::parameters::Shape;
use super::split::SplitIndices;
use super::{Plan, TrainError};
use digits_checkpoint::Layer;

/// The random numbers from the first step on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RngStream {
    generator: Mt19937,
}

/// Everything that is drawn before the first step.
#[derive(Clone, Debug)]
pub struct InitialDraws {
    /// The split of the images.
    pub split: SplitIndices,
    /// The initial weights.
    pub layers: Vec<Layer>,
    /// Draws the rest.
    pub rng: RngStream,
}

impl RngStream {
    /// Draws what `plan` needs before the first step on a data set with `images` training images.
    ///
    /// # Errors
    /// [`TrainError::Plan`] naming `data.split`.
    pub fn begin(plan: &Plan, images: usize) -> Result<InitialDraws, TrainError> {
        let mut generator = Mt19937::new(plan.seed);
        let split = match plan.split_seed {
            None => SplitIndices::draw(plan.split, images, &mut generator)?,
            Some(seed) => SplitIndices::draw(plan.split, images, &mut Mt19937::new(seed))?,
        };
        generator.skip(plan.generator_skip);
        let drawn = Shape::of(&plan.architecture).initial(&mut generator);
        let layers = match &plan.initial_weights {
            Some(first) => first.layers().to_vec(),
            None => drawn,
        };
        Ok(InitialDraws {
            split,
            layers,
            rng: Self { generator },
        })
    }

    /// The order of an epoch: a permutation of 0 to `images` − 1. A shuffling `DataLoader` draws a
    /// number for its worker processes, then the seed of the generator that makes the permutation.
    #[must_use = "drawing moves the stream on"]
    pub fn order(&mut self, images: usize) -> Vec<u32> {
        order(self.order_seed(), images)
    }

    /// The seed of that generator, from which [`order`] rebuilds the order.
    #[must_use = "drawing moves the stream on"]
    pub(super) fn order_seed(&mut self) -> u64 {
        self.generator.int64();
        self.generator.int64() as u64
    }

    /// Skips the number that the `DataLoader` of a validation draws for its worker processes.
    pub fn skip_evaluation(&mut self) {
        self.generator.int64();
    }

    pub(super) fn save(&self, bundle: &mut Bundle) {
        bundle.put_bytes("generator", self.generator.to_bytes());
    }

    pub(super) fn restore(&mut self, reader: &BundleReader<'_>) -> Result<(), TrainError> {
        self.generator = Mt19937::from_bytes(reader.bytes("generator")?)
            .ok_or_else(|| invalid("its generator state is not that of an MT19937"))?;
        Ok(())
    }
}

/// The order of an epoch from its seed: a permutation of 0 to `images` − 1.
pub(super) fn order(seed: u64, images: usize) -> Vec<u32> {
    Mt19937::new(seed).permutation(images)
}
