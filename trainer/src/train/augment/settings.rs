//! Settings of the augmentation.

/// Side in pixels of the image that the lengths of an [`Augmentation`] refer to. They scale with
/// height and width.
pub(super) const REFERENCE_SIDE: usize = 28;

/// Random changes to the images of a batch. A part at 0 is off.
#[derive(Clone, Debug, PartialEq)]
pub struct Augmentation {
    /// Largest rotation in either direction, in degrees.
    pub rotation_degrees: f64,
    /// Largest shear in either direction, in degrees.
    pub shear_degrees: f64,
    /// Smallest scale; height and width are scaled independently.
    pub scale_min: f64,
    /// Largest scale.
    pub scale_max: f64,
    /// Largest shift along each axis, in pixels of an image of 28 × 28 pixels.
    pub shift_pixels: f64,
    /// Simard's α, in pixels of such an image.
    pub elastic_alpha: f64,
    /// Simard's σ, in pixels of such an image.
    pub elastic_sigma: f64,
    /// Largest standard deviation of the noise, as a share of full ink; half of the images have
    /// none.
    pub noise: f64,
    /// Whether strokes become thicker, thinner or softer, and the levels of ink and background
    /// change.
    pub pen: bool,
    /// Share of a batch that outliers replace; their target is the uniform distribution.
    pub outlier_share: f64,
    /// Whether images of a label are rotated and sheared half as far, by label; missing labels are
    /// not.
    pub half_angles: Vec<bool>,
}

impl Augmentation {
    /// Number of outliers in a batch of `images` images: its last ones.
    pub(in super::super) fn outliers(&self, images: usize) -> usize {
        (self.outlier_share * images as f64).round() as usize
    }

    /// Whether the geometry changes at all.
    pub(super) fn moves(&self) -> bool {
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
pub(in super::super) struct Size {
    pub(in super::super) height: usize,
    pub(in super::super) width: usize,
}
