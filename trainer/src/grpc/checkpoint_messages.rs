//! What lies on the storage, as messages of the contract.

use crate::{spec::network_size, wire};
use digits_checkpoint::{
    manifest::{self, Manifest},
    record::{self, ServingRecord},
};
use digits_proto::v1;

/// A manifest as a message.
pub(super) fn checkpoint(from: &Manifest) -> v1::Checkpoint {
    v1::Checkpoint {
        checkpoint_id: from.id.to_string(),
        model: from.model.to_string(),
        created_at: Some(wire::timestamp(from.created_at.as_microsecond())),
        architecture: Some(architecture(&from.architecture)),
        input: Some(v1::InputSpec {
            height: small(from.input.height),
            width: small(from.input.width),
            scale: from.input.scale,
            mean: from.input.mean,
            std: from.input.std,
        }),
        label_names: from.labels.clone(),
        picture_normalization: match from.picture_normalization {
            manifest::PictureNormalization::None => v1::PictureNormalization::None,
            manifest::PictureNormalization::Mnist => v1::PictureNormalization::Mnist,
        }
        .into(),
        temperature: from.temperature,
        weights_sha256: from.files.model.sha256.clone(),
        weights_size_bytes: from.files.model.size_bytes,
        validation: from.metrics.validation.as_ref().map(wire::evaluation),
        test: from.metrics.test.as_ref().map(wire::evaluation),
        lineage: Some(lineage(&from.lineage)),
        calibration: from.metrics.calibration.as_ref().map(calibration),
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

fn architecture(from: &manifest::Architecture) -> v1::Architecture {
    v1::Architecture {
        input_size: small(from.input_size),
        hidden: from.hidden.iter().map(|&width| small(width)).collect(),
        classes: small(from.classes),
        activation: match from.activation {
            manifest::Activation::Relu => v1::Activation::Relu,
            manifest::Activation::ScaledTanh => v1::Activation::ScaledTanh,
            manifest::Activation::Gelu => v1::Activation::Gelu,
        }
        .into(),
        size: Some(wire::network(&network_size(from))),
    }
}

fn lineage(from: &manifest::Lineage) -> v1::Lineage {
    v1::Lineage {
        job_id: from.job.clone().unwrap_or_default(),
        spec: wire::trained_spec(from),
        epoch: from.epoch,
        step: from.step,
        parent_checkpoint_id: from.parent.map(|id| id.to_string()).unwrap_or_default(),
        dataset_digest: from.dataset_digest.clone(),
        program_version: from.program_version.clone(),
        libtorch_version: from.libtorch_version.clone(),
        device: from.device.clone(),
        threads: from.threads.unwrap_or_default(),
        imported_sha256: from.imported_sha256.clone().unwrap_or_default(),
    }
}

/// A serving record as a message.
pub(super) fn serving_record(from: &ServingRecord) -> v1::ServingRecord {
    v1::ServingRecord {
        sequence: from.sequence,
        routes: from
            .routes
            .iter()
            .map(|route| v1::ServingRoute {
                checkpoint_id: route.checkpoint.to_string(),
                role: match route.role {
                    record::Role::Primary => v1::ServingRole::Primary,
                    record::Role::Canary => v1::ServingRole::Canary,
                    record::Role::Shadow => v1::ServingRole::Shadow,
                }
                .into(),
                share: route.share,
            })
            .collect(),
        hold: from.hold,
        reason: match from.reason {
            record::Reason::Published => v1::ServingReason::Published,
            record::Reason::Promoted => v1::ServingReason::Promoted,
            record::Reason::RolledBack => v1::ServingReason::RolledBack,
            record::Reason::Released => v1::ServingReason::Released,
        }
        .into(),
        by: from.by.clone(),
        at: Some(wire::timestamp(from.at.as_microsecond())),
    }
}

fn small(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}
