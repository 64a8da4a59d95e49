//! Images and labels on the training's device, as raw bytes that are scaled batch by batch.

use super::augment::{Augmenter, Outliers, Replaced, Replacements, Size};
use super::philox::StepPosition;
use super::{Plan, TrainError};
use digits_checkpoint::manifest::InputSpec;
use digits_dataset::LabelledImages;
use tch::{Kind, Tensor};

/// Labelled images on a device.
pub(super) struct DeviceImages {
    /// u8, [images, height × width].
    pub(super) pixels: Tensor,
    /// int64, [images].
    pub(super) labels: Tensor,
}

impl DeviceImages {
    pub(super) fn upload(data: &LabelledImages, device: tch::Device) -> Result<Self, TrainError> {
        let images = &data.images;
        let size = [images.count as i64, (images.height * images.width) as i64];
        let labels: Vec<i64> = data.labels.iter().map(|&label| i64::from(label)).collect();
        Ok(Self {
            pixels: Tensor::f_from_data_size(&images.pixels, &size, Kind::Uint8)?
                .f_to_device(device)?,
            labels: Tensor::f_from_slice(&labels)?.f_to_device(device)?,
        })
    }

    /// The images with these numbers, in this order.
    pub(super) fn select(&self, numbers: &[u32]) -> Result<Self, TrainError> {
        let index = self.index(numbers)?;
        Ok(Self {
            pixels: self.pixels.f_index_select(0, &index)?,
            labels: self.labels.f_index_select(0, &index)?,
        })
    }

    /// Numbers of images as libtorch's int64, on this device.
    pub(super) fn index(&self, numbers: &[u32]) -> Result<Tensor, TrainError> {
        let numbers: Vec<i64> = numbers.iter().map(|&number| i64::from(number)).collect();
        Ok(Tensor::f_from_slice(&numbers)?.f_to_device(self.pixels.device())?)
    }
}

/// Scales raw pixels, already as floats, in place to inputs of the network: (x / scale − mean) /
/// std.
pub(super) fn scale(values: &mut Tensor, input: &InputSpec) -> Result<(), TrainError> {
    let _ = values.f_div_scalar_(f64::from(input.scale))?;
    // Operations without effect are skipped.
    if input.mean != 0.0 {
        let _ = values.f_sub_scalar_(f64::from(input.mean))?;
    }
    if input.std != 1.0 {
        let _ = values.f_div_scalar_(f64::from(input.std))?;
    }
    Ok(())
}

/// The images of a batch.
pub(super) struct BatchRequest<'a> {
    /// Their numbers, int64, [images], on the device.
    pub(super) index: &'a Tensor,
    /// Their labels; empty without augmentation.
    pub(super) labels: &'a [u16],
    /// The digit of each label, with `styles`.
    pub(super) digits: &'a [u8],
    /// Source of the outliers.
    pub(super) outliers: Outliers<'a>,
    /// The step of the batch.
    pub(super) at: StepPosition,
}

/// Buffers for the images of one batch.
pub(super) struct Batch {
    /// u8, [images, height × width].
    raw: Tensor,
    /// View of the last images of `raw`, which drawn ones replace, and their numbers.
    replaced: Option<(Tensor, Replaced)>,
    size: Size,
    augmenter: Option<Augmenter>,
    /// The inputs of the network, [images, height × width].
    pub(super) values: Tensor,
}

impl Batch {
    pub(super) fn new(
        images: usize,
        plan: &Plan,
        options: (Kind, tch::Device),
    ) -> Result<Self, TrainError> {
        let InputSpec { height, width, .. } = plan.input;
        let size = [images as i64, (height * width) as i64];
        let augmenter = plan
            .augmentation
            .as_ref()
            .map(|settings| Augmenter::new(settings, Size { height, width }, images, options.1));
        let raw = Tensor::f_zeros(size, (Kind::Uint8, options.1))?;
        let counts = plan.replaced(images);
        let replaced = match counts.all() {
            0 => None,
            all => Some((raw.f_narrow(0, (images - all) as i64, all as i64)?, counts)),
        };
        Ok(Self {
            raw,
            replaced,
            size: Size { height, width },
            augmenter: augmenter.transpose()?,
            values: Tensor::f_zeros(size, options)?,
        })
    }

    /// Fills the batch with the requested images, augmented and scaled.
    pub(super) fn gather(
        &mut self,
        from: &DeviceImages,
        request: &BatchRequest<'_>,
        input: &InputSpec,
    ) -> Result<(), TrainError> {
        let index = request.index;
        let _ = from.pixels.f_index_select_out(&self.raw, 0, index)?;
        if let Some((raw, counts)) = &mut self.replaced {
            let first = request.labels.len() - counts.all();
            let digits: Vec<u8> = request.labels[first..first + counts.styles]
                .iter()
                .map(|&label| request.digits[usize::from(label)])
                .collect();
            let drawn = Replacements {
                counts: *counts,
                digits: &digits,
                size: self.size,
                outliers: request.outliers,
            }
            .draw(request.at);
            raw.f_copy_(&Tensor::f_from_slice(&drawn)?.f_view_as(raw)?)?;
        }
        match &mut self.augmenter {
            Some(augmenter) => {
                augmenter.run(&self.raw, request.labels, &mut self.values, request.at)?;
            }
            None => self.values.f_copy_(&self.raw)?,
        }
        scale(&mut self.values, input)
    }
}
