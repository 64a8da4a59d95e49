//! The first stage: images as the client sent them become the network's inputs.

use super::{
    context::PredictContext,
    error::{InvalidImage, PredictError},
    input::{Expect, InputImages},
    limits::RequestLimits,
    picture_queue::{Admitted, Cost, Load, PictureQueue},
    pixels::Pixels,
    pool::{BlockingPool, CancelFlag},
    tensor::TensorValues,
};
use bytes::Bytes;
use digits_picture::{
    Normalized, Normalizer, Picture, components::BoundingBox, number::Line, weigh,
};
use std::ops::Range;

/// Pixels that are decoded in one turn; a larger picture has a turn of its own.
const TURN_PIXELS: u64 = 4_000_000;

/// Images that are ready for the network.
pub struct NormalizedImages {
    /// [m, inputs]: those that are inputs of the network.
    pixels: Pixels,
    /// Content of each image of the request; `None` if each is an input.
    contents: Option<Vec<ImageContent>>,
}

/// Content of an image.
pub enum ImageContent {
    /// One digit: the next image of the packed pixels.
    Digit,
    /// No ink.
    Blank,
    /// Several digits, where they are.
    SeveralDigits(Vec<BoundingBox>),
    /// What may be digits, until the network has classified it: lines, whose segments are the next
    /// images of the packed pixels.
    Written(Vec<Line>),
    /// The digits in reading order: the next images of the packed pixels.
    Number(Vec<Place>),
}

/// Place of a digit in a picture.
pub struct Place {
    /// Its box.
    pub bounds: BoundingBox,
    /// Its line, from 0.
    pub line: usize,
}

impl NormalizedImages {
    /// Images of which each has its content.
    #[must_use]
    pub fn new(pixels: Pixels, contents: Vec<ImageContent>) -> Self {
        Self {
            pixels,
            contents: Some(contents),
        }
    }

    fn all_inputs(pixels: Pixels) -> Self {
        Self {
            pixels,
            contents: None,
        }
    }

    /// The network's inputs, and what each image of the request holds.
    #[must_use]
    pub fn into_parts(self) -> (Pixels, Option<Vec<ImageContent>>) {
        (self.pixels, self.contents)
    }

    /// The network's inputs, [m, inputs].
    #[must_use]
    pub fn pixels(&self) -> &Pixels {
        &self.pixels
    }

    /// What each image of the request holds; `None` if each is an input of the network.
    #[must_use]
    pub fn contents(&self) -> Option<&[ImageContent]> {
        self.contents.as_deref()
    }
}

/// Brings images into the network's form: inline if that is quick, else on the pool.
///
/// # Errors
///
/// [`PredictError::InvalidImages`] with every picture that cannot be read,
/// [`PredictError::PicturesFull`], or the errors of [`BlockingPool::run`].
pub async fn preprocess(
    images: InputImages,
    (normalizer, limits): (Normalizer, &RequestLimits),
    (pool, queue): (&BlockingPool, &PictureQueue),
    context: &PredictContext,
) -> Result<NormalizedImages, PredictError> {
    let deadline = context.deadline;
    let convert = |values: TensorValues| {
        let pixels = values.into_pixels();
        pixels
            .map(NormalizedImages::all_inputs)
            .map_err(|invalid| PredictError::InvalidImages(vec![invalid]))
    };
    // What takes long is boxed, so that the future of packed pixels is small.
    match images {
        InputImages::Pixels(bytes) => Ok(NormalizedImages::all_inputs(Pixels::Bytes(bytes))),
        InputImages::Tensor(values) if values.convert_inline() => convert(values),
        InputImages::Tensor(values) => Box::pin(pool.run(deadline, move |_| convert(values))).await,
        InputImages::Unnormalized(pixels) => {
            let work = move |cancel: &CancelFlag| normalize(&pixels, normalizer, cancel);
            Box::pin(pool.run(deadline, work)).await
        }
        InputImages::Encoded(pictures, expect) => {
            let reader = PictureReader {
                normalizer,
                expect,
                limits: *limits,
            };
            Box::pin(reader.read(pictures, (pool, queue), context)).await
        }
    }
}

/// Normalizes grey images, [n, height × width].
fn normalize(
    pixels: &Bytes,
    normalizer: Normalizer,
    cancel: &CancelFlag,
) -> Result<NormalizedImages, PredictError> {
    let mut images = Collected::default();
    for image in pixels.chunks_exact(normalizer.height * normalizer.width) {
        cancel.check()?;
        images.push(normalizer.pixels(image));
    }
    Ok(images.finish())
}

