//! Converts manifests and serving records into messages of `digits.v1`.

mod promotion;

pub use promotion::{decision, previous_primary, promotion};

use crate::{
    id::{CheckpointId, ModelName},
    manifest::{self, Manifest},
    record::{self, ServingRecord},
    serving,
    storage::{Storage, StorageError},
    unfinished::Unfinished,
};
use digits_proto::v1;
use jiff::Timestamp;
use prost::Message as _;

/// Converts a time.
#[must_use]
pub fn timestamp(time: Timestamp) -> prost_types::Timestamp {
    // A time before 1970 has a negative part of a second here and a positive one there.
    let nanoseconds = time.as_nanosecond();
    prost_types::Timestamp {
        seconds: nanoseconds.div_euclid(1_000_000_000) as i64,
        nanos: nanoseconds.rem_euclid(1_000_000_000) as i32,
    }
}

/// Converts a manifest.
#[must_use]
pub fn checkpoint(from: &Manifest) -> v1::Checkpoint {
    v1::Checkpoint {
        checkpoint_id: from.id.to_string(),
        model: from.model.to_string(),
        created_at: Some(timestamp(from.created_at)),
        architecture: Some(architecture(&from.architecture)),
        input: Some(input(&from.input)),
        label_names: from.labels.clone(),
        picture_normalization: match from.picture_normalization {
            manifest::PictureNormalization::None => v1::PictureNormalization::None,
            manifest::PictureNormalization::Mnist => v1::PictureNormalization::Mnist,
        }
        .into(),
        temperature: from.temperature,
        weights_sha256: from.files.model.sha256.clone(),
        weights_size_bytes: from.files.model.size_bytes,
        validation: from.metrics.validation.as_ref().map(evaluation),
        test: from.metrics.test.as_ref().map(evaluation),
        lineage: Some(lineage(from.id, &from.lineage)),
        calibration: from.metrics.calibration.as_ref().map(calibration),
        // Known to the job database of a trainer, not to the storage.
        job_state: v1::JobState::Unspecified.into(),
        promotion: None,
    }
}

/// Converts a hard image of a report card.
#[must_use]
pub fn hard_image(from: &manifest::HardImage) -> v1::HardImage {
    v1::HardImage {
        index: from.index,
        label_index: from.label.into(),
        predicted_index: from.predicted.into(),
        probability: from.probability,
        loss: from.loss,
        pixels: from.pixels.clone(),
    }
}

/// The state of a job that did not get to its end.
#[must_use]
pub fn unfinished(from: Unfinished) -> v1::JobState {
    match from {
        Unfinished::Cancelled => v1::JobState::Cancelled,
        Unfinished::Failed => v1::JobState::Failed,
    }
}

/// Converts size and scaling of the input.
#[must_use]
pub fn input(from: &manifest::InputSpec) -> v1::InputSpec {
    v1::InputSpec {
        height: small(from.height),
        width: small(from.width),
        scale: from.scale,
        mean: from.mean,
        std: from.std,
    }
}

/// Converts an activation; the number is the slope of a leaky ReLU.
#[must_use]
pub fn activation(from: manifest::Activation) -> (v1::Activation, Option<f32>) {
    use manifest::Activation;
    match from {
        Activation::Relu => (v1::Activation::Relu, None),
        Activation::ScaledTanh => (v1::Activation::ScaledTanh, None),
        Activation::Gelu => (v1::Activation::Gelu, None),
        Activation::Tanh => (v1::Activation::Tanh, None),
        Activation::Sigmoid => (v1::Activation::Sigmoid, None),
        Activation::LeakyRelu { negative_slope } => {
            (v1::Activation::LeakyRelu, Some(negative_slope))
        }
    }
}

fn calibration(from: &manifest::TemperatureFit) -> v1::TemperatureFit {
    v1::TemperatureFit {
        images: from.images,
        bins: from.bins,
        loss_before: from.loss_before,
        loss: from.loss,
        error_before: from.error_before,
        error: from.error,
        test_loss: from.test_loss,
    }
}

/// Converts a network, with its size as torchinfo computes it.
#[must_use]
pub fn architecture(from: &manifest::Architecture) -> v1::Architecture {
    let parameters = from.parameters().map_or(u64::MAX, |count| count as u64);
    let outputs = from.layers().into_iter().map(|(outputs, _)| outputs as u64);
    let (activation, negative_slope) = activation(from.activation);
    v1::Architecture {
        input_size: small(from.input_size),
        hidden: from.hidden.iter().map(|&width| small(width)).collect(),
        classes: small(from.classes),
        activation: activation.into(),
        negative_slope,
        size: Some(v1::NetworkSize {
            parameters,
            parameter_bytes: parameters.saturating_mul(4),
            multiply_adds: parameters,
            activation_bytes: outputs.fold(0, u64::saturating_add).saturating_mul(4),
        }),
    }
}

/// Converts an evaluation.
#[must_use]
pub fn evaluation(from: &manifest::Evaluation) -> v1::Evaluation {
    v1::Evaluation {
        images: from.images,
        correct: from.correct,
        accuracy: from.accuracy(),
        loss: from.loss,
        loss_batch_mean: from.loss_batch_mean,
        batch_size: from.batch_size,
    }
}

