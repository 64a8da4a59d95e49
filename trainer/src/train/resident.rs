//! Images and labels on the training's device: raw bytes, scaled where they are used.

use super::TrainError;
use digits_checkpoint::manifest::InputSpec;
use digits_dataset::LabelledImages;
use tch::{Kind, Tensor};

/// A set of labelled images on a device.
pub(super) struct Resident {
    /// u8, [images, height × width].
    pub(super) pixels: Tensor,
    /// int64, [images].
    pub(super) labels: Tensor,
}

impl Resident {
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

    /// The images of these numbers, in this order.
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

/// Turns raw pixels in `values`, already floats, into what the network gets: (x / scale − mean) / std.
pub(super) fn scale(values: &mut Tensor, input: &InputSpec) -> Result<(), TrainError> {
    let _ = values.f_div_scalar_(f64::from(input.scale))?;
    // Where they would change nothing they are left out.
    if input.mean != 0.0 {
        let _ = values.f_sub_scalar_(f64::from(input.mean))?;
    }
    if input.std != 1.0 {
        let _ = values.f_div_scalar_(f64::from(input.std))?;
    }
    Ok(())
}

/// Memory for the images of one batch.
pub(super) struct Batch {
    /// u8, [images, height × width].
    raw: Tensor,
    /// The network's kind of float, the same size.
    pub(super) values: Tensor,
}

impl Batch {
    pub(super) fn new(
        images: usize,
        input: &InputSpec,
        options: (Kind, tch::Device),
    ) -> Result<Self, TrainError> {
        let size = [images as i64, (input.height * input.width) as i64];
        Ok(Self {
            raw: Tensor::f_zeros(size, (Kind::Uint8, options.1))?,
            values: Tensor::f_zeros(size, options)?,
        })
    }

    /// Fills it with the images whose numbers `index` holds.
    pub(super) fn gather(
        &mut self,
        from: &Resident,
        index: &Tensor,
        input: &InputSpec,
    ) -> Result<(), TrainError> {
        let _ = from.pixels.f_index_select_out(&self.raw, 0, index)?;
        self.values.f_copy_(&self.raw)?;
        scale(&mut self.values, input)
    }
}
