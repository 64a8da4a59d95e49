//! ImportCheckpoint: a header and a file in pieces, bounded in size and time.

use super::errors::{invalid_field, storage};
use crate::import::{FILE_BYTES_AT_MOST, Import, ImportError};
use digits_checkpoint::{
    id::{CheckpointId, ModelName},
    manifest::{Activation, InputSpec, PictureNormalization},
};
use digits_proto::v1::{
    self, ImportCheckpointRequest, ImportHeader, import_checkpoint_request::Part,
};
use futures::{Stream, StreamExt as _};
use std::time::Duration;
use tokio::time::{Instant, timeout_at};
use tonic::Status;

const PIECE_BYTES_AT_MOST: usize = 256 << 10;
/// Time in which the whole file must be here, so that nobody holds the one place of an import.
const TRANSFER: Duration = Duration::from_secs(600);
/// Time between two messages.
const SILENCE: Duration = Duration::from_secs(30);

/// The header and the whole file.
pub(super) async fn receive(
    mut messages: impl Stream<Item = Result<ImportCheckpointRequest, Status>> + Unpin,
) -> Result<(Import, Vec<u8>), Status> {
    let end = Instant::now() + TRANSFER;
    let mut import = None;
    let mut file = Vec::new();
    loop {
        let next = timeout_at(end.min(Instant::now() + SILENCE), messages.next());
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
            (Some(Part::Piece(piece)), Some(_)) => add(&mut file, &piece)?,
        }
    }
    match import {
        Some(import) => Ok((import, file)),
        None => Err(invalid_field("header", "must be the first message")),
    }
}

fn add(file: &mut Vec<u8>, piece: &[u8]) -> Result<(), Status> {
    if !(1..=PIECE_BYTES_AT_MOST).contains(&piece.len()) {
        return Err(invalid_field(
            "piece",
            format!(
                "must be 1 to {PIECE_BYTES_AT_MOST} bytes, not {}",
                piece.len()
            ),
        ));
    }
    if file.len() + piece.len() > FILE_BYTES_AT_MOST {
        return Err(invalid_field(
            "piece",
            format!("the file has more than {FILE_BYTES_AT_MOST} bytes, which no network needs"),
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
    let activation = match v1::Activation::try_from(header.activation) {
        Ok(v1::Activation::Relu | v1::Activation::Unspecified) => Activation::Relu,
        Ok(v1::Activation::ScaledTanh) => Activation::ScaledTanh,
        Ok(v1::Activation::Gelu) => Activation::Gelu,
        Err(_) => {
            return Err(invalid_field(
                "header.activation",
                "is not known: use RELU, SCALED_TANH or GELU",
            ));
        }
    };
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
    })
}

/// MNIST's, where nothing is said.
fn input(said: Option<v1::InputSpec>) -> InputSpec {
    let said = said.unwrap_or(v1::InputSpec {
        height: 28,
        width: 28,
        scale: 255.0,
        mean: 0.0,
        std: 1.0,
    });
    InputSpec {
        height: said.height as usize,
        width: said.width as usize,
        scale: said.scale,
        mean: said.mean,
        std: said.std,
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

/// Answers for what was not imported.
pub(super) fn not_imported(error: ImportError) -> Status {
    match error {
        ImportError::Invalid(violation) => invalid_field(&violation.field, violation.message),
        ImportError::Taken(id) => Status::already_exists(format!(
            "header.checkpoint_id: {id} is another checkpoint: make a new id"
        )),
        ImportError::Storage(error) => storage(&error),
        error @ (ImportError::Exam(_) | ImportError::Panic) => {
            tracing::error!(%error, "an import failed");
            Status::internal("an internal error; the trainer's log has more")
        }
    }
}
