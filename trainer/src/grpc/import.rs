//! Receives the stream of ImportCheckpoint, a header, then a file in pieces, bounded in size and
//! time; and makes its response.

use super::{errors::invalid_field, import_quota::Allowance};
use crate::{
    import::{Import, Imported, MAX_FILE_BYTES, Measurement, NormSettings, Setting, Side},
    wire,
};
use digits_checkpoint::{
    id::{CheckpointId, ModelName},
    manifest::{Activation, InputSpec, PictureNormalization},
    messages::{self, checkpoint, evaluation},
};
use digits_proto::v1::{
    self, ImportCheckpointRequest, ImportCheckpointResponse, ImportHeader,
    import_checkpoint_request::Part,
};
use futures::{Stream, StreamExt as _};
use std::time::Duration;
use tokio::time::{Instant, timeout_at};
use tonic::Status;

const MAX_PIECE_BYTES: usize = 256 << 10;
/// Time limit of the whole transfer: only one import runs at a time.
const TRANSFER_TIMEOUT: Duration = Duration::from_secs(600);
/// Time limit between two messages.
const MESSAGE_TIMEOUT: Duration = Duration::from_secs(30);

/// Receives the header and the whole file, as far as the quota of its client reaches.
pub(super) async fn receive(
    messages: impl Stream<Item = Result<ImportCheckpointRequest, Status>> + Unpin,
    mut allowance: Allowance,
) -> Result<(Import, Vec<u8>, Allowance), Status> {
    match receive_parts(messages, &mut allowance).await {
        Ok((import, file)) => Ok((import, file, allowance)),
        Err(status) => {
            allowance.settle().await;
            Err(status)
        }
    }
}

async fn receive_parts(
    mut messages: impl Stream<Item = Result<ImportCheckpointRequest, Status>> + Unpin,
    allowance: &mut Allowance,
) -> Result<(Import, Vec<u8>), Status> {
    let end = Instant::now() + TRANSFER_TIMEOUT;
    let mut import = None;
    let mut file = Vec::new();
    loop {
        let next = timeout_at(end.min(Instant::now() + MESSAGE_TIMEOUT), messages.next());
        let message = next.await.map_err(|_| {
            Status::deadline_exceeded("the file did not arrive in time: import it again")
        })?;
        let Some(message) = message else { break };
        match (message?.part, &import) {
            (Some(Part::Header(header)), None) => import = Some(self::header(header)?),
            (Some(Part::Header(_)), Some(_)) => {
                return Err(invalid_field("header", "must be the first message alone"));
            }
            (Some(Part::Piece(_)) | None, None) => {
                return Err(invalid_field("header", "must be the first message"));
            }
            (None, Some(_)) => return Err(invalid_field("piece", "must be set")),
            (Some(Part::Piece(piece)), Some(_)) => {
                allowance.take(piece.len())?;
                add(&mut file, &piece)?;
            }
        }
    }
    match import {
        Some(import) => Ok((import, file)),
        None => Err(invalid_field("header", "must be the first message")),
    }
}

fn add(file: &mut Vec<u8>, piece: &[u8]) -> Result<(), Status> {
    if !(1..=MAX_PIECE_BYTES).contains(&piece.len()) {
        return Err(invalid_field(
            "piece",
            format!("must be 1 to {MAX_PIECE_BYTES} bytes, not {}", piece.len()),
        ));
    }
    if file.len() + piece.len() > MAX_FILE_BYTES {
        return Err(invalid_field(
            "piece",
            format!("the file has more than {MAX_FILE_BYTES} bytes, which no network needs"),
        ));
    }
    file.extend_from_slice(piece);
    Ok(())
}

fn header(header: ImportHeader) -> Result<Import, Status> {
    let input = input(header.input);
    let picture_normalization = match header.picture_normalization() {
        v1::PictureNormalization::Mnist => PictureNormalization::Mnist,
        v1::PictureNormalization::None => PictureNormalization::None,
        v1::PictureNormalization::Unspecified if (input.height, input.width) == (28, 28) => {
            PictureNormalization::Mnist
        }
        v1::PictureNormalization::Unspecified => PictureNormalization::None,
    };
    let known = v1::PictureNormalization::try_from(header.picture_normalization);
    if known.is_err() {
        return Err(invalid_field(
            "header.picture_normalization",
            "is not known: use MNIST or NONE",
        ));
    }
    let activation = activation(header.activation, header.negative_slope)?;
    let model = header.model.as_deref().unwrap_or(ModelName::DEFAULT);
    Ok(Import {
        id: id(&header.checkpoint_id)?,
        model: model
            .parse()
            .map_err(|error| invalid_field("header.model", format!("{error}")))?,
        activation,
        input,
        labels: header.label_names,
        picture_normalization,
        temperature: header.temperature.unwrap_or(1.0),
        batch_norm: batch_norm(header.batch_norm, header.batch_norm_epsilon)?,
        dataset: header.dataset,
    })
}

