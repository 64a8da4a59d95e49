//! Triton's extensions of the protocol: the configuration of a model and the statistics of its
//! requests, and errors for those that are not offered.

use super::{
    call::{Forwarded, Gateway, ModelPath, UNKNOWN, document},
    error::Failure,
};
use axum::{
    Router,
    extract::State,
    http::{StatusCode, Uri},
    response::Response,
    routing::{any, get},
};
use digits_proto::open_inference::{
    DataType, InferStatistics, ModelConfig, ModelConfigRequest, ModelOutput, ModelStatistics,
    ModelStatisticsRequest, ModelVersionPolicy, StatisticDuration,
    model_version_policy::PolicyChoice,
};
use serde_json::{Value, json};

/// Paths of extensions that are not offered, and what they are.
const NOT_OFFERED: [(&str, &str); 6] = [
    ("/v2/repository/", "the model repository"),
    ("/v2/systemsharedmemory/", "shared memory"),
    ("/v2/cudasharedmemory/", "shared memory"),
    ("/v2/trace/", "trace settings"),
    ("/v2/logging", "log settings"),
    ("/v2/models/", "trace settings and generation"),
];

/// The paths of the extensions.
pub(super) fn routes() -> Router<Gateway> {
    let mut router = Router::new().route("/v2/models/stats", get(all_statistics));
    for model in [
        "/v2/models/{model}",
        "/v2/models/{model}/versions/{version}",
    ] {
        router = router
            .route(&format!("{model}/config"), get(configuration))
            .route(&format!("{model}/stats"), get(statistics))
            .route(&format!("{model}/trace/setting"), any(not_offered))
            .route(&format!("{model}/generate"), any(not_offered))
            .route(&format!("{model}/generate_stream"), any(not_offered));
    }
    for path in [
        "/v2/repository/{*path}",
        "/v2/systemsharedmemory/{*path}",
        "/v2/cudasharedmemory/{*path}",
        "/v2/trace/setting",
        "/v2/logging",
    ] {
        router = router.route(path, any(not_offered));
    }
    router
}

async fn not_offered(uri: Uri) -> Failure {
    let path = uri.path();
    let found = NOT_OFFERED
        .iter()
        .find(|(prefix, _)| path.starts_with(prefix));
    let what = found.map_or("this extension", |(_, what)| what);
    let message = format!(
        "this server does not offer the protocol's extension for {what}; GET /v2 lists its extensions"
    );
    Failure::new(StatusCode::NOT_IMPLEMENTED, message).rejecting(UNKNOWN)
}

async fn configuration(
    State(mut gateway): State<Gateway>,
    ModelPath { model, version }: ModelPath,
    forwarded: Forwarded,
) -> Result<Response, Failure> {
    let message = ModelConfigRequest {
        name: model,
        version,
    };
    let response = gateway.service.model_config(forwarded.request(message));
    let config = response.await?.into_inner().config.unwrap_or_default();
    Ok(document(StatusCode::OK, &configuration_json(config)))
}

fn configuration_json(config: ModelConfig) -> Value {
    let data_type = |number: i32| DataType::try_from(number).unwrap_or_default().as_str_name();
    let input = config.input.iter().map(|input| {
        json!({
            "name": input.name,
            "data_type": data_type(input.data_type),
            "dims": input.dims,
        })
    });
    let output = |output: &ModelOutput| {
        let mut json = json!({
            "name": output.name,
            "data_type": data_type(output.data_type),
            "dims": output.dims,
        });
        if let Some(reshape) = &output.reshape {
            json["reshape"] = json!({ "shape": reshape.shape });
        }
        json
    };
    let versions = match &config.version_policy {
        Some(ModelVersionPolicy {
            policy_choice: Some(PolicyChoice::Specific(specific)),
        }) => specific.versions.as_slice(),
        _ => &[],
    };
    json!({
        "name": config.name,
        "platform": config.platform,
        "backend": config.backend,
        "version_policy": { "specific": { "versions": versions } },
        "max_batch_size": config.max_batch_size,
        "input": input.collect::<Vec<_>>(),
        "output": config.output.iter().map(output).collect::<Vec<_>>(),
    })
}

async fn statistics(
    State(gateway): State<Gateway>,
    ModelPath { model, version }: ModelPath,
    forwarded: Forwarded,
) -> Result<Response, Failure> {
    let message = ModelStatisticsRequest {
        name: model,
        version,
    };
    gateway.statistics(message, forwarded).await
}

async fn all_statistics(
    State(gateway): State<Gateway>,
    forwarded: Forwarded,
) -> Result<Response, Failure> {
    let all = ModelStatisticsRequest::default();
    gateway.statistics(all, forwarded).await
}

impl Gateway {
    async fn statistics(
        mut self,
        message: ModelStatisticsRequest,
        forwarded: Forwarded,
    ) -> Result<Response, Failure> {
        let response = self.service.model_statistics(forwarded.request(message));
        let models = response.await?.into_inner().model_stats;
        let models: Vec<_> = models.into_iter().map(statistics_json).collect();
        Ok(document(StatusCode::OK, &json!({ "model_stats": models })))
    }
}

fn statistics_json(model: ModelStatistics) -> Value {
    let duration = |total: Option<StatisticDuration>| {
        let StatisticDuration { count, ns } = total.unwrap_or_default();
        json!({ "count": count, "ns": ns })
    };
    let InferStatistics {
        success,
        fail,
        queue,
        compute_input,
        compute_infer,
        compute_output,
        cache_hit,
        cache_miss,
    } = model.inference_stats.unwrap_or_default();
    json!({
        "name": model.name,
        "version": model.version,
        "last_inference": model.last_inference,
        "inference_count": model.inference_count,
        "execution_count": model.execution_count,
        "inference_stats": {
            "success": duration(success),
            "fail": duration(fail),
            "queue": duration(queue),
            "compute_input": duration(compute_input),
            "compute_infer": duration(compute_infer),
            "compute_output": duration(compute_output),
            "cache_hit": duration(cache_hit),
            "cache_miss": duration(cache_miss),
        },
        "response_stats": {},
        "batch_stats": [],
        "memory_usage": [],
    })
}
