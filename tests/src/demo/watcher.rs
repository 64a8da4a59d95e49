//! A caller that asks `Predict` without a pause while the model changes under it.

use super::data::Data;
use crate::sandbox::Sandbox;
use anyhow::{Context as _, Result, bail};
use digits_proto::v1::{PredictRequest, predict_request::Images};
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};
use tokio::{sync::watch, task::JoinHandle};
use tonic::Code;

/// How long the last published version may take to be served.
const PATIENCE: Duration = Duration::from_secs(10);

/// What the caller saw.
#[derive(Default)]
pub struct Seen {
    /// When each sequence first answered.
    pub first: BTreeMap<u64, Instant>,
    /// Requests that were answered.
    pub answered: u64,
}

/// The caller, at work in a task of its own.
pub struct Watcher {
    task: JoinHandle<Result<Seen>>,
    until: watch::Sender<Option<u64>>,
}

impl Watcher {
    /// Starts to ask for the first test image, one request after the other.
    pub async fn start(sandbox: &Sandbox, data: &Data) -> Result<Self> {
        let mut client = sandbox.predict().await?;
        let images = &data.set().test.images;
        let image = images.pixels[..images.height * images.width].to_vec();
        let (until, stop) = watch::channel(None);
        let task = tokio::spawn(async move {
            let mut seen = Seen::default();
            loop {
                let request = PredictRequest {
                    images: Some(Images::Pixels(image.clone().into())),
                    ..PredictRequest::default()
                };
                match client.predict(request).await {
                    Ok(answer) => {
                        let served = answer.into_inner().served_by.context("served_by")?;
                        seen.first
                            .entry(served.sequence)
                            .or_insert_with(Instant::now);
                        seen.answered += 1;
                        if stop.borrow().is_some_and(|last| served.sequence >= last) {
                            return Ok(seen);
                        }
                    }
                    // Nothing is served before the first checkpoint.
                    Err(status) if seen.answered == 0 && status.code() == Code::Unavailable => {}
                    Err(status) => bail!("a request failed: {status}"),
                }
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        });
        Ok(Self { task, until })
    }

    /// Waits until `last` has answered (any version for `None`), and returns what was seen.
    pub async fn finish(self, last: Option<u64>) -> Result<Seen> {
        self.until.send_replace(Some(last.unwrap_or(0)));
        let patience = tokio::time::timeout(PATIENCE, self.task);
        patience
            .await
            .context("the last published version was not served")??
    }
}
