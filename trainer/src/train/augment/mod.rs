//! Random changes to the images of a training batch, on the training's device, drawn for every
//! batch.
//!
//! One resampling does all of the geometry: rotation, shear, scale, shift and a smooth random
//! displacement field (P. Simard, D. Steinkraus, J. Platt, "Best practices for convolutional neural
//! networks applied to visual document analysis", ICDAR 2003). Changes of pen and levels and noise
//! follow.
//!
//! All random numbers are a pure function of seed, epoch and step, so resume bundles hold nothing
//! of this module. Labels stay as they are, except for letters and outliers, which replace images.
//! Validation and test images are not changed.

mod affine;
mod augmenter;
mod elastic;
mod outliers;
mod pen;
mod preview;
mod replacements;
mod settings;
#[cfg(test)]
mod tests;

pub(super) use augmenter::Augmenter;
pub(super) use outliers::Outliers;
pub use preview::preview;
pub(super) use replacements::Replacements;
pub use settings::Augmentation;
pub(super) use settings::{Replaced, Size};
