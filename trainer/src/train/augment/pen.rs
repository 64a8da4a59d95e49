//! Pen and noise: thicker, thinner or softer strokes, other levels of ink and background, and
//! Gaussian noise.
//!
//! Each change leaves half of the images alone, so that the network also sees clean ones.

use super::super::TrainError;
use super::super::philox::{Philox, Purpose, StepPosition};
use super::settings::{Augmentation, REFERENCE_SIDE, Size};
use tch::{Device, Kind, Tensor};

/// Full ink in raw units.
const INK: f32 = 255.0;
/// Random numbers per image.
const DRAWS: usize = 4;
/// Largest weight of the dilated and the eroded image. A weight of 1 for the eroded one would erase
/// thin strokes.
const THICKER: f32 = 0.9;
const THINNER: f32 = 0.6;
/// Largest weight of the blurred image.
const SOFTER: f32 = 1.0;
/// Largest loss of ink and largest background, as shares of full ink.
const FADED: f32 = 0.5;
const RAISED: f32 = 0.4;

/// Changes pen, levels and noise of batches of one size.
pub(super) struct Pen {
    size: Size,
    images: usize,
    strokes: Option<Strokes>,
    noise: f32,
    /// Noise in main memory; empty without noise.
    numbers: Vec<f32>,
}

/// Buffers of the changes to strokes.
struct Strokes {
    /// Repetitions of the smallest change, more on larger images.
    rounds: usize,
    /// Three of [images, height, width].
    spare: [Tensor; 3],
}

/// Changes of each image of a batch, [images] each.
struct Changes {
    thicker: Vec<f32>,
    thinner: Vec<f32>,
    softer: Vec<f32>,
    contrast: Vec<f32>,
    background: Vec<f32>,
}

impl Pen {
    /// `None` if both pen and noise are off.
    pub(super) fn new(
        settings: &Augmentation,
        size: Size,
        images: usize,
        device: Device,
    ) -> Result<Option<Self>, TrainError> {
        if !settings.pen && settings.noise == 0.0 {
            return Ok(None);
        }
        let pixels = images * size.height * size.width;
        let noisy = settings.noise != 0.0;
        let strokes = settings.pen.then(|| Strokes::new(size, images, device));
        Ok(Some(Self {
            size,
            images,
            strokes: strokes.transpose()?,
            noise: settings.noise as f32 * INK,
            numbers: vec![0.0; if noisy { pixels } else { 0 }],
        }))
    }

    /// Changes `values`, [images, height × width], in raw units.
    pub(super) fn run(&mut self, values: &mut Tensor, at: StepPosition) -> Result<(), TrainError> {
        if let Some(strokes) = &mut self.strokes {
            let changes = Changes::draw(self.images, &mut Philox::new(at, Purpose::Pen));
            let [images, rows, columns] =
                [self.images, self.size.height, self.size.width].map(|side| side as i64);
            let mut pictures = values.f_view([images, rows, columns])?;
            strokes.run(&mut pictures, &changes)?;
            let column = |numbers: &[f32]| column(numbers, values.device());
            let _ = pictures
                .f_mul_(&column(&changes.contrast)?)?
                .f_add_(&column(&changes.background)?)?;
        }
        if !self.numbers.is_empty() {
            self.add_noise(values, &mut Philox::new(at, Purpose::Noise))?;
        }
        let _ = values.f_clamp_(0.0, f64::from(INK))?;
        Ok(())
    }

    fn add_noise(&mut self, values: &mut Tensor, counter: &mut Philox) -> Result<(), TrainError> {
        let mut deviations = vec![0.0; self.images];
        counter.signed(&mut deviations);
        for deviation in &mut deviations {
            *deviation = deviation.max(0.0) * self.noise;
        }
        counter.normal(&mut self.numbers);
        let device = values.device();
        let noise = Tensor::f_from_slice(&self.numbers)?
            .f_to_device(device)?
            .f_view_as(values)?;
        let deviations = Tensor::f_from_slice(&deviations)?
            .f_to_device(device)?
            .f_unsqueeze(1)?;
        let _ = values.f_addcmul_(&noise, &deviations)?;
        Ok(())
    }
}

