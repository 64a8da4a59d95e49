//! Metadata of the server and of a model.

use super::outputs::{INPUT, Output};
use crate::model::{Model, ServingSnapshot};
use digits_proto::open_inference::{
    ModelMetadataResponse, ServerMetadataResponse, model_metadata_response::TensorMetadata,
};

/// Extensions of the protocol, by the names that Triton gives them.
const EXTENSIONS: [&str; 3] = ["binary_tensor_data", "model_configuration", "statistics"];

/// Any number of images.
const ANY: i64 = -1;

pub(super) fn server() -> ServerMetadataResponse {
    ServerMetadataResponse {
        name: env!("CARGO_PKG_NAME").to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        extensions: EXTENSIONS.map(str::to_owned).to_vec(),
    }
}

/// Inputs and outputs. The protocol has one type and one shape for an input; the other
/// types and shapes are accepted too.
pub(super) fn model(model: &Model, snapshot: &ServingSnapshot) -> ModelMetadataResponse {
    let checkpoint = &snapshot.primary.checkpoint;
    let input = checkpoint.manifest.input;
    let classes = checkpoint.network.classes() as i64;
    let outputs = Output::ALL.map(|output| TensorMetadata {
        name: output.name().to_owned(),
        datatype: output.datatype().to_owned(),
        shape: output.shape(ANY, classes),
    });
    ModelMetadataResponse {
        name: model.name.to_string(),
        versions: vec![snapshot.sequence.to_string()],
        platform: "digits_mlp".to_owned(),
        inputs: vec![TensorMetadata {
            name: INPUT.to_owned(),
            datatype: "UINT8".to_owned(),
            shape: vec![ANY, input.height as i64, input.width as i64],
        }],
        outputs: outputs.into(),
    }
}
