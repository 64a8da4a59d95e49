//! The Open Inference Protocol over gRPC, with its generated client.
//! `tests/python/open_inference.py` makes the same requests with Triton's client.

mod answers;
mod errors;
mod metadata;

use crate::support::Service;
use digits_proto::open_inference::grpc_inference_service_client::GrpcInferenceServiceClient;
use digits_proto::open_inference::model_infer_request::InferInputTensor;
use digits_proto::open_inference::{InferTensorContents, ModelInferRequest};
use tonic::transport::Channel;

type Open = GrpcInferenceServiceClient<Channel>;

async fn open(service: &Service) -> Open {
    GrpcInferenceServiceClient::new(service.channel().await).max_decoding_message_size(64 << 20)
}

fn tensor(datatype: &str, shape: &[i64]) -> InferInputTensor {
    InferInputTensor {
        name: "pixels".into(),
        datatype: datatype.into(),
        shape: shape.into(),
        ..InferInputTensor::default()
    }
}

fn raw(datatype: &str, shape: &[i64], bytes: Vec<u8>) -> ModelInferRequest {
    ModelInferRequest {
        model_name: "digits".into(),
        id: "id-1".into(),
        inputs: vec![tensor(datatype, shape)],
        raw_input_contents: vec![bytes.into()],
        ..ModelInferRequest::default()
    }
}

fn typed(datatype: &str, shape: &[i64], contents: InferTensorContents) -> ModelInferRequest {
    let mut request = raw(datatype, shape, Vec::new());
    request.raw_input_contents.clear();
    request.inputs[0].contents = Some(contents);
    request
}

fn scaled(bytes: &[u8]) -> Vec<f32> {
    bytes.iter().map(|&x| f32::from(x) / 255.0).collect()
}

fn little_endian(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|x| x.to_le_bytes()).collect()
}

fn floats(raw: &[u8]) -> Vec<f32> {
    raw.as_chunks::<4>()
        .0
        .iter()
        .map(|&x| f32::from_le_bytes(x))
        .collect()
}
