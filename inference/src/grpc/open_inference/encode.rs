//! Encodes a [`Prediction`] as a `ModelInferResponse`.

use super::outputs::{Output, ResponseOptions};
use crate::predict::{Prediction, SelectedRoute};
use digits_proto::open_inference::{
    InferParameter, InferTensorContents, ModelInferResponse, infer_parameter::ParameterChoice,
    model_infer_response::InferOutputTensor,
};

/// Encodes the response.
pub(super) fn encode(
    prediction: &Prediction<'_>,
    id: String,
    options: &ResponseOptions,
) -> ModelInferResponse {
    let SelectedRoute {
        model,
        snapshot,
        route,
    } = prediction.selected;
    let labels = &route.checkpoint.manifest.labels;
    let values = Values {
        logits: &prediction.logits,
        probabilities: &prediction.classified.probabilities,
        labels: prediction
            .classified
            .labels
            .iter()
            .map(|classification| labels[classification.label].as_bytes())
            .collect(),
    };
    let (images, classes) = (values.labels.len() as i64, labels.len() as i64);
    let tensor = |&output: &Output| InferOutputTensor {
        name: output.name().to_owned(),
        datatype: output.datatype().to_owned(),
        shape: output.shape(images, classes),
        contents: (!options.raw).then(|| values.typed(output)),
        ..InferOutputTensor::default()
    };
    let outputs = options.outputs.iter();
    let parameters = [
        ("checkpoint_id", route.checkpoint.id.clone()),
        ("role", route.role.as_str().to_owned()),
    ];
    ModelInferResponse {
        model_name: model.name.to_string(),
        model_version: snapshot.sequence.to_string(),
        id,
        parameters: parameters
            .map(|(name, value)| (name.to_owned(), text(value)))
            .into(),
        outputs: outputs.clone().map(tensor).collect(),
        raw_output_contents: outputs
            .filter(|_| options.raw)
            .map(|&output| values.raw(output))
            .collect(),
    }
}

fn text(value: String) -> InferParameter {
    InferParameter {
        parameter_choice: Some(ParameterChoice::StringParam(value)),
    }
}

/// Values of the outputs.
struct Values<'a> {
    logits: &'a [f32],
    probabilities: &'a [f32],
    /// What is written in an image, too: each is one digit.
    labels: Vec<&'a [u8]>,
}

impl Values<'_> {
    fn typed(&self, output: Output) -> InferTensorContents {
        match output {
            Output::Logits => floats(self.logits),
            Output::Probabilities => floats(self.probabilities),
            Output::Label | Output::Text => InferTensorContents {
                bytes_contents: self.labels.iter().map(|label| label.to_vec()).collect(),
                ..InferTensorContents::default()
            },
        }
    }

    fn raw(&self, output: Output) -> Vec<u8> {
        match output {
            Output::Logits => raw_floats(self.logits),
            Output::Probabilities => raw_floats(self.probabilities),
            Output::Label | Output::Text => raw_bytes(&self.labels),
        }
    }
}

fn floats(values: &[f32]) -> InferTensorContents {
    InferTensorContents {
        fp32_contents: values.to_vec(),
        ..InferTensorContents::default()
    }
}

fn raw_floats(values: &[f32]) -> Vec<u8> {
    values
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect()
}

/// BYTES in the protocol's raw form: each element after its length, four bytes, little-endian.
fn raw_bytes(elements: &[&[u8]]) -> Vec<u8> {
    let mut raw = Vec::with_capacity(elements.iter().map(|element| 4 + element.len()).sum());
    for element in elements {
        raw.extend((element.len() as u32).to_le_bytes());
        raw.extend_from_slice(element);
    }
    raw
}