fn batch_norm(place: i32, epsilon: Option<f64>) -> Result<NormSettings, Status> {
    let side = match v1::BatchNormPlace::try_from(place) {
        Ok(v1::BatchNormPlace::Unspecified) => None,
        Ok(v1::BatchNormPlace::BeforeActivation) => Some(Side::Before),
        Ok(v1::BatchNormPlace::AfterActivation) => Some(Side::After),
        Err(_) => {
            let message = "is not known: use BEFORE_ACTIVATION or AFTER_ACTIVATION";
            return Err(invalid_field("header.batch_norm", message));
        }
    };
    let epsilon = epsilon.unwrap_or(NormSettings::default().epsilon);
    if !(0.0..=1.0).contains(&epsilon) {
        return Err(invalid_field(
            "header.batch_norm_epsilon",
            format!("must be from 0 to 1, not {epsilon}"),
        ));
    }
    Ok(NormSettings { side, epsilon })
}

/// The response to an import.
pub(super) fn response(imported: Imported) -> ImportCheckpointResponse {
    ImportCheckpointResponse {
        checkpoint: Some(checkpoint(&imported.manifest)),
        notes: imported.notes,
        measurement: imported.measurement.as_ref().map(measurement),
    }
}

fn measurement(from: &Measurement) -> v1::ImportMeasurement {
    let (best, best_evaluation) = &from.best;
    let served = from.served.as_ref();
    v1::ImportMeasurement {
        dataset: from.dataset.clone(),
        dataset_digest: from.digest.clone(),
        evaluation: Some(evaluation(&from.given)),
        best: Some(settings(best)),
        best_evaluation: Some(evaluation(best_evaluation)),
        best_is_clearly_better: from.clearly_better,
        served_checkpoint_id: served.map(|(id, _)| id.to_string()).unwrap_or_default(),
        served: served.map(|(_, it)| evaluation(it)),
    }
}

fn settings(from: &Setting) -> v1::ImportSettings {
    let (activation, negative_slope) = messages::activation(from.activation);
    v1::ImportSettings {
        input: Some(messages::input(&from.input)),
        activation: activation.into(),
        negative_slope,
        batch_norm: match from.batch_norm {
            None => v1::BatchNormPlace::Unspecified,
            Some(Side::Before) => v1::BatchNormPlace::BeforeActivation,
            Some(Side::After) => v1::BatchNormPlace::AfterActivation,
        }
        .into(),
    }
}

fn activation(number: i32, negative_slope: Option<f32>) -> Result<Activation, Status> {
    const SLOPE: &str = "header.negative_slope";
    let activation = match wire::activation(number, negative_slope) {
        None => Activation::Relu,
        Some(Ok(activation)) => activation,
        Some(Err(_)) => {
            return Err(invalid_field(
                "header.activation",
                "is not known: use RELU, SCALED_TANH, GELU, TANH, SIGMOID or LEAKY_RELU",
            ));
        }
    };
    match (negative_slope, activation) {
        (Some(slope), _) if !(0.0..=1.0).contains(&slope) => Err(invalid_field(
            SLOPE,
            format!("must be from 0 to 1, not {slope}"),
        )),
        (None, _) | (_, Activation::LeakyRelu { .. }) => Ok(activation),
        (Some(_), _) => Err(invalid_field(SLOPE, "is only for LEAKY_RELU")),
    }
}

/// MNIST's, where the header has none.
fn input(spec: Option<v1::InputSpec>) -> InputSpec {
    let spec = spec.unwrap_or(v1::InputSpec {
        height: 28,
        width: 28,
        scale: 255.0,
        mean: 0.0,
        std: 1.0,
    });
    InputSpec {
        height: spec.height as usize,
        width: spec.width as usize,
        scale: spec.scale,
        mean: spec.mean,
        std: spec.std,
    }
}

fn id(text: &str) -> Result<CheckpointId, Status> {
    let version = uuid::Uuid::try_parse(text).map(|id| id.get_version_num());
    match (text.parse(), version) {
        (Ok(id), Ok(7)) => Ok(id),
        _ => Err(invalid_field(
            "header.checkpoint_id",
            "must be a UUIDv7 in its hyphenated form, made by the caller",
        )),
    }
}
