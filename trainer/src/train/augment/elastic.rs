//! Elastic distortion: a displacement field of blurred uniform noise (Simard et al. 2003).
//!
//! The blur is two products with a small matrix, one from each side, at a twentieth of the cost of
//! a convolution with so wide a kernel. The rows of the matrices are normalized so that the field
//! is as strong at the border as in the centre; zero padding would weaken it there.

use super::super::TrainError;
use super::super::philox::Philox;
use super::settings::{Augmentation, REFERENCE_SIDE, Size};
use tch::{Device, Kind, Tensor};

/// RngStream fields for batches of one size.
pub(super) struct Elastic {
    /// Left factor: blurs along y and sets the strength, [images × 2, height, height], a view of
    /// one matrix.
    down: Tensor,
    /// Right factor: blurs along x, [width, width].
    across: Tensor,
    /// Noise in main memory.
    numbers: Vec<f32>,
    /// [images × 2 × height, width].
    half_blurred: Tensor,
    /// [images × 2, height, width].
    blurred: Tensor,
    /// The same memory, [images, 2, height × width].
    field: Tensor,
}

impl Elastic {
    pub(super) fn new(
        settings: &Augmentation,
        size: Size,
        images: usize,
        device: Device,
    ) -> Result<Self, TrainError> {
        let Size { height, width } = size;
        let [count, rows, columns] = [images, height, width].map(|side| side as i64);
        let reference = REFERENCE_SIDE as f64;
        let sigma = |side: usize| settings.elastic_sigma * side as f64 / reference;
        let strength =
            strength(settings.elastic_alpha, size) * norm(sigma(height)) * norm(sigma(width));
        let down: Vec<f32> = blur(height, sigma(height))
            .into_iter()
            .map(|factor| (factor * strength) as f32)
            .collect();
        // The right factor is transposed.
        let across: Vec<f32> = blur(width, sigma(width))
            .into_iter()
            .map(|factor| factor as f32)
            .collect();
        let options = (Kind::Float, device);
        let half_blurred = Tensor::f_zeros([count * 2 * rows, columns], options)?;
        let blurred = Tensor::f_zeros([count * 2, rows, columns], options)?;
        Ok(Self {
            down: Tensor::f_from_slice(&down)?
                .f_to_device(device)?
                .f_view([1, rows, rows])?
                .f_expand([count * 2, rows, rows], false)?,
            across: Tensor::f_from_slice(&across)?
                .f_to_device(device)?
                .f_view([columns, columns])?
                .f_transpose(0, 1)?
                .f_contiguous()?,
            numbers: vec![0.0; images * 2 * height * width],
            field: blurred.f_view([count, 2, rows * columns])?,
            half_blurred,
            blurred,
        })
    }

    /// A displacement field, [images, 2, height × width]: x and y in the units of `grid_sample`.
    pub(super) fn field(&mut self, counter: &mut Philox) -> Result<&Tensor, TrainError> {
        counter.signed(&mut self.numbers);
        let noise = Tensor::f_from_slice(&self.numbers)?
            .f_to_device(self.blurred.device())?
            .f_view_as(&self.half_blurred)?;
        let _ = noise.f_mm_out(&self.half_blurred, &self.across)?;
        let half_blurred = self.half_blurred.f_view_as(&self.blurred)?;
        let _ = self.down.f_bmm_out(&self.blurred, &half_blurred)?;
        Ok(&self.field)
    }
}

/// α in the units of `grid_sample`, where an image is 2 wide and 2 high. Simard's displacement is
/// proportional to α / σ, so for equal distortion α grows with the square of the image's side.
fn strength(alpha: f64, size: Size) -> f64 {
    let reference = REFERENCE_SIDE as f64;
    let growth = ((size.height * size.width) as f64).sqrt() / reference;
    2.0 * alpha * growth / reference
}

/// Root of the sum of squares of a Gaussian kernel whose sum is 1.
fn norm(sigma: f64) -> f64 {
    let reach = (6.0 * sigma).ceil() as i32 + 1;
    let weights = (-reach..=reach).map(|step| gaussian(step.into(), sigma));
    let (sum, squares) = weights.fold((0.0, 0.0), |(sum, squares), weight| {
        (sum + weight, squares + weight * weight)
    });
    squares.sqrt() / sum
}

