//! The work: jobs that publish, promotions and rollbacks, predictions of pixels and pictures over
//! gRPC and HTTP, and reading. Each kind is a task that goes on for ever.

use crate::support::http;
use anyhow::{Context as _, Result, ensure};
use bytes::Bytes;
use digits_client::{Error, InferenceClient, Options, TrainerClient, WatchOptions};
use digits_e2e::{sandbox::Sandbox, specs};
use digits_proto::v1::{
    JobSpec, JobState, ListCheckpointsRequest, ListJobsRequest, PredictRequest,
    PredictStreamRequest, PromotionPolicy, PublishPolicy, PublishSpec, ReleaseRequest,
    RollbackRequest, predict_request::Images,
};
use digits_testing::until;
use std::{
    convert::Infallible,
    io::Cursor,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::{
    task::{JoinSet, spawn_blocking},
    time::{Interval, interval},
};
use tokio_stream::StreamExt as _;
use tonic::Code;
use uuid::Uuid;

const MODEL: &str = "digits";
const PIXELS: usize = 784;
const JOBS: &str = "jobs";
const CANCELLED_JOBS: &str = "cancelled jobs";

/// Where the services listen.
#[derive(Clone)]
pub struct Addresses {
    trainer: String,
    inference: String,
    admin: [String; 2],
}

impl Addresses {
    /// Of the services of a sandbox.
    pub fn of(sandbox: &Sandbox) -> Result<Self> {
        let [trainer, inference] = [sandbox.trainer()?, sandbox.inference()?];
        Ok(Self {
            trainer: trainer.grpc(),
            inference: inference.grpc(),
            admin: [trainer.admin().to_owned(), inference.admin().to_owned()],
        })
    }

    /// Connections of its own.
    fn trainer(&self) -> Result<TrainerClient> {
        Ok(TrainerClient::new(&self.trainer, &Options::default())?)
    }

    /// Connections of its own.
    fn inference(&self) -> Result<InferenceClient> {
        Ok(InferenceClient::new(&self.inference, &Options::default())?)
    }
}

/// How often a kind of work was done.
pub struct Count {
    /// What was done.
    pub name: &'static str,
    /// How often.
    pub done: AtomicU64,
}

impl Count {
    /// Whether it counts jobs.
    #[must_use]
    pub fn is_of_jobs(&self) -> bool {
        [JOBS, CANCELLED_JOBS].contains(&self.name)
    }
}

/// Paces a kind of work, and counts it.
struct Pace {
    count: Arc<Count>,
    interval: Interval,
}

impl Pace {
    /// Counts what was done, and waits for the time of the next.
    async fn next(&mut self) {
        self.count.done.fetch_add(1, Ordering::Relaxed);
        self.interval.tick().await;
    }
}

/// Trains until there is something to roll back to.
pub async fn first_checkpoints(addresses: &Addresses) -> Result<()> {
    let trainer = addresses.trainer()?;
    for _ in 0..2 {
        train(&trainer, published_and_served()).await?;
    }
    let inference = addresses.inference()?;
    until("a served checkpoint", async || {
        Ok((!inference.model(MODEL).await?.served.is_empty()).then_some(()))
    })
    .await
}

/// Starts a task for each kind of work, on the `LocalSet` that this runs in.
pub fn start(
    addresses: &Addresses,
    set: &mut JoinSet<(&'static str, anyhow::Error)>,
) -> Result<Vec<Arc<Count>>> {
    let mut counts = Vec::new();
    macro_rules! spawn {
        ($name:expr, $every:expr, $work:ident) => {
            let count = Arc::new(Count {
                name: $name,
                done: AtomicU64::new(0),
            });
            counts.push(count.clone());
            let mut pace = Pace {
                count,
                interval: interval(Duration::from_millis($every)),
            };
            let addresses = addresses.clone();
            set.spawn_local(async move {
                match $work(&addresses, &mut pace).await {
                    Ok(never) => match never {},
                    Err(error) => ($name, error),
                }
            });
        };
    }
    spawn!(JOBS, 1_000, jobs);
    spawn!(CANCELLED_JOBS, 5_000, cancelled_jobs);
    spawn!("rollbacks and releases", 3_000, rollbacks);
    spawn!("predictions", 10, predictions);
    spawn!("streams", 500, streams);
    spawn!("requests of pictures", 100, pictures);
    spawn!("REST requests", 100, rest);
    spawn!("reads of jobs and checkpoints", 500, reads);
    spawn!("scrapes", 1_000, scrapes);
    Ok(counts)
}

/// A job whose last checkpoint is promoted, unless a hold forbids it.
fn published_and_served() -> JobSpec {
    JobSpec {
        publish: publish(PublishPolicy::Final),
        promotion: PromotionPolicy::Latest.into(),
        ..specs::synthetic(2)
    }
}

/// A job whose checkpoints nobody needs.
fn published_for_retention() -> JobSpec {
    JobSpec {
        publish: publish(PublishPolicy::EveryEpoch),
        promotion: PromotionPolicy::Manual.into(),
        ..specs::synthetic(3)
    }
}

fn publish(policy: PublishPolicy) -> Option<PublishSpec> {
    Some(PublishSpec {
        policy: policy.into(),
    })
}

/// Submits a job, and watches it to its end.
async fn train(trainer: &TrainerClient, spec: JobSpec) -> Result<()> {
    let job = trainer.submit(Uuid::now_v7().to_string(), spec).await?;
    let options = WatchOptions::default();
    let end = trainer
        .watch(&job.job_id, options, |_| Ok::<_, Error>(()))
        .await?;
    ensure!(end.state() == JobState::Succeeded, "a job ended: {end:?}");
    Ok(())
}

async fn jobs(addresses: &Addresses, pace: &mut Pace) -> Result<Infallible> {
    let trainer = addresses.trainer()?;
    loop {
        train(&trainer, published_and_served()).await?;
        pace.next().await;
        train(&trainer, published_for_retention()).await?;
        pace.next().await;
    }
}

async fn cancelled_jobs(addresses: &Addresses, pace: &mut Pace) -> Result<Infallible> {
    let trainer = addresses.trainer()?;
    loop {
        let spec = JobSpec {
            publish: publish(PublishPolicy::Final),
            ..specs::synthetic(10_000)
        };
        let id = Uuid::now_v7().to_string();
        let job = trainer.submit(id, spec).await?;
        until("its first step", async || {
            let progress = trainer.job(&job.job_id).await?.progress;
            Ok(progress.filter(|progress| progress.step > 0))
        })
        .await?;
        trainer.cancel(&job.job_id).await?;
        pace.next().await;
    }
}

/// A rollback holds the model; a release lifts it.
async fn rollbacks(addresses: &Addresses, pace: &mut Pace) -> Result<Infallible> {
    let trainer = addresses.trainer()?;
    let model = || MODEL.to_owned();
    loop {
        unless_overtaken(
            async |expected_sequence| {
                let request = RollbackRequest {
                    model: model(),
                    expected_sequence,
                    ..RollbackRequest::default()
                };
                trainer.rollback(request).await.map(drop)
            },
            &trainer,
        )
        .await?;
        pace.next().await;
        unless_overtaken(
            async |expected_sequence| {
                let request = ReleaseRequest {
                    model: model(),
                    expected_sequence,
                    ..ReleaseRequest::default()
                };
                trainer.release(request).await.map(drop)
            },
            &trainer,
        )
        .await?;
        pace.next().await;
    }
}

/// Writes after the newest serving record, again if another was written meanwhile.
async fn unless_overtaken(
    write: impl AsyncFn(u64) -> Result<(), Error>,
    trainer: &TrainerClient,
) -> Result<()> {
    loop {
        let newest = trainer.serving_records(MODEL, 1).await?;
        let sequence = newest.first().context("a serving record")?.sequence;
        match write(sequence).await {
            Err(Error::Status { status, .. }) if status.code() == Code::Aborted => {}
            written => return Ok(written?),
        }
    }
}

async fn predictions(addresses: &Addresses, pace: &mut Pace) -> Result<Infallible> {
    loop {
        // Connections come and go.
        let inference = addresses.inference()?;
        for images in (1..=64).chain([4_096]) {
            let answer = inference.predict_pixels(vec![7; images * PIXELS]).await?;
            ensure!(answer.predictions.len() == images, "{answer:?}");
            pace.next().await;
        }
    }
}

async fn streams(addresses: &Addresses, pace: &mut Pace) -> Result<Infallible> {
    loop {
        let inference = addresses.inference()?;
        let requests = (0..20).map(|_| PredictStreamRequest {
            request: Some(PredictRequest {
                images: Some(Images::Pixels(vec![7; 16 * PIXELS].into())),
                ..PredictRequest::default()
            }),
        });
        let mut answers = inference
            .predict_stream(tokio_stream::iter(requests.collect::<Vec<_>>()))
            .await?;
        while let Some(answer) = answers.next().await {
            answer?;
        }
        pace.next().await;
    }
}

async fn pictures(addresses: &Addresses, pace: &mut Pace) -> Result<Infallible> {
    use image::ImageFormat::{Bmp, Gif, Png, WebP};
    let inference = addresses.inference()?;
    loop {
        for (format, size) in [(Png, 40), (Gif, 120), (WebP, 300), (Bmp, 900), (Png, 2_000)] {
            let file = stroke(size, format)?;
            let answer = inference.predict_pictures(vec![file; 4]).await?;
            ensure!(answer.predictions.len() == 4, "{answer:?}");
            pace.next().await;
        }
    }
}

/// A vertical stroke on paper.
fn stroke(size: u32, format: image::ImageFormat) -> Result<Bytes> {
    let paper = image::RgbImage::from_fn(size, size, |x, y| {
        let ink = (size * 9 / 20..size * 11 / 20).contains(&x) && y > size / 8 && y < size * 7 / 8;
        image::Rgb([if ink { 20 } else { 250 }; 3])
    });
    let mut file = Cursor::new(Vec::new());
    paper.write_to(&mut file, format)?;
    Ok(file.into_inner().into())
}

async fn rest(addresses: &Addresses, pace: &mut Pace) -> Result<Infallible> {
    let url = format!("{}/v2/models/{MODEL}/infer", addresses.inference);
    let input = serde_json::json!({
        "name": "pixels", "datatype": "UINT8", "shape": [1, PIXELS], "data": vec![7; PIXELS],
    });
    let body = serde_json::json!({ "inputs": [input] }).to_string();
    loop {
        let (url, body) = (url.clone(), body.clone());
        let status =
            spawn_blocking(move || Ok::<_, ureq::Error>(ureq::post(url).send(body)?.status()));
        let status = status.await??;
        ensure!(status.is_success(), "{status}");
        pace.next().await;
    }
}

async fn reads(addresses: &Addresses, pace: &mut Pace) -> Result<Infallible> {
    let trainer = addresses.trainer()?;
    loop {
        let jobs = trainer.jobs(ListJobsRequest::default(), 20).await?;
        let job = jobs.first().context("a job")?;
        trainer.history(&job.job_id, 1_000).await?;
        let filter = ListCheckpointsRequest::default();
        trainer.checkpoints(filter, 20).await?;
        pace.next().await;
    }
}

async fn scrapes(addresses: &Addresses, pace: &mut Pace) -> Result<Infallible> {
    loop {
        for admin in addresses.admin.clone() {
            spawn_blocking(move || http::get(&admin, "/metrics")).await??;
        }
        pace.next().await;
    }
}