fn lineage(id: CheckpointId, from: &manifest::Lineage) -> v1::Lineage {
    // An unreadable spec is left out; the rest of the checkpoint is shown.
    let spec = trained_spec(from).unwrap_or_else(|error| {
        // At debug level, because every listing repeats it.
        tracing::debug!(checkpoint = %id, %error, "the spec in a manifest cannot be read");
        None
    });
    v1::Lineage {
        job_id: from.job.clone().unwrap_or_default(),
        spec,
        epoch: from.epoch,
        step: from.step,
        parent_checkpoint_id: from.parent.map(|id| id.to_string()).unwrap_or_default(),
        dataset_digest: from.dataset_digest.clone(),
        program_version: from.program_version.clone(),
        libtorch_version: from.libtorch_version.clone(),
        device: from.device.clone(),
        threads: from.threads.unwrap_or_default(),
        imported_sha256: from.imported_sha256.clone().unwrap_or_default(),
        dataset: from.dataset.clone(),
    }
}

/// Why the spec in a manifest cannot be read: it was written by another version, or is damaged.
#[derive(Debug, thiserror::Error)]
pub enum UnreadableSpec {
    /// Not hexadecimal.
    #[error("lineage.spec_protobuf is not hexadecimal: {0}")]
    Hexadecimal(#[from] hex::FromHexError),
    /// Not a job spec.
    #[error("lineage.spec_protobuf is not a job spec: {0}")]
    Decode(#[from] prost::DecodeError),
}

/// The spec that a checkpoint was trained with; `None` if the manifest has none, as after an
/// import.
///
/// # Errors
/// [`UnreadableSpec`].
pub fn trained_spec(from: &manifest::Lineage) -> Result<Option<v1::JobSpec>, UnreadableSpec> {
    if from.spec_protobuf.is_empty() {
        return Ok(None);
    }
    let bytes = hex::decode(&from.spec_protobuf)?;
    Ok(Some(v1::JobSpec::decode(&*bytes)?))
}

/// Converts a serving record.
#[must_use]
pub fn serving_record(from: &ServingRecord) -> v1::ServingRecord {
    v1::ServingRecord {
        sequence: from.sequence,
        routes: from.routes.iter().map(route).collect(),
        hold: from.hold,
        reason: match from.reason {
            record::Reason::Published => v1::ServingReason::Published,
            record::Reason::Promoted => v1::ServingReason::Promoted,
            record::Reason::RolledBack => v1::ServingReason::RolledBack,
            record::Reason::Released => v1::ServingReason::Released,
        }
        .into(),
        by: from.by.clone(),
        at: Some(timestamp(from.at)),
        not_understood: false,
        note: from.note.clone().unwrap_or_default(),
    }
}

/// A record for a listing; with an unreadable one (of a newer program, or damaged) only the
/// sequence is set. `None` if there is no such record. Cancel-safe.
///
/// # Errors
/// The store's error.
pub async fn listed_record(
    storage: &Storage,
    model: &ModelName,
    sequence: u64,
) -> Result<Option<v1::ServingRecord>, StorageError> {
    match serving::any_record(storage, model, sequence).await {
        Ok(record) => Ok(record.as_ref().map(serving_record)),
        Err(error) if error.is_unreadable() => Ok(Some(v1::ServingRecord {
            sequence,
            not_understood: true,
            ..v1::ServingRecord::default()
        })),
        Err(error) => Err(error),
    }
}

fn route(from: &record::Route) -> v1::ServingRoute {
    v1::ServingRoute {
        checkpoint_id: from.checkpoint.to_string(),
        role: match from.role {
            record::Role::Primary => v1::ServingRole::Primary,
            record::Role::Canary => v1::ServingRole::Canary,
            record::Role::Shadow => v1::ServingRole::Shadow,
        }
        .into(),
        share: from.share,
    }
}

fn small(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_notebooks_network_has_its_published_size() {
        let size = architecture(&manifest::Architecture {
            input_size: 784,
            hidden: vec![10],
            classes: 10,
            activation: manifest::Activation::Relu,
        })
        .size;
        let expected = v1::NetworkSize {
            parameters: 7960,
            parameter_bytes: 31_840,
            multiply_adds: 7960,
            activation_bytes: 80,
        };
        assert_eq!(size, Some(expected));
    }

    #[test]
    fn an_unreadable_spec_is_an_error() {
        let read = |text: &str| {
            let lineage = manifest::Lineage {
                spec_protobuf: text.to_owned(),
                ..manifest::Lineage::default()
            };
            trained_spec(&lineage).map_err(|error| error.to_string())
        };
        assert_eq!(read(""), Ok(None));
        let spec = read("0a0466617374").expect("a spec").expect("one");
        assert_eq!(spec.preset, "fast");
        for (text, part) in [
            ("0a04666173", "not a job spec"),
            ("0a046661737", "not hexadecimal"),
            ("no", "not hexadecimal"),
            ("é", "not hexadecimal"),
        ] {
            let error = read(text).expect_err(text);
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
