//! Traffic for the dashboards: valid and invalid requests, pictures and reported outcomes, in a
//! loop.

use anyhow::{Context as _, Result};
use digits_e2e::sandbox::Sandbox;
use digits_proto::v1::{
    EncodedPictures, GetJobRequest, PredictRequest, PredictResponse, PredictStreamRequest,
    PredictStreamResponse, ReportOutcomeRequest, ServingRole,
    inference_service_client::InferenceServiceClient, predict_request::Images,
    training_service_client::TrainingServiceClient,
};
use digits_testing::until;
use std::{io::Cursor, time::Duration};
use tokio::{sync::mpsc, task::JoinHandle};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Streaming, transport::Channel};

/// Limit on concurrent requests of these tests' inference service.
pub const MAX_IN_FLIGHT: usize = 8;
/// What one client may have of them.
const SHARE: usize = MAX_IN_FLIGHT - MAX_IN_FLIGHT / 8;
/// Images of a request.
const IMAGES: usize = 50;
/// Maximum number of images per request: even a small network then uses the queue.
const MANY_IMAGES: usize = 4_096;
/// A deadline longer than the transport of a request, and shorter than the computation of
/// [`MANY_IMAGES`].
const HURRY: Duration = Duration::from_millis(3);

/// Runs until dropped.
pub struct Traffic(JoinHandle<()>);

impl Drop for Traffic {
    fn drop(&mut self) {
        self.0.abort();
    }
}

struct User {
    inference: InferenceServiceClient<Channel>,
    training: TrainingServiceClient<Channel>,
    blank: Vec<u8>,
    round: u8,
}

/// Starts the traffic. Error responses and unavailable services are expected.
pub async fn start(sandbox: &Sandbox) -> Result<Traffic> {
    let mut blank = Cursor::new(Vec::new());
    image::GrayImage::from_pixel(64, 64, image::Luma([255]))
        .write_to(&mut blank, image::ImageFormat::Png)?;
    let mut user = User {
        inference: sandbox.predict().await?,
        training: sandbox.training().await?,
        blank: blank.into_inner(),
        round: 0,
    };
    Ok(Traffic(tokio::spawn(async move {
        loop {
            user.round = user.round.wrapping_add(1);
            user.once().await;
            // Leaves time for the other processes on two cores.
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })))
}

impl User {
    async fn once(&mut self) {
        let pixels = (0..IMAGES * 784).map(|index| (index as u8).wrapping_mul(self.round) & 0x7f);
        let answer = self
            .predict(Images::Pixels(pixels.collect::<Vec<u8>>().into()))
            .await;
        if let Some(served) = answer.and_then(|answer| answer.served_by) {
            for (role, right) in [
                (served.role(), false),
                (served.role(), self.round.is_multiple_of(8)),
            ] {
                self.report(served.sequence, role, right).await;
            }
        }
        let blank = vec![self.blank.clone().into()];
        self.predict(Images::Pictures(EncodedPictures { encoded: blank }))
            .await;
        self.predict(Images::Pixels(vec![0; 3].into())).await;
        if self.round.is_multiple_of(8) {
            self.many().await;
        }
        let unknown_job = GetJobRequest {
            job_id: "00000000-0000-7000-8000-000000000000".to_owned(),
        };
        // Not found, each time.
        let _ = self.training.get_job(unknown_job).await;
    }

    async fn predict(&mut self, images: Images) -> Option<PredictResponse> {
        let answer = self.inference.predict(of(images)).await;
        answer.ok().map(tonic::Response::into_inner)
    }

    /// Queued work, once with a long deadline and once with a short one.
    async fn many(&mut self) {
        let pixels = || Images::Pixels(vec![64; MANY_IMAGES * 784].into());
        self.predict(pixels()).await;
        let mut request = tonic::Request::new(of(pixels()));
        request.set_timeout(HURRY);
        // Exceeds its deadline on most machines.
        let _ = self.inference.predict(request).await;
    }

    async fn report(&mut self, sequence: u64, role: ServingRole, right: bool) {
        let outcome = ReportOutcomeRequest {
            sequence,
            predicted_label_index: 1,
            true_label_index: if right { 1 } else { 7 },
            role: role.into(),
            ..ReportOutcomeRequest::default()
        };
        // Outcomes of a replaced checkpoint can no longer be reported.
        let _ = self.inference.report_outcome(outcome).await;
    }
}

fn of(images: Images) -> PredictRequest {
    PredictRequest {
        images: Some(images),
        ..PredictRequest::default()
    }
}

/// Both ends of an open stream.
type Stream = (
    mpsc::Sender<PredictStreamRequest>,
    Streaming<PredictStreamResponse>,
);

/// As many open streams as one client may have: further requests are refused until this is dropped.
pub struct Crowd {
    _streams: Vec<Stream>,
}

/// Opens streams up to the share of one client.
pub async fn crowd(sandbox: &Sandbox) -> Result<Crowd> {
    let mut client = sandbox.predict().await?;
    let mut streams = Vec::new();
    while streams.len() < SHARE {
        // A request of the traffic may take the last slot.
        let stream = until("a place", async || Ok(open(&mut client).await.ok()));
        streams.push(stream.await?);
    }
    Ok(Crowd { _streams: streams })
}

async fn open(client: &mut InferenceServiceClient<Channel>) -> Result<Stream> {
    let (sender, requests) = mpsc::channel(1);
    let request = PredictStreamRequest {
        request: Some(of(Images::Pixels(vec![0; 784].into()))),
    };
    sender.send(request).await?;
    let answers = client.predict_stream(ReceiverStream::new(requests)).await?;
    let mut answers = answers.into_inner();
    // A stream takes its place with its first message.
    answers.message().await?.context("the stream ended")?;
    Ok((sender, answers))
}
