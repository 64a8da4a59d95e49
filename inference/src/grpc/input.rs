//! From a request to the bytes that the network gets: validation, and pictures.

use super::{
    RequestLimits,
    compute::{CancelFlag, deadline_exceeded},
};
use crate::{
    model::LoadedModel,
    picture::{self, Normalized, Normalizer, components},
    pixels::Pixels,
    routing::MAX_KEY_BYTES,
};
use bytes::Bytes;
use digits_proto::v1::{PredictRequest, predict_request};
use digits_server::violations::Violations;
use tonic::Status;

/// Images of a valid request.
pub(super) enum Images {
    /// Bytes for the network as they are, [n, inputs].
    Ready(Bytes),
    /// What takes work first.
    Raw(Raw),
}

/// Images that must be normalised.
pub(super) enum Raw {
    /// [n, height × width] bytes.
    Pixels(Bytes),
    /// Encoded pictures.
    Pictures(Vec<Bytes>),
}

/// What became of an image.
pub(super) enum Outcome {
    /// The next image of the packed pixels.
    Input,
    /// No ink.
    Blank,
    /// Several digits.
    Several(Vec<components::BoundingBox>),
}

/// Images that are ready for the network.
pub(super) struct NormalizedImages {
    /// [m, inputs]: those that are an input.
    pixels: Pixels,
    /// One per image; `None`: each is an input.
    outcomes: Option<Vec<Outcome>>,
}

impl NormalizedImages {
    pub(super) fn ready(pixels: Bytes) -> Self {
        Self {
            pixels: Pixels::Bytes(pixels),
            outcomes: None,
        }
    }

    pub(super) fn pixels(&self) -> &Pixels {
        &self.pixels
    }

    pub(super) fn outcomes(&self) -> Option<&[Outcome]> {
        self.outcomes.as_deref()
    }
}

/// Checks a request against a checkpoint and the limits.
///
/// # Errors
///
/// INVALID_ARGUMENT with everything that is wrong.
pub(super) fn read(
    request: &PredictRequest,
    checkpoint: &LoadedModel,
    limits: &RequestLimits,
) -> Result<Images, Status> {
    let mut violations = Violations::new();
    let probability = request.min_probability;
    if !(0.0..=1.0).contains(&probability) {
        violations.push(
            "min_probability",
            format!("must be from 0 to 1, not {probability}"),
        );
    }
    if request.routing_key.len() > MAX_KEY_BYTES {
        violations.push(
            "routing_key",
            format!("must be at most {MAX_KEY_BYTES} bytes long"),
        );
    }
    let (field, count, images) = match &request.images {
        None => {
            violations.push("images", "no images: set pixels or pictures");
            return Err(violations.into_status());
        }
        Some(predict_request::Images::Pixels(pixels)) => {
            check_pixels(pixels, checkpoint, limits, &mut violations);
            let images = if request.normalize_pixels {
                Images::Raw(Raw::Pixels(pixels.clone()))
            } else {
                Images::Ready(pixels.clone())
            };
            ("pixels", pixels.len() / checkpoint.network.inputs(), images)
        }
        Some(predict_request::Images::Pictures(pictures)) => {
            let (count, most) = (pictures.encoded.len(), limits.max_pictures);
            if count == 0 {
                violations.push("pictures.encoded", "must hold at least one picture");
            } else if count > most {
                let message = format!(
                    "{count} pictures are more than the {most} of one request; send several"
                );
                violations.push("pictures.encoded", message);
            }
            (
                "pictures.encoded",
                count,
                Images::Raw(Raw::Pictures(pictures.encoded.clone())),
            )
        }
    };
    let bytes = count.saturating_mul(answer_bytes(request, checkpoint));
    if bytes > limits.max_answer_bytes {
        let message = format!(
            "the answer would take about {bytes} bytes, more than {}; send fewer images or set top_k",
            limits.max_answer_bytes
        );
        violations.push(field, message);
    }
    violations.into_result()?;
    Ok(images)
}

fn check_pixels(
    pixels: &Bytes,
    checkpoint: &LoadedModel,
    limits: &RequestLimits,
    violations: &mut Violations,
) {
    let Normalizer { height, width, .. } = checkpoint.normalizer;
    let (size, length) = (height * width, pixels.len());
    let form = || format!("{size} bytes ({height} x {width}) per image");
    if length == 0 {
        violations.push(
            "pixels",
            format!("must hold at least one image: {}", form()),
        );
    } else if !length.is_multiple_of(size) {
        violations.push(
            "pixels",
            format!("the length must be a multiple of {}, not {length}", form()),
        );
    } else if length / size > limits.max_images {
        let (count, most) = (length / size, limits.max_images);
        violations.push(
            "pixels",
            format!("{count} images are more than the {most} of one request; send several"),
        );
    }
}

/// Bytes that one image takes in the answer, roughly.
fn answer_bytes(request: &PredictRequest, checkpoint: &LoadedModel) -> usize {
    let classes = checkpoint.network.classes();
    let label = checkpoint
        .manifest
        .labels
        .iter()
        .map(String::len)
        .max()
        .unwrap_or(0);
    let probabilities = match request.top_k as usize {
        0 => classes * 4,
        top => top.min(classes) * (label + 16),
    };
    let logits = if request.want_logits { classes * 4 } else { 0 };
    let input = if request.want_input {
        checkpoint.network.inputs()
    } else {
        0
    };
    32 + label + probabilities + logits + input
}

impl Raw {
    /// Decodes and normalises. Takes milliseconds per picture: not for a runtime thread.
    ///
    /// # Errors
    ///
    /// INVALID_ARGUMENT that names each picture that cannot be read.
    pub(super) fn prepare(
        self,
        normalizer: Normalizer,
        limits: picture::Limits,
        abandoned: &CancelFlag,
    ) -> Result<NormalizedImages, Status> {
        let mut violations = Violations::new();
        let mut pixels = Vec::new();
        let mut outcomes = Vec::new();
        let mut take = |normalized: Normalized| {
            outcomes.push(match normalized {
                Normalized::Input(bytes) => {
                    pixels.extend_from_slice(&bytes);
                    Outcome::Input
                }
                Normalized::Blank => Outcome::Blank,
                Normalized::Several(boxes) => Outcome::Several(boxes),
            });
        };
        match self {
            Self::Pixels(packed) => {
                for image in packed.chunks_exact(normalizer.height * normalizer.width) {
                    if abandoned.is_set() {
                        return Err(deadline_exceeded());
                    }
                    take(normalizer.pixels(image));
                }
            }
            Self::Pictures(encoded) => {
                for (index, bytes) in encoded.iter().enumerate() {
                    if abandoned.is_set() {
                        return Err(deadline_exceeded());
                    }
                    match picture::decode(bytes, limits) {
                        Ok(picture) => take(normalizer.picture(&picture)),
                        Err(error) => {
                            violations.push(format!("pictures.encoded[{index}]"), error.to_string())
                        }
                    }
                }
            }
        }
        violations.into_result()?;
        Ok(NormalizedImages {
            pixels: Pixels::Bytes(pixels.into()),
            outcomes: Some(outcomes),
        })
    }
}
