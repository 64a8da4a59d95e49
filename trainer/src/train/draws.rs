//! What a training draws at random, in the order in which a PyTorch script would draw it: the division of
//! the images, the first weights, and from then on an order of images for every epoch and a number for
//! every evaluation on the way.
//!
//! Weights to start from replace the drawn ones, which are drawn all the same: a script builds its network
//! before it loads a state dict into it.
//!
//! The script that is meant calls `manual_seed(seed)`, `random_split`, builds the network, and goes through
//! a `DataLoader` with `shuffle=True` in every epoch and one without for every validation.

use super::bundle::{Bundle, Kept, refuse};
use super::parameters::Shape;
use super::rng::Mt19937;
use super::split::Division;
use super::{Plan, TrainError};
use digits_checkpoint::Layer;

/// The stream of random numbers of a training that has begun.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draws {
    generator: Mt19937,
}

/// What is drawn before the first step.
#[derive(Clone, Debug)]
pub struct Beginning {
    /// The division of the images.
    pub division: Division,
    /// The first weights.
    pub layers: Vec<Layer>,
    /// The stream from there on.
    pub draws: Draws,
}

impl Draws {
    /// Draws what `plan` needs before the first step on a data set with that many training images.
    ///
    /// # Errors
    /// [`TrainError::Plan`] naming `data.split`.
    pub fn begin(plan: &Plan, images: usize) -> Result<Beginning, TrainError> {
        let mut generator = Mt19937::new(plan.seed);
        let division = match plan.split_seed {
            None => Division::draw(plan.split, images, &mut generator)?,
            Some(seed) => Division::draw(plan.split, images, &mut Mt19937::new(seed))?,
        };
        generator.skip(plan.generator_skip);
        let drawn = Shape::of(&plan.architecture).initial(&mut generator);
        let layers = match &plan.first_weights {
            Some(first) => first.layers().to_vec(),
            None => drawn,
        };
        Ok(Beginning {
            division,
            layers,
            draws: Self { generator },
        })
    }

    /// The order of an epoch: numbers from 0 to `images` − 1. A shuffling `DataLoader` draws a number that
    /// only its workers need, then the seed of a generator of its own, which makes the permutation.
    #[must_use = "drawing moves the stream on"]
    pub fn order(&mut self, images: usize) -> Vec<u32> {
        order(self.order_seed(), images)
    }

    /// The seed of that generator: all that must be kept of an epoch's order.
    #[must_use = "drawing moves the stream on"]
    pub(super) fn order_seed(&mut self) -> u64 {
        self.generator.int64();
        self.generator.int64() as u64
    }

    /// What the `DataLoader` of an evaluation draws, and has no use for.
    pub fn evaluation(&mut self) {
        self.generator.int64();
    }

    pub(super) fn save(&self, bundle: &mut Bundle) {
        bundle.bytes("generator", self.generator.to_bytes());
    }

    pub(super) fn restore(&mut self, kept: &Kept<'_>) -> Result<(), TrainError> {
        self.generator = Mt19937::from_bytes(kept.bytes("generator")?)
            .ok_or_else(|| refuse("its generator is none"))?;
        Ok(())
    }
}

/// The order of an epoch by its seed: numbers from 0 to `images` − 1.
pub(super) fn order(seed: u64, images: usize) -> Vec<u32> {
    Mt19937::new(seed).permutation(images)
}
