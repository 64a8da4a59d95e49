//! Preview of an augmentation.

use super::super::TrainError;
use super::super::philox::StepPosition;
use super::{Augmentation, Augmenter, Size};
use digits_dataset::LabelledImages;
use tch::{Kind, Tensor};

/// The images as the first step of a training with this seed would see them, u8, [images, height ×
/// width]. Runs on the CPU.
///
/// # Errors
/// [`TrainError::Torch`].
pub fn preview(
    settings: &Augmentation,
    set: &LabelledImages,
    seed: u64,
) -> Result<Vec<u8>, TrainError> {
    let (height, width) = (set.images.height, set.images.width);
    let shape = [set.images.count as i64, (height * width) as i64];
    let raw = Tensor::f_from_data_size(&set.images.pixels, &shape, Kind::Uint8)?;
    let mut values = raw.f_to_kind(Kind::Float)?;
    let size = Size { height, width };
    let mut augmenter = Augmenter::new(settings, size, set.images.count, tch::Device::Cpu)?;
    let at = StepPosition {
        seed,
        epoch: 0,
        step: 0,
    };
    augmenter.run(&raw, &set.labels, &mut values, at)?;
    let rounded = values
        .f_round()?
        .f_clamp(0.0, 255.0)?
        .f_to_kind(Kind::Uint8)?;
    let mut pixels = vec![0; set.images.pixels.len()];
    let count = pixels.len();
    rounded.f_copy_data_u8(&mut pixels, count)?;
    Ok(pixels)
}
