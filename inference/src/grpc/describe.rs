//! What is served, as messages for `GetModel`.

use super::answer::role_message;
use crate::model::{Model, Refused, Served};
use digits_checkpoint::manifest::{self, Manifest};
use digits_proto::v1;
use jiff::Timestamp;
use prost::Message as _;

/// Everything about a model.
pub(super) fn model(model: &Model) -> v1::GetModelResponse {
    // What is served before the status: the head may be newer than what is served, never older.
    let serving = model.serving().clone();
    let status = model.status().clone();
    let sequence = serving.as_ref().map_or(0, |serving| serving.sequence);
    let all = serving.iter().flat_map(|serving| serving.all());
    v1::GetModelResponse {
        model: model.name.to_string(),
        served: all.map(|served| served_message(served, sequence)).collect(),
        head_sequence: status.head_sequence,
        behind_head: status.head_sequence.saturating_sub(sequence),
        last_refusal: status.last_refusal.as_ref().map(refusal),
        refusals: status
            .refusals
            .iter()
            .map(|(&reason, &count)| (reason.to_owned(), count))
            .collect(),
        storage_read_at: status.storage_read_at.map(timestamp),
    }
}

fn served_message(served: &Served, sequence: u64) -> v1::ServedCheckpoint {
    v1::ServedCheckpoint {
        checkpoint: Some(checkpoint(&served.checkpoint.manifest)),
        sequence,
        role: role_message(served.role).into(),
        share: served.share,
        since: Some(timestamp(served.since)),
    }
}

fn refusal(refused: &Refused) -> v1::Refusal {
    v1::Refusal {
        sequence: refused.sequence,
        checkpoint_id: refused
            .checkpoint
            .map(|id| id.to_string())
            .unwrap_or_default(),
        reason: refused.refusal.reason.as_str().to_owned(),
        message: refused.refusal.message.clone(),
        at: Some(timestamp(refused.at)),
    }
}

fn timestamp(time: Timestamp) -> prost_types::Timestamp {
    // A time before 1970 has a negative part of a second here and a positive one there.
    let nanoseconds = time.as_nanosecond();
    prost_types::Timestamp {
        seconds: nanoseconds.div_euclid(1_000_000_000) as i64,
        nanos: nanoseconds.rem_euclid(1_000_000_000) as i32,
    }
}

fn checkpoint(manifest: &Manifest) -> v1::Checkpoint {
    let input = manifest.input;
    let normalization = match manifest.picture_normalization {
        manifest::PictureNormalization::None => v1::PictureNormalization::None,
        manifest::PictureNormalization::Mnist => v1::PictureNormalization::Mnist,
    };
    v1::Checkpoint {
        checkpoint_id: manifest.id.to_string(),
        model: manifest.model.to_string(),
        created_at: Some(timestamp(manifest.created_at)),
        architecture: Some(architecture(&manifest.architecture)),
        input: Some(v1::InputSpec {
            height: input.height as u32,
            width: input.width as u32,
            scale: input.scale,
            mean: input.mean,
            std: input.std,
        }),
        label_names: manifest.labels.clone(),
        picture_normalization: normalization.into(),
        temperature: manifest.temperature,
        weights_sha256: manifest.files.model.sha256.clone(),
        weights_size_bytes: manifest.files.model.size_bytes,
        validation: manifest.metrics.validation.as_ref().map(evaluation),
        test: manifest.metrics.test.as_ref().map(evaluation),
        lineage: Some(lineage(manifest)),
        calibration: manifest.metrics.calibration.as_ref().map(calibration),
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

fn architecture(architecture: &manifest::Architecture) -> v1::Architecture {
    let widths = [
        &[architecture.input_size],
        &*architecture.hidden,
        &[architecture.classes],
    ]
    .concat();
    let products: usize = widths.windows(2).map(|pair| pair[0] * pair[1]).sum();
    let outputs: usize = widths[1..].iter().sum();
    let parameters = (products + outputs) as u64;
    let activation = match architecture.activation {
        manifest::Activation::Relu => v1::Activation::Relu,
        manifest::Activation::ScaledTanh => v1::Activation::ScaledTanh,
        manifest::Activation::Gelu => v1::Activation::Gelu,
    };
    v1::Architecture {
        input_size: architecture.input_size as u32,
        hidden: architecture
            .hidden
            .iter()
            .map(|&width| width as u32)
            .collect(),
        classes: architecture.classes as u32,
        activation: activation.into(),
        size: Some(v1::NetworkSize {
            parameters,
            parameter_bytes: parameters * 4,
            multiply_adds: parameters,
            activation_bytes: outputs as u64 * 4,
        }),
    }
}

fn evaluation(evaluation: &manifest::Evaluation) -> v1::Evaluation {
    v1::Evaluation {
        images: evaluation.images,
        correct: evaluation.correct,
        accuracy: evaluation.accuracy(),
        loss: evaluation.loss,
        loss_batch_mean: evaluation.loss_batch_mean,
        batch_size: evaluation.batch_size,
    }
}

fn lineage(manifest: &Manifest) -> v1::Lineage {
    let lineage = &manifest.lineage;
    let spec = bytes_of_hex(&lineage.spec_protobuf).filter(|bytes| !bytes.is_empty());
    v1::Lineage {
        job_id: lineage.job.clone().unwrap_or_default(),
        // A spec of a newer program may not decode; the rest is worth telling all the same.
        spec: spec.and_then(|bytes| v1::JobSpec::decode(&*bytes).ok()),
        epoch: lineage.epoch,
        step: lineage.step,
        parent_checkpoint_id: lineage.parent.map(|id| id.to_string()).unwrap_or_default(),
        dataset_digest: lineage.dataset_digest.clone(),
        program_version: lineage.program_version.clone(),
        libtorch_version: lineage.libtorch_version.clone(),
        device: lineage.device.clone(),
        threads: lineage.threads.unwrap_or_default(),
        imported_sha256: lineage.imported_sha256.clone().unwrap_or_default(),
    }
}

fn bytes_of_hex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).map(|digit| digit as u8);
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    let bytes = pairs
        .iter()
        .map(|&[high, low]| Some(digit(high)? << 4 | digit(low)?))
        .collect();
    if rest.is_empty() { bytes } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_of_the_notebooks_network() {
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
    fn hexadecimal() {
        let cases = [
            ("", Some(vec![])),
            ("00ffA5", Some(vec![0, 255, 0xa5])),
            ("0", None),
            ("zz", None),
            ("é", None),
        ];
        for (text, expected) in cases {
            assert_eq!(bytes_of_hex(text), expected, "{text:?}");
        }
    }
}
