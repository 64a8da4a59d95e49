//! Encodes a [`Prediction`] as a `PredictResponse`.

use super::roles::role_message;
use crate::{
    engine::probability::top,
    model::LoadedModel,
    predict::{
        ImageResult, Prediction, SelectedRoute,
        prediction::{InputResult, NumberResult},
    },
};
use digits_picture::components::BoundingBox;
use digits_proto::v1::{
    Box as BoxMessage, LabelProbability, Part, PredictResponse, Prediction as PredictionMessage,
    ServedBy, Verdict,
};

/// Optional parts of the response.
#[derive(Clone, Copy)]
pub struct ResponseOptions {
    /// Number of the most probable labels; 0 for the probabilities of all.
    pub top_k: usize,
    /// Whether to return logits.
    pub logits: bool,
    /// Whether to return the images as the network saw them.
    pub input: bool,
}

/// Encodes the response.
#[must_use]
pub fn encode(prediction: &Prediction<'_>, options: ResponseOptions) -> PredictResponse {
    let builder = PredictionBuilder {
        prediction,
        options,
    };
    let SelectedRoute {
        model,
        snapshot,
        route,
    } = prediction.selected;
    let served_by = ServedBy {
        model: model.name.as_str().to_owned(),
        checkpoint_id: route.checkpoint.id.clone(),
        sequence: snapshot.sequence,
        role: role_message(route.role).into(),
    };
    PredictResponse {
        predictions: prediction
            .results()
            .map(|result| builder.build(result))
            .collect(),
        served_by: Some(served_by),
    }
}

struct PredictionBuilder<'a> {
    prediction: &'a Prediction<'a>,
    options: ResponseOptions,
}

impl PredictionBuilder<'_> {
    fn build(&self, result: ImageResult<'_>) -> PredictionMessage {
        match result {
            ImageResult::Label(input) => {
                let label = input.classification.label;
                let mut message = self.input(input, Verdict::Label);
                message.label_index = Some(label as u32);
                message.label.clone_from(&self.labels()[label]);
                message
            }
            ImageResult::Unsure(input) => self.input(input, Verdict::Unsure),
            ImageResult::Blank => PredictionMessage {
                verdict: Verdict::Blank.into(),
                ..PredictionMessage::default()
            },
            ImageResult::SeveralDigits(boxes) => PredictionMessage {
                verdict: Verdict::SeveralDigits.into(),
                boxes: boxes.iter().map(box_message).collect(),
                ..PredictionMessage::default()
            },
            ImageResult::Number(number) => self.number(number),
        }
    }

    /// A single digit is the prediction itself, too.
    fn number(&self, number: NumberResult<'_>) -> PredictionMessage {
        let digits = self.prediction.digits(number);
        let (mut parts, mut text) = (Vec::with_capacity(digits.len()), Text::default());
        let mut whole = PredictionMessage::default();
        for (place, digit) in digits {
            whole = self.build(digit);
            text.push(&whole.label, place.line);
            parts.push(part(&place.bounds, whole.clone()));
        }
        if parts.len() > 1 {
            whole = PredictionMessage {
                verdict: Verdict::SeveralDigits.into(),
                boxes: parts.iter().filter_map(|part| part.r#box).collect(),
                ..PredictionMessage::default()
            };
        }
        whole.text = text.text;
        whole.parts = parts;
        whole
    }

    fn checkpoint(&self) -> &LoadedModel {
        &self.prediction.selected.route.checkpoint
    }

    fn labels(&self) -> &[String] {
        &self.checkpoint().manifest.labels
    }

    fn input(&self, input: InputResult<'_>, verdict: Verdict) -> PredictionMessage {
        let InputResult {
            index,
            logits,
            probabilities,
            ..
        } = input;
        let ResponseOptions {
            top_k,
            logits: want_logits,
            input: want_input,
        } = self.options;
        let mut message = PredictionMessage {
            verdict: verdict.into(),
            ..PredictionMessage::default()
        };
        if want_logits {
            message.logits = logits.to_vec();
        }
        if want_input {
            let inputs = self.checkpoint().network.inputs();
            message.input = self.prediction.images.pixels().to_bytes(index, inputs);
        }
        if top_k == 0 {
            message.probabilities = probabilities.to_vec();
        } else {
            let indices = top(probabilities, top_k).into_iter();
            let top = indices.map(|index| self.label_probability(index, probabilities[index]));
            message.top = top.collect();
        }
        message
    }

    fn label_probability(&self, index: usize, probability: f32) -> LabelProbability {
        LabelProbability {
            label_index: index as u32,
            label: self.labels()[index].clone(),
            probability,
        }
    }
}

/// What is written, label by label.
#[derive(Default)]
struct Text {
    text: String,
    line: usize,
}

impl Text {
    /// Adds a label, which is empty if the digit has none.
    fn push(&mut self, label: &str, line: usize) {
        if line != self.line {
            self.text.push('\n');
        }
        self.line = line;
        self.text
            .push_str(if label.is_empty() { "?" } else { label });
    }
}

fn part(bounds: &BoundingBox, message: PredictionMessage) -> Part {
    Part {
        r#box: Some(box_message(bounds)),
        label_index: message.label_index,
        label: message.label,
        probabilities: message.probabilities,
        top: message.top,
        logits: message.logits,
        verdict: message.verdict,
        input: message.input,
    }
}

fn box_message(found: &BoundingBox) -> BoxMessage {
    BoxMessage {
        left: found.left as u32,
        top: found.top as u32,
        width: found.width as u32,
        height: found.height as u32,
    }
}
