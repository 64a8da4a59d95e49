//! Applies an augmentation to batches of one size.

use super::super::philox::{Philox, Purpose, StepPosition};
use super::super::{Precision, TrainError, tf32};
use super::affine::{self, Affine};
use super::elastic::Elastic;
use super::pen::Pen;
use super::{Augmentation, Size};
use tch::{Device, Kind, Tensor};

/// libtorch's numbers for bilinear sampling with zeros beyond the border.
const BILINEAR: i64 = 0;
const ZEROS: i64 = 0;

/// Augments batches of one size.
pub(in super::super) struct Augmenter {
    /// The unchanged images, float32, [images, 1, height, width].
    plain: Tensor,
    geometry: Option<Geometry>,
    pen: Option<Pen>,
}

impl Augmenter {
    pub(in super::super) fn new(
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

    /// Writes the augmented images into `out`, float32, from `raw`, u8, both [images, height ×
    /// width] and from 0 to 255. The labels choose the images that are rotated less.
    pub(in super::super) fn run(
        &mut self,
        raw: &Tensor,
        labels: &[u16],
        out: &mut Tensor,
        at: StepPosition,
    ) -> Result<(), TrainError> {
        // The coordinates of pixels are matrix products.
        let _tf32 = tf32::scope(Precision::Float32, self.plain.device());
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

/// Computes the source coordinates of each pixel.
struct Geometry {
    affine: Affine,
    elastic: Option<Elastic>,
    /// Homogeneous coordinates of the pixels from the image's centre, [images, 3, height × width],
    /// a view of one image's.
    pixels: Tensor,
    /// Source coordinates, [images, 2, height × width], from −1 to 1 as of `grid_sample`.
    sources: Tensor,
    /// The same memory as a view for `grid_sample`, [images, height, width, 2].
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
        let sources = Tensor::f_zeros([count, 2, rows * columns], options)?;
        let elastic =
            (settings.elastic_alpha != 0.0).then(|| Elastic::new(settings, size, images, device));
        Ok(Self {
            affine: Affine::new(settings, size),
            elastic: elastic.transpose()?,
            pixels: Tensor::f_from_slice(&affine::pixels(size))?
                .f_to_device(device)?
                .f_view([1, 3, rows * columns])?
                .f_expand([count, 3, rows * columns], false)?,
            grid: sources
                .f_view([count, 2, rows, columns])?
                .f_permute([0, 2, 3, 1])?,
            sources,
        })
    }

    fn grid(&mut self, labels: &[u16], at: StepPosition) -> Result<&Tensor, TrainError> {
        let matrices = self
            .affine
            .draw(labels, &mut Philox::new(at, Purpose::Geometry));
        let matrices = Tensor::f_from_slice(&matrices)?
            .f_to_device(self.sources.device())?
            .f_view([labels.len() as i64, 2, 3])?;
        if let Some(elastic) = &mut self.elastic {
            let field = elastic.field(&mut Philox::new(at, Purpose::Elastic))?;
            let _ = field.f_baddbmm_out(&self.sources, &matrices, &self.pixels)?;
        } else {
            let _ = matrices.f_bmm_out(&self.sources, &self.pixels)?;
        }
        Ok(&self.grid)
    }
}
