//! The trainer within the process of the tests, on free ports and in a scratch folder, and clients
//! for it.

use crate::child::wait_for_starts;
use clap::Parser as _;
use digits_proto::v1::{
    DataSpec, GetJobRequest, Job, JobSpec, JobState, SubmitJobRequest, SyntheticSpec,
    WatchJobRequest, WatchJobResponse, checkpoint_service_client::CheckpointServiceClient,
    training_service_client::TrainingServiceClient, watch_job_response::Event,
};
use digits_testing::{patience, until};
use digits_trainer::{
    app::{Addresses, App},
    config::Config,
};
use std::{net::SocketAddr, path::Path};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tonic::{Code, Status, transport::Channel};

/// A running trainer.
pub struct Server {
    addresses: Addresses,
    stop: CancellationToken,
    task: JoinHandle<Result<(), digits_service::Error>>,
}

impl Server {
    /// Starts a trainer with its state and storage in `folder`.
    pub async fn start(folder: &Path, arguments: &[&str]) -> Self {
        let started = Self::try_start(folder, arguments).await;
        started.expect("bound")
    }

    /// As [`start`](Self::start), or why it does not start.
    pub async fn try_start(
        folder: &Path,
        arguments: &[&str],
    ) -> Result<Self, digits_service::Error> {
        let path = |name: &str| folder.join(name).display().to_string();
        let mut all = vec!["digits-trainer".to_owned()];
        for (flag, value) in [
            ("--listen", "127.0.0.1:0".to_owned()),
            ("--admin-listen", "127.0.0.1:0".to_owned()),
            ("--storage", path("storage")),
            ("--state", path("state")),
            ("--shutdown-delay", "0".to_owned()),
            ("--shutdown-grace", format!("{}s", patience().as_secs_f64())),
        ] {
            all.extend([flag.to_owned(), value]);
        }
        all.extend(arguments.iter().map(ToString::to_string));
        let config = Config::try_parse_from(all).expect("flags");
        // Of this server alone, and not installed: one per process can be.
        let (_, recorder) = digits_telemetry::metrics::build(&[]).expect("buckets");
        wait_for_starts();
        let app = App::bind(config, recorder).await?;
        app.announce().expect("announced");
        let addresses = app.addresses();
        let stop = CancellationToken::new();
        let task = tokio::spawn(app.run(stop.clone()));
        Ok(Self {
            addresses,
            stop,
            task,
        })
    }

    /// A connection to the gRPC port.
    pub async fn channel(&self) -> Channel {
        let endpoint = Channel::from_shared(format!("http://{}", self.addresses.grpc));
        endpoint.expect("a URL").connect().await.expect("connected")
    }

    /// A client of the training service.
    pub async fn training(&self) -> TrainingServiceClient<Channel> {
        training(self.addresses.grpc).await
    }

    /// The admin port.
    pub fn admin(&self) -> SocketAddr {
        self.addresses.admin
    }

    /// A client of the checkpoint service.
    pub async fn checkpoints(&self) -> CheckpointServiceClient<Channel> {
        CheckpointServiceClient::connect(format!("http://{}", self.addresses.grpc))
            .await
            .expect("connected")
    }

    /// Ends it as SIGTERM does.
    pub async fn stop(self) {
        self.stop.cancel();
        tokio::time::timeout(patience(), self.task)
            .await
            .expect("in time")
            .expect("no panic")
            .expect("a clean end");
    }
}

/// A client of the training service that listens at `address`.
pub async fn training(address: SocketAddr) -> TrainingServiceClient<Channel> {
    TrainingServiceClient::connect(format!("http://{address}"))
        .await
        .expect("connected")
}

/// A job on a few synthetic digits that takes a moment.
pub fn small_job(epochs: u32) -> JobSpec {
    JobSpec {
        data: Some(DataSpec {
            dataset: Some("synthetic".to_owned()),
            synthetic: Some(SyntheticSpec {
                train_images: Some(600),
                test_images: Some(100),
                seed: Some(1),
            }),
            ..DataSpec::default()
        }),
        epochs: Some(epochs),
        batch_size: Some(20),
        device: Some("cpu".to_owned()),
        ..JobSpec::default()
    }
}

/// A job that does not end by itself while a test runs, and publishes only at its end.
pub fn endless_job() -> JobSpec {
    JobSpec {
        publish: Some(digits_proto::v1::PublishSpec {
            policy: digits_proto::v1::PublishPolicy::Final.into(),
        }),
        ..small_job(10_000)
    }
}

pub async fn submit(
    client: &mut TrainingServiceClient<Channel>,
    request_id: &str,
    spec: JobSpec,
) -> Result<Job, Status> {
    let request = SubmitJobRequest {
        request_id: request_id.to_owned(),
        spec: Some(spec),
    };
    let response = client.submit_job(request).await?;
    Ok(response.into_inner().job.expect("a job"))
}

pub async fn get(client: &mut TrainingServiceClient<Channel>, job_id: &str) -> Job {
    let request = GetJobRequest {
        job_id: job_id.to_owned(),
    };
    let response = client.get_job(request).await.expect("the job");
    response.into_inner().job.expect("a job")
}

/// Events of a job after `after`, until one for which `until` is true or the end of the stream.
pub async fn watch(
    client: &mut TrainingServiceClient<Channel>,
    job_id: &str,
    after: u64,
    until: impl Fn(&Event) -> bool,
) -> Vec<WatchJobResponse> {
    let request = WatchJobRequest {
        job_id: job_id.to_owned(),
        after_sequence: after,
    };
    let mut stream = client
        .watch_job(request)
        .await
        .expect("a watch")
        .into_inner();
    let mut events = Vec::new();
    let watching = async {
        while let Some(event) = stream.message().await.expect("an event") {
            if matches!(event.event, Some(Event::Heartbeat(_))) {
                continue;
            }
            let last = event.event.as_ref().is_some_and(&until);
            events.push(event);
            if last {
                break;
            }
        }
    };
    tokio::time::timeout(patience(), watching)
        .await
        .expect("in time");
    events
}

/// Watches a job to its end.
pub async fn watch_to_end(
    client: &mut TrainingServiceClient<Channel>,
    job_id: &str,
    after: u64,
) -> Vec<WatchJobResponse> {
    let events = watch(client, job_id, after, |_| false).await;
    let last = events.last().and_then(|event| event.event.as_ref());
    assert!(matches!(last, Some(Event::Finished(_))), "{last:?}");
    events
}

/// Asserts that the events are numbered from `first` without a gap.
pub fn assert_gapless(events: &[WatchJobResponse], first: u64) {
    for (event, expected) in events.iter().zip(first..) {
        assert_eq!(event.sequence, expected);
        assert!(event.at.is_some());
    }
}

pub fn is_row(event: &Event) -> bool {
    matches!(event, Event::Row(_))
}

/// Polls until the job is in `state`.
pub async fn reach(
    client: &mut TrainingServiceClient<Channel>,
    job_id: &str,
    state: JobState,
) -> Job {
    let what = format!("job {job_id} is {state:?}");
    let reached = until(&what, async || {
        let job = get(client, job_id).await;
        Ok((job.state() == state).then_some(job))
    });
    reached.await.expect("reached")
}

/// Asserts code and a part of the message.
pub fn assert_status(status: &Status, code: Code, part: &str) {
    assert_eq!(status.code(), code, "{status:?}");
    assert!(status.message().contains(part), "{part} in {status:?}");
}
