//! The size of a response, which must not exceed that of a message.

use super::encode::ResponseOptions;
use crate::{model::LoadedModel, predict::RequestLimits};

/// Whether a response of this many images and digits of numbers is small enough.
///
/// # Errors
///
/// What is wrong, for clients.
pub(super) fn check(
    count: usize,
    options: ResponseOptions,
    checkpoint: &LoadedModel,
    limits: &RequestLimits,
) -> Result<(), TooLarge> {
    let bytes = count.saturating_mul(image_bytes(options, checkpoint));
    let max = limits.max_response_bytes;
    if bytes > max {
        return Err(TooLarge { bytes, max });
    }
    Ok(())
}

/// A response that would exceed the limit.
#[derive(Debug, thiserror::Error)]
#[error(
    "the response would take about {bytes} bytes, more than {max}; send fewer images or set top_k"
)]
pub(super) struct TooLarge {
    bytes: usize,
    max: usize,
}

/// Bytes of one image in the response, roughly.
fn image_bytes(options: ResponseOptions, checkpoint: &LoadedModel) -> usize {
    let network = &checkpoint.network;
    let classes = network.classes();
    let labels = checkpoint.manifest.labels.iter().map(String::len);
    let label = labels.max().unwrap_or(0);
    let probabilities = match options.top_k {
        0 => classes * 4,
        top => top.min(classes) * (label + 16),
    };
    let logits = if options.logits { classes * 4 } else { 0 };
    let input = if options.input { network.inputs() } else { 0 };
    32 + label + probabilities + logits + input
}
