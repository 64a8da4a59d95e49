//! A client that calls `Predict` continuously while the served checkpoint changes.

use crate::sandbox::Sandbox;
use anyhow::{Context as _, Result, bail};
use digits_proto::v1::{PredictRequest, predict_request::Images};
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};
use tokio::{sync::watch, task::JoinHandle};
use tonic::Code;

/// Between two requests.
const PAUSE: Duration = Duration::from_millis(1);

/// The client's observations.
#[derive(Default)]
pub struct Seen {
    /// When each sequence first answered.
    pub first: BTreeMap<u64, Instant>,
    /// Requests that were answered.
    pub answered: u64,
}

/// The client, in a task of its own.
pub struct Watcher {
    task: JoinHandle<Result<Seen>>,
    last: watch::Sender<Option<u64>>,
}

impl Watcher {
    /// Starts to send `image`, one request after the other. Once something has answered, a request
    /// that fails ends the task with its error.
    pub async fn start(sandbox: &Sandbox, image: Vec<u8>) -> Result<Self> {
        let mut client = sandbox.predict().await?;
        let (last, awaited) = watch::channel(None);
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
                        if awaited.borrow().is_some_and(|last| served.sequence >= last) {
                            return Ok(seen);
                        }
                    }
                    // Nothing is served before the first checkpoint.
                    Err(status) if seen.answered == 0 && status.code() == Code::Unavailable => {}
                    Err(status) => bail!("a request failed: {status}"),
                }
                tokio::time::sleep(PAUSE).await;
            }
        });
        Ok(Self { task, last })
    }

    /// Waits until `last` or a later sequence has answered (any for `None`), and returns the
    /// client's observations.
    ///
    /// # Errors
    /// When a request failed, or `last` has not answered after `patience`.
    pub async fn finish(self, last: Option<u64>, patience: Duration) -> Result<Seen> {
        self.last.send_replace(Some(last.unwrap_or(0)));
        tokio::time::timeout(patience, self.task)
            .await
            .context("the newest published checkpoint was not served")??
    }
}
