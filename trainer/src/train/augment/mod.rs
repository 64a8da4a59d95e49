//! Random changes to the images of a training batch, on the training's device, drawn anew for every batch.
//!
//! One resampling does what geometry does: every image is turned, sheared, scaled and shifted, and pulled
//! about by a smooth random field (P. Simard, D. Steinkraus, J. Platt, "Best practices for convolutional
//! neural networks applied to visual document analysis", ICDAR 2003). Then the pen, the levels and noise.
//!
//! Everything random is a pure function of seed, epoch and step: a training that goes on after an
//! interruption needs nothing of this module to be saved.
//!
//! Labels stay as they are, but for outliers, which take the place of images; and validation and test see the images as they are.

mod affine;
mod elastic;
mod outliers;
mod pen;
mod preview;
#[cfg(test)]
mod tests;

use super::counter::{Counter, Moment, Purpose};
use super::{Precision, TrainError, tf32};
pub(super) use outliers::Outliers;
pub use preview::preview;

use affine::Affine;
use elastic::Elastic;
use pen::Pen;
use tch::{Device, Kind, Tensor};

/// Side of the image whose pixels the lengths of an [`Augmentation`] are given in. On other images they
/// grow with height and width.
pub const REFERENCE_SIDE: usize = 28;

/// libtorch's numbers for bilinear sampling with zeros beyond the border.
const BILINEAR: i64 = 0;
const ZEROS: i64 = 0;

/// How the images of a batch are changed. A part at 0 is left out.
#[derive(Clone, Debug, PartialEq)]
pub struct Augmentation {
    /// Largest rotation to either side, in degrees.
    pub rotation_degrees: f64,
    /// Largest slant to either side, in degrees.
    pub shear_degrees: f64,
    /// Smallest factor of size, drawn for height and width apart.
    pub scale_min: f64,
    /// Largest factor of size.
    pub scale_max: f64,
    /// Largest shift along each axis, in pixels of an image of 28 × 28 pixels.
    pub shift_pixels: f64,
    /// Simard's α, in pixels of such an image.
    pub elastic_alpha: f64,
    /// Simard's σ, in pixels of such an image.
    pub elastic_sigma: f64,
    /// Largest standard deviation of the noise, as a share of full ink; half of the images get none.
    pub noise: f64,
    /// Whether strokes become thicker, thinner or softer and ink and background change in level.
    pub pen: bool,
    /// Share of a batch that outliers take the place of; their target is the same for every class.
    pub outlier_share: f64,
    /// Whether images of a label are turned and sheared half as far, by label; what is not named is not.
    pub half_angles: Vec<bool>,
}

impl Augmentation {
    /// How many images of a batch are outliers: the last ones.
    pub(super) fn outliers(&self, images: usize) -> usize {
        (self.outlier_share * images as f64).round() as usize
    }

    /// Whether geometry changes at all.
    fn moves(&self) -> bool {
        let Self {
            rotation_degrees,
            shear_degrees,
            shift_pixels,
            elastic_alpha,
            ..
        } = *self;
        let angles = rotation_degrees != 0.0 || shear_degrees != 0.0;
        let scales = self.scale_min != 1.0 || self.scale_max != 1.0;
        angles || scales || shift_pixels != 0.0 || elastic_alpha != 0.0
    }
}

/// Height and width of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Size {
    pub(super) height: usize,
    pub(super) width: usize,
}

/// Changes the images of batches of one size.
pub(super) struct Augmenter {
    /// The images as they come, float32, [images, 1, height, width].
    plain: Tensor,
    geometry: Option<Geometry>,
    pen: Option<Pen>,
}

impl Augmenter {
    pub(super) fn new(
        settings: &Augmentation,
        size: Size,
        images: usize,
        device: Device,
    ) -> Result<Self, TrainError> {
        let shape = [images, 1, size.height, size.width].map(|side| side as i64);
        let geometry = settings
            .moves()
            .then(|| Geometry::new(settings, size, images, device));
        Ok(Self {
            plain: Tensor::f_zeros(shape, (Kind::Float, device))?,
            geometry: geometry.transpose()?,
            pen: Pen::new(settings, size, images, device)?,
        })
    }

    /// Writes the changed images into `out`, [images, height × width], of which `raw` holds the pixels, u8, of
    /// the same shape; the labels say which images are turned less. Both in raw units, from 0 to 255.
    pub(super) fn run(
        &mut self,
        raw: &Tensor,
        labels: &[u16],
        out: &mut Tensor,
        at: Moment,
    ) -> Result<(), TrainError> {
        // The places of pixels are products too.
        let _launching = tf32::launching(Precision::Float32, self.plain.device());
        if let Some(geometry) = &mut self.geometry {
            self.plain.f_copy_(&raw.f_view_as(&self.plain)?)?;
            let grid = geometry.grid(labels, at)?;
            let out = out.f_view_as(&self.plain)?;
            let _ = self
                .plain
                .f_grid_sampler_2d_out(&out, grid, BILINEAR, ZEROS, false)?;
        } else {
            out.f_copy_(raw)?;
        }
        if let Some(pen) = &mut self.pen {
            pen.run(out, at)?;
        }
        Ok(())
    }
}

/// Where each pixel of a batch is taken from.
struct Geometry {
    affine: Affine,
    elastic: Option<Elastic>,
    /// Coordinates of the pixels from the image's middle and ones, [images, 3, height × width], one image's
    /// for all.
    pixels: Tensor,
    /// Where they are taken from, [images, 2, height × width], from −1 to 1 as the sampler counts.
    places: Tensor,
    /// The same memory as the sampler wants it, [images, height, width, 2].
    grid: Tensor,
}

impl Geometry {
    fn new(
        settings: &Augmentation,
        size: Size,
        images: usize,
        device: Device,
    ) -> Result<Self, TrainError> {
        let Size { height, width } = size;
        let [count, rows, columns] = [images, height, width].map(|side| side as i64);
        let options = (Kind::Float, device);
        let places = Tensor::f_zeros([count, 2, rows * columns], options)?;
        let elastic =
            (settings.elastic_alpha != 0.0).then(|| Elastic::new(settings, size, images, device));
        Ok(Self {
            affine: Affine::new(settings, size),
            elastic: elastic.transpose()?,
            pixels: Tensor::f_from_slice(&affine::pixels(size))?
                .f_to_device(device)?
                .f_view([1, 3, rows * columns])?
                .f_expand([count, 3, rows * columns], false)?,
            grid: places
                .f_view([count, 2, rows, columns])?
                .f_permute([0, 2, 3, 1])?,
            places,
        })
    }

    fn grid(&mut self, labels: &[u16], at: Moment) -> Result<&Tensor, TrainError> {
        let matrices = self
            .affine
            .draw(labels, &mut Counter::new(at, Purpose::Geometry));
        let matrices = Tensor::f_from_slice(&matrices)?
            .f_to_device(self.places.device())?
            .f_view([labels.len() as i64, 2, 3])?;
        if let Some(elastic) = &mut self.elastic {
            let field = elastic.field(&mut Counter::new(at, Purpose::Elastic))?;
            let _ = field.f_baddbmm_out(&self.places, &matrices, &self.pixels)?;
        } else {
            let _ = matrices.f_bmm_out(&self.places, &self.pixels)?;
        }
        Ok(&self.grid)
    }
}
