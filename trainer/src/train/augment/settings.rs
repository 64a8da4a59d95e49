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
    /// Share of a batch that drawn digits of the same labels replace, in the styles of
    /// [`digits_dataset::styles`].
    pub styles: f64,
    /// Share of a batch that drawn letters replace; their target is that of outliers.
    pub letters: f64,
    /// The digit that each label stands for; not empty with `styles`.
    pub digits: Vec<u8>,
    /// Whether images of a label are rotated and sheared half as far, by label; missing labels are
    /// not.
    pub half_angles: Vec<bool>,
}

/// Numbers of images of a batch that are replaced. Digits come before letters, and outliers are the
/// last images.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in super::super) struct Replaced {
    pub(in super::super) styles: usize,
    pub(in super::super) letters: usize,
    pub(in super::super) outliers: usize,
}

impl Replaced {
    /// Images of no class.
    pub(in super::super) fn without_class(self) -> usize {
        self.letters + self.outliers
    }

    pub(in super::super) fn all(self) -> usize {
        self.styles + self.without_class()
    }
}

impl Augmentation {
    /// The images of a batch of `images` that are replaced; at least one stays.
    pub(in super::super) fn replaced(&self, images: usize) -> Replaced {
        let count = |share: f64| (share * images as f64).round() as usize;
        let outliers = count(self.outlier_share);
        let letters = count(self.letters).min(images.saturating_sub(outliers + 1));
        Replaced {
            styles: count(self.styles).min(images.saturating_sub(outliers + letters)),
            letters,
            outliers,
        }
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

#[cfg(test)]
mod tests {
    use super::super::tests::NOTHING;
    use super::*;

    #[test]
    fn replaced_images_are_at_most_all() {
        for (images, styles, letters, outlier_share, expected) in [
            (128, 0.0, 0.0, 0.0, [0, 0, 0]),
            (128, 0.1, 0.05, 0.25, [13, 6, 32]),
            (10, 0.5, 0.5, 0.5, [1, 4, 5]),
            (1, 0.5, 0.5, 0.0, [1, 0, 0]),
            (3, 0.5, 0.5, 0.5, [1, 0, 2]),
        ] {
            let settings = Augmentation {
                styles,
                letters,
                outlier_share,
                ..NOTHING
            };
            let found = settings.replaced(images);
            let counts = [found.styles, found.letters, found.outliers];
            assert_eq!(counts, expected, "{images} images");
            assert!(found.all() <= images);
        }
    }
}
