//! The tensors of an answer.

use super::super::answer::SelectedRoute;
use crate::pixels::Pixels;
use digits_proto::open_inference::{
    InferParameter, InferTensorContents, ModelInferResponse, infer_parameter::ParameterChoice,
    model_infer_response::InferOutputTensor,
};

/// A tensor that comes out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Output {
    Logits,
    Probabilities,
    Label,
}

impl Output {
    pub(super) const ALL: [Self; 3] = [Self::Logits, Self::Probabilities, Self::Label];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Logits => "logits",
            Self::Probabilities => "probabilities",
            Self::Label => "label",
        }
    }

    pub(super) fn datatype(self) -> &'static str {
        match self {
            Self::Logits | Self::Probabilities => "FP32",
            Self::Label => "BYTES",
        }
    }

    pub(super) fn shape(self, images: i64, classes: i64) -> Vec<i64> {
        match self {
            Self::Logits | Self::Probabilities => vec![images, classes],
            Self::Label => vec![images],
        }
    }
}

/// How an answer is to look.
pub(super) struct Form {
    /// The outputs that were asked for, in their order.
    pub(super) outputs: Vec<Output>,
    /// Whether the values come as raw bytes: as they came in the request.
    pub(super) raw: bool,
}

/// The answer to a request; counts it.
pub(super) fn answer(
    answering: SelectedRoute<'_>,
    pixels: &Pixels,
    logits: Vec<f32>,
    id: String,
    form: &Form,
) -> ModelInferResponse {
    let SelectedRoute {
        model,
        serving,
        choice,
    } = answering;
    let served = serving.served(choice);
    let manifest = &served.checkpoint.manifest;
    let classes = manifest.labels.len();
    let mut probabilities = vec![0.0; logits.len()];
    let mut labels = Vec::with_capacity(logits.len() / classes);
    let mut classifier = served.classifier(pixels);
    let images = logits.chunks_exact(classes);
    for (logits, probabilities) in images.zip(probabilities.chunks_exact_mut(classes)) {
        let classification = classifier.image(logits, probabilities);
        served.metrics.predicted(classification.label);
        labels.push(manifest.labels[classification.label].as_bytes());
    }
    drop(classifier);
    let tensor = |&output: &Output| InferOutputTensor {
        name: output.name().to_owned(),
        datatype: output.datatype().to_owned(),
        shape: output.shape(labels.len() as i64, classes as i64),
        contents: (!form.raw).then(|| match output {
            Output::Logits => floats(logits.clone()),
            Output::Probabilities => floats(probabilities.clone()),
            Output::Label => InferTensorContents {
                bytes_contents: labels.iter().map(|label| label.to_vec()).collect(),
                ..InferTensorContents::default()
            },
        }),
        ..InferOutputTensor::default()
    };
    let raw = |&output: &Output| match output {
        Output::Logits => raw_floats(&logits),
        Output::Probabilities => raw_floats(&probabilities),
        Output::Label => raw_bytes(&labels),
    };
    let outputs = form.outputs.iter().map(tensor).collect();
    let raw_outputs = form.outputs.iter().filter(|_| form.raw).map(raw).collect();
    let text = |value: String| InferParameter {
        parameter_choice: Some(ParameterChoice::StringParam(value)),
    };
    let role = served.role.as_str().to_owned();
    ModelInferResponse {
        model_name: model.name.to_string(),
        model_version: serving.sequence.to_string(),
        id,
        parameters: [
            (
                "checkpoint_id".to_owned(),
                text(served.checkpoint.id.clone()),
            ),
            ("role".to_owned(), text(role)),
        ]
        .into(),
        outputs,
        raw_output_contents: raw_outputs,
    }
}

fn floats(values: Vec<f32>) -> InferTensorContents {
    InferTensorContents {
        fp32_contents: values,
        ..InferTensorContents::default()
    }
}

fn raw_floats(values: &[f32]) -> Vec<u8> {
    values
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect()
}

/// BYTES as the protocol writes them: each element after its length, four bytes, little-endian.
fn raw_bytes(elements: &[&[u8]]) -> Vec<u8> {
    let mut raw = Vec::with_capacity(elements.iter().map(|element| 4 + element.len()).sum());
    for element in elements {
        raw.extend((element.len() as u32).to_le_bytes());
        raw.extend_from_slice(element);
    }
    raw
}
