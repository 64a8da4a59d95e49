//! The configuration of a model as Triton's clients expect it, and the statistics of its requests.

use super::outputs::{INPUT, Output};
use crate::{
    metrics::Total,
    model::{Model, ServingSnapshot},
};
use digits_proto::open_inference::{
    DataType, InferStatistics, ModelConfig, ModelInput, ModelOutput, ModelStatistics,
    ModelTensorReshape, ModelVersionPolicy, StatisticDuration,
    model_version_policy::{PolicyChoice, Specific},
};

/// The configuration; a request may hold `max_images`.
pub(super) fn configuration(
    model: &Model,
    snapshot: &ServingSnapshot,
    max_images: usize,
) -> ModelConfig {
    let checkpoint = &snapshot.primary.checkpoint;
    let input = checkpoint.manifest.input;
    let classes = checkpoint.network.classes() as i64;
    let versions = vec![i64::try_from(snapshot.sequence).unwrap_or(i64::MAX)];
    ModelConfig {
        name: model.name.to_string(),
        platform: "digits_mlp".to_owned(),
        version_policy: Some(ModelVersionPolicy {
            policy_choice: Some(PolicyChoice::Specific(Specific { versions })),
        }),
        max_batch_size: i32::try_from(max_images).unwrap_or(i32::MAX),
        input: vec![ModelInput {
            name: INPUT.to_owned(),
            data_type: DataType::TypeUint8.into(),
            dims: vec![input.height as i64, input.width as i64],
        }],
        output: Output::ALL
            .map(|output| self::output(output, classes))
            .into(),
        backend: "digits".to_owned(),
    }
}

fn output(output: Output, classes: i64) -> ModelOutput {
    // The first dimension is that of the images. A tensor of one dimension is configured as [1]
    // that is reshaped to none.
    let dims = output.shape(0, classes).split_off(1);
    let reshape = dims.is_empty().then(ModelTensorReshape::default);
    ModelOutput {
        name: output.name().to_owned(),
        data_type: match output {
            Output::Logits | Output::Probabilities => DataType::TypeFp32,
            Output::Label | Output::Text => DataType::TypeString,
        }
        .into(),
        dims: if dims.is_empty() { vec![1] } else { dims },
        reshape,
    }
}

/// The statistics, under the version that is served.
pub(super) fn statistics(model: &Model, snapshot: &ServingSnapshot) -> ModelStatistics {
    let statistics = &model.metrics.statistics;
    let none = || Some(StatisticDuration::default());
    ModelStatistics {
        name: model.name.to_string(),
        version: snapshot.sequence.to_string(),
        last_inference: statistics.newest_milliseconds(),
        inference_count: statistics.images(),
        execution_count: statistics.compute.count(),
        inference_stats: Some(InferStatistics {
            success: duration(&statistics.answered),
            fail: duration(&statistics.failed),
            queue: duration(&statistics.queue),
            compute_input: none(),
            compute_infer: duration(&statistics.compute),
            compute_output: none(),
            cache_hit: none(),
            cache_miss: none(),
        }),
    }
}

fn duration(total: &Total) -> Option<StatisticDuration> {
    Some(StatisticDuration {
        count: total.count(),
        ns: total.nanoseconds(),
    })
}
