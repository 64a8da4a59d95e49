//! From logits to the answer: probabilities, labels, verdicts, and what is counted of them.

use super::{
    RequestContext,
    input::{NormalizedImages, Outcome},
};
use crate::{
    classifier::Classifier,
    engine::probability::top,
    metrics::AnswerMetrics,
    model::{ActiveRoute, Model, ServingSnapshot},
    picture::components,
    routing::RouteIndex,
};
use digits_checkpoint::record::Role;
use digits_proto::v1::{
    Box as BoxMessage, LabelProbability, PredictRequest, PredictResponse, Prediction, ServedBy,
    ServingRole, Verdict,
};
use digits_server::AnsweredBy;
use std::sync::Arc;

/// What a request wants to be told.
#[derive(Clone, Copy)]
pub(super) struct ResponseOptions {
    top_k: usize,
    logits: bool,
    input: bool,
    min_probability: f32,
}

impl From<&PredictRequest> for ResponseOptions {
    fn from(request: &PredictRequest) -> Self {
        Self {
            top_k: request.top_k as usize,
            logits: request.want_logits,
            input: request.want_input,
            min_probability: request.min_probability,
        }
    }
}

/// Who answers.
#[derive(Clone, Copy)]
pub(super) struct SelectedRoute<'a> {
    pub(super) model: &'a Model,
    pub(super) serving: &'a Arc<ServingSnapshot>,
    pub(super) choice: RouteIndex,
}

impl SelectedRoute<'_> {
    /// Tells the request's line in the log who answers, where it has one.
    pub(super) fn note(self, asked: &RequestContext) {
        if let Some(note) = &asked.note {
            note.write(|| AnsweredBy {
                model: self.model.name.to_string(),
                sequence: self.serving.sequence,
                role: self.serving.served(self.choice).role.as_str(),
            });
        }
    }

    /// Counts the whole time of a request whose answer is made.
    pub(super) fn count(self, asked: &RequestContext) {
        let metrics = &self.serving.served(self.choice).metrics;
        metrics.answered(asked.method, asked.since);
    }
}

/// The answer to a request; counts it. `logits` are those of the images that are an input, in order.
pub(super) fn answer(
    answering: SelectedRoute<'_>,
    images: &NormalizedImages,
    logits: &[f32],
    wanted: ResponseOptions,
) -> PredictResponse {
    let SelectedRoute {
        model,
        serving,
        choice,
    } = answering;
    let served = serving.served(choice);
    let builder = PredictionBuilder {
        served,
        images,
        wanted,
        metrics: &model.answers,
    };
    let mut classifier = served.classifier(images.pixels());
    let mut digits = logits
        .chunks_exact(served.checkpoint.network.classes())
        .enumerate()
        .map(|(index, logits)| builder.digit(&mut classifier, index, logits));
    let predictions = match images.outcomes() {
        None => digits.collect(),
        Some(outcomes) => outcomes
            .iter()
            .filter_map(|outcome| match outcome {
                Outcome::Input => digits.next(),
                Outcome::Blank => Some(builder.blank()),
                Outcome::Several(boxes) => Some(builder.several(boxes)),
            })
            .collect(),
    };
    let served_by = ServedBy {
        model: model.name.as_str().to_owned(),
        checkpoint_id: served.checkpoint.id.clone(),
        sequence: serving.sequence,
        role: role_message(served.role).into(),
    };
    PredictResponse {
        predictions,
        served_by: Some(served_by),
    }
}

/// A role on the wire.
pub(super) fn role_message(role: Role) -> ServingRole {
    match role {
        Role::Primary => ServingRole::Primary,
        Role::Canary => ServingRole::Canary,
        Role::Shadow => ServingRole::Shadow,
    }
}

struct PredictionBuilder<'a> {
    served: &'a ActiveRoute,
    images: &'a NormalizedImages,
    wanted: ResponseOptions,
    metrics: &'a AnswerMetrics,
}

impl PredictionBuilder<'_> {
    fn digit(&self, classifier: &mut Classifier<'_>, index: usize, logits: &[f32]) -> Prediction {
        let manifest = &self.served.checkpoint.manifest;
        let mut probabilities = vec![0.0; logits.len()];
        let classification = classifier.image(logits, &mut probabilities);
        let best = classification.label;
        let sure = classification.confidence >= self.wanted.min_probability;
        let mut prediction = Prediction {
            logits: if self.wanted.logits {
                logits.to_vec()
            } else {
                Vec::new()
            },
            input: if self.wanted.input {
                let inputs = self.served.checkpoint.network.inputs();
                self.images.pixels().to_bytes(index, inputs)
            } else {
                Vec::new()
            },
            ..Prediction::default()
        };
        if sure {
            self.served.metrics.predicted(best);
            prediction.label_index = Some(best as u32);
            prediction.label.clone_from(&manifest.labels[best]);
            prediction.set_verdict(Verdict::Label);
        } else {
            self.metrics.unsure.increment(1);
            prediction.set_verdict(Verdict::Unsure);
        }
        if self.wanted.top_k == 0 {
            prediction.probabilities = probabilities;
        } else {
            let named = |index: usize| LabelProbability {
                label_index: index as u32,
                label: manifest.labels[index].clone(),
                probability: probabilities[index],
            };
            prediction.top = top(&probabilities, self.wanted.top_k)
                .into_iter()
                .map(named)
                .collect();
        }
        prediction
    }

    fn blank(&self) -> Prediction {
        self.metrics.blank.increment(1);
        Prediction {
            verdict: Verdict::Blank.into(),
            ..Prediction::default()
        }
    }

    fn several(&self, boxes: &[components::BoundingBox]) -> Prediction {
        self.metrics.several_digits.increment(1);
        let message = |found: &components::BoundingBox| BoxMessage {
            left: found.left as u32,
            top: found.top as u32,
            width: found.width as u32,
            height: found.height as u32,
        };
        Prediction {
            verdict: Verdict::SeveralDigits.into(),
            boxes: boxes.iter().map(message).collect(),
            ..Prediction::default()
        }
    }
}