impl Changes {
    fn draw(images: usize, counter: &mut Philox) -> Self {
        let mut numbers = vec![0.0; images * DRAWS];
        counter.signed(&mut numbers);
        let draw = |number: usize, of: fn(f32) -> f32| -> Vec<f32> {
            let of_image = |numbers: &[f32]| of(numbers[number]);
            numbers.chunks_exact(DRAWS).map(of_image).collect()
        };
        let background = draw(3, |it| it.max(0.0) * RAISED * INK);
        let ink = draw(2, |it| 1.0 - it.max(0.0) * FADED);
        Self {
            thicker: draw(0, |it| it.max(0.0) * THICKER),
            thinner: draw(0, |it| (-it).max(0.0) * THINNER),
            softer: draw(1, |it| it.max(0.0) * SOFTER),
            contrast: ink
                .iter()
                .zip(&background)
                .map(|(ink, background)| ink - background / INK)
                .collect(),
            background,
        }
    }
}

impl Strokes {
    fn new(size: Size, images: usize, device: Device) -> Result<Self, TrainError> {
        let side = ((size.height * size.width) as f64).sqrt();
        let shape = [images, size.height, size.width].map(|side| side as i64);
        let spare = || Tensor::f_zeros(shape, (Kind::Float, device));
        Ok(Self {
            rounds: ((side / REFERENCE_SIDE as f64).round() as usize).max(1),
            spare: [spare()?, spare()?, spare()?],
        })
    }

    /// Blends each image, [images, height, width], with its dilated, eroded and blurred form.
    fn run(&mut self, pictures: &mut Tensor, changes: &Changes) -> Result<(), TrainError> {
        let device = pictures.device();
        let [thick, thin, spare] = &mut self.spare;
        thick.f_copy_(pictures)?;
        thin.f_copy_(pictures)?;
        for _ in 0..self.rounds {
            for axis in [1, 2] {
                widen(thick, spare, axis, &|a, b, out| a.f_maximum_out(out, b))?;
                widen(thin, spare, axis, &|a, b, out| a.f_minimum_out(out, b))?;
            }
        }
        for (changed, share) in [(&*thick, &changes.thicker), (&*thin, &changes.thinner)] {
            let _ = changed.f_sub_out(spare, pictures)?;
            let _ = pictures.f_addcmul_(spare, &column(share, device)?)?;
        }
        thick.f_copy_(pictures)?;
        for _ in 0..self.rounds {
            for axis in [1, 2] {
                soften(thick, spare, axis)?;
            }
        }
        let _ = pictures.f_lerp_tensor_(thick, &column(&changes.softer, device)?)?;
        Ok(())
    }
}

/// Numbers as [images, 1, 1] on the device.
fn column(numbers: &[f32], device: Device) -> Result<Tensor, TrainError> {
    Ok(Tensor::f_from_slice(numbers)?
        .f_to_device(device)?
        .f_view([numbers.len() as i64, 1, 1])?)
}

/// Views of all but the last and all but the first along an axis; `None` if its length is 1.
fn neighbours(pictures: &Tensor, axis: i64) -> Result<Option<(Tensor, Tensor)>, TrainError> {
    let steps = pictures.size()[axis as usize] - 1;
    if steps == 0 {
        return Ok(None);
    }
    Ok(Some((
        pictures.f_narrow(axis, 0, steps)?,
        pictures.f_narrow(axis, 1, steps)?,
    )))
}

type Pick = dyn Fn(&Tensor, &Tensor, &Tensor) -> Result<Tensor, tch::TchError>;

/// Replaces every pixel by `pick` of it and its two neighbours along an axis.
fn widen(
    pictures: &mut Tensor,
    spare: &mut Tensor,
    axis: i64,
    pick: &Pick,
) -> Result<(), TrainError> {
    spare.f_copy_(pictures)?;
    let Some((before, after)) = neighbours(spare, axis)? else {
        return Ok(());
    };
    if let Some((first, last)) = neighbours(pictures, axis)? {
        let _ = pick(&after, &first, &first)?;
        let _ = pick(&before, &last, &last)?;
    }
    Ok(())
}

/// Blurs along an axis with the weights ¼, ½, ¼.
fn soften(pictures: &mut Tensor, spare: &mut Tensor, axis: i64) -> Result<(), TrainError> {
    spare.f_copy_(pictures)?;
    let _ = spare.f_mul_scalar_(0.25)?;
    let _ = pictures.f_mul_scalar_(0.5)?;
    let Some((before, after)) = neighbours(spare, axis)? else {
        return Ok(());
    };
    if let Some((mut first, mut last)) = neighbours(pictures, axis)? {
        let _ = first.f_add_(&after)?;
        let _ = last.f_add_(&before)?;
    }
    Ok(())
}