/// The blur matrix, side × side: each row is a Gaussian around its own position, with norm 1.
fn blur(side: usize, sigma: f64) -> Vec<f64> {
    let mut matrix = Vec::with_capacity(side * side);
    for row in 0..side {
        let weights: Vec<f64> = (0..side)
            .map(|column| gaussian(column as f64 - row as f64, sigma))
            .collect();
        let norm = weights.iter().map(|it| it * it).sum::<f64>().sqrt();
        matrix.extend(weights.iter().map(|weight| weight / norm));
    }
    matrix
}

fn gaussian(distance: f64, sigma: f64) -> f64 {
    (-(distance / sigma).powi(2) / 2.0).exp()
}

#[cfg(test)]
mod tests {
    use super::super::super::parameters::host;
    use super::super::super::philox::{Purpose, StepPosition};
    use super::*;

    /// Fields of `images` images in pixels: x and y, image by image.
    fn fields(images: usize, (height, width): (usize, usize), alpha: f64, sigma: f64) -> Vec<f32> {
        let settings = Augmentation {
            rotation_degrees: 0.0,
            shear_degrees: 0.0,
            scale_min: 1.0,
            scale_max: 1.0,
            shift_pixels: 0.0,
            elastic_alpha: alpha,
            elastic_sigma: sigma,
            noise: 0.0,
            pen: false,
            outlier_share: 0.0,
            styles: 0.0,
            letters: 0.0,
            digits: Vec::new(),
            half_angles: Vec::new(),
        };
        let size = Size { height, width };
        let mut elastic = Elastic::new(&settings, size, images, Device::Cpu).expect("memory");
        let at = StepPosition {
            seed: 3,
            epoch: 0,
            step: 0,
        };
        let mut counter = Philox::new(at, Purpose::Elastic);
        let mut field = host(elastic.field(&mut counter).expect("libtorch")).expect("numbers");
        for (number, plane) in field.chunks_exact_mut(height * width).enumerate() {
            let side = if number % 2 == 0 { width } else { height };
            for value in plane {
                *value *= side as f32 / 2.0;
            }
        }
        field
    }

    fn root_mean_square(numbers: impl Iterator<Item = f32>) -> f32 {
        let (count, sum) =
            numbers.fold((0.0, 0.0), |(count, sum), it| (count + 1.0, sum + it * it));
        (sum / count).sqrt()
    }

    /// Simard's definition: uniform noise from −1 to 1, convolved with a Gaussian with sum 1, times
    /// α.
    #[test]
    fn displacement_is_about_a_pixel_and_grows_with_the_image() {
        for (alpha, sigma) in [(34.0, 4.0), (36.0, 5.0), (38.0, 6.0)] {
            let expected = alpha / (2.0 * sigma * std::f64::consts::PI.sqrt() * 3_f64.sqrt());
            for (size, growth) in [
                ((28, 28), (1.0, 1.0)),
                ((56, 56), (2.0, 2.0)),
                ((28, 56), (2.0, 1.0)),
            ] {
                let field = fields(100, size, alpha, sigma);
                let plane = size.0 * size.1;
                for (axis, growth) in [(0, growth.0), (1, growth.1)] {
                    let planes = field.chunks_exact(plane).skip(axis).step_by(2);
                    let found = root_mean_square(planes.flatten().copied());
                    let ratio = f64::from(found) / (expected * growth);
                    assert!((0.9..1.1).contains(&ratio), "{size:?}, σ {sigma}: {ratio}");
                }
            }
        }
    }

    #[test]
    fn the_field_is_smooth_and_equally_strong_at_the_border() {
        let field = fields(300, (28, 28), 36.0, 5.0);
        let at = |place: usize| root_mean_square(field.chunks_exact(784).map(|plane| plane[place]));
        let (corner, middle) = (at(0), at(14 * 28 + 14));
        assert!(
            (0.85..1.15).contains(&(corner / middle)),
            "{corner} {middle}"
        );
        // Uniform noise blurred by σ: a step changes it by its strength times 1 / (σ √2).
        let steps = field
            .chunks_exact(28)
            .flat_map(|row| row.windows(2).map(|it| it[1] - it[0]));
        let ratio = root_mean_square(steps) / root_mean_square(field.iter().copied());
        assert!((0.11..0.17).contains(&ratio), "{ratio}");
    }
}
