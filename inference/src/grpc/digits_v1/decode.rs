//! Decodes a `PredictRequest`, checked against the checkpoint and the limits.

use super::{encode::ResponseOptions, size};
use crate::{
    model::LoadedModel,
    predict::{Expect, InputImages, PredictInput, RequestLimits, route::MAX_KEY_BYTES},
};
use bytes::Bytes;
use digits_picture::Normalizer;
use digits_proto::v1::{
    EncodedPictures, Expect as ExpectMessage, PredictRequest, predict_request::Images,
};
use digits_server::violations::Violations;
use tonic::Status;

/// Decodes a request. All routes of a snapshot take the same images, so any of its checkpoints
/// does.
///
/// # Errors
///
/// INVALID_ARGUMENT with every violation.
pub fn decode(
    request: PredictRequest,
    checkpoint: &LoadedModel,
    limits: &RequestLimits,
) -> Result<(PredictInput, ResponseOptions), Status> {
    let mut violations = Violations::new();
    let probability = request.min_probability;
    if !(0.0..=1.0).contains(&probability) {
        let message = format!("must be from 0 to 1, not {probability}");
        violations.push("min_probability", message);
    }
    if request.routing_key.len() > MAX_KEY_BYTES {
        let message = format!("must be at most {MAX_KEY_BYTES} bytes long");
        violations.push("routing_key", message);
    }
    let expect = expect(request.expect, checkpoint, &mut violations);
    let options = ResponseOptions {
        top_k: request.top_k as usize,
        logits: request.want_logits,
        input: request.want_input,
    };
    let (field, count, images) = match request.images {
        None => {
            violations.push("images", "no images: set pixels or pictures");
            return Err(violations.into_status());
        }
        Some(Images::Pixels(pixels)) => {
            check_pixels(&pixels, checkpoint, limits, &mut violations);
            let count = pixels.len() / checkpoint.network.inputs();
            let images = if request.normalize_pixels {
                InputImages::Unnormalized(pixels)
            } else {
                InputImages::Pixels(pixels)
            };
            ("pixels", count, images)
        }
        Some(Images::Pictures(EncodedPictures { encoded })) => {
            check_pictures(encoded.len(), limits, &mut violations);
            let count = encoded.len();
            let images = InputImages::Encoded(encoded, expect);
            ("pictures.encoded", count, images)
        }
    };
    if let Err(error) = size::check(count, options, checkpoint, limits) {
        violations.push(field, error.to_string());
    }
    violations.into_result()?;
    let input = PredictInput {
        images,
        routing_key: request.routing_key,
        min_probability: request.min_probability,
    };
    Ok((input, options))
}

fn expect(value: i32, checkpoint: &LoadedModel, violations: &mut Violations) -> Expect {
    match ExpectMessage::try_from(value) {
        Ok(ExpectMessage::Number) if checkpoint.reads_digits() => Expect::Number,
        Ok(_) => Expect::Single,
        Err(_) => {
            let message = format!("{value} is not a value of Expect; 1 is NUMBER, 2 is SINGLE");
            violations.push("expect", message);
            Expect::Single
        }
    }
}

fn check_pictures(count: usize, limits: &RequestLimits, violations: &mut Violations) {
    let max = limits.max_pictures;
    if count == 0 {
        violations.push("pictures.encoded", "must hold at least one picture");
    } else if count > max {
        let message =
            format!("{count} pictures are more than the {max} of one request; send several");
        violations.push("pictures.encoded", message);
    }
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
    let message = if length == 0 {
        format!("must hold at least one image: {}", form())
    } else if !length.is_multiple_of(size) {
        format!("the length must be a multiple of {}, not {length}", form())
    } else if length / size > limits.max_images {
        let (count, max) = (length / size, limits.max_images);
        format!("{count} images are more than the {max} of one request; send several")
    } else {
        return;
    };
    violations.push("pixels", message);
}