/// Decodes and normalizes pictures.
#[derive(Clone, Copy)]
struct PictureReader {
    normalizer: Normalizer,
    expect: Expect,
    limits: RequestLimits,
}

impl PictureReader {
    /// Reads the pictures of a request by turns.
    async fn read(
        self,
        pictures: Vec<Bytes>,
        (pool, queue): (&BlockingPool, &PictureQueue),
        context: &PredictContext,
    ) -> Result<NormalizedImages, PredictError> {
        let deadline = context.deadline;
        let costs: Vec<Cost> = pictures
            .iter()
            .map(|picture| Cost::of(weigh(picture, self.limits.picture)))
            .collect();
        let load = Load {
            bytes: pictures.iter().map(|picture| picture.len() as u64).sum(),
            pixels: costs.iter().map(|cost| cost.pixels).sum(),
        };
        let mut reading = Reading {
            admitted: queue.admit(context.client, load, deadline)?,
            pictures,
            images: Collected::default(),
            invalid: Vec::new(),
        };
        for (range, cost) in turns(&costs) {
            let turn = deadline.limit(reading.admitted.turn(cost)).await;
            let turn = turn.map_err(|_| PredictError::DeadlineExceeded)?;
            let work = move |cancel: &CancelFlag| {
                // Held until the work ends, even if the request was cancelled.
                let _turn = turn;
                let done = reading.read(range, self, cancel);
                done.map(|()| reading)
            };
            reading = pool.run(deadline, work).await?;
        }
        reading.finish()
    }

    /// Normalizes a picture, beside inputs of this many pixels that the request has already.
    fn normalize(&self, picture: &Picture, pixels: usize) -> Normalized {
        let Normalizer { height, width, .. } = self.normalizer;
        let room = self
            .limits
            .max_images
            .saturating_sub(pixels / (height * width));
        match self.expect {
            Expect::Single => self.normalizer.picture(picture),
            Expect::Number => self.normalizer.number(picture, room),
        }
    }
}

/// The pictures that are read in each turn, and what it costs.
fn turns(costs: &[Cost]) -> Vec<(Range<usize>, Cost)> {
    let mut turns: Vec<(Range<usize>, Cost)> = Vec::new();
    for (index, &cost) in costs.iter().enumerate() {
        match turns.last_mut() {
            Some((range, total)) if total.pixels + cost.pixels <= TURN_PIXELS => {
                range.end += 1;
                *total = total.then(cost);
            }
            _ => turns.push((index..index + 1, cost)),
        }
    }
    turns
}

/// The pictures of a request while they are read.
struct Reading {
    admitted: Admitted,
    pictures: Vec<Bytes>,
    images: Collected,
    invalid: Vec<InvalidImage>,
}

impl Reading {
    /// Decodes and normalizes some of the pictures, which takes up to tens of milliseconds each.
    fn read(
        &mut self,
        range: Range<usize>,
        reader: PictureReader,
        cancel: &CancelFlag,
    ) -> Result<(), PredictError> {
        for index in range {
            cancel.check()?;
            match digits_picture::decode(&self.pictures[index], reader.limits.picture) {
                Ok(picture) => {
                    let normalized = reader.normalize(&picture, self.images.pixels.len());
                    self.images.push(normalized);
                }
                Err(error) => self.invalid.push(InvalidImage {
                    index,
                    message: error.to_string(),
                }),
            }
        }
        Ok(())
    }

    fn finish(self) -> Result<NormalizedImages, PredictError> {
        if self.invalid.is_empty() {
            Ok(self.images.finish())
        } else {
            Err(PredictError::InvalidImages(self.invalid))
        }
    }
}

/// Normalized images, packed one after another.
#[derive(Default)]
struct Collected {
    pixels: Vec<u8>,
    contents: Vec<ImageContent>,
}

impl Collected {
    fn push(&mut self, normalized: Normalized) {
        self.contents.push(match normalized {
            Normalized::Input(bytes) => {
                self.pixels.extend_from_slice(&bytes);
                ImageContent::Digit
            }
            Normalized::Blank => ImageContent::Blank,
            Normalized::Several(boxes) => ImageContent::SeveralDigits(boxes),
            Normalized::Written(lattice) => {
                self.pixels.extend_from_slice(&lattice.inputs);
                ImageContent::Written(lattice.lines)
            }
        });
    }

    fn finish(self) -> NormalizedImages {
        NormalizedImages::new(Pixels::Bytes(self.pixels.into()), self.contents)
    }
}
