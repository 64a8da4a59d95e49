//! Hot loads in a row, by operator promotions.

use anyhow::{Context as _, Result, ensure};
use digits_checkpoint::{
    Storage,
    id::ModelName,
    list_checkpoints,
    record::Role,
    serving::{self, Candidate, promote},
};
use digits_proto::v1::{GetModelRequest, inference_service_client::InferenceServiceClient};
use digits_testing::until_every;
use std::time::{Duration, Instant};

/// Poll interval; long, because polling shares the core of the load generator.
const PAUSE: Duration = Duration::from_millis(20);

/// Promotes the storage's checkpoints in rotation, `count` times, and waits each time until the
/// server answers with it. Returns the seconds it took.
pub async fn swap(storage: &str, address: &str, count: usize) -> Result<f64> {
    let storage = Storage::open(storage)?;
    let model = ModelName::default();
    let manifests = list_checkpoints(&storage).await?;
    ensure!(manifests.len() > 1, "a swap needs two checkpoints");
    let mut client = InferenceServiceClient::connect(format!("http://{address}")).await?;
    let head = serving::head(&storage, &model).await?;
    let mut sequence = head.context("nothing serves")?.sequence;
    let begun = Instant::now();
    for turn in 1..=count {
        let candidate = Candidate {
            checkpoint: manifests[turn % manifests.len()].id,
            role: Role::Primary,
            share: None,
        };
        sequence = promote(&storage, &model, sequence, candidate, "bench-serve")
            .await?
            .sequence;
        until_every(PAUSE, "the promoted checkpoint", async || {
            let model_info = client.get_model(GetModelRequest::default()).await?;
            let model_info = model_info.into_inner();
            let served = model_info.served.first();
            Ok(served
                .is_some_and(|served| served.sequence == sequence)
                .then_some(()))
        })
        .await?;
    }
    Ok(begun.elapsed().as_secs_f64())
}
