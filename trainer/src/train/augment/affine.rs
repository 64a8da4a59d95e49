//! Random affine maps: rotation, shear, scale and shift of each image as a matrix.

use super::super::philox::Philox;
use super::settings::{Augmentation, REFERENCE_SIDE, Size};

/// Random numbers per image, of which two are unused.
const DRAWS: usize = 8;

/// RngStream matrices.
pub(super) struct Affine {
    size: Size,
    /// In radians.
    rotation: f32,
    /// In radians.
    shear: f32,
    scale_middle: f32,
    scale_reach: f32,
    /// As a share of the image's height or width.
    shift: f32,
    half_angles: Vec<bool>,
}

impl Affine {
    pub(super) fn new(settings: &Augmentation, size: Size) -> Self {
        let radians = |degrees: f64| degrees.to_radians() as f32;
        Self {
            size,
            rotation: radians(settings.rotation_degrees),
            shear: radians(settings.shear_degrees),
            scale_middle: ((settings.scale_max + settings.scale_min) / 2.0) as f32,
            scale_reach: ((settings.scale_max - settings.scale_min) / 2.0) as f32,
            shift: (settings.shift_pixels / REFERENCE_SIDE as f64) as f32,
            half_angles: settings.half_angles.clone(),
        }
    }

    /// For the image of each label a matrix, 2 × 3, from coordinates of the changed image, as of
    /// [`pixels`], to those in the source, as of `grid_sample`.
    pub(super) fn draw(&self, labels: &[u16], counter: &mut Philox) -> Vec<f32> {
        let mut numbers = vec![0.0; labels.len() * DRAWS];
        counter.signed(&mut numbers);
        let mut matrices = Vec::with_capacity(labels.len() * 6);
        for (label, numbers) in labels.iter().zip(numbers.chunks_exact(DRAWS)) {
            matrices.extend(self.matrix(*label, numbers));
        }
        matrices
    }

    /// With F = rotation · shear · scale and shift t, a point p moves to Fp + t, so the pixel at q
    /// comes from F⁻¹(q − t).
    fn matrix(&self, label: u16, numbers: &[f32]) -> [f32; 6] {
        let half = self.half_angles.get(usize::from(label)) == Some(&true);
        let reach = if half { 0.5 } else { 1.0 };
        let (sine, cosine) = (numbers[0] * self.rotation * reach).sin_cos();
        let slant = (numbers[1] * self.shear * reach).tan();
        let scale_x = self.scale_middle + numbers[2] * self.scale_reach;
        let scale_y = self.scale_middle + numbers[3] * self.scale_reach;
        let (width, height) = (self.size.width as f32, self.size.height as f32);
        let shift = (
            numbers[4] * self.shift * width,
            numbers[5] * self.shift * height,
        );
        let across = [
            (cosine + slant * sine) / scale_x,
            (sine - slant * cosine) / scale_x,
        ];
        let down = [-sine / scale_y, cosine / scale_y];
        // `grid_sample` counts from −1 to 1 between the outer edges of the outer pixels. The centre
        // of an even number of pixels is an edge, half a pixel before the origin of `pixels`.
        let row = |[x, y]: [f32; 2], side: f32| {
            let constant = -(x * shift.0 + y * shift.1) + 0.5;
            [x, y, constant].map(|factor| factor * 2.0 / side)
        };
        let ([a, b, c], [d, e, f]) = (row(across, width), row(down, height));
        [a, b, c, d, e, f]
    }
}

/// x, y and 1 of every pixel, from pixel (width / 2, height / 2), where MNIST has the digits'
/// centres of mass.
pub(super) fn pixels(size: Size) -> Vec<f32> {
    let Size { height, width } = size;
    let (middle_x, middle_y) = (width as f32 / 2.0, height as f32 / 2.0);
    let of_pixels = |of: fn(usize, usize) -> usize, middle: f32| {
        (0..height * width).map(move |at| of(at, width) as f32 - middle)
    };
    of_pixels(|at, width| at % width, middle_x)
        .chain(of_pixels(|at, width| at / width, middle_y))
        .chain(std::iter::repeat_n(1.0, height * width))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn affine(half_angles: Vec<bool>) -> Affine {
        let settings = Augmentation {
            rotation_degrees: 40.0,
            shear_degrees: 20.0,
            scale_min: 0.5,
            scale_max: 1.1,
            shift_pixels: 3.0,
            elastic_alpha: 0.0,
            elastic_sigma: 1.0,
            noise: 0.0,
            pen: false,
            outlier_share: 0.0,
            styles: 0.0,
            letters: 0.0,
            digits: Vec::new(),
            half_angles,
        };
        let size = Size {
            height: 20,
            width: 30,
        };
        Affine::new(&settings, size)
    }

    #[test]
    fn a_matrix_is_the_inverse_of_the_map() {
        let affine = affine(Vec::new());
        for numbers in [
            [0.0; DRAWS],
            [1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0],
            [0.3, -0.7, 0.9, -1.0, 0.5, -0.4, 0.0, 0.0],
            [-0.9, 0.8, -0.1, 0.6, -1.0, 0.9, 0.0, 0.0],
        ] {
            let (x, y) = (7.0_f32, -4.5_f32);
            let scaled = (x * (0.8 + numbers[2] * 0.3), y * (0.8 + numbers[3] * 0.3));
            let slant = (numbers[1] * 20_f32.to_radians()).tan();
            let slanted = (scaled.0 + slant * scaled.1, scaled.1);
            let (sine, cosine) = (numbers[0] * 40_f32.to_radians()).sin_cos();
            let seen = [
                slanted.0 * cosine - slanted.1 * sine + numbers[4] * 3.0 * 30.0 / 28.0,
                slanted.0 * sine + slanted.1 * cosine + numbers[5] * 3.0 * 20.0 / 28.0,
                1.0,
            ];
            let matrix = affine.matrix(0, &numbers);
            let dot = |row: &[f32]| row.iter().zip(seen).map(|(a, b)| a * b).sum::<f32>();
            // From −1 to 1 back to pixels from the centre.
            let from_x = (dot(&matrix[..3]) + 1.0) * 15.0 - 0.5 - 15.0;
            let from_y = (dot(&matrix[3..]) + 1.0) * 10.0 - 0.5 - 10.0;
            assert!((from_x - x).abs() < 1e-4 && (from_y - y).abs() < 1e-4);
        }
    }

    #[test]
    fn listed_labels_are_rotated_half_as_far() {
        let affine = affine(vec![false, true]);
        let turned = |label, by| affine.matrix(label, &[by, by, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]);
        assert_eq!(turned(0, 0.5), turned(1, 1.0));
        assert_eq!(turned(2, 0.5), turned(0, 0.5));
    }

    #[test]
    fn coordinates_start_at_the_centre() {
        let size = Size {
            height: 2,
            width: 3,
        };
        let expected = [
            [-1.5, -0.5, 0.5, -1.5, -0.5, 0.5],
            [-1.0, -1.0, -1.0, 0.0, 0.0, 0.0],
            [1.0; 6],
        ];
        assert_eq!(pixels(size), expected.concat());
    }
}
